//! What a document shows: as JSON, as SQLite JSONB, field by field. Owns which of a cell's contents
//! is visible: fields below it, else a set, else a rich field (a text before a list before a tree), else
//! a counter, else the assigned value.

use serde_json::{Map, Value, json};
use stead_base::Stamp;

use super::merge::child;
use super::{Cell, Document, LocalStamp, Member, value_in};
use crate::dictionary::Dictionary;
use crate::jsonb;
use crate::path::{PathRef, SEPARATOR};
use crate::rich::{NoRichValues, RichField, RichKind, RichPlace, RichValues};
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
    /// A rich field, whose content is kept elsewhere.
    Rich(RichKind, Option<LocalStamp>),
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
    /// Rich fields show as null; [`Document::to_json_with`] shows them.
    pub fn to_json<D: Dictionary>(&self, dictionary: &D) -> Value {
        self.to_json_with(dictionary, &NoRichValues)
    }

    /// Like [`Document::to_json`], with the content of rich fields.
    pub fn to_json_with<D: Dictionary>(&self, dictionary: &D, rich: &dyn RichValues) -> Value {
        Show::new(dictionary, rich).fields_json(self.fields())
    }

    /// The visible JSON at a path; `None` where nothing is.
    pub fn get<D: Dictionary>(&self, path: PathRef<'_>, dictionary: &D) -> Option<Value> {
        let mut show = Show::new(dictionary, &NoRichValues);
        show.path.push_str(path.0);
        show.json(self.visible(path, dictionary))
    }

    /// Whether what is visible at a path is a list that is replaced as a whole, not a set.
    pub fn is_list<D: Dictionary>(&self, path: PathRef<'_>, dictionary: &D) -> bool {
        match self.visible(path, dictionary) {
            Visible::Value(value) => matches!(value.view(), View::List(_)),
            _ => false,
        }
    }

    /// Appends the visible content as SQLite JSONB: the same value as [`Document::to_json`].
    /// Rich fields become null; [`Document::project_jsonb_with`] writes them.
    pub fn project_jsonb<D: Dictionary>(&self, dictionary: &D, out: &mut Vec<u8>) {
        self.project_jsonb_with(dictionary, &NoRichValues, out);
    }

    /// Like [`Document::project_jsonb`], with the content of rich fields.
    pub fn project_jsonb_with<D: Dictionary>(
        &self,
        dictionary: &D,
        rich: &dyn RichValues,
        out: &mut Vec<u8>,
    ) {
        Show::new(dictionary, rich).put_fields(self.fields(), out);
    }

    /// Whether there may be rich fields. False is certain.
    pub fn may_hold_rich(&self) -> bool {
        self.has_rich
    }

    /// Whether an instance of a rich field is alive: not replaced by an assignment or a later one.
    pub fn holds_rich<D: Dictionary>(
        &self,
        path: PathRef<'_>,
        kind: RichKind,
        base: Option<Stamp>,
        dictionary: &D,
    ) -> bool {
        let mut cells = &self.cells[..];
        let mut alive = None;
        for name in path.names() {
            let Some(cell) = child(cells, name, dictionary) else {
                return false;
            };
            alive = cell.rich();
            cells = cell.cells();
        }
        alive.is_some_and(|rich| {
            let known = rich.base.and_then(|base| base.stamp(dictionary));
            known == base && rich.kinds().any(|alive| alive == kind)
        })
    }

    /// Every rich field that is alive, hidden ones too.
    pub fn rich_fields<D: Dictionary>(&self, dictionary: &D) -> Vec<RichField> {
        let mut found = Vec::new();
        if self.has_rich {
            self.find_rich(
                &self.cells,
                &mut String::new(),
                true,
                dictionary,
                &mut found,
            );
        }
        found
    }

    fn find_rich<D: Dictionary>(
        &self,
        cells: &[Cell],
        above: &mut String,
        shows: bool,
        dictionary: &D,
        found: &mut Vec<RichField>,
    ) {
        for cell in cells.iter().filter(|cell| cell.more.is_some()) {
            let len = above.len();
            if len > 0 {
                above.push(SEPARATOR);
            }
            above.push_str(dictionary.field(cell.field).unwrap_or_default());
            let seen = visible(cell, &self.heap);
            if let (Some(rich), Some(path)) = (cell.rich(), PathRef(above).to_path()) {
                let base = rich.base.and_then(|base| base.stamp(dictionary));
                for kind in rich.kinds() {
                    let path = path.clone();
                    found.push(RichField {
                        seed: self.seed(cell, kind),
                        is_visible: shows
                            && matches!(seen, Visible::Rich(shown, _) if shown == kind),
                        place: RichPlace { path, kind, base },
                    });
                }
            }
            let shows = shows && matches!(seen, Visible::Map(_));
            self.find_rich(cell.cells(), above, shows, dictionary, found);
            above.truncate(len);
        }
    }

    /// What a rich field on a cell's assignment begins with.
    fn seed(&self, cell: &Cell, kind: RichKind) -> Option<Value> {
        let base = cell.rich()?.base;
        let assign = cell.assign.filter(|assign| Some(assign.stamp) == base)?;
        let value = self.value(assign.value);
        match (kind, value.view()) {
            (RichKind::Text, View::Text(_)) | (RichKind::List, View::List(_)) => value.to_json(),
            _ => None,
        }
    }

    /// Everything the document holds, with names and writers spelled out: two replicas that have
    /// applied the same operations explain themselves in the same words, whatever their numbers.
    pub fn explain<D: Dictionary>(&self, dictionary: &D) -> Value {
        let stamp = |stamp: super::LocalStamp| stamp_text(stamp.stamp(dictionary));
        let lifecycle = self
            .lifecycle
            .map(|lifecycle| json!([lifecycle.alive, stamp(lifecycle.stamp)]));
        let mut all = json!({
            "lifecycle": lifecycle,
            "fields": self.explain_cells(&self.cells, dictionary),
        });
        if let Some(purged) = self.purged {
            all["purged"] = stamp(purged).into();
        }
        all
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
            if let Some(rich) = cell.rich() {
                let kinds: Vec<String> = rich.kinds().map(|kind| format!("{kind:?}")).collect();
                about.insert("rich".into(), json!([kinds, rich.base.map(stamp)]));
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

    /// Since when the document is alive or deleted.
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
        if let Some(rich) = cell.rich()
            && let Some(kind) = rich.kinds().next()
        {
            return Visible::Rich(kind, rich.base);
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

/// Writes what is visible, and knows where it is.
struct Show<'s, D> {
    dictionary: &'s D,
    rich: &'s dyn RichValues,
    /// The joined path of the map or rich field at hand.
    path: String,
}

impl<'s, D: Dictionary> Show<'s, D> {
    fn new(dictionary: &'s D, rich: &'s dyn RichValues) -> Self {
        Self {
            dictionary,
            rich,
            path: String::new(),
        }
    }

    fn enter(&mut self, name: &str) -> usize {
        let before = self.path.len();
        if before > 0 {
            self.path.push(SEPARATOR);
        }
        self.path.push_str(name);
        before
    }

    /// The content of the rich field at hand.
    fn rich(&self, kind: RichKind, base: Option<LocalStamp>) -> Value {
        let base = base.and_then(|base| base.stamp(self.dictionary));
        let value = self.rich.value(PathRef(&self.path), kind, base);
        value.unwrap_or_default()
    }

    fn json(&mut self, seen: Visible<'_>) -> Option<Value> {
        match seen {
            Visible::Absent => None,
            Visible::Map(fields) => Some(self.fields_json(fields)),
            Visible::Set(members) => Some(
                members
                    .present()
                    .filter_map(|elem| elem.to_json())
                    .collect(),
            ),
            Visible::Rich(kind, base) => Some(self.rich(kind, base)),
            Visible::Number(number) => Some(number.into()),
            Visible::Value(value) => value.to_json(),
        }
    }

    fn fields_json(&mut self, fields: Fields<'_>) -> Value {
        let dictionary = self.dictionary;
        let mut shown = Map::new();
        for (name, seen) in fields.visible(dictionary) {
            let value = match seen {
                Visible::Map(_) | Visible::Rich(..) => {
                    let before = self.enter(name);
                    let value = self.json(seen);
                    self.path.truncate(before);
                    value
                }
                _ => self.json(seen),
            };
            shown.extend(value.map(|value| (name.to_owned(), value)));
        }
        Value::Object(shown)
    }

    fn put_fields(&mut self, fields: Fields<'_>, out: &mut Vec<u8>) {
        let dictionary = self.dictionary;
        let at = jsonb::open(out);
        for (name, seen) in fields.visible(dictionary) {
            jsonb::put_text(out, name);
            match seen {
                Visible::Absent => jsonb::put_null(out),
                Visible::Map(fields) => {
                    let before = self.enter(name);
                    self.put_fields(fields, out);
                    self.path.truncate(before);
                }
                Visible::Set(members) => {
                    let at = jsonb::open(out);
                    for elem in members.present() {
                        jsonb::put_view(out, elem.view());
                    }
                    jsonb::close(out, at, jsonb::ARRAY);
                }
                Visible::Rich(kind, base) => {
                    let before = self.enter(name);
                    jsonb::put_json(out, &self.rich(kind, base));
                    self.path.truncate(before);
                }
                Visible::Number(number) => jsonb::put_int(out, number),
                Visible::Value(value) => jsonb::put_view(out, value.view()),
            }
        }
        jsonb::close(out, at, jsonb::OBJECT);
    }
}
