//! Epoch keys on their way to a device: boxes that ride in the entry that lets the device in, and
//! that it can open before it holds any key of the space.
//!
//! Owns what a box holds and what it is bound to: the space, the addressee, and the entry that
//! carries it, so that a box copied elsewhere does not open. Scope and generation are sealed
//! together with each key, and the entry stands for the roster its author knew: whoever carries
//! the box learns none of the three. A box says nothing of who made it:
//! the entry's author does, and [`Roster::declares`](crate::Roster::declares) whether the keys
//! inside are the space's.

use stead_base::limits::ENTRY_BYTES_MAX;
use stead_base::{DecodeError, Decoder, DeviceId, Encoder, Entropy, ScopeId, SpaceId, WriterId};
use stead_crypt::seal_box::{self, BoxError};
use stead_crypt::{EpochKey, KemPublic, KemSecret, hash};
use zeroize::Zeroizing;

use crate::DeviceRecord;

/// Most keys in one box.
pub const KEYS_PER_BOX_MAX: usize = 1024;
/// Most boxes in one entry.
pub const BOXES_PER_ENTRY_MAX: usize = 512;

const HINT_BYTES: usize = 8;
const SCOPED_KEY_BYTES_MIN: usize = 34;
const INFO: &[u8] = b"stead/keybox/1";

/// The key of one epoch of one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopedKey {
    /// The scope.
    pub scope: ScopeId,
    /// Which generation of its key.
    pub generation: u32,
    /// The key.
    pub key: EpochKey,
}

/// Where a box belongs: it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPlace {
    /// The space.
    pub space: SpaceId,
    /// Author and sequence number of the entry that carries the box.
    pub granted_at: (WriterId, u64),
}

/// Epoch keys sealed to one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBox {
    /// Tells the addressee, and nobody else, which box is its own. See [`recipient_hint`].
    pub recipient_hint: [u8; HINT_BYTES],
    /// The sealed keys.
    pub sealed: Vec<u8>,
}

/// Why a box could not be made or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyBoxError {
    /// More than [`KEYS_PER_BOX_MAX`] keys.
    #[error("{count} keys are too many for one box")]
    TooManyKeys {
        /// How many there were.
        count: usize,
    },
    /// Sealing or opening failed.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// The box opened, but its content is not in form: its maker is at fault.
    #[error("the content of a key box is malformed")]
    Content(#[from] DecodeError),
}

impl KeyBox {
    /// Whether the box seems to be for the holder of `kem` in `space`. May be wrong, once in
    /// 2^64: only opening it tells.
    pub fn is_for(&self, kem: &KemPublic, space: &SpaceId) -> bool {
        self.recipient_hint == recipient_hint(kem, space)
    }

    /// Appends the box: hint (8), sealed keys (length-prefixed).
    pub fn encode(&self, out: &mut Encoder) {
        out.raw(&self.recipient_hint).bytes(&self.sealed);
    }

    /// Reads a box.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            recipient_hint: input.array("key box hint")?,
            sealed: input.bytes(ENTRY_BYTES_MAX, "key box")?.to_vec(),
        })
    }
}

/// Encodes the boxes of an entry: a count, then the boxes.
pub fn encode_boxes(boxes: &[KeyBox]) -> Vec<u8> {
    let mut out = Encoder::new();
    out.uint(boxes.len() as u64);
    for key_box in boxes {
        key_box.encode(&mut out);
    }
    out.finish()
}

/// Decodes the boxes of an entry.
pub fn decode_boxes(bytes: &[u8]) -> Result<Vec<KeyBox>, DecodeError> {
    let mut input = Decoder::new(bytes);
    let count = input.count(BOXES_PER_ENTRY_MAX, HINT_BYTES + 1, "key boxes")?;
    let boxes = (0..count)
        .map(|_| KeyBox::decode(&mut input))
        .collect::<Result<_, _>>()?;
    input.finish("key boxes")?;
    Ok(boxes)
}

/// Names an addressee within a space. Only who knows the sealing key can tell whose hint it is,
/// and hints of one device in two spaces have nothing in common.
pub fn recipient_hint(kem: &KemPublic, space: &SpaceId) -> [u8; HINT_BYTES] {
    let key = hash::derive("stead/keybox-hint/1", kem.as_bytes());
    let name = hash::keyed(&key, space.as_bytes());
    std::array::from_fn(|i| name.as_bytes()[i])
}

/// Seals epoch keys to a device, for the entry at `place`.
pub fn seal_keys(
    to: &DeviceRecord,
    place: &KeyPlace,
    keys: &[ScopedKey],
    entropy: &mut dyn Entropy,
) -> Result<KeyBox, KeyBoxError> {
    if keys.len() > KEYS_PER_BOX_MAX {
        return Err(KeyBoxError::TooManyKeys { count: keys.len() });
    }
    let text = encode_keys(keys);
    let info = info(place, &to.id);
    Ok(KeyBox {
        recipient_hint: recipient_hint(&to.kem, &place.space),
        sealed: seal_box::seal(&to.kem, &info, b"", &text, None, entropy)?,
    })
}

/// Opens a box that was sealed to this device for the entry at `place`.
pub fn open_keys(
    kem: &KemSecret,
    own: &DeviceId,
    place: &KeyPlace,
    key_box: &KeyBox,
) -> Result<Vec<ScopedKey>, KeyBoxError> {
    let text = kem.open(&info(place, own), b"", &key_box.sealed, None)?;
    Ok(decode_keys(&text)?)
}

/// `"stead/keybox/1" || space (32) || recipient device (32) || author (32) || seq (8, big-endian)`
fn info(place: &KeyPlace, recipient: &DeviceId) -> Vec<u8> {
    let (author, seq) = &place.granted_at;
    [
        INFO,
        place.space.as_bytes(),
        recipient.as_bytes(),
        author.as_bytes(),
        &seq.to_be_bytes(),
    ]
    .concat()
}

fn encode_keys(keys: &[ScopedKey]) -> Zeroizing<Vec<u8>> {
    // Room for everything, so that no secret stays behind in an outgrown buffer.
    let mut out = Encoder::over(Vec::with_capacity(10 + keys.len() * (15 + 32)));
    out.uint(keys.len() as u64);
    for scoped in keys {
        out.uint(scoped.scope.number())
            .uint(scoped.generation.into())
            .raw(scoped.key.expose());
    }
    Zeroizing::new(out.finish())
}

fn decode_keys(text: &[u8]) -> Result<Vec<ScopedKey>, DecodeError> {
    let mut input = Decoder::new(text);
    let count = input.count(KEYS_PER_BOX_MAX, SCOPED_KEY_BYTES_MIN, "keys")?;
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        keys.push(ScopedKey {
            scope: ScopeId::from_number(input.uint("scope")?),
            generation: input.uint_max(u32::MAX.into(), "generation")? as u32,
            key: EpochKey::from_bytes(&Zeroizing::new(input.array("epoch key")?)),
        });
    }
    input.finish("key box content")?;
    Ok(keys)
}

#[cfg(test)]
mod tests;
