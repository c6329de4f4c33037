//! Coming back with recovery words alone, over real connections: from one's own surviving node, from a member of a
//! shared space, and against strangers and thieves.

use std::time::Duration;

use crate::support::{Device, put, until};
use serde_json::json;
use stead_access::IdentityId;
use stead_api::{
    ApiError, ErrorKind, IdentityPhrase, IdentityShow, RecoverAnew, RecoverBegin, RecoverFinish,
    RecoverLook, RecoverPhase, RecoverState, SpaceJoin, SpaceShare, Words,
};
use stead_crypt::{DeviceKeys, RecoveryPhrase, RootKey};
use stead_net::{Bind, Connection, Net, NetConfig, PeerHints};
use stead_node::recover::RECOVER_ALPN;
use stead_node::recover::codec::{Answer, Knock};
use stead_node::recover::proofs::{self, Circumstances};

fn words(device: &Device) -> Words {
    device.call(&IdentityPhrase {}).words
}

fn identity(device: &Device) -> String {
    device.call(&IdentityShow {}).id
}

fn place(device: &Device) -> String {
    format!("{}@{}", device.node.as_ref().unwrap().device(), device.bind)
}

fn begin(
    new: &Device,
    words: &Words,
    at: &[&Device],
    anew: bool,
) -> Result<RecoverState, ApiError> {
    new.try_call(&RecoverBegin {
        words: Some(words.clone()),
        at: at.iter().map(|device| place(device)).collect(),
        anew,
    })
}

async fn until_phase(new: &Device, phase: RecoverPhase) -> RecoverState {
    until("coming back", || {
        let state = new.call(&RecoverLook { wait_ms: 500 });
        (state.phase == phase).then_some(state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_words_everything_comes_back_from_a_surviving_device_and_the_lost_one_is_out() {
    let old = Device::start("tower").await;
    let phone = Device::start("phone").await;
    old.space("notes");
    old.put("notes", "pages", "one", json!({"title": "before"}));
    phone.enter(&old);
    until("the page", || phone.get("notes", "pages", "one")).await;
    let (words, person) = (words(&old), identity(&old));

    let new = Device::start("laptop").await;
    let state = begin(&new, &words, &[&old], false).expect("begun");
    assert_eq!(state.identity, person);
    let state = until_phase(&new, RecoverPhase::Arrived).await;
    assert_eq!(
        new.get("notes", "pages", "one"),
        Some(json!({"title": "before"}))
    );
    assert_eq!(identity(&new), person);
    let lost = state.devices.iter().find(|device| device.name == "phone");
    let lost = lost.expect("the phone is named").id.clone();
    assert!(
        state
            .devices
            .iter()
            .any(|device| device.name == "tower" && device.reached)
    );
    let done = new.call(&RecoverFinish { remove: vec![lost] });
    assert_eq!(done.removed, ["phone"]);
    until("the removal reaches the tower", || {
        (old.call(&IdentityShow {})
            .devices
            .iter()
            .filter(|it| it.current)
            .count()
            == 2)
            .then_some(())
    })
    .await;
    new.put("notes", "pages", "two", json!({"title": "after"}));
    until("the new page", || old.get("notes", "pages", "two")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(phone.get("notes", "pages", "two"), None);
    // The root key is gone from the new device.
    let gone = new.try_call(&RecoverLook::default()).unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_a_shared_space_gives_it_back_and_the_person_says_whether_to_begin_anew() {
    let (ada, ben) = (Device::start("ada").await, Device::start("ben").await);
    ada.space("family");
    ada.put("family", "notes", "one", json!({"by": "ada"}));
    let invite = ada.call(&SpaceShare {
        space: "family".to_owned(),
        role: "writer".to_owned(),
        uses: Some(1),
        valid_ms: None,
        path: None,
    });
    ben.call(&SpaceJoin {
        invite: invite.invite,
        keep: None,
    });
    until("the note", || ben.get("family", "notes", "one")).await;
    let (words, person) = (words(&ada), identity(&ada));
    drop(ada);

    let new = Device::start("laptop").await;
    let blank = identity(&new);
    begin(&new, &words, &[&ben], false).expect("begun");
    let state = until_phase(&new, RecoverPhase::NoHome).await;
    assert_eq!(state.spaces[0].name, "family");
    assert_eq!(identity(&new), blank, "nothing was given up");
    new.call(&RecoverAnew {});
    let state = until_phase(&new, RecoverPhase::Arrived).await;
    assert_eq!(identity(&new), person);
    assert_eq!(
        new.get("family", "notes", "one"),
        Some(json!({"by": "ada"}))
    );
    let lost: Vec<String> = state
        .devices
        .iter()
        .map(|device| device.id.clone())
        .collect();
    assert_eq!(lost.len(), 1);
    new.call(&RecoverFinish { remove: lost });
    until("being a member", || {
        new.try_call(&put("family", "notes", "two", json!({"by": "ada again"})))
            .ok()
    })
    .await;
    until("the other way", || ben.get("family", "notes", "two")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_words_are_refused_and_words_that_nobody_knows_find_nothing_and_give_nothing_up() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    old.space("notes");
    let refused = begin(&new, &Words("zoo ".repeat(24)), &[&old], false).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::InvalidParams);
    // Right words of somebody else.
    let stranger = words(&Device::start("stranger").await);
    let before = identity(&new);
    begin(&new, &stranger, &[&old], true).expect("begun");
    until("a round", || {
        let state = new.call(&RecoverLook { wait_ms: 200 });
        (state.rounds > 1 && state.asked > 0).then_some(state)
    })
    .await;
    let state = new.call(&RecoverLook::default());
    assert_eq!(state.phase, RecoverPhase::Looking);
    assert!(state.holders.is_empty());
    assert_eq!(identity(&new), before);
    // A device with data of its own gives nothing up.
    new.space("own");
    let taken = begin(&new, &words(&old), &[&old], false).unwrap_err();
    assert_eq!(taken.kind, ErrorKind::LinkTaken);
}

/// A device that speaks the protocol by hand.
struct Thief {
    net: Net,
    keys: DeviceKeys,
}

impl Thief {
    async fn start(seed: u8) -> Self {
        let keys = DeviceKeys::from_seed(&[seed; 32]);
        let mut config = NetConfig::new(*keys.network_seed());
        config.bind = Bind::Addr("127.0.0.1:0".parse().unwrap());
        config.lan = stead_net::Lan::Off;
        config.alpns = vec![RECOVER_ALPN.to_vec()];
        Self {
            net: Net::start(config).await.expect("a network"),
            keys,
        }
    }

    async fn reach(&self, holder: &Device) -> Connection {
        let device = holder.node.as_ref().unwrap().device();
        let hints = PeerHints {
            addrs: vec![holder.bind],
            relay: None,
        };
        self.net.learn(device, hints);
        self.net
            .connect(device, RECOVER_ALPN)
            .await
            .expect("reached")
    }

    fn circumstances(&self, connection: &Connection) -> Circumstances {
        Circumstances {
            holder: connection.remote(),
            new: self.keys.id(),
            channel_binding: connection.channel_binding(),
        }
    }

    fn knock(&self, root: &RootKey, named: &IdentityId, here: &Circumstances) -> Knock {
        let kem = self.keys.kem().public();
        Knock {
            tag: proofs::tag(named, here),
            proof: proofs::sign(root, here, kem),
            kem: kem.clone(),
        }
    }

    async fn say(connection: &Connection, message: &[u8]) -> Option<Vec<u8>> {
        let (mut out, mut input) = connection.open_bi().await.ok()?;
        let length = u32::try_from(message.len()).unwrap().to_le_bytes();
        out.write_all(&length).await.ok()?;
        out.write_all(message).await.ok()?;
        let mut length = [0; 4];
        input.read_exact(&mut length).await.ok()?;
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut answer).await.ok()?;
        Some(answer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_one_and_the_same_answer_whether_or_not_the_person_is_known() {
    let old = Device::start("tower").await;
    old.space("notes");
    let theirs = RecoveryPhrase::parse(&words(&old).0).unwrap().root();
    let known = IdentityId::from_bytes(theirs.public());
    let own = RecoveryPhrase::from_entropy(&[7; 32]).root();
    let unknown = IdentityId::from_bytes(own.public());
    let thief = Thief::start(40).await;
    let mut heard = Vec::new();
    // Knows the person's public identity and has not the words; then asks for itself.
    for named in [&known, &unknown] {
        let connection = thief.reach(&old).await;
        let here = thief.circumstances(&connection);
        let knock = thief.knock(&own, named, &here);
        heard.push(
            Thief::say(&connection, &knock.encode())
                .await
                .expect("an answer"),
        );
    }
    assert_eq!(heard, vec![Answer::Nothing.encode(); 2]);
    // With the words it is heard: the test would notice if everybody were sent away.
    let connection = thief.reach(&old).await;
    let here = thief.circumstances(&connection);
    let knock = thief.knock(&theirs, &known, &here);
    let answer = Thief::say(&connection, &knock.encode())
        .await
        .expect("an answer");
    assert!(matches!(Answer::decode(&answer), Ok(Answer::Go(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_knock_is_worth_nothing_on_another_connection_or_from_another_device() {
    let old = Device::start("tower").await;
    let root = RecoveryPhrase::parse(&words(&old).0).unwrap().root();
    let person = IdentityId::from_bytes(root.public());
    let (honest, thief) = (Thief::start(41).await, Thief::start(42).await);
    let first = honest.reach(&old).await;
    let knock = honest.knock(&root, &person, &honest.circumstances(&first));
    for replaying in [&thief, &honest] {
        let connection = replaying.reach(&old).await;
        let answer = Thief::say(&connection, &knock.encode())
            .await
            .expect("an answer");
        assert_eq!(Answer::decode(&answer).unwrap(), Answer::Nothing);
    }
}
