//! Blocks and the pieces they travel in. Owns compression and cutting; what is inside a block is
//! for its kind.
//!
//! ```text
//! piece = kind (1) left:uint bytes        the pieces of a block follow each other; left counts down to 0
//! block = the bytes of its pieces = length:uint lz4
//! ```

use stead_base::codec::{DecodeFault, Decoder, put_uint};

use crate::CheckpointError;

/// Largest block before compression, in bytes: the largest document and its dictionary fit.
pub const BLOCK_BYTES_MAX: usize = 32 << 20;
/// A block is closed once it holds this many bytes before compression.
pub const BLOCK_BYTES_TARGET: usize = 512 << 10;
/// Most bytes of a block in one piece, so that a piece fits an entry.
pub const PIECE_BYTES_MAX: usize = 768 << 10;

/// Most pieces of one block.
const PIECES_MAX: u64 = (BLOCK_BYTES_MAX / PIECE_BYTES_MAX) as u64 + 2;

/// What a block holds. The numbers are apart from those that begin a parcel of document
/// operations, so that a piece is never taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Merged states of documents.
    Documents,
    /// Skeletons of logs.
    Logs,
}

impl BlockKind {
    const fn tag(self) -> u8 {
        match self {
            Self::Documents => 2,
            Self::Logs => 3,
        }
    }
}

/// Compresses a block and cuts it into pieces.
pub fn pieces(kind: BlockKind, body: &[u8]) -> Result<Vec<Vec<u8>>, CheckpointError> {
    let packed = pack(body)?;
    let count = packed.len().div_ceil(PIECE_BYTES_MAX) as u64;
    let cut = packed.chunks(PIECE_BYTES_MAX);
    let piece = |(at, bytes): (u64, &[u8])| {
        let mut piece = vec![kind.tag()];
        put_uint(&mut piece, count - 1 - at);
        piece.extend_from_slice(bytes);
        piece
    };
    Ok((0..).zip(cut).map(piece).collect())
}

/// Compresses a block.
pub(crate) fn pack(body: &[u8]) -> Result<Vec<u8>, CheckpointError> {
    if body.len() > BLOCK_BYTES_MAX {
        let (found, max) = (body.len(), BLOCK_BYTES_MAX);
        return Err(CheckpointError::TooLarge { found, max });
    }
    let mut packed = Vec::new();
    put_uint(&mut packed, body.len() as u64);
    packed.extend_from_slice(&lz4_flex::block::compress(body));
    Ok(packed)
}

/// Joins pieces to blocks.
#[derive(Debug, Default)]
pub struct Assembler {
    open: Option<(BlockKind, u64)>,
    bytes: Vec<u8>,
}

impl Assembler {
    /// Takes the next piece. Returns the block that it completes, unfolded.
    pub fn push(&mut self, piece: &[u8]) -> Result<Option<(BlockKind, Vec<u8>)>, CheckpointError> {
        let mut input = Decoder::new(piece);
        let kind = match input.byte("block kind")? {
            2 => BlockKind::Documents,
            3 => BlockKind::Logs,
            found => return Err(CheckpointError::NotUnderstood { found }),
        };
        let left = input.uint_max(PIECES_MAX, "pieces left")?;
        match self.open {
            Some(expected) if expected != (kind, left) => return Err(CheckpointError::OutOfPlace),
            _ => {}
        }
        if input.remaining() > PIECE_BYTES_MAX {
            let (found, max) = (input.remaining(), PIECE_BYTES_MAX);
            return Err(CheckpointError::TooLarge { found, max });
        }
        self.bytes.extend_from_slice(input.rest());
        if left > 0 {
            self.open = Some((kind, left - 1));
            return Ok(None);
        }
        self.open = None;
        let packed = std::mem::take(&mut self.bytes);
        Ok(Some((kind, unfold(&packed)?)))
    }

    /// Whether a block has begun and not ended.
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

pub(crate) fn unfold(packed: &[u8]) -> Result<Vec<u8>, CheckpointError> {
    let mut input = Decoder::new(packed);
    let len = input.uint_max(BLOCK_BYTES_MAX as u64, "block length")? as usize;
    // No LZ4 block unfolds to more than 255 times its size.
    if len > input.remaining().saturating_mul(255) {
        return Err(input.error("block length", DecodeFault::Truncated).into());
    }
    let mut body = vec![0; len];
    match lz4_flex::block::decompress_into(input.rest(), &mut body) {
        Ok(found) if found == len => Ok(body),
        _ => Err(input.error("block", DecodeFault::Undefined).into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that no compression makes fewer: Marsaglia's xorshift.
    fn incompressible(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        std::iter::repeat_with(&mut next)
            .flatten()
            .take(len)
            .collect()
    }

    #[test]
    fn a_block_larger_than_a_piece_comes_back_whole() {
        let body = incompressible(3 * PIECE_BYTES_MAX);
        let cut = pieces(BlockKind::Documents, &body).unwrap();
        assert!(cut.len() > 2);
        let mut assembler = Assembler::default();
        let mut found = None;
        for piece in &cut {
            assert!(found.is_none());
            found = assembler.push(piece).unwrap();
        }
        assert_eq!(found, Some((BlockKind::Documents, body)));
    }

    #[test]
    fn a_piece_out_of_place_is_refused() {
        let body = incompressible(2 * PIECE_BYTES_MAX);
        let cut = pieces(BlockKind::Documents, &body).unwrap();
        assert!(cut.len() > 1);
        let mut assembler = Assembler::default();
        assembler.push(&cut[0]).unwrap();
        let again = assembler.push(&cut[0]);
        assert_eq!(again, Err(CheckpointError::OutOfPlace));
    }

    #[test]
    fn a_block_at_the_limit_passes_and_one_above_does_not() {
        assert!(pieces(BlockKind::Logs, &vec![0; BLOCK_BYTES_MAX]).is_ok());
        let above = pieces(BlockKind::Logs, &vec![0; BLOCK_BYTES_MAX + 1]);
        assert!(matches!(above, Err(CheckpointError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_joining_panic(pieces: Vec<Vec<u8>>) {
            let mut assembler = Assembler::default();
            for piece in pieces {
                let _ = assembler.push(&piece);
            }
        }
    }
}
