//! The data directory: its files, its permissions, and the lock that keeps a second node out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use stead_keys::{Keystore, KeystoreError, Policy};

use crate::NodeError;
use crate::platform;

/// The database's file name.
pub const STORE_FILE: &str = "stead.db";
/// The lock's file name; it holds the process id of the node that runs.
pub const LOCK_FILE: &str = "node.lock";
/// Remembers the port other devices know this one by.
const PORT_FILE: &str = "net.port";
/// Names the device that linked this one, until that device's own document says where it is.
pub(crate) const INTRODUCTION_FILE: &str = "introduced-by";
/// The devices of this person that this one knew of, and since when.
pub(crate) const KNOWN_DEVICES_FILE: &str = "known-devices";
/// Most bytes of any small file read here.
const SMALL_FILE_BYTES_MAX: u64 = 4096;

/// A data directory that this process holds.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    /// Held for its lock, which the system takes back when the process ends, however it ends.
    lock: File,
}

impl Home {
    /// Makes the directory if needed, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, NodeError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| NodeError::Home {
                action,
                path,
                source,
            }
        };
        platform::create_private_dir(path).map_err(failed("make", path))?;
        let lock_path = path.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = platform::private(&mut options)
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = (&mut lock)
                    .take(SMALL_FILE_BYTES_MAX)
                    .read_to_string(&mut text);
                return Err(NodeError::InUse {
                    home: path.to_owned(),
                    pid: text.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &lock_path)(source)),
        }
        let written = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| write!(lock, "{}", std::process::id()));
        if let Err(error) = written {
            tracing::warn!(%error, "the lock cannot say which process holds it");
        }
        Ok(Self {
            path: path.to_owned(),
            lock,
        })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of that name in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The port of the last start.
    pub(crate) fn last_port(&self) -> Option<u16> {
        read_small(&self.file(PORT_FILE))?.trim().parse().ok()
    }

    /// Remembers the port for the next start.
    pub(crate) fn remember_port(&self, port: u16) {
        if self.last_port() != Some(port)
            && let Err(error) = write_private(&self.file(PORT_FILE), port.to_string().as_bytes())
        {
            tracing::debug!(%error, "the port cannot be remembered");
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The lock goes with the file; an empty one says that nobody runs.
        let _ = self.lock.set_len(0);
    }
}

/// Whether the device key of this data directory opens with a passphrase only.
pub fn needs_passphrase(home: &Path) -> bool {
    let without = Policy::owner_only_file();
    matches!(
        Keystore::open_existing(home, &without),
        Err(KeystoreError::PassphraseNeeded { .. })
    )
}

/// Reads a small text file; None if there is none or it cannot be read.
pub(crate) fn read_small(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(SMALL_FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

/// Writes a small file that only its owner can read, all of it or nothing.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let mut file = platform::private(&mut options).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_process_that_holds_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::lock(dir.path()).unwrap();
        match Home::lock(dir.path()) {
            Err(NodeError::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(home);
        Home::lock(dir.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_new_home_is_closed_to_others() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let home = Home::lock(&dir.path().join("deep/home")).unwrap();
        let mode = fs::metadata(home.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
