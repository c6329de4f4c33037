//! What goes wrong around a node: a second one, damaged files, a cut write-ahead log, a space that
//! would be lost.

use std::io::{Seek, SeekFrom, Write};

use crate::support::{Device, config};
use serde_json::json;
use stead_api::{ErrorKind, SpaceCreate, SpaceLeave};
use stead_node::{Node, NodeError, STORE_FILE};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_on_one_folder_is_refused_by_name_of_the_first() {
    let first = Device::start("tower").await;
    let error = Node::start(config(first.dir.path(), "tower"))
        .await
        .unwrap_err();
    let pid = std::process::id();
    assert!(
        matches!(error, NodeError::InUse { pid: Some(found), .. } if found == pid),
        "{error}"
    );
    assert!(
        error.to_string().contains(&format!("process {pid}")),
        "{error}"
    );
    first.status();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_keeps_its_identity_across_restarts() {
    let mut node = Device::start("tower").await;
    let before = node.status();
    node.stop().await;
    node.again().await;
    let after = node.status();
    assert_eq!(before.identity, after.identity);
    assert_eq!(before.device.id, after.device.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_is_refused_in_a_sentence() {
    let mut node = Device::start("tower").await;
    node.stop().await;
    let path = node.dir.path().join(STORE_FILE);
    std::fs::write(
        &path,
        b"this is not a database at all, but long enough to look at",
    )
    .unwrap();
    let error = Node::start(config(node.dir.path(), "tower"))
        .await
        .unwrap_err();
    assert!(matches!(error, NodeError::Store(_)), "{error:?}");
    assert!(error.to_string().contains("stead.db"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_write_ahead_log_loses_nothing_that_the_journal_holds() {
    let mut node = Device::start("tower").await;
    for n in 0..100 {
        node.put("home", "things", &format!("t{n}"), json!({"n": n}));
    }
    // Whoever reads has what waits committed, but not synced: the journal holds it.
    assert!(node.get("home", "things", "t99").is_some());
    // A copy of the files as a loss of power leaves them, with the end of the log torn off.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(node.dir.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    node.stop().await;
    let wal = copy.path().join(format!("{STORE_FILE}-wal"));
    // Behind the log are zeros, room for what comes next.
    let written = std::fs::read(&wal).unwrap();
    let length = written.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    std::fs::OpenOptions::new()
        .write(true)
        .open(&wal)
        .unwrap()
        .set_len(length - 5_000)
        .unwrap();
    node.dir = copy;
    node.again().await;
    let kept = (0..100)
        .filter(|n| node.get("home", "things", &format!("t{n}")).is_some())
        .count();
    assert_eq!(kept, 100);
    node.put("home", "things", "after", json!({"n": -1}));
    let found = node.call(&stead_api::DoctorRun {
        thorough: true,
        rebuild: false,
    });
    assert!(
        found
            .checks
            .iter()
            .all(|check| check.state < stead_api::CheckState::Fail),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_pages_are_told_and_never_a_crash() {
    let mut node = Device::start("tower").await;
    for n in 0..300 {
        node.put(
            "home",
            "things",
            &format!("t{n}"),
            json!({"n": n, "text": "x".repeat(300)}),
        );
    }
    node.stop().await;
    let path = node.dir.path().join(STORE_FILE);
    let length = std::fs::metadata(&path).unwrap().len();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for page in (4..length / 4096).step_by(3) {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xa5; 200]).unwrap();
    }
    drop(file);
    match Node::start(config(node.dir.path(), "tower")).await {
        Err(error) => assert!(error.to_string().len() > 20, "{error}"),
        Ok(running) => {
            node.node = Some(running);
            let found = node.try_call(&stead_api::DoctorRun {
                thorough: true,
                rebuild: false,
            });
            let told = match found {
                Ok(found) => found
                    .checks
                    .iter()
                    .any(|check| check.state == stead_api::CheckState::Fail),
                Err(error) => matches!(error.kind, ErrorKind::Damaged | ErrorKind::Store),
            };
            assert!(told);
            let put = crate::support::put("home", "things", "t1", json!({"n": 2}));
            let _ = node.try_call(&put);
            let _ = node.try_call(&stead_api::NodeStatus {});
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_is_only_here_is_not_left_by_mistake() {
    let node = Device::start("tower").await;
    node.space("notes");
    node.put("notes", "pages", "one", json!({"n": 1}));
    let leave = |lose_unsynced| SpaceLeave {
        space: "notes".to_owned(),
        lose_unsynced,
    };
    assert_eq!(
        node.try_call(&leave(false)).unwrap_err().kind,
        ErrorKind::NotAllowed
    );
    node.call(&leave(true));
    assert!(node.spaces().iter().all(|space| space.name != "notes"));
    let home = SpaceLeave {
        space: "home".to_owned(),
        lose_unsynced: true,
    };
    assert_eq!(
        node.try_call(&home).unwrap_err().kind,
        ErrorKind::NotAllowed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_taken_or_impossible_are_refused() {
    let node = Device::start("tower").await;
    node.space("notes");
    let create = |name: &str| {
        node.try_call(&SpaceCreate {
            name: name.to_owned(),
        })
        .unwrap_err()
        .kind
    };
    assert_eq!(create("notes"), ErrorKind::Exists);
    assert_eq!(create("home"), ErrorKind::Exists);
    assert_eq!(create(""), ErrorKind::BadName);
    assert_eq!(create("a\u{7}b"), ErrorKind::BadName);
}
