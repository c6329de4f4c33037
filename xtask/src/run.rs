//! Runs other programs: shows what they print as it comes, and remembers the lines that count tests.
//! It must not decide which programs run, nor read a terminal: every child gets an empty standard input.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::Failure;

/// Tests counted from the closing lines of test runners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What a program left behind: whether it succeeded, and the closing lines of the test runners inside it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) counts: Counts,
    pub(crate) closing_lines: Vec<String>,
}

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn workspace_root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent()
        .map_or_else(|| here.clone(), Path::to_path_buf)
}

/// A `cargo` command in the workspace's root, coloured when a person watches.
pub(crate) fn cargo(words: &[&str]) -> Command {
    let mut command = program(std::env::var("CARGO").as_deref().unwrap_or("cargo"), words);
    // xtask was itself started by cargo: what that set for this package must not reach another build.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST") {
            command.env_remove(name);
        }
    }
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// Any program, started in the workspace's root with an empty standard input.
pub(crate) fn program(name: &str, words: &[&str]) -> Command {
    let mut command = Command::new(name);
    command
        .args(words)
        .current_dir(workspace_root())
        .stdin(Stdio::null());
    command
}

/// Runs a command, shows its output as it comes, and gathers the closing lines of test runners.
pub(crate) fn watched(mut command: Command) -> Result<Outcome, Failure> {
    let shown = show(&command);
    eprintln!("    $ {shown}");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| format!("could not start `{shown}`: {cause}"))?;
    let closing_lines = Arc::new(Mutex::new(Vec::new()));
    let mut readers = Vec::new();
    if let Some(output) = child.stdout.take() {
        let lines = Arc::clone(&closing_lines);
        readers.push(std::thread::spawn(move || {
            pass_on(output, std::io::stdout(), &lines)
        }));
    }
    if let Some(output) = child.stderr.take() {
        let lines = Arc::clone(&closing_lines);
        readers.push(std::thread::spawn(move || {
            pass_on(output, std::io::stderr(), &lines)
        }));
    }
    let status = child
        .wait()
        .map_err(|cause| format!("lost sight of `{shown}`: {cause}"))?;
    for reader in readers {
        let _ = reader.join();
    }
    let closing_lines = closing_lines
        .lock()
        .map(|lines| lines.clone())
        .unwrap_or_else(|poisoned| poisoned.into_inner().clone());
    let mut counts = Counts::default();
    for line in &closing_lines {
        counts.add(count(line).unwrap_or_default());
    }
    Ok(Outcome {
        success: status.success(),
        counts,
        closing_lines,
    })
}

/// Runs a command to its end and returns its standard output; a failure carries what it said.
pub(crate) fn captured(mut command: Command) -> Result<String, Failure> {
    let shown = show(&command);
    let output = command
        .output()
        .map_err(|cause| format!("could not start `{shown}`: {cause}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "`{shown}` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

/// Whether a program of this name is on the `PATH`.
pub(crate) fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
        || Path::new("/usr/sbin").join(name).is_file()
}

/// The folder cargo builds into, wherever the environment put it.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace_root().join(folder),
        None => workspace_root().join("target"),
    }
}

fn show(command: &Command) -> String {
    let mut shown = Path::new(command.get_program())
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    for word in command.get_args() {
        shown.push(' ');
        shown.push_str(&word.to_string_lossy());
    }
    shown
}

fn pass_on(from: impl std::io::Read, mut to: impl Write, closing_lines: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(from);
    let mut bytes = Vec::new();
    while reader
        .read_until(b'\n', &mut bytes)
        .is_ok_and(|read| read > 0)
    {
        let _ = to.write_all(&bytes).and_then(|()| to.flush());
        let line = plain(&String::from_utf8_lossy(&bytes));
        if count(&line).is_some()
            && let Ok(mut lines) = closing_lines.lock()
        {
            lines.push(line);
        }
        bytes.clear();
    }
}

/// A line without its colours and its end.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            for code in letters.by_ref() {
                if code.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(letter);
        }
    }
    plain.trim().to_owned()
}

/// Reads the counts of a closing line of cargo test, of cargo nextest, or of a plain `N passed, N failed`.
fn count(line: &str) -> Option<Counts> {
    let tail = if let Some((_, tail)) = line.split_once("test result: ") {
        tail
    } else if line.starts_with("Summary [") {
        line.split_once(" run: ")?.1
    } else {
        // One word with a colon may stand before the plain line: `sim: 200 passed, 0 failed`.
        let tail = match line.split_once(": ") {
            Some((word, tail)) if !word.contains(' ') => tail,
            _ => line,
        };
        if !(tail.contains(" passed")
            && tail.contains(" failed")
            && tail.starts_with(|letter: char| letter.is_ascii_digit()))
        {
            return None;
        }
        tail
    };
    let mut counts = Counts::default();
    let words: Vec<&str> = tail
        .split([' ', ',', ';', '.', '(', ')'])
        .filter(|word| !word.is_empty())
        .collect();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<u64>() else {
            continue;
        };
        match pair[1] {
            "passed" => counts.passed += number,
            // nextest says `1 timed out` and `1 exec failed` for tests that did not pass either.
            "failed" | "timed" | "exec" => counts.failed += number,
            "skipped" | "ignored" => counts.skipped += number,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Option<Counts> {
        Some(Counts {
            passed,
            failed,
            skipped,
        })
    }

    #[test]
    fn closing_lines_of_every_runner_are_counted() {
        assert_eq!(
            count(
                "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s"
            ),
            counts(5, 0, 1)
        );
        assert_eq!(
            count("test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 3 filtered out"),
            counts(4, 2, 0)
        );
        assert_eq!(
            count("Summary [   0.015s] 12 tests run: 12 passed, 3 skipped"),
            counts(12, 0, 3)
        );
        assert_eq!(
            count(
                "Summary [   0.1s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 0 skipped"
            ),
            counts(9, 3, 0)
        );
        assert_eq!(count("200 passed, 0 failed"), counts(200, 0, 0));
        assert_eq!(
            count("sim: 199 passed, 1 failed, 2 skipped"),
            counts(199, 1, 2)
        );
    }

    #[test]
    fn ordinary_lines_count_nothing() {
        assert_eq!(count("the last run: it passed, none failed"), None);
        assert_eq!(count("PASS [ 0.1s] stead-log tree::tests::passed"), None);
        assert_eq!(count(""), None);
    }

    #[test]
    fn colours_do_not_hide_a_closing_line() {
        assert_eq!(
            plain("\u{1b}[32;1m     Summary\u{1b}[0m [ 0.1s] 1 test run\n"),
            "Summary [ 0.1s] 1 test run"
        );
    }
}
