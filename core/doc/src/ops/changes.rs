//! Decoding parcels. Owns every check on foreign operations: after [`Changes::push`] nothing about
//! them can fail, and a refused parcel has left no trace.

use std::collections::BTreeMap;

use stead_base::{DecodeError, DecodeFault, Decoder, DocId, Hlc, Stamp, WriterId, limits};

use super::{
    ADD, ASSIGN, DELETE, DocOps, KIND_BITS, KIND_MASK, LZ4, OpTable, PARCEL_BODY_BYTES_MAX,
    PARCEL_OPS_MAX, PLAIN, ParcelError, RESTORE, RawOp, SET_ADD, SET_REMOVE, STAMP_AUTHOR,
    STAMP_KNOWN_WRITER, STAMP_NEW_WRITER, STAMP_NONE, Span, What,
};
use crate::path::{SEPARATOR, check_collection, check_name};
use crate::value::{self, Place};

/// The checked operations of many parcels, owned and without lifetimes: one thread can decode while
/// another merges. Cleared and used again, it allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    table: OpTable,
    docs: Vec<ChangedDoc>,
    /// Stamp of each parcel.
    parcels: Vec<Stamp>,
    /// Texts and writers of the parcel being read.
    names: Vec<Span>,
    writers: Vec<WriterId>,
    /// The collection names of `docs`.
    collections: String,
    body: Vec<u8>,
}

#[derive(Debug, Clone)]
struct ChangedDoc {
    collection: Span,
    id: DocId,
    /// Index of the parcel.
    parcel: u32,
    ops: Span,
}

/// What decides nearly every comparison of two documents without looking at them.
struct OrderKey {
    /// The collection's rank, then generated before named.
    place: u64,
    /// The id, or the first 16 bytes of its name.
    id: u128,
    index: u32,
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
        Self {
            place: u64::from(collection) << 1 | named,
            id: u128::from_be_bytes(id),
            index,
        }
    }
}

/// Most bytes of operations that one [`Changes`] gathers.
const CHANGES_BYTES_MAX: usize = 1 << 30;

impl Changes {
    /// Forgets all parcels and keeps the allocations.
    pub fn clear(&mut self) {
        self.table.return_to(OpTable::default().mark());
        self.docs.clear();
        self.parcels.clear();
        self.collections.clear();
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

    /// Decodes and checks the plaintext of one parcel of the transaction `stamp`.
    pub fn push(&mut self, plaintext: &[u8], stamp: Stamp) -> Result<(), ParcelError> {
        let table = self.table.mark();
        let (docs, collections) = (self.docs.len(), self.collections.len());
        let result = self.push_body(plaintext, stamp);
        if result.is_err() {
            self.table.return_to(table);
            self.docs.truncate(docs);
            self.collections.truncate(collections);
        } else {
            self.parcels.push(stamp);
        }
        result
    }

    /// The operations of one document in one parcel, by position: 0 to [`Changes::len`].
    pub fn doc(&self, index: usize) -> Option<DocOps<'_>> {
        let doc = self.docs.get(index)?;
        Some(DocOps {
            table: &self.table,
            ops: &self.table.ops[doc.ops.range()],
            collection: &self.collections[doc.collection.range()],
            id: &doc.id,
            stamp: self.parcels[doc.parcel as usize],
        })
    }

    /// The position among the pushed parcels that a document's operations came from.
    pub fn parcel_of(&self, index: usize) -> Option<usize> {
        self.docs.get(index).map(|doc| doc.parcel as usize)
    }

    /// All operations in the order of pushing; within a parcel by collection and document.
    pub fn docs(&self) -> impl ExactSizeIterator<Item = DocOps<'_>> {
        (0..self.docs.len()).map(|index| {
            let doc = &self.docs[index];
            DocOps {
                table: &self.table,
                ops: &self.table.ops[doc.ops.range()],
                collection: &self.collections[doc.collection.range()],
                id: &doc.id,
                stamp: self.parcels[doc.parcel as usize],
            }
        })
    }

    /// Positions for [`Changes::doc`], sorted by collection and document and, for one document, in
    /// the order of pushing: so that each document is read and written once.
    pub fn by_document(&self) -> Vec<u32> {
        let name = |doc: &ChangedDoc| &self.collections[doc.collection.range()];
        let mut ranks: BTreeMap<&str, u32> = BTreeMap::new();
        let mut last = None;
        for doc in &self.docs {
            if last.replace(doc.collection) != Some(doc.collection) {
                ranks.insert(name(doc), 0);
            }
        }
        for (rank, (_, slot)) in ranks.iter_mut().enumerate() {
            *slot = rank as u32;
        }
        let mut last = (Span::default(), 0);
        let mut keys = Vec::with_capacity(self.docs.len());
        for (index, doc) in self.docs.iter().enumerate() {
            if last.0 != doc.collection {
                last = (doc.collection, ranks.get(name(doc)).copied().unwrap_or(0));
            }
            keys.push(OrderKey::new(last.1, &doc.id, index as u32));
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
        let gathered = self.table.bytes.len() + self.table.text.len() + self.collections.len();
        if gathered > CHANGES_BYTES_MAX {
            return Err(too_long(&input, "batch", gathered, CHANGES_BYTES_MAX).into());
        }
        let mut reader = Reader {
            text_max: self.table.text.len() + PARCEL_BODY_BYTES_MAX,
            ops_max: self.table.ops.len() + PARCEL_OPS_MAX,
            table: &mut self.table,
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
            let collection = intern(&mut self.collections, self.docs.last(), name);
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
                    ops,
                });
            }
        }
        Ok(())
    }
}

/// Appends a collection's name, unless the last one written is the same.
fn intern(collections: &mut String, last: Option<&ChangedDoc>, name: &str) -> Span {
    if let Some(last) = last
        && &collections[last.collection.range()] == name
    {
        return last.collection;
    }
    let start = collections.len() as u32;
    collections.push_str(name);
    Span {
        start,
        end: collections.len() as u32,
    }
}

fn too_long(input: &Decoder<'_>, what: &'static str, found: usize, max: usize) -> DecodeError {
    let (found, max) = (found as u64, max as u64);
    input.error(what, DecodeFault::TooLong { found, max })
}

fn decompress(input: &mut Decoder<'_>, body: &mut Vec<u8>) -> Result<(), DecodeError> {
    let len = input.uint_max(PARCEL_BODY_BYTES_MAX as u64, "body length")? as usize;
    // No LZ4 block unfolds to more than 255 times its size.
    if len > input.remaining().saturating_mul(255) {
        return Err(input.error("body length", DecodeFault::Truncated));
    }
    body.clear();
    body.resize(len, 0);
    match lz4_flex::block::decompress_into(input.rest(), body) {
        Ok(found) if found == len => Ok(()),
        _ => Err(input.error("compressed body", DecodeFault::Undefined)),
    }
}

fn read_id(input: &mut Decoder<'_>, named: bool) -> Result<DocId, DecodeError> {
    if !named {
        return Ok(DocId::Generated(input.array("document id")?));
    }
    let name = input.text(limits::DOC_NAME_BYTES_MAX, "document id")?;
    match DocId::parse(name) {
        Ok(id @ DocId::Named(_)) => Ok(id),
        _ => Err(input.error("document id", DecodeFault::Undefined)),
    }
}

struct Reader<'t> {
    table: &'t mut OpTable,
    names: &'t mut Vec<Span>,
    writers: &'t mut Vec<WriterId>,
    stamp: Stamp,
    text_max: usize,
    ops_max: usize,
}

impl Reader<'_> {
    /// Reads a name: `2 * len` and the bytes the first time, then `2 * index + 1`.
    fn name<'a>(
        &mut self,
        input: &mut Decoder<'a>,
        source: &'a [u8],
    ) -> Result<&'a str, ParcelError> {
        let header = input.uint("name")?;
        let bytes = if header & 1 == 0 {
            let len = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let start = input.offset();
            let bytes = input.raw(len, "name")?;
            self.names.push(Span {
                start: start as u32,
                end: (start + len) as u32,
            });
            bytes
        } else {
            let index = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let span = self.names.get(index);
            &source[span
                .ok_or(input.error("name", DecodeFault::Undefined))?
                .range()]
        };
        let name =
            std::str::from_utf8(bytes).map_err(|_| input.error("name", DecodeFault::NotUtf8))?;
        if check_name(name).is_err() {
            return Err(input.error("name", DecodeFault::Undefined).into());
        }
        Ok(name)
    }

    fn ops<'a>(
        &mut self,
        input: &mut Decoder<'a>,
        source: &'a [u8],
        count: u64,
    ) -> Result<Span, ParcelError> {
        let start = self.table.ops.len();
        if count == 0 || count > input.remaining() as u64 {
            return Err(input.error("operations", DecodeFault::Truncated).into());
        }
        let left = self.ops_max.saturating_sub(start);
        if count > left as u64 {
            return Err(too_long(input, "operations", count as usize, left).into());
        }
        for index in 0..count {
            let raw = self.op(input, source)?;
            if index > 0
                && let Some(last) = self.table.ops.last()
                && self.table.key(last) >= self.table.key(&raw)
            {
                return Err(input.error("operation", DecodeFault::NotCanonical).into());
            }
            self.table.ops.push(raw);
        }
        Ok(Span {
            start: start as u32,
            end: self.table.ops.len() as u32,
        })
    }

    fn op<'a>(&mut self, input: &mut Decoder<'a>, source: &'a [u8]) -> Result<RawOp, ParcelError> {
        let header = input.uint("operation")?;
        let (kind, depth) = (header & KIND_MASK, header >> KIND_BITS);
        if kind > DELETE {
            return Err(ParcelError::NotUnderstood {
                what: "operation",
                found: kind,
            });
        }
        let at_root = kind >= RESTORE;
        if (depth == 0) != at_root || depth > limits::PATH_DEPTH_MAX as u64 {
            return Err(input.error("path", DecodeFault::Undefined).into());
        }
        let path = self.path(input, source, depth)?;
        let what = match kind {
            ASSIGN => What::Assign(self.value(input, Place::Field)?),
            ADD => What::Add {
                delta: input.int("delta")?,
                base: self.base(input)?,
            },
            SET_ADD => What::SetAdd(self.value(input, Place::Element)?),
            SET_REMOVE => What::SetRemove {
                elem: self.value(input, Place::Element)?,
                observed: self.observed(input)?,
            },
            RESTORE => What::Restore,
            _ => What::Delete,
        };
        Ok(RawOp { path, what })
    }

    fn path<'a>(
        &mut self,
        input: &mut Decoder<'a>,
        source: &'a [u8],
        depth: u64,
    ) -> Result<Span, ParcelError> {
        let start = self.table.text.len();
        for level in 0..depth {
            let name = self.name(input, source)?;
            if level > 0 {
                self.table.text.push(SEPARATOR);
            }
            self.table.text.push_str(name);
        }
        let end = self.table.text.len();
        if end > self.text_max {
            return Err(too_long(input, "paths", end, self.text_max).into());
        }
        Ok(Span {
            start: start as u32,
            end: end as u32,
        })
    }

    fn value(&mut self, input: &mut Decoder<'_>, place: Place) -> Result<Span, ParcelError> {
        let value = value::read(input, place, 0)?;
        let start = self.table.bytes.len() as u32;
        self.table.bytes.extend_from_slice(value.bytes());
        Ok(Span {
            start,
            end: self.table.bytes.len() as u32,
        })
    }

    fn base(&mut self, input: &mut Decoder<'_>) -> Result<Span, ParcelError> {
        let start = self.table.stamps.len() as u32;
        let base = self.stamp(input)?;
        self.table.stamps.extend(base);
        Ok(Span {
            start,
            end: self.table.stamps.len() as u32,
        })
    }

    fn observed(&mut self, input: &mut Decoder<'_>) -> Result<Span, ParcelError> {
        let start = self.table.stamps.len() as u32;
        for _ in 0..input.count(limits::WRITERS_MAX, 2, "observed additions")? {
            let stamp = self.stamp(input)?;
            let stamp = stamp.ok_or(input.error("addition", DecodeFault::Undefined))?;
            self.table.stamps.push(stamp);
        }
        Ok(Span {
            start,
            end: self.table.stamps.len() as u32,
        })
    }

    /// Reads a stamp: its writer, then how much earlier than this transaction it is. So no
    /// operation can refer to the future.
    fn stamp(&mut self, input: &mut Decoder<'_>) -> Result<Option<Stamp>, ParcelError> {
        let writer = match input.uint("writer")? {
            STAMP_NONE => return Ok(None),
            STAMP_AUTHOR => self.stamp.writer,
            STAMP_NEW_WRITER => {
                let writer = WriterId::from_bytes(input.array("writer")?);
                self.writers.push(writer);
                writer
            }
            known => {
                let index = usize::try_from(known - STAMP_KNOWN_WRITER).unwrap_or(usize::MAX);
                let writer = self.writers.get(index).copied();
                writer.ok_or(input.error("writer", DecodeFault::Undefined))?
            }
        };
        let hlc = self.stamp.hlc.to_u64();
        let earlier = input.uint_max(hlc, "time before")?;
        Ok(Some(Stamp {
            hlc: Hlc::from_u64(hlc - earlier),
            writer,
        }))
    }
}
