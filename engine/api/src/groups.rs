//! Groups of people, and letting groups, people and everyone into spaces without an invite.
//!
//! Owns the shapes of these calls; nothing is executed here.

use serde::{Deserialize, Serialize};

use crate::{DeviceInfo, MemberKind};

/// `group.create`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupCreate {
    /// The name; no space or group on this device may have it.
    pub name: String,
}

/// `group.list`: the groups that this person is in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupList {}

/// The answer to [`GroupList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// By name.
    pub groups: Vec<Group>,
}

/// `group.show`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupShow {
    /// Name, id, or the first digits of the id.
    pub group: String,
}

/// `group.add`: lets in a person whose devices are known here, through a space that both share.
/// Anyone else comes by an invite: `space.share` with the group's id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupAdd {
    /// Name, id, or the first digits of the id.
    pub group: String,
    /// A contact, or an identity.
    pub who: String,
    /// Whether they keep the group: add and remove others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeper: bool,
}

/// `group.remove`: takes someone out, and out of every space where they are through the group.
/// `space.plan_revoke` with the group's id says first what that does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupTake {
    /// Name, id, or the first digits of the id.
    pub group: String,
    /// `me`, a contact, a device's name, a membership, or the start of an id.
    pub who: String,
    /// For people; everyone in the group can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `group.rename`: for everyone in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupRename {
    /// Name, id, or the first digits of the id.
    pub group: String,
    /// The new name.
    pub name: String,
}

/// `group.delete`: everyone is out of it, and it is out of every space.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupDelete {
    /// Name, id, or the first digits of the id.
    pub group: String,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The group's own space, 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether this device may add and remove people.
    pub keeper: bool,
    /// Who is in it, by rank.
    pub members: Vec<GroupPerson>,
    /// Where it has rights, as far as this device knows.
    pub spaces: Vec<GroupRight>,
}

/// Somebody in a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupPerson {
    /// A person or a device.
    pub kind: MemberKind,
    /// 64 hexadecimal digits.
    pub id: String,
    /// What they are called here.
    pub who: String,
    /// Whether they keep the group.
    pub keeper: bool,
    /// Steps from the founder; keepers remove those with a greater number.
    pub rank: u32,
    /// Their devices.
    pub devices: Vec<DeviceInfo>,
    /// Whether it is this person.
    pub own: bool,
}

/// A right that a group has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupRight {
    /// The space, 64 hexadecimal digits.
    pub space: String,
    /// Its name.
    pub name: String,
    /// As what.
    pub role: String,
    /// Where.
    pub path: String,
}

/// `space.grant`: lets in a group, a person whose devices are known here, or everyone. Exactly one of
/// `group`, `person` and `everyone` is said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceGrant {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// A group, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// A contact, or an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Everyone; only as reader.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    /// `reader`, `writer`, `manager` or `owner`.
    pub role: String,
    /// Where, such as `/notes`; `/` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The answer to [`SpaceGrant`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceGranted {
    /// Who was let in, as people call them.
    pub who: String,
    /// As what.
    pub role: String,
    /// Where.
    pub path: String,
    /// What has happened, in one plain sentence.
    pub sentence: String,
    /// For everyone: the [`PublicLink`](crate::PublicLink) by which they find the space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}
