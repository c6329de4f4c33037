//! Real nodes of which one keeps a part of a space: on joining, on being linked, on demand, offline.

use std::collections::BTreeMap;

use crate::support::{Device, linked, put, until, until_asking};
use serde_json::{Value, json};
use stead_api::{
    DocGet, DocPut, DocQuery, DocWatch, Edit, ErrorKind, GroupBy, Keep, LinkAccept, LinkHear,
    LinkOutcome, LinkSpeak, Op, SpaceJoin, SpaceKeep, SpaceKept, SpaceRevoke, SpaceShare, SqlRun,
};

/// Many documents in ten collections, and an invite.
fn fill(device: &Device, documents: usize) -> String {
    device.space("work");
    for batch in 0..documents / 50 {
        let edits = (0..50).map(|i| Edit {
            collection: format!("c{}", batch % 10),
            id: Some(format!("d{batch}-{i}")),
            op: Op::Put {
                value: json!({"text": "lorem ipsum ".repeat(20), "batch": batch, "i": i}),
                replace: false,
            },
        });
        device.call(&DocPut {
            space: "work".to_owned(),
            edits: edits.collect(),
            ..DocPut::default()
        });
    }
    invite(device)
}

fn invite(device: &Device) -> String {
    let share = SpaceShare {
        space: "work".to_owned(),
        role: "writer".to_owned(),
        uses: Some(5),
        valid_ms: None,
        path: None,
    };
    device.call(&share).invite
}

fn keep(collections: &[&str]) -> Keep {
    Keep {
        collections: collections.iter().map(|it| (*it).to_owned()).collect(),
        ..Keep::default()
    }
}

fn kept(device: &Device) -> SpaceKept {
    device.call(&SpaceKeep {
        space: "work".to_owned(),
        ..SpaceKeep::default()
    })
}

fn count(device: &Device, collection: &str) -> (usize, bool) {
    let query = DocQuery {
        space: "work".to_owned(),
        collection: collection.to_owned(),
        limit: Some(1000),
        ..DocQuery::default()
    };
    let page = device.call(&query);
    (page.docs.len(), page.partial)
}

/// What a watch and a grouped query say of how much is here, and SQL of a collection that is not empty.
fn is_partial(device: &Device, collection: &str) -> bool {
    let group = device.call(&DocQuery {
        space: "work".to_owned(),
        collection: collection.to_owned(),
        group: Some(GroupBy {
            by: vec![vec!["batch".to_owned()]],
            ..GroupBy::default()
        }),
        ..DocQuery::default()
    });
    let watch = device.call(&DocWatch {
        space: "work".to_owned(),
        collection: collection.to_owned(),
        ..DocWatch::default()
    });
    assert_eq!(group.partial, watch.partial);
    if count(device, collection).0 > 0 {
        let rows = device.call(&SqlRun {
            space: "work".to_owned(),
            sql: format!("SELECT count(*) FROM {collection}"),
            ..SqlRun::default()
        });
        assert_eq!(group.partial, rows.partial);
    }
    group.partial
}

fn received(device: &Device) -> u64 {
    let status = device.status();
    status.peers.iter().map(|it| it.received_bytes).sum()
}

fn try_get(device: &Device, collection: &str, id: &str) -> Result<Value, ErrorKind> {
    let get = DocGet {
        space: "work".to_owned(),
        collection: collection.to_owned(),
        id: id.to_owned(),
        ..DocGet::default()
    };
    let got = device.try_call(&get);
    got.map(|got| got.doc.value).map_err(|error| error.kind)
}

async fn joined(ada: &Device, invite: &str, name: &str, keep: Keep) -> Device {
    let ben = Device::start(name).await;
    ben.call(&SpaceJoin {
        invite: invite.to_owned(),
        keep: Some(keep),
    });
    assert!(ada.node.is_some());
    ben
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_with_a_choice_gets_it_and_never_the_whole() {
    let ada = Device::start("ada").await;
    let invite = fill(&ada, 4000);
    let ben = joined(&ada, &invite, "ben", keep(&["c3"])).await;
    until("the collection", || {
        let state = kept(&ben);
        (state.unfilled.is_empty() && count(&ben, "c3").0 == 400).then_some(())
    })
    .await;
    assert_eq!(count(&ben, "c3"), (400, false));
    assert_eq!(count(&ben, "c4"), (0, true));
    assert!(!is_partial(&ben, "c3") && is_partial(&ben, "c4"));
    let state = kept(&ben);
    assert!(state.partial && state.documents == 400, "{state:?}");
    assert!(state.kept_entries * 4 < state.log_entries, "{state:?}");
    let whole = Device::start("cleo").await;
    whole.call(&SpaceJoin { invite, keep: None });
    until("the whole", || (count(&whole, "c9").0 == 400).then_some(())).await;
    let (part, all) = (received(&ben), received(&whole));
    assert!(part * 2 < all, "{part} of {all} bytes");

    // What is chosen is followed, both ways.
    ada.put("work", "c3", "d3-1", json!({"seen": true}));
    until("the change", || {
        ben.get("work", "c3", "d3-1")
            .filter(|it| it["seen"] == json!(true))
    })
    .await;
    until("being let in", || {
        ben.try_call(&put("work", "c3", "d3-2", json!({"by": "ben"})))
            .ok()
    })
    .await;
    until("the other way", || {
        ada.get("work", "c3", "d3-2")
            .filter(|it| it["by"] == json!("ben"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_comes_on_demand_and_offline_the_error_says_what_to_do() {
    let mut ada = Device::start("ada").await;
    let invite = fill(&ada, 500);
    let mut ben = joined(&ada, &invite, "ben", Keep::default()).await;
    until("a document on demand", || try_get(&ben, "c1", "d1-7").ok()).await;
    assert_eq!(kept(&ben).on_demand, 1);
    // It is followed from now on.
    ada.put("work", "c1", "d1-7", json!({"later": 1}));
    until("what came later", || {
        try_get(&ben, "c1", "d1-7")
            .ok()
            .filter(|it| it["later"] == json!(1))
    })
    .await;
    // One that does not exist is said not to.
    assert_eq!(try_get(&ben, "c1", "nowhere"), Err(ErrorKind::NotFound));
    // Writing to one that is not here fetches it first.
    ben.put("work", "c2", "d2-1", json!({"by": "ben"}));
    let written = until("the change", || {
        ada.get("work", "c2", "d2-1")
            .filter(|it| it["by"] == json!("ben"))
    })
    .await;
    assert_eq!(written["batch"], json!(2));

    ada.stop().await;
    assert_eq!(try_get(&ben, "c1", "d1-7").unwrap()["later"], json!(1));
    let missing = until("being alone", || {
        try_get(&ben, "c3", "d3-1")
            .err()
            .filter(|it| *it == ErrorKind::NotHere)
    })
    .await;
    assert_eq!(missing, ErrorKind::NotHere);
    let refused = ben.try_call(&put("work", "c3", "d3-1", json!({"v": 1})));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::NotHere);
    let mut new = put("work", "c3", "x", json!({"made": "offline"}));
    new.edits[0].id = None;
    let made = ben.call(&new);
    ben.stop().await;
    ben.again().await;
    ada.again().await;
    let id = made.ids[0].clone();
    until("what was made offline", || ada.get("work", "c3", &id)).await;
    until("on demand again", || try_get(&ben, "c3", "d3-1").ok()).await;
}

/// Waits for the collection that a device was linked with.
async fn until_filled(phone: &Device) {
    until("the collection", || {
        let has = phone.spaces().iter().any(|space| space.name == "work");
        (has && count(phone, "c1").0 == 100).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_linked_by_spoken_words_keeps_what_was_chosen_with_them() {
    let tower = Device::start("tower").await;
    fill(&tower, 1000);
    let spoken = tower.call(&LinkSpeak::default());
    let phone = Device::start("phone").await;
    let begun = phone.call(&LinkHear {
        words: spoken.words.clone(),
        at: Some(spoken.places[0].clone()),
        keep: BTreeMap::from([("work".to_owned(), keep(&["c1"]))]),
    });
    until_asking(&tower);
    let outcome = tower.approve(begun.code.as_deref()).expect("a yes");
    assert!(matches!(outcome, LinkOutcome::Linked { .. }), "{outcome:?}");
    phone.arrive(&begun).expect("let in");
    until_filled(&phone).await;
    let state = kept(&phone);
    assert!(state.partial && state.documents == 100, "{state:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_ones_own_is_linked_with_a_choice_and_may_change_it() {
    let (tower, laptop) = linked().await;
    fill(&tower, 1000);
    let phone = Device::start("phone").await;
    let begun = phone.call(&LinkAccept {
        link: tower.make_link(),
        keep: BTreeMap::from([("work".to_owned(), keep(&["c1"]))]),
    });
    until_asking(&tower);
    let outcome = tower
        .approve(begun.code.as_deref())
        .expect("the right code");
    assert!(matches!(outcome, LinkOutcome::Linked { .. }), "{outcome:?}");
    phone.arrive(&begun).expect("let in");
    until_filled(&phone).await;
    assert!(
        phone
            .spaces()
            .iter()
            .any(|it| it.name == "work" && it.partial)
    );
    let state = kept(&phone);
    assert_eq!(state.documents, 100, "{state:?}");
    // Another part.
    phone.call(&SpaceKeep {
        space: "work".to_owned(),
        keep: Some(keep(&["c2"])),
        ..SpaceKeep::default()
    });
    until("the other collection", || {
        (count(&phone, "c2").0 == 100).then_some(())
    })
    .await;
    assert_eq!(count(&phone, "c1").0, 0);
    // A whole device shrinks, and is whole again.
    until("the laptop", || {
        (count(&laptop, "c9").0 == 100).then_some(())
    })
    .await;
    crate::support::in_step("work", &[&tower, &laptop]).await;
    laptop.call(&SpaceKeep {
        space: "work".to_owned(),
        keep: Some(keep(&["c5"])),
        ..SpaceKeep::default()
    });
    assert_eq!(count(&laptop, "c5"), (100, false));
    assert_eq!(count(&laptop, "c6"), (0, true));
    tower.put("work", "c5", "d5-1", json!({"again": 1}));
    until("the change", || {
        laptop
            .get("work", "c5", "d5-1")
            .filter(|it| it["again"] == json!(1))
    })
    .await;
    until("becoming whole", || {
        laptop
            .try_call(&SpaceKeep {
                space: "work".to_owned(),
                all: true,
                ..SpaceKeep::default()
            })
            .ok()
    })
    .await;
    until("the rest", || {
        ((0..10).all(|n| count(&laptop, &format!("c{n}")).0 == 100)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_put_out_of_a_space_like_a_whole() {
    let ada = Device::start("ada").await;
    let invite = fill(&ada, 500);
    let ben = joined(&ada, &invite, "ben", keep(&["c1"])).await;
    until("the collection", || {
        (count(&ben, "c1").0 == 50).then_some(())
    })
    .await;
    ada.call(&SpaceRevoke {
        space: "work".to_owned(),
        member: "ben".to_owned(),
        reason: None,
    });
    ada.put("work", "c1", "d1-1", json!({"secret": true}));
    let told = until("being told", || {
        ben.try_call(&put("work", "c1", "d1-2", json!({}))).err()
    })
    .await;
    assert_eq!(told.kind, ErrorKind::NotAllowed);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(
        ben.get("work", "c1", "d1-1")
            .unwrap()
            .get("secret")
            .is_none()
    );
    assert!(try_get(&ben, "c2", "d2-1").is_err());
}
