//! Measures the store alone: documents in bulk, sorted batches of changes, single transactions,
//! queries and opening.
//! `cargo run --release -p stead-store --example figures [documents] [--encrypted] [--wipe-memory]`

use std::cell::Cell;
use std::time::Instant;

use stead_base::{DocId, SpaceId, WriterId};
use stead_store::{
    CollectionNo, Condition, Direction, Durability, FileKey, IndexKind, IndexOrigin, IndexSpec,
    Options, Query, Read, Scalar, SortKey, Store, StoreError, Test, WriterNo,
};

const BATCH_DOCS: usize = 8192;
const STATE_BYTES: usize = 110;
const CACHE_BYTES: usize = 64 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let said = |word: &str| words.iter().any(|said| said == word);
    let documents = match words.iter().find(|word| !word.starts_with('-')) {
        Some(text) => text.parse()?,
        None => 150_000,
    };
    if said("--wipe-memory") {
        // For the whole process: SQLite wipes all memory that it gives back.
        let conn = rusqlite::Connection::open_in_memory()?;
        conn.execute_batch("PRAGMA cipher_memory_security=ON")?;
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("figures.db");
    let options = Options {
        durability: Durability::Ordered,
        cache_bytes: CACHE_BYTES,
        key: said("--encrypted").then(|| FileKey::new(&[7; 32])),
        ..Options::default()
    };
    let mut store = Store::open(&path, options.clone())?;
    let mut random = Random(88_172_645_463_325_252);
    let (writer, cities) = prepare(&mut store)?;
    let mut ids: Vec<DocId> = (0..documents)
        .map(|i| {
            let mut tail = [0; 10];
            tail[..8].copy_from_slice(&random.next().to_be_bytes());
            DocId::generate(1_700_000_000_000 + i as u64 / 10, tail)
        })
        .collect();
    ids.sort();
    let bodies: Vec<Vec<u8>> = (0..1000).map(|_| body(random.next())).collect();

    CPU_NS.set(cpu_ns());
    let started = Instant::now();
    for chunk in ids.chunks(BATCH_DOCS) {
        let tx = store.begin()?;
        for (i, id) in chunk.iter().enumerate() {
            tx.with_doc_state(cities, id, |_| ())?;
            tx.put_doc(cities, id, &[1; STATE_BYTES], &bodies[i % 1000], false)?;
        }
        tx.commit()?;
    }
    report("new documents in bulk", documents, started);

    let mut changed = ids.clone();
    for i in 0..changed.len() {
        changed.swap(i, random.below(documents));
    }
    changed.truncate(documents * 2 / 3);
    changed.sort();
    for _ in 0..3 {
        let started = Instant::now();
        change(&mut store, cities, &changed, &bodies)?;
        report(
            "sorted read + write, one transaction",
            changed.len(),
            started,
        );
    }

    for (what, range) in [
        ("single transactions, any document", documents),
        ("single transactions, 50 documents", 50),
    ] {
        let started = Instant::now();
        let from = store.writer(writer)?.map_or(0, |row| row.len);
        let count = 40_000;
        for i in 0..count {
            let id = &ids[random.below(range)];
            single(
                &mut store,
                writer,
                cities,
                id,
                from + i as u64,
                &bodies[i % 1000],
            )?;
        }
        report(what, count, started);
    }

    for (what, query) in queries(cities) {
        ask(&store, what, &query)?;
    }
    let paths = vec![vec!["country".to_owned()], vec!["name".to_owned()]];
    let by_country = IndexSpec::new(IndexKind::Fields, paths);
    let tx = store.begin()?;
    let (no, _) = tx.add_index(cities, &by_country, IndexOrigin::ByHand)?;
    tx.commit()?;
    let started = Instant::now();
    loop {
        let tx = store.begin()?;
        let complete = tx.build_index(no, 500)?;
        tx.commit()?;
        if complete {
            break;
        }
    }
    println!("index built in {:.1} ms", ms(started));
    for (what, query) in queries(cities) {
        ask(&store, what, &query)?;
    }
    let started = Instant::now();
    let count = store.count(&Query::all(cities))?;
    println!("count: {count} in {:.1} ms", ms(started));

    std::fs::copy(&path, folder.path().join("killed.db"))?;
    let wal = |name: &str| folder.path().join(format!("{name}-wal"));
    std::fs::copy(wal("figures.db"), wal("killed.db"))?;
    let size = store.size_of()?;
    println!("file: {:.1} MB, {size:?}", size.file as f64 / 1e6);
    store.close()?;
    for name in ["figures.db", "killed.db"] {
        let started = Instant::now();
        let store = Store::open(folder.path().join(name), options.clone())?;
        let mut query = Query::all(cities);
        query.limit = Some(20);
        store.query(&query)?;
        println!("open {name} and first page: {:.1} ms", ms(started));
    }
    Ok(())
}

fn prepare(store: &mut Store) -> Result<(WriterNo, CollectionNo), StoreError> {
    let tx = store.begin()?;
    let space = tx.put_space(&SpaceId::from_bytes([1; 32]), b"")?;
    let writer = WriterId::from_bytes([2; 32]);
    let writer = tx.put_writer(space, &writer, 0, 0, &[0; 300], &[0; 100])?;
    let cities = tx.intern_collection(space, "cities")?;
    tx.commit()?;
    Ok((writer, cities))
}

fn change(
    store: &mut Store,
    cities: CollectionNo,
    ids: &[DocId],
    bodies: &[Vec<u8>],
) -> Result<(), StoreError> {
    let tx = store.begin()?;
    let mut state = Vec::new();
    for (i, id) in ids.iter().enumerate() {
        tx.with_doc_state(cities, id, |found| {
            state.clear();
            state.extend_from_slice(found);
        })?;
        if let Some(byte) = state.last_mut() {
            *byte = byte.wrapping_add(1);
        }
        tx.put_doc(cities, id, &state, &bodies[(i * 7) % 1000], false)?;
    }
    tx.commit()
}

fn single(
    store: &mut Store,
    writer: WriterNo,
    cities: CollectionNo,
    id: &DocId,
    at: u64,
    body: &[u8],
) -> Result<(), StoreError> {
    let tx = store.begin()?;
    let mut state = tx.load_doc_state(cities, id)?.unwrap_or_default();
    if let Some(byte) = state.last_mut() {
        *byte = byte.wrapping_add(1);
    }
    tx.append_segment(writer, at, 1, &[7; 150])?;
    tx.advance_writer(writer, at + 1, at + 1, &[3; 300])?;
    tx.put_doc(cities, id, &state, body, false)?;
    tx.commit()
}

/// The best of some rounds, in milliseconds.
fn ask(store: &Store, what: &str, query: &Query) -> Result<(), StoreError> {
    let mut best = f64::MAX;
    let mut found = 0;
    for _ in 0..20 {
        let started = Instant::now();
        found = store.query(query)?.len();
        best = best.min(ms(started));
    }
    println!("{what}: {found} found in {best:.3} ms");
    Ok(())
}

fn queries(cities: CollectionNo) -> Vec<(&'static str, Query)> {
    let big = Condition {
        path: vec!["pop".to_owned()],
        test: Test::Gt(Scalar::Int(990_000)),
    };
    let by_name = SortKey::new(vec!["name".to_owned()], Direction::Desc);
    let mut first = Query::all(cities);
    first.limit = Some(20);
    let mut filtered = Query::all(cities);
    filtered.filter = vec![big.into()];
    let mut sorted = first.clone();
    sorted.sort = vec![by_name.clone()];
    let mut page = Query::all(cities);
    page.filter = vec![
        Condition {
            path: vec!["country".to_owned()],
            test: Test::Eq(Scalar::Text("FR".to_owned())),
        }
        .into(),
        Condition {
            path: vec!["pop".to_owned()],
            test: Test::Gt(Scalar::Int(400_000)),
        }
        .into(),
    ];
    page.sort = vec![by_name];
    page.limit = Some(50);
    vec![
        ("fifty by two conditions and an order", page),
        ("first page by id", first),
        ("filter without an index", filtered),
        ("first page by a field", sorted),
    ]
}

/// `{"name": ..., "country": "DE", "pop": ..., "lat": "51.50853", "lng": "-0.12574", "note": ...}`
fn body(random: u64) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut put = |name: &str, kind: u8, value: &str| {
        for (kind, text) in [(0x7, name), (kind, value)] {
            if text.len() < 12 {
                fields.push((text.len() as u8) << 4 | kind);
            } else {
                fields.extend([0xc0 | kind, text.len() as u8]);
            }
            fields.extend_from_slice(text.as_bytes());
        }
    };
    put("name", 0x7, &format!("city {}", random % 100_000));
    put("country", 0x7, ["DE", "FR", "GB"][(random % 3) as usize]);
    put("pop", 0x3, &(random % 1_000_000).to_string());
    put("lat", 0x7, "51.50853");
    put("lng", 0x7, "-0.12574");
    put("note", 0x7, &"x".repeat(60));
    let mut body = vec![0xcc, fields.len() as u8];
    body.append(&mut fields);
    body
}

fn report(what: &str, count: usize, started: Instant) {
    let rate = count as f64 / started.elapsed().as_secs_f64();
    let busy = cpu_ns().saturating_sub(CPU_NS.get()) as f64 / 1e9;
    CPU_NS.set(cpu_ns());
    println!(
        "{what}: {:.1} thousand a second ({:.1} a second of this thread's processor time)",
        rate / 1000.0,
        count as f64 / busy / 1000.0
    );
}

/// What this thread has used of a processor: the steadier figure on a busy machine. Linux only.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or_default()
}

thread_local! {
    static CPU_NS: Cell<u64> = const { Cell::new(0) };
}

fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
