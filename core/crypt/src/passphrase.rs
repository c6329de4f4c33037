//! A file container that a passphrase opens: Argon2id (RFC 9106), then AES-256-GCM-SIV.
//!
//! Owns the layout `"STEADPW1" || memory KiB || passes || lanes || salt (16) || length-prefixed
//! ciphertext || checksum (8)`, integers as in [`stead_base::codec`]. The checksum covers only
//! what anyone can read; it tells a damaged file from a wrong passphrase. Bytes in, bytes out:
//! files and prompts are the caller's affair.

use argon2::{Algorithm, Argon2, Params, Version};
use stead_base::{DecodeError, Decoder, Encoder};
use zeroize::Zeroizing;

use crate::hash;
use crate::siv::Siv;

/// Longest secret that a container may hold, in bytes.
pub const SECRET_BYTES_MAX: usize = 64 << 10;
/// Length of the salt, in bytes.
pub const SALT_BYTES: usize = 16;

const MAGIC: &[u8; 8] = b"STEADPW1";
const CHECKSUM_BYTES: usize = 8;
/// Each container has a key of its own.
const NONCE: [u8; Siv::NONCE_BYTES] = [0; Siv::NONCE_BYTES];
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 16;

/// How much work one guess of the passphrase takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// RFC 9106's choice for memory-constrained machines: 64 MiB, three passes, four lanes.
    pub const RECOMMENDED: Self = Self {
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 4,
    };
}

/// Why a container could not be made or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// The passphrase is empty.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The container is whole, but this passphrase does not open it.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The bytes are no container of this kind.
    #[error("this is not a passphrase-protected file of Stead")]
    NotAContainer,
    /// The bytes were altered or cut.
    #[error("the passphrase-protected file is damaged")]
    Damaged(#[source] Option<DecodeError>),
    /// The work asked for is outside what is allowed or possible here.
    #[error("the passphrase cost {0:?} cannot be used")]
    BadCost(Cost),
    /// The secret is above [`SECRET_BYTES_MAX`].
    #[error("a secret of {len} bytes is too long")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
}

/// Wraps `secret` under `passphrase`. `salt` must be fresh random bytes.
pub fn wrap(
    passphrase: &str,
    cost: Cost,
    salt: [u8; SALT_BYTES],
    secret: &[u8],
) -> Result<Vec<u8>, PassphraseError> {
    if secret.len() > SECRET_BYTES_MAX {
        return Err(PassphraseError::TooLong { len: secret.len() });
    }
    let mut out = Encoder::new();
    out.raw(MAGIC)
        .uint(cost.memory_kib.into())
        .uint(cost.passes.into())
        .uint(cost.lanes.into())
        .raw(&salt);
    let aead = cipher(passphrase, cost, &salt)?;
    let mut sealed = Zeroizing::new(secret.to_vec());
    aead.seal(&NONCE, out.as_slice(), &mut sealed, 0)
        .map_err(|_| PassphraseError::TooLong { len: secret.len() })?;
    out.bytes(&sealed);
    let checksum = checksum(out.as_slice());
    out.raw(&checksum);
    Ok(out.finish())
}

/// Unwraps what [`wrap`] made with the same passphrase.
pub fn unwrap(passphrase: &str, container: &[u8]) -> Result<Zeroizing<Vec<u8>>, PassphraseError> {
    let parts = Parts::decode(container)?;
    let aead = cipher(passphrase, parts.cost, &parts.salt)?;
    if parts.sealed.len() < Siv::TAG_BYTES {
        return Err(PassphraseError::Damaged(None));
    }
    let mut secret = Zeroizing::new(parts.sealed.to_vec());
    aead.open(&NONCE, parts.header, &mut secret, 0)
        .map_err(|_| PassphraseError::WrongPassphrase)?;
    Ok(secret)
}

struct Parts<'a> {
    header: &'a [u8],
    cost: Cost,
    salt: [u8; SALT_BYTES],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn decode(container: &'a [u8]) -> Result<Self, PassphraseError> {
        if !container.starts_with(MAGIC) {
            return Err(PassphraseError::NotAContainer);
        }
        let (body, found) = container
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(PassphraseError::Damaged(None))?;
        if checksum(body) != *found {
            return Err(PassphraseError::Damaged(None));
        }
        Self::decode_body(body).map_err(|err| PassphraseError::Damaged(Some(err)))
    }

    fn decode_body(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(body);
        input.raw(MAGIC.len(), "magic")?;
        let cost = Cost {
            memory_kib: input.uint_max(MEMORY_KIB_MAX.into(), "memory")? as u32,
            passes: input.uint_max(PASSES_MAX.into(), "passes")? as u32,
            lanes: input.uint_max(LANES_MAX.into(), "lanes")? as u32,
        };
        let salt = input.array("salt")?;
        let header = &body[..input.offset()];
        let sealed = input.bytes(SECRET_BYTES_MAX + Siv::TAG_BYTES, "sealed secret")?;
        input.finish("passphrase container")?;
        Ok(Self {
            header,
            cost,
            salt,
            sealed,
        })
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut out = [0; CHECKSUM_BYTES];
    out.copy_from_slice(&hash::digest(body).as_bytes()[..CHECKSUM_BYTES]);
    out
}

fn cipher(passphrase: &str, cost: Cost, salt: &[u8; SALT_BYTES]) -> Result<Siv, PassphraseError> {
    if passphrase.is_empty() {
        return Err(PassphraseError::EmptyPassphrase);
    }
    if cost.memory_kib > MEMORY_KIB_MAX || cost.passes > PASSES_MAX || cost.lanes > LANES_MAX {
        return Err(PassphraseError::BadCost(cost));
    }
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))
        .map_err(|_| PassphraseError::BadCost(cost))?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .map_err(|_| PassphraseError::BadCost(cost))?;
    Ok(Siv::new(&key))
}

#[cfg(test)]
mod tests;
