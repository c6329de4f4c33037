//! Subjects made of parts: a person of devices, a group of people and devices.
//!
//! Owns how the operations that add and remove parts become a body for `rules`, and which devices
//! then act for the subject, over which stretches of their logs. A part is named by who it is and
//! the number of its stay, so that one removal holds in every space it is carried to.

use std::sync::Arc;

use stead_base::{DeviceId, SpaceId};

use crate::ledger::{Ledger, Said};
use crate::op::{GroupPart, OpId, Party, PartyId};
use crate::rules::{
    Author, Body, Bounds, Candidate, Ended, Line, Origin, Removal, Standing, Who, judge,
};
use crate::{Card, IdentityId, Lengths, Path, Role};

/// The devices that a party's card names, as if nobody had added or removed any.
pub(crate) fn plain_lines(party: &Party) -> Arc<[Line]> {
    let line = |record: &crate::DeviceRecord| Line {
        record: record.clone(),
        within: Vec::new(),
    };
    match party {
        Party::Device(record) => Arc::from([line(record)]),
        Party::Identity(card) => sorted(card.devices.iter().map(|on_card| line(&on_card.record))),
    }
}

/// The devices that act for a party, given what the ledger says of its devices.
pub(crate) fn party_lines(ledger: &Ledger, party: &Party, plain: &Arc<[Line]>) -> Arc<[Line]> {
    match party {
        Party::Identity(card) if ledger.speaks_of_devices_of(&card.identity) => {
            card_lines(ledger, card)
        }
        _ => Arc::clone(plain),
    }
}

/// The devices that act for a group.
pub(crate) fn group_lines(ledger: &Ledger, group: &SpaceId, seeds: &[GroupPart]) -> Arc<[Line]> {
    lines_of(group_parts(ledger, group, seeds))
}

fn card_lines(ledger: &Ledger, card: &Card) -> Arc<[Line]> {
    lines_of(card_parts(ledger, card))
}

/// A part that counts, or did until it ended.
#[derive(Debug, Clone)]
pub struct StandingPart {
    /// Who it is.
    pub party: PartyId,
    /// Which stay of theirs.
    pub stay: u32,
    /// Whether it adds and removes parts; a person's devices all do.
    pub keeper: bool,
    /// Steps from the first; 0 for devices that the root key added and for a group's founder.
    pub rank: u32,
    /// How it ended, if it did.
    pub ended: Option<Ended>,
    since: Lengths,
    lines: Arc<[Line]>,
}

impl StandingPart {
    /// The devices that act by this part now.
    pub fn devices(&self) -> impl Iterator<Item = &crate::DeviceRecord> {
        let current = self.lines.iter().filter(|line| line.is_current());
        current
            .filter(|_| self.ended.is_none())
            .map(|line| &line.record)
    }

    /// Whether `device` acts by this part now.
    pub fn is_held_by(&self, device: &DeviceId) -> bool {
        self.devices().any(|record| record.id == *device)
    }
}

/// The parts of a group.
pub(crate) fn group_parts(
    ledger: &Ledger,
    group: &SpaceId,
    seeds: &[GroupPart],
) -> Vec<StandingPart> {
    let (whole, none) = (Path::whole_space(), Lengths::none());
    let mut parts = Vec::new();
    for (index, seed) in (0..).zip(seeds) {
        parts.push(Part {
            id: seed_id(index),
            origin: Origin::Seed(seed.rank),
            party: seed.party.id(),
            stay: seed.stay,
            keeper: seed.keeper,
            since: &none,
            lines: party_lines(ledger, &seed.party, &plain_lines(&seed.party)),
        });
    }
    for (id, add) in ledger.group_adds.get(group).into_iter().flatten() {
        parts.push(Part {
            id: *id,
            origin: Origin::Granted(add.by),
            party: add.what.party.id(),
            stay: add.what.stay,
            keeper: add.what.keeper,
            since: &add.what.since,
            lines: party_lines(ledger, &add.what.party, &add.plain),
        });
    }
    let removes = ledger.group_removes.get(group).into_iter().flatten();
    let removals = removes.map(|(id, Said { by, what, .. })| PartRemoval {
        id: *id,
        by: *by,
        party: what.party,
        stay: what.stay,
        lengths: &what.lengths,
    });
    resolve(ledger, None, &whole, parts, removals)
}

/// The cards by which a group names a person, whether or not those parts still stand.
pub(crate) fn group_cards<'a>(
    ledger: &'a Ledger,
    group: &SpaceId,
    seeds: &'a [GroupPart],
    person: IdentityId,
) -> impl Iterator<Item = &'a Card> {
    let added = ledger.group_adds.get(group).into_iter().flatten();
    let parties = seeds.iter().map(|seed| &seed.party);
    let parties = parties.chain(added.map(|(_, said)| &said.what.party));
    parties.filter_map(move |party| match party {
        Party::Identity(card) if card.identity == person => Some(card),
        _ => None,
    })
}

/// A person's devices.
pub(crate) fn card_parts(ledger: &Ledger, card: &Card) -> Vec<StandingPart> {
    let (whole, none) = (Path::whole_space(), Lengths::none());
    let mut parts = Vec::new();
    for (index, (on_card, rank)) in (0..).zip(card.ranked()) {
        parts.push(Part {
            id: seed_id(index),
            origin: Origin::Seed(rank),
            party: PartyId::Device(on_card.record.id),
            stay: on_card.stay,
            keeper: true,
            since: &none,
            lines: plain_lines(&Party::Device(on_card.record.clone())),
        });
    }
    for (id, add) in ledger.device_adds.get(&card.identity).into_iter().flatten() {
        parts.push(Part {
            id: *id,
            origin: Origin::Granted(add.by),
            party: PartyId::Device(add.what.record.id),
            stay: add.what.stay,
            keeper: true,
            since: &add.what.since,
            lines: Arc::clone(&add.plain),
        });
    }
    let removes = ledger
        .device_removes
        .get(&card.identity)
        .into_iter()
        .flatten();
    let removals = removes.map(|(id, Said { by, what, .. })| PartRemoval {
        id: *id,
        by: *by,
        party: PartyId::Device(what.device),
        stay: what.stay,
        lengths: &what.lengths,
    });
    resolve(ledger, Some(card.identity), &whole, parts, removals)
}

/// A part that may or may not count.
struct Part<'a> {
    id: OpId,
    origin: Origin,
    party: PartyId,
    stay: u32,
    keeper: bool,
    since: &'a Lengths,
    lines: Arc<[Line]>,
}

struct PartRemoval<'a> {
    id: OpId,
    by: Author,
    party: PartyId,
    stay: u32,
    lengths: &'a Lengths,
}

fn resolve<'a>(
    ledger: &Ledger,
    top: Option<IdentityId>,
    whole: &Path,
    parts: Vec<Part<'a>>,
    removals: impl Iterator<Item = PartRemoval<'a>>,
) -> Vec<StandingPart> {
    let removals = removals
        .map(|removal| Removal {
            id: removal.id,
            author: removal.by,
            targets: (0..parts.len())
                .filter(|i| parts[*i].party == removal.party && parts[*i].stay <= removal.stay)
                .collect(),
            lengths: removal.lengths,
        })
        .collect();
    let candidates = parts
        .iter()
        .map(|part| Candidate {
            id: part.id,
            origin: part.origin,
            who: Who::Party(part.party),
            role: if part.keeper {
                Role::Owner
            } else {
                Role::Reader
            },
            path: whole,
            since: part.since,
            lines: Arc::clone(&part.lines),
        })
        .collect();
    let standings = judge(&Body {
        claims: &ledger.claims,
        top,
        candidates,
        removals,
    });
    let standing = |(part, standing): (Part<'_>, Option<Standing>)| {
        let standing = standing?;
        Some(StandingPart {
            party: part.party,
            stay: part.stay,
            keeper: part.keeper,
            rank: standing.rank,
            ended: standing.ended,
            since: part.since.clone(),
            lines: part.lines,
        })
    };
    parts
        .into_iter()
        .zip(standings)
        .filter_map(standing)
        .collect()
}

fn lines_of(parts: Vec<StandingPart>) -> Arc<[Line]> {
    let mut lines = Vec::new();
    for part in parts {
        let bounds = Arc::new(Bounds {
            since: part.since,
            ended: part.ended,
        });
        lines.extend(part.lines.iter().cloned().map(|mut line| {
            line.within.push(Arc::clone(&bounds));
            line
        }));
    }
    sorted(lines)
}

fn sorted(lines: impl IntoIterator<Item = Line>) -> Arc<[Line]> {
    let mut lines: Vec<Line> = lines.into_iter().collect();
    lines.sort_by_key(|line| line.record.id);
    lines.into()
}

/// Founding parts have no operation of their own; nothing refers to them by this id.
fn seed_id(index: u32) -> OpId {
    OpId {
        log: stead_base::WriterId::from_bytes([0; 32]),
        seq: 0,
        index,
    }
}
