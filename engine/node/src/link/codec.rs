//! The messages of linking and their bytes; `docs/protocol/link.md` is their description. Owns no secrets: what is
//! sealed, and under which keys, is in [`super::seals`].
//!
//! ```text
//! knock   = version:byte tag[32]                 with spoken words: version:byte
//! reply   = 0:byte rest...                       go on
//!         | reason:byte text                     refusal; reason 1..=8
//! request = device-record reply-key[32]          (sealed)
//! welcome = device-name:text count:uint ticket*  (sealed; the home space's ticket first)
//! ```

use stead_access::{DeviceRecord, Name};
use stead_base::limits::{NAME_BYTES_MAX, SPACES_MAX};
use stead_base::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_crypt::seal_box::OVERHEAD;
use stead_crypt::short_code::MESSAGE_BYTES;
use stead_crypt::{Zeroizing, pake};
use stead_replica::SpaceTicket;

/// Version of both protocols.
pub const VERSION: u8 = 2;
/// Longest knock, in bytes.
pub const KNOCK_BYTES_MAX: usize = 33;
/// Longest request before sealing, in bytes.
pub const REQUEST_BYTES_MAX: usize = 2048;
/// Length of the confirmation before a request that came with spoken words, in bytes.
pub const CONFIRMATION_BYTES: usize = 64;
/// Longest message of the new device, in bytes: a sealed request and what stands before it.
pub const ASK_BYTES_MAX: usize = pake::MESSAGE_BYTES_MAX + OVERHEAD + REQUEST_BYTES_MAX;
/// Longest reply before the welcome, in bytes.
pub const REPLY_BYTES_MAX: usize = 1 + pake::MESSAGE_BYTES_MAX;
/// Longest reply that may hold a welcome, in bytes.
pub const WELCOME_BYTES_MAX: usize = 4 << 20;
/// Longest text of a refusal, in bytes.
pub const REFUSAL_BYTES_MAX: usize = 256;
/// Smallest encoding of a ticket, in bytes.
const TICKET_BYTES_MIN: usize = 66;

/// What the new device sends first: which link it was shown, without saying the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// Proves that the new device was shown the link: see [`super::seals::tag`]. Absent with spoken words.
    pub tag: Option<[u8; 32]>,
}

impl Knock {
    /// The knock's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.byte(VERSION);
        if let Some(tag) = &self.tag {
            out.raw(tag);
        }
        out.finish()
    }

    /// Reads a knock.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let undefined = input.error("version", DecodeFault::Undefined);
        if input.byte("version")? != VERSION {
            return Err(undefined);
        }
        let tag = match input.rest().is_empty() {
            true => None,
            false => Some(input.array("tag")?),
        };
        input.finish("knock")?;
        Ok(Self { tag })
    }
}

/// Why a device is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// No link made here has this secret, or no words are shown here.
    Wrong = 1,
    /// The link or the words were used before.
    Used = 2,
    /// Its time is over.
    Expired = 3,
    /// It was taken back.
    Cancelled = 4,
    /// The old device failed.
    Failed = 5,
    /// The person said no.
    Declined = 6,
    /// The code that the person typed, or the spoken words, were wrong.
    CodeWrong = 7,
    /// The person said nothing in time.
    Unanswered = 8,
}

impl Reason {
    const ALL: [Self; 8] = [
        Self::Wrong,
        Self::Used,
        Self::Expired,
        Self::Cancelled,
        Self::Failed,
        Self::Declined,
        Self::CodeWrong,
        Self::Unanswered,
    ];
}

/// What the old device answers, each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The next step, as the step defines it.
    Go(Vec<u8>),
    /// It is over.
    Refused {
        /// Why, for programs.
        reason: Reason,
        /// Why, in words.
        text: String,
    },
}

impl Reply {
    /// A refusal.
    pub fn refused(reason: Reason, text: impl Into<String>) -> Self {
        Self::Refused {
            reason,
            text: text.into(),
        }
    }

    /// The reply's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        match self {
            Self::Go(rest) => out.byte(0).raw(rest),
            Self::Refused { reason, text } => {
                let mut end = text.len().min(REFUSAL_BYTES_MAX);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                out.byte(*reason as u8).text(&text[..end])
            }
        };
        out.finish()
    }

    /// Reads a reply.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let undefined = input.error("reply", DecodeFault::Undefined);
        let first = input.byte("reply")?;
        if first == 0 {
            return Ok(Self::Go(input.rest().to_vec()));
        }
        let known = Reason::ALL
            .into_iter()
            .find(|reason| *reason as u8 == first);
        let reason = known.ok_or(undefined)?;
        let text = input
            .text(REFUSAL_BYTES_MAX, "refusal")?
            .replace(char::is_control, " ");
        input.finish("reply")?;
        Ok(Self::Refused { reason, text })
    }
}

/// Reads a message that is 32 bytes and nothing else.
pub fn decode_nonce(bytes: &[u8]) -> Result<[u8; MESSAGE_BYTES], DecodeError> {
    let mut input = Decoder::new(bytes);
    let nonce = input.array("nonce")?;
    input.finish("nonce")?;
    Ok(nonce)
}

/// Who wants to be let in. Travels sealed to the key that the old device made for this one link.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The new device.
    pub device: DeviceRecord,
    /// Random; the welcome is sealed with it too, so that it stays closed when the long-lived keys become known.
    pub reply_key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({:?})", self.device)
    }
}

impl Request {
    /// The request's bytes, before sealing. They hold a secret.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Encoder::new();
        self.device.encode(&mut out);
        out.raw(&*self.reply_key);
        Zeroizing::new(out.finish())
    }

    /// Reads an opened request.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let device = DeviceRecord::decode(&mut input)?;
        let reply_key = Zeroizing::new(input.array("reply key")?);
        input.finish("link request")?;
        Ok(Self { device, reply_key })
    }
}

/// What the new device needs to take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The old device's name.
    pub device_name: Name,
    /// The home space's ticket, then those of all other spaces.
    pub tickets: Vec<SpaceTicket>,
}

impl Welcome {
    /// The welcome's bytes, before sealing. They hold keys.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Encoder::new();
        out.text(&self.device_name).uint(self.tickets.len() as u64);
        for ticket in &self.tickets {
            ticket.encode(&mut out);
        }
        Zeroizing::new(out.finish())
    }

    /// Reads an opened welcome.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let device_name = Name::from_any(input.text(NAME_BYTES_MAX, "device name")?);
        let none = input.error("tickets", DecodeFault::Undefined);
        let count = input.count(SPACES_MAX, TICKET_BYTES_MIN, "tickets")?;
        if count == 0 {
            return Err(none);
        }
        let tickets = (0..count)
            .map(|_| SpaceTicket::decode(&mut input))
            .collect::<Result<_, _>>()?;
        input.finish("welcome")?;
        Ok(Self {
            device_name,
            tickets,
        })
    }
}

#[cfg(test)]
mod tests;
