//! Dropping history below a checkpoint.

use stead_access::Lengths;
use stead_base::{Hlc, SpaceId, WriterId};
use stead_log::{BatchEntries, Skeleton, range_root};

use super::contents::read_logs;
use crate::logs::StoredTree;
use crate::writing::{Writing, writer_mut};
use crate::{Replica, ReplicaError};

/// What to drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// Only history below a checkpoint that was made before this Unix time in ms.
    pub made_before_ms: u64,
    /// Also what some device that may write is not known to have.
    pub even_if_unseen: bool,
}

/// What was dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Log entries that are no longer here.
    pub entries: u64,
    /// Older checkpoints that are no longer here.
    pub checkpoints: u64,
}

/// Why nothing can be dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Obstacle {
    NoCheckpoint,
    Unseen(String),
    NoStart(String),
}

/// A log, how much of it a checkpoint covers, and its skeleton.
type Start = (WriterId, u64, Vec<u8>);

impl Obstacle {
    fn into_error(self) -> ReplicaError {
        ReplicaError::Refused(match self {
            Self::NoCheckpoint => {
                "no checkpoint of this space is old enough and all here: make one with `stead space checkpoint`".to_owned()
            }
            Self::NoStart(path) => format!(
                "whoever is let into {path} alone could not begin without the history yet: a device that manages \
                 {path} says its present again once they meet; then try again"
            ),
            Self::Unseen(devices) => format!(
                "{devices} may not have seen everything yet: let them meet and write something, remove a device that is lost, or drop the history with --force"
            ),
        })
    }
}

impl Replica {
    /// Drops the history of a space below its newest checkpoint that fits. Documents stay as they
    /// are; what others still need of the past they get from the checkpoint.
    pub fn compact(
        &mut self,
        id: &SpaceId,
        compaction: Compaction,
        now_ms: u64,
    ) -> Result<Compacted, ReplicaError> {
        self.merge_pending(now_ms)?;
        self.refresh()?;
        self.finish_signing();
        if self.space(id)?.part.is_some() {
            return Err(ReplicaError::Refused(
                "this device keeps only a part of the space, and no history that could be dropped"
                    .to_owned(),
            ));
        }
        let checkpoints = self.checkpoints(id)?;
        let mut fit = None;
        for info in checkpoints {
            if info.made.ms() < compaction.made_before_ms && self.is_fit(id, &info)? {
                fit = Some(info);
                break;
            }
        }
        let info = fit.ok_or_else(|| Obstacle::NoCheckpoint.into_error())?;
        if self.space(id)?.record.is_beginning {
            return Err(Obstacle::NoCheckpoint.into_error());
        }
        if self.is_spent(id, &info.log)? {
            return Ok(Compacted::default());
        }
        let covered = self.covered_history(id, &info.log)?;
        if let Some(scope) = self.space(id)?.starts_short_of(&covered) {
            let path = self.scope_path(id, scope)?;
            return Err(Obstacle::NoStart(path.to_string()).into_error());
        }
        let unseen = match compaction.even_if_unseen {
            true => None,
            false => self.unseen(id, &info.log)?,
        };
        if let Some(devices) = unseen {
            return Err(Obstacle::Unseen(devices).into_error());
        }
        let done = self.write(now_ms, |writing| writing.drop_history(id, &info.log))?;
        if let Some(space) = self.spaces.get(id) {
            self.shared.publish(space);
        }
        Ok(done)
    }

    /// Whether history begins with a checkpoint and nothing below it is left to drop.
    pub(super) fn is_spent(&self, id: &SpaceId, log: &WriterId) -> Result<bool, ReplicaError> {
        let space = self.space(id)?;
        if space.record.begins != Some(*log) {
            return Ok(false);
        }
        let covered = self.covered(id, log)?;
        let mut below = covered.iter().filter(|(it, _)| it != log);
        Ok(below.all(|(it, len)| self.dropped(id, it) >= *len))
    }

    /// The devices that may write and are not known to have all that a checkpoint covers, and the
    /// checkpoint itself; None if there are none.
    fn unseen(&self, id: &SpaceId, log: &WriterId) -> Result<Option<String>, ReplicaError> {
        let covers = self.covered(id, log)?;
        let seen = self.seen_by_writers(id)?;
        let lacking = seen.iter().filter(|(_, seen)| {
            covers
                .iter()
                .any(|(log, len)| seen.get(log).copied().unwrap_or(0) < *len)
        });
        let names: Vec<String> = lacking
            .map(|(device, _)| self.name_in(id, device).unwrap_or_else(|| device.short()))
            .collect();
        Ok((!names.is_empty()).then(|| names.join(", ")))
    }
}

impl Writing<'_> {
    pub(super) fn drop_history(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
    ) -> Result<Compacted, ReplicaError> {
        let mut done = Compacted::default();
        let (made, starts) = self.held_starts(id, log)?;
        for (writer, len, skeleton) in &starts {
            let state = writer_mut(self.spaces, id, writer)?;
            let (no, from, len) = (state.no, state.record.base, *len);
            if from >= len {
                continue;
            }
            self.tx.drop_beginning(no, len, skeleton, |row, bytes| {
                let mut entries = BatchEntries::new(bytes);
                (row..len)
                    .try_for_each(|_| entries.skip_one())
                    .map_or(bytes.len(), |()| entries.offset())
            })?;
            let state = writer_mut(self.spaces, id, writer)?;
            state.record.base = len;
            state.record.packed = state.record.packed.max(len);
            done.entries += len - from;
            self.dirty_writer(id, writer);
        }
        self.set_beginning(id, log, starts.iter().map(covered).collect())?;
        done.checkpoints = self.drop_other_checkpoints(id, log, made)?;
        // What is dropped leaves the files, too: it may have been dropped for what it says.
        self.erases |= done != Compacted::default();
        Ok(done)
    }

    /// Has documents begin with a later checkpoint than they do. No entry is dropped: it may be that
    /// nobody else has it yet.
    pub(super) fn begin_later(&mut self, id: &SpaceId, log: &WriterId) -> Result<(), ReplicaError> {
        let (_, starts) = self.held_starts(id, log)?;
        self.set_beginning(id, log, starts.iter().map(covered).collect())
    }

    /// Says with which checkpoint history begins, and how much of each log that covers.
    pub(super) fn set_beginning(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        covered: Lengths,
    ) -> Result<(), ReplicaError> {
        let record = &mut self.space(id)?.record;
        record.begins = Some(*log);
        record.begun_with = covered;
        self.dirty_space(id);
        Ok(())
    }

    /// When a checkpoint was made, and the beginnings of logs that it holds, if documents here contain
    /// all that it covers.
    fn held_starts(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
    ) -> Result<(Hlc, Vec<Start>), ReplicaError> {
        let ring = std::sync::Arc::clone(&self.space(id)?.ring);
        let declared = self.read_declaration(id, log, &ring)?;
        let made = declared.ok_or_else(not_here)?.last;
        let (place, _) = self.place_of(id, log)?;
        let mut starts = Vec::new();
        for start in read_logs(&self.tx, place)? {
            let skeleton = Skeleton::decode(&start.skeleton)
                .map_err(|error| ReplicaError::Refused(error.to_string()))?;
            let (writer, len) = (skeleton.writer, skeleton.len);
            let space = self.spaces.get(id);
            let state = space.and_then(|space| space.writers.get(&writer));
            let state = state.ok_or_else(not_here)?;
            if state.record.base < len {
                if state.merged.applied < len || state.record.read < len {
                    return Err(not_here());
                }
                let verified = skeleton
                    .verify(id)
                    .map_err(|error| ReplicaError::Refused(error.to_string()))?;
                let root = range_root(&mut StoredTree::new(&self.tx, state)?, 0, len)?;
                if root != verified.tip.root() {
                    return Err(not_here());
                }
            }
            starts.push((writer, len, start.skeleton));
        }
        Ok((made, starts))
    }

    /// Empties the logs of checkpoints older than the one that a space begins with.
    fn drop_other_checkpoints(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        made: stead_base::Hlc,
    ) -> Result<u64, ReplicaError> {
        let space = self.space(id)?;
        let old: Vec<WriterId> = space
            .writers
            .iter()
            .filter(|(writer, state)| {
                *writer != log
                    && space.is_checkpoint(writer)
                    && state.record.base < state.record.tip.len()
                    && state.record.last_hlc < made
            })
            .map(|(writer, _)| *writer)
            .collect();
        self.empty_checkpoints(id, &old)?;
        Ok(old.len() as u64)
    }

    /// Empties the logs of checkpoints, which nobody is given any more.
    pub(super) fn empty_checkpoints(
        &mut self,
        id: &SpaceId,
        logs: &[WriterId],
    ) -> Result<(), ReplicaError> {
        for writer in logs {
            let state = writer_mut(self.spaces, id, writer)?;
            let len = state.record.tip.len();
            state.record.base = len;
            state.record.packed = len;
            state.record.tail_bytes = 0;
            state.record.read = len;
            state.applied = len;
            state.all_merged();
            let no = state.no;
            self.tx
                .drop_beginning(no, len, &[], |_, bytes| bytes.len())?;
            self.dirty_writer(id, writer);
        }
        Ok(())
    }
}

fn covered((writer, len, _): &Start) -> (WriterId, u64) {
    (*writer, *len)
}

fn not_here() -> ReplicaError {
    ReplicaError::Refused(
        "the checkpoint covers history that is not all here yet: sync first".to_owned(),
    )
}
