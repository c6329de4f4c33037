//! Giving subtrees keys of their own, and keeping what goes with that in order.
//!
//! Owns when a path becomes a scope, and whose it is to write a scope's start anew. What a start
//! holds is in `starts`, how keys reach devices in `epochs`.

use std::collections::BTreeSet;

use stead_access::{Action, Lengths, Path, RosterOp, Start, scope_at};
use stead_base::{DeviceId, ScopeId, SpaceId, WriterId};

use crate::space::SpaceState;
use crate::writing::Writing;
use crate::{Replica, ReplicaError};

impl SpaceState {
    /// Whether a device can write a start of a scope: it manages the scope and reads what is around.
    pub(crate) fn can_start(&self, device: &DeviceId, scope: ScopeId) -> bool {
        let (Some(path), Some(parent)) = (
            self.roster.scopes().get(&scope),
            self.roster.parent_of(scope),
        ) else {
            return false;
        };
        self.roster.can(device, path, Action::Manage) && self.roster.reads(device, parent)
    }

    /// The scopes below `/`: each has a start.
    pub(crate) fn shared_scopes(&self) -> impl Iterator<Item = ScopeId> {
        let scopes = self.roster.scopes().keys().copied();
        scopes.filter(|scope| *scope > ScopeId::ROOT)
    }

    /// How much of the first `len` entries of a log can count: a removal or a fork may have ended it before.
    pub(crate) fn counting(&self, writer: &WriterId, len: u64) -> u64 {
        let limits = self.roster.spans(writer).iter().map(|span| span.limit);
        let log = self.writers.get(writer);
        let frozen = log.and_then(|log| log.record.frozen).unwrap_or(u64::MAX);
        limits.max().unwrap_or(0).min(frozen).min(len)
    }

    /// Whether a start can follow on a checkpoint: it covers all that the checkpoint does, and is written
    /// beyond it.
    fn goes_on_from(&self, start: &Start, covered: &Lengths) -> bool {
        let (at, covers) = (&start.at, &start.said.covers);
        let mut logs = covered.iter();
        start.said.first >= covered.of(&at.log)
            && logs.all(|(writer, len)| covers.of(writer) >= self.counting(writer, len))
    }

    /// A scope below `/` whose start ends before a checkpoint does, or lies below it: whoever reads that
    /// scope alone could not begin where history below the checkpoint is dropped.
    pub(crate) fn starts_short_of(&self, covered: &Lengths) -> Option<ScopeId> {
        let mut scopes = self.shared_scopes();
        scopes.find(|scope| {
            let start = self.roster.start_of(*scope);
            !start.is_some_and(|start| self.goes_on_from(start, covered))
        })
    }

    /// Whether it is for this device to write a start of a scope anew.
    ///
    /// One that is missing, lacks something that was said of the scope from around it, holds something that
    /// counts differently now, or was redacted, is for its author as long as they can, then for everyone who
    /// can. One that does not go on from a checkpoint is so for who made the checkpoint, too: they alone
    /// know of it for certain.
    fn owes_start(&self, scope: ScopeId) -> bool {
        let Some(start) = self.roster.start_of(scope) else {
            return true;
        };
        let is_author = self.falls_to_us(&start.at.log, scope);
        let mut checkpoints = self.checkpointed.iter();
        if !self.goes_on_from(start, &self.record.vouched)
            || checkpoints.any(|(log, covered)| {
                !self.goes_on_from(start, covered) && (is_author || self.falls_to_us(log, scope))
            })
        {
            return true;
        }
        let mut strays = self.record.strays.iter();
        let covers = &start.said.covers;
        let is_wrong = strays.any(|((of, writer), len)| *of == scope && covers.of(writer) < *len)
            || self.record.tainted.get(&scope) == Some(&start.at)
            || self.is_start_redacted(start);
        is_author && is_wrong
    }

    /// Whether what is for the writer of a log to do about the starts of a scope is for this device: it is its
    /// writer, or its writer cannot.
    pub(crate) fn falls_to_us(&self, log: &WriterId, scope: ScopeId) -> bool {
        let device = self.roster.device_of(log);
        device.is_none_or(|it| it == self.device || !self.can_start(&it, scope))
    }

    /// Whether a redaction took a piece of a start.
    fn is_start_redacted(&self, start: &Start) -> bool {
        let (log, scope) = (&start.at.log, start.said.scope);
        let taken = |seq| self.roster.redaction_of(log, seq, scope);
        (start.said.first..start.at.seq).any(|seq| matches!(taken(seq), Some((_, true))))
    }

    /// Whether this device has what it takes to write the start of a scope now: all of the space, what the
    /// start is to cover, and the keys.
    pub(crate) fn is_ready_to_start(&self, scope: ScopeId) -> bool {
        let lacks = |(writer, len): (&WriterId, u64)| {
            self.writers.get(writer).map_or(0, |log| log.applied) < self.counting(writer, len)
        };
        let mut to_cover = self.checkpointed.values().chain([&self.record.vouched]);
        self.part.is_none()
            && !self.is_void
            && self.has_taken_redactions(scope)
            && !to_cover.any(|covered| covered.iter().any(lacks))
            && self.can_start(&self.device, scope)
            && self.sealing_key(ScopeId::ROSTER).is_ok()
            && self.sealing_key(scope).is_ok()
    }

    /// Scopes whose start this device is to write anew.
    fn starts_to_write(&self) -> Vec<ScopeId> {
        self.shared_scopes()
            .filter(|scope| self.owes_start(*scope) && self.is_ready_to_start(*scope))
            .collect()
    }

    /// Paths that somebody was let in at, that have no keys of their own, and to which this device may
    /// give some.
    fn paths_to_scope(&self) -> Vec<Path> {
        let paths = self.roster.unscoped_paths().into_iter();
        paths
            .filter(|path| self.roster.can(&self.device, path, Action::Manage))
            .cloned()
            .collect()
    }
}

impl Replica {
    /// Spaces in which a path has yet to get keys of its own, or a start is to be written anew.
    pub(crate) fn spaces_to_scope(&mut self) -> Result<Vec<SpaceId>, ReplicaError> {
        let shared = self.spaces.values();
        let shared: Vec<SpaceId> = shared
            .filter(|space| {
                space.shared_scopes().next().is_some() && !space.roster.checkpoints().is_empty()
            })
            .map(|space| space.id)
            .collect();
        for id in shared {
            self.look_for_checkpoints(&id)?;
        }
        let spaces = self.spaces.values();
        let due = spaces.filter(|space| {
            space.newest_key(ScopeId::ROSTER).is_some()
                && !(space.paths_to_scope().is_empty()
                    && space.starts_to_write().is_empty()
                    && space.pieces_to_redact().is_empty())
        });
        Ok(due.map(|space| space.id).collect())
    }

    /// Finds what the starts of a space are to go on from.
    fn look_for_checkpoints(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        let made = self.checkpoints(id)?.into_iter();
        let fit = made.filter(|info| info.is_whole && info.counts);
        let logs: BTreeSet<WriterId> = fit.map(|info| info.log).collect();
        if self.space(id)?.checkpointed.keys().eq(&logs) {
            return Ok(());
        }
        let covered = logs
            .into_iter()
            .map(|log| Ok((log, self.covered_history(id, &log)?)))
            .collect::<Result<_, ReplicaError>>()?;
        if let Some(space) = self.spaces.get_mut(id) {
            space.checkpointed = covered;
        }
        Ok(())
    }

    /// The path of a scope whose keys are not here.
    pub(crate) fn unreadable_part(&self, id: &SpaceId) -> Result<Option<Path>, ReplicaError> {
        let space = self.space(id)?;
        let mut scopes = space.shared_scopes();
        let locked = scopes.find(|scope| space.sealing_key(*scope).is_err());
        Ok(locked.and_then(|scope| space.roster.place_of(scope).cloned()))
    }

    /// Whether giving somebody a right at `path` would first give the path keys of its own.
    pub fn makes_scope(&self, id: &SpaceId, path: &Path) -> Result<bool, ReplicaError> {
        let scopes = self.space(id)?.roster.scopes();
        Ok(!scopes.values().any(|at| at == path))
    }

    /// How many keys what is at `path` had so far; 0 if it has none of its own.
    pub fn epochs_at(&self, id: &SpaceId, path: &Path) -> Result<usize, ReplicaError> {
        let space = self.space(id)?;
        Ok(space.roster.epochs(scope_at(id, path)).len())
    }

    /// Where a scope is.
    pub fn scope_path(&self, id: &SpaceId, scope: ScopeId) -> Result<Path, ReplicaError> {
        let place = self.space(id)?.roster.place_of(scope);
        Ok(place.cloned().unwrap_or_else(Path::whole_space))
    }

    /// The innermost path around `path`, itself included, that has keys of its own.
    pub fn scope_around(&self, id: &SpaceId, path: &Path) -> Result<Path, ReplicaError> {
        let roster = &self.space(id)?.roster;
        let around = roster.scopes().get(&roster.scope_of(path));
        Ok(around.cloned().unwrap_or_else(Path::whole_space))
    }
}

impl Writing<'_> {
    /// Gives a path keys of its own, if it has none, and writes the start of those who read it only.
    pub(crate) fn ensure_scope(&mut self, id: &SpaceId, path: &Path) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        let is_there = space.roster.scopes().values().any(|at| at == path);
        if path.is_whole_space() || is_there {
            return Ok(());
        }
        self.renew_if_allowed(id)?;
        let space = self.space(id)?;
        let scope = scope_at(id, path);
        let make = RosterOp::Scope { path: path.clone() };
        let around = space.roster.scope_of(path);
        self.check_op(id, &make)?;
        self.own_writer(id)?;
        let begun = self.next_epoch(id, scope, Some(around), &[])?;
        self.start_epochs(id, vec![make], vec![begun])?;
        let space = self.space(id)?;
        space.use_declared_keys();
        let own = space.device;
        if space.part.is_none() && space.can_start(&own, scope) {
            self.write_start(id, scope)?;
        }
        self.serve_readers(id)?;
        Ok(())
    }

    /// Writes the starts of scopes below `/` anew, all that can be written now, for those who read it alone and begin with a
    /// checkpoint that was just made: they find in the starts what the checkpoint holds for others.
    pub(crate) fn write_starts(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        for (writer, len) in space.taken().iter() {
            space.record.vouched.raise(*writer, len);
        }
        let ready = space.shared_scopes();
        let ready: Vec<ScopeId> = ready
            .filter(|scope| space.is_ready_to_start(*scope))
            .collect();
        self.dirty_space(id);
        for scope in ready {
            self.write_start(id, scope)?;
        }
        Ok(())
    }

    /// Does what is this device's to do for scopes: makes those that are missing, takes pieces of starts
    /// that hold what was redacted, and writes starts anew that need it.
    pub(crate) fn tend_scopes(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        for path in self.space(id)?.paths_to_scope() {
            self.ensure_scope(id, &path)?;
        }
        let pieces = self.space(id)?.pieces_to_redact();
        self.redact_pieces(id, &pieces)?;
        for scope in self.space(id)?.starts_to_write() {
            self.write_start(id, scope)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
