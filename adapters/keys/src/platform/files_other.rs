//! Systems without permission bits: files of a person's profile are private by inheritance.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Cannot be told from metadata here.
pub(crate) const fn exposed_mode(_: &Metadata) -> Option<u32> {
    None
}

/// Creates a new file.
pub(crate) fn create_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Creates a directory and its parents.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

/// Directories cannot be synced here; the file itself was.
pub(crate) const fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}
