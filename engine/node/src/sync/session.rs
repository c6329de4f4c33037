//! Drives one sync session over one connection: frames in and out, time, the store's answers.
//!
//! The protocol is `stead_sync`'s; what a batch means is the replica's. Nothing here waits for the
//! other device without also reading what it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stead_base::{DeviceId, SpaceId, WriterId};
use stead_log::{Batch, ThinBatch};
use stead_net::Connection;
use stead_replica::{ProbeNext, ReceiveError};
use stead_sync::limits::WINDOW_BYTES_MAX;
use stead_sync::{
    CloseReason, Frame, GoodbyeCode, Input, Opening, Output, ReadRequest, Role, Session,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::facts::{Facts, Lack};
use super::fetches::Fetches;
use super::mailbox::{LogKey, Mailbox, Note};
use super::outbox::Outbox;
use super::prepare::{Incoming, Preparing};
use super::wire;
use crate::clock::{steady_ms, wall_ms};
use crate::desk::Desk;
use crate::store_thread::StoreHandle;

/// How long the other side may take to open its stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);
/// Frames handed to the protocol machine before its outputs are worked off.
const FRAMES_PER_TURN_MAX: usize = 32;
/// How long the last frames may take when a session ends.
const FAREWELL: Duration = Duration::from_secs(3);
/// Time is told at least this often.
const TICK_MAX_MS: u64 = 10_000;
/// What one peer may say of presence; more is not heard.
const PRESENCE_PER_SECOND_MAX: u64 = 1000;
/// What is missing is counted this long after something happened.
const COUNT_AFTER: Duration = Duration::from_millis(100);

/// What every session works with.
#[derive(Clone)]
pub(crate) struct SyncContext {
    pub(crate) local: DeviceId,
    pub(crate) store: StoreHandle,
    pub(crate) preparing: Preparing,
    pub(crate) fetches: Arc<Fetches>,
    pub(crate) facts: Facts,
    pub(crate) numbers: Arc<AtomicU64>,
}

/// Syncs over a connection until it ends; returns why in words.
pub(crate) async fn run(connection: Connection, context: SyncContext) -> String {
    let no = context.numbers.fetch_add(1, Ordering::Relaxed);
    let streams = async {
        if connection.dialed() {
            connection.open_bi().await
        } else {
            connection.accept_bi().await
        }
    };
    let (send, recv) = match tokio::time::timeout(OPEN_TIMEOUT, streams).await {
        Ok(Ok(streams)) => streams,
        Ok(Err(closed)) => return closed.to_string(),
        Err(_) => {
            connection.close(1, "no stream was opened");
            return "the other device opened no stream".to_owned();
        }
    };
    let mut seed = [0; 32];
    if getrandom::fill(&mut seed).is_err() {
        connection.close(1, "no randomness");
        return "the system gives no randomness".to_owned();
    }
    let mailbox = Arc::new(Mailbox::new(no, connection.remote()));
    context.fetches.join(Arc::clone(&mailbox));
    let subscriber = Arc::clone(&mailbox);
    let Ok(spaces) = context
        .store
        .look(move |desk| desk.subscribe(subscriber))
        .await
    else {
        return "the node is stopping".to_owned();
    };
    let opening = Opening {
        role: if connection.dialed() {
            Role::Dialer
        } else {
            Role::Listener
        },
        local: context.local,
        remote: connection.remote(),
        channel_binding: connection.channel_binding(),
        seed,
        wall_ms: wall_ms(),
        window_bytes: WINDOW_BYTES_MAX,
        auto_fetch: false,
    };
    let mut driver = Driver {
        session: Session::new(opening, spaces, steady_ms()),
        remote: connection.remote(),
        mailbox,
        outbox: Outbox::default(),
        wake_ms: steady_ms() + TICK_MAX_MS,
        shared: Vec::new(),
        ended: None,
        presence: Allowance::default(),
        context,
    };
    let (mut incoming, reading) = wire::read(recv);
    let (outgoing, writing) = wire::write(send, driver.outbox.backlog());
    driver.turn(&connection, &mut incoming, &outgoing).await;
    driver.leave(no).await;
    drop(outgoing);
    // The writer gets to deliver a goodbye; the reader has nothing more to say.
    let _ = tokio::time::timeout(FAREWELL, writing).await;
    reading.abort();
    connection.close(0, "the session ended");
    driver.ended.unwrap_or_default()
}

struct Driver {
    session: Session,
    remote: DeviceId,
    mailbox: Arc<Mailbox>,
    outbox: Outbox,
    wake_ms: u64,
    shared: Vec<SpaceId>,
    ended: Option<String>,
    /// How much of presence the peer may still say.
    presence: Allowance,
    context: SyncContext,
}

/// So much of one thing in a second, and no more than a few seconds' worth at once.
#[derive(Debug, Default)]
struct Allowance {
    left: u64,
    filled_ms: Option<u64>,
}

impl Allowance {
    /// Whether one more is allowed.
    fn take(&mut self, now_ms: u64) -> bool {
        let since = now_ms.saturating_sub(self.filled_ms.unwrap_or(0));
        let more = since.saturating_mul(PRESENCE_PER_SECOND_MAX) / 1000;
        if more > 0 {
            self.left = self
                .left
                .saturating_add(more)
                .min(2 * PRESENCE_PER_SECOND_MAX);
            self.filled_ms = Some(now_ms);
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

impl Driver {
    async fn turn(
        &mut self,
        connection: &Connection,
        incoming: &mut mpsc::Receiver<wire::Incoming>,
        outgoing: &mpsc::Sender<Frame>,
    ) {
        let mailbox = Arc::clone(&self.mailbox);
        let mut count_at: Option<Instant> = None;
        loop {
            self.work_off().await;
            if !self.outbox.send(outgoing) {
                self.ended.get_or_insert("the connection broke".to_owned());
            }
            if self.ended.is_none()
                && let Some(congested) = self.outbox.turned()
            {
                self.input(Input::Congested(congested));
                continue;
            }
            if self.ended.is_some() && self.outbox.is_empty() {
                return;
            }
            let wake = match self.ended {
                None => Duration::from_millis(self.wake_ms.saturating_sub(steady_ms())),
                Some(_) => FAREWELL,
            };
            let count = count_at.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                closed = connection.closed() => {
                    self.ended.get_or_insert(closed.to_string());
                    return;
                }
                () = tokio::time::sleep_until(count), if count_at.is_some() => {
                    count_at = None;
                    self.count_missing();
                    self.tell_complete().await;
                    continue;
                }
                permit = outgoing.reserve(), if !self.outbox.is_empty() => {
                    let Ok(permit) = permit else {
                        self.ended.get_or_insert("the connection broke".to_owned());
                        return;
                    };
                    self.outbox.send_one(permit);
                    continue;
                }
                () = self.outbox.relieved() => continue,
                frame = incoming.recv(), if self.ended.is_none() => {
                    let mut next = Some(frame);
                    let mut left = FRAMES_PER_TURN_MAX;
                    while let Some(frame) = next.take() {
                        self.frame(frame);
                        left -= 1;
                        if left > 0 && self.ended.is_none() {
                            next = incoming.try_recv().ok().map(Some);
                        }
                    }
                    self.context.facts.edit(self.remote, |facts| facts.seen_ms = Some(wall_ms()));
                }
                () = mailbox.rung() => {
                    for note in mailbox.take() {
                        self.note(note).await;
                    }
                }
                () = tokio::time::sleep(wake) => {
                    if self.ended.is_some() {
                        return;
                    }
                    // The machine says when it wants the next one; this is in case it does not.
                    self.wake_ms = steady_ms() + TICK_MAX_MS;
                    self.input(Input::Tick);
                }
            }
            count_at.get_or_insert_with(|| Instant::now() + COUNT_AFTER);
        }
    }

    fn frame(&mut self, frame: Option<wire::Incoming>) {
        match frame {
            Some(Ok(frame)) => self.input(Input::Frame(frame)),
            Some(Err(error)) => self.close(GoodbyeCode::Misbehaved, error.to_string()),
            None => {
                self.ended
                    .get_or_insert("the other device ended the stream".to_owned());
            }
        }
    }

    fn input(&mut self, input: Input) {
        if let Err(error) = self.session.handle(input, steady_ms()) {
            tracing::warn!(peer = %self.remote.short(), %error, "a device broke the protocol");
            self.ended.get_or_insert(error.to_string());
        }
    }

    fn close(&mut self, code: GoodbyeCode, text: String) {
        self.ended.get_or_insert(text.clone());
        self.input(Input::Close { code, text });
    }

    async fn note(&mut self, note: Note) {
        let no = self.mailbox.no();
        match note {
            Note::Input(input) => self.input(input),
            Note::Contradicted { space, writer } => {
                self.input(Input::Conflict { space, writer });
                self.search_fork(space, writer).await;
            }
            Note::Refetch { log, upto } => {
                let stored = self.stored(log).await;
                self.context
                    .fetches
                    .refetch(no, log, stored..upto, steady_ms());
            }
            Note::StoreFailed { log, upto } => {
                let stored = self.stored(log).await;
                self.context
                    .fetches
                    .hold(no, log, stored..upto, steady_ms());
            }
            Note::NotKept { log, upto } => {
                let stored = self.stored(log).await;
                self.context.fetches.suspend(no, log, stored..upto);
            }
            Note::NotTaken { log } => {
                self.context.fetches.unavailable(no, log, steady_ms());
            }
            Note::Misbehaved { detail } => {
                tracing::warn!(peer = %self.remote.short(), detail, "a device sent what breaks the rules");
                self.close(GoodbyeCode::Refused, detail);
            }
        }
    }

    async fn stored(&self, (space, writer): LogKey) -> u64 {
        let reach = self
            .context
            .store
            .look(move |desk| desk.reach(&space, &writer));
        reach.await.unwrap_or(0)
    }

    /// Does what the protocol machine asks for.
    async fn work_off(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(frame) => {
                    if !self.outbox.push(frame) {
                        self.ended
                            .get_or_insert("more was to be sent than credit allows".to_owned());
                    }
                }
                Output::WakeAt(ms) => self.wake_ms = ms,
                Output::Closed(reason) => self.closed(&reason),
                Output::PeerClock { ahead_ms } => {
                    self.context
                        .facts
                        .edit(self.remote, |facts| facts.clock_ahead_ms = Some(ahead_ms));
                }
                Output::Shared { space } => {
                    tracing::debug!(peer = %self.remote.short(), space = %space.short(), "sharing");
                    self.shared.push(space);
                    self.count_missing();
                    let remote = self.remote;
                    self.with_desk(move |desk, mailbox| {
                        desk.presence_shared(mailbox.no(), remote, space);
                    })
                    .await;
                }
                Output::Start { space, log } => {
                    let is_new = self
                        .context
                        .store
                        .look(move |desk| desk.replica.is_new_here(&space))
                        .await;
                    if is_new.unwrap_or(false) {
                        let key = (space, log);
                        self.context.fetches.begin_with(key, steady_ms());
                    }
                }
                Output::Left { space } => {
                    self.shared.retain(|shared| *shared != space);
                    self.count_missing();
                    self.with_desk(move |desk, mailbox| desk.presence_left(mailbox.no(), space))
                        .await;
                }
                Output::Presence { space, packet } => {
                    if self.presence.take(steady_ms()) {
                        self.with_desk(move |desk, mailbox| {
                            desk.presence_heard(mailbox.no(), space, &packet);
                        })
                        .await;
                    }
                }
                Output::PresenceLost { space, run, app } => {
                    if self.presence.take(steady_ms()) {
                        self.with_desk(move |desk, mailbox| {
                            desk.presence_lost(mailbox.no(), space, run, app);
                        })
                        .await;
                    }
                }
                Output::Available {
                    space,
                    writer,
                    have,
                    remote_len,
                } => {
                    let no = self.mailbox.no();
                    self.context.fetches.available(
                        no,
                        (space, writer),
                        have,
                        remote_len,
                        steady_ms(),
                    );
                }
                Output::Unavailable {
                    space,
                    writer,
                    from,
                } => {
                    self.with_desk(move |desk, _| desk.behind(space, writer, from))
                        .await;
                    let no = self.mailbox.no();
                    self.context
                        .fetches
                        .unavailable(no, (space, writer), steady_ms());
                }
                Output::Batch {
                    space,
                    writer,
                    upto,
                    batch,
                    credit,
                    ..
                } => {
                    let log = (space, writer);
                    self.context
                        .fetches
                        .received(self.mailbox.no(), log, steady_ms());
                    let from = Arc::clone(&self.mailbox);
                    let incoming = Incoming {
                        log,
                        upto,
                        batch,
                        credit,
                        from,
                    };
                    self.context.preparing.take(incoming).await;
                }
                Output::Read(request) => self.read(request, false).await,
                Output::ReadThin(request) => self.read(request, true).await,
                Output::Thin {
                    space,
                    writer,
                    upto,
                    revision,
                    batch,
                    credit,
                    ..
                } => {
                    let log = (space, writer);
                    let no = self.mailbox.no();
                    self.context.fetches.received(no, log, steady_ms());
                    self.with_desk(move |desk, mailbox| {
                        desk.store_thin(log, upto, revision, &batch, mailbox);
                        mailbox.stored(credit);
                    })
                    .await;
                }
                Output::GivesParts { space, gives } => {
                    self.with_desk(move |desk, mailbox| desk.gives_parts(space, mailbox, gives))
                        .await;
                }
                Output::Chosen { space, choice, .. } => {
                    self.with_desk(move |desk, mailbox| desk.chosen(space, &choice, mailbox))
                        .await;
                }
                Output::Asked { space, token, ask } => {
                    self.with_desk(move |desk, mailbox| desk.asked(space, token, &ask, mailbox))
                        .await;
                }
                Output::Slice { token, slice, .. } => {
                    self.with_desk(move |desk, mailbox| {
                        desk.sliced(token, slice.as_ref(), mailbox);
                    })
                    .await;
                }
                Output::Stirred { space } => {
                    self.with_desk(move |desk, _| desk.stirred(space)).await;
                }
                Output::Listed { space } => {
                    self.with_desk(move |desk, _| desk.listed(space)).await;
                }
                Output::Confirmed { space, writer, len } => {
                    self.with_desk(move |desk, _| {
                        let noted = desk.replica.confirmed(&space, &writer, len, wall_ms());
                        desk.note_outcome(&noted);
                    })
                    .await;
                }
                Output::RoundTrip { .. } => {}
                Output::Diverged { space, writer, .. } => self.search_fork(space, writer).await,
                Output::ProbeAsked { space, writer, at } => self.probe(space, writer, at).await,
                Output::ProbeAnswered {
                    space,
                    writer,
                    at,
                    reply,
                } => {
                    self.with_desk(move |desk, mailbox| {
                        let next =
                            desk.replica
                                .probe_answered(&space, &writer, at, &reply, wall_ms());
                        desk.changed();
                        next_probe(mailbox, space, writer, next);
                    })
                    .await;
                }
                Output::ForkProofWanted { space, writer } => {
                    self.with_desk(move |desk, mailbox| {
                        if let Some((tip, proof)) = desk.frozen(&space, &writer) {
                            mailbox.input(Input::Frozen {
                                space,
                                writer,
                                tip,
                                proof,
                            });
                        }
                    })
                    .await;
                }
                Output::ForkProof {
                    space,
                    writer,
                    proof,
                } => {
                    self.with_desk(move |desk, mailbox| {
                        let accepted = desk.replica.accept_fork(&space, &writer, &proof, wall_ms());
                        desk.changed();
                        if let Err(ReceiveError::Misbehaved { detail, .. }) = accepted {
                            mailbox.note(Note::Misbehaved { detail });
                        }
                    })
                    .await;
                }
            }
        }
    }

    fn closed(&mut self, reason: &CloseReason) {
        self.ended.get_or_insert(reason.to_string());
    }

    async fn with_desk(&self, f: impl FnOnce(&mut Desk, &Mailbox) + Send + 'static) {
        let mailbox = Arc::clone(&self.mailbox);
        self.context.store.tell(move |desk| f(desk, &mailbox)).await;
    }

    async fn read(&self, request: ReadRequest, thin: bool) {
        self.with_desk(move |desk, mailbox| {
            let ReadRequest {
                space,
                writer,
                from,
                upto,
                bytes_max,
            } = request;
            let read = match thin {
                false => desk
                    .replica
                    .read_batch(&space, &writer, from, upto, bytes_max),
                true => desk.follower(space, mailbox).map_or(Ok(None), |follower| {
                    let range = (from, upto);
                    desk.replica
                        .read_thin(&space, &writer, range, bytes_max, follower)
                }),
            };
            let batch = read.unwrap_or_else(|error| {
                tracing::warn!(%error, "a log could not be read for a peer");
                None
            });
            let end = batch.as_deref().and_then(|bytes| match thin {
                false => Some(Batch::decode(bytes).ok()?.end()),
                true => Some(ThinBatch::decode(bytes).ok()?.len),
            });
            mailbox.input(match (batch, end) {
                (Some(batch), Some(upto)) => Input::ReadDone {
                    space,
                    writer,
                    from,
                    upto,
                    batch: batch.into(),
                },
                _ => Input::ReadFailed { space, writer },
            });
        })
        .await;
    }

    async fn probe(&self, space: SpaceId, writer: WriterId, at: u64) {
        self.with_desk(move |desk, mailbox| {
            let reply = desk.replica.probe(&space, &writer, at).unwrap_or_default();
            mailbox.input(Input::ProbeReply {
                space,
                writer,
                at,
                reply: reply.into(),
            });
        })
        .await;
    }

    async fn search_fork(&self, space: SpaceId, writer: WriterId) {
        tracing::info!(writer = %writer.short(), "two histories of a writer: looking for where they part");
        self.with_desk(move |desk, mailbox| {
            let next = desk.replica.fork_search(&space, &writer);
            next_probe(mailbox, space, writer, next.map_err(ReceiveError::from));
        })
        .await;
    }

    /// Writes down what is missing, for status.
    fn count_missing(&self) {
        let missing = |space: &SpaceId| {
            let lack = self.session.missing(space).map(|missing| Lack {
                here: missing.here,
                there: missing.there,
            });
            (*space, lack)
        };
        let shared = self.shared.iter().map(missing).collect();
        self.context
            .facts
            .edit(self.remote, |facts| facts.shared = shared);
    }

    /// Says of which spaces nothing is missing that the peer has, to what waits for that.
    async fn tell_complete(&self) {
        let complete = |space: &&SpaceId| {
            let missing = self.session.missing(space);
            missing.is_some_and(|missing| missing.here == 0)
        };
        let spaces: Vec<SpaceId> = self.shared.iter().filter(complete).copied().collect();
        self.with_desk(move |desk, _| spaces.into_iter().for_each(|it| desk.logs_have_come(it)))
            .await;
    }

    async fn leave(&self, no: u64) {
        self.context.fetches.leave(no, steady_ms());
        self.context
            .store
            .tell(move |desk| desk.unsubscribe(no))
            .await;
        self.context
            .facts
            .edit(self.remote, |facts| facts.shared.clear());
    }
}

fn next_probe(
    mailbox: &Mailbox,
    space: SpaceId,
    writer: WriterId,
    next: Result<ProbeNext, ReceiveError>,
) {
    match next {
        Ok(ProbeNext::Ask(at)) => mailbox.input(Input::Probe { space, writer, at }),
        // The proof goes out with the event that the log was frozen.
        Ok(ProbeNext::Proof(_) | ProbeNext::Nothing) => {}
        Err(ReceiveError::Misbehaved { detail, .. }) => mailbox.note(Note::Misbehaved { detail }),
        Err(error) => tracing::warn!(%error, "the search for a fork failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_heard_so_often_in_a_second_and_no_more() {
        let mut allowance = Allowance::default();
        let mut heard = 0;
        for now_ms in 1_000_000..1_010_000 {
            heard += (0..10).filter(|_| allowance.take(now_ms)).count() as u64;
        }
        let most = 10 * PRESENCE_PER_SECOND_MAX + 2 * PRESENCE_PER_SECOND_MAX;
        assert!((most / 2..=most).contains(&heard), "{heard}");
    }
}
