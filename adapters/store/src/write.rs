//! One SQLite transaction: every write there is. It never looks into the bytes it is given.

use std::cell::{Cell, RefCell};

use rusqlite::{CachedStatement, Connection, Params, params};
use stead_base::{DocId, Hash, SpaceId, WriterId};

use crate::ahead::Ahead;
use crate::index::IndexCache;
use crate::key::DocKey;
use crate::read::{Source, write_tip, wrong_type};
use crate::rows::{CollectionNo, NameNo, RowNo, SpaceNo, WriterNo, at_of_key};
use crate::{Read, StoreError};

type Result<T> = std::result::Result<T, StoreError>;

/// A running transaction. It reads what it wrote ([`Read`]); others see it after
/// [`commit`](Self::commit), all of it or nothing. Dropping it undoes it, and so does the first
/// write that fails: later calls then return [`StoreError::Undone`].
pub struct Tx<'s> {
    conn: &'s Connection,
    ahead: &'s Ahead,
    /// Whether anything was written, or tried.
    wrote: Cell<bool>,
    /// Whether anything was written that log entries alone do not lead to.
    wrote_more: Cell<bool>,
    /// Whether it came to its end: nothing is to be undone.
    ended: Cell<bool>,
    index_cache: &'s IndexCache,
    /// Whether the cache may hold what only this transaction sees.
    indexes_changed: Cell<bool>,
    failed: Cell<bool>,
    load_doc: Held<'s>,
    insert_doc: Held<'s>,
    update_doc: Held<'s>,
    append: Held<'s>,
    advance: Held<'s>,
    tip_bytes: RefCell<Vec<u8>>,
    /// The document read last, with its row's number: the one that is mostly written next.
    last_doc: Cell<Option<(CollectionNo, DocKey, RowNo)>>,
}

/// A statement kept for the length of a transaction, so that a hot path looks nothing up.
type Held<'s> = RefCell<Option<CachedStatement<'s>>>;

/// Level of the subtrees whose roots are kept: 2^10 entries each.
const NODE_LEVEL: u32 = 10;

impl Source for Tx<'_> {
    fn connection(&self) -> &Connection {
        self.conn
    }
}

impl<'s> Tx<'s> {
    pub(crate) fn begin(
        conn: &'s Connection,
        ahead: &'s Ahead,
        index_cache: &'s IndexCache,
    ) -> Result<Self> {
        // One in which others wait goes on.
        if conn.is_autocommit() {
            if ahead.is_waiting() {
                ahead.undone();
                return Err(StoreError::Undone);
            }
            conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        }
        Ok(Self {
            conn,
            ahead,
            wrote: Cell::new(false),
            wrote_more: Cell::new(false),
            ended: Cell::new(false),
            index_cache,
            indexes_changed: Cell::new(false),
            failed: Cell::new(false),
            load_doc: Held::default(),
            insert_doc: Held::default(),
            update_doc: Held::default(),
            append: Held::default(),
            advance: Held::default(),
            tip_bytes: RefCell::default(),
            last_doc: Cell::default(),
        })
    }

    /// Makes all writes of the transaction visible and, as the store's durability says, lasting.
    /// On an error nothing of it was written.
    pub fn commit(self) -> Result<()> {
        self.execute("COMMIT", [])?;
        self.indexes_changed.set(false);
        self.ended.set(true);
        self.ahead.committed(false);
        Ok(())
    }

    /// Makes the transaction lasting by its `record` alone, as the store's durability says; connections that
    /// only read see it after [`Store::settle`](crate::Store::settle) or another transaction's commit. After a crash, or after a
    /// later transaction was undone, the record is among
    /// [`Store::lost_records`](crate::Store::lost_records), and the caller makes the transaction again from it.
    ///
    /// It is committed at once if that cannot be, and if anything was written but segments, how far a log goes,
    /// documents, what is in indexes, and updates of rich fields. Returns whether it waits.
    pub fn commit_ahead(self, record: &[u8]) -> Result<bool> {
        if self.failed.get() || self.conn.is_autocommit() {
            return Err(StoreError::Undone);
        }
        if self.wrote_more.get() || !self.ahead.takes(record.len()) || !self.ahead.wait(record) {
            return self.commit().map(|()| false);
        }
        self.ended.set(true);
        Ok(true)
    }

    /// Sets a named value.
    pub fn put_meta(&self, key: &str, value: &[u8]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
        self.execute(sql, params![key, value]).map(drop)
    }

    /// Removes a named value.
    pub fn remove_meta(&self, key: &str) -> Result<()> {
        self.execute("DELETE FROM meta WHERE key=?1", [key])
            .map(drop)
    }

    /// Keeps a secret that is already sealed.
    pub fn put_secret(&self, name: &str, sealed: &[u8]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO secret (name, sealed) VALUES (?1, ?2)";
        self.execute(sql, params![name, sealed]).map(drop)
    }

    /// Forgets a secret.
    pub fn remove_secret(&self, name: &str) -> Result<()> {
        self.execute("DELETE FROM secret WHERE name=?1", [name])
            .map(drop)
    }

    /// Adds a space, or changes its record.
    pub fn put_space(&self, id: &SpaceId, record: &[u8]) -> Result<SpaceNo> {
        let sql = "INSERT INTO space (id, record) VALUES (?1, ?2) \
                   ON CONFLICT (id) DO UPDATE SET record=excluded.record RETURNING no";
        self.returning(sql, params![id.as_bytes(), record])
    }

    /// Removes a space with its logs, documents, collections and writers.
    pub fn remove_space(&self, space: SpaceNo) -> Result<()> {
        for writer in self.writers(space)? {
            let (first, last) = (writer.no.key(0)?, writer.no.tip_key()?);
            for sql in [
                "DELETE FROM segment WHERE key BETWEEN ?1 AND ?2",
                "DELETE FROM head WHERE key BETWEEN ?1 AND ?2",
                "DELETE FROM node WHERE key BETWEEN ?1 AND ?2",
            ] {
                self.execute(sql, [first, last])?;
            }
            self.execute("DELETE FROM fork WHERE writer=?1", [writer.no])?;
            self.execute("DELETE FROM skeleton WHERE writer=?1", [writer.no])?;
        }
        self.clear_docs(space)?;
        self.remove_indexes(space)?;
        for sql in [
            "DELETE FROM collection WHERE space=?1",
            "DELETE FROM writer WHERE space=?1",
            "DELETE FROM space WHERE no=?1",
        ] {
            self.execute(sql, [space])?;
        }
        Ok(())
    }

    /// Adds a writer, or changes everything about it.
    pub fn put_writer(
        &self,
        space: SpaceNo,
        id: &WriterId,
        len: u64,
        applied: u64,
        tip: &[u8],
        record: &[u8],
    ) -> Result<WriterNo> {
        let sql = "INSERT INTO writer (space, id, record) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (space, id) DO UPDATE SET record=excluded.record RETURNING no";
        let no: WriterNo = self.returning(sql, params![space, id.as_bytes(), record])?;
        let mut bytes = Vec::with_capacity(8 + tip.len());
        write_tip(&mut bytes, applied, tip);
        let sql = "INSERT OR REPLACE INTO segment (key, count, bytes) VALUES (?1, ?2, ?3)";
        self.execute(sql, params![no.tip_key()?, len, bytes])?;
        Ok(no)
    }

    /// Changes how far a writer's log is stored and applied. One of the hot paths.
    pub fn advance_writer(
        &self,
        writer: WriterNo,
        len: u64,
        applied: u64,
        tip: &[u8],
    ) -> Result<()> {
        let sql = "UPDATE segment SET count=?2, bytes=?3 WHERE key=?1";
        let key = writer.tip_key()?;
        let mut bytes = self.tip_bytes.borrow_mut();
        write_tip(&mut bytes, applied, tip);
        let changed = self.held(&self.advance, sql, |statement| {
            statement.execute(params![key, len, &bytes[..]])
        })?;
        self.must_exist(changed, "writer number", writer.0)
    }

    /// Changes the engine's record of a writer.
    pub fn set_writer_record(&self, writer: WriterNo, record: &[u8]) -> Result<()> {
        let sql = "UPDATE writer SET record=?2 WHERE no=?1";
        let changed = self.execute(sql, params![writer, record])?;
        self.must_exist(changed, "writer number", writer.0)
    }

    /// Stores `count` entries of a log from position `start`. One of the hot paths.
    pub fn append_segment(
        &self,
        writer: WriterNo,
        start: u64,
        count: u32,
        bytes: &[u8],
    ) -> Result<()> {
        let key = writer.key(start)?;
        writer.key(start.saturating_add(u64::from(count)))?;
        let sql = "INSERT INTO segment (key, count, bytes) VALUES (?1, ?2, ?3)";
        self.held(&self.append, sql, |statement| {
            statement.execute(params![key, count, bytes])
        })
        .map(drop)
    }

    /// Replaces the rows that hold exactly the entries `[start, end)` by one row with the same
    /// entries. Refuses a range that is not exactly covered.
    pub fn replace_segments(
        &self,
        writer: WriterNo,
        start: u64,
        end: u64,
        bytes: &[u8],
    ) -> Result<()> {
        let range = |value| StoreError::OutOfRange {
            what: "segment range ending at",
            value,
        };
        let first = writer.key(start)?;
        let after = writer.key(end)?;
        let count: u32 = (end.saturating_sub(start))
            .try_into()
            .map_err(|_| range(end))?;
        let sql = "SELECT coalesce(min(key), -1), coalesce(max(key + count), -1), \
                   coalesce(sum(count), 0) FROM segment WHERE key>=?1 AND key<?2";
        let covered: (i64, i64, u64) = self
            .conn
            .prepare_cached(sql)?
            .query_row([first, after], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        if covered != (first, after, u64::from(count)) {
            return Err(range(at_of_key(after)));
        }
        let sql = "DELETE FROM segment WHERE key>=?1 AND key<?2";
        self.execute(sql, [first, after])?;
        self.append_segment(writer, start, count, bytes)
    }

    /// Writes the bytes of a row of entries anew; they are the same entries, with parts left out.
    pub fn rewrite_segment(&self, writer: WriterNo, start: u64, bytes: &[u8]) -> Result<()> {
        let sql = "UPDATE segment SET bytes=?2 WHERE key=?1";
        let changed = self.execute(sql, params![writer.key(start)?, bytes])?;
        match changed {
            0 => Err(StoreError::OutOfRange {
                what: "segment at",
                value: start,
            }),
            _ => Ok(()),
        }
    }

    /// Removes the entries of a log from position `len` on, with the heads and subtree roots that
    /// cover any of them. A row that holds both kinds keeps `kept` of its bytes: the caller's
    /// closure says, given the row's first position and bytes, how many bytes the entries before
    /// `len` take.
    pub fn truncate_log(
        &self,
        writer: WriterNo,
        len: u64,
        kept: impl FnOnce(u64, &[u8]) -> usize,
    ) -> Result<()> {
        let (_, last) = writer.keys()?;
        let spanning = self.segments(writer, len, 0)?.into_iter().next();
        if let Some(row) = spanning.filter(|row| row.start < len) {
            let bytes = &row.bytes[..kept(row.start, &row.bytes).min(row.bytes.len())];
            let sql = "UPDATE segment SET count=?2, bytes=?3 WHERE key=?1";
            let key = writer.key(row.start)?;
            self.execute(sql, params![key, (len - row.start) as u32, bytes])?;
        }
        let sql = "DELETE FROM segment WHERE key>=?1 AND key<=?2";
        self.execute(sql, [writer.key(len)?, last])?;
        let sql = "DELETE FROM head WHERE key>?1 AND key<=?2";
        self.execute(sql, [writer.key(len)?, last])?;
        let sql = "DELETE FROM node WHERE key>=?1 AND key<=?2";
        self.execute(sql, [writer.key(len >> NODE_LEVEL)?, last])?;
        Ok(())
    }

    /// Removes the entries of a log before position `len`, and keeps `skeleton` in their place. A row
    /// that holds entries on both sides loses as many bytes at its beginning as the caller's closure
    /// says, given the row's first position and bytes. Subtree roots stay.
    pub fn drop_beginning(
        &self,
        writer: WriterNo,
        len: u64,
        skeleton: &[u8],
        dropped: impl FnOnce(u64, &[u8]) -> usize,
    ) -> Result<()> {
        let first = writer.key(0)?;
        let spanning = self.segments(writer, len, 0)?.into_iter().next();
        let sql = "DELETE FROM segment WHERE key>=?1 AND key<?2";
        self.execute(sql, [first, writer.key(len)?])?;
        if let Some(row) = spanning.filter(|row| row.start < len && row.end() > len) {
            let gone = dropped(row.start, &row.bytes).min(row.bytes.len());
            let count = (row.end() - len) as u32;
            self.append_segment(writer, len, count, &row.bytes[gone..])?;
        }
        let sql = "DELETE FROM head WHERE key>=?1 AND key<?2";
        self.execute(sql, [first, writer.key(len)?])?;
        let sql = "INSERT OR REPLACE INTO skeleton (writer, len, bytes) VALUES (?1, ?2, ?3)";
        self.execute(sql, params![writer, len, skeleton]).map(drop)
    }

    /// Notes that of the first `len` entries of a log only some are held, and no skeleton.
    pub fn keep_thin(&self, writer: WriterNo, len: u64) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO skeleton (writer, len, bytes) VALUES (?1, ?2, x'')";
        self.execute(sql, params![writer, len]).map(drop)
    }

    /// Forgets all of a log: entries, heads, subtree roots and skeleton.
    pub fn empty_log(&self, writer: WriterNo) -> Result<()> {
        self.truncate_log(writer, 0, |_, _| 0)?;
        self.execute("DELETE FROM skeleton WHERE writer=?1", [writer])
            .map(drop)
    }

    /// Keeps a signed head of `len` entries.
    pub fn put_head(&self, writer: WriterNo, len: u64, head: &[u8]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO head (key, head) VALUES (?1, ?2)";
        self.execute(sql, params![writer.key(len)?, head]).map(drop)
    }

    /// Forgets the kept heads of lengths in `[from, to)`.
    pub fn remove_heads(&self, writer: WriterNo, from: u64, to: u64) -> Result<()> {
        let sql = "DELETE FROM head WHERE key>=?1 AND key<?2";
        self.execute(sql, [writer.key(from)?, writer.key(to)?])
            .map(drop)
    }

    /// Keeps the root of a complete subtree.
    pub fn put_node(&self, writer: WriterNo, index: u64, hash: &Hash) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO node (key, hash) VALUES (?1, ?2)";
        self.execute(sql, params![writer.key(index)?, hash.as_bytes()])
            .map(drop)
    }

    /// Keeps the proof that a writer forked its log.
    pub fn put_fork(&self, writer: WriterNo, proof: &[u8]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO fork (writer, proof) VALUES (?1, ?2)";
        self.execute(sql, params![writer, proof]).map(drop)
    }

    /// The number of a collection, given now if it has none.
    pub fn intern_collection(&self, space: SpaceNo, name: &str) -> Result<CollectionNo> {
        if let Some(no) = self.collection(space, name)? {
            return Ok(no);
        }
        let sql = "INSERT INTO collection (space, name) VALUES (?1, ?2) RETURNING no";
        self.returning(sql, params![space, name])
    }

    /// The number of a field name, given now if it has none.
    pub fn intern_name(&self, text: &str) -> Result<NameNo> {
        let sql = "INSERT INTO name (text) VALUES (?1) \
                   ON CONFLICT (text) DO UPDATE SET text=text RETURNING no";
        self.returning(sql, [text])
    }

    /// The merged state of a document, borrowed for the length of `f`. One of the hot paths.
    pub fn with_doc_state<T>(
        &self,
        collection: CollectionNo,
        id: &DocId,
        f: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        let found = self.with_doc_row(collection, id, f)?;
        Ok(found.map(|(no, found)| {
            self.last_doc.set(Some((collection, DocKey::new(id), no)));
            found
        }))
    }

    /// As [`with_doc_state`](Self::with_doc_state), with the row's number for
    /// [`put_doc_row`](Self::put_doc_row): for who reads other documents before that one is written.
    pub fn with_doc_row<T>(
        &self,
        collection: CollectionNo,
        id: &DocId,
        f: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<(RowNo, T)>> {
        let sql = "SELECT state, no FROM doc WHERE collection=?1 AND id=?2";
        let key = DocKey::new(id);
        let mut slot = self.load_doc.borrow_mut();
        let statement = fill(self.conn, &mut slot, sql)?;
        let mut rows = statement.query(params![collection, key.as_bytes()])?;
        match rows.next()? {
            None => Ok(None),
            Some(row) => {
                let no = RowNo(row.get(1)?);
                let found = f(row.get_ref(0)?.as_blob().map_err(wrong_type)?);
                Ok(Some((no, found)))
            }
        }
    }

    /// The merged state of a document.
    pub fn load_doc_state(&self, collection: CollectionNo, id: &DocId) -> Result<Option<Vec<u8>>> {
        self.with_doc_state(collection, id, <[u8]>::to_vec)
    }

    /// Writes a document's merged state and its JSONB projection. One of the hot paths: fastest
    /// when ids come in order.
    pub fn put_doc(
        &self,
        collection: CollectionNo,
        id: &DocId,
        state: &[u8],
        body: &[u8],
        deleted: bool,
    ) -> Result<()> {
        let last = self.last_doc.take();
        let row = last.filter(|(of, last, _)| (*of, *last) == (collection, DocKey::new(id)));
        let row = row.map(|(_, _, no)| no);
        self.put_doc_row(collection, id, row, state, body, deleted)
    }

    /// As [`put_doc`](Self::put_doc), into the row that was found for the document in this transaction, if
    /// there was one.
    pub fn put_doc_row(
        &self,
        collection: CollectionNo,
        id: &DocId,
        row: Option<RowNo>,
        state: &[u8],
        body: &[u8],
        deleted: bool,
    ) -> Result<()> {
        let indexes = self.indexes()?;
        let write = || self.write_doc((collection, id), row, state, body, deleted);
        match indexes.get(&collection) {
            None => write(),
            Some(of) => self.put_indexed_doc(of, collection, id, write, body, deleted),
        }
    }

    fn write_doc(
        &self,
        (collection, id): (CollectionNo, &DocId),
        row: Option<RowNo>,
        state: &[u8],
        body: &[u8],
        deleted: bool,
    ) -> Result<()> {
        let key = DocKey::new(id);
        if let Some(RowNo(no)) = row {
            // The number spares the search for the id.
            let sql = "UPDATE doc SET deleted=?2, state=?3, body=?4 WHERE no=?1";
            let changed = self.held(&self.update_doc, sql, |statement| {
                statement.execute(params![no, deleted, state, body])
            })?;
            if changed == 1 {
                return Ok(());
            }
        }
        let sql = "INSERT INTO doc (collection, id, deleted, state, body) \
                   VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (collection, id) DO UPDATE SET \
                   deleted=excluded.deleted, state=excluded.state, body=excluded.body";
        self.held(&self.insert_doc, sql, |statement| {
            statement.execute(params![collection, key.as_bytes(), deleted, state, body])
        })
        .map(drop)
    }

    /// Removes a document's row and rich fields, as if it had never been here.
    pub fn drop_doc(&self, collection: CollectionNo, id: &DocId) -> Result<()> {
        use crate::ReadRich;
        for (field, _) in self.rich_of(collection, id)? {
            self.remove_rich(field)?;
        }
        if self.doc_state(collection, id)?.is_none() {
            return Ok(());
        }
        // Indexes hold no deleted document.
        self.put_doc(collection, id, &[], &EMPTY_BODY, true)?;
        let key = DocKey::new(id);
        let sql = "DELETE FROM doc WHERE collection=?1 AND id=?2";
        self.execute(sql, params![collection, key.as_bytes()])
            .map(drop)
    }

    /// Removes every document row of a space, to be built again from the log.
    pub fn clear_docs(&self, space: SpaceNo) -> Result<()> {
        self.clear_rich(space)?;
        self.clear_indexes(space)?;
        let sql = "DELETE FROM doc WHERE collection IN (SELECT no FROM collection WHERE space=?1)";
        self.execute(sql, [space]).map(drop)
    }

    pub(crate) const fn connection_of(&self) -> &Connection {
        self.conn
    }

    pub(crate) const fn index_cache(&self) -> &IndexCache {
        self.index_cache
    }

    /// What indexes there are is to be read again.
    pub(crate) fn forget_indexes(&self) {
        self.indexes_changed.set(true);
        self.index_cache.take();
    }

    /// Runs one statement that is made of this crate's own words.
    pub(crate) fn run(&self, sql: &str, params: impl Params) -> Result<()> {
        self.wrote_more.set(true);
        self.run_again(sql, params)
    }

    /// The same for one that log entries lead to.
    pub(crate) fn run_again(&self, sql: &str, params: impl Params) -> Result<()> {
        self.guarded(|| self.conn.prepare_cached(sql)?.execute(params))
            .map(drop)
    }

    /// Runs statements that are made of this crate's own words.
    pub(crate) fn run_all(&self, sql: &str) -> Result<()> {
        self.wrote_more.set(true);
        self.guarded(|| self.conn.execute_batch(sql))
    }

    fn must_exist(&self, changed: usize, what: &'static str, value: u32) -> Result<()> {
        if changed == 1 {
            return Ok(());
        }
        self.failed.set(true);
        Err(StoreError::OutOfRange {
            what,
            value: u64::from(value),
        })
    }

    /// A write that failed may have undone all writes before it (a full disk does); going on would
    /// commit the rest without them.
    fn guarded<T>(&self, f: impl FnOnce() -> rusqlite::Result<T>) -> Result<T> {
        if self.failed.get() || self.conn.is_autocommit() {
            return Err(StoreError::Undone);
        }
        self.wrote.set(true);
        f().map_err(|error| {
            self.failed.set(true);
            error.into()
        })
    }

    fn held<T>(
        &self,
        slot: &Held<'s>,
        sql: &'static str,
        f: impl FnOnce(&mut CachedStatement<'s>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.guarded(|| f(fill(self.conn, &mut slot.borrow_mut(), sql)?))
    }

    pub(crate) fn execute(&self, sql: &'static str, params: impl Params) -> Result<usize> {
        self.wrote_more.set(true);
        self.guarded(|| self.conn.prepare_cached(sql)?.execute(params))
    }

    pub(crate) fn returning<T: rusqlite::types::FromSql>(
        &self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<T> {
        self.wrote_more.set(true);
        self.guarded(|| {
            self.conn
                .prepare_cached(sql)?
                .query_row(params, |row| row.get(0))
        })
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if self.indexes_changed.get() {
            self.index_cache.take();
        }
        let is_open = !self.conn.is_autocommit();
        let left_alone = is_open && !self.wrote.get() && self.ahead.is_waiting();
        if self.ended.get() || left_alone {
            return;
        }
        if is_open && let Err(error) = self.conn.execute_batch("ROLLBACK") {
            tracing::error!(%error, "a transaction could not be undone");
        }
        self.ahead.undone();
    }
}

/// `{}` in SQLite's JSONB.
const EMPTY_BODY: [u8; 1] = [0x0c];

fn fill<'a, 's>(
    conn: &'s Connection,
    slot: &'a mut Option<CachedStatement<'s>>,
    sql: &'static str,
) -> rusqlite::Result<&'a mut CachedStatement<'s>> {
    if slot.is_none() {
        *slot = Some(conn.prepare_cached(sql)?);
    }
    slot.as_mut().ok_or(rusqlite::Error::InvalidQuery)
}
