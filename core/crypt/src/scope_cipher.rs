//! The cipher of envelopes and parcels: AES-256-GCM-SIV (RFC 8452) under a key of its own for
//! each epoch, writer and part.
//!
//! Owns key derivation, nonce and associated data of everything that a log carries sealed. The
//! mode resists nonce reuse: should a forked log seal twice under one sequence number and salt,
//! only equality of the two texts would show. See `docs/adr/0001-aead.md` for the choice.

use stead_base::{ScopeId, SpaceId, WriterId};
use zeroize::Zeroizing;

use crate::siv::Siv;
use crate::{EpochKey, Hasher, KeyId};

/// Which part of an entry a cipher is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Hybrid time, dependencies and schema references.
    Envelope,
    /// The operations of one scope.
    Parcel,
    /// What a device says of where it is: no entry, and in no log.
    Presence,
}

impl Part {
    const fn number(self) -> u8 {
        match self {
            Self::Envelope => 0,
            Self::Parcel => 1,
            Self::Presence => 2,
        }
    }
}

/// Bytes that do not open: altered, sealed elsewhere, or sealed under another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not open with this key")]
pub struct NotOpened;

/// A text beyond what one sealing may hold (64 GiB).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is too large to seal at once")]
pub struct TooLarge;

/// Seals and opens one part of one writer's entries in one epoch of one scope.
///
/// Costs a key derivation to make and is cheap to use: make one, keep it, share it between
/// threads. Never allocates beyond the growth of `out`.
pub struct ScopeCipher {
    aead: Siv,
    key_id: KeyId,
}

impl ScopeCipher {
    /// Bytes by which a sealed text is longer than the text.
    pub const OVERHEAD: usize = Siv::TAG_BYTES;

    /// Derives the cipher's key from an epoch key and the place it is for.
    pub fn new(
        key: &EpochKey,
        space: &SpaceId,
        scope: ScopeId,
        generation: u32,
        writer: &WriterId,
        part: Part,
    ) -> Self {
        let derived = Self::disclose(key, space, scope, generation, writer, part);
        Self::from_disclosed(&derived, key.id())
    }

    /// The key that opens one part of one writer's entries in one epoch, to be shown to a stranger
    /// as proof of what they say. It opens nothing else, and the epoch key does not follow from it.
    pub fn disclose(
        key: &EpochKey,
        space: &SpaceId,
        scope: ScopeId,
        generation: u32,
        writer: &WriterId,
        part: Part,
    ) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(
            Hasher::deriving("stead/scope-cipher/1")
                .update(key.expose())
                .update(space.as_bytes())
                .update(&scope.number().to_le_bytes())
                .update(&generation.to_le_bytes())
                .update(writer.as_bytes())
                .update(&[part.number()])
                .finish_key(),
        )
    }

    /// The cipher of a key that was disclosed. `key_id` is that of the epoch key, which every
    /// sealing binds; that the two belong together only opening shows.
    pub fn from_disclosed(derived: &[u8; 32], key_id: KeyId) -> Self {
        Self {
            aead: Siv::new(derived),
            key_id,
        }
    }

    /// The id of the epoch key, which every sealing binds.
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Appends the sealed form of `plaintext` to `out` and returns its length.
    ///
    /// `seq` is the entry's place in the log and `salt` four random bytes of that entry.
    pub fn seal(
        &self,
        seq: u64,
        salt: [u8; 4],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, TooLarge> {
        let start = out.len();
        out.reserve(plaintext.len() + Self::OVERHEAD);
        out.extend_from_slice(plaintext);
        let nonce = nonce(seq, salt);
        let key_id = self.key_id.as_bytes();
        if self.aead.seal(&nonce, key_id, out, start).is_err() {
            out.truncate(start);
            return Err(TooLarge);
        }
        Ok(out.len() - start)
    }

    /// Appends the text of `sealed` to `out` and returns its length. On failure `out` is left as
    /// it was, so that many texts can be opened into one arena.
    pub fn open(
        &self,
        seq: u64,
        salt: [u8; 4],
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, NotOpened> {
        let start = out.len();
        out.extend_from_slice(sealed);
        let nonce = nonce(seq, salt);
        let key_id = self.key_id.as_bytes();
        if self.aead.open(&nonce, key_id, out, start).is_err() {
            out.truncate(start);
            return Err(NotOpened);
        }
        Ok(out.len() - start)
    }
}

impl std::fmt::Debug for ScopeCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScopeCipher({})", self.key_id.short())
    }
}

fn nonce(seq: u64, salt: [u8; 4]) -> [u8; Siv::NONCE_BYTES] {
    let mut nonce = [0; Siv::NONCE_BYTES];
    nonce[..8].copy_from_slice(&seq.to_be_bytes());
    nonce[8..].copy_from_slice(&salt);
    nonce
}

#[cfg(test)]
mod tests;
