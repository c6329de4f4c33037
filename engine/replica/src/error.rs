//! What can go wrong in a replica, and whose fault it is.

use stead_base::{DecodeError, SpaceId, WriterId};
use stead_store::StoreError;

/// A failed operation of this device.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The store failed; its message says what to do. Nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store was opened but what it holds cannot be read.
    #[error(
        "the database holds a record that cannot be read ({what}: {source}); run `stead doctor`"
    )]
    Record {
        /// Which record.
        what: &'static str,
        /// Why not.
        #[source]
        source: DecodeError,
    },
    /// A secret in the store does not open with this device's keys.
    #[error(
        "the keys in the database belong to another device: put back the key file that was here when it was made"
    )]
    ForeignKeys,
    /// No space has this name or id.
    #[error("there is no space {name:?} on this device")]
    NoSuchSpace {
        /// What was asked for.
        name: String,
    },
    /// Several spaces fit a name or the start of an id.
    #[error("several spaces are called {name:?}: name one by the start of its id ({})", ids.iter().map(SpaceId::short).collect::<Vec<_>>().join(", "))]
    AmbiguousSpace {
        /// What was asked for.
        name: String,
        /// The spaces that fit.
        ids: Vec<SpaceId>,
    },
    /// This device may not write to the space (yet).
    #[error(
        "this device was not let into {space:?} yet: it can write there once a device that owns the space has been reached"
    )]
    NotAdmitted {
        /// The space's name.
        space: String,
    },
    /// This device was put out of the space.
    #[error("this device was put out of {space:?}: what it would write there counts nowhere")]
    Removed {
        /// The space's name.
        space: String,
    },
    /// This device reads a space as everyone may or might, and is no member.
    #[error("only its members write in {space:?}: this device reads what is public there")]
    OnlyMembersWrite {
        /// The space's name.
        space: String,
    },
    /// This device may not write there.
    #[error(
        "this device may not write to {path} in {space:?}; `stead can me write {path} --space {space}` says why"
    )]
    NoRight {
        /// The space's name.
        space: String,
        /// Where.
        path: String,
    },
    /// A document of a space of which this device keeps a part is not here.
    #[error("{document} of {space:?} is not on this device, which keeps only a part of that space")]
    NotHeld {
        /// The space's name.
        space: String,
        /// `collection/id`.
        document: String,
    },
    /// The change would break a rule of the collection's schema.
    #[error("{document}: {fault}")]
    BreaksSchema {
        /// `collection/id`.
        document: String,
        /// The field, what it needs, and what was found.
        fault: stead_schema::Fault,
    },
    /// The change was refused where it was made.
    #[error("{0}")]
    Refused(String),
    /// The transaction is larger than one entry may be.
    #[error("the transaction takes {bytes} bytes, more than the {max} that one may have: split it")]
    TooLarge {
        /// Bytes it would take.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// This device has no home space yet.
    #[error("this device has no identity yet: run `stead up`")]
    NoHome,
}

impl ReplicaError {
    /// Whether the disk failed or what is on it is damaged: who met it by a reader goes on with
    /// [another](crate::ReplicaReader::again).
    pub const fn is_of_disk(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_of_disk())
    }
}

/// Why a received batch was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The peer broke the rules; cut the connection.
    #[error("the peer sent a batch of writer {} that breaks the rules: {detail}", writer.map_or_else(|| "?".to_owned(), |w| w.short()))]
    Misbehaved {
        /// Whose log it claimed to be, when that could be read.
        writer: Option<WriterId>,
        /// Which rule.
        detail: String,
    },
    /// A signature does not fit what is held: the bytes were changed, or the writer forked its
    /// log. Probing tells which.
    #[error("what the peer sent of writer {} does not continue what is held", writer.short())]
    Contradiction {
        /// Whose log.
        writer: WriterId,
    },
    /// Entries were left out by a device whose word does not count here: it neither manages the space
    /// nor is one of this person's.
    #[error("what a device leaves out of the log of writer {} is not taken from it", writer.short())]
    NotTrusted {
        /// Whose log.
        writer: WriterId,
    },
    /// The batch starts after what is held. Ask again from there.
    #[error("the batch of writer {} does not start at entry {held}", writer.short())]
    Gap {
        /// Whose log.
        writer: WriterId,
        /// Entries held.
        held: u64,
    },
    /// The writer is not admitted and has sent as much as is kept of such writers.
    #[error("writer {} is not a member, and no more is kept of it", writer.short())]
    NotAdmitted {
        /// Whose log.
        writer: WriterId,
    },
    /// The space is not on this device.
    #[error("there is no space {} on this device", .0.short())]
    NoSuchSpace(SpaceId),
    /// This device failed, not the peer.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
}
