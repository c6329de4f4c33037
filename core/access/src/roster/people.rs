//! People behind memberships: their devices and cards, and what is missing to a vote.
//!
//! Owns answers for honest devices that are about to write; nothing here decides what counts.

use std::collections::BTreeSet;

use stead_base::SpaceId;

use super::Roster;
use crate::compound::{StandingPart, card_parts, group_cards, group_parts};
use crate::members::{MemberSubject, Membership};
use crate::op::{GroupPart, OpId, Party, PartyId, Subject};
use crate::rules::Author;
use crate::{Action, Card, IdentityId, Role};

/// How far a vote of equals has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Votes {
    /// How many must have said so.
    pub needed: usize,
    /// How many have.
    pub said: usize,
}

impl Votes {
    /// How many are missing.
    pub const fn missing(&self) -> usize {
        self.needed.saturating_sub(self.said)
    }
}

impl Roster {
    /// A person's devices here, through memberships of their own and through groups that they are in;
    /// with `past`, through those that have ended too.
    pub fn person_parts(&self, person: IdentityId, past: bool) -> Vec<StandingPart> {
        let own = MemberSubject::Party(PartyId::Identity(person));
        let mut parts = Vec::new();
        for member in self.memberships.values() {
            if !past && member.ended.is_some() {
                continue;
            }
            if member.subject == own {
                parts.extend(self.parts_of(&member.id));
            } else if let Some((group, seeds)) = self.group_of(&member.id) {
                let stands = || {
                    let parts = group_parts(&self.ledger, group, seeds);
                    parts.iter().any(|part| part.is_person(person))
                };
                if past || stands() {
                    let cards = group_cards(&self.ledger, group, seeds, person);
                    parts.extend(cards.flat_map(|card| card_parts(&self.ledger, card)));
                }
            }
        }
        if !past {
            parts.retain(|part| part.ended.is_none());
        }
        parts
    }

    /// The cards by which a person was let in here, through whichever memberships.
    pub fn cards_of(&self, person: IdentityId) -> Vec<&Card> {
        let is_theirs = |card: &&Card| card.identity == person;
        let genesis = self.genesis().and_then(|genesis| genesis.card.as_ref());
        let mut cards: Vec<&Card> = genesis.into_iter().filter(is_theirs).collect();
        for id in self.memberships.keys() {
            if let Some((group, seeds)) = self.group_of(id) {
                cards.extend(group_cards(&self.ledger, group, seeds, person));
                continue;
            }
            let granted = self.ledger.grants.get(id).map(|said| &said.what.subject);
            let party = match granted {
                Some(Subject::Party(party)) => Some(party),
                _ => (self.ledger.joins.get(id)).map(|said| &said.what.joiner),
            };
            if let Some(Party::Identity(card)) = party {
                cards.extend(Some(card).filter(is_theirs));
            }
        }
        cards
    }

    /// The groups that hold or held a membership here.
    pub fn groups(&self) -> BTreeSet<SpaceId> {
        let subjects = self.memberships.values().map(|member| member.subject);
        subjects
            .filter_map(|subject| match subject {
                MemberSubject::Group(group) => Some(group),
                _ => None,
            })
            .collect()
    }

    /// Everything that was said of the parts of a group here, ended ones included, through whichever
    /// memberships.
    pub fn parts_of_group(&self, group: SpaceId) -> Vec<StandingPart> {
        let members = self.memberships.values();
        members
            .filter(|member| member.subject == MemberSubject::Group(group))
            .flat_map(|member| self.parts_of(&member.id))
            .collect()
    }

    /// The last stay of a party in a group that any removal names, whether or not the removal counts.
    pub fn last_stay_removed(&self, group: SpaceId, party: PartyId) -> Option<u32> {
        let removes = self.ledger.group_removes.get(&group)?.values();
        let theirs = removes.filter(|said| said.what.party == party);
        theirs.map(|said| said.what.stay).max()
    }

    /// Whether `device` has said that a party is out of a group, up to that stay.
    pub fn has_taken_part(
        &self,
        device: &stead_base::DeviceId,
        group: SpaceId,
        party: PartyId,
        stay: u32,
    ) -> bool {
        let removes = self.ledger.group_removes.get(&group);
        let mut removes = removes.into_iter().flatten();
        removes.any(|(_, said)| {
            let by = match said.by {
                Author::Entry { writer, .. } => self.device_of(&writer),
                Author::Root(_) => None,
            };
            by == Some(*device) && said.what.party == party && said.what.stay >= stay
        })
    }

    /// What is still missing before equals have put out a member. None for one that has ended.
    pub fn votes(&self, id: &OpId) -> Option<Votes> {
        let target = self.memberships.get(id)?;
        if target.ended.is_some() {
            return None;
        }
        let is_equal = |equal: &&Membership| {
            equal.rank == target.rank
                && equal.role >= Role::Manager
                && equal.path.covers(&target.path)
                && matches!(equal.subject, MemberSubject::Party(_))
        };
        let equals: Vec<&Membership> = self.memberships.values().filter(is_equal).collect();
        let mut electorate: BTreeSet<MemberSubject> = equals.iter().map(|it| it.subject).collect();
        electorate.insert(target.subject);
        let mut voters = BTreeSet::new();
        for said in self.ledger.removes.values() {
            let Author::Entry { writer, seq } = said.by else {
                continue;
            };
            if !said.what.memberships.contains(id) {
                continue;
            }
            let Some(device) = self.device_of(&writer) else {
                continue;
            };
            for equal in equals.iter().filter(|it| it.subject != target.subject) {
                let covers = equal.lines_of(device).any(|line| {
                    let (from, to) = equal.interval(line, &writer);
                    from <= seq && seq < to
                });
                if covers {
                    voters.insert(equal.subject);
                }
            }
        }
        Some(Votes {
            needed: electorate.len() / 2 + 1,
            said: voters.len(),
        })
    }

    /// Whether the person behind `device` has said that a membership is over.
    pub fn has_voted(&self, device: &stead_base::DeviceId, id: &OpId) -> bool {
        let own: BTreeSet<MemberSubject> = (self.held_by(device))
            .filter(|held| held.is_held_by(device))
            .map(|held| held.subject)
            .collect();
        self.ledger.removes.values().any(|said| {
            let Author::Entry { writer, .. } = said.by else {
                return false;
            };
            let by = self.device_of(&writer);
            let same = by.is_some_and(|by| self.held_by(&by).any(|it| own.contains(&it.subject)));
            same && said.what.memberships.contains(id)
        })
    }

    /// Whether `device` ends that membership by its word alone: it is senior to it, or holds it.
    pub fn ends_alone(&self, device: &stead_base::DeviceId, id: &OpId) -> bool {
        let Some(target) = self.memberships.get(id) else {
            return false;
        };
        let own = matches!(target.subject, MemberSubject::Party(_)) && target.is_held_by(device);
        own || self.is_senior(device, target)
    }

    /// Whether `device` ends a membership by its word alone though it does not hold it.
    pub(crate) fn is_senior(&self, device: &stead_base::DeviceId, target: &Membership) -> bool {
        self.held_by(device).any(|held| {
            held.is_held_by(device)
                && held.rank < target.rank
                && held.path.covers(&target.path)
                && held.role.may(Action::Grant(target.role))
        })
    }

    /// The group that a membership is for, and the parts that its grant names.
    fn group_of(&self, membership: &OpId) -> Option<(&SpaceId, &[GroupPart])> {
        match &self.ledger.grants.get(membership)?.what.subject {
            Subject::Group { group, parts } => Some((group, parts)),
            _ => None,
        }
    }
}

impl StandingPart {
    /// Whether this is that person, and stands.
    pub fn is_person(&self, person: IdentityId) -> bool {
        self.party == PartyId::Identity(person) && self.ended.is_none()
    }
}
