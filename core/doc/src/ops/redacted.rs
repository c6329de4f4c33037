//! What stands in the place of redacted parcels: the blanking of the places, and what else those
//! parcels said, each with the stamp that it had.
//!
//! ```text
//! redacted = 04 own:uint parcel[own] items:uint item{items}
//! item     = writer[32] seq:uint time[8] length:uint parcel[length]     the parcel may be a redacted one itself
//! ```
//!
//! Owns these bytes and how a parcel is written again without some places. Whether any of it counts is
//! decided elsewhere.

use stead_base::limits::{ENTRY_BYTES_MAX, LOG_LEN_MAX};
use stead_base::{DecodeFault, Decoder, DocId, Encoder, Hlc, Stamp, WriterId};

use super::{Changes, DocOps, OpRef, ParcelError, Transaction, TransactionError};
use crate::path::{Path, PathRef};
use crate::value::DELETED_BYTES;

/// First byte of what stands in the place of redacted parcels.
const REDACTED: u8 = 4;
/// Most parcels that one parcel stands for.
const ITEMS_MAX: usize = 1024;

/// What stands in the place of redacted parcels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redacted {
    /// The parcel that blanks the places, of the entry itself.
    pub own: Vec<u8>,
    /// What else the redacted parcels said.
    pub items: Vec<RedactedItem>,
}

/// What is left of one redacted parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedactedItem {
    /// The stamp that it had.
    pub stamp: Stamp,
    /// The entry in the writer's log.
    pub seq: u64,
    /// The operations that are left; empty if none are.
    pub parcel: Vec<u8>,
}

impl Redacted {
    /// Whether a parcel's plaintext stands in the place of redacted ones.
    pub fn is_one(plaintext: &[u8]) -> bool {
        plaintext.first() == Some(&REDACTED)
    }

    /// Encodes it as a parcel's plaintext.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.byte(REDACTED)
            .bytes(&self.own)
            .uint(self.items.len() as u64);
        for item in &self.items {
            out.raw(item.stamp.writer.as_bytes())
                .uint(item.seq)
                .raw(&item.stamp.hlc.to_u64().to_be_bytes())
                .bytes(&item.parcel);
        }
        out.finish()
    }

    /// Reads the plaintext of a parcel. What it holds is checked when it is pushed.
    pub fn decode(plaintext: &[u8]) -> Result<Self, ParcelError> {
        let mut input = Decoder::new(plaintext);
        let what = "redacted parcels";
        if input.byte(what)? != REDACTED {
            return Err(input.error(what, DecodeFault::Undefined).into());
        }
        let mut redacted = Self {
            own: input.bytes(ENTRY_BYTES_MAX, what)?.to_vec(),
            items: Vec::new(),
        };
        for _ in 0..input.count(ITEMS_MAX, 42, what)? {
            let writer = WriterId::from_bytes(input.array(what)?);
            let seq = input.uint_max(LOG_LEN_MAX, what)?;
            let hlc = Hlc::from_u64(u64::from_be_bytes(input.array(what)?));
            redacted.items.push(RedactedItem {
                stamp: Stamp { hlc, writer },
                seq,
                parcel: input.bytes(ENTRY_BYTES_MAX, what)?.to_vec(),
            });
        }
        input.finish(what)?;
        Ok(redacted)
    }
}

impl Changes {
    /// The operations of all parcels pushed, which must have one stamp, as one parcel without those that
    /// `leaves_out` names. Empty if none are left. Whether a document was deleted or purged is no content
    /// and always stays.
    pub fn written_again(
        &self,
        leaves_out: &dyn Fn(&str, &DocId, PathRef<'_>) -> bool,
    ) -> Result<Vec<u8>, TransactionError> {
        let mut out = Vec::new();
        let Some(stamp) = self.docs().next().map(|docs| docs.stamp()) else {
            return Ok(out);
        };
        let mut transaction = Transaction::new(stamp);
        for docs in self.docs() {
            transaction.open(docs.collection(), docs.id());
            for (path, op) in docs.ops() {
                if path.is_root() || !leaves_out(docs.collection(), docs.id(), path) {
                    transaction.say_again(path, op);
                }
            }
        }
        if !transaction.is_empty() {
            transaction.encode(&mut out)?;
        }
        Ok(out)
    }
}

impl Transaction {
    /// Blanks a field of a document: whatever is at and below it and older is replaced by nothing.
    pub fn blank(&mut self, collection: &str, id: &DocId, path: &Path) {
        self.open(collection, id);
        self.assign(path.as_ref(), |out| {
            out.extend_from_slice(DELETED_BYTES);
            true
        });
    }

    /// Deletes a document, whatever it holds.
    pub fn delete_document(&mut self, collection: &str, id: &DocId) {
        self.open(collection, id);
        self.delete();
    }

    fn say_again(&mut self, path: PathRef<'_>, op: OpRef<'_>) {
        match op {
            OpRef::Assign(value) => self.assign(path, |out| {
                out.extend_from_slice(value.bytes());
                true
            }),
            OpRef::Add { delta, base } => self.add(path, delta, base),
            OpRef::SetAdd(elem) => self.set_add(path, elem.bytes()),
            OpRef::SetRemove { elem, observed } => {
                self.set_remove(path, elem.bytes(), observed.iter().copied());
            }
            OpRef::Restore => self.restore(),
            OpRef::Delete => self.delete(),
            OpRef::Purge => self.purge(),
            OpRef::Rich {
                kind,
                base,
                updates,
            } => {
                for update in updates.iter() {
                    self.rich(path, kind, base, update);
                }
            }
        }
    }
}

/// Whether two parcels say the same of one document.
pub fn say_the_same(one: DocOps<'_>, other: DocOps<'_>) -> bool {
    one.collection() == other.collection()
        && one.id() == other.id()
        && one.stamp() == other.stamp()
        && one.len() == other.len()
        && one.ops().eq(other.ops())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            own: Vec<u8>,
            items: Vec<([u8; 32], u64, u32, Vec<u8>)>,
        ) {
            let item = |(writer, ms, seq, parcel): ([u8; 32], u64, u32, Vec<u8>)| RedactedItem {
                stamp: Stamp { hlc: Hlc::from_u64(ms), writer: WriterId::from_bytes(writer) },
                seq: seq.into(),
                parcel,
            };
            let items = items.into_iter().map(item).collect();
            let redacted = Redacted { own, items };
            prop_assert_eq!(Redacted::decode(&redacted.encode()).unwrap(), redacted);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            let _ = Redacted::decode(&bytes);
        }
    }
}
