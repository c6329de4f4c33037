//! A running device: composes replica, network, keys and the message protocol, and owns the event
//! loops, threads and files around them.
//!
//! It decides when things happen, never what they mean: merging is the replica's, paths are the
//! network's, the sync protocol is `stead_sync`'s. It prints nothing and reads no environment.

mod api;
pub mod at_rest;
pub mod audit;
mod clock;
mod config;
mod desk;
mod directory;
mod doctor;
mod error;
mod faults;
mod home;
pub mod invite;
pub mod link;
mod node;
mod platform;
mod readers;
pub mod recover;
pub mod relay;
pub mod sign_in;
mod sign_of_life;
mod status;
mod store_thread;
mod sync;

pub use config::{AtRest, NodeConfig};
pub use error::NodeError;
pub use home::{LOCK_FILE, STORE_FILE, needs_passphrase};
pub use node::{Node, run};
pub use stead_keys::{Kind as KeyKind, OsKeyring, Policy as KeyPolicy};
pub use stead_net::{Bind, Lan, PeerHints, RelayAccess, RelayUrl};
