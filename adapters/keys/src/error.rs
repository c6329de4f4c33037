//! What can go wrong with a keystore. Every message says what to do next.

use std::io;
use std::path::PathBuf;

/// Why a keystore could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// There is no key file.
    #[error(
        "there is no device key at {path}; if this device had one, restore the file from a \
         backup, otherwise make a new device"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is a key file where a new one should be made.
    #[error("there already is a device key at {path}; it was left as it is")]
    AlreadyExists {
        /// Where it is.
        path: PathBuf,
    },
    /// Others than the owner may read or write the key file.
    #[error(
        "the device key {path} can be read or changed by others (mode {mode:03o}); if it may have \
         been read, unlink this device, otherwise run: chmod 600 '{path}'"
    )]
    ExposedToOthers {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file is wrapped, and no passphrase was given.
    #[error("the device key {path} is protected by a passphrase; give the passphrase")]
    PassphraseNeeded {
        /// The key file.
        path: PathBuf,
    },
    /// The passphrase does not open the key file, which is whole.
    #[error("this passphrase does not open the device key {path}; try again")]
    WrongPassphrase {
        /// The key file.
        path: PathBuf,
    },
    /// The passphrase cannot be used for a new key file.
    #[error("this passphrase cannot be used: {reason}; choose another")]
    UnusablePassphrase {
        /// Why not.
        reason: String,
    },
    /// The key file is cut, altered, or something else.
    #[error("the device key {path} is damaged ({reason}); restore it from a backup")]
    Damaged {
        /// The key file.
        path: PathBuf,
        /// What was found wrong.
        reason: String,
    },
    /// The seed is in the keyring, which was not offered or does not answer.
    #[error(
        "the device key {path} is kept in the operating system's keyring, which cannot be \
         reached ({reason}); unlock the keyring or log in to your desktop, then try again"
    )]
    KeyringUnreachable {
        /// The key file that points to the keyring.
        path: PathBuf,
        /// What the keyring said.
        reason: String,
    },
    /// The keyring answers, but does not hold the seed any more, or holds another.
    #[error(
        "the operating system's keyring no longer holds the device key that {path} points to; \
         restore the keyring from a backup, or link this device anew"
    )]
    GoneFromKeyring {
        /// The key file that points to the keyring.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("could not {action} {path}: {source}; check that the disk has room and is writable")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}
