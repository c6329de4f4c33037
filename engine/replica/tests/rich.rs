//! Texts, lists and trees that devices edit apart: whatever the order, they end equal, and nobody's work
//! is lost but what an assignment replaced.

mod world;

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::{DocId, SpaceId};
use stead_replica::{
    Change, Edit, Folding, NodeName, Receipt, ReplicaError, RichAsk, RichEdit, RichKind, RichShown,
    Severity, TextUnit,
};
use stead_store::{Read, ReadRich};
use world::{Device, link, sync};

const DOC: &str = "plan";

fn edit(change: Change) -> Edit {
    Edit {
        collection: "notes".to_owned(),
        id: Some(DocId::parse(DOC).unwrap()),
        change,
    }
}

fn put(value: Value) -> Edit {
    edit(Change::Put {
        value,
        replace: false,
    })
}

fn edit_of(id: &str, value: Value) -> Edit {
    Edit {
        id: Some(DocId::parse(id).unwrap()),
        ..put(value)
    }
}

fn rich(path: &str, kind: RichKind, edit_of: RichEdit) -> Edit {
    edit(Change::Rich {
        path: vec![path.to_owned()],
        kind,
        edit: edit_of,
    })
}

fn splice(path: &str, at: usize, delete: usize, insert: &str) -> Edit {
    rich(
        path,
        RichKind::Text,
        RichEdit::Splice {
            at,
            delete,
            insert: insert.to_owned(),
            unit: TextUnit::Scalar,
        },
    )
}

fn act(device: &mut Device, space: &SpaceId, edits: &[Edit]) -> Result<Receipt, ReplicaError> {
    device.now += 10;
    device.replica.transact(space, edits, device.now)
}

fn shown(device: &Device, space: &SpaceId) -> Value {
    device.get(space, "notes", DOC).unwrap_or_default()
}

fn ask(device: &mut Device, space: &SpaceId, path: &str, ask: &RichAsk) -> RichShown {
    let id = DocId::parse(DOC).unwrap();
    let path = [path.to_owned()];
    let found = device.replica.show_rich(space, "notes", &id, &path, ask);
    found.unwrap().unwrap()
}

fn pair() -> (Device, Device, SpaceId) {
    let mut a = Device::on_disk(1);
    let mut b = Device::on_disk(2);
    link(&mut a, &mut b);
    let home = a.replica.home().unwrap();
    sync(&mut a, &mut b);
    (a, b, home)
}

#[test]
fn a_text_begun_apart_at_one_place_becomes_one_text_with_both_parts() {
    let (mut a, mut b, space) = pair();
    act(&mut a, &space, &[splice("body", 0, 0, "ours")]).unwrap();
    act(&mut b, &space, &[splice("body", 0, 0, "theirs")]).unwrap();
    sync(&mut a, &mut b);
    let text = shown(&a, &space)["body"].as_str().unwrap().to_owned();
    assert!(text.contains("ours") && text.contains("theirs"), "{text}");
    assert_eq!(a.dump(&space), b.dump(&space));
}

#[test]
fn an_assigned_text_is_what_two_people_go_on_editing() {
    let (mut a, mut b, space) = pair();
    act(&mut a, &space, &[put(json!({"body": "hello world"}))]).unwrap();
    sync(&mut a, &mut b);
    act(&mut a, &space, &[splice("body", 5, 0, ",")]).unwrap();
    act(&mut b, &space, &[splice("body", 11, 0, "!")]).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(shown(&a, &space), json!({"body": "hello, world!"}));
    assert_eq!(a.dump(&space), b.dump(&space));
}

#[test]
fn a_put_over_a_text_changes_only_what_differs() {
    let (mut a, mut b, space) = pair();
    act(&mut a, &space, &[splice("body", 0, 0, "one two three")]).unwrap();
    sync(&mut a, &mut b);
    act(&mut a, &space, &[put(json!({"body": "one 2 three"}))]).unwrap();
    act(&mut b, &space, &[splice("body", 13, 0, " four")]).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(shown(&b, &space), json!({"body": "one 2 three four"}));
    let nothing = act(&mut a, &space, &[put(json!({"body": "one 2 three four"}))]).unwrap();
    assert_eq!(nothing.entry, None, "it was equal already");
}

#[test]
fn a_later_assignment_replaces_a_text_and_what_was_typed_into_it_meanwhile() {
    let (mut a, mut b, space) = pair();
    act(&mut a, &space, &[splice("body", 0, 0, "old")]).unwrap();
    sync(&mut a, &mut b);
    act(&mut b, &space, &[splice("body", 3, 0, "er")]).unwrap();
    act(&mut a, &space, &[put(json!({"body": 7}))]).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(shown(&a, &space), json!({"body": 7}));
    assert_eq!(a.dump(&space), b.dump(&space));
    let refused = act(&mut a, &space, &[splice("body", 0, 0, "x")]);
    assert!(
        matches!(refused, Err(ReplicaError::Refused(_))),
        "a number is no text"
    );
}

#[test]
fn lists_and_trees_move_their_parts_without_doubling_them() {
    let (mut a, mut b, space) = pair();
    let insert = RichEdit::ListInsert {
        at: 0,
        values: vec![json!("a"), json!({"b": 1}), json!("c")],
    };
    act(&mut a, &space, &[rich("list", RichKind::List, insert)]).unwrap();
    let make = |parent: Option<NodeName>, name: &str| {
        let fields = json!({"name": name}).as_object().cloned().unwrap();
        let create = RichEdit::TreeCreate {
            parent,
            at: None,
            fields,
        };
        rich("tree", RichKind::Tree, create)
    };
    let made = act(&mut a, &space, &[make(None, "x"), make(None, "y")]).unwrap();
    let [x, y] = &made.nodes[..] else {
        panic!("{:?}", made.nodes)
    };
    sync(&mut a, &mut b);
    // Both move the first element; and each puts one node below the other, which would be a circle.
    let shift = |to| rich("list", RichKind::List, RichEdit::ListMove { from: 0, to });
    let below = |node: &NodeName, parent: &NodeName| {
        let shift = RichEdit::TreeMove {
            node: node.clone(),
            parent: Some(parent.clone()),
            at: None,
        };
        rich("tree", RichKind::Tree, shift)
    };
    act(&mut a, &space, &[shift(2), below(x, y)]).unwrap();
    act(&mut b, &space, &[shift(1), below(y, x)]).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(a.dump(&space), b.dump(&space));
    let shown = shown(&a, &space);
    let list = shown["list"].as_array().unwrap();
    assert_eq!(list.len(), 3, "{list:?}");
    let roots = shown["tree"].as_array().unwrap();
    assert_eq!(roots.len(), 1);
    assert_eq!(roots[0]["children"].as_array().unwrap().len(), 1);
}

#[test]
fn marks_and_named_places_follow_the_text() {
    let (mut a, mut b, space) = pair();
    act(&mut a, &space, &[splice("body", 0, 0, "a 🌍 world")]).unwrap();
    let bold = RichEdit::Mark {
        start: 4,
        end: 9,
        mark: "bold".to_owned(),
        value: json!(true),
        unit: TextUnit::Scalar,
    };
    act(&mut a, &space, &[rich("body", RichKind::Text, bold)]).unwrap();
    let utf16 = |positions: Vec<usize>, places: Vec<String>| RichAsk {
        unit: TextUnit::Utf16,
        places,
        positions,
    };
    let named = ask(&mut a, &space, "body", &utf16(vec![5], vec![]));
    assert_eq!(
        named.marked,
        json!([{"insert": "a 🌍 "}, {"insert": "world", "attributes": {"bold": true}}])
    );
    sync(&mut a, &mut b);
    act(&mut b, &space, &[splice("body", 0, 0, "see: ")]).unwrap();
    sync(&mut a, &mut b);
    let found = ask(&mut a, &space, "body", &utf16(vec![], named.names));
    assert_eq!(found.places, [10]);
    assert_eq!(found.kind, Some(RichKind::Text));
}

#[test]
fn a_refused_edit_leaves_no_trace_in_a_text() {
    let (mut a, _b, space) = pair();
    act(&mut a, &space, &[splice("body", 0, 0, "kept")]).unwrap();
    let edits = [splice("body", 0, 0, "lost "), splice("body", 99, 0, "x")];
    assert!(act(&mut a, &space, &edits).is_err());
    act(&mut a, &space, &[splice("body", 4, 0, "!")]).unwrap();
    assert_eq!(shown(&a, &space), json!({"body": "kept!"}));
    let mut a = a.reopen();
    assert_eq!(shown(&a, &space), json!({"body": "kept!"}));
    act(&mut a, &space, &[splice("body", 5, 0, "?")]).unwrap();
    assert_eq!(shown(&a, &space), json!({"body": "kept!?"}));
}

#[test]
fn an_edit_that_fails_once_its_entry_is_made_leaves_neither() {
    let (mut a, mut b, space) = pair();
    let both = [splice("body", 0, 0, "kept"), splice("other", 0, 0, "here")];
    act(&mut a, &space, &both).unwrap();
    // What a disk made of the second text.
    let mut a = a.reopen_after(|store| {
        let id = DocId::parse(DOC).unwrap();
        let tx = store.begin().unwrap();
        let space_no = tx.space(&space).unwrap().unwrap().no;
        let notes = tx.collection(space_no, "notes").unwrap().unwrap();
        let rows = tx.rich_of(notes, &id).unwrap();
        let of_other = |(_, place): &&(_, Vec<u8>)| place.windows(5).any(|it| it == b"other");
        let (no, _) = rows.iter().find(of_other).expect("the second text");
        tx.set_rich_state(*no, b"\x05wrong").unwrap();
        tx.commit().unwrap();
    });
    let before = a.replica.frontier(&space).unwrap();
    let second = || edit_of("second", json!({"n": 1}));
    let waiting = [
        (space, vec![second()]),
        (space, vec![splice("body", 4, 0, "!")]),
    ];
    // The entry of the second is made before the damage shows, and cannot be taken back alone.
    let failed = a.replica.transact_many(&waiting, a.now).unwrap_err();
    assert!(failed.to_string().contains("stead doctor"), "{failed}");
    assert!(act(&mut a, &space, &[splice("body", 4, 0, "!")]).is_err());
    assert_eq!(a.replica.frontier(&space).unwrap(), before);
    a.write(&space, &[second()]);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "notes", "second"), Some(json!({"n": 1})));
    assert_eq!(b.get(&space, "notes", "second"), Some(json!({"n": 1})));
    assert_eq!(shown(&b, &space)["body"], json!("kept"));
}

#[test]
fn typing_into_a_large_text_shows_when_it_is_read_and_survives_a_restart() {
    let (mut a, mut b, space) = pair();
    a.replica.set_folding(Folding::WhenRead);
    act(
        &mut a,
        &space,
        &[splice("body", 0, 0, &"x".repeat(100_000))],
    )
    .unwrap();
    for at in 0..50 {
        act(&mut a, &space, &[splice("body", at, 0, "y")]).unwrap();
    }
    assert!(a.replica.lags());
    let mut a = a.reopen();
    assert!(a.replica.lags(), "the store knows what waits");
    a.replica.fold(a.now).unwrap();
    let wanted = "y".repeat(50) + &"x".repeat(100_000);
    assert_eq!(shown(&a, &space), json!({ "body": wanted }));
    sync(&mut a, &mut b);
    assert_eq!(shown(&b, &space), json!({ "body": wanted }));
    let space_id = space;
    a.replica.rebuild(&space_id, a.now).unwrap();
    assert_eq!(a.dump(&space), b.dump(&space), "built again from the logs");
}

#[test]
fn a_frozen_text_shows_what_it_was_is_named_by_the_doctor_and_is_built_again() {
    let (mut a, mut b, space) = pair();
    act(&mut a, &space, &[splice("body", 0, 0, "one")]).unwrap();
    act(&mut a, &space, &[splice("other", 0, 0, "well")]).unwrap();
    sync(&mut a, &mut b);
    let mut a = a.reopen_after(|store| {
        let rows = store.spaces().unwrap();
        let row = rows.into_iter().find(|row| row.id == space).unwrap();
        let fields = store.rich_fields(row.no).unwrap();
        let body = fields
            .iter()
            .find(|field| field.field.ends_with(b"body"))
            .unwrap();
        // An update that is whole for the store and damaged for whoever reads text.
        let (at, mut update) = store.rich_updates(body.no).unwrap().pop().unwrap();
        *update.last_mut().unwrap() ^= 0xff;
        let tx = store.begin().unwrap();
        tx.add_rich_update(body.no, at + 1, &update).unwrap();
        tx.commit().unwrap();
    });
    let edits = [splice("body", 3, 0, " two"), splice("other", 4, 0, "!")];
    act(&mut b, &space, &edits).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(
        shown(&a, &space),
        json!({"body": "one", "other": "well!"}),
        "the other field goes on"
    );
    assert!(matches!(
        act(&mut a, &space, &[splice("body", 0, 0, "x")]),
        Err(ReplicaError::Refused(_))
    ));
    let named = |device: &Device| {
        let found = device.replica.doctor().unwrap();
        let of_text = found.into_iter().filter(|it| it.what.contains("body"));
        of_text.collect::<Vec<_>>()
    };
    let found = named(&a);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].severity, Severity::Warning);
    assert!(
        found[0]
            .what
            .contains("body of document plan could not take up an update"),
        "{found:?}"
    );
    assert!(found[0].hint.as_ref().unwrap().contains("--rebuild"));
    let now = a.now;
    a.replica.rebuild(&space, now).unwrap();
    assert_eq!(
        shown(&a, &space),
        json!({"body": "one two", "other": "well!"})
    );
    assert_eq!(named(&a), []);
    assert_eq!(a.dump(&space), b.dump(&space));
}

#[derive(Debug, Clone)]
enum Step {
    Splice(bool, usize, usize, String),
    Assign(bool, Value),
    Unset(bool),
    List(bool, usize, i64),
    Sync,
    Reopen(bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 0..40usize, 0..4usize, "[a-cé🌍]{0,3}")
            .prop_map(|(who, at, delete, insert)| Step::Splice(who, at, delete, insert)),
        1 => (any::<bool>(), prop_oneof![Just(json!("text")), Just(json!([1, 2])), Just(json!(3)), Just(json!({}))])
            .prop_map(|(who, value)| Step::Assign(who, value)),
        1 => any::<bool>().prop_map(Step::Unset),
        2 => (any::<bool>(), 0..5usize, 0..9i64).prop_map(|(who, at, value)| Step::List(who, at, value)),
        2 => Just(Step::Sync),
        1 => any::<bool>().prop_map(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn devices_that_edit_assign_and_delete_apart_end_equal(steps in prop::collection::vec(any_step(), 1..40)) {
        let (mut a, mut b, space) = pair();
        b.replica.set_folding(Folding::WhenRead);
        for step in steps {
            match step {
                Step::Sync => sync(&mut a, &mut b),
                Step::Reopen(true) => a = a.reopen(),
                Step::Reopen(false) => b = b.reopen(),
                Step::Splice(who, at, delete, insert) => {
                    let device = if who { &mut a } else { &mut b };
                    let _ = act(device, &space, &[splice("f", at, delete, &insert)]);
                }
                Step::List(who, at, value) => {
                    let device = if who { &mut a } else { &mut b };
                    let insert = RichEdit::ListInsert { at, values: vec![json!(value)] };
                    let _ = act(device, &space, &[rich("f", RichKind::List, insert)]);
                }
                Step::Assign(who, value) => {
                    let device = if who { &mut a } else { &mut b };
                    let set = Change::Set { path: vec!["f".to_owned()], value };
                    act(device, &space, &[edit(set)]).unwrap();
                }
                Step::Unset(who) => {
                    let device = if who { &mut a } else { &mut b };
                    act(device, &space, &[edit(Change::Unset { path: vec!["f".to_owned()] })]).unwrap();
                }
            }
        }
        sync(&mut a, &mut b);
        a.replica.fold(a.now).unwrap();
        b.replica.fold(b.now).unwrap();
        prop_assert_eq!(a.dump(&space), b.dump(&space));
        let before = a.dump(&space);
        a.replica.rebuild(&space, a.now).unwrap();
        prop_assert_eq!(a.dump(&space), before);
    }
}
