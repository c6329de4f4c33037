//! Keystroke traces: where they lie, and what is in them.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

use super::peers::Typist;
use crate::Failure;

/// One keystroke, or one paste.
#[derive(Debug, Clone)]
pub(crate) struct Patch {
    pub(crate) at: usize,
    pub(crate) delete: usize,
    pub(crate) insert: String,
}

struct Txn {
    agent: usize,
    parents: Vec<usize>,
    patches: Vec<Patch>,
}

/// A trace.
pub(crate) struct Trace {
    pub(crate) end: String,
    agents: usize,
    txns: Vec<Txn>,
}

impl Trace {
    /// Reads a trace; None, with a word about it, if it is not on this machine.
    pub(crate) fn find(name: &str) -> Result<Option<Self>, Failure> {
        let Some(path) = path_of(name) else {
            eprintln!(
                "    {name} is not here and was skipped (STEAD_DATA names the folder of traces)"
            );
            return Ok(None);
        };
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
        let json: Value = serde_json::from_str(&text)?;
        let number = |value: &Value| value.as_u64().unwrap_or_default() as usize;
        let patch = |value: &Value| Patch {
            at: number(&value[0]),
            delete: number(&value[1]),
            insert: value[2].as_str().unwrap_or_default().to_owned(),
        };
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let txns: Vec<Txn> = list(&json["txns"])
            .iter()
            .map(|txn| Txn {
                agent: number(&txn["agent"]),
                parents: list(&txn["parents"]).iter().map(number).collect(),
                patches: list(&txn["patches"]).iter().map(patch).collect(),
            })
            .collect();
        Ok(Some(Self {
            end: json["endContent"].as_str().unwrap_or_default().to_owned(),
            agents: txns.iter().map(|txn| txn.agent + 1).max().unwrap_or(1),
            txns,
        }))
    }

    /// Every patch of a sequential trace.
    pub(crate) fn patches(&self) -> Vec<Patch> {
        self.txns
            .iter()
            .flat_map(|txn| txn.patches.clone())
            .collect()
    }

    /// Replays a concurrent trace: each agent types into a copy that has what the trace says it had.
    /// Answers every transaction's update.
    pub(crate) fn typed_apart<T: Typist>(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let mut copies = (0..self.agents)
            .map(|agent| Ok((T::new(agent as u64 + 1)?, vec![false; self.txns.len()])))
            .collect::<Result<Vec<_>, Failure>>()?;
        let mut updates: Vec<Vec<u8>> = Vec::with_capacity(self.txns.len());
        for (index, txn) in self.txns.iter().enumerate() {
            let (typist, known) = &mut copies[txn.agent];
            let mut wanted = txn.parents.clone();
            let mut lacking = Vec::new();
            while let Some(parent) = wanted.pop() {
                if !known[parent] {
                    known[parent] = true;
                    lacking.push(parent);
                    wanted.extend(&self.txns[parent].parents);
                }
            }
            lacking.sort_unstable();
            for parent in lacking {
                typist.take(&updates[parent])?;
            }
            for patch in &txn.patches {
                typist.splice(patch)?;
            }
            known[index] = true;
            updates.push(typist.update()?);
        }
        updates.retain(|update| !update.is_empty());
        Ok(updates)
    }
}

fn path_of(name: &str) -> Option<PathBuf> {
    if name == "automerge-paper" {
        return in_package("loro-internal-1.17.1", "benches/automerge-paper.json.gz");
    }
    let folder = std::env::var_os("STEAD_DATA")?;
    let path = Path::new(&folder)
        .join("traces")
        .join(format!("{name}.json.gz"));
    path.is_file().then_some(path)
}

/// A file of a package that cargo has fetched.
fn in_package(package: &str, file: &str) -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(Path::new(&home).join(".cargo"))
        })?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
    registries
        .filter_map(Result::ok)
        .map(|registry| registry.path().join(package).join(file))
        .find(|path| path.is_file())
}
