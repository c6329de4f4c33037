//! Every named limit that two rooms must agree on. A limit used by one room lives in that room.

/// Largest encoded log entry: one atomic transaction, in bytes.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Most parcels in one entry (one per scope it touches, plus key boxes).
pub const ENTRY_PARCELS_MAX: usize = 64;
/// Largest frame of the sync protocol, in bytes.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// A batch of entries is closed once it holds this many bytes (one larger entry may exceed it).
pub const BATCH_BYTES_TARGET: usize = 256 << 10;
/// Most entries in one batch.
pub const BATCH_ENTRIES_MAX: usize = 4096;
/// Longest log, in entries.
pub const LOG_LEN_MAX: u64 = 1 << 40;
/// Longest field, collection or space name, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 128;
/// Deepest path below a document's root.
pub const PATH_DEPTH_MAX: usize = 32;
/// Largest merged document state, in bytes.
pub const DOC_BYTES_MAX: usize = 8 << 20;
/// Longest document id given by a person or a program, in bytes of UTF-8.
pub const DOC_NAME_BYTES_MAX: usize = 64;
/// Most writers that one space keeps logs of.
pub const WRITERS_MAX: usize = 65_536;
/// Most spaces on one device.
pub const SPACES_MAX: usize = 4096;
