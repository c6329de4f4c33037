//! Wraps small secrets under a 32-byte key, for those that a database keeps.
//!
//! Owns the byte layout `nonce (12) || ciphertext || tag (16)`, AES-256-GCM-SIV under a key
//! derived for the purpose. Where the wrapping key comes from is the caller's affair.

use stead_base::Entropy;
use zeroize::Zeroizing;

use crate::Hasher;
use crate::siv::Siv;

/// Bytes by which a wrapped secret is longer than the secret.
pub const OVERHEAD: usize = Siv::NONCE_BYTES + Siv::TAG_BYTES;
/// Longest secret that may be wrapped, in bytes.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// Why a secret could not be wrapped or unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The secret is above [`SECRET_BYTES_MAX`].
    #[error("a secret of {len} bytes is too long to wrap")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Altered, or wrapped under another key or for another purpose.
    #[error("the wrapped secret does not open with this key for this purpose")]
    NotOpened,
}

/// A wrapping key for one purpose and place, ready for many secrets.
pub struct WrapKey(Siv);

impl WrapKey {
    /// Derives it from `key` for what `context` names, as [`seal`] does.
    pub fn new(key: &[u8; 32], context: &[u8]) -> Self {
        let derived = Zeroizing::new(
            Hasher::deriving("stead/wrapped-secret/1")
                .update(key)
                .update(context)
                .finish_key(),
        );
        Self(Siv::new(&derived))
    }

    /// Wraps `secret`.
    pub fn seal(&self, secret: &[u8], entropy: &mut dyn Entropy) -> Result<Vec<u8>, WrapError> {
        if secret.len() > SECRET_BYTES_MAX {
            return Err(WrapError::TooLong { len: secret.len() });
        }
        let mut nonce = [0; Siv::NONCE_BYTES];
        entropy.fill(&mut nonce);
        let mut out = Vec::with_capacity(secret.len() + OVERHEAD);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(secret);
        (self.0)
            .seal(&nonce, b"", &mut out, Siv::NONCE_BYTES)
            .map_err(|_| WrapError::TooLong { len: secret.len() })?;
        Ok(out)
    }

    /// Unwraps what was wrapped under the same key for the same purpose.
    pub fn open(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, WrapError> {
        let (nonce, rest) = wrapped.split_first_chunk().ok_or(WrapError::NotOpened)?;
        let mut secret = Zeroizing::new(rest.to_vec());
        (self.0)
            .open(nonce, b"", &mut secret, 0)
            .map_err(|_| WrapError::NotOpened)?;
        Ok(secret)
    }
}

impl std::fmt::Debug for WrapKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WrapKey(..)")
    }
}

/// Wraps `secret` under `key` for the purpose and place that `context` names, such as
/// `"writer key" || space id`. Unwrapping needs the same key and context.
pub fn seal(
    key: &[u8; 32],
    context: &[u8],
    secret: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, WrapError> {
    WrapKey::new(key, context).seal(secret, entropy)
}

/// Unwraps what [`seal`] made with the same key and context.
pub fn open(
    key: &[u8; 32],
    context: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, WrapError> {
    WrapKey::new(key, context).open(wrapped)
}

#[cfg(test)]
mod tests;
