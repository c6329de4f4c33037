//! What of an entry's document parts counts here: whose right reaches where, what a part may speak
//! of, and what speaks of a scope to others than those who read it alone.

use std::collections::BTreeMap;

use stead_access::{Action, Path, Role, Roster};
use stead_base::{ScopeId, SpaceId, Stamp, WriterId};
use stead_doc::{Changes, OpRef, ParcelError, Redacted};

use crate::ReplicaError;
use crate::commit::path_of;
use crate::opening::{Opened, OpenedEntry};
use crate::redaction::{DEPTH_MAX, Whereabouts};
use crate::schemas::{SCHEMAS, managed_path};
use crate::space::SpaceState;
use crate::starts::is_piece;
use crate::writing::Writing;

/// How much of an entry's document operations may count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All.
    Everything,
    /// All but schemas, which only a manager changes.
    Documents,
    /// Those below some paths.
    Somewhere,
    /// None.
    Nothing,
}

/// Finds a parcel.
pub(crate) type Find<'f> =
    dyn Fn((&WriterId, u64, ScopeId)) -> Result<Whereabouts, ReplicaError> + 'f;

/// Takes the document parts of one log's entries.
pub(crate) struct Parts<'s> {
    space: &'s SpaceState,
    roster: &'s Roster,
    writer: WriterId,
    /// The scopes inside of another, looked up when first needed.
    inner: BTreeMap<ScopeId, Vec<(ScopeId, &'s Path)>>,
    /// How much of the log a scope's documents were begun with.
    begun: BTreeMap<ScopeId, u64>,
    /// The length up to which the log speaks of a scope from around it.
    pub(crate) strays: BTreeMap<ScopeId, u64>,
}

impl<'s> Parts<'s> {
    pub(crate) const fn of(space: &'s SpaceState, writer: &WriterId) -> Self {
        Self {
            roster: &space.roster,
            space,
            writer: *writer,
            inner: BTreeMap::new(),
            begun: BTreeMap::new(),
            strays: BTreeMap::new(),
        }
    }

    /// Gathers what counts of one entry. Returns how many of its parts only a newer version reads.
    pub(crate) fn take(
        &mut self,
        opened: &Opened,
        entry: &OpenedEntry,
        stamp: Stamp,
        changes: &mut Changes,
        find: &Find<'_>,
    ) -> Result<u64, ReplicaError> {
        let reach = self.reach(entry.seq);
        let mut skipped = 0;
        for (scope, text) in opened.open_docs(entry) {
            if text.is_empty() || is_piece(text) || entry.seq < self.begun_with(scope) {
                continue;
            }
            if Redacted::is_one(text) {
                let place = (scope, entry.seq, stamp);
                self.take_redacted(place, text, changes, find, 0)?;
                continue;
            }
            if reach == Reach::Nothing {
                continue;
            }
            let before = changes.len();
            let pushed = match (reach, scope) {
                (Reach::Everything, ScopeId::ROOT) => changes.push(text, stamp),
                _ => self.push_allowed(scope, reach, entry.seq, text, stamp, changes),
            };
            match pushed {
                Ok(()) => self.find_strays(scope, opened, entry, changes, before),
                Err(ParcelError::NotUnderstood { .. }) => skipped += 1,
                Err(error) => {
                    tracing::debug!(%error, writer = ?self.writer, seq = entry.seq, "void parcel");
                }
            }
        }
        Ok(skipped)
    }

    /// Takes what stands in the place of redacted parcels, as far as those are not in the documents
    /// themselves.
    fn take_redacted(
        &self,
        (scope, seq, stamp): (ScopeId, u64, Stamp),
        text: &[u8],
        changes: &mut Changes,
        find: &Find<'_>,
        depth: usize,
    ) -> Result<(), ReplicaError> {
        let void = |error: &dyn std::fmt::Display| {
            tracing::debug!(%error, writer = ?stamp.writer, seq, "void parcel");
        };
        let redacted = match Redacted::decode(text) {
            Ok(redacted) if depth < DEPTH_MAX => redacted,
            Ok(_) => return Ok(()),
            Err(error) => {
                void(&error);
                return Ok(());
            }
        };
        let roster = self.roster;
        let of = |writer: &WriterId, seq| reach(roster, writer, seq);
        if of(&stamp.writer, seq) != Reach::Nothing && !redacted.own.is_empty() {
            let reach = of(&stamp.writer, seq);
            let pushed = push_allowed(roster, scope, reach, seq, &redacted.own, stamp, changes);
            pushed.unwrap_or_else(|error| void(&error));
        }
        for item in &redacted.items {
            let (writer, at) = (&item.stamp.writer, item.seq);
            let Some((by, counts)) = roster.redaction_of(writer, at, scope) else {
                continue;
            };
            if (by.log, by.seq) != (stamp.writer, seq) || item.stamp.hlc >= stamp.hlc {
                continue;
            }
            let stands = match find((writer, at, scope))? {
                Whereabouts::InDocuments => false,
                Whereabouts::Withheld => true,
                Whereabouts::Waiting | Whereabouts::Away => counts,
            };
            if !stands || item.parcel.is_empty() {
                continue;
            }
            if Redacted::is_one(&item.parcel) {
                let place = (scope, at, item.stamp);
                self.take_redacted(place, &item.parcel, changes, find, depth + 1)?;
                continue;
            }
            let reach = of(writer, at);
            if reach == Reach::Nothing {
                continue;
            }
            // Who redacts what they wrote themselves says nothing again that they may not say now.
            let place = roster.place_of(scope);
            let manages = place
                .is_some_and(|place| roster.verdict(&stamp.writer, seq, place, Action::Manage));
            let again = |path: &Path| {
                !counts || manages || roster.verdict(&stamp.writer, seq, path, Action::Write)
            };
            let (text, stamp) = (&item.parcel, item.stamp);
            let allowed =
                push_allowed_where(roster, (scope, at), reach, text, stamp, changes, &again);
            allowed.unwrap_or_else(|error| void(&error));
        }
        Ok(())
    }

    fn reach(&self, seq: u64) -> Reach {
        reach(self.roster, &self.writer, seq)
    }

    fn begun_with(&mut self, scope: ScopeId) -> u64 {
        let (space, writer) = (self.space, &self.writer);
        let begun = self.begun.entry(scope);
        *begun.or_insert_with(|| space.begun(scope, writer))
    }

    fn push_allowed(
        &self,
        scope: ScopeId,
        reach: Reach,
        seq: u64,
        text: &[u8],
        stamp: Stamp,
        changes: &mut Changes,
    ) -> Result<(), ParcelError> {
        push_allowed(self.roster, scope, reach, seq, text, stamp, changes)
    }

    /// Notes what an entry says of a scope in the part of one around it. Whoever knew of the scope
    /// said it in the scope's part, too.
    fn find_strays(
        &mut self,
        scope: ScopeId,
        opened: &Opened,
        entry: &OpenedEntry,
        changes: &Changes,
        from: usize,
    ) {
        if self.roster.scopes().len() <= 2 {
            return;
        }
        let roster = self.roster;
        let inner = self.inner.entry(scope).or_insert_with(|| {
            let Some(place) = roster.place_of(scope) else {
                return Vec::new();
            };
            let scopes = roster.scopes().iter();
            scopes
                .filter(|(_, path)| *path != place && place.covers(path))
                .map(|(scope, path)| (*scope, path))
                .collect()
        });
        if inner.is_empty() {
            return;
        }
        let known = |scope: ScopeId| opened.docs(entry).iter().any(|part| part.scope == scope);
        for docs in (from..changes.len()).filter_map(|index| changes.doc(index)) {
            for (path, op) in docs.ops() {
                let Some(at) = path_of(docs.collection(), docs.id(), path.names()) else {
                    continue;
                };
                let replaces = matches!(
                    op,
                    OpRef::Assign(_) | OpRef::Restore | OpRef::Delete | OpRef::Purge
                );
                for (scope, place) in inner.iter() {
                    let speaks_of = place.covers(&at) || (replaces && at.covers(place));
                    if speaks_of && !known(*scope) {
                        self.strays.insert(*scope, entry.seq + 1);
                    }
                }
            }
        }
    }
}

/// How far an entry's operations may reach.
pub(crate) fn reach(roster: &Roster, writer: &WriterId, seq: u64) -> Reach {
    let mut reach = Reach::Nothing;
    for span in roster.spans(writer) {
        if span.since <= seq && seq < span.limit && span.role >= Role::Writer {
            match span.path.is_whole_space() {
                true if span.role >= Role::Manager => return Reach::Everything,
                true => reach = Reach::Documents,
                false if reach == Reach::Nothing => reach = Reach::Somewhere,
                false => {}
            }
        }
    }
    reach
}

/// A part speaks of its own scope only, and of whether a document around it is deleted.
pub(crate) fn push_allowed(
    roster: &Roster,
    scope: ScopeId,
    reach: Reach,
    seq: u64,
    text: &[u8],
    stamp: Stamp,
    changes: &mut Changes,
) -> Result<(), ParcelError> {
    push_allowed_where(roster, (scope, seq), reach, text, stamp, changes, &|_| true)
}

/// The same, only for places that pass.
fn push_allowed_where(
    roster: &Roster,
    (scope, seq): (ScopeId, u64),
    reach: Reach,
    text: &[u8],
    stamp: Stamp,
    changes: &mut Changes,
    passes: &dyn Fn(&Path) -> bool,
) -> Result<(), ParcelError> {
    let Some(place) = roster.place_of(scope) else {
        return Ok(());
    };
    changes.push_allowed(text, stamp, &mut |collection, doc, path, op| {
        let Some(at) = path_of(collection, doc, path.names()) else {
            return false;
        };
        // A purge is of the whole document, and said in words of their own to the scopes inside.
        let reaches_in = path.is_root() && !matches!(op, OpRef::Purge) && at.covers(place);
        let is_inside = place.covers(&at) || reaches_in;
        let verdict = |path: &Path, action| roster.verdict(&stamp.writer, seq, path, action);
        is_inside
            && passes(&at)
            && match reach {
                Reach::Everything => true,
                _ if collection == SCHEMAS => managed_path(&doc.to_string())
                    .is_some_and(|path| verdict(&path, Action::Manage)),
                Reach::Documents => true,
                _ => verdict(&at, Action::Write),
            }
    })
}

impl Writing<'_> {
    /// Keeps how far a log speaks of scopes from around them.
    pub(crate) fn note_strays(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        strays: BTreeMap<ScopeId, u64>,
    ) {
        let Some(space) = self.spaces.get_mut(id) else {
            return;
        };
        let mut any = false;
        for (scope, len) in strays {
            let start = space.roster.start_of(scope);
            if start.is_some_and(|start| start.said.covers.of(writer) >= len) {
                continue;
            }
            let noted = space.record.strays.entry((scope, *writer)).or_insert(0);
            any |= *noted < len;
            *noted = len.max(*noted);
        }
        if any {
            self.dirty_space(id);
            self.events.push(crate::Event::RosterChanged { space: *id });
        }
    }

    /// Notes the starts that contain entries which count differently now.
    pub(crate) fn taint_starts(&mut self, id: &SpaceId, shifted: &[(WriterId, u64)]) {
        let Some(space) = self.spaces.get_mut(id).filter(|_| !shifted.is_empty()) else {
            return;
        };
        let mut tainted = Vec::new();
        for scope in space.roster.scopes().keys() {
            let Some(start) = space.roster.start_of(*scope) else {
                continue;
            };
            let covers = &start.said.covers;
            if shifted
                .iter()
                .any(|(writer, from)| *from < covers.of(writer))
            {
                tainted.push((*scope, start.at));
            }
        }
        if !tainted.is_empty() {
            space.record.tainted.extend(tainted);
            self.dirty_space(id);
        }
    }
}
