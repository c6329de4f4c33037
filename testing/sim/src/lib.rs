//! A whole network of nodes from one seed: real replicas over simulated disks, real sync sessions
//! over a simulated network, and one random number that decides everything else.
//!
//! Owns the world (time, network, disks, people who write) and the judgement afterwards. It holds no
//! second copy of what it tests: replica, store, protocol and cryptography are the product's own.

mod chance;
mod connection;
mod ledger;
mod malice;
mod node;
mod parts;
mod people;
mod stage;
mod world;

pub use people::{PeopleReport, run_people};
pub use world::{Failure, Report, run_guests, run_parts, run_seed};
