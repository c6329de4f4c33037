//! Linking devices: making a one-time link, waiting for it to be used, using one.

use serde::{Deserialize, Serialize};

use crate::{DeviceInfo, SpaceInfo};

/// `link.create`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkCreate {
    /// How long the link may be used; ten minutes when absent.
    #[serde(default)]
    pub valid_ms: Option<u64>,
}

/// The answer to [`LinkCreate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkCreated {
    /// Names the link towards this node; not secret.
    pub link_id: String,
    /// The link's text: [`crate::Link`]. Whoever has it can link one device.
    pub link: String,
    /// When it becomes worthless, in Unix milliseconds.
    pub expires_ms: u64,
}

/// `link.wait`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkWait {
    /// From [`LinkCreated`].
    pub link_id: String,
    /// How long to wait at most; the answer is then [`LinkOutcome::Open`].
    pub wait_ms: u64,
}

/// The answer to [`LinkWait`]: `{"outcome":"linked","device":{...}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum LinkOutcome {
    /// Not used yet.
    Open,
    /// A device was linked.
    Linked {
        /// That device.
        device: DeviceInfo,
    },
    /// A device came with a wrong secret; the link is burnt.
    Refused {
        /// Why, in one plain sentence.
        message: String,
    },
    /// Nobody used it in time.
    Expired,
    /// Cancelled.
    Cancelled,
}

/// `link.cancel`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkCancel {
    /// From [`LinkCreated`].
    pub link_id: String,
}

/// `link.accept`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkAccept {
    /// The link's text.
    pub link: String,
}

/// The answer to [`LinkAccept`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkAccepted {
    /// The device that made the link.
    pub device: DeviceInfo,
    /// The spaces this device now shares with it.
    pub spaces: Vec<SpaceInfo>,
}
