//! Properties of [`ScopeCipher`]: what was sealed opens in its own place only, and unaltered only.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    key: [u8; 32],
    space: [u8; 32],
    scope: u64,
    generation: u32,
    writer: [u8; 32],
    part: Part,
}

impl Place {
    fn cipher(&self) -> ScopeCipher {
        ScopeCipher::new(
            &EpochKey::from_bytes(&self.key),
            &SpaceId::from_bytes(self.space),
            ScopeId::from_number(self.scope),
            self.generation,
            &WriterId::from_bytes(self.writer),
            self.part,
        )
    }
}

fn place() -> impl Strategy<Value = Place> {
    let part = prop_oneof![
        Just(Part::Envelope),
        Just(Part::Parcel),
        Just(Part::Presence)
    ];
    (
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
        any::<u64>(),
        any::<u32>(),
        any::<[u8; 32]>(),
        part,
    )
        .prop_map(|(key, space, scope, generation, writer, part)| Place {
            key,
            space,
            scope,
            generation,
            writer,
            part,
        })
}

fn seal(place: &Place, seq: u64, salt: [u8; 4], text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    place.cipher().seal(seq, salt, text, &mut out).unwrap();
    out
}

proptest! {
    #[test]
    fn a_disclosed_key_opens_its_own_place_and_no_other(
        place in place(), other in place(), seq: u64, salt: [u8; 4], text: Vec<u8>
    ) {
        prop_assume!(place != other);
        let key = EpochKey::from_bytes(&place.key);
        let disclosed = ScopeCipher::disclose(
            &key,
            &SpaceId::from_bytes(place.space),
            ScopeId::from_number(place.scope),
            place.generation,
            &WriterId::from_bytes(place.writer),
            place.part,
        );
        let opener = ScopeCipher::from_disclosed(&disclosed, key.id());
        let mut out = Vec::new();
        opener.open(seq, salt, &seal(&place, seq, salt, &text), &mut out).unwrap();
        prop_assert_eq!(&out, &text);
        prop_assert!(opener.open(seq, salt, &seal(&other, seq, salt, &text), &mut out).is_err());
        let mislabelled = ScopeCipher::from_disclosed(&disclosed, KeyId::from_bytes([1; 32]));
        prop_assert!(mislabelled.open(seq, salt, &seal(&place, seq, salt, &text), &mut out).is_err());
    }

    #[test]
    fn a_text_opens_behind_what_the_arena_already_holds(
        place in place(), seq: u64, salt: [u8; 4], text: Vec<u8>, before: Vec<u8>
    ) {
        let cipher = place.cipher();
        let mut sealed = before.clone();
        let sealed_len = cipher.seal(seq, salt, &text, &mut sealed).unwrap();
        prop_assert_eq!(sealed_len, text.len() + ScopeCipher::OVERHEAD);
        prop_assert_eq!(&sealed[..before.len()], &before[..]);
        let mut arena = before.clone();
        let len = cipher.open(seq, salt, &sealed[before.len()..], &mut arena).unwrap();
        prop_assert_eq!(len, text.len());
        prop_assert_eq!(&arena[..before.len()], &before[..]);
        prop_assert_eq!(&arena[before.len()..], &text[..]);
    }

    #[test]
    fn any_altered_bit_is_refused_and_leaves_the_arena_as_it_was(
        place in place(), seq: u64, salt: [u8; 4], text: Vec<u8>, at: prop::sample::Index,
        before: Vec<u8>
    ) {
        let cipher = place.cipher();
        let sealed = seal(&place, seq, salt, &text);
        let bit = at.index(sealed.len() * 8);
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let mut arena = before.clone();
        prop_assert_eq!(cipher.open(seq, salt, &altered, &mut arena), Err(NotOpened));
        prop_assert_eq!(cipher.open(seq, salt, &sealed[1..], &mut arena), Err(NotOpened));
        let cut = &sealed[..sealed.len() - 1];
        prop_assert_eq!(cipher.open(seq, salt, cut, &mut arena), Err(NotOpened));
        prop_assert_eq!(arena, before);
    }

    #[test]
    fn any_altered_nonce_bit_is_refused(
        place in place(), seq: u64, salt: [u8; 4], text: Vec<u8>, bit in 0usize..96
    ) {
        let sealed = seal(&place, seq, salt, &text);
        let (mut other_seq, mut other_salt) = (seq, salt);
        if bit < 64 {
            other_seq ^= 1 << bit;
        } else {
            other_salt[(bit - 64) / 8] ^= 1 << (bit % 8);
        }
        let mut out = Vec::new();
        let opened = place.cipher().open(other_seq, other_salt, &sealed, &mut out);
        prop_assert_eq!(opened, Err(NotOpened));
    }

    #[test]
    fn another_key_space_scope_generation_writer_or_part_opens_nothing(
        place in place(), other in place(), seq: u64, salt: [u8; 4], text: Vec<u8>
    ) {
        let sealed = seal(&place, seq, salt, &text);
        let other_part = match place.part {
            Part::Envelope => Part::Parcel,
            Part::Parcel => Part::Presence,
            Part::Presence => Part::Envelope,
        };
        for wrong in [
            Place { key: other.key, ..place },
            Place { space: other.space, ..place },
            Place { scope: other.scope, ..place },
            Place { generation: other.generation, ..place },
            Place { writer: other.writer, ..place },
            Place { part: other_part, ..place },
        ] {
            if wrong != place {
                let mut out = Vec::new();
                prop_assert_eq!(wrong.cipher().open(seq, salt, &sealed, &mut out), Err(NotOpened));
            }
        }
    }

    #[test]
    fn garbage_is_refused(place in place(), seq: u64, salt: [u8; 4], garbage: Vec<u8>) {
        let mut out = Vec::new();
        prop_assert_eq!(place.cipher().open(seq, salt, &garbage, &mut out), Err(NotOpened));
    }
}

#[test]
fn a_sealing_binds_the_id_of_the_epoch_key() {
    let place = Place {
        key: [1; 32],
        space: [2; 32],
        scope: 1,
        generation: 3,
        writer: [4; 32],
        part: Part::Parcel,
    };
    let sealed = seal(&place, 5, [6; 4], b"text");
    let mut renamed = place.cipher();
    let mut out = Vec::new();
    assert_eq!(renamed.open(5, [6; 4], &sealed, &mut out), Ok(4));
    for bit in 0..256 {
        let mut id = *place.cipher().key_id().as_bytes();
        id[bit / 8] ^= 1 << (bit % 8);
        renamed.key_id = KeyId::from_bytes(id);
        assert_eq!(renamed.open(5, [6; 4], &sealed, &mut out), Err(NotOpened));
    }
}

#[test]
fn one_cipher_serves_several_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<ScopeCipher>();
}
