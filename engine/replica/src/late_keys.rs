//! Keys whose declaration was lost: where a log turned out to be forked, what it declared beyond that
//! place is gone, and others may have sealed under it in good faith.
//!
//! Owns that such entries open for everyone all the same. Whoever uses such a key says it again, as
//! was said before, and hands it to all who may read; where its word does not count, a device that
//! manages the scope repeats it. No declaration is trusted with more than before: it knows of no
//! removal, so nothing is sealed under the key where somebody was put out.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use stead_access::{Action, DeviceRecord, Lengths, Roster, RosterOp, ScopedKey, StartEpoch};
use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_crypt::EpochKey;
use stead_log::{BatchEntries, EntryRef};
use stead_store::Read;

use crate::epochs::{BOXES_PER_ENTRY, OPS_PER_ENTRY};
use crate::space::{SpaceState, membership_secret};
use crate::writing::Writing;
use crate::{Replica, ReplicaError};

/// Keys of one generation up to which others' are declared for them.
const ASKED_KEYS_MAX: usize = 16;

impl SpaceState {
    /// Keys in use that nobody with a say declares any more, as the roster `before` had them.
    fn lost_keys(&self, before: &Roster) -> Vec<StartEpoch> {
        let declared = |scope: ScopeId, generation: u32, key: &EpochKey| {
            let is_first = scope == ScopeId::ROSTER && generation == 0;
            (is_first && membership_secret(key) == self.record.secret)
                || self.roster.may_open_under(scope, generation, &key.id())
        };
        let held = self.ring.iter();
        held.filter(|(scope, generation, key)| !declared(*scope, *generation, key))
            .map(|(scope, generation, key)| {
                let key = key.id();
                let said = before.epochs(scope).iter();
                let mut said = said.filter(|it| it.generation == generation && it.key == key);
                StartEpoch {
                    scope,
                    generation,
                    key,
                    knows: Lengths::default(),
                    previous: said.next().map_or_else(Vec::new, |it| it.previous.clone()),
                    for_parent: Vec::new(),
                }
            })
            .collect()
    }

    /// The key of `@roster` of the latest generation below one.
    pub(crate) fn key_below(&self, below: u32) -> Option<(u32, &EpochKey)> {
        let epochs = self.roster.epochs(ScopeId::ROSTER).iter();
        let held = epochs
            .filter(|epoch| epoch.generation < below)
            .filter_map(|epoch| {
                let key = self
                    .ring
                    .find(ScopeId::ROSTER, epoch.generation, &epoch.key)?;
                Some((epoch, key))
            });
        let latest = held.max_by_key(|(epoch, _)| (epoch.generation, Reverse(epoch.key)));
        latest.map(|(epoch, key)| (epoch.generation, key))
    }

    /// Keys that members ask to have declared, and that `own` holds and may declare.
    fn asked_of(&self, own: &DeviceId) -> Vec<StartEpoch> {
        let mut asked: Vec<StartEpoch> = Vec::new();
        for epoch in self.roster.asked_epochs() {
            let (scope, generation) = (epoch.scope, epoch.generation);
            let declared = self.roster.epochs(scope);
            let next = declared.last().map_or(0, |last| last.generation + 1);
            let beside = declared.iter().filter(|it| it.generation == generation);
            let path = self.roster.scopes().get(&scope);
            let mine = generation <= next
                && beside.count() < ASKED_KEYS_MAX
                && path.is_some_and(|path| self.roster.can(own, path, Action::Manage))
                && self.keeps_undeclared(scope, generation, &epoch.key);
            let same = |it: &StartEpoch| {
                (it.scope, it.generation, it.key) == (scope, generation, epoch.key)
            };
            if mine && asked.len() < OPS_PER_ENTRY && !asked.iter().any(same) {
                asked.push(StartEpoch {
                    knows: Lengths::default(),
                    for_parent: Vec::new(),
                    ..epoch.clone()
                });
            }
        }
        asked
    }
}

impl Replica {
    /// Spaces in which members ask for the declaration of keys, and this device can help.
    pub(crate) fn spaces_asked_for_keys(&self) -> Vec<SpaceId> {
        let device = self.device();
        let asked = self.spaces.values().filter(|space| {
            space.newest_key(ScopeId::ROSTER).is_some() && !space.asked_of(&device).is_empty()
        });
        asked.map(|space| space.id).collect()
    }
}

impl Writing<'_> {
    /// Declares the keys that members ask for.
    pub(crate) fn declare_asked_keys(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        let asked = self.space(id)?.asked_of(&own);
        if asked.is_empty() {
            return Ok(());
        }
        self.own_writer(id)?;
        let ops: Vec<RosterOp> = asked.into_iter().map(RosterOp::Epoch).collect();
        self.send_keys(id, &ops, &[], &[])?;
        self.roster_changed(id);
        Ok(())
    }

    /// Says again, and hands on, what keys are in use that lost their declaration. If this device's
    /// log holds entries under such a key, nobody else reads on there: a fresh one says it. So it does
    /// while that log is still to be taken up again: what is appended counts as taken.
    pub(crate) fn hand_on_lost_keys(
        &mut self,
        id: &SpaceId,
        before: &Roster,
    ) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        let space = self.space(id)?;
        let lost = space.lost_keys(before);
        if lost.is_empty() || !space.is_member(&own) {
            return Ok(());
        }
        let of_roster = lost.iter().filter(|it| it.scope == ScopeId::ROSTER);
        let below = of_roster.map(|it| it.generation).min();
        if let Some(writer) = space.own.as_ref().map(|own| own.id)
            && self.wrote_from(id, below.unwrap_or(u32::MAX))?
        {
            self.retire_if_own(id, &writer)?;
        }
        self.space(id)?.said_below = below;
        let said = self.hand_on(id, before, &lost);
        self.space(id)?.said_below = None;
        match said {
            Err(error @ ReplicaError::NotAdmitted { .. }) => {
                tracing::warn!(%error, "keys that a fork took away cannot be handed on");
                Ok(())
            }
            said => said,
        }
    }

    fn hand_on(
        &mut self,
        id: &SpaceId,
        before: &Roster,
        lost: &[StartEpoch],
    ) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        self.own_writer(id)?;
        for epoch in lost {
            let (scope, generation) = (epoch.scope, epoch.generation);
            let space = self.space(id)?;
            let Some(key) = space.ring.find(scope, generation, &epoch.key) else {
                continue;
            };
            let key = ScopedKey {
                scope,
                generation,
                key: EpochKey::from_bytes(key.expose()),
            };
            let readers = space.recipients(scope).into_iter();
            let readers: Vec<DeviceRecord> = readers
                .filter(|(device, _)| *device != own)
                .map(|(_, record)| record.clone())
                .collect();
            let mut ops = Vec::new();
            if space.roster.place_of(scope).is_none()
                && let Some(path) = before.place_of(scope)
            {
                ops.push(RosterOp::Scope { path: path.clone() });
            }
            ops.push(RosterOp::Epoch(epoch.clone()));
            let mut groups = readers.chunks(BOXES_PER_ENTRY);
            let keys = [key];
            self.send_keys(id, &ops, groups.next().unwrap_or_default(), &keys)?;
            for group in groups {
                self.send_keys(id, &[], group, &keys)?;
            }
        }
        self.roster_changed(id);
        Ok(())
    }

    /// Whether this device's log holds an entry under that generation of `@roster` or a later one, or
    /// is not taken up.
    fn wrote_from(&mut self, id: &SpaceId, generation: u32) -> Result<bool, ReplicaError> {
        let space = self.space(id)?;
        let own = space.own.as_ref().map(|own| own.id);
        let Some(state) = own.and_then(|own| space.writers.get(&own)) else {
            return Ok(false);
        };
        let (no, mut found) = (state.no, state.applied < state.accepted());
        self.tx.each_segment(no, 0, &mut |_, _, bytes| {
            let mut entries = BatchEntries::new(bytes);
            while let Ok(Some(bytes)) = entries.next_bytes() {
                let entry = EntryRef::parse(bytes);
                found |= entry.is_ok_and(|entry| entry.envelope().epoch >= generation);
            }
            match found {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        Ok(found)
    }
}
