//! From what a person wants to operations. Owns the meaning of an edit against the document as it
//! is now, and every refusal of one; what operations mean later is the merge's business.

mod plan;

use serde_json::Value;
use stead_base::{DocId, Hlc};

use crate::dictionary::Dictionary;
use crate::ops::Transaction;
use crate::path::{NameError, Path, PathRef, check_collection};
use crate::rich::{RichField, RichKind, RichPlace};
use crate::state::{Document, Visible};
use crate::value::{DELETED_BYTES, ValueRef, View};
use plan::Plan;

/// What [`Edit::put`] does with fields that the JSON does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// Keeps them.
    Merge,
    /// Deletes them.
    Replace,
}

/// Why an edit was refused. Nothing of it has been done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The name of a collection is refused.
    #[error("collection {collection:?}: {source}")]
    Collection {
        /// The name.
        collection: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// The name of a field is refused.
    #[error("{document}: field {path:?}: {source}")]
    Name {
        /// `collection/id`.
        document: String,
        /// Path of the field.
        path: String,
        /// What is wrong with its name.
        source: NameError,
    },
    /// A value is not of the kind that the edit needs.
    #[error("{document}: {place} needs {expected}, found {found}", place = place(path))]
    WrongKind {
        /// `collection/id`.
        document: String,
        /// Path of the field; empty for the document itself.
        path: String,
        /// What the edit needs.
        expected: &'static str,
        /// What there is.
        found: &'static str,
    },
    /// Fields, or lists and maps in a value, nest too deep.
    #[error("{document}: {path} nests deeper than the {max} levels allowed")]
    TooDeep {
        /// `collection/id`.
        document: String,
        /// Path of the field.
        path: String,
        /// Levels allowed.
        max: usize,
    },
    /// A value, the document or the transaction gets too large.
    #[error("{document}: {what} at {path} would be {found}, at most {max} are allowed")]
    TooLarge {
        /// `collection/id`.
        document: String,
        /// Path of the field.
        path: String,
        /// What gets too large, and in what unit.
        what: &'static str,
        /// Size found.
        found: usize,
        /// Size allowed.
        max: usize,
    },
    /// The document is deleted.
    #[error("{document} is deleted; restore it, or put it anew")]
    Deleted {
        /// `collection/id`.
        document: String,
    },
    /// The document has a change from a later time than this transaction's, which would hide the
    /// edit: the caller's clock has not taken it into account.
    #[error("{document}: {path} was changed at {found:?}, later than this transaction")]
    TimeBehind {
        /// `collection/id`.
        document: String,
        /// Path of the field.
        path: String,
        /// Time of the change.
        found: Hlc,
    },
}

/// What a put wants of a rich field: to be equal to a text or list. Whoever keeps the content makes the
/// few changes that it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct RichWish {
    /// The field.
    pub path: Path,
    /// What it is.
    pub kind: RichKind,
    /// What it shall show.
    pub value: Value,
}

/// Edits one document within a transaction.
///
/// Every edit is applied to the document at once, so that later edits of the same transaction see
/// it. If the transaction is abandoned, so must be the document. Each edit says whether it changed
/// anything.
#[derive(Debug)]
pub struct Edit<'e, D> {
    transaction: &'e mut Transaction,
    document: &'e mut Document,
    dictionary: &'e mut D,
    collection: &'e str,
    id: &'e DocId,
    wishes: Vec<RichWish>,
}

impl Transaction {
    /// Starts to edit a document as it is now.
    pub fn edit<'e, D: Dictionary>(
        &'e mut self,
        collection: &'e str,
        id: &'e DocId,
        document: &'e mut Document,
        dictionary: &'e mut D,
    ) -> Result<Edit<'e, D>, EditError> {
        check_collection(collection).map_err(|source| EditError::Collection {
            collection: collection.to_owned(),
            source,
        })?;
        Ok(Edit {
            transaction: self,
            document,
            dictionary,
            collection,
            id,
            wishes: Vec::new(),
        })
    }
}

impl<D: Dictionary> Edit<'_, D> {
    /// Writes a JSON object into the document, and makes the document if there is none.
    ///
    /// Maps merge field by field; everything else is assigned where it differs from what is
    /// visible. `{}` makes an empty map where there is no map. A list put over a set adds and
    /// removes elements. A deleted document starts anew: it is restored with nothing but `json`.
    pub fn put(&mut self, json: &Value, mode: Put) -> Result<bool, EditError> {
        let Value::Object(fields) = json else {
            return Err(self.wrong_kind("", "a JSON object", kind_of(json)));
        };
        self.step(|plan| {
            let mode = match plan.document.is_deleted() {
                true => Put::Replace,
                false => mode,
            };
            let is_new = !plan.document.exists();
            if is_new && (fields.is_empty() || plan.document.is_deleted()) {
                plan.lifecycle(Transaction::restore)?;
            }
            plan.fields(Visible::Map(plan.document.fields()), fields, mode, 1)
        })
    }

    /// Assigns one JSON value to a field, map or not, and replaces whatever is there.
    pub fn set(&mut self, path: &Path, json: &Value) -> Result<bool, EditError> {
        self.step_at(path, |plan| {
            let seen = plan.document.visible(path.as_ref(), plan.dictionary);
            let depth = path.as_ref().names().count();
            plan.field(seen, json, Put::Replace, depth)
        })
    }

    /// Adds to an integer; what is not there counts as 0. Concurrent additions all count.
    pub fn add(&mut self, path: &Path, delta: i64) -> Result<bool, EditError> {
        self.step_at(path, |plan| {
            let seen = plan.document.visible(path.as_ref(), plan.dictionary);
            let found = match seen {
                Visible::Absent | Visible::Number(_) => None,
                Visible::Value(value) if matches!(value.view(), View::Int(_)) => None,
                seen => Some(kind_seen(seen)),
            };
            if let Some(found) = found {
                return Err(plan.wrong_kind("an integer", found));
            }
            if delta != 0 || matches!(seen, Visible::Absent) {
                let base = plan.check_time()?;
                plan.transaction.add(PathRef(&plan.path), delta, base);
            }
            Ok(())
        })
    }

    /// Adds an element to a set: a truth value, number or text.
    pub fn set_add(&mut self, path: &Path, elem: &Value) -> Result<bool, EditError> {
        self.step_at(path, |plan| {
            let elem = plan.element(elem)?;
            let elem = ValueRef::checked(&elem);
            let seen = plan.document.visible(path.as_ref(), plan.dictionary);
            match seen {
                Visible::Absent => {}
                Visible::Set(members) => {
                    if members.present().any(|present| present == elem) {
                        return Ok(());
                    }
                }
                seen => return Err(plan.wrong_kind("a set", kind_seen(seen))),
            }
            plan.check_time()?;
            plan.transaction.set_add(PathRef(&plan.path), elem.bytes());
            Ok(())
        })
    }

    /// Removes an element from a set, as far as its additions are known here: one made elsewhere
    /// meanwhile survives.
    pub fn set_remove(&mut self, path: &Path, elem: &Value) -> Result<bool, EditError> {
        self.step_at(path, |plan| {
            let elem = plan.element(elem)?;
            match plan.document.visible(path.as_ref(), plan.dictionary) {
                Visible::Absent => Ok(()),
                Visible::Set(members) => plan.remove(members, ValueRef::checked(&elem)),
                seen => Err(plan.wrong_kind("a set", kind_seen(seen))),
            }
        })
    }

    /// Deletes a field and all that is below it.
    pub fn delete_field(&mut self, path: &Path) -> Result<bool, EditError> {
        self.step_at(path, |plan| {
            match plan.document.visible(path.as_ref(), plan.dictionary) {
                Visible::Absent => Ok(()),
                _ => plan.assign_bytes(DELETED_BYTES),
            }
        })
    }

    /// Deletes the document. Its content is kept for a restore, until a purge.
    pub fn delete(&mut self) -> Result<bool, EditError> {
        self.step(|plan| match plan.document.exists() {
            true => plan.lifecycle(Transaction::delete),
            false => Ok(()),
        })
    }

    /// Deletes the document, and what it holds for ever: a restore brings back what is written from now on.
    pub fn purge(&mut self) -> Result<bool, EditError> {
        self.step(|plan| match plan.document.is_purged() {
            false => {
                plan.check_not_after(plan.document.latest(plan.dictionary))?;
                plan.transaction.purge();
                Ok(())
            }
            true => Ok(()),
        })
    }

    /// Brings a deleted document back, with what was written to it meanwhile.
    pub fn restore(&mut self) -> Result<bool, EditError> {
        self.step(|plan| match plan.document.is_deleted() {
            true => plan.lifecycle(Transaction::restore),
            false => Ok(()),
        })
    }

    /// The rich field that an edit at a path is about: the one that is there, or one that begins on what
    /// is there now. A text can begin on an assigned text, a list on an assigned list, and each of them
    /// where nothing is.
    pub fn rich(&mut self, path: &Path, kind: RichKind) -> Result<RichField, EditError> {
        let mut found = None;
        self.step_at(path, |plan| {
            let (base, seed) = match plan.document.visible(path.as_ref(), plan.dictionary) {
                Visible::Rich(there, base) if there == kind => {
                    plan.check_time()?;
                    (base.and_then(|base| base.stamp(plan.dictionary)), None)
                }
                Visible::Absent => (plan.check_time()?, None),
                Visible::Value(value) => match (kind, value.view()) {
                    (RichKind::Text, View::Text(_)) | (RichKind::List, View::List(_)) => {
                        (plan.check_time()?, value.to_json())
                    }
                    _ => return Err(plan.wrong_kind(kind.noun(), kind_seen(Visible::Value(value)))),
                },
                seen => return Err(plan.wrong_kind(kind.noun(), kind_seen(seen))),
            };
            found = Some(RichField {
                place: RichPlace {
                    path: path.clone(),
                    kind,
                    base,
                },
                seed,
                is_visible: true,
            });
            Ok(())
        })?;
        found.ok_or_else(|| self.wrong_kind("", kind.noun(), "nothing"))
    }

    /// Adds an update that the content's keeper made to a field that [`Edit::rich`] found.
    pub fn rich_update(&mut self, place: &RichPlace, update: &[u8]) -> Result<bool, EditError> {
        self.step_at(&place.path, |plan| {
            plan.transaction
                .rich(PathRef(&plan.path), place.kind, place.base, update);
            Ok(())
        })
    }

    /// What the edits so far want of rich fields. Each must be made, or the transaction abandoned.
    pub fn take_wishes(&mut self) -> Vec<RichWish> {
        std::mem::take(&mut self.wishes)
    }

    fn step_at(
        &mut self,
        path: &Path,
        make: impl FnOnce(&mut Plan<'_, D>) -> Result<(), EditError>,
    ) -> Result<bool, EditError> {
        if self.document.is_deleted() {
            return Err(EditError::Deleted {
                document: document_name(self.collection, self.id),
            });
        }
        self.step(|plan| {
            plan.enter_map_of(path)?;
            make(plan)
        })
    }

    /// Makes operations against the document as it is, then applies them; or takes them back.
    fn step(
        &mut self,
        make: impl FnOnce(&mut Plan<'_, D>) -> Result<(), EditError>,
    ) -> Result<bool, EditError> {
        let before = self.transaction.mark();
        self.transaction.open(self.collection, self.id);
        let mark = self.transaction.mark();
        let mut plan = Plan {
            transaction: self.transaction,
            document: self.document,
            dictionary: self.dictionary,
            collection: self.collection,
            id: self.id,
            path: String::new(),
            wishes: Vec::new(),
        };
        let result = make(&mut plan).and_then(|()| plan.check_size(mark));
        let wishes = plan.wishes;
        if result.is_ok() {
            self.wishes.extend(wishes);
        }
        match (result, self.transaction.since(mark)) {
            (Ok(()), Some(ops)) if !ops.is_empty() => {
                self.document.apply_step(ops, self.dictionary);
                Ok(true)
            }
            (result, _) => {
                self.transaction.return_to(before);
                result.map(|()| false)
            }
        }
    }

    fn wrong_kind(&self, path: &str, expected: &'static str, found: &'static str) -> EditError {
        EditError::WrongKind {
            document: document_name(self.collection, self.id),
            path: path.to_owned(),
            expected,
            found,
        }
    }
}

fn document_name(collection: &str, id: &DocId) -> String {
    format!("{collection}/{id}")
}

/// How a message names a path.
fn place(path: &str) -> &str {
    match path {
        "" => "the document",
        path => path,
    }
}

fn kind_of(json: &Value) -> &'static str {
    match json {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn kind_seen(seen: Visible<'_>) -> &'static str {
    match seen {
        Visible::Absent => "nothing",
        Visible::Map(_) => "a map",
        Visible::Set(_) => "a set",
        Visible::Rich(kind, _) => kind.noun(),
        Visible::Number(_) => "a counter",
        Visible::Value(value) => match value.view() {
            View::Null => "null",
            View::Bool(_) => "a truth value",
            View::Int(_) => "an integer",
            View::Float(_) => "a number with a fraction",
            View::Text(_) => "text",
            View::List(_) => "a list",
            View::Map(_) => "a map",
            View::Deleted => "nothing",
        },
    }
}

#[cfg(test)]
mod tests;
