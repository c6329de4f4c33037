//! Who changed what, when: the logs of a space as one story, with proof on demand.

use std::collections::BTreeMap;

use stead_access::{OpId, Party, Roster, RosterOp, Subject, decode_ops};
use stead_base::{DeviceId, DocId, Hash, Hlc, ScopeId, SpaceId, Stamp, WriterId};
use stead_doc::{Changes, OpRef, RichKind, ValueRef};
use stead_log::{BatchEntries, EntryRef, InclusionProof, SignedHead, Skeleton, SkeletonError};
use stead_store::Read;

use crate::identity::Names;
use crate::logs::StoredTree;
use crate::opening::{Opened, OpenedEntry, Outcome, open_run};
use crate::space::SpaceState;
use crate::starts::is_piece;
use crate::{Replica, ReplicaError};

/// Entries of one log that are opened at a time, walking back.
const STRIDE: u64 = 512;

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct HistoryQuery {
    /// Only entries that touch this collection.
    pub collection: Option<String>,
    /// Only entries that touch this document of the collection.
    pub id: Option<DocId>,
    /// Most items to list.
    pub limit: usize,
    /// Only entries earlier than this one (of the last item of the page before).
    pub before: Option<Stamp>,
}

/// What an entry did to one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchedDocument {
    /// The document's collection.
    pub collection: String,
    /// The document.
    pub id: DocId,
    /// Each operation in words, such as `set name`.
    pub changes: Vec<String>,
    /// What it did to the one value that maps and feeds keep in a document.
    pub(crate) face: Vec<FaceOp>,
}

/// An operation on the one value that maps and feeds keep in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FaceOp {
    /// It is this now.
    Put(serde_json::Value),
    /// The document is there, or deleted.
    Live(bool),
}

impl FaceOp {
    fn of(path: &str, op: &OpRef<'_>) -> Option<Self> {
        match op {
            OpRef::Assign(value) if path == crate::faces::VALUE => value.to_json().map(Self::Put),
            OpRef::Restore => Some(Self::Live(true)),
            OpRef::Delete | OpRef::Purge => Some(Self::Live(false)),
            _ => None,
        }
    }
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryItem {
    /// Whose log.
    pub writer: WriterId,
    /// The device that wrote it, when known.
    pub device: Option<DeviceId>,
    /// That device's name.
    pub device_name: Option<String>,
    /// Place in the log.
    pub seq: u64,
    /// When it was made, by its writer's clock.
    pub hlc: Hlc,
    /// Leaf hash of the entry.
    pub leaf: Hash,
    /// What it did to documents.
    pub documents: Vec<TouchedDocument>,
    /// What it did to the roster, in words.
    pub roster: Vec<String>,
    /// Parts of it that this device may not read.
    pub closed: u64,
    /// Whether it counts already: its writer is admitted and its time has come.
    pub counts: bool,
}

/// Proof that an entry stands in a log that its writer signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    /// The entry as it is stored: sealed.
    pub entry: Vec<u8>,
    /// Its leaf hash.
    pub leaf: Hash,
    /// The signed head.
    pub head: SignedHead,
    /// The path from leaf to head.
    pub inclusion: InclusionProof,
}

impl LogProof {
    /// Whether the entry stands at `seq` of the log that `writer` signed for that space.
    pub fn holds(&self, space: &SpaceId, writer: &WriterId, seq: u64) -> bool {
        let leaf = EntryRef::parse(&self.entry).map(|entry| entry.leaf_hash());
        let (head, root) = (&self.head, self.head.root);
        leaf == Ok(self.leaf)
            && head.verify(space, writer).is_ok()
            && self
                .inclusion
                .verify(self.leaf, seq, head.len, &root)
                .is_ok()
    }
}

impl Replica {
    /// Lists entries of all logs of a space, latest first.
    pub fn history(
        &self,
        space: &SpaceId,
        query: &HistoryQuery,
    ) -> Result<Vec<HistoryItem>, ReplicaError> {
        let state = self.space(space)?;
        let mut found: BTreeMap<Stamp, HistoryItem> = BTreeMap::new();
        for writer in state.writers.keys() {
            self.walk_back(state, writer, query, &mut found)?;
        }
        Ok(found.into_values().rev().take(query.limit).collect())
    }

    /// Proves that entry `seq` stands in a log that its writer signed. None if it is not held.
    pub fn prove(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        seq: u64,
    ) -> Result<Option<LogProof>, ReplicaError> {
        let Some(state) = self.space(space)?.writers.get(writer) else {
            return Ok(None);
        };
        let Some(head) = self
            .opened_head(space, writer)?
            .filter(|head| seq < head.len)
        else {
            return Ok(None);
        };
        let entry = self.entry(space, writer, seq)?;
        let Some(entry) = entry else { return Ok(None) };
        let leaf = EntryRef::parse(&entry)
            .map_err(|source| ReplicaError::Record {
                what: "log entry",
                source,
            })?
            .leaf_hash();
        let inclusion =
            InclusionProof::build(&mut StoredTree::new(&self.store, state)?, seq, head.len)?;
        Ok(Some(LogProof {
            entry,
            leaf,
            head,
            inclusion,
        }))
    }

    pub(crate) fn entry(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        seq: u64,
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        let state = self.writer(space, writer)?;
        if seq < state.record.base {
            return self.kept_entry(state.no, seq);
        }
        let segments = self.store.segments(state.no, seq, 0)?;
        let Some(segment) = segments.first() else {
            return Ok(None);
        };
        let mut iter = BatchEntries::new(&segment.bytes);
        for _ in segment.start..seq {
            iter.skip_one().map_err(|source| ReplicaError::Record {
                what: "log segment",
                source,
            })?;
        }
        let entry = iter.next_bytes().map_err(|source| ReplicaError::Record {
            what: "log segment",
            source,
        })?;
        Ok(entry.map(<[u8]>::to_vec))
    }

    /// An entry of a dropped beginning, if the skeleton keeps it.
    fn kept_entry(
        &self,
        no: stead_store::WriterNo,
        seq: u64,
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        let skeleton = self.store.skeleton(no)?;
        let Some((_, bytes)) = skeleton.filter(|(_, bytes)| !bytes.is_empty()) else {
            return Ok(None);
        };
        let kept = Skeleton::decode(&bytes)
            .map_err(SkeletonError::from)
            .and_then(|skeleton| skeleton.entries())
            .map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let found = kept.iter().find(|kept| kept.seq == seq);
        Ok(found.map(|kept| kept.entry.bytes().to_vec()))
    }

    /// Adds to `found` what fits of one log, newest first, until it can add nothing more.
    fn walk_back(
        &self,
        space: &SpaceState,
        writer: &WriterId,
        query: &HistoryQuery,
        found: &mut BTreeMap<Stamp, HistoryItem>,
    ) -> Result<(), ReplicaError> {
        let Some(state) = space.writers.get(writer) else {
            return Ok(());
        };
        let mut end = state.record.tip.len();
        let base = state.record.base;
        while end > base {
            let start = end.saturating_sub(STRIDE).max(base);
            let entries = self.entries(state.no, start, end)?;
            let first_leaf = match entries.first() {
                Some(bytes) if start == 0 => {
                    EntryRef::parse(bytes).ok().map(|entry| entry.leaf_hash())
                }
                _ => None,
            };
            let runs = entries.iter().map(Vec::as_slice);
            let opened = open_run(&space.ring, &space.id, writer, start, first_leaf, runs);
            for (entry, bytes) in opened.entries.iter().zip(&entries).rev() {
                let stamp = Stamp {
                    hlc: entry.hlc,
                    writer: *writer,
                };
                if entry.outcome != Outcome::Open
                    || query.before.is_some_and(|before| stamp >= before)
                {
                    continue;
                }
                let full = found.len() >= query.limit;
                if full
                    && found
                        .first_key_value()
                        .is_some_and(|(oldest, _)| *oldest > stamp)
                {
                    return Ok(());
                }
                if let Some(item) = describe(
                    space,
                    writer,
                    state.merged.applied,
                    entry,
                    &opened,
                    bytes,
                    query,
                ) {
                    found.insert(stamp, item);
                    if found.len() > query.limit {
                        found.pop_first();
                    }
                }
            }
            end = start;
        }
        Ok(())
    }

    fn entries(
        &self,
        no: stead_store::WriterNo,
        from: u64,
        to: u64,
    ) -> Result<Vec<Vec<u8>>, ReplicaError> {
        let mut entries = Vec::new();
        self.store
            .each_segment(no, from, &mut |start, count, bytes| {
                let mut iter = BatchEntries::new(bytes);
                for seq in start..start + u64::from(count) {
                    match iter.next_bytes() {
                        Ok(Some(entry)) if (from..to).contains(&seq) => {
                            entries.push(entry.to_vec())
                        }
                        Ok(Some(_)) if seq < from => {}
                        _ => return std::ops::ControlFlow::Break(()),
                    }
                }
                std::ops::ControlFlow::Continue(())
            })?;
        Ok(entries)
    }
}

/// What an opened entry says of documents.
pub(crate) fn documents_of(
    entry: &OpenedEntry,
    opened: &Opened,
    writer: &WriterId,
) -> Vec<TouchedDocument> {
    let stamp = Stamp {
        hlc: entry.hlc,
        writer: *writer,
    };
    let mut changes = Changes::default();
    for (_, parcel) in opened.open_docs(entry) {
        if !is_piece(parcel)
            && let Err(error) = changes.push(parcel, stamp)
        {
            tracing::debug!(%error, ?writer, seq = entry.seq, "parcel not shown");
        }
    }
    let described = changes.docs().map(|doc| TouchedDocument {
        collection: doc.collection().to_owned(),
        id: doc.id().clone(),
        changes: doc
            .ops()
            .map(|(path, op)| in_words(&path.to_string(), &op))
            .collect(),
        face: doc
            .ops()
            .filter_map(|(path, op)| FaceOp::of(&path.to_string(), &op))
            .collect(),
    });
    // What one entry says of a document may lie in several parts of it.
    let mut documents: Vec<TouchedDocument> = Vec::new();
    for told in described {
        let same =
            |doc: &&mut TouchedDocument| doc.collection == told.collection && doc.id == told.id;
        match documents.iter_mut().find(same) {
            None => documents.push(told),
            Some(known) => {
                let more = told.changes.into_iter();
                let more: Vec<_> = more.filter(|it| !known.changes.contains(it)).collect();
                known.changes.extend(more);
                known.face.extend(told.face);
            }
        }
    }
    documents
}

fn describe(
    space: &SpaceState,
    writer: &WriterId,
    applied: u64,
    entry: &OpenedEntry,
    opened: &Opened,
    bytes: &[u8],
    query: &HistoryQuery,
) -> Option<HistoryItem> {
    let closed = opened.docs(entry).iter();
    let closed = closed
        .filter(|part| part.outcome == Outcome::Closed)
        .count() as u64;
    let mut documents = documents_of(entry, opened, writer);
    documents.retain(|doc| {
        let collection = query.collection.as_deref();
        collection.is_none_or(|wanted| wanted == doc.collection)
            && query.id.as_ref().is_none_or(|wanted| *wanted == doc.id)
    });
    if query.collection.is_some() && documents.is_empty() {
        return None;
    }
    let roster = decode_ops(&opened.arena[entry.roster.clone()]).unwrap_or_default();
    let device = space.roster.device_of(writer);
    let counts = entry.seq < applied
        && space
            .roster
            .spans(writer)
            .iter()
            .any(|span| span.since <= entry.seq && entry.seq < span.limit);
    Some(HistoryItem {
        writer: *writer,
        device,
        device_name: device.and_then(|device| space.roster.name_of(&device)),
        seq: entry.seq,
        hlc: entry.hlc,
        leaf: EntryRef::parse(bytes).ok()?.leaf_hash(),
        documents,
        roster: roster.iter().map(|op| told(&space.roster, op)).collect(),
        closed,
        counts,
    })
}

pub(crate) fn in_words(path: &str, op: &OpRef<'_>) -> String {
    match op {
        OpRef::Assign(value) => match value.to_json() {
            Some(value) => format!("set {path} = {}", shortened(&value.to_string())),
            None => format!("unset {path}"),
        },
        OpRef::Add { delta, .. } => format!("add {delta} to {path}"),
        OpRef::SetAdd(elem) => format!("include {} in {path}", element(*elem)),
        OpRef::SetRemove { elem, .. } => format!("exclude {} from {path}", element(*elem)),
        OpRef::Rich { kind, .. } => match kind {
            RichKind::Text => format!("edit text {path}"),
            RichKind::List => format!("edit list {path}"),
            RichKind::Tree => format!("edit tree {path}"),
        },
        OpRef::Restore => "restore".to_owned(),
        OpRef::Delete => "delete".to_owned(),
        OpRef::Purge => "purge".to_owned(),
    }
}

fn element(value: ValueRef<'_>) -> String {
    shortened(&value.to_json().unwrap_or_default().to_string())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A roster operation in one plain phrase, with paths where a scope's number stands.
pub(crate) fn told(roster: &Roster, op: &RosterOp) -> String {
    let place = |scope: ScopeId| match roster.place_of(scope) {
        Some(path) if scope > ScopeId::ROOT => path.to_string(),
        _ => scope.to_string(),
    };
    match op {
        RosterOp::Epoch(epoch) if epoch.scope > ScopeId::ROOT => {
            format!("epoch {} of {} begun", epoch.generation, place(epoch.scope))
        }
        RosterOp::Start(start) => format!(
            "the present of {} written for those who read it only",
            place(start.scope)
        ),
        other => roster_in_words(other),
    }
}

/// A roster operation in one plain phrase.
pub fn roster_in_words(op: &RosterOp) -> String {
    let party = |party: &Party| match party {
        Party::Device(record) => format!("{} ({})", record.name.as_str(), record.id.short()),
        Party::Identity(card) => format!("person {}", card.identity.short()),
    };
    match op {
        RosterOp::Genesis { name, device, .. } => {
            format!(
                "space {:?} founded by {}",
                name.as_str(),
                device.name.as_str()
            )
        }
        RosterOp::Claim { device, .. } => format!("writer claimed by device {}", device.short()),
        RosterOp::Grant(grant) => {
            let (role, path) = (grant.role, &grant.path);
            match &grant.subject {
                Subject::Party(who) => format!("{} let in as {role} at {path}", party(who)),
                Subject::Group { group, .. } => {
                    format!("group {} let in as {role} at {path}", group.short())
                }
                Subject::Invite { uses: None, .. } => {
                    format!("invite made for any number of people as {role} at {path}")
                }
                Subject::Invite { uses: Some(1), .. } => {
                    format!("invite made for one person as {role} at {path}")
                }
                Subject::Invite {
                    uses: Some(uses), ..
                } => format!("invite made for {uses} people as {role} at {path}"),
                Subject::Everyone => format!("everyone may read {path}"),
            }
        }
        RosterOp::Join(join) => format!("{} joined by invite {}", party(&join.joiner), join.invite),
        RosterOp::Remove(remove) => {
            let which: Vec<String> = remove.memberships.iter().map(OpId::to_string).collect();
            let reason = remove.reason.as_ref();
            let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            format!("membership {} ended{reason}", which.join(", "))
        }
        RosterOp::AddDevice(add) => format!(
            "device {} ({}) added to person {}",
            add.record.name.as_str(),
            add.record.id.short(),
            add.identity.short()
        ),
        RosterOp::RemoveDevice(remove) => format!(
            "device {} taken from person {}",
            remove.device.short(),
            remove.identity.short()
        ),
        RosterOp::GroupAdd(add) => {
            format!("{} added to group {}", party(&add.party), add.group.short())
        }
        RosterOp::GroupRemove(remove) => {
            format!("someone taken out of group {}", remove.group.short())
        }
        RosterOp::Epoch(epoch) => {
            format!("epoch {} of scope {} begun", epoch.generation, epoch.scope)
        }
        RosterOp::Scope { path } => format!("{path} given keys of its own"),
        RosterOp::Start(start) => format!(
            "the present of {} written for those who read it only",
            start.scope
        ),
        RosterOp::Rename { name, .. } => format!("space renamed to {:?}", name.as_str()),
        RosterOp::Checkpoint(made) => format!(
            "checkpoint of {} documents of scope {} made",
            made.documents, made.scope
        ),
        RosterOp::Redact(redact) => match redact.parcels.len() {
            1 => "values of one entry redacted".to_owned(),
            count => format!("values of {count} entries redacted"),
        },
        RosterOp::AskKeys(ask) => match ask.keys.len() {
            0 => "no key lacks any more".to_owned(),
            1 => "a key asked for that did not come".to_owned(),
            count => format!("{count} keys asked for that did not come"),
        },
        RosterOp::Letter { boxes } => match boxes.len() {
            1 => "a sealed letter to one device".to_owned(),
            count => format!("a sealed letter to {count} devices"),
        },
        RosterOp::RootStatement { identity, ops, .. } => {
            let said = decode_ops(ops).unwrap_or_default();
            let said: Vec<String> = said.iter().map(roster_in_words).collect();
            format!(
                "by the recovery words of person {}: {}",
                identity.short(),
                said.join("; ")
            )
        }
    }
}
