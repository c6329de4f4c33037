//! Undo and redo: a person's latest transaction taken back, as far as nobody changed since what it did.
//!
//! Owns the search for that transaction in the logs of the person's devices, what stood there before it,
//! and the edits that restore it. They are an ordinary transaction: whoever receives it needs to know
//! nothing of undo. What was undone is remembered by this store only.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde_json::Value;
use stead_access::Action;
use stead_base::{Decoder, DocId, Encoder, Hlc, SpaceId, Stamp, WriterId};
use stead_doc::{
    Changes, Document, Numbers, OpRef, Path, RichContent, RichEdit, RichEngine, RichKind,
    RichPlace, RichSpan, SEED_AUTHOR, Shape, Since, TextUnit, author_number,
};
use stead_rich::LoroEngine;
use stead_store::Read;

use crate::commit::path_of;
use crate::opening::{Outcome, each_envelope, open_segment};
use crate::rich::updates_of;
use crate::schemas::{AS_HELD, Speaks};
use crate::space::SpaceState;
use crate::{Change, Edit, Replica, ReplicaError};

/// The collections of the home space that Stead keeps for itself.
const KEPT_AT_HOME: [&str; 5] = ["cards", "device-names", "devices", "identities", "spaces"];
/// Steps remembered in a space.
const STEPS_MAX: usize = 1000;
/// Bytes of stored log that are opened at a time.
const STRIDE_BYTES: usize = 4 << 20;

/// What an undo or redo did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undone {
    /// The documents that it touched.
    pub documents: Vec<(String, DocId)>,
    /// Places that stay as they are, because somebody changed them since: `collection/id field`.
    pub kept: Vec<String>,
    /// The log entry that did it; none if nothing was left to take back.
    pub entry: Option<(WriterId, u64)>,
}

/// One transaction that was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    target: Stamp,
    /// The transaction that took it back; the target itself if nothing was left.
    by: Stamp,
    /// Whether it can be done again.
    open: bool,
}

/// What was undone in a space, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Steps {
    steps: Vec<Step>,
    /// Transactions that did something again.
    redone: Vec<Stamp>,
}

impl Steps {
    fn key(space: &SpaceId) -> String {
        format!("undo {space}")
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        let put = |out: &mut Encoder, stamp: Stamp| {
            out.uint(stamp.hlc.to_u64()).raw(stamp.writer.as_bytes());
        };
        out.byte(1);
        let from = self.steps.len().saturating_sub(STEPS_MAX);
        out.uint((self.steps.len() - from) as u64);
        for step in &self.steps[from..] {
            put(&mut out, step.target);
            put(&mut out, step.by);
            out.byte(step.open.into());
        }
        let from = self.redone.len().saturating_sub(STEPS_MAX);
        out.uint((self.redone.len() - from) as u64);
        for stamp in &self.redone[from..] {
            put(&mut out, *stamp);
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, stead_base::DecodeError> {
        let mut input = Decoder::new(bytes);
        let stamp = |input: &mut Decoder<'_>| {
            Ok(Stamp {
                hlc: Hlc::from_u64(input.uint("time")?),
                writer: WriterId::from_bytes(input.array("writer")?),
            })
        };
        let mut steps = Self::default();
        input.byte("undo version")?;
        for _ in 0..input.count(STEPS_MAX, 67, "steps")? {
            let (target, by) = (stamp(&mut input)?, stamp(&mut input)?);
            let open = input.byte("open")? != 0;
            steps.steps.push(Step { target, by, open });
        }
        for _ in 0..input.count(STEPS_MAX, 33, "redone")? {
            steps.redone.push(stamp(&mut input)?);
        }
        input.finish("undo steps")?;
        Ok(steps)
    }

    /// The transactions that took something back or did it again: what they left counts as left by what they
    /// restored.
    fn ours(&self) -> BTreeSet<Stamp> {
        let by = self.steps.iter().map(|step| step.by);
        by.chain(self.redone.iter().copied()).collect()
    }

    /// Whether a transaction is no change of its own that could be undone.
    fn skips(&self, stamp: Stamp) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.target == stamp || step.by == stamp)
    }
}

/// A transaction of the person.
struct Target {
    stamp: Stamp,
    /// Its document operations, a parcel for each scope.
    parcels: Vec<Vec<u8>>,
}

/// What a document was before a transaction.
#[derive(Default)]
struct Before {
    document: Document,
    updates: BTreeMap<Vec<u8>, Vec<(u64, Vec<u8>)>>,
}

impl Replica {
    /// Takes back the person's latest transaction in a space that was not taken back yet, as far as nobody
    /// changed since what it did.
    pub fn undo(&mut self, space: &SpaceId, now_ms: u64) -> Result<Undone, ReplicaError> {
        self.merge_pending(now_ms)?;
        let mut steps = self.undo_steps(space)?;
        let target = self
            .latest_own(space, |stamp| !steps.skips(stamp))?
            .ok_or_else(|| ReplicaError::Refused("there is nothing to undo here".to_owned()))?;
        // Something new was written since the last undo: that ends what could be redone.
        let last = steps.steps.iter().map(|step| step.by).max();
        if last.is_some_and(|last| target.stamp > last) && !steps.redone.contains(&target.stamp) {
            for step in &mut steps.steps {
                step.open = false;
            }
        }
        let ours = steps.ours();
        self.take_back(space, &target, &ours, now_ms, |by| {
            steps.steps.push(Step {
                target: target.stamp,
                by: by.unwrap_or(target.stamp),
                open: by.is_some(),
            });
            steps.encode()
        })
    }

    /// Takes back the latest undo of this store, if the person wrote nothing in the space since.
    pub fn redo(&mut self, space: &SpaceId, now_ms: u64) -> Result<Undone, ReplicaError> {
        self.merge_pending(now_ms)?;
        let mut steps = self.undo_steps(space)?;
        let nothing = || ReplicaError::Refused("there is nothing to redo here".to_owned());
        let at = steps.steps.iter().rposition(|step| step.open);
        let at = at.ok_or_else(nothing)?;
        let by = steps.steps[at].by;
        let newest = self.latest_own(space, |_| true)?.ok_or_else(nothing)?;
        let is_ours = |stamp: Stamp| {
            steps.redone.contains(&stamp) || steps.steps.iter().any(|step| step.by == stamp)
        };
        if !is_ours(newest.stamp) {
            return Err(ReplicaError::Refused(
                "something was written since the undo; there is nothing to redo".to_owned(),
            ));
        }
        let target = self
            .latest_own(space, |stamp| stamp == by)?
            .ok_or_else(nothing)?;
        let ours = steps.ours();
        self.take_back(space, &target, &ours, now_ms, |by| {
            steps.steps[at].open = false;
            steps.redone.extend(by);
            steps.encode()
        })
    }

    fn undo_steps(&self, space: &SpaceId) -> Result<Steps, ReplicaError> {
        match self.store.get_meta(&Steps::key(space))? {
            None => Ok(Steps::default()),
            Some(bytes) => Steps::decode(&bytes).map_err(|source| ReplicaError::Record {
                what: "undo steps",
                source,
            }),
        }
    }

    /// The writers of the person's devices in a space.
    fn own_writers(&self, space: &SpaceId) -> Result<Vec<WriterId>, ReplicaError> {
        let own = match self.own_devices() {
            Err(ReplicaError::NoHome) => Vec::new(),
            own => own?,
        };
        let mut devices: BTreeSet<_> = own.iter().map(|own| own.id).collect();
        devices.insert(self.device());
        let state = self.space(space)?;
        let of_person = |writer: &&WriterId| {
            let device = state.roster.device_of(writer);
            state.is_own(writer) || device.is_some_and(|device| devices.contains(&device))
        };
        Ok(state.writers.keys().filter(of_person).copied().collect())
    }

    /// The person's latest transaction with documents that counts and fits.
    fn latest_own(
        &self,
        space: &SpaceId,
        fits: impl Fn(Stamp) -> bool,
    ) -> Result<Option<Target>, ReplicaError> {
        let mut best: Option<Target> = None;
        for writer in self.own_writers(space)? {
            let found = self.latest_of(space, &writer, &fits)?;
            if let Some(found) = found
                && best.as_ref().is_none_or(|best| best.stamp < found.stamp)
            {
                best = Some(found);
            }
        }
        Ok(best)
    }

    fn latest_of(
        &self,
        id: &SpaceId,
        writer: &WriterId,
        fits: &impl Fn(Stamp) -> bool,
    ) -> Result<Option<Target>, ReplicaError> {
        let space = self.space(id)?;
        let Some(state) = space.writers.get(writer) else {
            return Ok(None);
        };
        let mut end = state.merged.applied;
        while end > 0 {
            let segments = self.store.segments(state.no, end - 1, 0)?;
            let Some(segment) = segments.first() else {
                return Ok(None);
            };
            let opened = open_segment(&space.ring, id, writer, segment, segment.start)?;
            for entry in opened.entries.iter().rev().filter(|entry| entry.seq < end) {
                let stamp = Stamp {
                    hlc: entry.hlc,
                    writer: *writer,
                };
                if entry.outcome != Outcome::Open || !fits(stamp) {
                    continue;
                }
                let parcels: Vec<Vec<u8>> = opened
                    .open_docs(entry)
                    .map(|(_, parcel)| parcel.to_vec())
                    .filter(|parcel| !parcel.is_empty())
                    .collect();
                let is_home = space.record.is_home;
                let all_of_people = parcels
                    .iter()
                    .all(|parcel| is_of_people(is_home, parcel, stamp));
                let of_person = !parcels.is_empty() && all_of_people;
                if of_person && !self.is_by_itself(space, writer, entry.seq)? {
                    return Ok(Some(Target { stamp, parcels }));
                }
            }
            end = segment.start;
        }
        Ok(None)
    }

    /// Whether a device made an entry by itself: no change of a person that could be undone.
    fn is_by_itself(
        &self,
        space: &SpaceState,
        writer: &WriterId,
        seq: u64,
    ) -> Result<bool, ReplicaError> {
        let mut found = false;
        each_envelope(&self.store, space, writer, seq, &mut |at, envelope| {
            found = at == seq && envelope.by_itself;
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// What documents were before a transaction, from the logs.
    fn before(
        &self,
        id: &SpaceId,
        wanted: &BTreeSet<(String, DocId)>,
        than: Stamp,
        numbers: &mut Numbers,
    ) -> Result<BTreeMap<(String, DocId), Before>, ReplicaError> {
        let space = self.space(id)?;
        let mut found: BTreeMap<(String, DocId), Before> = BTreeMap::new();
        for (writer, state) in &space.writers {
            let end = state.merged.applied;
            let mut next = 0;
            while next < end {
                let segments = self.store.segments(state.no, next, STRIDE_BYTES)?;
                if segments.is_empty() {
                    break;
                }
                for segment in segments {
                    let opened = open_segment(&space.ring, id, writer, &segment, next)?;
                    for entry in opened.entries.iter().filter(|entry| entry.seq < end) {
                        let stamp = Stamp {
                            hlc: entry.hlc,
                            writer: *writer,
                        };
                        if entry.outcome != Outcome::Open || stamp >= than {
                            continue;
                        }
                        for (_, parcel) in opened.open_docs(entry) {
                            let mut changes = Changes::default();
                            let pushed =
                                changes.push_allowed(parcel, stamp, &mut |name, doc, path, _| {
                                    wanted.contains(&(name.to_owned(), doc.clone()))
                                        && path_of(name, doc, path.names()).is_some_and(|path| {
                                            let roster = &space.roster;
                                            roster.verdict(writer, entry.seq, &path, Action::Write)
                                        })
                                });
                            if pushed.is_err() {
                                continue;
                            }
                            for ops in changes.docs() {
                                let key = (ops.collection().to_owned(), ops.id().clone());
                                found.entry(key).or_default().take(ops, numbers);
                            }
                        }
                    }
                    next = segment.start + u64::from(segment.count);
                }
            }
        }
        Ok(found)
    }

    /// Makes the transaction that takes another one back, and remembers it with what `record` says of it.
    fn take_back(
        &mut self,
        space: &SpaceId,
        target: &Target,
        ours: &BTreeSet<Stamp>,
        now_ms: u64,
        record: impl FnOnce(Option<Stamp>) -> Vec<u8>,
    ) -> Result<Undone, ReplicaError> {
        let mut changes = Changes::default();
        for parcel in &target.parcels {
            changes
                .push(parcel, target.stamp)
                .map_err(|error| ReplicaError::Refused(error.to_string()))?;
        }
        let assigns = |op: &OpRef<'_>| matches!(op, OpRef::Assign(_) | OpRef::Restore);
        let is_ours = |stamp: Stamp| stamp == target.stamp || ours.contains(&stamp);
        let mut wanted: BTreeSet<(String, DocId)> = BTreeSet::new();
        for doc in changes.docs() {
            // One that only this store's transactions wrote may have been there all the same: of what a
            // writer says of an element only the latest stays.
            let now = self.document_now(space, doc.collection(), doc.id())?;
            if doc.ops().any(|(_, op)| assigns(&op)) || now.is_only_by(&is_ours, &self.numbers) {
                wanted.insert((doc.collection().to_owned(), doc.id().clone()));
            }
        }
        let mut numbers = self.numbers.clone();
        let before = match wanted.is_empty() {
            true => BTreeMap::new(),
            false => self.before(space, &wanted, target.stamp, &mut numbers)?,
        };
        let mut undone = Undone::default();
        let mut edits = Vec::new();
        let nothing = Before::default();
        for doc in changes.docs() {
            let key = (doc.collection().to_owned(), doc.id().clone());
            let was = before.get(&key).unwrap_or(&nothing);
            let now = self.document_now(space, &key.0, &key.1)?;
            let mut inverse = Inverse {
                stamp: target.stamp,
                is_ours: &is_ours,
                now: &now,
                was,
                numbers: &numbers,
                changes: Vec::new(),
                kept: Vec::new(),
                restored: Vec::new(),
            };
            for (path, op) in doc.ops() {
                if path.is_root() {
                    inverse.lifecycle(&op);
                } else if let Some(path) = path.to_path() {
                    let is_seed = match inverse.now.since(path.as_ref(), &is_ours, &numbers) {
                        Since::Rich => self.is_as_assigned(space, &key, &path, &op)?,
                        Since::Untouched => inverse.is_as_left(&path, &op),
                        Since::Changed => false,
                    };
                    inverse.field(&path, &op, is_seed)?;
                }
            }
            let is_whole = inverse.kept.is_empty()
                && !was.document.exists()
                && now.exists()
                && now.is_only_by(&is_ours, &numbers);
            let mut made = match is_whole {
                true => vec![Change::Delete],
                false => inverse.changes,
            };
            // Nothing can be edited in a document that is deleted first.
            made.sort_by_key(|change| *change == Change::Delete);
            if now.is_deleted() && !made.contains(&Change::Restore) && !made.is_empty() {
                made.clear();
                inverse.kept = vec!["(the document, which is deleted)".to_owned()];
            }
            if doc.ops().any(|(_, op)| matches!(op, OpRef::Purge)) {
                made.clear();
                inverse.kept =
                    vec!["(the document, which was purged: that is for ever)".to_owned()];
            }
            let name = format!("{}/{}", key.0, key.1);
            undone.kept.extend(
                inverse
                    .kept
                    .into_iter()
                    .map(|field| format!("{name} {field}")),
            );
            if !made.is_empty() {
                undone.documents.push(key.clone());
            }
            edits.extend(made.into_iter().map(|change| Edit {
                collection: key.0.clone(),
                id: Some(key.1.clone()),
                change,
            }));
        }
        // What is taken back was written by keys, whatever the newest revision calls them.
        let held = edits.iter();
        let held: Speaks = held
            .map(|edit| (edit.collection.clone(), AS_HELD.to_owned()))
            .collect();
        self.write(now_ms, |writing| {
            let receipt = match edits.is_empty() {
                true => None,
                false => Some(writing.transact_unchecked(space, &edits, &held)?),
            };
            let by = receipt.as_ref().and_then(|receipt| {
                let (writer, _) = receipt.entry?;
                let hlc = receipt.hlc;
                Some(Stamp { hlc, writer })
            });
            writing.tx.put_meta(&Steps::key(space), &record(by))?;
            undone.entry = receipt.and_then(|receipt| receipt.entry);
            Ok(undone)
        })
    }

    fn document_now(
        &self,
        space: &SpaceId,
        collection: &str,
        id: &DocId,
    ) -> Result<Document, ReplicaError> {
        let no = self.space(space)?.no;
        let row = match self.store.collection(no, collection)? {
            Some(no) => self.store.doc_state(no, id)?,
            None => None,
        };
        match row {
            None => Ok(Document::default()),
            Some(row) => Document::decode(&row, &self.numbers)
                .map_err(|error| ReplicaError::Refused(error.to_string())),
        }
    }

    /// Whether a rich field shows just what was assigned before it began.
    fn is_as_assigned(
        &mut self,
        space: &SpaceId,
        (collection, id): &(String, DocId),
        path: &Path,
        op: &OpRef<'_>,
    ) -> Result<bool, ReplicaError> {
        let OpRef::Assign(value) = op else {
            return Ok(false);
        };
        let names: Vec<String> = path.as_ref().names().map(str::to_owned).collect();
        let shown = self.show_rich(space, collection, id, &names, &crate::RichAsk::default())?;
        Ok(shown.is_some_and(|shown| Some(shown.value) == value.to_json()))
    }
}

impl Before {
    fn take(&mut self, ops: stead_doc::DocOps<'_>, numbers: &mut Numbers) {
        let author = author_number(&ops.stamp().writer);
        for (place, updates) in updates_of(ops) {
            let kept = self.updates.entry(place.key()).or_default();
            kept.extend(updates.iter().map(|update| (author, update.to_vec())));
        }
        self.document.apply(ops, numbers);
    }

    /// The content of a rich field as it was.
    fn content(
        &self,
        place: &RichPlace,
        numbers: &Numbers,
    ) -> Result<Option<Box<dyn RichContent>>, ReplicaError> {
        let engine = LoroEngine;
        let refused = |error: stead_doc::RichError| ReplicaError::Refused(error.to_string());
        let fields = self.document.rich_fields(numbers);
        let Some(field) = fields.into_iter().find(|field| field.place == *place) else {
            return Ok(None);
        };
        let mut content = engine.open(place.kind, 1, None).map_err(refused)?;
        if let Some(seed) = &field.seed {
            let seed = engine.seed(place.kind, seed).map_err(refused)?;
            if !seed.is_empty() {
                content.import(&[(SEED_AUTHOR, &seed)]).map_err(refused)?;
            }
        }
        for (author, update) in self.updates.get(&place.key()).into_iter().flatten() {
            if engine.check(*author, update).is_ok() {
                content.import(&[(*author, update)]).map_err(refused)?;
            }
        }
        Ok(Some(content))
    }
}

/// Whether a transaction wrote no collection that Stead keeps for itself.
fn is_of_people(is_home: bool, parcel: &[u8], stamp: Stamp) -> bool {
    let mut changes = Changes::default();
    let is_kept = |name: &str| name.starts_with('@') || is_home && KEPT_AT_HOME.contains(&name);
    changes.push(parcel, stamp).is_ok() && !changes.docs().any(|doc| is_kept(doc.collection()))
}

/// The edits that take back what one transaction did to one document.
struct Inverse<'u> {
    stamp: Stamp,
    /// Whether a transaction is that one, or an undo or redo of this store.
    is_ours: &'u dyn Fn(Stamp) -> bool,
    now: &'u Document,
    was: &'u Before,
    numbers: &'u Numbers,
    changes: Vec<Change>,
    kept: Vec<String>,
    /// Paths that are restored with all below them.
    restored: Vec<Path>,
}

impl Inverse<'_> {
    fn lifecycle(&mut self, op: &OpRef<'_>) {
        if !self.now.lifecycle_is_by(self.is_ours, self.numbers) {
            self.kept.push("(the document)".to_owned());
            return;
        }
        match op {
            OpRef::Delete => self.changes.push(Change::Restore),
            // What it brought back or made goes, unless others have written into it.
            OpRef::Restore if self.now.is_only_by(self.is_ours, self.numbers) => {}
            OpRef::Restore if self.was.document.is_deleted() => self.changes.push(Change::Delete),
            _ => {}
        }
    }

    /// Whether a place that only this store's transactions have written shows what the transaction assigned.
    fn is_as_left(&self, path: &Path, op: &OpRef<'_>) -> bool {
        let OpRef::Assign(value) = op else {
            return false;
        };
        let at = path.as_ref();
        self.now.base_at(at, self.numbers) == Some(self.stamp)
            || match self.now.shape(at, self.numbers) {
                Shape::Absent => value.to_json().is_none(),
                Shape::Value(now) => value.to_json() == Some(now),
                Shape::Counter(now) => value.to_json() == Some(now.into()),
                Shape::Map(_) => value.to_json() == Some(Value::Object(Default::default())),
                Shape::Set(_) | Shape::Rich(..) => false,
            }
    }

    fn field(&mut self, path: &Path, op: &OpRef<'_>, is_as_left: bool) -> Result<(), ReplicaError> {
        let at = path.as_ref();
        let names: Vec<String> = at.names().map(str::to_owned).collect();
        let below = |above: &Path| {
            let above: Vec<&str> = above.as_ref().names().collect();
            names.len() >= above.len() && names.iter().zip(&above).all(|(a, b)| a == b)
        };
        if self.restored.iter().any(below) {
            return Ok(());
        }
        match op {
            OpRef::Assign(_) if is_as_left => {
                let shape = self.was.document.shape(at, self.numbers);
                self.restored.push(path.clone());
                self.restore(&names, shape)?;
            }
            OpRef::Add { delta, base }
                if self.now.base_at(at, self.numbers).is_none_or(|now| {
                    Some(now) == *base || now > self.stamp && (self.is_ours)(now)
                }) =>
            {
                self.changes.push(Change::Add {
                    path: names,
                    delta: delta.wrapping_neg(),
                });
            }
            OpRef::SetAdd(elem)
                if self
                    .now
                    .additions_of(at, *elem, self.numbers)
                    .into_iter()
                    .all(self.is_ours) =>
            {
                self.changes
                    .extend(elem.to_json().map(|element| Change::Exclude {
                        path: names,
                        element,
                    }));
            }
            OpRef::SetRemove { elem, .. }
                if matches!(
                    self.now.shape(at, self.numbers),
                    Shape::Set(_) | Shape::Absent
                ) =>
            {
                self.changes
                    .extend(elem.to_json().map(|element| Change::Include {
                        path: names,
                        element,
                    }));
            }
            OpRef::Rich {
                kind,
                base,
                updates,
            } if self.now.holds_rich(at, *kind, *base, self.numbers) => {
                let author = author_number(&self.stamp.writer);
                let spans = updates
                    .iter()
                    .filter_map(|one| LoroEngine.check(author, one).ok());
                let span = spans.reduce(|a, b| RichSpan {
                    author,
                    start: a.start.min(b.start),
                    end: a.end.max(b.end),
                });
                self.changes.extend(span.map(|span| Change::Rich {
                    path: names,
                    kind: *kind,
                    edit: RichEdit::Revert(span),
                }));
            }
            _ => self.kept.push(path.to_string()),
        }
        Ok(())
    }

    /// Edits that make a place what it was, of the type that it was.
    fn restore(&mut self, names: &[String], shape: Shape) -> Result<(), ReplicaError> {
        let path = names.to_vec();
        match shape {
            Shape::Absent => self.changes.push(Change::Unset { path }),
            Shape::Value(value) => self.changes.push(Change::Set { path, value }),
            Shape::Counter(number) => self.changes.push(Change::Set {
                path,
                value: number.into(),
            }),
            Shape::Set(elements) => {
                // An assignment for certain: a set that begins on it goes with it, should this be undone.
                let value = Value::Null;
                self.changes.push(Change::Set {
                    path: path.clone(),
                    value,
                });
                self.changes.push(Change::Unset { path });
                self.changes
                    .extend(elements.into_iter().map(|element| Change::Include {
                        path: names.to_vec(),
                        element,
                    }));
            }
            Shape::Map(fields) => {
                self.changes.push(Change::Unset { path: path.clone() });
                if fields.is_empty() {
                    let value = Value::Object(Default::default());
                    self.changes.push(Change::Set { path, value });
                }
                for (name, shape) in fields {
                    let below = [names, &[name]].concat();
                    self.restore(&below, shape)?;
                }
            }
            Shape::Rich(kind, base) => self.restore_rich(names, kind, base)?,
        }
        Ok(())
    }

    fn restore_rich(
        &mut self,
        names: &[String],
        kind: RichKind,
        base: Option<Stamp>,
    ) -> Result<(), ReplicaError> {
        let refused = |error: stead_doc::RichError| ReplicaError::Refused(error.to_string());
        let path = Path::from_names(names.iter().map(String::as_str))
            .map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let place = RichPlace { path, kind, base };
        let Some(content) = self.was.content(&place, self.numbers)? else {
            return Ok(());
        };
        let path = names.to_vec();
        let value = content.value().map_err(refused)?;
        if kind == RichKind::Tree {
            self.changes.push(Change::Unset { path });
            self.changes.push(Change::Rich {
                path: names.to_vec(),
                kind,
                edit: RichEdit::TreeGrow(value),
            });
            return Ok(());
        }
        self.changes.push(Change::Set { path, value });
        if kind == RichKind::Text {
            let marked = content.marked().map_err(refused)?;
            let mut at = 0;
            for run in marked.as_array().into_iter().flatten() {
                let len = run["insert"].as_str().unwrap_or_default().chars().count();
                for (mark, value) in run["attributes"].as_object().into_iter().flatten() {
                    self.changes.push(Change::Rich {
                        path: names.to_vec(),
                        kind,
                        edit: RichEdit::Mark {
                            start: at,
                            end: at + len,
                            mark: mark.clone(),
                            value: value.clone(),
                            unit: TextUnit::Scalar,
                        },
                    });
                }
                at += len;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_stamp() -> impl Strategy<Value = Stamp> {
        (0u64..1 << 60, any::<[u8; 32]>()).prop_map(|(hlc, writer)| Stamp {
            hlc: Hlc::from_u64(hlc),
            writer: WriterId::from_bytes(writer),
        })
    }

    proptest! {
        #[test]
        fn steps_read_back(
            steps in prop::collection::vec((any_stamp(), any_stamp(), any::<bool>()), 0..5),
            redone in prop::collection::vec(any_stamp(), 0..5),
        ) {
            let step = |(target, by, open)| Step { target, by, open };
            let steps = Steps { steps: steps.into_iter().map(step).collect(), redone };
            prop_assert_eq!(Steps::decode(&steps.encode()), Ok(steps));
        }
    }
}
