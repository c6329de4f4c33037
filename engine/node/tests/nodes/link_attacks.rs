//! Attacks on linking, each by real devices over real connections. Each test is named after what fails.

use std::net::SocketAddr;

use crate::support::{Device, linked, until_asking};
use stead_api::{
    ErrorKind, Link, LinkCreate, LinkHear, LinkOutcome, LinkSpeak, LinkSpoken, LinkWait,
};

fn outcome(old: &Device, link_id: &str) -> LinkOutcome {
    old.call(&LinkWait {
        link_id: link_id.to_owned(),
        wait_ms: 5_000,
        beyond_asking: true,
    })
}

/// A code that is not this one.
fn another(code: &str) -> String {
    let mut digits: Vec<char> = code.chars().collect();
    digits[0] = if digits[0] == '0' { '1' } else { '0' };
    digits.into_iter().collect()
}

fn hear(new: &Device, spoken: &LinkSpoken, words: &str) -> Result<stead_api::LinkBegun, ErrorKind> {
    let hear = LinkHear {
        words: words.to_owned(),
        at: Some(spoken.places[0].clone()),
        ..LinkHear::default()
    };
    new.try_call(&hear).map_err(|error| error.kind)
}

/// Three words that are in the list and not these.
fn other_words(words: &str) -> &'static str {
    if words == "zoo zoo zoo" {
        "abandon abandon abandon"
    } else {
        "zoo zoo zoo"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_with_a_photograph_of_the_link_cannot_get_the_persons_code() {
    let tower = Device::start("tower").await;
    let (phone, thief) = (Device::start("phone").await, Device::start("phone").await);
    let created = tower.call(&LinkCreate::default());
    // The thief is faster and gives itself the name of the person's phone.
    let stolen = thief.use_link(&created.link).expect("the link works once");
    until_asking(&tower);
    // The real device says that somebody else was there, and shows no code to type.
    let told = phone.use_link(&created.link).unwrap_err();
    assert_eq!(told.kind, ErrorKind::LinkUsed);
    assert!(told.hint.contains("stead link refuse"), "{}", told.hint);
    // A person who types a code nevertheless types one that is not the thief's.
    let shown_to_thief = stolen.code.clone().expect("a code");
    let typed = another(&shown_to_thief);
    assert_eq!(
        tower.approve(Some(&typed)).unwrap_err().kind,
        ErrorKind::LinkCodeWrong
    );
    assert_eq!(
        thief.arrive(&stolen).unwrap_err().kind,
        ErrorKind::LinkCodeWrong
    );
    // The link is burnt: not even the thief's own code helps afterwards.
    assert_eq!(
        tower.approve(Some(&shown_to_thief)).unwrap_err().kind,
        ErrorKind::LinkNobody
    );
    assert_eq!(
        thief.use_link(&created.link).unwrap_err().kind,
        ErrorKind::LinkUsed
    );
    assert_eq!(tower.status().identity.devices, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_code_burns_the_link() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let created = old.call(&LinkCreate::default());
    let begun = new.use_link(&created.link).expect("a link that works");
    until_asking(&old);
    let code = begun.code.clone().expect("a code");
    assert_eq!(
        old.approve(Some(&another(&code))).unwrap_err().kind,
        ErrorKind::LinkCodeWrong
    );
    assert_eq!(
        old.approve(Some(&code)).unwrap_err().kind,
        ErrorKind::LinkNobody,
        "there is no second try"
    );
    assert!(matches!(
        outcome(&old, &created.link_id),
        LinkOutcome::Refused { .. }
    ));
    assert_eq!(old.status().identity.devices, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_in_the_middle_shows_another_code_on_each_side() {
    // The new device was handed a link of the attacker's, who goes on to the real one with the link it has seen.
    let (tower, phone) = (Device::start("tower").await, Device::start("phone").await);
    let middle = Device::start("tower").await;
    let created = tower.call(&LinkCreate::default());
    let towards_phone = phone
        .use_link(&middle.make_link())
        .expect("the attacker's own link works");
    let towards_tower = middle.use_link(&created.link).expect("the link works once");
    until_asking(&tower);
    // What the phone shows is what the person types.
    let typed = towards_phone.code.expect("a code");
    assert_ne!(Some(&typed), towards_tower.code.as_ref());
    assert_eq!(
        tower.approve(Some(&typed)).unwrap_err().kind,
        ErrorKind::LinkCodeWrong
    );
    assert_eq!(
        middle.arrive(&towards_tower).unwrap_err().kind,
        ErrorKind::LinkCodeWrong
    );
    assert_eq!(tower.status().identity.devices, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_substituted_key_or_device_in_the_link_is_noticed_before_anything_is_said() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let impostor = Device::start("tower").await;
    let created = old.call(&LinkCreate::default());
    let link: Link = created.link.parse().unwrap();

    let mut other_key = link.clone();
    other_key.key_hash[0] ^= 1;
    let error = new.use_link(&other_key.to_string()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::LinkUnreachable);
    assert!(error.message.contains("another key"), "{error}");

    // The rendezvous leads to the impostor's address, who has another device key.
    // A device that has not met the real one yet: what was learned before stays known.
    let new = Device::start("laptop").await;
    let mut led_astray = link.clone();
    led_astray.addresses = vec![impostor.bind];
    led_astray.relay = None;
    assert_eq!(
        new.use_link(&led_astray.to_string()).unwrap_err().kind,
        ErrorKind::LinkUnreachable
    );

    // The rendezvous replaces the whole old device: the impostor knows no such secret.
    let mut replaced = led_astray.clone();
    replaced.device = *impostor.node.as_ref().unwrap().device().as_bytes();
    impostor.make_link();
    assert_eq!(
        new.use_link(&replaced.to_string()).unwrap_err().kind,
        ErrorKind::LinkWrong
    );

    // None of it used up the real link.
    let addresses: Vec<SocketAddr> = link.addresses.clone();
    assert!(!addresses.is_empty());
    let again = Device::start("laptop").await;
    again.use_link(&created.link).expect("still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_link_is_refused_and_spoils_nothing() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let created = old.call(&LinkCreate::default());
    let mut wrong: Link = created.link.parse().unwrap();
    wrong.secret.0[0] ^= 1;
    assert_eq!(
        new.use_link(&wrong.to_string()).unwrap_err().kind,
        ErrorKind::LinkWrong
    );
    new.use_link(&created.link).expect("still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_with_a_link_is_refused() {
    let (old, _new) = linked().await;
    let (third, fourth) = (Device::start("phone").await, Device::start("tablet").await);
    let created = old.call(&LinkCreate::default());
    let begun = third.use_link(&created.link).expect("a link that works");
    // While the first one asks, and after it was let in.
    assert_eq!(
        fourth.use_link(&created.link).unwrap_err().kind,
        ErrorKind::LinkUsed
    );
    until_asking(&old);
    old.approve(begun.code.as_deref()).expect("the right code");
    third.arrive(&begun).expect("let in");
    assert_eq!(
        fourth.use_link(&created.link).unwrap_err().kind,
        ErrorKind::LinkUsed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_link_is_refused_also_when_nobody_answers() {
    let (mut old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let created = old.call(&LinkCreate {
        valid_ms: Some(1),
        help: None,
    });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(
        new.use_link(&created.link).unwrap_err().kind,
        ErrorKind::LinkExpired
    );
    assert_eq!(outcome(&old, &created.link_id), LinkOutcome::Expired);
    old.stop().await;
    assert_eq!(
        new.use_link(&created.link).unwrap_err().kind,
        ErrorKind::LinkExpired
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_lives_two_minutes_and_never_more_than_ten() {
    let old = Device::start("tower").await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let left = |valid_ms| {
        let expires_ms = old
            .call(&LinkCreate {
                valid_ms,
                help: None,
            })
            .expires_ms;
        expires_ms - now.as_millis() as u64
    };
    assert!((115_000..150_000).contains(&left(None)));
    assert!((595_000..630_000).contains(&left(Some(u64::MAX))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_the_clock_of_the_new_device_thinks_old_still_works() {
    // The device that made it decides, so that a device without a good clock can be linked.
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let mut link: Link = old.make_link().parse().unwrap();
    link.expires_ms = 1;
    new.use_link(&link.to_string()).expect("a link that works");
}

#[tokio::test(flavor = "multi_thread")]
async fn spoken_words_and_a_yes_link_a_device() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let spoken = old.call(&LinkSpeak::default());
    let begun = hear(&new, &spoken, &spoken.words).expect("the right words");
    assert_eq!(begun.code, None);
    let newcomer = until_asking(&old);
    assert_eq!(
        (newcomer.name.as_str(), newcomer.by_code),
        ("laptop", false)
    );
    assert_eq!(old.status().identity.devices, 1, "not before the yes");
    old.approve(None).expect("a yes");
    assert_eq!(new.arrive(&begun).expect("let in").device.name, "tower");
    assert!(matches!(
        outcome(&old, &spoken.link_id),
        LinkOutcome::Linked { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_spoken_words_are_refused_and_there_is_no_second_guess() {
    let (old, thief) = (Device::start("tower").await, Device::start("laptop").await);
    let spoken = old.call(&LinkSpeak::default());
    let guess = hear(&thief, &spoken, other_words(&spoken.words));
    assert_eq!(guess.unwrap_err(), ErrorKind::LinkCodeWrong);
    let burnt = outcome(&old, &spoken.link_id);
    assert!(matches!(burnt, LinkOutcome::Refused { .. }), "{burnt:?}");
    // Not even the right words help any more.
    let second = hear(&thief, &spoken, &spoken.words);
    assert_eq!(second.unwrap_err(), ErrorKind::LinkWrong);
    assert_eq!(old.approve(None).unwrap_err().kind, ErrorKind::LinkNobody);
    assert_eq!(old.status().identity.devices, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_shows_no_words_listens_to_none() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let spoken = old.call(&LinkSpeak::default());
    // A link takes the place of the words, and what opens one door does not open the other.
    let created = old.call(&LinkCreate::default());
    let heard = hear(&new, &spoken, &spoken.words);
    assert_eq!(heard.unwrap_err(), ErrorKind::LinkWrong);
    assert_eq!(outcome(&old, &spoken.link_id), LinkOutcome::Cancelled);
    new.use_link(&created.link).expect("a link that works");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impostor_who_shows_other_words_gets_one_guess_and_no_request() {
    let (old, new) = (Device::start("tower").await, Device::start("laptop").await);
    let impostor = Device::start("tower").await;
    let spoken = old.call(&LinkSpeak::default());
    let theirs = impostor.call(&LinkSpeak::default());
    // The words are said to the impostor: it sees that they are not its own, and nothing else.
    let said = hear(&new, &theirs, &spoken.words);
    assert_eq!(said.unwrap_err(), ErrorKind::LinkCodeWrong);
    assert!(impostor.call(&stead_api::LinkPending {}).newcomer.is_none());
    // The person's own words are still unused.
    hear(&new, &spoken, &spoken.words).expect("the right words");
}
