//! Texts edited in parts, from the command line, with a real node.

mod person;

use person::Person;

#[test]
fn an_export_of_a_large_text_shows_what_was_typed_last() {
    let ada = Person::start("laptop");
    ada.ask(&["space", "create", "family"]);
    let long = "x".repeat(40_000);
    let insert = ["text", "insert", "family/notes/plan", "body"];
    ada.ask(&[&insert[..], &[&long]].concat());
    let mut wanted = long;
    for (at, typed) in ["one ", "two ", "three "].iter().enumerate() {
        let at = (at * 4).to_string();
        ada.ask(&[&insert[..], &[typed, "--at", &at]].concat());
        wanted.insert_str(at.parse().unwrap(), typed);
        // Nobody read it in between.
        let said = ada.run(&["export", "json", "--from", "family/notes"]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(said.json()[0]["body"], wanted);
    }
}
