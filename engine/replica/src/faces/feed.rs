//! Append-only feeds over a collection: each writer's values in a row, every one of them provable from the
//! log that its writer signed.
//!
//! Owns numbering and checking. A value is one document; its text tells where in whose log it was appended,
//! and the log is what is believed: what was changed afterwards shows as changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_base::{DeviceId, DocId, SpaceId, WriterId};
use stead_store::{CollectionNo, Cursor, Direction, Query, SortKey};

use super::{FaceValue, VALUE};
use crate::history::FaceOp;
use crate::identity::Names;
use crate::opening::{Outcome, open_run};
use crate::{Change, Edit, LogProof, Replica, ReplicaError};

/// Most values appended at once.
pub const FEED_APPEND_MAX: usize = 1_000;
/// Most values in one answer.
pub const FEED_READ_MAX: usize = 10_000;
/// Hexadecimal digits of the writer in a document's id.
const WRITER_DIGITS: usize = 32;
/// Decimal digits of the place in a document's id.
const PLACE_DIGITS: usize = 12;

/// The values that one log appended to a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPart {
    /// Whose log.
    pub writer: WriterId,
    /// The device, when known.
    pub device: Option<DeviceId>,
    /// Its name.
    pub device_name: Option<String>,
    /// How many values: they are numbered from 0.
    pub len: u64,
}

/// One value of a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedItem {
    /// Whose log.
    pub writer: WriterId,
    /// Its number among that log's values in the feed.
    pub index: u64,
    /// What was appended.
    pub value: FaceValue,
    /// When, by its writer's clock, Unix time in ms.
    pub time_ms: u64,
    /// The entry of the log that holds it.
    pub entry: u64,
    /// Whether the entry says the same, and stands in the log that its writer signed. None if it was not
    /// looked at.
    pub proven: Option<bool>,
    /// The proof, when asked for.
    pub proof: Option<LogProof>,
}

/// Whether, and how, a part of a feed holds together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedCheck {
    /// Values that stand in their log as they are shown.
    pub proven: u64,
    /// Numbers whose value was deleted or is not here.
    pub missing: Vec<u64>,
    /// Numbers whose value is not what was appended, or cannot be proven.
    pub wrong: Vec<u64>,
}

impl Replica {
    /// Appends values as one transaction. Returns the number of the first, and how many there are then.
    pub fn feed_append(
        &mut self,
        space: &SpaceId,
        feed: &str,
        values: &[FaceValue],
        now_ms: u64,
    ) -> Result<(WriterId, u64, u64), ReplicaError> {
        if values.is_empty() || values.len() > FEED_APPEND_MAX {
            return Err(ReplicaError::Refused(format!(
                "1 to {FEED_APPEND_MAX} values are appended at once, not {}",
                values.len()
            )));
        }
        // The log exists before it is counted.
        let writer = self.write(now_ms, |writing| writing.own_writer(space))?;
        let first = self.feed_len(space, feed, &writer)?;
        self.write(now_ms, |writing| {
            let entry = writing.writer_len(space, &writer)?;
            let mut edits = Vec::with_capacity(values.len());
            for (index, value) in (first..).zip(values) {
                edits.push(Edit {
                    collection: feed.to_owned(),
                    id: Some(doc_of(&writer, index)?),
                    change: Change::Put {
                        value: json!({ VALUE: value.to_field()?, "n": index, "at": entry, "ms": now_ms }),
                        replace: true,
                    },
                });
            }
            let receipt = writing.transact(space, &edits)?;
            match receipt.entry {
                Some(at) if at == (writer, entry) => Ok((writer, first, first + values.len() as u64)),
                _ => Err(ReplicaError::Refused(
                    "the log went on in between: append again".to_owned(),
                )),
            }
        })
    }

    /// Whose values a feed has, and how many of each.
    pub fn feed_parts(&self, space: &SpaceId, feed: &str) -> Result<Vec<FeedPart>, ReplicaError> {
        let state = self.space(space)?;
        let mut parts = Vec::new();
        for writer in state.writers.keys() {
            let len = self.feed_len(space, feed, writer)?;
            if len > 0 {
                let device = state.roster.device_of(writer);
                parts.push(FeedPart {
                    writer: *writer,
                    device,
                    device_name: device.and_then(|device| state.roster.name_of(&device)),
                    len,
                });
            }
        }
        Ok(parts)
    }

    /// How many values a log has appended: one more than its last number.
    pub fn feed_len(
        &self,
        space: &SpaceId,
        feed: &str,
        writer: &WriterId,
    ) -> Result<u64, ReplicaError> {
        let last = Query {
            sort: vec![SortKey::new(Vec::new(), Direction::Desc)],
            limit: Some(1),
            after: Some(cursor(&format!("{}~", prefix(writer)))?),
            // A number is never used twice, also when its value was deleted.
            include_deleted: true,
            ..Query::all(CollectionNo(0))
        };
        let found = self.query(space, feed, last)?;
        let place = found.first().and_then(|row| place_of(&row.id.to_string()));
        Ok(place
            .filter(|(digits, _)| *digits == digits_of(writer))
            .map_or(0, |(_, index)| index + 1))
    }

    /// One value, checked against the log. None if there is none of that number.
    pub fn feed_get(
        &self,
        space: &SpaceId,
        feed: &str,
        writer: &WriterId,
        index: u64,
    ) -> Result<Option<FeedItem>, ReplicaError> {
        let found = self.get(space, feed, &doc_of(writer, index)?)?;
        let Some(found) = found.filter(|found| !found.deleted) else {
            return Ok(None);
        };
        let Some(mut item) = item_of(*writer, index, &found.json) else {
            return Ok(None);
        };
        let proof = self.prove(space, writer, item.entry)?;
        let stands = proof.as_ref().is_some_and(|proof| {
            proof.holds(space, writer, item.entry)
                && self.says(space, writer, item.entry, proof, feed, index)
                    == Some(item.value.clone())
        });
        item.proven = Some(stands);
        item.proof = proof;
        Ok(Some(item))
    }

    /// Values of one log, from a number on. They are not checked against it.
    pub fn feed_read(
        &self,
        space: &SpaceId,
        feed: &str,
        writer: &WriterId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<FeedItem>, ReplicaError> {
        let start = match from.checked_sub(1) {
            Some(before) => doc_of(writer, before)?.to_string(),
            None => prefix(writer),
        };
        let query = Query {
            limit: Some(limit.min(FEED_READ_MAX) as u64),
            after: Some(cursor(&start)?),
            ..Query::all(CollectionNo(0))
        };
        let own = digits_of(writer);
        let mut items = Vec::new();
        for row in self.query(space, feed, query)? {
            match place_of(&row.id.to_string()) {
                Some((digits, index)) if digits == own => {
                    items.extend(item_of(*writer, index, &row.json));
                }
                _ => break,
            }
        }
        Ok(items)
    }

    /// Checks every value of one log in a feed against the log.
    pub fn feed_check(
        &self,
        space: &SpaceId,
        feed: &str,
        writer: &WriterId,
    ) -> Result<FeedCheck, ReplicaError> {
        let mut check = FeedCheck::default();
        let len = self.feed_len(space, feed, writer)?;
        // Several values share an entry: each is proven and opened once.
        let mut entries: BTreeMap<u64, Option<BTreeMap<u64, FaceValue>>> = BTreeMap::new();
        let mut next = 0;
        while next < len {
            let items = self.feed_read(space, feed, writer, next, FEED_READ_MAX)?;
            let Some(last) = items.last().map(|item| item.index) else {
                break;
            };
            for item in items {
                check.missing.extend(next..item.index);
                next = item.index + 1;
                if !entries.contains_key(&item.entry) {
                    entries.clear();
                    let proof = self.prove(space, writer, item.entry)?;
                    let proof = proof.filter(|proof| proof.holds(space, writer, item.entry));
                    let said =
                        proof.map(|proof| self.values_of(space, writer, item.entry, &proof, feed));
                    entries.insert(item.entry, said);
                }
                let said = entries.get(&item.entry).and_then(Option::as_ref);
                match said.and_then(|said| said.get(&item.index)) == Some(&item.value) {
                    true => check.proven += 1,
                    false => check.wrong.push(item.index),
                }
            }
            next = next.max(last + 1);
        }
        check.missing.extend(next..len);
        Ok(check)
    }

    fn says(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        entry: u64,
        proof: &LogProof,
        feed: &str,
        index: u64,
    ) -> Option<FaceValue> {
        self.values_of(space, writer, entry, proof, feed)
            .remove(&index)
    }

    /// What an entry appended to a feed, by number, from the entry itself.
    fn values_of(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        entry: u64,
        proof: &LogProof,
        feed: &str,
    ) -> BTreeMap<u64, FaceValue> {
        let Ok(state) = self.space(space) else {
            return BTreeMap::new();
        };
        let first = (entry == 0).then_some(proof.leaf);
        let bytes = std::iter::once(proof.entry.as_slice());
        let opened = open_run(&state.ring, &state.id, writer, entry, first, bytes);
        let own = digits_of(writer);
        let Some(found) = opened
            .entries
            .first()
            .filter(|it| it.outcome == Outcome::Open)
        else {
            return BTreeMap::new();
        };
        let mut values = BTreeMap::new();
        for document in crate::history::documents_of(found, &opened, writer) {
            let place = place_of(&document.id.to_string());
            if let Some((digits, index)) = place
                && document.collection == feed
                && digits == own
            {
                let put = document.face.into_iter().find_map(|op| match op {
                    FaceOp::Put(value) => Some(FaceValue::of_field(&value)),
                    FaceOp::Live(_) => None,
                });
                values.extend(put.map(|value| (index, value)));
            }
        }
        values
    }
}

/// Whose log and which number a document of a feed is, from its id: the start of the writer, and the
/// number. For whoever watches the collection.
pub fn part_of_document(id: &str) -> Option<(String, u64)> {
    place_of(id)
}

fn digits_of(writer: &WriterId) -> String {
    let mut digits = writer.to_string();
    digits.truncate(WRITER_DIGITS);
    digits
}

fn prefix(writer: &WriterId) -> String {
    format!("{}-", digits_of(writer))
}

fn doc_of(writer: &WriterId, index: u64) -> Result<DocId, ReplicaError> {
    crate::groups::doc_id(&format!("{}{index:0PLACE_DIGITS$}", prefix(writer)))
}

fn place_of(id: &str) -> Option<(String, u64)> {
    let (digits, index) = id.split_once('-')?;
    let is_place = digits.len() == WRITER_DIGITS
        && index.len() == PLACE_DIGITS
        && index.bytes().all(|byte| byte.is_ascii_digit());
    is_place.then(|| Some((digits.to_owned(), index.parse().ok()?)))?
}

fn item_of(writer: WriterId, index: u64, json: &str) -> Option<FeedItem> {
    let doc: Value = serde_json::from_str(json).ok()?;
    Some(FeedItem {
        writer,
        index,
        value: FaceValue::of_field(doc.get(VALUE)?),
        time_ms: doc["ms"].as_u64().unwrap_or(0),
        entry: doc["at"].as_u64()?,
        proven: None,
        proof: None,
    })
}

fn cursor(id: &str) -> Result<Cursor, ReplicaError> {
    let text = Value::Array(vec![id.into()]).to_string();
    text.parse()
        .map_err(|_| ReplicaError::Refused(format!("{id:?} is no place in a feed")))
}
