//! Reading logs back for others: batches under a signed head, and the tree behind proofs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use stead_base::limits::{BATCH_BYTES_TARGET, BATCH_ENTRIES_MAX};
use stead_base::{Decoder, Hash, SpaceId, WriterId};
use stead_log::{
    BatchBuilder, BatchEntries, EntryRef, NODE_LEVEL, SignedHead, TreeSource, parent_hash,
    subtree_places, subtree_root,
};
use stead_store::{Read, Store, WriterNo};

use crate::space::{SpaceState, WriterState};
use crate::{Replica, ReplicaError};

impl Replica {
    /// Encodes a batch of a log from entry `from`, at most to `upto` and about `bytes_max` bytes
    /// (one entry may exceed it). None if nothing is held there.
    pub fn read_batch(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        from: u64,
        upto: u64,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        let space = self.space(space)?;
        let Some(state) = space.writers.get(writer) else {
            return Ok(None);
        };
        let upto = upto.min(state.record.tip.len());
        if from >= upto {
            return Ok(None);
        }
        let bytes_max = bytes_max.min(BATCH_BYTES_TARGET);
        let (entries, end) = collect(&self.store, state.no, from, upto, bytes_max)?;
        let Some(head) = head_for(&self.store, space, writer, state, end)? else {
            return Ok(None);
        };
        let mut extension = Vec::new();
        if head.len > end {
            if end == state.record.tip.len() {
                extension = state.record.tip.extension().to_vec();
            } else {
                extension = StoredTree::new(&self.store, state)?.extension(end, head.len)?;
            }
        }
        let count = (end - from) as usize;
        Ok(Some(BatchBuilder::encode(
            writer,
            from,
            count,
            head.len,
            &head.signature,
            &extension,
            &entries,
        )))
    }
}

/// Entries from `from`, each after its length, and the sequence after the last.
fn collect(
    store: &Store,
    no: WriterNo,
    from: u64,
    upto: u64,
    bytes_max: usize,
) -> Result<(Vec<u8>, u64), ReplicaError> {
    let (mut bytes, mut end) = (Vec::new(), from);
    let mut fault = None;
    store.each_segment(no, from, &mut |start, count, segment| {
        let whole = start == end
            && start + u64::from(count) <= upto
            && (end - from) as usize + count as usize <= BATCH_ENTRIES_MAX;
        if whole
            && (bytes.is_empty() || bytes.len() + segment.len() <= bytes_max)
            && segment.len() <= 2 * bytes_max
        {
            bytes.extend_from_slice(segment);
            end += u64::from(count);
            return if bytes.len() < bytes_max {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            };
        }
        let mut iter = BatchEntries::new(segment);
        for seq in start..start + u64::from(count) {
            let before = iter.offset();
            if let Err(error) = iter.skip_one() {
                fault = Some(error);
                return ControlFlow::Break(());
            }
            if seq < end {
                continue;
            }
            let entry = &segment[before..iter.offset()];
            let full = !bytes.is_empty() && bytes.len() + entry.len() > bytes_max;
            if seq >= upto || full || (end - from) as usize >= BATCH_ENTRIES_MAX {
                return ControlFlow::Break(());
            }
            bytes.extend_from_slice(entry);
            end += 1;
        }
        ControlFlow::Continue(())
    })?;
    match fault {
        Some(source) => Err(ReplicaError::Record {
            what: "log segment",
            source,
        }),
        None => Ok((bytes, end)),
    }
}

/// The shortest signed head that covers `end` entries.
fn head_for(
    store: &Store,
    space: &SpaceState,
    writer: &WriterId,
    state: &WriterState,
    end: u64,
) -> Result<Option<SignedHead>, ReplicaError> {
    let tip = &state.record.tip;
    if end < tip.len()
        && let Some(row) = store.head_at_or_after(state.no, end)?
        && row.len <= tip.len()
    {
        let head = SignedHead::decode(&mut Decoder::new(&row.head));
        return head.map(Some).map_err(|source| ReplicaError::Record {
            what: "signed head",
            source,
        });
    }
    Ok(space.head_of(writer))
}

/// The Merkle tree of a stored log.
pub(crate) struct StoredTree<'s> {
    store: &'s Store,
    no: WriterNo,
    len: u64,
    nodes: Vec<Hash>,
    /// Subtrees beyond the held entries, which the tip keeps up to its head.
    beyond: BTreeMap<(u32, u64), Hash>,
}

impl<'s> StoredTree<'s> {
    pub(crate) fn new(store: &'s Store, state: &WriterState) -> Result<Self, ReplicaError> {
        let nodes = store
            .nodes(state.no)?
            .into_iter()
            .map(|(_, hash)| hash)
            .collect();
        let mut tree = Self {
            nodes,
            ..Self::leaves_only(store, state)
        };
        let tip = &state.record.tip;
        if let Some(head) = tip.head() {
            let places = subtree_places(tip.len(), head.len);
            tree.beyond = places.zip(tip.extension().iter().copied()).collect();
        }
        Ok(tree)
    }

    /// The tree computed from nothing but the stored entries.
    pub(crate) const fn leaves_only(store: &'s Store, state: &WriterState) -> Self {
        let (no, len) = (state.no, state.record.tip.len());
        Self {
            store,
            no,
            len,
            nodes: Vec::new(),
            beyond: BTreeMap::new(),
        }
    }

    /// Leaf hashes of `from..to`.
    fn leaves(&self, from: u64, to: u64) -> Result<Vec<Hash>, ReplicaError> {
        let mut leaves = Vec::with_capacity((to - from) as usize);
        let mut at = from;
        while at < to {
            let (bytes, end) = collect(self.store, self.no, at, to, BATCH_BYTES_TARGET)?;
            let mut iter = BatchEntries::new(&bytes);
            let record = |source| ReplicaError::Record {
                what: "log segment",
                source,
            };
            while let Some(entry) = iter.next_bytes().map_err(record)? {
                leaves.push(EntryRef::parse(entry).map_err(record)?.leaf_hash());
            }
            if end == at {
                return Err(ReplicaError::Refused(format!(
                    "entry {at} of a log is missing; run `stead doctor`"
                )));
            }
            at = end;
        }
        Ok(leaves)
    }

    /// Subtree hashes from length `from` to length `to`.
    pub(crate) fn extension(&mut self, from: u64, to: u64) -> Result<Vec<Hash>, ReplicaError> {
        subtree_places(from, to)
            .map(|(level, index)| self.subtree(level, index))
            .collect()
    }
}

impl TreeSource for StoredTree<'_> {
    type Error = ReplicaError;

    fn subtree(&mut self, level: u32, index: u64) -> Result<Hash, ReplicaError> {
        let (from, to) = (index << level, (index + 1) << level);
        if let Some(hash) = self.beyond.get(&(level, index)) {
            return Ok(*hash);
        }
        if to > self.len && level > 0 && !self.beyond.is_empty() {
            let left = self.subtree(level - 1, 2 * index)?;
            return Ok(parent_hash(&left, &self.subtree(level - 1, 2 * index + 1)?));
        }
        if to > self.len {
            return Err(ReplicaError::Refused(format!(
                "entries {from} to {to} are not all held"
            )));
        }
        if level >= NODE_LEVEL {
            let (first, last) = ((from >> NODE_LEVEL) as usize, (to >> NODE_LEVEL) as usize);
            if let Some(nodes) = self.nodes.get(first..last) {
                return Ok(subtree_root(nodes));
            }
        }
        Ok(subtree_root(&self.leaves(from, to)?))
    }
}
