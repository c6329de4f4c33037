//! Everything that roster entries said, in any order and once each.
//!
//! Owns the sorting of operations by what they speak of, and the check of their signatures: what
//! is not signed as it should be is never kept. Whether anything counts is decided in `rules`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stead_base::{ScopeId, SpaceId, WriterId};

use crate::compound;
use crate::op::{
    AddDevice, AskKeys, Checkpoint, GroupAdd, GroupRemove, Join, OpId, Party, Redact, Remove,
    RemoveDevice, ScopeStart, StartEpoch, Subject, decode_ops,
};
use crate::rules::{Author, Claims, Line};
use crate::statement::{
    root_statement_log, verify_claim, verify_genesis, verify_join, verify_root_statement,
};
use crate::{Card, DeviceRecord, Grant, IdentityId, Name, Path, Role, RosterOp};

/// Why an entry was refused as a space's genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// It does not begin with a genesis operation.
    #[error("the first entry of the space holds no genesis")]
    NoGenesis,
    /// The founding device did not sign it for this writer, or its card does not hold.
    #[error("the genesis of the space is not signed by the device it names for this writer")]
    ForgedGenesis,
}

/// How a space began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The writer whose entry 0 founded the space.
    pub writer: WriterId,
    /// The space's first name.
    pub name: Name,
    /// Makes the id unlike any other.
    pub nonce: [u8; 32],
    /// The founding device.
    pub device: DeviceRecord,
    /// The card of the person who founded it, if it was not the device alone.
    pub card: Option<Card>,
}

impl Genesis {
    /// Who owns the space from the beginning.
    pub fn owner(&self) -> Party {
        match &self.card {
            Some(card) => Party::Identity(card.clone()),
            None => Party::Device(self.device.clone()),
        }
    }

    /// The name of the first membership.
    pub const fn id(&self) -> OpId {
        OpId {
            log: self.writer,
            seq: 0,
            index: 0,
        }
    }
}

/// Something said, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Said<T> {
    pub(crate) by: Author,
    pub(crate) what: T,
    /// The lines of the party named, as far as its card alone tells.
    pub(crate) plain: Arc<[Line]>,
}

pub(crate) type Sayings<T> = BTreeMap<OpId, Said<T>>;

/// What taking an operation may have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Whose rights reach how far.
    pub(crate) rights: bool,
    /// Whose log it is.
    pub(crate) claim: bool,
    /// Something other than a claim or a grant touches rights.
    pub(crate) more: bool,
    /// Epochs, scopes or the name.
    pub(crate) keys: bool,
    /// A root key spoke: it needs no standing.
    pub(crate) by_root: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    pub(crate) space: SpaceId,
    pub(crate) genesis: Option<Genesis>,
    pub(crate) founder: Arc<[Line]>,
    seen: BTreeSet<(WriterId, u64)>,
    /// Logs that said more than whose they are.
    pub(crate) spoke: BTreeSet<WriterId>,
    /// Memberships that removals and joins name.
    pub(crate) spoken_of: BTreeSet<OpId>,
    pub(crate) claims: Claims,
    pub(crate) grants: Sayings<Grant>,
    pub(crate) joins: Sayings<Join>,
    pub(crate) removes: Sayings<Remove>,
    pub(crate) device_adds: BTreeMap<IdentityId, Sayings<AddDevice>>,
    pub(crate) device_removes: BTreeMap<IdentityId, Sayings<RemoveDevice>>,
    pub(crate) group_adds: BTreeMap<SpaceId, Sayings<GroupAdd>>,
    pub(crate) group_removes: BTreeMap<SpaceId, Sayings<GroupRemove>>,
    pub(crate) epochs: BTreeMap<ScopeId, Sayings<StartEpoch>>,
    pub(crate) scopes: Sayings<Path>,
    pub(crate) starts: BTreeMap<ScopeId, Sayings<ScopeStart>>,
    pub(crate) renames: Sayings<(Name, u32)>,
    /// Logs that hold checkpoints, as their first entries say.
    pub(crate) checkpoints: BTreeMap<WriterId, Checkpoint>,
    /// Redactions, whoever said them.
    pub(crate) redactions: BTreeMap<OpId, Redact>,
    /// The latest ask for keys in each log.
    pub(crate) asks: BTreeMap<WriterId, (OpId, AskKeys)>,
    /// The redactions that name a parcel.
    pub(crate) redacted: BTreeMap<(WriterId, u64, ScopeId), BTreeSet<OpId>>,
}

impl Ledger {
    pub(crate) fn new(space: SpaceId) -> Self {
        Self {
            space,
            genesis: None,
            founder: Arc::from([]),
            seen: BTreeSet::new(),
            spoke: BTreeSet::new(),
            spoken_of: BTreeSet::new(),
            claims: Claims::default(),
            grants: BTreeMap::new(),
            joins: BTreeMap::new(),
            removes: BTreeMap::new(),
            device_adds: BTreeMap::new(),
            device_removes: BTreeMap::new(),
            group_adds: BTreeMap::new(),
            group_removes: BTreeMap::new(),
            epochs: BTreeMap::new(),
            scopes: BTreeMap::new(),
            starts: BTreeMap::new(),
            renames: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            redactions: BTreeMap::new(),
            asks: BTreeMap::new(),
            redacted: BTreeMap::new(),
        }
    }

    /// Takes the genesis of the space; the rest of its entry is for [`Ledger::take`].
    pub(crate) fn found(
        &mut self,
        writer: WriterId,
        op: Option<&RosterOp>,
    ) -> Result<(), RosterError> {
        let Some(RosterOp::Genesis {
            name,
            nonce,
            device,
            card,
            signature,
        }) = op
        else {
            return Err(RosterError::NoGenesis);
        };
        let forged = |_| RosterError::ForgedGenesis;
        verify_genesis(&writer, nonce, name, device, card.as_ref(), signature).map_err(forged)?;
        if let Some(card) = card {
            card.verify().map_err(forged)?;
            if !card.devices.iter().any(|on_card| on_card.record == *device) {
                return Err(RosterError::ForgedGenesis);
            }
        }
        let genesis = Genesis {
            writer,
            name: name.clone(),
            nonce: *nonce,
            device: device.clone(),
            card: card.clone(),
        };
        self.founder = compound::plain_lines(&genesis.owner());
        self.claims.take(writer, 0, device.id);
        self.genesis = Some(genesis);
        Ok(())
    }

    /// Whether the entry was taken before.
    pub(crate) fn has(&self, writer: WriterId, seq: u64) -> bool {
        self.seen.contains(&(writer, seq))
    }

    fn hear_ask(&mut self, id: OpId, ask: AskKeys) {
        let latest = self.asks.get(&id.log);
        if latest.is_none_or(|(at, known)| (known.turn, at) < (ask.turn, &id)) {
            self.asks.insert(id.log, (id, ask));
        }
    }

    fn hear_redaction(&mut self, id: OpId, redact: Redact) {
        for (writer, seq) in &redact.parcels {
            let parcel = (*writer, *seq, redact.scope);
            self.redacted.entry(parcel).or_default().insert(id);
        }
        self.redactions.insert(id, redact);
    }

    /// Takes the operations of an entry.
    pub(crate) fn take(&mut self, writer: WriterId, seq: u64, ops: Vec<RosterOp>) -> Touched {
        let mut touched = Touched::default();
        if !self.seen.insert((writer, seq)) {
            return touched;
        }
        for (index, op) in (0..).zip(ops) {
            let id = OpId {
                log: writer,
                seq,
                index,
            };
            match op {
                // Counts only through `found`.
                RosterOp::Genesis { .. } => {}
                RosterOp::Claim { device, signature } => {
                    if verify_claim(&device, &self.space, &writer, &signature).is_ok() {
                        touched.claim |= self.claims.take(writer, seq, device);
                        touched.rights |= touched.claim;
                    }
                }
                RosterOp::RootStatement {
                    identity,
                    nonce,
                    ops,
                    signature,
                } => self.hear_root(identity, &nonce, &ops, &signature, &mut touched),
                RosterOp::Checkpoint(made) if seq == 0 => {
                    self.checkpoints.entry(writer).or_insert(made);
                }
                RosterOp::Checkpoint(_) => {}
                RosterOp::Redact(redact) => self.hear_redaction(id, redact),
                RosterOp::AskKeys(ask) => self.hear_ask(id, ask),
                op => self.keep(id, Author::Entry { writer, seq }, op, &mut touched),
            }
        }
        touched
    }

    /// Takes a root statement, whoever carries it. Claims, geneses and statements inside of it
    /// mean nothing.
    fn hear_root(
        &mut self,
        root: IdentityId,
        nonce: &[u8; 32],
        bytes: &[u8],
        signature: &[u8; 64],
        touched: &mut Touched,
    ) {
        let signed = verify_root_statement(&self.space, &root, nonce, bytes, signature);
        let (Ok(()), Ok(ops)) = (signed, decode_ops(bytes)) else {
            return;
        };
        let log = root_statement_log(&self.space, &root, nonce, bytes);
        touched.by_root = true;
        for (index, op) in (0..).zip(ops) {
            let id = OpId { log, seq: 0, index };
            self.keep(id, Author::Root(root), op, touched);
        }
    }

    fn keep(&mut self, id: OpId, by: Author, op: RosterOp, touched: &mut Touched) {
        let none: Arc<[Line]> = Arc::from([]);
        self.spoke.insert(id.log);
        touched.more |= !matches!(
            op,
            RosterOp::Grant(_)
                | RosterOp::Epoch(_)
                | RosterOp::Scope { .. }
                | RosterOp::Start(_)
                | RosterOp::Rename { .. }
                | RosterOp::Redact(_)
                | RosterOp::AskKeys(_)
                | RosterOp::Letter { .. }
        );
        match op {
            RosterOp::Grant(grant) => {
                let Some(plain) = grant.sound_lines() else {
                    return;
                };
                touched.rights = true;
                keep(&mut self.grants, id, by, grant, plain);
            }
            RosterOp::Join(join) => {
                let signed = verify_join(
                    &join.key,
                    &self.space,
                    &join.invite,
                    &join.joiner,
                    &join.signature,
                );
                if signed.is_ok() && join.joiner.is_sound() {
                    touched.rights = true;
                    self.spoken_of.insert(join.invite);
                    let plain = compound::plain_lines(&join.joiner);
                    keep(&mut self.joins, id, by, join, plain);
                }
            }
            RosterOp::Remove(remove) => {
                touched.rights = true;
                self.spoken_of.extend(remove.memberships.iter().copied());
                keep(&mut self.removes, id, by, remove, none);
            }
            RosterOp::AddDevice(add) => {
                touched.rights = true;
                let plain = compound::plain_lines(&Party::Device(add.record.clone()));
                let of = self.device_adds.entry(add.identity).or_default();
                keep(of, id, by, add, plain);
            }
            RosterOp::RemoveDevice(remove) => {
                touched.rights = true;
                let of = self.device_removes.entry(remove.identity).or_default();
                keep(of, id, by, remove, none);
            }
            RosterOp::GroupAdd(add) => {
                if add.party.is_sound() {
                    touched.rights = true;
                    let plain = compound::plain_lines(&add.party);
                    keep(
                        self.group_adds.entry(add.group).or_default(),
                        id,
                        by,
                        add,
                        plain,
                    );
                }
            }
            RosterOp::GroupRemove(remove) => {
                touched.rights = true;
                let of = self.group_removes.entry(remove.group).or_default();
                keep(of, id, by, remove, none);
            }
            RosterOp::Epoch(epoch) => {
                touched.keys = true;
                keep(
                    self.epochs.entry(epoch.scope).or_default(),
                    id,
                    by,
                    epoch,
                    none,
                );
            }
            RosterOp::Scope { path } => {
                if !path.is_whole_space() {
                    touched.keys = true;
                    keep(&mut self.scopes, id, by, path, none);
                }
            }
            RosterOp::Start(start) => {
                touched.keys = true;
                let of = self.starts.entry(start.scope).or_default();
                keep(of, id, by, start, none);
            }
            RosterOp::Rename { name, turn } => {
                touched.keys = true;
                keep(&mut self.renames, id, by, (name, turn), none);
            }
            RosterOp::Genesis { .. }
            | RosterOp::Claim { .. }
            | RosterOp::Checkpoint(_)
            | RosterOp::Redact(_)
            | RosterOp::AskKeys(_)
            | RosterOp::RootStatement { .. }
            | RosterOp::Letter { .. } => {}
        }
    }
}

fn keep<T>(sayings: &mut Sayings<T>, id: OpId, by: Author, what: T, plain: Arc<[Line]>) {
    sayings.insert(id, Said { by, what, plain });
}

impl Party {
    /// Whether its card holds; a device needs none.
    fn is_sound(&self) -> bool {
        match self {
            Self::Device(_) => true,
            Self::Identity(card) => card.verify().is_ok(),
        }
    }
}

impl Grant {
    /// The lines of the party granted to; none if the grant can never count.
    fn sound_lines(&self) -> Option<Arc<[Line]>> {
        match &self.subject {
            Subject::Party(party) => party.is_sound().then(|| compound::plain_lines(party)),
            Subject::Group { parts, .. } => parts
                .iter()
                .all(|part| part.party.is_sound())
                .then(|| Arc::from([])),
            Subject::Invite { .. } => Some(Arc::from([])),
            Subject::Everyone => (self.role == Role::Reader).then(|| Arc::from([])),
        }
    }
}

impl Ledger {
    /// Whether anything was said of that person's devices beyond what cards say.
    pub(crate) fn speaks_of_devices_of(&self, identity: &IdentityId) -> bool {
        self.device_adds.contains_key(identity) || self.device_removes.contains_key(identity)
    }
}
