//! A field as SQL: where its value stands, in the document's body or in an index, and what type it
//! has. Paths are bound or checked; the digits of a list's element are the only part of one that is
//! ever text of a statement, and only in the definitions of indexes.

use rusqlite::types::Value as SqlValue;
use stead_base::limits::{NAME_BYTES_MAX, PATH_DEPTH_MAX};

use super::QueryError;

/// Most names of one path that may stand for an element of a list.
const ELEMENTS_MAX: usize = 2;
/// No list has an element beyond.
const ELEMENT_DIGITS_MAX: usize = 9;

/// Types as an index keeps them, three bits for each of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null = 1,
    Bool = 2,
    Number = 3,
    Text = 4,
    Array = 5,
}

/// SQLite's names of a type.
const fn names(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "'null'",
        Kind::Bool => "'true','false'",
        Kind::Number => "'integer','real'",
        Kind::Text => "'text'",
        Kind::Array => "'array'",
    }
}

/// A field of a document, in SQL.
#[derive(Debug, Clone)]
pub(super) enum Field {
    /// Read from a body. `paths` are the names of bound parameters.
    Body {
        body: String,
        paths: Vec<String>,
        /// The id's column, for the field `id`.
        or_id: Option<String>,
    },
    /// Read from column `at` of the index that the statement calls `i`.
    Index { at: usize },
}

impl Field {
    /// The value as it is compared: null for what has no order.
    pub(super) fn value(&self) -> String {
        match self {
            Self::Index { at } => format!("i.k{at}"),
            Self::Body { body, paths, or_id } => {
                let value = first_of(paths, |path| format!("json_extract({body},{path})"));
                match or_id {
                    None => value,
                    Some(id) => {
                        let kind = self.kind();
                        format!("(CASE WHEN {kind} IS NULL THEN stead_id({id}) ELSE {value} END)")
                    }
                }
            }
        }
    }

    /// The value as it is sorted by: lists and maps like nothing.
    pub(super) fn sort_value(&self) -> String {
        match self {
            Self::Index { .. } => self.value(),
            Self::Body { .. } => {
                let kind = self.kind();
                format!(
                    "(CASE WHEN {kind} IN ('array','object') THEN NULL ELSE {} END)",
                    self.value()
                )
            }
        }
    }

    /// SQLite's name of the type, or null. Only of a body.
    fn kind(&self) -> String {
        match self {
            Self::Index { at } => format!("((i.t>>{})&7)", 3 * at),
            Self::Body { body, paths, .. } => {
                first_of(paths, |path| format!("json_type({body},{path})"))
            }
        }
    }

    /// Whether the value is of a type.
    pub(super) fn is(&self, kind: Kind) -> String {
        match self {
            Self::Index { .. } => format!("{}={}", self.kind(), kind as u8),
            Self::Body { or_id: Some(_), .. } if kind == Kind::Text => {
                format!("ifnull({},'text')='text'", self.kind())
            }
            Self::Body { .. } => format!("{} IN ({})", self.kind(), names(kind)),
        }
    }

    /// Whether the field is there.
    pub(super) fn exists(&self) -> String {
        match self {
            Self::Index { .. } => format!("{}<>0", self.kind()),
            Self::Body { or_id: Some(_), .. } => "1".to_owned(),
            Self::Body { .. } => format!("{} IS NOT NULL", self.kind()),
        }
    }

    /// Whether the field is this boolean.
    pub(super) fn is_bool(&self, value: bool) -> String {
        match self {
            Self::Index { at } => {
                format!("(i.k{at}={} AND {})", u8::from(value), self.is(Kind::Bool))
            }
            Self::Body { .. } => format!("{} IS '{value}'", self.kind()),
        }
    }
}

fn first_of(paths: &[String], f: impl Fn(&String) -> String) -> String {
    match paths {
        [path] => f(path),
        _ => {
            let all: Vec<String> = paths.iter().map(f).collect();
            format!("coalesce({})", all.join(","))
        }
    }
}

/// A field's path in SQLite's notation, every name quoted; more than one where a name of digits may
/// be a field's name or an element of a list.
pub(crate) fn paths_of(path: &[String]) -> Result<Vec<String>, QueryError> {
    if path.is_empty() {
        return Err(QueryError::NoField);
    }
    if path.len() > PATH_DEPTH_MAX || path.iter().any(|name| name.len() > NAME_BYTES_MAX) {
        let path = path.join(".").chars().take(200).collect();
        return Err(QueryError::Path { path });
    }
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

/// A checked path as a literal, for the definition of an index.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// All texts at and below a field, one a line, for a text index. `body` is a column or a parameter.
pub(crate) fn text_of(body: &str, path: &[String]) -> Result<String, QueryError> {
    let of = |path: &String| {
        format!(
            "(SELECT group_concat(atom,char(10)) FROM json_tree({body},{}) WHERE type='text')",
            literal(path)
        )
    };
    Ok(first_of(&paths_of(path)?, of))
}

/// Binds the paths of a field.
pub(super) fn bound(
    path: &[String],
    body: &str,
    id: &str,
    bind: &mut dyn FnMut(SqlValue) -> String,
) -> Result<Field, QueryError> {
    let paths = paths_of(path)?
        .into_iter()
        .map(|path| bind(SqlValue::Text(path)))
        .collect();
    let or_id = matches!(path, [name] if name == "id").then(|| id.to_owned());
    Ok(Field::Body {
        body: body.to_owned(),
        paths,
        or_id,
    })
}
