//! The story that `stead try` plays, with two real nodes as processes.

use std::process::Command;

use serde_json::Value;

fn stead(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    command.args(args).env("NO_COLOR", "1");
    command
}

#[test]
fn two_devices_end_up_equal_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = stead(&["try", "--fast", "--json"])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let story: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = story["steps"].as_array().unwrap();
    assert!(
        steps
            .iter()
            .any(|step| step["done"] == "Both are equal, and no change was lost")
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_node_starts_in_the_background_works_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let run = |args: &[&str]| {
        let output = stead(args).env("STEAD_HOME", &home).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let up = [
        "up",
        "--key-file",
        "--no-mdns",
        "--bind",
        "127.0.0.1:0",
        "--name",
        "desk",
    ];
    let (code, said, err) = run(&up);
    assert_eq!(code, Some(0), "{err}");
    assert!(said.contains("Stead is running on desk."), "{said}");
    assert!(said.contains("first start"), "{said}");
    let (code, said, _) = run(&up);
    assert_eq!(code, Some(0));
    assert!(said.contains("already"), "{said}");

    assert_eq!(run(&["space", "create", "family"]).0, Some(0));
    assert_eq!(
        run(&["space", "create", "family"]).0,
        Some(5),
        "the name is taken"
    );
    assert_eq!(
        run(&[
            "put",
            "family/people/ada",
            "name=Ada Lovelace",
            "born=1815",
            "--add",
            "visits=2"
        ])
        .0,
        Some(0)
    );
    assert!(
        run(&["get", "family/people/ada"])
            .1
            .contains("Ada Lovelace")
    );
    assert_eq!(run(&["get", "family/people/nobody"]).0, Some(4));
    assert_eq!(run(&["get", "nowhere/people/ada"]).0, Some(4));
    let (_, found, _) = run(&["query", "family/people", "--where", "born<1900", "--jsonl"]);
    assert_eq!(found.lines().count(), 1, "{found}");
    assert_eq!(run(&["delete", "family/people/ada"]).0, Some(0));
    assert_eq!(run(&["get", "family/people/ada"]).0, Some(4));
    assert_eq!(run(&["restore", "family/people/ada"]).0, Some(0));
    assert!(run(&["get", "family/people/ada"]).1.contains("visits"));
    let (code, log, err) = run(&["log", "family", "--proof"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(log.contains("proven") && log.contains("desk"), "{log}");
    assert_eq!(run(&["doctor"]).0, Some(0));

    let (code, _, err) = run(&["down"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(run(&["status"]).0, Some(3));
    let (_, again, _) = run(&["up", "--key-file", "--no-mdns", "--bind", "127.0.0.1:0"]);
    assert!(
        again.contains("running on desk"),
        "the name is remembered: {again}"
    );
    assert!(
        run(&["get", "family/people/ada"])
            .1
            .contains("Ada Lovelace")
    );
    assert_eq!(run(&["down"]).0, Some(0));
}
