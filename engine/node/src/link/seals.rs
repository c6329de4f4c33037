//! What binds the messages of linking to one link, two devices and one connection: the tag of a knock, the sealing of
//! request and welcome, and the transcript that the short code stands for.
//!
//! `shared` is what both devices know and nobody else: the link's secret, or the key that the spoken words gave.

use stead_access::DeviceRecord;
use stead_base::{DecodeError, DeviceId, Hash};
use stead_crypt::seal_box::{self, BoxError};
use stead_crypt::{Hasher, KemPublic, KemSecret, Zeroizing};
use stead_keys::OsEntropy;

use super::codec::{Request, Welcome};

const TAG_CONTEXT: &[u8] = b"stead/link/2 tag";
const REQUEST_INFO: &[u8] = b"stead/link/2 request";
const WELCOME_INFO: &[u8] = b"stead/link/2 welcome";
const REPLY_CONTEXT: &[u8] = b"stead/link/2 reply";
const TRANSCRIPT_CONTEXT: &str = "stead/link/2 transcript";

/// Why a sealed message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It does not open: another secret, key, device or connection, or somebody changed it.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// What is inside is not in form.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// The two devices of one attempt, and what only this connection has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The device that has the data.
    pub old: DeviceId,
    /// The device that wants in.
    pub new: DeviceId,
    /// Keying material exported from the connection (RFC 5705): what is bound to it is worth nothing elsewhere.
    pub channel_binding: [u8; 32],
}

impl Circumstances {
    fn bytes(&self) -> Vec<u8> {
        [
            &self.old.as_bytes()[..],
            self.new.as_bytes(),
            &self.channel_binding,
        ]
        .concat()
    }
}

/// Names a link to the device that made it, on one connection, and says nothing to anybody else.
pub fn tag(secret: &[u8; 32], circumstances: &Circumstances) -> [u8; 32] {
    Hasher::keyed(secret)
        .update(TAG_CONTEXT)
        .update(&circumstances.bytes())
        .finish_key()
}

/// What a link holds of the key that was made for it.
pub fn key_hash(key: &KemPublic) -> [u8; 32] {
    *stead_crypt::hash::digest(key.as_bytes()).as_bytes()
}

/// Everything both devices have said when the request has come: in the same order on both, with each in its role.
pub fn transcript(circumstances: &Circumstances, key: &KemPublic, sealed_request: &[u8]) -> Hash {
    Hash::from_bytes(
        Hasher::deriving(TRANSCRIPT_CONTEXT)
            .update(&circumstances.bytes())
            .update(key.as_bytes())
            .update(sealed_request)
            .finish_key(),
    )
}

/// Seals a request to the key made for this link.
pub fn seal_request(
    shared: &[u8; 32],
    circumstances: &Circumstances,
    to: &KemPublic,
    request: &Request,
) -> Result<Vec<u8>, BoxError> {
    seal_box::seal(
        to,
        REQUEST_INFO,
        &circumstances.bytes(),
        &request.encode(),
        Some(shared),
        &mut OsEntropy,
    )
}

/// Opens a request. That the device in it is the one at the other end of the connection is for the caller to check.
pub fn open_request(
    shared: &[u8; 32],
    circumstances: &Circumstances,
    key: &KemSecret,
    sealed: &[u8],
) -> Result<Request, SealError> {
    let opened = key.open(REQUEST_INFO, &circumstances.bytes(), sealed, Some(shared))?;
    Ok(Request::decode(&opened)?)
}

/// Seals a welcome to the new device, with the shared secret and the request's key beside its own.
pub fn seal_welcome(
    shared: &[u8; 32],
    transcript: &Hash,
    request: &Request,
    welcome: &Welcome,
) -> Result<Vec<u8>, BoxError> {
    seal_answer(shared, transcript, request, &welcome.encode())
}

/// Seals whatever answers a request, as a welcome is sealed.
pub fn seal_answer(
    shared: &[u8; 32],
    transcript: &Hash,
    request: &Request,
    text: &[u8],
) -> Result<Vec<u8>, BoxError> {
    let DeviceRecord { kem, .. } = &request.device;
    seal_box::seal(
        kem,
        WELCOME_INFO,
        transcript.as_bytes(),
        text,
        Some(&welcome_key(shared, &request.reply_key)),
        &mut OsEntropy,
    )
}

/// Opens a welcome.
pub fn open_welcome(
    shared: &[u8; 32],
    transcript: &Hash,
    reply_key: &[u8; 32],
    keys: &KemSecret,
    sealed: &[u8],
) -> Result<Welcome, SealError> {
    let opened = open_answer(shared, transcript, reply_key, keys, sealed)?;
    Ok(Welcome::decode(&opened)?)
}

/// Opens whatever answers a request.
pub fn open_answer(
    shared: &[u8; 32],
    transcript: &Hash,
    reply_key: &[u8; 32],
    keys: &KemSecret,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, BoxError> {
    let psk = welcome_key(shared, reply_key);
    keys.open(WELCOME_INFO, transcript.as_bytes(), sealed, Some(&psk))
}

fn welcome_key(shared: &[u8; 32], reply_key: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(
        Hasher::keyed(shared)
            .update(REPLY_CONTEXT)
            .update(reply_key)
            .finish_key(),
    )
}

/// Compares without telling by its duration where the first difference is.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |found, (x, y)| found | (x ^ y));
    a.len() == b.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests;
