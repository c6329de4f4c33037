//! Identities and their cards: the chain of signatures from a root key to a person's devices.
//!
//! Owns the card, its bytes and its check. A card proves who added a device, not that the device
//! is still trusted: whoever grants something to a card vouches for that.

use std::fmt;
use std::str::FromStr;

use stead_base::{DecodeError, DecodeFault, Decoder, DeviceId, Encoder, Hash, IdError};
use stead_crypt::{BadSignature, SigningKey, verify};

use crate::DeviceRecord;

/// Most devices on one card.
pub const CARD_DEVICES_MAX: usize = 64;

const DEVICE: &[u8] = b"stead/identity-device/1";
const BY_ROOT: u8 = 0;
const BY_DEVICE: u8 = 1;

/// A person: the Ed25519 public key that their recovery phrase unlocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId([u8; 32]);

impl IdentityId {
    /// Takes the 32 bytes as they are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hexadecimal digits, for people's eyes.
    pub fn short(&self) -> String {
        Hash::from_bytes(self.0).short()
    }
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hash::from_bytes(self.0), f)
    }
}

impl fmt::Debug for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityId({})", self.short())
    }
}

impl FromStr for IdentityId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let hash: Hash = text.parse().map_err(|err: IdError| IdError {
            kind: "identity id",
            ..err
        })?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// Who put a device on a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddedBy {
    /// The identity's root key.
    Root,
    /// The device at this place of the card, which must come before.
    Device(u32),
}

/// One device of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardDevice {
    /// The device.
    pub record: DeviceRecord,
    /// Which stay of the device this is; see [`AddDevice`](crate::AddDevice).
    pub stay: u32,
    /// Who added it.
    pub added_by: AddedBy,
    /// That key's signature; see [`sign_identity_device`].
    pub signature: [u8; 64],
}

/// A person and the devices that act for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The person.
    pub identity: IdentityId,
    /// Their devices; each is added by the root or by one before it.
    pub devices: Vec<CardDevice>,
}

impl Card {
    /// Checks the whole chain of signatures.
    pub fn verify(&self) -> Result<(), BadSignature> {
        for (i, device) in self.devices.iter().enumerate() {
            let (adder, key) = match device.added_by {
                AddedBy::Root => (None, self.identity.as_bytes()),
                AddedBy::Device(by) if (by as usize) < i => {
                    let adder = &self.devices[by as usize].record.id;
                    (Some(*adder), adder.as_bytes())
                }
                AddedBy::Device(_) => return Err(BadSignature),
            };
            let said = statement(&self.identity, &device.record, device.stay, adder.as_ref());
            verify(key, &said, &device.signature)?;
        }
        Ok(())
    }

    /// Each device with its steps from the root key: 0 if the root added it.
    pub fn ranked(&self) -> impl Iterator<Item = (&CardDevice, u32)> {
        let mut ranks: Vec<u32> = Vec::with_capacity(self.devices.len());
        self.devices.iter().map(move |device| {
            let rank = match device.added_by {
                AddedBy::Root => 0,
                AddedBy::Device(by) => ranks.get(by as usize).map_or(0, |rank| rank + 1),
            };
            ranks.push(rank);
            (device, rank)
        })
    }

    /// One card of what several cards of the same person say, each device's stay once; as far as there
    /// is room. Cards of others are left out. A chain stays a chain: a device follows who added it.
    pub fn merged<'a>(cards: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut cards = cards.into_iter();
        let mut all = cards.next()?.clone();
        for card in cards.filter(|card| card.identity == all.identity) {
            // Where each device of `card` is on the card that comes out.
            let mut places: Vec<Option<u32>> = Vec::with_capacity(card.devices.len());
            for device in &card.devices {
                let added_by = match device.added_by {
                    AddedBy::Root => Some(AddedBy::Root),
                    AddedBy::Device(by) => {
                        let place = places.get(by as usize).copied().flatten();
                        place.map(AddedBy::Device)
                    }
                };
                let same = |other: &CardDevice| {
                    other.record == device.record
                        && other.stay == device.stay
                        && Some(other.added_by) == added_by
                };
                let place = match (all.devices.iter().position(same), added_by) {
                    (Some(place), _) => Some(place as u32),
                    (None, Some(added_by)) if all.devices.len() < CARD_DEVICES_MAX => {
                        all.devices.push(CardDevice {
                            added_by,
                            ..device.clone()
                        });
                        Some(all.devices.len() as u32 - 1)
                    }
                    (None, _) => None,
                };
                places.push(place);
            }
        }
        Some(all)
    }

    /// The card without devices that are gone, but for those that a device which stays rests on. A
    /// device that the card names several times is named once, by a chain of devices that stay if
    /// there is one.
    #[must_use]
    pub fn without(&self, gone: &dyn Fn(&DeviceId) -> bool) -> Self {
        let mut clean = vec![false; self.devices.len()];
        for (i, device) in self.devices.iter().enumerate() {
            let rests_well = match device.added_by {
                AddedBy::Root => true,
                AddedBy::Device(by) => clean.get(by as usize).copied().unwrap_or(false),
            };
            clean[i] = rests_well && !gone(&device.record.id);
        }
        let mut kept = vec![false; self.devices.len()];
        for (i, device) in self.devices.iter().enumerate().rev() {
            let id = device.record.id;
            let mut others = self.devices.iter().zip(&clean).enumerate();
            let better = others.any(|(j, (other, other_clean))| {
                let first = (!*other_clean, j) < (!clean[i], i);
                other.record.id == id && first
            });
            kept[i] |= !gone(&id) && !better;
            if let (true, AddedBy::Device(by)) = (kept[i], device.added_by)
                && let Some(adder) = kept.get_mut(by as usize)
            {
                *adder = true;
            }
        }
        let place = |old: u32| kept[..old as usize].iter().filter(|kept| **kept).count() as u32;
        let devices = self.devices.iter().zip(&kept).filter(|(_, kept)| **kept);
        Self {
            identity: self.identity,
            devices: devices
                .map(|(device, _)| CardDevice {
                    added_by: match device.added_by {
                        AddedBy::Root => AddedBy::Root,
                        AddedBy::Device(by) => AddedBy::Device(place(by)),
                    },
                    ..device.clone()
                })
                .collect(),
        }
    }

    /// The card's encoding by itself.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        self.encode(&mut out);
        out.finish()
    }

    /// Reads a card by itself; [`verify`](Self::verify) is the caller's to call.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let card = Self::decode(&mut input)?;
        input.finish("card")?;
        Ok(card)
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.raw(&self.identity.0).uint(self.devices.len() as u64);
        for device in &self.devices {
            device.record.encode(out);
            out.uint(device.stay.into());
            match device.added_by {
                AddedBy::Root => out.byte(BY_ROOT),
                AddedBy::Device(by) => out.byte(BY_DEVICE).uint(by.into()),
            };
            out.raw(&device.signature);
        }
    }

    pub(crate) fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let identity = IdentityId(input.array("identity")?);
        let count = input.count(CARD_DEVICES_MAX, 64, "devices of a card")?;
        let mut devices = Vec::with_capacity(count);
        for _ in 0..count {
            let record = DeviceRecord::decode(input)?;
            let stay = input.uint_max(u32::MAX.into(), "stay of a device")? as u32;
            let undefined = input.error("adder of a device", DecodeFault::Undefined);
            let added_by = match input.byte("adder of a device")? {
                BY_ROOT => AddedBy::Root,
                BY_DEVICE => {
                    let by = input.uint_max(u32::MAX.into(), "adder of a device")? as u32;
                    AddedBy::Device(by)
                }
                _ => return Err(undefined),
            };
            devices.push(CardDevice {
                record,
                stay,
                added_by,
                signature: input.array("signature on a card")?,
            });
        }
        Ok(Self { identity, devices })
    }
}

/// Signs a device onto a card with the root key (`adder` none) or a device's key.
pub fn sign_identity_device(
    key: &SigningKey,
    identity: &IdentityId,
    record: &DeviceRecord,
    stay: u32,
    adder: Option<&DeviceId>,
) -> [u8; 64] {
    key.sign(&statement(identity, record, stay, adder))
}

/// `"stead/identity-device/1" || identity (32) || adder (32, zeros for the root) || stay || record`
fn statement(
    identity: &IdentityId,
    record: &DeviceRecord,
    stay: u32,
    adder: Option<&DeviceId>,
) -> Vec<u8> {
    let mut out = Encoder::new();
    out.raw(DEVICE)
        .raw(&identity.0)
        .raw(adder.map_or(&[0; 32][..], |adder| adder.as_bytes()))
        .uint(stay.into());
    record.encode(&mut out);
    out.finish()
}
