//! What a roster says of a device. Owns the record and its encoding.

use stead_base::{DecodeError, DecodeFault, Decoder, DeviceId, Encoder};
use stead_crypt::{DeviceKeys, KemPublic, seal_box};

use crate::Name;

/// A device as its granter knows it. The granter vouches that id and sealing key belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// The device's Ed25519 public key.
    pub id: DeviceId,
    /// The key that boxes for this device are sealed to.
    pub kem: KemPublic,
    /// The device's name, chosen by its person.
    pub name: Name,
}

impl DeviceRecord {
    /// The record of the device that holds `keys`.
    pub fn of(keys: &DeviceKeys, name: Name) -> Self {
        Self {
            id: keys.id(),
            kem: keys.kem().public().clone(),
            name,
        }
    }

    /// Appends the record: id (32), sealing key (1216), name (length-prefixed).
    pub fn encode(&self, out: &mut Encoder) {
        out.raw(self.id.as_bytes()).raw(self.kem.as_bytes());
        self.name.encode(out);
    }

    /// Reads a record.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let id = DeviceId::from_bytes(input.array("device id")?);
        let undefined = input.error("device sealing key", DecodeFault::Undefined);
        let kem = input.raw(seal_box::PUBLIC_BYTES, "device sealing key")?;
        Ok(Self {
            id,
            kem: KemPublic::from_bytes(kem).map_err(|_| undefined)?,
            name: Name::decode(input, "device name")?,
        })
    }
}
