//! Epoch keys: one generation of a scope's read key, and the id that commits to it.
//!
//! Owns the key material only; who holds which epoch is kept by `access`.

use std::fmt;

use stead_base::{DecodeError, Decoder, Encoder, Entropy, Hash};
use zeroize::Zeroizing;

use crate::hash;

/// Names an epoch key and commits to it: its BLAKE3 derivation, safe to publish.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// Takes the 32 bytes as they are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hexadecimal digits, for people's eyes.
    pub fn short(&self) -> String {
        Hash::from_bytes(self.0).short()
    }

    /// Appends the id to an encoding.
    pub fn encode(&self, out: &mut Encoder) {
        out.raw(&self.0);
    }

    /// Reads an id.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        input.array("key id").map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hash::from_bytes(self.0), f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.short())
    }
}

/// The 32 random bytes that everything written to a scope in one epoch is sealed under.
#[derive(Clone)]
pub struct EpochKey {
    bytes: Zeroizing<[u8; 32]>,
    id: KeyId,
}

impl EpochKey {
    /// Makes a fresh key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(&mut *bytes);
        Self::from_bytes(&bytes)
    }

    /// Takes a key received or read back. The caller wipes its copy.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self {
            id: KeyId(hash::derive("stead/epoch-key-id/1", bytes)),
            bytes: Zeroizing::new(*bytes),
        }
    }

    /// The secret bytes, to be sealed for someone or wrapped for storage.
    pub fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The id that commits to this key.
    pub const fn id(&self) -> KeyId {
        self.id
    }
}

impl PartialEq for EpochKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for EpochKey {}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochKey({})", self.id.short())
    }
}
