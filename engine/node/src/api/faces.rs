//! Calls about ordered maps and append-only feeds.
//!
//! Owns the conversion between the wire and the replica; what is kept, and what counts, is the replica's.

use stead_api::{
    ApiError, DeviceInfo, EDITS_MAX, ErrorKind, FaceValue, FeedAppend, FeedAppended, FeedCheck,
    FeedGet, FeedItem, FeedPage, FeedPart, FeedParts, FeedRead, FeedShown, FeedVerify, KvChange,
    KvChanges, KvDiff, KvDifference, KvDifferences, KvEntry, KvGet, KvHistory, KvPage, KvPut,
    KvRange, KvWritten, PAGE_DEFAULT, PAGE_MAX,
};
use stead_base::{Hlc, SpaceId, WriterId};
use stead_replica::{self as replica, Key, Replica, ReplicaError};

use super::log::{mark, read_mark};
use super::{Node, convert};
use crate::clock::wall_ms;
use crate::faults;

impl Node {
    pub(super) async fn kv_put(&self, put: KvPut) -> Result<KvWritten, ApiError> {
        let space = self.find_space(&put.space)?;
        self.check_edit(&space, &put.collection)?;
        if put.entries.len() > EDITS_MAX {
            return Err(ApiError::new(
                ErrorKind::TooLarge,
                format!("One call takes at most {EDITS_MAX} keys."),
            ));
        }
        let mut entries = Vec::with_capacity(put.entries.len());
        for entry in put.entries {
            let value = entry.value.map(read_value).transpose()?;
            entries.push((key(&entry.key)?, value));
        }
        self.alter(move |desk| {
            let replica = &mut desk.replica;
            let receipt = replica.kv_put(&space, &put.collection, &entries, wall_ms())?;
            Ok(KvWritten {
                time: convert::time(receipt.hlc),
                changed: receipt.entry.is_some(),
            })
        })
        .await
    }

    pub(super) async fn kv_get(&self, get: KvGet) -> Result<KvPage, ApiError> {
        let (space, wanted) = (self.find_space(&get.space)?, key(&get.key)?);
        let found = self
            .store
            .look(move |desk| desk.replica.kv_get(&space, &get.collection, &wanted));
        let found = found.await?.map_err(|error| faults::replica(&error))?;
        let entry = |value| KvEntry {
            key: get.key,
            value: Some(show_value(value)),
        };
        Ok(KvPage {
            entries: found.map(entry).into_iter().collect(),
            next: None,
        })
    }

    pub(super) async fn kv_range(&self, ask: KvRange) -> Result<KvPage, ApiError> {
        let space = self.find_space(&ask.space)?;
        let mut range = replica::Range {
            from_open: ask.gt.is_some() && ask.gt >= ask.gte,
            from: ask.gt.max(ask.gte),
            to_open: false,
            to: None,
            prefix: ask.prefix,
            reverse: ask.reverse,
            limit: Some(ask.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX) as usize),
        };
        (range.to, range.to_open) = match (ask.lt, ask.lte) {
            (Some(lt), Some(lte)) if lte < lt => (Some(lte), false),
            (Some(lt), _) => (Some(lt), true),
            (None, lte) => (lte, false),
        };
        if let Some(after) = ask.after {
            match range.reverse {
                true => (range.to, range.to_open) = (Some(after), true),
                false => (range.from, range.from_open) = (Some(after), true),
            }
        }
        let found = self
            .store
            .look(move |desk| desk.replica.kv_range(&space, &ask.collection, &range));
        let (found, more) = found.await?.map_err(|error| faults::replica(&error))?;
        let next = found.last().filter(|_| more).map(|(key, _)| key.clone());
        let entries = found.into_iter().map(|(key, value)| KvEntry {
            key,
            value: Some(show_value(value)),
        });
        Ok(KvPage {
            entries: entries.collect(),
            next,
        })
    }

    pub(super) async fn kv_history(&self, ask: KvHistory) -> Result<KvChanges, ApiError> {
        let space = self.find_space(&ask.space)?;
        let wanted = ask.key.as_deref().map(key).transpose()?;
        let before = ask.before.as_deref().map(read_mark).transpose()?;
        let limit = ask.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX) as usize;
        let own = self.device.id;
        let found = self.store.look(move |desk| {
            let replica = &desk.replica;
            replica.kv_history(&space, &ask.collection, wanted.as_ref(), before, limit)
        });
        let (found, next) = found.await?.map_err(|error| faults::replica(&error))?;
        let changes = found.into_iter().map(|change| KvChange {
            key: change.key,
            value: change.value.map(show_value),
            time: convert::time(change.stamp.hlc),
            device: DeviceInfo {
                id: change.device.map(|id| id.to_string()).unwrap_or_default(),
                name: change.device_name.unwrap_or_default(),
                this: change.device == Some(own),
                ..DeviceInfo::default()
            },
            writer: change.stamp.writer.to_string(),
            index: change.seq,
        });
        Ok(KvChanges {
            changes: changes.collect(),
            next: next.map(|stamp| mark(stamp.hlc, &stamp.writer)),
        })
    }

    pub(super) async fn kv_diff(&self, ask: KvDiff) -> Result<KvDifferences, ApiError> {
        let space = self.find_space(&ask.space)?;
        let time = |ms, counter: Option<u16>| Hlc::new(ms, counter.unwrap_or(u16::MAX));
        let from = time(ask.from_ms, ask.from_counter);
        let to = match ask.to_ms {
            Some(ms) => time(ms, ask.to_counter),
            None => Hlc::from_u64(u64::MAX),
        };
        let found = self
            .store
            .look(move |desk| desk.replica.kv_diff(&space, &ask.collection, from, to));
        let found = found.await?.map_err(|error| faults::replica(&error))?;
        let differences = found.into_iter().map(|it| KvDifference {
            key: it.key,
            before: it.before.map(show_value),
            after: it.after.map(show_value),
        });
        Ok(KvDifferences {
            differences: differences.collect(),
        })
    }

    pub(super) async fn feed_append(&self, append: FeedAppend) -> Result<FeedAppended, ApiError> {
        let space = self.find_space(&append.space)?;
        self.check_edit(&space, &append.feed)?;
        let values = append.values.into_iter().map(read_value);
        let values = values.collect::<Result<Vec<_>, _>>()?;
        self.alter(move |desk| {
            let replica = &mut desk.replica;
            let (writer, first, length) =
                replica.feed_append(&space, &append.feed, &values, wall_ms())?;
            Ok(FeedAppended {
                writer: writer.to_string(),
                first,
                length,
            })
        })
        .await
    }

    pub(super) async fn feed_get(&self, ask: FeedGet) -> Result<FeedItem, ApiError> {
        let space = self.find_space(&ask.space)?;
        let own = self.device.id;
        let found = self.store.look(move |desk| {
            let replica = &desk.replica;
            let parts = replica.feed_parts(&space, &ask.feed)?;
            let part = match &ask.of {
                Some(of) => Some(find_part(&parts, of)?),
                None => parts.iter().find(|part| part.device == Some(own)),
            };
            let Some(part) = part else { return Ok(None) };
            let item = replica.feed_get(&space, &ask.feed, &part.writer, ask.index)?;
            Ok::<_, ReplicaError>(item.map(|item| show_item(&parts, item)))
        });
        let found = found.await?.map_err(|error| faults::replica(&error))?;
        found.ok_or_else(|| {
            ApiError::new(
                ErrorKind::NotFound,
                format!("There is no value {} in that part of the feed.", ask.index),
            )
            .hint("`stead feed list` shows how many there are, and whose.")
        })
    }

    pub(super) async fn feed_read(&self, ask: FeedRead) -> Result<FeedPage, ApiError> {
        let space = self.find_space(&ask.space)?;
        let limit = ask.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX) as usize;
        let found = self.store.look(move |desk| {
            let replica = &desk.replica;
            let parts = replica.feed_parts(&space, &ask.feed)?;
            let wanted: Vec<&replica::FeedPart> = match &ask.of {
                Some(of) => vec![find_part(&parts, of)?],
                None => parts.iter().collect(),
            };
            let mut items = Vec::new();
            for part in wanted {
                let last = part.len.saturating_sub(limit as u64);
                let from = ask.from.unwrap_or(last);
                items.extend(replica.feed_read(&space, &ask.feed, &part.writer, from, limit)?);
            }
            if ask.of.is_none() {
                items.sort_by_key(|item| (item.time_ms, item.writer, item.index));
                let surplus = items.len().saturating_sub(limit);
                match ask.from {
                    Some(_) => items.truncate(limit),
                    None => drop(items.drain(..surplus)),
                }
            }
            let shown = items.into_iter().map(|item| show_item(&parts, item));
            Ok::<_, ReplicaError>(shown.collect())
        });
        let items = found.await?.map_err(|error| faults::replica(&error))?;
        Ok(FeedPage { items })
    }

    pub(super) async fn feed_parts(&self, ask: FeedParts) -> Result<FeedShown, ApiError> {
        self.show_feed(&ask.space, ask.feed, None, false).await
    }

    pub(super) async fn feed_verify(&self, ask: FeedVerify) -> Result<FeedShown, ApiError> {
        self.show_feed(&ask.space, ask.feed, ask.of, true).await
    }

    async fn show_feed(
        &self,
        space: &str,
        feed: String,
        of: Option<String>,
        check: bool,
    ) -> Result<FeedShown, ApiError> {
        let space = self.find_space(space)?;
        let own = self.device.id;
        let shown = self.store.look(move |desk| {
            let replica = &desk.replica;
            let mut parts = replica.feed_parts(&space, &feed)?;
            if let Some(of) = &of {
                parts = vec![find_part(&parts, of)?.clone()];
            }
            let shown = parts.into_iter().map(|part| {
                let check = match check {
                    true => Some(checked(replica, &space, &feed, &part.writer)?),
                    false => None,
                };
                Ok(FeedPart {
                    writer: part.writer.to_string(),
                    device: DeviceInfo {
                        id: part.device.map(|id| id.to_string()).unwrap_or_default(),
                        name: part.device_name.unwrap_or_default(),
                        this: part.device == Some(own),
                        ..DeviceInfo::default()
                    },
                    length: part.len,
                    check,
                })
            });
            shown.collect::<Result<Vec<_>, ReplicaError>>()
        });
        let parts = shown.await?.map_err(|error| faults::replica(&error))?;
        Ok(FeedShown { parts })
    }
}

fn checked(
    replica: &Replica,
    space: &SpaceId,
    feed: &str,
    writer: &WriterId,
) -> Result<FeedCheck, ReplicaError> {
    let check = replica.feed_check(space, feed, writer)?;
    Ok(FeedCheck {
        proven: check.proven,
        missing: check.missing,
        wrong: check.wrong,
    })
}

/// The part of a feed that somebody means.
fn find_part<'a>(
    parts: &'a [replica::FeedPart],
    wanted: &str,
) -> Result<&'a replica::FeedPart, ReplicaError> {
    let starts = |id: String| wanted.len() >= 4 && id.starts_with(wanted);
    let mut found = parts.iter().filter(|part| {
        part.device_name.as_deref() == Some(wanted)
            || starts(part.writer.to_string())
            || part.device.is_some_and(|device| starts(device.to_string()))
    });
    match (found.next(), found.next()) {
        (Some(part), None) => Ok(part),
        (None, _) => Err(ReplicaError::Refused(format!(
            "nobody called {wanted:?} has appended to this feed; `stead feed list` shows who has"
        ))),
        _ => Err(ReplicaError::Refused(format!(
            "several logs fit {wanted:?}: name one by the start of its id"
        ))),
    }
}

fn show_item(parts: &[replica::FeedPart], item: replica::FeedItem) -> FeedItem {
    let part = parts.iter().find(|part| part.writer == item.writer);
    let device = part.and_then(|part| part.device_name.clone());
    FeedItem {
        writer: item.writer.to_string(),
        device: device.unwrap_or_default(),
        index: item.index,
        value: show_value(item.value),
        time_ms: item.time_ms,
        entry: item.entry,
        proven: item.proven,
        head: item.proof.map(|proof| proof.head.len),
    }
}

fn key(text: &str) -> Result<Key, ApiError> {
    Key::new(text).map_err(|error| faults::sentence(ErrorKind::BadName, &error))
}

fn read_value(value: FaceValue) -> Result<replica::FaceValue, ApiError> {
    match (value.json, value.bytes) {
        (Some(json), None) => Ok(replica::FaceValue::Json(json)),
        (None, Some(digits)) => {
            let bytes = unhex(&digits).ok_or_else(|| {
                ApiError::new(
                    ErrorKind::InvalidParams,
                    "Bytes are written in hexadecimal.",
                )
            })?;
            Ok(replica::FaceValue::Bytes(bytes))
        }
        _ => Err(ApiError::new(
            ErrorKind::InvalidParams,
            "A value is either JSON or bytes.",
        )),
    }
}

fn show_value(value: replica::FaceValue) -> FaceValue {
    match value {
        replica::FaceValue::Json(json) => FaceValue {
            json: Some(json),
            bytes: None,
        },
        replica::FaceValue::Bytes(bytes) => FaceValue {
            json: None,
            bytes: Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        },
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16);
    let pairs = text.as_bytes().chunks_exact(2);
    text.len().is_multiple_of(2).then_some(())?;
    pairs
        .map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}
