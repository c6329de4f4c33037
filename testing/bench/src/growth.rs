//! The same at ten thousand, a hundred thousand and a million documents of six fields: what grows
//! with the data and what does not. Writes a plot of each figure beside the JSON.

use std::time::Instant;

use rusqlite::Connection;
use serde_json::json;
use stead_base::DocId;
use stead_replica::{Query, Replica};
use stead_store::{CollectionNo, Condition, Direction, Filter, Scalar, SortKey, Test};

use crate::data::{FIELDS, Random, Records, places};
use crate::device::{now_ms, set, write_bulk};
use crate::plot::{Plot, Series};
use crate::rows::{self, Aim, Row};
use crate::{Failure, Scale, resident};

/// Single-field transactions timed at each size.
const TRANSACTIONS: usize = 5_000;
/// Reads by id timed at each size.
const READS: usize = 20_000;

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let sizes = [10_000, 100_000, 1_000_000].map(|full| scale.of(full));
    let mut rows = Vec::new();
    let mut figures: Vec<Figure> = Figure::all();
    for size in sizes {
        eprintln!("    {size} documents ...");
        let records = places(size);
        let ours = stead(&records)?;
        let theirs = sqlite(&records)?;
        let loro = loro(&records)?;
        for (i, figure) in figures.iter_mut().enumerate() {
            figure.stead.push((size as f64, ours[i]));
            figure
                .sqlite
                .extend(theirs[i].map(|value| (size as f64, value)));
            figure
                .loro
                .extend(loro[i].map(|value| (size as f64, value)));
            let name = format!("{}, {size} documents", figure.name);
            let mut row = Row::new(name, figure.unit, ours[i], Aim::None);
            if let Some(value) = theirs[i] {
                row = row.peer("SQLite by hand", value);
            }
            if let Some(value) = loro[i] {
                row = row.peer("Loro, one document in memory", value);
            }
            rows.push(row);
        }
    }
    for figure in figures {
        let plot = Plot {
            title: format!("{} ({})", figure.name, figure.unit),
            across: "documents of six fields",
            series: vec![
                Series::new("Stead", figure.stead),
                Series::new("SQLite by hand", figure.sqlite),
                Series::new("Loro, in memory", figure.loro),
            ],
        };
        let path = rows::folder()?.join(format!("growth-{}.svg", figure.file));
        plot.write(&path)?;
        eprintln!("    {}", path.display());
    }
    Ok(rows)
}

struct Figure {
    name: &'static str,
    unit: &'static str,
    file: &'static str,
    stead: Vec<(f64, f64)>,
    sqlite: Vec<(f64, f64)>,
    loro: Vec<(f64, f64)>,
}

/// How many figures are taken at each size.
const FIGURES: usize = 7;

impl Figure {
    fn all() -> Vec<Self> {
        let figures: [_; FIGURES] = [
            ("bulk write", "fields/s", "bulk"),
            ("single-field transactions", "transactions/s", "single"),
            ("read a document by id", "microseconds", "read"),
            ("open until the first answer", "ms", "open"),
            ("filter, sort, limit 20, without an index", "ms", "query"),
            ("on disk", "bytes a document", "disk"),
            ("resident after opening and reading", "MB", "memory"),
        ];
        figures
            .into_iter()
            .map(|(name, unit, file)| Self {
                name,
                unit,
                file,
                stead: Vec::new(),
                sqlite: Vec::new(),
                loro: Vec::new(),
            })
            .collect()
    }
}

fn stead(records: &Records) -> Result<[f64; FIGURES], Failure> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("stead.db");
    let mut replica = resident::replica(&file)?;
    replica.create_home(now_ms())?;
    let space = replica.create_space("bench", now_ms())?;
    let start = Instant::now();
    write_bulk(&mut replica, &space, records)?;
    let bulk = (records.ids.len() * 6) as f64 / start.elapsed().as_secs_f64();
    replica.checkpoint()?;
    let disk = std::fs::metadata(&file)?.len() as f64 / records.ids.len() as f64;
    drop(replica);
    let memory = resident::measure("stead", &file)?;
    let start = Instant::now();
    let mut replica = resident::replica(&file)?;
    first(&replica, &space, &records.ids[records.ids.len() / 2])?;
    let open = start.elapsed().as_secs_f64() * 1e3;
    let mut random = Random(11);
    let start = Instant::now();
    for _ in 0..READS {
        first(
            &replica,
            &space,
            &records.ids[random.below(records.ids.len())],
        )?;
    }
    let read = start.elapsed().as_secs_f64() * 1e6 / READS as f64;
    let start = Instant::now();
    let found = replica.query(&space, "cities", query())?;
    let query = start.elapsed().as_secs_f64() * 1e3;
    if found.is_empty() {
        return Err("the query found nothing".into());
    }
    let start = Instant::now();
    for i in 0..TRANSACTIONS {
        let id = &records.ids[random.below(records.ids.len())];
        let edit = set(id, FIELDS[i % 4], json!(format!("value {i}")));
        replica.transact(&space, &[edit], now_ms())?;
        replica.drain_events();
    }
    let single = TRANSACTIONS as f64 / start.elapsed().as_secs_f64();
    Ok([bulk, single, read, open, query, disk, memory])
}

fn first(replica: &Replica, space: &stead_base::SpaceId, id: &DocId) -> Result<(), Failure> {
    replica
        .get(space, "cities", id)?
        .ok_or("a document is missing")?;
    Ok(())
}

fn query() -> Query {
    Query {
        filter: vec![Filter::Is(Condition {
            path: vec!["country".to_owned()],
            test: Test::Eq(Scalar::Text("PT".to_owned())),
        })],
        sort: vec![SortKey::new(vec!["lat".to_owned()], Direction::Desc)],
        limit: Some(20),
        ..Query::all(CollectionNo(0))
    }
}

fn sqlite(records: &Records) -> Result<[Option<f64>; FIGURES], Failure> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("peer.db");
    let mut conn = Connection::open(&file)?;
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;
         CREATE TABLE place (id BLOB PRIMARY KEY, name TEXT, country TEXT, admin1 TEXT, admin2 TEXT, \
                             lat REAL, lng REAL) WITHOUT ROWID",
    )?;
    let ids: Vec<Vec<u8>> = records
        .ids
        .iter()
        .map(|id| id.to_string().into_bytes())
        .collect();
    let start = Instant::now();
    for (ids, values) in ids.chunks(1000).zip(records.values.chunks(1000)) {
        let tx = conn.transaction()?;
        {
            let mut insert =
                tx.prepare_cached("INSERT INTO place VALUES (?1,?2,?3,?4,?5,?6,?7)")?;
            for (id, value) in ids.iter().zip(values) {
                let text = |name: &str| value[name].as_str();
                let number = |name: &str| value[name].as_f64();
                insert.execute(rusqlite::params![
                    id,
                    text("name"),
                    text("country"),
                    text("admin1"),
                    text("admin2"),
                    number("lat"),
                    number("lng"),
                ])?;
            }
        }
        tx.commit()?;
    }
    let bulk = (ids.len() * 6) as f64 / start.elapsed().as_secs_f64();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    let disk = std::fs::metadata(&file)?.len() as f64 / ids.len() as f64;
    drop(conn);
    const READ: &str = "SELECT name, country, admin1, admin2, lat, lng FROM place WHERE id = ?1";
    let start = Instant::now();
    let conn = Connection::open(&file)?;
    conn.execute_batch("PRAGMA synchronous=NORMAL")?;
    let read_one = |id: &[u8]| -> rusqlite::Result<String> {
        conn.prepare_cached(READ)?.query_row([id], |row| {
            Ok(format!(
                "{:?}{:?}",
                row.get::<_, Option<String>>(0)?,
                row.get::<_, Option<String>>(1)?
            ))
        })
    };
    read_one(&ids[ids.len() / 2])?;
    let open = start.elapsed().as_secs_f64() * 1e3;
    let mut random = Random(11);
    let start = Instant::now();
    for _ in 0..READS {
        read_one(&ids[random.below(ids.len())])?;
    }
    let read = start.elapsed().as_secs_f64() * 1e6 / READS as f64;
    let start = Instant::now();
    let found: usize = conn
        .prepare("SELECT id FROM place WHERE country = 'PT' ORDER BY lat DESC LIMIT 20")?
        .query_map([], |row| row.get::<_, Vec<u8>>(0))?
        .count();
    let query = start.elapsed().as_secs_f64() * 1e3;
    if found == 0 {
        return Err("the peer's query found nothing".into());
    }
    let start = Instant::now();
    for i in 0..TRANSACTIONS {
        let id = &ids[random.below(ids.len())];
        let sql = format!("UPDATE place SET {} = ?2 WHERE id = ?1", FIELDS[i % 4]);
        conn.prepare_cached(&sql)?
            .execute(rusqlite::params![id, format!("value {i}")])?;
    }
    let single = TRANSACTIONS as f64 / start.elapsed().as_secs_f64();
    let [bulk, single, read, open, query, disk] = [bulk, single, read, open, query, disk].map(Some);
    Ok([bulk, single, read, open, query, disk, None])
}

fn loro(records: &Records) -> Result<[Option<f64>; FIGURES], Failure> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("loro.bin");
    let start = Instant::now();
    let doc = resident::loro_of(records)?;
    let bulk = (records.ids.len() * 6) as f64 / start.elapsed().as_secs_f64();
    std::fs::write(&file, doc.export(loro::ExportMode::Snapshot)?)?;
    drop(doc);
    let disk = std::fs::metadata(&file)?.len() as f64 / records.ids.len() as f64;
    let memory = resident::measure("loro", &file)?;
    let start = Instant::now();
    let doc = loro::LoroDoc::new();
    doc.import(&std::fs::read(&file)?)?;
    let id = records.ids[records.ids.len() / 2].to_string();
    doc.get_by_str_path(&format!("docs/{id}/name"))
        .ok_or("a document is missing")?;
    let open = start.elapsed().as_secs_f64() * 1e3;
    Ok([
        Some(bulk),
        None,
        None,
        Some(open),
        None,
        Some(disk),
        Some(memory),
    ])
}
