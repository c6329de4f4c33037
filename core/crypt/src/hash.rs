//! BLAKE3 in the four ways Stead uses it: plain, keyed, key derivation, and piece by piece.
//!
//! Owns no formats: what is hashed, and under which key or context, is the caller's to say.

use stead_base::Hash;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Hashes `bytes` without a key.
pub fn digest(bytes: &[u8]) -> Hash {
    Hash::from_bytes(*blake3::hash(bytes).as_bytes())
}

/// Hashes `bytes` under a key: a MAC when the key is secret, a separate hash function when it
/// names a domain.
pub fn keyed(key: &[u8; 32], bytes: &[u8]) -> Hash {
    Hash::from_bytes(*blake3::keyed_hash(key, bytes).as_bytes())
}

/// Derives a 32-byte key from `material`. `context` is a constant that says what the key is for,
/// such as `"stead/storage/1"`; it must not contain input.
pub fn derive(context: &str, material: &[u8]) -> [u8; 32] {
    blake3::derive_key(context, material)
}

/// Hashes input that arrives in pieces. Wiped when dropped.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Starts a plain hash, equal to [`digest`] of all pieces.
    pub fn new() -> Self {
        Self(blake3::Hasher::new())
    }

    /// Starts a keyed hash, equal to [`keyed`] of all pieces.
    pub fn keyed(key: &[u8; 32]) -> Self {
        Self(blake3::Hasher::new_keyed(key))
    }

    /// Starts a key derivation, equal to [`derive()`] from all pieces.
    pub fn deriving(context: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(context))
    }

    /// Takes the next piece. Pieces are joined without a separator.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// Takes the next piece after its length, so that neighbours cannot run into each other.
    pub fn update_sized(&mut self, bytes: &[u8]) -> &mut Self {
        self.update(&(bytes.len() as u64).to_le_bytes())
            .update(bytes)
    }

    /// The hash of all pieces so far; more may follow.
    pub fn finish(&self) -> Hash {
        Hash::from_bytes(*self.0.finalize().as_bytes())
    }

    /// The derived key of all pieces so far.
    pub fn finish_key(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }

    /// Forgets all pieces and starts again in the same mode, with the same key or context.
    pub fn reset(&mut self) -> &mut Self {
        self.0.reset();
        self
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Zeroize for Hasher {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_hash_like_the_whole(
            key: [u8; 32], left in prop::collection::vec(any::<u8>(), 0..200), right: [u8; 70]
        ) {
            let whole = [&left[..], &right[..]].concat();
            prop_assert_eq!(Hasher::new().update(&left).update(&right).finish(), digest(&whole));
            prop_assert_eq!(
                Hasher::keyed(&key).update(&left).update(&right).finish(),
                keyed(&key, &whole)
            );
            prop_assert_eq!(
                Hasher::deriving("stead/test/1").update(&left).update(&right).finish_key(),
                derive("stead/test/1", &whole)
            );
        }
    }

    #[test]
    fn the_published_hash_of_nothing_is_met() {
        assert_eq!(
            digest(b"").to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn sized_pieces_do_not_run_into_each_other() {
        let one = Hasher::new()
            .update_sized(b"ab")
            .update_sized(b"c")
            .finish();
        let other = Hasher::new()
            .update_sized(b"a")
            .update_sized(b"bc")
            .finish();
        assert_ne!(one, other);
    }
}
