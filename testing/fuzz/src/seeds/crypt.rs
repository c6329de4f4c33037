//! Phrases, shares, codes, exchanges and sign-ins of the same few people in every run.

use crate::seeds::Dice;
use crate::seeds::access;
use stead_base::DeviceId;
use stead_crypt::pake::{self, Binding};
use stead_crypt::shares::split;
use stead_crypt::sign_in::{self, Challenge};
use stead_crypt::{RecoveryPhrase, SpokenCode};

/// The code that both sides of an exchange were told.
pub const SPOKEN: &[u8] = b"abandon ability zoo";
/// The server's clock when it looks at an answer.
pub const GIVEN_NOW_MS: u64 = 1_700_000_030_000;

const INITIATOR: DeviceId = DeviceId::from_bytes([1; 32]);
const RESPONDER: DeviceId = DeviceId::from_bytes([2; 32]);

/// The connection of the exchange.
pub fn binding() -> Binding<'static> {
    Binding {
        initiator: &INITIATOR,
        responder: &RESPONDER,
        channel: &[3; 32],
    }
}

/// One side of the exchange, and the message with which it began.
pub fn initiator() -> (pake::Initiator, Vec<u8>) {
    let begun = pake::begin(SPOKEN, &binding(), b"initiator", &mut Dice::new(2));
    begun.expect("a short attachment fits")
}

/// The other side, and its answer.
pub fn responder(first: &[u8]) -> (pake::Responder, Vec<u8>) {
    let answered = pake::answer(SPOKEN, &binding(), b"responder", first, &mut Dice::new(3));
    answered.expect("an honest first message is answered")
}

/// First messages, with and without something attached.
pub fn pake_firsts() -> Vec<Vec<u8>> {
    let begin = |attached: &[u8]| {
        let begun = pake::begin(SPOKEN, &binding(), attached, &mut Dice::new(4));
        begun.expect("a short attachment fits").1
    };
    vec![initiator().1, begin(b""), begin(&[7; 300])]
}

/// The second message of the exchange.
pub fn pake_seconds() -> Vec<Vec<u8>> {
    vec![responder(&initiator().1).1]
}

/// The third message of the exchange.
pub fn pake_thirds() -> Vec<Vec<u8>> {
    let (initiator, first) = initiator();
    let (_, second) = responder(&first);
    let ended = initiator.finish(&second);
    vec![ended.expect("an honest exchange ends").1]
}

/// Shares of small and large sharings.
pub fn shares() -> Vec<Vec<u8>> {
    let shares = |threshold, count| {
        let all = split(&[5; 32], threshold, count, &mut Dice::new(6));
        all.expect("the numbers fit")
    };
    let (few, many) = (shares(2, 3), shares(5, 64));
    [&few[0], &few[2], &many[63]]
        .iter()
        .map(|share| share.encode().to_vec())
        .collect()
}

/// Phrases, typed well and carelessly.
pub fn recovery_phrases() -> Vec<Vec<u8>> {
    let fresh = RecoveryPhrase::generate(&mut Dice::new(7));
    let numbered = fresh.words().enumerate();
    let numbered = numbered.map(|(n, word)| format!("{}. {}", n + 1, word.to_uppercase()));
    let cut = fresh.words().map(|word| &word[..word.len().min(4)]);
    let zeros = RecoveryPhrase::from_entropy(&[0; 32]);
    vec![
        fresh.text().as_bytes().to_vec(),
        numbered.collect::<Vec<_>>().join("\n").into_bytes(),
        cut.collect::<Vec<_>>().join(", ").into_bytes(),
        zeros.text().as_bytes().to_vec(),
    ]
}

/// Spoken codes, typed well and carelessly.
pub fn spoken_codes() -> Vec<Vec<u8>> {
    let code = SpokenCode::generate(&mut Dice::new(8));
    vec![
        code.as_bytes().to_vec(),
        SPOKEN.to_vec(),
        b" Abandon-ABIL-zoo\n".to_vec(),
    ]
}

/// The challenge that sign-ins answer.
pub fn given() -> Challenge {
    challenge_of("notes.example:8443", 1_700_000_000_000, 60_000)
}

fn challenge_of(audience: &str, issued_ms: u64, lifetime_ms: u64) -> Challenge {
    let audience = audience.parse().expect("the name of a site");
    let challenge = Challenge::new(audience, [9; 32], issued_ms, issued_ms + lifetime_ms);
    challenge.expect("a lifetime within its limit")
}

/// Challenges of several sites.
pub fn challenges() -> Vec<Vec<u8>> {
    [
        given(),
        challenge_of("a.example", 0, 1),
        challenge_of("xn--bcher-kva.example", u64::MAX - 600_000, 600_000),
    ]
    .iter()
    .map(Challenge::encode)
    .collect()
}

/// Answers to the challenge that was given, with and without a card.
pub fn sign_ins() -> Vec<Vec<u8>> {
    let (keys, card) = (access::device(), access::card());
    let answer = |card: &[u8]| {
        let identity = access::card().identity;
        let answered = sign_in::answer(&given(), identity.as_bytes(), card, keys.signing());
        answered.expect("a short card fits")
    };
    vec![answer(&card.to_bytes()), answer(b"")]
}
