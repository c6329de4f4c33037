//! Opening a device that holds many documents, until the first query answers.

use std::time::Instant;

use rusqlite::Connection;
use stead_api::{Client, DocGet};
use stead_keys::Keystore;
use stead_node::{KeyPolicy, Lan, Node, NodeConfig};
use stead_store::Durability;

use crate::data::places;
use crate::device::{OsEntropy, now_ms, open, write_bulk};
use crate::rows::{Aim, Row};
use crate::{Failure, Scale};

const TIMES: usize = 5;

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let records = places(scale.of(150_000));
    let folder = tempfile::tempdir()?;
    let home = folder.path().join("home");
    std::fs::create_dir_all(&home)?;
    let policy = KeyPolicy::owner_only_file();
    let file = home.join(stead_node::STORE_FILE);
    let (space, id) = {
        let keys = Keystore::open(&home, &policy, &mut OsEntropy)?.device_keys();
        let mut replica = open(&file, keys, Durability::Ordered)?;
        replica.create_home(now_ms())?;
        let space = replica.create_space("bench", now_ms())?;
        write_bulk(&mut replica, &space, &records)?;
        replica.checkpoint()?;
        (space, records.ids[records.ids.len() / 2].clone())
    };
    let mut engine = f64::INFINITY;
    for _ in 0..TIMES {
        let keys = Keystore::open(&home, &policy, &mut OsEntropy)?.device_keys();
        let start = Instant::now();
        let replica = open(&file, keys, Durability::Ordered)?;
        let found = replica.get(&space, "cities", &id)?;
        engine = engine.min(start.elapsed().as_secs_f64() * 1000.0);
        found.ok_or("the document is not there")?;
    }
    let mut node = f64::INFINITY;
    for _ in 0..TIMES {
        let config = NodeConfig {
            lan: Lan::Off,
            websocket: false,
            ..NodeConfig::new(&home, "bench")
        };
        let start = Instant::now();
        let running = runtime.block_on(Node::start(config))?;
        let mut client = Client::connect(&home)?;
        client.call(&DocGet {
            space: "bench".to_owned(),
            collection: "cities".to_owned(),
            id: id.to_string(),
            ..DocGet::default()
        })?;
        node = node.min(start.elapsed().as_secs_f64() * 1000.0);
        runtime.block_on(running.stop());
    }
    let mut sqlite = f64::INFINITY;
    for _ in 0..TIMES {
        let start = Instant::now();
        let conn = Connection::open(&file)?;
        let found: i64 = conn.query_row(
            "SELECT length(body) FROM doc LIMIT 1 OFFSET 1000",
            [],
            |row| row.get(0),
        )?;
        sqlite = sqlite.min(start.elapsed().as_secs_f64() * 1000.0);
        if found == 0 {
            return Err("an empty document".into());
        }
    }
    Ok(vec![
        Row::new(
            "open a node until the first answer over its socket",
            "ms",
            node,
            Aim::AtMost(50.0),
        )
        .peer("SQLite open + query", sqlite),
        Row::new(
            "open a store until the first answer",
            "ms",
            engine,
            Aim::AtMost(50.0),
        )
        .peer("SQLite open + query", sqlite),
    ])
}
