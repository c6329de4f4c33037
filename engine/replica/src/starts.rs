//! Where those begin who read a part of a space only: the present of a scope, written for them and
//! read by them.
//!
//! Owns making a start, finding one good, and building documents from it. Who may say where a scope
//! starts is the roster's; the bytes of documents are `core/checkpoint`'s.

use std::ops::ControlFlow;
use std::sync::Arc;

use stead_access::{Lengths, Path, RosterOp, ScopeStart, Start};
use stead_base::{DocId, Hash, Hlc, ScopeId, SpaceId};
use stead_checkpoint::{
    Assembler, BLOCK_BYTES_TARGET, BlockKind, DocumentsReader, DocumentsWriter, pieces,
};
use stead_crypt::Hasher;
use stead_doc::Document;
use stead_store::{CollectionNo, Read};

use crate::ReplicaError;
use crate::opening::{Outcome, open_segment};
use crate::records::{Begun, View};
use crate::rich::carried;
use crate::space::SpaceState;
use crate::writing::Writing;

/// Most bytes of one start, compressed.
const START_BYTES_MAX: usize = 256 << 20;
/// Bytes of stored log that are opened at a time.
const READ_BYTES: usize = 4 << 20;

/// Whether the text of a document parcel is a piece of a checkpoint, not operations.
pub(crate) fn is_piece(text: &[u8]) -> bool {
    matches!(text.first(), Some(2 | 3))
}

/// What was found of a start.
enum Pieces {
    /// All of it, as its author named it.
    Whole(Vec<Vec<u8>>, Hlc),
    /// A key is not here yet.
    Locked,
    /// History begins later here, or goes on after what it covers: a later start follows.
    Away,
    /// It is not what its author named: it will never do.
    Bad(&'static str),
}

/// A subtree of documents.
struct Subtree {
    collection: String,
    id: Option<DocId>,
    field: Option<stead_doc::Path>,
}

impl Subtree {
    /// What a path of rights points at; none for the whole space, and for what no document has.
    fn of(path: &Path) -> Option<Self> {
        let mut parts = path.parts();
        let collection = parts.next()?;
        let id = match parts.next() {
            None => None,
            Some(id) => Some(DocId::parse(&id).ok()?),
        };
        let names: Vec<String> = parts.collect();
        let field = match names.is_empty() {
            true => None,
            false => Some(stead_doc::Path::from_names(names.iter().map(String::as_str)).ok()?),
        };
        Some(Self {
            collection,
            id,
            field,
        })
    }

    /// What of a document lies in the subtree, in the same numbers.
    fn part_of(&self, document: Document, numbers: &mut stead_doc::Numbers) -> Option<Document> {
        match &self.field {
            None => Some(document),
            Some(field) => {
                let from = numbers.clone();
                document.part(field.as_ref(), &from, numbers)
            }
        }
    }
}

/// What commits to the pieces of a start of one scope of one space.
pub(crate) fn hash_of(space: &SpaceId, scope: ScopeId, pieces: &[Vec<u8>]) -> Hash {
    let mut hasher = Hasher::deriving("stead/scope-start/1");
    hasher
        .update(space.as_bytes())
        .update(&scope.number().to_be_bytes());
    for piece in pieces {
        hasher.update_sized(piece);
    }
    hasher.finish()
}

impl SpaceState {
    /// How much of each log documents here contain; checkpoints change none.
    pub(crate) fn taken(&self) -> Lengths {
        let logs = self.writers.iter();
        logs.filter(|(writer, state)| state.applied > 0 && !self.is_checkpoint(writer))
            .map(|(writer, state)| (*writer, state.applied))
            .collect()
    }

    /// Whether what follows on `covers` is all here: no log begins later.
    fn is_joined_by(&self, covers: &Lengths) -> bool {
        self.writers.iter().all(|(writer, state)| {
            let base = self.counting(writer, state.record.base);
            base <= covers.of(writer) || self.is_checkpoint(writer)
        })
    }
}

impl Writing<'_> {
    /// Writes the present of a scope, sealed to it, and says that those begin there who read it only.
    pub(crate) fn write_start(&mut self, id: &SpaceId, scope: ScopeId) -> Result<(), ReplicaError> {
        self.merge_all()?;
        let writer = self.own_writer(id)?;
        let space = self.space(id)?;
        let Some(path) = space.roster.scopes().get(&scope).cloned() else {
            return Ok(());
        };
        let turn = space.roster.next_turn(scope);
        let covers = space.taken();
        let cut = self.present(id, &path)?;
        let hash = hash_of(id, scope, &cut);
        let first = self.writer_len(id, &writer)?;
        for piece in cut {
            let hlc = self.clock.tick(self.now_ms);
            self.append_own(id, hlc, &[], &[(scope, piece)], &[])?;
        }
        let start = ScopeStart {
            scope,
            turn,
            covers,
            first,
            hash,
        };
        self.say(id, RosterOp::Start(start))?;
        let record = &mut self.space(id)?.record;
        record.tainted.remove(&scope);
        record.strays.retain(|(of, _), _| *of != scope);
        self.dirty_space(id);
        Ok(())
    }

    /// The documents of a subtree as they are now, in pieces.
    fn present(&mut self, id: &SpaceId, path: &Path) -> Result<Vec<Vec<u8>>, ReplicaError> {
        let refused = |error: &dyn std::fmt::Display| ReplicaError::Refused(error.to_string());
        let mut found = Vec::new();
        let Some(subtree) = Subtree::of(path) else {
            return Ok(found);
        };
        let no = self.space(id)?.no;
        let Some(collection) = self.tx.collection(no, &subtree.collection)? else {
            return Ok(found);
        };
        let mut states: Vec<(DocId, Vec<u8>)> = Vec::new();
        match &subtree.id {
            Some(doc) => {
                let state = self.tx.doc_state(collection, doc)?;
                states.extend(state.map(|state| (doc.clone(), state)));
            }
            None => self.tx.each_doc(collection, &mut |doc, state| {
                states.push((doc.clone(), state.to_vec()));
                ControlFlow::Continue(())
            })?,
        }
        let mut bytes = 0;
        let mut writer = DocumentsWriter::default();
        let mut states = states.into_iter().peekable();
        while let Some((doc, state)) = states.next() {
            let document =
                Document::decode(&state, self.numbers).map_err(|error| refused(&error))?;
            if let Some(part) = subtree.part_of(document, self.numbers) {
                let rich = carried(&self.tx, collection, &doc, &part, self.numbers)?;
                writer
                    .push(&subtree.collection, &doc, part, &rich, self.numbers)
                    .map_err(|error| refused(&error))?;
            }
            let is_full = writer.bytes() >= BLOCK_BYTES_TARGET || states.peek().is_none();
            if is_full && !writer.is_empty() {
                let body = writer.finish().map_err(|error| refused(&error))?;
                let cut = pieces(BlockKind::Documents, &body).map_err(|error| refused(&error))?;
                bytes += cut.iter().map(Vec::len).sum::<usize>();
                found.extend(cut);
            }
            if bytes > START_BYTES_MAX {
                return Err(ReplicaError::TooLarge {
                    bytes,
                    max: START_BYTES_MAX,
                });
            }
        }
        Ok(found)
    }

    /// The pieces of a start, as far as they are here.
    fn read_pieces(&mut self, id: &SpaceId, start: &Start) -> Result<Pieces, ReplicaError> {
        let (said, at) = (&start.said, &start.at);
        let space = self.space(id)?;
        let ring = Arc::clone(&space.ring);
        let Some(state) = space.writers.get(&at.log) else {
            return Ok(Pieces::Locked);
        };
        let (no, accepted, base) = (state.no, state.accepted(), state.record.base);
        if said.first > at.seq || at.seq >= accepted {
            return Ok(Pieces::Bad("it names entries that are not there"));
        }
        if said.first < base || !space.is_joined_by(&said.covers) {
            return Ok(Pieces::Away);
        }
        let (mut found, mut bytes, mut next, mut made) = (Vec::new(), 0, said.first, None);
        while next <= at.seq {
            let segments = self.tx.segments(no, next, READ_BYTES)?;
            if segments.is_empty() {
                return Ok(Pieces::Bad("it names entries that are not there"));
            }
            for segment in segments {
                let opened = open_segment(&ring, id, &at.log, &segment, next)?;
                for entry in &opened.entries {
                    next = entry.seq + 1;
                    if entry.seq == at.seq {
                        made = Some(entry.hlc);
                    }
                    if entry.seq >= at.seq {
                        continue;
                    }
                    for part in opened.docs(entry) {
                        let text = &opened.arena[part.text.clone()];
                        match part.outcome {
                            _ if part.scope != said.scope => {}
                            Outcome::Open if is_piece(text) => {
                                bytes += text.len();
                                found.push(text.to_vec());
                            }
                            Outcome::Open | Outcome::Closed => {}
                            Outcome::Locked => return Ok(Pieces::Locked),
                            Outcome::Withheld => return Ok(Pieces::Bad("it was redacted")),
                            Outcome::Void => return Ok(Pieces::Bad("a piece does not open")),
                        }
                    }
                }
                if bytes > START_BYTES_MAX {
                    return Ok(Pieces::Bad("it is too large"));
                }
            }
        }
        if hash_of(id, said.scope, &found) != said.hash {
            return Ok(Pieces::Bad("it is not what its author named"));
        }
        Ok(match made {
            Some(made) => Pieces::Whole(found, made),
            None => Pieces::Locked,
        })
    }

    /// What the documents are to be built from by what the roster says now; none if that is what
    /// they are built from.
    pub(crate) fn changed_view(&mut self, id: &SpaceId) -> Result<Option<View>, ReplicaError> {
        let space = self.space(id)?;
        let Some(roots) = space.roots() else {
            return Ok(None);
        };
        if space.part.is_some() {
            // Slices are the present of all that is read.
            let view: View = roots.into_iter().map(|root| (root, None)).collect();
            return Ok((space.record.view != view).then_some(view));
        }
        let mut view = View::new();
        for root in roots {
            let space = self.space(id)?;
            let held = space.record.view.get(&root).cloned().flatten();
            let start = match root {
                ScopeId::ROOT => None,
                _ => space.roster.start_of(root).cloned(),
            };
            let start = start.filter(|start| !space.bad_starts.contains(&start.at));
            let is_new = |start: &Start| held.as_ref().is_none_or(|held| held.at != start.at);
            let begun = match start.filter(is_new) {
                None => held.filter(|_| root != ScopeId::ROOT),
                Some(start) => match self.read_pieces(id, &start)? {
                    Pieces::Whole(..) => Some(Begun {
                        at: start.at,
                        covers: start.said.covers,
                    }),
                    Pieces::Locked | Pieces::Away => held,
                    Pieces::Bad(why) => {
                        self.refuse_start(id, &start, why)?;
                        held
                    }
                },
            };
            view.insert(root, begun);
        }
        let is_same = self.space(id)?.record.view == view;
        Ok((!is_same).then_some(view))
    }

    fn refuse_start(
        &mut self,
        id: &SpaceId,
        start: &Start,
        why: &'static str,
    ) -> Result<(), ReplicaError> {
        tracing::warn!(why, space = %id.short(), at = %start.at, "the start of a part of a space is no good");
        self.space(id)?.bad_starts.insert(start.at);
        Ok(())
    }

    /// Puts the documents that the view begins with in place. There are none of the space yet.
    pub(crate) fn begin_documents(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        loop {
            let begun: Vec<(ScopeId, Begun)> = self
                .space(id)?
                .record
                .view
                .iter()
                .filter_map(|(root, begun)| Some((*root, begun.clone()?)))
                .collect();
            let mut refused = None;
            for (root, begun) in begun {
                let start = self.space(id)?.roster.start_of(root).cloned();
                let start = start.filter(|start| start.at == begun.at);
                let Some(start) = start else {
                    refused = Some(root);
                    break;
                };
                let found = match self.read_pieces(id, &start)? {
                    Pieces::Whole(pieces, made) => self.take_start(id, &start, &pieces, made)?,
                    Pieces::Locked => Err("a key is missing"),
                    Pieces::Away => {
                        refused = Some(root);
                        break;
                    }
                    Pieces::Bad(why) => Err(why),
                };
                if let Err(why) = found {
                    self.refuse_start(id, &start, why)?;
                    refused = Some(root);
                    break;
                }
            }
            let Some(root) = refused else {
                return Ok(());
            };
            // Begun without it, and from the beginning again.
            let space = self.space(id)?;
            space.record.view.insert(root, None);
            let no = space.no;
            self.dirty_space(id);
            self.close_rich(no)?;
            self.tx.clear_docs(no)?;
        }
    }

    /// Puts the documents of one start in place.
    fn take_start(
        &mut self,
        id: &SpaceId,
        start: &Start,
        pieces: &[Vec<u8>],
        made: Hlc,
    ) -> Result<Result<(), &'static str>, ReplicaError> {
        let space = self.space(id)?;
        let path = space.roster.place_of(start.said.scope).cloned();
        let Some(subtree) = path.as_ref().and_then(Subtree::of) else {
            // A place that no document can have: nothing is there.
            return Ok(match pieces.is_empty() {
                true => Ok(()),
                false => Err("it holds documents where there can be none"),
            });
        };
        let mut collection: Option<CollectionNo> = None;
        let mut assembler = Assembler::default();
        let mut buffers = (Vec::new(), Vec::new());
        for piece in pieces {
            let block = match assembler.push(piece) {
                Ok(Some((BlockKind::Documents, block))) => block,
                Ok(None) => continue,
                Ok(Some(_)) | Err(_) => return Ok(Err("a piece cannot be read")),
            };
            let Ok(mut reader) = DocumentsReader::new(&block) else {
                return Ok(Err("a piece cannot be read"));
            };
            let mut document = Document::default();
            loop {
                let place = match reader.next_into(&mut document, self.numbers) {
                    Ok(Some(place)) => place,
                    Ok(None) => break,
                    Err(_) => return Ok(Err("a document cannot be read")),
                };
                let is_inside = place.collection == subtree.collection
                    && subtree.id.as_ref().is_none_or(|id| *id == place.id)
                    && subtree
                        .field
                        .as_ref()
                        .is_none_or(|field| document.lies_within(field.as_ref(), self.numbers));
                if !is_inside {
                    return Ok(Err("it holds what is not in its scope"));
                }
                if document
                    .latest(self.numbers)
                    .is_some_and(|it| it.hlc > made)
                {
                    return Ok(Err("it holds changes from after it was made"));
                }
                let no = match collection {
                    Some(no) => no,
                    None => *collection.insert(self.collection_no(id, place.collection)?),
                };
                self.take_carried(no, &place.id, &document, &place.rich)?;
                let held = self
                    .tx
                    .with_doc_state(no, &place.id, |row| Document::decode(row, self.numbers))?;
                if let Some(held) = held {
                    let mut held = held.map_err(|e| ReplicaError::Refused(e.to_string()))?;
                    held.absorb(&document, self.numbers);
                    std::mem::swap(&mut document, &mut held);
                }
                self.put_document(id, no, &place.id, &document, &mut buffers)?;
            }
        }
        Ok(match assembler.is_open() {
            true => Err("its last piece is missing"),
            false => Ok(()),
        })
    }
}
