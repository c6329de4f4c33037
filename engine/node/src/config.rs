//! What a node is started with. Everything comes from the caller: nothing here reads the
//! environment, the home directory or the terminal.

use std::net::SocketAddr;
use std::path::PathBuf;

use stead_keys::Policy;
use stead_net::{Bind, Lan, RelayUrl};

/// What the database shall be when nobody has it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AtRest {
    /// As the file that is there; a new one is plain.
    #[default]
    AsItIs,
    /// A plain file.
    Plain,
    /// Encrypted with a key that is derived from the device's seed.
    Encrypted,
}

/// How to start a node. [`NodeConfig::new`] gives the settings of an ordinary device.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The data directory; made when it is not there, and locked while the node runs.
    pub home: PathBuf,
    /// The device's name, as its person and other devices see it.
    pub device_name: String,
    /// Where to listen for other devices. [`Bind::Any`] keeps the port of the last start if it can.
    pub bind: Bind,
    /// Addresses at which the outside reaches this device, such as a forwarded port.
    pub external: Vec<SocketAddr>,
    /// Relays of this device. Those of the person's other devices are used as well.
    pub relays: Vec<RelayUrl>,
    /// Where devices are looked for on the local network.
    pub lan: Lan,
    /// Whether direct paths are used at all; without them everything goes through relays.
    pub direct: bool,
    /// How the device's seed is found, or kept when it is made.
    pub keys: Policy,
    /// What the database shall be at rest.
    pub at_rest: AtRest,
    /// Whether the API is also served on a WebSocket of this machine.
    pub websocket: bool,
}

impl NodeConfig {
    /// The settings of an ordinary device. The key goes into a file that only its owner can read
    /// until [`NodeConfig::keys`] says otherwise.
    pub fn new(home: impl Into<PathBuf>, device_name: impl Into<String>) -> Self {
        Self {
            home: home.into(),
            device_name: device_name.into(),
            bind: Bind::Any,
            external: Vec::new(),
            relays: Vec::new(),
            lan: Lan::All,
            direct: true,
            keys: Policy::owner_only_file(),
            at_rest: AtRest::AsItIs,
            websocket: true,
        }
    }
}
