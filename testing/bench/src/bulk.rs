//! Bulk writing of documents with six fields each, queryable afterwards.

use std::path::Path;
use std::time::Instant;

use automerge::transaction::Transactable;
use rusqlite::Connection;
use serde_json::Value;
use stead_replica::Query;
use stead_store::{CollectionNo, Durability};

use crate::data::{Records, places};
use crate::device::{fresh, write_bulk};
use crate::rows::{Aim, Row};
use crate::{Failure, Scale};

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let records = places(scale.of(150_000));
    let fields = (records.ids.len() * 6) as f64;
    let folder = tempfile::tempdir()?;
    let sqlite = fields / sqlite(&folder.path().join("peer.db"), &records)?;
    let loro = fields / loro(&records);
    let automerge = fields / automerge(&records)?;
    let (mut replica, space) = fresh(&folder.path().join("stead.db"), Durability::Ordered)?;
    let start = Instant::now();
    write_bulk(&mut replica, &space, &records)?;
    let ours = fields / start.elapsed().as_secs_f64();
    let found = replica.count(&space, "cities", Query::all(CollectionNo(0)))?;
    if found != records.ids.len() as u64 {
        return Err(format!(
            "{found} documents can be queried, {} were written",
            records.ids.len()
        )
        .into());
    }
    Ok(vec![
        Row::new(
            "bulk write, six fields a document",
            "fields/s",
            ours,
            Aim::TimesPeer(2.0),
        )
        .peer("SQLite, a row a field in one transaction", sqlite)
        .peer("Loro, a document a record, in memory", loro)
        .peer("Automerge, a document a record, in memory", automerge),
    ])
}

fn sqlite(path: &Path, records: &Records) -> Result<f64, Failure> {
    let mut conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")?;
    conn.execute_batch(
        "CREATE TABLE field (doc BLOB, name TEXT, value, PRIMARY KEY (doc, name)) WITHOUT ROWID",
    )?;
    let start = Instant::now();
    let tx = conn.transaction()?;
    {
        let mut upsert = tx.prepare(
            "INSERT INTO field VALUES (?1, ?2, ?3) ON CONFLICT (doc, name) DO UPDATE SET value=excluded.value",
        )?;
        for (id, value) in records.ids.iter().zip(&records.values) {
            let id = id.to_string();
            for (name, value) in value.as_object().into_iter().flatten() {
                match value {
                    Value::Number(number) => {
                        upsert.execute(rusqlite::params![id.as_bytes(), name, number.as_f64()])?
                    }
                    other => {
                        upsert.execute(rusqlite::params![id.as_bytes(), name, other.as_str()])?
                    }
                };
            }
        }
    }
    tx.commit()?;
    Ok(start.elapsed().as_secs_f64())
}

/// One Loro document with the fields of a record.
pub(crate) fn loro_document(value: &Value) -> loro::LoroDoc {
    let doc = loro::LoroDoc::new();
    let map = doc.get_map("fields");
    for (name, value) in value.as_object().into_iter().flatten() {
        let inserted = match value {
            Value::Number(number) => map.insert(name, number.as_f64().unwrap_or_default()),
            other => map.insert(name, other.as_str().unwrap_or_default()),
        };
        // A fresh map takes any value; a failure would show as missing fields.
        drop(inserted);
    }
    doc.commit();
    doc
}

fn loro(records: &Records) -> f64 {
    let start = Instant::now();
    let docs: Vec<loro::LoroDoc> = records.values.iter().map(loro_document).collect();
    let seconds = start.elapsed().as_secs_f64();
    drop(docs);
    seconds
}

/// One Automerge document with the fields of a record.
pub(crate) fn automerge_document(value: &Value) -> Result<automerge::AutoCommit, Failure> {
    let mut doc = automerge::AutoCommit::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Number(number) => {
                doc.put(automerge::ROOT, name, number.as_f64().unwrap_or_default())?
            }
            other => doc.put(automerge::ROOT, name, other.as_str().unwrap_or_default())?,
        }
    }
    doc.commit();
    Ok(doc)
}

fn automerge(records: &Records) -> Result<f64, Failure> {
    let start = Instant::now();
    let docs = records
        .values
        .iter()
        .map(automerge_document)
        .collect::<Result<Vec<_>, _>>()?;
    let seconds = start.elapsed().as_secs_f64();
    drop(docs);
    Ok(seconds)
}
