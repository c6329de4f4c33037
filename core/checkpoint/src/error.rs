//! Why the bytes of a checkpoint were refused.

use stead_base::DecodeError;
use stead_doc::RowError;

/// Why the bytes of a checkpoint were refused. Nothing of the block was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes break the format.
    #[error("malformed checkpoint")]
    Malformed(#[source] DecodeError),
    /// A document's state breaks the format.
    #[error("a document in a checkpoint cannot be read")]
    Document(#[source] RowError),
    /// A piece does not belong where it stands.
    #[error("a piece of a checkpoint is out of place")]
    OutOfPlace,
    /// The bytes use what only a newer version defines.
    #[error("made by a newer version: block kind {found} is not understood here")]
    NotUnderstood {
        /// The kind met.
        found: u8,
    },
    /// A block or a document is larger than a block may be.
    #[error("a part of a checkpoint has {found} bytes, more than the {max} allowed")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Most bytes allowed.
        max: usize,
    },
}

impl From<DecodeError> for CheckpointError {
    fn from(err: DecodeError) -> Self {
        Self::Malformed(err)
    }
}

impl From<RowError> for CheckpointError {
    fn from(err: RowError) -> Self {
        Self::Document(err)
    }
}
