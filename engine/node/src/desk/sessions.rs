//! What peers are told of logs and spaces: how far each goes as far as it is flushed, and which sessions hear it.
//!
//! Owns who is in which session's view: a device that was put out of a space loses it there after a while, and
//! gets it back when it is let in again.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_base::{SpaceId, WriterId};
use stead_crypt::Zeroizing;
use stead_sync::{Input, SpaceMembership, Tip};

use super::Desk;
use crate::clock::steady_ms;
use crate::sync::mailbox::Mailbox;

/// A device that was put out of a space may still fetch it for this long in a session, so that it
/// learns why nothing comes any more.
const EVICTION_MS: u64 = 10_000;

/// What peers may know of a space: flushed, and nothing beyond.
pub(super) struct Published {
    secret: [u8; 32],
    pub(super) tips: BTreeMap<WriterId, Tip>,
}

/// How far a space is from not being shared with a device any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    /// At this time of the steady clock.
    Due(u64),
    Done,
}

impl Desk {
    /// Reads how far the logs of a space go.
    pub(super) fn publish_space(&mut self, space: &SpaceId) {
        let Some(secret) = self.replica.membership_secret(space) else {
            return;
        };
        let mut tips = BTreeMap::new();
        for item in self.replica.frontier(space).unwrap_or_default() {
            let frozen = matches!(self.replica.fork_proof(space, &item.writer), Ok(Some(_)));
            tips.insert(
                item.writer,
                Tip {
                    len: item.len,
                    root: item.root,
                    frozen,
                },
            );
        }
        self.published.insert(*space, Published { secret, tips });
    }

    pub(super) fn advanced(
        &mut self,
        space: SpaceId,
        writer: WriterId,
        len: u64,
        root: stead_base::Hash,
    ) {
        let Some(published) = self.published.get_mut(&space) else {
            return;
        };
        let before = published.tips.get(&writer).copied().unwrap_or(Tip::EMPTY);
        let tip = Tip {
            len,
            root,
            frozen: before.frozen,
        };
        // A log that did not grow may have been taken up because its time has come.
        if tip == before {
            return self.checkpoint_advanced(space, &writer);
        }
        published.tips.insert(writer, tip);
        let own = !self.foreign.contains(&(space, writer)) && len > before.len;
        for session in &self.sessions {
            session.advanced(space, writer, tip, own);
        }
        self.board.fetches.stored((space, writer), len, steady_ms());
        if self.board.fetches.is_beginning((space, writer), len) {
            self.to_begin.push((space, writer));
        }
        self.checkpoint_advanced(space, &writer);
    }

    pub(super) fn forked(&mut self, space: SpaceId, writer: WriterId) {
        tracing::warn!(space = %space.short(), writer = %writer.short(), "a writer forked its log");
        self.publish_space(&space);
        if let Some((tip, proof)) = self.frozen(&space, &writer) {
            for session in &self.sessions {
                let proof = proof.clone();
                session.input(Input::Frozen {
                    space,
                    writer,
                    tip,
                    proof,
                });
            }
        }
        self.board
            .fetches
            .stored((space, writer), u64::MAX, steady_ms());
    }

    /// Where a forked log was frozen, with the proof.
    pub(crate) fn frozen(&self, space: &SpaceId, writer: &WriterId) -> Option<(Tip, bytes::Bytes)> {
        let tip = *self.published.get(space)?.tips.get(writer)?;
        let proof = self.replica.fork_proof(space, writer).ok()??;
        Some((
            Tip {
                frozen: true,
                ..tip
            },
            proof.into(),
        ))
    }

    pub(super) fn membership(&self, space: &SpaceId) -> Option<SpaceMembership> {
        self.published.get(space).map(|published| SpaceMembership {
            space: *space,
            secret: Zeroizing::new(published.secret),
            tips: published.tips.clone(),
        })
    }

    /// Where a log ends, as far as peers may know.
    pub(crate) fn tip(&self, space: &SpaceId, writer: &WriterId) -> Option<Tip> {
        self.published.get(space)?.tips.get(writer).copied()
    }

    /// How far a log goes here, whole or thin.
    pub(crate) fn reach(&self, space: &SpaceId, writer: &WriterId) -> u64 {
        let whole = self.tip(space, writer).map_or(0, |tip| tip.len);
        whole.max(self.replica.thin_length(space, writer))
    }

    /// Starts telling a session, from the state returned on.
    pub(crate) fn subscribe(&mut self, session: Arc<Mailbox>) -> Vec<SpaceMembership> {
        for space in self.replica.space_ids() {
            if let Some(thin) = self.replica.thin_lengths(&space) {
                session.input(Input::Part { space, thin });
            }
            if let Some(log) = self.replica.newest_checkpoint(&space) {
                self.beginnings.insert(space, log);
                session.input(Input::Beginning { space, log });
            }
        }
        self.sessions.push(session);
        self.published
            .keys()
            .filter_map(|space| self.membership(space))
            .collect()
    }

    /// Tells all sessions the same.
    pub(crate) fn tell_sessions(&self, input: impl Fn() -> Input) {
        for session in &self.sessions {
            session.input(input());
        }
    }

    /// Ends the sharing of spaces with devices that were put out of them and still know the secret
    /// by which members recognise each other. They get some time first, to learn of it.
    pub(crate) fn evict_removed(&mut self) {
        let now_ms = steady_ms();
        for session in &self.sessions {
            let (no, peer) = (session.no(), session.peer());
            for space in self.published.keys() {
                if !self.replica.was_removed(space, &peer) {
                    continue;
                }
                let eviction = self.evictions.entry((no, *space));
                let eviction = eviction.or_insert(Eviction::Due(now_ms + EVICTION_MS));
                if matches!(*eviction, Eviction::Due(at) if at <= now_ms) {
                    *eviction = Eviction::Done;
                    session.input(Input::RemoveSpace { space: *space });
                }
            }
        }
    }

    /// Shares a space again with devices that were let in anew.
    pub(super) fn readmit(&mut self, space: &SpaceId) {
        for session in &self.sessions {
            if self.replica.was_removed(space, &session.peer()) {
                continue;
            }
            let eviction = self.evictions.remove(&(session.no(), *space));
            if eviction == Some(Eviction::Done)
                && let Some(membership) = self.membership(space)
            {
                if let Some(thin) = self.replica.thin_lengths(space) {
                    session.input(Input::Part {
                        space: *space,
                        thin,
                    });
                }
                session.input(Input::AddSpace(membership));
            }
        }
    }

    /// Stops telling a session.
    pub(crate) fn unsubscribe(&mut self, no: u64) {
        self.evictions.retain(|(session, _), _| *session != no);
        self.parts.leave(no);
        self.presence_ended(no);
        self.sessions.retain(|session| session.no() != no);
    }
}
