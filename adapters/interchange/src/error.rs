//! What can go wrong with a file: always with its name, and the line and record where there are such.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// A file, or a record of it, that could not be read.
#[derive(Debug, thiserror::Error)]
pub struct ReadError {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: Option<u64>,
    /// The record, counted from 1.
    pub record: Option<u64>,
    /// What is the matter.
    #[source]
    pub problem: Problem,
}

/// What is the matter with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be opened or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is a folder, and this format needs a file.
    #[error("this is a folder; this format is read from a file")]
    Folder,
    /// This format needs a folder.
    #[error("this format is read from a folder")]
    NoFolder,
    /// The text is not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// It is not of the format.
    #[error("{0}")]
    Syntax(String),
    /// A value that should be an object.
    #[error("a record must be an object with named fields, and this one is {found}")]
    NotAnObject {
        /// What it is: `a number`, `a list` ...
        found: &'static str,
    },
    /// One record is beyond [`crate::RECORD_BYTES_MAX`].
    #[error("a record has at most {} MiB", crate::RECORD_BYTES_MAX >> 20)]
    TooLarge,
    /// An export that only the program that made it can open.
    #[error(
        "this export is encrypted: export the vault again as .json, without encryption, and delete that file once it is imported"
    )]
    Encrypted,
    /// A part that has a beginning and no end.
    #[error("BEGIN:{component} has no END:{component}")]
    Unclosed {
        /// Its name.
        component: String,
    },
}

impl ReadError {
    pub(crate) fn new(file: &Path, problem: Problem) -> Self {
        Self {
            file: file.into(),
            line: None,
            record: None,
            problem,
        }
    }

    pub(crate) fn io(file: &Path, err: io::Error) -> Self {
        Self::new(file, Problem::Io(err))
    }

    pub(crate) fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    pub(crate) fn in_record(mut self, record: u64) -> Self {
        self.record = Some(record);
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(record) = self.record {
            write!(f, ", record {record}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// A record, or the end of a file, that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file or folder cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document is no JSON object.
    #[error("the document {id} has no fields")]
    NotAnObject {
        /// Its id.
        id: String,
    },
}

impl WriteError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
