//! Where a page of results ended, as a text that survives a round trip through an API.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::Value as SqlValue;
use stead_base::DocId;

use super::QueryError;

/// The place behind one document in one order. Its text is made of the document's id and the
/// values it was sorted by: as private as the document.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    pub(super) id: DocId,
    pub(super) sorted_by: Vec<SqlValue>,
}

impl Cursor {
    pub(super) fn new(id: DocId, sorted_by: Vec<SqlValue>) -> Self {
        Self { id, sorted_by }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = std::iter::once(self.id.to_string())
            .chain(self.sorted_by.iter().map(|value| match value {
                SqlValue::Integer(whole) => format!("i{whole}"),
                // The bits, so that reading it back gives the very same number.
                SqlValue::Real(float) => format!("f{:x}", float.to_bits()),
                SqlValue::Text(text) => format!("t{text}"),
                SqlValue::Null | SqlValue::Blob(_) => "n".to_owned(),
            }))
            .map(serde_json::Value::String)
            .collect();
        serde_json::Value::Array(parts).fmt(f)
    }
}

impl FromStr for Cursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        read(text).ok_or(QueryError::CursorText)
    }
}

fn read(text: &str) -> Option<Cursor> {
    let serde_json::Value::Array(parts) = serde_json::from_str(text).ok()? else {
        return None;
    };
    let (id, values) = parts.split_first()?;
    Some(Cursor {
        id: DocId::parse(id.as_str()?).ok()?,
        sorted_by: values
            .iter()
            .map(|part| read_value(part.as_str()?))
            .collect::<Option<_>>()?,
    })
}

fn read_value(text: &str) -> Option<SqlValue> {
    let mut chars = text.chars();
    let kind = chars.next()?;
    let rest = chars.as_str();
    Some(match kind {
        'i' => SqlValue::Integer(rest.parse().ok()?),
        'f' => {
            let float = f64::from_bits(u64::from_str_radix(rest, 16).ok()?);
            // What is no number has no place in an order.
            SqlValue::Real(Some(float).filter(|float| !float.is_nan())?)
        }
        't' => SqlValue::Text(rest.to_owned()),
        'n' if rest.is_empty() => SqlValue::Null,
        _ => return None,
    })
}
