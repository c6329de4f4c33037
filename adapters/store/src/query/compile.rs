//! A query as one SQL statement. Its text is made of constants, of numbers of this file's own (of
//! parameters, indexes and collections) and of nothing else: paths, values and cursors are bound, so
//! no input can change what is asked.

use rusqlite::types::Value as SqlValue;
use serde_json::Value;

use super::field::{self, Field, Fills};
use super::plan::Chosen;
use super::{
    Condition, Cursor, Direction, Filter, HIT_END, HIT_START, QUERY_CONDITIONS_MAX,
    QUERY_DEPTH_MAX, QUERY_IN_MAX, QUERY_SORT_KEYS_MAX, Query, QueryError, Scalar, Test,
    sort_value,
};
use crate::body::Kind;
use crate::index::{IndexKind, IndexRow};
use crate::key::DocKey;

/// Words of a text around what was searched.
const SNIPPET_WORDS: u32 = 16;

/// A statement with what to bind.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) sql: String,
    pub(super) params: Vec<SqlValue>,
    /// Whether the rank follows the first four columns.
    pub(super) ranked: bool,
}

/// Selects id, body, deleted flag and snippet, and the rank if a search is in its order.
pub(super) fn find(query: &Query, chosen: &Chosen<'_>) -> Result<Compiled, QueryError> {
    let mut build = Build::filtered(query, chosen)?;
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
        let field = build.filled(&key.path, key.or_else.as_ref())?;
        columns.push((field.sort_value(), key.direction));
    }
    let ranked = query.search.is_some() && query.sort.is_empty();
    if ranked {
        columns.push((format!("bm25({})", build.text_table()), Direction::Asc));
    }
    if let Some(cursor) = &query.after {
        build.after(cursor, &columns, id_direction)?;
    }
    let limit = query.limit.map_or(-1, |n| i64::try_from(n).unwrap_or(-1));
    let limit = build.bind(SqlValue::Integer(limit));
    let offset = build.bind(SqlValue::Integer(
        i64::try_from(query.offset).unwrap_or(i64::MAX),
    ));
    let id_order = order(id_direction);
    let page = format!("LIMIT {limit} OFFSET {offset}");
    // Whole documents come from where the order comes from, or are fetched for one page once that is
    // known.
    build.reads_body |= chosen.gives_order;
    let (from, wanted) = (build.from(), build.wanted());
    let sql = if columns.is_empty() && build.index.is_none() {
        format!(
            "SELECT id, body, deleted, NULL FROM {from} WHERE {wanted} \
             ORDER BY id{id_order} {page}"
        )
    } else if chosen.gives_order {
        let by: String = (columns.iter())
            .map(|(column, direction)| format!("{column}{}, ", order(*direction)))
            .collect();
        format!(
            "SELECT doc.id, doc.body, 0, NULL FROM {from} WHERE {wanted} \
             ORDER BY {by}{}{id_order} {page}",
            build.id()
        )
    } else {
        // Sorts ids and sort values only.
        let values: String = (columns.iter().enumerate())
            .map(|(i, (column, _))| format!(", {column} AS s{i}"))
            .collect();
        let rank = if ranked { ", s0" } else { "" };
        let by: String = (columns.iter().enumerate())
            .map(|(i, (_, direction))| format!("s{i}{}, ", order(*direction)))
            .collect();
        let (no, id) = (build.no(), build.id());
        let (snippet, texts) = build.snippet();
        format!(
            "SELECT doc.id, doc.body, doc.deleted, {snippet}{rank} FROM \
             (SELECT {no} AS page_no, {id} AS page_id{values} FROM {from} WHERE {wanted} \
             ORDER BY {by}page_id{id_order} {page}) \
             CROSS JOIN doc ON doc.no=page_no{texts} ORDER BY {by}page_id{id_order}"
        )
    };
    Ok(Compiled {
        sql,
        params: build.params,
        ranked,
    })
}

/// Selects the number of matches.
pub(super) fn count(query: &Query, chosen: &Chosen<'_>) -> Result<Compiled, QueryError> {
    let build = Build::filtered(query, chosen)?;
    Ok(Compiled {
        sql: format!(
            "SELECT count(*) FROM {} WHERE {}",
            build.from(),
            build.wanted()
        ),
        params: build.params,
        ranked: false,
    })
}

/// Where a filter reads from: the document asked for, or one that it refers to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    body: &'static str,
    id: &'static str,
}

/// The document asked for.
pub(super) const BODY: Place = Place {
    body: "doc.body",
    id: "doc.id",
};

/// Documents that are referred to, by depth.
const REFERRED: [Place; 3] = [
    Place {
        body: "r0.body",
        id: "r0.id",
    },
    Place {
        body: "r1.body",
        id: "r1.id",
    },
    Place {
        body: "r2.body",
        id: "r2.id",
    },
];

/// A statement being made.
pub(super) struct Build<'i> {
    index: Option<&'i IndexRow>,
    filters: String,
    pub(super) params: Vec<SqlValue>,
    /// Whether anything but the index is read to decide and to sort.
    pub(super) reads_body: bool,
    include_deleted: bool,
    conditions: usize,
    /// The parameter with the words searched for.
    words: Option<String>,
}

impl<'i> Build<'i> {
    pub(super) fn filtered(query: &Query, chosen: &Chosen<'i>) -> Result<Self, QueryError> {
        if query.sort.len() > QUERY_SORT_KEYS_MAX {
            return Err(QueryError::TooLong);
        }
        let mut build = Self {
            index: chosen.index,
            filters: String::new(),
            params: vec![SqlValue::Integer(i64::from(query.collection.0))],
            reads_body: false,
            include_deleted: query.include_deleted,
            conditions: 0,
            words: None,
        };
        if let Some(search) = &query.search {
            let words = build.bind(SqlValue::Text(search.to_match()));
            let table = build.text_table();
            build
                .filters
                .push_str(&format!(" AND {table} MATCH {words}"));
            build.words = Some(words);
            build.reads_body = true;
        }
        for filter in &query.filter {
            let sql = build.filter(filter, BODY, 0, 0)?;
            build.filters.push_str(" AND ");
            build.filters.push_str(&sql);
        }
        Ok(build)
    }

    /// What is selected from: the collection, or its part that an index holds.
    pub(super) fn from(&self) -> String {
        match self.index {
            None => "doc".to_owned(),
            Some(index) if index.spec.kind == IndexKind::Text => {
                let table = index.no.table();
                format!("{table} CROSS JOIN doc ON doc.no={table}.rowid")
            }
            Some(index) => {
                let table = index.no.table();
                let join = match self.reads_body {
                    true => " CROSS JOIN doc ON doc.no=i.no",
                    false => "",
                };
                format!("{table} AS i INDEXED BY {table}_k{join}")
            }
        }
    }

    /// All conditions.
    pub(super) fn wanted(&self) -> String {
        let deleted = match self.include_deleted {
            true => "",
            false => " AND doc.deleted=0",
        };
        match self.index {
            // An index holds one collection's living documents. The parameter stays in use.
            Some(_) => format!("?1 IS NOT NULL{}", self.filters),
            None => format!("doc.collection=?1{deleted}{}", self.filters),
        }
    }

    fn is_fields(&self) -> bool {
        self.index
            .is_some_and(|index| index.spec.kind == IndexKind::Fields)
    }

    fn no(&self) -> &'static str {
        if self.is_fields() { "i.no" } else { "doc.no" }
    }

    fn id(&self) -> &'static str {
        if self.is_fields() { "i.id" } else { "doc.id" }
    }

    fn text_table(&self) -> String {
        self.index
            .map_or_else(String::new, |index| index.no.table())
    }

    /// The snippet's column, and the join that it needs.
    fn snippet(&self) -> (String, String) {
        let Some(words) = &self.words else {
            return ("NULL".to_owned(), String::new());
        };
        let table = self.text_table();
        let (start, end) = (u32::from(HIT_START), u32::from(HIT_END));
        (
            format!("snippet({table},-1,char({start}),char({end}),'…',{SNIPPET_WORDS})"),
            format!(" CROSS JOIN {table} ON {table}.rowid=page_no AND {table} MATCH {words}"),
        )
    }

    /// The name of a new parameter.
    pub(super) fn bind(&mut self, value: SqlValue) -> String {
        self.params.push(value);
        format!("?{}", self.params.len())
    }

    /// The column of the index that has a field, and what it has where a document has nothing.
    fn column(&self, path: &[String]) -> Option<(usize, Option<&'i Value>)> {
        let spec = &self.index.filter(|_| self.is_fields())?.spec;
        let at = spec.paths.iter().position(|known| known == path)?;
        Some((at, spec.or_else(at)))
    }

    /// A field of the document asked for from the index where that has it, else from a body.
    pub(super) fn field(&mut self, path: &[String], place: Place) -> Result<Field, QueryError> {
        if place.body == BODY.body
            && let Some((at, filled)) = self.column(path)
        {
            let fills = filled.map_or(Fills::Nothing, |_| Fills::Unasked);
            return Ok(Field::Index { at, fills });
        }
        self.reads_body |= place.body == BODY.body;
        field::bound(path, place.body, place.id, &mut |value| self.bind(value))
    }

    /// A field of the document asked for, or something else where it has nothing: from the index where that has the same.
    pub(super) fn filled(
        &mut self,
        path: &[String],
        or_else: Option<&Value>,
    ) -> Result<Field, QueryError> {
        if let Some((at, filled)) = self.column(path)
            && filled == or_else
        {
            let fills = or_else.map_or(Fills::Nothing, |value| Fills::With(field::kind_of(value)));
            return Ok(Field::Index { at, fills });
        }
        self.reads_body = true;
        let bound = field::bound(path, BODY.body, BODY.id, &mut |value| self.bind(value))?;
        Ok(match or_else {
            None => bound,
            // Every document has an id.
            Some(_) if matches!(bound, Field::Body { or_id: Some(_), .. }) => bound,
            Some(value) => Field::Filled {
                field: Box::new(bound),
                value: self.bind(sort_value(Some(value))),
                kind: field::kind_of(value),
            },
        })
    }

    fn filter(
        &mut self,
        filter: &Filter,
        place: Place,
        referred: usize,
        depth: usize,
    ) -> Result<String, QueryError> {
        if depth > QUERY_DEPTH_MAX {
            return Err(QueryError::TooDeep);
        }
        let depth = depth + 1;
        match filter {
            Filter::Is(condition) => self.condition(condition, place),
            Filter::Not(inner) => {
                let inner = self.filter(inner, place, referred, depth)?;
                Ok(format!("({inner}) IS NOT TRUE"))
            }
            Filter::All(inner) => self.joined(inner, " AND ", "1", place, referred, depth),
            Filter::Any(inner) => self.joined(inner, " OR ", "0", place, referred, depth),
            Filter::Refers {
                path,
                collection,
                filter,
            } => {
                let other = *REFERRED.get(referred).ok_or(QueryError::TooDeep)?;
                self.count_condition()?;
                let (field, paths) = self.listed(path, place)?;
                let name = self.bind(SqlValue::Text(collection.clone()));
                let inner = self.joined(filter, " AND ", "1", other, referred + 1, depth)?;
                let (e, r) = (format!("e{referred}"), format!("r{referred}"));
                let each = |path: &String| {
                    format!(
                        "EXISTS (SELECT 1 FROM json_each({body},{path}) AS {e} CROSS JOIN doc AS {r} \
                         ON {r}.collection=(SELECT c.no FROM collection AS c WHERE c.name={name} AND \
                         c.space=(SELECT s.space FROM collection AS s WHERE s.no=?1)) \
                         AND {r}.id=stead_key({e}.atom,{name}) \
                         WHERE {e}.type='text' AND {r}.deleted=0 AND {inner})",
                        body = place.body
                    )
                };
                let any: Vec<String> = paths.iter().map(each).collect();
                let kinds = format!("({} OR {})", field.is(Kind::Text), field.is(Kind::Array));
                Ok(format!("({kinds} AND ({}))", any.join(" OR ")))
            }
        }
    }

    /// A field read from the body, whatever the index has, and its paths for `json_each`.
    fn listed(
        &mut self,
        path: &[String],
        place: Place,
    ) -> Result<(Field, Vec<String>), QueryError> {
        self.reads_body |= place.body == BODY.body;
        let field = field::bound(path, place.body, place.id, &mut |value| self.bind(value))?;
        let paths = field::paths_of(path)?;
        let bound = paths
            .into_iter()
            .map(|path| self.bind(SqlValue::Text(path)));
        Ok((field, bound.collect()))
    }

    fn joined(
        &mut self,
        filters: &[Filter],
        with: &str,
        empty: &str,
        place: Place,
        referred: usize,
        depth: usize,
    ) -> Result<String, QueryError> {
        let mut all = Vec::with_capacity(filters.len());
        for filter in filters {
            all.push(self.filter(filter, place, referred, depth)?);
        }
        Ok(match all.is_empty() {
            true => empty.to_owned(),
            false => format!("({})", all.join(with)),
        })
    }

    fn count_condition(&mut self) -> Result<(), QueryError> {
        self.conditions += 1;
        match self.conditions > QUERY_CONDITIONS_MAX {
            true => Err(QueryError::TooLong),
            false => Ok(()),
        }
    }

    fn condition(&mut self, condition: &Condition, place: Place) -> Result<String, QueryError> {
        self.count_condition()?;
        if condition.path.is_empty() {
            return Err(QueryError::NoField);
        }
        if let Test::Contains(value) = &condition.test {
            return self.contains(&condition.path, value, place);
        }
        let field = self.field(&condition.path, place)?;
        let (compare, value) = match &condition.test {
            Test::Eq(value) => return Ok(self.equal(&field, value)),
            Test::Ne(value) => {
                return Ok(format!("({}) IS NOT TRUE", self.equal(&field, value)));
            }
            Test::In(values) if values.len() > QUERY_IN_MAX => return Err(QueryError::TooLong),
            Test::In(values) => return Ok(self.one_of(&field, values)),
            Test::Prefix(start) => return Ok(self.prefix(&field, start)),
            Test::Contains(_) => return Err(QueryError::NoField),
            Test::Exists => return Ok(format!("({})", field.exists())),
            Test::Missing => return Ok(format!("(NOT ({}))", field.exists())),
            Test::Lt(value) => ("<", value),
            Test::Le(value) => ("<=", value),
            Test::Gt(value) => (">", value),
            Test::Ge(value) => (">=", value),
        };
        let kind = kind(value).ok_or(QueryError::NullOrder)?;
        let value = self.bind(sql_value(value));
        Ok(field.compares(kind, &format!("{compare}{value}")))
    }

    fn equal(&mut self, field: &Field, value: &Scalar) -> String {
        match (value, kind(value)) {
            (Scalar::Bool(value), _) => {
                field.compares(Kind::Bool, &format!("={}", u8::from(*value)))
            }
            (_, None) => format!("({})", field.is(Kind::Null)),
            (_, Some(kind)) => {
                let value = self.bind(sql_value(value));
                field.compares(kind, &format!("={value}"))
            }
        }
    }

    /// Equal to one of the values: for each type one list, so that an index is searched once a value.
    fn one_of(&mut self, field: &Field, values: &[Scalar]) -> String {
        let mut any = Vec::new();
        for kind_of_all in [Kind::Number, Kind::Text] {
            let same: Vec<String> = values
                .iter()
                .filter(|value| kind(value) == Some(kind_of_all))
                .map(|value| self.bind(sql_value(value)))
                .collect();
            if !same.is_empty() {
                let list = same.join(",");
                any.push(field.compares(kind_of_all, &format!(" IN ({list})")));
            }
        }
        for value in values {
            if matches!(value, Scalar::Bool(_) | Scalar::Null) {
                any.push(self.equal(field, value));
            }
        }
        match &any[..] {
            [] => "0".to_owned(),
            [one] => one.clone(),
            _ => format!("({})", any.join(" OR ")),
        }
    }

    fn prefix(&mut self, field: &Field, start: &str) -> String {
        let from = self.bind(SqlValue::Text(start.to_owned()));
        let from = field.compares(Kind::Text, &format!(">={from}"));
        match after_all_with_prefix(start) {
            Some(end) => {
                let end = self.bind(SqlValue::Text(end));
                let end = field.compares(Kind::Text, &format!("<{end}"));
                format!("({from} AND {end})")
            }
            None => from,
        }
    }

    fn contains(
        &mut self,
        path: &[String],
        value: &Scalar,
        place: Place,
    ) -> Result<String, QueryError> {
        let (field, paths) = self.listed(path, place)?;
        let element = match value {
            Scalar::Bool(value) => format!("type='{value}'"),
            Scalar::Null => "type='null'".to_owned(),
            Scalar::Int(_) | Scalar::Float(_) => {
                let value = self.bind(sql_value(value));
                format!("atom={value} AND type IN ('integer','real')")
            }
            Scalar::Text(_) => {
                let value = self.bind(sql_value(value));
                format!("atom={value} AND type='text'")
            }
        };
        let body = place.body;
        let each: Vec<String> = paths
            .iter()
            .map(|path| format!("EXISTS (SELECT 1 FROM json_each({body},{path}) WHERE {element})"))
            .collect();
        let in_array = format!("({} AND ({}))", field.is(Kind::Array), each.join(" OR "));
        Ok(match value {
            Scalar::Text(_) => {
                let value = self.bind(sql_value(value));
                format!(
                    "(instr(lower({}), lower({value}))>0 OR {in_array})",
                    field.only(Kind::Text)
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
        let mut behind = format!("{}{}{id}", self.id(), greater(id_direction));
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
        // Lets an index start at the cursor instead of at the first row.
        if let (Some((column, Direction::Asc)), Some(value)) =
            (columns.first(), cursor.sorted_by.first())
            && *value != SqlValue::Null
        {
            let value = self.bind(value.clone());
            self.filters.push_str(&format!(" AND {column}>={value}"));
        }
        self.filters.push_str(" AND ");
        self.filters.push_str(&behind);
        Ok(())
    }
}

/// The least text that is greater than every text that starts with `start`.
fn after_all_with_prefix(start: &str) -> Option<String> {
    let mut chars: Vec<char> = start.chars().collect();
    while let Some(last) = chars.pop() {
        // Between the two lie the surrogates, which no text has.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// The type that a value is compared with; none for null.
fn kind(value: &Scalar) -> Option<Kind> {
    match value {
        Scalar::Null => None,
        Scalar::Bool(_) => Some(Kind::Bool),
        Scalar::Int(_) | Scalar::Float(_) => Some(Kind::Number),
        Scalar::Text(_) => Some(Kind::Text),
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
    if direction.is_desc() { " DESC" } else { "" }
}

fn greater(direction: Direction) -> &'static str {
    if direction.is_desc() { "<" } else { ">" }
}
