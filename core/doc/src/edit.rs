//! From what a person wants to operations. Owns the meaning of an edit against the document as it
//! is now, and every refusal of one; what operations mean later is the merge's business.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use stead_base::{DocId, Hlc, Stamp, limits};

use crate::dictionary::Dictionary;
use crate::ops::{PARCEL_OPS_MAX, Transaction, TransactionMark};
use crate::path::{NameError, Path, PathRef, SEPARATOR, check_collection, check_name};
use crate::state::{Document, Visible};
use crate::value::{self, DELETED_BYTES, EMPTY_MAP_BYTES, VALUE_BYTES_MAX, ValueRef, View};

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

    /// Deletes the document. Its content is kept for a restore.
    pub fn delete(&mut self) -> Result<bool, EditError> {
        self.step(|plan| match plan.document.exists() {
            true => plan.lifecycle(Transaction::delete),
            false => Ok(()),
        })
    }

    /// Brings a deleted document back, with what was written to it meanwhile.
    pub fn restore(&mut self) -> Result<bool, EditError> {
        self.step(|plan| match plan.document.is_deleted() {
            true => plan.lifecycle(Transaction::restore),
            false => Ok(()),
        })
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
        };
        let result = make(&mut plan).and_then(|()| plan.check_size(mark));
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

/// One edit being turned into operations, at one path at a time.
struct Plan<'p, D> {
    transaction: &'p mut Transaction,
    document: &'p Document,
    dictionary: &'p D,
    collection: &'p str,
    id: &'p DocId,
    /// The joined path of the field at hand.
    path: String,
}

impl<'p, D: Dictionary> Plan<'p, D> {
    /// Puts the fields of a map, at the path of the map.
    fn fields(
        &mut self,
        seen: Visible<'p>,
        json: &Map<String, Value>,
        mode: Put,
        depth: usize,
    ) -> Result<(), EditError> {
        let mut sorted: Vec<(&String, &Value)> = json.iter().collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        let mut doomed = match seen {
            Visible::Map(fields) if mode == Put::Replace => {
                let names = fields.visible(self.dictionary).map(|(name, _)| name);
                names
                    .filter(|&name| !json.contains_key(name))
                    .collect::<Vec<_>>()
            }
            _ => Vec::new(),
        }
        .into_iter()
        .peekable();
        let above = self.path.len();
        for (name, value) in sorted {
            while let Some(gone) = doomed.next_if(|gone| *gone < &**name) {
                self.enter(gone);
                self.assign_bytes(DELETED_BYTES)?;
                self.path.truncate(above);
            }
            self.enter(name);
            if let Err(source) = check_name(name) {
                return Err(EditError::Name {
                    document: self.document_name(),
                    path: self.path_text(),
                    source,
                });
            }
            let seen = match seen {
                Visible::Map(fields) => fields.get(name, self.dictionary),
                _ => Visible::Absent,
            };
            self.field(seen, value, mode, depth)?;
            self.path.truncate(above);
        }
        for gone in doomed {
            self.enter(gone);
            self.assign_bytes(DELETED_BYTES)?;
            self.path.truncate(above);
        }
        Ok(())
    }

    /// Puts one field, at its path.
    fn field(
        &mut self,
        seen: Visible<'p>,
        json: &Value,
        mode: Put,
        depth: usize,
    ) -> Result<(), EditError> {
        if depth > limits::PATH_DEPTH_MAX {
            return Err(self.too_deep(limits::PATH_DEPTH_MAX));
        }
        match (json, seen) {
            (Value::Object(fields), Visible::Map(_)) if !fields.is_empty() => {
                self.fields(seen, fields, mode, depth + 1)
            }
            (Value::Object(fields), Visible::Absent) if !fields.is_empty() => {
                self.fields(seen, fields, mode, depth + 1)
            }
            (Value::Object(_), Visible::Map(fields)) => {
                match mode == Put::Replace && fields.visible(self.dictionary).next().is_some() {
                    true => self.assign_bytes(EMPTY_MAP_BYTES),
                    false => Ok(()),
                }
            }
            (Value::Object(fields), _) => {
                self.assign_bytes(EMPTY_MAP_BYTES)?;
                self.fields(Visible::Absent, fields, mode, depth + 1)
            }
            (Value::Array(items), Visible::Set(members)) => match self.elements(items) {
                Some(elems) => self.replace_members(members, &elems),
                None => self.assign(json, None),
            },
            (Value::Number(number), Visible::Number(shown)) => {
                match number.as_i64() == Some(shown) {
                    true => Ok(()),
                    false => self.assign(json, None),
                }
            }
            (_, Visible::Value(value)) => self.assign(json, Some(value)),
            _ => self.assign(json, None),
        }
    }

    /// Assigns a value, unless it is the one there already.
    fn assign(&mut self, json: &Value, there: Option<ValueRef<'_>>) -> Result<(), EditError> {
        let (mut nests, mut size) = (true, 0);
        let before = self.transaction.mark();
        self.transaction.assign(PathRef(&self.path), |out| {
            let start = out.len();
            nests = value::put(out, json, 0);
            size = out.len() - start;
            nests && there.is_none_or(|there| there.bytes() != &out[start..])
        });
        if !nests {
            return Err(self.too_deep(value::VALUE_DEPTH_MAX));
        }
        if size > VALUE_BYTES_MAX {
            self.transaction.return_to(before);
            return Err(self.too_large("bytes of a value", size, VALUE_BYTES_MAX));
        }
        self.check_time().map(drop)
    }

    fn assign_bytes(&mut self, value: &[u8]) -> Result<(), EditError> {
        self.check_time()?;
        self.transaction.assign(PathRef(&self.path), |out| {
            out.extend_from_slice(value);
            true
        });
        Ok(())
    }

    /// The list's elements in their encoding, if it can be a set.
    fn elements(&self, items: &[Value]) -> Option<Vec<Vec<u8>>> {
        let mut elems = Vec::with_capacity(items.len());
        for item in items {
            elems.push(self.element(item).ok()?);
        }
        elems.sort_unstable();
        elems.is_sorted_by(|a, b| a < b).then_some(elems)
    }

    fn replace_members(
        &mut self,
        members: crate::state::Members<'p>,
        elems: &[Vec<u8>],
    ) -> Result<(), EditError> {
        let wanted = |elem: &[u8]| elems.binary_search_by(|e| e[..].cmp(elem)).ok();
        let mut there = vec![false; elems.len()];
        for present in members.present() {
            match wanted(present.bytes()) {
                Some(index) => there[index] = true,
                None => self.remove(members, present)?,
            }
        }
        for (elem, _) in elems.iter().zip(there).filter(|(_, there)| !there) {
            self.check_time()?;
            self.transaction.set_add(PathRef(&self.path), elem);
        }
        Ok(())
    }

    fn remove(
        &mut self,
        members: crate::state::Members<'p>,
        elem: ValueRef<'_>,
    ) -> Result<(), EditError> {
        let mut observed = members.additions(elem, self.dictionary).peekable();
        if observed.peek().is_some() {
            self.check_time()?;
            let path = PathRef(&self.path);
            self.transaction.set_remove(path, elem.bytes(), observed);
        }
        Ok(())
    }

    /// An element's encoding. A float without a fraction is the integer: `1.0` and `1` are one.
    fn element(&self, json: &Value) -> Result<Vec<u8>, EditError> {
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        let mut out = Vec::new();
        let whole = match json {
            Value::Number(number) if number.is_f64() => number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() <= EXACT_MAX),
            Value::Number(_) | Value::Bool(_) | Value::String(_) => None,
            _ => {
                return Err(self.wrong_kind("a truth value, number or text", kind_of(json)));
            }
        };
        let encoded = match whole {
            Some(float) => value::put(&mut out, &Value::from(float as i64), 0),
            None => value::put(&mut out, json, 0),
        };
        if !encoded || out.len() > VALUE_BYTES_MAX {
            return Err(self.too_large("bytes of a value", out.len(), VALUE_BYTES_MAX));
        }
        Ok(out)
    }

    fn lifecycle(&mut self, change: impl FnOnce(&mut Transaction)) -> Result<(), EditError> {
        let known = self.document.lifecycle_stamp(self.dictionary);
        self.check_not_after(known)?;
        change(self.transaction);
        Ok(())
    }

    /// Checks that an edit of the field at hand will count; returns what it builds on.
    fn check_time(&self) -> Result<Option<Stamp>, EditError> {
        let path = PathRef(&self.path);
        let base = self.document.latest_assign(path, self.dictionary);
        self.check_not_after(base)?;
        Ok(base)
    }

    fn check_not_after(&self, known: Option<Stamp>) -> Result<(), EditError> {
        match known {
            Some(known) if known > self.transaction.stamp() => Err(EditError::TimeBehind {
                document: self.document_name(),
                path: self.path_text(),
                found: known.hlc,
            }),
            _ => Ok(()),
        }
    }

    fn check_size(&self, mark: TransactionMark) -> Result<(), EditError> {
        if self.transaction.len() > PARCEL_OPS_MAX {
            let what = "operations in a transaction";
            return Err(self.too_large(what, self.transaction.len(), PARCEL_OPS_MAX));
        }
        let bytes = self.document.bytes() + self.transaction.bytes_since(mark);
        if bytes > limits::DOC_BYTES_MAX {
            return Err(self.too_large("bytes of a document", bytes, limits::DOC_BYTES_MAX));
        }
        Ok(())
    }

    fn enter(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push(SEPARATOR);
        }
        self.path.push_str(name);
    }

    /// Goes to a path below maps only, or below nothing yet.
    fn enter_map_of(&mut self, path: &Path) -> Result<(), EditError> {
        let mut seen = Visible::Map(self.document.fields());
        for name in path.as_ref().names() {
            seen = match seen {
                Visible::Map(fields) => fields.get(name, self.dictionary),
                Visible::Absent => Visible::Absent,
                seen => return Err(self.wrong_kind("a map", kind_seen(seen))),
            };
            self.enter(name);
        }
        Ok(())
    }

    fn document_name(&self) -> String {
        document_name(self.collection, self.id)
    }

    fn path_text(&self) -> String {
        let mut text = String::new();
        let _ = write!(text, "{}", PathRef(&self.path));
        text
    }

    fn wrong_kind(&self, expected: &'static str, found: &'static str) -> EditError {
        EditError::WrongKind {
            document: self.document_name(),
            path: self.path_text(),
            expected,
            found,
        }
    }

    fn too_deep(&self, max: usize) -> EditError {
        EditError::TooDeep {
            document: self.document_name(),
            path: self.path_text(),
            max,
        }
    }

    fn too_large(&self, what: &'static str, found: usize, max: usize) -> EditError {
        EditError::TooLarge {
            document: self.document_name(),
            path: self.path_text(),
            what,
            found,
            max,
        }
    }
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
