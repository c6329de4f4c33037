//! How a keystore is to be opened, and a new seed to be kept. Owns the choice only.

use stead_crypt::Zeroizing;
use stead_crypt::passphrase::Cost;

use crate::OsKeyring;

/// What the caller has to offer for keeping a seed.
///
/// A new seed goes under the passphrase if there is one, else into the keyring if there is one
/// and it works, else into a file that only its owner can read. An existing seed is read from
/// where it is.
#[derive(Clone)]
pub struct Policy {
    /// The operating system's keyring, if it may be used.
    pub keyring: Option<OsKeyring>,
    /// The passphrase, if the person gave one.
    pub passphrase: Option<Zeroizing<String>>,
    /// What one guess of a new passphrase shall cost.
    pub passphrase_cost: Cost,
}

impl Policy {
    /// Offers neither keyring nor passphrase: the seed rests in a file that only its owner can
    /// read.
    pub const fn owner_only_file() -> Self {
        Self {
            keyring: None,
            passphrase: None,
            passphrase_cost: Cost::RECOMMENDED,
        }
    }

    /// Offers the keyring, with the file as the fallback.
    pub fn keyring_if_it_works(keyring: OsKeyring) -> Self {
        Self {
            keyring: Some(keyring),
            ..Self::owner_only_file()
        }
    }

    /// Offers a passphrase as well.
    #[must_use]
    pub fn with_passphrase(self, passphrase: String) -> Self {
        Self {
            passphrase: Some(Zeroizing::new(passphrase)),
            ..self
        }
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("keyring", &self.keyring.is_some())
            .field("passphrase", &self.passphrase.is_some())
            .finish_non_exhaustive()
    }
}
