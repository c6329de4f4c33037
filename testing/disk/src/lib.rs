//! A simulated disk for SQLite, made from a seed: it forgets what was not synced when the power
//! goes, tears writes, fills up and fails on command.
//!
//! Owns files in memory and the one room of the workspace where `unsafe` is allowed (`vfs`, the
//! C interface of SQLite). Of stores it knows the trait by which they reach other files, and
//! nothing of what the bytes mean.

mod files;
mod random;
mod state;
mod vfs;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use state::Disk;

/// Bytes that a disk writes as a whole, or not at all.
pub const SECTOR_BYTES: usize = 512;

/// An operation of SQLite that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk reports a read, write or sync error once.
    Io,
    /// The disk says once that it is full.
    Full,
    /// The power goes off in the middle: of a write, any part may last; all later operations fail
    /// until [`SimDisk::crash`].
    PowerOff,
}

/// What the disk has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Writes and truncations.
    pub writes: u64,
    /// Syncs.
    pub syncs: u64,
    /// Reads, writes, truncations and syncs.
    pub operations: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

/// One disk. Open stores on it by the name of [`vfs`](Self::vfs), in exclusive mode (it has no
/// shared memory). Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mounted>);

struct Mounted {
    slot: vfs::Slot,
    disk: Arc<Mutex<Disk>>,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let used = lock(&self.disk).handles > 0;
        vfs::unmount(self.slot, used);
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDisk {
    /// An empty disk. The seed decides everything that a crash leaves to chance.
    pub fn new(seed: u64) -> Self {
        let disk = Arc::new(Mutex::new(Disk::new(seed)));
        let slot = vfs::mount(Arc::clone(&disk));
        Self(Arc::new(Mounted { slot, disk }))
    }

    /// The name under which SQLite knows the disk.
    pub fn vfs(&self) -> &str {
        self.0.slot.name()
    }

    fn state(&self) -> MutexGuard<'_, Disk> {
        lock(&self.0.disk)
    }

    /// Cuts the power: every operation fails until [`crash`](Self::crash).
    pub fn power_off(&self) {
        self.state().powered = false;
    }

    /// Whether the power is on.
    pub fn is_powered(&self) -> bool {
        self.state().powered
    }

    /// Cuts the power and turns it on again. What was synced is there; of what was not, the seed
    /// decides: nothing, everything, the first part in order, or any sectors in any order.
    /// Connections opened before can only be closed.
    pub fn crash(&self) {
        self.state().crash();
    }

    /// Makes the `n`th read, write, truncation or sync from now fail (0 is the next one).
    pub fn fail_operation(&self, n: u64, fault: Fault) {
        self.state().fail_operation = Some((n, fault));
    }

    /// Makes the `n`th write or truncation from now fail (0 is the next one).
    pub fn fail_write(&self, n: u64, fault: Fault) {
        self.state().fail_write = Some((n, fault));
    }

    /// Forgets faults that have not happened yet.
    pub fn clear_faults(&self) {
        let mut state = self.state();
        state.fail_operation = None;
        state.fail_write = None;
    }

    /// Limits the bytes of all files together; writes beyond it find the disk full.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes of all files together.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// What the disk has done so far.
    pub fn activity(&self) -> Activity {
        self.state().activity
    }

    /// A file's bytes as a program would read them now.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.state().read(&key(path.as_ref()))
    }

    /// Replaces a file's bytes, synced: for damage done while nobody looks.
    pub fn write(&self, path: impl AsRef<Path>, bytes: Vec<u8>) {
        self.state().write(&key(path.as_ref()), bytes);
    }

    /// Notes from now on whether any write, to whatever file, shows these bytes.
    pub fn watch_for(&self, bytes: &[u8]) {
        self.state().watch_for(bytes);
    }

    /// Whether a write has shown the bytes that are watched for.
    pub fn saw_watched(&self) -> bool {
        self.state().saw_watched()
    }

    /// The paths of all files, in order.
    pub fn files(&self) -> Vec<String> {
        self.state().files()
    }

    /// Another disk with the same files, synced: a copied disk or a restored backup.
    pub fn copy(&self, seed: u64) -> Self {
        let copy = Self::new(seed);
        for path in self.files() {
            if let Some(bytes) = self.read(&path) {
                copy.write(&path, bytes);
            }
        }
        copy
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk")
            .field("vfs", &self.vfs())
            .field("files", &self.files())
            .finish()
    }
}

fn error(failure: state::Failure) -> std::io::Error {
    match failure {
        state::Failure::Full => std::io::ErrorKind::StorageFull.into(),
        state::Failure::Busy => std::io::ErrorKind::WouldBlock.into(),
        state::Failure::Io => std::io::Error::other("the simulated disk failed"),
    }
}

fn key(path: &Path) -> String {
    state::full_path(&path.to_string_lossy())
}
