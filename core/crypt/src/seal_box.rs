//! Boxes sealed to a device's public key: HPKE (RFC 9180) with the hybrid post-quantum KEM
//! X-Wing, HKDF-SHA256 and ChaCha20-Poly1305; base mode, or PSK mode where both sides already
//! share a secret.
//!
//! Owns the byte layout of a box: `encapsulated key (1120) || ciphertext || tag (16)`. What a box
//! holds and what its `info` binds is the caller's to say.

use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, XWing};
use hpke::{Deserializable, OpModeR, OpModeS, PskBundle, Serializable};
use rand_core::{Infallible, TryCryptoRng, TryRng};
use stead_base::Entropy;
use zeroize::Zeroizing;

/// Length of an encoded [`KemPublic`], in bytes.
pub const PUBLIC_BYTES: usize = 1216;
/// Length of the encapsulated key that opens every box, in bytes.
pub const ENCAPSULATED_BYTES: usize = 1120;
/// Bytes by which a box is longer than the text inside.
pub const OVERHEAD: usize = ENCAPSULATED_BYTES + 16;

const PSK_ID: &[u8] = b"stead/psk/1";

/// Why a box could not be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoxError {
    /// The bytes are no X-Wing public key.
    #[error("the public sealing key is malformed")]
    BadPublicKey,
    /// The box was altered, or made for another key, purpose or shared secret.
    #[error("the box does not open with this key")]
    NotOpened,
}

/// The public half of a device's sealing key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KemPublic(Box<[u8; PUBLIC_BYTES]>);

impl KemPublic {
    /// Checks and takes an encoded key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BoxError> {
        <XWing as Kem>::PublicKey::from_bytes(bytes).map_err(|_| BoxError::BadPublicKey)?;
        let boxed: Box<[u8]> = bytes.into();
        Ok(Self(boxed.try_into().map_err(|_| BoxError::BadPublicKey)?))
    }

    /// The encoded key.
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_BYTES] {
        &self.0
    }
}

impl fmt::Debug for KemPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemPublic({})", crate::hash::digest(&*self.0).short())
    }
}

/// The private half of a device's sealing key, kept as its seed.
#[derive(Clone)]
pub struct KemSecret {
    seed: Zeroizing<[u8; 32]>,
    public: KemPublic,
}

impl KemSecret {
    /// Makes the key pair of a seed (HPKE's `DeriveKeyPair`). The caller wipes its copy.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let (_, public) = XWing::derive_keypair(seed);
        Self {
            seed: Zeroizing::new(*seed),
            public: KemPublic(Box::new(public.to_bytes().into())),
        }
    }

    /// The public half.
    pub const fn public(&self) -> &KemPublic {
        &self.public
    }

    /// Opens a box made by [`seal`] with the same `info`, `aad` and shared secret.
    pub fn open(
        &self,
        info: &[u8],
        aad: &[u8],
        sealed: &[u8],
        psk: Option<&[u8; 32]>,
    ) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        let (encapsulated, ciphertext) = sealed
            .split_at_checked(ENCAPSULATED_BYTES)
            .ok_or(BoxError::NotOpened)?;
        let encapsulated = <XWing as Kem>::EncappedKey::from_bytes(encapsulated)
            .map_err(|_| BoxError::NotOpened)?;
        let (private, _) = XWing::derive_keypair(&*self.seed);
        let mode = match psk {
            Some(psk) => OpModeR::Psk(psk_bundle(psk)?),
            None => OpModeR::Base,
        };
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &mode,
            &private,
            &encapsulated,
            info,
            ciphertext,
            aad,
        )
        .map(Zeroizing::new)
        .map_err(|_| BoxError::NotOpened)
    }
}

impl fmt::Debug for KemSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemSecret(of {:?})", self.public)
    }
}

/// Seals `plaintext` to the holder of `to`. `info` names the purpose and `aad` the circumstances;
/// both must be given again to open it. With `psk`, only a holder of that secret can open it, and
/// the opener knows that the sealer held it.
pub fn seal(
    to: &KemPublic,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    psk: Option<&[u8; 32]>,
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, BoxError> {
    let public =
        <XWing as Kem>::PublicKey::from_bytes(to.as_bytes()).map_err(|_| BoxError::BadPublicKey)?;
    let mode = match psk {
        Some(psk) => OpModeS::Psk(psk_bundle(psk)?),
        None => OpModeS::Base,
    };
    let (encapsulated, ciphertext) =
        hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &mode,
            &public,
            info,
            plaintext,
            aad,
            &mut EntropyRng(entropy),
        )
        .map_err(|_| BoxError::BadPublicKey)?;
    Ok([&encapsulated.to_bytes()[..], &ciphertext].concat())
}

fn psk_bundle(psk: &[u8; 32]) -> Result<PskBundle<'_>, BoxError> {
    PskBundle::new(psk, PSK_ID).map_err(|_| BoxError::NotOpened)
}

/// Hands the caller's randomness to `hpke`.
struct EntropyRng<'a>(&'a mut dyn Entropy);

impl TryRng for EntropyRng<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut buf = [0; 4];
        self.0.fill(&mut buf);
        Ok(u32::from_le_bytes(buf))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut buf = [0; 8];
        self.0.fill(&mut buf);
        Ok(u64::from_le_bytes(buf))
    }

    fn try_fill_bytes(&mut self, buf: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(buf);
        Ok(())
    }
}

impl TryCryptoRng for EntropyRng<'_> {}

#[cfg(test)]
mod tests;
