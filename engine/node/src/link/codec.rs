//! The messages of linking and their bytes; `docs/protocol/link.md` is their description.
//!
//! ```text
//! request = version:byte proof[32] device-record
//! answer  = 0:byte sealed...                     welcome
//!         | reason:byte text                     refusal; reason 1..=5
//! welcome = device-name:text count:uint ticket*  (sealed; the home space's ticket first)
//! ```

use stead_access::{DeviceRecord, Name};
use stead_base::limits::{NAME_BYTES_MAX, SPACES_MAX};
use stead_base::{DecodeError, DecodeFault, Decoder, DeviceId, Encoder};
use stead_crypt::{Hasher, KemPublic, KemSecret, Zeroizing, seal_box};
use stead_keys::OsEntropy;
use stead_replica::SpaceTicket;

/// Version of the protocol.
pub const VERSION: u8 = 1;
/// Longest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 2048;
/// Longest answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Longest text of a refusal, in bytes.
pub const REFUSAL_BYTES_MAX: usize = 256;
/// Smallest encoding of a ticket, in bytes.
const TICKET_BYTES_MIN: usize = 66;

const PROOF_CONTEXT: &[u8] = b"stead/link/1 proof";
const WELCOME_INFO: &[u8] = b"stead/link/1 welcome";

/// What the new device sends first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRequest {
    /// Proves that the new device was shown the link: see [`proof`].
    pub proof: [u8; 32],
    /// The new device.
    pub device: DeviceRecord,
}

impl LinkRequest {
    /// The request's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.byte(VERSION).raw(&self.proof);
        self.device.encode(&mut out);
        out.finish()
    }

    /// Reads a request.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let undefined = input.error("version", DecodeFault::Undefined);
        if input.byte("version")? != VERSION {
            return Err(undefined);
        }
        let proof = input.array("proof")?;
        let device = DeviceRecord::decode(&mut input)?;
        input.finish("link request")?;
        Ok(Self { proof, device })
    }
}

/// Why a link is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// No open link has this secret.
    Wrong = 1,
    /// The link was used before.
    Used = 2,
    /// The link's time is over.
    Expired = 3,
    /// The link was taken back.
    Cancelled = 4,
    /// The old device failed.
    Failed = 5,
}

/// What the old device answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkAnswer {
    /// The new device is one of the person's now: a sealed [`Welcome`].
    Welcome(Vec<u8>),
    /// It is not.
    Refused {
        /// Why, for programs.
        reason: Reason,
        /// Why, in words.
        text: String,
    },
}

impl LinkAnswer {
    /// The answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        match self {
            Self::Welcome(sealed) => out.byte(0).raw(sealed),
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

    /// Reads an answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let undefined = input.error("answer", DecodeFault::Undefined);
        let reason = match input.byte("answer")? {
            0 => return Ok(Self::Welcome(input.rest().to_vec())),
            1 => Reason::Wrong,
            2 => Reason::Used,
            3 => Reason::Expired,
            4 => Reason::Cancelled,
            5 => Reason::Failed,
            _ => return Err(undefined),
        };
        let text = input
            .text(REFUSAL_BYTES_MAX, "refusal")?
            .replace(char::is_control, " ");
        input.finish("link answer")?;
        Ok(Self::Refused { reason, text })
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

/// The two devices of one attempt, and what only this connection has.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The device that made the link.
    pub old: DeviceId,
    /// The device that uses it.
    pub new: DeviceId,
    /// Keying material exported from the connection (RFC 5705): a proof is worth nothing elsewhere.
    pub channel_binding: &'a [u8; 32],
}

/// Proves knowledge of a link's secret, for one connection and one device record.
pub fn proof(secret: &[u8; 32], attempt: &Attempt<'_>, device: &DeviceRecord) -> [u8; 32] {
    let mut record = Encoder::new();
    device.encode(&mut record);
    Hasher::keyed(secret)
        .update(PROOF_CONTEXT)
        .update(attempt.old.as_bytes())
        .update(attempt.new.as_bytes())
        .update(attempt.channel_binding)
        .update(record.as_slice())
        .finish_key()
}

/// Seals a welcome to the new device, so that it also proves knowledge of the secret.
pub fn seal_welcome(
    secret: &[u8; 32],
    attempt: &Attempt<'_>,
    to: &KemPublic,
    welcome: &Welcome,
) -> Result<Vec<u8>, seal_box::BoxError> {
    let aad = circumstances(attempt);
    seal_box::seal(
        to,
        WELCOME_INFO,
        &aad,
        &welcome.encode(),
        Some(secret),
        &mut OsEntropy,
    )
}

/// Opens a sealed welcome.
pub fn open_welcome(
    secret: &[u8; 32],
    attempt: &Attempt<'_>,
    keys: &KemSecret,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, seal_box::BoxError> {
    keys.open(WELCOME_INFO, &circumstances(attempt), sealed, Some(secret))
}

fn circumstances(attempt: &Attempt<'_>) -> Vec<u8> {
    [
        &attempt.old.as_bytes()[..],
        attempt.new.as_bytes(),
        attempt.channel_binding,
    ]
    .concat()
}

/// Compares without telling by its duration where the first difference is.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |found, (x, y)| found | (x ^ y));
    a.len() == b.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_crypt::DeviceKeys;

    fn record(seed: u8) -> (DeviceKeys, DeviceRecord) {
        let keys = DeviceKeys::from_seed(&[seed; 32]);
        let record = DeviceRecord::of(&keys, Name::from_any("laptop"));
        (keys, record)
    }

    #[test]
    fn a_request_reads_back_and_nothing_may_follow_it() {
        let request = LinkRequest {
            proof: [3; 32],
            device: record(1).1,
        };
        let bytes = request.encode();
        assert!(bytes.len() <= REQUEST_BYTES_MAX);
        assert_eq!(LinkRequest::decode(&bytes), Ok(request));
        assert!(LinkRequest::decode(&[&bytes[..], &[0]].concat()).is_err());
        for cut in 0..bytes.len() {
            assert!(LinkRequest::decode(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn answers_read_back_and_long_refusals_are_cut() {
        let text = "ä".repeat(REFUSAL_BYTES_MAX);
        let refused = LinkAnswer::Refused {
            reason: Reason::Used,
            text,
        };
        match LinkAnswer::decode(&refused.encode()).unwrap() {
            LinkAnswer::Refused {
                reason: Reason::Used,
                text,
            } => {
                assert_eq!(text.len(), REFUSAL_BYTES_MAX);
            }
            other => panic!("{other:?}"),
        }
        let welcome = LinkAnswer::Welcome(vec![1, 2, 3]);
        assert_eq!(LinkAnswer::decode(&welcome.encode()), Ok(welcome));
        assert!(LinkAnswer::decode(&[6, 0]).is_err());
        assert!(LinkAnswer::decode(&[]).is_err());
    }

    #[test]
    fn a_proof_is_worth_nothing_for_another_secret_connection_or_device() {
        let (keys, device) = record(1);
        let old = DeviceId::from_bytes([9; 32]);
        let attempt = Attempt {
            old,
            new: keys.id(),
            channel_binding: &[4; 32],
        };
        let right = proof(&[7; 32], &attempt, &device);
        assert_ne!(right, proof(&[8; 32], &attempt, &device));
        let elsewhere = Attempt {
            channel_binding: &[5; 32],
            ..attempt
        };
        assert_ne!(right, proof(&[7; 32], &elsewhere, &device));
        assert_ne!(right, proof(&[7; 32], &attempt, &record(2).1));
    }

    #[test]
    fn a_welcome_opens_only_with_the_secret_of_the_link() {
        let (keys, device) = record(1);
        let old = DeviceId::from_bytes([9; 32]);
        let attempt = Attempt {
            old,
            new: keys.id(),
            channel_binding: &[4; 32],
        };
        let welcome = Welcome {
            device_name: Name::from_any("tower"),
            tickets: Vec::new(),
        };
        let sealed = seal_welcome(&[7; 32], &attempt, &device.kem, &welcome).unwrap();
        let opened = open_welcome(&[7; 32], &attempt, keys.kem(), &sealed).unwrap();
        assert_eq!(*opened, *welcome.encode());
        assert!(open_welcome(&[8; 32], &attempt, keys.kem(), &sealed).is_err());
        // One without a home space is refused.
        assert!(Welcome::decode(&opened).is_err());
    }

    #[test]
    fn equal_bytes_are_the_same_and_others_are_not() {
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd"));
        assert!(!same(b"abc", b"abcd"));
    }
}
