//! Calls about groups, and about letting groups, people and everyone into spaces.
//!
//! Owns the sentences that people see; what is allowed is the replica's to say.

use stead_access::{IdentityId, PartyId, Path, Role};
use stead_api::{
    ApiError, DeviceInfo, Done, ErrorKind, Group, GroupAdd, GroupCreate, GroupDelete, GroupPerson,
    GroupRename, GroupRight, GroupShow, GroupTake, Groups, LinkSecret, MemberKind, PublicLink,
    Removal, SpaceGrant, SpaceGranted,
};
use stead_base::{DeviceId, SpaceId};
use stead_net::{PeerHints, RelayUrl};
use stead_replica::{GroupInfo, GroupMember, Replica, ReplicaError};

use super::Node;
use super::rights::{Known, read_path, removal};
use crate::clock::wall_ms;
use crate::faults;

impl Node {
    pub(super) async fn create_group(&self, create: GroupCreate) -> Result<Group, ApiError> {
        stead_access::Name::new(&create.name)
            .map_err(|error| faults::sentence(ErrorKind::BadName, &error))?;
        self.alter(move |desk| {
            let id = desk.replica.create_group(&create.name, wall_ms())?;
            shown(&desk.replica, &id)
        })
        .await
    }

    pub(super) async fn list_groups(&self) -> Result<Groups, ApiError> {
        let listed = self.store.look(|desk| {
            let groups = desk.replica.groups()?.into_iter();
            let shown = groups.map(|group| describe(&desk.replica, &group));
            shown.collect::<Result<Vec<Group>, ReplicaError>>()
        });
        let groups = listed.await?.map_err(|error| faults::replica(&error))?;
        Ok(Groups { groups })
    }

    pub(super) async fn show_group(&self, show: GroupShow) -> Result<Group, ApiError> {
        let found = self.store.look(move |desk| {
            let id = desk.replica.find_group(&show.group)?;
            shown(&desk.replica, &id)
        });
        found.await?.map_err(|error| faults::replica(&error))
    }

    pub(super) async fn add_to_group(&self, add: GroupAdd) -> Result<Group, ApiError> {
        self.alter(move |desk| {
            let id = desk.replica.find_group(&add.group)?;
            let person = find_person(&desk.replica, &add.who)?;
            let replica = &mut desk.replica;
            replica.add_to_group(&id, person, add.keeper, wall_ms())?;
            shown(&desk.replica, &id)
        })
        .await
    }

    pub(super) async fn take_from_group(&self, take: GroupTake) -> Result<Removal, ApiError> {
        self.alter(move |desk| {
            let id = desk.replica.find_group(&take.group)?;
            let target = desk.replica.find_target(&id, &take.who)?;
            let before = removal(&desk.replica, &id, target, None)?;
            let replica = &mut desk.replica;
            let revoked = replica.remove_from_group(&id, target, take.reason, wall_ms())?;
            let done = removal(&desk.replica, &id, target, Some(&revoked))?;
            Ok(Removal {
                devices: before.devices,
                ..done
            })
        })
        .await
    }

    pub(super) async fn rename_group(&self, rename: GroupRename) -> Result<Done, ApiError> {
        let name = rename.name.clone();
        self.alter(move |desk| {
            let id = desk.replica.find_group(&rename.group)?;
            desk.replica.rename_space(&id, &rename.name, wall_ms())
        })
        .await?;
        Ok(Done {
            message: format!("The group is called {name:?} now, for everyone in it."),
        })
    }

    pub(super) async fn delete_group(&self, delete: GroupDelete) -> Result<Done, ApiError> {
        let name = delete.group.clone();
        self.alter(move |desk| {
            let id = desk.replica.find_group(&delete.group)?;
            desk.replica.delete_group(&id, wall_ms())
        })
        .await?;
        Ok(Done {
            message: format!(
                "The group {name:?} has ended: nobody is in a space through it any more."
            ),
        })
    }

    pub(super) async fn grant(&self, grant: SpaceGrant) -> Result<SpaceGranted, ApiError> {
        let space = self.find_space(&grant.space)?;
        let role = read_role(&grant.role)?;
        let path = match &grant.path {
            Some(path) => read_path(path)?,
            None => Path::whole_space(),
        };
        let said = [
            grant.group.is_some(),
            grant.person.is_some(),
            grant.everyone,
        ];
        if said.iter().filter(|said| **said).count() != 1 {
            return Err(ApiError::new(
                ErrorKind::InvalidParams,
                "Say one of: a group, a person, everyone.",
            ));
        }
        if grant.everyone && role != Role::Reader {
            return Err(ApiError::new(
                ErrorKind::InvalidParams,
                "Everyone can be let in as reader only.",
            ));
        }
        let (device, hints) = (self.device.id, self.net.local_hints());
        self.alter(move |desk| {
            let (replica, now_ms) = (&mut desk.replica, wall_ms());
            let who = if let Some(group) = &grant.group {
                let group = replica.find_group(group)?;
                replica.grant_group(&space, &group, role, path.clone(), now_ms)?;
                format!("everyone in the group {}", replica.outline(&group)?.name)
            } else if let Some(person) = &grant.person {
                let person = find_person(replica, person)?;
                replica.grant_person(&space, person, role, path.clone(), now_ms)?;
                Known::of(replica, &space)?.person(&person)
            } else {
                replica.grant_everyone(&space, path.clone(), now_ms)?;
                "everyone".to_owned()
            };
            let name = replica.outline(&space)?.name;
            let sentence = format!("{who} is {role} at {path} in {name} now.");
            Ok(SpaceGranted {
                sentence: faults::capitalized(&sentence),
                who,
                role: role.to_string(),
                path: path.to_string(),
                link: match grant.everyone {
                    true => public_link(replica, &space, &device, hints),
                    false => None,
                },
            })
        })
        .await
    }
}

/// The link by which everyone finds a space, through this device.
fn public_link(
    replica: &Replica,
    space: &SpaceId,
    device: &DeviceId,
    hints: PeerHints,
) -> Option<String> {
    let link = PublicLink {
        device: *device.as_bytes(),
        space: *space.as_bytes(),
        secret: LinkSecret(replica.membership_secret(space)?),
        addresses: hints.addrs,
        relay: hints.relay.as_ref().map(RelayUrl::to_string),
    };
    Some(link.to_string())
}

fn read_role(text: &str) -> Result<Role, ApiError> {
    let role = Role::ALL.into_iter().find(|role| role.to_string() == text);
    role.ok_or_else(|| {
        ApiError::new(
            ErrorKind::InvalidParams,
            format!("There is no role {text:?}."),
        )
        .hint("The roles are reader, writer, manager and owner.")
    })
}

/// A person by what this one calls them, or by their identity.
fn find_person(replica: &Replica, wanted: &str) -> Result<IdentityId, ReplicaError> {
    if let Some(contact) = replica.find_contact(wanted)? {
        return Ok(contact.identity);
    }
    wanted.trim().parse().map_err(|_| {
        ReplicaError::Refused(format!(
            "you call nobody {wanted:?}: `stead contact add NAME IDENTITY` gives someone a name, and an invite lets in whoever has it"
        ))
    })
}

fn shown(replica: &Replica, id: &SpaceId) -> Result<Group, ReplicaError> {
    describe(replica, &replica.group(id)?)
}

fn describe(replica: &Replica, group: &GroupInfo) -> Result<Group, ReplicaError> {
    let names = Known::of(replica, &group.id)?;
    let rights = group
        .holds
        .iter()
        .map(|(space, name, role, path)| GroupRight {
            space: space.to_string(),
            name: name.clone(),
            role: role.to_string(),
            path: path.to_string(),
        });
    Ok(Group {
        id: group.id.to_string(),
        name: group.name.clone(),
        keeper: group.keeps,
        members: group.members.iter().map(|it| names.part(it)).collect(),
        spaces: rights.collect(),
    })
}

impl Known {
    /// Somebody in a group.
    pub(super) fn part(&self, member: &GroupMember) -> GroupPerson {
        let (kind, id, who) = match member.party {
            PartyId::Identity(id) => (MemberKind::Person, id.to_string(), self.person(&id)),
            PartyId::Device(id) => (MemberKind::Device, id.to_string(), self.device(&id)),
        };
        let devices = member.devices.iter().map(|(id, name)| DeviceInfo {
            id: id.to_string(),
            name: self.known_device(id).unwrap_or_else(|| name.clone()),
            this: self.is_this(id),
            ..DeviceInfo::default()
        });
        GroupPerson {
            kind,
            id,
            who,
            keeper: member.keeper,
            rank: member.rank,
            devices: devices.collect(),
            own: member.is_own,
        }
    }
}
