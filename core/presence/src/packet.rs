//! What travels: a head that everyone passes on by, and what is sealed to those who may read the place.

use stead_base::{
    DecodeError, DecodeFault, Decoder, DeviceId, Encoder, ScopeId, SpaceId, WriterId,
};
use stead_crypt::{EpochKey, Part, ScopeCipher, SigningKey, verify};

use crate::Said;

/// Longest packet, in bytes.
pub const PACKET_BYTES_MAX: usize = 4096;
const DEVICE_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
const MAGIC: &[u8] = b"stead/presence/1";
/// Largest number of an app or a packet.
const NUMBER_MAX: u64 = 1 << 40;

/// What everyone sees of a packet. None of it says who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// Fresh random bytes of a device, a start and a space: a run of the numbers below.
    pub run: [u8; 32],
    /// Which app of the device.
    pub app: u64,
    /// Grows with each packet of the run.
    pub seq: u64,
    /// The scope that it is sealed to.
    pub scope: ScopeId,
    /// The epoch of the scope.
    pub generation: u32,
}

/// A packet as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What everyone sees.
    pub head: Head,
    sealed: &'a [u8],
}

/// Why a packet cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "what is to be shown has {bytes} bytes with all around it, and {PACKET_BYTES_MAX} is the most"
)]
pub struct SealError {
    /// How large the packet would be.
    pub bytes: usize,
}

/// Why a packet says nothing under a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was altered, or sealed under another key or for another space.
    #[error("the packet does not open with this key")]
    NotOpened,
    /// It is not signed by the device that it names.
    #[error("the packet is not signed by the device that it names")]
    Forged,
    /// What was sealed does not follow its format.
    #[error("what was sealed in the packet does not follow its format")]
    Format(#[from] DecodeError),
}

impl<'a> Packet<'a> {
    /// Reads a packet.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        if bytes.len() > PACKET_BYTES_MAX {
            return Err(input.error(
                "packet",
                DecodeFault::TooLong {
                    found: bytes.len() as u64,
                    max: PACKET_BYTES_MAX as u64,
                },
            ));
        }
        let head = Head {
            run: input.array("run")?,
            app: input.uint_max(NUMBER_MAX, "number of an app")?,
            seq: input.uint_max(NUMBER_MAX, "number of a packet")?,
            scope: ScopeId::from_number(u64::from_le_bytes(input.array("scope")?)),
            generation: u32::from_le_bytes(input.array("epoch")?),
        };
        let sealed = input.rest();
        Ok(Self { head, sealed })
    }
}

impl Head {
    fn encode(&self, out: &mut Encoder) {
        out.raw(&self.run).uint(self.app).uint(self.seq);
        out.raw(&self.scope.number().to_le_bytes());
        out.raw(&self.generation.to_le_bytes());
    }

    fn cipher(&self, key: &EpochKey, space: &SpaceId) -> ScopeCipher {
        let run = WriterId::from_bytes(self.run);
        ScopeCipher::new(
            key,
            space,
            self.scope,
            self.generation,
            &run,
            Part::Presence,
        )
    }

    fn statement(&self, space: &SpaceId, body: &[u8]) -> Vec<u8> {
        let mut out = Encoder::new();
        out.raw(MAGIC).raw(space.as_bytes());
        self.encode(&mut out);
        out.raw(body);
        out.finish()
    }
}

/// Signs and seals.
///
/// # Errors
/// It would be larger than a packet may be.
pub fn seal(
    key: &EpochKey,
    space: &SpaceId,
    head: &Head,
    said: &Said,
    device: &SigningKey,
) -> Result<Vec<u8>, SealError> {
    let body = said.body();
    let signature = device.sign(&head.statement(space, &body));
    let mut text = Vec::with_capacity(DEVICE_BYTES + SIGNATURE_BYTES + body.len());
    text.extend_from_slice(said.device.as_bytes());
    text.extend_from_slice(&signature);
    text.extend_from_slice(&body);
    let mut out = Encoder::new();
    head.encode(&mut out);
    let mut out = out.finish();
    let bytes = out.len() + text.len() + ScopeCipher::OVERHEAD;
    if bytes > PACKET_BYTES_MAX {
        return Err(SealError { bytes });
    }
    head.cipher(key, space)
        .seal(head.seq, [0; 4], &text, &mut out)
        .map_err(|_| SealError { bytes })?;
    Ok(out)
}

/// Opens a packet and checks who says it.
///
/// # Errors
/// It does not open, is not signed by whom it names, or does not follow its format.
pub fn open(key: &EpochKey, space: &SpaceId, packet: &Packet<'_>) -> Result<Said, OpenError> {
    let mut text = Vec::new();
    packet
        .head
        .cipher(key, space)
        .open(packet.head.seq, [0; 4], packet.sealed, &mut text)
        .map_err(|_| OpenError::NotOpened)?;
    let mut input = Decoder::new(&text);
    let device: [u8; DEVICE_BYTES] = input.array("device")?;
    let signature: [u8; SIGNATURE_BYTES] = input.array("signature")?;
    let body = input.rest();
    verify(&device, &packet.head.statement(space, body), &signature)
        .map_err(|_| OpenError::Forged)?;
    Ok(Said::decode(DeviceId::from_bytes(device), body)?)
}
