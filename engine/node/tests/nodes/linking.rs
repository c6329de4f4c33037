//! Linking devices over real connections, and everything that can be wrong with a link.

use crate::support::{Device, linked, until};
use serde_json::json;
use stead_api::{DeviceList, ErrorKind, LinkCancel, LinkCreate, LinkOutcome, LinkWait};

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_device_gets_what_was_there_and_what_comes_later() {
    let old = Device::start("tower").await;
    old.space("notes");
    old.put("notes", "pages", "one", json!({"title": "before"}));
    let new = Device::start("laptop").await;
    let created = old.call(&LinkCreate::default());
    let accepted = new.use_link(&created.link).expect("linked");
    assert_eq!(accepted.device.name, "tower");
    assert_eq!(accepted.spaces.len(), 2);
    let outcome = old.call(&LinkWait {
        link_id: created.link_id,
        wait_ms: 5_000,
    });
    assert!(matches!(outcome, LinkOutcome::Linked { device } if device.name == "laptop"));
    let page = until("the page", || new.get("notes", "pages", "one")).await;
    assert_eq!(page, json!({"title": "before"}));
    old.put("notes", "pages", "one", json!({"title": "after"}));
    until("the change", || {
        new.get("notes", "pages", "one")
            .filter(|page| page["title"] == "after")
    })
    .await;
    until("being let in", || {
        new.spaces()
            .iter()
            .all(|space| space.devices == 2)
            .then_some(())
    })
    .await;
    new.put("notes", "pages", "two", json!({"title": "from the laptop"}));
    until("the other way", || old.get("notes", "pages", "two")).await;
    let devices = |device: &Device| device.call(&DeviceList {}).devices;
    assert_eq!(devices(&old).len(), 2);
    assert_eq!(devices(&old)[0].name, "tower");
    assert_eq!(devices(&new)[0].name, "laptop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_made_after_linking_reaches_the_other_device() {
    let (old, new) = linked().await;
    until("being let in", || {
        (new.status().identity.devices == 2).then_some(())
    })
    .await;
    new.space("recipes");
    new.put("recipes", "soups", "leek", json!({"minutes": 40}));
    until("the space", || {
        old.spaces()
            .iter()
            .any(|space| space.name == "recipes")
            .then_some(())
    })
    .await;
    until("the soup", || old.get("recipes", "soups", "leek")).await;
    old.put("recipes", "soups", "leek", json!({"minutes": 35}));
    until("the change", || {
        new.get("recipes", "soups", "leek")
            .filter(|soup| soup["minutes"] == 35)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_link_is_refused() {
    let (old, new) = linked().await;
    let third = Device::start("phone").await;
    let created = old.call(&LinkCreate::default());
    third.use_link(&created.link).expect("linked");
    let fourth = Device::start("tablet").await;
    assert_eq!(
        fourth.use_link(&created.link).unwrap_err().kind,
        ErrorKind::LinkUsed
    );
    drop(new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_link_is_refused_and_burns_the_open_one() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let created = old.call(&LinkCreate::default());
    let mut wrong: stead_api::Link = created.link.parse().unwrap();
    wrong.secret.0[0] ^= 1;
    assert_eq!(
        new.use_link(&wrong.to_string()).unwrap_err().kind,
        ErrorKind::LinkWrong
    );
    let outcome = old.call(&LinkWait {
        link_id: created.link_id,
        wait_ms: 5_000,
    });
    assert!(
        matches!(outcome, LinkOutcome::Refused { .. }),
        "{outcome:?}"
    );
    assert_eq!(
        new.use_link(&created.link).unwrap_err().kind,
        ErrorKind::LinkUsed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_link_is_refused_also_when_nobody_answers() {
    let (mut old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let created = old.call(&LinkCreate { valid_ms: Some(1) });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(
        new.use_link(&created.link).unwrap_err().kind,
        ErrorKind::LinkExpired
    );
    let outcome = old.call(&LinkWait {
        link_id: created.link_id,
        wait_ms: 10,
    });
    assert_eq!(outcome, LinkOutcome::Expired);
    old.stop().await;
    assert_eq!(
        new.use_link(&created.link).unwrap_err().kind,
        ErrorKind::LinkExpired
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_link_is_refused() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let created = old.call(&LinkCreate::default());
    old.call(&LinkCancel {
        link_id: created.link_id.clone(),
    });
    let refused = new.use_link(&created.link).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::LinkExpired);
    assert!(refused.message.contains("taken back"), "{refused}");
    let outcome = old.call(&LinkWait {
        link_id: created.link_id,
        wait_ms: 10,
    });
    assert_eq!(outcome, LinkOutcome::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_refuses_its_own_link_and_a_damaged_one_without_burning_it() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let link = old.make_link();
    assert_eq!(
        old.use_link(&link).unwrap_err().kind,
        ErrorKind::LinkOwnDevice
    );
    let damaged = &link[..link.len() - 3];
    assert_eq!(
        new.use_link(damaged).unwrap_err().kind,
        ErrorKind::LinkMalformed
    );
    new.use_link(&link).expect("still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_cannot_be_reached_leaves_the_link_as_it_is() {
    let (mut old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let link = old.make_link();
    old.stop().await;
    assert_eq!(
        new.use_link(&link).unwrap_err().kind,
        ErrorKind::LinkUnreachable
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_with_data_of_its_own_is_not_taken_over() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    new.space("mine");
    let link = old.make_link();
    assert_eq!(new.use_link(&link).unwrap_err().kind, ErrorKind::LinkTaken);
    // And one that is linked already says so.
    let third = Device::start("phone").await;
    third.use_link(&link).expect("linked");
    let refused = third.use_link(&old.make_link()).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::LinkTaken);
    assert!(refused.message.contains("linked already"), "{refused}");
}
