//! Starts that were written by somebody who did not know of a redaction: what was redacted is in them, so
//! their pieces go, too.
//!
//! Owns which pieces those are and whose it is to take them. What a start is, is said in `starts`, whose it
//! is to write another, in `scoping`.

use stead_access::{OpId, Redact, ScopeStart};
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
            for (at, start) in self.roster.starts_of(scope) {
                let log = &at.log;
                let held = self.writers.get(log).is_some_and(|state| {
                    start.first >= state.record.base && at.seq < state.applied
                });
                if !held || !self.takes_pieces_of(log, scope) || !self.holds_redacted(start) {
                    continue;
                }
                let pieces = (start.first..at.seq)
                    .filter(|seq| self.roster.redaction_of(log, *seq, scope).is_none());
                found.extend(pieces.map(|seq| (scope, *log, seq)));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn takes_pieces_of(&self, log: &WriterId, scope: ScopeId) -> bool {
        let own = &self.device;
        let is_own = self.roster.device_of(log) == Some(*own);
        self.falls_to_us(log, scope)
            && match is_own {
                true => self.is_member(own),
                false => self.can_start(own, scope),
            }
    }

    /// Whether a start contains something that was redacted by somebody of whom its author did not know.
    fn holds_redacted(&self, start: &ScopeStart) -> bool {
        let covers = &start.covers;
        self.redactions_near(start.scope).any(|(at, redact)| {
            let mut values = self.redacted_values(at, redact);
            covers.of(&at.log) <= at.seq && values.any(|(of, seq)| covers.of(of) > seq)
        })
    }

    /// Whether documents here contain what redactions near a scope say, as far as they are known: the
    /// roster may be ahead of documents.
    pub(crate) fn has_taken_redactions(&self, scope: ScopeId) -> bool {
        let taken = |at: &OpId| self.writers.get(&at.log).map_or(0, |log| log.applied) > at.seq;
        let mut near = self.redactions_near(scope);
        near.all(|(at, redact)| taken(at) || self.redacted_values(at, redact).next().is_none())
    }

    /// Redactions in scopes around or inside of one.
    fn redactions_near(&self, scope: ScopeId) -> impl Iterator<Item = (&OpId, &Redact)> {
        let place = self.roster.place_of(scope);
        self.roster.redactions().iter().filter(move |(_, redact)| {
            let other = self.roster.place_of(redact.scope);
            let both = other.zip(place);
            both.is_some_and(|(other, place)| other.covers(place) || place.covers(other))
        })
    }

    /// The parcels of a redaction that counts that held values, not pieces of starts.
    pub(crate) fn redacted_values<'s>(
        &'s self,
        at: &'s OpId,
        redact: &'s Redact,
    ) -> impl Iterator<Item = (&'s WriterId, u64)> {
        let is_piece = |of: &WriterId, seq: u64| {
            let mut starts = self.roster.starts_of(redact.scope);
            starts.any(|(at, start)| at.log == *of && (start.first..at.seq).contains(&seq))
        };
        let parcels = redact.parcels.iter().map(|(of, seq)| (of, *seq));
        parcels.filter(move |(of, seq)| {
            self.roster.may_redact(at, redact.scope, of) && !is_piece(of, *seq)
        })
    }
}
