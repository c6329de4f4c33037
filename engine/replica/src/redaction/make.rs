//! Making a redaction: finding every parcel that carries a value, and saying the rest again.

use std::collections::{BTreeMap, BTreeSet};

use stead_access::{Action, Path as RightsPath, REDACTED_AT_ONCE_MAX, Redact, RosterOp};
use stead_base::limits::ENTRY_BYTES_MAX;
use stead_base::{DocId, Hlc, ScopeId, SpaceId, Stamp, WriterId};
use stead_doc::{Changes, Path, PathRef, Redacted, RedactedItem, Transaction};
use stead_store::Read;

use super::{DEPTH_MAX, is_within};
use crate::commit::path_of;
use crate::opening::{Outcome, open_segment};
use crate::schemas::Speaks;
use crate::starts::is_piece;
use crate::transact::ENTRY_FRAME_BYTES;
use crate::writing::Writing;
use crate::{Replica, ReplicaError};

/// Bytes of stored log that are opened at a time.
const STRIDE_BYTES: usize = 4 << 20;
/// Parcels named in one entry.
const AT_ONCE: usize = REDACTED_AT_ONCE_MAX / 4;

/// What was redacted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Log entries that carried a value of the place and do not any more.
    pub entries: u64,
    /// When, by this device's clock.
    pub at: Hlc,
    /// Whether a new checkpoint was made in the place of one that held the value.
    pub checkpoint: bool,
}

/// A document, or a field of one.
struct Target {
    collection: String,
    id: DocId,
    field: Option<Path>,
}

impl Target {
    fn covers(&self, collection: &str, id: &DocId, path: PathRef<'_>) -> bool {
        collection == self.collection
            && *id == self.id
            && match &self.field {
                None => !path.is_root(),
                Some(field) => is_within(path, field.as_ref()),
            }
    }
}

/// A parcel that is to go, and what stands in its place.
struct Found {
    scope: ScopeId,
    writer: WriterId,
    seq: u64,
    left: Option<RedactedItem>,
}

/// What one entry says of a redaction: which parcels, and what stands in their place.
struct Said {
    ops: Vec<RosterOp>,
    texts: Vec<(ScopeId, Vec<u8>)>,
}

impl Found {
    fn bytes(&self) -> usize {
        80 + self.left.as_ref().map_or(0, |left| left.parcel.len() + 48)
    }
}

impl Replica {
    /// Redacts a field of a document, or all of its fields and the document with them: nobody who
    /// hears of it keeps a value that was written there so far. It cannot be undone.
    pub fn redact(
        &mut self,
        id: &SpaceId,
        collection: &str,
        doc: &DocId,
        field: &[String],
        now_ms: u64,
    ) -> Result<Redaction, ReplicaError> {
        self.merge_pending(now_ms)?;
        self.refresh()?;
        self.finish_signing();
        let mut done = self.write(now_ms, |writing| {
            let target = writing.target(id, collection, doc, field)?;
            writing.redact(id, &target)
        })?;
        done.checkpoint = self.supersede_checkpoints(id, now_ms)?;
        self.erase();
        Ok(done)
    }
}

impl Writing<'_> {
    /// The place as it is held: a schema may call it something else.
    fn target(
        &mut self,
        id: &SpaceId,
        collection: &str,
        doc: &DocId,
        field: &[String],
    ) -> Result<Target, ReplicaError> {
        stead_doc::check_collection(collection)
            .map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let projection = self.projection(id, collection, &Speaks::new())?;
        let seen = projection.and_then(|projection| projection.key_path(field));
        let held = seen.map_or_else(|| field.to_vec(), |seen| seen.path);
        let field = match &held[..] {
            [] => None,
            names => Some(
                Path::from_names(names.iter().map(String::as_str))
                    .map_err(|error| ReplicaError::Refused(error.to_string()))?,
            ),
        };
        Ok(Target {
            collection: collection.to_owned(),
            id: doc.clone(),
            field,
        })
    }

    fn redact(&mut self, id: &SpaceId, target: &Target) -> Result<Redaction, ReplicaError> {
        let writer = self.own_writer(id)?;
        let mut fields = BTreeSet::new();
        let found = self.find(id, target, &mut fields)?;
        if found.is_empty() {
            let why = match self.space(id)?.record.begins {
                None => "nothing was ever written there, as far as the history here goes",
                Some(_) => {
                    "no change there is in the history here, which begins with a checkpoint: redact it on a device \
                     that kept more; if none did, take the field out (`stead put DOC --unset FIELD`), make a \
                     checkpoint and drop the history below it; then nothing of the value is in this device's files"
                }
            };
            return Err(ReplicaError::Refused(why.to_owned()));
        }
        self.check_redaction(id, target, &found)?;
        let hlc = self.clock.tick(self.now_ms);
        let blanks = self.blanks(id, target, &fields, Stamp { hlc, writer })?;
        let entries = found.len() as u64;
        // What was written to the scopes must not be in their starts either.
        let mut rest = found.into_iter().peekable();
        let mut at = hlc;
        let mut is_first = true;
        while rest.peek().is_some() {
            let (mut chunk, mut bytes) = (Vec::new(), 0);
            while let Some(next) = rest.next_if(|next| {
                chunk.is_empty()
                    || chunk.len() < AT_ONCE
                        && bytes + next.bytes() < ENTRY_BYTES_MAX - ENTRY_FRAME_BYTES
            }) {
                bytes += next.bytes();
                chunk.push(next);
            }
            if !is_first {
                at = self.clock.tick(self.now_ms);
            }
            is_first = false;
            self.write_redaction(id, &blanks, chunk, Stamp { hlc: at, writer })?;
        }
        self.renew_starts(id, target)?;
        Ok(Redaction {
            entries,
            at,
            checkpoint: false,
        })
    }

    /// Every parcel that says something of the place.
    fn find(
        &mut self,
        id: &SpaceId,
        target: &Target,
        fields: &mut BTreeSet<String>,
    ) -> Result<Vec<Found>, ReplicaError> {
        let space = self.space(id)?;
        let place = target.place()?;
        let touches = |scope: ScopeId, space: &crate::space::SpaceState| {
            let around = space.roster.place_of(scope);
            around.is_some_and(|around| around.covers(&place) || place.covers(around))
        };
        let logs: Vec<_> = space
            .writers
            .iter()
            .filter(|(log, _)| !space.is_checkpoint(log))
            .map(|(log, state)| (*log, state.no, state.record.base, state.applied))
            .collect();
        let ring = std::sync::Arc::clone(&space.ring);
        let mut found = Vec::new();
        for (writer, no, base, applied) in logs {
            let mut next = base;
            while next < applied {
                let segments = self.tx.segments(no, next, STRIDE_BYTES)?;
                if segments.is_empty() {
                    break;
                }
                for segment in segments {
                    let opened = open_segment(&ring, id, &writer, &segment, next)?;
                    next = segment.end();
                    for entry in opened.entries.iter().filter(|entry| entry.seq < applied) {
                        if entry.outcome == Outcome::Locked {
                            continue;
                        }
                        let stamp = Stamp {
                            hlc: entry.hlc,
                            writer,
                        };
                        for (scope, text) in opened.open_docs(entry) {
                            let left = match is_piece(text) {
                                true if touches(scope, self.space(id)?) => None,
                                true => continue,
                                false => match rest_of(text, stamp, target, fields, 0)? {
                                    Some(parcel) => Some(RedactedItem {
                                        stamp,
                                        seq: entry.seq,
                                        parcel,
                                    }),
                                    None => continue,
                                },
                            };
                            found.push(Found {
                                scope,
                                writer,
                                seq: entry.seq,
                                left,
                            });
                        }
                    }
                }
            }
        }
        found.sort_by_key(|it| (it.writer, it.seq, it.scope));
        Ok(found)
    }

    /// Refuses what would not count, or would lose something else.
    fn check_redaction(
        &mut self,
        id: &SpaceId,
        target: &Target,
        found: &[Found],
    ) -> Result<(), ReplicaError> {
        let device = self.keys.id();
        let space = self.space(id)?;
        let place = target.place()?;
        let lacks = || ReplicaError::NoRight {
            space: space.record.name.clone(),
            path: place.to_string(),
        };
        if !space.roster.can(&device, &place, Action::Write) {
            return Err(lacks());
        }
        for it in found {
            let manages = space
                .roster
                .place_of(it.scope)
                .is_some_and(|path| space.roster.can(&device, path, Action::Manage));
            let is_own = space.roster.device_of(&it.writer) == Some(device);
            if !manages && !is_own {
                return Err(ReplicaError::Refused(format!(
                    "others wrote there too, and only who manages {} may redact that",
                    space
                        .roster
                        .place_of(it.scope)
                        .map_or_else(|| "/".to_owned(), ToString::to_string)
                )));
            }
            let Some(left) = it.left.as_ref().filter(|_| !manages) else {
                continue;
            };
            let mut changes = Changes::default();
            if !left.parcel.is_empty() && changes.push(&left.parcel, left.stamp).is_ok() {
                for docs in changes.docs() {
                    for (path, _) in docs.ops() {
                        let at = path_of(docs.collection(), docs.id(), path.names());
                        if at.is_none_or(|at| !space.roster.can(&device, &at, Action::Write)) {
                            return Err(ReplicaError::Refused(
                                "this was written together with something that this device may not write any more, which would be lost: ask a manager".to_owned(),
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// What blanks the place, by scope.
    fn blanks(
        &mut self,
        id: &SpaceId,
        target: &Target,
        fields: &BTreeSet<String>,
        stamp: Stamp,
    ) -> Result<BTreeMap<ScopeId, Vec<u8>>, ReplicaError> {
        let mut transaction = Transaction::new(stamp);
        match &target.field {
            Some(field) => transaction.blank(&target.collection, &target.id, field),
            None => {
                transaction.delete_document(&target.collection, &target.id);
                for name in fields {
                    let field = Path::from_names([name.as_str()])
                        .map_err(|error| ReplicaError::Refused(error.to_string()))?;
                    transaction.blank(&target.collection, &target.id, &field);
                }
            }
        }
        let (parcels, _) = self.seal_parts(id, transaction)?;
        Ok(parcels.into_iter().collect())
    }

    fn write_redaction(
        &mut self,
        id: &SpaceId,
        blanks: &BTreeMap<ScopeId, Vec<u8>>,
        chunk: Vec<Found>,
        stamp: Stamp,
    ) -> Result<(), ReplicaError> {
        let said = Said::of(blanks, chunk);
        for op in &said.ops {
            self.check_op(id, op)?;
        }
        self.say_redaction(id, &said.ops, &said.texts, stamp)
    }

    /// Writes the entry of a redaction, and withholds what it names.
    pub(crate) fn say_redaction(
        &mut self,
        id: &SpaceId,
        ops: &[RosterOp],
        texts: &[(ScopeId, Vec<u8>)],
        stamp: Stamp,
    ) -> Result<(), ReplicaError> {
        let seq = self.append_own(id, stamp.hlc, ops, texts, &[])?;
        for (_, text) in texts {
            let redacted = Redacted::decode(text);
            let own = redacted
                .map_err(|error| ReplicaError::Refused(error.to_string()))?
                .own;
            if !own.is_empty() {
                self.gather_own(id, &own, stamp)?;
            }
        }
        let log = stamp.writer;
        self.scrub(id, (&log, seq), stamp, texts)
    }

    /// Redacts pieces of starts that hold what was redacted while they were written.
    pub(crate) fn redact_pieces(
        &mut self,
        id: &SpaceId,
        pieces: &[(ScopeId, WriterId, u64)],
    ) -> Result<(), ReplicaError> {
        if pieces.is_empty() {
            return Ok(());
        }
        let own = self.own_writer(id)?;
        for chunk in pieces.chunks(AT_ONCE) {
            let found = chunk.iter().map(|(scope, writer, seq)| Found {
                scope: *scope,
                writer: *writer,
                seq: *seq,
                left: None,
            });
            let hlc = self.clock.tick(self.now_ms);
            let stamp = Stamp { hlc, writer: own };
            self.write_redaction(id, &BTreeMap::new(), found.collect(), stamp)?;
        }
        Ok(())
    }

    /// Writes the starts of the scopes anew whose pieces are gone, whoever wrote them; what this device
    /// cannot write is left to who can.
    fn renew_starts(&mut self, id: &SpaceId, target: &Target) -> Result<(), ReplicaError> {
        let place = target.place()?;
        let space = self.space(id)?;
        let mut touched = Vec::new();
        for (scope, path) in space.roster.scopes() {
            let is_near = path.covers(&place) || place.covers(path);
            if let Some(start) = space.roster.start_of(*scope).filter(|_| is_near) {
                touched.push((*scope, start.at));
            }
        }
        for (scope, at) in touched {
            let space = self.space(id)?;
            if space.is_ready_to_start(scope) {
                self.write_start(id, scope)?;
                continue;
            }
            space.record.tainted.insert(scope, at);
            self.dirty_space(id);
        }
        Ok(())
    }
}

impl Said {
    fn of(blanks: &BTreeMap<ScopeId, Vec<u8>>, chunk: Vec<Found>) -> Self {
        let mut texts: BTreeMap<ScopeId, Redacted> = blanks
            .iter()
            .map(|(scope, own)| {
                let redacted = Redacted {
                    own: own.clone(),
                    items: Vec::new(),
                };
                (*scope, redacted)
            })
            .collect();
        let mut named: BTreeMap<ScopeId, Vec<(WriterId, u64)>> = BTreeMap::new();
        for it in chunk {
            let of_scope = named.entry(it.scope).or_default();
            if of_scope.last() != Some(&(it.writer, it.seq)) {
                of_scope.push((it.writer, it.seq));
            }
            if let Some(left) = it.left {
                texts.entry(it.scope).or_default().items.push(left);
            }
        }
        let ops = named
            .into_iter()
            .map(|(scope, parcels)| RosterOp::Redact(Redact { scope, parcels }))
            .collect();
        let texts = texts
            .into_iter()
            .map(|(scope, redacted)| (scope, redacted.encode()))
            .collect();
        Self { ops, texts }
    }
}

impl Target {
    fn place(&self) -> Result<RightsPath, ReplicaError> {
        let names = self.field.iter().flat_map(|field| field.as_ref().names());
        path_of(&self.collection, &self.id, names)
            .ok_or_else(|| ReplicaError::Refused("that path is too long".to_owned()))
    }
}

/// What a parcel says without the place; none if it says nothing of it. Notes which fields of the
/// document it names.
fn rest_of(
    text: &[u8],
    stamp: Stamp,
    target: &Target,
    fields: &mut BTreeSet<String>,
    depth: usize,
) -> Result<Option<Vec<u8>>, ReplicaError> {
    if text.is_empty() {
        return Ok(None);
    }
    if Redacted::is_one(text) {
        let Ok(mut redacted) = Redacted::decode(text) else {
            return Ok(None);
        };
        let mut any = false;
        for item in &mut redacted.items {
            if let Some(rest) = rest_of(&item.parcel, item.stamp, target, fields, depth + 1)? {
                item.parcel = rest;
                any = true;
            }
        }
        if any && depth >= DEPTH_MAX - 2 {
            return Err(ReplicaError::Refused(
                "this was redacted too many times over: make a checkpoint and drop the history below it".to_owned(),
            ));
        }
        return Ok(any.then(|| redacted.encode()));
    }
    let mut changes = Changes::default();
    if changes.push(text, stamp).is_err() {
        return Ok(None);
    }
    let mut any = false;
    for docs in changes.docs() {
        for (path, _) in docs.ops() {
            if target.covers(docs.collection(), docs.id(), path) {
                any = true;
                if target.field.is_none() {
                    fields.extend(path.names().next().map(str::to_owned));
                }
            }
        }
    }
    if !any {
        return Ok(None);
    }
    let rest = changes.written_again(&|collection, id, path| target.covers(collection, id, path));
    rest.map(Some)
        .map_err(|error| ReplicaError::Refused(error.to_string()))
}

#[cfg(test)]
mod tests;
