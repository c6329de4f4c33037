//! The epoch keys of one space, and the ciphers they make for each writer.
//!
//! Shared between the thread that opens batches and the one that stores them; a snapshot never
//! changes, so a reader needs no lock while it works.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_base::{ScopeId, SpaceId, WriterId};
use stead_crypt::{EpochKey, Part, ScopeCipher};

/// The space id that seals a genesis entry, whose hash the real id is.
pub(crate) const GENESIS_SPACE: SpaceId = SpaceId::from_bytes([0; 32]);

/// Every epoch key this device holds for one space.
#[derive(Clone, Default)]
pub(crate) struct KeyRing {
    keys: BTreeMap<(ScopeId, u32), Arc<EpochKey>>,
}

impl KeyRing {
    /// Adds a key. Returns false if a key of that scope and generation is already held.
    pub(crate) fn insert(&mut self, scope: ScopeId, generation: u32, key: EpochKey) -> bool {
        match self.keys.entry((scope, generation)) {
            std::collections::btree_map::Entry::Occupied(_) => false,
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(Arc::new(key));
                true
            }
        }
    }

    /// The key of one generation.
    pub(crate) fn get(&self, scope: ScopeId, generation: u32) -> Option<&EpochKey> {
        self.keys.get(&(scope, generation)).map(|key| &**key)
    }

    /// The newest generation held of a scope.
    pub(crate) fn newest(&self, scope: ScopeId) -> Option<(u32, &EpochKey)> {
        let range = (scope, 0)..=(scope, u32::MAX);
        self.keys
            .range(range)
            .next_back()
            .map(|((_, generation), key)| (*generation, &**key))
    }

    /// Every key with its scope and generation.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ScopeId, u32, &EpochKey)> {
        self.keys
            .iter()
            .map(|((scope, generation), key)| (*scope, *generation, &**key))
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({:?})", self.keys.keys())
    }
}

/// Ciphers of one writer, made when first asked for.
pub(crate) struct WriterCiphers<'k> {
    ring: &'k KeyRing,
    space: SpaceId,
    writer: WriterId,
    made: Vec<(ScopeId, u32, Part, ScopeCipher)>,
}

impl<'k> WriterCiphers<'k> {
    pub(crate) fn new(ring: &'k KeyRing, space: SpaceId, writer: WriterId) -> Self {
        Self {
            ring,
            space,
            writer,
            made: Vec::new(),
        }
    }

    /// The cipher of a part; None if its epoch key is not held.
    pub(crate) fn get(
        &mut self,
        scope: ScopeId,
        generation: u32,
        part: Part,
    ) -> Option<&ScopeCipher> {
        let same = |made: &&(ScopeId, u32, Part, ScopeCipher)| {
            (made.0, made.1, made.2) == (scope, generation, part)
        };
        if let Some(at) = self.made.iter().position(|made| same(&made)) {
            return Some(&self.made[at].3);
        }
        let key = self.ring.get(scope, generation)?;
        let cipher = ScopeCipher::new(key, &self.space, scope, generation, &self.writer, part);
        self.made.push((scope, generation, part, cipher));
        self.made.last().map(|made| &made.3)
    }
}
