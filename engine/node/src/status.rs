//! Everything a person wants to see at a glance: this device, the others and how they are reached,
//! spaces and how far they are in step, and what deserves attention.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use stead_api::{
    API_VERSION, ApiError, DeviceInfo, Identity, KeyStorage, KeyStorageKind, PathKind, PeerInfo,
    RelayInfo, Status, StoreInfo, Warning,
};
use stead_base::DeviceId;
use stead_keys::Kind;
use stead_net::{DialStatus, LanStatus, RelayState, relay_label};
use stead_replica::SpaceInfo;

use crate::api::Node;
use crate::at_rest;
use crate::clock::wall_ms;
use crate::home::STORE_FILE;
use crate::link::notice;
use crate::platform;
use crate::sync::facts::{CLOCK_DIFFERENCE_MAX_MS, PeerFacts};

/// Less free space than this deserves a warning.
pub(crate) const FREE_BYTES_MIN: u64 = 256 << 20;

impl Node {
    /// `node.status`.
    pub(crate) async fn status(&self) -> Result<Status, ApiError> {
        let outlines = self.outlines().await?;
        let facts = self.facts_of_this_moment().await;
        let mut spaces = Vec::with_capacity(outlines.len());
        for outline in &outlines {
            spaces.push(self.describe(outline, &facts, false).await?);
        }
        let names = names(&outlines);
        let home = outlines.iter().find(|space| space.is_home);
        let mut peers: Vec<PeerInfo> = names
            .keys()
            .filter(|id| **id != self.device.id)
            .map(|id| peer(id, &names, &facts.get(id).cloned().unwrap_or_default()))
            .collect();
        peers.sort_by(|a, b| {
            (a.path == PathKind::Offline, &a.name).cmp(&(b.path == PathKind::Offline, &b.name))
        });
        let addresses = self.net.local_hints().addrs;
        let mut warnings = self.warnings(&outlines, &names, &facts);
        if self.words_wait().await {
            warnings.push(Warning {
                message: "Your 24 recovery words wait to be written down.".to_owned(),
                hint: "`stead identity phrase` shows them: without them, whoever loses all devices loses everything.".to_owned(),
            });
        }
        warnings.extend(self.released_shares().await);
        Ok(Status {
            api: API_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: wall_ms().saturating_sub(self.started_ms),
            home: self.home.display().to_string(),
            device: self.device_info(&self.device.id, &self.device.name, &facts),
            identity: Identity {
                id: self.person().await?,
                devices: home.map_or(0, |home| {
                    u32::try_from(home.devices.len()).unwrap_or(u32::MAX)
                }),
            },
            keys: self.key_storage(),
            spaces,
            peers,
            addresses: addresses.iter().map(SocketAddr::to_string).collect(),
            lan_discovery: self.net.lan_status() == LanStatus::Searching,
            relay: self.relay(),
            store: self.store_info(),
            indexing: self.indexing(&outlines).await?,
            warnings,
        })
    }

    /// The person's devices, this one first.
    pub(crate) async fn devices(&self) -> Result<Vec<DeviceInfo>, ApiError> {
        let outlines = self.outlines().await?;
        let facts = self.facts.all();
        let home = outlines.iter().find(|space| space.is_home);
        let mut devices: Vec<DeviceInfo> = home
            .into_iter()
            .flat_map(|home| &home.devices)
            .map(|device| self.device_info(&device.id, &device.name, &facts))
            .collect();
        devices.sort_by(|a, b| (!a.this, &a.name, &a.id).cmp(&(!b.this, &b.name, &b.id)));
        Ok(devices)
    }

    fn device_info(
        &self,
        id: &DeviceId,
        name: &str,
        facts: &BTreeMap<DeviceId, PeerFacts>,
    ) -> DeviceInfo {
        let this = *id == self.device.id;
        let seen_ms = facts.get(id).and_then(|facts| facts.seen_ms);
        DeviceInfo {
            id: id.to_string(),
            name: name.to_owned(),
            this,
            linked_ms: None,
            seen_ms: if this { Some(wall_ms()) } else { seen_ms },
        }
    }

    /// Where the private keys are.
    pub(crate) fn key_storage(&self) -> KeyStorage {
        let kind = match self.keys {
            Kind::OsKeyring => KeyStorageKind::Keyring,
            Kind::PassphraseFile => KeyStorageKind::PassphraseFile,
            Kind::OwnerOnlyFile => KeyStorageKind::OwnerFile,
        };
        let explanation = match self.keys {
            Kind::OsKeyring => "The keys are in the operating system's keyring.",
            Kind::PassphraseFile => "The keys are in a file that your passphrase opens.",
            Kind::OwnerOnlyFile => {
                "The keys are in a file that only you can read; nothing else protects them."
            }
        };
        KeyStorage {
            kind,
            explanation: explanation.to_owned(),
        }
    }

    fn relay(&self) -> Option<RelayInfo> {
        let report = self.net.relay_reports().into_iter().next()?;
        Some(RelayInfo {
            url: relay_label(&report.url),
            connected: report.state == RelayState::Connected,
            why: report.why,
        })
    }

    /// The store's files on disk.
    pub(crate) fn store_info(&self) -> StoreInfo {
        let size = |end: &str| {
            let path = self.home.join(format!("{STORE_FILE}{end}"));
            std::fs::metadata(path).map_or(0, |meta| meta.len())
        };
        StoreInfo {
            bytes: stead_store::FILE_ENDS.into_iter().map(size).sum(),
            free_bytes: free_bytes(&self.home),
            encrypted: self.encrypted,
            protection: at_rest::protection(self.encrypted, self.keys).to_owned(),
        }
    }

    fn warnings(
        &self,
        outlines: &[SpaceInfo],
        names: &BTreeMap<DeviceId, String>,
        facts: &BTreeMap<DeviceId, PeerFacts>,
    ) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |message: String, hint: &str| {
            warnings.push(Warning {
                message,
                hint: hint.to_owned(),
            });
        };
        if let Some(trouble) = &*self.board.trouble.borrow() {
            warn(trouble.message.clone(), &trouble.hint);
        }
        for notice in &*self.board.notices.borrow() {
            warn(notice.clone(), "");
        }
        for linked in &*self.newcomers.borrow() {
            if let Some(news) = linked.sentence(wall_ms()) {
                warn(news, notice::HINT);
            }
        }
        if let Some(free) = free_bytes(&self.home).filter(|free| *free < FREE_BYTES_MIN) {
            warn(
                format!(
                    "Only {} MiB are free on the disk of the data folder.",
                    free >> 20
                ),
                "Free some space, or changes cannot be saved soon.",
            );
        }
        for (id, facts) in facts {
            if let Some(ahead) = facts
                .clock_ahead_ms
                .filter(|ms| ms.abs() > CLOCK_DIFFERENCE_MAX_MS)
            {
                warn(
                    clock_sentence(names.get(id).map_or("A device", String::as_str), ahead),
                    CLOCK_HINT,
                );
            }
        }
        for space in outlines {
            if !space.frozen.is_empty() {
                warn(
                    format!(
                        "In {:?} a device wrote two histories; one of them was stopped where they part.",
                        space.name
                    ),
                    "Usually a backup was restored or a disk copied; that device goes on under a new key.",
                );
            }
            if space.waiting > 0 && space.role.is_some() {
                warn(
                    format!(
                        "In {:?} {} changes wait for their time, a key or a grant.",
                        space.name, space.waiting
                    ),
                    "Check the clocks of your devices; `stead doctor` says more.",
                );
            }
            if space.skipped > 0 {
                warn(
                    format!(
                        "In {:?} {} changes were made by a newer Stead.",
                        space.name, space.skipped
                    ),
                    "Update Stead on this device.",
                );
            }
        }
        if let LanStatus::Failed { why } = self.net.lan_status() {
            warn(
                format!("Devices on the local network cannot be found: {why}."),
                "Devices whose address is known are reached all the same.",
            );
        }
        for report in self.net.relay_reports() {
            if matches!(report.state, RelayState::Unreachable | RelayState::Refused) {
                warn(
                    crate::faults::capitalized(&report.why),
                    "See that the relay runs, and that its address and token are right.",
                );
            }
        }
        warnings
    }
}

/// What to do about clocks.
pub(crate) const CLOCK_HINT: &str =
    "Set the clocks of both devices by the network; until then changes from the future wait.";

/// A difference of clocks, in words.
pub(crate) fn clock_sentence(name: &str, ahead_ms: i64) -> String {
    // To the nearest, since the way of a message makes the difference a little smaller or larger.
    let minutes = (ahead_ms.unsigned_abs() + 30_000) / 60_000;
    let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
    let much = match minutes {
        0..=119 => format!("{minutes} minutes"),
        120..=2_879 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    };
    format!("The clock of {name} is {much} {way} this one.")
}

/// Every device of every space, by the name it was let in under.
pub(crate) fn names(outlines: &[SpaceInfo]) -> BTreeMap<DeviceId, String> {
    let mut names = BTreeMap::new();
    for device in outlines.iter().flat_map(|space| &space.devices) {
        names
            .entry(device.id)
            .or_insert_with(|| device.name.clone());
    }
    names
}

fn peer(id: &DeviceId, names: &BTreeMap<DeviceId, String>, facts: &PeerFacts) -> PeerInfo {
    let report = facts
        .connection
        .as_ref()
        .map(|connection| connection.path());
    let (path, why, address) = match &report {
        Some(report) => match &report.kind {
            stead_net::PathKind::Direct { addr } => {
                (PathKind::Direct, report.why.clone(), Some(addr.to_string()))
            }
            stead_net::PathKind::Relayed { url } => (
                PathKind::Relayed,
                report.why.clone(),
                Some(relay_label(url)),
            ),
            stead_net::PathKind::Connecting => (PathKind::Offline, report.why.clone(), None),
        },
        None => (PathKind::Offline, offline_why(facts), None),
    };
    let (sent_bytes, received_bytes) = facts.bytes();
    PeerInfo {
        id: id.to_string(),
        name: names.get(id).cloned().unwrap_or_default(),
        path,
        why,
        address,
        rtt_ms: report.and_then(|report| report.rtt_ms).map(f64::from),
        clock_difference_ms: facts.clock_ahead_ms,
        seen_ms: facts.seen_ms,
        sent_bytes,
        received_bytes,
    }
}

fn offline_why(facts: &PeerFacts) -> String {
    match &facts.dial {
        Some(DialStatus::Waiting { why, .. }) => why.clone(),
        Some(DialStatus::Dialing) => "being dialed".to_owned(),
        Some(DialStatus::Connected) | None => facts
            .last_end
            .clone()
            .unwrap_or_else(|| "not connected yet".to_owned()),
    }
}

fn free_bytes(home: &Path) -> Option<u64> {
    platform::free_bytes(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_of_clocks_are_told_in_the_unit_that_fits() {
        assert_eq!(
            clock_sentence("tower", 90 * 60_000),
            "The clock of tower is 90 minutes ahead of this one."
        );
        assert_eq!(
            clock_sentence("tower", -3 * 86_400_000),
            "The clock of tower is 3 days behind this one."
        );
    }
}
