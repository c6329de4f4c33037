//! Queries over the JSON projections, as values: filter, sort, page. What SQL they become is in
//! `compile`; nothing a caller passes ever becomes SQL text.

mod compile;
mod cursor;

use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;
use stead_base::DocId;

pub use cursor::Cursor;

use crate::key::DocKey;
use crate::read::wrong_type;
use crate::rows::CollectionNo;
use crate::{KeyError, StoreError};

/// Most conditions in one query.
pub const QUERY_CONDITIONS_MAX: usize = 64;
/// Most sort keys in one query.
pub const QUERY_SORT_KEYS_MAX: usize = 8;

/// Asks for documents of one collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Where to look.
    pub collection: CollectionNo,
    /// All of these must hold.
    pub filter: Vec<Condition>,
    /// The order; what is equal is ordered by id. Empty: by id.
    pub sort: Vec<SortKey>,
    /// Most documents to return.
    pub limit: Option<u64>,
    /// Documents to skip first (slow when large: prefer `after`).
    pub offset: u64,
    /// Continue behind this document.
    pub after: Option<Cursor>,
    /// Also find deleted documents.
    pub include_deleted: bool,
}

/// What one field must satisfy.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Names from the document's root to the field.
    pub path: Vec<String>,
    /// The comparison.
    pub op: Op,
    /// What to compare with.
    pub value: Scalar,
}

/// A comparison. Values of different types are never equal and never ordered: a number is
/// compared with numbers, a text with texts (by code point), a boolean with booleans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Equal.
    Eq,
    /// Everything else, an absent field included.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// A text with this text in it (ASCII letters fit in either case), or an array (a set) with this
    /// element.
    Contains,
    /// The field is there (or, with `false`, is not).
    Exists,
}

/// A JSON scalar.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
}

/// Why a JSON value is no [`Scalar`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a text, a number, true, false or null, found an array or an object")]
pub struct ScalarError;

impl TryFrom<serde_json::Value> for Scalar {
    type Error = ScalarError;

    fn try_from(value: serde_json::Value) -> Result<Self, ScalarError> {
        Ok(match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Self::Int(whole),
                (None, Some(float)) => Self::Float(float),
                (None, None) => return Err(ScalarError),
            },
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => return Err(ScalarError),
        })
    }
}

/// One step of an order: absent and null first, then booleans and numbers, then texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// Names from the document's root to the field; empty stands for the id.
    pub path: Vec<String>,
    /// Which way.
    pub direction: Direction,
}

/// Which way to sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Small first.
    Asc,
    /// Great first.
    Desc,
}

/// A document that a query found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: DocId,
    /// Its visible fields as JSON text.
    pub json: String,
    /// Whether it is deleted.
    pub deleted: bool,
    /// What it was sorted by.
    sorted_by: Vec<SqlValue>,
}

impl Found {
    /// Where a query with the same order continues behind this document.
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.id.clone(), self.sorted_by.clone())
    }
}

/// A query that cannot be asked: the caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A condition without a field.
    #[error("a filter needs the name of a field")]
    NoField,
    /// A path beyond the depth or name limits.
    #[error("no document has a field as deep or as long as {path:?}")]
    Path {
        /// The path, joined by dots and cut.
        path: String,
    },
    /// Null compared by size.
    #[error("nothing is greater or smaller than null: compare with = or !=, or ask if it exists")]
    NullOrder,
    /// More conditions or sort keys than a query may have.
    #[error(
        "a query has at most {QUERY_CONDITIONS_MAX} filters and {QUERY_SORT_KEYS_MAX} sort keys"
    )]
    TooLong,
    /// A cursor of a query with another order.
    #[error("this page mark belongs to a query with another order: start from the first page")]
    CursorOrder,
    /// A text that is no cursor.
    #[error("this page mark cannot be read: start from the first page")]
    CursorText,
}

impl Query {
    /// Everything that is not deleted, by id.
    pub fn all(collection: CollectionNo) -> Self {
        Self {
            collection,
            filter: Vec::new(),
            sort: Vec::new(),
            limit: None,
            offset: 0,
            after: None,
            include_deleted: false,
        }
    }
}

pub(crate) fn find(conn: &Connection, query: &Query) -> Result<Vec<Found>, StoreError> {
    let compiled = compile::find(query)?;
    let mut statement = conn.prepare_cached(&compiled.sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(&compiled.params))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key = row.get_ref(0)?.as_blob().map_err(wrong_type)?;
        found.push(Found {
            id: DocKey::decode(key).map_err(|error: KeyError| StoreError::from(error))?,
            json: row.get(1)?,
            deleted: row.get(2)?,
            sorted_by: (0..compiled.sorted_by)
                .map(|i| row.get(3 + i))
                .collect::<rusqlite::Result<_>>()?,
        });
    }
    Ok(found)
}

pub(crate) fn count(conn: &Connection, query: &Query) -> Result<u64, StoreError> {
    let compiled = compile::count(query)?;
    let mut statement = conn.prepare_cached(&compiled.sql)?;
    let params = rusqlite::params_from_iter(&compiled.params);
    Ok(statement.query_row(params, |row| row.get(0))?)
}

#[cfg(test)]
mod tests;
