//! Spaces and who is in them: founding, joining, leaving, letting devices in.

use std::collections::BTreeMap;

use serde_json::json;
use stead_access::{
    Card, DeviceRecord, Lengths, Name, Path, RosterOp, ScopedKey, StartEpoch, encode_ops,
    sign_genesis,
};
use stead_base::limits::{NAME_BYTES_MAX, SPACES_MAX};
use stead_base::{DecodeError, Decoder, DocId, Encoder, ScopeId, SpaceId};
use stead_crypt::{EpochKey, RootKey};
use stead_log::{EntryRef, Envelope, Tip};
use stead_store::{Query, Read};
use zeroize::Zeroizing;

use crate::identity::{CARDS, HOME_NAME, OutOfStep};
use crate::records::{SpaceRecord, WriterRecord};
use crate::recovery::home_nonce;
use crate::sealing::Sealing;
use crate::space::{OwnWriter, SpaceState, WriterState, membership_secret};
use crate::writing::Writing;
use crate::{Change, Edit, Event, Replica, ReplicaError};

/// Home collection in which each device says where it may be reached.
const DEVICES: &str = "devices";
/// Home collection that lists this person's spaces.
pub(crate) const SPACES: &str = "spaces";
const TICKET_KEYS_MAX: usize = 1024;

/// What a device needs to take part in a space: given only to devices that were let in, and only
/// sealed to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceTicket {
    /// Which space.
    pub id: SpaceId,
    /// Its name.
    pub name: String,
    /// Proves membership to peers; see `docs/protocol/sync.md`.
    pub secret: [u8; 32],
    keys: Vec<ScopedKey>,
}

impl SpaceTicket {
    /// What it takes to find a space whose keys come by key boxes.
    pub(crate) const fn bare(id: SpaceId, name: String, secret: [u8; 32]) -> Self {
        Self {
            id,
            name,
            secret,
            keys: Vec::new(),
        }
    }

    /// The ticket to a space, with these keys of it.
    pub(crate) fn of(space: &SpaceState, keys: Vec<ScopedKey>) -> Self {
        Self {
            id: space.id,
            name: space.record.name.clone(),
            secret: space.record.secret,
            keys,
        }
    }

    /// The epoch keys that come with it.
    pub(crate) fn keys(&self) -> &[ScopedKey] {
        &self.keys
    }

    /// The ticket of someone who may hold and relay the space's logs but not read them.
    pub fn without_keys(self) -> Self {
        Self {
            keys: Vec::new(),
            ..self
        }
    }

    /// Appends the ticket; it holds keys, so seal what comes out.
    pub fn encode(&self, out: &mut Encoder) {
        out.raw(self.id.as_bytes())
            .text(&self.name)
            .raw(&self.secret)
            .uint(self.keys.len() as u64);
        for key in &self.keys {
            out.uint(key.scope.number())
                .uint(key.generation.into())
                .raw(key.key.expose());
        }
    }

    /// Reads a ticket.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let id = SpaceId::from_bytes(input.array("space id")?);
        let name = input.text(NAME_BYTES_MAX, "space name")?.to_owned();
        let secret = input.array("membership secret")?;
        let keys = (0..input.count(TICKET_KEYS_MAX, 34, "epoch keys")?)
            .map(|_| {
                Ok(ScopedKey {
                    scope: ScopeId::from_number(input.uint("scope")?),
                    generation: input.uint_max(u32::MAX.into(), "generation")? as u32,
                    key: EpochKey::from_bytes(&Zeroizing::new(input.array("epoch key")?)),
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        Ok(Self {
            id,
            name,
            secret,
            keys,
        })
    }
}

impl Replica {
    /// Makes a space of this person's, lets all their devices in and lists it in the home space.
    pub fn create_space(&mut self, name: &str, now_ms: u64) -> Result<SpaceId, ReplicaError> {
        self.make_space(name, &[], now_ms)
    }

    /// Makes a space with its first documents, as one unit.
    pub(crate) fn make_space(
        &mut self,
        name: &str,
        first: &[Edit],
        now_ms: u64,
    ) -> Result<SpaceId, ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        Name::new(name).map_err(|error| ReplicaError::Refused(error.to_string()))?;
        if self.spaces.values().any(|space| space.record.name == name) {
            return Err(ReplicaError::Refused(format!(
                "there is already a space called {name:?} on this device"
            )));
        }
        let card = self.card()?;
        let id = self.write(now_ms, |writing| {
            let id = writing.found(name, Some(card))?;
            writing.list_in_home(&home, &id)?;
            if !first.is_empty() {
                writing.transact(&id, first)?;
            }
            Ok::<_, ReplicaError>(id)
        })?;
        self.reconcile(now_ms)?;
        Ok(id)
    }

    /// Brings spaces and the home space in step: opens spaces that another device listed, adds and
    /// removes this person's devices in each space as the home space says, renews keys that
    /// miss a removal, and reads letters. Returns whether anything was done.
    pub fn reconcile(&mut self, now_ms: u64) -> Result<bool, ReplicaError> {
        self.mend_beginnings(now_ms)?;
        let done = self.reconcile_rosters(now_ms)? | self.tend_redactions(now_ms)?;
        if !self.letters_wait() {
            return Ok(done);
        }
        match self.read_letters(now_ms) {
            Ok(heeded) => Ok(done || heeded),
            // They are read once the home space can be written again.
            Err(ReplicaError::NotAdmitted { .. } | ReplicaError::Refused(_)) => Ok(done),
            Err(error) => Err(error),
        }
    }

    fn reconcile_rosters(&mut self, now_ms: u64) -> Result<bool, ReplicaError> {
        for space in self.spaces.values_mut() {
            space.reconcile_due = None;
        }
        let Some(home) = self.home() else {
            return Ok(false);
        };
        let missing = self.listed_but_missing(&home)?;
        let others = self.spaces.keys().filter(|id| **id != home);
        let out_of_step: Vec<(SpaceId, OutOfStep)> = others
            .filter_map(|id| Some((*id, self.out_of_step(&home, id)?)))
            .collect();
        let stale = self.spaces_to_rekey();
        let ended = self.removals_to_confirm(now_ms);
        let own = self.device();
        let asked = self.spaces_asked_for_keys();
        let lacking = self.spaces.values();
        let lacking: Vec<SpaceId> = lacking
            .filter(|space| space.newest_key(ScopeId::ROSTER).is_some())
            .filter(|space| !space.unserved(&own).is_empty())
            .map(|space| space.id)
            .collect();
        let (asks, answers) = (self.asks_to_make(now_ms), self.asks_to_answer(now_ms));
        let groups = self.group_work(&home)?;
        let unscoped: Vec<SpaceId> = self.spaces_to_scope()?;
        let in_step = missing.is_empty() && out_of_step.is_empty();
        let keyed = stale.is_empty() && asked.is_empty() && lacking.is_empty();
        let keyed = keyed && asks.is_empty() && answers.is_empty();
        if in_step && keyed && ended.is_empty() && groups.is_empty() && unscoped.is_empty() {
            return Ok(false);
        }
        let before = self.roster_entries();
        let answered = !answers.is_empty();
        self.write(now_ms, |writing| {
            for ticket in &missing {
                writing.join(ticket, false)?;
            }
            for (id, steps) in &out_of_step {
                for record in &steps.missing {
                    writing.add_own_device(id, steps.identity, record)?;
                }
                for device in &steps.gone {
                    writing.take_own_device(id, steps.identity, device, None, false)?;
                }
            }
            writing.do_group_work(&home, &groups)?;
            for (id, remove) in ended {
                writing.confirm_removal(&id, remove)?;
            }
            for id in &stale {
                writing.renew_if_allowed(id)?;
            }
            for id in &asked {
                writing.declare_asked_keys(id)?;
            }
            for id in &unscoped {
                writing.tend_scopes(id)?;
            }
            for id in &lacking {
                writing.serve_readers(id)?;
            }
            for (id, ask) in asks {
                writing.ask_for_keys(&id, ask)?;
            }
            for (id, answers) in answers {
                writing.answer_asks(&id, answers)?;
            }
            Ok::<_, ReplicaError>(())
        })?;
        let done = !missing.is_empty() || !lacking.is_empty() || !groups.opens.is_empty();
        Ok(done || answered || self.roster_entries() != before)
    }

    /// When [`Self::reconcile`] is due though nothing new came: something waits for a time.
    pub fn reconcile_due(&self) -> Option<u64> {
        let spaces = self.spaces.values();
        spaces.filter_map(|space| space.reconcile_due).min()
    }

    /// How many roster entries all spaces hold: whether anything was said.
    fn roster_entries(&self) -> usize {
        let spaces = self.spaces.values();
        spaces.map(SpaceState::roster_entries).sum()
    }

    /// Opens an empty replica of a space that this device was let into; syncing fills it.
    pub fn join_space(
        &mut self,
        ticket: &SpaceTicket,
        is_home: bool,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        if self.spaces.contains_key(&ticket.id) {
            return Ok(());
        }
        if is_home && self.home().is_some() {
            return Err(ReplicaError::Refused(
                "this device already belongs to an identity".to_owned(),
            ));
        }
        self.write(now_ms, |writing| writing.join(ticket, is_home))
    }

    /// Removes a space and everything of it from this device. Other devices keep theirs.
    pub fn leave_space(&mut self, id: &SpaceId, now_ms: u64) -> Result<(), ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        if *id == home {
            let reason = "the home space is this device's identity: it cannot be left";
            return Err(ReplicaError::Refused(reason.to_owned()));
        }
        self.space(id)?;
        let device = self.device();
        self.write(now_ms, |writing| {
            let path = vec!["left".to_owned(), device.to_string()];
            let change = Change::Set {
                path,
                value: json!(true),
            };
            writing.transact(
                &home,
                &[Edit {
                    collection: SPACES.to_owned(),
                    id: Some(space_doc(id)?),
                    change,
                }],
            )?;
            let no = writing.space(id)?.no;
            writing.tx.remove_space(no)?;
            crate::part::forget(&writing.tx, id)?;
            writing.spaces.remove(id);
            writing.collections.retain(|(space, _), _| space != id);
            writing.schemas.retain(|(space, _), _| space != id);
            writing.shared.forget(id);
            writing.events.push(Event::SpaceLeft { space: *id });
            Ok(())
        })
    }

    /// Whether this device's identity holds nothing yet that another device or person could miss.
    pub fn home_is_blank(&self) -> Result<bool, ReplicaError> {
        let Some(home) = self.home() else {
            return Ok(true);
        };
        let space = self.space(&home)?;
        let others = self.spaces.len() > 1 || space.roster.devices().len() > 1;
        let mut listed = 0;
        for collection in self.store.collections(space.no)? {
            if ![DEVICES, CARDS].contains(&collection.name.as_str()) {
                listed += self.store.count(&Query::all(collection.no))?;
            }
        }
        Ok(!others && listed == 0)
    }

    /// Gives up a blank identity, so that this device can be linked to another one.
    pub fn abandon_blank_home(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        let Some(home) = self.home() else {
            return Ok(());
        };
        if !self.home_is_blank()? {
            return Err(ReplicaError::Refused(
                "this device already belongs to an identity with data of its own".to_owned(),
            ));
        }
        self.forget_home(&home, now_ms)
    }

    /// What another device of this person needs to take part in a space.
    pub fn ticket(&self, id: &SpaceId) -> Option<SpaceTicket> {
        self.ticket_for(id, &Path::whole_space())
    }

    /// What somebody needs to take part in a space who was let in at `path`: of the keys, those they
    /// may have.
    pub fn ticket_for(&self, id: &SpaceId, path: &Path) -> Option<SpaceTicket> {
        let space = self.spaces.get(id)?;
        Some(SpaceTicket::of(space, space.keys_at(path)))
    }

    /// The secret that proves membership of a space to peers.
    pub fn membership_secret(&self, id: &SpaceId) -> Option<[u8; 32]> {
        self.spaces.get(id).map(|space| space.record.secret)
    }

    fn listed_but_missing(&self, home: &SpaceId) -> Result<Vec<SpaceTicket>, ReplicaError> {
        let Some(collection) = self.store.collection(self.space(home)?.no, SPACES)? else {
            return Ok(Vec::new());
        };
        let device = self.device();
        let mut missing = Vec::new();
        for found in self.store.query(&Query::all(collection))? {
            let (Ok(id), Ok(listed)) = (
                found.id.to_string().parse(),
                serde_json::from_str::<serde_json::Value>(&found.json),
            ) else {
                continue;
            };
            let left = listed["left"][device.to_string()] == json!(true);
            if left || self.spaces.contains_key(&id) {
                continue;
            }
            let secret = listed["secret"]
                .as_str()
                .and_then(|text| text.parse::<stead_base::Hash>().ok());
            if let (Some(secret), Some(name)) = (secret, listed["name"].as_str()) {
                let name = Name::from_any(name).as_str().to_owned();
                missing.push(SpaceTicket {
                    id,
                    name,
                    secret: *secret.as_bytes(),
                    keys: Vec::new(),
                });
            }
        }
        Ok(missing)
    }
}

impl Writing<'_> {
    /// Founds a space: its id is the hash of the entry made here.
    pub(crate) fn found(
        &mut self,
        name: &str,
        card: Option<Card>,
    ) -> Result<SpaceId, ReplicaError> {
        self.found_with(name, None, card)
    }

    /// Founds the home space of the person of `root`.
    pub(crate) fn found_home_of(
        &mut self,
        root: &RootKey,
        card: Card,
    ) -> Result<SpaceId, ReplicaError> {
        self.found_with(HOME_NAME, Some(root), Some(card))
    }

    fn found_with(
        &mut self,
        name: &str,
        home_of: Option<&RootKey>,
        card: Option<Card>,
    ) -> Result<SpaceId, ReplicaError> {
        if self.spaces.len() >= SPACES_MAX {
            return Err(ReplicaError::Refused(format!(
                "this device has {SPACES_MAX} spaces already"
            )));
        }
        let roster_key = EpochKey::generate(&mut *self.entropy);
        let root_key = EpochKey::generate(&mut *self.entropy);
        let mut seed = Zeroizing::new([0; 32]);
        self.entropy.fill(&mut *seed);
        let (mut nonce, mut salt) = ([0; 32], [0; 4]);
        self.entropy.fill(&mut nonce);
        self.entropy.fill(&mut salt);
        let own = OwnWriter {
            rosters: 1,
            ..OwnWriter::from_seed(&seed)
        };
        if let Some(root) = home_of {
            nonce = home_nonce(root, &own.id);
        }
        let name = Name::from_any(name);
        let device = DeviceRecord::of(self.keys, Name::from_any(self.device_name));
        let signature = sign_genesis(
            self.keys.signing(),
            &own.id,
            &nonce,
            &name,
            &device,
            card.as_ref(),
        );
        let epoch = |scope, key: &EpochKey| {
            RosterOp::Epoch(StartEpoch {
                scope,
                generation: 0,
                key: key.id(),
                knows: Lengths::none(),
                previous: Vec::new(),
                for_parent: Vec::new(),
            })
        };
        let ops = [
            RosterOp::Genesis {
                name: name.clone(),
                nonce,
                device,
                card,
                signature,
            },
            epoch(ScopeId::ROSTER, &roster_key),
            epoch(ScopeId::ROOT, &root_key),
        ];
        let roster = encode_ops(&ops);
        let secret = membership_secret(&roster_key);
        let hlc = self.clock.tick(self.now_ms);
        let space = SpaceId::from_bytes([0; 32]);
        let sealing = Sealing {
            roster_key: (0, &roster_key),
            doc_keys: BTreeMap::new(),
            space,
            writer: own.id,
            seq: 0,
            salt,
        };
        let entry = sealing.genesis(
            &Envelope {
                hlc,
                seen: Vec::new(),
                rosters: Some(1),
                by_itself: false,
            },
            &roster,
        )?;
        let leaf = EntryRef::parse(&entry)
            .map_err(|source| ReplicaError::Record {
                what: "genesis entry",
                source,
            })?
            .leaf_hash();
        let id = SpaceId::from_bytes(*leaf.as_bytes());

        let record = SpaceRecord {
            name: name.as_str().to_owned(),
            is_home: home_of.is_some(),
            secret,
            ..SpaceRecord::default()
        };
        let no = self.tx.put_space(&id, &record.encode())?;
        let mut state = SpaceState::from_record(id, no, record, self.keys)?;
        state.add_key(ScopeId::ROSTER, 0, &roster_key, self.keys, self.entropy)?;
        state.add_key(ScopeId::ROOT, 0, &root_key, self.keys, self.entropy)?;
        let writer = own.id;
        state.set_own(own, &seed, self.keys, self.entropy)?;
        let mut tip = Tip::default();
        let node = tip.append(leaf);
        if let Some(own) = &state.own {
            tip.sign(&id, &own.key);
        }
        let record = WriterRecord {
            read: 1,
            last_hlc: hlc,
            applied_hlc: hlc,
            ..WriterRecord::default()
        };
        let writer_no = self
            .tx
            .put_writer(no, &writer, 0, 0, &record.encode(), &[])?;
        let record = WriterRecord { tip, ..record };
        state
            .writers
            .insert(writer, WriterState::new(writer_no, record, 1));
        state.add_roster(&writer, 0, true, &roster);
        state.use_declared_keys();
        self.shared.publish(&state);
        self.spaces.insert(id, state);
        let mut bytes = Vec::with_capacity(entry.len() + 4);
        stead_base::codec::put_uint(&mut bytes, entry.len() as u64);
        bytes.extend_from_slice(&entry);
        self.store_entries(&id, &writer, 0, &bytes, node.as_slice())?;
        self.roster_changed(&id);
        self.events.push(Event::SpaceAdded { space: id });
        Ok(id)
    }

    pub(crate) fn join(&mut self, ticket: &SpaceTicket, is_home: bool) -> Result<(), ReplicaError> {
        let name = ticket.name.clone();
        let record = SpaceRecord {
            name,
            is_home,
            secret: ticket.secret,
            ..SpaceRecord::default()
        };
        let no = self.tx.put_space(&ticket.id, &record.encode())?;
        let mut state = SpaceState::from_record(ticket.id, no, record, self.keys)?;
        for key in &ticket.keys {
            state.add_key(key.scope, key.generation, &key.key, self.keys, self.entropy)?;
        }
        self.shared.publish(&state);
        self.spaces.insert(ticket.id, state);
        self.dirty_space(&ticket.id);
        self.events.push(Event::SpaceAdded { space: ticket.id });
        match is_home {
            true => Ok(()),
            false => self.keep_as_wished(&ticket.id),
        }
    }

    pub(crate) fn list_in_home(
        &mut self,
        home: &SpaceId,
        id: &SpaceId,
    ) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        let secret = stead_base::Hash::from_bytes(space.record.secret).to_string();
        let value = json!({ "name": space.record.name, "secret": secret });
        let change = Change::Put {
            value,
            replace: false,
        };
        self.transact(
            home,
            &[Edit {
                collection: SPACES.to_owned(),
                id: Some(space_doc(id)?),
                change,
            }],
        )?;
        Ok(())
    }
}

/// The home document that lists a space.
fn space_doc(id: &SpaceId) -> Result<DocId, ReplicaError> {
    DocId::parse(&id.to_string()).map_err(|error| ReplicaError::Refused(error.to_string()))
}
