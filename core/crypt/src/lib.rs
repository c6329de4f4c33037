//! Keys, signatures, hashes and sealing: the only room that touches cryptographic primitives.
//!
//! Owns every key type, key derivation, and the byte layout of what is sealed. It must not know
//! who may do what (that is `access`), how entries are chained (`log`), or where a key is kept
//! (`adapters/keys`). Randomness is an argument everywhere; secrets are wiped when dropped and
//! have no `Debug` that shows them.

mod device_keys;
mod epoch;
pub mod hash;
pub mod passphrase;
mod scope_cipher;
pub mod seal_box;
mod signing;
pub mod wrapkey;

pub use device_keys::DeviceKeys;
pub use epoch::{EpochKey, KeyId};
pub use hash::Hasher;
pub use scope_cipher::{NotOpened, Part, ScopeCipher, TooLarge};
pub use seal_box::{KemPublic, KemSecret};
pub use signing::{BadSignature, SigningKey, verify};
pub use zeroize::Zeroizing;
