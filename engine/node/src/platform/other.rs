//! Permissions and free space where the system has no Unix ones: the folder's own rules hold.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// Makes a directory and those above it.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Leaves a new file to the rules of its folder.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Permission bits of a file, where the system has them.
pub(crate) fn mode_of(_path: &Path) -> Option<u32> {
    None
}

/// Bytes that may still be written beside `path`.
pub(crate) fn free_bytes(_path: &Path) -> Option<u64> {
    None
}

/// Bytes of memory that this process holds, where the system says.
pub(crate) fn memory_bytes() -> Option<u64> {
    None
}
