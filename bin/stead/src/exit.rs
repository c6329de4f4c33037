//! Exit codes, and failures as people and programs see them.

use std::{fmt, io};

use stead_api::{ApiError, ClientError, ErrorKind};
use stead_interchange::{ReadError, WriteError};

/// What the program's exit status means; documented in `stead --help` and docs/cli.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Failed = 1,
    Usage = 2,
    NotRunning = 3,
    NotFound = 4,
    Refused = 5,
    Partly = 6,
    Trouble = 7,
    Storage = 8,
    NoAnswer = 9,
    /// What shells give a program that Ctrl-C ended.
    Interrupted = 130,
}

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// The name for programs.
    pub(crate) kind: &'static str,
    /// One plain sentence.
    pub(crate) message: String,
    /// What to do next; may be empty.
    pub(crate) hint: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let kind = match code {
            Code::Failed => "failed",
            Code::Usage => "usage",
            Code::NotRunning => "not_running",
            Code::NotFound => "not_found",
            Code::Refused => "refused",
            Code::Partly => "partly_done",
            Code::Trouble => "trouble",
            Code::Storage => "storage",
            Code::NoAnswer => "no_answer",
            Code::Interrupted => "interrupted",
        };
        Self {
            code,
            kind,
            message: message.into(),
            hint: String::new(),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    pub(crate) fn not_running() -> Self {
        Self::new(Code::NotRunning, "Stead is not running.").hint("Start it with: stead up")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let code = match error.kind {
            ErrorKind::NotFound | ErrorKind::NotHere | ErrorKind::LinkNobody => Code::NotFound,
            ErrorKind::InvalidParams | ErrorKind::Ambiguous | ErrorKind::BadName => Code::Usage,
            ErrorKind::Exists
            | ErrorKind::LinkMalformed
            | ErrorKind::LinkWrong
            | ErrorKind::LinkUsed
            | ErrorKind::LinkExpired
            | ErrorKind::LinkOwnDevice
            | ErrorKind::LinkTaken
            | ErrorKind::LinkCodeWrong
            | ErrorKind::LinkRefused
            | ErrorKind::NotAllowed
            | ErrorKind::WrongType
            | ErrorKind::TooLarge
            | ErrorKind::Unauthorized
            | ErrorKind::KeyReused
            | ErrorKind::Clock => Code::Refused,
            ErrorKind::LinkUnreachable | ErrorKind::Busy | ErrorKind::Stopping => Code::NoAnswer,
            ErrorKind::DiskFull | ErrorKind::ReadOnly | ErrorKind::Damaged | ErrorKind::Store => {
                Code::Storage
            }
            ErrorKind::ParseError
            | ErrorKind::InvalidRequest
            | ErrorKind::UnknownMethod
            | ErrorKind::Internal => Code::Failed,
        };
        Self {
            code,
            kind: error.kind.name(),
            message: error.message,
            hint: error.hint,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotRunning { .. } => Self::not_running(),
            ClientError::Api(error) => error.into(),
            ClientError::Broken(err) if err.kind() == io::ErrorKind::PermissionDenied => {
                Self::new(Code::Refused, "The running Stead belongs to another user.")
                    .hint("Run the command as that user, or give another --home.")
            }
            ClientError::Broken(err)
                if matches!(
                    err.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Self::new(Code::NoAnswer, "Stead did not answer in time.").hint(
                    "Look at node.log in its home, or stop and start it: stead down, stead up",
                )
            }
            ClientError::Broken(_) => {
                Self::new(Code::NoAnswer, "Stead stopped while it was asked.")
                    .hint("See how it is with: stead status")
            }
            ClientError::Unreadable(err) => Self::new(
                Code::Failed,
                format!("The node and this program do not understand each other: {err}."),
            )
            .hint("Both must be of one version: stead down, then stead up"),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        use stead_interchange::Problem;
        let not_found =
            matches!(&error.problem, Problem::Io(err) if err.kind() == io::ErrorKind::NotFound);
        if not_found {
            let file = error.file.display();
            return Self::new(
                Code::NotFound,
                format!("There is no file or folder {file}."),
            );
        }
        Self::new(Code::Failed, format!("{error}."))
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::new(Code::Failed, format!("{error}."))
    }
}
