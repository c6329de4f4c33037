//! One device's spaces over one store: writes, receives, merges and answers.
//!
//! Composes the core rooms with the store. It opens no socket, starts no thread and reads no clock:
//! time and randomness are arguments, so the same code runs in a node, in the simulator and, later,
//! in a browser. It does not know what carries batches or who asks for documents.

// Tests of the inside share the devices of those outside.
#[cfg(test)]
extern crate self as stead_replica;

/// Devices for the tests inside, as those outside have them.
#[cfg(test)]
#[path = "../tests/world/mod.rs"]
mod world;

mod ahead;
mod asking;
mod audit;
mod checkpoint;
mod commit;
mod doctor;
mod epochs;
mod error;
mod events;
mod everyone;
mod faces;
mod forgetting;
mod forks;
mod groups;
mod guardians;
mod history;
mod identity;
mod indexes;
mod keyring;
mod late_keys;
mod logs;
mod membership;
mod merge;
mod naming;
mod offers;
mod opening;
mod part;
mod parts;
mod past;
mod prepare;
mod presence;
mod purging;
mod reader;
mod records;
mod recovery;
mod redaction;
mod replica;
mod rich;
mod rights;
mod said_again;
mod schema_check;
mod schemas;
mod scoping;
mod sealing;
mod signing;
mod space;
mod starts;
mod transact;
mod translate;
mod undo;
mod writing;

pub use audit::{RightsEvidence, RightsItem};
pub use checkpoint::{CheckpointInfo, Compacted, Compaction, HistoryKept};
pub use commit::Received;
pub use doctor::{Finding, Severity};
pub use error::{ReceiveError, ReplicaError};
pub use events::{DocChange, Event};
pub use faces::feed::{
    FEED_APPEND_MAX, FEED_READ_MAX, FeedCheck, FeedItem, FeedPart, part_of_document,
};
pub use faces::kv::{Key, KeyChange, KeyDifference, RANGE_MAX, Range, key_of_document};
pub use faces::{FACE_VALUE_BYTES_MAX, FaceValue};
pub use forks::ProbeNext;
pub use groups::{GroupInfo, GroupMember};
pub use guardians::{
    Collected, GUARDIANS, Guardian, Guardians, HELD, HeldShare, Letter, ReleasedShare, put_together,
};
pub use history::{HistoryItem, HistoryQuery, LogProof, TouchedDocument, roster_in_words};
pub use identity::OwnDevice;
pub use indexes::IndexInfo;
pub use membership::SpaceTicket;
pub use naming::Contact;
pub use part::{Chosen, Filled, Follower, PartInfo, Question};
pub use past::{
    Earlier, FieldChange, Look, Moment, PAST_DOCS_MAX, PAST_ENTRIES_MAX, Past, Step, Story,
    differences,
};
pub use prepare::{Prepared, Preparer};
pub use reader::{ReplicaReader, SqlReader};
pub use recovery::{Checked, HeldSpace, RootWord, SwappedSpace};
pub use redaction::Redaction;
pub use replica::{DeviceInfo, Replica, SpaceInfo};
pub use rich::{Folding, RichAsk, RichNews, RichPlaces, RichShown, RichVersion};
pub use rights::{Invite, MemberInfo, Revoked};
pub use schema_check::{SchemaFault, SchemaReport};
pub use schemas::{AS_HELD, SCHEMAS, Schema, Speaks, is_reserved};
pub use signing::Signer;
pub use space::FrontierItem;
pub use stead_checkpoint::{Ask, Choose, DocumentName, Units};
pub use stead_doc::check_collection;
pub use stead_doc::{NodeName, RichEdit, RichKind, TextUnit};
pub use stead_store::{
    CollectionNo, Condition, Cursor, Direction, DocRow, Filter, Found, Query, Scalar, SortKey, Test,
};
pub use transact::{Change, Edit, Receipt};
pub use undo::Undone;
