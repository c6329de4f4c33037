//! The one thread that owns the replica, and the handle that everything else asks it through.
//!
//! It works in rounds: takes what waits, applies all of it, flushes once, and only then answers,
//! tells peers and tells watchers. So nothing leaves this thread before it survives a loss of
//! power, and many small transactions share one flush.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use stead_api::{ApiError, Commit, ErrorKind};
use stead_base::{Hash, SpaceId};
use stead_replica::{Edit, Prepared, Replica, Speaks};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::wall_ms;
use crate::desk::{Board, Desk};
use crate::home::Home;
use crate::sync::mailbox::{LogKey, Mailbox};
use crate::{NodeError, faults};

/// Most commands that wait for the store thread.
const COMMANDS_MAX: usize = 1024;
/// Most commands worked on before one flush.
const COMMANDS_PER_ROUND_MAX: usize = 1024;
/// Bytes of received batches that are stored in one database transaction. Larger rounds merge more
/// changes of one document at a time; smaller ones keep peers supplied with credit.
pub(crate) const GATHERED_BYTES_MAX: usize = 32 << 20;

/// Received batches have stopped flowing when none came for this long.
const QUIET: Duration = Duration::from_millis(25);

/// Answers a caller once its change is flushed, or could not be.
pub(crate) type Ack = Box<dyn FnOnce(Result<(), ApiError>) + Send>;
type Work = Box<dyn FnOnce(&mut Desk) -> Option<Ack> + Send>;

/// A verified batch on its way into the store, and who is owed its credit.
pub(crate) struct Arrival {
    pub(crate) prepared: Prepared,
    pub(crate) log: LogKey,
    /// Where it ends, as the peer says.
    pub(crate) upto: u64,
    pub(crate) credit: u64,
    pub(crate) from: Arc<Mailbox>,
}

/// A transaction of a client.
pub(crate) struct Transaction {
    pub(crate) space: SpaceId,
    pub(crate) edits: Vec<Edit>,
    /// An idempotency key, and a hash of the call that came with it.
    pub(crate) key: Option<(String, Hash)>,
    /// The revisions that the client speaks.
    pub(crate) speaks: Speaks,
}

/// With so many commands waiting the thread is soon without work.
const FEW_COMMANDS: usize = 2;

/// A transaction and who waits for its outcome.
pub(crate) type Waiting = (Transaction, oneshot::Sender<Result<Commit, ApiError>>);

enum Command {
    Transact(Waiting),
    Work(Work),
    Received(Box<Arrival>),
    Tick,
    Stop(oneshot::Sender<()>),
}

/// Asks the store thread. Clones ask the same thread.
#[derive(Clone)]
pub(crate) struct StoreHandle {
    commands: mpsc::Sender<Command>,
}

/// The running thread.
pub(crate) struct StoreThread {
    pub(crate) handle: StoreHandle,
    /// When held-back entries are due, in Unix milliseconds.
    pub(crate) due: watch::Receiver<Option<u64>>,
    /// When something about presence is due, on the steady clock.
    pub(crate) presence_due: watch::Receiver<Option<u64>>,
    /// Closes when the thread ends.
    pub(crate) ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl StoreThread {
    /// Hands the replica to a new thread.
    /// The data directory stays locked until the thread has ended.
    pub(crate) fn start(
        replica: Replica,
        board: Board,
        home: Arc<Home>,
        seed: [u8; 32],
    ) -> Result<Self, NodeError> {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (due_out, due) = watch::channel(None);
        let (end, ended) = oneshot::channel();
        let desk = Desk::new(replica, board, seed);
        let presence_due = desk.presence.due();
        let thread = std::thread::Builder::new()
            .name("stead-store".to_owned())
            .spawn(move || {
                run(desk, inbox, &due_out);
                drop(home);
                drop(end);
            })
            .map_err(|source| NodeError::Thread { source })?;
        Ok(Self {
            handle: StoreHandle { commands },
            due,
            presence_due,
            ended,
            thread,
        })
    }

    /// Flushes, closes the database and waits for the thread.
    pub(crate) async fn stop(self) {
        let (done, wait) = oneshot::channel();
        if self.handle.commands.send(Command::Stop(done)).await.is_ok() {
            let _ = wait.await;
        }
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the store thread ended in a panic");
        }
    }
}

impl StoreHandle {
    /// Asks something that changes nothing.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (out, answer) = oneshot::channel();
        let work: Work = Box::new(move |desk| {
            // Whoever asked may have gone away.
            let _ = out.send(f(desk));
            None
        });
        self.send(Command::Work(work)).await?;
        answer.await.map_err(|_| stopping())
    }

    /// Changes something; answers when it is flushed. A failed flush is the outer error: the change
    /// may then be found saved after all.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (out, answer) = oneshot::channel();
        let work: Work = Box::new(move |desk| {
            let value = f(desk);
            desk.changed();
            let ack: Ack = Box::new(move |flushed| {
                let _ = out.send(flushed.map(|()| value));
            });
            Some(ack)
        });
        self.send(Command::Work(work)).await?;
        answer.await.map_err(|_| stopping())?
    }

    /// Hands in a transaction, in the order of these calls; what is returned waits for its outcome.
    pub(crate) async fn transact(
        &self,
        transaction: Transaction,
    ) -> Result<oneshot::Receiver<Result<Commit, ApiError>>, ApiError> {
        let (out, outcome) = oneshot::channel();
        self.send(Command::Transact((transaction, out))).await?;
        Ok(outcome)
    }

    /// Has something done, in the order of all other commands, without an answer.
    pub(crate) async fn tell(&self, f: impl FnOnce(&mut Desk) + Send + 'static) {
        let work: Work = Box::new(move |desk| {
            f(desk);
            None
        });
        let _ = self.send(Command::Work(work)).await;
    }

    /// Stores a batch; from a thread of its own.
    pub(crate) fn received(&self, arrival: Arrival) -> bool {
        let command = Command::Received(Box::new(arrival));
        self.commands.blocking_send(command).is_ok()
    }

    /// Whether the thread has little to do: so few commands wait that it takes them before more are made
    /// ready for it. What was just handed in is among them though it may be about to be taken.
    pub(crate) fn has_little_to_do(&self) -> bool {
        self.commands.max_capacity() - self.commands.capacity() <= FEW_COMMANDS
    }

    /// Has held-back entries looked at.
    pub(crate) async fn tick(&self) {
        let _ = self.send(Command::Tick).await;
    }

    async fn send(&self, command: Command) -> Result<(), ApiError> {
        self.commands.send(command).await.map_err(|_| stopping())
    }
}

/// What a caller hears when the node is on its way out.
pub(crate) fn stopping() -> ApiError {
    ApiError::new(ErrorKind::Stopping, "The node is stopping.")
        .hint("Start it again with `stead up`.")
}

fn run(mut desk: Desk, mut inbox: mpsc::Receiver<Command>, due: &watch::Sender<Option<u64>>) {
    if let Err(error) = desk.settle() {
        tracing::warn!(%error, "starting with a store that does not take writes");
    }
    let mut received = Instant::now();
    loop {
        let first = match desk.waits_for_more() {
            true => match next_before(&mut inbox, received + QUIET) {
                Err(TryRecvError::Empty) => {
                    desk.merge_pending();
                    Round::default().finish(&mut desk);
                    continue;
                }
                soon => soon.ok(),
            },
            // Indexes are built while nothing else waits.
            false if desk.is_indexing() => match inbox.try_recv() {
                Err(TryRecvError::Empty) => {
                    desk.index_step();
                    continue;
                }
                soon => soon.ok(),
            },
            false => inbox.blocking_recv(),
        };
        let Some(first) = first else {
            return;
        };
        let mut round = Round::default();
        round.take(&mut desk, first);
        while round.commands < COMMANDS_PER_ROUND_MAX
            && round.bytes < GATHERED_BYTES_MAX
            && let Ok(next) = inbox.try_recv()
        {
            round.take(&mut desk, next);
        }
        let stop = round.stop.take();
        let has_received = round.bytes > 0;
        round.finish(&mut desk);
        if has_received {
            received = Instant::now();
        }
        // And a step after each round, so that a busy node gets there too.
        if desk.is_indexing() && stop.is_none() {
            desk.index_step();
        }
        due.send_if_modified(|last| {
            let next = desk.next_due();
            let changed = *last != next;
            *last = next;
            changed
        });
        if let Some(done) = stop {
            desk.close();
            let _ = done.send(());
            return;
        }
    }
}

/// The next command, if it comes before the stream of batches counts as over: whatever else is asked
/// meanwhile does not keep what was received from being merged.
fn next_before(inbox: &mut mpsc::Receiver<Command>, end: Instant) -> Result<Command, TryRecvError> {
    while Instant::now() < end {
        match inbox.try_recv() {
            Err(TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(1)),
            next => return next,
        }
    }
    Err(TryRecvError::Empty)
}

#[derive(Default)]
struct Round {
    commands: usize,
    bytes: usize,
    arrivals: Vec<Arrival>,
    transactions: Vec<Waiting>,
    acks: Vec<Ack>,
    stop: Option<oneshot::Sender<()>>,
}

impl Round {
    fn take(&mut self, desk: &mut Desk, command: Command) {
        self.commands += 1;
        match command {
            Command::Transact(waiting) => self.transactions.push(waiting),
            Command::Work(work) => {
                // Whoever asks sees what was handed in before.
                self.transact(desk);
                self.acks.extend(work(desk));
                desk.note_step();
            }
            Command::Received(arrival) => {
                self.bytes += arrival.prepared.len();
                self.arrivals.push(*arrival);
            }
            Command::Tick => desk.tick(wall_ms()),
            Command::Stop(done) => self.stop = Some(done),
        }
    }

    fn transact(&mut self, desk: &mut Desk) {
        if !self.transactions.is_empty() {
            self.acks
                .extend(desk.transact(std::mem::take(&mut self.transactions)));
        }
    }

    /// Stores what was written and received, flushes, answers, and tells the world.
    fn finish(mut self, desk: &mut Desk) {
        self.transact(desk);
        desk.note_step();
        desk.store(self.arrivals);
        desk.merge_unless_more_comes();
        let flushed = desk.settle();
        desk.note_ahead();
        for ack in self.acks {
            ack(flushed.clone().map_err(faults::unconfirmed));
        }
    }
}
