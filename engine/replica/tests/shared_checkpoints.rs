//! Checkpoints of spaces of which parts are shared: who reads the whole begins with the checkpoint, who
//! reads a part with the start that was written with it, and both end with what everybody has.

mod people;
mod world;

use people::{ALL, BY_FORCE, checkpoint, held, let_in, person, relay, share};
use proptest::prelude::*;
use serde_json::{Value, json};
use stead_access::{Path, Role};
use stead_base::{DocId, SpaceId, WriterId};
use stead_replica::{Change, Edit, ReplicaError, RichEdit, RichKind, Severity, TextUnit};
use world::{Device, edit, let_in_on, put, sync};

const OUTSIDE: &str = "PLAINTEXT-OUTSIDE";

fn add(collection: &str, id: &str, delta: i64) -> Edit {
    let path = vec!["count".to_owned()];
    edit(collection, id, Change::Add { path, delta })
}

fn typed(id: &str, at: usize, insert: &str) -> Edit {
    let splice = RichEdit::Splice {
        at,
        delete: 0,
        insert: insert.to_owned(),
        unit: TextUnit::Scalar,
    };
    let change = Change::Rich {
        path: vec!["body".to_owned()],
        kind: RichKind::Text,
        edit: splice,
    };
    edit("notes", id, change)
}

fn compact(device: &mut Device, space: &SpaceId) -> u64 {
    let now = device.now;
    let done = device.replica.compact(space, BY_FORCE, now).unwrap();
    done.entries
}

/// Lets somebody in, and has them begin with the newest checkpoint before they hear anything else.
fn let_in_late(from: &mut Device, to: &mut Device, space: &SpaceId, role: Role, on: &str) {
    from.now += 10;
    let_in_on(from, to, space, role, Path::new(on).unwrap());
    begin(from, to, space);
    meet(from, to, space);
}

fn begin(from: &Device, to: &mut Device, space: &SpaceId) {
    let Some(log) = from.replica.newest_checkpoint(space) else {
        return;
    };
    assert!(to.replica.is_new_here(space));
    let logs = from.replica.frontier(space).unwrap().into_iter();
    let others: Vec<WriterId> = logs.map(|it| it.writer).filter(|it| *it != log).collect();
    relay(from, to, space, &others);
    to.replica.begin_from(space, &log, to.now).unwrap();
}

/// Syncs two devices, beginning again where one has dropped what the other lacks, as nodes do.
fn meet(a: &mut Device, b: &mut Device, space: &SpaceId) {
    loop {
        sync(a, b);
        if !(bridge(a, b, space) | bridge(b, a, space)) {
            return;
        }
    }
}

fn bridge(from: &Device, to: &mut Device, space: &SpaceId) -> bool {
    let mut any = false;
    for log in from.replica.frontier(space).unwrap() {
        let held = held(to, space, &log.writer);
        if held < from.replica.dropped(space, &log.writer) {
            let now = to.now;
            let again = to.replica.begin_again(space, &log.writer, held, now);
            any |= again.unwrap();
        }
    }
    any
}

/// What of a space lies in a collection.
fn within(device: &Device, space: &SpaceId, collection: &str) -> Vec<(String, String, String)> {
    let mut all = device.dump(space);
    all.retain(|(name, _, _)| name == collection);
    all
}

fn assert_sound(device: &Device) {
    let findings = device.replica.doctor().unwrap();
    let fatal: Vec<_> = findings
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .collect();
    assert!(fatal.is_empty(), "{fatal:?}");
}

/// An owner and a manager with a space, whose notes are shared with a writer.
fn shared_notes() -> (Device, Device, Device, SpaceId) {
    let (mut a, mut m, mut w) = (person(1), person(2), person(3));
    let space = a.replica.create_space("s", a.now).unwrap();
    share(&mut a, &mut m, &space, Role::Manager);
    for i in 0..20 {
        a.write(
            &space,
            &[
                put("notes", &format!("n{}", i % 5), json!({"i": i})),
                put("diary", "day", json!({"text": OUTSIDE, "i": i})),
            ],
        );
    }
    a.write(&space, &[put("notes", "t", json!({"body": "one"}))]);
    a.now += 10;
    let_in_on(
        &mut a,
        &mut w,
        &space,
        Role::Writer,
        Path::new("/notes").unwrap(),
    );
    sync(&mut a, &mut w);
    w.now = a.now;
    w.write(&space, &[add("notes", "total", 1), typed("t", 3, " two")]);
    sync(&mut a, &mut w);
    sync(&mut a, &mut m);
    m.now = a.now;
    (a, m, w, space)
}

#[test]
fn a_newcomer_to_a_part_begins_where_a_checkpoint_ends_and_sees_what_is_there() {
    let (mut a, mut m, mut w, space) = shared_notes();
    checkpoint(&mut a, &space);
    a.write(&space, &[add("notes", "total", 1), add("diary", "day", 1)]);
    w.now = a.now;
    w.write(&space, &[typed("t", 0, "zero ")]);
    meet(&mut a, &mut w, &space);
    meet(&mut a, &mut m, &space);
    assert!(compact(&mut a, &space) > 20);

    let mut r = Device::on_disk(4);
    r.replica.create_home(r.now).unwrap();
    let_in_late(&mut a, &mut r, &space, Role::Reader, "/notes");
    assert_eq!(r.dump(&space), within(&a, &space, "notes"));
    assert_eq!(
        r.get(&space, "notes", "t"),
        Some(json!({"body": "zero one two"}))
    );
    assert_eq!(r.get(&space, "notes", "total").unwrap()["count"], 2);
    assert_eq!(
        r.replica.frontier(&space).unwrap(),
        a.replica.frontier(&space).unwrap()
    );
    assert!(!r.files_hold(OUTSIDE));
    assert_sound(&r);
    let mut r = r.reopen();
    r.replica.rebuild(&space, r.now).unwrap();
    assert_eq!(r.dump(&space), within(&a, &space, "notes"));

    let mut n = person(5);
    let_in_late(&mut a, &mut n, &space, Role::Writer, "/");
    assert_eq!(n.dump(&space), a.dump(&space));
    n.now = a.now + 10;
    n.write(
        &space,
        &[
            add("notes", "total", 5),
            put("notes", "n1", json!({"by": "n"})),
        ],
    );
    meet(&mut n, &mut r, &space);
    meet(&mut n, &mut a, &space);
    meet(&mut a, &mut w, &space);
    meet(&mut a, &mut m, &space);
    for device in [&r, &w] {
        assert_eq!(device.dump(&space), within(&a, &space, "notes"));
        assert_sound(device);
    }
    assert_eq!(m.dump(&space), a.dump(&space));
}

#[test]
fn who_reads_a_part_may_drop_history_and_hand_on_the_rest() {
    let (mut a, _, mut w, space) = shared_notes();
    checkpoint(&mut a, &space);
    meet(&mut a, &mut w, &space);
    let before = w.dump(&space);
    assert!(compact(&mut w, &space) > 20);
    assert_eq!(w.dump(&space), before);
    w.replica.rebuild(&space, w.now).unwrap();
    assert_eq!(w.dump(&space), before);
    // All that a newcomer to the whole needs comes from who cannot read it.
    let mut n = person(5);
    a.now += 10;
    let_in(&mut a, &mut n, &space, Role::Reader);
    meet(&mut a, &mut w, &space);
    begin(&w, &mut n, &space);
    meet(&mut w, &mut n, &space);
    assert_eq!(n.dump(&space), a.dump(&space));
}

#[test]
fn who_reads_a_part_and_was_away_for_longer_than_history_goes_back_keeps_unsent_work() {
    let (mut a, mut m, mut w, space) = shared_notes();
    w.write(
        &space,
        &[add("notes", "total", 100), typed("t", 0, "mine ")],
    );
    for i in 0..10 {
        a.write(&space, &[put("notes", "n1", json!({"i": 1000 + i}))]);
        a.write(&space, &[typed("t", 0, "x")]);
    }
    checkpoint(&mut a, &space);
    meet(&mut a, &mut m, &space);
    compact(&mut a, &space);
    compact(&mut m, &space);
    let before = w.get(&space, "notes", "total");
    meet(&mut m, &mut w, &space);
    assert!(w.replica.dropped(&space, &people::own_logs(&a, &space)[0]) > 0);
    assert_eq!(w.get(&space, "notes", "total"), before);
    meet(&mut a, &mut m, &space);
    assert_eq!(a.get(&space, "notes", "total").unwrap()["count"], 101);
    assert_eq!(w.dump(&space), within(&a, &space, "notes"));
    assert_eq!(w.get(&space, "notes", "n1").unwrap()["i"], 1009);
    let text = w.get(&space, "notes", "t").unwrap()["body"].clone();
    assert!(text.as_str().unwrap().contains("mine"), "{text}");
    assert_sound(&w);
}

#[test]
fn a_part_can_be_shared_after_history_was_dropped() {
    let mut a = person(1);
    let space = a.replica.create_space("s", a.now).unwrap();
    for i in 0..20 {
        a.write(
            &space,
            &[
                put("notes", &format!("n{}", i % 5), json!({"i": i})),
                put("diary", "day", json!({"text": OUTSIDE})),
            ],
        );
    }
    checkpoint(&mut a, &space);
    compact(&mut a, &space);
    let mut r = Device::on_disk(4);
    r.replica.create_home(r.now).unwrap();
    let_in_late(&mut a, &mut r, &space, Role::Reader, "/notes/n1");
    assert_eq!(r.dump(&space).len(), 1);
    assert_eq!(r.get(&space, "notes", "n1"), a.get(&space, "notes", "n1"));
    assert!(!r.files_hold(OUTSIDE));
}

#[test]
fn history_stays_until_every_part_can_be_begun_without_it() {
    let (mut a, mut m, mut w, space) = shared_notes();
    // Made by one while the other, who has not heard of it, shares another part.
    m.write(&space, &[add("diary", "day", 1)]);
    checkpoint(&mut m, &space);
    a.now += 10;
    let mut r = person(4);
    let_in_on(
        &mut a,
        &mut r,
        &space,
        Role::Reader,
        Path::new("/diary").unwrap(),
    );
    relay(&a, &mut m, &space, &[]);
    let refused = m.replica.compact(&space, BY_FORCE, m.now);
    assert!(
        matches!(&refused, Err(ReplicaError::Refused(why)) if why.contains("/diary")),
        "{refused:?}"
    );
    // Whoever wrote the start of that part says it again, beyond the checkpoint.
    meet(&mut a, &mut m, &space);
    assert!(compact(&mut m, &space) > 0);
    meet(&mut m, &mut w, &space);
    begin(&m, &mut r, &space);
    meet(&mut m, &mut r, &space);
    assert_eq!(r.dump(&space), within(&a, &space, "diary"));
    assert_eq!(w.dump(&space), within(&a, &space, "notes"));
    for device in [&mut m, &mut r] {
        device.replica.rebuild(&space, device.now).unwrap();
    }
    assert_eq!(r.dump(&space), within(&a, &space, "diary"));
    assert_eq!(m.dump(&space), a.dump(&space));
}

#[test]
fn who_reads_a_part_and_is_let_into_the_whole_reads_the_checkpoint_it_began_below() {
    let (mut a, _, _, space) = shared_notes();
    checkpoint(&mut a, &space);
    compact(&mut a, &space);
    let mut r = person(4);
    let_in_late(&mut a, &mut r, &space, Role::Reader, "/notes");
    assert_eq!(r.dump(&space), within(&a, &space, "notes"));
    a.now += 10;
    let_in(&mut a, &mut r, &space, Role::Reader);
    meet(&mut a, &mut r, &space);
    assert_eq!(r.dump(&space), a.dump(&space));
}

#[test]
fn a_start_that_another_manager_redacts_is_said_again_without_what_was_redacted() {
    let (mut a, mut m, mut w, space) = shared_notes();
    // Its author goes on meanwhile, and is away when it happens.
    a.write(&space, &[add("notes", "total", 1)]);
    m.now += 10;
    let (id, now) = (DocId::parse("n1").unwrap(), m.now);
    let field = ["i".to_owned()];
    m.replica.redact(&space, "notes", &id, &field, now).unwrap();
    meet(&mut m, &mut w, &space);
    w.replica.rebuild(&space, w.now).unwrap();
    assert_eq!(w.get(&space, "notes", "n1"), Some(json!({})));
    assert_eq!(w.get(&space, "notes", "n2"), Some(json!({"i": 17})));
    meet(&mut a, &mut m, &space);
    meet(&mut m, &mut w, &space);
    assert_eq!(w.dump(&space), within(&a, &space, "notes"));
    assert_eq!(w.get(&space, "notes", "total").unwrap()["count"], 2);
}

/// What may happen, in any order.
#[derive(Debug, Clone)]
enum Step {
    Write { who: usize, inside: bool, doc: u8 },
    Meet { one: usize, two: usize },
    Checkpoint { who: usize },
    Compact { who: usize },
    Rebuild { who: usize },
    Delete { who: usize, doc: u8 },
    LetIn { whole: bool },
    Redact { who: usize, doc: u8 },
    Remove { by: usize, who: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..6usize;
    prop_oneof![
        6 => (who.clone(), any::<bool>(), 0..4u8)
            .prop_map(|(who, inside, doc)| Step::Write { who, inside, doc }),
        5 => (who.clone(), who.clone()).prop_map(|(one, two)| Step::Meet { one, two }),
        2 => (0..2usize).prop_map(|who| Step::Checkpoint { who }),
        2 => who.clone().prop_map(|who| Step::Compact { who }),
        1 => who.clone().prop_map(|who| Step::Rebuild { who }),
        1 => (who, 0..4u8).prop_map(|(who, doc)| Step::Delete { who, doc }),
        1 => any::<bool>().prop_map(|whole| Step::LetIn { whole }),
        1 => (0..2usize, 0..4u8).prop_map(|(who, doc)| Step::Redact { who, doc }),
        1 => (0..2usize, 2..6usize).prop_map(|(by, who)| Step::Remove { by, who }),
    ]
}

fn two(all: &mut [Device], one: usize, two: usize) -> Option<(&mut Device, &mut Device)> {
    let (low, high) = (one.min(two), one.max(two));
    if low == high || high >= all.len() {
        return None;
    }
    let (left, right) = all.split_at_mut(high);
    Some((&mut left[low], &mut right[0]))
}

fn meet_all(all: &mut [Device], space: &SpaceId) {
    for _ in 0..3 {
        for one in 0..all.len() {
            for other in one + 1..all.len() {
                if let Some((one, other)) = two(all, one, other) {
                    meet(one, other, space);
                }
            }
        }
    }
}

/// Whether a removal reaches behind where history begins on a device.
fn begins_void(device: &Device) -> bool {
    let findings = device.replica.doctor().unwrap();
    findings
        .iter()
        .any(|it| it.what.contains("behind where the history begins"))
}

/// Writes, unless the device was removed.
fn change(device: &mut Device, space: &SpaceId, edits: &[Edit]) {
    device.now += 10;
    let done = device.replica.transact(space, edits, device.now);
    assert!(
        matches!(
            done,
            Ok(_) | Err(ReplicaError::NoRight { .. } | ReplicaError::Removed { .. })
        ),
        "{done:?}"
    );
}

/// Whether a device is still in the space, as the owner's knows.
fn is_in(owner: &Device, device: &Device, space: &SpaceId) -> bool {
    let members = owner.replica.members(space).unwrap();
    let device = device.replica.device();
    members.iter().any(|member| {
        let mut devices = member.devices.iter();
        !member.has_ended && devices.any(|(of, _)| *of == device)
    })
}

fn value(seed: usize) -> Value {
    json!({"v": seed, "deep": {"x": seed % 3}})
}

fn run(steps: &[Step]) {
    let (a, m, w, space) = shared_notes();
    // The first two read the whole and manage it, the third writes in a part.
    let (mut all, mut reads_whole) = (vec![a, m, w], vec![true, true, false]);
    for (at, step) in steps.iter().enumerate() {
        match *step {
            Step::Write { who, inside, doc } if who < all.len() => {
                let (id, device) = (format!("n{doc}"), &mut all[who]);
                let on = match inside || !reads_whole[who] {
                    true => "notes",
                    false => "diary",
                };
                let edits = [put(on, &id, value(at)), add(on, "total", 1)];
                change(device, &space, &edits);
            }
            Step::Delete { who, doc } if who < all.len() => {
                let edits = [edit("notes", &format!("n{doc}"), Change::Delete)];
                change(&mut all[who], &space, &edits);
            }
            Step::Meet { one, two: other } => {
                if let Some((one, other)) = two(&mut all, one, other) {
                    meet(one, other, &space);
                }
            }
            Step::Checkpoint { who } => {
                checkpoint(&mut all[who], &space);
            }
            Step::Compact { who } if who < all.len() => {
                let now = all[who].now;
                let _refused_or_done = all[who].replica.compact(&space, ALL, now);
            }
            Step::Rebuild { who } if who < all.len() => {
                let now = all[who].now;
                all[who].replica.rebuild(&space, now).unwrap();
            }
            Step::Redact { who, doc } => {
                let id = DocId::parse(&format!("n{doc}")).unwrap();
                let (device, field) = (&mut all[who], ["v".to_owned()]);
                device.now += 10;
                let now = device.now;
                let done = device.replica.redact(&space, "notes", &id, &field, now);
                assert!(
                    matches!(done, Ok(_) | Err(ReplicaError::Refused(_))),
                    "{done:?}"
                );
            }
            Step::Remove { by, who } if who < all.len() => {
                if let Some((by, whom)) = two(&mut all, by, who) {
                    by.now += 10;
                    let target = people::target(whom);
                    let _unknown_or_done = by.replica.revoke(&space, target, None, by.now);
                }
            }
            Step::LetIn { whole } if all.len() < 6 => {
                let mut new = person(10 + all.len() as u8);
                new.now = all[0].now;
                let on = if whole { "/" } else { "/notes" };
                let_in_late(&mut all[0], &mut new, &space, Role::Writer, on);
                all.push(new);
                reads_whole.push(whole);
            }
            _ => {}
        }
    }
    meet_all(&mut all, &space);
    if all.iter().any(begins_void) {
        checkpoint(&mut all[0], &space);
        meet_all(&mut all, &space);
    }
    for again in [false, true] {
        for (device, whole) in all.iter_mut().zip(&reads_whole) {
            if again {
                device.replica.rebuild(&space, device.now).unwrap();
            }
            assert_sound(device);
            assert_eq!(*whole, device.get(&space, "diary", "day").is_some());
        }
        let (first, others) = all.split_first().unwrap();
        let present = others.iter().zip(&reads_whole[1..]);
        for (device, whole) in present.filter(|(device, _)| is_in(first, device, &space)) {
            assert!(!begins_void(device));
            match whole {
                true => assert_eq!(device.dump(&space), first.dump(&space)),
                false => assert_eq!(device.dump(&space), within(first, &space, "notes")),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_and_wholes_agree_whatever_is_dropped_and_whoever_comes(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        run(&steps);
    }
}

#[test]
fn what_is_redacted_again_and_again_around_checkpoints_counts_once() {
    run(&[
        Step::Checkpoint { who: 0 },
        Step::LetIn { whole: true },
        Step::Write {
            who: 0,
            inside: true,
            doc: 3,
        },
        Step::Redact { who: 0, doc: 0 },
        Step::Redact { who: 1, doc: 0 },
        Step::Meet { one: 0, two: 3 },
        Step::Redact { who: 0, doc: 3 },
    ]);
}

#[test]
fn who_began_behind_a_removal_begins_again_with_a_checkpoint_that_knows_of_it() {
    run(&[
        Step::LetIn { whole: false },
        Step::Checkpoint { who: 0 },
        Step::LetIn { whole: false },
        Step::Remove { by: 0, who: 2 },
        Step::Delete { who: 2, doc: 0 },
        Step::Meet { one: 2, two: 4 },
        Step::Meet { one: 1, two: 2 },
        Step::Redact { who: 1, doc: 0 },
    ]);
}
