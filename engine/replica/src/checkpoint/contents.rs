//! Reading a checkpoint's log back: the declaration, the logs, then the documents.

use stead_access::{Checkpoint, RosterOp, decode_ops};
use stead_base::{Hlc, SpaceId, WriterId};
use stead_checkpoint::{Assembler, BlockKind, CheckpointError, LogStart, decode_logs};
use stead_store::{Read, WriterNo};

use crate::ReplicaError;
use crate::keyring::KeyRing;
use crate::opening::{Outcome, open_segment};
use crate::writing::Writing;

/// Bytes of a checkpoint's log that are opened at a time.
const OPEN_BYTES: usize = 4 << 20;

/// What everyone may read of a checkpoint.
pub(crate) struct Contents {
    pub(crate) made: Checkpoint,
    /// The first roster parcel: whose it is and what it declares.
    pub(crate) declaration: Vec<u8>,
    pub(crate) logs: Vec<LogStart>,
    /// Time of its last entry.
    pub(crate) last: Hlc,
}

pub(crate) fn refused(error: CheckpointError) -> ReplicaError {
    let cause = std::error::Error::source(&error).map_or_else(String::new, |c| format!(": {c}"));
    ReplicaError::Refused(format!("{error}{cause}"))
}

fn not_whole() -> ReplicaError {
    ReplicaError::Refused("the checkpoint is not all here, or not one".to_owned())
}

impl Writing<'_> {
    /// Reads the declaration and the logs of a whole checkpoint.
    pub(crate) fn read_checkpoint(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        ring: &KeyRing,
    ) -> Result<Contents, ReplicaError> {
        let state = self.space(id)?.writers.get(log).ok_or_else(not_whole)?;
        let (no, len) = (state.no, state.accepted());
        if state.record.base > 0 {
            return Err(not_whole());
        }
        let mut made = None;
        let (mut assembler, mut logs) = (Assembler::default(), Vec::new());
        let last = self.walk(id, log, (no, len), ring, |parcel| {
            for op in decode_ops(parcel).map_err(|_| not_whole())? {
                match op {
                    RosterOp::Checkpoint(found) if made.is_none() => {
                        made = Some((found, parcel.to_vec()));
                    }
                    RosterOp::CheckpointPiece(piece) => {
                        let block = assembler.push(&piece).map_err(refused)?;
                        match block {
                            Some((BlockKind::Logs, body)) => {
                                logs.extend(decode_logs(&body).map_err(refused)?);
                            }
                            Some((BlockKind::Documents, _)) => return Err(not_whole()),
                            None => {}
                        }
                    }
                    _ => {}
                }
            }
            Ok(())
        })?;
        let (made, declaration) = made.ok_or_else(not_whole)?;
        if made.entries != len || assembler.is_open() {
            return Err(not_whole());
        }
        Ok(Contents {
            made,
            declaration,
            logs,
            last,
        })
    }

    /// Hands out the blocks of documents of a checkpoint, in order.
    pub(crate) fn each_block(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        ring: &KeyRing,
        mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), ReplicaError>,
    ) -> Result<(), ReplicaError> {
        let state = self.space(id)?.writers.get(log).ok_or_else(not_whole)?;
        let (no, len) = (state.no, state.accepted());
        let mut assembler = Assembler::default();
        let mut at = 0;
        while at < len {
            let mut blocks = Vec::new();
            for segment in self.tx.segments(no, at, OPEN_BYTES)? {
                let opened = open_segment(ring, id, log, &segment, at)?;
                for entry in &opened.entries {
                    at = entry.seq + 1;
                    let piece = &opened.arena[entry.root.clone()];
                    if entry.outcome == Outcome::Open && !piece.is_empty() {
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
        }
        match assembler.is_open() {
            true => Err(not_whole()),
            false => Ok(()),
        }
    }

    /// Opens every entry of a checkpoint's log and hands out the roster parcels. Returns the time of
    /// the last entry.
    fn walk(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        (no, len): (WriterNo, u64),
        ring: &KeyRing,
        mut each: impl FnMut(&[u8]) -> Result<(), ReplicaError>,
    ) -> Result<Hlc, ReplicaError> {
        let (mut at, mut last) = (0, Hlc::ZERO);
        while at < len {
            let from = at;
            for segment in self.tx.segments(no, at, OPEN_BYTES)? {
                let opened = open_segment(ring, id, log, &segment, at)?;
                for entry in &opened.entries {
                    if entry.outcome != Outcome::Open || entry.seq != at {
                        return Err(not_whole());
                    }
                    (at, last) = (entry.seq + 1, last.max(entry.hlc));
                    let roster = &opened.arena[entry.roster.clone()];
                    if !roster.is_empty() {
                        each(roster)?;
                    }
                }
            }
            if at == from {
                return Err(not_whole());
            }
        }
        Ok(last)
    }
}

impl crate::Replica {
    /// How much of each log a checkpoint covers, its own log included.
    pub(super) fn covered(
        &self,
        id: &SpaceId,
        log: &WriterId,
    ) -> Result<Vec<(WriterId, u64)>, ReplicaError> {
        let space = self.space(id)?;
        let state = space.writers.get(log).ok_or_else(not_whole)?;
        let mut covered = vec![(*log, state.record.tip.len())];
        let mut assembler = Assembler::default();
        let mut at = 0;
        // The logs come first: the documents need not be opened.
        'all: loop {
            let from = at;
            for segment in self.store.segments(state.no, at, OPEN_BYTES)? {
                let opened = open_segment(&space.ring, id, log, &segment, at)?;
                for entry in &opened.entries {
                    at = entry.seq + 1;
                    if !entry.root.is_empty() {
                        break 'all;
                    }
                    let parcel = &opened.arena[entry.roster.clone()];
                    for op in decode_ops(parcel).unwrap_or_default() {
                        let RosterOp::CheckpointPiece(piece) = op else {
                            continue;
                        };
                        let block = assembler.push(&piece).map_err(refused)?;
                        let Some((BlockKind::Logs, body)) = block else {
                            continue;
                        };
                        for start in decode_logs(&body).map_err(refused)? {
                            let skeleton = stead_log::Skeleton::decode(&start.skeleton);
                            let skeleton = skeleton.map_err(|_| not_whole())?;
                            covered.push((skeleton.writer, skeleton.len));
                        }
                    }
                }
            }
            if at == from {
                break;
            }
        }
        Ok(covered)
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
