//! What people type, guardians keep, and devices say to each other before they trust: phrases,
//! shares, spoken codes, the exchange over a code, and signing in.

use crate::seeds::crypt::{GIVEN_NOW_MS, SPOKEN, given, initiator, responder};
use crate::seeds::{Dice, crypt};
use stead_crypt::pake;
use stead_crypt::shares::{Share, combine};
use stead_crypt::sign_in::{Challenge, verify};
use stead_crypt::{RecoveryPhrase, SpokenCode};

/// A guardian's share: one encoding, and nothing of it alone brings the secret back.
pub fn share(data: &[u8]) -> bool {
    let Ok(share) = Share::decode(data) else {
        return false;
    };
    assert_eq!(&share.encode()[..], data);
    assert!(combine(None, &[share]).is_err());
    true
}

/// A recovery phrase as typed: its own text reads as the same phrase.
pub fn recovery_phrase(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match RecoveryPhrase::parse(text) {
        Ok(phrase) => {
            let again = RecoveryPhrase::parse(&phrase.text()).expect("a phrase reads back");
            assert_eq!(again.expose_entropy(), phrase.expose_entropy());
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// A spoken code as typed.
pub fn spoken_code(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match SpokenCode::parse(text) {
        Ok(code) => {
            assert_eq!(SpokenCode::parse(code.text()), Ok(code));
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// A server's challenge.
pub fn challenge(data: &[u8]) -> bool {
    let Ok(challenge) = Challenge::decode(data) else {
        return false;
    };
    assert_eq!(challenge.encode(), data);
    challenge.is_open(GIVEN_NOW_MS, u64::MAX);
    true
}

/// A device's answer to the challenge that was given: what is taken, its device has signed.
pub fn sign_in(data: &[u8]) -> bool {
    let Ok(signed_in) = verify(data, &given(), GIVEN_NOW_MS) else {
        return false;
    };
    assert_eq!(signed_in.device, crate::seeds::access::device().id());
    assert!(verify(data, &given(), u64::MAX).is_err(), "out of its time");
    true
}

/// The first message of an exchange over a spoken code.
pub fn pake_first(data: &[u8]) -> bool {
    let mut dice = Dice::new(3);
    pake::answer(SPOKEN, &crypt::binding(), b"responder", data, &mut dice).is_ok()
}

/// The second message: only the one that was made for this very exchange is believed.
pub fn pake_second(data: &[u8]) -> bool {
    let (initiator, first) = initiator();
    let believed = initiator.finish(data).is_ok();
    assert!(!believed || data == responder(&first).1);
    believed
}

/// The third message.
pub fn pake_third(data: &[u8]) -> bool {
    let (initiator, first) = initiator();
    let (responder, second) = responder(&first);
    let believed = responder.finish(data).is_ok();
    if believed {
        let (_, third) = initiator.finish(&second).expect("an honest exchange ends");
        assert_eq!(data, third);
    }
    believed
}
