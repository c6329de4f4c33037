//! Storing received batches and taking up what they say: keys, roster operations, documents.

use std::sync::Arc;

use stead_access::{Change, Path, RosterOp, Shift, decode_boxes, decode_ops, verify_claim};
use stead_base::{DeviceId, DocId, ScopeId, SpaceId, Stamp, WriterId};
use stead_store::Read;

use crate::opening::{DocPart, Opened, Outcome, open_segment};
use crate::parts::Parts;
use crate::prepare::{Prepared, Work, decode, verify_and_open};
use crate::redaction::{WITHHELD_WAIT_MS, whereabouts};
use crate::space::SpaceState;
use crate::writing::{Merging, Writing, writer_mut};
use crate::{Event, ReceiveError, Replica, ReplicaError};

/// Entries kept of one writer that is not (yet) a member.
const STRANGER_ENTRIES_MAX: u64 = 4096;
/// Writers kept that are not (yet) members.
const STRANGERS_MAX: usize = 256;
/// Bytes of stored log that are opened at a time.
const SETTLE_BYTES: usize = 8 << 20;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The space it was for.
    pub space: SpaceId,
    /// Whose log.
    pub writer: WriterId,
    /// Entries held now.
    pub len: u64,
}

impl Replica {
    /// Verifies, stores and takes up one batch.
    pub fn receive(
        &mut self,
        space: &SpaceId,
        batch: &[u8],
        now_ms: u64,
    ) -> Result<Received, ReceiveError> {
        let prepared = self.preparer().prepare(*space, batch.to_vec());
        let results = self.commit(vec![prepared], now_ms);
        results
            .into_iter()
            .next()
            .unwrap_or(Err(ReceiveError::NoSuchSpace(*space)))
    }

    /// Stores prepared batches and merges them, in one transaction. Results come in the order of the
    /// batches; when the store fails, all fail and nothing is changed.
    pub fn commit(
        &mut self,
        prepared: Vec<Prepared>,
        now_ms: u64,
    ) -> Vec<Result<Received, ReceiveError>> {
        self.take_in(prepared, now_ms, Merging::Now)
    }

    /// Like [`commit`](Self::commit), but may leave the merging to
    /// [`merge_pending`](Self::merge_pending) or the next other write, so that documents with many
    /// changes are read and written once. Nothing depends on it: after a crash the stored entries
    /// are merged from the logs.
    pub fn store_batches(
        &mut self,
        prepared: Vec<Prepared>,
        now_ms: u64,
    ) -> Vec<Result<Received, ReceiveError>> {
        self.take_in(prepared, now_ms, Merging::Later)
    }

    fn take_in(
        &mut self,
        prepared: Vec<Prepared>,
        now_ms: u64,
        merging: Merging,
    ) -> Vec<Result<Received, ReceiveError>> {
        let places: Vec<(SpaceId, Option<WriterId>)> = prepared
            .iter()
            .map(|batch| (batch.space, batch.writer()))
            .collect();
        let stored = self.unit(now_ms, merging, |writing| {
            let mut results = Vec::with_capacity(prepared.len());
            for batch in prepared {
                match writing.store_batch(batch) {
                    Err(ReceiveError::Replica(error @ ReplicaError::Store(_))) => {
                        return Err(error);
                    }
                    result => results.push(result),
                }
            }
            Ok(results)
        });
        match stored {
            Ok(results) => {
                for ((space, writer), result) in places.iter().zip(&results) {
                    if let (Err(_), Some(writer)) = (result, writer) {
                        self.reset_tip(space, writer);
                    }
                }
                results
            }
            Err(error) => {
                let message = error.to_string();
                if let Err(again) = self.refresh() {
                    tracing::error!(%again, "cannot read the store again");
                }
                let mut error = Some(error);
                places
                    .iter()
                    .map(|(space, writer)| {
                        if let Some(writer) = writer {
                            self.reset_tip(space, writer);
                        }
                        let error = error
                            .take()
                            .unwrap_or_else(|| ReplicaError::Refused(message.clone()));
                        Err(ReceiveError::Replica(error))
                    })
                    .collect()
            }
        }
    }

    fn reset_tip(&self, space: &SpaceId, writer: &WriterId) {
        let state = self
            .spaces
            .get(space)
            .and_then(|space| space.writers.get(writer));
        let tip = state
            .map(|state| state.record.tip.clone())
            .unwrap_or_default();
        self.shared.set_tip(space, writer, &tip);
    }

    /// Applies what waited for its time. Returns when to call again, if anything still waits.
    pub fn tick(&mut self, now_ms: u64) -> Result<Option<u64>, ReplicaError> {
        self.collect_heads();
        // Nobody else tells of a read that failed.
        self.stale |= self.store.is_cut_off();
        self.refresh()?;
        let due = self.next_due();
        if due.is_some_and(|due| due <= now_ms) {
            self.settle_all(now_ms)?;
        }
        self.fetch_withheld_again(now_ms)?;
        Ok(self.next_due())
    }

    /// When the first held-back entry may count.
    fn next_due(&self) -> Option<u64> {
        self.spaces
            .values()
            .flat_map(|space| space.writers.values())
            .filter_map(|writer| writer.due_ms)
            .min()
    }

    /// Looks at every log again: for entries whose keys, grants or time have come.
    pub(crate) fn settle_all(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        let behind = |space: &crate::space::SpaceState| {
            space
                .writers
                .values()
                .any(|w| w.applied < w.accepted() || w.record.read < w.accepted())
        };
        let ids: Vec<SpaceId> = self
            .spaces
            .values()
            .filter(|s| behind(s))
            .map(|s| s.id)
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.write(now_ms, |writing| {
            writing.unsettled.extend(ids);
            Ok(())
        })
    }
}

impl Writing<'_> {
    /// Stores one batch and takes up what it says.
    pub(crate) fn store_batch(&mut self, batch: Prepared) -> Result<Received, ReceiveError> {
        let id = batch.space;
        let mut work = match batch.work {
            Err(ReceiveError::Gap { writer, .. }) => {
                self.prepare_again(&id, &writer, &batch.bytes)?
            }
            work => work?,
        };
        let writer = work.writer;
        let space = self.spaces.get(&id).ok_or(ReceiveError::NoSuchSpace(id))?;
        let state = space.writers.get(&writer);
        if let Some(frozen) = state.filter(|state| state.is_frozen()) {
            return Ok(Received {
                space: id,
                writer,
                len: frozen.record.tip.len(),
            });
        }
        let held = state
            .map(|state| state.record.tip.clone())
            .unwrap_or_default();
        let is_stale = !Arc::ptr_eq(&work.ring, &space.ring);
        if is_stale || work.base != (held.len(), held.root()) {
            work = verify_and_open(
                &id,
                &space.ring,
                &held,
                &decode(&batch.bytes)?,
                &batch.bytes,
            )?;
        }
        if work.tip.len() == held.len() {
            return Ok(Received {
                space: id,
                writer,
                len: held.len(),
            });
        }
        let mut opened = match work.opened.take() {
            Some(opened) => opened,
            None => work.open(&id, &batch.bytes)?,
        };
        if !space.admits(&writer) {
            let strangers = space
                .writers
                .keys()
                .filter(|writer| !space.admits(writer))
                .count();
            let too_many = state.is_none() && strangers >= STRANGERS_MAX;
            let is_public = state.is_none() && space.roster.was_public();
            let dropped = state.map_or(0, |state| state.record.base);
            let claimant = (too_many || is_public)
                .then(|| claimant(space, &writer, &opened))
                .flatten();
            let by_member = claimant.is_some_and(|device| space.is_member(&device));
            // Whoever has the public link can send logs: only those of people who are or were members
            // are kept then, for these may have declared keys.
            let is_known = claimant.is_some_and(|device| space.roster.record_of(&device).is_some());
            if work.tip.len() - dropped > STRANGER_ENTRIES_MAX
                || (too_many && !by_member)
                || (is_public && !is_known)
            {
                return Err(ReceiveError::NotAdmitted { writer });
            }
        }
        self.retire_if_own(&id, &writer)?;
        self.ensure_writer(&id, &writer)?;
        let start = work.base.0;
        let entries = &batch.bytes[work.entries_at..];
        let scrubbed = self.scrub_arrived(&id, &writer, start, entries, &mut opened)?;
        let entries = scrubbed.as_deref().unwrap_or(entries);
        writer_mut(self.spaces, &id, &writer)?.record.tip = work.tip;
        self.store_entries(&id, &writer, start, entries, &work.nodes)?;
        self.take_up(&id, &writer, &opened)?;
        self.merge_if_much()?;
        self.freeze_if_complete(&id, &writer)?;
        let len = writer_mut(self.spaces, &id, &writer)?.record.tip.len();
        Ok(Received {
            space: id,
            writer,
            len,
        })
    }

    /// A log of this store's own that goes on elsewhere: this is a restored backup or a copied
    /// disk, and must not write that log any more.
    pub(crate) fn retire_if_own(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
    ) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        if space.own.as_ref().is_some_and(|own| own.id == *writer) {
            space.sign_own();
            space.own = None;
            space.record.own = None;
            space.record.retired.push(*writer);
            self.dirty_space(id);
            self.events.push(Event::WriterRetired {
                space: *id,
                writer: *writer,
            });
        }
        Ok(())
    }

    /// Prepares a batch that seemed to leave a gap: preparers know nothing of what this device wrote
    /// itself.
    fn prepare_again(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        bytes: &[u8],
    ) -> Result<Work, ReceiveError> {
        let space = self.spaces.get(id).ok_or(ReceiveError::NoSuchSpace(*id))?;
        let held = space.writers.get(writer).map(|state| &state.record.tip);
        let tip = held.cloned().unwrap_or_default();
        self.shared.set_tip(id, writer, &tip);
        let batch = decode(bytes)?;
        verify_and_open(id, &space.ring, &tip, &batch, bytes)
    }

    /// Takes up a run of opened entries: keys, then roster operations, then documents.
    pub(crate) fn take_up(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        opened: &Opened,
    ) -> Result<(), ReplicaError> {
        self.take_keys(id, writer, opened)?;
        self.take_roster(id, writer, opened)?;
        // Keys that were refused for coming before they were declared are taken now.
        if self.space(id)?.has_enough_undeclared_keys() {
            self.take_keys(id, writer, opened)?;
        }
        if self.space(id)?.admits(writer) {
            self.gather(id, writer, opened)?;
        }
        self.dirty_writer(id, writer);
        Ok(())
    }

    fn take_keys(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        opened: &Opened,
    ) -> Result<(), ReplicaError> {
        for (seq, bytes) in &opened.key_boxes {
            let Ok(boxes) = decode_boxes(bytes) else {
                continue;
            };
            let space = self
                .spaces
                .get_mut(id)
                .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
            let (mut fresh, kept) = (false, space.record.keys.len());
            for scoped in space.open_boxes(writer, *seq, &boxes, self.keys) {
                fresh |= space.add_key(
                    scoped.scope,
                    scoped.generation,
                    &scoped.key,
                    self.keys,
                    self.entropy,
                )?;
            }
            // A key that nobody declared so far may be what a beginning waits for. One that is here already is
            // not: a log that cannot be read on yet is looked at in every round.
            let may_begin = space.record.is_beginning && space.record.keys.len() > kept;
            self.dirty_space(id);
            if fresh {
                self.roster_changed(id);
            } else if may_begin {
                self.unsettled.insert(*id);
            }
        }
        Ok(())
    }

    fn take_roster(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        opened: &Opened,
    ) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        let Some(state) = space.writers.get_mut(writer) else {
            return Ok(());
        };
        let accepted = state.accepted();
        let (mut read, mut last) = (state.record.read, state.record.last_hlc);
        let (base, mut follows, mut unruly) = (state.record.base, false, false);
        let mut changes = Vec::new();
        let mut contested = false;
        for entry in &opened.entries {
            // What a thin log leaves out between two entries is passed over.
            if follows && entry.seq > read && entry.seq < base {
                read = entry.seq;
            }
            follows = false;
            if entry.seq != read || read >= accepted || entry.outcome == Outcome::Locked {
                continue;
            }
            read += 1;
            follows = true;
            unruly |= entry.outcome == Outcome::Open && entry.hlc <= last;
            if entry.outcome == Outcome::Open && entry.hlc > last {
                last = entry.hlc;
                let parcel = &opened.arena[entry.roster.clone()];
                changes.extend(space.add_roster(writer, entry.seq, entry.genesis, parcel));
                contested |=
                    space.contests(writer, entry.seq) || space.was_passed_over(writer, entry.seq);
            }
        }
        if let Some(state) = space.writers.get_mut(writer) {
            (state.record.read, state.record.last_hlc) = (read, last);
            state.record.unruly |= unruly;
        }
        for change in &changes {
            self.rights_changed(id, change);
        }
        if contested {
            // Whose words stand in the place of a parcel may be another's now.
            self.misjudged.insert(*id);
        }
        Ok(())
    }

    /// Roster operations were taken up: logs are looked at again, and documents are built again if
    /// something that is in them, or was passed over, counts differently now.
    pub(crate) fn rights_changed(&mut self, id: &SpaceId, change: &Change) {
        self.roster_changed(id);
        let Some(space) = self.spaces.get(id) else {
            return;
        };
        let passed = |(writer, shift): (&WriterId, &Shift)| {
            let state = space.writers.get(writer);
            state.is_some_and(|state| shift.from < state.applied)
        };
        // A thin log of somebody who was let in only now was cut by what was chosen before.
        let was_cut = |writer: &WriterId| {
            let state = space.writers.get(writer);
            space.part.is_some() && state.is_some_and(|it| !it.record.tip.is_empty())
        };
        let admitted = change.admitted.iter().any(was_cut);
        // An entry that is not taken yet may redact what another one did and documents follow.
        let restated = |(writer, shift): (&WriterId, &Shift)| space.restates(writer, shift.from);
        if admitted || change.shifts.iter().any(passed) || change.shifts.iter().any(restated) {
            self.misjudged.insert(*id);
        }
        let shifted: Vec<(WriterId, u64)> = change
            .shifts
            .iter()
            .filter(|shift| passed(*shift))
            .map(|(writer, shift)| (*writer, shift.from))
            .collect();
        self.taint_starts(id, &shifted);
    }

    /// Gathers the document operations of entries that count now.
    fn gather(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        opened: &Opened,
    ) -> Result<(), ReplicaError> {
        let now_ms = self.now_ms;
        let unknown = || ReplicaError::NoSuchSpace { name: id.short() };
        let space = self.spaces.get(id).ok_or_else(unknown)?;
        if space.record.is_beginning {
            return Ok(());
        }
        let is_own = space.is_own(writer);
        let is_checkpoint = space.is_checkpoint(writer);
        let (mut applied, accepted, mut applied_hlc) = match space.writers.get(writer) {
            Some(state) => (state.applied, state.accepted(), state.record.applied_hlc),
            None => return Err(unknown()),
        };
        let (mut skipped, mut due_ms, mut looked) = (0, None, false);
        let base = space.writers.get(writer).map_or(0, |it| it.record.base);
        let mut parts = Parts::of(space, writer);
        let mut redactions = Vec::new();
        for entry in &opened.entries {
            if looked && entry.seq > applied && entry.seq < base {
                applied = entry.seq;
            }
            if entry.seq != applied || applied >= accepted {
                continue;
            }
            looked = true;
            match entry.outcome {
                Outcome::Locked => break,
                Outcome::Open if self.clock.holds_back(entry.hlc, now_ms) && !is_own => {
                    due_ms = Some(
                        entry
                            .hlc
                            .ms()
                            .saturating_sub(stead_base::FUTURE_TOLERANCE_MS),
                    );
                    break;
                }
                Outcome::Open if entry.hlc > applied_hlc => {
                    let docs = opened.docs(entry);
                    if docs.iter().any(|part| part.outcome == Outcome::Locked) {
                        break;
                    }
                    let unheard = |part: &&DocPart| {
                        part.outcome == Outcome::Withheld
                            && (space.roster)
                                .redaction_of(writer, entry.seq, part.scope)
                                .is_none()
                    };
                    // What a thin log leaves out waits for nothing: it is in slices, or not followed.
                    let is_thin = space.part.is_some() && entry.seq < base;
                    if !is_thin && docs.iter().any(|part| unheard(&part)) {
                        // It was redacted, as whoever sent it says: the redaction is to come.
                        due_ms = Some(now_ms + WITHHELD_WAIT_MS);
                        break;
                    }
                    let stamp = Stamp {
                        hlc: entry.hlc,
                        writer: *writer,
                    };
                    if !docs.is_empty() && !is_checkpoint {
                        let changes = self.pending.changes.entry(*id).or_default();
                        let tx = &self.tx;
                        let find = |parcel: (&WriterId, u64, ScopeId)| {
                            whereabouts(tx, space, (writer, entry.seq), parcel)
                        };
                        skipped += parts.take(opened, entry, stamp, changes, &find)?;
                    }
                    if !space.redactions_at(writer, entry.seq).is_empty() {
                        let texts = opened.open_docs(entry);
                        let texts: Vec<(ScopeId, Vec<u8>)> =
                            texts.map(|(scope, text)| (scope, text.to_vec())).collect();
                        redactions.push((entry.seq, stamp, texts));
                    }
                    applied_hlc = entry.hlc;
                    if is_own {
                        // Out of the journal, when it comes here; the clock may have been ahead then.
                        self.clock.gave(entry.hlc);
                    } else {
                        self.clock.observe(entry.hlc, now_ms);
                    }
                }
                Outcome::Open | Outcome::Void | Outcome::Closed | Outcome::Withheld => {}
            }
            applied += 1;
        }
        let strays = parts.strays;
        let state = writer_mut(self.spaces, id, writer)?;
        if looked {
            state.due_ms = due_ms;
        }
        state.applied = applied;
        state.record.applied_hlc = applied_hlc;
        state.record.skipped += skipped;
        if state.applied > state.merged.applied {
            self.pending.logs.insert((*id, *writer));
        }
        self.note_strays(id, writer, strays);
        for (seq, stamp, texts) in redactions {
            self.scrub(id, (writer, seq), stamp, &texts)?;
        }
        Ok(())
    }

    /// Looks again at the logs of spaces whose members or keys changed, until nothing moves.
    pub(crate) fn settle(&mut self) -> Result<(), ReplicaError> {
        loop {
            if let Some(id) = self.misjudged.pop_first() {
                if self.spaces.contains_key(&id) {
                    self.rebuild(&id)?;
                }
                continue;
            }
            let Some(id) = self.unsettled.pop_first() else {
                return Ok(());
            };
            let Some(space) = self.spaces.get_mut(&id) else {
                continue;
            };
            // A key that came before it was declared opens others only now.
            if space.use_declared_keys() {
                self.dirty_space(&id);
            }
            self.take_wrapped_keys(&id)?;
            if self.space(&id)?.record.is_beginning {
                match self.finish_beginning(&id) {
                    Ok(_) => {}
                    Err(ReplicaError::Refused(why)) => {
                        tracing::info!(space = %id.short(), why, "a checkpoint is not used");
                        self.give_up_beginning(&id)?;
                    }
                    Err(error) => return Err(error),
                }
            }
            self.read_again_if_needed(&id)?;
            if let Some(view) = self.changed_view(&id)? {
                let space = self.space(&id)?;
                space.record.view = view;
                space.use_declared_keys();
                self.dirty_space(&id);
                self.misjudged.insert(id);
                continue;
            }
            let Some(space) = self.spaces.get(&id) else {
                continue;
            };
            let behind: Vec<WriterId> = space
                .writers
                .iter()
                .filter(|(writer, state)| {
                    let accepted = state.accepted();
                    state.record.read < accepted
                        || (state.applied < accepted && space.admits(writer))
                })
                .map(|(writer, _)| *writer)
                .collect();
            for writer in behind {
                self.skip_gaps(&id, &writer)?;
                self.catch_up(&id, &writer)?;
            }
        }
    }

    /// Opens what is stored of a log but not taken up.
    fn catch_up(&mut self, id: &SpaceId, writer: &WriterId) -> Result<(), ReplicaError> {
        loop {
            let space = self.space(id)?;
            let admitted = space.admits(writer);
            let Some(state) = space.writers.get(writer) else {
                return Ok(());
            };
            let (no, accepted) = (state.no, state.accepted());
            let applied = if admitted { state.applied } else { accepted };
            let from = state.record.read.min(applied);
            if from >= accepted {
                return Ok(());
            }
            let ring = Arc::clone(&space.ring);
            let segments = self.tx.segments(no, from, SETTLE_BYTES)?;
            for segment in segments {
                let opened = open_segment(&ring, id, writer, &segment, from)?;
                self.take_up(id, writer, &opened)?;
                self.skip_gaps(id, writer)?;
                self.merge_if_much()?;
            }
            let Some(state) = self.space(id)?.writers.get(writer) else {
                return Ok(());
            };
            let applied = if admitted { state.applied } else { accepted };
            if state.record.read.min(applied) == from {
                return Ok(());
            }
        }
    }
}

/// The device that a new log begins with the claim of. There is always room for that of a member.
fn claimant(space: &SpaceState, writer: &WriterId, opened: &Opened) -> Option<DeviceId> {
    let first = opened.entries.first().filter(|entry| entry.seq == 0);
    let said = first.and_then(|entry| decode_ops(&opened.arena[entry.roster.clone()]).ok());
    said?.iter().find_map(|op| match op {
        RosterOp::Claim { device, signature } => {
            let verified = verify_claim(device, &space.id, writer, signature);
            verified.is_ok().then_some(*device)
        }
        _ => None,
    })
}

/// The path of rights for a place in a document. None if it is longer than any path.
pub(crate) fn path_of<'a>(
    collection: &str,
    doc: &DocId,
    names: impl Iterator<Item = &'a str>,
) -> Option<Path> {
    let mut parts = vec![collection.to_owned(), doc.to_string()];
    parts.extend(names.map(str::to_owned));
    Path::of(parts.iter().map(String::as_str)).ok()
}
