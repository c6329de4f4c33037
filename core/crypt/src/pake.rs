//! A few spoken words between two devices become a strong key: CPace (draft-irtf-cfrg-cpace-21,
//! suite CPACE-RISTR255-SHA512, initiator and responder) with the key confirmation of its 10.4.
//!
//! Owns the exchange and its three messages. Whoever listens learns nothing about the code;
//! whoever takes part can try one code in each exchange and sees only whether it was right. So
//! **the caller must burn a code when an exchange begins with it**: with the first message made or
//! taken, not when it succeeds. What the key then protects is the caller's to say.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use stead_base::{DecodeError, Decoder, DeviceId, Encoder, Entropy};
use zeroize::Zeroizing;

use crate::hash;
use cpace::{SHARE_BYTES, Secret};

mod cpace;

/// Longest text that one side may attach to its message, in bytes.
pub const ATTACHED_BYTES_MAX: usize = 4096;
/// Longest of the three messages, in bytes.
pub const MESSAGE_BYTES_MAX: usize = SHARE_BYTES + 2 + ATTACHED_BYTES_MAX + TAG_BYTES;

const TAG_BYTES: usize = 64;
const PURPOSE: &[u8] = b"stead/spoken-code/1";

/// Why an exchange failed. It cannot be taken up again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PakeError {
    /// What this side wants to attach is above [`ATTACHED_BYTES_MAX`].
    #[error("{len} bytes are too many to attach")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The other side's message is not in form.
    #[error("the other device's message is malformed")]
    Malformed(#[from] DecodeError),
    /// The other side sent no usable group element.
    #[error("the other device sent an invalid key share")]
    BadShare,
    /// The codes differ, or somebody in between changed something: the two cannot be told apart.
    #[error("the code is wrong, or somebody tampered with the connection")]
    NotConfirmed,
}

/// The connection that an exchange belongs to; it fails on any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The device that sends the first message.
    pub initiator: &'a DeviceId,
    /// The device that answers.
    pub responder: &'a DeviceId,
    /// Bytes that both ends of this connection know and no other connection has.
    pub channel: &'a [u8; 32],
}

impl Binding<'_> {
    /// `CI` of the draft: purpose, initiator, responder, each with its length.
    fn identifiers(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.bytes(PURPOSE)
            .bytes(self.initiator.as_bytes())
            .bytes(self.responder.as_bytes());
        out.finish()
    }
}

/// What both sides hold in the end.
pub struct Agreed {
    /// The key that both share, and nobody else.
    pub key: Zeroizing<[u8; 32]>,
    /// What the other side attached; it is as the holder of the code sent it.
    pub attached: Vec<u8>,
}

impl std::fmt::Debug for Agreed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Agreed(..)")
    }
}

/// The side that began, waiting for the answer.
pub struct Initiator {
    secret: Secret,
    channel: [u8; 32],
    own: Vec<u8>,
}

/// The side that answered, waiting for the confirmation.
pub struct Responder {
    expected: Zeroizing<[u8; TAG_BYTES]>,
    agreed: Agreed,
}

/// Begins an exchange; returns the first message. `attached` is public on the wire.
pub fn begin(
    code: &[u8],
    binding: &Binding<'_>,
    attached: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<(Initiator, Vec<u8>), PakeError> {
    let secret = Secret::new(code, binding, entropy);
    let own = signed_part(&secret, attached)?;
    let message = own[1..].to_vec();
    let channel = *binding.channel;
    Ok((
        Initiator {
            secret,
            channel,
            own,
        },
        message,
    ))
}

/// Answers a first message; returns the second.
pub fn answer(
    code: &[u8],
    binding: &Binding<'_>,
    attached: &[u8],
    first: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<(Responder, Vec<u8>), PakeError> {
    let mut input = Decoder::new(first);
    let theirs = Part::decode(&mut input)?;
    input.finish("first message")?;
    let secret = Secret::new(code, binding, entropy);
    let own = signed_part(&secret, attached)?;
    let isk = secret
        .session_key(binding.channel, theirs.share, &theirs.encoded, &own)
        .ok_or(PakeError::BadShare)?;
    let confirmation = Confirmation::new(binding.channel, &isk);
    let mut message = own[1..].to_vec();
    message.extend_from_slice(&*confirmation.tag(&own));
    Ok((
        Responder {
            expected: confirmation.tag(&theirs.encoded),
            agreed: Agreed::new(&isk, theirs.attached),
        },
        message,
    ))
}

impl Initiator {
    /// Takes the answer; returns what was agreed and the third message, which must reach the other
    /// side before it believes anything.
    pub fn finish(self, second: &[u8]) -> Result<(Agreed, Vec<u8>), PakeError> {
        let mut input = Decoder::new(second);
        let theirs = Part::decode(&mut input)?;
        let tag: [u8; TAG_BYTES] = input.array("confirmation")?;
        input.finish("second message")?;
        let isk = self
            .secret
            .session_key(&self.channel, theirs.share, &self.own, &theirs.encoded)
            .ok_or(PakeError::BadShare)?;
        let confirmation = Confirmation::new(&self.channel, &isk);
        same(&confirmation.tag(&theirs.encoded), &tag)?;
        let third = confirmation.tag(&self.own).to_vec();
        Ok((Agreed::new(&isk, theirs.attached), third))
    }
}

impl Responder {
    /// Takes the third message. Only now is it sure that the other side knew the code.
    pub fn finish(self, third: &[u8]) -> Result<Agreed, PakeError> {
        let mut input = Decoder::new(third);
        let tag: [u8; TAG_BYTES] = input.array("confirmation")?;
        input.finish("third message")?;
        same(&self.expected, &tag)?;
        Ok(self.agreed)
    }
}

impl Agreed {
    fn new(isk: &[u8; 64], attached: &[u8]) -> Self {
        Self {
            key: Zeroizing::new(hash::derive("stead/spoken-code-key/1", isk)),
            attached: attached.to_vec(),
        }
    }
}

/// What one side says of itself: its share and what it attached.
struct Part<'a> {
    share: [u8; SHARE_BYTES],
    attached: &'a [u8],
    /// Both in the form that the draft hashes, `lv_cat(Y, AD)`.
    encoded: Vec<u8>,
}

impl<'a> Part<'a> {
    fn decode(input: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        let share = input.array("key share")?;
        let attached = input.bytes(ATTACHED_BYTES_MAX, "attached")?;
        Ok(Self {
            share,
            attached,
            encoded: cpace::lv_cat(&[&share, attached]),
        })
    }
}

/// `lv_cat(Y, AD)`: one length byte, then what travels in the message.
fn signed_part(secret: &Secret, attached: &[u8]) -> Result<Vec<u8>, PakeError> {
    if attached.len() > ATTACHED_BYTES_MAX {
        return Err(PakeError::TooLong {
            len: attached.len(),
        });
    }
    Ok(cpace::lv_cat(&[&secret.share, attached]))
}

/// The draft's key confirmation: each side proves the session key with a MAC of its own message.
struct Confirmation(Hmac<Sha512>);

impl Confirmation {
    fn new(sid: &[u8], isk: &[u8; 64]) -> Self {
        let key = cpace::hash(&[b"CPaceMac", sid, isk]);
        // HMAC fills a short key up with zeros to a whole block.
        let mut block = Zeroizing::new(hmac::digest::Key::<Hmac<Sha512>>::default());
        block[..key.len()].copy_from_slice(&*key);
        Self(Hmac::new(&block))
    }

    fn tag(&self, part: &[u8]) -> Zeroizing<[u8; TAG_BYTES]> {
        let mac = self.0.clone().chain_update(part).finalize();
        Zeroizing::new(mac.into_bytes().into())
    }
}

fn same(expected: &[u8; TAG_BYTES], found: &[u8; TAG_BYTES]) -> Result<(), PakeError> {
    use subtle::ConstantTimeEq;
    match bool::from(expected.ct_eq(found)) {
        true => Ok(()),
        false => Err(PakeError::NotConfirmed),
    }
}

#[cfg(test)]
mod tests;
