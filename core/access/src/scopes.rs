//! Who reads which subtree, and from where they begin.
//!
//! Owns the questions about scopes that depend on members: which scopes a device reads, which
//! subtrees were given to someone and have no keys of their own yet, whose it is to renew them.

use std::collections::BTreeSet;

use stead_base::{DeviceId, ScopeId};

use crate::op::{OpId, ScopeStart};
use crate::{Action, Path, Role, Roster};

/// From where those begin who read a scope and not what is around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The operation that says so.
    pub at: OpId,
    /// What it says.
    pub said: ScopeStart,
}

impl Roster {
    /// The path of a scope, also of one whose making does not count any more.
    pub fn place_of(&self, scope: ScopeId) -> Option<&Path> {
        self.keys.places().get(&scope)
    }

    /// Every path that anybody who managed it made a scope, by scope; some may not count any more.
    pub fn places(&self) -> impl Iterator<Item = (ScopeId, &Path)> {
        self.keys
            .places()
            .iter()
            .map(|(scope, path)| (*scope, path))
    }

    /// Whether `device` reads what is sealed to `scope`.
    pub fn reads(&self, device: &DeviceId, scope: ScopeId) -> bool {
        match scope {
            ScopeId::ROSTER => self.held_by(device).any(|held| held.is_held_by(device)),
            _ => self
                .place_of(scope)
                .is_some_and(|path| self.can(device, path, Action::Read)),
        }
    }

    /// The outermost scopes that `device` reads: all others that it reads are inside of these.
    pub fn reading_roots(&self, device: &DeviceId) -> BTreeSet<ScopeId> {
        let read: Vec<(ScopeId, &Path)> = self
            .scopes()
            .iter()
            .filter(|(scope, _)| **scope != ScopeId::ROSTER && self.reads(device, **scope))
            .map(|(scope, path)| (*scope, path))
            .collect();
        let is_inside = |path: &Path| {
            let mut others = read.iter();
            others.any(|(_, other)| *other != path && other.covers(path))
        };
        let roots = read.iter().filter(|(_, path)| !is_inside(path));
        roots.map(|(scope, _)| *scope).collect()
    }

    /// From where those begin who read `scope` and not what is around it; none if nobody with the
    /// right to say so has said.
    pub fn start_of(&self, scope: ScopeId) -> Option<&Start> {
        self.keys.start(scope)
    }

    /// The turn that the next start of `scope` takes.
    pub fn next_turn(&self, scope: ScopeId) -> u32 {
        self.keys.next_turn(scope)
    }

    /// Paths below `/` that are given to someone, or to whoever holds an invite, and have no keys of
    /// their own: what is given there cannot be read alone.
    pub fn unscoped_paths(&self) -> BTreeSet<&Path> {
        let given = self.members().values();
        let given = given.filter(|it| it.ended.is_none() && !it.path.is_whole_space());
        given
            .map(|it| &it.path)
            .filter(|path| !self.scopes().values().any(|scope| scope == *path))
            .collect()
    }

    /// Whether somebody reads `scope` and not what is around it, or could join as such.
    pub fn has_own_readers(&self, scope: ScopeId) -> bool {
        let Some(path) = self.scopes().get(&scope) else {
            return false;
        };
        let mut given = self.members().values();
        given.any(|it| it.ended.is_none() && it.path == *path && it.role >= Role::Reader)
    }
}
