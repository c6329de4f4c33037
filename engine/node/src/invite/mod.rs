//! Inviting people: how someone else's device joins a space, over a connection of its own.
//!
//! `docs/protocol/invite.md` describes it to the byte. Owns the exchange; whether the newcomer is let
//! in is for the roster's rules.

pub mod codec;
pub(crate) mod join;
pub(crate) mod offer;

/// The protocol of a connection by which someone joins.
pub(crate) const INVITE_ALPN: &[u8] = b"stead/invite/1";
