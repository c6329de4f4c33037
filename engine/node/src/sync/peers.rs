//! Which devices to be connected with, and one session with each of them.
//!
//! Every device of every space's roster is kept connected; devices that nobody knows yet may
//! connect, and get what they can prove membership of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stead_base::DeviceId;
use stead_net::{CONNECT_TIMEOUT_MS, Connection, Net};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::SYNC_ALPN;
use super::facts::Facts;
use super::session::{self, SyncContext};
use crate::clock::steady_ms;
use crate::directory::Introductions;

/// Most sessions with devices that are in no roster here.
const STRANGERS_MAX: usize = 32;
/// Connections that wait to be looked at.
const QUEUE_MAX: usize = 64;
/// How often stalled fetches are looked for.
const FETCH_TICK: Duration = Duration::from_secs(2);
/// Close codes that a person may see in a log.
const CODE_REPLACED: u32 = 2;
const CODE_TOO_MANY: u32 = 3;
const CODE_STOPPING: u32 = 4;

/// Keeps sessions going until `stop` changes.
pub(crate) struct Peers {
    net: Net,
    context: SyncContext,
    introductions: Introductions,
    found: mpsc::Sender<Connection>,
    inbox: mpsc::Receiver<Connection>,
    keepers: BTreeMap<DeviceId, Kept>,
    live: BTreeMap<DeviceId, Live>,
    sessions: JoinSet<(DeviceId, u64, String)>,
    count: u64,
}

struct Kept {
    adopt: mpsc::Sender<Connection>,
    task: JoinHandle<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Live {
    no: u64,
    connection: Connection,
    since_ms: u64,
}

impl Peers {
    /// Prepares; incoming connections go into the returned sender.
    pub(crate) fn new(
        net: Net,
        context: SyncContext,
        introductions: Introductions,
    ) -> (Self, mpsc::Sender<Connection>) {
        let (found, inbox) = mpsc::channel(QUEUE_MAX);
        let peers = Self {
            net,
            context,
            introductions,
            found: found.clone(),
            inbox,
            keepers: BTreeMap::new(),
            live: BTreeMap::new(),
            sessions: JoinSet::new(),
            count: 0,
        };
        (peers, found)
    }

    /// Runs until `stop` changes or its sender is gone.
    pub(crate) async fn run(
        mut self,
        mut members: watch::Receiver<u64>,
        mut stop: watch::Receiver<bool>,
    ) {
        members.mark_changed();
        let mut tick = tokio::time::interval(FETCH_TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.changed() => break,
                changed = members.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.follow_rosters().await;
                }
                Some(connection) = self.inbox.recv() => self.connected(connection).await,
                Some(ended) = self.sessions.join_next(), if !self.sessions.is_empty() => {
                    if let Ok((device, no, why)) = ended {
                        self.session_ended(device, no, why);
                    }
                }
                _ = tick.tick(), if !self.live.is_empty() => {
                    self.context.fetches.tick(steady_ms());
                    self.context.store.tell(|desk| desk.evict_removed()).await;
                }
            }
        }
        self.keepers.clear();
        for live in self.live.values() {
            live.connection.close(CODE_STOPPING, "the node stops");
        }
        while self.sessions.join_next().await.is_some() {}
    }

    /// Keeps connected whoever shares a space with this device, and nobody else.
    async fn follow_rosters(&mut self) {
        let local = self.context.local;
        let devices = self.context.store.look(move |desk| {
            let mut devices = BTreeSet::new();
            for space in desk.replica.space_ids() {
                if let Ok(space) = desk.replica.outline(&space) {
                    devices.extend(space.devices.iter().map(|device| device.id));
                }
            }
            devices
        });
        let Ok(mut wanted) = devices.await else {
            return;
        };
        wanted.extend(self.introductions.devices());
        wanted.remove(&local);
        self.keepers.retain(|device, _| wanted.contains(device));
        for device in &wanted {
            if !self.keepers.contains_key(device) {
                self.keep(*device).await;
            }
        }
        self.context.facts.retain(|device| wanted.contains(device));
    }

    async fn keep(&mut self, device: DeviceId) {
        let (adopt, adopted) = mpsc::channel(4);
        if let Some(live) = self.live.get(&device) {
            let _ = adopt.send(live.connection.clone()).await;
        }
        let work = keep(
            self.net.clone(),
            device,
            self.found.clone(),
            adopted,
            self.context.facts.clone(),
        );
        let task = tokio::spawn(work);
        self.keepers.insert(device, Kept { adopt, task });
    }

    /// Takes a new connection, unless the one in use is to be kept.
    async fn connected(&mut self, connection: Connection) {
        let device = connection.remote();
        if let Some(live) = self.live.get(&device) {
            if !self.is_preferred(&connection, live) {
                connection.close(CODE_REPLACED, "another connection is in use");
                let kept = live.connection.clone();
                self.adopt(device, kept).await;
                return;
            }
            live.connection
                .close(CODE_REPLACED, "another connection is in use");
        } else if !self.keepers.contains_key(&device) {
            let strangers = self
                .live
                .keys()
                .filter(|live| !self.keepers.contains_key(live))
                .count();
            if strangers >= STRANGERS_MAX {
                connection.close(CODE_TOO_MANY, "too many unknown devices are connected");
                return;
            }
        }
        self.count += 1;
        let no = self.count;
        tracing::info!(peer = %device.short(), dialed = connection.dialed(), "connected");
        self.context.facts.edit(device, |facts| {
            facts.bytes_before = facts.bytes();
            facts.connection = Some(connection.clone());
        });
        self.adopt(device, connection.clone()).await;
        let context = self.context.clone();
        let session = connection.clone();
        self.sessions.spawn(async move {
            let why = session::run(session, context).await;
            (device, no, why)
        });
        self.live.insert(
            device,
            Live {
                no,
                connection,
                since_ms: steady_ms(),
            },
        );
    }

    /// When two devices dial each other at once, both keep the connection that the device with the
    /// smaller id dialed. At any other time nobody dials who knows of a connection that works, so the
    /// newer one replaces the older.
    fn is_preferred(&self, newer: &Connection, older: &Live) -> bool {
        let at_once = steady_ms().saturating_sub(older.since_ms) < CONNECT_TIMEOUT_MS;
        let older = &older.connection;
        if !at_once || older.close_reason().is_some() || newer.dialed() == older.dialed() {
            return true;
        }
        let local_is_smaller = self.context.local < newer.remote();
        newer.dialed() == local_is_smaller
    }

    async fn adopt(&self, device: DeviceId, connection: Connection) {
        if let Some(kept) = self.keepers.get(&device) {
            let _ = kept.adopt.send(connection).await;
        }
    }

    fn session_ended(&mut self, device: DeviceId, no: u64, why: String) {
        if self.live.get(&device).is_none_or(|live| live.no != no) {
            return;
        }
        tracing::info!(peer = %device.short(), why, "disconnected");
        self.live.remove(&device);
        self.context.facts.edit(device, |facts| {
            facts.bytes_before = facts.bytes();
            facts.connection = None;
            facts.shared.clear();
            facts.last_end = Some(why);
        });
        let keepers = &self.keepers;
        self.context
            .facts
            .retain(|device| keepers.contains_key(device));
    }
}

/// Keeps one device connected: dials when it is not, and stands by while it is.
async fn keep(
    net: Net,
    device: DeviceId,
    found: mpsc::Sender<Connection>,
    mut adopted: mpsc::Receiver<Connection>,
    facts: Facts,
) {
    let mut keeper = net.keep(device, SYNC_ALPN);
    let mut status = keeper.watch_status();
    loop {
        let now = status.borrow_and_update().clone();
        facts.edit(device, |facts| facts.dial = Some(now));
        tokio::select! {
            connection = keeper.next() => match connection {
                Some(connection) => {
                    if found.send(connection).await.is_err() {
                        return;
                    }
                }
                None => return,
            },
            connection = adopted.recv() => match connection {
                Some(connection) => keeper.adopt(connection).await,
                None => return,
            },
            changed = status.changed() => if changed.is_err() {
                return;
            },
        }
    }
}
