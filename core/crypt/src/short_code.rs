//! Six digits, or three words, that two people compare: they are equal only if nobody stands
//! between their devices.
//!
//! Owns the exchange of nonces and what the code is made of. One side, the *committer*, binds
//! itself to its nonce before it sees the other's, as in Bluetooth's numeric comparison and ZRTP:
//! so somebody in between cannot try nonces until two codes agree, and has one chance in a million
//! with digits. What else the devices have agreed on comes in as `transcript`, the hash of it
//! all: both keys, both ids in their roles, and what binds the channel. That the people really
//! compare is for the interface to see to.

use std::fmt;

use stead_base::{Entropy, Hash};
use subtle::ConstantTimeEq;

use crate::Hasher;
use crate::word_list::{self, WORD_BITS, WORDS};

/// Length of a [`Commitment`] and of a [`Nonce`], in bytes.
pub const MESSAGE_BYTES: usize = 32;

/// The first message, from the committer. It fixes the nonce and says nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment(pub [u8; MESSAGE_BYTES]);

/// The second message, from the answerer, and the third, from the committer: a random number in
/// the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce(pub [u8; MESSAGE_BYTES]);

/// The revealed nonce is not the one committed to, or the two sides agreed on different things:
/// somebody is in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other device did not reveal what it had committed to")]
pub struct BadReveal;

/// The side that commits. Each value is good for one comparison.
pub struct Committer {
    transcript: Hash,
    nonce: Nonce,
}

/// The side that answers. Each value is good for one comparison.
pub struct Answerer {
    transcript: Hash,
    commitment: Commitment,
    nonce: Nonce,
}

impl Committer {
    /// Begins a comparison; returns the first message.
    pub fn new(transcript: Hash, entropy: &mut dyn Entropy) -> (Self, Commitment) {
        let nonce = Nonce::random(entropy);
        let commitment = commit(&transcript, &nonce);
        (Self { transcript, nonce }, commitment)
    }

    /// Takes the answer; returns the third message and the code to show.
    pub fn reveal(self, answer: &Nonce) -> (Nonce, ShortCode) {
        let code = ShortCode::new(&self.transcript, &self.nonce, answer);
        (self.nonce, code)
    }
}

impl Answerer {
    /// Takes the first message; returns the second.
    pub fn new(
        transcript: Hash,
        commitment: Commitment,
        entropy: &mut dyn Entropy,
    ) -> (Self, Nonce) {
        let nonce = Nonce::random(entropy);
        let answerer = Self {
            transcript,
            commitment,
            nonce,
        };
        (answerer, nonce)
    }

    /// Takes the third message; returns the code to show.
    pub fn check(self, revealed: &Nonce) -> Result<ShortCode, BadReveal> {
        let expected = commit(&self.transcript, revealed);
        match bool::from(expected.0.ct_eq(&self.commitment.0)) {
            true => Ok(ShortCode::new(&self.transcript, revealed, &self.nonce)),
            false => Err(BadReveal),
        }
    }
}

impl Nonce {
    fn random(entropy: &mut dyn Entropy) -> Self {
        let mut nonce = Self([0; MESSAGE_BYTES]);
        entropy.fill(&mut nonce.0);
        nonce
    }
}

/// What both devices show. Nothing secret once it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortCode(u64);

impl ShortCode {
    fn new(transcript: &Hash, committer: &Nonce, answerer: &Nonce) -> Self {
        let key = Hasher::deriving("stead/short-code/1")
            .update(transcript.as_bytes())
            .update(&committer.0)
            .update(&answerer.0)
            .finish_key();
        let [a, b, c, d, e, f, g, h, ..] = key;
        Self(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Three words: 33 bits.
    pub fn words(&self) -> [&'static str; 3] {
        std::array::from_fn(|i| word_list::word((self.0 >> (i * WORD_BITS)) as usize % WORDS))
    }
}

/// Six digits in two groups, such as `042 917`: 20 bits.
impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0 % 1_000_000;
        write!(f, "{:03} {:03}", digits / 1000, digits % 1000)
    }
}

fn commit(transcript: &Hash, nonce: &Nonce) -> Commitment {
    Commitment(
        Hasher::deriving("stead/short-code-commitment/1")
            .update(transcript.as_bytes())
            .update(&nonce.0)
            .finish_key(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Bytes([u8; 32]);

    impl Entropy for Bytes {
        fn fill(&mut self, buf: &mut [u8]) {
            buf.copy_from_slice(&self.0);
        }
    }

    fn flip(mut bytes: [u8; 32], bit: usize) -> [u8; 32] {
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    }

    fn code(transcript: [u8; 32], committer: [u8; 32], answerer: [u8; 32]) -> ShortCode {
        ShortCode::new(
            &Hash::from_bytes(transcript),
            &Nonce(committer),
            &Nonce(answerer),
        )
    }

    proptest! {
        #[test]
        fn both_sides_show_the_same_code(transcript: [u8; 32], a: [u8; 32], b: [u8; 32]) {
            let transcript = Hash::from_bytes(transcript);
            let (committer, commitment) = Committer::new(transcript, &mut Bytes(a));
            let (answerer, answer) = Answerer::new(transcript, commitment, &mut Bytes(b));
            let (revealed, shown) = committer.reveal(&answer);
            let other = answerer.check(&revealed).unwrap();
            prop_assert_eq!(shown, other);
            prop_assert_eq!(shown.to_string(), other.to_string());
            prop_assert_eq!(shown.words(), other.words());
            prop_assert_eq!(shown.to_string().len(), 7);
        }

        #[test]
        fn one_changed_bit_anywhere_changes_the_code(
            transcript: [u8; 32], a: [u8; 32], b: [u8; 32], bit in 0usize..256
        ) {
            let honest = code(transcript, a, b);
            prop_assert_ne!(honest, code(flip(transcript, bit), a, b));
            prop_assert_ne!(honest, code(transcript, flip(a, bit), b));
            prop_assert_ne!(honest, code(transcript, a, flip(b, bit)));
        }

        #[test]
        fn nothing_but_the_committed_nonce_can_be_revealed(
            transcript: [u8; 32], a: [u8; 32], b: [u8; 32], bit in 0usize..256
        ) {
            let ours = Hash::from_bytes(transcript);
            let (_, commitment) = Committer::new(ours, &mut Bytes(a));
            let (answerer, _) = Answerer::new(ours, commitment, &mut Bytes(b));
            prop_assert_eq!(answerer.check(&Nonce(flip(a, bit))), Err(BadReveal));
            // Somebody in between who passes messages on, but agreed on other keys, is noticed.
            let theirs = Hash::from_bytes(flip(transcript, bit));
            let (answerer, _) = Answerer::new(theirs, commitment, &mut Bytes(b));
            prop_assert_eq!(answerer.check(&Nonce(a)), Err(BadReveal));
        }

        #[test]
        fn the_roles_are_no_mirror_images(transcript: [u8; 32], a: [u8; 32], b: [u8; 32]) {
            prop_assume!(a != b);
            prop_assert_ne!(code(transcript, a, b), code(transcript, b, a));
        }
    }

    #[test]
    fn a_code_of_small_numbers_keeps_its_zeros() {
        assert_eq!(ShortCode(7).to_string(), "000 007");
        assert_eq!(ShortCode(3_042_917).to_string(), "042 917");
        assert_eq!(ShortCode(0).words(), ["abandon"; 3]);
    }

    #[test]
    fn codes_are_spread_evenly() {
        let mut buckets = [0u32; 10];
        for i in 0..10_000u32 {
            let mut nonce = [0; 32];
            nonce[..4].copy_from_slice(&i.to_le_bytes());
            buckets[(code([1; 32], nonce, [2; 32]).0 % 1_000_000 / 100_000) as usize] += 1;
        }
        assert!(
            buckets.iter().all(|n| (850..1150).contains(n)),
            "{buckets:?}"
        );
    }
}
