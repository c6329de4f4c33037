//! Ranks and ends of one body of members, worked out from the definition.
//!
//! Owns rules 3 to 6 and 9 of `docs/formats/roster.md`, word for word and nothing clever.

use stead_access::{Lengths, PartyId, Role};
use stead_base::WriterId;

use super::{AccessModel, Author, Member, Removal, Voice};

impl AccessModel {
    /// Gives ranks and ends, the most senior rank first.
    pub(super) fn judge(
        &self,
        members: &mut [Member],
        removals: &[Removal],
        top: Option<[u8; 32]>,
    ) {
        loop {
            let ready: Vec<(u32, usize, Option<usize>)> = (0..members.len())
                .filter(|i| members[*i].rank.is_none())
                .filter_map(|i| {
                    let (rank, giver) = self.entry_rank(members, i, top)?;
                    Some((rank, i, giver))
                })
                .collect();
            let Some(rank) = ready.iter().map(|(rank, ..)| *rank).min() else {
                return;
            };
            let entrants: Vec<_> = ready.into_iter().filter(|(at, ..)| *at == rank).collect();
            for (_, i, giver) in &entrants {
                members[*i].rank = Some(rank);
                members[*i].giver = *giver;
            }
            let entrants: Vec<usize> = entrants.into_iter().map(|(_, i, _)| i).collect();
            self.end(members, removals, top, rank, &entrants);
        }
    }

    /// The rank at which a member comes in, from those who are in so far.
    fn entry_rank(
        &self,
        members: &[Member],
        i: usize,
        top: Option<[u8; 32]>,
    ) -> Option<(u32, Option<usize>)> {
        let new = &members[i];
        if let Some(seed) = new.seed {
            return Some((seed, None));
        }
        if let (Author::Root(root), None) = (new.by, new.invite) {
            return (top == Some(root)).then_some((0, None));
        }
        let givers = (0..members.len()).filter(|g| {
            let giver = &members[*g];
            giver.rank.is_some() && self.gives(giver, new.by, new)
        });
        let giver = givers.min_by_key(|g| members[*g].rank)?;
        let rank = members[giver].rank?;
        let Some((invite, uses)) = new.invite else {
            return Some((rank + 1, Some(giver)));
        };
        let at = members.iter().position(|m| m.id == invite)?;
        let (invite, Author::Entry(log, seq)) = (&members[at], new.by) else {
            return None;
        };
        let invite_rank = invite.rank?;
        let open = |log: &WriterId, seq| invite.end.as_ref().is_none_or(|end| seq < end.of(log));
        if !open(&log, seq) {
            return None;
        }
        let Some(uses) = uses else {
            return Some((rank.max(invite_rank) + 1, Some(giver)));
        };
        // Only in the log that made the invite, by the right that made it, the first so many.
        let maker = invite.giver?;
        let counts = |m: &Member| match m.by {
            Author::Entry(log, seq) => {
                m.invite.is_some_and(|(id, _)| id == invite.id)
                    && log == invite.id.log
                    && open(&log, seq)
                    && self.gives(&members[maker], m.by, m)
            }
            Author::Root(_) => false,
        };
        let mut first: Vec<&Member> = members.iter().filter(|m| counts(m)).collect();
        first.sort_by_key(|m| m.id);
        let mut guests: Vec<Option<PartyId>> = Vec::new();
        let mut admitted = Vec::new();
        for m in first {
            if !guests.contains(&m.party) && guests.len() < uses as usize {
                guests.push(m.party);
                admitted.push(m.id);
            }
        }
        admitted
            .contains(&new.id)
            .then_some((invite_rank + 1, Some(maker)))
    }

    fn gives(&self, giver: &Member, by: Author, new: &Member) -> bool {
        giver.role.may_grant(new.role) && giver.path.covers(&new.path) && self.covers(giver, by)
    }

    fn end(
        &self,
        members: &mut [Member],
        removals: &[Removal],
        top: Option<[u8; 32]>,
        rank: u32,
        entrants: &[usize],
    ) {
        let mut ends: Vec<(usize, Lengths)> = Vec::new();
        let mut still_open = Vec::new();
        for target in entrants {
            let (mut seniors, mut own) = (Vec::new(), Vec::new());
            for removal in removals.iter().filter(|r| r.targets.contains(target)) {
                match self.weigh(members, rank, *target, removal.by, top) {
                    Some(Some(weight)) => seniors.push((weight, &removal.lengths)),
                    Some(None) => own.push(&removal.lengths),
                    None => {}
                }
            }
            let best = seniors.iter().map(|(weight, _)| *weight).min();
            let counting: Vec<&Lengths> = match best {
                Some(best) => seniors
                    .iter()
                    .filter(|(w, _)| *w == best)
                    .map(|(_, l)| *l)
                    .collect(),
                None => own,
            };
            if best.is_none() {
                still_open.push(*target);
            }
            if !counting.is_empty() {
                // All seniors must say so, or the subject once.
                let needed = best.map_or(1, |_| counting.len());
                ends.push((*target, void_by(&counting, needed)));
            }
        }
        for (target, end) in ends {
            members[target].end = Some(end);
        }
        let mut voted = Vec::new();
        for target in still_open {
            let t = &members[target];
            let equals: Vec<&Member> = entrants
                .iter()
                .map(|e| &members[*e])
                .filter(|e| e.party.is_some() && e.role >= Role::Manager && e.path.covers(&t.path))
                .collect();
            let mut electorate: Vec<PartyId> = equals.iter().filter_map(|e| e.party).collect();
            electorate.sort();
            electorate.dedup();
            // A group or an invite is one more.
            let extra = t.party.is_none_or(|party| !electorate.contains(&party));
            let size = electorate.len() + usize::from(extra);
            let mut votes: Vec<(PartyId, &Lengths)> = Vec::new();
            for removal in removals.iter().filter(|r| r.targets.contains(&target)) {
                for equal in &equals {
                    if equal.party != t.party && self.covers(equal, removal.by) {
                        votes.extend(equal.party.map(|party| (party, &removal.lengths)));
                    }
                }
            }
            let mut voters: Vec<PartyId> = votes.iter().map(|(party, _)| *party).collect();
            voters.sort();
            voters.dedup();
            if voters.len() > size / 2 {
                let said_by = |voter: &PartyId| {
                    let own = votes.iter().filter(|(party, _)| party == voter);
                    void_by(&own.map(|(_, lengths)| *lengths).collect::<Vec<_>>(), 1)
                };
                let said: Vec<Lengths> = voters.iter().map(said_by).collect();
                let end = void_by(&said.iter().collect::<Vec<_>>(), size / 2 + 1);
                voted.push((target, end));
            }
        }
        for (target, end) in voted {
            members[target].end = Some(end);
        }
    }

    /// `Some(Some(w))`: a senior of that weight removes; `Some(None)`: the subject does.
    fn weigh(
        &self,
        members: &[Member],
        rank: u32,
        target: usize,
        by: Author,
        top: Option<[u8; 32]>,
    ) -> Option<Option<i64>> {
        let t = &members[target];
        if let Author::Root(root) = by {
            if top == Some(root) {
                return Some(Some(-1));
            }
            let own = matches!(t.party, Some(PartyId::Identity(id)) if *id.as_bytes() == root);
            return own.then_some(None);
        }
        let senior = members
            .iter()
            .filter(|m| m.rank.is_some_and(|at| at < rank) && self.gives(m, by, t))
            .filter_map(|m| m.rank)
            .min();
        if let Some(senior) = senior {
            return Some(Some(senior.into()));
        }
        let own = t.party.is_some() && self.speaks(&t.voice, by) && t.since_holds(by);
        own.then_some(None)
    }

    pub(super) fn covers(&self, member: &Member, by: Author) -> bool {
        let Author::Entry(writer, seq) = by else {
            return false;
        };
        member.since_holds(by)
            && member.end.as_ref().is_none_or(|end| seq < end.of(&writer))
            && self.speaks(&member.voice, by)
    }

    fn speaks(&self, voice: &Voice, by: Author) -> bool {
        let Author::Entry(writer, seq) = by else {
            return false;
        };
        match voice {
            Voice::Device(device) => self.device_of(writer) == Some(*device),
            Voice::Silent => false,
            Voice::Parts(parts) => parts.iter().any(|(voice, since, end)| {
                seq >= since.of(&writer)
                    && end.as_ref().is_none_or(|end| seq < end.of(&writer))
                    && self.speaks(voice, by)
            }),
        }
    }
}

impl Member {
    fn since_holds(&self, by: Author) -> bool {
        matches!(by, Author::Entry(writer, seq) if seq >= self.since.of(&writer))
    }
}

/// The length of each log beyond which at least `needed` of these put every entry.
fn void_by(all: &[&Lengths], needed: usize) -> Lengths {
    let named = all.iter().flat_map(|lengths| lengths.iter());
    let cuts: Vec<(WriterId, u64)> = named.map(|(writer, len)| (*writer, len)).collect();
    let voids = |writer: &WriterId, seq| all.iter().filter(|said| seq >= said.of(writer)).count();
    // The greatest length named whose last entry is not void.
    let left = |(writer, len): &(WriterId, u64)| {
        (*len > 0 && voids(writer, len - 1) < needed).then_some((*writer, *len))
    };
    cuts.iter().filter_map(left).collect()
}
