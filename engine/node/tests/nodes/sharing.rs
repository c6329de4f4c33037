//! Spaces shared between people over real connections: invites, and putting somebody out.

use crate::support::{Device, put, until};
use serde_json::json;
use stead_api::{ErrorKind, SpaceCan, SpaceJoin, SpacePlanShare, SpaceRevoke, SpaceShare};

fn share(device: &Device, role: &str) -> String {
    let share = SpaceShare {
        space: "family".to_owned(),
        role: role.to_owned(),
        uses: Some(1),
        valid_ms: None,
        path: None,
    };
    device.call(&share).invite
}

fn join(device: &Device, invite: &str) -> Result<stead_api::SpaceJoined, stead_api::ApiError> {
    device.try_call(&SpaceJoin {
        invite: invite.to_owned(),
        keep: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn people_share_a_space_by_an_invite_and_one_is_put_out() {
    let (ada, ben) = (Device::start("ada").await, Device::start("ben").await);
    ada.space("family");
    ada.put("family", "notes", "one", json!({"by": "ada"}));
    let invite = share(&ada, "writer");
    let joined = join(&ben, &invite).expect("joined");
    assert_eq!(joined.name, "family");
    until("the note", || ben.get("family", "notes", "one")).await;
    until("being let in", || {
        ben.try_call(&put("family", "notes", "two", json!({"by": "ben"})))
            .ok()
    })
    .await;
    until("the other way", || ada.get("family", "notes", "two")).await;

    // The invite was for one.
    let cleo = Device::start("cleo").await;
    let refused = join(&cleo, &invite).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::LinkWrong);

    ada.call(&SpaceRevoke {
        space: "family".to_owned(),
        member: "ben".to_owned(),
        reason: Some("moved out".to_owned()),
    });
    ada.put("family", "notes", "three", json!({"secret": true}));
    let told = until("being told", || {
        ben.try_call(&put("family", "notes", "four", json!({})))
            .err()
    })
    .await;
    assert_eq!(told.kind, ErrorKind::NotAllowed);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(ben.get("family", "notes", "three"), None);
    assert_eq!(
        ben.get("family", "notes", "two"),
        Some(json!({"by": "ben"}))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_or_expired_invite_is_refused_with_what_to_do() {
    let (ada, ben) = (Device::start("ada").await, Device::start("ben").await);
    ada.space("family");
    let mut invite = share(&ada, "reader");
    invite.pop();
    let refused = join(&ben, &invite).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::LinkMalformed);
    assert!(!refused.hint.is_empty());
    let share = SpaceShare {
        space: "family".to_owned(),
        role: "reader".to_owned(),
        uses: None,
        valid_ms: Some(0),
        path: None,
    };
    let refused = join(&ben, &ada.call(&share).invite).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::LinkExpired);
    let refused = ada
        .try_call(&SpaceShare {
            role: "king".to_owned(),
            ..share
        })
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::InvalidParams);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_into_a_part_finds_that_and_nothing_else() {
    let (ada, ben) = (Device::start("ada").await, Device::start("ben").await);
    ada.space("family");
    ada.put("family", "notes", "one", json!({"text": "for ben"}));
    ada.put("family", "notes", "two", json!({"text": "not for ben"}));
    ada.put("family", "diary", "monday", json!({"text": "not for ben"}));
    let on = Some("/notes/one".to_owned());
    let plan = ada.call(&SpacePlanShare {
        space: "family".to_owned(),
        role: "writer".to_owned(),
        path: on.clone(),
        everyone: false,
    });
    assert!(plan.makes_keys && plan.documents == 1, "{plan:?}");
    assert!(plan.sentence.contains("/notes/one in family"), "{plan:?}");
    let invite = ada.call(&SpaceShare {
        space: "family".to_owned(),
        role: "writer".to_owned(),
        path: on,
        uses: Some(1),
        valid_ms: None,
    });
    join(&ben, &invite.invite).expect("joined");
    until("the note", || ben.get("family", "notes", "one")).await;
    until("being let in", || {
        ben.try_call(&put("family", "notes", "one", json!({"by": "ben"})))
            .ok()
    })
    .await;
    let both = json!({"by": "ben", "text": "for ben"});
    until("the other way", || {
        ada.get("family", "notes", "one").filter(|doc| *doc == both)
    })
    .await;
    ada.put("family", "notes", "one", json!({"text": "seen"}));
    ada.put("family", "notes", "two", json!({"text": "unseen"}));
    until("what is shared", || {
        ben.get("family", "notes", "one")
            .filter(|doc| doc["text"] == "seen")
    })
    .await;
    assert_eq!(ben.get("family", "notes", "two"), None);
    assert_eq!(ben.get("family", "diary", "monday"), None);
    let refused = ben
        .try_call(&put("family", "diary", "tuesday", json!({})))
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotAllowed);
    let may = ada.call(&SpaceCan {
        space: "family".to_owned(),
        who: "ben".to_owned(),
        action: "read".to_owned(),
        path: "/notes/one/text".to_owned(),
    });
    assert!(may.allowed && may.sealed_to == "/notes/one", "{may:?}");
}
