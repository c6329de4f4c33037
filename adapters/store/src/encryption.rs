//! Encryption of the file: its key, how a connection gets it, and telling an encrypted file from a
//! plain one. The pages are SQLCipher's work; where the key comes from is the caller's.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use zeroize::Zeroizing;

use crate::error::{OpenError, StoreError};
use crate::open::{Options, PAGE_BYTES, connect, empties_log};

/// The key of an encrypted file. It must be 32 bytes that nobody can guess: nothing is derived
/// from a passphrase here.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; 32]>);

impl FileKey {
    /// Takes the key; the caller wipes its copy.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// As SQLCipher takes a key that is no passphrase: `x'...'`, in hexadecimal digits.
    pub(crate) fn literal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(67));
        text.push_str("x'");
        for byte in *self.0 {
            for half in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(half), 16).unwrap_or_default());
            }
        }
        text.push('\'');
        text
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(..)")
    }
}

/// What a file is before anybody opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// There is no file, or an empty one.
    Absent,
    /// A plain SQLite file.
    Plain,
    /// A file that is not a plain SQLite file: an encrypted one, unless it is damaged or foreign.
    Encrypted,
}

/// Tells what the file at `path` is; changes nothing. `vfs` as in [`Options::vfs`].
pub fn form_of(path: impl AsRef<Path>, vfs: Option<&str>) -> Result<Form, OpenError> {
    let path = path.as_ref();
    let options = Options {
        vfs: vfs.map(str::to_owned),
        ..Options::default()
    };
    let conn = match connect(path, &options, OpenFlags::SQLITE_OPEN_READ_WRITE) {
        Ok(conn) => conn,
        Err(OpenError::Unreachable { .. }) if vfs.is_none() && is_missing(path) => {
            return Ok(Form::Absent);
        }
        Err(OpenError::Unreachable { .. }) if vfs.is_some() => return Ok(Form::Absent),
        Err(error) => return Err(error),
    };
    let look = || -> rusqlite::Result<i64> {
        empties_log(&conn, false)?;
        if vfs.is_some() {
            // A disk that is simulated has no shared memory.
            conn.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
        }
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
    };
    match look() {
        Ok(0) => Ok(Form::Absent),
        Ok(_) => Ok(Form::Plain),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Ok(Form::Encrypted),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Err(OpenError::InUse {
                path: path.to_owned(),
            }),
            _ => Err(OpenError::Store {
                path: path.to_owned(),
                source: error.into(),
            }),
        },
    }
}

fn is_missing(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

/// Gives a database of a connection its key and the settings of our files; nothing is read yet.
pub(crate) fn unlock(conn: &Connection, schema: &str, key: &FileKey) -> Result<(), StoreError> {
    let literal = key.literal();
    let sql = Zeroizing::new(format!(
        "PRAGMA cipher_log_level=NONE; PRAGMA {schema}.key=\"{}\"; {}",
        &*literal,
        settings(schema)
    ));
    Ok(conn.execute_batch(&sql)?)
}

/// What differs from SQLCipher's own settings; `docs/formats/store.md` says why.
pub(crate) fn settings(schema: &str) -> String {
    format!("PRAGMA {schema}.cipher_hmac_algorithm=HMAC_SHA256")
}

/// Why a file did not open with a key: it is plain, foreign, or of another key.
pub(crate) fn why_not_opened(path: &Path, options: &Options) -> OpenError {
    let path: PathBuf = path.to_owned();
    match form_of(&path, options.vfs.as_deref()) {
        Ok(Form::Plain) => OpenError::NotEncrypted { path },
        // Ours are whole pages; a crash may leave another length, so this picks words only.
        _ if is_no_row_of_pages(&path) => OpenError::NotAStore { path },
        _ => OpenError::WrongKey { path },
    }
}

fn is_no_row_of_pages(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.len() % u64::from(PAGE_BYTES) != 0)
}
