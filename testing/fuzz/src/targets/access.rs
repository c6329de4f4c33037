//! Roster operations, cards and key boxes.

use stead_access::{
    Card, KeyPlace, Roster, decode_boxes, decode_ops, encode_boxes, encode_ops, open_keys,
};
use stead_base::WriterId;

/// A `@roster` parcel, taken up by a space's roster: whoever says it, its founder or a stranger,
/// saying it twice changes nothing.
pub fn roster_op(data: &[u8]) -> bool {
    let Ok(ops) = decode_ops(data) else {
        return false;
    };
    assert_eq!(encode_ops(&ops), data);
    let (founder, mut roster) = crate::seeds::access::founded();
    let stranger = WriterId::from_bytes([0xee; 32]);
    for writer in [founder, stranger] {
        roster.insert(writer, 1, ops.clone());
        let before = standing(&roster);
        roster.insert(writer, 1, ops.clone());
        assert_eq!(standing(&roster), before, "taken twice");
    }
    true
}

/// Memberships, those that ended included.
fn standing(roster: &Roster) -> Vec<(stead_access::OpId, bool)> {
    let members = roster.members().values();
    members
        .map(|member| (member.id, member.ended.is_some()))
        .collect()
}

/// A card by itself, and its chain of signatures.
pub fn card(data: &[u8]) -> bool {
    let Ok(card) = Card::from_bytes(data) else {
        return false;
    };
    assert_eq!(card.to_bytes(), data);
    if card.verify().is_ok() {
        assert_eq!(card.ranked().count(), card.devices.len());
    }
    true
}

/// The key boxes of an entry; the first is tried with a device's key.
pub fn key_box(data: &[u8]) -> bool {
    let Ok(boxes) = decode_boxes(data) else {
        return false;
    };
    assert_eq!(encode_boxes(&boxes), data);
    if let Some(first) = boxes.first() {
        let keys = crate::seeds::access::device();
        let place = KeyPlace {
            space: super::log::SPACE,
            granted_at: (WriterId::from_bytes([1; 32]), 0),
        };
        let _ = open_keys(keys.kem(), &keys.id(), &place, first);
    }
    true
}
