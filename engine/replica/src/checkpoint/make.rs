//! Making a checkpoint: every document, and the beginnings of the logs that they came from.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use stead_access::{Action, Checkpoint, Path, RosterOp, encode_ops, sign_claim};
use stead_base::{Hlc, ScopeId, SpaceId, WriterId};
use stead_checkpoint::{
    BLOCK_BYTES_TARGET, BlockKind, DocumentsWriter, LogStart, RichState, encode_logs, pieces,
};
use stead_doc::Document;
use stead_log::{BatchEntries, Dependency, EntryRef, Envelope, ParcelRef, Skeleton};
use stead_store::Read;

use super::CheckpointInfo;
use super::contents::refused;
use crate::identity::Names;
use crate::logs::StoredTree;
use crate::opening::open_envelope;
use crate::rich::carried;
use crate::schemas::SCHEMAS;
use crate::sealing::Sealing;
use crate::space::{OwnWriter, SpaceState, WriterState};
use crate::writing::{Writing, encode_head, writer_mut};
use crate::{Replica, ReplicaError};

/// Largest checkpoint, in bytes as it is sealed.
const CHECKPOINT_BYTES_MAX: usize = 4 << 30;

/// A piece of a block, by who may read it.
enum Piece {
    /// Whoever holds the log: it says nothing that the logs it stands for do not.
    Everyone(Vec<u8>),
    /// Who reads the documents.
    Readers(Vec<u8>),
}

impl Replica {
    /// Makes a checkpoint of a space as it is here now. Deletions of fields and documents are in it.
    pub fn make_checkpoint(
        &mut self,
        id: &SpaceId,
        now_ms: u64,
    ) -> Result<CheckpointInfo, ReplicaError> {
        self.merge_pending(now_ms)?;
        self.refresh()?;
        self.finish_signing();
        let space = self.space(id)?;
        if space.part.is_some() {
            return Err(ReplicaError::Refused(
                "this device keeps only a part of the space: a checkpoint is made where all of it is"
                    .to_owned(),
            ));
        }
        if !space
            .roster
            .can(&self.device(), &Path::whole_space(), Action::Manage)
        {
            return Err(ReplicaError::NoRight {
                space: space.record.name.clone(),
                path: Path::whole_space().to_string(),
            });
        }
        if self.is_beginning_void(id)? {
            return Err(ReplicaError::Refused(
                "a removal reaches behind where the history begins here, and what it took back is still \
                 shown: make the checkpoint on a device that has the whole history"
                    .to_owned(),
            ));
        }
        if let Some(path) = self.unreadable_part(id)? {
            return Err(ReplicaError::Refused(format!(
                "the keys of {path} are not here, and a checkpoint holds all of the space: connect with a \
                 device that manages {path}, then try again"
            )));
        }
        if let Some(writer) = self.misses_rights_of(id)? {
            let roster = &self.space(id)?.roster;
            let device = roster.device_of(&writer);
            let name = device.and_then(|device| roster.name_of(&device));
            return Err(ReplicaError::Refused(format!(
                "what {} wrote first may count once changes of other devices have come, which are not here \
                 yet: connect with other devices, then try again",
                name.as_deref().unwrap_or("a device")
            )));
        }
        let mut parts = Vec::new();
        self.log_pieces(id, &mut parts)?;
        let (held, documents) = self.document_pieces(id, &mut parts)?;
        let log = self.write(now_ms, |writing| {
            let log = writing.write_checkpoint(id, held, &parts)?;
            writing.write_starts(id)?;
            Ok::<_, ReplicaError>(log)
        })?;
        let made = self.checkpoints(id)?;
        let made = made.into_iter().find(|info| info.log == log);
        let made = made.ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
        Ok(CheckpointInfo { documents, ..made })
    }

    /// A log of which later entries count and the first do not, whose writer had seen more by then than
    /// is here: what gives it the right may be among that, and a checkpoint would leave the entries out
    /// for good.
    fn misses_rights_of(&self, id: &SpaceId) -> Result<Option<WriterId>, ReplicaError> {
        let space = self.space(id)?;
        let record = |source| ReplicaError::Record {
            what: "log segment",
            source,
        };
        for (writer, state) in &space.writers {
            let until = counts_from(space, writer);
            if state.applied <= until || space.is_checkpoint(writer) {
                continue;
            }
            let mut at = state.record.base;
            while at < until {
                let segments = self.store.segments(state.no, at, 0)?;
                let Some(segment) = segments.first() else {
                    break;
                };
                let mut entries = BatchEntries::new(&segment.bytes);
                for seq in segment.start..segment.end().min(until) {
                    let Some(entry) = entries.next_entry().map_err(record)? else {
                        break;
                    };
                    let seen = open_envelope(&space.ring, id, writer, seq, &entry);
                    let misses = |of: &Dependency| {
                        let held = space.writers.get(&of.writer);
                        held.map_or(0, |held| held.record.tip.len()) < of.len
                            && !space.is_checkpoint(&of.writer)
                    };
                    if seen.is_some_and(|envelope| envelope.seen.iter().any(misses)) {
                        return Ok(Some(*writer));
                    }
                }
                at = segment.end();
            }
        }
        Ok(None)
    }

    fn log_pieces(&self, id: &SpaceId, parts: &mut Vec<Piece>) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        let (mut block, mut bytes) = (Vec::new(), 0);
        let mut close = |block: &mut Vec<LogStart>| {
            let body = encode_logs(&std::mem::take(block));
            let cut = pieces(BlockKind::Logs, &body).map_err(refused)?;
            parts.extend(cut.into_iter().map(Piece::Everyone));
            Ok::<_, ReplicaError>(())
        };
        for (writer, state) in &space.writers {
            if !space.admits(writer) || space.is_checkpoint(writer) {
                continue;
            }
            // Nothing of it is in documents: it is left to who judges it with more at hand.
            let is_idle = state.record.base == 0 && state.applied <= counts_from(space, writer);
            if is_idle || state.applied == 0 {
                continue;
            }
            let start = self.log_start(space, writer, state)?;
            bytes += start.skeleton.len();
            block.push(start);
            if bytes >= BLOCK_BYTES_TARGET {
                bytes = 0;
                close(&mut block)?;
            }
        }
        close(&mut block)
    }

    /// The beginning of one log, as far as the documents hold it.
    pub(super) fn log_start(
        &self,
        space: &SpaceState,
        writer: &WriterId,
        state: &WriterState,
    ) -> Result<LogStart, ReplicaError> {
        let (no, len) = (state.no, state.applied);
        let record = |source| ReplicaError::Record {
            what: "log segment",
            source,
        };
        let mut every = Vec::new();
        let dropped = self.store.skeleton(no)?;
        if let Some((_, bytes)) = &dropped {
            let skeleton = Skeleton::decode(bytes).map_err(record)?;
            let kept = skeleton
                .entries()
                .map_err(|error| ReplicaError::Refused(error.to_string()))?;
            every.extend(kept.iter().map(|it| (it.seq, it.entry.bytes().to_vec())));
        }
        // One look at the log tells which entries to keep; only if its writer counted none is it
        // kept whole, and then it is short.
        let mut kept: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut rosters = Vec::new();
        let mut consider = |seq: u64, bytes: &[u8], all: bool| {
            let entry = EntryRef::parse(bytes)?;
            let has_roster = entry.parcels().any(is_roster);
            let has_boxes = entry.parcels().any(|it| matches!(it, ParcelRef::KeyBox(_)));
            if has_roster {
                rosters.push(seq);
            }
            if all || has_roster || has_boxes || seq + 1 == len {
                kept.push((seq, entry.withhold(|scope| scope == ScopeId::ROSTER)));
            }
            Ok::<_, stead_base::DecodeError>(())
        };
        for (seq, bytes) in &every {
            consider(*seq, bytes, false).map_err(record)?;
        }
        let counted = self.counted_rosters(space, writer, len)?;
        let keep_all = counted.is_none();
        let mut fault = None;
        self.store
            .each_segment(no, state.record.base, &mut |start, count, bytes| {
                let mut iter = BatchEntries::new(bytes);
                for seq in start..start + u64::from(count) {
                    let taken = match iter.next_bytes() {
                        Ok(Some(bytes)) if seq < len => consider(seq, bytes, keep_all),
                        Ok(_) => return ControlFlow::Break(()),
                        Err(error) => Err(error),
                    };
                    if let Err(error) = taken {
                        fault = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            })?;
        if let Some(error) = fault {
            return Err(record(error));
        }
        let whole = keep_all && dropped.is_none();
        if !whole && counted != Some(rosters.len() as u64) {
            return Err(ReplicaError::Refused(format!(
                "the log of {} does not say how much of it is about rights: its device must write something with this version of Stead first",
                writer.short()
            )));
        }
        let said: BTreeSet<u64> = space
            .record
            .roster
            .iter()
            .filter(|said| said.writer == *writer)
            .map(|said| said.seq)
            .collect();
        rosters.retain(|seq| !said.contains(seq));
        let mut tree = StoredTree::new(&self.store, state)?;
        let (head, extension) = self.head_over(space, writer, state, len)?.ok_or_else(|| {
            ReplicaError::Refused(format!("the log of {} is not signed", writer.short()))
        })?;
        let skeleton = Skeleton::build(writer, len, &head, &extension, &kept, &mut tree)?;
        Ok(LogStart {
            time: state.record.applied_hlc,
            void: rosters,
            skeleton,
        })
    }

    /// How many of the first `len` entries of a log have a roster parcel, as the last of them says.
    fn counted_rosters(
        &self,
        space: &SpaceState,
        writer: &WriterId,
        len: u64,
    ) -> Result<Option<u64>, ReplicaError> {
        let Some(bytes) = self.entry(&space.id, writer, len - 1)? else {
            return Ok(None);
        };
        let Ok(entry) = EntryRef::parse(&bytes) else {
            return Ok(None);
        };
        let envelope = open_envelope(&space.ring, &space.id, writer, len - 1, &entry);
        Ok(envelope.and_then(|envelope| envelope.rosters))
    }

    /// The documents in pieces; how many rows those are, and how many of them people see.
    fn document_pieces(
        &self,
        id: &SpaceId,
        parts: &mut Vec<Piece>,
    ) -> Result<(u64, u64), ReplicaError> {
        let space = self.space(id)?;
        let (mut held, mut seen, mut bytes) = (0, 0, 0);
        let mut block = DocumentsWriter::default();
        let mut close = |block: &mut DocumentsWriter| {
            let body = block.finish().map_err(refused)?;
            for piece in pieces(BlockKind::Documents, &body).map_err(refused)? {
                bytes += piece.len();
                parts.push(Piece::Readers(piece));
            }
            match bytes > CHECKPOINT_BYTES_MAX {
                true => Err(ReplicaError::TooLarge {
                    bytes,
                    max: CHECKPOINT_BYTES_MAX,
                }),
                false => Ok(()),
            }
        };
        for collection in self.store.collections(space.no)? {
            let mut fault = None;
            self.store.each_doc(collection.no, &mut |doc, state| {
                let added = Document::decode(state, &self.numbers)
                    .map_err(|error| unreadable(&collection.name, doc, &error))
                    .and_then(|mut document| {
                        let until = |log: &WriterState| log.merged.hlc;
                        space.forget_removals(&mut document, until, &self.numbers);
                        let rich =
                            carried(&self.store, collection.no, doc, &document, &self.numbers)?;
                        let much: usize = rich.iter().map(RichState::bytes).sum();
                        if much >= BLOCK_BYTES_TARGET && !block.is_empty() {
                            close(&mut block)?;
                        }
                        held += 1;
                        seen += u64::from(collection.name != SCHEMAS && !document.is_deleted());
                        block
                            .push(&collection.name, doc, document, &rich, &self.numbers)
                            .map_err(refused)?;
                        match block.bytes() >= BLOCK_BYTES_TARGET {
                            true => close(&mut block),
                            false => Ok(()),
                        }
                    });
                match added {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        fault = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
            if let Some(error) = fault {
                return Err(error);
            }
        }
        if !block.is_empty() {
            close(&mut block)?;
        }
        Ok((held, seen))
    }
}

fn unreadable(
    collection: &str,
    id: &stead_base::DocId,
    error: &dyn std::fmt::Display,
) -> ReplicaError {
    ReplicaError::Refused(format!(
        "the row of document {collection}/{id} cannot be read ({error}); run `stead doctor --rebuild`"
    ))
}

/// The first entry of a log that counts.
fn counts_from(space: &SpaceState, writer: &WriterId) -> u64 {
    let since = space.roster.spans(writer).iter().map(|span| span.since);
    since.min().unwrap_or(0)
}

pub(super) fn is_roster(parcel: ParcelRef<'_>) -> bool {
    match parcel {
        ParcelRef::Sealed { scope, .. } | ParcelRef::Withheld { scope, .. } => {
            scope == ScopeId::ROSTER
        }
        ParcelRef::KeyBox(_) => false,
    }
}

impl Writing<'_> {
    /// Writes the log of a checkpoint under a key that is used for nothing else and forgotten.
    fn write_checkpoint(
        &mut self,
        id: &SpaceId,
        documents: u64,
        parts: &[Piece],
    ) -> Result<WriterId, ReplicaError> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        self.entropy.fill(&mut *seed);
        let maker = OwnWriter::from_seed(&seed);
        let log = maker.id;
        self.ensure_writer(id, &log)?;
        let claim = RosterOp::Claim {
            device: self.keys.id(),
            signature: sign_claim(self.keys.signing(), id, &log),
        };
        let declaration = RosterOp::Checkpoint(Checkpoint {
            scope: ScopeId::ROOT,
            entries: 1 + parts.len() as u64,
            documents,
            horizon: Hlc::ZERO,
        });
        self.write_part(id, &log, &encode_ops(&[claim, declaration]), &[], &[])?;
        for part in parts {
            match part {
                Piece::Everyone(piece) => {
                    self.write_part(id, &log, &[], &[], std::slice::from_ref(piece))?;
                }
                Piece::Readers(piece) => self.write_part(id, &log, &[], piece, &[])?,
            }
        }
        let state = writer_mut(self.spaces, id, &log)?;
        let head = state.record.tip.sign(id, &maker.key);
        let (no, len) = (state.no, state.record.tip.len());
        self.tx.put_head(no, len, &encode_head(&head))?;
        self.dirty_writer(id, &log);
        self.roster_changed(id);
        Ok(log)
    }

    fn write_part(
        &mut self,
        id: &SpaceId,
        log: &WriterId,
        roster: &[u8],
        documents: &[u8],
        clear: &[Vec<u8>],
    ) -> Result<(), ReplicaError> {
        let mut salt = [0; 4];
        self.entropy.fill(&mut salt);
        let hlc = self.clock.tick(self.now_ms);
        let space = self
            .spaces
            .get_mut(id)
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
        let seq = space
            .writers
            .get(log)
            .map_or(0, |state| state.record.tip.len());
        let documents: Vec<(ScopeId, Vec<u8>)> = match documents.is_empty() {
            true => Vec::new(),
            false => vec![(ScopeId::ROOT, documents.to_vec())],
        };
        let doc_keys = documents
            .iter()
            .map(|(scope, _)| Ok((*scope, space.sealing_key(*scope)?)))
            .collect::<Result<_, ReplicaError>>()?;
        let sealing = Sealing {
            roster_key: space.sealing_key(ScopeId::ROSTER)?,
            doc_keys,
            space: *id,
            writer: *log,
            seq,
            salt,
        };
        let envelope = Envelope {
            hlc,
            seen: Vec::new(),
            rosters: Some(1),
            by_itself: false,
        };
        let entry = sealing.entry(&envelope, roster, &documents, clear)?;
        self.append_sealed(id, log, seq, hlc, &entry, roster)
    }
}
