//! The operating system's keyring, with patience: a keyring may ask its person something, or
//! never answer.
//!
//! Owns the calls to `keyring-core` and their time limit. Stores one secret under an account
//! name; what it means is the keystore's concern.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use keyring_core::api::CredentialPersistence;
use keyring_core::{CredentialStore, Error};
use stead_crypt::Zeroizing;

use crate::platform;

const SERVICE: &str = "stead";

/// A keyring that answered when it was connected.
#[derive(Clone)]
pub struct OsKeyring {
    store: Arc<CredentialStore>,
    patience: Duration,
}

/// What a keyring did instead of answering. Never holds what it stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyringFault {
    /// It answers, and has no such secret.
    NoEntry,
    /// It refused, failed or kept silent.
    Unreachable(String),
}

impl OsKeyring {
    /// Connects to the keyring of the person who runs this process. None if there is none, or if
    /// it would forget at logout or reboot. Waits at most `patience` for this and for every later
    /// call: the keyring may be asking its person for a password.
    pub fn connect(patience: Duration) -> Option<Self> {
        let store = within(patience, platform::connect_keyring).ok()?;
        Self::over(store, patience)
    }

    /// Uses a given store, if it keeps what it is given.
    pub fn over(store: Arc<CredentialStore>, patience: Duration) -> Option<Self> {
        let lasting = matches!(store.persistence(), CredentialPersistence::UntilDelete);
        lasting.then_some(Self { store, patience })
    }

    /// Stores a secret and reads it back, as proof that it is there.
    pub(crate) fn put(&self, account: &str, secret: &[u8; 32]) -> Result<(), KeyringFault> {
        let secret = Zeroizing::new(*secret);
        let written = self.call(account, {
            let secret = secret.clone();
            move |entry| entry.set_secret(&*secret)
        });
        written?;
        match self.get(account) {
            Ok(read) if read[..] == secret[..] => Ok(()),
            Ok(_) => Err(KeyringFault::Unreachable(
                "it gave back another secret".to_owned(),
            )),
            Err(fault) => Err(fault),
        }
    }

    /// Reads a secret.
    pub(crate) fn get(&self, account: &str) -> Result<Zeroizing<Vec<u8>>, KeyringFault> {
        self.call(account, |entry| entry.get_secret().map(Zeroizing::new))
    }

    /// Deletes a secret, as far as the keyring lets it.
    pub(crate) fn forget(&self, account: &str) {
        // A secret left behind is of no use without the key file that points to it.
        let _ = self.call(account, |entry| entry.delete_credential());
    }

    fn call<T: Send + 'static>(
        &self,
        account: &str,
        work: impl FnOnce(keyring_core::Entry) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, KeyringFault> {
        let (store, account) = (self.store.clone(), account.to_owned());
        within(self.patience, move || {
            work(store.build(SERVICE, &account, None)?)
        })
    }
}

/// Runs `work` on a thread of its own, which is left behind if it takes longer than `patience`.
fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, KeyringFault> {
    let (answer, answers) = sync_channel(1);
    thread::Builder::new()
        .name("stead-keyring".to_owned())
        .spawn(move || answer.send(work()))
        .map_err(|err| KeyringFault::Unreachable(err.to_string()))?;
    match answers.recv_timeout(patience) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(err)) => Err(fault(&err)),
        Err(RecvTimeoutError::Timeout) => Err(KeyringFault::Unreachable(format!(
            "it did not answer within {} seconds",
            patience.as_secs()
        ))),
        Err(RecvTimeoutError::Disconnected) => {
            Err(KeyringFault::Unreachable("its client failed".to_owned()))
        }
    }
}

fn fault(err: &Error) -> KeyringFault {
    match err {
        Error::NoEntry => KeyringFault::NoEntry,
        // These carry what was stored.
        Error::BadEncoding(_) | Error::BadDataFormat(..) => {
            KeyringFault::Unreachable("it holds something else".to_owned())
        }
        other => KeyringFault::Unreachable(other.to_string()),
    }
}

impl std::fmt::Debug for OsKeyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OsKeyring({})", self.store.vendor())
    }
}
