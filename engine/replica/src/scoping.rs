//! Giving subtrees keys of their own, and keeping what goes with that in order.
//!
//! Owns when a path becomes a scope, and whose it is to write a scope's start anew. What a start
//! holds is in `starts`, how keys reach devices in `epochs`.

use stead_access::{Action, Path, RosterOp, scope_at};
use stead_base::{DeviceId, ScopeId, SpaceId};

use crate::space::SpaceState;
use crate::writing::Writing;
use crate::{Replica, ReplicaError};

impl SpaceState {
    /// Whether a device can write a start of a scope: it manages the scope and reads what is around.
    fn can_start(&self, device: &DeviceId, scope: ScopeId) -> bool {
        let (Some(path), Some(parent)) = (
            self.roster.scopes().get(&scope),
            self.roster.parent_of(scope),
        ) else {
            return false;
        };
        self.roster.can(device, path, Action::Manage) && self.roster.reads(device, parent)
    }

    /// Whether the start of a scope is missing, lacks something that was said of the scope from around
    /// it, or holds something that counts differently now.
    fn needs_start(&self, scope: ScopeId) -> bool {
        let Some(start) = self.roster.start_of(scope) else {
            return true;
        };
        let mut strays = self.record.strays.iter();
        let covers = &start.said.covers;
        strays.any(|((of, writer), len)| *of == scope && covers.of(writer) < *len)
            || self.record.tainted.get(&scope) == Some(&start.at)
    }

    /// Scopes whose start this device is to write anew: whoever wrote the last one does it as long as
    /// they can, then everyone who can.
    fn starts_to_write(&self) -> Vec<ScopeId> {
        let own = &self.device;
        let mine = |scope: &ScopeId| {
            let author = self.roster.start_of(*scope);
            let author = author.and_then(|start| self.roster.device_of(&start.at.log));
            author.is_none_or(|author| author == *own || !self.can_start(&author, *scope))
        };
        // The present of a scope is told by who has all of it.
        if self.part.is_some() || self.sealing_key(ScopeId::ROSTER).is_err() {
            return Vec::new();
        }
        let scopes = self.roster.scopes().keys().copied();
        scopes
            .filter(|scope| *scope > ScopeId::ROOT && self.needs_start(*scope))
            .filter(|scope| self.can_start(own, *scope) && mine(scope))
            .filter(|scope| self.sealing_key(*scope).is_ok())
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
    pub(crate) fn spaces_to_scope(&self) -> Vec<SpaceId> {
        let spaces = self.spaces.values();
        let due = spaces.filter(|space| {
            space.newest_key(ScopeId::ROSTER).is_some()
                && !(space.paths_to_scope().is_empty() && space.starts_to_write().is_empty())
        });
        due.map(|space| space.id).collect()
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
        if space.record.begins.is_some() {
            return Err(ReplicaError::Refused(
                "this device has dropped the history of the space, and whoever gets a part of it needs whole logs: share it from a device that has them".to_owned(),
            ));
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

    /// Does what is this device's to do for scopes: makes those that are missing, and writes starts
    /// anew that need it.
    pub(crate) fn tend_scopes(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        for path in self.space(id)?.paths_to_scope() {
            self.ensure_scope(id, &path)?;
        }
        for scope in self.space(id)?.starts_to_write() {
            self.write_start(id, scope)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
