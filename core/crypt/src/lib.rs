//! Keys, signatures, hashes and sealing: the only room that touches cryptographic primitives.
//!
//! Owns every key type, key derivation, and the byte layout of what is sealed. It must not know
//! who may do what (that is `access`), how entries are chained (`log`), or where a key is kept
//! (`adapters/keys`). Randomness is an argument everywhere; secrets are wiped when dropped and
//! have no `Debug` that shows them.

mod device_keys;
mod epoch;
pub mod hash;
pub mod pake;
pub mod passphrase;
pub mod recovery;
mod safety_words;
mod scope_cipher;
pub mod seal_box;
pub mod shares;
pub mod short_code;
pub mod sign_in;
mod signing;
mod siv;
pub mod spoken_code;
mod word_list;
pub mod wrapkey;

pub use device_keys::DeviceKeys;
pub use epoch::{EpochKey, KeyId};
pub use hash::Hasher;
pub use recovery::{PhraseError, RecoveryPhrase, RootKey};
pub use safety_words::{SAFETY_WORDS, SafetyWordsError, safety_words};
pub use scope_cipher::{NotOpened, Part, ScopeCipher, TooLarge};
pub use seal_box::{KemPublic, KemSecret};
pub use signing::{BadSignature, SigningKey, verify};
pub use spoken_code::{SpokenCode, SpokenCodeError};
pub use zeroize::Zeroizing;
