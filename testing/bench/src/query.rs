//! Queries over 150 thousand documents: a page by filter and order, a search, and a live query after
//! one change; beside SQLite with a table, an index and a text index made by hand.

use std::ops::Range;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};
use stead_api::{Client, DocPut, DocWatch, Edit, IndexAdd, Op, SortKey};
use stead_replica::{Condition, Direction, Query, Replica, ReplicaReader, Scalar, Test};
use stead_store::{CollectionNo, Durability, IndexKind, IndexOrigin, IndexSpec};

use crate::data::{Records, places};
use crate::device::{fresh, now_ms, write_bulk};
use crate::node::{COLLECTION, SPACE, fill, wait_for_indexes, with_node};
use crate::rows::{Aim, Row, median};
use crate::{Failure, Scale};

const ROUNDS: usize = 300;
/// An event that has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// A common word of places' names.
const WORD: &str = "San";

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let records = places(scale.of(150_000));
    let folder = tempfile::tempdir()?;
    let peer = peer(&folder.path().join("peer.db"), &records)?;
    let (mut replica, space) = fresh(&folder.path().join("stead.db"), Durability::Ordered)?;
    write_bulk(&mut replica, &space, &records)?;
    let began = Instant::now();
    for (kind, names) in [
        (IndexKind::Fields, vec!["country", "name"]),
        (IndexKind::Text, vec!["name"]),
    ] {
        let paths = names
            .into_iter()
            .map(|name| vec![name.to_owned()])
            .collect();
        let spec = IndexSpec::new(kind, paths);
        replica.add_index(&space, "cities", &spec, IndexOrigin::ByHand, now_ms())?;
    }
    while replica.build_indexes(500, now_ms())? {}
    let build_ms = began.elapsed().as_secs_f64() * 1e3;
    let mut reader = reader(&replica)?;
    let mut page = Query::all(CollectionNo(0));
    page.filter = vec![
        Condition {
            path: vec!["country".into()],
            test: Test::Eq(Scalar::Text("US".into())),
        }
        .into(),
        Condition {
            path: vec!["lat".into()],
            test: Test::Gt(Scalar::Float(35.0)),
        }
        .into(),
    ];
    page.sort = vec![stead_replica::SortKey::new(
        vec!["name".into()],
        Direction::Asc,
    )];
    page.limit = Some(50);
    let sql = "SELECT id, name, country, admin1, admin2, lat, lng FROM city WHERE country='US' AND lat>35.0 ORDER BY name, id LIMIT 50";
    let ours = ask(&mut reader, &space, &page)?;
    let theirs = asked(&peer, sql)?;
    let mut bare = page.clone();
    bare.filter.remove(0);
    bare.sort = vec![stead_replica::SortKey::new(
        vec!["admin2".into()],
        Direction::Asc,
    )];
    let bare_sql = "SELECT id, name, country, admin1, admin2, lat, lng FROM city WHERE lat>35.0 ORDER BY admin2, id LIMIT 50";
    let ours_bare = ask(&mut reader, &space, &bare)?;
    let theirs_bare = asked(&peer, bare_sql)?;
    let mut search = Query::all(CollectionNo(0));
    search.search = Some(WORD.parse()?);
    search.limit = Some(20);
    let search_sql = "SELECT city.id, city.name, city.country, snippet(words, -1, '[', ']', '…', 16) FROM words JOIN city ON city.no=words.rowid WHERE words MATCH 'San' ORDER BY rank LIMIT 20";
    let ours_search = ask(&mut reader, &space, &search)?;
    let theirs_search = asked(&peer, search_sql)?;
    drop((reader, replica));
    let (live, window) = with_node(|home, client| live(home, client, &records))?;
    let within = |name: &str, ours: f64, theirs: f64| {
        // Rates, so that the ratio is ours over theirs.
        Row::new(name, "queries/s", 1e3 / ours, Aim::TimesPeer(1.0 / 1.2))
            .peer("SQLite by hand", 1e3 / theirs)
    };
    Ok(vec![
        within(
            "filter, order and limit over 150 thousand documents, indexed",
            ours,
            theirs,
        ),
        within("the same without an index", ours_bare, theirs_bare),
        within(
            "full-text search, ranked, with snippets",
            ours_search,
            theirs_search,
        ),
        Row::new(
            "live query, from asking for one change to its event",
            "ms",
            live,
            Aim::AtMost(1.0),
        ),
        Row::new(
            "live window of the first 50, from asking for one change to its event",
            "ms",
            window,
            Aim::AtMost(1.0),
        ),
        Row::new("building both indexes in steps", "ms", build_ms, Aim::None),
    ])
}

fn reader(replica: &Replica) -> Result<ReplicaReader, Failure> {
    replica.reader()?.ok_or_else(|| "no reader".into())
}

/// Milliseconds of a query, answers as JSON texts.
fn ask(
    reader: &mut ReplicaReader,
    space: &stead_base::SpaceId,
    query: &Query,
) -> Result<f64, Failure> {
    if reader.query(space, "cities", query.clone())?.is_empty() {
        return Err("a query of the bench finds nothing".into());
    }
    let mut best = f64::MAX;
    for _ in 0..ROUNDS.min(60) {
        let began = Instant::now();
        let found = reader.query(space, "cities", query.clone())?;
        best = best.min(began.elapsed().as_secs_f64() * 1e3);
        drop(found);
    }
    Ok(best)
}

fn asked(conn: &Connection, sql: &str) -> Result<f64, Failure> {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS.min(60) {
        let began = Instant::now();
        let mut statement = conn.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let values: Vec<rusqlite::types::Value> = (0..columns)
                .map(|at| row.get(at))
                .collect::<Result<_, _>>()?;
            found.push(values);
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e3);
        drop(found);
    }
    Ok(best)
}

/// What somebody who knows SQLite would make by hand: columns, an index, a text index.
fn peer(path: &Path, records: &Records) -> Result<Connection, Failure> {
    let mut conn = Connection::open(path)?;
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32768;
         CREATE TABLE city (no INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT, country TEXT, admin1 TEXT, admin2 TEXT, lat REAL, lng REAL);",
    )?;
    let tx = conn.transaction()?;
    {
        let mut insert = tx.prepare("INSERT INTO city (id, name, country, admin1, admin2, lat, lng) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for (id, value) in records.ids.iter().zip(&records.values) {
            let text = |name: &str| value[name].as_str();
            insert.execute(rusqlite::params![
                id.to_string(),
                text("name"),
                text("country"),
                text("admin1"),
                text("admin2"),
                value["lat"].as_f64(),
                value["lng"].as_f64()
            ])?;
        }
    }
    tx.commit()?;
    conn.execute_batch(
        "CREATE INDEX by_country ON city (country, name, id);
         CREATE VIRTUAL TABLE words USING fts5(name, content='city', content_rowid='no', tokenize='unicode61 remove_diacritics 2');
         INSERT INTO words(words) VALUES('rebuild');",
    )?;
    Ok(conn)
}

/// Milliseconds from asking for a change to its event, in the middle of many documents.
fn live(home: &Path, client: &mut Client, records: &Records) -> Result<(f64, f64), Failure> {
    fill(client, records)?;
    client.call(&IndexAdd {
        space: SPACE.into(),
        collection: COLLECTION.into(),
        fields: vec![vec!["name".into()]],
        text: false,
    })?;
    wait_for_indexes(client)?;
    let whole = DocWatch {
        space: SPACE.into(),
        collection: COLLECTION.into(),
        ..DocWatch::default()
    };
    let sort = vec![SortKey {
        path: vec!["name".into()],
        descending: false,
    }];
    let window = DocWatch {
        sort,
        limit: Some(50),
        ..whole.clone()
    };
    Ok((
        delay(home, client, &whole, records, ROUNDS..2 * ROUNDS)?,
        delay(home, client, &window, records, 0..ROUNDS)?,
    ))
}

/// Median milliseconds from asking for a change to its event; it is on the medium then. One change is on its way at a
/// time: events of changes that come faster than they are told are one event.
fn delay(
    home: &Path,
    client: &mut Client,
    watch: &DocWatch,
    records: &Records,
    numbers: Range<usize>,
) -> Result<f64, Failure> {
    let mut watcher = Client::connect(home)?;
    watcher.call(watch)?;
    loop {
        let event = watcher.next_event()?;
        if event.ready {
            break;
        }
    }
    let (tell, heard) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok(event) = watcher.next_event() {
            if !event.changes.is_empty() && tell.send(Instant::now()).is_err() {
                break;
            }
        }
    });
    let mut delays = Vec::with_capacity(ROUNDS);
    // Downwards, so that each change comes to the top of the window.
    for number in numbers.rev() {
        let value: Value = json!({"name": format!("  {number:06}")});
        let edits = vec![Edit {
            collection: COLLECTION.into(),
            id: Some(records.ids[number % records.ids.len()].to_string()),
            op: Op::Put {
                value,
                replace: false,
            },
        }];
        let asked = Instant::now();
        client.call(&DocPut {
            space: SPACE.into(),
            edits,
            idempotency_key: None,
            revisions: Default::default(),
        })?;
        let told = heard
            .recv_timeout(PATIENCE)
            .map_err(|_| format!("change {number} was not told of"))?;
        delays.push(told.duration_since(asked).as_secs_f64() * 1e3);
    }
    Ok(median(delays))
}
