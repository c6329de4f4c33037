//! A space with devices that write its roster, for tests: who says what in a line each.
//!
//! Device `i` has one log, and claims it in the first entry. Device 0 founds the space.

#![allow(dead_code)]

use std::collections::BTreeMap;

use stead_access::*;
use stead_base::{DeviceId, ScopeId, SpaceId, WriterId};
use stead_crypt::{DeviceKeys, KeyId, SigningKey};

pub(crate) const SPACE: SpaceId = SpaceId::from_bytes([42; 32]);

pub(crate) fn keys(i: u8) -> DeviceKeys {
    DeviceKeys::from_seed(&[i + 1; 32])
}

pub(crate) fn device(i: u8) -> DeviceId {
    keys(i).id()
}

pub(crate) fn record(i: u8) -> DeviceRecord {
    DeviceRecord::of(&keys(i), Name::from_any(&format!("device {i}")))
}

pub(crate) fn writer(i: u8) -> WriterId {
    WriterId::from_bytes([i + 100; 32])
}

pub(crate) fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

pub(crate) fn root(person: u8) -> SigningKey {
    SigningKey::from_seed(&[person + 200; 32])
}

pub(crate) fn identity(person: u8) -> IdentityId {
    IdentityId::from_bytes(root(person).public())
}

/// A card: each device with the place on the card of who added it, or none for the root.
pub(crate) fn card(person: u8, devices: &[(u8, Option<u32>)]) -> Card {
    let id = identity(person);
    let devices = devices
        .iter()
        .map(|(number, by)| {
            let record = record(*number);
            let (added_by, signature) = match by {
                None => {
                    let signature = sign_identity_device(&root(person), &id, &record, 0, None);
                    (AddedBy::Root, signature)
                }
                Some(place) => {
                    let adder = keys(devices[*place as usize].0);
                    let by = Some(&adder.id()).copied();
                    let key = adder.signing();
                    let signature = sign_identity_device(key, &id, &record, 0, by.as_ref());
                    (AddedBy::Device(*place), signature)
                }
            };
            CardDevice {
                record,
                stay: 0,
                added_by,
                signature,
            }
        })
        .collect();
    Card {
        identity: id,
        devices,
    }
}

pub(crate) fn claim(by: u8, of: u8) -> RosterOp {
    RosterOp::Claim {
        device: device(by),
        signature: sign_claim(keys(by).signing(), &SPACE, &writer(of)),
    }
}

pub(crate) fn genesis(by: u8, card: Option<Card>) -> RosterOp {
    let (name, nonce, record) = (Name::from_any("home"), [7; 32], record(by));
    let key = keys(by);
    let signature = sign_genesis(
        key.signing(),
        &writer(by),
        &nonce,
        &name,
        &record,
        card.as_ref(),
    );
    RosterOp::Genesis {
        name,
        nonce,
        device: record,
        card,
        signature,
    }
}

pub(crate) fn to(subject: Subject, role: Role, at: &str) -> RosterOp {
    RosterOp::Grant(Grant {
        subject,
        role,
        path: path(at),
        since: Lengths::none(),
    })
}

pub(crate) fn grant(to_device: u8, role: Role, at: &str) -> RosterOp {
    to(Subject::Party(Party::Device(record(to_device))), role, at)
}

pub(crate) fn lengths(of: &[(u8, u64)]) -> Lengths {
    of.iter().map(|(i, len)| (writer(*i), *len)).collect()
}

pub(crate) fn remove(memberships: &[OpId], of: &[(u8, u64)]) -> RosterOp {
    RosterOp::Remove(Remove {
        memberships: memberships.to_vec(),
        lengths: lengths(of),
        reason: None,
    })
}

pub(crate) fn remove_device(person: u8, number: u8, of: &[(u8, u64)]) -> RosterOp {
    RosterOp::RemoveDevice(RemoveDevice {
        identity: identity(person),
        device: device(number),
        stay: 0,
        lengths: lengths(of),
    })
}

pub(crate) fn add_device(person: u8, number: u8, stay: u32) -> RosterOp {
    RosterOp::AddDevice(AddDevice {
        identity: identity(person),
        record: record(number),
        stay,
        since: Lengths::none(),
    })
}

pub(crate) fn invite(key: u8, uses: Option<u32>, role: Role, at: &str) -> RosterOp {
    let key = SigningKey::from_seed(&[key; 32]).public();
    let subject = Subject::Invite {
        key,
        uses,
        expires_ms: 0,
    };
    to(subject, role, at)
}

pub(crate) fn join(invite: OpId, key: u8, joiner: u8) -> RosterOp {
    let key = SigningKey::from_seed(&[key; 32]);
    let joiner = Party::Device(record(joiner));
    RosterOp::Join(Join {
        invite,
        key: key.public(),
        signature: sign_join(&key, &SPACE, &invite, &joiner),
        joiner,
        since: Lengths::none(),
    })
}

pub(crate) fn epoch(scope: ScopeId, generation: u32, key: u8, knows: Lengths) -> RosterOp {
    RosterOp::Epoch(StartEpoch {
        scope,
        generation,
        key: KeyId::from_bytes([key; 32]),
        knows,
        previous: Vec::new(),
        for_parent: Vec::new(),
    })
}

pub(crate) fn by_root(person: u8, nonce: u8, ops: &[RosterOp]) -> RosterOp {
    let (identity, nonce, ops) = (identity(person), [nonce; 32], encode_ops(ops));
    let signature = sign_root_statement(&root(person), &SPACE, &identity, &nonce, &ops);
    RosterOp::RootStatement {
        identity,
        nonce,
        ops,
        signature,
    }
}

/// The first membership of the space.
pub(crate) fn founding() -> OpId {
    OpId {
        log: writer(0),
        seq: 0,
        index: 0,
    }
}

pub(crate) struct World {
    pub(crate) roster: Roster,
    lens: BTreeMap<u8, u64>,
    pub(crate) last: Change,
}

impl World {
    pub(crate) fn founded() -> Self {
        Self::founded_by(None)
    }

    pub(crate) fn founded_by(card: Option<Card>) -> Self {
        let mut roster = Roster::new(SPACE);
        let last = roster
            .insert_genesis(writer(0), vec![genesis(0, card)])
            .unwrap();
        Self {
            roster,
            lens: BTreeMap::from([(0, 1)]),
            last,
        }
    }

    /// How long the log of device `i` is.
    pub(crate) fn len(&self, i: u8) -> u64 {
        self.lens.get(&i).copied().unwrap_or(0)
    }

    /// Device `i` writes an entry; its first one is a claim. Returns the id of its operation.
    pub(crate) fn say(&mut self, i: u8, op: RosterOp) -> OpId {
        if self.len(i) == 0 {
            self.claim(i);
        }
        let seq = self.len(i);
        self.lens.insert(i, seq + 1);
        self.last = self.roster.insert(writer(i), seq, vec![op]);
        OpId {
            log: writer(i),
            seq,
            index: 0,
        }
    }

    pub(crate) fn claim(&mut self, i: u8) {
        self.lens.insert(i, 1);
        self.last = self.roster.insert(writer(i), 0, vec![claim(i, i)]);
    }

    pub(crate) fn grant(&mut self, by: u8, to_device: u8, role: Role, at: &str) -> OpId {
        let id = self.say(by, grant(to_device, role, at));
        if self.len(to_device) == 0 {
            self.claim(to_device);
        }
        id
    }

    pub(crate) fn counts(&self, membership: OpId) -> bool {
        self.roster.members().contains_key(&membership)
    }

    pub(crate) fn is_current(&self, membership: OpId) -> bool {
        let found = self.roster.members().get(&membership);
        found.is_some_and(|it| it.ended.is_none())
    }

    /// Whether device `i` may write at a path in entry `seq`.
    pub(crate) fn writes(&self, i: u8, seq: u64, at: &str) -> bool {
        self.roster
            .verdict(&writer(i), seq, &path(at), Action::Write)
    }

    pub(crate) fn may(&self, i: u8, op: &RosterOp) -> Result<(), Refusal> {
        self.roster.may(&device(i), op)
    }
}
