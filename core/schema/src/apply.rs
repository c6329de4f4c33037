//! One change of what a document holds, and what it makes of JSON without a document around it.

use serde_json::{Map, Value};
use stead_doc::RichKind;

use crate::projection::at;

/// One change of what a document holds, by key paths.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Makes the field equal to a value, whatever is there.
    Set {
        /// Where.
        path: Vec<String>,
        /// To what.
        value: Value,
    },
    /// Makes a text or list that merges equal to a value, with few changes.
    Become {
        /// Where.
        path: Vec<String>,
        /// What it is.
        kind: RichKind,
        /// To what.
        value: Value,
    },
    /// Merges a value into a field of any JSON.
    Merge {
        /// Where.
        path: Vec<String>,
        /// What.
        value: Value,
    },
    /// Adds to a counter.
    Add {
        /// Where.
        path: Vec<String>,
        /// How much.
        delta: i64,
    },
    /// Puts an element into a set.
    Include {
        /// Where.
        path: Vec<String>,
        /// Which.
        element: Value,
    },
    /// Takes an element out of a set.
    Exclude {
        /// Where.
        path: Vec<String>,
        /// Which.
        element: Value,
    },
    /// Deletes a field.
    Unset {
        /// Where.
        path: Vec<String>,
    },
}

impl Write {
    /// Where it writes.
    pub fn path(&self) -> &[String] {
        match self {
            Self::Set { path, .. }
            | Self::Become { path, .. }
            | Self::Merge { path, .. }
            | Self::Add { path, .. }
            | Self::Include { path, .. }
            | Self::Exclude { path, .. }
            | Self::Unset { path } => path,
        }
    }

    /// Does it to JSON, as a document without concurrent changes would.
    pub fn apply(self, held: &mut Value) {
        apply(held, self);
    }
}

/// Applies a write to JSON that is held inside a value.
pub(crate) fn apply(held: &mut Value, write: Write) {
    if let Write::Unset { path } = &write {
        if at(held, path).is_some() {
            remove(held, path);
        }
        return;
    }
    let path = write.path().to_vec();
    let Some((last, above)) = path.split_last() else {
        return;
    };
    let mut at = held;
    for name in above {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(entries) = at else {
            return;
        };
        at = entries
            .entry(name.clone())
            .or_insert_with(|| Value::Object(Map::new()));
    }
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    let Value::Object(entries) = at else {
        return;
    };
    match write {
        Write::Set { value, .. } | Write::Become { value, .. } => {
            entries.insert(last.clone(), value);
        }
        Write::Merge { value, .. } => {
            let slot = entries.entry(last.clone()).or_insert(Value::Null);
            merge(slot, value);
        }
        Write::Unset { .. } => {}
        Write::Add { delta, .. } => {
            let sum = entries.get(last).and_then(Value::as_i64).unwrap_or(0);
            entries.insert(last.clone(), sum.wrapping_add(delta).into());
        }
        Write::Include { element, .. } => {
            let slot = entries
                .entry(last.clone())
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = slot
                && !items.contains(&element)
            {
                items.push(element);
            }
        }
        Write::Exclude { element, .. } => {
            if let Some(Value::Array(items)) = entries.get_mut(last) {
                items.retain(|item| *item != element);
            }
        }
    }
}

/// Deletes what is held at a path, where something is. A map that nothing is left in is seen no more,
/// unless it was made as an empty one: JSON does not tell.
pub(crate) fn remove(held: &mut Value, path: &[String]) {
    let (Some((name, below)), Value::Object(entries)) = (path.split_first(), held) else {
        return;
    };
    let is_left = match entries.get_mut(name) {
        Some(inner) if !below.is_empty() => {
            remove(inner, below);
            inner.as_object().is_none_or(|entries| !entries.is_empty())
        }
        _ => false,
    };
    if !is_left {
        entries.remove(name);
    }
}

fn merge(slot: &mut Value, value: Value) {
    match (slot, value) {
        (Value::Object(there), Value::Object(entries)) => {
            for (key, value) in entries {
                merge(there.entry(key).or_insert(Value::Null), value);
            }
        }
        (slot, value) => *slot = value,
    }
}
