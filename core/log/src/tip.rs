//! Where a replica stands in one writer's log, and the only two ways forward: append and verify.

use stead_base::codec::{DecodeError, Decoder, Encoder};
use stead_base::{Hash, SpaceId, WriterId};
use stead_crypt::SigningKey;

use crate::batch::{Batch, BatchEntries, BatchError};
use crate::head::SignedHead;
use crate::proof::{decode_hashes, encode_hashes};
use crate::runs::{Runs, Step, VerifiedRuns};
use crate::thin::ThinBatch;
use crate::tree::{Peaks, subtree_places};

/// A verified prefix of a log: its peaks, the signed head that covers it, and the subtree hashes
/// from the end of the prefix to that head (none when the head is for exactly this length).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tip {
    peaks: Peaks,
    head: Option<SignedHead>,
    extension: Vec<Hash>,
}

/// A batch that was found to continue a log, and what to keep of it.
#[derive(Debug)]
pub struct VerifiedBatch<'a> {
    /// The tip after the batch.
    pub tip: Tip,
    /// Sequence of the first new entry: the length before.
    pub start: u64,
    /// The new entries, in order; those already held are left out.
    pub entries: Vec<&'a [u8]>,
    /// Leaf hashes of the new entries.
    pub leaves: Vec<Hash>,
    /// Encoded new entries as they stood in the batch, each after its length.
    pub bytes: &'a [u8],
    /// Roots of the subtrees of [`crate::NODE_LEVEL`] that the batch completes, with their index.
    pub nodes: Vec<(u64, Hash)>,
}

impl Tip {
    /// A prefix that lies under `head`: `extension` holds the subtree hashes from its end to there.
    /// The caller has checked that they lead to the head's root.
    pub const fn under_head(peaks: Peaks, head: SignedHead, extension: Vec<Hash>) -> Self {
        Self {
            peaks,
            head: Some(head),
            extension,
        }
    }

    /// Entries verified so far.
    pub const fn len(&self) -> u64 {
        self.peaks.len()
    }

    /// Whether nothing is verified yet.
    pub const fn is_empty(&self) -> bool {
        self.peaks.is_empty()
    }

    /// Root over the verified entries.
    pub fn root(&self) -> Hash {
        self.peaks.root()
    }

    /// The signed head that covers the entries. None for an empty log, and for a writer's own log
    /// from an [`append`](Self::append) until it is signed.
    pub const fn head(&self) -> Option<&SignedHead> {
        self.head.as_ref()
    }

    /// The hashes from the end of the verified entries to the head.
    pub fn extension(&self) -> &[Hash] {
        &self.extension
    }

    /// Appends the writer's own next entry without signing: no head covers the log then until
    /// [`Tip::sign`] or [`Tip::cover_with`]. Returns the stored-level subtree that the entry
    /// completes.
    pub fn append(&mut self, leaf: Hash) -> Option<(u64, Hash)> {
        self.head = None;
        self.extension.clear();
        self.peaks.push(leaf)
    }

    /// Whether entries were appended that no head covers yet.
    pub const fn is_unsigned(&self) -> bool {
        self.head.is_none() && !self.is_empty()
    }

    /// Takes a head that the log's writer signed elsewhere, if it is for exactly these entries.
    pub fn cover_with(&mut self, head: SignedHead) -> bool {
        let fits = head.len == self.len() && head.root == self.root();
        if fits {
            self.head = Some(head);
            self.extension.clear();
        }
        fits
    }

    /// Signs the present length, as the log's writer.
    pub fn sign(&mut self, space: &SpaceId, key: &SigningKey) -> SignedHead {
        let head = SignedHead::sign(key, space, self.len(), self.root());
        self.head = Some(head);
        self.extension.clear();
        head
    }

    /// Checks that `batch` continues this log under one signature of its writer.
    ///
    /// Entries that are already held are skipped. A batch that changes nothing is accepted
    /// without a look at its signature.
    pub fn verify<'a>(
        &self,
        space: &SpaceId,
        batch: &Batch<'a>,
    ) -> Result<VerifiedBatch<'a>, BatchError> {
        let held = self.len();
        if batch.start > held {
            return Err(BatchError::Gap {
                held,
                start: batch.start,
            });
        }
        let mut tip = self.clone();
        let skip = (held - batch.start).min(batch.count as u64) as usize;
        let fresh = batch.count - skip;
        let (mut entries, mut leaves) = (Vec::with_capacity(fresh), Vec::with_capacity(fresh));
        let mut nodes = Vec::new();
        let mut iter = BatchEntries::new(batch.entries);
        for _ in 0..skip {
            iter.skip_one()?;
        }
        let bytes = iter.rest();
        for _ in 0..fresh {
            let entry = iter.next_entry()?.ok_or(BatchError::Count)?;
            let leaf = entry.leaf_hash();
            nodes.extend(tip.peaks.push(leaf));
            entries.push(entry.bytes());
            leaves.push(leaf);
        }
        if !iter.rest().is_empty() {
            return Err(BatchError::Count);
        }
        if fresh > 0 {
            tip.cover(
                space,
                &batch.writer,
                batch.head_len,
                batch.signature,
                &batch.extension,
            )?;
        }
        Ok(VerifiedBatch {
            tip,
            start: held,
            entries,
            leaves,
            bytes,
            nodes,
        })
    }

    /// Checks that `batch`, with most of its entries left out, continues this log under one signature
    /// of its writer. It must begin where the log ends.
    pub fn verify_thin<'a>(
        &self,
        space: &SpaceId,
        batch: &ThinBatch<'a>,
    ) -> Result<VerifiedRuns<'a>, BatchError> {
        let held = self.len();
        if batch.from != held {
            return Err(BatchError::Gap {
                held,
                start: batch.from,
            });
        }
        self.verify_runs(space, &batch.writer, &batch.runs)
    }

    /// Checks that `runs`, which begins where the log ends, continues it under one signature of its
    /// writer.
    pub(crate) fn verify_runs<'a>(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        runs: &Runs<'a>,
    ) -> Result<VerifiedRuns<'a>, BatchError> {
        let mut tip = self.clone();
        let mut kept = Vec::new();
        let mut has_gaps = false;
        runs.walk(|step| match step {
            Step::Skipped { level, hash, .. } => {
                has_gaps = true;
                tip.peaks.push_complete(level, hash);
            }
            Step::Kept(entry) => {
                tip.peaks.push(entry.entry.leaf_hash());
                kept.push(entry);
            }
        })?;
        tip.cover(
            space,
            writer,
            runs.head_len,
            runs.signature,
            &runs.extension,
        )?;
        Ok(VerifiedRuns {
            tip,
            kept,
            has_gaps,
        })
    }

    fn cover(
        &mut self,
        space: &SpaceId,
        writer: &WriterId,
        len: u64,
        signature: [u8; 64],
        extension: &[Hash],
    ) -> Result<(), BatchError> {
        let covered = if len == self.len() && extension.is_empty() {
            self.root()
        } else {
            self.peaks
                .extended(len, extension)
                .ok_or(BatchError::Extension)?
                .root()
        };
        let head = SignedHead {
            len,
            root: covered,
            signature,
        };
        head.verify(space, writer)
            .map_err(|_| BatchError::Contradiction { len })?;
        self.head = Some(head);
        self.extension = extension.to_vec();
        Ok(())
    }

    /// Encodes the tip for a store: the peaks, then the head and what leads to it, or nothing
    /// more when no head covers the log.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        self.encode_to(&mut out);
        out.finish()
    }

    /// The same at the end of an encoding.
    pub fn encode_to(&self, out: &mut Encoder) {
        self.peaks.encode(out);
        if let Some(head) = &self.head {
            head.encode(out);
            encode_hashes(&self.extension, out);
        }
    }

    /// Decodes a tip that a store kept.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let peaks = Peaks::decode(&mut input)?;
        if peaks.is_empty() || input.rest().is_empty() {
            input.finish("tip")?;
            return Ok(Self {
                peaks,
                ..Self::default()
            });
        }
        let head = SignedHead::decode(&mut input)?;
        let extension = decode_hashes(&mut input)?;
        if head.len < peaks.len()
            || extension.len() != subtree_places(peaks.len(), head.len).count()
        {
            return Err(input.error("tip", stead_base::DecodeFault::Undefined));
        }
        input.finish("tip")?;
        Ok(Self {
            peaks,
            head: Some(head),
            extension,
        })
    }
}
