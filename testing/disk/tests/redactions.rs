//! Power cuts at every single write while a value is redacted, on the device that does it and on one that
//! hears of it: nothing else is lost, and once documents no longer show the value no file holds it.

use serde_json::{Value, json};
use stead_base::{DocId, Entropy, SpaceId};
use stead_crypt::DeviceKeys;
use stead_disk::{Fault, SimDisk};
use stead_replica::{Change, Edit, HistoryQuery, Replica, Severity};
use stead_store::Store;

const NOW_MS: u64 = 1_700_000_000_000;
const SECRET: &str = "PLAINTEXT-SECRET";

/// The same bytes in every run.
struct Counting(u64);

impl Entropy for Counting {
    fn fill(&mut self, buf: &mut [u8]) {
        for byte in buf {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

fn replica(store: Store, seed: u8, opened: u64) -> Option<Replica> {
    let keys = DeviceKeys::from_seed(&[seed; 32]);
    let entropy = Box::new(Counting(u64::from(seed) << 32 | opened));
    Replica::open(store, keys, "tower", entropy, NOW_MS).ok()
}

fn open(disk: &SimDisk, seed: u8, opened: u64) -> Option<Replica> {
    let options = disk.options();
    replica(Store::open("stead.db", options).ok()?, seed, opened)
}

fn put(id: &str, value: Value) -> Edit {
    Edit {
        collection: "d".to_owned(),
        id: DocId::parse(id).ok(),
        change: Change::Put {
            value,
            replace: false,
        },
    }
}

fn redact(replica: &mut Replica, space: &SpaceId, now_ms: u64) -> bool {
    let id = DocId::parse("a").expect("a name");
    let field = ["note".to_owned()];
    replica.redact(space, "d", &id, &field, now_ms).is_ok()
}

/// What the documents are.
fn shown(replica: &Replica, space: &SpaceId) -> Vec<Option<Value>> {
    let get = |id: &&str| {
        let id = DocId::parse(id).expect("a name");
        let found = replica.get(space, "d", &id).expect("a read");
        found.map(|found| serde_json::from_str(&found.json).expect("JSON"))
    };
    ["a", "b", "c"].iter().map(get).collect()
}

/// Whether the secret is in a file, or can be opened from the log.
fn holds(disk: &SimDisk, replica: &Replica, space: &SpaceId) -> bool {
    let query = HistoryQuery {
        limit: 1_000,
        ..HistoryQuery::default()
    };
    let told = replica.history(space, &query);
    let in_files = disk.files().iter().any(|path| {
        let bytes = disk.read(path).unwrap_or_default();
        let mut windows = bytes.windows(SECRET.len());
        windows.any(|window| window == SECRET.as_bytes())
    });
    in_files || format!("{:?}", told.expect("a history")).contains(SECRET)
}

fn check_sound(replica: &Replica, n: u64) {
    let found = replica.doctor().expect("a look");
    let bad = found.iter().find(|it| it.severity == Severity::Error);
    assert_eq!(bad, None, "cut at write {n}");
}

/// What the documents are behind each step, first none.
fn states() -> Vec<Vec<Option<Value>>> {
    let (b, c) = (Some(json!({"n": 2})), Some(json!({"n": 3})));
    let a = |value: Value| Some(value);
    vec![
        vec![None, None, None],
        vec![a(json!({"note": SECRET, "n": 1})), b.clone(), None],
        vec![a(json!({"note": SECRET, "n": 1})), b.clone(), c.clone()],
        vec![a(json!({"n": 1})), b.clone(), c.clone()],
        vec![a(json!({"n": 1, "late": 4})), b, c],
    ]
}

/// Takes the steps until one fails. Returns how many were acknowledged.
fn play(disk: &SimDisk) -> usize {
    let Some(mut replica) = open(disk, 1, 0) else {
        return 0;
    };
    let Ok(space) = replica.create_home(NOW_MS) else {
        return 0;
    };
    let steps = [
        Some(vec![
            put("a", json!({"note": SECRET, "n": 1})),
            put("b", json!({"n": 2})),
        ]),
        Some(vec![put("c", json!({"n": 3}))]),
        None,
        Some(vec![put("a", json!({"late": 4}))]),
    ];
    for (n, step) in steps.into_iter().enumerate() {
        let now_ms = NOW_MS + 10 * (n as u64 + 1);
        let done = match step {
            Some(edits) => replica.transact(&space, &edits, now_ms).is_ok(),
            None => redact(&mut replica, &space, now_ms),
        };
        if !done {
            return n;
        }
    }
    4
}

#[test]
fn a_power_cut_at_any_write_leaves_a_redaction_done_or_not_begun_and_no_file_with_the_value() {
    let states = states();
    let whole = SimDisk::new(1);
    assert_eq!(play(&whole), 4);
    let mut seen = vec![0; states.len()];
    for n in 0..whole.activity().writes {
        let disk = SimDisk::new(n);
        disk.fail_write(n, Fault::PowerOff);
        let acknowledged = play(&disk);
        disk.crash();
        let mut replica = open(&disk, 1, 1).expect("opens after a crash");
        let space = replica.create_home(NOW_MS).expect("a home");
        let found = shown(&replica, &space);
        let state = states.iter().position(|known| *known == found);
        let state = state.unwrap_or_else(|| panic!("cut at write {n}: {found:?}"));
        assert!(
            acknowledged <= state && state <= acknowledged + 1,
            "{acknowledged} steps were acknowledged, {state} are there, cut at write {n}"
        );
        seen[state] += 1;
        match state < 3 {
            false => assert!(!holds(&disk, &replica, &space), "cut at write {n}"),
            // It is redacted now.
            true if state > 0 => {
                assert!(redact(&mut replica, &space, NOW_MS + 100));
                assert!(!holds(&disk, &replica, &space), "cut at write {n}");
                assert_eq!(shown(&replica, &space)[1..], states[state][1..]);
            }
            true => {}
        }
        check_sound(&replica, n);
    }
    assert!(seen.iter().all(|seen| *seen > 0), "{seen:?}");
}

/// Hands on what the other lacks of all spaces, to be merged later. Returns whether all was taken.
fn hand_on(from: &Replica, to: &mut Replica, now_ms: u64) -> bool {
    for space in from.space_ids() {
        for log in from.frontier(&space).expect("logs") {
            let Ok(held) = to.frontier(&space) else {
                return false;
            };
            let held = held.iter().find(|it| it.writer == log.writer);
            let held = held.map_or(0, |it| it.len);
            let batch = from.read_batch(&space, &log.writer, held, log.len, usize::MAX);
            if let Some(batch) = batch.expect("a batch") {
                let prepared = to.preparer().prepare(space, batch);
                let stored = to.store_batches(vec![prepared], now_ms);
                if stored.iter().any(Result::is_err) {
                    return false;
                }
            }
        }
    }
    true
}

/// A device that hears of a value and of its redaction, as far as it comes.
fn hear(disk: &SimDisk, one: &mut Replica, later: &mut Replica, opened: u64) -> Option<Replica> {
    let mut two = open(disk, 2, opened)?;
    let home = one.home()?;
    if two.home().is_none() {
        let ticket = one.ticket(&home)?;
        two.join_space(&ticket, true, NOW_MS).ok()?;
    }
    for (from, now_ms) in [(one, NOW_MS + 1_000), (later, NOW_MS + 2_000)] {
        if !hand_on(from, &mut two, now_ms) || two.merge_pending(now_ms).is_err() {
            return None;
        }
    }
    Some(two)
}

#[test]
fn who_hears_of_a_redaction_keeps_no_file_with_the_value_whenever_the_power_is_cut() {
    let disk = SimDisk::new(1);
    let mut one = open(&disk, 1, 0).expect("a replica");
    let space = one.create_home(NOW_MS).expect("a home");
    let keys = Store::in_memory().expect("a store");
    let record = replica(keys, 2, 0).expect("a replica").device_record();
    one.grant_device(&record, NOW_MS).expect("let in");
    let secret = [
        put("a", json!({"note": SECRET, "n": 1})),
        put("b", json!({"n": 2})),
    ];
    one.transact(&space, &secret, NOW_MS + 1).expect("an edit");
    one.transact(&space, &[put("c", json!({"n": 3}))], NOW_MS + 2)
        .expect("an edit");
    // The same device before and after it redacted.
    let mut later = open(&disk.copy(2), 1, 1).expect("a replica");
    assert!(redact(&mut later, &space, NOW_MS + 10));
    let wanted = shown(&later, &space);
    let whole = SimDisk::new(1);
    let two = hear(&whole, &mut one, &mut later, 0).expect("all of it");
    assert_eq!(shown(&two, &space), wanted);
    drop(two);
    for n in 0..whole.activity().writes {
        let disk = SimDisk::new(n);
        disk.fail_write(n, Fault::PowerOff);
        drop(hear(&disk, &mut one, &mut later, 0));
        disk.crash();
        {
            let two = open(&disk, 2, 1).expect("opens after a crash");
            let home = two.home();
            let heard = home.is_some_and(|home| shown(&two, &home) == wanted);
            assert!(!heard || !holds(&disk, &two, &space), "cut at write {n}");
        }
        let two = hear(&disk, &mut one, &mut later, 2).expect("all of it");
        assert_eq!(shown(&two, &space), wanted, "cut at write {n}");
        assert!(!holds(&disk, &two, &space), "cut at write {n}");
        check_sound(&two, n);
    }
}
