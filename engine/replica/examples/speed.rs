//! Measures a replica alone, without a network: where the time of writing and catching up goes.
//!
//! `cargo run --release -p stead-replica --example speed -- [transactions] [documents]`

use std::time::Instant;

use serde_json::json;
use stead_base::{DocId, Entropy, SpaceId};
use stead_crypt::DeviceKeys;
use stead_replica::{Change, Edit, Replica};
use stead_store::{Durability, Options, Store};

struct Os;

impl Entropy for Os {
    fn fill(&mut self, buf: &mut [u8]) {
        // A measurement needs speed, not secrecy: a counter run through a hash.
        static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        for chunk in buf.chunks_mut(32) {
            let n = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let hash = stead_crypt::hash::digest(&n.to_be_bytes());
            chunk.copy_from_slice(&hash.as_bytes()[..chunk.len()]);
        }
    }
}

fn open(dir: &std::path::Path, seed: u8) -> Replica {
    let options = Options {
        durability: Durability::Ordered,
        ..Options::default()
    };
    let store = Store::open(dir.join(format!("{seed}.db")), options).expect("store");
    Replica::open(
        store,
        DeviceKeys::from_seed(&[seed; 32]),
        "bench",
        Box::new(Os),
        NOW,
    )
    .expect("replica")
}

const NOW: u64 = 1_700_000_000_000;

fn set(id: &DocId, path: &str, value: serde_json::Value) -> Edit {
    Edit {
        collection: "cities".into(),
        id: Some(id.clone()),
        change: Change::Set {
            path: vec![path.into()],
            value,
        },
    }
}

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|arg| arg.parse::<u64>().expect("a number"));
    let transactions = args.next().unwrap_or(100_000);
    let documents = args.next().unwrap_or(150_000);
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut a = open(dir.path(), 1);
    a.create_home(NOW).expect("home");
    let space = a.create_space("bench", NOW).expect("space");

    let ids: Vec<DocId> = (0..documents)
        .map(|i| {
            let mut random = [0; 10];
            Os.fill(&mut random);
            DocId::generate(NOW + i, random)
        })
        .collect();
    let start = Instant::now();
    for chunk in ids.chunks(1000) {
        let edits: Vec<Edit> = chunk
            .iter()
            .enumerate()
            .map(|(i, id)| Edit {
                collection: "cities".into(),
                id: Some(id.clone()),
                change: Change::Put {
                    value: json!({"name": format!("City {i}"), "country": "PT", "lat": 38.7 + i as f64, "lng": -9.1, "admin1": "11", "population": i}),
                    replace: false,
                },
            })
            .collect();
        a.transact(&space, &edits, NOW + 1).expect("bulk");
    }
    report("bulk fields", documents * 6, start);
    let signer = a.signer();
    std::thread::spawn(move || signer.run());

    let fields = ["name", "country", "admin1", "population"];
    let start = Instant::now();
    let mut x = 88_172_645_463_325_252u64;
    for i in 0..transactions {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        let id = &ids[(x % documents.min(100_000)) as usize];
        a.transact(
            &space,
            &[set(id, fields[(i % 4) as usize], json!(i))],
            NOW + 2 + i,
        )
        .expect("transaction");
    }
    report("single-field transactions", transactions, start);

    let mut b = open(dir.path(), 2);
    a.grant_device(&b.device_record(), NOW + transactions)
        .expect("grant");
    b.join_space(&a.ticket(&space).expect("ticket"), false, NOW)
        .expect("join");
    catch_up(&a, &mut b, &space, documents * 6, transactions);
    let size = b
        .store()
        .path()
        .and_then(|path| path.metadata().ok())
        .map_or(0, |m| m.len());
    b.checkpoint().expect("checkpoint");
    println!(
        "b's file: {} MB after checkpoint {}",
        size >> 20,
        b.store().path().unwrap().metadata().unwrap().len() >> 20
    );
    use stead_store::Read;
    println!("{:?}", b.store().size_of());
}

fn catch_up(a: &Replica, b: &mut Replica, space: &SpaceId, fields: u64, transactions: u64) {
    let start = Instant::now();
    let (sender, receiver) = std::sync::mpsc::sync_channel(8);
    let preparer = b.preparer();
    let items = a.frontier(space).expect("frontier");
    let mut batches = Vec::new();
    for item in items {
        let mut from = 0;
        while let Some(batch) = a
            .read_batch(space, &item.writer, from, item.len, 1 << 20)
            .expect("read")
        {
            from = stead_log::Batch::decode(&batch).expect("batch").end();
            batches.push(batch);
        }
    }
    let bytes: usize = batches.iter().map(Vec::len).sum();
    println!(
        "{:40} {:>10.0} MB in {} batches, read in {:.2} s",
        "read",
        bytes as f64 / 1e6,
        batches.len(),
        start.elapsed().as_secs_f64()
    );
    let start = Instant::now();
    let space = *space;
    let prepare = std::thread::spawn(move || {
        let start = Instant::now();
        let mut busy = 0.0;
        for batch in batches {
            let at = Instant::now();
            let prepared = preparer.prepare(space, batch);
            busy += at.elapsed().as_secs_f64();
            sender.send(prepared).expect("send");
        }
        println!(
            "{:40} {busy:.2} s busy of {:.2}",
            "prepare",
            start.elapsed().as_secs_f64()
        );
    });
    let mut busy = 0.0;
    while let Ok(first) = receiver.recv() {
        let mut group = vec![first];
        let mut size = 0;
        while size < 8 << 20 {
            match receiver.recv_timeout(std::time::Duration::from_millis(20)) {
                Ok(next) => {
                    size += next.len();
                    group.push(next);
                }
                Err(_) => break,
            }
        }
        let at = Instant::now();
        for result in b.store_batches(group, NOW + (1 << 30)) {
            result.expect("commit");
        }
        busy += at.elapsed().as_secs_f64();
    }
    prepare.join().expect("prepare thread");
    println!("{:40} {busy:.2} s busy", "store");
    let at = Instant::now();
    b.merge_pending(NOW + (1 << 30)).expect("merge");
    println!("{:40} {:.2} s", "last merge", at.elapsed().as_secs_f64());
    report(
        "catch-up: bulk fields + transactions",
        fields + transactions,
        start,
    );
}

fn report(what: &str, count: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what:40} {:>10.0} a second ({count} in {seconds:.2} s)",
        count as f64 / seconds
    );
}
