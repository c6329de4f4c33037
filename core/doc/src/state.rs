//! The merged state of one document, in memory. Owns the cells and the invariant between them:
//! nothing is stored that a later assignment at or above it has replaced.
//!
//! A document is a tree of cells, mostly one level of assigned values, so cells are flat vectors
//! sorted by field name and values are slices of one buffer that starts as the row itself.

mod forget;
mod inverse;
mod kinds;
mod merge;
mod renumber;
mod row;
mod subtree;
mod view;

pub use inverse::{Shape, Since};
pub use kinds::FieldKind;
pub use row::RowError;
pub(crate) use view::{Members, Visible};

use std::cmp::Ordering;

use stead_base::{Hlc, Stamp};

use crate::dictionary::Dictionary;
use crate::rich::RichKind;
use crate::value::{DELETED_BYTES, ValueRef};

/// A document, merged from every operation applied so far. The default is one never written.
///
/// The result does not depend on the order in which transactions are applied.
/// Names and writers are kept as numbers: every method must be given the same [`Dictionary`].
#[derive(Debug, Clone, Default)]
pub struct Document {
    lifecycle: Option<Lifecycle>,
    /// The latest purge: an assignment of nothing at the root.
    purged: Option<LocalStamp>,
    cells: Vec<Cell>,
    /// Encoded values; cells point into it. What is replaced stays behind until the next decode.
    heap: Vec<u8>,
    /// Whether there may be rich fields: spares the search for them.
    has_rich: bool,
}

impl Document {
    /// Forgets everything and keeps the allocations.
    pub fn clear(&mut self) {
        self.lifecycle = None;
        self.purged = None;
        self.cells.clear();
        self.heap.clear();
        self.has_rich = false;
    }

    /// Whether the document was deleted and not brought back since. What it holds is kept until a purge.
    pub fn is_deleted(&self) -> bool {
        self.lifecycle.is_some_and(|lifecycle| !lifecycle.alive)
    }

    /// Whether there is a document: something was written to it, and it is not deleted.
    pub fn exists(&self) -> bool {
        match self.lifecycle {
            Some(lifecycle) => lifecycle.alive,
            None => !self.cells.is_empty(),
        }
    }

    /// Whether a purge would find nothing to take: nothing was ever written, or the document is deleted and holds
    /// no more than marks of what a purge took.
    pub fn is_purged(&self) -> bool {
        match self.purged {
            Some(purged) => self.is_deleted() && are_marks(&self.cells, purged, &self.heap),
            None => self.lifecycle.is_none() && self.cells.is_empty(),
        }
    }

    /// Whether the document was ever purged.
    pub const fn was_purged(&self) -> bool {
        self.purged.is_some()
    }

    /// Bytes in memory that grow with the content.
    pub fn bytes(&self) -> usize {
        self.heap.len() + self.cells.len() * size_of::<Cell>()
    }

    fn value(&self, span: Span) -> ValueRef<'_> {
        value_in(&self.heap, span)
    }
}

/// Whether cells hold nothing but what a purge says in scopes inside of the document.
fn are_marks(cells: &[Cell], purged: LocalStamp, heap: &[u8]) -> bool {
    cells.iter().all(|cell| {
        let is_mark = cell.assign.is_none_or(|assign| {
            assign.stamp == purged && value_in(heap, assign.value).bytes() == DELETED_BYTES
        });
        let rest = cell.more.as_ref();
        is_mark
            && rest.is_none_or(|more| more.is_only_cells() && are_marks(&more.cells, purged, heap))
    })
}

fn value_in(heap: &[u8], span: Span) -> ValueRef<'_> {
    ValueRef::checked(&heap[span.start as usize..][..span.len as usize])
}

fn put_in(heap: &mut Vec<u8>, value: ValueRef<'_>) -> Span {
    let start = heap.len() as u32;
    heap.extend_from_slice(value.bytes());
    Span {
        start,
        len: value.bytes().len() as u32,
    }
}

#[derive(Debug, Clone, Copy)]
struct Lifecycle {
    alive: bool,
    stamp: LocalStamp,
}

/// A stamp whose writer is a number of the dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocalStamp {
    hlc: Hlc,
    writer: u32,
}

impl LocalStamp {
    /// The order of the stamps themselves, which is not that of the writers' numbers.
    #[inline]
    fn order<D: Dictionary>(self, other: Self, dictionary: &D) -> Ordering {
        self.hlc.cmp(&other.hlc).then_with(|| {
            if self.writer == other.writer {
                return Ordering::Equal;
            }
            dictionary
                .writer(self.writer)
                .cmp(&dictionary.writer(other.writer))
        })
    }

    #[inline]
    fn is_before<D: Dictionary>(self, other: Self, dictionary: &D) -> bool {
        self.order(other, dictionary).is_lt()
    }

    pub(crate) fn stamp<D: Dictionary>(self, dictionary: &D) -> Option<Stamp> {
        let writer = *dictionary.writer(self.writer)?;
        Some(Stamp {
            hlc: self.hlc,
            writer,
        })
    }

    fn local<D: Dictionary>(stamp: Stamp, dictionary: &mut D) -> Self {
        Self {
            hlc: stamp.hlc,
            writer: dictionary.intern_writer(&stamp.writer),
        }
    }
}

/// A slice of the heap.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    len: u32,
}

/// One field: what was assigned to it, and rarely more.
#[derive(Debug, Clone)]
struct Cell {
    field: u32,
    assign: Option<Assign>,
    more: Option<Box<More>>,
}

#[derive(Debug, Clone, Copy)]
struct Assign {
    value: Span,
    stamp: LocalStamp,
}

/// What a cell may hold beside an assignment.
#[derive(Debug, Clone, Default)]
struct More {
    counter: Option<Counter>,
    /// Sorted by element, then by the writer's number.
    members: Vec<Member>,
    /// The rich fields that are alive.
    rich: Option<Rich>,
    /// The cells one level down, sorted by field name.
    cells: Vec<Cell>,
}

/// The sum of all additions on the latest base.
#[derive(Debug, Clone, Copy)]
struct Counter {
    base: Option<LocalStamp>,
    sum: i64,
}

/// Rich fields on the latest base. Mostly one; several where people began different kinds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rich {
    base: Option<LocalStamp>,
    /// A bit for each kind.
    kinds: u8,
}

impl Rich {
    const fn bit(kind: RichKind) -> u8 {
        1 << (kind.tag() - 1)
    }

    fn kinds(self) -> impl Iterator<Item = RichKind> {
        RichKind::ALL
            .into_iter()
            .filter(move |kind| self.kinds & Self::bit(*kind) != 0)
    }
}

/// What one writer did to one element of a set.
#[derive(Debug, Clone, Copy)]
struct Member {
    elem: Span,
    /// The latest addition, or the latest one that somebody removed.
    stamp: LocalStamp,
    present: bool,
}

impl Cell {
    const fn new(field: u32) -> Self {
        Self {
            field,
            assign: None,
            more: None,
        }
    }

    fn assigned(&self) -> Option<LocalStamp> {
        self.assign.map(|assign| assign.stamp)
    }

    fn cells(&self) -> &[Cell] {
        self.more.as_ref().map_or(&[], |more| &more.cells)
    }

    fn members(&self) -> &[Member] {
        self.more.as_ref().map_or(&[], |more| &more.members)
    }

    fn counter(&self) -> Option<Counter> {
        self.more.as_ref()?.counter
    }

    fn rich(&self) -> Option<Rich> {
        self.more.as_ref()?.rich
    }
}

impl More {
    fn is_empty(&self) -> bool {
        self.is_only_cells() && self.cells.is_empty()
    }

    /// Whether there is nothing but perhaps cells below.
    fn is_only_cells(&self) -> bool {
        self.counter.is_none() && self.members.is_empty() && self.rich.is_none()
    }
}

/// Fewest cells that a search by name is faster for than a look at every number.
const SEARCH_CELLS_MIN: usize = 16;

/// Finds a field among cells, or the place where it belongs.
fn find<D: Dictionary>(cells: &[Cell], field: u32, dictionary: &D) -> Result<usize, usize> {
    let few = cells.len() < SEARCH_CELLS_MIN;
    if few && let Some(index) = cells.iter().position(|cell| cell.field == field) {
        return Ok(index);
    }
    let name = dictionary.field(field);
    match cells.last() {
        None => return Err(0),
        Some(last) if last.field == field => return Ok(cells.len() - 1),
        Some(last) if dictionary.field(last.field) < name => return Err(cells.len()),
        Some(_) => {}
    }
    cells.binary_search_by(|cell| dictionary.field(cell.field).cmp(&name))
}

/// The later of two stamps.
fn latest<D: Dictionary>(
    a: Option<LocalStamp>,
    b: Option<LocalStamp>,
    dictionary: &D,
) -> Option<LocalStamp> {
    match (a, b) {
        (Some(x), Some(y)) if x.is_before(y, dictionary) => b,
        (None, _) => b,
        _ => a,
    }
}

#[cfg(test)]
mod tests;
