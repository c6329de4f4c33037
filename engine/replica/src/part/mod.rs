//! Spaces of which this device keeps a part: what was chosen, how much of it is here, and where it is
//! kept.
//!
//! ```text
//! a document that is filled = every operation on it in the entries below `applied`, of all logs
//! ```
//!
//! That is what holds on a whole device, too, and all that the rest of this module is about: logs of
//! others are thin (`follow`), what they leave out says nothing of what was chosen; documents that
//! join the choice come as a slice of the present of a device that has all (`fill`), which is made by
//! `serve`. `keep` changes the choice. `question` has the bytes of queries.

mod fill;
mod follow;
mod keep;
mod question;
mod serve;

use std::collections::{BTreeMap, BTreeSet};

use stead_access::{Action, Path};
use stead_base::codec::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_base::{DeviceId, DocId, SpaceId, WriterId};
use stead_checkpoint::{Ask, Choose, DocumentName, Slice, Units};
use stead_store::{Read, Tx};

use crate::schemas::SCHEMAS;
use crate::space::SpaceState;
use crate::{Replica, ReplicaError};

pub use fill::Filled;
pub use keep::Chosen;
pub use question::Question;
pub use serve::Follower;

/// Collections that Stead keeps for itself and that say how the others are read.
const ALWAYS: [&str; 4] = [SCHEMAS, "@group", "@spaces", "@cards"];
/// Documents in one telling of a choice: it must fit a frame.
const TOLD_DOCUMENTS: usize = 4096;
/// Format of the records below.
const FORMAT: u8 = 1;

/// How much of a chosen collection is here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fill {
    /// What is up to a document, or nothing yet.
    Upto(Option<DocId>),
    /// All.
    Whole,
}

/// Why a document is kept that no chosen collection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// Somebody looked at it, or wrote it.
    Used,
    /// A chosen query found it.
    Found,
    /// It was chosen.
    Chosen,
}

/// A document that is kept by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    reason: Reason,
    filled: bool,
    /// When it was last used, in Unix milliseconds.
    used_ms: u64,
}

/// A slice that goes further than the logs here.
#[derive(Debug, Clone)]
struct Parked {
    from: DeviceId,
    ask: Ask,
    slice: Slice,
    since_ms: u64,
}

/// What is kept of a space of which this device keeps a part.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    chosen: Units,
    budget: u64,
    fills: BTreeMap<String, Fill>,
    held: BTreeMap<DocumentName, Held>,
    /// Queries to be asked.
    due: BTreeSet<(String, Vec<u8>)>,
    /// Which edition of the choice this is: it grows with the choice. Thin batches that were cut by an
    /// earlier one leave out what joined since.
    revision: u64,
    /// Lengths of the logs when the choice last grew, or when all was to be filled again. Slices must
    /// reach as far: below, logs may lack what is to be filled.
    since: BTreeMap<WriterId, u64>,
    parked: Vec<Parked>,
    /// Nothing is here yet: logs come first, without what slices will bring anyway, and then it is asked for.
    waits_for_logs: bool,
    /// Logs that nobody gives even to who follows nothing.
    hopeless: BTreeSet<WriterId>,
    /// How much of this device's own log a whole replica has.
    confirmed: u64,
}

/// What of a space is kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// What was chosen.
    pub chosen: Units,
    /// Most bytes of documents that came on demand.
    pub budget: u64,
    /// Documents here.
    pub documents: u64,
    /// Of these, those that came on demand.
    pub on_demand: u64,
    /// Bytes of documents that came on demand.
    pub on_demand_bytes: u64,
    /// Documents that wait for a slice; those of collections that are not all here are not counted.
    pub waiting: u64,
    /// Collections that are not all here yet.
    pub unfilled: Vec<String>,
    /// Entries of the logs of others that are kept.
    pub kept_entries: u64,
    /// Entries that these logs have.
    pub log_entries: u64,
}

impl Part {
    fn new(revision: u64) -> Self {
        Self {
            chosen: Units::default(),
            budget: 0,
            fills: BTreeMap::new(),
            held: BTreeMap::new(),
            due: BTreeSet::new(),
            revision,
            since: BTreeMap::new(),
            parked: Vec::new(),
            waits_for_logs: false,
            hopeless: BTreeSet::new(),
            confirmed: 0,
        }
    }

    /// Whether the document's row holds all that is below the logs' applied lengths.
    pub(crate) fn is_filled(&self, collection: &str, id: &DocId) -> bool {
        let by_collection = match self.fills.get(collection) {
            Some(Fill::Whole) => true,
            Some(Fill::Upto(Some(upto))) => id <= upto,
            _ => false,
        };
        by_collection || self.held_one(collection, id).is_some_and(|it| it.filled)
    }

    /// Whether a document is followed, filled or not.
    fn follows(&self, collection: &str, id: &DocId) -> bool {
        self.fills.contains_key(collection) || self.held_one(collection, id).is_some()
    }

    fn held_one(&self, collection: &str, id: &DocId) -> Option<&Held> {
        match self.held.is_empty() {
            true => None,
            false => self.held.get(&(collection.to_owned(), id.clone())),
        }
    }

    /// Whether anything is filled: from then on it matters who leaves entries out.
    fn has_filled(&self) -> bool {
        let fills = self.fills.values();
        let mut fills = fills.filter(|fill| **fill != Fill::Upto(None));
        fills.next().is_some() || self.held.values().any(|held| held.filled)
    }

    /// Everything that is followed.
    fn units(&self) -> Units {
        if self.waits_for_logs {
            let filled = self.held.iter().filter(|(_, held)| held.filled);
            return Units {
                documents: filled.map(|(name, _)| name.clone()).collect(),
                ..Units::default()
            };
        }
        let alone = |(collection, _): &&DocumentName| !self.fills.contains_key(collection);
        Units {
            collections: self.fills.keys().cloned().collect(),
            documents: self.held.keys().filter(alone).cloned().collect(),
            queries: self.chosen.queries.clone(),
        }
    }

    /// The choice grew: what follows is cut by it.
    fn grew(&mut self, revision: u64, since: BTreeMap<WriterId, u64>) {
        self.revision = revision;
        self.asks_from(since);
    }

    /// Slices must reach as far as the logs do now.
    fn asks_from(&mut self, since: BTreeMap<WriterId, u64>) {
        self.since = since;
        let parked = std::mem::take(&mut self.parked);
        self.parked = parked
            .into_iter()
            .filter(|it| self.reaches(&it.slice))
            .collect();
    }

    fn reaches(&self, slice: &Slice) -> bool {
        let mut since = self.since.iter();
        since.all(|(writer, len)| slice.frontier.get(writer).is_some_and(|has| has >= len))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.byte(FORMAT).uint(self.budget).uint(self.confirmed);
        out.bytes(&Choose::All(self.chosen.clone()).encode());
        out.uint(self.fills.len() as u64);
        for (name, fill) in &self.fills {
            out.text(name);
            match fill {
                Fill::Upto(None) => drop(out.byte(0)),
                Fill::Upto(Some(id)) => drop(out.byte(1).text(&id.to_string())),
                Fill::Whole => drop(out.byte(2)),
            }
        }
        out.finish()
    }

    fn decode(bytes: &[u8], revision: u64) -> Result<Self, DecodeError> {
        let what = "record of a part";
        let mut input = Decoder::new(bytes);
        if input.byte(what)? != FORMAT {
            return Err(input.error(what, DecodeFault::Undefined));
        }
        let mut part = Self::new(revision);
        part.budget = input.uint(what)?;
        part.confirmed = input.uint(what)?;
        if let Choose::All(chosen) = Choose::decode(input.bytes(1 << 30, what)?)? {
            part.chosen = chosen;
        }
        part.due = part.chosen.queries.clone();
        for _ in 0..input.count(1 << 20, 2, what)? {
            let name = input.text(1 << 10, what)?.to_owned();
            let fill = match input.byte(what)? {
                0 => Fill::Upto(None),
                1 => Fill::Upto(Some(id_of(&mut input, what)?)),
                2 => Fill::Whole,
                _ => return Err(input.error(what, DecodeFault::Undefined)),
            };
            part.fills.insert(name, fill);
        }
        input.finish(what)?;
        Ok(part)
    }
}

fn id_of(input: &mut Decoder<'_>, what: &'static str) -> Result<DocId, DecodeError> {
    let text = input.text(1 << 10, what)?;
    DocId::parse(text).map_err(|_| input.error(what, DecodeFault::Undefined))
}

impl Held {
    fn encode(&self, (collection, id): &DocumentName) -> Vec<u8> {
        let mut out = Encoder::new();
        let reason = match self.reason {
            Reason::Used => 0,
            Reason::Found => 1,
            Reason::Chosen => 2,
        };
        out.byte(FORMAT).text(collection).text(&id.to_string());
        out.byte(reason).byte(self.filled.into()).uint(self.used_ms);
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<(DocumentName, Self), DecodeError> {
        let what = "record of a kept document";
        let mut input = Decoder::new(bytes);
        if input.byte(what)? != FORMAT {
            return Err(input.error(what, DecodeFault::Undefined));
        }
        let collection = input.text(1 << 10, what)?.to_owned();
        let id = id_of(&mut input, what)?;
        let reason = match input.byte(what)? {
            0 => Reason::Used,
            1 => Reason::Found,
            2 => Reason::Chosen,
            _ => return Err(input.error(what, DecodeFault::Undefined)),
        };
        let filled = input.byte(what)? == 1;
        let used_ms = input.uint(what)?;
        let held = Self {
            reason,
            filled,
            used_ms,
        };
        Ok(((collection, id), held))
    }
}

fn part_key(space: &SpaceId) -> String {
    format!("part {space}")
}

fn held_prefix(space: &SpaceId) -> String {
    format!("held {space} ")
}

fn held_key(space: &SpaceId, (collection, id): &DocumentName) -> String {
    format!("{}{collection}/{id}", held_prefix(space))
}

/// Reads what is kept of a space; none if all of it is.
pub(crate) fn load<R: Read>(
    store: &R,
    space: &SpaceId,
    revision: u64,
) -> Result<Option<Part>, ReplicaError> {
    let record = |source| ReplicaError::Record {
        what: "part of a space",
        source,
    };
    let Some(bytes) = store.get_meta(&part_key(space))? else {
        return Ok(None);
    };
    let mut part = Part::decode(&bytes, revision).map_err(record)?;
    for (_, bytes) in store.meta_from(&held_prefix(space))? {
        let (name, held) = Held::decode(&bytes).map_err(record)?;
        part.held.insert(name, held);
    }
    part.waits_for_logs = !part.has_filled();
    Ok(Some(part))
}

/// Forgets what was kept of a space.
pub(crate) fn forget(tx: &Tx<'_>, space: &SpaceId) -> Result<(), ReplicaError> {
    tx.remove_meta(&part_key(space))?;
    for (key, _) in tx.meta_from(&held_prefix(space))? {
        tx.remove_meta(&key)?;
    }
    Ok(())
}

impl SpaceState {
    /// What is kept was read from the store: what is to be filled is asked for as the logs stand.
    pub(crate) fn part_loaded(&mut self) {
        let since = self.reach_of_others();
        if let Some(part) = &mut self.part {
            part.asks_from(since);
        }
    }

    /// How far the logs of others are held that may hold operations: as far as slices must reach. What is
    /// held and not taken up yet was cut by the choice of its time, too.
    fn reach_of_others(&self) -> BTreeMap<WriterId, u64> {
        let own = self.own.as_ref().map(|own| own.id);
        let others = self.writers.iter().filter(|(writer, state)| {
            Some(**writer) != own
                && state.accepted() > 0
                && self.admits(writer)
                && !self.is_checkpoint(writer)
        });
        others
            .map(|(writer, state)| (*writer, state.accepted()))
            .collect()
    }

    /// Whether a log is held without most of its entries.
    pub(crate) fn is_thin(&self, writer: &WriterId) -> bool {
        let is_own = self.own.as_ref().is_some_and(|own| own.id == *writer);
        self.part.is_some()
            && !is_own
            && self.writers.get(writer).is_some_and(|state| {
                state.record.base > 0 && state.record.base == state.record.tip.len()
            })
    }
}

impl Replica {
    /// Whether only a part of a space is kept here.
    pub fn is_part(&self, space: &SpaceId) -> bool {
        self.spaces.get(space).is_some_and(|it| it.part.is_some())
    }

    /// Lengths of the thin logs of a space, if only a part of it is kept.
    pub fn thin_lengths(&self, space: &SpaceId) -> Option<BTreeMap<WriterId, u64>> {
        let space = self.spaces.get(space).filter(|it| it.part.is_some())?;
        let thin = space
            .writers
            .iter()
            .filter(|(writer, _)| space.is_thin(writer));
        Some(
            thin.map(|(id, state)| (*id, state.record.tip.len()))
                .collect(),
        )
    }

    /// Length of a thin log; 0 if there is none.
    pub fn thin_length(&self, space: &SpaceId, writer: &WriterId) -> u64 {
        let space = self.spaces.get(space).filter(|it| it.is_thin(writer));
        let state = space.and_then(|it| it.writers.get(writer));
        state.map_or(0, |state| state.record.tip.len())
    }

    /// Which edition of the choice is in force; none where all is kept.
    pub fn part_revision(&self, space: &SpaceId) -> Option<u64> {
        Some(self.spaces.get(space)?.part.as_ref()?.revision)
    }

    /// The whole choice as peers are to be told it, in several tellings if it is long.
    pub fn told_choice(&self, space: &SpaceId) -> Vec<Choose> {
        let part = self.spaces.get(space).and_then(|it| it.part.as_ref());
        let Some(mut units) = part.map(Part::units) else {
            return Vec::new();
        };
        let documents: Vec<DocumentName> =
            std::mem::take(&mut units.documents).into_iter().collect();
        let mut chunks = documents.chunks(TOLD_DOCUMENTS);
        units.documents = chunks.next().unwrap_or_default().iter().cloned().collect();
        let mut told = vec![Choose::All(units)];
        told.extend(chunks.map(|chunk| {
            Choose::More(Units {
                documents: chunk.iter().cloned().collect(),
                ..Units::default()
            })
        }));
        told
    }

    /// Whether a device may say what is at a path of a space to one that keeps a part: who may manage
    /// the path, or a device of this person that reads there.
    pub fn trusts(&self, space: &SpaceId, device: &DeviceId, path: &Path) -> bool {
        trusts(&self.spaces, space, device, path)
    }

    /// Whether a document is all here: always, where all of the space is.
    pub fn has_document(&self, space: &SpaceId, collection: &str, id: &DocId) -> bool {
        let part = self.spaces.get(space).and_then(|it| it.part.as_ref());
        part.is_none_or(|part| part.is_filled(collection, id))
    }

    /// Whether a collection is all here: always, where all of the space is.
    pub fn has_collection(&self, space: &SpaceId, collection: &str) -> bool {
        let part = self.spaces.get(space).and_then(|it| it.part.as_ref());
        part.is_none_or(|part| part.fills.get(collection) == Some(&Fill::Whole))
    }
}

/// Whether a device may say what is at a path of a space.
fn trusts(
    spaces: &BTreeMap<SpaceId, SpaceState>,
    space: &SpaceId,
    device: &DeviceId,
    path: &Path,
) -> bool {
    let Some(roster) = spaces.get(space).map(|it| &it.roster) else {
        return false;
    };
    let is_own = || {
        let home = spaces.values().find(|it| it.record.is_home);
        home.is_some_and(|home| home.is_member(device))
    };
    roster.can(device, path, Action::Manage) || (roster.can(device, path, Action::Read) && is_own())
}
