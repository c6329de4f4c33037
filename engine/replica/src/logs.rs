//! Reading logs back for others: batches under a signed head, and the tree behind proofs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use stead_base::limits::{BATCH_BYTES_TARGET, BATCH_ENTRIES_MAX};
use stead_base::{Decoder, Hash, SpaceId, WriterId};
use stead_log::{
    BatchBuilder, BatchEntries, EntryRef, NODE_LEVEL, SignedHead, Skeleton, SkeletonError,
    SkeletonTree, TreeSource, parent_hash, subtree_places, subtree_root,
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
        if from >= upto || from < state.record.base {
            return Ok(None);
        }
        let bytes_max = bytes_max.min(BATCH_BYTES_TARGET);
        let (entries, end) = collect(&self.store, state.no, from, upto, bytes_max)?;
        let Some((head, extension)) = self.head_over(space, writer, state, end)? else {
            return Ok(None);
        };
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

    /// The shortest signed head that covers `end` entries, and the hashes that lead to it.
    pub(crate) fn head_over(
        &self,
        space: &SpaceState,
        writer: &WriterId,
        state: &WriterState,
        end: u64,
    ) -> Result<Option<(SignedHead, Vec<Hash>)>, ReplicaError> {
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
        Ok(Some((head, extension)))
    }
}

/// Entries from `from`, each after its length, and the sequence after the last.
fn collect<R: Read>(
    store: &R,
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
pub(crate) struct StoredTree<'s, R> {
    store: &'s R,
    no: WriterNo,
    len: u64,
    nodes: BTreeMap<u64, Hash>,
    /// Subtrees beyond the held entries, which the tip keeps up to its head.
    beyond: BTreeMap<(u32, u64), Hash>,
    /// Entries that were dropped, and what their skeleton knows.
    base: u64,
    skeleton: SkeletonTree,
}

impl<'s, R: Read> StoredTree<'s, R> {
    pub(crate) fn new(store: &'s R, state: &WriterState) -> Result<Self, ReplicaError> {
        let nodes = store.nodes(state.no)?.into_iter().collect();
        let mut tree = Self {
            nodes,
            ..Self::leaves_only(store, state)?
        };
        let tip = &state.record.tip;
        if let Some(head) = tip.head() {
            let places = subtree_places(tip.len(), head.len);
            tree.beyond = places.zip(tip.extension().iter().copied()).collect();
        }
        Ok(tree)
    }

    /// The tree computed from nothing but the stored entries, and the skeleton of those dropped.
    pub(crate) fn leaves_only(store: &'s R, state: &WriterState) -> Result<Self, ReplicaError> {
        let (no, len, base) = (state.no, state.record.tip.len(), state.record.base);
        let kept = match base {
            0 => None,
            _ => store.skeleton(no)?.filter(|(_, bytes)| !bytes.is_empty()),
        };
        let skeleton = match kept {
            None => SkeletonTree::default(),
            Some((_, bytes)) => Skeleton::decode(&bytes)
                .map_err(SkeletonError::from)
                .and_then(|skeleton| skeleton.tree())
                .map_err(|error| ReplicaError::Refused(error.to_string()))?,
        };
        Ok(Self {
            store,
            no,
            len,
            nodes: BTreeMap::new(),
            beyond: BTreeMap::new(),
            base,
            skeleton,
        })
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

    fn of_nodes(&self, level: u32, from: u64, to: u64) -> Option<Hash> {
        if level < NODE_LEVEL {
            return None;
        }
        let (first, last) = (from >> NODE_LEVEL, to >> NODE_LEVEL);
        let nodes: Vec<Hash> = self
            .nodes
            .range(first..last)
            .map(|(_, hash)| *hash)
            .collect();
        (nodes.len() as u64 == last - first).then(|| subtree_root(&nodes))
    }

    fn halves(&mut self, level: u32, index: u64) -> Result<Hash, ReplicaError> {
        let left = self.subtree(level - 1, 2 * index)?;
        Ok(parent_hash(&left, &self.subtree(level - 1, 2 * index + 1)?))
    }
}

impl<R: Read> TreeSource for StoredTree<'_, R> {
    type Error = ReplicaError;

    fn subtree(&mut self, level: u32, index: u64) -> Result<Hash, ReplicaError> {
        let (from, to) = (index << level, (index + 1) << level);
        if let Some(hash) = self.beyond.get(&(level, index)) {
            return Ok(*hash);
        }
        if to > self.len && level > 0 && !self.beyond.is_empty() {
            return self.halves(level, index);
        }
        if to > self.len {
            return Err(ReplicaError::Refused(format!(
                "entries {from} to {to} are not all held"
            )));
        }
        if let Some(hash) = self.of_nodes(level, from, to) {
            return Ok(hash);
        }
        if from < self.base {
            if let Some(hash) = self.skeleton.subtree(level, index) {
                return Ok(hash);
            }
            if to <= self.base || level == 0 {
                return Err(ReplicaError::Refused(format!(
                    "the history before entry {} of this log was dropped here",
                    self.base
                )));
            }
            return self.halves(level, index);
        }
        Ok(subtree_root(&self.leaves(from, to)?))
    }
}
