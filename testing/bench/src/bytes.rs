//! Bytes: on disk for a document, on the wire for a change of one field.

use automerge::transaction::Transactable;
use rusqlite::Connection;
use serde_json::json;
use stead_store::{Durability, Read};

use crate::bulk::{automerge_document, loro_document};
use crate::data::places;
use crate::device::{fresh, now_ms, set, write_bulk};
use crate::rows::{Aim, Row};
use crate::{Failure, Scale};

/// Changes over which bytes on the wire are averaged.
const CHANGES: usize = 1000;

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let records = places(scale.of(150_000));
    let count = records.ids.len() as f64;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("stead.db");
    let (mut replica, space) = fresh(&file, Durability::Ordered)?;
    let empty = std::fs::metadata(&file)?.len();
    write_bulk(&mut replica, &space, &records)?;
    replica.checkpoint()?;
    let sizes = replica.store().size_of()?;
    let ours = (sizes.file.saturating_sub(empty)) as f64 / count;
    let docs: u64 = sizes
        .tables
        .iter()
        .filter(|(name, _)| name == "doc")
        .map(|(_, bytes)| bytes)
        .sum();

    let sample = &records.values[..records.values.len().min(2000)];
    let loro: usize = sample
        .iter()
        .map(|value| {
            loro_document(value)
                .export(loro::ExportMode::Snapshot)
                .map_or(0, |bytes| bytes.len())
        })
        .sum();
    let mut automerge = 0;
    for value in sample {
        automerge += automerge_document(value)?.save().len();
    }
    let per = sample.len() as f64;

    let (one, many) = on_the_wire(&mut replica, &space, &records.ids)?;
    let (loro_one, automerge_one) = peers_on_the_wire()?;
    let sqlite = sqlite(&folder.path().join("peer.db"), &records)?;
    Ok(vec![
        Row::new(
            "on disk, a document of six fields: log, state and queryable JSON",
            "bytes",
            ours,
            Aim::Smallest,
        )
        .peer("Loro snapshot", loro as f64 / per)
        .peer("Automerge save", automerge as f64 / per)
        .peer("SQLite, a row a document (no log, no history)", sqlite),
        Row::new(
            "of that, state and queryable JSON alone",
            "bytes",
            docs as f64 / count,
            Aim::None,
        )
        .peer("Loro snapshot", loro as f64 / per),
        Row::new(
            "on the wire, one change of one field sent alone (with its signature)",
            "bytes",
            one,
            Aim::Smallest,
        )
        .peer("Loro update (unsigned, unsealed)", loro_one)
        .peer("Automerge change (unsigned, unsealed)", automerge_one),
        Row::new(
            "on the wire, a change of one field among a thousand",
            "bytes",
            many,
            Aim::Smallest,
        )
        .peer("Loro update (unsigned, unsealed)", loro_one)
        .peer("Automerge change (unsigned, unsealed)", automerge_one),
    ])
}

/// Bytes of a batch with one change, and of one change in a large batch.
fn on_the_wire(
    replica: &mut stead_replica::Replica,
    space: &stead_base::SpaceId,
    ids: &[stead_base::DocId],
) -> Result<(f64, f64), Failure> {
    let before = replica.frontier(space)?;
    let own = before.first().ok_or("no log")?;
    for (i, id) in ids.iter().cycle().take(CHANGES).enumerate() {
        replica.transact(
            space,
            &[set(id, "name", json!(format!("value {i}")))],
            now_ms(),
        )?;
    }
    let end = own.len + CHANGES as u64;
    let one = replica
        .read_batch(space, &own.writer, end - 1, end, 1 << 20)?
        .ok_or("no batch")?;
    let (mut from, mut bytes) = (own.len, 0);
    while from < end {
        let batch = replica
            .read_batch(space, &own.writer, from, end, 1 << 20)?
            .ok_or("no batch")?;
        from = stead_log::Batch::decode(&batch)?.end();
        bytes += batch.len();
    }
    Ok((one.len() as f64, bytes as f64 / CHANGES as f64))
}

fn peers_on_the_wire() -> Result<(f64, f64), Failure> {
    let doc = loro::LoroDoc::new();
    doc.get_map("fields").insert("name", "before")?;
    doc.commit();
    let version = doc.oplog_vv();
    doc.get_map("fields").insert("name", "value 500")?;
    doc.commit();
    let loro = doc.export(loro::ExportMode::updates(&version))?.len();
    let mut doc = automerge::AutoCommit::new();
    doc.put(automerge::ROOT, "name", "before")?;
    doc.commit();
    doc.put(automerge::ROOT, "name", "value 500")?;
    doc.commit();
    let change = doc
        .get_last_local_change()
        .map_or(0, |change| change.raw_bytes().len());
    Ok((loro as f64, change as f64))
}

fn sqlite(path: &std::path::Path, records: &crate::data::Records) -> Result<f64, Failure> {
    let mut conn = Connection::open(path)?;
    conn.execute_batch(
        "CREATE TABLE city (id BLOB PRIMARY KEY, name, country, admin1, admin2, lat, lng) WITHOUT ROWID",
    )?;
    let tx = conn.transaction()?;
    for (id, value) in records.ids.iter().zip(&records.values) {
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        let id = match id {
            stead_base::DocId::Generated(bytes) => bytes.to_vec(),
            named => named.to_string().into_bytes(),
        };
        tx.prepare_cached("INSERT INTO city VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(rusqlite::params![
                id,
                text("name"),
                text("country"),
                text("admin1"),
                text("admin2"),
                value["lat"].as_f64(),
                value["lng"].as_f64()
            ])?;
    }
    tx.commit()?;
    Ok(std::fs::metadata(path)?.len() as f64 / records.ids.len() as f64)
}
