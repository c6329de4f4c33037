//! Devices for tests: real replicas over real stores, and what carries batches between them.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::path::PathBuf;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use stead_access::{Path, Role};
use stead_base::{DocId, Entropy, SpaceId};
use stead_crypt::DeviceKeys;
use stead_replica::{Change, Edit, ProbeNext, Query, ReceiveError, Replica, SpaceTicket};
use stead_store::{CollectionNo, FILE_ENDS, Options, Store};

pub struct Seeded(ChaCha12Rng);

impl Entropy for Seeded {
    fn fill(&mut self, buf: &mut [u8]) {
        self.0.fill_bytes(buf);
    }
}

pub struct Device {
    pub replica: Replica,
    pub now: u64,
    seed: u8,
    opened: u64,
    dir: Option<tempfile::TempDir>,
}

fn open(store: Store, seed: u8, opened: u64, now: u64) -> Replica {
    let keys = DeviceKeys::from_seed(&[seed; 32]);
    let entropy = Seeded(ChaCha12Rng::seed_from_u64(u64::from(seed) << 32 | opened));
    Replica::open(
        store,
        keys,
        &format!("device {seed}"),
        Box::new(entropy),
        now,
    )
    .unwrap()
}

impl Device {
    pub fn new(seed: u8) -> Self {
        Self::over(Store::in_memory().unwrap(), seed, None)
    }

    pub fn on_disk(seed: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("stead.db"), Options::default()).unwrap();
        Self::over(store, seed, Some(dir))
    }

    fn over(store: Store, seed: u8, dir: Option<tempfile::TempDir>) -> Self {
        let now = 1_700_000_000_000 + u64::from(seed);
        let mut replica = open(store, seed, 0, now);
        if seed == 1 {
            replica.create_home(now).unwrap();
        }
        Self {
            replica,
            now,
            seed,
            opened: 0,
            dir,
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.as_ref().unwrap().path().join("stead.db")
    }

    pub fn reopen(self) -> Self {
        self.reopen_after(|_| {})
    }

    /// Closes the replica, and opens it again after somebody was at its store.
    pub fn reopen_after(self, change: impl FnOnce(&mut Store)) -> Self {
        let path = self.path();
        let Self {
            replica,
            now,
            seed,
            opened,
            dir,
        } = self;
        drop(replica);
        let mut store = Store::open(path, Options::default()).unwrap();
        change(&mut store);
        Self {
            replica: open(store, seed, opened + 1, now),
            now,
            seed,
            opened: opened + 1,
            dir,
        }
    }

    /// The device as it starts again after its process died now: with its files as they lie.
    pub fn after_a_crash(&self) -> Self {
        let dir = self.copied();
        let store = Store::open(dir.path().join("stead.db"), Options::default()).unwrap();
        let opened = self.opened + 1;
        Self {
            replica: open(store, self.seed, opened, self.now),
            now: self.now,
            seed: self.seed,
            opened,
            dir: Some(dir),
        }
    }

    /// The same with the keys of another device.
    pub fn as_another_device_after_a_crash(&self) -> Result<Replica, stead_replica::ReplicaError> {
        let dir = self.copied();
        let store = Store::open(dir.path().join("stead.db"), Options::default()).unwrap();
        let keys = DeviceKeys::from_seed(&[!self.seed; 32]);
        let entropy = Box::new(Seeded(ChaCha12Rng::seed_from_u64(7)));
        Replica::open(store, keys, "another", entropy, self.now)
    }

    fn copied(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for suffix in ["", "-wal", "-ahead"] {
            let name = format!("stead.db{suffix}");
            let there = self.path().with_file_name(&name);
            if there.exists() {
                std::fs::copy(there, dir.path().join(name)).unwrap();
            }
        }
        dir
    }

    /// Whether a journal lies beside the store.
    pub fn has_journal(&self) -> bool {
        self.path().with_file_name("stead.db-ahead").exists()
    }

    pub fn backup(&mut self) -> Vec<u8> {
        self.replica.checkpoint().unwrap();
        std::fs::read(self.path()).unwrap()
    }

    /// Whether a text is in the store's files as they lie on the disk, the write-ahead log and the journal
    /// included.
    pub fn files_hold(&self, text: &str) -> bool {
        FILE_ENDS.iter().any(|suffix| {
            let path = self.path().with_file_name(format!("stead.db{suffix}"));
            let bytes = std::fs::read(path).unwrap_or_default();
            let mut windows = bytes.windows(text.len());
            windows.any(|window| window == text.as_bytes())
        })
    }

    pub fn restore(self, backup: Vec<u8>) -> Self {
        let path = self.path();
        let Self {
            replica,
            now,
            seed,
            opened,
            dir,
        } = self;
        drop(replica);
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        std::fs::write(&path, backup).unwrap();
        let store = Store::open(path, Options::default()).unwrap();
        Self {
            replica: open(store, seed, opened + 1, now),
            now,
            seed,
            opened: opened + 1,
            dir,
        }
    }

    pub fn write(&mut self, space: &SpaceId, edits: &[Edit]) {
        self.now += 10;
        self.replica.transact(space, edits, self.now).unwrap();
    }

    pub fn get(&self, space: &SpaceId, collection: &str, id: &str) -> Option<serde_json::Value> {
        let found = self
            .replica
            .get(space, collection, &DocId::parse(id).unwrap())
            .unwrap()?;
        (!found.deleted).then(|| serde_json::from_str(&found.json).unwrap())
    }

    /// Every document of a space.
    pub fn dump(&self, space: &SpaceId) -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        for (name, _) in self.replica.collections(space).unwrap() {
            for found in self
                .replica
                .query(space, &name, Query::all(CollectionNo(0)))
                .unwrap()
            {
                all.push((name.clone(), found.id.to_string(), found.json));
            }
        }
        all
    }
}

/// Has `from` admit `to` to a space, or a part of it, by an invite; returns what `to` joins with.
pub fn admit(from: &mut Device, to: &Device, space: &SpaceId, role: Role, on: Path) -> SpaceTicket {
    let expires = from.now + 60_000;
    let invite = from
        .replica
        .invite(space, role, on, Some(1), expires, from.now)
        .unwrap();
    let join = invite.join(to.replica.card().unwrap());
    from.replica.admit(space, join, from.now).unwrap()
}

/// Lets `to` into a space, or a part of it, by an invite of `from`, without letting the two meet.
pub fn let_in_on(from: &mut Device, to: &mut Device, space: &SpaceId, role: Role, on: Path) {
    let ticket = admit(from, to, space, role, on);
    to.replica.join_space(&ticket, false, to.now).unwrap();
}

/// A change of a document.
pub fn edit(collection: &str, id: &str, change: Change) -> Edit {
    Edit {
        collection: collection.to_owned(),
        id: Some(DocId::parse(id).unwrap()),
        change,
    }
}

/// Fields put into a document, beside those that are there.
pub fn put(collection: &str, id: &str, value: serde_json::Value) -> Edit {
    let replace = false;
    edit(collection, id, Change::Put { value, replace })
}

/// Lets `b` into the identity of `a`.
pub fn link(a: &mut Device, b: &mut Device) {
    a.replica.create_home(a.now).unwrap();
    let record = b.replica.device_record();
    a.replica.grant_device(&record, a.now).unwrap();
    let home = a.replica.home().unwrap();
    for space in a.replica.space_ids() {
        let ticket = a.replica.ticket(&space).unwrap();
        b.replica.join_space(&ticket, space == home, b.now).unwrap();
    }
}

/// Moves everything that either lacks, one way and then the other, once.
pub fn sync_once(a: &mut Device, b: &mut Device) -> bool {
    let one = send(a, b);
    send(b, a) | one
}

/// Syncs until nothing moves, reconciling rosters in between.
pub fn sync(a: &mut Device, b: &mut Device) {
    loop {
        let mut moved = sync_once(a, b);
        moved |= a.replica.reconcile(a.now).unwrap();
        moved |= b.replica.reconcile(b.now).unwrap();
        if !moved {
            return;
        }
    }
}

fn send(from: &mut Device, to: &mut Device) -> bool {
    let mut moved = false;
    for space in from.replica.space_ids() {
        if !to.replica.space_ids().contains(&space) {
            continue;
        }
        for item in from.replica.frontier(&space).unwrap() {
            loop {
                let frontier = to.replica.frontier(&space).unwrap();
                let held = frontier
                    .iter()
                    .find(|f| f.writer == item.writer)
                    .map_or(0, |f| f.len);
                let Some(batch) = from
                    .replica
                    .read_batch(&space, &item.writer, held, item.len, 4096)
                    .unwrap()
                else {
                    break;
                };
                match to.replica.receive(&space, &batch, to.now) {
                    Ok(received) if received.len > held => moved = true,
                    Ok(_) | Err(ReceiveError::Contradiction { .. }) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    moved
}

/// Has every pair look for forks, then syncs all until nothing moves.
pub fn settle_forks(devices: &mut [&mut Device]) {
    for _ in 0..3 {
        for i in 0..devices.len() {
            for j in 0..devices.len() {
                if i != j {
                    look_for_forks(devices, i, j);
                }
            }
        }
        for i in 0..devices.len() {
            for j in i + 1..devices.len() {
                let (left, right) = devices.split_at_mut(j);
                sync(left[i], right[0]);
            }
        }
    }
}

fn look_for_forks(devices: &mut [&mut Device], i: usize, j: usize) {
    for space in devices[i].replica.space_ids() {
        for item in devices[i].replica.frontier(&space).unwrap() {
            let now = devices[i].now;
            let mut next = devices[i]
                .replica
                .fork_search(&space, &item.writer)
                .unwrap();
            while let ProbeNext::Ask(at) = next {
                let answer = match devices[j].replica.space_ids().contains(&space) {
                    true => devices[j].replica.probe(&space, &item.writer, at).unwrap(),
                    false => Vec::new(),
                };
                next = devices[i]
                    .replica
                    .probe_answered(&space, &item.writer, at, &answer, now)
                    .unwrap();
            }
            if let ProbeNext::Proof(proof) = next {
                for device in devices.iter_mut() {
                    let now = device.now;
                    device
                        .replica
                        .accept_fork(&space, &item.writer, &proof, now)
                        .unwrap();
                }
            }
        }
    }
}
