//! A code that one person reads out and another types, to be used once in an exchange of [`pake`].
//!
//! Owns how the code looks and how typing it is forgiven. That it is used once, and for how long it
//! stays good, is the caller's to see to.
//!
//! [`pake`]: crate::pake

use stead_base::Entropy;
use zeroize::Zeroizing;

use crate::word_list::{self, WORDS};

/// Words in a code: 33 bits, where every guess takes an exchange and burns the code.
pub const CODE_WORDS: usize = 3;
/// Longest text that is read as a code, in bytes.
pub const CODE_BYTES_MAX: usize = 256;

/// Why a text is not a spoken code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpokenCodeError {
    /// A word is not in the list.
    #[error("word {position} of the code is not one of its words{}", word_list::offer(.nearest))]
    WrongWord {
        /// Which word, counted from 1.
        position: usize,
        /// At most three words that may have been meant, the likeliest first.
        nearest: Vec<&'static str>,
    },
    /// Too few or too many words.
    #[error("a code has {CODE_WORDS} words, not {found}")]
    WrongCount {
        /// How many there are.
        found: usize,
    },
    /// Longer than [`CODE_BYTES_MAX`].
    #[error("a text of {len} bytes is too long for a code")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
}

/// Three words of BIP 39's list.
#[derive(Clone, PartialEq, Eq)]
pub struct SpokenCode(Zeroizing<String>);

impl SpokenCode {
    /// Draws a fresh code.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut numbers = Zeroizing::new([[0; 2]; CODE_WORDS]);
        entropy.fill(numbers.as_flattened_mut());
        // 65,536 is a multiple of the 2048 words: each is as likely as any other.
        Self::of(numbers.map(|pair| usize::from(u16::from_le_bytes(pair)) % WORDS))
    }

    /// Reads what a person typed; forgives what [`RecoveryPhrase::parse`] forgives.
    ///
    /// [`RecoveryPhrase::parse`]: crate::RecoveryPhrase::parse
    pub fn parse(text: &str) -> Result<Self, SpokenCodeError> {
        if text.len() > CODE_BYTES_MAX {
            return Err(SpokenCodeError::TooLong { len: text.len() });
        }
        let lower_case = Zeroizing::new(text.to_lowercase());
        let found = word_list::words_of(&lower_case).count();
        let mut numbers = Zeroizing::new([0; CODE_WORDS]);
        for (i, (number, word)) in numbers
            .iter_mut()
            .zip(word_list::words_of(&lower_case))
            .enumerate()
        {
            *number = word_list::find(word).ok_or_else(|| SpokenCodeError::WrongWord {
                position: i + 1,
                nearest: word_list::nearest(word),
            })?;
        }
        match found {
            CODE_WORDS => Ok(Self::of(*numbers)),
            found => Err(SpokenCodeError::WrongCount { found }),
        }
    }

    /// The code as it is shown: lower-case words with a blank between each.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The bytes that both sides of [`pake`](crate::pake) take.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn of(numbers: [usize; CODE_WORDS]) -> Self {
        Self(Zeroizing::new(numbers.map(word_list::word).join(" ")))
    }
}

impl std::fmt::Debug for SpokenCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpokenCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Bytes([u8; 6]);

    impl Entropy for Bytes {
        fn fill(&mut self, buf: &mut [u8]) {
            buf.copy_from_slice(&self.0);
        }
    }

    proptest! {
        #[test]
        fn a_code_reads_back_however_it_is_typed(bytes: [u8; 6]) {
            let code = SpokenCode::generate(&mut Bytes(bytes));
            for typed in [
                code.text().to_owned(),
                code.text().to_uppercase(),
                format!("  {}\n", code.text().replace(' ', "-")),
            ] {
                prop_assert_eq!(&SpokenCode::parse(&typed).unwrap(), &code);
            }
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(text: String) {
            let _ = SpokenCode::parse(&text);
        }
    }

    #[test]
    fn what_is_wrong_with_a_code_is_said() {
        let error = |text: &str| SpokenCode::parse(text).unwrap_err();
        assert_eq!(error("zoo zoo"), SpokenCodeError::WrongCount { found: 2 });
        assert_eq!(
            error("zoo zoo zoo zoo"),
            SpokenCodeError::WrongCount { found: 4 }
        );
        assert_eq!(
            error("zoo abadnon zoo").to_string(),
            "word 2 of the code is not one of its words (perhaps abandon)"
        );
        let long = " ".repeat(CODE_BYTES_MAX + 1);
        assert_eq!(error(&long), SpokenCodeError::TooLong { len: long.len() });
        assert_eq!(error(&long[1..]), SpokenCodeError::WrongCount { found: 0 });
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let code = SpokenCode::generate(&mut Bytes([1; 6]));
        assert_eq!(format!("{code:?}"), "SpokenCode(..)");
    }
}
