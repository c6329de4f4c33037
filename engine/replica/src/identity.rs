//! This person: their root key, their devices, and the same devices in every space they are in.
//!
//! The home space's roster is the truth about a person's devices. Other spaces get the same
//! additions and removals, each valid by that space's own rules, because a removal has to name
//! lengths of that space's logs. Owns that mirroring and the recovery phrase until it is written down.

use serde_json::json;
use stead_access::{
    AddDevice, AddedBy, Card, CardDevice, DeviceRecord, IdentityId, Lengths, PartyId, RemoveDevice,
    Roster, RosterOp, encode_ops, sign_identity_device, sign_root_statement,
};
use stead_base::{DeviceId, DocId, SpaceId};
use stead_crypt::recovery::{RecoveryPhrase, RootKey};
use stead_crypt::wrapkey;

use crate::space::SpaceState;
use crate::writing::Writing;
use crate::{Change, Edit, Replica, ReplicaError};

/// Home collection in which each device keeps the chain of signatures that leads to it.
pub(crate) const CARDS: &str = "cards";
pub(crate) const PHRASE: &str = "recovery phrase";
pub(crate) const PHRASE_CONTEXT: &[u8] = b"recovery phrase";
pub(crate) const HOME_NAME: &str = "home";

/// One of this person's devices, past ones included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDevice {
    /// Which device.
    pub id: DeviceId,
    /// The name it was added under.
    pub name: String,
    /// Steps from the root key: a device removes those with a greater number, and itself.
    pub rank: u32,
    /// Whether it still acts for this person.
    pub is_current: bool,
}

impl Replica {
    /// Makes this person: a root key, of which only the recovery phrase stays, and the home space,
    /// whose roster is the list of their devices. Nothing changes if there is a home space.
    pub fn create_home(&mut self, now_ms: u64) -> Result<SpaceId, ReplicaError> {
        if let Some(home) = self.home() {
            return Ok(home);
        }
        let phrase = RecoveryPhrase::generate(&mut *self.entropy);
        self.begin_person(&phrase, now_ms)
    }

    /// Who this device's person is.
    pub fn identity(&self) -> Option<IdentityId> {
        let home = self.spaces.get(&self.home()?)?;
        home.identity()
    }

    /// The recovery phrase, as long as it was not said to be written down.
    pub fn recovery_phrase(&self) -> Result<Option<RecoveryPhrase>, ReplicaError> {
        use stead_store::Read;
        let Some(sealed) = self.store.get_secret(PHRASE)? else {
            return Ok(None);
        };
        let bytes = wrapkey::open(self.keys.storage(), PHRASE_CONTEXT, &sealed)
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(&bytes[..]).ok())
            .ok_or(ReplicaError::ForeignKeys)?;
        Ok(Some(RecoveryPhrase::from_entropy(&bytes)))
    }

    /// Forgets the recovery phrase: from now on only the person has it.
    pub fn forget_recovery_phrase(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        self.write(now_ms, |writing| Ok(writing.tx.remove_secret(PHRASE)?))
    }

    /// The devices of this person, by rank and name.
    pub fn own_devices(&self) -> Result<Vec<OwnDevice>, ReplicaError> {
        let home = self.space(&self.home().ok_or(ReplicaError::NoHome)?)?;
        let Some(genesis) = home.roster.genesis() else {
            return Ok(Vec::new());
        };
        let mut found: Vec<OwnDevice> = Vec::new();
        for part in home.roster.parts_of(&genesis.id()) {
            let PartyId::Device(id) = part.party else {
                continue;
            };
            let is_current = part.ended.is_none();
            let name = home.roster.name_of(&id).unwrap_or_default();
            match found.iter_mut().find(|device| device.id == id) {
                Some(device) => {
                    device.is_current |= is_current;
                    device.rank = device.rank.min(part.rank);
                }
                None => found.push(OwnDevice {
                    id,
                    name,
                    rank: part.rank,
                    is_current,
                }),
            }
        }
        found.sort_by(|a, b| (a.rank, &a.name, a.id).cmp(&(b.rank, &b.name, b.id)));
        Ok(found)
    }

    /// Adds a device to this person, in the home space and in every space they are in, and gives it
    /// the keys.
    pub fn grant_device(&mut self, device: &DeviceRecord, now_ms: u64) -> Result<(), ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        let identity = self.identity().ok_or(ReplicaError::NoHome)?;
        let card = self.card()?;
        let spaces: Vec<SpaceId> = self.spaces.keys().copied().collect();
        self.write(now_ms, |writing| {
            let stay = writing.space(&home)?.next_stay(identity, &device.id);
            let own = writing.keys.id();
            let place = card.devices.len().saturating_sub(1) as u32;
            let mut card = card;
            let signature =
                sign_identity_device(writing.keys.signing(), &identity, device, stay, Some(&own));
            card.devices.push(CardDevice {
                record: device.clone(),
                stay,
                added_by: AddedBy::Device(place),
                signature,
            });
            for id in &spaces {
                writing.add_own_device(id, identity, device)?;
            }
            writing.keep_card(&home, &device.id, &card)
        })
    }

    /// Takes a device from this person, here and in every space they are in, and renews all keys
    /// that it had. A device that is not junior to this one can be taken out with the root key.
    pub fn remove_device(
        &mut self,
        device: &DeviceId,
        root: Option<&RootKey>,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        let identity = self.identity().ok_or(ReplicaError::NoHome)?;
        if root.is_some_and(|root| root.public() != *identity.as_bytes()) {
            return Err(ReplicaError::Refused(
                "those are not the recovery words of this identity".to_owned(),
            ));
        }
        if !self
            .own_devices()?
            .iter()
            .any(|own| own.id == *device && own.is_current)
        {
            return Err(ReplicaError::Refused(format!(
                "{} is not one of your devices",
                device.short()
            )));
        }
        let renewed = self.cards_around(device, root)?;
        let mut spaces: Vec<SpaceId> = self.spaces.keys().copied().collect();
        spaces.sort_by_key(|id| *id != home);
        self.write(now_ms, |writing| {
            for id in &spaces {
                writing.take_own_device(id, identity, device, root, *id == home)?;
            }
            for (of, card) in &renewed {
                writing.keep_card(&home, of, card)?;
            }
            Ok(())
        })
    }

    /// New cards for the devices that stay and whose chain of signatures leads through `device`, by
    /// the root key or by this device. Without them it would come along wherever they are let in.
    pub(crate) fn cards_around(
        &self,
        device: &DeviceId,
        root: Option<&RootKey>,
    ) -> Result<Vec<(DeviceId, Card)>, ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        let identity = self.identity().ok_or(ReplicaError::NoHome)?;
        let own = self.device();
        let through = |card: &Card| card.devices.iter().any(|it| it.record.id == *device);
        let base = self.card().ok().filter(|card| !through(card));
        let mut renewed = Vec::new();
        for record in self.space(&home)?.current_devices(identity) {
            let old = match record.id == own {
                true => self.card().ok(),
                false => self.kept_card(&home, &record.id)?,
            };
            let Some(old) = old.filter(|card| record.id != *device && through(card)) else {
                continue;
            };
            let stay = old.devices.last().map_or(0, |last| last.stay);
            let signed =
                |key: &stead_crypt::SigningKey, adder: Option<&DeviceId>, added_by| CardDevice {
                    signature: sign_identity_device(key, &identity, &record, stay, adder),
                    record: record.clone(),
                    stay,
                    added_by,
                };
            let card = match (root, &base) {
                (Some(root), _) => Card {
                    identity,
                    devices: vec![signed(root.signing(), None, AddedBy::Root)],
                },
                (None, Some(base)) => {
                    let mut card = base.clone();
                    let place = card.devices.len().saturating_sub(1) as u32;
                    let key = self.keys.signing();
                    card.devices
                        .push(signed(key, Some(&own), AddedBy::Device(place)));
                    card
                }
                (None, None) => continue,
            };
            renewed.push((record.id, card));
        }
        Ok(renewed)
    }

    fn kept_card(&self, home: &SpaceId, of: &DeviceId) -> Result<Option<Card>, ReplicaError> {
        let found = self.get(home, CARDS, &doc_of(of)?)?;
        Ok(found.and_then(|found| {
            let doc: serde_json::Value = serde_json::from_str(&found.json).ok()?;
            Card::from_bytes(&unhex(doc["card"].as_str()?)?).ok()
        }))
    }

    /// The chain of signatures from this person's root key to this device.
    pub fn card(&self) -> Result<Card, ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        let space = self.space(&home)?;
        let own = self.device();
        let founder = space
            .roster
            .genesis()
            .and_then(|genesis| genesis.card.as_ref());
        if let Some(card) = founder
            && card
                .devices
                .last()
                .is_some_and(|last| last.record.id == own)
        {
            return Ok(card.clone());
        }
        if let Some(card) = self.own_card()? {
            return Ok(card);
        }
        let card = self.kept_card(&home, &own)?;
        card.filter(|card| card.verify().is_ok())
            .ok_or_else(|| {
                ReplicaError::Refused(
                    "this device has not yet received its card from the device that linked it: let the two meet first".to_owned(),
                )
            })
    }

    /// Brings the devices of this person in a space in step with the home space.
    pub(crate) fn out_of_step(&self, home: &SpaceId, id: &SpaceId) -> Option<OutOfStep> {
        let (home, space) = (self.spaces.get(home)?, self.spaces.get(id)?);
        let identity = home.identity()?;
        if !space.acts_for(identity, &self.device()) {
            return None;
        }
        let truth = home.current_devices(identity);
        let here = space.current_devices(identity);
        let missing: Vec<DeviceRecord> = truth
            .iter()
            .filter(|record| !here.iter().any(|other| other.id == record.id))
            .cloned()
            .collect();
        let gone: Vec<DeviceId> = here
            .iter()
            .filter(|record| !truth.iter().any(|other| other.id == record.id))
            .filter(|record| home.had_device(identity, &record.id))
            .map(|record| record.id)
            .collect();
        (!missing.is_empty() || !gone.is_empty()).then_some(OutOfStep {
            identity,
            missing,
            gone,
        })
    }
}

/// How a space's list of this person's devices differs from the home space's.
#[derive(Debug)]
pub(crate) struct OutOfStep {
    pub(crate) identity: IdentityId,
    pub(crate) missing: Vec<DeviceRecord>,
    pub(crate) gone: Vec<DeviceId>,
}

impl SpaceState {
    /// Who founded the space, if it was a person.
    pub(crate) fn identity(&self) -> Option<IdentityId> {
        Some(self.roster.genesis()?.card.as_ref()?.identity)
    }

    /// The devices of a person that is a member.
    pub(crate) fn current_devices(&self, identity: IdentityId) -> Vec<DeviceRecord> {
        let parts = self.roster.person_parts(identity, false);
        let mut found: Vec<DeviceRecord> = Vec::new();
        for record in parts.iter().flat_map(|part| part.devices()) {
            if !found.iter().any(|other| other.id == record.id) {
                found.push(record.clone());
            }
        }
        found
    }

    pub(crate) fn acts_for(&self, identity: IdentityId, device: &DeviceId) -> bool {
        let devices = self.current_devices(identity);
        devices.iter().any(|record| record.id == *device)
    }

    pub(crate) fn had_device(&self, identity: IdentityId, device: &DeviceId) -> bool {
        self.stays(identity, device).max().is_some()
    }

    fn stays(&self, identity: IdentityId, device: &DeviceId) -> impl Iterator<Item = u32> {
        let device = PartyId::Device(*device);
        let parts = self.roster.person_parts(identity, true).into_iter();
        parts
            .filter(move |part| part.party == device)
            .map(|part| part.stay)
    }

    fn next_stay(&self, identity: IdentityId, device: &DeviceId) -> u32 {
        self.stays(identity, device)
            .max()
            .map_or(0, |last| last.saturating_add(1))
    }

    /// How far the logs of a device are held.
    pub(crate) fn lengths_of(&self, devices: &[DeviceId]) -> Lengths {
        let writers = devices
            .iter()
            .flat_map(|device| self.roster.writers_of(device));
        writers
            .map(|writer| {
                let held = self.writers.get(writer);
                (*writer, held.map_or(0, |state| state.accepted()))
            })
            .collect()
    }
}

impl Writing<'_> {
    /// Adds a device of this person to one space, with the keys, if this device acts for them there.
    pub(crate) fn add_own_device(
        &mut self,
        id: &SpaceId,
        identity: IdentityId,
        record: &DeviceRecord,
    ) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        let space = self.space(id)?;
        if !space.acts_for(identity, &own) || space.acts_for(identity, &record.id) {
            return Ok(());
        }
        let add = RosterOp::AddDevice(AddDevice {
            identity,
            record: record.clone(),
            stay: space.next_stay(identity, &record.id),
            since: space.lengths_of(&[record.id]),
        });
        // All that this device has: both act for the same person.
        let keys = space.keys_at(&stead_access::Path::whole_space());
        self.send_keys(id, &[add], std::slice::from_ref(record), &keys)?;
        Ok(())
    }

    /// Takes a device of this person from one space and renews what keys it had there.
    pub(crate) fn take_own_device(
        &mut self,
        id: &SpaceId,
        identity: IdentityId,
        device: &DeviceId,
        root: Option<&RootKey>,
        must: bool,
    ) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        let space = self.space(id)?;
        if !space.acts_for(identity, device) {
            return Ok(());
        }
        let remove = RosterOp::RemoveDevice(RemoveDevice {
            identity,
            device: *device,
            stay: space.stays(identity, device).max().unwrap_or(0),
            lengths: space.lengths_of(&[*device]),
        });
        let op = match (space.roster.may(&own, &remove), root) {
            // The root key is above all: among equals it is no mere vote.
            (_, Some(root)) => {
                let mut nonce = [0; 32];
                self.entropy.fill(&mut nonce);
                let ops = encode_ops(&[remove]);
                let signature = sign_root_statement(root.signing(), id, &identity, &nonce, &ops);
                RosterOp::RootStatement {
                    identity,
                    nonce,
                    ops,
                    signature,
                }
            }
            (Ok(()), None) => remove,
            (Err(_), None) if must => {
                return Err(ReplicaError::Refused(
                    "that device is not junior to this one: remove it with your recovery words, or from the device that linked this one".to_owned(),
                ));
            }
            (Err(refusal), None) => {
                tracing::debug!(%refusal, space = %id.short(), "a device stays until another removes it");
                return Ok(());
            }
        };
        let hlc = self.clock.tick(self.now_ms);
        self.own_writer(id)?;
        self.append_own(id, hlc, &[op], &[], &[])?;
        self.renew_if_allowed(id)
    }

    /// Renews stale keys where this device may; where it may not, a manager's device does.
    pub(crate) fn renew_if_allowed(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        self.renew_keys(id).map(drop)
    }

    pub(crate) fn keep_card(
        &mut self,
        home: &SpaceId,
        device: &DeviceId,
        card: &Card,
    ) -> Result<(), ReplicaError> {
        let value = json!({ "card": hex(&card.to_bytes()) });
        let edit = Edit {
            collection: CARDS.to_owned(),
            id: Some(doc_of(device)?),
            change: Change::Put {
                value,
                replace: false,
            },
        };
        self.transact(home, &[edit]).map(drop)
    }
}

/// The name a person's eyes know a device by, whoever wrote it down.
pub(crate) trait Names {
    /// The name of a device that is or was in the roster.
    fn name_of(&self, device: &DeviceId) -> Option<String>;
}

impl Names for Roster {
    fn name_of(&self, device: &DeviceId) -> Option<String> {
        let record = self.record_of(device)?;
        Some(record.name.as_str().to_owned())
    }
}

fn doc_of(device: &DeviceId) -> Result<DocId, ReplicaError> {
    DocId::parse(&device.to_string()).map_err(|error| ReplicaError::Refused(error.to_string()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = |byte: &u8| format!("{byte:02x}");
    bytes.iter().map(digits).collect()
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16);
    let pairs = text.as_bytes().chunks_exact(2);
    text.len().is_multiple_of(2).then_some(())?;
    pairs
        .map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}
