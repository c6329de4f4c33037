//! Encryption at rest as a person meets it: the question of the first start, and changing one's
//! mind later.

mod person;

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use person::{Said, stead};

const UP: [&str; 4] = ["up", "--no-mdns", "--bind", "127.0.0.1:0"];

fn up(home: &Path, more: &[&str]) -> Said {
    stead(home, &[&UP[..], more].concat())
}

/// The first start at a terminal, with what a person types; none where no terminal can be had.
fn first_start(home: &Path, more: &[&str], typed: &str) -> Option<String> {
    let words = [&[env!("CARGO_BIN_EXE_stead")], &UP[..], more].concat();
    let mut child = Command::new("script")
        .args(["-qec", &words.join(" "), "/dev/null"])
        .env("STEAD_HOME", home)
        .env("NO_COLOR", "1")
        // No keyring of the person who runs the tests.
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    for line in typed.split_inclusive('\n') {
        // One after the other, as a person types: a terminal forgets what comes before a question
        // for a passphrase.
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_encrypted(home: &Path) -> bool {
    let bytes = std::fs::read(home.join("stead.db")).unwrap();
    !bytes.starts_with(b"SQLite format 3\0")
}

#[test]
fn a_first_start_without_a_terminal_asks_nothing_and_encrypts_only_when_told() {
    for (flags, encrypted) in [
        (&["--key-file"][..], false),
        (&["--key-file", "--plain"], false),
        (&["--key-file", "--encrypt"], true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        let said = up(&home, flags);
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(
            said.out.contains("lies beside it"),
            encrypted,
            "{}",
            said.out
        );
        let status = stead(&home, &["status", "--json"]).json();
        assert_eq!(status["store"]["encrypted"], encrypted);
        let status = stead(&home, &["status"]).out;
        assert!(status.contains("at rest"), "{status}");
        let doctor = stead(&home, &["doctor"]);
        assert_eq!(doctor.code, 0, "{}", doctor.err);
        assert!(doctor.out.contains("Encryption"), "{}", doctor.out);
        assert_eq!(stead(&home, &["down"]).code, 0);
        assert_eq!(is_encrypted(&home), encrypted);
    }
}

#[test]
fn a_passphrase_typed_at_the_first_start_encrypts_and_enter_does_not() {
    for (typed, encrypted) in [("correct horse\ncorrect horse\n", true), ("\n", false)] {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        let Some(said) = first_start(&home, &[], typed) else {
            eprintln!("skipped: no terminal can be had here");
            return;
        };
        assert!(said.contains("A passphrase encrypts"), "{said}");
        assert!(!said.contains("correct horse"), "{said}");
        assert!(said.contains("Stead is running"), "{said}");
        let status = stead(&home, &["status", "--json"]).json();
        assert_eq!(status["store"]["encrypted"], encrypted);
        assert_eq!(status["keys"]["kind"] == "passphrase_file", encrypted);
        assert_eq!(stead(&home, &["down"]).code, 0);
        assert_eq!(is_encrypted(&home), encrypted);
    }
}

#[test]
fn a_terminal_with_a_passphrase_file_asks_and_enter_means_yes() {
    for (typed, encrypted) in [("\n", true), ("n\n", false)] {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        let passphrase = folder.path().join("passphrase");
        std::fs::write(&passphrase, "correct horse\n").unwrap();
        let file = passphrase.to_str().unwrap();
        let Some(said) = first_start(&home, &["--passphrase-file", file], typed) else {
            eprintln!("skipped: no terminal can be had here");
            return;
        };
        assert!(said.contains("[Y/n]"), "{said}");
        assert_eq!(stead(&home, &["down"]).code, 0, "{said}");
        assert_eq!(is_encrypted(&home), encrypted);
    }
}

#[test]
fn a_database_is_encrypted_later_and_made_plain_again_and_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let run = |args: &[&str]| stead(&home, args);
    assert_eq!(run(&["encrypt"]).code, 4, "there is nothing yet");
    assert_eq!(up(&home, &["--key-file"]).code, 0);
    assert_eq!(run(&["space", "create", "family"]).code, 0);
    assert_eq!(run(&["put", "family/cities/lisbon", "visits=3"]).code, 0);
    let said = run(&["encrypt", "--key-file"]);
    assert_eq!(said.code, 5, "it runs: {}", said.out);
    assert!(said.err.contains("stead down"), "{}", said.err);
    assert_eq!(run(&["down"]).code, 0);
    assert!(!is_encrypted(&home));

    let passphrase = folder.path().join("passphrase");
    std::fs::write(&passphrase, "correct horse\n").unwrap();
    let file = passphrase.to_str().unwrap();
    let said = run(&["encrypt", "--passphrase-file", file, "--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(said.json()["encrypted"], true);
    assert_eq!(said.json()["keys_moved"], true);
    assert!(is_encrypted(&home));
    assert_eq!(up(&home, &["--key-file"]).code, 5, "without the passphrase");
    assert_eq!(up(&home, &["--plain", "--passphrase-file", file]).code, 5);
    assert_eq!(up(&home, &["--passphrase-file", file]).code, 0);
    assert!(run(&["get", "family/cities/lisbon"]).out.contains("visits"));
    assert_eq!(run(&["down"]).code, 0);

    let said = run(&["decrypt", "--passphrase-file", file]);
    assert_eq!(said.code, 2, "nobody said yes: {}", said.out);
    assert!(is_encrypted(&home));
    let said = run(&["decrypt", "--passphrase-file", file, "--yes"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(!is_encrypted(&home));
    assert_eq!(up(&home, &["--passphrase-file", file]).code, 0);
    assert!(run(&["get", "family/cities/lisbon"]).out.contains("visits"));
    assert_eq!(run(&["down"]).code, 0);
}
