//! How one content of a list or tree leads to another, and positions of a text's delta in another unit.
//! Pure: contents in, differences out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Trees with more nodes are told as a whole.
const TREE_NODES_MAX: usize = 20_000;

/// What to retain, insert and delete, from the beginning of a list on.
pub(super) fn list(old: &[Value], new: &[Value]) -> Vec<Value> {
    if old == new {
        return Vec::new();
    }
    let before = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let shorter = old.len().min(new.len()) - before;
    let backwards = old.iter().rev().zip(new.iter().rev());
    let after = backwards.take_while(|(a, b)| a == b).count().min(shorter);
    let mut parts = Vec::new();
    if before > 0 {
        parts.push(json!({ "retain": before }));
    }
    let gone = old.len() - before - after;
    if gone > 0 {
        parts.push(json!({ "delete": gone }));
    }
    let come = &new[before..new.len() - after];
    if !come.is_empty() {
        parts.push(json!({ "insert": come }));
    }
    parts
}

/// Counts a delta's positions in UTF-16 instead of Unicode scalars; answers the text after it.
pub(super) fn to_utf16(old: &str, delta: &mut [Value]) -> String {
    let mut left = old.chars();
    let mut text = String::with_capacity(old.len());
    for part in delta {
        let count = |name: &str| {
            let count = part.get(name).and_then(Value::as_u64);
            count.map(|count| usize::try_from(count).unwrap_or(usize::MAX))
        };
        if let Some(retain) = count("retain") {
            let from = text.len();
            text.extend(left.by_ref().take(retain));
            part["retain"] = text[from..].encode_utf16().count().into();
        } else if let Some(delete) = count("delete") {
            let gone: usize = left.by_ref().take(delete).map(char::len_utf16).sum();
            part["delete"] = gone.into();
        } else if let Some(insert) = part.get("insert").and_then(Value::as_str) {
            text.push_str(insert);
        }
    }
    text.extend(left);
    text
}

/// A forest that steps are applied to: children of each node in their order, `""` for the roots.
#[derive(Default)]
struct Forest<'a> {
    children: BTreeMap<&'a str, Vec<&'a str>>,
    parents: BTreeMap<&'a str, &'a str>,
    fields: BTreeMap<&'a str, &'a Map<String, Value>>,
    /// Every node before those below it.
    order: Vec<&'a str>,
}

/// The steps from one tree to another; none if there is no telling (too large, or no tree).
pub(super) fn tree(old: &[Value], new: &[Value]) -> Option<Vec<Value>> {
    let mut now = Forest::of(old)?;
    let wanted = Forest::of(new)?;
    let mut steps = Vec::new();
    // What goes with nothing that stays below it goes first: less is in the way.
    let mut keep: BTreeSet<&str> = BTreeSet::new();
    for id in now.order.iter().rev() {
        if wanted.parents.contains_key(id) || keep.contains(id) {
            keep.insert(id);
            keep.insert(now.parents[id]);
        }
    }
    let gone = |now: &Forest<'_>, keep: &BTreeSet<&str>, id: &str| {
        !keep.contains(id)
            && now
                .parents
                .get(id)
                .is_some_and(|up| keep.contains(up) || up.is_empty())
    };
    for id in now.order.clone() {
        if gone(&now, &keep, id) {
            now.remove(id);
            steps.push(json!({ "delete": { "id": id } }));
        }
    }
    for id in &wanted.order {
        let parent = wanted.parents[id];
        let at = wanted.place(id)?;
        let fields = wanted.fields[id];
        let up = (!parent.is_empty()).then_some(parent);
        match now.parents.get(id) {
            None => {
                steps.push(
                    json!({ "create": { "id": id, "parent": up, "at": at, "fields": fields } }),
                );
                now.insert(id, parent, at);
            }
            Some(other) => {
                if *other != parent || now.place(id) != Some(at) {
                    now.take_out(id);
                    now.insert(id, parent, at);
                    steps.push(json!({ "move": { "id": id, "parent": up, "at": at } }));
                }
                let before = now.fields[id];
                let set: Map<String, Value> = fields
                    .iter()
                    .filter(|(name, value)| before.get(*name) != Some(value))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                let unset: Vec<&String> = before
                    .keys()
                    .filter(|name| !fields.contains_key(*name))
                    .collect();
                if !set.is_empty() || !unset.is_empty() {
                    steps.push(json!({ "set": { "id": id, "fields": set, "unset": unset } }));
                }
            }
        }
    }
    // What stayed for those below it, which have moved away.
    for id in now.order.clone() {
        let is_left = now.parents.contains_key(id) && !wanted.parents.contains_key(id);
        if is_left {
            now.remove(id);
            steps.push(json!({ "delete": { "id": id } }));
        }
    }
    Some(steps)
}

impl<'a> Forest<'a> {
    fn of(roots: &'a [Value]) -> Option<Self> {
        let mut forest = Self::default();
        let mut left: Vec<(&str, &Value)> = roots.iter().rev().map(|node| ("", node)).collect();
        while let Some((parent, node)) = left.pop() {
            let id = node["id"].as_str().filter(|id| !id.is_empty())?;
            if forest.parents.insert(id, parent).is_some() || forest.order.len() >= TREE_NODES_MAX {
                return None;
            }
            forest.fields.insert(id, node["fields"].as_object()?);
            forest.children.entry(parent).or_default().push(id);
            forest.order.push(id);
            let below = node["children"].as_array()?;
            left.extend(below.iter().rev().map(|node| (id, node)));
        }
        Some(forest)
    }

    fn place(&self, id: &str) -> Option<usize> {
        let siblings = self.children.get(self.parents.get(id)?)?;
        siblings.iter().position(|other| *other == id)
    }

    fn insert(&mut self, id: &'a str, parent: &'a str, at: usize) {
        let siblings = self.children.entry(parent).or_default();
        siblings.insert(at.min(siblings.len()), id);
        self.parents.insert(id, parent);
    }

    fn take_out(&mut self, id: &str) {
        if let (Some(at), Some(parent)) = (self.place(id), self.parents.get(id))
            && let Some(siblings) = self.children.get_mut(parent)
        {
            siblings.remove(at);
        }
    }

    /// Removes a node with all below it.
    fn remove(&mut self, id: &'a str) {
        self.take_out(id);
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            self.parents.remove(id);
            left.extend(self.children.remove(id).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests;
