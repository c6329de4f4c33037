//! Where words go: results to standard output, everything else to standard error; JSON for programs.

use std::io::{self, IsTerminal as _, Write as _};

use console::style;
use serde::Serialize;
use serde_json::json;

use crate::exit::{Code, Failure};

/// The two faces of every command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// For programs.
    pub(crate) json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// A line for people; programs get none.
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        if !self.json {
            self.line(line.as_ref());
        }
    }

    /// A line for people that is no result: programs and pipes do not see it.
    pub(crate) fn remark(&self, line: impl AsRef<str>) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{}", line.as_ref());
        }
    }

    /// The result for programs: indented when a person looks at it, else in one line.
    pub(crate) fn json(&self, value: &impl Serialize) {
        if self.json {
            let text = match self.is_terminal() {
                true => serde_json::to_string_pretty(value),
                false => serde_json::to_string(value),
            };
            self.line(&text.unwrap_or_default());
        }
    }

    /// One line of a stream for programs.
    pub(crate) fn json_line(&self, value: &impl Serialize) {
        self.line(&serde_json::to_string(value).unwrap_or_default());
    }

    /// Whether a person looks at the results.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// How wide the terminal is; none when there is none.
    pub(crate) fn width(&self) -> Option<usize> {
        console::Term::stdout()
            .size_checked()
            .filter(|_| self.is_terminal())
            .map(|(_, width)| usize::from(width))
    }

    /// What went wrong, on standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        let mut err = io::stderr().lock();
        if self.json {
            let error = json!({
                "error": {
                    "kind": failure.kind,
                    "message": failure.message,
                    "hint": failure.hint,
                    "exit_code": failure.code as u8,
                }
            });
            let _ = writeln!(err, "{error}");
            return;
        }
        if failure.code == Code::Interrupted && failure.message.is_empty() {
            return;
        }
        let _ = writeln!(
            err,
            "{} {}",
            style("Error:").for_stderr().red().bold(),
            failure.message
        );
        if !failure.hint.is_empty() {
            let _ = writeln!(err, "  {}", failure.hint);
        }
    }

    fn line(&self, line: &str) {
        if let Err(err) = writeln!(io::stdout(), "{line}") {
            // Whoever read this has enough: `stead query ... | head`.
            let quiet = err.kind() == io::ErrorKind::BrokenPipe;
            std::process::exit(if quiet { 0 } else { Code::Failed as i32 });
        }
    }
}
