//! Linking devices over real connections, and everything that can be wrong with a link.

use crate::support::{Device, linked, until, until_asking};
use serde_json::json;
use stead_api::{DeviceList, ErrorKind, LinkCancel, LinkCreate, LinkOutcome, LinkRefuse, LinkWait};

fn outcome(old: &Device, link_id: &str) -> LinkOutcome {
    old.call(&LinkWait {
        link_id: link_id.to_owned(),
        wait_ms: 5_000,
        beyond_asking: true,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_device_gets_what_was_there_and_what_comes_later() {
    let old = Device::start("tower").await;
    old.space("notes");
    old.put("notes", "pages", "one", json!({"title": "before"}));
    let new = Device::start("laptop").await;
    let created = old.call(&LinkCreate::default());
    let begun = new.use_link(&created.link).expect("a link that works");
    let asked = old.call(&LinkWait {
        link_id: created.link_id.clone(),
        wait_ms: 5_000,
        beyond_asking: false,
    });
    let LinkOutcome::Asking { newcomer } = asked else {
        panic!("{asked:?}");
    };
    assert_eq!(newcomer.name, "laptop");
    assert!(newcomer.by_code);
    old.approve(begun.code.as_deref()).expect("the right code");
    let accepted = new.arrive(&begun).expect("let in");
    assert_eq!(accepted.device.name, "tower");
    assert_eq!(accepted.spaces.len(), 2);
    let linked = outcome(&old, &created.link_id);
    assert!(matches!(linked, LinkOutcome::Linked { device } if device.name == "laptop"));
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
async fn nobody_is_let_in_before_the_person_says_so_and_a_no_is_a_no() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let created = old.call(&LinkCreate::default());
    let begun = new.use_link(&created.link).expect("a link that works");
    until_asking(&old);
    assert_eq!(old.status().identity.devices, 1);
    // A bare yes, and what is no code at all, let nobody in and spoil nothing.
    for slip in [None, Some("yes"), Some("12345")] {
        assert_eq!(
            old.approve(slip).unwrap_err().kind,
            ErrorKind::InvalidParams
        );
    }
    until_asking(&old);
    old.call(&LinkRefuse {});
    assert_eq!(new.arrive(&begun).unwrap_err().kind, ErrorKind::LinkRefused);
    let refused = outcome(&old, &created.link_id);
    assert!(
        matches!(refused, LinkOutcome::Refused { .. }),
        "{refused:?}"
    );
    assert_eq!(
        old.approve(begun.code.as_deref()).unwrap_err().kind,
        ErrorKind::LinkNobody
    );
    assert_eq!(old.status().identity.devices, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_goes_away_while_it_asks_is_not_let_in() {
    let (old, mut new) = (Device::start("tower").await, Device::start("laptop").await);
    let created = old.call(&LinkCreate::default());
    let begun = new.use_link(&created.link).expect("a link that works");
    until_asking(&old);
    new.stop().await;
    let gone = outcome(&old, &created.link_id);
    assert!(
        matches!(&gone, LinkOutcome::Refused { message } if message.contains("went away")),
        "{gone:?}"
    );
    assert_eq!(
        old.approve(begun.code.as_deref()).unwrap_err().kind,
        ErrorKind::LinkNobody
    );
    assert_eq!(old.status().identity.devices, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_link_is_refused_and_cancelling_sends_away_who_asks() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let created = old.call(&LinkCreate::default());
    let cancel = |link_id: &str| {
        old.call(&LinkCancel {
            link_id: link_id.to_owned(),
        })
    };
    cancel(&created.link_id);
    let refused = new.use_link(&created.link).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::LinkExpired);
    assert!(refused.message.contains("taken back"), "{refused}");
    assert_eq!(outcome(&old, &created.link_id), LinkOutcome::Cancelled);

    let created = old.call(&LinkCreate::default());
    let begun = new.use_link(&created.link).expect("a link that works");
    until_asking(&old);
    cancel(&created.link_id);
    assert_eq!(new.arrive(&begun).unwrap_err().kind, ErrorKind::LinkExpired);
    assert_eq!(outcome(&old, &created.link_id), LinkOutcome::Cancelled);
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
    third.enter(&old);
    let refused = third.use_link(&old.make_link()).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::LinkTaken);
    assert!(refused.message.contains("linked already"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_waiting_to_be_let_in_is_not_given_up() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let begun = new.use_link(&old.make_link()).expect("a link that works");
    until_asking(&old);
    new.space("mine");
    old.approve(begun.code.as_deref()).expect("the right code");
    assert_eq!(new.arrive(&begun).unwrap_err().kind, ErrorKind::LinkTaken);
    assert!(new.spaces().iter().any(|space| space.name == "mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_device_tells_who_was_linked_by_whom() {
    let (tower, laptop) = linked().await;
    let phone = Device::start("phone").await;
    until("being let in", || {
        (laptop.status().identity.devices == 2).then_some(())
    })
    .await;
    phone.enter(&laptop);
    let told = |device: &Device| {
        let warnings = device.status().warnings;
        let mut news = warnings.iter().map(|warning| warning.message.clone());
        news.find(|news| news.contains("was linked by"))
    };
    let news = until("the news", || told(&tower)).await;
    assert!(news.starts_with("phone was linked by laptop"), "{news}");
    // Whoever did it, and the newcomer, know.
    assert_eq!(told(&laptop), None);
    assert_eq!(told(&phone), None);
    // News outlive a restart.
    let mut tower = tower;
    tower.stop().await;
    tower.again().await;
    until("the news after a restart", || told(&tower)).await;
}
