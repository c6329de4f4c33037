//! How long a newcomer takes to open a shared space from a checkpoint: verified, stored, queryable.
//!
//! `cargo run --release -p stead-replica --example newcomer [DOCUMENTS] [FIELDS]`
#![allow(clippy::disallowed_methods, missing_docs)]

use std::time::Instant;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Map, Value, json};
use stead_base::Entropy;
use stead_crypt::DeviceKeys;
use stead_replica::{Change, Edit, Query, Replica};
use stead_store::{CollectionNo, Options, Store};

struct Seeded(ChaCha12Rng);

impl Entropy for Seeded {
    fn fill(&mut self, buf: &mut [u8]) {
        self.0.fill_bytes(buf);
    }
}

fn device(seed: u8, dir: &std::path::Path) -> Replica {
    let path = dir.join(format!("{seed}.db"));
    let store = Store::open(path, Options::default()).expect("a store");
    let keys = DeviceKeys::from_seed(&[seed; 32]);
    let entropy = Box::new(Seeded(ChaCha12Rng::seed_from_u64(seed.into())));
    Replica::open(store, keys, &format!("device {seed}"), entropy, NOW).expect("a replica")
}

const NOW: u64 = 1_800_000_000_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |or: u64| args.next().and_then(|it| it.parse().ok()).unwrap_or(or);
    let (documents, fields) = (number(100_000), number(10));
    let dir = tempfile::tempdir().expect("a directory");
    let mut old = device(1, dir.path());
    old.create_home(NOW).expect("a home");
    let space = old.create_space("shared", NOW).expect("a space");
    let begun = Instant::now();
    let document = |i: u64| {
        let mut object = Map::new();
        for field in 0..fields {
            let value = match field % 3 {
                0 => json!(i * field),
                1 => json!(format!("value {i} of {field}")),
                _ => json!(i as f64 / 7.0),
            };
            object.insert(format!("field{field}"), value);
        }
        Value::Object(object)
    };
    for start in (0..documents).step_by(500) {
        let edits: Vec<Edit> = (start..documents.min(start + 500))
            .map(|i| Edit {
                collection: "records".to_owned(),
                id: None,
                change: Change::Put {
                    value: document(i),
                    replace: false,
                },
            })
            .collect();
        old.transact(&space, &edits, NOW + start).expect("a write");
    }
    println!(
        "{} fields written in {:?}",
        documents * fields,
        begun.elapsed()
    );

    let begun = Instant::now();
    let made = old.make_checkpoint(&space, NOW + documents).expect("made");
    old.flush().expect("flushed");
    println!(
        "checkpoint of {} documents made in {:?}",
        made.documents,
        begun.elapsed()
    );

    let mut new = device(2, dir.path());
    let record = new.device_record();
    old.grant_device(&record, NOW + documents).expect("granted");
    let home = old.home().expect("a home");
    for id in old.space_ids() {
        let ticket = old.ticket(&id).expect("a ticket");
        new.join_space(&ticket, id == home, NOW).expect("joined");
    }
    let mut batches = Vec::new();
    let mut from = 0;
    let mut bytes = 0;
    while let Some(batch) = old
        .read_batch(&space, &made.log, from, made.entries, 1 << 20)
        .expect("read")
    {
        from = stead_log::Batch::decode(&batch).expect("a batch").end();
        bytes += batch.len();
        batches.push(batch);
    }
    let begun = Instant::now();
    for batch in &batches {
        new.receive(&space, batch, NOW + documents)
            .expect("received");
    }
    let received = begun.elapsed();
    new.begin_from(&space, &made.log, NOW + documents)
        .expect("begun");
    new.flush().expect("flushed");
    let total = begun.elapsed();
    let found = new
        .count(&space, "records", Query::all(CollectionNo(0)))
        .expect("counted");
    assert_eq!(found, documents);
    println!(
        "newcomer: {bytes} bytes received and verified in {received:?}, durable and queryable after {total:?} ({:.0} thousand fields a second)",
        (documents * fields) as f64 / total.as_secs_f64() / 1000.0
    );
}
