//! Threads that verify and open received batches while the store thread stores earlier ones. While that
//! one has little to do it opens them itself.
//!
//! All batches of one log go through one thread, so they keep their order.

use std::sync::Arc;

use bytes::Bytes;
use stead_replica::Preparer;
use tokio::sync::mpsc;

use super::mailbox::{LogKey, Mailbox};
use crate::NodeError;
use crate::store_thread::{Arrival, StoreHandle};

/// Most batches that wait for one thread.
const QUEUE_MAX: usize = 256;
/// Most threads; the store thread needs a core too.
const THREADS_MAX: usize = 4;

/// A batch as it came from a peer.
pub(crate) struct Incoming {
    pub(crate) log: LogKey,
    /// Where it ends, as the peer says.
    pub(crate) upto: u64,
    pub(crate) batch: Bytes,
    pub(crate) credit: u64,
    pub(crate) from: Arc<Mailbox>,
}

/// The threads. Clones feed the same ones; they end when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Preparing {
    queues: Vec<mpsc::Sender<Incoming>>,
}

impl Preparing {
    /// Starts one thread for each preparer; there must be one at least.
    pub(crate) fn start(preparers: Vec<Preparer>, store: &StoreHandle) -> Result<Self, NodeError> {
        let mut queues = Vec::with_capacity(preparers.len());
        for preparer in preparers {
            let (queue, inbox) = mpsc::channel(QUEUE_MAX);
            let store = store.clone();
            std::thread::Builder::new()
                .name("stead-prepare".to_owned())
                .spawn(move || run(&preparer, &store, inbox))
                .map_err(|source| NodeError::Thread { source })?;
            queues.push(queue);
        }
        Ok(Self { queues })
    }

    /// Takes a batch; waits while too many wait. Lost only when the node stops.
    pub(crate) async fn take(&self, incoming: Incoming) {
        let lane = incoming.log.1.as_bytes()[31] as usize % self.queues.len();
        let _ = self.queues[lane].send(incoming).await;
    }
}

/// How many threads prepare: as many as the machine has cores to spare.
pub(crate) fn preparing_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.saturating_sub(1).clamp(1, THREADS_MAX)
}

fn run(preparer: &Preparer, store: &StoreHandle, mut inbox: mpsc::Receiver<Incoming>) {
    while let Some(incoming) = inbox.blocking_recv() {
        let (space, batch) = (incoming.log.0, Vec::from(incoming.batch));
        // Verifying keeps an order and opening does not: a store thread without work opens what it gets.
        let prepared = match store.has_little_to_do() {
            true => preparer.verify(space, batch),
            false => preparer.prepare(space, batch),
        };
        let arrival = Arrival {
            prepared,
            log: incoming.log,
            upto: incoming.upto,
            credit: incoming.credit,
            from: incoming.from,
        };
        if !store.received(arrival) {
            return;
        }
    }
}
