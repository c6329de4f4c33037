//! Properties of key boxes: only the addressee, in its space and entry, gets the keys.

use super::*;
use crate::Name;
use proptest::prelude::*;
use stead_crypt::DeviceKeys;

struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, buf: &mut [u8]) {
        for byte in buf {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

const PLACE: KeyPlace = KeyPlace {
    space: SpaceId::from_bytes([1; 32]),
    granted_at: (WriterId::from_bytes([2; 32]), 3),
};

fn device(seed: u8) -> (DeviceKeys, DeviceRecord) {
    let keys = DeviceKeys::from_seed(&[seed; 32]);
    let record = DeviceRecord::of(&keys, Name::from_any("laptop"));
    (keys, record)
}

fn keys(count: usize) -> Vec<ScopedKey> {
    (0..count)
        .map(|i| ScopedKey {
            scope: ScopeId::from_number(i as u64 % 3),
            generation: i as u32,
            key: EpochKey::from_bytes(&[i as u8; 32]),
        })
        .collect()
}

#[test]
fn the_addressee_gets_the_keys() {
    let (own, record) = device(1);
    for count in [0, 2, KEYS_PER_BOX_MAX] {
        let key_box = seal_keys(&record, &PLACE, &keys(count), &mut Counting(0)).unwrap();
        assert!(key_box.is_for(own.kem().public(), &PLACE.space));
        let opened = open_keys(own.kem(), &own.id(), &PLACE, &key_box).unwrap();
        assert_eq!(opened, keys(count));
    }
}

#[test]
fn too_many_keys_are_refused() {
    let (_, record) = device(1);
    let count = KEYS_PER_BOX_MAX + 1;
    assert_eq!(
        seal_keys(&record, &PLACE, &keys(count), &mut Counting(0)),
        Err(KeyBoxError::TooManyKeys { count })
    );
}

#[test]
fn another_device_space_or_entry_opens_nothing() {
    let (own, record) = device(1);
    let (other, _) = device(2);
    let key_box = seal_keys(&record, &PLACE, &keys(2), &mut Counting(0)).unwrap();
    assert!(!key_box.is_for(other.kem().public(), &PLACE.space));
    let space = SpaceId::from_bytes([9; 32]);
    assert!(!key_box.is_for(own.kem().public(), &space));
    let (author, seq) = PLACE.granted_at;
    let elsewhere = [
        KeyPlace { space, ..PLACE },
        KeyPlace {
            granted_at: (author, seq + 1),
            ..PLACE
        },
        KeyPlace {
            granted_at: (WriterId::from_bytes([9; 32]), seq),
            ..PLACE
        },
    ];
    let refused = KeyBoxError::Box(BoxError::NotOpened);
    for place in &elsewhere {
        let opened = open_keys(own.kem(), &own.id(), place, &key_box);
        assert_eq!(opened.unwrap_err(), refused);
    }
    let opened = open_keys(other.kem(), &own.id(), &PLACE, &key_box);
    assert_eq!(opened.unwrap_err(), refused);
    let opened = open_keys(own.kem(), &other.id(), &PLACE, &key_box);
    assert_eq!(opened.unwrap_err(), refused);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_altered_bit_is_refused(at: prop::sample::Index) {
        let (own, record) = device(1);
        let mut key_box = seal_keys(&record, &PLACE, &keys(2), &mut Counting(0)).unwrap();
        let bit = at.index(key_box.sealed.len() * 8);
        key_box.sealed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(open_keys(own.kem(), &own.id(), &PLACE, &key_box).is_err());
    }

    #[test]
    fn boxes_read_back(parts in prop::collection::vec((any::<[u8; 8]>(), any::<Vec<u8>>()), 0..5)) {
        let boxes: Vec<_> = parts
            .into_iter()
            .map(|(recipient_hint, sealed)| KeyBox { recipient_hint, sealed })
            .collect();
        prop_assert_eq!(decode_boxes(&encode_boxes(&boxes)), Ok(boxes));
    }

    #[test]
    fn garbage_is_refused_without_panic(garbage: Vec<u8>) {
        if let Ok(boxes) = decode_boxes(&garbage) {
            prop_assert_eq!(encode_boxes(&boxes), garbage.clone());
        }
        if let Ok(keys) = decode_keys(&garbage) {
            prop_assert_eq!(&encode_keys(&keys)[..], &garbage[..]);
        }
    }
}
