//! Calls about who may do what in a space.
//!
//! Owns the sentences that people see; every decision is the roster's.

use std::collections::BTreeMap;

use stead_access::{
    Action, GivenBy, MemberSubject, OpId, PartyId, Path, RemovalTarget, Role, Whom, Why,
};
use stead_api::{
    ApiError, Decision, DeviceInfo, ErrorKind, Member, MemberKind, MemberList, Members, ProofEntry,
    ProofHead, RIGHTS_PROOF_FORMAT, Reason, Removal, Rights, RightsEntry, RightsLog, RightsProof,
    SpaceCan, SpacePlanRevoke, SpaceRevoke,
};
use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_replica::{Contact, GroupInfo, MemberInfo, Replica, ReplicaError, Revoked, RightsItem};

use super::{Node, convert};
use crate::clock::wall_ms;
use crate::faults;

/// Most entries in one answer of `log.rights`.
const RIGHTS_MAX: usize = 10_000;

impl Node {
    pub(super) async fn list_members(&self, list: MemberList) -> Result<Members, ApiError> {
        let space = self.find_space(&list.space)?;
        let found = self.store.look(move |desk| {
            let names = Known::of(&desk.replica, &space)?;
            let members = desk.replica.members(&space)?;
            let shown = members
                .iter()
                .filter(|member| list.ended || !member.has_ended);
            Ok::<_, ReplicaError>(Members {
                space: space.to_string(),
                name: desk.replica.outline(&space)?.name,
                members: shown.map(|member| names.member(member, &members)).collect(),
            })
        });
        found.await?.map_err(|error| faults::replica(&error))
    }

    pub(super) async fn plan_revoke(&self, plan: SpacePlanRevoke) -> Result<Removal, ApiError> {
        let space = self.find_space(&plan.space)?;
        let planned = self.store.look(move |desk| {
            let target = desk.replica.find_target(&space, &plan.member)?;
            removal(&desk.replica, &space, target, None)
        });
        planned.await?.map_err(|error| faults::replica(&error))
    }

    pub(super) async fn revoke(&self, revoke: SpaceRevoke) -> Result<Removal, ApiError> {
        let space = self.find_space(&revoke.space)?;
        self.alter(move |desk| {
            let target = desk.replica.find_target(&space, &revoke.member)?;
            let revoked = desk
                .replica
                .revoke(&space, target, revoke.reason, wall_ms())?;
            removal(&desk.replica, &space, target, Some(&revoked))
        })
        .await
    }

    pub(super) async fn can(&self, can: SpaceCan) -> Result<Decision, ApiError> {
        let space = self.find_space(&can.space)?;
        let action = read_action(&can.action)?;
        let path = read_path(&can.path)?;
        let decided = self.store.look(move |desk| {
            let replica = &desk.replica;
            let names = Known::of(replica, &space)?;
            let members = replica.members(&space)?;
            let whom = replica.find_whom(&space, &can.who)?;
            let decision = replica.explain(&space, whom, action, &path)?;
            let who = match (&*can.who, whom) {
                ("me", _) => "This device".to_owned(),
                (_, Whom::Identity(identity)) => names.person(&identity),
                (_, Whom::Device(device)) => names.device(&device),
                (_, Whom::Writer(writer)) => writer.short(),
                (_, Whom::Everyone) => "Everyone".to_owned(),
            };
            let mut because: Vec<Reason> = Vec::new();
            for reason in &decision.because {
                let granted = members.iter().find(|it| it.id == reason.membership);
                let mut text = granted.map_or_else(String::new, |it| names.grant(it, &members));
                if matches!(reason.subject, MemberSubject::Group(_)) && reason.why == Why::Holds {
                    text += match (&*can.who, whom) {
                        ("me", _) => "; you are in that group",
                        (_, Whom::Identity(_)) => "; they are in that group",
                        _ => "; the device is in that group",
                    };
                }
                let chain = reason.chain.iter().filter_map(|id| {
                    let member = members.iter().find(|it| it.id == *id)?;
                    Some(names.grant(member, &members))
                });
                because.push(Reason {
                    membership: reason.membership.to_string(),
                    role: reason.role.to_string(),
                    path: reason.path.to_string(),
                    holds: reason.why == Why::Holds,
                    text: format!("{text}{}", but(&reason.why)),
                    chain: chain.collect(),
                });
            }
            let sealed_to = replica.scope_around(&space, &path)?;
            let sealed = match action {
                Action::Read | Action::Write if !sealed_to.is_whole_space() => {
                    format!(" What is there is sealed to those who read {sealed_to}.")
                }
                _ => String::new(),
            };
            let may = if decision.allowed { "may" } else { "may not" };
            let nothing = match because.is_empty() {
                true => ": there is no membership that would allow it",
                false => "",
            };
            Ok::<_, ReplicaError>(Decision {
                sentence: format!("{who} {may} {action} at {path}{nothing}.{sealed}"),
                sealed_to: sealed_to.to_string(),
                who,
                allowed: decision.allowed,
                because,
            })
        });
        decided.await?.map_err(|error| faults::replica(&error))
    }

    pub(super) async fn rights_log(&self, log: RightsLog) -> Result<Rights, ApiError> {
        let space = self.find_space(&log.space)?;
        let own = self.device.id;
        let listed = self
            .store
            .look(move |desk| desk.replica.rights_history(&space, RIGHTS_MAX, log.proof));
        let (items, more) = listed.await?.map_err(|error| faults::replica(&error))?;
        let proof = log.proof.then(|| proof_of(&space, &items));
        let entries = items.into_iter().map(|item| RightsEntry {
            writer: item.writer.to_string(),
            index: item.seq,
            device: DeviceInfo {
                id: item.device.map(|id| id.to_string()).unwrap_or_default(),
                name: item.device_name.unwrap_or_default(),
                this: item.device == Some(own),
                ..DeviceInfo::default()
            },
            time: convert::time(item.hlc),
            says: item.says,
            counts: item.counts,
        });
        Ok(Rights {
            entries: entries.collect(),
            more,
            proof,
        })
    }
}

/// Why a membership that was looked at does not allow what was asked.
fn but(why: &Why) -> &'static str {
    match why {
        Why::Holds => "",
        Why::RoleTooLow => ", which is not enough",
        Why::Elsewhere => ", which is elsewhere",
        Why::Ended(_) => ", which has ended",
        Why::DeviceRemoved(_) => ", but this device was taken out",
        Why::LeftGroup(_) => ", but they are not in that group any more",
    }
}

fn read_action(text: &str) -> Result<Action, ApiError> {
    let role = |text: &str| Role::ALL.into_iter().find(|role| role.to_string() == text);
    match text {
        "read" => Some(Action::Read),
        "write" => Some(Action::Write),
        "manage" => Some(Action::Manage),
        other => other
            .strip_prefix("grant-")
            .and_then(role)
            .map(Action::Grant),
    }
    .ok_or_else(|| {
        ApiError::new(ErrorKind::InvalidParams, format!("Nobody can {text:?}.")).hint(
            "It is read, write, manage, grant-reader, grant-writer, grant-manager or grant-owner.",
        )
    })
}

pub(crate) fn read_path(text: &str) -> Result<Path, ApiError> {
    let text = match text.starts_with('/') {
        true => text.to_owned(),
        false => format!("/{text}"),
    };
    Path::new(&text).map_err(|error| faults::sentence(ErrorKind::BadName, &error))
}

/// What members of a space are called here.
pub(super) struct Known {
    devices: BTreeMap<DeviceId, String>,
    groups: BTreeMap<SpaceId, GroupInfo>,
    contacts: Vec<Contact>,
    joined_by: BTreeMap<OpId, OpId>,
    own: Option<stead_access::IdentityId>,
    this: DeviceId,
}

impl Known {
    pub(super) fn of(replica: &Replica, space: &SpaceId) -> Result<Self, ReplicaError> {
        let (mut devices, mut groups) = (BTreeMap::new(), BTreeMap::new());
        for member in replica.members(space)? {
            devices.extend(member.devices);
            if let MemberSubject::Group(id) = member.subject {
                groups.insert(id, replica.group_in(space, &id)?);
            }
        }
        devices.extend(replica.device_names().unwrap_or_default());
        Ok(Self {
            devices,
            groups,
            contacts: replica.contacts().unwrap_or_default(),
            joined_by: replica.joined_by(space)?,
            own: replica.identity(),
            this: replica.device(),
        })
    }

    pub(super) fn known_device(&self, id: &DeviceId) -> Option<String> {
        self.devices.get(id).cloned()
    }

    pub(super) fn devices(&self) -> Vec<DeviceId> {
        self.devices.keys().copied().collect()
    }

    pub(super) fn is_this(&self, id: &DeviceId) -> bool {
        self.this == *id
    }

    pub(super) fn device(&self, id: &DeviceId) -> String {
        self.known_device(id)
            .unwrap_or_else(|| format!("device {}", id.short()))
    }

    fn contact(&self, id: &stead_access::IdentityId) -> Option<&Contact> {
        self.contacts.iter().find(|it| it.identity == *id)
    }

    pub(super) fn person(&self, id: &stead_access::IdentityId) -> String {
        if self.own == Some(*id) {
            return "you".to_owned();
        }
        match self.contact(id) {
            Some(contact) => contact.name.clone(),
            None => format!("person {}", id.short()),
        }
    }

    fn subject(&self, subject: &MemberSubject) -> String {
        match subject {
            MemberSubject::Party(PartyId::Identity(id)) => self.person(id),
            MemberSubject::Party(PartyId::Device(id)) => self.device(id),
            MemberSubject::Group(group) => self.group(group),
            MemberSubject::Invite { uses: Some(1), .. } => "whoever has the invite".to_owned(),
            MemberSubject::Invite {
                uses: Some(uses), ..
            } => format!("{uses} people with the invite"),
            MemberSubject::Invite { uses: None, .. } => "anyone with the invite".to_owned(),
            MemberSubject::Everyone => "everyone".to_owned(),
        }
    }

    fn group(&self, id: &SpaceId) -> String {
        match self.groups.get(id).map(|group| group.name.as_str()) {
            Some(name) if !name.is_empty() => format!("group {name}"),
            _ => format!("group {}", id.short()),
        }
    }

    /// `membership 1.2.3: ada is writer at /, let in by you`
    fn grant(&self, member: &MemberInfo, all: &[MemberInfo]) -> String {
        let who = self.subject(&member.subject);
        let verb = if who == "you" { "are" } else { "is" };
        format!(
            "membership {}: {who} {verb} {} at {}, {}",
            member.id,
            member.role,
            member.path,
            self.given_by(&member.given_by, all)
        )
    }

    /// Whether an invite lets nobody else in, as words behind its name.
    fn used_up(&self, member: &MemberInfo) -> &'static str {
        let joined = self
            .joined_by
            .values()
            .filter(|invite| **invite == member.id);
        match member.subject {
            MemberSubject::Invite {
                uses: Some(uses), ..
            } if joined.count() >= uses as usize => ", used up",
            _ => "",
        }
    }

    fn given_by(&self, given: &GivenBy, all: &[MemberInfo]) -> String {
        match given {
            GivenBy::Founding => "as founder".to_owned(),
            GivenBy::Root => "by the owner's recovery words".to_owned(),
            GivenBy::Membership(id) => match all.iter().find(|it| it.id == *id) {
                Some(giver) => format!("let in by {}", self.subject(&giver.subject)),
                None => format!("let in by membership {id}"),
            },
        }
    }

    fn member(&self, member: &MemberInfo, all: &[MemberInfo]) -> Member {
        let (kind, id) = match member.subject {
            MemberSubject::Party(PartyId::Identity(id)) => (MemberKind::Person, id.to_string()),
            MemberSubject::Party(PartyId::Device(id)) => (MemberKind::Device, id.to_string()),
            MemberSubject::Group(id) => (MemberKind::Group, id.to_string()),
            MemberSubject::Invite { key, .. } => {
                let id = stead_base::Hash::from_bytes(key).to_string();
                (MemberKind::Invite, id)
            }
            MemberSubject::Everyone => (MemberKind::Everyone, String::new()),
        };
        let verified = match member.subject {
            MemberSubject::Party(PartyId::Identity(id)) => {
                self.own == Some(id) || self.contact(&id).is_some_and(|it| it.verified_ms.is_some())
            }
            _ => false,
        };
        Member {
            membership: member.id.to_string(),
            kind,
            id,
            who: self.subject(&member.subject) + self.used_up(member),
            verified,
            role: member.role.to_string(),
            path: member.path.to_string(),
            rank: member.rank,
            given_by: self.given_by(&member.given_by, all),
            devices: member
                .devices
                .iter()
                .map(|(id, _)| DeviceInfo {
                    id: id.to_string(),
                    name: self.device(id),
                    this: *id == self.this,
                    ..DeviceInfo::default()
                })
                .collect(),
            parts: match member.subject {
                MemberSubject::Group(id) if !member.has_ended => {
                    let group = self.groups.get(&id).into_iter();
                    group
                        .flat_map(|group| group.members.iter().map(|it| self.part(it)))
                        .collect()
                }
                _ => Vec::new(),
            },
            own: member.is_own,
            ended: member.has_ended,
        }
    }
}

/// What putting someone out does; with `revoked`, what it did.
pub(super) fn removal(
    replica: &Replica,
    space: &SpaceId,
    target: RemovalTarget,
    revoked: Option<&Revoked>,
) -> Result<Removal, ReplicaError> {
    let planned = replica.plan_removal(space, target)?;
    let plan = revoked.map_or(&planned, |revoked| &revoked.plan);
    let done = revoked.map(|revoked| revoked.took_effect);
    let votes = match revoked {
        Some(revoked) => revoked.votes,
        None => replica.votes_after(space, plan)?,
    };
    let names = Known::of(replica, space)?;
    let members = replica.members(space)?;
    let find = |id: &OpId| members.iter().find(|it| it.id == *id);
    let who = match target {
        RemovalTarget::Identity(id) => names.person(&id),
        RemovalTarget::Device(id) => names.device(&id),
        RemovalTarget::Group(id) => names.group(&id),
        RemovalTarget::Everyone => names.subject(&MemberSubject::Everyone),
        RemovalTarget::Membership(id) => find(&id).map_or_else(
            || format!("membership {id}"),
            |it| names.subject(&it.subject),
        ),
    };
    let stay: Vec<String> = plan
        .gave
        .iter()
        .filter_map(find)
        .filter(|member| names.used_up(member).is_empty())
        .map(|member| names.subject(&member.subject))
        .collect();
    let owner_stays = members.iter().any(|member| {
        let is_party = matches!(
            member.subject,
            MemberSubject::Party(_) | MemberSubject::Group(_)
        );
        let goes = plan.memberships.contains(&member.id);
        is_party && !member.has_ended && !goes && member.role == Role::Owner
    });
    let keys: Vec<String> = plan
        .scopes
        .iter()
        .map(|scope| {
            Ok(match *scope {
                ScopeId::ROSTER => "@roster".to_owned(),
                ScopeId::ROOT => "/".to_owned(),
                other => replica.scope_path(space, other)?.to_string(),
            })
        })
        .collect::<Result<_, ReplicaError>>()?;
    let name = replica.outline(space)?.name;
    let devices = plan.devices.len();
    let mut sentence = match (done, plan.memberships.is_empty()) {
        (None, true) => replica.only_through(space, target).unwrap_or_else(|| {
            format!(
                "{who} has no membership of their own in {name}; a single device of a person is taken out by that person: stead device remove"
            )
        }),
        (None, false) if who == "you" => {
            format!("You leave {name} with {}", count(devices, "device"))
        }
        (None, false) if target == RemovalTarget::Everyone => {
            format!("What comes in {name} is for members only, and what everyone could read until now stays read")
        }
        (None, false) => format!("{who} loses {name} on {}", count(devices, "device")),
        (Some(true), _) if target == RemovalTarget::Everyone => {
            format!("nothing in {name} is public any more")
        }
        (Some(true), _) => format!(
            "{who} {} out of {name}",
            if who == "you" { "are" } else { "is" }
        ),
        (Some(false), _) => match votes {
            Some(votes) => format!(
                "{} of the {} members of that rank that it takes have said that {who} is out of {name}; it takes effect once {} said so",
                votes.said,
                votes.needed,
                match votes.missing() {
                    1 => "one more has".to_owned(),
                    more => format!("{more} more have"),
                }
            ),
            None => format!("{who} is still in {name} through other members"),
        },
    };
    if let (None, Some(votes)) = (done, votes.filter(|votes| votes.missing() > 0)) {
        sentence = format!(
            "{who} is an equal in {name}: your word is one of {} that it takes, and {} {} missing after it; until then {who} stays",
            votes.needed,
            votes.missing(),
            if votes.missing() == 1 { "is" } else { "are" },
        );
    } else if done.is_none() && !plan.memberships.is_empty() {
        sentence += &match keys.len() {
            0 => ", and no key is made anew".to_owned(),
            1 => ", and one key is made anew".to_owned(),
            keys => format!(", and {keys} keys are made anew"),
        };
        sentence += &match &stay[..] {
            [] => String::new(),
            [one] => format!("; {one}, whom they let in, stays"),
            many => format!(
                "; {} whom they let in stay: {}",
                many.len(),
                many.join(", ")
            ),
        };
        if replica.is_group(space) {
            let group = replica.group(space)?;
            let mut through: Vec<&str> = group.holds.iter().map(|it| it.1.as_str()).collect();
            through.sort_unstable();
            through.dedup();
            match &through[..] {
                [] => {}
                spaces => {
                    sentence +=
                        &format!("; with it goes what the group gives: {}", spaces.join(", "))
                }
            }
        }
        if !owner_stays {
            sentence += "; nobody is left who owns it, so nobody can be put out or let in as manager any more";
        }
    }
    sentence.push('.');
    let id = match target {
        RemovalTarget::Membership(id) => id.to_string(),
        RemovalTarget::Identity(id) => id.to_string(),
        RemovalTarget::Device(id) => id.to_string(),
        RemovalTarget::Group(id) => id.to_string(),
        RemovalTarget::Everyone => "everyone".to_owned(),
    };
    Ok(Removal {
        id,
        who,
        memberships: plan.memberships.iter().map(OpId::to_string).collect(),
        devices: u32::try_from(devices).unwrap_or(u32::MAX),
        keys,
        stay,
        took_effect: done.unwrap_or(false),
        votes_needed: votes.map_or(0, |votes| votes.needed as u32),
        votes: votes.map_or(0, |votes| votes.said as u32),
        sentence: faults::capitalized(&sentence),
    })
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("one {what}"),
        number => format!("{number} {what}s"),
    }
}

fn proof_of(space: &SpaceId, items: &[RightsItem]) -> RightsProof {
    let mut heads = BTreeMap::new();
    let mut entries = Vec::new();
    for item in items {
        let Some(evidence) = &item.evidence else {
            continue;
        };
        let head = &evidence.proof.head;
        heads.entry(item.writer).or_insert_with(|| ProofHead {
            writer: item.writer.to_string(),
            len: head.len,
            root: head.root.to_string(),
            signature: hex(&head.signature),
        });
        let path = evidence.proof.inclusion.hashes().iter();
        entries.push(ProofEntry {
            writer: item.writer.to_string(),
            index: item.seq,
            entry: hex(&evidence.proof.entry),
            path: path.map(ToString::to_string).collect(),
            key_id: evidence.key_id.to_string(),
            envelope_key: hex(&*evidence.envelope_key),
            parcel_key: hex(&*evidence.parcel_key),
            parcel: hex(&evidence.parcel),
        });
    }
    RightsProof {
        format: RIGHTS_PROOF_FORMAT.to_owned(),
        space: space.to_string(),
        heads: heads.into_values().collect(),
        entries,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_named_as_on_the_command_line() {
        assert_eq!(read_action("grant-writer"), Ok(Action::Grant(Role::Writer)));
        assert_eq!(read_action("read"), Ok(Action::Read));
        assert!(read_action("grant-").is_err());
        assert!(read_action("eat").is_err());
        assert_eq!(
            read_path("notes/7").unwrap(),
            stead_access::Path::new("/notes/7").unwrap()
        );
    }
}
