//! The log as people read it: who changed what, when, and the proof of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{DeviceInfo, Path};

/// A hybrid time. Times are ordered by `ms`, then `counter`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time {
    /// Unix milliseconds.
    pub ms: u64,
    /// Tells apart what happened in one millisecond.
    pub counter: u16,
}

/// `log.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogList {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Only entries that touch this collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Only entries that touch this document; needs `collection`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Most entries in the answer; [`crate::PAGE_DEFAULT`] when absent, never more than [`crate::PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// [`LogPage::next`] of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Adds [`LogEntry::proof`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proof: bool,
}

/// The answer to [`LogList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogPage {
    /// Newest first.
    pub entries: Vec<LogEntry>,
    /// Present when there are more: the `before` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One transaction in one device's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The writer key, 64 hexadecimal digits.
    pub writer: String,
    /// Its position in that writer's log.
    pub index: u64,
    /// The device the writer belongs to.
    pub device: DeviceInfo,
    /// Its hybrid time.
    pub time: Time,
    /// What it is about.
    pub kind: LogKind,
    /// Size of the entry.
    pub bytes: u64,
    /// What it changes; a long entry is cut short.
    pub ops: Vec<LogOp>,
    /// How many operations it has in all.
    pub ops_total: u64,
    /// Parts of it that this device may not read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub closed: u64,
    /// When asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<LogProof>,
}

const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// It changes documents.
    #[default]
    Change,
    /// It changes who may read and write.
    Roster,
    /// It is stored and not applied: it comes from the future or from an unknown writer.
    HeldBack,
}

/// One operation of an entry, for people.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogOp {
    /// The collection's name; empty for roster operations.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub collection: String,
    /// The document's id; empty for roster operations.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The verb: `set`, `add`, `include`, `exclude`, `unset`, `delete`, `restore`, `genesis`, `claim`, `grant`, `epoch`.
    pub op: String,
    /// The field, where the node names it apart from the summary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Path,
    /// The value, delta or element, where the node names it apart from the summary; a large one is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The operation in one plain phrase, such as `set name = "Ada"` or `laptop let in as owner`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
}

/// The proof that an entry is in a log whose head its writer signed. All hashes are 64 hexadecimal digits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogProof {
    /// The entry's leaf hash.
    pub leaf: String,
    /// The sibling hashes from the leaf to the root.
    pub path: Vec<String>,
    /// How many entries the signed head covers.
    pub head_len: u64,
    /// The signed head's root hash.
    pub head_root: String,
    /// The writer's signature of the head, 128 hexadecimal digits.
    pub head_signature: String,
    /// The space's id, which the signature covers too.
    pub space: String,
    /// Whether the node checked all of this just now and found it right.
    pub verified: bool,
}

/// `doc.history`: who changed each field of a document, and when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocHistory {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// Only what changed this field, or what is below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Path,
    /// Most transactions in the answer; [`crate::PAGE_DEFAULT`] when absent, never more than [`crate::PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Passes over as many of the newest.
    #[serde(default)]
    pub skip: u32,
}

/// The answer to [`DocHistory`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocStory {
    /// The transactions that touched it, newest first.
    pub steps: Vec<DocStep>,
    /// How many there are in all.
    pub total: u64,
    /// Who set what is seen now: one line a field.
    pub fields: Vec<FieldOrigin>,
    /// Whether it is deleted now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// What one transaction did to a document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocStep {
    /// Its hybrid time.
    pub time: Time,
    /// The device that wrote it.
    pub device: DeviceInfo,
    /// The writer key, 64 hexadecimal digits.
    pub writer: String,
    /// Its position in that writer's log.
    pub index: u64,
    /// Nothing of it counts: its author had no right to make it, or has been removed since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub void: bool,
    /// Present when the document was deleted or brought back by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// What it changed in what is seen.
    pub changes: Vec<FieldDiff>,
    /// Its operations, each in one plain phrase.
    pub said: Vec<String>,
    /// It took values of the document out of everything that is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacts: bool,
}

/// How one field differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldDiff {
    /// The field.
    pub path: Path,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Who set a field to what it is now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldOrigin {
    /// The field.
    pub path: Path,
    /// What is there.
    pub value: Value,
    /// When it became so.
    pub time: Time,
    /// The device that made it so.
    pub device: DeviceInfo,
}

/// `doc.at`: a document as it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocAt {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// Behind all transactions up to this Unix time in milliseconds.
    pub at_ms: u64,
}

/// `doc.diff`: how a document differs between two times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocDiff {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// The earlier time, in Unix milliseconds.
    pub from_ms: u64,
    /// The later time; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
}

/// The answer to [`DocDiff`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocDiffs {
    /// The fields that differ.
    pub changes: Vec<FieldDiff>,
}

/// `doc.back`: makes a document what it was, by a new transaction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocBack {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// As it was behind all transactions up to this Unix time in milliseconds.
    pub at_ms: u64,
}

/// `doc.redact`: takes every value of a field, or of all fields of a document, out of documents, logs and
/// files, wherever it is heard of. It cannot be undone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocRedact {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// The field; all of the document when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Path,
}

/// The answer to [`DocRedact`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocRedacted {
    /// Log entries that carried a value.
    pub entries: u64,
    /// When, by the node's clock.
    pub time: Time,
    /// Whether a new checkpoint was made in the place of one that held a value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checkpoint: bool,
}
