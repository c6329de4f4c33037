//! The one SQLite file of a device: log segments, signed heads, document states and their JSON
//! projections, in tables that one SQLite transaction changes together.
//!
//! Owns the file, its format and its durability. It knows nothing about what the bytes mean: it
//! never decrypts, verifies, merges or decides; `engine/replica` does, and the store writes it.

mod ahead;
mod body;
mod check;
mod checkpoint;
pub mod conformance;
mod conversion;
mod encryption;
mod error;
mod files;
mod functions;
mod index;
mod journal;
mod key;
mod open;
mod query;
mod read;
mod rich;
mod room;
mod rows;
mod sandbox;
mod schema;
mod write;

pub use check::{Finding, SizeOf};
pub use conversion::{ConvertError, convert, forget_unfinished};
pub use encryption::{FileKey, Form, form_of};
pub use error::{OpenError, StoreError};
pub use files::{FILE_ENDS, FileSystem, OpenFile, OsFiles};
pub use index::{
    INDEX_FIELDS_MAX, INDEXES_MAX, IndexError, IndexKind, IndexNo, IndexOrigin, IndexProgress,
    IndexRow, IndexSpec,
};
pub use key::{DocKey, KeyError};
pub use open::{Durability, Interrupt, Options, Reader, Store};
pub use query::{
    Aggregate, Condition, Cursor, Direction, Filter, Found, GroupKey, Grouped, Grouping, HIT_END,
    HIT_START, Lookup, Measure, NoLookup, Plan, QUERY_CONDITIONS_MAX, QUERY_DEPTH_MAX,
    QUERY_GROUPS_MAX, QUERY_IN_MAX, QUERY_SORT_KEYS_MAX, Query, QueryError, SEARCH_WORDS_MAX,
    Scalar, ScalarError, SearchText, SortKey, Tally, Test, fits,
};
pub use read::{EachDoc, EachSegment, Read};
pub use rich::{ReadRich, RichOwner, RichRow};
pub use rows::{
    CollectionNo, CollectionRow, Counts, DocRow, HeadRow, NameNo, RichNo, RowNo, SegmentRow,
    SpaceNo, SpaceRow, WriterNo, WriterRow,
};
pub use sandbox::{
    SQL_ANSWER_BYTES_MAX, SQL_BYTES_MAX, SQL_MEMORY_MAX, SQL_ROWS_MAX, SQL_TIME_MAX, Sandbox,
    SqlAnswer, SqlCell, SqlError, SqlHeld, SqlSeen, SqlView,
};
pub use write::Tx;
