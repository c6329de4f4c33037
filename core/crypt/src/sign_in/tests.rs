//! Properties of a sign-in: only the right device's answer to the right challenge is taken.

use super::*;
use proptest::prelude::*;

const ISSUED: u64 = 1_800_000_000_000;

fn challenge() -> Challenge {
    let audience = "notes.example.org".parse().unwrap();
    Challenge::new(audience, [7; 32], ISSUED, ISSUED + 120_000).unwrap()
}

fn device() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn answered(challenge: &Challenge) -> Vec<u8> {
    answer(challenge, &[9; 32], b"the card", &device()).unwrap()
}

#[test]
fn an_answer_to_the_challenge_given_is_taken() {
    let signed_in = verify(&answered(&challenge()), &challenge(), ISSUED + 5).unwrap();
    assert_eq!(signed_in.identity, [9; 32]);
    assert_eq!(signed_in.device.as_bytes(), &device().public());
    assert_eq!(signed_in.card, b"the card");
}

#[test]
fn an_answer_for_another_site_or_an_old_challenge_is_refused() {
    let other = |audience: &str, nonce, issued| {
        Challenge::new(audience.parse().unwrap(), nonce, issued, issued + 120_000).unwrap()
    };
    for replayed in [
        other("evil.example.org", [7; 32], ISSUED),
        other("notes.example.org:8443", [7; 32], ISSUED),
        other("notes.example.org", [8; 32], ISSUED),
        other("notes.example.org", [7; 32], ISSUED - 1),
    ] {
        assert_eq!(
            verify(&answered(&replayed), &challenge(), ISSUED + 5),
            Err(SignInError::OtherChallenge)
        );
    }
}

#[test]
fn an_answer_out_of_its_time_is_refused() {
    let bytes = answered(&challenge());
    let at = |now| verify(&bytes, &challenge(), now).map(|_| ());
    assert_eq!(at(ISSUED), Ok(()));
    assert_eq!(at(ISSUED + 119_999), Ok(()));
    assert_eq!(at(ISSUED + 120_000), Err(SignInError::Expired));
    assert_eq!(at(ISSUED - 1), Err(SignInError::Expired));
    assert!(challenge().is_open(ISSUED + 120_500, 1_000));
    assert!(challenge().is_open(ISSUED - 500, 1_000));
}

#[test]
fn another_device_s_signature_is_refused() {
    let mut bytes = answered(&challenge());
    let stranger = SigningKey::from_seed(&[2; 32]);
    let body = bytes.len() - SIGNATURE_BYTES;
    let forged = stranger.sign(&signed(&bytes[..body]));
    bytes[body..].copy_from_slice(&forged);
    assert_eq!(
        verify(&bytes, &challenge(), ISSUED + 5),
        Err(SignInError::BadSignature(BadSignature))
    );
}

#[test]
fn a_signature_made_for_something_else_is_refused() {
    let mut bytes = answered(&challenge());
    let body = bytes.len() - SIGNATURE_BYTES;
    let other_purpose = device().sign(&[b"stead/head/1", &bytes[..body]].concat());
    bytes[body..].copy_from_slice(&other_purpose);
    assert_eq!(
        verify(&bytes, &challenge(), ISSUED + 5),
        Err(SignInError::BadSignature(BadSignature))
    );
}

#[test]
fn only_names_of_hosts_in_lower_case_are_sites() {
    for good in [
        "a",
        "localhost:8080",
        "xn--bcher-kva.example",
        "10.0.0.1:80",
    ] {
        assert_eq!(good.parse::<Audience>().unwrap().to_string(), good);
    }
    let long = format!("{}.example", "a".repeat(64));
    for bad in [
        "",
        ".",
        "a..b",
        "A.example",
        "a b",
        "-a",
        "a-",
        "a:",
        "a:0x1",
        "a:080",
        "a:70000",
        "a:1:2",
        "https://a",
        "bücher.example",
        "a/",
        &long,
    ] {
        assert!(bad.parse::<Audience>().is_err(), "{bad:?}");
    }
    let label = "a".repeat(63);
    let host = [&label[..], &label, &label, &label[2..]].join(".");
    let longest = format!("{host}:65535");
    assert_eq!(longest.len(), AUDIENCE_BYTES_MAX);
    assert!(longest.parse::<Audience>().is_ok());
    assert!(format!("{host}a:65535").parse::<Audience>().is_err());
}

#[test]
fn a_challenge_is_open_for_ten_minutes_at_most() {
    let open = |lifetime: u64| {
        Challenge::new("a".parse().unwrap(), [0; 32], ISSUED, ISSUED + lifetime).map(|_| ())
    };
    assert_eq!(open(1), Ok(()));
    assert_eq!(open(LIFETIME_MS_MAX), Ok(()));
    for lifetime in [0, LIFETIME_MS_MAX + 1] {
        assert_eq!(
            open(lifetime),
            Err(SignInError::BadLifetime {
                lifetime_ms: lifetime.into()
            })
        );
    }
    assert!(Challenge::new("a".parse().unwrap(), [0; 32], 5, 4).is_err());
}

#[test]
fn a_card_at_the_limit_travels_and_one_above_is_refused() {
    let card = vec![1; CARD_BYTES_MAX + 1];
    let most = answer(&challenge(), &[9; 32], &card[1..], &device()).unwrap();
    assert_eq!(verify(&most, &challenge(), ISSUED).unwrap().card, card[1..]);
    assert_eq!(
        answer(&challenge(), &[9; 32], &card, &device()),
        Err(SignInError::CardTooLong { len: card.len() })
    );
}

proptest! {
    #[test]
    fn a_challenge_reads_back(nonce: [u8; 32], issued in 0..u64::MAX / 2, lifetime in 1..=LIFETIME_MS_MAX) {
        let audience = "notes.example.org:8443".parse().unwrap();
        let challenge = Challenge::new(audience, nonce, issued, issued + lifetime).unwrap();
        prop_assert_eq!(Challenge::decode(&challenge.encode()), Ok(challenge));
    }

    #[test]
    fn one_changed_bit_of_an_answer_is_refused(at: prop::sample::Index) {
        let mut bytes = answered(&challenge());
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify(&bytes, &challenge(), ISSUED).is_err());
    }

    #[test]
    fn garbage_is_refused(bytes: Vec<u8>) {
        prop_assert!(verify(&bytes, &challenge(), ISSUED).is_err());
        if let Ok(challenge) = Challenge::decode(&bytes) {
            prop_assert_eq!(challenge.encode(), bytes);
        }
    }
}
