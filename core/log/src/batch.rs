//! A run of entries on its way to another replica, under one signature.
//!
//! ```text
//! batch = writer[32] start:uint count:uint head_len:uint signature[64]
//!         extension_count:uint hash[32]* (length:uint entry)*
//! ```
//!
//! The root is not sent: the receiver computes it from its own tip, the entries and the extension,
//! so a signature that does not fit means that the batch contradicts what the receiver holds.

use stead_base::codec::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_base::limits::{BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX, LOG_LEN_MAX};
use stead_base::{Hash, WriterId};

use crate::entry::EntryRef;
use crate::proof::{decode_hashes, encode_hashes};

/// Why a batch was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes are not a batch.
    #[error("malformed batch: {0}")]
    Malformed(#[from] DecodeError),
    /// It starts after the end of what is held.
    #[error("the batch starts at entry {start}, but only {held} entries are held")]
    Gap {
        /// Entries held.
        held: u64,
        /// Where the batch starts.
        start: u64,
    },
    /// It holds another number of entries than it says.
    #[error("the batch holds another number of entries than it says")]
    Count,
    /// The hashes do not lead from the batch's end to its head.
    #[error("the batch's hashes do not lead to its head")]
    Extension,
    /// The writer's signature does not cover these entries after the ones held: they were
    /// changed on the way, or the writer forked its log.
    #[error(
        "the writer's signature for length {len} does not cover these entries after the ones held"
    )]
    Contradiction {
        /// Length of the head that was claimed.
        len: u64,
    },
}

/// A run of entries of one writer, borrowed from its encoding.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// Whose log.
    pub writer: WriterId,
    /// Sequence of the first entry.
    pub start: u64,
    /// Number of entries, at most [`BATCH_ENTRIES_MAX`].
    pub count: usize,
    /// Length of the log at the signed head; at least `start + count`.
    pub head_len: u64,
    /// The writer's signature of that head.
    pub signature: [u8; 64],
    /// Subtree hashes from the batch's end to the head.
    pub extension: Vec<Hash>,
    /// The entries, each after its length.
    pub entries: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Reads a batch; entries are checked one by one when it is verified.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let writer = WriterId::from_bytes(input.array("writer")?);
        let start = input.uint_max(LOG_LEN_MAX, "batch start")?;
        let count = input.uint_max(BATCH_ENTRIES_MAX as u64, "batch count")? as usize;
        let head_len = input.uint_max(LOG_LEN_MAX, "head length")?;
        if head_len < start + count as u64 {
            return Err(input.error("head length", DecodeFault::Undefined));
        }
        let signature = input.array("signature")?;
        let extension = decode_hashes(&mut input)?;
        Ok(Self {
            writer,
            start,
            count,
            head_len,
            signature,
            extension,
            entries: input.rest(),
        })
    }

    /// Sequence after the last entry.
    pub const fn end(&self) -> u64 {
        self.start + self.count as u64
    }
}

/// Writes a batch.
#[derive(Debug)]
pub struct BatchBuilder;

impl BatchBuilder {
    /// Encodes a batch from `entries` that are already in batch form (each after its length).
    #[allow(clippy::too_many_arguments)]
    pub fn encode(
        writer: &WriterId,
        start: u64,
        count: usize,
        head_len: u64,
        signature: &[u8; 64],
        extension: &[Hash],
        entries: &[u8],
    ) -> Vec<u8> {
        let mut out = Encoder::over(Vec::with_capacity(
            entries.len() + 160 + 32 * extension.len(),
        ));
        out.raw(writer.as_bytes())
            .uint(start)
            .uint(count as u64)
            .uint(head_len)
            .raw(signature);
        encode_hashes(extension, &mut out);
        out.raw(entries);
        out.finish()
    }
}

/// Reads the entries of a batch or of a stored segment, each after its length.
#[derive(Debug, Clone)]
pub struct BatchEntries<'a> {
    input: Decoder<'a>,
}

impl<'a> BatchEntries<'a> {
    /// Starts at the first entry.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            input: Decoder::new(bytes),
        }
    }

    /// The next entry, checked; None at the end.
    pub fn next_entry(&mut self) -> Result<Option<EntryRef<'a>>, DecodeError> {
        self.next_bytes()?.map(EntryRef::parse).transpose()
    }

    /// The next entry's bytes, unchecked; None at the end.
    pub fn next_bytes(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        if self.input.remaining() == 0 {
            return Ok(None);
        }
        self.input.bytes(ENTRY_BYTES_MAX, "entry").map(Some)
    }

    /// Passes over one entry.
    pub fn skip_one(&mut self) -> Result<(), DecodeError> {
        self.input.bytes(ENTRY_BYTES_MAX, "entry").map(|_| ())
    }

    /// Bytes from the next entry on.
    pub fn rest(&self) -> &'a [u8] {
        self.input.rest()
    }

    /// Distance from the start, in bytes.
    pub const fn offset(&self) -> usize {
        self.input.offset()
    }
}
