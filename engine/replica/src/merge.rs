//! Merging gathered operations into document rows: each document is read and written once.

mod beside;

use std::collections::{BTreeMap, BTreeSet};

use stead_base::{DocId, Hlc, SpaceId, Stamp, WriterId};
use stead_doc::{Changes, DocOps, Document, OpRef, author_number};

use crate::rich::Incoming;
use crate::space::WriterState;
use crate::writing::{Merging, Writing, writer_mut};
use crate::{Replica, ReplicaError};

/// Gathered operations are merged once they take this many bytes in memory. The more is gathered,
/// the more changes of one document share a read and a write of its row.
const GATHERED_BYTES_MAX: usize = 160 << 20;

/// Operations that are brought near before they are merged: with their documents' rows they stay in a
/// core's own cache.
const FETCHED_AT_ONCE: usize = 256;

/// Which documents are meant, where not all are.
pub(crate) type Only<'o> = Option<&'o dyn Fn(&str, &DocId) -> bool>;

/// Operations of stored entries that are not in documents yet.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) changes: BTreeMap<SpaceId, Changes>,
    /// Logs of which entries were taken and not merged.
    pub(crate) logs: BTreeSet<(SpaceId, WriterId)>,
    /// Spaces of which every log is applied again.
    pub(crate) rebuilt: BTreeSet<SpaceId>,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Bytes that the operations take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.changes.values().map(Changes::bytes).sum()
    }
}

impl Replica {
    /// Bytes of operations that [`store_batches`](Self::store_batches) left to be merged.
    pub fn pending_bytes(&self) -> usize {
        self.pending.bytes()
    }

    /// Whether stored entries wait to be merged into documents.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Merges what [`store_batches`](Self::store_batches) left, so that queries see it.
    pub fn merge_pending(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        match self.pending.is_empty() {
            true => Ok(()),
            false => self.unit(now_ms, Merging::Now, |_| Ok(())),
        }
    }
}

/// Up to when documents hold a log once what was gathered is merged.
const fn taken_until(log: &WriterState) -> Hlc {
    log.record.applied_hlc
}

fn is_same_document(one: &DocOps<'_>, other: &DocOps<'_>) -> bool {
    one.id() == other.id() && one.collection() == other.collection()
}

impl Writing<'_> {
    /// Merges everything gathered so far.
    pub(crate) fn merge_all(&mut self) -> Result<(), ReplicaError> {
        self.merge_gathered()?;
        self.pending.rebuilt.clear();
        Ok(())
    }

    fn merge_gathered(&mut self) -> Result<(), ReplicaError> {
        let rebuilt = self.pending.rebuilt.clone();
        let pending = std::mem::take(&mut self.pending);
        self.pending.rebuilt = rebuilt;
        for (space, changes) in &pending.changes {
            self.merge(space, changes, None)?;
        }
        for (space, writer) in &pending.logs {
            if let Ok(state) = writer_mut(self.spaces, space, writer) {
                state.all_merged();
                self.dirty_writer(space, writer);
            }
        }
        Ok(())
    }

    /// Gathers a parcel of an entry that this device appended.
    pub(crate) fn gather_own(
        &mut self,
        space: &SpaceId,
        parcel: &[u8],
        stamp: Stamp,
    ) -> Result<(), ReplicaError> {
        let changes = self.pending.changes.entry(*space).or_default();
        let pushed = changes.push(parcel, stamp);
        pushed.map_err(|error| ReplicaError::Refused(error.to_string()))
    }

    /// Merges what was gathered if it takes much memory.
    pub(crate) fn merge_if_much(&mut self) -> Result<(), ReplicaError> {
        match self.pending.bytes() > GATHERED_BYTES_MAX {
            true => self.merge_gathered(),
            false => Ok(()),
        }
    }

    /// Whether every log of a space is being applied again.
    pub(crate) fn is_rebuilt(&self, space: &SpaceId) -> bool {
        self.pending.rebuilt.contains(space)
    }

    /// Gathers the updates of rich fields among operations. Says whether anything else is among them, or
    /// a field that the document does not hold yet.
    fn gather_rich<'c>(
        &self,
        ops: DocOps<'c>,
        document: &Document,
        incoming: &mut Vec<Incoming<'c>>,
    ) -> bool {
        let author = author_number(&ops.stamp().writer);
        let mut other = false;
        for (path, op) in ops.ops() {
            let OpRef::Rich {
                kind,
                base,
                updates,
            } = op
            else {
                other = true;
                continue;
            };
            other |= !document.holds_rich(path, kind, base, self.numbers);
            incoming.extend(updates.iter().map(|update| Incoming {
                path,
                kind,
                base,
                author,
                update,
            }));
        }
        other
    }

    /// Merges operations: of a space of which a part is kept, those on documents that are all here, or
    /// those that `only` names.
    pub(crate) fn merge(
        &mut self,
        space: &SpaceId,
        changes: &Changes,
        only: Only<'_>,
    ) -> Result<(), ReplicaError> {
        let order = changes.by_document();
        let state = self.spaces.get(space);
        let is_whole = only.is_none() && state.is_some_and(|space| space.part.is_none());
        if is_whole && changes.len() >= beside::OPS_MIN {
            let left = self.merge_beside(space, changes, &order)?;
            return self.merge_in_turn(space, changes, &left, only);
        }
        self.merge_in_turn(space, changes, order.positions(), only)
    }

    fn merge_in_turn(
        &mut self,
        space: &SpaceId,
        changes: &Changes,
        order: &[u32],
        only: Only<'_>,
    ) -> Result<(), ReplicaError> {
        let mut buffers = (Vec::new(), Vec::new());
        let mut ops = order
            .chunks(FETCHED_AT_ONCE)
            .flat_map(|some| {
                changes.fetch(some);
                some.iter().filter_map(|&index| changes.doc(index as usize))
            })
            .peekable();
        let mut document = Document::default();
        while let Some(first) = ops.next() {
            let (name, id) = (first.collection(), first.id());
            let part = self.spaces.get(space).and_then(|it| it.part.as_ref());
            let is_meant = match only {
                Some(only) => only(name, id),
                None => part.is_none_or(|part| part.is_filled(name, id)),
            };
            if !is_meant {
                while ops.next_if(|next| is_same_document(next, &first)).is_some() {}
                continue;
            }
            let collection = self.collection_no(space, name)?;
            let loaded = self.tx.with_doc_state(collection, id, |row| {
                document.decode_into(row, self.numbers)
            })?;
            let is_new = loaded.is_none();
            match loaded {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    return Err(ReplicaError::Refused(format!(
                        "the row of document {name}/{id} cannot be read ({error}); run `stead doctor --rebuild`"
                    )));
                }
                None => document.clear(),
            }
            let same = |next: &DocOps<'_>| is_same_document(next, &first);
            let all = std::iter::once(first).chain(ops.clone().take_while(same));
            let shown = match is_new {
                true => None,
                false => self.shown_here(space, (collection, id), &document, all)?,
            };
            let held_rich = document.may_hold_rich();
            let mut incoming = Vec::new();
            let mut changed = is_new;
            let mut next = Some(first);
            while let Some(of_one) = next {
                changed |= self.gather_rich(of_one, &document, &mut incoming);
                document.apply(of_one, self.numbers);
                next = ops.next_if(same);
            }
            // All that was taken of any log is in the document now, or in what was just merged into it.
            if let Some(state) = self.spaces.get(space) {
                state.forget_removals(&mut document, taken_until, self.numbers);
            }
            let shows = match held_rich || !incoming.is_empty() {
                true => self.merge_rich(space, collection, id, &document, &incoming, changed)?,
                false => true,
            };
            if shows {
                self.put_document(space, collection, id, &document, &mut buffers)?;
            }
            self.touch(space, name, id);
            if let Some(shown) = shown {
                self.note_taken(space, (name, id), &shown, &document);
            }
        }
        Ok(())
    }
}
