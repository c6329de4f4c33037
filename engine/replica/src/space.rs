//! One space in memory: who is in it, which keys are held, where each log stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use stead_access::{
    Action, Change, KeyBox, KeyPlace, Lengths, OpId, Path, Roster, RosterOp, ScopedKey, Stale,
    decode_ops, open_keys,
};
use stead_base::{DeviceId, Hash, Hlc, ScopeId, SpaceId, WriterId};
use stead_crypt::{DeviceKeys, EpochKey, KeyId, SigningKey, wrapkey};
use stead_store::{SpaceNo, WriterNo};

use crate::ReplicaError;
use crate::everyone::Everyone;
use crate::keyring::KeyRing;
use crate::records::{RosterEntry, SpaceRecord, WrappedKey, WriterRecord};

/// Keys kept that no member has declared.
const UNDECLARED_KEYS_MAX: usize = 64;

/// A writer's log in memory: small, whatever its length.
#[derive(Debug, Clone)]
pub(crate) struct WriterState {
    pub(crate) no: WriterNo,
    pub(crate) record: WriterRecord,
    /// Entries whose operations were taken: documents contain them, or will once what is gathered
    /// is merged.
    pub(crate) applied: u64,
    /// What of that documents contain. This is what the store knows of.
    pub(crate) merged: Progress,
    /// When the next entry may count, if it waits for its time.
    pub(crate) due_ms: Option<u64>,
}

/// How far a log has gone into documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) applied: u64,
    /// Time of the last of these entries that counted.
    pub(crate) hlc: Hlc,
    /// Entries among them that this version cannot read.
    pub(crate) skipped: u64,
}

impl WriterState {
    /// A log as the store knows it.
    pub(crate) fn new(no: WriterNo, record: WriterRecord, applied: u64) -> Self {
        let merged = Progress {
            applied,
            hlc: record.applied_hlc,
            skipped: record.skipped,
        };
        Self {
            no,
            record,
            applied,
            merged,
            due_ms: None,
        }
    }

    /// Everything taken is in the documents.
    pub(crate) const fn all_merged(&mut self) {
        self.merged = Progress {
            applied: self.applied,
            hlc: self.record.applied_hlc,
            skipped: self.record.skipped,
        };
    }

    /// The record as the store is to keep it: of what documents contain.
    pub(crate) fn encode_record(&self) -> Vec<u8> {
        if self.merged.applied == self.applied {
            return self.record.encode();
        }
        WriterRecord {
            applied_hlc: self.merged.hlc,
            skipped: self.merged.skipped,
            ..self.record.clone()
        }
        .encode()
    }

    /// Whether a fork froze the log and all that its histories share is here: nothing may follow.
    pub(crate) fn is_frozen(&self) -> bool {
        let frozen = self.record.frozen;
        frozen.is_some_and(|frozen| frozen <= self.record.tip.len())
    }

    /// Entries that may count: all that are held, or those before a fork.
    pub(crate) fn accepted(&self) -> u64 {
        self.record.frozen.map_or(self.record.tip.len(), |frozen| {
            frozen.min(self.record.tip.len())
        })
    }
}

/// The writer this store writes a space with.
pub(crate) struct OwnWriter {
    pub(crate) id: WriterId,
    pub(crate) key: Arc<SigningKey>,
    /// Entries of its log with a `@roster` parcel.
    pub(crate) rosters: u64,
}

/// A space in memory.
pub(crate) struct SpaceState {
    pub(crate) id: SpaceId,
    /// This device.
    pub(crate) device: DeviceId,
    pub(crate) no: SpaceNo,
    pub(crate) record: SpaceRecord,
    pub(crate) roster: Roster,
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) own: Option<OwnWriter>,
    pub(crate) writers: BTreeMap<WriterId, WriterState>,
    /// Lengths of other logs at this device's last entry, for the next envelope.
    pub(crate) seen: BTreeMap<WriterId, u64>,
    /// Keys that came in a box and that no member has declared yet: they are not used.
    undeclared: Vec<ScopedKey>,
    /// A second key of a generation came: what did not open under the first may open now.
    pub(crate) reread: bool,
    /// Scopes under whose epoch nothing may be sealed: it misses a removal.
    pub(crate) stale: BTreeSet<ScopeId>,
    /// While keys are handed on whose declaration was lost: what is said of that is sealed under an
    /// earlier generation of `@roster` than this, which all have.
    pub(crate) said_below: Option<u32>,
    /// Ends of memberships that are to be confirmed, and since when that is known here.
    pub(crate) unconfirmed: BTreeMap<OpId, u64>,
    /// When something that waits in the space is due that no news brings about.
    pub(crate) reconcile_due: Option<u64>,
    /// Keys that do not come, here and elsewhere.
    pub(crate) asking: crate::asking::Asking,
    /// Roster entries in which letters to this device were looked for.
    pub(crate) letters_read: usize,
    /// Starts that turned out to be no good.
    pub(crate) bad_starts: BTreeSet<OpId>,
    /// The checkpoints that are whole and count, where parts are shared, and what they cover: the starts of
    /// the parts are to go on from there.
    pub(crate) checkpointed: BTreeMap<WriterId, Lengths>,
    /// Whether history begins with something that a removal made void, by so many entries of the roster.
    pub(crate) is_void: bool,
    pub(crate) judged: usize,
    /// What is kept of the space, where that is not all.
    pub(crate) part: Option<crate::part::Part>,
    /// Made when first needed.
    pub(crate) everyone: OnceLock<Everyone>,
}

impl SpaceState {
    /// Rebuilds a space from its record; writers are added by the caller.
    pub(crate) fn from_record(
        id: SpaceId,
        no: SpaceNo,
        record: SpaceRecord,
        keys: &DeviceKeys,
    ) -> Result<Self, ReplicaError> {
        let mut held = Vec::new();
        for key in &record.keys {
            let context = key_context(&id, key.scope, key.generation);
            let bytes = wrapkey::open(keys.storage(), &context, &key.wrapped)
                .ok()
                .and_then(|bytes| <[u8; 32]>::try_from(&bytes[..]).ok())
                .ok_or(ReplicaError::ForeignKeys)?;
            let (scope, generation) = (key.scope, key.generation);
            held.push(ScopedKey {
                scope,
                generation,
                key: EpochKey::from_bytes(&bytes),
            });
        }
        let own = match &record.own {
            None => None,
            Some((writer, seed)) => {
                let seed = wrapkey::open(keys.storage(), &writer_context(&id, writer), seed)
                    .ok()
                    .and_then(|seed| <[u8; 32]>::try_from(&seed[..]).ok())
                    .ok_or(ReplicaError::ForeignKeys)?;
                let said = record.roster.iter().filter(|said| said.writer == *writer);
                Some(OwnWriter {
                    id: *writer,
                    key: Arc::new(SigningKey::from_seed(&seed)),
                    rosters: said.count() as u64,
                })
            }
        };
        let roster = roster_of(id, &record.roster);
        let mut space = Self {
            id,
            device: keys.id(),
            no,
            record,
            roster,
            ring: Arc::default(),
            own,
            writers: BTreeMap::new(),
            seen: BTreeMap::new(),
            undeclared: held,
            reread: false,
            stale: BTreeSet::new(),
            said_below: None,
            unconfirmed: BTreeMap::new(),
            reconcile_due: None,
            asking: Default::default(),
            letters_read: 0,
            bad_starts: BTreeSet::new(),
            checkpointed: BTreeMap::new(),
            is_void: false,
            judged: 0,
            part: None,
            everyone: OnceLock::new(),
        };
        space.note_stale();
        space.use_declared_keys();
        space.reread = false;
        Ok(space)
    }

    /// Keeps an epoch key, and uses it as soon as it is known to be the space's. Returns whether
    /// it is used now and was not before.
    pub(crate) fn add_key(
        &mut self,
        scope: ScopeId,
        generation: u32,
        key: &EpochKey,
        device: &DeviceKeys,
        entropy: &mut dyn stead_base::Entropy,
    ) -> Result<bool, ReplicaError> {
        let used = self.ring.find(scope, generation, &key.id()).is_some();
        let same = |held: &ScopedKey| {
            held.scope == scope && held.generation == generation && held.key == *key
        };
        let declared = (self.roster).may_open_under(scope, generation, &key.id());
        let refused = self.has_enough_undeclared_keys() && !declared;
        if used || self.undeclared.iter().any(same) || refused {
            return Ok(false);
        }
        let context = key_context(&self.id, scope, generation);
        let wrapped = wrapkey::seal(device.storage(), &context, key.expose(), entropy)
            .map_err(|_| ReplicaError::ForeignKeys)?;
        self.record.keys.push(WrappedKey {
            scope,
            generation,
            wrapped,
        });
        self.undeclared.push(ScopedKey {
            scope,
            generation,
            key: EpochKey::from_bytes(key.expose()),
        });
        Ok(self.use_declared_keys())
    }

    /// Whether keys that nobody declared are not kept any more: any member can send such keys.
    pub(crate) fn has_enough_undeclared_keys(&self) -> bool {
        self.undeclared.len() >= UNDECLARED_KEYS_MAX
    }

    /// Whether a key is kept that no member has declared.
    pub(crate) fn keeps_undeclared(&self, scope: ScopeId, generation: u32, key: &KeyId) -> bool {
        let mut kept = self.undeclared.iter();
        kept.any(|it| (it.scope, it.generation) == (scope, generation) && it.key.id() == *key)
    }

    /// Uses the kept keys that are known to be the space's: the first roster key by the membership
    /// secret, all others because someone who manages, or managed, their scope declared them.
    /// Returns whether there were any.
    pub(crate) fn use_declared_keys(&mut self) -> bool {
        let mut any = false;
        let mut second = false;
        let (secret, roster) = (&self.record.secret, &self.roster);
        let ring = &mut self.ring;
        self.undeclared.retain(|held| {
            let founding = held.scope == ScopeId::ROSTER && held.generation == 0;
            let known = founding && membership_secret(&held.key) == *secret;
            if !known && !roster.may_open_under(held.scope, held.generation, &held.key.id()) {
                return true;
            }
            let key = EpochKey::from_bytes(held.key.expose());
            second |= !ring.of(held.scope, held.generation).is_empty();
            any |= Arc::make_mut(ring).insert(held.scope, held.generation, key);
            false
        });
        self.reread |= second && any;
        let mut incomplete = BTreeSet::new();
        for scope in self.roster.scopes().keys() {
            for epoch in self.roster.epochs(*scope) {
                if self
                    .ring
                    .find(*scope, epoch.generation, &epoch.key)
                    .is_none()
                {
                    incomplete.insert((*scope, epoch.generation));
                }
            }
        }
        if *self.ring.incomplete() != incomplete {
            Arc::make_mut(&mut self.ring).set_incomplete(incomplete);
            any = true;
        }
        let scopes: BTreeMap<ScopeId, bool> = self
            .roster
            .places()
            .map(|(scope, path)| (scope, self.reads_at(path)))
            .collect();
        if *self.ring.scopes() != scopes {
            Arc::make_mut(&mut self.ring).set_scopes(scopes);
            any = true;
        }
        any
    }

    /// Whether this device reads what is at `path`. Once it was put out it goes on reading what it
    /// did, as far as its keys go.
    fn reads_at(&self, path: &Path) -> bool {
        if self.takes_part() {
            return self.roster.can(&self.device, path, Action::Read);
        }
        let mut roots = self.record.view.keys();
        roots.any(|root| {
            self.roster
                .place_of(*root)
                .is_some_and(|at| at.covers(path))
        })
    }

    /// The root of the view that a scope belongs to.
    pub(crate) fn root_of(&self, scope: ScopeId) -> Option<ScopeId> {
        let path = self.roster.place_of(scope)?;
        let mut roots = self.record.view.keys();
        let covers = |root: &&ScopeId| {
            self.roster
                .place_of(**root)
                .is_some_and(|at| at.covers(path))
        };
        roots.find(covers).copied()
    }

    /// How many entries speak of rights.
    pub(crate) const fn roster_entries(&self) -> usize {
        self.record.roster.len()
    }

    /// Whether this device reads the whole space, not parts of it alone.
    pub(crate) fn reads_whole(&self) -> bool {
        match self.roots() {
            Some(roots) => roots.contains(&ScopeId::ROOT),
            None => self.record.view.contains_key(&ScopeId::ROOT),
        }
    }

    /// Whether this device is a member, or reads what is public.
    fn takes_part(&self) -> bool {
        self.is_member(&self.device) || self.is_of_the_public()
    }

    /// The outermost scopes that this device reads now; none if it takes no part.
    pub(crate) fn roots(&self) -> Option<BTreeSet<ScopeId>> {
        self.takes_part()
            .then(|| self.roster.reading_roots(&self.device))
    }

    /// How much of a log the documents of a scope were begun with.
    pub(crate) fn begun(&self, scope: ScopeId, writer: &WriterId) -> u64 {
        if self.part.is_some() {
            return 0;
        }
        let root = self.root_of(scope);
        let begun = root.and_then(|root| self.record.view.get(&root)?.as_ref());
        begun.map_or(0, |begun| begun.covers.of(writer))
    }

    /// Opens the boxes of an entry that are for this device, or for everyone.
    pub(crate) fn open_boxes(
        &self,
        writer: &WriterId,
        seq: u64,
        boxes: &[KeyBox],
        keys: &DeviceKeys,
    ) -> Vec<ScopedKey> {
        let place = KeyPlace {
            space: self.id,
            granted_at: (*writer, seq),
        };
        let mut opened = Vec::new();
        for key_box in boxes {
            if !key_box.is_for(keys.kem().public(), &self.id) {
                opened.extend(self.open_public_box(&place, key_box));
                continue;
            }
            match open_keys(keys.kem(), &keys.id(), &place, key_box) {
                Ok(keys) => opened.extend(keys),
                Err(error) => {
                    tracing::warn!(%error, space = ?self.id, "a key box for this device does not open")
                }
            }
        }
        opened
    }

    /// Makes `own` the writer of this store, and keeps its seed wrapped.
    pub(crate) fn set_own(
        &mut self,
        own: OwnWriter,
        seed: &[u8; 32],
        device: &DeviceKeys,
        entropy: &mut dyn stead_base::Entropy,
    ) -> Result<(), ReplicaError> {
        let wrapped = wrapkey::seal(
            device.storage(),
            &writer_context(&self.id, &own.id),
            seed,
            entropy,
        )
        .map_err(|_| ReplicaError::ForeignKeys)?;
        self.record.own = Some((own.id, wrapped));
        self.own = Some(own);
        Ok(())
    }

    /// Takes up the roster operations of one entry. Returns what they changed; None if there were
    /// none that were not taken before.
    pub(crate) fn add_roster(
        &mut self,
        writer: &WriterId,
        seq: u64,
        genesis: bool,
        parcel: &[u8],
    ) -> Option<Change> {
        let held = self
            .record
            .roster
            .iter()
            .any(|e| e.seq == seq && e.writer == *writer);
        // A checkpoint's log says what it is in its first entry, and nothing else that counts.
        let is_piece = seq > 0 && self.is_checkpoint(writer);
        if parcel.is_empty() || held || is_piece {
            return None;
        }
        let entry = RosterEntry {
            writer: *writer,
            seq,
            genesis,
            parcel: parcel.to_vec(),
        };
        let mut change = add_to_roster(&mut self.roster, &entry);
        self.record.roster.push(entry);
        // What was too much to keep of a stranger counts once that writer is let in.
        while let Some((writer, from)) = change.reread.pop_first() {
            let missed = self.record.roster.iter();
            let missed = missed.filter(|entry| entry.writer == writer && entry.seq >= from);
            for entry in missed {
                merge_changes(&mut change, add_to_roster(&mut self.roster, entry));
            }
        }
        self.note_stale();
        if let Some(name) = self.roster.name()
            && self.record.name != name.as_str()
        {
            self.record.name = name.as_str().to_owned();
        }
        Some(change)
    }

    fn note_stale(&mut self) {
        let stale = self.roster.stale_scopes().into_iter();
        let misses = stale.filter(|(_, why)| matches!(why, Stale::Misses(_)));
        self.stale = misses.map(|(scope, _)| scope).collect();
    }

    /// Rebuilds the roster without the entries that a fork made void.
    pub(crate) fn rebuild_roster(&mut self) {
        let writers = &self.writers;
        self.record.roster.retain(|entry| {
            writers
                .get(&entry.writer)
                .and_then(|w| w.record.frozen)
                .is_none_or(|frozen| entry.seq < frozen)
        });
        self.roster = roster_of(self.id, &self.record.roster);
        self.letters_read = 0;
        self.note_stale();
    }

    /// Reads the roster again from the entries kept.
    pub(crate) fn reload_roster(&mut self) {
        self.roster = roster_of(self.id, &self.record.roster);
        self.note_stale();
    }

    /// Whether entries of `writer` may count: which of them do is for the roster's verdicts.
    pub(crate) fn admits(&self, writer: &WriterId) -> bool {
        self.roster.is_admitted(writer)
    }

    /// Whether `device` is a member now, in whatever role and wherever.
    pub(crate) fn is_member(&self, device: &DeviceId) -> bool {
        let mut held = self.roster.held_by(device);
        held.any(|membership| membership.is_held_by(device))
    }

    /// Has the space looked at again at a time.
    pub(crate) fn look_again(&mut self, at_ms: u64) {
        let first = self.reconcile_due.map_or(at_ms, |due| due.min(at_ms));
        self.reconcile_due = Some(first);
    }

    /// Whether `writer` is or was one of this store's own.
    pub(crate) fn is_own(&self, writer: &WriterId) -> bool {
        self.own.as_ref().is_some_and(|own| own.id == *writer)
            || self.record.retired.contains(writer)
    }
}

fn merge_changes(all: &mut Change, more: Change) {
    all.admitted.extend(more.admitted);
    all.keys |= more.keys;
    all.members |= more.members;
    all.reread.extend(more.reread);
    for (writer, shift) in more.shifts {
        let noted = all.shifts.entry(writer).or_insert(shift);
        noted.from = noted.from.min(shift.from);
        noted.to = noted.to.max(shift.to);
        noted.lost |= shift.lost;
        noted.gained |= shift.gained;
    }
}

fn roster_ops(entry: &RosterEntry) -> Option<Vec<RosterOp>> {
    decode_ops(&entry.parcel)
        .inspect_err(|error| {
            tracing::debug!(%error, writer = ?entry.writer, "roster parcel not understood");
        })
        .ok()
}

fn add_to_roster(roster: &mut Roster, entry: &RosterEntry) -> Change {
    let Some(ops) = roster_ops(entry) else {
        return Change::default();
    };
    if !entry.genesis {
        return roster.insert(entry.writer, entry.seq, ops);
    }
    roster
        .insert_genesis(entry.writer, ops)
        .unwrap_or_else(|error| {
            tracing::warn!(%error, writer = ?entry.writer, "genesis refused");
            Change::default()
        })
}

/// A roster of stored entries.
pub(crate) fn roster_of(space: SpaceId, entries: &[RosterEntry]) -> Roster {
    let mut roster = Roster::new(space);
    for genesis in entries.iter().filter(|entry| entry.genesis) {
        add_to_roster(&mut roster, genesis);
    }
    let others = entries.iter().filter(|entry| !entry.genesis);
    let change = roster
        .insert_all(others.filter_map(|entry| Some((entry.writer, entry.seq, roster_ops(entry)?))));
    for (writer, from) in change.reread {
        let missed = entries.iter();
        for entry in missed.filter(|entry| entry.writer == writer && entry.seq >= from) {
            add_to_roster(&mut roster, entry);
        }
    }
    roster
}

/// What a wrapped epoch key is bound to.
pub(crate) fn key_context(space: &SpaceId, scope: ScopeId, generation: u32) -> Vec<u8> {
    let mut context = b"epoch key".to_vec();
    context.extend_from_slice(space.as_bytes());
    context.extend_from_slice(&scope.number().to_be_bytes());
    context.extend_from_slice(&generation.to_be_bytes());
    context
}

/// What a wrapped writer seed is bound to.
pub(crate) fn writer_context(space: &SpaceId, writer: &WriterId) -> Vec<u8> {
    [
        b"writer seed".as_slice(),
        space.as_bytes(),
        writer.as_bytes(),
    ]
    .concat()
}

/// The membership secret that a space's first roster key implies.
pub(crate) fn membership_secret(roster_key: &EpochKey) -> [u8; 32] {
    stead_crypt::hash::derive("stead/space-membership/1", roster_key.expose())
}

/// A log's length and root, as peers compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrontierItem {
    /// Whose log.
    pub writer: WriterId,
    /// Entries held that count.
    pub len: u64,
    /// Root over them.
    pub root: Hash,
    /// Whether a fork froze the log at this length.
    pub frozen: bool,
}
