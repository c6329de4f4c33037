//! Purging: what a document held goes, on every device and in every order, and what somebody brought back
//! without knowing of it is said again.

mod world;

use serde_json::{Value, json};
use stead_base::SpaceId;
use stead_replica::{Change, Edit, HistoryQuery, RichEdit, RichKind, TextUnit};
use world::{Device, link, sync};

const DAY_MS: u64 = 86_400_000;

fn on(id: &str, change: Change) -> Edit {
    world::edit("notes", id, change)
}

fn put(id: &str, value: Value) -> Edit {
    world::put("notes", id, value)
}

fn names(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

fn rich(id: &str, path: &str, kind: RichKind, edit: RichEdit) -> Edit {
    let path = names(path);
    on(id, Change::Rich { path, kind, edit })
}

fn typed(id: &str, at: usize, insert: &str) -> Edit {
    let edit = RichEdit::Splice {
        at,
        delete: 0,
        insert: insert.to_owned(),
        unit: TextUnit::Scalar,
    };
    rich(id, "body", RichKind::Text, edit)
}

fn two() -> (Device, Device, SpaceId) {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    sync(&mut a, &mut b);
    (a, b, space)
}

fn shown(device: &Device, space: &SpaceId) -> Option<Value> {
    device.get(space, "notes", "x")
}

/// A document of every kind of thing.
fn fill(device: &mut Device, space: &SpaceId) {
    device.write(space, &[put("x", json!({"title": "t", "n": {"m": 1}}))]);
    let path = names("tags");
    let element = json!("red");
    let add = Change::Add {
        path: names("n.count"),
        delta: 3,
    };
    device.write(
        space,
        &[
            on("x", Change::Include { path, element }),
            on("x", add),
            typed("x", 0, "hello"),
        ],
    );
}

#[test]
fn what_a_document_held_goes_everywhere_and_what_comes_late_finds_no_place() {
    let (mut a, mut b, space) = two();
    fill(&mut a, &space);
    sync(&mut a, &mut b);
    // Said elsewhere before the purge, and not known where it is made.
    b.write(&space, &[typed("x", 5, " there")]);
    a.now = b.now + 1_000;
    a.write(&space, &[on("x", Change::Purge)]);
    sync(&mut a, &mut b);
    assert_eq!((shown(&a, &space), shown(&b, &space)), (None, None));
    a.write(&space, &[on("x", Change::Restore)]);
    sync(&mut a, &mut b);
    assert_eq!(shown(&a, &space), Some(json!({})));
    assert_eq!(a.dump(&space), b.dump(&space));
    for device in [&mut a, &mut b] {
        let before = device.dump(&space);
        device.replica.rebuild(&space, device.now).unwrap();
        assert_eq!(device.dump(&space), before);
    }
    let query = HistoryQuery {
        limit: 100,
        ..HistoryQuery::default()
    };
    let items = b.replica.history(&space, &query).unwrap();
    let mut words = items.iter().flat_map(|item| &item.documents);
    assert!(words.any(|doc| doc.changes == ["purge"]));
}

#[test]
fn a_purge_is_not_undone_and_says_so() {
    let (mut a, _, space) = two();
    fill(&mut a, &space);
    a.write(&space, &[on("x", Change::Purge)]);
    let undone = a.replica.undo(&space, a.now).unwrap();
    assert!(undone.documents.is_empty());
    assert!(undone.kept[0].contains("purged"), "{:?}", undone.kept);
    assert_eq!(shown(&a, &space), None);
}

/// What of a document of every kind is said again: the contents of rich fields as their values.
fn all_of_it() -> Value {
    json!({"body": "hello", "n": {"count": 3, "m": 1}, "tags": ["red"], "title": "t"})
}

#[test]
fn who_brought_a_document_back_before_hearing_of_its_purge_says_it_again() {
    for restored_later in [false, true] {
        let (mut a, mut b, space) = two();
        fill(&mut a, &space);
        a.write(&space, &[on("x", Change::Delete)]);
        sync(&mut a, &mut b);
        let (sooner, later) = (a.now.max(b.now) + 1_000, a.now.max(b.now) + 9_000);
        (a.now, b.now) = match restored_later {
            true => (sooner, later),
            false => (later, sooner),
        };
        a.write(&space, &[on("x", Change::Purge)]);
        b.write(&space, &[on("x", Change::Restore)]);
        assert_eq!(shown(&b, &space), Some(all_of_it()));
        sync(&mut a, &mut b);
        assert_eq!(shown(&b, &space), Some(all_of_it()), "{restored_later}");
        assert_eq!(a.dump(&space), b.dump(&space));
        // Nothing is said once more when all is built again, or met again.
        let before = b.dump(&space);
        let said = entries(&b, &space);
        b.replica.rebuild(&space, b.now).unwrap();
        sync(&mut a, &mut b);
        assert_eq!(b.dump(&space), before);
        assert_eq!(entries(&b, &space), said);
        // It merges on.
        b.now = a.now.max(b.now) + 1_000;
        let path = names("n.count");
        b.write(&space, &[on("x", Change::Add { path, delta: 2 })]);
        sync(&mut a, &mut b);
        assert_eq!(shown(&a, &space).unwrap()["n"]["count"], 5);
    }
}

#[test]
fn a_purge_by_who_knew_that_a_document_was_brought_back_stands() {
    let (mut a, mut b, space) = two();
    fill(&mut a, &space);
    a.write(&space, &[on("x", Change::Delete)]);
    sync(&mut a, &mut b);
    b.now = a.now + 1_000;
    b.write(&space, &[on("x", Change::Restore)]);
    sync(&mut a, &mut b);
    a.now = b.now + 1_000;
    a.write(&space, &[on("x", Change::Purge)]);
    let said = entries(&a, &space);
    sync(&mut a, &mut b);
    assert_eq!((shown(&a, &space), shown(&b, &space)), (None, None));
    assert_eq!(entries(&b, &space), said);
}

fn entries(device: &Device, space: &SpaceId) -> u64 {
    let frontier = device.replica.frontier(space).unwrap();
    frontier.iter().map(|item| item.len).sum()
}

#[test]
fn what_was_deleted_long_ago_is_purged_once_everybody_has_seen_it() {
    let (mut a, mut b, space) = two();
    for n in 0..300 {
        a.write(
            &space,
            &[put(&format!("d{n}"), json!({"text": "x".repeat(200)}))],
        );
    }
    let deletes: Vec<Edit> = (0..300)
        .map(|n| on(&format!("d{n}"), Change::Delete))
        .collect();
    a.write(&space, &deletes);
    a.write(&space, &[put("kept", json!({"a": 1}))]);
    for device in [&mut a, &mut b] {
        device
            .replica
            .keep_history(&space, Some(2 * DAY_MS), device.now)
            .unwrap();
    }
    let purged = |device: &Device| {
        let query = HistoryQuery {
            limit: 10_000,
            ..HistoryQuery::default()
        };
        let items = device.replica.history(&space, &query).unwrap();
        let docs = items.into_iter().flat_map(|item| item.documents);
        docs.filter(|doc| doc.changes == ["purge"]).count()
    };
    for _ in 0..4 {
        a.now += DAY_MS;
        a.replica.tend_history(a.now).unwrap();
    }
    b.now = a.now;
    let tend = |a: &mut Device, b: &mut Device| {
        a.now += 3 * DAY_MS;
        b.now = a.now;
        a.replica.tend_history(a.now).unwrap();
        sync(a, b);
        b.replica.tend_history(b.now).unwrap();
        sync(a, b);
    };
    assert_eq!(purged(&a), 0, "the other device has not seen the deletions");
    sync(&mut a, &mut b);
    b.write(&space, &[put("seen", json!({"by": "b"}))]);
    a.write(&space, &[put("seen", json!({"by": "a"}))]);
    sync(&mut a, &mut b);
    tend(&mut a, &mut b);
    assert_eq!((purged(&a), purged(&b)), (300, 300));
    assert_eq!(a.get(&space, "notes", "kept"), Some(json!({"a": 1})));
    assert_eq!(a.dump(&space), b.dump(&space));
    let said = entries(&a, &space);
    tend(&mut a, &mut b);
    sync(&mut a, &mut b);
    assert_eq!(purged(&a), 300);
    assert_eq!(
        entries(&a, &space),
        said,
        "nothing to purge, nothing to say"
    );
}

#[test]
fn undo_passes_over_what_a_device_purged_by_itself() {
    let (mut a, mut b, space) = two();
    a.write(&space, &[put("old", json!({"text": "x"}))]);
    a.write(&space, &[on("old", Change::Delete)]);
    a.write(&space, &[put("x", json!({"n": 1}))]);
    a.write(&space, &[put("x", json!({"n": 2}))]);
    sync(&mut a, &mut b);
    b.write(&space, &[put("seen", json!({"by": "b"}))]);
    sync(&mut a, &mut b);
    a.replica
        .keep_history(&space, Some(2 * DAY_MS), a.now)
        .unwrap();
    let said = entries(&a, &space);
    a.now += 4 * DAY_MS;
    a.replica.tend_history(a.now).unwrap();
    assert!(entries(&a, &space) > said, "it was purged");
    sync(&mut a, &mut b);
    // The latest change of the person is that of the other device, wherever it is asked.
    let undone = a.replica.undo(&space, a.now).unwrap();
    assert!(undone.kept.is_empty(), "{undone:?}");
    assert_eq!(a.get(&space, "notes", "seen"), None);
    let undone = a.replica.undo(&space, a.now).unwrap();
    assert!(undone.kept.is_empty(), "{undone:?}");
    assert_eq!(shown(&a, &space), Some(json!({"n": 1})));
    a.now += 4 * DAY_MS;
    a.replica.redo(&space, a.now).unwrap();
    assert_eq!(shown(&a, &space), Some(json!({"n": 2})));
    // What the deleted document held is gone: undoing that far says so, and brings nothing back.
    for _ in 0..3 {
        let _ = a.replica.undo(&space, a.now);
    }
    assert_eq!(a.get(&space, "notes", "old"), None);
}
