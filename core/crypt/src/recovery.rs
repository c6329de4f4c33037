//! The 24 words that are all a person has to keep, and the root key that they stand for.
//!
//! Owns the phrase (BIP 39, English, 256 bits) and what is derived from it. What the root key may
//! sign, and what is sealed to it, is for `access` and the engine to say. The words are no wallet:
//! keys come from the 256 bits by BLAKE3, not by BIP 39's own way of making a seed.

use std::fmt;

use sha2::{Digest, Sha256};
use stead_base::Entropy;
use zeroize::{Zeroize, Zeroizing};

use crate::word_list::{self, WORD_BITS};
use crate::{KemSecret, SigningKey, hash};

/// Words in a phrase.
pub const PHRASE_WORDS: usize = 24;
/// Longest text that is read as a phrase, in bytes.
pub const PHRASE_BYTES_MAX: usize = 2048;

const ENTROPY_BYTES: usize = 32;

/// Why a text is not a recovery phrase, told to the person who typed it.
///
/// Quotes a wrong word as it was typed: for their eyes, not for a log.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// A word is not in the list.
    #[error("word {position} of the recovery phrase, {found:?}, is not one of its words{}", word_list::offer(.nearest))]
    WrongWord {
        /// Which word, counted from 1.
        position: usize,
        /// The word, cut to 24 characters.
        found: String,
        /// At most three words that may have been meant, the likeliest first.
        nearest: Vec<&'static str>,
    },
    /// There are too few or too many words.
    #[error("a recovery phrase has {PHRASE_WORDS} words, not {found}")]
    WrongCount {
        /// How many there are.
        found: usize,
    },
    /// All words are in the list, but they do not belong together.
    #[error(
        "the words do not belong together: one of them is wrong, or they are in the wrong order"
    )]
    BadChecksum,
    /// Longer than [`PHRASE_BYTES_MAX`].
    #[error("a text of {len} bytes is too long for a recovery phrase")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
}

impl fmt::Debug for PhraseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongWord { position, .. } => write!(f, "WrongWord {{ position: {position} }}"),
            Self::WrongCount { found } => write!(f, "WrongCount {{ found: {found} }}"),
            Self::BadChecksum => f.write_str("BadChecksum"),
            Self::TooLong { len } => write!(f, "TooLong {{ len: {len} }}"),
        }
    }
}

/// The secret behind an identity, in the form in which a person keeps it.
pub struct RecoveryPhrase {
    entropy: Zeroizing<[u8; ENTROPY_BYTES]>,
}

impl RecoveryPhrase {
    /// Makes a fresh phrase.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; ENTROPY_BYTES]);
        entropy.fill(&mut *bytes);
        Self { entropy: bytes }
    }

    /// Takes the 256 bits of a phrase that came back another way, as from guardians' shares. The
    /// caller wipes its copy.
    pub fn from_entropy(bytes: &[u8; ENTROPY_BYTES]) -> Self {
        Self {
            entropy: Zeroizing::new(*bytes),
        }
    }

    /// The 256 bits, to be shared out among guardians.
    pub fn expose_entropy(&self) -> &[u8; ENTROPY_BYTES] {
        &self.entropy
    }

    /// Reads what a person typed. Case, numbering, commas and blanks do not matter, and the first
    /// four letters of a word will do.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        if text.len() > PHRASE_BYTES_MAX {
            return Err(PhraseError::TooLong { len: text.len() });
        }
        let lower_case = Zeroizing::new(text.to_lowercase());
        // 24 words of 11 bits: the entropy, then the checksum of 8 bits.
        let mut packed = Zeroizing::new([0; ENTROPY_BYTES + 1]);
        let mut count = 0;
        for found in word_list::words_of(&lower_case) {
            count += 1;
            if count > PHRASE_WORDS {
                continue;
            }
            let number = word_list::find(found).ok_or_else(|| PhraseError::WrongWord {
                position: count,
                found: found.chars().take(24).collect(),
                nearest: word_list::nearest(found),
            })?;
            word_list::put_bits(&mut *packed, (count - 1) * WORD_BITS, number);
        }
        if count != PHRASE_WORDS {
            return Err(PhraseError::WrongCount { found: count });
        }
        let [entropy @ .., checksum] = &*packed;
        if *checksum != checksum_of(entropy) {
            return Err(PhraseError::BadChecksum);
        }
        Ok(Self::from_entropy(entropy))
    }

    /// The words, in their order.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        let mut packed = Zeroizing::new([0; ENTROPY_BYTES + 1]);
        packed[..ENTROPY_BYTES].copy_from_slice(&*self.entropy);
        packed[ENTROPY_BYTES] = checksum_of(&self.entropy);
        (0..PHRASE_WORDS).map(move |i| word_list::word(word_list::bits(&*packed, i * WORD_BITS)))
    }

    /// The words with a blank between each.
    pub fn text(&self) -> Zeroizing<String> {
        // Room for everything, so that no part stays behind in an outgrown buffer.
        let mut text = Zeroizing::new(String::with_capacity(PHRASE_WORDS * 9));
        for word in self.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The root key that the phrase stands for.
    pub fn root(&self) -> RootKey {
        let derive = |context| Zeroizing::new(hash::derive(context, &*self.entropy));
        RootKey {
            signing: SigningKey::from_seed(&derive("stead/root-signing/1")),
            kem: KemSecret::from_seed(&derive("stead/root-kem/1")),
            wrap: derive("stead/root-wrap/1"),
        }
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(..)")
    }
}

/// An identity's root: it exists only while somebody has the phrase at hand.
pub struct RootKey {
    signing: SigningKey,
    kem: KemSecret,
    wrap: Zeroizing<[u8; 32]>,
}

impl RootKey {
    /// The public key that names the identity.
    pub fn public(&self) -> [u8; 32] {
        self.signing.public()
    }

    /// The key that signs for the identity.
    pub const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Signs `message`. What a signature covers is the caller's to say.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message)
    }

    /// Opens boxes that devices sealed to the root: keys for the day when no device is left.
    pub const fn kem(&self) -> &KemSecret {
        &self.kem
    }

    /// Wraps recovery material that only the phrase should open; see [`wrapkey`](crate::wrapkey).
    pub fn wrap(&self) -> &[u8; 32] {
        &self.wrap
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey(of {:?})", self.signing)
    }
}

/// BIP 39: the first byte of the SHA-256 of the entropy.
fn checksum_of(entropy: &[u8; ENTROPY_BYTES]) -> u8 {
    let mut hash = Sha256::digest(entropy);
    let first = hash[0];
    hash.as_mut_slice().zeroize();
    first
}

#[cfg(test)]
mod tests;
