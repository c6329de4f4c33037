//! The bytes of roster operations: a tag, then the fields in the order of their declaration.
//!
//! Owns the layout of `docs/formats/roster.md`. Every length is bounded before it is believed.

use stead_base::{
    DecodeError, DecodeFault, Decoder, DeviceId, Encoder, Hash, Hlc, ScopeId, SpaceId, WriterId,
    limits::LOG_LEN_MAX,
};
use stead_crypt::KeyId;

use super::*;
use crate::{LETTER_BOXES_MAX, LETTER_BYTES_MAX};

const TAG_GENESIS: u8 = 0;
const TAG_CLAIM: u8 = 1;
const TAG_GRANT: u8 = 2;
const TAG_EPOCH: u8 = 3;
const TAG_JOIN: u8 = 4;
const TAG_REMOVE: u8 = 5;
const TAG_ADD_DEVICE: u8 = 6;
const TAG_REMOVE_DEVICE: u8 = 7;
const TAG_GROUP_ADD: u8 = 8;
const TAG_GROUP_REMOVE: u8 = 9;
const TAG_SCOPE: u8 = 10;
const TAG_RENAME: u8 = 11;
const TAG_ROOT_STATEMENT: u8 = 12;
const TAG_LETTER: u8 = 13;
const TAG_START: u8 = 15;
const TAG_CHECKPOINT: u8 = 17;
const TAG_REDACT: u8 = 18;
const TAG_ASK_KEYS: u8 = 19;

const DECLARATION: u8 = 0;

const DEVICE: u8 = 0;
const IDENTITY: u8 = 1;
const GROUP: u8 = 2;
const INVITE: u8 = 3;
const EVERYONE: u8 = 4;

/// Encodes the plaintext of a `@roster` parcel: a count, then the operations.
///
/// A list above [`OPS_PER_PARCEL_MAX`] can be encoded but not decoded.
pub fn encode_ops(ops: &[RosterOp]) -> Vec<u8> {
    let mut out = Encoder::new();
    out.uint(ops.len() as u64);
    for op in ops {
        op.encode(&mut out);
    }
    out.finish()
}

/// Decodes the plaintext of a `@roster` parcel.
pub fn decode_ops(parcel: &[u8]) -> Result<Vec<RosterOp>, DecodeError> {
    let mut input = Decoder::new(parcel);
    let count = input.count(OPS_PER_PARCEL_MAX, 1, "roster operations")?;
    let ops = (0..count)
        .map(|_| RosterOp::decode(&mut input))
        .collect::<Result<_, _>>()?;
    input.finish("roster parcel")?;
    Ok(ops)
}

impl RosterOp {
    /// Appends the operation.
    pub fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Genesis {
                name,
                nonce,
                device,
                card,
                signature,
            } => {
                name.encode(out.byte(TAG_GENESIS));
                device.encode(out.raw(nonce));
                encode_option(card.as_ref(), out, Card::encode);
                out.raw(signature);
            }
            Self::Claim { device, signature } => {
                out.byte(TAG_CLAIM).raw(device.as_bytes()).raw(signature);
            }
            Self::Grant(grant) => grant.encode(out.byte(TAG_GRANT)),
            Self::Join(join) => join.encode(out.byte(TAG_JOIN)),
            Self::Remove(remove) => remove.encode(out.byte(TAG_REMOVE)),
            Self::AddDevice(add) => {
                out.byte(TAG_ADD_DEVICE).raw(add.identity.as_bytes());
                add.record.encode(out);
                add.since.encode(out.uint(add.stay.into()));
            }
            Self::RemoveDevice(remove) => {
                out.byte(TAG_REMOVE_DEVICE)
                    .raw(remove.identity.as_bytes())
                    .raw(remove.device.as_bytes())
                    .uint(remove.stay.into());
                remove.lengths.encode(out);
            }
            Self::GroupAdd(add) => {
                out.byte(TAG_GROUP_ADD).raw(add.group.as_bytes());
                add.party.encode(out);
                out.byte(add.keeper.into()).uint(add.stay.into());
                add.since.encode(out);
            }
            Self::GroupRemove(remove) => {
                out.byte(TAG_GROUP_REMOVE).raw(remove.group.as_bytes());
                remove.party.encode(out);
                remove.lengths.encode(out.uint(remove.stay.into()));
            }
            Self::Epoch(epoch) => epoch.encode(out.byte(TAG_EPOCH)),
            Self::Scope { path } => path.encode(out.byte(TAG_SCOPE)),
            Self::Start(start) => start.encode(out.byte(TAG_START)),
            Self::Rename { name, turn } => {
                name.encode(out.byte(TAG_RENAME));
                out.uint((*turn).into());
            }
            Self::Checkpoint(made) => {
                out.byte(TAG_CHECKPOINT).byte(DECLARATION);
                out.uint(made.scope.number()).uint(made.entries);
                out.uint(made.documents);
                out.raw(&made.horizon.to_u64().to_be_bytes());
            }
            Self::Redact(redact) => redact.encode(out.byte(TAG_REDACT)),
            Self::AskKeys(ask) => ask.encode(out.byte(TAG_ASK_KEYS)),
            Self::RootStatement {
                identity,
                nonce,
                ops,
                signature,
            } => {
                out.byte(TAG_ROOT_STATEMENT).raw(identity.as_bytes());
                out.raw(nonce).bytes(ops).raw(signature);
            }
            Self::Letter { boxes } => {
                out.byte(TAG_LETTER).uint(boxes.len() as u64);
                for letter in boxes {
                    letter.encode(out);
                }
            }
        }
    }

    /// Reads an operation.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let undefined = input.error("roster operation", DecodeFault::Undefined);
        Ok(match input.byte("roster operation")? {
            TAG_GENESIS => Self::Genesis {
                name: Name::decode(input, "space name")?,
                nonce: input.array("genesis nonce")?,
                device: DeviceRecord::decode(input)?,
                card: decode_option(input, Card::decode)?,
                signature: input.array("genesis signature")?,
            },
            TAG_CLAIM => Self::Claim {
                device: DeviceId::from_bytes(input.array("claiming device")?),
                signature: input.array("claim signature")?,
            },
            TAG_GRANT => Self::Grant(Grant::decode(input)?),
            TAG_JOIN => Self::Join(Join::decode(input)?),
            TAG_REMOVE => Self::Remove(Remove::decode(input)?),
            TAG_ADD_DEVICE => Self::AddDevice(AddDevice {
                identity: identity(input)?,
                record: DeviceRecord::decode(input)?,
                stay: number(input, "stay of a device")?,
                since: Lengths::decode(input)?,
            }),
            TAG_REMOVE_DEVICE => Self::RemoveDevice(RemoveDevice {
                identity: identity(input)?,
                device: DeviceId::from_bytes(input.array("removed device")?),
                stay: number(input, "stay of a device")?,
                lengths: Lengths::decode(input)?,
            }),
            TAG_GROUP_ADD => Self::GroupAdd(GroupAdd {
                group: SpaceId::from_bytes(input.array("group")?),
                party: Party::decode(input)?,
                keeper: flag(input, "keeper of a group")?,
                stay: number(input, "stay in a group")?,
                since: Lengths::decode(input)?,
            }),
            TAG_GROUP_REMOVE => Self::GroupRemove(GroupRemove {
                group: SpaceId::from_bytes(input.array("group")?),
                party: PartyId::decode(input)?,
                stay: number(input, "stay in a group")?,
                lengths: Lengths::decode(input)?,
            }),
            TAG_EPOCH => Self::Epoch(StartEpoch::decode(input)?),
            TAG_SCOPE => Self::Scope {
                path: Path::decode(input)?,
            },
            TAG_START => Self::Start(ScopeStart::decode(input)?),
            TAG_RENAME => Self::Rename {
                name: Name::decode(input, "space name")?,
                turn: number(input, "turn of a name")?,
            },
            TAG_CHECKPOINT => match input.byte("checkpoint")? {
                DECLARATION => Self::Checkpoint(Checkpoint {
                    scope: ScopeId::from_number(input.uint("scope of a checkpoint")?),
                    entries: input.uint_max(LOG_LEN_MAX, "entries of a checkpoint")?,
                    documents: input.uint("documents of a checkpoint")?,
                    horizon: Hlc::from_u64(u64::from_be_bytes(
                        input.array("horizon of a checkpoint")?,
                    )),
                }),
                _ => return Err(undefined),
            },
            TAG_ROOT_STATEMENT => Self::RootStatement {
                identity: identity(input)?,
                nonce: input.array("statement nonce")?,
                ops: input
                    .bytes(ROOT_STATEMENT_BYTES_MAX, "root statement")?
                    .to_vec(),
                signature: input.array("root signature")?,
            },
            TAG_REDACT => Self::Redact(Redact::decode(input)?),
            TAG_ASK_KEYS => Self::AskKeys(AskKeys::decode(input)?),
            TAG_LETTER => {
                let count = input.count(LETTER_BOXES_MAX, 9, "letter")?;
                let boxes = (0..count)
                    .map(|_| {
                        Ok(KeyBox {
                            recipient_hint: input.array("addressee of a letter")?,
                            sealed: input.bytes(LETTER_BYTES_MAX, "letter")?.to_vec(),
                        })
                    })
                    .collect::<Result<_, DecodeError>>()?;
                Self::Letter { boxes }
            }
            _ => return Err(undefined),
        })
    }
}

impl OpId {
    /// Appends the name.
    pub fn encode(&self, out: &mut Encoder) {
        out.raw(self.log.as_bytes())
            .uint(self.seq)
            .uint(self.index.into());
    }

    /// Reads a name.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            log: WriterId::from_bytes(input.array("log of an operation")?),
            seq: input.uint("entry of an operation")?,
            index: number(input, "place of an operation")?,
        })
    }
}

impl Party {
    pub(crate) fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Device(record) => record.encode(out.byte(DEVICE)),
            Self::Identity(card) => card.encode(out.byte(IDENTITY)),
        }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let undefined = input.error("party", DecodeFault::Undefined);
        match input.byte("party")? {
            DEVICE => Ok(Self::Device(DeviceRecord::decode(input)?)),
            IDENTITY => Ok(Self::Identity(Card::decode(input)?)),
            _ => Err(undefined),
        }
    }
}

impl PartyId {
    fn encode(self, out: &mut Encoder) {
        match self {
            Self::Device(id) => out.byte(DEVICE).raw(id.as_bytes()),
            Self::Identity(id) => out.byte(IDENTITY).raw(id.as_bytes()),
        };
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let undefined = input.error("party", DecodeFault::Undefined);
        match input.byte("party")? {
            DEVICE => Ok(Self::Device(DeviceId::from_bytes(input.array("device")?))),
            IDENTITY => Ok(Self::Identity(identity(input)?)),
            _ => Err(undefined),
        }
    }
}

impl Subject {
    fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Party(party) => party.encode(out),
            Self::Group { group, parts } => {
                out.byte(GROUP).raw(group.as_bytes());
                out.uint(parts.len() as u64);
                for part in parts {
                    part.party.encode(out);
                    out.byte(part.keeper.into());
                    out.uint(part.stay.into()).uint(part.rank.into());
                }
            }
            Self::Invite {
                key,
                uses,
                expires_ms,
            } => {
                out.byte(INVITE).raw(key);
                encode_option(uses.as_ref(), out, |uses, out| {
                    out.uint((*uses).into());
                });
                out.uint(*expires_ms);
            }
            Self::Everyone => {
                out.byte(EVERYONE);
            }
        }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let undefined = input.error("subject of a grant", DecodeFault::Undefined);
        Ok(match input.byte("subject of a grant")? {
            DEVICE => Self::Party(Party::Device(DeviceRecord::decode(input)?)),
            IDENTITY => Self::Party(Party::Identity(Card::decode(input)?)),
            GROUP => {
                let group = SpaceId::from_bytes(input.array("group")?);
                let count = input.count(GROUP_PARTS_MAX, 36, "parts of a group")?;
                let part = |input: &mut Decoder<'_>| {
                    Ok(GroupPart {
                        party: Party::decode(input)?,
                        keeper: flag(input, "keeper of a group")?,
                        stay: number(input, "stay in a group")?,
                        rank: input.uint_max(GROUP_RANK_MAX.into(), "rank in a group")? as u32,
                    })
                };
                let parts = (0..count).map(|_| part(input)).collect::<Result<_, _>>()?;
                Self::Group { group, parts }
            }
            INVITE => Self::Invite {
                key: input.array("invite key")?,
                uses: decode_option(input, |input| number(input, "uses of an invite"))?,
                expires_ms: input.uint("end of an invite")?,
            },
            EVERYONE => Self::Everyone,
            _ => return Err(undefined),
        })
    }
}

impl Grant {
    fn encode(&self, out: &mut Encoder) {
        self.subject.encode(out);
        self.role.encode(out);
        self.path.encode(out);
        self.since.encode(out);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            subject: Subject::decode(input)?,
            role: Role::decode(input)?,
            path: Path::decode(input)?,
            since: Lengths::decode(input)?,
        })
    }
}

impl Join {
    fn encode(&self, out: &mut Encoder) {
        self.invite.encode(out);
        self.joiner.encode(out.raw(&self.key));
        self.since.encode(out.raw(&self.signature));
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            invite: OpId::decode(input)?,
            key: input.array("invite key")?,
            joiner: Party::decode(input)?,
            signature: input.array("invite signature")?,
            since: Lengths::decode(input)?,
        })
    }
}

impl Remove {
    fn encode(&self, out: &mut Encoder) {
        out.uint(self.memberships.len() as u64);
        for membership in &self.memberships {
            membership.encode(out);
        }
        self.lengths.encode(out);
        encode_option(self.reason.as_ref(), out, |reason, out| {
            out.text(reason);
        });
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let count = input.count(REMOVED_AT_ONCE_MAX, 34, "removed memberships")?;
        Ok(Self {
            memberships: (0..count)
                .map(|_| OpId::decode(input))
                .collect::<Result<_, _>>()?,
            lengths: Lengths::decode(input)?,
            reason: decode_option(input, |input| {
                Ok(input.text(REASON_BYTES_MAX, "reason")?.to_owned())
            })?,
        })
    }
}

impl StartEpoch {
    fn encode(&self, out: &mut Encoder) {
        out.uint(self.scope.number()).uint(self.generation.into());
        self.key.encode(out);
        self.knows.encode(out);
        out.bytes(&self.previous).bytes(&self.for_parent);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            scope: ScopeId::from_number(input.uint("epoch scope")?),
            generation: number(input, "epoch generation")?,
            key: KeyId::decode(input)?,
            knows: Lengths::decode(input)?,
            previous: input.bytes(WRAP_BYTES_MAX, "previous epoch key")?.to_vec(),
            for_parent: input.bytes(WRAP_BYTES_MAX, "wrapped epoch key")?.to_vec(),
        })
    }
}

impl ScopeStart {
    fn encode(&self, out: &mut Encoder) {
        out.uint(self.scope.number()).uint(self.turn.into());
        self.covers.encode(out);
        out.uint(self.first).raw(self.hash.as_bytes());
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            scope: ScopeId::from_number(input.uint("scope of a start")?),
            turn: number(input, "turn of a start")?,
            covers: Lengths::decode(input)?,
            first: input.uint_max(LOG_LEN_MAX, "first entry of a start")?,
            hash: Hash::from_bytes(input.array("hash of a start")?),
        })
    }
}

impl Redact {
    fn encode(&self, out: &mut Encoder) {
        out.uint(self.scope.number())
            .uint(self.parcels.len() as u64);
        for (writer, seq) in &self.parcels {
            out.raw(writer.as_bytes()).uint(*seq);
        }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let what = "redaction";
        let scope = ScopeId::from_number(input.uint(what)?);
        if scope == ScopeId::ROSTER {
            return Err(input.error(what, DecodeFault::Undefined));
        }
        let mut parcels: Vec<(WriterId, u64)> = Vec::new();
        for _ in 0..input.count(REDACTED_AT_ONCE_MAX, 33, what)? {
            let writer = WriterId::from_bytes(input.array(what)?);
            let at = (writer, input.uint_max(LOG_LEN_MAX, what)?);
            if parcels.last().is_some_and(|last| *last >= at) {
                return Err(input.error(what, DecodeFault::NotCanonical));
            }
            parcels.push(at);
        }
        Ok(Self { scope, parcels })
    }
}

impl AskKeys {
    fn encode(&self, out: &mut Encoder) {
        out.uint(self.turn.into()).uint(self.keys.len() as u64);
        for (scope, generation, key) in &self.keys {
            out.uint(scope.number()).uint((*generation).into());
            out.raw(key.as_bytes());
        }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let what = "keys asked for";
        let turn = number(input, what)?;
        let mut keys: Vec<(ScopeId, u32, KeyId)> = Vec::new();
        for _ in 0..input.count(ASKED_AT_ONCE_MAX, 34, what)? {
            let scope = ScopeId::from_number(input.uint(what)?);
            let generation = number(input, what)?;
            let key = (scope, generation, KeyId::from_bytes(input.array(what)?));
            if keys.last().is_some_and(|last| *last >= key) {
                return Err(input.error(what, DecodeFault::NotCanonical));
            }
            keys.push(key);
        }
        Ok(Self { turn, keys })
    }
}

fn encode_option<T>(value: Option<&T>, out: &mut Encoder, encode: fn(&T, &mut Encoder)) {
    out.byte(value.is_some().into());
    if let Some(value) = value {
        encode(value, out);
    }
}

fn decode_option<T>(
    input: &mut Decoder<'_>,
    decode: impl Fn(&mut Decoder<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    flag(input, "presence")?.then(|| decode(input)).transpose()
}

fn flag(input: &mut Decoder<'_>, what: &'static str) -> Result<bool, DecodeError> {
    let undefined = input.error(what, DecodeFault::Undefined);
    match input.byte(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(undefined),
    }
}

fn number(input: &mut Decoder<'_>, what: &'static str) -> Result<u32, DecodeError> {
    Ok(input.uint_max(u32::MAX.into(), what)? as u32)
}

fn identity(input: &mut Decoder<'_>) -> Result<IdentityId, DecodeError> {
    Ok(IdentityId::from_bytes(input.array("identity")?))
}
