//! Starting a node, keeping it running, and stopping it so that nothing is lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stead_api::SOCKET_FILE;
use stead_base::DeviceId;
use stead_keys::{Keystore, OsEntropy};
use stead_net::{Bind, Net, NetConfig};
use stead_replica::{Folding, Replica, ReplicaError, SqlReader};
use stead_store::{Durability, FileKey, Options, Store};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::api::watches::Watches;
use crate::api::{self, CLIENTS_MAX, Own};
use crate::clock::{steady_ms, wall_ms};
use crate::desk::Board;
use crate::directory::{Directory, Introductions};
use crate::home::{Home, INTRODUCTION_FILE, KNOWN_DEVICES_FILE, STORE_FILE};
use crate::invite::INVITE_ALPN;
use crate::invite::join::Joiner;
use crate::invite::offer::Invites;
use crate::link::accept::Acceptor;
use crate::link::notice::Newcomers;
use crate::link::offer::Links;
use crate::link::{HELP_ALPN, HELP_SPOKEN_ALPN, LINK_ALPN, SPOKEN_ALPN};
use crate::platform;
use crate::readers::{READERS, Readers, SqlThread};
use crate::recover::RECOVER_ALPN;
use crate::recover::attempt::Recoverer;
use crate::recover::holder::Holder;
use crate::recover::shares::Collector;
use crate::store_thread::{StoreHandle, StoreThread};
use crate::sync::SYNC_ALPN;
use crate::sync::facts::Facts;
use crate::sync::fetches::Fetches;
use crate::sync::peers::Peers;
use crate::sync::prepare::{Preparing, preparing_threads};
use crate::sync::session::SyncContext;
use crate::{NodeConfig, NodeError, at_rest};

/// How long tasks may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Held-back entries are looked at at least this often, in case the clock was set.
const TICK_MAX: Duration = Duration::from_secs(60);

/// A running node. Dropping it ends it like a kill does: everything acknowledged is safe, and
/// other devices notice a little later. [`Node::stop`] is the polite way.
pub struct Node {
    home: Arc<Home>,
    net: Net,
    device: DeviceId,
    store: Option<StoreThread>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("device", &self.device)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

/// Runs a node until `shutdown` is ready or a client stops it.
pub async fn run(config: NodeConfig, shutdown: impl Future<Output = ()>) -> Result<(), NodeError> {
    let mut node = Node::start(config).await?;
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        ended = node.ended() => ended,
    };
    node.stop().await;
    ended
}

impl Node {
    /// Locks the data directory, makes an identity at the first start, and begins to listen.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let home = Arc::new(Home::lock(&config.home)?);
        let keystore = Keystore::open(home.path(), &config.keys, &mut OsEntropy)?;
        let keys = keystore.device_keys();
        let device = keys.id();
        let network_seed = *keys.network_seed();
        let key = at_rest::key_for(&home, config.at_rest, &keys)?;
        let encrypted = key.is_some();
        let (mut replica, mut readers) =
            open_replica(&home, keys, key, &config.device_name).await?;
        let sql_reader = readers.pop().ok_or(NodeError::StoreThread)?;
        let net = Net::start(net_config(&config, &home, network_seed)).await?;
        remember_port(&home, &net);

        let board = Board {
            members: watch::Sender::new(0),
            home_space: watch::Sender::new(None),
            names: watch::Sender::new(Vec::new()),
            places: watch::Sender::new(0),
            watches: Arc::new(Watches::default()),
            fetches: Arc::new(Fetches::default()),
            trouble: watch::Sender::new(None),
            notices: watch::Sender::new(Vec::new()),
            partial: watch::Sender::new(std::collections::BTreeSet::new()),
            parts: watch::Sender::new(0),
            home: home.path().to_owned(),
        };
        let preparers = (0..preparing_threads())
            .map(|_| replica.preparer())
            .collect();
        let signer = replica.signer();
        let lag = replica.lag();
        replica.set_folding(Folding::WhenRead);
        std::thread::Builder::new()
            .name("sign".into())
            .spawn(move || signer.run())
            .map_err(|_| NodeError::StoreThread)?;
        let facts = Facts::default();
        let mut seed = [0; 32];
        stead_base::Entropy::fill(&mut OsEntropy, &mut seed);
        let store = StoreThread::start(replica, board.clone(), Arc::clone(&home), seed)?;
        // Whoever asks from here on finds the spaces that are there.
        if store.handle.look(|_| ()).await.is_err() {
            return Err(NodeError::StoreThread);
        }
        let preparing = Preparing::start(preparers, &store.handle)?;
        let (stop, stopped) = watch::channel(false);
        let introductions = Introductions::open(home.file(INTRODUCTION_FILE));
        introductions.teach(&net);
        let introduced = introductions.clone();
        let context = SyncContext {
            local: device,
            store: store.handle.clone(),
            preparing,
            fetches: Arc::clone(&board.fetches),
            facts: facts.clone(),
            numbers: Arc::new(AtomicU64::new(1)),
        };
        let (peers, syncing) = Peers::new(net.clone(), context, introductions.clone());
        let invites = Invites::new(net.clone(), store.handle.clone());
        let links = Links::new(
            net.clone(),
            store.handle.clone(),
            config.device_name.clone(),
        );
        let holder = Holder::new(
            net.clone(),
            store.handle.clone(),
            config.device_name.clone(),
        );
        let news = watch::Sender::new(Vec::new());
        let served = Arc::new(api::Node {
            home: home.path().to_owned(),
            device: Own {
                id: device,
                name: config.device_name.clone(),
            },
            keys: keystore.kind(),
            key_path: keystore.path().to_owned(),
            encrypted,
            started_ms: wall_ms(),
            store: store.handle.clone(),
            sql: SqlThread::start(SqlReader::new(sql_reader, platform::memory_bytes)?)?,
            readers: Readers::start(readers, store.handle.clone(), lag)?,
            net: net.clone(),
            links: links.clone(),
            invites: invites.clone(),
            joiner: Joiner {
                net: net.clone(),
                store: store.handle.clone(),
                introductions: introductions.clone(),
                members: board.members.subscribe(),
            },
            collector: Collector::new(net.clone(), store.handle.clone()),
            recoverer: Recoverer::new(
                net.clone(),
                store.handle.clone(),
                introductions.clone(),
                facts.clone(),
            ),
            acceptor: Acceptor::new(
                net.clone(),
                store.handle.clone(),
                introductions,
                board.members.subscribe(),
            ),
            newcomers: news.subscribe(),
            facts,
            board: board.clone(),
            stop: stop.clone(),
            clients: Arc::new(Semaphore::new(CLIENTS_MAX)),
            counted: Mutex::new(BTreeMap::new()),
        });

        let mut tasks = JoinSet::new();
        serve_api(&home, &config, &served, &stopped, &mut tasks).await?;
        tasks.spawn(peers.run(board.members.subscribe(), stopped.clone()));
        tasks.spawn(accept(
            net.clone(),
            syncing,
            links,
            invites,
            holder,
            stopped.clone(),
        ));
        let directory = Directory {
            net: net.clone(),
            store: store.handle.clone(),
            device,
            device_name: config.device_name,
            introductions: introduced,
            relays: config.relays.clone(),
            relays_in_use: config.relays,
        };
        tasks.spawn(directory.run(
            board.places.subscribe(),
            board.members.subscribe(),
            stopped.clone(),
        ));
        let newcomers = Newcomers {
            store: store.handle.clone(),
            own: device,
            path: home.file(KNOWN_DEVICES_FILE),
            news,
        };
        tasks.spawn(newcomers.run(board.members.subscribe(), stopped.clone()));
        tasks.spawn(beat(
            store.handle.clone(),
            store.presence_due.clone(),
            stopped.clone(),
        ));
        tasks.spawn(tick(store.handle.clone(), store.due.clone(), stopped));
        tracing::info!(device = %device.short(), home = %home.path().display(), "the node runs");
        Ok(Self {
            home,
            net,
            device,
            store: Some(store),
            tasks,
            stop,
        })
    }

    /// This device's id.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The data directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The network, to look at addresses and paths.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Waits until a client stops the node, or it cannot go on.
    pub async fn ended(&mut self) -> Result<(), NodeError> {
        let mut stopped = self.stop.subscribe();
        tokio::select! {
            // This side holds the sender, so waiting cannot fail.
            _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
            () = store_ended(&mut self.store) => Err(NodeError::StoreThread),
        }
    }

    /// Says goodbye to peers and clients, flushes and closes the database.
    pub async fn stop(mut self) {
        tracing::info!(device = %self.device.short(), "the node stops");
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        self.tasks.abort_all();
        self.net.shutdown().await;
        if let Some(store) = self.store.take() {
            store.stop().await;
        }
        let _ = std::fs::remove_file(self.home.file(SOCKET_FILE));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Clients' tasks end by this; all others with the node.
        self.stop.send_replace(true);
    }
}

async fn store_ended(store: &mut Option<StoreThread>) {
    if let Some(store) = store {
        // Nothing is ever sent: the end of the thread closes it.
        let _ = (&mut store.ended).await;
    }
}

/// Opens the database and makes the identity if there is none.
async fn open_replica(
    home: &Home,
    keys: stead_crypt::DeviceKeys,
    key: Option<FileKey>,
    device_name: &str,
) -> Result<(Replica, Vec<stead_replica::ReplicaReader>), NodeError> {
    let path = home.file(STORE_FILE);
    let name = device_name.to_owned();
    let opening = tokio::task::spawn_blocking(move || {
        let options = Options {
            durability: Durability::Ordered,
            key,
            ..Options::default()
        };
        let store = Store::open(path, options)?;
        let mut replica = Replica::open(store, keys, &name, Box::new(OsEntropy), wall_ms())?;
        if replica.home().is_none() {
            tracing::info!("making a new identity");
            replica.create_home(wall_ms())?;
            replica.flush()?;
        }
        // One more, for people's SQL.
        let mut readers = Vec::with_capacity(READERS + 1);
        for _ in 0..=READERS {
            let reader = replica.reader()?;
            readers.push(reader.ok_or_else(|| {
                ReplicaError::Refused("the database cannot be read by several threads".to_owned())
            })?);
        }
        Ok((replica, readers))
    });
    opening.await.unwrap_or(Err(NodeError::StoreThread))
}

fn net_config(config: &NodeConfig, home: &Home, network_seed: [u8; 32]) -> NetConfig {
    let mut net = NetConfig::new(network_seed);
    net.bind = match (config.bind, home.last_port()) {
        (Bind::Any, Some(port)) => Bind::Prefer(port),
        (bind, _) => bind,
    };
    net.external = config.external.clone();
    net.relays = config.relays.clone();
    net.lan = config.lan.clone();
    net.direct = config.direct;
    net.alpns = [
        SYNC_ALPN,
        LINK_ALPN,
        SPOKEN_ALPN,
        INVITE_ALPN,
        RECOVER_ALPN,
        HELP_ALPN,
        HELP_SPOKEN_ALPN,
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    net
}

fn remember_port(home: &Home, net: &Net) {
    if let Some(bound) = net.bound().first() {
        home.remember_port(bound.port());
    }
}

async fn serve_api(
    home: &Home,
    config: &NodeConfig,
    served: &Arc<api::Node>,
    stopped: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> Result<(), NodeError> {
    let failed = |action, path: PathBuf| {
        move |source| NodeError::Home {
            action,
            path,
            source,
        }
    };
    #[cfg(unix)]
    {
        let path = home.file(SOCKET_FILE);
        let listener = api::socket::bind(&path).map_err(failed("listen on", path))?;
        tasks.spawn(api::socket::run(
            Arc::clone(served),
            listener,
            stopped.clone(),
        ));
    }
    if config.websocket {
        let opened = api::websocket::Listener::open(home.path()).await;
        let listener = opened.map_err(failed(
            "serve the local WebSocket of",
            home.path().to_owned(),
        ))?;
        tasks.spawn(listener.run(Arc::clone(served), stopped.clone()));
    }
    Ok(())
}

/// Hands incoming connections to whom they are for, until the node stops.
async fn accept(
    net: Net,
    syncing: mpsc::Sender<stead_net::Connection>,
    links: Links,
    invites: Invites,
    holder: Holder,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = net.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let Some(connection) = accepted else {
            return;
        };
        match connection.alpn() {
            SYNC_ALPN => {
                if syncing.send(connection).await.is_err() {
                    return;
                }
            }
            LINK_ALPN | SPOKEN_ALPN | HELP_ALPN | HELP_SPOKEN_ALPN => {
                tokio::spawn(links.clone().serve(connection));
            }
            INVITE_ALPN => {
                tokio::spawn(invites.clone().serve(connection));
            }
            RECOVER_ALPN => {
                tokio::spawn(holder.clone().serve(connection));
            }
            _ => connection.close(1, "unknown protocol"),
        }
    }
}

/// Has held-back entries looked at when they are due.
async fn tick(
    store: StoreHandle,
    mut due: watch::Receiver<Option<u64>>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let due_ms = *due.borrow_and_update();
        let wait =
            due_ms.map(|due| Duration::from_millis(due.saturating_sub(wall_ms())).min(TICK_MAX));
        tokio::select! {
            _ = stopped.changed() => return,
            changed = due.changed() => if changed.is_err() {
                return;
            },
            () = tokio::time::sleep(wait.unwrap_or(TICK_MAX)), if wait.is_some() => {
                store.tick().await;
                // The next due time arrives by itself; this keeps a stuck one from spinning.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Has presence looked after when it is due.
async fn beat(
    store: StoreHandle,
    mut due: watch::Receiver<Option<u64>>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let due_ms = *due.borrow_and_update();
        let wait = due_ms.map(|due| Duration::from_millis(due.saturating_sub(steady_ms())));
        tokio::select! {
            _ = stopped.changed() => return,
            changed = due.changed() => if changed.is_err() {
                return;
            },
            () = tokio::time::sleep(wait.unwrap_or(TICK_MAX)), if wait.is_some() => {
                // Answers when it is done, so that the next due time is known.
                if store.look(|desk| desk.presence_tick()).await.is_err() {
                    return;
                }
            }
        }
    }
}
