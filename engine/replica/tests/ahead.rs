//! Transactions that are acknowledged before they are committed: whatever comes between, they are there, and
//! the same as if each had been committed at once.

mod world;

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::{DocId, SpaceId};
use stead_replica::{Change, Edit, Folding, ReplicaError, RichEdit, RichKind, Severity, TextUnit};
use world::{Device, edit, link, put, sync};

/// A device that commits later, its home, and another one that is let in.
fn pair() -> (Device, Device, SpaceId) {
    let mut a = Device::on_disk(1);
    let mut b = Device::new(2);
    link(&mut a, &mut b);
    let home = a.replica.home().unwrap();
    sync(&mut a, &mut b);
    a.replica.set_folding(Folding::WhenRead);
    (a, b, home)
}

fn act(device: &mut Device, space: &SpaceId, edits: &[Edit]) -> Result<(), ReplicaError> {
    device.now += 10;
    device.replica.transact(space, edits, device.now).map(drop)
}

fn splice(id: &str, at: usize, insert: &str) -> Edit {
    let edit_of = RichEdit::Splice {
        at,
        delete: 0,
        insert: insert.to_owned(),
        unit: TextUnit::Scalar,
    };
    let change = Change::Rich {
        path: vec!["body".to_owned()],
        kind: RichKind::Text,
        edit: edit_of,
    };
    edit("notes", id, change)
}

/// Refused once it has written: there is no such collection yet, and a text is no counter.
fn refused(collection: &str) -> [Edit; 2] {
    let add = Change::Add {
        path: vec!["name".to_owned()],
        delta: 1,
    };
    [
        put(collection, "x", json!({"name": "one"})),
        edit(collection, "x", add),
    ]
}

fn all(device: &mut Device, space: &SpaceId) -> Vec<(String, String, String)> {
    device.replica.fold(device.now).unwrap();
    device.dump(space)
}

fn has_no_fault(device: &Device) {
    let found = device.replica.doctor().unwrap();
    let bad = found.iter().find(|it| it.severity == Severity::Error);
    assert_eq!(bad, None);
}

#[test]
fn what_is_acknowledged_waits_for_its_commit_and_readers_see_it_when_they_are_caught_up() {
    let (mut a, _, home) = pair();
    let mut reader = a.replica.reader().unwrap().unwrap();
    let lag = a.replica.lag();
    let id = DocId::parse("plan").unwrap();
    act(&mut a, &home, &[put("notes", "plan", json!({"n": 0}))]).unwrap();
    a.replica.catch_up_readers(a.now).unwrap();
    assert!(!lag.load(std::sync::atomic::Ordering::Acquire));
    for n in 1..=3 {
        act(&mut a, &home, &[put("notes", "plan", json!({ "n": n }))]).unwrap();
        assert!(a.replica.is_ahead());
        assert!(lag.load(std::sync::atomic::Ordering::Acquire));
        assert_eq!(a.get(&home, "notes", "plan"), Some(json!({ "n": n })));
        let mut read = || {
            let found = reader.get(&home, "notes", &id).unwrap().unwrap();
            serde_json::from_str::<Value>(&found.json).unwrap()
        };
        assert_eq!(
            read(),
            json!({ "n": n - 1 }),
            "others see what is committed"
        );
        a.replica.catch_up_readers(a.now).unwrap();
        assert_eq!(read(), json!({ "n": n }));
        assert!(!a.replica.is_ahead());
        assert!(!lag.load(std::sync::atomic::Ordering::Acquire));
    }
}

#[test]
fn what_waited_is_there_after_a_crash_and_its_log_goes_on_for_everybody() {
    let (mut a, mut b, home) = pair();
    act(&mut a, &home, &[put("notes", "plan", json!({"n": 0}))]).unwrap();
    act(&mut a, &home, &[splice("text", 0, "T")]).unwrap();
    a.replica.catch_up_readers(a.now).unwrap();
    for n in 1..40 {
        act(&mut a, &home, &[put("notes", "plan", json!({ "n": n }))]).unwrap();
        act(&mut a, &home, &[splice("text", 1, "e")]).unwrap();
    }
    assert!(a.replica.is_ahead());
    let frontier = a.replica.frontier(&home).unwrap();
    let mut again = a.after_a_crash();
    assert_eq!(again.replica.frontier(&home).unwrap(), frontier);
    assert_eq!(all(&mut again, &home), all(&mut a, &home));
    has_no_fault(&again);
    act(&mut again, &home, &[splice("text", 40, "t")]).unwrap();
    sync(&mut again, &mut b);
    assert_eq!(b.dump(&home), all(&mut again, &home));
    let text = b.get(&home, "notes", "text").unwrap();
    assert_eq!(
        text,
        json!({"body": "T".to_owned() + &"e".repeat(39) + "t"})
    );
    again.replica.rebuild(&home, again.now).unwrap();
    assert_eq!(b.dump(&home), all(&mut again, &home));
}

#[test]
fn a_clock_that_was_ahead_before_a_crash_gives_no_earlier_time_after_it() {
    let (mut a, mut b, home) = pair();
    act(&mut a, &home, &[put("notes", "plan", json!({"n": 0}))]).unwrap();
    let now = a.now;
    a.now += 1000 * 24 * 3_600_000;
    act(&mut a, &home, &[put("notes", "plan", json!({"n": 1}))]).unwrap();
    assert!(a.replica.is_ahead());
    a.now = now;
    let mut a = a.after_a_crash();
    act(&mut a, &home, &[put("notes", "plan", json!({"n": 2}))]).unwrap();
    act(&mut a, &home, &[put("notes", "later", json!({"n": 3}))]).unwrap();
    // Who sees all of it once its time has come finds what this device does.
    b.now = now + 2000 * 24 * 3_600_000;
    sync(&mut a, &mut b);
    assert_eq!(b.get(&home, "notes", "plan"), Some(json!({"n": 2})));
    assert_eq!(b.get(&home, "notes", "later"), Some(json!({"n": 3})));
}

#[test]
fn a_refused_transaction_takes_nothing_of_those_that_wait() {
    let (mut a, _, home) = pair();
    act(&mut a, &home, &[put("notes", "plan", json!({"n": 0}))]).unwrap();
    for n in 1..5 {
        act(&mut a, &home, &[put("notes", "plan", json!({ "n": n }))]).unwrap();
        assert!(a.replica.is_ahead());
        let before = a.replica.frontier(&home).unwrap();
        let refused = act(&mut a, &home, &refused(&format!("new {n}")));
        assert!(refused.is_err());
        assert_eq!(a.replica.frontier(&home).unwrap(), before);
        assert_eq!(a.get(&home, "notes", "plan"), Some(json!({ "n": n })));
    }
    has_no_fault(&a);
}

#[test]
fn a_crash_after_everything_was_committed_adds_nothing() {
    let (mut a, _, home) = pair();
    for n in 0..5 {
        act(&mut a, &home, &[put("notes", "plan", json!({ "n": n }))]).unwrap();
    }
    a.replica.catch_up_readers(a.now).unwrap();
    let frontier = a.replica.frontier(&home).unwrap();
    let again = a.after_a_crash();
    assert_eq!(again.replica.frontier(&home).unwrap(), frontier);
    let mut a = a.reopen();
    assert_eq!(a.replica.frontier(&home).unwrap(), frontier);
    a.replica.checkpoint().unwrap();
    assert!(!a.has_journal(), "a store at rest is one file");
}

#[test]
fn a_journal_of_another_device_is_refused() {
    let (mut a, _, home) = pair();
    act(&mut a, &home, &[put("notes", "plan", json!({"n": 0}))]).unwrap();
    act(&mut a, &home, &[put("notes", "plan", json!({"n": 1}))]).unwrap();
    let error = a.as_another_device_after_a_crash().unwrap_err();
    assert!(matches!(error, ReplicaError::ForeignKeys), "{error}");
}

/// What happens to a device that commits later.
#[derive(Debug, Clone)]
enum Step {
    /// A field of one of these documents.
    Put(u8, u8),
    /// A letter into the text of one of these documents.
    Type(u8, u8),
    Refused,
    /// Another device writes, and the two meet.
    Meet(u8),
    Fold,
    Commit,
    Crash,
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u8, any::<u8>()).prop_map(|(doc, n)| Step::Put(doc, n)),
        6 => (0..2u8, any::<u8>()).prop_map(|(doc, n)| Step::Type(doc, n)),
        1 => Just(Step::Refused),
        1 => any::<u8>().prop_map(Step::Meet),
        1 => Just(Step::Fold),
        1 => Just(Step::Commit),
        2 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

/// Plays the steps; what the device and the other one hold at the end.
fn play(steps: &[Step], folding: Folding) -> Vec<(String, String, String)> {
    let (mut a, mut b, home) = pair();
    a.replica.set_folding(folding);
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::Put(doc, n) => {
                let doc = format!("doc {doc}");
                act(&mut a, &home, &[put("notes", &doc, json!({ "n": n }))]).unwrap();
            }
            Step::Type(doc, n) => {
                let doc = format!("text {doc}");
                let letter = char::from(b'a' + n % 26).to_string();
                act(&mut a, &home, &[splice(&doc, 0, &letter)]).unwrap();
            }
            Step::Refused => {
                act(&mut a, &home, &refused(&format!("new {n}"))).unwrap_err();
            }
            Step::Meet(n) => {
                b.now = a.now + 5;
                act(&mut b, &home, &[put("notes", "doc 0", json!({ "b": n }))]).unwrap();
                sync(&mut a, &mut b);
                assert_eq!(all(&mut a, &home), b.dump(&home));
            }
            Step::Fold => a.replica.fold(a.now).unwrap(),
            Step::Commit => a.replica.catch_up_readers(a.now).unwrap(),
            Step::Crash => a = a.after_a_crash(),
            Step::Restart => a = a.reopen(),
        }
        a.replica.set_folding(folding);
    }
    has_no_fault(&a);
    sync(&mut a, &mut b);
    let held = all(&mut a, &home);
    assert_eq!(held, b.dump(&home));
    held
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn committing_later_makes_no_difference_whatever_comes_between(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        prop_assert_eq!(play(&steps, Folding::WhenRead), play(&steps, Folding::AtOnce));
    }
}
