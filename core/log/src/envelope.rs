//! The envelope of an entry, in the clear: when it was made and what its writer had seen.
//!
//! ```text
//! envelope = hlc[8, big-endian] count:uint dependency* [rosters:uint [kind:uint later*]]
//! dependency = writer[32] len:uint
//! ```
//!
//! `rosters` counts the entries of this log, this one included, that hold a `@roster` parcel: who
//! starts from a skeleton of the log sees by it that none was left out. `kind` is 1 where the device made the entry by
//! itself and no person did; else it is left out, or 0. `later` is what a newer version may append; this version keeps it sealed in the log and
//! does not read it.

use stead_base::codec::{DecodeError, Decoder, Encoder};
use stead_base::limits::{LOG_LEN_MAX, WRITERS_MAX};
use stead_base::{Hlc, WriterId};

/// The kind of an entry that a device made by itself.
const BY_ITSELF: u64 = 1;

/// The length of another writer's log that was known when an entry was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// The other writer.
    pub writer: WriterId,
    /// How much of its log was known, in entries.
    pub len: u64,
}

/// When an entry was made, and what its writer had seen since its entry before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Hybrid time of the transaction; strictly increases along a log.
    pub hlc: Hlc,
    /// What changed in the writer's known frontier since its last entry.
    pub seen: Vec<Dependency>,
    /// Entries of this log with a `@roster` parcel, this one included; older writers do not say.
    pub rosters: Option<u64>,
    /// Whether the device made the entry by itself, nobody having asked for it; told only where `rosters` is.
    pub by_itself: bool,
}

impl Envelope {
    /// Encodes the envelope, to be sealed.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.raw(&self.hlc.to_u64().to_be_bytes())
            .uint(self.seen.len() as u64);
        for dependency in &self.seen {
            out.raw(dependency.writer.as_bytes()).uint(dependency.len);
        }
        if let Some(rosters) = self.rosters {
            out.uint(rosters);
            if self.by_itself {
                out.uint(BY_ITSELF);
            }
        }
        out.finish()
    }

    /// Decodes an opened envelope.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let hlc = Self::read_hlc(&mut input)?;
        let count = input.count(WRITERS_MAX, 33, "dependency count")?;
        let seen = (0..count)
            .map(|_| {
                Ok(Dependency {
                    writer: WriterId::from_bytes(input.array("dependency")?),
                    len: input.uint_max(LOG_LEN_MAX, "dependency")?,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        let rosters = match input.remaining() {
            0 => None,
            _ => Some(input.uint_max(LOG_LEN_MAX, "count of roster entries")?),
        };
        let kind = input.uint("kind of an entry");
        Ok(Self {
            hlc,
            seen,
            rosters,
            by_itself: kind.is_ok_and(|kind| kind == BY_ITSELF),
        })
    }

    /// Reads only the time: all that merging needs.
    pub fn decode_hlc(bytes: &[u8]) -> Result<Hlc, DecodeError> {
        Self::read_hlc(&mut Decoder::new(bytes))
    }

    fn read_hlc(input: &mut Decoder<'_>) -> Result<Hlc, DecodeError> {
        Ok(Hlc::from_u64(u64::from_be_bytes(
            input.array("hybrid time")?,
        )))
    }
}
