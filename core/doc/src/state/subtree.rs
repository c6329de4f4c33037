//! A part of a document as a document of its own, and putting parts together again.
//!
//! Owns what a part needs to go on merging as the whole would: what was assigned above it counts at
//! its root.

use stead_base::Stamp;

use super::merge::child;
use super::{
    Assign, Cell, Counter, Document, Lifecycle, LocalStamp, Member, More, Rich, find, latest,
    put_in, value_in,
};
use crate::dictionary::Dictionary;
use crate::path::{PathRef, SEPARATOR};
use crate::value::{DELETED_BYTES, ValueRef};

impl Document {
    /// The document reduced to what is at and below `path`, in the numbers of `to`. What is deleted
    /// stays noted as such, and so does whether the document is.
    ///
    /// Operations at and below the path merge into it as into the whole: an assignment above the
    /// path, or a purge, becomes one of "deleted" at the path, which replaces the same. None if nothing was ever
    /// there.
    pub fn part<F: Dictionary, T: Dictionary>(
        &self,
        path: PathRef<'_>,
        from: &F,
        to: &mut T,
    ) -> Option<Self> {
        let mut part = Self {
            lifecycle: self.lifecycle.and_then(|known| {
                Some(Lifecycle {
                    stamp: renumber(known.stamp, from, to)?,
                    ..known
                })
            }),
            ..Self::default()
        };
        let Some((above, last)) = split_last(path) else {
            part.purged = self.purged.and_then(|stamp| renumber(stamp, from, to));
            part.cells = copy_cells(&self.cells, &self.heap, &mut part.heap, from, to);
            part.has_rich = self.has_rich;
            return (!part.is_blank()).then_some(part);
        };
        let mut replaced = self.purged;
        let mut cells = Some(&self.cells[..]);
        for name in above.names() {
            let cell = cells.and_then(|cells| child(cells, name, from));
            replaced = latest(replaced, cell.and_then(Cell::assigned), from);
            cells = cell.map(Cell::cells);
        }
        let found = cells.and_then(|cells| child(cells, last, from));
        let mut cell = match found {
            Some(cell) => copy_cell(cell, &self.heap, &mut part.heap, from, to),
            None => Cell::new(to.intern_field(last)),
        };
        if cell.assign.is_none()
            && let Some(stamp) = replaced.and_then(|stamp| renumber(stamp, from, to))
        {
            let value = put_in(&mut part.heap, ValueRef::checked(DELETED_BYTES));
            cell.assign = Some(Assign { value, stamp });
        }
        if cell.assign.is_some() || cell.more.is_some() {
            let mut cells = vec![cell];
            let names: Vec<&str> = above.names().collect();
            for name in names.into_iter().rev() {
                let mut around = Cell::new(to.intern_field(name));
                around.more = Some(Box::new(More {
                    cells,
                    ..More::default()
                }));
                cells = vec![around];
            }
            part.cells = cells;
        }
        part.has_rich = self.has_rich;
        (!part.is_blank()).then_some(part)
    }

    /// Takes up a part of the same document that has nothing in common with what is here, but for
    /// whether the document is deleted. Both are in numbers of `dictionary`.
    pub fn absorb<D: Dictionary>(&mut self, part: &Self, dictionary: &D) {
        if let Some(other) = part.lifecycle {
            let replaces = self
                .lifecycle
                .is_none_or(|known| known.stamp.is_before(other.stamp, dictionary));
            if replaces {
                self.lifecycle = Some(other);
            }
        }
        self.purged = latest(self.purged, part.purged, dictionary);
        self.has_rich |= part.has_rich;
        absorb_cells(
            &mut self.cells,
            &part.cells,
            &mut self.heap,
            &part.heap,
            dictionary,
        );
        self.drop_purged(dictionary);
    }

    /// The latest time at which anything in it was said.
    pub fn latest<D: Dictionary>(&self, dictionary: &D) -> Option<Stamp> {
        let mut found = self.lifecycle.map(|lifecycle| lifecycle.stamp);
        note_latest(&self.cells, &mut found, dictionary);
        found?.stamp(dictionary)
    }

    /// Whether everything it holds is at or below `path`, but for whether the document is deleted.
    pub fn lies_within<D: Dictionary>(&self, path: PathRef<'_>, dictionary: &D) -> bool {
        // A purge is of all of the document.
        if self.purged.is_some() && !path.is_root() {
            return false;
        }
        let mut cells = &self.cells[..];
        let mut names = path.names().peekable();
        while let Some(name) = names.next() {
            match cells {
                [] => return true,
                [only] if dictionary.field(only.field) == Some(name) => {
                    let is_end = names.peek().is_none();
                    let holds_more = only.assign.is_some()
                        || only.counter().is_some()
                        || only.rich().is_some()
                        || !only.members().is_empty();
                    if holds_more && !is_end {
                        return false;
                    }
                    cells = only.cells();
                }
                _ => return false,
            }
        }
        true
    }

    fn is_blank(&self) -> bool {
        self.lifecycle.is_none() && self.cells.is_empty()
    }
}

/// The last name of a path and what is above it.
fn split_last(path: PathRef<'_>) -> Option<(PathRef<'_>, &str)> {
    if path.is_root() {
        return None;
    }
    Some(match path.0.rsplit_once(SEPARATOR) {
        Some((above, last)) => (PathRef(above), last),
        None => (PathRef::ROOT, path.0),
    })
}

fn renumber<F: Dictionary, T: Dictionary>(
    stamp: LocalStamp,
    from: &F,
    to: &mut T,
) -> Option<LocalStamp> {
    Some(LocalStamp::local(stamp.stamp(from)?, to))
}

fn copy_cells<F: Dictionary, T: Dictionary>(
    cells: &[Cell],
    heap: &[u8],
    out: &mut Vec<u8>,
    from: &F,
    to: &mut T,
) -> Vec<Cell> {
    // Sorted by name on both sides, whatever the numbers.
    cells
        .iter()
        .map(|cell| copy_cell(cell, heap, out, from, to))
        .filter(|copy| copy.assign.is_some() || copy.more.is_some())
        .collect()
}

fn copy_cell<F: Dictionary, T: Dictionary>(
    cell: &Cell,
    heap: &[u8],
    out: &mut Vec<u8>,
    from: &F,
    to: &mut T,
) -> Cell {
    // Every number of a decoded document is in its dictionary.
    let mut copy = Cell::new(to.intern_field(from.field(cell.field).unwrap_or_default()));
    copy.assign = cell.assign.and_then(|assign| {
        Some(Assign {
            value: put_in(out, value_in(heap, assign.value)),
            stamp: renumber(assign.stamp, from, to)?,
        })
    });
    copy.more = cell.more.as_ref().map(|more| {
        let counter = more.counter.map(|counter| Counter {
            base: counter.base.and_then(|base| renumber(base, from, to)),
            ..counter
        });
        let mut members: Vec<Member> = more
            .members
            .iter()
            .filter_map(|member| {
                Some(Member {
                    elem: put_in(out, value_in(heap, member.elem)),
                    stamp: renumber(member.stamp, from, to)?,
                    ..*member
                })
            })
            .collect();
        // Of one element they are sorted by the writer's number, which is another one now.
        members.sort_by(|a, b| {
            let (x, y) = (value_in(out, a.elem), value_in(out, b.elem));
            x.cmp_elements(y).then(a.stamp.writer.cmp(&b.stamp.writer))
        });
        Box::new(More {
            counter,
            members,
            rich: more.rich.map(|rich| Rich {
                base: rich.base.and_then(|base| renumber(base, from, to)),
                ..rich
            }),
            cells: copy_cells(&more.cells, heap, out, from, to),
        })
    });
    copy.more = copy.more.filter(|more| !more.is_empty());
    copy
}

fn absorb_cells<D: Dictionary>(
    cells: &mut Vec<Cell>,
    others: &[Cell],
    heap: &mut Vec<u8>,
    other_heap: &[u8],
    dictionary: &D,
) {
    for other in others {
        let mut moved = |cell: &Cell| move_cell(cell, other_heap, heap);
        match find(cells, other.field, dictionary) {
            Err(index) => {
                let cell = moved(other);
                cells.insert(index, cell);
            }
            Ok(index) => {
                let cell = &mut cells[index];
                let mut taken = None;
                if cell.assign.is_none() && other.assign.is_some() {
                    taken = moved(other).assign;
                }
                cell.assign = cell.assign.or(taken);
                if let Some(more) = &other.more {
                    let own = cell.more.get_or_insert_default();
                    if own.counter.is_none() {
                        own.counter = more.counter;
                    }
                    own.rich = own.rich.or(more.rich);
                    if own.members.is_empty() && !more.members.is_empty() {
                        own.members = moved(other).more.map_or_else(Vec::new, |it| it.members);
                    }
                    absorb_cells(&mut own.cells, &more.cells, heap, other_heap, dictionary);
                }
            }
        }
    }
}

/// A cell with its values in another heap.
fn move_cell(cell: &Cell, from: &[u8], heap: &mut Vec<u8>) -> Cell {
    let mut cell = cell.clone();
    if let Some(assign) = &mut cell.assign {
        assign.value = put_in(heap, value_in(from, assign.value));
    }
    if let Some(more) = &mut cell.more {
        for member in &mut more.members {
            member.elem = put_in(heap, value_in(from, member.elem));
        }
        for below in &mut more.cells {
            *below = move_cell(below, from, heap);
        }
    }
    cell
}

fn note_latest<D: Dictionary>(cells: &[Cell], found: &mut Option<LocalStamp>, dictionary: &D) {
    for cell in cells {
        *found = latest(*found, cell.assigned(), dictionary);
        *found = latest(*found, cell.counter().and_then(|it| it.base), dictionary);
        *found = latest(*found, cell.rich().and_then(|it| it.base), dictionary);
        for member in cell.members() {
            *found = latest(*found, Some(member.stamp), dictionary);
        }
        note_latest(cell.cells(), found, dictionary);
    }
}
