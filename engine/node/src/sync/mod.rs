//! Syncing with other devices: connections, sessions over them, and who fetches what from whom.

pub(crate) mod facts;
pub(crate) mod fetches;
pub(crate) mod mailbox;
mod outbox;
pub(crate) mod peers;
pub(crate) mod prepare;
pub(crate) mod session;
mod wire;

/// The protocol of a connection that syncs.
pub(crate) const SYNC_ALPN: &[u8] = b"stead/sync/1";
