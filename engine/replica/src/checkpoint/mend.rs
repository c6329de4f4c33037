//! Beginning anew where a removal reached behind the checkpoint that history begins with.

use std::collections::BTreeMap;

use stead_base::{SpaceId, WriterId};

use super::any_shift;
use crate::{Replica, ReplicaError};

impl Replica {
    /// Whether something is in the documents, from below where history begins here, that a removal
    /// made void since.
    pub(crate) fn is_beginning_void(&self, id: &SpaceId) -> Result<bool, ReplicaError> {
        match self.space(id)?.record.begins {
            Some(log) => self.is_void(id, &log),
            None => Ok(false),
        }
    }

    /// Whether entries that a checkpoint covers counted then and do not now.
    fn is_void(&self, id: &SpaceId, log: &WriterId) -> Result<bool, ReplicaError> {
        let covered: BTreeMap<WriterId, u64> = self.covered(id, log)?.into_iter().collect();
        Ok(any_shift(self.space(id)?, log, &covered, |shift| {
            shift.lost
        }))
    }

    /// Has spaces that begin with what a removal made void begin with a checkpoint that knows of it, as
    /// soon as one is here. What is written to them meanwhile stays.
    pub(crate) fn mend_beginnings(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        let begun = self.spaces.values().filter(|space| {
            let known = space.roster_entries();
            space.record.begins.is_some()
                && !space.record.is_beginning
                && space.part.is_none()
                && (space.is_void || space.judged != known)
        });
        let begun: Vec<SpaceId> = begun.map(|space| space.id).collect();
        for id in begun {
            let is_void = self.is_beginning_void(&id)?;
            let is_mended = is_void && self.begin_where_it_counts(&id, now_ms)?;
            if let Some(space) = self.spaces.get_mut(&id) {
                space.judged = space.roster_entries();
                space.is_void = is_void && !is_mended;
            }
        }
        Ok(())
    }

    fn begin_where_it_counts(&mut self, id: &SpaceId, now_ms: u64) -> Result<bool, ReplicaError> {
        for info in self.checkpoints(id)? {
            if info.is_beginning || !self.is_fit(id, &info)? || self.is_void(id, &info.log)? {
                continue;
            }
            let done = self.write(now_ms, |writing| {
                writing.begin_later(id, &info.log)?;
                writing.misjudged.insert(*id);
                Ok(())
            });
            match done {
                Ok(()) => return Ok(true),
                // It covers what is not here yet.
                Err(ReplicaError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}
