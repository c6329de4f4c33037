//! A device to measure: a real replica over a real file.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use stead_base::{DocId, Entropy, SpaceId};
use stead_crypt::DeviceKeys;
use stead_replica::{Change, Edit, Replica};
use stead_store::{Durability, Options, Store};

use crate::Failure;
use crate::data::Records;

/// Documents in one transaction of a bulk write.
pub(crate) const BULK_TRANSACTION: usize = 1000;

/// The operating system's generator.
pub(crate) struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, buf: &mut [u8]) {
        // A device without randomness cannot be measured either.
        getrandom::fill(buf).expect("the operating system gives random bytes");
    }
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as u64)
}

/// Opens a replica with the durability that SQLite calls `synchronous=normal`, or `full`.
pub(crate) fn open(
    path: &Path,
    keys: DeviceKeys,
    durability: Durability,
) -> Result<Replica, Failure> {
    let store = Store::open(
        path,
        Options {
            durability,
            ..Options::default()
        },
    )?;
    Ok(Replica::open(
        store,
        keys,
        "bench",
        Box::new(OsEntropy),
        now_ms(),
    )?)
}

/// A replica with a home and one space.
pub(crate) fn fresh(path: &Path, durability: Durability) -> Result<(Replica, SpaceId), Failure> {
    let mut seed = [0; 32];
    OsEntropy.fill(&mut seed);
    let mut replica = open(path, DeviceKeys::from_seed(&seed), durability)?;
    replica.create_home(now_ms())?;
    let space = replica.create_space("bench", now_ms())?;
    Ok((replica, space))
}

pub(crate) fn put(id: &DocId, value: &Value) -> Edit {
    Edit {
        collection: "cities".to_owned(),
        id: Some(id.clone()),
        change: Change::Put {
            value: value.clone(),
            replace: false,
        },
    }
}

pub(crate) fn set(id: &DocId, field: &str, value: Value) -> Edit {
    let path = vec![field.to_owned()];
    Edit {
        collection: "cities".to_owned(),
        id: Some(id.clone()),
        change: Change::Set { path, value },
    }
}

/// Writes records in transactions of [`BULK_TRANSACTION`] documents.
pub(crate) fn write_bulk(
    replica: &mut Replica,
    space: &SpaceId,
    records: &Records,
) -> Result<(), Failure> {
    let all: Vec<_> = records.ids.iter().zip(&records.values).collect();
    for chunk in all.chunks(BULK_TRANSACTION) {
        let edits: Vec<Edit> = chunk.iter().map(|(id, value)| put(id, value)).collect();
        replica.transact(space, &edits, now_ms())?;
    }
    Ok(())
}
