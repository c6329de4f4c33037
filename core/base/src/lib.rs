//! The ground floor: identifiers, hybrid time, canonical encoding and limits.
//!
//! Owns the words every other room shares. It must not know about keys, documents, stores or
//! networks, and it never reads a clock or a source of randomness: both arrive as arguments.

pub mod codec;
mod doc_id;
mod entropy;
mod hybrid_time;
mod ids;
pub mod limits;

pub use codec::{DecodeError, DecodeFault, Decoder, Encoder};
pub use doc_id::{DocId, DocIdError, DocName};
pub use entropy::Entropy;
pub use hybrid_time::{FUTURE_TOLERANCE_MS, Hlc, HlcClock, Stamp};
pub use ids::{DeviceId, Hash, IdError, ScopeId, SpaceId, WriterId};
