//! From what an app of a revision writes to what the document holds. Owns the refusal of wrong writes,
//! and the promise that a write touches nothing that the app cannot see.

use serde_json::{Map, Value};
use stead_doc::{RichEdit, RichKind};

use crate::apply::{Write, apply, remove};
use crate::convert::same;
use crate::kind::{Fault, below, item, unknown};
use crate::projection::{
    Projection, at, is_plain, is_present, is_seen, name_of, read_fields, read_node, read_value,
};
use crate::shape::{Node, NodeKind, Seen};

type Done = Result<(), Fault>;

impl Projection {
    /// Writes the fields of an object. With `replace`, visible fields that it does not name are
    /// deleted; those that the revision does not see stay.
    pub fn put(&self, held: &Value, value: &Value, replace: bool) -> Result<Vec<Write>, Fault> {
        let Value::Object(entries) = value else {
            return Err(fault("", "a map of fields", value));
        };
        let mut plan = Plan::new(held);
        plan.record(&self.root, held, entries, replace, "")?;
        Ok(plan.finish())
    }

    /// Makes one field equal to a value.
    pub fn set(&self, held: &Value, path: &[String], value: &Value) -> Result<Vec<Write>, Fault> {
        let (node, key, rest) = self.locate_or_refuse(path)?;
        let text = text_of(path);
        if !rest.is_empty() {
            return Ok(vec![Write::Set {
                path: [&key[..], rest].concat(),
                value: value.clone(),
            }]);
        }
        let mut plan = Plan::new(held);
        let scope_len = key.len() - node.key.len();
        plan.scope = key[..scope_len].to_vec();
        let scope = at(held, &plan.scope).unwrap_or(&Value::Null);
        plan.field(node, scope, value, true, &text)?;
        let mut writes = plan.finish();
        // Said of this one field, a default is written down.
        if writes.is_empty() && has_default(node) && !is_present(node, scope) {
            let value = to_held_value(node, None, value, &text)?;
            writes.push(Write::Set { path: key, value });
        }
        if writes.is_empty() {
            writes.extend(self.mark_around(held, path));
        }
        Ok(writes)
    }

    /// Says that the record around a field is there, where that is not seen: then what is seen of the field by
    /// itself is, too.
    fn mark_around(&self, held: &Value, path: &[String]) -> Option<Write> {
        let (_, around) = path.split_last()?;
        let (record, key, _) = self.locate(around).filter(|_| !around.is_empty())?;
        record.fields()?;
        let mut plan = Plan::new(held);
        plan.scope = key[..key.len() - record.key.len()].to_vec();
        (!plan.shows(record, held)).then(|| plan.mark(record))
    }

    /// Deletes one field.
    pub fn unset(&self, held: &Value, path: &[String]) -> Result<Vec<Write>, Fault> {
        let (node, key, rest) = self.locate_or_refuse(path)?;
        if !rest.is_empty() {
            return Ok(vec![Write::Unset {
                path: [&key[..], rest].concat(),
            }]);
        }
        let is_entry = node.key.is_empty();
        let mut plan = Plan::new(held);
        plan.scope = key[..key.len() - node.key.len()].to_vec();
        let scope = at(held, &plan.scope).unwrap_or(&Value::Null);
        if !is_entry && node.to_field().must_be_written() && is_present(node, scope) {
            return Err(Fault {
                path: text_of(path),
                expected: node.to_kind().expected(),
                found: "its deletion, and every document must have it".to_owned(),
            });
        }
        plan.unset(node);
        Ok(plan.finish())
    }

    /// Adds to a counter.
    pub fn add(&self, path: &[String], delta: i64) -> Result<Write, Fault> {
        let (node, key, rest) = self.locate_or_refuse(path)?;
        match &node.kind {
            NodeKind::Any => Ok(Write::Add {
                path: [&key[..], rest].concat(),
                delta,
            }),
            NodeKind::Counter => Ok(Write::Add { path: key, delta }),
            _ => Err(Fault {
                path: text_of(path),
                expected: node.to_kind().expected(),
                found: "an addition, which only a counter takes".to_owned(),
            }),
        }
    }

    /// Puts an element into a set, or takes it out: in every form in which it is held, where older revisions tell
    /// apart what this one does not.
    pub fn element(
        &self,
        held: &Value,
        path: &[String],
        element: &Value,
        include: bool,
    ) -> Result<Vec<Write>, Fault> {
        let (node, key, rest) = self.locate_or_refuse(path)?;
        let (path, elements) = match &node.kind {
            NodeKind::Any => ([&key[..], rest].concat(), vec![element.clone()]),
            NodeKind::Set(seen) if include => {
                let element = to_held(seen, element, &text_of(path))?;
                (key, vec![element])
            }
            NodeKind::Set(seen) => {
                let there = at(held, &key).and_then(Value::as_array);
                let mut forms: Vec<Value> = there
                    .into_iter()
                    .flatten()
                    .filter(|held| {
                        same(
                            &seen.forth(held).unwrap_or_else(|| (*held).clone()),
                            element,
                        )
                    })
                    .cloned()
                    .collect();
                if forms.is_empty() {
                    forms.push(seen.back(element).unwrap_or_else(|| element.clone()));
                }
                (key, forms)
            }
            _ => {
                return Err(Fault {
                    path: text_of(path),
                    expected: node.to_kind().expected(),
                    found: "a single element, which only a set takes".to_owned(),
                });
            }
        };
        let write = |element| match include {
            true => Write::Include {
                path: path.clone(),
                element,
            },
            false => Write::Exclude {
                path: path.clone(),
                element,
            },
        };
        Ok(elements.into_iter().map(write).collect())
    }

    /// Where a text, list or tree is held that an edit is about; refuses an edit that does not fit.
    pub fn rich(
        &self,
        path: &[String],
        kind: RichKind,
        edit: &RichEdit,
    ) -> Result<Vec<String>, Fault> {
        let (node, key, rest) = self.locate_or_refuse(path)?;
        let refuse = |found: &str| Fault {
            path: text_of(path),
            expected: node.to_kind().expected(),
            found: found.to_owned(),
        };
        let items = match (&node.kind, kind) {
            (NodeKind::Any, _) => return Ok([&key[..], rest].concat()),
            (NodeKind::Text, RichKind::Text) | (NodeKind::Tree, RichKind::Tree) => return Ok(key),
            (
                NodeKind::Items {
                    merges: true, of, ..
                },
                RichKind::List,
            ) => of,
            (_, RichKind::Text) => return Err(refuse("an edit of a text")),
            (_, RichKind::List) => return Err(refuse("an edit of a list")),
            (_, RichKind::Tree) => return Err(refuse("an edit of a tree")),
        };
        let values = match edit {
            RichEdit::ListInsert { values, .. } => &values[..],
            RichEdit::ListSet { value, .. } => std::slice::from_ref(value),
            _ => &[],
        };
        if !values.is_empty() && !is_plain(items) {
            return Err(refuse(
                "an edit of single items, which older revisions hold in another form; put the list as a whole",
            ));
        }
        let mut faults = Vec::new();
        for value in values {
            items.to_kind().check(value, &text_of(path), &mut faults);
        }
        match faults.into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(key),
        }
    }

    fn locate_or_refuse<'p>(
        &self,
        path: &'p [String],
    ) -> Result<(&Node, Vec<String>, &'p [String]), Fault> {
        if let Some(found) = self.locate(path).filter(|_| !path.is_empty()) {
            return Ok(found);
        }
        // Name the first part that does not fit.
        for len in 1..=path.len() {
            if self.locate(&path[..len]).is_none() {
                let (above, last) = path[..len].split_at(len - 1);
                let Some((node, _, _)) = self.locate(above) else {
                    break;
                };
                let name = last.first().map_or("", String::as_str);
                return Err(match node.fields() {
                    Some(_) => unknown(&node.to_fields(), &text_of(above), name),
                    None => Fault {
                        path: text_of(above),
                        expected: format!("{}, as a whole", node.to_kind().expected()),
                        found: format!("the name {name:?} of a part"),
                    },
                });
            }
        }
        Err(Fault {
            path: String::new(),
            expected: "the path of a field".to_owned(),
            found: "the document itself".to_owned(),
        })
    }
}

/// Writes being gathered, for the document or an item of a list.
///
/// What depends on all that is said is decided at the end: [`Plan::finish`] sees whether a written record shows
/// itself, and whether anything is left where a deleted one was.
struct Plan<'p> {
    /// The document or item, before.
    held: &'p Value,
    writes: Vec<Write>,
    /// Leads to the document or entry of a map whose fields are written.
    scope: Vec<String>,
    /// Where deleted fields are held that are no records.
    gone: Vec<Vec<String>>,
    /// The places of deleted records.
    left: Vec<Vec<String>>,
    /// Records and maps that were written, the inner ones first, each with its scope.
    said: Vec<(Vec<String>, &'p Node, &'p Map<String, Value>)>,
}

impl<'p> Plan<'p> {
    const fn new(held: &'p Value) -> Self {
        Self {
            held,
            writes: Vec::new(),
            scope: Vec::new(),
            gone: Vec::new(),
            left: Vec::new(),
            said: Vec::new(),
        }
    }

    fn path(&self, node: &Node) -> Vec<String> {
        [&self.scope[..], &node.key[..]].concat()
    }

    /// `held` is the document or item that the record is a part of.
    fn record(
        &mut self,
        record: &'p Node,
        held: &Value,
        entries: &'p Map<String, Value>,
        replace: bool,
        text: &str,
    ) -> Done {
        let Some(fields) = record.fields() else {
            return Ok(());
        };
        for (name, value) in entries {
            let Some(node) = fields.get(name) else {
                return Err(unknown(&record.to_fields(), text, name));
            };
            self.field(node, held, value, replace, &below(text, name))?;
        }
        if replace {
            for (name, node) in fields {
                if entries.contains_key(name) || !is_present(node, held) {
                    continue;
                }
                if node.to_field().must_be_written() {
                    return Err(Fault {
                        path: below(text, name),
                        expected: node.to_kind().expected(),
                        found: "nothing".to_owned(),
                    });
                }
                self.unset(node);
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        node: &'p Node,
        held: &Value,
        value: &'p Value,
        replace: bool,
        text: &str,
    ) -> Done {
        match &node.kind {
            NodeKind::Record(_) => {
                let Value::Object(entries) = value else {
                    return Err(fault(text, &node.to_kind().expected(), value));
                };
                self.record(node, held, entries, replace, text)?;
                self.said.push((self.scope.clone(), node, entries));
                Ok(())
            }
            NodeKind::Map(of) => {
                let Value::Object(entries) = value else {
                    return Err(fault(text, &node.to_kind().expected(), value));
                };
                let outer = self.scope.clone();
                let there = at(held, &node.key).unwrap_or(&Value::Null);
                let place = self.path(node);
                for (key, value) in entries {
                    let text = below(text, key);
                    stead_doc::check_name(key).map_err(|error| Fault {
                        path: text.clone(),
                        expected: "a key with a name's form".to_owned(),
                        found: error.to_string(),
                    })?;
                    self.scope.clone_from(&place);
                    self.scope.push(key.clone());
                    let entry = there.get(key).unwrap_or(&Value::Null);
                    self.field(of, entry, value, replace, &text)?;
                }
                if let (true, Value::Object(there)) = (replace, there) {
                    for key in there.keys().filter(|key| !entries.contains_key(*key)) {
                        self.scope.clone_from(&place);
                        self.scope.push(key.clone());
                        self.unset(of);
                    }
                }
                self.scope = outer;
                self.said.push((self.scope.clone(), node, entries));
                Ok(())
            }
            NodeKind::Set(seen) => self.set_elements(node, seen, held, value, text),
            _ => self.whole(node, held, value, replace, text),
        }
    }

    /// Makes a set's elements equal to a list.
    fn set_elements(
        &mut self,
        node: &Node,
        seen: &Seen,
        held: &Value,
        value: &Value,
        text: &str,
    ) -> Done {
        let Value::Array(wanted) = value else {
            return Err(fault(text, &node.to_kind().expected(), value));
        };
        if read_node(node, held).is_some_and(|shown| same(&shown, value)) {
            return Ok(());
        }
        let there = match at(held, &node.key) {
            Some(Value::Array(there)) => &there[..],
            _ => &[],
        };
        let mut keep = Vec::with_capacity(wanted.len());
        for (index, element) in wanted.iter().enumerate() {
            if wanted[..index].iter().any(|other| same(other, element)) {
                return Err(Fault {
                    path: text.to_owned(),
                    expected: "each element once".to_owned(),
                    found: format!("{} twice", name_of(element)),
                });
            }
            keep.push(to_held(seen, element, &item(text, index))?);
        }
        // What is seen as a wanted element stays, in whichever of its forms it is held.
        let is_wanted = |held: &Value| {
            let shown = seen.forth(held).unwrap_or_else(|| held.clone());
            wanted.iter().any(|element| same(element, &shown))
        };
        for element in there.iter().filter(|element| !is_wanted(element)) {
            self.writes.push(Write::Exclude {
                path: self.path(node),
                element: element.clone(),
            });
        }
        for (element, wanted) in keep.into_iter().zip(wanted) {
            let is_there = there
                .iter()
                .any(|held| seen.forth(held).is_some_and(|shown| same(&shown, wanted)));
            if !is_there {
                self.writes.push(Write::Include {
                    path: self.path(node),
                    element,
                });
            }
        }
        Ok(())
    }

    /// Writes a field that is replaced as a whole.
    fn whole(
        &mut self,
        node: &Node,
        held: &Value,
        value: &Value,
        replace: bool,
        text: &str,
    ) -> Done {
        let there = at(held, &node.key);
        // Writing back what is seen is no change, be it a default.
        if read_node(node, held).is_some_and(|shown| same(&shown, value)) {
            return Ok(());
        }
        let mut faults = Vec::new();
        node.to_kind().check(value, text, &mut faults);
        if let Some(first) = faults.into_iter().next() {
            return Err(first);
        }
        let path = self.path(node);
        let value = match &node.kind {
            NodeKind::Any if !replace => {
                self.writes.push(Write::Merge {
                    path,
                    value: value.clone(),
                });
                return Ok(());
            }
            _ => to_held_value(node, there, value, text)?,
        };
        self.writes.push(match &node.kind {
            NodeKind::Text => Write::Become {
                path,
                kind: RichKind::Text,
                value,
            },
            NodeKind::Items { merges: true, .. } => Write::Become {
                path,
                kind: RichKind::List,
                value,
            },
            NodeKind::Tree => {
                return Err(Fault {
                    path: text.to_owned(),
                    expected: "edits of single nodes".to_owned(),
                    found: "a whole tree".to_owned(),
                });
            }
            _ => Write::Set { path, value },
        });
        Ok(())
    }

    /// Deletes a field with all that the revision sees below it, and nothing else. An entry of a map goes
    /// whole, as a document does.
    fn unset(&mut self, node: &Node) {
        let place = self.path(node);
        let there = at(self.held, &place);
        let held = there.map(|_| place);
        match &node.kind {
            NodeKind::Record(fields) if !node.key.is_empty() => {
                fields.values().for_each(|node| self.unset(node));
                let mark = [&self.scope[..], &node.mark()].concat();
                self.gone.extend(at(self.held, &mark).map(|_| mark));
                self.left.extend(held);
            }
            // What is not seen is not deleted.
            _ if there.is_some_and(|there| !is_seen(node, there)) => {}
            _ => self.gone.extend(held),
        }
    }

    /// Says that a record is there, and nothing of what is in it.
    fn mark(&self, record: &Node) -> Write {
        Write::Set {
            path: [&self.scope[..], &record.mark()].concat(),
            value: Value::Bool(true),
        }
    }

    /// All that was gathered, deletions first.
    fn finish(mut self) -> Vec<Write> {
        if self.gone.is_empty() && self.left.is_empty() && self.said.is_empty() {
            return self.writes;
        }
        let mut now = self.held.clone();
        for write in &self.writes {
            write.clone().apply(&mut now);
        }
        for path in &self.gone {
            remove(&mut now, path);
        }
        for (scope, node, entries) in std::mem::take(&mut self.said) {
            self.scope = scope;
            if self.shows(node, &now) {
                continue;
            }
            let before = self.writes.len();
            self.write_down(node, entries);
            if self.writes.len() == before {
                self.writes.push(match &node.kind {
                    NodeKind::Record(_) => self.mark(node),
                    _ => Write::Merge {
                        path: self.path(node),
                        value: Value::Object(Map::new()),
                    },
                });
            }
            for write in &self.writes[before..] {
                write.clone().apply(&mut now);
            }
        }
        // What is hidden in a record, or was moved out of it, is held on in its place.
        self.left.retain(|place| {
            at(&now, place)
                .and_then(Value::as_object)
                .is_none_or(Map::is_empty)
        });
        // Field by field, the places after all that is in them: by then one shows only if it was made as an empty record. To
        // delete it with its fields would take along what is moved out of it or hidden in it, written elsewhere meanwhile.
        self.left.sort_unstable_by(|a, b| b.cmp(a));
        let gone = [self.gone, self.left].concat();
        let deletions = gone.into_iter().map(|path| Write::Unset { path });
        deletions.chain(self.writes).collect()
    }

    /// Whether a record or map is seen; an entry of a map is if it is held.
    fn shows(&self, node: &Node, now: &Value) -> bool {
        let scope = at(now, &self.scope);
        match node.key.is_empty() {
            true => scope.is_some(),
            false => read_node(node, scope.unwrap_or(&Value::Null)).is_some(),
        }
    }

    /// Writes the defaults down that were given for a record's fields, and went without saying.
    fn write_down(&mut self, record: &Node, entries: &Map<String, Value>) {
        for (name, node) in record.fields().into_iter().flatten() {
            match (&node.kind, entries.get(name)) {
                (NodeKind::Record(_), Some(Value::Object(entries))) => {
                    self.write_down(node, entries);
                }
                (_, Some(value)) if has_default(node) => {
                    let path = self.path(node);
                    let held = to_held_value(node, None, value, name).ok();
                    self.writes
                        .extend(held.map(|value| Write::Set { path, value }));
                }
                _ => {}
            }
        }
    }
}

const fn has_default(node: &Node) -> bool {
    node.default.is_some() || node.fallback.is_some()
}

/// The held form of a single value.
fn to_held(seen: &Seen, value: &Value, text: &str) -> Result<Value, Fault> {
    if !seen.scalar.holds(value) {
        return Err(fault(text, &seen.scalar.expected(), value));
    }
    seen.back(value).ok_or_else(|| Fault {
        path: text.to_owned(),
        expected: format!(
            "{} that older revisions can express",
            seen.scalar.expected()
        ),
        found: name_of(value),
    })
}

/// The held form of a checked value. What is there gives what the app cannot see: the further values
/// of a list that it sees the first of, and hidden fields of items.
pub(crate) fn to_held_value(
    node: &Node,
    there: Option<&Value>,
    value: &Value,
    text: &str,
) -> Result<Value, Fault> {
    match (&node.kind, value) {
        (NodeKind::Value(seen), value) => {
            let held = to_held(seen, value, text)?;
            Ok(match there {
                Some(Value::Array(items)) if !items.is_empty() => {
                    let mut items = items.clone();
                    items[0] = held;
                    items.into()
                }
                _ if node.is_held_as_list => vec![held].into(),
                _ => held,
            })
        }
        (NodeKind::Items { of, .. }, Value::Array(values)) => {
            let there = match there {
                Some(Value::Array(items)) => &items[..],
                _ => &[],
            };
            let mut held = Vec::with_capacity(values.len());
            let below = partners(of, there, values);
            for (index, (value, partner)) in values.iter().zip(below).enumerate() {
                let partner = partner.map(|index| &there[index]);
                held.push(to_held_value(of, partner, value, &item(text, index))?);
            }
            Ok(match held.len() {
                1 if node.is_spread && !node.is_held_as_list => held.remove(0),
                _ => held.into(),
            })
        }
        (NodeKind::Record(_), Value::Object(entries)) => {
            let mut held = match there {
                Some(there @ Value::Object(_)) => there.clone(),
                _ => Value::Object(Map::new()),
            };
            let mut plan = Plan::new(&held);
            plan.record(node, &held, entries, true, text)?;
            for write in plan.finish() {
                apply(&mut held, write);
            }
            Ok(held)
        }
        (_, value) => Ok(value.clone()),
    }
}

/// For every new item, the old one that it most likely was: one that looks the same, else the one at
/// its place. An old item is the partner of one new item at most.
fn partners(of: &Node, there: &[Value], values: &[Value]) -> Vec<Option<usize>> {
    let mut partners = vec![None; values.len()];
    if !matches!(of.kind, NodeKind::Record(_) | NodeKind::Items { .. }) {
        return partners;
    }
    let shown: Vec<Option<Value>> = there.iter().map(|item| read_value(of, item)).collect();
    let mut used = vec![false; there.len()];
    for (partner, value) in partners.iter_mut().zip(values) {
        let found = (0..there.len()).find(|&index| {
            !used[index]
                && shown[index]
                    .as_ref()
                    .is_some_and(|shown| same(shown, value))
        });
        if let Some(index) = found {
            used[index] = true;
            *partner = Some(index);
        }
    }
    for (index, partner) in partners.iter_mut().enumerate() {
        if partner.is_none() && used.get(index) == Some(&false) {
            used[index] = true;
            *partner = Some(index);
        }
    }
    partners
}

fn fault(path: &str, expected: &str, value: &Value) -> Fault {
    Fault {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found: name_of(value),
    }
}

fn text_of(path: &[String]) -> String {
    path.iter()
        .fold(String::new(), |text, name| below(&text, name))
}

/// What an app sees after writes were applied to what is held; for tests and previews.
pub fn preview(projection: &Projection, held: &Value, writes: Vec<Write>) -> Value {
    let mut held = held.clone();
    for write in writes {
        apply(&mut held, write);
    }
    match projection.root.fields() {
        Some(fields) => Value::Object(read_fields(fields, &held)),
        None => Value::Null,
    }
}
