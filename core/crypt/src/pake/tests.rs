//! Properties of the exchange: who gets the key, and what everybody else meets.

use super::*;
use proptest::prelude::*;

const CODE: &[u8] = b"apple bridge zoo";
const A: DeviceId = DeviceId::from_bytes([0xaa; 32]);
const B: DeviceId = DeviceId::from_bytes([0xbb; 32]);
const BINDING: Binding<'_> = Binding {
    initiator: &A,
    responder: &B,
    channel: &[0xcc; 32],
};

struct Seeded(u8);

impl Entropy for Seeded {
    fn fill(&mut self, buf: &mut [u8]) {
        for (i, byte) in buf.iter_mut().enumerate() {
            *byte = hash::digest(&[self.0, i as u8]).as_bytes()[0];
        }
        self.0 = self.0.wrapping_add(1);
    }
}

/// One side as it sees the exchange.
#[derive(Clone, Copy)]
struct View<'a> {
    code: &'a [u8],
    binding: Binding<'a>,
}

const HONEST: View<'static> = View {
    code: CODE,
    binding: BINDING,
};

/// Runs an exchange in which `meddle` may change each message on its way.
fn run(
    initiator: View<'_>,
    responder: View<'_>,
    mut meddle: impl FnMut(usize, &mut Vec<u8>),
) -> (Result<Agreed, PakeError>, Result<Agreed, PakeError>) {
    let (began, mut first) = begin(
        initiator.code,
        &initiator.binding,
        b"from a",
        &mut Seeded(1),
    )
    .unwrap();
    meddle(0, &mut first);
    let answered = answer(
        responder.code,
        &responder.binding,
        b"from b",
        &first,
        &mut Seeded(9),
    );
    let (responder, mut second) = match answered {
        Ok(answered) => answered,
        Err(error) => return (Err(error.clone()), Err(error)),
    };
    meddle(1, &mut second);
    match began.finish(&second) {
        Ok((agreed, mut third)) => {
            meddle(2, &mut third);
            (Ok(agreed), responder.finish(&third))
        }
        // The best that somebody in between can do for the other side is to guess its tag.
        Err(error) => (Err(error), responder.finish(&[0; TAG_BYTES])),
    }
}

fn refused(outcome: (Result<Agreed, PakeError>, Result<Agreed, PakeError>)) -> bool {
    outcome.1.is_err() && outcome.0.is_err()
}

#[test]
fn one_code_gives_both_sides_one_key_and_each_other_s_attachment() {
    let (a, b) = run(HONEST, HONEST, |_, _| {});
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.key, b.key);
    assert_eq!(
        (&a.attached[..], &b.attached[..]),
        (&b"from b"[..], &b"from a"[..])
    );
    assert_eq!(format!("{a:?}"), "Agreed(..)");
}

#[test]
fn confirmations_are_those_of_the_draft() {
    // The draft's session key and messages; it gives no vectors for this step. Computed as it
    // says, HMAC-SHA-512(SHA-512("CPaceMac" || sid || ISK), lv_cat(Y, AD)), with another program.
    let bytes = vector();
    let isk = bytes("ISK_IR").try_into().unwrap();
    let confirmation = Confirmation::new(&bytes("sid"), &isk);
    let tag = |share, attached| {
        confirmation.tag(&cpace::lv_cat(&[&bytes(share), &bytes(attached)]))[..].to_vec()
    };
    assert_eq!(
        tag("Ya", "ADa"),
        unhex(concat!(
            "30478d28d83ae3b214295e91f4a3eb62999a8ed94575075db4a7d3bc3e4d26f1",
            "6c51adba12dc7771372637a46b5134e0937cddd7d820bfdd83be335e339eb57a"
        ))
    );
    assert_eq!(
        tag("Yb", "ADb"),
        unhex(concat!(
            "e927a7da291676f8878caae9cb70407d2f14117e6f9ff9adcfda797c4bcf2bd2",
            "fefd2ca3f2ddcce81b7386996c895b2f359010cc92069d5ff4ad49a977de79a6"
        ))
    );
}

/// The fields of the draft's vector.
pub(super) fn vector() -> impl Fn(&str) -> Vec<u8> {
    let json: serde_json::Value =
        serde_json::from_str(include_str!("../../vectors/cpace-ristretto255.json")).unwrap();
    move |name| unhex(json[name].as_str().unwrap())
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

#[test]
fn another_code_is_refused_on_both_sides() {
    for code in [&b"apple bridge zone"[..], b"", b"apple bridge zoo "] {
        assert!(refused(run(View { code, ..HONEST }, HONEST, |_, _| {})));
        assert!(refused(run(HONEST, View { code, ..HONEST }, |_, _| {})));
    }
}

#[test]
fn an_exchange_on_another_channel_or_with_other_devices_is_refused() {
    let stranger = DeviceId::from_bytes([0xdd; 32]);
    let bindings = [
        Binding {
            channel: &[0xcd; 32],
            ..BINDING
        },
        Binding {
            initiator: &stranger,
            ..BINDING
        },
        Binding {
            responder: &stranger,
            ..BINDING
        },
    ];
    for binding in bindings {
        assert!(refused(run(View { binding, ..HONEST }, HONEST, |_, _| {})));
        assert!(refused(run(HONEST, View { binding, ..HONEST }, |_, _| {})));
    }
}

#[test]
fn a_responder_that_believes_to_be_the_initiator_is_refused() {
    let swapped = Binding {
        initiator: &B,
        responder: &A,
        ..BINDING
    };
    let confused = View {
        binding: swapped,
        ..HONEST
    };
    assert!(refused(run(HONEST, confused, |_, _| {})));
}

#[test]
fn a_message_sent_back_to_its_sender_is_refused() {
    let (began, first) = begin(CODE, &BINDING, b"from a", &mut Seeded(1)).unwrap();
    // Its own share and attachment, with any confirmation there is.
    let echo = [&first[..], &[0; TAG_BYTES]].concat();
    assert_eq!(began.finish(&echo).unwrap_err(), PakeError::NotConfirmed);

    // The responder's own confirmation is none of the initiator's.
    let (responder, second) = answer(CODE, &BINDING, b"from b", &first, &mut Seeded(9)).unwrap();
    let own_tag = &second[second.len() - TAG_BYTES..];
    assert_eq!(
        responder.finish(own_tag).unwrap_err(),
        PakeError::NotConfirmed
    );
}

#[test]
fn a_recorded_exchange_does_not_open_another() {
    let mut recorded = Vec::new();
    let (a, b) = run(HONEST, HONEST, |_, message| recorded.push(message.clone()));
    assert!(a.is_ok() && b.is_ok());
    let (again, _) = begin(CODE, &BINDING, b"from a", &mut Seeded(77)).unwrap();
    assert_eq!(
        again.finish(&recorded[1]).unwrap_err(),
        PakeError::NotConfirmed
    );
    let (again, _) = answer(CODE, &BINDING, b"from b", &recorded[0], &mut Seeded(77)).unwrap();
    assert_eq!(
        again.finish(&recorded[2]).unwrap_err(),
        PakeError::NotConfirmed
    );
}

#[test]
fn the_neutral_element_is_refused_as_a_share() {
    let neutral = [&[0; SHARE_BYTES][..], &[0]].concat();
    assert!(matches!(
        answer(CODE, &BINDING, b"", &neutral, &mut Seeded(9)),
        Err(PakeError::BadShare)
    ));
    let (began, _) = begin(CODE, &BINDING, b"", &mut Seeded(1)).unwrap();
    let second = [&neutral[..], &[0; TAG_BYTES]].concat();
    assert_eq!(began.finish(&second).unwrap_err(), PakeError::BadShare);
}

#[test]
fn an_attachment_at_the_limit_travels_and_one_above_is_refused() {
    let most = vec![7; ATTACHED_BYTES_MAX];
    let (began, first) = begin(CODE, &BINDING, &most, &mut Seeded(1)).unwrap();
    let (responder, second) = answer(CODE, &BINDING, &most, &first, &mut Seeded(9)).unwrap();
    assert_eq!(second.len(), MESSAGE_BYTES_MAX);
    let (_, third) = began.finish(&second).unwrap();
    assert_eq!(responder.finish(&third).unwrap().attached, most);
    let more = vec![7; ATTACHED_BYTES_MAX + 1];
    assert!(matches!(
        begin(CODE, &BINDING, &more, &mut Seeded(1)),
        Err(PakeError::TooLong { len }) if len == more.len()
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_message_changed_on_its_way_is_refused(at in 0usize..3, bit: prop::sample::Index) {
        let (_, responder) = run(HONEST, HONEST, |number, message| {
            if number == at {
                let bit = bit.index(message.len() * 8);
                message[bit / 8] ^= 1 << (bit % 8);
            }
        });
        prop_assert!(responder.is_err());
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(bytes: Vec<u8>) {
        let _ = answer(CODE, &BINDING, b"", &bytes, &mut Seeded(9));
        let (began, first) = begin(CODE, &BINDING, b"", &mut Seeded(1)).unwrap();
        prop_assert!(began.finish(&bytes).is_err());
        let (responder, _) = answer(CODE, &BINDING, b"", &first, &mut Seeded(9)).unwrap();
        prop_assert!(responder.finish(&bytes).is_err());
    }
}
