//! Forgetting what was taken from sets. Owns which of a set's members decide nothing any more.
//!
//! What stays of a removed element tells one thing: up to which of one writer's additions it is removed. Only
//! an addition by that writer, not later than that, could ever ask for it. Once all of those were merged
//! nothing is left to be decided, whatever anybody else has seen.

use std::cmp::Ordering;

use stead_base::Stamp;

use super::{Cell, Document, Member, latest};
use crate::dictionary::Dictionary;

impl Document {
    /// Forgets removed elements of sets of which nothing is to come any more: `is_settled` says of the stamp
    /// of an addition that all operations of its writer up to then were merged. Says how many were forgotten.
    ///
    /// The latest member of a set stays, removed or not. By it the set outlives earlier assignments, and is seen
    /// to be empty rather than not there.
    pub fn forget_removals<D: Dictionary>(
        &mut self,
        is_settled: &dyn Fn(Stamp) -> bool,
        dictionary: &D,
    ) -> usize {
        forget_in(&mut self.cells, is_settled, dictionary)
    }
}

fn forget_in<D: Dictionary>(
    cells: &mut [Cell],
    is_settled: &dyn Fn(Stamp) -> bool,
    dictionary: &D,
) -> usize {
    let mut forgotten = 0;
    for more in cells.iter_mut().filter_map(|cell| cell.more.as_mut()) {
        forgotten += forget_members(&mut more.members, is_settled, dictionary);
        forgotten += forget_in(&mut more.cells, is_settled, dictionary);
    }
    forgotten
}

fn forget_members<D: Dictionary>(
    members: &mut Vec<Member>,
    is_settled: &dyn Fn(Stamp) -> bool,
    dictionary: &D,
) -> usize {
    let before = members.len();
    if before < 2 || members.iter().all(|member| member.present) {
        return 0;
    }
    let stamps = members.iter().map(|member| Some(member.stamp));
    let Some(newest) = stamps.fold(None, |a, b| latest(a, b, dictionary)) else {
        return 0;
    };
    members.retain(|member| {
        member.present
            || member.stamp.order(newest, dictionary) == Ordering::Equal
            || !member.stamp.stamp(dictionary).is_some_and(is_settled)
    });
    before - members.len()
}
