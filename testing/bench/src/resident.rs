//! Memory that holding a million fields takes, each system in a process of its own: this program
//! starts itself again as the system to be measured.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use stead_crypt::DeviceKeys;
use stead_replica::{Query, Replica};
use stead_store::{CollectionNo, Durability};

use crate::Failure;
use crate::data::{Random, Records};
use crate::device::{now_ms, open, write_bulk};

/// The argument that makes this program the one to be measured.
pub(crate) const RESIDENT: &str = "--resident";

/// Documents read one by one before the memory is read.
const READS: usize = 10_000;

const SEED: [u8; 32] = [5; 32];

/// A replica in a file that [`measure`] can open again.
pub(crate) fn replica(path: &Path) -> Result<Replica, Failure> {
    open(path, DeviceKeys::from_seed(&SEED), Durability::Ordered)
}

/// Resident megabytes of a process that has opened `path` as `system` and read from it.
pub(crate) fn measure(system: &str, path: &Path) -> Result<f64, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args([RESIDENT, system])
        .arg(path)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{system} could not be measured: {said}").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// What the measured process does: opens, reads, prints its own resident megabytes.
pub(crate) fn run(system: &str, path: &Path) -> Result<(), Failure> {
    match system {
        "stead" => {
            let replica = replica(path)?;
            let space = replica.find_space("bench")?;
            let all = Query::all(CollectionNo(0));
            let found = replica.count(&space, "cities", all.clone())?;
            let ids: Vec<_> = replica
                .query(
                    &space,
                    "cities",
                    Query {
                        limit: Some(1000),
                        ..all
                    },
                )?
                .into_iter()
                .map(|found| found.id)
                .collect();
            let mut random = Random(3);
            for _ in 0..READS {
                let id = &ids[random.below(ids.len())];
                replica
                    .get(&space, "cities", id)?
                    .ok_or("a document is missing")?;
            }
            print(found)
        }
        "loro" => {
            let doc = loro::LoroDoc::new();
            doc.import(&std::fs::read(path)?)?;
            let found = doc.get_map("docs").len() as u64;
            let read = doc.get_deep_value();
            let printed = print(found);
            drop(read);
            printed
        }
        "automerge" => {
            let doc = automerge::AutoCommit::load(&std::fs::read(path)?)?;
            let found = automerge::ReadDoc::length(&doc, automerge::ROOT) as u64;
            print(found)
        }
        other => Err(format!("there is no system {other:?} to measure").into()),
    }
}

fn print(found: u64) -> Result<(), Failure> {
    if found == 0 {
        return Err("it holds nothing".into());
    }
    println!("{}", resident_mb(std::process::id())?);
    Ok(())
}

/// Resident megabytes of a process.
pub(crate) fn resident_mb(process: u32) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next())
        .ok_or("no VmRSS in /proc")?;
    Ok(kib.parse::<f64>()? * 1024.0 / 1e6)
}

/// Fills a file for each system; returns their paths under `folder`, Stead's first.
pub(crate) fn fill(folder: &Path, records: &Records) -> Result<[std::path::PathBuf; 3], Failure> {
    let [stead, loro, automerge] =
        ["stead.db", "loro.bin", "automerge.bin"].map(|name| folder.join(name));
    let mut replica = replica(&stead)?;
    replica.create_home(now_ms())?;
    let space = replica.create_space("bench", now_ms())?;
    write_bulk(&mut replica, &space, records)?;
    replica.checkpoint()?;
    drop(replica);
    std::fs::write(&loro, loro_of(records)?.export(loro::ExportMode::Snapshot)?)?;
    std::fs::write(&automerge, automerge_of(records)?.save())?;
    Ok([stead, loro, automerge])
}

/// One Loro document that holds all records.
pub(crate) fn loro_of(records: &Records) -> Result<loro::LoroDoc, Failure> {
    let doc = loro::LoroDoc::new();
    let root = doc.get_map("docs");
    for (id, value) in records.ids.iter().zip(&records.values) {
        let map = root.insert_container(&id.to_string(), loro::LoroMap::new())?;
        for (name, value) in value.as_object().into_iter().flatten() {
            match value {
                Value::Number(number) => map.insert(name, number.as_f64().unwrap_or_default())?,
                other => map.insert(name, other.as_str().unwrap_or_default())?,
            }
        }
    }
    doc.commit();
    Ok(doc)
}

/// One Automerge document that holds all records.
pub(crate) fn automerge_of(records: &Records) -> Result<automerge::AutoCommit, Failure> {
    use automerge::transaction::Transactable;
    let mut doc = automerge::AutoCommit::new();
    for (id, value) in records.ids.iter().zip(&records.values) {
        let map = doc.put_object(automerge::ROOT, id.to_string(), automerge::ObjType::Map)?;
        for (name, value) in value.as_object().into_iter().flatten() {
            match value {
                Value::Number(number) => {
                    doc.put(&map, name, number.as_f64().unwrap_or_default())?
                }
                other => doc.put(&map, name, other.as_str().unwrap_or_default())?,
            }
        }
    }
    doc.commit();
    Ok(doc)
}
