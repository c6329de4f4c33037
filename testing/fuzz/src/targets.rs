//! The targets, one file for each room whose decoders they reach.

pub mod access;
pub mod api;
pub mod checkpoint;
pub mod crypt;
pub mod doc;
pub mod log;
pub mod presence;
pub mod query;
mod question;
pub mod rich;
pub mod schema;
pub mod sync;
