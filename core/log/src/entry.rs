//! The bytes of one entry, and the leaf hash that commits to them.
//!
//! ```text
//! entry    = salt[4] part(envelope) count:uint parcel*
//! part     = epoch:uint length:uint ciphertext
//! parcel   = tag:uint body            tag = scope << 2 | kind
//!   kind 0   sealed    epoch:uint length:uint ciphertext
//!   kind 1   withheld  epoch:uint length:uint hash[32]
//!   kind 2   key box   length:uint bytes             (scope 0)
//! ```
//!
//! The leaf hash covers the salt and envelope as they are and each parcel by the hash of its body,
//! so a sealed parcel and the same parcel withheld have one leaf hash.

use stead_base::codec::{DecodeError, DecodeFault, Decoder, Encoder, put_uint};
use stead_base::limits::{ENTRY_BYTES_MAX, ENTRY_PARCELS_MAX};
use stead_base::{Hash, ScopeId};
use stead_crypt::hash;

const LEAF_KEY: &[u8; 32] = b"stead/log/1 merkle leaf         ";
const BODY_KEY: &[u8; 32] = b"stead/log/1 parcel body         ";

const KIND_SEALED: u64 = 0;
const KIND_WITHHELD: u64 = 1;
const KIND_KEY_BOX: u64 = 2;

/// Ciphertext and the generation of the key that opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedPart<'a> {
    /// Generation of the scope's epoch key.
    pub epoch: u32,
    /// Ciphertext with its tag.
    pub ciphertext: &'a [u8],
}

/// A parcel to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parcel {
    /// Operations of one scope, sealed.
    Sealed {
        /// The scope whose key seals it.
        scope: ScopeId,
        /// Generation of that key.
        epoch: u32,
        /// Ciphertext with its tag.
        ciphertext: Vec<u8>,
    },
    /// Epoch keys sealed to one device; needs no epoch key to open.
    KeyBox(Vec<u8>),
}

/// A parcel as it lies in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParcelRef<'a> {
    /// Operations of one scope, sealed.
    Sealed {
        /// The scope whose key seals it.
        scope: ScopeId,
        /// Ciphertext and key generation.
        part: SealedPart<'a>,
    },
    /// A parcel that this replica was not given; its hash keeps the log verifiable.
    Withheld {
        /// The scope whose key seals it.
        scope: ScopeId,
        /// Generation of that key.
        epoch: u32,
        /// Length of the ciphertext in bytes.
        len: u64,
        /// Hash of the ciphertext.
        hash: Hash,
    },
    /// Epoch keys sealed to one device.
    KeyBox(&'a [u8]),
}

/// An entry to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Random part of every nonce in this entry.
    pub salt: [u8; 4],
    /// Generation of the `@roster` key that seals the envelope.
    pub envelope_epoch: u32,
    /// The sealed envelope.
    pub envelope: Vec<u8>,
    /// Parcels, at most [`ENTRY_PARCELS_MAX`].
    pub parcels: Vec<Parcel>,
}

impl Entry {
    /// Encodes the entry.
    pub fn encode(&self) -> Vec<u8> {
        let sealed = self.parcels.iter().map(|parcel| match parcel {
            Parcel::Sealed { ciphertext, .. } => ciphertext.len(),
            Parcel::KeyBox(bytes) => bytes.len(),
        });
        // Numbers and lengths take a few bytes each.
        let parcels: usize = sealed.map(|len| len + 16).sum();
        let mut out = Encoder::over(Vec::with_capacity(self.envelope.len() + parcels + 32));
        out.raw(&self.salt)
            .uint(self.envelope_epoch.into())
            .bytes(&self.envelope);
        out.uint(self.parcels.len() as u64);
        for parcel in &self.parcels {
            match parcel {
                Parcel::Sealed {
                    scope,
                    epoch,
                    ciphertext,
                } => out
                    .uint(scope.number() << 2 | KIND_SEALED)
                    .uint((*epoch).into())
                    .bytes(ciphertext),
                Parcel::KeyBox(bytes) => out.uint(KIND_KEY_BOX).bytes(bytes),
            };
        }
        out.finish()
    }
}

/// An encoded entry, checked and borrowed.
#[derive(Debug, Clone, Copy)]
pub struct EntryRef<'a> {
    bytes: &'a [u8],
    envelope: SealedPart<'a>,
    parcels_at: usize,
    parcels: usize,
}

impl<'a> EntryRef<'a> {
    /// Checks that `bytes` are exactly one entry within the limits.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        if bytes.len() > ENTRY_BYTES_MAX {
            let (found, max) = (bytes.len() as u64, ENTRY_BYTES_MAX as u64);
            return Err(input.error("entry", DecodeFault::TooLong { found, max }));
        }
        input.raw(4, "salt")?;
        let envelope = read_part(&mut input, "envelope")?;
        let parcels = input.count(ENTRY_PARCELS_MAX, 2, "parcel count")?;
        let parcels_at = input.offset();
        for _ in 0..parcels {
            read_parcel(&mut input)?;
        }
        input.finish("entry")?;
        Ok(Self {
            bytes,
            envelope,
            parcels_at,
            parcels,
        })
    }

    /// The encoded entry.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Random part of every nonce in this entry.
    pub fn salt(&self) -> [u8; 4] {
        [self.bytes[0], self.bytes[1], self.bytes[2], self.bytes[3]]
    }

    /// The sealed envelope.
    pub const fn envelope(&self) -> SealedPart<'a> {
        self.envelope
    }

    /// The parcels, in order.
    pub fn parcels(&self) -> impl Iterator<Item = ParcelRef<'a>> + use<'a> {
        let mut input = Decoder::new(&self.bytes[self.parcels_at..]);
        // `parse` has read every parcel once, so none of these reads fails.
        (0..self.parcels).map_while(move |_| read_parcel(&mut input).ok())
    }

    /// The hash that the log's Merkle tree holds for this entry.
    pub fn leaf_hash(&self) -> Hash {
        let mut preimage = Vec::with_capacity(self.parcels_at + self.parcels * 44);
        preimage.extend_from_slice(&self.bytes[..self.parcels_at]);
        for parcel in self.parcels() {
            let (tag, epoch, len, body) = match parcel {
                ParcelRef::Sealed { scope, part } => {
                    let body = hash::keyed(BODY_KEY, part.ciphertext);
                    (
                        scope.number() << 2,
                        part.epoch,
                        part.ciphertext.len() as u64,
                        body,
                    )
                }
                ParcelRef::Withheld {
                    scope,
                    epoch,
                    len,
                    hash,
                } => (scope.number() << 2, epoch, len, hash),
                ParcelRef::KeyBox(bytes) => (
                    KIND_KEY_BOX,
                    0,
                    bytes.len() as u64,
                    hash::keyed(BODY_KEY, bytes),
                ),
            };
            put_uint(&mut preimage, tag);
            put_uint(&mut preimage, epoch.into());
            put_uint(&mut preimage, len);
            preimage.extend_from_slice(body.as_bytes());
        }
        hash::keyed(LEAF_KEY, &preimage)
    }

    /// The same entry without the parcels of scopes that `keep` refuses: it has the same leaf hash.
    pub fn withhold(&self, keep: impl Fn(ScopeId) -> bool) -> Vec<u8> {
        let mut out = Encoder::over(self.bytes[..self.parcels_at].to_vec());
        for parcel in self.parcels() {
            match parcel {
                ParcelRef::Sealed { scope, part } if keep(scope) => {
                    out.uint(scope.number() << 2 | KIND_SEALED);
                    out.uint(part.epoch.into()).bytes(part.ciphertext)
                }
                ParcelRef::Sealed { scope, part } => {
                    out.uint(scope.number() << 2 | KIND_WITHHELD)
                        .uint(part.epoch.into());
                    out.uint(part.ciphertext.len() as u64);
                    out.raw(hash::keyed(BODY_KEY, part.ciphertext).as_bytes())
                }
                ParcelRef::Withheld {
                    scope,
                    epoch,
                    len,
                    hash,
                } => {
                    out.uint(scope.number() << 2 | KIND_WITHHELD)
                        .uint(epoch.into());
                    out.uint(len).raw(hash.as_bytes())
                }
                ParcelRef::KeyBox(bytes) => out.uint(KIND_KEY_BOX).bytes(bytes),
            };
        }
        out.finish()
    }
}

fn read_epoch(input: &mut Decoder<'_>, what: &'static str) -> Result<u32, DecodeError> {
    Ok(input.uint_max(u32::MAX.into(), what)? as u32)
}

fn read_part<'a>(
    input: &mut Decoder<'a>,
    what: &'static str,
) -> Result<SealedPart<'a>, DecodeError> {
    let epoch = read_epoch(input, what)?;
    let ciphertext = input.bytes(ENTRY_BYTES_MAX, what)?;
    Ok(SealedPart { epoch, ciphertext })
}

fn read_parcel<'a>(input: &mut Decoder<'a>) -> Result<ParcelRef<'a>, DecodeError> {
    let tag = input.uint("parcel tag")?;
    let scope = ScopeId::from_number(tag >> 2);
    match tag & 3 {
        KIND_SEALED => Ok(ParcelRef::Sealed {
            scope,
            part: read_part(input, "parcel")?,
        }),
        KIND_WITHHELD => Ok(ParcelRef::Withheld {
            scope,
            epoch: read_epoch(input, "withheld parcel")?,
            len: input.uint_max(ENTRY_BYTES_MAX as u64, "withheld parcel")?,
            hash: Hash::from_bytes(input.array("withheld parcel")?),
        }),
        KIND_KEY_BOX if scope == ScopeId::ROSTER => {
            Ok(ParcelRef::KeyBox(input.bytes(ENTRY_BYTES_MAX, "key box")?))
        }
        _ => Err(input.error("parcel tag", DecodeFault::Undefined)),
    }
}
