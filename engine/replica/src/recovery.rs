//! Coming back with nothing but the root key: what a device of somebody else, or another one of this
//! person's, hands to a new device that speaks for the root, and how the new device checks it.
//!
//! Owns both sides and no connection; `docs/protocol/recover.md` tells what is said. The new device
//! believes nobody: a space's secret is proven by its genesis, whose hash is the space's id, and the
//! home space by a number in that genesis which only the root key can make.

use std::collections::{BTreeMap, BTreeSet};

use stead_access::{
    AddDevice, AddedBy, Card, CardDevice, DeviceRecord, Genesis, IdentityId, Lengths,
    MemberSubject, PartyId, Roster, RosterOp, ScopedKey, decode_ops, encode_ops,
    sign_identity_device, sign_root_statement, verify_root_statement,
};
use stead_base::limits::ENTRY_BYTES_MAX;
use stead_base::{DecodeError, Decoder, DeviceId, Encoder, ScopeId, SpaceId, WriterId};
use stead_crypt::recovery::{RecoveryPhrase, RootKey};
use stead_crypt::{EpochKey, Hasher, wrapkey};
use stead_log::{Batch, BatchEntries, EntryRef};

use crate::identity::{PHRASE, PHRASE_CONTEXT};
use crate::keyring::KeyRing;
use crate::membership::SpaceTicket;
use crate::opening::{Outcome, open_run};
use crate::space::{SpaceState, membership_secret};
use crate::{Event, Replica, ReplicaError};

/// The chain of signatures that leads to this device, as long as the home space cannot tell it.
pub(crate) const OWN_CARD: &str = "own card";
/// What the home space is called that turns up after a new one was begun.
const OLD_HOME_NAME: &str = "old home";
/// Stay of a device that the root key adds: it is empty, so it never was anywhere.
const FIRST_STAY: u32 = 0;

/// A space as it is handed to a device that the root key added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSpace {
    /// The space, with the keys that its roster gives to the person.
    pub ticket: SpaceTicket,
    /// The log that founded it.
    pub founder: WriterId,
    /// Entry 0 of that log; its hash is the space's id.
    pub genesis: Vec<u8>,
}

/// What a checked space is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Whether it is the home space of the root key that checked it.
    pub is_home: bool,
    /// Whether the person of that root key founded it.
    pub is_own: bool,
}

/// Why a space is not taken up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwappedSpace {
    /// The entry is not the one whose hash is the space's id.
    #[error("the first entry of the space is another one")]
    OtherGenesis,
    /// The keys do not open it, or are not those that the secret comes from.
    #[error("the keys or the secret are not those of the space")]
    OtherKeys,
    /// It opens and is no genesis that holds.
    #[error("the first entry founds no space")]
    NoGenesis,
}

impl HeldSpace {
    /// Checks that secret and first key are those of the space named, whoever says so, and whether
    /// it is the home space of `root`.
    pub fn check(&self, root: &RootKey) -> Result<Checked, SwappedSpace> {
        let id = self.ticket.id;
        let entry = EntryRef::parse(&self.genesis).map_err(|_| SwappedSpace::OtherGenesis)?;
        let leaf = entry.leaf_hash();
        if leaf.as_bytes() != id.as_bytes() {
            return Err(SwappedSpace::OtherGenesis);
        }
        let mut firsts = self.ticket.keys().iter().filter(|key| {
            key.scope == ScopeId::ROSTER
                && key.generation == 0
                && membership_secret(&key.key) == self.ticket.secret
        });
        let first = firsts.next().ok_or(SwappedSpace::OtherKeys)?;
        let mut ring = KeyRing::default();
        ring.insert(ScopeId::ROSTER, 0, EpochKey::from_bytes(first.key.expose()));
        let entries = std::iter::once(&self.genesis[..]);
        let opened = open_run(&ring, &id, &self.founder, 0, Some(leaf), entries);
        let entry = opened.entries.first();
        let entry = entry.filter(|entry| entry.outcome == Outcome::Open);
        let entry = entry.ok_or(SwappedSpace::OtherKeys)?;
        let ops = decode_ops(&opened.arena[entry.roster.clone()]);
        let ops = ops.map_err(|_| SwappedSpace::NoGenesis)?;
        let mut roster = Roster::new(id);
        let founded = roster.insert_genesis(self.founder, ops);
        founded.map_err(|_| SwappedSpace::NoGenesis)?;
        let genesis = roster.genesis().ok_or(SwappedSpace::NoGenesis)?;
        let is_own = founded_by(genesis, &root.public());
        let is_home = is_own && genesis.nonce == home_nonce(root, &self.founder);
        Ok(Checked { is_home, is_own })
    }

    /// Appends the space; it holds keys, so seal what comes out.
    pub fn encode(&self, out: &mut Encoder) {
        self.ticket.encode(out);
        out.raw(self.founder.as_bytes()).bytes(&self.genesis);
    }

    /// Reads a space.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ticket: SpaceTicket::decode(input)?,
            founder: WriterId::from_bytes(input.array("founding log")?),
            genesis: input.bytes(ENTRY_BYTES_MAX, "genesis entry")?.to_vec(),
        })
    }
}

fn founded_by(genesis: &Genesis, root: &[u8; 32]) -> bool {
    let card = genesis.card.as_ref();
    card.is_some_and(|card| card.identity.as_bytes() == root)
}

/// The number in the genesis of a home space. Only the root key makes it, and only who has the root
/// key can tell it from a random one: so no stolen device passes off a space as the home space.
pub(crate) fn home_nonce(root: &RootKey, founder: &WriterId) -> [u8; 32] {
    Hasher::keyed(root.wrap())
        .update(b"stead/home-nonce/1")
        .update(founder.as_bytes())
        .finish_key()
}

/// What the root key says in each space: this device is the person's.
fn addition(identity: IdentityId, record: &DeviceRecord) -> Vec<u8> {
    encode_ops(&[RosterOp::AddDevice(AddDevice {
        identity,
        record: record.clone(),
        stay: FIRST_STAY,
        since: Lengths::none(),
    })])
}

/// The root key's word that a device is its person's, for one space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootWord {
    /// Makes the statement unlike any other.
    pub nonce: [u8; 32],
    /// The root key's signature over the statement.
    pub signature: [u8; 64],
}

impl RootWord {
    /// Signs it.
    pub fn sign(root: &RootKey, space: &SpaceId, record: &DeviceRecord, nonce: [u8; 32]) -> Self {
        let identity = IdentityId::from_bytes(root.public());
        let ops = addition(identity, record);
        Self {
            nonce,
            signature: sign_root_statement(root.signing(), space, &identity, &nonce, &ops),
        }
    }

    fn statement(
        &self,
        space: &SpaceId,
        identity: IdentityId,
        record: &DeviceRecord,
    ) -> Option<RosterOp> {
        let (nonce, signature) = (self.nonce, self.signature);
        let ops = addition(identity, record);
        verify_root_statement(space, &identity, &nonce, &ops, &signature).ok()?;
        Some(RosterOp::RootStatement {
            identity,
            nonce,
            ops,
            signature,
        })
    }
}

impl SpaceState {
    /// Everyone who is a member now, or a part of a group that is.
    fn people(&self) -> BTreeSet<IdentityId> {
        let current = self.roster.members().values();
        let current = current.filter(|member| member.ended.is_none());
        let mut people = BTreeSet::new();
        for member in current {
            match member.subject {
                MemberSubject::Party(PartyId::Identity(identity)) => {
                    people.insert(identity);
                }
                MemberSubject::Group(_) => {
                    let parts = self.roster.parts_of(&member.id).into_iter();
                    people.extend(
                        parts
                            .filter(|part| part.ended.is_none())
                            .filter_map(|part| match part.party {
                                PartyId::Identity(identity) => Some(identity),
                                PartyId::Device(_) => None,
                            }),
                    );
                }
                _ => {}
            }
        }
        people
    }

    /// The keys of every scope that a device may read, as far as they are held.
    fn keys_for(&self, device: &DeviceId) -> Vec<ScopedKey> {
        let mut may: BTreeMap<ScopeId, bool> = BTreeMap::new();
        let keys = self.ring.iter().filter(|(scope, _, _)| {
            *may.entry(*scope)
                .or_insert_with(|| self.roster.readers(*scope).contains_key(device))
        });
        keys.map(|(scope, generation, key)| ScopedKey {
            scope,
            generation,
            key: EpochKey::from_bytes(key.expose()),
        })
        .collect()
    }
}

impl Replica {
    /// Everyone who shares a space with this device, this person too.
    pub fn known_people(&self) -> BTreeSet<IdentityId> {
        let own = self.device();
        let shared = self.spaces.values().filter(|space| space.is_member(&own));
        shared.flat_map(SpaceState::people).collect()
    }

    /// The spaces on this device in which a person is a member, by id.
    pub fn spaces_of(&self, identity: IdentityId) -> Vec<SpaceId> {
        let own = self.device();
        let shared = self.spaces.values().filter(|space| space.is_member(&own));
        shared
            .filter(|space| space.people().contains(&identity))
            .map(|space| space.id)
            .collect()
    }

    /// Lets a new device of a person into spaces because the person's root key says so, and hands it
    /// what the person may read. Words that do not hold, and spaces that the person is not in, are
    /// left out.
    pub fn let_in_by_root(
        &mut self,
        identity: IdentityId,
        record: &DeviceRecord,
        words: &[(SpaceId, RootWord)],
        now_ms: u64,
    ) -> Result<Vec<HeldSpace>, ReplicaError> {
        let theirs: BTreeSet<SpaceId> = self.spaces_of(identity).into_iter().collect();
        let mut statements: BTreeMap<SpaceId, RosterOp> = BTreeMap::new();
        for (id, word) in words {
            if let Some(statement) = word.statement(id, identity, record)
                && theirs.contains(id)
            {
                statements.entry(*id).or_insert(statement);
            }
        }
        self.write(now_ms, |writing| {
            for (id, statement) in &statements {
                // The statement goes first: who may read what follows from it.
                if !writing.space(id)?.is_member(&record.id) {
                    writing.own_writer(id)?;
                    let hlc = writing.clock.tick(writing.now_ms);
                    writing.append_own(id, hlc, std::slice::from_ref(statement), &[], &[])?;
                }
                let keys = writing.space(id)?.keys_for(&record.id);
                if !keys.is_empty() {
                    writing.send_keys(id, &[], std::slice::from_ref(record), &keys)?;
                }
            }
            Ok::<_, ReplicaError>(())
        })?;
        let mut held = Vec::new();
        for id in statements.keys() {
            let space = self.space(id)?;
            if space.is_member(&record.id)
                && let Some(space) = self.held_space(id, &record.id)?
            {
                held.push(space);
            }
        }
        Ok(held)
    }

    fn held_space(
        &self,
        id: &SpaceId,
        device: &DeviceId,
    ) -> Result<Option<HeldSpace>, ReplicaError> {
        let space = self.space(id)?;
        let Some(founder) = space.roster.genesis().map(|genesis| genesis.writer) else {
            return Ok(None);
        };
        let record = |source| ReplicaError::Record {
            what: "genesis entry",
            source,
        };
        let Some(batch) = self.read_batch(id, &founder, 0, 1, ENTRY_BYTES_MAX)? else {
            return Ok(None);
        };
        let batch = Batch::decode(&batch).map_err(record)?;
        let genesis = BatchEntries::new(batch.entries)
            .next_bytes()
            .map_err(record)?;
        Ok(genesis.map(|genesis| HeldSpace {
            ticket: SpaceTicket::of(space, space.keys_for(device)),
            founder,
            genesis: genesis.to_vec(),
        }))
    }

    /// Becomes a device of the person of `root`: gives up the blank identity of this device, opens the
    /// person's home space, or with `anew` makes a new one, and opens all other spaces. The data
    /// follows by syncing. A device that is that person's already opens what it has not got.
    ///
    /// What does not pass [`HeldSpace::check`] is left out; returns what was opened.
    pub fn take_up(
        &mut self,
        root: &RootKey,
        found: &[HeldSpace],
        anew: bool,
        now_ms: u64,
    ) -> Result<Vec<SpaceId>, ReplicaError> {
        let identity = IdentityId::from_bytes(root.public());
        let sound: Vec<(&HeldSpace, Checked)> = found
            .iter()
            .filter_map(|held| {
                let checked = held.check(root);
                let checked = checked.inspect_err(|error| {
                    tracing::warn!(%error, space = %held.ticket.id.short(), "a space is not what it is said to be");
                });
                Some((held, checked.ok()?))
            })
            .collect();
        let mut opened = Vec::new();
        let is_theirs = self.home().is_some() && self.person() == Some(identity);
        if !is_theirs {
            let home = sound.iter().find(|(_, checked)| checked.is_home);
            if home.is_none() && !anew {
                return Err(ReplicaError::Refused(
                    "no device that was reached holds the home space of this identity".to_owned(),
                ));
            }
            self.abandon_blank_home(now_ms)?;
            let card = self.card_by(root);
            match home {
                Some((home, _)) => {
                    let ticket = &home.ticket;
                    self.write(now_ms, |writing| {
                        writing.tx.put_secret(OWN_CARD, &card.to_bytes())?;
                        writing.join(ticket, true)
                    })?;
                    opened.push(ticket.id);
                }
                None => opened.push(self.found_home(root, card, None, now_ms)?),
            }
        }
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        let lists = self.space(&home)?.is_member(&self.device());
        for (held, checked) in &sound {
            let mut ticket = held.ticket.clone();
            if self.spaces.contains_key(&ticket.id) {
                continue;
            }
            if checked.is_home {
                // A new home space was begun before this one turned up.
                ticket.name = OLD_HOME_NAME.to_owned();
            }
            self.write(now_ms, |writing| {
                writing.join(&ticket, false)?;
                match lists {
                    true => writing.list_in_home(&home, &ticket.id),
                    // A home space that was found lists them itself.
                    false => Ok(()),
                }
            })?;
            opened.push(ticket.id);
        }
        Ok(opened)
    }

    /// Whose device this is: by the home space, or while that has not arrived, by the card that the
    /// root key signed.
    pub fn person(&self) -> Option<IdentityId> {
        let own = || Some(self.own_card().ok()??.identity);
        self.identity().or_else(own)
    }

    fn card_by(&self, root: &RootKey) -> Card {
        let identity = IdentityId::from_bytes(root.public());
        let record = self.device_record();
        let signature = sign_identity_device(root.signing(), &identity, &record, FIRST_STAY, None);
        Card {
            identity,
            devices: vec![CardDevice {
                record,
                stay: FIRST_STAY,
                added_by: AddedBy::Root,
                signature,
            }],
        }
    }

    /// Makes the home space of the person of `root`, with this device as the first.
    pub(crate) fn begin_person(
        &mut self,
        phrase: &RecoveryPhrase,
        now_ms: u64,
    ) -> Result<SpaceId, ReplicaError> {
        let root = phrase.root();
        let card = self.card_by(&root);
        self.found_home(&root, card, Some(phrase), now_ms)
    }

    fn found_home(
        &mut self,
        root: &RootKey,
        card: Card,
        kept: Option<&RecoveryPhrase>,
        now_ms: u64,
    ) -> Result<SpaceId, ReplicaError> {
        self.write(now_ms, |writing| {
            if let Some(phrase) = kept {
                let sealed = wrapkey::seal(
                    writing.keys.storage(),
                    PHRASE_CONTEXT,
                    phrase.expose_entropy(),
                    &mut *writing.entropy,
                )
                .map_err(|_| ReplicaError::ForeignKeys)?;
                writing.tx.put_secret(PHRASE, &sealed)?;
            }
            let home = writing.found_home_of(root, card.clone())?;
            let own = writing.keys.id();
            writing.keep_card(&home, &own, &card)?;
            Ok(home)
        })
    }

    /// Keeps the recovery phrase of this device's person until it is said to be written down, as after
    /// guardians brought it back.
    pub fn keep_phrase(
        &mut self,
        phrase: &RecoveryPhrase,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        self.write(now_ms, |writing| {
            let sealed = wrapkey::seal(
                writing.keys.storage(),
                PHRASE_CONTEXT,
                phrase.expose_entropy(),
                &mut *writing.entropy,
            )
            .map_err(|_| ReplicaError::ForeignKeys)?;
            Ok(writing.tx.put_secret(PHRASE, &sealed)?)
        })
    }

    /// The card that the root key signed when this device came back.
    pub(crate) fn own_card(&self) -> Result<Option<Card>, ReplicaError> {
        use stead_store::Read;
        let own = self.device();
        let kept = self.store.get_secret(OWN_CARD)?;
        let card = kept.and_then(|bytes| Card::from_bytes(&bytes).ok());
        Ok(card.filter(|card| {
            let last = card.devices.last();
            last.is_some_and(|last| last.record.id == own) && card.verify().is_ok()
        }))
    }

    /// Every device that acts for a person in any space here, with a name.
    pub fn devices_of(&self, identity: IdentityId) -> BTreeMap<DeviceId, DeviceRecord> {
        let mut found = BTreeMap::new();
        for space in self.spaces.values() {
            for record in space.current_devices(identity) {
                found.entry(record.id).or_insert(record);
            }
        }
        found
    }

    /// Takes lost devices from this person in every space, with the root key, and renews all keys that
    /// they had. Only what this device holds of their logs still counts: call it when all has arrived.
    pub fn remove_lost(
        &mut self,
        root: &RootKey,
        devices: &[DeviceId],
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        let identity = self.identity().ok_or(ReplicaError::NoHome)?;
        if root.public() != *identity.as_bytes() {
            return Err(ReplicaError::Refused(
                "those are not the recovery words of this identity".to_owned(),
            ));
        }
        if devices.contains(&self.device()) {
            return Err(ReplicaError::Refused(
                "this is the device that you are at".to_owned(),
            ));
        }
        let mut renewed: BTreeMap<DeviceId, Card> = BTreeMap::new();
        for device in devices {
            let cards = self.cards_around(device, Some(root))?.into_iter();
            renewed.extend(cards.filter(|(of, _)| !devices.contains(of)));
        }
        let mut spaces: Vec<SpaceId> = self.spaces.keys().copied().collect();
        spaces.sort_by_key(|id| *id != home);
        self.write(now_ms, |writing| {
            for id in &spaces {
                for device in devices {
                    writing.take_own_device(id, identity, device, Some(root), false)?;
                }
            }
            for (of, card) in &renewed {
                writing.keep_card(&home, of, card)?;
            }
            Ok(())
        })
    }

    /// Gives up what this device had of a blank identity; see [`Replica::abandon_blank_home`].
    pub(crate) fn forget_home(&mut self, home: &SpaceId, now_ms: u64) -> Result<(), ReplicaError> {
        self.write(now_ms, |writing| {
            // The recovery words of an identity that is given up would only mislead.
            writing.tx.remove_secret(PHRASE)?;
            writing.tx.remove_secret(OWN_CARD)?;
            let no = writing.space(home)?.no;
            writing.tx.remove_space(no)?;
            writing.spaces.remove(home);
            writing.collections.retain(|(space, _), _| space != home);
            writing.shared.forget(home);
            writing.events.push(Event::SpaceLeft { space: *home });
            Ok(())
        })
    }
}
