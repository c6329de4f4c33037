//! Signed heads: a writer's word on its log's length and root.

use stead_base::codec::{DecodeError, Decoder, Encoder};
use stead_base::limits::LOG_LEN_MAX;
use stead_base::{Hash, SpaceId, WriterId};
use stead_crypt::{BadSignature, SigningKey, verify};

const DOMAIN: &[u8; 12] = b"stead/head/1";

/// The length and Merkle root of a log, signed by its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedHead {
    /// Entries covered.
    pub len: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// Ed25519 over `"stead/head/1" || space || len (8 bytes, big-endian) || root`.
    pub signature: [u8; 64],
}

impl SignedHead {
    /// Signs the first `len` entries with root `root`.
    pub fn sign(key: &SigningKey, space: &SpaceId, len: u64, root: Hash) -> Self {
        let signature = key.sign(&message(space, len, &root));
        Self {
            len,
            root,
            signature,
        }
    }

    /// Checks the signature strictly (RFC 8032 with canonical points and scalars).
    pub fn verify(&self, space: &SpaceId, writer: &WriterId) -> Result<(), BadSignature> {
        verify(
            writer.as_bytes(),
            &message(space, self.len, &self.root),
            &self.signature,
        )
    }

    /// Appends length, root and signature.
    pub fn encode(&self, out: &mut Encoder) {
        out.uint(self.len)
            .raw(self.root.as_bytes())
            .raw(&self.signature);
    }

    /// Reads what [`SignedHead::encode`] wrote; does not check the signature.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            len: input.uint_max(LOG_LEN_MAX, "head length")?,
            root: Hash::from_bytes(input.array("head root")?),
            signature: input.array("head signature")?,
        })
    }
}

fn message(space: &SpaceId, len: u64, root: &Hash) -> [u8; 84] {
    let mut message = [0; 84];
    message[..12].copy_from_slice(DOMAIN);
    message[12..44].copy_from_slice(space.as_bytes());
    message[44..52].copy_from_slice(&len.to_be_bytes());
    message[52..].copy_from_slice(root.as_bytes());
    message
}
