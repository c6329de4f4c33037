//! Who may do what in a space: members, removal, explanations, and the proof that strangers can check.
//!
//! Owns the shapes of these calls and of the proof file; nothing is decided or checked here.

use serde::{Deserialize, Serialize};

use crate::{DeviceInfo, Time};

/// `space.members`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberList {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Also those whose membership has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

/// The answer to [`MemberList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Members {
    /// The space's id.
    pub space: String,
    /// Its name.
    pub name: String,
    /// By rank, the founder first.
    pub members: Vec<Member>,
}

/// The kinds of members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// A person with all their devices.
    #[default]
    Person,
    /// A single device.
    Device,
    /// A group of people.
    Group,
    /// Whoever holds an invite.
    Invite,
    /// Everyone, for reading.
    Everyone,
}

/// One membership.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The membership's name: the log, entry and place of the operation that made it.
    pub membership: String,
    /// What it is for.
    pub kind: MemberKind,
    /// The person, device, group or invite, 64 hexadecimal digits; empty for everyone.
    pub id: String,
    /// What it is called here: a contact's name, else a device's.
    pub who: String,
    /// Whether that name is one of a verified contact, or this very person.
    pub verified: bool,
    /// `reader`, `writer`, `manager` or `owner`.
    pub role: String,
    /// Where, such as `/` or `/notes`.
    pub path: String,
    /// 0 for the founder, one more than the giver's for all others.
    pub rank: u32,
    /// Who let them in, in one plain phrase.
    pub given_by: String,
    /// The devices that act by it now.
    pub devices: Vec<DeviceInfo>,
    /// Of a group: who is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<crate::GroupPerson>,
    /// Whether it is this person's, or this device's.
    pub own: bool,
    /// Whether it has ended.
    pub ended: bool,
}

/// `space.plan_revoke`: what [`SpaceRevoke`] would do. Changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpacePlanRevoke {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// `me`, a contact, a device's name, a membership, or the start of an id.
    pub member: String,
}

/// `space.revoke`: puts a member out, or leaves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceRevoke {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// `me`, a contact, a device's name, a membership, or the start of an id.
    pub member: String,
    /// For people; everyone in the space can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to [`SpacePlanRevoke`] and [`SpaceRevoke`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Removal {
    /// The identity, device or membership that was meant: what [`SpaceRevoke::member`] takes, whatever names change.
    pub id: String,
    /// Who, as people call them.
    pub who: String,
    /// Memberships that end.
    pub memberships: Vec<String>,
    /// Devices that lose what it gave.
    pub devices: u32,
    /// Scopes whose keys are made anew, as paths; `@roster` is the list of members.
    pub keys: Vec<String>,
    /// Members that they had let in: they stay.
    pub stay: Vec<String>,
    /// Whether it is in effect; false before it was said, and while more voices are needed.
    pub took_effect: bool,
    /// How many equals must say so; 0 where one word is enough.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub votes_needed: u32,
    /// How many of them have, or will have with this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub votes: u32,
    /// The same in one plain sentence.
    pub sentence: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// `space.can`: whether someone may do something, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceCan {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// `me`, a contact, a device's name, or the start of an id.
    pub who: String,
    /// `read`, `write`, `manage`, or `grant-` and a role.
    pub action: String,
    /// `/`, `/notes`, `/notes/7/title`.
    pub path: String,
}

/// The answer to [`SpaceCan`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Who, as people call them.
    pub who: String,
    /// Whether they may.
    pub allowed: bool,
    /// The decision in one plain sentence.
    pub sentence: String,
    /// The innermost path around that has keys of its own: what is sealed to its readers.
    #[serde(default)]
    pub sealed_to: String,
    /// The memberships that allow it; if none does, all that were looked at.
    pub because: Vec<Reason>,
}

/// One membership that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Its name.
    pub membership: String,
    /// As what.
    pub role: String,
    /// Where.
    pub path: String,
    /// Whether it allows what was asked.
    pub holds: bool,
    /// What it says, in one plain phrase.
    pub text: String,
    /// The grants it rests on, its giver's first and the founder's last, each in one plain phrase.
    pub chain: Vec<String>,
}

/// `log.rights`: every entry of a space that says who may do what, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RightsLog {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// Adds [`Rights::proof`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proof: bool,
}

/// The answer to [`RightsLog`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rights {
    /// By time; times are what the writers' clocks said.
    pub entries: Vec<RightsEntry>,
    /// Whether there were more than one answer may hold.
    pub more: bool,
    /// When asked for: all of it for a stranger to check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<RightsProof>,
}

/// One entry of a log with what it says about rights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RightsEntry {
    /// The writer key, 64 hexadecimal digits.
    pub writer: String,
    /// Its position in that writer's log.
    pub index: u64,
    /// The device the writer belongs to.
    pub device: DeviceInfo,
    /// Its hybrid time.
    pub time: Time,
    /// Each operation in one plain phrase.
    pub says: Vec<String>,
    /// Whether the writer may say anything at all at that place of its log.
    pub counts: bool,
}

/// The name of the form of [`RightsProof`].
pub const RIGHTS_PROOF_FORMAT: &str = "stead/rights-proof/1";

/// A proof file: entries that say who may do what, each with all that a stranger needs to check that
/// its writer signed it and what it says. Bytes are hexadecimal. See `docs/formats/rights-proof.md`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RightsProof {
    /// [`RIGHTS_PROOF_FORMAT`].
    pub format: String,
    /// The space's id: the hash of its first entry.
    pub space: String,
    /// The signed heads, one a writer.
    pub heads: Vec<ProofHead>,
    /// The entries.
    pub entries: Vec<ProofEntry>,
}

/// The length and root of a log, signed by its writer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProofHead {
    /// The writer key.
    pub writer: String,
    /// Entries covered.
    pub len: u64,
    /// Root of the Merkle tree over them.
    pub root: String,
    /// The writer's signature.
    pub signature: String,
}

/// One entry in a proof file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProofEntry {
    /// The writer key.
    pub writer: String,
    /// Its position in that writer's log.
    pub index: u64,
    /// The entry as it is stored, sealed.
    pub entry: String,
    /// The sibling hashes from its leaf to the root of the head.
    pub path: Vec<String>,
    /// The id of the epoch key that seals it.
    pub key_id: String,
    /// What opens this writer's envelopes of that epoch, and nothing else.
    pub envelope_key: String,
    /// What opens this writer's parcels about rights of that epoch, and nothing else.
    pub parcel_key: String,
    /// The operations in clear, as they were sealed.
    pub parcel: String,
}
