//! The sync protocol: one [`Session`] is one connection between two devices, without any I/O.
//!
//! Owns the frames, their meaning and their limits (`docs/protocol/sync.md`). It never sees a
//! socket, a clock, a store or a source of randomness, and never looks inside a batch, a probe or
//! a fork proof: those are opaque bytes that the driver makes and verifies.
//!
//! A driver moves bytes and answers questions: hand every input to [`Session::handle`], then drain
//! [`Session::poll_output`] until it is empty. [`frame::FrameReader`] cuts a byte stream into
//! frames, the same way for QUIC, WebSocket and the simulator.

mod credit;
mod error;
pub mod frame;
mod frontier;
mod io;
pub mod limits;
mod membership;
mod message;
mod rotation;
mod session;
mod streaming;

pub use error::PeerMisbehaved;
pub use frame::Frame;
pub use frontier::{SpaceMembership, Tip};
pub use io::{CloseReason, GoodbyeCode, Input, Output, ReadRequest};
pub use message::{Message, WireTip, WriterRef};
pub use session::{Opening, Role, Session};

#[cfg(test)]
mod tests;
