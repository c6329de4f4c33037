//! A million changes that came from elsewhere, applied to a hundred thousand documents: for Stead
//! verified, opened, merged, durable and queryable; for the peers what they do.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use automerge::transaction::Transactable;
use rusqlite::Connection;
use serde_json::json;
use stead_base::SpaceId;
use stead_crypt::DeviceKeys;
use stead_replica::{Query, Replica};
use stead_store::{CollectionNo, Durability};
use yrs::updates::decoder::Decode;
use yrs::{Map, ReadTxn, Transact};

use crate::data::{FIELDS, Random, Records, places};
use crate::device::{fresh, now_ms, open, set, write_bulk};
use crate::rows::{Aim, Row};
use crate::{Failure, Scale};

/// Transactions that the sender makes under one signature.
const GROUP: usize = 64;
/// Bytes of a batch, and of the batches that are stored in one commit.
pub(crate) const BATCH_BYTES: usize = 256 << 10;
const COMMIT_BYTES: usize = 8 << 20;
/// Prepared batches that wait to be stored, as in a node.
const WAITING_MAX: usize = 64;
/// With so many waiting, the storing thread opens what comes, as in a node.
const WAITING_FEW: usize = 2;

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let changes = scale.of(1_000_000) / GROUP * GROUP;
    let records = places(scale.of(100_000));
    let ours = changes as f64 / stead(&records, changes)?;
    let sqlite = changes as f64 / sqlite(&records, changes)?;
    let loro = changes as f64 / loro(records.ids.len(), changes)?;
    let yrs = changes as f64 / yrs(records.ids.len(), changes)?;
    let automerge = changes as f64 / automerge(records.ids.len(), changes)?;
    Ok(vec![
        Row::new(
            "apply remote single-field changes, each a transaction, to ten times fewer documents, durable and queryable",
            "changes/s",
            ours,
            Aim::TimesPeer(1.0),
        )
        .peer("SQLite upsert of a row a field, a thousand a commit", sqlite)
        .peer("Loro import, in memory", loro)
        .peer("yrs apply_update, in memory", yrs)
        .peer("Automerge apply_changes, in memory", automerge),
    ])
}

/// The change that everyone measured makes as its `i`-th.
fn change(random: &mut Random, documents: usize, i: usize) -> (usize, &'static str, String) {
    (random.below(documents), FIELDS[i % 4], format!("value {i}"))
}

/// Seconds in which a second device takes up the changes of a first.
fn stead(records: &Records, changes: usize) -> Result<f64, Failure> {
    let folder = tempfile::tempdir()?;
    let (mut sender, space) = fresh(&folder.path().join("sender.db"), Durability::Ordered)?;
    write_bulk(&mut sender, &space, records)?;
    let keys = DeviceKeys::from_seed(&[9; 32]);
    let path = folder.path().join("receiver.db");
    let mut receiver = receiver(&mut sender, &space, &path, keys)?;
    let before = read_new(&sender, &receiver, &space)?;
    take_up(&mut receiver, &space, before)?;
    let mut random = Random(7);
    for first in (0..changes).step_by(GROUP) {
        let group: Vec<_> = (first..first + GROUP)
            .map(|i| {
                let (document, field, value) = change(&mut random, records.ids.len(), i);
                (
                    space,
                    vec![set(&records.ids[document], field, json!(value))],
                )
            })
            .collect();
        for receipt in sender.transact_many(&group, now_ms())? {
            receipt?;
        }
        sender.drain_events();
    }
    let batches = read_new(&sender, &receiver, &space)?;
    let start = Instant::now();
    take_up(&mut receiver, &space, batches)?;
    let seconds = start.elapsed().as_secs_f64();
    let found = receiver.count(&space, "cities", Query::all(CollectionNo(0)))?;
    if found != records.ids.len() as u64 {
        return Err(format!("{found} documents can be queried after the changes").into());
    }
    Ok(seconds)
}

/// A second device of the person, let into the space.
pub(crate) fn receiver(
    sender: &mut Replica,
    space: &SpaceId,
    path: &Path,
    keys: DeviceKeys,
) -> Result<Replica, Failure> {
    let mut receiver = open(path, keys, Durability::Ordered)?;
    sender.grant_device(&receiver.device_record(), now_ms())?;
    let ticket = sender.ticket(space).ok_or("the sender has no such space")?;
    receiver.join_space(&ticket, false, now_ms())?;
    Ok(receiver)
}

/// The batches that the receiver does not have yet.
pub(crate) fn read_new(
    sender: &Replica,
    receiver: &Replica,
    space: &SpaceId,
) -> Result<Vec<Vec<u8>>, Failure> {
    let held = receiver.frontier(space)?;
    let mut batches = Vec::new();
    for item in sender.frontier(space)? {
        let mut from = held
            .iter()
            .find(|other| other.writer == item.writer)
            .map_or(0, |other| other.len);
        while let Some(batch) =
            sender.read_batch(space, &item.writer, from, item.len, BATCH_BYTES)?
        {
            from = stead_log::Batch::decode(&batch)?.end();
            batches.push(batch);
        }
    }
    Ok(batches)
}

/// Takes up batches as a node does: prepared on one thread, stored and merged on another, which opens
/// them itself while few wait for it.
pub(crate) fn take_up(
    receiver: &mut Replica,
    space: &SpaceId,
    batches: Vec<Vec<u8>>,
) -> Result<(), Failure> {
    let (sender, prepared) = sync_channel(WAITING_MAX);
    let preparer = receiver.preparer();
    let space = *space;
    let waiting = Arc::new(AtomicUsize::new(0));
    let waits = Arc::clone(&waiting);
    let thread = std::thread::spawn(move || {
        for batch in batches {
            let prepared = match waits.load(Ordering::Relaxed) {
                0..=WAITING_FEW => preparer.verify(space, batch),
                _ => preparer.prepare(space, batch),
            };
            waits.fetch_add(1, Ordering::Relaxed);
            if sender.send(prepared).is_err() {
                break;
            }
        }
    });
    while let Ok(first) = prepared.recv() {
        waiting.fetch_sub(1, Ordering::Relaxed);
        let mut bytes = first.len();
        let mut group = vec![first];
        while bytes < COMMIT_BYTES
            && let Ok(next) = prepared.try_recv()
        {
            waiting.fetch_sub(1, Ordering::Relaxed);
            bytes += next.len();
            group.push(next);
        }
        for result in receiver.store_batches(group, now_ms()) {
            result?;
        }
    }
    thread.join().map_err(|_| "preparing a batch panicked")?;
    receiver.merge_pending(now_ms())?;
    receiver.flush()?;
    Ok(())
}

fn sqlite(records: &Records, changes: usize) -> Result<f64, Failure> {
    let folder = tempfile::tempdir()?;
    let mut conn = Connection::open(folder.path().join("peer.db"))?;
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;
         CREATE TABLE field (doc BLOB, name TEXT, value, PRIMARY KEY (doc, name)) WITHOUT ROWID",
    )?;
    let ids: Vec<String> = records.ids.iter().map(ToString::to_string).collect();
    const UPSERT: &str = "INSERT INTO field VALUES (?1, ?2, ?3) \
         ON CONFLICT (doc, name) DO UPDATE SET value=excluded.value";
    let tx = conn.transaction()?;
    {
        let mut upsert = tx.prepare(UPSERT)?;
        for (id, value) in ids.iter().zip(&records.values) {
            for (name, value) in value.as_object().into_iter().flatten() {
                upsert.execute(rusqlite::params![id.as_bytes(), name, value.to_string()])?;
            }
        }
    }
    tx.commit()?;
    let mut random = Random(7);
    let start = Instant::now();
    for first in (0..changes).step_by(1000) {
        let tx = conn.transaction()?;
        {
            let mut upsert = tx.prepare_cached(UPSERT)?;
            for i in first..(first + 1000).min(changes) {
                let (document, field, value) = change(&mut random, ids.len(), i);
                upsert.execute(rusqlite::params![ids[document].as_bytes(), field, value])?;
            }
        }
        tx.commit()?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn loro(documents: usize, changes: usize) -> Result<f64, Failure> {
    let doc = loro::LoroDoc::new();
    let root = doc.get_map("docs");
    let maps = (0..documents)
        .map(|i| root.insert_container(&i.to_string(), loro::LoroMap::new()))
        .collect::<Result<Vec<_>, _>>()?;
    doc.commit();
    let other = loro::LoroDoc::new();
    other.import(&doc.export(loro::ExportMode::all_updates())?)?;
    let before = doc.oplog_vv();
    let mut random = Random(7);
    for i in 0..changes {
        let (document, field, value) = change(&mut random, documents, i);
        maps[document].insert(field, value)?;
        doc.commit();
    }
    let bytes = doc.export(loro::ExportMode::updates(&before))?;
    let start = Instant::now();
    other.import(&bytes)?;
    Ok(start.elapsed().as_secs_f64())
}

fn yrs(documents: usize, changes: usize) -> Result<f64, Failure> {
    let doc = yrs::Doc::new();
    let root = doc.get_or_insert_map("docs");
    let maps: Vec<yrs::MapRef> = {
        let mut txn = doc.transact_mut();
        (0..documents)
            .map(|i| root.insert(&mut txn, i.to_string(), yrs::MapPrelim::default()))
            .collect()
    };
    let other = yrs::Doc::new();
    other.get_or_insert_map("docs");
    let first = doc
        .transact()
        .encode_state_as_update_v1(&yrs::StateVector::default());
    other
        .transact_mut()
        .apply_update(yrs::Update::decode_v1(&first)?)?;
    let before = doc.transact().state_vector();
    let mut random = Random(7);
    for i in 0..changes {
        let (document, field, value) = change(&mut random, documents, i);
        maps[document].insert(&mut doc.transact_mut(), field, value);
    }
    let update = doc.transact().encode_state_as_update_v1(&before);
    let start = Instant::now();
    other
        .transact_mut()
        .apply_update(yrs::Update::decode_v1(&update)?)?;
    Ok(start.elapsed().as_secs_f64())
}

fn automerge(documents: usize, changes: usize) -> Result<f64, Failure> {
    let mut doc = automerge::AutoCommit::new();
    let maps = (0..documents)
        .map(|i| doc.put_object(automerge::ROOT, i.to_string(), automerge::ObjType::Map))
        .collect::<Result<Vec<_>, _>>()?;
    doc.commit();
    let mut other = doc.fork();
    let before = doc.get_heads();
    let mut random = Random(7);
    for i in 0..changes {
        let (document, field, value) = change(&mut random, documents, i);
        doc.put(&maps[document], field, value)?;
        doc.commit();
    }
    let changes: Vec<automerge::Change> = doc.get_changes(&before).into_iter().collect();
    let start = Instant::now();
    other.apply_changes(changes)?;
    Ok(start.elapsed().as_secs_f64())
}
