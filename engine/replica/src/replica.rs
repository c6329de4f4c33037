//! The replica itself: opening, what it holds, and the small questions about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_access::{DeviceRecord, Name, Role};
use stead_base::{DeviceId, Entropy, HlcClock, SpaceId, WriterId};
use stead_crypt::DeviceKeys;
use stead_crypt::wrapkey::WrapKey;
use stead_doc::Numbers;
use stead_store::{CollectionNo, Read, ReadRich, Store, Tx};

use crate::events::Event;
use crate::merge::Pending;
use crate::prepare::Shared;
use crate::records::{SpaceRecord, WriterRecord};
use crate::redaction::ERASES;
use crate::rich::RichDesk;
use crate::space::{SpaceState, WriterState};
use crate::{FrontierItem, Preparer, ReplicaError, ReplicaReader};

const WRITER_NUMBERS: &str = "document writers";

/// One device's spaces over one store.
pub struct Replica {
    pub(crate) store: Store,
    pub(crate) keys: DeviceKeys,
    pub(crate) ahead_key: WrapKey,
    pub(crate) device_name: String,
    pub(crate) entropy: Box<dyn Entropy + Send>,
    pub(crate) clock: HlcClock,
    pub(crate) spaces: BTreeMap<SpaceId, SpaceState>,
    pub(crate) numbers: Numbers,
    pub(crate) saved_numbers: (usize, usize),
    pub(crate) collections: BTreeMap<(SpaceId, String), CollectionNo>,
    pub(crate) schemas: crate::schemas::Schemas,
    pub(crate) events: Vec<Event>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) signing: Option<Arc<crate::signing::SigningDesk>>,
    pub(crate) pending: Pending,
    pub(crate) rich: RichDesk,
    /// Editions of choices given so far.
    pub(crate) revisions: u64,
    /// A write failed half-way: what is in memory must be read again before the next one.
    pub(crate) stale: bool,
    /// Whether what was read from the store is not all in documents yet, for all that is known.
    pub(crate) unsettled: bool,
    /// Whether entries out of the store's journal are not in documents yet.
    pub(crate) is_behind: bool,
    /// Whether something redacted may still be in the files.
    pub(crate) erases: bool,
    /// Logs that wait for the redaction of a parcel that they lack, and since when.
    pub(crate) lacking: BTreeMap<(SpaceId, WriterId), u64>,
    /// What keeps history that is old enough to go.
    pub(crate) held_up: BTreeMap<SpaceId, String>,
}

/// A device in a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Which device.
    pub id: DeviceId,
    /// The name it was granted under.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The device that let it in; none for the founding one.
    pub linked_by: Option<DeviceId>,
    /// The logs it writes.
    pub writers: Vec<WriterId>,
}

/// What there is to know about a space on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceInfo {
    /// Which space.
    pub id: SpaceId,
    /// Its name.
    pub name: String,
    /// Whether it is the home space: the roster of this person's devices.
    pub is_home: bool,
    /// What this device may do; None while it has not been let in.
    pub role: Option<Role>,
    /// Whether this device is no member and read what was public: nothing is any more.
    pub was_public: bool,
    /// Whether only a part of it is kept here.
    pub is_part: bool,
    /// From when on its history is known here, Unix ms; none: from the beginning.
    pub known_from_ms: Option<u64>,
    /// Documents that are not deleted.
    pub documents: u64,
    /// Log entries held.
    pub entries: u64,
    /// Entries stored that wait for their time, a key or a grant.
    pub waiting: u64,
    /// Entries that a newer version of Stead wrote and this one cannot read.
    pub skipped: u64,
    /// Writers whose logs are frozen by a fork.
    pub frozen: Vec<WriterId>,
    /// Who is in it.
    pub devices: Vec<DeviceInfo>,
}

impl Replica {
    /// Opens the spaces of `store` with the keys of this device.
    pub fn open(
        store: Store,
        keys: DeviceKeys,
        device_name: &str,
        entropy: Box<dyn Entropy + Send>,
        now_ms: u64,
    ) -> Result<Self, ReplicaError> {
        let mut replica = Self {
            store,
            ahead_key: crate::ahead::key_of(&keys),
            keys,
            device_name: device_name.to_owned(),
            entropy,
            clock: HlcClock::default(),
            spaces: BTreeMap::new(),
            numbers: Numbers::default(),
            saved_numbers: (0, 0),
            collections: BTreeMap::new(),
            schemas: BTreeMap::new(),
            events: Vec::new(),
            shared: Arc::new(Shared::default()),
            signing: None,
            pending: Pending::default(),
            rich: RichDesk::default(),
            revisions: 0,
            erases: false,
            lacking: BTreeMap::new(),
            held_up: BTreeMap::new(),
            stale: true,
            unsettled: false,
            is_behind: false,
        };
        replica.refresh()?;
        replica.unsettled = false;
        replica.settle_all(now_ms)?;
        replica.is_behind = false;
        replica.tell_lag();
        // A crash may have come between a redaction and that.
        replica.erases |= replica.store.get_meta(ERASES)?.is_some();
        replica.erase();
        Ok(replica)
    }

    /// Reads everything in memory again after a write that failed half-way.
    pub(crate) fn refresh(&mut self) -> Result<(), ReplicaError> {
        if !self.stale && !self.store.has_lost() {
            return Ok(());
        }
        self.stale = true;
        if self.store.is_cut_off() {
            tracing::warn!(
                "the store gave its file up after an error of the disk; connecting anew"
            );
            self.store.renew()?;
        }
        self.make_again()?;
        self.spaces.clear();
        self.collections.clear();
        self.schemas.clear();
        self.pending = Pending::default();
        self.rich.clear();
        self.rich.stale = self.store.stale_docs()?.into_iter().collect();
        self.tell_lag();
        self.numbers = load_numbers(&self.store)?;
        self.saved_numbers = (self.numbers.fields().len(), self.numbers.writers().len());
        let mut last = self.clock.last();
        for row in self.store.spaces()? {
            let record =
                SpaceRecord::decode(&row.record).map_err(|source| ReplicaError::Record {
                    what: "space",
                    source,
                })?;
            let mut space = SpaceState::from_record(row.id, row.no, record, &self.keys)?;
            for writer in self.store.writers(row.no)? {
                let record =
                    WriterRecord::decode(&writer.tip).map_err(|source| ReplicaError::Record {
                        what: "writer",
                        source,
                    })?;
                last = last.max(record.applied_hlc);
                if space.is_own(&writer.id) {
                    // Documents that are built again may not have come to it yet.
                    last = last.max(record.last_hlc);
                }
                let mut state = WriterState::new(writer.no, record, writer.applied);
                // Whatever waits is looked at again at the next tick.
                state.due_ms = (writer.applied < writer.len).then_some(0);
                space.writers.insert(writer.id, state);
            }
            self.revisions += 1;
            space.part = crate::part::load(&self.store, &row.id, self.revisions)?;
            if space.part.is_some() {
                space.part_loaded();
                let changed = Event::PartChanged {
                    space: row.id,
                    told: None,
                    revision: self.revisions,
                };
                self.events.push(changed);
            }
            self.spaces.insert(row.id, space);
        }
        self.sign_all();
        self.clock = HlcClock::starting_after(last);
        for space in self.spaces.values() {
            self.shared.publish(space);
        }
        self.stale = false;
        self.unsettled = true;
        Ok(())
    }

    /// This device's id.
    pub fn device(&self) -> DeviceId {
        self.keys.id()
    }

    /// What other devices need to let this one in.
    pub fn device_record(&self) -> DeviceRecord {
        DeviceRecord::of(&self.keys, Name::from_any(&self.device_name))
    }

    /// The keys of this device, for the network endpoint.
    pub const fn keys(&self) -> &DeviceKeys {
        &self.keys
    }

    /// A read-only view of the documents for another thread; None for a store in memory.
    pub fn reader(&self) -> Result<Option<ReplicaReader>, ReplicaError> {
        self.store.settle()?;
        let reader = self.store.reader().transpose();
        reader.map(crate::reader::connected).transpose()
    }

    /// The store, for reads.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Verifies and opens batches on another thread.
    pub fn preparer(&self) -> Preparer {
        Preparer::new(Arc::clone(&self.shared))
    }

    /// The home space, once there is one.
    pub fn home(&self) -> Option<SpaceId> {
        self.spaces
            .values()
            .find(|space| space.record.is_home)
            .map(|space| space.id)
    }

    /// Every space on this device, by id.
    pub fn space_ids(&self) -> Vec<SpaceId> {
        self.spaces.keys().copied().collect()
    }

    /// Every space on this device, by id.
    pub fn spaces(&self) -> Result<Vec<SpaceInfo>, ReplicaError> {
        self.spaces
            .values()
            .map(|space| self.describe(space))
            .collect()
    }

    /// One space.
    pub fn space_info(&self, id: &SpaceId) -> Result<SpaceInfo, ReplicaError> {
        self.describe(self.space(id)?)
    }

    /// One space without its number of documents, which takes a walk over all of them.
    pub fn outline(&self, id: &SpaceId) -> Result<SpaceInfo, ReplicaError> {
        Ok(self.outline_of(self.space(id)?))
    }

    fn describe(&self, space: &SpaceState) -> Result<SpaceInfo, ReplicaError> {
        let mut documents = 0;
        for collection in self.store.collections(space.no)? {
            documents += self.store.count(&stead_store::Query::all(collection.no))?;
        }
        Ok(SpaceInfo {
            documents,
            ..self.outline_of(space)
        })
    }

    fn outline_of(&self, space: &SpaceState) -> SpaceInfo {
        let waiting = |w: &WriterState| w.accepted().saturating_sub(w.merged.applied);
        let role_of = |device: &DeviceId| {
            let held = space.roster.held_by(device);
            let current = held.filter(|member| member.is_held_by(device));
            current.map(|member| member.role).max()
        };
        let devices = space
            .roster
            .devices()
            .into_iter()
            .filter_map(|(id, record)| {
                Some(DeviceInfo {
                    id,
                    name: record.name.as_str().to_owned(),
                    role: role_of(&id)?,
                    writers: space.roster.writers_of(&id).copied().collect(),
                    linked_by: space.roster.added_by(&id),
                })
            })
            .collect();
        let public = space.is_of_the_public();
        SpaceInfo {
            id: space.id,
            name: space.record.name.clone(),
            is_home: space.record.is_home,
            role: role_of(&self.keys.id()).or(public.then_some(Role::Reader)),
            was_public: space.is_outside() && !public && space.roster.was_public(),
            is_part: space.part.is_some(),
            known_from_ms: space.known_from_ms(),
            documents: 0,
            entries: space.writers.values().map(|w| w.record.tip.len()).sum(),
            waiting: space.writers.values().map(waiting).sum(),
            skipped: space.writers.values().map(|w| w.record.skipped).sum(),
            frozen: space
                .writers
                .iter()
                .filter(|(_, w)| w.record.frozen.is_some())
                .map(|(id, _)| *id)
                .collect(),
            devices,
        }
    }

    /// What a space on this device is called.
    pub fn space_name(&self, id: &SpaceId) -> Option<&str> {
        Some(self.spaces.get(id)?.record.name.as_str())
    }

    /// Finds a space by its name or by the start of its id (at least 4 digits).
    pub fn find_space(&self, wanted: &str) -> Result<SpaceId, ReplicaError> {
        let named = |space: &&SpaceState| space.record.name == wanted;
        let by_id =
            |space: &&SpaceState| wanted.len() >= 4 && space.id.to_string().starts_with(wanted);
        let mut found: Vec<SpaceId> = self
            .spaces
            .values()
            .filter(named)
            .map(|space| space.id)
            .collect();
        if found.is_empty() {
            found = self
                .spaces
                .values()
                .filter(by_id)
                .map(|space| space.id)
                .collect();
        }
        match found[..] {
            [id] => Ok(id),
            [] => Err(ReplicaError::NoSuchSpace {
                name: wanted.to_owned(),
            }),
            _ => Err(ReplicaError::AmbiguousSpace {
                name: wanted.to_owned(),
                ids: found,
            }),
        }
    }

    /// Lengths and roots of the logs of a space, as peers compare them; by writer.
    pub fn frontier(&self, space: &SpaceId) -> Result<Vec<FrontierItem>, ReplicaError> {
        self.space(space).map(|space| {
            let item = |(writer, state): (&WriterId, &WriterState)| FrontierItem {
                writer: *writer,
                len: state.record.tip.len(),
                root: state.record.tip.root(),
                frozen: state.is_frozen(),
            };
            space
                .writers
                .iter()
                .filter(|(id, state)| !state.record.tip.is_empty() && !space.is_thin(id))
                .map(item)
                .collect()
        })
    }

    /// What happened since the last call.
    pub fn drain_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Makes every committed write safe from a loss of power. It waits for no signature: logs are signed before
    /// they leave the device.
    pub fn flush(&mut self) -> Result<(), ReplicaError> {
        self.store.flush()?;
        self.collect_heads();
        Ok(())
    }

    /// Moves everything into the main database file, so that a copy of it is complete.
    pub fn checkpoint(&mut self) -> Result<(), ReplicaError> {
        Ok(self.store.checkpoint()?)
    }

    pub(crate) fn space(&self, id: &SpaceId) -> Result<&SpaceState, ReplicaError> {
        self.spaces
            .get(id)
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })
    }
}

fn load_numbers(store: &Store) -> Result<Numbers, ReplicaError> {
    let fields = store
        .names()?
        .into_iter()
        .map(|(_, name)| name.into_boxed_str());
    let writers = store.get_meta(WRITER_NUMBERS)?.unwrap_or_default();
    let writers = writers
        .chunks_exact(32)
        .filter_map(|id| id.try_into().ok().map(WriterId::from_bytes));
    Ok(Numbers::load(fields, writers))
}

/// Saves the numbers given since `saved`, in the transaction that writes the rows that use them.
pub(crate) fn save_numbers(
    tx: &Tx<'_>,
    numbers: &Numbers,
    saved: (usize, usize),
) -> Result<(usize, usize), ReplicaError> {
    for name in &numbers.fields()[saved.0..] {
        tx.intern_name(name)?;
    }
    if numbers.writers().len() > saved.1 {
        let ids: Vec<u8> = numbers
            .writers()
            .iter()
            .flat_map(|id| *id.as_bytes())
            .collect();
        tx.put_meta(WRITER_NUMBERS, &ids)?;
    }
    Ok((numbers.fields().len(), numbers.writers().len()))
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Err(error) = self.store.settle() {
            tracing::warn!(%error, "what was acknowledged stays in the journal for the next start");
        }
        if let Some(desk) = &self.signing {
            desk.close();
        }
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("device", &self.keys.id())
            .field("spaces", &self.spaces.len())
            .finish()
    }
}
