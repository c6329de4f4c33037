//! Everyone as a reader: what is public is sealed to a key pair that whoever knows a space's
//! membership secret can make, as the members and everybody with the public link do.
//!
//! Owns that key pair and who counts as one of the public; what is public is for the roster to say.

use std::collections::BTreeMap;

use stead_access::{
    DeviceRecord, Grant, KeyBox, KeyPlace, Lengths, MemberSubject, Name, OpId, Path, Role,
    RosterOp, ScopedKey, Subject, open_keys,
};
use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_crypt::{DeviceKeys, KemSecret, hash};

use crate::membership::SpaceTicket;
use crate::space::SpaceState;
use crate::{Replica, ReplicaError};

/// What a space's public keys are sealed to: a device that nobody is, made of the membership secret.
pub(crate) struct Everyone {
    record: DeviceRecord,
    kem: KemSecret,
}

impl Everyone {
    fn of(secret: &[u8; 32]) -> Self {
        let seed = zeroize::Zeroizing::new(hash::derive("stead/everyone/1", secret));
        let keys = DeviceKeys::from_seed(&seed);
        Self {
            record: DeviceRecord::of(&keys, Name::from_any("everyone")),
            kem: keys.kem().clone(),
        }
    }
}

impl SpaceTicket {
    /// The ticket of somebody who has the public link of a space: its keys come by boxes.
    pub fn public(id: SpaceId, secret: [u8; 32]) -> Self {
        Self::bare(id, id.short(), secret)
    }
}

impl SpaceState {
    fn everyone(&self) -> &Everyone {
        (self.everyone).get_or_init(|| Everyone::of(&self.record.secret))
    }

    /// Whom the keys of a scope are sealed to: the devices that read it, and everyone if they may.
    pub(crate) fn recipients(&self, scope: ScopeId) -> BTreeMap<DeviceId, &DeviceRecord> {
        let mut recipients = self.roster.readers(scope);
        if self.roster.is_sealed_to_everyone(scope) {
            let record = &self.everyone().record;
            recipients.insert(record.id, record);
        }
        recipients
    }

    /// Opens a box if it is for everyone. Whoever tells that it is: the entry around it is not
    /// believed yet, and neither is what is in the box.
    pub(crate) fn open_public_box(&self, place: &KeyPlace, key_box: &KeyBox) -> Vec<ScopedKey> {
        let Everyone { record, kem } = self.everyone();
        if !key_box.is_for(&record.kem, &self.id) {
            return Vec::new();
        }
        open_keys(kem, &record.id, place, key_box).unwrap_or_default()
    }

    /// Whether this device is no member and never was one.
    pub(crate) fn is_outside(&self) -> bool {
        self.roster.record_of(&self.device).is_none()
    }

    /// Whether this device reads here as everyone may.
    pub(crate) fn is_of_the_public(&self) -> bool {
        self.roster.has_public() && self.is_outside()
    }
}

impl Replica {
    /// Lets everyone read what is at a path. Where they may already, nothing is said again.
    pub fn grant_everyone(
        &mut self,
        id: &SpaceId,
        path: Path,
        now_ms: u64,
    ) -> Result<OpId, ReplicaError> {
        self.not_home(id)?;
        if self.is_group(id) {
            return Err(ReplicaError::Refused(
                "the space of a group holds the way into other spaces: it cannot be public"
                    .to_owned(),
            ));
        }
        let given = self.space(id)?.roster.members().values();
        let mut public = given.filter(|it| {
            it.subject == MemberSubject::Everyone && it.ended.is_none() && it.path.covers(&path)
        });
        if let Some(membership) = public.next() {
            return Ok(membership.id);
        }
        self.write(now_ms, |writing| {
            let grant = RosterOp::Grant(Grant {
                subject: Subject::Everyone,
                role: Role::Reader,
                path: path.clone(),
                since: Lengths::none(),
            });
            writing.check_op(id, &grant)?;
            writing.ensure_scope(id, &path)?;
            let said = writing.say(id, grant)?;
            let everyone = writing.space(id)?.everyone().record.clone();
            writing.welcome(id, &[everyone])?;
            Ok(said)
        })
    }
}
