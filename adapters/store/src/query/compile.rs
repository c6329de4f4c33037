//! A query as one SQL statement. Its text is made of constants of this file and parameter numbers
//! only: paths, values and cursors are bound, so no input can change what is asked.

use rusqlite::types::Value as SqlValue;
use stead_base::limits::{NAME_BYTES_MAX, PATH_DEPTH_MAX};

use super::{
    Condition, Cursor, Direction, Op, QUERY_CONDITIONS_MAX, QUERY_SORT_KEYS_MAX, Query, QueryError,
    Scalar,
};
use crate::key::DocKey;

/// A statement with what to bind.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) sql: String,
    pub(super) params: Vec<SqlValue>,
    /// How many sort values follow the first three columns.
    pub(super) sorted_by: usize,
}

/// Selects id, JSON text, deleted flag, then the sort values.
pub(super) fn find(query: &Query) -> Result<Compiled, QueryError> {
    let mut build = Build::filtered(query)?;
    // A sort by id ends the order: nothing is equal after it.
    let keys: Vec<_> = match query.sort.iter().position(|key| key.path.is_empty()) {
        Some(end) => query.sort[..end].iter().collect(),
        None => query.sort.iter().collect(),
    };
    let id_direction = match query.sort.get(keys.len()) {
        Some(key) => key.direction,
        None => Direction::Asc,
    };
    let mut columns = Vec::new();
    for key in &keys {
        let path = build.path(&key.path)?;
        columns.push((format!("json_extract(body, {path})"), key.direction));
    }
    if let Some(cursor) = &query.after {
        build.after(cursor, &columns, id_direction)?;
    }
    let limit = query.limit.map_or(-1, |n| i64::try_from(n).unwrap_or(-1));
    let limit = build.bind(SqlValue::Integer(limit));
    let offset = build.bind(SqlValue::Integer(
        i64::try_from(query.offset).unwrap_or(i64::MAX),
    ));
    let wanted = &build.wanted;
    let id_order = order(id_direction);
    let sql = if columns.is_empty() {
        format!(
            "SELECT id, json(body), deleted FROM doc WHERE {wanted} \
             ORDER BY id{id_order} LIMIT {limit} OFFSET {offset}"
        )
    } else {
        // Sorts ids and sort values only; whole documents are read for one page.
        let values: String = (columns.iter().enumerate())
            .map(|(i, (column, _))| format!(", {column} AS s{i}"))
            .collect();
        let names: String = (0..columns.len()).map(|i| format!(", s{i}")).collect();
        let by: String = (columns.iter().enumerate())
            .map(|(i, (_, direction))| format!("s{i}{}, ", order(*direction)))
            .collect();
        format!(
            "SELECT doc.id, json(body), deleted{names} FROM \
             (SELECT id AS page_id{values} FROM doc WHERE {wanted} \
             ORDER BY {by}id{id_order} LIMIT {limit} OFFSET {offset}) \
             CROSS JOIN doc ON collection=?1 AND doc.id=page_id ORDER BY {by}page_id{id_order}"
        )
    };
    Ok(Compiled {
        sql,
        params: build.params,
        sorted_by: columns.len(),
    })
}

/// Selects the number of matches.
pub(super) fn count(query: &Query) -> Result<Compiled, QueryError> {
    let build = Build::filtered(query)?;
    Ok(Compiled {
        sql: format!("SELECT count(*) FROM doc WHERE {}", build.wanted),
        params: build.params,
        sorted_by: 0,
    })
}

struct Build {
    wanted: String,
    params: Vec<SqlValue>,
}

impl Build {
    fn filtered(query: &Query) -> Result<Self, QueryError> {
        if query.filter.len() > QUERY_CONDITIONS_MAX || query.sort.len() > QUERY_SORT_KEYS_MAX {
            return Err(QueryError::TooLong);
        }
        let mut build = Self {
            wanted: "collection=?1".to_owned(),
            params: vec![SqlValue::Integer(i64::from(query.collection.0))],
        };
        if !query.include_deleted {
            build.wanted.push_str(" AND deleted=0");
        }
        for condition in &query.filter {
            let sql = build.condition(condition)?;
            build.wanted.push_str(" AND ");
            build.wanted.push_str(&sql);
        }
        Ok(build)
    }

    /// The name of a new parameter.
    fn bind(&mut self, value: SqlValue) -> String {
        self.params.push(value);
        format!("?{}", self.params.len())
    }

    /// Binds a field's path in SQLite's notation, every name quoted.
    fn path(&mut self, path: &[String]) -> Result<String, QueryError> {
        if path.len() > PATH_DEPTH_MAX || path.iter().any(|name| name.len() > NAME_BYTES_MAX) {
            let path = path.join(".").chars().take(200).collect();
            return Err(QueryError::Path { path });
        }
        let mut text = "$".to_owned();
        for name in path {
            // A JSON string, quotes included, is how SQLite wants a label that needs quoting.
            text.push('.');
            text.push_str(&serde_json::Value::from(name.as_str()).to_string());
        }
        Ok(self.bind(SqlValue::Text(text)))
    }

    fn condition(&mut self, condition: &Condition) -> Result<String, QueryError> {
        if condition.path.is_empty() {
            return Err(QueryError::NoField);
        }
        let path = self.path(&condition.path)?;
        let kind = format!("json_type(body, {path})");
        let compare = match condition.op {
            Op::Eq => return self.equal(&path, &condition.value),
            Op::Ne => {
                return Ok(format!(
                    "({}) IS NOT TRUE",
                    self.equal(&path, &condition.value)?
                ));
            }
            Op::Contains => return self.contains(&path, &condition.value),
            Op::Exists if condition.value == Scalar::Bool(false) => {
                return Ok(format!("{kind} IS NULL"));
            }
            Op::Exists => return Ok(format!("{kind} IS NOT NULL")),
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
        };
        let kinds = kinds(&condition.value).ok_or(QueryError::NullOrder)?;
        let value = self.bind(sql_value(&condition.value));
        Ok(format!(
            "(json_extract(body, {path}) {compare} {value} AND {kind} IN ({kinds}))"
        ))
    }

    fn equal(&mut self, path: &str, value: &Scalar) -> Result<String, QueryError> {
        let kind = format!("json_type(body, {path})");
        Ok(match (value, kinds(value)) {
            (Scalar::Bool(true), _) => format!("{kind}='true'"),
            (Scalar::Bool(false), _) => format!("{kind}='false'"),
            (_, None) => format!("{kind}='null'"),
            (_, Some(kinds)) => {
                let value = self.bind(sql_value(value));
                format!("(json_extract(body, {path})={value} AND {kind} IN ({kinds}))")
            }
        })
    }

    fn contains(&mut self, path: &str, value: &Scalar) -> Result<String, QueryError> {
        let kind = format!("json_type(body, {path})");
        let element = match (value, kinds(value)) {
            (Scalar::Bool(true), _) => "type='true'".to_owned(),
            (Scalar::Bool(false), _) => "type='false'".to_owned(),
            (_, None) => "type='null'".to_owned(),
            (_, Some(kinds)) => {
                let value = self.bind(sql_value(value));
                format!("atom={value} AND type IN ({kinds})")
            }
        };
        let in_array = format!(
            "({kind}='array' AND EXISTS (SELECT 1 FROM json_each(body, {path}) WHERE {element}))"
        );
        Ok(match value {
            Scalar::Text(_) => {
                let value = self.bind(sql_value(value));
                format!(
                    "(({kind}='text' AND instr(lower(json_extract(body, {path})), lower({value}))>0) OR {in_array})"
                )
            }
            _ => in_array,
        })
    }

    /// Keeps only what comes behind the cursor: greater in the first column, or equal there and
    /// greater in the next, and so on to the id.
    fn after(
        &mut self,
        cursor: &Cursor,
        columns: &[(String, Direction)],
        id_direction: Direction,
    ) -> Result<(), QueryError> {
        if cursor.sorted_by.len() != columns.len() {
            return Err(QueryError::CursorOrder);
        }
        let id = self.bind(SqlValue::Blob(DocKey::new(&cursor.id).as_bytes().to_vec()));
        let mut behind = format!("id{}{id}", greater(id_direction));
        for ((column, direction), value) in columns.iter().zip(&cursor.sorted_by).rev() {
            let is_null = *value == SqlValue::Null;
            let value = self.bind(value.clone());
            // NULL comes first and compares with nothing.
            let further = match (direction, is_null) {
                (Direction::Asc, true) => format!("{column} IS NOT NULL"),
                (Direction::Asc, false) => format!("{column}>{value}"),
                (Direction::Desc, true) => "0".to_owned(),
                (Direction::Desc, false) => format!("({column}<{value} OR {column} IS NULL)"),
            };
            behind = format!("({further} OR ({column} IS {value} AND {behind}))");
        }
        self.wanted.push_str(" AND ");
        self.wanted.push_str(&behind);
        Ok(())
    }
}

/// SQLite's names of the JSON types that a value is compared with; none for null.
fn kinds(value: &Scalar) -> Option<&'static str> {
    match value {
        Scalar::Null => None,
        Scalar::Bool(_) => Some("'true', 'false'"),
        Scalar::Int(_) | Scalar::Float(_) => Some("'integer', 'real'"),
        Scalar::Text(_) => Some("'text'"),
    }
}

fn sql_value(value: &Scalar) -> SqlValue {
    match value {
        Scalar::Null => SqlValue::Null,
        Scalar::Bool(value) => SqlValue::Integer(i64::from(*value)),
        Scalar::Int(value) => SqlValue::Integer(*value),
        Scalar::Float(value) => SqlValue::Real(*value),
        Scalar::Text(value) => SqlValue::Text(value.clone()),
    }
}

fn order(direction: Direction) -> &'static str {
    match direction {
        Direction::Asc => "",
        Direction::Desc => " DESC",
    }
}

fn greater(direction: Direction) -> &'static str {
    match direction {
        Direction::Asc => ">",
        Direction::Desc => "<",
    }
}
