//! A person with a running node of their own, driven through the program.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A running node of a person of their own, stopped when dropped.
pub(crate) struct Person {
    folder: tempfile::TempDir,
}

pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err))
    }
}

fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    command
        .args(args)
        .env("STEAD_HOME", home)
        .env("NO_COLOR", "1")
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end, with whatever is at a home.
pub(crate) fn stead(home: &Path, args: &[&str]) -> Said {
    let output = command(home, args).output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Person {
    pub(crate) fn start(name: &str) -> Self {
        let person = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let up = [
            "up",
            "--key-file",
            "--no-mdns",
            "--bind",
            "127.0.0.1:0",
            "--name",
            name,
        ];
        let said = person.run(&up);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.out.contains("24 recovery words"), "{}", said.out);
        person
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A command with this person's home, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command(&self.home(), args)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        stead(&self.home(), args)
    }

    /// Runs a command that must succeed, for its JSON.
    pub(crate) fn ask(&self, args: &[&str]) -> Value {
        let said = self.run(&[args, &["--json"]].concat());
        assert_eq!(said.code, 0, "{args:?}: {}", said.err);
        said.json()
    }

    pub(crate) fn identity(&self) -> String {
        self.ask(&["identity"])["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
