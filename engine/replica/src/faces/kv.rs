//! An ordered map over a collection: keys in the order of their text, range scans, the stream of changes
//! and the differences between two times.
//!
//! Owns the names of keys and what a scan returns. A key is one document; what decides between two writes is
//! the document's merge.

use std::collections::BTreeMap;

use serde_json::json;
use stead_access::{Action, Path};
use stead_base::{DeviceId, DocId, Hlc, SpaceId, Stamp, WriterId};
use stead_store::{CollectionNo, Cursor, Direction, Query, SortKey};

use super::{FaceValue, VALUE};
use crate::history::FaceOp;
use crate::{Change, Edit, HistoryQuery, Receipt, Replica, ReplicaError};

/// Longest key, in bytes as it is kept: dots and slashes take two.
pub(crate) const KEY_BYTES_MAX: usize = 63;
/// Most keys in one answer of a scan.
pub const RANGE_MAX: usize = 10_000;
/// Most changes that a history or a comparison looks at.
const CHANGES_MAX: usize = 1_000_000;
/// Begins the id of every key's document, so that no key looks like an id that a device made.
const MARK: char = ':';

/// A key: any text without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// Checks a key.
    pub fn new(text: &str) -> Result<Self, ReplicaError> {
        let refused = |why: String| Err(ReplicaError::Refused(format!("key {text:?}: {why}")));
        if let Some(c) = text.chars().find(|c| c.is_control()) {
            return refused(format!("a key has no {c:?} in it"));
        }
        let kept = encode(text);
        match kept.len() {
            0 => refused("a key is not empty".to_owned()),
            len if len > KEY_BYTES_MAX => refused(format!(
                "it takes {len} bytes, and at most {KEY_BYTES_MAX} are kept (dots and slashes count twice)"
            )),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn doc(&self) -> Result<DocId, ReplicaError> {
        crate::groups::doc_id(&format!("{MARK}{}", encode(&self.0)))
    }

    fn of_doc(id: &DocId) -> Option<Self> {
        let text = id.to_string();
        decode(text.strip_prefix(MARK)?).map(Self)
    }
}

/// `.` becomes `..` and `/` becomes `.~`: no document id has a slash, and the order stays.
fn encode(text: &str) -> String {
    text.replace('.', "..").replace('/', ".~")
}

fn decode(kept: &str) -> Option<String> {
    let mut text = String::with_capacity(kept.len());
    let mut letters = kept.chars();
    while let Some(c) = letters.next() {
        text.push(match c {
            '.' => match letters.next()? {
                '.' => '.',
                '~' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(text)
}

/// Which keys of a map, in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// Only keys from this one on; with `from_open`, behind it.
    pub from: Option<String>,
    /// Whether `from` itself is left out.
    pub from_open: bool,
    /// Only keys up to this one; with `to_open`, before it.
    pub to: Option<String>,
    /// Whether `to` itself is left out.
    pub to_open: bool,
    /// Only keys that begin so.
    pub prefix: Option<String>,
    /// From the last key down.
    pub reverse: bool,
    /// Most keys to return; at most [`RANGE_MAX`].
    pub limit: Option<usize>,
}

impl Range {
    fn holds(&self, key: &str) -> bool {
        let from = self
            .from
            .as_deref()
            .is_none_or(|from| match self.from_open {
                true => key > from,
                false => key >= from,
            });
        let to = self.to.as_deref().is_none_or(|to| match self.to_open {
            true => key < to,
            false => key <= to,
        });
        let prefix = self.prefix.as_deref();
        from && to && prefix.is_none_or(|prefix| key.starts_with(prefix))
    }

    /// Whether no key from here on, in the order of the scan, can be in the range.
    fn is_beyond(&self, key: &str) -> bool {
        let prefix = self.prefix.as_deref();
        match self.reverse {
            true => {
                self.from.as_deref().is_some_and(|from| key < from)
                    || prefix.is_some_and(|prefix| key < prefix)
            }
            false => {
                self.to.as_deref().is_some_and(|to| key > to)
                    || prefix.is_some_and(|it| key > it && !key.starts_with(it))
            }
        }
    }

    /// The text behind which the scan begins, as ids are ordered. It need not be a key.
    fn start(&self) -> Option<String> {
        let (from, to) = (self.from.as_deref(), self.to.as_deref());
        let prefix = self.prefix.as_deref();
        match self.reverse {
            false => from.max(prefix).map(str::to_owned),
            true => match (to, prefix) {
                (Some(to), _) => Some(to.to_owned()),
                (None, Some(prefix)) => Some(format!("{prefix}\u{10FFFF}")),
                (None, None) => None,
            },
        }
    }
}

/// One change of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyChange {
    /// The key.
    pub key: String,
    /// The value it got; None if it was deleted.
    pub value: Option<FaceValue>,
    /// When, and by which log.
    pub stamp: Stamp,
    /// Place in that log.
    pub seq: u64,
    /// Whose device.
    pub device: Option<DeviceId>,
    /// Its name.
    pub device_name: Option<String>,
}

/// How a key differs between two times.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyDifference {
    /// The key.
    pub key: String,
    /// Its value at the first time, if it had one.
    pub before: Option<FaceValue>,
    /// Its value at the second, if it has one.
    pub after: Option<FaceValue>,
}

/// What is known of a key while changes are gone through.
#[derive(Default)]
struct Folded {
    value: Option<(Stamp, FaceValue)>,
    life: Option<(Stamp, bool)>,
}

impl Folded {
    fn take(&mut self, stamp: Stamp, op: &FaceOp) {
        match op {
            FaceOp::Put(value) => {
                if self.value.as_ref().is_none_or(|(at, _)| *at < stamp) {
                    self.value = Some((stamp, FaceValue::of_field(value)));
                }
            }
            FaceOp::Live(alive) => {
                if self.life.is_none_or(|(at, _)| at < stamp) {
                    self.life = Some((stamp, *alive));
                }
            }
        }
    }

    fn shown(&self) -> Option<FaceValue> {
        let alive = self.life.is_none_or(|(_, alive)| alive);
        let value = self.value.as_ref().filter(|_| alive);
        value.map(|(_, value)| value.clone())
    }
}

impl Replica {
    /// Puts values under keys, and deletes those without a value, as one transaction.
    pub fn kv_put(
        &mut self,
        space: &SpaceId,
        collection: &str,
        entries: &[(Key, Option<FaceValue>)],
        now_ms: u64,
    ) -> Result<Receipt, ReplicaError> {
        let mut edits = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let id = key.doc()?;
            let change = match value {
                Some(value) => Change::Put {
                    value: json!({ VALUE: value.to_field()? }),
                    replace: true,
                },
                None if self.get(space, collection, &id)?.is_none() => continue,
                None => Change::Delete,
            };
            edits.push(Edit {
                collection: collection.to_owned(),
                id: Some(id),
                change,
            });
        }
        self.transact(space, &edits, now_ms)
    }

    /// The value under a key.
    pub fn kv_get(
        &self,
        space: &SpaceId,
        collection: &str,
        key: &Key,
    ) -> Result<Option<FaceValue>, ReplicaError> {
        let found = self.get(space, collection, &key.doc()?)?;
        Ok(found
            .filter(|found| !found.deleted)
            .and_then(|found| value_of(&found.json)))
    }

    /// The keys of a range with their values, and whether there are more.
    pub fn kv_range(
        &self,
        space: &SpaceId,
        collection: &str,
        range: &Range,
    ) -> Result<(Vec<(String, FaceValue)>, bool), ReplicaError> {
        let limit = range.limit.unwrap_or(RANGE_MAX).min(RANGE_MAX);
        let mut found: Vec<(String, FaceValue)> = Vec::new();
        // The key that a scan starts behind is itself in the range more often than not.
        if let Some(start) = range.start()
            && range.holds(&start)
            && let Ok(key) = Key::new(&start)
            && let Some(value) = self.kv_get(space, collection, &key)?
        {
            found.push((start, value));
        }
        let mut after = match range.start() {
            // No key is as long: from the end on, what is above is skipped.
            Some(start) if range.reverse && encode(&start).len() > KEY_BYTES_MAX => None,
            Some(start) => Some(cursor(&start)?),
            None if range.reverse => None,
            None => Some(cursor("")?),
        };
        let direction = match range.reverse {
            true => Direction::Desc,
            false => Direction::Asc,
        };
        let sort = vec![SortKey::new(Vec::new(), direction)];
        loop {
            let page = Query {
                sort: sort.clone(),
                limit: Some((limit + 2 - found.len().min(limit)) as u64),
                after: after.take(),
                ..Query::all(CollectionNo(0))
            };
            let wanted = page.limit;
            let rows = self.query(space, collection, page)?;
            let is_last = (rows.len() as u64) < wanted.unwrap_or(0);
            for row in &rows {
                // Documents that are no keys of the map are not its business.
                let Some(key) = Key::of_doc(&row.id) else {
                    continue;
                };
                if range.is_beyond(key.as_str()) {
                    return Ok((found, false));
                }
                if !range.holds(key.as_str()) {
                    continue;
                }
                let Some(value) = value_of(&row.json) else {
                    continue;
                };
                if found.len() == limit {
                    return Ok((found, true));
                }
                found.push((key.0, value));
            }
            match rows.last() {
                Some(last) if !is_last => after = Some(last.cursor(&sort)?),
                _ => return Ok((found, false)),
            }
        }
    }

    /// The changes of a map or of one key, latest first, made before `before` if said, of at most `limit`
    /// transactions; and where to go on if there are more.
    pub fn kv_history(
        &self,
        space: &SpaceId,
        collection: &str,
        key: Option<&Key>,
        before: Option<Stamp>,
        limit: usize,
    ) -> Result<(Vec<KeyChange>, Option<Stamp>), ReplicaError> {
        let limit = limit.clamp(1, RANGE_MAX);
        let query = HistoryQuery {
            collection: Some(collection.to_owned()),
            id: key.map(Key::doc).transpose()?,
            limit: limit + 1,
            before,
        };
        let mut changes = Vec::new();
        let items = self.history(space, &query)?;
        let next = items.get(limit - 1).map(|last| Stamp {
            hlc: last.hlc,
            writer: last.writer,
        });
        let next = next.filter(|_| items.len() > limit);
        for item in items.iter().take(limit).filter(|item| item.counts) {
            let stamp = Stamp {
                hlc: item.hlc,
                writer: item.writer,
            };
            for document in &item.documents {
                let Some(key) = Key::of_doc(&document.id) else {
                    continue;
                };
                if !self.counts(space, &item.writer, item.seq, collection, &document.id)? {
                    continue;
                }
                let puts = document.face.iter().rev().find_map(|op| match op {
                    FaceOp::Put(value) => Some(Some(FaceValue::of_field(value))),
                    FaceOp::Live(false) => Some(None),
                    FaceOp::Live(true) => None,
                });
                if let Some(value) = puts {
                    changes.push(KeyChange {
                        key: key.0,
                        value,
                        stamp,
                        seq: item.seq,
                        device: item.device,
                        device_name: item.device_name.clone(),
                    });
                }
            }
        }
        Ok((changes, next))
    }

    /// How a map differs between two hybrid times, by key; a time stands for everything up to it.
    pub fn kv_diff(
        &self,
        space: &SpaceId,
        collection: &str,
        from: Hlc,
        to: Hlc,
    ) -> Result<Vec<KeyDifference>, ReplicaError> {
        let query = HistoryQuery {
            collection: Some(collection.to_owned()),
            id: None,
            limit: CHANGES_MAX + 1,
            before: None,
        };
        let items = self.history(space, &query)?;
        if items.len() > CHANGES_MAX {
            return Err(ReplicaError::Refused(format!(
                "the map has more than {CHANGES_MAX} changes: compare with `history` instead"
            )));
        }
        let mut states: BTreeMap<Key, (Folded, Folded)> = BTreeMap::new();
        for item in items.iter().filter(|item| item.counts) {
            let stamp = Stamp {
                hlc: item.hlc,
                writer: item.writer,
            };
            for document in &item.documents {
                let Some(key) = Key::of_doc(&document.id) else {
                    continue;
                };
                if !self.counts(space, &item.writer, item.seq, collection, &document.id)? {
                    continue;
                }
                let (before, after) = states.entry(key).or_default();
                for op in &document.face {
                    if stamp.hlc <= from {
                        before.take(stamp, op);
                    }
                    if stamp.hlc <= to {
                        after.take(stamp, op);
                    }
                }
            }
        }
        let differs = |(key, (before, after)): (Key, (Folded, Folded))| {
            let (before, after) = (before.shown(), after.shown());
            (before != after).then_some(KeyDifference {
                key: key.0,
                before,
                after,
            })
        };
        Ok(states.into_iter().filter_map(differs).collect())
    }

    /// Whether an entry's author may have written a document there.
    fn counts(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        seq: u64,
        collection: &str,
        id: &DocId,
    ) -> Result<bool, ReplicaError> {
        let path = Path::of([collection, &*id.to_string(), VALUE]);
        let roster = &self.space(space)?.roster;
        Ok(path.is_ok_and(|path| roster.verdict(writer, seq, &path, Action::Write)))
    }
}

/// The key of a document of a map, from its id; for whoever watches the collection.
pub fn key_of_document(id: &str) -> Option<String> {
    decode(id.strip_prefix(MARK)?)
}

fn cursor(text: &str) -> Result<Cursor, ReplicaError> {
    // A bound may be longer than any key; cut, it stays on the same side of all keys before it.
    let mut id = format!("{MARK}{}", encode(text));
    while id.len() > KEY_BYTES_MAX + 1 {
        id.pop();
    }
    let marked = serde_json::Value::Array(vec![id.into()]).to_string();
    marked
        .parse()
        .map_err(|_| ReplicaError::Refused(format!("{text:?} cannot bound a range")))
}

fn value_of(json: &str) -> Option<FaceValue> {
    let doc: serde_json::Value = serde_json::from_str(json).ok()?;
    doc.get(VALUE).map(FaceValue::of_field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_come_back_and_keep_their_order(a in "[ -0~./a-c\u{e4}\u{ffff}]{1,12}", b in "[ -0~./a-c\u{e4}\u{ffff}]{1,12}") {
            let (Ok(a), Ok(b)) = (Key::new(&a), Key::new(&b)) else { return Ok(()) };
            let (x, y) = (a.doc().unwrap(), b.doc().unwrap());
            prop_assert_eq!(Key::of_doc(&x), Some(a.clone()));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        assert!(Key::new(&"a".repeat(63)).is_ok());
        for bad in ["", "a\n", &"a".repeat(64), &"/".repeat(32)] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
    }
}
