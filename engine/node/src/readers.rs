//! Threads that answer reads, each with a connection of its own: a long query waits for nobody
//! and nobody waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use stead_api::{ApiError, ErrorKind};
use stead_replica::{ReplicaError, ReplicaReader, SqlReader};
use stead_store::Interrupt;
use tokio::sync::oneshot;

use crate::NodeError;
use crate::clock::wall_ms;
use crate::faults;
use crate::store_thread::{StoreHandle, stopping};

/// Threads.
pub(crate) const READERS: usize = 2;
/// Most reads that wait for a thread.
const QUEUE_MAX: usize = 128;
/// A read that takes longer is stopped.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns whether the connection may read nothing more.
type Job = Box<dyn FnOnce(&mut ReplicaReader, &Arc<Slot>) -> bool + Send>;

/// What a thread is busy with, so that exactly that can be stopped.
struct Slot {
    busy: Mutex<Option<u64>>,
    interrupt: Interrupt,
}

impl Slot {
    fn set(&self, number: Option<u64>) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = number;
    }

    /// Stops the job of that number if it still runs.
    fn stop(&self, number: u64) {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if *busy == Some(number) {
            self.interrupt.stop();
        }
    }
}

/// Where a job runs, once it does. Dropped by whoever waits for it, which stops it.
struct Waiting {
    number: u64,
    slot: Arc<OnceLock<Arc<Slot>>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.get() {
            slot.stop(self.number);
        }
    }
}

/// The threads. Clones ask the same ones; they end when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Readers {
    queue: SyncSender<Job>,
    numbers: Arc<AtomicU64>,
    store: StoreHandle,
    /// Whether projections lag behind the texts in them, or commits behind what was acknowledged.
    lag: Arc<AtomicBool>,
}

impl Readers {
    /// Starts the threads.
    pub(crate) fn start(
        readers: Vec<ReplicaReader>,
        store: StoreHandle,
        lag: Arc<AtomicBool>,
    ) -> Result<Self, NodeError> {
        let (queue, inbox) = sync_channel::<Job>(QUEUE_MAX);
        let inbox = Arc::new(Mutex::new(inbox));
        for reader in readers {
            let inbox = Arc::clone(&inbox);
            std::thread::Builder::new()
                .name("stead-read".to_owned())
                .spawn(move || run(reader, &inbox))
                .map_err(|source| NodeError::Thread { source })?;
        }
        Ok(Self {
            queue,
            numbers: Arc::default(),
            store,
            lag,
        })
    }

    /// Has documents show what was typed until now, before they are read by whichever way.
    pub(crate) async fn fold(&self) -> Result<(), ApiError> {
        if self.lag.load(Ordering::Acquire) {
            let caught_up = (self.store).look(|desk| desk.replica.catch_up_readers(wall_ms()));
            caught_up.await?.map_err(|error| faults::replica(&error))?;
        }
        Ok(())
    }

    /// Reads. Stopped when it takes too long, or when nobody waits for the answer any more.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut ReplicaReader) -> Result<T, ReplicaError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.fold().await?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (out, answer) = oneshot::channel();
        let waiting = Waiting {
            number,
            slot: Arc::default(),
        };
        let place = Arc::clone(&waiting.slot);
        let job: Job = Box::new(move |reader, slot| {
            if out.is_closed() {
                return false;
            }
            slot.set(Some(number));
            let _ = place.set(Arc::clone(slot));
            let found = f(reader);
            slot.set(None);
            let is_spent = is_spent(&found);
            let _ = out.send(found);
            is_spent
        });
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(
                    ApiError::new(ErrorKind::Busy, "Too many queries wait already.")
                        .hint("Try again in a moment."),
                );
            }
            Err(TrySendError::Disconnected(_)) => return Err(stopping()),
        }
        let outcome = tokio::time::timeout(READ_TIMEOUT, answer).await;
        drop(waiting);
        match outcome {
            Ok(Ok(found)) => found.map_err(|error| faults::replica(&error)),
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(faults::store(&stead_store::StoreError::Interrupted)),
        }
    }
}

/// Most statements that wait for the thread.
const STATEMENTS_MAX: usize = 16;

type Statement = Box<dyn FnOnce(&mut SqlReader) -> bool + Send>;

/// The thread that runs people's SQL, one statement at a time: a slow one holds up no query.
#[derive(Clone)]
pub(crate) struct SqlThread {
    queue: SyncSender<Statement>,
}

impl SqlThread {
    /// Starts the thread.
    pub(crate) fn start(mut reader: SqlReader) -> Result<Self, NodeError> {
        let (queue, inbox) = sync_channel::<Statement>(STATEMENTS_MAX);
        std::thread::Builder::new()
            .name("stead-sql".to_owned())
            .spawn(move || {
                while let Ok(statement) = inbox.recv() {
                    if statement(&mut reader)
                        && let Some(fresh) = connected(reader.again())
                    {
                        reader = fresh;
                    }
                }
            })
            .map_err(|source| NodeError::Thread { source })?;
        Ok(Self { queue })
    }

    /// Runs one statement. What bounds it is in the store's sandbox.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut SqlReader) -> Result<T, ReplicaError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (out, answer) = oneshot::channel();
        let statement: Statement = Box::new(move |reader| {
            if out.is_closed() {
                return false;
            }
            let found = f(reader);
            let is_spent = is_spent(&found);
            let _ = out.send(found);
            is_spent
        });
        match self.queue.try_send(statement) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(
                    ApiError::new(ErrorKind::Busy, "Too many statements wait already.")
                        .hint("Try again in a moment."),
                );
            }
            Err(TrySendError::Disconnected(_)) => return Err(stopping()),
        }
        let found = answer.await.map_err(|_| stopping())?;
        found.map_err(|error| faults::replica(&error))
    }
}

/// Whether an answer shows that the connection may read nothing more.
const fn is_spent<T>(found: &Result<T, ReplicaError>) -> bool {
    matches!(found, Err(error) if error.is_of_disk())
}

/// The reader that goes on in the place of a spent one; None if it must try itself.
fn connected<R>(again: Result<R, ReplicaError>) -> Option<R> {
    again
        .inspect_err(|error| tracing::warn!(%error, "a reader could not connect anew"))
        .ok()
}

fn run(mut reader: ReplicaReader, inbox: &Mutex<Receiver<Job>>) {
    let slot_of = |reader: &ReplicaReader| {
        Arc::new(Slot {
            busy: Mutex::new(None),
            interrupt: reader.interrupt(),
        })
    };
    let mut slot = slot_of(&reader);
    loop {
        let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        if job(&mut reader, &slot)
            && let Some(fresh) = connected(reader.again())
        {
            reader = fresh;
            slot = slot_of(&reader);
        }
    }
}
