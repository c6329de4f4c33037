//! Every lens, forth and back, and the revisions it refuses.

use serde_json::{Value, json};

use super::{chain, seen};
use crate::{
    AsideReason, Chain, Declaration, Known, Revision, RevisionId, SchemaError, Shown, Write, diff,
    lenses_from_json, preview,
};

/// Writes an object through a revision; the document as it is held then.
fn put(chain: &Chain, number: usize, held: &mut Value, value: Value) {
    let writes = seen(chain, number).put(held, &value, false).unwrap();
    for write in writes {
        crate::apply::apply(held, write);
    }
}

#[test]
fn a_renamed_field_is_one_field_to_old_and_new_apps() {
    let chain = chain(
        json!({"title": "string"}),
        &[json!([{"rename": {"from": "title", "to": "name"}}])],
    );
    let mut held = json!({});
    put(&chain, 1, &mut held, json!({"title": "a"}));
    assert_eq!(seen(&chain, 2).read(&held), json!({"name": "a"}));
    put(&chain, 2, &mut held, json!({"name": "b"}));
    assert_eq!(seen(&chain, 1).read(&held), json!({"title": "b"}));
    assert_eq!(held, json!({"title": "b"}));
}

#[test]
fn a_key_is_never_given_twice() {
    let chain = chain(
        json!({"due": "int"}),
        &[
            json!([{"remove": {"name": "due", "default": 0}}]),
            json!([{"add": {"name": "due", "field": "string?"}}]),
            json!([{"remove": "due"}, {"add": {"name": "due", "field": "bool?"}}]),
        ],
    );
    let mut held = json!({"due": 7});
    assert_eq!(seen(&chain, 3).read(&held), json!({}));
    put(&chain, 3, &mut held, json!({"due": "soon"}));
    put(&chain, 4, &mut held, json!({"due": true}));
    assert_eq!(held, json!({"due": 7, "due~2": "soon", "due~3": true}));
    for (number, due) in [(1, json!(7)), (3, json!("soon")), (4, json!(true))] {
        assert_eq!(seen(&chain, number).read(&held), json!({ "due": due }));
    }
}

#[test]
fn a_field_brought_back_has_what_it_held() {
    let chain = chain(
        json!({"due": "int?", "b": "int?"}),
        &[
            json!([{"remove": "due"}]),
            json!([{"add": {"name": "due", "field": "int?", "restore": true}}]),
        ],
    );
    let held = json!({"due": 7});
    assert_eq!(seen(&chain, 2).read(&held), json!({}));
    assert_eq!(seen(&chain, 3).read(&held), json!({"due": 7}));
}

#[test]
fn old_apps_see_a_default_for_a_field_that_new_apps_do_not_write() {
    let chain = chain(
        json!({"title": "string", "rank": "int"}),
        &[json!([{"remove": {"name": "rank", "default": 3}}])],
    );
    let mut held = json!({});
    put(&chain, 2, &mut held, json!({"title": "a"}));
    assert_eq!(
        seen(&chain, 1).read(&held),
        json!({"title": "a", "rank": 3})
    );
    assert_eq!(seen(&chain, 1).faults(&held), []);
    put(&chain, 1, &mut held, json!({"rank": 5}));
    assert_eq!(
        seen(&chain, 1).read(&held),
        json!({"title": "a", "rank": 5})
    );
}

#[test]
fn new_apps_see_a_default_in_documents_of_old_apps() {
    let chain = chain(
        json!({"title": "string"}),
        &[json!([{"add": {"name": "rank", "field": {"type": "int", "default": 1}}}])],
    );
    let held = json!({"title": "a"});
    assert_eq!(
        seen(&chain, 2).read(&held),
        json!({"title": "a", "rank": 1})
    );
    // Writing back what is seen changes nothing; saying it of the field writes it down.
    let back = seen(&chain, 2).read(&held);
    assert_eq!(seen(&chain, 2).put(&held, &back, true), Ok(vec![]));
    let path = ["rank".to_owned()];
    let writes = seen(&chain, 2).set(&held, &path, &json!(1)).unwrap();
    assert_eq!(writes.len(), 1);
}

#[test]
fn hoist_and_plunge_move_what_is_seen_and_not_what_is_held() {
    let chain = chain(
        json!({"name": "string?", "address": {"fields": {"city": "string?", "zip": "string?"}}}),
        &[
            json!([{"hoist": {"from": "address", "name": "city"}}]),
            json!([{"plunge": {"name": "name", "into": "person"}}]),
        ],
    );
    let mut held = json!({});
    put(
        &chain,
        1,
        &mut held,
        json!({"address": {"city": "Bern", "zip": "3000"}}),
    );
    let new = seen(&chain, 2).read(&held);
    assert_eq!(new, json!({"city": "Bern", "address": {"zip": "3000"}}));
    put(
        &chain,
        3,
        &mut held,
        json!({"city": "Thun", "person": {"name": "Ada"}}),
    );
    assert_eq!(
        held,
        json!({"address": {"city": "Thun", "zip": "3000"}, "name": "Ada"})
    );
    assert_eq!(
        seen(&chain, 1).read(&held),
        json!({"name": "Ada", "address": {"city": "Thun", "zip": "3000"}})
    );
}

#[test]
fn deleting_a_record_leaves_what_moved_out_of_it() {
    let chain = chain(
        json!({"address": {"type": "record?", "fields": {"city": "string?", "zip": "string?"}}}),
        &[json!([{"hoist": {"from": "address", "name": "city"}}])],
    );
    let held = json!({"address": {"city": "Bern", "zip": "3000"}});
    let path = ["address".to_owned()];
    let new = seen(&chain, 2);
    let writes = new.unset(&held, &path).unwrap();
    assert_eq!(preview(&new, &held, writes), json!({"city": "Bern"}));
    // The old app sees the city in the record, and deletes it with it.
    let old = seen(&chain, 1);
    let writes = old.unset(&held, &path).unwrap();
    assert_eq!(preview(&old, &held, writes), json!({}));
}

#[test]
fn a_wrapped_value_is_the_first_of_the_list_to_old_apps() {
    let chain = chain(json!({"mail": "string?"}), &[json!([{"wrap": "mail"}])]);
    let mut held = json!({});
    put(&chain, 1, &mut held, json!({"mail": "a"}));
    assert_eq!(seen(&chain, 2).read(&held), json!({"mail": ["a"]}));
    put(&chain, 2, &mut held, json!({"mail": ["b", "c"]}));
    assert_eq!(seen(&chain, 1).read(&held), json!({"mail": "b"}));
    // What the old app cannot see stays.
    put(&chain, 1, &mut held, json!({"mail": "d"}));
    assert_eq!(seen(&chain, 2).read(&held), json!({"mail": ["d", "c"]}));
    put(&chain, 2, &mut held, json!({"mail": []}));
    assert_eq!(seen(&chain, 1).read(&held), json!({}));
}

#[test]
fn the_head_of_a_list_is_written_without_losing_the_rest() {
    let list = json!({"type": "array?", "of": "string"});
    let chain = chain(json!({ "mail": list }), &[json!([{"head": "mail"}])]);
    let mut held = json!({"mail": ["a", "b"]});
    assert_eq!(seen(&chain, 2).read(&held), json!({"mail": "a"}));
    put(&chain, 2, &mut held, json!({"mail": "c"}));
    assert_eq!(seen(&chain, 1).read(&held), json!({"mail": ["c", "b"]}));
    let mut fresh = json!({});
    put(&chain, 2, &mut fresh, json!({"mail": "x"}));
    assert_eq!(seen(&chain, 1).read(&fresh), json!({"mail": ["x"]}));
}

#[test]
fn in_and_map_reach_into_records_maps_lists_and_sets() {
    let chain = chain(
        json!({
            "home": {"fields": {"street": "string?"}},
            "people": {"type": "map", "of": {"fields": {"nick": "string?"}}},
            "rows": {"type": "array?", "of": {"fields": {"q": "int"}}},
            "marks": {"type": "set", "of": "int"},
        }),
        &[json!([
            {"in": {"name": "home", "lenses": [{"rename": {"from": "street", "to": "road"}}]}},
            {"map": {"name": "people", "lenses": [{"rename": {"from": "nick", "to": "alias"}}]}},
            {"map": {"name": "rows", "lenses": [
                {"rename": {"from": "q", "to": "amount"}}, {"add": {"name": "unit", "field": "string?"}}]}},
            {"map": {"name": "marks", "lenses": [{"convert": {"name": "", "to": "int", "linear": {"mul": 10}}}]}},
        ])],
    );
    let mut held = json!({});
    let old = json!({
        "home": {"street": "s"}, "people": {"a": {"nick": "n"}}, "rows": [{"q": 1}, {"q": 2}], "marks": [1, 2]
    });
    put(&chain, 1, &mut held, old.clone());
    assert_eq!(held, old);
    assert_eq!(
        seen(&chain, 2).read(&held),
        json!({
            "home": {"road": "s"}, "people": {"a": {"alias": "n"}},
            "rows": [{"amount": 1}, {"amount": 2}], "marks": [10, 20]
        })
    );
    put(
        &chain,
        2,
        &mut held,
        json!({"rows": [{"amount": 1, "unit": "kg"}, {"amount": 2}], "people": {"b": {"alias": "m"}}, "marks": [20, 30]}),
    );
    assert_eq!(
        seen(&chain, 1).read(&held),
        json!({
            "home": {"street": "s"}, "people": {"a": {"nick": "n"}, "b": {"nick": "m"}},
            "rows": [{"q": 1}, {"q": 2}], "marks": [2, 3]
        })
    );
    // An old app that turns the rows around and changes one keeps the unit that it cannot see.
    put(&chain, 1, &mut held, json!({"rows": [{"q": 5}, {"q": 1}]}));
    assert_eq!(
        seen(&chain, 2).read(&held)["rows"],
        json!([{"amount": 5}, {"amount": 1, "unit": "kg"}])
    );
}

#[test]
fn convert_translates_by_a_table_or_a_line_and_refuses_what_has_no_way_back() {
    let chain = chain(
        json!({"level": {"type": "enum", "values": ["low", "high"]}, "temp": "float", "cents": "int"}),
        &[json!([
            {"convert": {"name": "level", "to": {"type": "int", "range": [1, 2]}, "table": [["low", 1], ["high", 2]]}},
            {"convert": {"name": "temp", "to": "float", "linear": {"mul": 9, "div": 5, "add": 32, "decimals": 3}}},
            {"convert": {"name": "cents", "to": "float", "linear": {"div": 100, "decimals": 2}}},
            {"rename": {"from": "cents", "to": "price"}},
        ])],
    );
    let mut held = json!({});
    put(
        &chain,
        1,
        &mut held,
        json!({"level": "low", "temp": 20.5, "cents": 1299}),
    );
    let new = seen(&chain, 2);
    assert_eq!(
        new.read(&held),
        json!({"level": 1, "temp": 68.9, "price": 12.99})
    );
    put(
        &chain,
        2,
        &mut held,
        json!({"level": 2, "temp": 212.0, "price": 0.5}),
    );
    assert_eq!(
        seen(&chain, 1).read(&held),
        json!({"level": "high", "temp": 100.0, "cents": 50})
    );
    let refused = new.put(&held, &json!({"price": 0.505}), false).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "price needs a number that older revisions can express, found the number 0.505"
    );
}

#[test]
fn what_a_lens_cannot_do_is_refused_with_the_reason() {
    let fields = json!({
        "title": "string", "n": "counter", "home": {"fields": {"city": "string?"}}, "level": "int"
    });
    for (lenses, reason) in [
        (
            json!([{"rename": {"from": "nothing", "to": "x"}}]),
            "there is no field \"nothing\"",
        ),
        (
            json!([{"rename": {"from": "title", "to": "n"}}]),
            "there is a field \"n\" already",
        ),
        (
            json!([{"remove": "title"}]),
            "apps of older revisions need \"title\"",
        ),
        (
            json!([{"remove": {"name": "title", "default": 3}}]),
            "the default of title needs text",
        ),
        (
            json!([{"add": {"name": "x", "field": "int"}}]),
            "give it a default, or make it optional",
        ),
        (
            json!([{"add": {"name": "x", "field": {"type": "int", "default": "a"}}}]),
            "the default of x needs an integer",
        ),
        (
            json!([{"add": {"name": "x", "field": "int?", "restore": true}}]),
            "no field \"x\" was removed here",
        ),
        (json!([{"wrap": "n"}]), "only a single value becomes a list"),
        (
            json!([{"head": "title"}]),
            "only an array has a first value",
        ),
        (
            json!([{"hoist": {"from": "title", "name": "x"}}]),
            "it has no fields of its own",
        ),
        (
            json!([{"plunge": {"name": "title", "into": "n"}}]),
            "it has no fields of its own",
        ),
        (
            json!([{"in": {"name": "n", "lenses": []}}]),
            "it has no fields of its own",
        ),
        (
            json!([{"map": {"name": "title", "lenses": [{"remove": "x"}]}}]),
            "is no map, list or set",
        ),
        (
            json!([{"convert": {"name": "n", "to": "int", "linear": {}}}]),
            "only single values are converted",
        ),
        (
            json!([{"convert": {"name": "title", "to": "int", "linear": {}}}]),
            "only numbers are multiplied",
        ),
        (
            json!([{"refine": {"name": "title", "field": "int"}}]),
            "its kind stays what it is",
        ),
        (
            json!([{"refine": {"name": "level", "field": {"type": "int", "range": [2, 1]}}}]),
            "nothing can be an integer",
        ),
    ] {
        let base = chain(fields.clone(), &[]);
        let revision = Revision {
            collection: "things".into(),
            parent: base.newest(),
            lenses: lenses_from_json(&lenses).unwrap(),
            indexes: Vec::new(),
            search: Vec::new(),
        };
        let error = base.make(&revision).unwrap_err().to_string();
        assert!(error.contains(reason), "{lenses}: {error}");
    }
}

#[test]
fn a_branch_is_refused_where_it_is_made() {
    let chain = chain(json!({"a": "int?"}), &[json!([{"remove": "a"}])]);
    let branch = Revision {
        collection: "things".into(),
        parent: Some(chain.find("1").unwrap()),
        lenses: lenses_from_json(&json!([{"rename": {"from": "a", "to": "b"}}])).unwrap(),
        indexes: Vec::new(),
        search: Vec::new(),
    };
    let error = chain.make(&branch).unwrap_err();
    assert!(
        matches!(&error, SchemaError::Branch { number: 2, newer, .. } if Some(*newer) == chain.newest())
    );
    assert!(error.to_string().contains("a chain has no branches"));
    // A second first revision is a branch too; the same one again is not.
    let other = Revision {
        parent: None,
        ..branch.clone()
    };
    assert!(matches!(
        chain.make(&other),
        Err(SchemaError::Branch { number: 1, .. })
    ));
    let orphan = Revision {
        parent: Some(RevisionId::from_bytes([7; 32])),
        ..branch
    };
    assert!(matches!(
        chain.make(&orphan),
        Err(SchemaError::NoParent { .. })
    ));
    let again = chain
        .revisions()
        .last()
        .map(|(_, _, revision)| revision.clone())
        .unwrap();
    assert_eq!(chain.make(&again).ok(), chain.newest());
}

#[test]
fn of_branches_that_arrive_the_earlier_is_followed_and_the_other_listed() {
    let chain = chain(json!({"a": "int?"}), &[]);
    let base = chain
        .revisions()
        .next()
        .map(|(_, _, revision)| revision.clone())
        .unwrap();
    let make = |parent: &Revision, lenses: Value| Revision {
        parent: Some(parent.id()),
        lenses: lenses_from_json(&lenses).unwrap(),
        ..base.clone()
    };
    let early = make(&base, json!([{"rename": {"from": "a", "to": "b"}}]));
    let late = make(&base, json!([{"rename": {"from": "a", "to": "c"}}]));
    let on_late = make(&late, json!([{"remove": "c"}]));
    let lost = make(&on_late, json!([{"add": {"name": "z", "field": "int?"}}]));
    let known = |revision: &Revision, made| Known {
        revision: revision.clone(),
        made,
    };
    let mut all = vec![
        known(&base, 1),
        known(&early, 5),
        known(&late, 6),
        known(&on_late, 7),
    ];
    let chain = Chain::build("things", all.clone());
    assert_eq!(chain.newest(), Some(early.id()));
    let aside: Vec<_> = chain
        .aside()
        .iter()
        .map(|aside| (aside.id, &aside.why))
        .collect();
    assert_eq!(
        aside,
        [
            (
                late.id(),
                &AsideReason::Branch {
                    followed: early.id()
                }
            ),
            (on_late.id(), &AsideReason::OfBranch { parent: late.id() }),
        ]
    );
    // The order of arrival says nothing.
    all.reverse();
    assert_eq!(Chain::build("things", all).newest(), Some(early.id()));
    // What waits for its parent is listed as that.
    let waiting = Chain::build("things", vec![known(&base, 1), known(&lost, 9)]);
    assert_eq!(
        waiting.aside()[0].why,
        AsideReason::NoParent {
            parent: on_late.id()
        }
    );
}

#[test]
fn a_declaration_becomes_lenses_by_comparison() {
    let old = Declaration::from_json(&json!({"fields": {
        "a": "int", "b": "string?", "home": {"fields": {"city": "string?"}},
        "rows": {"type": "array?", "of": {"fields": {"q": "int?"}}}
    }}))
    .unwrap();
    let new = Declaration::from_json(&json!({"fields": {
        "a": {"type": "int", "range": [0, 9]}, "c": "bool?", "home": {"fields": {"city": "string?", "zip": "string?"}},
        "rows": {"type": "array?", "of": {"fields": {"q": "int?", "u": "string?"}}}
    }}))
    .unwrap();
    let lenses = diff(&old.fields, &new.fields).unwrap();
    let base = chain(old.to_json()["fields"].clone(), &[]);
    let revision = Revision {
        collection: "things".into(),
        parent: base.newest(),
        lenses,
        indexes: Vec::new(),
        search: Vec::new(),
    };
    let known = base
        .revisions()
        .map(|(_, _, revision)| revision.clone())
        .chain([revision]);
    let chain = Chain::build(
        "things",
        known.map(|revision| Known { revision, made: 0 }).collect(),
    );
    let (_, fields) = chain.fields(&chain.newest().unwrap()).unwrap();
    assert_eq!(fields, new.fields);
    let other = Declaration::from_json(&json!({"fields": {"a": "string"}})).unwrap();
    assert!(diff(&old.fields, &other.fields).is_err());
}

#[test]
fn conditions_are_asked_of_what_is_held_only_where_it_is_what_is_seen() {
    let chain = chain(
        json!({"a": "int?", "t": "float?", "d": {"type": "int", "default": 1}, "n": "counter",
               "home": {"fields": {"city": "string?"}}, "m": {"type": "map", "of": "int"}, "x": "any?"}),
        &[json!([
            {"rename": {"from": "a", "to": "b"}}, {"hoist": {"from": "home", "name": "city"}},
            {"convert": {"name": "t", "to": "float", "linear": {"mul": 2}}}])],
    );
    let new = seen(&chain, 2);
    let key = |path: &[&str]| {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        new.key_path(&path).map(|key| {
            (
                key.path.join("/"),
                key.shown == Shown::AsHeld,
                key.keeps_order,
            )
        })
    };
    let at = |path: &str, exact, order| Some((path.to_owned(), exact, order));
    assert_eq!(key(&["b"]), at("a", true, true));
    assert_eq!(key(&["city"]), at("home/city", true, true));
    assert_eq!(key(&["t"]), at("t", false, true));
    assert_eq!(key(&["d"]), at("d", false, true));
    assert_eq!(key(&["n"]), at("n", false, true));
    assert_eq!(key(&["m", "k"]), at("m/k", true, true));
    assert_eq!(key(&["x", "y", "z"]), at("x/y/z", true, true));
    assert_eq!(key(&["a"]), None);
    assert_eq!(key(&["b", "c"]), None);
}

#[test]
fn a_default_stands_for_what_is_not_held_only_where_nothing_around_it_decides_that() {
    let chain = chain(
        json!({"d": {"type": "int", "default": 1},
               "home": {"type": "record?", "fields": {"floor": {"type": "int", "default": 0}}}}),
        &[],
    );
    let view = seen(&chain, 1);
    let shown = |path: &[&str]| {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        view.key_path(&path).unwrap().shown
    };
    assert_eq!(shown(&["d"]), Shown::OrElse(json!(1)));
    assert_eq!(shown(&["home", "floor"]), Shown::Otherwise);
    assert_eq!(view.read(&json!({})), json!({"d": 1}));
}

#[test]
fn what_older_replicas_hold_of_unknown_revisions_stays_in_what_is_held() {
    // The old replica knows the first revision only; a field of a later one is just another key.
    let old = chain(json!({"title": "string"}), &[]);
    let held = json!({"title": "a", "newer": {"deep": [1]}});
    let view = seen(&old, 1);
    assert_eq!(view.read(&held), json!({"title": "a"}));
    let writes = view.put(&held, &json!({"title": "b"}), true).unwrap();
    assert_eq!(
        writes,
        [Write::Set {
            path: vec!["title".into()],
            value: json!("b")
        }]
    );
}

#[test]
fn an_old_app_sees_a_default_where_a_newer_one_emptied_the_list() {
    let fields = json!({"mail": {"type": "string", "default": "none"}});
    let chain = chain(fields, &[json!([{"wrap": "mail"}])]);
    let held = json!({"mail": []});
    assert_eq!(seen(&chain, 1).read(&held), json!({"mail": "none"}));
    assert_eq!(seen(&chain, 2).read(&held), json!({"mail": []}));
}

#[test]
fn the_default_of_a_list_changes_with_its_items() {
    let levels = json!({"type": "enum", "values": ["a", "b"]});
    let rows = json!({"type": "array", "of": {"fields": {"q": levels}}, "default": [{"q": "a"}]});
    let table = json!([["a", "b"], ["b", "a"]]);
    let convert = json!({"convert": {"name": "q", "to": levels, "table": table}});
    let rename = json!({"rename": {"from": "q", "to": "level"}});
    let lens = json!([{"map": {"name": "rows", "lenses": [convert, rename]}}]);
    let chain = chain(json!({ "rows": rows }), &[lens]);
    assert_eq!(
        seen(&chain, 1).read(&json!({})),
        json!({"rows": [{"q": "a"}]})
    );
    assert_eq!(
        seen(&chain, 2).read(&json!({})),
        json!({"rows": [{"level": "b"}]})
    );
}
