//! Ed25519 (RFC 8032) with one strict rule of validity, so that all replicas agree.
//!
//! Owns signing keys and verification; what a signature covers is the caller's to say.

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Sha512, Signature, VerifyingKey};

/// A signature that does not verify.
///
/// Says nothing about why: a wrong key, a wrong message, a malleable encoding and a key of small
/// order are refused alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A private Ed25519 key, expanded once so that signing costs one multiplication.
pub struct SigningKey {
    expanded: ExpandedSecretKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// Makes the key of a 32-byte seed (RFC 8032, section 5.1.5). The caller wipes its copy.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let expanded = ExpandedSecretKey::from(seed);
        let public = VerifyingKey::from(&expanded);
        Self { expanded, public }
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        self.public.to_bytes()
    }

    /// Signs `message`; the same message always gets the same signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        // `expanded` and `public` come from one seed: a public key of another pair would leak
        // the private one here.
        raw_sign::<Sha512>(&self.expanded, message, &self.public).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "SigningKey({})",
            stead_base::Hash::from_bytes(self.public()).short()
        )
    }
}

/// Verifies a signature, strictly: canonical encodings only, no key or commitment of small order,
/// and no cofactor, so that every replica gives the same answer.
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
    if !is_canonical(public) {
        return Err(BadSignature);
    }
    VerifyingKey::from_bytes(public)
        .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
        .map_err(|_| BadSignature)
}

/// Whether the encoded coordinate is below the field's modulus 2^255 - 19, so that one key cannot
/// go by two ids. (The other double encoding, a sign on x = 0, has small order.)
fn is_canonical(public: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = public;
    *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_signature_holds_for_its_message_and_key_only(
            seed: [u8; 32], other: [u8; 32], message: Vec<u8>, bit in 0usize..512
        ) {
            let key = SigningKey::from_seed(&seed);
            let signature = key.sign(&message);
            prop_assert_eq!(verify(&key.public(), &message, &signature), Ok(()));
            let mut altered = signature;
            altered[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(verify(&key.public(), &message, &altered), Err(BadSignature));
            let longer = [&message[..], &[0]].concat();
            prop_assert_eq!(verify(&key.public(), &longer, &signature), Err(BadSignature));
            prop_assume!(seed != other);
            let stranger = SigningKey::from_seed(&other).public();
            prop_assert_eq!(verify(&stranger, &message, &signature), Err(BadSignature));
        }
    }

    #[test]
    fn the_first_signature_of_rfc_8032_is_met() {
        let key = SigningKey::from_seed(&hex(
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        ));
        assert_eq!(
            key.public(),
            hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        );
        assert_eq!(
            key.sign(b""),
            hex::<64>(concat!(
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            ))
        );
    }

    #[test]
    fn a_key_with_a_second_encoding_is_refused() {
        let mut modulus = [0xff; 32];
        modulus[31] = 0x7f;
        modulus[0] = 0xed;
        assert!(!is_canonical(&modulus));
        modulus[0] = 0xec;
        assert!(is_canonical(&modulus));
        assert!(is_canonical(&SigningKey::from_seed(&[1; 32]).public()));
    }

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }
}
