//! Queries over the JSON projections, as values: filter, search, sort, page, group. What SQL they
//! become is in `compile`; what they mean, document by document, is in `eval`. Values and paths are
//! bound: nothing a caller passes ever becomes SQL text.

mod compile;
mod cursor;
mod eval;
mod field;
mod group;
mod plan;
mod search;
mod tally;

use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;
use serde_json::Value;
use stead_base::DocId;

pub use cursor::Cursor;
pub use eval::{Lookup, NoLookup, fits};
pub use group::{Aggregate, GroupKey, Grouped, Grouping, Measure, QUERY_GROUPS_MAX};
pub use plan::Plan;
pub use search::{SEARCH_WORDS_MAX, SearchText};
pub use tally::Tally;

pub(crate) use eval::{at, compare_sql, referred, sort_value};
pub(crate) use field::{encoded, literal, literal_of};

use crate::body::json_of;
use crate::index::IndexRow;
use crate::key::DocKey;
use crate::read::wrong_type;
use crate::rows::CollectionNo;
use crate::{KeyError, StoreError};

/// Most conditions in one query, those inside `any`, `not` and references included.
pub const QUERY_CONDITIONS_MAX: usize = 64;
/// Most sort keys in one query.
pub const QUERY_SORT_KEYS_MAX: usize = 8;
/// How deep filters may be nested.
pub const QUERY_DEPTH_MAX: usize = 16;
/// Most values in one [`Test::In`].
pub const QUERY_IN_MAX: usize = 1_000;

/// Asks for documents of one collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Where to look.
    pub collection: CollectionNo,
    /// All of these must hold.
    pub filter: Vec<Filter>,
    /// The texts must contain this; needs a text index. Without a `sort` the best fit comes first.
    pub search: Option<SearchText>,
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

/// What a document must satisfy.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// One condition on one field.
    Is(Condition),
    /// All of them hold; true when empty.
    All(Vec<Filter>),
    /// One of them holds; false when empty.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// The field names a document, by its id or as `collection/id`, that is there and satisfies the
    /// filters. A list of names: one of them does.
    Refers {
        /// Names from the document's root to the field.
        path: Vec<String>,
        /// The collection of the other document, of the same space.
        collection: String,
        /// All of these must hold for the other document.
        filter: Vec<Filter>,
    },
}

/// What one field must satisfy.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Names from the document's root to the field. Digits name an element where there is a list,
    /// counted from 0. `id` alone is the document's id unless the document has a field `id`.
    pub path: Vec<String>,
    /// The comparison.
    pub test: Test,
}

/// A comparison. Values of different types are never equal and never ordered: a number is
/// compared with numbers, a text with texts (by code point), a boolean with booleans.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Equal.
    Eq(Scalar),
    /// Everything else, an absent field included.
    Ne(Scalar),
    /// Less.
    Lt(Scalar),
    /// Less or equal.
    Le(Scalar),
    /// Greater.
    Gt(Scalar),
    /// Greater or equal.
    Ge(Scalar),
    /// Equal to one of them.
    In(Vec<Scalar>),
    /// A text that starts with this.
    Prefix(String),
    /// A text with this text in it (ASCII letters fit in either case), or an array (a set) with this
    /// element.
    Contains(Scalar),
    /// The field is there.
    Exists,
    /// The field is not there.
    Missing,
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

impl From<Scalar> for Value {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Null => Self::Null,
            Scalar::Bool(value) => value.into(),
            Scalar::Int(value) => value.into(),
            Scalar::Float(value) => value.into(),
            Scalar::Text(value) => value.into(),
        }
    }
}

impl From<Condition> for Filter {
    fn from(condition: Condition) -> Self {
        Self::Is(condition)
    }
}

/// One step of an order: absent, null, lists and maps first, then booleans and numbers, then texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// Names from the document's root to the field; empty stands for the id.
    pub path: Vec<String>,
    /// What a document without the field is sorted as.
    pub or_else: Option<Value>,
    /// Which way.
    pub direction: Direction,
}

impl SortKey {
    /// An order by a field; what lacks it comes first.
    pub const fn new(path: Vec<String>, direction: Direction) -> Self {
        Self {
            path,
            or_else: None,
            direction,
        }
    }
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
    /// For a search: a piece of the text where the words stand, each between [`HIT_START`] and
    /// [`HIT_END`].
    pub snippet: Option<String>,
    /// How well it fits, for a search without another order.
    rank: Option<f64>,
}

/// Rows that room is made for at once.
const PAGE_LIKELY: u64 = 64;

/// Stands before a word that was searched, in a snippet.
pub const HIT_START: char = '\u{2}';
/// Stands behind a word that was searched, in a snippet.
pub const HIT_END: char = '\u{3}';

impl Found {
    /// Where a query with the same order continues behind this document.
    pub fn cursor(&self, sort: &[SortKey]) -> Result<Cursor, StoreError> {
        if let Some(rank) = self.rank {
            return Ok(Cursor::new(self.id.clone(), vec![SqlValue::Real(rank)]));
        }
        if sort.first().is_none_or(|key| key.path.is_empty()) {
            return Ok(Cursor::new(self.id.clone(), Vec::new()));
        }
        let document = serde_json::from_str(&self.json).map_err(|error| StoreError::Corrupt {
            detail: format!("document {}: {error}", self.id),
        })?;
        Ok(Cursor::of(sort, &self.id, &document))
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
        "a query has at most {QUERY_CONDITIONS_MAX} filters, {QUERY_SORT_KEYS_MAX} sort keys and {QUERY_IN_MAX} values in a list"
    )]
    TooLong,
    /// Filters inside filters beyond the limit.
    #[error("filters are nested more than {QUERY_DEPTH_MAX} deep")]
    TooDeep,
    /// A cursor of a query with another order.
    #[error("this page mark belongs to a query with another order: start from the first page")]
    CursorOrder,
    /// A text that is no cursor.
    #[error("this page mark cannot be read: start from the first page")]
    CursorText,
    /// Nothing to search for.
    #[error("name at least one word to search for")]
    NoWords,
    /// More words than a search may have.
    #[error("a search has at most {SEARCH_WORDS_MAX} words")]
    ManyWords,
    /// A search where no text index is.
    #[error(
        "the texts of this collection are not indexed: make an index with `stead index add SPACE/COLLECTION --text FIELD`"
    )]
    NoTextIndex,
    /// A search while the text index is being built.
    #[error("the text index of this collection is still being built: try again in a moment")]
    TextIndexUnfinished,
    /// Groups of a search, or of deleted documents only.
    #[error("a search cannot be grouped")]
    GroupedSearch,
    /// A sum beyond 64 bits.
    #[error("the sum is beyond 64 bits")]
    SumTooLarge,
    /// More groups than an answer holds.
    #[error("there are more than {QUERY_GROUPS_MAX} groups: group by something coarser, or filter")]
    ManyGroups,
}

impl Query {
    /// Everything that is not deleted, by id.
    pub fn all(collection: CollectionNo) -> Self {
        Self {
            collection,
            filter: Vec::new(),
            search: None,
            sort: Vec::new(),
            limit: None,
            offset: 0,
            after: None,
            include_deleted: false,
        }
    }
}

pub(crate) fn find(
    conn: &Connection,
    query: &Query,
    indexes: &[IndexRow],
) -> Result<Vec<Found>, StoreError> {
    let compiled = compile::find(query, &plan::choose(query, indexes, false)?)?;
    let mut statement = conn.prepare_cached(&compiled.sql)?;
    let params = rusqlite::params_from_iter(used(&statement, &compiled.params));
    let mut rows = statement.query(params)?;
    let page = query.limit.map_or(0, |limit| limit.min(PAGE_LIKELY));
    let mut found = Vec::with_capacity(page as usize);
    while let Some(row) = rows.next()? {
        let key = row.get_ref(0)?.as_blob().map_err(wrong_type)?;
        found.push(Found {
            id: DocKey::decode(key).map_err(|error: KeyError| StoreError::from(error))?,
            json: json_of(row.get_ref(1)?)?,
            deleted: row.get(2)?,
            snippet: row.get(3)?,
            rank: compiled.ranked.then(|| row.get(4)).transpose()?,
        });
    }
    Ok(found)
}

pub(crate) fn count(
    conn: &Connection,
    query: &Query,
    indexes: &[IndexRow],
) -> Result<u64, StoreError> {
    let compiled = compile::count(query, &plan::choose(query, indexes, true)?)?;
    let mut statement = conn.prepare_cached(&compiled.sql)?;
    let params = rusqlite::params_from_iter(used(&statement, &compiled.params));
    Ok(statement.query_row(params, |row| row.get(0))?)
}

pub(crate) fn explain(
    conn: &Connection,
    query: &Query,
    indexes: &[IndexRow],
) -> Result<Plan, StoreError> {
    let chosen = plan::choose(query, indexes, false)?;
    let compiled = compile::find(query, &chosen)?;
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", compiled.sql))?;
    let params = rusqlite::params_from_iter(used(&statement, &compiled.params));
    let steps = statement
        .query_map(params, |row| row.get("detail"))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(chosen.told(steps))
}

/// A condition that needs no value leaves the last parameters without a place in the statement.
fn used<'p>(statement: &rusqlite::Statement<'_>, params: &'p [SqlValue]) -> &'p [SqlValue] {
    &params[..params.len().min(statement.parameter_count())]
}

pub(crate) use group::group;

#[cfg(test)]
mod tests;
