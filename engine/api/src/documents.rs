//! Documents: edits, reading, queries, live queries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::rich::{ListEdit, TextEdit, TextUnit, TreeEdit};
use crate::{GroupBy, GroupRow, Join, Joined, QueryPlan, Time, Where};

/// The names that lead from a document's root to a field; empty for the root itself.
pub type Path = Vec<String>;

/// `doc.put`: edits to any number of documents of one space, applied as one atomic transaction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocPut {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Applied in this order; at most [`crate::EDITS_MAX`].
    pub edits: Vec<Edit>,
    /// A call repeated with the same key in the same space is answered with the first one's commit and changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The revision of its schema that the client speaks, a collection: its number, or the first digits of its id. The newest
    /// where none is named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revisions: BTreeMap<String, String>,
}

/// One edit of one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// The collection's name.
    pub collection: String,
    /// The document's id; the node makes one when absent.
    #[serde(default)]
    pub id: Option<String>,
    /// What to do.
    pub op: Op,
}

/// What an edit does: `{"set":{"path":["a","b"],"value":1}}`, `"delete"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Merges a JSON object into the document: objects recurse, everything else is assigned, and only what differs
    /// from the present value is written.
    Put {
        /// A JSON object.
        value: Value,
        /// Also deletes the fields that the value does not name.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replace: bool,
    },
    /// Assigns a value to one field.
    Set {
        /// The field.
        path: Path,
        /// Any JSON value; an array is assigned as a whole.
        value: Value,
    },
    /// Adds to a counter; additions made apart add up.
    Add {
        /// The field.
        path: Path,
        /// May be negative.
        delta: i64,
    },
    /// Puts an element into a set.
    Include {
        /// The field.
        path: Path,
        /// A JSON scalar.
        elem: Value,
    },
    /// Takes an element out of a set; an addition made apart wins.
    Exclude {
        /// The field.
        path: Path,
        /// A JSON scalar.
        elem: Value,
    },
    /// Deletes one field with all below it.
    Unset {
        /// The field.
        path: Path,
    },
    /// Edits a text in parts; one begins where nothing is, or on an assigned text.
    Text {
        /// The field.
        path: Path,
        /// What to do.
        edit: TextEdit,
        /// How positions count.
        #[serde(default, skip_serializing_if = "TextUnit::is_scalar")]
        unit: TextUnit,
    },
    /// Edits a list in parts; one begins where nothing is, or on an assigned list.
    List {
        /// The field.
        path: Path,
        /// What to do.
        edit: ListEdit,
    },
    /// Edits a tree; one begins where nothing is.
    Tree {
        /// The field.
        path: Path,
        /// What to do.
        edit: TreeEdit,
    },
    /// Deletes the document; it can be restored.
    Delete,
    /// Deletes the document, and what it holds for ever, on every device.
    Purge,
    /// Brings the document back.
    Restore,
}

/// `doc.delete`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocDelete {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// Whether what it holds goes for ever, on every device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
}

/// `doc.restore`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocRestore {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The document's id.
    pub id: String,
}

/// A transaction that is durable on this device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The documents' ids, one for every edit in its order.
    pub ids: Vec<String>,
    /// Whether each edit changed anything, in the same order; empty if the node does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<bool>,
    /// The transaction's hybrid time.
    pub time: Time,
    /// Its position in this device's log of the space; absent when nothing had to be written.
    pub entry: Option<u64>,
    /// Whether this answers an earlier call with the same idempotency key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// Ids of the nodes of trees that were made, in the order of the edits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

impl Commit {
    /// Whether an edit changed anything, by its place among the edits; whether any did, if the node does not tell
    /// of each.
    pub fn has_changed(&self, edit: usize) -> bool {
        let any = self.entry.is_some();
        self.changed.get(edit).copied().unwrap_or(any)
    }
}

/// `doc.get`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocGet {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// Also answers a deleted document.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The revision of the collection's schema that the client speaks: its number, or the first digits of its id; `none` shows
    /// documents as they are held. The newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// The answer to [`DocGet`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocGot {
    /// The document.
    pub doc: Document,
    /// Where it breaks the rules of its schema, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// A document as it can be seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// Its visible fields, a JSON object.
    pub value: Value,
    /// Whether it is deleted; such a document is only shown on request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// For a search: a piece of the text where the words stand, each between U+0002 and U+0003.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
}

/// `doc.query`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocQuery {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// All of these must hold.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Where>,
    /// The texts must contain these words: `sea wind`, `"dead sea"`, `beginn*`, `-without`. Needs a text index.
    /// Without an order the best fit comes first; pages of that order may shift when texts change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Also answers the documents that these fields refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<Join>,
    /// Answers groups instead of documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupBy>,
    /// As documents were behind all transactions up to this Unix time in milliseconds. Reads the logs; not with
    /// `search`, `join`, `group`, references or deleted documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// Answers how the query would be answered, and no documents.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explain: bool,
    /// The order; by id when empty, and among equals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<SortKey>,
    /// Most documents in the answer; [`crate::PAGE_DEFAULT`] when absent, never more than [`crate::PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// [`Page::next`] of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Also counts all that fit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub count: bool,
    /// Answers deleted documents instead of living ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The revision of the collection's schema that the client speaks, as in [`DocGet`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// A condition on one field. A document without the field fits only [`Predicate::Ne`] and [`Predicate::Missing`].
/// A name of digits is an element's place where there is a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// The field; `["id"]` is also how the document's id is named, unless the document has a field `id`.
    pub path: Path,
    /// How it is compared.
    pub is: Predicate,
    /// With what; ignored by [`Predicate::Exists`] and [`Predicate::Missing`].
    #[serde(default)]
    pub value: Value,
}

/// Comparisons. Numbers compare with numbers and texts with texts (by code points); other pairs never fit an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// Equal.
    Eq,
    /// Not equal, or missing.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Equal to one element of the value, a list.
    In,
    /// Not less than the first and not greater than the second element of the value, a list.
    Between,
    /// A text that starts with the value.
    Prefix,
    /// A text that contains the value (ASCII letters fit in either case), or an array that has it as an element.
    Contains,
    /// The field is there.
    Exists,
    /// The field is not there.
    Missing,
}

/// One key of an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SortKey {
    /// The field.
    pub path: Path,
    /// Greatest first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub descending: bool,
}

/// The answer to [`DocQuery`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The documents, in order.
    pub docs: Vec<Document>,
    /// Present when there are more: the `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How many fit in all, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The groups, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupRow>>,
    /// The documents that those above refer to, when asked for.
    #[serde(default, skip_serializing_if = "Joined::is_empty")]
    pub joined: Joined,
    /// How the query would be answered, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<QueryPlan>,
    /// Whether the collection is not all on this device, so that more may fit elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// `doc.watch`: first every document that fits comes as `added`, then `ready`, then what changes. After `ready` each
/// event leads from one consistent state to the next: a transaction is in it whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocWatch {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// Only this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// All of these must hold.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Where>,
    /// The order, for a window: with `limit`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<SortKey>,
    /// Follows only the first documents of the order; at most [`crate::WINDOW_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Leaves out what is there already: only changes from now on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changes_only: bool,
    /// The revision of the collection's schema that the client speaks, as in [`DocGet`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// The answer to [`DocWatch`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watching {
    /// Names the stream on this connection.
    pub watch: u64,
    /// Whether the collection is not all on this device, so that more may fit elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// `doc.unwatch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocUnwatch {
    /// From [`Watching`].
    pub watch: u64,
}

/// A difference in what a watch sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What happened to it.
    pub kind: ChangeKind,
    /// The document's id.
    pub id: String,
    /// Its new value; absent when removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// In a window: its place once the whole event is taken in. Take out what is removed and changed, then put in what
    /// is added and changed, in the order of places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u32>,
}

/// What happened to a document, as a watch sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It fits now and did not before.
    Added,
    /// It fits as before, with another value.
    Changed,
    /// It fits no longer, or was deleted.
    Removed,
}
