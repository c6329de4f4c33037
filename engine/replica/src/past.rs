//! What was: a document's story, and documents as they were at an earlier time, from the logs.
//!
//! A [`Past`] holds what is needed to read the logs of a space without the replica, so that a long
//! look back runs on a thread that only reads. Entries count here exactly as they count for the
//! documents; those that do not count are told as void.

mod rich;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use stead_access::Roster;
use stead_base::{DeviceId, DocId, Hlc, ScopeId, SpaceId, Stamp, WriterId};
use stead_doc::{
    Changes, Document, FieldKind, NodeName, Numbers, OpRef, Redacted, RichEdit, RichKind,
};
use stead_store::{Read, WriterNo};

use crate::history::in_words;
use crate::identity::Names;
use crate::keyring::KeyRing;
use crate::opening::{Opened, OpenedEntry, Outcome, open_segment};
use crate::parts::{Reach, push_allowed, reach};
use crate::redaction::DEPTH_MAX;
use crate::starts::is_piece;
use crate::transact::Change;
use crate::{Replica, ReplicaError, ReplicaReader};
use rich::RichPast;

/// What is typed by one writer into rich fields with no longer pauses than this is one step of a story.
const TYPING_PAUSE_MS: u64 = 60_000;
/// Most entries that one look back opens.
pub const PAST_ENTRIES_MAX: u64 = 4_000_000;
/// Most documents that have changed since the time that is asked for.
pub const PAST_DOCS_MAX: usize = 200_000;
/// Bytes of stored log that are read at a time.
const STRIDE_BYTES: usize = 4 << 20;

/// The logs of a space, ready to be read on another thread.
pub struct Past {
    space: SpaceId,
    ring: Arc<KeyRing>,
    roster: Roster,
    logs: Vec<Log>,
    /// Whether documents were begun from something else than the logs held here.
    begun: bool,
}

struct Log {
    writer: WriterId,
    no: WriterNo,
    /// Entries that documents contain.
    applied: u64,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Past({}, {} logs)", self.space.short(), self.logs.len())
    }
}

/// One transaction of a document's story.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When, by the writer's clock, and by whom.
    pub stamp: Stamp,
    /// The device that wrote it, when known.
    pub device: Option<DeviceId>,
    /// That device's name.
    pub device_name: Option<String>,
    /// Its place in the writer's log.
    pub seq: u64,
    /// Whether nothing of it counts: its author had no right to make it, or not any more.
    pub void: bool,
    /// Whether the document is deleted behind it, if that changed.
    pub deleted: Option<bool>,
    /// What it changed in what is seen.
    pub changes: Vec<FieldChange>,
    /// Its operations on the document in words.
    pub words: Vec<String>,
    /// Whether it redacted something of the document.
    pub redacts: bool,
}

/// How one field differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field.
    pub path: Vec<String>,
    /// What was seen there; none if nothing was.
    pub before: Option<Value>,
    /// What is seen there; none if nothing is.
    pub after: Option<Value>,
}

/// A document at some time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moment {
    /// What is seen.
    pub value: Value,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Whether anything was ever written to it by then.
    pub is_there: bool,
}

/// From a document as it is held to what somebody sees of it.
pub type Look<'l> = dyn for<'v> Fn(&'v Value) -> Cow<'v, Value> + 'l;

fn as_held(document: &Value) -> Cow<'_, Value> {
    Cow::Borrowed(document)
}

/// A document's story, oldest first.
#[derive(Debug, Default)]
pub struct Story {
    /// The transactions that touched it.
    pub steps: Vec<Step>,
    /// As of now.
    pub now: Moment,
    document: Document,
    numbers: Numbers,
}

/// How a collection differed at an earlier time.
#[derive(Debug, Default, PartialEq)]
pub struct Earlier {
    /// The documents that have changed since, as they were; none if they were not there.
    pub docs: BTreeMap<DocId, Option<Value>>,
}

impl Replica {
    /// What is needed to look back in a space.
    pub fn past(&self, space: &SpaceId) -> Result<Past, ReplicaError> {
        let state = self.space(space)?;
        let logs = state.writers.iter().map(|(writer, log)| Log {
            writer: *writer,
            no: log.no,
            applied: log.merged.applied,
        });
        let mut begun = false;
        for scope in state.roster.scopes().keys() {
            begun |= state
                .writers
                .keys()
                .any(|writer| state.begun(*scope, writer) > 0);
        }
        Ok(Past {
            begun,
            space: *space,
            ring: Arc::clone(&state.ring),
            roster: state.roster.clone(),
            logs: logs.collect(),
        })
    }
}

/// What one entry says of a document.
struct Touching {
    seq: u64,
    reach: Reach,
    parts: Vec<(ScopeId, Vec<u8>)>,
    words: Vec<String>,
    /// Whether it only edits rich fields.
    types: bool,
    redacts: bool,
}

/// A part of an entry that was read, and how much of it counts.
struct Seen<'o> {
    writer: WriterId,
    seq: u64,
    hlc: Hlc,
    scope: ScopeId,
    parcel: &'o [u8],
    reach: Reach,
    /// Whether it blanks what is redacted.
    redacts: bool,
}

impl Past {
    /// Calls `f` with the entries of a log that change documents, from `from` on and before `to`.
    fn each(
        &self,
        reader: &impl Read,
        log: &Log,
        (from, to): (u64, u64),
        budget: &mut u64,
        f: &mut dyn FnMut(&Seen<'_>) -> Result<(), ReplicaError>,
    ) -> Result<(), ReplicaError> {
        let (mut at, mut last) = (from, Hlc::ZERO);
        let late = || {
            ReplicaError::Refused(
                "this device holds the history of the space only from a later time on".to_owned(),
            )
        };
        if self.begun {
            return Err(late());
        }
        while at < to {
            let segments = reader.segments(log.no, at, STRIDE_BYTES)?;
            match segments.first() {
                None => return Ok(()),
                Some(segment) if segment.start > at => return Err(late()),
                Some(_) => {}
            }
            for segment in segments {
                let opened = open_segment(&self.ring, &self.space, &log.writer, &segment, at)?;
                at = at.max(segment.end());
                *budget = budget
                    .checked_sub(opened.entries.len() as u64)
                    .ok_or_else(|| {
                        ReplicaError::Refused(format!(
                            "looking back that far would read more than {PAST_ENTRIES_MAX} entries"
                        ))
                    })?;
                for entry in opened.entries.iter().filter(|entry| entry.seq < to) {
                    self.see(log, entry, &opened, &mut last, f)?;
                }
            }
        }
        Ok(())
    }

    fn see(
        &self,
        log: &Log,
        entry: &OpenedEntry,
        opened: &Opened,
        last: &mut Hlc,
        f: &mut dyn FnMut(&Seen<'_>) -> Result<(), ReplicaError>,
    ) -> Result<(), ReplicaError> {
        // A log whose times run backwards counts as far as they run forwards.
        if entry.outcome != Outcome::Open || entry.hlc <= *last {
            return Ok(());
        }
        *last = entry.hlc;
        for (scope, parcel) in opened.open_docs(entry) {
            if parcel.is_empty() || is_piece(parcel) {
                continue;
            }
            self.see_parcel((log.writer, entry.seq, entry.hlc), scope, parcel, 0, f)?;
        }
        Ok(())
    }

    /// The entries of a log before `to`, and what was said before `at` and stands in later ones because
    /// it was said together with something redacted.
    fn each_until(
        &self,
        reader: &impl Read,
        log: &Log,
        (to, at): (u64, Hlc),
        budget: &mut u64,
        f: &mut dyn FnMut(&Seen<'_>) -> Result<(), ReplicaError>,
    ) -> Result<(), ReplicaError> {
        self.each(reader, log, (0, to), budget, f)?;
        let later = self.roster.redactions().keys();
        let later: BTreeSet<u64> = later
            .filter(|id| id.log == log.writer && (to..log.applied).contains(&id.seq))
            .map(|id| id.seq)
            .collect();
        for seq in later {
            self.each(
                reader,
                log,
                (seq, seq + 1),
                budget,
                &mut |seen| match seen.hlc <= at {
                    true => f(seen),
                    false => Ok(()),
                },
            )?;
        }
        Ok(())
    }

    /// Hands out a parcel, or what stands in the place of redacted ones.
    fn see_parcel(
        &self,
        (writer, seq, hlc): (WriterId, u64, Hlc),
        scope: ScopeId,
        parcel: &[u8],
        depth: usize,
        f: &mut dyn FnMut(&Seen<'_>) -> Result<(), ReplicaError>,
    ) -> Result<(), ReplicaError> {
        if !Redacted::is_one(parcel) {
            return f(&Seen {
                writer,
                seq,
                hlc,
                scope,
                parcel,
                reach: reach(&self.roster, &writer, seq),
                redacts: depth == DEPTH_MAX,
            });
        }
        let Ok(redacted) = Redacted::decode(parcel) else {
            return Ok(());
        };
        if !redacted.own.is_empty() {
            self.see_parcel((writer, seq, hlc), scope, &redacted.own, DEPTH_MAX, f)?;
        }
        for item in redacted.items {
            let of = &item.stamp.writer;
            let stands = self.roster.redaction_of(of, item.seq, scope);
            let is_this = stands.is_some_and(|(at, counts)| {
                counts && (at.log, at.seq) == (writer, seq) && item.stamp.hlc < hlc
            });
            if is_this && depth < DEPTH_MAX && !item.parcel.is_empty() {
                let place = (*of, item.seq, item.stamp.hlc);
                self.see_parcel(place, scope, &item.parcel, depth + 1, f)?;
            }
        }
        Ok(())
    }

    /// Decodes what counts of an entry.
    fn counting(&self, seen: &Seen<'_>, changes: &mut Changes) -> bool {
        let stamp = Stamp {
            hlc: seen.hlc,
            writer: seen.writer,
        };
        changes.clear();
        let (seq, text) = (seen.seq, seen.parcel);
        let pushed = match (seen.reach, seen.scope) {
            (Reach::Nothing, _) => return false,
            (Reach::Everything, ScopeId::ROOT) => changes.push(text, stamp),
            (reach, scope) => push_allowed(&self.roster, scope, reach, seq, text, stamp, changes),
        };
        pushed.is_ok()
    }

    /// The first entry of a log that is later than a time.
    fn first_after(&self, reader: &impl Read, log: &Log, at: Hlc) -> Result<u64, ReplicaError> {
        let (mut low, mut high) = (0, log.applied);
        while low < high {
            let middle = low + (high - low) / 2;
            let segments = reader.segments(log.no, middle, 0)?;
            let Some(segment) = segments.first() else {
                return Ok(high);
            };
            let opened =
                open_segment(&self.ring, &self.space, &log.writer, segment, segment.start)?;
            let open = || {
                opened
                    .entries
                    .iter()
                    .filter(|entry| entry.outcome == Outcome::Open)
            };
            match open().find(|entry| entry.hlc > at) {
                // It begins earlier than this segment, or with one of its entries.
                Some(first) if first.seq > segment.start || segment.start <= low => {
                    return Ok(first.seq.min(high).max(low));
                }
                Some(_) => high = segment.start,
                None => low = segment.end(),
            }
        }
        Ok(low)
    }
}

impl ReplicaReader {
    /// The story of a document.
    pub fn story(
        &mut self,
        past: &Past,
        collection: &str,
        id: &DocId,
    ) -> Result<Story, ReplicaError> {
        self.story_as(past, collection, id, &as_held)
    }

    /// The same, with changes of what `look` shows of the document as it is held.
    pub fn story_as(
        &mut self,
        past: &Past,
        collection: &str,
        id: &DocId,
        look: &Look<'_>,
    ) -> Result<Story, ReplicaError> {
        self.story_until(past, collection, id, None, look)
    }

    /// A document as it was at a time: behind the last transaction that was not later.
    pub fn moment(
        &mut self,
        past: &Past,
        collection: &str,
        id: &DocId,
        at: Hlc,
    ) -> Result<Moment, ReplicaError> {
        let story = self.story_until(past, collection, id, Some(at), &as_held)?;
        Ok(story.now)
    }

    fn story_until(
        &mut self,
        past: &Past,
        collection: &str,
        id: &DocId,
        until: Option<Hlc>,
        look: &Look<'_>,
    ) -> Result<Story, ReplicaError> {
        let mut changes = Changes::default();
        let mut touching: BTreeMap<Stamp, Touching> = BTreeMap::new();
        let mut budget = PAST_ENTRIES_MAX;
        for log in &past.logs {
            let to = match until {
                Some(at) => past.first_after(self.reader(), log, at)?,
                None => log.applied,
            };
            let end = (to, until.unwrap_or(Hlc::from_u64(u64::MAX)));
            past.each_until(self.reader(), log, end, &mut budget, &mut |seen| {
                let stamp = Stamp {
                    hlc: seen.hlc,
                    writer: seen.writer,
                };
                changes.clear();
                // What this version does not understand is passed over, as for the documents.
                if changes.push(seen.parcel, stamp).is_err() {
                    return Ok(());
                }
                let of_doc = changes
                    .docs()
                    .find(|doc| doc.id() == id && doc.collection() == collection);
                if let Some(doc) = of_doc {
                    let words = doc.ops().map(|(path, op)| in_words(&path.to_string(), &op));
                    let touch = touching.entry(stamp).or_insert_with(|| Touching {
                        seq: seen.seq,
                        reach: seen.reach,
                        parts: Vec::new(),
                        words: Vec::new(),
                        types: true,
                        redacts: false,
                    });
                    touch.redacts |= seen.redacts;
                    touch.types &= doc.ops().all(|(_, op)| matches!(op, OpRef::Rich { .. }));
                    for words in words {
                        if !touch.words.contains(&words) {
                            touch.words.push(words);
                        }
                    }
                    touch.parts.push((seen.scope, seen.parcel.to_vec()));
                }
                Ok(())
            })?;
        }
        let mut story = Story::default();
        let mut rich = RichPast::default();
        let mut said: Vec<String> = Vec::new();
        let mut touching = touching.into_iter().peekable();
        while let Some((stamp, touch)) = touching.next() {
            let Touching {
                seq,
                reach,
                parts,
                words,
                redacts,
                mut types,
            } = touch;
            let mut applied = false;
            for (scope, parcel) in &parts {
                let seen = Seen {
                    writer: stamp.writer,
                    seq,
                    hlc: stamp.hlc,
                    scope: *scope,
                    parcel,
                    reach,
                    redacts,
                };
                if !past.counting(&seen, &mut changes) {
                    continue;
                }
                for doc in changes.docs() {
                    if doc.id() == id && doc.collection() == collection && !doc.is_empty() {
                        story.document.apply(doc, &mut story.numbers);
                        rich.take(doc);
                        applied = true;
                        types &= doc.ops().all(|(_, op)| matches!(op, OpRef::Rich { .. }));
                    }
                }
            }
            // One who types makes an entry a letter: they are one step, told where it ends.
            let goes_on = touching.peek().is_some_and(|(next, touch)| {
                let pause = next.hlc.ms().saturating_sub(stamp.hlc.ms());
                touch.types && next.writer == stamp.writer && pause < TYPING_PAUSE_MS
            });
            if types && applied && goes_on {
                for word in words {
                    if !said.contains(&word) {
                        said.push(word);
                    }
                }
                continue;
            }
            for word in words {
                if !said.contains(&word) {
                    said.push(word);
                }
            }
            let before = std::mem::take(&mut story.now);
            story.now = Moment {
                value: rich.show(&story.document, &story.numbers),
                deleted: story.document.is_deleted(),
                is_there: story.document.exists() || story.document.is_deleted(),
            };
            let device = past.roster.device_of(&stamp.writer);
            story.steps.push(Step {
                stamp,
                device,
                device_name: device.and_then(|device| past.roster.name_of(&device)),
                seq,
                void: !applied,
                deleted: (before.deleted != story.now.deleted).then_some(story.now.deleted),
                changes: differences(&look(&before.value), &look(&story.now.value)),
                words: std::mem::take(&mut said),
                redacts,
            });
        }
        Ok(story)
    }

    /// How a collection differed at a time from what it is now.
    pub fn earlier(
        &mut self,
        past: &Past,
        collection: &str,
        at: Hlc,
    ) -> Result<Earlier, ReplicaError> {
        let mut budget = PAST_ENTRIES_MAX;
        let mut changes = Changes::default();
        let mut since = BTreeSet::new();
        let mut ends = Vec::with_capacity(past.logs.len());
        for log in &past.logs {
            let end = past.first_after(self.reader(), log, at)?;
            ends.push(end);
            past.each(
                self.reader(),
                log,
                (end, log.applied),
                &mut budget,
                &mut |seen| {
                    if past.counting(seen, &mut changes) {
                        let docs = changes.docs().filter(|doc| doc.collection() == collection);
                        since.extend(docs.map(|doc| doc.id().clone()));
                    }
                    match since.len() > PAST_DOCS_MAX {
                        true => Err(ReplicaError::Refused(format!(
                            "more than {PAST_DOCS_MAX} documents have changed since then"
                        ))),
                        false => Ok(()),
                    }
                },
            )?;
        }
        let mut numbers = Numbers::default();
        let mut docs: BTreeMap<DocId, (Document, RichPast)> = since
            .into_iter()
            .map(|id| (id, Default::default()))
            .collect();
        if !docs.is_empty() {
            for (log, end) in past.logs.iter().zip(ends) {
                let end = (end, at);
                past.each_until(self.reader(), log, end, &mut budget, &mut |seen| {
                    if past.counting(seen, &mut changes) {
                        for doc in changes.docs().filter(|doc| doc.collection() == collection) {
                            if let Some((document, rich)) = docs.get_mut(doc.id()) {
                                document.apply(doc, &mut numbers);
                                rich.take(doc);
                            }
                        }
                    }
                    Ok(())
                })?;
            }
        }
        let seen = |(id, (document, mut rich)): (DocId, (Document, RichPast))| {
            let shown = document.exists().then(|| rich.show(&document, &numbers));
            (id, shown)
        };
        Ok(Earlier {
            docs: docs.into_iter().map(seen).collect(),
        })
    }
}

impl Story {
    /// The changes that make the document what it was at a moment. They add to counters and put
    /// into and take out of sets, so that what others do meanwhile is not lost.
    pub fn back_to(&self, then: &Moment) -> Vec<Change> {
        if !then.is_there || then.deleted {
            return match self.now.is_there && !self.now.deleted {
                true => vec![Change::Delete],
                false => Vec::new(),
            };
        }
        let mut changes = Vec::new();
        if self.now.deleted {
            changes.push(Change::Restore);
        }
        self.fields_back(&mut Vec::new(), &self.now.value, &then.value, &mut changes);
        changes
    }

    fn fields_back(
        &self,
        path: &mut Vec<String>,
        now: &Value,
        then: &Value,
        out: &mut Vec<Change>,
    ) {
        let empty = Map::new();
        let fields = |value: &'_ Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
        let (now, then) = (fields(now), fields(then));
        for name in now.keys().filter(|name| !then.contains_key(*name)) {
            path.push(name.clone());
            out.push(Change::Unset { path: path.clone() });
            path.pop();
        }
        for (name, then) in &then {
            path.push(name.clone());
            match now.get(name) {
                Some(now) if now == then => {}
                Some(now) => self.field_back(path, now, then, out),
                None => out.push(Change::Set {
                    path: path.clone(),
                    value: then.clone(),
                }),
            }
            path.pop();
        }
    }

    fn field_back(&self, path: &mut Vec<String>, now: &Value, then: &Value, out: &mut Vec<Change>) {
        let kind = stead_doc::Path::from_names(path.iter().map(String::as_str))
            .map(|path| self.document.kind_at(path.as_ref(), &self.numbers));
        match (kind, now, then) {
            (Ok(FieldKind::Map), Value::Object(_), Value::Object(_)) => {
                self.fields_back(path, now, then, out);
            }
            (Ok(FieldKind::Set), Value::Array(now), Value::Array(then)) => {
                let gone = now.iter().filter(|element| !then.contains(element));
                out.extend(gone.map(|element| Change::Exclude {
                    path: path.clone(),
                    element: element.clone(),
                }));
                let back = then.iter().filter(|element| !now.contains(element));
                out.extend(back.map(|element| Change::Include {
                    path: path.clone(),
                    element: element.clone(),
                }));
            }
            (Ok(FieldKind::Counter), Value::Number(now), Value::Number(then))
                if now.is_i64() && then.is_i64() =>
            {
                let (now, then) = (now.as_i64().unwrap_or(0), then.as_i64().unwrap_or(0));
                out.push(Change::Add {
                    path: path.clone(),
                    delta: then.wrapping_sub(now),
                });
            }
            (Ok(FieldKind::Rich(kind)), now, then) => self.rich_back(kind, path, now, then, out),
            _ => out.push(Change::Set {
                path: path.clone(),
                value: then.clone(),
            }),
        }
    }

    /// Makes a text or a list what it was with few changes; of a tree, all roots are replaced.
    fn rich_back(
        &self,
        kind: RichKind,
        path: &[String],
        now: &Value,
        then: &Value,
        out: &mut Vec<Change>,
    ) {
        let edits = match (kind, then) {
            (RichKind::Text, Value::String(_)) | (RichKind::List, Value::Array(_)) => {
                vec![RichEdit::Become(then.clone())]
            }
            (RichKind::Tree, Value::Array(_)) => {
                let roots = now.as_array().into_iter().flatten();
                let ids = roots.filter_map(|root| root.get("id")?.as_str());
                let gone = ids.map(|id| RichEdit::TreeDelete {
                    node: NodeName(id.to_owned()),
                });
                gone.chain([RichEdit::TreeGrow(then.clone())]).collect()
            }
            _ => {
                return out.push(Change::Set {
                    path: path.to_vec(),
                    value: then.clone(),
                });
            }
        };
        out.extend(edits.into_iter().map(|edit| Change::Rich {
            path: path.to_vec(),
            kind,
            edit,
        }));
    }
}

/// How two documents differ, field by field; maps are looked into.
pub fn differences(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    differ(&mut Vec::new(), Some(before), Some(after), &mut found);
    found
}

fn differ(
    path: &mut Vec<String>,
    before: Option<&Value>,
    after: Option<&Value>,
    out: &mut Vec<FieldChange>,
) {
    let before = before.filter(|value| !(path.is_empty() && value.is_null()));
    let after = after.filter(|value| !(path.is_empty() && value.is_null()));
    if before == after {
        return;
    }
    let fields = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    let (old, new) = (fields(before), fields(after));
    let looked_into = match (&old, &new) {
        (Some(_), Some(_)) => true,
        (Some(_), None) => after.is_none(),
        (None, Some(new)) => before.is_none() && !new.is_empty(),
        (None, None) => false,
    };
    if !looked_into {
        out.push(FieldChange {
            path: path.clone(),
            before: before.cloned(),
            after: after.cloned(),
        });
        return;
    }
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        path.push(name.clone());
        differ(path, old.get(name), new.get(name), out);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_name_the_fields_and_nothing_else() {
        let before = json!({"a": 1, "m": {"x": 1, "y": [1]}, "gone": {"z": 1}});
        let after = json!({"a": 1, "m": {"x": 2, "y": [1]}, "new": {"q": true}});
        let told: Vec<_> = differences(&before, &after)
            .into_iter()
            .map(|change| (change.path.join("."), change.before, change.after))
            .collect();
        assert_eq!(
            told,
            [
                ("gone.z".to_owned(), Some(json!(1)), None),
                ("m.x".to_owned(), Some(json!(1)), Some(json!(2))),
                ("new.q".to_owned(), None, Some(json!(true))),
            ]
        );
        assert_eq!(differences(&after, &after), vec![]);
    }
}
