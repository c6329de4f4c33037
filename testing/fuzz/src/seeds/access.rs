//! Rosters, cards and key boxes of a few devices.

use crate::seeds::Dice;
use crate::targets::log::SPACE;
use stead_access::{
    AddDevice, AddedBy, Card, CardDevice, Checkpoint, DeviceRecord, Grant, GroupAdd, GroupPart,
    GroupRemove, IdentityId, Join, KeyPlace, Lengths, Name, OpId, Party, PartyId, Path, Remove,
    RemoveDevice, Role, Roster, RosterOp, ScopeStart, ScopedKey, StartEpoch, Subject, encode_boxes,
    encode_ops, seal_keys, sign_claim, sign_genesis, sign_identity_device, sign_join,
    sign_root_statement,
};
use stead_base::{Entropy, Hlc, ScopeId, SpaceId, WriterId};
use stead_crypt::{DeviceKeys, EpochKey, KeyId, SigningKey};

impl Entropy for Dice {
    fn fill(&mut self, buf: &mut [u8]) {
        buf.fill_with(|| self.below(256) as u8);
    }
}

const FOUNDER: WriterId = WriterId::from_bytes([1; 32]);

/// The device that boxes are sealed to.
pub fn device() -> DeviceKeys {
    DeviceKeys::from_seed(&[8; 32])
}

fn record() -> DeviceRecord {
    DeviceRecord::of(&device(), Name::from_any("kitchen laptop"))
}

fn root() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

fn identity() -> IdentityId {
    IdentityId::from_bytes(root().public())
}

/// A card of the one device, added by the root key.
pub fn card() -> Card {
    let device = CardDevice {
        record: record(),
        stay: 0,
        added_by: AddedBy::Root,
        signature: sign_identity_device(&root(), &identity(), &record(), 0, None),
    };
    Card {
        identity: identity(),
        devices: vec![device],
    }
}

/// Cards: of nobody, of one device, and one whose chain of signatures does not hold.
pub fn cards() -> Vec<Vec<u8>> {
    let nobody = Card {
        devices: Vec::new(),
        ..card()
    };
    let mut forged = card();
    forged.devices[0].added_by = AddedBy::Device(0);
    forged.devices[0].stay = 300;
    [nobody, card(), forged]
        .iter()
        .map(Card::to_bytes)
        .collect()
}

fn whole() -> Path {
    Path::whole_space()
}

fn lengths() -> Lengths {
    let logs = [(1, 7), (2, 0), (3, 1 << 40)];
    let of = |(writer, len)| (WriterId::from_bytes([writer; 32]), len);
    logs.into_iter().map(of).collect()
}

fn op_id(n: u8) -> OpId {
    OpId {
        log: FOUNDER,
        seq: n.into(),
        index: 2,
    }
}

fn genesis(card: Option<Card>) -> RosterOp {
    let (name, nonce) = (Name::from_any("home"), [2; 32]);
    let keys = device();
    let key = keys.signing();
    let signature = sign_genesis(key, &FOUNDER, &nonce, &name, &record(), card.as_ref());
    RosterOp::Genesis {
        name,
        nonce,
        device: record(),
        card,
        signature,
    }
}

fn epoch(generation: u32, knows: Lengths) -> RosterOp {
    RosterOp::Epoch(StartEpoch {
        scope: ScopeId::ROOT,
        generation,
        key: EpochKey::from_bytes(&[3; 32]).id(),
        knows,
        previous: vec![4; 72],
        for_parent: Vec::new(),
    })
}

fn to(subject: Subject, role: Role, path: Path) -> RosterOp {
    RosterOp::Grant(Grant {
        subject,
        role,
        path,
        since: Lengths::none(),
    })
}

/// A space that the device has founded, and the log in which it did.
pub fn founded() -> (WriterId, Roster) {
    let mut roster = Roster::new(SPACE);
    let founded = roster.insert_genesis(FOUNDER, vec![genesis(None)]);
    founded.expect("the genesis is signed by its device");
    (FOUNDER, roster)
}

/// `@roster` parcels, one for each kind of operation.
pub fn roster_ops() -> Vec<Vec<u8>> {
    let invite_key = SigningKey::from_seed(&[10; 32]);
    let joiner = Party::Device(record());
    let notes = Path::new("/notes/a~1b").expect("a valid path");
    let claim = RosterOp::Claim {
        device: device().id(),
        signature: sign_claim(device().signing(), &SPACE, &FOUNDER),
    };
    let device_grant = to(Subject::Party(joiner.clone()), Role::Owner, notes.clone());
    let person = to(
        Subject::Party(Party::Identity(card())),
        Role::Owner,
        whole(),
    );
    let group = SpaceId::from_bytes([11; 32]);
    let part = GroupPart {
        party: joiner.clone(),
        keeper: true,
        stay: 1,
        rank: 3,
    };
    let parts = vec![part];
    let to_group = to(Subject::Group { group, parts }, Role::Writer, whole());
    let invite = |uses| {
        let subject = Subject::Invite {
            key: invite_key.public(),
            uses,
            expires_ms: 1_700_000_000_000,
        };
        to(subject, Role::Writer, whole())
    };
    let join = RosterOp::Join(Join {
        invite: op_id(1),
        key: invite_key.public(),
        signature: sign_join(&invite_key, &SPACE, &op_id(1), &joiner),
        joiner: joiner.clone(),
        since: lengths(),
    });
    let remove = |reason: Option<&str>| {
        RosterOp::Remove(Remove {
            memberships: vec![op_id(1), op_id(9)],
            lengths: lengths(),
            reason: reason.map(str::to_owned),
        })
    };
    let add_device = RosterOp::AddDevice(AddDevice {
        identity: identity(),
        record: record(),
        stay: 1,
        since: lengths(),
    });
    let remove_device = RosterOp::RemoveDevice(RemoveDevice {
        identity: identity(),
        device: device().id(),
        stay: 1,
        lengths: lengths(),
    });
    let group_add = RosterOp::GroupAdd(GroupAdd {
        group,
        party: joiner.clone(),
        keeper: false,
        stay: 2,
        since: Lengths::none(),
    });
    let group_remove = RosterOp::GroupRemove(GroupRemove {
        group,
        party: PartyId::Identity(identity()),
        stay: 2,
        lengths: lengths(),
    });
    let scope = RosterOp::Scope {
        path: notes.clone(),
    };
    let checkpoint = RosterOp::Checkpoint(Checkpoint {
        scope: ScopeId::ROOT,
        entries: 300,
        documents: 70_000,
        horizon: Hlc::new(1_700_000_000_000, 3),
    });
    let start = RosterOp::Start(ScopeStart {
        scope: ScopeId::from_number(77),
        turn: 1,
        covers: lengths(),
        first: 4,
        hash: stead_base::Hash::from_bytes([8; 32]),
    });
    let rename = RosterOp::Rename {
        name: Name::from_any("garden"),
        turn: 3,
    };
    let said = encode_ops(&[remove(None), rename.clone()]);
    let statement = RosterOp::RootStatement {
        identity: identity(),
        nonce: [12; 32],
        signature: sign_root_statement(&root(), &SPACE, &identity(), &[12; 32], &said),
        ops: said,
    };
    let everyone = to(Subject::Everyone, Role::Reader, notes.clone());
    [
        vec![],
        vec![genesis(None), epoch(0, Lengths::none())],
        vec![claim],
        vec![device_grant],
        vec![person],
        vec![to_group],
        vec![invite(None), invite(Some(1)), everyone],
        vec![join],
        vec![remove(None), remove(Some("lost"))],
        vec![add_device],
        vec![remove_device, group_remove],
        vec![RosterOp::Redact(stead_access::Redact {
            scope: ScopeId::ROOT,
            parcels: vec![
                (WriterId::from_bytes([1; 32]), 3),
                (WriterId::from_bytes([1; 32]), 400),
                (WriterId::from_bytes([2; 32]), 0),
            ],
        })],
        vec![RosterOp::AskKeys(stead_access::AskKeys {
            turn: 300,
            keys: vec![
                (ScopeId::ROSTER, 2, KeyId::from_bytes([3; 32])),
                (ScopeId::ROOT, 300, KeyId::from_bytes([4; 32])),
            ],
        })],
        vec![RosterOp::Letter {
            boxes: vec![stead_access::KeyBox {
                recipient_hint: [13; 8],
                sealed: vec![14; 40],
            }],
        }],
        vec![group_add],
        vec![checkpoint],
        vec![scope, rename, epoch(1, lengths()), epoch(300, lengths())],
        vec![statement],
        vec![start],
    ]
    .iter()
    .map(|ops| encode_ops(ops))
    .collect()
}

/// Key boxes, one of which opens.
pub fn key_boxes() -> Vec<Vec<u8>> {
    let mut dice = Dice::new(1);
    let place = KeyPlace {
        space: SPACE,
        granted_at: (WriterId::from_bytes([1; 32]), 0),
    };
    let keys = [ScopeId::ROSTER, ScopeId::ROOT].map(|scope| ScopedKey {
        scope,
        generation: 0,
        key: EpochKey::generate(&mut dice),
    });
    let sealed = seal_keys(&record(), &place, &keys, &mut dice);
    let sealed = sealed.expect("two keys fit a box");
    vec![encode_boxes(&[]), encode_boxes(&[sealed])]
}
