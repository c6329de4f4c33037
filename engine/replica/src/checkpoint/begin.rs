//! Beginning from a checkpoint: a newcomer that has nothing, a replica that fell behind what others
//! still have of the past, and documents that must be built again where the past was dropped.
//!
//! ```text
//! documents = those of the checkpoint, and the operations of all entries beyond its frontier
//! ```
//!
//! Nothing of a checkpoint is believed before its author is known to be a manager, by a roster
//! whose entries were verified one by one. All of it happens in one unit of work, or nothing does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stead_access::{Lengths, decode_boxes};
use stead_base::{Hlc, SpaceId, WriterId};
use stead_checkpoint::{DocumentsReader, LogStart};
use stead_doc::Document;
use stead_log::{EntryRef, KeptEntry, ParcelRef, Skeleton, Tip};

use super::contents::{read_logs, refused};
use crate::keyring::KeyRing;
use crate::opening::{Outcome, open_envelope, open_one};
use crate::records::{RosterEntry, WriterRecord};
use crate::writing::{Writing, encode_head, writer_mut};
use crate::{Replica, ReplicaError};

/// Rounds of opening roster entries: each brings keys for the next.
const ROUNDS_MAX: usize = 1024;

impl Replica {
    /// Begins a space from a checkpoint that is all here: its documents, and the logs from where it
    /// ends. What this device wrote that the checkpoint does not know stays, and counts on top.
    /// Returns false if keys are missing: then the logs begin, and the documents follow once the
    /// logs have brought the keys.
    pub fn begin_from(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        now_ms: u64,
    ) -> Result<bool, ReplicaError> {
        let done = self.write(now_ms, |writing| writing.begin_from(id, log))?;
        if let Some(space) = self.spaces.get(id) {
            self.shared.publish(space);
        }
        Ok(done)
    }

    /// Begins again from a checkpoint that is whole and counts, because a peer no longer has entry
    /// `from` of a log, which is the next one here. Returns whether there was one that goes further.
    pub fn begin_again(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        from: u64,
        now_ms: u64,
    ) -> Result<bool, ReplicaError> {
        let space = self.space(id)?;
        let held = space
            .writers
            .get(writer)
            .map_or(0, |state| state.record.tip.len());
        if held > from || space.part.is_some() {
            return Ok(false);
        }
        // The newest need not be the one that goes further in this very log.
        for info in self.checkpoints(id)? {
            if info.is_beginning || !self.is_fit(id, &info)? {
                continue;
            }
            let covered = self.covered(id, &info.log)?;
            if covered.iter().any(|(it, len)| it == writer && *len > held) {
                self.begin_from(id, &info.log, now_ms)?;
                return Ok(true);
            }
        }
        let space = self.space(id)?;
        if !self.is_new_here(id) {
            return Ok(false);
        }
        // Nobody is known here yet: whichever log proves to be a checkpoint that counts.
        let logs: Vec<WriterId> = space
            .writers
            .iter()
            .filter(|(log, state)| !space.is_own(log) && !state.record.tip.is_empty())
            .map(|(log, _)| *log)
            .collect();
        for log in logs {
            match self.begin_from(id, &log, now_ms) {
                Ok(_) => return Ok(true),
                Err(ReplicaError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// A log's beginning, checked against its writer's signature.
struct Checked {
    start: LogStart,
    len: u64,
    tip: Tip,
}

fn unfit(why: &str) -> ReplicaError {
    ReplicaError::Refused(format!("this checkpoint cannot be used: {why}"))
}

impl Writing<'_> {
    fn begin_from(&mut self, id: &SpaceId, log: &WriterId) -> Result<bool, ReplicaError> {
        let checked = self.checked_logs(id, log)?;
        if checked.is_empty() {
            return Err(unfit("it says nothing of any log"));
        }
        let space = self.space(id)?;
        let falls_short = space.writers.iter().any(|(writer, state)| {
            let reaches = checked.get(writer).map_or(0, |it| it.len);
            state.record.base > reaches && !space.is_checkpoint(writer)
        });
        if falls_short {
            return Err(unfit("it ends before what is here begins"));
        }
        for (writer, it) in &checked {
            self.take_beginning(id, writer, it)?;
        }
        let covered = checked.iter().map(|(writer, it)| (*writer, it.len));
        self.set_beginning(id, log, covered.collect())?;
        self.space(id)?.record.is_beginning = true;
        let done = self.finish_beginning(id)?;
        // What the logs hold beyond the checkpoint is taken up when this unit of work settles.
        self.unsettled.insert(*id);
        self.roster_changed(id);
        Ok(done)
    }

    fn checked_logs(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
    ) -> Result<BTreeMap<WriterId, Checked>, ReplicaError> {
        let (no, _) = self.place_of(id, log)?;
        let mut checked = BTreeMap::new();
        for start in read_logs(&self.tx, no)? {
            let (writer, it) = check(id, start)?;
            checked.insert(writer, it);
        }
        Ok(checked)
    }

    /// Goes on with the checkpoint that a space begins with: rights, then whether its author had
    /// them, then documents. Returns false while keys are missing; the logs bring them.
    pub(crate) fn finish_beginning(&mut self, id: &SpaceId) -> Result<bool, ReplicaError> {
        let Some(log) = self.space(id)?.record.begins else {
            return Ok(true);
        };
        let checked = self.checked_logs(id, &log)?;
        if !self.take_rights(id, &checked)? {
            return Ok(false);
        }
        let ring = Arc::clone(&self.space(id)?.ring);
        let Some(declared) = self.read_declaration(id, &log, &ring)? else {
            return match ring.incomplete().is_empty() {
                true => Err(unfit("it is sealed under keys that nobody declared")),
                false => Ok(false),
            };
        };
        let space = self.space(id)?;
        if !space
            .record
            .roster
            .iter()
            .any(|said| said.writer == log && said.seq == 0)
        {
            space.record.roster.push(RosterEntry {
                writer: log,
                seq: 0,
                genesis: false,
                parcel: declared.parcel,
            });
            space.reload_roster();
        }
        if !space.roster.vouches_for(&log, &declared.made) {
            return Err(unfit("its author may not make one"));
        }
        let last = declared.last;
        if self.clock.holds_back(last, self.now_ms) {
            return Err(unfit(
                "it is dated ahead of this device's clock, and held back until then",
            ));
        }
        if declared.made.horizon > Hlc::ZERO {
            return Err(unfit(
                "it forgets deletions, which this version does not know to do",
            ));
        }
        for it in checked.values() {
            if !is_complete(&ring, id, &it.start.skeleton)? {
                return Err(unfit("it leaves out something about who is in the space"));
            }
        }
        self.is_still_true(id, &log, &checked)?;
        match self.space(id)?.reads_whole() {
            true => self.load_documents(id, &log, declared.made.documents, &checked)?,
            false => self.pass_over(id, &checked)?,
        }
        let space = self.space(id)?;
        space.record.is_beginning = false;
        if let Some(state) = space.writers.get_mut(&log) {
            state.record.read = declared.made.entries;
            state.record.last_hlc = last;
            state.record.applied_hlc = last;
            state.applied = declared.made.entries;
            state.all_merged();
        }
        self.dirty_writer(id, &log);
        self.dirty_space(id);
        self.clock.observe(last, self.now_ms);
        self.misjudged.remove(id);
        Ok(true)
    }

    /// The checkpoint that a space was to begin with proved unfit: its logs are fetched whole.
    pub(crate) fn give_up_beginning(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        space.record.begins = None;
        space.record.begun_with = Lengths::none();
        space.record.is_beginning = false;
        let begun: Vec<WriterId> = space
            .writers
            .iter()
            .filter(|(_, state)| state.record.base > 0)
            .map(|(writer, _)| *writer)
            .collect();
        for writer in begun {
            let state = writer_mut(self.spaces, id, &writer)?;
            state.record = WriterRecord::default();
            state.applied = 0;
            state.all_merged();
            self.tx.empty_log(state.no)?;
            self.shared.set_tip(id, &writer, &Tip::default());
            self.dirty_writer(id, &writer);
        }
        self.dirty_space(id);
        self.rebuild(id)
    }

    /// Puts documents back to where a space begins, to have everything later applied again.
    pub(crate) fn rebuild_from_beginning(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
    ) -> Result<(), ReplicaError> {
        if self.space(id)?.record.is_beginning {
            return Ok(());
        }
        let ring = Arc::clone(&self.space(id)?.ring);
        let declared = self.read_declaration(id, log, &ring)?;
        let declared = declared.ok_or_else(|| unfit("a key is missing"))?;
        let checked = self.checked_logs(id, log)?;
        self.load_documents(id, log, declared.made.documents, &checked)
    }

    /// Puts a skeleton in the place of a log that is not held as far as it goes.
    fn take_beginning(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        it: &Checked,
    ) -> Result<(), ReplicaError> {
        let held = self.space(id)?.writers.get(writer);
        if held.is_some_and(|state| state.record.tip.len() >= it.len) {
            return Ok(());
        }
        if held.is_some_and(|state| state.record.frozen.is_some()) {
            return Ok(());
        }
        self.retire_if_own(id, writer)?;
        self.ensure_writer(id, writer)?;
        let state = writer_mut(self.spaces, id, writer)?;
        let (no, before) = (state.no, state.record.tip.len());
        state.record.tip = it.tip.clone();
        state.record.base = it.len;
        state.record.packed = it.len;
        state.record.tail_bytes = 0;
        state.record.read = it.len;
        state.record.last_hlc = it.start.time;
        // The row that spans the end of what was held ends there too: nothing of it is left.
        debug_assert!(before < it.len);
        self.tx
            .drop_beginning(no, it.len, &it.start.skeleton, |_, bytes| bytes.len())?;
        if let Some(head) = it.tip.head().filter(|head| head.len == it.len) {
            self.tx.put_head(no, it.len, &encode_head(head))?;
        }
        self.dirty_writer(id, writer);
        Ok(())
    }

    /// Takes up keys and roster operations of the kept entries, until the roster knows them all.
    /// Returns false while keys are missing.
    fn take_rights(
        &mut self,
        id: &SpaceId,
        checked: &BTreeMap<WriterId, Checked>,
    ) -> Result<bool, ReplicaError> {
        let space = self.space(id)?;
        let known: BTreeSet<(WriterId, u64)> = space
            .record
            .roster
            .iter()
            .map(|said| (said.writer, said.seq))
            .collect();
        let mut waiting = Vec::new();
        for (writer, it) in checked {
            let skeleton = Skeleton::decode(&it.start.skeleton).map_err(|_| unfit("damaged"))?;
            for kept in skeleton.entries().map_err(|_| unfit("damaged"))? {
                self.take_boxes(id, writer, &kept)?;
                let is_said = kept.entry.parcels().any(|parcel| {
                    matches!(
                        parcel,
                        ParcelRef::Sealed {
                            scope: stead_base::ScopeId::ROSTER,
                            ..
                        }
                    )
                });
                let is_void = it.start.void.binary_search(&kept.seq).is_ok();
                if is_said && !is_void && !known.contains(&(*writer, kept.seq)) {
                    waiting.push((*writer, kept.seq, kept.entry.bytes().to_vec()));
                }
            }
        }
        for _ in 0..ROUNDS_MAX {
            let space = self.space(id)?;
            let ring = Arc::clone(&space.ring);
            let before = waiting.len();
            waiting.retain(|(writer, seq, bytes)| {
                let Some((entry, genesis, parcel)) = open_one(&ring, id, writer, *seq, bytes)
                else {
                    return true;
                };
                if entry != Outcome::Open {
                    return true;
                }
                space.record.roster.push(RosterEntry {
                    writer: *writer,
                    seq: *seq,
                    genesis,
                    parcel,
                });
                false
            });
            space.reload_roster();
            let grew = space.use_declared_keys();
            self.take_wrapped_keys(id)?;
            let grew = grew || !Arc::ptr_eq(&ring, &self.space(id)?.ring);
            self.dirty_space(id);
            if waiting.is_empty() {
                return Ok(true);
            }
            if waiting.len() == before && !grew {
                break;
            }
        }
        Ok(false)
    }

    fn take_boxes(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        kept: &KeptEntry<'_>,
    ) -> Result<(), ReplicaError> {
        for parcel in kept.entry.parcels() {
            let ParcelRef::KeyBox(bytes) = parcel else {
                continue;
            };
            let Ok(boxes) = decode_boxes(bytes) else {
                continue;
            };
            let space = self
                .spaces
                .get_mut(id)
                .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
            for scoped in space.open_boxes(writer, kept.seq, &boxes, self.keys) {
                let (scope, generation) = (scoped.scope, scoped.generation);
                space.add_key(scope, generation, &scoped.key, self.keys, self.entropy)?;
            }
        }
        Ok(())
    }

    /// Refuses a checkpoint whose entries count differently by what its author did not know.
    fn is_still_true(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        checked: &BTreeMap<WriterId, Checked>,
    ) -> Result<(), ReplicaError> {
        let covered: BTreeMap<WriterId, u64> = checked
            .iter()
            .map(|(writer, it)| (*writer, it.len))
            .collect();
        match super::counts_differently(self.space(id)?, log, &covered) {
            true => Err(unfit(
                "somebody was removed since, and what it holds of them does not count any more",
            )),
            false => Ok(()),
        }
    }

    /// Has logs that are behind a checkpoint taken up from where it ends, for a device that reads parts of
    /// the space alone. Its documents stay as they are until a start that goes on from there is here.
    fn pass_over(
        &mut self,
        id: &SpaceId,
        checked: &BTreeMap<WriterId, Checked>,
    ) -> Result<(), ReplicaError> {
        self.merge_all()?;
        for (writer, it) in checked {
            let state = writer_mut(self.spaces, id, writer)?;
            if state.applied < it.len.min(state.accepted()) {
                state.applied = it.len.min(state.accepted());
                state.record.applied_hlc = it.start.time;
                state.due_ms = None;
                state.all_merged();
            }
            self.clock.observe(it.start.time, self.now_ms);
            self.dirty_writer(id, writer);
        }
        self.unsettled.insert(*id);
        Ok(())
    }

    /// Replaces the documents of a space by those of a checkpoint, or by the starts of those parts that are
    /// read, and has every log taken up from where it ends.
    fn load_documents(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        expected: u64,
        checked: &BTreeMap<WriterId, Checked>,
    ) -> Result<(), ReplicaError> {
        let no = self.space(id)?.no;
        self.close_rich(no)?;
        self.tx.clear_docs(no)?;
        self.pending.changes.remove(id);
        self.pending.rebuilt.insert(*id);
        if self.space(id)?.reads_whole() {
            let ring = Arc::clone(&self.space(id)?.ring);
            let mut count = 0;
            self.load_blocks(id, log, &ring, &mut count)?;
            if count != expected {
                return Err(unfit("documents are missing from it"));
            }
        } else {
            self.begin_documents(id)?;
        }
        let writers: Vec<WriterId> = self.space(id)?.writers.keys().copied().collect();
        for writer in writers {
            let is_checkpoint = self.space(id)?.is_checkpoint(&writer);
            let state = writer_mut(self.spaces, id, &writer)?;
            let (applied, time) = match checked.get(&writer) {
                Some(it) => (it.len.min(state.accepted()), it.start.time),
                None if is_checkpoint => continue,
                None => (0, Hlc::ZERO),
            };
            state.applied = applied;
            state.record.applied_hlc = time;
            state.record.skipped = 0;
            state.due_ms = None;
            state.all_merged();
            self.clock.observe(time, self.now_ms);
            self.dirty_writer(id, &writer);
        }
        self.unsettled.insert(*id);
        self.touch_everything(id);
        Ok(())
    }

    fn load_blocks(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        ring: &KeyRing,
        count: &mut u64,
    ) -> Result<(), ReplicaError> {
        let (mut document, mut buffers) = (Document::default(), (Vec::new(), Vec::new()));
        self.each_block(id, log, ring, |writing, block| {
            let mut reader = DocumentsReader::new(block).map_err(refused)?;
            loop {
                let place = reader
                    .next_into(&mut document, writing.numbers)
                    .map_err(refused)?;
                let Some(place) = place else {
                    return Ok(());
                };
                let collection = writing.collection_no(id, place.collection)?;
                writing.take_carried(collection, &place.id, &document, &place.rich)?;
                writing.put_document(id, collection, &place.id, &document, &mut buffers)?;
                *count += 1;
            }
        })
    }
}

/// Checks one log of a checkpoint: signed by its writer, and nothing about rights left out.
fn check(id: &SpaceId, start: LogStart) -> Result<(WriterId, Checked), ReplicaError> {
    let (writer, len, tip) = {
        let skeleton =
            Skeleton::decode(&start.skeleton).map_err(|error| unfit(&error.to_string()))?;
        let verified = skeleton
            .verify(id)
            .map_err(|error| unfit(&error.to_string()))?;
        (skeleton.writer, skeleton.len, verified.tip)
    };
    Ok((writer, Checked { start, len, tip }))
}

/// Whether a skeleton keeps as many roster entries as its log's writer says there are.
pub(super) fn is_complete(
    ring: &KeyRing,
    id: &SpaceId,
    skeleton: &[u8],
) -> Result<bool, ReplicaError> {
    let damaged = |_| unfit("damaged");
    let skeleton = Skeleton::decode(skeleton).map_err(|_| unfit("damaged"))?;
    let kept = skeleton.entries().map_err(damaged)?;
    if kept.len() as u64 == skeleton.len {
        return Ok(true);
    }
    let says = |entry: &EntryRef<'_>| entry.parcels().any(super::make::is_roster);
    let said = kept.iter().filter(|it| says(&it.entry)).count() as u64;
    let Some(last) = kept.last() else {
        return Ok(false);
    };
    let envelope = open_envelope(ring, id, &skeleton.writer, last.seq, &last.entry);
    Ok(envelope.and_then(|envelope| envelope.rosters) == Some(said))
}
