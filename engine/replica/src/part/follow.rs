//! Thin logs: taking in batches that leave most of a log out.

use std::sync::Arc;

use stead_access::Path;
use stead_base::{DeviceId, ScopeId, SpaceId, WriterId};
use stead_log::{BatchError, EntryRef, KeptEntry, ParcelRef, ThinBatch};
use stead_store::Read;

use super::trusts;
use crate::opening::{Opened, Outcome, open_envelope, open_places};
use crate::writing::{Writing, writer_mut};
use crate::{ReceiveError, Received, Replica, ReplicaError};

/// Writers kept that are not (yet) members.
const STRANGERS_MAX: usize = 256;

impl Replica {
    /// Verifies, stores and takes up one thin batch that a peer cut by an edition of the choice. One that
    /// was cut by an earlier edition leaves a gap: it is to be asked for again.
    pub fn receive_thin(
        &mut self,
        space: &SpaceId,
        bytes: &[u8],
        revision: u64,
        from: &DeviceId,
        now_ms: u64,
    ) -> Result<Received, ReceiveError> {
        self.write(now_ms, |writing| {
            writing.store_thin(space, bytes, revision, from)
        })
    }
}

impl Writing<'_> {
    fn store_thin(
        &mut self,
        id: &SpaceId,
        bytes: &[u8],
        revision: u64,
        from: &DeviceId,
    ) -> Result<Received, ReceiveError> {
        let batch = ThinBatch::decode(bytes).map_err(|error| ReceiveError::Misbehaved {
            writer: None,
            detail: error.to_string(),
        })?;
        let writer = batch.writer;
        let space = self.spaces.get(id).ok_or(ReceiveError::NoSuchSpace(*id))?;
        let part = space.part.as_ref().ok_or(ReceiveError::NoSuchSpace(*id))?;
        let state = space.writers.get(&writer);
        let held = state
            .map(|state| state.record.tip.clone())
            .unwrap_or_default();
        let received = |len| Received {
            space: *id,
            writer,
            len,
        };
        if state.is_some_and(crate::space::WriterState::is_frozen) {
            return Ok(received(held.len()));
        }
        if revision != part.revision {
            let held = held.len();
            return Err(ReceiveError::Gap { writer, held });
        }
        if part.has_filled() && !trusts(self.spaces, id, from, &Path::whole_space()) {
            return Err(ReceiveError::NotTrusted { writer });
        }
        let misbehaved = |detail: String| ReceiveError::Misbehaved {
            writer: Some(writer),
            detail,
        };
        let verified = held.verify_thin(id, &batch).map_err(|error| match error {
            BatchError::Contradiction { .. } => ReceiveError::Contradiction { writer },
            BatchError::Gap { held, .. } => ReceiveError::Gap { writer, held },
            other => misbehaved(other.to_string()),
        })?;
        if state.is_none() && !space.admits(&writer) {
            let strangers = space.writers.keys().filter(|it| !space.admits(it));
            if strangers.count() >= STRANGERS_MAX {
                return Err(ReceiveError::NotAdmitted { writer });
            }
        }
        self.retire_if_own(id, &writer)?;
        self.ensure_writer(id, &writer)?;
        let before = writer_mut(self.spaces, id, &writer)?;
        if before.record.base == 0 && !before.record.tip.is_empty() {
            let (no, len) = (before.no, before.record.tip.len());
            let rosters = self.rosters_held(no, len)?;
            writer_mut(self.spaces, id, &writer)?.record.rosters = rosters;
        }
        let ring = Arc::clone(&self.space(id)?.ring);
        let first = verified.kept.first().filter(|it| it.seq == 0);
        let opened = open_places(
            &ring,
            id,
            &writer,
            first.map(|it| it.entry.leaf_hash()),
            verified.kept.iter().map(|it| (it.seq, it.entry.bytes())),
        );
        let said = verified
            .kept
            .iter()
            .filter(|it| has_roster(&it.entry))
            .count() as u64;
        let state = writer_mut(self.spaces, id, &writer)?;
        let rosters = state.record.rosters + said;
        let mut is_unchecked = false;
        if verified.has_gaps
            && let Some(last) = verified.kept.last()
        {
            let envelope = open_envelope(&ring, id, &writer, last.seq, &last.entry);
            match envelope.map(|envelope| envelope.rosters) {
                Some(counted) if counted == Some(rosters) => {}
                Some(_) => {
                    let detail = "entries about rights are left out of a thin batch".to_owned();
                    return Err(misbehaved(detail));
                }
                None => is_unchecked = true,
            }
        }
        let (no, len) = (state.no, verified.tip.len());
        let is_void = |it: &KeptEntry<'_>| outcome_of(&opened, it.seq) == Outcome::Void;
        if is_unchecked && verified.kept.last().is_some_and(is_void) {
            let detail = "a thin batch ends with an entry that tells nothing".to_owned();
            return Err(misbehaved(detail));
        }
        state.record.rosters = rosters;
        state.record.tip = verified.tip;
        state.record.base = len;
        state.record.packed = len;
        state.record.tail_bytes = 0;
        let stored: Vec<KeptEntry<'_>> = verified
            .kept
            .iter()
            .filter(|it| it.seq + 1 < len || is_unchecked || says_anything(&it.entry))
            .copied()
            .collect();
        self.store_kept(no, &stored)?;
        self.tx.keep_thin(no, len).map_err(ReplicaError::from)?;
        self.skip_gaps(id, &writer)?;
        self.take_up(id, &writer, &opened)?;
        self.skip_gaps(id, &writer)?;
        self.merge_if_much()?;
        self.dirty_writer(id, &writer);
        Ok(received(len))
    }

    /// Stores kept entries: those that follow each other in one row.
    pub(super) fn store_kept(
        &mut self,
        no: stead_store::WriterNo,
        kept: &[KeptEntry<'_>],
    ) -> Result<(), ReplicaError> {
        let mut rest = kept;
        while let Some(first) = rest.first() {
            let run = (first.seq..)
                .zip(rest)
                .take_while(|(seq, it)| *seq == it.seq)
                .count();
            let mut bytes = Vec::new();
            for it in &rest[..run] {
                let entry = it.entry.bytes();
                stead_base::codec::put_uint(&mut bytes, entry.len() as u64);
                bytes.extend_from_slice(entry);
            }
            self.tx.append_segment(no, first.seq, run as u32, &bytes)?;
            rest = &rest[run..];
        }
        Ok(())
    }

    /// Entries with a `@roster` parcel among the first of a log, all of which are held.
    pub(super) fn rosters_held(
        &mut self,
        no: stead_store::WriterNo,
        len: u64,
    ) -> Result<u64, ReplicaError> {
        let mut found = 0;
        self.tx.each_segment(no, 0, &mut |start, _, bytes| {
            let mut entries = stead_log::BatchEntries::new(bytes);
            let mut seq = start;
            while let Ok(Some(entry)) = entries.next_entry() {
                found += u64::from(seq < len && has_roster(&entry));
                seq += 1;
            }
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Passes over what is left out of a thin log, up to the next entry that is held.
    pub(crate) fn skip_gaps(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
    ) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        if space.part.is_none() {
            return Ok(());
        }
        let Some(state) = space.writers.get(writer) else {
            return Ok(());
        };
        let (no, base, accepted) = (state.no, state.record.base, state.accepted());
        let (read, applied) = (state.record.read, state.applied);
        let next = |at: u64| -> Result<u64, ReplicaError> {
            if at >= base {
                return Ok(at);
            }
            let row = self.tx.segments(no, at, 0)?.into_iter().next();
            let next = row.map_or(base, |row| row.start.max(at));
            Ok(next.min(accepted).max(at))
        };
        let (read, applied) = (next(read)?, next(applied)?);
        let space = self.space(id)?;
        let admits = space.admits(writer);
        if let Some(state) = space.writers.get_mut(writer) {
            state.record.read = read;
            if admits && applied > state.applied {
                let all_merged = state.merged.applied == state.applied;
                state.applied = applied;
                if all_merged {
                    state.all_merged();
                }
            }
        }
        self.dirty_writer(id, writer);
        Ok(())
    }
}

fn outcome_of(opened: &Opened, seq: u64) -> Outcome {
    let entry = opened.entries.iter().find(|entry| entry.seq == seq);
    entry.map_or(Outcome::Void, |entry| entry.outcome)
}

/// Whether an entry has a `@roster` parcel.
pub(super) fn has_roster(entry: &EntryRef<'_>) -> bool {
    entry.parcels().any(|parcel| match parcel {
        ParcelRef::Sealed { scope, .. } | ParcelRef::Withheld { scope, .. } => {
            scope == ScopeId::ROSTER
        }
        ParcelRef::KeyBox(_) => false,
    })
}

/// Whether an entry comes with anything but hashes of what it says.
fn says_anything(entry: &EntryRef<'_>) -> bool {
    let mut parcels = entry.parcels();
    parcels.any(|parcel| !matches!(parcel, ParcelRef::Withheld { .. }))
}
