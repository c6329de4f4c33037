//! The content of a rich field in a block of documents: what its engine holds, as bytes that only the
//! engine reads, and how far each author's operations are in it.
//!
//! ```text
//! content = authors:uint (number[8] next:uint){authors} snapshot:uint bytes[snapshot] updates:uint update{updates}
//! update  = number[8] start:uint end:uint length:uint bytes[length]
//! ```

use std::collections::BTreeMap;

use stead_base::limits::WRITERS_MAX;
use stead_base::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_doc::RichSpan;

use crate::BLOCK_BYTES_MAX;

/// Most authors of one field: the writers of a space, and the seed.
const AUTHORS_MAX: usize = WRITERS_MAX + 1;

/// What a rich field holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RichState {
    /// How far each author's operations have been taken, in the snapshot or the updates.
    pub authors: BTreeMap<u64, u32>,
    /// The engine's snapshot; empty for none.
    pub snapshot: Vec<u8>,
    /// Updates that are not in the snapshot, in the order in which they were taken.
    pub updates: Vec<(RichSpan, Vec<u8>)>,
}

impl RichState {
    /// About how many bytes it takes in a block.
    pub fn bytes(&self) -> usize {
        let updates = self.updates.iter().map(|(_, update)| update.len() + 20);
        self.snapshot.len() + self.authors.len() * 10 + updates.sum::<usize>() + 8
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.uint(self.authors.len() as u64);
        for (author, next) in &self.authors {
            out.raw(&author.to_le_bytes()).uint((*next).into());
        }
        out.bytes(&self.snapshot).uint(self.updates.len() as u64);
        for (span, update) in &self.updates {
            out.raw(&span.author.to_le_bytes())
                .uint(span.start.into())
                .uint(span.end.into())
                .bytes(update);
        }
    }

    pub(crate) fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let what = "rich field";
        let number = |input: &mut Decoder<'_>| Ok(u64::from_le_bytes(input.array(what)?));
        let place = |input: &mut Decoder<'_>| Ok(input.uint_max(u32::MAX.into(), what)? as u32);
        let mut state = Self::default();
        for _ in 0..input.count(AUTHORS_MAX, 9, what)? {
            let author = number(input)?;
            if state
                .authors
                .last_key_value()
                .is_some_and(|(last, _)| *last >= author)
            {
                return Err(input.error(what, DecodeFault::NotCanonical));
            }
            state.authors.insert(author, place(input)?);
        }
        state.snapshot = input.bytes(BLOCK_BYTES_MAX, what)?.to_vec();
        for _ in 0..input.count(usize::MAX, 11, what)? {
            let span = RichSpan {
                author: number(input)?,
                start: place(input)?,
                end: place(input)?,
            };
            state
                .updates
                .push((span, input.bytes(BLOCK_BYTES_MAX, what)?.to_vec()));
        }
        Ok(state)
    }
}
