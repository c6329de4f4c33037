//! Gathering the operations of many parcels. Owns the promise that after [`Changes::push`] nothing
//! about them can fail, and that a refused parcel has left no trace.

use std::collections::BTreeMap;

use stead_base::{DecodeFault, Decoder, DocId, Stamp, WriterId};

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
    /// Stamp of each parcel.
    parcels: Vec<Stamp>,
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
    /// Index of the parcel.
    parcel: u32,
    /// Index of the table.
    table: u32,
    ops: Span,
}

/// What decides nearly every comparison of two documents without looking at them.
struct OrderKey {
    /// The collection's rank, then generated before named.
    place: u32,
    index: u32,
    /// The id, or the first 16 bytes of its name.
    id: [u64; 2],
}

impl OrderKey {
    fn new(collection: u32, id: &DocId, index: u32) -> Self {
        let (named, id) = match id {
            DocId::Generated(bytes) => (0, *bytes),
            DocId::Named(name) => {
                let mut start = [0; 16];
                let len = name.as_str().len().min(start.len());
                start[..len].copy_from_slice(&name.as_str().as_bytes()[..len]);
                (1, start)
            }
        };
        let id = u128::from_be_bytes(id);
        Self {
            place: collection << 1 | named,
            index,
            id: [(id >> 64) as u64, id as u64],
        }
    }
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
        self.parcels.clear();
    }

    /// How many parcels were pushed.
    pub fn parcels(&self) -> usize {
        self.parcels.len()
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
            self.parcels.push(stamp);
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

    /// The position among the pushed parcels that a document's operations came from.
    pub fn parcel_of(&self, index: usize) -> Option<usize> {
        self.docs.get(index).map(|doc| doc.parcel as usize)
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
            stamp: self.parcels[doc.parcel as usize],
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
            read ^= u64::from(doc.ops.start ^ doc.parcel ^ doc.collection.start ^ u32::from(id));
        }
        for doc in docs() {
            let op = first_op(doc).map_or(0, |(_, raw)| raw.path.end);
            let stamp = self.parcels.get(doc.parcel as usize);
            let stamp = stamp.map_or(0, |it| {
                it.hlc.to_u64() ^ u64::from(it.writer.as_bytes()[31])
            });
            read ^= stamp ^ u64::from(op);
        }
        for (table, raw) in docs().filter_map(first_op) {
            read ^= at(table.text.as_bytes(), raw.path.start);
            if let What::Assign(value) = raw.what {
                read ^= at(&table.bytes, value.start) ^ at(&table.bytes, value.end.wrapping_sub(1));
            }
        }
        std::hint::black_box(read);
    }

    /// Positions for [`Changes::doc`], sorted by collection and document and, for one document, in
    /// the order of pushing: so that each document is read and written once.
    pub fn by_document(&self) -> Vec<u32> {
        let name = |doc: &ChangedDoc| {
            let table = &self.tables[doc.table as usize];
            &table.text[doc.collection.range()]
        };
        let mut ranks: BTreeMap<&str, u32> = BTreeMap::new();
        let mut last = None;
        for doc in &self.docs {
            let place = (doc.table, doc.collection);
            if last.replace(place) != Some(place) {
                ranks.insert(name(doc), 0);
            }
        }
        for (rank, (_, slot)) in ranks.iter_mut().enumerate() {
            *slot = rank as u32;
        }
        let (mut last, mut rank) = (None, 0);
        let mut keys = Vec::with_capacity(self.docs.len());
        for (index, doc) in self.docs.iter().enumerate() {
            let place = (doc.table, doc.collection);
            if last.replace(place) != Some(place) {
                rank = ranks.get(name(doc)).copied().unwrap_or(0);
            }
            keys.push(OrderKey::new(rank, &doc.id, index as u32));
        }
        keys.sort_unstable_by(|a, b| {
            let order = (a.place, a.id).cmp(&(b.place, b.id));
            order.then_with(|| {
                let [x, y] = [a, b].map(|key| &self.docs[key.index as usize].id);
                x.cmp(y).then(a.index.cmp(&b.index))
            })
        });
        keys.into_iter().map(|key| key.index).collect()
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
        let parcel = self.parcels.len() as u32;
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
                    parcel,
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
