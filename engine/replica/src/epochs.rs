//! Epochs of a space's keys: sealing under the current one, starting the next, and carrying keys to
//! those who may read.
//!
//! Owns when a key is made and who gets it. Who may read is for the roster to say.

use std::collections::BTreeMap;

use stead_access::{
    Action, DeviceRecord, KeyPlace, Path, RosterOp, ScopedKey, StartEpoch, encode_boxes, seal_keys,
};
use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_crypt::{EpochKey, KeyId, hash, wrapkey};

use crate::space::SpaceState;
use crate::writing::Writing;
use crate::{Replica, ReplicaError};

/// Boxes that one entry carries; more go into entries of their own.
const BOXES_PER_ENTRY: usize = 256;

/// What a key that is sealed under the next generation's is bound to.
fn previous_context(space: &SpaceId, scope: ScopeId, generation: u32) -> Vec<u8> {
    let mut context = b"stead/previous-epoch/1".to_vec();
    context.extend_from_slice(space.as_bytes());
    context.extend_from_slice(&scope.number().to_be_bytes());
    context.extend_from_slice(&generation.to_be_bytes());
    context
}

/// A key and a device in eight bytes.
fn served(device: &DeviceId, key: &KeyId) -> u64 {
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
        let epoch = self.roster.current_epoch(scope)?;
        let key = self.ring.find(scope, epoch.generation, &epoch.key)?;
        Some((epoch.generation, key))
    }

    /// The readers that lack keys which are `own`'s to send, with those keys. Whoever started an
    /// epoch sends its key to all who may read, also to those let in later; once they are out of the
    /// space, every manager does.
    pub(crate) fn unserved(&self, own: &DeviceId) -> Vec<(DeviceRecord, Vec<ScopedKey>)> {
        if !self.is_member(own) {
            return Vec::new();
        }
        let manages = self.roster.can(own, &Path::whole_space(), Action::Manage);
        let mut lacking: BTreeMap<DeviceId, (DeviceRecord, Vec<ScopedKey>)> = BTreeMap::new();
        for scope in self.roster.scopes().keys() {
            for epoch in self.roster.epochs(*scope) {
                let author = self.roster.device_of(&epoch.at.log);
                let is_mine = author == Some(*own)
                    || (manages && author.is_none_or(|author| !self.is_member(&author)));
                let key = self.ring.find(*scope, epoch.generation, &epoch.key);
                let (true, Some(key)) = (is_mine, key) else {
                    continue;
                };
                for (device, record) in self.roster.readers(*scope) {
                    let has =
                        device == *own || self.record.served.contains(&served(&device, &epoch.key));
                    if !has {
                        let slot = lacking.entry(device);
                        let (_, keys) = slot.or_insert_with(|| (record.clone(), Vec::new()));
                        keys.push(ScopedKey {
                            scope: *scope,
                            generation: epoch.generation,
                            key: EpochKey::from_bytes(key.expose()),
                        });
                    }
                }
            }
        }
        lacking.into_values().collect()
    }

    /// Every key that is held, for a box.
    pub(crate) fn all_keys(&self) -> Vec<ScopedKey> {
        let scoped = |(scope, generation, key): (ScopeId, u32, &EpochKey)| ScopedKey {
            scope,
            generation,
            key: EpochKey::from_bytes(key.expose()),
        };
        self.ring.iter().map(scoped).collect()
    }
}

impl Replica {
    /// Spaces of which a scope's epoch misses a removal, and whose keys this device may renew.
    pub(crate) fn spaces_to_rekey(&self) -> Vec<SpaceId> {
        let device = self.device();
        let due = |space: &&SpaceState| {
            !space.roster.stale_scopes().is_empty()
                && space
                    .roster
                    .can(&device, &Path::whole_space(), Action::Manage)
        };
        let due = self.spaces.values().filter(due);
        due.map(|space| space.id).collect()
    }
}

impl Writing<'_> {
    /// Starts a new epoch of every scope whose present one is missing or misses a removal, and
    /// sends the keys to everyone who may read. Returns how many were started.
    pub(crate) fn renew_keys(&mut self, id: &SpaceId) -> Result<usize, ReplicaError> {
        self.own_writer(id)?;
        let space = self.space(id)?;
        let stale: Vec<ScopeId> = space.roster.stale_scopes().into_keys().collect();
        let (mut ops, mut made) = (Vec::new(), Vec::new());
        for scope in stale {
            let space = self
                .spaces
                .get(id)
                .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
            let before = space.newest_key(scope);
            let generation = space
                .roster
                .epochs(scope)
                .last()
                .map_or(0, |epoch| epoch.generation + 1);
            let key = EpochKey::generate(&mut *self.entropy);
            let previous = match before {
                None => Vec::new(),
                Some((last, before)) => {
                    let context = previous_context(id, scope, last);
                    wrapkey::seal(key.expose(), &context, before.expose(), &mut *self.entropy)
                        .map_err(|_| ReplicaError::ForeignKeys)?
                }
            };
            ops.push(RosterOp::Epoch(StartEpoch {
                scope,
                generation,
                key: key.id(),
                knows: space.roster.known_removals(scope),
                previous,
                for_parent: Vec::new(),
            }));
            made.push(ScopedKey {
                scope,
                generation,
                key,
            });
        }
        if made.is_empty() {
            return Ok(0);
        }
        let own = self.keys.id();
        let readers: Vec<DeviceRecord> = self
            .space(id)?
            .roster
            .devices()
            .into_values()
            .filter(|record| record.id != own)
            .cloned()
            .collect();
        // The entry that declares the epochs is still sealed under the old ones: whoever was just
        // removed may see that, and nothing after it.
        let mut groups = readers.chunks(BOXES_PER_ENTRY);
        self.send_keys(id, &ops, groups.next().unwrap_or(&[]), &made)?;
        for scoped in &made {
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
        // The others follow under the new epochs, which are the current ones now. Their boxes open
        // before anything else of these entries does.
        for group in groups {
            self.send_keys(id, &[], group, &made)?;
        }
        Ok(made.len())
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
        // Devices that lack the same keys share an entry.
        let mut groups: Vec<(Vec<ScopedKey>, Vec<DeviceRecord>)> = Vec::new();
        for (record, keys) in unserved {
            match groups.iter_mut().find(|(held, _)| *held == keys) {
                Some((_, devices)) => devices.push(record),
                None => groups.push((keys, vec![record])),
            }
        }
        for (keys, devices) in &groups {
            for devices in devices.chunks(BOXES_PER_ENTRY) {
                self.send_keys(id, &[], devices, keys)?;
            }
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
                let readers = space.roster.readers(*scope);
                (*scope, readers.into_keys().collect())
            })
            .collect();
        for record in devices.iter().filter(|record| record.id != own) {
            let keys: Vec<ScopedKey> = space
                .all_keys()
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
                    let Some(last) = epoch.generation.checked_sub(1) else {
                        continue;
                    };
                    let missing = space.ring.of(*scope, last).is_empty();
                    let held = space.ring.find(*scope, epoch.generation, &epoch.key);
                    let (true, Some(key)) = (missing && !epoch.previous.is_empty(), held) else {
                        continue;
                    };
                    let context = previous_context(id, *scope, last);
                    let opened = wrapkey::open(key.expose(), &context, &epoch.previous).ok();
                    let bytes = opened.and_then(|bytes| <[u8; 32]>::try_from(&bytes[..]).ok());
                    let Some(bytes) = bytes else {
                        continue;
                    };
                    let key = EpochKey::from_bytes(&bytes);
                    // A key that nobody declared would be kept and never used: not worth keeping.
                    if space.roster.may_open_under(*scope, last, &key.id()) {
                        found = Some((*scope, last, key));
                    }
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
        for state in space.writers.values_mut() {
            // What a skeleton stands for was read when it was taken.
            if state.record.base == 0 {
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
