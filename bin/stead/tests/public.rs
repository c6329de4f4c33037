//! What is public, with real nodes: strangers with nothing but a link, and nobody who lets them in.

mod person;

use person::{Person, eventually};

fn publish(of: &Person) -> String {
    let made = of.ask(&["share", "site", "--everyone", "--on", "/blog"]);
    made["link"].as_str().unwrap().to_owned()
}

/// Ada's site, of which the blog is public, and the link.
fn site() -> (Person, String) {
    let ada = Person::start("laptop");
    ada.ask(&["space", "create", "site"]);
    ada.ask(&["put", "site/blog/one", "title=hello"]);
    ada.ask(&["put", "site/diary/one", "title=private"]);
    let said = ada.run(&["share", "site", "--everyone", "--on", "/blog"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("cannot be taken back"), "{}", said.err);
    assert!(
        said.out.contains("stead join stead-public:"),
        "{}",
        said.out
    );
    let link = publish(&ada);
    (ada, link)
}

fn has(of: &Person, document: &str) -> bool {
    of.run(&["get", document]).code == 0
}

fn can(of: &Person, who: &str, action: &str, path: &str) -> bool {
    of.ask(&["can", who, action, path, "--space", "site"])["allowed"] == true
}

#[test]
fn a_stranger_with_the_link_reads_what_is_public_and_what_comes_until_the_end() {
    let (ada, link) = site();
    let grace = Person::start("tower");
    let joined = grace.ask(&["join", &link]);
    assert_eq!(
        (&joined["name"], &joined["public"]),
        (&"site".into(), &true.into()),
        "{joined}"
    );
    eventually("what is public is here", || has(&grace, "site/blog/one"));
    ada.ask(&["put", "site/blog/two", "title=later"]);
    eventually("what comes is here", || has(&grace, "site/blog/two"));
    assert!(!has(&grace, "site/diary/one"));
    let refused = grace.run(&["put", "site/blog/one", "title=mine"]);
    assert_eq!(refused.code, 5, "{}", refused.err);
    let why = "Only its members write in \"site\"";
    assert!(refused.err.contains(why), "{}", refused.err);
    for person in [&ada, &grace] {
        let members = person.run(&["members", "site"]).out;
        assert!(
            members.contains("everyone") && members.contains("/blog"),
            "{members}"
        );
        assert!(can(person, "everyone", "read", "/blog"));
        assert!(!can(person, "everyone", "write", "/blog"));
        assert!(!can(person, "everyone", "read", "/diary"));
    }
    // Keys are made anew when a member goes; the public reads on.
    let ben = Person::start("phone");
    let invite = ada.ask(&["share", "site"]);
    ben.ask(&["join", invite["invite"].as_str().unwrap()]);
    eventually("ben is in", || has(&ben, "site/diary/one"));
    ben.ask(&["put", "site/blog/ben", "title=by ben"]);
    eventually("a new member's word reaches the public", || {
        has(&grace, "site/blog/ben")
    });
    let bens = ben.identity();
    ada.ask(&["revoke", "site", &bens, "--yes"]);
    ada.ask(&["put", "site/blog/three", "title=without ben"]);
    eventually("the public reads on", || has(&grace, "site/blog/three"));

    let asked = ada.run(&["revoke", "site", "everyone"]);
    assert!(asked.err.contains("for members only"), "{}", asked.err);
    let ended = ada.ask(&["revoke", "site", "everyone", "--yes"]);
    assert_eq!(ended["sentence"], "Nothing in site is public any more.");
    ada.ask(&["put", "site/blog/four", "title=for members"]);
    eventually("the end is known", || {
        !can(&grace, "everyone", "read", "/blog")
    });
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(!has(&grace, "site/blog/four") && has(&grace, "site/blog/three"));
    assert!(has(&ada, "site/blog/four"));
}

#[test]
fn a_stranger_hands_it_on_to_another_while_no_member_is_there() {
    let (ada, link) = site();
    let grace = Person::start("tower");
    grace.ask(&["join", &link]);
    eventually("what is public is here", || has(&grace, "site/blog/one"));
    assert_eq!(ada.run(&["down"]).code, 0);
    let linus = Person::start("desk");
    linus.ask(&["join", &publish(&grace)]);
    eventually("it came from a reader", || has(&linus, "site/blog/one"));
    assert!(!has(&linus, "site/diary/one"));
    let again = linus.run(&["join", &link]);
    assert!(
        again.err.contains("on this device already"),
        "{}",
        again.err
    );
    assert_ne!(linus.run(&["share", "site", "--everyone"]).code, 0);
}
