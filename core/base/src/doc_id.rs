//! Document ids: made by a device (time-ordered, 128 bits) or chosen by a person or program.

use std::fmt;

use crate::limits::DOC_NAME_BYTES_MAX;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const GENERATED_CHARS: usize = 26;

/// Identifies a document within its collection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocId {
    /// 48 bits of Unix milliseconds, then 80 random bits. Its text is 26 characters of lower-case
    /// Crockford base32 (the order of ULID).
    Generated([u8; 16]),
    /// A name of 1 to [`DOC_NAME_BYTES_MAX`] bytes that is not the text of a generated id.
    /// Made by [`DocId::parse`] only.
    Named(DocName),
}

/// The checked text of a [`DocId::Named`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocName(Box<str>);

impl DocName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no document id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocIdError {
    /// Nothing, or more than [`DOC_NAME_BYTES_MAX`] bytes.
    #[error("a document id has 1 to {DOC_NAME_BYTES_MAX} bytes, this one has {len}")]
    Length {
        /// Bytes found.
        len: usize,
    },
    /// A `/` or a control character.
    #[error("a document id has no {character:?} in it")]
    Character {
        /// The first one refused.
        character: char,
    },
}

impl DocId {
    /// Makes an id that sorts by time. `random` comes from the caller's entropy.
    pub fn generate(ms: u64, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        Self::Generated(bytes)
    }

    /// Reads the text of an id: what [`fmt::Display`] prints, or any valid name.
    pub fn parse(text: &str) -> Result<Self, DocIdError> {
        if text.is_empty() || text.len() > DOC_NAME_BYTES_MAX {
            return Err(DocIdError::Length { len: text.len() });
        }
        if let Some(character) = text.chars().find(|&c| c == '/' || c.is_control()) {
            return Err(DocIdError::Character { character });
        }
        Ok(match parse_generated(text) {
            Some(bytes) => Self::Generated(bytes),
            None => Self::Named(DocName(text.into())),
        })
    }
}

fn parse_generated(text: &str) -> Option<[u8; 16]> {
    if text.len() != GENERATED_CHARS {
        return None;
    }
    let mut value = 0u128;
    for (i, byte) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|&c| c == byte)? as u128;
        if i == 0 && digit > 7 {
            return None;
        }
        value = value << 5 | digit;
    }
    Some(value.to_be_bytes())
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(&name.0),
            Self::Generated(bytes) => {
                let value = u128::from_be_bytes(*bytes);
                let mut text = [0; GENERATED_CHARS];
                for (i, slot) in text.iter_mut().enumerate() {
                    *slot = ALPHABET[(value >> (125 - 5 * i) & 31) as usize];
                }
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }
    }
}

impl fmt::Debug for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_generated_id_reads_back_from_its_text(bytes: [u8; 16]) {
            let id = DocId::Generated(bytes);
            prop_assert_eq!(DocId::parse(&id.to_string()), Ok(id));
        }

        #[test]
        fn one_text_names_one_id(text in ".{0,70}") {
            if let Ok(id) = DocId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn generated_ids_sort_like_their_texts(a: [u8; 16], b: [u8; 16]) {
            let (a, b) = (DocId::Generated(a), DocId::Generated(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }

    #[test]
    fn names_beyond_the_limits_are_refused() {
        assert!(DocId::parse(&"x".repeat(64)).is_ok());
        assert_eq!(
            DocId::parse(&"x".repeat(65)),
            Err(DocIdError::Length { len: 65 })
        );
        assert_eq!(DocId::parse(""), Err(DocIdError::Length { len: 0 }));
        assert_eq!(
            DocId::parse("a/b"),
            Err(DocIdError::Character { character: '/' })
        );
        assert_eq!(
            DocId::parse("a\nb"),
            Err(DocIdError::Character { character: '\n' })
        );
    }
}
