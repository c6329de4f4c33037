//! Checkpoints that hold what was redacted since: they are given to nobody, and replaced.

use std::collections::BTreeMap;

use stead_access::{Action, OpId, Path};
use stead_base::{DeviceId, ScopeId, SpaceId, WriterId};

use crate::{Replica, ReplicaError};

impl Replica {
    /// Whether a checkpoint does not know of a redaction that counts.
    pub(super) fn is_superseded(&self, id: &SpaceId, log: &WriterId) -> Result<bool, ReplicaError> {
        Ok(self.unknown_redaction(id, log)?.is_some())
    }

    fn unknown_redaction(
        &self,
        id: &SpaceId,
        log: &WriterId,
    ) -> Result<Option<OpId>, ReplicaError> {
        let space = self.space(id)?;
        let mut said = space.roster.redactions().iter().peekable();
        if said.peek().is_none() {
            return Ok(None);
        }
        let covered: BTreeMap<WriterId, u64> = self.covered(id, log)?.into_iter().collect();
        let unknown = said.find(|(at, redact)| {
            covered.get(&at.log).is_none_or(|len| at.seq >= *len)
                && space.redacted_values(at, redact).next().is_some()
        });
        Ok(unknown.map(|(at, _)| *at))
    }

    /// Empties the checkpoints of a space that hold what was redacted since. Where history begins with
    /// one, another must take its place: it is made here if this device is to make it. Returns whether one
    /// was made.
    pub(crate) fn supersede_checkpoints(
        &mut self,
        id: &SpaceId,
        now_ms: u64,
    ) -> Result<bool, ReplicaError> {
        if self.space(id)?.roster.redactions().is_empty() {
            return Ok(false);
        }
        let (mut old, mut unknown) = (Vec::new(), None);
        for info in self.checkpoints(id)? {
            if info.is_whole
                && let Some(at) = self.unknown_redaction(id, &info.log)?
            {
                unknown = unknown.max(Some(at));
                old.push(info.log);
            }
        }
        let Some(at) = unknown else { return Ok(false) };
        let mut made = false;
        let begins = self.space(id)?.record.begins;
        if self.newest_checkpoint(id).is_none() && self.is_to_replace(id, &at)? {
            match self.make_checkpoint(id, now_ms) {
                Ok(_) => made = true,
                Err(ReplicaError::Refused(why)) => {
                    tracing::warn!(
                        why,
                        "no checkpoint in the place of one that holds redacted values"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        let newest = self.newest_checkpoint(id);
        let is_beginning = self.space(id)?.record.is_beginning;
        let is_other = begins.is_some() && newest != begins;
        if let Some(log) = newest.filter(|_| is_other && !is_beginning) {
            match self.write(now_ms, |writing| writing.begin_later(id, &log)) {
                Ok(()) | Err(ReplicaError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let begins = self.space(id)?.record.begins;
        let space = self.space(id)?;
        old.retain(|log| {
            let state = space.writers.get(log);
            Some(*log) != begins && state.is_some_and(|state| state.record.base == 0)
        });
        if !old.is_empty() {
            self.write(now_ms, |writing| {
                writing.erases = true;
                writing.empty_checkpoints(id, &old)
            })?;
        }
        if let Some(space) = self.spaces.get(id) {
            self.shared.publish(space);
        }
        Ok(made)
    }

    /// Whether this device makes the checkpoint that a redaction calls for: who redacted does, as long as
    /// they may. One that is held back here would be in no checkpoint made here.
    fn is_to_replace(&self, id: &SpaceId, at: &OpId) -> Result<bool, ReplicaError> {
        let space = self.space(id)?;
        if !space.has_taken_redactions(ScopeId::ROOT) {
            return Ok(false);
        }
        let roster = &space.roster;
        let may = |device: &DeviceId| roster.can(device, &Path::whole_space(), Action::Manage);
        let own = self.device();
        let author = roster.device_of(&at.log);
        let others = author.is_none_or(|author| author == own || !may(&author));
        Ok(others && may(&own))
    }

    /// Replaces checkpoints that hold what was redacted, wherever that is due. Returns whether anything
    /// was written for others.
    pub(crate) fn tend_redactions(&mut self, now_ms: u64) -> Result<bool, ReplicaError> {
        let ids: Vec<SpaceId> = self
            .spaces
            .values()
            .filter(|space| !space.roster.redactions().is_empty())
            .map(|space| space.id)
            .collect();
        let mut made = false;
        for id in ids {
            made |= self.supersede_checkpoints(&id, now_ms)?;
        }
        Ok(made)
    }
}
