//! Beginning from a checkpoint, and dropping the history below it.

mod people;
mod world;

use people::{ALL, BY_FORCE, checkpoint, let_in, own_logs, person, relay, revoke, share, target};
use serde_json::json;
use stead_access::Role;
use stead_base::{SpaceId, WriterId};
use stead_replica::{Change, Edit, HistoryQuery, ReplicaError, RichEdit, RichKind, TextUnit};
use world::{Device, link, sync};

fn put(id: &str, value: serde_json::Value) -> Edit {
    world::put("d", id, value)
}

fn change(id: &str, change: Change) -> Edit {
    world::edit("d", id, change)
}

fn add(id: &str, delta: i64) -> Edit {
    let path = vec!["count".to_owned()];
    change(id, Change::Add { path, delta })
}

/// Moves one log and nothing else.
fn send_log(from: &Device, to: &mut Device, space: &SpaceId, log: &WriterId) {
    let others: Vec<WriterId> = from
        .replica
        .frontier(space)
        .unwrap()
        .into_iter()
        .map(|it| it.writer)
        .filter(|writer| writer != log)
        .collect();
    relay(from, to, space, &others);
}

fn entries_in(device: &Device, space: &SpaceId) -> usize {
    let query = HistoryQuery {
        limit: 10_000,
        ..HistoryQuery::default()
    };
    device.replica.history(space, &query).unwrap().len()
}

/// A device with a space of many changes, and one that it is linked to.
fn two_with_history() -> (Device, Device, SpaceId) {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    sync(&mut a, &mut b);
    for i in 0..40 {
        a.write(&space, &[put(&format!("doc{}", i % 10), json!({"i": i}))]);
        a.write(&space, &[add("total", 1)]);
        b.write(&space, &[add("total", 1), put("b", json!({"last": i}))]);
    }
    sync(&mut a, &mut b);
    (a, b, space)
}

#[test]
fn a_newcomer_begins_from_a_checkpoint_and_ends_equal() {
    let (mut a, mut b, space) = two_with_history();
    let log = checkpoint(&mut a, &space);
    a.write(&space, &[add("total", 1), put("later", json!({"x": 1}))]);
    sync(&mut a, &mut b);

    let mut c = Device::new(3);
    link(&mut b, &mut c);
    assert!(c.replica.is_new_here(&space));
    send_log(&b, &mut c, &space, &log);
    c.replica.begin_from(&space, &log, c.now).unwrap();
    assert_eq!(c.get(&space, "d", "total").unwrap()["count"], 80);
    assert!(c.get(&space, "d", "later").is_none());
    sync(&mut b, &mut c);
    assert_eq!(a.dump(&space), c.dump(&space));
    assert_eq!(c.get(&space, "d", "total").unwrap()["count"], 81);
    assert_eq!(
        c.replica.frontier(&space).unwrap(),
        b.replica.frontier(&space).unwrap()
    );
    let fatal = c.replica.doctor().unwrap();
    let fatal: Vec<_> = fatal
        .iter()
        .filter(|it| it.severity == stead_replica::Severity::Error)
        .collect();
    assert!(fatal.is_empty(), "{fatal:?}");

    // It writes, it is heard, and what it hears merges as everywhere.
    c.write(&space, &[add("total", 5), put("doc1", json!({"by": "c"}))]);
    b.write(&space, &[add("total", 7), put("doc1", json!({"by b": 1}))]);
    sync(&mut b, &mut c);
    sync(&mut a, &mut b);
    assert_eq!(a.dump(&space), c.dump(&space));
    assert_eq!(a.get(&space, "d", "total").unwrap()["count"], 93);
    assert!(entries_in(&c, &space) < entries_in(&a, &space));
}

#[test]
fn what_began_from_a_checkpoint_is_there_after_opening_the_store_again() {
    let (mut a, _, space) = two_with_history();
    let log = checkpoint(&mut a, &space);
    let mut c = Device::on_disk(3);
    link(&mut a, &mut c);
    send_log(&a, &mut c, &space, &log);
    c.replica.begin_from(&space, &log, c.now).unwrap();
    let mut c = c.reopen();
    sync(&mut a, &mut c);
    c.write(&space, &[add("total", 1)]);
    let c = c.reopen();
    let total = c.get(&space, "d", "total").unwrap();
    assert_eq!(total["count"], 81);
}

#[test]
fn dropped_history_leaves_documents_and_proofs_of_rights_as_they_are() {
    let (mut a, mut b, space) = two_with_history();
    let before = a.dump(&space);
    checkpoint(&mut a, &space);
    let unseen = a.replica.compact(&space, ALL, a.now);
    assert!(
        matches!(unseen, Err(ReplicaError::Refused(_))),
        "{unseen:?}"
    );
    // The other device says by writing that it has seen everything.
    sync(&mut a, &mut b);
    b.write(&space, &[put("b", json!({"seen": true}))]);
    sync(&mut a, &mut b);
    let (rights, _) = a.replica.rights_history(&space, 100, true).unwrap();
    let done = a.replica.compact(&space, ALL, a.now).unwrap();
    assert!(done.entries > 100, "{done:?}");
    let after: Vec<_> = a.dump(&space);
    let without_b = |all: Vec<(String, String, String)>| -> Vec<_> {
        all.into_iter().filter(|(_, id, _)| id != "b").collect()
    };
    assert_eq!(without_b(before), without_b(after));
    assert_eq!(a.dump(&space), b.dump(&space));
    assert_eq!(
        a.replica.frontier(&space).unwrap(),
        b.replica.frontier(&space).unwrap()
    );
    let (again, _) = a.replica.rights_history(&space, 100, true).unwrap();
    assert_eq!(again, rights);
    assert!(again.iter().all(|item| item.evidence.is_some()));
    for _ in 0..3 {
        a.write(&space, &[add("total", 1)]);
        b.write(&space, &[add("total", 1)]);
    }
    sync(&mut a, &mut b);
    assert_eq!(a.dump(&space), b.dump(&space));
    assert_eq!(a.replica.compact(&space, ALL, a.now).unwrap().entries, 0);
}

#[test]
fn a_device_that_was_away_for_longer_than_history_goes_back_keeps_its_unsent_work() {
    let (mut a, mut b, space) = two_with_history();
    let mut c = Device::new(3);
    link(&mut a, &mut c);
    sync(&mut a, &mut c);
    c.write(&space, &[add("total", 100), put("c", json!({"kept": 1}))]);
    for i in 0..10 {
        a.write(&space, &[put("doc1", json!({"i": 1000 + i}))]);
    }
    sync(&mut a, &mut b);
    let log = checkpoint(&mut a, &space);
    sync(&mut a, &mut b);
    for device in [&mut a, &mut b] {
        device
            .replica
            .compact(&space, BY_FORCE, device.now)
            .unwrap();
    }
    // Nobody has what comes next of a's log any more.
    send_log(&a, &mut c, &space, &log);
    sync(&mut a, &mut c);
    let behind = a.replica.frontier(&space).unwrap();
    let behind = behind.iter().find(|it| {
        let held = people::held(&c, &space, &it.writer);
        held < a.replica.dropped(&space, &it.writer)
    });
    let behind = behind.expect("c is behind").writer;
    let from = people::held(&c, &space, &behind);
    let began = c.replica.begin_again(&space, &behind, from, c.now);
    assert!(began.unwrap());
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    for device in [&a, &b, &c] {
        let total = device.get(&space, "d", "total").unwrap();
        assert_eq!(total["count"], 180);
        assert_eq!(device.get(&space, "d", "c").unwrap()["kept"], 1);
        assert_eq!(device.get(&space, "d", "doc1").unwrap()["i"], 1009);
    }
    assert_eq!(a.dump(&space), c.dump(&space));
}

#[test]
fn deletions_survive_beginning_and_dropping_and_can_be_undone() {
    let (mut a, mut b, space) = two_with_history();
    let path = vec!["i".to_owned()];
    a.write(
        &space,
        &[
            change("doc1", Change::Delete),
            change("doc2", Change::Unset { path }),
        ],
    );
    sync(&mut a, &mut b);
    checkpoint(&mut a, &space);
    sync(&mut a, &mut b);
    for device in [&mut a, &mut b] {
        let now = device.now;
        device.replica.compact(&space, BY_FORCE, now).unwrap();
    }
    let mut c = Device::new(3);
    link(&mut a, &mut c);
    let log = a.replica.newest_checkpoint(&space).unwrap();
    send_log(&a, &mut c, &space, &log);
    c.replica.begin_from(&space, &log, c.now).unwrap();
    sync(&mut a, &mut c);
    assert_eq!(a.dump(&space), c.dump(&space));
    assert!(c.get(&space, "d", "doc1").is_none());
    c.now = a.now + 1000;
    c.write(&space, &[change("doc1", Change::Restore)]);
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    for device in [&a, &b, &c] {
        assert_eq!(device.get(&space, "d", "doc1").unwrap()["i"], 31);
        assert!(device.get(&space, "d", "doc2").unwrap().get("i").is_none());
    }
}

#[test]
fn a_checkpoint_by_somebody_who_may_not_manage_is_neither_made_nor_used() {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("s", a.now).unwrap();
    a.write(&space, &[put("one", json!({"x": 1}))]);
    share(&mut a, &mut b, &space, Role::Writer);
    let refused = b.replica.make_checkpoint(&space, b.now);
    assert!(matches!(refused, Err(ReplicaError::NoRight { .. })));
}

#[test]
fn a_checkpoint_of_a_removed_manager_is_not_used() {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("s", a.now).unwrap();
    a.write(&space, &[put("one", json!({"x": 1}))]);
    share(&mut a, &mut b, &space, Role::Manager);
    sync(&mut a, &mut b);
    a.now += 10;
    let gone = target(&b);
    a.replica.revoke(&space, gone, None, a.now).unwrap();
    // It takes up no removal, and makes a checkpoint as if it still managed.
    let log = checkpoint(&mut b, &space);
    let mut c = person(3);
    share(&mut a, &mut c, &space, Role::Writer);
    send_log(&b, &mut c, &space, &log);
    let used = c.replica.begin_from(&space, &log, c.now);
    assert!(matches!(used, Err(ReplicaError::Refused(_))), "{used:?}");
    sync(&mut a, &mut c);
    assert_eq!(a.dump(&space), c.dump(&space));
}

#[test]
fn a_checkpoint_from_the_future_is_held_back_and_moves_no_clock() {
    let (mut a, mut b, space) = two_with_history();
    let year = 365 * 24 * 3600 * 1000;
    a.now += year;
    a.write(&space, &[put("doc1", json!({"i": "future"}))]);
    let log = checkpoint(&mut a, &space);
    a.replica.compact(&space, BY_FORCE, a.now).unwrap();

    // A newcomer does without it, and what it writes counts today.
    let mut c = Device::new(3);
    link(&mut b, &mut c);
    send_log(&a, &mut c, &space, &log);
    let refused = c.replica.begin_from(&space, &log, c.now).unwrap_err();
    assert!(refused.to_string().contains("held back"), "{refused}");
    sync(&mut b, &mut c);
    assert_eq!(c.dump(&space), b.dump(&space));
    c.write(&space, &[put("doc1", json!({"i": "now"}))]);
    sync(&mut b, &mut c);
    assert_eq!(b.get(&space, "d", "doc1").unwrap()["i"], "now");

    // Nobody whose clock is right offers it to others, or begins with it by itself.
    send_log(&a, &mut b, &space, &log);
    assert_eq!(b.replica.newest_checkpoint(&space), None);
    assert!(b.replica.checkpoints(&space).unwrap()[0].is_held_back);
    assert_eq!(a.replica.newest_checkpoint(&space), Some(log));
    b.write(&space, &[put("doc1", json!({"i": "later"}))]);
    assert_eq!(b.get(&space, "d", "doc1").unwrap()["i"], "later");

    let mut d = Device::new(4);
    d.now = b.now;
    link(&mut b, &mut d);
    for device in [&mut b, &mut c, &mut d] {
        device.now += year + 1000;
        device.replica.tick(device.now).unwrap();
        send_log(&a, device, &space, &log);
        assert!(device.replica.begin_from(&space, &log, device.now).unwrap());
    }
    for _ in 0..2 {
        for other in [&mut b, &mut c, &mut d] {
            sync(&mut a, other);
        }
    }
    assert_eq!(b.replica.newest_checkpoint(&space), Some(log));
    for device in [&b, &c, &d] {
        assert_eq!(device.dump(&space), a.dump(&space));
    }
    assert_eq!(d.get(&space, "d", "doc1").unwrap()["i"], "future");
}

#[test]
fn what_is_dated_ahead_delays_no_checkpoint_and_the_doctor_tells_of_it() {
    const DAY_MS: u64 = 86_400_000;
    let (mut a, mut b, space) = two_with_history();
    for i in 0..300 {
        b.write(&space, &[put("more", json!({"i": i}))]);
    }
    sync(&mut a, &mut b);
    // A clock that is years ahead for a while: an entry, and a checkpoint.
    a.now += 3 * 365 * DAY_MS;
    a.write(&space, &[put("doc1", json!({"i": "future"}))]);
    checkpoint(&mut a, &space);
    sync(&mut a, &mut b);
    let held_back = b.replica.checkpoints(&space).unwrap();
    assert!(held_back.len() == 1 && held_back[0].is_held_back);
    let found = b.replica.doctor().unwrap();
    let found = found
        .iter()
        .find(|it| it.what.contains("a checkpoint of device 1"));
    let found = found.unwrap();
    assert!(found.what.contains("ahead of this device's clock"));
    assert!(found.hint.as_ref().unwrap().contains("clock"));

    b.replica
        .keep_history(&space, Some(2 * DAY_MS), b.now)
        .unwrap();
    for _ in 0..4 {
        b.now += DAY_MS / 8;
        b.replica.tend_history(b.now).unwrap();
    }
    let made = b.replica.checkpoints(&space).unwrap();
    let usable: Vec<_> = made.iter().filter(|info| !info.is_held_back).collect();
    assert_eq!((made.len(), usable.len()), (2, 1), "{made:?}");
    // It does for newcomers.
    assert_eq!(b.replica.newest_checkpoint(&space), Some(usable[0].log));
}

fn typed(id: &str, at: usize, insert: &str) -> Edit {
    let edit = RichEdit::Splice {
        at,
        delete: 0,
        insert: insert.to_owned(),
        unit: TextUnit::Scalar,
    };
    let path = vec!["body".to_owned()];
    let kind = RichKind::Text;
    change(id, Change::Rich { path, kind, edit })
}

#[test]
fn texts_come_with_a_checkpoint_and_take_what_was_typed_before_it_and_came_late() {
    let (mut a, mut b, space) = two_with_history();
    a.write(&space, &[put("t", json!({"body": "one"}))]);
    a.write(&space, &[typed("t", 3, " two")]);
    sync(&mut a, &mut b);
    // Typed before the checkpoint by somebody whom its author did not hear of.
    b.write(&space, &[typed("t", 0, "zero ")]);
    a.write(&space, &[typed("t", 7, " three")]);
    let mut c = Device::new(3);
    link(&mut a, &mut c);
    let log = checkpoint(&mut a, &space);
    send_log(&a, &mut c, &space, &log);
    c.replica.begin_from(&space, &log, c.now).unwrap();
    assert_eq!(
        c.get(&space, "d", "t"),
        Some(json!({"body": "one two three"}))
    );
    sync(&mut a, &mut c);
    // What b lacks of a's log is gone at c: it is a that has it.
    sync(&mut b, &mut c);
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    for device in [&a, &b, &c] {
        let found = device.get(&space, "d", "t");
        assert_eq!(found, Some(json!({"body": "zero one two three"})));
    }
    c.write(&space, &[typed("t", 0, "< ")]);
    sync(&mut a, &mut c);
    assert_eq!(a.dump(&space), c.dump(&space));
    // Built again from the checkpoint, with the text open.
    c.replica.rebuild(&space, c.now).unwrap();
    assert_eq!(a.dump(&space), c.dump(&space));
}

#[test]
fn history_goes_by_itself_once_it_is_older_than_it_is_kept_and_everybody_has_it() {
    const DAY_MS: u64 = 86_400_000;
    let (mut a, mut b, space) = two_with_history();
    for i in 0..300 {
        a.write(&space, &[put("more", json!({"i": i}))]);
    }
    sync(&mut a, &mut b);
    a.replica
        .keep_history(&space, Some(2 * DAY_MS), a.now)
        .unwrap();
    b.now = a.now;
    // One of the two makes a checkpoint, at its turn.
    for _ in 0..4 {
        a.now += DAY_MS / 8;
        b.now = a.now;
        a.replica.tend_history(a.now).unwrap();
        sync(&mut a, &mut b);
    }
    let made = a.replica.checkpoints(&space).unwrap();
    assert_eq!(made.len(), 1);
    let before = a.dump(&space);
    a.now += 2 * DAY_MS;
    a.replica.tend_history(a.now).unwrap();
    let kept = a.replica.history_kept(&space).unwrap();
    assert!(kept.known_from_ms.is_none(), "b may not have it");
    assert!(kept.held_up.unwrap().contains("device 2"));
    b.now = a.now;
    b.write(&space, &[put("seen", json!({"by": "b"}))]);
    sync(&mut a, &mut b);
    a.replica.tend_history(a.now).unwrap();
    let kept = a.replica.history_kept(&space).unwrap();
    assert_eq!(kept.known_from_ms, Some(made[0].made.ms()));
    assert_eq!(kept.held_up, None);
    assert!(a.dump(&space).len() > before.len());
    assert!(entries_in(&a, &space) < entries_in(&b, &space));
    let mut c = Device::on_disk(9);
    link(&mut a, &mut c);
    drop(c.reopen());
}

/// Devices a and b with a space, and c, let in by b, then by a for what it writes from then on: a has not heard
/// of what b did, and c's "early" does not count there.
fn let_in_twice() -> (Device, Device, Device, SpaceId) {
    let (mut a, mut b, space) = two_with_history();
    let mut c = Device::new(3);
    link(&mut b, &mut c);
    sync(&mut b, &mut c);
    c.write(&space, &[put("early", json!({"by": "c"}))]);
    relay(&c, &mut a, &space, &own_logs(&b, &space));
    let record = c.replica.device_record();
    a.replica.grant_device(&record, a.now).unwrap();
    assert_eq!(a.get(&space, "d", "early"), None);
    a.now += 10;
    (a, b, c, space)
}

#[test]
fn what_may_count_once_more_has_come_is_not_left_out_of_a_checkpoint() {
    let (mut a, mut b, mut c, space) = let_in_twice();
    c.now = a.now;
    c.write(&space, &[put("late", json!({"by": "c"}))]);
    relay(&c, &mut a, &space, &own_logs(&b, &space));
    assert!(a.get(&space, "d", "late").is_some());
    assert_eq!(a.get(&space, "d", "early"), None);
    let refused = a.replica.make_checkpoint(&space, a.now);
    assert!(
        matches!(refused, Err(ReplicaError::Refused(_))),
        "{refused:?}"
    );
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "d", "early"), Some(json!({"by": "c"})));
    let log = checkpoint(&mut a, &space);
    let mut d = Device::new(4);
    link(&mut a, &mut d);
    send_log(&a, &mut d, &space, &log);
    d.replica.begin_from(&space, &log, d.now).unwrap();
    assert_eq!(d.get(&space, "d", "early"), Some(json!({"by": "c"})));
}

#[test]
fn a_log_of_which_nothing_counts_yet_is_judged_by_who_has_more() {
    let (mut a, mut b, _, space) = let_in_twice();
    let log = checkpoint(&mut a, &space);
    let mut d = Device::new(4);
    link(&mut a, &mut d);
    send_log(&a, &mut d, &space, &log);
    d.replica.begin_from(&space, &log, d.now).unwrap();
    assert_eq!(d.get(&space, "d", "early"), None);
    sync(&mut a, &mut b);
    sync(&mut a, &mut d);
    assert_eq!(d.get(&space, "d", "early"), Some(json!({"by": "c"})));
}

#[test]
fn a_beginning_that_waits_for_a_key_is_left_alone_until_the_key_comes() {
    let (mut a, mut b, mut c, mut d) = (person(1), person(2), person(3), person(4));
    let (mut e, mut f) = (person(5), person(6));
    let space = a.replica.create_space("s", a.now).unwrap();
    a.write(&space, &[put("one", json!({"x": 1}))]);
    share(&mut a, &mut b, &space, Role::Owner);
    share(&mut a, &mut c, &space, Role::Manager);
    share(&mut a, &mut e, &space, Role::Reader);
    share(&mut b, &mut f, &space, Role::Reader);
    sync(&mut a, &mut b);
    // B starts one epoch and A the next; C knows of neither and lets D in. A sends D the key that A made, and
    // the one before is B's to send.
    revoke(&mut b, &f, &space);
    sync(&mut a, &mut b);
    revoke(&mut a, &e, &space);
    let log = checkpoint(&mut a, &space);
    let_in(&mut c, &mut d, &space, Role::Writer);
    relay(&c, &mut a, &space, &[]);
    a.replica.reconcile(a.now).unwrap();
    send_log(&a, &mut d, &space, &log);
    assert!(!d.replica.begin_from(&space, &log, d.now).unwrap());
    relay(&a, &mut d, &space, &[]);
    assert_eq!(d.get(&space, "d", "one"), None);
    sync(&mut a, &mut b);
    sync(&mut b, &mut d);
    assert_eq!(d.get(&space, "d", "one"), Some(json!({"x": 1})));
    assert_eq!(a.dump(&space), d.dump(&space));
}
