//! For how long history is kept on this device, and the checkpoints that it takes to drop what is older.
//!
//! Owns when something is due. What a checkpoint is and when history may go is said next door.

use stead_access::{Action, Path};
use stead_base::{DeviceId, SpaceId};

use super::Compaction;
use crate::space::SpaceState;
use crate::{Replica, ReplicaError};

/// Devices that could make a checkpoint wait so long for each other, in the order of their ids.
const TURN_MS: u64 = 60 * 60_000;
/// A space with fewer entries since its last checkpoint needs no other.
const ENTRIES_MIN: u64 = 256;

/// What is kept of the history of a space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryKept {
    /// For how long it is kept, in ms; none: for ever.
    pub keep_ms: Option<u64>,
    /// From when on it is known here, Unix ms; none: from the beginning.
    pub known_from_ms: Option<u64>,
    /// Who keeps it from being dropped though it is old enough.
    pub held_up: Option<String>,
}

impl SpaceState {
    /// From when on history is known here, where a checkpoint stands for its beginning.
    pub(crate) fn known_from_ms(&self) -> Option<u64> {
        let begins = self.writers.get(self.record.begins.as_ref()?)?;
        Some(begins.record.last_hlc.ms())
    }
}

impl Replica {
    /// Says for how long the history of a space is kept on this device; none: for ever. What is older
    /// goes once every device that may write has it, by a checkpoint that is old enough.
    pub fn keep_history(
        &mut self,
        id: &SpaceId,
        keep_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        self.space(id)?;
        self.held_up.remove(id);
        self.write(now_ms, |writing| {
            writing.space(id)?.record.keep_ms = keep_ms.unwrap_or(0);
            writing.dirty_space(id);
            Ok(())
        })
    }

    /// What is kept of the history of a space.
    pub fn history_kept(&self, id: &SpaceId) -> Result<HistoryKept, ReplicaError> {
        let space = self.space(id)?;
        Ok(HistoryKept {
            keep_ms: Some(space.record.keep_ms).filter(|keep| *keep > 0),
            known_from_ms: space.known_from_ms(),
            held_up: self.held_up.get(id).cloned(),
        })
    }

    /// Drops history that is older than it is kept, makes the checkpoints that it takes, and purges documents
    /// that were deleted longer ago. Called now and then. Returns whether anything was written.
    pub fn tend_history(&mut self, now_ms: u64) -> Result<bool, ReplicaError> {
        let spaces = self.spaces.values();
        let kept: Vec<(SpaceId, u64)> = spaces
            .filter(|space| space.record.keep_ms > 0 && !space.record.is_beginning)
            .map(|space| (space.id, space.record.keep_ms))
            .collect();
        let mut done = false;
        for (id, keep_ms) in kept {
            done |= self.drop_old(&id, keep_ms, now_ms)?;
            match self.purge_old(&id, keep_ms, now_ms) {
                Ok(any) => done |= any,
                Err(ReplicaError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    self.held_up.insert(id, error.to_string());
                }
            }
            if self.is_checkpoint_due(&id, now_ms)? {
                match self.make_checkpoint(&id, now_ms) {
                    Ok(_) => done = true,
                    Err(ReplicaError::Refused(why)) => {
                        self.held_up.insert(id, why);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(done)
    }

    fn drop_old(&mut self, id: &SpaceId, keep_ms: u64, now_ms: u64) -> Result<bool, ReplicaError> {
        let made_before_ms = now_ms.saturating_sub(keep_ms);
        let mut is_due = false;
        for info in self.checkpoints(id)? {
            let is_old = info.is_whole && info.counts && info.made.ms() < made_before_ms;
            is_due |= is_old && !self.is_spent(id, &info.log)?;
        }
        if !is_due {
            self.held_up.remove(id);
            return Ok(false);
        }
        let compaction = Compaction {
            made_before_ms,
            even_if_unseen: false,
        };
        match self.compact(id, compaction, now_ms) {
            Ok(done) => {
                self.held_up.remove(id);
                Ok(done.entries > 0)
            }
            Err(ReplicaError::Refused(why)) => {
                self.held_up.insert(*id, why);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it is for this device to make a checkpoint now: there is none to come to age, much was
    /// written since, and nobody whose turn is before did it. What is dated ahead of this device's clock
    /// delays nothing.
    fn is_checkpoint_due(&self, id: &SpaceId, now_ms: u64) -> Result<bool, ReplicaError> {
        let Some(wait_ms) = self.turn_ms(id)? else {
            return Ok(false);
        };
        let space = self.space(id)?;
        let begins = space.record.begins;
        let mut waits = false;
        for info in self.checkpoints(id)? {
            // One that is held back comes to age too late: it may be dated years ahead.
            let comes_to_age = info.is_whole && info.counts && !info.is_held_back;
            waits |= comes_to_age && !self.is_spent(id, &info.log)?;
        }
        let since: u64 = space
            .writers
            .iter()
            .filter(|(writer, _)| !space.is_checkpoint(writer))
            .map(|(_, state)| state.accepted().saturating_sub(state.record.base))
            .sum();
        if waits || since < ENTRIES_MIN {
            return Ok(false);
        }
        let last = space
            .writers
            .values()
            .map(|state| state.record.last_hlc.ms())
            .filter(|written_ms| *written_ms <= now_ms)
            .max();
        // Turns are counted from the last dropping, or from the last that was written.
        let from = begins.and_then(|log| space.writers.get(&log));
        let from = from.map_or(last, |state| Some(state.record.last_hlc.ms()));
        Ok(from.unwrap_or(0) + wait_ms <= now_ms)
    }

    /// How long this device waits with what is due, for those whose turn is before; none if it is for others
    /// alone: it does not manage the space, or keeps only a part of it.
    pub(crate) fn turn_ms(&self, id: &SpaceId) -> Result<Option<u64>, ReplicaError> {
        let space = self.space(id)?;
        let whole = Path::whole_space();
        let may = |device: &DeviceId| space.roster.can(device, &whole, Action::Manage);
        let own = self.device();
        if !may(&own) || space.part.is_some() {
            return Ok(None);
        }
        let devices = space.roster.devices().into_keys().filter(may);
        let turn = devices.take_while(|device| *device != own).count() as u64;
        Ok(Some(turn * TURN_MS))
    }
}
