//! Scopes, epochs and the space's name: what members with the right to say so have declared.
//!
//! Owns which key is current for a scope and which scopes need a new one. It holds no key, only
//! the ids that commit to them.

use std::collections::{BTreeMap, BTreeSet};

use stead_base::{DeviceId, Encoder, ScopeId, SpaceId};
use stead_crypt::{KeyId, hash};

use crate::ledger::Ledger;
use crate::members::Membership;
use crate::op::OpId;
use crate::rules::{Author, Ended, EndedBy};
use crate::scopes::Start;
use crate::verdicts::Verdicts;
use crate::{Action, DeviceRecord, Lengths, Name, Path};

/// One generation of a scope's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// Which generation, counted from 0.
    pub generation: u32,
    /// Commits to the key.
    pub key: KeyId,
    /// The operation that started it.
    pub at: OpId,
    /// The removals it takes into account.
    pub knows: Lengths,
    /// The previous key sealed under this one; empty if there is none.
    pub previous: Vec<u8>,
    /// This key sealed under that of the scope around it; empty if there is none.
    pub for_parent: Vec<u8>,
}

impl Epoch {
    /// Whether a removal was known to whoever started the epoch.
    pub fn knows_of(&self, removal: &OpId) -> bool {
        self.knows.of(&removal.log) > removal.seq
    }
}

/// Why a scope needs a new epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// It has none yet.
    Missing,
    /// Its current epoch was started without knowing of these removals: who was removed by them
    /// may hold its key.
    Misses(Vec<OpId>),
}

/// The number of the scope at `path`: 1 for the whole space, else the first 62 bits of
/// `derive("stead/scope-number/1", space || path)`, big-endian, or 2 if those are below 2: an entry
/// has room for no more. So a number belongs to one path, and two devices that make a path a scope make the same one.
pub fn scope_at(space: &SpaceId, path: &Path) -> ScopeId {
    if path.is_whole_space() {
        return ScopeId::ROOT;
    }
    let mut material = Encoder::new();
    material.raw(space.as_bytes()).raw(path.as_str().as_bytes());
    let key = hash::derive("stead/scope-number/1", material.as_slice());
    let number = u64::from_be_bytes(std::array::from_fn(|i| key[i]));
    ScopeId::from_number((number >> 2).max(2))
}

/// What counts of epochs, scopes and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    scopes: BTreeMap<ScopeId, Path>,
    /// The scopes below `/` by the text of their paths.
    by_path: BTreeMap<Box<str>, ScopeId>,
    /// Also those whose making does not count any more.
    places: BTreeMap<ScopeId, Path>,
    /// The start of each scope that has one, and how many turns were taken.
    starts: BTreeMap<ScopeId, (Option<Start>, u32)>,
    epochs: BTreeMap<ScopeId, Vec<Epoch>>,
    /// What anyone declared who managed the scope at any time, void or not.
    ever: BTreeSet<(ScopeId, u32, KeyId)>,
    name: Option<(Name, u32)>,
}

impl Keys {
    /// `managed` says whether a device manages a path or did at any time, void or not.
    pub(crate) fn of(
        ledger: &Ledger,
        verdicts: &Verdicts,
        managed: &dyn Fn(DeviceId, &Path) -> bool,
    ) -> Self {
        let whole = Path::whole_space();
        let always = BTreeMap::from([
            (ScopeId::ROSTER, whole.clone()),
            (ScopeId::ROOT, whole.clone()),
        ]);
        let mut keys = Self {
            scopes: always.clone(),
            by_path: BTreeMap::new(),
            places: always,
            starts: BTreeMap::new(),
            epochs: BTreeMap::new(),
            ever: BTreeSet::new(),
            name: None,
        };
        let Some(genesis) = &ledger.genesis else {
            return keys;
        };
        let top = genesis.card.as_ref().map(|card| card.identity);
        let manages = |by: &Author, path: &Path| match by {
            Author::Entry { writer, seq } => verdicts.allows(writer, *seq, path, Action::Manage),
            Author::Root(root) => top == Some(*root),
        };
        let managed = |by: &Author, path: &Path| match by {
            Author::Entry { writer, .. } => {
                let device = ledger.claims.device_of(writer);
                device.is_some_and(|device| managed(device, path))
            }
            Author::Root(root) => top == Some(*root),
        };
        let mut places = keys.scopes.clone();
        for said in ledger.scopes.values() {
            let scope = scope_at(&ledger.space, &said.what);
            if managed(&said.by, &said.what) {
                places.insert(scope, said.what.clone());
            }
            if manages(&said.by, &said.what) {
                keys.by_path.insert(said.what.as_str().into(), scope);
                keys.scopes.insert(scope, said.what.clone());
            }
        }
        for (scope, path) in &places {
            let said = ledger.epochs.get(scope).into_iter().flatten();
            let said: Vec<_> = said.filter(|(_, said)| managed(&said.by, path)).collect();
            let declared = said.iter().map(|(_, said)| said.what.generation).collect();
            let reached = unbroken(&declared);
            let mut counting = Vec::new();
            for (id, said) in said {
                let epoch = &said.what;
                keys.ever.insert((*scope, epoch.generation, epoch.key));
                if epoch.generation < reached && manages(&said.by, path) {
                    counting.push(Epoch {
                        generation: epoch.generation,
                        key: epoch.key,
                        at: *id,
                        knows: epoch.knows.clone(),
                        previous: epoch.previous.clone(),
                        for_parent: epoch.for_parent.clone(),
                    });
                }
            }
            counting.sort_by_key(|epoch| (epoch.generation, epoch.key, epoch.at));
            if keys.scopes.contains_key(scope) {
                keys.epochs.insert(*scope, counting);
            }
        }
        for (scope, path) in &places {
            let said = ledger.starts.get(scope).into_iter().flatten();
            let said: Vec<_> = said.filter(|(_, said)| managed(&said.by, path)).collect();
            let taken = said.iter().map(|(_, said)| said.what.turn).collect();
            let reached = unbroken(&taken);
            let counts = said.into_iter().filter(|(_, said)| {
                said.what.turn < reached
                    && matches!(said.by, Author::Entry { .. })
                    && manages(&said.by, path)
            });
            let latest = counts.max_by_key(|(id, said)| (said.what.turn, **id));
            let start = latest.map(|(id, said)| Start {
                at: *id,
                said: said.what.clone(),
            });
            keys.starts.insert(*scope, (start, reached));
        }
        keys.places = places;
        let names = ledger.renames.iter();
        let latest = names
            .filter(|(_, said)| manages(&said.by, &whole))
            .max_by_key(|(id, said)| (said.what.1, **id));
        keys.name = latest.map(|(_, said)| said.what.clone());
        keys
    }

    /// Whether a key was declared by whoever manages or managed the scope, in an entry that is
    /// void, too: honest members may have sealed under it before they learned of the removal.
    pub(crate) fn ever_declared(&self, scope: ScopeId, generation: u32, key: KeyId) -> bool {
        self.ever.contains(&(scope, generation, key))
    }

    pub(crate) const fn name(&self) -> Option<&(Name, u32)> {
        self.name.as_ref()
    }

    pub(crate) const fn scopes(&self) -> &BTreeMap<ScopeId, Path> {
        &self.scopes
    }

    /// Every path that somebody who managed it at any time made a scope.
    pub(crate) const fn places(&self) -> &BTreeMap<ScopeId, Path> {
        &self.places
    }

    /// From where those begin who read a scope only.
    pub(crate) fn start(&self, scope: ScopeId) -> Option<&Start> {
        self.starts.get(&scope)?.0.as_ref()
    }

    /// The turn that the next start of a scope takes.
    pub(crate) fn next_turn(&self, scope: ScopeId) -> u32 {
        self.starts.get(&scope).map_or(0, |(_, turns)| *turns)
    }

    /// The innermost scope around `path`.
    pub(crate) fn scope_of(&self, path: &Path) -> ScopeId {
        let mut around = Some(path.as_str()).filter(|_| self.scopes.len() > 2);
        while let Some(text) = around.filter(|text| !text.is_empty()) {
            if let Some(scope) = self.by_path.get(text) {
                return *scope;
            }
            around = text.rsplit_once('/').map(|(above, _)| above);
        }
        ScopeId::ROOT
    }

    /// The scope around a scope; none for `/` and `@roster`.
    pub(crate) fn parent_of(&self, scope: ScopeId) -> Option<ScopeId> {
        let path = self.scopes.get(&scope).filter(|_| scope > ScopeId::ROOT)?;
        let around = self
            .scopes
            .iter()
            .filter(|(other, at)| **other != ScopeId::ROSTER && *at != path && at.covers(path));
        let innermost = around.max_by_key(|(_, at)| at.as_str().len());
        innermost.map(|(scope, _)| *scope)
    }

    pub(crate) fn epochs(&self, scope: ScopeId) -> &[Epoch] {
        self.epochs.get(&scope).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn current(&self, scope: ScopeId) -> Option<&Epoch> {
        let epochs = self.epochs(scope);
        let latest = epochs.last()?.generation;
        epochs.iter().find(|epoch| epoch.generation == latest)
    }

    /// Whether a membership reads a scope.
    pub(crate) fn reads(&self, membership: &Membership, scope: ScopeId) -> bool {
        scope == ScopeId::ROSTER
            || self
                .scopes
                .get(&scope)
                .is_some_and(|path| membership.path.covers(path))
    }

    /// The devices that a scope's keys are sealed to. Of two descriptions of one device, that
    /// from the most senior membership counts.
    pub(crate) fn readers<'a>(
        &self,
        scope: ScopeId,
        memberships: &'a BTreeMap<OpId, Membership>,
    ) -> BTreeMap<DeviceId, &'a DeviceRecord> {
        let mut reading: Vec<_> = memberships
            .values()
            .filter(|membership| self.reads(membership, scope))
            .collect();
        reading.sort_by_key(|membership| (membership.rank, membership.id));
        let mut readers = BTreeMap::new();
        for record in reading.iter().flat_map(|membership| membership.devices()) {
            readers.entry(record.id).or_insert(record);
        }
        readers
    }

    /// The scopes that need a new epoch, and why.
    pub(crate) fn stale(
        &self,
        memberships: &BTreeMap<OpId, Membership>,
    ) -> BTreeMap<ScopeId, Stale> {
        let mut stale = BTreeMap::new();
        let ended: Vec<(&Membership, Vec<&Ended>)> = memberships
            .values()
            .map(|membership| (membership, ends(membership).collect::<Vec<_>>()))
            .filter(|(_, ends)| !ends.is_empty())
            .collect();
        for scope in self.scopes.keys() {
            let Some(current) = self.current(*scope) else {
                stale.insert(*scope, Stale::Missing);
                continue;
            };
            let mut missed = BTreeSet::new();
            for (membership, ends) in &ended {
                if self.reads(membership, *scope) {
                    for ended in ends {
                        missed.extend(missing(current, ended));
                    }
                }
            }
            if !missed.is_empty() {
                stale.insert(*scope, Stale::Misses(missed.into_iter().collect()));
            }
        }
        stale
    }
}

/// How many generations were declared without a gap from the first on: a leap to the last number
/// there is would leave no room for a next one.
fn unbroken(declared: &BTreeSet<u32>) -> u32 {
    let steps = (0..).zip(declared).take_while(|(i, found)| i == *found);
    steps.count() as u32
}

/// Every removal that took keys away from someone: of the membership, or of one of its devices.
pub(crate) fn ends(membership: &Membership) -> impl Iterator<Item = &Ended> {
    let had_keys = membership.subject.is_sealed_to();
    let whole = membership.ended.iter().filter(move |_| had_keys);
    let bounds = membership.lines.iter().flat_map(|line| &line.within);
    whole.chain(bounds.filter_map(|bounds| bounds.ended.as_ref()))
}

fn missing(epoch: &Epoch, ended: &Ended) -> Vec<OpId> {
    let (known, missed): (Vec<OpId>, _) = ended.by.iter().partition(|id| epoch.knows_of(id));
    // A vote is known when all of it is: some of the votes may not have sufficed.
    let needed = match ended.how {
        EndedBy::Equals => ended.by.len(),
        EndedBy::Senior | EndedBy::Itself => 1,
    };
    if known.len() >= needed {
        Vec::new()
    } else {
        missed
    }
}
