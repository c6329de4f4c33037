//! Documents that were chosen and are not here: what is asked for, and how the answer becomes rows.
//!
//! ```text
//! row = the slice's, which holds the entries below its frontier, and those between it and here
//! ```
//!
//! A slice must reach as far as the logs did when its documents joined the choice: what is below may have
//! been left out of them. One that reaches further than the logs do is parked until they have come.

use std::collections::BTreeSet;
use std::sync::Arc;

use stead_access::Path;
use stead_base::limits::ENTRY_BYTES_MAX;
use stead_base::{DeviceId, DocId, Hlc, ScopeId, SpaceId, Stamp, WriterId};
use stead_checkpoint::{
    ASKED_DOCUMENTS_MAX, Ask, Choose, DocumentName, DocumentsReader, Slice, Units,
};
use stead_doc::{Changes, Document};
use stead_log::Tip;
use stead_store::Read;

use super::{Fill, Held, Parked, Part, Reason, held_key, part_key, trusts};
use crate::commit::path_of;
use crate::opening::{Outcome, open_segment};
use crate::parts::Parts;
use crate::records::WriterRecord;
use crate::redaction::whereabouts;
use crate::writing::{Writing, writer_mut};
use crate::{Event, ReceiveError, Replica, ReplicaError};

/// Documents asked for in one question.
const ASKED_AT_ONCE: usize = 256;
/// A slice waits for the logs for this long; then it is asked for again.
const PARKED_MS_MAX: u64 = 30_000;
/// Bytes of stored log that are opened at a time.
const OPEN_BYTES: usize = 4 << 20;

/// What became of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// Its documents are here now.
    Taken,
    /// It goes further than the logs here, and waits for them.
    Parked,
    /// It cannot be used: to be asked for again.
    Again,
}

/// The documents that a slice speaks of.
enum Region<'a> {
    Documents(&'a [DocumentName]),
    Range {
        collection: &'a str,
        after: Option<&'a DocId>,
        upto: Option<&'a DocId>,
    },
}

impl Region<'_> {
    fn holds(&self, of: &str, id: &DocId) -> bool {
        match self {
            Region::Documents(names) => names
                .binary_search_by(|(collection, it)| (collection.as_str(), it).cmp(&(of, id)))
                .is_ok(),
            Region::Range {
                collection,
                after,
                upto,
            } => {
                *collection == of
                    && after.is_none_or(|after| id > after)
                    && upto.is_none_or(|upto| id <= upto)
            }
        }
    }
}

impl Part {
    /// What is to be asked for: of each collection what comes next, documents, queries.
    fn asks(&self) -> Vec<Ask> {
        let mut asks = Vec::new();
        if self.waits_for_logs {
            return asks;
        }
        for (name, fill) in &self.fills {
            if let Fill::Upto(after) = fill {
                asks.push(Ask::Collection {
                    name: name.clone(),
                    after: after.clone(),
                });
            }
        }
        let unfilled: Vec<DocumentName> = self
            .held
            .iter()
            .filter(|((collection, _), held)| !held.filled && !self.fills.contains_key(collection))
            .map(|(name, _)| name.clone())
            .collect();
        asks.extend(
            unfilled
                .chunks(ASKED_AT_ONCE)
                .map(|names| Ask::Documents(names.to_vec())),
        );
        asks.extend(self.due.iter().map(|(collection, query)| Ask::Query {
            collection: collection.clone(),
            query: query.clone(),
        }));
        asks.retain(|ask| !self.parked.iter().any(|parked| parked.ask == *ask));
        asks
    }
}

impl Replica {
    /// What is to be asked of a device that has all of a space.
    pub fn part_asks(&self, space: &SpaceId) -> Vec<Ask> {
        let part = self.spaces.get(space).and_then(|it| it.part.as_ref());
        part.map_or_else(Vec::new, Part::asks)
    }

    /// The logs of a space are here as far as anybody has them: what was chosen is told and asked for from
    /// now on. Before, a device that has nothing yet follows nothing, so that logs come without what slices
    /// bring. Returns whether that changed anything.
    pub fn logs_have_come(&mut self, id: &SpaceId, now_ms: u64) -> Result<bool, ReplicaError> {
        let part = self.spaces.get(id).and_then(|it| it.part.as_ref());
        if !part.is_some_and(|part| part.waits_for_logs) {
            return Ok(false);
        }
        self.write(now_ms, |writing| {
            let revision = writing.next_revision();
            let space = writing.space(id)?;
            let since = space.reach_of_others();
            let Some(part) = &mut space.part else {
                return Ok(false);
            };
            part.waits_for_logs = false;
            part.grew(revision, since);
            writing.tell_all_chosen(id)?;
            Ok(true)
        })
    }

    /// A peer no longer has entry `from` of a log, which comes next here: it dropped its history below a
    /// checkpoint. The log is taken anew, from what is left of its beginning, and what was chosen is
    /// filled again once it is here. Returns whether that is so.
    pub fn part_behind(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        from: u64,
        now_ms: u64,
    ) -> Result<bool, ReplicaError> {
        let Some(space) = self.spaces.get(id).filter(|it| it.part.is_some()) else {
            return Ok(false);
        };
        let held = space
            .writers
            .get(writer)
            .map_or(0, |it| it.record.tip.len());
        let ended = held != from || space.is_own(writer) || space.is_checkpoint(writer);
        let Some(space) = self.spaces.get_mut(id).filter(|_| !ended) else {
            return Ok(false);
        };
        let Some(part) = &mut space.part else {
            return Ok(false);
        };
        if held == 0 && part.waits_for_logs {
            part.hopeless.insert(*writer);
        }
        if part.hopeless.contains(writer) {
            return Ok(false);
        }
        self.write(now_ms, |writing| {
            if held > 0 {
                writing.empty_thin(id, writer)?;
            }
            writing.fill_again(id)?;
            let revision = writing.next_revision();
            if let Some(part) = &mut writing.space(id)?.part {
                part.waits_for_logs = true;
                part.revision = revision;
                writing.tell_all_chosen(id)?;
            }
            Ok(true)
        })
    }

    /// Whether what was chosen of a space waits for its logs.
    pub fn waits_for_logs(&self, id: &SpaceId) -> bool {
        let part = self.spaces.get(id).and_then(|it| it.part.as_ref());
        part.is_some_and(|part| part.waits_for_logs)
    }

    /// Whether a device is known to be one whose answers count.
    pub fn may_ask(&self, space: &SpaceId, device: &DeviceId, ask: &Ask) -> bool {
        asked_paths(ask).iter().all(|path| {
            path.as_ref()
                .is_some_and(|path| self.trusts(space, device, path))
        })
    }

    /// Takes the answer of a device to a question.
    pub fn take_slice(
        &mut self,
        space: &SpaceId,
        from: &DeviceId,
        ask: &Ask,
        bytes: &[u8],
        now_ms: u64,
    ) -> Result<Filled, ReceiveError> {
        let misbehaved = |detail: String| ReceiveError::Misbehaved {
            writer: None,
            detail,
        };
        let slice = Slice::decode(bytes).map_err(|error| misbehaved(error.to_string()))?;
        Ok(self.write(now_ms, |writing| {
            writing.take_slice(space, from, ask.clone(), slice)
        })?)
    }

    /// Takes the slices that waited for the logs, as far as these have come. Returns whether any was.
    pub fn take_parked(&mut self, space: &SpaceId, now_ms: u64) -> Result<bool, ReplicaError> {
        let part = self.spaces.get(space).and_then(|it| it.part.as_ref());
        if part.is_none_or(|part| part.parked.is_empty()) {
            return Ok(false);
        }
        self.write(now_ms, |writing| {
            let Some(part) = &mut writing.space(space)?.part else {
                return Ok(false);
            };
            let parked = std::mem::take(&mut part.parked);
            let mut any = false;
            for it in parked {
                if it.since_ms + PARKED_MS_MAX < now_ms {
                    any = true;
                    continue;
                }
                any |= writing.fill(space, it)? != Filled::Parked;
            }
            Ok(any)
        })
    }
}

/// The paths that a question is about.
fn asked_paths(ask: &Ask) -> Vec<Option<Path>> {
    match ask {
        Ask::Documents(names) => names
            .iter()
            .map(|(collection, id)| path_of(collection, id, std::iter::empty()))
            .collect(),
        Ask::Collection { name, .. } => vec![Path::of([name.as_str()]).ok()],
        Ask::Query { collection, .. } => vec![Path::of([collection.as_str()]).ok()],
    }
}

impl Writing<'_> {
    fn take_slice(
        &mut self,
        id: &SpaceId,
        from: &DeviceId,
        ask: Ask,
        slice: Slice,
    ) -> Result<Filled, ReplicaError> {
        let mut parked = Parked {
            from: *from,
            ask,
            slice,
            since_ms: self.now_ms,
        };
        if let Ask::Query { collection, query } = &parked.ask {
            let key = (collection.clone(), query.clone());
            let found = self.names_in(&parked.slice, &key.0)?;
            let space = self.space(id)?;
            let Some(part) = &mut space.part else {
                return Ok(Filled::Again);
            };
            if !parked.slice.more {
                part.due.remove(&key);
            }
            self.join_documents(id, &found, Reason::Found, false)?;
            if found.is_empty() {
                return Ok(Filled::Taken);
            }
            parked.slice.covered = found.len() as u64;
            parked.slice.more = false;
            parked.ask = Ask::Documents(found.into_iter().collect());
        }
        self.fill(id, parked)
    }

    /// The documents of a collection in a slice.
    fn names_in(
        &mut self,
        slice: &Slice,
        collection: &str,
    ) -> Result<BTreeSet<DocumentName>, ReplicaError> {
        let mut names = BTreeSet::new();
        if slice.block.is_empty() {
            return Ok(names);
        }
        let mut reader = DocumentsReader::new(&slice.block).map_err(unreadable)?;
        while let Some(place) = reader.skip().map_err(unreadable)? {
            if place.collection == collection && names.len() < ASKED_DOCUMENTS_MAX {
                names.insert((place.collection.to_owned(), place.id));
            }
        }
        Ok(names)
    }

    /// Has documents followed from now on, as far as they are not yet.
    pub(super) fn join_documents(
        &mut self,
        id: &SpaceId,
        names: &BTreeSet<DocumentName>,
        reason: Reason,
        filled: bool,
    ) -> Result<(), ReplicaError> {
        let now_ms = self.now_ms;
        let revision = self.next_revision();
        let space = self.space(id)?;
        let since = space.reach_of_others();
        let Some(part) = &mut space.part else {
            return Ok(());
        };
        let mut units = Units::default();
        let mut changed = Vec::new();
        for name in names {
            if part.fills.contains_key(&name.0) {
                continue;
            }
            match part.held.get_mut(name) {
                Some(held) if held.reason >= reason => held.used_ms = now_ms,
                Some(held) => {
                    held.reason = reason;
                    held.used_ms = now_ms;
                    changed.push((name.clone(), held.clone()));
                }
                None => {
                    let held = Held {
                        reason,
                        filled,
                        used_ms: now_ms,
                    };
                    part.held.insert(name.clone(), held.clone());
                    changed.push((name.clone(), held));
                    if filled || !part.waits_for_logs {
                        units.documents.insert(name.clone());
                    }
                }
            }
        }
        if !units.is_empty() {
            part.grew(revision, since);
            self.events.push(Event::PartChanged {
                space: *id,
                told: Some(Choose::More(units)),
                revision,
            });
        }
        for (name, held) in changed {
            let record = held.encode(&name);
            self.tx.put_meta(&held_key(id, &name), &record)?;
        }
        Ok(())
    }

    /// Brings a slice into the documents, or has it wait.
    fn fill(&mut self, id: &SpaceId, parked: Parked) -> Result<Filled, ReplicaError> {
        let space = self.space(id)?;
        let own = space.own.as_ref().map(|own| own.id);
        let Some(part) = &space.part else {
            return Ok(Filled::Again);
        };
        if !part.reaches(&parked.slice) {
            return Ok(Filled::Again);
        }
        if !is_due(part, &parked.ask) {
            return Ok(Filled::Taken);
        }
        for path in asked_paths(&parked.ask) {
            let may = path.is_some_and(|path| trusts(self.spaces, id, &parked.from, &path));
            if !may {
                return Ok(Filled::Again);
            }
        }
        let space = self.space(id)?;
        let behind = parked.slice.frontier.iter().any(|(writer, len)| {
            let here = space.writers.get(writer).map_or(0, |state| state.applied);
            here < *len && Some(*writer) != own
        });
        // What this device wrote cannot be ahead elsewhere; else its log goes on as another's.
        let ahead = own.is_some_and(|own| {
            let here = space.writers.get(&own).map_or(0, |state| state.applied);
            parked
                .slice
                .frontier
                .get(&own)
                .is_some_and(|len| *len > here)
        });
        if ahead {
            return Ok(Filled::Again);
        }
        if behind {
            if let Some(part) = &mut space.part {
                part.parked.push(parked);
            }
            return Ok(Filled::Parked);
        }
        self.merge_all()?;
        let Parked { ask, slice, .. } = parked;
        match &ask {
            Ask::Documents(names) => {
                let covered = names.len().min(slice.covered as usize);
                let Some(part) = &self.space(id)?.part else {
                    return Ok(Filled::Again);
                };
                // Some may have gone again since it was asked.
                let followed = names[..covered].iter();
                let followed = followed.filter(|name| part.held.contains_key(*name));
                let followed: Vec<DocumentName> = followed.cloned().collect();
                let region = Region::Documents(&followed);
                self.replace(id, &region, &slice)?;
                for name in &followed {
                    self.filled_one(id, name)?;
                }
            }
            Ask::Collection { name, after } => {
                let region = Region::Range {
                    collection: name,
                    after: after.as_ref(),
                    upto: slice.upto.as_ref(),
                };
                self.replace(id, &region, &slice)?;
                if let Some(part) = &mut self.space(id)?.part {
                    let fill = match slice.upto.clone() {
                        Some(upto) => Fill::Upto(Some(upto)),
                        None => Fill::Whole,
                    };
                    part.fills.insert(name.clone(), fill);
                    let record = part.encode();
                    self.tx.put_meta(&part_key(id), &record)?;
                }
            }
            Ask::Query { .. } => {}
        }
        Ok(Filled::Taken)
    }

    fn filled_one(&mut self, id: &SpaceId, name: &DocumentName) -> Result<(), ReplicaError> {
        let Some(part) = &mut self.space(id)?.part else {
            return Ok(());
        };
        if let Some(held) = part.held.get_mut(name) {
            held.filled = true;
            let record = held.encode(name);
            self.tx.put_meta(&held_key(id, name), &record)?;
        }
        Ok(())
    }

    /// Puts the documents of a slice in the place of what is here of its region, and what the logs hold
    /// beyond its frontier on top.
    fn replace(
        &mut self,
        id: &SpaceId,
        region: &Region<'_>,
        slice: &Slice,
    ) -> Result<(), ReplicaError> {
        self.clear_region(id, region)?;
        let (mut document, mut buffers) = (Document::default(), (Vec::new(), Vec::new()));
        if !slice.block.is_empty() {
            let mut reader = DocumentsReader::new(&slice.block).map_err(unreadable)?;
            loop {
                let place = reader.next_into(&mut document, self.numbers);
                let Some(place) = place.map_err(unreadable)? else {
                    break;
                };
                if !region.holds(place.collection, &place.id) {
                    continue;
                }
                let collection = self.collection_no(id, place.collection)?;
                self.take_carried(collection, &place.id, &document, &place.rich)?;
                self.put_document(id, collection, &place.id, &document, &mut buffers)?;
                self.touch(id, place.collection, &place.id);
            }
        }
        let changes = self.beyond(id, slice)?;
        self.merge(id, &changes, Some(&|name, doc| region.holds(name, doc)))
    }

    fn clear_region(&mut self, id: &SpaceId, region: &Region<'_>) -> Result<(), ReplicaError> {
        let no = self.space(id)?.no;
        let mut names: Vec<DocumentName> = Vec::new();
        match region {
            Region::Documents(of) => names.extend_from_slice(of),
            Region::Range {
                collection, after, ..
            } => {
                if let Some(of) = self.tx.collection(no, collection)? {
                    self.tx.each_doc_after(of, *after, &mut |doc, _| {
                        if !region.holds(collection, doc) {
                            return std::ops::ControlFlow::Break(());
                        }
                        names.push(((*collection).to_owned(), doc.clone()));
                        std::ops::ControlFlow::Continue(())
                    })?;
                }
            }
        }
        for (collection, doc) in &names {
            self.drop_document(id, collection, doc)?;
        }
        Ok(())
    }

    /// Removes a document's row, as if it had never been here.
    pub(super) fn drop_document(
        &mut self,
        id: &SpaceId,
        collection: &str,
        doc: &DocId,
    ) -> Result<(), ReplicaError> {
        let no = self.space(id)?.no;
        if let Some(of) = self.tx.collection(no, collection)? {
            self.rich.forget(of, doc);
            self.tx.drop_doc(of, doc)?;
            self.touch(id, collection, doc);
        }
        Ok(())
    }

    /// The operations that the logs hold between a slice's frontier and what is applied.
    fn beyond(&mut self, id: &SpaceId, slice: &Slice) -> Result<Changes, ReplicaError> {
        let mut changes = Changes::default();
        let space = self.space(id)?;
        let logs: Vec<(WriterId, u64, u64)> = space
            .writers
            .iter()
            .filter(|(writer, _)| space.admits(writer) && !space.is_checkpoint(writer))
            .map(|(writer, state)| {
                let from = slice.frontier.get(writer).copied().unwrap_or(0);
                (*writer, from, state.applied)
            })
            .filter(|(_, from, applied)| from < applied)
            .collect();
        for (writer, from, applied) in logs {
            let space = self.space(id)?;
            let ring = Arc::clone(&space.ring);
            let Some(no) = space.writers.get(&writer).map(|state| state.no) else {
                continue;
            };
            let (mut at, mut last) = (from, Hlc::ZERO);
            while at < applied {
                let segments = self.tx.segments(no, at, OPEN_BYTES + ENTRY_BYTES_MAX)?;
                if segments.is_empty() {
                    break;
                }
                for segment in segments {
                    let end = segment.end();
                    let opened = open_segment(&ring, id, &writer, &segment, at)?;
                    let Some(space) = self.spaces.get(id) else {
                        break;
                    };
                    let mut parts = Parts::of(space, &writer);
                    for entry in &opened.entries {
                        let counts = entry.outcome == Outcome::Open && entry.hlc > last;
                        if entry.seq >= applied || !counts {
                            continue;
                        }
                        last = entry.hlc;
                        let stamp = Stamp {
                            hlc: entry.hlc,
                            writer,
                        };
                        let find = |parcel: (&WriterId, u64, ScopeId)| {
                            whereabouts(&self.tx, space, (&writer, entry.seq), parcel)
                        };
                        parts.take(&opened, entry, stamp, &mut changes, &find)?;
                    }
                    at = end.max(at + 1);
                }
            }
        }
        Ok(changes)
    }

    /// Has peers told all that is chosen, under the present edition.
    fn tell_all_chosen(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        if let Some(part) = &self.space(id)?.part {
            let told = Some(Choose::All(part.units()));
            let revision = part.revision;
            self.events.push(Event::PartChanged {
                space: *id,
                told,
                revision,
            });
        }
        Ok(())
    }

    /// Forgets a thin log, to take it anew. What it said of rights stays said.
    pub(super) fn empty_thin(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
    ) -> Result<(), ReplicaError> {
        let state = writer_mut(self.spaces, id, writer)?;
        state.record = WriterRecord {
            frozen: state.record.frozen,
            ..WriterRecord::default()
        };
        state.applied = 0;
        state.all_merged();
        self.tx.empty_log(state.no)?;
        self.shared.set_tip(id, writer, &Tip::default());
        self.dirty_writer(id, writer);
        Ok(())
    }

    /// Everything that is followed is to be filled again: something in it counts differently now. What
    /// is shown stays until it is.
    pub(crate) fn fill_again(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        let since = space.reach_of_others();
        let Some(part) = &mut space.part else {
            return Ok(());
        };
        for fill in part.fills.values_mut() {
            *fill = Fill::Upto(None);
        }
        let mut changed = Vec::new();
        for (name, held) in part.held.iter_mut().filter(|(_, held)| held.filled) {
            held.filled = false;
            changed.push((held_key(id, name), held.encode(name)));
        }
        part.due = part.chosen.queries.clone();
        part.asks_from(since);
        let record = part.encode();
        self.tx.put_meta(&part_key(id), &record)?;
        for (key, record) in changed {
            self.tx.put_meta(&key, &record)?;
        }
        self.events.push(Event::PartAsks { space: *id });
        Ok(())
    }
}

/// Whether what a question is about is still to be filled.
fn is_due(part: &Part, ask: &Ask) -> bool {
    match ask {
        Ask::Documents(names) => names
            .iter()
            .any(|name| part.held.get(name).is_some_and(|held| !held.filled)),
        Ask::Collection { name, after } => part.fills.get(name) == Some(&Fill::Upto(after.clone())),
        Ask::Query { .. } => true,
    }
}

fn unreadable(error: stead_checkpoint::CheckpointError) -> ReplicaError {
    ReplicaError::Refused(format!("a slice cannot be read: {error}"))
}
