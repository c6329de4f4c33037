//! Deleting, purging and bringing back from the command line: each says what it did, and what it did not.

mod person;

use person::Person;

#[test]
fn deleting_purging_and_bringing_back_say_what_became_of_a_document() {
    let ada = Person::start("tower");
    ada.ask(&["space", "create", "work"]);
    ada.ask(&["put", "work/notes/one", "title=hello"]);
    let says = |args: &[&str]| {
        let said = ada.run(args);
        assert_eq!(said.code, 0, "{args:?}: {}", said.err);
        said.out
    };
    let nothing = says(&["delete", "work/notes/two"]);
    assert!(nothing.contains("nothing was deleted"), "{nothing}");
    assert!(!nothing.contains("Bring it back"), "{nothing}");
    assert!(says(&["delete", "work/notes/one"]).contains("Deleted work/notes/one."));
    let asked = ada.run(&["delete", "work/notes/one", "--purge"]);
    assert_ne!(asked.code, 0);
    assert!(asked.err.contains("--yes"), "{}", asked.err);
    let purge = ["delete", "work/notes/one", "--purge", "--yes"];
    let purged = says(&purge);
    assert!(purged.contains("Purged work/notes/one."), "{purged}");
    assert!(purged.contains("stead redact work/notes/one"), "{purged}");
    assert!(says(&purge).contains("nothing to purge"));
    assert!(says(&["history", "work/notes/one"]).contains("purged"));
    assert!(says(&["restore", "work/notes/one"]).contains("is back"));
    assert!(says(&["restore", "work/notes/one"]).contains("nothing to bring back"));
    assert!(says(&["get", "work/notes/one"]).contains("It has no fields"));
}

#[test]
fn of_several_documents_each_is_told_of_by_itself() {
    let ada = Person::start("tower");
    for space in ["work", "home-work"] {
        ada.ask(&["space", "create", space]);
        ada.ask(&["put", &format!("{space}/notes/one"), "title=hello"]);
    }
    let says = |args: &[&str]| {
        let said = ada.run(args);
        assert_eq!(said.code, 0, "{args:?}: {}", said.err);
        said.out
    };
    let (one, two, other) = ("work/notes/one", "work/notes/two", "home-work/notes/one");
    let said = says(&["delete", two, other, one]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "work/notes/two is not there: nothing was deleted.",
            "Deleted home-work/notes/one.",
            "Deleted work/notes/one.",
        ]
    );
    assert!(said.contains("stead restore home-work/notes/one"), "{said}");
    // One transaction for each space, however often and in whatever order it is named.
    let log = |space: &str| says(&["log", space]).matches("notes/").count();
    assert_eq!(
        (log("work"), log("home-work")),
        (2, 2),
        "{}",
        says(&["log", "work"])
    );
    let said = ada.run(&["restore", two, other, one, "--json"]);
    let answers: Vec<serde_json::Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 2, "{}", said.out);
    assert_eq!(answers[0]["ids"], serde_json::json!(["two", "one"]));
    assert_eq!(answers[0]["changed"], serde_json::json!([false, true]));
    assert_eq!(answers[1]["changed"], serde_json::json!([true]));
    let said = says(&["delete", one, two, "--purge", "--yes"]);
    assert!(said.contains("Purged work/notes/one."), "{said}");
    assert!(said.contains("work/notes/two holds nothing"), "{said}");
    let said = says(&["restore", two, one]);
    assert!(said.contains("work/notes/two was not deleted"), "{said}");
    assert!(said.contains("work/notes/one is back."), "{said}");
}
