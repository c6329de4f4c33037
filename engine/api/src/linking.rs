//! Linking devices. On the old device: making a one-time link or spoken words, seeing who comes, letting them in or not.
//! On the new device: using the link or the words, showing the code, waiting to be let in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{DeviceInfo, SpaceInfo};

/// `link.create`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkCreate {
    /// How long the link may be used; two minutes when absent, ten at most.
    #[serde(default)]
    pub valid_ms: Option<u64>,
    /// Whose share to release to the device that comes, instead of linking it: a contact, or the start of an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// The answer to [`LinkCreate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkCreated {
    /// Names the link towards this node; not secret.
    pub link_id: String,
    /// The link's text: [`crate::Link`]. Whoever has it can ask, once, to be let in.
    pub link: String,
    /// When it becomes worthless, in Unix milliseconds.
    pub expires_ms: u64,
}

/// `link.speak`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkSpeak {
    /// How long the words may be used; two minutes when absent, ten at most.
    #[serde(default)]
    pub valid_ms: Option<u64>,
    /// As in [`LinkCreate`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// The answer to [`LinkSpeak`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkSpoken {
    /// Names the words towards this node; not secret.
    pub link_id: String,
    /// Three words with a blank between each, good for one attempt.
    pub words: String,
    /// This device as the new one may name it where it does not find it by itself: `<id>@<address>` for each address.
    pub places: Vec<String>,
    /// When they become worthless, in Unix milliseconds.
    pub expires_ms: u64,
}

/// `link.wait`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkWait {
    /// From [`LinkCreated`] or [`LinkSpoken`].
    pub link_id: String,
    /// How long to wait at most; the answer is then what is so at that time.
    pub wait_ms: u64,
    /// Whether to wait also while a device asks to be let in.
    #[serde(default)]
    pub beyond_asking: bool,
}

/// The answer to [`LinkWait`] and [`LinkApprove`]: `{"outcome":"linked","device":{...}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum LinkOutcome {
    /// Nobody has come yet.
    Open,
    /// A device has come and waits for a person's yes.
    Asking {
        /// That device.
        newcomer: LinkNewcomer,
    },
    /// A device was linked.
    Linked {
        /// That device.
        device: DeviceInfo,
    },
    /// Nobody was let in, and the link or the words are worthless now.
    Refused {
        /// Why, in one plain sentence.
        message: String,
    },
    /// Nobody came in time.
    Expired,
    /// Cancelled.
    Cancelled,
}

/// A device that asks to be let in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkNewcomer {
    /// The link or the words it came with.
    pub link_id: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// What it calls itself. Anybody can call a device anything.
    pub name: String,
    /// Whether it is let in by typing the code that it shows; else by a plain yes.
    pub by_code: bool,
    /// Whose share it gets, instead of being linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// When it gives up, in Unix milliseconds.
    pub expires_ms: u64,
}

/// `link.pending`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkPending {}

/// The answer to [`LinkPending`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkAsking {
    /// Who asks to be let in; at most one at a time.
    pub newcomer: Option<LinkNewcomer>,
}

/// `link.approve`: answers when the device is let in. **A wrong code makes the link worthless.**
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkApprove {
    /// The code that the new device shows: six digits, blanks do not matter. Absent for one that came with spoken words.
    #[serde(default)]
    pub code: Option<String>,
}

/// `link.refuse`: sends away whoever asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkRefuse {}

/// `link.cancel`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkCancel {
    /// From [`LinkCreated`] or [`LinkSpoken`].
    pub link_id: String,
}

/// `link.accept`: on the new device. Answers as soon as the other device has heard it; [`LinkArrive`] says how it ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkAccept {
    /// The link's text.
    pub link: String,
    /// Spaces, by name, of which only a part is to be kept on this device, from the beginning; `*` stands
    /// for all that are not named. The home space is always kept whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keep: BTreeMap<String, crate::Keep>,
}

/// `link.hear`: on the new device, with words instead of a link.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkHear {
    /// The three words.
    pub words: String,
    /// The device that shows them, as `<id>@<address>`; looked for on the local network when absent.
    #[serde(default)]
    pub at: Option<String>,
    /// What is to be kept of which space, as in [`LinkAccept`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keep: BTreeMap<String, crate::Keep>,
}

/// The answer to [`LinkAccept`] and [`LinkHear`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkBegun {
    /// Names the attempt towards this node.
    pub attempt: String,
    /// What the person types on the other device; absent with spoken words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// `link.arrive`: waits to be let in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkArrive {
    /// From [`LinkBegun`].
    pub attempt: String,
    /// How long to wait at most; the answer is then [`LinkArrival::Waiting`].
    pub wait_ms: u64,
}

/// The answer to [`LinkArrive`]. Being refused is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "arrival", rename_all = "snake_case")]
pub enum LinkArrival {
    /// Nobody has said yes or no.
    Waiting,
    /// This device was let in.
    Linked(LinkAccepted),
}

/// `link.give_up`: ends an attempt of this device that nobody has answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkGiveUp {
    /// From [`LinkBegun`].
    pub attempt: String,
}

/// What a device knows that was let in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkAccepted {
    /// The device that let it in.
    pub device: DeviceInfo,
    /// The spaces this device now shares with it.
    pub spaces: Vec<SpaceInfo>,
}
