//! What a packet keeps from whom, and its bytes.

use proptest::prelude::*;
use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_crypt::{EpochKey, SigningKey};
use stead_presence::{
    Cursor, Head, OpenError, PACKET_BYTES_MAX, Packet, Said, Shown, VALUE_BYTES_MAX, open, seal,
};

const SPACE: SpaceId = SpaceId::from_bytes([0x33; 32]);

fn head() -> Head {
    Head {
        run: [0x44; 32],
        app: 1,
        seq: 5,
        scope: ScopeId::ROOT,
        generation: 7,
    }
}

fn key() -> EpochKey {
    EpochKey::from_bytes(&[0x22; 32])
}

fn author() -> SigningKey {
    SigningKey::from_seed(&[0x11; 32])
}

fn said(value: &str) -> Said {
    Said {
        device: DeviceId::from_bytes(author().public()),
        at_ms: 1_700_000_000_000,
        shown: Some(Shown {
            on: "/notes/plan".to_owned(),
            app: "editor".to_owned(),
            value: value.to_owned(),
            cursors: vec![Cursor {
                field: vec!["body".to_owned()],
                anchor: "3@41".to_owned(),
                head: "end".to_owned(),
            }],
        }),
    }
}

fn sealed() -> Vec<u8> {
    seal(&key(), &SPACE, &head(), &said("{}"), &author()).unwrap()
}

#[test]
fn a_packet_says_what_was_sealed_and_by_whom() {
    let bytes = sealed();
    let packet = Packet::decode(&bytes).unwrap();
    assert_eq!(packet.head, head());
    assert_eq!(open(&key(), &SPACE, &packet).unwrap(), said("{}"));
    let left = Said {
        shown: None,
        ..said("")
    };
    let bytes = seal(&key(), &SPACE, &head(), &left, &author()).unwrap();
    let packet = Packet::decode(&bytes).unwrap();
    assert_eq!(open(&key(), &SPACE, &packet).unwrap(), left);
}

#[test]
fn another_key_or_space_opens_nothing() {
    let bytes = sealed();
    let packet = Packet::decode(&bytes).unwrap();
    let other = EpochKey::from_bytes(&[0x23; 32]);
    assert_eq!(open(&other, &SPACE, &packet), Err(OpenError::NotOpened));
    let other = SpaceId::from_bytes([0x34; 32]);
    assert_eq!(open(&key(), &other, &packet), Err(OpenError::NotOpened));
}

#[test]
fn a_member_cannot_speak_as_another_device() {
    let member = SigningKey::from_seed(&[0x12; 32]);
    let bytes = seal(&key(), &SPACE, &head(), &said("{}"), &member).unwrap();
    let packet = Packet::decode(&bytes).unwrap();
    assert_eq!(open(&key(), &SPACE, &packet), Err(OpenError::Forged));
}

#[test]
fn a_packet_at_the_limit_is_made_and_one_above_it_is_refused() {
    let cursor = |n: usize| Cursor {
        field: vec!["f".repeat(n)],
        anchor: "a".repeat(64),
        head: "h".repeat(64),
    };
    let mut large = said(&"1".repeat(VALUE_BYTES_MAX));
    let fits = |said: &Said| seal(&key(), &SPACE, &head(), said, &author());
    let mut n = 0;
    let refused = loop {
        if let Some(shown) = &mut large.shown {
            shown.cursors = vec![cursor(200); 5];
            shown.cursors.push(cursor(n));
        }
        match fits(&large) {
            Ok(bytes) => assert!(bytes.len() <= PACKET_BYTES_MAX),
            Err(error) => break error,
        }
        n += 1;
        assert!(n < 256, "nothing was refused");
    };
    assert_eq!(refused.bytes, PACKET_BYTES_MAX + 1);
    assert!(Packet::decode(&vec![0; PACKET_BYTES_MAX + 1]).is_err());
}

#[test]
fn the_bytes_are_those_of_the_page() {
    let hex: String = sealed().iter().map(|byte| format!("{byte:02x}")).collect();
    let page = include_str!("../../../docs/protocol/presence.md");
    assert!(page.contains(&hex), "{hex}");
}

proptest! {
    #[test]
    fn any_altered_bit_is_refused(bit in 0usize..8 * 200) {
        let mut bytes = sealed();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let opened = Packet::decode(&bytes).ok().map(|packet| open(&key(), &SPACE, &packet));
        prop_assert!(!matches!(opened, Some(Ok(_))), "{opened:?}");
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read_as_they_are(bytes: Vec<u8>) {
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert!(open(&key(), &SPACE, &packet).is_err());
        }
    }
}
