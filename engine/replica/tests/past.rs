//! What was, from the logs: the same on every device, whatever was written since and by whom.

mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::{DocId, Hlc, SpaceId};
use stead_replica::{Change, Edit, ReplicaReader, RichEdit, RichKind, TextUnit, differences};
use world::Device;

fn id(text: &str) -> DocId {
    DocId::parse(text).unwrap()
}

fn edit(doc: &str, change: Change) -> Edit {
    Edit {
        collection: "notes".to_owned(),
        id: Some(id(doc)),
        change,
    }
}

fn put(doc: &str, value: Value) -> Edit {
    edit(
        doc,
        Change::Put {
            value,
            replace: false,
        },
    )
}

fn path(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn reader(device: &Device) -> ReplicaReader {
    device.replica.reader().unwrap().expect("a file")
}

fn end_of(ms: u64) -> Hlc {
    Hlc::new(ms, u16::MAX)
}

/// A device with one space, on disk: a reader needs a file.
fn device() -> (Device, SpaceId) {
    let mut device = Device::on_disk(1);
    let now = device.now;
    let space = device.replica.create_space("s", now).unwrap();
    (device, space)
}

#[test]
fn a_story_tells_each_change_of_what_is_seen_with_its_author() {
    let (mut device, space) = device();
    device.write(&space, &[put("a", json!({"n": 1, "m": {"x": "old"}}))]);
    device.write(&space, &[put("b", json!({"n": 9}))]);
    device.write(
        &space,
        &[edit(
            "a",
            Change::Set {
                path: path(&["m", "x"]),
                value: json!("new"),
            },
        )],
    );
    device.write(&space, &[edit("a", Change::Delete)]);
    device.write(&space, &[edit("a", Change::Restore)]);
    let past = device.replica.past(&space).unwrap();
    let story = reader(&device).story(&past, "notes", &id("a")).unwrap();
    assert_eq!(story.steps.len(), 4);
    let change = &story.steps[1].changes;
    assert_eq!(change.len(), 1);
    assert_eq!(change[0].path, path(&["m", "x"]));
    assert_eq!(
        (&change[0].before, &change[0].after),
        (&Some(json!("old")), &Some(json!("new")))
    );
    assert_eq!(story.steps[2].deleted, Some(true));
    assert_eq!(story.steps[3].deleted, Some(false));
    assert!(
        story
            .steps
            .iter()
            .all(|step| step.device == Some(device.replica.device()) && !step.void)
    );
    assert_eq!(Some(story.now.value), device.get(&space, "notes", "a"));
    assert_eq!(
        reader(&device)
            .story(&past, "notes", &id("never"))
            .unwrap()
            .steps,
        vec![]
    );
}

#[test]
fn going_back_adds_to_counters_and_sets_and_keeps_what_others_do() {
    let (mut device, space) = device();
    let counter = |delta| {
        edit(
            "a",
            Change::Add {
                path: path(&["count"]),
                delta,
            },
        )
    };
    let include = |element| {
        edit(
            "a",
            Change::Include {
                path: path(&["tags"]),
                element,
            },
        )
    };
    device.write(
        &space,
        &[
            put("a", json!({"name": "one", "kept": 1})),
            counter(5),
            include(json!("x")),
        ],
    );
    let then_ms = device.now;
    device.write(
        &space,
        &[
            put("a", json!({"name": "two", "extra": true})),
            counter(3),
            include(json!("y")),
        ],
    );
    let past = device.replica.past(&space).unwrap();
    let mut reader = reader(&device);
    let then = reader
        .moment(&past, "notes", &id("a"), end_of(then_ms))
        .unwrap();
    assert_eq!(
        then.value,
        json!({"name": "one", "kept": 1, "count": 5, "tags": ["x"]})
    );
    let back = reader
        .story(&past, "notes", &id("a"))
        .unwrap()
        .back_to(&then);
    assert!(
        back.contains(&Change::Add {
            path: path(&["count"]),
            delta: -3
        }),
        "{back:?}"
    );
    assert!(
        back.contains(&Change::Exclude {
            path: path(&["tags"]),
            element: json!("y")
        }),
        "{back:?}"
    );
    let before = device.get(&space, "notes", "a").unwrap();
    let before_ms = device.now;
    let edits: Vec<Edit> = back.into_iter().map(|change| edit("a", change)).collect();
    device.write(&space, &edits);
    assert_eq!(
        differences(&device.get(&space, "notes", "a").unwrap(), &then.value),
        vec![]
    );
    // And back again.
    let past = device.replica.past(&space).unwrap();
    let undone = reader
        .moment(&past, "notes", &id("a"), end_of(before_ms))
        .unwrap();
    let edits = reader
        .story(&past, "notes", &id("a"))
        .unwrap()
        .back_to(&undone);
    let edits: Vec<Edit> = edits.into_iter().map(|change| edit("a", change)).collect();
    device.write(&space, &edits);
    assert_eq!(
        differences(&device.get(&space, "notes", "a").unwrap(), &before),
        vec![]
    );
    // Before it was there it was not there.
    let past = device.replica.past(&space).unwrap();
    let never = reader.moment(&past, "notes", &id("a"), end_of(1)).unwrap();
    assert!(!never.is_there);
    let edits = reader
        .story(&past, "notes", &id("a"))
        .unwrap()
        .back_to(&never);
    assert_eq!(edits, [Change::Delete]);
}

#[derive(Debug, Clone)]
enum Act {
    Put(u8, i64),
    Add(u8),
    Delete(u8),
    Restore(u8),
    Reopen,
}

fn any_act() -> impl Strategy<Value = Act> {
    let doc = || 0u8..4;
    prop_oneof![
        4 => (doc(), 0i64..5).prop_map(|(doc, n)| Act::Put(doc, n)),
        2 => doc().prop_map(Act::Add),
        1 => doc().prop_map(Act::Delete),
        1 => doc().prop_map(Act::Restore),
        1 => Just(Act::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_earlier_state_is_found_again(acts in prop::collection::vec(any_act(), 1..30)) {
        let (mut device, space) = device();
        let all = |device: &Device| -> Vec<Option<Value>> {
            (0..4).map(|doc| device.get(&space, "notes", &format!("d{doc}"))).collect()
        };
        let mut states = vec![(device.now, all(&device))];
        let mut deleted = BTreeSet::new();
        for act in acts {
            let name = |doc: u8| format!("d{doc}");
            let before = &states[states.len() - 1].1;
            let was_there = |doc: u8| before[usize::from(doc)].is_some();
            let one = match act {
                Act::Put(doc, n) => put(&name(doc), json!({"n": n, "deep": {"m": n * 2}})),
                Act::Add(doc) => edit(&name(doc), Change::Add { path: path(&["count"]), delta: 1 }),
                Act::Delete(doc) => edit(&name(doc), Change::Delete),
                Act::Restore(doc) => edit(&name(doc), Change::Restore),
                Act::Reopen => {
                    device = device.reopen();
                    continue;
                }
            };
            // A field of a deleted document cannot be edited: that is refused, and changes nothing.
            let of_deleted = matches!(act, Act::Add(doc) if deleted.contains(&doc));
            device.now += 10;
            let done = device.replica.transact(&space, &[one], device.now);
            prop_assert_eq!(done.is_err(), of_deleted, "{:?}: {:?}", act, done);
            match act {
                Act::Put(doc, _) | Act::Restore(doc) => {
                    deleted.remove(&doc);
                }
                Act::Delete(doc) if was_there(doc) => {
                    deleted.insert(doc);
                }
                _ => {}
            }
            states.push((device.now, all(&device)));
        }
        let past = device.replica.past(&space).unwrap();
        let mut reader = reader(&device);
        for (ms, state) in states {
            let earlier = reader.earlier(&past, "notes", end_of(ms)).unwrap();
            for (doc, then) in state.iter().enumerate() {
                let name = format!("d{doc}");
                let moment = reader.moment(&past, "notes", &id(&name), end_of(ms)).unwrap();
                let seen = (moment.is_there && !moment.deleted).then_some(moment.value);
                prop_assert_eq!(&seen, then, "{} at {}", name, ms);
                let by_collection = match earlier.docs.get(&id(&name)) {
                    Some(found) => found.clone(),
                    None => device.get(&space, "notes", &name),
                };
                prop_assert_eq!(&by_collection, then, "{} at {}", name, ms);
            }
        }
    }
}

fn typed(at: usize, insert: &str) -> Edit {
    let edit_of = RichEdit::Splice {
        at,
        delete: 0,
        insert: insert.to_owned(),
        unit: TextUnit::Scalar,
    };
    let (path, kind) = (path(&["body"]), RichKind::Text);
    edit(
        "a",
        Change::Rich {
            path,
            kind,
            edit: edit_of,
        },
    )
}

#[test]
fn a_text_is_seen_as_it_was_with_who_typed_and_goes_back() {
    let (mut device, space) = device();
    device.write(&space, &[put("a", json!({"body": "one"}))]);
    device.write(&space, &[typed(3, " two")]);
    device.write(&space, &[typed(7, " three")]);
    let then = device.now;
    device.now += 120_000;
    device.write(&space, &[typed(0, "zero ")]);
    let past = device.replica.past(&space).unwrap();
    let story = reader(&device).story(&past, "notes", &id("a")).unwrap();
    let shown: Vec<_> = story
        .steps
        .iter()
        .map(|step| step.changes[0].after.clone().unwrap())
        .collect();
    // What was typed without a pause is one step.
    let texts = ["one", "one two three", "zero one two three"];
    assert_eq!(shown, texts.map(|text| json!(text)));
    let moment = reader(&device).moment(&past, "notes", &id("a"), end_of(then));
    let moment = moment.unwrap();
    assert_eq!(moment.value, json!({"body": "one two three"}));
    let earlier = reader(&device)
        .earlier(&past, "notes", end_of(then))
        .unwrap();
    let found = earlier.docs[&id("a")].clone().unwrap();
    assert_eq!(found, moment.value);
    let back: Vec<Edit> = story
        .back_to(&moment)
        .into_iter()
        .map(|change| edit("a", change))
        .collect();
    device.write(&space, &back);
    assert_eq!(device.get(&space, "notes", "a"), Some(moment.value));
}

#[test]
fn history_has_no_redacted_value_and_all_that_was_written_with_it() {
    let (mut device, space) = device();
    device.write(&space, &[put("a", json!({"n": 1, "note": "SECRET"}))]);
    let then = device.now;
    device.write(&space, &[put("a", json!({"n": 2}))]);
    device.now += 10;
    let field = path(&["note"]);
    let now = device.now;
    device
        .replica
        .redact(&space, "notes", &id("a"), &field, now)
        .unwrap();
    let past = device.replica.past(&space).unwrap();
    let story = reader(&device).story(&past, "notes", &id("a")).unwrap();
    assert!(!format!("{story:?}").contains("SECRET"));
    let moment = reader(&device).moment(&past, "notes", &id("a"), end_of(now));
    assert_eq!(moment.unwrap().value, json!({"n": 2}));
    let moment = reader(&device).moment(&past, "notes", &id("a"), end_of(then));
    assert_eq!(moment.unwrap().value, json!({"n": 1}));
}
