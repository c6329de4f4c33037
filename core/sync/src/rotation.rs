//! Turns: which log of which space is next, so that none waits behind a giant one.
//!
//! First among spaces, then among the logs of a space, each time from where it stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use stead_base::WriterId;

/// Logs waiting for their turn. The key is the number of a space, then the writer.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    spaces: BTreeMap<u64, BTreeSet<WriterId>>,
    last_space: Option<u64>,
    last_writer: BTreeMap<u64, WriterId>,
}

impl Rotation {
    /// Queues a log; one that is queued already stays where it is.
    pub(crate) fn insert(&mut self, space: u64, writer: WriterId) {
        self.spaces.entry(space).or_default().insert(writer);
    }

    pub(crate) fn remove(&mut self, space: u64, writer: &WriterId) {
        if let Some(writers) = self.spaces.get_mut(&space) {
            writers.remove(writer);
            if writers.is_empty() {
                self.spaces.remove(&space);
            }
        }
    }

    pub(crate) fn remove_space(&mut self, space: u64) {
        self.spaces.remove(&space);
        self.last_writer.remove(&space);
    }

    /// Takes the log whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<(u64, WriterId)> {
        let space = self.turn()?;
        self.last_space = Some(space);
        let writer = self.pop_from(space)?;
        Some((space, writer))
    }

    /// Takes the log of one space whose turn it is there.
    pub(crate) fn pop_from(&mut self, space: u64) -> Option<WriterId> {
        let writers = self.spaces.get_mut(&space)?;
        let after = self.last_writer.get(&space).copied();
        let writer = after
            .and_then(|last| writers.range((Excluded(last), Unbounded)).next())
            .or_else(|| writers.first())
            .copied()?;
        writers.remove(&writer);
        if writers.is_empty() {
            self.spaces.remove(&space);
        }
        self.last_writer.insert(space, writer);
        Some(writer)
    }

    fn turn(&self) -> Option<u64> {
        let after = self.last_space.map_or(Unbounded, Excluded);
        let next = self.spaces.range((after, Unbounded)).next();
        next.or_else(|| self.spaces.first_key_value())
            .map(|(space, _)| *space)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(n: u8) -> WriterId {
        WriterId::from_bytes([n; 32])
    }

    #[test]
    fn a_space_with_many_logs_takes_every_second_turn_beside_one_with_few() {
        let mut rotation = Rotation::default();
        (0..100).for_each(|n| rotation.insert(1, writer(n)));
        rotation.insert(2, writer(200));
        let mut turns = Vec::new();
        for _ in 0..10 {
            let (space, taken) = rotation.pop().unwrap();
            rotation.insert(space, taken);
            turns.push(space);
        }
        assert_eq!(turns, [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
    }

    #[test]
    fn every_log_of_a_space_has_its_turn_before_the_first_has_a_second() {
        let mut rotation = Rotation::default();
        (0..5).for_each(|n| rotation.insert(1, writer(n)));
        let mut taken = BTreeSet::new();
        for _ in 0..5 {
            let (space, next) = rotation.pop().unwrap();
            rotation.insert(space, next);
            assert!(taken.insert(next));
        }
    }
}
