//! Room in the write-ahead log ahead of what is written to it. Where commits are synced, a commit that makes the
//! file longer costs the medium one write more, of the file's length; one into room that is there does not.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Room is made in steps of this, and once less than a sixteenth of it is left.
const STEP_BYTES: u64 = 1 << 20;
/// No room is made beyond: as much as stays of the file when the log starts again.
const ROOM_BYTES_MAX: u64 = crate::open::WAL_KEPT_BYTES as u64;

/// Whether commits are synced one by one, or a few at a time.
pub(crate) type Syncs = Arc<AtomicBool>;

/// Makes room in one log. SQLite takes zeros behind the last commit for the end of the log.
///
/// Only the thread that commits may use it: what it writes begins where the file ends, and nobody else
/// may write there meanwhile.
#[derive(Debug)]
pub(crate) struct Room {
    path: PathBuf,
    syncs: Syncs,
    /// Up to where the file reaches at least.
    until: u64,
}

impl Room {
    pub(crate) fn new(database: &Path, syncs: Syncs) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self {
            path: path.into(),
            syncs,
            until: 0,
        }
    }

    /// Whether commits are synced: then it pays to use a short log again and again.
    pub(crate) fn is_of_use(&self) -> bool {
        self.syncs.load(Ordering::Relaxed)
    }

    /// To be told when the log started from its beginning: the file may be shorter.
    pub(crate) fn started_again(&mut self) {
        self.until = 0;
    }

    /// To be told after a commit how many bytes of the log are in use.
    pub(crate) fn used(&mut self, bytes: u64) {
        if bytes + STEP_BYTES / 16 <= self.until || !self.is_of_use() {
            return;
        }
        match self.make(bytes) {
            Ok(until) => self.until = until,
            Err(error) => {
                // Nothing is lost: commits make the file longer themselves.
                tracing::debug!(%error, "no room was made in the write-ahead log");
                self.until = u64::MAX;
            }
        }
    }

    fn make(&self, used: u64) -> io::Result<u64> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        let end = file.seek(SeekFrom::End(0))?;
        let wanted = (used + STEP_BYTES / 16).next_multiple_of(STEP_BYTES);
        if wanted > ROOM_BYTES_MAX {
            return Ok(u64::MAX);
        }
        if end < used || wanted <= end {
            return Ok(end);
        }
        let zeros = [0; 1 << 16];
        let mut left = wanted - end;
        while left > 0 {
            let some = &zeros[..left.min(zeros.len() as u64) as usize];
            file.write_all(some)?;
            left -= some.len() as u64;
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::STEP_BYTES;
    use crate::{Durability, Options, Read, Store};

    fn commit(store: &mut Store, name: &str) {
        let tx = store.begin().unwrap();
        tx.put_meta(name, name.as_bytes()).unwrap();
        tx.commit().unwrap();
    }

    fn log_bytes(path: &Path) -> u64 {
        let log = path.with_extension("db-wal");
        std::fs::metadata(log).unwrap().len()
    }

    #[test]
    fn what_was_committed_into_room_is_there_after_a_crash_and_rooms_are_made_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stead.db");
        let mut store = Store::open(&path, Options::default()).unwrap();
        let mut lengths = std::collections::BTreeSet::new();
        for n in 0..600 {
            commit(&mut store, &format!("n{n}"));
            lengths.insert(log_bytes(&path));
        }
        assert!(
            lengths.iter().all(|len| len % STEP_BYTES == 0),
            "{lengths:?}"
        );
        assert!(lengths.len() > 1, "{lengths:?}");
        // The files as a crash leaves them.
        let copy = folder.path().join("copy.db");
        for end in ["db", "db-wal"] {
            std::fs::copy(path.with_extension(end), copy.with_extension(end)).unwrap();
        }
        let store = Store::open(&copy, Options::default()).unwrap();
        for n in 0..600 {
            let name = format!("n{n}");
            assert_eq!(store.get_meta(&name).unwrap(), Some(name.into_bytes()));
        }
    }

    #[test]
    fn no_room_is_made_before_the_first_sync() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stead.db");
        let options = Options {
            durability: Durability::Ordered,
            ..Options::default()
        };
        let mut store = Store::open(&path, options).unwrap();
        commit(&mut store, "one");
        assert!(log_bytes(&path) < STEP_BYTES);
        store.flush().unwrap();
        assert_eq!(log_bytes(&path), STEP_BYTES);
    }
}
