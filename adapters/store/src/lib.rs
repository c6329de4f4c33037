//! The one SQLite file of a device: log segments, signed heads, document states and their JSON
//! projections, in tables that one SQLite transaction changes together.
//!
//! Owns the file, its format and its durability. It knows nothing about what the bytes mean: it
//! never decrypts, verifies, merges or decides; `engine/replica` does, and the store writes it.

mod check;
mod checkpoint;
pub mod conformance;
mod conversion;
mod encryption;
mod error;
mod key;
mod open;
mod query;
mod read;
mod rich;
mod rows;
mod schema;
mod write;

pub use check::{Finding, SizeOf};
pub use conversion::{ConvertError, FileSystem, OsFiles, convert, forget_unfinished};
pub use encryption::{FileKey, Form, form_of};
pub use error::{OpenError, StoreError};
pub use key::{DocKey, KeyError};
pub use open::{Durability, Interrupt, Options, Reader, Store};
pub use query::{
    Condition, Cursor, Direction, Found, Op, QUERY_CONDITIONS_MAX, QUERY_SORT_KEYS_MAX, Query,
    QueryError, Scalar, ScalarError, SortKey,
};
pub use read::{EachDoc, EachSegment, Read};
pub use rich::{ReadRich, RichOwner, RichRow};
pub use rows::{
    CollectionNo, CollectionRow, Counts, DocRow, HeadRow, NameNo, RichNo, SegmentRow, SpaceNo,
    SpaceRow, WriterNo, WriterRow,
};
pub use write::Tx;
