//! An ordered map and append-only feeds: the calls. A map and a feed are collections of their own; both merge and sync
//! as documents do.
//!
//! Owns the shapes of these calls; nothing is executed here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{DeviceInfo, Time};

/// A value: JSON, or bytes in hexadecimal. Exactly one of both is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FaceValue {
    /// Any JSON; null is a value too.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "some_json")]
    pub json: Option<Value>,
    /// Bytes, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
}

/// A field that is there and null is something else than a field that is not there.
mod some_json {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Value>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Value>, D::Error> {
        Value::deserialize(from).map(Some)
    }
}

/// A key with its value; without one, the key is deleted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvEntry {
    /// 1 to 63 bytes of text without control characters; dots and slashes count twice.
    pub key: String,
    /// What is under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<FaceValue>,
}

/// `kv.put`: sets and deletes keys as one transaction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvPut {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The map's collection.
    pub collection: String,
    /// At most [`EDITS_MAX`](crate::EDITS_MAX).
    pub entries: Vec<KvEntry>,
}

/// The answer to [`KvPut`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvWritten {
    /// The hybrid time of the transaction: what [`KvDiff`] takes.
    pub time: Time,
    /// Whether anything differed from what was there.
    pub changed: bool,
}

/// `kv.get`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvGet {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The map's collection.
    pub collection: String,
    /// The key.
    pub key: String,
}

/// `kv.range`: keys in the order of their text (by code point).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvRange {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The map's collection.
    pub collection: String,
    /// Only keys greater than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gt: Option<String>,
    /// Only keys from this one on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gte: Option<String>,
    /// Only keys less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lt: Option<String>,
    /// Only keys up to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lte: Option<String>,
    /// Only keys that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// From the last key down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reverse: bool,
    /// Most keys to return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Continue behind this key: [`KvPage::next`] of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The answer to [`KvGet`] (one entry or none) and [`KvRange`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvPage {
    /// In the order asked for.
    pub entries: Vec<KvEntry>,
    /// The last key of this page, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `kv.history`: what happened to a map or to one key, latest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvHistory {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The map's collection.
    pub collection: String,
    /// Only this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Most transactions to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// [`KvChanges::next`] of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// One change of a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvChange {
    /// The key.
    pub key: String,
    /// The value it got; none if it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<FaceValue>,
    /// When.
    pub time: Time,
    /// By whom.
    pub device: DeviceInfo,
    /// Whose log, 64 hexadecimal digits.
    pub writer: String,
    /// Place in that log: what `log.list` proves.
    pub index: u64,
}

/// The answer to [`KvHistory`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvChanges {
    /// Latest first.
    pub changes: Vec<KvChange>,
    /// Where the next page begins, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `kv.diff`: how a map differs between two times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvDiff {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The map's collection.
    pub collection: String,
    /// Everything up to this time, ms since 1970.
    pub from_ms: u64,
    /// The counter of that hybrid time; all of that millisecond if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_counter: Option<u16>,
    /// Against everything up to this time; now if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
    /// The counter of that hybrid time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_counter: Option<u16>,
}

/// The answer to [`KvDiff`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvDifferences {
    /// By key.
    pub differences: Vec<KvDifference>,
}

/// How one key differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KvDifference {
    /// The key.
    pub key: String,
    /// Its value at the first time, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<FaceValue>,
    /// Its value at the second, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FaceValue>,
}

/// `feed.append`: appends values, all of them in one transaction, to this device's part of a feed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedAppend {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The feed's collection.
    pub feed: String,
    /// At most 1,000.
    pub values: Vec<FaceValue>,
}

/// The answer to [`FeedAppend`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedAppended {
    /// This device's log, 64 hexadecimal digits.
    pub writer: String,
    /// The number of the first value.
    pub first: u64,
    /// How many there are now.
    pub length: u64,
}

/// `feed.parts`: whose values a feed has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedParts {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The feed's collection.
    pub feed: String,
}

/// The answer to [`FeedParts`] and [`FeedVerify`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedShown {
    /// One for each log.
    pub parts: Vec<FeedPart>,
}

/// The values that one log appended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedPart {
    /// The log, 64 hexadecimal digits.
    pub writer: String,
    /// Its device.
    pub device: DeviceInfo,
    /// How many values: they are numbered from 0.
    pub length: u64,
    /// Of [`FeedVerify`]: how it holds together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<FeedCheck>,
}

/// How a part of a feed holds together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedCheck {
    /// Values that stand, as they are shown, in the log that their writer signed.
    pub proven: u64,
    /// Numbers whose value was deleted or is not here.
    pub missing: Vec<u64>,
    /// Numbers whose value was changed after it was appended, or cannot be proven.
    pub wrong: Vec<u64>,
}

/// `feed.get`: one value, checked against the log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedGet {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The feed's collection.
    pub feed: String,
    /// Whose: a device's name, or the start of a log's or device's id; this device if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Its number.
    pub index: u64,
}

/// `feed.read`: values of one log from a number on, or the latest of all logs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedRead {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The feed's collection.
    pub feed: String,
    /// Whose, as in [`FeedGet`]; all logs by time if not said, and then the last ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The first number; from the last ones back if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Most values to return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer to [`FeedRead`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedPage {
    /// In their order; of several logs by time.
    pub items: Vec<FeedItem>,
}

/// One value of a feed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedItem {
    /// The log, 64 hexadecimal digits.
    pub writer: String,
    /// Its device's name, when known.
    pub device: String,
    /// Its number in that log's part of the feed.
    pub index: u64,
    /// What was appended.
    pub value: FaceValue,
    /// When, by its writer's clock, Unix time in ms.
    pub time_ms: u64,
    /// The entry of the log that holds it: what `log.list` proves.
    pub entry: u64,
    /// Of [`FeedGet`]: whether the log that its writer signed says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<bool>,
    /// Of [`FeedGet`]: the length of the log whose head proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
}

/// `feed.verify`: checks every value against the logs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedVerify {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The feed's collection.
    pub feed: String,
    /// Whose, as in [`FeedGet`]; all if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

impl FaceValue {
    /// The value that a document of a map or feed shows, for whoever watches its collection. None if it
    /// shows none.
    pub fn of_document(document: &Value) -> Option<Self> {
        let kept = document.get("v")?;
        let json = |value: Value| Self {
            json: Some(value),
            bytes: None,
        };
        let Some(rest) = kept.as_str().and_then(|text| text.strip_prefix('=')) else {
            return Some(json(kept.clone()));
        };
        if rest.starts_with('=') {
            return Some(json(rest.into()));
        }
        if let Some(text) = rest.strip_prefix('j') {
            return Some(json(
                serde_json::from_str(text).unwrap_or_else(|_| kept.clone()),
            ));
        }
        let digits = rest.strip_prefix('x');
        let digits = digits.filter(|it| {
            it.len().is_multiple_of(2) && it.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        Some(match digits {
            Some(digits) => Self {
                json: None,
                bytes: Some(digits.to_owned()),
            },
            None => json(kept.clone()),
        })
    }
}

/// The key of a map that a document is, from its id.
pub fn kv_key(id: &str) -> Option<String> {
    let mut key = String::new();
    let mut letters = id.strip_prefix(':')?.chars();
    while let Some(letter) = letters.next() {
        key.push(match letter {
            '.' => match letters.next()? {
                '.' => '.',
                '~' => '/',
                _ => return None,
            },
            // A key's slash is written `.~`: an id with one is no key's.
            '/' => return None,
            letter => letter,
        });
    }
    Some(key)
}

/// The start of the log, and the number, of the value of a feed that a document is, from its id.
pub fn feed_place(id: &str) -> Option<(&str, u64)> {
    let (writer, index) = id.split_once('-')?;
    let is_place = writer.len() == 32 && index.len() == 12;
    is_place.then(|| Some((writer, index.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_is_a_value_and_no_value_is_none() {
        let null: FaceValue = serde_json::from_str(r#"{"json":null}"#).unwrap();
        assert_eq!(null.json, Some(Value::Null));
        assert_eq!(serde_json::to_string(&null).unwrap(), r#"{"json":null}"#);
        let none: FaceValue = serde_json::from_str("{}").unwrap();
        assert_eq!(none.json, None);
        assert_eq!(serde_json::to_string(&none).unwrap(), "{}");
    }

    #[test]
    fn a_document_of_a_map_or_feed_shows_its_key_place_and_value() {
        assert_eq!(kv_key(":a.~b..c").as_deref(), Some("a/b.c"));
        assert_eq!((kv_key("a"), kv_key(":a.b")), (None, None));
        let id = format!("{}-000000000042", "ab".repeat(16));
        assert_eq!(feed_place(&id), Some((&*"ab".repeat(16), 42)));
        assert_eq!(feed_place("ab-1"), None);
        let value = |kept: Value| FaceValue::of_document(&json!({ "v": kept })).unwrap();
        assert_eq!(value(json!("=j[1]")).json, Some(json!([1])));
        assert_eq!(value(json!("==x")).json, Some(json!("=x")));
        assert_eq!(value(json!("=x0aff")).bytes.as_deref(), Some("0aff"));
        assert_eq!(value(json!(7)).json, Some(json!(7)));
        assert_eq!(value(json!("=?")).json, Some(json!("=?")));
    }
}
