//! CPace's arithmetic, as the draft writes it (7, 8.3 and appendix A; names in brackets are its).
//!
//! Owns the generator, the shares and the session key for ristretto255 and SHA-512. Knows neither
//! messages nor roles beyond the order in which their parts are hashed.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use sha2::{Digest, Sha512};
use stead_base::{Entropy, codec};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::Binding;

/// Length of a share.
pub(super) const SHARE_BYTES: usize = 32;

const DSI: &[u8] = b"CPaceRistretto255";
const DSI_ISK: &[u8] = b"CPaceRistretto255_ISK";
/// Input block of SHA-512, to which code and padding fill up the first block [`s_in_bytes`].
const BLOCK_BYTES: usize = 128;

/// One side's secret number and the share made with it. Wiped when dropped.
pub(super) struct Secret {
    scalar: Zeroizing<Scalar>,
    /// The public share [`Ya` or `Yb`].
    pub(super) share: [u8; SHARE_BYTES],
}

impl Secret {
    /// Draws a secret number for a code [`PRS`]. The session id [`sid`] is the channel's bytes.
    pub(super) fn new(code: &[u8], binding: &Binding<'_>, entropy: &mut dyn Entropy) -> Self {
        let mut wide = Zeroizing::new([0; 64]);
        entropy.fill(&mut *wide);
        let scalar = Scalar::from_bytes_mod_order_wide(&wide);
        let generator = generator(code, &binding.identifiers(), binding.channel);
        Self::with(scalar, &generator)
    }

    fn with(scalar: Scalar, generator: &RistrettoPoint) -> Self {
        let scalar = Zeroizing::new(scalar);
        Self {
            share: (generator * *scalar).compress().to_bytes(),
            scalar,
        }
    }

    /// The session key [`ISK_IR`]; nothing if the share is no element, or the neutral one. The
    /// parts are the initiator's and the responder's `lv_cat(Y, AD)`.
    pub(super) fn session_key(
        &self,
        sid: &[u8],
        theirs: [u8; SHARE_BYTES],
        initiator: &[u8],
        responder: &[u8],
    ) -> Option<Zeroizing<[u8; 64]>> {
        let point = self.shared_point(theirs)?;
        let head = Zeroizing::new(lv_cat(&[DSI_ISK, sid, &*point]));
        Some(hash(&[&head, initiator, responder]))
    }

    /// The secret element [`scalar_mult_vfy`].
    fn shared_point(&self, theirs: [u8; SHARE_BYTES]) -> Option<Zeroizing<[u8; SHARE_BYTES]>> {
        let theirs = CompressedRistretto(theirs).decompress()?;
        let shared = Zeroizing::new(theirs * *self.scalar);
        let neutral = RistrettoPoint::identity().ct_eq(&shared);
        (!bool::from(neutral)).then(|| Zeroizing::new(shared.compress().to_bytes()))
    }
}

/// The generator that the code stands for [`calculate_generator`].
fn generator(code: &[u8], identifiers: &[u8], sid: &[u8]) -> Zeroizing<RistrettoPoint> {
    let text = generator_string(code, identifiers, sid);
    Zeroizing::new(RistrettoPoint::from_uniform_bytes(&hash(&[&text])))
}

fn generator_string(code: &[u8], identifiers: &[u8], sid: &[u8]) -> Zeroizing<Vec<u8>> {
    let used = sized_len(DSI) + sized_len(code) + 1;
    let padding = vec![0; BLOCK_BYTES.saturating_sub(used)];
    Zeroizing::new(lv_cat(&[DSI, code, &padding, identifiers, sid]))
}

fn sized_len(bytes: &[u8]) -> usize {
    codec::uint_len(bytes.len() as u64) + bytes.len()
}

/// Each part after its length as LEB128, which is how [`stead_base::codec`] writes it as well.
pub(super) fn lv_cat(parts: &[&[u8]]) -> Vec<u8> {
    // Room for everything, so that no secret stays behind in an outgrown buffer.
    let mut out = Vec::with_capacity(parts.iter().map(|part| sized_len(part)).sum());
    for part in parts {
        codec::put_uint(&mut out, part.len() as u64);
        out.extend_from_slice(part);
    }
    out
}

/// SHA-512 of all parts in a row.
pub(super) fn hash(parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let mut hasher = Sha512::new();
    for part in parts {
        hasher.update(part);
    }
    let mut hash = hasher.finalize();
    let out = Zeroizing::new(hash.into());
    hash.as_mut_slice().zeroize();
    out
}

#[cfg(test)]
mod tests;
