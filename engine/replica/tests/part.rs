//! A device that keeps a part of a space against devices that keep all of it.

mod halves;
mod people;
mod world;

use std::collections::BTreeSet;

use halves::{assert_same, collections, fill, follower, meet, name, thin};
use people::{found, let_in, person, revoke, share};
use serde_json::json;
use stead_access::Role;
use stead_base::{DocId, SpaceId};
use stead_replica::{
    Ask, Change, Chosen, Compaction, Condition, Edit, Filled, Filter, Question, ReceiveError,
    ReplicaError, Scalar, Test as Is, Units,
};
use world::{Device, sync};

fn edit(collection: &str, id: &str, change: Change) -> Edit {
    Edit {
        collection: collection.to_owned(),
        id: Some(DocId::parse(id).unwrap()),
        change,
    }
}

fn put(collection: &str, id: &str, value: serde_json::Value) -> Edit {
    edit(
        collection,
        id,
        Change::Put {
            value,
            replace: false,
        },
    )
}

fn add(collection: &str, id: &str, delta: i64) -> Edit {
    let path = vec!["n".to_owned()];
    edit(collection, id, Change::Add { path, delta })
}

/// A text that does not compress.
fn noise(n: usize) -> String {
    let mut dice = Dice(n as u64 + 1);
    (0..20)
        .map(|_| format!("{:08x}", dice.below(1 << 32)))
        .collect()
}

/// A space with many documents, and somebody who was let in and has nothing of it yet.
fn large(documents: usize) -> (Device, Device, SpaceId) {
    let (mut one, mut two) = (person(1), person(2));
    let space = one.replica.create_space("large", one.now).unwrap();
    for batch in 0..documents / 10 {
        let edits: Vec<Edit> = (0..10)
            .map(|i| {
                let value = json!({"text": noise(batch * 10 + i), "batch": batch});
                put(&format!("c{}", batch % 10), &format!("d{batch}-{i}"), value)
            })
            .collect();
        one.write(&space, &edits);
    }
    let_in(&mut one, &mut two, &space, Role::Writer);
    (one, two, space)
}

#[test]
fn a_newcomer_that_chose_a_collection_gets_it_and_little_else() {
    let (mut one, mut two, space) = large(2000);
    two.replica
        .keep(&space, &collections(&["c3"]), two.now)
        .unwrap();
    let bytes = meet(&mut one, &mut two, &space);
    assert!(two.replica.has_collection(&space, "c3"));
    assert_same(&one, &two, &space);
    let held = two.dump(&space);
    assert_eq!(held.iter().filter(|it| it.0 == "c3").count(), 200);
    assert!(held.iter().all(|it| it.0 == "c3"), "{:?}", held.first());
    let whole: usize = one
        .replica
        .frontier(&space)
        .unwrap()
        .iter()
        .map(|log| {
            let batch = one
                .replica
                .read_batch(&space, &log.writer, 0, log.len, usize::MAX);
            batch.unwrap().unwrap().len()
        })
        .sum();
    let info = two.replica.part_info(&space).unwrap().unwrap();
    assert!(bytes * 5 < whole, "{bytes} of {whole}");
    assert!(info.kept_entries * 5 < info.log_entries, "{info:?}");
    // And goes on following it, and only it.
    one.write(
        &space,
        &[
            put("c3", "new", json!({"v": 1})),
            put("c3", "d3-0", json!({"v": 2})),
        ],
    );
    one.write(&space, &[put("c4", "new", json!({"v": 1}))]);
    meet(&mut one, &mut two, &space);
    assert_same(&one, &two, &space);
    assert_eq!(two.get(&space, "c3", "new"), Some(json!({"v": 1})));
    assert_eq!(two.get(&space, "c4", "new"), None);
    assert!(!two.replica.has_collection(&space, "c4"));
}

#[test]
fn documents_come_on_demand_are_followed_and_go_when_there_is_no_room() {
    let (mut one, mut two, space) = large(200);
    let nothing = Chosen {
        budget: 1500,
        ..Chosen::default()
    };
    two.replica.keep(&space, &nothing, two.now).unwrap();
    meet(&mut one, &mut two, &space);
    assert!(two.dump(&space).is_empty());
    for id in ["d0-1", "d0-2", "d0-3"] {
        two.now += 1;
        let wanted = BTreeSet::from([name("c0", id)]);
        assert!(two.replica.want(&space, &wanted, two.now).unwrap());
        meet(&mut one, &mut two, &space);
        assert!(two.get(&space, "c0", id).is_some());
    }
    one.write(&space, &[put("c0", "d0-2", json!({"v": 7}))]);
    meet(&mut one, &mut two, &space);
    assert_same(&one, &two, &space);
    assert_eq!(two.dump(&space).len(), 3);
    // What was changed here and nobody has stays, however long ago it was used.
    two.write(&space, &[put("c0", "d0-1", json!({"mine": true}))]);
    two.now += 10;
    let late = BTreeSet::from([name("c0", "d0-4"), name("c0", "d0-5")]);
    two.replica.want(&space, &late, two.now).unwrap();
    fill(&mut one, &mut two, &space);
    assert!(two.replica.trim(&space, two.now).unwrap() > 0);
    assert!(two.get(&space, "c0", "d0-1").is_some());
    assert_eq!(two.get(&space, "c0", "d0-2"), None);
    assert!(
        !two.replica
            .has_document(&space, "c0", &name("c0", "d0-2").1)
    );
    meet(&mut one, &mut two, &space);
    assert_eq!(one.get(&space, "c0", "d0-1").unwrap()["mine"], json!(true));
    // A document that was dropped here is not deleted anywhere.
    assert!(one.get(&space, "c0", "d0-2").is_some());
}

#[test]
fn a_document_that_is_not_here_is_not_written_and_a_new_one_is() {
    let (mut one, mut two, space) = large(100);
    two.replica
        .keep(&space, &Chosen::default(), two.now)
        .unwrap();
    meet(&mut one, &mut two, &space);
    let refused = two
        .replica
        .transact(&space, &[put("c0", "d0-1", json!({"v": 1}))], two.now);
    assert!(
        matches!(refused, Err(ReplicaError::NotHeld { .. })),
        "{refused:?}"
    );
    let made = Edit {
        id: None,
        ..put("c0", "x", json!({"v": 1}))
    };
    let receipt = two.replica.transact(&space, &[made], two.now).unwrap();
    meet(&mut one, &mut two, &space);
    let id = receipt.ids[0].to_string();
    assert_eq!(one.get(&space, "c0", &id), Some(json!({"v": 1})));
    // And it is followed: what others make of it comes.
    one.write(&space, &[put("c0", &id, json!({"w": 2}))]);
    meet(&mut one, &mut two, &space);
    assert_eq!(two.get(&space, "c0", &id), Some(json!({"v": 1, "w": 2})));
}

#[test]
fn what_a_query_finds_comes_and_what_it_finds_later_too() {
    let (mut one, mut two, space) = large(200);
    let question = Question {
        filter: vec![Filter::Is(Condition {
            path: vec!["batch".to_owned()],
            test: Is::Eq(Scalar::Int(3)),
        })],
        ..Question::default()
    };
    let chosen = Chosen {
        units: Units {
            queries: BTreeSet::from([("c3".to_owned(), question.encode().unwrap())]),
            ..Units::default()
        },
        ..Chosen::default()
    };
    two.replica.keep(&space, &chosen, two.now).unwrap();
    meet(&mut one, &mut two, &space);
    assert_same(&one, &two, &space);
    assert_eq!(two.dump(&space).len(), 10);
    one.write(&space, &[put("c3", "d13-2", json!({"batch": 3}))]);
    two.replica.part_stirred(&space);
    meet(&mut one, &mut two, &space);
    assert_eq!(two.dump(&space).len(), 11);
    assert_same(&one, &two, &space);
}

#[test]
fn a_whole_device_shrinks_and_becomes_whole_again() {
    let (mut one, mut two, space) = large(300);
    sync(&mut one, &mut two);
    two.write(&space, &[put("c1", "mine", json!({"v": 1}))]);
    let all = two.dump(&space);
    two.replica
        .keep(&space, &collections(&["c1"]), two.now)
        .unwrap();
    assert!(two.dump(&space).iter().all(|it| it.0 == "c1"));
    assert!(two.replica.has_collection(&space, "c1"));
    one.write(
        &space,
        &[add("c1", "d1-1", 3), put("c2", "d2-1", json!({"v": 2}))],
    );
    meet(&mut one, &mut two, &space);
    assert_same(&one, &two, &space);
    assert_eq!(two.get(&space, "c1", "d1-1").unwrap()["n"], json!(3));
    two.replica.keep_all(&space, two.now).unwrap();
    sync(&mut one, &mut two);
    assert_eq!(one.dump(&space), two.dump(&space));
    assert_eq!(two.dump(&space).len(), all.len());
}

#[test]
fn what_a_removed_writer_said_goes_from_a_part_too() {
    let (mut one, mut two, space) = large(100);
    let mut three = person(3);
    share(&mut one, &mut three, &space, Role::Writer);
    three.write(&space, &[put("c1", "d1-1", json!({"by": "three"}))]);
    sync(&mut one, &mut three);
    two.replica
        .keep(&space, &collections(&["c1"]), two.now)
        .unwrap();
    meet(&mut one, &mut two, &space);
    assert_eq!(two.get(&space, "c1", "d1-1").unwrap()["by"], json!("three"));
    // Written before the removal is known, and beyond what it names.
    revoke(&mut one, &three, &space);
    three.write(&space, &[put("c1", "d1-2", json!({"by": "three"}))]);
    for log in people::own_logs(&three, &space) {
        let batch = three
            .replica
            .read_batch(&space, &log, 0, 100, usize::MAX)
            .unwrap();
        one.replica
            .receive(&space, &batch.unwrap(), one.now)
            .unwrap();
    }
    meet(&mut one, &mut two, &space);
    assert_same(&one, &two, &space);
    assert!(two.get(&space, "c1", "d1-2").unwrap().get("by").is_none());
}

#[test]
fn slices_and_thin_logs_are_taken_from_managers_and_own_devices_only() {
    let (mut one, mut two, space) = large(100);
    let mut three = person(3);
    share(&mut one, &mut three, &space, Role::Writer);
    two.replica
        .keep(&space, &collections(&["c1"]), two.now)
        .unwrap();
    thin(&one, &mut two, &space);
    two.replica.logs_have_come(&space, two.now).unwrap();
    let ask = Ask::Collection {
        name: "c1".to_owned(),
        after: None,
    };
    let asker = two.replica.device();
    let follower = follower(&two, &space);
    let slice = three
        .replica
        .slice(&space, &asker, &follower, &ask, three.now);
    let slice = slice.unwrap().unwrap();
    let stranger = three.replica.device();
    let taken = two
        .replica
        .take_slice(&space, &stranger, &ask, &slice, two.now);
    assert_eq!(taken.unwrap(), Filled::Again);
    assert!(two.dump(&space).is_empty());
    assert!(!two.replica.may_ask(&space, &stranger, &ask));
    meet(&mut one, &mut two, &space);
    one.write(&space, &[put("c1", "d1-1", json!({"v": 1}))]);
    let log = people::own_logs(&one, &space)[0];
    let held = two.replica.thin_lengths(&space).unwrap()[&log];
    let batch = one
        .replica
        .read_thin(&space, &log, (held, held + 1), 4096, &follower);
    let revision = two.replica.part_revision(&space).unwrap();
    let refused = two.replica.receive_thin(
        &space,
        &batch.unwrap().unwrap(),
        revision,
        &stranger,
        two.now,
    );
    assert!(
        matches!(refused, Err(ReceiveError::NotTrusted { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_thin_batch_cut_by_an_earlier_choice_is_not_taken() {
    let (mut one, mut two, space) = large(100);
    two.replica
        .keep(&space, &collections(&["c1"]), two.now)
        .unwrap();
    meet(&mut one, &mut two, &space);
    let before = (
        follower(&two, &space),
        two.replica.part_revision(&space).unwrap(),
    );
    one.write(&space, &[add("c2", "d2-1", 5)]);
    let log = people::own_logs(&one, &space)[0];
    let held = two.replica.thin_lengths(&space).unwrap()[&log];
    let late = one
        .replica
        .read_thin(&space, &log, (held, held + 1), 4096, &before.0);
    let late = late.unwrap().unwrap();
    two.replica
        .want(&space, &BTreeSet::from([name("c2", "d2-1")]), two.now)
        .unwrap();
    let peer = one.replica.device();
    let refused = two
        .replica
        .receive_thin(&space, &late, before.1, &peer, two.now);
    assert!(
        matches!(refused, Err(ReceiveError::Gap { .. })),
        "{refused:?}"
    );
    meet(&mut one, &mut two, &space);
    assert_eq!(two.get(&space, "c2", "d2-1").unwrap()["n"], json!(5));
    assert_same(&one, &two, &space);
}

#[test]
fn what_is_kept_survives_a_restart() {
    let (mut one, _, space) = large(100);
    let mut two = people::found(Device::on_disk(7));
    let_in(&mut one, &mut two, &space, Role::Writer);
    two.replica
        .keep(&space, &collections(&["c1"]), two.now)
        .unwrap();
    meet(&mut one, &mut two, &space);
    two.replica
        .want(&space, &BTreeSet::from([name("c2", "d2-1")]), two.now)
        .unwrap();
    fill(&mut one, &mut two, &space);
    let before = two.dump(&space);
    let mut two = two.reopen();
    assert_eq!(two.dump(&space), before);
    let findings = stead_store::Read::integrity_check(two.replica.store()).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    one.write(
        &space,
        &[
            add("c1", "d1-1", 1),
            add("c2", "d2-1", 2),
            add("c3", "d3-1", 3),
        ],
    );
    meet(&mut one, &mut two, &space);
    assert_same(&one, &two, &space);
    assert_eq!(two.get(&space, "c2", "d2-1").unwrap()["n"], json!(2));
    assert_eq!(two.get(&space, "c3", "d3-1"), None);
}

/// Small deterministic randomness.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n.max(1)
    }
}

/// An answer on its way.
struct Late {
    ask: Ask,
    slice: Vec<u8>,
    from: usize,
}

#[test]
fn a_part_and_the_whole_agree_under_any_order_of_arrival_and_choosing() {
    for seed in 1..=40u64 {
        agree(seed);
    }
}

fn agree(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut one, mut three) = (person(1), person(3));
    let space = one.replica.create_space("shared", one.now).unwrap();
    share(&mut one, &mut three, &space, Role::Manager);
    let mut two = person(2);
    let_in(&mut one, &mut two, &space, Role::Writer);
    two.replica
        .keep(&space, &collections(&["c0"]), two.now)
        .unwrap();
    let mut late: Vec<Late> = Vec::new();
    let doc = |dice: &mut Dice| {
        let (collection, id) = (format!("c{}", dice.below(3)), format!("d{}", dice.below(5)));
        name(&collection, &id)
    };
    for _ in 0..60 {
        two.now += 5;
        let (collection, id) = doc(&mut dice);
        let change = |dice: &mut Dice| match dice.below(3) {
            0 => add(&collection, &id.to_string(), 1 + dice.below(9) as i64),
            1 => put(&collection, &id.to_string(), json!({"v": dice.below(100)})),
            _ => edit(&collection, &id.to_string(), Change::Delete),
        };
        match dice.below(10) {
            // What is deleted is not changed any more, and that is said.
            0 | 1 => {
                let writer = if dice.below(2) == 0 {
                    &mut one
                } else {
                    &mut three
                };
                writer.now += 10;
                let now = writer.now;
                let _ = writer.replica.transact(&space, &[change(&mut dice)], now);
            }
            2 => sync(&mut one, &mut three),
            3 => {
                let _ = two.replica.transact(&space, &[change(&mut dice)], two.now);
            }
            4 => {
                let wanted = BTreeSet::from([(collection, id)]);
                two.replica.want(&space, &wanted, two.now).unwrap();
            }
            5 if dice.below(3) == 0 => {
                let names: Vec<String> = (0..3)
                    .filter(|_| dice.below(2) == 0)
                    .map(|n| format!("c{n}"))
                    .collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                two.replica
                    .keep(&space, &collections(&names), two.now)
                    .unwrap();
            }
            // Thin logs from either.
            5 | 6 => {
                let whole = if dice.below(2) == 0 { &one } else { &three };
                thin_if_trusted(whole, &mut two, &space);
            }
            // Asked now, answered later.
            7 => {
                let from = dice.below(2) as usize;
                let whole = if from == 0 { &mut one } else { &mut three };
                let asker = two.replica.device();
                for ask in two.replica.part_asks(&space) {
                    let follower = follower(&two, &space);
                    let slice = whole
                        .replica
                        .slice(&space, &asker, &follower, &ask, whole.now);
                    if let Some(slice) = slice.unwrap() {
                        late.push(Late { ask, slice, from });
                    }
                }
            }
            8 if !late.is_empty() => {
                let it = late.swap_remove(dice.below(late.len() as u64) as usize);
                let peer = if it.from == 0 { &one } else { &three }.replica.device();
                two.replica
                    .take_slice(&space, &peer, &it.ask, &it.slice, two.now)
                    .unwrap();
            }
            _ => {
                if dice.below(2) == 0 {
                    two.replica.logs_have_come(&space, two.now).unwrap();
                }
                for log in two.replica.frontier(&space).unwrap() {
                    let held = people::held(&one, &space, &log.writer);
                    let batch = two
                        .replica
                        .read_batch(&space, &log.writer, held, log.len, usize::MAX)
                        .unwrap();
                    if let Some(batch) = batch {
                        one.replica.receive(&space, &batch, one.now).unwrap();
                    }
                }
                two.replica.take_parked(&space, two.now).unwrap();
            }
        }
    }
    sync(&mut one, &mut three);
    two.now += 60_000;
    meet(&mut one, &mut two, &space);
    assert_same(&one, &two, &space);
    let asks = two.replica.part_asks(&space);
    assert!(asks.is_empty(), "seed {seed}: {asks:?}");
    // Nothing is here that is not followed.
    for (collection, id, _) in two.dump(&space) {
        let doc = DocId::parse(&id).unwrap();
        assert!(
            two.replica.has_document(&space, &collection, &doc),
            "seed {seed}"
        );
    }
}

fn thin_if_trusted(whole: &Device, part: &mut Device, space: &SpaceId) {
    let peer = whole.replica.device();
    for log in whole.replica.frontier(space).unwrap() {
        let thin = part.replica.thin_lengths(space).unwrap();
        let held = thin.get(&log.writer).copied().unwrap_or(0);
        let own = part.replica.frontier(space).unwrap();
        if own.iter().any(|own| own.writer == log.writer) {
            continue;
        }
        let follower = follower(part, space);
        let read = whole
            .replica
            .read_thin(space, &log.writer, (held, log.len), 4096, &follower);
        if let Some(batch) = read.unwrap() {
            let revision = part.replica.part_revision(space).unwrap();
            match part
                .replica
                .receive_thin(space, &batch, revision, &peer, part.now)
            {
                Ok(_) | Err(ReceiveError::NotTrusted { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn what_is_redacted_leaves_the_files_of_a_part_that_never_held_its_entry() {
    let (mut a, mut part) = (found(Device::on_disk(1)), found(Device::on_disk(2)));
    let space = a.replica.create_space("s", a.now).unwrap();
    a.write(
        &space,
        &[put("c", "x", json!({"note": "PLAINTEXT-SECRET", "n": 1}))],
    );
    let_in(&mut a, &mut part, &space, Role::Writer);
    part.replica
        .keep(&space, &collections(&["c"]), part.now)
        .unwrap();
    meet(&mut a, &mut part, &space);
    assert!(part.files_hold("PLAINTEXT-SECRET"));
    let id = DocId::parse("x").unwrap();
    let note = ["note".to_owned()];
    a.now += 10;
    a.replica.redact(&space, "c", &id, &note, a.now).unwrap();
    part.now += 20;
    meet(&mut a, &mut part, &space);
    assert_eq!(part.get(&space, "c", "x"), Some(json!({"n": 1})));
    assert!(!part.files_hold("PLAINTEXT-SECRET"));
}

#[test]
fn a_newcomer_that_keeps_a_part_is_filled_where_a_redaction_is_below_dropped_history() {
    let (mut one, mut two) = (person(1), person(2));
    let space = one.replica.create_space("s", one.now).unwrap();
    one.write(&space, &[put("c", "a", json!({"note": "secret", "n": 1}))]);
    one.write(&space, &[put("c", "b", json!({"n": 2}))]);
    one.now += 10;
    let id = DocId::parse("a").unwrap();
    let field = ["note".to_owned()];
    one.replica
        .redact(&space, "c", &id, &field, one.now)
        .unwrap();
    one.write(&space, &[put("c", "b", json!({"n": 3}))]);
    one.now += 10;
    one.replica.make_checkpoint(&space, one.now).unwrap();
    let compaction = Compaction {
        made_before_ms: u64::MAX,
        even_if_unseen: true,
    };
    let dropped = one.replica.compact(&space, compaction, one.now).unwrap();
    assert!(dropped.entries > 0);
    let_in(&mut one, &mut two, &space, Role::Writer);
    two.now = one.now;
    two.replica
        .keep(&space, &collections(&["c"]), two.now)
        .unwrap();
    meet(&mut one, &mut two, &space);
    assert!(two.replica.has_collection(&space, "c"));
    assert_eq!(one.dump(&space), two.dump(&space));
    one.write(&space, &[put("c", "a", json!({"n": 4}))]);
    meet(&mut one, &mut two, &space);
    assert_eq!(two.get(&space, "c", "a"), Some(json!({"n": 4})));
}

#[test]
fn a_slice_brings_no_document_that_is_not_followed_any_more() {
    let (mut one, mut two, space) = large(100);
    let nothing = Chosen {
        budget: 0,
        ..Chosen::default()
    };
    two.replica.keep(&space, &nothing, two.now).unwrap();
    meet(&mut one, &mut two, &space);
    let wanted = BTreeSet::from([name("c0", "d0-1"), name("c0", "d0-2")]);
    two.replica.want(&space, &wanted, two.now).unwrap();
    thin(&one, &mut two, &space);
    let asker = two.replica.device();
    let follower = follower(&two, &space);
    let (peer, now) = (one.replica.device(), two.now);
    let mut answered = |names: Vec<(String, DocId)>| {
        let ask = Ask::Documents(names);
        let slice = one.replica.slice(&space, &asker, &follower, &ask, now);
        (ask, slice.unwrap().unwrap())
    };
    let one_of_them = answered(vec![name("c0", "d0-1")]);
    let both = answered(wanted.into_iter().collect());
    for (ask, slice) in [one_of_them, both] {
        let taken = two.replica.take_slice(&space, &peer, &ask, &slice, now);
        assert_eq!(taken.unwrap(), Filled::Taken);
        // There is no room for what came.
        assert_eq!(two.replica.trim(&space, now).unwrap(), 1);
        assert!(two.dump(&space).is_empty());
    }
}
