//! The server side of this program: the only file that links the node. Everything else speaks to it through its socket.

use std::path::PathBuf;

use crate::{
    args::{Relay, Up},
    exit::{Code, Failure},
    output::Output,
};

/// Runs the node in this process until it is stopped.
pub(crate) fn node(_home: PathBuf, _up: &Up) -> Result<(), Failure> {
    Err(Failure::new(Code::Failed, "not wired"))
}

/// Runs a relay in this process until it is interrupted.
pub(crate) fn relay(_args: &Relay, _out: &Output) -> Result<(), Failure> {
    Err(Failure::new(Code::Failed, "not wired"))
}
