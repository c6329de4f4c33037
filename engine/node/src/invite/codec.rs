//! The two messages of joining by an invite, to the byte. Nothing is decided here.

use stead_access::{Join, RosterOp, decode_ops, encode_ops};
use stead_base::{DecodeError, DecodeFault, Decoder, DeviceId, Encoder, SpaceId};

/// Longest request, in bytes: a card of the greatest length fits.
pub const REQUEST_BYTES_MAX: usize = 128 << 10;
/// Longest answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Longest refusal, in bytes of UTF-8.
const REFUSAL_BYTES_MAX: usize = 512;
const VERSION: u8 = 1;
/// What the sealed ticket is for.
pub(crate) const TICKET_INFO: &[u8] = b"stead/invite/1 ticket";

/// What a newcomer asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// Into which space.
    pub space: SpaceId,
    /// By which invite, and who they are.
    pub join: Join,
}

impl JoinRequest {
    /// `version 1 (1) || space id (32) || @roster parcel with one join`
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.byte(VERSION)
            .raw(self.space.as_bytes())
            .raw(&encode_ops(&[RosterOp::Join(self.join.clone())]));
        out.finish()
    }

    /// Reads a request.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let undefined = input.error("join request", DecodeFault::Undefined);
        if input.byte("version")? != VERSION {
            return Err(undefined);
        }
        let space = SpaceId::from_bytes(input.array("space id")?);
        match decode_ops(input.rest())?.pop() {
            Some(RosterOp::Join(join)) => Ok(Self { space, join }),
            _ => Err(undefined),
        }
    }
}

/// What the device that made the invite answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinAnswer {
    /// The newcomer is a member: a ticket, sealed to the device that asked.
    Welcome(Vec<u8>),
    /// They are not, and why, in words.
    Refused(String),
}

impl JoinAnswer {
    /// `0 (1) || sealed ticket`, or `1 (1) || reason (text)`
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        match self {
            Self::Welcome(sealed) => out.byte(0).raw(sealed),
            Self::Refused(text) => {
                let mut end = text.len().min(REFUSAL_BYTES_MAX);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                out.byte(1).text(&text[..end])
            }
        };
        out.finish()
    }

    /// Reads an answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let undefined = input.error("join answer", DecodeFault::Undefined);
        match input.byte("join answer")? {
            0 => Ok(Self::Welcome(input.rest().to_vec())),
            1 => {
                let text = input.text(REFUSAL_BYTES_MAX, "refusal")?;
                let text = text.replace(char::is_control, " ");
                input.finish("join answer")?;
                Ok(Self::Refused(text))
            }
            _ => Err(undefined),
        }
    }
}

/// What a sealed ticket is bound to: both devices and this very connection.
pub(crate) fn circumstances(maker: &DeviceId, joiner: &DeviceId, binding: &[u8; 32]) -> Vec<u8> {
    [&maker.as_bytes()[..], joiner.as_bytes(), binding].concat()
}
