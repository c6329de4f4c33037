//! The memberships of a space: what `rules` makes of everything its ledger says.
//!
//! Owns the step from operations to memberships; the rules themselves are in `rules`.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_base::{DeviceId, SpaceId, WriterId};

use crate::compound::{group_lines, party_lines};
use crate::ledger::Ledger;
use crate::op::{OpId, Party, PartyId, Subject};
use crate::rules::{Body, Candidate, Ended, Giver, Line, Origin, Removal, Standing, Who, judge};
use crate::{DeviceRecord, Lengths, Path, Role};

/// Who a membership is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberSubject {
    /// A device or a person.
    Party(PartyId),
    /// A group, by its space.
    Group(SpaceId),
    /// Whoever holds an invite's key.
    Invite {
        /// Its public half.
        key: [u8; 32],
        /// How many may join; any number if none.
        uses: Option<u32>,
        /// Advice for honest devices, Unix time in ms.
        expires_ms: u64,
    },
    /// Everyone.
    Everyone,
}

impl MemberSubject {
    /// Whether keys are sealed to it: an invite gets none, who joins by it does.
    pub(crate) const fn is_sealed_to(&self) -> bool {
        !matches!(self, Self::Invite { .. })
    }
}

/// Who let a member in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenBy {
    /// Nobody: the founder of the space.
    Founding,
    /// The root key of the space's owner.
    Root,
    /// The membership whose holder granted it.
    Membership(OpId),
}

/// A membership that counts, or did until it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Its name: the operation that made it.
    pub id: OpId,
    /// For whom.
    pub subject: MemberSubject,
    /// As what.
    pub role: Role,
    /// Where.
    pub path: Path,
    /// 0 for the founder; one more than the giver's for everyone else.
    pub rank: u32,
    /// Who gave it.
    pub given_by: GivenBy,
    /// The invite it was joined by.
    pub joined_by: Option<OpId>,
    /// How it ended, if it did.
    pub ended: Option<Ended>,
    pub(crate) since: Lengths,
    pub(crate) lines: Arc<[Line]>,
}

impl Membership {
    /// The devices that act by it now, each as whoever let it in described it.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceRecord> {
        let current = self.lines.iter().filter(|line| line.is_current());
        current
            .filter(|_| self.ended.is_none())
            .map(|line| &line.record)
    }

    /// Whether `device` acts by it now.
    pub fn is_held_by(&self, device: &DeviceId) -> bool {
        self.ended.is_none() && self.lines_of(*device).any(Line::is_current)
    }

    pub(crate) fn lines_of(&self, device: DeviceId) -> impl Iterator<Item = &Line> {
        let start = self.lines.partition_point(|line| line.record.id < device);
        self.lines[start..]
            .iter()
            .take_while(move |line| line.record.id == device)
    }

    /// The entries of `writer` that `line` of this membership covers.
    pub(crate) fn interval(&self, line: &Line, writer: &WriterId) -> (u64, u64) {
        let (from, to) = line.interval(writer);
        let end = self
            .ended
            .as_ref()
            .map_or(u64::MAX, |ended| ended.lengths.of(writer));
        (from.max(self.since.of(writer)), to.min(end))
    }
}

/// Works out all memberships of a space.
pub(crate) fn memberships(ledger: &Ledger) -> BTreeMap<OpId, Membership> {
    let Some(genesis) = &ledger.genesis else {
        return BTreeMap::new();
    };
    let (whole, none) = (Path::whole_space(), Lengths::none());
    let owner = genesis.owner();
    let mut drafts = vec![Draft {
        candidate: Candidate {
            id: genesis.id(),
            origin: Origin::Seed(0),
            who: Who::Party(owner.id()),
            role: Role::Owner,
            path: &whole,
            since: &none,
            lines: party_lines(ledger, &owner, &ledger.founder),
        },
        subject: MemberSubject::Party(owner.id()),
    }];
    drafts.extend(granted(ledger));
    let mut places: BTreeMap<OpId, usize> = BTreeMap::new();
    for (place, draft) in drafts.iter().enumerate() {
        places.insert(draft.candidate.id, place);
    }
    let joins = joined(ledger, &places, &drafts);
    for (place, draft) in (drafts.len()..).zip(&joins) {
        places.insert(draft.candidate.id, place);
    }
    drafts.extend(joins);
    let (candidates, subjects): (Vec<_>, Vec<_>) = drafts
        .into_iter()
        .map(|draft| (draft.candidate, draft.subject))
        .unzip();
    let body = Body {
        claims: &ledger.claims,
        top: genesis.card.as_ref().map(|card| card.identity),
        candidates,
        removals: removals(ledger, &places),
    };
    let standings = judge(&body);
    let ids: Vec<OpId> = body.candidates.iter().map(|it| it.id).collect();
    let entry = |((candidate, subject), standing): ((Candidate<'_>, _), Option<Standing>)| {
        let standing = standing?;
        let given_by = match standing.giver {
            Giver::Founding => GivenBy::Founding,
            Giver::Root => GivenBy::Root,
            Giver::Member(giver) => GivenBy::Membership(*ids.get(giver)?),
        };
        let joined_by = match candidate.origin {
            Origin::Joined { invite, .. } => ids.get(invite).copied(),
            Origin::Seed(_) | Origin::Granted(_) => None,
        };
        let membership = Membership {
            id: candidate.id,
            subject,
            role: candidate.role,
            path: candidate.path.clone(),
            rank: standing.rank,
            given_by,
            joined_by,
            ended: standing.ended,
            since: candidate.since.clone(),
            lines: candidate.lines,
        };
        Some((membership.id, membership))
    };
    let candidates = body.candidates.into_iter().zip(subjects);
    candidates.zip(standings).filter_map(entry).collect()
}

struct Draft<'a> {
    candidate: Candidate<'a>,
    subject: MemberSubject,
}

fn granted(ledger: &Ledger) -> impl Iterator<Item = Draft<'_>> {
    ledger.grants.iter().map(|(id, said)| {
        let grant = &said.what;
        let (who, subject, lines) = match &grant.subject {
            Subject::Party(party) => (
                Who::Party(party.id()),
                MemberSubject::Party(party.id()),
                party_lines(ledger, party, &said.plain),
            ),
            Subject::Group { group, parts } => (
                Who::Group(*group),
                MemberSubject::Group(*group),
                group_lines(ledger, group, parts),
            ),
            Subject::Invite {
                key,
                uses,
                expires_ms,
            } => {
                let subject = MemberSubject::Invite {
                    key: *key,
                    uses: *uses,
                    expires_ms: *expires_ms,
                };
                (Who::Nobody, subject, Arc::clone(&said.plain))
            }
            Subject::Everyone => (
                Who::Nobody,
                MemberSubject::Everyone,
                Arc::clone(&said.plain),
            ),
        };
        Draft {
            candidate: Candidate {
                id: *id,
                origin: Origin::Granted(said.by),
                who,
                role: grant.role,
                path: &grant.path,
                since: &grant.since,
                lines,
            },
            subject,
        }
    })
}

fn joined<'a>(
    ledger: &'a Ledger,
    places: &BTreeMap<OpId, usize>,
    drafts: &[Draft<'a>],
) -> Vec<Draft<'a>> {
    let join = |(id, said): (&OpId, &'a crate::ledger::Said<crate::op::Join>)| {
        let join = &said.what;
        let invite = *places.get(&join.invite)?;
        let draft = &drafts[invite];
        let MemberSubject::Invite { key, uses, .. } = draft.subject else {
            return None;
        };
        let party: &Party = &join.joiner;
        (key == join.key).then(|| Draft {
            candidate: Candidate {
                id: *id,
                origin: Origin::Joined {
                    author: said.by,
                    invite,
                    uses,
                },
                who: Who::Party(party.id()),
                role: draft.candidate.role,
                path: draft.candidate.path,
                since: &join.since,
                lines: party_lines(ledger, party, &said.plain),
            },
            subject: MemberSubject::Party(party.id()),
        })
    };
    ledger.joins.iter().filter_map(join).collect()
}

fn removals<'a>(ledger: &'a Ledger, places: &BTreeMap<OpId, usize>) -> Vec<Removal<'a>> {
    let removes = ledger.removes.iter();
    removes
        .map(|(id, said)| Removal {
            id: *id,
            author: said.by,
            targets: said
                .what
                .memberships
                .iter()
                .filter_map(|target| places.get(target).copied())
                .collect(),
            lengths: &said.what.lengths,
        })
        .collect()
}
