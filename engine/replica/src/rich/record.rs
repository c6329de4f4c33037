//! What the store keeps of a rich field beside its updates. Bytes only; `docs/formats/store.md` describes
//! them.

use std::collections::BTreeMap;

use stead_base::{DecodeError, DecodeFault, Decoder, codec::put_uint};
use stead_doc::RichSpan;

const VERSION: u8 = 1;
/// Most authors of one field: the writers of a space, and the seed.
const AUTHORS_MAX: usize = stead_base::limits::WRITERS_MAX + 1;
/// Longest reason kept for a frozen field, in bytes.
const REASON_BYTES_MAX: usize = 512;

/// A field that could not take up an update: it shows what it was before, until it is built again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frozen {
    /// The position of the update that did it.
    pub(crate) at: u32,
    /// What the engine said.
    pub(crate) reason: String,
}

/// What is known of a field without looking into its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RichRecord {
    /// How far each author's operations have been taken, in updates kept or in the snapshot.
    pub(crate) authors: BTreeMap<u64, u32>,
    /// Updates that break the rules and count nowhere.
    pub(crate) rejected: u64,
    /// Set once an update could not be taken up.
    pub(crate) frozen: Option<Frozen>,
}

impl RichRecord {
    /// The record, followed by a snapshot of the content (empty: none).
    pub(crate) fn encode(&self, snapshot: &[u8]) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_uint(&mut out, self.rejected);
        match &self.frozen {
            None => out.push(0),
            Some(frozen) => {
                out.push(1);
                put_uint(&mut out, frozen.at.into());
                let mut end = frozen.reason.len().min(REASON_BYTES_MAX);
                while !frozen.reason.is_char_boundary(end) {
                    end -= 1;
                }
                put_uint(&mut out, end as u64);
                out.extend_from_slice(&frozen.reason.as_bytes()[..end]);
            }
        }
        put_uint(&mut out, self.authors.len() as u64);
        for (author, next) in &self.authors {
            out.extend_from_slice(&author.to_le_bytes());
            put_uint(&mut out, (*next).into());
        }
        out.extend_from_slice(snapshot);
        out
    }

    /// Reads a record and the snapshot behind it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let mut input = Decoder::new(bytes);
        if input.byte("rich version")? != VERSION {
            return Err(input.error("rich version", DecodeFault::Undefined));
        }
        let mut record = Self {
            rejected: input.uint("rejected")?,
            ..Self::default()
        };
        if input.byte("frozen")? != 0 {
            record.frozen = Some(Frozen {
                at: input.uint_max(u32::MAX.into(), "frozen at")? as u32,
                reason: input.text(REASON_BYTES_MAX, "reason")?.to_owned(),
            });
        }
        for _ in 0..input.count(AUTHORS_MAX, 9, "authors")? {
            let author = u64::from_le_bytes(input.array("author")?);
            let next = input.uint_max(u32::MAX.into(), "next")? as u32;
            record.authors.insert(author, next);
        }
        Ok((record, input.rest()))
    }

    /// Notes an update that a row holds.
    pub(crate) fn takes_again(&mut self, span: RichSpan) {
        let next = self.authors.entry(span.author).or_default();
        *next = span.end.max(*next);
    }

    /// Notes an update, unless its author made those operations before in another way.
    pub(crate) fn takes(&mut self, span: RichSpan) -> bool {
        let next = self.authors.entry(span.author).or_default();
        let is_new = span.start >= *next;
        if is_new {
            *next = span.end;
        } else {
            self.rejected += 1;
        }
        is_new
    }
}

/// An update as a row: its span, then its bytes.
pub(crate) fn encode_update(span: RichSpan, update: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(update.len() + 16);
    out.extend_from_slice(&span.author.to_le_bytes());
    put_uint(&mut out, span.start.into());
    put_uint(&mut out, span.end.into());
    out.extend_from_slice(update);
    out
}

/// Reads an update's row.
pub(crate) fn decode_update(row: &[u8]) -> Result<(RichSpan, &[u8]), DecodeError> {
    let mut input = Decoder::new(row);
    let span = RichSpan {
        author: u64::from_le_bytes(input.array("author")?),
        start: input.uint_max(u32::MAX.into(), "start")? as u32,
        end: input.uint_max(u32::MAX.into(), "end")? as u32,
    };
    Ok((span, input.rest()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_reads_back(authors: BTreeMap<u64, u32>, rejected: u64, frozen: Option<(u32, String)>, snapshot: Vec<u8>) {
            let frozen = frozen.map(|(at, reason)| Frozen { at, reason });
            let record = RichRecord { authors, rejected, frozen };
            let bytes = record.encode(&snapshot);
            let (read, rest) = RichRecord::decode(&bytes).unwrap();
            prop_assert_eq!(read, record);
            prop_assert_eq!(rest, &snapshot[..]);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            let _ = RichRecord::decode(&bytes);
            let _ = decode_update(&bytes);
        }
    }

    #[test]
    fn an_author_counts_once_in_each_place() {
        let mut record = RichRecord::default();
        let span = |start, end| RichSpan {
            author: 7,
            start,
            end,
        };
        assert!(record.takes(span(0, 3)));
        assert!(
            !record.takes(span(2, 5)),
            "a second story about operation 2"
        );
        assert!(record.takes(span(3, 4)));
        assert_eq!(record.rejected, 1);
    }
}
