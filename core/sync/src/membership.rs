//! Proof of membership without naming spaces: tags, dummies and the numbers that spaces get.
//!
//! A tag is a keyed hash under a space's secret of everything that makes this session this session.
//! Whoever does not have the secret sees random bytes, different ones in every session. Owns which
//! offers are open; which spaces are shared is kept by `streaming`.

use crate::error::PeerMisbehaved;
use crate::frontier::{Locals, SpaceMembership};
use crate::limits::{
    OFFERS_IN_FLIGHT_MAX, TAGS_PER_FRAME_MAX, TAGS_PER_FRAME_MIN, TAGS_PER_SESSION_MAX,
};
use crate::message::Tag;
use crate::session::{Opening, Role};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use stead_base::SpaceId;
use stead_crypt::hash::{derive, keyed};
use stead_crypt::{Hasher, Zeroizing};

/// Everything that makes a session different from every other one.
pub(crate) fn transcript(opening: &Opening, own_hello: &[u8], peer_hello: &[u8]) -> [u8; 32] {
    let (dialer, listener, first, second) = match opening.role {
        Role::Dialer => (&opening.local, &opening.remote, own_hello, peer_hello),
        Role::Listener => (&opening.remote, &opening.local, peer_hello, own_hello),
    };
    Hasher::deriving("stead/sync/1 transcript")
        .update(dialer.as_bytes())
        .update(listener.as_bytes())
        .update(&opening.channel_binding)
        .update_sized(first)
        .update_sized(second)
        .finish_key()
}

/// The nonce that goes over the wire. The seed itself never does: dummies come from it too.
pub(crate) fn nonce(seed: &[u8; 32]) -> [u8; 32] {
    derive("stead/sync/1 nonce", seed)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagKind {
    Offer,
    Accept,
}

/// The tag of one space, made by the side with role `by`.
pub(crate) fn tag(
    membership: &SpaceMembership,
    transcript: &[u8; 32],
    kind: TagKind,
    by: Role,
) -> Tag {
    let context: &[u8] = match kind {
        TagKind::Offer => b"stead/sync/1 offer",
        TagKind::Accept => b"stead/sync/1 accept",
    };
    Hasher::keyed(&membership.secret)
        .update(context)
        .update(&[by as u8])
        .update(transcript)
        .update(membership.space.as_bytes())
        .finish_key()
}

/// A space that became shared, and its number in this session.
pub(crate) type Numbered = (u64, SpaceId);

struct Offered {
    answer: Tag,
    number: u64,
    space: SpaceId,
}

/// Open offers of both sides.
pub(crate) struct Membership {
    role: Role,
    transcript: [u8; 32],
    dummy_key: Zeroizing<[u8; 32]>,
    dummies: u64,
    /// Tags are looked up by a hash under this key, so that the time a look-up takes tells nothing.
    lookup_key: Zeroizing<[u8; 32]>,
    /// What the peer would offer for each local space, hashed.
    expected: BTreeMap<[u8; 32], SpaceId>,
    /// The dialer offers once even when it has nothing to offer.
    first_due: bool,
    offered: u64,
    received: u64,
    waiting: BTreeSet<SpaceId>,
    open: VecDeque<Vec<Offered>>,
}

impl Membership {
    pub(crate) fn new(opening: &Opening, transcript: [u8; 32], locals: &Locals) -> Self {
        let mut new = Self {
            role: opening.role,
            transcript,
            dummy_key: Zeroizing::new(derive("stead/sync/1 dummies", &opening.seed)),
            dummies: 0,
            lookup_key: Zeroizing::new(derive("stead/sync/1 lookup", &opening.seed)),
            expected: BTreeMap::new(),
            first_due: opening.role == Role::Dialer,
            offered: 0,
            received: 0,
            waiting: BTreeSet::new(),
            open: VecDeque::new(),
        };
        for membership in locals.iter() {
            new.expect(membership);
            if new.role == Role::Dialer {
                new.waiting.insert(membership.space);
            }
        }
        new
    }

    pub(crate) const fn transcript(&self) -> &[u8; 32] {
        &self.transcript
    }

    /// A space was added to this device.
    pub(crate) fn add(&mut self, membership: &SpaceMembership) {
        self.expect(membership);
        self.waiting.insert(membership.space);
    }

    /// A space is no longer on this device.
    pub(crate) fn remove(&mut self, space: &SpaceId) {
        self.waiting.remove(space);
        self.expected.retain(|_, expected| expected != space);
    }

    fn expect(&mut self, membership: &SpaceMembership) {
        let peer = self.role.other();
        let tag = tag(membership, &self.transcript, TagKind::Offer, peer);
        self.expected.insert(self.lookup(&tag), membership.space);
    }

    fn lookup(&self, tag: &Tag) -> [u8; 32] {
        *keyed(&self.lookup_key, tag).as_bytes()
    }

    /// Whether there is something to offer that may be offered now.
    pub(crate) fn has_offer(&self) -> bool {
        self.first_due || !self.waiting.is_empty() && self.open.len() < OFFERS_IN_FLIGHT_MAX
    }

    /// Whether this side has no tags left for what it has to offer.
    pub(crate) fn is_used_up(&self) -> bool {
        self.has_offer() && self.offered + TAGS_PER_FRAME_MIN as u64 > TAGS_PER_SESSION_MAX
    }

    /// Offers what waits, as far as one frame and the session's limit allow.
    pub(crate) fn offer(&mut self, locals: &Locals) -> Vec<Tag> {
        let room = (TAGS_PER_SESSION_MAX - self.offered).min(TAGS_PER_FRAME_MAX as u64);
        // The greatest power of two within the room.
        let most = 1usize << room.max(1).ilog2();
        let mut real = BTreeMap::new();
        while real.len() < most
            && let Some(space) = self.waiting.pop_first()
        {
            if let Some(membership) = locals.get(&space) {
                let tag = tag(membership, &self.transcript, TagKind::Offer, self.role);
                real.insert(tag, membership);
            }
        }
        let tags = self.pad(real.keys().copied());
        let first = self.offered;
        self.first_due = false;
        let mut open = Vec::with_capacity(real.len());
        for (tag, membership) in real {
            let Ok(index) = tags.binary_search(&tag) else {
                continue;
            };
            open.push(Offered {
                answer: self::tag(
                    membership,
                    &self.transcript,
                    TagKind::Accept,
                    self.role.other(),
                ),
                number: number(first + index as u64, self.role),
                space: membership.space,
            });
        }
        self.offered += tags.len() as u64;
        self.open.push_back(open);
        tags
    }

    /// Answers an offer: the tags to send back, and the spaces that are shared from now on.
    pub(crate) fn on_offer(
        &mut self,
        tags: &[Tag],
        locals: &Locals,
        is_shared: impl Fn(&SpaceId) -> bool,
    ) -> Result<(Vec<Tag>, Vec<Numbered>), PeerMisbehaved> {
        let first = self.received;
        self.received += tags.len() as u64;
        if self.received > TAGS_PER_SESSION_MAX {
            return Err(PeerMisbehaved::TagFlood {
                tags: self.received,
            });
        }
        let mut shared = Vec::new();
        let mut answers = Vec::new();
        for (index, tag) in tags.iter().enumerate() {
            let Some(space) = self.expected.get(&self.lookup(tag)).copied() else {
                continue;
            };
            // Both sides offered the same space at once: the dialer's offer is the one that counts.
            let crossed = self.role == Role::Dialer && self.is_offered(&space);
            if is_shared(&space) || crossed {
                continue;
            }
            if let Some(membership) = locals.get(&space) {
                self.waiting.remove(&space);
                answers.push(self::tag(
                    membership,
                    &self.transcript,
                    TagKind::Accept,
                    self.role,
                ));
                shared.push((number(first + index as u64, self.role.other()), space));
            }
        }
        Ok((self.pad(answers.into_iter()), shared))
    }

    /// Takes the answer to the oldest open offer: the spaces that are shared from now on.
    pub(crate) fn on_accept(&mut self, tags: &[Tag]) -> Result<Vec<Numbered>, PeerMisbehaved> {
        let offered = self
            .open
            .pop_front()
            .ok_or(PeerMisbehaved::AcceptWithoutOffer)?;
        let answers: BTreeSet<_> = tags.iter().map(|tag| self.lookup(tag)).collect();
        Ok(offered
            .into_iter()
            .filter(|offered| answers.contains(&self.lookup(&offered.answer)))
            .map(|offered| (offered.number, offered.space))
            .collect())
    }

    fn is_offered(&self, space: &SpaceId) -> bool {
        self.open
            .iter()
            .flatten()
            .any(|offered| offered.space == *space)
    }

    /// Adds dummies up to a power of two and sorts, so that only a rounded count shows.
    fn pad(&mut self, tags: impl Iterator<Item = Tag>) -> Vec<Tag> {
        let mut padded: BTreeSet<Tag> = tags.collect();
        let len = padded.len().next_power_of_two().max(TAGS_PER_FRAME_MIN);
        while padded.len() < len {
            let dummy = keyed(&self.dummy_key, &self.dummies.to_le_bytes());
            self.dummies += 1;
            padded.insert(*dummy.as_bytes());
        }
        padded.into_iter().collect()
    }
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Membership")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// The number of the space whose tag is the `index`th that the side with role `by` offered.
const fn number(index: u64, by: Role) -> u64 {
    index << 1 | by as u64
}
