//! What a device's signature covers when it founds a space or claims a writer.
//!
//! Owns these two byte strings. Both name their kind and version first, and every field is of
//! fixed length or carries its length, so that no signature can be read as another.
//!
//! ```text
//! claim    "stead/claim/1"    || space id (32) || writer id (32)
//! genesis  "stead/genesis/1"  || writer id (32) || nonce (32) || name (length-prefixed)
//!                             || device record (id, sealing key, length-prefixed name)
//! ```
//!
//! The genesis signature cannot cover the space's id, which is the hash of the entry that carries
//! it. It covers the writer instead: whoever copies the genesis entry into a log of their own
//! gains nothing.

use stead_base::{DeviceId, Encoder, SpaceId, WriterId};
use stead_crypt::{BadSignature, SigningKey, verify};

use crate::{DeviceRecord, Name};

const CLAIM: &[u8] = b"stead/claim/1";
const GENESIS: &[u8] = b"stead/genesis/1";

/// Signs, with a device's key, that `writer` is that device's in `space`.
pub fn sign_claim(device: &SigningKey, space: &SpaceId, writer: &WriterId) -> [u8; 64] {
    device.sign(&claim(space, writer))
}

/// Verifies a claim.
pub fn verify_claim(
    device: &DeviceId,
    space: &SpaceId,
    writer: &WriterId,
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    verify(device.as_bytes(), &claim(space, writer), signature)
}

/// Signs, with the founding device's key, the genesis of a space.
pub fn sign_genesis(
    device: &SigningKey,
    writer: &WriterId,
    nonce: &[u8; 32],
    name: &Name,
    record: &DeviceRecord,
) -> [u8; 64] {
    device.sign(&genesis(writer, nonce, name, record))
}

/// Verifies a genesis with the key of the device it names.
pub fn verify_genesis(
    writer: &WriterId,
    nonce: &[u8; 32],
    name: &Name,
    record: &DeviceRecord,
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    let statement = genesis(writer, nonce, name, record);
    verify(record.id.as_bytes(), &statement, signature)
}

fn claim(space: &SpaceId, writer: &WriterId) -> Vec<u8> {
    [CLAIM, space.as_bytes(), writer.as_bytes()].concat()
}

fn genesis(writer: &WriterId, nonce: &[u8; 32], name: &Name, record: &DeviceRecord) -> Vec<u8> {
    let mut out = Encoder::new();
    out.raw(GENESIS).raw(writer.as_bytes()).raw(nonce);
    name.encode(&mut out);
    record.encode(&mut out);
    out.finish()
}
