//! What an app of one revision sees of a document, and where in the document that is held. Owns
//! reading; [`write`](crate::write) owns the way back. It never sees how documents merge.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::kind::{Fault, Fields, Kind, below, check_fields};
use crate::limits::FAULTS_MAX;
use crate::revision::{Index, RevisionId};
use crate::scalar::{Scalar, found};
use crate::shape::{Node, NodeKind};
use crate::write::to_held_value;

/// One revision, compiled: from JSON paths to where documents hold the fields, and conversions.
#[derive(Debug, Clone)]
pub struct Projection {
    collection: String,
    id: RevisionId,
    number: u32,
    pub(crate) root: Node,
    pub(crate) fields: Fields,
    indexes: Vec<Index>,
    search: Vec<Vec<String>>,
}

/// Where a document holds the field that a path of a revision leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyPath {
    /// The names by which state, rows and JSONB hold it.
    pub path: Vec<String>,
    /// How what is held there is seen.
    pub shown: Shown,
    /// Whether what is held sorts as what is seen does.
    pub keeps_order: bool,
    /// What would be held if that had to be for what is seen where nothing is held. None: nothing is seen there, or it
    /// depends on what is held elsewhere.
    pub absent: Option<Value>,
    /// What the field is.
    pub kind: Kind,
}

/// How what a document holds at one place is seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// As it is held, and not at all where nothing is: a condition can be asked of what is held.
    AsHeld,
    /// As it is held, and like this where nothing is.
    OrElse(Value),
    /// In another form, or depending on what is held elsewhere.
    Otherwise,
}

/// A reference of a document to another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Path of the field, dotted.
    pub path: String,
    /// The collection of the other document.
    pub collection: String,
    /// Its id.
    pub id: String,
}

impl Projection {
    pub(crate) fn new(
        collection: String,
        (id, number): (RevisionId, u32),
        root: Node,
        indexes: Vec<Index>,
        search: Vec<Vec<String>>,
    ) -> Self {
        let fields = root.to_fields();
        Self {
            collection,
            id,
            number,
            root,
            fields,
            indexes,
            search,
        }
    }

    /// The collection.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The revision.
    pub const fn id(&self) -> RevisionId {
        self.id
    }

    /// Its number in the chain, from 1.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Its fields, as they are declared.
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Its indexes, by visible paths.
    pub fn indexes(&self) -> &[Index] {
        &self.indexes
    }

    /// The fields searched as text, by visible paths.
    pub fn search(&self) -> &[Vec<String>] {
        &self.search
    }

    /// What an app of the revision sees of a document. `held` is the document's content by keys, as
    /// `Document::to_json` gives it. What has another type than it should is shown as it is.
    pub fn read(&self, held: &Value) -> Value {
        match self.root.fields() {
            Some(fields) => Value::Object(read_fields(fields, held)),
            None => Value::Null,
        }
    }

    /// Where a visible path is held; `None` if the revision has no such field. Paths lead through
    /// records, maps and [any](Kind::Any), not into items of lists.
    pub fn key_path(&self, path: &[String]) -> Option<KeyPath> {
        let (node, prefix, rest) = self.locate(path)?;
        let mut key = prefix;
        key.extend(rest.iter().cloned());
        if !rest.is_empty() {
            return Some(KeyPath {
                path: key,
                shown: Shown::AsHeld,
                keeps_order: true,
                absent: None,
                kind: Kind::Any,
            });
        }
        let (converts, keeps_order) = match &node.kind {
            NodeKind::Value(seen) | NodeKind::Set(seen) => (
                !seen.by.is_empty(),
                seen.by.iter().all(|step| step.by.keeps_order()),
            ),
            NodeKind::Items { of, .. } => (!is_plain(of) || may_be_marked(of), false),
            NodeKind::Record(_) => (true, false),
            NodeKind::Map(_) => (!is_plain(node) || may_be_marked(node), false),
            _ => (false, true),
        };
        // An entry of a map that is not held is no entry, and a record is read as a whole.
        let default = match node.key.is_empty() || node.fields().is_some() {
            true => None,
            false => read_node(node, &Value::Null),
        };
        // Further in, it is seen only where what it lies in is.
        let is_open = self.is_always_seen_around(path);
        let absent = default.as_ref().filter(|_| is_open);
        let absent = absent.and_then(|default| to_held_value(node, None, default, "").ok());
        let shown = match default {
            _ if converts || node.is_spread => Shown::Otherwise,
            None => Shown::AsHeld,
            Some(_) if !is_open => Shown::Otherwise,
            Some(default) => Shown::OrElse(default),
        };
        Some(KeyPath {
            path: key,
            shown,
            keeps_order: keeps_order && !node.is_spread,
            absent,
            kind: node.to_kind(),
        })
    }

    /// Whether the records around a field are seen in every document.
    fn is_always_seen_around(&self, path: &[String]) -> bool {
        (1..path.len()).all(|len| {
            let around = self.locate(&path[..len]);
            around.is_some_and(|(node, _, _)| {
                node.fields().is_some() && read_node(node, &Value::Null).is_some()
            })
        })
    }

    /// The visible path of the field that is held at a key path, below records only; `None` if the
    /// revision does not see it.
    pub fn path_of(&self, key: &[String]) -> Option<Vec<String>> {
        fn find(node: &Node, key: &[String], path: &mut Vec<String>) -> bool {
            for (name, child) in node.fields().into_iter().flatten() {
                path.push(name.clone());
                let is_record = child.fields().is_some();
                if (!is_record && child.key == key) || (is_record && find(child, key, path)) {
                    return true;
                }
                path.pop();
            }
            false
        }
        let mut path = Vec::new();
        find(&self.root, key, &mut path).then_some(path)
    }

    /// The node at a visible path, its key from the document down, and what of the path leads on
    /// into a field of any JSON.
    pub(crate) fn locate<'p>(
        &self,
        path: &'p [String],
    ) -> Option<(&Node, Vec<String>, &'p [String])> {
        let (mut node, mut scope) = (&self.root, Vec::new());
        let mut rest = path;
        while let Some((name, further)) = rest.split_first() {
            match &node.kind {
                NodeKind::Record(fields) => node = fields.get(name)?,
                NodeKind::Map(of) => {
                    scope.extend(node.key.iter().cloned());
                    scope.push(name.clone());
                    node = of;
                }
                NodeKind::Any => break,
                _ => return None,
            }
            rest = further;
        }
        scope.extend(node.key.iter().cloned());
        Some((node, scope, rest))
    }

    /// Where a document breaks the rules of the revision, as an app of it sees the document. Fields
    /// that no revision names are not among them.
    pub fn faults(&self, held: &Value) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Value::Object(seen) = self.read(held) {
            check_fields(&self.fields, &seen, "", &mut faults);
        }
        unexpected_lists(&self.root, held, "", &mut faults);
        faults
    }

    /// The fields that every document must have and this one lacks, as an app sees it.
    pub fn missing(&self, seen: &Value) -> Vec<Fault> {
        let mut faults = Vec::new();
        missing(&self.fields, seen, "", &mut faults);
        faults
    }

    /// The documents that a document refers to, as an app sees it.
    pub fn references(&self, seen: &Value) -> Vec<Reference> {
        let mut found = Vec::new();
        if let Value::Object(seen) = seen {
            for (name, field) in &self.fields {
                if let Some(value) = seen.get(name) {
                    references(&field.kind, value, &below("", name), &mut found);
                }
            }
        }
        found
    }
}

/// Finds lists that are held for single values which no revision sees as lists: of those the first item is seen.
fn unexpected_lists(node: &Node, held: &Value, path: &str, faults: &mut Vec<Fault>) {
    for (name, node) in node.fields().into_iter().flatten() {
        let path = below(path, name);
        if node.fields().is_some() {
            unexpected_lists(node, held, &path, faults);
            continue;
        }
        match (&node.kind, at(held, &node.key)) {
            (NodeKind::Value(seen), Some(Value::Array(_)))
                if !node.is_spread && !node.is_held_as_list && faults.len() < FAULTS_MAX =>
            {
                faults.push(Fault {
                    path,
                    expected: seen.scalar.expected(),
                    found: "a list".to_owned(),
                });
            }
            (NodeKind::Map(of), Some(Value::Object(entries))) => {
                for (key, entry) in entries {
                    unexpected_lists(of, entry, &below(&path, key), faults);
                }
            }
            _ => {}
        }
    }
}

fn missing(fields: &Fields, seen: &Value, path: &str, faults: &mut Vec<Fault>) {
    let Value::Object(seen) = seen else {
        return;
    };
    for (name, field) in fields {
        let place = below(path, name);
        match (seen.get(name), &field.kind) {
            (None, kind) if field.must_be_written() => faults.push(Fault {
                path: place,
                expected: kind.expected(),
                found: "nothing".to_owned(),
            }),
            (Some(value), Kind::Record(fields)) => missing(fields, value, &place, faults),
            (Some(Value::Object(entries)), Kind::Map(of)) => {
                if let Kind::Record(fields) = &**of {
                    for (key, value) in entries {
                        missing(fields, value, &below(&place, key), faults);
                    }
                }
            }
            _ => {}
        }
    }
}

fn references(kind: &Kind, value: &Value, path: &str, found: &mut Vec<Reference>) {
    match (kind, value) {
        (Kind::Value(Scalar::Ref(to)), Value::String(text)) => {
            let place = match to {
                Some(collection) => Some((collection.as_str(), text.as_str())),
                None => text.split_once('/'),
            };
            if let Some((collection, id)) = place {
                found.push(Reference {
                    path: path.to_owned(),
                    collection: collection.to_owned(),
                    id: id.to_owned(),
                });
            }
        }
        (Kind::Set(of), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let of = Kind::Value(of.clone());
                references(&of, item, &crate::kind::item(path, index), found);
            }
        }
        (Kind::Array(items) | Kind::List(items), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                references(&items.of, value, &crate::kind::item(path, index), found);
            }
        }
        (Kind::Map(of), Value::Object(entries)) => {
            for (key, value) in entries {
                references(of, value, &below(path, key), found);
            }
        }
        (Kind::Record(fields), Value::Object(entries)) => {
            for (name, field) in fields {
                if let Some(value) = entries.get(name) {
                    references(&field.kind, value, &below(path, name), found);
                }
            }
        }
        _ => {}
    }
}

/// Whether a field is held under its own names, as it is seen.
pub(crate) fn is_plain(node: &Node) -> bool {
    let filled = node.default.is_some() || node.fallback.is_some() || node.is_spread;
    match &node.kind {
        _ if filled => false,
        NodeKind::Value(seen) | NodeKind::Set(seen) => seen.by.is_empty(),
        NodeKind::Map(of) | NodeKind::Items { of, .. } => is_plain(of),
        NodeKind::Record(fields) => fields.iter().all(|(name, node)| {
            node.key.last() == Some(name) && node.to_kind().empty().is_none() && is_plain(node)
        }),
        _ => true,
    }
}

/// Whether what is held of a map or item may say of a record in it that it is there.
fn may_be_marked(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Record(fields) => fields
            .values()
            .any(|node| node.fields().is_some() || may_be_marked(node)),
        NodeKind::Map(of) => of.fields().is_some() || may_be_marked(of),
        NodeKind::Items { of, .. } => may_be_marked(of),
        _ => false,
    }
}

/// The value at a key of a document or item.
pub(crate) fn at<'v>(held: &'v Value, key: &[String]) -> Option<&'v Value> {
    key.iter().try_fold(held, |held, name| held.get(name))
}

/// The visible fields of a record; `held` is the document or item that it is a part of.
pub(crate) fn read_fields(fields: &BTreeMap<String, Node>, held: &Value) -> Map<String, Value> {
    let mut seen = Map::new();
    for (name, node) in fields {
        if let Some(value) = read_node(node, held) {
            seen.insert(name.clone(), value);
        }
    }
    seen
}

/// What is seen of a field, default and all.
pub(crate) fn read_node(node: &Node, held: &Value) -> Option<Value> {
    if let NodeKind::Record(fields) = &node.kind {
        if !is_present(node, held) && (node.optional || node.to_kind().empty().is_none()) {
            return None;
        }
        return Some(Value::Object(read_fields(fields, held)));
    }
    // A list without a first value shows none where that is seen.
    let shown = at(held, &node.key).and_then(|value| read_value(node, value));
    shown.or_else(|| match &node.fallback {
        Some(_) if node.default.is_some() => node.default.clone(),
        Some(fallback) => read_value(node, fallback),
        None if node.default.is_some() => node.default.clone(),
        None if node.optional => None,
        None => node.to_kind().empty(),
    })
}

/// Whether something is held of a field, and seen; of a record, its mark or the empty map that stands for it too.
pub(crate) fn is_present(node: &Node, held: &Value) -> bool {
    let there = at(held, &node.key);
    match &node.kind {
        NodeKind::Record(fields) => {
            there.is_some_and(|there| there.as_object().is_none_or(Map::is_empty))
                || at(held, &node.mark()).is_some()
                || fields.values().any(|node| is_present(node, held))
        }
        _ => there.is_some_and(|there| is_seen(node, there)),
    }
}

/// Whether what is held of a field that is no record is seen: of an empty list nothing is, where its first value would be.
pub(crate) fn is_seen(node: &Node, held: &Value) -> bool {
    let is_single = matches!(node.kind, NodeKind::Value(_));
    !is_single || held.as_array().is_none_or(|items| !items.is_empty())
}

/// What is seen of a held value. What cannot be converted is seen as it is, and reported as a fault.
pub(crate) fn read_value(node: &Node, held: &Value) -> Option<Value> {
    match &node.kind {
        NodeKind::Value(seen) => {
            let single = match held {
                // Of a revision that sees a list here, be it one that this device has not heard of.
                Value::Array(items) => items.first()?,
                held => held,
            };
            Some(seen.forth(single).unwrap_or_else(|| single.clone()))
        }
        NodeKind::Set(seen) => match held {
            Value::Array(items) => {
                let mut elements: Vec<Value> = Vec::with_capacity(items.len());
                for item in items {
                    let element = seen.forth(item).unwrap_or_else(|| item.clone());
                    // Only a conversion can make two elements one.
                    if seen.by.is_empty() || !elements.contains(&element) {
                        elements.push(element);
                    }
                }
                Some(elements.into())
            }
            held => Some(held.clone()),
        },
        NodeKind::Items { of, .. } => match held {
            Value::Array(items) => Some(
                items
                    .iter()
                    .map(|item| read_item(of, item))
                    .collect::<Vec<_>>()
                    .into(),
            ),
            held if node.is_spread => Some(vec![read_item(of, held)].into()),
            held => Some(held.clone()),
        },
        NodeKind::Map(of) => match held {
            Value::Object(entries) => Some(Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), read_item(of, value)))
                    .collect(),
            )),
            held => Some(held.clone()),
        },
        NodeKind::Record(fields) => match held {
            Value::Object(_) => Some(Value::Object(read_fields(fields, held))),
            held => Some(held.clone()),
        },
        NodeKind::Counter | NodeKind::Text | NodeKind::Tree | NodeKind::Any => Some(held.clone()),
    }
}

fn read_item(of: &Node, held: &Value) -> Value {
    read_value(of, held).unwrap_or(Value::Null)
}

/// Names a value in a refusal.
pub(crate) fn name_of(value: &Value) -> String {
    found(value)
}
