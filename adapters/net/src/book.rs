//! The address book: where other devices may be reached, as told by the caller and as seen on the
//! local network. The only source of addresses an endpoint has.
//!
//! It dials nobody and keeps nothing on disk.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use iroh::address_lookup::{AddressLookup, EndpointData, EndpointInfo, Item};
use iroh::{EndpointId, TransportAddr};
use n0_future::boxed::BoxStream;
use n0_future::stream;
use stead_base::DeviceId;
use tokio::sync::watch;

use crate::hints::PeerHints;

/// How many direct addresses are kept for one device.
pub const ADDRS_PER_DEVICE_MAX: usize = 16;
/// How many devices that nobody told us about are remembered from the local network.
pub const SIGHTED_DEVICES_MAX: usize = 256;
/// How long an attempt to connect keeps listening for addresses learned meanwhile.
const LOOKUP_OPEN: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    hints: PeerHints,
    sighted: Vec<SocketAddr>,
}

impl Entry {
    fn addrs(&self) -> Vec<SocketAddr> {
        let mut all = self.sighted.clone();
        for addr in &self.hints.addrs {
            if !all.contains(addr) {
                all.push(*addr);
            }
        }
        all.truncate(ADDRS_PER_DEVICE_MAX);
        all
    }
}

/// A shared address book.
#[derive(Debug, Clone)]
pub(crate) struct AddressBook {
    entries: Arc<RwLock<BTreeMap<DeviceId, Entry>>>,
    changes: watch::Sender<u64>,
}

impl AddressBook {
    pub(crate) fn new() -> Self {
        Self {
            entries: Arc::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Replaces what the caller said about a device. Returns whether that changed anything.
    pub(crate) fn learn(&self, device: DeviceId, mut hints: PeerHints) -> bool {
        hints.addrs.retain(is_dialable);
        hints.addrs.truncate(ADDRS_PER_DEVICE_MAX);
        self.change(device, |entry| entry.hints = hints)
    }

    /// Replaces the addresses at which a device announces itself on the local network; none means
    /// that it is gone. Returns whether that changed anything.
    pub(crate) fn sight(&self, device: DeviceId, mut addrs: Vec<SocketAddr>) -> bool {
        addrs.retain(is_dialable);
        addrs.truncate(ADDRS_PER_DEVICE_MAX);
        if !addrs.is_empty() {
            let entries = self.read();
            let known = entries.contains_key(&device);
            let crowd = entries.values().filter(|e| !e.sighted.is_empty()).count();
            if !known && crowd >= SIGHTED_DEVICES_MAX {
                return false;
            }
        }
        self.change(device, |entry| entry.sighted = addrs)
    }

    /// Everything known about a device.
    pub(crate) fn hints(&self, device: &DeviceId) -> PeerHints {
        self.read()
            .get(device)
            .map(|entry| PeerHints {
                addrs: entry.addrs(),
                relay: entry.hints.relay.clone(),
            })
            .unwrap_or_default()
    }

    /// The devices seen on the local network now.
    pub(crate) fn sighted(&self) -> Vec<(DeviceId, Vec<SocketAddr>)> {
        self.read()
            .iter()
            .filter(|(_, entry)| !entry.sighted.is_empty())
            .map(|(device, entry)| (*device, entry.sighted.clone()))
            .collect()
    }

    fn change(&self, device: DeviceId, edit: impl FnOnce(&mut Entry)) -> bool {
        let mut entries = self.write();
        let mut entry = entries.get(&device).cloned().unwrap_or_default();
        let before = entry.clone();
        edit(&mut entry);
        if entry == before {
            return false;
        }
        if entry == Entry::default() {
            entries.remove(&device);
        } else {
            entries.insert(device, entry);
        }
        drop(entries);
        self.changes.send_modify(|count| *count += 1);
        true
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<DeviceId, Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<DeviceId, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The transport addresses that hints stand for.
pub(crate) fn transport_addrs(hints: &PeerHints) -> Vec<TransportAddr> {
    let direct = hints.addrs.iter().copied().map(TransportAddr::Ip);
    let relay = hints.relay.iter().cloned().map(TransportAddr::Relay);
    direct.chain(relay).collect()
}

fn is_dialable(addr: &SocketAddr) -> bool {
    let ip = addr.ip();
    let needs_scope =
        matches!(addr, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0);
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !needs_scope
}

impl AddressLookup for AddressBook {
    /// What is known now, then whatever is learned while the attempt runs.
    fn resolve(
        &self,
        endpoint: EndpointId,
    ) -> Option<BoxStream<Result<Item, iroh::address_lookup::Error>>> {
        let device = DeviceId::from_bytes(*endpoint.as_bytes());
        let known = self.hints(&device);
        if known.is_empty() {
            return None;
        }
        let item = move |hints: &PeerHints| {
            let data = EndpointData::new(transport_addrs(hints));
            Ok(Item::new(
                EndpointInfo::from_parts(endpoint, data),
                "stead",
                None,
            ))
        };
        let first = item(&known);
        let state = (self.clone(), self.changes.subscribe(), known);
        let later = stream::unfold(state, move |(book, mut changes, mut last)| async move {
            loop {
                tokio::time::timeout(LOOKUP_OPEN, changes.changed())
                    .await
                    .ok()?
                    .ok()?;
                let hints = book.hints(&device);
                if hints != last && !hints.is_empty() {
                    last = hints;
                    return Some((item(&last), (book, changes, last)));
                }
            }
        });
        let all = n0_future::StreamExt::chain(stream::once(first), later);
        Some(Box::pin(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: u8) -> DeviceId {
        DeviceId::from_bytes([n; 32])
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    fn hints(addrs: &[&str]) -> PeerHints {
        PeerHints {
            addrs: addrs.iter().map(|text| addr(text)).collect(),
            relay: None,
        }
    }

    #[test]
    fn sightings_come_first_and_nothing_is_named_twice() {
        let book = AddressBook::new();
        assert!(book.learn(device(1), hints(&["10.0.0.1:5", "10.0.0.2:5"])));
        assert!(book.sight(device(1), vec![addr("10.0.0.2:5")]));
        assert_eq!(
            book.hints(&device(1)).addrs,
            [addr("10.0.0.2:5"), addr("10.0.0.1:5")]
        );
    }

    #[test]
    fn a_device_that_leaves_the_network_keeps_what_it_was_told() {
        let book = AddressBook::new();
        book.learn(device(1), hints(&["10.0.0.1:5"]));
        book.sight(device(1), vec![addr("10.0.0.9:5")]);
        book.sight(device(1), Vec::new());
        assert_eq!(book.hints(&device(1)).addrs, [addr("10.0.0.1:5")]);
        assert!(book.sighted().is_empty());
    }

    #[test]
    fn addresses_nobody_can_dial_are_dropped() {
        let book = AddressBook::new();
        let useless = hints(&["0.0.0.0:5", "10.0.0.1:0", "[fe80::1]:5", "224.0.0.1:5"]);
        assert!(!book.learn(device(1), useless));
        assert!(book.hints(&device(1)).is_empty());
    }

    #[test]
    fn a_flood_of_strangers_and_addresses_is_bounded() {
        let book = AddressBook::new();
        for n in 0..2 * SIGHTED_DEVICES_MAX {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(n as u64).to_be_bytes());
            book.sight(DeviceId::from_bytes(id), vec![addr("10.0.0.1:5")]);
        }
        assert_eq!(book.sighted().len(), SIGHTED_DEVICES_MAX);
        let many = (1..100).map(|port| SocketAddr::new(addr("10.0.0.1:1").ip(), port));
        book.learn(
            device(9),
            PeerHints {
                addrs: many.collect(),
                relay: None,
            },
        );
        assert_eq!(book.hints(&device(9)).addrs.len(), ADDRS_PER_DEVICE_MAX);
    }

    #[test]
    fn learning_the_same_twice_changes_nothing() {
        let book = AddressBook::new();
        assert!(book.learn(device(1), hints(&["10.0.0.1:5"])));
        assert!(!book.learn(device(1), hints(&["10.0.0.1:5"])));
    }
}
