//! A run of a log with most of its entries left out: how a replica follows what it chose of a space.
//!
//! ```text
//! thin = writer[32] from:uint len:uint head_len:uint signature[64] hashes:uint hash[32]{hashes}
//!        kept:uint (skip:uint hash[32]{subtrees over the skipped} length:uint entry[length]){kept}
//! ```
//!
//! It is to a batch what a skeleton is to a log: the entries that are left out are stood for by the
//! hashes of complete subtrees, so one signed head vouches for every kept entry and its place, and what
//! follows verifies as if nothing were missing. The last entry is always kept. Which entries must be
//! kept is for the engine to say; this file knows places and hashes.

use stead_base::codec::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_base::limits::LOG_LEN_MAX;
use stead_base::{Hash, WriterId};

use crate::batch::BatchError;
use crate::head::SignedHead;
use crate::proof::{decode_hashes, encode_hashes};
use crate::skeleton::{
    KEPT_ENTRIES_MAX, KeptEntry, Skeleton, SkeletonError, Step, put_runs, walk_runs,
};
use crate::tip::Tip;
use crate::tree::TreeSource;

/// Entries `from..len` of a log, borrowed from their encoding; nothing of it is believed before
/// [`Tip::verify_thin`].
#[derive(Debug, Clone)]
pub struct ThinBatch<'a> {
    /// Whose log.
    pub writer: WriterId,
    /// Sequence of the first entry that it stands for.
    pub from: u64,
    /// Sequence after the last, which is kept.
    pub len: u64,
    /// Length of the log at the signed head; at least `len`.
    pub head_len: u64,
    /// The writer's signature of that head.
    pub signature: [u8; 64],
    /// Subtree hashes from the end to the head.
    pub extension: Vec<Hash>,
    kept: usize,
    runs: &'a [u8],
}

/// A thin batch that was found to continue a log.
#[derive(Debug)]
pub struct VerifiedThin<'a> {
    /// Where the log stands at its end.
    pub tip: Tip,
    /// The kept entries, in order.
    pub kept: Vec<KeptEntry<'a>>,
    /// Whether any entry is left out.
    pub has_gaps: bool,
}

impl<'a> ThinBatch<'a> {
    /// Writes entries `from..len` of a log. `kept` yields the entries to be kept in ascending order,
    /// the last of them at `len - 1`; `tree` knows the log's hashes; `extension` leads from `len` to
    /// `head`.
    pub fn build<S: TreeSource>(
        writer: &WriterId,
        (from, len): (u64, u64),
        head: &SignedHead,
        extension: &[Hash],
        kept: &[(u64, Vec<u8>)],
        tree: &mut S,
    ) -> Result<Vec<u8>, S::Error> {
        let mut out = Encoder::new();
        out.raw(writer.as_bytes())
            .uint(from)
            .uint(len)
            .uint(head.len);
        out.raw(&head.signature);
        encode_hashes(extension, &mut out);
        put_runs(&mut out, from, kept, tree)?;
        Ok(out.finish())
    }

    /// Reads a thin batch; its entries are checked when it is verified.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let writer = WriterId::from_bytes(input.array("writer")?);
        let from = input.uint_max(LOG_LEN_MAX, "start of a thin batch")?;
        let len = input.uint_max(LOG_LEN_MAX, "end of a thin batch")?;
        let head_len = input.uint_max(LOG_LEN_MAX, "head length")?;
        if len <= from || head_len < len {
            return Err(input.error("end of a thin batch", DecodeFault::Undefined));
        }
        let signature = input.array("signature")?;
        let extension = decode_hashes(&mut input)?;
        let kept = input.count(KEPT_ENTRIES_MAX, 2, "kept entries")?;
        Ok(Self {
            writer,
            from,
            len,
            head_len,
            signature,
            extension,
            kept,
            runs: input.rest(),
        })
    }

    /// The same as a skeleton: the first entries of a log of which most were dropped.
    pub fn of_skeleton(skeleton: &Skeleton<'_>) -> Vec<u8> {
        let mut out = Encoder::new();
        out.raw(skeleton.writer.as_bytes()).uint(0);
        skeleton.encode_behind_writer(&mut out);
        out.finish()
    }

    pub(crate) fn walk(&self, each: impl FnMut(Step<'a>)) -> Result<(), BatchError> {
        walk_runs(self.runs, self.from..self.len, self.kept, each).map_err(|error| match error {
            SkeletonError::Malformed(error) => BatchError::Malformed(error),
            SkeletonError::Length | SkeletonError::Signature => BatchError::Count,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stead_base::{ScopeId, SpaceId};
    use stead_crypt::SigningKey;

    use super::*;
    use crate::entry::{Entry, EntryRef, Parcel};
    use crate::tree::subtree_places;

    const SPACE: SpaceId = SpaceId::from_bytes([9; 32]);

    struct Log {
        key: SigningKey,
        entries: Vec<Vec<u8>>,
        leaves: Vec<Hash>,
    }

    impl Log {
        fn new(len: u64) -> Self {
            let entry = |i: u64| Entry {
                salt: (i as u32).to_be_bytes(),
                envelope_epoch: 0,
                envelope: vec![7; 24],
                parcels: vec![Parcel::Sealed {
                    scope: ScopeId::ROOT,
                    epoch: 0,
                    ciphertext: vec![i as u8; 20],
                }],
            };
            let entries: Vec<_> = (0..len).map(|i| entry(i).encode()).collect();
            let leaf = |entry: &Vec<u8>| EntryRef::parse(entry).unwrap().leaf_hash();
            Self {
                key: SigningKey::from_seed(&[1; 32]),
                leaves: entries.iter().map(leaf).collect(),
                entries,
            }
        }

        fn tip(&self, len: u64) -> Tip {
            let mut tip = Tip::default();
            for leaf in &self.leaves[..len as usize] {
                tip.append(*leaf);
            }
            if len > 0 {
                tip.sign(&SPACE, &self.key);
            }
            tip
        }

        fn thin(&self, from: u64, len: u64, keep: &[u64]) -> Vec<u8> {
            let head = *self.tip(self.leaves.len() as u64).head().unwrap();
            let mut tree = &self.leaves[..];
            let extension: Vec<Hash> = subtree_places(len, head.len)
                .map(|(level, index)| tree.subtree(level, index).unwrap())
                .collect();
            let mut keep: Vec<u64> = keep
                .iter()
                .copied()
                .filter(|seq| (from..len).contains(seq))
                .collect();
            keep.push(len - 1);
            keep.sort_unstable();
            keep.dedup();
            let kept: Vec<_> = keep
                .iter()
                .map(|seq| (*seq, self.entries[*seq as usize].clone()))
                .collect();
            let writer = WriterId::from_bytes(self.key.public());
            ThinBatch::build(&writer, (from, len), &head, &extension, &kept, &mut tree).unwrap()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn thin_batches_lead_to_the_root_of_the_whole_log_however_it_is_cut(
            len in 1u64..90, more in 0u64..9,
            cuts in prop::collection::vec(1u64..90, 0..5),
            keep in prop::collection::vec(0u64..90, 0..9),
        ) {
            let log = Log::new(len + more);
            let mut cuts: Vec<u64> = cuts.into_iter().filter(|cut| *cut < len).collect();
            cuts.push(len);
            cuts.sort_unstable();
            cuts.dedup();
            let mut tip = Tip::default();
            for cut in cuts {
                let bytes = log.thin(tip.len(), cut, &keep);
                let verified = tip.verify_thin(&SPACE, &ThinBatch::decode(&bytes).unwrap()).unwrap();
                for kept in &verified.kept {
                    prop_assert_eq!(kept.entry.bytes(), &log.entries[kept.seq as usize][..]);
                }
                tip = verified.tip;
            }
            prop_assert_eq!(tip.root(), log.tip(len).root());
            // And whole batches go on from there.
            prop_assert_eq!(tip.len(), len);
        }

        #[test]
        fn a_changed_thin_batch_is_refused(
            from in 0u64..20, count in 1u64..40, keep in prop::collection::vec(0u64..60, 0..4),
            at: usize, to: u8,
        ) {
            let log = Log::new(from + count);
            let mut bytes = log.thin(from, from + count, &keep);
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            let tip = log.tip(from);
            let verified = ThinBatch::decode(&bytes)
                .map_err(BatchError::from)
                .and_then(|batch| tip.verify_thin(&SPACE, &batch).map(drop));
            prop_assert!(verified.is_err());
        }

        #[test]
        fn an_entry_cannot_be_hidden_in_a_gap_of_another_size(
            len in 3u64..60, gap in 1u64..50,
        ) {
            // The hashes over one gap do not stand for a longer or shorter one.
            let log = Log::new(len);
            let bytes = log.thin(0, len, &[]);
            let other = Log::new(len + gap).thin(0, len + gap, &[]);
            let take = bytes.len().min(other.len());
            let mixed: Vec<u8> = other[..take / 2].iter().chain(&bytes[take / 2..]).copied().collect();
            let verified = ThinBatch::decode(&mixed)
                .map_err(BatchError::from)
                .and_then(|batch| Tip::default().verify_thin(&SPACE, &batch).map(drop));
            prop_assert!(verified.is_err() || mixed == bytes || mixed == other);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            if let Ok(batch) = ThinBatch::decode(&bytes) {
                let _ = Tip::default().verify_thin(&SPACE, &batch);
            }
        }
    }

    #[test]
    fn a_thin_batch_that_does_not_begin_where_the_log_ends_is_refused() {
        let log = Log::new(9);
        let bytes = log.thin(4, 9, &[6]);
        let batch = ThinBatch::decode(&bytes).unwrap();
        for held in [0, 3, 5, 9] {
            let refused = log.tip(held).verify_thin(&SPACE, &batch).unwrap_err();
            assert_eq!(refused, BatchError::Gap { held, start: 4 });
        }
    }

    #[test]
    fn a_gap_of_a_thousand_entries_costs_a_few_hashes() {
        let log = Log::new(1001);
        let bytes = log.thin(0, 1001, &[]);
        assert!(bytes.len() < 1024, "{}", bytes.len());
    }
}
