//! The rows as Rust values, and the small local numbers that stand for long ids.

use stead_base::{SpaceId, WriterId};

use crate::StoreError;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(self.0.into())
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(
                value: rusqlite::types::ValueRef<'_>,
            ) -> rusqlite::types::FromSqlResult<Self> {
                u32::column_result(value).map(Self)
            }
        }
    };
}

number!(
    /// A space's number in this file.
    SpaceNo
);
number!(
    /// A writer's number in this file: at most [`WriterNo::MAX`].
    WriterNo
);
number!(
    /// A collection's number in this file.
    CollectionNo
);
number!(
    /// The number of a document's row in this file.
    RowNo
);
number!(
    /// A rich field's number in this file.
    RichNo
);
number!(
    /// A field name's number in this file.
    NameNo
);

const AT_BITS: u32 = 40;
const AT_MAX: u64 = (1 << AT_BITS) - 2;

impl WriterNo {
    /// The greatest number that still fits a log key.
    pub const MAX: Self = Self((1 << 23) - 1);

    /// The table key of a position in this writer's log (or of a tree node).
    pub(crate) fn key(self, at: u64) -> Result<i64, StoreError> {
        if at > AT_MAX {
            return Err(StoreError::OutOfRange {
                what: "log position",
                value: at,
            });
        }
        if self > Self::MAX {
            return Err(StoreError::OutOfRange {
                what: "writer number",
                value: u64::from(self.0),
            });
        }
        Ok((i64::from(self.0) << AT_BITS) | at as i64)
    }

    /// The first and last table key of this writer's positions.
    pub(crate) fn keys(self) -> Result<(i64, i64), StoreError> {
        Ok((self.key(0)?, self.key(AT_MAX)?))
    }

    /// The key, among the segments, of the row that says how far the log is stored and applied.
    /// It follows the last segment, so appending an entry mostly rewrites one page instead of two.
    pub(crate) fn tip_key(self) -> Result<i64, StoreError> {
        Ok(self.key(AT_MAX)? + 1)
    }
}

/// The position in a log that a table key stands for.
pub(crate) fn at_of_key(key: i64) -> u64 {
    key as u64 & ((1 << AT_BITS) - 1)
}

/// One space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceRow {
    /// Its number in this file.
    pub no: SpaceNo,
    /// Its id.
    pub id: SpaceId,
    /// Whatever the engine keeps about it.
    pub record: Vec<u8>,
}

/// One writer of a space, and how far its log is stored and applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterRow {
    /// Its number in this file.
    pub no: WriterNo,
    /// The space it writes to.
    pub space: SpaceNo,
    /// Its id.
    pub id: WriterId,
    /// Entries stored, from the first.
    pub len: u64,
    /// Entries that documents already contain; never above `len`.
    pub applied: u64,
    /// The log's tip as the log encodes it.
    pub tip: Vec<u8>,
    /// Whatever the engine keeps about it.
    pub record: Vec<u8>,
}

/// Consecutive entries of one log, encoded one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// The first entry's position.
    pub start: u64,
    /// How many entries.
    pub count: u32,
    /// Their bytes.
    pub bytes: Vec<u8>,
}

impl SegmentRow {
    /// The position after the last entry.
    pub fn end(&self) -> u64 {
        self.start + u64::from(self.count)
    }
}

/// A signed head that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// The length it signs.
    pub len: u64,
    /// Its encoding.
    pub head: Vec<u8>,
}

/// A collection's name and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionRow {
    /// Its number in this file.
    pub no: CollectionNo,
    /// Its name, unique in the space.
    pub name: String,
}

/// A document as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocRow {
    /// Its visible fields as JSON text.
    pub json: String,
    /// Whether it is deleted (and can be restored).
    pub deleted: bool,
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Spaces.
    pub spaces: u64,
    /// Writers of all spaces.
    pub writers: u64,
    /// Log entries stored.
    pub entries: u64,
    /// Rows that hold them.
    pub segments: u64,
    /// Documents, deleted ones included.
    pub docs: u64,
}
