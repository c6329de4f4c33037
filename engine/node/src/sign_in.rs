//! Signing in elsewhere, as a site sees it: making a challenge and checking its answer, without a
//! running node.
//!
//! Owns the step from texts to bytes and the check of the card. Which challenges were answered
//! before is for the caller to remember.

use stead_access::Card;
use stead_api::{ApiError, ErrorKind, SignInText};
use stead_crypt::sign_in::{Audience, Challenge, verify};

use crate::clock::wall_ms;
use crate::faults;

/// How wrong a device's clock may be against a site's.
pub(crate) const CLOCK_SKEW_MS: u64 = 5 * 60_000;

/// Who has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The identity, 64 hexadecimal digits: what a site keeps as the account's key.
    pub identity: String,
    /// The device that signed.
    pub device: String,
    /// What the device is called on the card.
    pub device_name: String,
    /// The site that was signed in to.
    pub audience: String,
}

/// Makes a fresh challenge of a site, open for `lifetime_ms` from now.
pub fn make_challenge(audience: &str, lifetime_ms: u64) -> Result<String, ApiError> {
    let audience: Audience = audience.parse().map_err(refused)?;
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce)
        .map_err(|_| ApiError::new(ErrorKind::Internal, "The system gives no randomness."))?;
    let now_ms = wall_ms();
    let expires_ms = now_ms.saturating_add(lifetime_ms);
    let challenge = Challenge::new(audience, nonce, now_ms, expires_ms).map_err(refused)?;
    Ok(SignInText::Challenge.write(&challenge.encode()))
}

/// What makes a challenge the only one of its kind, as text: to be remembered once it was answered.
pub fn nonce_of(challenge: &str) -> Result<String, ApiError> {
    let challenge = read_challenge(challenge)?;
    Ok(stead_base::Hash::from_bytes(*challenge.nonce()).to_string())
}

/// Checks an answer to a challenge that this site gave, by this machine's clock.
pub fn check(answer: &str, given: &str) -> Result<Visitor, ApiError> {
    check_at(answer, given, wall_ms())
}

fn check_at(answer: &str, given: &str, now_ms: u64) -> Result<Visitor, ApiError> {
    let given = read_challenge(given)?;
    let answer = SignInText::Answer.read(answer).map_err(|error| {
        faults::sentence(ErrorKind::InvalidParams, &error).hint("Give the answer's whole text.")
    })?;
    let signed_in = verify(&answer, &given, now_ms).map_err(refused)?;
    let not_proven = || {
        ApiError::new(
            ErrorKind::NotAllowed,
            "The answer's card does not prove that the device belongs to the identity.",
        )
    };
    let mut device_name = String::new();
    if signed_in.card.is_empty() {
        if signed_in.identity != *signed_in.device.as_bytes() {
            return Err(not_proven());
        }
    } else {
        let card = Card::from_bytes(&signed_in.card).map_err(|_| not_proven())?;
        let named = card
            .devices
            .iter()
            .find(|device| device.record.id == signed_in.device)
            .filter(|_| *card.identity.as_bytes() == signed_in.identity && card.verify().is_ok())
            .ok_or_else(not_proven)?;
        device_name = named.record.name.as_str().to_owned();
    }
    Ok(Visitor {
        identity: stead_base::Hash::from_bytes(signed_in.identity).to_string(),
        device: signed_in.device.to_string(),
        device_name,
        audience: given.audience().to_string(),
    })
}

/// Reads the text of a challenge.
pub(crate) fn read_challenge(text: &str) -> Result<Challenge, ApiError> {
    let bytes = SignInText::Challenge.read(text).map_err(|_| {
        ApiError::new(ErrorKind::InvalidParams, "This is no sign-in challenge.")
            .hint("It begins with stead-challenge: and comes from the site that you sign in to.")
    })?;
    Challenge::decode(&bytes).map_err(|error| faults::sentence(ErrorKind::InvalidParams, &error))
}

/// What a challenge is told that is not open now.
pub(crate) fn expired() -> ApiError {
    refused(stead_crypt::sign_in::SignInError::Expired)
}

fn refused(error: stead_crypt::sign_in::SignInError) -> ApiError {
    faults::sentence(ErrorKind::NotAllowed, &error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_access::{AddedBy, CardDevice, DeviceRecord, IdentityId, Name, sign_identity_device};
    use stead_crypt::{DeviceKeys, RecoveryPhrase};

    const NOW: u64 = 1_800_000_000_000;

    fn person() -> (DeviceKeys, Card) {
        let root = RecoveryPhrase::from_entropy(&[7; 32]).root();
        let keys = DeviceKeys::from_seed(&[1; 32]);
        let record = DeviceRecord::of(&keys, Name::from_any("laptop"));
        let identity = IdentityId::from_bytes(root.public());
        let signature = sign_identity_device(root.signing(), &identity, &record, 0, None);
        let device = CardDevice {
            record,
            stay: 0,
            added_by: AddedBy::Root,
            signature,
        };
        let devices = vec![device];
        (keys, Card { identity, devices })
    }

    fn challenge(audience: &str, nonce: u8) -> Challenge {
        let audience = audience.parse().unwrap();
        Challenge::new(audience, [nonce; 32], NOW, NOW + 60_000).unwrap()
    }

    fn answer(to: &Challenge, card: &Card) -> String {
        let (keys, _) = person();
        let card_bytes = card.to_bytes();
        let identity = card.identity;
        let answer =
            stead_crypt::sign_in::answer(to, identity.as_bytes(), &card_bytes, keys.signing());
        SignInText::Answer.write(&answer.unwrap())
    }

    fn text(challenge: &Challenge) -> String {
        SignInText::Challenge.write(&challenge.encode())
    }

    #[test]
    fn an_answer_signs_in_the_identity_whose_card_names_the_device() {
        let (_, card) = person();
        let asked = challenge("notes.example.org", 1);
        let visitor = check_at(&answer(&asked, &card), &text(&asked), NOW + 1).unwrap();
        assert_eq!(visitor.identity, card.identity.to_string());
        assert_eq!(visitor.device_name, "laptop");
    }

    #[test]
    fn another_site_another_challenge_and_a_late_answer_are_refused() {
        let (_, card) = person();
        let asked = challenge("notes.example.org", 1);
        let answer = answer(&asked, &card);
        for (given, now) in [
            (challenge("evil.example.org", 1), NOW + 1),
            (challenge("notes.example.org", 2), NOW + 1),
            (asked.clone(), NOW + 60_000),
        ] {
            let refused = check_at(&answer, &text(&given), now).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::NotAllowed, "{refused}");
        }
    }

    #[test]
    fn a_card_of_somebody_else_signs_nobody_in() {
        let (_, card) = person();
        let asked = challenge("notes.example.org", 1);
        let stolen = Card {
            identity: IdentityId::from_bytes([9; 32]),
            ..card
        };
        let refused = check_at(&answer(&asked, &stolen), &text(&asked), NOW + 1).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::NotAllowed);
    }
}
