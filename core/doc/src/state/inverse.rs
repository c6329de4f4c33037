//! What it takes to take a change back: what was there, typed, and whether anybody changed it since. Owns
//! questions about a document's cells; the edits that follow are the caller's.

use serde_json::Value;
use stead_base::Stamp;

use super::merge::child;
use super::{Cell, Document, LocalStamp, Visible};
use crate::dictionary::Dictionary;
use crate::path::PathRef;
use crate::rich::RichKind;
use crate::value::ValueRef;

/// What is visible somewhere, and of which type.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Nothing.
    Absent,
    /// An assigned value.
    Value(Value),
    /// A map.
    Map(Vec<(String, Shape)>),
    /// A set of these elements.
    Set(Vec<Value>),
    /// A counter.
    Counter(i64),
    /// A rich field.
    Rich(RichKind, Option<Stamp>),
}

/// Whether what a change assigned is still as it left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Nobody has touched it.
    Untouched,
    /// It is a rich field by now, on what was assigned; only its content can tell.
    Rich,
    /// Somebody has.
    Changed,
}

impl Document {
    /// What is visible at a path, with its type.
    pub fn shape<D: Dictionary>(&self, path: PathRef<'_>, dictionary: &D) -> Shape {
        shape_of(self.visible(path, dictionary), dictionary)
    }

    /// Whether what was assigned at a path, and all below it, was written by transactions of `is_by` only.
    pub fn since<D: Dictionary>(
        &self,
        path: PathRef<'_>,
        is_by: &dyn Fn(Stamp) -> bool,
        dictionary: &D,
    ) -> Since {
        let mut cells = &self.cells[..];
        let mut found = None;
        for name in path.names() {
            found = child(cells, name, dictionary);
            cells = found.map_or(&[], Cell::cells);
        }
        let is_by = |local: LocalStamp| local.stamp(dictionary).is_some_and(is_by);
        match found {
            Some(cell) if cell.assigned().is_some_and(is_by) => {
                if !is_all_by(cell, &is_by) {
                    Since::Changed
                } else if cell.rich().is_some() {
                    Since::Rich
                } else {
                    Since::Untouched
                }
            }
            _ => Since::Changed,
        }
    }

    /// Whether all that the document holds was written by transactions of `is_by`.
    pub fn is_only_by<D: Dictionary>(&self, is_by: &dyn Fn(Stamp) -> bool, dictionary: &D) -> bool {
        let is_by = |local: LocalStamp| local.stamp(dictionary).is_some_and(is_by);
        let lifecycle = self.lifecycle.map(|lifecycle| lifecycle.stamp);
        lifecycle.is_none_or(is_by)
            && self.cells.iter().all(|cell| {
                is_all_by(cell, &is_by) && cell.rich().is_none() && cell.counter().is_none()
            })
    }

    /// Whether the word that the document lives, or is deleted, is of a transaction of `is_by`.
    pub fn lifecycle_is_by<D: Dictionary>(
        &self,
        is_by: &dyn Fn(Stamp) -> bool,
        dictionary: &D,
    ) -> bool {
        self.lifecycle_stamp(dictionary).is_some_and(is_by)
    }

    /// Since when the document is deleted, if it is.
    pub fn deleted_at<D: Dictionary>(&self, dictionary: &D) -> Option<Stamp> {
        self.lifecycle_stamp(dictionary)
            .filter(|_| self.is_deleted())
    }

    /// Since when somebody's word is that the document lives, if that is the latest.
    pub fn made_at<D: Dictionary>(&self, dictionary: &D) -> Option<Stamp> {
        self.lifecycle_stamp(dictionary)
            .filter(|_| !self.is_deleted())
    }

    /// The latest assignment at or above a path: what a counter or rich field there builds on.
    pub fn base_at<D: Dictionary>(&self, path: PathRef<'_>, dictionary: &D) -> Option<Stamp> {
        self.latest_assign(path, dictionary)
    }

    /// The additions of an element to a set that nobody has removed.
    pub fn additions_of<D: Dictionary>(
        &self,
        path: PathRef<'_>,
        elem: ValueRef<'_>,
        dictionary: &D,
    ) -> Vec<Stamp> {
        match self.visible(path, dictionary) {
            Visible::Set(members) => members.additions(elem, dictionary).collect(),
            _ => Vec::new(),
        }
    }
}

/// Whether a cell and all below it hold nothing of another transaction. Additions to a counter are not
/// known by their transaction and count as another's; rich fields are not looked into at the cell
/// itself and count as another's below it.
fn is_all_by(cell: &Cell, is_by: &impl Fn(LocalStamp) -> bool) -> bool {
    cell.assigned().is_none_or(is_by)
        && cell.counter().is_none()
        && cell.members().iter().all(|member| is_by(member.stamp))
        && cell
            .cells()
            .iter()
            .all(|below| below.rich().is_none() && is_all_by(below, is_by))
}

fn shape_of<D: Dictionary>(seen: Visible<'_>, dictionary: &D) -> Shape {
    match seen {
        Visible::Absent => Shape::Absent,
        Visible::Map(fields) => Shape::Map(
            fields
                .visible(dictionary)
                .map(|(name, seen)| (name.to_owned(), shape_of(seen, dictionary)))
                .collect(),
        ),
        Visible::Set(members) => Shape::Set(
            members
                .present()
                .filter_map(|elem| elem.to_json())
                .collect(),
        ),
        Visible::Rich(kind, base) => {
            Shape::Rich(kind, base.and_then(|base| base.stamp(dictionary)))
        }
        Visible::Number(number) => Shape::Counter(number),
        Visible::Value(value) => value.to_json().map_or(Shape::Absent, Shape::Value),
    }
}
