//! Checkpoints: what a space shows at a frontier, in blocks that need nothing but themselves, so
//! that newcomers start without the past and the past can be dropped.
//!
//! Owns the bytes of blocks (`docs/formats/checkpoint.md`): merged states of documents with the
//! names and writers spelled out, and skeletons of logs. It never sees a key, a store or a right:
//! who may make a checkpoint is `core/access`'s to say, sealing and signing are the log's.

mod block;
mod documents;
mod error;
mod logs;
mod part;
mod rich;

pub use block::{
    Assembler, BLOCK_BYTES_MAX, BLOCK_BYTES_TARGET, BlockKind, PIECE_BYTES_MAX, pieces,
};
pub use documents::{DocumentsReader, DocumentsWriter, Place};
pub use error::CheckpointError;
pub use logs::{LogStart, decode_logs, encode_logs};
pub use part::{
    ASKED_DOCUMENTS_MAX, Ask, Choose, DocumentName, PART_COLLECTIONS_MAX, PART_DOCUMENTS_MAX,
    PART_QUERIES_MAX, PART_QUERY_BYTES_MAX, Slice, Units,
};
pub use rich::RichState;
