//! A block of documents: their merged states, sorted, with every name and writer spelled out once.
//!
//! ```text
//! body       = writers:uint writer[32]{writers} names:uint (length:uint name){names} collection*
//! collection = (length:uint name) documents:uint document{documents}
//! document   = id (length:uint row) [rich]     the row of document.md, with this block's numbers
//! rich       = length:uint content*            if the row begins with 02: one for each rich field that is alive
//! id         = 01 bytes[16] | 02 length:uint name
//! ```

use std::collections::BTreeMap;

use stead_base::limits::{DOC_NAME_BYTES_MAX, NAME_BYTES_MAX, WRITERS_MAX};
use stead_base::{DecodeFault, Decoder, DocId, Encoder, WriterId};
use stead_doc::{Dictionary, Document, Numbers, check_collection, check_name};

use crate::{BLOCK_BYTES_MAX, CheckpointError, RichState};

const GENERATED: u8 = 1;
const NAMED: u8 = 2;
/// What a row with rich fields begins with.
const ROW_WITH_RICH: u8 = 2;
/// Most field names in one block.
const NAMES_MAX: usize = 1 << 20;

/// Writes one block of documents.
#[derive(Debug, Default)]
pub struct DocumentsWriter {
    numbers: Numbers,
    fields: BTreeMap<u32, u32>,
    writers: BTreeMap<u32, u32>,
    collections: Vec<(String, u64, Vec<u8>)>,
    last: Option<DocId>,
    bytes: usize,
    row: Vec<u8>,
}

impl DocumentsWriter {
    /// Adds a document whose numbers are those of `dictionary`, always the same one, with the
    /// contents of its rich fields in the order of [`Document::rich_fields`]. Documents come in
    /// ascending order of collection, then id; one that does not is refused.
    pub fn push<D: Dictionary>(
        &mut self,
        collection: &str,
        id: &DocId,
        mut document: Document,
        rich: &[RichState],
        dictionary: &D,
    ) -> Result<(), CheckpointError> {
        if document.rich_fields(dictionary).len() != rich.len() {
            return Err(CheckpointError::OutOfPlace);
        }
        let last = self.collections.last().map(|(name, _, _)| name.as_str());
        let is_new = last != Some(collection);
        let in_order = match last {
            Some(last) if is_new => last < collection,
            _ => self.last.as_ref().is_none_or(|last| last < id),
        };
        if !in_order {
            return Err(CheckpointError::OutOfPlace);
        }
        let numbers = std::cell::RefCell::new(&mut self.numbers);
        let (fields, writers) = (&mut self.fields, &mut self.writers);
        let mut names = 0;
        document.renumber(
            &mut |field| {
                *fields.entry(field).or_insert_with(|| {
                    let name = dictionary.field(field).unwrap_or_default();
                    names += name.len() + 2;
                    numbers.borrow_mut().intern_field(name)
                })
            },
            &mut |writer| {
                *writers.entry(writer).or_insert_with(|| {
                    let id = dictionary.writer(writer).copied();
                    let id = id.unwrap_or(WriterId::from_bytes([0; 32]));
                    numbers.borrow_mut().intern_writer(&id)
                })
            },
        );
        self.row.clear();
        document.encode(&mut self.row);
        if is_new {
            self.collections
                .push((collection.to_owned(), 0, Vec::new()));
        }
        if let Some((_, count, bytes)) = self.collections.last_mut() {
            *count += 1;
            let mut out = Encoder::over(std::mem::take(bytes));
            match id {
                DocId::Generated(raw) => out.byte(GENERATED).raw(raw),
                DocId::Named(name) => out.byte(NAMED).text(name.as_str()),
            };
            out.bytes(&self.row);
            if self.row.first() == Some(&ROW_WITH_RICH) {
                let mut contents = Encoder::new();
                for state in rich {
                    state.encode(&mut contents);
                }
                out.bytes(&contents.finish());
            }
            *bytes = out.finish();
        }
        let contents: usize = rich.iter().map(RichState::bytes).sum();
        self.bytes += self.row.len() + 24 + names + contents;
        self.last = Some(id.clone());
        Ok(())
    }

    /// About how many bytes the block has so far.
    pub fn bytes(&self) -> usize {
        self.bytes + self.writers.len() * 32
    }

    /// Whether nothing was added.
    pub const fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Ends the block. An empty one is left behind for the next.
    pub fn finish(&mut self) -> Result<Vec<u8>, CheckpointError> {
        let block = std::mem::take(self);
        let mut out = Encoder::new();
        out.uint(block.numbers.writers().len() as u64);
        for writer in block.numbers.writers() {
            out.raw(writer.as_bytes());
        }
        out.uint(block.numbers.fields().len() as u64);
        for name in block.numbers.fields() {
            out.text(name);
        }
        for (name, count, bytes) in &block.collections {
            out.text(name).uint(*count).raw(bytes);
        }
        if out.len() > BLOCK_BYTES_MAX {
            let (found, max) = (out.len(), BLOCK_BYTES_MAX);
            return Err(CheckpointError::TooLarge { found, max });
        }
        Ok(out.finish())
    }
}

/// Where a document belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its collection.
    pub collection: &'a str,
    /// Its id.
    pub id: DocId,
    /// The contents of its rich fields, in the order of [`Document::rich_fields`]; none of a document
    /// that was passed over.
    pub rich: Vec<RichState>,
}

/// A document's place, its row, and the contents of its rich fields.
type Row<'a> = (Place<'a>, &'a [u8], &'a [u8]);

/// Reads one block of documents, in order.
#[derive(Debug)]
pub struct DocumentsReader<'a> {
    numbers: Numbers,
    fields: Vec<Option<u32>>,
    writers: Vec<Option<u32>>,
    input: Decoder<'a>,
    collection: &'a str,
    left: usize,
    last: Option<DocId>,
}

impl<'a> DocumentsReader<'a> {
    /// Reads the names and writers of a block.
    pub fn new(body: &'a [u8]) -> Result<Self, CheckpointError> {
        let mut input = Decoder::new(body);
        let mut numbers = Numbers::default();
        let writers = input.count(WRITERS_MAX, 32, "writers")?;
        for index in 0..writers {
            let id = WriterId::from_bytes(input.array("writer")?);
            if numbers.intern_writer(&id) as usize != index {
                return Err(input.error("writer", DecodeFault::NotCanonical).into());
            }
        }
        let names = input.count(NAMES_MAX, 2, "names")?;
        for index in 0..names {
            let name = input.text(NAME_BYTES_MAX, "name")?;
            if check_name(name).is_err() {
                return Err(input.error("name", DecodeFault::Undefined).into());
            }
            if numbers.intern_field(name) as usize != index {
                return Err(input.error("name", DecodeFault::NotCanonical).into());
            }
        }
        Ok(Self {
            numbers,
            fields: vec![None; names],
            writers: vec![None; writers],
            input,
            collection: "",
            left: 0,
            last: None,
        })
    }

    /// Reads the next document into `document`, with the numbers of `dictionary`, always the same
    /// one. Returns where it belongs; None at the end of the block.
    pub fn next_into<D: Dictionary>(
        &mut self,
        document: &mut Document,
        dictionary: &mut D,
    ) -> Result<Option<Place<'a>>, CheckpointError> {
        let Some((mut place, row, contents)) = self.next_row()? else {
            return Ok(None);
        };
        document.decode_into(row, &self.numbers)?;
        let mut input = Decoder::new(contents);
        for _ in document.rich_fields(&self.numbers) {
            place.rich.push(RichState::decode(&mut input)?);
        }
        input.finish("rich fields")?;
        let (fields, writers, numbers) = (&mut self.fields, &mut self.writers, &self.numbers);
        let dictionary = std::cell::RefCell::new(dictionary);
        document.renumber(
            &mut |field| {
                let slot = &mut fields[field as usize];
                *slot.get_or_insert_with(|| {
                    let name = numbers.field(field).unwrap_or_default();
                    dictionary.borrow_mut().intern_field(name)
                })
            },
            &mut |writer| {
                let slot = &mut writers[writer as usize];
                *slot.get_or_insert_with(|| {
                    let id = numbers.writer(writer).copied();
                    let id = id.unwrap_or(WriterId::from_bytes([0; 32]));
                    dictionary.borrow_mut().intern_writer(&id)
                })
            },
        );
        Ok(Some(place))
    }

    /// Passes over the next document. Returns where it belongs; None at the end of the block.
    pub fn skip(&mut self) -> Result<Option<Place<'a>>, CheckpointError> {
        Ok(self.next_row()?.map(|(place, ..)| place))
    }

    fn next_row(&mut self) -> Result<Option<Row<'a>>, CheckpointError> {
        let input = &mut self.input;
        if self.left == 0 {
            if input.remaining() == 0 {
                return Ok(None);
            }
            let name = input.text(NAME_BYTES_MAX, "collection")?;
            if check_collection(name).is_err() {
                return Err(input.error("collection", DecodeFault::Undefined).into());
            }
            let is_first = self.collection.is_empty();
            self.left = input.count(usize::MAX, 4, "documents")?;
            if self.left == 0 || !is_first && self.collection >= name {
                return Err(input.error("collection", DecodeFault::NotCanonical).into());
            }
            self.collection = name;
            self.last = None;
        }
        let id = match input.byte("document id")? {
            GENERATED => DocId::Generated(input.array("document id")?),
            NAMED => {
                let text = input.text(DOC_NAME_BYTES_MAX, "document id")?;
                match DocId::parse(text) {
                    Ok(id @ DocId::Named(_)) => id,
                    _ => return Err(input.error("document id", DecodeFault::Undefined).into()),
                }
            }
            _ => return Err(input.error("document id", DecodeFault::Undefined).into()),
        };
        if self.last.as_ref().is_some_and(|last| *last >= id) {
            return Err(input.error("document id", DecodeFault::NotCanonical).into());
        }
        let row = input.bytes(BLOCK_BYTES_MAX, "document")?;
        let contents = match row.first() {
            Some(&ROW_WITH_RICH) => input.bytes(BLOCK_BYTES_MAX, "rich fields")?,
            _ => &[],
        };
        self.left -= 1;
        self.last = Some(id.clone());
        let place = Place {
            collection: self.collection,
            id,
            rich: Vec::new(),
        };
        Ok(Some((place, row, contents)))
    }
}
