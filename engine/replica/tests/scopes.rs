//! Parts of a space that have readers of their own: what those see, what they never get, and what
//! becomes of their keys.

mod world;

use serde_json::{Value, json};
use stead_access::{Path, RemovalTarget, Role};
use stead_base::{DocId, SpaceId};
use stead_replica::{Change, Edit, HistoryQuery, RichEdit, RichKind, TextUnit};
use world::{Device, sync, sync_once};

const OUTSIDE: &str = "PLAINTEXT-OUTSIDE";
/// In the shared document, but not in its shared field.
const ASIDE: &str = "PLAINTEXT-ASIDE";

fn at(collection: &str, id: &str, change: Change) -> Edit {
    Edit {
        collection: collection.to_owned(),
        id: Some(DocId::parse(id).unwrap()),
        change,
    }
}

fn put(collection: &str, id: &str, value: Value) -> Edit {
    let replace = false;
    at(collection, id, Change::Put { value, replace })
}

fn names(path: &[&str]) -> Vec<String> {
    path.iter().map(|name| (*name).to_owned()).collect()
}

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

fn person(seed: u8) -> Device {
    let mut device = Device::on_disk(seed);
    device.replica.create_home(device.now).unwrap();
    device
}

/// Lets `to` into a space at a path, by an invite of `from`, and syncs.
fn share(from: &mut Device, to: &mut Device, space: &SpaceId, role: Role, on: &str) {
    admit(from, to, space, role, on);
    sync(from, to);
}

fn admit(from: &mut Device, to: &mut Device, space: &SpaceId, role: Role, on: &str) {
    from.now += 10;
    world::let_in_on(from, to, space, role, path(on));
}

fn target(device: &Device) -> RemovalTarget {
    RemovalTarget::Identity(device.replica.identity().unwrap())
}

fn revoke(by: &mut Device, whom: &Device, space: &SpaceId) {
    by.now += 10;
    let whom = target(whom);
    let revoked = by.replica.revoke(space, whom, None, by.now).unwrap();
    assert!(revoked.took_effect);
}

fn epochs(device: &Device, space: &SpaceId, on: &str) -> usize {
    device.replica.epochs_at(space, &path(on)).unwrap()
}

/// Whether the bytes of a device's database hold a text in the clear.
fn holds(device: &mut Device, text: &str) -> bool {
    let bytes = device.backup();
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// An owner with a space, some of it shared with a second person.
fn shared_part(on: &str, role: Role) -> (Device, Device, SpaceId) {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("plans", a.now).unwrap();
    a.write(
        &space,
        &[
            put(
                "notes",
                "x",
                json!({"title": "old", "body": {"text": "in"}, "seen": ASIDE}),
            ),
            put("notes", "y", json!({"title": OUTSIDE})),
            put("diary", "monday", json!({"text": OUTSIDE})),
        ],
    );
    share(&mut a, &mut b, &space, role, on);
    (a, b, space)
}

#[test]
fn who_reads_one_document_sees_it_and_nothing_else() {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("plans", a.now).unwrap();
    a.write(
        &space,
        &[
            put("notes", "x", json!({"title": "old"})),
            put("notes", "y", json!({"title": OUTSIDE})),
        ],
    );
    a.write(&space, &[put("notes", "x", json!({"title": "in"}))]);
    share(&mut a, &mut b, &space, Role::Reader, "/notes/x");
    assert_eq!(b.get(&space, "notes", "x"), Some(json!({"title": "in"})));
    a.write(
        &space,
        &[
            put("notes", "x", json!({"more": 1})),
            put("notes", "y", json!({"more": OUTSIDE})),
            put("diary", "monday", json!({"text": OUTSIDE})),
        ],
    );
    sync(&mut a, &mut b);
    let seen = vec![(
        "notes".to_owned(),
        "x".to_owned(),
        r#"{"more":1,"title":"in"}"#.to_owned(),
    )];
    assert_eq!(b.dump(&space), seen);
    assert_eq!(b.replica.collections(&space).unwrap().len(), 1);
    assert_eq!(
        b.replica.frontier(&space).unwrap().len(),
        a.replica.frontier(&space).unwrap().len()
    );
    assert!(!holds(&mut b, OUTSIDE));
    assert!(holds(&mut a, OUTSIDE));
}

#[test]
fn what_was_written_before_the_scope_comes_as_the_present_and_not_as_the_past() {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("plans", a.now).unwrap();
    a.write(
        &space,
        &[put("notes", "x", json!({"title": "FIRST-DRAFT", "n": 1}))],
    );
    a.write(&space, &[put("notes", "x", json!({"title": "final"}))]);
    share(&mut a, &mut b, &space, Role::Writer, "/notes");
    assert_eq!(
        b.get(&space, "notes", "x"),
        Some(json!({"n": 1, "title": "final"}))
    );
    assert!(!holds(&mut b, "FIRST-DRAFT"));
    // And it merges on: counters, sets and fields.
    b.now += 1_000;
    let change = Change::Set {
        path: names(&["title"]),
        value: json!("by b"),
    };
    b.write(&space, &[at("notes", "x", change)]);
    let change = Change::Add {
        path: names(&["n"]),
        delta: 4,
    };
    b.write(&space, &[at("notes", "x", change)]);
    let change = Change::Add {
        path: names(&["n"]),
        delta: 2,
    };
    a.write(&space, &[at("notes", "x", change)]);
    sync(&mut a, &mut b);
    let merged = json!({"n": 7, "title": "by b"});
    assert_eq!(a.get(&space, "notes", "x").unwrap(), merged);
    assert_eq!(b.get(&space, "notes", "x").unwrap(), merged);
}

#[test]
fn who_reads_a_field_sees_what_the_document_around_it_does_to_it() {
    let (mut a, mut b, space) = shared_part("/notes/x/body", Role::Writer);
    let body = |device: &Device| {
        device
            .get(&space, "notes", "x")
            .map(|doc| doc["body"].clone())
    };
    assert_eq!(
        b.get(&space, "notes", "x"),
        Some(json!({"body": {"text": "in"}}))
    );
    b.now += 1_000;
    let change = Change::Set {
        path: names(&["body", "text"]),
        value: json!("by b"),
    };
    b.write(&space, &[at("notes", "x", change)]);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "notes", "x").unwrap()["body"]["text"], "by b");
    // Replaced as a whole, by an assignment above.
    a.now = b.now + 1_000;
    let value = json!({"title": "new", "body": {"text": "again"}});
    let change = Change::Put {
        value,
        replace: true,
    };
    a.write(&space, &[at("notes", "x", change)]);
    sync(&mut a, &mut b);
    assert_eq!(body(&a), body(&b));
    a.write(&space, &[at("notes", "x", Change::Delete)]);
    sync(&mut a, &mut b);
    assert_eq!((body(&a), body(&b)), (None, None));
    a.write(&space, &[at("notes", "x", Change::Restore)]);
    sync(&mut a, &mut b);
    assert_eq!(body(&a), body(&b));
    assert_eq!(body(&b).unwrap()["text"], "again");
    assert!(!holds(&mut b, OUTSIDE) && !holds(&mut b, ASIDE));
}

#[test]
fn who_reads_a_field_of_a_purged_document_has_nothing_left_either() {
    let (mut a, mut b, space) = shared_part("/notes/x/body", Role::Writer);
    // Whose right is a field's cannot purge the document around it.
    let purge = [at("notes", "x", Change::Purge)];
    assert!(b.replica.transact(&space, &purge, b.now).is_err());
    a.now = b.now + 1_000;
    a.write(&space, &purge);
    sync(&mut a, &mut b);
    let gone = |device: &Device| device.get(&space, "notes", "x");
    assert_eq!((gone(&a), gone(&b)), (None, None));
    a.write(&space, &[at("notes", "x", Change::Restore)]);
    sync(&mut a, &mut b);
    assert_eq!((gone(&a), gone(&b)), (Some(json!({})), Some(json!({}))));
    b.now = a.now + 1_000;
    let value = json!({"body": {"text": "new"}});
    let change = Change::Put {
        value: value.clone(),
        replace: false,
    };
    b.write(&space, &[at("notes", "x", change)]);
    sync(&mut a, &mut b);
    assert_eq!((gone(&a), gone(&b)), (Some(value.clone()), Some(value)));
    // What nobody who reads all would find in it takes no second purge.
    a.now = b.now + 1_000;
    a.write(&space, &purge);
    let again = a.replica.transact(&space, &purge, a.now + 1).unwrap();
    assert_eq!(again.entry, None);
}

#[test]
fn one_transaction_over_several_parts_is_whole_for_who_reads_all() {
    let (mut a, mut b, space) = shared_part("/notes/x", Role::Writer);
    let mut c = person(3);
    share(&mut a, &mut c, &space, Role::Writer, "/");
    a.write(
        &space,
        &[
            put("notes", "x", json!({"title": "both"})),
            put("notes", "y", json!({"title": OUTSIDE})),
        ],
    );
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    assert_eq!(a.dump(&space), c.dump(&space));
    assert_eq!(b.get(&space, "notes", "x").unwrap()["title"], "both");
    // One who reads all writes there too, and the other reads it.
    c.now += 5_000;
    c.write(&space, &[put("notes", "x", json!({"title": "by c"}))]);
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "notes", "x").unwrap()["title"], "by c");
    assert_eq!(a.dump(&space), c.dump(&space));
}

#[test]
fn the_log_says_nothing_of_other_parts() {
    let (mut a, mut b, space) = shared_part("/notes/x", Role::Reader);
    a.write(
        &space,
        &[
            put("notes", "x", json!({"title": "seen"})),
            put("notes", "y", json!({"more": OUTSIDE})),
        ],
    );
    sync(&mut a, &mut b);
    let query = HistoryQuery {
        limit: 100,
        ..HistoryQuery::default()
    };
    let items = b.replica.history(&space, &query).unwrap();
    let told = format!("{items:?}");
    assert!(told.contains("seen") && !told.contains(OUTSIDE), "{told}");
    assert!(!told.contains("monday"));
    let closed: u64 = items.iter().map(|item| item.closed).sum();
    assert!(closed >= 2);
    let items = a.replica.history(&space, &query).unwrap();
    assert!(items.iter().all(|item| item.closed == 0));
}

#[test]
fn who_reads_a_part_cannot_write_elsewhere() {
    let (_, mut b, space) = shared_part("/notes/x", Role::Writer);
    for edit in [
        put("notes", "y", json!({"title": "mine"})),
        put("diary", "monday", json!({})),
    ] {
        assert!(b.replica.transact(&space, &[edit], b.now + 20).is_err());
    }
    b.write(&space, &[put("notes", "x", json!({"title": "mine"}))]);
}

#[test]
fn what_somebody_wrote_around_a_scope_before_they_heard_of_it_reaches_its_readers() {
    let (mut a, mut b, mut c) = (person(1), person(2), person(3));
    let space = a.replica.create_space("plans", a.now).unwrap();
    a.write(&space, &[put("notes", "x", json!({"title": "a"}))]);
    share(&mut a, &mut c, &space, Role::Writer, "/");
    c.write(&space, &[put("notes", "z", json!({"before": true}))]);
    sync(&mut a, &mut c);
    share(&mut a, &mut b, &space, Role::Reader, "/notes");
    // C has not heard of the scope and seals for readers of everything.
    c.now += 1_000;
    c.write(&space, &[put("notes", "x", json!({"title": "late"}))]);
    c.write(&space, &[put("diary", "monday", json!({"text": OUTSIDE}))]);
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "notes", "x").unwrap()["title"], "late");
    assert_eq!(b.get(&space, "notes", "z").unwrap()["before"], true);
    assert!(!holds(&mut b, OUTSIDE));
    c.write(&space, &[put("notes", "x", json!({"title": "now"}))]);
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "notes", "x").unwrap()["title"], "now");
}

#[test]
fn who_is_put_out_of_a_part_does_not_read_its_next_epoch() {
    let (mut a, mut b, space) = shared_part("/notes", Role::Writer);
    let mut c = person(3);
    share(&mut a, &mut c, &space, Role::Reader, "/notes/x");
    sync(&mut a, &mut b);
    let before = [
        epochs(&a, &space, "/"),
        epochs(&a, &space, "/notes"),
        epochs(&a, &space, "/notes/x"),
    ];
    revoke(&mut a, &b, &space);
    let after = [
        epochs(&a, &space, "/"),
        epochs(&a, &space, "/notes"),
        epochs(&a, &space, "/notes/x"),
    ];
    assert_eq!(after, [before[0], before[1] + 1, before[2] + 1]);
    a.write(
        &space,
        &[
            put("notes", "x", json!({"title": "AFTERWARDS"})),
            put("notes", "y", json!({"title": "AFTERWARDS"})),
        ],
    );
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    assert_eq!(c.get(&space, "notes", "x").unwrap()["title"], "AFTERWARDS");
    assert!(!holds(&mut b, "AFTERWARDS"));
    assert!(!holds(&mut c, OUTSIDE));
}

#[test]
fn putting_out_a_reader_of_all_renews_every_scope() {
    let (mut a, mut b, space) = shared_part("/notes/x", Role::Writer);
    let mut c = person(3);
    share(&mut a, &mut c, &space, Role::Writer, "/");
    let before = epochs(&a, &space, "/notes/x");
    revoke(&mut a, &c, &space);
    assert_eq!(epochs(&a, &space, "/notes/x"), before + 1);
    sync(&mut a, &mut b);
    a.write(&space, &[put("notes", "x", json!({"title": "AFTERWARDS"}))]);
    sync(&mut a, &mut b);
    sync(&mut b, &mut c);
    assert_eq!(b.get(&space, "notes", "x").unwrap()["title"], "AFTERWARDS");
    assert!(!holds(&mut c, "AFTERWARDS"));
}

#[test]
fn who_manages_a_part_only_renews_its_key_and_lets_others_in() {
    let (mut a, mut b, space) = shared_part("/notes", Role::Manager);
    let mut c = person(3);
    share(&mut b, &mut c, &space, Role::Writer, "/notes/x");
    sync(&mut a, &mut b);
    assert_eq!(c.get(&space, "notes", "x").unwrap()["title"], "old");
    assert!(c.get(&space, "notes", "y").is_none());
    a.write(&space, &[put("notes", "x", json!({"title": "AFTER"}))]);
    sync(&mut a, &mut b);
    sync(&mut b, &mut c);
    assert_eq!(c.get(&space, "notes", "x").unwrap()["title"], "AFTER");
    let before = epochs(&b, &space, "/notes/x");
    revoke(&mut b, &c, &space);
    assert_eq!(epochs(&b, &space, "/notes/x"), before + 1);
    // Whoever manages all renews what the other may not, and reads what the other seals.
    sync(&mut a, &mut b);
    b.now += 10;
    b.write(&space, &[put("notes", "x", json!({"title": "RENEWED"}))]);
    sync(&mut a, &mut b);
    sync(&mut b, &mut c);
    assert_eq!(a.get(&space, "notes", "x").unwrap()["title"], "RENEWED");
    assert!(!holds(&mut c, "RENEWED"));
}

#[test]
fn who_gets_the_whole_after_a_part_reads_all_of_it() {
    let (mut a, mut b, space) = shared_part("/notes/x", Role::Writer);
    b.now += 100;
    b.write(&space, &[put("notes", "x", json!({"title": "by b"}))]);
    sync(&mut a, &mut b);
    let card = b.replica.card().unwrap();
    a.now = b.now + 10;
    let party = stead_access::Party::Identity(card);
    a.replica
        .grant(&space, party, Role::Writer, path("/"), a.now)
        .unwrap();
    sync(&mut a, &mut b);
    assert_eq!(a.dump(&space), b.dump(&space));
    assert_eq!(b.get(&space, "notes", "y").unwrap()["title"], OUTSIDE);
}

#[test]
fn a_part_is_as_it_was_after_a_restart_and_a_rebuild() {
    let (mut a, mut b, space) = shared_part("/notes", Role::Writer);
    b.now += 100;
    b.write(&space, &[put("notes", "x", json!({"title": "by b"}))]);
    a.write(&space, &[put("notes", "z", json!({"title": "by a"}))]);
    sync(&mut a, &mut b);
    let before = b.dump(&space);
    assert_eq!(before.len(), 3);
    let mut b = b.reopen();
    assert_eq!(b.dump(&space), before);
    b.replica.rebuild(&space, b.now).unwrap();
    assert_eq!(b.dump(&space), before);
    b.write(&space, &[put("notes", "x", json!({"title": "again"}))]);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "notes", "x"), b.get(&space, "notes", "x"));
}

#[test]
fn who_reads_a_part_hands_on_the_whole_logs() {
    let (mut a, mut b, space) = shared_part("/notes/x", Role::Reader);
    let mut c = person(3);
    admit(&mut a, &mut c, &space, Role::Writer, "/");
    a.write(&space, &[put("diary", "tuesday", json!({"text": OUTSIDE}))]);
    sync(&mut a, &mut b);
    // C meets B only, who cannot read most of what it hands on.
    while sync_once(&mut b, &mut c) {}
    assert_eq!(c.get(&space, "diary", "tuesday").unwrap()["text"], OUTSIDE);
    assert_eq!(a.dump(&space), c.dump(&space));
    assert!(!holds(&mut b, OUTSIDE));
}

#[test]
fn what_a_removal_makes_void_leaves_the_start_of_a_part_as_well() {
    let (mut a, mut b, mut n, mut m) = (person(1), person(2), person(3), person(4));
    let space = a.replica.create_space("plans", a.now).unwrap();
    share(&mut a, &mut n, &space, Role::Manager, "/");
    share(&mut n, &mut m, &space, Role::Writer, "/");
    a.write(&space, &[put("notes", "x", json!({"title": "true"}))]);
    sync(&mut a, &mut n);
    sync(&mut a, &mut m);
    m.now += 1_000;
    m.write(&space, &[put("notes", "x", json!({"title": "spoiled"}))]);
    sync(&mut a, &mut m);
    share(&mut a, &mut b, &space, Role::Reader, "/notes");
    assert_eq!(b.get(&space, "notes", "x").unwrap()["title"], "spoiled");
    // N has not seen the change, and puts M out from before it.
    n.now += 2_000;
    revoke(&mut n, &m, &space);
    sync(&mut n, &mut a);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "notes", "x").unwrap()["title"], "true");
    assert_eq!(b.get(&space, "notes", "x").unwrap()["title"], "true");
}

#[test]
fn a_text_comes_along_when_its_document_is_shared_and_goes_on_as_one() {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("s", a.now).unwrap();
    let typed = |at_: usize, insert: &str| {
        let edit = RichEdit::Splice {
            at: at_,
            delete: 0,
            insert: insert.to_owned(),
            unit: TextUnit::Scalar,
        };
        let (path, kind) = (names(&["body"]), RichKind::Text);
        at("notes", "n", Change::Rich { path, kind, edit })
    };
    a.write(&space, &[put("notes", "n", json!({"body": "one"}))]);
    a.write(&space, &[typed(3, " two")]);
    for on in ["/notes/n", "/notes/n/body"] {
        share(&mut a, &mut b, &space, Role::Writer, on);
    }
    let text = |device: &Device| device.get(&space, "notes", "n").unwrap()["body"].clone();
    assert_eq!(text(&b), "one two");
    a.write(&space, &[typed(0, "zero ")]);
    b.now = a.now;
    b.write(&space, &[typed(7, " three")]);
    sync(&mut a, &mut b);
    assert_eq!(text(&a), "zero one two three");
    assert_eq!(text(&b), "zero one two three");
    b.replica.rebuild(&space, b.now).unwrap();
    assert_eq!(text(&b), "zero one two three");
}
