//! Schemas: what the documents of a collection hold, in revisions made from each other by lenses.
//!
//! Owns revisions and their identity ([`Revision`]), the line they form ([`Chain`]), and what an app of
//! one revision sees and writes ([`Projection`]). Documents are held by *keys*: names that are fixed
//! when a field is introduced and never given again. A revision only says under which name, where and
//! in which form a key is seen. So merging never depends on revisions, a schema change rewrites no
//! document, and apps of different revisions work on the same documents at once.
//!
//! It never sees a log, a right, a store or how documents merge; and documents (`core/doc`) never see it.
//!
//! ```
//! use serde_json::json;
//! use stead_schema::{Chain, Declaration, Known, Revision, lenses_from_json};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let first = Declaration::from_json(&json!({"fields": {"title": "string", "done": "bool?"}}))?;
//! let first = Revision {
//!     collection: "tasks".into(),
//!     parent: None,
//!     lenses: first.lenses(),
//!     indexes: vec![],
//!     search: vec![],
//! };
//! let second = Revision {
//!     parent: Some(first.id()),
//!     lenses: lenses_from_json(&json!([{"rename": {"from": "title", "to": "name"}}]))?,
//!     ..first.clone()
//! };
//! let known = [first.clone(), second.clone()].map(|revision| Known { revision, made: 0 });
//! let chain = Chain::build("tasks", known.to_vec());
//!
//! // What an old app wrote, a new app sees under the new name; the document is as it was.
//! let held = json!({"title": "Paint the fence"});
//! let new = chain.projection(&second.id()).ok_or("not in the chain")?;
//! assert_eq!(new.read(&held), json!({"name": "Paint the fence"}));
//! assert_eq!(new.key_path(&["name".into()]).map(|key| key.path), Some(vec!["title".into()]));
//! # Ok(())
//! # }
//! ```

mod apply;
mod chain;
mod codec;
mod convert;
mod declared;
mod diff;
mod error;
mod evolve;
mod json;
mod kind;
mod lens;
pub mod limits;
mod projection;
mod revision;
mod scalar;
mod shape;
mod typescript;
mod write;

pub use apply::Write;
pub use chain::{Aside, AsideReason, Chain, Known};
pub use convert::{Conversion, DECIMALS_MAX};
pub use declared::{
    Blob, Collection, Counter, DateTime, Declared, MergingList, Record, Ref, RichText,
    declaration_of, entries_of, entry_of, field_of, not_declared, object_of,
};
pub use diff::{NoLens, diff};
pub use error::SchemaError;
pub use evolve::Wanted;
pub use json::{
    Declaration, field_from_json, field_to_json, fields_to_json, indexes_from_json,
    indexes_to_json, lenses_from_json, lenses_to_json, search_from_json, search_to_json,
};
pub use kind::{Fault, Field, Fields, Items, Kind};
pub use lens::Lens;
pub use projection::{KeyPath, Projection, Reference, Shown};
pub use revision::{Index, IndexField, Revision, RevisionId};
pub use scalar::{Bounds, Pattern, Scalar};
pub use typescript::typescript;
pub use write::preview;

/// JSON, as declared types are written and read.
pub use serde_json::{Value, json};

#[cfg(test)]
mod tests;
