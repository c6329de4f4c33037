//! Checkpoints on this device: making them, beginning from them, and dropping history below them.
//!
//! Owns what a checkpoint's log holds and how it becomes a replica's state. The bytes of blocks are
//! `core/checkpoint`'s, skeletons are `core/log`'s, who may make one is the roster's.

mod acks;
mod begin;
mod compact;
mod contents;
mod keep;
mod make;
mod mend;
mod supersede;

use std::collections::BTreeMap;

use stead_access::{Checkpoint, Shift, shift};
use stead_base::{DeviceId, Hlc, SpaceId, WriterId};

use crate::records::RosterEntry;
use crate::space::{SpaceState, roster_of};
use crate::{Replica, ReplicaError};

pub(crate) use acks::Seen;
pub use compact::{Compacted, Compaction};
pub use keep::HistoryKept;

/// A checkpoint that a space has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// The log that holds it.
    pub log: WriterId,
    /// The device that made it.
    pub made_by: Option<DeviceId>,
    /// When, by that device's clock.
    pub made: Hlc,
    /// Documents in it.
    pub documents: u64,
    /// Entries of its log.
    pub entries: u64,
    /// Deletions made before this time are forgotten in it; zero if all are remembered.
    pub horizon: Hlc,
    /// Whether all of it is held here.
    pub is_whole: bool,
    /// Whether whoever made it may.
    pub counts: bool,
    /// Whether it is dated ahead of this device's clock, and not used until then.
    pub is_held_back: bool,
    /// Whether this device's history begins with it.
    pub is_beginning: bool,
}

impl SpaceState {
    /// Whether a log is a checkpoint, which changes no document.
    pub(crate) fn is_checkpoint(&self, writer: &WriterId) -> bool {
        self.roster.checkpoints().contains_key(writer)
    }

    /// Whether all of a checkpoint is held.
    fn is_whole(&self, log: &WriterId, made: &Checkpoint) -> bool {
        self.writers.get(log).is_some_and(|state| {
            state.record.base == 0 && state.accepted() == made.entries && made.entries > 0
        })
    }
}

impl Replica {
    /// The checkpoints of a space, the newest first; those that were dropped here are left out.
    pub fn checkpoints(&self, id: &SpaceId) -> Result<Vec<CheckpointInfo>, ReplicaError> {
        let space = self.space(id)?;
        let mut found: Vec<CheckpointInfo> = space
            .roster
            .checkpoints()
            .iter()
            .filter_map(|(log, made)| {
                let state = space.writers.get(log)?;
                (state.record.base == 0).then(|| CheckpointInfo {
                    log: *log,
                    made_by: space.roster.device_of(log),
                    made: state.record.last_hlc,
                    documents: made.documents,
                    entries: made.entries,
                    horizon: made.horizon,
                    is_whole: space.is_whole(log, made),
                    counts: space.roster.vouches_for(log, made),
                    is_held_back: state.due_ms.is_some(),
                    is_beginning: space.record.begins == Some(*log),
                })
            })
            .collect();
        found.sort_by_key(|info| std::cmp::Reverse((info.made, info.log)));
        Ok(found)
    }

    /// The checkpoint that a newcomer is best served with: the newest that counts and is whole.
    pub fn newest_checkpoint(&self, id: &SpaceId) -> Option<WriterId> {
        let found = self.checkpoints(id).ok()?;
        let mut fit = found
            .iter()
            .filter(|info| self.is_fit(id, info).unwrap_or(false));
        fit.next().map(|info| info.log)
    }

    /// Whether history here can begin with a checkpoint: it is whole, not held back and counts, ends where
    /// history begins here or later, and knows of every redaction.
    fn is_fit(&self, id: &SpaceId, info: &CheckpointInfo) -> Result<bool, ReplicaError> {
        Ok(info.is_whole
            && !info.is_held_back
            && info.counts
            && info.horizon == Hlc::ZERO
            && self.reaches(id, &info.log)?
            && !self.is_superseded(id, &info.log)?)
    }

    /// Whether nothing of a space is here yet but what this device wrote, so that beginning from a
    /// checkpoint saves all of its history. Who knows who founded it has some.
    pub fn is_new_here(&self, id: &SpaceId) -> bool {
        self.space(id).is_ok_and(|space| {
            let mut logs = space.writers.iter();
            space.part.is_none()
                && space.record.begins.is_none()
                && space.roster.genesis().is_none()
                && logs.all(|(log, state)| {
                    space.is_own(log)
                        || space.is_checkpoint(log)
                        || state.record.tip.is_empty()
                        || !space.admits(log)
                })
        })
    }

    /// Whether a log is a checkpoint.
    pub fn is_checkpoint(&self, id: &SpaceId, log: &WriterId) -> bool {
        self.space(id).is_ok_and(|space| space.is_checkpoint(log))
    }

    /// Entries of a log that were dropped here: nobody can be given them.
    pub fn dropped(&self, id: &SpaceId, log: &WriterId) -> u64 {
        let space = self.space(id).ok();
        let state = space.and_then(|space| space.writers.get(log));
        state.map_or(0, |state| state.record.base)
    }
}

/// Whether entries that a checkpoint covers count differently by what its author did not know.
fn counts_differently(
    space: &SpaceState,
    log: &WriterId,
    covered: &BTreeMap<WriterId, u64>,
) -> bool {
    any_shift(space, log, covered, |_| true)
}

/// Whether verdicts about entries that a checkpoint covers changed so since it was made.
fn any_shift(
    space: &SpaceState,
    log: &WriterId,
    covered: &BTreeMap<WriterId, u64>,
    so: impl Fn(&Shift) -> bool,
) -> bool {
    let within = |said: &&RosterEntry| {
        said.writer == *log || covered.get(&said.writer).is_some_and(|len| said.seq < *len)
    };
    let all = &space.record.roster;
    let then: Vec<RosterEntry> = all.iter().filter(within).cloned().collect();
    if then.len() == all.len() {
        return false;
    }
    let then = roster_of(space.id, &then);
    covered
        .iter()
        .filter(|(writer, _)| *writer != log)
        .any(|(writer, len)| {
            let shifted = shift(then.spans(writer), space.roster.spans(writer));
            shifted.is_some_and(|shift| shift.from < *len && so(&shift))
        })
}

#[cfg(test)]
mod tests;
