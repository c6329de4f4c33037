//! Presence: who is where in a space right now. Sealed and signed, passed on from device to device,
//! never stored.
//!
//! Owns the packets ([`Packet`], [`Said`]) and who knows of whom ([`Board`]), a machine without I/O:
//! time and keys are arguments. It knows no roster, no socket and no document; whether somebody may
//! be heard is its caller's to judge.

mod board;
mod packet;
mod said;

pub use board::{Board, Heard, Judge, Key, Output, SessionNo, Verdict};
pub use packet::{Head, OpenError, PACKET_BYTES_MAX, Packet, SealError, open, seal};
pub use said::{
    APP_BYTES_MAX, CURSORS_MAX, Cursor, FIELD_PARTS_MAX, PLACE_BYTES_MAX, Said, Shown,
    VALUE_BYTES_MAX, WHERE_BYTES_MAX,
};

/// Every limit of presence by name, in the unit that its name ends with.
pub mod limits {
    /// A device tells of one app at most this often; what changes faster is told by its last state.
    pub const PUBLISH_MS_MIN: u64 = 40;
    /// What did not change is said again this often.
    pub const REPEAT_MS: u64 = 10_000;
    /// Whoever was not heard for this long is gone.
    pub const TIMEOUT_MS: u64 = 30_000;
    /// What says that it was said longer ago than this, or later than now by more, is not heard.
    pub const FRESH_MS_MAX: u64 = 5 * 60_000;
    /// So long it is remembered how far somebody had counted who is gone: nothing that is still
    /// fresh can be played again.
    pub const REMEMBERED_MS: u64 = 2 * FRESH_MS_MAX + TIMEOUT_MS;
    /// Most apps of one device that are heard in one space.
    pub const APPS_PER_DEVICE_MAX: usize = 32;
    /// Most that is known in one space, gone ones included.
    pub const KNOWN_PER_SPACE_MAX: usize = 4096;
    /// Packets that are remembered so that they are passed on once.
    pub const SEEN_MAX: usize = 8192;
}
