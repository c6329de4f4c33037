//! Checks a proof file about rights without a running node, a key of one's own or trust in whoever
//! wrote the file.
//!
//! Owns the check only. What it proves: each entry stands in a log whose head its writer signed, for
//! this space; what was sealed in it says what is shown; and who may say it follows by the rules from
//! the entries in the file. What it cannot prove is that the file leaves nothing out.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::Serialize;
use stead_access::{MemberSubject, PartyId, Roster, RosterOp, decode_ops};
use stead_api::{ProofEntry, RIGHTS_PROOF_FORMAT, RightsProof};
use stead_base::{Decoder, Encoder, Hash, ScopeId, SpaceId, WriterId};
use stead_crypt::{KeyId, ScopeCipher, Zeroizing};
use stead_log::{EntryRef, Envelope, InclusionProof, ParcelRef, SignedHead};

/// Most entries in a proof file.
pub const PROOF_ENTRIES_MAX: usize = 100_000;

/// Why a proof file proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is of another form, or of a newer version.
    #[error("this is no proof file that this version of Stead knows")]
    Format,
    /// More than [`PROOF_ENTRIES_MAX`] entries.
    #[error("a proof file has at most {PROOF_ENTRIES_MAX} entries")]
    TooMany,
    /// A head is not signed by its writer for this space.
    #[error("the head of log {writer} {why}")]
    Head {
        /// Whose, as the file says.
        writer: String,
        /// What is wrong.
        why: &'static str,
    },
    /// An entry does not check.
    #[error("entry {index} of log {writer} {why}")]
    Entry {
        /// Whose, as the file says.
        writer: String,
        /// Which.
        index: u64,
        /// What is wrong.
        why: &'static str,
    },
}

/// What a proof file proves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// The space.
    pub space: String,
    /// Whether its founding is among the entries, so that rights can be worked out.
    pub founded: bool,
    /// The entries, by time as their writers' clocks said.
    pub entries: Vec<ProvenEntry>,
    /// Who is a member, as far as these entries go.
    pub members: Vec<ProvenMember>,
}

/// One entry that was proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProvenEntry {
    /// Whose log.
    pub writer: String,
    /// Place in the log.
    pub index: u64,
    /// The device that claims the log; empty if these entries do not say.
    pub device: String,
    /// Its name.
    pub device_name: String,
    /// When, by its writer's clock, in Unix milliseconds.
    pub time_ms: u64,
    /// What it says.
    pub says: Vec<String>,
    /// Whether its writer may say anything at that place, by these entries.
    pub counts: bool,
}

/// A membership as the proven entries make it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProvenMember {
    /// Who.
    pub who: String,
    /// As what.
    pub role: String,
    /// Where.
    pub path: String,
    /// Whether it has ended.
    pub ended: bool,
}

/// Checks all of a proof file.
pub fn check(proof: &RightsProof) -> Result<Proven, Refused> {
    if proof.format != RIGHTS_PROOF_FORMAT {
        return Err(Refused::Format);
    }
    if proof.entries.len() > PROOF_ENTRIES_MAX || proof.heads.len() > PROOF_ENTRIES_MAX {
        return Err(Refused::TooMany);
    }
    let space = SpaceId::from_str(&proof.space).map_err(|_| Refused::Format)?;
    let heads = heads(proof, &space)?;
    let mut seen = BTreeSet::new();
    let mut opened = Vec::with_capacity(proof.entries.len());
    for entry in &proof.entries {
        let refused = |why| Refused::Entry {
            writer: short(&entry.writer),
            index: entry.index,
            why,
        };
        let writer = WriterId::from_str(&entry.writer).map_err(|_| refused("names no writer"))?;
        if !seen.insert((writer, entry.index)) {
            return Err(refused("stands there twice"));
        }
        let head = heads.get(&writer);
        let head = head.ok_or_else(|| refused("comes without a signed head"))?;
        opened.push(open(entry, &space, writer, head).map_err(refused)?);
    }
    check_keys(&opened)?;
    Ok(conclude(&space, opened))
}

fn heads(proof: &RightsProof, space: &SpaceId) -> Result<BTreeMap<WriterId, SignedHead>, Refused> {
    let mut heads = BTreeMap::new();
    for head in &proof.heads {
        let refused = |why| Refused::Head {
            writer: short(&head.writer),
            why,
        };
        let writer = WriterId::from_str(&head.writer).map_err(|_| refused("names no writer"))?;
        let root = Hash::from_str(&head.root).map_err(|_| refused("has no root"))?;
        let signature = unhex(&head.signature).and_then(|bytes| bytes.try_into().ok());
        let signed = SignedHead {
            len: head.len,
            root,
            signature: signature.ok_or_else(|| refused("has no signature"))?,
        };
        signed
            .verify(space, &writer)
            .map_err(|_| refused("is not signed by its writer for this space"))?;
        if heads.insert(writer, signed).is_some() {
            return Err(refused("stands there twice"));
        }
    }
    Ok(heads)
}

struct OpenedEntry {
    writer: WriterId,
    index: u64,
    key_id: KeyId,
    is_genesis: bool,
    time_ms: u64,
    ops: Vec<RosterOp>,
}

fn open(
    said: &ProofEntry,
    space: &SpaceId,
    writer: WriterId,
    head: &SignedHead,
) -> Result<OpenedEntry, &'static str> {
    let bytes = unhex(&said.entry).ok_or("is not in hexadecimal digits")?;
    let entry = EntryRef::parse(&bytes).map_err(|_| "is no entry of a log")?;
    let leaf = entry.leaf_hash();
    let mut path = Encoder::new();
    path.uint(said.path.len() as u64);
    for hash in &said.path {
        let hash = Hash::from_str(hash).map_err(|_| "has a path that is none")?;
        path.raw(hash.as_bytes());
    }
    let inclusion = InclusionProof::decode(&mut Decoder::new(path.as_slice()))
        .map_err(|_| "has a path that is none")?;
    inclusion
        .verify(leaf, said.index, head.len, &head.root)
        .map_err(|_| "does not stand at that place of the log that its writer signed")?;
    let key_id = Hash::from_str(&said.key_id).map_err(|_| "names no key")?;
    let key_id = KeyId::from_bytes(*key_id.as_bytes());
    let cipher = |key: &str| {
        let bytes = Zeroizing::new(unhex(key)?);
        let bytes = Zeroizing::new(<[u8; 32]>::try_from(&bytes[..]).ok()?);
        Some(ScopeCipher::from_disclosed(&bytes, key_id))
    };
    let part = entry.parcels().find_map(|parcel| match parcel {
        ParcelRef::Sealed {
            scope: ScopeId::ROSTER,
            part,
        } => Some(part),
        _ => None,
    });
    let part = part.ok_or("says nothing about rights")?;
    let mut parcel = Vec::new();
    cipher(&said.parcel_key)
        .and_then(|key| {
            key.open(said.index, entry.salt(), part.ciphertext, &mut parcel)
                .ok()
        })
        .ok_or("does not open with the key given")?;
    if Some(&parcel) != unhex(&said.parcel).as_ref() {
        return Err("says something else than the file claims");
    }
    let mut envelope = Vec::new();
    cipher(&said.envelope_key)
        .and_then(|key| {
            let sealed = entry.envelope().ciphertext;
            key.open(said.index, entry.salt(), sealed, &mut envelope)
                .ok()
        })
        .ok_or("has a time that does not open with the key given")?;
    let hlc = Envelope::decode_hlc(&envelope).map_err(|_| "has no time")?;
    Ok(OpenedEntry {
        writer,
        index: said.index,
        key_id,
        is_genesis: said.index == 0 && leaf.as_bytes() == space.as_bytes(),
        time_ms: hlc.ms(),
        ops: decode_ops(&parcel).map_err(|_| "says what nobody can read")?,
    })
}

/// Every key must be one that an entry of the file declared: its id commits to it, so that nobody
/// can show two meanings of one entry.
fn check_keys(opened: &[OpenedEntry]) -> Result<(), Refused> {
    let declared: BTreeSet<KeyId> = opened
        .iter()
        .flat_map(|entry| &entry.ops)
        .filter_map(|op| match op {
            RosterOp::Epoch(epoch) if epoch.scope == ScopeId::ROSTER => Some(epoch.key),
            _ => None,
        })
        .collect();
    match opened
        .iter()
        .find(|entry| !declared.contains(&entry.key_id))
    {
        None => Ok(()),
        Some(entry) => Err(Refused::Entry {
            writer: entry.writer.short(),
            index: entry.index,
            why: "is sealed under a key that no entry of the file declares",
        }),
    }
}

fn conclude(space: &SpaceId, opened: Vec<OpenedEntry>) -> Proven {
    let mut roster = Roster::new(*space);
    let genesis = opened.iter().find(|entry| entry.is_genesis);
    let founded = genesis.is_some_and(|entry| {
        roster
            .insert_genesis(entry.writer, entry.ops.clone())
            .is_ok()
    });
    let others = opened.iter().filter(|entry| !entry.is_genesis);
    roster.insert_all(others.map(|entry| (entry.writer, entry.index, entry.ops.clone())));
    let mut entries: Vec<ProvenEntry> = opened
        .iter()
        .map(|entry| {
            let device = roster.device_of(&entry.writer);
            let record = device.and_then(|device| roster.record_of(&device));
            let spans = roster.spans(&entry.writer).iter();
            ProvenEntry {
                writer: entry.writer.to_string(),
                index: entry.index,
                device: device.map(|id| id.to_string()).unwrap_or_default(),
                device_name: record
                    .map(|record| record.name.as_str().to_owned())
                    .unwrap_or_default(),
                time_ms: entry.time_ms,
                says: entry
                    .ops
                    .iter()
                    .map(stead_replica::roster_in_words)
                    .collect(),
                counts: (entry.is_genesis && founded)
                    || spans
                        .into_iter()
                        .any(|span| span.since <= entry.index && entry.index < span.limit),
            }
        })
        .collect();
    entries.sort_by(|a, b| (a.time_ms, &a.writer, a.index).cmp(&(b.time_ms, &b.writer, b.index)));
    let members = roster.members().values();
    let members = members.map(|member| ProvenMember {
        who: match &member.subject {
            MemberSubject::Party(PartyId::Identity(id)) => format!("person {id}"),
            MemberSubject::Party(PartyId::Device(id)) => format!("device {id}"),
            MemberSubject::Group(id) => format!("group {id}"),
            MemberSubject::Invite { .. } => format!("invite {}", member.id),
            MemberSubject::Everyone => "everyone".to_owned(),
        },
        role: member.role.to_string(),
        path: member.path.to_string(),
        ended: member.ended.is_some(),
    });
    Proven {
        space: space.to_string(),
        founded,
        entries,
        members: members.collect(),
    }
}

fn short(writer: &str) -> String {
    writer.chars().take(8).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16);
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}
