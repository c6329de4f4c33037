//! Keeping a part of a space from the command line, with real nodes: what is chosen comes, what is not says so.

mod person;

use person::{Person, eventually};

fn holds(of: &Person, document: &str) -> bool {
    let (collection, id) = document.rsplit_once('/').expect("COLLECTION/ID");
    let said = of.run(&["query", collection, "--json"]);
    said.code == 0 && said.out.contains(&format!("\"id\":\"{id}\""))
}

/// Ada's space with two collections, and Ben who joins it with what he keeps of it.
fn pair(keep: &[&str]) -> (Person, Person) {
    let (ada, ben) = (Person::start("tower"), Person::start("phone"));
    ada.ask(&["space", "create", "work"]);
    for id in ["one", "two", "three"] {
        ada.ask(&["put", &format!("work/notes/{id}"), "by=ada", "n=1"]);
        ada.ask(&["put", &format!("work/songs/{id}"), "by=ada", "n=2"]);
    }
    let invite = ada.ask(&["share", "work"])["invite"]
        .as_str()
        .expect("an invite")
        .to_owned();
    ben.ask(&[&["join", &invite], keep].concat());
    (ada, ben)
}

#[test]
fn a_part_is_chosen_shown_changed_and_made_whole_again() {
    let (_ada, ben) = pair(&["--keep", "notes"]);
    eventually("what was chosen", || holds(&ben, "work/notes/three"));
    let kept = ben.ask(&["space", "keep", "work"]);
    assert_eq!(kept["partial"], true);
    assert_eq!(kept["keep"]["collections"][0], "notes");
    assert!(!holds(&ben, "work/songs/one"));
    // Another part, and then a document by itself.
    let said = ben.run(&["space", "keep", "work", "--collection", "songs"]);
    assert_eq!(said.code, 0, "{}", said.err);
    eventually("the other part", || holds(&ben, "work/songs/three"));
    assert!(!holds(&ben, "work/notes/one"), "it went");
    ben.ask(&["space", "keep", "work", "--document", "notes/two"]);
    eventually("one document", || holds(&ben, "work/notes/two"));
    assert!(!holds(&ben, "work/songs/one") && !holds(&ben, "work/notes/one"));
    // What is looked at comes, too.
    assert_eq!(ben.run(&["get", "work/songs/one"]).code, 0);
    let refused = ben.run(&["space", "keep", "work", "--all", "--on-demand"]);
    assert_ne!(refused.code, 0);
    ben.ask(&["space", "keep", "work", "--all"]);
    eventually("all of it", || {
        holds(&ben, "work/songs/three") && holds(&ben, "work/notes/three")
    });
    assert_eq!(ben.ask(&["space", "keep", "work"])["partial"], false);
}

#[test]
fn an_answer_from_a_part_says_that_there_may_be_more() {
    let (ada, ben) = pair(&["--keep", "notes"]);
    eventually("what was chosen", || holds(&ben, "work/notes/three"));
    assert_eq!(ben.run(&["get", "work/songs/one"]).code, 0);
    let partial = |args: &[&str]| {
        let words = ben.run(args);
        let json = ben.run(&[args, &["--json"]].concat());
        assert_eq!((words.code, json.code), (0, 0), "{}{}", words.err, json.err);
        let told = words.err.contains("keeps only a part");
        assert_eq!(told, json.json()["partial"] == true, "{args:?}");
        told
    };
    for (collection, is_partial) in [("work/notes", false), ("work/songs", true)] {
        for asked in [
            &["query", collection][..],
            &["query", collection, "--count"],
            &["query", collection, "--group", "by"],
        ] {
            assert_eq!(partial(asked), is_partial, "{asked:?}");
        }
    }
    assert!(!partial(&["sql", "work", "SELECT n FROM notes"]));
    assert!(partial(&["sql", "work", "SELECT n FROM songs"]));
    // Where all is kept there is nothing to say.
    let whole = ada.ask(&["sql", "work", "SELECT n FROM songs"]);
    assert!(whole["partial"].is_null(), "{whole}");
}
