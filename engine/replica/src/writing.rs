//! The unit of work: everything one call changes, in memory and in one store transaction.
//!
//! What is in memory runs ahead of the store until the commit. When anything fails in between, the
//! replica reads itself again from the store before the next write, so the two never part.

use std::collections::{BTreeMap, BTreeSet};

use stead_base::{DocId, Entropy, Hash, Hlc, HlcClock, SpaceId, Stamp, WriterId};
use stead_crypt::DeviceKeys;
use stead_crypt::wrapkey::WrapKey;
use stead_doc::Numbers;
use stead_log::SignedHead;
use stead_store::{CollectionNo, Tx};

use crate::ahead::Leaving;
use crate::events::{DocChange, Event};
use crate::indexes::ChangedSchemas;
use crate::merge::Pending;
use crate::prepare::Shared;
use crate::replica::save_numbers;
use crate::rich::RichDesk;
use crate::schemas::{SCHEMAS, Schemas};
use crate::signing::SigningDesk;
use crate::space::{SpaceState, WriterState};
use crate::{Edit, Replica, ReplicaError};

/// A stored segment is closed at this many entries.
const SEGMENT_ENTRIES: u64 = 1024;
/// A stored segment is closed at this many bytes.
const SEGMENT_BYTES: u64 = 256 << 10;
/// More changed documents than this in one commit are told as "many".
const CHANGES_LISTED_MAX: usize = 4096;

/// A write in progress.
pub(crate) struct Writing<'r> {
    pub(crate) tx: Tx<'r>,
    pub(crate) keys: &'r DeviceKeys,
    pub(crate) ahead_key: &'r WrapKey,
    pub(crate) device_name: &'r str,
    pub(crate) entropy: &'r mut (dyn Entropy + Send),
    pub(crate) clock: &'r mut HlcClock,
    pub(crate) spaces: &'r mut BTreeMap<SpaceId, SpaceState>,
    pub(crate) numbers: &'r mut Numbers,
    pub(crate) collections: &'r mut BTreeMap<(SpaceId, String), CollectionNo>,
    pub(crate) schemas: &'r mut Schemas,
    pub(crate) shared: &'r Shared,
    pub(crate) rich: &'r mut RichDesk,
    pub(crate) revisions: &'r mut u64,
    signing: Option<&'r SigningDesk>,
    pub(crate) now_ms: u64,
    /// Operations gathered for merging.
    pub(crate) pending: Pending,
    pub(crate) events: Vec<Event>,
    /// Spaces whose roster or keys changed: their logs must be looked at again.
    pub(crate) unsettled: BTreeSet<SpaceId>,
    /// Spaces whose documents hold, or lack, what counts differently now.
    pub(crate) misjudged: BTreeSet<SpaceId>,
    dirty_spaces: BTreeSet<SpaceId>,
    dirty_writers: BTreeSet<(SpaceId, WriterId)>,
    touched: BTreeMap<SpaceId, Touched>,
    pub(crate) changed_schemas: ChangedSchemas,
    /// What is to be said again, for purges took it.
    pub(crate) taken: Vec<(SpaceId, Vec<Edit>)>,
    /// From when on the authors of purges did not know this device's log.
    pub(crate) unknown_to: BTreeMap<(SpaceId, Stamp), Option<Hlc>>,
    /// Whether nobody asked for what is written: the device does it by itself.
    pub(crate) by_itself: bool,
    /// Whether something was taken out of what is stored that must not stay in the files.
    pub(crate) erases: bool,
    /// What the store's journal is to keep of it.
    pub(crate) leaving: Leaving,
    /// How many entries were put behind this device's own logs.
    pub(crate) appended: u64,
}

#[derive(Default)]
struct Touched {
    docs: Vec<DocChange>,
    many: bool,
}

/// When operations go from memory into documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merging {
    /// In this unit of work.
    Now,
    /// Later, unless much is gathered: their entries are stored, so nothing is lost.
    Later,
}

impl Replica {
    /// Runs `f` as one unit: all of it is stored, or none. What was gathered before is merged first.
    pub(crate) fn write<T, E: From<ReplicaError>>(
        &mut self,
        now_ms: u64,
        f: impl FnOnce(&mut Writing<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.merge_pending(now_ms)?;
        self.refresh()?;
        // A write failed, and what was gathered was lost with it. This device's next entry counts as
        // taken: so must those before it.
        if std::mem::take(&mut self.unsettled)
            && let Err(error) = self.settle_all(now_ms)
        {
            self.unsettled = true;
            return Err(error.into());
        }
        self.unit(now_ms, Merging::Now, f)
    }

    /// Runs `f` as one unit: all of it is stored, or none.
    pub(crate) fn unit<T, E: From<ReplicaError>>(
        &mut self,
        now_ms: u64,
        merging: Merging,
        f: impl FnOnce(&mut Writing<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.refresh()?;
        self.collect_heads();
        let saved_numbers = self.saved_numbers;
        if self.store.make_way().is_err() {
            // What waited for its commit is made again, in the room that the journal leaves on a full disk.
            self.recover(now_ms)?;
        }
        let tx = self.store.begin().map_err(ReplicaError::from)?;
        // Not before: what was gathered is kept if nothing can be begun.
        let pending = std::mem::take(&mut self.pending);
        let mut writing = Writing {
            tx,
            keys: &self.keys,
            ahead_key: &self.ahead_key,
            device_name: &self.device_name,
            entropy: &mut *self.entropy,
            clock: &mut self.clock,
            spaces: &mut self.spaces,
            numbers: &mut self.numbers,
            collections: &mut self.collections,
            schemas: &mut self.schemas,
            shared: &self.shared,
            rich: &mut self.rich,
            revisions: &mut self.revisions,
            signing: self.signing.as_deref(),
            now_ms,
            pending,
            events: Vec::new(),
            unsettled: BTreeSet::new(),
            misjudged: BTreeSet::new(),
            dirty_spaces: BTreeSet::new(),
            dirty_writers: BTreeSet::new(),
            touched: BTreeMap::new(),
            changed_schemas: ChangedSchemas::default(),
            taken: Vec::new(),
            unknown_to: BTreeMap::new(),
            by_itself: false,
            erases: false,
            leaving: Leaving::default(),
            appended: 0,
        };
        let done = f(&mut writing).and_then(|value| {
            writing.settle()?;
            match merging {
                Merging::Now => writing.merge_all()?,
                Merging::Later => writing.merge_if_much()?,
            }
            writing.say_taken_again()?;
            writing.fold_if_due()?;
            writing.follow_schemas()?;
            writing.save_rows()?;
            Ok(value)
        });
        let finished = done.and_then(|value| {
            let numbers = save_numbers(&writing.tx, writing.numbers, saved_numbers)?;
            let events = writing.take_events();
            let pending = std::mem::take(&mut writing.pending);
            let erases = writing.erases;
            if erases {
                let noted = writing.tx.put_meta(crate::redaction::ERASES, &[1]);
                noted.map_err(ReplicaError::from)?;
            }
            let committed = match writing.record_ahead() {
                Some(record) => writing.tx.commit_ahead(&record).map(drop),
                None => writing.tx.commit(),
            };
            committed.map_err(ReplicaError::from)?;
            Ok((value, numbers, events, pending, erases))
        });
        match finished {
            Ok((value, numbers, events, pending, erases)) => {
                self.erases |= erases;
                self.pending = pending;
                self.saved_numbers = numbers;
                self.events.extend(events);
                self.tell_lag();
                self.erase();
                Ok(value)
            }
            Err(error) => {
                self.numbers.truncate(saved_numbers.0, saved_numbers.1);
                self.recover_or_tell(now_ms);
                Err(error)
            }
        }
    }
}

impl Writing<'_> {
    /// Whether a space's record is to be written.
    pub(crate) fn changes_spaces(&self) -> bool {
        !self.dirty_spaces.is_empty()
    }

    /// A space, to be changed.
    pub(crate) fn space(&mut self, id: &SpaceId) -> Result<&mut SpaceState, ReplicaError> {
        self.spaces
            .get_mut(id)
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })
    }

    /// Has a space's record written at the end.
    pub(crate) fn dirty_space(&mut self, id: &SpaceId) {
        self.dirty_spaces.insert(*id);
    }

    /// Has a writer's row written at the end.
    pub(crate) fn dirty_writer(&mut self, space: &SpaceId, writer: &WriterId) {
        self.dirty_writers.insert((*space, *writer));
    }

    /// A space whose roster or keys changed.
    pub(crate) fn roster_changed(&mut self, id: &SpaceId) {
        self.dirty_spaces.insert(*id);
        if self.unsettled.insert(*id) {
            self.events.push(Event::RosterChanged { space: *id });
        }
    }

    /// The state of a writer, made when it is new.
    pub(crate) fn ensure_writer(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
    ) -> Result<(), ReplicaError> {
        let space_no = self.space(id)?.no;
        if self.space(id)?.writers.contains_key(writer) {
            return Ok(());
        }
        let record = crate::records::WriterRecord::default();
        let no = self
            .tx
            .put_writer(space_no, writer, 0, 0, &record.encode(), &[])?;
        let state = WriterState::new(no, record, 0);
        self.space(id)?.writers.insert(*writer, state);
        Ok(())
    }

    /// Stores encoded entries at the end of a log whose tip in memory already covers them.
    pub(crate) fn store_entries(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        start: u64,
        bytes: &[u8],
        nodes: &[(u64, Hash)],
    ) -> Result<(), ReplicaError> {
        let state = writer_mut(self.spaces, id, writer)?;
        let (no, len) = (state.no, state.record.tip.len());
        self.tx
            .append_segment(no, start, (len - start) as u32, bytes)?;
        for (index, root) in nodes {
            self.tx.put_node(no, *index, root)?;
        }
        state.record.tail_bytes += bytes.len() as u64;
        let entries = len - state.record.packed;
        if entries >= SEGMENT_ENTRIES || state.record.tail_bytes >= SEGMENT_BYTES {
            self.space(id)?.sign_own();
            let state = writer_mut(self.spaces, id, writer)?;
            if start > state.record.packed {
                let packed = state.record.packed;
                let bytes = tail(&self.tx, no, packed)?;
                self.tx.replace_segments(no, packed, len, &bytes)?;
            }
            if let Some(head) = state.record.tip.head().filter(|head| head.len == len) {
                self.tx.put_head(no, len, &encode_head(head))?;
            }
            state.record.packed = len;
            state.record.tail_bytes = 0;
        }
        self.dirty_writer(id, writer);
        Ok(())
    }

    /// Notes a document that changed, for whoever watches.
    pub(crate) fn touch(&mut self, space: &SpaceId, collection: &str, id: &DocId) {
        if collection == SCHEMAS {
            self.schemas.remove(&(*space, id.to_string()));
            self.changed_schemas.one(*space, id.to_string());
        }
        let touched = self.touched.entry(*space).or_default();
        if touched.docs.len() >= CHANGES_LISTED_MAX {
            touched.many = true;
            touched.docs.clear();
        }
        if !touched.many {
            touched.docs.push(DocChange {
                collection: collection.to_owned(),
                id: id.clone(),
            });
        }
    }

    /// Notes that any document of a space may have changed.
    pub(crate) fn touch_everything(&mut self, space: &SpaceId) {
        self.schemas.retain(|(of, _), _| of != space);
        self.changed_schemas.all_of(*space);
        let touched = self.touched.entry(*space).or_default();
        touched.many = true;
        touched.docs.clear();
    }

    /// The number of a collection, given now if it has none.
    pub(crate) fn collection_no(
        &mut self,
        space: &SpaceId,
        name: &str,
    ) -> Result<CollectionNo, ReplicaError> {
        let key = (*space, name.to_owned());
        if let Some(no) = self.collections.get(&key) {
            return Ok(*no);
        }
        let space_no = self.space(space)?.no;
        let no = self.tx.intern_collection(space_no, name)?;
        self.collections.insert(key, no);
        Ok(no)
    }

    fn save_rows(&mut self) -> Result<(), ReplicaError> {
        for (id, writer) in &self.dirty_writers {
            let Some(space) = self.spaces.get_mut(id) else {
                continue;
            };
            let Some(state) = space.writers.get(writer) else {
                continue;
            };
            let (len, root) = (state.record.tip.len(), state.record.tip.root());
            let is_emptied = space.part.is_some() && state.record.tip.is_empty();
            let is_thin = is_emptied || space.is_thin(writer);
            if state.record.tip.is_unsigned()
                && let Some(own) = space.own.as_ref().filter(|own| own.id == *writer)
                && !self
                    .signing
                    .is_some_and(|desk| desk.ask((*id, *writer), &own.key, len, root))
            {
                space.sign_own();
            }
            let Some(state) = space.writers.get(writer) else {
                continue;
            };
            self.tx
                .advance_writer(state.no, len, state.merged.applied, &state.encode_record())?;
            self.events.push(match is_thin {
                true => Event::ThinAdvanced {
                    space: *id,
                    writer: *writer,
                    len,
                },
                false => Event::Advanced {
                    space: *id,
                    writer: *writer,
                    len,
                    root,
                },
            });
        }
        for id in &self.dirty_spaces {
            let Some(space) = self.spaces.get(id) else {
                continue;
            };
            self.tx.put_space(id, &space.record.encode())?;
            self.shared.publish_keys(space);
        }
        Ok(())
    }

    fn take_events(&mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.events);
        for (space, touched) in std::mem::take(&mut self.touched) {
            events.push(Event::DocsChanged {
                space,
                docs: touched.docs,
                many: touched.many,
            });
        }
        events
    }
}

/// Looks up a writer without borrowing the whole unit.
pub(crate) fn writer_mut<'s>(
    spaces: &'s mut BTreeMap<SpaceId, SpaceState>,
    id: &SpaceId,
    writer: &WriterId,
) -> Result<&'s mut WriterState, ReplicaError> {
    spaces
        .get_mut(id)
        .and_then(|space| space.writers.get_mut(writer))
        .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })
}

/// A head as the store keeps it.
pub(crate) fn encode_head(head: &SignedHead) -> Vec<u8> {
    let mut out = stead_base::Encoder::new();
    head.encode(&mut out);
    out.finish()
}

fn tail(tx: &Tx<'_>, no: stead_store::WriterNo, from: u64) -> Result<Vec<u8>, ReplicaError> {
    use stead_store::Read;
    let mut bytes = Vec::new();
    tx.each_segment(no, from, &mut |_, _, segment| {
        bytes.extend_from_slice(segment);
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(bytes)
}
