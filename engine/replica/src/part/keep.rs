//! Changing what is kept of a space: choosing, becoming whole, what comes on demand and goes again.

use std::collections::BTreeSet;

use stead_access::Lengths;
use stead_base::{Decoder, Encoder, SpaceId, WriterId};
use stead_base::{Hlc, ScopeId, Stamp};
use stead_checkpoint::{Choose, DocumentName, PART_COLLECTIONS_MAX, PART_QUERIES_MAX, Units};
use stead_doc::Changes;
use stead_log::{BatchEntries, EntryRef, KeptEntry, ParcelRef, Skeleton};
use stead_store::{Query, Read};

use super::follow::has_roster;
use super::{ALWAYS, Fill, Held, Part, PartInfo, Question, Reason, forget, held_key, part_key};
use crate::opening::open_segment;
use crate::writing::{Writing, writer_mut};
use crate::{Event, Replica, ReplicaError};

/// Most documents that came on demand.
const ON_DEMAND_MAX: usize = 16_384;
/// Bytes for documents that came on demand where nothing else was said.
pub(crate) const BUDGET_BYTES: u64 = 50 << 20;

fn wish_key(name: &str) -> String {
    format!("wish {name}")
}

/// What is to be kept of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Collections, documents, queries.
    pub units: Units,
    /// Most bytes of documents that come on demand.
    pub budget: u64,
}

impl Default for Chosen {
    fn default() -> Self {
        Self {
            units: Units::default(),
            budget: BUDGET_BYTES,
        }
    }
}

impl Replica {
    /// Keeps a part of a space from now on, or another part than before. What is not in it goes; what is
    /// new in it comes once a device that has all is within reach.
    pub fn keep(&mut self, id: &SpaceId, chosen: &Chosen, now_ms: u64) -> Result<(), ReplicaError> {
        self.merge_pending(now_ms)?;
        self.refresh()?;
        self.finish_signing();
        self.write(now_ms, |writing| writing.keep(id, chosen))?;
        if let Some(space) = self.spaces.get(id) {
            self.shared.publish(space);
        }
        Ok(())
    }

    /// Keeps all of a space again: it is fetched as by a newcomer.
    pub fn keep_all(&mut self, id: &SpaceId, now_ms: u64) -> Result<(), ReplicaError> {
        self.merge_pending(now_ms)?;
        self.refresh()?;
        self.finish_signing();
        self.write(now_ms, |writing| writing.keep_all(id))?;
        if let Some(space) = self.spaces.get(id) {
            self.shared.publish(space);
        }
        Ok(())
    }

    /// Says what is to be kept of spaces that come to this device later, by their names or ids; `*` stands
    /// for all others. Each counts once.
    pub fn wish(&mut self, wishes: &[(String, Chosen)], now_ms: u64) -> Result<(), ReplicaError> {
        self.write(now_ms, |writing| {
            for (name, chosen) in wishes {
                let mut out = Encoder::new();
                out.uint(chosen.budget);
                out.raw(&Choose::All(chosen.units.clone()).encode());
                writing.tx.put_meta(&wish_key(name), out.as_slice())?;
            }
            Ok(())
        })
    }

    /// What was chosen of a space, and how much of it is here; none if all is kept.
    pub fn part_info(&self, id: &SpaceId) -> Result<Option<PartInfo>, ReplicaError> {
        let space = self.space(id)?;
        let Some(part) = &space.part else {
            return Ok(None);
        };
        let mut info = PartInfo {
            chosen: part.chosen.clone(),
            budget: part.budget,
            documents: 0,
            on_demand: 0,
            on_demand_bytes: 0,
            waiting: part.held.values().filter(|held| !held.filled).count() as u64,
            unfilled: Vec::new(),
            kept_entries: 0,
            log_entries: 0,
        };
        for (name, fill) in &part.fills {
            if *fill != Fill::Whole && !name.starts_with('@') {
                info.unfilled.push(name.clone());
            }
        }
        for collection in self.store.collections(space.no)? {
            if !collection.name.starts_with('@') {
                info.documents += self.store.count(&Query::all(collection.no))?;
            }
        }
        for ((collection, doc), held) in &part.held {
            if held.reason != Reason::Used {
                continue;
            }
            let no = self.store.collection(space.no, collection)?;
            let bytes = no.map(|no| self.store.doc_bytes(no, doc)).transpose()?;
            info.on_demand += 1;
            info.on_demand_bytes += bytes.flatten().unwrap_or(0);
        }
        for (writer, state) in &space.writers {
            if space.is_thin(writer) {
                info.kept_entries += self.store.held_entries(state.no)?.0;
                info.log_entries += state.record.tip.len();
            }
        }
        Ok(Some(info))
    }

    /// Has documents followed that somebody wants to see. Returns whether any is not here yet.
    pub fn want(
        &mut self,
        id: &SpaceId,
        names: &BTreeSet<DocumentName>,
        now_ms: u64,
    ) -> Result<bool, ReplicaError> {
        if !self.is_part(id) {
            return Ok(false);
        }
        self.write(now_ms, |writing| {
            writing.join_documents(id, names, Reason::Used, false)
        })?;
        Ok(names
            .iter()
            .any(|(collection, doc)| !self.has_document(id, collection, doc)))
    }

    /// Notes that a document was looked at.
    pub fn used(&mut self, id: &SpaceId, name: &DocumentName, now_ms: u64) {
        let part = self.spaces.get_mut(id).and_then(|it| it.part.as_mut());
        if let Some(held) = part.and_then(|part| part.held.get_mut(name)) {
            held.used_ms = now_ms;
        }
    }

    /// What a query finds may have changed elsewhere.
    pub fn part_stirred(&mut self, id: &SpaceId) {
        if let Some(part) = self.spaces.get_mut(id).and_then(|it| it.part.as_mut()) {
            part.due = part.chosen.queries.clone();
        }
    }

    /// A device that keeps logs whole says how much of this device's own log it has.
    pub fn confirmed(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        len: u64,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        let Some(space) = self.spaces.get(id) else {
            return Ok(());
        };
        let is_own = space.own.as_ref().is_some_and(|own| own.id == *writer);
        let more = space.part.as_ref().is_some_and(|part| part.confirmed < len);
        if !is_own || !more {
            return Ok(());
        }
        self.write(now_ms, |writing| {
            if let Some(part) = &mut writing.space(id)?.part {
                part.confirmed = len;
                let record = part.encode();
                writing.tx.put_meta(&part_key(id), &record)?;
            }
            Ok(())
        })
    }

    /// Drops documents that came on demand, least recently used first, until they are within the budget.
    /// What this device changed and no other is known to have stays. Returns how many went.
    pub fn trim(&mut self, id: &SpaceId, now_ms: u64) -> Result<usize, ReplicaError> {
        let Some(info) = self.part_info(id)? else {
            return Ok(0);
        };
        let too_many = (info.on_demand as usize).saturating_sub(ON_DEMAND_MAX);
        if info.on_demand_bytes <= info.budget && too_many == 0 {
            return Ok(0);
        }
        self.write(now_ms, |writing| {
            writing.trim(id, info.on_demand_bytes, too_many)
        })
    }
}

impl Writing<'_> {
    /// The next edition of a choice.
    pub(super) fn next_revision(&mut self) -> u64 {
        *self.revisions += 1;
        *self.revisions
    }

    fn keep(&mut self, id: &SpaceId, chosen: &Chosen) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        if space.record.is_home {
            return Err(ReplicaError::Refused(
                "the home space is small and says who your devices are: each of them keeps all of it"
                    .to_owned(),
            ));
        }
        if space.record.is_beginning {
            return Err(ReplicaError::Refused(
                "this space is still beginning from a checkpoint: try again in a moment".to_owned(),
            ));
        }
        let units = &chosen.units;
        if units.collections.len() > PART_COLLECTIONS_MAX || units.queries.len() > PART_QUERIES_MAX
        {
            return Err(ReplicaError::Refused(format!(
                "of one space at most {PART_COLLECTIONS_MAX} collections and {PART_QUERIES_MAX} queries can be chosen: keep all of it instead"
            )));
        }
        if chosen
            .units
            .collections
            .iter()
            .any(|name| name.starts_with('@'))
        {
            return Err(ReplicaError::Refused(
                "collections whose names begin with @ are always kept".to_owned(),
            ));
        }
        let was_whole = space.part.is_none();
        if was_whole {
            self.make_thin(id)?;
        }
        let revision = self.next_revision();
        let space = self.space(id)?;
        let since = space.reach_of_others();
        let mut part = space.part.take().unwrap_or_else(|| Part::new(revision));
        let before = part.units();
        part.chosen = chosen.units.clone();
        part.budget = chosen.budget;
        let wanted: BTreeSet<&str> = chosen
            .units
            .collections
            .iter()
            .map(String::as_str)
            .chain(ALWAYS)
            .collect();
        let mut gone: Vec<String> = Vec::new();
        let whole = part.fills.iter().filter(|(_, fill)| **fill == Fill::Whole);
        let filled_before: BTreeSet<String> = whole.map(|(name, _)| name.clone()).collect();
        part.fills.retain(|name, _| {
            let stays = wanted.contains(name.as_str());
            if !stays {
                gone.push(name.clone());
            }
            stays
        });
        // All that a whole device has is here; what joins otherwise comes with a slice.
        let fresh = match was_whole && !space.writers.is_empty() {
            true => Fill::Whole,
            false => Fill::Upto(None),
        };
        let has_history = space.roster.genesis().is_some();
        for name in wanted {
            let fill = match has_history {
                true => fresh.clone(),
                false => Fill::Upto(None),
            };
            part.fills.entry(name.to_owned()).or_insert(fill);
        }
        let filled = was_whole && has_history;
        let now_ms = self.now_ms;
        let mut dropped = Vec::new();
        part.held.retain(|name, held| {
            let is_chosen = chosen.units.documents.contains(name);
            if !is_chosen && held.reason == Reason::Chosen {
                held.reason = Reason::Used;
            }
            let by_query = chosen.units.queries.iter().any(|(of, _)| *of == name.0);
            if !by_query && held.reason == Reason::Found {
                held.reason = Reason::Used;
            }
            true
        });
        for name in &chosen.units.documents {
            let held = part.held.entry(name.clone()).or_insert(Held {
                reason: Reason::Chosen,
                filled,
                used_ms: now_ms,
            });
            held.reason = Reason::Chosen;
        }
        part.due = chosen.units.queries.clone();
        let space = self.space(id)?;
        let after = part.units();
        let grows = !after.collections.is_subset(&before.collections)
            || !after.documents.is_subset(&before.documents)
            || !after.queries.is_subset(&before.queries);
        part.waits_for_logs |= was_whole && !has_history;
        if grows || was_whole {
            part.grew(revision, since);
        }
        space.part = Some(part);
        if was_whole && filled {
            self.find_here(id)?;
        }
        let no = self.space(id)?.no;
        for collection in self.tx.collections(no)? {
            if !was_whole && !gone.contains(&collection.name) {
                continue;
            }
            self.tx.each_doc(collection.no, &mut |doc, _| {
                dropped.push((collection.name.clone(), doc.clone()));
                std::ops::ControlFlow::Continue(())
            })?;
        }
        let own_work = self.unconfirmed(id)?;
        for (collection, doc) in dropped {
            let name = (collection, doc);
            let Some(part) = &mut self.space(id)?.part else {
                break;
            };
            if part.follows(&name.0, &name.1) {
                continue;
            }
            if own_work.contains(&name) {
                let held = Held {
                    reason: Reason::Used,
                    filled: was_whole || filled_before.contains(&name.0),
                    used_ms: now_ms,
                };
                part.held.insert(name, held);
                continue;
            }
            self.drop_document(id, &name.0, &name.1)?;
        }
        self.save_part(id)?;
        self.events.push(Event::PartChanged {
            space: *id,
            told: None,
            revision: *self.revisions,
        });
        self.touch_everything(id);
        self.unsettled.insert(*id);
        Ok(())
    }

    /// Keeps of a space that just came what was said to be kept of it.
    pub(crate) fn keep_as_wished(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        let names = [
            id.to_string(),
            self.space(id)?.record.name.clone(),
            "*".to_owned(),
        ];
        for name in names {
            let Some(bytes) = self.tx.get_meta(&wish_key(&name))? else {
                continue;
            };
            if name != "*" {
                self.tx.remove_meta(&wish_key(&name))?;
            }
            let record = |source| ReplicaError::Record {
                what: "what is to be kept of a space",
                source,
            };
            let mut input = Decoder::new(&bytes);
            let budget = input.uint("budget").map_err(record)?;
            let Choose::All(units) = Choose::decode(input.rest()).map_err(record)? else {
                return Ok(());
            };
            return self.keep(id, &Chosen { units, budget });
        }
        Ok(())
    }

    fn save_part(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        let Some(part) = self.space(id)?.part.clone() else {
            return Ok(());
        };
        forget(&self.tx, id)?;
        self.tx.put_meta(&part_key(id), &part.encode())?;
        for (name, held) in &part.held {
            self.tx.put_meta(&held_key(id, name), &held.encode(name))?;
        }
        Ok(())
    }

    /// Follows what the chosen queries find here.
    fn find_here(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        let no = space.no;
        let queries = space.part.as_ref().map(|part| part.chosen.queries.clone());
        let mut found = BTreeSet::new();
        for (collection, bytes) in queries.unwrap_or_default() {
            let Some(of) = self.tx.collection(no, &collection)? else {
                continue;
            };
            let Ok(question) = Question::decode(&bytes) else {
                continue;
            };
            let query = Query {
                filter: question.filter,
                sort: question.sort,
                limit: (question.limit > 0).then_some(question.limit),
                ..Query::all(of)
            };
            found.extend(
                self.tx
                    .query(&query)?
                    .into_iter()
                    .map(|it| (collection.clone(), it.id)),
            );
        }
        self.join_documents(id, &found, Reason::Found, true)
    }

    /// Leaves of the logs of others what tells of rights and keys, and what is not in documents yet.
    fn make_thin(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        self.merge_all()?;
        let space = self.space(id)?;
        space.record.begins = None;
        space.record.begun_with = Lengths::none();
        for begun in space.record.view.values_mut() {
            *begun = None;
        }
        let writers: Vec<WriterId> = space
            .writers
            .keys()
            .filter(|writer| !space.is_own(writer))
            .copied()
            .collect();
        self.dirty_space(id);
        for writer in writers {
            let space = self.space(id)?;
            let is_checkpoint = space.is_checkpoint(&writer);
            let Some(state) = space.writers.get(&writer) else {
                continue;
            };
            let (no, applied, len) = (state.no, state.applied, state.record.tip.len());
            if len == 0 {
                continue;
            }
            let mut kept: Vec<(u64, Vec<u8>)> = Vec::new();
            if let Some((_, bytes)) = self.tx.skeleton(no)?.filter(|(_, bytes)| !bytes.is_empty()) {
                let entries = Skeleton::decode(&bytes).map_err(stead_log::SkeletonError::from);
                let entries = entries.and_then(|skeleton| {
                    skeleton.entries().map(|entries| {
                        entries
                            .iter()
                            .map(|it| (it.seq, it.entry.bytes().to_vec()))
                            .collect::<Vec<_>>()
                    })
                });
                kept.extend(entries.map_err(|e| ReplicaError::Refused(e.to_string()))?);
            }
            self.tx.each_segment(no, 0, &mut |start, _, bytes| {
                let mut entries = BatchEntries::new(bytes);
                let mut seq = start;
                while let Ok(Some(entry)) = entries.next_entry() {
                    let says = |it: ParcelRef<'_>| matches!(it, ParcelRef::KeyBox(_));
                    let tells = has_roster(&entry) || entry.parcels().any(says);
                    if seq >= applied && !is_checkpoint {
                        kept.push((seq, entry.bytes().to_vec()));
                    } else if tells && (seq == 0 || !is_checkpoint) {
                        kept.push((seq, entry.withhold(|scope| scope == ScopeId::ROSTER)));
                    }
                    seq += 1;
                }
                std::ops::ControlFlow::Continue(())
            })?;
            let entries: Vec<KeptEntry<'_>> = kept
                .iter()
                .filter_map(|(seq, bytes)| {
                    let entry = EntryRef::parse(bytes).ok()?;
                    Some(KeptEntry { seq: *seq, entry })
                })
                .collect();
            let rosters = entries.iter().filter(|it| has_roster(&it.entry)).count() as u64;
            self.tx.empty_log(no)?;
            self.store_kept(no, &entries)?;
            self.tx.keep_thin(no, len)?;
            let state = writer_mut(self.spaces, id, &writer)?;
            state.record.base = len;
            state.record.packed = len;
            state.record.tail_bytes = 0;
            state.record.rosters = rosters;
            self.dirty_writer(id, &writer);
        }
        Ok(())
    }

    fn keep_all(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        if space.part.is_none() {
            return Ok(());
        }
        let thin: Vec<WriterId> = space
            .writers
            .keys()
            .filter(|writer| space.is_thin(writer))
            .copied()
            .collect();
        space.part = None;
        forget(&self.tx, id)?;
        for writer in thin {
            self.empty_thin(id, &writer)?;
        }
        self.events.push(Event::PartChanged {
            space: *id,
            told: None,
            revision: *self.revisions,
        });
        self.rebuild(id)
    }

    /// Documents that this device changed and no whole replica is known to have the changes of.
    fn unconfirmed(&mut self, id: &SpaceId) -> Result<BTreeSet<DocumentName>, ReplicaError> {
        let mut found = BTreeSet::new();
        let space = self.space(id)?;
        let from = space.part.as_ref().map_or(0, |part| part.confirmed);
        let ring = std::sync::Arc::clone(&space.ring);
        let Some(own) = space.own.as_ref().map(|own| own.id) else {
            return Ok(found);
        };
        let Some(no) = space.writers.get(&own).map(|state| state.no) else {
            return Ok(found);
        };
        for segment in self.tx.segments(no, from, usize::MAX)? {
            let opened = open_segment(&ring, id, &own, &segment, from)?;
            for entry in &opened.entries {
                let stamp = Stamp {
                    hlc: Hlc::ZERO.max(entry.hlc),
                    writer: own,
                };
                for (_, text) in opened.open_docs(entry) {
                    let mut changes = Changes::default();
                    if changes.push(text, stamp).is_ok() {
                        let docs = changes.docs();
                        found.extend(docs.map(|it| (it.collection().to_owned(), it.id().clone())));
                    }
                }
            }
        }
        Ok(found)
    }

    fn trim(&mut self, id: &SpaceId, bytes: u64, too_many: usize) -> Result<usize, ReplicaError> {
        let kept = self.unconfirmed(id)?;
        let space = self.space(id)?;
        let no = space.no;
        let Some(part) = &space.part else {
            return Ok(0);
        };
        let (budget, revision) = (part.budget, part.revision);
        let mut by_use: Vec<(u64, DocumentName)> = part
            .held
            .iter()
            .filter(|(name, held)| {
                held.reason == Reason::Used && held.filled && !kept.contains(*name)
            })
            .map(|(name, held)| (held.used_ms, name.clone()))
            .collect();
        by_use.sort();
        let (mut left, mut gone) = (bytes, Units::default());
        for (_, name) in by_use {
            if left <= budget && gone.documents.len() >= too_many {
                break;
            }
            if let Some(of) = self.tx.collection(no, &name.0)? {
                let bytes = self.tx.doc_bytes(of, &name.1)?;
                left = left.saturating_sub(bytes.unwrap_or(0));
            }
            let by_collection = self.space(id)?.part.as_mut().is_some_and(|part| {
                part.held.remove(&name);
                part.fills.contains_key(&name.0)
            });
            if !by_collection {
                self.drop_document(id, &name.0, &name.1)?;
            }
            self.tx.remove_meta(&held_key(id, &name))?;
            gone.documents.insert(name);
        }
        let count = gone.documents.len();
        if count > 0 {
            self.events.push(Event::PartChanged {
                space: *id,
                told: Some(Choose::Less(gone)),
                revision,
            });
        }
        Ok(count)
    }

    /// Refuses to change documents that are not here, and follows those that are made.
    pub(crate) fn check_held(
        &mut self,
        id: &SpaceId,
        edits: &[crate::Edit],
    ) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        let Some(part) = &space.part else {
            return Ok(());
        };
        for edit in edits {
            let Some(doc) = &edit.id else { continue };
            if !part.is_filled(&edit.collection, doc) {
                return Err(ReplicaError::NotHeld {
                    space: space.record.name.clone(),
                    document: format!("{}/{doc}", edit.collection),
                });
            }
        }
        Ok(())
    }

    /// Follows documents that this device just made.
    pub(crate) fn follow_made(
        &mut self,
        id: &SpaceId,
        made: &BTreeSet<DocumentName>,
    ) -> Result<(), ReplicaError> {
        match made.is_empty() || self.space(id)?.part.is_none() {
            true => Ok(()),
            false => self.join_documents(id, made, Reason::Used, true),
        }
    }
}
