//! Kinds of fields: how a field holds and merges its values. Owns which kinds may stand where, and the
//! check of a whole value against a kind; what a single value must be is a [`Scalar`]'s business.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::limits::{FAULTS_MAX, FIELD_NAME_BYTES_MAX, KIND_DEPTH_MAX};
use crate::scalar::{Bounds, Scalar, found};

/// Fields by their names.
pub type Fields = BTreeMap<String, Field>;

/// One field of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// How it holds and merges values.
    pub kind: Kind,
    /// Whether a document may lack it.
    pub optional: bool,
    /// What a document that lacks it shows; for single values and arrays.
    pub default: Option<Value>,
}

/// How a field holds and merges its values.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A register: the last writer wins.
    Value(Scalar),
    /// An integer that additions made apart add up in.
    Counter,
    /// Each element once; an addition wins over a removal made apart.
    Set(Scalar),
    /// Named fields, each merging by itself.
    Record(Fields),
    /// Values by keys that are data, each merging by itself.
    Map(Box<Kind>),
    /// A list that is replaced as a whole.
    Array(Items),
    /// A list that merges item by item.
    List(Items),
    /// Text with marks that merges character by character.
    Text,
    /// A tree whose nodes can be moved.
    Tree,
    /// Any JSON.
    Any,
}

/// What the items of an array or a list are.
#[derive(Debug, Clone, PartialEq)]
pub struct Items {
    /// Their kind.
    pub of: Box<Kind>,
    /// How many there are.
    pub length: Bounds<u64>,
    /// Whether no two may be equal.
    pub unique: bool,
}

/// A value that is not what its field needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path of the field as the revision names it, dotted; empty for the document.
    pub path: String,
    /// What the field needs.
    pub expected: String,
    /// What there is.
    pub found: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if self.path.is_empty() {
            "the document"
        } else {
            &self.path
        };
        write!(f, "{place} needs {}, found {}", self.expected, self.found)
    }
}

impl Field {
    /// A field that every document has.
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            optional: false,
            default: None,
        }
    }

    /// Whether a document without a value in state breaks the rules.
    pub(crate) fn must_be_written(&self) -> bool {
        !self.optional && self.default.is_none() && self.kind.empty().is_none()
    }
}

impl Kind {
    /// What a field that nobody wrote shows; `None` if it is missing then.
    pub(crate) fn empty(&self) -> Option<Value> {
        Some(match self {
            Self::Counter => 0.into(),
            Self::Set(_) | Self::List(_) | Self::Tree => Value::Array(Vec::new()),
            Self::Map(_) => Value::Object(Map::new()),
            Self::Text => "".into(),
            Self::Record(fields) => {
                // A record shows itself only if nothing that it must have is missing.
                if fields.values().any(Field::must_be_written) {
                    return None;
                }
                Value::Object(Map::new())
            }
            Self::Value(_) | Self::Array(_) | Self::Any => return None,
        })
    }

    /// What is needed, in words.
    pub fn expected(&self) -> String {
        match self {
            Self::Value(scalar) => scalar.expected(),
            Self::Counter => "an integer".to_owned(),
            Self::Set(of) => format!("a list without repetitions, each {}", of.expected()),
            Self::Record(_) => "a map of its fields".to_owned(),
            Self::Map(_) => "a map".to_owned(),
            Self::Array(items) | Self::List(items) => {
                format!("a list, each item {}", items.of.expected())
            }
            Self::Text => "text".to_owned(),
            Self::Tree => "a tree: a list of nodes".to_owned(),
            Self::Any => "any JSON".to_owned(),
        }
    }

    /// Whether both are of one kind, whatever their rules and fields.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(a), Self::Value(b)) | (Self::Set(a), Self::Set(b)) => a.is_like(b),
            (Self::Map(a), Self::Map(b)) => a.is_like(b),
            (Self::Array(a), Self::Array(b)) | (Self::List(a), Self::List(b)) => {
                a.of.is_like(&b.of)
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// What is wrong with the kind itself, in words.
    pub(crate) fn fault(&self, depth: usize) -> Option<String> {
        if depth > KIND_DEPTH_MAX {
            return Some(format!("kinds nest deeper than {KIND_DEPTH_MAX} levels"));
        }
        match self {
            Self::Value(scalar) | Self::Set(scalar) => scalar.fault(),
            Self::Record(fields) => fields
                .iter()
                .find_map(|(name, field)| field_fault(name, field, depth + 1)),
            Self::Map(of) => of.fault(depth + 1),
            Self::Array(items) | Self::List(items) => {
                if !items.length.is_possible() {
                    return Some("no list can have that length".to_owned());
                }
                if !items.of.stands_in_a_value() {
                    return Some(
                        "the items of a list hold values, records and arrays only: they are replaced as a whole"
                            .to_owned(),
                    );
                }
                items.of.fault(depth + 1)
            }
            Self::Counter | Self::Text | Self::Tree | Self::Any => None,
        }
    }

    /// Whether this can stand inside a value that is replaced as a whole.
    fn stands_in_a_value(&self) -> bool {
        match self {
            Self::Value(_) | Self::Any => true,
            Self::Array(items) => items.of.stands_in_a_value(),
            Self::Record(fields) => fields.values().all(|field| field.kind.stands_in_a_value()),
            _ => false,
        }
    }

    /// Finds where a value is not of this kind. `path` is where it stands; at most [`FAULTS_MAX`] are
    /// reported.
    pub fn check(&self, value: &Value, path: &str, faults: &mut Vec<Fault>) {
        if faults.len() >= FAULTS_MAX {
            return;
        }
        let mut wrong = |expected: String| {
            faults.push(Fault {
                path: path.to_owned(),
                expected,
                found: found(value),
            });
        };
        match (self, value) {
            (Self::Any | Self::Tree, _) => {}
            (Self::Value(scalar), value) if scalar.holds(value) => {}
            (Self::Counter, Value::Number(number)) if number.as_i64().is_some() => {}
            (Self::Text, Value::String(_)) => {}
            (Self::Set(of), Value::Array(elements)) => {
                for (index, element) in elements.iter().enumerate() {
                    Self::Value(of.clone()).check(element, &item(path, index), faults);
                }
            }
            (Self::Record(fields), Value::Object(map)) => {
                check_fields(fields, map, path, faults);
            }
            (Self::Map(of), Value::Object(map)) => {
                for (key, value) in map {
                    of.check(value, &below(path, key), faults);
                }
            }
            (Self::Array(items) | Self::List(items), Value::Array(values)) => {
                if !items.length.holds(values.len() as u64) {
                    let length = &items.length;
                    let words = match (length.min, length.max) {
                        (Some(min), Some(max)) => format!("a list of {min} to {max}"),
                        (Some(min), None) => format!("a list of at least {min}"),
                        (None, max) => format!("a list of at most {}", max.unwrap_or_default()),
                    };
                    wrong(words);
                    return;
                }
                if items.unique
                    && let Some(twice) = values
                        .iter()
                        .enumerate()
                        .find_map(|(i, value)| values[..i].contains(value).then_some(value))
                {
                    faults.push(Fault {
                        path: path.to_owned(),
                        expected: "a list without repetitions".to_owned(),
                        found: format!("{} twice", found(twice)),
                    });
                }
                for (index, value) in values.iter().enumerate() {
                    items.of.check(value, &item(path, index), faults);
                }
            }
            _ => wrong(self.expected()),
        }
    }
}

/// Finds where a map is not a record of these fields.
pub(crate) fn check_fields(
    fields: &Fields,
    map: &Map<String, Value>,
    path: &str,
    faults: &mut Vec<Fault>,
) {
    for (name, field) in fields {
        match map.get(name) {
            Some(value) => field.kind.check(value, &below(path, name), faults),
            None if field.must_be_written() && faults.len() < FAULTS_MAX => faults.push(Fault {
                path: below(path, name),
                expected: field.kind.expected(),
                found: "nothing".to_owned(),
            }),
            None => {}
        }
    }
    for name in map.keys().filter(|name| !fields.contains_key(*name)) {
        if faults.len() < FAULTS_MAX {
            faults.push(unknown(fields, path, name));
        }
    }
}

/// The refusal of a field that no revision names so.
pub(crate) fn unknown(fields: &Fields, path: &str, name: &str) -> Fault {
    let names: Vec<&str> = fields.keys().take(24).map(String::as_str).collect();
    let more = if fields.len() > names.len() {
        ", …"
    } else {
        ""
    };
    Fault {
        path: below(path, name),
        expected: match names[..] {
            [] => "no field here".to_owned(),
            _ => format!("one of the fields {}{more}", names.join(", ")),
        },
        found: "a field that the schema does not name".to_owned(),
    }
}

/// What is wrong with a declared field, in words.
pub(crate) fn field_fault(name: &str, field: &Field, depth: usize) -> Option<String> {
    if let Err(error) = stead_doc::check_name(name) {
        return Some(format!("field {name:?}: {error}"));
    }
    if name.len() > FIELD_NAME_BYTES_MAX {
        return Some(format!(
            "the name of field {name:?} has more than {FIELD_NAME_BYTES_MAX} bytes"
        ));
    }
    if let Some(fault) = field.kind.fault(depth) {
        return Some(format!("field {name:?}: {fault}"));
    }
    let default = field.default.as_ref()?;
    if !matches!(field.kind, Kind::Value(_) | Kind::Array(_)) {
        return Some(format!(
            "field {name:?}: only single values and arrays have a default; other kinds start empty"
        ));
    }
    let mut faults = Vec::new();
    field.kind.check(default, name, &mut faults);
    faults
        .first()
        .map(|fault| format!("the default of {fault}"))
}

/// The text of a path one name further down.
pub(crate) fn below(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && !name.contains(['.', '"', '\\', '[']);
    let name = if plain {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    };
    match path {
        "" => name,
        path => format!("{path}.{name}"),
    }
}

/// The text of a path to an item of a list.
pub(crate) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}
