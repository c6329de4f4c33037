//! Twelve words that are the same on both sides when two people know each other's true identity.
//!
//! Owns how the words come from two root keys. They are made slowly on purpose (Argon2id, 8 MiB,
//! two passes): somebody in between needs two false keys whose words with one true key each agree,
//! which by the birthday paradox takes 2^66 tries for 132 bits; each try now costs as much as
//! here. Who compares, and what follows from it, is the caller's to say.

use argon2::{Algorithm, Argon2, Params, Version};

use crate::word_list::{self, WORD_BITS};

/// How many words there are: 132 bits.
pub const SAFETY_WORDS: usize = 12;

const MEMORY_KIB: u32 = 8 << 10;
const PASSES: u32 = 2;
const SALT: &[u8] = b"stead/safety-words/1";

/// The words could not be made, for want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("safety words could not be made on this device")]
pub struct SafetyWordsError;

/// The words for two identities, given their root public keys in any order. Takes some ten
/// milliseconds and 8 MiB: keep them rather than make them for every look.
pub fn safety_words(
    one: &[u8; 32],
    other: &[u8; 32],
) -> Result<[&'static str; SAFETY_WORDS], SafetyWordsError> {
    let (low, high) = (one.min(other), one.max(other));
    let keys = [&low[..], &high[..]].concat();
    let mut bits = [0; 32];
    let params =
        Params::new(MEMORY_KIB, PASSES, 1, Some(bits.len())).map_err(|_| SafetyWordsError)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(&keys, SALT, &mut bits)
        .map_err(|_| SafetyWordsError)?;
    Ok(std::array::from_fn(|i| {
        word_list::word(word_list::bits(&bits, i * WORD_BITS))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn both_sides_see_the_same_words(one: [u8; 32], other: [u8; 32]) {
            let words = safety_words(&one, &other).unwrap();
            prop_assert_eq!(words, safety_words(&other, &one).unwrap());
        }

        #[test]
        fn one_changed_bit_changes_the_words(
            one: [u8; 32], other: [u8; 32], bit in 0usize..256
        ) {
            let mut false_key = other;
            false_key[bit / 8] ^= 1 << (bit % 8);
            let (words, changed) = (
                safety_words(&one, &other).unwrap(),
                safety_words(&one, &false_key).unwrap(),
            );
            prop_assert_ne!(words, changed);
            let same = words.iter().zip(&changed).filter(|(a, b)| a == b).count();
            prop_assert!(same <= 3, "{:?} {:?}", words, changed);
        }
    }

    #[test]
    fn an_identity_has_other_words_with_each_contact() {
        let words = |other| safety_words(&[1; 32], &[other; 32]).unwrap();
        assert_ne!(words(2), words(3));
    }
}
