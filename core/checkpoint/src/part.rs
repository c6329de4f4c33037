//! What a replica that keeps a part of a space says to one that has all of it: what it chose, what it
//! asks for, and the answer, a slice of the space's present (`docs/formats/checkpoint.md`, "Parts").
//!
//! ```text
//! choose = 00 units | 01 units | 02 units                    all of it; more; less
//! units  = collections:uint text* documents:uint (text id)* queries:uint (text bytes)*
//! ask    = 00 documents:uint (text id)* | 01 text place | 02 text bytes
//! place  = 00 | 01 id
//! slice  = length:uint lz4(frontier place covered:uint more block rich)
//! frontier = logs:uint (writer[32] len:uint)*
//! rich   = fields:uint (text id bytes bytes updates:uint bytes*)*
//! ```

use std::collections::{BTreeMap, BTreeSet};

use stead_base::codec::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_base::limits::{DOC_NAME_BYTES_MAX, LOG_LEN_MAX, NAME_BYTES_MAX, WRITERS_MAX};
use stead_base::{DocId, WriterId};
use stead_doc::check_collection;

use crate::block::{pack, unfold};
use crate::{BLOCK_BYTES_MAX, CheckpointError};

const GENERATED: u8 = 1;
const NAMED: u8 = 2;

/// Most collections chosen of a space, and most queries.
pub const PART_COLLECTIONS_MAX: usize = 1024;
/// Most queries chosen of a space.
pub const PART_QUERIES_MAX: usize = 64;
/// Most documents chosen of a space one by one.
pub const PART_DOCUMENTS_MAX: usize = 1 << 20;
/// Longest query, encoded.
pub const PART_QUERY_BYTES_MAX: usize = 16 << 10;
/// Most documents asked for at once.
pub const ASKED_DOCUMENTS_MAX: usize = 1024;

/// A document of a space: its collection and id.
pub type DocumentName = (String, DocId);

/// Things that can be chosen of a space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units {
    /// Whole collections.
    pub collections: BTreeSet<String>,
    /// Single documents.
    pub documents: BTreeSet<DocumentName>,
    /// Queries: the collection that each is about, and the query as the engine encodes it.
    pub queries: BTreeSet<(String, Vec<u8>)>,
}

impl Units {
    /// Whether nothing is chosen.
    pub fn is_empty(&self) -> bool {
        self.collections.is_empty() && self.documents.is_empty() && self.queries.is_empty()
    }

    /// Whether a document is among them, as itself or by its collection. Queries are not looked at.
    pub fn holds(&self, collection: &str, id: &DocId) -> bool {
        self.collections.contains(collection)
            || (!self.documents.is_empty()
                && self
                    .documents
                    .contains(&(collection.to_owned(), id.clone())))
    }

    /// Adds what is in another.
    pub fn add(&mut self, more: Self) {
        self.collections.extend(more.collections);
        self.documents.extend(more.documents);
        self.queries.extend(more.queries);
    }

    /// Takes out what is in another.
    pub fn take(&mut self, less: &Self) {
        self.collections.retain(|it| !less.collections.contains(it));
        self.documents.retain(|it| !less.documents.contains(it));
        self.queries.retain(|it| !less.queries.contains(it));
    }

    fn encode(&self, out: &mut Encoder) {
        out.uint(self.collections.len() as u64);
        for name in &self.collections {
            out.text(name);
        }
        out.uint(self.documents.len() as u64);
        for name in &self.documents {
            put_name(out, name);
        }
        out.uint(self.queries.len() as u64);
        for (collection, query) in &self.queries {
            out.text(collection).bytes(query);
        }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut units = Self::default();
        for _ in 0..input.count(PART_COLLECTIONS_MAX, 1, "chosen collections")? {
            let name = collection(input)?;
            ascends(input, &mut units.collections, name)?;
        }
        for _ in 0..input.count(PART_DOCUMENTS_MAX, 3, "chosen documents")? {
            let name = name(input)?;
            ascends(input, &mut units.documents, name)?;
        }
        for _ in 0..input.count(PART_QUERIES_MAX, 2, "chosen queries")? {
            let of = collection(input)?;
            let query = input.bytes(PART_QUERY_BYTES_MAX, "query")?.to_vec();
            ascends(input, &mut units.queries, (of, query))?;
        }
        Ok(units)
    }
}

/// What a replica says of its choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choose {
    /// All that is chosen, in place of what was.
    All(Units),
    /// Chosen besides.
    More(Units),
    /// Not chosen any more.
    Less(Units),
}

impl Choose {
    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        let (tag, units) = match self {
            Self::All(units) => (0, units),
            Self::More(units) => (1, units),
            Self::Less(units) => (2, units),
        };
        units.encode(out.byte(tag));
        out.finish()
    }

    /// Decodes it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let tag = input.byte("choice")?;
        let units = Units::decode(&mut input)?;
        input.finish("choice")?;
        match tag {
            0 => Ok(Self::All(units)),
            1 => Ok(Self::More(units)),
            2 => Ok(Self::Less(units)),
            _ => Err(undefined("choice", 0)),
        }
    }
}

/// What a replica asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// These documents, ascending.
    Documents(Vec<DocumentName>),
    /// A collection, from behind a document on.
    Collection {
        /// Its name.
        name: String,
        /// The last document that the asker has; none from the beginning.
        after: Option<DocId>,
    },
    /// Documents that a query finds and that are not chosen otherwise.
    Query {
        /// The collection it is about.
        collection: String,
        /// The query as the engine encodes it.
        query: Vec<u8>,
    },
}

impl Ask {
    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        match self {
            Self::Documents(names) => {
                out.byte(0).uint(names.len() as u64);
                for name in names {
                    put_name(&mut out, name);
                }
            }
            Self::Collection { name, after } => {
                out.byte(1).text(name);
                put_place(&mut out, after.as_ref());
            }
            Self::Query { collection, query } => drop(out.byte(2).text(collection).bytes(query)),
        }
        out.finish()
    }

    /// Decodes it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let ask = match input.byte("what is asked for")? {
            0 => {
                let mut names: Vec<DocumentName> = Vec::new();
                for _ in 0..input.count(ASKED_DOCUMENTS_MAX, 3, "documents asked for")? {
                    let at = input.offset();
                    let name = name(&mut input)?;
                    if names.last().is_some_and(|last| *last >= name) {
                        return Err(not_canonical("documents asked for", at));
                    }
                    names.push(name);
                }
                Self::Documents(names)
            }
            1 => Self::Collection {
                name: collection(&mut input)?,
                after: place(&mut input)?,
            },
            2 => Self::Query {
                collection: collection(&mut input)?,
                query: input.bytes(PART_QUERY_BYTES_MAX, "query")?.to_vec(),
            },
            _ => return Err(undefined("what is asked for", 0)),
        };
        input.finish("what is asked for")?;
        Ok(ask)
    }
}

/// A slice of a space's present: the answer to an [`Ask`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    /// How much of each log is in the documents: exactly the operations of these entries.
    pub frontier: BTreeMap<WriterId, u64>,
    /// Of a collection: the last document that this slice speaks of; none if it goes to the end.
    pub upto: Option<DocId>,
    /// Of documents: how many of those asked for it speaks of, the first ones. Those that are not in
    /// the block do not exist.
    pub covered: u64,
    /// More is to be had: of a collection behind `upto`, of documents behind `covered`, of a query once
    /// the ones in this slice are chosen.
    pub more: bool,
    /// A block of documents (`Documents` of a checkpoint) with their rich fields, or nothing.
    pub block: Vec<u8>,
}

impl Slice {
    /// Encodes and compresses it.
    pub fn encode(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut out = Encoder::new();
        out.uint(self.frontier.len() as u64);
        for (writer, len) in &self.frontier {
            out.raw(writer.as_bytes()).uint(*len);
        }
        put_place(&mut out, self.upto.as_ref());
        out.uint(self.covered).byte(self.more.into());
        out.bytes(&self.block);
        pack(out.as_slice())
    }

    /// Unfolds and decodes it. The block is the caller's to read.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let body = unfold(bytes)?;
        let mut input = Decoder::new(&body);
        let mut slice = Self::default();
        for _ in 0..input.count(WRITERS_MAX, 33, "frontier")? {
            let writer = WriterId::from_bytes(input.array("writer")?);
            let len = input.uint_max(LOG_LEN_MAX, "length of a log")?;
            let last = slice.frontier.last_key_value();
            if last.is_some_and(|(last, _)| *last >= writer) {
                return Err(input.error("frontier", DecodeFault::NotCanonical).into());
            }
            slice.frontier.insert(writer, len);
        }
        slice.upto = place(&mut input)?;
        slice.covered = input.uint_max(ASKED_DOCUMENTS_MAX as u64, "documents covered")?;
        slice.more = flag(&mut input)?;
        slice.block = input.bytes(BLOCK_BYTES_MAX, "documents")?.to_vec();
        input.finish("slice")?;
        Ok(slice)
    }
}

fn put_id(out: &mut Encoder, id: &DocId) {
    match id {
        DocId::Generated(raw) => out.byte(GENERATED).raw(raw),
        DocId::Named(name) => out.byte(NAMED).text(name.as_str()),
    };
}

fn put_name(out: &mut Encoder, (collection, id): &DocumentName) {
    out.text(collection);
    put_id(out, id);
}

fn put_place(out: &mut Encoder, id: Option<&DocId>) {
    match id {
        None => drop(out.byte(0)),
        Some(id) => put_id(out.byte(1), id),
    }
}

fn id(input: &mut Decoder<'_>) -> Result<DocId, DecodeError> {
    let at = input.offset();
    match input.byte("document id")? {
        GENERATED => Ok(DocId::Generated(input.array("document id")?)),
        NAMED => match DocId::parse(input.text(DOC_NAME_BYTES_MAX, "document id")?) {
            Ok(id @ DocId::Named(_)) => Ok(id),
            _ => Err(undefined("document id", at)),
        },
        _ => Err(undefined("document id", at)),
    }
}

fn collection(input: &mut Decoder<'_>) -> Result<String, DecodeError> {
    let at = input.offset();
    let name = input.text(NAME_BYTES_MAX, "collection")?;
    match check_collection(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(_) => Err(undefined("collection", at)),
    }
}

fn name(input: &mut Decoder<'_>) -> Result<DocumentName, DecodeError> {
    Ok((collection(input)?, id(input)?))
}

fn place(input: &mut Decoder<'_>) -> Result<Option<DocId>, DecodeError> {
    match flag(input)? {
        false => Ok(None),
        true => id(input).map(Some),
    }
}

fn flag(input: &mut Decoder<'_>) -> Result<bool, DecodeError> {
    let at = input.offset();
    match input.byte("yes or no")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(undefined("yes or no", at)),
    }
}

fn ascends<T: Ord>(input: &Decoder<'_>, set: &mut BTreeSet<T>, next: T) -> Result<(), DecodeError> {
    if set.last().is_some_and(|last| *last >= next) {
        return Err(not_canonical("choice", input.offset()));
    }
    set.insert(next);
    Ok(())
}

const fn undefined(what: &'static str, offset: usize) -> DecodeError {
    DecodeError {
        what,
        offset,
        fault: DecodeFault::Undefined,
    }
}

const fn not_canonical(what: &'static str, offset: usize) -> DecodeError {
    DecodeError {
        what,
        offset,
        fault: DecodeFault::NotCanonical,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> impl Strategy<Value = BTreeSet<DocumentName>> {
        let id = prop_oneof![
            any::<[u8; 16]>().prop_map(DocId::Generated),
            "[a-f]{1,8}".prop_map(|name| DocId::parse(&name).unwrap()),
        ];
        prop::collection::btree_set(("[a-d]{1,4}", id), 0..8)
    }

    fn units() -> impl Strategy<Value = Units> {
        let queries = prop::collection::btree_set(("[a-d]{1,4}", any::<Vec<u8>>()), 0..4);
        (
            prop::collection::btree_set("[a-d]{1,4}", 0..5),
            names(),
            queries,
        )
            .prop_map(|(collections, documents, queries)| Units {
                collections,
                documents,
                queries,
            })
    }

    proptest! {
        #[test]
        fn choices_have_one_encoding(units in units(), kind in 0..3) {
            let choose = match kind {
                0 => Choose::All(units),
                1 => Choose::More(units),
                _ => Choose::Less(units),
            };
            prop_assert_eq!(Choose::decode(&choose.encode()), Ok(choose));
        }

        #[test]
        fn asks_have_one_encoding(names in names(), after in names(), query: Vec<u8>) {
            let after = after.into_iter().next().map(|(_, id)| id);
            for ask in [
                Ask::Documents(names.into_iter().collect()),
                Ask::Collection { name: "c".to_owned(), after },
                Ask::Query { collection: "c".to_owned(), query },
            ] {
                prop_assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
            }
        }

        #[test]
        fn slices_come_back_as_they_were(more: bool, bytes: Vec<u8>, len in 0..LOG_LEN_MAX) {
            let slice = Slice {
                frontier: BTreeMap::from([(WriterId::from_bytes([3; 32]), len)]),
                upto: Some(DocId::Generated([1; 16])),
                covered: 7,
                more,
                block: bytes.clone(),
            };
            prop_assert_eq!(Slice::decode(&slice.encode().unwrap()), Ok(slice));
        }

        #[test]
        fn what_is_taken_out_is_out_and_the_rest_stays(mut all in units(), less in units()) {
            let before = all.clone();
            all.take(&less);
            for name in &before.documents {
                prop_assert_eq!(all.documents.contains(name), !less.documents.contains(name));
            }
            all.add(before.clone());
            prop_assert_eq!(all, before);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            let _ = Choose::decode(&bytes);
            let _ = Ask::decode(&bytes);
            let _ = Slice::decode(&bytes);
        }
    }
}
