//! What a device's network is started with.

use std::net::{Ipv4Addr, SocketAddr};

use iroh::RelayUrl;
use zeroize::Zeroizing;

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// All interfaces, IPv4 and IPv6, on a port the system chooses.
    Any,
    /// All interfaces on this port, or on any other when it is taken. A port that stays the same
    /// across restarts keeps the addresses that other devices remember useful.
    Prefer(u16),
    /// All interfaces on this port, or an error.
    Port(u16),
    /// Exactly this address, or an error.
    Addr(SocketAddr),
}

/// Where to look for other devices by mDNS, and to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lan {
    /// Nowhere.
    Off,
    /// On every local network this machine is attached to.
    All,
    /// Only on the interfaces that hold these addresses.
    Only(Vec<Ipv4Addr>),
}

/// How to start a device's network. [`NetConfig::new`] gives the settings of an ordinary device.
pub struct NetConfig {
    pub(crate) secret_seed: Zeroizing<[u8; 32]>,
    /// Where to listen.
    pub bind: Bind,
    /// Relays to be reachable through. A token goes into the query: `http://host:port/?token=..`.
    pub relays: Vec<RelayUrl>,
    /// Addresses at which the outside reaches this device, such as a forwarded port.
    pub external: Vec<SocketAddr>,
    /// Discovery on the local network.
    pub lan: Lan,
    /// Whether direct paths are used at all; without them everything goes through relays.
    pub direct: bool,
    /// The protocols to accept; the first that the dialing side also offers is used.
    pub alpns: Vec<Vec<u8>>,
}

impl NetConfig {
    /// The settings of an ordinary device: any port, LAN discovery, direct paths, no relay.
    /// `secret_seed` is the seed of the device's Ed25519 key.
    pub fn new(secret_seed: [u8; 32]) -> Self {
        Self {
            secret_seed: Zeroizing::new(secret_seed),
            bind: Bind::Any,
            relays: Vec::new(),
            external: Vec::new(),
            lan: Lan::All,
            direct: true,
            alpns: Vec::new(),
        }
    }
}
