//! Two and three real nodes: apart and together again, through a third, killed and started again.

use crate::support::{Device, add, in_step, linked, put, until};
use serde_json::{Value, json};
use stead_api::{DocPut, DocQuery, DocRedact, Edit, Op, Page, PathKind};

fn everything(device: &Device, space: &str, collection: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page: Page = device.call(&DocQuery {
            space: space.to_owned(),
            collection: collection.to_owned(),
            limit: Some(700),
            after,
            ..DocQuery::default()
        });
        all.extend(page.docs.into_iter().map(|doc| json!([doc.id, doc.value])));
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_made_apart_are_all_there_once_the_devices_meet_again() {
    let (mut a, mut b) = linked().await;
    a.space("notes");
    a.put(
        "notes",
        "pages",
        "shared",
        json!({"title": "start", "count": 0}),
    );
    until("the page", || b.get("notes", "pages", "shared")).await;
    in_step("notes", &[&a, &b]).await;
    b.stop().await;
    a.put("notes", "pages", "shared", json!({"by_a": true}));
    a.call(&add("notes", "pages", "shared", "visits", 2));
    a.put("notes", "pages", "only-a", json!({"n": 1}));
    a.stop().await;
    b.again().await;
    b.put("notes", "pages", "shared", json!({"by_b": true}));
    b.call(&add("notes", "pages", "shared", "visits", 3));
    b.put("notes", "pages", "only-b", json!({"n": 2}));
    a.again().await;
    let merged = |device: &Device| {
        device
            .get("notes", "pages", "shared")
            .filter(|page| page["visits"] == 5)
    };
    let (on_a, on_b) = (
        until("a", || merged(&a)).await,
        until("b", || merged(&b)).await,
    );
    assert_eq!(on_a, on_b);
    assert_eq!(
        on_a,
        json!({"title": "start", "count": 0, "by_a": true, "by_b": true, "visits": 5})
    );
    until("all pages on a", || a.get("notes", "pages", "only-b")).await;
    until("all pages on b", || b.get("notes", "pages", "only-a")).await;
    in_step("notes", &[&a, &b]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_device_gets_changes_of_one_it_never_met() {
    let (mut a, b) = linked().await;
    a.space("notes");
    a.put("notes", "pages", "one", json!({"from": "a"}));
    until("the page", || b.get("notes", "pages", "one")).await;
    in_step("notes", &[&a, &b]).await;
    a.stop().await;
    let c = Device::start("phone").await;
    c.enter(&b);
    assert_eq!(
        until("the page", || c.get("notes", "pages", "one")).await,
        json!({"from": "a"})
    );
    // And back: what c writes reaches a through b, while c is gone.
    until("being let in", || {
        c.spaces()
            .iter()
            .find(|s| s.name == "notes")
            .filter(|s| s.devices == 3)
            .map(|_| ())
    })
    .await;
    c.put("notes", "pages", "two", json!({"from": "c"}));
    until("c's page on b", || b.get("notes", "pages", "two")).await;
    let mut c = c;
    c.stop().await;
    a.again().await;
    assert_eq!(
        until("c's page on a", || a.get("notes", "pages", "two")).await,
        json!({"from": "c"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_and_is_synced_afterwards() {
    let (mut a, b) = linked().await;
    a.space("notes");
    until("the space", || {
        b.spaces()
            .iter()
            .any(|space| space.name == "notes")
            .then_some(())
    })
    .await;
    for n in 0..50 {
        a.put("notes", "pages", &format!("p{n}"), json!({"n": n}));
    }
    a.kill().await;
    a.again().await;
    assert_eq!(everything(&a, "notes", "pages").len(), 50);
    a.put("notes", "pages", "later", json!({"n": 50}));
    until("everything on b", || {
        (everything(&b, "notes", "pages").len() == 51).then_some(())
    })
    .await;
    assert_eq!(
        everything(&a, "notes", "pages"),
        everything(&b, "notes", "pages")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_documents_reach_three_devices_and_all_are_equal() {
    let (a, b) = linked().await;
    let c = Device::start("phone").await;
    c.enter(&a);
    a.space("cities");
    for part in 0..10 {
        let edits = (0..300).map(|n| Edit {
            collection: "cities".to_owned(),
            id: Some(format!("city-{}", part * 300 + n)),
            op: Op::Put {
                value: json!({"name": format!("City {n}"), "part": part, "people": n * 1000}),
                replace: false,
            },
        });
        a.call(&DocPut {
            space: "cities".to_owned(),
            edits: edits.collect(),
            ..DocPut::default()
        });
    }
    for device in [&b, &c] {
        until("all cities", || {
            let known = device
                .spaces()
                .iter()
                .any(|space| space.name == "cities" && space.documents == 3000);
            known.then_some(())
        })
        .await;
    }
    assert_eq!(
        everything(&a, "cities", "cities"),
        everything(&b, "cities", "cities")
    );
    assert_eq!(
        everything(&a, "cities", "cities"),
        everything(&c, "cities", "cities")
    );
    in_step("cities", &[&a, &b, &c]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_how_each_device_is_reached_and_why() {
    let (a, mut b) = linked().await;
    let peer = |device: &Device| device.status().peers.into_iter().next();
    let direct = until("a direct path", || {
        peer(&a).filter(|peer| peer.path == PathKind::Direct)
    })
    .await;
    assert_eq!(direct.name, "laptop");
    assert!(
        direct.why.starts_with("direct: this machine"),
        "{}",
        direct.why
    );
    assert!(
        direct
            .clock_difference_ms
            .is_some_and(|ms| ms.abs() < 10_000),
        "{direct:?}"
    );
    // One connection lasts, also when both dialed.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(peer(&a).map(|peer| peer.path), Some(PathKind::Direct));
    assert_eq!(peer(&b).map(|peer| peer.path), Some(PathKind::Direct));
    b.stop().await;
    let offline = until("being offline", || {
        peer(&a).filter(|peer| peer.path == PathKind::Offline)
    })
    .await;
    assert!(!offline.why.is_empty());
    b.again().await;
    until("being back", || {
        peer(&a).filter(|peer| peer.path == PathKind::Direct)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_leaves_a_space_keeps_the_others_as_they_are() {
    let (a, b) = linked().await;
    a.space("notes");
    a.space("recipes");
    a.put("notes", "pages", "one", json!({"n": 1}));
    until("the page", || b.get("notes", "pages", "one")).await;
    in_step("notes", &[&a, &b]).await;
    b.call(&stead_api::SpaceLeave {
        space: "notes".to_owned(),
        lose_unsynced: false,
    });
    assert!(b.spaces().iter().all(|space| space.name != "notes"));
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(
        b.spaces().iter().all(|space| space.name != "notes"),
        "it came back"
    );
    assert!(a.get("notes", "pages", "one").is_some());
    until("the other space", || {
        b.spaces()
            .iter()
            .any(|space| space.name == "recipes")
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_reaches_a_device_linked_afterwards_and_all_of_it_counts() {
    let a = Device::start("tower").await;
    a.space("notes");
    tokio::task::block_in_place(|| {
        let mut client = a.client();
        for part in 0..30 {
            let ids: Vec<u64> = (0..500)
                .map(|n| {
                    let text = format!("a line of text, number {part}.{n}");
                    let id = format!("p{}", n % 250);
                    client
                        .send(&put("notes", "pages", &id, json!({"text": text, "n": n})))
                        .unwrap()
                })
                .collect();
            for id in ids {
                client.receive::<DocPut>(id).unwrap();
            }
        }
    });
    let b = Device::start("laptop").await;
    b.enter(&a);
    until("all changes", || {
        let spaces = b.spaces();
        let notes = spaces.iter().find(|space| space.name == "notes")?;
        (notes.entries >= 15_000 && notes.sync.held_back == 0).then_some(())
    })
    .await;
    in_step("notes", &[&a, &b]).await;
    assert_eq!(
        everything(&a, "notes", "pages"),
        everything(&b, "notes", "pages")
    );
}

/// Whether the bytes are in a file of the device, which is stopped.
fn on_disk(device: &Device, text: &str) -> bool {
    let mut files: Vec<_> = std::fs::read_dir(device.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files.iter().any(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|it| it == text.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_value_leaves_a_device_that_was_away_and_its_files() {
    const SECRET: &str = "PLAINTEXT-TO-BE-REDACTED";
    let (mut a, mut b) = linked().await;
    a.space("notes");
    a.put("notes", "pages", "one", json!({"note": SECRET, "n": 1}));
    until("the page", || b.get("notes", "pages", "one")).await;
    in_step("notes", &[&a, &b]).await;
    b.stop().await;
    assert!(on_disk(&b, SECRET));
    let done = a.call(&DocRedact {
        space: "notes".to_owned(),
        collection: "pages".to_owned(),
        id: "one".to_owned(),
        path: vec!["note".to_owned()],
    });
    assert_eq!(done.entries, 1);
    assert_eq!(a.get("notes", "pages", "one"), Some(json!({"n": 1})));
    b.again().await;
    let gone = || {
        b.get("notes", "pages", "one")
            .filter(|page| page.get("note").is_none())
    };
    assert_eq!(until("the redaction", gone).await, json!({"n": 1}));
    in_step("notes", &[&a, &b]).await;
    a.stop().await;
    b.stop().await;
    assert!(!on_disk(&a, SECRET));
    assert!(!on_disk(&b, SECRET));
}
