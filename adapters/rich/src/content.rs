//! One open field: a Loro document with one container. Every call into Loro is guarded.

use std::borrow::Cow;

use loro::cursor::Cursor;
use loro::{ExportMode, Frontiers, ID, IdSpan, LoroDoc};
use serde_json::Value;
use stead_base::{Decoder, codec::put_uint};
use stead_doc::{NodeName, RichContent, RichEdit, RichError, RichKind, RichSpan, TextUnit};

use crate::guard::{broken, guarded, refused};
use crate::{blank, list, text, tree};

/// Snapshots beyond this are refused: they are this device's own and never get as large.
const SNAPSHOT_BYTES_MAX: usize = 1 << 30;

/// An open field.
pub(crate) struct Content {
    doc: LoroDoc,
    kind: RichKind,
    author: u64,
    /// Operations of the author that went into updates already.
    taken: i32,
    /// Updates that wait for others.
    waiting: bool,
    /// Bytes taken in since the size was last known.
    grown: usize,
}

impl Content {
    pub(crate) fn open(
        kind: RichKind,
        author: u64,
        snapshot: Option<&[u8]>,
    ) -> Result<Self, RichError> {
        let mut content = Self {
            doc: blank(author)?,
            kind,
            author,
            taken: 0,
            waiting: false,
            grown: 0,
        };
        if let Some(snapshot) = snapshot {
            content.load(snapshot)?;
        }
        Ok(content)
    }

    fn load(&mut self, snapshot: &[u8]) -> Result<(), RichError> {
        let mut input = Decoder::new(snapshot);
        let body = input
            .bytes(SNAPSHOT_BYTES_MAX, "snapshot")
            .map_err(broken)?;
        if !body.is_empty() {
            self.doc.import(body).map_err(broken)?;
        }
        let waiting = input.rest();
        if !waiting.is_empty() {
            self.doc.import(waiting).map_err(broken)?;
            self.waiting = true;
        }
        self.grown = snapshot.len();
        self.taken = self.made();
        Ok(())
    }

    pub(crate) fn doc(&self) -> &LoroDoc {
        &self.doc
    }

    /// How many operations the author has made.
    fn made(&self) -> i32 {
        let made = self.doc.oplog_vv();
        made.get(&self.author).copied().unwrap_or_default()
    }

    /// What the author made since the last call.
    pub(crate) fn update(&mut self) -> Result<Option<(RichSpan, Vec<u8>)>, RichError> {
        self.doc.commit();
        let made = self.made();
        if made <= self.taken {
            return Ok(None);
        }
        let span = [IdSpan::new(self.author, self.taken, made)];
        let mode = ExportMode::UpdatesInRange {
            spans: Cow::Borrowed(&span),
        };
        let update = self.doc.export(mode).map_err(broken)?;
        let span = RichSpan {
            author: self.author,
            start: u32::try_from(self.taken).unwrap_or_default(),
            end: u32::try_from(made).unwrap_or_default(),
        };
        self.taken = made;
        self.grown += update.len();
        Ok(Some((span, update)))
    }

    fn make(&mut self, edit: &RichEdit) -> Result<Option<NodeName>, RichError> {
        let doc = &self.doc;
        if edit.kind().is_some_and(|kind| kind != self.kind) {
            return Err(refused(format!("this is {}", self.kind.noun())));
        }
        match edit {
            RichEdit::Splice {
                at,
                delete,
                insert,
                unit,
            } => text::splice(doc, *at, *delete, insert, *unit)?,
            RichEdit::Mark {
                start,
                end,
                mark,
                value,
                unit,
            } => text::mark(doc, (*start, *end), mark, value, *unit)?,
            RichEdit::Become(Value::String(wanted)) => text::make_equal(doc, wanted)?,
            RichEdit::Become(Value::Array(wanted)) => list::make_equal(doc, wanted)?,
            RichEdit::Become(_) => return Err(refused("a rich field becomes a text or a list")),
            RichEdit::ListInsert { at, values } => list::insert(doc, *at, values)?,
            RichEdit::ListDelete { at, count } => list::delete(doc, *at, *count)?,
            RichEdit::ListSet { at, value } => list::set(doc, *at, value)?,
            RichEdit::ListMove { from, to } => list::shift(doc, *from, *to)?,
            RichEdit::TreeCreate { parent, at, fields } => {
                return tree::create(doc, parent.as_ref(), *at, fields).map(Some);
            }
            RichEdit::TreeMove { node, parent, at } => {
                tree::shift(doc, node, parent.as_ref(), *at)?;
            }
            RichEdit::TreeDelete { node } => tree::delete(doc, node)?,
            RichEdit::TreeSet { node, field, value } => tree::set(doc, node, field, value)?,
            RichEdit::TreeGrow(nodes) => tree::grow(doc, nodes)?,
            RichEdit::Revert(span) => self.revert(*span)?,
        }
        Ok(None)
    }

    fn revert(&mut self, span: RichSpan) -> Result<(), RichError> {
        self.doc.commit();
        let counter = |n: u32| i32::try_from(n).map_err(|_| refused("there is no such edit"));
        let (start, end) = (counter(span.start)?, counter(span.end)?);
        let known = self.doc.oplog_vv().get(&span.author).copied();
        if start >= end || end > known.unwrap_or_default() {
            return Err(refused("that edit is not here"));
        }
        let span = IdSpan::new(span.author, start, end);
        let inner = self.doc.inner();
        let undone = inner.undo_internal(span, &mut Default::default(), None, &mut |_| {});
        drop(undone.map_err(broken)?);
        Ok(())
    }

    fn value_of(&self) -> Value {
        match self.kind {
            RichKind::Text => text::value(&self.doc),
            RichKind::List => list::value(&self.doc),
            RichKind::Tree => tree::value(&self.doc),
        }
    }
}

impl RichContent for Content {
    fn edit(&mut self, edit: &RichEdit) -> Result<Option<NodeName>, RichError> {
        guarded(|| self.make(edit))
    }

    fn take_update(&mut self) -> Result<Option<(RichSpan, Vec<u8>)>, RichError> {
        guarded(|| self.update())
    }

    fn import(&mut self, updates: &[(u64, &[u8])]) -> Result<(), RichError> {
        guarded(|| {
            self.grown += updates
                .iter()
                .map(|(_, update)| update.len())
                .sum::<usize>();
            let own = updates.iter().any(|(author, _)| *author == self.author);
            let status = match updates {
                [(_, update)] => self.doc.import(update),
                _ => {
                    let all: Vec<Vec<u8>> =
                        updates.iter().map(|(_, update)| update.to_vec()).collect();
                    self.doc.import_batch(&all)
                }
            };
            let status = status.map_err(broken)?;
            // Whatever waited may have come through now; a snapshot knows.
            self.waiting = status.pending.is_some() || (self.waiting && self.has_waiting()?);
            if own {
                self.taken = self.taken.max(self.made());
            }
            Ok(())
        })
    }

    fn value(&self) -> Result<Value, RichError> {
        guarded(|| Ok(self.value_of()))
    }

    fn marked(&self) -> Result<Value, RichError> {
        guarded(|| match self.kind {
            RichKind::Text => Ok(text::marked(&self.doc)),
            _ => Ok(self.value_of()),
        })
    }

    fn snapshot(&mut self) -> Result<Vec<u8>, RichError> {
        guarded(|| {
            self.doc.commit();
            let body = self.doc.export(ExportMode::Snapshot).map_err(broken)?;
            let mut out = Vec::with_capacity(body.len() + 8);
            put_uint(&mut out, body.len() as u64);
            out.extend_from_slice(&body);
            if self.waiting {
                let waiting = self.doc.export_pending_updates().map_err(broken)?;
                out.extend(waiting.unwrap_or_default());
            }
            self.grown = out.len();
            Ok(out)
        })
    }

    fn cursor(&self, at: usize, unit: TextUnit) -> Result<String, RichError> {
        guarded(|| {
            let cursor = match self.kind {
                RichKind::Text => text::cursor(&self.doc, at, unit)?,
                RichKind::List => list::cursor(&self.doc, at)?,
                RichKind::Tree => return Err(refused("the nodes of a tree have names already")),
            };
            Ok(match cursor.id {
                Some(id) => id.to_string(),
                None => "end".to_owned(),
            })
        })
    }

    fn find_cursor(&self, cursor: &str, unit: TextUnit) -> Result<usize, RichError> {
        guarded(|| {
            let unknown = || refused(format!("{cursor:?} is no place in this field"));
            let (id, side) = match cursor {
                "end" => (None, loro::cursor::Side::Right),
                cursor => {
                    let id = ID::try_from(cursor).map_err(|_| unknown())?;
                    (Some(id), loro::cursor::Side::Middle)
                }
            };
            let container = match self.kind {
                RichKind::Text => loro::ContainerTrait::id(&text::of(&self.doc)),
                RichKind::List => loro::ContainerTrait::id(&list::of(&self.doc)),
                RichKind::Tree => return Err(unknown()),
            };
            let cursor = Cursor::new(id, container, side, 0);
            let found = self.doc.get_cursor_pos(&cursor).map_err(|_| unknown())?;
            let at = found.current.pos;
            Ok(match self.kind {
                RichKind::Text => text::in_unit(&self.doc, at, unit),
                _ => at,
            })
        })
    }

    fn version(&self) -> Result<Vec<u8>, RichError> {
        guarded(|| Ok(self.doc.state_frontiers().encode()))
    }

    fn text_delta(&self, since: &[u8]) -> Result<Option<Value>, RichError> {
        guarded(|| {
            let Ok(since) = Frontiers::decode(since) else {
                return Ok(None);
            };
            if self.kind != RichKind::Text || self.doc.frontiers_to_vv(&since).is_none() {
                return Ok(None);
            }
            text::delta(&self.doc, &since).map(Some)
        })
    }

    fn waits(&self) -> bool {
        self.waiting
    }

    fn bytes(&self) -> usize {
        // A document takes about this much beside what it holds, and holds it about thrice.
        4096 + 3 * self.grown
    }
}

impl Content {
    fn has_waiting(&self) -> Result<bool, RichError> {
        let waiting = self.doc.export_pending_updates().map_err(broken)?;
        Ok(waiting.is_some_and(|waiting| !waiting.is_empty()))
    }
}
