//! What an honest device asks before it writes a roster operation: would it count?
//!
//! Owns the refusals, each one sentence for people. `rules` decides again for every reader.

use stead_base::{DeviceId, SpaceId};

use crate::compound::StandingPart;
use crate::members::{MemberSubject, Membership};
use crate::op::{GroupRemove, Join, OpId, PartyId, RemoveDevice, Subject};
use crate::{Action, IdentityId, Path, Role, Roster, RosterOp};

/// Why an operation would count for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The device is no member.
    #[error("this device is not a member of the space")]
    NotAMember,
    /// The right is missing.
    #[error("this device may not {action} at {path}")]
    Lacks {
        /// What it would take.
        action: Action,
        /// Where.
        path: Path,
    },
    /// Everyone may be let in for reading only.
    #[error("everyone can be let in as reader only")]
    EveryoneOnlyReads,
    /// There is no such membership.
    #[error("there is no membership {membership} in this space")]
    NoSuchMembership {
        /// Which was named.
        membership: OpId,
    },
    /// It has ended already.
    #[error("membership {membership} has ended already")]
    AlreadyEnded {
        /// Which was named.
        membership: OpId,
    },
    /// It takes someone more senior.
    #[error(
        "membership {membership} can be ended only by someone more senior, by its holder, or by most of its equals"
    )]
    NotSenior {
        /// Which was named.
        membership: OpId,
    },
    /// It is no invite, or its key is another.
    #[error("membership {membership} is not that invite")]
    NotThatInvite {
        /// Which was named.
        membership: OpId,
    },
    /// The invite lets in only so many.
    #[error("the invite {membership} is used up")]
    UsedUp {
        /// Which.
        membership: OpId,
    },
    /// An invite for so many is counted in one log.
    #[error("only the device that made the invite {membership} can let someone in by it")]
    NotItsMaker {
        /// Which.
        membership: OpId,
    },
    /// The device does not act for that person.
    #[error("this device does not act for the identity {}", identity.short())]
    NotOfIdentity {
        /// Whose devices.
        identity: IdentityId,
    },
    /// The device does not keep that group.
    #[error("this device is not a keeper of the group {}", group.short())]
    NotAKeeper {
        /// Which group.
        group: SpaceId,
    },
    /// The part of a person or group is not there, or is as senior.
    #[error(
        "that can be taken out only by someone more senior, by itself, or by most of its equals"
    )]
    PartNotSenior,
    /// The operation has a meaning only elsewhere.
    #[error("that cannot be said here")]
    OutOfPlace,
}

impl Roster {
    /// Whether an operation that `device` writes next would count, by itself.
    pub fn may(&self, device: &DeviceId, op: &RosterOp) -> Result<(), Refusal> {
        match op {
            RosterOp::Claim { .. } | RosterOp::RootStatement { .. } => return Ok(()),
            RosterOp::Genesis { .. } => return Err(Refusal::OutOfPlace),
            _ => {}
        }
        if !self.held_by(device).any(|held| held.is_held_by(device)) {
            return Err(Refusal::NotAMember);
        }
        match op {
            RosterOp::Grant(grant) => {
                if grant.subject == Subject::Everyone && grant.role != Role::Reader {
                    return Err(Refusal::EveryoneOnlyReads);
                }
                self.needs(device, &grant.path, Action::Grant(grant.role))
            }
            RosterOp::Join(join) => self.may_admit(device, join),
            RosterOp::Remove(remove) => remove
                .memberships
                .iter()
                .try_for_each(|id| self.may_end(device, id)),
            RosterOp::AddDevice(add) => {
                let own = self
                    .devices_of(add.identity)
                    .iter()
                    .any(|part| part.is_held_by(device));
                let refusal = Refusal::NotOfIdentity {
                    identity: add.identity,
                };
                own.then_some(()).ok_or(refusal)
            }
            RosterOp::RemoveDevice(remove) => self.may_take_device(device, remove),
            RosterOp::GroupAdd(add) => {
                let parts = self.current_parts(MemberSubject::Group(add.group));
                let keeps = parts
                    .iter()
                    .any(|part| part.keeper && part.is_held_by(device));
                let refusal = Refusal::NotAKeeper { group: add.group };
                keeps.then_some(()).ok_or(refusal)
            }
            RosterOp::GroupRemove(remove) => self.may_take_part(device, remove),
            RosterOp::Epoch(epoch) => {
                let path = self.scopes().get(&epoch.scope).cloned();
                self.needs(device, &path.ok_or(Refusal::OutOfPlace)?, Action::Manage)
            }
            RosterOp::Start(start) => {
                let path = self.scopes().get(&start.scope).cloned();
                self.needs(device, &path.ok_or(Refusal::OutOfPlace)?, Action::Manage)
            }
            RosterOp::Scope { path } => self.needs(device, path, Action::Manage),
            RosterOp::Rename { .. } => self.needs(device, &Path::whole_space(), Action::Manage),
            RosterOp::Checkpoint(made) => {
                let path = self.scopes().get(&made.scope).cloned();
                self.needs(device, &path.ok_or(Refusal::OutOfPlace)?, Action::Manage)
            }
            RosterOp::Redact(redact) => {
                let path = self.scopes().get(&redact.scope).cloned();
                let own = redact
                    .parcels
                    .iter()
                    .all(|(writer, _)| self.device_of(writer).as_ref() == Some(device));
                match own {
                    true => Ok(()),
                    false => self.needs(device, &path.ok_or(Refusal::OutOfPlace)?, Action::Manage),
                }
            }
            RosterOp::Genesis { .. }
            | RosterOp::Claim { .. }
            | RosterOp::RootStatement { .. }
            | RosterOp::AskKeys(_)
            | RosterOp::Letter { .. } => Ok(()),
        }
    }

    fn needs(&self, device: &DeviceId, path: &Path, action: Action) -> Result<(), Refusal> {
        let refusal = || Refusal::Lacks {
            action,
            path: path.clone(),
        };
        self.can(device, path, action)
            .then_some(())
            .ok_or_else(refusal)
    }

    fn open_membership(&self, id: &OpId) -> Result<&Membership, Refusal> {
        let membership = *id;
        let found = self
            .members()
            .get(id)
            .ok_or(Refusal::NoSuchMembership { membership })?;
        if found.ended.is_some() {
            return Err(Refusal::AlreadyEnded { membership });
        }
        Ok(found)
    }

    fn may_admit(&self, device: &DeviceId, join: &Join) -> Result<(), Refusal> {
        let membership = join.invite;
        let invite = self.open_membership(&membership)?;
        match invite.subject {
            MemberSubject::Invite { key, uses, .. } if key == join.key => {
                if let Some(uses) = uses {
                    if self.device_of(&membership.log) != Some(*device) {
                        return Err(Refusal::NotItsMaker { membership });
                    }
                    let joined = self.members().values();
                    let used = joined.filter(|it| it.joined_by == Some(membership)).count();
                    if used >= uses as usize {
                        return Err(Refusal::UsedUp { membership });
                    }
                }
                self.needs(device, &invite.path, Action::Grant(invite.role))
            }
            _ => Err(Refusal::NotThatInvite { membership }),
        }
    }

    fn may_end(&self, device: &DeviceId, id: &OpId) -> Result<(), Refusal> {
        let target = self.open_membership(id)?;
        let own = matches!(target.subject, MemberSubject::Party(_)) && target.is_held_by(device);
        let has_say = |held: &Membership| {
            let senior = held.rank < target.rank && held.role.may_grant(target.role);
            let equal = held.rank == target.rank
                && held.role >= Role::Manager
                && held.subject != target.subject
                && matches!(held.subject, MemberSubject::Party(_));
            held.is_held_by(device) && held.path.covers(&target.path) && (senior || equal)
        };
        let refusal = Refusal::NotSenior { membership: *id };
        let may = own || self.held_by(device).any(has_say);
        may.then_some(()).ok_or(refusal)
    }

    fn devices_of(&self, identity: IdentityId) -> Vec<StandingPart> {
        self.person_parts(identity, false)
    }

    fn may_take_device(&self, device: &DeviceId, remove: &RemoveDevice) -> Result<(), Refusal> {
        let parts = self.devices_of(remove.identity);
        if !parts.iter().any(|part| part.is_held_by(device)) {
            return Err(Refusal::NotOfIdentity {
                identity: remove.identity,
            });
        }
        may_take(&parts, device, PartyId::Device(remove.device))
    }

    fn may_take_part(&self, device: &DeviceId, remove: &GroupRemove) -> Result<(), Refusal> {
        let parts = self.current_parts(MemberSubject::Group(remove.group));
        may_take(&parts, device, remove.party)
    }
}

fn may_take(parts: &[StandingPart], device: &DeviceId, party: PartyId) -> Result<(), Refusal> {
    let targets = parts.iter().filter(|part| part.party == party);
    let rank = targets
        .map(|part| part.rank)
        .max()
        .ok_or(Refusal::PartNotSenior)?;
    let has_say = parts.iter().any(|part| {
        part.is_held_by(device) && (part.party == party || (part.keeper && part.rank <= rank))
    });
    has_say.then_some(()).ok_or(Refusal::PartNotSenior)
}
