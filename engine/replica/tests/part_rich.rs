//! Texts, lists and trees on a device that keeps a part of a space: they come with slices, are edited
//! there, and are one with what others make of them.

mod halves;
mod people;
mod world;

use std::collections::BTreeSet;

use halves::{fill, meet, name};
use people::{let_in, person, relay, share};
use serde_json::{Value, json};
use stead_access::Role;
use stead_base::{DocId, SpaceId};
use stead_replica::{Change, Chosen, Edit, RichEdit, RichKind, TextUnit};
use world::{Device, sync};

fn rich(path: &str, kind: RichKind, edit: RichEdit) -> Edit {
    Edit {
        collection: "notes".to_owned(),
        id: Some(DocId::parse("plan").unwrap()),
        change: Change::Rich {
            path: vec![path.to_owned()],
            kind,
            edit,
        },
    }
}

fn typed(at: usize, insert: &str) -> Edit {
    let edit = RichEdit::Splice {
        at,
        delete: 0,
        insert: insert.to_owned(),
        unit: TextUnit::Scalar,
    };
    rich("body", RichKind::Text, edit)
}

fn listed(value: Value) -> Edit {
    let values = vec![value];
    rich(
        "todo",
        RichKind::List,
        RichEdit::ListInsert { at: 0, values },
    )
}

fn grown(name: &str) -> Edit {
    let fields = json!({"name": name}).as_object().cloned().unwrap();
    let create = RichEdit::TreeCreate {
        parent: None,
        at: None,
        fields,
    };
    rich("tree", RichKind::Tree, create)
}

/// One who has all, with a document of rich fields, and another who keeps nothing but what is looked at.
fn pair() -> (Device, Device, SpaceId) {
    let (mut one, mut two) = (person(1), person(2));
    let space = one.replica.create_space("s", one.now).unwrap();
    one.write(
        &space,
        &[typed(0, "from one"), listed(json!("a")), grown("x")],
    );
    one.write(&space, &[typed(8, ", and on"), listed(json!({"b": 1}))]);
    let_in(&mut one, &mut two, &space, Role::Writer);
    let nothing = Chosen {
        budget: 0,
        ..Chosen::default()
    };
    two.replica.keep(&space, &nothing, two.now).unwrap();
    meet(&mut one, &mut two, &space);
    (one, two, space)
}

fn want(one: &mut Device, two: &mut Device, space: &SpaceId) {
    two.now += 1;
    let wanted = BTreeSet::from([name("notes", "plan")]);
    assert!(two.replica.want(space, &wanted, two.now).unwrap());
    meet(one, two, space);
}

fn shown(device: &Device, space: &SpaceId) -> Value {
    device.get(space, "notes", "plan").unwrap_or_default()
}

/// Both edit all kinds of fields apart, and meet.
fn edit_apart(one: &mut Device, two: &mut Device, space: &SpaceId) {
    two.now = two.now.max(one.now);
    for (device, word) in [(&mut *one, "one"), (&mut *two, "two")] {
        device.write(space, &[typed(0, word), listed(json!(word)), grown(word)]);
    }
    meet(one, two, space);
    meet(one, two, space);
    assert_eq!(shown(one, space), shown(two, space));
    for word in ["one", "two"] {
        let text = shown(one, space).to_string();
        assert!(text.matches(word).count() >= 3, "{word} in {text}");
    }
}

#[test]
fn a_part_gets_and_edits_rich_fields_as_who_has_all() {
    let (mut one, mut two, space) = pair();
    assert_eq!(shown(&two, &space), Value::Null);
    want(&mut one, &mut two, &space);
    assert_eq!(shown(&one, &space), shown(&two, &space));
    assert_eq!(shown(&two, &space)["body"], "from one, and on");
    edit_apart(&mut one, &mut two, &space);
    edit_apart(&mut one, &mut two, &space);
}

#[test]
fn rich_fields_that_were_evicted_come_again_as_they_are_elsewhere_by_then() {
    let (mut one, mut two, space) = pair();
    want(&mut one, &mut two, &space);
    edit_apart(&mut one, &mut two, &space);
    for round in 0..3 {
        for log in two.replica.frontier(&space).unwrap() {
            let (writer, len) = (log.writer, log.len);
            two.replica
                .confirmed(&space, &writer, len, two.now)
                .unwrap();
        }
        assert_eq!(two.replica.trim(&space, two.now).unwrap(), 1);
        assert_eq!(shown(&two, &space), Value::Null);
        // What others make of it meanwhile.
        one.write(&space, &[typed(3, &format!("({round})")), grown("later")]);
        meet(&mut one, &mut two, &space);
        assert_eq!(shown(&two, &space), Value::Null);
        want(&mut one, &mut two, &space);
        assert_eq!(shown(&one, &space), shown(&two, &space));
        edit_apart(&mut one, &mut two, &space);
    }
}

#[test]
fn what_a_part_typed_reaches_others_by_somebody_who_has_all_but_that() {
    let (mut one, mut two, space) = pair();
    let mut three = person(3);
    share(&mut one, &mut three, &space, Role::Writer);
    want(&mut one, &mut two, &space);
    meet(&mut three, &mut two, &space);
    two.now = two.now.max(one.now) + 10;
    two.write(&space, &[typed(0, "relayed "), listed(json!("relayed"))]);
    // The part meets only the third, who meets the first.
    relay(&two, &mut three, &space, &[]);
    sync(&mut one, &mut three);
    fill(&mut one, &mut two, &space);
    let text = shown(&one, &space);
    assert!(text["body"].as_str().unwrap().starts_with("relayed "));
    assert_eq!(text, shown(&three, &space));
    assert_eq!(text, shown(&two, &space));
}
