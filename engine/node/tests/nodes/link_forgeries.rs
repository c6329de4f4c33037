//! Devices that speak the linking protocol and break its rules, against real nodes. Each test is named after what fails.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::support::Device;
use stead_access::{DeviceRecord, Name};
use stead_base::DeviceId;
use stead_crypt::short_code::{Committer, Nonce};
use stead_crypt::{DeviceKeys, KemPublic, Zeroizing};
use stead_keys::OsEntropy;
use stead_net::{Bind, Connection, Lan, Net, NetConfig, PeerHints, RecvStream, SendStream};
use stead_node::link::codec::{
    KNOCK_BYTES_MAX, Knock, REPLY_BYTES_MAX, Reason, Reply, Request, decode_nonce,
};
use stead_node::link::seals::{self, Circumstances};
use stead_node::link::{LINK_ALPN, SPOKEN_ALPN};

use stead_api::{ErrorKind, Link, LinkCreate, LinkHear, LinkOutcome, LinkPending, LinkWait};

/// A device that is not driven by a node.
struct Forger {
    keys: DeviceKeys,
    net: Net,
}

/// One connection of it.
struct Visit {
    connection: Connection,
    out: SendStream,
    input: RecvStream,
    circumstances: Circumstances,
}

impl Forger {
    async fn start(seed: u8) -> Self {
        let keys = DeviceKeys::from_seed(&[seed; 32]);
        let mut config = NetConfig::new(*keys.network_seed());
        config.bind = Bind::Addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.lan = Lan::Off;
        config.alpns = vec![SPOKEN_ALPN.to_vec()];
        let net = Net::start(config).await.expect("a network");
        Self { keys, net }
    }

    fn record(&self) -> DeviceRecord {
        DeviceRecord::of(&self.keys, Name::from_any("phone"))
    }

    async fn visit(&self, link: &Link, alpn: &[u8]) -> Visit {
        let old = DeviceId::from_bytes(link.device);
        let hints = PeerHints {
            addrs: link.addresses.clone(),
            relay: None,
        };
        self.net.learn(old, hints);
        let connection = self.net.connect(old, alpn).await.expect("a connection");
        let (out, input) = connection.open_bi().await.expect("a stream");
        let circumstances = Circumstances {
            old,
            new: self.keys.id(),
            channel_binding: connection.channel_binding(),
        };
        Visit {
            connection,
            out,
            input,
            circumstances,
        }
    }

    fn sealed(&self, link: &Link, at: &Circumstances, key: &KemPublic, who: &Self) -> Vec<u8> {
        let request = Request {
            device: who.record(),
            reply_key: Zeroizing::new([1; 32]),
        };
        seals::seal_request(&link.secret.0, at, key, &request).expect("a key")
    }
}

impl Visit {
    async fn say(&mut self, message: &[u8]) {
        let length = (message.len() as u32).to_le_bytes();
        self.out.write_all(&length).await.expect("a reader");
        self.out.write_all(message).await.expect("a reader");
    }

    /// The answer; none if the connection is over.
    async fn hear(&mut self) -> Option<Reply> {
        let bytes = hear(&mut self.input).await?;
        assert!(bytes.len() <= REPLY_BYTES_MAX);
        Some(Reply::decode(&bytes).expect("a reply"))
    }

    async fn knock(&mut self, link: &Link) -> KemPublic {
        let tag = Some(seals::tag(&link.secret.0, &self.circumstances));
        self.say(&Knock { tag }.encode()).await;
        match self.hear().await {
            Some(Reply::Go(key)) => KemPublic::from_bytes(&key).expect("a key"),
            other => panic!("{other:?}"),
        }
    }
}

async fn hear(input: &mut RecvStream) -> Option<Vec<u8>> {
    let heard = async {
        let mut length = [0; 4];
        input.read_exact(&mut length).await.ok()?;
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut bytes).await.ok()?;
        Some(bytes)
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, heard)
        .await
        .expect("an answer or an end")
}

fn is_refused(reply: Option<Reply>, reason: Reason) -> bool {
    matches!(reply, Some(Reply::Refused { reason: found, .. }) if found == reason)
}

/// The link is as it was: the next honest device can use it.
async fn still_good(old: &Device, link: &Link) {
    assert!(old.call(&LinkPending {}).newcomer.is_none());
    let honest = Device::start("laptop").await;
    honest.use_link(&link.to_string()).expect("still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_knock_that_a_rendezvous_replays_opens_nothing() {
    let (old, forger) = (Device::start("tower").await, Forger::start(1).await);
    let link: Link = old.make_link().parse().unwrap();
    let recorded = forger.visit(&link, LINK_ALPN).await;
    let tag = Some(seals::tag(&link.secret.0, &recorded.circumstances));
    let mut replaying = forger.visit(&link, LINK_ALPN).await;
    replaying.say(&Knock { tag }.encode()).await;
    assert!(is_refused(replaying.hear().await, Reason::Wrong));
    still_good(&old, &link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_a_rendezvous_replays_is_not_opened() {
    let (old, forger) = (Device::start("tower").await, Forger::start(1).await);
    let link: Link = old.make_link().parse().unwrap();
    let mut recorded = forger.visit(&link, LINK_ALPN).await;
    let key = recorded.knock(&link).await;
    let sealed = forger.sealed(&link, &recorded.circumstances, &key, &forger);
    let mut replaying = forger.visit(&link, LINK_ALPN).await;
    replaying.knock(&link).await;
    replaying.say(&[&[0; 32][..], &sealed].concat()).await;
    assert_eq!(replaying.hear().await, None);
    still_good(&old, &link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_cannot_ask_in_the_name_of_another() {
    let (old, forger) = (Device::start("tower").await, Forger::start(1).await);
    let other = Forger::start(2).await;
    let link: Link = old.make_link().parse().unwrap();
    let mut visit = forger.visit(&link, LINK_ALPN).await;
    let key = visit.knock(&link).await;
    let sealed = forger.sealed(&link, &visit.circumstances, &key, &other);
    visit.say(&[&[0; 32][..], &sealed].concat()).await;
    assert_eq!(visit.hear().await, None);
    still_good(&old, &link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_than_the_promised_one_is_refused_and_burns_the_link() {
    let (old, forger) = (Device::start("tower").await, Forger::start(1).await);
    let created = old.call(&LinkCreate::default());
    let link: Link = created.link.parse().unwrap();
    let mut visit = forger.visit(&link, LINK_ALPN).await;
    let key = visit.knock(&link).await;
    let sealed = forger.sealed(&link, &visit.circumstances, &key, &forger);
    let transcript = seals::transcript(&visit.circumstances, &key, &sealed);
    let (committer, commitment) = Committer::new(transcript, &mut OsEntropy);
    visit.say(&[&commitment.0[..], &sealed].concat()).await;
    let Some(Reply::Go(nonce)) = visit.hear().await else {
        panic!("a number");
    };
    // Now that both are known, one that gives a wanted code could be looked for.
    let (mut revealed, _) = committer.reveal(&Nonce(decode_nonce(&nonce).unwrap()));
    revealed.0[0] ^= 1;
    visit.say(&revealed.0).await;
    assert!(is_refused(visit.hear().await, Reason::CodeWrong));
    let outcome = old.call(&LinkWait {
        link_id: created.link_id,
        wait_ms: 5_000,
        beyond_asking: true,
    });
    assert!(
        matches!(&outcome, LinkOutcome::Refused { message } if message.contains("tampered")),
        "{outcome:?}"
    );
    let honest = Device::start("laptop").await;
    let burnt = honest.use_link(&created.link).unwrap_err();
    assert_eq!(burnt.kind, ErrorKind::LinkUsed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_one_door_does_not_open_the_other() {
    let (old, forger) = (Device::start("tower").await, Forger::start(1).await);
    let link: Link = old.make_link().parse().unwrap();
    let mut visit = forger.visit(&link, SPOKEN_ALPN).await;
    let tag = Some(seals::tag(&link.secret.0, &visit.circumstances));
    visit.say(&Knock { tag }.encode()).await;
    assert_eq!(visit.hear().await, None);
    let mut visit = forger.visit(&link, LINK_ALPN).await;
    visit.say(&Knock { tag: None }.encode()).await;
    assert_eq!(visit.hear().await, None);
    let mut visit = forger.visit(&link, SPOKEN_ALPN).await;
    visit.say(&Knock { tag: None }.encode()).await;
    assert!(is_refused(visit.hear().await, Reason::Wrong));
    still_good(&old, &link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_echoes_the_words_exchange_proves_nothing() {
    let (new, forger) = (Device::start("laptop").await, Forger::start(1).await);
    let place = format!("{}@{}", forger.keys.id(), forger.net.bound()[0]);
    let net = forger.net.clone();
    let echo = tokio::spawn(async move {
        let connection = net.accept().await.expect("a visitor");
        let (out, input) = connection.accept_bi().await.expect("a stream");
        let circumstances = Circumstances {
            old: net.device_id(),
            new: connection.remote(),
            channel_binding: connection.channel_binding(),
        };
        let mut visit = Visit {
            connection,
            out,
            input,
            circumstances,
        };
        let knock = hear(&mut visit.input).await.expect("a knock");
        assert!(knock.len() <= KNOCK_BYTES_MAX);
        visit.say(&Reply::Go(Vec::new()).encode()).await;
        let first = hear(&mut visit.input).await.expect("the first message");
        // Its own share back, and any confirmation.
        let second = [&first[..], &[0; 64]].concat();
        visit.say(&Reply::Go(second).encode()).await;
        // No request follows: who the newcomer is stays unsaid.
        let said = hear(&mut visit.input).await;
        visit.connection.close(0, "done");
        said
    });
    let hear = LinkHear {
        words: "zoo zoo zoo".to_owned(),
        at: Some(place),
        ..LinkHear::default()
    };
    assert_eq!(
        new.try_call(&hear).unwrap_err().kind,
        ErrorKind::LinkCodeWrong
    );
    assert_eq!(echo.await.unwrap(), None);
}
