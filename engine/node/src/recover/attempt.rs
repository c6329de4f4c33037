//! Coming back as the person sees it: one attempt at a time, which looks for devices that hold something until it is
//! finished or given up.
//!
//! Owns the root key for as long as the attempt lives, in memory only. After a restart, or when nobody has looked for a
//! while, the words are needed again; what has arrived stays.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_access::IdentityId;
use stead_api::{
    ApiError, ErrorKind, RecoverBegin, RecoverDevice, RecoverDone, RecoverFinish, RecoverHolder,
    RecoverPhase, RecoverSpace, RecoverState,
};
use stead_base::{DeviceId, SpaceId};
use stead_crypt::{RecoveryPhrase, RootKey};
use stead_net::{Net, PeerHints};
use stead_replica::HeldSpace;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::dial::{self, Newcomer};
use crate::clock::{steady_ms, wall_ms};
use crate::directory::Introductions;
use crate::faults;
use crate::store_thread::StoreHandle;
use crate::sync::facts::Facts;

/// Most devices asked in one round.
const DEVICES_MAX: usize = 64;
/// Pause between two rounds.
const PAUSE: Duration = Duration::from_secs(2);
/// How long one device may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(60);
/// A device that has handed over what it holds is asked again after this long.
const AGAIN_MS: u64 = 30_000;
/// An attempt that nobody looks at ends after this long.
const UNSEEN_MS_MAX: u64 = 10 * 60_000;
/// Longest wait of one look, in milliseconds.
const WAIT_MS_MAX: u64 = 60_000;
/// How often a look sees whether data has arrived.
const GLANCE: Duration = Duration::from_millis(250);

/// Where a device is, as a person says it: `<id>@<address>` or `<id>@<relay URL>`.
pub(crate) fn parse_place(text: &str) -> Result<(DeviceId, PeerHints), ApiError> {
    let parts = text.trim().split_once('@');
    let parsed = parts.and_then(|(device, place)| {
        let device = device.parse::<DeviceId>().ok()?;
        let hints = match place.parse::<SocketAddr>() {
            Ok(address) => PeerHints {
                addrs: vec![address],
                relay: None,
            },
            Err(_) => PeerHints {
                addrs: Vec::new(),
                relay: Some(place.parse().ok()?),
            },
        };
        Some((device, hints))
    });
    parsed.ok_or_else(|| {
        ApiError::new(
            ErrorKind::InvalidParams,
            "A device is named by its id, an @ and its address or the URL of its relay.",
        )
        .hint("`stead identity` on the other device shows it.")
    })
}

/// Comes back, once at a time. Clones share the attempt.
#[derive(Clone)]
pub(crate) struct Recoverer {
    net: Net,
    store: StoreHandle,
    introductions: Introductions,
    facts: Facts,
    state: Arc<Mutex<Option<Running>>>,
}

struct Running {
    no: u64,
    root: Arc<RootKey>,
    view: watch::Receiver<View>,
    anew: watch::Sender<bool>,
    looked_ms: u64,
    /// Dropped to end it.
    _going_on: oneshot::Sender<()>,
}

/// What the search knows.
#[derive(Debug, Clone, Default)]
struct View {
    rounds: u32,
    asked: u32,
    holders: BTreeMap<DeviceId, String>,
    /// Spaces found while the home space is not.
    found: BTreeMap<SpaceId, String>,
    moved_in: bool,
    failed: Option<ApiError>,
}

/// One search.
struct Search {
    recoverer: Recoverer,
    no: u64,
    root: Arc<RootKey>,
    me: Newcomer,
    places: BTreeSet<DeviceId>,
    anew: watch::Receiver<bool>,
    view: watch::Sender<View>,
    found: BTreeMap<SpaceId, HeldSpace>,
    asked_ms: BTreeMap<DeviceId, u64>,
}

impl Recoverer {
    pub(crate) fn new(
        net: Net,
        store: StoreHandle,
        introductions: Introductions,
        facts: Facts,
    ) -> Self {
        Self {
            net,
            store,
            introductions,
            facts,
            state: Arc::default(),
        }
    }

    /// Begins to look for what belongs to the words. An attempt that goes on is given up.
    pub(crate) async fn begin(&self, begin: RecoverBegin) -> Result<RecoverState, ApiError> {
        let words = begin.words.as_ref().ok_or_else(no_attempt)?;
        let phrase = RecoveryPhrase::parse(&words.0).map_err(|error| {
            faults::sentence(ErrorKind::InvalidParams, &error)
                .hint("Type the 24 words in their order; the first four letters of each will do.")
        })?;
        self.begin_with(&phrase, &begin.at, begin.anew, &[]).await
    }

    /// The same with a phrase that came back another way. `known` are devices to ask besides.
    pub(crate) async fn begin_with(
        &self,
        phrase: &RecoveryPhrase,
        at: &[String],
        anew: bool,
        known: &[DeviceId],
    ) -> Result<RecoverState, ApiError> {
        let mut places: BTreeSet<DeviceId> = known.iter().copied().collect();
        for place in at {
            let (device, hints) = parse_place(place)?;
            self.net.learn(device, hints);
            places.insert(device);
        }
        let root = Arc::new(phrase.root());
        let identity = IdentityId::from_bytes(root.public());
        self.check(identity).await?;
        let me = self.store.look(|desk| Newcomer {
            record: desk.replica.device_record(),
            kem: desk.replica.keys().kem().clone(),
        });
        let me = me.await?;
        let (view, seen) = watch::channel(View::default());
        let (going_on, given) = oneshot::channel::<()>();
        let (anew, wanted) = watch::channel(anew);
        let no = {
            let mut state = self.lock();
            let no = state.as_ref().map_or(1, |running| running.no + 1);
            *state = Some(Running {
                no,
                root: Arc::clone(&root),
                view: seen,
                anew,
                looked_ms: steady_ms(),
                _going_on: going_on,
            });
            no
        };
        let search = Search {
            recoverer: self.clone(),
            no,
            root,
            me,
            places,
            anew: wanted,
            view,
            found: BTreeMap::new(),
            asked_ms: BTreeMap::new(),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = search.run() => {}
                _ = given => {}
            }
        });
        self.look(0).await
    }

    /// How it stands, at the latest after `wait_ms`.
    pub(crate) async fn look(&self, wait_ms: u64) -> Result<RecoverState, ApiError> {
        let deadline =
            tokio::time::Instant::now() + Duration::from_millis(wait_ms.min(WAIT_MS_MAX));
        let (mut view, root) = {
            let mut state = self.lock();
            let running = state.as_mut().ok_or_else(no_attempt)?;
            running.looked_ms = steady_ms();
            (running.view.clone(), Arc::clone(&running.root))
        };
        let mut before: Option<RecoverState> = None;
        loop {
            let seen = view.borrow_and_update().clone();
            if let Some(error) = seen.failed {
                return Err(error);
            }
            let now = self.describe(&root, &seen).await?;
            let is_new = before.as_ref().is_some_and(|before| *before != now);
            if is_new || now.phase == RecoverPhase::Arrived {
                return Ok(now);
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(now);
            }
            before.get_or_insert(now);
            let _ = tokio::time::timeout(GLANCE, view.changed()).await;
        }
    }

    /// The person begins a new home space with what was found.
    pub(crate) async fn begin_anew(&self) -> Result<RecoverState, ApiError> {
        {
            let state = self.lock();
            let running = state.as_ref().ok_or_else(no_attempt)?;
            running.anew.send_replace(true);
        }
        self.look(WAIT_MS_MAX / 6).await
    }

    /// Removes lost devices, and forgets the root key.
    pub(crate) async fn finish(&self, finish: RecoverFinish) -> Result<RecoverDone, ApiError> {
        let root = {
            let state = self.lock();
            let running = state.as_ref().ok_or_else(no_attempt)?;
            Arc::clone(&running.root)
        };
        let state = self.look(0).await?;
        let mut lost = Vec::new();
        let mut removed = Vec::new();
        for wanted in &finish.remove {
            let device = state.devices.iter().find(|device| device.id == *wanted);
            let device = device.ok_or_else(|| {
                ApiError::new(
                    ErrorKind::NotFound,
                    format!("None of your other devices has the id {wanted:?}."),
                )
                .hint("Look again: `stead recover` shows them.")
            })?;
            removed.push(device.name.clone());
            lost.extend(device.id.parse::<DeviceId>().ok());
        }
        if !lost.is_empty() && state.phase != RecoverPhase::Arrived {
            return Err(ApiError::new(
                ErrorKind::NotAllowed,
                "Not everything has arrived yet: what your lost devices wrote and this one has not got would count for nothing.",
            )
            .hint("Wait until it has, then remove them."));
        }
        if !lost.is_empty() {
            let done = self.store.change(move |desk| {
                let done = desk.replica.remove_lost(&root, &lost, wall_ms());
                desk.note_outcome(&done);
                done.map_err(|error| faults::replica(&error))
            });
            done.await??;
        }
        self.give_up()?;
        let message = match &removed[..] {
            [] => {
                "This device is one of yours now, and has forgotten the recovery words.".to_owned()
            }
            names => format!(
                "Removed {}: what they have stays on them, nothing new reaches them, and every key that they had is made anew.",
                names.join(", ")
            ),
        };
        Ok(RecoverDone { removed, message })
    }

    /// Ends the attempt.
    pub(crate) fn give_up(&self) -> Result<(), ApiError> {
        let ended = self.lock().take();
        ended.map(drop).ok_or_else(no_attempt)
    }

    /// Refuses where something else than a blank identity, or this very one, would be given up.
    async fn check(&self, identity: IdentityId) -> Result<(), ApiError> {
        let free = self.store.look(move |desk| {
            let blank = desk.replica.home_is_blank();
            let blank = blank.map_err(|error| faults::replica(&error))?;
            Ok::<_, ApiError>(blank || desk.replica.person() == Some(identity))
        });
        match free.await?? {
            true => Ok(()),
            false => Err(ApiError::new(
                ErrorKind::LinkTaken,
                "This device already belongs to another identity, with data of its own.",
            )
            .hint("Start with an empty data folder to recover: stead --home DIR up")),
        }
    }

    async fn describe(&self, root: &RootKey, view: &View) -> Result<RecoverState, ApiError> {
        let identity = IdentityId::from_bytes(root.public());
        let facts = self.facts.all();
        let moved_in = view.moved_in;
        let looked = self.store.look(move |desk| {
            let replica = &desk.replica;
            let own = replica.device();
            let outlines: Vec<_> = match moved_in {
                true => replica.space_ids(),
                false => Vec::new(),
            }
            .iter()
            .filter_map(|id| replica.outline(id).ok())
            .collect();
            let names = replica.device_names().unwrap_or_default();
            let mut devices = replica.devices_of(identity);
            devices.remove(&own);
            (outlines, names, devices)
        });
        let (outlines, names, others) = looked.await?;
        let mut spaces: Vec<RecoverSpace> = outlines
            .iter()
            .map(|space| {
                let lacks = facts.values().filter(|peer| peer.connection.is_some());
                let lacks = lacks.filter_map(|peer| *peer.shared.get(&space.id)?);
                let missing = lacks.map(|lack| lack.here).max();
                RecoverSpace {
                    id: space.id.to_string(),
                    name: space.name.clone(),
                    complete: space.role.is_some()
                        && (missing == Some(0) || (space.is_home && space.devices.len() == 1)),
                    missing,
                }
            })
            .collect();
        if !moved_in {
            spaces.extend(view.found.iter().map(|(id, name)| RecoverSpace {
                id: id.to_string(),
                name: name.clone(),
                ..RecoverSpace::default()
            }));
        }
        let devices = others
            .into_iter()
            .map(|(id, record)| RecoverDevice {
                name: names
                    .get(&id)
                    .cloned()
                    .unwrap_or_else(|| record.name.as_str().to_owned()),
                reached: facts.get(&id).is_some_and(|peer| peer.connection.is_some())
                    || view.holders.contains_key(&id),
                id: id.to_string(),
            })
            .collect();
        // Not by who answered: what they handed over may be false, or hold the home space after all.
        let phase = match (moved_in, view.found.is_empty()) {
            (true, _) if !spaces.is_empty() && spaces.iter().all(|space| space.complete) => {
                RecoverPhase::Arrived
            }
            (true, _) => RecoverPhase::Arriving,
            (false, false) => RecoverPhase::NoHome,
            (false, true) => RecoverPhase::Looking,
        };
        Ok(RecoverState {
            identity: identity.to_string(),
            phase,
            rounds: view.rounds,
            asked: view.asked,
            holders: view
                .holders
                .iter()
                .map(|(id, name)| RecoverHolder {
                    id: id.to_string(),
                    name: name.clone(),
                })
                .collect(),
            spaces,
            devices,
        })
    }

    fn is_unseen(&self, no: u64) -> bool {
        let mut state = self.lock();
        let unseen = |running: &mut Running| {
            running.no == no && steady_ms().saturating_sub(running.looked_ms) > UNSEEN_MS_MAX
        };
        state.take_if(unseen).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        // Every critical section leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Search {
    async fn run(mut self) {
        let resumed = self.recoverer.store.look({
            let identity = IdentityId::from_bytes(self.root.public());
            move |desk| desk.replica.person() == Some(identity)
        });
        if matches!(resumed.await, Ok(true)) {
            self.view.send_modify(|view| view.moved_in = true);
        }
        while !self.recoverer.is_unseen(self.no) {
            self.ask_all().await;
            if let Err(error) = self.move_in().await {
                self.view.send_modify(|view| view.failed = Some(error));
                return;
            }
            self.view.send_modify(|view| view.rounds += 1);
            let _ = tokio::time::timeout(PAUSE, self.anew.changed()).await;
        }
    }

    /// Asks every device that could hold something and has not answered lately.
    async fn ask_all(&mut self) {
        let net = &self.recoverer.net;
        let own = self.me.record.id;
        let sighted = net.sighted().into_iter().map(|(device, _)| device);
        let candidates: BTreeSet<DeviceId> = self.places.iter().copied().chain(sighted).collect();
        let now_ms = steady_ms();
        let due = |device: &DeviceId| {
            let asked = self.asked_ms.get(device);
            *device != own && asked.is_none_or(|at| now_ms.saturating_sub(*at) > AGAIN_MS)
        };
        let mut asking = JoinSet::new();
        for device in candidates.into_iter().filter(due).take(DEVICES_MAX) {
            let (net, root, me) = (net.clone(), Arc::clone(&self.root), self.me.clone());
            asking.spawn(async move {
                let asked = dial::ask(&net, device, &root, &me);
                (device, tokio::time::timeout(ASK_TIMEOUT, asked).await)
            });
        }
        let asked = u32::try_from(asking.len()).unwrap_or(u32::MAX);
        if asked > 0 {
            self.view.send_modify(|view| view.asked = asked);
        }
        while let Some(answered) = asking.join_next().await {
            match answered {
                Ok((device, Ok(Ok(Some(held))))) if !held.spaces.is_empty() => {
                    self.asked_ms.insert(device, steady_ms());
                    let hints = self.recoverer.net.known_hints(&device);
                    self.recoverer.introductions.introduce(device, hints);
                    let name = held.device_name.as_str().to_owned();
                    self.view.send_modify(|view| {
                        view.holders.insert(device, name);
                    });
                    for space in held.spaces {
                        // What is false is left out here, so that it never stands in the way of what is true.
                        match space.check(&self.root) {
                            Ok(_) => {
                                self.found.entry(space.ticket.id).or_insert(space);
                            }
                            Err(error) => tracing::warn!(
                                peer = %device.short(),
                                %error,
                                "a device hands over what is not the space that it says"
                            ),
                        }
                    }
                }
                Ok((device, Ok(Ok(_)))) => {
                    tracing::debug!(peer = %device.short(), "nothing of this identity is there");
                }
                Ok((device, Ok(Err(why)))) => {
                    tracing::debug!(peer = %device.short(), why, "a device could not be asked");
                }
                Ok((device, Err(_))) => {
                    tracing::debug!(peer = %device.short(), "a device takes too long");
                }
                Err(_) => {}
            }
        }
    }

    /// Becomes a device of the person as soon as their home space is found, or they said to do without.
    async fn move_in(&mut self) -> Result<(), ApiError> {
        if self.found.is_empty() {
            return Ok(());
        }
        let found: Vec<HeldSpace> = self.found.values().cloned().collect();
        let is_home =
            |held: &HeldSpace| held.check(&self.root).is_ok_and(|checked| checked.is_home);
        let moved_in = self.view.borrow().moved_in;
        let anew = *self.anew.borrow_and_update();
        if !moved_in && !anew && !found.iter().any(is_home) {
            let names = found.iter();
            let names = names.map(|held| (held.ticket.id, held.ticket.name.clone()));
            let names = names.collect();
            self.view.send_modify(|view| view.found = names);
            return Ok(());
        }
        let identity = IdentityId::from_bytes(self.root.public());
        self.recoverer.check(identity).await?;
        let root = Arc::clone(&self.root);
        let opened = self.recoverer.store.change(move |desk| {
            let opened = desk.replica.take_up(&root, &found, anew, wall_ms());
            desk.note_outcome(&opened);
            opened.map_err(|error| faults::replica(&error))
        });
        opened.await??;
        self.found.clear();
        self.view.send_modify(|view| view.moved_in = true);
        Ok(())
    }
}

fn no_attempt() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "This device is not coming back.")
        .hint("Begin with your recovery words: stead recover")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_id_with_an_address_or_a_relay() {
        let device = DeviceId::from_bytes([7; 32]);
        let (id, hints) = parse_place(&format!(" {device}@10.0.0.1:5 ")).unwrap();
        assert_eq!((id, hints.addrs.len()), (device, 1));
        let (_, hints) = parse_place(&format!("{device}@https://relay.example.org/")).unwrap();
        assert!(hints.relay.is_some());
        for wrong in [
            "",
            "@",
            "10.0.0.1:5",
            "ab@10.0.0.1:5",
            &format!("{device}@"),
        ] {
            let refused = parse_place(wrong).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::InvalidParams);
        }
    }
}
