//! Refusals of wrong writes, and faults in what came from elsewhere.

use serde_json::{Value, json};

use super::{chain, seen};
use crate::limits::FAULTS_MAX;
use crate::{Declaration, Projection, Write, typescript};

fn things() -> Value {
    json!({
        "name": {"type": "string", "length": [1, 5]},
        "age": {"type": "int", "range": [0, 150], "optional": true},
        "kind": {"type": "enum", "values": ["a", "b"], "default": "a"},
        "born": "date-time?",
        "visits": "counter",
        "tags": {"type": "set", "of": "string"},
        "rows": {"type": "array?", "of": "int", "unique": true, "length": [null, 3]},
        "home": {"type": "record?", "fields": {"city": "string", "zip": "string?"}},
        "friend": {"type": "ref?", "to": "people"},
        "others": {"type": "set", "of": "ref"},
        "scores": {"type": "map", "of": {"type": "int", "range": [0, 9]}},
    })
}

#[test]
fn a_wrong_write_names_path_expected_and_found() {
    let view = seen(&chain(things(), &[]), 1);
    let held = json!({"name": "x"});
    for (value, message) in [
        (
            json!({"name": 3}),
            "name needs text of 1 to 5 characters, found the number 3",
        ),
        (
            json!({"name": "sixsix"}),
            "name needs text of 1 to 5 characters, found the text \"sixsix\"",
        ),
        (
            json!({"age": 151}),
            "age needs an integer of 0 to 150, found the number 151",
        ),
        (
            json!({"age": null}),
            "age needs an integer of 0 to 150, found null",
        ),
        (
            json!({"kind": "c"}),
            "kind needs one of a, b, found the text \"c\"",
        ),
        (
            json!({"born": "1815"}),
            "born needs a date-time such as 2026-11-27T02:37:59.000Z, in UTC with milliseconds, found the text \"1815\"",
        ),
        (
            json!({"tags": [1]}),
            "tags[0] needs text, found the number 1",
        ),
        (
            json!({"tags": ["a", "a"]}),
            "tags needs each element once, found the text \"a\" twice",
        ),
        (
            json!({"rows": [1, 1]}),
            "rows needs a list without repetitions, found the number 1 twice",
        ),
        (
            json!({"rows": [1, 2, 3, 4]}),
            "rows needs a list of at most 3, found a list of 4",
        ),
        (
            json!({"home": {"town": "x"}}),
            "home.town needs one of the fields city, zip, found a field that the schema does not name",
        ),
        (
            json!({"home": 1}),
            "home needs a map of its fields, found the number 1",
        ),
        (
            json!({"scores": {"a": 10}}),
            "scores.a needs an integer of 0 to 9, found the number 10",
        ),
        (
            json!({"friend": "a/b"}),
            "friend needs the id of a document in \"people\", found the text \"a/b\"",
        ),
        (
            json!(7),
            "the document needs a map of fields, found the number 7",
        ),
    ] {
        let refused = view.put(&held, &value, false).unwrap_err();
        assert_eq!(refused.to_string(), message, "{value}");
    }
    let path = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        view.add(&path(&["age"]), 1).unwrap_err().to_string(),
        "age needs an integer of 0 to 150, found an addition, which only a counter takes"
    );
    assert!(
        view.element(&held, &path(&["rows"]), &json!(1), true)
            .is_err()
    );
    assert!(
        view.element(&held, &path(&["tags"]), &json!(1), true)
            .is_err()
    );
    assert!(view.unset(&held, &path(&["name"])).is_err());
    assert!(view.set(&held, &path(&["rows", "0"]), &json!(1)).is_err());
    assert!(view.set(&held, &[], &json!(1)).is_err());
    assert!(view.put(&held, &json!({}), true).is_err());
}

#[test]
fn a_document_without_a_field_that_every_one_has_is_found() {
    let view = seen(&chain(things(), &[]), 1);
    let missing = |held: Value| {
        let seen = view.read(&held);
        view.missing(&seen)
            .into_iter()
            .map(|fault| fault.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(missing(json!({})), ["name"]);
    assert_eq!(missing(json!({"name": "x"})), Vec::<String>::new());
    assert_eq!(
        missing(json!({"name": "x", "home": {"zip": "1"}})),
        ["home.city"]
    );
}

#[test]
fn what_breaks_a_rule_is_seen_as_it_is_and_listed() {
    let view = seen(&chain(things(), &[]), 1);
    let held = json!({"name": 7, "age": 200, "visits": "x", "tags": ["a"], "home": {"zip": 1}});
    let shown = view.read(&held);
    assert_eq!(shown["name"], 7);
    let paths: Vec<String> = view
        .faults(&held)
        .into_iter()
        .map(|fault| fault.path)
        .collect();
    assert_eq!(paths, ["age", "home.city", "home.zip", "name", "visits"]);
    // It does not keep other fields from being written, nor from being written back as it is.
    assert_eq!(view.put(&held, &shown, true), Ok(vec![]));
    assert_eq!(
        view.put(&held, &json!({"age": 20}), false),
        Ok(vec![Write::Set {
            path: vec!["age".into()],
            value: json!(20)
        }])
    );
}

#[test]
fn no_document_is_reported_with_more_faults_than_the_limit() {
    let view = seen(&chain(json!({"m": {"type": "map", "of": "int"}}), &[]), 1);
    let entries: serde_json::Map<String, Value> = (0..FAULTS_MAX + 5)
        .map(|i| (format!("k{i}"), json!("x")))
        .collect();
    assert_eq!(view.faults(&json!({ "m": entries })).len(), FAULTS_MAX);
}

#[test]
fn nobody_wrote_a_counter_a_set_or_a_map_and_they_show_themselves_empty() {
    let view = seen(&chain(things(), &[]), 1);
    assert_eq!(
        view.read(&json!({"name": "x"})),
        json!({"name": "x", "kind": "a", "visits": 0, "tags": [], "others": [], "scores": {}})
    );
}

#[test]
fn a_set_is_written_by_its_differences() {
    let view = seen(&chain(things(), &[]), 1);
    let held = json!({"name": "x", "tags": ["a", "b"]});
    let path = || vec!["tags".to_owned()];
    assert_eq!(
        view.put(&held, &json!({"tags": ["c", "b"]}), false),
        Ok(vec![
            Write::Exclude {
                path: path(),
                element: json!("a")
            },
            Write::Include {
                path: path(),
                element: json!("c")
            },
        ])
    );
}

#[test]
fn references_are_found_wherever_they_stand() {
    let view = seen(&chain(things(), &[]), 1);
    let shown = view.read(&json!({"name": "x", "friend": "ada", "others": ["cities/bern"]}));
    let found: Vec<String> = view
        .references(&shown)
        .into_iter()
        .map(|to| format!("{} -> {}/{}", to.path, to.collection, to.id))
        .collect();
    assert_eq!(found, ["friend -> people/ada", "others[0] -> cities/bern"]);
}

#[test]
fn a_declaration_reads_back_from_its_json() {
    let json = json!({"fields": things(), "indexes": [["-age", "name"], ["home.city"]], "search": ["name"]});
    let declared = Declaration::from_json(&json).unwrap();
    assert_eq!(
        Declaration::from_json(&declared.to_json()),
        Ok(declared.clone())
    );
    for wrong in [
        json!({}),
        json!({"fields": {"a": "nothing"}}),
        json!({"fields": {"a": {"type": "int", "length": [1, 2]}}}),
        json!({"fields": {"a": {"type": "set"}}}),
        json!({"fields": {"a": {"type": "string", "pattern": "("}}}),
        json!({"fields": {"a": "int"}, "more": 1}),
    ] {
        let error = Declaration::from_json(&wrong).unwrap_err().to_string();
        assert!(!error.is_empty(), "{wrong}");
    }
}

#[test]
fn typescript_types_say_what_reads_give() {
    let fields = Declaration::from_json(&json!({"fields": {
        "name": "string", "age?x": "int?", "kind": {"type": "enum", "values": ["a", "b"]},
        "tags": {"type": "set", "of": {"type": "enum", "values": ["p", "q"]}},
        "home": {"fields": {"city": "string"}}, "m": {"type": "map", "of": "bool"}
    }}))
    .unwrap()
    .fields;
    let text = typescript("to-do items", 2, "abcd", &fields);
    for line in [
        "export interface ToDoItems {",
        "  \"age?x\"?: number;",
        "  home: {\n    city: string;\n  };",
        "  kind: \"a\" | \"b\";",
        "  m: Record<string, boolean>;",
        "  tags: (\"p\" | \"q\")[];",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn replacing_without_a_record_keeps_what_was_moved_out_of_it() {
    let moved = json!([{"hoist": {"from": "home", "name": "city"}}]);
    let fields = json!({
        "home": {"type": "record?", "fields": {"city": "string?", "zip": "string?"}}
    });
    let view = seen(&chain(fields, &[moved]), 2);
    let held = json!({"home": {"zip": "3000"}});
    let mut now = held.clone();
    for write in view.put(&held, &json!({"city": "Bern"}), true).unwrap() {
        write.apply(&mut now);
    }
    assert_eq!(now, json!({"home": {"city": "Bern"}}));
    assert_eq!(view.read(&now), json!({"city": "Bern"}));
}

/// What is held after a put, as a document without concurrent changes would hold it.
fn after(view: &Projection, held: &Value, value: Value, replace: bool) -> Value {
    let mut now = held.clone();
    for write in view.put(held, &value, replace).unwrap() {
        write.apply(&mut now);
    }
    now
}

#[test]
fn a_record_does_not_appear_because_the_last_field_moved_out_of_it_is_deleted() {
    let moved = json!([{"hoist": {"from": "home", "name": "city"}}]);
    let fields = json!({
        "home": {"type": "record?", "fields": {"city": "string?", "tags": {"type": "set", "of": "int"}}}
    });
    let view = seen(&chain(fields, &[moved]), 2);
    let held = json!({"home": {"city": "Bern"}});
    assert_eq!(view.read(&held), json!({"city": "Bern"}));
    assert_eq!(after(&view, &held, json!({}), true), json!({}));
}

#[test]
fn a_record_that_was_said_to_hold_a_default_is_seen_though_hidden_fields_are_in_its_place() {
    let removed = json!([{"in": {"name": "home", "lenses": [{"remove": {"name": "city"}}]}}]);
    let fields = json!({
        "home": {"type": "record?", "fields": {"city": "string?", "floor": {"type": "int", "default": 0}}}
    });
    let view = seen(&chain(fields, &[removed]), 2);
    let held = json!({"home": {"city": "Bern"}});
    assert_eq!(view.read(&held), json!({}));
    let now = after(&view, &held, json!({"home": {"floor": 0}}), true);
    assert_eq!(now, json!({"home": {"city": "Bern", "floor": 0}}));
    // It is deleted again without what is hidden.
    assert_eq!(after(&view, &now, json!({}), true), held);
}

#[test]
fn an_empty_record_is_seen_until_it_is_deleted() {
    let fields = json!({"m": {"type": "record?", "fields": {"a": "int?"}}});
    let view = seen(&chain(fields, &[]), 1);
    let now = after(&view, &json!({}), json!({"m": {}}), false);
    assert_eq!(view.read(&now), json!({"m": {}}));
    assert_eq!(after(&view, &now, json!({}), true), json!({}));
}

#[test]
fn that_a_record_is_there_is_said_beside_its_fields_and_takes_none_of_them() {
    let home = json!({"city": "string?", "visits": "counter"});
    let added =
        json!([{"in": {"name": "home", "lenses": [{"add": {"name": "floor", "field": "int?"}}]}}]);
    let fields = json!({
        "home": {"type": "record?", "fields": home},
        "homes": {"type": "map", "of": {"fields": home}},
    });
    let chain = chain(fields, &[added]);
    let (old, new) = (seen(&chain, 1), seen(&chain, 2));
    let path = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let mark = |names: &[&str]| {
        Ok(vec![Write::Set {
            path: path(names),
            value: json!(true),
        }])
    };
    let held = json!({});
    let put = |value| old.put(&held, &value, false);
    assert_eq!(put(json!({"home": {}})), mark(&["home", "~"]));
    assert_eq!(put(json!({"home": {"visits": 0}})), mark(&["home", "~"]));
    assert_eq!(
        put(json!({"homes": {"sea": {}}})),
        mark(&["homes", "sea", "~"])
    );
    let visits = path(&["home", "visits"]);
    assert_eq!(old.set(&held, &visits, &json!(0)), mark(&["home", "~"]));
    // It stays when a newer app writes what the older one does not see, and goes with the record.
    let now = after(
        &new,
        &json!({"home": {"~": true}}),
        json!({"home": {"floor": 3}}),
        false,
    );
    assert_eq!(old.read(&now), json!({"home": {"visits": 0}, "homes": {}}));
    let gone = after(&old, &now, json!({}), true);
    assert_eq!(gone, json!({"home": {"floor": 3}}));
    assert_eq!(old.read(&gone), json!({"homes": {}}));
    // No field is held under the mark's name.
    let fields = json!({"r": {"type": "record?", "fields": {"~": "int?"}}});
    let view = seen(&super::chain(fields, &[]), 1);
    assert_eq!(
        view.key_path(&path(&["r", "~"])).map(|key| key.path),
        Some(path(&["r", "~~2"]))
    );
}

#[test]
fn an_app_that_has_not_heard_of_a_list_sees_its_first_value_and_leaves_the_rest() {
    let view = seen(&chain(json!({"mail": "string?"}), &[]), 1);
    let held = json!({"mail": ["x", "y"]});
    assert_eq!(view.read(&held), json!({"mail": "x"}));
    let now = after(&view, &held, json!({"mail": "z"}), false);
    assert_eq!(now, json!({"mail": ["z", "y"]}));
    let faults = view.faults(&held);
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].to_string(), "mail needs text, found a list");
    // Nor does it delete what it does not see.
    let held = json!({"mail": []});
    assert_eq!(after(&view, &held, json!({}), true), held);
}

#[test]
fn an_entry_of_a_map_is_deleted_whole() {
    let removed = json!([{"map": {"name": "people", "lenses": [{"remove": {"name": "age"}}]}}]);
    let fields = json!({
        "people": {"type": "map", "of": {"fields": {"nick": "string?", "age": "int?"}}}
    });
    let view = seen(&chain(fields, &[removed]), 2);
    let held = json!({"people": {"ada": {"nick": "a", "age": 36}, "ben": {"age": 4}}});
    let path: Vec<String> = ["people", "ada"].map(str::to_owned).into();
    assert_eq!(
        view.unset(&held, &path),
        Ok(vec![Write::Unset { path: path.clone() }])
    );
    let kept = json!({"people": {"ben": {}}});
    assert_eq!(
        view.put(&held, &kept, true),
        Ok(vec![Write::Unset { path }])
    );
}

#[test]
fn a_record_is_deleted_field_by_field_so_that_what_is_written_elsewhere_meanwhile_stays() {
    let moved = json!([{"hoist": {"from": "home", "name": "city"}}]);
    let fields = json!({
        "home": {"type": "record?", "fields": {"city": "string?", "zip": "string?"}}
    });
    let view = seen(&chain(fields, &[moved]), 2);
    let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let unset = |names: &[&str]| Write::Unset { path: path(names) };
    // The place of the record is empty by then, unless it was made as an empty one.
    assert_eq!(
        view.unset(&json!({"home": {"zip": "3000"}}), &["home".to_owned()]),
        Ok(vec![unset(&["home", "zip"]), unset(&["home"])])
    );
}

#[test]
fn an_element_is_taken_out_in_every_form_that_shows_as_it() {
    let levels = json!({"type": "enum", "values": ["low", "high"]});
    let table = json!([[1, "low"], [2, "low"], [3, "high"]]);
    let convert = json!({"convert": {"name": "", "to": levels, "table": table}});
    let fields = json!({"tags": {"type": "set", "of": "int"}});
    let chain = chain(
        fields,
        &[json!([{"map": {"name": "tags", "lenses": [convert]}}])],
    );
    let path = vec!["tags".to_owned()];
    let held = json!({"tags": [1, 2, 3]});
    let exclude = |element: i64| Write::Exclude {
        path: path.clone(),
        element: json!(element),
    };
    assert_eq!(
        seen(&chain, 2).element(&held, &path, &json!("low"), false),
        Ok(vec![exclude(1), exclude(2)])
    );
    // What is not there is taken out in the form that it would be written in.
    assert_eq!(
        seen(&chain, 2).element(&json!({}), &path, &json!("low"), false),
        Ok(vec![exclude(1)])
    );
}
