//! The rules of rights, once, for every body of members: a space, a group, a person's devices.
//!
//! Owns one pure function from candidates and removals to standings. It works rank by rank: who
//! stands at a rank, and how far, follows from what more senior ranks, the subject itself and its
//! equals said. So it ends, and the same candidates give the same standings in whatever order
//! they came. It knows no bytes, no keys and no time.

mod removal;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stead_base::{DeviceId, SpaceId, WriterId};

use crate::op::{OpId, PartyId};
use crate::{DeviceRecord, IdentityId, Lengths, Path, Role};

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// An entry of a log.
    Entry { writer: WriterId, seq: u64 },
    /// The root key of an identity.
    Root(IdentityId),
}

/// Which device wrote which log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    by_writer: BTreeMap<WriterId, (u64, DeviceId)>,
    by_device: BTreeMap<DeviceId, BTreeSet<WriterId>>,
}

impl Claims {
    /// Takes a claim whose signature holds. The earliest of a log counts; returns whether this
    /// one changed whose log it is.
    pub(crate) fn take(&mut self, writer: WriterId, seq: u64, device: DeviceId) -> bool {
        let held = self.by_writer.get(&writer).copied();
        if held.is_some_and(|(earlier, _)| earlier <= seq) {
            return false;
        }
        if let Some((_, other)) = held
            && let Some(writers) = self.by_device.get_mut(&other)
        {
            writers.remove(&writer);
        }
        self.by_writer.insert(writer, (seq, device));
        self.by_device.entry(device).or_default().insert(writer);
        held.is_none_or(|(_, other)| other != device)
    }

    pub(crate) fn device_of(&self, writer: &WriterId) -> Option<DeviceId> {
        self.by_writer.get(writer).map(|(_, device)| *device)
    }

    pub(crate) fn writers_of(&self, device: &DeviceId) -> impl Iterator<Item = &WriterId> {
        self.by_device.get(device).into_iter().flatten()
    }
}

/// A stretch of logs: from `since` on, and if it ended, below the lengths named then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) since: Lengths,
    pub(crate) ended: Option<Ended>,
}

impl Bounds {
    /// The entries of `writer` inside: from the first up to, not including, the second.
    pub(crate) fn interval(&self, writer: &WriterId) -> (u64, u64) {
        let end = self
            .ended
            .as_ref()
            .map_or(u64::MAX, |ended| ended.lengths.of(writer));
        (self.since.of(writer), end)
    }
}

/// One device that acts for a subject, and the stretches outside of which it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) record: DeviceRecord,
    /// All must hold.
    pub(crate) within: Vec<Arc<Bounds>>,
}

impl Line {
    /// The entries of `writer` for which this line holds.
    pub(crate) fn interval(&self, writer: &WriterId) -> (u64, u64) {
        self.within
            .iter()
            .fold((0, u64::MAX), |(from, to), bounds| {
                let (since, end) = bounds.interval(writer);
                (from.max(since), to.min(end))
            })
    }

    /// Whether nothing has ended the line.
    pub(crate) fn is_current(&self) -> bool {
        self.within.iter().all(|bounds| bounds.ended.is_none())
    }
}

/// Who a candidate is for, as far as leaving and voting go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Leaves and votes.
    Party(PartyId),
    /// Neither leaves nor votes as a whole.
    Group(SpaceId),
    /// An invite, or everyone.
    Nobody,
}

/// How a candidate came to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin {
    /// Given from the beginning, with that rank.
    Seed(u32),
    /// Granted.
    Granted(Author),
    /// Joined by the invite at that place of the candidates.
    Joined {
        author: Author,
        invite: usize,
        uses: Option<u32>,
    },
}

/// A membership that may or may not count.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) id: OpId,
    pub(crate) origin: Origin,
    pub(crate) who: Who,
    pub(crate) role: Role,
    pub(crate) path: &'a Path,
    pub(crate) since: &'a Lengths,
    /// In order of their devices.
    pub(crate) lines: Arc<[Line]>,
}

/// A removal that may or may not count.
#[derive(Debug)]
pub(crate) struct Removal<'a> {
    pub(crate) id: OpId,
    pub(crate) author: Author,
    /// Places of candidates.
    pub(crate) targets: Vec<usize>,
    pub(crate) lengths: &'a Lengths,
}

/// All that is said about one body of members.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    pub(crate) claims: &'a Claims,
    /// The identity whose root key is above everyone here.
    pub(crate) top: Option<IdentityId>,
    /// In order of id, seeds first.
    pub(crate) candidates: Vec<Candidate<'a>>,
    pub(crate) removals: Vec<Removal<'a>>,
}

/// Who let a member in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Giver {
    /// Nobody: a founder.
    Founding,
    /// The root key above this body.
    Root,
    /// The member at that place.
    Member(usize),
}

/// How a membership ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// A senior member, or the root key above all.
    Senior,
    /// A majority of equals.
    Equals,
    /// The subject itself.
    Itself,
}

/// The end of a membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Who ended it.
    pub how: EndedBy,
    /// The removals that count.
    pub by: Vec<OpId>,
    /// How many must have spoken; above 1 for votes only.
    pub needed: usize,
    /// Which entries still count, of each log.
    pub lengths: Lengths,
}

/// What became of a candidate that counts.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) rank: u32,
    pub(crate) giver: Giver,
    pub(crate) ended: Option<Ended>,
}

/// Decides which candidates count, and how far. The result is in the order of the candidates.
pub(crate) fn judge(body: &Body<'_>) -> Vec<Option<Standing>> {
    let mut judge = Judge::new(body);
    while let Some((rank, entrants)) = judge.agenda.pop_first() {
        let mut members: Vec<usize> = entrants.iter().map(|(member, _)| *member).collect();
        members.sort_unstable();
        for (member, giver) in entrants {
            judge.standings[member] = Some(Standing {
                rank,
                giver,
                ended: None,
            });
        }
        judge.end_members(rank, &members);
        for member in &members {
            for line in body.candidates[*member].lines.iter() {
                let at = judge.by_device.entry(line.record.id).or_default();
                if at.last() != Some(member) {
                    at.push(*member);
                }
            }
        }
        for member in &members {
            judge.let_in_by(*member, rank);
        }
        for member in members {
            judge.let_joiners_in(member, rank);
        }
    }
    judge.standings
}

struct Judge<'a, 'b> {
    body: &'b Body<'a>,
    standings: Vec<Option<Standing>>,
    queued: Vec<bool>,
    agenda: BTreeMap<u32, Vec<(usize, Giver)>>,
    /// Members whose end is settled, by their devices.
    by_device: BTreeMap<DeviceId, Vec<usize>>,
    /// Candidates by the log that lets them in.
    grants_of: BTreeMap<WriterId, Vec<usize>>,
    joins_of: BTreeMap<WriterId, Vec<usize>>,
    joins_by_invite: BTreeMap<usize, Vec<usize>>,
    removals_of: BTreeMap<usize, Vec<usize>>,
}

impl<'a, 'b> Judge<'a, 'b> {
    fn new(body: &'b Body<'a>) -> Self {
        let count = body.candidates.len();
        let mut judge = Self {
            body,
            standings: vec![None; count],
            queued: vec![false; count],
            agenda: BTreeMap::new(),
            by_device: BTreeMap::new(),
            grants_of: BTreeMap::new(),
            joins_of: BTreeMap::new(),
            joins_by_invite: BTreeMap::new(),
            removals_of: BTreeMap::new(),
        };
        for (i, candidate) in body.candidates.iter().enumerate() {
            match candidate.origin {
                Origin::Seed(rank) => judge.queue(i, rank, Giver::Founding),
                Origin::Granted(Author::Root(root)) => {
                    if body.top == Some(root) {
                        judge.queue(i, 0, Giver::Root);
                    }
                }
                Origin::Granted(Author::Entry { writer, .. }) => {
                    judge.grants_of.entry(writer).or_default().push(i);
                }
                Origin::Joined { author, invite, .. } => {
                    if let Author::Entry { writer, .. } = author {
                        judge.joins_of.entry(writer).or_default().push(i);
                        judge.joins_by_invite.entry(invite).or_default().push(i);
                    }
                }
            }
        }
        for (i, removal) in body.removals.iter().enumerate() {
            for target in &removal.targets {
                let at = judge.removals_of.entry(*target).or_default();
                if at.last() != Some(&i) {
                    at.push(i);
                }
            }
        }
        judge
    }

    fn queue(&mut self, candidate: usize, rank: u32, giver: Giver) {
        if !std::mem::replace(&mut self.queued[candidate], true) {
            let entrants = self.agenda.entry(rank).or_default();
            entrants.push((candidate, giver));
        }
    }

    /// Queues what the entries of `member` grant, and the joins they admit.
    fn let_in_by(&mut self, member: usize, rank: u32) {
        let lines = Arc::clone(&self.body.candidates[member].lines);
        for line in lines.iter() {
            for writer in self.body.claims.writers_of(&line.record.id) {
                let grants = self.grants_of.get(writer).cloned().unwrap_or_default();
                for grant in grants {
                    if !self.queued[grant] && self.authorises(member, grant) {
                        self.queue(grant, rank + 1, Giver::Member(member));
                    }
                }
                let joins = self.joins_of.get(writer).cloned().unwrap_or_default();
                for join in joins {
                    self.admit_unlimited(join, rank);
                }
            }
        }
    }

    /// Queues the joins by an invite whose end is settled.
    fn let_joiners_in(&mut self, invite: usize, rank: u32) {
        let Some(joins) = self.joins_by_invite.get(&invite).cloned() else {
            return;
        };
        let Some(Giver::Member(giver)) = self.standings[invite].as_ref().map(|at| at.giver) else {
            return joins
                .iter()
                .for_each(|join| self.admit_unlimited(*join, rank));
        };
        let maker = self.body.candidates[invite].id.log;
        let mut joined = BTreeSet::new();
        // Candidates are in order of id, so joins of one log are in its order.
        for join in joins {
            let candidate = &self.body.candidates[join];
            let Origin::Joined { author, uses, .. } = candidate.origin else {
                continue;
            };
            let Some(uses) = uses else {
                self.admit_unlimited(join, rank);
                continue;
            };
            let by_maker = matches!(author, Author::Entry { writer, .. } if writer == maker);
            if by_maker
                && self.stands_open(invite, author)
                && self.authorises(giver, join)
                && joined.len() < uses as usize
                && joined.insert(candidate.who)
            {
                self.queue(join, rank + 1, Giver::Member(giver));
            }
        }
    }

    fn admit_unlimited(&mut self, join: usize, rank: u32) {
        let Origin::Joined {
            author,
            invite,
            uses: None,
        } = self.body.candidates[join].origin
        else {
            return;
        };
        if self.queued[join] || !self.stands_open(invite, author) {
            return;
        }
        let Author::Entry { writer, .. } = author else {
            return;
        };
        let admitter = self.members_of(&writer).find(|p| self.authorises(*p, join));
        if let Some(admitter) = admitter {
            self.queue(join, rank + 1, Giver::Member(admitter));
        }
    }

    /// Whether the invite counts for a join in that entry.
    fn stands_open(&self, invite: usize, author: Author) -> bool {
        let (Some(standing), Author::Entry { writer, seq }) = (&self.standings[invite], author)
        else {
            return false;
        };
        let ended = standing.ended.as_ref();
        // An invite that stands on the agenda's current rank is settled before joins are.
        ended.is_none_or(|ended| seq < ended.lengths.of(&writer))
    }

    /// Members of the log's device whose end is settled, the most senior first.
    fn members_of(&self, writer: &WriterId) -> impl Iterator<Item = usize> {
        let device = self.body.claims.device_of(writer);
        let members = device.and_then(|device| self.by_device.get(&device));
        members.into_iter().flatten().copied()
    }

    /// Whether `member` gave `candidate` with a right that held for that entry.
    fn authorises(&self, member: usize, candidate: usize) -> bool {
        let wanted = &self.body.candidates[candidate];
        let (Origin::Granted(author) | Origin::Joined { author, .. }) = wanted.origin else {
            return false;
        };
        self.may_grant(member, author, wanted)
    }

    fn may_grant(&self, member: usize, author: Author, wanted: &Candidate<'_>) -> bool {
        let holder = &self.body.candidates[member];
        holder.path.covers(wanted.path)
            && holder.role.may_grant(wanted.role)
            && self.covers(member, author)
    }

    /// Whether the entry lies inside what `member` covers, as its end is known by now.
    fn covers(&self, member: usize, author: Author) -> bool {
        let ended = self.standings[member]
            .as_ref()
            .and_then(|at| at.ended.as_ref());
        let (Author::Entry { writer, seq }, candidate) = (author, &self.body.candidates[member])
        else {
            return false;
        };
        candidate.acts_in(self.body.claims, &writer, seq)
            && ended.is_none_or(|ended| seq < ended.lengths.of(&writer))
    }
}

impl Candidate<'_> {
    /// Whether the entry is by a device of the subject and within the candidate's `since`.
    fn acts_in(&self, claims: &Claims, writer: &WriterId, seq: u64) -> bool {
        let Some(device) = claims.device_of(writer) else {
            return false;
        };
        let start = self.lines.partition_point(|line| line.record.id < device);
        let mut lines = self.lines[start..]
            .iter()
            .take_while(|line| line.record.id == device);
        seq >= self.since.of(writer)
            && lines.any(|line| {
                let (from, to) = line.interval(writer);
                from <= seq && seq < to
            })
    }
}
