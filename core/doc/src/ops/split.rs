//! One transaction as several parcels, one for each part of a space that has readers of its own.
//!
//! Owns the promise that who holds all parts, and who holds one, see the same there: what happens
//! around a part and reaches into it is said in the part again, in words of that part.

use std::collections::BTreeMap;

use stead_base::DocId;

use super::transaction::{Run, is_below};
use super::{OpTable, RawOp, Span, Transaction, What};
use crate::path::{Path, PathRef};
use crate::value::DELETED_BYTES;

/// A transaction taken apart.
#[derive(Debug)]
pub struct Parts<K> {
    /// The operations of each part. Together they are the transaction.
    pub parts: BTreeMap<K, Transaction>,
    /// Whether something around a part was said in the part again, so that merging the parts leaves
    /// more behind than merging the transaction: marks of deletion where nothing is seen anyway.
    pub repeats: bool,
}

/// Lists the parts that lie within a document, with their paths.
pub type Inside<'f, K> = dyn FnMut(&str, &DocId) -> Vec<(K, Path)> + 'f;

/// An operation and where it goes.
struct Placed<K> {
    part: K,
    run: usize,
    op: RawOp,
}

impl Transaction {
    /// Takes the transaction apart. `part_of` names the part to which a place in a document belongs;
    /// `inside` lists the parts that lie within a document, with their paths.
    ///
    /// An assignment above such a part replaces what is in it, and so does an assignment of "deleted"
    /// at its path: the part gets that one. Deletion and restoring of a document go to all parts
    /// inside of it as they are, and a purge as a deletion and such an assignment.
    pub fn split<K: Ord + Copy>(
        mut self,
        part_of: &mut dyn FnMut(&str, &DocId, PathRef<'_>) -> K,
        inside: &mut Inside<'_, K>,
    ) -> Parts<K> {
        let mut placed: Vec<Placed<K>> = Vec::with_capacity(self.table.ops.len());
        let mut repeats = false;
        let table = &mut self.table;
        for (number, run) in self.runs.iter().enumerate() {
            let collection = &*self.collections[run.collection as usize];
            let inner = inside(collection, &run.id);
            for at in run.ops.range() {
                let op = table.ops[at];
                let part = part_of(collection, &run.id, PathRef(table.path(&op)));
                placed.push(Placed {
                    part,
                    run: number,
                    op,
                });
                for (part, path) in &inner {
                    for op in repeated(table, &op, path.as_ref()).into_iter().flatten() {
                        repeats = true;
                        placed.push(Placed {
                            part: *part,
                            run: number,
                            op,
                        });
                    }
                }
            }
        }
        let first = placed.first().map(|op| op.part);
        if let Some(part) = first
            && placed.iter().all(|op| op.part == part)
        {
            return Parts {
                parts: BTreeMap::from([(part, self)]),
                repeats: false,
            };
        }
        let mut parts: BTreeMap<K, Self> = BTreeMap::new();
        for Placed { part, run, op } in placed {
            let transaction = parts.entry(part).or_insert_with(|| Self {
                stamp: self.stamp,
                table: OpTable {
                    text: self.table.text.clone(),
                    bytes: self.table.bytes.clone(),
                    stamps: self.table.stamps.clone(),
                    ops: Vec::new(),
                },
                collections: self.collections.clone(),
                runs: Vec::new(),
            });
            transaction.take(&self.runs[run], op);
        }
        Parts { parts, repeats }
    }

    /// Appends an operation of another transaction's run, whose table this one shares.
    fn take(&mut self, of: &Run, op: RawOp) {
        let at = self.table.ops.len() as u32;
        let same = |last: &Run| last.collection == of.collection && last.id == of.id;
        if !self.runs.last().is_some_and(same) {
            self.runs.push(Run {
                collection: of.collection,
                id: of.id.clone(),
                ops: Span { start: at, end: at },
            });
        }
        self.table.ops.push(op);
        if let Some(run) = self.runs.last_mut() {
            run.ops.end = at + 1;
        }
    }
}

/// What an operation says to a part at `path` that lies inside the document, if it lies above it.
fn repeated(table: &mut OpTable, op: &RawOp, path: PathRef<'_>) -> [Option<RawOp>; 2] {
    let deleted = RawOp {
        what: What::Delete,
        ..*op
    };
    match op.what {
        What::Restore | What::Delete => [Some(*op), None],
        What::Purge => [Some(deleted), Some(blanked(table, path))],
        What::Assign(_) => {
            let above = table.path(op);
            let is_around = above.len() < path.0.len() && is_below(path.0, above);
            [is_around.then(|| blanked(table, path)), None]
        }
        _ => [None, None],
    }
}

/// An assignment of "deleted" at a path.
fn blanked(table: &mut OpTable, path: PathRef<'_>) -> RawOp {
    let text = span(table.text.len(), path.0.len());
    table.text.push_str(path.0);
    let value = span(table.bytes.len(), DELETED_BYTES.len());
    table.bytes.extend_from_slice(DELETED_BYTES);
    RawOp {
        path: text,
        what: What::Assign(value),
    }
}

fn span(start: usize, len: usize) -> Span {
    Span {
        start: start as u32,
        end: (start + len) as u32,
    }
}

#[cfg(test)]
mod tests;
