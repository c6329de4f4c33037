//! The Secret Service of the desktop (GNOME Keyring, KWallet, KeePassXC), over D-Bus.
//!
//! The kernel's own keyring is no place for a seed: it forgets at reboot.

use std::sync::Arc;

use keyring_core::CredentialStore;

/// Reaches the person's keyring.
pub(crate) fn connect_keyring() -> Result<Arc<CredentialStore>, keyring_core::Error> {
    Ok(dbus_secret_service_keyring_store::Store::new()?)
}
