//! Properties of sealed boxes: only the addressee opens them, for their purpose, unaltered.

use super::*;
use proptest::prelude::*;

/// A counter: repeatable, and different at every call.
struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, buf: &mut [u8]) {
        for byte in buf {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

fn sealed(to: &KemSecret, psk: Option<&[u8; 32]>, text: &[u8]) -> Vec<u8> {
    seal(to.public(), b"info", b"aad", text, psk, &mut Counting(0)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_addressee_opens_the_box(seed: [u8; 32], text: Vec<u8>, psk: Option<[u8; 32]>) {
        let secret = KemSecret::from_seed(&seed);
        let sealed = sealed(&secret, psk.as_ref(), &text);
        prop_assert_eq!(sealed.len(), text.len() + OVERHEAD);
        let opened = secret.open(b"info", b"aad", &sealed, psk.as_ref()).unwrap();
        prop_assert_eq!(&opened[..], &text[..]);
    }

    #[test]
    fn any_altered_bit_is_refused(seed: [u8; 32], text: Vec<u8>, at: prop::sample::Index) {
        let secret = KemSecret::from_seed(&seed);
        let mut sealed = sealed(&secret, None, &text);
        let bit = at.index(sealed.len() * 8);
        sealed[bit / 8] ^= 1 << (bit % 8);
        let opened = secret.open(b"info", b"aad", &sealed, None);
        prop_assert_eq!(opened.unwrap_err(), BoxError::NotOpened);
    }

    #[test]
    fn bytes_that_are_no_box_are_refused(seed: [u8; 32], bytes: Vec<u8>) {
        let opened = KemSecret::from_seed(&seed).open(b"", b"", &bytes, None);
        prop_assert_eq!(opened.unwrap_err(), BoxError::NotOpened);
    }
}

#[test]
fn another_key_info_aad_or_shared_secret_opens_nothing() {
    let secret = KemSecret::from_seed(&[1; 32]);
    let stranger = KemSecret::from_seed(&[2; 32]);
    let psk = [7; 32];
    let with = sealed(&secret, Some(&psk), b"text");
    let without = sealed(&secret, None, b"text");
    for opened in [
        stranger.open(b"info", b"aad", &without, None),
        secret.open(b"inf0", b"aad", &without, None),
        secret.open(b"info", b"aae", &without, None),
        secret.open(b"info", b"aad", &without, Some(&psk)),
        secret.open(b"info", b"aad", &with, None),
        secret.open(b"info", b"aad", &with, Some(&[8; 32])),
    ] {
        assert_eq!(opened.unwrap_err(), BoxError::NotOpened);
    }
}

#[test]
fn two_boxes_of_one_text_differ() {
    let secret = KemSecret::from_seed(&[1; 32]);
    let mut entropy = Counting(0);
    let mut make = || seal(secret.public(), b"", b"", b"text", None, &mut entropy).unwrap();
    assert_ne!(make(), make());
}

#[test]
fn a_malformed_public_key_is_refused() {
    let good = *KemSecret::from_seed(&[1; 32]).public().as_bytes();
    assert!(KemPublic::from_bytes(&good).is_ok());
    assert_eq!(
        KemPublic::from_bytes(&good[1..]),
        Err(BoxError::BadPublicKey)
    );
    // Coefficients of ML-KEM keys are below 3329 (FIPS 203, section 7.2).
    assert_eq!(
        KemPublic::from_bytes(&[0xff; PUBLIC_BYTES]),
        Err(BoxError::BadPublicKey)
    );
}
