//! Merging operations into a document. Owns the merge rules and nothing else; the model in
//! `testing/model` states the same rules without ever dropping anything.

use std::cmp::Ordering;

use stead_base::{Stamp, limits::PATH_DEPTH_MAX};

use super::{
    Assign, Cell, Counter, Document, Lifecycle, LocalStamp, Member, More, Rich, find, latest,
    put_in, value_in,
};
use crate::dictionary::Dictionary;
use crate::ops::{DocOps, OpRef};
use crate::path::PathRef;
use crate::rich::RichKind;
use crate::value::ValueRef;

/// Whose operations are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A finished transaction: equal stamps do not replace one another.
    Finished,
    /// The transaction being made: a later step replaces what an earlier one did, as the collapse
    /// of its operations will.
    InTheMaking,
}

impl Document {
    /// Merges the operations of one transaction. Each transaction must be applied exactly once;
    /// the order of transactions, even of one writer, does not matter.
    pub fn apply<D: Dictionary>(&mut self, ops: DocOps<'_>, dictionary: &mut D) {
        self.merge_all(ops, Origin::Finished, dictionary);
    }

    /// Merges a step of the transaction that is being made.
    pub(crate) fn apply_step<D: Dictionary>(&mut self, ops: DocOps<'_>, dictionary: &mut D) {
        self.merge_all(ops, Origin::InTheMaking, dictionary);
    }

    fn merge_all<D: Dictionary>(&mut self, ops: DocOps<'_>, origin: Origin, dictionary: &mut D) {
        let stamp = LocalStamp::local(ops.stamp(), dictionary);
        for (path, op) in ops.ops() {
            match op {
                OpRef::Restore => self.set_alive(true, stamp, origin, dictionary),
                OpRef::Delete => self.set_alive(false, stamp, origin, dictionary),
                OpRef::Purge => {
                    self.set_alive(false, stamp, origin, dictionary);
                    self.raise_floor(stamp, origin, dictionary);
                }
                _ => {
                    let mut fields = [0; PATH_DEPTH_MAX];
                    let mut depth = 0;
                    for (slot, name) in fields.iter_mut().zip(path.names()) {
                        *slot = dictionary.intern_field(name);
                        depth += 1;
                    }
                    self.merge(&fields[..depth], op, stamp, origin, dictionary);
                }
            }
        }
    }

    /// The latest assignment at or above a path, the latest purge being one: what an addition there builds on.
    pub(crate) fn latest_assign<D: Dictionary>(
        &self,
        path: PathRef<'_>,
        dictionary: &D,
    ) -> Option<Stamp> {
        let mut cells = &self.cells[..];
        let mut chain = self.purged;
        if cells.is_empty() {
            return chain?.stamp(dictionary);
        }
        for name in path.names() {
            let Some(cell) = child(cells, name, dictionary) else {
                break;
            };
            chain = latest(chain, cell.assigned(), dictionary);
            cells = cell.cells();
        }
        chain?.stamp(dictionary)
    }

    fn set_alive<D: Dictionary>(
        &mut self,
        alive: bool,
        stamp: LocalStamp,
        origin: Origin,
        dictionary: &D,
    ) {
        let replaces =
            self.lifecycle
                .is_none_or(|known| match known.stamp.order(stamp, dictionary) {
                    Ordering::Less => true,
                    Ordering::Equal => alive || origin == Origin::InTheMaking,
                    Ordering::Greater => false,
                });
        if replaces {
            self.lifecycle = Some(Lifecycle { alive, stamp });
        }
    }

    /// Purges the document: all that is older is replaced.
    fn raise_floor<D: Dictionary>(&mut self, stamp: LocalStamp, origin: Origin, dictionary: &D) {
        match self.purged.map(|known| known.order(stamp, dictionary)) {
            Some(Ordering::Greater) => return,
            Some(Ordering::Equal) if origin == Origin::Finished => return,
            _ => self.purged = Some(stamp),
        }
        prune_cells(&mut self.cells, &replaced_by(stamp, origin, dictionary));
        if self.cells.is_empty() {
            self.heap.clear();
        }
    }

    /// Drops what the latest purge replaces, where cells came from elsewhere.
    pub(super) fn drop_purged<D: Dictionary>(&mut self, dictionary: &D) {
        if let Some(stamp) = self.purged {
            prune_cells(
                &mut self.cells,
                &replaced_by(stamp, Origin::Finished, dictionary),
            );
        }
    }

    fn merge<D: Dictionary>(
        &mut self,
        path: &[u32],
        op: OpRef<'_>,
        stamp: LocalStamp,
        origin: Origin,
        dictionary: &mut D,
    ) {
        match op {
            OpRef::Assign(value) => self.assign(path, value, stamp, origin, dictionary),
            OpRef::Add { delta, base } => {
                let base = base.map(|base| LocalStamp::local(base, dictionary));
                self.add(path, delta, base, dictionary);
            }
            OpRef::SetAdd(elem) => self.set_member(path, elem, stamp, true, dictionary),
            OpRef::SetRemove { elem, observed } => {
                for &stamp in observed {
                    let stamp = LocalStamp::local(stamp, dictionary);
                    self.set_member(path, elem, stamp, false, dictionary);
                }
            }
            OpRef::Rich { kind, base, .. } => {
                let base = base.map(|base| LocalStamp::local(base, dictionary));
                self.rich_is_alive(path, kind, base, dictionary);
            }
            OpRef::Restore | OpRef::Delete | OpRef::Purge => {}
        }
    }

    /// Notes that a rich field was written to, unless it has been replaced. Its updates are the
    /// business of whoever keeps them, for as long as [`Document::holds_rich`] says.
    fn rich_is_alive<D: Dictionary>(
        &mut self,
        path: &[u32],
        kind: RichKind,
        base: Option<LocalStamp>,
        dictionary: &D,
    ) {
        if is_replaced(base, self.chain(path, dictionary), dictionary) {
            return;
        }
        self.has_rich = true;
        let Some(more) = self.more_at(path, dictionary) else {
            return;
        };
        let kinds = Rich::bit(kind);
        match &mut more.rich {
            Some(known) if known.base == base => known.kinds |= kinds,
            Some(known) if is_replaced(base, known.base, dictionary) => {}
            _ => more.rich = Some(Rich { base, kinds }),
        }
    }

    fn assign<D: Dictionary>(
        &mut self,
        path: &[u32],
        value: ValueRef<'_>,
        stamp: LocalStamp,
        origin: Origin,
        dictionary: &D,
    ) {
        let Some((&field, above)) = path.split_last() else {
            return;
        };
        if is_replaced(Some(stamp), self.chain(above, dictionary), dictionary) {
            return;
        }
        let cells = cells_at(&mut self.cells, above, dictionary);
        let cell = cell_of(cells, field, dictionary);
        if let Some(known) = cell.assign {
            let replaces = match known.stamp.order(stamp, dictionary) {
                Ordering::Less => true,
                // Two values with one stamp come from a writer that breaks the rules; all
                // replicas must still agree.
                Ordering::Equal => {
                    origin == Origin::InTheMaking
                        || value_in(&self.heap, known.value).bytes() < value.bytes()
                }
                Ordering::Greater => false,
            };
            if !replaces {
                return;
            }
        }
        let value = put_in(&mut self.heap, value);
        cell.assign = Some(Assign { value, stamp });
        if let Some(more) = &mut cell.more
            && prune(more, &replaced_by(stamp, origin, dictionary))
        {
            cell.more = None;
        }
    }

    fn add<D: Dictionary>(
        &mut self,
        path: &[u32],
        delta: i64,
        base: Option<LocalStamp>,
        dictionary: &D,
    ) {
        if is_replaced(base, self.chain(path, dictionary), dictionary) {
            return;
        }
        let Some(more) = self.more_at(path, dictionary) else {
            return;
        };
        match &mut more.counter {
            Some(known) if known.base == base => known.sum = known.sum.wrapping_add(delta),
            Some(known) if is_replaced(base, known.base, dictionary) => {}
            _ => more.counter = Some(Counter { base, sum: delta }),
        }
    }

    /// Notes that the writer of `stamp` added an element then, or that its additions until then
    /// were removed.
    fn set_member<D: Dictionary>(
        &mut self,
        path: &[u32],
        elem: ValueRef<'_>,
        stamp: LocalStamp,
        present: bool,
        dictionary: &D,
    ) {
        if is_replaced(Some(stamp), self.chain(path, dictionary), dictionary) {
            return;
        }
        // The heap is lent to the search while the cells are lent to the change.
        let mut heap = std::mem::take(&mut self.heap);
        if let Some(more) = self.more_at(path, dictionary) {
            let found = more.members.binary_search_by(|member| {
                let order = value_in(&heap, member.elem).cmp_elements(elem);
                order.then(member.stamp.writer.cmp(&stamp.writer))
            });
            match found {
                Err(index) => {
                    let elem = put_in(&mut heap, elem);
                    let member = Member {
                        elem,
                        stamp,
                        present,
                    };
                    more.members.insert(index, member);
                }
                Ok(index) => {
                    let known = &mut more.members[index];
                    // Of an addition and its removal, the removal holds.
                    let later =
                        stamp.hlc > known.stamp.hlc || stamp.hlc == known.stamp.hlc && !present;
                    if later {
                        known.stamp = stamp;
                        known.present = present;
                    }
                }
            }
        }
        self.heap = heap;
    }

    /// The latest assignment on the way to a path, its own and the latest purge included.
    fn chain<D: Dictionary>(&self, path: &[u32], dictionary: &D) -> Option<LocalStamp> {
        let mut cells = &self.cells[..];
        let mut chain = self.purged;
        for &field in path {
            let Ok(index) = find(cells, field, dictionary) else {
                break;
            };
            chain = latest(chain, cells[index].assigned(), dictionary);
            cells = cells[index].cells();
        }
        chain
    }

    /// The place for more than an assignment; cells are made on the way.
    fn more_at<D: Dictionary>(&mut self, path: &[u32], dictionary: &D) -> Option<&mut More> {
        let (&field, above) = path.split_last()?;
        let cells = cells_at(&mut self.cells, above, dictionary);
        let cell = cell_of(cells, field, dictionary);
        Some(cell.more.get_or_insert_default())
    }
}

/// Finds a field by its name.
pub(super) fn child<'c, D: Dictionary>(
    cells: &'c [Cell],
    name: &str,
    dictionary: &D,
) -> Option<&'c Cell> {
    let field = dictionary.field_number(name)?;
    Some(&cells[find(cells, field, dictionary).ok()?])
}

/// Whether something of `stamp` has been replaced by an assignment of `other`.
fn is_replaced<D: Dictionary>(
    stamp: Option<LocalStamp>,
    other: Option<LocalStamp>,
    dictionary: &D,
) -> bool {
    match (stamp, other) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(stamp), Some(other)) => stamp.is_before(other, dictionary),
    }
}

fn cells_at<'c, D: Dictionary>(
    mut cells: &'c mut Vec<Cell>,
    path: &[u32],
    dictionary: &D,
) -> &'c mut Vec<Cell> {
    for &field in path {
        let cell = cell_of(cells, field, dictionary);
        cells = &mut cell.more.get_or_insert_default().cells;
    }
    cells
}

fn cell_of<'c, D: Dictionary>(
    cells: &'c mut Vec<Cell>,
    field: u32,
    dictionary: &D,
) -> &'c mut Cell {
    let index = match find(cells, field, dictionary) {
        Ok(index) => index,
        Err(index) => {
            cells.insert(index, Cell::new(field));
            index
        }
    };
    &mut cells[index]
}

/// Tells what an assignment of `stamp` replaces below it.
fn replaced_by<D: Dictionary>(
    stamp: LocalStamp,
    origin: Origin,
    dictionary: &D,
) -> impl Fn(LocalStamp) -> bool {
    move |other| match other.order(stamp, dictionary) {
        Ordering::Less => true,
        Ordering::Equal => origin == Origin::InTheMaking,
        Ordering::Greater => false,
    }
}

/// Drops everything at and below a cell that an assignment has replaced. Returns whether nothing
/// is left.
fn prune(more: &mut More, is_gone: &impl Fn(LocalStamp) -> bool) -> bool {
    more.counter = more
        .counter
        .filter(|counter| counter.base.is_some_and(|base| !is_gone(base)));
    more.rich = more
        .rich
        .filter(|rich| rich.base.is_some_and(|base| !is_gone(base)));
    more.members.retain(|member| !is_gone(member.stamp));
    prune_cells(&mut more.cells, is_gone);
    more.is_empty()
}

fn prune_cells(cells: &mut Vec<Cell>, is_gone: &impl Fn(LocalStamp) -> bool) {
    cells.retain_mut(|cell| {
        cell.assign = cell.assign.filter(|assign| !is_gone(assign.stamp));
        if cell.more.as_mut().is_some_and(|more| prune(more, is_gone)) {
            cell.more = None;
        }
        cell.assign.is_some() || cell.more.is_some()
    });
}
