//! The program at its boundary: what it prints, where, and its exit codes, against a node that plays a script.

mod scripted;

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use scripted::ScriptedNode;
use serde_json::{Value, json};
use stead_api::{
    ApiError, Call, Change, ChangeKind, Commit, DocGot, Document, Edit, ErrorKind, Event,
    LinkAccepted, LinkArrival, LinkAsking, LinkNewcomer, LinkOutcome, Notification, Op, Page,
    Spaces,
};

fn stead(home: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    command
        .args(args)
        .env("STEAD_HOME", home)
        .env("NO_COLOR", "1")
        .env("TZ", "UTC");
    command
}

fn run(node: &ScriptedNode, args: &[&str]) -> Output {
    stead(node.home(), args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn stdout_json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|err| panic!("{err}: {output:?}"))
}

/// A node that knows nothing of what it is asked.
fn silent() -> ScriptedNode {
    ScriptedNode::start(|_| Err(ApiError::new(ErrorKind::Internal, "Not in the script.")))
}

#[test]
fn every_command_that_needs_a_node_says_plainly_that_none_runs() {
    let home = tempfile::tempdir().unwrap();
    for args in [
        &["status"][..],
        &["down"],
        &["link"],
        &["devices"],
        &["identity"],
        &["identity", "phrase"],
        &["device", "list"],
        &["device", "rename", "a", "b"],
        &["device", "remove", "a", "--yes"],
        &["contact", "add", "ada", "00"],
        &["contact", "list"],
        &["contact", "verify", "ada"],
        &["members"],
        &["revoke", "a", "me", "--yes"],
        &["can", "me", "read", "/", "--space", "a"],
        &["sign-in", "stead-challenge:00"],
        &["space", "create", "x"],
        &["space", "list"],
        &["put", "a/b", "c=1"],
        &["get", "a/b/c"],
        &["query", "a/b"],
        &["watch", "a/b"],
        &["delete", "a/b/c"],
        &["restore", "a/b/c"],
        &["import", "json", "-", "--into", "a/b"],
        &["export", "json", "--from", "a/b"],
        &["log", "a"],
        &["log", "a", "--rights"],
        &["doctor"],
    ] {
        let output = stead(home.path(), args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        assert_eq!(
            text(&output.stderr),
            "Error: Stead is not running.\n  Start it with: stead up\n"
        );
        assert!(output.stdout.is_empty());

        let json = stead(home.path(), args)
            .arg("--json")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let error: Value = serde_json::from_slice(&json.stderr).unwrap();
        assert_eq!(error["error"]["kind"], "not_running");
        assert_eq!(error["error"]["exit_code"], 3);
    }
    assert_eq!(
        std::fs::read_dir(home.path()).unwrap().count(),
        0,
        "asking leaves nothing behind"
    );
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    let home = tempfile::tempdir().unwrap();
    for args in [
        &[][..],
        &["nonsense"],
        &["get", "only/two"],
        &["query", "a/b", "--where", "=1"],
        &["up", "--key-file", "--passphrase-file", "f"],
        &["import", "xml", "f", "--into", "a/b"],
        &["link", "--minutes", "0"],
        &["sign-in"],
        &["verify"],
        &["verify", "--sign-in", "a"],
        &["log", "a", "--export", "f"],
        &["link", "--minutes", "11"],
        &["link", "--at", "x@y"],
    ] {
        assert_eq!(
            stead(home.path(), args).output().unwrap().status.code(),
            Some(2),
            "{args:?}"
        );
    }
    for args in [&["--help"][..], &["put", "--help"], &["--version"]] {
        let output = stead(home.path(), args).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn the_help_fits_on_a_screen_and_shows_first_steps() {
    let home = tempfile::tempdir().unwrap();
    let output = stead(home.path(), &["--help"]).output().unwrap();
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn help_of_every_command_has_an_example_where_one_helps() {
    let home = tempfile::tempdir().unwrap();
    for command in [
        "up", "status", "link", "put", "get", "query", "watch", "delete", "restore", "import",
        "export", "log", "doctor", "relay", "identity", "members", "revoke", "can", "sign-in",
        "verify",
    ] {
        let output = stead(home.path(), &[command, "--help"]).output().unwrap();
        assert!(text(&output.stdout).contains("\n  stead "), "{command}");
    }
}

#[test]
fn completions_and_manual_pages_are_made() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = stead(home.path(), &["completions", shell])
            .output()
            .unwrap();
        assert!(text(&output.stdout).contains("stead"), "{shell}");
    }
    let dir = home.path().join("man");
    let output = stead(home.path(), &["man", dir.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(dir.join("stead.1").exists());
    assert!(dir.join("stead-import.1").exists());
}

#[test]
fn status_shows_names_paths_and_reasons() {
    let node = ScriptedNode::start(|call| match call {
        Call::NodeStatus(_) => Ok(serde_json::to_value(scripted::status()).unwrap()),
        _ => Err(ApiError::new(ErrorKind::Internal, "Not in the script.")),
    });
    let output = run(&node, &["status"]);
    insta::assert_snapshot!(text(&output.stdout));
    let json = stdout_json(&run(&node, &["status", "--json"]));
    assert_eq!(json["api"], 1);
    assert_eq!(json["peers"][0]["path"], "direct");
    assert_eq!(json["keys"]["kind"], "owner_file");
}

#[test]
fn a_put_is_one_transaction() {
    let node = ScriptedNode::start(|call| match call {
        Call::DocPut(put) => {
            let ids = put.edits.iter().map(|_| "ada".to_owned()).collect();
            Ok(serde_json::to_value(Commit {
                ids,
                entry: Some(7),
                ..Commit::default()
            })
            .unwrap())
        }
        _ => Err(ApiError::new(ErrorKind::Internal, "Not in the script.")),
    });
    let output = run(
        &node,
        &[
            "put",
            "family/people/ada",
            "name=Ada",
            "born=1815",
            "--add",
            "visits=1",
        ],
    );
    assert_eq!(
        text(&output.stdout),
        "Wrote family/people/ada.\n",
        "{output:?}"
    );
    let calls = node.calls();
    let [Call::DocPut(put)] = calls.as_slice() else {
        panic!("one call")
    };
    let edit = |op| Edit {
        collection: "people".into(),
        id: Some("ada".into()),
        op,
    };
    assert_eq!(
        put.edits,
        [
            edit(Op::Put {
                value: json!({"name": "Ada", "born": 1815}),
                replace: false
            }),
            edit(Op::Add {
                path: vec!["visits".into()],
                delta: 1
            }),
        ]
    );
    let json = stdout_json(&run(&node, &["put", "family/people/ada", "a=1", "--json"]));
    assert_eq!(json["ids"], json!(["ada"]));
    assert_eq!(json["entry"], 7);
}

#[test]
fn put_reads_objects_from_standard_input() {
    let node = ScriptedNode::start(|_| {
        Ok(json!({"ids": ["x", "y"], "time": {"ms": 1, "counter": 0}, "entry": 1}))
    });
    let mut child = stead(node.home(), &["put", "s/c", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"{\"a\":1}\n{\"a\":2}\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "Wrote s/c/x.\nWrote s/c/y.\n");
}

#[test]
fn errors_of_the_node_become_sentences_and_exit_codes() {
    for (kind, code) in [
        (ErrorKind::NotFound, 4),
        (ErrorKind::NotAllowed, 5),
        (ErrorKind::Ambiguous, 2),
        (ErrorKind::DiskFull, 8),
        (ErrorKind::Busy, 9),
        (ErrorKind::Internal, 1),
    ] {
        let node =
            ScriptedNode::start(
                move |_| Err(ApiError::new(kind, "It is not so.").hint("Do that.")),
            );
        let output = run(&node, &["get", "a/b/c"]);
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(text(&output.stderr), "Error: It is not so.\n  Do that.\n");
        let json = run(&node, &["get", "a/b/c", "--json"]);
        let error: Value = serde_json::from_slice(&json.stderr).unwrap();
        assert_eq!(error["error"]["kind"], kind.name());
        assert_eq!(error["error"]["hint"], "Do that.");
    }
}

#[test]
fn get_shows_fields_and_json_the_document() {
    let node = ScriptedNode::start(|_| {
        let value = json!({"name": "Ada", "address": {"city": "London"}, "tags": ["a", "b"], "note": "one\ntwo"});
        let doc = Document {
            id: "ada".into(),
            value,
            deleted: false,
            snippet: None,
        };
        Ok(serde_json::to_value(DocGot {
            doc,
            ..DocGot::default()
        })
        .unwrap())
    });
    insta::assert_snapshot!(text(&run(&node, &["get", "family/people/ada"]).stdout), @r"
    family/people/ada
      name          Ada
      address.city  London
      tags          a, b
      note
                    one
                    two
    ");
    let json = stdout_json(&run(&node, &["get", "family/people/ada", "--json"]));
    assert_eq!(json["value"]["address"]["city"], "London");
}

fn cities() -> ScriptedNode {
    ScriptedNode::start(|call| {
        let Call::DocQuery(query) = call else {
            return Err(ApiError::new(ErrorKind::Internal, "Not in the script."));
        };
        let all = [
            ("bern", "Bern", 134_794),
            ("ulm", "Ulm", 126_790),
            ("zurich", "Zürich", 415_367),
        ];
        let start: usize = query.after.map_or(0, |after| after.parse().unwrap());
        let end = (start + query.limit.unwrap() as usize)
            .min(2.max(start + 1))
            .min(all.len());
        let docs = all[start..end].iter().map(|(id, name, people)| Document {
            id: (*id).into(),
            value: json!({"name": name, "people": people, "rare": null}),
            deleted: false,
            snippet: None,
        });
        let page = Page {
            docs: docs.collect(),
            next: (end < all.len()).then(|| end.to_string()),
            total: query.count.then_some(3),
            ..Page::default()
        };
        Ok(serde_json::to_value(page).unwrap())
    })
}

#[test]
fn a_query_is_a_table_or_json() {
    let node = cities();
    let output = run(
        &node,
        &[
            "query",
            "world/cities",
            "--where",
            "people>100",
            "--sort",
            "-people",
        ],
    );
    insta::assert_snapshot!(text(&output.stdout), @r"
    id      people  name    rare
    bern    134794  Bern    null
    ulm     126790  Ulm     null
    zurich  415367  Zürich  null
    ");
    assert_eq!(text(&output.stderr), "\n3 documents.\n");
    let limited = run(
        &node,
        &["query", "world/cities", "--limit", "1", "--fields", "name"],
    );
    assert_eq!(text(&limited.stdout), "id    name\nbern  Bern\n");
    let json = stdout_json(&run(&node, &["query", "world/cities", "--json"]));
    assert_eq!(json["docs"][2]["id"], "zurich");
    let lines = text(&run(&node, &["query", "world/cities", "--jsonl"]).stdout);
    assert_eq!(lines.lines().count(), 3);
    assert_eq!(
        text(&run(&node, &["query", "world/cities", "--count"]).stdout),
        "3\n"
    );
}

#[test]
fn export_writes_every_page() {
    let node = cities();
    let output = run(&node, &["export", "csv", "--from", "world/cities"]);
    assert_eq!(
        text(&output.stdout),
        "_id,name,people,rare\nbern,Bern,134794,\nulm,Ulm,126790,\nzurich,Zürich,415367,\n"
    );
    let file = node.home().join("out.json");
    let output = run(
        &node,
        &[
            "export",
            "json",
            file.to_str().unwrap(),
            "--from",
            "world/cities",
        ],
    );
    assert!(text(&output.stdout).starts_with("Exported 3 documents from world/cities to "));
    let written: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(written[2]["_id"], "zurich");
    assert_eq!(
        run(&node, &["export", "markdown", "--from", "world/cities"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn an_import_sends_batches_and_names_what_was_left_out() {
    let node = ScriptedNode::start(|call| {
        let Call::DocPut(put) = call else {
            return Err(ApiError::new(ErrorKind::Internal, "Not in the script."));
        };
        let bad = put
            .edits
            .iter()
            .any(|edit| edit.id.as_deref() == Some("777"));
        match bad {
            true => Err(ApiError::new(
                ErrorKind::TooLarge,
                "The document is too large.",
            )),
            false => {
                let ids = put
                    .edits
                    .iter()
                    .filter_map(|edit| edit.id.clone())
                    .collect();
                Ok(serde_json::to_value(Commit {
                    ids,
                    entry: Some(1),
                    ..Commit::default()
                })
                .unwrap())
            }
        }
    });
    let file = node.home().join("in.csv");
    let rows: String = (0..1200).map(|n| format!("{n},name {n}\n")).collect();
    std::fs::write(&file, format!("number,name\n{rows}")).unwrap();
    let output = run(
        &node,
        &[
            "import",
            "csv",
            file.to_str().unwrap(),
            "--into",
            "a/b",
            "--key",
            "number",
        ],
    );
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(
        text(&output.stdout).starts_with("Imported 1,199 records into a/b in "),
        "{output:?}"
    );
    assert_eq!(
        text(&output.stderr),
        "! 777: The document is too large.\nError: One record was left out.\n"
    );
    let calls = node.calls();
    assert!(
        calls
            .iter()
            .all(|call| matches!(call, Call::DocPut(put) if put.edits.len() <= 500))
    );

    std::fs::write(&file, "number,name\n1,one\n2\n3,three,more\n").unwrap();
    let output = run(
        &node,
        &[
            "import",
            "csv",
            file.to_str().unwrap(),
            "--into",
            "a/b",
            "--key",
            "number",
            "--json",
        ],
    );
    assert_eq!(output.status.code(), Some(6));
    let json = stdout_json(&output);
    assert_eq!(
        (&json["imported"], &json["left_out"]),
        (&json!(2), &json!(1))
    );
    assert!(
        json["complaints"][0]
            .as_str()
            .unwrap()
            .contains("line 4, record 3")
    );

    let missing = run(&node, &["import", "csv", "/nowhere/f.csv", "--into", "a/b"]);
    assert_eq!(missing.status.code(), Some(4));
    assert_eq!(
        text(&missing.stderr),
        "Error: There is no file or folder /nowhere/f.csv.\n"
    );
}

#[test]
fn a_watch_prints_changes_as_they_come() {
    let node = ScriptedNode::start(|_| Ok(json!({"watch": 1}))).with_notifications(vec![
        event(
            vec![change(
                ChangeKind::Added,
                "bern",
                Some(json!({"people": 1, "old": true})),
            )],
            true,
        ),
        event(
            vec![
                change(ChangeKind::Changed, "bern", Some(json!({"people": 2}))),
                change(ChangeKind::Added, "ulm", Some(json!({"people": 3}))),
            ],
            false,
        ),
        event(vec![change(ChangeKind::Removed, "bern", None)], false),
    ]);
    let output = run(&node, &["watch", "world/cities"]);
    let lines: Vec<_> = text(&output.stdout)
        .lines()
        .map(|line| line[10..].to_owned())
        .collect();
    assert_eq!(
        lines,
        [
            "~ bern  people 1 → 2  old removed",
            "+ ulm  people=3",
            "- bern"
        ]
    );
    // The script is over and the node gone.
    assert_eq!(output.status.code(), Some(9));
    let output = run(&node, &["watch", "world/cities", "--json", "--all"]);
    let first: Value = serde_json::from_str(text(&output.stdout).lines().next().unwrap()).unwrap();
    assert_eq!(
        first,
        json!({"kind": "added", "id": "bern", "value": {"people": 1, "old": true}})
    );
    assert_eq!(text(&output.stdout).lines().count(), 4);
}

fn change(kind: ChangeKind, id: &str, value: Option<Value>) -> Change {
    Change {
        kind,
        id: id.into(),
        value,
        at: None,
    }
}

fn event(changes: Vec<Change>, ready: bool) -> Notification {
    Notification::Watch(Event {
        watch: 1,
        changes,
        more: false,
        ready,
        transactions: None,
        reset: false,
    })
}

fn newcomer(by_code: bool) -> LinkNewcomer {
    LinkNewcomer {
        link_id: "a".into(),
        name: "phone".into(),
        by_code,
        help: None,
        ..LinkNewcomer::default()
    }
}

fn to_json(value: impl serde::Serialize) -> Result<Value, ApiError> {
    Ok(serde_json::to_value(value).unwrap())
}

/// A node at which a phone asks to be let in, and is.
fn visited() -> ScriptedNode {
    ScriptedNode::start(|call| match call {
        Call::LinkCreate(_) => Ok(
            json!({"link_id": "a", "link": scripted::link(u64::MAX), "expires_ms": 1_800_000_000_000u64}),
        ),
        Call::LinkSpeak(_) => Ok(json!({
            "link_id": "a",
            "words": "rib ox sun",
            "places": ["ab@192.0.2.1:5"],
            "expires_ms": 1_800_000_000_000u64
        })),
        Call::LinkWait(wait) if !wait.beyond_asking => to_json(LinkOutcome::Asking {
            newcomer: newcomer(true),
        }),
        Call::LinkWait(_) | Call::LinkApprove(_) => to_json(LinkOutcome::Linked {
            device: scripted::device("phone"),
        }),
        Call::LinkPending(_) => to_json(LinkAsking {
            newcomer: Some(newcomer(true)),
        }),
        Call::LinkRefuse(_) => Ok(json!({"message": "The device was sent away."})),
        _ => Err(ApiError::new(ErrorKind::Internal, "Not in the script.")),
    })
}

#[test]
fn a_link_is_shown_who_asks_and_who_was_let_in() {
    let node = visited();
    let output = stead(node.home(), &["link"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert!(shown.contains("\nstead link stead-link:"), "{shown}");
    assert!(shown.contains("It works once, until 08:00."), "{shown}");
    assert!(
        shown.contains("phone asks to become one of your devices"),
        "{shown}"
    );
    assert!(shown.contains("stead link approve CODE"), "{shown}");
    assert!(shown.contains("✔ phone is linked."), "{shown}");
    let json = text(&run(&node, &["link", "--json"]).stdout);
    let lines: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[1]["outcome"], "asking");
    assert_eq!(lines[1]["newcomer"]["name"], "phone");
    assert_eq!(lines[2]["outcome"], "linked");
    assert_eq!(lines[2]["device"]["name"], "phone");
    // Nobody was let in without being told to.
    let calls = node.calls();
    assert!(
        !calls
            .iter()
            .any(|call| matches!(call, Call::LinkApprove(_)))
    );
}

#[test]
fn spoken_words_are_shown_with_where_to_say_them() {
    let output = stead(visited().home(), &["link", "--spoken", "--no-wait"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert!(
        shown.contains("stead link --spoken rib ox sun\n"),
        "{shown}"
    );
    assert!(
        shown.contains("stead link --spoken rib ox sun --at ab@192.0.2.1:5"),
        "{shown}"
    );
}

#[test]
fn a_script_sees_who_asks_and_lets_it_in_or_not() {
    let node = visited();
    let output = run(&node, &["link", "pending"]);
    assert!(text(&output.stdout).contains("Let it in with: stead link approve CODE"));
    for code in [&["042917"][..], &["042", "917"]] {
        let args = [&["link", "approve"], code].concat();
        let output = run(&node, &args);
        assert!(text(&output.stdout).contains("✔ phone is linked."));
    }
    assert_eq!(run(&node, &["link", "refuse"]).status.code(), Some(0));
    let approvals: Vec<_> = node
        .calls()
        .into_iter()
        .filter_map(|call| match call {
            Call::LinkApprove(approve) => approve.code,
            _ => None,
        })
        .collect();
    assert_eq!(approvals, ["042917", "042917"]);
}

#[test]
fn a_new_device_shows_its_code_and_says_when_it_is_in() {
    let node = ScriptedNode::start(|call| match call {
        Call::LinkAccept(_) => Ok(json!({"attempt": "b", "code": "042 917"})),
        Call::LinkHear(hear) if hear.words == "rib approve sun" => Ok(json!({"attempt": "b"})),
        Call::LinkArrive(_) => to_json(LinkArrival::Linked(LinkAccepted {
            device: scripted::device("laptop"),
            spaces: Vec::new(),
        })),
        _ => Err(ApiError::new(ErrorKind::Internal, "Not in the script.")),
    });
    let link = scripted::link(u64::MAX);
    let shown = text(&run(&node, &["link", &link]).stdout);
    assert!(
        shown.starts_with("Type this code on the other device: 042 917\n"),
        "{shown}"
    );
    assert!(shown.contains("✔ Linked with laptop."), "{shown}");
    let json = text(&run(&node, &["--json", "link", &link]).stdout);
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["code"], "042 917");
    // Any word of the list may be one of the three, also one that is a command elsewhere.
    let shown = text(&run(&node, &["link", "--spoken", "rib", "approve", "sun"]).stdout);
    assert!(shown.contains("Say yes on the other device."), "{shown}");
}

#[test]
fn a_link_that_cannot_work_is_refused_with_one_sentence() {
    let node = silent();
    let good = scripted::link(u64::MAX);
    let mistyped = format!("{}0", &good[..good.len() - 1]);
    for (link, sentence) in [
        (
            "hello",
            "This is no link that can be used: a link starts with \"stead-link:\".",
        ),
        (
            &mistyped,
            "This is no link that can be used: a part of the link is missing or was mistyped.",
        ),
    ] {
        let output = run(&node, &["link", link]);
        assert_eq!(output.status.code(), Some(5));
        assert!(
            text(&output.stderr).starts_with(&format!("Error: {sentence}\n")),
            "{output:?}"
        );
    }
    assert!(node.calls().is_empty(), "the node was not troubled");
    let used = ScriptedNode::start(|_| {
        Err(ApiError::new(
            ErrorKind::LinkUsed,
            "The link was used before.",
        ))
    });
    let output = run(&used, &["link", &good]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(text(&output.stderr), "Error: The link was used before.\n");
}

#[test]
fn leaving_a_space_needs_a_yes() {
    let node = ScriptedNode::start(|call| match call {
        Call::SpaceLeave(_) => Ok(json!({"message": ""})),
        Call::SpaceList(_) => Ok(serde_json::to_value(Spaces::default()).unwrap()),
        _ => Err(ApiError::new(ErrorKind::Internal, "Not in the script.")),
    });
    let output = run(&node, &["space", "leave", "family"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        !node
            .calls()
            .iter()
            .any(|call| matches!(call, Call::SpaceLeave(_)))
    );
    let output = run(&node, &["space", "leave", "family", "--yes"]);
    assert_eq!(
        text(&output.stdout),
        "Left family. Its data is erased on this device.\n"
    );
}

#[test]
fn the_doctor_ends_with_7_when_something_is_broken() {
    let check = |state: &str| json!({"checks": [{"name": "Clock", "state": state, "message": "It is so.", "hint": ""}]});
    for (state, code) in [("ok", 0), ("warn", 0), ("fail", 7)] {
        let answer = check(state);
        let node = ScriptedNode::start(move |_| Ok(answer.clone()));
        assert_eq!(run(&node, &["doctor"]).status.code(), Some(code), "{state}");
    }
}
