//! Offers: how the devices of a person who was let into a space by name learn of it.
//!
//! An offer is a document of a space that both sides share. It holds what is needed to find the other
//! space, sealed to each of the person's devices; keys come by key boxes as for every member. Owns the
//! collection and its documents. `docs/formats/group.md` has the bytes.

use serde_json::{Value, json};
use stead_access::{IdentityId, Path};
use stead_base::{Decoder, Encoder, SpaceId};
use stead_crypt::{hash, seal_box};

use crate::groups::doc_id;
use crate::identity::{hex, unhex};
use crate::membership::SpaceTicket;
use crate::{Change, Edit, Replica, ReplicaError};

/// Collection of offers in the space that both share.
const OFFERS: &str = "@offers";
const INFO: &[u8] = b"stead/offer/1";
/// Spaces in which one offer is laid down.
const PLACES_MAX: usize = 3;
/// Hexadecimal digits of an offer's id.
const ID_DIGITS: usize = 32;

/// The same for every device of both sides, and no name for anybody else.
fn offer_id(space: &SpaceId, to: &IdentityId) -> String {
    let mut id = hash::keyed(space.as_bytes(), to.as_bytes()).to_string();
    id.truncate(ID_DIGITS);
    id
}

fn aad(place: &SpaceId, device: &stead_base::DeviceId) -> Vec<u8> {
    [&place.as_bytes()[..], device.as_bytes()].concat()
}

impl Replica {
    /// Tells a person's devices of a space that they were let into, through spaces that both share.
    pub(crate) fn offer(
        &mut self,
        id: &SpaceId,
        to: IdentityId,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        let own = self.device();
        let whole = Path::whole_space();
        let may = |space: &&crate::space::SpaceState| {
            space.id != *id
                && space.roster.can(&own, &whole, stead_access::Action::Write)
                && !space.current_devices(to).is_empty()
        };
        let places: Vec<SpaceId> = (self.spaces.values())
            .filter(may)
            .map(|space| space.id)
            .take(PLACES_MAX)
            .collect();
        let Some(ticket) = self.ticket(id) else {
            return Err(ReplicaError::NoSuchSpace { name: id.short() });
        };
        let mut text = Encoder::new();
        ticket.without_keys().encode(&mut text);
        let text = zeroize::Zeroizing::new(text.finish());
        for place in places {
            let devices = self.space(&place)?.current_devices(to);
            let mut sealed = serde_json::Map::new();
            for record in devices {
                let aad = aad(&place, &record.id);
                let made = seal_box::seal(&record.kem, INFO, &aad, &text, None, &mut *self.entropy);
                let made = made.map_err(|error| ReplicaError::Refused(error.to_string()))?;
                sealed.insert(record.id.to_string(), hex(&made).into());
            }
            let edit = Edit {
                collection: OFFERS.to_owned(),
                id: Some(doc_id(&offer_id(id, &to))?),
                change: Change::Put {
                    value: json!({ "for": Value::Object(sealed) }),
                    replace: true,
                },
            };
            self.transact(&place, &[edit], now_ms)?;
        }
        Ok(())
    }

    /// What offers tell this device, of spaces that are not here.
    pub(crate) fn offers_to_this_device(&self) -> Result<Vec<SpaceTicket>, ReplicaError> {
        let Some(person) = self.identity() else {
            return Ok(Vec::new());
        };
        let own = self.device();
        let known: Vec<String> = (self.spaces.keys())
            .map(|space| offer_id(space, &person))
            .collect();
        let mut found = Vec::new();
        for place in self.spaces.keys() {
            for (id, offer) in self.documents_of(place, OFFERS)? {
                let Some(sealed) = offer["for"][own.to_string()].as_str().and_then(unhex) else {
                    continue;
                };
                if known.contains(&id) {
                    continue;
                }
                let opened = self.keys.kem().open(INFO, &aad(place, &own), &sealed, None);
                let ticket = opened
                    .ok()
                    .and_then(|text| SpaceTicket::decode(&mut Decoder::new(&text)).ok());
                // Only the offer of that very space to this very person.
                found.extend(ticket.filter(|ticket| offer_id(&ticket.id, &person) == id));
            }
        }
        Ok(found)
    }
}
