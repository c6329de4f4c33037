//! The database at rest: whether its file is encrypted, what protects it, and making it so or not.
//! The key comes from the device's seed, so there is one secret to keep and none to lose beside it.

use std::path::{Path, PathBuf};

use stead_crypt::DeviceKeys;
use stead_keys::{Keystore, Kind, OsEntropy, Policy};
use stead_store::{FileKey, Form, Options, OsFiles, convert, forget_unfinished, form_of};

use crate::home::{Home, STORE_FILE};
use crate::{AtRest, NodeError};

/// What became of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Whether it is encrypted now.
    pub encrypted: bool,
    /// Whether it had to be rewritten for that.
    pub rewritten: bool,
    /// Whether the device's keys are kept in another place than before.
    pub keys_moved: bool,
    /// What protects it now, in one sentence.
    pub protection: String,
}

/// The key with which the database of `home` is opened or made; none for a plain one.
pub(crate) fn key_for(
    home: &Home,
    wanted: AtRest,
    keys: &DeviceKeys,
) -> Result<Option<FileKey>, NodeError> {
    let path = home.file(STORE_FILE);
    forget_unfinished(&path, &OsFiles)?;
    let encrypted = match (form_of(&path, None)?, wanted) {
        (Form::Absent, AtRest::Encrypted) => true,
        (Form::Absent, AtRest::Plain | AtRest::AsItIs) => false,
        (Form::Plain, AtRest::Encrypted) => {
            return Err(NodeError::NotEncrypted {
                home: home.path().to_owned(),
            });
        }
        (Form::Plain, AtRest::Plain | AtRest::AsItIs) => false,
        (Form::Encrypted, AtRest::Plain) => {
            return Err(NodeError::Encrypted {
                home: home.path().to_owned(),
            });
        }
        (Form::Encrypted, AtRest::Encrypted | AtRest::AsItIs) => true,
    };
    Ok(encrypted.then(|| FileKey::new(keys.database())))
}

/// How the keys of the device in `home` are kept; none if there is no device, or its key file
/// cannot be read.
pub fn key_kind(home: &Path) -> Option<Kind> {
    Keystore::kind_in(home).ok()
}

/// Encrypts the database of a home whose node does not run, or makes it a plain file. Keys that
/// rest in an open file move on to the passphrase or keyring that `policy` offers when the
/// database becomes encrypted, since it would be worth little otherwise.
///
/// The old file stays in its place until the new one is complete and on the medium.
pub fn change(home: &Path, policy: &Policy, encrypt: bool) -> Result<Converted, NodeError> {
    if !home.join(STORE_FILE).exists() {
        return Err(NodeError::NoDatabase {
            home: home.to_owned(),
        });
    }
    let home = Home::lock(home)?;
    let path: PathBuf = home.file(STORE_FILE);
    let mut keystore = Keystore::open_existing(home.path(), policy)?;
    let key = FileKey::new(keystore.device_keys().database());
    let was = form_of(&path, None)?;
    if was == Form::Absent {
        return Err(NodeError::NoDatabase {
            home: home.path().to_owned(),
        });
    }
    let kind = keystore.kind();
    let offers = policy.passphrase.is_some() || policy.keyring.is_some();
    if encrypt && kind == Kind::OwnerOnlyFile && offers {
        keystore.keep_as(policy, &mut OsEntropy)?;
    }
    let rewritten = (was == Form::Encrypted) != encrypt;
    if rewritten {
        let (from, to) = match encrypt {
            true => (None, Some(key)),
            false => (Some(key), None),
        };
        let options = Options {
            key: from,
            ..Options::default()
        };
        convert(&path, &options, to.as_ref(), &OsFiles)?;
    }
    Ok(Converted {
        encrypted: encrypt,
        rewritten,
        keys_moved: keystore.kind() != kind,
        protection: protection(encrypt, keystore.kind()).to_owned(),
    })
}

/// What stands between somebody who takes the disk and the documents.
pub fn protection(encrypted: bool, keys: Kind) -> &'static str {
    match (encrypted, keys) {
        (false, _) => {
            "The database is not encrypted: whoever takes the disk can read it, unless the disk is encrypted."
        }
        (true, Kind::OsKeyring) => {
            "The database is encrypted; its key is in the operating system's keyring, which your login opens."
        }
        (true, Kind::PassphraseFile) => {
            "The database is encrypted; its key is in a file that your passphrase opens."
        }
        (true, Kind::OwnerOnlyFile) => {
            "The database is encrypted, but its key lies beside it in a file that only you can read: that protects a copy of the database, not the disk."
        }
    }
}
