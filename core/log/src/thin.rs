//! A run of a log with most of its entries left out: how a replica follows what it chose of a space.
//!
//! ```text
//! thin = writer[32] from:uint runs            see `runs`
//! ```
//!
//! It is to a batch what a skeleton is to a log: the entries that are left out are stood for by the
//! hashes of complete subtrees, so one signed head vouches for every kept entry and its place, and what
//! follows verifies as if nothing were missing. The last entry is always kept. Which entries must be
//! kept is for the engine to say; this file knows places and hashes.

use stead_base::codec::{DecodeError, Decoder, Encoder};
use stead_base::limits::LOG_LEN_MAX;
use stead_base::{Hash, WriterId};

use crate::head::SignedHead;
use crate::runs::Runs;
use crate::skeleton::Skeleton;
use crate::tree::TreeSource;

/// Entries `from..len` of a log, borrowed from their encoding; nothing of it is believed before
/// [`Tip::verify_thin`](crate::Tip::verify_thin).
#[derive(Debug, Clone)]
pub struct ThinBatch<'a> {
    /// Whose log.
    pub writer: WriterId,
    /// Sequence of the first entry that it stands for.
    pub from: u64,
    /// Sequence after the last, which is kept.
    pub len: u64,
    pub(crate) runs: Runs<'a>,
}

impl<'a> ThinBatch<'a> {
    /// Writes entries `from..len` of a log. `kept` has the entries to be kept in ascending order,
    /// the last of them at `len - 1`; `tree` knows the log's hashes; `extension` leads from `len` to
    /// `head`.
    pub fn build<S: TreeSource>(
        writer: &WriterId,
        range: (u64, u64),
        head: &SignedHead,
        extension: &[Hash],
        kept: &[(u64, Vec<u8>)],
        tree: &mut S,
    ) -> Result<Vec<u8>, S::Error> {
        let mut out = Encoder::new();
        out.raw(writer.as_bytes()).uint(range.0);
        Runs::build(&mut out, range, head, extension, kept, tree)?;
        Ok(out.finish())
    }

    /// Reads a thin batch; its entries are checked when it is verified.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let writer = WriterId::from_bytes(input.array("writer")?);
        let from = input.uint_max(LOG_LEN_MAX, "start of a thin batch")?;
        let runs = Runs::decode(&mut input, from, "end of a thin batch")?;
        Ok(Self {
            writer,
            from,
            len: runs.len,
            runs,
        })
    }

    /// The same as a skeleton: the first entries of a log of which most were dropped.
    pub fn of_skeleton(skeleton: &Skeleton<'_>) -> Vec<u8> {
        let mut out = Encoder::new();
        out.raw(skeleton.writer.as_bytes()).uint(0);
        skeleton.runs.encode(&mut out);
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::BatchError;
    use crate::runs::test_log::{Log, SPACE};
    use crate::tip::Tip;

    impl Log {
        fn thin(&self, from: u64, len: u64, keep: &[u64]) -> Vec<u8> {
            let (head, extension) = self.head_over(len);
            let kept = self.kept(from, len, keep);
            let (writer, range) = (self.writer(), (from, len));
            let mut tree = &self.leaves[..];
            ThinBatch::build(&writer, range, &head, &extension, &kept, &mut tree).unwrap()
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
