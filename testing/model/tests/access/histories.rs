//! Random histories of a space: most operations sensible, some not, by members and strangers.

use std::sync::LazyLock;

use proptest::prelude::*;
use stead_access::*;
use stead_base::{ScopeId, SpaceId, WriterId};
use stead_crypt::{DeviceKeys, KeyId, SigningKey};

pub(crate) const SPACE: SpaceId = SpaceId::from_bytes([42; 32]);
pub(crate) const GROUP: SpaceId = SpaceId::from_bytes([43; 32]);
pub(crate) const DEVICES: usize = 6;
pub(crate) const PATHS: [&str; 3] = ["/", "/a", "/a/b"];
const PERSONS: usize = 2;

pub(crate) type Entry = (WriterId, u64, Vec<RosterOp>);

struct Cast {
    keys: Vec<DeviceKeys>,
    records: Vec<DeviceRecord>,
    claims: Vec<RosterOp>,
    cards: Vec<Card>,
}

static CAST: LazyLock<Cast> = LazyLock::new(|| {
    let keys: Vec<_> = (0..DEVICES as u8)
        .map(|i| DeviceKeys::from_seed(&[i + 1; 32]))
        .collect();
    let records: Vec<_> = keys
        .iter()
        .map(|k| DeviceRecord::of(k, Name::from_any("d")))
        .collect();
    let claim = |i: usize| RosterOp::Claim {
        device: keys[i].id(),
        signature: sign_claim(keys[i].signing(), &SPACE, &writer(i)),
    };
    // Person 0 has devices 0 and 1, person 1 has 2 and, added by 2, 3.
    let card = |person: usize| {
        let identity = identity(person);
        let [a, b] = [2 * person, 2 * person + 1];
        let root = root(person);
        let adder = keys[a].id();
        let devices = vec![
            CardDevice {
                record: records[a].clone(),
                stay: 0,
                added_by: AddedBy::Root,
                signature: sign_identity_device(&root, &identity, &records[a], 0, None),
            },
            CardDevice {
                record: records[b].clone(),
                stay: 0,
                added_by: AddedBy::Device(0),
                signature: sign_identity_device(
                    keys[a].signing(),
                    &identity,
                    &records[b],
                    0,
                    Some(&adder),
                ),
            },
        ];
        Card { identity, devices }
    };
    Cast {
        claims: (0..DEVICES).map(claim).collect(),
        cards: (0..PERSONS).map(card).collect(),
        records,
        keys,
    }
});

pub(crate) fn writer(i: usize) -> WriterId {
    WriterId::from_bytes([i as u8 + 100; 32])
}

fn root(person: usize) -> SigningKey {
    SigningKey::from_seed(&[person as u8 + 200; 32])
}

fn identity(person: usize) -> IdentityId {
    IdentityId::from_bytes(root(person).public())
}

fn invite_key() -> SigningKey {
    SigningKey::from_seed(&[99; 32])
}

fn genesis(with_card: bool) -> Entry {
    let (name, nonce, record) = (Name::from_any("home"), [7; 32], CAST.records[0].clone());
    let card = with_card.then(|| CAST.cards[0].clone());
    let key = CAST.keys[0].signing();
    let signature = sign_genesis(key, &writer(0), &nonce, &name, &record, card.as_ref());
    let op = RosterOp::Genesis {
        name,
        nonce,
        device: record,
        card,
        signature,
    };
    (writer(0), 0, vec![op])
}

/// What a random operation is made of; it refers to entries by number.
#[derive(Debug, Clone)]
struct Draft {
    by: usize,
    kind: u8,
    who: usize,
    role: usize,
    path: usize,
    at: (usize, u64),
    lens: Vec<(usize, u64)>,
    flag: bool,
    joined: bool,
    glue: bool,
}

fn draft() -> impl Strategy<Value = Draft> {
    let lens = prop::collection::vec((0..DEVICES, 0u64..8), 0..4);
    // Seniors speak more often, else little comes of anything.
    let by = prop_oneof![3 => Just(0), 3 => 1usize..3, 2 => 0..DEVICES];
    (
        by,
        0u8..26,
        0..DEVICES,
        0usize..4,
        0..PATHS.len(),
        (0..DEVICES, 0u64..7),
        lens,
        any::<bool>(),
        (any::<bool>(), prop::bool::weighted(0.2)),
    )
        .prop_map(
            |(by, kind, who, role, path, at, lens, flag, (joined, glue))| Draft {
                by,
                kind,
                who,
                role,
                path,
                at,
                lens,
                flag,
                joined,
                glue,
            },
        )
}

fn party(draft: &Draft) -> Party {
    match draft.flag {
        true => Party::Identity(CAST.cards[draft.who % PERSONS].clone()),
        false => Party::Device(CAST.records[draft.who].clone()),
    }
}

fn op(draft: &Draft, at: OpId) -> RosterOp {
    let lengths: Lengths = draft
        .lens
        .iter()
        .map(|(i, len)| (writer(*i), *len))
        .collect();
    let since = if draft.joined {
        Lengths::none()
    } else {
        lengths.clone()
    };
    let path = Path::new(PATHS[draft.path]).unwrap();
    let role = Role::ALL[draft.role];
    let grant = |subject| {
        RosterOp::Grant(Grant {
            subject,
            role,
            path: path.clone(),
            since: since.clone(),
        })
    };
    let remove = || {
        RosterOp::Remove(Remove {
            memberships: vec![at],
            lengths: lengths.clone(),
            reason: None,
        })
    };
    let person = draft.who % PERSONS;
    match draft.kind {
        0..=7 => grant(Subject::Party(party(draft))),
        8 => grant(Subject::Everyone),
        9 => grant(Subject::Invite {
            key: invite_key().public(),
            uses: draft.flag.then_some(1),
            expires_ms: 0,
        }),
        10..=11 => {
            let joiner = party(draft);
            RosterOp::Join(Join {
                invite: at,
                key: invite_key().public(),
                signature: sign_join(&invite_key(), &SPACE, &at, &joiner),
                joiner,
                since,
            })
        }
        12..=16 => remove(),
        17 => RosterOp::AddDevice(AddDevice {
            identity: identity(person),
            record: CAST.records[draft.at.0].clone(),
            stay: draft.flag.into(),
            since,
        }),
        18..=19 => RosterOp::RemoveDevice(RemoveDevice {
            identity: identity(person),
            device: CAST.keys[draft.at.0].id(),
            stay: draft.flag.into(),
            lengths,
        }),
        20 => grant(Subject::Group {
            group: GROUP,
            parts: vec![
                GroupPart {
                    party: party(draft),
                    keeper: true,
                    stay: 0,
                    rank: 0,
                },
                GroupPart {
                    party: Party::Device(CAST.records[draft.at.0].clone()),
                    keeper: draft.joined,
                    stay: 0,
                    rank: draft.role as u32,
                },
            ],
        }),
        21 => RosterOp::GroupAdd(GroupAdd {
            group: GROUP,
            party: party(draft),
            keeper: draft.joined,
            stay: 0,
            since,
        }),
        22 => RosterOp::GroupRemove(GroupRemove {
            group: GROUP,
            party: party(draft).id(),
            stay: 0,
            lengths,
        }),
        23 => by_root(
            person,
            &[
                remove(),
                grant(Subject::Party(Party::Device(
                    CAST.records[draft.at.0].clone(),
                ))),
            ],
        ),
        24 => by_root(
            person,
            &[RosterOp::RemoveDevice(RemoveDevice {
                identity: identity(person),
                device: CAST.keys[draft.at.0].id(),
                stay: 0,
                lengths,
            })],
        ),
        _ => RosterOp::Epoch(StartEpoch {
            scope: ScopeId::ROOT,
            generation: draft.role as u32,
            key: KeyId::from_bytes([draft.who as u8; 32]),
            knows: lengths,
            previous: Vec::new(),
            for_parent: Vec::new(),
        }),
    }
}

fn by_root(person: usize, ops: &[RosterOp]) -> RosterOp {
    let (identity, nonce, ops) = (identity(person), [1; 32], encode_ops(ops));
    let signature = sign_root_statement(&root(person), &SPACE, &identity, &nonce, &ops);
    RosterOp::RootStatement {
        identity,
        nonce,
        ops,
        signature,
    }
}

fn id(i: usize, seq: u64, index: u32) -> OpId {
    OpId {
        log: writer(i),
        seq,
        index,
    }
}

/// Entries of a space, in order of place. Every device claims its log, some late.
pub(crate) fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let claims = prop::collection::vec(0u64..3, DEVICES);
    let drafts = prop::collection::vec(draft(), 0..40);
    (drafts, claims, any::<bool>(), any::<bool>()).prop_map(
        |(drafts, claims, with_card, council)| {
            let mut next = [0u64; DEVICES];
            next[0] = 1;
            let mut entries = vec![genesis(with_card)];
            let (mut made, mut invites) = (vec![id(0, 0, 0)], Vec::new());
            if council {
                // Three equals, who vote each other out now and then.
                let grants = (1..4).map(|i| {
                    RosterOp::Grant(Grant {
                        subject: Subject::Party(Party::Device(CAST.records[i].clone())),
                        role: Role::Manager,
                        path: Path::whole_space(),
                        since: Lengths::none(),
                    })
                });
                entries.push((writer(0), 1, grants.collect()));
                next[0] = 2;
                made.extend((0..3).map(|index| id(0, 1, index)));
            }
            for mut draft in drafts {
                let is_vote = council && (12..=16).contains(&draft.kind);
                if is_vote {
                    draft.by = 1 + (draft.by + draft.who) % 3;
                }
                let i = draft.by;
                // Some entries hold several operations.
                let last = entries
                    .iter_mut()
                    .rfind(|(of, seq, _)| *of == writer(i) && *seq > 0);
                let glued = last.filter(|_| draft.glue);
                let (seq, index) = match &glued {
                    Some((_, seq, ops)) => (*seq, ops.len()),
                    None => (next[i], 0),
                };
                let own = id(i, seq, index as u32);
                let kinds = if (10..=11).contains(&draft.kind) {
                    &invites
                } else {
                    &made
                };
                let pick = draft.at.1 as usize * DEVICES + draft.at.0;
                let at = match kinds.is_empty() || pick.is_multiple_of(7) {
                    true => id(draft.at.0, draft.at.1, 0),
                    false => kinds[pick % kinds.len()],
                };
                let at = if is_vote { made[1 + pick % 2] } else { at };
                let op = op(&draft, at);
                match &op {
                    RosterOp::Grant(Grant {
                        subject: Subject::Invite { .. },
                        ..
                    }) => invites.push(own),
                    RosterOp::Grant(_) | RosterOp::Join(_) => made.push(own),
                    _ => {}
                }
                if let Some((_, _, ops)) = glued {
                    ops.push(op);
                    continue;
                }
                let mut ops = vec![op];
                if next[i] == claims[i] {
                    ops.push(CAST.claims[i].clone());
                }
                entries.push((writer(i), next[i], ops));
                next[i] += 1;
            }
            for i in 1..DEVICES {
                if next[i] <= claims[i] {
                    entries.push((writer(i), next[i], vec![CAST.claims[i].clone()]));
                }
            }
            entries
        },
    )
}
