//! What this device has of each space, and what of it a peer may compare.
//!
//! Owns tips, the digest of a frontier and the check of one log. Roots arrive from the driver: the
//! tree behind them is none of this room's business.

use crate::message::Check;
use std::collections::BTreeMap;
use std::fmt;
use stead_base::{Hash, SpaceId, WriterId};
use stead_crypt::{Hasher, Zeroizing};

/// Where one writer's log ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Entries that are stored.
    pub len: u64,
    /// Root of the log's tree at `len`.
    pub root: Hash,
    /// The writer forked; `len` is the common prefix, and nothing may follow.
    pub frozen: bool,
}

impl Tip {
    /// A log of which nothing is stored.
    pub const EMPTY: Self = Self {
        len: 0,
        root: Hash::from_bytes([0; 32]),
        frozen: false,
    };

    /// A log that may grow.
    pub const fn new(len: u64, root: Hash) -> Self {
        Self {
            len,
            root,
            frozen: false,
        }
    }
}

/// A space that this device is a member of.
#[derive(Clone)]
pub struct SpaceMembership {
    /// The space.
    pub space: SpaceId,
    /// What only members know.
    pub secret: Zeroizing<[u8; 32]>,
    /// Every log stored here. Empty ones may be left out.
    pub tips: BTreeMap<WriterId, Tip>,
}

impl fmt::Debug for SpaceMembership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpaceMembership")
            .field("space", &self.space)
            .field("writers", &self.tips.len())
            .finish_non_exhaustive()
    }
}

/// The spaces of this device as the session knows them.
#[derive(Debug, Default)]
pub(crate) struct Locals {
    spaces: BTreeMap<SpaceId, SpaceMembership>,
    /// Logs that hold checkpoints for who lacks a space.
    beginnings: BTreeMap<SpaceId, WriterId>,
    /// Spaces of which a part is kept, and how long thin logs are.
    parts: BTreeMap<SpaceId, BTreeMap<WriterId, u64>>,
}

impl Locals {
    /// Adds a space, in place of what was known of it.
    pub(crate) fn add(&mut self, membership: SpaceMembership) {
        self.spaces.insert(membership.space, membership);
    }

    pub(crate) fn remove(&mut self, space: &SpaceId) {
        self.spaces.remove(space);
        self.beginnings.remove(space);
        self.parts.remove(space);
    }

    /// Notes that a part of a space is kept, and how long its thin logs are.
    pub(crate) fn part(&mut self, space: SpaceId, thin: BTreeMap<WriterId, u64>) {
        self.parts.insert(space, thin);
    }

    /// Lengths of thin logs, if only a part of a space is kept.
    pub(crate) fn thin(&self, space: &SpaceId) -> Option<&BTreeMap<WriterId, u64>> {
        self.parts.get(space)
    }

    pub(crate) fn thin_mut(&mut self, space: &SpaceId) -> Option<&mut BTreeMap<WriterId, u64>> {
        self.parts.get_mut(space)
    }

    /// How far a log goes here, thin or whole.
    pub(crate) fn reach(&self, space: &SpaceId, writer: &WriterId) -> u64 {
        let thin = self.thin(space).and_then(|thin| thin.get(writer));
        let whole = self.tip(space, writer).len;
        thin.map_or(whole, |len| whole.max(*len))
    }

    /// Notes the log that a newcomer to a space begins with.
    pub(crate) fn begin(&mut self, space: SpaceId, log: WriterId) {
        self.beginnings.insert(space, log);
    }

    /// The log that a newcomer to a space begins with, if it is stored here.
    pub(crate) fn beginning(&self, space: &SpaceId) -> Option<WriterId> {
        let log = *self.beginnings.get(space)?;
        (self.tip(space, &log).len > 0).then_some(log)
    }

    pub(crate) fn get(&self, space: &SpaceId) -> Option<&SpaceMembership> {
        self.spaces.get(space)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SpaceMembership> {
        self.spaces.values()
    }

    pub(crate) fn tip(&self, space: &SpaceId, writer: &WriterId) -> Tip {
        self.get(space)
            .and_then(|membership| membership.tips.get(writer))
            .copied()
            .unwrap_or(Tip::EMPTY)
    }

    /// Sets a tip. Returns whether the space is known.
    pub(crate) fn set(&mut self, space: &SpaceId, writer: WriterId, tip: Tip) -> bool {
        let Some(membership) = self.spaces.get_mut(space) else {
            return false;
        };
        membership.tips.insert(writer, tip);
        true
    }
}

/// Hashes frontiers and tips so that only the two ends of one session can compare them: roots
/// cannot be searched for a collision before the session exists.
pub(crate) struct Comparer {
    key: Zeroizing<[u8; 32]>,
}

impl Comparer {
    pub(crate) fn new(membership: &SpaceMembership, transcript: &[u8; 32]) -> Self {
        let key = Hasher::keyed(&membership.secret)
            .update(b"stead/sync/1 check")
            .update(transcript)
            .update(membership.space.as_bytes())
            .finish_key();
        Self {
            key: Zeroizing::new(key),
        }
    }

    /// Digest of all logs that are not empty, in the order of their writers.
    pub(crate) fn digest(&self, tips: &BTreeMap<WriterId, Tip>) -> [u8; 32] {
        let mut hasher = Hasher::keyed(&self.key);
        hasher.update(b"digest");
        for (writer, tip) in tips.iter().filter(|(_, tip)| tip.len > 0 || tip.frozen) {
            hash_tip(&mut hasher, writer, tip);
        }
        hasher.finish_key()
    }

    /// Check of one log.
    pub(crate) fn check(&self, writer: &WriterId, tip: &Tip) -> Check {
        let mut hasher = Hasher::keyed(&self.key);
        hasher.update(b"tip");
        hash_tip(
            &mut hasher,
            writer,
            &Tip {
                frozen: false,
                ..*tip
            },
        );
        let [a, b, c, d, e, f, g, h, ..] = hasher.finish_key();
        [a, b, c, d, e, f, g, h]
    }
}

impl fmt::Debug for Comparer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Comparer(..)")
    }
}

fn hash_tip(hasher: &mut Hasher, writer: &WriterId, tip: &Tip) {
    hasher
        .update(writer.as_bytes())
        .update(&(tip.len << 1 | u64::from(tip.frozen)).to_le_bytes())
        .update(tip.root.as_bytes());
}
