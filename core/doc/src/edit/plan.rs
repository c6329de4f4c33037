//! One edit on its way to operations. Owns the comparison of what is wanted with what is there,
//! field by field, and the limits; it changes nothing but the transaction.

use serde_json::{Map, Value};
use stead_base::{DocId, Stamp, limits};

use super::{EditError, Put, RichWish, document_name, kind_of, kind_seen};
use crate::dictionary::Dictionary;
use crate::ops::{PARCEL_OPS_MAX, Transaction, TransactionMark};
use crate::path::{Path, PathRef, SEPARATOR, check_name};
use crate::rich::RichKind;
use crate::state::{Document, Members, Visible};
use crate::value::{self, DELETED_BYTES, EMPTY_MAP_BYTES, VALUE_BYTES_MAX, ValueRef};

/// One edit being turned into operations, at one path at a time.
pub(super) struct Plan<'p, D> {
    pub(super) transaction: &'p mut Transaction,
    pub(super) document: &'p Document,
    pub(super) dictionary: &'p D,
    pub(super) collection: &'p str,
    pub(super) id: &'p DocId,
    /// The joined path of the field at hand.
    pub(super) path: String,
    /// What rich fields shall become.
    pub(super) wishes: Vec<RichWish>,
}

impl<'p, D: Dictionary> Plan<'p, D> {
    /// Puts the fields of a map, at the path of the map.
    pub(super) fn fields(
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
    pub(super) fn field(
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
            (Value::String(_), Visible::Rich(kind @ RichKind::Text, _))
            | (Value::Array(_), Visible::Rich(kind @ RichKind::List, _)) => {
                self.check_time()?;
                self.wishes
                    .extend(PathRef(&self.path).to_path().map(|path| RichWish {
                        path,
                        kind,
                        value: json.clone(),
                    }));
                Ok(())
            }
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
    pub(super) fn assign(
        &mut self,
        json: &Value,
        there: Option<ValueRef<'_>>,
    ) -> Result<(), EditError> {
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

    pub(super) fn assign_bytes(&mut self, value: &[u8]) -> Result<(), EditError> {
        self.check_time()?;
        self.transaction.assign(PathRef(&self.path), |out| {
            out.extend_from_slice(value);
            true
        });
        Ok(())
    }

    /// The list's elements in their encoding, if it can be a set.
    pub(super) fn elements(&self, items: &[Value]) -> Option<Vec<Vec<u8>>> {
        let mut elems = Vec::with_capacity(items.len());
        for item in items {
            elems.push(self.element(item).ok()?);
        }
        elems.sort_unstable();
        elems.is_sorted_by(|a, b| a < b).then_some(elems)
    }

    pub(super) fn replace_members(
        &mut self,
        members: Members<'p>,
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

    pub(super) fn remove(
        &mut self,
        members: Members<'p>,
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
    pub(super) fn element(&self, json: &Value) -> Result<Vec<u8>, EditError> {
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

    pub(super) fn lifecycle(
        &mut self,
        change: impl FnOnce(&mut Transaction),
    ) -> Result<(), EditError> {
        let known = self.document.lifecycle_stamp(self.dictionary);
        self.check_not_after(known)?;
        change(self.transaction);
        Ok(())
    }

    /// Checks that an edit of the field at hand will count; returns what it builds on.
    pub(super) fn check_time(&self) -> Result<Option<Stamp>, EditError> {
        let path = PathRef(&self.path);
        let base = self.document.latest_assign(path, self.dictionary);
        self.check_not_after(base)?;
        Ok(base)
    }

    pub(super) fn check_not_after(&self, known: Option<Stamp>) -> Result<(), EditError> {
        match known {
            Some(known) if known > self.transaction.stamp() => Err(EditError::TimeBehind {
                document: self.document_name(),
                path: self.path_text(),
                found: known.hlc,
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn check_size(&self, mark: TransactionMark) -> Result<(), EditError> {
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

    pub(super) fn enter(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push(SEPARATOR);
        }
        self.path.push_str(name);
    }

    /// Goes to a path below maps only, or below nothing yet.
    pub(super) fn enter_map_of(&mut self, path: &Path) -> Result<(), EditError> {
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

    pub(super) fn document_name(&self) -> String {
        document_name(self.collection, self.id)
    }

    pub(super) fn path_text(&self) -> String {
        PathRef(&self.path).to_string()
    }

    pub(super) fn wrong_kind(&self, expected: &'static str, found: &'static str) -> EditError {
        EditError::WrongKind {
            document: self.document_name(),
            path: self.path_text(),
            expected,
            found,
        }
    }

    pub(super) fn too_deep(&self, max: usize) -> EditError {
        EditError::TooDeep {
            document: self.document_name(),
            path: self.path_text(),
            max,
        }
    }

    pub(super) fn too_large(&self, what: &'static str, found: usize, max: usize) -> EditError {
        EditError::TooLarge {
            document: self.document_name(),
            path: self.path_text(),
            what,
            found,
            max,
        }
    }
}
