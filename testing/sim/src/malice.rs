//! How a device breaks the rules: what it takes up, hands on and makes up.
//!
//! Owns the bad intent only. All else a hostile device does is the product's own code.

use std::collections::BTreeSet;

use stead_base::{Encoder, ScopeId, SpaceId, WriterId};
use stead_crypt::SigningKey;
use stead_log::{BatchBuilder, Entry, EntryRef, Parcel, Tip};

use crate::chance::Chance;

/// What a device does that it should not.
#[derive(Default)]
pub(crate) struct Malice {
    /// Whether it is hostile at all.
    pub(crate) is_hostile: bool,
    /// Logs of which it takes up nothing more, such as those of who put it out.
    pub(crate) deaf_to: BTreeSet<(SpaceId, WriterId)>,
    /// Whether it also keeps these logs from those who ask for them.
    pub(crate) withholds: bool,
    /// Whether it alters some of what it hands on.
    pub(crate) forges: bool,
}

impl Malice {
    pub(crate) fn is_deaf_to(&self, space: &SpaceId, writer: &WriterId) -> bool {
        self.deaf_to.contains(&(*space, *writer))
    }

    pub(crate) fn hides(&self, space: &SpaceId, writer: &WriterId) -> bool {
        self.withholds && self.is_deaf_to(space, writer)
    }

    /// A batch as this device hands it on.
    pub(crate) fn forge(&self, mut batch: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
        if self.forges && chance.one_in(4) {
            // Past the writer's id: a batch of another log would not be what was asked for.
            let at = 40 + chance.below(batch.len() as u64) as usize;
            if let Some(byte) = batch.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        batch
    }
}

/// A log that nobody let in, of entries that nobody can open.
pub(crate) fn stranger_log(space: &SpaceId, chance: &mut Chance) -> Vec<u8> {
    let mut seed = [0; 32];
    stead_base::Entropy::fill(chance, &mut seed);
    let key = SigningKey::from_seed(&seed);
    let mut tip = Tip::default();
    let mut entries = Encoder::new();
    let count = 1 + chance.below(4);
    for n in 0..count {
        let entry = Entry {
            salt: (n as u32).to_le_bytes(),
            envelope_epoch: 0,
            envelope: vec![7; 40],
            parcels: vec![Parcel::Sealed {
                scope: ScopeId::ROSTER,
                epoch: 0,
                ciphertext: vec![8; 60],
            }],
        }
        .encode();
        if let Ok(entry) = EntryRef::parse(&entry) {
            tip.append(entry.leaf_hash());
        }
        entries.bytes(&entry);
    }
    let head = tip.sign(space, &key);
    BatchBuilder::encode(
        &WriterId::from_bytes(key.public()),
        0,
        count as usize,
        head.len,
        &head.signature,
        &[],
        entries.as_slice(),
    )
}
