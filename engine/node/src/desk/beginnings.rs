//! Which checkpoints spaces begin with here, which ones peers are told to begin with, and what is
//! behind what peers still have.

use stead_base::{SpaceId, WriterId};
use stead_replica::ReplicaError;
use stead_sync::Input;

use super::Desk;
use crate::clock::{steady_ms, wall_ms};
use crate::sync::mailbox::LogKey;

impl Desk {
    /// A peer has named all that it has of a space. What it named to begin with may be here already,
    /// from before a restart.
    pub(crate) fn listed(&mut self, space: SpaceId) {
        if let Some(key) = self.board.fetches.beginning_here(space) {
            self.to_begin.push(key);
            self.dirty = true;
        }
    }

    /// Begins the spaces whose checkpoints have come; a checkpoint that cannot be used is done
    /// without. Where each log stands is told with the next round, after the flush.
    pub(super) fn begin_spaces(&mut self) {
        for (space, log) in std::mem::take(&mut self.to_begin) {
            let began = match self.replica.is_new_here(&space) {
                true => self
                    .replica
                    .begin_from(&space, &log, wall_ms())
                    .map(|_| true),
                false => Ok(false),
            };
            self.note_beginning(space, &began);
            match began {
                Ok(true) => self.begun.push(space),
                _ => self.board.fetches.has_begun(space, steady_ms()),
            }
        }
    }

    fn note_beginning(&mut self, space: SpaceId, began: &Result<bool, ReplicaError>) {
        match began {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(space = %space.short(), "began from a checkpoint");
                self.dirty = true;
            }
            Err(error) => {
                tracing::info!(space = %space.short(), %error, "a checkpoint is not used");
            }
        }
        self.note_outcome(began);
    }

    /// A peer no longer has entry `from` of a log, unless it came some other way meanwhile: perhaps a
    /// checkpoint goes further, now or once it is all here.
    pub(crate) fn behind(&mut self, space: SpaceId, writer: WriterId, from: u64) {
        if self.replica.is_part(&space) {
            return self.part_behind(space, writer, from);
        }
        let published = self.published.get(&space);
        let tip = published.and_then(|it| it.tips.get(&writer));
        if tip.is_some_and(|tip| tip.len > from) {
            self.behind.remove(&(space, writer));
            return;
        }
        let began = self.replica.begin_again(&space, &writer, from, wall_ms());
        self.note_beginning(space, &began);
        match began {
            Ok(true) => self.behind.retain(|(of, _), _| *of != space),
            _ => {
                self.behind.insert((space, writer), from);
            }
        }
    }

    /// If a log is a checkpoint, newcomers may be told of it now, and what is behind may begin again from it.
    pub(super) fn checkpoint_advanced(&mut self, space: SpaceId, log: &WriterId) {
        if self.replica.is_checkpoint(&space, log) {
            self.tell_beginning(&space);
            self.begin_again(|of| *of == space);
        }
    }

    /// Has what is behind in some spaces begin again, if a checkpoint goes further by now.
    pub(super) fn begin_again(&mut self, of: impl Fn(&SpaceId) -> bool) {
        let behind: Vec<(LogKey, u64)> = self
            .behind
            .iter()
            .filter(|((space, _), _)| of(space))
            .map(|(key, from)| (*key, *from))
            .collect();
        for ((space, writer), from) in behind {
            self.behind(space, writer, from);
        }
    }

    /// Tells sessions which checkpoint newcomers begin with, when that changed.
    pub(super) fn tell_beginning(&mut self, space: &SpaceId) {
        let Some(log) = self.replica.newest_checkpoint(space) else {
            return;
        };
        if self.beginnings.insert(*space, log) != Some(log) {
            let space = *space;
            self.tell_sessions(|| Input::Beginning { space, log });
        }
    }
}
