//! Documents: JSON made by merging operations, the same on every replica whatever the order.
//!
//! Owns what an operation says ([`Transaction`], [`Changes`]), how operations merge into a
//! [`Document`], how a document becomes a row and a SQLite JSONB projection, and how a person's
//! intent becomes operations ([`Edit`]). It never sees a log, a key, a store or a clock: the stamp
//! of a change arrives as an argument, and the numbers that stand for names in a row come from a
//! [`Dictionary`] that the store keeps. Of rich fields ([`RichContent`]) it knows which are alive; what is
//! in them is kept by an engine behind a trait.
//!
//! ```
//! use stead_base::{DocId, Hlc, Stamp, WriterId};
//! use stead_doc::{Changes, Document, Numbers, Put, Transaction};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let stamp = Stamp { hlc: Hlc::new(1_700_000_000_000, 0), writer: WriterId::from_bytes([7; 32]) };
//! let id = DocId::parse("lisbon")?;
//!
//! // Where the change is made: edits apply to the document at once and collect operations.
//! let (mut here, mut numbers) = (Document::default(), Numbers::default());
//! let mut transaction = Transaction::new(stamp);
//! transaction
//!     .edit("cities", &id, &mut here, &mut numbers)?
//!     .put(&serde_json::json!({"name": "Lisbon", "visits": 1}), Put::Merge)?;
//! let mut parcel = Vec::new();
//! transaction.encode(&mut parcel)?;
//!
//! // Where it arrives: decode, then merge.
//! let (mut there, mut other_numbers) = (Document::default(), Numbers::default());
//! let mut changes = Changes::default();
//! changes.push(&parcel, stamp)?;
//! for operations in changes.docs() {
//!     there.apply(operations, &mut other_numbers);
//! }
//! assert_eq!(there.to_json(&other_numbers), here.to_json(&numbers));
//! # Ok(())
//! # }
//! ```

mod dictionary;
mod edit;
pub mod jsonb;
mod ops;
mod path;
mod rich;
mod state;
mod value;

pub use dictionary::{Dictionary, Numbers};
pub use edit::{Edit, EditError, Put, RichWish};
pub use ops::{
    Changes, DocOps, Inside, OpRef, Order, PARCEL_BODY_BYTES_MAX, PARCEL_OPS_MAX,
    PARCEL_STAMPS_MAX, ParcelError, Parts, Redacted, RedactedItem, Transaction, TransactionError,
    say_the_same,
};
pub use path::{NameError, Path, PathError, PathRef, check_collection, check_name};
pub use rich::{
    NoRichValues, NodeName, RICH_UPDATE_BYTES_MAX, RichContent, RichEdit, RichEngine, RichError,
    RichField, RichKind, RichPlace, RichSpan, RichUpdates, RichValues, SEED_AUTHOR, TextUnit,
    author_number,
};
pub use state::{Document, FieldKind, RowError, Shape, Since};
pub use value::{Items, VALUE_BYTES_MAX, VALUE_DEPTH_MAX, ValueRef, View};
