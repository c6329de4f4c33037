//! Opening the file: connections, their settings, durability and the lock. No table is read here
//! beyond the file's header.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionState};

use crate::FileKey;
use crate::ahead::Ahead;
use crate::checkpoint::Checkpoints;
use crate::encryption;
use crate::error::{OpenError, StoreError};
use crate::files::{FileSystem, OsFiles};
use crate::functions;
use crate::index::IndexCache;
use crate::read::{Read, Source};
use crate::room::Syncs;
use crate::schema;
use crate::write::Tx;

/// Small pages make small transactions cheap: a commit writes whole pages.
pub(crate) const PAGE_BYTES: u32 = 4096;
/// The write-ahead log's file shrinks back to this after a burst that outgrew it.
pub(crate) const WAL_KEPT_BYTES: u32 = 16 << 20;
/// The named value that says that deleted bytes are overwritten since ever.
const ERASED: &str = "erased";
const STATEMENTS_MAX: usize = 128;
const BUSY_WAIT: Duration = Duration::from_secs(5);
const EXCLUSIVE_BUSY_WAIT: Duration = Duration::from_millis(50);

/// What a commit promises when the power fails. Neither loses anything when only the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A commit returns once it is on the medium.
    #[default]
    Flushed,
    /// A commit returns before it is on the medium. After a power failure the file holds a prefix
    /// of the commits: all those before the last [`Store::flush`], and any number of later ones.
    Ordered,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// What commits promise.
    pub durability: Durability,
    /// Memory for pages, in bytes, for each connection.
    pub cache_bytes: usize,
    /// A registered SQLite VFS by name; the operating system's by default.
    pub vfs: Option<String>,
    /// Refuses every other connection, also those of other processes, and needs no shared memory.
    /// There are no [`Reader`]s then.
    pub exclusive: bool,
    /// Where what is no business of SQLite's is kept, the journal of [`Tx::commit_ahead`]; without it, the
    /// operating system's files if SQLite uses those, too, and none if not: there is no journal then.
    pub files: Option<Arc<dyn FileSystem>>,
    /// Encrypts the whole file and its write-ahead log. A new file is made encrypted; one that is
    /// there must be encrypted with this very key. Without a key, files are plain.
    pub key: Option<FileKey>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Flushed,
            cache_bytes: 32 << 20,
            vfs: None,
            exclusive: false,
            files: None,
            key: None,
        }
    }
}

/// The file of a device, open for reading and writing by one thread at a time.
///
/// Reads are in [`Read`](crate::Read), writes in [`Tx`].
#[derive(Debug)]
pub struct Store {
    // Before `conn`: the last connection to close is the one that empties the write-ahead log.
    checkpoints: Option<Checkpoints>,
    syncs: Syncs,
    conn: Connection,
    place: Place,
    ahead: Ahead,
    indexes: IndexCache,
    /// Whether there is no connection to the file, for one could not be made anew.
    cut_off: bool,
}

#[derive(Debug, Clone)]
enum Place {
    Memory,
    File { path: PathBuf, options: Options },
}

/// A second connection that only reads; it may live on another thread and never waits for writes.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
    path: PathBuf,
    options: Options,
}

/// Stops whatever its connection is running, from any thread.
#[derive(Clone)]
pub struct Interrupt(Arc<rusqlite::InterruptHandle>);

impl Store {
    /// Opens or creates the file, and brings it to the current format.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref().to_path_buf();
        let mut conn = ready(&path, &options)?;
        let store = |source| OpenError::Store {
            path: path.clone(),
            source,
        };
        let is_synced = options.durability == Durability::Flushed;
        let files = match (&options.files, &options.vfs) {
            (Some(files), _) => Some(Arc::clone(files)),
            (None, None) if cfg!(not(target_family = "wasm")) => Some(Arc::new(OsFiles) as _),
            (None, _) => None,
        };
        let ahead = Ahead::of(files, &path, is_synced).map_err(store)?;
        let syncs = Syncs::new(is_synced.into());
        let checkpoints = Checkpoints::watch(&mut conn, path.clone(), &options, Arc::clone(&syncs));
        Ok(Self {
            checkpoints: Some(checkpoints.map_err(store)?),
            syncs,
            conn,
            place: Place::File { path, options },
            ahead,
            indexes: IndexCache::default(),
            cut_off: false,
        })
    }

    /// A store without a file, gone when dropped.
    pub fn in_memory() -> Result<Self, StoreError> {
        let conn = Connection::open_in_memory()?;
        common_settings(&conn)?;
        schema::climb(&conn, 0)?;
        Ok(Self {
            checkpoints: None,
            syncs: Syncs::default(),
            conn,
            place: Place::Memory,
            ahead: Ahead::default(),
            indexes: IndexCache::default(),
            cut_off: false,
        })
    }

    /// A read-only connection to the same file, or `None` in memory or in exclusive mode.
    pub fn reader(&self) -> Result<Option<Reader>, OpenError> {
        let Place::File { path, options } = &self.place else {
            return Ok(None);
        };
        if options.exclusive {
            return Ok(None);
        }
        reading(path, options).map(Some)
    }

    /// Whether the connection can read nothing more and is to be made [anew](Self::renew): SQLCipher gives a file up
    /// for good after a page that it could not read or open. Asking takes some microseconds of an encrypted store.
    pub fn is_cut_off(&self) -> bool {
        let is_well = || -> rusqlite::Result<bool> {
            let status: String =
                (self.conn).pragma_query_value(None, "cipher_status", |row| row.get(0))?;
            Ok(status == "1")
        };
        self.cut_off || (self.is_encrypted() && !is_well().unwrap_or(false))
    }

    /// Connects to the file anew. What [waited](Self::is_ahead) for its commit is among the
    /// [lost records](Self::lost_records) then.
    pub fn renew(&mut self) -> Result<(), StoreError> {
        let Place::File { path, options } = self.place.clone() else {
            return Ok(());
        };
        self.cut_off = true;
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK")?;
        }
        self.ahead.undone();
        self.indexes.take();
        // The log is not for a connection to copy that gave the file up.
        empties_log(&self.conn, false)?;
        self.checkpoints = None;
        if options.exclusive {
            self.conn = Connection::open_in_memory()?;
        }
        let mut conn = ready(&path, &options).map_err(as_store_error)?;
        let syncs = Arc::clone(&self.syncs);
        self.checkpoints = Some(Checkpoints::watch(&mut conn, path, &options, syncs)?);
        self.conn = conn;
        self.cut_off = false;
        Ok(())
    }

    /// Starts a transaction. Dropping it undoes it.
    pub fn begin(&mut self) -> Result<Tx<'_>, StoreError> {
        self.make_way()?;
        Tx::begin(&self.conn, &self.ahead, &self.indexes)
    }

    /// Commits what [waits](Self::is_ahead) if there is much of it. Every transaction begins with that; a caller
    /// that does it before knows whose failure it is.
    pub fn make_way(&mut self) -> Result<(), StoreError> {
        match self.ahead.is_full() {
            true => self.flush_commits(),
            false => Ok(()),
        }
    }

    /// Makes everything committed so far survive a power failure, also [ahead](Tx::commit_ahead). Free when
    /// nothing is pending.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if !self.ahead.unflushed.get() && self.ahead.sync_journal() {
            return Ok(());
        }
        self.flush_commits()
    }

    fn flush_commits(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        if let Place::File { options, .. } = &self.place
            && options.durability == Durability::Ordered
        {
            // A commit under synchronous=FULL syncs the whole write-ahead log, and with it every
            // commit before. Rewriting the format number is the smallest commit there is. (A
            // checkpoint would not do: it syncs nothing when a reader stands in its way.)
            self.syncs.store(true, Ordering::Relaxed);
            self.conn.pragma_update(None, "synchronous", "FULL")?;
            let flushed = self
                .conn
                .pragma_update(None, "user_version", schema::FORMAT);
            self.conn.pragma_update(None, "synchronous", "NORMAL")?;
            flushed?;
        }
        self.ahead.flushed();
        Ok(())
    }

    /// Commits what waits for it, so that every connection sees it.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.ahead.settle(&self.conn)
    }

    /// Whether anything that was acknowledged waits for its commit.
    pub const fn is_ahead(&self) -> bool {
        self.ahead.is_waiting()
    }

    /// Whether there are [lost records](Self::lost_records): nothing may be written before they are made
    /// again.
    pub const fn has_lost(&self) -> bool {
        self.ahead.is_lost()
    }

    /// Records of transactions that were committed [ahead](Tx::commit_ahead) and may be in no commit, in
    /// order: a crash came between, or a later transaction was undone. Some of them may be committed
    /// all the same.
    pub fn lost_records(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.ahead.lost_records()
    }

    /// Gives a full disk the room back that the journal does not use, for the commit of what it holds.
    pub fn give_room(&self) -> Result<(), StoreError> {
        self.ahead.give_room()
    }

    /// To be told once everything that lost records said is committed.
    pub fn made_again(&mut self) -> Result<(), StoreError> {
        self.ahead.made_again();
        self.flush_commits()?;
        // What it holds may have been redacted since.
        self.ahead.remove_journal();
        Ok(())
    }

    /// Changes what later commits promise, after a [`flush`](Self::flush) of the earlier ones.
    pub fn set_durability(&mut self, durability: Durability) -> Result<(), StoreError> {
        self.leave_journal()?;
        if let Place::File { options, .. } = &mut self.place {
            options.durability = durability;
            self.ahead.syncs.set(durability == Durability::Flushed);
            self.syncs
                .store(durability == Durability::Flushed, Ordering::Relaxed);
            self.conn
                .pragma_update(None, "synchronous", synchronous(durability))?;
        }
        Ok(())
    }

    /// Puts everything that is in the journal into commits on the medium, and removes it.
    fn leave_journal(&mut self) -> Result<(), StoreError> {
        match self.ahead.has_records() {
            true => self.flush_commits()?,
            false => self.flush()?,
        }
        self.ahead.remove_journal();
        Ok(())
    }

    /// Copies the write-ahead log into the file and empties it, as far as readers allow.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.leave_journal()?;
        if matches!(self.place, Place::File { .. }) {
            self.conn
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(())
    }

    /// Has nothing stay in the files of what was deleted or replaced: a file from before deleted bytes
    /// were overwritten is rewritten once, and the write-ahead log is emptied. Returns false while a
    /// reader holds on to the log: to be tried again.
    pub fn erase(&mut self) -> Result<bool, StoreError> {
        if !matches!(self.place, Place::File { .. }) {
            return Ok(true);
        }
        self.leave_journal()?;
        if self.get_meta(ERASED)?.is_none() {
            self.conn.execute_batch("VACUUM")?;
            let tx = self.begin()?;
            tx.put_meta(ERASED, &[1])?;
            tx.commit()?;
        }
        let busy: i64 = self
            .conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }

    /// Rewrites the file without the room that deleted rows left. Needs as much free disk again.
    pub fn compact(&mut self) -> Result<(), StoreError> {
        self.leave_journal()?;
        self.conn.execute_batch("VACUUM")?;
        self.checkpoint()
    }

    /// Whether the file is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(&self.place, Place::File { options, .. } if options.key.is_some())
    }

    /// The file, unless in memory.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Memory => None,
            Place::File { path, .. } => Some(path),
        }
    }

    /// Closes the file, with the write-ahead log copied into it. Dropping does the same, silently.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.leave_journal()?;
        self.checkpoints = None;
        self.conn.close().map_err(|(_, error)| error.into())
    }

    /// A handle that stops what this connection is running.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(Arc::new(self.conn.get_interrupt_handle()))
    }
}

impl Reader {
    pub(crate) const fn connection_of(&self) -> &Connection {
        &self.conn
    }

    pub(crate) const fn connection_mut(&mut self) -> &mut Connection {
        &mut self.conn
    }

    /// Another of the same file: for who met an error [of the disk](StoreError::is_of_disk), as this one
    /// may read nothing more.
    pub fn again(&self) -> Result<Self, OpenError> {
        reading(&self.path, &self.options)
    }

    /// Reads from one moment: whatever is committed meanwhile, `f` sees none of it.
    pub fn at_one_moment<T>(
        &mut self,
        f: impl FnOnce(&Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.conn.prepare_cached("BEGIN")?.execute([])?;
        let result = f(self);
        if self.conn.transaction_state(None::<&str>)? != TransactionState::None
            || !self.conn.is_autocommit()
        {
            self.conn.prepare_cached("ROLLBACK")?.execute([])?;
        }
        result
    }

    /// A handle that stops what this connection is running.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(Arc::new(self.conn.get_interrupt_handle()))
    }
}

impl Interrupt {
    /// Makes the running call, if any, return [`StoreError::Interrupted`].
    pub fn stop(&self) {
        self.0.interrupt();
    }
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupt")
    }
}

impl Source for Store {
    fn connection(&self) -> &Connection {
        &self.conn
    }
}

impl Source for Reader {
    fn connection(&self) -> &Connection {
        &self.conn
    }
}

/// Connects, and hands the connection the key. Whether it is the right one shows at the first read.
pub(crate) fn connect(
    path: &Path,
    options: &Options,
    access: OpenFlags,
) -> Result<Connection, OpenError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = match &options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs.as_str()),
        None => Connection::open_with_flags(path, flags),
    };
    let conn = opened.map_err(|source| OpenError::Unreachable {
        path: path.to_path_buf(),
        source,
    })?;
    if let Some(key) = &options.key {
        encryption::unlock(&conn, "main", key).map_err(|source| OpenError::Store {
            path: path.to_path_buf(),
            source,
        })?;
    }
    Ok(conn)
}

/// Whether closing the last connection copies the write-ahead log into the file.
pub(crate) fn empties_log(conn: &Connection, does: bool) -> rusqlite::Result<()> {
    let keeps = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    conn.set_db_config(keeps, !does).map(drop)
}

/// The connection that writes, to a file of the current format.
pub(crate) fn ready(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let conn = connect(path, options, access)?;
    let path = path.to_path_buf();
    let store = |source| OpenError::Store {
        path: path.clone(),
        source,
    };
    if conn.is_readonly("main").map_err(|e| store(e.into()))? {
        return Err(store(StoreError::ReadOnly));
    }
    // Until the key is proven, closing the connection must not copy the write-ahead log.
    empties_log(&conn, false).map_err(|e| store(e.into()))?;
    let format = inspect(&conn, &path, options)?;
    empties_log(&conn, true).map_err(|e| store(e.into()))?;
    settle(&conn, options, format == 0).map_err(|error| match error {
        StoreError::Busy => OpenError::InUse { path: path.clone() },
        other => store(other),
    })?;
    schema::climb(&conn, format).map_err(store)?;
    Ok(conn)
}

/// A connection that only reads.
fn reading(path: &Path, options: &Options) -> Result<Reader, OpenError> {
    let conn = connect(path, options, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let store = |source: StoreError| OpenError::Store {
        path: path.to_path_buf(),
        source,
    };
    common_settings(&conn).map_err(store)?;
    conn.pragma_update(None, "cache_size", cache_kib(options))
        .and_then(|()| conn.pragma_update(None, "query_only", true))
        .map_err(|error| store(error.into()))?;
    Ok(Reader {
        conn,
        path: path.to_path_buf(),
        options: options.clone(),
    })
}

/// Tells an empty file (0) from one of ours (its format), and refuses all others.
pub(crate) fn inspect(conn: &Connection, path: &Path, options: &Options) -> Result<u32, OpenError> {
    let header = || -> rusqlite::Result<(i32, u32, u32)> {
        conn.busy_timeout(EXCLUSIVE_BUSY_WAIT)?;
        if options.exclusive {
            // Before the first read: it decides whether shared memory is needed.
            conn.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
        }
        let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok((
            number("application_id")? as i32,
            number("user_version")? as u32,
            conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        ))
    };
    let found = header();
    if options.key.is_some()
        && let Err(error) = &found
        && error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase)
    {
        return Err(encryption::why_not_opened(path, options));
    }
    let path = path.to_path_buf();
    match found {
        Ok((0, 0, 0)) => Ok(0),
        Ok((schema::APPLICATION_ID, found, _)) if found > schema::FORMAT => {
            Err(OpenError::NewerFormat {
                path,
                found,
                known: schema::FORMAT,
            })
        }
        Ok((schema::APPLICATION_ID, format, _)) if format > 0 => Ok(format),
        Ok(_) => Err(OpenError::NotAStore { path }),
        Err(error) => match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => Err(OpenError::NotAStore { path }),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                Err(OpenError::InUse { path })
            }
            _ => Err(OpenError::Store {
                path,
                source: error.into(),
            }),
        },
    }
}

fn settle(conn: &Connection, options: &Options, new: bool) -> Result<(), StoreError> {
    if new {
        conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    }
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        // Turning write-ahead logging on is a commit with a rollback journal. EXTRA makes the
        // journal's removal last: if a power cut brought it back, it would roll the file back to
        // nothing, and every later commit with it.
        conn.pragma_update(None, "synchronous", "EXTRA")?;
    }
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Io {
            detail: format!("write-ahead logging is not possible here (found {mode})"),
        });
    }
    common_settings(conn)?;
    let number = |name, value: i64| conn.pragma_update_and_check(None, name, value, |_| Ok(()));
    number("journal_size_limit", i64::from(WAL_KEPT_BYTES))?;
    conn.pragma_update(None, "cache_size", cache_kib(options))?;
    conn.pragma_update(None, "synchronous", synchronous(options.durability))?;
    conn.busy_timeout(BUSY_WAIT)?;
    if options.exclusive {
        // Takes the lock now, so that a second opener is the one that fails.
        conn.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
    }
    Ok(())
}

/// Why a file that was open before cannot be opened again.
fn as_store_error(error: OpenError) -> StoreError {
    match error {
        OpenError::Unreachable { source, .. } => source.into(),
        OpenError::Store { source, .. } => source,
        OpenError::InUse { .. } => StoreError::Busy,
        other => StoreError::Io {
            detail: other.to_string(),
        },
    }
}

/// A connection that only copies the write-ahead log into the file.
pub(crate) fn checkpoint_connection(
    path: &Path,
    options: &Options,
) -> Result<Connection, StoreError> {
    let conn = connect(path, options, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(as_store_error)?;
    common_settings(&conn)?;
    conn.pragma_update(None, "cache_size", 0)?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.busy_timeout(Duration::ZERO)?;
    Ok(conn)
}

fn common_settings(conn: &Connection) -> Result<(), StoreError> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cell_size_check", true)?;
    // What is deleted is overwritten: a redaction must reach the bytes.
    conn.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "foreign_keys", false)?;
    // Only macOS knows the difference: there a plain fsync leaves data in the drive's cache.
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)?;
    // Otherwise a statement is compiled anew whenever it is given other values that could have led to
    // another plan. Which index is used is decided before (`query::plan`).
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    functions::add(conn)?;
    Ok(())
}

fn synchronous(durability: Durability) -> &'static str {
    match durability {
        Durability::Flushed => "FULL",
        Durability::Ordered => "NORMAL",
    }
}

/// SQLite takes a negative number of KiB.
fn cache_kib(options: &Options) -> i64 {
    -((options.cache_bytes / 1024) as i64)
}
