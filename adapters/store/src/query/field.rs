//! A field as SQL: where its value stands, in the document's body or in an index, and what type it
//! has. Paths are bound; where an index is defined they stand in the statement, as a blob or quoted.

use rusqlite::types::Value as SqlValue;
use serde_json::Value;
use stead_base::limits::{NAME_BYTES_MAX, PATH_DEPTH_MAX};

use super::{QueryError, sort_value};
use crate::body::{FieldPath, Kind};

/// Most names of one path that may stand for an element of a list.
const ELEMENTS_MAX: usize = 2;
/// No list has an element beyond.
const ELEMENT_DIGITS_MAX: usize = 9;

/// A field of a document, in SQL.
#[derive(Debug, Clone)]
pub(super) enum Field {
    /// Read from a body, by a bound path.
    Body {
        body: String,
        path: String,
        /// The id's column, for the field `id`.
        or_id: Option<String>,
    },
    /// Read from column `at` of the index that the statement calls `i`.
    Index {
        at: usize,
        /// Whether the column has something else where nothing is, and whether that is meant.
        fills: Fills,
    },
    /// A field of a body, or something else where nothing is.
    Filled {
        field: Box<Self>,
        /// A parameter.
        value: String,
        kind: Kind,
    },
}

/// What an index has where a document has nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fills {
    /// Nothing.
    Nothing,
    /// Something of this type, which is meant.
    With(Kind),
    /// Something that is not meant.
    Unasked,
}

impl Field {
    /// The value as it is compared, if its type is one of `kinds`, else null. Of an index the value
    /// whatever it is: those that have no order are null there.
    fn value_of(&self, kinds: u8) -> String {
        match self {
            Self::Index { at, .. } => format!("i.k{at}"),
            Self::Filled { field, value, kind } => {
                let value = match kinds & kind.bit() != 0 {
                    true => value,
                    false => "NULL",
                };
                let held = field.value_of(kinds);
                format!(
                    "(CASE {} WHEN 0 THEN {value} ELSE {held} END)",
                    field.kind()
                )
            }
            Self::Body { body, path, or_id } => {
                let value = format!("stead_field({body},{path},{kinds})");
                match or_id {
                    Some(id) if kinds & Kind::Text.bit() != 0 => format!(
                        "(CASE stead_kind({body},{path}) WHEN 0 THEN stead_id({id}) ELSE {value} END)"
                    ),
                    _ => value,
                }
            }
        }
    }

    /// The value as it is sorted by: lists and maps like nothing.
    pub(super) fn sort_value(&self) -> String {
        self.value_of(Kind::SCALARS)
    }

    /// The value if it is of a type, else null.
    pub(super) fn only(&self, kind: Kind) -> String {
        match self {
            Self::Index { .. } => {
                format!("CASE WHEN {} THEN {} END", self.is(kind), self.sort_value())
            }
            Self::Body { .. } | Self::Filled { .. } => self.value_of(kind.bit()),
        }
    }

    /// The value if it is a number or a text, else null.
    pub(super) fn numbers_and_texts(&self) -> String {
        match self {
            Self::Index { .. } => {
                let (number, text) = (self.is(Kind::Number), self.is(Kind::Text));
                format!(
                    "CASE WHEN {number} OR {text} THEN {} END",
                    self.sort_value()
                )
            }
            Self::Body { .. } | Self::Filled { .. } => {
                self.value_of(Kind::Number.bit() | Kind::Text.bit())
            }
        }
    }

    /// Whether the value is of a type and compares so. `comparison` stands behind the value.
    pub(super) fn compares(&self, kind: Kind, comparison: &str) -> String {
        match self {
            // What is stored as a text is one.
            Self::Index {
                fills: Fills::Nothing,
                ..
            } if kind == Kind::Text && !comparison.starts_with('<') => {
                format!("({}{comparison})", self.sort_value())
            }
            Self::Index { .. } => {
                format!("({}{comparison} AND {})", self.sort_value(), self.is(kind))
            }
            Self::Body { .. } | Self::Filled { .. } => {
                format!("({}{comparison})", self.only(kind))
            }
        }
    }

    /// The number of the type.
    fn kind(&self) -> String {
        match self {
            Self::Index { at, fills } => {
                let kind = format!("((i.t>>{})&7)", 3 * at);
                match fills {
                    Fills::With(with) => {
                        format!("(CASE {kind} WHEN 0 THEN {} ELSE {kind} END)", *with as u8)
                    }
                    Fills::Nothing | Fills::Unasked => kind,
                }
            }
            Self::Filled { field, kind, .. } => {
                let held = field.kind();
                format!("(CASE {held} WHEN 0 THEN {} ELSE {held} END)", *kind as u8)
            }
            Self::Body { body, path, .. } => format!("stead_kind({body},{path})"),
        }
    }

    /// Whether the value is of a type.
    pub(super) fn is(&self, kind: Kind) -> String {
        match self {
            Self::Body { or_id: Some(_), .. } if kind == Kind::Text => {
                format!("{} IN ({},{})", self.kind(), Kind::Absent as u8, kind as u8)
            }
            _ => format!("{}={}", self.kind(), kind as u8),
        }
    }

    /// Whether the field is there.
    pub(super) fn exists(&self) -> String {
        match self {
            Self::Body { or_id: Some(_), .. } => "1".to_owned(),
            _ => format!("{}<>{}", self.kind(), Kind::Absent as u8),
        }
    }
}

/// Refuses a path that no document has.
fn checked(path: &[String]) -> Result<(), QueryError> {
    if path.is_empty() {
        return Err(QueryError::NoField);
    }
    if path.len() > PATH_DEPTH_MAX || path.iter().any(|name| name.len() > NAME_BYTES_MAX) {
        let path = path.join(".").chars().take(200).collect();
        return Err(QueryError::Path { path });
    }
    Ok(())
}

/// A field's path as the parameter of `stead_field` and `stead_kind`.
pub(crate) fn encoded(path: &[String]) -> Result<Vec<u8>, QueryError> {
    checked(path)?;
    Ok(FieldPath::encode(path))
}

/// A field's path in SQLite's notation, every name quoted; more than one where a name of digits may
/// be a field's name or an element of a list.
pub(super) fn paths_of(path: &[String]) -> Result<Vec<String>, QueryError> {
    checked(path)?;
    let mut paths = vec!["$".to_owned()];
    let mut elements = 0;
    for name in path {
        let element = name.len() <= ELEMENT_DIGITS_MAX
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_digit())
            && elements < ELEMENTS_MAX;
        elements += usize::from(element);
        // A JSON string, quotes included, is how SQLite wants a label that needs quoting.
        let quoted = format!(".{}", serde_json::Value::from(name.as_str()));
        let mut longer: Vec<String> = paths.iter().map(|path| format!("{path}{quoted}")).collect();
        if element {
            let digits = name.trim_start_matches('0');
            let digits = if digits.is_empty() { "0" } else { digits };
            longer.extend(paths.iter().map(|path| format!("{path}[{digits}]")));
        }
        paths = longer;
    }
    Ok(paths)
}

/// A text as a literal, for statements that take no parameters.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A value as it is sorted by, as a literal.
pub(crate) fn literal_of(value: &Value) -> String {
    match sort_value(Some(value)) {
        SqlValue::Integer(whole) => whole.to_string(),
        SqlValue::Real(float) => format!("{float:?}"),
        SqlValue::Text(text) => literal(&text),
        SqlValue::Null | SqlValue::Blob(_) => "NULL".to_owned(),
    }
}

/// The type of a value.
pub(super) const fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Bool,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::Text,
        Value::Array(_) => Kind::Array,
        Value::Object(_) => Kind::Object,
    }
}

/// Binds the path of a field.
pub(super) fn bound(
    path: &[String],
    body: &str,
    id: &str,
    bind: &mut dyn FnMut(SqlValue) -> String,
) -> Result<Field, QueryError> {
    let or_id = matches!(path, [name] if name == "id").then(|| id.to_owned());
    Ok(Field::Body {
        body: body.to_owned(),
        path: bind(SqlValue::Blob(encoded(path)?)),
        or_id,
    })
}
