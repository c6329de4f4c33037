//! Asking for keys that did not come, and handing them on.
//!
//! Whoever starts an epoch sends its key to all who may read. That device may be away for long, or may leave somebody
//! out on purpose. Owns when a device says that it lacks keys, and whose turn it is to answer. Nobody gets a right by it: an
//! answer is sealed to readers only, and given by who knows of every removal that the epoch knows of.

use std::collections::{BTreeMap, BTreeSet};

use stead_access::{
    ASKED_AT_ONCE_MAX, Action, AskKeys, DeviceRecord, MemberSubject, PartyId, RosterOp, ScopedKey,
};
use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_crypt::{EpochKey, KeyId};

use crate::epochs::{grouped, served};
use crate::space::SpaceState;
use crate::writing::Writing;
use crate::{Replica, ReplicaError};

/// How long a key may be on its way before it is asked for.
const ASK_AFTER_MS: u64 = 30_000;
/// How long each who could answer waits for the one before.
const TURN_MS: u64 = 10_000;

/// A scope's key by generation and id.
pub(crate) type KeyName = (ScopeId, u32, KeyId);

/// Readers and the keys that are to be sent to each.
type Answers = Vec<(DeviceRecord, Vec<ScopedKey>)>;

/// What is known of keys that do not come.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    /// The keys that this device lacks, and since when it knows.
    lacking: BTreeMap<KeyName, u64>,
    /// The asks of others by device and turn, and since when they are known here.
    heard: BTreeMap<(DeviceId, u32), u64>,
}

impl SpaceState {
    /// The keys of epochs that this device may read and has nothing to open with.
    fn lacked_keys(&self) -> BTreeSet<KeyName> {
        let scopes = self.roster.scopes().keys();
        let read = scopes.filter(|scope| self.roster.reads(&self.device, **scope));
        let epochs = read.flat_map(|scope| {
            let epochs = self.roster.epochs(*scope).iter();
            epochs.map(|epoch| (*scope, epoch))
        });
        epochs
            .filter(|(scope, epoch)| {
                let held = self.ring.find(*scope, epoch.generation, &epoch.key);
                held.is_none() && !self.unwraps(&self.device, *scope, &epoch.for_parent)
            })
            .map(|(scope, epoch)| (scope, epoch.generation, epoch.key))
            .collect()
    }

    /// What this device is to say of keys that it lacks; None if nothing, or if it cannot say anything.
    fn ask_to_make(&mut self, now_ms: u64) -> Option<AskKeys> {
        if !self.is_member(&self.device) {
            return None;
        }
        let lacked = self.lacked_keys();
        let lacking = &mut self.asking.lacking;
        lacking.retain(|key, _| lacked.contains(key));
        for key in &lacked {
            lacking.entry(*key).or_insert(now_ms);
        }
        let due = |since: &u64| since.saturating_add(ASK_AFTER_MS);
        let next = lacking.values().map(due).filter(|due| *due > now_ms).min();
        if let Some(next) = next {
            self.look_again(next);
        }
        let asks = self.roster.asks();
        let asked: BTreeSet<KeyName> = asks
            .get(&self.device)
            .map(|ask| ask.keys.iter().copied().collect())
            .unwrap_or_default();
        let is_due = |key: &&KeyName| {
            let since = self.asking.lacking.get(*key).copied();
            let waited = since.is_some_and(|since| due(&since) <= now_ms);
            asked.contains(*key) || waited
        };
        let due = lacked.iter().filter(is_due).take(ASKED_AT_ONCE_MAX);
        let keys: Vec<KeyName> = due.copied().collect();
        let is_news = match keys.is_empty() {
            true => !asked.is_empty(),
            false => keys.iter().any(|key| !asked.contains(key)),
        };
        let can_say = || {
            let current = self.newest_key(ScopeId::ROSTER);
            current.or_else(|| self.key_below(u32::MAX)).is_some()
        };
        (is_news && can_say()).then(|| AskKeys {
            turn: self.roster.next_ask_turn(&self.device),
            keys,
        })
    }

    /// What others ask for and this device is to answer now.
    fn asks_to_answer(&mut self, now_ms: u64) -> Answers {
        let asks = self.roster.asks();
        let asks = asks.into_iter().filter(|(_, ask)| !ask.keys.is_empty());
        let asks: Vec<(DeviceId, AskKeys)> =
            asks.map(|(device, ask)| (device, ask.clone())).collect();
        let is_asked = |(device, turn): &(DeviceId, u32)| {
            let mut of = asks.iter().filter(|(asker, _)| asker == device);
            of.any(|(_, ask)| ask.turn == *turn)
        };
        self.asking.heard.retain(|ask, _| is_asked(ask));
        let mut answers = Vec::new();
        for (asker, ask) in &asks {
            let heard = self.asking.heard.entry((*asker, ask.turn));
            let since = *heard.or_insert(now_ms);
            let (kin, mut keys) = (self.kin_of(asker), Vec::new());
            for key in &ask.keys {
                let Some(held) = self.ring.find(key.0, key.1, &key.2) else {
                    continue;
                };
                let held = EpochKey::from_bytes(held.expose());
                let Some(before) = self.turn_to_answer(asker, &kin, key) else {
                    continue;
                };
                let due = since.saturating_add(TURN_MS.saturating_mul(before as u64));
                if due > now_ms {
                    self.look_again(due);
                    continue;
                }
                keys.push(ScopedKey {
                    scope: key.0,
                    generation: key.1,
                    key: held,
                });
            }
            let record = self.roster.devices().get(asker).map(|it| (*it).clone());
            if let Some(record) = record.filter(|_| !keys.is_empty()) {
                answers.push((record, keys));
            }
        }
        answers
    }

    /// How many are before this device to hand a key on: the asker's own other devices come first, then those that
    /// manage the scope. None if it is not this device's to do, or if it did it before.
    fn turn_to_answer(
        &self,
        asker: &DeviceId,
        kin: &BTreeSet<DeviceId>,
        (scope, generation, key): &KeyName,
    ) -> Option<usize> {
        let path = self.roster.scopes().get(scope)?;
        let readers = self.roster.readers(*scope);
        let declared = self.roster.epochs(*scope).iter();
        let mut declared = declared
            .filter(|epoch| epoch.generation == *generation && epoch.key == *key)
            .peekable();
        if !readers.contains_key(asker)
            || self.record.served.contains(&served(asker, key))
            || declared.peek().is_none()
        {
            return None;
        }
        // Who does not hold a removal that the epoch was begun for could give the key to whom it put out.
        let held = |log| self.writers.get(log).map_or(0, |state| state.applied);
        let mut known = declared.flat_map(|epoch| epoch.knows.iter());
        if known.any(|(log, len)| len > held(log)) {
            return None;
        }
        let answers = |device: &DeviceId| {
            device != asker
                && (kin.contains(device) || self.roster.can(device, path, Action::Manage))
        };
        let mut order: Vec<(bool, DeviceId)> = readers
            .into_keys()
            .filter(answers)
            .map(|device| (!kin.contains(&device), device))
            .collect();
        order.sort_unstable();
        order.iter().position(|(_, device)| *device == self.device)
    }

    /// All devices that the person has here whose device it is.
    fn kin_of(&self, device: &DeviceId) -> BTreeSet<DeviceId> {
        let mut persons = BTreeSet::new();
        for membership in self.roster.held_by(device) {
            match membership.subject {
                MemberSubject::Party(PartyId::Identity(person)) => {
                    persons.insert(person);
                }
                MemberSubject::Group(_) => {
                    let parts = self.roster.parts_of(&membership.id).into_iter();
                    persons.extend(parts.filter_map(|part| match part.party {
                        PartyId::Identity(person) => Some(person),
                        PartyId::Device(_) => None,
                    }));
                }
                _ => {}
            }
        }
        let devices = |person| -> BTreeSet<DeviceId> {
            let parts = self.roster.person_parts(person, false).into_iter();
            parts
                .filter_map(|part| match part.party {
                    PartyId::Device(device) => Some(device),
                    PartyId::Identity(_) => None,
                })
                .collect()
        };
        let of = persons.into_iter().map(devices);
        of.filter(|devices| devices.contains(device))
            .flatten()
            .collect()
    }
}

impl Replica {
    /// What this device is to say, space by space, of keys that it lacks.
    pub(crate) fn asks_to_make(&mut self, now_ms: u64) -> Vec<(SpaceId, AskKeys)> {
        let spaces = self.spaces.values_mut();
        spaces
            .filter_map(|space| Some((space.id, space.ask_to_make(now_ms)?)))
            .collect()
    }

    /// The readers to whom this device is to hand keys on that they asked for.
    pub(crate) fn asks_to_answer(&mut self, now_ms: u64) -> Vec<(SpaceId, Answers)> {
        let device = self.device();
        let spaces = self.spaces.values_mut();
        spaces
            .filter(|space| space.newest_key(ScopeId::ROSTER).is_some())
            .filter(|space| space.is_member(&device))
            .map(|space| (space.id, space.asks_to_answer(now_ms)))
            .filter(|(_, answers)| !answers.is_empty())
            .collect()
    }
}

impl Writing<'_> {
    /// Says which keys are lacking. Where that of `@roster` is among them, it is said under an earlier one.
    pub(crate) fn ask_for_keys(&mut self, id: &SpaceId, ask: AskKeys) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        if space.newest_key(ScopeId::ROSTER).is_none() {
            space.said_below = Some(u32::MAX);
        }
        let said = self
            .own_writer(id)
            .and_then(|_| self.send_keys(id, &[RosterOp::AskKeys(ask)], &[], &[]));
        self.space(id)?.said_below = None;
        said.map(drop)
    }

    /// Hands keys on to readers who asked for them.
    pub(crate) fn answer_asks(
        &mut self,
        id: &SpaceId,
        answers: Answers,
    ) -> Result<(), ReplicaError> {
        for (keys, devices) in &grouped(answers.into_iter()) {
            self.send_keys(id, &[], devices, keys)?;
        }
        Ok(())
    }
}
