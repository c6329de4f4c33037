//! Redaction: the values of a place are taken out of documents, logs and files, and nothing else is lost.
//!
//! A redaction is an entry that names parcels and says again what else they said
//! (`docs/formats/document.md`, "Redactions"). Owns making one, taking one up, and withholding what it
//! names. Who may make one is the roster's to say.

mod make;
mod starts;

use std::collections::BTreeMap;

use stead_access::{OpId, Redact};
use stead_base::limits::ENTRY_BYTES_MAX;
use stead_base::{DocId, ScopeId, SpaceId, Stamp, WriterId, codec::put_uint};
use stead_doc::{Changes, PathRef, Redacted, say_the_same};
use stead_log::{BatchEntries, EntryRef, ParcelRef};
use stead_store::Read;

use crate::forks::cut_tip;
use crate::opening::{Opened, Outcome, open_run};
use crate::space::SpaceState;
use crate::writing::{Writing, writer_mut};
use crate::{Event, Replica, ReplicaError};

pub use make::Redaction;

/// An entry that came without a parcel waits so long for the redaction that says why. Then it is fetched
/// again, maybe from somebody else: it could be that nobody redacted it.
pub(crate) const WITHHELD_WAIT_MS: u64 = 10 * 60_000;
/// Stands in the store while something that was redacted may still be in the files.
pub(crate) const ERASES: &str = "erases";
/// Redacted parcels within redacted parcels.
pub(crate) const DEPTH_MAX: usize = 16;

/// Where a parcel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Documents contain what it said.
    InDocuments,
    /// It is here and documents do not contain it yet.
    Waiting,
    /// Its entry is here without it.
    Withheld,
    /// Its entry is not here.
    Away,
}

/// Finds a parcel named by an entry of the log `reading`, of which the entries before `taken` count as
/// taken.
pub(crate) fn whereabouts<R: Read>(
    store: &R,
    space: &SpaceState,
    (reading, taken): (&WriterId, u64),
    (writer, seq, scope): (&WriterId, u64, ScopeId),
) -> Result<Whereabouts, ReplicaError> {
    let Some(state) = space.writers.get(writer) else {
        return Ok(Whereabouts::Away);
    };
    let begun = space.begun(scope, writer);
    let begun = begun.max(space.record.begun_with.of(writer));
    if seq < state.record.base || seq < begun {
        return Ok(Whereabouts::InDocuments);
    }
    // What a thin log leaves out is in the slices that filled the documents.
    let left_out = match space.part.is_some() && seq < state.applied {
        true => Whereabouts::InDocuments,
        false => Whereabouts::Away,
    };
    if seq >= state.record.tip.len() {
        return Ok(Whereabouts::Away);
    }
    let applied = match writer == reading {
        true => taken,
        false => state.applied,
    };
    let segments = store.segments(state.no, seq, 0)?;
    let Some(segment) = segments.first().filter(|segment| segment.start <= seq) else {
        return Ok(left_out);
    };
    let mut entries = BatchEntries::new(&segment.bytes);
    let record = |source| ReplicaError::Record {
        what: "log segment",
        source,
    };
    for _ in segment.start..seq {
        entries.skip_one().map_err(record)?;
    }
    let is_here = match entries.next_entry().map_err(record)? {
        Some(entry) => has_parcel(&entry, scope),
        None => return Ok(left_out),
    };
    Ok(match (is_here, seq < applied) {
        (false, _) => Whereabouts::Withheld,
        (true, true) => Whereabouts::InDocuments,
        (true, false) => Whereabouts::Waiting,
    })
}

fn has_parcel(entry: &EntryRef<'_>, of: ScopeId) -> bool {
    let mut parcels = entry.parcels();
    parcels.any(|parcel| matches!(parcel, ParcelRef::Sealed { scope, .. } if scope == of))
}

/// The entry without its parcels of some scopes; none if it has none of them.
fn without(bytes: &[u8], scopes: &dyn Fn(ScopeId) -> bool) -> Option<Vec<u8>> {
    let entry = EntryRef::parse(bytes).ok()?;
    let mut parcels = entry.parcels();
    let any =
        parcels.any(|parcel| matches!(parcel, ParcelRef::Sealed { scope, .. } if scopes(scope)));
    any.then(|| entry.withhold(|scope| !scopes(scope)))
        .filter(|entry| entry.len() <= ENTRY_BYTES_MAX)
}

impl SpaceState {
    /// The redactions that an entry says, by scope.
    pub(crate) fn redactions_at(&self, log: &WriterId, seq: u64) -> Vec<(OpId, &Redact)> {
        let at = |index| OpId {
            log: *log,
            seq,
            index,
        };
        let said = self.roster.redactions().range(at(0)..=at(u32::MAX));
        said.map(|(at, redact)| (*at, redact)).collect()
    }

    /// Whether a parcel was redacted, by somebody who may.
    fn is_redacted(&self, writer: &WriterId, seq: u64, scope: ScopeId) -> bool {
        let found = self.roster.redaction_of(writer, seq, scope);
        found.is_some_and(|(_, counts)| counts)
    }

    /// Whether an entry says a redaction of what another one redacts, too.
    pub(crate) fn contests(&self, log: &WriterId, seq: u64) -> bool {
        let said = self.redactions_at(log, seq);
        said.into_iter()
            .any(|(_, redact)| self.is_contested(redact))
    }

    /// Whether an entry says a redaction, and its own words are redacted by an entry that documents
    /// follow. What stands in their place was passed over there, as long as nothing was known of the
    /// redaction.
    pub(crate) fn was_passed_over(&self, log: &WriterId, seq: u64) -> bool {
        let said = self.redactions_at(log, seq);
        said.into_iter().any(|(at, redact)| {
            let above = |at: &(WriterId, u64)| {
                let by = self.roster.redaction_of(&at.0, at.1, redact.scope);
                by.map(|(by, _)| (by.log, by.seq))
            };
            let chain = std::iter::successors(above(&(at.log, at.seq)), above);
            chain.take(DEPTH_MAX).any(|(by, seq)| {
                let state = self.writers.get(&by);
                state.is_some_and(|state| seq < state.applied)
            })
        })
    }

    /// Whether another redaction may stand for a parcel that one names, now that entries of a log from
    /// `from` on count differently: it is said in one of them, or what was written there is redacted.
    pub(crate) fn restates(&self, log: &WriterId, from: u64) -> bool {
        let mut all = self.roster.redactions().iter();
        all.any(|(at, redact)| {
            let mut parcels = redact.parcels.iter();
            parcels.any(|(of, seq)| of == log && from <= *seq)
                || (at.log == *log && from <= at.seq && self.is_contested(redact))
        })
    }

    fn is_contested(&self, redact: &Redact) -> bool {
        let mut parcels = redact.parcels.iter();
        parcels.any(|(of, seq)| self.roster.is_redacted_twice(of, *seq, redact.scope))
    }

    /// Whether some entry of a log may hold what a redaction names.
    fn names(&self, writer: &WriterId) -> bool {
        let mut all = self.roster.redactions().values();
        all.any(|redact| redact.parcels.iter().any(|(named, _)| named == writer))
    }
}

impl Writing<'_> {
    /// Withholds what is redacted already from entries that just came, so that it is never stored. None
    /// if there is nothing of that kind among them.
    pub(crate) fn scrub_arrived(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        start: u64,
        bytes: &[u8],
        opened: &mut Opened,
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        let space = self.space(id)?;
        if space.roster.redactions().is_empty() || !space.names(writer) {
            return Ok(None);
        }
        let record = |source| ReplicaError::Record {
            what: "batch",
            source,
        };
        let (mut out, mut any) = (Vec::with_capacity(bytes.len()), false);
        let mut entries = BatchEntries::new(bytes);
        let mut seq = start;
        while let Some(entry) = entries.next_bytes().map_err(record)? {
            let is_named = |scope| space.is_redacted(writer, seq, scope);
            match without(entry, &is_named) {
                Some(rest) => {
                    any = true;
                    put_uint(&mut out, rest.len() as u64);
                    out.extend_from_slice(&rest);
                    let place = opened.entries.iter().find(|it| it.seq == seq);
                    if let Some(docs) = place.map(|it| it.docs.clone()) {
                        for part in &mut opened.parts[docs] {
                            if is_named(part.scope) {
                                part.outcome = Outcome::Withheld;
                            }
                        }
                    }
                }
                None => {
                    put_uint(&mut out, entry.len() as u64);
                    out.extend_from_slice(entry);
                }
            }
            seq += 1;
        }
        Ok(any.then_some(out))
    }

    /// Withholds what the redactions of an entry name from what is stored. `texts` are the entry's
    /// parcels, as far as they are read here.
    pub(crate) fn scrub(
        &mut self,
        id: &SpaceId,
        (log, seq): (&WriterId, u64),
        stamp: Stamp,
        texts: &[(ScopeId, Vec<u8>)],
    ) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        let mut named: BTreeMap<WriterId, BTreeMap<u64, Vec<ScopeId>>> = BTreeMap::new();
        for (at, redact) in space.redactions_at(log, seq) {
            for (writer, seq) in &redact.parcels {
                if space.roster.may_redact(&at, redact.scope, writer) {
                    let of_log = named.entry(*writer).or_default();
                    of_log.entry(*seq).or_default().push(redact.scope);
                }
            }
        }
        if !named.is_empty() {
            // Documents hold what was redacted also where the entries that said it never were.
            self.erases = true;
            // Checkpoints and starts that hold it can be replaced only now that it is in documents.
            self.events.push(Event::RosterChanged { space: *id });
        }
        for (writer, parcels) in named {
            self.scrub_log(id, &writer, &parcels, (stamp, seq), texts)?;
        }
        Ok(())
    }

    fn scrub_log(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        parcels: &BTreeMap<u64, Vec<ScopeId>>,
        (stamp, said_at): (Stamp, u64),
        texts: &[(ScopeId, Vec<u8>)],
    ) -> Result<(), ReplicaError> {
        let record = |source| ReplicaError::Record {
            what: "log segment",
            source,
        };
        let space = self.space(id)?;
        let Some(state) = space.writers.get(writer) else {
            return Ok(());
        };
        let (no, base, len) = (state.no, state.record.base, state.record.tip.len());
        let mut next = base;
        while let Some((seq, _)) = parcels.range(next..len).next() {
            let segments = self.tx.segments(no, *seq, 0)?;
            let Some(segment) = segments.into_iter().next() else {
                return Ok(());
            };
            next = segment.end();
            let mut out = Vec::with_capacity(segment.bytes.len());
            let mut changed = false;
            let mut entries = BatchEntries::new(&segment.bytes);
            for seq in segment.start..segment.end() {
                let Some(bytes) = entries.next_bytes().map_err(record)? else {
                    break;
                };
                let scopes = parcels.get(&seq).map_or(&[][..], Vec::as_slice);
                let rest = match scopes {
                    [] => None,
                    scopes => without(bytes, &|scope| scopes.contains(&scope)),
                };
                if rest.is_some() && !self.says_the_rest(id, writer, seq, bytes, stamp, texts)? {
                    // Who redacted it did not say again what else it said, or said something else:
                    // documents are what all can know, also those who come later.
                    tracing::warn!(space = %id.short(), "a redaction changes more than it redacts");
                    self.misjudged.insert(*id);
                }
                if rest.is_some()
                    && self.is_held_and_said_elsewhere(
                        id,
                        (writer, seq),
                        scopes,
                        (&stamp.writer, said_at),
                    )?
                {
                    // Once it is withheld, nothing tells that documents hold it already: other words than
                    // these are to stand in its place, and may not be taken yet.
                    self.misjudged.insert(*id);
                }
                changed |= rest.is_some();
                let bytes = rest.as_deref().unwrap_or(bytes);
                put_uint(&mut out, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            if changed {
                self.tx.rewrite_segment(no, segment.start, &out)?;
            }
        }
        Ok(())
    }

    /// Whether documents hold what an entry says, and what is to stand in its place is said elsewhere than in `by`.
    fn is_held_and_said_elsewhere(
        &mut self,
        id: &SpaceId,
        (writer, seq): (&WriterId, u64),
        scopes: &[ScopeId],
        by: (&WriterId, u64),
    ) -> Result<bool, ReplicaError> {
        let space = self.space(id)?;
        let state = space.writers.get(writer);
        let is_held = state.is_some_and(|state| seq < state.applied);
        // Another redaction stands, or what this one says was redacted again and stands where that is said.
        let is_elsewhere = |scope: &ScopeId| {
            let stands = space.roster.redaction_of(writer, seq, *scope);
            stands.is_some_and(|(at, _)| {
                (&at.log, at.seq) != by || space.roster.redaction_of(by.0, by.1, *scope).is_some()
            })
        };
        Ok(is_held && scopes.iter().any(is_elsewhere))
    }

    /// Cuts a log back to `len` entries, so that the rest is fetched again. Nothing of the rest is in
    /// documents.
    fn give_back(&mut self, id: &SpaceId, writer: &WriterId, len: u64) -> Result<(), ReplicaError> {
        // Only what is signed can be cut.
        self.space(id)?.sign_own();
        let state = writer_mut(self.spaces, id, writer)?;
        if len < state.record.base || len > state.applied || state.record.frozen.is_some() {
            return Ok(());
        }
        let tip = cut_tip(&self.tx, state, len)?;
        let no = state.no;
        state.record.tip = tip;
        state.record.packed = state.record.packed.min(len);
        state.record.read = state.record.read.min(len);
        state.due_ms = None;
        self.tx.truncate_log(no, len, |start, bytes| {
            let mut entries = BatchEntries::new(bytes);
            (start..len)
                .try_for_each(|_| entries.skip_one())
                .map_or(0, |()| entries.offset())
        })?;
        self.dirty_writer(id, writer);
        Ok(())
    }

    /// Whether what stands in the place of an entry's redacted parcels is what they said, without the
    /// places that are blanked. What is not read here, or not in documents, needs no look.
    fn says_the_rest(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        seq: u64,
        bytes: &[u8],
        by: Stamp,
        texts: &[(ScopeId, Vec<u8>)],
    ) -> Result<bool, ReplicaError> {
        let space = self.space(id)?;
        if space
            .writers
            .get(writer)
            .is_none_or(|state| seq >= state.applied)
        {
            return Ok(true);
        }
        let opened = open_run(&space.ring, id, writer, seq, None, std::iter::once(bytes));
        let Some(entry) = opened.entries.first() else {
            return Ok(true);
        };
        let stamp = Stamp {
            hlc: entry.hlc,
            writer: *writer,
        };
        for (scope, text) in opened.open_docs(entry) {
            let said = texts.iter().find(|(of, _)| *of == scope);
            let Some((_, said)) = said else { continue };
            let Ok(redacted) = Redacted::decode(said) else {
                return Ok(false);
            };
            if crate::starts::is_piece(text) {
                continue;
            }
            let item = redacted
                .items
                .iter()
                .find(|item| item.stamp.writer == *writer && item.seq == seq);
            let left = item.map_or(&[][..], |item| &item.parcel);
            if entry.outcome != Outcome::Open {
                continue;
            }
            if stamp.hlc >= by.hlc || item.is_some_and(|item| item.stamp != stamp) {
                return Ok(false);
            }
            let mut blanks = Changes::default();
            if blanks.push(&redacted.own, by).is_err() {
                return Ok(false);
            }
            if !is_rest(text, left, stamp, &Blanked(&blanks), 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The places that a redaction blanks.
struct Blanked<'c>(&'c Changes);

impl Blanked<'_> {
    fn covers(&self, collection: &str, id: &DocId, path: PathRef<'_>) -> bool {
        let mut docs = self.0.docs();
        docs.any(|docs| {
            docs.collection() == collection
                && docs.id() == id
                && docs
                    .ops()
                    .any(|(above, _)| !above.is_root() && is_within(path, above))
        })
    }
}

/// Whether a path is `above` or below it.
fn is_within(path: PathRef<'_>, above: PathRef<'_>) -> bool {
    let mut names = path.names();
    above.names().all(|name| names.next() == Some(name))
}

fn is_rest(text: &[u8], left: &[u8], stamp: Stamp, blanked: &Blanked<'_>, depth: usize) -> bool {
    if Redacted::is_one(text) {
        let (Ok(was), Ok(is)) = (Redacted::decode(text), Redacted::decode(left)) else {
            return false;
        };
        return depth < DEPTH_MAX
            && was.own == is.own
            && was.items.len() == is.items.len()
            && was.items.iter().zip(&is.items).all(|(was, is)| {
                was.stamp == is.stamp
                    && was.seq == is.seq
                    && is_rest(&was.parcel, &is.parcel, was.stamp, blanked, depth + 1)
            });
    }
    let (mut was, mut is) = (Changes::default(), Changes::default());
    if text.is_empty() || was.push(text, stamp).is_err() {
        return text == left;
    }
    let kept = was.written_again(&|collection, id, path| blanked.covers(collection, id, path));
    let Ok(kept) = kept else { return false };
    was.clear();
    let both = [(&mut was, &kept[..]), (&mut is, left)];
    for (changes, parcel) in both {
        if !parcel.is_empty() && changes.push(parcel, stamp).is_err() {
            return false;
        }
    }
    was.len() == is.len() && was.docs().zip(is.docs()).all(|(a, b)| say_the_same(a, b))
}

impl Replica {
    /// Gives back entries that have waited long for the redaction that would explain why a parcel of
    /// theirs is missing, with what came after them.
    pub(crate) fn fetch_withheld_again(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        let mut lacking = Vec::new();
        for space in self.spaces.values() {
            for (writer, state) in &space.writers {
                let key = (space.id, *writer);
                let stalls = state.applied < state.accepted()
                    && space.admits(writer)
                    && self.lacks_parcel(space, writer, state.applied)?;
                match stalls {
                    true => lacking.push((key, state.applied)),
                    false => drop(self.lacking.remove(&key)),
                }
            }
        }
        for (key, at) in lacking {
            let since = *self.lacking.entry(key).or_insert(now_ms);
            if now_ms.saturating_sub(since) >= WITHHELD_WAIT_MS {
                tracing::warn!(space = %key.0.short(), log = %key.1.short(), at, "an entry came without a parcel and nobody redacted it: fetched again");
                self.lacking.remove(&key);
                self.write(now_ms, |writing| writing.give_back(&key.0, &key.1, at))?;
                if let Some(space) = self.spaces.get(&key.0) {
                    self.shared.publish(space);
                }
            }
        }
        Ok(())
    }

    /// Whether an entry is here without a parcel that nobody is known to have redacted.
    fn lacks_parcel(
        &self,
        space: &SpaceState,
        writer: &WriterId,
        seq: u64,
    ) -> Result<bool, ReplicaError> {
        let Some(bytes) = self.entry(&space.id, writer, seq)? else {
            return Ok(false);
        };
        let Ok(entry) = EntryRef::parse(&bytes) else {
            return Ok(false);
        };
        let mut parcels = entry.parcels();
        Ok(parcels.any(|parcel| match parcel {
            ParcelRef::Withheld { scope, .. } => {
                space.roster.redaction_of(writer, seq, scope).is_none()
            }
            ParcelRef::Sealed { .. } | ParcelRef::KeyBox(_) => false,
        }))
    }

    /// Has nothing of what was redacted stay in the files, once documents no longer show it. Done by
    /// itself after each write; what readers held up is tried again with the next.
    pub(crate) fn erase(&mut self) {
        if !self.erases || self.has_pending() {
            return;
        }
        let erased = self.store.erase().and_then(|done| {
            if done {
                let tx = self.store.begin()?;
                tx.remove_meta(ERASES)?;
                tx.commit()?;
            }
            Ok(done)
        });
        match erased {
            Ok(done) => self.erases = !done,
            Err(error) => tracing::warn!(%error, "redacted values may still be in the file"),
        }
    }
}
