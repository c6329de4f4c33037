//! A space's roster: takes roster entries in any order, any number of times, and answers who may
//! do what. Owns what was collected; the rules are in `rights`, the bytes in `op`.

use std::collections::{BTreeMap, BTreeSet};

use stead_base::{DeviceId, ScopeId, SpaceId, WriterId};
use stead_crypt::KeyId;

use crate::rights::{self, Member};
use crate::statement::{verify_claim, verify_genesis};
use crate::{DeviceRecord, Name, Role, RosterOp, WHOLE_SPACE};

/// Why an entry was refused as a space's genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// It does not begin with a genesis operation.
    #[error("the first entry of the space holds no genesis")]
    NoGenesis,
    /// The founding device did not sign it for this writer.
    #[error("the genesis of the space is not signed by the device it names for this writer")]
    ForgedGenesis,
}

/// How a space began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The writer whose entry 0 founded the space.
    pub writer: WriterId,
    /// The space's first name.
    pub name: Name,
    /// Makes the id unlike any other.
    pub nonce: [u8; 32],
    /// The founding device.
    pub device: DeviceRecord,
}

/// A grant as it was found, whether or not it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The entry that holds it.
    pub at: (WriterId, u64),
    /// Who is let in.
    pub device: DeviceRecord,
    /// As what.
    pub role: Role,
    /// Where.
    pub path: String,
}

impl Grant {
    pub(crate) fn covers_the_space(&self) -> bool {
        self.path == WHOLE_SPACE
    }
}

/// One generation of a scope's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch {
    /// Which generation, counted from 0.
    pub generation: u32,
    /// Commits to the key.
    pub key: KeyId,
    /// The entry that started it.
    pub at: (WriterId, u64),
}

/// The roster of one space. See the module's head.
#[derive(Debug, Clone)]
pub struct Roster {
    space: SpaceId,
    genesis: Option<Genesis>,
    seen: BTreeSet<(WriterId, u64)>,
    /// In order of place: `rights::members` relies on it.
    grants: Vec<Grant>,
    /// A writer's device is that of its earliest valid claim.
    claims: BTreeMap<WriterId, (u64, DeviceId)>,
    epochs: BTreeMap<ScopeId, BTreeSet<Epoch>>,
    members: BTreeMap<DeviceId, Member>,
}

impl Roster {
    /// Starts an empty roster: nobody has any right.
    pub const fn new(space: SpaceId) -> Self {
        Self {
            space,
            genesis: None,
            seen: BTreeSet::new(),
            grants: Vec::new(),
            claims: BTreeMap::new(),
            epochs: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }

    /// The space this is the roster of.
    pub const fn space(&self) -> &SpaceId {
        &self.space
    }

    /// Takes entry 0 of `writer`, whose hash **the caller has checked to be the space's id**.
    /// Returns the writers that are admitted now and were not before.
    pub fn insert_genesis(
        &mut self,
        writer: WriterId,
        ops: Vec<RosterOp>,
    ) -> Result<BTreeSet<WriterId>, RosterError> {
        let Some(RosterOp::Genesis {
            name,
            nonce,
            device,
            signature,
        }) = ops.first()
        else {
            return Err(RosterError::NoGenesis);
        };
        verify_genesis(&writer, nonce, name, device, signature)
            .map_err(|_| RosterError::ForgedGenesis)?;
        if self.genesis.is_none() {
            self.genesis = Some(Genesis {
                writer,
                name: name.clone(),
                nonce: *nonce,
                device: device.clone(),
            });
            self.claims.insert(writer, (0, device.id));
        }
        let before = self.admitted();
        self.collect(writer, 0, ops);
        self.settle();
        Ok(self.admitted().difference(&before).copied().collect())
    }

    /// Takes the roster operations of an entry; an entry taken before changes nothing. Returns
    /// the writers that are admitted now and were not before: what they wrote may now be applied.
    ///
    /// As long as the entries of each writer arrive in the order of its log, rights only grow.
    /// In any order at all, the same entries give the same rights in the end.
    ///
    /// Operations of a writer without rights are kept, for its rights may arrive later.
    pub fn insert(&mut self, writer: WriterId, seq: u64, ops: Vec<RosterOp>) -> BTreeSet<WriterId> {
        let was_admitted = self.is_admitted(&writer);
        let moves_rights = ops.iter().any(|op| !matches!(op, RosterOp::Epoch { .. }));
        if !self.collect(writer, seq, ops) || !moves_rights {
            return BTreeSet::new();
        }
        // What a stranger says changes nothing, however much of it there is.
        if !was_admitted && !self.is_admitted(&writer) {
            return BTreeSet::new();
        }
        let before = self.admitted();
        self.settle();
        self.admitted().difference(&before).copied().collect()
    }

    /// What `writer` may do in the whole space; none if it is not admitted.
    pub fn rights(&self, writer: &WriterId) -> Option<Role> {
        let device = self.device_of(writer)?;
        Some(self.members.get(&device)?.role)
    }

    /// Whether a member device has claimed `writer`.
    pub fn is_admitted(&self, writer: &WriterId) -> bool {
        self.rights(writer).is_some()
    }

    /// The device that has claimed `writer`, whether or not it is a member.
    pub fn device_of(&self, writer: &WriterId) -> Option<DeviceId> {
        self.claims.get(writer).map(|(_, device)| *device)
    }

    /// The member devices.
    pub const fn devices(&self) -> &BTreeMap<DeviceId, Member> {
        &self.members
    }

    /// How the space began, once known.
    pub const fn genesis(&self) -> Option<&Genesis> {
        self.genesis.as_ref()
    }

    /// Every grant found, in order of place, whether or not it counts.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// The epochs of `scope` that members with the right to do so have started, by generation.
    pub fn epochs(&self, scope: ScopeId) -> Vec<Epoch> {
        let epochs = self.epochs.get(&scope).into_iter().flatten();
        epochs
            .filter(|epoch| self.rights(&epoch.at.0).is_some_and(Role::may_start_epochs))
            .copied()
            .collect()
    }

    /// The epoch to seal new parcels of `scope` under: the latest generation; of several begun
    /// at once, the one with the smallest key id.
    pub fn current_epoch(&self, scope: ScopeId) -> Option<Epoch> {
        let epochs = self.epochs(scope);
        let latest = epochs.last()?.generation;
        epochs.into_iter().find(|epoch| epoch.generation == latest)
    }

    /// Whether a member has declared `key` for that generation of `scope`.
    pub fn declares(&self, scope: ScopeId, generation: u32, key: &KeyId) -> bool {
        self.epochs(scope)
            .iter()
            .any(|epoch| epoch.generation == generation && epoch.key == *key)
    }

    fn collect(&mut self, writer: WriterId, seq: u64, ops: Vec<RosterOp>) -> bool {
        if !self.seen.insert((writer, seq)) {
            return false;
        }
        for op in ops {
            match op {
                // Counts only through `insert_genesis`.
                RosterOp::Genesis { .. } => {}
                RosterOp::Claim { device, signature } => {
                    self.claim(writer, seq, device, &signature);
                }
                RosterOp::Grant { device, role, path } => {
                    let at = (writer, seq);
                    let place = self.grants.partition_point(|other| other.at <= at);
                    let grant = Grant {
                        at,
                        device,
                        role,
                        path,
                    };
                    self.grants.insert(place, grant);
                }
                RosterOp::Epoch {
                    scope,
                    generation,
                    key,
                } => {
                    let at = (writer, seq);
                    self.epochs.entry(scope).or_default().insert(Epoch {
                        generation,
                        key,
                        at,
                    });
                }
            }
        }
        true
    }

    fn claim(&mut self, writer: WriterId, seq: u64, device: DeviceId, signature: &[u8; 64]) {
        let earlier = self.claims.get(&writer).is_some_and(|(at, _)| *at <= seq);
        if !earlier && verify_claim(&device, &self.space, &writer, signature).is_ok() {
            self.claims.insert(writer, (seq, device));
        }
    }

    fn settle(&mut self) {
        if let Some(genesis) = &self.genesis {
            let claims = self
                .claims
                .iter()
                .map(|(writer, (_, device))| (*writer, *device))
                .collect();
            self.members = rights::members(&genesis.device, &self.grants, &claims);
        }
    }

    fn admitted(&self) -> BTreeSet<WriterId> {
        self.members
            .values()
            .flat_map(|member| member.claims.iter().copied())
            .collect()
    }
}

#[cfg(test)]
mod tests;
