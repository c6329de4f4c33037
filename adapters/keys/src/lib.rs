//! The keystore: where a device's 32-byte master seed rests.
//!
//! Owns one file, `device.key`, and the seed that it holds or points to: in the operating
//! system's keyring, wrapped by a passphrase, or plain and readable by its owner only. It must
//! not read the environment or the terminal: directory, passphrase and randomness are arguments.
//! What is derived from the seed is `stead_crypt::DeviceKeys`' concern.

mod entropy;
mod error;
mod file;
mod key_file;
mod keystore;
mod os_keyring;
mod platform;
mod policy;

pub use entropy::OsEntropy;
pub use error::KeystoreError;
pub use keystore::{KEY_FILE, Keystore, Kind};
pub use os_keyring::OsKeyring;
pub use policy::Policy;
