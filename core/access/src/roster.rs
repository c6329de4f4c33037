//! A space's roster: takes roster entries in any order, any number of times, and answers who may
//! do what.
//!
//! Owns when to work out what anew; what was said is in `ledger`, what follows in `rules`.

mod growth;
mod people;

use std::collections::{BTreeMap, BTreeSet};

use stead_base::{DeviceId, ScopeId, SpaceId, WriterId};
use stead_crypt::KeyId;

use crate::change::Change;
use crate::compound::{StandingPart, card_parts, group_parts};
use crate::epochs::{Epoch, Keys, Stale};
use crate::ledger::{Genesis, Ledger, RosterError, Touched};
use crate::members::{MemberSubject, Membership, memberships};
use crate::op::{AskKeys, Checkpoint, OpId, Party, Redact, ScopeStart, StartEpoch, Subject};
use crate::rules::{Author, Line};
use crate::verdicts::{Span, Verdicts};
use crate::{Action, DeviceRecord, Name, Path, RosterOp};

pub use people::Votes;

/// Most operations kept of a log whose device was never let in.
pub const STRANGER_OPS_MAX: usize = 512;

/// The roster of one space. See the module's head.
#[derive(Debug, Clone)]
pub struct Roster {
    ledger: Ledger,
    memberships: BTreeMap<OpId, Membership>,
    by_device: BTreeMap<DeviceId, BTreeSet<OpId>>,
    verdicts: Verdicts,
    pub(crate) keys: Keys,
    strangers: BTreeMap<WriterId, usize>,
    /// Where logs of strangers were cut because they said too much.
    dropped: BTreeMap<WriterId, u64>,
}

/// An entry that was taken, and what it may have changed.
struct Taken {
    writer: WriterId,
    seq: u64,
    touched: Touched,
}

impl Roster {
    /// Starts an empty roster: nobody has any right.
    pub fn new(space: SpaceId) -> Self {
        let ledger = Ledger::new(space);
        let verdicts = Verdicts::default();
        let keys = Keys::of(&ledger, &verdicts, &|_, _| false);
        Self {
            ledger,
            memberships: BTreeMap::new(),
            by_device: BTreeMap::new(),
            verdicts,
            keys,
            strangers: BTreeMap::new(),
            dropped: BTreeMap::new(),
        }
    }

    /// Takes entry 0 of `writer`, whose hash **the caller has checked to be the space's id**.
    pub fn insert_genesis(
        &mut self,
        writer: WriterId,
        ops: Vec<RosterOp>,
    ) -> Result<Change, RosterError> {
        if self.ledger.genesis.is_some() {
            return Ok(Change::default());
        }
        self.ledger.found(writer, ops.first())?;
        self.ledger.take(writer, 0, ops);
        Ok(self.settle())
    }

    /// Takes the roster operations of an entry; an entry taken before changes nothing.
    ///
    /// In any order at all, the same entries give the same rights in the end. Operations of a
    /// writer without rights are kept, up to [`STRANGER_OPS_MAX`], for its rights may arrive later.
    pub fn insert(&mut self, writer: WriterId, seq: u64, ops: Vec<RosterOp>) -> Change {
        self.insert_all([(writer, seq, ops)])
    }

    /// Takes many entries and works out what they change once, which is much faster than one by
    /// one when some of them remove someone.
    pub fn insert_all(
        &mut self,
        entries: impl IntoIterator<Item = (WriterId, u64, Vec<RosterOp>)>,
    ) -> Change {
        let mut taken: Vec<Taken> = Vec::new();
        for (writer, seq, ops) in entries {
            if self.ledger.has(writer, seq) || self.is_too_much(writer, seq, ops.len()) {
                continue;
            }
            let touched = self.ledger.take(writer, seq, ops);
            taken.push(Taken {
                writer,
                seq,
                touched,
            });
        }
        // What a stranger says changes nothing, however much of it there is.
        taken.retain(|entry| entry.touched.by_root || !self.is_stranger(&entry.writer));
        let mut change = Change::default();
        if taken.iter().any(|entry| entry.touched.rights) {
            match self.grow(&taken) {
                Some(grown) => change = grown,
                None => return self.settle(),
            }
        }
        if taken.iter().any(|entry| entry.touched.keys) {
            change.keys |= self.settle_keys();
        }
        change
    }

    /// Whether the writer may do `action` at `path` in its entry `seq`.
    pub fn verdict(&self, writer: &WriterId, seq: u64, path: &Path, action: Action) -> bool {
        self.verdicts.allows(writer, seq, path, action)
    }

    /// All that the writer may do: where, as what, and in which of its entries.
    pub fn spans(&self, writer: &WriterId) -> &[Span] {
        self.verdicts.spans(writer)
    }

    /// The writers that may do anything in any of their entries.
    pub fn writers(&self) -> impl Iterator<Item = &WriterId> {
        self.verdicts.writers()
    }

    /// Whether the writer may do anything in any of its entries.
    pub fn is_admitted(&self, writer: &WriterId) -> bool {
        !self.verdicts.spans(writer).is_empty()
    }

    /// Whether `device` may do `action` at `path` in what it writes next.
    pub fn can(&self, device: &DeviceId, path: &Path, action: Action) -> bool {
        let held = self.held_by(device).any(|membership| {
            membership.is_held_by(device)
                && membership.role.may(action)
                && membership.path.covers(path)
        });
        held || (action == Action::Read && self.verdicts.is_public(path))
    }

    /// The device that has claimed `writer`, whether or not it is a member.
    pub fn device_of(&self, writer: &WriterId) -> Option<DeviceId> {
        self.ledger.claims.device_of(writer)
    }

    /// The writers that `device` has claimed.
    pub fn writers_of(&self, device: &DeviceId) -> impl Iterator<Item = &WriterId> {
        self.ledger.claims.writers_of(device)
    }

    /// The logs that declare themselves checkpoints, whoever made them.
    pub const fn checkpoints(&self) -> &BTreeMap<WriterId, Checkpoint> {
        &self.ledger.checkpoints
    }

    /// Whether the log that declares this checkpoint was made by someone who may.
    pub fn vouches_for(&self, writer: &WriterId, made: &Checkpoint) -> bool {
        let path = self.scopes().get(&made.scope).cloned();
        path.is_some_and(|path| self.verdict(writer, 0, &path, Action::Manage))
    }

    /// Every redaction that was said, whether or not it counts.
    pub const fn redactions(&self) -> &BTreeMap<OpId, Redact> {
        &self.ledger.redactions
    }

    /// Whether a redaction counts for parcels of a log: its entry may manage the scope, or it is by
    /// the device that wrote them.
    pub fn may_redact(&self, at: &OpId, scope: ScopeId, of: &WriterId) -> bool {
        let Some(path) = self.place_of(scope) else {
            return false;
        };
        if self.verdict(&at.log, at.seq, path, Action::Manage) {
            return true;
        }
        let device = self.device_of(&at.log);
        let mut spans = self.spans(&at.log).iter();
        device.is_some()
            && device == self.device_of(of)
            && spans.any(|span| span.since <= at.seq && at.seq < span.limit)
    }

    /// The redaction of a parcel whose words stand in its place, and whether it counts; none if nobody
    /// redacted it. Of several that count the one with the smallest op id stands, of those that do not
    /// likewise.
    pub fn redaction_of(
        &self,
        writer: &WriterId,
        seq: u64,
        scope: ScopeId,
    ) -> Option<(OpId, bool)> {
        let named = self.ledger.redacted.get(&(*writer, seq, scope))?;
        let counts = named.iter().find(|at| self.may_redact(at, scope, writer));
        match counts {
            Some(at) => Some((*at, true)),
            None => named.first().map(|at| (*at, false)),
        }
    }

    /// All that was said of where readers of `scope` alone begin, whether or not its author may say so.
    pub fn starts_of(&self, scope: ScopeId) -> impl Iterator<Item = (&OpId, &ScopeStart)> {
        let said = self.ledger.starts.get(&scope).into_iter().flatten();
        said.filter(|(_, said)| matches!(said.by, Author::Entry { .. }))
            .map(|(id, said)| (id, &said.what))
    }

    /// Whether several redactions name one parcel.
    pub fn is_redacted_twice(&self, writer: &WriterId, seq: u64, scope: ScopeId) -> bool {
        let named = self.ledger.redacted.get(&(*writer, seq, scope));
        named.is_some_and(|named| named.len() > 1)
    }

    /// The space this is the roster of.
    pub const fn space(&self) -> &SpaceId {
        &self.ledger.space
    }

    /// How the space began, once known.
    pub const fn genesis(&self) -> Option<&Genesis> {
        self.ledger.genesis.as_ref()
    }

    /// What the space is called now.
    pub fn name(&self) -> Option<&Name> {
        let first = self.genesis().map(|genesis| &genesis.name);
        self.keys.name().map(|(name, _)| name).or(first)
    }

    /// The turn that the next rename takes.
    pub fn next_name_turn(&self) -> u32 {
        self.keys
            .name()
            .map_or(1, |(_, turn)| turn.saturating_add(1))
    }

    /// Every membership that counts or did until it ended, by name.
    pub const fn members(&self) -> &BTreeMap<OpId, Membership> {
        &self.memberships
    }

    /// The memberships by which a device acts or acted.
    pub fn held_by(&self, device: &DeviceId) -> impl Iterator<Item = &Membership> {
        let held = self.by_device.get(device).into_iter().flatten();
        held.filter_map(|id| self.memberships.get(id))
    }

    /// The parts of the person or group that a membership is for; none for others.
    pub fn parts_of(&self, membership: &OpId) -> Vec<StandingPart> {
        let genesis = self.genesis().filter(|genesis| genesis.id() == *membership);
        if let Some(genesis) = genesis {
            let card = genesis.card.as_ref();
            return card.map_or_else(Vec::new, |card| card_parts(&self.ledger, card));
        }
        let joined = self.ledger.joins.get(membership);
        let party = match self
            .ledger
            .grants
            .get(membership)
            .map(|said| &said.what.subject)
        {
            Some(Subject::Group { group, parts }) => {
                return group_parts(&self.ledger, group, parts);
            }
            Some(Subject::Party(party)) => Some(party),
            _ => joined.map(|said| &said.what.joiner),
        };
        match party {
            Some(Party::Identity(card)) => card_parts(&self.ledger, card),
            _ => Vec::new(),
        }
    }

    /// The parts of a person or group now, through whichever memberships they have here.
    pub fn current_parts(&self, subject: MemberSubject) -> Vec<StandingPart> {
        let of = self
            .memberships
            .values()
            .filter(|it| it.subject == subject && it.ended.is_none());
        of.flat_map(|it| self.parts_of(&it.id))
            .filter(|part| part.ended.is_none())
            .collect()
    }

    /// All devices that are members now, each as its most senior membership describes it.
    pub fn devices(&self) -> BTreeMap<DeviceId, &DeviceRecord> {
        self.readers(ScopeId::ROSTER)
    }

    /// The devices that may read a scope, to which its keys are sealed.
    pub fn readers(&self, scope: ScopeId) -> BTreeMap<DeviceId, &DeviceRecord> {
        self.keys.readers(scope, &self.memberships)
    }

    /// Whether everyone may read what is at `path`.
    pub fn is_public(&self, path: &Path) -> bool {
        self.verdicts.is_public(path)
    }

    /// Whether everyone may read something.
    pub const fn has_public(&self) -> bool {
        self.verdicts.has_public()
    }

    /// Whether everyone may read, or might once, what somebody wrote here: the membership secret is
    /// in the hands of people who are no members.
    pub fn was_public(&self) -> bool {
        let mut given = self.memberships.values();
        given.any(|it| it.subject == MemberSubject::Everyone)
    }

    /// Whether a scope's keys are sealed to everyone: `@roster`'s as soon as they may read anything.
    pub fn is_sealed_to_everyone(&self, scope: ScopeId) -> bool {
        match scope {
            ScopeId::ROSTER => self.has_public(),
            _ => self
                .scopes()
                .get(&scope)
                .is_some_and(|path| self.is_public(path)),
        }
    }

    /// All scopes and where they are; `@roster` and `/` always are.
    pub const fn scopes(&self) -> &BTreeMap<ScopeId, Path> {
        self.keys.scopes()
    }

    /// The innermost scope around `path`.
    pub fn scope_of(&self, path: &Path) -> ScopeId {
        self.keys.scope_of(path)
    }

    /// The scope around a scope, under whose key its keys are wrapped; none for `/` and `@roster`.
    pub fn parent_of(&self, scope: ScopeId) -> Option<ScopeId> {
        self.keys.parent_of(scope)
    }

    /// The epochs of `scope` that members with the right to do so have started, by generation
    /// and key id.
    pub fn epochs(&self, scope: ScopeId) -> &[Epoch] {
        self.keys.epochs(scope)
    }

    /// The epoch to seal new parcels of `scope` under: the latest generation; of several begun
    /// at once, the one with the smallest key id. Look at [`Roster::stale_scopes`] first.
    pub fn current_epoch(&self, scope: ScopeId) -> Option<&Epoch> {
        self.keys.current(scope)
    }

    /// Whether a member has declared `key` for that generation of `scope`.
    pub fn declares(&self, scope: ScopeId, generation: u32, key: &KeyId) -> bool {
        let epochs = self.keys.epochs(scope).iter();
        let mut declared = epochs.filter(|epoch| epoch.generation == generation);
        declared.any(|epoch| epoch.key == *key)
    }

    /// Whether a key may serve to open what others sealed: `declares`, or someone who managed the
    /// scope at another time declared it. Honest members may have sealed under such a key before
    /// they learned of the removal that made its epoch void; nothing new is sealed under it.
    pub fn may_open_under(&self, scope: ScopeId, generation: u32, key: &KeyId) -> bool {
        self.keys.ever_declared(scope, generation, *key) || self.declares(scope, generation, key)
    }

    /// Keys that members declared who may not do so, and that nobody did who may: what they sealed
    /// under them opens once somebody who manages the scope declares the keys as well.
    pub fn asked_epochs(&self) -> impl Iterator<Item = &StartEpoch> {
        let said = self.ledger.epochs.iter().flat_map(|(scope, said)| {
            let path = self.place_of(*scope);
            said.values().filter_map(move |said| Some((path?, said)))
        });
        said.filter(|(path, said)| {
            let Author::Entry { writer, seq } = said.by else {
                return false;
            };
            let of_roster = said.what.scope == ScopeId::ROSTER;
            let mut spans = self.spans(&writer).iter();
            spans.any(|span| {
                span.since <= seq && seq < span.limit && (of_roster || span.path.covers(path))
            })
        })
        .map(|(_, said)| &said.what)
        .filter(|epoch| !self.may_open_under(epoch.scope, epoch.generation, &epoch.key))
    }

    /// The latest ask for keys of each device that a membership covers, those included by which nothing is asked
    /// any more.
    pub fn asks(&self) -> BTreeMap<DeviceId, &AskKeys> {
        let mut latest: BTreeMap<DeviceId, (OpId, &AskKeys)> = BTreeMap::new();
        for (writer, (at, ask)) in &self.ledger.asks {
            let mut spans = self.spans(writer).iter();
            let counts = spans.any(|span| span.since <= at.seq && at.seq < span.limit);
            let Some(device) = self.device_of(writer).filter(|_| counts) else {
                continue;
            };
            let known = latest.entry(device).or_insert((*at, ask));
            if (known.1.turn, known.0) < (ask.turn, *at) {
                *known = (*at, ask);
            }
        }
        let asks = latest.into_iter();
        asks.map(|(device, (_, ask))| (device, ask)).collect()
    }

    /// The turn that a device's next ask for keys takes.
    pub fn next_ask_turn(&self, device: &DeviceId) -> u32 {
        let said = self
            .writers_of(device)
            .filter_map(|writer| self.ledger.asks.get(writer));
        said.map(|(_, ask)| ask.turn.saturating_add(1))
            .max()
            .unwrap_or(0)
    }

    /// The scopes under whose current key nothing new may be sealed, and why: someone who was
    /// removed may hold it, or there is none.
    pub fn stale_scopes(&self) -> BTreeMap<ScopeId, Stale> {
        self.keys.stale(&self.memberships)
    }

    /// What a new epoch of `scope` says it knows: every removal that this replica knows of and
    /// that took the scope's keys from someone.
    pub fn known_removals(&self, scope: ScopeId) -> crate::Lengths {
        let reading = self.memberships.values();
        reading
            .filter(|membership| self.keys.reads(membership, scope))
            .flat_map(crate::epochs::ends)
            .flat_map(|ended| &ended.by)
            .map(|id| (id.log, id.seq + 1))
            .collect()
    }

    /// How a device was last described by whoever let it in, whether or not it is still in.
    pub fn record_of(&self, device: &DeviceId) -> Option<&DeviceRecord> {
        let lines = self.lines_of(*device).map(|(_, line)| &line.record);
        lines.last()
    }

    /// The device that added `device` to its person, as far as the latest addition that stands in a
    /// log tells; None for one that was there from the beginning, or that the root key added.
    pub fn added_by(&self, device: &DeviceId) -> Option<DeviceId> {
        let adds = self.ledger.device_adds.values().flatten();
        let of = adds.filter(|(_, said)| said.what.record.id == *device);
        let (_, said) = of.max_by_key(|(_, said)| said.what.stay)?;
        match said.by {
            Author::Entry { writer, .. } => self.device_of(&writer),
            Author::Root(_) => None,
        }
    }

    /// Lines by which a device acts or acted, with their memberships.
    fn lines_of(&self, device: DeviceId) -> impl Iterator<Item = (&Membership, &Line)> {
        let held = self.by_device.get(&device).into_iter().flatten();
        held.filter_map(|id| self.memberships.get(id))
            .flat_map(move |held| held.lines_of(device).map(move |line| (held, line)))
    }

    fn is_stranger(&self, writer: &WriterId) -> bool {
        self.device_of(writer)
            .is_none_or(|device| !self.by_device.contains_key(&device))
    }

    /// Whether a stranger has said too much for this entry to be kept.
    fn is_too_much(&mut self, writer: WriterId, seq: u64, ops: usize) -> bool {
        if !self.is_stranger(&writer) {
            return false;
        }
        let said = self.strangers.entry(writer).or_default();
        let dropped = self.dropped.get(&writer).copied();
        if *said + ops > STRANGER_OPS_MAX || dropped.is_some_and(|from| from <= seq) {
            let from = dropped.map_or(seq, |from| from.min(seq));
            self.dropped.insert(writer, from);
            return true;
        }
        *said += ops;
        false
    }

    /// Works everything out from the ledger.
    fn settle(&mut self) -> Change {
        let members = memberships(&self.ledger);
        let before = std::mem::replace(&mut self.memberships, members);
        let is_same = before.values().eq(self.memberships.values());
        self.by_device.clear();
        for membership in self.memberships.values() {
            for line in membership.lines.iter() {
                let held = self.by_device.entry(line.record.id).or_default();
                held.insert(membership.id);
            }
        }
        let verdicts = Verdicts::of(&self.memberships, &self.ledger.claims);
        let before = std::mem::replace(&mut self.verdicts, verdicts);
        let mut change = Change {
            members: !is_same,
            ..Change::default()
        };
        for (writer, shift) in self.verdicts.shifts_since(&before) {
            let had = !before.spans(&writer).is_empty();
            change.note(writer, had, self.is_admitted(&writer), Some(shift));
        }
        change.keys = self.settle_keys();
        self.welcome(&mut change);
        change
    }

    /// Works out epochs, scopes and the name; returns whether they changed.
    fn settle_keys(&mut self) -> bool {
        let managed = |device, path: &Path| {
            self.held_by(&device)
                .any(|held| held.role.may(Action::Manage) && held.path.covers(path))
        };
        let keys = Keys::of(&self.ledger, &self.verdicts, &managed);
        let before = std::mem::replace(&mut self.keys, keys);
        before != self.keys
    }

    /// Asks again for what was dropped of logs whose devices are strangers no more.
    fn welcome(&mut self, change: &mut Change) {
        let dropped = std::mem::take(&mut self.dropped);
        for (writer, from) in dropped {
            if self.is_stranger(&writer) {
                self.dropped.insert(writer, from);
            } else {
                self.strangers.remove(&writer);
                change.reread.insert(writer, from);
            }
        }
    }
}
