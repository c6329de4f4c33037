//! An encrypted database through the running node: what lies on the disk, and changing one's mind.

use std::path::Path;

use crate::support::{Device, config};
use serde_json::json;
use stead_api::{CheckState, DocGet, DocQuery, DoctorRun};
use stead_node::{AtRest, KeyKind, KeyPolicy, Node, NodeError, STORE_FILE, at_rest};
use stead_store::FILE_ENDS;

const MARKER: &str = "Lisbon, and nobody may know it";

/// Files of a home in which the marker stands.
fn exposed(home: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(home).unwrap() {
        let path = entry.unwrap().path();
        let shows = |bytes: Vec<u8>| {
            bytes
                .windows(MARKER.len())
                .any(|window| window == MARKER.as_bytes())
        };
        // A socket cannot be read.
        if std::fs::read(&path).is_ok_and(shows) {
            found.push(path.display().to_string());
        }
    }
    found
}

async fn start(dir: tempfile::TempDir, at_rest: AtRest) -> Device {
    let mut config = config(dir.path(), "tower");
    config.at_rest = at_rest;
    let node = Node::start(config).await.expect("start");
    Device {
        bind: node.net().bound()[0],
        dir,
        name: "tower".to_owned(),
        node: Some(node),
    }
}

async fn refused(home: &Path, at_rest: AtRest) -> NodeError {
    let mut config = config(home, "tower");
    config.at_rest = at_rest;
    Node::start(config).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_of_an_encrypted_home_shows_a_document() {
    for at_rest in [AtRest::Plain, AtRest::Encrypted] {
        let encrypted = at_rest == AtRest::Encrypted;
        let mut node = start(tempfile::tempdir().unwrap(), at_rest).await;
        node.space("family");
        for n in 0..50 {
            let id = format!("c{n}");
            node.put("family", "cities", &id, json!({"name": MARKER, "n": n}));
        }
        node.call(&DocQuery {
            space: "family".to_owned(),
            collection: "cities".to_owned(),
            ..DocQuery::default()
        });
        assert_eq!(exposed(node.dir.path()).is_empty(), encrypted);
        let status = node.status();
        assert_eq!(status.store.encrypted, encrypted);
        assert!(status.store.protection.contains("encrypted"));
        let thorough = node.call(&DoctorRun {
            thorough: true,
            rebuild: true,
        });
        let check = |name: &str| {
            let mut checks = thorough.checks.iter();
            checks.find(|check| check.name == name).unwrap()
        };
        assert_eq!(check("Store").state, CheckState::Ok);
        assert_eq!(check("Encryption").message, status.store.protection);
        node.kill().await;
        assert_eq!(exposed(node.dir.path()).is_empty(), encrypted, "killed");
        node.again().await;
        assert!(node.get("family", "cities", "c49").is_some());
        node.stop().await;
        assert_eq!(exposed(node.dir.path()).is_empty(), encrypted, "stopped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_of_an_encrypted_home_costs_what_is_on_it_and_no_more() {
    const DOCS: usize = 600;
    let mut node = start(tempfile::tempdir().unwrap(), AtRest::Encrypted).await;
    for n in 0..DOCS {
        let text = "x".repeat(2_000);
        node.put("home", "things", &format!("t{n}"), json!({ "text": text }));
    }
    node.stop().await;
    let path = node.dir.path().join(STORE_FILE);
    let whole = std::fs::read(&path).unwrap();
    let mut met = 0;
    for tenth in 2..9 {
        let mut damaged = whole.clone();
        let page = damaged.len() / 4096 * tenth / 10;
        damaged[page * 4096..][..200].fill(0xa5);
        std::fs::write(&path, &damaged).unwrap();
        node.again().await;
        let readable = |node: &Device| {
            let get = |n: &usize| {
                let get = DocGet {
                    space: "home".to_owned(),
                    collection: "things".to_owned(),
                    id: format!("t{n}"),
                    ..DocGet::default()
                };
                node.try_call(&get).is_ok()
            };
            (0..DOCS).filter(get).count()
        };
        // Both readers come upon it, the first time and the second.
        let found = [readable(&node), readable(&node)];
        assert!(found[0] > DOCS / 2, "page {page}: {found:?}");
        assert_eq!(found[0], found[1], "page {page}");
        met += usize::from(found[0] < DOCS);
        node.put("home", "others", "one", json!({"n": page}));
        assert!(node.get("home", "others", "one").is_some(), "page {page}");
        node.kill().await;
        for end in &FILE_ENDS[1..] {
            let _ = std::fs::remove_file(node.dir.path().join(format!("{STORE_FILE}{end}")));
        }
    }
    assert!(met > 0, "no document was on a damaged page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_changes_its_form_only_when_that_was_asked_for() {
    let mut node = start(tempfile::tempdir().unwrap(), AtRest::AsItIs).await;
    node.put("home", "cities", "c", json!({"name": MARKER}));
    let policy = KeyPolicy::owner_only_file();
    let error = at_rest::change(node.dir.path(), &policy, true).unwrap_err();
    assert!(matches!(error, NodeError::InUse { .. }), "{error}");
    node.stop().await;
    let error = refused(node.dir.path(), AtRest::Encrypted).await;
    assert!(error.to_string().contains("stead encrypt"), "{error}");

    let changed = at_rest::change(node.dir.path(), &policy, true).unwrap();
    assert!(changed.encrypted && changed.rewritten && !changed.keys_moved);
    assert!(changed.protection.contains("beside it"), "{changed:?}");
    assert!(exposed(node.dir.path()).is_empty());
    let again = at_rest::change(node.dir.path(), &policy, true).unwrap();
    assert!(!again.rewritten);
    let error = refused(node.dir.path(), AtRest::Plain).await;
    assert!(error.to_string().contains("stead decrypt"), "{error}");
    node.again().await;
    assert!(node.status().store.encrypted);
    assert!(node.get("home", "cities", "c").is_some());
    node.stop().await;

    // What a conversion that was cut off leaves is gone at the next start.
    let left = node.dir.path().join(format!("{STORE_FILE}.new"));
    std::fs::write(&left, MARKER).unwrap();
    node.again().await;
    assert!(!left.exists());
    node.stop().await;
    at_rest::change(node.dir.path(), &policy, false).unwrap();
    node.again().await;
    assert!(!node.status().store.encrypted);
    assert!(node.get("home", "cities", "c").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypting_puts_keys_that_lie_open_under_the_passphrase() {
    let mut node = start(tempfile::tempdir().unwrap(), AtRest::AsItIs).await;
    node.put("home", "cities", "c", json!({"name": MARKER}));
    let device = node.status().device.id;
    node.stop().await;
    let policy = KeyPolicy::owner_only_file().with_passphrase("correct horse".to_owned());
    let changed = at_rest::change(node.dir.path(), &policy, true).unwrap();
    assert!(changed.rewritten && changed.keys_moved);
    assert_eq!(
        at_rest::key_kind(node.dir.path()),
        Some(KeyKind::PassphraseFile)
    );
    let error = refused(node.dir.path(), AtRest::AsItIs).await;
    assert!(error.to_string().contains("passphrase"), "{error}");
    let mut config = config(node.dir.path(), "tower");
    config.keys = policy;
    node.node = Some(Node::start(config).await.unwrap());
    let status = node.status();
    assert_eq!(status.device.id, device);
    assert!(status.store.protection.contains("passphrase"));
    assert!(node.get("home", "cities", "c").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_device_is_refused_and_left_alone() {
    let mut mine = start(tempfile::tempdir().unwrap(), AtRest::Encrypted).await;
    let mut other = start(tempfile::tempdir().unwrap(), AtRest::Encrypted).await;
    mine.stop().await;
    other.stop().await;
    let path = mine.dir.path().join(STORE_FILE);
    std::fs::copy(other.dir.path().join(STORE_FILE), &path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refused(mine.dir.path(), AtRest::AsItIs).await;
    assert!(error.to_string().contains("does not open"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let policy = KeyPolicy::owner_only_file();
    at_rest::change(mine.dir.path(), &policy, false).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
