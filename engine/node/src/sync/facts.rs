//! What is known of other devices besides their data: when they were heard of, over which path,
//! how their clocks stand, how much is missing. For status and doctor; nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stead_base::{DeviceId, SpaceId};
use stead_net::{Connection, DialStatus};

/// Clocks that differ by more than this deserve a warning.
pub(crate) const CLOCK_DIFFERENCE_MAX_MS: i64 = 60_000;

/// What is missing on either side of a shared space, in entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lack {
    /// Here.
    pub(crate) here: u64,
    /// There.
    pub(crate) there: u64,
}

/// One device.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeerFacts {
    /// The connection in use.
    pub(crate) connection: Option<Connection>,
    /// What dialing it came to.
    pub(crate) dial: Option<DialStatus>,
    /// Its clock minus ours.
    pub(crate) clock_ahead_ms: Option<i64>,
    /// When anything was last heard, in Unix milliseconds.
    pub(crate) seen_ms: Option<u64>,
    /// Spaces shared with it now; None while frontiers are exchanged.
    pub(crate) shared: BTreeMap<SpaceId, Option<Lack>>,
    /// Bytes of earlier connections: sent, received.
    pub(crate) bytes_before: (u64, u64),
    /// Why it is not reached although it was before.
    pub(crate) last_end: Option<String>,
}

impl PeerFacts {
    /// It does not answer over what was its path: counts it as not connected.
    pub(crate) fn silent(&mut self, path: &str) {
        self.bytes_before = self.bytes();
        self.connection = None;
        self.shared.clear();
        self.last_end = Some(format!("no answer just now; it was {path}"));
    }

    /// Bytes sent and received since the node started.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let now = self.connection.as_ref().map_or((0, 0), Connection::bytes);
        (self.bytes_before.0 + now.0, self.bytes_before.1 + now.1)
    }
}

/// Facts of all devices.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    peers: Arc<Mutex<BTreeMap<DeviceId, PeerFacts>>>,
}

impl Facts {
    /// Changes what is known of one device.
    pub(crate) fn edit<T>(&self, device: DeviceId, f: impl FnOnce(&mut PeerFacts) -> T) -> T {
        f(self.lock().entry(device).or_default())
    }

    /// Everything known.
    pub(crate) fn all(&self) -> BTreeMap<DeviceId, PeerFacts> {
        self.lock().clone()
    }

    /// Forgets devices that are neither connected nor wanted.
    pub(crate) fn retain(&self, wanted: impl Fn(&DeviceId) -> bool) {
        self.lock()
            .retain(|device, facts| facts.connection.is_some() || wanted(device));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeviceId, PeerFacts>> {
        // Every critical section leaves the map whole.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
