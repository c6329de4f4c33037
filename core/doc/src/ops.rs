//! Operations: what one transaction says about documents, in memory and as a parcel's plaintext.
//!
//! [`Transaction`] collects and encodes, [`Changes`] decodes and checks; both hand out the same
//! borrowed [`DocOps`]. The bytes are described in `docs/formats/document.md`.

mod changes;
mod order;
mod reader;
mod redacted;
mod split;
mod transaction;

pub use changes::Changes;
pub use order::Order;
pub use redacted::{Redacted, RedactedItem, say_the_same};
pub use split::{Inside, Parts};
pub(crate) use transaction::TransactionMark;
pub use transaction::{Transaction, TransactionError};

use stead_base::{DecodeError, DocId, Stamp};

use crate::path::PathRef;
use crate::rich::{RichKind, RichUpdates};
use crate::value::ValueRef;

/// Largest parcel before compression, and most text its paths may unfold to, in bytes.
pub const PARCEL_BODY_BYTES_MAX: usize = 16 << 20;
/// Most operations in one parcel.
pub const PARCEL_OPS_MAX: usize = 1 << 17;
/// Most additions that the removals of one parcel name as observed.
pub const PARCEL_STAMPS_MAX: usize = 1 << 20;

/// First byte of a parcel: the body follows as it is.
const PLAIN: u8 = 0;
/// First byte of a parcel: the body's length follows, then the body as one LZ4 block.
const LZ4: u8 = 1;

/// An operation's header is `depth << KIND_BITS | kind`.
const KIND_BITS: u32 = 4;
const KIND_MASK: u64 = 15;
const ASSIGN: u64 = 0;
const ADD: u64 = 1;
const SET_ADD: u64 = 2;
const SET_REMOVE: u64 = 3;
const RESTORE: u64 = 4;
const DELETE: u64 = 5;
const RICH: u64 = 6;
const PURGE: u64 = 7;

/// A reference to a stamp starts with its writer: none, the author, a new one that follows, or one
/// that was spelled out before (the first as 3).
const STAMP_NONE: u64 = 0;
const STAMP_AUTHOR: u64 = 1;
const STAMP_NEW_WRITER: u64 = 2;
const STAMP_KNOWN_WRITER: u64 = 3;

/// Why a parcel's plaintext was refused. Nothing of it has been taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParcelError {
    /// The bytes break the format.
    #[error("malformed operations")]
    Malformed(#[source] DecodeError),
    /// The bytes use what only a newer version of the format defines; keep them for it.
    #[error("written by a newer version: {what} {found} is not understood here")]
    NotUnderstood {
        /// The kind of thing met.
        what: &'static str,
        /// Its number.
        found: u64,
    },
}

impl From<DecodeError> for ParcelError {
    fn from(err: DecodeError) -> Self {
        Self::Malformed(err)
    }
}

/// The operations of one transaction on one document.
#[derive(Clone, Copy)]
pub struct DocOps<'a> {
    table: &'a OpTable,
    ops: &'a [RawOp],
    collection: &'a str,
    id: &'a DocId,
    stamp: Stamp,
}

impl<'a> DocOps<'a> {
    /// The document's collection.
    pub const fn collection(&self) -> &'a str {
        self.collection
    }

    /// The document.
    pub const fn id(&self) -> &'a DocId {
        self.id
    }

    /// The stamp of the transaction.
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// How many operations there are.
    pub const fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there are none. A decoded parcel has no such document.
    pub const fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The operations with their paths.
    pub fn ops(&self) -> impl ExactSizeIterator<Item = (PathRef<'a>, OpRef<'a>)> + use<'a> {
        let table = self.table;
        self.ops.iter().map(move |raw| table.op(raw))
    }
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OpRef<'a> {
    /// Replaces whatever is at and below the path and older; a deleted field is a value too.
    Assign(ValueRef<'a>),
    /// Adds to a counter that was last reset by the assignment `base` (`None`: never).
    Add {
        /// What to add; sums wrap.
        delta: i64,
        /// The latest assignment at or above the path that the author had seen.
        base: Option<Stamp>,
    },
    /// Adds an element to a set.
    SetAdd(ValueRef<'a>),
    /// Removes an element from a set as far as the author had seen it added.
    SetRemove {
        /// The element.
        elem: ValueRef<'a>,
        /// The latest additions seen, one a writer.
        observed: &'a [Stamp],
    },
    /// Brings the document back, or makes it. The path is the root.
    Restore,
    /// Deletes the document. The path is the root.
    Delete,
    /// Deletes the document, and replaces for ever all that is older in it. The path is the root.
    Purge,
    /// Changes a rich field that began on the assignment `base` (`None`: nothing was assigned).
    Rich {
        /// What the field is.
        kind: RichKind,
        /// The latest assignment at or above the path that the author had seen.
        base: Option<Stamp>,
        /// What the author's engine made.
        updates: RichUpdates<'a>,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

#[derive(Debug, Clone, Copy)]
struct RawOp {
    path: Span,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Assign(Span),
    Add {
        delta: i64,
        base: Span,
    },
    SetAdd(Span),
    SetRemove {
        elem: Span,
        observed: Span,
    },
    Restore,
    Delete,
    Purge,
    Rich {
        kind: RichKind,
        base: Span,
        /// Each update with its length before it.
        updates: Span,
    },
}

impl What {
    /// Orders the operations at one path, and is the kind in the encoding.
    const fn kind(&self) -> u64 {
        match self {
            Self::Assign(_) => ASSIGN,
            Self::Add { .. } => ADD,
            Self::SetAdd(_) => SET_ADD,
            Self::SetRemove { .. } => SET_REMOVE,
            Self::Restore => RESTORE,
            Self::Delete => DELETE,
            Self::Purge => PURGE,
            Self::Rich { .. } => RICH,
        }
    }
}

/// Where operations and what they point to lie: few large allocations, kept for the next use.
#[derive(Debug, Clone, Default)]
struct OpTable {
    /// Joined paths.
    text: String,
    /// Encoded values.
    bytes: Vec<u8>,
    /// Bases and observed additions.
    stamps: Vec<Stamp>,
    ops: Vec<RawOp>,
}

/// A length of every part of a table, to return to.
#[derive(Debug, Clone, Copy)]
struct Mark {
    text: usize,
    bytes: usize,
    stamps: usize,
    ops: usize,
}

impl OpTable {
    fn mark(&self) -> Mark {
        Mark {
            text: self.text.len(),
            bytes: self.bytes.len(),
            stamps: self.stamps.len(),
            ops: self.ops.len(),
        }
    }

    fn return_to(&mut self, mark: Mark) {
        self.text.truncate(mark.text);
        self.bytes.truncate(mark.bytes);
        self.stamps.truncate(mark.stamps);
        self.ops.truncate(mark.ops);
    }

    fn bytes(&self) -> usize {
        self.text.len()
            + self.bytes.len()
            + self.stamps.len() * size_of::<Stamp>()
            + self.ops.len() * size_of::<RawOp>()
    }

    fn path(&self, raw: &RawOp) -> &str {
        &self.text[raw.path.range()]
    }

    fn value(&self, span: Span) -> ValueRef<'_> {
        ValueRef::checked(&self.bytes[span.range()])
    }

    fn stamps(&self, span: Span) -> &[Stamp] {
        &self.stamps[span.range()]
    }

    fn op(&self, raw: &RawOp) -> (PathRef<'_>, OpRef<'_>) {
        let op = match raw.what {
            What::Assign(value) => OpRef::Assign(self.value(value)),
            What::Add { delta, base } => OpRef::Add {
                delta,
                base: self.stamps(base).first().copied(),
            },
            What::SetAdd(elem) => OpRef::SetAdd(self.value(elem)),
            What::SetRemove { elem, observed } => OpRef::SetRemove {
                elem: self.value(elem),
                observed: self.stamps(observed),
            },
            What::Restore => OpRef::Restore,
            What::Delete => OpRef::Delete,
            What::Purge => OpRef::Purge,
            What::Rich {
                kind,
                base,
                updates,
            } => OpRef::Rich {
                kind,
                base: self.stamps(base).first().copied(),
                updates: RichUpdates(&self.bytes[updates.range()]),
            },
        };
        (PathRef(self.path(raw)), op)
    }

    /// What the operations of one document are sorted by, and unique in.
    fn key(&self, raw: &RawOp) -> (&str, u64, &[u8]) {
        let elem = match raw.what {
            What::SetAdd(elem) | What::SetRemove { elem, .. } => self.value(elem).bytes(),
            What::Rich { kind, .. } => kind.tag_bytes(),
            _ => &[],
        };
        // A document is either deleted or restored: one key for both.
        let kind = match raw.what.kind() {
            DELETE => RESTORE,
            kind => kind,
        };
        (self.path(raw), kind, elem)
    }
}

#[cfg(test)]
mod tests;
