//! Redacted values: gone from documents, logs and files wherever a device hears of it, and nothing else with
//! them.

mod people;
mod world;

use people::{person, share};
use proptest::prelude::*;
use serde_json::{Value, json};
use stead_access::{Path, Role};
use stead_base::{DocId, SpaceId, WriterId};
use stead_replica::{Change, Compaction, Edit, HistoryQuery, RichEdit, RichKind, TextUnit};
use world::{Device, let_in_on, link, sync, sync_once};

const SECRET: &str = "PLAINTEXT-SECRET";
const LATER: &str = "PLAINTEXT-LATER";

fn edit(id: &str, change: Change) -> Edit {
    world::edit("d", id, change)
}

fn put(id: &str, value: Value) -> Edit {
    world::put("d", id, value)
}

fn typed(id: &str, insert: &str) -> Edit {
    let edit_of = RichEdit::Splice {
        at: 0,
        delete: 0,
        insert: insert.to_owned(),
        unit: TextUnit::Scalar,
    };
    let (path, kind) = (vec!["body".to_owned()], RichKind::Text);
    edit(
        id,
        Change::Rich {
            path,
            kind,
            edit: edit_of,
        },
    )
}

fn redact(device: &mut Device, space: &SpaceId, id: &str, field: &[&str]) -> u64 {
    device.now += 10;
    let field: Vec<String> = field.iter().map(|name| (*name).to_owned()).collect();
    let id = DocId::parse(id).unwrap();
    let done = device.replica.redact(space, "d", &id, &field, device.now);
    done.unwrap().entries
}

/// Whether the text can be opened from what is in the logs.
fn tells(device: &Device, text: &str) -> bool {
    let query = HistoryQuery {
        limit: 10_000,
        ..HistoryQuery::default()
    };
    let spaces = device.replica.space_ids().into_iter();
    let mut told = spaces.map(|space| device.replica.history(&space, &query).unwrap());
    told.any(|items| format!("{items:?}").contains(text))
}

/// Whether the text is anywhere in the files, or can be opened from what is in the logs.
fn holds(device: &mut Device, text: &str) -> bool {
    device.files_hold(text) || tells(device, text)
}

fn person_on_disk(seed: u8) -> Device {
    people::found(Device::on_disk(seed))
}

fn pair() -> (Device, Device, SpaceId) {
    let (mut a, mut b) = (Device::on_disk(1), Device::on_disk(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    sync(&mut a, &mut b);
    (a, b, space)
}

#[test]
fn a_redacted_value_is_gone_everywhere_and_what_was_written_with_it_stays() {
    let (mut a, mut b, space) = pair();
    let secret = json!({"note": SECRET, "name": "kept", "map": {"x": SECRET, "y": 1}});
    a.write(&space, &[put("one", secret), put("two", json!({"n": 1}))]);
    let path = vec!["count".to_owned()];
    let add = |delta| Change::Add {
        path: path.clone(),
        delta,
    };
    let more = [edit("two", add(5)), put("one", json!({"note": "second"}))];
    a.write(&space, &more);
    sync(&mut a, &mut b);
    assert!(holds(&mut a, SECRET) && holds(&mut b, SECRET));
    assert_eq!(redact(&mut a, &space, "one", &["note"]), 2);
    // By now it stands in what the first redaction said again.
    assert_eq!(redact(&mut a, &space, "one", &["map", "x"]), 1);
    sync(&mut a, &mut b);
    for device in [&mut a, &mut b] {
        assert!(!holds(device, SECRET));
        let one = device.get(&space, "d", "one");
        assert_eq!(one, Some(json!({"name": "kept", "map": {"y": 1}})));
        let two = device.get(&space, "d", "two");
        assert_eq!(two, Some(json!({"n": 1, "count": 5})));
    }
    // Built again, begun anew, and written on.
    let before = a.dump(&space);
    a.replica.rebuild(&space, a.now).unwrap();
    assert_eq!(a.dump(&space), before);
    let mut c = Device::on_disk(3);
    link(&mut b, &mut c);
    sync(&mut b, &mut c);
    assert_eq!(c.dump(&space), before);
    assert!(!holds(&mut c, SECRET));
    c.write(&space, &[put("one", json!({"note": "new"}))]);
    sync(&mut b, &mut c);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "d", "one").unwrap()["note"], "new");
}

#[test]
fn what_was_redacted_meanwhile_does_not_come_back_with_a_backup_or_from_who_was_away() {
    let (mut a, mut b, space) = pair();
    a.write(&space, &[put("one", json!({"note": SECRET, "n": 1}))]);
    sync(&mut a, &mut b);
    let backup = b.backup();
    // A third device that is away, with work that nobody has seen.
    let mut c = Device::on_disk(3);
    link(&mut a, &mut c);
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    c.write(&space, &[put("one", json!({"by c": 1}))]);
    redact(&mut a, &space, "one", &["note"]);
    sync(&mut a, &mut b);
    let mut b = b.restore(backup);
    assert!(holds(&mut b, SECRET));
    // They meet each other first, and a newcomer hears of the value before it hears of the redaction.
    let mut d = Device::on_disk(4);
    link(&mut c, &mut d);
    sync(&mut c, &mut d);
    assert!(holds(&mut d, SECRET));
    for _ in 0..2 {
        sync(&mut b, &mut a);
        sync(&mut c, &mut a);
        sync(&mut d, &mut a);
    }
    sync(&mut b, &mut a);
    for device in [&mut a, &mut b, &mut c, &mut d] {
        assert!(!holds(device, SECRET));
        let found = device.get(&space, "d", "one");
        assert_eq!(found, Some(json!({"n": 1, "by c": 1})));
    }
}

#[test]
fn a_redacted_document_and_a_redacted_text_are_gone_with_all_that_was_typed() {
    let (mut a, mut b, space) = pair();
    a.write(&space, &[put("one", json!({"n": 1}))]);
    a.write(&space, &[typed("one", SECRET), typed("two", SECRET)]);
    b.now = a.now;
    sync(&mut a, &mut b);
    b.write(&space, &[typed("one", "before ")]);
    sync(&mut a, &mut b);
    redact(&mut b, &space, "one", &["body"]);
    redact(&mut a, &space, "two", &[]);
    // Typed on by somebody who has not heard of it.
    a.write(&space, &[typed("one", "late ")]);
    sync(&mut a, &mut b);
    b.write(&space, &[typed("one", "anew")]);
    sync(&mut a, &mut b);
    for device in [&mut a, &mut b] {
        assert!(!holds(device, SECRET));
        let one = device.get(&space, "d", "one").unwrap();
        assert_eq!(one, json!({"n": 1, "body": "anew"}));
        assert_eq!(device.get(&space, "d", "two"), None);
    }
    assert_eq!(a.dump(&space), b.dump(&space));
}

#[test]
fn a_checkpoint_that_holds_a_redacted_value_is_replaced() {
    let (mut a, mut b, space) = pair();
    a.write(&space, &[put("one", json!({"note": SECRET, "n": 1}))]);
    sync(&mut a, &mut b);
    a.now += 10;
    let old = a.replica.make_checkpoint(&space, a.now).unwrap().log;
    sync(&mut a, &mut b);
    b.write(&space, &[put("two", json!({"n": 2}))]);
    redact(&mut a, &space, "one", &["note"]);
    let newest = a.replica.newest_checkpoint(&space).unwrap();
    assert_ne!(newest, old);
    sync(&mut a, &mut b);
    for device in [&mut a, &mut b] {
        assert!(!holds(device, SECRET));
        assert_eq!(device.replica.newest_checkpoint(&space), Some(newest));
        let found = device.get(&space, "d", "one");
        assert_eq!(found, Some(json!({"n": 1})));
    }
}

#[test]
fn what_only_a_checkpoint_holds_is_told_so_and_goes_with_the_next() {
    let (mut a, _, space) = pair();
    a.write(&space, &[put("one", json!({"note": SECRET, "n": 1}))]);
    let next = |device: &mut Device| {
        device.now += 10;
        let now = device.now;
        device.replica.make_checkpoint(&space, now).unwrap();
        let compaction = Compaction {
            made_before_ms: u64::MAX,
            even_if_unseen: true,
        };
        device.replica.compact(&space, compaction, now).unwrap();
    };
    next(&mut a);
    let (field, now) = (["note".to_owned()], a.now);
    let one = DocId::parse("one").unwrap();
    let refused = a.replica.redact(&space, "d", &one, &field, now);
    let why = refused.unwrap_err().to_string();
    assert!(why.contains("begins with a checkpoint"), "{why}");
    assert!(holds(&mut a, SECRET));
    // What it says to do instead.
    let path = field.to_vec();
    a.write(&space, &[edit("one", Change::Unset { path })]);
    next(&mut a);
    assert!(!holds(&mut a, SECRET));
    assert_eq!(a.get(&space, "d", "one"), Some(json!({"n": 1})));
}

#[test]
fn devices_that_dropped_history_and_redact_apart_still_give_each_other_what_they_wrote() {
    let (mut a, mut b, space) = pair();
    a.write(&space, &[put("one", json!({"n": 1}))]);
    b.write(&space, &[put("two", json!({"n": 2}))]);
    sync(&mut a, &mut b);
    a.now += 10;
    a.replica.make_checkpoint(&space, a.now).unwrap();
    sync(&mut a, &mut b);
    let compaction = Compaction {
        made_before_ms: u64::MAX,
        even_if_unseen: true,
    };
    for device in [&mut a, &mut b] {
        let done = device.replica.compact(&space, compaction, device.now);
        assert!(done.unwrap().entries > 0);
    }
    a.write(&space, &[put("one", json!({"note": SECRET}))]);
    b.write(&space, &[put("two", json!({"note": SECRET}))]);
    sync(&mut a, &mut b);
    // Apart from each other, both write and redact.
    a.write(&space, &[put("three", json!({"by": "a"}))]);
    b.write(&space, &[put("four", json!({"by": "b"}))]);
    redact(&mut a, &space, "one", &["note"]);
    redact(&mut b, &space, "two", &["note"]);
    for _ in 0..3 {
        sync(&mut a, &mut b);
        for device in [&mut a, &mut b] {
            device.now += 10;
            device.replica.reconcile(device.now).unwrap();
        }
    }
    for device in [&mut a, &mut b] {
        assert_eq!(device.get(&space, "d", "one"), Some(json!({"n": 1})));
        assert_eq!(device.get(&space, "d", "two"), Some(json!({"n": 2})));
        assert!(device.get(&space, "d", "three").is_some());
        assert!(device.get(&space, "d", "four").is_some());
        let newest = device.replica.newest_checkpoint(&space);
        assert!(
            newest.is_some(),
            "history begins with one that all can be given"
        );
        assert!(!holds(device, SECRET));
    }
    let before = a.dump(&space);
    assert_eq!(b.dump(&space), before);
    for device in [&mut a, &mut b] {
        device.replica.rebuild(&space, device.now).unwrap();
        assert_eq!(device.dump(&space), before);
        // What was kept meanwhile goes when it is asked for.
        let done = device.replica.compact(&space, compaction, device.now);
        assert!(done.unwrap().entries > 0);
        assert_eq!(device.dump(&space), before);
    }
}

#[test]
fn who_may_not_manage_redacts_their_own_words_only() {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("s", a.now).unwrap();
    share(&mut a, &mut b, &space, Role::Writer);
    a.write(&space, &[put("one", json!({"note": "of a"}))]);
    b.now = a.now + 5;
    let mine = put("two", json!({"note": "of b", "n": 1}));
    b.write(&space, &[mine]);
    sync(&mut a, &mut b);
    let id = DocId::parse("one").unwrap();
    let field = ["note".to_owned()];
    let refused = b.replica.redact(&space, "d", &id, &field, b.now);
    assert!(refused.is_err());
    redact(&mut b, &space, "two", &["note"]);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "d", "one"), Some(json!({"note": "of a"})));
    assert_eq!(a.get(&space, "d", "two"), Some(json!({"n": 1})));
    assert_eq!(a.dump(&space), b.dump(&space));
}

#[test]
fn a_value_in_a_shared_part_goes_where_the_part_is_read_and_where_all_is() {
    let (mut a, mut b) = (person_on_disk(1), person_on_disk(2));
    let space = a.replica.create_space("s", a.now).unwrap();
    a.write(&space, &[put("one", json!({"note": SECRET, "n": 1}))]);
    a.write(&space, &[put("two", json!({"note": "outside"}))]);
    // The document gets keys of its own; it begins with what was said before.
    let on = Path::new("/d/one").unwrap();
    let_in_on(&mut a, &mut b, &space, Role::Writer, on);
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "d", "one").unwrap()["note"], SECRET);
    b.now = b.now.max(a.now) + 5;
    b.write(&space, &[put("one", json!({"more": LATER, "by b": 1}))]);
    sync(&mut a, &mut b);
    // What the part began with, and what was written in it since.
    redact(&mut a, &space, "one", &["note"]);
    sync(&mut a, &mut b);
    a.now = a.now.max(b.now);
    redact(&mut a, &space, "one", &["more"]);
    sync(&mut a, &mut b);
    let rest = json!({"n": 1, "by b": 1});
    for device in [&mut a, &mut b] {
        assert_eq!(device.get(&space, "d", "one"), Some(rest.clone()));
        for value in [SECRET, LATER] {
            assert!(!holds(device, value), "{value}");
        }
    }
    assert!(a.get(&space, "d", "two").is_some() && b.get(&space, "d", "two").is_none());
    let mut c = Device::on_disk(3);
    link(&mut a, &mut c);
    sync(&mut a, &mut c);
    assert_eq!(c.get(&space, "d", "one"), Some(rest));
    assert!(!holds(&mut c, SECRET) && !holds(&mut c, LATER));
}

#[test]
fn an_entry_whose_parcel_a_peer_left_out_is_fetched_again() {
    let (mut a, mut b, space) = pair();
    a.write(&space, &[put("one", json!({"n": 1}))]);
    // Somebody between them leaves out what nobody redacted: the hashes are the same.
    let item = a.replica.frontier(&space).unwrap();
    let held = b.replica.frontier(&space).unwrap();
    let mut cut = 0;
    for item in item {
        let from = held.iter().find(|it| it.writer == item.writer);
        let from = from.map_or(0, |it| it.len);
        let batch = a
            .replica
            .read_batch(&space, &item.writer, from, item.len, 4096);
        let Some(batch) = batch.unwrap() else {
            continue;
        };
        let read = stead_log::Batch::decode(&batch).unwrap();
        let (mut entries, mut out) = (stead_log::BatchEntries::new(read.entries), Vec::new());
        while let Some(entry) = entries.next_entry().unwrap() {
            let entry = entry.withhold(|scope| scope == stead_base::ScopeId::ROSTER);
            stead_base::codec::put_uint(&mut out, entry.len() as u64);
            out.extend_from_slice(&entry);
        }
        let at = batch.len() - read.entries.len();
        let forged = [&batch[..at], &out].concat();
        b.replica.receive(&space, &forged, b.now).unwrap();
        cut += 1;
    }
    assert!(cut > 0);
    assert_eq!(b.get(&space, "d", "one"), None);
    b.replica.tick(b.now).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "d", "one"), None, "it waits for a redaction");
    b.now += 11 * 60_000;
    b.replica.tick(b.now).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "d", "one"), Some(json!({"n": 1})));
}

/// A number that is added to, in one change with two values that are to go.
fn count_and_two_values(device: &mut Device, space: &SpaceId) {
    let (path, delta) = (vec!["count".to_owned()], -1);
    let count = edit("log", Change::Add { path, delta });
    device.write(space, &[count, put("one", json!({"x": 1, "y": 2}))]);
}

fn held(device: &Device, space: &SpaceId, log: &WriterId) -> u64 {
    let frontier = device.replica.frontier(space).unwrap();
    let found = frontier.iter().find(|item| item.writer == *log);
    found.map_or(0, |item| item.len)
}

/// Redacts a field of the document. Returns the log that says so, and its length since.
fn redact_in(device: &mut Device, space: &SpaceId, field: &str) -> (WriterId, u64) {
    let before = device.replica.frontier(space).unwrap();
    assert!(redact(device, space, "one", &[field]) > 0);
    let mut after = device.replica.frontier(space).unwrap().into_iter();
    let grown = after.find(|item| {
        before
            .iter()
            .all(|it| (it.writer, it.len) != (item.writer, item.len))
    });
    grown.map(|item| (item.writer, item.len)).unwrap()
}

/// Gives a device a log up to some length, as another holds it.
fn tell(from: &Device, to: &mut Device, space: &SpaceId, (log, upto): (WriterId, u64)) {
    let from_len = held(to, space, &log);
    let batch = from
        .replica
        .read_batch(space, &log, from_len, upto, 1 << 16);
    if let Some(batch) = batch.unwrap() {
        to.replica.receive(space, &batch, to.now).unwrap();
    }
    assert_eq!(held(to, space, &log), upto);
}

/// Syncs the first with all others until they hold the same.
fn sync_all(first: &mut Device, others: &mut [&mut Device]) {
    for _ in 0..2 {
        for other in &mut *others {
            sync(first, other);
        }
    }
}

/// Two redact the same apart; which of them stands is decided by the numbers of their logs.
const REDACTORS: [(u8, u8); 6] = [(2, 3), (3, 2), (4, 5), (5, 4), (6, 7), (7, 6)];

#[test]
fn what_was_redacted_twice_counts_once_where_the_redactors_are_let_in_one_by_one() {
    for (one, other) in REDACTORS {
        let (mut a, mut b, mut c) = (Device::new(1), Device::new(one), Device::new(other));
        let mut away = Device::new(9);
        link(&mut a, &mut away);
        let space = a.replica.create_space("s", a.now).unwrap();
        sync(&mut a, &mut away);
        for device in [&mut b, &mut c] {
            link(&mut a, device);
            sync(&mut a, device);
        }
        count_and_two_values(&mut a, &space);
        sync_all(&mut a, &mut [&mut b, &mut c]);
        let logs = [
            redact_in(&mut b, &space, "x"),
            redact_in(&mut c, &space, "x"),
        ];
        sync_all(&mut a, &mut [&mut b, &mut c]);
        // It holds both redactions before it hears that their authors may do anything.
        for log in logs {
            tell(&a, &mut away, &space, log);
        }
        for item in a.replica.frontier(&space).unwrap() {
            for upto in held(&away, &space, &item.writer)..item.len {
                tell(&a, &mut away, &space, (item.writer, upto + 1));
            }
        }
        assert_eq!(away.get(&space, "d", "log"), Some(json!({"count": -1})));
        sync_all(&mut a, &mut [&mut b, &mut c, &mut away]);
        assert_eq!(away.dump(&space), a.dump(&space));
    }
}

#[test]
fn what_was_redacted_twice_counts_once_where_both_redactions_were_redacted_again() {
    for (one, other) in REDACTORS {
        let (mut a, mut b, mut c) = (Device::new(1), Device::new(one), Device::new(other));
        let mut away = Device::new(9);
        let space = a.replica.create_space("s", a.now).unwrap();
        for device in [&mut b, &mut c, &mut away] {
            link(&mut a, device);
            sync(&mut a, device);
        }
        count_and_two_values(&mut a, &space);
        sync_all(&mut a, &mut [&mut b, &mut c, &mut away]);
        let firsts = [
            redact_in(&mut b, &space, "x"),
            redact_in(&mut c, &space, "x"),
        ];
        let seconds = [
            redact_in(&mut b, &space, "y"),
            redact_in(&mut c, &space, "y"),
        ];
        sync_all(&mut a, &mut [&mut b, &mut c]);
        // It knows that both redacted it before it hears what either says in its place.
        for log in firsts.into_iter().chain(seconds) {
            tell(&a, &mut away, &space, log);
        }
        assert_eq!(away.get(&space, "d", "log"), Some(json!({"count": -1})));
        sync_all(&mut a, &mut [&mut b, &mut c, &mut away]);
        assert_eq!(away.dump(&space), a.dump(&space));
    }
}

#[test]
fn what_a_redaction_says_of_another_counts_also_where_the_other_comes_later() {
    for (one, _) in REDACTORS {
        let (mut a, mut b, mut away) = (Device::new(1), Device::new(one), Device::new(9));
        let space = a.replica.create_space("s", a.now).unwrap();
        for device in [&mut b, &mut away] {
            link(&mut a, device);
            sync(&mut a, device);
        }
        count_and_two_values(&mut a, &space);
        redact_in(&mut a, &space, "x");
        sync(&mut a, &mut b);
        let second = redact_in(&mut b, &space, "y");
        // It hears what stands in the place of the first redaction before it hears of any.
        tell(&b, &mut away, &space, second);
        sync_all(&mut b, &mut [&mut a, &mut away]);
        assert_eq!(away.get(&space, "d", "log"), Some(json!({"count": -1})));
        assert_eq!(away.dump(&space), a.dump(&space));
    }
}

/// What one of three devices does.
#[derive(Debug, Clone)]
enum Act {
    Put(usize, u8, u8),
    Add(usize, i8),
    Redact(usize, u8, u8),
    Meet(usize, usize),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0usize..3, 0u8..2, 0u8..3).prop_map(|(who, doc, field)| Act::Put(who, doc, field)),
        2 => (0usize..3, any::<i8>()).prop_map(|(who, delta)| Act::Add(who, delta)),
        2 => (0usize..3, 0u8..2, 0u8..3).prop_map(|(who, doc, field)| Act::Redact(who, doc, field)),
        3 => (0usize..3, 1usize..3).prop_map(|(who, more)| Act::Meet(who, (who + more) % 3)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn devices_that_redact_apart_end_equal_in_any_order(acts in prop::collection::vec(any_act(), 1..30)) {
        let (mut a, mut b) = (Device::new(1), Device::new(2));
        let mut c = Device::new(3);
        link(&mut a, &mut b);
        let space = a.replica.create_space("s", a.now).unwrap();
        sync(&mut a, &mut b);
        link(&mut a, &mut c);
        sync(&mut a, &mut c);
        sync(&mut a, &mut b);
        let mut devices = [a, b, c];
        for (step, act) in acts.into_iter().enumerate() {
            let doc = |n: u8| format!("doc{n}");
            let field = |n: u8| ["x", "y", "z"][usize::from(n)];
            match act {
                Act::Put(who, of, at) => {
                    let value = json!({field(at): step, "also": step});
                    devices[who].write(&space, &[put(&doc(of), value), put("log", json!({"last": step}))]);
                }
                Act::Add(who, delta) => {
                    let path = vec!["count".to_owned()];
                    let delta = delta.into();
                    let change = Change::Add { path, delta };
                    devices[who].write(&space, &[edit("log", change), put("doc0", json!({"x": step}))]);
                }
                Act::Redact(who, of, at) => {
                    let device = &mut devices[who];
                    device.now += 10;
                    let id = DocId::parse(&doc(of)).unwrap();
                    let field = [field(at).to_owned()];
                    let _ = device.replica.redact(&space, "d", &id, &field, device.now);
                }
                Act::Meet(one, other) => {
                    let (low, high) = (one.min(other), one.max(other));
                    let (left, right) = devices.split_at_mut(high);
                    sync_once(&mut left[low], &mut right[0]);
                }
            }
        }
        for _ in 0..3 {
            for (low, high) in [(0, 1), (1, 2), (0, 2)] {
                let (left, right) = devices.split_at_mut(high);
                sync(&mut left[low], &mut right[0]);
            }
        }
        let all = devices[0].dump(&space);
        for device in &mut devices {
            prop_assert_eq!(&device.dump(&space), &all);
            device.replica.rebuild(&space, device.now).unwrap();
            prop_assert_eq!(&device.dump(&space), &all);
        }
        let mut newcomer = Device::new(4);
        link(&mut devices[0], &mut newcomer);
        sync(&mut devices[0], &mut newcomer);
        prop_assert_eq!(&newcomer.dump(&space), &all);
    }
}
