//! The short way for what only adds: a claim, or a grant to someone who has not spoken yet.
//!
//! Owns the conditions under which adding to what is worked out gives the same as working it out
//! anew. When in doubt it declines, and everything is worked out from the ledger.

use stead_base::WriterId;

use super::{Roster, Taken};
use crate::Role;
use crate::change::Change;
use crate::compound::party_lines;
use crate::ledger::Said;
use crate::members::{GivenBy, MemberSubject, Membership};
use crate::op::{Grant, OpId, Subject};
use crate::rules::Author;
use crate::verdicts::{Span, shift};

impl Roster {
    /// Takes up entries that only claim and grant; none if they must be worked out in full.
    pub(super) fn grow(&mut self, taken: &[Taken]) -> Option<Change> {
        let declines = |entry: &Taken| {
            let touched = &entry.touched;
            touched.by_root
                || touched.more
                || (touched.claim && self.ledger.spoke.contains(&entry.writer))
        };
        if self.genesis().is_none() || taken.iter().any(declines) {
            return None;
        }
        let mut grown = Vec::new();
        for entry in taken {
            let id = |index| OpId {
                log: entry.writer,
                seq: entry.seq,
                index,
            };
            for (id, said) in self.ledger.grants.range(id(0)..=id(u32::MAX)) {
                grown.extend(self.grown_by(*id, said)?);
            }
        }
        let mut change = Change {
            members: !grown.is_empty(),
            ..Change::default()
        };
        for membership in grown {
            self.add(membership, &mut change);
        }
        for entry in taken.iter().filter(|entry| entry.touched.claim) {
            self.claimed(&entry.writer, &mut change);
        }
        self.welcome(&mut change);
        Some(change)
    }

    /// The membership that a grant makes, if it counts; an outer none if that cannot be told
    /// without working everything out.
    fn grown_by(&self, id: OpId, said: &Said<Grant>) -> Option<Option<Membership>> {
        let grant = &said.what;
        let Author::Entry { writer, seq } = said.by else {
            return None;
        };
        let votes_may_change = grant.role >= Role::Manager && !self.ledger.removes.is_empty();
        if votes_may_change || self.ledger.spoken_of.contains(&id) {
            return None;
        }
        let (subject, lines) = match &grant.subject {
            Subject::Party(party) => (
                MemberSubject::Party(party.id()),
                party_lines(&self.ledger, party, &said.plain),
            ),
            Subject::Invite {
                key,
                uses,
                expires_ms,
            } => {
                let subject = MemberSubject::Invite {
                    key: *key,
                    uses: *uses,
                    expires_ms: *expires_ms,
                };
                (subject, said.plain.clone())
            }
            Subject::Group { .. } | Subject::Everyone => return None,
        };
        let has_spoken = lines
            .iter()
            .flat_map(|line| self.ledger.claims.writers_of(&line.record.id))
            .any(|writer| self.ledger.spoke.contains(writer));
        if has_spoken {
            return None;
        }
        let Some(device) = self.device_of(&writer) else {
            return Some(None);
        };
        let authorising = self.lines_of(device).filter(|(held, line)| {
            let (since, limit) = held.interval(line, &writer);
            since <= seq
                && seq < limit
                && held.path.covers(&grant.path)
                && held.role.may_grant(grant.role)
        });
        // The order in which `rules` looks at givers.
        let giver = authorising.map(|(held, _)| held).min_by_key(|held| {
            (
                held.rank,
                held.given_by != GivenBy::Founding,
                held.joined_by.is_some(),
                held.id,
            )
        });
        Some(giver.map(|giver| Membership {
            id,
            subject,
            role: grant.role,
            path: grant.path.clone(),
            rank: giver.rank + 1,
            given_by: GivenBy::Membership(giver.id),
            joined_by: None,
            ended: None,
            since: grant.since.clone(),
            lines,
        }))
    }

    fn add(&mut self, membership: Membership, change: &mut Change) {
        let mut writers: Vec<WriterId> = Vec::new();
        for line in membership.lines.iter() {
            let held = self.by_device.entry(line.record.id).or_default();
            held.insert(membership.id);
            writers.extend(self.ledger.claims.writers_of(&line.record.id));
        }
        let before: Vec<Vec<Span>> = writers
            .iter()
            .map(|writer| self.verdicts.spans(writer).to_vec())
            .collect();
        self.verdicts.add(&membership, &self.ledger.claims);
        self.memberships.insert(membership.id, membership);
        for (writer, before) in writers.into_iter().zip(before) {
            self.note(writer, &before, change);
        }
    }

    fn claimed(&mut self, writer: &WriterId, change: &mut Change) {
        let before = self.verdicts.spans(writer).to_vec();
        let mut verdicts = std::mem::take(&mut self.verdicts);
        if let Some(device) = self.device_of(writer) {
            verdicts.respan(writer, self.lines_of(device));
        }
        self.verdicts = verdicts;
        self.note(*writer, &before, change);
    }

    fn note(&self, writer: WriterId, before: &[Span], change: &mut Change) {
        let after = self.verdicts.spans(&writer);
        let had = !before.is_empty();
        change.note(writer, had, !after.is_empty(), shift(before, after));
    }
}
