//! The bytes that stores and peers already hold must stay readable: fixed inputs, fixed outputs.
//! The same values stand in `docs/formats/roster.md`.

use stead_access::*;
use stead_base::{ScopeId, SpaceId, WriterId};
use stead_crypt::{DeviceKeys, KeyId, SigningKey, hash};

const SPACE: SpaceId = SpaceId::from_bytes([0x33; 32]);
const WRITER: WriterId = WriterId::from_bytes([0x44; 32]);

const MEMBERSHIP: OpId = OpId {
    log: WRITER,
    seq: 7,
    index: 2,
};

fn root() -> SigningKey {
    SigningKey::from_seed(&[0x55; 32])
}

/// The identity of the root seed `55` x 32, with one device that the root added.
fn card() -> Card {
    let identity = IdentityId::from_bytes(root().public());
    let record = device().1;
    Card {
        identity,
        devices: vec![CardDevice {
            signature: sign_identity_device(&root(), &identity, &record, 0, None),
            record,
            stay: 0,
            added_by: AddedBy::Root,
        }],
    }
}

fn lengths() -> Lengths {
    [(WRITER, 300)].into_iter().collect()
}

fn device() -> (DeviceKeys, DeviceRecord) {
    let keys = DeviceKeys::from_seed(&[0x11; 32]);
    let record = DeviceRecord::of(&keys, Name::new("laptop").unwrap());
    (keys, record)
}

#[test]
fn a_roster_parcel_is_laid_out_as_documented() {
    let (keys, device) = device();
    let card = card();
    card.verify().unwrap();
    let (name, nonce) = (Name::new("home").unwrap(), [0x77; 32]);
    let key = keys.signing();
    let signature = sign_genesis(key, &WRITER, &nonce, &name, &device, Some(&card));
    verify_genesis(&WRITER, &nonce, &name, &device, Some(&card), &signature).unwrap();
    let path = Path::new("/notes").unwrap();
    let grant = |subject| {
        RosterOp::Grant(Grant {
            subject,
            role: Role::Manager,
            path: Path::new("/notes").unwrap(),
            since: Lengths::none(),
        })
    };
    let (person, party) = (Party::Identity(card.clone()), Party::Device(device.clone()));
    let identity = card.identity;
    let ops = [
        RosterOp::Genesis {
            name,
            nonce,
            device: device.clone(),
            card: Some(card),
            signature,
        },
        RosterOp::Claim {
            device: device.id,
            signature: sign_claim(key, &SPACE, &WRITER),
        },
        grant(Subject::Party(party.clone())),
        grant(Subject::Party(person.clone())),
        grant(Subject::Group {
            group: SPACE,
            parts: vec![GroupPart {
                party: party.clone(),
                keeper: true,
                stay: 1,
                rank: 2,
            }],
        }),
        grant(Subject::Invite {
            key: root().public(),
            uses: Some(300),
            expires_ms: 1_000_000,
        }),
        grant(Subject::Everyone),
        RosterOp::Epoch(StartEpoch {
            scope: ScopeId::ROOT,
            generation: 300,
            key: KeyId::from_bytes([0x88; 32]),
            knows: lengths(),
            previous: vec![1, 2],
            for_parent: Vec::new(),
        }),
        RosterOp::Join(Join {
            invite: MEMBERSHIP,
            key: root().public(),
            signature: sign_join(&root(), &SPACE, &MEMBERSHIP, &person),
            joiner: person.clone(),
            since: lengths(),
        }),
        RosterOp::Remove(Remove {
            memberships: vec![MEMBERSHIP],
            lengths: lengths(),
            reason: Some("lost".to_owned()),
        }),
        RosterOp::AddDevice(AddDevice {
            identity,
            record: device.clone(),
            stay: 1,
            since: lengths(),
        }),
        RosterOp::RemoveDevice(RemoveDevice {
            identity,
            device: device.id,
            stay: 1,
            lengths: lengths(),
        }),
        RosterOp::GroupAdd(GroupAdd {
            group: SPACE,
            party,
            keeper: false,
            stay: 0,
            since: Lengths::none(),
        }),
        RosterOp::GroupRemove(GroupRemove {
            group: SPACE,
            party: person.id(),
            stay: 0,
            lengths: lengths(),
        }),
        RosterOp::Scope { path },
        RosterOp::Rename {
            name: Name::new("house").unwrap(),
            turn: 1,
        },
        RosterOp::RootStatement {
            identity,
            nonce,
            ops: encode_ops(&[]),
            signature: sign_root_statement(&root(), &SPACE, &identity, &nonce, &[0]),
        },
    ];
    let bytes = encode_ops(&ops);
    assert_eq!(decode_ops(&bytes).unwrap(), ops);
    let tags: Vec<u8> = ops
        .iter()
        .map(|op| encode_ops(std::slice::from_ref(op))[1])
        .collect();
    assert_eq!(tags, [0, 1, 2, 2, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let lens: Vec<usize> = ops
        .iter()
        .map(|op| encode_ops(std::slice::from_ref(op)).len() - 1)
        .collect();
    assert_eq!(
        lens,
        [
            2712, 97, 1266, 1365, 1303, 49, 11, 75, 1521, 77, 1324, 101, 1292, 102, 8, 8, 131
        ]
    );
    assert_eq!(
        hash::digest(&bytes).to_string(),
        "97ddd172e8c9a0e0486769e30f40935b59d7d1203f44cd1fa3c5c28f1cf98c83"
    );
}

#[test]
fn a_removal_and_an_epoch_are_laid_out_byte_by_byte() {
    let remove = RosterOp::Remove(Remove {
        memberships: vec![MEMBERSHIP],
        lengths: lengths(),
        reason: Some("lost".to_owned()),
    });
    let expected = [
        "0105",
        "01",
        &"44".repeat(32),
        "0702",
        "01",
        &"44".repeat(32),
        "ac02",
        "01046c6f7374",
    ];
    assert_eq!(hex(&encode_ops(&[remove])), expected.concat());
    let epoch = RosterOp::Epoch(StartEpoch {
        scope: ScopeId::ROOT,
        generation: 300,
        key: KeyId::from_bytes([0x88; 32]),
        knows: lengths(),
        previous: vec![1, 2],
        for_parent: Vec::new(),
    });
    let expected = [
        "0103",
        "01ac02",
        &"88".repeat(32),
        "01",
        &"44".repeat(32),
        "ac02",
        "020102",
        "00",
    ];
    assert_eq!(hex(&encode_ops(&[epoch])), expected.concat());
}

#[test]
fn signatures_are_made_as_documented() {
    let (keys, device) = device();
    assert_eq!(
        hex(&sign_claim(keys.signing(), &SPACE, &WRITER)),
        "2f7e2d8dd7581ee5b500460c1621bb0e0dc759129d45f179f4aa702932fa6be476b27d768f1b277c0094310362c956a90057a37ffe6921266bda7a19a6131107"
    );
    let card = card();
    assert_eq!(
        card.identity.to_string(),
        "c6822637c7d310ec57627be00ba259d253749f4aaf644470cffbe53a35f73242"
    );
    assert_eq!(
        hex(&card.devices[0].signature),
        "b1b02bc25ad79a8917c1b465a1b1d20b0ec79e56e21549ba11768844db52c0126663380b3c16b7223394f20335e9121309acebc290c8db17bd74bd5c7441ae04"
    );
    let joiner = Party::Device(device);
    assert_eq!(
        hex(&sign_join(&root(), &SPACE, &MEMBERSHIP, &joiner)),
        "58f06881a2f145f91c44152adc427f195ad8512f1adf35f564ee6fe8f8a9131af73cdb69b7170eeb9a41842aff7c20aa09db1598405e0a0e63917a9bc5747505"
    );
    let (nonce, ops) = ([0x77; 32], encode_ops(&[]));
    assert_eq!(
        hex(&sign_root_statement(
            &root(),
            &SPACE,
            &card.identity,
            &nonce,
            &ops
        )),
        "8e347018cae02cd1092e66656840df7299e9776c3b254b375275875bcde1e7fa6a9de22f75ce57de823146b930070a9bbff6ab01de96f33e51503642e22df905"
    );
    assert_eq!(
        root_statement_log(&SPACE, &card.identity, &nonce, &ops).to_string(),
        "457f3be0efd79650ee682ec32c181bd16343d506a3eaa3b5f97642761d6485ef"
    );
    let notes = scope_at(&SPACE, &Path::new("/notes").unwrap());
    assert_eq!(notes.number().to_string(), "3200306360083027812");
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

#[test]
fn a_start_is_its_scope_turn_lengths_first_entry_and_hash() {
    let start = RosterOp::Start(ScopeStart {
        scope: scope_at(&SPACE, &Path::new("/notes").unwrap()),
        turn: 1,
        covers: lengths(),
        first: 4,
        hash: stead_base::Hash::from_bytes([0x88; 32]),
    });
    let bytes = encode_ops(std::slice::from_ref(&start));
    assert_eq!(decode_ops(&bytes).unwrap(), [start]);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let writer = "44".repeat(32);
    let hash = "88".repeat(32);
    assert_eq!(
        text,
        format!("010fe4aeb0a9dbb5f1b42c0101{writer}ac0204{hash}")
    );
}
