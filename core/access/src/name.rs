//! Names of devices and spaces, as people see them in a terminal or a page.
//!
//! Owns what such a name may contain; says nothing about uniqueness.

use std::fmt;
use std::ops::Deref;

use stead_base::limits::NAME_BYTES_MAX;
use stead_base::{DecodeError, DecodeFault, Decoder, Encoder};

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left to show.
    #[error("a name must not be empty")]
    Empty,
    /// Above [`NAME_BYTES_MAX`] bytes of UTF-8.
    #[error("a name of {len} bytes is longer than {NAME_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Holds a control character, which could forge what a terminal shows.
    #[error("a name must not hold control characters")]
    ControlCharacter,
}

/// A name for people: 1 to 128 bytes of UTF-8 without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// Checks and takes a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong { len: text.len() });
        }
        if text.chars().any(is_unseen) {
            return Err(NameError::ControlCharacter);
        }
        Ok(Self(text.into()))
    }

    /// Makes a name of any text: drops what a name may not hold, cuts what is too long, and says
    /// `unnamed` when nothing is left.
    pub fn from_any(text: &str) -> Self {
        let mut kept = String::new();
        for c in text.trim().chars().filter(|c| !is_unseen(*c)) {
            if kept.len() + c.len_utf8() > NAME_BYTES_MAX {
                break;
            }
            kept.push(c);
        }
        if kept.is_empty() {
            kept.push_str("unnamed");
        }
        Self(kept.into())
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.text(&self.0);
    }

    pub(crate) fn decode(input: &mut Decoder<'_>, what: &'static str) -> Result<Self, DecodeError> {
        let undefined = input.error(what, DecodeFault::Undefined);
        Self::new(input.text(NAME_BYTES_MAX, what)?).map_err(|_| undefined)
    }
}

/// Control characters, and those that turn the direction of the text around them.
fn is_unseen(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_makes_a_valid_name(text: String) {
            let name = Name::from_any(&text);
            prop_assert_eq!(Name::new(&name), Ok(name));
        }
    }

    #[test]
    fn what_could_forge_a_terminal_line_is_refused() {
        assert_eq!(Name::new("a\u{1b}[2Jb"), Err(NameError::ControlCharacter));
        assert_eq!(Name::new("a\u{202e}b"), Err(NameError::ControlCharacter));
        assert_eq!(Name::new(""), Err(NameError::Empty));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(Name::new(&long), Err(NameError::TooLong { len: 129 }));
        assert!(Name::new(&long[1..]).is_ok());
    }
}
