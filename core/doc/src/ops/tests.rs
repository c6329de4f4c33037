//! Properties of parcels: size, outcome of a transaction, refusals.

use proptest::prelude::*;
use serde_json::json;
use stead_base::{DecodeFault, Encoder, Hlc, WriterId};

use super::*;
use crate::{Document, Numbers, Path, Put};

fn stamp(time: u64) -> Stamp {
    Stamp {
        hlc: Hlc::from_u64(time),
        writer: WriterId::from_bytes([1; 32]),
    }
}

/// The parcel of a transaction that makes these edits on one document.
fn parcel(time: u64, edits: &[(&str, serde_json::Value)]) -> Vec<u8> {
    let id = DocId::parse("doc").unwrap();
    let (mut document, mut numbers) = (Document::default(), Numbers::default());
    let mut transaction = Transaction::new(stamp(time));
    for (path, value) in edits {
        let path = Path::parse(path).unwrap();
        let mut edit = transaction
            .edit("docs", &id, &mut document, &mut numbers)
            .unwrap();
        edit.set(&path, value).unwrap();
    }
    let mut out = Vec::new();
    transaction.encode(&mut out).unwrap();
    out
}

fn decode(plaintext: &[u8], time: u64) -> Result<Changes, ParcelError> {
    let mut changes = Changes::default();
    changes.push(plaintext, stamp(time))?;
    Ok(changes)
}

fn shown(changes: &Changes) -> Vec<String> {
    let each = |doc: DocOps<'_>| {
        doc.ops()
            .map(|(path, op)| format!("{path} {op:?}"))
            .collect::<Vec<_>>()
    };
    changes.docs().flat_map(each).collect()
}

#[test]
fn a_purge_collapses_what_the_transaction_did_before_it_and_stands_beside_a_restore() {
    let id = DocId::parse("doc").unwrap();
    let (mut document, mut numbers) = (Document::default(), Numbers::default());
    let mut transaction = Transaction::new(stamp(9));
    let mut edit = transaction
        .edit("docs", &id, &mut document, &mut numbers)
        .unwrap();
    let gone = Path::parse("gone").unwrap();
    edit.put(&json!({}), Put::Merge).unwrap();
    edit.add(&gone, 4).unwrap();
    edit.purge().unwrap();
    edit.put(&json!({"kept": 1}), Put::Merge).unwrap();
    let mut out = Vec::new();
    transaction.encode(&mut out).unwrap();
    let changes = decode(&out, 9).unwrap();
    let said = shown(&changes);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].ends_with("Restore") && said[1].ends_with("Purge"));
    let (mut taken, mut others) = (Document::default(), Numbers::default());
    for ops in changes.docs() {
        taken.apply(ops, &mut others);
    }
    assert_eq!(taken.explain(&others), document.explain(&numbers));
    assert_eq!(taken.to_json(&others), json!({"kept": 1}));
    assert!(taken.exists());
    // Nothing at all is left where the purge comes last.
    let mut transaction = Transaction::new(stamp(9));
    let mut document = Document::default();
    let mut edit = transaction
        .edit("docs", &id, &mut document, &mut numbers)
        .unwrap();
    edit.put(&json!({}), Put::Merge).unwrap();
    edit.purge().unwrap();
    out.clear();
    transaction.encode(&mut out).unwrap();
    let said = shown(&decode(&out, 9).unwrap());
    assert!(said.len() == 1 && said[0].ends_with("Purge"), "{said:?}");
}

#[test]
fn a_one_field_change_costs_six_bytes_beside_names_id_and_value() {
    let id = DocId::generate(1_790_000_000_000, [9; 10]);
    let (mut document, mut numbers) = (Document::default(), Numbers::default());
    let mut transaction = Transaction::new(stamp(1 << 50));
    transaction
        .edit("cities", &id, &mut document, &mut numbers)
        .unwrap()
        .put(&json!({"population": 7}), Put::Merge)
        .unwrap();
    let mut out = Vec::new();
    transaction.encode(&mut out).unwrap();
    let value = 1;
    assert_eq!(
        out.len(),
        16 + "cities".len() + "population".len() + value + 6
    );
}

#[test]
fn only_the_outcome_of_a_transaction_is_written() {
    let steps = [
        ("a.b", json!(1)),
        ("c", json!("x")),
        ("c", json!("y")),
        ("a", json!(2)),
        ("d.e", json!(true)),
    ];
    let changes = decode(&parcel(9, &steps), 9).unwrap();
    assert_eq!(
        shown(&changes),
        [
            "a Assign(Int(2))",
            "c Assign(Text(\"y\"))",
            "d.e Assign(Bool(true))"
        ]
    );
}

#[test]
fn additions_in_one_transaction_are_summed() {
    let id = DocId::parse("doc").unwrap();
    let (mut document, mut numbers) = (Document::default(), Numbers::default());
    let mut transaction = Transaction::new(stamp(5));
    let path = Path::parse("n").unwrap();
    for delta in [2, -5, 10] {
        let mut edit = transaction
            .edit("docs", &id, &mut document, &mut numbers)
            .unwrap();
        assert_eq!(edit.add(&path, delta), Ok(true));
    }
    let mut out = Vec::new();
    transaction.encode(&mut out).unwrap();
    assert_eq!(
        shown(&decode(&out, 5).unwrap()),
        ["n Add { delta: 7, base: None }"]
    );
}

#[test]
fn documents_are_grouped_and_sorted_however_they_were_touched() {
    let (mut numbers, mut documents) = (Numbers::default(), [(); 3].map(|()| Document::default()));
    let mut transaction = Transaction::new(stamp(5));
    let touch = [("b", "z", 0), ("a", "y", 1), ("b", "x", 2), ("a", "y", 1)];
    for (turn, (collection, id, at)) in touch.into_iter().enumerate() {
        let id = DocId::parse(id).unwrap();
        transaction
            .edit(collection, &id, &mut documents[at], &mut numbers)
            .unwrap()
            .put(&json!({ format!("f{turn}"): turn }), Put::Merge)
            .unwrap();
    }
    let mut out = Vec::new();
    transaction.encode(&mut out).unwrap();
    let changes = decode(&out, 5).unwrap();
    let docs: Vec<_> = changes
        .docs()
        .map(|doc| (doc.collection(), doc.id().to_string(), doc.len()))
        .collect();
    assert_eq!(
        docs,
        [
            ("a", "y".to_owned(), 2),
            ("b", "x".to_owned(), 1),
            ("b", "z".to_owned(), 1)
        ]
    );
}

#[test]
fn a_batch_is_ordered_by_document_and_each_document_by_arrival() {
    let mut changes = Changes::default();
    for time in [3, 1, 2] {
        let bytes = parcel(time, &[("a", json!(time))]);
        changes.push(&bytes, stamp(time)).unwrap();
    }
    let times: Vec<_> = changes
        .by_document()
        .positions()
        .iter()
        .map(|index| changes.doc(*index as usize).unwrap().stamp().hlc.to_u64())
        .collect();
    assert_eq!(times, [3, 1, 2]);
}

proptest! {
    #[test]
    fn the_order_by_document_is_that_of_collection_id_and_arrival(
        touched in prop::collection::vec(("[ab]", "[xy]{1,2}|long-common-start-[xy]"), 1..12)
    ) {
        let mut changes = Changes::default();
        let (mut document, mut numbers) = (Document::default(), Numbers::default());
        for (turn, (collection, id)) in touched.iter().enumerate() {
            let mut transaction = Transaction::new(stamp(turn as u64 + 1));
            for id in [DocId::parse(id).unwrap(), DocId::Generated([id.len() as u8; 16])] {
                document.clear();
                transaction
                    .edit(collection, &id, &mut document, &mut numbers)
                    .unwrap()
                    .put(&json!({}), Put::Merge)
                    .unwrap();
            }
            let mut out = Vec::new();
            transaction.encode(&mut out).unwrap();
            changes.push(&out, transaction.stamp()).unwrap();
        }
        let order = changes.by_document();
        prop_assert_eq!(order.positions().len(), changes.len());
        let key = |&index: &u32| {
            let doc = changes.doc(index as usize).unwrap();
            (doc.collection(), doc.id(), index)
        };
        prop_assert!(order.positions().is_sorted_by(|a, b| key(a) < key(b)));
        let same = |a: &u32, b: &u32| (key(a).0, key(a).1) == (key(b).0, key(b).1);
        let documents: Vec<&[u32]> = order.positions().chunk_by(same).collect();
        prop_assert_eq!(order.documents(), documents.len());
        for (index, positions) in documents.into_iter().enumerate() {
            prop_assert_eq!(&order.positions()[order.document(index)], positions);
        }
        prop_assert!(order.document(order.documents()).is_empty());
    }
}

#[test]
fn a_long_parcel_is_compressed_and_reads_back() {
    let steps: Vec<_> = (0..50)
        .map(|i| (format!("field{i:02}"), json!("the same text")))
        .collect();
    let steps: Vec<_> = steps
        .iter()
        .map(|(path, value)| (&**path, value.clone()))
        .collect();
    let bytes = parcel(1, &steps);
    assert_eq!(bytes[0], LZ4);
    assert_eq!(decode(&bytes, 1).unwrap().doc(0).unwrap().len(), 50);
}

/// A plain parcel of one document `c/d` with these operations.
fn by_hand(ops: u64, body: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut out = Encoder::new();
    out.byte(PLAIN).uint(2).raw(b"c").uint(1).uint(ops << 1 | 1);
    out.uint(1).raw(b"d");
    body(&mut out);
    out.finish()
}

#[test]
fn what_only_a_newer_version_defines_is_told_from_damage() {
    let not_understood = |bytes: &[u8]| match decode(bytes, 9) {
        Err(ParcelError::NotUnderstood { what, found }) => (what, found),
        other => panic!("{other:?}"),
    };
    let kind = by_hand(1, |out| {
        out.uint(1 << KIND_BITS | 9);
    });
    assert_eq!(not_understood(&kind), ("operation", 9));
    let value = by_hand(1, |out| {
        out.uint(1 << KIND_BITS).uint(2).raw(b"f").byte(0x21);
    });
    assert_eq!(not_understood(&value), ("value", 0x21));
    assert_eq!(not_understood(&[2]), ("compression", 2));
}

#[test]
fn a_refused_parcel_leaves_nothing_behind() {
    let mut changes = Changes::default();
    changes
        .push(&parcel(1, &[("a", json!(1))]), stamp(1))
        .unwrap();
    let mut bad = parcel(2, &[("a", json!(1)), ("b", json!("text"))]);
    bad.pop();
    assert!(changes.push(&bad, stamp(2)).is_err());
    changes
        .push(&parcel(3, &[("c", json!(3))]), stamp(3))
        .unwrap();
    assert_eq!(shown(&changes), ["a Assign(Int(1))", "c Assign(Int(3))"]);
    assert_eq!(changes.parcels(), 2);
    assert_eq!(changes.doc(1).map(|doc| doc.stamp()), Some(stamp(3)));
}

#[test]
fn malformed_parcels_are_refused() {
    let field = |out: &mut Encoder, name: &str, kind: u64| {
        out.uint(1 << KIND_BITS | kind);
        out.uint(2 * name.len() as u64).raw(name.as_bytes());
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        (
            "fields out of order",
            by_hand(2, |out| {
                field(out, "b", ASSIGN);
                out.byte(0x40);
                field(out, "a", ASSIGN);
                out.byte(0x40);
            }),
        ),
        (
            "one field twice",
            by_hand(2, |out| {
                for value in [0x40, 0x41] {
                    field(out, "a", ASSIGN);
                    out.byte(value);
                }
            }),
        ),
        (
            "deleted and restored at once",
            by_hand(2, |out| {
                out.uint(RESTORE).uint(DELETE);
            }),
        ),
        ("no operations", by_hand(0, |_| {})),
        (
            "an assignment to the document itself",
            by_hand(1, |out| {
                out.uint(ASSIGN).byte(0x40);
            }),
        ),
        (
            "a map with entries in a field",
            by_hand(1, |out| {
                field(out, "a", ASSIGN);
                out.raw(&[7, 1, 1, b'k', 0x40]);
            }),
        ),
        (
            "a base in the future",
            by_hand(1, |out| {
                field(out, "a", ADD);
                out.int(1).uint(STAMP_AUTHOR).uint(10);
            }),
        ),
        (
            "an unknown writer",
            by_hand(1, |out| {
                field(out, "a", ADD);
                out.int(1).uint(STAMP_KNOWN_WRITER).uint(1);
            }),
        ),
        (
            "a list in a set",
            by_hand(1, |out| {
                field(out, "a", SET_ADD);
                out.raw(&[6, 0]);
            }),
        ),
        (
            "a control character in a name",
            by_hand(1, |out| {
                field(out, "a\nb", ASSIGN);
                out.byte(0x40);
            }),
        ),
        (
            "too deep a path",
            by_hand(1, |out| {
                out.uint(33 << KIND_BITS).uint(2).raw(b"a");
                for _ in 0..32 {
                    out.uint(3);
                }
                out.byte(0x40);
            }),
        ),
        ("a bomb", vec![LZ4, 0xff, 0xff, 0xff, 7, 0, 0]),
        ("no LZ4", vec![LZ4, 9, 0xff, 0xff, 0xff]),
    ];
    for (what, bytes) in cases {
        let refused = decode(&bytes, 9);
        assert!(
            matches!(refused, Err(ParcelError::Malformed(_))),
            "{what}: {refused:?}"
        );
    }
}

#[test]
fn a_parcel_at_the_limit_of_operations_passes_and_one_more_is_refused() {
    let parcel = |ops: usize| {
        by_hand(ops as u64, |out| {
            for index in 0..ops {
                let name = format!("{index:06}");
                out.uint(1 << KIND_BITS).uint(12).raw(name.as_bytes());
                out.byte(0);
            }
        })
    };
    assert!(decode(&parcel(PARCEL_OPS_MAX), 1).is_ok());
    let refused = decode(&parcel(PARCEL_OPS_MAX + 1), 1).unwrap_err();
    let ParcelError::Malformed(err) = refused else {
        panic!("{refused}");
    };
    assert!(matches!(err.fault, DecodeFault::TooLong { .. }));
}

#[test]
fn paths_that_unfold_beyond_the_limit_are_refused() {
    let ops = 5000;
    let bytes = by_hand(ops, |out| {
        let long = "x".repeat(128);
        for index in 0..ops {
            out.uint(32 << KIND_BITS);
            out.uint(12).raw(format!("{index:06}").as_bytes());
            for level in 0..31 {
                match (index, level) {
                    (0, 0) => out.uint(256).raw(long.as_bytes()),
                    _ => out.uint(2 << 1 | 1),
                };
            }
            out.byte(0);
        }
    });
    assert!(bytes.len() < 1 << 18);
    assert!(matches!(decode(&bytes, 1), Err(ParcelError::Malformed(_))));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), time: u64) {
        let _ = decode(&bytes, time);
    }

    #[test]
    fn any_plain_body_is_read_or_refused(bytes in prop::collection::vec(0u8..0x50, 0..60)) {
        let _ = decode(&by_hand(2, |out| { out.raw(&bytes); }), 1 << 20);
    }
}
