//! What signatures on roster operations cover.
//!
//! Owns these byte strings. Each names its kind and version first, and every field is of fixed
//! length or carries its length, so that no signature can be read as another.
//!
//! ```text
//! claim    "stead/claim/1"    || space id (32) || writer id (32)
//! genesis  "stead/genesis/2"  || writer id (32) || nonce (32) || name || record || card (0, or 1 and the card)
//! join     "stead/join/1"     || space id (32) || invite (log 32, seq, index) || joiner
//! root     "stead/root-statement/1" || space id (32) || identity (32) || nonce (32) || operations
//! ```
//!
//! The genesis signature cannot cover the space's id, which is the hash of the entry that carries
//! it. It covers the writer instead: whoever copies the genesis entry into a log of their own
//! gains nothing.

use stead_base::{DeviceId, Encoder, SpaceId, WriterId};
use stead_crypt::{BadSignature, SigningKey, hash, verify};

use crate::op::{OpId, Party};
use crate::{Card, DeviceRecord, IdentityId, Name};

const CLAIM: &[u8] = b"stead/claim/1";
const GENESIS: &[u8] = b"stead/genesis/2";
const JOIN: &[u8] = b"stead/join/1";
const ROOT: &[u8] = b"stead/root-statement/1";

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
    card: Option<&Card>,
) -> [u8; 64] {
    device.sign(&genesis(writer, nonce, name, record, card))
}

/// Verifies a genesis with the key of the device it names. The card is not verified here.
pub fn verify_genesis(
    writer: &WriterId,
    nonce: &[u8; 32],
    name: &Name,
    record: &DeviceRecord,
    card: Option<&Card>,
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    let statement = genesis(writer, nonce, name, record, card);
    verify(record.id.as_bytes(), &statement, signature)
}

/// Signs, with the key of an invite's link, that `joiner` joins by it.
pub fn sign_join(
    invite_key: &SigningKey,
    space: &SpaceId,
    invite: &OpId,
    joiner: &Party,
) -> [u8; 64] {
    invite_key.sign(&join(space, invite, joiner))
}

/// Verifies a join with the invite's public key. The joiner's card is not verified here.
pub fn verify_join(
    invite_key: &[u8; 32],
    space: &SpaceId,
    invite: &OpId,
    joiner: &Party,
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    verify(invite_key, &join(space, invite, joiner), signature)
}

/// Signs encoded operations with an identity's root key.
pub fn sign_root_statement(
    root: &SigningKey,
    space: &SpaceId,
    identity: &IdentityId,
    nonce: &[u8; 32],
    ops: &[u8],
) -> [u8; 64] {
    root.sign(&root_statement(space, identity, nonce, ops))
}

/// Verifies a root statement.
pub fn verify_root_statement(
    space: &SpaceId,
    identity: &IdentityId,
    nonce: &[u8; 32],
    ops: &[u8],
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    let statement = root_statement(space, identity, nonce, ops);
    verify(identity.as_bytes(), &statement, signature)
}

/// What a root statement's operations are named after: the hash of what is signed, as a log.
pub fn root_statement_log(
    space: &SpaceId,
    identity: &IdentityId,
    nonce: &[u8; 32],
    ops: &[u8],
) -> WriterId {
    let hash = hash::digest(&root_statement(space, identity, nonce, ops));
    WriterId::from_bytes(*hash.as_bytes())
}

fn claim(space: &SpaceId, writer: &WriterId) -> Vec<u8> {
    [CLAIM, space.as_bytes(), writer.as_bytes()].concat()
}

fn genesis(
    writer: &WriterId,
    nonce: &[u8; 32],
    name: &Name,
    record: &DeviceRecord,
    card: Option<&Card>,
) -> Vec<u8> {
    let mut out = Encoder::new();
    out.raw(GENESIS).raw(writer.as_bytes()).raw(nonce);
    name.encode(&mut out);
    record.encode(&mut out);
    out.byte(card.is_some().into());
    if let Some(card) = card {
        card.encode(&mut out);
    }
    out.finish()
}

fn join(space: &SpaceId, invite: &OpId, joiner: &Party) -> Vec<u8> {
    let mut out = Encoder::new();
    out.raw(JOIN).raw(space.as_bytes());
    invite.encode(&mut out);
    joiner.encode(&mut out);
    out.finish()
}

fn root_statement(space: &SpaceId, identity: &IdentityId, nonce: &[u8; 32], ops: &[u8]) -> Vec<u8> {
    [ROOT, space.as_bytes(), identity.as_bytes(), nonce, ops].concat()
}
