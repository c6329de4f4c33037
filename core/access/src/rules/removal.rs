//! Which removals count, and what they leave of a membership.
//!
//! Owns the order among removers: the root key above the body, then members strictly senior, the
//! most senior first, then a majority of equals, then the subject itself. The first of these that
//! spoke decides. Of several seniors of one rank the longest length named for each log counts, so
//! that two honest removers with different views void nothing that one had seen. Of equals an
//! entry is void once the majority says so; of the subject itself, once it says so: nobody takes
//! back by a later word what their earlier one ended.

use std::collections::{BTreeMap, BTreeSet};

use super::{Author, Ended, EndedBy, Judge, Who};
use crate::op::PartyId;
use crate::{Lengths, Role};

/// How weighty a remover is; the smaller, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Root,
    Senior(u32),
    Itself,
}

/// A vote that was carried.
struct Vote {
    needed: usize,
    removals: Vec<usize>,
    lengths: Lengths,
}

impl Judge<'_, '_> {
    /// Settles the ends of all members of one rank. Everyone more senior is settled.
    pub(super) fn end_members(&mut self, rank: u32, members: &[usize]) {
        let mut contested = Vec::new();
        for member in members {
            let Some(removals) = self.removals_of.get(member).cloned() else {
                continue;
            };
            let weighed: Vec<_> = removals
                .iter()
                .filter_map(|removal| Some((self.weigh(*member, *removal)?, *removal)))
                .collect();
            let first = weighed.iter().map(|(weight, _)| *weight).min();
            if first.is_none_or(|weight| weight == Weight::Itself) {
                contested.push((*member, removals));
            }
            if let Some(first) = first {
                let counting = weighed.iter().filter(|(weight, _)| *weight == first);
                let how = match first {
                    Weight::Itself => EndedBy::Itself,
                    Weight::Root | Weight::Senior(_) => EndedBy::Senior,
                };
                let by: Vec<usize> = counting.map(|(_, removal)| *removal).collect();
                let said = self.lengths(&by);
                let lengths = match how {
                    EndedBy::Itself => Lengths::agreed(&said, 1),
                    EndedBy::Senior | EndedBy::Equals => Lengths::agreed(&said, said.len()),
                };
                self.end(*member, how, 1, by, lengths);
            }
        }
        // Votes of one rank are weighed all at once, against what seniors and leavers said: no
        // vote takes another away, so no order among them matters and none can be duelled over.
        let decided: Vec<_> = contested
            .into_iter()
            .filter_map(|(member, removals)| self.tally(rank, members, member, &removals))
            .collect();
        for (member, vote) in decided {
            self.end(
                member,
                EndedBy::Equals,
                vote.needed,
                vote.removals,
                vote.lengths,
            );
        }
    }

    fn weigh(&self, member: usize, removal: usize) -> Option<Weight> {
        let candidate = &self.body.candidates[member];
        match self.body.removals[removal].author {
            Author::Root(root) if self.body.top == Some(root) => Some(Weight::Root),
            Author::Root(root) => {
                let own = candidate.who == Who::Party(PartyId::Identity(root));
                own.then_some(Weight::Itself)
            }
            author @ Author::Entry { writer, seq } => {
                let seniors = self
                    .members_of(&writer)
                    .filter(|senior| self.may_grant(*senior, author, candidate))
                    .filter_map(|senior| Some(self.standings[senior].as_ref()?.rank));
                let own = matches!(candidate.who, Who::Party(_))
                    && candidate.acts_in(self.body.claims, &writer, seq);
                seniors
                    .min()
                    .map(Weight::Senior)
                    .or(own.then_some(Weight::Itself))
            }
        }
    }

    /// Counts the equals who voted a member out: a majority of all that hold the rank and manage
    /// the path, those who left included, so that leaving takes no vote back.
    fn tally(
        &self,
        rank: u32,
        members: &[usize],
        member: usize,
        removals: &[usize],
    ) -> Option<(usize, Vote)> {
        let target = &self.body.candidates[member];
        let equals: Vec<usize> = members
            .iter()
            .copied()
            .filter(|equal| {
                let equal = &self.body.candidates[*equal];
                equal.role >= Role::Manager
                    && equal.path.covers(target.path)
                    && matches!(equal.who, Who::Party(_))
            })
            .collect();
        debug_assert!(
            self.standings[member]
                .as_ref()
                .is_some_and(|at| at.rank == rank)
        );
        let mut electorate: BTreeSet<Who> = equals.iter().map(|equal| self.who(*equal)).collect();
        electorate.insert(target.who);
        let mut voters: BTreeMap<Who, Vec<usize>> = BTreeMap::new();
        for removal in removals {
            let author = self.body.removals[*removal].author;
            for equal in &equals {
                let who = self.who(*equal);
                if who != target.who && self.covers(*equal, author) {
                    voters.entry(who).or_default().push(*removal);
                }
            }
        }
        let needed = electorate.len() / 2 + 1;
        if voters.len() < needed {
            return None;
        }
        let said: Vec<Lengths> = voters
            .values()
            .map(|removals| Lengths::agreed(&self.lengths(removals), 1))
            .collect();
        let removals: BTreeSet<usize> = voters.into_values().flatten().collect();
        let vote = Vote {
            needed,
            removals: removals.into_iter().collect(),
            lengths: Lengths::agreed(&said.iter().collect::<Vec<_>>(), needed),
        };
        Some((member, vote))
    }

    fn lengths(&self, removals: &[usize]) -> Vec<&Lengths> {
        let said = removals
            .iter()
            .map(|removal| self.body.removals[*removal].lengths);
        said.collect()
    }

    fn who(&self, member: usize) -> Who {
        self.body.candidates[member].who
    }

    fn end(
        &mut self,
        member: usize,
        how: EndedBy,
        needed: usize,
        removals: Vec<usize>,
        lengths: Lengths,
    ) {
        let by = removals
            .iter()
            .map(|removal| self.body.removals[*removal].id);
        let ended = Ended {
            how,
            by: by.collect(),
            needed,
            lengths,
        };
        if let Some(standing) = &mut self.standings[member] {
            standing.ended = Some(ended);
        }
    }
}
