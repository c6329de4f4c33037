//! A store, plain or encrypted, whose power is cut at every single write: what was acknowledged is
//! there, and a transaction is there as a whole or not at all.

use proptest::prelude::*;
use stead_base::{DocId, SpaceId, WriterId};
use stead_disk::{Fault, SimDisk};
use stead_store::{CollectionNo, Durability, FileKey, Options, Read, Store, StoreError, WriterNo};

/// What a run does, step by step.
#[derive(Debug, Clone)]
enum Step {
    /// One transaction: an entry, and documents named by these numbers with this much text.
    Commit(Vec<(u8, u16)>),
    Flush,
    Checkpoint,
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec((0u8..20, 0u16..6000), 0..6).prop_map(Step::Commit),
        1 => Just(Step::Flush),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
    ]
}

/// How a run opens its store.
#[derive(Debug, Clone, Copy)]
struct Mode {
    durability: Durability,
    encrypted: bool,
}

const FLUSHED: Mode = Mode {
    durability: Durability::Flushed,
    encrypted: false,
};
const ORDERED: Mode = Mode {
    durability: Durability::Ordered,
    encrypted: false,
};

impl Mode {
    fn encrypted(self, encrypted: bool) -> Self {
        Self { encrypted, ..self }
    }
}

fn open(disk: &SimDisk, mode: Mode) -> Option<Store> {
    let options = Options {
        durability: mode.durability,
        key: mode.encrypted.then(|| FileKey::new(&[7; 32])),
        vfs: Some(disk.vfs().to_owned()),
        exclusive: true,
        ..Options::default()
    };
    Store::open("stead.db", options).ok()
}

/// Writes transaction number `n`.
fn commit(store: &mut Store, n: u64, docs: &[(u8, u16)]) -> Result<(), StoreError> {
    let tx = store.begin()?;
    let space = tx.put_space(&SpaceId::from_bytes([1; 32]), b"")?;
    let writer = tx.put_writer(
        space,
        &WriterId::from_bytes([2; 32]),
        n + 1,
        n + 1,
        &n.to_be_bytes(),
        b"",
    )?;
    tx.append_segment(writer, n, 1, &[n as u8; 100])?;
    let notes = tx.intern_collection(space, "notes")?;
    for (name, len) in docs {
        tx.put_doc(notes, &id(*name), &state(n, *len), &[0x0c], false)?;
    }
    tx.put_meta("last", &n.to_be_bytes())?;
    tx.commit()
}

fn id(name: u8) -> DocId {
    DocId::parse(&format!("doc {name}")).expect("a name")
}

fn state(n: u64, len: u16) -> Vec<u8> {
    let mut bytes = n.to_be_bytes().to_vec();
    bytes.resize(8 + usize::from(len), n as u8);
    bytes
}

/// How many transactions the store holds; panics unless it holds exactly the first so many.
fn whole_prefix(store: &Store, steps: &[Step]) -> u64 {
    assert_eq!(
        store.integrity_check().expect("a check"),
        [],
        "after a crash"
    );
    let last = store.get_meta("last").expect("a read");
    let count = last.map_or(0, |bytes| {
        u64::from_be_bytes(bytes.try_into().expect("eight bytes")) + 1
    });
    let mut docs: [Option<(u64, u16)>; 20] = [None; 20];
    let commits = steps.iter().filter_map(|step| match step {
        Step::Commit(docs) => Some(docs),
        _ => None,
    });
    for (n, written) in (0..count).zip(commits) {
        for (name, len) in written {
            docs[usize::from(*name)] = Some((n, *len));
        }
    }
    for (name, expected) in docs.iter().enumerate() {
        let found = store.doc_state(CollectionNo(1), &id(name as u8));
        let expected = expected.map(|(n, len)| state(n, len));
        assert_eq!(
            found.expect("a read"),
            expected,
            "doc {name} of {count} commits"
        );
    }
    let segments = store.segments(WriterNo(1), 0, usize::MAX).expect("a read");
    assert_eq!(segments.len() as u64, count);
    if let Some(writer) = store.writer(WriterNo(1)).expect("a read") {
        assert_eq!((writer.len, writer.applied), (count, count));
    }
    count
}

/// What a run had been promised when it ended.
#[derive(Debug, Default, Clone, Copy)]
struct Promised {
    /// Commits that began.
    begun: u64,
    /// Commits that must survive a power cut.
    lasting: u64,
}

/// Plays the steps until one fails.
fn play(disk: &SimDisk, mode: Mode, steps: &[Step]) -> Promised {
    let mut promised = Promised::default();
    let Some(mut store) = open(disk, mode) else {
        return promised;
    };
    let mut committed = 0;
    for step in steps {
        let done = match step {
            Step::Commit(docs) => {
                promised.begun += 1;
                let done = commit(&mut store, committed, docs);
                if done.is_ok() {
                    committed += 1;
                    if mode.durability == Durability::Flushed {
                        promised.lasting = committed;
                    }
                }
                done
            }
            Step::Flush | Step::Checkpoint => {
                let done = if matches!(step, Step::Flush) {
                    store.flush()
                } else {
                    store.checkpoint()
                };
                if done.is_ok() {
                    promised.lasting = committed;
                }
                done
            }
            Step::Reopen => {
                if store.close().is_ok() {
                    promised.lasting = committed;
                }
                match open(disk, mode) {
                    Some(opened) => store = opened,
                    None => return promised,
                }
                Ok(())
            }
        };
        if done.is_err() {
            return promised;
        }
    }
    promised
}

/// Cuts the power at the `n`th write, twice in a row, and looks at what is left.
fn cut_at(seed: u64, mode: Mode, steps: &[Step], n: u64) {
    let disk = SimDisk::new(seed ^ n.wrapping_mul(0x1234_5677));
    disk.fail_write(n, Fault::PowerOff);
    let promised = play(&disk, mode, steps);
    disk.crash();
    let store = open(&disk, mode).expect("opens after a crash");
    let count = whole_prefix(&store, steps);
    assert!(
        promised.lasting <= count && count <= promised.begun,
        "{promised:?}, found {count}, cut at write {n}"
    );
    drop(store);
    // Life goes on, and ends again without warning.
    let mut store = open(&disk, mode).expect("opens again");
    commit(&mut store, count, &[]).expect("writes again");
    store.flush().expect("flushes again");
    disk.crash();
    drop(store);
    let store = open(&disk, mode).expect("opens after the second crash");
    let last = store.get_meta("last").expect("a read").expect("a value");
    assert_eq!(last, count.to_be_bytes());
    assert_eq!(store.integrity_check().expect("a check"), []);
}

fn cut_everywhere(seed: u64, mode: Mode, steps: &[Step]) {
    let disk = SimDisk::new(seed);
    let promised = play(&disk, mode, steps);
    let writes = disk.activity().writes;
    let commits = (steps.iter()).filter(|step| matches!(step, Step::Commit(_)));
    assert_eq!(promised.begun, commits.count() as u64);
    for n in 0..=writes {
        cut_at(seed, mode, steps, n);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_acknowledged_commit_is_lost_by_a_power_cut_at_any_write(
        seed: u64, encrypted: bool, steps in prop::collection::vec(any_step(), 1..14)
    ) {
        cut_everywhere(seed, FLUSHED.encrypted(encrypted), &steps);
    }

    #[test]
    fn a_power_cut_leaves_a_prefix_of_ordered_commits(
        seed: u64, encrypted: bool, steps in prop::collection::vec(any_step(), 1..14)
    ) {
        cut_everywhere(seed, ORDERED.encrypted(encrypted), &steps);
    }

    #[test]
    fn one_failing_operation_loses_nothing(
        seed: u64, steps in prop::collection::vec(any_step(), 1..14), full: bool, encrypted: bool
    ) {
        let mode = FLUSHED.encrypted(encrypted);
        let counting = SimDisk::new(seed);
        play(&counting, mode, &steps);
        let operations = counting.activity().operations;
        for n in (0..operations).step_by(3) {
            let disk = SimDisk::new(seed);
            disk.fail_operation(n, if full { Fault::Full } else { Fault::Io });
            let promised = play(&disk, mode, &steps);
            disk.clear_faults();
            let store = open(&disk, mode).expect("opens after an error");
            let count = whole_prefix(&store, &steps);
            prop_assert!(promised.lasting <= count && count <= promised.begun, "{promised:?}, found {count}");
        }
    }
}

#[test]
fn the_same_seed_crashes_the_same_way() {
    let steps = [
        Step::Commit(vec![(1, 5000), (2, 300)]),
        Step::Commit(vec![(1, 10)]),
        Step::Checkpoint,
        Step::Commit(vec![(3, 4000)]),
    ];
    let run = || {
        let disk = SimDisk::new(7);
        disk.fail_write(20, Fault::PowerOff);
        let promised = play(&disk, ORDERED, &steps);
        disk.crash();
        let store = open(&disk, ORDERED).expect("opens");
        (
            promised.begun,
            whole_prefix(&store, &steps),
            disk.activity(),
        )
    };
    assert_eq!(run(), run());
}
