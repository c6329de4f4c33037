//! Real nodes and checkpoints: history is dropped, and a device that comes later begins without it.

use crate::support::{Device, in_step, linked, put, until};
use serde_json::json;
use stead_api::{DocHistory, SpaceCheckpoint, SpaceCheckpoints, SpaceCompact, SpaceHistory};

#[tokio::test(flavor = "multi_thread")]
async fn a_device_linked_after_history_was_dropped_gets_everything_and_takes_part() {
    let (a, b) = linked().await;
    a.space("notes");
    for n in 0..60 {
        a.put("notes", "pages", &format!("p{}", n % 7), json!({"n": n}));
    }
    until("the pages", || {
        b.get("notes", "pages", "p3").filter(|page| page["n"] == 59)
    })
    .await;
    let made = a.call(&SpaceCheckpoint {
        space: "notes".to_owned(),
    });
    assert_eq!(made.documents, 7);
    in_step("notes", &[&a, &b]).await;
    // What is not known to be everywhere is dropped only by force.
    let compact = |force| SpaceCompact {
        space: "notes".to_owned(),
        older_than_ms: 0,
        force,
    };
    assert!(a.try_call(&compact(false)).is_err());
    assert!(a.call(&compact(true)).entries > 50);
    assert!(b.call(&compact(true)).entries > 50);
    // What is there and has no history any more is not said to have never been written.
    let told = a.try_call(&DocHistory {
        space: "notes".to_owned(),
        collection: "pages".to_owned(),
        id: "p3".to_owned(),
        ..DocHistory::default()
    });
    let told = told.unwrap_err().to_string();
    assert!(told.contains("begins with a checkpoint"), "{told}");
    let kept = a.call(&SpaceHistory {
        space: "notes".to_owned(),
        keep_ms: None,
    });
    for spaces in [a.spaces(), a.status().spaces] {
        let from = spaces.into_iter().find(|space| space.name == "notes");
        let from = from.and_then(|space| space.known_from_ms);
        assert!(from.is_some() && from == kept.known_from_ms, "{from:?}");
    }

    let c = Device::start("phone").await;
    c.enter(&a);
    let page = until("a page", || c.get("notes", "pages", "p3")).await;
    assert_eq!(page, json!({"n": 59}));
    until("being let in", || {
        let spaces = c.spaces();
        let notes = spaces.iter().find(|space| space.name == "notes");
        notes.filter(|space| space.devices == 3).map(|_| ())
    })
    .await;
    let listed = c.call(&SpaceCheckpoints {
        space: "notes".to_owned(),
    });
    assert!(listed.checkpoints.iter().any(|info| info.beginning));
    c.call(&put("notes", "pages", "new", json!({"from": "c"})));
    until("the new page", || b.get("notes", "pages", "new")).await;
    in_step("notes", &[&a, &b, &c]).await;
}
