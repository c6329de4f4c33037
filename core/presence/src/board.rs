//! Who is known to be where: own apps and those of others, what is passed on to whom, and when
//! somebody counts as gone.
//!
//! Everything goes by [`Board::poll`] afterwards. Whoever is heard through several peers is passed
//! on once; whoever is heard through none any more is gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_crypt::{Hasher, hash};

use crate::limits::{
    APPS_PER_DEVICE_MAX, KNOWN_PER_SPACE_MAX, PUBLISH_MS_MIN, REMEMBERED_MS, REPEAT_MS, SEEN_MAX,
    TIMEOUT_MS,
};
use crate::{Head, Packet, Said, Shown};

/// A connection, as its driver numbers it.
pub type SessionNo = u64;

/// One app of one device in one start of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose.
    pub device: DeviceId,
    /// Which run of its numbers.
    pub run: [u8; 32],
    /// Which app.
    pub app: u64,
}

/// What a packet turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It says this, and its author may be heard.
    Says(Said),
    /// It is sealed to others: passed on, and nothing else.
    Closed,
    /// It is altered, forged, old, or by somebody who may not be heard.
    Refused,
}

/// Keys, rights and the clock: what the board asks of whoever drives it.
pub trait Judge {
    /// Seals what is shown at a place, or that an app left it. None where this device may not.
    fn seal(
        &self,
        space: &SpaceId,
        run: &[u8; 32],
        app: u64,
        seq: u64,
        on: &str,
        shown: Option<&Shown>,
    ) -> Option<Vec<u8>>;

    /// Opens and judges a packet.
    fn open(&self, space: &SpaceId, packet: &Packet<'_>) -> Verdict;

    /// Whether a device may still be heard in a scope.
    fn may_be_heard(&self, space: &SpaceId, device: &DeviceId, scope: ScopeId) -> bool;
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Hand a packet to a peer. A newer one of the same slot replaces it while it waits.
    Pass {
        /// Through which connection.
        session: SessionNo,
        /// The space.
        space: SpaceId,
        /// The same for all packets of one app.
        slot: [u8; 16],
        /// The packet.
        packet: Bytes,
    },
    /// Tell a peer that an app is not heard here any more.
    Lost {
        /// Through which connection.
        session: SessionNo,
        /// The space.
        space: SpaceId,
        /// The run.
        run: [u8; 32],
        /// The app.
        app: u64,
    },
    /// Something about an app is new: [`Board::get`] tells what.
    News {
        /// The space.
        space: SpaceId,
        /// Which app.
        key: Key,
    },
}

/// What is known of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard<'a> {
    /// Where it is.
    pub shown: &'a Shown,
    /// Whether it is this device's own.
    pub own: bool,
}

#[derive(Debug)]
struct Known {
    scope: ScopeId,
    seq: u64,
    packet: Bytes,
    /// None once it is gone.
    shown: Option<Shown>,
    /// Through whom it was heard with its last packet.
    carriers: BTreeSet<SessionNo>,
    heard_ms: u64,
    passed_ms: u64,
    /// Its last packet waits to be passed on.
    waits: bool,
}

#[derive(Debug)]
struct Own {
    on: String,
    shown: Option<Shown>,
    /// The last packet, while one could be sealed.
    packet: Option<Bytes>,
    sealed_ms: u64,
    due_ms: u64,
}

#[derive(Debug, Default)]
struct Place {
    known: BTreeMap<Key, Known>,
    own: BTreeMap<u64, Own>,
    /// The last number of this device's run.
    seq: u64,
    sessions: BTreeMap<SessionNo, DeviceId>,
}

/// All that is known of who is where.
#[derive(Debug)]
pub struct Board {
    device: DeviceId,
    seed: [u8; 32],
    places: BTreeMap<SpaceId, Place>,
    /// Packets that were here, and whose they are if they could be opened.
    seen: BTreeMap<[u8; 16], Option<Key>>,
    seen_order: VecDeque<[u8; 16]>,
    next_app: u64,
    due_ms: Option<u64>,
    out: VecDeque<Output>,
}

impl Board {
    /// A board of a device; `seed` is fresh random bytes of this start.
    pub fn new(device: DeviceId, seed: [u8; 32]) -> Self {
        Self {
            device,
            seed,
            places: BTreeMap::new(),
            seen: BTreeMap::new(),
            seen_order: VecDeque::new(),
            next_app: 1,
            due_ms: None,
            out: VecDeque::new(),
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Board::tick`] is due.
    pub const fn due(&self) -> Option<u64> {
        self.due_ms
    }

    /// A number for an app of this device that was not used before.
    pub const fn new_app(&mut self) -> u64 {
        let app = self.next_app;
        self.next_app += 1;
        app
    }

    /// This device's name for one of its apps.
    pub fn own_key(&self, space: &SpaceId, app: u64) -> Key {
        Key {
            device: self.device,
            run: self.run(space),
            app,
        }
    }

    /// What is known of an app.
    pub fn get(&self, space: &SpaceId, key: &Key) -> Option<Heard<'_>> {
        let place = self.places.get(space)?;
        if *key == self.own_key(space, key.app) {
            let shown = place.own.get(&key.app)?.shown.as_ref()?;
            return Some(Heard { shown, own: true });
        }
        let shown = place.known.get(key)?.shown.as_ref()?;
        Some(Heard { shown, own: false })
    }

    /// Everyone who is in a space.
    pub fn all(&self, space: &SpaceId) -> Vec<Key> {
        let Some(place) = self.places.get(space) else {
            return Vec::new();
        };
        let own = place.own.iter().filter(|(_, own)| own.shown.is_some());
        let own = own.map(|(app, _)| self.own_key(space, *app));
        let others = place.known.iter().filter(|(_, it)| it.shown.is_some());
        own.chain(others.map(|(key, _)| *key)).collect()
    }

    /// Says where an app of this device is. False where this device may say nothing.
    pub fn set(
        &mut self,
        space: SpaceId,
        app: u64,
        shown: Shown,
        now_ms: u64,
        judge: &impl Judge,
    ) -> bool {
        let key = self.own_key(&space, app);
        let place = self.places.entry(space).or_default();
        let moved = place.own.get(&app).is_some_and(|own| own.on != shown.on);
        if moved {
            // Whoever reads the old place and not the new one is to hear that the app left.
            self.clear(space, app, now_ms, judge);
        }
        let place = self.places.entry(space).or_default();
        let own = place.own.entry(app).or_insert_with(|| Own {
            on: shown.on.clone(),
            shown: None,
            packet: None,
            sealed_ms: 0,
            due_ms: now_ms,
        });
        let is_new = own.shown.as_ref() != Some(&shown);
        let first = own.shown.is_none();
        own.shown = Some(shown);
        if is_new {
            self.out.push_back(Output::News { space, key });
        }
        if first || now_ms >= own.sealed_ms + PUBLISH_MS_MIN {
            return self.publish(space, app, now_ms, judge);
        }
        own.due_ms = own.sealed_ms + PUBLISH_MS_MIN;
        let due_ms = own.due_ms;
        self.wake(due_ms);
        true
    }

    /// An app of this device left.
    pub fn clear(&mut self, space: SpaceId, app: u64, now_ms: u64, judge: &impl Judge) {
        let key = self.own_key(&space, app);
        let Some(place) = self.places.get_mut(&space) else {
            return;
        };
        let Some(own) = place.own.get_mut(&app) else {
            return;
        };
        own.shown = None;
        self.publish(space, app, now_ms, judge);
        if let Some(place) = self.places.get_mut(&space) {
            place.own.remove(&app);
        }
        self.out.push_back(Output::News { space, key });
    }

    /// A peer shares a space: it hears who is there.
    pub fn join(&mut self, session: SessionNo, peer: DeviceId, space: SpaceId) {
        let run = self.run(&space);
        let place = self.places.entry(space).or_default();
        place.sessions.insert(session, peer);
        for (app, own) in &place.own {
            if let Some(packet) = &own.packet {
                self.out.push_back(Output::Pass {
                    session,
                    space,
                    slot: slot(&run, *app),
                    packet: packet.clone(),
                });
            }
        }
        for (key, known) in &place.known {
            if known.shown.is_some() && key.device != peer && !known.carriers.contains(&session) {
                self.out.push_back(Output::Pass {
                    session,
                    space,
                    slot: slot(&key.run, key.app),
                    packet: known.packet.clone(),
                });
            }
        }
    }

    /// A peer shares a space no longer, or its connection ended.
    pub fn leave(&mut self, session: SessionNo, space: SpaceId, now_ms: u64) {
        let Some(place) = self.places.get_mut(&space) else {
            return;
        };
        place.sessions.remove(&session);
        let carried = place.known.iter_mut();
        let gone: Vec<Key> = carried
            .filter_map(|(key, known)| known.put_down(session).then_some(*key))
            .collect();
        for key in gone {
            self.lose(space, key, now_ms);
        }
    }

    /// A connection ended.
    pub fn end(&mut self, session: SessionNo, now_ms: u64) {
        let spaces: Vec<SpaceId> = self.places.keys().copied().collect();
        for space in spaces {
            self.leave(session, space, now_ms);
        }
    }

    /// A space is no longer on this device.
    pub fn forget(&mut self, space: &SpaceId) {
        self.places.remove(space);
    }

    /// A packet came from a peer.
    pub fn receive(
        &mut self,
        session: SessionNo,
        space: SpaceId,
        bytes: &Bytes,
        now_ms: u64,
        judge: &impl Judge,
    ) {
        let own_run = self.run(&space);
        let Ok(packet) = Packet::decode(bytes) else {
            return;
        };
        let Some(place) = self.places.get_mut(&space) else {
            return;
        };
        if packet.head.run == own_run || !place.sessions.contains_key(&session) {
            return;
        }
        let mark = mark(&space, bytes);
        if let Some(whose) = self.seen.get(&mark) {
            let known = whose.and_then(|key| place.known.get_mut(&key));
            // The same again, by another way.
            if let Some(known) = known.filter(|known| known.seq == packet.head.seq) {
                known.carriers.insert(session);
            }
            return;
        }
        match judge.open(&space, &packet) {
            Verdict::Refused => {}
            Verdict::Closed => {
                self.see(mark, None);
                let others = self.others(&space, session, None);
                self.pass(space, &packet.head, bytes, others);
            }
            Verdict::Says(said) => {
                let key = Key {
                    device: said.device,
                    run: packet.head.run,
                    app: packet.head.app,
                };
                if said.device != self.device
                    && self.take(session, space, key, &packet, bytes, said, now_ms)
                {
                    self.see(mark, Some(key));
                }
            }
        }
    }

    /// A peer does not hear an app any more that it passed on.
    pub fn lost(
        &mut self,
        session: SessionNo,
        space: SpaceId,
        run: [u8; 32],
        app: u64,
        now_ms: u64,
    ) {
        let Some(place) = self.places.get_mut(&space) else {
            return;
        };
        let of_app = place.known.iter_mut();
        let gone: Vec<Key> = of_app
            .filter(|(key, _)| key.run == run && key.app == app)
            .filter_map(|(key, known)| known.put_down(session).then_some(*key))
            .collect();
        for key in gone {
            self.lose(space, key, now_ms);
        }
    }

    /// Members, rights or keys of a space changed: who may not be heard is gone, and this device
    /// says again where it is, under the keys of now.
    pub fn members_changed(&mut self, space: SpaceId, now_ms: u64, judge: &impl Judge) {
        let Some(place) = self.places.get_mut(&space) else {
            return;
        };
        let mut gone = Vec::new();
        for (key, known) in &mut place.known {
            if known.shown.is_some() && !judge.may_be_heard(&space, &key.device, known.scope) {
                known.shown = None;
                known.packet = Bytes::new();
                known.waits = false;
                known.heard_ms = now_ms;
                gone.push(*key);
            }
        }
        let own: Vec<u64> = place.own.keys().copied().collect();
        let news = gone.into_iter().map(|key| Output::News { space, key });
        self.out.extend(news);
        for app in own {
            self.publish(space, app, now_ms, judge);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now_ms: u64, judge: &impl Judge) {
        self.due_ms = None;
        let spaces: Vec<SpaceId> = self.places.keys().copied().collect();
        for space in spaces {
            self.tick_own(space, now_ms, judge);
            self.tick_known(space, now_ms);
        }
    }

    fn tick_own(&mut self, space: SpaceId, now_ms: u64, judge: &impl Judge) {
        let Some(place) = self.places.get(&space) else {
            return;
        };
        let due = place.own.iter().map(|(app, own)| (*app, own.due_ms));
        let due: Vec<(u64, u64)> = due.collect();
        for (app, due_ms) in due {
            match due_ms <= now_ms {
                true => drop(self.publish(space, app, now_ms, judge)),
                false => self.wake(due_ms),
            }
        }
    }

    fn tick_known(&mut self, space: SpaceId, now_ms: u64) {
        let Some(place) = self.places.get_mut(&space) else {
            return;
        };
        let (mut silent, mut ready, mut wake) = (Vec::new(), Vec::new(), u64::MAX);
        place.known.retain(|key, known| {
            let keep_ms = match known.shown {
                Some(_) => TIMEOUT_MS,
                None => REMEMBERED_MS,
            };
            if known.heard_ms + keep_ms <= now_ms {
                if known.shown.is_none() {
                    return false;
                }
                silent.push(*key);
            } else {
                wake = wake.min(known.heard_ms + keep_ms);
                if known.waits {
                    match known.passed_ms + PUBLISH_MS_MIN <= now_ms {
                        true => ready.push(*key),
                        false => wake = wake.min(known.passed_ms + PUBLISH_MS_MIN),
                    }
                }
            }
            true
        });
        if wake < u64::MAX {
            self.wake(wake);
        }
        for key in ready {
            self.pass_known(space, key, now_ms);
        }
        for key in silent {
            self.lose(space, key, now_ms);
        }
    }

    /// Takes up what an app says. False if it is no news.
    #[allow(clippy::too_many_arguments, reason = "what came, from whom, and when")]
    fn take(
        &mut self,
        session: SessionNo,
        space: SpaceId,
        key: Key,
        packet: &Packet<'_>,
        bytes: &Bytes,
        said: Said,
        now_ms: u64,
    ) -> bool {
        let Some(place) = self.places.get_mut(&space) else {
            return false;
        };
        if place
            .known
            .get(&key)
            .is_some_and(|known| known.seq >= packet.head.seq)
        {
            return false;
        }
        if !place.known.contains_key(&key) {
            match place.make_room(&key, now_ms) {
                Some(Room::There) => {}
                Some(Room::Instead(key)) => self.out.push_back(Output::News { space, key }),
                None => return false,
            }
        }
        let known = place.known.entry(key).or_insert_with(|| Known {
            scope: packet.head.scope,
            seq: 0,
            packet: Bytes::new(),
            shown: None,
            carriers: BTreeSet::new(),
            heard_ms: now_ms,
            passed_ms: 0,
            waits: false,
        });
        let is_new = known.shown != said.shown;
        let now_gone = said.shown.is_none();
        known.scope = packet.head.scope;
        known.seq = packet.head.seq;
        known.packet = bytes.clone();
        known.shown = said.shown;
        known.carriers = BTreeSet::from([session]);
        known.heard_ms = now_ms;
        known.waits = true;
        let at_once = now_gone || known.passed_ms + PUBLISH_MS_MIN <= now_ms;
        let due_ms = known.passed_ms + PUBLISH_MS_MIN;
        if is_new {
            self.out.push_back(Output::News { space, key });
        }
        match at_once {
            true => self.pass_known(space, key, now_ms),
            false => self.wake(due_ms),
        }
        self.wake(now_ms + TIMEOUT_MS);
        true
    }

    fn pass_known(&mut self, space: SpaceId, key: Key, now_ms: u64) {
        let Some(place) = self.places.get_mut(&space) else {
            return;
        };
        let Some(known) = place.known.get_mut(&key) else {
            return;
        };
        known.waits = false;
        known.passed_ms = now_ms;
        let packet = known.packet.clone();
        let to: Vec<SessionNo> = place
            .sessions
            .iter()
            .filter(|(session, peer)| **peer != key.device && !known.carriers.contains(session))
            .map(|(session, _)| *session)
            .collect();
        for session in to {
            self.out.push_back(Output::Pass {
                session,
                space,
                slot: slot(&key.run, key.app),
                packet: packet.clone(),
            });
        }
    }

    /// An app is not heard any more.
    fn lose(&mut self, space: SpaceId, key: Key, now_ms: u64) {
        let Some(place) = self.places.get_mut(&space) else {
            return;
        };
        let Some(known) = place.known.get_mut(&key) else {
            return;
        };
        if known.shown.take().is_none() {
            return;
        }
        known.packet = Bytes::new();
        known.waits = false;
        known.heard_ms = now_ms;
        for (session, peer) in &place.sessions {
            if *peer != key.device {
                self.out.push_back(Output::Lost {
                    session: *session,
                    space,
                    run: key.run,
                    app: key.app,
                });
            }
        }
        self.out.push_back(Output::News { space, key });
        self.wake(now_ms + REMEMBERED_MS);
    }

    /// Seals where an own app is, or that it left, and hands it to all peers.
    fn publish(&mut self, space: SpaceId, app: u64, now_ms: u64, judge: &impl Judge) -> bool {
        let run = self.run(&space);
        let Some(place) = self.places.get_mut(&space) else {
            return false;
        };
        let Some(own) = place.own.get_mut(&app) else {
            return false;
        };
        place.seq += 1;
        let sealed = judge.seal(&space, &run, app, place.seq, &own.on, own.shown.as_ref());
        own.packet = sealed.map(Bytes::from);
        own.sealed_ms = now_ms;
        own.due_ms = now_ms + REPEAT_MS;
        let due_ms = own.due_ms;
        let packet = own.packet.clone();
        if let Some(packet) = &packet {
            for session in place.sessions.keys() {
                self.out.push_back(Output::Pass {
                    session: *session,
                    space,
                    slot: slot(&run, app),
                    packet: packet.clone(),
                });
            }
        }
        self.wake(due_ms);
        packet.is_some()
    }

    fn others(&self, space: &SpaceId, but: SessionNo, device: Option<DeviceId>) -> Vec<SessionNo> {
        let sessions = self.places.get(space).map(|place| &place.sessions);
        let sessions = sessions.into_iter().flatten();
        sessions
            .filter(|(session, peer)| **session != but && Some(**peer) != device)
            .map(|(session, _)| *session)
            .collect()
    }

    fn pass(&mut self, space: SpaceId, head: &Head, packet: &Bytes, to: Vec<SessionNo>) {
        for session in to {
            self.out.push_back(Output::Pass {
                session,
                space,
                slot: slot(&head.run, head.app),
                packet: packet.clone(),
            });
        }
    }

    fn see(&mut self, mark: [u8; 16], whose: Option<Key>) {
        if self.seen.insert(mark, whose).is_none() {
            self.seen_order.push_back(mark);
        }
        while self.seen_order.len() > SEEN_MAX {
            if let Some(oldest) = self.seen_order.pop_front() {
                self.seen.remove(&oldest);
            }
        }
    }

    fn wake(&mut self, at_ms: u64) {
        self.due_ms = Some(self.due_ms.map_or(at_ms, |due| due.min(at_ms)));
    }

    /// Another one in each space, so that nobody can tell that two of them are the same device.
    fn run(&self, space: &SpaceId) -> [u8; 32] {
        Hasher::deriving("stead/presence-run/1")
            .update(&self.seed)
            .update(space.as_bytes())
            .finish_key()
    }
}

impl Known {
    /// A carrier is gone; whether it was the last.
    fn put_down(&mut self, session: SessionNo) -> bool {
        self.carriers.remove(&session) && self.carriers.is_empty() && self.shown.is_some()
    }
}

/// Where room for one more came from.
enum Room {
    There,
    /// An older app of the same device went.
    Instead(Key),
}

impl Place {
    /// Makes room for an app that was not known: the oldest of its device goes, and those go that
    /// are gone. None if there is no room.
    fn make_room(&mut self, key: &Key, now_ms: u64) -> Option<Room> {
        let of_device = self
            .known
            .iter()
            .filter(|(other, known)| other.device == key.device && known.shown.is_some());
        let mut of_device: Vec<(u64, Key)> = of_device
            .map(|(other, known)| (known.heard_ms, *other))
            .collect();
        of_device.sort_unstable();
        if of_device.len() >= APPS_PER_DEVICE_MAX {
            // One that was heard just now stays: a device with too many does not flicker.
            let (heard_ms, oldest) = of_device[0];
            if now_ms < heard_ms + REPEAT_MS {
                return None;
            }
            self.known.remove(&oldest);
            return Some(Room::Instead(oldest));
        }
        if self.known.len() < KNOWN_PER_SPACE_MAX {
            return Some(Room::There);
        }
        let gone = self.known.iter().filter(|(_, known)| known.shown.is_none());
        let oldest = gone.min_by_key(|(_, known)| known.heard_ms).map(|it| *it.0);
        self.known.remove(&oldest?);
        Some(Room::There)
    }
}

fn slot(run: &[u8; 32], app: u64) -> [u8; 16] {
    let mut material = run.to_vec();
    material.extend_from_slice(&app.to_le_bytes());
    short(&material)
}

fn mark(space: &SpaceId, packet: &[u8]) -> [u8; 16] {
    let mut material = space.as_bytes().to_vec();
    material.extend_from_slice(packet);
    short(&material)
}

fn short(material: &[u8]) -> [u8; 16] {
    let digest = hash::digest(material);
    let mut out = [0; 16];
    out.copy_from_slice(&digest.as_bytes()[..16]);
    out
}

#[cfg(test)]
mod tests;
