//! The rules: which devices are members, and as what.
//!
//! Owns one pure function from a set of grants and claims to rights. Rights only grow with the
//! set, and a fixpoint of growing rules is unique, so any two replicas with the same entries agree
//! in whatever order they came.

use std::collections::{BTreeMap, BTreeSet};

use stead_base::{DeviceId, WriterId};

use crate::roster::Grant;
use crate::{DeviceRecord, Role};

/// A device that belongs to the space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The device as its granter described it.
    pub record: DeviceRecord,
    /// What it may do in the whole space.
    pub role: Role,
    /// The entry that let it in; none for the founding device.
    pub granted_by: Option<(WriterId, u64)>,
    /// The writers it has claimed.
    pub claims: BTreeSet<WriterId>,
}

/// Computes the members of a space.
///
/// The founding device owns it. A grant over the whole space counts if its author is claimed by a
/// member who may grant that role; of several the greatest role counts, then the one fewest steps
/// from the founder, then the one at the smallest place. `grants` must be in order of place.
pub(crate) fn members(
    founder: &DeviceRecord,
    grants: &[Grant],
    claims: &BTreeMap<WriterId, DeviceId>,
) -> BTreeMap<DeviceId, Member> {
    let mut members = BTreeMap::new();
    members.insert(founder.id, Member::new(founder, Role::Owner, None));
    loop {
        let mut gained: BTreeMap<DeviceId, &Grant> = BTreeMap::new();
        for grant in grants {
            let giver = claims.get(&grant.at.0).and_then(|id| members.get(id));
            let allowed = giver.is_some_and(|giver| giver.role.may_grant(grant.role));
            let held = members.get(&grant.device.id).map(|member| member.role);
            let better = gained
                .get(&grant.device.id)
                .map(|other| other.role)
                .max(held);
            if grant.covers_the_space() && allowed && better < Some(grant.role) {
                gained.insert(grant.device.id, grant);
            }
        }
        if gained.is_empty() {
            break;
        }
        for (id, grant) in gained {
            members.insert(id, Member::new(&grant.device, grant.role, Some(grant.at)));
        }
    }
    for (writer, device) in claims {
        if let Some(member) = members.get_mut(device) {
            member.claims.insert(*writer);
        }
    }
    members
}

impl Member {
    fn new(record: &DeviceRecord, role: Role, granted_by: Option<(WriterId, u64)>) -> Self {
        Self {
            record: record.clone(),
            role,
            granted_by,
            claims: BTreeSet::new(),
        }
    }
}
