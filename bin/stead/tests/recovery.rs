//! Coming back with recovery words, and guardians, from the command line with real nodes.

mod person;

use std::fs;

use person::{Person, eventually};

/// Ada's words in a file beside her data, and where her device is reached.
fn words_and_place(ada: &Person) -> (String, String) {
    let words = ada.ask(&["identity", "phrase"])["words"].clone();
    let words: Vec<&str> = words
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    let file = ada.home().join("words.txt");
    fs::write(&file, words.join("\n")).unwrap();
    let places = ada.ask(&["identity"])["places"].clone();
    let place = places[0].as_str().unwrap().to_owned();
    (file.to_str().unwrap().to_owned(), place)
}

#[test]
fn the_words_bring_everything_back_onto_an_empty_device() {
    let ada = Person::start("laptop");
    ada.ask(&["space", "create", "notes"]);
    ada.ask(&["put", "notes/pages/one", "title=before"]);
    let (words, place) = words_and_place(&ada);
    let new = Person::start("desk");
    // Somebody has to say what is lost.
    let asked = new.run(&["recover", "--words-from", &words, "--at", &place]);
    assert_eq!(asked.code, 2, "{}", asked.err);
    let back = [
        "recover",
        "--words-from",
        &words,
        "--at",
        &place,
        "--yes",
        "--wait",
        "60",
        "--json",
    ];
    let said = new.run(&back);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let back = said.json();
    assert_eq!(back["spaces"].as_array().unwrap().len(), 2, "{back}");
    // The laptop answers, so it is not lost.
    assert_eq!(back["removed"].as_array().unwrap().len(), 0, "{back}");
    assert_eq!(new.identity(), ada.identity());
    assert_eq!(
        new.ask(&["get", "notes/pages/one"])["value"]["title"],
        "before"
    );
    eventually("the laptop says that a device came", || {
        ada.run(&["status"]).out.contains("desk")
    });
    // A second person's device with data of its own is left alone.
    let ben = Person::start("tower");
    ben.ask(&["space", "create", "own"]);
    let refused = ben.run(&[
        "recover",
        "--words-from",
        &words,
        "--at",
        &place,
        "--keep-devices",
    ]);
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert!(refused.err.contains("empty data folder"), "{}", refused.err);
}

#[test]
fn nobody_reached_is_said_plainly_and_nothing_is_given_up() {
    let ada = Person::start("laptop");
    let (words, _) = words_and_place(&ada);
    let new = Person::start("desk");
    let before = new.identity();
    let said = new.run(&[
        "recover",
        "--words-from",
        &words,
        "--keep-devices",
        "--wait",
        "1",
    ]);
    assert_eq!(said.code, 9, "{}", said.err);
    assert!(said.err.contains("No device was reached"), "{}", said.err);
    assert_eq!(new.identity(), before);
    let wrong = ada.home().join("wrong.txt");
    fs::write(&wrong, "abandon abandon").unwrap();
    let refused = new.run(&[
        "recover",
        "--words-from",
        wrong.to_str().unwrap(),
        "--keep-devices",
    ]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("24 words"), "{}", refused.err);
}

#[test]
fn guardians_are_contacts_with_whom_a_space_is_shared_and_each_keeps_a_share() {
    let (ada, ben, cleo) = (
        Person::start("laptop"),
        Person::start("tower"),
        Person::start("phone"),
    );
    assert!(ada.run(&["guardians"]).out.contains("no guardians"));
    assert_eq!(
        ada.run(&["guardians", "set", "-k", "2", "ben", "cleo", "--yes"])
            .code,
        4
    );
    ada.ask(&["space", "create", "family"]);
    for (name, person) in [("ben", &ben), ("cleo", &cleo)] {
        ada.ask(&["contact", "add", name, &person.identity()]);
    }
    let unreachable = ada.run(&["guardians", "set", "-k", "2", "ben", "cleo", "--yes"]);
    assert_ne!(unreachable.code, 0);
    assert!(
        unreachable.err.contains("share no space with ben"),
        "{}",
        unreachable.err
    );
    for person in [&ben, &cleo] {
        let invite = ada.ask(&["share", "family"])["invite"].clone();
        person.ask(&["join", invite.as_str().unwrap()]);
    }
    let asked = ada.run(&["guardians", "set", "-k", "2", "ben", "cleo"]);
    assert_eq!(asked.code, 2);
    assert!(
        asked.err.contains("will be able to become you"),
        "{}",
        asked.err
    );
    ada.ask(&["guardians", "set", "-k", "2", "ben", "cleo", "--yes"]);
    eventually("both keep their share", || {
        let shown = ada.ask(&["guardians"]);
        let guardians = shown["guardians"].as_array().unwrap().clone();
        guardians.len() == 2 && guardians.iter().all(|it| it["held_ms"].is_u64())
    });
    let held = ben.ask(&["guardians", "held"]);
    assert_eq!(held["shares"][0]["threshold"], 2, "{held}");
    let owner = ada.identity();
    let asked = ben.run(&["guardians", "help", &owner]);
    assert_eq!(asked.code, 2);
    assert!(asked.err.contains("know the voice"), "{}", asked.err);
    assert_eq!(ben.run(&["guardians", "help", "nobody", "--yes"]).code, 4);
    let text = ben.ask(&["guardians", "help", &owner, "--no-wait", "--yes"]);
    assert!(
        text["link"].as_str().unwrap().starts_with("stead-help:"),
        "{text}"
    );
}
