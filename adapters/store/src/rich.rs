//! Rich fields on disk: a state a field, and the updates that came since it was written. A keystroke is
//! one short row; what any of the bytes mean is the engine's business.

use rusqlite::{Connection, OptionalExtension, params};
use stead_base::DocId;

use crate::key::DocKey;
use crate::read::{Source, wrong_type};
use crate::rows::{CollectionNo, RichNo, SpaceNo};
use crate::write::Tx;
use crate::{Read, StoreError};

type Result<T> = std::result::Result<T, StoreError>;

/// How far a field's number is shifted in the key of an update.
const UPDATE_BITS: u32 = 32;

/// A rich field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RichRow {
    /// Its number.
    pub no: RichNo,
    /// Whether the document's projection does not show its latest updates yet.
    pub stale: bool,
    /// The engine's state of it.
    pub state: Vec<u8>,
}

/// A rich field with the document it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RichOwner {
    /// Its number.
    pub no: RichNo,
    /// The document's collection.
    pub collection: CollectionNo,
    /// The document.
    pub doc: DocId,
    /// Which field, in the engine's bytes.
    pub field: Vec<u8>,
    /// The engine's state of it.
    pub state: Vec<u8>,
}

fn key(no: RichNo, at: u32) -> i64 {
    i64::from(no.0) << UPDATE_BITS | i64::from(at)
}

/// Reads of rich fields.
pub trait ReadRich: Source {
    /// A field of a document.
    fn rich(&self, collection: CollectionNo, id: &DocId, field: &[u8]) -> Result<Option<RichRow>> {
        let sql = "SELECT no, stale, state FROM rich WHERE collection=?1 AND doc=?2 AND field=?3";
        let mut statement = self.connection().prepare_cached(sql)?;
        let key = DocKey::new(id);
        Ok(statement
            .query_row(params![collection, key.as_bytes(), field], |row| {
                Ok(RichRow {
                    no: row.get(0)?,
                    stale: row.get(1)?,
                    state: row.get(2)?,
                })
            })
            .optional()?)
    }

    /// The fields of a document: each its number and name.
    fn rich_of(&self, collection: CollectionNo, id: &DocId) -> Result<Vec<(RichNo, Vec<u8>)>> {
        let sql = "SELECT no, field FROM rich WHERE collection=?1 AND doc=?2 ORDER BY field";
        let mut statement = self.connection().prepare_cached(sql)?;
        let key = DocKey::new(id);
        let rows = statement.query_map(params![collection, key.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The updates of a field that came since its state was written, with their positions, in order.
    fn rich_updates(&self, no: RichNo) -> Result<Vec<(u32, Vec<u8>)>> {
        let sql = "SELECT key, bytes FROM rich_update WHERE key BETWEEN ?1 AND ?2 ORDER BY key";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([key(no, 0), key(no, u32::MAX)], |row| {
            Ok((row.get::<_, i64>(0)? as u32, row.get(1)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Documents whose projection does not show their latest updates.
    fn stale_docs(&self) -> Result<Vec<(CollectionNo, DocId)>> {
        let sql = "SELECT DISTINCT collection, doc FROM rich WHERE stale=1";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|row| {
            let (collection, doc) = row?;
            Ok((collection, DocKey::decode(&doc).map_err(wrong_type)?))
        })
        .collect()
    }

    /// Every rich field of a space.
    fn rich_fields(&self, space: SpaceNo) -> Result<Vec<RichOwner>> {
        let sql = "SELECT rich.no, collection, doc, field, state FROM rich \
                   JOIN collection ON collection.no=collection WHERE space=?1 ORDER BY rich.no";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([space], |row| {
            let doc: Vec<u8> = row.get(2)?;
            Ok((row.get(0)?, row.get(1)?, doc, row.get(3)?, row.get(4)?))
        })?;
        rows.map(|row| {
            let (no, collection, doc, field, state) = row?;
            Ok(RichOwner {
                no,
                collection,
                doc: DocKey::decode(&doc).map_err(wrong_type)?,
                field,
                state,
            })
        })
        .collect()
    }
}

impl<T: Read + ?Sized> ReadRich for T {}

impl Tx<'_> {
    /// Makes a rich field of a document.
    pub fn add_rich(
        &self,
        collection: CollectionNo,
        id: &DocId,
        field: &[u8],
        state: &[u8],
    ) -> Result<RichNo> {
        let sql = "INSERT INTO rich (collection, doc, field, stale, state) \
                   VALUES (?1, ?2, ?3, 0, ?4) RETURNING no";
        let key = DocKey::new(id);
        self.returning(sql, params![collection, key.as_bytes(), field, state])
    }

    /// Keeps an update of a field. One of the hot paths.
    pub fn add_rich_update(&self, no: RichNo, at: u32, bytes: &[u8]) -> Result<()> {
        let sql = "INSERT INTO rich_update (key, bytes) VALUES (?1, ?2)";
        self.run_again(sql, params![key(no, at), bytes])
    }

    /// Writes a field's state anew and forgets the updates that it holds: all.
    pub fn fold_rich(&self, no: RichNo, state: &[u8]) -> Result<()> {
        self.execute("UPDATE rich SET state=?2 WHERE no=?1", params![no, state])?;
        self.clear_rich_updates(no)
    }

    /// Writes a field's state anew; its updates stay.
    pub fn set_rich_state(&self, no: RichNo, state: &[u8]) -> Result<()> {
        let sql = "UPDATE rich SET state=?2 WHERE no=?1";
        self.execute(sql, params![no, state]).map(drop)
    }

    /// Says whether the document's projection lacks the field's latest updates.
    pub fn set_rich_stale(&self, no: RichNo, stale: bool) -> Result<()> {
        let sql = "UPDATE rich SET stale=?2 WHERE no=?1 AND stale<>?2";
        self.run_again(sql, params![no, stale])
    }

    /// Forgets a field.
    pub fn remove_rich(&self, no: RichNo) -> Result<()> {
        self.clear_rich_updates(no)?;
        self.execute("DELETE FROM rich WHERE no=?1", [no]).map(drop)
    }

    fn clear_rich_updates(&self, no: RichNo) -> Result<()> {
        let sql = "DELETE FROM rich_update WHERE key BETWEEN ?1 AND ?2";
        self.execute(sql, [key(no, 0), key(no, u32::MAX)]).map(drop)
    }

    /// Forgets every rich field of a space, to be built again from the log.
    pub(crate) fn clear_rich(&self, space: SpaceNo) -> Result<()> {
        for field in self.rich_fields(space)? {
            self.remove_rich(field.no)?;
        }
        Ok(())
    }
}

/// Rows of updates that belong to no field.
pub(crate) fn orphans(conn: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM rich_update WHERE (key >> 32) NOT IN (SELECT no FROM rich)";
    conn.query_row(sql, [], |row| row.get(0))
}
