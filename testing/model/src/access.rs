//! The rules of rights said as plainly as possible, to hold the real ones against.
//!
//! The model keeps every entry and works out everything from the definition each time it is
//! asked. It must not share code with `core/access` beyond reading operations and checking
//! signatures, and knows no index, no cache and no short way.

mod judge;

use stead_access::{
    Action, Card, Lengths, OpId, Party, PartyId, Path, Role, RosterOp, Subject, decode_ops,
    root_statement_log, verify_claim, verify_join, verify_root_statement,
};
use stead_base::{DeviceId, SpaceId, WriterId};

/// Every roster entry of one space. The first is its genesis.
#[derive(Debug, Clone)]
pub struct AccessModel {
    space: SpaceId,
    entries: Vec<(WriterId, u64, Vec<RosterOp>)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Author {
    Entry(WriterId, u64),
    Root([u8; 32]),
}

/// One operation, wherever it came from.
struct Said {
    id: OpId,
    by: Author,
    op: RosterOp,
}

/// Who a membership is for, and which entries speak for them.
#[derive(Clone)]
enum Voice {
    Device(DeviceId),
    /// Parts that stand, each with its voice and its stretch.
    Parts(Vec<(Voice, Lengths, Option<Lengths>)>),
    Silent,
}

struct Member {
    id: OpId,
    /// Whose rank is given, or who granted.
    seed: Option<u32>,
    by: Author,
    invite: Option<(OpId, Option<u32>)>,
    /// None for groups, invites and everyone: they neither vote nor leave.
    party: Option<PartyId>,
    voice: Voice,
    role: Role,
    path: Path,
    since: Lengths,
    everyone: bool,
    rank: Option<u32>,
    giver: Option<usize>,
    end: Option<Lengths>,
}

struct Removal {
    by: Author,
    targets: Vec<usize>,
    lengths: Lengths,
}

impl AccessModel {
    /// Starts with the genesis entry, which the caller has checked.
    pub fn new(space: SpaceId, genesis: (WriterId, u64, Vec<RosterOp>)) -> Self {
        Self {
            space,
            entries: vec![genesis],
        }
    }

    /// Takes an entry; twice is once.
    pub fn receive(&mut self, entry: (WriterId, u64, Vec<RosterOp>)) {
        let known = |held: &(WriterId, u64, _)| (held.0, held.1) == (entry.0, entry.1);
        if !self.entries.iter().any(known) {
            self.entries.push(entry);
        }
    }

    /// Works out all memberships: name, rank, and whether it has ended.
    pub fn memberships(&self) -> Vec<(OpId, u32, bool)> {
        let members = self.members();
        let mut found: Vec<_> = members
            .iter()
            .filter_map(|m| Some((m.id, m.rank?, m.end.is_some())))
            .collect();
        found.sort();
        found
    }

    /// Whether the writer may do `action` at each of these paths in each of these entries.
    pub fn verdicts(&self, asked: &[(WriterId, u64, Path, Action)]) -> Vec<bool> {
        let members = self.members();
        let answer = |(writer, seq, path, action): &(WriterId, u64, Path, Action)| {
            members.iter().filter(|m| m.rank.is_some()).any(|m| {
                let open = m.everyone && m.end.is_none() && *action == Action::Read;
                m.path.covers(path)
                    && m.role.may(*action)
                    && (open || self.covers(m, Author::Entry(*writer, *seq)))
            })
        };
        asked.iter().map(answer).collect()
    }

    fn device_of(&self, writer: WriterId) -> Option<DeviceId> {
        let mut claims = Vec::new();
        for (of, seq, ops) in self.entries.iter().filter(|entry| entry.0 == writer) {
            for op in ops {
                match op {
                    RosterOp::Claim { device, signature }
                        if verify_claim(device, &self.space, of, signature).is_ok() =>
                    {
                        claims.push((*seq, *device));
                    }
                    _ => {}
                }
            }
        }
        if let RosterOp::Genesis { device, .. } = &self.entries[0].2[0]
            && self.entries[0].0 == writer
        {
            return Some(device.id);
        }
        // Of two claims in one entry the first counts: `min_by_key` keeps it.
        claims
            .into_iter()
            .min_by_key(|(seq, _)| *seq)
            .map(|(_, device)| device)
    }

    /// All operations, those of root statements once each.
    fn said(&self) -> Vec<Said> {
        let mut all: Vec<Said> = Vec::new();
        for (writer, seq, ops) in &self.entries {
            for (index, op) in (0..).zip(ops) {
                let id = OpId {
                    log: *writer,
                    seq: *seq,
                    index,
                };
                let RosterOp::RootStatement {
                    identity,
                    nonce,
                    ops,
                    signature,
                } = op
                else {
                    all.push(Said {
                        id,
                        by: Author::Entry(*writer, *seq),
                        op: op.clone(),
                    });
                    continue;
                };
                let signed = verify_root_statement(&self.space, identity, nonce, ops, signature);
                let (Ok(()), Ok(inner)) = (signed, decode_ops(ops)) else {
                    continue;
                };
                let log = root_statement_log(&self.space, identity, nonce, ops);
                for (index, op) in (0..).zip(inner) {
                    let id = OpId { log, seq: 0, index };
                    if !all.iter().any(|other| other.id == id) {
                        all.push(Said {
                            id,
                            by: Author::Root(*identity.as_bytes()),
                            op,
                        });
                    }
                }
            }
        }
        all.sort_by_key(|said| said.id);
        all
    }

    fn members(&self) -> Vec<Member> {
        let said = self.said();
        let RosterOp::Genesis { device, card, .. } = &self.entries[0].2[0] else {
            return Vec::new();
        };
        let owner = match card {
            Some(card) => Party::Identity(card.clone()),
            None => Party::Device(device.clone()),
        };
        let genesis = OpId {
            log: self.entries[0].0,
            seq: 0,
            index: 0,
        };
        let mut members = vec![Member {
            seed: Some(0),
            party: Some(owner.id()),
            voice: self.voice_of(&owner, &said),
            ..blank(genesis, Author::Entry(genesis.log, 0))
        }];
        for Said { id, by, op } in &said {
            let RosterOp::Grant(grant) = op else {
                continue;
            };
            let (party, voice) = match &grant.subject {
                Subject::Party(party) if sound(party) => {
                    (Some(party.id()), self.voice_of(party, &said))
                }
                Subject::Group { group, parts } if parts.iter().all(|p| sound(&p.party)) => {
                    (None, self.voice_of_group(group, parts, &said))
                }
                Subject::Invite { .. } => (None, Voice::Silent),
                Subject::Everyone if grant.role == Role::Reader => (None, Voice::Silent),
                _ => continue,
            };
            members.push(Member {
                party,
                voice,
                role: grant.role,
                path: grant.path.clone(),
                since: grant.since.clone(),
                everyone: grant.subject == Subject::Everyone,
                ..blank(*id, *by)
            });
        }
        for Said { id, by, op } in &said {
            let RosterOp::Join(join) = op else {
                continue;
            };
            let invite = said.iter().find(|other| other.id == join.invite);
            let Some(Said {
                op: RosterOp::Grant(grant),
                ..
            }) = invite
            else {
                continue;
            };
            let Subject::Invite { key, uses, .. } = &grant.subject else {
                continue;
            };
            let (space, joiner) = (&self.space, &join.joiner);
            let signed = verify_join(key, space, &join.invite, joiner, &join.signature);
            if signed.is_err() || join.key != *key || !sound(joiner) {
                continue;
            }
            members.push(Member {
                invite: Some((join.invite, *uses)),
                party: Some(joiner.id()),
                voice: self.voice_of(joiner, &said),
                role: grant.role,
                path: grant.path.clone(),
                since: join.since.clone(),
                ..blank(*id, *by)
            });
        }
        let mut removals = Vec::new();
        for Said { by, op, .. } in &said {
            if let RosterOp::Remove(remove) = op {
                let named = |i: &usize| remove.memberships.contains(&members[*i].id);
                removals.push(Removal {
                    by: *by,
                    targets: (0..members.len()).filter(named).collect(),
                    lengths: remove.lengths.clone(),
                });
            }
        }
        let top = card.as_ref().map(|card| *card.identity.as_bytes());
        self.judge(&mut members, &removals, top);
        members
    }

    fn voice_of(&self, party: &Party, said: &[Said]) -> Voice {
        let card = match party {
            Party::Device(record) => return Voice::Device(record.id),
            Party::Identity(card) => card,
        };
        let mut parts = Vec::new();
        let mut stays = Vec::new();
        for (device, rank) in card.devices.iter().zip(card_ranks(card)) {
            parts.push(part_of_device(device.record.id, Some(rank), NOBODY));
            stays.push((PartyId::Device(device.record.id), device.stay));
        }
        for Said { by, op, .. } in said {
            if let RosterOp::AddDevice(add) = op
                && add.identity == card.identity
            {
                let mut part = part_of_device(add.record.id, None, *by);
                part.since = add.since.clone();
                parts.push(part);
                stays.push((PartyId::Device(add.record.id), add.stay));
            }
        }
        let mut removals = Vec::new();
        for Said { by, op, .. } in said {
            if let RosterOp::RemoveDevice(remove) = op
                && remove.identity == card.identity
            {
                let party = PartyId::Device(remove.device);
                removals.push(part_removal(
                    *by,
                    &stays,
                    party,
                    remove.stay,
                    &remove.lengths,
                ));
            }
        }
        self.judge(&mut parts, &removals, Some(*card.identity.as_bytes()));
        standing(parts)
    }

    fn voice_of_group(
        &self,
        group: &SpaceId,
        named: &[stead_access::GroupPart],
        said: &[Said],
    ) -> Voice {
        let mut parts = Vec::new();
        let mut stays = Vec::new();
        let part = |party: &Party, keeper, seed, by, since: Lengths| Member {
            seed,
            party: Some(party.id()),
            voice: self.voice_of(party, said),
            role: if keeper { Role::Owner } else { Role::Reader },
            since,
            ..blank(NOWHERE, by)
        };
        for named in named {
            let seed = Some(named.rank);
            parts.push(part(
                &named.party,
                named.keeper,
                seed,
                NOBODY,
                Lengths::none(),
            ));
            stays.push((named.party.id(), named.stay));
        }
        for Said { by, op, .. } in said {
            if let RosterOp::GroupAdd(add) = op
                && add.group == *group
                && sound(&add.party)
            {
                parts.push(part(&add.party, add.keeper, None, *by, add.since.clone()));
                stays.push((add.party.id(), add.stay));
            }
        }
        let mut removals = Vec::new();
        for Said { by, op, .. } in said {
            if let RosterOp::GroupRemove(remove) = op
                && remove.group == *group
            {
                let (stay, lengths) = (remove.stay, &remove.lengths);
                removals.push(part_removal(*by, &stays, remove.party, stay, lengths));
            }
        }
        self.judge(&mut parts, &removals, None);
        standing(parts)
    }
}

const NOWHERE: OpId = OpId {
    log: WriterId::from_bytes([0; 32]),
    seq: 0,
    index: 0,
};
const NOBODY: Author = Author::Entry(WriterId::from_bytes([0; 32]), 0);

fn blank(id: OpId, by: Author) -> Member {
    Member {
        id,
        seed: None,
        by,
        invite: None,
        party: None,
        voice: Voice::Silent,
        role: Role::Owner,
        path: Path::whole_space(),
        since: Lengths::none(),
        everyone: false,
        rank: None,
        giver: None,
        end: None,
    }
}

fn part_of_device(device: DeviceId, seed: Option<u32>, by: Author) -> Member {
    Member {
        seed,
        party: Some(PartyId::Device(device)),
        voice: Voice::Device(device),
        ..blank(NOWHERE, by)
    }
}

fn part_removal(
    by: Author,
    stays: &[(PartyId, u32)],
    party: PartyId,
    stay: u32,
    lengths: &Lengths,
) -> Removal {
    let ends = |i: &usize| stays[*i].0 == party && stays[*i].1 <= stay;
    Removal {
        by,
        targets: (0..stays.len()).filter(ends).collect(),
        lengths: lengths.clone(),
    }
}

fn standing(parts: Vec<Member>) -> Voice {
    let standing = parts.into_iter().filter(|part| part.rank.is_some());
    Voice::Parts(
        standing
            .map(|part| (part.voice, part.since, part.end))
            .collect(),
    )
}

fn card_ranks(card: &Card) -> Vec<u32> {
    let mut ranks: Vec<u32> = Vec::new();
    for device in &card.devices {
        ranks.push(match device.added_by {
            stead_access::AddedBy::Root => 0,
            stead_access::AddedBy::Device(by) => ranks[by as usize] + 1,
        });
    }
    ranks
}

fn sound(party: &Party) -> bool {
    match party {
        Party::Device(_) => true,
        Party::Identity(card) => card.verify().is_ok(),
    }
}
