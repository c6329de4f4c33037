//! Purging documents that were deleted long ago, and saying again what a purge took from whoever brought a
//! document back without knowing of it.
//!
//! Owns when a document is purged without being asked for, and what of this device's is said again. What a purge
//! does is the documents' (`core/doc`); neither needs anybody's agreement.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde_json::Value;
use stead_base::{DocId, Hlc, SpaceId, Stamp, WriterId};
use stead_doc::{DocOps, Document, OpRef, Path, PathRef, RichEdit, RichKind, RichPlace, Shape};
use stead_store::{CollectionNo, Read};

use crate::checkpoint::Seen;
use crate::opening::each_envelope;
use crate::rich::Contents;
use crate::schemas::{SCHEMAS, Speaks};
use crate::space::SpaceState;
use crate::writing::Writing;
use crate::{Change, Edit, Replica, ReplicaError};

/// Most documents purged, or said again, in one transaction.
const DOCUMENTS_MAX: usize = 256;

/// What a document showed before a purge took it.
pub(crate) struct Shown {
    fields: Shape,
    contents: Contents,
}

impl Replica {
    /// Purges documents that were deleted, and left alone, for longer than history is kept, once every device
    /// that may write has seen the deletion. Devices that could do it wait for each other. Says whether
    /// anything was written.
    pub(crate) fn purge_old(
        &mut self,
        id: &SpaceId,
        keep_ms: u64,
        now_ms: u64,
    ) -> Result<bool, ReplicaError> {
        let Some(wait_ms) = self.turn_ms(id)? else {
            return Ok(false);
        };
        self.merge_pending(now_ms)?;
        let before_ms = now_ms.saturating_sub(keep_ms).saturating_sub(wait_ms);
        let due = self.long_deleted(id, before_ms)?;
        if due.is_empty() {
            return Ok(false);
        }
        let seen = self.seen_by_writers(id)?;
        let mut unseen: BTreeMap<WriterId, Option<Hlc>> = BTreeMap::new();
        let mut edits = Vec::new();
        for (collection, doc, deleted) in due {
            let from = match unseen.get(&deleted.writer) {
                Some(from) => *from,
                None => {
                    let from = self.unseen_from(id, &deleted.writer, seen.values())?;
                    unseen.insert(deleted.writer, from);
                    from
                }
            };
            if from.is_none_or(|from| deleted.hlc < from) {
                edits.push(Edit {
                    collection,
                    id: Some(doc),
                    change: Change::Purge,
                });
            }
            if edits.len() == DOCUMENTS_MAX {
                break;
            }
        }
        if edits.is_empty() {
            return Ok(false);
        }
        let receipt = self.write(now_ms, |writing| {
            // It is not for the person to undo.
            writing.by_itself = true;
            writing.transact(id, &edits)
        })?;
        Ok(receipt.entry.is_some())
    }

    /// Documents that were deleted and last changed before a time, and hold anything, with the word that they are deleted.
    fn long_deleted(
        &self,
        id: &SpaceId,
        before_ms: u64,
    ) -> Result<Vec<(String, DocId, Stamp)>, ReplicaError> {
        let space = self.space(id)?;
        let mut found = Vec::new();
        let mut document = Document::default();
        for collection in self.store.collections(space.no)? {
            if collection.name == SCHEMAS {
                continue;
            }
            let mut fault = None;
            self.store.each_deleted(collection.no, &mut |doc, row| {
                if let Err(error) = document.decode_into(row, &self.numbers) {
                    fault = Some(ReplicaError::Refused(format!(
                        "the row of document {}/{doc} cannot be read ({error}); run `stead doctor --rebuild`",
                        collection.name
                    )));
                    return ControlFlow::Break(());
                }
                let last = document.latest(&self.numbers);
                if let Some(deleted) = document.deleted_at(&self.numbers)
                    && last.is_some_and(|last| last.hlc.ms() < before_ms)
                    && !document.is_purged()
                {
                    found.push((collection.name.clone(), doc.clone(), deleted));
                }
                ControlFlow::Continue(())
            })?;
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
        Ok(found)
    }

    /// The time of the first entry of a log that somebody may not have seen yet; none if all have seen all.
    fn unseen_from<'s>(
        &self,
        id: &SpaceId,
        log: &WriterId,
        seen: impl Iterator<Item = &'s Seen>,
    ) -> Result<Option<Hlc>, ReplicaError> {
        let space = self.space(id)?;
        let Some(state) = space.writers.get(log) else {
            return Ok(Some(Hlc::ZERO));
        };
        let least = seen.map(|seen| seen.get(log).copied().unwrap_or(0)).min();
        match least.filter(|least| *least < state.applied) {
            Some(least) => time_of(&self.store, space, log, least).map(Some),
            None => Ok(None),
        }
    }
}

impl Writing<'_> {
    /// What a document shows here, if others' purges among operations are about to take it from whoever made
    /// or restored it here, which they did not know of.
    pub(crate) fn shown_here<'c>(
        &mut self,
        space: &SpaceId,
        (collection, id): (CollectionNo, &DocId),
        document: &Document,
        ops: impl Iterator<Item = DocOps<'c>>,
    ) -> Result<Option<Shown>, ReplicaError> {
        let state = self.spaces.get(space);
        let Some(own) = state.and_then(|state| state.own.as_ref()).map(|own| own.id) else {
            return Ok(None);
        };
        let word = document.made_at(self.numbers);
        let Some(word) = word.filter(|word| word.writer == own && !self.is_rebuilt(space)) else {
            return Ok(None);
        };
        let mut takes = false;
        for docs in ops.filter(|docs| docs.stamp().writer != own) {
            // What concerns the document as a whole comes first.
            let mut of_all = docs.ops().take_while(|(path, _)| path.is_root());
            takes |= of_all.any(|(_, op)| matches!(op, OpRef::Purge))
                && self.is_unknown_to(space, docs.stamp(), word)?;
        }
        if !takes {
            return Ok(None);
        }
        let contents = self.contents(space, collection, id, document)?;
        let fields = document.shape(PathRef::ROOT, self.numbers);
        Ok(Some(Shown { fields, contents }))
    }

    /// Whether the author of a purge did not know of an entry of this device.
    fn is_unknown_to(
        &mut self,
        space: &SpaceId,
        purge: Stamp,
        own: Stamp,
    ) -> Result<bool, ReplicaError> {
        if purge < own {
            return Ok(true);
        }
        let key = (*space, purge);
        let from = match self.unknown_to.get(&key) {
            Some(from) => *from,
            None => {
                let from = self.unknown_from(space, purge, &own.writer)?;
                self.unknown_to.insert(key, from);
                from
            }
        };
        Ok(from.is_some_and(|from| from <= own.hlc))
    }

    /// The time of the first entry of this device's log that the author of a purge did not know of, by what the
    /// envelopes of their log say until then; none if they knew of all.
    fn unknown_from(
        &self,
        space: &SpaceId,
        purge: Stamp,
        own: &WriterId,
    ) -> Result<Option<Hlc>, ReplicaError> {
        let Some(space) = self.spaces.get(space) else {
            return Ok(None);
        };
        // Where a part is kept, what an author had seen is not.
        let (Some(theirs), Some(ours), None) = (
            space.writers.get(&purge.writer),
            space.writers.get(own),
            &space.part,
        ) else {
            return Ok(None);
        };
        // Who began with the same history as this device has seen that.
        let mut known = ours.record.base;
        let from = theirs.record.base;
        let log = &purge.writer;
        each_envelope(&self.tx, space, log, from, &mut |_, envelope| {
            if envelope.hlc > purge.hlc {
                return ControlFlow::Break(());
            }
            let told = envelope.seen.iter().filter(|it| it.writer == *own);
            known = told.map(|it| it.len).fold(known, u64::max);
            ControlFlow::Continue(())
        })?;
        match known < ours.applied {
            true => time_of(&self.tx, space, own, known).map(Some),
            false => Ok(None),
        }
    }

    /// Notes what is to be said again of a document once all is merged: what it showed and does not any more.
    pub(crate) fn note_taken(
        &mut self,
        space: &SpaceId,
        (collection, id): (&str, &DocId),
        shown: &Shown,
        document: &Document,
    ) {
        let mut changes = Vec::new();
        if document.is_deleted() {
            changes.push(Change::Restore);
        }
        let now = document.shape(PathRef::ROOT, self.numbers);
        say(
            &mut changes,
            &mut Vec::new(),
            &shown.fields,
            &now,
            &shown.contents,
        );
        let edit = |change| Edit {
            collection: collection.to_owned(),
            id: Some(id.clone()),
            change,
        };
        let edits: Vec<Edit> = changes.into_iter().map(edit).collect();
        if !edits.is_empty() {
            self.taken.push((*space, edits));
        }
    }

    /// Says again what purges took that did not know of it. In the unit of work that merged them: there is no
    /// moment at which one is stored without the other.
    pub(crate) fn say_taken_again(&mut self) -> Result<(), ReplicaError> {
        let taken = std::mem::take(&mut self.taken);
        for of_space in taken.chunk_by(|a, b| a.0 == b.0) {
            for some in of_space.chunks(DOCUMENTS_MAX) {
                let edits: Vec<Edit> = some.iter().flat_map(|(_, edits)| edits.clone()).collect();
                match self.transact_unchecked(&some[0].0, &edits, &Speaks::new()) {
                    Ok(_) => {}
                    Err(error @ ReplicaError::Store(_)) => return Err(error),
                    // Whoever may not write here any more could not have kept it either.
                    Err(error) => {
                        tracing::error!(%error, "what a purge took cannot be said again");
                    }
                }
            }
        }
        Ok(())
    }
}

/// The time of an entry that is held; zero if it cannot be told, which is before everything.
fn time_of(
    store: &impl Read,
    space: &SpaceState,
    log: &WriterId,
    seq: u64,
) -> Result<Hlc, ReplicaError> {
    let mut time = Hlc::ZERO;
    each_envelope(store, space, log, seq, &mut |at, envelope| {
        if at == seq {
            time = envelope.hlc;
        }
        ControlFlow::Break(())
    })?;
    Ok(time)
}

/// The changes that have a place show what it showed, where it shows nothing now.
fn say(
    changes: &mut Vec<Change>,
    names: &mut Vec<String>,
    shown: &Shape,
    now: &Shape,
    contents: &Contents,
) {
    let path = names.clone();
    match (shown, now) {
        (Shape::Map(fields), now) if !fields.is_empty() => {
            let inside = match now {
                Shape::Map(fields) => &fields[..],
                Shape::Absent => &[],
                _ => return,
            };
            for (name, shape) in fields {
                let there = inside.iter().find(|(it, _)| it == name);
                names.push(name.clone());
                let now = there.map_or(&Shape::Absent, |(_, now)| now);
                say(changes, names, shape, now, contents);
                names.pop();
            }
        }
        (_, now) if *now != Shape::Absent || names.is_empty() => {}
        (Shape::Absent, _) => {}
        (Shape::Map(_), _) => {
            let value = Value::Object(Default::default());
            changes.push(Change::Set { path, value });
        }
        (Shape::Value(value), _) => {
            let value = value.clone();
            changes.push(Change::Set { path, value });
        }
        (Shape::Counter(number), _) => {
            let value = (*number).into();
            changes.push(Change::Set { path, value });
        }
        (Shape::Set(elements), _) => {
            for element in elements {
                changes.push(Change::Include {
                    path: path.clone(),
                    element: element.clone(),
                });
            }
        }
        (Shape::Rich(kind, base), _) => {
            let Ok(at) = Path::from_names(names.iter().map(String::as_str)) else {
                return;
            };
            let place = RichPlace {
                path: at,
                kind: *kind,
                base: *base,
            };
            let Some(value) = contents.of(&place) else {
                return;
            };
            changes.push(match kind {
                RichKind::Tree => Change::Rich {
                    path,
                    kind: *kind,
                    edit: RichEdit::TreeGrow(value.clone()),
                },
                _ => Change::Set {
                    path,
                    value: value.clone(),
                },
            });
        }
    }
}
