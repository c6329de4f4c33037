//! Social recovery over real connections: shares reach guardians, come back by a code that is spoken, and by nothing else.

use crate::support::{Device, until, until_asking};
use serde_json::json;
use stead_api::{
    ContactAdd, ErrorKind, GuardianHeld, GuardianPlanHelp, GuardianSet, GuardianShow,
    IdentityPhrase, IdentityShow, LinkAccept, LinkCreate, LinkSpeak, RecoverBegin, RecoverFinish,
    RecoverLook, RecoverPhase, RecoverShare, RecoverShares, SharesHere, SpaceJoin, SpaceShare,
};

fn identity(device: &Device) -> String {
    device.call(&IdentityShow {}).id
}

fn place(device: &Device) -> String {
    format!("{}@{}", device.node.as_ref().unwrap().device(), device.bind)
}

/// Ada, and two guardians of hers of whom both are needed.
async fn guarded() -> (Device, Device, Device) {
    let (ada, ben, cleo) = (
        Device::start("ada").await,
        Device::start("ben").await,
        Device::start("cleo").await,
    );
    ada.space("family");
    ada.put("family", "notes", "one", json!({"by": "ada"}));
    for (name, guardian) in [("ben", &ben), ("cleo", &cleo)] {
        let invite = ada.call(&SpaceShare {
            space: "family".to_owned(),
            role: "reader".to_owned(),
            uses: Some(1),
            valid_ms: None,
            path: None,
        });
        guardian.call(&SpaceJoin {
            invite: invite.invite,
            keep: None,
        });
        ada.call(&ContactAdd {
            name: name.to_owned(),
            identity: identity(guardian),
        });
    }
    let set = GuardianSet {
        threshold: 2,
        names: vec!["ben".to_owned(), "cleo".to_owned()],
        words: None,
    };
    until("being able to set guardians", || ada.try_call(&set).ok()).await;
    for guardian in [&ben, &cleo] {
        until("the share", || {
            (guardian.call(&GuardianHeld {}).shares.len() == 1).then_some(())
        })
        .await;
    }
    until("the guardians' word", || {
        let shown = ada.call(&GuardianShow {}).guardians;
        shown.iter().all(|it| it.held_ms.is_some()).then_some(())
    })
    .await;
    (ada, ben, cleo)
}

fn offer(guardian: &Device, owner: &str) -> String {
    let create = LinkCreate {
        valid_ms: None,
        help: Some(owner.to_owned()),
    };
    guardian.call(&create).link
}

fn take(new: &Device, link: &str) -> Option<String> {
    let share = RecoverShare {
        link: Some(link.to_owned()),
        ..RecoverShare::default()
    };
    new.call(&share).code
}

fn come(new: &Device) -> SharesHere {
    loop {
        let here = new.call(&RecoverShares { wait_ms: 5_000 });
        if !here.waiting {
            return here;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_devices_and_words_lost_guardians_bring_everything_back() {
    let (ada, ben, cleo) = guarded().await;
    let (person, words) = (identity(&ada), ada.call(&IdentityPhrase {}).words);
    drop(ada);
    let new = Device::start("laptop").await;

    let plan = ben.call(&GuardianPlanHelp {
        person: person.clone(),
    });
    assert_eq!((plan.share.threshold, plan.share.count), (2, 2));
    let code = take(&new, &offer(&ben, &person));
    let asked = until_asking(&ben);
    assert!(asked.help.is_some() && asked.by_code);
    ben.approve(code.as_deref()).expect("the right code");
    let here = come(&new);
    assert_eq!((here.have, here.need, here.ready), (1, 2, false));
    // One share is not enough to begin.
    let refused = new.try_call(&RecoverBegin::default()).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotAllowed);

    // The other guardian says words.
    let spoken = cleo.call(&LinkSpeak {
        valid_ms: None,
        help: Some(person.clone()),
    });
    new.call(&RecoverShare {
        link: None,
        words: Some(spoken.words),
        at: Some(place(&cleo)),
    });
    until_asking(&cleo);
    cleo.approve(None).expect("a yes");
    let here = come(&new);
    assert!(here.ready, "{here:?}");
    assert_eq!(here.identity, person);

    new.call(&RecoverBegin {
        anew: true,
        ..RecoverBegin::default()
    });
    until("coming back", || {
        let state = new.call(&RecoverLook { wait_ms: 500 });
        (state.phase == RecoverPhase::Arrived).then_some(())
    })
    .await;
    assert_eq!(identity(&new), person);
    assert_eq!(
        new.get("family", "notes", "one"),
        Some(json!({"by": "ada"}))
    );
    new.call(&RecoverFinish::default());
    // The words wait to be written down.
    assert_eq!(new.call(&IdentityPhrase {}).words.0, words.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guardian_gives_nothing_to_a_thief_without_the_code_that_is_spoken() {
    let (ada, ben, _cleo) = guarded().await;
    let person = identity(&ada);
    let (honest, thief) = (Device::start("laptop").await, Device::start("laptop").await);
    // A thief saw the text and is faster; the guardian types the code that the true owner reads out.
    let link = offer(&ben, &person);
    let shown_to_thief = take(&thief, &link);
    let asked = until_asking(&ben);
    assert_eq!(asked.name, "laptop");
    let late = honest.try_call(&RecoverShare {
        link: Some(link),
        ..RecoverShare::default()
    });
    assert_eq!(late.unwrap_err().kind, ErrorKind::LinkUsed);
    let spoken = match shown_to_thief.as_deref() {
        Some("000 000") => "000 001",
        _ => "000 000",
    };
    let refused = ben.approve(Some(spoken)).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::LinkCodeWrong);
    let nothing = until("being refused", || {
        thief.try_call(&RecoverShares { wait_ms: 500 }).err()
    })
    .await;
    assert_eq!(nothing.kind, ErrorKind::LinkCodeWrong);
    assert!(thief.call(&RecoverShares::default()).shares.is_empty());
    // Nothing was released, and nobody is told so.
    let shown = ada.call(&GuardianShow {}).guardians;
    assert!(shown.iter().all(|guardian| guardian.released_ms.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guardian_gives_links_no_device_and_a_link_gives_no_share() {
    let (ada, ben, _cleo) = guarded().await;
    let person = identity(&ada);
    let thief = Device::start("laptop").await;
    // The same secret behind the other door.
    let help = offer(&ben, &person);
    let link = help.replacen("stead-help:", "stead-link:", 1);
    let refused = thief
        .try_call(&LinkAccept {
            link,
            ..LinkAccept::default()
        })
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::LinkWrong);
    let link = ben.make_link();
    let refused = thief.try_call(&RecoverShare {
        link: Some(link.replacen("stead-link:", "stead-help:", 1)),
        ..RecoverShare::default()
    });
    assert_eq!(refused.unwrap_err().kind, ErrorKind::LinkWrong);
    // Who holds no share gives none.
    let create = LinkCreate {
        valid_ms: None,
        help: Some(identity(&ben)),
    };
    assert_eq!(ada.try_call(&create).unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_still_has_a_device_hears_that_a_share_was_released() {
    let (ada, ben, _cleo) = guarded().await;
    let person = identity(&ada);
    let thief = Device::start("laptop").await;
    let code = take(&thief, &offer(&ben, &person));
    until_asking(&ben);
    ben.approve(code.as_deref()).expect("tricked by a voice");
    assert_eq!(come(&thief).have, 1);
    until("the owner hears of it", || {
        let shown = ada.call(&GuardianShow {}).guardians;
        shown
            .iter()
            .any(|it| it.released_ms.is_some())
            .then_some(())
    })
    .await;
    until("a warning", || {
        let warnings = ada.status().warnings;
        warnings
            .iter()
            .any(|it| it.message.contains("share"))
            .then_some(())
    })
    .await;
    // The share itself is shown by no call.
    assert!(
        ben.get("home", "@held", &person)
            .is_none_or(|doc| doc.get("share").is_none())
    );
}
