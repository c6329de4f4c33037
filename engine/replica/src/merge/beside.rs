//! Merging many documents on two threads: one reads and writes rows, the other merges operations into them.
//!
//! SQLite belongs to the one, the numbers of names and writers to the other meanwhile. What takes more than a
//! row (rich fields, purges, rows that cannot be read) is left to be merged in turn. The outcome is the same: no document
//! depends on another.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, scope};

use stead_base::SpaceId;
use stead_doc::{Changes, Document, Numbers, OpRef};
use stead_store::{CollectionNo, RowNo};

use super::{is_same_document, taken_until};
use crate::ReplicaError;
use crate::forgetting::Settled;
use crate::writing::Writing;

/// Fewer operations are merged in turn: a thread costs more than they take.
pub(super) const OPS_MIN: usize = 8192;
/// Operations that go to the other thread together.
const OPS_AT_ONCE: usize = 1024;
/// Batches on their way at a time.
const AHEAD: usize = 3;

/// Documents with their rows, and what becomes of them. Used again and again.
#[derive(Default)]
struct Batch {
    /// Positions in the order that they are from.
    ops: Range<usize>,
    docs: Vec<Loaded>,
    rows: Vec<u8>,
    /// None for a document that is to be merged in turn.
    made: Vec<Option<Made>>,
    states: Vec<u8>,
    bodies: Vec<u8>,
}

/// A document's operations in the order, and its row among those of the batch, if it has one.
struct Loaded {
    ops: Range<usize>,
    collection: CollectionNo,
    row: Option<(RowNo, Range<usize>)>,
}

/// A merged document among the states and bodies of the batch.
struct Made {
    state: Range<usize>,
    body: Range<usize>,
    deleted: bool,
}

/// Merges batches until no more come.
struct Merger<'m> {
    changes: &'m Changes,
    order: &'m [u32],
    settled: &'m Settled,
    numbers: &'m mut Numbers,
    document: Document,
}

impl Batch {
    fn clear(&mut self) {
        self.docs.clear();
        self.rows.clear();
        self.made.clear();
        self.states.clear();
        self.bodies.clear();
    }
}

impl Merger<'_> {
    fn run(mut self, todo: &Receiver<Batch>, done: &SyncSender<Batch>) {
        while let Ok(mut batch) = todo.recv() {
            self.changes.fetch(&self.order[batch.ops.clone()]);
            for index in 0..batch.docs.len() {
                let made = self.make(&mut batch, index);
                batch.made.push(made);
            }
            // Nobody waits for it any more: what went wrong is told there.
            if done.send(batch).is_err() {
                return;
            }
        }
    }

    fn make(&mut self, batch: &mut Batch, index: usize) -> Option<Made> {
        let (loaded, document) = (&batch.docs[index], &mut self.document);
        match &loaded.row {
            Some((_, row)) => {
                let row = &batch.rows[row.clone()];
                document.decode_into(row, self.numbers).ok()?;
            }
            None => document.clear(),
        }
        if document.may_hold_rich() {
            return None;
        }
        for position in &self.order[loaded.ops.clone()] {
            let ops = self.changes.doc(*position as usize)?;
            let takes_more = |op| matches!(op, OpRef::Rich { .. } | OpRef::Purge);
            if ops.ops().any(|(_, op)| takes_more(op)) {
                return None;
            }
            document.apply(ops, self.numbers);
        }
        self.settled.forget_removals(document, self.numbers);
        let (state, body) = (batch.states.len(), batch.bodies.len());
        document.encode(&mut batch.states);
        document.project_jsonb(self.numbers, &mut batch.bodies);
        Some(Made {
            state: state..batch.states.len(),
            body: body..batch.bodies.len(),
            deleted: document.is_deleted(),
        })
    }
}

impl Writing<'_> {
    /// Merges operations in an order by document. Returns those that are to be merged in turn.
    pub(super) fn merge_beside(
        &mut self,
        space: &SpaceId,
        changes: &Changes,
        order: &[u32],
    ) -> Result<Vec<u32>, ReplicaError> {
        let settled = self.space(space)?.settled(taken_until);
        let mut numbers = std::mem::take(self.numbers);
        let merger = Merger {
            changes,
            order,
            settled: &settled,
            numbers: &mut numbers,
            document: Document::default(),
        };
        let left = scope(|scope| {
            let (todo, todo_end) = sync_channel(AHEAD);
            let (done_end, done) = sync_channel(AHEAD);
            let run = move || merger.run(&todo_end, &done_end);
            // Where there are no threads, as in a browser, all is merged in turn.
            let Ok(thread) = Builder::new()
                .name("merge".to_owned())
                .spawn_scoped(scope, run)
            else {
                return Ok(order.to_vec());
            };
            let left = self.feed(space, changes, order, &todo, &done);
            drop((todo, done));
            match thread.join() {
                Ok(()) => left,
                Err(panic) => resume_unwind(panic),
            }
        });
        *self.numbers = numbers;
        left
    }

    /// Reads rows ahead of the other thread, and writes what it made of them.
    fn feed(
        &mut self,
        space: &SpaceId,
        changes: &Changes,
        order: &[u32],
        todo: &SyncSender<Batch>,
        done: &Receiver<Batch>,
    ) -> Result<Vec<u32>, ReplicaError> {
        let (mut left, mut spare) = (Vec::new(), Vec::new());
        let (mut next, mut on_their_way) = (0, 0);
        // The other thread ends early by a panic only, which is told when it is joined.
        loop {
            if next < order.len() && on_their_way < AHEAD {
                let mut batch = spare.pop().unwrap_or_default();
                next = self.load_rows(space, changes, order, next, &mut batch)?;
                on_their_way += 1;
                if todo.send(batch).is_err() {
                    return Ok(left);
                }
                continue;
            }
            if on_their_way == 0 {
                return Ok(left);
            }
            let Ok(mut batch) = done.recv() else {
                return Ok(left);
            };
            on_their_way -= 1;
            self.write_rows(space, changes, order, &batch, &mut left)?;
            batch.clear();
            spare.push(batch);
        }
    }

    fn load_rows(
        &mut self,
        space: &SpaceId,
        changes: &Changes,
        order: &[u32],
        from: usize,
        batch: &mut Batch,
    ) -> Result<usize, ReplicaError> {
        let until = order.len().min(from + OPS_AT_ONCE);
        changes.fetch(&order[from..until]);
        let mut at = from;
        while at < until {
            let first = at;
            let Some(ops) = changes.doc(order[first] as usize) else {
                at += 1;
                continue;
            };
            let more = order[first..].iter().map_while(|position| {
                let next = changes.doc(*position as usize)?;
                is_same_document(&next, &ops).then_some(())
            });
            at = first + more.count();
            let collection = self.collection_no(space, ops.collection())?;
            let rows = &mut batch.rows;
            let row = self.tx.with_doc_row(collection, ops.id(), |row| {
                let start = rows.len();
                rows.extend_from_slice(row);
                start..rows.len()
            })?;
            batch.docs.push(Loaded {
                ops: first..at,
                collection,
                row,
            });
        }
        batch.ops = from..at;
        Ok(at)
    }

    fn write_rows(
        &mut self,
        space: &SpaceId,
        changes: &Changes,
        order: &[u32],
        batch: &Batch,
        left: &mut Vec<u32>,
    ) -> Result<(), ReplicaError> {
        for (loaded, made) in batch.docs.iter().zip(&batch.made) {
            let ops = &order[loaded.ops.clone()];
            let first = ops.first().and_then(|first| changes.doc(*first as usize));
            let (Some(made), Some(first)) = (made, first) else {
                left.extend_from_slice(ops);
                continue;
            };
            let (state, body) = (
                &batch.states[made.state.clone()],
                &batch.bodies[made.body.clone()],
            );
            let row = loaded.row.as_ref().map(|(no, _)| *no);
            self.tx.put_doc_row(
                loaded.collection,
                first.id(),
                row,
                state,
                body,
                made.deleted,
            )?;
            self.touch(space, first.collection(), first.id());
        }
        Ok(())
    }
}
