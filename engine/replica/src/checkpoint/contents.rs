//! Reading a checkpoint's log back: the logs, the declaration, the documents.

use stead_access::{Checkpoint, Lengths, RosterOp, decode_ops};
use stead_base::{Hlc, SpaceId, WriterId};
use stead_checkpoint::{Assembler, BlockKind, CheckpointError, LogStart, decode_logs};
use stead_log::{BatchEntries, EntryRef, ParcelRef, Skeleton};
use stead_store::{Read, WriterNo};

use crate::keyring::KeyRing;
use crate::opening::{Outcome, open_segment};
use crate::writing::Writing;
use crate::{Replica, ReplicaError};

/// Bytes of a checkpoint's log that are opened at a time.
const OPEN_BYTES: usize = 4 << 20;

/// What a checkpoint says of itself.
pub(super) struct Declared {
    pub(super) made: Checkpoint,
    /// The roster parcel of its first entry.
    pub(super) parcel: Vec<u8>,
    /// Time of its last entry.
    pub(super) last: Hlc,
}

pub(super) fn refused(error: CheckpointError) -> ReplicaError {
    let cause = std::error::Error::source(&error).map_or_else(String::new, |c| format!(": {c}"));
    ReplicaError::Refused(format!("{error}{cause}"))
}

fn not_whole() -> ReplicaError {
    ReplicaError::Refused("the checkpoint is not all here, or not one".to_owned())
}

/// Reads the logs of a checkpoint. They need no key: they hold sealed entries and hashes.
pub(super) fn read_logs<R: Read>(store: &R, no: WriterNo) -> Result<Vec<LogStart>, ReplicaError> {
    let (mut assembler, mut logs) = (Assembler::default(), Vec::new());
    let mut at = 0;
    loop {
        let from = at;
        for segment in store.segments(no, at, OPEN_BYTES)? {
            let mut entries = BatchEntries::new(&segment.bytes);
            let mut seq = segment.start;
            while let Some(bytes) = entries.next_bytes().map_err(|_| not_whole())? {
                let entry = EntryRef::parse(bytes).map_err(|_| not_whole())?;
                seq += 1;
                if seq <= at {
                    continue;
                }
                at = seq;
                let mut is_of_logs = false;
                for parcel in entry.parcels() {
                    let ParcelRef::KeyBox(piece) = parcel else {
                        continue;
                    };
                    is_of_logs = true;
                    match assembler.push(piece).map_err(refused)? {
                        Some((BlockKind::Logs, body)) => {
                            logs.extend(decode_logs(&body).map_err(refused)?);
                        }
                        Some((BlockKind::Documents, _)) => return Err(not_whole()),
                        None => {}
                    }
                }
                // The first entry declares; after the logs come the documents.
                if !is_of_logs && seq > 1 {
                    return match assembler.is_open() {
                        true => Err(not_whole()),
                        false => Ok(logs),
                    };
                }
            }
        }
        if at == from {
            return match assembler.is_open() {
                true => Err(not_whole()),
                false => Ok(logs),
            };
        }
    }
}

impl Writing<'_> {
    /// Where a checkpoint's log is stored, and how long it is.
    pub(super) fn place_of(
        &self,
        id: &SpaceId,
        log: &WriterId,
    ) -> Result<(WriterNo, u64), ReplicaError> {
        let space = self.spaces.get(id);
        let state = space.and_then(|space| space.writers.get(log));
        match state.filter(|state| state.record.base == 0) {
            Some(state) => Ok((state.no, state.accepted())),
            None => Err(not_whole()),
        }
    }

    /// Opens every entry of a whole checkpoint and reads its declaration. None while a key is
    /// missing.
    pub(super) fn read_declaration(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        ring: &KeyRing,
    ) -> Result<Option<Declared>, ReplicaError> {
        let (no, len) = self.place_of(id, log)?;
        let (mut at, mut last, mut first) = (0, Hlc::ZERO, None);
        while at < len {
            let from = at;
            for segment in self.tx.segments(no, at, OPEN_BYTES)? {
                let opened = open_segment(ring, id, log, &segment, at)?;
                for entry in &opened.entries {
                    let mut docs = opened.docs(entry).iter();
                    if docs.any(|part| part.outcome == Outcome::Locked) {
                        return Ok(None);
                    }
                    match entry.outcome {
                        Outcome::Open if entry.seq == at => {}
                        Outcome::Locked => return Ok(None),
                        _ => return Err(not_whole()),
                    }
                    (at, last) = (entry.seq + 1, last.max(entry.hlc));
                    if entry.seq == 0 {
                        first = Some(opened.arena[entry.roster.clone()].to_vec());
                    }
                }
            }
            if at == from {
                return Err(not_whole());
            }
        }
        let parcel = first.ok_or_else(not_whole)?;
        let ops = decode_ops(&parcel).map_err(|_| not_whole())?;
        let made = ops.into_iter().find_map(|op| match op {
            RosterOp::Checkpoint(made) => Some(made),
            _ => None,
        });
        match made.filter(|made| made.entries == len) {
            Some(made) => Ok(Some(Declared { made, parcel, last })),
            None => Err(not_whole()),
        }
    }

    /// Hands out the blocks of documents of a checkpoint, in order.
    pub(super) fn each_block(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        ring: &KeyRing,
        mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), ReplicaError>,
    ) -> Result<(), ReplicaError> {
        let (no, len) = self.place_of(id, log)?;
        let mut assembler = Assembler::default();
        let mut at = 0;
        while at < len {
            let (from, mut blocks) = (at, Vec::new());
            for segment in self.tx.segments(no, at, OPEN_BYTES)? {
                let opened = open_segment(ring, id, log, &segment, at)?;
                for entry in &opened.entries {
                    at = entry.seq + 1;
                    for (_, piece) in opened.open_docs(entry) {
                        match assembler.push(piece).map_err(refused)? {
                            Some((BlockKind::Documents, body)) => blocks.push(body),
                            Some((BlockKind::Logs, _)) => return Err(not_whole()),
                            None => {}
                        }
                    }
                }
            }
            for body in blocks {
                each(self, &body)?;
            }
            if at == from {
                return Err(not_whole());
            }
        }
        match assembler.is_open() {
            true => Err(not_whole()),
            false => Ok(()),
        }
    }
}

impl Replica {
    /// How much of each log a checkpoint covers, its own log included.
    pub(super) fn covered(
        &self,
        id: &SpaceId,
        log: &WriterId,
    ) -> Result<Vec<(WriterId, u64)>, ReplicaError> {
        let space = self.space(id)?;
        let state = space.writers.get(log).ok_or_else(not_whole)?;
        let mut covered = vec![(*log, state.record.tip.len())];
        for start in read_logs(&self.store, state.no)? {
            let skeleton = Skeleton::decode(&start.skeleton).map_err(|_| not_whole())?;
            covered.push((skeleton.writer, skeleton.len));
        }
        Ok(covered)
    }

    /// How much of each log a checkpoint covers, its own log left out.
    pub(crate) fn covered_history(
        &self,
        id: &SpaceId,
        log: &WriterId,
    ) -> Result<Lengths, ReplicaError> {
        let covered = self.covered(id, log)?.into_iter();
        Ok(covered.filter(|(writer, _)| writer != log).collect())
    }

    /// Whether a checkpoint ends where history begins here, or later.
    pub(super) fn reaches(&self, id: &SpaceId, log: &WriterId) -> Result<bool, ReplicaError> {
        let space = self.space(id)?;
        let mut dropped = space
            .writers
            .iter()
            .filter(|(writer, state)| state.record.base > 0 && !space.is_checkpoint(writer))
            .peekable();
        if dropped.peek().is_none() {
            return Ok(true);
        }
        let covered = self.covered(id, log)?;
        Ok(dropped.all(|(writer, state)| {
            covered
                .iter()
                .any(|(it, len)| it == writer && *len >= state.record.base)
        }))
    }
}
