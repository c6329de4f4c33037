//! What a live query sees, kept in step by the changed documents alone. Nothing here reads the
//! store: it says when it must.
//!
//! Without a limit only a fingerprint of each document that fits is kept. A window keeps the first
//! documents of the order and some more behind them, so that one that leaves is mostly replaced
//! from here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use stead_api::{Change, ChangeKind};
use stead_base::DocId;
use stead_store::{Cursor, Filter, NoLookup, SortKey, fits};

/// What is known of a document without its content: enough to see that it changed.
type Fingerprint = [u8; 16];

/// What a watch asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) filter: Vec<Filter>,
    pub(super) sort: Vec<SortKey>,
    /// The window's size.
    pub(super) limit: Option<usize>,
}

/// What a watch sees.
#[derive(Debug)]
pub(super) struct Window {
    asked: Asked,
    seen: Seen,
}

#[derive(Debug)]
enum Seen {
    All(BTreeMap<DocId, Fingerprint>),
    First(First),
}

/// The first documents of an order.
#[derive(Debug, Default)]
struct First {
    rows: Vec<Row>,
    places: BTreeMap<DocId, Cursor>,
    /// All documents up to this place are in `rows`; none if all there are.
    bound: Option<Cursor>,
}

#[derive(Debug, Clone)]
struct Row {
    place: Cursor,
    value: Arc<Value>,
}

/// A document as it is now: none if it is deleted or never was.
pub(super) type Now = (DocId, Option<Arc<Value>>);

impl Window {
    pub(super) fn new(asked: Asked) -> Self {
        let seen = match asked.limit {
            None => Seen::All(BTreeMap::new()),
            Some(_) => Seen::First(First::default()),
        };
        Self { asked, seen }
    }

    /// How many documents to read to fill a window: twice what is seen, and some.
    pub(super) fn reads(&self) -> Option<usize> {
        self.asked.limit.map(|limit| limit * 2 + 64)
    }

    /// How many documents fit and are followed.
    pub(super) fn len(&self) -> usize {
        match &self.seen {
            Seen::All(known) => known.len(),
            Seen::First(first) => first.rows.len(),
        }
    }

    /// The ids of all that fit; nothing for a window.
    pub(super) fn ids(&self) -> BTreeSet<DocId> {
        match &self.seen {
            Seen::All(known) => known.keys().cloned().collect(),
            Seen::First(_) => BTreeSet::new(),
        }
    }

    /// Takes documents as they are now and returns how the view differs. False: the window ran
    /// short; read it again and call [`refill`](Self::refill) for the difference, which is not lost.
    pub(super) fn take(&mut self, docs: Vec<Now>) -> Result<Vec<Change>, Before> {
        let asked = &self.asked;
        let fit =
            |id: &DocId, value: &Value| fits(&asked.filter, &id.to_string(), value, &NoLookup);
        match &mut self.seen {
            Seen::All(known) => Ok(docs
                .into_iter()
                .filter_map(|(id, value)| {
                    let value = value.filter(|value| fit(&id, value));
                    compare(known, id, value)
                })
                .collect()),
            Seen::First(first) => {
                let before = first.before(asked);
                for (id, value) in docs {
                    let value = value.filter(|value| fit(&id, value));
                    first.put(asked, id, value);
                }
                match first.is_short(asked) {
                    true => Err(before),
                    false => Ok(first.differences(&before, asked)),
                }
            }
        }
    }

    /// The window as it is, to tell differences from.
    pub(super) fn before(&self) -> Before {
        match &self.seen {
            Seen::All(_) => Before::default(),
            Seen::First(first) => first.before(&self.asked),
        }
    }

    /// Replaces a window by what a query found now, up to [`reads`](Self::reads) documents, and by
    /// what changed meanwhile. None: it ran short again.
    pub(super) fn refill(
        &mut self,
        found: Vec<(DocId, Arc<Value>)>,
        since: Vec<Now>,
        before: &Before,
    ) -> Option<Vec<Change>> {
        let reads = self.reads().unwrap_or(usize::MAX);
        let Seen::First(first) = &mut self.seen else {
            return Some(Vec::new());
        };
        let full = found.len() >= reads;
        first.rows = found
            .into_iter()
            .map(|(id, value)| Row {
                place: Cursor::of(&self.asked.sort, &id, &value),
                value,
            })
            .collect();
        first.places = (first.rows.iter())
            .map(|row| (row.place.id().clone(), row.place.clone()))
            .collect();
        first.bound = first
            .rows
            .last()
            .filter(|_| full)
            .map(|row| row.place.clone());
        for (id, value) in since {
            let fit =
                |value: &Arc<Value>| fits(&self.asked.filter, &id.to_string(), value, &NoLookup);
            let value = value.filter(fit);
            first.put(&self.asked, id, value);
        }
        match first.is_short(&self.asked) {
            true => None,
            false => Some(first.differences(before, &self.asked)),
        }
    }
}

/// What a window showed.
#[derive(Debug, Clone, Default)]
pub(super) struct Before(Vec<Row>);

impl First {
    fn before(&self, asked: &Asked) -> Before {
        Before(self.rows.iter().take(limit(asked)).cloned().collect())
    }

    /// Fewer documents than the window shows, though there are more.
    fn is_short(&self, asked: &Asked) -> bool {
        self.bound.is_some() && self.rows.len() < limit(asked)
    }

    fn place_of(&self, asked: &Asked, place: &Cursor) -> Result<usize, usize> {
        self.rows
            .binary_search_by(|row| row.place.order(place, &asked.sort))
    }

    fn put(&mut self, asked: &Asked, id: DocId, value: Option<Arc<Value>>) {
        if let Some(old) = self.places.remove(&id)
            && let Ok(at) = self.place_of(asked, &old)
        {
            self.rows.remove(at);
        }
        let Some(value) = value else { return };
        let place = Cursor::of(&asked.sort, &id, &value);
        let beyond = |bound: &Cursor| place.order(bound, &asked.sort).is_gt();
        if self.bound.as_ref().is_some_and(beyond) {
            return;
        }
        if let Err(at) = self.place_of(asked, &place) {
            self.places.insert(id, place.clone());
            self.rows.insert(at, Row { place, value });
        }
        // What grows far beyond the window is let go.
        let most = limit(asked) * 4 + 256;
        if self.rows.len() > most {
            for row in self.rows.drain(limit(asked) * 2 + 64..) {
                self.places.remove(row.place.id());
            }
            self.bound = self.rows.last().map(|row| row.place.clone());
        }
    }

    fn differences(&self, before: &Before, asked: &Asked) -> Vec<Change> {
        let old: BTreeMap<&DocId, &Row> =
            before.0.iter().map(|row| (row.place.id(), row)).collect();
        let now = || self.rows.iter().take(limit(asked));
        let stays: BTreeSet<&DocId> = now().map(|row| row.place.id()).collect();
        let removed = before
            .0
            .iter()
            .filter(|row| !stays.contains(row.place.id()));
        let mut changes: Vec<Change> = removed
            .map(|row| Change {
                kind: ChangeKind::Removed,
                id: row.place.id().to_string(),
                value: None,
                at: None,
            })
            .collect();
        for (at, row) in now().enumerate() {
            let kind = match old.get(row.place.id()) {
                None => ChangeKind::Added,
                Some(old) if Arc::ptr_eq(&old.value, &row.value) || old.value == row.value => {
                    continue;
                }
                Some(_) => ChangeKind::Changed,
            };
            changes.push(Change {
                kind,
                id: row.place.id().to_string(),
                value: Some((*row.value).clone()),
                at: u32::try_from(at).ok(),
            });
        }
        changes
    }
}

fn limit(asked: &Asked) -> usize {
    asked.limit.unwrap_or(usize::MAX)
}

/// How a document differs from what is known of it.
fn compare(
    known: &mut BTreeMap<DocId, Fingerprint>,
    id: DocId,
    value: Option<Arc<Value>>,
) -> Option<Change> {
    let text = id.to_string();
    let Some(value) = value else {
        known.remove(&id)?;
        return Some(Change {
            kind: ChangeKind::Removed,
            id: text,
            value: None,
            at: None,
        });
    };
    let fingerprint = fingerprint(&value);
    let kind = match known.insert(id, fingerprint) {
        None => ChangeKind::Added,
        Some(before) if before == fingerprint => return None,
        Some(_) => ChangeKind::Changed,
    };
    Some(Change {
        kind,
        id: text,
        value: Some((*value).clone()),
        at: None,
    })
}

fn fingerprint(value: &Value) -> Fingerprint {
    let hash = stead_crypt::hash::digest(value.to_string().as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&hash.as_bytes()[..16]);
    short
}

#[cfg(test)]
mod tests;
