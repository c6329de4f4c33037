//! Why a node could not start or had to stop, in sentences that say what to do next.

use std::io;
use std::path::PathBuf;

use stead_keys::KeystoreError;
use stead_net::NetError;
use stead_replica::ReplicaError;
use stead_store::{ConvertError, OpenError};

/// Why a node could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Another node holds the data directory.
    #[error(
        "a node is already running on {home}{}: use it, or stop it first with `stead down`",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The data directory.
        home: PathBuf,
        /// The other node's process, if it says so.
        pid: Option<u32>,
    },
    /// The data directory cannot be used.
    #[error("could not {action} {path}: {source}; {}", remedy(source))]
    Home {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The device's key cannot be had.
    #[error(transparent)]
    Keys(#[from] KeystoreError),
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// It was to be encrypted, and is not.
    #[error("the database in {home} is not encrypted; encrypt it with `stead encrypt`")]
    NotEncrypted {
        /// The data directory.
        home: PathBuf,
    },
    /// It was to be plain, and is encrypted.
    #[error("the database in {home} is encrypted; make it a plain file with `stead decrypt`")]
    Encrypted {
        /// The data directory.
        home: PathBuf,
    },
    /// There is none to be rewritten.
    #[error("there is no database in {home} yet; make one with `stead up`")]
    NoDatabase {
        /// The data directory.
        home: PathBuf,
    },
    /// The database could not be rewritten.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// What the database holds cannot be used.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The network cannot be used.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A thread could not be started.
    #[error("the system gives no more threads: {source}; close other programs and try again")]
    Thread {
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The store thread is gone, which happens only through a fault of the program.
    #[error(
        "the node's store thread ended unexpectedly; start the node again, everything acknowledged is safe"
    )]
    StoreThread,
}

/// What to do about a folder that cannot be used.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "mount the disk read-write and start again",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space and start again"
        }
        _ => "make sure that the folder exists, belongs to you and has room",
    }
}
