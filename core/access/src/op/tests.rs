//! Properties of the encoding of roster operations.

use super::*;
use proptest::prelude::*;
use stead_crypt::DeviceKeys;

fn record(seed: u8, name: &str) -> DeviceRecord {
    DeviceRecord::of(&DeviceKeys::from_seed(&[seed; 32]), Name::from_any(name))
}

fn op() -> impl Strategy<Value = RosterOp> {
    let genesis = (any::<String>(), any::<[u8; 32]>(), any::<u8>()).prop_map(|(name, nonce, s)| {
        RosterOp::Genesis {
            name: Name::from_any(&name),
            nonce,
            device: record(s % 3, &name),
            signature: [s; 64],
        }
    });
    let claim = (any::<[u8; 32]>(), any::<u8>()).prop_map(|(device, s)| RosterOp::Claim {
        device: DeviceId::from_bytes(device),
        signature: [s; 64],
    });
    let grant =
        (any::<u8>(), any::<String>(), 0usize..4).prop_map(|(s, text, role)| RosterOp::Grant {
            device: record(s % 3, &text),
            role: Role::ALL[role],
            path: format!("/{text}"),
        });
    let epoch =
        (any::<u64>(), any::<u32>(), any::<[u8; 32]>()).prop_map(|(scope, generation, key)| {
            RosterOp::Epoch {
                scope: ScopeId::from_number(scope),
                generation,
                key: KeyId::from_bytes(key),
            }
        });
    prop_oneof![genesis, claim, grant, epoch]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn operations_read_back(ops in prop::collection::vec(op(), 0..6)) {
        prop_assert_eq!(decode_ops(&encode_ops(&ops)), Ok(ops));
    }

    #[test]
    fn what_is_accepted_has_no_second_encoding(
        ops in prop::collection::vec(op(), 0..4), at: prop::sample::Index, byte: u8
    ) {
        let mut bytes = encode_ops(&ops);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(ops) = decode_ops(&bytes) {
            prop_assert_eq!(encode_ops(&ops), bytes);
        }
    }

    #[test]
    fn a_cut_parcel_is_refused(ops in prop::collection::vec(op(), 1..4), at: prop::sample::Index) {
        let bytes = encode_ops(&ops);
        prop_assert!(decode_ops(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn garbage_is_refused_without_panic(garbage: Vec<u8>) {
        if let Ok(ops) = decode_ops(&garbage) {
            prop_assert_eq!(encode_ops(&ops), garbage);
        }
    }
}

#[test]
fn a_parcel_at_the_limit_is_read_and_one_above_is_refused() {
    let epoch = RosterOp::Epoch {
        scope: ScopeId::ROOT,
        generation: 0,
        key: KeyId::from_bytes([0; 32]),
    };
    let mut ops = vec![epoch.clone(); OPS_PER_PARCEL_MAX];
    assert!(decode_ops(&encode_ops(&ops)).is_ok());
    ops.push(epoch);
    let err = decode_ops(&encode_ops(&ops)).unwrap_err();
    assert!(matches!(err.fault, DecodeFault::TooLong { .. }));
}

#[test]
fn a_path_that_does_not_start_at_the_root_is_refused() {
    let grant = RosterOp::Grant {
        device: record(1, "phone"),
        role: Role::Owner,
        path: "notes".to_owned(),
    };
    let err = decode_ops(&encode_ops(&[grant])).unwrap_err();
    assert_eq!(
        (err.what, err.fault),
        ("grant path", DecodeFault::Undefined)
    );
}

#[test]
fn a_grant_is_laid_out_as_documented() {
    let device = record(1, "phone");
    let grant = RosterOp::Grant {
        device: device.clone(),
        role: Role::Owner,
        path: WHOLE_SPACE.to_owned(),
    };
    let expected = [
        &[1, TAG_GRANT][..],
        device.id.as_bytes(),
        device.kem.as_bytes(),
        b"\x05phone\x03\x01/",
    ]
    .concat();
    assert_eq!(encode_ops(&[grant]), expected);
}
