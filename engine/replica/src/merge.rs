//! Merging gathered operations into document rows: each document is read and written once.

use std::collections::{BTreeMap, BTreeSet};

use stead_base::{SpaceId, WriterId};
use stead_doc::{Changes, Document};

use crate::writing::{Merging, Writing, writer_mut};
use crate::{Replica, ReplicaError};

/// Gathered operations are merged once they take this many bytes in memory. The more is gathered,
/// the more changes of one document share a read and a write of its row.
const GATHERED_BYTES_MAX: usize = 128 << 20;

/// Operations of stored entries that are not in documents yet.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) changes: BTreeMap<SpaceId, Changes>,
    /// Logs of which entries were taken and not merged.
    pub(crate) logs: BTreeSet<(SpaceId, WriterId)>,
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

impl Writing<'_> {
    /// Merges everything gathered so far.
    pub(crate) fn merge_all(&mut self) -> Result<(), ReplicaError> {
        let pending = std::mem::take(&mut self.pending);
        for (space, changes) in &pending.changes {
            self.merge(space, changes)?;
        }
        for (space, writer) in &pending.logs {
            if let Ok(state) = writer_mut(self.spaces, space, writer) {
                state.all_merged();
                self.dirty_writer(space, writer);
            }
        }
        Ok(())
    }

    /// Merges what was gathered if it takes much memory.
    pub(crate) fn merge_if_much(&mut self) -> Result<(), ReplicaError> {
        match self.pending.bytes() > GATHERED_BYTES_MAX {
            true => self.merge_all(),
            false => Ok(()),
        }
    }

    fn merge(&mut self, space: &SpaceId, changes: &Changes) -> Result<(), ReplicaError> {
        let order = changes.by_document();
        let (mut state, mut body) = (Vec::new(), Vec::new());
        let mut ops = order
            .iter()
            .filter_map(|&index| changes.doc(index as usize))
            .peekable();
        let mut document = Document::default();
        while let Some(first) = ops.next() {
            let (name, id) = (first.collection(), first.id());
            let collection = self.collection_no(space, name)?;
            let loaded = self.tx.with_doc_state(collection, id, |row| {
                document.decode_into(row, self.numbers)
            })?;
            match loaded {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    return Err(ReplicaError::Refused(format!(
                        "the row of document {name}/{id} cannot be read ({error}); run `stead doctor --rebuild`"
                    )));
                }
                None => document.clear(),
            }
            document.apply(first, self.numbers);
            while let Some(next) = ops.next_if(|next| next.id() == id && next.collection() == name)
            {
                document.apply(next, self.numbers);
            }
            state.clear();
            body.clear();
            document.encode(&mut state);
            document.project_jsonb(self.numbers, &mut body);
            self.tx
                .put_doc(collection, id, &state, &body, document.is_deleted())?;
            self.touch(space, name, id);
        }
        Ok(())
    }
}
