//! Whether somebody may be heard who says where they are, and what this device seals of where it is.
//!
//! Owns no state: who is where is the board's (`stead_presence`), and nothing of it is stored. What is
//! said about a path is sealed to the scope of that path, under its newest epoch.

use stead_access::{Action, IdentityId, MemberSubject, PartyId, Path};
use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_presence::limits::FRESH_MS_MAX;
use stead_presence::{Head, OpenError, Packet, Said, Shown, Verdict, open, seal};

use crate::keyring::Reading;
use crate::space::SpaceState;
use crate::{Replica, ReplicaError};

impl Replica {
    /// Seals that an app of this device is somewhere, or left there.
    #[allow(
        clippy::too_many_arguments,
        reason = "a packet's head, and what it says"
    )]
    pub fn seal_presence(
        &self,
        id: &SpaceId,
        run: &[u8; 32],
        app: u64,
        seq: u64,
        on: &str,
        shown: Option<&Shown>,
        now_ms: u64,
    ) -> Result<Vec<u8>, ReplicaError> {
        let space = self.space(id)?;
        let path = Path::new(on).map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let device = self.keys.id();
        if !space.is_member(&device) || !space.roster.can(&device, &path, Action::Read) {
            return Err(ReplicaError::Refused(format!(
                "this device does not read {path} in {:?}, so nobody there hears of it",
                space.record.name
            )));
        }
        let scope = space.roster.scope_of(&path);
        let (generation, key) = space.sealing_key(scope)?;
        let head = Head {
            run: *run,
            app,
            seq,
            scope,
            generation,
        };
        let said = Said {
            device,
            at_ms: now_ms,
            shown: shown.cloned(),
        };
        seal(key, id, &head, &said, self.keys.signing())
            .map_err(|error| ReplicaError::Refused(error.to_string()))
    }

    /// Opens and judges what somebody says of where they are.
    pub fn open_presence(&self, id: &SpaceId, packet: &Packet<'_>, now_ms: u64) -> Verdict {
        let Some(space) = self.spaces.get(id) else {
            return Verdict::Refused;
        };
        let Head {
            scope, generation, ..
        } = packet.head;
        if scope == ScopeId::ROSTER {
            return Verdict::Refused;
        }
        if space.ring.reading(scope) != Reading::Open {
            return Verdict::Closed;
        }
        let current = space.roster.current_epoch(scope);
        if current.is_some_and(|epoch| generation < epoch.generation) {
            return Verdict::Refused;
        }
        let declared = space.ring.of(scope, generation).iter();
        let declared = declared.filter(|key| space.roster.declares(scope, generation, &key.id()));
        let mut tried = false;
        for key in declared {
            tried = true;
            match open(key, id, packet) {
                Ok(said) if is_fresh(&said, now_ms) && space.hears(&said, scope) => {
                    return Verdict::Says(said);
                }
                Ok(_) | Err(OpenError::Forged | OpenError::Format(_)) => return Verdict::Refused,
                Err(OpenError::NotOpened) => {}
            }
        }
        match tried && !space.ring.is_incomplete(scope, generation) {
            true => Verdict::Refused,
            // It is under a key that others may hold already.
            false => Verdict::Closed,
        }
    }

    /// Whether a device may be heard, and told, in a scope.
    pub fn may_be_heard(&self, id: &SpaceId, device: &DeviceId, scope: ScopeId) -> bool {
        let space = self.spaces.get(id);
        space.is_some_and(|space| space.may_be_heard(device, scope))
    }

    /// The person whose device it is, as far as a space tells.
    pub fn person_behind(&self, id: &SpaceId, device: &DeviceId) -> Option<IdentityId> {
        let roster = &self.spaces.get(id)?.roster;
        let held = roster.held_by(device).filter(|it| it.is_held_by(device));
        for member in held {
            match member.subject {
                MemberSubject::Party(PartyId::Identity(person)) => return Some(person),
                MemberSubject::Group(_) => {
                    let parts = roster.current_parts(member.subject);
                    let part = parts.iter().find(|part| part.is_held_by(device));
                    if let Some(PartyId::Identity(person)) = part.map(|part| part.party) {
                        return Some(person);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

impl SpaceState {
    fn may_be_heard(&self, device: &DeviceId, scope: ScopeId) -> bool {
        self.is_member(device) && self.roster.reads(device, scope)
    }

    /// Nobody speaks of a place that is not inside of what they seal to: its readers would not hear.
    fn hears(&self, said: &Said, scope: ScopeId) -> bool {
        let inside = said.shown.as_ref().is_none_or(|shown| {
            let around = self.roster.place_of(scope);
            Path::new(&shown.on).is_ok_and(|on| around.is_some_and(|around| around.covers(&on)))
        });
        inside && self.may_be_heard(&said.device, scope)
    }
}

fn is_fresh(said: &Said, now_ms: u64) -> bool {
    said.at_ms.abs_diff(now_ms) <= FRESH_MS_MAX
}
