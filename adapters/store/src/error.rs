//! What can go wrong with the file, in words a person can act on. Nothing here decides to retry.

use std::path::PathBuf;

use rusqlite::ffi::{self, ErrorCode};

use crate::index::IndexError;
use crate::key::KeyError;
use crate::query::QueryError;
use crate::sandbox::SqlError;

/// Whether this is what SQLite says of bytes that are no JSONB. The paths asked for are checked before,
/// so a bad one is a label of the body.
fn is_damaged_json(message: &str) -> bool {
    message == "malformed JSON" || message.starts_with("bad JSON path")
}

/// Why a read or a write of the store failed. After any of these the running transaction is
/// undone and everything committed before it is still there.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room left for the write.
    #[error(
        "the disk is full: this change was not saved, everything saved before it is safe; \
         free some space and try again"
    )]
    DiskFull,
    /// The file, its directory or the file system cannot be written.
    #[error(
        "the database cannot be written: nothing was changed; make its folder and file writable \
         (or remount the disk read-write) and try again"
    )]
    ReadOnly,
    /// The file holds something this store never wrote.
    #[error(
        "the database file is damaged ({detail}): stop using it and keep a copy, then restore a \
         backup or start with an empty folder and let your other devices refill it"
    )]
    Corrupt {
        /// What SQLite or a decoder found.
        detail: String,
    },
    /// Another connection holds the file for longer than we wait.
    #[error("the database is in use by another program: close it and try again")]
    Busy,
    /// The operating system could not read or write.
    #[error(
        "the disk reported an error ({detail}): this change was not saved; check the disk's \
         health and free space, then try again"
    )]
    Io {
        /// SQLite's name for the failed call.
        detail: String,
    },
    /// An [`Interrupt`](crate::Interrupt) stopped the call.
    #[error("the query was stopped before it finished")]
    Interrupted,
    /// An earlier write of the transaction failed, so it was undone as a whole.
    #[error("this transaction was undone by an earlier error; start it again")]
    Undone,
    /// A number is beyond what the tables hold: a fault of the caller.
    #[error("{what} {value} is beyond what the store can hold")]
    OutOfRange {
        /// What was numbered.
        what: &'static str,
        /// The number refused.
        value: u64,
    },
    /// A query that cannot be asked: a fault of the caller.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// An index that cannot be: a fault of the caller.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A person's SQL that cannot be answered: a fault of the caller.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// Anything else SQLite reports: a fault of this program.
    #[error("the database refused a statement")]
    Sqlite {
        /// SQLite's own error.
        #[source]
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Whether the disk failed or what is on it is damaged. The connection that met it may read nothing more:
    /// SQLCipher gives a file up for good after a page that it could not open.
    pub const fn is_of_disk(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Io { .. })
    }
}

/// Why a store could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is not one of ours.
    #[error(
        "{path} is not a Stead database, or an encrypted one opened without its key: choose another \
         folder, or move the file away and start again"
    )]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// The key does not open it.
    #[error(
        "the device key does not open the database {path}: it is encrypted with another key, \
         damaged, or not Stead's; put the device key back that belongs to it, or restore both \
         from one backup; the file was not touched"
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// A key was given for a file that is not encrypted.
    #[error(
        "the database {path} is not encrypted: encrypt it with `stead encrypt`; the file was not \
         touched"
    )]
    NotEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// Another process (or another store of this one) holds it.
    #[error("{path} is already open in another program: stop that one first")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A later release wrote it.
    #[error(
        "{path} was written by a newer Stead (format {found}, this one knows up to {known}): \
         install the newer version; the file was not touched"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format number in the file.
        found: u32,
        /// The greatest format number this program reads.
        known: u32,
    },
    /// The file cannot be created or reached.
    #[error("{path} cannot be opened: make sure that its folder exists and belongs to you")]
    Unreachable {
        /// The file.
        path: PathBuf,
        /// SQLite's own error.
        #[source]
        source: rusqlite::Error,
    },
    /// The first read or write failed.
    #[error("{path} cannot be used")]
    Store {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: StoreError,
    },
}

impl From<rusqlite::Error> for StoreError {
    fn from(source: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(code, ref message) = source else {
            return match source {
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..) => Self::Corrupt {
                    detail: source.to_string(),
                },
                _ => Self::Sqlite { source },
            };
        };
        let detail = || match message {
            Some(message) => format!("{message}, code {}", code.extended_code),
            None => code.to_string(),
        };
        match code.code {
            ErrorCode::DiskFull => Self::DiskFull,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Self::Corrupt { detail: detail() }
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::OperationInterrupted => Self::Interrupted,
            // The file shrank below a page that it must have, or a checksum of it is wrong.
            ErrorCode::SystemIoFailure
                if matches!(
                    code.extended_code,
                    ffi::SQLITE_IOERR_SHORT_READ
                        | ffi::SQLITE_IOERR_CORRUPTFS
                        | ffi::SQLITE_IOERR_DATA
                ) =>
            {
                Self::Corrupt { detail: detail() }
            }
            ErrorCode::SystemIoFailure => Self::Io { detail: detail() },
            // SQLite's word for a body that it cannot read; no other JSON reaches it from here.
            ErrorCode::Unknown if message.as_deref().is_some_and(is_damaged_json) => {
                Self::Corrupt { detail: detail() }
            }
            _ => Self::Sqlite { source },
        }
    }
}

impl From<KeyError> for StoreError {
    fn from(error: KeyError) -> Self {
        Self::Corrupt {
            detail: error.to_string(),
        }
    }
}
