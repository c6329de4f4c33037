//! What people call devices and other people: names kept in the home space, and finding members by
//! them.
//!
//! Owns two home collections, their documents and the search. A name decides nothing: rights go by
//! keys only.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_access::{IdentityId, MemberSubject, Name, OpId, PartyId, RemovalTarget, Whom};
use stead_base::{DeviceId, SpaceId};
use stead_store::{Query, Read};

use crate::{OwnDevice, Replica, ReplicaError};

/// Home collection of names given to own devices after they were linked.
const DEVICE_NAMES: &str = "device-names";
/// Home collection of names given to other people.
const CONTACTS: &str = "identities";
/// Most documents of either collection that are looked at.
const NAMES_MAX: u64 = 10_000;
/// What those are called who may read what is public.
const EVERYONE: &str = "everyone";
/// Fewest digits by which an id is known.
const ID_DIGITS_MIN: usize = 4;

/// A name that this person gave to somebody's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Who it is.
    pub identity: IdentityId,
    /// What this person calls them.
    pub name: String,
    /// When safety words were found the same, Unix time in ms.
    pub verified_ms: Option<u64>,
}

impl Replica {
    /// Names given to own devices after they were linked.
    pub fn device_names(&self) -> Result<BTreeMap<DeviceId, String>, ReplicaError> {
        let named = self.home_documents(DEVICE_NAMES)?.into_iter();
        Ok(named
            .filter_map(|(id, doc)| {
                let name = Name::from_any(doc["name"].as_str()?);
                Some((id.parse().ok()?, name.as_str().to_owned()))
            })
            .collect())
    }

    /// Gives one of this person's devices another name, on all of them.
    pub fn rename_device(
        &mut self,
        device: &DeviceId,
        name: &str,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        Name::new(name).map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let names = self.device_names()?;
        let is_taken = |other: &OwnDevice| {
            other.is_current
                && other.id != *device
                && names.get(&other.id).unwrap_or(&other.name) == name
        };
        if self.own_devices()?.iter().any(is_taken) {
            return Err(ReplicaError::Refused(format!(
                "another of your devices is called {name:?}"
            )));
        }
        let value = json!({ "name": name });
        self.put_home(DEVICE_NAMES, &device.to_string(), value, now_ms)
    }

    /// Which members of a space joined by which invite.
    pub fn joined_by(&self, id: &SpaceId) -> Result<BTreeMap<OpId, OpId>, ReplicaError> {
        let members = self.space(id)?.roster.members().values();
        Ok(members
            .filter_map(|member| Some((member.id, member.joined_by?)))
            .collect())
    }

    /// A current device of this person, by its name or the start of its id.
    pub fn find_own_device(&self, wanted: &str) -> Result<DeviceId, ReplicaError> {
        let names = self.device_names()?;
        let devices = self.own_devices()?;
        let current = devices.iter().filter(|device| device.is_current);
        let fits = |exact: bool| {
            let fits = current.clone().filter(|device| {
                let name = names.get(&device.id).unwrap_or(&device.name);
                match exact {
                    true => name == wanted,
                    false => starts(&device.id.to_string(), wanted),
                }
            });
            fits.map(|device| device.id).collect::<Vec<_>>()
        };
        let mut found = fits(true);
        if found.is_empty() {
            found = fits(false);
        }
        match found[..] {
            [device] => Ok(device),
            [] => Err(ReplicaError::Refused(format!(
                "none of your devices is called {wanted:?}; `stead device list` shows them"
            ))),
            _ => Err(ReplicaError::Refused(format!(
                "several of your devices are called {wanted:?}: name one by the start of its id"
            ))),
        }
    }

    /// Everyone this person gave a name to, by name.
    pub fn contacts(&self) -> Result<Vec<Contact>, ReplicaError> {
        let listed = self.home_documents(CONTACTS)?.into_iter();
        let mut contacts: Vec<Contact> = listed
            .filter_map(|(id, doc)| {
                Some(Contact {
                    identity: id.parse().ok()?,
                    name: Name::from_any(doc["name"].as_str()?).as_str().to_owned(),
                    verified_ms: doc["verified_ms"].as_u64(),
                })
            })
            .collect();
        contacts.sort_by(|a, b| (&a.name, a.identity).cmp(&(&b.name, b.identity)));
        Ok(contacts)
    }

    /// Gives a name to an identity, or another name. Refused if somebody else has it already.
    pub fn name_contact(
        &mut self,
        identity: IdentityId,
        name: &str,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        Name::new(name).map_err(|error| ReplicaError::Refused(error.to_string()))?;
        if name == "me" || self.identity() == Some(identity) {
            return Err(ReplicaError::Refused(
                "that is you: `stead identity` shows your identity".to_owned(),
            ));
        }
        let contacts = self.contacts()?;
        if let Some(other) = contacts
            .iter()
            .find(|contact| contact.name == name && contact.identity != identity)
        {
            return Err(ReplicaError::Refused(format!(
                "you call somebody else {name:?}: {}",
                other.identity.short()
            )));
        }
        let value = json!({ "name": name });
        self.put_home(CONTACTS, &identity.to_string(), value, now_ms)
    }

    /// Notes that safety words were compared with a contact and are the same.
    pub fn verify_contact(
        &mut self,
        identity: IdentityId,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        let value = json!({ "verified_ms": now_ms });
        self.put_home(CONTACTS, &identity.to_string(), value, now_ms)
    }

    /// A contact by name, or by the start of the identity.
    pub fn find_contact(&self, wanted: &str) -> Result<Option<Contact>, ReplicaError> {
        let contacts = self.contacts()?;
        if let Some(named) = contacts.iter().find(|contact| contact.name == wanted) {
            return Ok(Some(named.clone()));
        }
        let mut found = contacts
            .into_iter()
            .filter(|contact| starts(&contact.identity.to_string(), wanted));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(ReplicaError::Refused(format!(
                "several contacts have an identity that begins with {wanted:?}"
            ))),
            (found, _) => Ok(found),
        }
    }

    /// Whom a person means in a space: `me`, `everyone` where something is public, a contact, a membership, or what
    /// [`Replica::find_member`] knows.
    pub fn find_target(&self, id: &SpaceId, wanted: &str) -> Result<RemovalTarget, ReplicaError> {
        if wanted == "me" {
            let identity = self.identity().ok_or(ReplicaError::NoHome)?;
            return Ok(RemovalTarget::Identity(identity));
        }
        if wanted == EVERYONE && self.space(id)?.roster.has_public() {
            return Ok(RemovalTarget::Everyone);
        }
        let members = self.members(id)?;
        let person = |identity| MemberSubject::Party(PartyId::Identity(identity));
        let in_a_group = |who: IdentityId| {
            let space = self.spaces.get(id);
            space.is_some_and(|space| !space.current_devices(who).is_empty())
        };
        if let Some(contact) = self.contacts()?.iter().find(|it| it.name == wanted)
            && (members
                .iter()
                .any(|it| it.subject == person(contact.identity))
                || in_a_group(contact.identity))
        {
            return Ok(RemovalTarget::Identity(contact.identity));
        }
        if let Some(member) = members.iter().find(|it| it.id.to_string() == wanted) {
            return Ok(RemovalTarget::Membership(member.id));
        }
        self.find_member(id, wanted)
    }

    /// Whom a person asks about in a space; past members too. `me` is this very device, `everyone`
    /// whoever it is.
    pub fn find_whom(&self, id: &SpaceId, wanted: &str) -> Result<Whom, ReplicaError> {
        if wanted == "me" {
            return Ok(Whom::Device(self.device()));
        }
        if wanted == EVERYONE {
            return Ok(Whom::Everyone);
        }
        let space = self.space(id)?;
        let names = self.device_names()?;
        let is_meant = |device: &DeviceId| {
            names.get(device).is_some_and(|name| name == wanted)
                || self.name_in(&space.id, device).as_deref() == Some(wanted)
                || starts(&device.to_string(), wanted)
        };
        let mut found: Vec<Whom> = Vec::new();
        let mut add = |whom: Whom| {
            if !found.contains(&whom) {
                found.push(whom);
            }
        };
        let contacts = self.contacts()?;
        for member in self.members(id)? {
            match member.subject {
                MemberSubject::Party(PartyId::Identity(identity)) => {
                    let called = contacts
                        .iter()
                        .any(|it| it.identity == identity && it.name == wanted);
                    if called || starts(&identity.to_string(), wanted) {
                        add(Whom::Identity(identity));
                    }
                }
                MemberSubject::Party(PartyId::Device(device)) if is_meant(&device) => {
                    add(Whom::Device(device));
                }
                _ => {}
            }
            for part in space.roster.parts_of(&member.id) {
                match part.party {
                    PartyId::Device(device) if is_meant(&device) => add(Whom::Device(device)),
                    PartyId::Device(_) => {}
                    PartyId::Identity(identity) => {
                        let called = contacts
                            .iter()
                            .any(|it| it.identity == identity && it.name == wanted);
                        if called || starts(&identity.to_string(), wanted) {
                            add(Whom::Identity(identity));
                        }
                        let own = space.roster.person_parts(identity, true);
                        let devices = own.iter().filter_map(|part| match part.party {
                            PartyId::Device(device) if is_meant(&device) => Some(device),
                            _ => None,
                        });
                        devices.for_each(|device| add(Whom::Device(device)));
                    }
                }
            }
        }
        match found[..] {
            [whom] => Ok(whom),
            [] => Err(ReplicaError::Refused(format!(
                "nobody called {wanted:?} is or was a member of this space; `stead members` lists them"
            ))),
            _ => Err(ReplicaError::Refused(format!(
                "several members are called {wanted:?}: name one by the start of their id"
            ))),
        }
    }

    pub(crate) fn home_documents(
        &self,
        collection: &str,
    ) -> Result<Vec<(String, Value)>, ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        let Some(collection) = self.store.collection(self.space(&home)?.no, collection)? else {
            return Ok(Vec::new());
        };
        let query = Query {
            limit: Some(NAMES_MAX),
            ..Query::all(collection)
        };
        let found = self.store.query(&query)?.into_iter();
        Ok(found
            .filter_map(|doc| Some((doc.id.to_string(), serde_json::from_str(&doc.json).ok()?)))
            .collect())
    }

    fn put_home(
        &mut self,
        collection: &str,
        id: &str,
        value: Value,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        self.write(now_ms, |writing| {
            writing.put_home_doc(&home, collection, id, value)
        })
    }
}

fn starts(id: &str, wanted: &str) -> bool {
    wanted.len() >= ID_DIGITS_MIN && id.starts_with(&wanted.to_ascii_lowercase())
}
