//! Indexes over documents: tables of their own that the transaction of a document changes with it.
//!
//! A field index is a narrow table, one row a living document, with the fields' values and types,
//! and one SQLite index over it. A text index is an FTS5 table that reads its texts from the
//! documents. Both are filled in steps, in the order of document ids: up to where an index has come,
//! every write keeps it in step; what lies behind waits for the next steps.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};
use stead_base::DocId;

use crate::StoreError;
use crate::body::Kind;
use crate::key::DocKey;
use crate::query::{QueryError, encoded, literal_of};
use crate::read::wrong_type;
use crate::rows::{CollectionNo, SpaceNo};
use crate::write::Tx;

/// Most fields of one index.
pub const INDEX_FIELDS_MAX: usize = 8;
/// Most indexes of one collection.
pub const INDEXES_MAX: usize = 16;

type Result<T> = std::result::Result<T, StoreError>;

/// An index's number in this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexNo(pub(crate) u32);

impl IndexNo {
    /// Its table.
    pub(crate) fn table(self) -> String {
        format!("ix_{}", self.0)
    }
}

impl ToSql for IndexNo {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for IndexNo {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        u32::column_result(value).map(Self)
    }
}

/// What an index is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexKind {
    /// Comparing and sorting by fields.
    Fields,
    /// Searching the words of fields.
    Text,
}

/// What an index holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSpec {
    /// What it is for.
    pub kind: IndexKind,
    /// The fields, in the order that matters.
    pub paths: Vec<Vec<String>>,
    /// As what documents that lack a field are sorted. Ends with the last that says so.
    or_else: Vec<Option<Value>>,
}

/// Who wants an index. It goes when nobody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexOrigin {
    /// A person, on this device.
    ByHand,
    /// The collection's schema.
    BySchema,
}

impl IndexOrigin {
    const fn bit(self) -> u8 {
        match self {
            Self::ByHand => 1,
            Self::BySchema => 2,
        }
    }
}

/// An index of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// Its number.
    pub no: IndexNo,
    /// Its collection.
    pub collection: CollectionNo,
    /// What it holds.
    pub spec: IndexSpec,
    origins: u8,
    /// Documents up to this key are in it; none when it is complete.
    upto: Option<Vec<u8>>,
}

impl IndexRow {
    /// Whether all documents are in it.
    pub const fn is_complete(&self) -> bool {
        self.upto.is_none()
    }

    /// Whether somebody of that kind wants it.
    pub const fn is_wanted(&self, origin: IndexOrigin) -> bool {
        self.origins & origin.bit() != 0
    }

    /// Whether writes of a document concern it: it has come as far.
    fn reaches(&self, key: &DocKey) -> bool {
        self.upto
            .as_ref()
            .is_none_or(|upto| key.as_bytes() <= &upto[..])
    }
}

/// An index that cannot be: a fault of the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// No field, or too many.
    #[error("an index has 1 to {INDEX_FIELDS_MAX} fields")]
    Fields,
    /// The same field twice.
    #[error("an index names each field once")]
    Twice,
    /// The id has its own index.
    #[error("documents are always found by their id: index another field")]
    Id,
    /// Too many.
    #[error("a collection has at most {INDEXES_MAX} indexes: remove one first")]
    TooMany,
    /// A field that cannot be.
    #[error(transparent)]
    Path(#[from] QueryError),
}

impl IndexSpec {
    /// An index of fields as they are, absent where they are absent.
    pub const fn new(kind: IndexKind, paths: Vec<Vec<String>>) -> Self {
        Self {
            kind,
            paths,
            or_else: Vec::new(),
        }
    }

    /// An index for comparing and sorting, of fields and as what documents that lack them are sorted.
    pub fn filled(fields: impl IntoIterator<Item = (Vec<String>, Option<Value>)>) -> Self {
        let (paths, mut or_else): (_, Vec<Option<Value>>) = fields.into_iter().unzip();
        let len = or_else.iter().rposition(Option::is_some);
        or_else.truncate(len.map_or(0, |last| last + 1));
        Self {
            kind: IndexKind::Fields,
            paths,
            or_else,
        }
    }

    /// As what documents that lack the field at a place are sorted.
    pub fn or_else(&self, at: usize) -> Option<&Value> {
        self.or_else.get(at)?.as_ref()
    }

    fn check(&self) -> std::result::Result<(), IndexError> {
        if self.paths.is_empty() || self.paths.len() > INDEX_FIELDS_MAX {
            return Err(IndexError::Fields);
        }
        for (at, path) in self.paths.iter().enumerate() {
            if self.paths[..at].contains(path) {
                return Err(IndexError::Twice);
            }
            if matches!(&path[..], [name] if name == "id") {
                return Err(IndexError::Id);
            }
            encoded(path)?;
        }
        Ok(())
    }

    fn paths_json(&self) -> String {
        let fields = self.paths.iter().enumerate().map(|(at, path)| {
            let names = path.iter().map(|name| Value::from(name.as_str()));
            let or_else = self.or_else(at).map(|value| json!({ "else": value }));
            names.chain(or_else).collect::<Value>()
        });
        fields.collect::<Value>().to_string()
    }

    /// The statements that make the tables of index `no`.
    fn definition(&self, no: IndexNo) -> Result<String> {
        let table = no.table();
        let mut sql = String::new();
        let numbers = 0..self.paths.len();
        match self.kind {
            IndexKind::Fields => {
                let columns: String = numbers.clone().map(|at| format!(", k{at} ANY")).collect();
                let keys: String = numbers.map(|at| format!("k{at}, ")).collect();
                let _ = write!(
                    sql,
                    "CREATE TABLE {table} (no INTEGER PRIMARY KEY, id BLOB NOT NULL, \
                     t INTEGER NOT NULL{columns}) STRICT; \
                     CREATE INDEX {table}_k ON {table} ({keys}id, t);"
                );
            }
            IndexKind::Text => {
                let columns: String = numbers.map(|at| format!("c{at}, ")).collect();
                let texts = self.texts("doc.body")?;
                let texts: String = (texts.iter().enumerate())
                    .map(|(at, text)| format!(", {text} AS c{at}"))
                    .collect();
                let _ = write!(
                    sql,
                    "CREATE VIEW {table}_text AS SELECT doc.no AS no{texts} FROM doc; \
                     CREATE VIRTUAL TABLE {table} USING fts5({columns}content='{table}_text', \
                     content_rowid='no', tokenize='unicode61 remove_diacritics 2'); \
                     INSERT INTO {table}({table}, rank) VALUES('secure-delete', 1);"
                );
            }
        }
        Ok(sql)
    }

    fn removal(&self, no: IndexNo) -> String {
        let table = no.table();
        match self.kind {
            IndexKind::Fields => format!("DROP TABLE IF EXISTS {table};"),
            IndexKind::Text => {
                format!("DROP TABLE IF EXISTS {table}; DROP VIEW IF EXISTS {table}_text;")
            }
        }
    }

    /// The texts of a body, an expression for each field.
    fn texts(&self, body: &str) -> Result<Vec<String>> {
        let of = |path: &Vec<String>| Ok(format!("stead_texts({body},{})", path_literal(path)?));
        self.paths.iter().map(of).collect()
    }

    /// `t` and the keys of a body, for a field index.
    fn values(&self, body: &str) -> Result<(String, Vec<String>)> {
        let (mut types, mut keys) = (Vec::new(), Vec::new());
        for (at, path) in self.paths.iter().enumerate() {
            let path = path_literal(path)?;
            types.push(format!("(stead_kind({body},{path})<<{})", 3 * at));
            let value = format!("stead_field({body},{path},{})", Kind::SCALARS);
            keys.push(match self.or_else(at) {
                None => value,
                Some(other) => format!(
                    "CASE stead_kind({body},{path}) WHEN 0 THEN {} ELSE {value} END",
                    literal_of(other)
                ),
            });
        }
        Ok((types.join("|"), keys))
    }
}

/// A field's path as a literal, as `stead_field` and its kin take it.
fn path_literal(path: &[String]) -> Result<String> {
    let bytes = encoded(path)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("x'{digits}'"))
}

/// An index with the statements that keep it in step.
#[derive(Debug)]
pub(crate) struct Kept {
    row: IndexRow,
    /// Field index: puts the document ?1 with key ?2 and body ?3. Text index: adds it.
    put: String,
    /// Takes out the document ?1.
    remove: String,
    /// Text index: whether document ?1 has the texts of body ?2.
    same: String,
    /// Puts the documents of collection ?1 behind ?2 up to ?3.
    fill: String,
}

impl Kept {
    fn new(row: IndexRow) -> Result<Self> {
        let table = row.no.table();
        let numbers = 0..row.spec.paths.len();
        let range = "FROM doc WHERE collection=?1 AND id>?2 AND id<=?3 AND deleted=0 ORDER BY id";
        let (put, same, fill);
        match row.spec.kind {
            IndexKind::Fields => {
                let names: String = numbers.clone().map(|at| format!(", k{at}")).collect();
                let set: String = numbers
                    .clone()
                    .map(|at| format!(", k{at}=excluded.k{at}"))
                    .collect();
                let differs: String = numbers
                    .map(|at| format!(" OR k{at} IS NOT excluded.k{at}"))
                    .collect();
                let (t, keys) = row.spec.values("?3")?;
                put = format!(
                    "INSERT INTO {table} (no, id, t{names}) VALUES (?1, ?2, {t}, {}) \
                     ON CONFLICT (no) DO UPDATE SET t=excluded.t{set} \
                     WHERE t<>excluded.t{differs}",
                    keys.join(", ")
                );
                let (t, keys) = row.spec.values("doc.body")?;
                fill = format!(
                    "INSERT OR REPLACE INTO {table} (no, id, t{names}) \
                     SELECT no, id, {t}, {} {range}",
                    keys.join(", ")
                );
                same = String::new();
            }
            IndexKind::Text => {
                let names: String = numbers.map(|at| format!(", c{at}")).collect();
                put = format!(
                    "INSERT INTO {table} (rowid{names}) VALUES (?1, {})",
                    row.spec.texts("?2")?.join(", ")
                );
                fill = format!(
                    "INSERT INTO {table} (rowid{names}) SELECT no, {} {range}",
                    row.spec.texts("doc.body")?.join(", ")
                );
                let (old, new) = (row.spec.texts("doc.body")?, row.spec.texts("?2")?);
                let equal: Vec<String> = old
                    .iter()
                    .zip(&new)
                    .map(|(old, new)| format!("{old} IS {new}"))
                    .collect();
                same = format!("SELECT {} FROM doc WHERE no=?1", equal.join(" AND "));
            }
        }
        let rowid = match row.spec.kind {
            IndexKind::Fields => "no",
            IndexKind::Text => "rowid",
        };
        let remove = format!("DELETE FROM {table} WHERE {rowid}=?1");
        Ok(Self {
            row,
            put,
            remove,
            same,
            fill,
        })
    }
}

/// The indexes of the collections that have any.
pub(crate) type Indexes = BTreeMap<CollectionNo, Vec<Kept>>;

/// What a [`Tx`] knows of indexes, kept from one to the next.
pub(crate) type IndexCache = std::cell::RefCell<Option<Arc<Indexes>>>;

const COLUMNS: &str = "SELECT no, collection, kind, paths, origins, upto FROM idx";

/// The indexes of a collection.
pub(crate) fn of_collection(conn: &Connection, collection: CollectionNo) -> Result<Vec<IndexRow>> {
    let sql = format!("{COLUMNS} WHERE collection=?1 ORDER BY no");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([collection])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(row)?);
    }
    Ok(found)
}

/// All indexes.
pub(crate) fn all(conn: &Connection) -> Result<Vec<IndexRow>> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} ORDER BY no"))?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(row)?);
    }
    Ok(found)
}

fn read_row(row: &rusqlite::Row<'_>) -> Result<IndexRow> {
    let fields: String = row.get(3)?;
    let upto: Option<Vec<u8>> = row.get(5)?;
    let (paths, or_else) =
        read_fields(&fields).ok_or_else(|| wrong_type("the fields of an index"))?;
    Ok(IndexRow {
        no: row.get(0)?,
        collection: row.get(1)?,
        spec: IndexSpec {
            kind: match row.get::<_, u8>(2)? {
                1 => IndexKind::Fields,
                2 => IndexKind::Text,
                other => return Err(wrong_type(format!("an index of kind {other}"))),
            },
            paths,
            or_else,
        },
        origins: row.get(4)?,
        upto,
    })
}

type FieldsRead = (Vec<Vec<String>>, Vec<Option<Value>>);

fn read_fields(text: &str) -> Option<FieldsRead> {
    let value: Value = serde_json::from_str(text).ok()?;
    let (mut paths, mut or_else) = (Vec::new(), Vec::new());
    for (at, field) in value.as_array()?.iter().enumerate() {
        let (names, other) = match field.as_array()?.split_last() {
            Some((Value::Object(last), names)) => (names, Some(last.get("else")?.clone())),
            _ => (&field.as_array()?[..], None),
        };
        let names = names.iter().map(|name| name.as_str().map(str::to_owned));
        paths.push(names.collect::<Option<_>>()?);
        if other.is_some() {
            or_else.resize(at, None);
            or_else.push(other);
        }
    }
    Some((paths, or_else))
}

/// How far an index is, in documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexProgress {
    /// Documents that it has come past.
    pub done: u64,
    /// Documents of the collection.
    pub total: u64,
}

/// How far an index is. Counts, so it takes time that grows with the collection.
pub(crate) fn progress(conn: &Connection, row: &IndexRow) -> Result<IndexProgress> {
    let sql =
        "SELECT count(*), coalesce(sum(?2 IS NULL OR id<=?2), 0) FROM doc WHERE collection=?1";
    let (total, done) = conn
        .prepare_cached(sql)?
        .query_row(params![row.collection, row.upto], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok(IndexProgress { done, total })
}

/// Living documents, and rows of a complete index: equal in a healthy file.
pub(crate) fn rows_of(conn: &Connection, row: &IndexRow) -> Result<(u64, u64)> {
    let table = match row.spec.kind {
        IndexKind::Fields => row.no.table(),
        IndexKind::Text => format!("{}_docsize", row.no.table()),
    };
    let sql = format!(
        "SELECT (SELECT count(*) FROM doc WHERE collection=?1 AND deleted=0), \
         (SELECT count(*) FROM {table})"
    );
    Ok(conn.query_row(&sql, [row.collection], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// A document that a write is about to change.
#[derive(Debug, Clone, Copy)]
struct Before {
    no: i64,
    deleted: bool,
}

impl Tx<'_> {
    /// Has a collection indexed, for somebody. New indexes are empty: [`build_index`](Self::build_index)
    /// fills them. Returns the index and whether it is new.
    pub fn add_index(
        &self,
        collection: CollectionNo,
        spec: &IndexSpec,
        origin: IndexOrigin,
    ) -> Result<(IndexNo, bool)> {
        spec.check()?;
        let held = of_collection(self.connection_of(), collection)?;
        if let Some(row) = held.iter().find(|row| row.spec == *spec) {
            let sql = "UPDATE idx SET origins=origins|?2 WHERE no=?1";
            self.run(sql, params![row.no, origin.bit()])?;
            self.forget_indexes();
            return Ok((row.no, false));
        }
        if held.len() >= INDEXES_MAX {
            return Err(IndexError::TooMany.into());
        }
        let kind: u8 = match spec.kind {
            IndexKind::Fields => 1,
            IndexKind::Text => 2,
        };
        let sql = "INSERT INTO idx (collection, kind, paths, origins, upto) \
                   VALUES (?1, ?2, ?3, ?4, x'')";
        self.run(
            sql,
            params![collection, kind, spec.paths_json(), origin.bit()],
        )?;
        let no = u32::try_from(self.connection_of().last_insert_rowid())
            .map(IndexNo)
            .map_err(wrong_type)?;
        self.run_all(&spec.definition(no)?)?;
        self.forget_indexes();
        Ok((no, true))
    }

    /// Somebody does not want an index any more. It goes when nobody does. Returns whether it was
    /// there and wanted.
    pub fn remove_index(
        &self,
        collection: CollectionNo,
        spec: &IndexSpec,
        origin: IndexOrigin,
    ) -> Result<bool> {
        let held = of_collection(self.connection_of(), collection)?;
        let Some(row) = held
            .iter()
            .find(|row| row.spec == *spec && row.is_wanted(origin))
        else {
            return Ok(false);
        };
        if row.origins == origin.bit() {
            self.drop_index(row)?;
        } else {
            let sql = "UPDATE idx SET origins=origins & ~?2 WHERE no=?1";
            self.run(sql, params![row.no, origin.bit()])?;
        }
        self.forget_indexes();
        Ok(true)
    }

    fn drop_index(&self, row: &IndexRow) -> Result<()> {
        self.run_all(&row.spec.removal(row.no))?;
        self.run("DELETE FROM idx WHERE no=?1", [row.no])
    }

    /// Takes up to `docs_max` further documents into an index. Returns whether it is complete.
    pub fn build_index(&self, no: IndexNo, docs_max: u32) -> Result<bool> {
        let indexes = self.indexes()?;
        let Some(kept) = indexes.values().flatten().find(|kept| kept.row.no == no) else {
            return Ok(true);
        };
        let Some(upto) = &kept.row.upto else {
            return Ok(true);
        };
        let collection = kept.row.collection;
        let sql = "SELECT id FROM doc WHERE collection=?1 AND id>?2 ORDER BY id LIMIT 1 OFFSET ?3";
        let place = params![collection, upto, docs_max.max(1) - 1];
        let end: Option<Vec<u8>> = self
            .connection_of()
            .prepare_cached(sql)?
            .query_row(place, |row| row.get(0))
            .optional()?;
        // No key is as great as this.
        let last = end.clone().unwrap_or_else(|| vec![0xff]);
        self.run(&kept.fill, params![collection, upto, last])?;
        self.run("UPDATE idx SET upto=?2 WHERE no=?1", params![no, end])?;
        self.forget_indexes();
        Ok(end.is_none())
    }

    /// Empties the indexes of a space whose documents are all removed.
    pub(crate) fn clear_indexes(&self, space: SpaceNo) -> Result<()> {
        for row in self.indexes_of_space(space)? {
            let table = row.no.table();
            match row.spec.kind {
                IndexKind::Fields => self.run(&format!("DELETE FROM {table}"), [])?,
                IndexKind::Text => {
                    let sql = format!("INSERT INTO {table}({table}) VALUES('delete-all')");
                    self.run(&sql, [])?;
                }
            }
        }
        Ok(())
    }

    /// Removes the indexes of a space that goes.
    pub(crate) fn remove_indexes(&self, space: SpaceNo) -> Result<()> {
        for row in self.indexes_of_space(space)? {
            self.drop_index(&row)?;
            self.forget_indexes();
        }
        Ok(())
    }

    fn indexes_of_space(&self, space: SpaceNo) -> Result<Vec<IndexRow>> {
        let of_space: Vec<CollectionNo> = {
            let sql = "SELECT no FROM collection WHERE space=?1";
            let mut statement = self.connection_of().prepare_cached(sql)?;
            let rows = statement.query_map([space], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        let mut all = all(self.connection_of())?;
        all.retain(|row| of_space.contains(&row.collection));
        Ok(all)
    }

    pub(crate) fn indexes(&self) -> Result<Arc<Indexes>> {
        if let Some(indexes) = &*self.index_cache().borrow() {
            return Ok(Arc::clone(indexes));
        }
        let mut indexes = Indexes::new();
        for row in all(self.connection_of())? {
            let collection = row.collection;
            indexes.entry(collection).or_default().push(Kept::new(row)?);
        }
        let indexes = Arc::new(indexes);
        *self.index_cache().borrow_mut() = Some(Arc::clone(&indexes));
        Ok(indexes)
    }

    /// Writes a document of an indexed collection, and its indexes with it.
    pub(crate) fn put_indexed_doc(
        &self,
        indexes: &[Kept],
        collection: CollectionNo,
        id: &DocId,
        write: impl FnOnce() -> Result<()>,
        body: &[u8],
        deleted: bool,
    ) -> Result<()> {
        let key = DocKey::new(id);
        let reached: Vec<&Kept> = indexes
            .iter()
            .filter(|kept| kept.row.reaches(&key))
            .collect();
        if reached.is_empty() {
            return write();
        }
        let sql = "SELECT no, deleted FROM doc WHERE collection=?1 AND id=?2";
        let find = || -> Result<Option<Before>> {
            Ok(self
                .connection_of()
                .prepare_cached(sql)?
                .query_row(params![collection, key.as_bytes()], |row| {
                    Ok(Before {
                        no: row.get(0)?,
                        deleted: row.get(1)?,
                    })
                })
                .optional()?)
        };
        let before = find()?;
        let mut to_add = Vec::new();
        for kept in &reached {
            match (kept.row.spec.kind, before) {
                (IndexKind::Fields, Some(before)) if deleted => {
                    self.run_again(&kept.remove, [before.no])?;
                }
                (IndexKind::Fields, _) => {}
                // The old text is read from the row that is still there.
                (IndexKind::Text, Some(before)) if !before.deleted => {
                    let same = || -> Result<bool> {
                        let mut statement = self.connection_of().prepare_cached(&kept.same)?;
                        Ok(statement.query_row(params![before.no, body], |row| row.get(0))?)
                    };
                    if deleted || !same()? {
                        self.run_again(&kept.remove, [before.no])?;
                        to_add.push(*kept);
                    }
                }
                (IndexKind::Text, _) => to_add.push(*kept),
            }
        }
        write()?;
        if deleted {
            return Ok(());
        }
        let no = match before {
            Some(before) => before.no,
            None => find()?.map_or(0, |row| row.no),
        };
        for kept in reached {
            if kept.row.spec.kind == IndexKind::Fields {
                self.run_again(&kept.put, params![no, key.as_bytes(), body])?;
            }
        }
        for kept in to_add {
            self.run_again(&kept.put, params![no, body])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
