//! The beginning of a log without most of its entries: what is left when history is dropped, and
//! what a newcomer starts from.
//!
//! ```text
//! skeleton = writer[32] len:uint head_len:uint signature[64] hashes:uint hash[32]{hashes}
//!            kept:uint (skip:uint hash[32]{subtrees over the skipped} length:uint entry[length]){kept}
//! ```
//!
//! Entries that are kept stand between the hashes of complete subtrees over those that are not, so
//! the skeleton has the log's own root: one signed head vouches for it, what follows verifies as
//! if nothing were missing, and every kept entry has its inclusion proof. The last entry is always
//! kept. Which entries must be kept is for the engine to say; this file knows places and hashes.

use std::collections::BTreeMap;
use std::ops::Range;

use stead_base::codec::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_base::limits::{ENTRY_BYTES_MAX, LOG_LEN_MAX};
use stead_base::{Hash, SpaceId, WriterId};

use crate::entry::EntryRef;
use crate::head::SignedHead;
use crate::proof::{decode_hashes, encode_hashes};
use crate::tip::Tip;
use crate::tree::{Peaks, TreeSource, node_hash, subtree_places};

/// Most entries that one skeleton keeps.
pub const KEPT_ENTRIES_MAX: usize = 1 << 20;

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

/// One entry that a skeleton keeps.
#[derive(Debug, Clone, Copy)]
pub struct KeptEntry<'a> {
    /// Its place in the log.
    pub seq: u64,
    /// The entry.
    pub entry: EntryRef<'a>,
}

/// A skeleton as it lies in its bytes; nothing of it is believed before [`Skeleton::verify`].
#[derive(Debug, Clone)]
pub struct Skeleton<'a> {
    /// Whose log.
    pub writer: WriterId,
    /// How many entries of the log it stands for.
    pub len: u64,
    head_len: u64,
    signature: [u8; 64],
    extension: Vec<Hash>,
    kept: usize,
    runs: &'a [u8],
}

/// A skeleton whose root its writer has signed.
#[derive(Debug)]
pub struct VerifiedSkeleton<'a> {
    /// Where the log stands at its end.
    pub tip: Tip,
    /// The kept entries, in order.
    pub kept: Vec<KeptEntry<'a>>,
    /// Whether any entry is left out.
    pub has_gaps: bool,
}

impl<'a> Skeleton<'a> {
    /// Writes the skeleton of the first `len` entries of a log. `kept` yields the entries to be
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
        out.raw(writer.as_bytes()).uint(len).uint(head.len);
        out.raw(&head.signature);
        encode_hashes(extension, &mut out);
        put_runs(&mut out, 0, kept, tree)?;
        Ok(out.finish())
    }

    /// Reads a skeleton; its entries are checked when it is verified.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let writer = WriterId::from_bytes(input.array("writer")?);
        let len = input.uint_max(LOG_LEN_MAX, "skeleton length")?;
        let head_len = input.uint_max(LOG_LEN_MAX, "head length")?;
        if len == 0 || head_len < len {
            return Err(input.error("skeleton length", DecodeFault::Undefined));
        }
        let signature = input.array("signature")?;
        let extension = decode_hashes(&mut input)?;
        let kept = input.count(KEPT_ENTRIES_MAX, 2, "kept entries")?;
        Ok(Self {
            writer,
            len,
            head_len,
            signature,
            extension,
            kept,
            runs: input.rest(),
        })
    }

    /// Writes it again, without the writer.
    pub(crate) fn encode_behind_writer(&self, out: &mut Encoder) {
        out.uint(self.len).uint(self.head_len).raw(&self.signature);
        encode_hashes(&self.extension, out);
        out.uint(self.kept as u64).raw(self.runs);
    }

    /// Checks that the log's writer signed a history with exactly these entries in these places.
    pub fn verify(&self, space: &SpaceId) -> Result<VerifiedSkeleton<'a>, SkeletonError> {
        let mut peaks = Peaks::empty();
        let mut kept = Vec::with_capacity(self.kept.min(4096));
        let mut has_gaps = false;
        self.walk(|step| match step {
            Step::Skipped { level, hash, .. } => {
                has_gaps = true;
                peaks.push_complete(level, hash);
            }
            Step::Kept(entry) => {
                peaks.push(entry.entry.leaf_hash());
                kept.push(entry);
            }
        })?;
        let covered = peaks
            .extended(self.head_len, &self.extension)
            .ok_or(SkeletonError::Length)?;
        let head = SignedHead {
            len: self.head_len,
            root: covered.root(),
            signature: self.signature,
        };
        head.verify(space, &self.writer)
            .map_err(|_| SkeletonError::Signature)?;
        Ok(VerifiedSkeleton {
            tip: Tip::under_head(peaks, head, self.extension.clone()),
            kept,
            has_gaps,
        })
    }

    /// The hashes that the skeleton knows, for proofs about the entries that it keeps.
    pub fn tree(&self) -> Result<SkeletonTree, SkeletonError> {
        let mut known = BTreeMap::new();
        self.walk(|step| match step {
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
        self.walk(|step| {
            if let Step::Kept(entry) = step {
                kept.push(entry);
            }
        })?;
        Ok(kept)
    }

    fn walk(&self, each: impl FnMut(Step<'a>)) -> Result<(), SkeletonError> {
        walk_runs(self.runs, 0..self.len, self.kept, each)
    }
}

/// Goes through kept entries and what stands for the others, over exactly the places of `range`.
pub(crate) fn walk_runs<'a>(
    runs: &'a [u8],
    range: Range<u64>,
    kept: usize,
    mut each: impl FnMut(Step<'a>),
) -> Result<(), SkeletonError> {
    let mut input = Decoder::new(runs);
    let mut at = range.start;
    for _ in 0..kept {
        let skip = input.uint_max(range.end, "skipped entries")?;
        if at + skip >= range.end {
            return Err(SkeletonError::Length);
        }
        for (level, index) in subtree_places(at, at + skip) {
            let hash = Hash::from_bytes(input.array("subtree")?);
            each(Step::Skipped { level, index, hash });
        }
        at += skip;
        let entry = EntryRef::parse(input.bytes(ENTRY_BYTES_MAX, "kept entry")?)?;
        each(Step::Kept(KeptEntry { seq: at, entry }));
        at += 1;
    }
    input.finish("kept entries")?;
    match at == range.end {
        true => Ok(()),
        false => Err(SkeletonError::Length),
    }
}

/// Writes kept entries and the hashes that stand for the others, from place `from` on.
pub(crate) fn put_runs<S: TreeSource>(
    out: &mut Encoder,
    from: u64,
    kept: &[(u64, Vec<u8>)],
    tree: &mut S,
) -> Result<(), S::Error> {
    out.uint(kept.len() as u64);
    let mut at = from;
    for (seq, entry) in kept {
        out.uint(seq.saturating_sub(at));
        for (level, index) in subtree_places(at, *seq) {
            out.raw(tree.subtree(level, index)?.as_bytes());
        }
        out.bytes(entry);
        at = seq + 1;
    }
    Ok(())
}

/// One place, or a complete subtree of places, of a log of which entries are left out.
pub(crate) enum Step<'a> {
    /// Entries that are left out.
    Skipped { level: u32, index: u64, hash: Hash },
    /// One that is kept.
    Kept(KeptEntry<'a>),
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
    use stead_base::ScopeId;
    use stead_crypt::SigningKey;

    use super::*;
    use crate::entry::{Entry, Parcel};
    use crate::proof::InclusionProof;
    use crate::tree::TreeSource;

    const SPACE: SpaceId = SpaceId::from_bytes([9; 32]);

    fn entry(i: u64) -> Vec<u8> {
        Entry {
            salt: (i as u32).to_be_bytes(),
            envelope_epoch: 0,
            envelope: vec![7; 24],
            parcels: vec![Parcel::Sealed {
                scope: ScopeId::ROOT,
                epoch: 0,
                ciphertext: vec![i as u8; 20],
            }],
        }
        .encode()
    }

    struct Log {
        key: SigningKey,
        entries: Vec<Vec<u8>>,
        leaves: Vec<Hash>,
    }

    impl Log {
        fn new(len: u64) -> Self {
            let entries: Vec<_> = (0..len).map(entry).collect();
            let leaves = entries
                .iter()
                .map(|entry| EntryRef::parse(entry).unwrap().leaf_hash())
                .collect();
            Self {
                key: SigningKey::from_seed(&[1; 32]),
                entries,
                leaves,
            }
        }

        fn writer(&self) -> WriterId {
            WriterId::from_bytes(self.key.public())
        }

        fn tip(&self, len: u64) -> Tip {
            let mut tip = Tip::default();
            for leaf in &self.leaves[..len as usize] {
                tip.append(*leaf);
            }
            tip.sign(&SPACE, &self.key);
            tip
        }

        /// The skeleton of the first `len` entries under a head of all of them.
        fn skeleton(&self, len: u64, keep: &[u64]) -> Vec<u8> {
            let head = *self.tip(self.leaves.len() as u64).head().unwrap();
            let mut tree = &self.leaves[..];
            let extension: Vec<Hash> = subtree_places(len, head.len)
                .map(|(level, index)| tree.subtree(level, index).unwrap())
                .collect();
            let mut keep: Vec<u64> = keep.iter().copied().filter(|seq| *seq < len).collect();
            keep.push(len - 1);
            keep.sort_unstable();
            keep.dedup();
            let kept: Vec<_> = keep
                .iter()
                .map(|seq| (*seq, self.entries[*seq as usize].clone()))
                .collect();
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
