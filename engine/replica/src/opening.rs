//! Opens stored or received entries: from ciphertext to a time, roster operations and document
//! operations, without deciding what any of them may do.

use std::ops::{ControlFlow, Range};

use stead_base::{DecodeError, Hash, Hlc, ScopeId, SpaceId, WriterId};
use stead_crypt::{Part, ScopeCipher};
use stead_log::{BatchEntries, EntryRef, Envelope, ParcelRef};
use stead_store::{Read, SegmentRow};

use crate::ReplicaError;
use crate::keyring::{GENESIS_SPACE, KeyRing, Reading, WriterCiphers};
use crate::space::SpaceState;

/// What became of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The part was opened; of an entry, what all members open: its envelope and what it says of the
    /// roster.
    Open,
    /// A key is missing; it may arrive later.
    Locked,
    /// The part does not open under the key it names, or its plain form is malformed. Every holder
    /// of the key finds the same, so the part, or the entry, is void for all.
    Void,
    /// This device may not read the part.
    Closed,
    /// The part is not here, only its hash: it was redacted.
    Withheld,
}

/// The document operations of one scope in one entry.
#[derive(Debug, Clone)]
pub(crate) struct DocPart {
    pub(crate) scope: ScopeId,
    pub(crate) outcome: Outcome,
    /// Place in the arena of its [`Opened`].
    pub(crate) text: Range<usize>,
}

/// One opened entry. Ranges are places in the arena of its [`Opened`].
#[derive(Debug, Clone)]
pub(crate) struct OpenedEntry {
    pub(crate) seq: u64,
    pub(crate) hlc: Hlc,
    pub(crate) outcome: Outcome,
    pub(crate) roster: Range<usize>,
    /// Places of its document parts in the list of its [`Opened`].
    pub(crate) docs: Range<usize>,
    /// Whether this entry is the space's genesis.
    pub(crate) genesis: bool,
}

/// A run of opened entries with the text they share.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub(crate) entries: Vec<OpenedEntry>,
    pub(crate) parts: Vec<DocPart>,
    pub(crate) arena: Vec<u8>,
    /// Key boxes that lie in the entries, with the entry's sequence.
    pub(crate) key_boxes: Vec<(u64, Vec<u8>)>,
    /// Whether an entry comes with only the hash of what it says of the roster.
    pub(crate) lacks_roster: bool,
}

impl Opened {
    /// The document parts of an entry, readable or not.
    pub(crate) fn docs(&self, entry: &OpenedEntry) -> &[DocPart] {
        &self.parts[entry.docs.clone()]
    }

    /// The document parts of an entry that were opened, with their texts.
    pub(crate) fn open_docs(&self, entry: &OpenedEntry) -> impl Iterator<Item = (ScopeId, &[u8])> {
        let open = self.docs(entry).iter();
        open.filter(|part| part.outcome == Outcome::Open)
            .map(|part| (part.scope, &self.arena[part.text.clone()]))
    }
}

/// Opens consecutive entries of one writer from sequence `start`.
///
/// `entries` yields the bytes of entries that have been parsed before; `first_leaf` is the leaf
/// hash of entry 0 when the run starts there.
pub(crate) fn open_run<'a>(
    ring: &KeyRing,
    space: &SpaceId,
    writer: &WriterId,
    start: u64,
    first_leaf: Option<Hash>,
    entries: impl Iterator<Item = &'a [u8]>,
) -> Opened {
    open_places(ring, space, writer, first_leaf, (start..).zip(entries))
}

/// Opens entries of one writer, each with its place, in ascending order.
pub(crate) fn open_places<'a>(
    ring: &KeyRing,
    space: &SpaceId,
    writer: &WriterId,
    first_leaf: Option<Hash>,
    entries: impl Iterator<Item = (u64, &'a [u8])>,
) -> Opened {
    let mut opened = Opened::default();
    let mut ciphers = WriterCiphers::new(ring, *space, *writer);
    let mut scratch = Vec::new();
    for (seq, bytes) in entries {
        let genesis =
            seq == 0 && first_leaf.is_some_and(|leaf| leaf.as_bytes() == space.as_bytes());
        let entry = if genesis {
            let mut ciphers = WriterCiphers::new(ring, GENESIS_SPACE, *writer);
            open_entry(&mut ciphers, seq, bytes, &mut opened, &mut scratch)
        } else {
            open_entry(&mut ciphers, seq, bytes, &mut opened, &mut scratch)
        };
        opened.entries.push(OpenedEntry { genesis, ..entry });
    }
    opened
}

/// Opens the entries of a stored segment from sequence `from` on.
pub(crate) fn open_segment(
    ring: &KeyRing,
    space: &SpaceId,
    writer: &WriterId,
    segment: &SegmentRow,
    from: u64,
) -> Result<Opened, ReplicaError> {
    let record = |source| ReplicaError::Record {
        what: "log segment",
        source,
    };
    let start = segment.start.max(from);
    let mut entries = BatchEntries::new(&segment.bytes);
    for _ in segment.start..start {
        entries.skip_one().map_err(record)?;
    }
    open_encoded(ring, space, writer, start, entries.rest()).map_err(record)
}

/// Opens consecutive entries of one writer from sequence `start`, as they lie in segments and batches.
pub(crate) fn open_encoded(
    ring: &KeyRing,
    space: &SpaceId,
    writer: &WriterId,
    start: u64,
    bytes: &[u8],
) -> Result<Opened, DecodeError> {
    let mut rest = BatchEntries::new(bytes);
    let mut entries = Vec::new();
    while let Some(entry) = rest.next_bytes()? {
        entries.push(entry);
    }
    let first_leaf = match entries.first() {
        Some(entry) if start == 0 => Some(EntryRef::parse(entry)?.leaf_hash()),
        _ => None,
    };
    let run = entries.into_iter();
    Ok(open_run(ring, space, writer, start, first_leaf, run))
}

fn open_entry(
    ciphers: &mut WriterCiphers<'_>,
    seq: u64,
    bytes: &[u8],
    opened: &mut Opened,
    scratch: &mut Vec<u8>,
) -> OpenedEntry {
    let mut entry = OpenedEntry {
        seq,
        hlc: Hlc::ZERO,
        outcome: Outcome::Open,
        roster: 0..0,
        docs: opened.parts.len()..opened.parts.len(),
        genesis: false,
    };
    let Ok(parsed) = EntryRef::parse(bytes) else {
        entry.outcome = Outcome::Void;
        return entry;
    };
    for parcel in parsed.parcels() {
        match parcel {
            ParcelRef::KeyBox(key_box) => opened.key_boxes.push((seq, key_box.to_vec())),
            ParcelRef::Withheld { scope, .. } if scope == ScopeId::ROSTER => {
                opened.lacks_roster = true;
            }
            ParcelRef::Withheld { .. } | ParcelRef::Sealed { .. } => {}
        }
    }
    entry.outcome = open_parts(ciphers, seq, &parsed, opened, scratch, &mut entry);
    entry
}

fn open_parts(
    ciphers: &mut WriterCiphers<'_>,
    seq: u64,
    parsed: &EntryRef<'_>,
    opened: &mut Opened,
    scratch: &mut Vec<u8>,
    entry: &mut OpenedEntry,
) -> Outcome {
    let (salt, envelope) = (parsed.salt(), parsed.envelope());
    scratch.clear();
    let with = ciphers.get(ScopeId::ROSTER, envelope.epoch, Part::Envelope);
    match open_part(with, seq, salt, envelope.ciphertext, scratch) {
        Outcome::Open => {}
        Outcome::Void if ciphers.is_incomplete(ScopeId::ROSTER, envelope.epoch) => {
            return Outcome::Locked;
        }
        other => return other,
    }
    match Envelope::decode_hlc(scratch) {
        Ok(hlc) => entry.hlc = hlc,
        Err(_) => return Outcome::Void,
    }
    let mut outcome = Outcome::Open;
    for parcel in parsed.parcels() {
        let at = opened.arena.len();
        let (scope, part) = match parcel {
            ParcelRef::Sealed { scope, part } => (scope, part),
            ParcelRef::Withheld { scope, .. } if scope != ScopeId::ROSTER => {
                opened.parts.push(DocPart {
                    scope,
                    outcome: Outcome::Withheld,
                    text: at..at,
                });
                continue;
            }
            ParcelRef::Withheld { .. } | ParcelRef::KeyBox(_) => continue,
        };
        let found = match ciphers.reading(scope) {
            Reading::Closed => Outcome::Closed,
            Reading::Unheard => Outcome::Locked,
            Reading::Open => {
                let with = ciphers.get(scope, part.epoch, Part::Parcel);
                match open_part(with, seq, salt, part.ciphertext, &mut opened.arena) {
                    Outcome::Void if ciphers.is_incomplete(scope, part.epoch) => Outcome::Locked,
                    found => found,
                }
            }
        };
        let text = at..opened.arena.len();
        if scope != ScopeId::ROSTER {
            opened.parts.push(DocPart {
                scope,
                outcome: found,
                text,
            });
        } else if found == Outcome::Open {
            entry.roster = text;
        } else {
            outcome = found;
        }
    }
    entry.docs.end = opened.parts.len();
    outcome
}

/// Opens one part with whichever key of its generation fits.
fn open_part(
    ciphers: &[ScopeCipher],
    seq: u64,
    salt: [u8; 4],
    ciphertext: &[u8],
    out: &mut Vec<u8>,
) -> Outcome {
    if ciphers.is_empty() {
        return Outcome::Locked;
    }
    let mut opens = |cipher: &ScopeCipher| cipher.open(seq, salt, ciphertext, out).is_ok();
    match ciphers.iter().any(&mut opens) {
        true => Outcome::Open,
        false => Outcome::Void,
    }
}

/// Opens one entry's envelope. None if no key that is held opens it, or it is malformed.
pub(crate) fn open_envelope(
    ring: &KeyRing,
    space: &SpaceId,
    writer: &WriterId,
    seq: u64,
    entry: &EntryRef<'_>,
) -> Option<Envelope> {
    let genesis = seq == 0 && entry.leaf_hash().as_bytes() == space.as_bytes();
    let space = if genesis { GENESIS_SPACE } else { *space };
    let mut ciphers = WriterCiphers::new(ring, space, *writer);
    let envelope = entry.envelope();
    let with = ciphers.get(ScopeId::ROSTER, envelope.epoch, Part::Envelope);
    let mut text = Vec::new();
    match open_part(with, seq, entry.salt(), envelope.ciphertext, &mut text) {
        Outcome::Open => Envelope::decode(&text).ok(),
        _ => None,
    }
}

/// The envelopes of a log's stored entries from sequence `from` on, of those that open; until what is stored is
/// no entry.
pub(crate) fn each_envelope(
    store: &impl Read,
    space: &SpaceState,
    writer: &WriterId,
    from: u64,
    f: &mut dyn FnMut(u64, Envelope) -> ControlFlow<()>,
) -> Result<(), ReplicaError> {
    let Some(state) = space.writers.get(writer) else {
        return Ok(());
    };
    store.each_segment(state.no, from, &mut |start, count, bytes| {
        let mut entries = BatchEntries::new(bytes);
        for seq in start..start + u64::from(count) {
            let Ok(Some(bytes)) = entries.next_bytes() else {
                return ControlFlow::Break(());
            };
            if seq < from {
                continue;
            }
            let entry = EntryRef::parse(bytes).ok();
            let envelope =
                entry.and_then(|entry| open_envelope(&space.ring, &space.id, writer, seq, &entry));
            if let Some(envelope) = envelope
                && f(seq, envelope).is_break()
            {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// Opens the roster parcel of one entry of a skeleton. Returns whether the entry opens, whether it
/// is the genesis, and the parcel; None if it is no entry.
pub(crate) fn open_one(
    ring: &KeyRing,
    space: &SpaceId,
    writer: &WriterId,
    seq: u64,
    bytes: &[u8],
) -> Option<(Outcome, bool, Vec<u8>)> {
    let leaf = EntryRef::parse(bytes).ok()?.leaf_hash();
    let opened = open_run(
        ring,
        space,
        writer,
        seq,
        (seq == 0).then_some(leaf),
        std::iter::once(bytes),
    );
    let entry = opened.entries.first()?;
    let parcel = opened.arena[entry.roster.clone()].to_vec();
    Some((entry.outcome, entry.genesis, parcel))
}
