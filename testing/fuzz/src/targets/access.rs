//! Roster operations and key boxes.

use stead_access::{KeyPlace, decode_boxes, decode_ops, encode_boxes, encode_ops, open_keys};
use stead_base::WriterId;

/// A `@roster` parcel.
pub fn roster_op(data: &[u8]) -> bool {
    let Ok(ops) = decode_ops(data) else {
        return false;
    };
    assert_eq!(encode_ops(&ops), data);
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
