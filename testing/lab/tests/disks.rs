//! Real `stead` processes on disks that are full, read-only or damaged: what they say, and that
//! nothing acknowledged is gone.

use std::error::Error;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use stead_api::{ClientError, ErrorKind};
use stead_lab::{Acknowledged, Disk, Place, Stead, SteadError, eventually};

const FLAGS: [&str; 3] = ["--no-mdns", "--bind", "127.0.0.1:0"];
const STORE_FILE: &str = "stead.db";
/// How often a disk is filled again that had room after something was refused.
const FILLS_MAX: usize = 6;
/// How long a node may take to find that a disk takes writes again.
const RECOVERY: Duration = Duration::from_secs(20);

type Outcome = Result<(), Box<dyn Error>>;

/// A node whose home is on that disk.
fn node_on(disk: &Disk, logs: &Path) -> Stead {
    let mut node = Stead::new("ann", Place::Here, logs);
    node.move_home(disk.path());
    node
}

fn whole(node: &Stead) -> Outcome {
    node.run(&["doctor", "--thorough"])?;
    Ok(())
}

#[test]
fn a_full_disk_is_told_read_from_and_written_again_once_there_is_room() -> Outcome {
    let test = "a_full_disk_is_told_read_from_and_written_again_once_there_is_room";
    let dir = tempfile::tempdir()?;
    let Some(disk) = Disk::or_skip(test, dir.path(), 24) else {
        return Ok(());
    };
    let mut ann = node_on(&disk, dir.path());
    ann.up(&FLAGS)?;
    let pid = ann.id();
    let mut acknowledged = Acknowledged::default();
    let mut client = ann.client()?;
    for round in 0..2 {
        let name = format!("before-{round}");
        assert!(
            acknowledged
                .write(&mut client, &name, 50, 2_000, 1)
                .is_none()
        );
        // What is written over and over may still fit into the write-ahead log for a while, and what the
        // journal does not need is left to it. Each time, what was acknowledged is there.
        for fill in 0..FILLS_MAX {
            if !disk.fill()? && fill > 0 {
                break;
            }
            let name = format!("full-{round}-{fill}");
            let failed = acknowledged.write(&mut client, &name, 100_000, 2_000, 1);
            let Some(ClientError::Api(error)) = failed else {
                return Err(format!("a full disk took everything: {failed:?}").into());
            };
            assert_eq!(error.kind, ErrorKind::DiskFull, "{error}");
            assert!(error.message.contains("The disk is full"), "{error}");
            assert!(error.hint.contains("Free some space"), "{}", error.hint);
            assert_eq!(acknowledged.missing(&ann)?, [""; 0], "reading a full disk");
        }
        let much = format!("a={}", "x".repeat(50_000));
        let refused = (0..100).find_map(|n| {
            let place = format!("home/x/{round}-{n}");
            ann.run(&["put", &place, &much]).err()
        });
        assert!(
            matches!(refused, Some(SteadError::Failed { code: Some(8), .. })),
            "{refused:?}"
        );
        let status = ann.json(&["status"])?;
        assert!(
            status["warnings"].to_string().contains("disk is full"),
            "{status}"
        );

        disk.relieve()?;
        let name = format!("after-{round}");
        assert!(
            acknowledged
                .write(&mut client, &name, 50, 2_000, 1)
                .is_none(),
            "there is room"
        );
        eventually("the warning goes", RECOVERY, || {
            let status = ann.json(&["status"]).unwrap_or_default();
            !status["warnings"].to_string().contains("The disk is full")
        });
    }
    assert_eq!(ann.id(), pid);
    assert!(
        ann.json(&["status"])?["pid"].as_u64() == pid.map(u64::from),
        "no restart"
    );
    ann.kill();
    ann.up(&FLAGS)?;
    assert_eq!(acknowledged.missing(&ann)?, [""; 0]);
    whole(&ann)
}

#[test]
fn a_read_only_disk_is_named_with_what_to_do() -> Outcome {
    let test = "a_read_only_disk_is_named_with_what_to_do";
    let dir = tempfile::tempdir()?;
    let Some(disk) = Disk::or_skip(test, dir.path(), 24) else {
        return Ok(());
    };
    let mut ann = node_on(&disk, dir.path());
    // At the first start, where there is not even a home, and later, where there is one.
    for first in [true, false] {
        disk.read_only(true)?;
        for args in [&["up"][..], &["up", "--foreground"]] {
            let refused = ann.run(&[args, &["--key-file", "--no-mdns"]].concat());
            let Err(SteadError::Failed {
                code: Some(8),
                said,
                ..
            }) = &refused
            else {
                return Err(format!("{refused:?}").into());
            };
            assert!(said.contains("Read-only file system"), "{said}");
            assert!(said.contains("disk read-write"), "{said}");
        }
        disk.read_only(false)?;
        if first {
            ann.up(&FLAGS)?;
            ann.run(&["put", "home/things/one", "n=1"])?;
            ann.down();
        }
    }
    ann.up(&FLAGS)?;
    assert_eq!(ann.field("home/things/one", "n"), Some(Value::from(1)));
    Ok(())
}

/// Up to where a write-ahead log is written: behind it are zeros, room for what comes next.
fn written(log: &Path) -> std::io::Result<u64> {
    let bytes = fs::read(log)?;
    let last = bytes.iter().rposition(|byte| *byte != 0);
    Ok(last.map_or(0, |last| last as u64 + 1))
}

#[test]
fn a_write_ahead_log_cut_short_costs_nothing_that_the_journal_holds() -> Outcome {
    let dir = tempfile::tempdir()?;
    let mut ann = Stead::new("ann", Place::Here, dir.path());
    ann.up(&FLAGS)?;
    let mut settled = Acknowledged::default();
    assert!(
        settled
            .write(&mut ann.client()?, "early", 50, 500, 1)
            .is_none()
    );
    let wal = ann.home().join(format!("{STORE_FILE}-wal"));
    // Whoever reads has what waits committed.
    assert_eq!(settled.missing(&ann)?, [""; 0]);
    let length = written(&wal)?;
    let mut late = Acknowledged::default();
    assert!(late.write(&mut ann.client()?, "late", 50, 500, 1).is_none());
    assert_eq!(late.missing(&ann)?, [""; 0]);
    ann.kill();
    // Into the middle of what came later, and of a page.
    let longer = written(&wal)?;
    assert!(
        longer > length,
        "the log grew from {length} to {longer} bytes"
    );
    let file = fs::File::options().write(true).open(&wal)?;
    file.set_len(length + (longer - length) / 2 + 1_000)?;
    drop(file);
    ann.up(&FLAGS)?;
    assert_eq!(settled.missing(&ann)?, [""; 0]);
    assert_eq!(late.missing(&ann)?, [""; 0]);
    ann.run(&["put", "home/things/after", "n=1"])?;
    whole(&ann)
}

#[test]
fn damaged_pages_are_told_with_what_to_do_and_other_devices_are_whole() -> Outcome {
    let dir = tempfile::tempdir()?;
    let mut ann = Stead::new("ann", Place::Here, dir.path());
    let mut ben = Stead::new("ben", Place::Here, dir.path());
    ann.up(&FLAGS)?;
    ben.up(&FLAGS)?;
    ann.link(&ben)?;
    let mut acknowledged = Acknowledged::default();
    assert!(
        acknowledged
            .write(&mut ann.client()?, "doc", 300, 300, 16)
            .is_none()
    );
    eventually("ben has everything", Duration::from_secs(30), || {
        acknowledged
            .missing(&ben)
            .is_ok_and(|missing| missing.is_empty())
    });
    ann.down();
    let store = ann.home().join(STORE_FILE);
    let pages = fs::metadata(&store)?.len() / 4096;
    let mut file = fs::File::options().write(true).open(&store)?;
    for page in (4..pages).step_by(5) {
        file.seek(SeekFrom::Start(page * 4096 + 8))?;
        file.write_all(&[0xa5; 400])?;
    }
    drop(file);

    let said = match ann.up(&FLAGS) {
        Ok(()) => match ann.run(&["doctor", "--thorough"]) {
            Err(SteadError::Failed {
                code: Some(7 | 8),
                said,
                ..
            }) => said,
            other => return Err(format!("the doctor saw nothing: {other:?}").into()),
        },
        Err(SteadError::Failed { said, .. }) => said,
        Err(error) => return Err(error.into()),
    };
    eprintln!("{said}");
    assert!(said.contains("damaged"), "{said}");
    assert!(said.contains("other devices"), "what to do: {said}");
    assert_eq!(acknowledged.missing(&ben)?, [""; 0]);
    whole(&ben)
}
