//! Spaces: making, listing and leaving them.

use serde::{Deserialize, Serialize};

use crate::DocQuery;

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

/// `space.checkpoint`: makes a checkpoint, from which newcomers start and below which history can
/// be dropped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceCheckpoint {
    /// Name, id, or the first digits of the id.
    pub space: String,
}

/// `space.checkpoints`: the checkpoints of a space on this device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceCheckpoints {
    /// Name, id, or the first digits of the id.
    pub space: String,
}

/// `space.compact`: drops the history below a checkpoint on this device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceCompact {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Only history below a checkpoint that is at least this old, in milliseconds.
    #[serde(default)]
    pub older_than_ms: u64,
    /// Also what some device that may write is not known to have.
    #[serde(default)]
    pub force: bool,
}

/// What of a space is kept on a device that does not keep all of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Keep {
    /// Whole collections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<String>,
    /// Documents, each as `collection/id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<String>,
    /// What these queries find, now and later. Of a query, its collection, filters, sort and limit count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<DocQuery>,
    /// Most bytes of documents that come because somebody looks at them; 50 MiB where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u64>,
}

/// `space.keep`: what of a space is kept on this device; with `keep` or `all`, from now on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceKeep {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Keep this part, in place of what was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// Keep all of it again.
    #[serde(default)]
    pub all: bool,
    /// Drops what is not kept even when no reachable device is known to have everything.
    #[serde(default)]
    pub lose_unsynced: bool,
}

/// The answer to [`SpaceKeep`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceKept {
    /// The space's name.
    pub space: String,
    /// Whether only a part is kept; the rest of this says which.
    pub partial: bool,
    /// What was chosen.
    pub keep: Keep,
    /// Documents here.
    pub documents: u64,
    /// Of these, the ones that came because somebody looked at them.
    pub on_demand: u64,
    /// Their bytes.
    pub on_demand_bytes: u64,
    /// Documents that were asked for and have not come.
    pub waiting: u64,
    /// Collections that have not all come.
    pub unfilled: Vec<String>,
    /// Log entries of others that are held.
    pub kept_entries: u64,
    /// Log entries that others wrote in all: how large the space is.
    pub log_entries: u64,
    /// Devices that share the space and give nothing to one that keeps a part: their Stead is too old.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cannot_give: Vec<String>,
}

/// `space.history`: for how long the history of a space is kept on this device; asks, and with `keep` says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceHistory {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// How long from now on, in milliseconds; 0: for ever. Absent: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_ms: Option<u64>,
}

/// The answer to [`SpaceHistory`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryKept {
    /// For how long it is kept, in milliseconds; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_ms: Option<u64>,
    /// From when on it is known here, in Unix milliseconds; from the beginning when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_from_ms: Option<u64>,
    /// What keeps history that is old enough from being dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_up: Option<String>,
}

/// A checkpoint of a space.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// The log that holds it: 64 hexadecimal digits.
    pub log: String,
    /// The name of the device that made it, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// When, by that device's clock: Unix time in milliseconds.
    pub made_ms: u64,
    /// Documents in it.
    pub documents: u64,
    /// Entries of its log.
    pub entries: u64,
    /// Deletions made before this Unix time in milliseconds are forgotten in it; 0 for none.
    pub horizon_ms: u64,
    /// Whether all of it is on this device.
    pub whole: bool,
    /// Whether whoever made it may.
    pub counts: bool,
    /// Whether it is dated ahead of this device's clock, and not used until then.
    #[serde(default)]
    pub held_back: bool,
    /// Whether this device's history begins with it.
    pub beginning: bool,
}

/// The answer to [`SpaceCheckpoints`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// The newest first.
    pub checkpoints: Vec<CheckpointInfo>,
}

/// The answer to [`SpaceCompact`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Compacted {
    /// Log entries that are no longer on this device.
    pub entries: u64,
    /// Older checkpoints that are no longer on this device.
    pub checkpoints: u64,
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
    /// Whether only a part of it is kept on this device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// From when on its history is known on this device, in Unix milliseconds; from the beginning when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_from_ms: Option<u64>,
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
