//! Carrying the changes of a group into the spaces where it holds rights, and opening the spaces that
//! a group was let into.
//!
//! Owns the comparison of a group's own roster with what each space says of the group. Any device that
//! may says what is missing; two that say the same harm nothing. A removal has to name lengths of each
//! space's own logs, so it is said anew in each.

use std::collections::BTreeSet;

use serde_json::json;
use stead_access::{
    Card, GroupAdd, GroupRemove, MemberSubject, Name, OpId, Party, PartyId, RemovalTarget, RosterOp,
};
use stead_base::{DeviceId, SpaceId};

use super::{CARDS, SPACES, records};
use crate::groups::doc_id;
use crate::membership::SpaceTicket;
use crate::space::SpaceState;
use crate::writing::Writing;
use crate::{Replica, ReplicaError};

/// A device opens no further space by itself once it has so many.
const OPENED_ALONE_MAX: usize = 256;

/// What is to be done for groups.
#[derive(Debug, Default)]
pub(crate) struct GroupWork {
    /// Spaces to open.
    pub(crate) opens: Vec<SpaceTicket>,
    /// Groups in which this device's card is missing or old.
    pub(crate) cards: Vec<SpaceId>,
    card: Option<Card>,
    /// What spaces are to be told.
    pub(crate) steps: Vec<(SpaceId, Step)>,
}

impl GroupWork {
    pub(crate) fn is_empty(&self) -> bool {
        self.opens.is_empty() && self.cards.is_empty() && self.steps.is_empty()
    }
}

/// One change of a group that a space misses.
#[derive(Debug)]
pub(crate) enum Step {
    /// Somebody is in the group.
    Add {
        group: SpaceId,
        party: Box<Party>,
        keeper: bool,
    },
    /// Somebody is not, or keeps it no more.
    Take { group: SpaceId, party: PartyId },
    /// The group has ended.
    End { membership: OpId },
}

impl Replica {
    /// What groups ask of this device now.
    pub(crate) fn group_work(&self, home: &SpaceId) -> Result<GroupWork, ReplicaError> {
        let own = self.device();
        let mut work = GroupWork::default();
        if !self.space(home)?.is_member(&own) {
            return Ok(work);
        }
        let groups: Vec<SpaceId> = self.spaces.keys().copied().collect();
        let groups: Vec<SpaceId> = groups.into_iter().filter(|id| self.is_group(id)).collect();
        let mut opened = BTreeSet::new();
        for group in &groups {
            if !self.space(group)?.is_member(&own) {
                continue;
            }
            for ticket in self.listed_in_group(group)? {
                if self.wants(home, &ticket.id)? && opened.insert(ticket.id) {
                    work.opens.push(ticket);
                }
            }
            let may_write = self.space(group)?.may_write(&own);
            if may_write && let Ok(card) = self.card() {
                let kept = self.get(group, CARDS, &doc_id(&own.to_string())?)?;
                let text = crate::identity::hex(&card.to_bytes());
                if kept.is_none_or(|kept| !kept.json.contains(&text)) {
                    work.cards.push(*group);
                    work.card = Some(card);
                }
            }
        }
        for ticket in self.offers_to_this_device()? {
            if self.wants(home, &ticket.id)? && opened.insert(ticket.id) {
                work.opens.push(ticket);
            }
        }
        let room = OPENED_ALONE_MAX.saturating_sub(self.spaces.len());
        work.opens.truncate(room);
        for space in self.spaces.values() {
            for group in space.roster.groups() {
                let Some(truth) = self.spaces.get(&group).filter(|it| it.id != space.id) else {
                    continue;
                };
                for step in self.steps(space, truth)? {
                    work.steps.push((space.id, step));
                }
            }
        }
        Ok(work)
    }

    /// What a space misses of a group, as far as this device may say it.
    fn steps(&self, space: &SpaceState, truth: &SpaceState) -> Result<Vec<Step>, ReplicaError> {
        let (own, group) = (self.device(), truth.id);
        let standings = truth.standings();
        let mut steps = Vec::new();
        if standings.values().all(|at| !at.is_in) && !standings.is_empty() {
            let held = space.roster.members().values();
            let held = held.filter(|it| it.subject == MemberSubject::Group(group));
            let due = held.filter(|it| it.ended.is_none() && space.roster.ends_alone(&own, &it.id));
            steps.extend(due.map(|it| Step::End { membership: it.id }));
        }
        for (party, at) in &standings {
            let here = space.stands_in(group, *party);
            let here_keeper = here.iter().any(|part| part.1);
            let due = match (at.is_in, here.is_empty()) {
                (true, true) => vec![true],
                (true, false) if at.keeper && !here_keeper => vec![true],
                (true, false) if !at.keeper && here_keeper => vec![false, true],
                (true, false) if !space.stands_everywhere(group, *party) => vec![true],
                (false, false) => vec![false],
                _ => Vec::new(),
            };
            for adds in due {
                let step = match adds {
                    true => match self.party_in(&group, *party)? {
                        Some(named) => Step::Add {
                            group,
                            party: Box::new(named),
                            keeper: at.keeper,
                        },
                        None => continue,
                    },
                    false => Step::Take {
                        group,
                        party: *party,
                    },
                };
                if space.step_is_due(&own, &step) {
                    steps.push(step);
                }
            }
        }
        Ok(steps)
    }

    /// Whether a space that somebody told of is to be opened: it is not here, and nobody left it here.
    fn wants(&self, home: &SpaceId, id: &SpaceId) -> Result<bool, ReplicaError> {
        if self.spaces.contains_key(id) {
            return Ok(false);
        }
        let listed = self.get(home, crate::membership::SPACES, &doc_id(&id.to_string())?)?;
        let listed =
            listed.and_then(|doc| serde_json::from_str::<serde_json::Value>(&doc.json).ok());
        let left = listed.is_some_and(|doc| doc["left"][self.device().to_string()] == json!(true));
        Ok(!left)
    }

    fn listed_in_group(&self, group: &SpaceId) -> Result<Vec<SpaceTicket>, ReplicaError> {
        let listed = self.documents_of(group, SPACES)?.into_iter();
        let ticket = |(id, doc): (String, serde_json::Value)| {
            let secret: stead_base::Hash = doc["secret"].as_str()?.parse().ok()?;
            let name = Name::from_any(doc["name"].as_str()?).as_str().to_owned();
            Some(SpaceTicket::bare(
                id.parse().ok()?,
                name,
                *secret.as_bytes(),
            ))
        };
        Ok(listed.filter_map(ticket).collect())
    }
}

impl SpaceState {
    fn may_write(&self, device: &DeviceId) -> bool {
        let whole = stead_access::Path::whole_space();
        self.roster.can(device, &whole, stead_access::Action::Write)
    }

    /// The stays of a party in a group that stand here, and whether each keeps the group.
    fn stands_in(&self, group: SpaceId, party: PartyId) -> Vec<(u32, bool)> {
        let parts = self.roster.current_parts(MemberSubject::Group(group));
        let theirs = parts.iter().filter(|part| part.party == party);
        theirs.map(|part| (part.stay, part.keeper)).collect()
    }

    /// Whether a party stands in each membership that the group has here.
    fn stands_everywhere(&self, group: SpaceId, party: PartyId) -> bool {
        let members = self.roster.members().values();
        let held = members.filter(|it| it.subject == MemberSubject::Group(group));
        held.filter(|it| it.ended.is_none()).all(|it| {
            let parts = self.roster.parts_of(&it.id);
            let stands =
                |part: &stead_access::StandingPart| part.party == party && part.ended.is_none();
            parts.iter().any(stands)
        })
    }

    /// The stay under which a party is named next: the one it has, or one that no removal has ended.
    pub(super) fn part_stay(&self, group: SpaceId, party: PartyId) -> u32 {
        let current = self
            .stands_in(group, party)
            .into_iter()
            .map(|it| it.0)
            .max();
        current.unwrap_or_else(|| self.next_part_stay(group, party))
    }

    fn next_part_stay(&self, group: SpaceId, party: PartyId) -> u32 {
        let parts = self.roster.parts_of_group(group);
        let stays = parts.iter().filter(|part| part.party == party);
        let last = stays.map(|part| part.stay).max();
        let removed = self.roster.last_stay_removed(group, party);
        last.max(removed).map_or(0, |last| last.saturating_add(1))
    }

    fn devices_of_party(&self, party: PartyId) -> Vec<DeviceId> {
        match party {
            PartyId::Device(device) => vec![device],
            PartyId::Identity(person) => {
                let parts = self.roster.person_parts(person, true);
                let devices: BTreeSet<DeviceId> = parts
                    .iter()
                    .filter_map(|part| match part.party {
                        PartyId::Device(device) => Some(device),
                        PartyId::Identity(_) => None,
                    })
                    .collect();
                devices.into_iter().collect()
            }
        }
    }

    /// The operation that a step is.
    fn step_op(&self, step: &Step) -> Option<RosterOp> {
        Some(match step {
            Step::Add {
                group,
                party,
                keeper,
            } => {
                let mut devices = self.devices_of_party(party.id());
                devices.extend(records(party).iter().map(|record| record.id));
                RosterOp::GroupAdd(GroupAdd {
                    group: *group,
                    party: (**party).clone(),
                    keeper: *keeper,
                    stay: self.next_part_stay(*group, party.id()),
                    since: self.lengths_of(&devices),
                })
            }
            Step::Take { group, party } => {
                let stays = self.stands_in(*group, *party).into_iter();
                RosterOp::GroupRemove(GroupRemove {
                    group: *group,
                    party: *party,
                    stay: stays.map(|it| it.0).max()?,
                    lengths: self.lengths_of(&self.devices_of_party(*party)),
                })
            }
            Step::End { .. } => return None,
        })
    }

    /// Whether this device may take a step, and has not said so before in vain.
    fn step_is_due(&self, own: &DeviceId, step: &Step) -> bool {
        let said = match step {
            Step::Take { group, party } => {
                let stays = self.stands_in(*group, *party).into_iter();
                let stay = stays.map(|it| it.0).max().unwrap_or(0);
                self.roster.has_taken_part(own, *group, *party, stay)
            }
            // After its party was taken out the addition is looked at again.
            Step::Add { .. } | Step::End { .. } => false,
        };
        let op = self.step_op(step);
        !said && op.is_none_or(|op| self.roster.may(own, &op).is_ok())
    }
}

impl Writing<'_> {
    /// Does what groups ask of this device.
    pub(crate) fn do_group_work(
        &mut self,
        home: &SpaceId,
        work: &GroupWork,
    ) -> Result<(), ReplicaError> {
        for ticket in &work.opens {
            self.join(ticket, false)?;
            self.list_in_home(home, &ticket.id)?;
        }
        for group in &work.cards {
            if let Some(card) = &work.card {
                match self.publish_card(group, card) {
                    // Its keys wait to be renewed: it is said later.
                    Ok(()) | Err(ReplicaError::Refused(_) | ReplicaError::NotAdmitted { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        for (id, step) in &work.steps {
            self.take_step(id, step)?;
        }
        Ok(())
    }

    fn take_step(&mut self, id: &SpaceId, step: &Step) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        let space = self.space(id)?;
        if let Step::End { membership } = step {
            let target = RemovalTarget::Membership(*membership);
            let plan = space.roster.plan_removal(target);
            return match plan.memberships.is_empty() {
                true => Ok(()),
                false => self.put_out(id, &plan, None),
            };
        }
        let Some(op) = space.step_op(step) else {
            return Ok(());
        };
        if let Err(refusal) = space.roster.may(&own, &op) {
            tracing::debug!(%refusal, space = %id.short(), "a change of a group is for another device to carry");
            return Ok(());
        }
        self.say(id, op)?;
        match step {
            Step::Add { party, .. } => self.welcome(id, &records(party)),
            Step::Take { .. } | Step::End { .. } => self.renew_if_allowed(id),
        }
    }

    /// Takes everyone out of a group in every space where the group still holds rights and this device
    /// may say so, itself last: the group is about to end.
    pub(super) fn empty_group(&mut self, group: &SpaceId) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        let ids: Vec<SpaceId> = self.spaces.keys().copied().collect();
        for id in ids.iter().filter(|id| *id != group) {
            let space = self.space(id)?;
            let parts = space.roster.current_parts(MemberSubject::Group(*group));
            let mut parties: Vec<(bool, PartyId)> = parts
                .iter()
                .map(|part| (part.is_held_by(&own), part.party))
                .collect();
            parties.sort_unstable();
            parties.dedup();
            for (_, party) in parties {
                let step = Step::Take {
                    group: *group,
                    party,
                };
                self.take_step(id, &step)?;
            }
        }
        Ok(())
    }
}
