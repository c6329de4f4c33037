//! Every read, the same on a [`Store`](crate::Store), a [`Reader`](crate::Reader) and inside a
//! [`Tx`](crate::Tx). Nothing here writes.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Params, Row, Rows, params};
use stead_base::{DocId, Hash, SpaceId, WriterId};

use crate::body::json_of;
use crate::index::{self, IndexProgress, IndexRow};
use crate::key::DocKey;
use crate::query::{self, Found, Grouped, Grouping, Plan, Query};
use crate::rows::{
    CollectionNo, CollectionRow, Counts, DocRow, HeadRow, NameNo, SegmentRow, SpaceNo, SpaceRow,
    WriterNo, WriterRow, at_of_key,
};
use crate::{Finding, SizeOf, StoreError, check};

/// Takes a run of entries: its first position, its count and its bytes.
pub type EachSegment<'f> = dyn FnMut(u64, u32, &[u8]) -> ControlFlow<()> + 'f;

/// Takes a document's id and its merged state.
pub type EachDoc<'f> = dyn FnMut(&DocId, &[u8]) -> ControlFlow<()> + 'f;

/// Where the connection comes from; only this crate implements it.
pub trait Source {
    /// The connection to read with.
    #[doc(hidden)]
    fn connection(&self) -> &Connection;
}

type Result<T> = std::result::Result<T, StoreError>;

/// The reads. A read outside a transaction sees the last commit.
pub trait Read: Source {
    /// A named value.
    fn get_meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT value FROM meta WHERE key=?1";
        one(self.connection(), sql, [key], |row| row.get(0))
    }

    /// Named values whose names start with `prefix`, by name.
    fn meta_from(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let sql = "SELECT key, value FROM meta WHERE key>=?1 AND key<?2 ORDER BY key";
        // No name has the highest code point in it.
        let end = format!("{prefix}\u{10ffff}");
        all(self.connection(), sql, [prefix, &end], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    /// A sealed secret by name.
    fn get_secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT sealed FROM secret WHERE name=?1";
        one(self.connection(), sql, [name], |row| row.get(0))
    }

    /// Names of secrets that start with `prefix`, in order.
    fn secret_names(&self, prefix: &str) -> Result<Vec<String>> {
        let sql = "SELECT name FROM secret WHERE name>=?1 ORDER BY name";
        let names: Vec<String> = all(self.connection(), sql, [prefix], |row| row.get(0))?;
        Ok(names
            .into_iter()
            .take_while(|name| name.starts_with(prefix))
            .collect())
    }

    /// Every space, in the order they came.
    fn spaces(&self) -> Result<Vec<SpaceRow>> {
        let sql = "SELECT no, id, record FROM space ORDER BY no";
        all(self.connection(), sql, [], space_row)
    }

    /// A space by id.
    fn space(&self, id: &SpaceId) -> Result<Option<SpaceRow>> {
        let sql = "SELECT no, id, record FROM space WHERE id=?1";
        one(self.connection(), sql, [id.as_bytes()], space_row)
    }

    /// The writers of a space, by id.
    fn writers(&self, space: SpaceNo) -> Result<Vec<WriterRow>> {
        let sql = "SELECT no, space, id, record, count, bytes FROM writer \
                   JOIN segment ON key=(no << 40) + 0xffffffffff WHERE space=?1 ORDER BY id";
        all(self.connection(), sql, [space], writer_row)
    }

    /// A writer by number.
    fn writer(&self, no: WriterNo) -> Result<Option<WriterRow>> {
        let sql = "SELECT no, space, id, record, count, bytes FROM writer \
                   JOIN segment ON key=(no << 40) + 0xffffffffff WHERE no=?1";
        one(self.connection(), sql, [no], writer_row)
    }

    /// Calls `f` with each stored run of entries from the one that contains `from`. Stops when `f`
    /// breaks.
    fn each_segment(&self, writer: WriterNo, from: u64, f: &mut EachSegment<'_>) -> Result<()> {
        let (first, last) = writer.keys()?;
        let from_key = writer.key(from)?;
        let mut statement = self.connection().prepare_cached(
            "SELECT key, count, bytes FROM segment WHERE key BETWEEN \
             coalesce((SELECT max(key) FROM segment WHERE key BETWEEN ?1 AND ?2), ?2) AND ?3 \
             ORDER BY key",
        )?;
        let mut rows = statement.query(params![first, from_key, last])?;
        while let Some(row) = rows.next()? {
            let start = at_of_key(row.get(0)?);
            let count: u32 = row.get(1)?;
            if start + u64::from(count) <= from {
                continue;
            }
            let bytes = row.get_ref(2)?.as_blob().map_err(wrong_type)?;
            if f(start, count, bytes).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Runs of entries from the one that contains `from`, until `bytes_max` is reached (at least
    /// one, if there is any).
    fn segments(&self, writer: WriterNo, from: u64, bytes_max: usize) -> Result<Vec<SegmentRow>> {
        let mut found = Vec::new();
        let mut total = 0;
        self.each_segment(writer, from, &mut |start, count, bytes| {
            if !found.is_empty() && total + bytes.len() > bytes_max {
                return ControlFlow::Break(());
            }
            total += bytes.len();
            found.push(SegmentRow {
                start,
                count,
                bytes: bytes.to_vec(),
            });
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// The last `rows_max` runs of entries, in order.
    fn last_segments(&self, writer: WriterNo, rows_max: u32) -> Result<Vec<SegmentRow>> {
        let (first, last) = writer.keys()?;
        let sql = "SELECT key, count, bytes FROM segment WHERE key BETWEEN ?1 AND ?2 \
                   ORDER BY key DESC LIMIT ?3";
        let mut found = all(
            self.connection(),
            sql,
            params![first, last, rows_max],
            |row| {
                Ok(SegmentRow {
                    start: at_of_key(row.get(0)?),
                    count: row.get(1)?,
                    bytes: row.get(2)?,
                })
            },
        )?;
        found.reverse();
        Ok(found)
    }

    /// The shortest kept head that signs at least `len` entries.
    fn head_at_or_after(&self, writer: WriterNo, len: u64) -> Result<Option<HeadRow>> {
        let sql = "SELECT key, head FROM head WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT 1";
        let range = params![writer.key(len)?, writer.keys()?.1];
        one(self.connection(), sql, range, head_row)
    }

    /// The longest kept head.
    fn last_head(&self, writer: WriterNo) -> Result<Option<HeadRow>> {
        let (first, last) = writer.keys()?;
        let sql = "SELECT key, head FROM head WHERE key BETWEEN ?1 AND ?2 \
                   ORDER BY key DESC LIMIT 1";
        one(self.connection(), sql, [first, last], head_row)
    }

    /// Every kept head, by length.
    fn heads(&self, writer: WriterNo) -> Result<Vec<HeadRow>> {
        let (first, last) = writer.keys()?;
        let sql = "SELECT key, head FROM head WHERE key BETWEEN ?1 AND ?2 ORDER BY key";
        all(self.connection(), sql, [first, last], head_row)
    }

    /// The kept roots of complete subtrees, by index.
    fn nodes(&self, writer: WriterNo) -> Result<Vec<(u64, Hash)>> {
        let (first, last) = writer.keys()?;
        let sql = "SELECT key, hash FROM node WHERE key BETWEEN ?1 AND ?2 ORDER BY key";
        all(self.connection(), sql, [first, last], |row| {
            Ok((at_of_key(row.get(0)?), Hash::from_bytes(row.get(1)?)))
        })
    }

    /// The proof that a writer forked its log, if one is known.
    fn fork(&self, writer: WriterNo) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT proof FROM fork WHERE writer=?1";
        one(self.connection(), sql, [writer], |row| row.get(0))
    }

    /// What is kept of a log's dropped beginning: its length, and the skeleton.
    fn skeleton(&self, writer: WriterNo) -> Result<Option<(u64, Vec<u8>)>> {
        let sql = "SELECT len, bytes FROM skeleton WHERE writer=?1";
        one(self.connection(), sql, [writer], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    /// Calls `f` with the id and merged state of each document of a collection, in the order of the
    /// ids, the deleted ones included.
    fn each_doc(&self, collection: CollectionNo, f: &mut EachDoc<'_>) -> Result<()> {
        self.each_doc_after(collection, None, f)
    }

    /// Calls `f` with the id and merged state of each deleted document of a collection, in the order of the ids.
    fn each_deleted(&self, collection: CollectionNo, f: &mut EachDoc<'_>) -> Result<()> {
        let mut statement = self.connection().prepare_cached(
            "SELECT id, state FROM doc WHERE collection=?1 AND deleted=1 ORDER BY id",
        )?;
        each_row(statement.query([collection])?, f)
    }

    /// Calls `f` with the id and merged state of each document of a collection behind `after`, in the
    /// order of the ids, the deleted ones included.
    fn each_doc_after(
        &self,
        collection: CollectionNo,
        after: Option<&DocId>,
        f: &mut EachDoc<'_>,
    ) -> Result<()> {
        let mut statement = self.connection().prepare_cached(
            "SELECT id, state FROM doc WHERE collection=?1 AND id>?2 ORDER BY id",
        )?;
        let after = after.map(DocKey::new);
        let after = after.as_ref().map_or(&[][..], DocKey::as_bytes);
        each_row(statement.query(params![collection, after])?, f)
    }

    /// Bytes that a document takes: its state and its projection. None if there is none.
    fn doc_bytes(&self, collection: CollectionNo, id: &DocId) -> Result<Option<u64>> {
        let sql = "SELECT length(state) + length(body) FROM doc WHERE collection=?1 AND id=?2";
        let key = DocKey::new(id);
        one(
            self.connection(),
            sql,
            params![collection, key.as_bytes()],
            |row| row.get(0),
        )
    }

    /// How many entries of a log are held, and in how many bytes.
    fn held_entries(&self, writer: WriterNo) -> Result<(u64, u64)> {
        let (first, last) = writer.keys()?;
        let sql = "SELECT coalesce(sum(count), 0), coalesce(sum(length(bytes)), 0) FROM segment \
                   WHERE key BETWEEN ?1 AND ?2";
        Ok(self
            .connection()
            .prepare_cached(sql)?
            .query_row([first, last], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// The collections of a space, by name.
    fn collections(&self, space: SpaceNo) -> Result<Vec<CollectionRow>> {
        let sql = "SELECT no, name FROM collection WHERE space=?1 ORDER BY name";
        all(self.connection(), sql, [space], |row| {
            Ok(CollectionRow {
                no: row.get(0)?,
                name: row.get(1)?,
            })
        })
    }

    /// A collection's number.
    fn collection(&self, space: SpaceNo, name: &str) -> Result<Option<CollectionNo>> {
        let sql = "SELECT no FROM collection WHERE space=?1 AND name=?2";
        one(self.connection(), sql, params![space, name], |row| {
            row.get(0)
        })
    }

    /// The field-name dictionary, by number.
    fn names(&self) -> Result<Vec<(NameNo, String)>> {
        let sql = "SELECT no, text FROM name ORDER BY no";
        all(self.connection(), sql, [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    /// The merged state of a document, deleted or not.
    fn doc_state(&self, collection: CollectionNo, id: &DocId) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT state FROM doc WHERE collection=?1 AND id=?2";
        let key = DocKey::new(id);
        one(
            self.connection(),
            sql,
            params![collection, key.as_bytes()],
            |row| row.get(0),
        )
    }

    /// A document's visible fields as JSON text, deleted or not.
    fn doc(&self, collection: CollectionNo, id: &DocId) -> Result<Option<DocRow>> {
        let sql = "SELECT body, deleted FROM doc WHERE collection=?1 AND id=?2";
        let key = DocKey::new(id);
        one(
            self.connection(),
            sql,
            params![collection, key.as_bytes()],
            |row| {
                Ok(DocRow {
                    json: json_of(row.get_ref(0)?)?,
                    deleted: row.get(1)?,
                })
            },
        )
    }

    /// The documents a query asks for, in its order.
    fn query(&self, query: &Query) -> Result<Vec<Found>> {
        let conn = self.connection();
        query::find(conn, query, &index::of_collection(conn, query.collection)?)
    }

    /// How many documents a query would find without its limit, offset and cursor.
    fn count(&self, query: &Query) -> Result<u64> {
        let conn = self.connection();
        query::count(conn, query, &index::of_collection(conn, query.collection)?)
    }

    /// Groups the documents that a query would find without its order, limit, offset and cursor.
    fn group(&self, query: &Query, grouping: &Grouping) -> Result<Vec<Grouped>> {
        let conn = self.connection();
        let indexes = index::of_collection(conn, query.collection)?;
        query::group(conn, query, grouping, &indexes)
    }

    /// How a query would be answered, without asking it.
    fn explain(&self, query: &Query) -> Result<Plan> {
        let conn = self.connection();
        query::explain(conn, query, &index::of_collection(conn, query.collection)?)
    }

    /// The indexes of a collection, in the order they were made.
    fn indexes_of(&self, collection: CollectionNo) -> Result<Vec<IndexRow>> {
        index::of_collection(self.connection(), collection)
    }

    /// All indexes, in the order they were made.
    fn all_indexes(&self) -> Result<Vec<IndexRow>> {
        index::all(self.connection())
    }

    /// How far an index is. Takes time that grows with the collection.
    fn index_progress(&self, row: &IndexRow) -> Result<IndexProgress> {
        index::progress(self.connection(), row)
    }

    /// How many rows there are in all.
    fn counts(&self) -> Result<Counts> {
        let sql = "SELECT (SELECT count(*) FROM space), (SELECT count(*) FROM writer), \
                   (SELECT coalesce(sum(count), 0) FROM writer JOIN segment \
                   ON key=(no << 40) + 0xffffffffff), \
                   (SELECT count(*) FROM segment) - (SELECT count(*) FROM writer), \
                   (SELECT count(*) FROM doc)";
        Ok(self.connection().query_row(sql, [], |row| {
            Ok(Counts {
                spaces: row.get(0)?,
                writers: row.get(1)?,
                entries: row.get(2)?,
                segments: row.get(3)?,
                docs: row.get(4)?,
            })
        })?)
    }

    /// Looks for damage in the whole file: SQLite's own check, then what must hold between rows.
    /// Takes seconds on large files; finds nothing in a healthy one.
    fn integrity_check(&self) -> Result<Vec<Finding>> {
        check::run(self.connection())
    }

    /// Bytes on disk, in all and by table.
    fn size_of(&self) -> Result<SizeOf> {
        check::size_of(self.connection())
    }
}

impl<T: Source + ?Sized> Read for T {}

fn space_row(row: &Row<'_>) -> rusqlite::Result<SpaceRow> {
    Ok(SpaceRow {
        no: row.get(0)?,
        id: SpaceId::from_bytes(row.get(1)?),
        record: row.get(2)?,
    })
}

fn writer_row(row: &Row<'_>) -> rusqlite::Result<WriterRow> {
    let tip = row.get_ref(5)?.as_blob()?;
    let (applied, tip) = read_tip(tip).ok_or(rusqlite::Error::IntegralValueOutOfRange(5, 0))?;
    Ok(WriterRow {
        no: row.get(0)?,
        space: row.get(1)?,
        id: WriterId::from_bytes(row.get(2)?),
        record: row.get(3)?,
        len: row.get(4)?,
        applied,
        tip: tip.to_vec(),
    })
}

/// A tip row's bytes: entries applied, big-endian, then the tip itself.
pub(crate) fn write_tip(out: &mut Vec<u8>, applied: u64, tip: &[u8]) {
    out.clear();
    out.extend_from_slice(&applied.to_be_bytes());
    out.extend_from_slice(tip);
}

pub(crate) fn read_tip(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (applied, tip) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*applied), tip))
}

fn head_row(row: &Row<'_>) -> rusqlite::Result<HeadRow> {
    Ok(HeadRow {
        len: at_of_key(row.get(0)?),
        head: row.get(1)?,
    })
}

pub(crate) fn wrong_type(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt {
        detail: error.to_string(),
    }
}

fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    f: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    Ok(conn.prepare_cached(sql)?.query_row(params, f).optional()?)
}

fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    f: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params, f)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Hands out rows of documents: the id and the merged state.
fn each_row(mut rows: Rows<'_>, f: &mut EachDoc<'_>) -> Result<()> {
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?.as_blob().map_err(wrong_type)?;
        let id = DocKey::decode(id).map_err(wrong_type)?;
        let state = row.get_ref(1)?.as_blob().map_err(wrong_type)?;
        if f(&id, state).is_break() {
            break;
        }
    }
    Ok(())
}
