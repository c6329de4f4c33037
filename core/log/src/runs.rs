//! A part of a log of which only some entries are kept: these between the hashes of complete subtrees
//! over the others, under one signed head. What skeletons and thin batches have in common.
//!
//! ```text
//! runs = len:uint head_len:uint signature[64] hashes:uint hash[32]{hashes}
//!        kept:uint (skip:uint hash[32]{subtrees over the skipped} length:uint entry[length]){kept}
//! ```

use stead_base::Hash;
use stead_base::codec::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_base::limits::{ENTRY_BYTES_MAX, LOG_LEN_MAX};

use crate::batch::BatchError;
use crate::entry::EntryRef;
use crate::head::SignedHead;
use crate::proof::{decode_hashes, encode_hashes};
use crate::tip::Tip;
use crate::tree::{TreeSource, subtree_places};

/// Most entries that one skeleton or thin batch keeps.
pub const KEPT_ENTRIES_MAX: usize = 1 << 20;

/// One entry that is kept.
#[derive(Debug, Clone, Copy)]
pub struct KeptEntry<'a> {
    /// Its place in the log.
    pub seq: u64,
    /// The entry.
    pub entry: EntryRef<'a>,
}

/// Kept entries whose places the log's writer has signed.
#[derive(Debug)]
pub struct VerifiedRuns<'a> {
    /// Where the log stands at their end.
    pub tip: Tip,
    /// The kept entries, in order.
    pub kept: Vec<KeptEntry<'a>>,
    /// Whether any entry is left out.
    pub has_gaps: bool,
}

/// Entries `from..len` of a log as they lie in their bytes; nothing of it is believed before
/// [`Tip::verify_runs`].
#[derive(Debug, Clone)]
pub(crate) struct Runs<'a> {
    pub(crate) from: u64,
    pub(crate) len: u64,
    pub(crate) head_len: u64,
    pub(crate) signature: [u8; 64],
    /// Subtree hashes from the end to the head.
    pub(crate) extension: Vec<Hash>,
    kept: usize,
    bytes: &'a [u8],
}

/// One place, or a complete subtree of places, of a log of which entries are left out.
pub(crate) enum Step<'a> {
    /// Entries that are left out.
    Skipped { level: u32, index: u64, hash: Hash },
    /// One that is kept.
    Kept(KeptEntry<'a>),
}

impl<'a> Runs<'a> {
    /// Writes entries `from..len` of a log. `kept` has the entries to be kept in ascending order, the
    /// last of them at `len - 1`; `tree` knows the log's hashes; `extension` leads from `len` to
    /// `head`.
    pub(crate) fn build<S: TreeSource>(
        out: &mut Encoder,
        (from, len): (u64, u64),
        head: &SignedHead,
        extension: &[Hash],
        kept: &[(u64, Vec<u8>)],
        tree: &mut S,
    ) -> Result<(), S::Error> {
        out.uint(len).uint(head.len).raw(&head.signature);
        encode_hashes(extension, out);
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

    /// Reads what begins at entry `from`; `what` names its length in errors.
    pub(crate) fn decode(
        input: &mut Decoder<'a>,
        from: u64,
        what: &'static str,
    ) -> Result<Self, DecodeError> {
        let len = input.uint_max(LOG_LEN_MAX, what)?;
        let head_len = input.uint_max(LOG_LEN_MAX, "head length")?;
        if len <= from || head_len < len {
            return Err(input.error(what, DecodeFault::Undefined));
        }
        Ok(Self {
            from,
            len,
            head_len,
            signature: input.array("signature")?,
            extension: decode_hashes(input)?,
            kept: input.count(KEPT_ENTRIES_MAX, 2, "kept entries")?,
            bytes: input.rest(),
        })
    }

    /// Writes it again.
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.uint(self.len).uint(self.head_len).raw(&self.signature);
        encode_hashes(&self.extension, out);
        out.uint(self.kept as u64).raw(self.bytes);
    }

    /// Goes through kept entries and what stands for the others, over exactly its places.
    pub(crate) fn walk(&self, mut each: impl FnMut(Step<'a>)) -> Result<(), BatchError> {
        let mut input = Decoder::new(self.bytes);
        let mut at = self.from;
        for _ in 0..self.kept {
            let skip = input.uint_max(self.len, "skipped entries")?;
            if at + skip >= self.len {
                return Err(BatchError::Count);
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
        match at == self.len {
            true => Ok(()),
            false => Err(BatchError::Count),
        }
    }
}

#[cfg(test)]
pub(crate) mod test_log {
    //! A log to take runs from.

    use stead_base::{ScopeId, SpaceId, WriterId};
    use stead_crypt::SigningKey;

    use super::*;
    use crate::entry::{Entry, Parcel};

    pub(crate) const SPACE: SpaceId = SpaceId::from_bytes([9; 32]);

    pub(crate) struct Log {
        key: SigningKey,
        pub(crate) entries: Vec<Vec<u8>>,
        pub(crate) leaves: Vec<Hash>,
    }

    impl Log {
        pub(crate) fn new(len: u64) -> Self {
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

        pub(crate) fn writer(&self) -> WriterId {
            WriterId::from_bytes(self.key.public())
        }

        pub(crate) fn tip(&self, len: u64) -> Tip {
            let mut tip = Tip::default();
            for leaf in &self.leaves[..len as usize] {
                tip.append(*leaf);
            }
            if len > 0 {
                tip.sign(&SPACE, &self.key);
            }
            tip
        }

        /// A head of all entries, and what leads to it from `len`.
        pub(crate) fn head_over(&self, len: u64) -> (SignedHead, Vec<Hash>) {
            let head = *self.tip(self.leaves.len() as u64).head().unwrap();
            let mut tree = &self.leaves[..];
            let extension = subtree_places(len, head.len)
                .map(|(level, index)| tree.subtree(level, index).unwrap())
                .collect();
            (head, extension)
        }

        /// Those of `keep` that lie in `from..len`, and the last.
        pub(crate) fn kept(&self, from: u64, len: u64, keep: &[u64]) -> Vec<(u64, Vec<u8>)> {
            let mut keep = keep.to_vec();
            keep.retain(|seq| (from..len).contains(seq));
            keep.push(len - 1);
            keep.sort_unstable();
            keep.dedup();
            let entry = |seq: u64| (seq, self.entries[seq as usize].clone());
            keep.into_iter().map(entry).collect()
        }
    }
}
