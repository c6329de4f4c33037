//! Why someone may or may not do something: the grants a decision rests on, up to the founding.
//!
//! Owns the reasons only; the decision itself is that of `members`.

use std::fmt;

use stead_base::{DeviceId, WriterId};

use crate::members::{GivenBy, MemberSubject, Membership};
use crate::op::{OpId, PartyId};
use crate::rules::Ended;
use crate::{Action, IdentityId, Path, Role, Roster};

/// Who is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// A device, as to what it writes next.
    Device(DeviceId),
    /// A person: whether a device of theirs may.
    Identity(IdentityId),
    /// The device behind a log, as to what it writes next.
    Writer(WriterId),
    /// Whoever it is.
    Everyone,
}

/// Why a membership allows something or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It does.
    Holds,
    /// Its role is too low.
    RoleTooLow,
    /// It is for another place.
    Elsewhere,
    /// It was ended.
    Ended(Ended),
    /// The device was taken from the person or the group, by these operations.
    DeviceRemoved(Vec<OpId>),
    /// The person was taken out of the group, by these operations.
    LeftGroup(Vec<OpId>),
}

/// One membership that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Which.
    pub membership: OpId,
    /// For whom it is.
    pub subject: MemberSubject,
    /// As what.
    pub role: Role,
    /// Where.
    pub path: Path,
    /// Whether it allows what was asked.
    pub why: Why,
    /// The memberships it rests on, its giver's first, the founder's last. Ends early where the
    /// root key of the owner gave.
    pub chain: Vec<OpId>,
}

/// Whether someone may do something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether they may.
    pub allowed: bool,
    /// If allowed, the memberships that allow it; else all that were looked at.
    pub because: Vec<Reason>,
}

impl Roster {
    /// Explains whether `whom` may do `action` at `path`.
    pub fn explain(&self, whom: Whom, action: Action, path: &Path) -> Decision {
        let device = match whom {
            Whom::Device(device) => Some(device),
            Whom::Writer(writer) => self.device_of(&writer),
            Whom::Identity(_) | Whom::Everyone => None,
        };
        let concerns = |membership: &&Membership| match (membership.subject, whom, device) {
            (MemberSubject::Everyone, Whom::Everyone, _) => true,
            (MemberSubject::Everyone, ..) => action == Action::Read,
            (MemberSubject::Group(_), Whom::Identity(identity), _) => {
                let parts = self.parts_of(&membership.id);
                let person = PartyId::Identity(identity);
                parts.iter().any(|part| part.party == person)
            }
            (subject, Whom::Identity(identity), _) => {
                subject == MemberSubject::Party(PartyId::Identity(identity))
            }
            (_, _, Some(device)) => membership.lines_of(device).next().is_some(),
            _ => false,
        };
        let mut because: Vec<Reason> = self
            .members()
            .values()
            .filter(concerns)
            .map(|membership| Reason {
                membership: membership.id,
                subject: membership.subject,
                role: membership.role,
                path: membership.path.clone(),
                why: match self.left_group(membership, whom) {
                    Some(by) => Why::LeftGroup(by),
                    None => why(membership, device.as_ref(), action, path),
                },
                chain: self.chain(membership),
            })
            .collect();
        let allowed = because.iter().any(|reason| reason.why == Why::Holds);
        if allowed {
            because.retain(|reason| reason.why == Why::Holds);
        }
        Decision { allowed, because }
    }

    /// What took a person out of the group that a membership is for; None if they are in it.
    fn left_group(&self, membership: &Membership, whom: Whom) -> Option<Vec<OpId>> {
        let (MemberSubject::Group(_), Whom::Identity(person)) = (membership.subject, whom) else {
            return None;
        };
        let parts = self.parts_of(&membership.id);
        if membership.ended.is_some() || parts.iter().any(|part| part.is_person(person)) {
            return None;
        }
        let theirs = parts
            .iter()
            .filter(|part| part.party == PartyId::Identity(person));
        let ends = theirs.filter_map(|part| part.ended.as_ref());
        Some(ends.flat_map(|ended| ended.by.iter().copied()).collect())
    }

    /// The memberships that one rests on, up to the founder's.
    pub fn chain(&self, membership: &Membership) -> Vec<OpId> {
        let mut chain = Vec::new();
        let mut at = membership;
        // Ranks fall with every step, so this ends.
        while let GivenBy::Membership(giver) = at.given_by {
            let Some(next) = self.members().get(&giver) else {
                break;
            };
            chain.push(giver);
            at = next;
        }
        chain
    }
}

fn why(membership: &Membership, device: Option<&DeviceId>, action: Action, path: &Path) -> Why {
    if let Some(ended) = &membership.ended {
        return Why::Ended(ended.clone());
    }
    if let Some(device) = device
        && membership.subject != MemberSubject::Everyone
        && !membership.is_held_by(device)
    {
        let bounds = membership.lines_of(*device).flat_map(|line| &line.within);
        let ended = bounds.filter_map(|bounds| bounds.ended.as_ref());
        return Why::DeviceRemoved(ended.flat_map(|ended| ended.by.iter().copied()).collect());
    }
    if !membership.path.covers(path) {
        Why::Elsewhere
    } else if membership.role.may(action) {
        Why::Holds
    } else {
        Why::RoleTooLow
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, role, path) = (self.membership, self.role, &self.path);
        match &self.why {
            Why::Holds => write!(f, "membership {id} gives {role} on {path}"),
            Why::RoleTooLow => write!(f, "membership {id} gives only {role} on {path}"),
            Why::Elsewhere => write!(
                f,
                "membership {id} gives {role} on {path}, which is elsewhere"
            ),
            Why::Ended(_) => write!(f, "membership {id} ({role} on {path}) was ended"),
            Why::DeviceRemoved(_) => {
                write!(f, "the device was taken from who holds membership {id}")
            }
            Why::LeftGroup(_) => {
                write!(
                    f,
                    "the person was taken out of the group that holds membership {id}"
                )
            }
        }
    }
}
