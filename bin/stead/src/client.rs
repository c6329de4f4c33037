//! Connecting to the node of a home.

use std::path::Path;

use stead_api::{API_VERSION, Client};

use crate::exit::{Code, Failure};

/// A connection to the running node, or the plain statement that there is none.
pub(crate) fn connect(home: &Path) -> Result<Client, Failure> {
    Ok(Client::connect(home)?)
}

/// Refuses a node that speaks another version of the protocol.
pub(crate) fn check_version(api: u32) -> Result<(), Failure> {
    match api == API_VERSION {
        true => Ok(()),
        false => Err(Failure::new(
            Code::Failed,
            "The running Stead is of another version than this program.",
        )
        .hint("Start it again: stead down, then stead up")),
    }
}
