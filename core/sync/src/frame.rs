//! Framing: a length of four bytes, little-endian, then that many bytes. The same on every
//! transport, so that a byte stream, a message stream and the simulator carry the same bytes.
//!
//! Owns no meaning; `message` does. A batch is never copied here when it came in one piece, and
//! copied once when it did not.

use crate::error::PeerMisbehaved;
use bytes::{Buf, Bytes, BytesMut};
use stead_base::limits::FRAME_BYTES_MAX;

/// Bytes of the length before each frame.
pub const LENGTH_BYTES: usize = 4;
/// Room made for a frame before its bytes have come; more is made as they come.
const FIRST_ROOM_BYTES: usize = 320 << 10;

/// One frame ready for the wire: `head` (with the length), then `payload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The length, the kind and the fields.
    pub head: Bytes,
    /// Opaque bytes that end the frame; empty for most kinds.
    pub payload: Bytes,
}

impl Frame {
    /// Puts the length before the fields of a frame. Returns nothing for one that is too long.
    pub(crate) fn new(body: &[u8], payload: Bytes) -> Option<Self> {
        let len = body.len() + payload.len();
        if len > FRAME_BYTES_MAX {
            return None;
        }
        let mut head = Vec::with_capacity(LENGTH_BYTES + body.len());
        head.extend_from_slice(&(len as u32).to_le_bytes());
        head.extend_from_slice(body);
        Some(Self {
            head: head.into(),
            payload,
        })
    }

    /// Bytes on the wire, the length included.
    pub fn wire_bytes(&self) -> usize {
        self.head.len() + self.payload.len()
    }

    /// What the frame costs in credit: its bytes without the length.
    pub(crate) fn cost(&self) -> u64 {
        (self.wire_bytes() - LENGTH_BYTES) as u64
    }

    /// The frame in one piece. Copies; a transport writes `head` and `payload` one after the other.
    pub fn to_vec(&self) -> Vec<u8> {
        [&self.head[..], &self.payload[..]].concat()
    }
}

/// Cuts a stream of bytes into frames, in pieces of any size.
#[derive(Debug, Default)]
pub struct FrameReader {
    partial: BytesMut,
    /// Whole length of the frame in `partial`, once known.
    expected: Option<usize>,
    chunk: Bytes,
}

impl FrameReader {
    /// Starts between two frames.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the stream. Drain [`next_frame`](Self::next_frame) before the next.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::from(&self.chunk[..]);
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// Whether the stream may end here without losing a started frame.
    pub fn is_between_frames(&self) -> bool {
        self.partial.is_empty() && self.chunk.is_empty()
    }

    /// The next whole frame without its length, or nothing until more bytes come.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, PeerMisbehaved> {
        if self.partial.is_empty() {
            if let Some(len) = announced(&self.chunk)?
                && self.chunk.len() - LENGTH_BYTES >= len
            {
                self.chunk.advance(LENGTH_BYTES);
                return Ok(Some(self.chunk.split_to(len)));
            }
            if self.chunk.is_empty() {
                return Ok(None);
            }
        }
        self.fill()
    }

    fn fill(&mut self) -> Result<Option<Bytes>, PeerMisbehaved> {
        let expected = match self.expected {
            Some(expected) => expected,
            None => {
                self.move_up_to(LENGTH_BYTES);
                let Some(len) = announced(&self.partial)? else {
                    return Ok(None);
                };
                self.partial.reserve(len.min(FIRST_ROOM_BYTES));
                *self.expected.insert(LENGTH_BYTES + len)
            }
        };
        self.move_up_to(expected);
        if self.partial.len() < expected {
            return Ok(None);
        }
        self.expected = None;
        let mut frame = std::mem::take(&mut self.partial).freeze();
        frame.advance(LENGTH_BYTES);
        Ok(Some(frame))
    }

    fn move_up_to(&mut self, len: usize) {
        let missing = len.saturating_sub(self.partial.len());
        let taken = self.chunk.split_to(missing.min(self.chunk.len()));
        self.partial.extend_from_slice(&taken);
    }
}

fn announced(input: &[u8]) -> Result<Option<usize>, PeerMisbehaved> {
    let Some(length) = input.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let len = u32::from_le_bytes(*length) as usize;
    match len {
        0 => Err(PeerMisbehaved::FrameEmpty),
        len if len > FRAME_BYTES_MAX => Err(PeerMisbehaved::FrameTooLong {
            len: len as u64,
            max: FRAME_BYTES_MAX as u64,
        }),
        len => Ok(Some(len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(reader: &mut FrameReader) -> Vec<Bytes> {
        std::iter::from_fn(|| reader.next_frame().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn frames_come_out_whole_however_the_stream_is_cut(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..12),
            cuts in prop::collection::vec(1usize..97, 1..40),
        ) {
            let stream: Vec<u8> = bodies
                .iter()
                .flat_map(|body| Frame::new(&body[..1], body[1..].to_vec().into()).unwrap().to_vec())
                .collect();
            let mut reader = FrameReader::new();
            let (mut found, mut at, mut cut) = (Vec::new(), 0, cuts.iter().cycle());
            while at < stream.len() {
                let end = (at + cut.next().unwrap()).min(stream.len());
                reader.push(Bytes::copy_from_slice(&stream[at..end]));
                found.extend(drain(&mut reader));
                at = end;
            }
            prop_assert!(reader.is_between_frames());
            prop_assert_eq!(found, bodies);
        }
    }

    #[test]
    fn a_frame_of_the_longest_length_is_read_and_one_byte_more_is_refused() {
        let longest = Frame::new(&[0; 10], vec![0; FRAME_BYTES_MAX - 10].into()).unwrap();
        let mut reader = FrameReader::new();
        reader.push(longest.to_vec().into());
        assert_eq!(
            reader.next_frame().unwrap().map(|f| f.len()),
            Some(FRAME_BYTES_MAX)
        );
        assert!(Frame::new(&[0; 11], longest.payload).is_none());
        reader.push(Bytes::copy_from_slice(
            &(FRAME_BYTES_MAX as u32 + 1).to_le_bytes(),
        ));
        assert!(matches!(
            reader.next_frame(),
            Err(PeerMisbehaved::FrameTooLong { .. })
        ));
    }

    #[test]
    fn a_length_alone_claims_little_memory() {
        let mut reader = FrameReader::new();
        reader.push(Bytes::copy_from_slice(
            &(FRAME_BYTES_MAX as u32).to_le_bytes(),
        ));
        assert_eq!(reader.next_frame(), Ok(None));
        assert!(reader.partial.capacity() <= 2 * FIRST_ROOM_BYTES);
    }

    #[test]
    fn a_whole_frame_in_one_piece_is_not_copied() {
        let wire = Bytes::from(Frame::new(&[1, 2], vec![7; 1000].into()).unwrap().to_vec());
        let mut reader = FrameReader::new();
        reader.push(wire.clone());
        let frame = reader.next_frame().unwrap().unwrap();
        assert_eq!(frame.as_ptr(), wire[LENGTH_BYTES..].as_ptr());
    }

    #[test]
    fn an_empty_frame_is_refused() {
        let mut reader = FrameReader::new();
        reader.push(Bytes::from_static(&[0; 4]));
        assert_eq!(reader.next_frame(), Err(PeerMisbehaved::FrameEmpty));
    }
}
