//! From the faults of the replica and the store to what a client is told: a kind for programs, one
//! plain sentence, and what to do next.

use stead_api::{ApiError, ErrorKind};
use stead_replica::ReplicaError;
use stead_store::{QueryError, SqlError, StoreError};

/// A failed operation of the replica.
pub(crate) fn replica(error: &ReplicaError) -> ApiError {
    match error {
        ReplicaError::Store(error) => store(error),
        ReplicaError::Record { .. } => sentence(ErrorKind::Damaged, error)
            .hint("Run `stead doctor`; your other devices hold the data."),
        ReplicaError::ForeignKeys => sentence(ErrorKind::Damaged, error),
        ReplicaError::NoSuchSpace { name } => ApiError::new(
            ErrorKind::NotFound,
            format!("There is no space {name:?} on this device."),
        )
        .hint("`stead space list` shows the spaces that are here."),
        ReplicaError::AmbiguousSpace { .. } => sentence(ErrorKind::Ambiguous, error),
        ReplicaError::NotAdmitted { space } => ApiError::new(
            ErrorKind::NotAllowed,
            format!("This device was not let into {space:?} yet."),
        )
        .hint(
            "Bring a device that owns the space within reach; this one is let in by itself then.",
        ),
        ReplicaError::NotHeld { .. } => sentence(ErrorKind::NotHere, error).hint(
            "Bring a device within reach that has all of the space, or keep the collection here with `stead space keep`.",
        ),
        ReplicaError::Removed { .. } => sentence(ErrorKind::NotAllowed, error)
            .hint("Ask whoever manages the space for an invite if that was a mistake."),
        ReplicaError::OnlyMembersWrite { .. } => sentence(ErrorKind::NotAllowed, error)
            .hint("Ask whoever manages the space for an invite."),
        ReplicaError::NoRight { .. } => sentence(ErrorKind::NotAllowed, error)
            .hint("Somebody who manages the space can give you more: `stead members` lists them."),
        ReplicaError::BreaksSchema { .. } => {
            ApiError::new(ErrorKind::WrongType, format!("{error}."))
                .hint("`stead schema show` says what the collection holds.")
        }
        ReplicaError::Refused(_) => sentence(ErrorKind::InvalidParams, error),
        ReplicaError::TooLarge { .. } => {
            sentence(ErrorKind::TooLarge, error).hint("Split it into several transactions.")
        }
        ReplicaError::NoHome => sentence(ErrorKind::NotFound, error),
    }
}

/// A failed read or write of the store.
pub(crate) fn store(error: &StoreError) -> ApiError {
    match error {
        StoreError::DiskFull => ApiError::new(
            ErrorKind::DiskFull,
            "The disk is full: the change was not saved. Everything saved before is safe.",
        )
        .hint("Free some space and try again; the node goes on by itself."),
        StoreError::ReadOnly => ApiError::new(
            ErrorKind::ReadOnly,
            "The database cannot be written: nothing was changed. Reading still works.",
        )
        .hint("Make its folder and file writable, or mount the disk read-write; the node goes on by itself."),
        StoreError::Corrupt { detail } => ApiError::new(
            ErrorKind::Damaged,
            format!("The database file is damaged ({detail})."),
        )
        .hint("Stop the node and keep a copy of its folder; then link this device anew: your other devices hold the data."),
        StoreError::Interrupted => ApiError::new(
            ErrorKind::Busy,
            "The query took too long and was stopped.",
        )
        .hint("Ask for less at once, with conditions or a smaller limit."),
        StoreError::Busy => ApiError::new(
            ErrorKind::Store,
            "The database is in use by another program.",
        )
        .hint("Close the other program and try again."),
        StoreError::Query(error) => match error {
            QueryError::TooLong | QueryError::ManyGroups | QueryError::ManyWords => {
                sentence(ErrorKind::TooLarge, error)
            }
            QueryError::TextIndexUnfinished => sentence(ErrorKind::Busy, error),
            error => sentence(ErrorKind::InvalidParams, error),
        },
        StoreError::Index(error) => sentence(ErrorKind::InvalidParams, error),
        StoreError::Sql(error) => sql(error),
        error => sentence(ErrorKind::Store, error),
    }
}

/// A person's SQL that could not be answered.
fn sql(error: &SqlError) -> ApiError {
    let (kind, hint) = match error {
        SqlError::NotAllowed { .. } => (
            ErrorKind::NotAllowed,
            "Each collection of the space is a table; write with `stead put`.",
        ),
        SqlError::Wrong { .. } => (
            ErrorKind::InvalidParams,
            "Each collection is a table with the columns id, json and one for each common field; `json ->> 'field'` reaches all others.",
        ),
        SqlError::Several => (
            ErrorKind::InvalidParams,
            "Ask for the second one separately.",
        ),
        SqlError::NoAnswer => (
            ErrorKind::NotAllowed,
            "Write with `stead put` and `stead delete`.",
        ),
        SqlError::TooSlow | SqlError::TooMuchMemory => (
            ErrorKind::Busy,
            "Ask for less, or use `stead query`, which uses indexes.",
        ),
        SqlError::TooLarge => (ErrorKind::TooLarge, "Ask for less."),
    };
    sentence(kind, error).hint(hint)
}

/// A change that was made but could not be made safe.
pub(crate) fn unconfirmed(error: ApiError) -> ApiError {
    ApiError {
        message: format!(
            "{} Whether this change survives a loss of power is not certain.",
            error.message
        ),
        ..error
    }
}

/// A library's message as a sentence: with a capital and a full stop.
pub(crate) fn sentence(kind: ErrorKind, error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(kind, capitalized(&error.to_string()))
}

/// Makes a clause a sentence. One that begins with what it is about, as in `title: ...`, keeps that name as it is.
pub(crate) fn capitalized(clause: &str) -> String {
    let is_name = clause
        .split_whitespace()
        .next()
        .is_some_and(|word| word.ends_with(':'));
    let mut letters = clause.chars();
    let mut out: String = match letters.next() {
        Some(first) if is_name => first.to_string(),
        Some(first) => first.to_uppercase().collect(),
        None => String::new(),
    };
    out.push_str(letters.as_str());
    if !out.ends_with(['.', '!', '?']) {
        out.push('.');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_disk_says_what_to_do() {
        for (error, kind) in [
            (StoreError::DiskFull, ErrorKind::DiskFull),
            (StoreError::ReadOnly, ErrorKind::ReadOnly),
            (
                StoreError::Corrupt {
                    detail: "page 7".into(),
                },
                ErrorKind::Damaged,
            ),
        ] {
            let error = replica(&ReplicaError::Store(error));
            assert_eq!(error.kind, kind);
            assert!(!error.hint.is_empty(), "{error}");
        }
    }

    #[test]
    fn a_clause_becomes_a_sentence() {
        assert_eq!(capitalized("it is late"), "It is late.");
        assert_eq!(capitalized("title: too long"), "title: too long.");
        assert_eq!(capitalized("Really?"), "Really?");
    }
}
