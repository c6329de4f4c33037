//! What apps of any revisions see of one document, said as plainly as possible, to hold the real schemas against.
//!
//! A field is a number: the one that it got when it came into being. A revision is a flat list of the places where it
//! shows fields, and a lens edits that list. What apps write is kept by the numbers of fields, never by names, and every
//! single value is kept as a list, in the words of the revision that the field came with; how concurrent words merge is the
//! business of the crate's model of documents. It shares no code with `core/schema`, knows no key, and finds everything anew
//! each time it is asked.
//!
//! Left out, because a model could only copy what there is: which item of a list was which one before (lists have single
//! values here), how a line of numbers is rounded (conversions are tables), rich fields, the refusal of wrong writes with
//! `refine`, and which of several fields of one name comes back.
//! Left out, because it is not of schemas: putting a deleted document anew, and purging it.

mod speaking;

use serde_json::{Map, Value};

use crate::{Model, Op};
pub use speaking::Speaker;

/// Names or numbers that lead somewhere, the outermost first.
pub type Path = Vec<String>;

/// Stands in a path for every key of a map.
pub const EACH: &str = "*";

/// Leads from a record to where it is said that it is there.
const THERE: &str = "there";

/// How a field holds and merges what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One text.
    Single,
    /// Texts, replaced as a whole.
    List,
    /// An integer.
    Counter,
    /// Texts, each once.
    Set,
    /// Fields of its own.
    Record,
    /// Values by keys.
    Map,
}

/// A field as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// How it holds and merges.
    pub form: Form,
    /// Whether it shows nothing where nothing was written.
    pub optional: bool,
    /// What it shows there instead.
    pub default: Option<Value>,
    /// The texts that it may hold.
    pub texts: Vec<String>,
    /// The fields of a record; of a map the one named [`EACH`].
    pub inside: Vec<(String, Field)>,
}

/// A step from one revision to the next, at the record that a path of names leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Lens {
    /// Names, and [`EACH`] below maps.
    pub at: Path,
    /// What is done there.
    pub step: Step,
}

/// What a lens does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A new field.
    Add(String, Field),
    /// The field that was removed under this name.
    Restore(String),
    /// The field shows no more; to older revisions the value where it holds nothing.
    Remove(String, Option<Value>),
    /// From, to.
    Rename(String, String),
    /// Out of the record, the field.
    Hoist(String, String),
    /// The field, into the record.
    Plunge(String, String),
    /// One text becomes a list.
    Wrap(String),
    /// A list becomes its first text.
    Head(String),
    /// Older texts and what they become.
    Convert(String, Vec<(String, String)>),
}

/// Where a revision shows a field.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// By names, with [`EACH`] for the keys of maps.
    pub path: Path,
    /// By numbers, likewise: the field's own one, below that of the map or record in which it came into being.
    pub home: Path,
    /// How it shows.
    pub field: Field,
    /// Conversions since it came into being.
    tables: Vec<Vec<(String, String)>>,
}

/// A removed field: the record it was in, its name, and the places it took along.
#[derive(Debug, Clone)]
struct Removed {
    record: Path,
    name: String,
    places: Vec<Place>,
}

/// The revisions of a collection.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    revisions: Vec<Vec<Place>>,
    removed: Vec<Removed>,
    /// What fields show that hold nothing, by their homes: the last word counts.
    fallbacks: Vec<(Path, Value)>,
    born: usize,
}

/// What was said of one document.
#[derive(Debug, Clone, Default)]
pub struct Fields(Model);

/// What one write says.
#[derive(Debug, Clone, Default)]
pub struct Said(Vec<Op>);

impl Fields {
    /// Takes what a write said, whoever made it.
    pub fn receive(&mut self, said: &Said) {
        self.0.ops.extend(said.0.iter().cloned());
    }

    /// Whether the document is deleted.
    pub fn is_deleted(&self) -> bool {
        self.0.is_deleted()
    }

    /// Whether there is a document.
    pub fn exists(&self) -> bool {
        !self.0.ops.is_empty() && !self.is_deleted()
    }

    fn at(&self, home: &[String]) -> Option<Value> {
        self.0.visible(home)
    }
}

impl Place {
    /// The number path of the field below these keys of maps.
    pub fn home_below(&self, keys: &[String]) -> Path {
        let mut keys = keys.iter();
        let fill = |name: &String| match name == EACH {
            true => keys.next().cloned().unwrap_or_default(),
            false => name.clone(),
        };
        self.home.iter().map(fill).collect()
    }

    fn forth(&self, text: &Value) -> Value {
        let convert = |text: Value, table: &Vec<(String, String)>| {
            let row = table.iter().find(|(old, _)| text == **old);
            row.map_or(text, |(_, new)| new.as_str().into())
        };
        self.tables.iter().fold(text.clone(), convert)
    }

    fn back(&self, text: &Value) -> Value {
        let convert = |text: Value, table: &Vec<(String, String)>| {
            let row = table.iter().find(|(_, new)| text == **new);
            row.map_or(text, |(old, _)| old.as_str().into())
        };
        self.tables.iter().rev().fold(text.clone(), convert)
    }

    /// Where it is said of a record, below these keys of maps, that it is there.
    fn mark_below(&self, keys: &[String]) -> Path {
        [self.home_below(keys), vec![THERE.to_owned()]].concat()
    }

    /// What shows where these texts are held.
    fn shown(&self, texts: &[Value]) -> Option<Value> {
        let mut texts = texts.iter().map(|text| self.forth(text));
        match self.field.form {
            Form::Single => texts.next(),
            _ => Some(texts.collect()),
        }
    }

    /// The texts held for a value; an app that sees the first one leaves the rest.
    fn held(&self, value: &Value, there: &[Value]) -> Vec<Value> {
        match (self.field.form, value) {
            (Form::Single, text) => {
                let rest = there.iter().skip(1).cloned();
                std::iter::once(self.back(text)).chain(rest).collect()
            }
            (_, Value::Array(texts)) => texts.iter().map(|text| self.back(text)).collect(),
            _ => Vec::new(),
        }
    }
}

impl Chain {
    /// Makes the next revision.
    pub fn evolve(&mut self, lenses: &[Lens]) {
        let mut places = self.revisions.last().cloned().unwrap_or_default();
        for lens in lenses {
            self.apply(lens, &mut places);
        }
        self.revisions.push(places);
    }

    /// How many revisions there are.
    pub const fn len(&self) -> usize {
        self.revisions.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.revisions.is_empty()
    }

    /// Where a revision shows fields, from revision 0.
    pub fn places(&self, revision: usize) -> &[Place] {
        &self.revisions[revision]
    }

    /// The fields that could come back in a record, each with its name, unless two have one name.
    pub fn restorable(&self, revision: usize, at: &[String]) -> Vec<(&str, &Field)> {
        let record = home_of(self.places(revision), at);
        let here = || self.removed.iter().filter(|gone| gone.record == record);
        here()
            .filter(|gone| here().filter(|other| other.name == gone.name).count() == 1)
            .filter_map(|gone| Some((&*gone.name, &find(&gone.places, &[])?.field)))
            .collect()
    }

    fn apply(&mut self, lens: &Lens, places: &mut Vec<Place>) {
        let here = |name: &String| [&lens.at[..], std::slice::from_ref(name)].concat();
        match &lens.step {
            Step::Add(name, field) => {
                let record = home_of(places, &lens.at);
                self.bear(here(name), record, field, places);
            }
            Step::Restore(name) => {
                let record = home_of(places, &lens.at);
                let is_it = |gone: &Removed| gone.record == record && gone.name == *name;
                if let Some(index) = self.removed.iter().position(is_it) {
                    for mut place in self.removed.remove(index).places {
                        place.path = [here(name), place.path].concat();
                        places.push(place);
                    }
                }
            }
            Step::Remove(name, default) => {
                if let (Some(place), Some(default)) = (find(places, &here(name)), default) {
                    let texts = place.held(default, &[]);
                    self.fallbacks.push((place.home.clone(), texts.into()));
                }
                let record = home_of(places, &lens.at);
                let gone = |place: &mut Place| place.path.starts_with(&here(name));
                let mut gone: Vec<Place> = places.extract_if(.., gone).collect();
                for place in &mut gone {
                    place.path.drain(..=lens.at.len());
                }
                self.removed.push(Removed {
                    record,
                    name: name.clone(),
                    places: gone,
                });
            }
            Step::Rename(from, to) => moved(places, &here(from), &here(to)),
            Step::Hoist(from, name) => {
                let inner = [here(from), vec![name.clone()]].concat();
                moved(places, &inner, &here(name));
            }
            Step::Plunge(name, into) => {
                if find(places, &here(into)).is_none() {
                    let optional = find(places, &here(name)).is_some_and(|it| it.field.optional);
                    let record = Field {
                        form: Form::Record,
                        optional,
                        default: None,
                        texts: Vec::new(),
                        inside: Vec::new(),
                    };
                    let around = home_of(places, &lens.at);
                    self.bear(here(into), around, &record, places);
                }
                let inner = [here(into), vec![name.clone()]].concat();
                moved(places, &here(name), &inner);
            }
            Step::Wrap(name) => on(places, &here(name), |place| {
                place.field.form = Form::List;
                let default = place.field.default.take();
                place.field.default = default.map(|default| vec![default].into());
            }),
            Step::Head(name) => on(places, &here(name), |place| {
                place.field.form = Form::Single;
                let default = place.field.default.take();
                place.field.default = default.and_then(|default| default.get(0).cloned());
                place.field.optional |= place.field.default.is_none();
            }),
            Step::Convert(name, table) => on(places, &here(name), |place| {
                place.tables.push(table.clone());
                let convert = |text: &Value| {
                    let row = table.iter().find(|(old, _)| *text == **old);
                    row.map(|(_, new)| Value::from(new.as_str()))
                };
                let default = place.field.default.as_ref();
                place.field.default = default.and_then(|default| match default {
                    Value::Array(texts) => texts.iter().map(convert).collect(),
                    text => convert(text),
                });
                place.field.texts = table.iter().map(|(_, new)| new.clone()).collect();
                place.field.texts.sort();
                place.field.texts.dedup();
            }),
        }
    }

    /// Gives a field and all that is in it their numbers.
    fn bear(&mut self, path: Path, around: Path, field: &Field, places: &mut Vec<Place>) {
        let is_each = path.last().is_some_and(|name| name == EACH);
        let number = match is_each {
            true => EACH.to_owned(),
            false => self.born.to_string(),
        };
        self.born += 1;
        let home = [around, vec![number]].concat();
        for (name, inner) in &field.inside {
            let path = [path.clone(), vec![name.clone()]].concat();
            self.bear(path, home.clone(), inner, places);
        }
        places.push(Place {
            path,
            home,
            field: Field {
                inside: Vec::new(),
                ..field.clone()
            },
            tables: Vec::new(),
        });
    }

    /// What an app of a revision sees.
    pub fn show(&self, revision: usize, fields: &Fields) -> Value {
        self.show_record(revision, &[], &[], fields)
    }

    fn show_record(
        &self,
        revision: usize,
        path: &[String],
        keys: &[String],
        fields: &Fields,
    ) -> Value {
        let shown = self.within(revision, path).filter_map(|place| {
            let name = place.path.last()?.clone();
            Some((name, self.show_place(revision, place, keys, fields)?))
        });
        Value::Object(shown.collect())
    }

    fn show_place(
        &self,
        revision: usize,
        place: &Place,
        keys: &[String],
        fields: &Fields,
    ) -> Option<Value> {
        let held = fields.at(&place.home_below(keys));
        Some(match place.field.form {
            Form::Single | Form::List => {
                let texts = held.as_ref().and_then(Value::as_array);
                let shown = texts.and_then(|texts| place.shown(texts));
                match (shown, &place.field.default, self.fallback(place)) {
                    (Some(shown), _, _) => shown,
                    (None, Some(default), _) => default.clone(),
                    (None, None, texts) => place.shown(texts?)?,
                }
            }
            Form::Counter => held.unwrap_or_else(|| 0.into()),
            Form::Set => {
                let mut shown: Vec<Value> = Vec::new();
                for text in held.iter().filter_map(Value::as_array).flatten() {
                    let text = place.forth(text);
                    if !shown.contains(&text) {
                        shown.push(text);
                    }
                }
                shown.into()
            }
            Form::Record => {
                if place.field.optional && !self.holds(revision, place, keys, fields) {
                    return None;
                }
                self.show_record(revision, &place.path, keys, fields)
            }
            Form::Map => {
                let each = self.within(revision, &place.path).next()?;
                let mut shown = Map::new();
                for key in held.iter().filter_map(Value::as_object).flat_map(Map::keys) {
                    let keys = [keys, std::slice::from_ref(key)].concat();
                    let value = self.show_place(revision, each, &keys, fields)?;
                    shown.insert(key.clone(), value);
                }
                shown.into()
            }
        })
    }

    /// Whether a document holds something of a field that shows there.
    fn holds(&self, revision: usize, place: &Place, keys: &[String], fields: &Fields) -> bool {
        match place.field.form {
            Form::Record => {
                let mut within = self.within(revision, &place.path);
                fields.at(&place.mark_below(keys)).is_some()
                    || within.any(|inner| self.holds(revision, inner, keys, fields))
            }
            form => match fields.at(&place.home_below(keys)) {
                Some(Value::Array(texts)) if form == Form::Single => !texts.is_empty(),
                held => held.is_some(),
            },
        }
    }

    /// The places right below a path.
    fn within(&self, revision: usize, path: &[String]) -> impl Iterator<Item = &Place> {
        self.places(revision)
            .iter()
            .filter(move |place| place.path.len() == path.len() + 1 && place.path.starts_with(path))
    }

    fn fallback(&self, place: &Place) -> Option<&[Value]> {
        let mut last = self.fallbacks.iter().rev();
        let (_, texts) = last.find(|(home, _)| *home == place.home)?;
        texts.as_array().map(Vec::as_slice)
    }
}

fn find<'p>(places: &'p [Place], path: &[String]) -> Option<&'p Place> {
    places.iter().find(|place| place.path == path)
}

/// The number path of a record; of the document none.
fn home_of(places: &[Place], path: &[String]) -> Path {
    find(places, path).map_or_else(Path::new, |place| place.home.clone())
}

fn on(places: &mut [Place], path: &[String], change: impl Fn(&mut Place)) {
    places
        .iter_mut()
        .filter(|place| place.path == path)
        .for_each(change);
}

/// Shows elsewhere what showed at a path and below it.
fn moved(places: &mut [Place], from: &[String], to: &[String]) {
    for place in places {
        if place.path.starts_with(from) {
            place.path = [to, &place.path[from.len()..]].concat();
        }
    }
}
