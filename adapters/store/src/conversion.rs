//! Rewriting a whole file as an encrypted or a plain one. The old file stays as it is until the
//! new one is complete, checked and on the medium; then one rename puts it in the old one's place.
//! It must not run while a store has the file open.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::check::{self, Finding};
use crate::encryption;
use crate::error::{OpenError, StoreError};
use crate::files::FileSystem;
use crate::open::{Options, PAGE_BYTES, connect, empties_log, inspect};
use crate::{FileKey, Form, form_of, schema};

/// The unfinished new file, beside the old one.
const UNFINISHED: &str = ".new";
/// What SQLite may leave beside a file.
const COMPANIONS: [&str; 4] = ["", "-wal", "-journal", "-shm"];
const CACHE_KIB: i64 = 64 << 10;

/// Why a file was not rewritten. The old one is in its place and whole.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The old file does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Reading the old file or writing the new one failed.
    #[error("the database was left as it was: {source}")]
    Store {
        /// What failed.
        #[source]
        source: StoreError,
    },
    /// The file system refused.
    #[error(
        "the database was left as it was: could not {action} {path}: {source}; make sure that the folder is yours and has room"
    )]
    Files {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The new file does not hold what the old one holds: a fault of the disk or of this program.
    #[error(
        "the database was left as it was: the new file is not whole ({detail}); run `stead doctor --thorough`"
    )]
    Incomplete {
        /// What differs.
        detail: String,
    },
}

impl From<StoreError> for ConvertError {
    fn from(source: StoreError) -> Self {
        Self::Store { source }
    }
}

impl From<rusqlite::Error> for ConvertError {
    fn from(source: rusqlite::Error) -> Self {
        StoreError::from(source).into()
    }
}

/// Rewrites the file at `path`, which opens with `options`, under the key `to`, or plain without
/// one. Needs as much free disk again. Nobody may have the file open.
pub fn convert(
    path: &Path,
    options: &Options,
    to: Option<&FileKey>,
    files: &dyn FileSystem,
) -> Result<(), ConvertError> {
    forget_unfinished(path, files)?;
    let converted = rewrite(path, options, to, files);
    if converted.is_err() {
        // What failed is what matters; the next start removes what is left.
        let _ = forget_unfinished(path, files);
    }
    converted
}

/// Removes what a conversion left that did not come to its end. Whoever opens the file calls it
/// first: an unfinished plain copy must not lie beside an encrypted database.
pub fn forget_unfinished(path: &Path, files: &dyn FileSystem) -> Result<(), ConvertError> {
    for companion in COMPANIONS {
        let left = beside(path, &format!("{UNFINISHED}{companion}"));
        (files.remove(&left)).map_err(|source| failed("remove", &left, source))?;
    }
    Ok(())
}

fn rewrite(
    path: &Path,
    options: &Options,
    to: Option<&FileKey>,
    files: &dyn FileSystem,
) -> Result<(), ConvertError> {
    let new = beside(path, UNFINISHED);
    let options = Options {
        exclusive: true,
        ..options.clone()
    };
    if form_of(path, options.vfs.as_deref())? == Form::Absent {
        return Err(ConvertError::Open(OpenError::NotAStore {
            path: path.to_owned(),
        }));
    }
    // What a connection may create, so may the files attached to it.
    let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let conn = connect(path, &options, access)?;
    empties_log(&conn, false)?;
    let format = inspect(&conn, path, &options)?;
    empties_log(&conn, true)?;
    stand_alone(&conn).map_err(|error| match error {
        StoreError::Busy => ConvertError::Open(OpenError::InUse {
            path: path.to_owned(),
        }),
        other => other.into(),
    })?;
    copy(&conn, &new, format, to)?;
    let written = Options {
        key: to.cloned(),
        ..options.clone()
    };
    compare(&conn, &new, &written)?;
    (conn.close()).map_err(|(_, error)| StoreError::from(error))?;
    (files.sync_file(&new)).map_err(|source| failed("save", &new, source))?;
    // The old file needs none of these any more. They must be gone for good: one that came back
    // would be taken for the new file's.
    for companion in &COMPANIONS[1..] {
        let left = beside(path, companion);
        (files.remove(&left)).map_err(|source| failed("remove", &left, source))?;
    }
    (files.sync_names(&new)).map_err(|source| failed("save the folder of", &new, source))?;
    (files.rename(&new, path)).map_err(|source| failed("replace", path, source))?;
    (files.sync_names(path)).map_err(|source| failed("save the folder of", path, source))
}

/// Empties and removes the write-ahead log, and keeps everybody else out.
fn stand_alone(conn: &Connection) -> Result<(), StoreError> {
    // The journal of this change must not come back after a power cut either.
    conn.pragma_update(None, "synchronous", "EXTRA")?;
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    if mode != "delete" {
        return Err(StoreError::Busy);
    }
    // In exclusive mode the lock stays.
    Ok(conn.execute_batch("BEGIN EXCLUSIVE; COMMIT")?)
}

fn copy(
    conn: &Connection,
    new: &Path,
    format: u32,
    to: Option<&FileKey>,
) -> Result<(), ConvertError> {
    let name = new.to_str().ok_or_else(|| {
        let source = io::Error::other("its path is not Unicode");
        failed("write", new, source)
    })?;
    let literal = to.map(FileKey::literal).unwrap_or_default();
    conn.execute("ATTACH ?1 AS new KEY ?2", (name, literal.as_str()))?;
    if to.is_some() {
        conn.execute_batch(&encryption::settings("new"))?;
    }
    // The new file is worth nothing until it is complete, so it needs no journal; it is put on
    // the medium once, at the end.
    conn.execute_batch(&format!(
        "PRAGMA new.page_size={PAGE_BYTES}; PRAGMA new.journal_mode=OFF; \
         PRAGMA new.synchronous=OFF; PRAGMA new.cache_size=-{CACHE_KIB}; \
         PRAGMA temp_store=MEMORY"
    ))?;
    conn.query_row("SELECT sqlcipher_export('new')", [], |_| Ok(()))?;
    conn.execute_batch(&format!(
        "PRAGMA new.application_id={}; PRAGMA new.user_version={format}; DETACH new",
        schema::APPLICATION_ID
    ))?;
    Ok(())
}

/// Reads the new file as its next opener will, and compares it with the old one.
fn compare(old: &Connection, new: &Path, written: &Options) -> Result<(), ConvertError> {
    let incomplete = |detail: String| ConvertError::Incomplete { detail };
    let conn = connect(new, written, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    inspect(&conn, new, written)?;
    if let Some(finding) = check::run(&conn)?.into_iter().next()
        && matches!(finding, Finding::File { .. })
    {
        return Err(incomplete(finding.to_string()));
    }
    let (held, copied) = (contents(old)?, contents(&conn)?);
    match held.iter().zip(&copied).find(|(a, b)| a != b) {
        Some((held, copied)) => Err(incomplete(format!("{held:?} became {copied:?}"))),
        None if held.len() != copied.len() => Err(incomplete(format!(
            "{} tables became {}",
            held.len(),
            copied.len()
        ))),
        None => Ok(()),
    }
}

/// Every entry of the schema, with how many rows each table has.
fn contents(conn: &Connection) -> Result<Vec<(String, String, u64)>, ConvertError> {
    let mut schema = conn.prepare(
        "SELECT name, coalesce(sql, ''), type='table' AND rootpage > 0 FROM sqlite_schema \
         ORDER BY type, name",
    )?;
    let entries = schema.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let entries: Vec<(String, String, bool)> = entries.collect::<rusqlite::Result<_>>()?;
    let mut contents = Vec::with_capacity(entries.len());
    for (name, sql, has_rows) in entries {
        let rows = match has_rows {
            true => {
                let quoted = name.replace('"', "\"\"");
                let count = format!("SELECT count(*) FROM \"{quoted}\"");
                conn.query_row(&count, [], |row| row.get(0))?
            }
            false => 0,
        };
        contents.push((name, sql, rows));
    }
    Ok(contents)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> ConvertError {
    ConvertError::Files {
        action,
        path: path.to_owned(),
        source,
    }
}
