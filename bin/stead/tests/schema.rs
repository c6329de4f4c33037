//! Schemas from the command line, with a real node: declared, evolved, kept to, and spoken in two revisions at
//! once.

mod person;

use person::Person;
use serde_json::json;

const PEOPLE: &str = r#"{"fields": {
    "name": {"type": "string", "length": [1, 20]}, "born": "int?", "tags": {"type": "set", "of": "string"},
    "home": {"type": "record?", "fields": {"city": "string?"}}, "friend": {"type": "ref?", "to": "people"},
    "level": {"type": "enum", "values": ["low", "high"], "default": "low"}
}, "indexes": [["born"]]}"#;

fn with_people() -> Person {
    let ada = Person::start("laptop");
    ada.ask(&["space", "create", "family"]);
    let made = ada.ask(&["schema", "set", "family/people", PEOPLE]);
    assert_eq!(made["revision"]["number"], 1);
    ada
}

#[test]
fn a_wrong_write_is_refused_in_one_sentence() {
    let ada = with_people();
    let refused = ada.run(&["put", "family/people/ada", "name=Ada", "born=soon"]);
    assert_eq!(refused.code, 5, "{}", refused.err);
    let message = "people/ada: born needs an integer, found the text \"soon\".";
    assert!(refused.err.contains(message), "{}", refused.err);
    assert_eq!(
        ada.run(&["put", "family/people/ada", "name=Ada", "born=1815"])
            .code,
        0
    );
    let got = ada.ask(&["get", "family/people/ada"]);
    assert_eq!(
        got["value"],
        json!({"name": "Ada", "born": 1815, "level": "low", "tags": []})
    );
}

#[test]
fn two_revisions_are_spoken_at_once() {
    let ada = with_people();
    ada.ask(&[
        "put",
        "family/people/ada",
        "name=Ada",
        "born=1815",
        "home.city=London",
    ]);
    let step = [
        "schema",
        "evolve",
        "family/people",
        "--rename",
        "name=called",
        "--hoist",
        "home.city",
        "--add",
        "nick=string?",
    ];
    let dry = ada.ask(&[&step[..], &["--dry-run"]].concat());
    assert_eq!(dry["revision"]["number"], 2);
    assert_eq!(
        ada.ask(&["schema", "show", "family/people"])["schemas"][0]["revisions"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let made = ada.ask(&step);
    assert_eq!(
        made["revision"]["declaration"]["indexes"],
        json!([["born"]])
    );
    let new = ada.ask(&["get", "family/people/ada"])["value"].clone();
    let home = new.get("home").cloned().unwrap_or(json!({}));
    assert_eq!(home, json!({}));
    assert_eq!(
        (&new["called"], &new["city"], &new["born"]),
        (&json!("Ada"), &json!("London"), &json!(1815))
    );
    let old = |id: &str| {
        ada.ask(&["get", &format!("family/people/{id}"), "--revision", "1"])["value"].clone()
    };
    assert_eq!(old("ada")["home"], json!({"city": "London"}));
    // A new app adds what the old one does not see; the old one replaces all that it sees.
    ada.ask(&["put", "family/people/ada", "nick=Countess"]);
    ada.ask(&[
        "put",
        "family/people/ada",
        r#"{"name": "Ada L"}"#,
        "--replace",
        "--revision",
        "1",
    ]);
    let value = ada.ask(&["get", "family/people/ada"])["value"].clone();
    assert_eq!(
        value,
        json!({"called": "Ada L", "nick": "Countess", "level": "low", "tags": []})
    );
    let held = ada.ask(&["get", "family/people/ada", "--revision", "none"])["value"].clone();
    assert_eq!(held, json!({"name": "Ada L", "nick": "Countess"}));
    assert_eq!(
        ada.run(&["get", "family/people/ada", "--revision", "7"])
            .code,
        2
    );
    // Conditions and orders speak the revision too, converted fields and defaults included.
    ada.ask(&[
        "put",
        "family/people/bob",
        "called=Bob",
        "born=1900",
        "city=Bern",
        "level=high",
    ]);
    let found = |args: &[&str]| {
        let docs = ada.ask(&[&["query", "family/people"], args].concat())["docs"].clone();
        docs.as_array()
            .unwrap()
            .iter()
            .map(|doc| doc["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&["--where", "city=Bern"]), ["bob"]);
    assert_eq!(
        found(&["--where", "home.city=Bern", "--revision", "1"]),
        ["bob"]
    );
    assert_eq!(found(&["--where", "level=low"]), ["ada"]);
    assert_eq!(found(&["--sort", "-called"]), ["bob", "ada"]);
    assert_eq!(
        found(&["--sort", "-name", "--revision", "1"]),
        ["bob", "ada"]
    );
    assert_eq!(
        ada.run(&["query", "family/people", "--where", "name=Bob"])
            .code,
        2
    );
}

#[test]
fn what_breaks_a_rule_is_shown_by_check_and_doctor() {
    let ada = Person::start("laptop");
    ada.ask(&["space", "create", "family"]);
    ada.ask(&[
        "put",
        "family/people/odd",
        "name=7",
        "friend=nobody",
        "stray=1",
    ]);
    ada.ask(&["schema", "set", "family/people", PEOPLE]);
    let checked = ada.run(&["schema", "check", "family", "--json"]);
    assert_eq!(checked.code, 7, "{}", checked.err);
    let faults = checked.json()["faults"].clone();
    let paths: Vec<&str> = faults
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["name", "friend", "stray"]);
    assert!(
        ada.run(&["doctor"])
            .out
            .contains("people/odd: name needs text")
    );
    let got = ada.ask(&["get", "family/people/odd"]);
    assert_eq!(
        got["faults"][0],
        "name needs text of 1 to 20 characters, found the number 7"
    );
    ada.ask(&["put", "family/people/odd", "name=Even", "friend=odd"]);
    assert!(!ada.run(&["doctor"]).out.contains("name needs text"));
}

#[test]
fn a_schema_is_compared_and_turned_into_types() {
    let ada = with_people();
    let again = ada.run(&["schema", "set", "family/people", PEOPLE]);
    assert!(again.out.contains("Nothing to change"), "{}", again.out);
    let changed = PEOPLE.replace(
        "\"born\": \"int?\"",
        "\"born\": \"int?\", \"mail\": \"string?\"",
    );
    let diff = ada.ask(&["schema", "diff", "family/people", &changed]);
    assert_eq!(
        diff["lenses"],
        json!([{"add": {"name": "mail", "field": "string?"}}])
    );
    ada.ask(&["schema", "set", "family/people", &changed]);
    assert_eq!(
        ada.ask(&["schema", "diff", "family/people"])["lenses"],
        diff["lenses"]
    );
    let types = ada.run(&["schema", "types", "family/people", "--ts"]);
    assert!(
        types.out.contains("export interface People {"),
        "{}",
        types.out
    );
    assert!(
        types.out.contains("level: \"low\" | \"high\";"),
        "{}",
        types.out
    );
    let refused = ada.run(&["schema", "evolve", "family/people", "--rename", "nothing=x"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(
        refused.err.contains("there is no field \"nothing\""),
        "{}",
        refused.err
    );
    let refused = ada.run(&["put", "family/@schema/people", "x=1"]);
    assert!(
        refused.err.contains("kept by Stead itself"),
        "{}",
        refused.err
    );
}
