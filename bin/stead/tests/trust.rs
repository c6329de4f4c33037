//! People, devices and rights from the command line, with real nodes: what is said, what is refused, and what
//! strangers can check.

mod person;

use std::{fs, time::Duration};

use person::{Person, eventually, stead};
use serde_json::{Value, json};

#[test]
fn recovery_words_are_shown_until_they_are_written_down_and_never_again() {
    let ada = Person::start("laptop");
    // An identity that holds nothing may be given up: nothing presses.
    assert!(!ada.run(&["status"]).out.contains("recovery words"));
    ada.ask(&["space", "create", "notes"]);
    assert!(ada.run(&["status"]).out.contains("stead identity phrase"));
    let shown = ada.run(&["identity", "phrase"]);
    assert!(shown.out.contains(" 24  "), "{}", shown.out);
    let words = ada.ask(&["identity", "phrase"]);
    assert_eq!(words["words"].as_array().unwrap().len(), 24);
    // Nobody is there to type words back.
    assert_eq!(ada.run(&["identity", "phrase", "--written"]).code, 2);
    assert_eq!(ada.ask(&["identity"])["words_waiting"], true);
    assert_eq!(
        ada.run(&["identity", "phrase", "--written", "--yes"]).code,
        0
    );
    let gone = ada.run(&["identity", "phrase"]);
    assert_eq!(gone.code, 4, "{}", gone.err);
    assert_eq!(ada.ask(&["identity"])["words_waiting"], false);
    assert!(!ada.run(&["status"]).out.contains("recovery words"));
}

#[test]
fn a_device_is_renamed_and_the_one_at_hand_is_not_removed() {
    let ada = Person::start("laptop");
    assert_eq!(ada.run(&["device", "rename", "laptop", "desk"]).code, 0);
    let listed = ada.ask(&["device", "list"]);
    assert_eq!(listed[0]["name"], "desk");
    assert!(ada.run(&["devices"]).out.contains("desk"));
    let refused = ada.run(&["device", "remove", "desk", "--yes"]);
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert_ne!(ada.run(&["device", "remove", "tower", "--yes"]).code, 0);
}

#[test]
fn a_shared_space_is_explained_and_a_member_put_out() {
    let (ada, grace) = (Person::start("laptop"), Person::start("tower"));
    ada.ask(&["space", "create", "family"]);
    let invite = ada.ask(&["share", "family"])["invite"].clone();
    grace.ask(&["join", invite.as_str().unwrap()]);
    eventually("grace reads who is in the space", || {
        grace
            .run(&["can", "me", "read", "/", "--space", "family"])
            .out
            .contains("may read")
    });
    let identity = grace.identity();
    assert_eq!(ada.run(&["contact", "add", "grace", &identity]).code, 0);

    let members = ada.ask(&["members", "family"]);
    let member = |who: &str| {
        let all = members["members"].as_array().unwrap().iter();
        all.filter(|member| member["who"] == who).count()
    };
    assert_eq!((member("you"), member("grace")), (1, 1), "{members}");

    let may = ada.ask(&["can", "grace", "write", "/notes", "--space", "family"]);
    assert_eq!(may["allowed"], true, "{may}");
    assert!(
        !may["because"][0]["chain"].as_array().unwrap().is_empty(),
        "{may}"
    );
    let may_not = ada.ask(&["can", "grace", "grant-owner", "/", "--space", "family"]);
    assert_eq!(may_not["allowed"], false, "{may_not}");
    assert_eq!(
        ada.run(&["can", "grace", "eat", "/", "--space", "family"])
            .code,
        2
    );

    let asked = ada.run(&["revoke", "family", "grace"]);
    assert_eq!(asked.code, 2);
    assert!(
        asked.err.contains("Grace loses family on one device"),
        "{}",
        asked.err
    );
    let done = ada.ask(&["revoke", "family", "grace", "--reason", "moved", "--yes"]);
    assert_eq!(done["took_effect"], true, "{done}");
    let may_not = ada.ask(&["can", "grace", "read", "/", "--space", "family"]);
    assert_eq!(may_not["allowed"], false, "{may_not}");
    let log = ada.run(&["log", "family", "--rights"]).out;
    assert!(log.contains("moved"), "{log}");

    // What was said under the keys before and after can be proven by whoever was there.
    let file = ada.home().join("rights.json");
    let path = file.to_str().unwrap();
    ada.ask(&["log", "family", "--rights", "--export", path]);
    let proven = ada.ask(&["verify", path]);
    let ended = proven["members"].as_array().unwrap().iter();
    assert_eq!(
        ended.filter(|member| member["ended"] == true).count(),
        1,
        "{proven}"
    );
    let alone = ada.run(&["revoke", "family", "me"]);
    assert!(
        alone.err.contains("nobody is left who owns it"),
        "{}",
        alone.err
    );
}

#[test]
fn a_proof_of_rights_checks_without_a_node_and_every_change_to_it_is_refused() {
    let nowhere = tempfile::tempdir().unwrap();
    let file = nowhere.path().join("rights.json");
    let path = file.to_str().unwrap();
    {
        let ada = Person::start("laptop");
        ada.ask(&["space", "create", "family"]);
        ada.ask(&["share", "family"]);
        let said = ada.run(&["log", "family", "--rights", "--export", path]);
        assert_eq!(said.code, 0, "{}", said.err);
    }
    let verified = stead(nowhere.path(), &["verify", path]);
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(
        verified.out.contains("founded by laptop"),
        "{}",
        verified.out
    );
    assert!(
        verified.out.contains("invite made for one person"),
        "{}",
        verified.out
    );

    let good: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let refused = |bad: &Value, part: &str| {
        fs::write(&file, bad.to_string()).unwrap();
        let said = stead(nowhere.path(), &["verify", path]);
        assert_eq!(said.code, 5, "{part}: {}{}", said.out, said.err);
        said.err
    };
    let entries = good["entries"].as_array().unwrap().len();
    assert!(entries >= 2);
    for entry in 0..entries {
        for part in [
            "entry",
            "parcel",
            "parcel_key",
            "envelope_key",
            "key_id",
            "writer",
        ] {
            let mut bad = good.clone();
            let text = bad["entries"][entry][part].as_str().unwrap().to_owned();
            let flipped = if text.ends_with('0') { "1" } else { "0" };
            bad["entries"][entry][part] = json!(format!("{}{flipped}", &text[..text.len() - 1]));
            let said = refused(&bad, part);
            let index = good["entries"][entry]["index"].to_string();
            assert!(said.contains(&format!("entry {index} of log")), "{said}");
        }
        let mut moved = good.clone();
        moved["entries"][entry]["index"] =
            json!(good["entries"][entry]["index"].as_u64().unwrap() + 1);
        refused(&moved, "index");
        let mut twice = good.clone();
        let again = good["entries"][entry].clone();
        twice["entries"].as_array_mut().unwrap().push(again);
        refused(&twice, "twice");
    }
    // Without the entry that declares the key, one could show what nobody sealed.
    let mut undeclared = good.clone();
    undeclared["entries"].as_array_mut().unwrap().remove(0);
    assert!(refused(&undeclared, "undeclared").contains("declares"));
    for (place, value) in [
        ("/space", json!("ab".repeat(32))),
        ("/format", json!("stead/rights-proof/9")),
        (
            "/heads/0/len",
            json!(good["heads"][0]["len"].as_u64().unwrap() + 1),
        ),
        ("/heads", json!([])),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value;
        refused(&bad, place);
    }
    fs::write(&file, "{").unwrap();
    assert_eq!(stead(nowhere.path(), &["verify", path]).code, 5);
}

#[test]
fn a_sign_in_is_good_once_for_one_site_and_for_its_time() {
    let ada = Person::start("laptop");
    let site = tempfile::tempdir().unwrap();
    let used = site.path().join("used.txt");
    let used = used.to_str().unwrap();
    let make = |host: &str| {
        let said = stead(site.path(), &["sign-in", "--make-challenge", host]);
        assert_eq!(said.code, 0, "{}", said.err);
        said.out.trim().to_owned()
    };
    let challenge = make("notes.example.org");
    // Nobody is there to agree, and another site is meant.
    assert_eq!(ada.run(&["sign-in", &challenge]).code, 2);
    assert_eq!(
        ada.run(&["sign-in", &challenge, "--to", "bank.example.org"])
            .code,
        5
    );
    let answered = ada.ask(&["sign-in", &challenge, "--to", "notes.example.org"]);
    let answer = answered["answer"].as_str().unwrap();
    let check = |challenge: &str, answer: &str| {
        let args = [
            "verify",
            "--sign-in",
            answer,
            "--challenge",
            challenge,
            "--used",
            used,
            "--json",
        ];
        stead(site.path(), &args)
    };
    for other in [make("notes.example.org"), make("evil.example.org")] {
        assert_eq!(check(&other, answer).code, 5);
    }
    let visitor = check(&challenge, answer);
    assert_eq!(visitor.code, 0, "{}", visitor.err);
    assert_eq!(visitor.json()["identity"], ada.identity().as_str());
    assert_eq!(check(&challenge, answer).code, 5, "a replay");

    let said = stead(
        site.path(),
        &[
            "sign-in",
            "--make-challenge",
            "notes.example.org",
            "--seconds",
            "1",
        ],
    );
    let short = said.out.trim().to_owned();
    let answered = ada.ask(&["sign-in", &short, "--to", "notes.example.org"]);
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(
        check(&short, answered["answer"].as_str().unwrap()).code,
        5,
        "too late"
    );
    assert_eq!(
        stead(site.path(), &["sign-in", "--make-challenge", "Not A Host"]).code,
        5
    );
}

#[test]
fn two_people_see_the_same_safety_words_and_verify_each_other() {
    let (ada, grace) = (Person::start("laptop"), Person::start("tower"));
    let (of_ada, of_grace) = (ada.identity(), grace.identity());
    ada.ask(&["contact", "add", "grace", &of_grace]);
    grace.ask(&["contact", "add", "ada", &of_ada]);
    let words = ada.ask(&["contact", "verify", "grace"])["words"].clone();
    assert_eq!(words.as_array().unwrap().len(), 12);
    assert_eq!(grace.ask(&["contact", "verify", "ada"])["words"], words);
    assert!(ada.ask(&["contact", "list"])["contacts"][0]["verified_ms"].is_null());
    ada.ask(&["contact", "verify", "grace", "--same"]);
    assert!(ada.ask(&["contact", "list"])["contacts"][0]["verified_ms"].is_u64());
    // A name means one person.
    assert_ne!(
        ada.run(&["contact", "add", "grace", &"ab".repeat(32)]).code,
        0
    );
    assert_ne!(ada.run(&["contact", "add", "myself", &of_ada]).code, 0);
    assert_ne!(ada.run(&["contact", "add", "x", "nonsense"]).code, 0);
}

#[test]
fn a_contact_is_made_and_verified_from_the_qr_code_on_the_other_screen() {
    let (ada, grace) = (Person::start("laptop"), Person::start("tower"));
    let shown = grace.run(&["identity", "qr"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    let code = grace.ask(&["identity", "qr"])["code"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        shown.out.contains(&code) && code.starts_with("STEAD-CONTACT:"),
        "{}",
        shown.out
    );
    ada.ask(&["contact", "add", "grace", &code, "--face-to-face"]);
    let known = ada.ask(&["contact", "list"]);
    assert_eq!(known["contacts"][0]["identity"], grace.identity().as_str());
    assert!(known["contacts"][0]["verified_ms"].is_u64(), "{known}");
    assert_ne!(
        ada.run(&["contact", "add", "linus", "stead-contact:12"])
            .code,
        0
    );
}

#[test]
fn a_part_is_shared_with_a_sentence_that_says_what_will_happen() {
    let (ada, grace) = (Person::start("laptop"), Person::start("tower"));
    ada.ask(&["space", "create", "family"]);
    ada.ask(&["put", "family/notes/one", "text=shared"]);
    ada.ask(&["put", "family/notes/two", "text=kept"]);
    let part = ["share", "family", "--on", "/notes/one", "--role", "reader"];
    let shared = ada.run(&part);
    assert_eq!(shared.code, 0, "{}", shared.err);
    let said = format!("{}{}", shared.err, shared.out);
    assert!(said.contains("sees nothing else of it"), "{said}");
    let invite = ada.ask(&part)["invite"].clone();
    grace.ask(&["join", invite.as_str().unwrap()]);
    eventually("grace reads the note", || {
        let got = grace.run(&["get", "family/notes/one"]);
        got.out.contains("shared")
    });
    assert_ne!(grace.run(&["get", "family/notes/two"]).code, 0);
    let members = ada.run(&["members", "family"]).out;
    assert!(members.contains("/notes/one"), "{members}");
    let may = grace.run(&["can", "me", "read", "/notes/one", "--space", "family"]);
    let sealed = "sealed to those who read /notes/one";
    assert!(may.out.contains(sealed), "{}", may.out);
}
