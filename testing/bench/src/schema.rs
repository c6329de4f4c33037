//! A schema change on a collection of documents: a rename, a conversion and a wrap, back and forth,
//! asked of a node over its socket and durable when it answers. Stead reads documents through lenses;
//! the peer rewrites every row.

use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};
use stead_api::{Client, DocGet, DocGot, SchemaPut};

use crate::data::{Records, places};
use crate::node::{COLLECTION, SPACE, fill, wait_for_indexes, with_node};
use crate::rows::{Aim, Row, median};
use crate::{Failure, Scale};

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Changes of one schema, each there and back; the figures are their medians.
const ROUNDS: usize = 11;
/// How much longer the largest may take than the smallest and still count as the same.
const SAME: f64 = 2.0;

/// Degrees become millionths of a degree.
const MILLIONTHS: f64 = 1e6;

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let mut of_ours = Vec::new();
    for size in SIZES.map(|full| scale.of(full)) {
        let records = places(size);
        let ours = stead(&records)?;
        let theirs = sqlite(&records)?;
        let row = |what: &str, ours, theirs| {
            Row::new(format!("{what}, {size} documents"), "ms", ours, Aim::None)
                .peer("SQLite, ALTER TABLE and UPDATE of every row", theirs)
        };
        rows.push(row("a schema change", ours.change_ms, theirs.change_ms));
        let what = "the first read of a document after it";
        rows.push(row(what, ours.read_ms, theirs.read_ms));
        of_ours.push(ours);
    }
    if let [smallest, .., largest] = of_ours.as_slice() {
        let growth = |what: &str, of: fn(&Costs) -> f64| {
            let name = format!("{what} on a hundred times the documents");
            Row::new(name, "times", of(largest) / of(smallest), Aim::AtMost(SAME))
        };
        rows.push(growth("a schema change", |it| it.change_ms));
        rows.push(growth("the first read after it", |it| it.read_ms));
    }
    Ok(rows)
}

/// Milliseconds.
struct Costs {
    change_ms: f64,
    read_ms: f64,
}

/// The fields as first declared; one of them is indexed and renamed later.
fn declaration() -> Value {
    json!({
        "fields": {
            "name": "string?", "country": "string?", "admin1": "string?", "admin2": "string?",
            "lat": "float?", "lng": "float?",
        },
        "indexes": [["name"]],
    })
}

fn there() -> Value {
    json!([
        {"rename": {"from": "name", "to": "title"}},
        {"convert": {"name": "lat", "to": "int", "linear": {"mul": 1_000_000}}},
        {"wrap": "country"},
    ])
}

fn back() -> Value {
    json!([
        {"rename": {"from": "title", "to": "name"}},
        {"convert": {"name": "lat", "to": "float", "linear": {"div": 1_000_000}}},
        {"head": "country"},
    ])
}

/// What a document shows after the change [`there`].
fn changed(value: &Value) -> [Value; 3] {
    let lat = value["lat"].as_f64().unwrap_or_default();
    [
        value["name"].clone(),
        json!((lat * MILLIONTHS).round() as i64),
        json!([value["country"]]),
    ]
}

fn stead(records: &Records) -> Result<Costs, Failure> {
    with_node(|_, client| {
        client.call(&SchemaPut {
            declaration: Some(declaration()),
            ..put()
        })?;
        fill(client, records)?;
        wait_for_indexes(client)?;
        let (mut changes, mut reads) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let at = (round * 7919) % records.ids.len();
            let begun = Instant::now();
            evolve(client, there())?;
            changes.push(begun.elapsed().as_secs_f64() * 1e3);
            let begun = Instant::now();
            let got = get(client, &records.ids[at].to_string())?;
            reads.push(begun.elapsed().as_secs_f64() * 1e3);
            let seen = ["title", "lat", "country"].map(|name| got.doc.value[name].clone());
            if seen != changed(&records.values[at]) {
                return Err(format!("seen through the lenses: {}", got.doc.value).into());
            }
            let begun = Instant::now();
            evolve(client, back())?;
            changes.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(Costs {
            change_ms: median(changes),
            read_ms: median(reads),
        })
    })
}

fn put() -> SchemaPut {
    SchemaPut {
        space: SPACE.into(),
        collection: COLLECTION.into(),
        ..SchemaPut::default()
    }
}

fn evolve(client: &mut Client, lenses: Value) -> Result<(), Failure> {
    let made = client.call(&SchemaPut {
        lenses: Some(lenses),
        ..put()
    })?;
    match made.changed {
        true => Ok(()),
        false => Err("the schema did not change".into()),
    }
}

fn get(client: &mut Client, id: &str) -> Result<DocGot, Failure> {
    Ok(client.call(&DocGet {
        space: SPACE.into(),
        collection: COLLECTION.into(),
        id: id.into(),
        ..DocGet::default()
    })?)
}

/// A table of JSON documents beside one indexed column, changed once in one transaction that is on
/// the medium when it ends.
fn sqlite(records: &Records) -> Result<Costs, Failure> {
    let folder = tempfile::tempdir()?;
    let mut conn = Connection::open(folder.path().join("peer.db"))?;
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE city (id TEXT PRIMARY KEY, name TEXT, body TEXT);
         CREATE INDEX by_name ON city (name);",
    )?;
    let tx = conn.transaction()?;
    {
        let mut insert = tx.prepare("INSERT INTO city VALUES (?1, ?2, ?3)")?;
        for (id, value) in records.ids.iter().zip(&records.values) {
            let row = rusqlite::params![id.to_string(), value["name"].as_str(), value.to_string()];
            insert.execute(row)?;
        }
    }
    tx.commit()?;
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    let begun = Instant::now();
    conn.execute_batch(
        "BEGIN;
         ALTER TABLE city RENAME COLUMN name TO title;
         UPDATE city SET body = json_set(json_remove(body, '$.name'),
           '$.title', body ->> '$.name',
           '$.lat', CAST(round((body ->> '$.lat') * 1000000) AS INTEGER),
           '$.country', json_array(body ->> '$.country'));
         COMMIT;",
    )?;
    let change_ms = begun.elapsed().as_secs_f64() * 1e3;
    let at = records.ids.len() / 2;
    let begun = Instant::now();
    let body: String = conn.query_row(
        "SELECT body FROM city WHERE id = ?1",
        [records.ids[at].to_string()],
        |row| row.get(0),
    )?;
    let body: Value = serde_json::from_str(&body)?;
    let read_ms = begun.elapsed().as_secs_f64() * 1e3;
    if ["title", "lat", "country"].map(|name| body[name].clone()) != changed(&records.values[at]) {
        return Err(format!("rewritten by SQLite: {body}").into());
    }
    Ok(Costs { change_ms, read_ms })
}
