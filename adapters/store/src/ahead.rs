//! Transactions that are acknowledged ahead of their commit: their records are in the journal, and what they
//! wrote waits in one open transaction of SQLite, to be committed with others.
//!
//! Owns when a commit is due, and when the journal is needless. A commit of SQLite writes whole pages and costs
//! more than all else in a small transaction; a record is one short write. What a record means is the
//! caller's: it can make again, from the record alone, what the transaction wrote.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::StoreError;
use crate::files::FileSystem;
use crate::journal::Journal;

/// Transactions that wait for one commit at most: opening after a crash makes them again, and most of the
/// journal stays unused, as room for the commit on a full disk.
const WAITING_MAX: u32 = 128;
/// The same in bytes of their records.
const WAITING_BYTES_MAX: usize = 512 << 10;

/// What waits, and where it is kept meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    journal: RefCell<Option<Journal>>,
    /// Transactions of the open one. Whenever there are any, one is open.
    waiting: Cell<u32>,
    /// Bytes of their records.
    waiting_bytes: Cell<usize>,
    /// Whether the journal holds what no commit does and nothing in SQLite waits for: after a crash, or
    /// after a transaction was undone with those that waited.
    lost: Cell<bool>,
    /// Whether a commit is on the medium when it returns.
    pub(crate) syncs: Cell<bool>,
    /// Whether a commit is not on the medium that the journal does not hold either.
    pub(crate) unflushed: Cell<bool>,
}

impl Ahead {
    /// What waits for the database at `path`.
    pub(crate) fn of(
        files: Option<Arc<dyn FileSystem>>,
        path: &Path,
        syncs: bool,
    ) -> Result<Self, StoreError> {
        let journal = match files {
            Some(files) => Some(Journal::open(files, path).map_err(|error| failed(&error))?),
            None => None,
        };
        Ok(Self {
            lost: Cell::new(journal.as_ref().is_some_and(|journal| !journal.is_empty())),
            journal: RefCell::new(journal),
            syncs: Cell::new(syncs),
            ..Self::default()
        })
    }

    pub(crate) const fn is_waiting(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Whether there are [lost records](Self::lost_records).
    pub(crate) const fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Whether it is time to commit what waits and to begin the journal again.
    pub(crate) fn is_full(&self) -> bool {
        let journal = self.journal.borrow();
        let has_room = journal.as_ref().is_none_or(Journal::takes_any);
        let is_much =
            self.waiting.get() >= WAITING_MAX || self.waiting_bytes.get() >= WAITING_BYTES_MAX;
        self.is_waiting() && (is_much || !has_room)
    }

    /// Whether a transaction with such a record can wait.
    pub(crate) fn takes(&self, len: usize) -> bool {
        // After a loss of power there must be all commits up to some moment, and none of later ones.
        let in_order = !self.unflushed.get() && !self.lost.get();
        // Who did not want the last one on the medium gains nothing by the journal.
        let takes = |journal: &Journal| !journal.is_unsynced() && journal.takes(len);
        in_order && self.journal.borrow().as_ref().is_some_and(takes)
    }

    /// Has the transaction that is open wait. Returns false if it must be committed.
    pub(crate) fn wait(&self, record: &[u8]) -> bool {
        let mut journal = self.journal.borrow_mut();
        let Some(journal) = journal.as_mut() else {
            return false;
        };
        match journal.append(record, self.syncs.get()) {
            Ok(()) => {
                self.waiting.set(self.waiting.get() + 1);
                let bytes = self.waiting_bytes.get() + record.len();
                self.waiting_bytes.set(bytes);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the journal takes nothing; transactions are committed one by one");
                false
            }
        }
    }

    /// To be told of a commit, and whether all of it was in the journal.
    pub(crate) fn committed(&self, was_waiting: bool) {
        self.waiting.set(0);
        self.waiting_bytes.set(0);
        match self.syncs.get() {
            true => self.start_again(),
            false if !was_waiting => self.unflushed.set(true),
            false => {}
        }
    }

    /// To be told that everything committed is on the medium.
    pub(crate) fn flushed(&self) {
        self.unflushed.set(false);
        self.start_again();
    }

    /// What is in the journal is in commits on the medium, too.
    fn start_again(&self) {
        if !self.lost.get()
            && let Some(journal) = self.journal.borrow_mut().as_mut()
        {
            journal.start_again();
        }
    }

    /// To be told that an open transaction was undone, with all that waited in it.
    pub(crate) fn undone(&self) {
        self.waiting_bytes.set(0);
        if self.waiting.replace(0) > 0 {
            self.lost.set(true);
        }
    }

    /// Commits what waits.
    pub(crate) fn settle(&self, conn: &Connection) -> Result<(), StoreError> {
        if !self.is_waiting() {
            return Ok(());
        }
        let committed = conn
            .prepare_cached("COMMIT")
            .and_then(|mut it| it.execute([]));
        match committed {
            Ok(_) => {
                self.committed(true);
                Ok(())
            }
            Err(error) => {
                self.undone();
                if !conn.is_autocommit() {
                    conn.execute_batch("ROLLBACK")?;
                }
                Err(error.into())
            }
        }
    }

    /// Puts the journal on the medium. Returns false if that failed: what waits is to be committed then.
    pub(crate) fn sync_journal(&self) -> bool {
        match self.journal.borrow_mut().as_mut().map(Journal::sync) {
            None | Some(Ok(())) => true,
            Some(Err(error)) => {
                tracing::warn!(%error, "the journal cannot be synced; transactions are committed one by one");
                false
            }
        }
    }

    /// Whether the journal holds anything.
    pub(crate) fn has_records(&self) -> bool {
        let journal = self.journal.borrow();
        journal.as_ref().is_some_and(|journal| !journal.is_empty())
    }

    /// The records that no commit holds, in order.
    pub(crate) fn lost_records(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        match self.journal.borrow_mut().as_mut() {
            Some(journal) if self.lost.get() => journal.records().map_err(|error| failed(&error)),
            _ => Ok(Vec::new()),
        }
    }

    /// Leaves the room to commits that the journal keeps for what is to come.
    pub(crate) fn give_room(&self) -> Result<(), StoreError> {
        match self.journal.borrow_mut().as_mut() {
            Some(journal) => journal.give_room().map_err(|error| failed(&error)),
            None => Ok(()),
        }
    }

    /// To be told that commits hold what the lost records said.
    pub(crate) fn made_again(&self) {
        self.lost.set(false);
    }

    /// Removes the journal's file, unless it holds what is nowhere else.
    pub(crate) fn remove_journal(&self) {
        if let Some(journal) = self.journal.borrow_mut().as_mut()
            && !self.lost.get()
            && let Err(error) = journal.remove()
        {
            // It holds nothing that is not in the database: the next opening finds it needless.
            tracing::debug!(%error, "the journal was not removed");
        }
    }
}

fn failed(error: &std::io::Error) -> StoreError {
    StoreError::Io {
        detail: format!("the journal: {error}"),
    }
}
