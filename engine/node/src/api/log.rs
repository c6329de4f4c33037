//! The log, as people read it.

use stead_api::{
    ApiError, DeviceInfo, ErrorKind, LogEntry, LogKind, LogList, LogOp, LogPage, LogProof,
    PAGE_DEFAULT, PAGE_MAX,
};
use stead_base::{Hlc, SpaceId, Stamp, WriterId};
use stead_log::EntryRef;
use stead_replica::{HistoryItem, HistoryQuery, Replica, ReplicaError, TouchedDocument};

use super::veil::{GROUP_SPACES, SPACES};
use super::{Node, convert};
use crate::faults;

/// Operations shown of one entry.
const OPS_MAX: usize = 100;

impl Node {
    pub(super) async fn log(&self, list: LogList) -> Result<LogPage, ApiError> {
        let space = self.find_space(&list.space)?;
        let limit = list.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX) as usize;
        if list.id.is_some() && list.collection.is_none() {
            let message = "To find a document's history, name its collection too.";
            return Err(ApiError::new(ErrorKind::InvalidParams, message));
        }
        let query = HistoryQuery {
            collection: list.collection,
            id: list.id.as_deref().map(convert::doc_id).transpose()?,
            // One more tells whether there is a next page.
            limit: limit + 1,
            before: list.before.as_deref().map(read_mark).transpose()?,
        };
        let own = self.device.id;
        let veils = [SPACES, GROUP_SPACES].map(|of| (of, self.veil(&space, of)));
        let page = self.store.look(move |desk| {
            let replica = &desk.replica;
            let mut items = replica.history(&space, &query)?;
            let more = items.len() > limit;
            items.truncate(limit);
            let next = items
                .last()
                .filter(|_| more)
                .map(|item| mark(item.hlc, &item.writer));
            let mut entries = Vec::with_capacity(items.len());
            for mut item in items {
                for document in &mut item.documents {
                    for (_, veil) in veils.iter().filter(|(of, _)| *of == document.collection) {
                        document
                            .changes
                            .iter_mut()
                            .for_each(|words| veil.over_words(words));
                    }
                }
                let proof = match list.proof {
                    true => prove(replica, &space, &item)?,
                    false => None,
                };
                entries.push(entry(item, own, proof));
            }
            Ok::<_, ReplicaError>(LogPage { entries, next })
        });
        page.await?.map_err(|error| faults::replica(&error))
    }
}

fn entry(item: HistoryItem, own: stead_base::DeviceId, proof: Option<(LogProof, u64)>) -> LogEntry {
    let mut ops: Vec<LogOp> = Vec::new();
    ops.extend(item.roster.iter().map(|summary| LogOp {
        op: roster_verb(summary).to_owned(),
        summary: summary.clone(),
        ..LogOp::default()
    }));
    ops.extend(item.documents.iter().flat_map(document_ops));
    let ops_total = ops.len() as u64;
    ops.truncate(OPS_MAX);
    let kind = if !item.counts {
        LogKind::HeldBack
    } else if item.documents.is_empty() && !item.roster.is_empty() {
        LogKind::Roster
    } else {
        LogKind::Change
    };
    let (proof, bytes) = proof.map_or((None, 0), |(proof, bytes)| (Some(proof), bytes));
    LogEntry {
        writer: item.writer.to_string(),
        index: item.seq,
        device: DeviceInfo {
            id: item.device.map(|id| id.to_string()).unwrap_or_default(),
            name: item.device_name.unwrap_or_default(),
            this: item.device == Some(own),
            ..DeviceInfo::default()
        },
        time: convert::time(item.hlc),
        kind,
        bytes,
        ops,
        ops_total,
        closed: item.closed,
        proof,
    }
}

fn document_ops(document: &TouchedDocument) -> impl Iterator<Item = LogOp> + '_ {
    document.changes.iter().map(|words| {
        let verb = words.split(' ').next().unwrap_or_default();
        LogOp {
            collection: document.collection.clone(),
            id: document.id.to_string(),
            op: verb.to_owned(),
            summary: words.clone(),
            ..LogOp::default()
        }
    })
}

/// The verb of a roster operation, from its words.
fn roster_verb(summary: &str) -> &'static str {
    match summary {
        words if words.contains("founded by") => "genesis",
        words if words.starts_with("writer claimed") => "claim",
        words if words.contains("let in as") => "grant",
        _ => "epoch",
    }
}

/// Proves an entry, and checks the proof as its reader would.
fn prove(
    replica: &Replica,
    space: &SpaceId,
    item: &HistoryItem,
) -> Result<Option<(LogProof, u64)>, ReplicaError> {
    let Some(proof) = replica.prove(space, &item.writer, item.seq)? else {
        return Ok(None);
    };
    let leaf = EntryRef::parse(&proof.entry).map(|entry| entry.leaf_hash());
    let (head, root) = (&proof.head, proof.head.root);
    let verified = leaf == Ok(proof.leaf)
        && head.verify(space, &item.writer).is_ok()
        && proof
            .inclusion
            .verify(proof.leaf, item.seq, head.len, &root)
            .is_ok();
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let wire = LogProof {
        leaf: proof.leaf.to_string(),
        path: proof
            .inclusion
            .hashes()
            .iter()
            .map(ToString::to_string)
            .collect(),
        head_len: head.len,
        head_root: root.to_string(),
        head_signature: hex(&head.signature),
        space: space.to_string(),
        verified,
    };
    Ok(Some((wire, proof.entry.len() as u64)))
}

/// Where a page ended.
pub(super) fn mark(hlc: Hlc, writer: &WriterId) -> String {
    format!("{}.{writer}", hlc.to_u64())
}

pub(super) fn read_mark(text: &str) -> Result<Stamp, ApiError> {
    let parsed = text.split_once('.').and_then(|(hlc, writer)| {
        Some(Stamp {
            hlc: Hlc::from_u64(hlc.parse().ok()?),
            writer: writer.parse().ok()?,
        })
    });
    parsed.ok_or_else(|| {
        ApiError::new(ErrorKind::InvalidParams, "This page mark cannot be read.")
            .hint("Start from the first page.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_mark_reads_back() {
        let stamp = Stamp {
            hlc: Hlc::new(1_700_000_000_000, 3),
            writer: WriterId::from_bytes([7; 32]),
        };
        assert_eq!(read_mark(&mark(stamp.hlc, &stamp.writer)), Ok(stamp));
        assert!(read_mark("yesterday").is_err());
    }
}
