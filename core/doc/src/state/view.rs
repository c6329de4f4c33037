//! What a document shows: as JSON, as SQLite JSONB, field by field. Owns which of a cell's contents
//! is visible: fields below it, else a set, else a counter, else the assigned value.

use serde_json::{Map, Value, json};
use stead_base::Stamp;

use super::merge::child;
use super::{Cell, Document, Member, value_in};
use crate::dictionary::Dictionary;
use crate::jsonb;
use crate::path::PathRef;
use crate::value::{ValueRef, View};

/// What a cell shows.
#[derive(Clone, Copy)]
pub(crate) enum Visible<'d> {
    /// Nothing.
    Absent,
    /// A map of these fields, some of them perhaps absent.
    Map(Fields<'d>),
    /// A set.
    Set(Members<'d>),
    /// A counter.
    Number(i64),
    /// An assigned value that is not "deleted".
    Value(ValueRef<'d>),
}

/// The fields of a visible map.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'d> {
    cells: &'d [Cell],
    heap: &'d [u8],
}

/// The elements of a visible set.
#[derive(Clone, Copy)]
pub(crate) struct Members<'d> {
    members: &'d [Member],
    heap: &'d [u8],
}

impl Document {
    /// The visible content as JSON, maps sorted by field name. A deleted document shows what a
    /// restore would bring back.
    pub fn to_json<D: Dictionary>(&self, dictionary: &D) -> Value {
        fields_json(self.fields(), dictionary)
    }

    /// The visible JSON at a path; `None` where nothing is.
    pub fn get<D: Dictionary>(&self, path: PathRef<'_>, dictionary: &D) -> Option<Value> {
        visible_json(self.visible(path, dictionary), dictionary)
    }

    /// Appends the visible content as SQLite JSONB: the same value as [`Document::to_json`].
    pub fn project_jsonb<D: Dictionary>(&self, dictionary: &D, out: &mut Vec<u8>) {
        put_fields(self.fields(), dictionary, out);
    }

    /// Everything the document holds, with names and writers spelled out: two replicas that have
    /// applied the same operations explain themselves in the same words, whatever their numbers.
    pub fn explain<D: Dictionary>(&self, dictionary: &D) -> Value {
        let stamp = |stamp: super::LocalStamp| stamp_text(stamp.stamp(dictionary));
        let lifecycle = self
            .lifecycle
            .map(|lifecycle| json!([lifecycle.alive, stamp(lifecycle.stamp)]));
        json!({
            "lifecycle": lifecycle,
            "fields": self.explain_cells(&self.cells, dictionary),
        })
    }

    fn explain_cells<D: Dictionary>(&self, cells: &[Cell], dictionary: &D) -> Value {
        let stamp = |stamp: super::LocalStamp| stamp_text(stamp.stamp(dictionary));
        let explain = |cell: &Cell| {
            let mut about = Map::new();
            if let Some(assign) = cell.assign {
                let value = self.value(assign.value).to_json();
                let value = value.map_or_else(|| json!([]), |value| json!([value]));
                about.insert("assign".into(), json!([value, stamp(assign.stamp)]));
            }
            if let Some(counter) = cell.counter() {
                let base = counter.base.map(stamp);
                about.insert("counter".into(), json!([counter.sum, base]));
            }
            if !cell.members().is_empty() {
                let member = |member: &Member| {
                    let elem = self.value(member.elem).to_json();
                    json!([elem, stamp(member.stamp), member.present])
                };
                let mut members: Vec<_> = cell.members().iter().map(member).collect();
                members.sort_by_key(Value::to_string);
                about.insert("members".into(), members.into());
            }
            if !cell.cells().is_empty() {
                let fields = self.explain_cells(cell.cells(), dictionary);
                about.insert("fields".into(), fields);
            }
            let name = dictionary.field(cell.field).unwrap_or_default();
            (name.to_owned(), Value::Object(about))
        };
        Value::Object(cells.iter().map(explain).collect())
    }

    /// The fields of the document itself.
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields {
            cells: &self.cells,
            heap: &self.heap,
        }
    }

    /// What is visible at a path.
    pub(crate) fn visible<D: Dictionary>(&self, path: PathRef<'_>, dictionary: &D) -> Visible<'_> {
        let mut at = Visible::Map(self.fields());
        for name in path.names() {
            at = match at {
                Visible::Map(fields) => fields.get(name, dictionary),
                _ => Visible::Absent,
            };
        }
        at
    }

    /// Whether the document's lifecycle was changed later than a stamp.
    pub(crate) fn lifecycle_stamp<D: Dictionary>(&self, dictionary: &D) -> Option<Stamp> {
        self.lifecycle?.stamp.stamp(dictionary)
    }
}

fn stamp_text(stamp: Option<Stamp>) -> String {
    stamp.map_or_else(String::new, |stamp| {
        format!("{:?}@{}", stamp.hlc, stamp.writer)
    })
}

impl<'d> Fields<'d> {
    /// What is visible at one of the fields.
    pub(crate) fn get<D: Dictionary>(self, name: &str, dictionary: &D) -> Visible<'d> {
        match child(self.cells, name, dictionary) {
            Some(cell) => visible(cell, self.heap),
            None => Visible::Absent,
        }
    }

    /// The fields that are visible, sorted by name.
    pub(crate) fn visible<D: Dictionary>(
        self,
        dictionary: &D,
    ) -> impl Iterator<Item = (&str, Visible<'d>)> {
        self.cells.iter().filter_map(move |cell| {
            let name = dictionary.field(cell.field)?;
            match visible(cell, self.heap) {
                Visible::Absent => None,
                seen => Some((name, seen)),
            }
        })
    }
}

impl<'d> Members<'d> {
    /// The elements that are present, in their order.
    pub(crate) fn present(self) -> impl Iterator<Item = ValueRef<'d>> {
        let same = |a: &Member, b: &Member| {
            value_in(self.heap, a.elem).bytes() == value_in(self.heap, b.elem).bytes()
        };
        self.members
            .chunk_by(same)
            .filter(|of_elem| of_elem.iter().any(|member| member.present))
            .map(move |of_elem| value_in(self.heap, of_elem[0].elem))
    }

    /// The additions of an element that have not been removed.
    pub(crate) fn additions<D: Dictionary>(
        self,
        elem: ValueRef<'_>,
        dictionary: &D,
    ) -> impl Iterator<Item = Stamp> {
        self.members
            .iter()
            .filter(move |member| {
                member.present && value_in(self.heap, member.elem).bytes() == elem.bytes()
            })
            .filter_map(move |member| member.stamp.stamp(dictionary))
    }
}

fn visible<'d>(cell: &'d Cell, heap: &'d [u8]) -> Visible<'d> {
    if cell.more.is_some() {
        if is_any_visible(cell.cells(), heap) {
            let cells = cell.cells();
            return Visible::Map(Fields { cells, heap });
        }
        if !cell.members().is_empty() {
            let members = cell.members();
            return Visible::Set(Members { members, heap });
        }
        if let Some(counter) = cell.counter() {
            let start = cell
                .assign
                .filter(|assign| Some(assign.stamp) == counter.base);
            let start = match start.map(|assign| value_in(heap, assign.value).view()) {
                Some(View::Int(start)) => start,
                _ => 0,
            };
            return Visible::Number(start.wrapping_add(counter.sum));
        }
    }
    let Some(assign) = cell.assign else {
        return Visible::Absent;
    };
    let value = value_in(heap, assign.value);
    match value.view() {
        View::Deleted => Visible::Absent,
        View::Map(_) => Visible::Map(Fields {
            cells: cell.cells(),
            heap,
        }),
        _ => Visible::Value(value),
    }
}

fn is_any_visible(cells: &[Cell], heap: &[u8]) -> bool {
    cells
        .iter()
        .any(|cell| !matches!(visible(cell, heap), Visible::Absent))
}

fn visible_json<D: Dictionary>(seen: Visible<'_>, dictionary: &D) -> Option<Value> {
    match seen {
        Visible::Absent => None,
        Visible::Map(fields) => Some(fields_json(fields, dictionary)),
        Visible::Set(members) => Some(
            members
                .present()
                .filter_map(|elem| elem.to_json())
                .collect(),
        ),
        Visible::Number(number) => Some(number.into()),
        Visible::Value(value) => value.to_json(),
    }
}

fn fields_json<D: Dictionary>(fields: Fields<'_>, dictionary: &D) -> Value {
    let fields = fields.visible(dictionary);
    Value::Object(
        fields
            .filter_map(|(name, seen)| Some((name.to_owned(), visible_json(seen, dictionary)?)))
            .collect(),
    )
}

fn put_fields<D: Dictionary>(fields: Fields<'_>, dictionary: &D, out: &mut Vec<u8>) {
    let at = jsonb::open(out);
    for (name, seen) in fields.visible(dictionary) {
        jsonb::put_text(out, name);
        match seen {
            Visible::Absent => jsonb::put_null(out),
            Visible::Map(fields) => put_fields(fields, dictionary, out),
            Visible::Set(members) => {
                let at = jsonb::open(out);
                for elem in members.present() {
                    jsonb::put_view(out, elem.view());
                }
                jsonb::close(out, at, jsonb::ARRAY);
            }
            Visible::Number(number) => jsonb::put_int(out, number),
            Visible::Value(value) => jsonb::put_view(out, value.view()),
        }
    }
    jsonb::close(out, at, jsonb::OBJECT);
}
