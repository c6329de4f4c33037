//! The node itself: versions, status, devices, peers, diagnosis.

use serde::{Deserialize, Serialize};

use crate::SpaceInfo;

/// `hello`: names the client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol version the client speaks.
    pub api: u32,
    /// The client's name and version, such as `stead-cli/0.1.0`.
    #[serde(default)]
    pub client: String,
}

/// The answer to [`Hello`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol version the node speaks.
    pub api: u32,
    /// The node's version.
    pub version: String,
}

/// `node.status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {}

/// `node.stop`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStop {}

/// `doctor.run`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DoctorRun {
    /// Also reads the whole store and checks every hash and signature.
    #[serde(default)]
    pub thorough: bool,
    /// First builds every document again from the logs: after an update that understands more, or
    /// when a document's row cannot be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebuild: bool,
}

/// `devices.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceList {}

/// An answer that says no more than that it was done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// What was done, in one plain sentence.
    #[serde(default)]
    pub message: String,
}

/// The answer to [`NodeStatus`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The protocol version the node speaks.
    pub api: u32,
    /// The node's version.
    pub version: String,
    /// The node's process id.
    pub pid: u32,
    /// How long it has been running, in milliseconds.
    pub uptime_ms: u64,
    /// Its data directory.
    pub home: String,
    /// This device.
    pub device: DeviceInfo,
    /// The person this device belongs to.
    pub identity: Identity,
    /// Where this device's private keys are.
    pub keys: KeyStorage,
    /// The spaces on this device.
    pub spaces: Vec<SpaceInfo>,
    /// Other devices' nodes.
    pub peers: Vec<PeerInfo>,
    /// Socket addresses this node can be reached at, as far as it knows.
    pub addresses: Vec<String>,
    /// Whether devices on the local network are found by mDNS.
    pub lan_discovery: bool,
    /// The relay in use, if any is configured.
    pub relay: Option<RelayInfo>,
    /// The store on disk.
    pub store: StoreInfo,
    /// Indexes that are being built.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexing: Vec<crate::IndexInfo>,
    /// What a person should know and can do something about.
    pub warnings: Vec<Warning>,
}

/// A device of the person's, or a member of a shared space.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is the device that answers.
    pub this: bool,
    /// When it was linked, in Unix milliseconds.
    pub linked_ms: Option<u64>,
    /// When this device last exchanged anything with it, in Unix milliseconds.
    pub seen_ms: Option<u64>,
}

/// The answer to [`DeviceList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Devices {
    /// This device first, then by name.
    pub devices: Vec<DeviceInfo>,
}

/// The person: the roster of devices of the home space.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The root public key that names the person, 64 hexadecimal digits; empty while it is not known yet.
    pub id: String,
    /// How many devices it has.
    pub devices: u32,
}

/// Where private keys are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyStorage {
    /// The kind of place.
    pub kind: KeyStorageKind,
    /// The same in one plain sentence.
    pub explanation: String,
}

/// The kinds of places private keys can be kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStorageKind {
    /// The operating system's keyring.
    Keyring,
    /// A file that a passphrase opens.
    PassphraseFile,
    /// A file that only its owner can read, with nothing else to protect it.
    OwnerFile,
}

/// Another device's node, as seen from here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How it is reached now.
    pub path: PathKind,
    /// Why it is reached that way, in one plain phrase.
    pub why: String,
    /// The remote address or relay in use.
    pub address: Option<String>,
    /// Round-trip time, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Its clock minus ours, in milliseconds.
    pub clock_difference_ms: Option<i64>,
    /// When anything was last exchanged with it, in Unix milliseconds.
    pub seen_ms: Option<u64>,
    /// Bytes sent to it since the node started.
    pub sent_bytes: u64,
    /// Bytes received from it since the node started.
    pub received_bytes: u64,
}

/// How a peer is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// Straight from device to device.
    Direct,
    /// Through a relay, which can read nothing.
    Relayed,
    /// Not at all now.
    #[default]
    Offline,
}

/// The relay that a node uses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RelayInfo {
    /// Its address.
    pub url: String,
    /// Whether the node is connected to it.
    pub connected: bool,
    /// What is the matter when it is not, in one plain phrase.
    pub why: String,
}

/// The store on disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StoreInfo {
    /// Size of all its files.
    pub bytes: u64,
    /// Free space beside it, where the system says.
    pub free_bytes: Option<u64>,
    /// Whether its files are encrypted.
    #[serde(default)]
    pub encrypted: bool,
    /// What protects it from somebody who takes the disk, in one plain sentence.
    #[serde(default)]
    pub protection: String,
}

/// Something a person should know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// What is the matter, in one plain sentence.
    pub message: String,
    /// What to do next; may be empty.
    #[serde(default)]
    pub hint: String,
}

/// The answer to [`DoctorRun`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What was looked at, in the order of importance.
    pub checks: Vec<Check>,
}

/// One thing the doctor looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at: `Store`, `Keys`, `Clock`, `Network` ...
    pub name: String,
    /// How it is.
    pub state: CheckState,
    /// The finding in one plain sentence.
    pub message: String,
    /// What to do next; empty when all is well.
    #[serde(default)]
    pub hint: String,
}

/// How a thing is that the doctor looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Works, and deserves a look.
    Warn,
    /// Broken.
    Fail,
}
