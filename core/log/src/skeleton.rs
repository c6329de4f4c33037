//! The beginning of a log without most of its entries: what is left when history is dropped, and
//! what a newcomer starts from.
//!
//! ```text
//! skeleton = writer[32] runs            from 0; see `runs`
//! ```
//!
//! Entries that are kept stand between the hashes of complete subtrees over those that are not, so
//! the skeleton has the log's own root: one signed head vouches for it, what follows verifies as
//! if nothing were missing, and every kept entry has its inclusion proof. The last entry is always
//! kept. Which entries must be kept is for the engine to say; this file knows places and hashes.

use std::collections::BTreeMap;

use stead_base::codec::{DecodeError, Decoder, Encoder};
use stead_base::{Hash, SpaceId, WriterId};

use crate::batch::BatchError;
use crate::head::SignedHead;
use crate::runs::{KeptEntry, Runs, Step, VerifiedRuns};
use crate::tip::Tip;
use crate::tree::{TreeSource, node_hash};

/// Why a skeleton was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SkeletonError {
    /// The bytes are not a skeleton.
    #[error("malformed skeleton of a log: {0}")]
    Malformed(#[from] DecodeError),
    /// The kept entries and skipped places do not add up to its length.
    #[error("the skeleton of a log does not end where it says")]
    Length,
    /// The writer did not sign this history.
    #[error("the head of a skeleton is not signed by its log's writer, or not for this history")]
    Signature,
}

impl From<BatchError> for SkeletonError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Malformed(error) => Self::Malformed(error),
            BatchError::Contradiction { .. } => Self::Signature,
            BatchError::Gap { .. } | BatchError::Count | BatchError::Extension => Self::Length,
        }
    }
}

/// A skeleton as it lies in its bytes; nothing of it is believed before [`Skeleton::verify`].
#[derive(Debug, Clone)]
pub struct Skeleton<'a> {
    /// Whose log.
    pub writer: WriterId,
    /// How many entries of the log it stands for.
    pub len: u64,
    pub(crate) runs: Runs<'a>,
}

impl<'a> Skeleton<'a> {
    /// Writes the skeleton of the first `len` entries of a log. `kept` has the entries to be
    /// kept in ascending order, the last of them at `len - 1`; `tree` knows the log's hashes;
    /// `extension` leads from `len` to `head`.
    pub fn build<S: TreeSource>(
        writer: &WriterId,
        len: u64,
        head: &SignedHead,
        extension: &[Hash],
        kept: &[(u64, Vec<u8>)],
        tree: &mut S,
    ) -> Result<Vec<u8>, S::Error> {
        let mut out = Encoder::new();
        out.raw(writer.as_bytes());
        Runs::build(&mut out, (0, len), head, extension, kept, tree)?;
        Ok(out.finish())
    }

    /// Reads a skeleton; its entries are checked when it is verified.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let writer = WriterId::from_bytes(input.array("writer")?);
        let runs = Runs::decode(&mut input, 0, "skeleton length")?;
        Ok(Self {
            writer,
            len: runs.len,
            runs,
        })
    }

    /// Checks that the log's writer signed a history with exactly these entries in these places.
    pub fn verify(&self, space: &SpaceId) -> Result<VerifiedRuns<'a>, SkeletonError> {
        Ok(Tip::default().verify_runs(space, &self.writer, &self.runs)?)
    }

    /// The hashes that the skeleton knows, for proofs about the entries that it keeps.
    pub fn tree(&self) -> Result<SkeletonTree, SkeletonError> {
        let mut known = BTreeMap::new();
        self.runs.walk(|step| match step {
            Step::Skipped { level, index, hash } => {
                known.insert((level, index), hash);
            }
            Step::Kept(kept) => {
                known.insert((0, kept.seq), kept.entry.leaf_hash());
            }
        })?;
        Ok(SkeletonTree { known })
    }

    /// The kept entries with their places, unverified: for bytes that were verified before.
    pub fn entries(&self) -> Result<Vec<KeptEntry<'a>>, SkeletonError> {
        let mut kept = Vec::new();
        self.runs.walk(|step| {
            if let Step::Kept(entry) = step {
                kept.push(entry);
            }
        })?;
        Ok(kept)
    }
}

/// The subtree hashes that follow from a skeleton.
#[derive(Debug, Clone, Default)]
pub struct SkeletonTree {
    known: BTreeMap<(u32, u64), Hash>,
}

impl SkeletonTree {
    /// The root of a complete subtree; None where the skeleton leaves out too much to tell.
    pub fn subtree(&self, level: u32, index: u64) -> Option<Hash> {
        if let Some(hash) = self.known.get(&(level, index)) {
            return Some(*hash);
        }
        // Below a skipped subtree nothing is known; the search ends at the leaves.
        let below = level.checked_sub(1)?;
        let (from, to) = (index << level, ((index + 1) << level) - 1);
        let any = |level: u32| {
            let range = (level, from >> level)..=(level, to >> level);
            self.known.range(range).next().is_some()
        };
        if !(0..=below).any(any) {
            return None;
        }
        let left = self.subtree(below, 2 * index)?;
        let right = self.subtree(below, 2 * index + 1)?;
        Some(node_hash(&left, &right))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proof::InclusionProof;
    use crate::runs::test_log::{Log, SPACE};

    impl Log {
        /// The skeleton of the first `len` entries under a head of all of them.
        fn skeleton(&self, len: u64, keep: &[u64]) -> Vec<u8> {
            let (head, extension) = self.head_over(len);
            let kept = self.kept(0, len, keep);
            let mut tree = &self.leaves[..];
            Skeleton::build(&self.writer(), len, &head, &extension, &kept, &mut tree).unwrap()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_skeleton_has_the_root_of_the_whole_log(
            len in 1u64..70, more in 0u64..9, keep in prop::collection::vec(0u64..70, 0..6),
        ) {
            let log = Log::new(len + more);
            let bytes = log.skeleton(len, &keep);
            let verified = Skeleton::decode(&bytes).unwrap().verify(&SPACE).unwrap();
            prop_assert_eq!(verified.tip.root(), log.tip(len).root());
            for kept in &verified.kept {
                prop_assert_eq!(kept.entry.bytes(), &log.entries[kept.seq as usize][..]);
            }
        }

        #[test]
        fn every_kept_entry_can_be_proven(
            len in 1u64..70, keep in prop::collection::vec(0u64..70, 0..6),
        ) {
            let log = Log::new(len);
            let bytes = log.skeleton(len, &keep);
            let skeleton = Skeleton::decode(&bytes).unwrap();
            let tree = skeleton.tree().unwrap();
            struct Known(SkeletonTree);
            impl TreeSource for Known {
                type Error = ();
                fn subtree(&mut self, level: u32, index: u64) -> Result<Hash, ()> {
                    self.0.subtree(level, index).ok_or(())
                }
            }
            let root = log.tip(len).root();
            for kept in skeleton.entries().unwrap() {
                let proof = InclusionProof::build(&mut Known(tree.clone()), kept.seq, len);
                let leaf = kept.entry.leaf_hash();
                prop_assert_eq!(proof.unwrap().verify(leaf, kept.seq, len, &root), Ok(()));
            }
        }

        #[test]
        fn a_changed_skeleton_is_refused(
            len in 1u64..40, keep in prop::collection::vec(0u64..40, 0..4), at: usize, to: u8,
        ) {
            let log = Log::new(len);
            let mut bytes = log.skeleton(len, &keep);
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            let verified = Skeleton::decode(&bytes)
                .map_err(SkeletonError::from)
                .and_then(|skeleton| skeleton.verify(&SPACE).map(drop));
            prop_assert!(verified.is_err());
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            if let Ok(skeleton) = Skeleton::decode(&bytes) {
                let _ = skeleton.verify(&SPACE);
                let _ = skeleton.tree();
            }
        }
    }

    #[test]
    fn a_skeleton_that_hides_its_last_entry_is_refused() {
        let log = Log::new(8);
        let head = *log.tip(8).head().unwrap();
        let kept = [(2, log.entries[2].clone())];
        let mut tree = &log.leaves[..];
        let bytes = Skeleton::build(&log.writer(), 8, &head, &[], &kept, &mut tree).unwrap();
        let verified = Skeleton::decode(&bytes).unwrap().verify(&SPACE);
        assert_eq!(verified.unwrap_err(), SkeletonError::Length);
    }
}
