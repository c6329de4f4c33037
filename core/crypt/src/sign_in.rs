//! Signing in elsewhere: a server asks with a challenge, a device answers with its signature.
//!
//! Owns both encodings, what is signed, and the check that a server makes; `docs/protocol/sign-in.md`
//! has them to the byte. It must not know what a card is: whether the device belongs to the
//! identity is proven by the card, which travels here as opaque bytes. Nor does it remember which
//! challenges were used: that is the server's to do.

use std::fmt;
use std::str::FromStr;

use stead_base::{DecodeError, DecodeFault, Decoder, DeviceId, Encoder};

use crate::{BadSignature, SigningKey, signing};

/// Longest name of an audience, in bytes: a domain name and a port.
pub const AUDIENCE_BYTES_MAX: usize = 253 + 6;
/// Longest time for which a challenge may be open, in milliseconds.
pub const LIFETIME_MS_MAX: u64 = 10 * 60 * 1000;
/// Longest card in an answer, in bytes.
pub const CARD_BYTES_MAX: usize = 64 << 10;

const VERSION: u8 = 1;
const CONTEXT: &[u8] = b"stead/sign-in/1";
const SIGNATURE_BYTES: usize = 64;

/// Why a challenge or an answer was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// Not the lower-case name of a host, with or without a port.
    #[error("{found:?} is not the name of a site")]
    BadAudience {
        /// The text, cut to 80 characters.
        found: String,
    },
    /// The challenge ends before it begins, or is open for longer than [`LIFETIME_MS_MAX`].
    #[error("a challenge cannot be open for {lifetime_ms} milliseconds")]
    BadLifetime {
        /// From issue to expiry; below zero if they are the wrong way round.
        lifetime_ms: i128,
    },
    /// The card is above [`CARD_BYTES_MAX`].
    #[error("a card of {len} bytes is too long")]
    CardTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The bytes are not in form.
    #[error("the sign-in is malformed")]
    Malformed(#[from] DecodeError),
    /// The answer is to another challenge: for another site, or an old one.
    #[error("the answer is to another challenge than the one given")]
    OtherChallenge,
    /// The challenge is not open now.
    #[error("the challenge has expired; ask for a new one")]
    Expired,
    /// The device did not sign this answer.
    #[error("the answer is not signed by the device that it names")]
    BadSignature(#[from] BadSignature),
}

/// The site that a sign-in is for: a host name in lower case, with a port if it has one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Audience(String);

impl Audience {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Audience {
    type Err = SignInError;

    fn from_str(text: &str) -> Result<Self, SignInError> {
        let (host, port) = text.split_once(':').unwrap_or((text, "443"));
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let is_port = port.parse::<u16>().is_ok_and(|n| n.to_string() == port);
        if text.len() <= AUDIENCE_BYTES_MAX
            && host.len() <= 253
            && host.split('.').all(is_label)
            && is_port
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(SignInError::BadAudience {
                found: text.chars().take(80).collect(),
            })
        }
    }
}

/// What a server asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    audience: Audience,
    nonce: [u8; 32],
    issued_ms: u64,
    expires_ms: u64,
}

impl Challenge {
    /// Makes a challenge. `nonce` must be fresh random bytes; times are Unix milliseconds by the
    /// server's clock.
    pub fn new(
        audience: Audience,
        nonce: [u8; 32],
        issued_ms: u64,
        expires_ms: u64,
    ) -> Result<Self, SignInError> {
        let lifetime_ms = i128::from(expires_ms) - i128::from(issued_ms);
        if !(1..=i128::from(LIFETIME_MS_MAX)).contains(&lifetime_ms) {
            return Err(SignInError::BadLifetime { lifetime_ms });
        }
        Ok(Self {
            audience,
            nonce,
            issued_ms,
            expires_ms,
        })
    }

    /// The site that asks. The person must see it before their device answers.
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// What makes the challenge the only one of its kind.
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// Whether it is open at `now_ms`, by a clock that may be `skew_ms` wrong.
    pub const fn is_open(&self, now_ms: u64, skew_ms: u64) -> bool {
        self.issued_ms <= now_ms.saturating_add(skew_ms)
            && now_ms < self.expires_ms.saturating_add(skew_ms)
    }

    /// The bytes to hand to the device.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        self.encode_into(&mut out);
        out.finish()
    }

    /// Reads a challenge.
    pub fn decode(bytes: &[u8]) -> Result<Self, SignInError> {
        let mut input = Decoder::new(bytes);
        let challenge = Self::decode_from(&mut input)?;
        input.finish("challenge")?;
        Ok(challenge)
    }

    fn encode_into(&self, out: &mut Encoder) {
        out.byte(VERSION)
            .text(&self.audience.0)
            .raw(&self.nonce)
            .raw(&self.issued_ms.to_be_bytes())
            .raw(&self.expires_ms.to_be_bytes());
    }

    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, SignInError> {
        if input.byte("challenge version")? != VERSION {
            return Err(input.error("challenge version", DecodeFault::Undefined))?;
        }
        let audience = input.text(AUDIENCE_BYTES_MAX, "audience")?.parse()?;
        let nonce = input.array("challenge nonce")?;
        let issued_ms = u64::from_be_bytes(input.array("issued")?);
        let expires_ms = u64::from_be_bytes(input.array("expires")?);
        Self::new(audience, nonce, issued_ms, expires_ms)
    }
}

/// What a device answers, checked by [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The identity's root public key. **Holds only if `card` proves that `device` is its.**
    pub identity: [u8; 32],
    /// The device that signed.
    pub device: DeviceId,
    /// The identity's proof that the device belongs to it.
    pub card: Vec<u8>,
}

/// Answers a challenge with the device's own key. Whether the person agreed, and whether the
/// challenge is still open, the caller has seen to.
pub fn answer(
    challenge: &Challenge,
    identity: &[u8; 32],
    card: &[u8],
    device: &SigningKey,
) -> Result<Vec<u8>, SignInError> {
    if card.len() > CARD_BYTES_MAX {
        return Err(SignInError::CardTooLong { len: card.len() });
    }
    let mut out = Encoder::new();
    challenge.encode_into(&mut out);
    out.raw(identity).raw(&device.public()).bytes(card);
    let signature = device.sign(&signed(out.as_slice()));
    out.raw(&signature);
    Ok(out.finish())
}

/// Checks an answer to the challenge that this server gave, at `now_ms` by the server's clock.
///
/// The server must then let the challenge's nonce count no more, and check the card.
pub fn verify(answer: &[u8], given: &Challenge, now_ms: u64) -> Result<SignedIn, SignInError> {
    let mut input = Decoder::new(answer);
    let challenge = Challenge::decode_from(&mut input)?;
    let identity = input.array("identity")?;
    let device = DeviceId::from_bytes(input.array("device")?);
    let card = input.bytes(CARD_BYTES_MAX, "card")?.to_vec();
    let body = &answer[..input.offset()];
    let signature: [u8; SIGNATURE_BYTES] = input.array("signature")?;
    input.finish("sign-in")?;
    if challenge != *given {
        return Err(SignInError::OtherChallenge);
    }
    if !given.is_open(now_ms, 0) {
        return Err(SignInError::Expired);
    }
    signing::verify(device.as_bytes(), &signed(body), &signature)?;
    Ok(SignedIn {
        identity,
        device,
        card,
    })
}

fn signed(body: &[u8]) -> Vec<u8> {
    [CONTEXT, body].concat()
}

#[cfg(test)]
mod tests;
