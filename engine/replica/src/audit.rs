//! What all logs of a space say about rights, and the evidence that a stranger can check.
//!
//! Owns gathering it. The evidence opens the listed parts of entries and nothing else: keys are
//! derived for one writer and one epoch, and for parcels about rights only.

use stead_access::decode_ops;
use stead_base::{DeviceId, Hlc, ScopeId, SpaceId, WriterId};
use stead_crypt::{KeyId, Part, ScopeCipher, Zeroizing};
use stead_log::{EntryRef, Envelope, ParcelRef};

use crate::history::told;
use crate::identity::Names;
use crate::keyring::GENESIS_SPACE;
use crate::records::RosterEntry;
use crate::space::SpaceState;
use crate::{LogProof, Replica, ReplicaError};

/// One entry that says who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsItem {
    /// Whose log.
    pub writer: WriterId,
    /// The device that wrote it, when known.
    pub device: Option<DeviceId>,
    /// That device's name.
    pub device_name: Option<String>,
    /// Place in the log.
    pub seq: u64,
    /// When it was made, by its writer's clock.
    pub hlc: Hlc,
    /// Each operation in words.
    pub says: Vec<String>,
    /// Whether its writer may say anything at that place of its log.
    pub counts: bool,
    /// The proof, when asked for.
    pub evidence: Option<RightsEvidence>,
}

/// What a stranger needs to check one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsEvidence {
    /// The sealed entry, its place in the tree, and the signed head.
    pub proof: LogProof,
    /// The id of the epoch key that seals it.
    pub key_id: KeyId,
    /// Opens this writer's envelopes of that epoch.
    pub envelope_key: Zeroizing<[u8; 32]>,
    /// Opens this writer's parcels about rights of that epoch.
    pub parcel_key: Zeroizing<[u8; 32]>,
    /// The operations in clear.
    pub parcel: Vec<u8>,
}

impl Replica {
    /// Every entry of a space that says who may do what, by time, and whether there are more than
    /// `limit`. Entries whose log is held but whose head is not signed yet come without evidence.
    pub fn rights_history(
        &self,
        id: &SpaceId,
        limit: usize,
        with_evidence: bool,
    ) -> Result<(Vec<RightsItem>, bool), ReplicaError> {
        let space = self.space(id)?;
        let all = &space.record.roster;
        let mut items = Vec::with_capacity(all.len().min(limit));
        for said in all.iter().take(limit) {
            items.extend(self.rights_item(space, said, with_evidence)?);
        }
        items.sort_by_key(|item| (item.hlc, item.writer, item.seq));
        Ok((items, all.len() > limit))
    }

    fn rights_item(
        &self,
        space: &SpaceState,
        said: &RosterEntry,
        with_evidence: bool,
    ) -> Result<Option<RightsItem>, ReplicaError> {
        let (writer, seq) = (&said.writer, said.seq);
        let Some(bytes) = self.entry(&space.id, writer, seq)? else {
            return Ok(None);
        };
        let entry = EntryRef::parse(&bytes).map_err(|source| ReplicaError::Record {
            what: "log entry",
            source,
        })?;
        let Some(opening) = Opening::find(space, said, &entry) else {
            return Ok(None);
        };
        let proof = match with_evidence {
            true => self.prove(&space.id, writer, seq)?,
            false => None,
        };
        let ops = decode_ops(&said.parcel).unwrap_or_default();
        let device = space.roster.device_of(writer);
        let counts = said.genesis
            || space
                .roster
                .spans(writer)
                .iter()
                .any(|span| span.since <= seq && seq < span.limit);
        Ok(Some(RightsItem {
            writer: *writer,
            device,
            device_name: device.and_then(|device| space.roster.name_of(&device)),
            seq,
            hlc: opening.hlc,
            says: ops.iter().map(|op| told(&space.roster, op)).collect(),
            counts,
            evidence: proof.map(|proof| RightsEvidence {
                proof,
                key_id: opening.key_id,
                envelope_key: opening.envelope_key,
                parcel_key: opening.parcel_key,
                parcel: said.parcel.clone(),
            }),
        }))
    }
}

/// The keys that open one entry's envelope and its parcel about rights.
struct Opening {
    hlc: Hlc,
    key_id: KeyId,
    envelope_key: Zeroizing<[u8; 32]>,
    parcel_key: Zeroizing<[u8; 32]>,
}

impl Opening {
    fn find(space: &SpaceState, said: &RosterEntry, entry: &EntryRef<'_>) -> Option<Self> {
        let part = entry.parcels().find_map(|parcel| match parcel {
            ParcelRef::Sealed {
                scope: ScopeId::ROSTER,
                part,
            } => Some(part),
            _ => None,
        })?;
        let sealed_for = match said.genesis {
            true => GENESIS_SPACE,
            false => space.id,
        };
        let (scope, writer, salt) = (ScopeId::ROSTER, &said.writer, entry.salt());
        let envelope = entry.envelope();
        space.ring.of(scope, envelope.epoch).iter().find_map(|key| {
            let disclose = |generation, part| {
                ScopeCipher::disclose(key, &sealed_for, scope, generation, writer, part)
            };
            let envelope_key = disclose(envelope.epoch, Part::Envelope);
            let parcel_key = disclose(part.epoch, Part::Parcel);
            let mut text = Vec::new();
            ScopeCipher::from_disclosed(&envelope_key, key.id())
                .open(said.seq, salt, envelope.ciphertext, &mut text)
                .ok()?;
            let hlc = Envelope::decode_hlc(&text).ok()?;
            let mut parcel = Vec::new();
            ScopeCipher::from_disclosed(&parcel_key, key.id())
                .open(said.seq, salt, part.ciphertext, &mut parcel)
                .ok()?;
            (parcel == said.parcel).then(|| Self {
                hlc,
                key_id: key.id(),
                envelope_key,
                parcel_key,
            })
        })
    }
}
