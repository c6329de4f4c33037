//! Opening and making a keystore. Owns the rules of where a new seed goes and how an existing one
//! is found again; bytes are `key_file`'s, files are `file`'s, keyrings are `os_keyring`'s.

use std::fmt;
use std::path::{Path, PathBuf};

use stead_base::{DeviceId, Entropy};
use stead_crypt::passphrase::{self, PassphraseError, SALT_BYTES};
use stead_crypt::{DeviceKeys, Zeroizing};

use crate::file;
use crate::key_file::{KEY_FILE_BYTES_MAX, KeyFile};
use crate::os_keyring::KeyringFault;
use crate::{KeystoreError, OsKeyring, Policy};

/// Name of the key file within the keystore's directory.
pub const KEY_FILE: &str = "device.key";

/// How a seed is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In the operating system's keyring, under the person's login.
    OsKeyring,
    /// In a file that a passphrase opens.
    PassphraseFile,
    /// In a file that only its owner can read. Whoever can read the disk as that owner, or
    /// without the system's guard, has the key.
    OwnerOnlyFile,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OsKeyring => "in the operating system's keyring",
            Self::PassphraseFile => "in a file protected by a passphrase",
            Self::OwnerOnlyFile => "in a file that only you can read",
        })
    }
}

/// A device's master seed, found or newly made.
pub struct Keystore {
    path: PathBuf,
    kind: Kind,
    seed: Zeroizing<[u8; 32]>,
    is_new: bool,
}

impl Keystore {
    /// Opens the keystore in `dir`, or makes one with a fresh seed if there is none.
    pub fn open(
        dir: &Path,
        policy: &Policy,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, KeystoreError> {
        match Self::open_existing(dir, policy) {
            Err(KeystoreError::Missing { .. }) => Self::create(dir, policy, entropy),
            opened => opened,
        }
    }

    /// Opens the keystore in `dir`, which must be there.
    pub fn open_existing(dir: &Path, policy: &Policy) -> Result<Self, KeystoreError> {
        let path = dir.join(KEY_FILE);
        let key_file = read(&path)?;
        let (kind, seed) = match key_file {
            KeyFile::Raw(seed) => (Kind::OwnerOnlyFile, seed),
            KeyFile::Passphrase(container) => {
                let seed = unwrap(&path, policy, &container)?;
                (Kind::PassphraseFile, seed)
            }
            KeyFile::Keyring { account, device } => {
                let seed = fetch(&path, policy, &account, &device)?;
                (Kind::OsKeyring, seed)
            }
        };
        Ok(Self {
            path,
            kind,
            seed,
            is_new: false,
        })
    }

    /// Makes a keystore with a fresh seed in `dir`, where there must be none.
    pub fn create(
        dir: &Path,
        policy: &Policy,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, KeystoreError> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(&mut *seed);
        let (kind, key_file) = keep(&seed, policy, entropy)?;
        if let Err(err) = file::create(dir, KEY_FILE, &key_file.encode()) {
            if let (KeyFile::Keyring { account, .. }, Some(keyring)) = (&key_file, &policy.keyring)
            {
                keyring.forget(&account_name(account));
            }
            return Err(err);
        }
        Ok(Self {
            path: dir.join(KEY_FILE),
            kind,
            seed,
            is_new: true,
        })
    }

    /// How the keystore in `dir` keeps its seed, without opening it.
    pub fn kind_in(dir: &Path) -> Result<Kind, KeystoreError> {
        let path = dir.join(KEY_FILE);
        Ok(match read(&path)? {
            KeyFile::Raw(_) => Kind::OwnerOnlyFile,
            KeyFile::Passphrase(_) => Kind::PassphraseFile,
            KeyFile::Keyring { .. } => Kind::OsKeyring,
        })
    }

    /// Keeps the same seed from now on as `policy` says for a new one. The key file is replaced
    /// as a whole or not at all.
    pub fn keep_as(
        &mut self,
        policy: &Policy,
        entropy: &mut dyn Entropy,
    ) -> Result<(), KeystoreError> {
        let dir = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        let old = read(&self.path)?;
        let (kind, key_file) = keep(&self.seed, policy, entropy)?;
        let forget = |key_file: &KeyFile| {
            if let (KeyFile::Keyring { account, .. }, Some(keyring)) = (key_file, &policy.keyring) {
                keyring.forget(&account_name(account));
            }
        };
        if let Err(err) = file::replace(&dir, KEY_FILE, &key_file.encode()) {
            forget(&key_file);
            return Err(err);
        }
        forget(&old);
        self.kind = kind;
        Ok(())
    }

    /// How the seed is kept.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The key file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the seed was made by this call.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Derives the device's keys.
    pub fn device_keys(&self) -> DeviceKeys {
        DeviceKeys::from_seed(&self.seed)
    }
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystore")
            .field("path", &self.path)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<KeyFile, KeystoreError> {
    let Some(bytes) = file::read(path, KEY_FILE_BYTES_MAX)? else {
        return Err(KeystoreError::Missing {
            path: path.to_owned(),
        });
    };
    KeyFile::decode(&bytes).map_err(|reason| damaged(path, reason))
}

/// Decides where a new seed goes, and puts it there if that is not the key file.
fn keep(
    seed: &[u8; 32],
    policy: &Policy,
    entropy: &mut dyn Entropy,
) -> Result<(Kind, KeyFile), KeystoreError> {
    if let Some(passphrase) = &policy.passphrase {
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt);
        let container =
            passphrase::wrap(passphrase, policy.passphrase_cost, salt, seed).map_err(|err| {
                KeystoreError::UnusablePassphrase {
                    reason: err.to_string(),
                }
            })?;
        return Ok((Kind::PassphraseFile, KeyFile::Passphrase(container)));
    }
    if let Some(keyring) = &policy.keyring {
        let mut account = [0; 16];
        entropy.fill(&mut account);
        if keyring.put(&account_name(&account), seed).is_ok() {
            let device = DeviceKeys::from_seed(seed).id();
            return Ok((Kind::OsKeyring, KeyFile::Keyring { account, device }));
        }
        keyring.forget(&account_name(&account));
    }
    let seed = Zeroizing::new(*seed);
    Ok((Kind::OwnerOnlyFile, KeyFile::Raw(seed)))
}

fn unwrap(
    path: &Path,
    policy: &Policy,
    container: &[u8],
) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let Some(passphrase) = &policy.passphrase else {
        return Err(KeystoreError::PassphraseNeeded {
            path: path.to_owned(),
        });
    };
    let seed = passphrase::unwrap(passphrase, container).map_err(|err| match err {
        PassphraseError::WrongPassphrase | PassphraseError::EmptyPassphrase => {
            KeystoreError::WrongPassphrase {
                path: path.to_owned(),
            }
        }
        other => damaged(path, &other.to_string()),
    })?;
    seed_of(&seed).ok_or_else(|| damaged(path, "it does not hold a seed"))
}

fn fetch(
    path: &Path,
    policy: &Policy,
    account: &[u8; 16],
    device: &DeviceId,
) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let unreachable = |reason: &str| KeystoreError::KeyringUnreachable {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let gone = || KeystoreError::GoneFromKeyring {
        path: path.to_owned(),
    };
    let keyring: &OsKeyring = policy
        .keyring
        .as_ref()
        .ok_or_else(|| unreachable("there is none in this session"))?;
    let secret = keyring
        .get(&account_name(account))
        .map_err(|fault| match fault {
            KeyringFault::NoEntry => gone(),
            KeyringFault::Unreachable(reason) => unreachable(&reason),
        })?;
    let seed = seed_of(&secret).ok_or_else(gone)?;
    if DeviceKeys::from_seed(&seed).id() != *device {
        return Err(gone());
    }
    Ok(seed)
}

fn seed_of(secret: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    secret.try_into().ok().map(Zeroizing::new)
}

fn account_name(account: &[u8; 16]) -> String {
    let digits: String = account.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("device-{digits}")
}

fn damaged(path: &Path, reason: &str) -> KeystoreError {
    KeystoreError::Damaged {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
