//! The parts of a query beyond one list of conditions: nested conditions, references, groups, plans.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Filter, Path};

/// Stands before a word that was searched, in [`crate::Document::snippet`].
pub const HIT_START: char = '\u{2}';
/// Stands behind a word that was searched, in [`crate::Document::snippet`].
pub const HIT_END: char = '\u{3}';

/// What a document must satisfy: `{"path":["a"],"is":"eq","value":1}`, `{"any":[...]}`,
/// `{"all":[...]}`, `{"not":...}`, `{"refers":["author"],"to":"people","where":[...]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Where {
    /// One condition on one field.
    Is(Filter),
    /// All of them hold.
    All {
        /// The conditions.
        all: Vec<Where>,
    },
    /// One of them holds.
    Any {
        /// The conditions.
        any: Vec<Where>,
    },
    /// It does not hold.
    Not {
        /// The condition.
        not: Box<Where>,
    },
    /// The field names another document, by its id or as `collection/id`, that is there and
    /// satisfies the conditions. A list of names: one of them does.
    Refers {
        /// The field.
        refers: Path,
        /// The other document's collection, of the same space.
        to: String,
        /// All of these must hold for the other document.
        #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
        filters: Vec<Where>,
    },
}

impl From<Filter> for Where {
    fn from(filter: Filter) -> Self {
        Self::Is(filter)
    }
}

/// Brings the documents that a field refers to along with those found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// The field that names the other document, by its id or as `collection/id`, or a list of such.
    pub path: Path,
    /// The other document's collection, of the same space.
    pub collection: String,
}

/// Documents that others refer to, by `collection/id`.
pub type Joined = BTreeMap<String, Value>;

/// Counts and measures in place of documents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupBy {
    /// The fields whose values make the groups; empty for one group of all.
    #[serde(default)]
    pub by: Vec<Path>,
    /// What to find out of each group, beside how many documents are in it.
    #[serde(default)]
    pub measures: Vec<Measure>,
}

/// One thing to find out of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// How.
    pub of: Aggregate,
    /// The field.
    pub path: Path,
}

/// How values become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// How many documents have the field.
    Count,
    /// The sum of the numbers.
    Sum,
    /// The mean of the numbers.
    Avg,
    /// The least number, or text.
    Min,
    /// The greatest number, or text.
    Max,
}

/// One group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupRow {
    /// The values that make it.
    pub by: Vec<Value>,
    /// How many documents are in it.
    pub count: u64,
    /// The measures, in their order.
    pub measures: Vec<Value>,
}

/// How a query is answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueryPlan {
    /// The fields of the index that is used; absent when none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Vec<Path>>,
    /// Whether that index holds words.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub text: bool,
    /// Why, in one sentence.
    pub reason: String,
    /// The database's own steps.
    pub steps: Vec<String>,
}

/// `index.add`: has a collection indexed on this device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexAdd {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The fields, in the order that matters.
    pub fields: Vec<Path>,
    /// For searching words, instead of comparing and sorting.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub text: bool,
}

/// `index.remove`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexRemove {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The fields, as they were given.
    pub fields: Vec<Path>,
    /// As it was given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub text: bool,
}

/// `index.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexList {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Only those of this collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
}

/// The answer to [`IndexList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Indexes {
    /// The indexes, by collection.
    pub indexes: Vec<IndexInfo>,
}

/// An index on this device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexInfo {
    /// The space's name, where several spaces are told of.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The fields, in the order that matters.
    pub fields: Vec<Path>,
    /// For searching words.
    pub text: bool,
    /// Whether a person asked for it on this device.
    pub by_hand: bool,
    /// Whether the collection's schema asks for it.
    pub by_schema: bool,
    /// Whether it is complete and used.
    pub complete: bool,
    /// Documents that it has come past, while it is being built.
    #[serde(default)]
    pub done: u64,
    /// Documents of the collection, while it is being built.
    #[serde(default)]
    pub total: u64,
}

/// `sql.run`: one SELECT over the collections of a space, each a view.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SqlRun {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The statement.
    pub sql: String,
    /// Most rows in the answer; 1000 when absent, never more than 10 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer to [`SqlRun`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SqlRows {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows; bytes are hexadecimal texts.
    pub rows: Vec<Vec<Value>>,
    /// Whether there were more rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Whether a collection that the statement names is not all on this device, so that documents may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}
