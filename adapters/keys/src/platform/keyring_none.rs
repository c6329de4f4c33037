//! Systems without a keyring that is known here.

use std::sync::Arc;

use keyring_core::CredentialStore;

/// There is none to reach.
pub(crate) fn connect_keyring() -> Result<Arc<CredentialStore>, keyring_core::Error> {
    Err(keyring_core::Error::NotSupportedByStore(
        "this system has no keyring that Stead knows".to_owned(),
    ))
}
