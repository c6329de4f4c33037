//! Keeps Loro's failures to one field: its panics become errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use stead_doc::RichError;

/// Runs `f`; a panic in it is [`RichError::Broken`]. Whatever `f` was given must be dropped then.
pub(crate) fn guarded<T>(f: impl FnOnce() -> Result<T, RichError>) -> Result<T, RichError> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(done) => done,
        Err(panic) => Err(RichError::Broken {
            what: said(&*panic),
        }),
    }
}

/// An error of Loro that must not happen.
pub(crate) fn broken(error: impl std::fmt::Display) -> RichError {
    RichError::Broken {
        what: error.to_string(),
    }
}

/// An edit that does not fit.
pub(crate) fn refused(what: impl Into<String>) -> RichError {
    RichError::Refused { what: what.into() }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked".to_owned())
}
