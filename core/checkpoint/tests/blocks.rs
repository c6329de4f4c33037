//! Blocks of documents: the same documents, whatever the numbers; and the published vectors.
#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its vectors; the crate itself never does"
)]

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;
use stead_base::{DocId, Hlc, SpaceId, Stamp, WriterId};
use stead_checkpoint::{
    Assembler, BlockKind, DocumentsReader, DocumentsWriter, LogStart, encode_logs, pieces,
};
use stead_crypt::SigningKey;
use stead_doc::{Dictionary, Document, Numbers, Path, Put, Transaction};
use stead_log::{Entry, EntryRef, Skeleton, Tip};

fn stamp(ms: u64, writer: u8) -> Stamp {
    Stamp {
        hlc: Hlc::new(1_800_000_000_000 + ms, 0),
        writer: WriterId::from_bytes([writer; 32]),
    }
}

/// One step of a random history.
#[derive(Debug, Clone)]
struct Step {
    ms: u64,
    writer: u8,
    what: u8,
    field: u8,
    value: i64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u64..40, 1u8..5, 0u8..7, 0u8..6, -9i64..9).prop_map(
        |(ms, writer, what, field, value)| Step {
            ms,
            writer,
            what,
            field,
            value,
        },
    );
    prop::collection::vec(step, 1..30)
}

fn play(steps: &[Step], numbers: &mut Numbers) -> Document {
    let mut document = Document::default();
    let id = DocId::parse("it").unwrap();
    for step in steps {
        let mut transaction = Transaction::new(stamp(step.ms, step.writer));
        let mut edit = transaction
            .edit("things", &id, &mut document, numbers)
            .unwrap();
        let path = ["a", "b", "c", "a.b", "a.c", "b.a"][usize::from(step.field)];
        let path = Path::parse(path).unwrap();
        let _ = match step.what {
            0 => edit.put(&json!({"a": {"b": step.value}, "c": "x"}), Put::Merge),
            1 => edit.set(&path, &json!(step.value)),
            2 => edit.add(&path, step.value),
            3 => edit.set_add(&path, &json!(step.value)),
            4 => edit.set_remove(&path, &json!(step.value)),
            5 => edit.delete_field(&path),
            _ if step.value < 0 => edit.delete(),
            _ => edit.restore(),
        };
    }
    document
}

fn block(documents: Vec<Document>, numbers: &Numbers) -> Vec<u8> {
    let mut writer = DocumentsWriter::default();
    for (i, document) in documents.into_iter().enumerate() {
        let id = DocId::parse(&format!("d{i:03}")).unwrap();
        let collection = if i < 2 { "first" } else { "second" };
        writer
            .push(collection, &id, document, &[], numbers)
            .unwrap();
    }
    writer.finish().unwrap()
}

proptest! {
    #[test]
    fn documents_come_back_the_same_under_other_numbers(
        histories in prop::collection::vec(steps(), 1..5),
    ) {
        let mut numbers = Numbers::default();
        let documents: Vec<Document> =
            histories.iter().map(|steps| play(steps, &mut numbers)).collect();
        let body = block(documents.clone(), &numbers);
        // A dictionary that has given the same names other numbers before.
        let mut other = Numbers::default();
        for writer in [9, 3, 4, 1] {
            other.intern_writer(&WriterId::from_bytes([writer; 32]));
        }
        other.intern_field("c");
        other.intern_field("zoo");
        let mut reader = DocumentsReader::new(&body).unwrap();
        let mut document = Document::default();
        for before in &documents {
            prop_assert!(reader.next_into(&mut document, &mut other).unwrap().is_some());
            prop_assert_eq!(document.explain(&other), before.explain(&numbers));
            let mut row = Vec::new();
            document.encode(&mut row);
            let again = Document::decode(&row, &other).unwrap();
            prop_assert_eq!(again.explain(&other), before.explain(&numbers));
        }
        prop_assert!(reader.next_into(&mut document, &mut other).unwrap().is_none());
    }

    #[test]
    fn one_present_has_one_encoding(steps in steps()) {
        let mut numbers = Numbers::default();
        let document = play(&steps, &mut numbers);
        let body = block(vec![document], &numbers);
        let (mut other, mut again) = (Numbers::default(), Document::default());
        other.intern_writer(&WriterId::from_bytes([4; 32]));
        let mut reader = DocumentsReader::new(&body).unwrap();
        reader.next_into(&mut again, &mut other).unwrap();
        // Numbers are given in the order in which the document names things, so that the block does
        // not tell in which order its maker learned of them.
        prop_assert_eq!(block(vec![again], &other).len(), body.len());
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
        let _ = stead_checkpoint::decode_logs(&bytes);
        if let Ok(mut reader) = DocumentsReader::new(&bytes) {
            let (mut numbers, mut document) = (Numbers::default(), Document::default());
            while let Ok(Some(_)) = reader.next_into(&mut document, &mut numbers) {}
        }
    }
}

#[test]
fn documents_out_of_order_are_refused() {
    let mut numbers = Numbers::default();
    let step = Step {
        ms: 1,
        writer: 1,
        what: 0,
        field: 0,
        value: 1,
    };
    let document = play(&[step], &mut numbers);
    let mut writer = DocumentsWriter::default();
    let id = |text| DocId::parse(text).unwrap();
    let mut push = |collection, name| {
        let pushed = writer.push(collection, &id(name), document.clone(), &[], &numbers);
        pushed.is_ok()
    };
    assert!(push("b", "m"));
    assert!(!push("b", "m"));
    assert!(!push("b", "l"));
    assert!(!push("a", "z"));
    assert!(push("c", "a"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn vectors() -> String {
    let mut numbers = Numbers::default();
    let id = DocId::parse("lisbon").unwrap();
    let mut document = Document::default();
    for (ms, writer) in [(0, 1), (1, 2)] {
        let mut transaction = Transaction::new(stamp(ms, writer));
        let mut edit = transaction
            .edit("cities", &id, &mut document, &mut numbers)
            .unwrap();
        match writer {
            1 => edit.put(&json!({"name": "Lisbon", "visits": 1}), Put::Merge),
            _ => edit.add(&Path::parse("visits").unwrap(), 300),
        }
        .unwrap();
    }
    let mut writer = DocumentsWriter::default();
    writer.push("cities", &id, document, &[], &numbers).unwrap();
    let documents = writer.finish().unwrap();

    let space = SpaceId::from_bytes([9; 32]);
    let key = SigningKey::from_seed(&[1; 32]);
    let entry = |i: u8| {
        Entry {
            salt: [i, 1, 2, 3],
            envelope_epoch: 0,
            envelope: vec![0xcc; 25],
            parcels: Vec::new(),
        }
        .encode()
    };
    let entries: Vec<Vec<u8>> = (0..5).map(entry).collect();
    let leaves: Vec<_> = entries
        .iter()
        .map(|entry| EntryRef::parse(entry).unwrap().leaf_hash())
        .collect();
    let mut tip = Tip::default();
    for leaf in &leaves {
        tip.append(*leaf);
    }
    let head = tip.sign(&space, &key);
    let kept = [(1, entries[1].clone()), (4, entries[4].clone())];
    let skeleton = Skeleton::build(
        &WriterId::from_bytes(key.public()),
        5,
        &head,
        &[],
        &kept,
        &mut &leaves[..],
    )
    .unwrap();
    let verified = Skeleton::decode(&skeleton).unwrap().verify(&space).unwrap();
    assert_eq!(verified.tip.root(), tip.root());
    let logs = encode_logs(&[LogStart {
        time: Hlc::new(1_800_000_000_000, 1),
        void: vec![1],
        skeleton: skeleton.clone(),
    }]);

    let mut out = String::new();
    let mut line = |name: &str, value: &[u8]| writeln!(out, "{name} = {}", hex(value)).unwrap();
    line("documents", &documents);
    line("skeleton of 5 that keeps 1 and 4", &skeleton);
    line("logs", &logs);
    for (name, kind, body) in [
        ("piece of documents", BlockKind::Documents, &documents),
        ("piece of logs", BlockKind::Logs, &logs),
    ] {
        let cut = pieces(kind, body).unwrap();
        assert_eq!(cut.len(), 1);
        let joined = Assembler::default().push(&cut[0]).unwrap();
        assert_eq!(joined, Some((kind, body.clone())));
        if kind == BlockKind::Documents {
            line(name, &cut[0]);
        }
    }
    out
}

#[test]
fn the_format_is_the_one_that_was_published() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/checkpoint.txt");
    let vectors = vectors();
    if std::env::var_os("STEAD_WRITE_VECTORS").is_some() {
        std::fs::write(path, &vectors).unwrap();
    }
    assert_eq!(vectors, std::fs::read_to_string(path).unwrap());
}
