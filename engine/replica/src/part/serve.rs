//! What a device that has all of a space gives to one that keeps a part: thin batches of logs, and slices
//! of the present.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use stead_access::{Action, Path};
use stead_base::limits::{BATCH_BYTES_TARGET, BATCH_ENTRIES_MAX};
use stead_base::{DeviceId, DocId, Hash, ScopeId, SpaceId, Stamp, WriterId};
use stead_checkpoint::{
    Ask, BLOCK_BYTES_TARGET, Choose, DocumentName, DocumentsWriter, PART_COLLECTIONS_MAX,
    PART_DOCUMENTS_MAX, PART_QUERIES_MAX, Slice, Units,
};
use stead_doc::{Changes, Document, Redacted};
use stead_log::{EntryRef, ParcelRef, SignedHead, Skeleton, ThinBatch, TreeSource, subtree_root};
use stead_store::{CollectionNo, Query, Read, SegmentRow};

use super::{ALWAYS, Question};
use crate::commit::path_of;
use crate::opening::{Opened, OpenedEntry, Outcome, open_envelope, open_segment};
use crate::rich::carried;
use crate::space::{SpaceState, WriterState};
use crate::starts::is_piece;
use crate::{Replica, ReplicaError};

/// Entries looked through for one thin batch.
const SCANNED_ENTRIES_MAX: u64 = 16_384;
/// Bytes of a log looked through for one thin batch.
const SCANNED_BYTES_MAX: usize = 8 << 20;
/// Largest beginning of a log that is given as one thin batch.
const BEGINNING_BYTES_MAX: usize = 3 << 20;
/// Documents that one query may find for a device that keeps a part.
const FOUND_MAX: u64 = 100_000;

/// What a peer keeps of a space, as it told.
#[derive(Debug, Clone, Default)]
pub struct Follower {
    units: Units,
}

impl Follower {
    /// Takes what the peer said. Returns whether it is no more than may be chosen.
    pub fn choose(&mut self, choose: Choose) -> bool {
        match choose {
            Choose::All(units) => self.units = units,
            Choose::More(units) => self.units.add(units),
            Choose::Less(units) => self.units.take(&units),
        }
        self.units.collections.len() <= PART_COLLECTIONS_MAX + ALWAYS.len()
            && self.units.documents.len() <= PART_DOCUMENTS_MAX
            && self.units.queries.len() <= PART_QUERIES_MAX
    }

    /// Whether a query of the choice is about a collection.
    pub fn asks_about(&self, collection: &str) -> bool {
        self.units.queries.iter().any(|(of, _)| of == collection)
    }

    fn holds(&self, collection: &str, id: &DocId) -> bool {
        ALWAYS.contains(&collection) || self.units.holds(collection, id)
    }
}

/// Leaves of a log from one place on.
struct Leaves {
    from: u64,
    leaves: Vec<Hash>,
}

impl TreeSource for Leaves {
    type Error = ReplicaError;

    fn subtree(&mut self, level: u32, index: u64) -> Result<Hash, ReplicaError> {
        let first = ((index << level) - self.from) as usize;
        let leaves = self.leaves.get(first..first + (1 << level));
        let leaves =
            leaves.ok_or_else(|| ReplicaError::Refused("entries are missing".to_owned()))?;
        Ok(subtree_root(leaves))
    }
}

/// What of an entry goes into a thin batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    /// All but what it says of documents.
    Bare,
    All,
}

/// Entries looked through, and what is kept of them.
struct Scanned {
    leaves: Leaves,
    kept: Vec<(u64, Vec<u8>)>,
    kept_bytes: usize,
    /// The last entry, as it is kept if nothing else keeps it.
    last: Vec<u8>,
    bytes: usize,
}

impl Replica {
    /// Encodes a thin batch of a log from entry `from`, with what a peer follows, at most to `upto` and
    /// about `bytes_max` bytes. None if not all of the log is held there.
    pub fn read_thin(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        (from, upto): (u64, u64),
        bytes_max: usize,
        follower: &Follower,
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        let space = self.space(space)?;
        let Some(state) = space.writers.get(writer) else {
            return Ok(None);
        };
        let upto = upto.min(state.record.tip.len());
        if from == 0 && state.record.base > 0 && space.part.is_none() {
            // A skeleton holds nothing of documents: that is right for who follows none.
            return match follower.units.is_empty() {
                true => self.thin_beginning(state),
                false => Ok(None),
            };
        }
        if from >= upto || from < state.record.base {
            return Ok(None);
        }
        let bytes_max = bytes_max.min(BATCH_BYTES_TARGET);
        let mut whole = state.record.unruly;
        loop {
            let Some(batch) = self.thin(
                space,
                (writer, state),
                (from, upto),
                bytes_max,
                follower,
                whole,
            )?
            else {
                // The last entry does not count those about rights: nothing is left out.
                if std::mem::replace(&mut whole, true) {
                    return Ok(None);
                }
                continue;
            };
            return Ok(Some(batch));
        }
    }

    /// The beginning of a log of which a skeleton is left.
    fn thin_beginning(&self, state: &WriterState) -> Result<Option<Vec<u8>>, ReplicaError> {
        let Some((_, bytes)) = self.store.skeleton(state.no)? else {
            return Ok(None);
        };
        if bytes.is_empty() || bytes.len() > BEGINNING_BYTES_MAX {
            return Ok(None);
        }
        let skeleton = Skeleton::decode(&bytes).map_err(segment)?;
        Ok(Some(ThinBatch::of_skeleton(&skeleton)))
    }

    fn thin(
        &self,
        space: &SpaceState,
        (writer, state): (&WriterId, &WriterState),
        (from, upto): (u64, u64),
        bytes_max: usize,
        follower: &Follower,
        whole: bool,
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        let mut scanned = Scanned {
            leaves: Leaves {
                from,
                leaves: Vec::new(),
            },
            kept: Vec::new(),
            kept_bytes: 0,
            last: Vec::new(),
            bytes: 0,
        };
        let mut fault = None;
        self.store
            .each_segment(state.no, from, &mut |start, count, bytes| {
                let row = SegmentRow {
                    start,
                    count,
                    bytes: bytes.to_vec(),
                };
                let looked = (|| -> Result<bool, ReplicaError> {
                    let opened = open_segment(&space.ring, &space.id, writer, &row, from)?;
                    let mut entries = stead_log::BatchEntries::new(&row.bytes);
                    for _ in row.start..from.max(row.start) {
                        entries.skip_one().map_err(segment)?;
                    }
                    for found in &opened.entries {
                        let Some(bytes) = entries.next_bytes().map_err(segment)? else {
                            return Ok(false);
                        };
                        let entry = EntryRef::parse(bytes).map_err(segment)?;
                        let mut keep = keep(space, &opened, found, &entry, writer, follower);
                        if whole && keep == Keep::Nothing {
                            keep = Keep::Bare;
                        }
                        let enough = scanned.kept_bytes + bytes.len() > bytes_max
                            || scanned.bytes + bytes.len() > SCANNED_BYTES_MAX
                            || scanned.kept.len() + 2 > BATCH_ENTRIES_MAX
                            || scanned.leaves.leaves.len() as u64 >= SCANNED_ENTRIES_MAX;
                        if found.seq >= upto || (enough && !scanned.leaves.leaves.is_empty()) {
                            return Ok(false);
                        }
                        scanned.take(found.seq, &entry, keep);
                    }
                    Ok(true)
                })();
                match looked {
                    Ok(true) => ControlFlow::Continue(()),
                    Ok(false) => ControlFlow::Break(()),
                    Err(error) => {
                        fault = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
        if let Some(error) = fault {
            return Err(error);
        }
        let end = from + scanned.leaves.leaves.len() as u64;
        if end == from {
            return Ok(None);
        }
        if scanned.kept.last().is_none_or(|(seq, _)| seq + 1 < end) {
            scanned
                .kept
                .push((end - 1, std::mem::take(&mut scanned.last)));
        }
        let counts = scanned.kept.last().and_then(|(seq, bytes)| {
            let entry = EntryRef::parse(bytes).ok()?;
            open_envelope(&space.ring, &space.id, writer, *seq, &entry)?.rosters
        });
        if counts.is_none() && !whole {
            return Ok(None);
        }
        let Some((head, extension)): Option<(SignedHead, Vec<Hash>)> =
            self.head_over(space, writer, state, end)?
        else {
            return Ok(None);
        };
        let batch = ThinBatch::build(
            writer,
            (from, end),
            &head,
            &extension,
            &scanned.kept,
            &mut scanned.leaves,
        )?;
        Ok(Some(batch))
    }

    /// Answers a question of a device that keeps a part of a space. None if it is not for this device to
    /// answer, or the other may not read what it asks for.
    pub fn slice(
        &mut self,
        id: &SpaceId,
        peer: &DeviceId,
        follower: &Follower,
        ask: &Ask,
        now_ms: u64,
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        self.merge_pending(now_ms)?;
        let space = self.space(id)?;
        if space.part.is_some() || space.record.is_beginning {
            return Ok(None);
        }
        let path = match ask {
            Ask::Documents(_) => None,
            Ask::Collection { name, .. } => Path::of([name.as_str()]).ok(),
            Ask::Query { collection, .. } => Path::of([collection.as_str()]).ok(),
        };
        let may = |device: &DeviceId, path: &Path| space.roster.can(device, path, Action::Read);
        let own = self.device();
        if let Some(path) = &path
            && !(may(&own, path) && may(peer, path))
        {
            return Ok(None);
        }
        let mut slice = Slice {
            frontier: frontier(space),
            ..Slice::default()
        };
        let mut block = Block::default();
        match ask {
            Ask::Documents(names) => {
                for name in names {
                    let at = path_of(&name.0, &name.1, std::iter::empty());
                    if !at.is_some_and(|at| may(&own, &at) && may(peer, &at)) {
                        return Ok(None);
                    }
                }
                for name in names {
                    if block.is_full() {
                        slice.more = true;
                        break;
                    }
                    self.add(id, &mut block, name)?;
                    slice.covered += 1;
                }
            }
            Ask::Collection { name, after } => {
                let no = self.store.collection(space.no, name)?;
                let found = no
                    .map(|no| self.documents_after(no, after.as_ref()))
                    .transpose()?;
                let (found, more) = found.unwrap_or_default();
                for doc in found {
                    self.add(id, &mut block, &(name.clone(), doc.clone()))?;
                    slice.upto = Some(doc);
                }
                slice.more = more;
                if !more {
                    slice.upto = None;
                }
            }
            Ask::Query { collection, query } => {
                let Ok(question) = Question::decode(query) else {
                    return Ok(None);
                };
                for doc in self.found(space, collection, &question)? {
                    if follower.holds(collection, &doc) {
                        continue;
                    }
                    if block.is_full() {
                        slice.more = true;
                        break;
                    }
                    self.add(id, &mut block, &(collection.clone(), doc))?;
                    slice.covered = slice.covered.min(1023) + 1;
                    if slice.covered >= 1024 {
                        slice.more = true;
                        break;
                    }
                }
            }
        }
        if !block.writer.is_empty() {
            slice.block = block
                .writer
                .finish()
                .map_err(|e| ReplicaError::Refused(e.to_string()))?;
        }
        let encoded = slice
            .encode()
            .map_err(|e| ReplicaError::Refused(e.to_string()))?;
        Ok(Some(encoded))
    }

    /// Ids of documents behind one, about as many as a block takes, and whether there are more.
    fn documents_after(
        &self,
        no: CollectionNo,
        after: Option<&DocId>,
    ) -> Result<(Vec<DocId>, bool), ReplicaError> {
        let (mut found, mut bytes, mut more) = (Vec::new(), 0, false);
        self.store.each_doc_after(no, after, &mut |id, state| {
            if bytes >= BLOCK_BYTES_TARGET {
                more = true;
                return ControlFlow::Break(());
            }
            bytes += state.len() + 24;
            found.push(id.clone());
            ControlFlow::Continue(())
        })?;
        Ok((found, more))
    }

    /// Documents that a query finds now, by id.
    fn found(
        &self,
        space: &SpaceState,
        collection: &str,
        question: &Question,
    ) -> Result<Vec<DocId>, ReplicaError> {
        let Some(no) = self.store.collection(space.no, collection)? else {
            return Ok(Vec::new());
        };
        let limit = match question.limit {
            0 => FOUND_MAX,
            limit => limit.min(FOUND_MAX),
        };
        let query = Query {
            filter: question.filter.clone(),
            sort: question.sort.clone(),
            limit: Some(limit),
            ..Query::all(no)
        };
        let found = match self.store.query(&query) {
            Ok(found) => found,
            // What cannot be asked finds nothing.
            Err(stead_store::StoreError::Query(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let mut ids: Vec<DocId> = found.into_iter().map(|found| found.id).collect();
        ids.sort();
        Ok(ids)
    }

    /// Adds a document to a block, if it is there.
    fn add(
        &self,
        id: &SpaceId,
        block: &mut Block,
        name: &DocumentName,
    ) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        let Some(no) = self.store.collection(space.no, &name.0)? else {
            return Ok(());
        };
        let Some(state) = self.store.doc_state(no, &name.1)? else {
            return Ok(());
        };
        let refused = |error: &dyn std::fmt::Display| ReplicaError::Refused(error.to_string());
        let document = Document::decode(&state, &self.numbers).map_err(|error| refused(&error))?;
        let rich = carried(&self.store, no, &name.1, &document, &self.numbers)?;
        block
            .writer
            .push(&name.0, &name.1, document, &rich, &self.numbers)
            .map_err(|error| refused(&error))
    }
}

/// Documents gathered for a slice.
#[derive(Default)]
struct Block {
    writer: DocumentsWriter,
}

impl Block {
    fn is_full(&self) -> bool {
        self.writer.bytes() >= BLOCK_BYTES_TARGET
    }
}

impl Scanned {
    fn take(&mut self, seq: u64, entry: &EntryRef<'_>, keep: Keep) {
        self.leaves.leaves.push(entry.leaf_hash());
        self.bytes += entry.bytes().len();
        let bare = || entry.withhold(|scope| scope == ScopeId::ROSTER);
        let kept = match keep {
            Keep::Nothing => {
                self.last = bare();
                return;
            }
            Keep::Bare => bare(),
            Keep::All => entry.bytes().to_vec(),
        };
        self.kept_bytes += kept.len();
        self.kept.push((seq, kept));
    }
}

/// How much of each log is in the documents.
fn frontier(space: &SpaceState) -> BTreeMap<WriterId, u64> {
    let logs = space.writers.iter().filter(|(writer, state)| {
        state.applied > 0 && space.admits(writer) && !space.is_checkpoint(writer)
    });
    logs.map(|(writer, state)| (*writer, state.applied.min(state.accepted())))
        .collect()
}

/// What of an entry a device needs that keeps a part. What cannot be opened here may matter to it.
fn keep(
    space: &SpaceState,
    opened: &Opened,
    found: &OpenedEntry,
    entry: &EntryRef<'_>,
    writer: &WriterId,
    follower: &Follower,
) -> Keep {
    let says = |parcel: ParcelRef<'_>| match parcel {
        ParcelRef::Sealed { scope, .. } | ParcelRef::Withheld { scope, .. } => {
            scope == ScopeId::ROSTER
        }
        ParcelRef::KeyBox(_) => true,
    };
    if space.is_checkpoint(writer) && found.seq > 0 {
        return Keep::Nothing;
    }
    let bare = match entry.parcels().any(says) {
        true => Keep::Bare,
        false => Keep::Nothing,
    };
    match found.outcome {
        Outcome::Locked => return Keep::All,
        Outcome::Void | Outcome::Closed | Outcome::Withheld => return bare,
        Outcome::Open => {}
    }
    let stamp = Stamp {
        hlc: found.hlc,
        writer: *writer,
    };
    for part in opened.docs(found) {
        let text = &opened.arena[part.text.clone()];
        match part.outcome {
            Outcome::Locked | Outcome::Closed => return Keep::All,
            // The redaction that is to come says what else it said.
            Outcome::Withheld
                if (space.roster)
                    .redaction_of(writer, found.seq, part.scope)
                    .is_none() =>
            {
                return Keep::All;
            }
            Outcome::Void | Outcome::Withheld => continue,
            // What is said again may be about anything.
            Outcome::Open if Redacted::is_one(text) => return Keep::All,
            Outcome::Open if text.is_empty() || is_piece(text) => continue,
            Outcome::Open => {}
        }
        let mut changes = Changes::default();
        match changes.push(text, stamp) {
            Ok(()) => {}
            // Only a newer version knows what it is about.
            Err(stead_doc::ParcelError::NotUnderstood { .. }) => return Keep::All,
            Err(_) => continue,
        }
        if changes
            .docs()
            .any(|docs| follower.holds(docs.collection(), docs.id()))
        {
            return Keep::All;
        }
    }
    bare
}

fn segment(source: stead_base::DecodeError) -> ReplicaError {
    ReplicaError::Record {
        what: "log segment",
        source,
    }
}
