//! The first sync of a device that chose one document in a hundred of a large space, against a newcomer
//! that takes all of it: bytes on the wire, bytes on disk, time until durable.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use stead_base::SpaceId;
use stead_crypt::DeviceKeys;
use stead_replica::{Chosen, Follower, Query, Replica, Units};
use stead_store::{CollectionNo, Durability};

use crate::data::{Records, places};
use crate::device::{fresh, now_ms, open, put, write_bulk};
use crate::remote::{BATCH_BYTES, read_new, receiver, take_up};
use crate::rows::{Aim, Row};
use crate::{Failure, Scale};

/// One document in so many is chosen.
const ONE_IN: usize = 100;
/// Changes of single documents after the bulk, so that logs are long.
const CHANGES: usize = 50_000;

/// What one newcomer took.
struct Took {
    wire: usize,
    disk: u64,
    ms: f64,
}

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let records = places(scale.of(1_000_000) / 6);
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let (mut old, space) = fresh(&path("old.db"), Durability::Ordered)?;
    write_bulk(&mut old, &space, &records)?;
    let changes: Vec<_> = (0..scale.of(CHANGES))
        .map(|i| {
            let at = i * 7919 % records.ids.len();
            (
                space,
                vec![put(
                    &records.ids[at],
                    &records.values[i % records.values.len()],
                )],
            )
        })
        .collect();
    for group in changes.chunks(64) {
        for receipt in old.transact_many(group, now_ms())? {
            receipt?;
        }
        old.drain_events();
    }
    old.flush()?;
    let whole = whole(&mut old, &space, &path("whole.db"))?;
    let part = part(&mut old, &space, &records, &path("part.db"))?;
    let row = |what: &str, unit, figure: fn(&Took) -> f64| {
        let what = format!(
            "first sync of a device that chose 1 % of {} documents, {what}",
            records.ids.len()
        );
        Row::new(what, unit, figure(&part), Aim::Smallest).peer("Stead, all of it", figure(&whole))
    };
    Ok(vec![
        row("bytes on the wire", "bytes", |it| it.wire as f64),
        row("bytes on disk", "bytes", |it| it.disk as f64),
        row("time", "ms", |it| it.ms),
    ])
}

fn disk(replica: &mut Replica, path: &Path) -> Result<u64, Failure> {
    replica.checkpoint()?;
    Ok(std::fs::metadata(path)?.len())
}

fn whole(old: &mut Replica, space: &SpaceId, path: &Path) -> Result<Took, Failure> {
    let mut new = receiver(old, space, path, DeviceKeys::from_seed(&[8; 32]))?;
    let batches = read_new(old, &new, space)?;
    let wire = batches.iter().map(Vec::len).sum();
    let start = Instant::now();
    take_up(&mut new, space, batches)?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let disk = disk(&mut new, path)?;
    Ok(Took { wire, disk, ms })
}

fn part(
    old: &mut Replica,
    space: &SpaceId,
    records: &Records,
    path: &Path,
) -> Result<Took, Failure> {
    let mut new = open(path, DeviceKeys::from_seed(&[9; 32]), Durability::Ordered)?;
    old.grant_device(&new.device_record(), now_ms())?;
    let names = records.ids.iter().step_by(ONE_IN);
    let documents: BTreeSet<_> = names.map(|id| ("cities".to_owned(), id.clone())).collect();
    let expected = documents.len() as u64;
    let chosen = Chosen {
        units: Units {
            documents,
            ..Units::default()
        },
        ..Chosen::default()
    };
    new.wish(&[(space.to_string(), chosen)], now_ms())?;
    let ticket = old.ticket(space).ok_or("the sender has no such space")?;
    // Whose devices these are is told by the home space; the one that manages is believed anyway.
    new.join_space(&ticket, false, now_ms())?;
    let (peer, asker) = (old.device(), new.device());
    let start = Instant::now();
    let mut wire = 0;
    loop {
        let mut follower = Follower::default();
        for told in new.told_choice(space) {
            wire += told.encode().len();
            follower.choose(told);
        }
        for log in old.frontier(space)? {
            loop {
                let thin = new.thin_lengths(space).unwrap_or_default();
                let held = thin.get(&log.writer).copied().unwrap_or(0);
                let range = (held, log.len);
                let batch = old.read_thin(space, &log.writer, range, BATCH_BYTES, &follower)?;
                let Some(batch) = batch else { break };
                wire += batch.len();
                let revision = new.part_revision(space).unwrap_or(0);
                new.receive_thin(space, &batch, revision, &peer, now_ms())?;
            }
        }
        if new.logs_have_come(space, now_ms())? {
            continue;
        }
        let asks = new.part_asks(space);
        if asks.is_empty() {
            break;
        }
        for ask in asks {
            wire += ask.encode().len();
            let slice = old.slice(space, &asker, &follower, &ask, now_ms())?;
            let slice = slice.ok_or("the sender gives no slice")?;
            wire += slice.len();
            new.take_slice(space, &peer, &ask, &slice, now_ms())?;
        }
    }
    new.flush()?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let found = new.count(space, "cities", Query::all(CollectionNo(0)))?;
    if found != expected {
        return Err(format!("{found} of {expected} chosen documents are here").into());
    }
    let disk = disk(&mut new, path)?;
    Ok(Took { wire, disk, ms })
}
