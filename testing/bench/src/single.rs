//! Single-field durable transactions: sealed, signed, merged and queryable, one after the other.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::json;
use stead_replica::Replica;
use stead_store::Durability;

use crate::data::{FIELDS, Random, Records, places};
use crate::device::{fresh, now_ms, set, write_bulk};
use crate::rows::{Aim, Row};
use crate::{Failure, Scale};

/// Transactions that wait together when several clients write at once.
const WAITING: usize = 16;

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let records = places(scale.of(100_000));
    let count = scale.of(100_000);
    let mut rows = Vec::new();
    for (name, durability, pragma, part) in [
        (
            "single-field transactions, synchronous=normal",
            Durability::Ordered,
            "NORMAL",
            1,
        ),
        (
            "single-field transactions, synchronous=full",
            Durability::Flushed,
            "FULL",
            10,
        ),
    ] {
        let folder = tempfile::tempdir()?;
        let sqlite = sqlite(
            &folder.path().join("peer.db"),
            &records,
            count / part,
            pragma,
        )?;
        let (mut replica, space) = fresh(&folder.path().join("stead.db"), durability)?;
        write_bulk(&mut replica, &space, &records)?;
        // As in a node: logs are signed beside the thread that writes.
        let signer = replica.signer();
        let signing = std::thread::spawn(move || signer.run());
        let one = one_by_one(&mut replica, &space, &records, count / part)?;
        let aim = if part == 1 {
            Aim::TimesPeer(0.5)
        } else {
            Aim::None
        };
        rows.push(
            Row::new(name, "transactions/s", one, aim).peer("SQLite, one-row transactions", sqlite),
        );
        let many = together(&mut replica, &space, &records, count / part)?;
        let name = format!("{name}, {WAITING} writers at once");
        rows.push(
            Row::new(name, "transactions/s", many, Aim::None)
                .peer("SQLite, one-row transactions", sqlite),
        );
        drop(replica);
        signing.join().map_err(|_| "the signing thread panicked")?;
    }
    Ok(rows)
}

fn one_by_one(
    replica: &mut Replica,
    space: &stead_base::SpaceId,
    records: &Records,
    count: usize,
) -> Result<f64, Failure> {
    let mut random = Random(42);
    let start = Instant::now();
    for i in 0..count {
        let id = &records.ids[random.below(records.ids.len())];
        replica.transact(
            space,
            &[set(id, FIELDS[i % 4], json!(format!("value {i}")))],
            now_ms(),
        )?;
        replica.drain_events();
    }
    // The last of them is signed too.
    replica.flush()?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn together(
    replica: &mut Replica,
    space: &stead_base::SpaceId,
    records: &Records,
    count: usize,
) -> Result<f64, Failure> {
    let mut random = Random(43);
    let start = Instant::now();
    for round in 0..count / WAITING {
        let waiting: Vec<_> = (0..WAITING)
            .map(|i| {
                let id = &records.ids[random.below(records.ids.len())];
                (
                    *space,
                    vec![set(id, FIELDS[i % 4], json!(format!("value {round}.{i}")))],
                )
            })
            .collect();
        for receipt in replica.transact_many(&waiting, now_ms())? {
            receipt?;
        }
        replica.drain_events();
    }
    // The last of them is signed too.
    replica.flush()?;
    Ok((count / WAITING * WAITING) as f64 / start.elapsed().as_secs_f64())
}

fn sqlite(path: &Path, records: &Records, count: usize, synchronous: &str) -> Result<f64, Failure> {
    let mut conn = Connection::open(path)?;
    conn.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};"
    ))?;
    conn.execute_batch(
        "CREATE TABLE city (id BLOB PRIMARY KEY, name, country, admin1, admin2, lat, lng) WITHOUT ROWID",
    )?;
    let tx = conn.transaction()?;
    for (id, value) in records.ids.iter().zip(&records.values) {
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        tx.prepare_cached("INSERT INTO city VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(rusqlite::params![
                id.to_string().as_bytes(),
                text("name"),
                text("country"),
                text("admin1"),
                text("admin2"),
                value["lat"].as_f64(),
                value["lng"].as_f64()
            ])?;
    }
    tx.commit()?;
    let mut random = Random(42);
    let ids: Vec<Vec<u8>> = records
        .ids
        .iter()
        .map(|id| id.to_string().into_bytes())
        .collect();
    let start = Instant::now();
    for i in 0..count {
        let id = &ids[random.below(ids.len())];
        let sql = match i % 4 {
            0 => "UPDATE city SET name=?2 WHERE id=?1",
            1 => "UPDATE city SET country=?2 WHERE id=?1",
            2 => "UPDATE city SET admin1=?2 WHERE id=?1",
            _ => "UPDATE city SET admin2=?2 WHERE id=?1",
        };
        conn.prepare_cached(sql)?
            .execute(rusqlite::params![id, format!("value {i}")])?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
