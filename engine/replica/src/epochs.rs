//! Epochs of a space's keys: sealing under the current one, starting the next, and carrying keys to
//! those who may read.
//!
//! Owns when a key is made and who gets it. Who may read is for the roster to say.

use std::collections::BTreeMap;

use stead_access::{
    Action, DeviceRecord, Epoch, KEYS_PER_BOX_MAX, KeyPlace, Path, RosterOp, ScopedKey, StartEpoch,
    encode_boxes, seal_keys,
};
use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_crypt::{EpochKey, KeyId, hash, wrapkey};

use crate::space::SpaceState;
use crate::writing::Writing;
use crate::{Replica, ReplicaError};

/// Boxes that one entry carries; more go into entries of their own.
pub(crate) const BOXES_PER_ENTRY: usize = 256;
/// Operations that one entry carries while epochs are started.
pub(crate) const OPS_PER_ENTRY: usize = 256;

/// What a key that is sealed under the next generation's is bound to.
fn previous_context(space: &SpaceId, scope: ScopeId, generation: u32) -> Vec<u8> {
    let mut context = b"stead/previous-epoch/1".to_vec();
    context.extend_from_slice(space.as_bytes());
    context.extend_from_slice(&scope.number().to_be_bytes());
    context.extend_from_slice(&generation.to_be_bytes());
    context
}

/// What a scope's key that is sealed under the key of a scope around it is bound to.
fn parent_context(
    space: &SpaceId,
    scope: ScopeId,
    generation: u32,
    outer: (ScopeId, u32),
) -> Vec<u8> {
    let mut context = b"stead/epoch-for-parent/1".to_vec();
    context.extend_from_slice(space.as_bytes());
    for (scope, generation) in [(scope, generation), outer] {
        context.extend_from_slice(&scope.number().to_be_bytes());
        context.extend_from_slice(&generation.to_be_bytes());
    }
    context
}

/// Which key around a scope its key is sealed under, by scope and generation, and the sealed key.
fn read_for_parent(bytes: &[u8]) -> Option<((ScopeId, u32), &[u8])> {
    let (scope, rest) = bytes.split_first_chunk()?;
    let (generation, sealed) = rest.split_first_chunk()?;
    let scope = ScopeId::from_number(u64::from_be_bytes(*scope));
    Some(((scope, u32::from_be_bytes(*generation)), sealed))
}

fn unwrap_key(outer: &EpochKey, context: &[u8], sealed: &[u8]) -> Option<EpochKey> {
    let bytes = wrapkey::open(outer.expose(), context, sealed).ok()?;
    Some(EpochKey::from_bytes(
        &<[u8; 32]>::try_from(&bytes[..]).ok()?,
    ))
}

/// Devices by the keys they lack, as many as one entry has room for: those who lack the same share
/// an entry.
pub(crate) fn grouped(
    lacking: impl Iterator<Item = (DeviceRecord, Vec<ScopedKey>)>,
) -> Vec<(Vec<ScopedKey>, Vec<DeviceRecord>)> {
    let mut groups: Vec<(Vec<ScopedKey>, Vec<DeviceRecord>)> = Vec::new();
    for (record, keys) in lacking {
        let room = |group: &&mut (Vec<ScopedKey>, Vec<DeviceRecord>)| {
            group.0 == keys && group.1.len() < BOXES_PER_ENTRY
        };
        match groups.iter_mut().find(room) {
            Some((_, devices)) => devices.push(record),
            None => groups.push((keys, vec![record])),
        }
    }
    groups
}

/// A key and a device in eight bytes.
pub(crate) fn served(device: &DeviceId, key: &KeyId) -> u64 {
    let hash = hash::keyed(device.as_bytes(), key.as_bytes());
    u64::from_be_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
}

impl SpaceState {
    /// The key to seal new parcels of a scope under. Refused while the scope's epoch misses a
    /// removal that is known here: who was removed could read what is sealed under it.
    pub(crate) fn sealing_key(&self, scope: ScopeId) -> Result<(u32, &EpochKey), ReplicaError> {
        let not_admitted = || ReplicaError::NotAdmitted {
            space: self.record.name.clone(),
        };
        if self.stale.contains(&scope) {
            return Err(ReplicaError::Refused(format!(
                "somebody was removed from {:?} and its keys are not renewed yet: a manager's device does that when it is next reached",
                self.record.name
            )));
        }
        let epoch = self.roster.current_epoch(scope).ok_or_else(not_admitted)?;
        let key = self.ring.find(scope, epoch.generation, &epoch.key);
        Ok((epoch.generation, key.ok_or_else(not_admitted)?))
    }

    /// The key to seal roster operations under, which also heal a stale epoch.
    pub(crate) fn newest_key(&self, scope: ScopeId) -> Option<(u32, &EpochKey)> {
        let below = self.said_below.filter(|_| scope == ScopeId::ROSTER);
        if let Some(earlier) = below.and_then(|below| self.key_below(below)) {
            return Some(earlier);
        }
        let epoch = self.roster.current_epoch(scope)?;
        let key = self.ring.find(scope, epoch.generation, &epoch.key)?;
        Some((epoch.generation, key))
    }

    /// Whether a device takes the key of an epoch out of that of a scope around it, which it reads
    /// too: it needs no box for it.
    pub(crate) fn unwraps(&self, device: &DeviceId, scope: ScopeId, for_parent: &[u8]) -> bool {
        let outer = read_for_parent(for_parent).map(|((outer, _), _)| outer);
        let is_around =
            |outer: &ScopeId| match (self.roster.place_of(*outer), self.roster.place_of(scope)) {
                (Some(outer), Some(inner)) => outer.covers(inner),
                _ => false,
            };
        outer
            .filter(is_around)
            .is_some_and(|outer| self.roster.reads(device, outer))
    }

    /// The readers that lack keys which are `own`'s to send, with those keys. Whoever started an
    /// epoch sends its key to all who may read, also to those let in later; once they are out of the
    /// space, everyone does who manages the scope. What they do not send is asked for (`asking`).
    pub(crate) fn unserved(&self, own: &DeviceId) -> Vec<(DeviceRecord, Vec<ScopedKey>)> {
        if !self.is_member(own) {
            return Vec::new();
        }
        let mut lacking: BTreeMap<DeviceId, (DeviceRecord, Vec<ScopedKey>)> = BTreeMap::new();
        for (scope, path) in self.roster.scopes() {
            let manages = self.roster.can(own, path, Action::Manage);
            for epoch in self.roster.epochs(*scope) {
                let author = self.roster.device_of(&epoch.at.log);
                let is_mine = author == Some(*own)
                    || (manages && author.is_none_or(|author| !self.is_member(&author)));
                let key = self.ring.find(*scope, epoch.generation, &epoch.key);
                let (true, Some(key)) = (is_mine, key) else {
                    continue;
                };
                for (device, record) in self.recipients(*scope) {
                    let has = device == *own
                        || self.record.served.contains(&served(&device, &epoch.key))
                        || self.unwraps(&device, *scope, &epoch.for_parent);
                    if !has {
                        let slot = lacking.entry(device);
                        let (_, keys) = slot.or_insert_with(|| (record.clone(), Vec::new()));
                        if keys.len() < KEYS_PER_BOX_MAX {
                            keys.push(ScopedKey {
                                scope: *scope,
                                generation: epoch.generation,
                                key: EpochKey::from_bytes(key.expose()),
                            });
                        }
                    }
                }
            }
        }
        lacking.into_values().collect()
    }

    /// The keys that somebody who reads what is at and below `path` may have, and the roster's. The
    /// outermost come first; what is beyond the room of a box is served later, or comes out of
    /// those.
    pub(crate) fn keys_at(&self, path: &Path) -> Vec<ScopedKey> {
        let depth = |scope: ScopeId| match scope {
            ScopeId::ROSTER => Some(0),
            _ => {
                let at = self.roster.place_of(scope).filter(|at| path.covers(at))?;
                Some(at.as_str().len())
            }
        };
        let mut held: Vec<_> = self
            .ring
            .iter()
            .filter_map(|(scope, generation, key)| Some((depth(scope)?, scope, generation, key)))
            .collect();
        held.sort_by_key(|(depth, scope, generation, _)| {
            (*depth, *scope, std::cmp::Reverse(*generation))
        });
        held.truncate(KEYS_PER_BOX_MAX);
        let scoped = |(_, scope, generation, key): (usize, ScopeId, u32, &EpochKey)| ScopedKey {
            scope,
            generation,
            key: EpochKey::from_bytes(key.expose()),
        };
        held.into_iter().map(scoped).collect()
    }

    /// The key of the generation before an epoch's, if only the epoch's is held.
    fn previous_key(&self, scope: ScopeId, epoch: &Epoch) -> Option<(ScopeId, u32, EpochKey)> {
        let last = epoch.generation.checked_sub(1)?;
        if epoch.previous.is_empty() || !self.ring.of(scope, last).is_empty() {
            return None;
        }
        let held = self.ring.find(scope, epoch.generation, &epoch.key)?;
        let context = previous_context(&self.id, scope, last);
        let key = unwrap_key(held, &context, &epoch.previous)?;
        // A key that nobody declared would be kept and never used: not worth keeping.
        let declared = self.roster.may_open_under(scope, last, &key.id());
        declared.then_some((scope, last, key))
    }

    /// The key of an epoch, if only that of the scope around it is held.
    fn key_inside(&self, scope: ScopeId, epoch: &Epoch) -> Option<(ScopeId, u32, EpochKey)> {
        let held = self.ring.find(scope, epoch.generation, &epoch.key);
        if held.is_some() || !self.roster.reads(&self.device, scope) {
            return None;
        }
        let (outer, sealed) = read_for_parent(&epoch.for_parent)?;
        let context = parent_context(&self.id, scope, epoch.generation, outer);
        let held = self.ring.of(outer.0, outer.1).iter();
        let mut opened = held.filter_map(|held| unwrap_key(held, &context, sealed));
        let key = opened.find(|key| key.id() == epoch.key)?;
        Some((scope, epoch.generation, key))
    }

    /// Scopes that need a new epoch and that `own` may give one, what is around others first.
    pub(crate) fn renewable(&self, own: &DeviceId) -> Vec<ScopeId> {
        let stale = self.roster.stale_scopes().into_keys();
        let mut mine: Vec<(usize, ScopeId)> = stale
            .filter_map(|scope| {
                let path = self.roster.scopes().get(&scope)?;
                let order = match scope {
                    ScopeId::ROSTER => 0,
                    _ => path.as_str().len(),
                };
                let may = self.roster.can(own, path, Action::Manage);
                may.then_some((order, scope))
            })
            .collect();
        mine.sort_unstable();
        mine.into_iter().map(|(_, scope)| scope).collect()
    }
}

impl Replica {
    /// Spaces of which a scope's epoch misses a removal, and whose keys this device may renew.
    pub(crate) fn spaces_to_rekey(&self) -> Vec<SpaceId> {
        let device = self.device();
        let due = |space: &&SpaceState| !space.renewable(&device).is_empty();
        let due = self.spaces.values().filter(due);
        due.map(|space| space.id).collect()
    }
}

impl Writing<'_> {
    /// The operation that starts the next epoch of a scope, and its key. `made` are keys of epochs
    /// that are about to be started as well.
    pub(crate) fn next_epoch(
        &mut self,
        id: &SpaceId,
        scope: ScopeId,
        around: Option<ScopeId>,
        made: &[ScopedKey],
    ) -> Result<(RosterOp, ScopedKey), ReplicaError> {
        let space = self
            .spaces
            .get(id)
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
        let wrap_failed = |_| ReplicaError::ForeignKeys;
        let last = space.roster.epochs(scope).last();
        let generation = last.map_or(0, |epoch| epoch.generation + 1);
        let key = EpochKey::generate(&mut *self.entropy);
        let previous = match space.newest_key(scope) {
            None => Vec::new(),
            Some((last, before)) => {
                let context = previous_context(id, scope, last);
                wrapkey::seal(key.expose(), &context, before.expose(), &mut *self.entropy)
                    .map_err(wrap_failed)?
            }
        };
        let outer = around.and_then(|around| {
            let fresh = made.iter().find(|made| made.scope == around);
            let fresh = fresh.map(|made| (made.generation, &made.key));
            let (generation, key) = fresh.or_else(|| space.newest_key(around))?;
            Some(((around, generation), key))
        });
        let for_parent = match outer {
            None => Vec::new(),
            Some((outer, outer_key)) => {
                let context = parent_context(id, scope, generation, outer);
                let sealed = wrapkey::seal(
                    outer_key.expose(),
                    &context,
                    key.expose(),
                    &mut *self.entropy,
                )
                .map_err(wrap_failed)?;
                let number = outer.0.number().to_be_bytes();
                [&number[..], &outer.1.to_be_bytes(), &sealed].concat()
            }
        };
        let op = RosterOp::Epoch(StartEpoch {
            scope,
            generation,
            key: key.id(),
            knows: space.roster.known_removals(scope),
            previous,
            for_parent,
        });
        Ok((
            op,
            ScopedKey {
                scope,
                generation,
                key,
            },
        ))
    }

    /// Starts a new epoch of every scope whose present one is missing or misses a removal, as far as
    /// this device manages it, and sends the keys to everyone who may read. Returns how many were
    /// started.
    pub(crate) fn renew_keys(&mut self, id: &SpaceId) -> Result<usize, ReplicaError> {
        let own = self.keys.id();
        if self.space(id)?.renewable(&own).is_empty() {
            return Ok(0);
        }
        self.own_writer(id)?;
        let stale = self.space(id)?.renewable(&own);
        let mut started: Vec<(RosterOp, ScopedKey)> = Vec::new();
        let mut made = Vec::new();
        for scope in stale {
            let around = self.space(id)?.roster.parent_of(scope);
            let (op, key) = self.next_epoch(id, scope, around, &made)?;
            made.push(ScopedKey {
                key: EpochKey::from_bytes(key.key.expose()),
                ..key
            });
            started.push((op, key));
        }
        let count = started.len();
        self.start_epochs(id, Vec::new(), started)?;
        Ok(count)
    }

    /// Writes operations that start epochs, after `first`, and sends the keys to all who may read and
    /// do not find them sealed under a key that they have.
    pub(crate) fn start_epochs(
        &mut self,
        id: &SpaceId,
        mut first: Vec<RosterOp>,
        started: Vec<(RosterOp, ScopedKey)>,
    ) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        let (ops, made): (Vec<RosterOp>, Vec<ScopedKey>) = started.into_iter().unzip();
        let mut wanted: BTreeMap<DeviceId, (DeviceRecord, Vec<ScopedKey>)> = BTreeMap::new();
        let space = self.space(id)?;
        for (op, key) in ops.iter().zip(&made) {
            let RosterOp::Epoch(epoch) = op else {
                continue;
            };
            for (device, record) in space.recipients(key.scope) {
                if device == own || space.unwraps(&device, key.scope, &epoch.for_parent) {
                    continue;
                }
                let slot = wanted.entry(device);
                let (_, keys) = slot.or_insert_with(|| (record.clone(), Vec::new()));
                if keys.len() < KEYS_PER_BOX_MAX {
                    keys.push(ScopedKey {
                        key: EpochKey::from_bytes(key.key.expose()),
                        ..*key
                    });
                }
            }
        }
        let mut groups = grouped(wanted.into_values());
        // The entry that declares an epoch is still sealed under the old ones: whoever was just
        // removed may see that, and nothing after it. One group of boxes rides along.
        let riding = match ops.len() + first.len() <= OPS_PER_ENTRY && !groups.is_empty() {
            true => Some(groups.remove(0)),
            false => None,
        };
        let (mut devices, mut keys) = (Vec::new(), Vec::new());
        if let Some((of, riders)) = riding {
            (keys, devices) = (of, riders);
        }
        let mut ops = ops.into_iter().zip(&made).peekable();
        loop {
            let mut begun = Vec::new();
            while first.len() < OPS_PER_ENTRY
                && let Some((op, key)) = ops.next()
            {
                first.push(op);
                begun.push(key);
            }
            self.send_keys(id, &std::mem::take(&mut first), &devices, &keys)?;
            devices.clear();
            for scoped in begun {
                let (scope, generation) = (scoped.scope, scoped.generation);
                let space = self
                    .spaces
                    .get_mut(id)
                    .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
                space.add_key(
                    scope,
                    generation,
                    &scoped.key,
                    self.keys,
                    &mut *self.entropy,
                )?;
            }
            self.roster_changed(id);
            if ops.peek().is_none() {
                break;
            }
        }
        // The others follow under the new epochs, which are the current ones now. Their boxes open
        // before anything else of these entries does.
        for (keys, devices) in &groups {
            self.send_keys(id, &[], devices, keys)?;
        }
        Ok(())
    }

    /// Writes one entry with roster operations and `keys` sealed to each of `devices`.
    pub(crate) fn send_keys(
        &mut self,
        id: &SpaceId,
        ops: &[RosterOp],
        devices: &[DeviceRecord],
        keys: &[ScopedKey],
    ) -> Result<u64, ReplicaError> {
        let writer = self.own_writer(id)?;
        let seq = self.writer_len(id, &writer)?;
        let place = KeyPlace {
            space: *id,
            granted_at: (writer, seq),
        };
        let boxes = devices
            .iter()
            .map(|device| seal_keys(device, &place, keys, &mut *self.entropy))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let boxes: Vec<Vec<u8>> = match boxes.is_empty() {
            true => Vec::new(),
            false => vec![encode_boxes(&boxes)],
        };
        let hlc = self.clock.tick(self.now_ms);
        let seq = self.append_own(id, hlc, ops, &[], &boxes)?;
        let space = self.space(id)?;
        for device in devices {
            for key in keys {
                space
                    .record
                    .served
                    .insert(served(&device.id, &key.key.id()));
            }
        }
        self.dirty_space(id);
        Ok(seq)
    }

    /// Sends keys to the devices that may read and have not got them, as far as that is this
    /// device's to do. Returns whether there were any.
    pub(crate) fn serve_readers(&mut self, id: &SpaceId) -> Result<bool, ReplicaError> {
        let own = self.keys.id();
        let space = self
            .spaces
            .get(id)
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
        let unserved = space.unserved(&own);
        let groups = grouped(unserved.into_iter());
        for (keys, devices) in &groups {
            self.send_keys(id, &[], devices, keys)?;
        }
        Ok(!groups.is_empty())
    }

    /// Sends devices that were just let in the keys of all that they may read and that are held here.
    pub(crate) fn welcome(
        &mut self,
        id: &SpaceId,
        devices: &[DeviceRecord],
    ) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        let space = self.space(id)?;
        let mut groups: Vec<(Vec<ScopedKey>, Vec<DeviceRecord>)> = Vec::new();
        let readers: BTreeMap<ScopeId, Vec<DeviceId>> = (space.roster.scopes().keys())
            .map(|scope| {
                let readers = space.recipients(*scope);
                (*scope, readers.into_keys().collect())
            })
            .collect();
        for record in devices.iter().filter(|record| record.id != own) {
            let keys: Vec<ScopedKey> = space
                .keys_at(&Path::whole_space())
                .into_iter()
                .filter(|key| {
                    let may = readers.get(&key.scope);
                    may.is_some_and(|may| may.binary_search(&record.id).is_ok())
                        && !space
                            .record
                            .served
                            .contains(&served(&record.id, &key.key.id()))
                })
                .collect();
            match groups.iter_mut().find(|(held, _)| *held == keys) {
                _ if keys.is_empty() => {}
                Some((_, devices)) => devices.push(record.clone()),
                None => groups.push((keys, vec![record.clone()])),
            }
        }
        for (keys, devices) in &groups {
            for devices in devices.chunks(BOXES_PER_ENTRY) {
                self.send_keys(id, &[], devices, keys)?;
            }
        }
        Ok(())
    }

    /// Takes the keys of earlier epochs out of later ones, for a device that missed some.
    pub(crate) fn take_wrapped_keys(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        loop {
            let space = self.space(id)?;
            let mut found = None;
            for scope in space.roster.scopes().keys() {
                for epoch in space.roster.epochs(*scope) {
                    found = found
                        .or_else(|| space.previous_key(*scope, epoch))
                        .or_else(|| space.key_inside(*scope, epoch));
                }
            }
            let Some((scope, generation, key)) = found else {
                return Ok(());
            };
            let space = self
                .spaces
                .get_mut(id)
                .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
            if !space.add_key(scope, generation, &key, self.keys, &mut *self.entropy)? {
                return Ok(());
            }
            self.dirty_space(id);
            self.unsettled.insert(*id);
        }
    }

    /// Looks at entries again that did not open, when another key of their generation came.
    pub(crate) fn read_again_if_needed(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        if !std::mem::take(&mut space.reread) {
            return Ok(());
        }
        let writers: Vec<_> = space.writers.keys().copied().collect();
        let is_part = space.part.is_some();
        for state in space.writers.values_mut() {
            // What a skeleton stands for was read when it was taken.
            if state.record.base == 0 || is_part {
                state.record.read = 0;
                state.record.last_hlc = stead_base::Hlc::ZERO;
            }
        }
        for writer in &writers {
            self.dirty_writer(id, writer);
        }
        self.misjudged.insert(*id);
        self.unsettled.insert(*id);
        Ok(())
    }
}
