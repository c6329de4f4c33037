//! Who is where, on the store thread: hands packets to sessions, keys and rights to the board, and
//! news to whoever watches. Nothing here is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use stead_access::Path;
use stead_api::{ApiError, ErrorKind};
use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_presence::limits::APPS_PER_DEVICE_MAX;
use stead_presence::{Board, Judge, Key, Output, Packet, SessionNo, Shown, Verdict};
use stead_replica::{DocChange, Replica};
use stead_sync::Input;
use tokio::sync::{Notify, watch};

use super::Desk;
use crate::clock::{steady_ms, wall_ms};
use crate::faults;

/// What devices of a space are called, and the people whose they are.
pub(crate) type Names = BTreeMap<DeviceId, (String, Option<String>)>;

/// Who is where, and who wants to know.
pub(crate) struct Presence {
    pub(crate) board: Board,
    /// Names, until somebody or something is called otherwise.
    pub(crate) names: BTreeMap<SpaceId, Arc<Names>>,
    watches: Vec<Weak<PresenceInbox>>,
    due: watch::Sender<Option<u64>>,
}

/// What one watch of presence is to look at again.
#[derive(Debug)]
pub(crate) struct PresenceInbox {
    space: SpaceId,
    noted: Mutex<BTreeSet<Key>>,
    bell: Notify,
}

impl PresenceInbox {
    /// Waits until somebody moved.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Who moved since the last call.
    pub(crate) fn take(&self) -> BTreeSet<Key> {
        std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, key: Key) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.insert(key);
        drop(noted);
        self.bell.notify_one();
    }
}

impl Presence {
    pub(super) fn new(device: DeviceId, seed: [u8; 32]) -> Self {
        Self {
            board: Board::new(device, seed),
            names: BTreeMap::new(),
            watches: Vec::new(),
            due: watch::Sender::new(None),
        }
    }

    /// When [`Desk::presence_tick`] is due, on the steady clock.
    pub(crate) fn due(&self) -> watch::Receiver<Option<u64>> {
        self.due.subscribe()
    }

    pub(super) fn forget(&mut self, space: &SpaceId) {
        self.board.forget(space);
        self.names.remove(space);
    }

    /// Starts noting who moves in a space.
    pub(crate) fn watch(&mut self, space: SpaceId) -> Arc<PresenceInbox> {
        let inbox = Arc::new(PresenceInbox {
            space,
            noted: Mutex::default(),
            bell: Notify::new(),
        });
        self.watches.retain(|watch| watch.strong_count() > 0);
        self.watches.push(Arc::downgrade(&inbox));
        inbox
    }

    fn news(&self, space: SpaceId, key: Key) {
        let watches = self.watches.iter().filter_map(Weak::upgrade);
        for watch in watches.filter(|watch| watch.space == space) {
            watch.note(key);
        }
    }
}

/// The replica's keys and rights at a time.
struct Judging<'a> {
    replica: &'a Replica,
    now_ms: u64,
}

impl Judge for Judging<'_> {
    fn seal(
        &self,
        space: &SpaceId,
        run: &[u8; 32],
        app: u64,
        seq: u64,
        on: &str,
        shown: Option<&Shown>,
    ) -> Option<Vec<u8>> {
        let sealed = self
            .replica
            .seal_presence(space, run, app, seq, on, shown, self.now_ms);
        sealed
            .inspect_err(|error| tracing::debug!(%error, "where an app is cannot be told"))
            .ok()
    }

    fn open(&self, space: &SpaceId, packet: &Packet<'_>) -> Verdict {
        self.replica.open_presence(space, packet, self.now_ms)
    }

    fn may_be_heard(&self, space: &SpaceId, device: &DeviceId, scope: ScopeId) -> bool {
        self.replica.may_be_heard(space, device, scope)
    }
}

/// Where something is in a space, for the board that is lent out beside the replica.
macro_rules! judging {
    ($desk:ident) => {
        (
            &mut $desk.presence.board,
            Judging {
                replica: &$desk.replica,
                now_ms: wall_ms(),
            },
        )
    };
}

impl Desk {
    /// Says where an app of this device is. `app` is none for one that was nowhere yet; answers its
    /// number.
    pub(crate) fn presence_set(
        &mut self,
        space: SpaceId,
        app: Option<u64>,
        shown: Shown,
    ) -> Result<u64, ApiError> {
        // Says what is wrong before anything is told.
        let key = self.presence.board.own_key(&space, 0);
        let tried = self.replica.seal_presence(
            &space,
            &key.run,
            u64::from(u32::MAX),
            u64::from(u32::MAX),
            &shown.on,
            Some(&shown),
            wall_ms(),
        );
        drop(tried.map_err(|error| faults::replica(&error))?);
        let all = self.presence.board.all(&space);
        let own = all.iter().filter(|key| key.device == self.replica.device());
        if app.is_none() && own.count() >= APPS_PER_DEVICE_MAX {
            let message =
                format!("At most {APPS_PER_DEVICE_MAX} apps of one device are in a space.");
            return Err(ApiError::new(ErrorKind::Busy, message)
                .hint("End one of them, or say `presence.clear` for where it is no more."));
        }
        let app = app.unwrap_or_else(|| self.presence.board.new_app());
        let (board, judge) = judging!(self);
        board.set(space, app, shown, steady_ms(), &judge);
        self.presence_settle();
        Ok(app)
    }

    /// An app of this device left.
    pub(crate) fn presence_clear(&mut self, space: SpaceId, app: u64) {
        let (board, judge) = judging!(self);
        board.clear(space, app, steady_ms(), &judge);
        self.presence_settle();
    }

    /// A session shares a space.
    pub(crate) fn presence_shared(&mut self, no: SessionNo, peer: DeviceId, space: SpaceId) {
        // Asked for again here: the session may have ended meanwhile.
        if self.sessions.iter().any(|session| session.no() == no) {
            self.presence.board.join(no, peer, space);
            self.presence_settle();
        }
    }

    /// A session shares a space no longer.
    pub(crate) fn presence_left(&mut self, no: SessionNo, space: SpaceId) {
        self.presence.board.leave(no, space, steady_ms());
        self.presence_settle();
    }

    /// A session ended.
    pub(super) fn presence_ended(&mut self, no: SessionNo) {
        self.presence.board.end(no, steady_ms());
        self.presence_settle();
    }

    /// A packet came.
    pub(crate) fn presence_heard(&mut self, no: SessionNo, space: SpaceId, packet: &Bytes) {
        let (board, judge) = judging!(self);
        board.receive(no, space, packet, steady_ms(), &judge);
        self.presence_settle();
    }

    /// A peer does not hear somebody any more.
    pub(crate) fn presence_lost(&mut self, no: SessionNo, space: SpaceId, run: [u8; 32], app: u64) {
        let board = &mut self.presence.board;
        board.lost(no, space, run, app, steady_ms());
        self.presence_settle();
    }

    /// Does what is due.
    pub(crate) fn presence_tick(&mut self) {
        let (board, judge) = judging!(self);
        board.tick(steady_ms(), &judge);
        self.presence_settle();
    }

    pub(super) fn presence_members_changed(&mut self, space: SpaceId) {
        self.presence.names.remove(&space);
        let (board, judge) = judging!(self);
        board.members_changed(space, steady_ms(), &judge);
        self.presence_settle();
    }

    /// Cursors move with the texts that they are in, and names may be other ones.
    pub(super) fn presence_docs_changed(&mut self, space: SpaceId, docs: &[DocChange], many: bool) {
        if self.replica.home() == Some(space) {
            self.presence.names.clear();
        }
        if self.presence.watches.is_empty() {
            return;
        }
        for key in self.presence.board.all(&space) {
            let Some(heard) = self.presence.board.get(&space, &key) else {
                continue;
            };
            let touched = || {
                let Ok(on) = Path::new(&heard.shown.on) else {
                    return false;
                };
                let parts: Vec<String> = on.parts().take(2).collect();
                docs.iter().any(|doc| {
                    matches!(&parts[..], [collection, id]
                        if *collection == doc.collection && *id == doc.id.to_string())
                })
            };
            if !heard.shown.cursors.is_empty() && (many || touched()) {
                self.presence.news(space, key);
            }
        }
    }

    /// Hands over what the board wants told.
    fn presence_settle(&mut self) {
        while let Some(output) = self.presence.board.poll() {
            let (session, space, input) = match output {
                Output::News { space, key } => {
                    self.presence.news(space, key);
                    continue;
                }
                Output::Pass {
                    session,
                    space,
                    slot,
                    packet,
                } => {
                    let input = Input::Presence {
                        space,
                        slot,
                        packet,
                    };
                    (session, space, input)
                }
                Output::Lost {
                    session,
                    space,
                    run,
                    app,
                } => (session, space, Input::PresenceLost { space, run, app }),
            };
            let mut sessions = self.sessions.iter();
            if let Some(mailbox) = sessions.find(|mailbox| mailbox.no() == session)
                && !self.replica.was_removed(&space, &mailbox.peer())
            {
                mailbox.presence(input);
            }
        }
        let due_ms = self.presence.board.due();
        self.presence.due.send_if_modified(|last| {
            let changed = *last != due_ms;
            *last = due_ms;
            changed
        });
    }
}
