//! The epoch keys of one space, and the ciphers they make for each writer.
//!
//! Shared between the thread that opens batches and the one that stores them; a snapshot never
//! changes, so a reader needs no lock while it works.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stead_base::{ScopeId, SpaceId, WriterId};
use stead_crypt::{EpochKey, KeyId, Part, ScopeCipher};

/// The space id that seals a genesis entry, whose hash the real id is.
pub(crate) const GENESIS_SPACE: SpaceId = SpaceId::from_bytes([0; 32]);

/// What a device makes of the parcels of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It reads them.
    Open,
    /// It may not read them and passes them by.
    Closed,
    /// It has not heard of the scope yet.
    Unheard,
}

/// Every epoch key this device holds for one space.
///
/// Two managers who start an epoch at the same time make two keys of one generation, so there may
/// be several.
#[derive(Clone, Default)]
pub(crate) struct KeyRing {
    keys: BTreeMap<(ScopeId, u32), Vec<Arc<EpochKey>>>,
    /// Generations of which a declared key is not held.
    incomplete: BTreeSet<(ScopeId, u32)>,
    /// The scopes there are, and whether this device reads them.
    scopes: BTreeMap<ScopeId, bool>,
}

impl KeyRing {
    /// Adds a key. Returns false if it is already held.
    pub(crate) fn insert(&mut self, scope: ScopeId, generation: u32, key: EpochKey) -> bool {
        let held = self.keys.entry((scope, generation)).or_default();
        if held.iter().any(|held| **held == key) {
            return false;
        }
        held.push(Arc::new(key));
        true
    }

    /// The keys of one generation.
    pub(crate) fn of(&self, scope: ScopeId, generation: u32) -> &[Arc<EpochKey>] {
        self.keys
            .get(&(scope, generation))
            .map_or(&[], Vec::as_slice)
    }

    /// Whether a key of a generation is declared and not held: what does not open may be under it.
    pub(crate) fn is_incomplete(&self, scope: ScopeId, generation: u32) -> bool {
        self.incomplete.contains(&(scope, generation))
    }

    /// The generations of which a declared key is not held.
    pub(crate) const fn incomplete(&self) -> &BTreeSet<(ScopeId, u32)> {
        &self.incomplete
    }

    /// Notes of which generations a declared key is not held.
    pub(crate) fn set_incomplete(&mut self, incomplete: BTreeSet<(ScopeId, u32)>) {
        self.incomplete = incomplete;
    }

    /// What this device makes of the parcels of a scope.
    pub(crate) fn reading(&self, scope: ScopeId) -> Reading {
        match self.scopes.get(&scope) {
            _ if scope == ScopeId::ROSTER => Reading::Open,
            Some(true) => Reading::Open,
            Some(false) => Reading::Closed,
            None => Reading::Unheard,
        }
    }

    /// The scopes there are, and whether this device reads them.
    pub(crate) const fn scopes(&self) -> &BTreeMap<ScopeId, bool> {
        &self.scopes
    }

    /// Notes which scopes there are, and whether this device reads them.
    pub(crate) fn set_scopes(&mut self, scopes: BTreeMap<ScopeId, bool>) {
        self.scopes = scopes;
    }

    /// One key of a generation, by what commits to it.
    pub(crate) fn find(&self, scope: ScopeId, generation: u32, id: &KeyId) -> Option<&EpochKey> {
        let held = self.of(scope, generation).iter();
        held.map(|key| &**key).find(|key| key.id() == *id)
    }

    /// Every key with its scope and generation.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ScopeId, u32, &EpochKey)> {
        self.keys.iter().flat_map(|((scope, generation), keys)| {
            keys.iter().map(|key| (*scope, *generation, &**key))
        })
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({:?})", self.keys.keys())
    }
}

/// Ciphers of one writer, made when first asked for.
pub(crate) struct WriterCiphers<'k> {
    ring: &'k KeyRing,
    space: SpaceId,
    writer: WriterId,
    made: Vec<(ScopeId, u32, Part, Vec<ScopeCipher>)>,
}

impl<'k> WriterCiphers<'k> {
    pub(crate) fn new(ring: &'k KeyRing, space: SpaceId, writer: WriterId) -> Self {
        Self {
            ring,
            space,
            writer,
            made: Vec::new(),
        }
    }

    /// What this device makes of the parcels of a scope.
    pub(crate) fn reading(&self, scope: ScopeId) -> Reading {
        self.ring.reading(scope)
    }

    /// Whether another key of an epoch is declared than those held.
    pub(crate) fn is_incomplete(&self, scope: ScopeId, generation: u32) -> bool {
        self.ring.is_incomplete(scope, generation)
    }

    /// The ciphers of a part, one for each key of its epoch that is held.
    pub(crate) fn get(&mut self, scope: ScopeId, generation: u32, part: Part) -> &[ScopeCipher] {
        let same = |made: &(ScopeId, u32, Part, Vec<ScopeCipher>)| {
            (made.0, made.1, made.2) == (scope, generation, part)
        };
        let at = self.made.iter().position(same).unwrap_or_else(|| {
            let keys = self.ring.of(scope, generation).iter();
            let ciphers = keys
                .map(|key| {
                    ScopeCipher::new(key, &self.space, scope, generation, &self.writer, part)
                })
                .collect();
            self.made.push((scope, generation, part, ciphers));
            self.made.len() - 1
        });
        &self.made[at].3
    }
}
