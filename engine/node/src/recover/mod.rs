//! Coming back with nothing but the recovery words: how an empty device proves to whoever holds the
//! person's spaces that it speaks for their root key, and gets what they may read.
//!
//! `docs/protocol/recover.md` describes it to the byte. Owns both sides of the exchange and the attempt as the
//! person sees it; what is handed over, and whether it is true, is the replica's to say.

pub(crate) mod attempt;
pub mod codec;
mod dial;
pub(crate) mod holder;
pub mod proofs;
pub(crate) mod shares;

/// The protocol of a connection by which somebody comes back.
pub const RECOVER_ALPN: &[u8] = b"stead/recover/1";
