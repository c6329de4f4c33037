//! Undo and redo: what a person did last goes and comes back, of every type of field, and nobody else's later
//! work with it.

mod world;

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::SpaceId;
use stead_replica::{Change, Edit, ReplicaError, RichEdit, RichKind, TextUnit};
use world::{Device, link, sync};

fn on(id: &str, change: Change) -> Edit {
    world::edit("notes", id, change)
}

fn put(id: &str, value: Value) -> Edit {
    world::put("notes", id, value)
}

fn path(field: &str) -> Vec<String> {
    field.split('.').map(str::to_owned).collect()
}

fn splice(id: &str, field: &str, at: usize, delete: usize, insert: &str) -> Edit {
    let edit = RichEdit::Splice {
        at,
        delete,
        insert: insert.to_owned(),
        unit: TextUnit::Scalar,
    };
    on(
        id,
        Change::Rich {
            path: path(field),
            kind: RichKind::Text,
            edit,
        },
    )
}

fn undo(device: &mut Device, space: &SpaceId) -> Result<stead_replica::Undone, ReplicaError> {
    device.now += 10;
    device.replica.undo(space, device.now)
}

fn redo(device: &mut Device, space: &SpaceId) -> Result<stead_replica::Undone, ReplicaError> {
    device.now += 10;
    device.replica.redo(space, device.now)
}

fn alone() -> (Device, SpaceId) {
    let a = Device::on_disk(1);
    let home = a.replica.home().unwrap();
    (a, home)
}

/// Two people in one space.
fn pair() -> (Device, Device, SpaceId) {
    let mut a = Device::on_disk(1);
    let mut b = Device::on_disk(2);
    link(&mut a, &mut b);
    let home = a.replica.home().unwrap();
    sync(&mut a, &mut b);
    (a, b, home)
}

#[test]
fn one_transaction_over_all_types_of_fields_goes_as_a_whole_and_comes_back() {
    let (mut a, space) = alone();
    a.write(
        &space,
        &[put(
            "d",
            json!({"title": "old", "n": 1, "map": {"x": 1, "y": 2}}),
        )],
    );
    let include = |elem: &str| {
        on(
            "d",
            Change::Include {
                path: path("tags"),
                element: json!(elem),
            },
        )
    };
    let add = |delta| {
        on(
            "d",
            Change::Add {
                path: path("n"),
                delta,
            },
        )
    };
    a.write(
        &space,
        &[include("kept"), add(5), splice("d", "text", 0, 0, "first")],
    );
    let before = a.dump(&space);
    a.write(
        &space,
        &[
            put("d", json!({"title": "new", "map": 7})),
            add(-2),
            include("gone"),
            on(
                "d",
                Change::Exclude {
                    path: path("tags"),
                    element: json!("kept"),
                },
            ),
            splice("d", "text", 5, 0, " second"),
            put("other", json!({"made": true})),
        ],
    );
    let after = a.dump(&space);
    let undone = undo(&mut a, &space).unwrap();
    assert!(undone.kept.is_empty(), "{undone:?}");
    assert_eq!(a.dump(&space), before);
    redo(&mut a, &space).unwrap();
    assert_eq!(a.dump(&space), after);
    undo(&mut a, &space).unwrap();
    assert_eq!(a.dump(&space), before);
    // The one before it, and then there is no more to do again than that.
    undo(&mut a, &space).unwrap();
    assert_eq!(
        a.get(&space, "notes", "d").unwrap(),
        json!({"title": "old", "n": 1, "map": {"x": 1, "y": 2}, "tags": [], "text": ""})
    );
    redo(&mut a, &space).unwrap();
    assert_eq!(a.dump(&space), before);
    undo(&mut a, &space).unwrap();
    undo(&mut a, &space).unwrap();
    assert_eq!(
        a.get(&space, "notes", "d").unwrap(),
        json!({"n": 1, "tags": [], "text": ""}),
        "what was added to a counter since is not known by its author"
    );
    redo(&mut a, &space).unwrap();
    a.write(&space, &[put("d", json!({"title": "newer"}))]);
    assert!(redo(&mut a, &space).is_err(), "something was written since");
}

#[test]
fn what_somebody_changed_since_stays() {
    let (mut a, mut b, space) = pair();
    // Two devices of one person count as that person; only what is newest is undone.
    a.write(&space, &[put("d", json!({"title": "a", "n": 1}))]);
    sync(&mut a, &mut b);
    a.write(
        &space,
        &[
            put("d", json!({"title": "a2", "n": 2})),
            splice("d", "text", 0, 0, "mine"),
        ],
    );
    sync(&mut a, &mut b);
    b.now = b.now.max(a.now) + 10;
    b.write(
        &space,
        &[
            put("d", json!({"title": "b"})),
            splice("d", "text", 4, 0, " and theirs"),
        ],
    );
    sync(&mut a, &mut b);
    a.now = a.now.max(b.now) + 10;
    // The newest is the other device's; then this one's.
    undo(&mut a, &space).unwrap();
    assert_eq!(
        a.get(&space, "notes", "d").unwrap(),
        json!({"title": "a2", "n": 2, "text": "mine"})
    );
    redo(&mut a, &space).unwrap();
    assert_eq!(
        a.get(&space, "notes", "d").unwrap(),
        json!({"title": "b", "n": 2, "text": "mine and theirs"})
    );
}

#[test]
fn a_document_made_goes_and_a_deleted_one_comes_back() {
    let (mut a, space) = alone();
    a.write(&space, &[put("d", json!({"x": 1}))]);
    undo(&mut a, &space).unwrap();
    assert_eq!(a.get(&space, "notes", "d"), None);
    redo(&mut a, &space).unwrap();
    assert_eq!(a.get(&space, "notes", "d"), Some(json!({"x": 1})));
    a.write(&space, &[on("d", Change::Delete)]);
    undo(&mut a, &space).unwrap();
    assert_eq!(a.get(&space, "notes", "d"), Some(json!({"x": 1})));
    let mut a = a.reopen();
    redo(&mut a, &space).unwrap();
    assert_eq!(
        a.get(&space, "notes", "d"),
        None,
        "a restart forgets no step"
    );
}

#[derive(Debug, Clone)]
enum Act {
    Put(Value),
    Unset(&'static str),
    Add(&'static str, i64),
    Include(&'static str, i64),
    Exclude(&'static str, i64),
    Splice(&'static str, usize, usize, String),
    Delete,
    Restore,
}

fn any_field() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("m.x")]
}

fn any_act() -> impl Strategy<Value = Act> {
    let leaf = prop_oneof![
        Just(json!(1)),
        Just(json!("text")),
        Just(json!([1, 2])),
        Just(json!({"x": 3})),
        Just(json!({}))
    ];
    prop_oneof![
        4 => (prop_oneof![Just("a"), Just("b"), Just("m")], leaf).prop_map(|(field, value)| Act::Put(json!({field: value}))),
        1 => any_field().prop_map(Act::Unset),
        2 => (any_field(), -3i64..4).prop_map(|(field, delta)| Act::Add(field, delta)),
        2 => (any_field(), 0i64..3).prop_map(|(field, elem)| Act::Include(field, elem)),
        1 => (any_field(), 0i64..3).prop_map(|(field, elem)| Act::Exclude(field, elem)),
        4 => (any_field(), 0..6usize, 0..3usize, "[xyz]{0,3}").prop_map(|(f, at, d, i)| Act::Splice(f, at, d, i)),
        1 => Just(Act::Delete),
        1 => Just(Act::Restore),
    ]
}

fn edit_of(act: &Act) -> Edit {
    let change = match act {
        Act::Put(value) => return put("d", value.clone()),
        Act::Splice(field, at, delete, insert) => return splice("d", field, *at, *delete, insert),
        Act::Unset(field) => Change::Unset { path: path(field) },
        Act::Add(field, delta) => Change::Add {
            path: path(field),
            delta: *delta,
        },
        Act::Include(field, elem) => Change::Include {
            path: path(field),
            element: json!(elem),
        },
        Act::Exclude(field, elem) => Change::Exclude {
            path: path(field),
            element: json!(elem),
        },
        Act::Delete => Change::Delete,
        Act::Restore => Change::Restore,
    };
    on("d", change)
}

#[test]
fn one_field_goes_back_step_by_step() {
    let (mut a, space) = alone();
    for n in 1..5 {
        a.write(&space, &[put("d", json!({"title": n, "fixed": true}))]);
    }
    for n in (1..4).rev() {
        let undone = undo(&mut a, &space).unwrap();
        assert!(undone.kept.is_empty(), "{undone:?}");
        assert_eq!(a.get(&space, "notes", "d").unwrap()["title"], json!(n));
    }
    for n in 2..5 {
        redo(&mut a, &space).unwrap();
        assert_eq!(a.get(&space, "notes", "d").unwrap()["title"], json!(n));
    }
    for n in (1..4).rev() {
        undo(&mut a, &space).unwrap();
        assert_eq!(a.get(&space, "notes", "d").unwrap()["title"], json!(n));
    }
    undo(&mut a, &space).unwrap();
    assert_eq!(a.get(&space, "notes", "d"), None, "it was made then");
}

fn is_nothing_to_undo_and_redo(acts: &[Act]) {
    let (mut a, space) = alone();
    for act in acts {
        a.now += 10;
        let _ = a.replica.transact(&space, &[edit_of(act)], a.now);
    }
    let after = a.dump(&space);
    if let Ok(undone) = undo(&mut a, &space)
        && undone.entry.is_some()
        && undone.kept.is_empty()
    {
        redo(&mut a, &space).unwrap();
        assert_eq!(a.dump(&space), after, "{acts:?}");
    }
}

#[test]
fn undo_and_redo_of_taking_the_only_element_from_a_set_are_the_same_as_nothing() {
    is_nothing_to_undo_and_redo(&[Act::Include("m.x", 0), Act::Exclude("m.x", 0)]);
    is_nothing_to_undo_and_redo(&[Act::Include("a", 0), Act::Exclude("a", 0)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn undo_and_redo_are_the_same_as_nothing(acts in prop::collection::vec(any_act(), 1..8)) {
        is_nothing_to_undo_and_redo(&acts);
    }
}
