//! One entry of this device's log, sealed: which key closes which part.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_base::limits::ENTRY_BYTES_MAX;
use stead_base::{ScopeId, SpaceId, WriterId};
use stead_crypt::{EpochKey, Part, ScopeCipher, SigningKey};
use stead_log::{Entry, Envelope, Parcel};

use crate::ReplicaError;
use crate::keyring::GENESIS_SPACE;
use crate::space::OwnWriter;
use crate::transact::ENTRY_FRAME_BYTES;
/// The parcels of a transaction in the clear, each with the scope that it is sealed to.
pub(crate) type ScopeParcels = Vec<(ScopeId, Vec<u8>)>;

/// Everything that sealing one entry needs.
pub(crate) struct Sealing<'k> {
    /// Generation and key that envelopes and roster operations are sealed under.
    pub(crate) roster_key: (u32, &'k EpochKey),
    /// The same for the documents of each scope.
    pub(crate) doc_keys: BTreeMap<ScopeId, (u32, &'k EpochKey)>,
    pub(crate) space: SpaceId,
    pub(crate) writer: WriterId,
    pub(crate) seq: u64,
    pub(crate) salt: [u8; 4],
}

impl Sealing<'_> {
    /// Seals an envelope and the parcels that are not empty into an encoded entry.
    pub(crate) fn entry(
        &self,
        envelope: &Envelope,
        roster: &[u8],
        documents: &[(ScopeId, Vec<u8>)],
        key_boxes: &[Vec<u8>],
    ) -> Result<Vec<u8>, ReplicaError> {
        let seal =
            |scope: ScopeId, part: Part, text: &[u8]| -> Result<(u32, Vec<u8>), ReplicaError> {
                let held = match scope {
                    ScopeId::ROSTER => Some(self.roster_key),
                    _ => self.doc_keys.get(&scope).copied(),
                };
                let (generation, key) = held.ok_or_else(|| ReplicaError::NotAdmitted {
                    space: self.space.short(),
                })?;
                let too_large = ReplicaError::TooLarge {
                    bytes: text.len(),
                    max: ENTRY_BYTES_MAX,
                };
                let (space, writer) = (&self.space, &self.writer);
                let cipher = ScopeCipher::new(key, space, scope, generation, writer, part);
                let mut out = Vec::with_capacity(text.len() + 16);
                cipher
                    .seal(self.seq, self.salt, text, &mut out)
                    .map_err(|_| too_large)?;
                Ok((generation, out))
            };
        let (envelope_epoch, envelope) = seal(ScopeId::ROSTER, Part::Envelope, &envelope.encode())?;
        let mut parcels = Vec::new();
        let documents = documents.iter().map(|(scope, text)| (*scope, &text[..]));
        for (scope, text) in [(ScopeId::ROSTER, roster)].into_iter().chain(documents) {
            if !text.is_empty() {
                let (epoch, ciphertext) = seal(scope, Part::Parcel, text)?;
                parcels.push(Parcel::Sealed {
                    scope,
                    epoch,
                    ciphertext,
                });
            }
        }
        parcels.extend(key_boxes.iter().cloned().map(Parcel::KeyBox));
        let entry = Entry {
            salt: self.salt,
            envelope_epoch,
            envelope,
            parcels,
        }
        .encode();
        if entry.len() > ENTRY_BYTES_MAX {
            let max = ENTRY_BYTES_MAX - ENTRY_FRAME_BYTES;
            return Err(ReplicaError::TooLarge {
                bytes: entry.len(),
                max,
            });
        }
        Ok(entry)
    }

    /// The same for a genesis entry, which is sealed before the space has its id.
    pub(crate) fn genesis(
        &self,
        envelope: &Envelope,
        roster: &[u8],
    ) -> Result<Vec<u8>, ReplicaError> {
        let founding = Sealing {
            space: GENESIS_SPACE,
            doc_keys: BTreeMap::new(),
            ..*self
        };
        founding.entry(envelope, roster, &[], &[])
    }
}

impl OwnWriter {
    /// The writer of a seed.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_seed(seed);
        Self {
            id: WriterId::from_bytes(key.public()),
            key: Arc::new(key),
            rosters: 0,
        }
    }
}
