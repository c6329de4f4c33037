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
