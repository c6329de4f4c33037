//! The shape of one revision: its visible fields, and for each the key under which documents hold it.
//! Owns what every lens does, and the keys: a key is given once, in the revision that introduces a
//! field, and never again to another.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::convert::Converting;
use crate::kind::{Field, Fields, Items, Kind, field_fault};
use crate::lens::Lens;
use crate::limits::FIELDS_MAX;
use crate::projection::read_value;
use crate::scalar::{Bounds, Scalar};
use crate::write::to_held_value;

/// Names that lead to a field's place in a document; [`EACH`] stands for every key or item.
pub(crate) type KeyPath = Vec<String>;

/// Stands in a key path for every key of a map, item of a list or element of a set.
pub(crate) const EACH: &str = "";

/// Under this name a record of a document holds that it is there, where no visible field of it says so: an assignment
/// of the record would take along what is written in it elsewhere. No field is held under it.
pub(crate) const MARK: &str = "~";

/// One visible field, and how documents hold it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it is held, from the document or the item that it is a part of.
    pub(crate) key: KeyPath,
    pub(crate) kind: NodeKind,
    pub(crate) optional: bool,
    /// In its visible form.
    pub(crate) default: Option<Value>,
    /// Whether the revision that introduced it held a list.
    pub(crate) is_held_as_list: bool,
    /// Whether some revision sees it as a list and another as a single value.
    pub(crate) is_spread: bool,
    /// What is shown where nothing is held, in its held form: from the revision that removed it.
    pub(crate) fallback: Option<Value>,
}

/// What is seen of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodeKind {
    Value(Seen),
    Counter,
    Set(Seen),
    Record(BTreeMap<String, Node>),
    Map(Box<Node>),
    Items {
        merges: bool,
        length: Bounds<u64>,
        unique: bool,
        of: Box<Node>,
    },
    Text,
    Tree,
    Any,
}

/// The type that is seen, and how values of the type that is held become it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) scalar: Scalar,
    pub(crate) by: Vec<Converting>,
}

impl Seen {
    pub(crate) fn forth(&self, held: &Value) -> Option<Value> {
        let mut value = held.clone();
        for step in &self.by {
            value = step.forth(&value)?;
        }
        Some(value)
    }

    pub(crate) fn back(&self, seen: &Value) -> Option<Value> {
        let mut value = seen.clone();
        for step in self.by.iter().rev() {
            value = step.back(&value)?;
        }
        Some(value)
    }
}

/// What the chain remembers of a key.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct KeyInfo {
    /// The field that was last seen there, and its name, once it is removed.
    pub(crate) removed: Option<(String, Node)>,
    pub(crate) is_spread: bool,
    pub(crate) fallback: Option<Value>,
}

/// Every key that a chain ever gave, from the document down.
pub(crate) type Keys = BTreeMap<KeyPath, KeyInfo>;

impl Node {
    /// The document itself.
    pub(crate) fn document() -> Self {
        Self::new(Vec::new(), NodeKind::Record(BTreeMap::new()))
    }

    fn new(key: KeyPath, kind: NodeKind) -> Self {
        Self {
            key,
            kind,
            optional: false,
            default: None,
            is_held_as_list: false,
            is_spread: false,
            fallback: None,
        }
    }

    /// Where a record holds that it is there, from what the record is a part of.
    pub(crate) fn mark(&self) -> KeyPath {
        full(&self.key, &[MARK.to_owned()])
    }

    /// The fields of a record.
    pub(crate) fn fields(&self) -> Option<&BTreeMap<String, Node>> {
        match &self.kind {
            NodeKind::Record(fields) => Some(fields),
            _ => None,
        }
    }

    fn fields_mut(&mut self) -> Result<&mut BTreeMap<String, Node>, String> {
        match &mut self.kind {
            NodeKind::Record(fields) => Ok(fields),
            _ => Err("it has no fields of its own".to_owned()),
        }
    }

    /// The field as it is declared.
    pub(crate) fn to_field(&self) -> Field {
        Field {
            kind: self.to_kind(),
            optional: self.optional,
            default: self.default.clone(),
        }
    }

    pub(crate) fn to_kind(&self) -> Kind {
        match &self.kind {
            NodeKind::Value(seen) => Kind::Value(seen.scalar.clone()),
            NodeKind::Counter => Kind::Counter,
            NodeKind::Set(seen) => Kind::Set(seen.scalar.clone()),
            NodeKind::Record(fields) => Kind::Record(
                fields
                    .iter()
                    .map(|(name, node)| (name.clone(), node.to_field()))
                    .collect(),
            ),
            NodeKind::Map(of) => Kind::Map(Box::new(of.to_kind())),
            NodeKind::Items {
                merges,
                length,
                unique,
                of,
            } => {
                let items = Items {
                    of: Box::new(of.to_kind()),
                    length: *length,
                    unique: *unique,
                };
                match merges {
                    true => Kind::List(items),
                    false => Kind::Array(items),
                }
            }
            NodeKind::Text => Kind::Text,
            NodeKind::Tree => Kind::Tree,
            NodeKind::Any => Kind::Any,
        }
    }

    /// The declared fields of a record.
    pub(crate) fn to_fields(&self) -> Fields {
        match self.to_kind() {
            Kind::Record(fields) => fields,
            _ => Fields::new(),
        }
    }

    /// Takes over what later revisions say about the keys.
    pub(crate) fn resolve(&mut self, keys: &Keys, scope: &[String]) {
        let place = full(scope, &self.key);
        if let Some(info) = keys.get(&place) {
            self.is_spread = info.is_spread;
            self.fallback.clone_from(&info.fallback);
        }
        match &mut self.kind {
            NodeKind::Record(fields) => {
                for node in fields.values_mut() {
                    node.resolve(keys, scope);
                }
            }
            NodeKind::Map(of) | NodeKind::Items { of, .. } => {
                of.resolve(keys, &each_of(&place));
            }
            _ => {}
        }
    }
}

/// A key path from the document down.
fn full(scope: &[String], key: &[String]) -> KeyPath {
    [scope, key].concat()
}

fn each_of(place: &[String]) -> KeyPath {
    full(place, &[EACH.to_owned()])
}

/// Where lenses are applied.
pub(crate) struct Applying<'k> {
    pub(crate) keys: &'k mut Keys,
    /// Whether documents may exist that were written before these fields.
    pub(crate) has_past: bool,
}

impl Applying<'_> {
    /// Applies a lens to the fields of a record, or to an item. `scope` leads to the document or item
    /// that `target` is, or is a part of; `is_item` tells whether it is an item itself.
    pub(crate) fn apply(
        &mut self,
        lens: &Lens,
        target: &mut Node,
        scope: &[String],
        is_item: bool,
    ) -> Result<(), String> {
        match lens {
            Lens::Add {
                name,
                field,
                restore,
            } => self.add(target, scope, name, field, *restore),
            Lens::Remove { name, default } => self.remove(target, scope, name, default.as_ref()),
            Lens::Rename { from, to } => {
                check_new(target, to)?;
                let node = take(target, from)?;
                target.fields_mut()?.insert(to.clone(), node);
                Ok(())
            }
            Lens::Hoist { from, name } => {
                check_new(target, name)?;
                let node = take(child(target, from, false)?, name)?;
                target.fields_mut()?.insert(name.clone(), node);
                Ok(())
            }
            Lens::Plunge { name, into } => self.plunge(target, scope, name, into),
            Lens::Wrap { name } => self.wrap(child(target, name, false)?, scope),
            Lens::Head { name } => self.head(child(target, name, false)?, scope),
            Lens::In { name, lenses } => {
                let record = child(target, name, is_item)?;
                record.fields_mut()?;
                for lens in lenses {
                    self.apply(lens, record, scope, false)?;
                }
                Ok(())
            }
            Lens::Map { name, lenses } => {
                let node = child(target, name, is_item)?;
                let place = each_of(&full(scope, &node.key));
                let default = node.default.as_ref();
                let held_default = default.and_then(|it| to_held_value(node, None, it, name).ok());
                for lens in lenses {
                    match &mut node.kind {
                        NodeKind::Map(of) | NodeKind::Items { of, .. } => {
                            self.apply(lens, of, &place, true)?;
                        }
                        NodeKind::Set(seen) => apply_to_element(lens, seen)?,
                        _ => return Err(format!("{name:?} is no map, list or set")),
                    }
                }
                // A default is a whole list: its items change with the lens.
                if node.default.is_some() {
                    let mut faults = Vec::new();
                    if let Some(held) = held_default {
                        node.default = read_value(node, &held);
                    }
                    let default = node.default.clone().unwrap_or_default();
                    node.to_kind().check(&default, name, &mut faults);
                    if let Some(fault) = faults.first() {
                        return Err(format!(
                            "the default no longer fits, {fault}; refine the field first"
                        ));
                    }
                }
                Ok(())
            }
            Lens::Convert { name, to, by } => {
                let node = child(target, name, is_item)?;
                let NodeKind::Value(seen) = &mut node.kind else {
                    return Err(format!("only single values are converted, not {name:?}"));
                };
                convert(seen, to, by)?;
                if let Some(default) = &mut node.default {
                    let converted = seen.by.last().and_then(|step| step.forth(default));
                    *default = converted
                        .filter(|default| to.holds(default))
                        .ok_or("the default cannot be converted")?;
                }
                Ok(())
            }
            Lens::Refine { name, field } => {
                let node = child(target, name, is_item)?;
                let was_there = node.to_field().must_be_written();
                refine(node, field)?;
                let now = node.to_field();
                if self.has_past && !was_there && now.must_be_written() {
                    return Err(format!(
                        "documents that were written before may lack {name:?}; give it a default, or leave it optional"
                    ));
                }
                match field_fault(if name.is_empty() { "items" } else { name }, &now, 1) {
                    Some(fault) => Err(fault),
                    None => Ok(()),
                }
            }
        }
    }

    fn add(
        &mut self,
        target: &mut Node,
        scope: &[String],
        name: &str,
        field: &Field,
        restore: bool,
    ) -> Result<(), String> {
        check_new(target, name)?;
        if let Some(fault) = field_fault(name, field, 1) {
            return Err(fault);
        }
        if self.has_past && !restore && field.must_be_written() {
            return Err(format!(
                "documents that were written before lack {name:?}; give it a default, or make it optional"
            ));
        }
        let base = full(scope, &target.key);
        let node = match restore {
            true => self.brought_back(&base, name, field)?,
            false => {
                let key = self.fresh_key(&base, name)?;
                self.node_of(field, key[scope.len()..].to_vec(), scope)?
            }
        };
        target.fields_mut()?.insert(name.to_owned(), node);
        Ok(())
    }

    /// The field that was last removed under a name, with rules given anew.
    fn brought_back(&mut self, base: &[String], name: &str, field: &Field) -> Result<Node, String> {
        let found = self.keys.iter_mut().rev().find(|(key, info)| {
            let here = key.len() == base.len() + 1 && key.starts_with(base);
            here && info.removed.as_ref().is_some_and(|(was, _)| was == name)
        });
        let Some((_, info)) = found else {
            return Err(format!("no field {name:?} was removed here"));
        };
        let Some((_, mut node)) = info.removed.take() else {
            return Err(format!("no field {name:?} was removed here"));
        };
        refine(&mut node, field)?;
        Ok(node)
    }

    fn remove(
        &mut self,
        target: &mut Node,
        scope: &[String],
        name: &str,
        default: Option<&Value>,
    ) -> Result<(), String> {
        let node = take(target, name)?;
        let mut fallback = None;
        if let Some(default) = default {
            let mut faults = Vec::new();
            node.to_kind().check(default, name, &mut faults);
            if let Some(fault) = faults.first() {
                return Err(format!("the default of {fault}"));
            }
            fallback =
                Some(held_form(&node, default).ok_or("a default is for single values and arrays")?);
        } else if node.to_field().must_be_written() {
            return Err(format!(
                "apps of older revisions need {name:?}; say with a default what they shall see in documents that lack it"
            ));
        }
        let info = self.keys.entry(full(scope, &node.key)).or_default();
        if fallback.is_some() {
            info.fallback = fallback;
        }
        info.removed = Some((name.to_owned(), node));
        Ok(())
    }

    fn plunge(
        &mut self,
        target: &mut Node,
        scope: &[String],
        name: &str,
        into: &str,
    ) -> Result<(), String> {
        if name == into {
            return Err(format!("{name:?} cannot move into itself"));
        }
        let node = take(target, name)?;
        if !target.fields_mut()?.contains_key(into) {
            check_new(target, into)?;
            let place = self.fresh_key(&full(scope, &target.key), into)?;
            let key = place[scope.len()..].to_vec();
            let mut record = Node::new(key, NodeKind::Record(BTreeMap::new()));
            record.optional = node.optional;
            target.fields_mut()?.insert(into.to_owned(), record);
        }
        let record = child(target, into, false)?;
        check_new(record, name)?;
        record.fields_mut()?.insert(name.to_owned(), node);
        Ok(())
    }

    fn wrap(&mut self, node: &mut Node, scope: &[String]) -> Result<(), String> {
        let NodeKind::Value(seen) = &node.kind else {
            return Err("only a single value becomes a list".to_owned());
        };
        let of = Node::new(Vec::new(), NodeKind::Value(seen.clone()));
        node.kind = NodeKind::Items {
            merges: false,
            length: Bounds::default(),
            unique: false,
            of: Box::new(of),
        };
        node.default = node.default.take().map(|default| vec![default].into());
        self.spread(node, scope);
        Ok(())
    }

    fn head(&mut self, node: &mut Node, scope: &[String]) -> Result<(), String> {
        let NodeKind::Items {
            merges: false,
            of,
            length,
            ..
        } = &node.kind
        else {
            return Err("only an array has a first value".to_owned());
        };
        let NodeKind::Value(seen) = &of.kind else {
            return Err("only an array of single values becomes one of them".to_owned());
        };
        let may_be_empty = length.min.is_none_or(|min| min == 0);
        node.default = node
            .default
            .take()
            .and_then(|default| default.as_array()?.first().cloned());
        node.optional |= may_be_empty && node.default.is_none();
        node.kind = NodeKind::Value(seen.clone());
        self.spread(node, scope);
        Ok(())
    }

    fn spread(&mut self, node: &Node, scope: &[String]) {
        let info = self.keys.entry(full(scope, &node.key)).or_default();
        info.is_spread = true;
    }

    /// Gives a key that no field of the chain ever had: the name, made unique.
    fn fresh_key(&mut self, base: &[String], name: &str) -> Result<KeyPath, String> {
        if self.keys.len() >= FIELDS_MAX {
            return Err(format!(
                "a collection's revisions introduce at most {FIELDS_MAX} fields in all"
            ));
        }
        let mut key = full(base, &[name.to_owned()]);
        let mut nth = 2;
        while self.keys.contains_key(&key) || key.last().is_some_and(|last| last == MARK) {
            key.pop();
            key.push(format!("{name}~{nth}"));
            nth += 1;
        }
        self.keys.insert(key.clone(), KeyInfo::default());
        Ok(key)
    }

    /// A declared field at a key, with keys for all that is inside it.
    fn node_of(&mut self, field: &Field, key: KeyPath, scope: &[String]) -> Result<Node, String> {
        let kind = self.kind_of(&field.kind, &key, scope)?;
        Ok(Node {
            optional: field.optional,
            default: field.default.clone(),
            is_held_as_list: matches!(field.kind, Kind::Array(_) | Kind::List(_)),
            ..Node::new(key, kind)
        })
    }

    fn kind_of(
        &mut self,
        kind: &Kind,
        key: &[String],
        scope: &[String],
    ) -> Result<NodeKind, String> {
        let seen = |scalar: &Scalar| Seen {
            scalar: scalar.clone(),
            by: Vec::new(),
        };
        let place = full(scope, key);
        let mut of = |kind: &Kind| {
            let inner = self.kind_of(kind, &[], &each_of(&place))?;
            Ok::<_, String>(Box::new(Node {
                is_held_as_list: matches!(kind, Kind::Array(_) | Kind::List(_)),
                ..Node::new(Vec::new(), inner)
            }))
        };
        Ok(match kind {
            Kind::Value(scalar) => NodeKind::Value(seen(scalar)),
            Kind::Counter => NodeKind::Counter,
            Kind::Set(scalar) => NodeKind::Set(seen(scalar)),
            Kind::Map(kind) => NodeKind::Map(of(kind)?),
            Kind::Array(items) | Kind::List(items) => NodeKind::Items {
                merges: matches!(kind, Kind::List(_)),
                length: items.length,
                unique: items.unique,
                of: of(&items.of)?,
            },
            Kind::Text => NodeKind::Text,
            Kind::Tree => NodeKind::Tree,
            Kind::Any => NodeKind::Any,
            Kind::Record(fields) => {
                let mut nodes = BTreeMap::new();
                for (name, field) in fields {
                    let place = self.fresh_key(&place, name)?;
                    let node = self.node_of(field, place[scope.len()..].to_vec(), scope)?;
                    nodes.insert(name.clone(), node);
                }
                NodeKind::Record(nodes)
            }
        })
    }
}

/// A field of a record; the item itself, for an empty name.
fn child<'n>(target: &'n mut Node, name: &str, is_item: bool) -> Result<&'n mut Node, String> {
    if name.is_empty() && is_item {
        return Ok(target);
    }
    target
        .fields_mut()?
        .get_mut(name)
        .ok_or_else(|| format!("there is no field {name:?}"))
}

fn take(target: &mut Node, name: &str) -> Result<Node, String> {
    target
        .fields_mut()?
        .remove(name)
        .ok_or_else(|| format!("there is no field {name:?}"))
}

fn check_new(target: &mut Node, name: &str) -> Result<(), String> {
    if let Some(fault) = field_fault(name, &Field::new(Kind::Any), 0) {
        return Err(fault);
    }
    match target.fields_mut()?.contains_key(name) {
        true => Err(format!("there is a field {name:?} already")),
        false => Ok(()),
    }
}

fn convert(seen: &mut Seen, to: &Scalar, by: &crate::Conversion) -> Result<(), String> {
    if let Some(fault) = to.fault().or_else(|| by.fault(&seen.scalar, to)) {
        return Err(fault);
    }
    let from = std::mem::replace(&mut seen.scalar, to.clone());
    seen.by.push(Converting {
        from,
        to: to.clone(),
        by: by.clone(),
    });
    Ok(())
}

fn apply_to_element(lens: &Lens, seen: &mut Seen) -> Result<(), String> {
    match lens {
        Lens::Convert { name, to, by } if name.is_empty() => convert(seen, to, by),
        Lens::Refine { name, field } if name.is_empty() => match &field.kind {
            Kind::Value(scalar) if scalar.is_like(&seen.scalar) => {
                seen.scalar = scalar.clone();
                scalar.fault().map_or(Ok(()), Err)
            }
            _ => Err("the type of the elements stays; convert it instead".to_owned()),
        },
        _ => Err("elements of a set are converted or refined, under the empty name".to_owned()),
    }
}

/// Gives a field the rules of a declaration of the same kind.
fn refine(node: &mut Node, field: &Field) -> Result<(), String> {
    if !node.to_kind().is_like(&field.kind) {
        return Err(format!(
            "its kind stays what it is, {}; convert it, or add another field",
            node.to_kind().expected()
        ));
    }
    match (&mut node.kind, &field.kind) {
        (NodeKind::Value(seen), Kind::Value(scalar)) | (NodeKind::Set(seen), Kind::Set(scalar)) => {
            seen.scalar = scalar.clone()
        }
        (
            NodeKind::Items {
                length, unique, of, ..
            },
            Kind::Array(items) | Kind::List(items),
        ) => {
            (*length, *unique) = (items.length, items.unique);
            if let (NodeKind::Value(seen), Kind::Value(scalar)) = (&mut of.kind, &*items.of) {
                seen.scalar = scalar.clone();
            }
        }
        _ => {}
    }
    node.optional = field.optional;
    node.default.clone_from(&field.default);
    Ok(())
}

/// How a document would hold a visible value of a field without items that have fields.
fn held_form(node: &Node, seen: &Value) -> Option<Value> {
    match (&node.kind, seen) {
        (NodeKind::Value(scalar), seen) => {
            let held = scalar.back(seen)?;
            Some(match node.is_held_as_list {
                true => vec![held].into(),
                false => held,
            })
        }
        (NodeKind::Items { of, .. }, Value::Array(items)) => match &of.kind {
            NodeKind::Value(scalar) => items.iter().map(|item| scalar.back(item)).collect(),
            _ => None,
        },
        _ => None,
    }
}
