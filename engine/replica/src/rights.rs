//! Who may do what in a space: letting people in, putting them out, and explaining it.
//!
//! Owns the calls and what they write. The rules are the roster's (`core/access`); how far a log of
//! someone who is put out is accepted is what this device holds of it now.

use serde_json::Value;
use stead_access::{
    Action, Card, Decision, DeviceRecord, EndedBy, GivenBy, Grant, Join, Lengths, MemberSubject,
    OpId, Party, PartyId, Path, REMOVED_AT_ONCE_MAX, RemovalPlan, RemovalTarget, Remove, Role,
    RosterOp, Subject, Votes, Whom, sign_join,
};
use stead_base::{DeviceId, DocId, ScopeId, SpaceId};
use stead_crypt::SigningKey;

use crate::commit::path_of;
use crate::identity::Names;
use crate::membership::SpaceTicket;
use crate::space::SpaceState;
use crate::writing::Writing;
use crate::{Change, Replica, ReplicaError};

/// How long the end of a membership waits to be confirmed for entries that count and are not here.
const CONFIRM_AFTER_MS: u64 = 60_000;

/// A membership in words that a person can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its name in the roster.
    pub id: OpId,
    /// Who it is for.
    pub subject: MemberSubject,
    /// As what.
    pub role: Role,
    /// Where.
    pub path: Path,
    /// 0 for the founder, one more than the giver's for all others.
    pub rank: u32,
    /// Who gave it.
    pub given_by: GivenBy,
    /// The devices that act by it now, with their names.
    pub devices: Vec<(DeviceId, String)>,
    /// Whether it has ended.
    pub has_ended: bool,
    /// Whether it is this person's, or this device's.
    pub is_own: bool,
}

/// What became of a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// What it takes with it.
    pub plan: RemovalPlan,
    /// False if it is so far one voice of several: equals remove each other by majority only.
    pub took_effect: bool,
    /// How far that vote has come, if it is one.
    pub votes: Option<Votes>,
}

/// What someone needs to join by an invite, and what must stay secret until they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The space.
    pub space: SpaceId,
    /// The grant that made the invite.
    pub id: OpId,
    /// The seed of the invite's key: whoever has it can join.
    pub seed: zeroize::Zeroizing<[u8; 32]>,
    /// Unix time in ms after which honest devices admit nobody by it.
    pub expires_ms: u64,
}

impl Invite {
    /// What a newcomer says to be let in: who they are, signed with the invite's key.
    pub fn join(&self, card: Card) -> Join {
        let key = SigningKey::from_seed(&self.seed);
        let joiner = Party::Identity(card);
        let signature = sign_join(&key, &self.space, &self.id, &joiner);
        Join {
            invite: self.id,
            key: key.public(),
            joiner,
            signature,
            since: Lengths::none(),
        }
    }
}

impl Replica {
    /// Everyone who is or was let into a space, by rank.
    pub fn members(&self, id: &SpaceId) -> Result<Vec<MemberInfo>, ReplicaError> {
        let space = self.space(id)?;
        let (own, identity) = (self.device(), self.identity());
        let info = |member: &stead_access::Membership| MemberInfo {
            id: member.id,
            subject: member.subject,
            role: member.role,
            path: member.path.clone(),
            rank: member.rank,
            given_by: member.given_by,
            devices: member
                .devices()
                .map(|record| (record.id, record.name.as_str().to_owned()))
                .collect(),
            has_ended: member.ended.is_some(),
            is_own: member.is_held_by(&own)
                || identity.is_some_and(|identity| {
                    member.subject == MemberSubject::Party(PartyId::Identity(identity))
                }),
        };
        let mut found: Vec<MemberInfo> = space.roster.members().values().map(info).collect();
        found.sort_by_key(|member| (member.rank, member.id));
        Ok(found)
    }

    /// Whether someone may do something somewhere, and what that rests on.
    pub fn explain(
        &self,
        id: &SpaceId,
        whom: Whom,
        action: Action,
        path: &Path,
    ) -> Result<Decision, ReplicaError> {
        Ok(self.space(id)?.roster.explain(whom, action, path))
    }

    /// The name of a device that is or was in a space.
    pub fn name_in(&self, id: &SpaceId, device: &DeviceId) -> Option<String> {
        self.spaces.get(id)?.roster.name_of(device)
    }

    /// Lets someone into a space and gives their devices the keys.
    pub fn grant(
        &mut self,
        id: &SpaceId,
        party: Party,
        role: Role,
        path: Path,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        self.not_home(id)?;
        let devices = devices_of(&party)?;
        let ids: Vec<DeviceId> = devices.iter().map(|record| record.id).collect();
        self.write(now_ms, |writing| {
            let grant = RosterOp::Grant(Grant {
                subject: Subject::Party(party),
                role,
                path: path.clone(),
                since: writing.space(id)?.lengths_of(&ids),
            });
            writing.check_op(id, &grant)?;
            writing.ensure_scope(id, &path)?;
            let keys = writing.space(id)?.keys_at(&path);
            writing.send_keys(id, &[grant], &devices, &keys)?;
            Ok(())
        })
    }

    /// Makes an invite: whoever holds what is returned can join, as often as `uses` says.
    pub fn invite(
        &mut self,
        id: &SpaceId,
        role: Role,
        path: Path,
        uses: Option<u32>,
        expires_ms: u64,
        now_ms: u64,
    ) -> Result<Invite, ReplicaError> {
        self.not_home(id)?;
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        self.entropy.fill(&mut *seed);
        let key = SigningKey::from_seed(&seed).public();
        let op = self.write(now_ms, |writing| {
            let grant = RosterOp::Grant(Grant {
                subject: Subject::Invite {
                    key,
                    uses,
                    expires_ms,
                },
                role,
                path: path.clone(),
                since: Lengths::none(),
            });
            writing.check_op(id, &grant)?;
            writing.ensure_scope(id, &path)?;
            writing.say(id, grant)
        })?;
        Ok(Invite {
            space: *id,
            id: op,
            seed,
            expires_ms,
        })
    }

    /// Lets a newcomer in by an invite, gives their devices the keys, and returns what they need to
    /// take part.
    pub fn admit(
        &mut self,
        id: &SpaceId,
        join: Join,
        now_ms: u64,
    ) -> Result<SpaceTicket, ReplicaError> {
        let space = self.space(id)?;
        let invite = space.roster.members().get(&join.invite);
        if let Some(MemberSubject::Invite { expires_ms, .. }) = invite.map(|it| it.subject)
            && now_ms >= expires_ms
        {
            return Err(ReplicaError::Refused(
                "the invite has expired: ask for a new one".to_owned(),
            ));
        }
        if let Party::Identity(card) = &join.joiner
            && card.verify().is_err()
        {
            return Err(ReplicaError::Refused(
                "the newcomer's card is not signed by the identity it names".to_owned(),
            ));
        }
        let Some(path) = invite.map(|it| it.path.clone()) else {
            return Err(ReplicaError::Refused(
                "this space has no such invite".to_owned(),
            ));
        };
        let devices = devices_of(&join.joiner)?;
        let ids: Vec<DeviceId> = devices.iter().map(|record| record.id).collect();
        self.write(now_ms, |writing| {
            let since = writing.space(id)?.lengths_of(&ids);
            let join = RosterOp::Join(Join { since, ..join });
            writing.check_op(id, &join)?;
            writing.ensure_scope(id, &path)?;
            let keys = writing.space(id)?.keys_at(&path);
            writing.send_keys(id, &[join], &devices, &keys)?;
            let space = writing.space(id)?;
            if !ids.iter().all(|device| space.is_member(device)) {
                return Err(ReplicaError::Refused(
                    "the invite does not let this newcomer in: it is used up, or its signature is wrong".to_owned(),
                ));
            }
            Ok(())
        })?;
        self.ticket_for(id, &path)
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })
    }

    /// Opens a space that somebody else let this person into, and lists it for their other devices.
    pub fn join_shared(&mut self, ticket: &SpaceTicket, now_ms: u64) -> Result<(), ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        if self.spaces.contains_key(&ticket.id) {
            return Ok(());
        }
        self.write(now_ms, |writing| {
            writing.join(ticket, false)?;
            writing.list_in_home(&home, &ticket.id)
        })
    }

    /// What removing someone takes with it.
    pub fn plan_removal(
        &self,
        id: &SpaceId,
        target: RemovalTarget,
    ) -> Result<RemovalPlan, ReplicaError> {
        Ok(self.space(id)?.roster.plan_removal(target))
    }

    /// Puts someone out of a space: their entries beyond what this device holds are void, and every
    /// key they had is renewed. Leaving is the same with oneself.
    pub fn revoke(
        &mut self,
        id: &SpaceId,
        target: RemovalTarget,
        reason: Option<String>,
        now_ms: u64,
    ) -> Result<Revoked, ReplicaError> {
        self.not_home(id)?;
        let plan = self.plan_removal(id, target)?;
        if plan.memberships.is_empty() {
            let why = self.only_through(id, target).unwrap_or_else(|| {
                "nobody by that name has a membership of their own in this space".to_owned()
            });
            return Err(ReplicaError::Refused(why));
        }
        self.write(now_ms, |writing| writing.put_out(id, &plan, reason))?;
        let members = self.space(id)?.roster.members();
        let has_ended = |op: &OpId| members.get(op).is_none_or(|it| it.ended.is_some());
        let took_effect = plan.memberships.iter().all(has_ended);
        let voted = plan.memberships.iter().find(|op| !has_ended(op));
        let votes = voted.and_then(|op| self.spaces.get(id)?.roster.votes(op));
        Ok(Revoked {
            plan,
            took_effect,
            votes,
        })
    }

    /// How far a vote of equals will have come once this person has said the same; None where their
    /// word alone is enough.
    pub fn votes_after(
        &self,
        id: &SpaceId,
        plan: &RemovalPlan,
    ) -> Result<Option<Votes>, ReplicaError> {
        let roster = &self.space(id)?.roster;
        let own = self.device();
        let voted = plan
            .memberships
            .iter()
            .find(|op| !roster.ends_alone(&own, op));
        let Some(votes) = voted.and_then(|op| roster.votes(op)) else {
            return Ok(None);
        };
        let has_spoken = voted.is_some_and(|op| roster.has_voted(&own, op));
        let said = votes.said + usize::from(!has_spoken);
        Ok(Some(Votes { said, ..votes }))
    }

    /// The group that lets someone in who has no membership of their own to end, in words that say what to do.
    pub fn only_through(&self, id: &SpaceId, target: RemovalTarget) -> Option<String> {
        let roster = &self.spaces.get(id)?.roster;
        let (party, called) = match target {
            RemovalTarget::Identity(person) => {
                let contacts = self.contacts().unwrap_or_default().into_iter();
                let mut names = contacts.filter(|contact| contact.identity == person);
                let called = match names.next() {
                    _ if self.identity() == Some(person) => "me".to_owned(),
                    Some(contact) => contact.name,
                    None => person.short(),
                };
                (PartyId::Identity(person), called)
            }
            RemovalTarget::Device(device) => (PartyId::Device(device), device.short()),
            RemovalTarget::Group(_) | RemovalTarget::Membership(_) | RemovalTarget::Everyone => {
                return None;
            }
        };
        let group = roster.groups().into_iter().find(|group| {
            let mut parts = roster
                .current_parts(MemberSubject::Group(*group))
                .into_iter();
            parts.any(|part| part.party == party)
        })?;
        let name = match self.spaces.get(&group) {
            Some(space) => space.record.name.clone(),
            None => group.short(),
        };
        let who = if called == "me" { "you" } else { &called };
        Some(format!(
            "only the group {name} lets {who} into this space: `stead group remove {name} {called}` ends that, in every space of the group"
        ))
    }

    /// Members of a space by the start of what people call them: an identity, a device or a
    /// device's name.
    pub fn find_member(&self, id: &SpaceId, wanted: &str) -> Result<RemovalTarget, ReplicaError> {
        let mut found: Vec<RemovalTarget> = Vec::new();
        for member in self.members(id)?.iter().filter(|member| !member.has_ended) {
            let named = member.devices.iter().any(|(device, name)| {
                name == wanted || (wanted.len() >= 4 && device.to_string().starts_with(wanted))
            });
            let target = match member.subject {
                MemberSubject::Party(PartyId::Identity(identity)) => {
                    let meant = wanted.len() >= 4 && identity.to_string().starts_with(wanted);
                    (named || meant).then_some(RemovalTarget::Identity(identity))
                }
                MemberSubject::Party(PartyId::Device(device)) => {
                    named.then_some(RemovalTarget::Device(device))
                }
                MemberSubject::Group(group) => {
                    let is_called = |space: &crate::space::SpaceState| space.record.name == wanted;
                    let called = self.spaces.get(&group).is_some_and(is_called);
                    let meant = wanted.len() >= 4 && group.to_string().starts_with(wanted);
                    (called || meant).then_some(RemovalTarget::Group(group))
                }
                _ => (member.id.to_string() == wanted)
                    .then_some(RemovalTarget::Membership(member.id)),
            };
            if let Some(target) = target
                && !found.contains(&target)
            {
                found.push(target);
            }
        }
        match found[..] {
            [target] => Ok(target),
            [] => Err(ReplicaError::Refused(format!(
                "nobody called {wanted:?} is a member of this space; `stead members` lists them"
            ))),
            _ => Err(ReplicaError::Refused(format!(
                "several members are called {wanted:?}: name one by the start of their id"
            ))),
        }
    }

    /// Whether a device was a member of a space and is none any more: nothing is shared with it.
    pub fn was_removed(&self, id: &SpaceId, device: &DeviceId) -> bool {
        let Some(space) = self.spaces.get(id) else {
            return false;
        };
        space.roster.record_of(device).is_some() && !space.is_member(device)
    }

    /// Ends of memberships that this device is to confirm, with what counts of their holders' logs. Where
    /// not all of that is here, it waits for it a while; what never comes does not keep an end open.
    pub(crate) fn removals_to_confirm(&mut self, now_ms: u64) -> Vec<(SpaceId, Remove)> {
        let own = self.device();
        let home = self.home();
        let mut due = Vec::new();
        for space in self.spaces.values_mut() {
            if Some(space.id) == home || space.newest_key(ScopeId::ROSTER).is_none() {
                continue;
            }
            let found = space.roster.removals_to_confirm(&own);
            let mut again = None;
            (space.unconfirmed).retain(|id, _| found.iter().any(|(member, _)| member == id));
            for (member, ended) in found {
                let lengths = &ended.lengths;
                let held = |log| space.writers.get(log).map_or(0, |state| state.accepted());
                let is_here = lengths.iter().all(|(log, len)| len <= held(log));
                let since = *space.unconfirmed.entry(member).or_insert(now_ms);
                if is_here || since.saturating_add(CONFIRM_AFTER_MS) <= now_ms {
                    let lengths = lengths.iter().map(|(log, len)| (*log, len.min(held(log))));
                    let why = match ended.how == EndedBy::Itself {
                        true => "had left",
                        false => "had been voted out",
                    };
                    let remove = Remove {
                        memberships: vec![member],
                        lengths: lengths.collect(),
                        reason: Some(why.to_owned()),
                    };
                    due.push((space.id, remove));
                } else {
                    let due = since.saturating_add(CONFIRM_AFTER_MS);
                    again = again.map_or(Some(due), |first: u64| Some(first.min(due)));
                }
            }
            if let Some(again) = again {
                space.look_again(again);
            }
        }
        due
    }

    pub(crate) fn not_home(&self, id: &SpaceId) -> Result<(), ReplicaError> {
        match self.home() == Some(*id) {
            false => Ok(()),
            true => Err(ReplicaError::Refused(
                "the home space is your identity: it holds your devices and is not shared"
                    .to_owned(),
            )),
        }
    }
}

impl Writing<'_> {
    /// Refuses what every replica would leave out.
    pub(crate) fn check_op(&mut self, id: &SpaceId, op: &RosterOp) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        let space = self.space(id)?;
        space
            .roster
            .may(&own, op)
            .map_err(|refusal| ReplicaError::Refused(refusal.to_string()))
    }

    /// Ends the memberships of a plan, and renews keys if this device may.
    pub(crate) fn put_out(
        &mut self,
        id: &SpaceId,
        plan: &RemovalPlan,
        reason: Option<String>,
    ) -> Result<(), ReplicaError> {
        let whom: Vec<DeviceId> = plan.devices.iter().copied().collect();
        let space = self.space(id)?;
        let mut lengths = space.lengths_of(&whom);
        for writer in &plan.writers {
            let held = space
                .writers
                .get(writer)
                .map_or(0, |state| state.accepted());
            lengths.raise(*writer, held);
        }
        let writer = self.own_writer(id)?;
        let mut memberships = plan.memberships.chunks(REMOVED_AT_ONCE_MAX).peekable();
        while let Some(some) = memberships.next() {
            if lengths.of(&writer) > 0 && memberships.peek().is_none() {
                // Who leaves has still said this: what the same entry says of others counts.
                let said = self.writer_len(id, &writer)? + 1;
                lengths.raise(writer, said);
            }
            let remove = RosterOp::Remove(Remove {
                memberships: some.to_vec(),
                lengths: lengths.clone(),
                reason: reason.clone(),
            });
            self.say(id, remove)?;
        }
        self.renew_if_allowed(id)
    }

    /// Says of a membership that is over that it is, as somebody senior to it.
    pub(crate) fn confirm_removal(
        &mut self,
        id: &SpaceId,
        remove: Remove,
    ) -> Result<(), ReplicaError> {
        self.own_writer(id)?;
        let hlc = self.clock.tick(self.now_ms);
        self.append_own(id, hlc, &[RosterOp::Remove(remove)], &[], &[])?;
        self.renew_if_allowed(id)
    }

    /// Writes one roster operation that needs no keys sent. Returns its name.
    pub(crate) fn say(&mut self, id: &SpaceId, op: RosterOp) -> Result<OpId, ReplicaError> {
        self.check_op(id, &op)?;
        let writer = self.own_writer(id)?;
        let hlc = self.clock.tick(self.now_ms);
        let seq = self.append_own(id, hlc, &[op], &[], &[])?;
        Ok(OpId {
            log: writer,
            seq,
            index: 0,
        })
    }
}

fn devices_of(party: &Party) -> Result<Vec<DeviceRecord>, ReplicaError> {
    let devices: Vec<DeviceRecord> = match party {
        Party::Device(record) => vec![record.clone()],
        Party::Identity(card) => card
            .devices
            .iter()
            .map(|device| device.record.clone())
            .collect(),
    };
    match devices.is_empty() {
        false => Ok(devices),
        true => Err(ReplicaError::Refused(
            "a card without devices lets nobody in".to_owned(),
        )),
    }
}

/// Refuses changes of a document that this device lacks the right to make.
pub(crate) fn check_rights_of(
    space: &SpaceState,
    device: &DeviceId,
    (collection, doc): (&str, &DocId),
    changes: &[Change],
) -> Result<(), ReplicaError> {
    let may = |path: &Path| space.roster.can(device, path, Action::Write);
    let place = |names: &[&str]| {
        path_of(collection, doc, names.iter().copied())
            .ok_or_else(|| ReplicaError::Refused("that path is too long".to_owned()))
    };
    let whole = place(&[])?;
    if may(&whole) {
        return Ok(());
    }
    for change in changes {
        let touched = match change {
            Change::Put {
                value: Value::Object(fields),
                replace: false,
            } if !fields.is_empty() => fields
                .keys()
                .map(|name| place(&[name]))
                .collect::<Result<Vec<_>, _>>()?,
            Change::Set { path, .. }
            | Change::Add { path, .. }
            | Change::Include { path, .. }
            | Change::Exclude { path, .. }
            | Change::Rich { path, .. }
            | Change::Unset { path } => {
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                vec![place(&names)?]
            }
            _ => vec![whole.clone()],
        };
        if let Some(path) = touched.iter().find(|path| !may(path)) {
            return Err(ReplicaError::NoRight {
                space: space.record.name.clone(),
                path: path.to_string(),
            });
        }
    }
    Ok(())
}
