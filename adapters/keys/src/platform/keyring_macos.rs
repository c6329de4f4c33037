//! The login keychain of macOS.

use std::sync::Arc;

use keyring_core::CredentialStore;

/// Reaches the person's keyring.
pub(crate) fn connect_keyring() -> Result<Arc<CredentialStore>, keyring_core::Error> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}
