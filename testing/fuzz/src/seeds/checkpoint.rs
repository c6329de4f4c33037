//! A small checkpoint: the skeleton of a log, and blocks of documents and logs.

use super::log::{entry, leaves, signed, writer};
use crate::targets::doc::numbers;
use stead_base::{DocId, Hlc};
use stead_checkpoint::{
    Ask, BlockKind, Choose, DocumentsWriter, LogStart, RichState, Slice, Units, encode_logs,
};
use stead_doc::RichSpan;
use stead_log::{Skeleton, ThinBatch, TreeSource, subtree_places};

fn skeleton(len: u8, keep: &[u8]) -> Vec<u8> {
    const HEAD: u8 = 6;
    let leaves = leaves(HEAD);
    let mut tree = &leaves[..];
    let mut subtree = |(level, index)| tree.subtree(level, index).expect("a leaf in memory");
    let extension: Vec<_> = subtree_places(u64::from(len), u64::from(HEAD))
        .map(&mut subtree)
        .collect();
    let kept: Vec<_> = keep.iter().map(|n| (u64::from(*n), entry(*n))).collect();
    let len = u64::from(len);
    Skeleton::build(&writer(), len, &signed(HEAD), &extension, &kept, &mut tree)
        .expect("leaves in memory")
}

/// Skeletons that keep few, some and all entries.
pub fn skeletons() -> Vec<Vec<u8>> {
    vec![
        skeleton(6, &[5]),
        skeleton(5, &[1, 4]),
        skeleton(4, &[0, 1, 2, 3]),
        skeleton(1, &[0]),
    ]
}

/// Thin batches from the first entry on.
pub fn thins() -> Vec<Vec<u8>> {
    let all = skeletons().into_iter();
    all.map(|bytes| ThinBatch::of_skeleton(&Skeleton::decode(&bytes).expect("a skeleton")))
        .collect()
}

fn units() -> Units {
    let named = DocId::parse("lisbon").expect("a name");
    Units {
        collections: ["cities".to_owned(), "notes".to_owned()].into(),
        documents: [
            ("cities".to_owned(), DocId::Generated([7; 16])),
            ("cities".to_owned(), named),
        ]
        .into(),
        queries: [("tasks".to_owned(), vec![0, 0, 10])].into(),
    }
}

/// Choices of each kind.
pub fn choices() -> Vec<Vec<u8>> {
    [
        Choose::All(units()),
        Choose::More(units()),
        Choose::Less(Units::default()),
    ]
    .iter()
    .map(Choose::encode)
    .collect()
}

/// Questions of each kind.
pub fn asks() -> Vec<Vec<u8>> {
    let name = "cities".to_owned();
    [
        Ask::Documents(units().documents.into_iter().collect()),
        Ask::Collection {
            name: name.clone(),
            after: None,
        },
        Ask::Collection {
            name: name.clone(),
            after: DocId::parse("lisbon").ok(),
        },
        Ask::Query {
            collection: name,
            query: vec![0, 0, 10],
        },
    ]
    .iter()
    .map(Ask::encode)
    .collect()
}

/// Slices with and without documents and rich fields.
pub fn slices() -> Vec<Vec<u8>> {
    let slice = |block: Vec<u8>| Slice {
        frontier: [(writer(), 3)].into(),
        upto: DocId::parse("lisbon").ok(),
        covered: 1,
        more: true,
        block,
    };
    let mut all = vec![Slice::default(), slice(Vec::new())];
    all.extend(documents().into_iter().map(slice));
    let encode = |slice: &Slice| slice.encode().expect("a small slice");
    all.iter().map(encode).collect()
}

fn rich_state(author: u64) -> RichState {
    let span = RichSpan {
        author,
        start: 3,
        end: 5,
    };
    RichState {
        authors: [(author, 5), (author + 9, 300)].into(),
        snapshot: b"a snapshot".to_vec(),
        updates: vec![(span, b"an update".to_vec())],
    }
}

/// Blocks of documents.
pub fn documents() -> Vec<Vec<u8>> {
    let numbers = numbers();
    let mut found = Vec::new();
    let mut block = DocumentsWriter::default();
    for (step, (_, document)) in super::doc::history().into_iter().enumerate() {
        let mut id = [0; 16];
        id[15] = step as u8;
        let id = DocId::Generated(id);
        let mut alone = DocumentsWriter::default();
        for block in [&mut block, &mut alone] {
            let fields = document.rich_fields(&numbers).len();
            let rich: Vec<RichState> = (0..fields as u64).map(rich_state).collect();
            block
                .push("cities", &id, document.clone(), &rich, &numbers)
                .expect("in order");
        }
        found.push(alone.finish().expect("a small block"));
    }
    found.push(block.finish().expect("a small block"));
    found.push(DocumentsWriter::default().finish().expect("a small block"));
    found
}

/// Blocks of logs.
pub fn logs() -> Vec<Vec<u8>> {
    let start = |skeleton| LogStart {
        time: Hlc::new(1_700_000_000_000, 1),
        void: vec![1, 300],
        skeleton,
    };
    let all: Vec<LogStart> = skeletons().into_iter().map(start).collect();
    vec![encode_logs(&[]), encode_logs(&all[..1]), encode_logs(&all)]
}

/// Pieces of blocks.
pub fn pieces() -> Vec<Vec<u8>> {
    let cut = |kind, body: &Vec<u8>| stead_checkpoint::pieces(kind, body).expect("a small block");
    let documents = documents().into_iter();
    let documents = documents.flat_map(|body| cut(BlockKind::Documents, &body));
    let logs = logs().into_iter();
    let logs = logs.flat_map(|body| cut(BlockKind::Logs, &body));
    documents.chain(logs).collect()
}
