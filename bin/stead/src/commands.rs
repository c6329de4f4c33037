//! One file a command. They speak to the node through `stead_api` only.

pub(crate) mod at_rest;
pub(crate) mod audit;
pub(crate) mod contact;
pub(crate) mod device;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod faces;
pub(crate) mod group;
pub(crate) mod guardians;
pub(crate) mod identity;
pub(crate) mod import;
pub(crate) mod link;
pub(crate) mod log;
pub(crate) mod play;
pub(crate) mod read;
pub(crate) mod recover;
pub(crate) mod rights;
pub(crate) mod schema;
pub(crate) mod share;
pub(crate) mod shell;
pub(crate) mod sign_in;
pub(crate) mod space;
pub(crate) mod status;
pub(crate) mod up;
pub(crate) mod watch;
pub(crate) mod write;
