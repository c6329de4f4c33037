//! Logs as tests have them: entries and a chain of hashes. A batch is the root it follows, then the
//! entries, each after its length.

use crate::Tip;
use crate::io::ReadRequest;
use bytes::Bytes;
use stead_base::{DecodeError, Decoder, Encoder, Hash};
use stead_crypt::hash::digest;

/// Entries, and the root after each.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) entries: Vec<Bytes>,
    roots: Vec<Hash>,
    pub(super) frozen: bool,
}

impl Log {
    pub(super) fn push(&mut self, entry: Bytes) {
        let before = self.root_at(self.entries.len());
        self.roots
            .push(digest(&[&before.as_bytes()[..], &entry].concat()));
        self.entries.push(entry);
    }

    pub(super) fn root_at(&self, len: usize) -> Hash {
        match len {
            0 => Hash::from_bytes([0; 32]),
            len => self.roots[len - 1],
        }
    }

    pub(super) fn tip(&self) -> Tip {
        Tip {
            len: self.entries.len() as u64,
            root: self.root_at(self.entries.len()),
            frozen: self.frozen,
        }
    }

    pub(super) fn batch(&self, read: &ReadRequest) -> Option<(u64, Bytes)> {
        let (from, upto) = (read.from as usize, read.upto as usize);
        if upto > self.entries.len() {
            return None;
        }
        let mut out = Encoder::new();
        out.raw(self.root_at(from).as_bytes());
        let mut end = from;
        while end < upto && (end == from || out.len() + self.entries[end].len() <= read.bytes_max) {
            out.bytes(&self.entries[end]);
            end += 1;
        }
        Some((end as u64, out.finish().into()))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Applied {
    Grew,
    Nothing,
    Contradicts,
}

pub(super) fn apply(log: &mut Log, from: u64, batch: &[u8]) -> Result<Applied, DecodeError> {
    let mut input = Decoder::new(batch);
    let before = Hash::from_bytes(input.array("root")?);
    if from as usize > log.entries.len() {
        return Ok(Applied::Nothing);
    }
    if log.root_at(from as usize) != before {
        return Ok(Applied::Contradicts);
    }
    let mut at = from as usize;
    let mut grew = Applied::Nothing;
    while input.remaining() > 0 {
        let entry = input.bytes(usize::MAX, "entry")?;
        if at < log.entries.len() {
            if log.entries[at] != entry {
                return Ok(Applied::Contradicts);
            }
        } else {
            log.push(Bytes::copy_from_slice(entry));
            grew = Applied::Grew;
        }
        at += 1;
    }
    Ok(grew)
}
