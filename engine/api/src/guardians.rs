//! Social recovery: setting guardians, holding shares for others, releasing one, and collecting them.
//!
//! Owns the shapes of these calls; nothing is executed here. A share is released by `link.create` or `link.speak`
//! with `help`, and approved as a link is.

use serde::{Deserialize, Serialize};

use crate::Words;

/// `guardians.show`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardianShow {}

/// `guardians.set`: shares the recovery secret out anew. With no names it takes all shares back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardianSet {
    /// How many guardians bring the words back.
    pub threshold: u32,
    /// Contacts, by name or the start of their identity.
    pub names: Vec<String>,
    /// The 24 recovery words; needed when this device has forgotten them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
}

/// The answer to [`GuardianShow`] and [`GuardianSet`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardiansShown {
    /// How many of them bring the words back.
    pub threshold: u32,
    /// When the shares were made, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_ms: Option<u64>,
    /// The guardians.
    pub guardians: Vec<GuardianShown>,
    /// Whether this device still has the words, so that setting guardians does not ask for them.
    pub words_here: bool,
}

/// A guardian.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardianShown {
    /// What this person calls them.
    pub name: String,
    /// Their identity, 64 hexadecimal digits.
    pub identity: String,
    /// Whether safety words were compared with them.
    pub verified: bool,
    /// When one of their devices said that it keeps the share, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_ms: Option<u64>,
    /// When they last released it, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_ms: Option<u64>,
}

/// `guardians.held`: for whom this person holds a share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardianHeld {}

/// The answer to [`GuardianHeld`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldShares {
    /// By name.
    pub shares: Vec<HeldShare>,
}

/// A share held for somebody. The share itself is never shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldShare {
    /// What this person calls the owner; the start of the identity for one without a name.
    pub name: String,
    /// The owner's identity, 64 hexadecimal digits.
    pub identity: String,
    /// How many shares bring the owner's words back.
    pub threshold: u32,
    /// How many shares there are.
    pub count: u32,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
}

/// `guardians.plan_help`: what releasing a share would do. Changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardianPlanHelp {
    /// The owner, by name or the start of the identity.
    pub person: String,
}

/// The answer to [`GuardianPlanHelp`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HelpPlan {
    /// The share.
    pub share: HeldShare,
    /// What will happen, in one plain sentence.
    pub sentence: String,
}

/// `recover.share`: on the empty device, takes a guardian's share, with the text or the words that the guardian's device
/// shows. Answers as soon as the guardian has heard it; [`RecoverShares`] says how it ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverShare {
    /// The text, from `stead-help:` to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The three words, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// The device that shows the words, as `<id>@<address>`; looked for on the local network when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// `recover.shares`: which shares are here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoverShares {
    /// How long to wait at most while a guardian thinks.
    #[serde(default)]
    pub wait_ms: u64,
}

/// The answer to [`RecoverShares`]. That a guardian refused, or a wrong code, is an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SharesHere {
    /// Whether a guardian has heard and not answered yet.
    pub waiting: bool,
    /// The identity that most shares are of, 64 hexadecimal digits; empty without shares.
    pub identity: String,
    /// How many bring the words back; 0 while that is not known.
    pub need: u32,
    /// How many good ones are here.
    pub have: u32,
    /// The shares, in the order in which they came.
    pub shares: Vec<ShareHere>,
    /// Whether the words are back: go on with `recover.begin` without words.
    pub ready: bool,
}

/// A share that came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShareHere {
    /// What the guardian's device calls itself.
    pub guardian: String,
    /// The guardian's identity, 64 hexadecimal digits.
    pub identity: String,
    /// What is wrong with it, in one plain sentence; it is left out then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}
