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
use stead_doc::{Changes, Document, Numbers, OpRef, Order};
use stead_store::{CollectionNo, RowNo};

use super::{FETCHED_AT_ONCE, taken_until};
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
    docs: Vec<Loaded>,
    rows: Vec<u8>,
    /// None for a document that is to be merged in turn.
    made: Vec<Option<Made>>,
    states: Vec<u8>,
    bodies: Vec<u8>,
}

/// Where a document's positions are in the order, and its row among those of the batch, if it has one.
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
    /// How many of the positions were brought near.
    fetched: usize,
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
        for at in loaded.ops.clone() {
            if at >= self.fetched {
                self.fetched = self.order.len().min(at + FETCHED_AT_ONCE);
                self.changes.fetch(&self.order[at..self.fetched]);
            }
            let ops = self.changes.doc(self.order[at] as usize)?;
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
        order: &Order,
    ) -> Result<Vec<u32>, ReplicaError> {
        let settled = self.space(space)?.settled(taken_until);
        let mut numbers = std::mem::take(self.numbers);
        let merger = Merger {
            changes,
            order: order.positions(),
            fetched: 0,
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
                return Ok(order.positions().to_vec());
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
        order: &Order,
        todo: &SyncSender<Batch>,
        done: &Receiver<Batch>,
    ) -> Result<Vec<u32>, ReplicaError> {
        let (mut left, mut spare) = (Vec::new(), Vec::new());
        let (mut next, mut on_their_way) = (0, 0);
        // The other thread ends early by a panic only, which is told when it is joined.
        loop {
            if next < order.documents() && on_their_way < AHEAD {
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

    /// Reads the rows of documents from the `next`-th on. Returns the first that is left.
    fn load_rows(
        &mut self,
        space: &SpaceId,
        changes: &Changes,
        order: &Order,
        mut next: usize,
        batch: &mut Batch,
    ) -> Result<usize, ReplicaError> {
        let start = order.document(next).start;
        let mut end = start;
        while next < order.documents() && end < start + OPS_AT_ONCE {
            let ops = order.document(next);
            next += 1;
            end = ops.end;
            let Some(first) = changes.doc(order.positions()[ops.start] as usize) else {
                continue;
            };
            let collection = self.collection_no(space, first.collection())?;
            let rows = &mut batch.rows;
            let row = self.tx.with_doc_row(collection, first.id(), |row| {
                let start = rows.len();
                rows.extend_from_slice(row);
                start..rows.len()
            })?;
            batch.docs.push(Loaded {
                ops,
                collection,
                row,
            });
        }
        // The other thread has them nearer then, and has more to do than this one.
        changes.fetch(&order.positions()[start..end]);
        Ok(next)
    }

    fn write_rows(
        &mut self,
        space: &SpaceId,
        changes: &Changes,
        order: &Order,
        batch: &Batch,
        left: &mut Vec<u32>,
    ) -> Result<(), ReplicaError> {
        for (loaded, made) in batch.docs.iter().zip(&batch.made) {
            let ops = &order.positions()[loaded.ops.clone()];
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
