//! Groups from the command line, with real nodes: one place to say who is in, and every space follows.

mod person;

use person::{Person, eventually};

/// `to` joins by an invite that `from` printed.
fn join(from: &Person, to: &Person, invite: &[&str]) {
    let invite = from.ask(invite)["invite"].as_str().unwrap().to_owned();
    to.ask(&["join", &invite]);
}

fn can(of: &Person, who: &str, action: &str, space: &str) -> bool {
    let said = of.run(&["can", who, action, "/", "--space", space, "--json"]);
    said.code == 0 && said.json()["allowed"] == true
}

fn has(of: &Person, document: &str) -> bool {
    of.run(&["get", document]).code == 0
}

#[test]
fn a_group_is_managed_in_one_place_and_used_in_many() {
    let ada = Person::start("laptop");
    let (grace, linus) = (Person::start("tower"), Person::start("desk"));
    ada.ask(&["group", "create", "team"]);
    join(&ada, &grace, &["group", "add", "team"]);
    join(&ada, &linus, &["group", "add", "team"]);
    for (person, name) in [(&grace, "grace"), (&linus, "linus")] {
        let identity = person.identity();
        assert_eq!(ada.run(&["contact", "add", name, &identity]).code, 0);
    }
    for space in ["plans", "songs"] {
        ada.ask(&["space", "create", space]);
        ada.ask(&["put", &format!("{space}/notes/one"), "by=ada"]);
        let said = ada.run(&["share", space, "--group", "team"]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(
            said.out.contains("Everyone in the group team is writer"),
            "{}",
            said.out
        );
    }
    for member in [&grace, &linus] {
        eventually("the group's spaces open by themselves", || {
            has(member, "plans/notes/one") && has(member, "songs/notes/one")
        });
    }
    let shown = ada.run(&["group", "show", "team"]).out;
    for word in [
        "you", "keeper", "grace", "linus", "plans", "songs", "writer",
    ] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    assert!(grace.run(&["group", "list"]).out.contains("are in it"));
    let members = ada.run(&["members", "plans"]).out;
    assert!(
        members.contains("group team") && members.contains("in the group"),
        "{members}"
    );
    let why = ada
        .run(&["can", "grace", "write", "/", "--space", "plans"])
        .out;
    assert!(
        why.contains("group team is writer") && why.contains("they are in that group"),
        "{why}"
    );
    let asked = ada.run(&["revoke", "plans", "grace", "--yes"]);
    assert!(
        asked.err.contains("stead group remove team"),
        "{}",
        asked.err
    );
    // What Stead keeps for itself is shown and changed by nobody.
    let kept = ada.run(&["query", "team/@spaces", "--json"]).out;
    assert!(kept.contains("plans") && !kept.contains("secret"), "{kept}");
    assert_eq!(ada.run(&["put", "team/@spaces/x", "secret=1"]).code, 5);

    let asked = ada.run(&["group", "remove", "team", "linus"]);
    assert_eq!(asked.code, 2);
    assert!(asked.err.contains("plans, songs"), "{}", asked.err);
    ada.ask(&["group", "remove", "team", "linus", "--yes"]);
    assert!(!can(&ada, "linus", "read", "plans") && can(&ada, "grace", "write", "songs"));
    let why = ada
        .run(&["can", "linus", "read", "/", "--space", "plans"])
        .out;
    assert!(why.contains("not in that group any more"), "{why}");
    ada.ask(&["put", "plans/notes/two", "by=ada"]);
    eventually("grace reads on under the new keys", || {
        has(&grace, "plans/notes/two")
    });
    assert!(!has(&linus, "plans/notes/two"));

    ada.ask(&["group", "rename", "team", "crew"]);
    eventually("the new name arrives", || {
        grace.run(&["group", "list"]).out.contains("crew")
    });
    ada.ask(&["group", "delete", "crew", "--yes"]);
    eventually("nobody is in a space through it", || {
        !can(&grace, "me", "read", "plans") && !can(&ada, "grace", "read", "songs")
    });
    assert!(can(&ada, "me", "write", "plans"));
}

#[test]
fn someone_is_added_by_name_a_vote_says_how_many_are_missing_and_leaving_has_a_command() {
    let ada = Person::start("laptop");
    let people = ["grace", "linus", "barbara"].map(|name| (Person::start(name), name));
    ada.ask(&["space", "create", "club"]);
    for (person, name) in &people {
        let identity = person.identity();
        assert_eq!(ada.run(&["contact", "add", name, &identity]).code, 0);
        join(&ada, person, &["share", "club", "--role", "owner"]);
    }
    let [(grace, _), (linus, _), (barbara, _)] = &people;
    let barbaras = barbara.identity();
    for one in [grace, linus] {
        eventually("everyone is known to everyone", || {
            can(one, &barbaras, "write", "club")
        });
    }
    let plan = grace.run(&["revoke", "club", &barbaras]);
    assert!(
        plan.err
            .contains("one of 2 that it takes, and 1 is missing"),
        "{}",
        plan.err
    );
    let first = grace.ask(&["revoke", "club", &barbaras, "--yes"]);
    assert_eq!(
        (&first["took_effect"], &first["votes"]),
        (&false.into(), &1.into()),
        "{first}"
    );
    assert!(
        first["sentence"]
            .as_str()
            .unwrap()
            .contains("once one more has said so"),
        "{first}"
    );
    linus.ask(&["revoke", "club", &barbaras, "--yes"]);
    eventually("the second voice is enough: she is out", || {
        !can(&ada, "barbara", "read", "club")
    });

    // Added by name: they share the club.
    ada.ask(&["group", "create", "team"]);
    ada.ask(&["group", "add", "team", "grace"]);
    eventually("grace hears of it", || {
        grace.run(&["group", "list"]).out.contains("team")
    });
    ada.ask(&["space", "create", "plans"]);
    ada.ask(&["share", "plans", "--with", "linus", "--role", "reader"]);
    eventually("linus reads the space", || {
        can(linus, "me", "read", "plans")
    });
    assert!(!can(linus, "me", "write", "plans"));

    assert_eq!(linus.run(&["leave", "club"]).code, 2);
    let left = linus.ask(&["leave", "club", "--yes"]);
    assert_eq!(left["took_effect"], true, "{left}");
    eventually("linus has left", || !can(&ada, "linus", "read", "club"));
}
