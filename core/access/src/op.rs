//! Roster operations: what `@roster` parcels say.
//!
//! Owns the words; their bytes are in `op/codec`, what they bring about is in `rules`.

mod codec;

use std::fmt;

use stead_base::{DeviceId, Hash, Hlc, ScopeId, SpaceId, WriterId};
use stead_crypt::KeyId;

pub use codec::{decode_ops, encode_ops};

use crate::{Card, DeviceRecord, IdentityId, KeyBox, Lengths, Name, Path, Role};

/// Most operations in one `@roster` parcel.
pub const OPS_PER_PARCEL_MAX: usize = 512;
/// Most memberships that one operation removes.
pub const REMOVED_AT_ONCE_MAX: usize = 256;
/// Most parts that a grant to a group names.
pub const GROUP_PARTS_MAX: usize = 256;
/// Most keys that one operation asks for.
pub const ASKED_AT_ONCE_MAX: usize = 64;
/// Most parcels that one operation redacts.
pub const REDACTED_AT_ONCE_MAX: usize = 1024;
/// Greatest rank of a part that a grant to a group names.
pub const GROUP_RANK_MAX: u32 = 65_535;
/// Longest reason given for a removal, in bytes of UTF-8.
pub const REASON_BYTES_MAX: usize = 512;
/// Longest wrapped key in an epoch operation, in bytes.
pub const WRAP_BYTES_MAX: usize = 128;
/// Longest list of operations in a root statement, in bytes.
pub const ROOT_STATEMENT_BYTES_MAX: usize = 256 << 10;

/// Where an operation stands, and the name of the membership it makes.
///
/// An operation of a root statement is named after the statement, not after the entry that
/// carries it: `log` is the statement's hash and `seq` 0. So carrying it twice changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId {
    /// The author's log.
    pub log: WriterId,
    /// The entry.
    pub seq: u64,
    /// The operation's place in the entry's `@roster` parcel.
    pub index: u32,
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.log.short(), self.seq, self.index)
    }
}

/// A device or a person: who can be a member by themselves, or a part of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// One device.
    Device(DeviceRecord),
    /// A person, with the devices they have at this time.
    Identity(Card),
}

/// Names a [`Party`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartyId {
    /// One device.
    Device(DeviceId),
    /// A person.
    Identity(IdentityId),
}

impl Party {
    /// Who this is.
    pub const fn id(&self) -> PartyId {
        match self {
            Self::Device(record) => PartyId::Device(record.id),
            Self::Identity(card) => PartyId::Identity(card.identity),
        }
    }
}

/// A part of a group as a grant to the group names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPart {
    /// Who it is.
    pub party: Party,
    /// Whether it keeps the group: adds and removes parts.
    pub keeper: bool,
    /// Which stay in the group this is.
    pub stay: u32,
    /// Its rank in the group; the founder's is 0.
    pub rank: u32,
}

/// Who a grant is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A device or a person.
    Party(Party),
    /// A group of people, kept in a space of its own.
    Group {
        /// The group's space.
        group: SpaceId,
        /// Its parts at this time; the granter vouches for them.
        parts: Vec<GroupPart>,
    },
    /// Whoever holds the key of an invite.
    Invite {
        /// The public half of the key in the link.
        key: [u8; 32],
        /// How many may join; any number if none.
        uses: Option<u32>,
        /// When an honest device stops admitting, Unix time in ms. Advice: time never authorises.
        expires_ms: u64,
    },
    /// Everyone, for reading only.
    Everyone,
}

/// Lets someone in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub subject: Subject,
    /// As what.
    pub role: Role,
    /// Where.
    pub path: Path,
    /// The membership covers only entries from these lengths on; all of logs not named.
    pub since: Lengths,
}

/// Turns an invite into a membership of someone, one rank below the invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The grant that made the invite.
    pub invite: OpId,
    /// The invite's key, as that grant names it.
    pub key: [u8; 32],
    /// Who joins.
    pub joiner: Party,
    /// The invite key's signature; see [`sign_join`](crate::sign_join).
    pub signature: [u8; 64],
    /// As in [`Grant`].
    pub since: Lengths,
}

/// Ends memberships, one's own included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    /// Which.
    pub memberships: Vec<OpId>,
    /// The last accepted length of each log of the subjects' devices; logs not named are void
    /// from their first entry. For an invite: of each log that admitted someone by it.
    pub lengths: Lengths,
    /// For people.
    pub reason: Option<String>,
}

/// Adds a device to an identity, by one of its devices or its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddDevice {
    /// Whose device.
    pub identity: IdentityId,
    /// The device.
    pub record: DeviceRecord,
    /// 0 when the device is added first. A removal ends this and all earlier stays, so a device
    /// comes back only by a greater number, and a replay brings back nothing.
    pub stay: u32,
    /// As in [`Grant`].
    pub since: Lengths,
}

/// Takes a device from an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveDevice {
    /// Whose device.
    pub identity: IdentityId,
    /// The device.
    pub device: DeviceId,
    /// Its last stay that ends.
    pub stay: u32,
    /// As in [`Remove`].
    pub lengths: Lengths,
}

/// Adds a part to a group, by one of its keepers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAdd {
    /// The group's space.
    pub group: SpaceId,
    /// Who is added.
    pub party: Party,
    /// Whether it keeps the group.
    pub keeper: bool,
    /// As in [`AddDevice`].
    pub stay: u32,
    /// As in [`Grant`].
    pub since: Lengths,
}

/// Takes a part from a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRemove {
    /// The group's space.
    pub group: SpaceId,
    /// Who is taken out.
    pub party: PartyId,
    /// Their last stay that ends.
    pub stay: u32,
    /// As in [`Remove`].
    pub lengths: Lengths,
}

/// Starts an epoch of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartEpoch {
    /// The scope.
    pub scope: ScopeId,
    /// Which generation of its key, counted from 0.
    pub generation: u32,
    /// Commits to the key.
    pub key: KeyId,
    /// How much of which log's removals it takes into account; of a root statement that
    /// removes: its hash, length 1.
    pub knows: Lengths,
    /// The previous generation's key sealed under this one; empty if there is none.
    pub previous: Vec<u8>,
    /// This key sealed under that of the scope around it; empty if there is none.
    pub for_parent: Vec<u8>,
}

/// Declares the log that it opens to be a checkpoint of a scope (`docs/formats/checkpoint.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The scope of which it holds every document.
    pub scope: ScopeId,
    /// Entries of this log when the checkpoint is whole.
    pub entries: u64,
    /// Documents in it.
    pub documents: u64,
    /// Deletions made before this time are forgotten in it.
    pub horizon: Hlc,
}

/// Says from where those begin who read a scope and not what is around it: a checkpoint of the
/// subtree, sealed to the scope, which lies in the author's log before this operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeStart {
    /// The scope.
    pub scope: ScopeId,
    /// Which start of the scope, counted from 0; the latest counts.
    pub turn: u32,
    /// How much of which log it contains.
    pub covers: Lengths,
    /// The author's entry that holds its first piece; the last is in the entry before this one.
    pub first: u64,
    /// Hash of the whole checkpoint.
    pub hash: Hash,
}

/// Says which keys a device lacks that it may read with (`docs/formats/roster.md`, "Asking for keys"). It gives no
/// right: whoever answers seals to readers only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskKeys {
    /// Which ask of the device, counted from 0; the latest counts.
    pub turn: u32,
    /// Scope, generation and id of each key, ascending, at most [`ASKED_AT_ONCE_MAX`]; none says that nothing
    /// lacks any more.
    pub keys: Vec<(ScopeId, u32, KeyId)>,
}

/// Withholds parcels for good: what they said of redacted places is gone, the rest is said again in
/// the entry of this operation (`docs/formats/document.md`, "Redactions").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redact {
    /// The scope that the parcels are of; never `@roster`.
    pub scope: ScopeId,
    /// Their entries, ascending, at most [`REDACTED_AT_ONCE_MAX`].
    pub parcels: Vec<(WriterId, u64)>,
}

/// One operation on a space's roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterOp {
    /// Founds the space; counts only first in the entry whose hash is the space's id. It also
    /// claims its writer for the founding device.
    Genesis {
        /// The space's first name.
        name: Name,
        /// Makes the id unlike any other.
        nonce: [u8; 32],
        /// The founding device.
        device: DeviceRecord,
        /// The person who owns the space, by a card with this device on it; else the device does.
        card: Option<Card>,
        /// The device's signature; see [`sign_genesis`](crate::sign_genesis).
        signature: [u8; 64],
    },
    /// Binds the writer of this entry to a device.
    Claim {
        /// The device that says the writer is its own.
        device: DeviceId,
        /// Its signature; see [`sign_claim`](crate::sign_claim).
        signature: [u8; 64],
    },
    /// Lets someone in.
    Grant(Grant),
    /// Turns an invite into a membership.
    Join(Join),
    /// Ends memberships.
    Remove(Remove),
    /// Adds a device to an identity.
    AddDevice(AddDevice),
    /// Takes a device from an identity.
    RemoveDevice(RemoveDevice),
    /// Adds a part to a group.
    GroupAdd(GroupAdd),
    /// Takes a part from a group.
    GroupRemove(GroupRemove),
    /// Starts an epoch.
    Epoch(StartEpoch),
    /// Makes a subtree a scope with keys of its own.
    Scope {
        /// The subtree; it gives the scope its number, see [`scope_at`](crate::scope_at).
        path: Path,
    },
    /// Says from where those begin who read a scope only.
    Start(ScopeStart),
    /// Names the space anew.
    Rename {
        /// The name.
        name: Name,
        /// One more than the turn of the name before; the greatest turn counts.
        turn: u32,
    },
    /// Declares a checkpoint; counts only in the first entry of a log that its device made for it.
    Checkpoint(Checkpoint),
    /// Withholds parcels for good.
    Redact(Redact),
    /// Asks for keys.
    AskKeys(AskKeys),
    /// What a root key says, whoever carries it.
    RootStatement {
        /// Whose root key.
        identity: IdentityId,
        /// Makes the statement unlike any other.
        nonce: [u8; 32],
        /// Encoded operations; see [`encode_ops`].
        ops: Vec<u8>,
        /// The root key's signature; see [`sign_root_statement`](crate::sign_root_statement).
        signature: [u8; 64],
    },
    /// Something sealed to devices of a member; the roster carries it, and it means nothing here.
    Letter {
        /// One for each device, at most [`LETTER_BOXES_MAX`](crate::LETTER_BOXES_MAX).
        boxes: Vec<KeyBox>,
    },
}

#[cfg(test)]
mod tests;
