//! A replica whose power is cut at every single write while somebody types: no acknowledged edit of a
//! text is lost, and what is shown is what the text was behind some edit.

use stead_base::{DocId, Entropy, SpaceId};
use stead_crypt::DeviceKeys;
use stead_disk::{Fault, SimDisk};
use stead_replica::{
    Change, Edit, Folding, Replica, ReplicaError, RichEdit, RichKind, Severity, TextUnit,
};
use stead_store::{Durability, Options, Store};

const NOW_MS: u64 = 1_700_000_000_000;

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

fn open(disk: &SimDisk, durability: Durability, opened: u64) -> Option<Replica> {
    let options = Options {
        durability,
        ..disk.options()
    };
    let store = Store::open("stead.db", options).ok()?;
    let keys = DeviceKeys::from_seed(&[1; 32]);
    let entropy = Box::new(Counting(opened));
    let mut replica = Replica::open(store, keys, "tower", entropy, NOW_MS).ok()?;
    replica.set_folding(Folding::WhenRead);
    Some(replica)
}

/// Edits of one text: where, how much is taken out, what is put in.
type Splice = (usize, usize, String);

/// A large text, so that its projection lags; typing; and so much that its state is written anew.
fn splices() -> Vec<Splice> {
    let mut all = vec![(0, 0, "x".repeat(20_000))];
    for at in 0..6 {
        all.push((at, 0, "é".to_owned()));
    }
    all.push((3, 9_000, "🌍".to_owned()));
    // Random letters do not compress.
    let mut dice = Counting(7);
    let noise = (0..70_000).map(|_| char::from(b'a' + dice.array::<1>()[0] % 26));
    all.push((1, 0, noise.collect()));
    for at in 0..6 {
        all.push((at * 2, 1, "!".to_owned()));
    }
    all
}

/// What the text is behind each edit, first none.
fn texts(splices: &[Splice]) -> Vec<Option<String>> {
    let mut text: Vec<char> = Vec::new();
    let mut all = vec![None];
    for (at, delete, insert) in splices {
        text.splice(*at..at + delete, insert.chars());
        all.push(Some(text.iter().collect()));
    }
    all
}

fn id() -> DocId {
    DocId::parse("plan").expect("a name")
}

fn edit(
    replica: &mut Replica,
    space: &SpaceId,
    (at, delete, insert): &Splice,
    now_ms: u64,
) -> Result<(), ReplicaError> {
    let edit = RichEdit::Splice {
        at: *at,
        delete: *delete,
        insert: insert.clone(),
        unit: TextUnit::Scalar,
    };
    let edit = Edit {
        collection: "notes".to_owned(),
        id: Some(id()),
        change: Change::Rich {
            path: vec!["body".to_owned()],
            kind: RichKind::Text,
            edit,
        },
    };
    replica.transact(space, &[edit], now_ms).map(drop)
}

/// How many edits began, and how many must survive.
#[derive(Debug, Default)]
struct Promised {
    begun: usize,
    lasting: usize,
}

/// Types until something fails; reads now and then, which brings the projection up.
fn play(disk: &SimDisk, durability: Durability, splices: &[Splice]) -> Promised {
    let mut promised = Promised::default();
    let Some(mut replica) = open(disk, durability, 0) else {
        return promised;
    };
    let Ok(space) = replica.create_home(NOW_MS) else {
        return promised;
    };
    for (n, splice) in splices.iter().enumerate() {
        promised.begun += 1;
        let now_ms = NOW_MS + 10 * promised.begun as u64;
        if edit(&mut replica, &space, splice, now_ms).is_err() {
            return promised;
        }
        if durability == Durability::Flushed {
            promised.lasting = promised.begun;
        }
        if n % 4 == 3 {
            if replica.fold(now_ms).is_err() || replica.flush().is_err() {
                return promised;
            }
            promised.lasting = promised.begun;
        }
    }
    promised
}

fn shown(replica: &mut Replica, space: &SpaceId) -> Option<String> {
    replica.fold(NOW_MS + 1_000).expect("a fold");
    let found = replica.get(space, "notes", &id()).expect("a read")?;
    let value: serde_json::Value = serde_json::from_str(&found.json).expect("JSON");
    Some(value["body"].as_str().expect("a text").to_owned())
}

fn cut_everywhere(durability: Durability) {
    let splices = splices();
    let texts = texts(&splices);
    let whole = SimDisk::new(1);
    let promised = play(&whole, durability, &splices);
    assert_eq!(promised.begun, splices.len());
    let writes = whole.activity().writes;
    let mut seen = vec![false; texts.len()];
    for n in 0..writes {
        let disk = SimDisk::new(n);
        disk.fail_write(n, Fault::PowerOff);
        let promised = play(&disk, durability, &splices);
        disk.crash();
        let mut replica = open(&disk, durability, 1).expect("opens after a crash");
        let space = replica.create_home(NOW_MS).expect("a home");
        let text = shown(&mut replica, &space);
        let boundary = texts.iter().position(|known| *known == text);
        let count = boundary.unwrap_or_else(|| panic!("cut at write {n}: no edit led to this"));
        assert!(
            promised.lasting <= count && count <= promised.begun,
            "{promised:?}, found {count}, cut at write {n}"
        );
        seen[count] = true;
        // Typing goes on, from where it is.
        let more = (0, 0, "more".to_owned());
        edit(&mut replica, &space, &more, NOW_MS + 2_000).expect("an edit");
        let wanted = "more".to_owned() + &text.unwrap_or_default();
        assert_eq!(shown(&mut replica, &space), Some(wanted));
        let found = replica.doctor().expect("a look");
        let bad = found.iter().find(|it| it.severity == Severity::Error);
        assert_eq!(bad, None, "cut at write {n}");
    }
    let reached = seen.iter().filter(|seen| **seen).count();
    assert!(2 * reached > seen.len(), "{writes} writes: {seen:?}");
}

#[test]
fn no_acknowledged_edit_of_a_text_is_lost_by_a_power_cut_at_any_write() {
    cut_everywhere(Durability::Flushed);
}

#[test]
fn a_power_cut_leaves_a_text_as_it_was_behind_some_edit() {
    cut_everywhere(Durability::Ordered);
}

/// Types on the same replica through one failing operation of the disk; what is acknowledged is there, before
/// and after it is opened anew.
fn fail_everywhere(fault: Fault) {
    let splices = splices();
    let texts = texts(&splices);
    let counting = SimDisk::new(1);
    play(&counting, Durability::Flushed, &splices);
    let mut waited = 0;
    for n in (0..counting.activity().operations).step_by(5) {
        let disk = SimDisk::new(n);
        let Some(mut replica) = open(&disk, Durability::Flushed, 0) else {
            continue;
        };
        let space = replica.create_home(NOW_MS).expect("a home");
        disk.fail_operation(n, fault);
        let mut done = 0;
        for splice in &splices {
            let now_ms = NOW_MS + 10 * done as u64;
            let edited = edit(&mut replica, &space, splice, now_ms);
            waited += usize::from(replica.is_ahead());
            if edited.is_err() {
                break;
            }
            done += 1;
        }
        disk.clear_faults();
        let text = shown(&mut replica, &space);
        let later = texts.get(done + 1).filter(|_| done < splices.len());
        assert!(
            text == texts[done] || Some(&text) == later,
            "{done} edits, failed at {n}"
        );
        let more = (0, 0, "more".to_owned());
        edit(&mut replica, &space, &more, NOW_MS + 1_000).expect("an edit");
        let wanted = Some("more".to_owned() + &text.unwrap_or_default());
        assert_eq!(shown(&mut replica, &space), wanted, "failed at {n}");
        disk.power_off();
        drop(replica);
        disk.crash();
        let mut replica = open(&disk, Durability::Flushed, 1).expect("opens after a crash");
        assert_eq!(shown(&mut replica, &space), wanted, "failed at {n}");
        let found = replica.doctor().expect("a look");
        let bad = found.iter().find(|it| it.severity == Severity::Error);
        assert_eq!(bad, None, "failed at {n}");
    }
    assert!(waited > 0, "no edit was acknowledged ahead of its commit");
}

#[test]
fn no_acknowledged_edit_is_lost_when_the_disk_fails_once_and_typing_goes_on() {
    fail_everywhere(Fault::Io);
}

#[test]
fn no_acknowledged_edit_is_lost_when_the_disk_is_full_once_and_typing_goes_on() {
    fail_everywhere(Fault::Full);
}

/// Types until as much waits as may, and returns the replica with what it has typed.
fn typed(disk: &SimDisk, count: usize) -> (Replica, SpaceId) {
    let mut replica = open(disk, Durability::Flushed, 0).expect("a replica");
    let space = replica.create_home(NOW_MS).expect("a home");
    for done in 0..count {
        let now_ms = NOW_MS + done as u64;
        let letter = (0, 0, "a".to_owned());
        edit(&mut replica, &space, &letter, now_ms).expect("an edit");
    }
    (replica, space)
}

/// The text as whoever reads by another connection sees it.
fn seen_by_readers(replica: &mut Replica, space: &SpaceId) -> String {
    replica
        .catch_up_readers(NOW_MS + 60_000)
        .expect("what waits can be committed");
    assert!(!replica.is_ahead());
    let found = replica.get(space, "notes", &id()).expect("a read");
    let json = found.expect("the document").json;
    let text = json.strip_prefix("{\"body\":\"");
    let text = text.and_then(|text| text.strip_suffix("\"}"));
    text.expect("a text").to_owned()
}

/// Letters until a commit is due; the first makes the collection and is a commit.
const WAITING: usize = 129;

#[test]
fn what_waits_is_seen_when_its_commit_fails_once() {
    let counting = SimDisk::new(1);
    let (mut replica, space) = typed(&counting, WAITING);
    let before = counting.activity().operations;
    let more = (0, 0, "b".to_owned());
    edit(&mut replica, &space, &more, NOW_MS + 1_000).expect("an edit");
    let operations = counting.activity().operations - before;
    assert!(operations > 2, "no commit was due");
    drop(replica);
    for n in 0..operations {
        let disk = SimDisk::new(1);
        let (mut replica, space) = typed(&disk, WAITING);
        assert!(replica.is_ahead(), "as much waits as may");
        disk.fail_operation(n, Fault::Full);
        let edited = edit(&mut replica, &space, &more, NOW_MS + 1_000);
        disk.clear_faults();
        let seen = seen_by_readers(&mut replica, &space);
        let typed = "a".repeat(WAITING);
        let may = [typed.clone(), "b".to_owned() + &typed];
        let of = usize::from(edited.is_ok());
        assert!(may[of..].contains(&seen), "failed at {n}: {seen}");
    }
}

#[test]
fn what_was_acknowledged_is_seen_on_a_full_disk_and_typing_goes_on_once_there_is_room() {
    let disk = SimDisk::new(1);
    let (mut replica, space) = typed(&disk, WAITING);
    disk.set_capacity(Some(disk.used()));
    let mut done = WAITING;
    let letter = (0, 0, "a".to_owned());
    let refused = loop {
        match edit(&mut replica, &space, &letter, NOW_MS + done as u64) {
            Ok(()) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 100_000, "a full disk takes everything");
    };
    assert!(refused.to_string().contains("full"), "{refused}");
    assert_eq!(seen_by_readers(&mut replica, &space), "a".repeat(done));
    disk.set_capacity(None);
    edit(&mut replica, &space, &letter, NOW_MS + 100_000).expect("there is room");
    disk.power_off();
    drop(replica);
    disk.crash();
    let mut replica = open(&disk, Durability::Flushed, 1).expect("opens after a crash");
    assert_eq!(seen_by_readers(&mut replica, &space), "a".repeat(done + 1));
}
