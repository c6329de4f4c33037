//! Wraps small secrets under a 32-byte key, for those that a database keeps.
//!
//! Owns the byte layout `nonce (12) || ciphertext || tag (16)`, AES-256-GCM-SIV under a key
//! derived for the purpose. Where the wrapping key comes from is the caller's affair.

use aes_gcm_siv::aead::inout::InOutBuf;
use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit, Nonce, Tag};
use stead_base::Entropy;
use zeroize::Zeroizing;

use crate::Hasher;

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Bytes by which a wrapped secret is longer than the secret.
pub const OVERHEAD: usize = NONCE_BYTES + TAG_BYTES;
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

/// Wraps `secret` under `key` for the purpose and place that `context` names, such as
/// `"writer key" || space id`. Unwrapping needs the same key and context.
pub fn seal(
    key: &[u8; 32],
    context: &[u8],
    secret: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, WrapError> {
    if secret.len() > SECRET_BYTES_MAX {
        return Err(WrapError::TooLong { len: secret.len() });
    }
    let mut nonce = Nonce::default();
    entropy.fill(&mut nonce);
    let mut out = Vec::with_capacity(secret.len() + OVERHEAD);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(secret);
    let tag = cipher(key, context)
        .encrypt_inout_detached(&nonce, b"", InOutBuf::from(&mut out[NONCE_BYTES..]))
        .map_err(|_| WrapError::TooLong { len: secret.len() })?;
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Unwraps what [`seal`] made with the same key and context.
pub fn open(
    key: &[u8; 32],
    context: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, WrapError> {
    let (nonce, rest) = wrapped
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(WrapError::NotOpened)?;
    let (text, tag) = rest
        .split_last_chunk::<TAG_BYTES>()
        .ok_or(WrapError::NotOpened)?;
    let mut secret = Zeroizing::new(text.to_vec());
    cipher(key, context)
        .decrypt_inout_detached(
            &Nonce::from(*nonce),
            b"",
            InOutBuf::from(&mut secret[..]),
            &Tag::from(*tag),
        )
        .map_err(|_| WrapError::NotOpened)?;
    Ok(secret)
}

fn cipher(key: &[u8; 32], context: &[u8]) -> Aes256GcmSiv {
    let derived = Zeroizing::new(
        Hasher::deriving("stead/wrapped-secret/1")
            .update(key)
            .update(context)
            .finish_key(),
    );
    Aes256GcmSiv::new((&*derived).into())
}

#[cfg(test)]
mod tests;
