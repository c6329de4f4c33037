//! A store, plain or encrypted, whose power is cut at every single write: what was acknowledged is
//! there, and a transaction is there as a whole or not at all.

use proptest::prelude::*;
use stead_base::{DocId, SpaceId, WriterId};
use stead_disk::{Fault, SimDisk};
use stead_store::{
    CollectionNo, Durability, FileKey, Options, Read, Store, StoreError, Tx, WriterNo,
};

/// Documents that a transaction writes.
type Docs = Vec<(u8, u16)>;

/// What a run does, step by step.
#[derive(Debug, Clone)]
enum Step {
    /// One transaction: an entry, and documents named by these numbers with this much text.
    Commit(Docs),
    /// The same, committed ahead if it can be.
    Ahead(Docs),
    Settle,
    Flush,
    Checkpoint,
    Reopen,
}

fn any_docs() -> impl Strategy<Value = Docs> {
    prop::collection::vec((0u8..20, 0u16..6000), 0..6)
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => any_docs().prop_map(Step::Commit),
        8 => any_docs().prop_map(Step::Ahead),
        1 => Just(Step::Settle),
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
        ..disk.options()
    };
    let mut store = Store::open("stead.db", options).ok()?;
    make_again(&mut store).ok()?;
    Some(store)
}

/// Makes again what is in the journal and in no commit.
fn make_again(store: &mut Store) -> Result<(), StoreError> {
    let records = store.lost_records()?;
    if records.is_empty() {
        return Ok(());
    }
    for record in records {
        let (n, docs) = parsed(&record);
        if n == len(store)? {
            let tx = store.begin()?;
            write(&tx, n, &docs)?;
            tx.commit()?;
        }
    }
    store.made_again()
}

/// The same behind an error, over another connection if this one gave the file up.
fn go_on(store: &mut Store) -> Result<(), StoreError> {
    if store.is_cut_off() {
        store.renew()?;
    }
    make_again(store)
}

/// How many transactions there are.
fn len(store: &Store) -> Result<u64, StoreError> {
    Ok(store.writer(WriterNo(1))?.map_or(0, |writer| writer.len))
}

fn record(n: u64, docs: &[(u8, u16)]) -> Vec<u8> {
    let mut record = n.to_be_bytes().to_vec();
    for (name, len) in docs {
        record.push(*name);
        record.extend(len.to_be_bytes());
    }
    record
}

fn parsed(record: &[u8]) -> (u64, Docs) {
    let (n, docs) = record.split_first_chunk().expect("a number");
    let docs = docs.chunks(3);
    let docs = docs.map(|doc| (doc[0], u16::from_be_bytes([doc[1], doc[2]])));
    (u64::from_be_bytes(*n), docs.collect())
}

/// Writes transaction number `n`, once there are a collection and a writer.
fn write(tx: &Tx<'_>, n: u64, docs: &[(u8, u16)]) -> Result<(), StoreError> {
    tx.append_segment(WriterNo(1), n, 1, &[n as u8; 100])?;
    tx.advance_writer(WriterNo(1), n + 1, n + 1, &n.to_be_bytes())?;
    for (name, len) in docs {
        tx.put_doc(CollectionNo(1), &id(*name), &state(n, *len), &[0x0c], false)?;
    }
    Ok(())
}

/// Commits transaction number `n`.
fn commit(store: &mut Store, n: u64, docs: &[(u8, u16)]) -> Result<(), StoreError> {
    let tx = store.begin()?;
    let space = tx.put_space(&SpaceId::from_bytes([1; 32]), b"")?;
    let writer = WriterId::from_bytes([2; 32]);
    tx.put_writer(space, &writer, n, n, b"", b"")?;
    tx.intern_collection(space, "notes")?;
    write(&tx, n, docs)?;
    tx.commit()
}

/// Commits transaction number `n` ahead, if there are a collection and a writer.
fn commit_ahead(store: &mut Store, n: u64, docs: &[(u8, u16)]) -> Result<(), StoreError> {
    if n == 0 {
        return commit(store, n, docs);
    }
    let tx = store.begin()?;
    write(&tx, n, docs)?;
    tx.commit_ahead(&record(n, docs)).map(drop)
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
    let count = len(store).expect("a read");
    let mut docs: [Option<(u64, u16)>; 20] = [None; 20];
    let commits = steps.iter().filter_map(|step| match step {
        Step::Commit(docs) | Step::Ahead(docs) => Some(docs),
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
            Step::Commit(docs) | Step::Ahead(docs) => {
                promised.begun += 1;
                let done = match step {
                    Step::Ahead(_) => commit_ahead(&mut store, committed, docs),
                    _ => commit(&mut store, committed, docs),
                };
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
            Step::Settle => store.settle(),
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
            // Whoever goes on without opening anew finds all that was promised, too.
            disk.clear_faults();
            if disk.is_powered() && go_on(&mut store).is_ok() {
                let count = whole_prefix(&store, steps);
                assert!(promised.lasting <= count && count <= promised.begun);
            }
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
    assert_eq!(len(&store).expect("a read"), count + 1);
    assert_eq!(store.integrity_check().expect("a check"), []);
}

fn cut_everywhere(seed: u64, mode: Mode, steps: &[Step]) {
    let disk = SimDisk::new(seed);
    let promised = play(&disk, mode, steps);
    let writes = disk.activity().writes;
    let is_commit = |step: &&Step| matches!(step, Step::Commit(_) | Step::Ahead(_));
    let commits = steps.iter().filter(is_commit);
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
        Step::Ahead(vec![(3, 4000)]),
        Step::Ahead(vec![(4, 4000)]),
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
