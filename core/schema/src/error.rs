//! Why a schema was refused.

use stead_base::DecodeError;

use crate::revision::RevisionId;

/// Why a revision, a lens or a declaration was refused. Nothing of it has been taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SchemaError {
    /// The bytes break the format.
    #[error("malformed revision")]
    Malformed(#[source] DecodeError),
    /// The bytes use what only a newer version of the format defines; keep them for it.
    #[error(
        "made by a newer version of Stead: {what} {found} is not understood here; update Stead on this device"
    )]
    NotUnderstood {
        /// The kind of thing met.
        what: &'static str,
        /// Its number.
        found: u64,
    },
    /// A field, rule or lens does not make sense.
    #[error("schema of {collection}: {what}")]
    Invalid {
        /// The collection.
        collection: String,
        /// What is wrong, in words.
        what: String,
    },
    /// A lens does not fit the revision it is made from.
    #[error("schema of {collection}: lens {number} ({lens}): {what}")]
    Lens {
        /// The collection.
        collection: String,
        /// Which one, from 1.
        number: usize,
        /// What it does, in words.
        lens: String,
        /// Why it does not fit.
        what: String,
    },
    /// Too much of something.
    #[error("schema of {collection}: {found} {what}, at most {max} are allowed")]
    TooMany {
        /// The collection.
        collection: String,
        /// Of what.
        what: &'static str,
        /// How much was found.
        found: usize,
        /// How much is allowed.
        max: usize,
    },
    /// The revision it is made from is not known here.
    #[error(
        "schema of {collection}: revision {parent} that it is made from is not known on this device; bring a device that has it within reach"
    )]
    NoParent {
        /// The collection.
        collection: String,
        /// The revision wanted.
        parent: RevisionId,
    },
    /// Another revision was made from the same one.
    #[error("schema of {collection}: revision {number} ({newer}) was made from the same revision already, and a chain has no branches; look at it with `stead schema show`, and make yours from the newest", newer = newer.short())]
    Branch {
        /// The collection.
        collection: String,
        /// The one that is there.
        newer: RevisionId,
        /// Its number.
        number: u32,
    },
    /// A text of a declaration or a lens is not understood.
    #[error("{place}: {what}")]
    Json {
        /// Where.
        place: String,
        /// What is wrong, in words.
        what: String,
    },
    /// The chain has no such revision.
    #[error("{collection} has no revision {wanted:?}; `stead schema show` lists them")]
    NoRevision {
        /// The collection.
        collection: String,
        /// What was asked for.
        wanted: String,
    },
}

impl From<DecodeError> for SchemaError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}
