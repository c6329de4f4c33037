//! Several devices over real stores, exchanging batches directly: what holds whatever carries them.

mod world;

use serde_json::json;
use stead_base::{DocId, Hlc};
use stead_replica::{
    Change, Edit, Event, HistoryQuery, ProbeNext, Query, ReceiveError, ReplicaError,
};
use world::{Device, link, sync};

fn put(collection: &str, id: &str, value: serde_json::Value) -> Edit {
    Edit {
        collection: collection.to_owned(),
        id: Some(DocId::parse(id).unwrap()),
        change: Change::Put {
            value,
            replace: false,
        },
    }
}

#[test]
fn edits_made_apart_are_equal_after_meeting() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("notes", a.now).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(b.replica.find_space("notes").unwrap(), space);

    a.write(
        &space,
        &[put("n", "one", json!({"title": "One", "tags": {"x": 1}}))],
    );
    b.write(
        &space,
        &[put("n", "one", json!({"body": "from b", "tags": {"y": 2}}))],
    );
    b.write(&space, &[put("n", "two", json!({"title": "Two"}))]);
    sync(&mut a, &mut b);

    assert_eq!(a.dump(&space), b.dump(&space));
    let one = a.get(&space, "n", "one").unwrap();
    assert_eq!(
        one,
        json!({"body": "from b", "tags": {"x": 1, "y": 2}, "title": "One"})
    );
}

#[test]
fn a_third_device_gets_everything_from_the_second_verified_against_the_first() {
    let (mut a, mut b, mut c) = (Device::new(1), Device::new(2), Device::new(3));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    for i in 0..50 {
        a.write(&space, &[put("d", &format!("doc{i}"), json!({"i": i}))]);
    }
    sync(&mut a, &mut b);
    link(&mut b, &mut c);
    sync(&mut b, &mut c);
    assert_eq!(a.dump(&space), c.dump(&space));
    c.write(&space, &[put("d", "doc1", json!({"by": "c"}))]);
    sync(&mut c, &mut b);
    sync(&mut b, &mut a);
    assert_eq!(a.dump(&space), c.dump(&space));
    assert_eq!(a.get(&space, "d", "doc1").unwrap()["by"], "c");
}

#[test]
fn everything_is_there_after_opening_the_store_again() {
    let mut a = Device::on_disk(1);
    let space = a.replica.create_space("s", a.now).unwrap();
    for i in 0..1500 {
        a.write(
            &space,
            &[put(
                "d",
                &format!("doc{}", i % 40),
                json!({"i": i, "name": "x"}),
            )],
        );
    }
    let (before, frontier) = (a.dump(&space), a.replica.frontier(&space).unwrap());
    let mut a = a.reopen();
    assert_eq!(a.dump(&space), before);
    assert_eq!(a.replica.frontier(&space).unwrap(), frontier);
    assert!(
        a.replica.doctor().unwrap().is_empty(),
        "{:?}",
        a.replica.doctor()
    );
    let mut b = Device::new(2);
    link(&mut a, &mut b);
    sync(&mut a, &mut b);
    assert_eq!(b.dump(&space), before);
}

#[test]
fn a_transaction_is_seen_whole_or_not_at_all() {
    let mut a = Device::new(1);
    let space = a.replica.create_space("s", a.now).unwrap();
    let edits = [
        put("x", "1", json!({"a": 1})),
        put("y", "2", json!({"bad name\u{0}": 1})),
    ];
    assert!(matches!(
        a.replica.transact(&space, &edits, a.now),
        Err(ReplicaError::Refused(_))
    ));
    assert_eq!(a.get(&space, "x", "1"), None);
    let edits = [
        put("x", "1", json!({"a": 1})),
        put("y", "2", json!({"b": 2})),
    ];
    a.replica.transact(&space, &edits, a.now).unwrap();
    assert_eq!(a.get(&space, "x", "1"), Some(json!({"a": 1})));
    assert_eq!(a.get(&space, "y", "2"), Some(json!({"b": 2})));
}

#[test]
fn a_change_from_the_future_is_held_back_then_counts_and_never_moves_the_clock() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    a.write(&space, &[put("d", "x", json!({"v": "before"}))]);
    sync(&mut a, &mut b);
    let year = 365 * 24 * 3600 * 1000;
    a.now += year;
    a.write(&space, &[put("d", "x", json!({"v": "future"}))]);
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "d", "x"), Some(json!({"v": "before"})));
    assert_eq!(
        b.replica.frontier(&space).unwrap(),
        a.replica.frontier(&space).unwrap()
    );
    b.write(&space, &[put("d", "x", json!({"w": 1}))]);
    let items = b
        .replica
        .history(
            &space,
            &HistoryQuery {
                limit: 10,
                ..HistoryQuery::default()
            },
        )
        .unwrap();
    assert!(
        items
            .iter()
            .filter(|item| item.counts)
            .all(|item| item.hlc < Hlc::new(b.now + 1000, 0))
    );
    let due = b.replica.tick(b.now).unwrap().unwrap();
    assert!(due > b.now);
    b.now += year;
    assert_eq!(b.replica.tick(b.now).unwrap(), None);
    assert_eq!(
        b.get(&space, "d", "x"),
        Some(json!({"v": "future", "w": 1}))
    );
}

#[test]
fn a_restored_backup_becomes_a_new_writer_and_loses_nothing() {
    let (mut a, mut b) = (Device::on_disk(1), Device::new(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    a.write(&space, &[put("d", "x", json!({"v": 1}))]);
    let backup = a.backup();
    a.write(&space, &[put("d", "x", json!({"v": 2}))]);
    sync(&mut a, &mut b);

    let mut a = a.restore(backup);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "d", "x"), Some(json!({"v": 2})));
    assert!(
        a.replica
            .drain_events()
            .iter()
            .any(|event| matches!(event, Event::WriterRetired { .. }))
    );
    a.write(&space, &[put("d", "y", json!({"v": 3}))]);
    sync(&mut a, &mut b);
    assert_eq!(a.dump(&space), b.dump(&space));
    assert_eq!(b.get(&space, "d", "y"), Some(json!({"v": 3})));
}

#[test]
fn a_restored_backup_that_wrote_before_it_met_anyone_forks_and_still_loses_nothing() {
    let (mut a, mut b, mut c) = (Device::on_disk(1), Device::new(2), Device::new(3));
    link(&mut a, &mut b);
    link(&mut a, &mut c);
    let space = a.replica.create_space("s", a.now).unwrap();
    for i in 0..20 {
        a.write(&space, &[put("d", "x", json!({"v": i}))]);
    }
    let backup = a.backup();
    for i in 0..7 {
        a.write(&space, &[put("d", &format!("lost{i}"), json!({"v": i}))]);
    }
    sync(&mut a, &mut b);
    let mut a = a.restore(backup);
    for i in 0..9 {
        a.write(&space, &[put("d", &format!("mine{i}"), json!({"v": i}))]);
    }
    sync(&mut a, &mut c);
    world::settle_forks(&mut [&mut a, &mut b, &mut c]);
    for device in [&a, &b, &c] {
        for i in 0..9 {
            let found = device.get(&space, "d", &format!("mine{i}"));
            assert_eq!(
                found,
                Some(json!({"v": i})),
                "on device {}",
                device.replica.device().short()
            );
        }
    }
    assert_eq!(a.dump(&space), b.dump(&space));
    assert_eq!(a.dump(&space), c.dump(&space));
    assert_eq!(
        a.replica.frontier(&space).unwrap(),
        b.replica.frontier(&space).unwrap()
    );
}

#[test]
fn a_restored_backup_sees_that_it_is_contradicted_and_asks_several_at_once_where() {
    let (mut a, mut b) = (Device::on_disk(1), Device::new(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    for i in 0..20 {
        a.write(&space, &[put("d", "x", json!({"v": i}))]);
    }
    let backup = a.backup();
    for i in 0..7 {
        a.write(&space, &[put("d", &format!("lost{i}"), json!({}))]);
    }
    sync(&mut a, &mut b);
    let mut a = a.restore(backup);
    a.write(&space, &[put("d", "mine", json!({}))]);
    let own = a.replica.frontier(&space).unwrap();
    let own = own.iter().max_by_key(|item| item.len).unwrap();
    let (writer, held) = (own.writer, own.len);
    // What follows on the other's story fits onto the end of this one, by its number.
    let batch = b.replica.read_batch(&space, &writer, held, held + 3, 4096);
    let received = a.replica.receive(&space, &batch.unwrap().unwrap(), a.now);
    assert!(matches!(
        received,
        Err(ReceiveError::Contradiction { writer: of }) if of == writer
    ));
    let mut next = a.replica.fork_search(&space, &writer).unwrap();
    let mut asked = Vec::new();
    while let ProbeNext::Ask(at) = next {
        asked.push(at);
        // Every answer comes from two peers.
        let answer = b.replica.probe(&space, &writer, at).unwrap();
        let answered = |a: &mut Device| {
            let now = a.now;
            a.replica
                .probe_answered(&space, &writer, at, &answer, now)
                .unwrap()
        };
        next = answered(&mut a);
        if matches!(next, ProbeNext::Ask(_)) {
            assert_eq!(answered(&mut a), next);
        }
    }
    assert!(matches!(next, ProbeNext::Proof(_)) && asked.len() > 2);
    assert!(a.get(&space, "d", "mine").is_some(), "it is written again");
}

#[test]
fn a_changed_batch_is_refused_and_changes_nothing() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    sync(&mut a, &mut b);
    a.write(&space, &[put("d", "x", json!({"v": 1}))]);
    let frontier = b.replica.frontier(&space).unwrap();
    for item in a.replica.frontier(&space).unwrap() {
        let held = frontier
            .iter()
            .find(|f| f.writer == item.writer)
            .map_or(0, |f| f.len);
        let Some(batch) = a
            .replica
            .read_batch(&space, &item.writer, held, u64::MAX, 1 << 20)
            .unwrap()
        else {
            continue;
        };
        for at in (0..batch.len()).step_by(3) {
            let mut changed = batch.clone();
            changed[at] ^= 1;
            let refused = b.replica.receive(&space, &changed, b.now);
            assert!(
                refused.is_err() || refused.is_ok_and(|r| r.len == held),
                "byte {at}"
            );
        }
    }
    assert_eq!(b.replica.frontier(&space).unwrap(), frontier);
    sync(&mut a, &mut b);
    assert_eq!(a.dump(&space), b.dump(&space));
}

#[test]
fn what_was_only_verified_is_opened_when_it_is_stored() {
    let (mut a, mut b, mut c) = (Device::new(1), Device::new(2), Device::new(3));
    link(&mut a, &mut b);
    link(&mut a, &mut c);
    let space = a.replica.create_space("s", a.now).unwrap();
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    for n in 0..40 {
        a.write(&space, &[put("d", &format!("{n}"), json!({"v": n}))]);
    }
    for (device, verifies) in [(&mut b, true), (&mut c, false)] {
        let preparer = device.replica.preparer();
        let mut prepared = Vec::new();
        for item in a.replica.frontier(&space).unwrap() {
            let frontier = device.replica.frontier(&space).unwrap();
            let held = frontier.iter().find(|it| it.writer == item.writer);
            let mut held = held.map_or(0, |it| it.len);
            while let Some(batch) = a
                .replica
                .read_batch(&space, &item.writer, held, item.len, 1024)
                .unwrap()
            {
                held = stead_log::Batch::decode(&batch).unwrap().end();
                prepared.push(match verifies {
                    true => preparer.verify(space, batch),
                    false => preparer.prepare(space, batch),
                });
            }
        }
        assert!(prepared.len() > 1, "{}", prepared.len());
        for stored in device.replica.store_batches(prepared, device.now) {
            stored.unwrap();
        }
        device.replica.merge_pending(device.now).unwrap();
        assert_eq!(device.dump(&space), a.dump(&space));
    }
}

#[test]
fn a_stranger_with_the_log_but_without_keys_sees_and_changes_nothing() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    let space = a.replica.create_space("s", a.now).unwrap();
    a.write(&space, &[put("d", "x", json!({"v": "secret words"}))]);
    let mut ticket = a.replica.ticket(&space).unwrap();
    ticket = ticket.without_keys();
    b.replica.join_space(&ticket, false, b.now).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "d", "x"), None);
    let refused = b
        .replica
        .transact(&space, &[put("d", "x", json!({"v": 2}))], b.now);
    assert!(matches!(refused, Err(ReplicaError::NotAdmitted { .. })));
    for item in a.replica.frontier(&space).unwrap() {
        let batch = a
            .replica
            .read_batch(&space, &item.writer, 0, u64::MAX, 1 << 20)
            .unwrap()
            .unwrap();
        assert!(!batch.windows(12).any(|window| window == b"secret words"));
    }
}

#[test]
fn every_listed_change_is_proven_by_its_writers_signature() {
    let mut a = Device::new(1);
    let space = a.replica.create_space("s", a.now).unwrap();
    for i in 0..30 {
        a.write(
            &space,
            &[put("d", &format!("doc{}", i % 3), json!({"i": i}))],
        );
    }
    let query = HistoryQuery {
        collection: Some("d".into()),
        id: Some(DocId::parse("doc1").unwrap()),
        limit: 4,
        ..HistoryQuery::default()
    };
    let items = a.replica.history(&space, &query).unwrap();
    assert_eq!(items.len(), 4);
    assert_eq!(items[0].documents[0].changes, ["set i = 28"]);
    assert!(items.windows(2).all(|pair| pair[0].hlc > pair[1].hlc));
    for item in items {
        let proof = a
            .replica
            .prove(&space, &item.writer, item.seq)
            .unwrap()
            .unwrap();
        proof.head.verify(&space, &item.writer).unwrap();
        proof
            .inclusion
            .verify(item.leaf, item.seq, proof.head.len, &proof.head.root)
            .unwrap();
    }
}

#[test]
fn leaving_a_space_removes_it_here_and_nowhere_else() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    a.write(&space, &[put("d", "x", json!({"v": 1}))]);
    sync(&mut a, &mut b);
    b.replica.leave_space(&space, b.now).unwrap();
    sync(&mut a, &mut b);
    assert!(b.replica.find_space("s").is_err());
    assert_eq!(a.get(&space, "d", "x"), Some(json!({"v": 1})));
    assert!(
        a.replica
            .leave_space(&a.replica.home().unwrap(), a.now)
            .is_err()
    );
}

#[test]
fn a_batch_that_skips_entries_is_named_as_a_gap() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    sync(&mut a, &mut b);
    for i in 0..5 {
        a.write(&space, &[put("d", "x", json!({"v": i}))]);
    }
    let item = a.replica.frontier(&space).unwrap()[0];
    let batch = a
        .replica
        .read_batch(&space, &item.writer, item.len - 1, item.len, 1 << 20)
        .unwrap()
        .unwrap();
    assert!(matches!(
        b.replica.receive(&space, &batch, b.now),
        Err(ReceiveError::Gap { .. })
    ));
    assert_eq!(
        b.replica
            .fork_search(&space, &item.writer)
            .map(|next| next != ProbeNext::Nothing)
            .ok(),
        Some(true)
    );
    assert_eq!(
        a.replica
            .query(&space, "d", Query::all(stead_store::CollectionNo(0)))
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn batches_prepared_before_the_keys_were_known_are_taken_up_all_the_same() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    a.replica.create_home(a.now).unwrap();
    let space = a.replica.create_space("s", a.now).unwrap();
    for i in 0..30 {
        a.write(&space, &[put("d", &format!("doc{i}"), json!({"i": i}))]);
    }
    link(&mut a, &mut b);
    let (preparer, mut prepared) = (b.replica.preparer(), Vec::new());
    for item in a.replica.frontier(&space).unwrap() {
        for from in 0..item.len {
            let batch = a
                .replica
                .read_batch(&space, &item.writer, from, from + 1, 1 << 20)
                .unwrap();
            prepared.push(preparer.prepare(space, batch.unwrap()));
        }
    }
    let later = prepared.split_off(prepared.len() / 2);
    for group in [prepared, later] {
        for result in b.replica.commit(group, b.now) {
            result.unwrap();
        }
    }
    assert_eq!(a.dump(&space), b.dump(&space));
    assert_eq!(b.replica.space_info(&space).unwrap().waiting, 0);
}

#[test]
fn entries_stored_but_not_merged_are_merged_after_a_restart_exactly_once() {
    let (mut a, mut b) = (Device::on_disk(1), Device::on_disk(2));
    a.replica.create_home(a.now).unwrap();
    let space = a.replica.create_space("s", a.now).unwrap();
    link(&mut a, &mut b);
    sync(&mut a, &mut b);
    for i in 0..40 {
        let count = Edit {
            collection: "d".into(),
            id: Some(DocId::parse("counter").unwrap()),
            change: Change::Add {
                path: vec!["n".into()],
                delta: 1,
            },
        };
        a.write(
            &space,
            &[count, put("d", &format!("doc{i}"), json!({"i": i}))],
        );
    }
    let before = b.dump(&space);
    for item in a.replica.frontier(&space).unwrap() {
        let batch = a
            .replica
            .read_batch(&space, &item.writer, 0, item.len, 1 << 20)
            .unwrap();
        let prepared = b.replica.preparer().prepare(space, batch.unwrap());
        for result in b.replica.store_batches(vec![prepared], b.now) {
            result.unwrap();
        }
    }
    assert!(b.replica.has_pending());
    assert_eq!(b.dump(&space), before);
    assert_eq!(b.replica.space_info(&space).unwrap().waiting, 40);

    let mut b = b.reopen();
    assert_eq!(b.dump(&space), a.dump(&space));
    assert_eq!(b.replica.space_info(&space).unwrap().waiting, 0);
    b.replica.merge_pending(b.now).unwrap();
    assert_eq!(b.get(&space, "d", "counter").unwrap()["n"], 40);
}

#[test]
fn a_write_sees_what_was_stored_and_not_merged() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    a.replica.create_home(a.now).unwrap();
    let space = a.replica.create_space("s", a.now).unwrap();
    link(&mut a, &mut b);
    sync(&mut a, &mut b);
    a.write(&space, &[put("d", "x", json!({"a": 1, "b": 1}))]);
    for item in a.replica.frontier(&space).unwrap() {
        let batch = a
            .replica
            .read_batch(&space, &item.writer, 0, item.len, 1 << 20)
            .unwrap();
        let prepared = b.replica.preparer().prepare(space, batch.unwrap());
        b.replica.store_batches(vec![prepared], b.now);
    }
    b.write(&space, &[put("d", "x", json!({"a": 2}))]);
    assert_eq!(b.get(&space, "d", "x").unwrap(), json!({"a": 2, "b": 1}));
    sync(&mut a, &mut b);
    assert_eq!(a.dump(&space), b.dump(&space));
}

#[test]
fn a_log_signed_beside_the_writing_thread_is_signed_before_it_leaves() {
    let mut a = Device::on_disk(1);
    let signer = a.replica.signer();
    let signing = std::thread::spawn(move || signer.run());
    a.replica.create_home(a.now).unwrap();
    let space = a.replica.create_space("s", a.now).unwrap();
    let mut b = Device::new(2);
    link(&mut a, &mut b);
    for i in 0..200 {
        a.write(&space, &[put("d", &format!("doc{i}"), json!({"i": i}))]);
        a.replica.flush().unwrap();
        // A peer accepts what is signed and nothing else, and asks before the signature is there.
        if i % 10 == 0 {
            sync(&mut a, &mut b);
            assert_eq!(a.dump(&space), b.dump(&space));
        }
    }
    let mut a = a.reopen();
    signing.join().unwrap();
    sync(&mut a, &mut b);
    assert_eq!(a.dump(&space), b.dump(&space));
}
