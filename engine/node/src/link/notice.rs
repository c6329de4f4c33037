//! Tells the person, on each of their devices, which devices others have linked.
//!
//! The roster of the home space is the source: no device can let one in without its saying so there, and no message needs
//! to be believed. Owns a small file of the devices this one knew of before, and since when.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stead_base::{DeviceId, SpaceId};
use stead_replica::SpaceInfo;
use tokio::sync::watch;

use crate::clock::wall_ms;
use crate::home::write_private;
use crate::store_thread::StoreHandle;

/// How long a newly linked device is spoken of.
const NEWS_MS: u64 = 7 * 86_400_000;
/// Largest file read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One device that another one has linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) name: String,
    /// The device that let it in, by its name, if that is known.
    pub(crate) by: Option<String>,
    /// When this device learned of it.
    pub(crate) learned_ms: u64,
}

impl Linked {
    /// The news in one sentence; none once it is old.
    pub(crate) fn sentence(&self, now_ms: u64) -> Option<String> {
        let past_ms = now_ms.saturating_sub(self.learned_ms);
        let minutes = past_ms / 60_000;
        let when = match minutes {
            0..=1 => "just now".to_owned(),
            2..=119 => format!("{minutes} minutes ago"),
            120..=2_879 => format!("{} hours ago", minutes / 60),
            _ => format!("{} days ago", minutes / 1_440),
        };
        let by = self
            .by
            .as_deref()
            .unwrap_or("your recovery words, or a device that is gone");
        (past_ms < NEWS_MS).then(|| format!("{} was linked by {by}, {when}.", self.name))
    }
}

/// What to do about a device one has not linked.
pub(crate) const HINT: &str = "If that was not you, somebody had a device of yours, or your words, in their hands: it can read and change everything.";

/// What this device knew of the person's devices.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// The home space they are in.
    home: String,
    /// Since when; 0 for those that were there before this device.
    devices: BTreeMap<String, u64>,
}

impl Known {
    /// Takes a look at the roster. Returns whether anything is new.
    fn look(&mut self, home: &SpaceId, devices: &[DeviceId], now_ms: u64) -> bool {
        let home = home.to_string();
        let learned_ms = match self.home == home {
            true => now_ms,
            // All that were there when this device came are no news.
            false => 0,
        };
        let seen: BTreeMap<String, u64> = devices
            .iter()
            .map(|device| {
                let device = device.to_string();
                let before = self.devices.get(&device).copied();
                (device, before.unwrap_or(learned_ms))
            })
            .collect();
        let changed = self.home != home || self.devices != seen;
        self.home = home;
        self.devices = seen;
        changed
    }
}

/// Watches the roster for devices that others have linked.
pub(crate) struct Newcomers {
    pub(crate) store: StoreHandle,
    pub(crate) own: DeviceId,
    pub(crate) path: PathBuf,
    pub(crate) news: watch::Sender<Vec<Linked>>,
}

impl Newcomers {
    /// Runs until `stop` changes.
    pub(crate) async fn run(
        self,
        mut members: watch::Receiver<u64>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut known = self.read();
        members.mark_changed();
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                changed = members.changed() => match changed {
                    Ok(()) => self.look(&mut known).await,
                    Err(_) => return,
                },
            }
        }
    }

    async fn look(&self, known: &mut Known) {
        let home = self.store.look(|desk| {
            let home = desk.replica.home()?;
            desk.replica.outline(&home).ok()
        });
        // Until this device is in, it has not seen the whole roster.
        let Ok(Some(home @ SpaceInfo { role: Some(_), .. })) = home.await else {
            return;
        };
        let ids: Vec<DeviceId> = home.devices.iter().map(|device| device.id).collect();
        if known.look(&home.id, &ids, wall_ms()) {
            let text = serde_json::to_vec(known).map_err(std::io::Error::other);
            if let Err(error) = text.and_then(|text| write_private(&self.path, &text)) {
                tracing::warn!(%error, "cannot write down which devices are known");
            }
        }
        self.news.send_replace(news(&home, known, self.own));
    }

    fn read(&self) -> Known {
        let mut text = String::new();
        let read = File::open(&self.path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => serde_json::from_str(&text).unwrap_or_default(),
            Err(_) => Known::default(),
        }
    }
}

/// Those that were linked since this device came, and not by this device.
fn news(home: &SpaceInfo, known: &Known, own: DeviceId) -> Vec<Linked> {
    let name = |id: DeviceId| {
        let found = home.devices.iter().find(|device| device.id == id);
        found.map(|device| device.name.clone())
    };
    let linked = home.devices.iter().filter_map(|device| {
        let learned_ms = *known.devices.get(&device.id.to_string())?;
        let elsewhere = device.id != own && device.linked_by != Some(own);
        (learned_ms > 0 && elsewhere).then(|| Linked {
            name: device.name.clone(),
            by: device.linked_by.and_then(name),
            learned_ms,
        })
    });
    linked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(seed: u8) -> DeviceId {
        DeviceId::from_bytes([seed; 32])
    }

    #[test]
    fn only_devices_that_came_later_are_news_and_one_that_comes_back_is_news_again() {
        let home = SpaceId::from_bytes([1; 32]);
        let mut known = Known::default();
        assert!(known.look(&home, &[device(1), device(2)], 50));
        assert!(known.devices.values().all(|since| *since == 0));
        assert!(known.look(&home, &[device(1), device(2), device(3)], 60));
        assert!(!known.look(&home, &[device(1), device(2), device(3)], 70));
        assert_eq!(known.devices[&device(3).to_string()], 60);
        known.look(&home, &[device(1), device(3)], 80);
        known.look(&home, &[device(1), device(2), device(3)], 90);
        assert_eq!(known.devices[&device(2).to_string()], 90);
        // Another home is another life.
        known.look(&SpaceId::from_bytes([2; 32]), &[device(1), device(4)], 99);
        assert_eq!(known.devices[&device(4).to_string()], 0);
    }

    #[test]
    fn news_end_after_a_week() {
        let linked = Linked {
            name: "phone".into(),
            by: Some("laptop".into()),
            learned_ms: 1,
        };
        let told = linked.sentence(3 * 3_600_000 + 1).unwrap();
        assert_eq!(told, "phone was linked by laptop, 3 hours ago.");
        assert_eq!(linked.sentence(NEWS_MS + 1), None);
    }
}
