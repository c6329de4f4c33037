//! Signing in elsewhere: the calls, and the texts that challenges and answers travel as.
//!
//! A text is `stead-challenge:` or `stead-answer:` and the bytes of `docs/protocol/sign-in.md` in
//! lower-case Crockford base32. Owns the texts only: their bytes belong to `core/crypt`.

use serde::{Deserialize, Serialize};

use crate::link::{base32, unbase32};
use crate::{LinkError, LinkFault, LinkKind};

/// Longest text of a challenge or an answer, in bytes.
pub const SIGN_IN_TEXT_BYTES_MAX: usize = 160 << 10;

/// `sign_in.look`: who asks. Signs nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SignInLook {
    /// The challenge's text.
    pub challenge: String,
}

/// The answer to [`SignInLook`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SignInAsked {
    /// The site that asks: the person must see it.
    pub audience: String,
    /// Whether the challenge is open by this device's clock, give or take five minutes.
    pub open: bool,
    /// The identity that would be told.
    pub identity: String,
}

/// `sign_in.answer`: signs. Whoever calls this has asked the person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SignInAnswer {
    /// The challenge's text.
    pub challenge: String,
    /// The site as the person saw it; anything else than the challenge says is refused.
    pub audience: String,
}

/// The answer to [`SignInAnswer`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SignInAnswered {
    /// The site.
    pub audience: String,
    /// The answer's text, to be handed to it.
    pub answer: String,
}

/// The two texts of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInText {
    /// What a site asks.
    Challenge,
    /// What a device answers.
    Answer,
}

impl SignInText {
    const fn kind(self) -> LinkKind {
        match self {
            Self::Challenge => LinkKind::Challenge,
            Self::Answer => LinkKind::Answer,
        }
    }

    const fn prefix(self) -> &'static str {
        self.kind().prefix()
    }

    /// The text of some bytes.
    pub fn write(self, bytes: &[u8]) -> String {
        format!("{}{}", self.prefix(), base32(bytes))
    }

    /// The bytes of a text. Blanks and line ends inside it do not matter.
    pub fn read(self, text: &str) -> Result<Vec<u8>, LinkError> {
        self.bytes(text).map_err(|fault| fault.of(self.kind()))
    }

    fn bytes(self, text: &str) -> Result<Vec<u8>, LinkFault> {
        if text.len() > SIGN_IN_TEXT_BYTES_MAX {
            return Err(LinkFault::TooLong);
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (start, body) = text
            .split_at_checked(self.prefix().len())
            .ok_or(LinkFault::Prefix)?;
        if !start.eq_ignore_ascii_case(self.prefix()) {
            return Err(LinkFault::Prefix);
        }
        unbase32(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back_and_one_kind_is_not_the_other() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = SignInText::Answer.write(&bytes);
        assert_eq!(SignInText::Answer.read(&text).unwrap(), bytes);
        let (a, b) = text.split_at(40);
        let broken = format!("{a}\n {b}");
        assert_eq!(SignInText::Answer.read(&broken).unwrap(), bytes);
        assert!(SignInText::Challenge.read(&text).is_err());
        assert!(SignInText::Challenge.read("").is_err());
        assert!(SignInText::Answer.read("stead-answer:uu!").is_err());
    }
}
