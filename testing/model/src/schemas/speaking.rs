//! What an app of a revision says with a write. Owns which fields it is about; it never says anything of a field that the
//! revision does not show, except of what is in an entry of a map that it deletes: an entry goes whole, as a document does.

use serde_json::{Map, Value};
use stead_base::Stamp;

use super::{Chain, EACH, Fields, Form, Path, Place, Said};
use crate::{Op, What};

/// An app of a revision that is about to write once to a document that is not deleted.
///
/// A write of what shows already says nothing: not to a field that holds it, nor to one that shows it as a default.
#[derive(Debug)]
pub struct Speaker<'m> {
    chain: &'m Chain,
    revision: usize,
    fields: &'m Fields,
    stamp: Stamp,
    said: Said,
}

impl<'m> Speaker<'m> {
    /// An app of a revision, from revision 0, at a replica that received these words.
    pub fn new(chain: &'m Chain, revision: usize, fields: &'m Fields, stamp: Stamp) -> Self {
        Self {
            chain,
            revision,
            fields,
            stamp,
            said: Said::default(),
        }
    }

    /// Writes fields of the document. With `replace`, what else shows is deleted.
    pub fn put(mut self, entries: &Map<String, Value>, replace: bool) -> Said {
        self.record(&[], &[], entries, replace);
        let is_element = |op: &Op| matches!(op.what, What::SetAdd(_));
        if !self.fields.exists() && self.said.0.iter().all(is_element) {
            self.say(Path::new(), What::Alive(true));
        }
        self.said
    }

    /// Makes a field equal to a value. Of this one field a default is said, too.
    pub fn set(mut self, path: &[String], value: &Value) -> Said {
        if let Some((place, keys)) = self.find(path) {
            self.field(place, &keys, value, true);
            if self.said.0.is_empty() && !self.holds(place, &keys) {
                self.say_default(place, &keys, value);
            }
            // It shows then by itself, where the record around it does.
            let around = place.path.split_last().and_then(|(_, path)| self.at(path));
            if let (true, Some(record)) = (self.said.0.is_empty(), around)
                && record.field.form == Form::Record
                && !self.shows_now(record, &keys)
            {
                self.assign(record.mark_below(&keys), true.into());
            }
        }
        self.said
    }

    /// Deletes a field, or an entry of a map.
    pub fn unset(mut self, path: &[String]) -> Said {
        if let Some((place, keys)) = self.find(path) {
            let is_entry = place.path.last().is_some_and(|name| name == EACH);
            match is_entry {
                true => self.drop_held(place.home_below(&keys)),
                false => self.drop(place, &keys),
            }
        }
        self.said
    }

    /// Adds to a counter.
    pub fn add(mut self, path: &[String], delta: i64) -> Said {
        if let Some((place, keys)) = self.find(path) {
            let home = place.home_below(&keys);
            if delta != 0 || self.fields.at(&home).is_none() {
                let base = self.fields.0.reset(&home);
                self.say(home, What::Add(delta, base));
            }
        }
        self.said
    }

    /// Puts a text into a set.
    pub fn include(mut self, path: &[String], text: &Value) -> Said {
        if let Some((place, keys)) = self.find(path) {
            let text = place.back(text);
            if !self.elements(place, &keys).contains(&text) {
                self.say(place.home_below(&keys), What::SetAdd(text));
            }
        }
        self.said
    }

    /// Takes a text out of a set, in every older form that shows as it.
    pub fn exclude(mut self, path: &[String], text: &Value) -> Said {
        if let Some((place, keys)) = self.find(path) {
            for held in self.elements(place, &keys) {
                if place.forth(&held) == *text {
                    self.exclude_held(place, &keys, held);
                }
            }
        }
        self.said
    }

    /// Deletes the document.
    pub fn delete(mut self) -> Said {
        if self.fields.exists() {
            self.say(Path::new(), What::Alive(false));
        }
        self.said
    }

    /// Brings a deleted document back.
    pub fn restore(mut self) -> Said {
        if self.fields.is_deleted() {
            self.say(Path::new(), What::Alive(true));
        }
        self.said
    }

    fn record(
        &mut self,
        path: &[String],
        keys: &[String],
        entries: &Map<String, Value>,
        replace: bool,
    ) {
        for (name, value) in entries {
            let path = [path, std::slice::from_ref(name)].concat();
            if let Some(place) = self.at(&path) {
                self.field(place, keys, value, replace);
            }
        }
        if replace {
            for place in self.chain.within(self.revision, path) {
                let is_named = place
                    .path
                    .last()
                    .is_some_and(|name| entries.contains_key(name));
                if !is_named {
                    self.drop(place, keys);
                }
            }
        }
    }

    fn field(&mut self, place: &'m Place, keys: &[String], value: &Value, replace: bool) {
        let home = place.home_below(keys);
        let shown = self
            .chain
            .show_place(self.revision, place, keys, self.fields);
        match (place.field.form, value) {
            (Form::Record, Value::Object(entries)) => {
                self.record(&place.path, keys, entries, replace);
                if !self.shows_now(place, keys) {
                    let before = self.said.0.len();
                    self.say_defaults(&place.path, keys, entries);
                    if self.said.0.len() == before {
                        self.assign(place.mark_below(keys), true.into());
                    }
                }
            }
            (Form::Map, Value::Object(entries)) => {
                let Some(each) = self.chain.within(self.revision, &place.path).next() else {
                    return;
                };
                for (key, value) in entries {
                    let keys = [keys, std::slice::from_ref(key)].concat();
                    self.field(each, &keys, value, replace);
                }
                if let (true, Some(Value::Object(shown))) = (replace, shown) {
                    for key in shown.keys().filter(|key| !entries.contains_key(*key)) {
                        self.drop_held([&home[..], std::slice::from_ref(key)].concat());
                    }
                }
            }
            (Form::Set, Value::Array(wanted)) => {
                let there = self.elements(place, keys);
                for held in &there {
                    if !wanted.contains(&place.forth(held)) {
                        self.exclude_held(place, keys, held.clone());
                    }
                }
                for text in wanted {
                    if !there.iter().any(|held| place.forth(held) == *text) {
                        self.say(home.clone(), What::SetAdd(place.back(text)));
                    }
                }
            }
            _ if shown.as_ref() == Some(value) => {}
            (Form::Counter, value) => self.assign(home, value.clone()),
            (_, value) => {
                let there = match self.fields.at(&home) {
                    Some(Value::Array(there)) => there,
                    _ => Vec::new(),
                };
                self.assign(home, place.held(value, &there).into());
            }
        }
    }

    /// A record or entry shows once it was written: where all that was given is what shows anyway, defaults are said.
    fn say_defaults(&mut self, path: &[String], keys: &[String], entries: &Map<String, Value>) {
        for place in self.chain.within(self.revision, path) {
            match place.path.last().and_then(|name| entries.get(name)) {
                Some(Value::Object(entries)) if place.field.form == Form::Record => {
                    self.say_defaults(&place.path, keys, entries);
                }
                Some(value) => self.say_default(place, keys, value),
                None => {}
            }
        }
    }

    fn say_default(&mut self, place: &Place, keys: &[String], value: &Value) {
        let has_default = place.field.default.is_some() || self.chain.fallback(place).is_some();
        if has_default && matches!(place.field.form, Form::Single | Form::List) {
            self.assign(place.home_below(keys), place.held(value, &[]).into());
        }
    }

    /// Deletes a field; of a record what shows in it. What does not show is not deleted: an empty list has no first text.
    fn drop(&mut self, place: &Place, keys: &[String]) {
        match place.field.form {
            Form::Record => {
                for inner in self.chain.within(self.revision, &place.path) {
                    self.drop(inner, keys);
                }
                self.drop_held(place.mark_below(keys));
            }
            _ if !self.holds(place, keys) => {}
            _ => self.drop_held(place.home_below(keys)),
        }
    }

    fn drop_held(&mut self, home: Path) {
        if self.fields.at(&home).is_some() {
            self.say(home, What::Assign(None, Vec::new()));
        }
    }

    fn exclude_held(&mut self, place: &Place, keys: &[String], text: Value) {
        let home = place.home_below(keys);
        let reset = self.fields.0.reset(&home);
        let gone = self.fields.0.at(&home).flat_map(|op| match &op.what {
            What::SetRemove(removed, seen) if *removed == text => seen.clone(),
            _ => Vec::new(),
        });
        let gone: Vec<Stamp> = gone.collect();
        let is_gone = |stamp: Stamp| {
            gone.iter()
                .any(|gone| gone.writer == stamp.writer && stamp.hlc <= gone.hlc)
        };
        let adds = self.fields.0.at(&home).filter_map(|op| match &op.what {
            What::SetAdd(added) if *added == text && Some(op.stamp) >= reset => Some(op.stamp),
            _ => None,
        });
        let seen = adds.filter(|stamp| !is_gone(*stamp)).collect();
        self.say(home, What::SetRemove(text, seen));
    }

    fn elements(&self, place: &Place, keys: &[String]) -> Vec<Value> {
        match self.fields.at(&place.home_below(keys)) {
            Some(Value::Array(there)) => there,
            _ => Vec::new(),
        }
    }

    fn holds(&self, place: &Place, keys: &[String]) -> bool {
        self.chain.holds(self.revision, place, keys, self.fields)
    }

    /// Whether a record shows, or an entry is there, with what was said so far.
    fn shows_now(&self, place: &Place, keys: &[String]) -> bool {
        let mut now = self.fields.clone();
        now.receive(&self.said);
        match place.path.last().is_some_and(|name| name == EACH) {
            true => now.at(&place.home_below(keys)).is_some(),
            false => self
                .chain
                .show_place(self.revision, place, keys, &now)
                .is_some(),
        }
    }

    fn at(&self, path: &[String]) -> Option<&'m Place> {
        let mut places = self.chain.places(self.revision).iter();
        places.find(|place| place.path == path)
    }

    /// The place that a path of names and keys leads to, and the keys.
    fn find(&self, path: &[String]) -> Option<(&'m Place, Path)> {
        let mut keys = Path::new();
        let mut pattern = Path::new();
        for name in path {
            let each = [&pattern[..], &[EACH.to_owned()]].concat();
            if self.at(&each).is_some() {
                keys.push(name.clone());
                pattern = each;
            } else {
                pattern.push(name.clone());
            }
        }
        Some((self.at(&pattern)?, keys))
    }

    fn assign(&mut self, home: Path, value: Value) {
        self.say(home, What::Assign(Some(value), Vec::new()));
    }

    fn say(&mut self, path: Path, what: What) {
        let stamp = self.stamp;
        self.said.0.push(Op { path, stamp, what });
    }
}
