//! Documents as parcels, rows and projections.

use crate::targets::doc::numbers;
use serde_json::json;
use stead_base::{DocId, Hlc, Stamp, WriterId};
use stead_doc::{Changes, Document, Path, Put, Redacted, RedactedItem, Transaction};

fn stamp(n: u8) -> Stamp {
    Stamp {
        hlc: Hlc::new(1_700_000_000_000 + u64::from(n), 0),
        writer: WriterId::from_bytes([n; 32]),
    }
}

/// What three devices might do to one document, and the document after each.
pub(super) fn history() -> Vec<(Vec<u8>, Document)> {
    let mut numbers = numbers();
    let mut document = Document::default();
    let id = DocId::parse("lisbon").expect("a valid name");
    let path = |text| Path::parse(text).expect("a valid path");
    let mut found = Vec::new();
    for step in 0..8 {
        // The last are later than all before.
        let by = stamp(step % 3 + 1);
        let mut transaction = Transaction::new(match step < 5 {
            true => by,
            false => Stamp {
                hlc: stamp(step).hlc,
                ..by
            },
        });
        let mut edit = transaction
            .edit("cities", &id, &mut document, &mut numbers)
            .expect("a valid collection");
        let edited = match step {
            0 => edit.put(
                &json!({"name": "Lisbon", "visits": 1, "place": {"lat": 38.7, "long": -9.1}}),
                Put::Merge,
            ),
            1 => edit.add(&path("visits"), 41),
            2 => edit.set_add(&path("tags"), &json!("capital")),
            3 => edit.put(
                &json!({"name": "Lisboa", "tags": ["a", {"b": null}]}),
                Put::Merge,
            ),
            4 => edit.delete(),
            5 => edit.purge(),
            6 => edit.restore(),
            _ => edit.put(&json!({"name": "Lisboa"}), Put::Merge),
        };
        edited.expect("a valid edit");
        let mut parcel = Vec::new();
        transaction.encode(&mut parcel).expect("a small parcel");
        found.push((parcel, document.clone()));
    }
    found
}

fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    [&(first.len() as u16).to_le_bytes(), first, second].concat()
}

/// Pairs of parcels.
pub fn parcels() -> Vec<Vec<u8>> {
    let history = history();
    let mut found: Vec<Vec<u8>> = history
        .windows(2)
        .map(|steps| pair(&steps[0].0, &steps[1].0))
        .collect();
    // One that is worth compressing.
    let mut numbers = numbers();
    let mut transaction = Transaction::new(stamp(1));
    for n in 0..30 {
        let id = DocId::parse(&format!("city-{n}")).expect("a valid name");
        let mut document = Document::default();
        transaction
            .edit("cities", &id, &mut document, &mut numbers)
            .and_then(|mut edit| edit.put(&json!({"name": "the same words"}), Put::Merge))
            .expect("a valid edit");
    }
    let mut parcel = Vec::new();
    transaction.encode(&mut parcel).expect("a small parcel");
    found.push(pair(&parcel, &history[0].0));
    found.push(pair(b"", &history[2].0));
    debug_assert!(
        found
            .iter()
            .all(|pair| Changes::default().push(&pair[2..], stamp(1)).is_ok() || pair.len() > 2)
    );
    found
}

/// Rows of a document through its history.
pub fn states() -> Vec<Vec<u8>> {
    let rows = history().into_iter().map(|(_, document)| {
        let mut row = Vec::new();
        document.encode(&mut row);
        row
    });
    rows.collect()
}

/// Projections of a document through its history.
pub fn jsonb() -> Vec<Vec<u8>> {
    let numbers = numbers();
    let projections = history().into_iter().map(|(_, document)| {
        let mut out = Vec::new();
        document.project_jsonb(&numbers, &mut out);
        out
    });
    projections.collect()
}

/// What stands in the place of redacted parcels, one of them within another.
pub fn redacted() -> Vec<Vec<u8>> {
    let item = |(seq, (parcel, _)): (u64, (Vec<u8>, Document))| RedactedItem {
        stamp: stamp((seq % 3) as u8 + 1),
        seq,
        parcel,
    };
    let items: Vec<RedactedItem> = (0..).zip(history()).map(item).collect();
    let own = items[0].parcel.clone();
    let inner = Redacted { own, items };
    let outer = Redacted {
        own: Vec::new(),
        items: vec![RedactedItem {
            stamp: stamp(4),
            seq: 9,
            parcel: inner.encode(),
        }],
    };
    vec![Redacted::default().encode(), inner.encode(), outer.encode()]
}
