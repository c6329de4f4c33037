//! The message protocol's server: a Unix socket, a local WebSocket, and what they ask the node.
//!
//! Owns clients, their limits and the conversion between wire types and the engine's; decides
//! nothing about documents or devices itself.

pub(crate) mod calls;
mod checkpoints;
pub(crate) mod client;
mod conditions;
pub(crate) mod convert;
mod deltas;
pub(crate) mod documents;
mod faces;
mod groups;
mod guardians;
pub(crate) mod idempotency;
mod indexes;
mod live;
mod log;
pub(crate) mod parts;
mod past;
mod people;
mod presence;
mod rich;
mod rich_watch;
pub(crate) mod rights;
pub(crate) mod schemas;
pub(crate) mod share;
pub(crate) mod socket;
mod spaces;
mod sql;
pub(crate) mod veil;
pub(crate) mod watches;
pub(crate) mod websocket;
mod window;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stead_base::{DeviceId, SpaceId};
use stead_keys::Kind;
use stead_net::Net;
use tokio::sync::{Semaphore, watch};

use crate::desk::Board;
use crate::invite::join::Joiner;
use crate::invite::offer::Invites;
use crate::link::accept::Acceptor;
use crate::link::notice::Linked;
use crate::link::offer::Links;
use crate::readers::{Readers, SqlThread};
use crate::recover::attempt::Recoverer;
use crate::recover::shares::Collector;
use crate::store_thread::StoreHandle;
use crate::sync::facts::Facts;

/// Most clients at the same time.
pub(crate) const CLIENTS_MAX: usize = 64;

/// This device.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) id: DeviceId,
    pub(crate) name: String,
}

/// What calls are answered with.
pub(crate) struct Node {
    pub(crate) home: PathBuf,
    pub(crate) device: Own,
    pub(crate) keys: Kind,
    pub(crate) key_path: PathBuf,
    /// Whether the database is encrypted.
    pub(crate) encrypted: bool,
    pub(crate) started_ms: u64,
    pub(crate) store: StoreHandle,
    pub(crate) readers: Readers,
    pub(crate) sql: SqlThread,
    pub(crate) net: Net,
    pub(crate) links: Links,
    pub(crate) acceptor: Acceptor,
    pub(crate) recoverer: Recoverer,
    pub(crate) collector: Collector,
    pub(crate) invites: Invites,
    pub(crate) joiner: Joiner,
    /// Devices that others have linked lately.
    pub(crate) newcomers: watch::Receiver<Vec<Linked>>,
    pub(crate) facts: Facts,
    pub(crate) board: Board,
    /// Set to stop the node.
    pub(crate) stop: watch::Sender<bool>,
    /// One permit for each client.
    pub(crate) clients: Arc<Semaphore>,
    /// Documents of each space.
    pub(crate) counted: Mutex<Counted>,
}

pub(crate) type Counted = BTreeMap<SpaceId, Count>;

/// Documents of a space by collection, as they were counted.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    /// How often documents had changed by then.
    generation: u64,
    at_ms: u64,
    took_ms: u64,
    collections: Vec<(String, u64)>,
}

impl Node {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
