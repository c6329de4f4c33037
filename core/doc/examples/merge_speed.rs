//! Measures the hot path of documents on one core: decode operations, read the row, merge, write
//! the row and its JSONB projection. Run with `cargo run --release -p stead-doc --example merge_speed`.

// A measurement needs a clock.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stead_base::{DocId, Hlc, Stamp, WriterId};
use stead_doc::{Changes, Document, Numbers, Put, Transaction};

const DOCS: usize = 100_000;
const DOCS_A_PARCEL: usize = 1000;
const CHANGES_A_DOC: usize = 10;

fn stamp(tick: usize) -> Stamp {
    Stamp {
        hlc: Hlc::new(1_790_000_000_000 + tick as u64, 0),
        writer: WriterId::from_bytes([7; 32]),
    }
}

fn id(index: usize) -> DocId {
    let mut random = [0; 10];
    let mixed = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    random[..8].copy_from_slice(&mixed.to_be_bytes());
    DocId::generate(1_790_000_000_000 + index as u64 / 100, random)
}

fn city(index: usize) -> Value {
    json!({
        "name": format!("City of {index}"),
        "country": (["PT", "FR", "JP", "KE"][index % 4]),
        "lat": (index % 9_000) as f64 / 100.0,
        "lng": (index % 18_000) as f64 / 100.0,
        "population": index * 37,
        "visited": index.is_multiple_of(3),
    })
}

fn report(what: &str, count: usize, unit: &str, took: Duration) {
    let rate = count as f64 / took.as_secs_f64() / 1e6;
    println!("{what:<58} {rate:>7.2} M {unit}/s");
}

fn main() {
    let mut numbers = Numbers::default();
    let parcels = write_bulk(&mut numbers);
    let rows = merge_bulk(&parcels, &mut numbers);
    change_fields(&rows, 400, &mut numbers);
    change_fields(&rows, 50_000, &mut numbers);
}

/// What the author of a bulk import does.
fn write_bulk(numbers: &mut Numbers) -> Vec<Vec<u8>> {
    let cities: Vec<Value> = (0..DOCS).map(city).collect();
    let ids: Vec<DocId> = (0..DOCS).map(id).collect();
    let start = Instant::now();
    let mut parcels = Vec::new();
    let mut transaction = Transaction::new(stamp(0));
    let (mut document, mut row, mut jsonb) = (Document::default(), Vec::new(), Vec::new());
    for (chunk, cities) in cities.chunks(DOCS_A_PARCEL).enumerate() {
        transaction.restart(stamp(chunk));
        for (offset, city) in cities.iter().enumerate() {
            document.clear();
            let id = &ids[chunk * DOCS_A_PARCEL + offset];
            let mut edit = transaction
                .edit("cities", id, &mut document, numbers)
                .expect("a good name");
            edit.put(city, Put::Merge).expect("a good document");
            row.clear();
            jsonb.clear();
            document.encode(&mut row);
            document.project_jsonb(numbers, &mut jsonb);
            black_box((&row, &jsonb));
        }
        let mut parcel = Vec::new();
        transaction.encode(&mut parcel).expect("within the limits");
        parcels.push(parcel);
    }
    let took = start.elapsed();
    report(
        "bulk write: put, row, JSONB, encode parcels",
        DOCS,
        "documents",
        took,
    );
    report("  the same", 6 * DOCS, "fields", took);
    let bytes: usize = parcels.iter().map(Vec::len).sum();
    println!(
        "  {:.1} bytes a document in parcels",
        bytes as f64 / DOCS as f64
    );
    parcels
}

/// What a receiver of a bulk import does.
fn merge_bulk(parcels: &[Vec<u8>], numbers: &mut Numbers) -> Vec<Vec<u8>> {
    let mut rows = Vec::with_capacity(DOCS);
    let mut changes = Changes::default();
    let mut document = Document::default();
    let (mut row, mut jsonb) = (Vec::new(), Vec::new());
    let (mut decoding, mut bytes) = (Duration::ZERO, (0, 0));
    let start = Instant::now();
    for (chunk, parcel) in parcels.iter().enumerate() {
        changes.clear();
        let before = Instant::now();
        changes.push(parcel, stamp(chunk)).expect("a good parcel");
        decoding += before.elapsed();
        for index in changes.by_document().positions() {
            let ops = changes.doc(*index as usize).expect("it is there");
            document.clear();
            document.apply(ops, numbers);
            row.clear();
            jsonb.clear();
            document.encode(&mut row);
            document.project_jsonb(numbers, &mut jsonb);
            bytes.0 += row.len();
            bytes.1 += jsonb.len();
            rows.push(row.clone());
        }
    }
    let took = start.elapsed();
    report(
        "bulk merge: decode, merge, row, JSONB",
        DOCS,
        "documents",
        took,
    );
    report("  the same", 6 * DOCS, "fields", took);
    report("  decode alone", 6 * DOCS, "fields", decoding);
    let [row, jsonb] = [bytes.0, bytes.1].map(|bytes| bytes as f64 / DOCS as f64);
    println!("  {row:.1} bytes a row, {jsonb:.1} bytes a projection");
    rows
}

/// What a receiver of many one-field transactions does, gathered by document.
fn change_fields(rows: &[Vec<u8>], batch_docs: usize, numbers: &mut Numbers) {
    let mut parcels = Vec::with_capacity(DOCS * CHANGES_A_DOC);
    for batch in 0..DOCS / batch_docs {
        for change in 0..CHANGES_A_DOC {
            for offset in 0..batch_docs {
                let index = batch * batch_docs + offset;
                let stamp = stamp(1_000_000 + parcels.len());
                let mut document = Document::decode(&rows[index], numbers).expect("a good row");
                let mut transaction = Transaction::new(stamp);
                let field = ["population", "visited", "name"][(change + offset) % 3];
                let id = id(index);
                let mut edit = transaction
                    .edit("cities", &id, &mut document, numbers)
                    .expect("a good name");
                edit.put(
                    &json!({ field: format!("value {}", parcels.len()) }),
                    Put::Merge,
                )
                .expect("a good field");
                let mut parcel = Vec::new();
                transaction.encode(&mut parcel).expect("within the limits");
                parcels.push((parcel, stamp));
            }
        }
    }
    let mut changes = Changes::default();
    let mut document = Document::default();
    let (mut row, mut jsonb) = (Vec::new(), Vec::new());
    let mut decoding = Duration::ZERO;
    let start = Instant::now();
    for (batch, parcels) in parcels.chunks(batch_docs * CHANGES_A_DOC).enumerate() {
        changes.clear();
        let before = Instant::now();
        for (parcel, stamp) in parcels {
            changes.push(parcel, *stamp).expect("a good parcel");
        }
        decoding += before.elapsed();
        let order = changes.by_document();
        for offset in 0..order.documents() {
            let group = &order.positions()[order.document(offset)];
            let stored = &rows[batch * batch_docs + offset];
            document.decode_into(stored, numbers).expect("a good row");
            for &index in group {
                let ops = changes.doc(index as usize).expect("it is there");
                document.apply(ops, numbers);
            }
            row.clear();
            jsonb.clear();
            document.encode(&mut row);
            document.project_jsonb(numbers, &mut jsonb);
            black_box((&row, &jsonb));
        }
    }
    let took = start.elapsed();
    let count = parcels.len();
    println!("one-field transactions, {CHANGES_A_DOC} a document, {batch_docs} documents a batch:");
    report(
        "  decode, sort, row, merge, row, JSONB",
        count,
        "changes",
        took,
    );
    report("  decode alone", count, "changes", decoding);
    let bytes: usize = parcels.iter().map(|(parcel, _)| parcel.len()).sum();
    println!("  {:.1} bytes a parcel", bytes as f64 / count as f64);
}
