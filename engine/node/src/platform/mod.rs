//! What differs between operating systems: permissions and free space. Chosen once, here.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::{create_private_dir, free_bytes, memory_bytes, mode_of, private};

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
pub(crate) use other::{create_private_dir, free_bytes, memory_bytes, mode_of, private};
