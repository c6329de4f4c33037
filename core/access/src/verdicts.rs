//! Verdicts worked out beforehand: for each writer, where it may do what, in which of its entries.
//!
//! Owns the compact lists that answer within nanoseconds, and the comparison of two of them that
//! tells which entries changed their verdict.

use std::collections::BTreeMap;

use stead_base::WriterId;

use crate::members::{MemberSubject, Membership};
use crate::op::OpId;
use crate::rules::Claims;
use crate::{Action, Path, Role};

/// A stretch of one log in which a role holds at a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Where.
    pub path: Path,
    /// As what.
    pub role: Role,
    /// The first entry.
    pub since: u64,
    /// The first entry after; `u64::MAX` while it has not ended.
    pub limit: u64,
}

/// Which entries of a writer changed their verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// The first of them.
    pub from: u64,
    /// The first entry after the last of them; `u64::MAX` if none is the last.
    pub to: u64,
    /// Whether something that counted does not any more.
    pub lost: bool,
    /// Whether something counts that did not.
    pub gained: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdicts {
    spans: BTreeMap<WriterId, Vec<Span>>,
    /// What everyone may read.
    public: Vec<Path>,
}

impl Verdicts {
    pub(crate) fn of(memberships: &BTreeMap<OpId, Membership>, claims: &Claims) -> Self {
        let mut verdicts = Self::default();
        for membership in memberships.values() {
            verdicts.include(membership, claims);
        }
        for spans in verdicts.spans.values_mut() {
            tidy(spans);
        }
        verdicts
    }

    /// Adds one membership that was not there. Returns the writers it speaks of.
    pub(crate) fn add(&mut self, membership: &Membership, claims: &Claims) -> Vec<WriterId> {
        let writers = self.include(membership, claims);
        for writer in &writers {
            if let Some(spans) = self.spans.get_mut(writer) {
                tidy(spans);
            }
        }
        writers
    }

    fn include(&mut self, membership: &Membership, claims: &Claims) -> Vec<WriterId> {
        if membership.subject == MemberSubject::Everyone && membership.ended.is_none() {
            self.public.push(membership.path.clone());
        }
        let mut writers = Vec::new();
        for line in membership.lines.iter() {
            for writer in claims.writers_of(&line.record.id) {
                let (since, limit) = membership.interval(line, writer);
                if since < limit {
                    self.spans.entry(*writer).or_default().push(Span {
                        path: membership.path.clone(),
                        role: membership.role,
                        since,
                        limit,
                    });
                    writers.push(*writer);
                }
            }
        }
        writers
    }

    /// Works out one writer again, who may be new to the device that holds these memberships.
    pub(crate) fn respan<'a>(
        &mut self,
        writer: &WriterId,
        held: impl Iterator<Item = (&'a Membership, &'a crate::rules::Line)>,
    ) {
        let mut spans = Vec::new();
        for (membership, line) in held {
            let (since, limit) = membership.interval(line, writer);
            if since < limit {
                spans.push(Span {
                    path: membership.path.clone(),
                    role: membership.role,
                    since,
                    limit,
                });
            }
        }
        tidy(&mut spans);
        if spans.is_empty() {
            self.spans.remove(writer);
        } else {
            self.spans.insert(*writer, spans);
        }
    }

    pub(crate) fn spans(&self, writer: &WriterId) -> &[Span] {
        self.spans.get(writer).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn writers(&self) -> impl Iterator<Item = &WriterId> {
        self.spans.keys()
    }

    pub(crate) fn allows(&self, writer: &WriterId, seq: u64, path: &Path, action: Action) -> bool {
        let held = self.spans(writer).iter().any(|span| {
            span.since <= seq && seq < span.limit && span.role.may(action) && span.path.covers(path)
        });
        held || (action == Action::Read && self.is_public(path))
    }

    pub(crate) fn is_public(&self, path: &Path) -> bool {
        self.public.iter().any(|open| open.covers(path))
    }

    pub(crate) const fn has_public(&self) -> bool {
        !self.public.is_empty()
    }

    /// What is different in `self` from what was `before`.
    pub(crate) fn shifts_since(&self, before: &Self) -> BTreeMap<WriterId, Shift> {
        let mut shifts = BTreeMap::new();
        for writer in self.spans.keys().chain(before.spans.keys()) {
            if let Some(shift) = shift(before.spans(writer), self.spans(writer)) {
                shifts.insert(*writer, shift);
            }
        }
        shifts
    }
}

/// Lists up to this length are rid of spans that say nothing more than another.
const TIDY_SPANS_MAX: usize = 128;

/// Sorts spans and drops those that say nothing more than another.
fn tidy(spans: &mut Vec<Span>) {
    spans.sort();
    spans.dedup();
    if spans.len() > TIDY_SPANS_MAX {
        return;
    }
    let within = |inner: &Span, outer: &Span| {
        inner != outer
            && outer.since <= inner.since
            && inner.limit <= outer.limit
            && inner.role <= outer.role
            && outer.path.covers(&inner.path)
    };
    let kept: Vec<bool> = spans
        .iter()
        .map(|span| !spans.iter().any(|other| within(span, other)))
        .collect();
    let mut kept = kept.iter();
    spans.retain(|_| kept.next().copied().unwrap_or(true));
}

/// Compares what one writer had and has, stretch by stretch: which of its entries changed their
/// verdict. None if none did.
pub fn shift(old: &[Span], new: &[Span]) -> Option<Shift> {
    if old == new {
        return None;
    }
    let mut marks: Vec<u64> = old
        .iter()
        .chain(new)
        .flat_map(|span| [span.since, span.limit])
        .collect();
    marks.sort_unstable();
    marks.dedup();
    let mut found: Option<Shift> = None;
    for stretch in marks.windows(2) {
        let (from, to) = (stretch[0], stretch[1]);
        let (lost, gained) = (exceeds(old, new, from), exceeds(new, old, from));
        if lost || gained {
            let shift = found.get_or_insert(Shift {
                from,
                to,
                lost: false,
                gained: false,
            });
            shift.to = to;
            shift.lost |= lost;
            shift.gained |= gained;
        }
    }
    found
}

/// Whether `one` allows something in entry `seq` that `other` does not.
fn exceeds(one: &[Span], other: &[Span], seq: u64) -> bool {
    let holds = |span: &&Span| span.since <= seq && seq < span.limit;
    one.iter().filter(holds).any(|span| {
        !other
            .iter()
            .filter(holds)
            .any(|wider| wider.role >= span.role && wider.path.covers(&span.path))
    })
}
