//! Schemas: the revisions of a collection's fields, the lenses between them, and what breaks their rules.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `schema.put`: makes the next revision of a collection's schema, or the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaPut {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// Steps from the newest revision, as `docs/schemas.md` writes them; taken first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lenses: Option<Value>,
    /// What shall be there after them: `{"fields": {...}, "indexes": [...], "search": [...]}`. The steps that are
    /// missing are found by comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declaration: Option<Value>,
    /// The indexes, `[["name"], ["-born", "name"]]`; as before when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexes: Option<Value>,
    /// The fields searched as text, `["name"]`; as before when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Value>,
    /// Only says what would be made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// The answer to [`SchemaPut`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaMade {
    /// The newest revision now, or the one that would be made.
    pub revision: Revision,
    /// Whether there was anything to make.
    pub changed: bool,
}

/// One revision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number in the chain, from 1.
    pub number: u32,
    /// Its id: the hash of what it says.
    pub id: String,
    /// The revision it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The steps from there.
    pub lenses: Value,
    /// The steps in words.
    pub words: Vec<String>,
    /// What is declared after them: `{"fields": {...}, "indexes": [...], "search": [...]}`.
    pub declaration: Value,
}

/// `schema.show`: the schemas of a space, or of one collection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaShow {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Only this collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
}

/// The answer to [`SchemaShow`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Schemas {
    /// One a collection, by name.
    pub schemas: Vec<Schema>,
}

/// A collection's schema.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// The collection.
    pub collection: String,
    /// Its revisions, the first one first.
    pub revisions: Vec<Revision>,
    /// Revisions that are not followed, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aside: Vec<Aside>,
}

/// A revision that is not followed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Aside {
    /// Its id.
    pub id: String,
    /// Why not, in words.
    pub why: String,
}

/// `schema.check`: looks at every document of the collections with a schema, or of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaCheck {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Only this collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Most faults to list, [`crate::PAGE_DEFAULT`] when absent, never more than [`crate::PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer to [`SchemaCheck`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaChecked {
    /// Documents looked at.
    pub documents: u64,
    /// Documents that break a rule.
    pub faulty: u64,
    /// The faults, as many as were asked for.
    pub faults: Vec<SchemaFault>,
    /// Revisions that are not followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aside: Vec<Aside>,
}

/// A document that breaks a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaFault {
    /// The collection.
    pub collection: String,
    /// The document.
    pub id: String,
    /// The field, dotted.
    pub path: String,
    /// What it needs.
    pub expected: String,
    /// What there is.
    pub found: String,
}
