//! Properties of the encoding of roster operations.

use super::*;
use crate::{AddedBy, CardDevice};
use proptest::prelude::*;
use stead_base::{Hlc, limits::LOG_LEN_MAX};
use stead_crypt::DeviceKeys;

fn record(seed: u8, name: &str) -> DeviceRecord {
    DeviceRecord::of(&DeviceKeys::from_seed(&[seed; 32]), Name::from_any(name))
}

fn card() -> impl Strategy<Value = Card> {
    let device = (
        0u8..3,
        any::<u32>(),
        prop::option::of(any::<u32>()),
        any::<u8>(),
    );
    (any::<[u8; 32]>(), prop::collection::vec(device, 0..3)).prop_map(|(identity, devices)| Card {
        identity: IdentityId::from_bytes(identity),
        devices: devices
            .into_iter()
            .map(|(seed, stay, by, s)| CardDevice {
                record: record(seed, "card"),
                stay,
                added_by: by.map_or(AddedBy::Root, AddedBy::Device),
                signature: [s; 64],
            })
            .collect(),
    })
}

fn party() -> impl Strategy<Value = Party> {
    prop_oneof![
        (0u8..3, any::<String>()).prop_map(|(seed, name)| Party::Device(record(seed, &name))),
        card().prop_map(Party::Identity),
    ]
}

fn id() -> impl Strategy<Value = OpId> {
    (any::<[u8; 32]>(), any::<u64>(), any::<u32>()).prop_map(|(log, seq, index)| OpId {
        log: WriterId::from_bytes(log),
        seq,
        index,
    })
}

fn lengths() -> impl Strategy<Value = Lengths> {
    let log = (any::<[u8; 32]>(), 0u64..1 << 40);
    prop::collection::vec(log, 0..4).prop_map(|logs| {
        logs.into_iter()
            .map(|(w, len)| (WriterId::from_bytes(w), len))
            .collect()
    })
}

fn subject() -> impl Strategy<Value = Subject> {
    let part = (party(), any::<bool>(), any::<u32>(), 0..=GROUP_RANK_MAX);
    let part = part.prop_map(|(party, keeper, stay, rank)| GroupPart {
        party,
        keeper,
        stay,
        rank,
    });
    prop_oneof![
        party().prop_map(Subject::Party),
        (any::<[u8; 32]>(), prop::collection::vec(part, 0..3)).prop_map(|(group, parts)| {
            Subject::Group {
                group: SpaceId::from_bytes(group),
                parts,
            }
        }),
        (any::<[u8; 32]>(), any::<Option<u32>>(), any::<u64>()).prop_map(
            |(key, uses, expires_ms)| Subject::Invite {
                key,
                uses,
                expires_ms
            }
        ),
        Just(Subject::Everyone),
    ]
}

fn path() -> impl Strategy<Value = Path> {
    prop::collection::vec("[a-z~/]{1,4}", 0..4)
        .prop_map(|parts| Path::of(parts.iter().map(String::as_str)).unwrap())
}

fn founding() -> impl Strategy<Value = RosterOp> {
    let genesis = (
        any::<String>(),
        any::<[u8; 32]>(),
        any::<u8>(),
        prop::option::of(card()),
    );
    let genesis = genesis.prop_map(|(name, nonce, s, card)| RosterOp::Genesis {
        name: Name::from_any(&name),
        nonce,
        device: record(s % 3, &name),
        card,
        signature: [s; 64],
    });
    let claim = (any::<[u8; 32]>(), any::<u8>()).prop_map(|(device, s)| RosterOp::Claim {
        device: DeviceId::from_bytes(device),
        signature: [s; 64],
    });
    let root = (any::<[u8; 32]>(), any::<Vec<u8>>(), any::<u8>());
    let root = root.prop_map(|(identity, ops, s)| RosterOp::RootStatement {
        identity: IdentityId::from_bytes(identity),
        nonce: [s; 32],
        ops,
        signature: [s; 64],
    });
    prop_oneof![genesis, claim, root]
}

fn membership() -> impl Strategy<Value = RosterOp> {
    let grant = (subject(), 0usize..4, path(), lengths());
    let grant = grant.prop_map(|(subject, role, path, since)| {
        RosterOp::Grant(Grant {
            subject,
            role: Role::ALL[role],
            path,
            since,
        })
    });
    let join = (id(), any::<[u8; 32]>(), party(), lengths());
    let join = join.prop_map(|(invite, key, joiner, since)| {
        RosterOp::Join(Join {
            invite,
            key,
            joiner,
            signature: [3; 64],
            since,
        })
    });
    let remove = (
        prop::collection::vec(id(), 0..3),
        lengths(),
        any::<Option<u8>>(),
    );
    let remove = remove.prop_map(|(memberships, lengths, reason)| {
        RosterOp::Remove(Remove {
            memberships,
            lengths,
            reason: reason.map(|n| n.to_string()),
        })
    });
    prop_oneof![grant, join, remove]
}

fn part() -> impl Strategy<Value = RosterOp> {
    (any::<[u8; 32]>(), party(), any::<u32>(), lengths(), 0u8..4).prop_map(
        |(of, party, stay, lengths, kind)| match (kind, &party) {
            (0, Party::Device(record)) => RosterOp::AddDevice(AddDevice {
                identity: IdentityId::from_bytes(of),
                record: record.clone(),
                stay,
                since: lengths,
            }),
            (1, Party::Device(record)) => RosterOp::RemoveDevice(RemoveDevice {
                identity: IdentityId::from_bytes(of),
                device: record.id,
                stay,
                lengths,
            }),
            (0 | 2, _) => RosterOp::GroupAdd(GroupAdd {
                group: SpaceId::from_bytes(of),
                keeper: stay % 2 == 0,
                party,
                stay,
                since: lengths,
            }),
            _ => RosterOp::GroupRemove(GroupRemove {
                group: SpaceId::from_bytes(of),
                party: party.id(),
                stay,
                lengths,
            }),
        },
    )
}

fn keys() -> impl Strategy<Value = RosterOp> {
    let epoch = (
        any::<u64>(),
        any::<u32>(),
        any::<[u8; 32]>(),
        lengths(),
        0..WRAP_BYTES_MAX,
    );
    let epoch = epoch.prop_map(|(scope, generation, key, knows, wrap)| {
        RosterOp::Epoch(StartEpoch {
            scope: ScopeId::from_number(scope),
            generation,
            key: KeyId::from_bytes(key),
            knows,
            previous: vec![1; wrap],
            for_parent: vec![2; wrap / 2],
        })
    });
    let rename = (any::<String>(), any::<u32>()).prop_map(|(name, turn)| RosterOp::Rename {
        name: Name::from_any(&name),
        turn,
    });
    let checkpoint = (any::<u64>(), 0..=LOG_LEN_MAX, any::<u64>(), any::<u64>()).prop_map(
        |(scope, entries, documents, horizon)| {
            RosterOp::Checkpoint(Checkpoint {
                scope: ScopeId::from_number(scope),
                entries,
                documents,
                horizon: Hlc::from_u64(horizon),
            })
        },
    );
    let sealed = (any::<[u8; 8]>(), prop::collection::vec(any::<u8>(), 0..40));
    let sealed = sealed.prop_map(|(recipient_hint, sealed)| crate::KeyBox {
        recipient_hint,
        sealed,
    });
    let letter = prop::collection::vec(sealed, 0..3);
    let start = (any::<u64>(), any::<u32>(), lengths(), 0u64..1 << 40);
    let start = start.prop_map(|(scope, turn, covers, first)| {
        RosterOp::Start(ScopeStart {
            scope: ScopeId::from_number(scope),
            turn,
            covers,
            first,
            hash: Hash::from_bytes([5; 32]),
        })
    });
    let parcels = prop::collection::btree_set((any::<[u8; 32]>(), 0..LOG_LEN_MAX), 0..4);
    let redact = (1..u64::MAX, parcels).prop_map(|(scope, parcels)| {
        let parcels = parcels.into_iter();
        RosterOp::Redact(Redact {
            scope: ScopeId::from_number(scope),
            parcels: parcels
                .map(|(writer, seq)| (WriterId::from_bytes(writer), seq))
                .collect(),
        })
    });
    let asked = prop::collection::btree_set((any::<u64>(), any::<u32>(), any::<[u8; 32]>()), 0..4);
    let ask = (any::<u32>(), asked).prop_map(|(turn, keys)| {
        let key = |(scope, generation, key)| {
            (
                ScopeId::from_number(scope),
                generation,
                KeyId::from_bytes(key),
            )
        };
        let keys = keys.into_iter().map(key).collect();
        RosterOp::AskKeys(AskKeys { turn, keys })
    });
    prop_oneof![
        epoch,
        ask,
        redact,
        rename,
        checkpoint,
        letter.prop_map(|boxes| RosterOp::Letter { boxes }),
        start,
        path().prop_map(|path| RosterOp::Scope { path })
    ]
}

fn op() -> impl Strategy<Value = RosterOp> {
    prop_oneof![founding(), membership(), part(), keys()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

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
fn a_parcel_holds_no_more_operations_than_its_limit() {
    let claim = RosterOp::Claim {
        device: DeviceId::from_bytes([1; 32]),
        signature: [2; 64],
    };
    let most = vec![claim.clone(); OPS_PER_PARCEL_MAX];
    assert_eq!(
        decode_ops(&encode_ops(&most)).unwrap().len(),
        OPS_PER_PARCEL_MAX
    );
    let above = vec![claim; OPS_PER_PARCEL_MAX + 1];
    assert!(decode_ops(&encode_ops(&above)).is_err());
}

#[test]
fn lists_and_texts_inside_an_operation_end_at_their_limits() {
    let removal = |memberships: usize, logs: usize, reason: usize| {
        let lengths = (0..logs).map(|i| {
            let mut log = [0; 32];
            log[..8].copy_from_slice(&(i as u64).to_be_bytes());
            (WriterId::from_bytes(log), 1)
        });
        let id = OpId {
            log: WriterId::from_bytes([1; 32]),
            seq: 1,
            index: 0,
        };
        let op = RosterOp::Remove(Remove {
            memberships: vec![id; memberships],
            lengths: lengths.collect(),
            reason: Some("x".repeat(reason)),
        });
        decode_ops(&encode_ops(&[op])).is_ok()
    };
    let (ids, logs, text) = (REMOVED_AT_ONCE_MAX, crate::LENGTHS_MAX, REASON_BYTES_MAX);
    assert!(removal(ids, logs, text));
    assert!(!removal(ids + 1, logs, text));
    assert!(!removal(ids, logs + 1, text));
    assert!(!removal(ids, logs, text + 1));
    let statement = |len: usize| {
        let op = RosterOp::RootStatement {
            identity: IdentityId::from_bytes([1; 32]),
            nonce: [1; 32],
            ops: vec![0; len],
            signature: [1; 64],
        };
        decode_ops(&encode_ops(&[op])).is_ok()
    };
    assert!(statement(ROOT_STATEMENT_BYTES_MAX) && !statement(ROOT_STATEMENT_BYTES_MAX + 1));
}
