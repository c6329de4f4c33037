//! What the engine keeps in the store about a space and about a writer, to the byte.
//!
//! These bytes never leave the device; `docs/formats/store.md` describes them.

use std::collections::{BTreeMap, BTreeSet};

use stead_access::{Lengths, OpId};
use stead_base::codec::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_base::limits::{ENTRY_BYTES_MAX, LOG_LEN_MAX, NAME_BYTES_MAX};
use stead_base::{Hlc, ScopeId, WriterId};
use stead_log::Tip;

const FORMAT: u8 = 1;
/// The format of writer records; the first one had no dropped beginnings.
const WRITER_FORMAT: u8 = 3;
/// The one before: it did not count what a thin log keeps of rights.
const WRITER_FORMAT_BEFORE: u8 = 2;
const LIST_MAX: usize = 1 << 20;

/// An epoch key, wrapped under the device's storage key.
#[derive(Debug, Clone)]
pub(crate) struct WrappedKey {
    pub(crate) scope: ScopeId,
    pub(crate) generation: u32,
    pub(crate) wrapped: Vec<u8>,
}

/// The roster operations of one entry, as they stood in its parcel.
#[derive(Debug, Clone)]
pub(crate) struct RosterEntry {
    pub(crate) writer: WriterId,
    pub(crate) seq: u64,
    pub(crate) genesis: bool,
    pub(crate) parcel: Vec<u8>,
}

/// The start from which documents of a scope were built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The operation that names it.
    pub(crate) at: OpId,
    /// What of which log it contains.
    pub(crate) covers: Lengths,
}

/// What documents are built from: the outermost scopes that are read, each from its start or, if
/// there is none, from the first entries on.
pub(crate) type View = BTreeMap<ScopeId, Option<Begun>>;

/// A space as the store keeps it.
#[derive(Debug, Clone)]
pub(crate) struct SpaceRecord {
    pub(crate) name: String,
    pub(crate) is_home: bool,
    pub(crate) secret: [u8; 32],
    /// The writer this store writes with, and its wrapped seed.
    pub(crate) own: Option<(WriterId, Vec<u8>)>,
    /// Writers this device wrote with before.
    pub(crate) retired: Vec<WriterId>,
    pub(crate) keys: Vec<WrappedKey>,
    pub(crate) roster: Vec<RosterEntry>,
    /// Which keys this store has sent to which devices, as short hashes of both.
    pub(crate) served: BTreeSet<u64>,
    /// The checkpoint that history begins with here.
    pub(crate) begins: Option<WriterId>,
    /// Its documents are not here yet: keys are missing.
    pub(crate) is_beginning: bool,
    /// What the documents are built from.
    pub(crate) view: View,
    /// How far logs reach into a scope from around it: entries that say something of the scope's
    /// subtree to those alone who read what is around it.
    pub(crate) strays: BTreeMap<(ScopeId, WriterId), u64>,
    /// Starts that contain something that counts differently now.
    pub(crate) tainted: BTreeMap<ScopeId, OpId>,
    /// For how long history is kept on this device, in ms; 0: for ever.
    pub(crate) keep_ms: u64,
    /// How much of each log the checkpoint covers that documents begin with; of a record of before, nothing.
    pub(crate) begun_with: Lengths,
    /// How much of each log the checkpoints cover that were made here. Somebody may have begun with one,
    /// also if it is gone since.
    pub(crate) vouched: Lengths,
}

impl Default for SpaceRecord {
    fn default() -> Self {
        Self {
            name: String::new(),
            is_home: false,
            secret: [0; 32],
            own: None,
            retired: Vec::new(),
            keys: Vec::new(),
            roster: Vec::new(),
            served: BTreeSet::new(),
            view: BTreeMap::from([(ScopeId::ROOT, None)]),
            strays: BTreeMap::new(),
            tainted: BTreeMap::new(),
            keep_ms: 0,
            begun_with: Lengths::none(),
            vouched: Lengths::none(),
            begins: None,
            is_beginning: false,
        }
    }
}

impl SpaceRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.byte(FORMAT)
            .text(&self.name)
            .byte(self.is_home.into())
            .raw(&self.secret);
        match &self.own {
            None => out.byte(0),
            Some((writer, seed)) => out.byte(1).raw(writer.as_bytes()).bytes(seed),
        };
        out.uint(self.retired.len() as u64);
        for writer in &self.retired {
            out.raw(writer.as_bytes());
        }
        out.uint(self.keys.len() as u64);
        for key in &self.keys {
            out.uint(key.scope.number())
                .uint(key.generation.into())
                .bytes(&key.wrapped);
        }
        out.uint(self.roster.len() as u64);
        for entry in &self.roster {
            out.raw(entry.writer.as_bytes())
                .uint(entry.seq)
                .byte(entry.genesis.into())
                .bytes(&entry.parcel);
        }
        out.uint(self.served.len() as u64);
        for served in &self.served {
            out.raw(&served.to_be_bytes());
        }
        match &self.begins {
            None => drop(out.byte(0)),
            Some(log) => drop(
                out.byte(1)
                    .raw(log.as_bytes())
                    .byte(self.is_beginning.into()),
            ),
        }
        out.uint(self.view.len() as u64);
        for (scope, begun) in &self.view {
            out.uint(scope.number());
            match begun {
                None => drop(out.byte(0)),
                Some(begun) => {
                    begun.at.encode(out.byte(1));
                    begun.covers.encode(&mut out);
                }
            }
        }
        out.uint(self.strays.len() as u64);
        for ((scope, writer), len) in &self.strays {
            out.uint(scope.number()).raw(writer.as_bytes()).uint(*len);
        }
        out.uint(self.tainted.len() as u64);
        for (scope, at) in &self.tainted {
            at.encode(out.uint(scope.number()));
        }
        out.uint(self.keep_ms);
        for covered in [&self.vouched, &self.begun_with] {
            out.uint(covered.len() as u64);
            for (writer, len) in covered.iter() {
                out.raw(writer.as_bytes()).uint(len);
            }
        }
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let what = "space record";
        format(&mut input, what)?;
        let name = input.text(NAME_BYTES_MAX, what)?.to_owned();
        let is_home = flag(&mut input, what)?;
        let secret = input.array(what)?;
        let own = match flag(&mut input, what)? {
            false => None,
            true => {
                let writer = WriterId::from_bytes(input.array(what)?);
                Some((writer, input.bytes(1024, what)?.to_vec()))
            }
        };
        let retired = (0..input.count(LIST_MAX, 32, what)?)
            .map(|_| Ok(WriterId::from_bytes(input.array(what)?)))
            .collect::<Result<_, DecodeError>>()?;
        let keys = (0..input.count(LIST_MAX, 3, what)?)
            .map(|_| {
                Ok(WrappedKey {
                    scope: ScopeId::from_number(input.uint(what)?),
                    generation: input.uint_max(u32::MAX.into(), what)? as u32,
                    wrapped: input.bytes(1024, what)?.to_vec(),
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        let roster = (0..input.count(LIST_MAX, 35, what)?)
            .map(|_| {
                Ok(RosterEntry {
                    writer: WriterId::from_bytes(input.array(what)?),
                    seq: input.uint_max(LOG_LEN_MAX, what)?,
                    genesis: flag(&mut input, what)?,
                    parcel: input.bytes(ENTRY_BYTES_MAX, what)?.to_vec(),
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        let served = (0..input.count(LIST_MAX, 8, what)?)
            .map(|_| Ok(u64::from_be_bytes(input.array(what)?)))
            .collect::<Result<_, DecodeError>>()?;
        // Records of before end here.
        let begins = match input.remaining() > 0 && flag(&mut input, what)? {
            true => Some(WriterId::from_bytes(input.array(what)?)),
            false => None,
        };
        let is_beginning = begins.is_some() && flag(&mut input, what)?;
        if input.remaining() == 0 {
            return Ok(Self {
                begins,
                is_beginning,
                served,
                name,
                is_home,
                secret,
                own,
                retired,
                keys,
                roster,
                ..Self::default()
            });
        }
        let view = (0..input.count(LIST_MAX, 2, what)?)
            .map(|_| {
                let scope = ScopeId::from_number(input.uint(what)?);
                let begun = match flag(&mut input, what)? {
                    false => None,
                    true => Some(Begun {
                        at: OpId::decode(&mut input)?,
                        covers: Lengths::decode(&mut input)?,
                    }),
                };
                Ok((scope, begun))
            })
            .collect::<Result<_, DecodeError>>()?;
        let strays = (0..input.count(LIST_MAX, 34, what)?)
            .map(|_| {
                let scope = ScopeId::from_number(input.uint(what)?);
                let writer = WriterId::from_bytes(input.array(what)?);
                Ok(((scope, writer), input.uint_max(LOG_LEN_MAX, what)?))
            })
            .collect::<Result<_, DecodeError>>()?;
        let tainted = (0..input.count(LIST_MAX, 35, what)?)
            .map(|_| {
                let scope = ScopeId::from_number(input.uint(what)?);
                Ok((scope, OpId::decode(&mut input)?))
            })
            .collect::<Result<_, DecodeError>>()?;
        // Records of before end here.
        let keep_ms = match input.remaining() {
            0 => 0,
            _ => input.uint(what)?,
        };
        let (vouched, begun_with) = match input.remaining() {
            0 => (Lengths::none(), Lengths::none()),
            _ => (covered(&mut input, what)?, covered(&mut input, what)?),
        };
        input.finish(what)?;
        Ok(Self {
            vouched,
            begun_with,
            keep_ms,
            begins,
            is_beginning,
            view,
            strays,
            tainted,
            served,
            name,
            is_home,
            secret,
            own,
            retired,
            keys,
            roster,
        })
    }
}

/// Lengths of any number of logs: a checkpoint covers more than one statement names.
fn covered(input: &mut Decoder<'_>, what: &'static str) -> Result<Lengths, DecodeError> {
    let logs = 0..input.count(LIST_MAX, 33, what)?;
    logs.map(|_| {
        let writer = WriterId::from_bytes(input.array(what)?);
        Ok((writer, input.uint_max(LOG_LEN_MAX, what)?))
    })
    .collect()
}

/// How far a writer's log was stored, read and frozen. `applied` has a column of its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriterRecord {
    pub(crate) tip: Tip,
    /// Entries whose roster operations have been taken up.
    pub(crate) read: u64,
    /// Time of the last entry that counted for documents or roster.
    pub(crate) last_hlc: Hlc,
    /// Time of the last entry that documents contain.
    pub(crate) applied_hlc: Hlc,
    /// Length at which a fork freezes the log, which may not be held that far yet.
    pub(crate) frozen: Option<u64>,
    /// Entries that a newer version of Stead wrote and this one skipped.
    pub(crate) skipped: u64,
    /// End of the last stored segment that is as large as segments get.
    pub(crate) packed: u64,
    /// Bytes stored after that segment.
    pub(crate) tail_bytes: u64,
    /// Entries dropped from the beginning: a skeleton stands for them, or, of a checkpoint that was
    /// replaced, nothing.
    pub(crate) base: u64,
    /// Entries with a `@roster` parcel among those of a thin log.
    pub(crate) rosters: u64,
    /// An entry was not later than the one before it: who keeps a part sees by the times of all entries
    /// which of them count.
    pub(crate) unruly: bool,
}

impl WriterRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        // Every transaction writes one: room for the peaks and the head of a long log.
        let mut out = Encoder::over(Vec::with_capacity(768));
        out.byte(WRITER_FORMAT).uint(self.read);
        out.raw(&self.last_hlc.to_u64().to_be_bytes())
            .raw(&self.applied_hlc.to_u64().to_be_bytes());
        out.uint(self.frozen.map_or(0, |len| len + 1))
            .uint(self.skipped)
            .uint(self.packed);
        out.uint(self.tail_bytes).uint(self.base);
        out.uint(self.rosters).byte(self.unruly.into());
        self.tip.encode_to(&mut out);
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let what = "writer record";
        let format = input.byte(what)?;
        if ![FORMAT, WRITER_FORMAT_BEFORE, WRITER_FORMAT].contains(&format) {
            return Err(input.error(what, DecodeFault::Undefined));
        }
        Ok(Self {
            read: input.uint(what)?,
            last_hlc: hlc(&mut input, what)?,
            applied_hlc: hlc(&mut input, what)?,
            frozen: input.uint(what)?.checked_sub(1),
            skipped: input.uint(what)?,
            packed: input.uint(what)?,
            tail_bytes: input.uint(what)?,
            base: match format {
                FORMAT => 0,
                _ => input.uint(what)?,
            },
            rosters: match format {
                WRITER_FORMAT => input.uint(what)?,
                _ => 0,
            },
            unruly: format == WRITER_FORMAT && flag(&mut input, what)?,
            tip: Tip::decode(input.rest())?,
        })
    }
}

fn hlc(input: &mut Decoder<'_>, what: &'static str) -> Result<Hlc, DecodeError> {
    Ok(Hlc::from_u64(u64::from_be_bytes(input.array(what)?)))
}

fn format(input: &mut Decoder<'_>, what: &'static str) -> Result<(), DecodeError> {
    match input.byte(what)? {
        FORMAT => Ok(()),
        _ => Err(input.error(what, DecodeFault::Undefined)),
    }
}

fn flag(input: &mut Decoder<'_>, what: &'static str) -> Result<bool, DecodeError> {
    match input.byte(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(input.error(what, DecodeFault::Undefined)),
    }
}
