//! The rich fields of documents: which are open, what they were told, and when documents show it.
//!
//! Owns the way of an update: made or received, checked, kept as a row, taken up by an open field, and in
//! time folded into the field's snapshot and the document's projection. A keystroke costs its own size:
//! the projection of a large text is written anew only when somebody is about to read it
//! ([`Replica::fold`]). What the content means is the engine's (`adapters/rich`).

mod carry;
mod news;
mod record;
mod showing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use stead_base::{DocId, SpaceId, Stamp, WriterId};
use stead_doc::{
    DocOps, Document, NodeName, OpRef, Path, PathRef, RichContent, RichEdit, RichEngine, RichError,
    RichField, RichKind, RichPlace, RichSpan, RichUpdates, RichValues, SEED_AUTHOR, author_number,
};
use stead_rich::LoroEngine;
use stead_store::{CollectionNo, Read, ReadRich, RichNo, Tx};

use crate::writing::Writing;
use crate::{Replica, ReplicaError};
pub(crate) use carry::carried;
pub use news::{RichAsk, RichNews, RichPlaces, RichShown, RichVersion};
pub(crate) use record::RichRecord;
use record::{Frozen, decode_update, encode_update};

/// The updates of rich fields among operations, each with its field.
pub(crate) fn updates_of(ops: DocOps<'_>) -> impl Iterator<Item = (RichPlace, RichUpdates<'_>)> {
    ops.ops().filter_map(|(path, op)| {
        let OpRef::Rich {
            kind,
            base,
            updates,
        } = op
        else {
            return None;
        };
        let path = path.to_path()?;
        Some((RichPlace { path, kind, base }, updates))
    })
}

/// Most fields open at a time.
const OPEN_MAX: usize = 64;
/// Open fields take at most about this much memory, in bytes; one larger field may exceed it.
const OPEN_BYTES_MAX: usize = 64 << 20;
/// A field is written anew, as one snapshot, when the updates since take this much, in bytes, and as
/// much as the snapshot.
const FOLD_BYTES_MIN: usize = 64 << 10;
/// A field is written anew after this many updates.
const FOLD_UPDATES_MAX: u32 = 1 << 14;
/// A projection with larger rich fields, in bytes, may lag behind until it is read.
const LAG_BYTES_MIN: usize = 1 << 10;
/// Most documents whose projection lags behind.
const LAGGING_MAX: usize = 64;

/// When projections show what was written to rich fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Folding {
    /// With every write.
    #[default]
    AtOnce,
    /// Those of large fields when [`Replica::fold`] is called, which is before every read.
    WhenRead,
}

/// Which field of which document.
type Key = (CollectionNo, DocId, Vec<u8>);

/// An open field.
struct Open {
    content: Box<dyn RichContent>,
    record: RichRecord,
    author: u64,
    /// Its row, once it has one.
    no: Option<RichNo>,
    /// The position of the next update.
    next: u32,
    /// Updates that no row holds yet.
    unsaved: Vec<Vec<u8>>,
    /// Bytes of the snapshot, and of the updates since.
    snapshot_bytes: usize,
    update_bytes: usize,
    /// Whether the store says that the projection lacks something.
    stale: bool,
    /// Bytes that it took in the projection last.
    shown_bytes: usize,
    used: u64,
}

/// The open fields, and the documents whose projections lag behind.
#[derive(Default)]
pub(crate) struct RichDesk {
    engine: LoroEngine,
    open: BTreeMap<Key, Open>,
    /// Fields that the transaction at hand has edited.
    touched: BTreeSet<Key>,
    pub(crate) stale: BTreeSet<(CollectionNo, DocId)>,
    pub(crate) folding: Folding,
    /// What [`Replica::lag`] shares.
    lag: Arc<AtomicBool>,
    clock: u64,
}

impl RichDesk {
    /// Forgets what is open: the store knows better.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.touched.clear();
        self.stale.clear();
    }

    /// Forgets what is open of one document.
    pub(crate) fn forget(&mut self, collection: CollectionNo, id: &DocId) {
        self.open
            .retain(|key, _| key.0 != collection || key.1 != *id);
        self.stale.remove(&(collection, id.clone()));
    }

    /// Tells whoever reads whether anything lags behind.
    pub(crate) fn tell_lag(&self, lags: bool) {
        self.lag.store(lags, Ordering::Release);
    }

    /// Starts a transaction.
    pub(crate) fn begin(&mut self) {
        self.touched.clear();
    }

    /// Takes back the transaction at hand.
    pub(crate) fn abandon(&mut self) {
        for key in std::mem::take(&mut self.touched) {
            self.open.remove(&key);
        }
    }

    /// The field, open for edits of `author`.
    fn open(&mut self, tx: &Tx<'_>, key: &Key, author: u64) -> Result<&mut Open, ReplicaError> {
        self.clock += 1;
        let kind = key.2.first().copied().and_then(RichKind::from_tag);
        let kind = kind.ok_or_else(|| damaged("its name"))?;
        let usable = self.open.get(key).is_some_and(|open| open.author == author);
        if !usable {
            self.open.remove(key);
            self.make_room();
            let open = load(&self.engine, tx, key, kind, author)?;
            self.open.insert(key.clone(), open);
        }
        let clock = self.clock;
        let open = self.open.get_mut(key).ok_or_else(|| damaged("its place"))?;
        open.used = clock;
        Ok(open)
    }

    fn make_room(&mut self) {
        let saved = |open: &Open| open.unsaved.is_empty();
        loop {
            let bytes: usize = self.open.values().map(|open| open.content.bytes()).sum();
            if self.open.len() < OPEN_MAX && bytes < OPEN_BYTES_MAX {
                return;
            }
            let touched = &self.touched;
            let oldest = self
                .open
                .iter()
                .filter(|(key, open)| saved(open) && !touched.contains(*key))
                .min_by_key(|(_, open)| open.used)
                .map(|(key, _)| key.clone());
            match oldest {
                Some(key) => drop(self.open.remove(&key)),
                None => return,
            }
        }
    }

    /// Edits a field in memory; [`save`](Self::save) keeps what came of it.
    fn edit(
        &mut self,
        tx: &Tx<'_>,
        key: Key,
        author: u64,
        seed: Option<&Value>,
        edit: &RichEdit,
    ) -> Result<(Option<Vec<u8>>, Option<NodeName>), ReplicaError> {
        let engine = self.engine;
        self.touched.insert(key.clone());
        let kind = key.2.first().copied().and_then(RichKind::from_tag);
        let open = self.open(tx, &key, author)?;
        if let Some(frozen) = &open.record.frozen {
            return Err(ReplicaError::Refused(format!(
                "this field is damaged and takes no edits ({}); run `stead doctor --rebuild`",
                frozen.reason
            )));
        }
        open.sow(&engine, kind, seed)
            .map_err(|error| refused(&error))?;
        let node = open.content.edit(edit).map_err(|error| refused(&error))?;
        let Some((span, update)) = open
            .content
            .take_update()
            .map_err(|error| refused(&error))?
        else {
            return Ok((None, node));
        };
        if !open.record.takes(span) {
            return Err(damaged("its count of edits"));
        }
        open.keep(span, &update);
        Ok((Some(update), node))
    }

    /// Takes up updates from elsewhere.
    fn import(
        &mut self,
        tx: &Tx<'_>,
        key: &Key,
        own: u64,
        seed: Option<&Value>,
        updates: &[(u64, &[u8])],
    ) -> Result<(), ReplicaError> {
        let engine = self.engine;
        let kind = key.2.first().copied().and_then(RichKind::from_tag);
        let open = self.open(tx, key, own)?;
        let first = open.next;
        let mut taken = Vec::with_capacity(updates.len());
        if open.record.frozen.is_none()
            && let Err(error) = open.sow(&engine, kind, seed)
        {
            open.freeze(first, &error);
        }
        for &(author, update) in updates {
            match engine.check(author, update) {
                Ok(span) if open.record.takes(span) => {
                    open.keep(span, update);
                    taken.push((author, update));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "an update of a rich field counts nowhere");
                    open.record.rejected += 1;
                }
            }
        }
        if open.record.frozen.is_some() || taken.is_empty() {
            return Ok(());
        }
        if let Err(error) = open.content.import(&taken) {
            // Find the one that does it, with all that was good before.
            tracing::warn!(%error, "a rich field could not take up updates");
            self.reopen_before(tx, key, own, first)?;
        }
        Ok(())
    }

    /// Opens a field again from what is stored, then takes up what is not stored yet one by one,
    /// until one fails.
    fn reopen_before(
        &mut self,
        tx: &Tx<'_>,
        key: &Key,
        author: u64,
        first: u32,
    ) -> Result<(), ReplicaError> {
        let Some(old) = self.open.remove(key) else {
            return Ok(());
        };
        let open = self.open(tx, key, author)?;
        open.record = old.record;
        for (at, row) in (first..).zip(old.unsaved) {
            if open.record.frozen.is_none() {
                let (span, update) = decode_update(&row).map_err(|_| damaged("an update"))?;
                if let Err(error) = open.content.import(&[(span.author, update)]) {
                    open.freeze(at, &error);
                }
            }
            open.next = at + 1;
            open.update_bytes += row.len();
            open.unsaved.push(row);
        }
        if let Some(frozen) = open.record.frozen.clone() {
            // The content may be spoiled: what was good before is read once more.
            let unsaved = std::mem::take(&mut open.unsaved);
            let (record, next) = (open.record.clone(), open.next);
            self.open.remove(key);
            let open = self.open(tx, key, author)?;
            for row in &unsaved[..(frozen.at - first) as usize] {
                let (span, update) = decode_update(row).map_err(|_| damaged("an update"))?;
                open.content
                    .import(&[(span.author, update)])
                    .map_err(|error| refused(&error))?;
            }
            (open.record, open.next, open.unsaved) = (record, next, unsaved);
        }
        Ok(())
    }

    /// Writes what fields have not saved.
    fn save(&mut self, tx: &Tx<'_>, key: &Key) -> Result<(), ReplicaError> {
        let Some(open) = self.open.get_mut(key) else {
            return Ok(());
        };
        let no = match open.no {
            Some(no) => no,
            None => {
                let state = open.record.encode(&[]);
                let no = tx.add_rich(key.0, &key.1, &key.2, &state)?;
                open.no = Some(no);
                no
            }
        };
        let unsaved = std::mem::take(&mut open.unsaved);
        let first = open.next - unsaved.len() as u32;
        for (at, row) in (first..).zip(&unsaved) {
            tx.add_rich_update(no, at, row)?;
        }
        let much = open.update_bytes > FOLD_BYTES_MIN.max(open.snapshot_bytes)
            || open.next > FOLD_UPDATES_MAX;
        if open.record.frozen.is_some() {
            let row = tx.rich(key.0, &key.1, &key.2)?;
            let state = row.map(|row| row.state).unwrap_or_default();
            let (_, snapshot) = RichRecord::decode(&state).map_err(|_| damaged("its record"))?;
            tx.set_rich_state(no, &open.record.encode(snapshot))?;
        } else if much {
            match open.content.snapshot() {
                Ok(snapshot) => {
                    tx.fold_rich(no, &open.record.encode(&snapshot))?;
                    open.snapshot_bytes = snapshot.len();
                    (open.update_bytes, open.next) = (0, 0);
                }
                Err(error) => {
                    tracing::warn!(%error, "a rich field could not be folded; its updates stay");
                    self.open.remove(key);
                }
            }
        }
        Ok(())
    }

    /// Notes that a document's projection lacks what a field was told.
    fn lags(&mut self, tx: &Tx<'_>, key: &Key) -> Result<(), ReplicaError> {
        if let Some(open) = self.open.get_mut(key)
            && !open.stale
            && let Some(no) = open.no
        {
            tx.set_rich_stale(no, true)?;
            open.stale = true;
        }
        self.stale.insert((key.0, key.1.clone()));
        Ok(())
    }
}

impl Open {
    /// Puts what was assigned before into the field, once.
    fn sow(
        &mut self,
        engine: &LoroEngine,
        kind: Option<RichKind>,
        seed: Option<&Value>,
    ) -> Result<(), RichError> {
        let (Some(kind), Some(seed)) = (kind, seed) else {
            return Ok(());
        };
        if self.record.authors.contains_key(&SEED_AUTHOR) {
            return Ok(());
        }
        let update = engine.seed(kind, seed)?;
        let span = match update.is_empty() {
            // An empty text or list: there is nothing to put in, and it is done.
            true => RichSpan {
                author: SEED_AUTHOR,
                start: 0,
                end: 0,
            },
            false => engine.check(SEED_AUTHOR, &update)?,
        };
        self.record.takes(span);
        if !update.is_empty() {
            self.content.import(&[(SEED_AUTHOR, &update)])?;
            self.keep(span, &update);
        }
        Ok(())
    }

    fn keep(&mut self, span: RichSpan, update: &[u8]) {
        let row = encode_update(span, update);
        self.update_bytes += row.len();
        self.next += 1;
        self.unsaved.push(row);
    }

    fn freeze(&mut self, at: u32, error: &RichError) {
        self.record.frozen = Some(Frozen {
            at,
            reason: error.to_string(),
        });
    }
}

fn load(
    engine: &LoroEngine,
    tx: &Tx<'_>,
    key: &Key,
    kind: RichKind,
    author: u64,
) -> Result<Open, ReplicaError> {
    let row = tx.rich(key.0, &key.1, &key.2)?;
    let (no, stale, state) = match row {
        Some(row) => (Some(row.no), row.stale, row.state),
        None => (None, false, RichRecord::default().encode(&[])),
    };
    let (mut record, snapshot) = RichRecord::decode(&state).map_err(|_| damaged("its record"))?;
    let rows = no
        .map(|no| tx.rich_updates(no))
        .transpose()?
        .unwrap_or_default();
    let mut updates = Vec::with_capacity(rows.len());
    for (at, row) in &rows {
        let (span, update) = decode_update(row).map_err(|_| damaged("an update"))?;
        record.takes_again(span);
        if record.frozen.as_ref().is_none_or(|frozen| *at < frozen.at) {
            updates.push((*at, span.author, update));
        }
    }
    let snapshot = Some(snapshot).filter(|snapshot| !snapshot.is_empty());
    let open = |updates: &[(u32, u64, &[u8])]| {
        let mut content = engine
            .open(kind, author, snapshot)
            .map_err(|error| (0, error))?;
        let plain: Vec<_> = updates
            .iter()
            .map(|(_, author, update)| (*author, *update))
            .collect();
        if !plain.is_empty() {
            content.import(&plain).map_err(|error| (0, error))?;
        }
        Ok::<_, (u32, RichError)>(content)
    };
    let content = match open(&updates) {
        Ok(content) => content,
        Err(_) => {
            // One of them fails: find it, and keep to those before it.
            let mut good = 0;
            let mut failed = None;
            match open(&[]) {
                Ok(mut content) => {
                    for (at, author, update) in &updates {
                        if let Err(error) = content.import(&[(*author, *update)]) {
                            failed = Some((*at, error));
                            break;
                        }
                        good += 1;
                    }
                }
                // Somebody else's snapshot, out of a checkpoint, that nothing can be made of.
                Err(error) => failed = Some(error),
            }
            if let Some((at, error)) = failed {
                let reason = error.to_string();
                record.frozen = Some(Frozen { at, reason });
            }
            open(&updates[..good])
                .or_else(|_| engine.open(kind, author, None).map_err(|error| (0, error)))
                .map_err(|(_, error)| refused(&error))?
        }
    };
    Ok(Open {
        content,
        record,
        author,
        no,
        next: rows.last().map_or(0, |(at, _)| at + 1),
        unsaved: Vec::new(),
        snapshot_bytes: snapshot.map_or(0, <[u8]>::len),
        update_bytes: rows.iter().map(|(_, row)| row.len()).sum(),
        stale,
        shown_bytes: 0,
        used: 0,
    })
}

/// The path in a field's name, as people write it.
pub(crate) fn field_path(field: &[u8]) -> String {
    let names = match field {
        [_, 0, names @ ..] => names,
        [_, 1, rest @ ..] => rest.get(40..).unwrap_or_default(),
        _ => &[],
    };
    String::from_utf8_lossy(names).replace('\0', ".")
}

fn refused(error: &RichError) -> ReplicaError {
    ReplicaError::Refused(error.to_string())
}

fn damaged(what: &str) -> ReplicaError {
    ReplicaError::Refused(format!(
        "{what} in the store of a rich field cannot be read; run `stead doctor --rebuild`"
    ))
}

/// The contents that a projection shows.
#[derive(Default)]
pub(crate) struct Contents(BTreeMap<Vec<u8>, Value>);

impl Contents {
    /// What a field shows, if it is visible.
    pub(crate) fn of(&self, place: &RichPlace) -> Option<&Value> {
        self.0.get(&place.key())
    }
}

impl RichValues for Contents {
    fn value(&self, path: PathRef<'_>, kind: RichKind, base: Option<Stamp>) -> Option<Value> {
        let path = path.to_path()?;
        self.0.get(&RichPlace { path, kind, base }.key()).cloned()
    }
}

/// An update on its way into a document.
pub(crate) struct Incoming<'a> {
    pub(crate) path: PathRef<'a>,
    pub(crate) kind: RichKind,
    pub(crate) base: Option<Stamp>,
    pub(crate) author: u64,
    pub(crate) update: &'a [u8],
}

impl Writing<'_> {
    /// The number under which this store edits rich fields of a space; 1 while it cannot write there.
    fn rich_author(&self, space: &SpaceId) -> u64 {
        let own = self.spaces.get(space).and_then(|space| space.own.as_ref());
        own.map_or(1, |own| author_number(&own.id))
    }

    /// Edits a rich field; answers the update for the log and the node that was made.
    pub(crate) fn edit_rich(
        &mut self,
        writer: &WriterId,
        collection: CollectionNo,
        id: &DocId,
        field: &RichField,
        edit: &RichEdit,
    ) -> Result<(Option<Vec<u8>>, Option<NodeName>), ReplicaError> {
        let key = (collection, id.clone(), field.place.key());
        let author = author_number(writer);
        self.rich
            .edit(&self.tx, key, author, field.seed.as_ref(), edit)
    }

    /// Keeps what the transaction at hand did to rich fields of a document, whose row changed too if
    /// `changed`. Says whether the projection must be written now.
    pub(crate) fn keep_rich_edits(
        &mut self,
        collection: CollectionNo,
        id: &DocId,
        document: &Document,
        changed: bool,
    ) -> Result<bool, ReplicaError> {
        // Also true of one that held some before it was edited.
        if !document.may_hold_rich() {
            return Ok(true);
        }
        if changed {
            self.drop_replaced(collection, id, document)?;
        }
        let touched: Vec<Key> = self
            .rich
            .touched
            .iter()
            .filter(|key| (key.0, &key.1) == (collection, id))
            .cloned()
            .collect();
        for key in &touched {
            self.rich.save(&self.tx, key)?;
        }
        self.shows_now(&touched, changed)
    }

    /// Whether a projection is written now; else it is noted as lagging behind.
    fn shows_now(&mut self, touched: &[Key], changed: bool) -> Result<bool, ReplicaError> {
        let shown: usize = touched
            .iter()
            .filter_map(|key| self.rich.open.get(key))
            .map(|open| open.shown_bytes)
            .sum();
        if changed || self.rich.folding == Folding::AtOnce || shown < LAG_BYTES_MIN {
            return Ok(true);
        }
        for key in touched {
            self.rich.lags(&self.tx, key)?;
        }
        Ok(false)
    }

    /// Forgets fields that an assignment has replaced.
    fn drop_replaced(
        &mut self,
        collection: CollectionNo,
        id: &DocId,
        document: &Document,
    ) -> Result<(), ReplicaError> {
        let stored = self.tx.rich_of(collection, id)?;
        let touched = self.rich.touched.iter();
        let touched = touched.filter(|key| (key.0, &key.1) == (collection, id));
        if stored.is_empty() && touched.count() == 0 {
            return Ok(());
        }
        let alive: BTreeSet<Vec<u8>> = document
            .rich_fields(self.numbers)
            .iter()
            .map(|field| field.place.key())
            .collect();
        for (no, field) in stored {
            if !alive.contains(&field) {
                self.tx.remove_rich(no)?;
                self.rich.open.remove(&(collection, id.clone(), field));
            }
        }
        self.rich
            .touched
            .retain(|key| (key.0, &key.1) != (collection, id) || alive.contains(&key.2));
        self.rich.open.retain(|key, open| {
            (key.0, &key.1) != (collection, id) || open.no.is_some() || alive.contains(&key.2)
        });
        Ok(())
    }

    /// Takes up updates that came for a document, after all its operations were merged. Says whether the
    /// row must be written now.
    pub(crate) fn merge_rich(
        &mut self,
        space: &SpaceId,
        collection: CollectionNo,
        id: &DocId,
        document: &Document,
        incoming: &[Incoming<'_>],
        changed: bool,
    ) -> Result<bool, ReplicaError> {
        self.rich.begin();
        let own = self.rich_author(space);
        self.drop_replaced(collection, id, document)?;
        let mut touched = Vec::new();
        for field in document.rich_fields(self.numbers) {
            let place = &field.place;
            let updates: Vec<(u64, &[u8])> = incoming
                .iter()
                .filter(|one| {
                    one.path == place.path.as_ref()
                        && one.kind == place.kind
                        && one.base == place.base
                })
                .map(|one| (one.author, one.update))
                .collect();
            let key = (collection, id.clone(), place.key());
            if updates.is_empty() && !(changed && field.seed.is_some()) {
                continue;
            }
            let seed = field.seed.as_ref();
            self.rich.import(&self.tx, &key, own, seed, &updates)?;
            self.rich.save(&self.tx, &key)?;
            touched.push(key);
        }
        self.shows_now(&touched, changed)
    }

    /// Writes a document's row, with what its rich fields show.
    pub(crate) fn put_document(
        &mut self,
        space: &SpaceId,
        collection: CollectionNo,
        id: &DocId,
        document: &Document,
        buffers: &mut (Vec<u8>, Vec<u8>),
    ) -> Result<(), ReplicaError> {
        let (state, body) = buffers;
        state.clear();
        body.clear();
        document.encode(state);
        if document.may_hold_rich() {
            let contents = self.contents(space, collection, id, document)?;
            document.project_jsonb_with(self.numbers, &contents, body);
        } else {
            document.project_jsonb(self.numbers, body);
        }
        self.tx
            .put_doc(collection, id, state, body, document.is_deleted())?;
        Ok(())
    }

    pub(crate) fn contents(
        &mut self,
        space: &SpaceId,
        collection: CollectionNo,
        id: &DocId,
        document: &Document,
    ) -> Result<Contents, ReplicaError> {
        let author = self.rich_author(space);
        let mut contents = Contents::default();
        for field in document.rich_fields(self.numbers) {
            let key = (collection, id.clone(), field.place.key());
            let open = self.rich.open(&self.tx, &key, author)?;
            if open.stale
                && let Some(no) = open.no
            {
                self.tx.set_rich_stale(no, false)?;
                open.stale = false;
            }
            if !field.is_visible {
                continue;
            }
            match open.content.value() {
                Ok(value) => {
                    open.shown_bytes = match &value {
                        Value::String(text) => text.len(),
                        value => value.to_string().len(),
                    };
                    contents.0.insert(key.2, value);
                }
                Err(error) => {
                    tracing::warn!(%error, "a rich field cannot be shown");
                    self.rich.open.remove(&key);
                }
            }
        }
        self.rich.stale.remove(&(collection, id.clone()));
        Ok(contents)
    }

    /// Has every projection show what its rich fields hold.
    pub(crate) fn fold_all(&mut self) -> Result<(), ReplicaError> {
        let mut buffers = (Vec::new(), Vec::new());
        while let Some((collection, id)) = self.rich.stale.first().cloned() {
            self.rich.stale.remove(&(collection, id.clone()));
            let owner = self
                .collections
                .iter()
                .find(|(_, no)| **no == collection)
                .map(|((space, _), _)| *space);
            let owner = match owner {
                Some(owner) => Some(owner),
                None => self.owner_of(collection)?,
            };
            let Some(space) = owner else { continue };
            let mut document = Document::default();
            let loaded = self.tx.with_doc_state(collection, &id, |row| {
                document.decode_into(row, self.numbers)
            })?;
            match loaded {
                Some(Ok(())) => {
                    self.put_document(&space, collection, &id, &document, &mut buffers)?;
                }
                Some(Err(error)) => return Err(ReplicaError::Refused(error.to_string())),
                None => {}
            }
        }
        Ok(())
    }

    fn owner_of(&self, collection: CollectionNo) -> Result<Option<SpaceId>, ReplicaError> {
        for space in self.spaces.values() {
            let found = self.tx.collections(space.no)?;
            if found.iter().any(|row| row.no == collection) {
                return Ok(Some(space.id));
            }
        }
        Ok(None)
    }

    /// Folds what may not wait.
    pub(crate) fn fold_if_due(&mut self) -> Result<(), ReplicaError> {
        let due = match self.rich.folding {
            Folding::AtOnce => !self.rich.stale.is_empty(),
            Folding::WhenRead => self.rich.stale.len() > LAGGING_MAX,
        };
        match due {
            true => self.fold_all(),
            false => Ok(()),
        }
    }
}
