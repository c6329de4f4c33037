//! What the store thread works with: the replica, and everybody who is to hear what happened to it.
//!
//! Everything here runs on the store thread. What peers and watchers hear comes from the replica's
//! events after a flush, never from a call's result.

mod beginnings;
mod parts;
mod presence;
mod sessions;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use stead_api::{ApiError, Commit, ErrorKind};
use stead_base::{SpaceId, WriterId};
use stead_replica::{DocChange, Event, ReceiveError, Replica, ReplicaError, SCHEMAS};
use stead_sync::Input;

use tokio::sync::{oneshot, watch};

use crate::api::convert;
use crate::api::idempotency::{Idempotency, Known};
use crate::api::veil::{self, SPACES};
use crate::api::watches::Watches;
use crate::clock::{steady_ms, wall_ms};
use crate::store_thread::{Ack, Arrival, Waiting};
use crate::sync::fetches::Fetches;
use crate::sync::mailbox::{LogKey, Mailbox, Note};
use crate::{directory, faults, home};
pub(crate) use presence::{Names, Presence, PresenceInbox};
use sessions::{Eviction, Published};
use steps::Steps;

/// A store that failed is tried again after this long.
const RETRY_MS: u64 = 3_000;
/// History that is older than it is kept is looked for this often.
const HISTORY_EVERY_MS: u64 = 60 * 60_000;
/// Rounds of reconciling after one another; what is left waits for the next event.
const RECONCILE_ROUNDS_MAX: usize = 8;
/// Received operations are merged at once if they take fewer bytes in memory than this.
const PENDING_BYTES_MIN: usize = 1 << 20;
/// Received operations are merged at the latest after this long, so that a person sees them come.
const PENDING_MS_MAX: u64 = 2_000;
/// What was acknowledged ahead of its commit is committed after this long, if nobody reads before.
const AHEAD_MS_MAX: u64 = 100;
/// Documents that an index takes in between two rounds.
const INDEXED_PER_STEP: u32 = 500;
/// Written and removed to see whether the disk takes writes again.
const PROBE_FILE: &str = "write-probe";

/// Where the desk posts what happened.
#[derive(Clone)]
pub(crate) struct Board {
    /// Counts changes of who is in which space.
    pub(crate) members: watch::Sender<u64>,
    /// Counts changes of where devices say they are.
    pub(crate) places: watch::Sender<u64>,
    /// The space that is this person's identity; known before its name is.
    pub(crate) home_space: watch::Sender<Option<SpaceId>>,
    /// Names of the spaces on this device.
    pub(crate) names: watch::Sender<Vec<(SpaceId, String)>>,
    /// Live queries.
    pub(crate) watches: Arc<Watches>,
    /// Who fetches what from whom.
    pub(crate) fetches: Arc<Fetches>,
    /// What the store's last failure was, while it lasts.
    pub(crate) trouble: watch::Sender<Option<ApiError>>,
    /// What a person should know and that happened once.
    pub(crate) notices: watch::Sender<Vec<String>>,
    /// Spaces of which only a part is kept here.
    pub(crate) partial: watch::Sender<BTreeSet<SpaceId>>,
    /// Counts answers of other devices about documents that were not here.
    pub(crate) parts: watch::Sender<u64>,
    /// The data directory.
    pub(crate) home: PathBuf,
}

/// The store thread's desk.
pub(crate) struct Desk {
    /// The replica.
    pub(crate) replica: Replica,
    /// Answers given to calls with an idempotency key.
    pub(crate) idempotency: Idempotency,
    board: Board,
    published: BTreeMap<SpaceId, Published>,
    sessions: Vec<Arc<Mailbox>>,
    /// Logs that grew by what peers sent, not by this device's own writing.
    foreign: BTreeSet<(SpaceId, WriterId)>,
    due_ms: Option<u64>,
    /// When history is looked at next.
    history_due_ms: u64,
    reconcile: bool,
    dirty: bool,
    /// What happened and is not flushed, and what it makes of documents that are watched.
    steps: Steps,
    /// Whether an index is not complete.
    indexing: bool,
    /// Sessions with devices that were put out of a space.
    evictions: BTreeMap<(u64, SpaceId), Eviction>,
    /// Since when stored entries wait to be merged, on the steady clock.
    pending_since_ms: Option<u64>,
    /// When what was acknowledged ahead of its commit is committed.
    commit_due_ms: Option<u64>,
    /// Checkpoints that are all here and that their spaces begin with.
    to_begin: Vec<LogKey>,
    /// Spaces that began from one, to be told of.
    begun: Vec<SpaceId>,
    /// Logs of which peers no longer have what comes next here.
    behind: BTreeMap<LogKey, u64>,
    /// The checkpoint that newcomers to each space are told of.
    beginnings: BTreeMap<SpaceId, WriterId>,
    /// Spaces of which a part is kept, here or at a peer.
    parts: parts::Parts,
    /// Who is where.
    pub(crate) presence: Presence,
}

impl Desk {
    /// Takes over a replica.
    pub(crate) fn new(replica: Replica, board: Board, seed: [u8; 32]) -> Self {
        let presence = Presence::new(replica.device(), seed);
        let mut desk = Self {
            replica,
            idempotency: Idempotency::default(),
            board,
            published: BTreeMap::new(),
            sessions: Vec::new(),
            foreign: BTreeSet::new(),
            due_ms: None,
            history_due_ms: wall_ms() + HISTORY_EVERY_MS,
            reconcile: true,
            dirty: true,
            steps: Steps::default(),
            indexing: true,
            evictions: BTreeMap::new(),
            pending_since_ms: None,
            commit_due_ms: None,
            to_begin: Vec::new(),
            begun: Vec::new(),
            behind: BTreeMap::new(),
            beginnings: BTreeMap::new(),
            parts: parts::Parts::default(),
            presence,
        };
        for space in desk.replica.space_ids() {
            desk.publish_space(&space);
        }
        desk.publish_names();
        // What is stored is published: events of opening it say nothing more.
        desk.tick(wall_ms());
        desk
    }

    /// Leaves the database in one file, as far as readers allow.
    pub(crate) fn close(mut self) {
        self.merge_pending();
        if let Err(error) = self.replica.checkpoint() {
            tracing::warn!(%error, "the write-ahead log stays for the next start");
        }
    }

    /// Where things are posted.
    pub(crate) const fn board(&self) -> &Board {
        &self.board
    }

    /// A change was made, or tried.
    pub(crate) fn changed(&mut self) {
        self.dirty = true;
    }

    /// Remembers how the store does, from the outcome of a write.
    pub(crate) fn note_outcome<T>(&self, outcome: &Result<T, ReplicaError>) {
        match outcome {
            Ok(_) => self.recovered(),
            Err(error @ (ReplicaError::Store(_) | ReplicaError::Record { .. })) => {
                self.in_trouble(faults::replica(error));
            }
            Err(_) => {}
        }
    }

    fn recovered(&self) {
        self.board
            .trouble
            .send_if_modified(|trouble| trouble.take().is_some());
    }

    fn in_trouble(&self, error: ApiError) {
        tracing::error!(%error, "the store failed");
        self.board.trouble.send_if_modified(|trouble| {
            let changed = trouble.as_ref() != Some(&error);
            *trouble = Some(error);
            changed
        });
    }

    /// Applies clients' transactions, in one database transaction as far as their idempotency keys
    /// allow; the answers are to be given after a flush.
    pub(crate) fn transact(&mut self, waiting: Vec<Waiting>) -> Vec<Ack> {
        self.dirty = true;
        let mut acks = Vec::with_capacity(waiting.len());
        let mut group: Vec<Waiting> = Vec::new();
        for (transaction, out) in waiting {
            let Some((key, what)) = &transaction.key else {
                group.push((transaction, out));
                continue;
            };
            let same_key = |(other, _): &Waiting| {
                other
                    .key
                    .as_ref()
                    .is_some_and(|(other_key, _)| other_key == key)
            };
            if group.iter().any(same_key) {
                self.apply(std::mem::take(&mut group), &mut acks);
            }
            match self.idempotency.find(transaction.space, key, *what) {
                Known::New => group.push((transaction, out)),
                Known::Answered(commit) => acks.push(answer(out, Ok(commit))),
                Known::Reused => {
                    let error = ApiError::new(
                        ErrorKind::KeyReused,
                        "This idempotency key was used for another transaction.",
                    );
                    acks.push(answer(
                        out,
                        Err(error.hint("Use a fresh key for each transaction.")),
                    ));
                }
            }
        }
        self.apply(group, &mut acks);
        acks
    }

    /// Applies what nobody watches together, and each other one by itself: whoever watches hears of
    /// each transaction as one step.
    fn apply(&mut self, group: Vec<Waiting>, acks: &mut Vec<Ack>) {
        let mut together = Vec::with_capacity(group.len());
        for waiting in group {
            if !self.is_watched(&waiting.0) {
                together.push(waiting);
                continue;
            }
            self.apply_together(std::mem::take(&mut together), acks);
            self.apply_together(vec![waiting], acks);
            self.note_step();
        }
        self.apply_together(together, acks);
    }

    fn apply_together(&mut self, group: Vec<Waiting>, acks: &mut Vec<Ack>) {
        if group.is_empty() {
            return;
        }
        let all = group.iter();
        let all = all.map(|(it, _)| (&it.space, &it.edits[..], &it.speaks));
        match self.replica.transact_all(all, wall_ms()) {
            Ok(receipts) => {
                self.recovered();
                for ((transaction, out), receipt) in group.into_iter().zip(receipts) {
                    let commit = receipt
                        .map(convert::commit)
                        .map_err(|error| faults::replica(&error));
                    if let (Ok(commit), Some((key, what))) = (&commit, transaction.key) {
                        let space = transaction.space;
                        self.idempotency.remember(space, &key, what, commit.clone());
                    }
                    acks.push(answer(out, commit));
                }
            }
            // One of them failed once its entry was made, by damage to what it changes. All were undone with it.
            Err(error) if group.len() > 1 && !matches!(error, ReplicaError::Store(_)) => {
                for one in group {
                    self.apply_together(vec![one], acks);
                }
            }
            Err(error) => {
                let fault = faults::replica(&error);
                self.note_outcome::<()>(&Err(error));
                let failed = |(_, out)| answer(out, Err(fault.clone()));
                acks.extend(group.into_iter().map(failed));
            }
        }
    }

    /// Stores verified batches in one database transaction and tells their senders.
    pub(crate) fn store(&mut self, arrivals: Vec<Arrival>) {
        if arrivals.is_empty() {
            return;
        }
        self.dirty = true;
        let mut senders = Vec::with_capacity(arrivals.len());
        let mut prepared = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            self.foreign.insert(arrival.log);
            senders.push((arrival.from, arrival.log, arrival.upto, arrival.credit));
            prepared.push(arrival.prepared);
        }
        let results = self.replica.store_batches(prepared, wall_ms());
        let mut stored = false;
        for ((sender, log, upto, credit), result) in senders.into_iter().zip(results) {
            sender.stored(credit);
            match result {
                Ok(_) => stored = true,
                Err(error) => sender.note(self.refusal(log, upto, error)),
            }
        }
        if stored {
            self.recovered();
        }
    }

    /// Whether stored entries wait for more before they are merged into documents.
    pub(crate) const fn waits_for_more(&self) -> bool {
        self.pending_since_ms.is_some()
    }

    /// Merges what was stored, unless so much comes in that waiting for more spares reading and
    /// writing the same documents again.
    pub(crate) fn merge_unless_more_comes(&mut self) {
        if !self.replica.has_pending() {
            self.pending_since_ms = None;
            return;
        }
        let now_ms = steady_ms();
        let since_ms = *self.pending_since_ms.get_or_insert(now_ms);
        let patient = now_ms.saturating_sub(since_ms) < PENDING_MS_MAX;
        if !patient || self.replica.pending_bytes() < PENDING_BYTES_MIN {
            self.merge_pending();
        }
    }

    /// Merges what was stored and not merged.
    pub(crate) fn merge_pending(&mut self) {
        self.pending_since_ms = None;
        if self.replica.has_pending() {
            self.dirty = true;
            let merged = self.replica.merge_pending(wall_ms());
            self.note_outcome(&merged);
        }
    }

    /// Notes whether anything waits for its commit.
    pub(crate) fn note_ahead(&mut self) {
        self.commit_due_ms = match self.replica.is_ahead() {
            true => self
                .commit_due_ms
                .or_else(|| Some(wall_ms() + AHEAD_MS_MAX)),
            false => None,
        };
    }

    fn refusal(&self, log: LogKey, upto: u64, error: ReceiveError) -> Note {
        tracing::debug!(%error, space = %log.0.short(), "a batch was not stored");
        match error {
            ReceiveError::Contradiction { .. } => Note::Contradicted {
                space: log.0,
                writer: log.1,
            },
            ReceiveError::Gap { .. } | ReceiveError::NoSuchSpace(_) => Note::Refetch { log, upto },
            ReceiveError::NotAdmitted { .. } => Note::NotKept { log, upto },
            ReceiveError::NotTrusted { .. } => Note::NotTaken { log },
            ReceiveError::Misbehaved { detail, .. } => Note::Misbehaved { detail },
            ReceiveError::Replica(error) => {
                self.note_outcome::<()>(&Err(error));
                Note::StoreFailed { log, upto }
            }
        }
    }

    /// Applies entries whose time has come, and sees whether a store that failed works again.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        if self.commit_due_ms.is_some_and(|due| due <= now_ms) {
            let committed = self.replica.commit_what_waits(now_ms);
            self.note_outcome(&committed);
            self.note_ahead();
        }
        self.dirty = true;
        match self.replica.tick(now_ms) {
            Ok(due_ms) => self.due_ms = due_ms,
            Err(error) => {
                self.note_outcome::<()>(&Err(error));
                return;
            }
        }
        self.reconcile |= self
            .replica
            .reconcile_due()
            .is_some_and(|due| due <= now_ms);
        self.ask_rested();
        if now_ms >= self.history_due_ms {
            self.tend_history(now_ms);
            self.begin_again(|_| true);
        }
        if self.board.trouble.borrow().is_some() {
            let probe = self.board.home.join(PROBE_FILE);
            if home::write_private(&probe, &[0; 4096]).is_ok() {
                self.recovered();
                self.indexing = true;
                self.reconcile = true;
            }
            let _ = std::fs::remove_file(probe);
        }
    }

    /// Drops history that is older than it is kept, and makes the checkpoints that it takes.
    pub(crate) fn tend_history(&mut self, now_ms: u64) {
        self.history_due_ms = now_ms + HISTORY_EVERY_MS;
        let done = self.replica.tend_history(now_ms);
        self.dirty |= matches!(done, Ok(true));
        self.note_outcome(&done);
    }

    /// When [`Self::tick`] is due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        if self.board.trouble.borrow().is_some() {
            return Some(wall_ms() + RETRY_MS);
        }
        let history = Some(self.history_due_ms);
        let again = self.replica.reconcile_due();
        let due = [
            self.due_ms,
            self.parts_due(),
            history,
            again,
            self.commit_due_ms,
        ];
        due.into_iter().flatten().min()
    }

    /// Flushes, and tells peers and watchers what is safe now.
    pub(crate) fn settle(&mut self) -> Result<(), ApiError> {
        for _ in 0..RECONCILE_ROUNDS_MAX {
            if !std::mem::take(&mut self.dirty) {
                return Ok(());
            }
            self.note_step();
            if let Err(error) = self.replica.flush() {
                self.dirty = true;
                let error = faults::replica(&error);
                self.in_trouble(error.clone());
                return Err(error);
            }
            for event in self.steps.take_events() {
                self.publish(event);
            }
            self.tell_watches();
            self.stir();
            self.foreign.clear();
            for space in std::mem::take(&mut self.begun) {
                self.board.fetches.has_begun(space, steady_ms());
            }
            self.begin_spaces();
            if std::mem::take(&mut self.reconcile) {
                match self.replica.reconcile(wall_ms()) {
                    Ok(done) => self.dirty |= done,
                    Err(ReplicaError::NotAdmitted { .. } | ReplicaError::NoHome) => {}
                    Err(error) => {
                        tracing::warn!(%error, "spaces and devices could not be brought in step");
                        self.note_outcome::<()>(&Err(error));
                    }
                }
            }
            if let Ok(due_ms) = self.replica.tick(wall_ms()) {
                self.due_ms = due_ms;
            }
        }
        Ok(())
    }

    fn publish(&mut self, event: Event) {
        match event {
            Event::Advanced {
                space,
                writer,
                len,
                root,
            } => self.advanced(space, writer, len, root),
            Event::ThinAdvanced { space, writer, len } => self.thin_advanced(space, writer, len),
            Event::PartChanged {
                space,
                told,
                revision,
            } => self.part_changed(space, told, revision),
            Event::PartAsks { space } => self.ask_for_parts(space),
            Event::DocsChanged { space, docs, many } => self.docs_changed(space, &docs, many),
            Event::RosterChanged { space } => {
                tracing::debug!(space = %space.short(), "members or keys changed");
                self.reconcile = true;
                let name = self.replica.space_name(&space);
                let is_known =
                    |known: &(SpaceId, String)| known.0 == space && Some(known.1.as_str()) == name;
                if !self.board.names.borrow().iter().any(is_known) {
                    self.publish_names();
                }
                self.readmit(&space);
                self.tell_beginning(&space);
                self.tell_if_removed(&space);
                self.ask_for_parts(space);
                self.board.fetches.members_changed(space, steady_ms());
                self.board.members.send_modify(|count| *count += 1);
                self.presence_members_changed(space);
            }
            Event::SpaceAdded { space } => {
                self.publish_space(&space);
                self.publish_names();
                if let Some(membership) = self.membership(&space) {
                    let thin = self.replica.thin_lengths(&space);
                    for session in &self.sessions {
                        if let Some(thin) = thin.clone() {
                            session.input(Input::Part { space, thin });
                        }
                        session.input(Input::AddSpace(membership.clone()));
                    }
                }
                self.reconcile = true;
                self.board.members.send_modify(|count| *count += 1);
            }
            Event::SpaceLeft { space } => {
                self.published.remove(&space);
                self.publish_names();
                for session in &self.sessions {
                    session.input(Input::RemoveSpace { space });
                }
                self.board.fetches.forget_space(space);
                self.behind.retain(|(of, _), _| *of != space);
                self.beginnings.remove(&space);
                self.presence.forget(&space);
                self.board.watches.space_left(&space);
                self.board.members.send_modify(|count| *count += 1);
            }
            Event::Forked { space, writer, .. } => self.forked(space, writer),
            Event::WriterRetired { space, writer } => {
                tracing::warn!(space = %space.short(), writer = %writer.short(), "writing under a new key");
                self.notice(
                    "This device's data was restored from an older copy; it goes on under a new key. \
                     Nothing that reached another device is lost."
                        .to_owned(),
                );
            }
        }
    }

    fn notice(&self, notice: String) {
        self.board.notices.send_if_modified(|notices| {
            let is_new = !notices.contains(&notice);
            if is_new {
                notices.push(notice);
            }
            is_new
        });
    }

    fn docs_changed(&mut self, space: SpaceId, docs: &[DocChange], many: bool) {
        self.presence_docs_changed(space, docs, many);
        if self.replica.home() == Some(space) {
            if many || docs.iter().any(|doc| doc.collection == directory::DEVICES) {
                self.board.places.send_modify(|count| *count += 1);
            }
            self.reconcile |= many || docs.iter().any(|doc| doc.collection == SPACES);
        }
        self.note_stirred(space, docs, many);
        self.indexing |= many || docs.iter().any(|doc| doc.collection == SCHEMAS);
        // Groups and offers tell this device what to open and what to carry where.
        self.reconcile |= many || docs.iter().any(|doc| veil::is_kept(&doc.collection));
    }

    /// Whether an index waits to be built further.
    pub(crate) const fn is_indexing(&self) -> bool {
        self.indexing
    }

    /// Indexes were asked for.
    pub(crate) const fn index_more(&mut self) {
        self.indexing = true;
    }

    /// Builds indexes a step further. A failure is tried again with the next change.
    pub(crate) fn index_step(&mut self) {
        if self.board.trouble.borrow().is_some() {
            self.indexing = false;
            return;
        }
        match self.replica.build_indexes(INDEXED_PER_STEP, wall_ms()) {
            Ok(more) => self.indexing = more,
            Err(error) => {
                tracing::warn!(%error, "an index could not be built further");
                self.indexing = false;
                self.note_outcome::<()>(&Err(error));
            }
        }
    }

    fn publish_names(&self) {
        self.board.home_space.send_replace(self.replica.home());
        let spaces = self.replica.space_ids().into_iter();
        let partial = spaces.filter(|space| self.replica.is_part(space));
        self.board.partial.send_replace(partial.collect());
        let outlines = self
            .replica
            .space_ids()
            .into_iter()
            .filter_map(|id| self.replica.outline(&id).ok());
        self.board
            .names
            .send_replace(outlines.map(|space| (space.id, space.name)).collect());
    }

    fn tell_if_removed(&self, space: &SpaceId) {
        if self.replica.was_removed(space, &self.replica.device())
            && let Ok(outline) = self.replica.outline(space)
        {
            self.notice(format!(
                "This device was put out of {}. What it has of it stays here; nothing new comes, and what it still writes there counts nowhere.",
                outline.name
            ));
        }
    }
}

/// Answers a client after the flush: with the outcome, or with why it is not safe.
fn answer(
    out: oneshot::Sender<Result<Commit, ApiError>>,
    outcome: Result<Commit, ApiError>,
) -> Ack {
    Box::new(move |flushed| {
        // The client may have gone away.
        let _ = out.send(outcome.and_then(|commit| flushed.map(|()| commit)));
    })
}
