//! This device's own transactions: from a person's intent to a sealed, signed, merged entry.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stead_access::{Action, Path, RosterOp, encode_ops, sign_claim};
use stead_base::limits::ENTRY_PARCELS_MAX;
use stead_base::{DocId, Hlc, ScopeId, SpaceId, Stamp, WriterId};
use stead_doc::{Changes, DocOps, Document, NodeName, Put, RichEdit, RichKind, Transaction};
use stead_log::{Dependency, EntryRef, Envelope};
use stead_store::CollectionNo;

use crate::commit::path_of;
use crate::rights::check_rights_of;
use crate::schemas::{AS_HELD, SCHEMAS, Speaks};
use crate::sealing::Sealing;
use crate::space::{OwnWriter, WriterState};
use crate::translate::{Checked, translate};
use crate::writing::{Writing, writer_mut};
use crate::{Replica, ReplicaError};

/// Room that an entry needs besides its document parcel.
pub(crate) const ENTRY_FRAME_BYTES: usize = 64 << 10;

/// One change to one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The document's collection.
    pub collection: String,
    /// The document; None makes a new one.
    pub id: Option<DocId>,
    /// What to change.
    pub change: Change,
}

/// What to change in a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Merges a JSON object into the document, or makes the document equal to it.
    Put {
        /// The object.
        value: Value,
        /// Whether fields that it does not name are deleted.
        replace: bool,
    },
    /// Sets one field.
    Set {
        /// Where.
        path: Vec<String>,
        /// To what.
        value: Value,
    },
    /// Adds to a counter.
    Add {
        /// Where.
        path: Vec<String>,
        /// How much; may be negative.
        delta: i64,
    },
    /// Adds an element to a set.
    Include {
        /// Where.
        path: Vec<String>,
        /// A bool, number or string.
        element: Value,
    },
    /// Removes an element from a set.
    Exclude {
        /// Where.
        path: Vec<String>,
        /// A bool, number or string.
        element: Value,
    },
    /// Deletes a field.
    Unset {
        /// Where.
        path: Vec<String>,
    },
    /// Edits a text, list or tree. It begins where nothing is, a text also where a text and a list where a
    /// list was assigned.
    Rich {
        /// Where.
        path: Vec<String>,
        /// What it is.
        kind: RichKind,
        /// What to do.
        edit: RichEdit,
    },
    /// Deletes the document; it can be restored.
    Delete,
    /// Deletes the document, and what it holds for ever.
    Purge,
    /// Brings a deleted document back.
    Restore,
}

/// What a transaction became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The documents edited, in the order of the edits.
    pub ids: Vec<DocId>,
    /// Whether each edit changed anything, in the same order.
    pub changed: Vec<bool>,
    /// The log entry; None if nothing differed from what was there.
    pub entry: Option<(WriterId, u64)>,
    /// Hybrid time of the entry, or of the call when there is none.
    pub hlc: Hlc,
    /// The nodes of trees that were made, in the order of the edits.
    pub nodes: Vec<NodeName>,
}

impl Replica {
    /// Applies edits to documents of one space as one atomic transaction.
    pub fn transact(
        &mut self,
        space: &SpaceId,
        edits: &[Edit],
        now_ms: u64,
    ) -> Result<Receipt, ReplicaError> {
        self.transact_speaking(space, edits, &Speaks::new(), now_ms)
    }

    /// The same for an app that speaks certain revisions of some collections.
    pub fn transact_speaking(
        &mut self,
        space: &SpaceId,
        edits: &[Edit],
        speaks: &Speaks,
        now_ms: u64,
    ) -> Result<Receipt, ReplicaError> {
        let may_run_ahead = self.may_run_ahead();
        self.write(now_ms, |writing| {
            writing.leaving.asked = may_run_ahead;
            writing.transact_or_refuse(space, edits, speaks)
        })?
    }

    /// Applies several transactions, each of them atomic, under one signature and in one commit of
    /// the store. One that is refused leaves no trace and does not keep the others from being
    /// applied; when the store fails, none is applied.
    pub fn transact_many(
        &mut self,
        transactions: &[(SpaceId, Vec<Edit>)],
        now_ms: u64,
    ) -> Result<Vec<Result<Receipt, ReplicaError>>, ReplicaError> {
        let none = Speaks::new();
        let all = transactions.iter();
        self.transact_all(all.map(|(space, edits)| (space, &edits[..], &none)), now_ms)
    }

    /// The same for apps that each speak certain revisions of some collections.
    pub fn transact_all<'t>(
        &mut self,
        transactions: impl ExactSizeIterator<Item = (&'t SpaceId, &'t [Edit], &'t Speaks)>,
        now_ms: u64,
    ) -> Result<Vec<Result<Receipt, ReplicaError>>, ReplicaError> {
        let may_run_ahead = self.may_run_ahead();
        self.write(now_ms, |writing| {
            writing.leaving.asked = may_run_ahead;
            transactions
                .map(|(space, edits, speaks)| writing.transact_or_refuse(space, edits, speaks))
                .collect()
        })
    }
}

impl Writing<'_> {
    /// Applies edits of this replica itself as one entry of this device's log.
    pub(crate) fn transact(
        &mut self,
        id: &SpaceId,
        edits: &[Edit],
    ) -> Result<Receipt, ReplicaError> {
        self.transact_unchecked(id, edits, &Speaks::new())
    }

    /// The same for an app. What is refused, inside, has left no trace: the others of the unit stand.
    fn transact_or_refuse(
        &mut self,
        id: &SpaceId,
        edits: &[Edit],
        speaks: &Speaks,
    ) -> Result<Result<Receipt, ReplicaError>, ReplicaError> {
        let before = self.appended;
        match self.transact_for(id, edits, speaks) {
            Err(error @ ReplicaError::Store(_)) => Err(error),
            // An entry cannot be taken back without the others.
            Err(error) if self.appended > before => Err(error),
            done => Ok(done),
        }
    }

    /// Applies edits of an app as one entry of this device's log.
    fn transact_for(
        &mut self,
        id: &SpaceId,
        edits: &[Edit],
        speaks: &Speaks,
    ) -> Result<Receipt, ReplicaError> {
        if edits.iter().any(|edit| edit.collection == SCHEMAS) {
            return Err(ReplicaError::Refused(format!(
                "{SCHEMAS} is kept by Stead itself; `stead schema` changes schemas"
            )));
        }
        self.transact_unchecked(id, edits, speaks)
    }

    /// The same, schemas included: the caller has checked the right to change those.
    pub(crate) fn transact_unchecked(
        &mut self,
        id: &SpaceId,
        edits: &[Edit],
        speaks: &Speaks,
    ) -> Result<Receipt, ReplicaError> {
        self.rich.begin();
        let done = self.make_transaction(id, edits, speaks);
        if done.is_err() {
            self.rich.abandon();
        }
        done
    }

    fn make_transaction(
        &mut self,
        id: &SpaceId,
        edits: &[Edit],
        speaks: &Speaks,
    ) -> Result<Receipt, ReplicaError> {
        self.check_rights(id, edits)?;
        self.check_held(id, edits)?;
        let writer = self.own_writer(id)?;
        let hlc = self.clock.tick(self.now_ms);
        let mut transaction = Transaction::new(Stamp { hlc, writer });
        let mut documents: BTreeMap<(CollectionNo, DocId), Edited> = BTreeMap::new();
        let mut nodes = Vec::new();
        let mut ids = Vec::with_capacity(edits.len());
        let mut changed = Vec::with_capacity(edits.len());
        let mut checked = Checked::default();
        let mut made = BTreeSet::new();
        for edit in edits {
            let said = transaction.len();
            let refused = |error: &dyn std::fmt::Display| ReplicaError::Refused(error.to_string());
            stead_doc::check_collection(&edit.collection).map_err(|error| refused(&error))?;
            let collection = self.collection_no(id, &edit.collection)?;
            let doc_id = match &edit.id {
                Some(id) => id.clone(),
                None => {
                    let mut random = [0; 10];
                    self.entropy.fill(&mut random);
                    let doc = DocId::generate(self.now_ms, random);
                    made.insert((edit.collection.clone(), doc.clone()));
                    doc
                }
            };
            let key = (collection, doc_id);
            if !documents.contains_key(&key) {
                let mut document = Document::default();
                let loaded = self.tx.with_doc_state(collection, &key.1, |row| {
                    document.decode_into(row, self.numbers)
                })?;
                loaded
                    .clone()
                    .transpose()
                    .map_err(|error| refused(&error))?;
                let edited = Edited {
                    collection: edit.collection.clone(),
                    document,
                    changed: loaded.is_none(),
                };
                documents.insert(key.clone(), edited);
            }
            let projection = self.projection(id, &edit.collection, speaks)?;
            if let Some(edited) = documents.get_mut(&key) {
                let is_of_held = speaks.get(&edit.collection).is_some_and(|it| it == AS_HELD);
                let translated = match &projection {
                    None if is_of_held => {
                        // Not checked so far where there is a schema.
                        let changes = std::slice::from_ref(&edit.change);
                        let place = (&edited.collection[..], &key.1);
                        check_rights_of(&self.spaces[id], &self.keys.id(), place, changes)?;
                        None
                    }
                    None => None,
                    Some(projection) => {
                        let (document, numbers) = (&edited.document, &*self.numbers);
                        checked.begin(&key, projection, &edit.change, document, numbers);
                        let place = (&edited.collection[..], &key.1);
                        let changes =
                            translate(projection, &edit.change, document, numbers, place)?;
                        check_rights_of(&self.spaces[id], &self.keys.id(), place, &changes)?;
                        Some(changes)
                    }
                };
                let changes = match &translated {
                    None => std::slice::from_ref(&edit.change),
                    Some(changes) => &changes[..],
                };
                for change in changes {
                    let made = self.make_change(&mut transaction, &key, edited, change)?;
                    nodes.extend(made);
                }
            }
            ids.push(key.1);
            changed.push(transaction.len() > said);
        }
        let edited = documents.iter();
        let edited = edited.map(|(key, edited)| (key, &edited.collection[..], &edited.document));
        checked.end(edited, self.numbers)?;
        if transaction.is_empty() {
            return Ok(Receipt {
                ids,
                changed,
                entry: None,
                hlc,
                nodes,
            });
        }
        // An edit that changes nothing leaves no operation, and must leave no row either.
        let touched: BTreeSet<(&str, &DocId)> = transaction.documents().collect();
        documents.retain(|(_, id), edited| touched.contains(&(edited.collection.as_str(), id)));
        self.follow_made(id, &made)?;
        let stamp = transaction.stamp();
        let (parcels, repeats) = self.seal_parts(id, transaction)?;
        let seq = self.append_own(id, hlc, &[], &parcels, &[])?;
        if repeats {
            self.take_repeats(&parcels, stamp, &mut documents)?;
        }
        let mut buffers = (Vec::with_capacity(512), Vec::with_capacity(512));
        for ((collection, doc_id), edited) in &mut documents {
            if let Some(space) = self.spaces.get(id) {
                let until = |log: &WriterState| log.merged.hlc;
                space.forget_removals(&mut edited.document, until, self.numbers);
            }
            let document = &edited.document;
            if self.keep_rich_edits(*collection, doc_id, document, edited.changed)? {
                self.put_document(id, *collection, doc_id, document, &mut buffers)?;
            }
            self.touch(id, &edited.collection, doc_id);
        }
        Ok(Receipt {
            ids,
            changed,
            entry: Some((writer, seq)),
            hlc,
            nodes,
        })
    }

    /// Makes one change of a document that is being edited. Returns the tree's node that it made.
    fn make_change(
        &mut self,
        transaction: &mut Transaction,
        key: &(CollectionNo, DocId),
        edited: &mut Edited,
        change: &Change,
    ) -> Result<Option<NodeName>, ReplicaError> {
        let mut edit_of = transaction
            .edit(
                &edited.collection,
                &key.1,
                &mut edited.document,
                self.numbers,
            )
            .map_err(|error| ReplicaError::Refused(error.to_string()))?;
        edited.changed |= apply_change(&mut edit_of, change)?;
        for wish in edit_of.take_wishes() {
            let become_it = RichEdit::Become(wish.value);
            let place = (&wish.path, wish.kind);
            self.edit_rich_field(transaction, key, edited, place, &become_it)?;
        }
        match change {
            Change::Rich { path, kind, edit } => {
                let path = path_of_names(path)?;
                self.edit_rich_field(transaction, key, edited, (&path, *kind), edit)
            }
            _ => Ok(None),
        }
    }

    /// Edits a rich field of a document that is being edited.
    fn edit_rich_field(
        &mut self,
        transaction: &mut Transaction,
        key: &(CollectionNo, DocId),
        edited: &mut Edited,
        (path, kind): (&stead_doc::Path, RichKind),
        edit: &RichEdit,
    ) -> Result<Option<NodeName>, ReplicaError> {
        let refused = |error: stead_doc::EditError| ReplicaError::Refused(error.to_string());
        let (name, document) = (&edited.collection, &mut edited.document);
        let field = transaction
            .edit(name, &key.1, document, self.numbers)
            .and_then(|mut edit_of| edit_of.rich(path, kind))
            .map_err(refused)?;
        let place = &field.place;
        let is_there = document.holds_rich(path.as_ref(), kind, place.base, self.numbers);
        let author = transaction.stamp().writer;
        let (update, node) = self.edit_rich(&author, key.0, &key.1, &field, edit)?;
        if let Some(update) = update {
            edited.changed |= !is_there;
            transaction
                .edit(name, &key.1, document, self.numbers)
                .and_then(|mut edit_of| edit_of.rich_update(place, &update))
                .map_err(refused)?;
        }
        Ok(node)
    }

    /// A transaction's parcels, one for each scope that it touches, and whether they repeat in one
    /// what they say in another.
    pub(crate) fn seal_parts(
        &mut self,
        id: &SpaceId,
        transaction: Transaction,
    ) -> Result<(crate::sealing::ScopeParcels, bool), ReplicaError> {
        let refused = |error: &dyn std::fmt::Display| ReplicaError::Refused(error.to_string());
        let roster = &self.space(id)?.roster;
        let mut sealed = Vec::new();
        let mut encode = |scope, mut transaction: Transaction| {
            let mut parcel = Vec::with_capacity(256);
            transaction
                .encode(&mut parcel)
                .map_err(|error| refused(&error))?;
            sealed.push((scope, parcel));
            Ok::<_, ReplicaError>(())
        };
        if roster.scopes().len() <= 2 {
            encode(ScopeId::ROOT, transaction)?;
            return Ok((sealed, false));
        }
        let deep: Vec<(ScopeId, &Path)> = roster
            .scopes()
            .iter()
            .filter(|(_, path)| path.parts().count() > 2)
            .map(|(scope, path)| (*scope, path))
            .collect();
        let parts = transaction.split(
            &mut |collection, doc, path| {
                let at = path_of(collection, doc, path.names());
                at.map_or(ScopeId::ROOT, |at| roster.scope_of(&at))
            },
            &mut |collection, doc| inside(&deep, collection, doc),
        );
        let max = ENTRY_PARCELS_MAX - 2;
        if parts.parts.len() > max {
            return Err(ReplicaError::Refused(format!(
                "the transaction changes {} parts of the space that have readers of their own, at most {max} are allowed; make several of it",
                parts.parts.len()
            )));
        }
        for (scope, transaction) in parts.parts {
            encode(scope, transaction)?;
        }
        Ok((sealed, parts.repeats))
    }

    /// Has documents hold what everybody else makes of these parcels.
    fn take_repeats(
        &mut self,
        parcels: &[(ScopeId, Vec<u8>)],
        stamp: Stamp,
        documents: &mut BTreeMap<(CollectionNo, DocId), Edited>,
    ) -> Result<(), ReplicaError> {
        let refused = |error: &dyn std::fmt::Display| ReplicaError::Refused(error.to_string());
        let mut changes = Changes::default();
        for (_, parcel) in parcels {
            changes
                .push(parcel, stamp)
                .map_err(|error| refused(&error))?;
        }
        for ((collection, doc), edited) in documents {
            let (name, document) = (&edited.collection, &mut edited.document);
            let held = self.tx.with_doc_state(*collection, doc, |row| {
                document.decode_into(row, self.numbers)
            })?;
            match held {
                Some(held) => held.map_err(|error| refused(&error))?,
                None => document.clear(),
            }
            let of = |ops: &DocOps<'_>| ops.id() == doc && ops.collection() == name.as_str();
            for ops in changes.docs().filter(of) {
                document.apply(ops, self.numbers);
            }
            edited.changed = true;
        }
        Ok(())
    }

    /// Refuses edits that every replica would leave out: this device lacks the right to make them.
    fn check_rights(&mut self, id: &SpaceId, edits: &[Edit]) -> Result<(), ReplicaError> {
        for edit in edits {
            self.schema(id, &edit.collection)?;
        }
        let device = self.keys.id();
        let space = self.space(id)?;
        let may = |path: &Path| space.roster.can(&device, path, Action::Write);
        if may(&Path::whole_space()) {
            return Ok(());
        }
        if !space.is_member(&device) {
            let name = space.record.name.clone();
            return Err(match space.roster.record_of(&device) {
                Some(_) => ReplicaError::Removed { space: name },
                None if space.roster.was_public() => ReplicaError::OnlyMembersWrite { space: name },
                None => ReplicaError::NotAdmitted { space: name },
            });
        }
        let space = self.spaces.get(id);
        let has_schema = |collection: &str| {
            let known = self.schemas.get(&(*id, collection.to_owned()));
            known.is_some_and(Option::is_some)
        };
        for edit in edits {
            // Where an edit through a schema writes is known, and checked, once it is translated. The
            // right to make a revision was checked by the caller.
            if edit.collection == SCHEMAS || has_schema(&edit.collection) {
                continue;
            }
            let doc = edit
                .id
                .clone()
                .unwrap_or_else(|| DocId::generate(0, [0; 10]));
            if let Some(space) = space {
                let change = std::slice::from_ref(&edit.change);
                check_rights_of(space, &device, (&edit.collection, &doc), change)?;
            }
        }
        Ok(())
    }

    /// The writer this store writes a space with; made, and bound to this device, at first use.
    pub(crate) fn own_writer(&mut self, id: &SpaceId) -> Result<WriterId, ReplicaError> {
        let device = self.keys.id();
        let space = self
            .spaces
            .get(id)
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
        if let Some(own) = &space.own {
            return Ok(own.id);
        }
        if !space.is_member(&device) || space.newest_key(ScopeId::ROSTER).is_none() {
            return Err(ReplicaError::NotAdmitted {
                space: space.record.name.clone(),
            });
        }
        let writer = self.new_writer(id)?;
        let claim = RosterOp::Claim {
            device,
            signature: sign_claim(self.keys.signing(), id, &writer),
        };
        let hlc = self.clock.tick(self.now_ms);
        self.append_own(id, hlc, &[claim], &[], &[])?;
        Ok(writer)
    }

    /// Makes a fresh writer key for a space that is in memory.
    fn new_writer(&mut self, id: &SpaceId) -> Result<WriterId, ReplicaError> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        self.entropy.fill(&mut *seed);
        let own = OwnWriter::from_seed(&seed);
        let writer = own.id;
        let space = self
            .spaces
            .get_mut(id)
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
        space.set_own(own, &seed, self.keys, self.entropy)?;
        self.dirty_space(id);
        self.ensure_writer(id, &writer)?;
        Ok(writer)
    }

    /// Seals and stores one entry of this device's log, and takes up its roster operations. Its
    /// documents are the caller's; the log is signed once, at the end of the unit of work. Returns
    /// the entry's sequence.
    pub(crate) fn append_own(
        &mut self,
        id: &SpaceId,
        hlc: Hlc,
        roster: &[RosterOp],
        documents: &[(ScopeId, Vec<u8>)],
        key_boxes: &[Vec<u8>],
    ) -> Result<u64, ReplicaError> {
        let mut salt = [0; 4];
        self.entropy.fill(&mut salt);
        let space = self
            .spaces
            .get_mut(id)
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
        let Some(own) = &space.own else {
            return Err(ReplicaError::NotAdmitted {
                space: space.record.name.clone(),
            });
        };
        let writer = own.id;
        let seq = space
            .writers
            .get(&writer)
            .map(|state| state.record.tip.len())
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
        // What changes the roster may be sealed under an epoch that waits to be renewed: it has to
        // be said for the epoch to be renewed.
        let key = |scope| match documents.is_empty() {
            true => space
                .newest_key(scope)
                .ok_or_else(|| ReplicaError::NotAdmitted {
                    space: space.record.name.clone(),
                }),
            false => space.sealing_key(scope),
        };
        let roster_key = key(ScopeId::ROSTER)?;
        let doc_keys = documents
            .iter()
            .map(|(scope, _)| Ok((*scope, space.sealing_key(*scope)?)))
            .collect::<Result<_, ReplicaError>>()?;
        let sealing = Sealing {
            roster_key,
            doc_keys,
            space: *id,
            writer,
            seq,
            salt,
        };
        let roster_bytes = if roster.is_empty() {
            Vec::new()
        } else {
            encode_ops(roster)
        };
        let (seen, now_seen) = what_is_new(&space.writers, &space.seen, &writer);
        let rosters = own.rosters + u64::from(!roster_bytes.is_empty());
        if !(roster.is_empty() && key_boxes.is_empty()) {
            self.leaving.more();
        }
        let envelope = Envelope {
            hlc,
            seen,
            rosters: Some(rosters),
            by_itself: self.by_itself,
        };
        let entry = sealing.entry(&envelope, &roster_bytes, documents, key_boxes)?;
        space.seen.extend(now_seen);
        if let Some(own) = &mut space.own {
            own.rosters = rosters;
        }
        self.append_sealed(id, &writer, seq, hlc, &entry, &roster_bytes)?;
        Ok(seq)
    }

    /// Stores a sealed entry as the next of one of this device's own logs, and takes up what it says
    /// of the roster. What it says of documents is the caller's.
    pub(crate) fn append_sealed(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        seq: u64,
        hlc: Hlc,
        entry: &[u8],
        roster: &[u8],
    ) -> Result<(), ReplicaError> {
        let mut bytes = Vec::with_capacity(entry.len() + 4);
        stead_base::codec::put_uint(&mut bytes, entry.len() as u64);
        bytes.extend_from_slice(entry);
        let leaf = EntryRef::parse(entry)
            .map_err(|source| ReplicaError::Record {
                what: "own entry",
                source,
            })?
            .leaf_hash();
        let space = self
            .spaces
            .get_mut(id)
            .ok_or_else(|| ReplicaError::NoSuchSpace { name: id.short() })?;
        // Before the entry counts as taken: what it says changes nothing about itself.
        if let Some(change) = space.add_roster(writer, seq, false, roster) {
            self.rights_changed(id, &change);
        }
        let state = writer_mut(self.spaces, id, writer)?;
        let node = state.record.tip.append(leaf);
        state.record.read = seq + 1;
        state.record.last_hlc = hlc;
        state.record.applied_hlc = hlc;
        state.applied = seq + 1;
        state.all_merged();
        self.leaving.entry(id, writer, seq, &bytes);
        self.appended += 1;
        self.store_entries(id, writer, seq, &bytes, node.as_slice())
    }

    /// Entries of a log that are held.
    pub(crate) fn writer_len(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
    ) -> Result<u64, ReplicaError> {
        Ok(writer_mut(self.spaces, id, writer)?.record.tip.len())
    }
}

/// Which of these scopes lie inside of a document, with the paths of their fields.
fn inside(
    deep: &[(ScopeId, &Path)],
    collection: &str,
    doc: &DocId,
) -> Vec<(ScopeId, stead_doc::Path)> {
    if deep.is_empty() {
        return Vec::new();
    }
    let Some(whole) = path_of(collection, doc, std::iter::empty()) else {
        return Vec::new();
    };
    let inner = deep.iter().filter(|(_, path)| whole.covers(path));
    inner
        .filter_map(|(scope, path)| {
            let names: Vec<String> = path.parts().skip(2).collect();
            let path = stead_doc::Path::from_names(names.iter().map(String::as_str)).ok()?;
            Some((*scope, path))
        })
        .collect()
}

/// What other logs' lengths are that the next envelope tells of, and those lengths to remember.
fn what_is_new(
    writers: &BTreeMap<WriterId, crate::space::WriterState>,
    seen: &BTreeMap<WriterId, u64>,
    own: &WriterId,
) -> (Vec<Dependency>, Vec<(WriterId, u64)>) {
    let (mut new, mut now_seen) = (Vec::new(), Vec::new());
    for (writer, state) in writers {
        if writer == own || state.applied == 0 || seen.get(writer) == Some(&state.applied) {
            continue;
        }
        now_seen.push((*writer, state.applied));
        new.push(Dependency {
            writer: *writer,
            len: state.applied,
        });
    }
    (new, now_seen)
}

/// A document within a transaction.
struct Edited {
    collection: String,
    document: Document,
    /// Whether its row is new, or differs in more than what rich fields hold.
    changed: bool,
}

fn path_of_names(names: &[String]) -> Result<stead_doc::Path, ReplicaError> {
    stead_doc::Path::from_names(names.iter().map(String::as_str))
        .map_err(|error| ReplicaError::Refused(error.to_string()))
}

fn apply_change(
    edit: &mut stead_doc::Edit<'_, stead_doc::Numbers>,
    change: &Change,
) -> Result<bool, ReplicaError> {
    let path = path_of_names;
    let edited = match change {
        Change::Put {
            value,
            replace: false,
        } => edit.put(value, Put::Merge),
        Change::Put {
            value,
            replace: true,
        } => edit.put(value, Put::Replace),
        Change::Set { path: names, value } => edit.set(&path(names)?, value),
        Change::Add { path: names, delta } => edit.add(&path(names)?, *delta),
        Change::Include {
            path: names,
            element,
        } => edit.set_add(&path(names)?, element),
        Change::Exclude {
            path: names,
            element,
        } => edit.set_remove(&path(names)?, element),
        Change::Unset { path: names } => edit.delete_field(&path(names)?),
        // Made by `edit_rich_field`, which has the content.
        Change::Rich { .. } => Ok(false),
        Change::Delete => edit.delete(),
        Change::Purge => edit.purge(),
        Change::Restore => edit.restore(),
    };
    edited.map_err(|error| ReplicaError::Refused(error.to_string()))
}
