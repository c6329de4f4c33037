//! Counting, sums, least, greatest and means, in all or by groups.

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, Row};
use serde_json::Value;

use super::compile::Build;
use super::{QUERY_SORT_KEYS_MAX, Query, QueryError, plan};
use crate::StoreError;
use crate::body::Kind;
use crate::index::IndexRow;

/// Most groups in one answer.
pub const QUERY_GROUPS_MAX: usize = 10_000;

/// What to group by and what to find out of each group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grouping {
    /// Fields whose values make the groups; empty for one group of all.
    pub by: Vec<GroupKey>,
    /// What to find out.
    pub measures: Vec<Measure>,
}

/// One thing to find out of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// How.
    pub aggregate: Aggregate,
    /// Of which field.
    pub of: GroupKey,
}

/// A field of which groups are made, or that is measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupKey {
    /// Names from the document's root to the field.
    pub path: Vec<String>,
    /// What a document without the field counts as.
    pub or_else: Option<Value>,
}

/// How values become one. Values that it does not apply to are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// How many documents have the field.
    Count,
    /// The sum of the numbers; null if there are none.
    Sum,
    /// The mean of the numbers; null if there are none.
    Avg,
    /// The least number, or the first text if there are texts only.
    Min,
    /// The greatest number or, after all numbers, text.
    Max,
}

/// One group.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouped {
    /// The values that make it, one for each field; null also stands for an absent field, a list
    /// and a map.
    pub by: Vec<Value>,
    /// How many documents are in it.
    pub count: u64,
    /// The measures, in their order.
    pub measures: Vec<Value>,
}

impl Grouping {
    pub(super) fn check(&self, query: &Query) -> Result<(), QueryError> {
        if query.search.is_some() {
            return Err(QueryError::GroupedSearch);
        }
        match self.by.len().max(self.measures.len()) > QUERY_SORT_KEYS_MAX {
            true => Err(QueryError::TooLong),
            false => Ok(()),
        }
    }
}

/// Groups everything that fits, in the order of the groups' values.
pub(crate) fn group(
    conn: &Connection,
    query: &Query,
    grouping: &Grouping,
    indexes: &[IndexRow],
) -> Result<Vec<Grouped>, StoreError> {
    grouping.check(query)?;
    let chosen = plan::choose(query, indexes, false)?;
    let mut build = Build::filtered(query, &chosen)?;
    let mut columns = Vec::new();
    for key in &grouping.by {
        let field = build.filled(&key.path, key.or_else.as_ref())?;
        columns.push(field.sort_value());
        columns.push(format!("ifnull({},0)", field.is(Kind::Bool)));
    }
    let groups = columns.len();
    columns.push("count(*)".to_owned());
    for measure in &grouping.measures {
        let field = build.filled(&measure.of.path, measure.of.or_else.as_ref())?;
        let numbers = field.only(Kind::Number);
        columns.push(match measure.aggregate {
            Aggregate::Count => format!("count(CASE WHEN {} THEN 1 END)", field.exists()),
            Aggregate::Sum => format!("sum({numbers})"),
            Aggregate::Avg => format!("avg({numbers})"),
            Aggregate::Min | Aggregate::Max => {
                let name = if measure.aggregate == Aggregate::Min {
                    "min"
                } else {
                    "max"
                };
                format!("{name}({})", field.numbers_and_texts())
            }
        });
    }
    let positions: Vec<String> = (1..=groups).map(|at| at.to_string()).collect();
    let by = match positions.is_empty() {
        true => String::new(),
        false => format!(" GROUP BY {0} ORDER BY {0}", positions.join(",")),
    };
    let sql = format!(
        "SELECT {} FROM {} WHERE {}{by} LIMIT {}",
        columns.join(","),
        build.from(),
        build.wanted(),
        QUERY_GROUPS_MAX + 1
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let read = |row: &Row<'_>| {
        let mut by = Vec::with_capacity(grouping.by.len());
        for at in 0..grouping.by.len() {
            by.push(key(row.get(2 * at)?, row.get(2 * at + 1)?));
        }
        Ok(Grouped {
            by,
            count: row.get(groups)?,
            measures: (0..grouping.measures.len())
                .map(|at| row.get(groups + 1 + at).map(|value| key(value, false)))
                .collect::<rusqlite::Result<_>>()?,
        })
    };
    let params = rusqlite::params_from_iter(super::used(&statement, &build.params));
    let rows = statement.query_map(params, read)?;
    let mut found = Vec::new();
    for row in rows {
        let row = row.map_err(
            |error| match error.to_string().contains("integer overflow") {
                true => StoreError::Query(QueryError::SumTooLarge),
                false => error.into(),
            },
        )?;
        found.push(row);
    }
    match found.len() > QUERY_GROUPS_MAX {
        true => Err(QueryError::ManyGroups.into()),
        false => Ok(found),
    }
}

pub(super) fn key(value: SqlValue, is_bool: bool) -> Value {
    match value {
        SqlValue::Integer(whole) if is_bool => Value::Bool(whole != 0),
        SqlValue::Integer(whole) => whole.into(),
        SqlValue::Real(float) => float.into(),
        SqlValue::Text(text) => text.into(),
        SqlValue::Null | SqlValue::Blob(_) => Value::Null,
    }
}
