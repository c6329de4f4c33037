//! Where devices are: keeps this device's own document in the home space current, and tells the
//! network what the others say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_base::{DeviceId, DocId};
use stead_net::{Net, PeerHints, RelayUrl};
use stead_replica::{Change, Edit, ReplicaError};
use stead_store::{CollectionNo, Query};
use tokio::sync::watch;

use crate::clock::wall_ms;
use crate::home::{read_small, write_private};
use crate::store_thread::StoreHandle;

/// The home collection in which each device says where it may be reached.
pub(crate) const DEVICES: &str = "devices";
/// Addresses that changed are written after they were quiet for this long.
const QUIET: Duration = Duration::from_millis(1_500);
/// At the start, once the network had a moment to look around.
const FIRST: Duration = Duration::from_millis(200);
/// Most devices whose documents are read.
const DEVICES_MAX: u64 = 1024;
/// Most addresses taken from one document.
const ADDRESSES_MAX: usize = 16;
/// Most devices remembered that a link or a recovery told of.
const INTRODUCED_MAX: usize = 16;
/// Most relays of others that are used.
const RELAYS_MAX: usize = 8;

/// What a device's document says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Place {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    relay: Option<String>,
}

impl Place {
    fn of(hints: &PeerHints) -> Self {
        // Loopback says something only where there is nothing else.
        let all = &hints.addrs;
        let outside: Vec<&SocketAddr> =
            all.iter().filter(|addr| !addr.ip().is_loopback()).collect();
        let addresses = if outside.is_empty() {
            all.iter().collect()
        } else {
            outside
        };
        Self {
            addresses: addresses
                .into_iter()
                .take(ADDRESSES_MAX)
                .map(SocketAddr::to_string)
                .collect(),
            relay: hints.relay.as_ref().map(RelayUrl::to_string),
        }
    }

    fn hints(&self) -> PeerHints {
        let addresses = self.addresses.iter().take(ADDRESSES_MAX);
        PeerHints {
            addrs: addresses.filter_map(|text| text.parse().ok()).collect(),
            relay: self.relay.as_deref().and_then(|text| text.parse().ok()),
        }
    }
}

/// Keeps the directory current until `stop` changes.
pub(crate) struct Directory {
    pub(crate) net: Net,
    pub(crate) store: StoreHandle,
    pub(crate) device: DeviceId,
    pub(crate) device_name: String,
    /// Devices that a link told of.
    pub(crate) introductions: Introductions,
    /// The relays this device was started with.
    pub(crate) relays: Vec<RelayUrl>,
    /// Those and the relays of other devices, as the network was told.
    pub(crate) relays_in_use: Vec<RelayUrl>,
}

impl Directory {
    /// Runs until `stop` changes or its sender is gone.
    pub(crate) async fn run(
        mut self,
        mut places: watch::Receiver<u64>,
        mut members: watch::Receiver<u64>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut own = self.net.watch_local_hints();
        places.mark_changed();
        let mut write_at = Some(tokio::time::Instant::now() + FIRST);
        loop {
            let due =
                write_at.unwrap_or_else(|| tokio::time::Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                _ = stop.changed() => return,
                changed = places.changed() => match changed {
                    Ok(()) => self.read().await,
                    Err(_) => return,
                },
                changed = own.changed() => match changed {
                    Ok(()) => write_at = Some(tokio::time::Instant::now() + QUIET),
                    Err(_) => return,
                },
                // A device that was just let in could not write before.
                changed = members.changed() => match changed {
                    Ok(()) => { write_at.get_or_insert(tokio::time::Instant::now() + QUIET); }
                    Err(_) => return,
                },
                () = tokio::time::sleep_until(due), if write_at.is_some() => {
                    write_at = None;
                    self.write().await;
                }
            }
        }
    }

    /// Says where this device is, if that is not what its document says already.
    async fn write(&self) {
        let place = Place::of(&self.net.local_hints());
        let (device, name) = (self.device, self.device_name.clone());
        let written = self.store.change(move |desk| {
            let Some(home) = desk.replica.home() else {
                return Ok(());
            };
            let id = DocId::parse(&device.to_string())
                .map_err(|error| ReplicaError::Refused(error.to_string()))?;
            let mut value = json!({ "name": name, "addresses": place.addresses });
            if let Some(relay) = place.relay {
                value["relay"] = relay.into();
            }
            let edit = Edit {
                collection: DEVICES.to_owned(),
                id: Some(id),
                change: Change::Put {
                    value,
                    replace: true,
                },
            };
            let written = desk.replica.transact(&home, &[edit], wall_ms());
            desk.note_outcome(&written);
            written.map(|_| ())
        });
        match written.await {
            Ok(Ok(()) | Err(ReplicaError::NotAdmitted { .. })) | Err(_) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot write down where this device is"),
        }
    }

    /// Tells the network where the other devices say they are.
    async fn read(&mut self) {
        let found = self.store.look(|desk| {
            let home = desk.replica.home()?;
            let query = Query {
                limit: Some(DEVICES_MAX),
                ..Query::all(CollectionNo(0))
            };
            desk.replica.query(&home, DEVICES, query).ok()
        });
        let Ok(Some(found)) = found.await else {
            return;
        };
        let mut relays = self.relays.clone();
        let mut placed = BTreeSet::new();
        for doc in found {
            let Ok(device) = doc.id.to_string().parse::<DeviceId>() else {
                continue;
            };
            let place: Place = serde_json::from_str(&doc.json).unwrap_or_default();
            if device == self.device {
                continue;
            }
            let hints = place.hints();
            if hints.is_empty() {
                continue;
            }
            placed.insert(device);
            if let Some(relay) = &hints.relay
                && !relays.contains(relay)
                && relays.len() < RELAYS_MAX
            {
                relays.push(relay.clone());
            }
            tracing::debug!(peer = %device.short(), addresses = hints.addrs.len(), "learned where a device is");
            self.net.learn(device, hints);
        }
        self.introductions.settle(&placed);
        if self.relays_in_use != relays {
            self.net.set_relays(relays.clone()).await;
            self.relays_in_use = relays;
        }
    }
}

/// Devices that a link told of, until the home space does. Kept in a file, so that a restart right
/// after linking finds the way back.
#[derive(Debug, Clone)]
pub(crate) struct Introductions {
    path: PathBuf,
    known: Arc<Mutex<BTreeMap<DeviceId, PeerHints>>>,
}

#[derive(Serialize, Deserialize)]
struct Introduced {
    device: String,
    #[serde(flatten)]
    place: Place,
}

impl Introductions {
    /// Reads what is left from before.
    pub(crate) fn open(path: PathBuf) -> Self {
        let mut known = BTreeMap::new();
        let text = read_small(&path).unwrap_or_default();
        for line in text.lines().take(INTRODUCED_MAX) {
            if let Ok(introduced) = serde_json::from_str::<Introduced>(line)
                && let Ok(device) = introduced.device.parse()
            {
                known.insert(device, introduced.place.hints());
            }
        }
        Self {
            path,
            known: Arc::new(Mutex::new(known)),
        }
    }

    /// A link told where a device is.
    pub(crate) fn introduce(&self, device: DeviceId, hints: PeerHints) {
        let mut known = self.lock();
        if known.len() >= INTRODUCED_MAX && !known.contains_key(&device) {
            known.pop_first();
        }
        known.insert(device, hints);
        let lines = known.iter().map(|(device, hints)| {
            serde_json::to_string(&Introduced {
                device: device.to_string(),
                place: Place {
                    addresses: hints.addrs.iter().map(SocketAddr::to_string).collect(),
                    relay: hints.relay.as_ref().map(RelayUrl::to_string),
                },
            })
        });
        let text = lines
            .collect::<Result<Vec<_>, _>>()
            .map(|lines| lines.join("\n"));
        let written = text
            .map_err(std::io::Error::other)
            .and_then(|text| write_private(&self.path, text.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(%error, "the link cannot be remembered across a restart");
        }
    }

    /// The devices told of.
    pub(crate) fn devices(&self) -> Vec<DeviceId> {
        self.lock().keys().copied().collect()
    }

    /// Tells the network.
    pub(crate) fn teach(&self, net: &Net) {
        for (device, hints) in self.lock().iter() {
            net.learn(*device, hints.clone());
        }
    }

    /// Forgets whoever says itself where it is by now.
    pub(crate) fn settle(&self, placed: &BTreeSet<DeviceId>) {
        let mut known = self.lock();
        let before = known.len();
        known.retain(|device, _| !placed.contains(device));
        if known.is_empty() && before > 0 {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeviceId, PeerHints>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_loopback_only_when_there_is_nothing_else() {
        let addr = |text: &str| text.parse().unwrap();
        let both = PeerHints {
            addrs: vec![addr("127.0.0.1:5"), addr("10.0.0.1:5")],
            relay: None,
        };
        assert_eq!(Place::of(&both).addresses, ["10.0.0.1:5"]);
        let only = PeerHints {
            addrs: vec![addr("127.0.0.1:5")],
            relay: None,
        };
        assert_eq!(Place::of(&only).addresses, ["127.0.0.1:5"]);
    }

    #[test]
    fn an_introduction_survives_a_restart_and_ends_with_the_devices_own_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("introduced-by");
        let device = DeviceId::from_bytes([7; 32]);
        let hints = PeerHints {
            addrs: vec!["10.0.0.1:5".parse().unwrap()],
            relay: None,
        };
        let other = DeviceId::from_bytes([8; 32]);
        let first = Introductions::open(path.clone());
        first.introduce(device, hints.clone());
        first.introduce(other, hints.clone());
        let again = Introductions::open(path.clone());
        assert_eq!(again.devices(), [device, other]);
        again.settle(&BTreeSet::from([device, other]));
        assert!(Introductions::open(path).devices().is_empty());
    }
}
