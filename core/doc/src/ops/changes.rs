//! Gathering the operations of many parcels. Owns the promise that after [`Changes::push`] nothing
//! about them can fail, and that a refused parcel has left no trace.

use std::collections::BTreeMap;

use stead_base::{DecodeFault, Decoder, DocId, Stamp, WriterId};

use super::order::{Key, Order};
use super::reader::{Reader, decompress, read_id, too_long};
use super::{
    DocOps, LZ4, OpRef, OpTable, PARCEL_BODY_BYTES_MAX, PARCEL_OPS_MAX, PARCEL_STAMPS_MAX, PLAIN,
    ParcelError, Span, What,
};
use crate::path::{PathRef, check_collection};

/// The checked operations of many parcels, owned and without lifetimes: one thread can decode while
/// another merges. Cleared and used again, it allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The last one is being filled; a full one stays as it is.
    tables: Vec<OpTable>,
    docs: Vec<ChangedDoc>,
    /// How many parcels were pushed.
    parcels: usize,
    /// Texts and writers of the parcel being read.
    names: Vec<Span>,
    writers: Vec<WriterId>,
    body: Vec<u8>,
}

#[derive(Debug, Clone)]
struct ChangedDoc {
    /// Where the collection's name is in the text of the table.
    collection: Span,
    id: DocId,
    /// That of its parcel: here, because a place in memory more for each costs more than the bytes.
    stamp: Stamp,
    /// Index of the table.
    table: u32,
    ops: Span,
}

/// A table that holds more than this gets no further parcel, so that 32 bits always count it. Tests
/// fill tables soon.
const TABLE_BYTES_MAX: usize = if cfg!(test) { 64 } else { 1 << 30 };

impl Changes {
    /// Forgets all parcels and keeps the allocations.
    pub fn clear(&mut self) {
        self.tables.truncate(1);
        if let Some(table) = self.tables.first_mut() {
            table.return_to(OpTable::default().mark());
        }
        self.docs.clear();
        self.parcels = 0;
    }

    /// How many parcels were pushed.
    pub const fn parcels(&self) -> usize {
        self.parcels
    }

    /// How many documents the parcels touch, each counted once a parcel.
    pub fn len(&self) -> usize {
        self.docs.len()
    }

    /// Whether no document is touched.
    pub fn is_empty(&self) -> bool {
        self.docs.is_empty()
    }

    /// About as many bytes as the parcels take in memory: what to bound a batch by.
    pub fn bytes(&self) -> usize {
        let tables = self.tables.iter().map(OpTable::bytes).sum::<usize>();
        tables + self.docs.len() * size_of::<ChangedDoc>()
    }

    /// Decodes and checks the plaintext of one parcel of the transaction `stamp`.
    pub fn push(&mut self, plaintext: &[u8], stamp: Stamp) -> Result<(), ParcelError> {
        if self
            .tables
            .last()
            .is_none_or(|table| table.bytes() > TABLE_BYTES_MAX)
        {
            self.tables.push(OpTable::default());
        }
        let docs = self.docs.len();
        let mark = self.tables.last().map(OpTable::mark);
        let result = self.push_body(plaintext, stamp);
        if result.is_ok() {
            self.parcels += 1;
        } else {
            self.docs.truncate(docs);
            if let (Some(table), Some(mark)) = (self.tables.last_mut(), mark) {
                table.return_to(mark);
            }
        }
        result
    }

    /// Like [`push`](Self::push), but leaves out the operations that `allows` refuses, given the
    /// collection, the document, the path inside it and the operation.
    pub fn push_allowed(
        &mut self,
        plaintext: &[u8],
        stamp: Stamp,
        allows: &mut dyn FnMut(&str, &DocId, PathRef<'_>, &OpRef<'_>) -> bool,
    ) -> Result<(), ParcelError> {
        let first = self.docs.len();
        self.push(plaintext, stamp)?;
        for doc in &mut self.docs[first..] {
            let table = &mut self.tables[doc.table as usize];
            let name = &table.text[doc.collection.range()];
            let kept: Vec<_> = table.ops[doc.ops.range()]
                .iter()
                .filter(|raw| {
                    let (path, op) = table.op(raw);
                    allows(name, &doc.id, path, &op)
                })
                .copied()
                .collect();
            let start = doc.ops.start as usize;
            table.ops[start..start + kept.len()].copy_from_slice(&kept);
            doc.ops.end = doc.ops.start + kept.len() as u32;
        }
        let mut at = 0;
        self.docs.retain(|doc| {
            at += 1;
            at <= first || doc.ops.start < doc.ops.end
        });
        Ok(())
    }

    /// The operations of one document in one parcel, by position: 0 to [`Changes::len`].
    pub fn doc(&self, index: usize) -> Option<DocOps<'_>> {
        Some(self.ops_of(self.docs.get(index)?))
    }

    /// All operations in the order of pushing; within a parcel by collection and document.
    pub fn docs(&self) -> impl ExactSizeIterator<Item = DocOps<'_>> {
        self.docs.iter().map(|doc| self.ops_of(doc))
    }

    fn ops_of<'c>(&'c self, doc: &'c ChangedDoc) -> DocOps<'c> {
        let table = &self.tables[doc.table as usize];
        DocOps {
            table,
            ops: &table.ops[doc.ops.range()],
            collection: &table.text[doc.collection.range()],
            id: &doc.id,
            stamp: doc.stamp,
        }
    }

    /// Reads through the operations at some positions, so that they are near when they are applied.
    /// In the order of documents they lie anywhere in memory. Asked for one after the other each would
    /// keep its reader waiting; these reads do not depend on each other, and wait together.
    pub fn fetch(&self, positions: &[u32]) {
        let at = |bytes: &[u8], at: u32| u64::from(bytes.get(at as usize).copied().unwrap_or(0));
        let docs = || {
            let docs = positions.iter().map(|index| self.docs.get(*index as usize));
            docs.flatten()
        };
        let first_op = |doc: &ChangedDoc| {
            let table = self.tables.get(doc.table as usize)?;
            Some((table, table.ops.get(doc.ops.start as usize)?))
        };
        let mut read = 0u64;
        for doc in docs() {
            let id = match &doc.id {
                DocId::Generated(bytes) => bytes[15],
                DocId::Named(_) => 0,
            };
            let ends = u32::from(id) ^ u32::from(doc.stamp.writer.as_bytes()[31]);
            read ^= doc.stamp.hlc.to_u64();
            read ^= u64::from(doc.ops.start ^ doc.table ^ doc.collection.start ^ ends);
        }
        for doc in docs() {
            read ^= first_op(doc).map_or(0, |(_, raw)| u64::from(raw.path.end));
        }
        for (table, raw) in docs().filter_map(first_op) {
            read ^= at(table.text.as_bytes(), raw.path.start);
            if let What::Assign(value) = raw.what {
                read ^= at(&table.bytes, value.start) ^ at(&table.bytes, value.end.wrapping_sub(1));
            }
        }
        std::hint::black_box(read);
    }

    /// Where the operations of each document are: each is read and written once, in the order of
    /// collections and ids.
    pub fn by_document(&self) -> Order {
        let name = |doc: &ChangedDoc| {
            let table = &self.tables[doc.table as usize];
            &table.text[doc.collection.range()]
        };
        let mut ranks: BTreeMap<&str, u32> = BTreeMap::new();
        let mut last = None;
        for name in self.docs.iter().map(name) {
            if last.replace(name) != Some(name) {
                ranks.insert(name, 0);
            }
        }
        for (rank, (_, slot)) in ranks.iter_mut().enumerate() {
            *slot = rank as u32;
        }
        let (mut last, mut rank) = (None, 0);
        let mut keys = Vec::with_capacity(self.docs.len());
        for (index, doc) in self.docs.iter().enumerate() {
            let name = name(doc);
            if last.replace(name) != Some(name) {
                rank = ranks.get(name).copied().unwrap_or(0);
            }
            keys.push(Key::new(rank, &doc.id, index as u32));
        }
        Order::sorted(keys, |index| &self.docs[index as usize].id)
    }

    fn push_body(&mut self, plaintext: &[u8], stamp: Stamp) -> Result<(), ParcelError> {
        let mut input = Decoder::new(plaintext);
        match input.byte("compression")? {
            PLAIN => self.read_docs(Decoder::new(input.rest()), stamp),
            LZ4 => {
                let mut body = std::mem::take(&mut self.body);
                let result = decompress(&mut input, &mut body)
                    .map_err(ParcelError::from)
                    .and_then(|()| self.read_docs(Decoder::new(&body), stamp));
                self.body = body;
                result
            }
            found => Err(ParcelError::NotUnderstood {
                what: "compression",
                found: found.into(),
            }),
        }
    }

    fn read_docs(&mut self, mut input: Decoder<'_>, stamp: Stamp) -> Result<(), ParcelError> {
        let size = input.remaining();
        if size > PARCEL_BODY_BYTES_MAX {
            return Err(too_long(&input, "body", size, PARCEL_BODY_BYTES_MAX).into());
        }
        let number = self.tables.len().saturating_sub(1) as u32;
        let Some(table) = self.tables.last_mut() else {
            return Ok(());
        };
        let mut reader = Reader {
            text_max: table.text.len() + PARCEL_BODY_BYTES_MAX,
            ops_max: table.ops.len() + PARCEL_OPS_MAX,
            stamps_max: table.stamps.len() + PARCEL_STAMPS_MAX,
            table,
            names: &mut self.names,
            writers: &mut self.writers,
            stamp,
        };
        reader.names.clear();
        reader.writers.clear();
        let source = input.rest();
        let mut last: Option<&str> = None;
        while input.remaining() > 0 {
            let name = reader.name(&mut input, source)?;
            if check_collection(name).is_err() {
                return Err(input.error("collection", DecodeFault::Undefined).into());
            }
            if last.is_some_and(|last| last >= name) {
                return Err(input.error("collection", DecodeFault::NotCanonical).into());
            }
            last = Some(name);
            let before = self.docs.last().filter(|doc| doc.table == number);
            let collection = intern(&mut reader.table.text, before, name);
            let first = self.docs.len();
            let count = input.count(PARCEL_OPS_MAX, 4, "documents")?;
            if count == 0 {
                return Err(input.error("documents", DecodeFault::NotCanonical).into());
            }
            for _ in 0..count {
                let header = input.uint("document")?;
                let id = read_id(&mut input, header & 1 == 1)?;
                if self.docs[first..].last().is_some_and(|last| last.id >= id) {
                    return Err(input.error("document", DecodeFault::NotCanonical).into());
                }
                let ops = reader.ops(&mut input, source, header >> 1)?;
                self.docs.push(ChangedDoc {
                    collection,
                    id,
                    stamp,
                    table: number,
                    ops,
                });
            }
        }
        Ok(())
    }
}

/// Appends a collection's name, unless the last one written is the same.
fn intern(text: &mut String, last: Option<&ChangedDoc>, name: &str) -> Span {
    if let Some(last) = last
        && &text[last.collection.range()] == name
    {
        return last.collection;
    }
    let start = text.len() as u32;
    text.push_str(name);
    Span {
        start,
        end: text.len() as u32,
    }
}
