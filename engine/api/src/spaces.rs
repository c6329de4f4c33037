//! Spaces: making, listing and leaving them.

use serde::{Deserialize, Serialize};

/// `space.create`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceCreate {
    /// The name; no other space on this device may have it.
    pub name: String,
}

/// `space.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceList {
    /// Also counts documents of every collection.
    #[serde(default)]
    pub collections: bool,
}

/// `space.leave`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceLeave {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Leaves even when changes made here have reached no other device yet.
    #[serde(default)]
    pub lose_unsynced: bool,
}

/// The answer to [`SpaceList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spaces {
    /// The home space first, then by name.
    pub spaces: Vec<SpaceInfo>,
}

/// A space as it is on this device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceInfo {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is the person's home space, which holds devices and spaces.
    pub home: bool,
    /// Living documents in all collections.
    pub documents: u64,
    /// Log entries of all writers stored here.
    pub entries: u64,
    /// Devices that keep this space.
    pub devices: u32,
    /// Its collections by name; empty unless asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<CollectionInfo>,
    /// How far it is in step with other devices.
    pub sync: SyncState,
}

/// A collection of a space.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CollectionInfo {
    /// Its name.
    pub name: String,
    /// Living documents in it.
    pub documents: u64,
}

/// How far a space is in step with the other devices that keep it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncState {
    /// The phase, for programs.
    pub phase: SyncPhase,
    /// The same as one plain phrase with counts, such as `in step with laptop`.
    pub detail: String,
    /// Entries known to exist elsewhere that are not here yet.
    pub missing: u64,
    /// Entries here that are applied later, because they come from the future or from an unknown writer.
    pub held_back: u64,
}

/// Phases of being in step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncPhase {
    /// No other device keeps this space.
    #[default]
    Alone,
    /// No other device that keeps it is reachable.
    Waiting,
    /// Changes are on their way.
    Syncing,
    /// Equal with every reachable device.
    InStep,
}
