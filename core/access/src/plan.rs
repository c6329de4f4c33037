//! What it takes to put someone out, said before it is done.
//!
//! Owns the plan only; nothing here changes a roster.

use std::collections::{BTreeMap, BTreeSet};

use stead_base::{DeviceId, ScopeId, SpaceId, WriterId};

use crate::members::{GivenBy, MemberSubject, Membership};
use crate::op::{OpId, PartyId};
use crate::{Ended, EndedBy, IdentityId, Roster};

/// Who is to be put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalTarget {
    /// One membership; its subject may hold others.
    Membership(OpId),
    /// A person, with all memberships of their own.
    Identity(IdentityId),
    /// A device, from memberships of its own and from the people and groups it acts for.
    Device(DeviceId),
    /// A group, with all its memberships.
    Group(SpaceId),
    /// Everyone, wherever they may read.
    Everyone,
}

/// What a removal takes and does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemovalPlan {
    /// Memberships to name in a [`Remove`](crate::Remove).
    pub memberships: Vec<OpId>,
    /// People whose device list must lose the device by a [`RemoveDevice`](crate::RemoveDevice),
    /// and the last stay that it must name.
    pub identities: BTreeMap<IdentityId, u32>,
    /// Groups through which the target acts, too: they are changed in their own space.
    pub groups: Vec<SpaceId>,
    /// Devices that lose something.
    pub devices: BTreeSet<DeviceId>,
    /// Logs whose last accepted length the removal must name; what is not named is void whole.
    pub writers: BTreeSet<WriterId>,
    /// Scopes that need a new epoch after it.
    pub scopes: BTreeSet<ScopeId>,
    /// Memberships that the target gave: they stay.
    pub gave: Vec<OpId>,
}

impl Roster {
    /// Says what removing `target` takes.
    pub fn plan_removal(&self, target: RemovalTarget) -> RemovalPlan {
        let mut plan = RemovalPlan::default();
        for membership in self.members().values().filter(|it| it.ended.is_none()) {
            let subject = membership.subject;
            let is_meant = match target {
                RemovalTarget::Membership(id) => membership.id == id,
                RemovalTarget::Identity(id) => {
                    subject == MemberSubject::Party(PartyId::Identity(id))
                }
                RemovalTarget::Device(id) => subject == MemberSubject::Party(PartyId::Device(id)),
                RemovalTarget::Group(id) => subject == MemberSubject::Group(id),
                RemovalTarget::Everyone => subject == MemberSubject::Everyone,
            };
            if is_meant {
                plan.memberships.push(membership.id);
                plan.devices
                    .extend(membership.devices().map(|record| record.id));
                // Devices that were taken out before wrote what counts still.
                for line in membership.lines.iter() {
                    plan.writers.extend(self.writers_of(&line.record.id));
                }
                self.note_scopes(membership, &mut plan);
                if matches!(subject, MemberSubject::Invite { .. }) {
                    plan.writers.extend(self.admitters(membership.id));
                }
            } else if let RemovalTarget::Device(device) = target
                && membership.is_held_by(&device)
            {
                match subject {
                    MemberSubject::Party(PartyId::Identity(id)) => {
                        let last = plan.identities.entry(id).or_default();
                        *last = (*last).max(self.last_stay(membership, device));
                    }
                    MemberSubject::Group(group) => plan.groups.push(group),
                    _ => {}
                }
                plan.devices.insert(device);
                self.note_scopes(membership, &mut plan);
            }
        }
        plan.groups.sort_unstable();
        plan.groups.dedup();
        for device in &plan.devices {
            plan.writers.extend(self.writers_of(device));
        }
        let given = self.members().values().filter(|it| it.ended.is_none());
        for membership in given {
            if let GivenBy::Membership(giver) = membership.given_by
                && plan.memberships.contains(&giver)
            {
                plan.gave.push(membership.id);
            }
        }
        plan
    }

    /// Memberships whose end rests on the word of who held them or on votes, and that `device` could
    /// have ended alone as a senior, with how they ended. Whoever may confirms them, in a
    /// [`Remove`](crate::Remove) of its own with the lengths that count: else a fork of the log in
    /// which somebody left would bring them back, and one more equal would make a vote lapse.
    pub fn removals_to_confirm(&self, device: &DeviceId) -> Vec<(OpId, &Ended)> {
        let ended = self.members().values();
        let ended = ended.filter_map(|it| Some((it, it.ended.as_ref()?)));
        ended
            .filter(|(_, ended)| ended.how != EndedBy::Senior)
            .filter(|(it, _)| self.is_senior(device, it) && !self.has_voted(device, &it.id))
            .map(|(it, ended)| (it.id, ended))
            .collect()
    }

    fn last_stay(&self, membership: &Membership, device: DeviceId) -> u32 {
        let parts = self.parts_of(&membership.id);
        let stays = parts
            .iter()
            .filter(|part| part.party == PartyId::Device(device));
        stays.map(|part| part.stay).max().unwrap_or(0)
    }

    fn note_scopes(&self, membership: &Membership, plan: &mut RemovalPlan) {
        if membership.subject.is_sealed_to() {
            let scopes = self.scopes().iter();
            let read = scopes
                .filter(|(scope, path)| **scope == ScopeId::ROSTER || membership.path.covers(path));
            plan.scopes.extend(read.map(|(scope, _)| *scope));
        }
    }

    /// The logs that admitted someone by an invite.
    fn admitters(&self, invite: OpId) -> impl Iterator<Item = WriterId> {
        let joined = self.members().values();
        joined
            .filter(move |it| it.joined_by == Some(invite))
            .map(|it| it.id.log)
    }
}
