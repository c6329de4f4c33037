//! Random bytes, random frames of a member who knows the rules, and flipped bits: nothing panics.

use super::hostile::{frame, live};
use super::net::{Dice, Net, space, writer};
use crate::message::{Message, WireTip, WriterRef};
use bytes::Bytes;
use proptest::prelude::*;

/// Frames of every kind with random fields, as an evil member that knows the rules would send.
fn message(no: u64) -> impl Strategy<Value = Message> {
    let number = prop_oneof![4 => Just(no), 1 => 0u64..20];
    let named = prop_oneof![
        (0u64..4).prop_map(WriterRef::Known),
        (0u16..4).prop_map(|n| WriterRef::New(writer(n))),
    ];
    let payload = prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    let tags = prop::collection::btree_set(any::<[u8; 32]>(), 8..9)
        .prop_map(|tags| tags.into_iter().collect::<Vec<_>>());
    (
        number,
        named,
        0u64..8,
        1u64..5,
        payload,
        tags,
        0u8..19,
        any::<[u8; 8]>(),
    )
        .prop_map(
            |(space, writer, from, count, bytes, tags, kind, check)| match kind {
                0 => Message::Offer { tags },
                1 => Message::Accept { tags },
                2 => Message::Leave { space },
                3 => Message::Digest {
                    space,
                    digest: [7; 32],
                },
                4 | 5 => Message::Tips {
                    space,
                    last: kind == 5,
                    tips: vec![WireTip {
                        writer,
                        len: from,
                        frozen: count == 4,
                        check,
                    }],
                },
                6 => Message::Want {
                    space,
                    writer,
                    from,
                    count,
                },
                7 => Message::Unwant { space, writer },
                8 => Message::Gone { space, writer },
                9 => Message::Batch {
                    space,
                    writer,
                    from,
                    count,
                    batch: bytes,
                },
                10 => Message::Push {
                    space,
                    writer,
                    from,
                    count,
                    check,
                    batch: bytes,
                },
                11 => Message::Probe {
                    space,
                    writer,
                    at: from,
                },
                12 => Message::ProbeReply {
                    space,
                    writer,
                    at: from,
                    reply: bytes,
                },
                13 => Message::Fork {
                    space,
                    writer,
                    proof: bytes,
                },
                14 => Message::Credit { bytes: from * 20 },
                15 => Message::Ping { token: from },
                16 => Message::Presence {
                    space,
                    packet: bytes,
                },
                17 => Message::PresenceLost {
                    space,
                    run: [7; 32],
                    app: from,
                },
                _ => Message::Pong { token: from },
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic_and_decode_to_one_encoding(
        bytes in prop::collection::vec(any::<u8>(), 1..200)
    ) {
        let bytes = Bytes::from(bytes);
        if let Ok(message) = Message::decode(&bytes) {
            let again = message.encode().unwrap().to_vec();
            prop_assert_eq!(&again[4..], &bytes[..]);
        }
    }

    #[test]
    fn well_formed_frames_in_any_order_never_panic(
        messages in prop::collection::vec(message(0), 1..60), side in 0usize..2
    ) {
        let (mut net, link, no) = live();
        net.lenient_store = true;
        for message in messages {
            let message = renumber(message, no);
            if net.try_input(link, side, frame(message)).is_err() {
                break;
            }
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_session_never_panics(
        nth in 0usize..40, byte: usize, bit in 0u8..8, seed: u64
    ) {
        let mut net = Net::new(2);
        net.lenient_store = true;
        net.write(0, space(1), writer(0), &[&[1; 300], &[2; 300]]);
        net.write(1, space(1), writer(1), &[b"other"]);
        let link = net.connect(0, 1);
        let mut dice = Dice::new(seed);
        for turn in 0..200 {
            let side = dice.below(2);
            if turn == nth
                && let Some(frame) = net.links.get_mut(&link).unwrap().ways[side].frames.front_mut()
            {
                let mut bytes = frame.to_vec();
                let at = byte % bytes.len();
                bytes[at] ^= 1 << bit;
                *frame = bytes.into();
            }
            if net.try_deliver(link, side).is_err() {
                break;
            }
        }
    }
}

fn renumber(mut message: Message, no: u64) -> Message {
    match &mut message {
        Message::Leave { space }
        | Message::Digest { space, .. }
        | Message::Tips { space, .. }
        | Message::Want { space, .. }
        | Message::Unwant { space, .. }
        | Message::Gone { space, .. }
        | Message::Batch { space, .. }
        | Message::Push { space, .. }
        | Message::Probe { space, .. }
        | Message::ProbeReply { space, .. }
        | Message::Fork { space, .. }
            if *space == 0 =>
        {
            *space = no;
        }
        _ => {}
    }
    message
}
