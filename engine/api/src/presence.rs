//! Who is where right now: what an app says of itself, and what it hears of others. Nothing of it is
//! stored; it ends with the connection that said it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::documents::Path;
use crate::rich::TextUnit;

/// `presence.set`: an app on this connection is somewhere. Said again for the same place and app it
/// replaces what was said before; it ends with `presence.clear` or the connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PresenceSet {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// What it is about: `/` for the space, `collection`, or `collection/id`; neither needs to be there. Only
    /// those hear of it who may read that.
    #[serde(default)]
    pub on: String,
    /// What the app calls itself; at most 64 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// Anything; at most 2048 bytes of JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    /// Places in texts and lists of the document; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cursors: Vec<CursorAt>,
    /// How positions count.
    #[serde(default, skip_serializing_if = "TextUnit::is_scalar")]
    pub unit: TextUnit,
}

/// A place or a selection. It is anchored where it is: what others write before it moves it along.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorAt {
    /// The field.
    pub field: Path,
    /// The position; where a selection began.
    pub anchor: usize,
    /// Where the selection is now; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<usize>,
}

/// The answer to [`PresenceSet`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceIs {
    /// By which name others, and this app itself, see it.
    pub key: String,
}

/// `presence.clear`: an app on this connection left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceClear {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// As it was said.
    #[serde(default)]
    pub on: String,
    /// As it was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app: String,
}

/// `presence.list`: who is in a space right now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceList {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Only what is about this, or about something inside of it.
    #[serde(default)]
    pub on: String,
    /// How positions count.
    #[serde(default, skip_serializing_if = "TextUnit::is_scalar")]
    pub unit: TextUnit,
}

/// The answer to [`PresenceList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PresenceHere {
    /// Everyone, this device's own apps included.
    pub here: Vec<Present>,
}

/// `presence.watch`: as [`PresenceList`], and then each change as `presence.event`, until `doc.unwatch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceWatch {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Only what is about this, or about something inside of it.
    #[serde(default)]
    pub on: String,
    /// How positions count.
    #[serde(default, skip_serializing_if = "TextUnit::is_scalar")]
    pub unit: TextUnit,
}

/// An app that is somewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Present {
    /// Names it as long as it is there.
    pub key: String,
    /// The device's id.
    pub device: String,
    /// The device's name.
    pub device_name: String,
    /// The person whose device it is: `you`, a contact's name, or the start of their identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Whether it is an app of this very device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// What it is about: a path.
    pub on: String,
    /// What the app calls itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// What it says.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    /// Where its cursors are in what is here now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cursors: Vec<CursorSeen>,
}

/// A place or a selection of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorSeen {
    /// The field.
    pub field: Path,
    /// The position; where a selection began. Absent while what it stands at has not arrived.
    pub anchor: Option<usize>,
    /// Where the selection is now; the same as the anchor without one.
    pub head: Option<usize>,
}

/// `presence.event`: what changed about who is where.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PresenceEvent {
    /// From [`crate::Watching`].
    pub watch: u64,
    /// Who came, or moved, or says something else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub here: Vec<Present>,
    /// Keys of those who are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// Set once, with all who were there at the start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ready: bool,
}
