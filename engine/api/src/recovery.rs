//! Coming back after all devices are lost: the recovery words on an empty device, and who holds what.
//!
//! Owns the shapes of these calls; nothing is executed here.

use serde::{Deserialize, Serialize};

use crate::Words;

/// `recover.begin`: on an empty device, or on one that began before. Goes on looking for devices that hold something
/// until [`RecoverFinish`] or [`RecoverGiveUp`], or until nobody has asked by [`RecoverLook`] for ten minutes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverBegin {
    /// The 24 recovery words; absent when guardians' shares have brought them back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
    /// Devices to ask besides those on the local network: `<id>@<address>` or `<id>@<relay URL>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// Whether to begin a new home space when no device is reached that holds the old one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
}

/// `recover.look`: how it stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverLook {
    /// How long to wait at most for something new.
    #[serde(default)]
    pub wait_ms: u64,
}

/// `recover.anew`: begins a new home space with what was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverAnew {}

/// `recover.finish`: removes lost devices with the root key, and forgets the root key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverFinish {
    /// Their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// `recover.give_up`: forgets the root key. What has arrived stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverGiveUp {}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoverPhase {
    /// Nobody was reached who holds anything of this person.
    #[default]
    Looking,
    /// Spaces were found, but not the home space: wait for a device of one's own, or begin anew.
    NoHome,
    /// This device is in; the data is on its way.
    Arriving,
    /// Everything that was found is here.
    Arrived,
}

/// The answer to [`RecoverBegin`], [`RecoverLook`] and [`RecoverAnew`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverState {
    /// The identity that the words stand for, 64 hexadecimal digits.
    pub identity: String,
    /// How far it is.
    pub phase: RecoverPhase,
    /// How often all devices that were found have been asked.
    pub rounds: u32,
    /// Devices that were asked in the last round.
    pub asked: u32,
    /// Devices that hold something of this person.
    pub holders: Vec<RecoverHolder>,
    /// The spaces that this device is in by now, or could be.
    pub spaces: Vec<RecoverSpace>,
    /// The person's other devices.
    pub devices: Vec<RecoverDevice>,
}

/// A device that holds something.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverHolder {
    /// 64 hexadecimal digits.
    pub id: String,
    /// What it calls itself.
    pub name: String,
}

/// A space that comes back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverSpace {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is all here, as far as the devices that are connected have it.
    pub complete: bool,
    /// Log entries that are still missing here, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
}

/// Another device of the person's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverDevice {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it answers now: then it is hardly lost.
    pub reached: bool,
}

/// The answer to [`RecoverFinish`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverDone {
    /// The names of the devices that were removed.
    pub removed: Vec<String>,
    /// The same in one plain sentence.
    pub message: String,
}
