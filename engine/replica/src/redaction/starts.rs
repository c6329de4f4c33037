//! Starts that were written by somebody who did not know of a redaction: what was redacted is in them, so
//! their pieces go, too.
//!
//! Owns which pieces those are and whose it is to take them. What a start is, is said in `starts`, whose it
//! is to write another, in `scoping`.

use stead_access::{OpId, Redact, Start};
use stead_base::{ScopeId, WriterId};

use crate::space::SpaceState;

impl SpaceState {
    /// Pieces of starts that this device is to redact: those of its own starts, and of others' if they
    /// cannot any more.
    pub(crate) fn pieces_to_redact(&self) -> Vec<(ScopeId, WriterId, u64)> {
        let mut found = Vec::new();
        if self.roster.redactions().is_empty() || self.sealing_key(ScopeId::ROSTER).is_err() {
            return found;
        }
        for scope in self.shared_scopes() {
            for start in self.roster.starts_of(scope) {
                let log = &start.at.log;
                let held = self.writers.get(log).is_some_and(|state| {
                    start.said.first >= state.record.base && start.at.seq < state.applied
                });
                if !held || !self.takes_pieces_of(&start) || !self.holds_redacted(&start) {
                    continue;
                }
                let pieces = (start.said.first..start.at.seq)
                    .filter(|seq| self.roster.redaction_of(log, *seq, scope).is_none());
                found.extend(pieces.map(|seq| (scope, *log, seq)));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn takes_pieces_of(&self, start: &Start) -> bool {
        let scope = start.said.scope;
        match self.roster.device_of(&start.at.log) {
            Some(author) if author == self.device => self.is_member(&author),
            Some(author) if self.can_start(&author, scope) => false,
            _ => self.can_start(&self.device, scope),
        }
    }

    /// Whether a start contains something that was redacted by somebody of whom its author did not know.
    fn holds_redacted(&self, start: &Start) -> bool {
        let covers = &start.said.covers;
        let place = self.roster.place_of(start.said.scope);
        self.roster.redactions().iter().any(|(at, redact)| {
            let around = self.roster.place_of(redact.scope);
            let is_near = around
                .zip(place)
                .is_some_and(|(around, place)| around.covers(place) || place.covers(around));
            let mut values = self.redacted_values(at, redact);
            is_near && covers.of(&at.log) <= at.seq && values.any(|(of, seq)| covers.of(of) > seq)
        })
    }

    /// The parcels of a redaction that counts that held values, not pieces of starts.
    pub(crate) fn redacted_values<'s>(
        &'s self,
        at: &'s OpId,
        redact: &'s Redact,
    ) -> impl Iterator<Item = (&'s WriterId, u64)> {
        let starts = self.roster.starts_of(redact.scope);
        let is_piece = move |of: &WriterId, seq: u64| {
            let mut starts = starts.iter();
            starts
                .any(|start| start.at.log == *of && (start.said.first..start.at.seq).contains(&seq))
        };
        let parcels = redact.parcels.iter().map(|(of, seq)| (of, *seq));
        parcels.filter(move |(of, seq)| {
            self.roster.may_redact(at, redact.scope, of) && !is_piece(of, *seq)
        })
    }
}
