//! What differs between operating systems, chosen once: file permissions and the keyring.
//!
//! Owns no policy; each file answers the same questions for its system.

#[cfg(not(unix))]
mod files_other;
#[cfg(unix)]
mod files_unix;

#[cfg_attr(
    any(target_os = "linux", target_os = "freebsd", target_os = "openbsd"),
    path = "keyring_secret_service.rs"
)]
#[cfg_attr(target_os = "macos", path = "keyring_macos.rs")]
#[cfg_attr(windows, path = "keyring_windows.rs")]
#[cfg_attr(
    not(any(
        target_os = "linux",
        target_os = "freebsd",
        target_os = "openbsd",
        target_os = "macos",
        windows
    )),
    path = "keyring_none.rs"
)]
mod keyring;

#[cfg(not(unix))]
pub(crate) use files_other::{create_private_dir, create_private_file, exposed_mode, sync_dir};
#[cfg(unix)]
pub(crate) use files_unix::{create_private_dir, create_private_file, exposed_mode, sync_dir};
pub(crate) use keyring::connect_keyring;
