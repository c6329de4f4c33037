//! When the write-ahead log is copied into the file, and by which thread. A helper thread does it
//! beside the commits where it can (that doubled small transactions when measured); the committing
//! thread finishes the job once the log is long, because only a pause between two commits lets
//! SQLite start the log from its beginning again.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::StoreError;
use crate::open::{Options, PAGE_BYTES, WAL_KEPT_BYTES, checkpoint_connection};
use crate::room::{Room, Syncs};

/// The helper copies each time the log has grown by this.
const STEP_FRAMES: u32 = (8 << 20) / PAGE_BYTES;
/// The committing thread copies the rest once the log is this long.
const LONG_FRAMES: u32 = (48 << 20) / PAGE_BYTES;
/// The same where there is no helper, and where commits are synced: the file then keeps its length.
const SHORT_FRAMES: u32 = WAL_KEPT_BYTES / FRAME_BYTES;
/// The log's header, and a page of it with its own.
const HEADER_BYTES: u32 = 32;
const FRAME_BYTES: u32 = PAGE_BYTES + 24;

/// Copies the log of one connection's commits. Dropping it ends its thread.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    helper: Option<(Arc<Signal>, JoinHandle<()>)>,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    wanted: bool,
    stopped: bool,
}

impl Checkpoints {
    /// Watches the commits of `conn`, with a helper thread unless the file is exclusive.
    pub(crate) fn watch(
        conn: &mut Connection,
        path: PathBuf,
        options: &Options,
        syncs: Syncs,
    ) -> Result<Self, StoreError> {
        // The files of another VFS are its own business.
        let room = (options.vfs.is_none()).then(|| Room::new(&path, syncs));
        let helper = if options.exclusive {
            None
        } else {
            let signal = Arc::new(Signal::default());
            let (ours, options) = (Arc::clone(&signal), options.clone());
            std::thread::Builder::new()
                .name("stead-checkpoint".to_owned())
                .spawn(move || help(&ours, &path, &options))
                .map_err(|error| {
                    tracing::warn!(%error, "no checkpoint thread; commits will do its work");
                })
                .ok()
                .map(|thread| (signal, thread))
        };
        let mut watch = Watch::new(helper.as_ref().map(|(signal, _)| Arc::clone(signal)), room);
        conn.wal_hook(Some(move |wal: &mut Wal, frames: i32| {
            watch.committed(wal, frames.unsigned_abs());
            Ok(())
        }))?;
        Ok(Self { helper })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        if let Some((signal, thread)) = self.helper.take() {
            signal.lock().stopped = true;
            signal.changed.notify_one();
            if thread.join().is_err() {
                tracing::error!("the checkpoint thread panicked");
            }
        }
    }
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees the length of the log after each commit.
struct Watch {
    helper: Option<Arc<Signal>>,
    room: Option<Room>,
    last: u32,
    next_help: u32,
    next_own: u32,
}

impl Watch {
    fn new(helper: Option<Arc<Signal>>, room: Option<Room>) -> Self {
        Self {
            helper,
            room,
            last: 0,
            next_help: STEP_FRAMES,
            next_own: 0,
        }
    }

    /// When the committing thread copies the log.
    fn long(&self) -> u32 {
        let is_synced = self.room.as_ref().is_some_and(Room::is_of_use);
        match self.helper.is_some() && !is_synced {
            true => LONG_FRAMES,
            false => SHORT_FRAMES,
        }
    }

    fn committed(&mut self, wal: &mut Wal, frames: u32) {
        if frames < self.last {
            self.next_help = STEP_FRAMES;
            self.next_own = 0;
            if let Some(room) = &mut self.room {
                room.started_again();
            }
        }
        self.last = frames;
        if let Some(room) = &mut self.room {
            let used = u64::from(HEADER_BYTES) + u64::from(frames) * u64::from(FRAME_BYTES);
            room.used(used);
        }
        if frames >= self.next_own.max(self.long()) {
            // If a reader holds part of the log back, try again only after some growth.
            self.next_own = frames.saturating_add(STEP_FRAMES / 8);
            if let Err(error) = wal.checkpoint() {
                tracing::debug!(%error, frames, "the write-ahead log was not copied");
            }
        } else if let Some(signal) = &self.helper
            && frames >= self.next_help
        {
            self.next_help = frames.saturating_add(STEP_FRAMES);
            signal.lock().wanted = true;
            signal.changed.notify_one();
        }
    }
}

fn help(signal: &Signal, path: &std::path::Path, options: &Options) {
    let mut conn: Option<Connection> = None;
    loop {
        let mut state = signal.lock();
        while !state.wanted && !state.stopped {
            state = signal
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped {
            return;
        }
        state.wanted = false;
        drop(state);
        if let Err(error) = copy(&mut conn, path, options) {
            // Nothing is lost: the log only stays longer, until a commit copies it.
            tracing::debug!(%error, "the write-ahead log was not copied");
            conn = None;
        }
    }
}

fn copy(
    conn: &mut Option<Connection>,
    path: &std::path::Path,
    options: &Options,
) -> Result<(), StoreError> {
    let conn = match conn {
        Some(conn) => conn,
        None => conn.insert(checkpoint_connection(path, options)?),
    };
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}
