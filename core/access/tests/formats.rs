//! The bytes that stores and peers already hold must stay readable: fixed inputs, fixed outputs.
//! The same values stand in `docs/formats/roster.md`.

use stead_access::{
    DeviceRecord, KeyBox, KeyPlace, Name, Role, RosterOp, WHOLE_SPACE, decode_boxes, decode_ops,
    encode_boxes, encode_ops, open_keys, recipient_hint, sign_claim, sign_genesis, verify_genesis,
};
use stead_base::{ScopeId, SpaceId, WriterId};
use stead_crypt::{DeviceKeys, KeyId, hash};

const SPACE: SpaceId = SpaceId::from_bytes([0x33; 32]);
const WRITER: WriterId = WriterId::from_bytes([0x44; 32]);

fn device() -> (DeviceKeys, DeviceRecord) {
    let keys = DeviceKeys::from_seed(&[0x11; 32]);
    let record = DeviceRecord::of(&keys, Name::new("laptop").unwrap());
    (keys, record)
}

#[test]
fn a_roster_parcel_is_laid_out_as_documented() {
    let (keys, device) = device();
    let name = Name::new("home").unwrap();
    let nonce = [0x77; 32];
    let signature = sign_genesis(keys.signing(), &WRITER, &nonce, &name, &device);
    verify_genesis(&WRITER, &nonce, &name, &device, &signature).unwrap();
    let ops = [
        RosterOp::Genesis {
            name,
            nonce,
            device: device.clone(),
            signature,
        },
        RosterOp::Claim {
            device: device.id,
            signature: sign_claim(keys.signing(), &SPACE, &WRITER),
        },
        RosterOp::Grant {
            device,
            role: Role::Owner,
            path: WHOLE_SPACE.to_owned(),
        },
        RosterOp::Epoch {
            scope: ScopeId::ROOT,
            generation: 300,
            key: KeyId::from_bytes([0x88; 32]),
        },
    ];
    let bytes = encode_ops(&ops);
    assert_eq!(decode_ops(&bytes).unwrap(), ops);
    assert_eq!(bytes.len(), 2750);
    assert_eq!(
        hash::digest(&bytes).to_string(),
        "d16d79bcca3d15470500b1573f3add99e83202b52b08dafc9cff6aed24f069d0"
    );
}

#[test]
fn a_claim_is_signed_as_documented() {
    let (keys, _) = device();
    let signature = sign_claim(keys.signing(), &SPACE, &WRITER);
    assert_eq!(
        hex(&signature),
        "2f7e2d8dd7581ee5b500460c1621bb0e0dc759129d45f179f4aa702932fa6be476b27d768f1b277c0094310362c956a90057a37ffe6921266bda7a19a6131107"
    );
}

#[test]
fn a_key_box_made_long_ago_still_opens() {
    let (keys, device) = device();
    let place = KeyPlace {
        space: SPACE,
        granted_at: (WRITER, 9),
    };
    assert_eq!(
        hex(&recipient_hint(&device.kem, &SPACE)),
        "456dee6f6519b5eb"
    );
    let bytes = unhex(include_str!("../vectors/key-boxes.hex"));
    let boxes = decode_boxes(&bytes).unwrap();
    assert_eq!(encode_boxes(&boxes), bytes);
    let [key_box] = &boxes[..] else {
        panic!("one box is expected");
    };
    assert!(KeyBox::is_for(key_box, &device.kem, &SPACE));
    let opened = open_keys(keys.kem(), &keys.id(), &place, key_box).unwrap();
    let found: Vec<_> = opened
        .iter()
        .map(|key| (key.scope, key.generation, *key.key.expose()))
        .collect();
    let expected = [
        (ScopeId::ROSTER, 0, [0x21; 32]),
        (ScopeId::ROOT, 300, [0x22; 32]),
    ];
    assert_eq!(found, expected);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}
