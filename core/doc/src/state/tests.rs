//! The merge rules by example, and rows against damage. The rules for every order of arrival are
//! proved in `testing/model`.

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::{DocId, WriterId};

use super::*;
use crate::{Changes, Edit, EditError, Numbers, Path, Put, RowError, Transaction};

/// A device with one document.
#[derive(Clone)]
struct Device {
    writer: WriterId,
    document: Document,
    numbers: Numbers,
}

struct Entry {
    parcel: Vec<u8>,
    stamp: Stamp,
}

impl Device {
    fn new(writer: u8) -> Self {
        Self {
            writer: WriterId::from_bytes([writer; 32]),
            document: Document::default(),
            numbers: Numbers::default(),
        }
    }

    fn edit(
        &mut self,
        time: u64,
        change: impl FnOnce(&mut Edit<'_, Numbers>) -> Result<bool, EditError>,
    ) -> Entry {
        let writer = self.writer;
        let hlc = Hlc::from_u64(time);
        let stamp = Stamp { hlc, writer };
        let mut transaction = Transaction::new(stamp);
        let id = DocId::parse("doc").unwrap();
        let mut edit = transaction
            .edit("docs", &id, &mut self.document, &mut self.numbers)
            .unwrap();
        assert_eq!(change(&mut edit), Ok(true));
        let mut parcel = Vec::new();
        transaction.encode(&mut parcel).unwrap();
        Entry { parcel, stamp }
    }

    fn put(&mut self, time: u64, json: Value) -> Entry {
        self.edit(time, |edit| edit.put(&json, Put::Merge))
    }

    fn receive(&mut self, entry: &Entry) {
        let mut changes = Changes::default();
        changes.push(&entry.parcel, entry.stamp).unwrap();
        for ops in changes.docs() {
            self.document.apply(ops, &mut self.numbers);
        }
    }

    fn json(&self) -> Value {
        self.document.to_json(&self.numbers)
    }
}

/// Two devices that make one change each on a common past, then exchange them.
fn concurrently(
    past: Value,
    left: impl FnOnce(&mut Device) -> Entry,
    right: impl FnOnce(&mut Device) -> Entry,
) -> Value {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    let first = a.put(10, past);
    b.receive(&first);
    let (left, right) = (left(&mut a), right(&mut b));
    a.receive(&right);
    b.receive(&left);
    assert_eq!(
        a.document.explain(&a.numbers),
        b.document.explain(&b.numbers)
    );
    a.json()
}

fn at(text: &str) -> Path {
    Path::parse(text).unwrap()
}

#[test]
fn changes_of_different_fields_both_count() {
    let merged = concurrently(
        json!({"a": 1, "n": {"x": 1, "y": 1}}),
        |a| a.put(20, json!({"a": 2, "n": {"x": 2}})),
        |b| b.put(21, json!({"n": {"y": 3}})),
    );
    assert_eq!(merged, json!({"a": 2, "n": {"x": 2, "y": 3}}));
}

#[test]
fn the_later_change_of_one_field_counts_and_the_writer_breaks_a_tie() {
    let merged = concurrently(
        json!({"a": 1}),
        |a| a.put(30, json!({"a": "left"})),
        |b| b.put(20, json!({"a": "right"})),
    );
    assert_eq!(merged, json!({"a": "left"}));
    let tied = concurrently(
        json!({"a": 1}),
        |a| a.put(20, json!({"a": "left"})),
        |b| b.put(20, json!({"a": "right"})),
    );
    assert_eq!(tied, json!({"a": "right"}));
}

#[test]
fn replacing_a_map_replaces_what_is_older_below_it_and_keeps_what_is_later() {
    let replace = |time| {
        move |device: &mut Device| device.edit(time, |edit| edit.set(&at("m"), &json!("flat")))
    };
    let past = || json!({"m": {"x": 1}});
    let older_below = concurrently(past(), replace(30), |b| b.put(20, json!({"m": {"y": 2}})));
    assert_eq!(older_below, json!({"m": "flat"}));
    let later_below = concurrently(past(), replace(20), |b| b.put(30, json!({"m": {"y": 2}})));
    assert_eq!(later_below, json!({"m": {"y": 2}}));
}

#[test]
fn a_field_deleted_here_and_changed_later_there_comes_back_with_the_change() {
    let merged = concurrently(
        json!({"m": {"x": 1, "y": 1}}),
        |a| a.edit(20, |edit| edit.delete_field(&at("m"))),
        |b| b.put(30, json!({"m": {"y": 2}})),
    );
    assert_eq!(merged, json!({"m": {"y": 2}}));
}

#[test]
fn concurrent_additions_all_count() {
    let merged = concurrently(
        json!({"n": 5}),
        |a| a.edit(20, |edit| edit.add(&at("n"), 10)),
        |b| b.edit(21, |edit| edit.add(&at("n"), 100)),
    );
    assert_eq!(merged, json!({"n": 115}));
}

#[test]
fn resetting_a_counter_drops_the_additions_that_had_not_seen_it() {
    let merged = concurrently(
        json!({"n": 5}),
        |a| a.put(20, json!({"n": 0})),
        |b| b.edit(30, |edit| edit.add(&at("n"), 100)),
    );
    assert_eq!(merged, json!({"n": 0}));
}

#[test]
fn an_addition_to_a_set_wins_over_a_removal_that_had_not_seen_it() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    let tag = json!("red");
    let first = a.edit(10, |edit| edit.set_add(&at("tags"), &tag));
    b.receive(&first);
    let removal = b.edit(20, |edit| edit.set_remove(&at("tags"), &tag));
    assert_eq!(b.json(), json!({"tags": []}));
    // Here it is removed and added again meanwhile.
    a.edit(11, |edit| edit.set_remove(&at("tags"), &tag));
    a.edit(12, |edit| edit.set_add(&at("tags"), &tag));
    a.receive(&removal);
    assert_eq!(a.json(), json!({"tags": ["red"]}));
}

#[test]
fn a_removal_holds_even_if_it_arrives_before_the_addition() {
    let (mut a, mut b, mut c) = (Device::new(1), Device::new(2), Device::new(3));
    let addition = a.edit(10, |edit| edit.set_add(&at("tags"), &json!(7)));
    b.receive(&addition);
    let removal = b.edit(20, |edit| edit.set_remove(&at("tags"), &json!(7)));
    c.receive(&removal);
    c.receive(&addition);
    assert_eq!(c.json(), json!({"tags": []}));
}

#[test]
fn two_removals_in_one_transaction_remove_what_either_had_seen() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    let tag = json!("red");
    let first = a.edit(10, |edit| edit.set_add(&at("tags"), &tag));
    b.receive(&first);
    let toggled = b.edit(20, |edit| {
        edit.set_remove(&at("tags"), &tag)?;
        edit.set_add(&at("tags"), &tag)?;
        edit.set_remove(&at("tags"), &tag)
    });
    a.receive(&toggled);
    assert_eq!(a.json(), json!({"tags": []}));
    assert_eq!(
        a.document.explain(&a.numbers),
        b.document.explain(&b.numbers)
    );
}

#[test]
fn set_elements_show_in_one_order() {
    let mut a = Device::new(1);
    for (time, elem) in [json!("b"), json!(2), json!(true), json!("a"), json!(1.5)]
        .iter()
        .enumerate()
    {
        a.edit(time as u64 + 1, |edit| edit.set_add(&at("s"), elem));
    }
    assert_eq!(a.json(), json!({"s": [true, 1.5, 2, "a", "b"]}));
}

#[test]
fn a_deleted_document_comes_back_with_the_edits_made_meanwhile() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    let first = a.put(10, json!({"a": 1}));
    b.receive(&first);
    let deletion = a.edit(20, |edit| edit.delete());
    let change = b.put(30, json!({"b": 2}));
    a.receive(&change);
    b.receive(&deletion);
    assert!(a.document.is_deleted() && b.document.is_deleted());
    assert!(!a.document.exists());
    a.edit(40, |edit| edit.restore());
    assert!(a.document.exists());
    assert_eq!(a.json(), json!({"a": 1, "b": 2}));
}

#[test]
fn fields_win_over_a_set_and_a_set_over_a_counter_at_one_path() {
    let merged = concurrently(
        json!({}),
        |a| a.edit(20, |edit| edit.add(&at("f"), 3)),
        |b| b.edit(21, |edit| edit.set_add(&at("f"), &json!("x"))),
    );
    assert_eq!(merged, json!({"f": ["x"]}));
    let merged = concurrently(
        json!({}),
        |a| a.edit(20, |edit| edit.set_add(&at("f"), &json!("x"))),
        |b| b.put(21, json!({"f": {"g": 1}})),
    );
    assert_eq!(merged, json!({"f": {"g": 1}}));
}

#[test]
fn a_document_of_many_fields_finds_each_of_them() {
    let mut a = Device::new(1);
    let wide: serde_json::Map<_, _> = (0..500)
        .map(|i| (format!("f{:03}", i * 7919 % 500), json!(i)))
        .collect();
    // Names get their numbers in another order than their own.
    a.put(1, json!({"f400": 0, "f100": 0, "f300": 0}));
    a.put(2, Value::Object(wide.clone()));
    let mut row = Vec::new();
    a.document.encode(&mut row);
    let read = Document::decode(&row, &a.numbers).unwrap();
    let json = read.to_json(&a.numbers);
    assert_eq!(json, Value::Object(wide));
    let names: Vec<_> = json.as_object().unwrap().keys().collect();
    assert!(names.is_sorted());
}

#[test]
fn a_row_of_a_flat_document_costs_two_bytes_a_field_beside_the_values() {
    let mut a = Device::new(1);
    a.put(
        1 << 56,
        json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}),
    );
    let mut row = Vec::new();
    a.document.encode(&mut row);
    let (version, stamps, lifecycle, count) = (1, 1 + 9 + 1, 1, 1);
    assert_eq!(
        row.len(),
        version + stamps + lifecycle + count + 6 * (2 + 1)
    );
}

fn full_document() -> Device {
    let mut a = Device::new(1);
    a.put(
        1,
        json!({"text": "é", "list": [1, {"k": null}], "m": {"x": {"y": 1.5}}, "n": 4}),
    );
    a.edit(2, |edit| edit.add(&at("n"), -9));
    a.edit(3, |edit| edit.set_add(&at("m.tags"), &json!("red")));
    a.edit(4, |edit| edit.set_add(&at("m.tags"), &json!(3)));
    a.edit(5, |edit| edit.set_remove(&at("m.tags"), &json!(3)));
    a.edit(6, |edit| edit.delete_field(&at("list")));
    a.edit(7, |edit| edit.delete());
    a
}

#[test]
fn a_row_of_a_newer_version_is_told_from_damage() {
    let refused = Document::decode(&[3, 0, 0, 0], &Numbers::default()).unwrap_err();
    let what = "version";
    assert_eq!(refused, RowError::NotUnderstood { what, found: 3 });
}

fn row(device: &Device) -> Vec<u8> {
    let mut row = Vec::new();
    device.document.encode(&mut row);
    row
}

#[test]
fn a_purged_document_takes_a_few_bytes_whatever_it_held() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    let first = a.put(
        10,
        json!({"text": "x".repeat(1000), "tags": ["a"], "n": {"m": 1}}),
    );
    b.receive(&first);
    let tagged = b.edit(11, |edit| edit.set_add(&at("set"), &json!(7)));
    let counted = b.edit(12, |edit| edit.add(&at("n.m"), 5));
    a.receive(&tagged);
    let held = row(&a).len();
    assert!(held > 1000, "{held}");
    let purge = a.edit(20, |edit| edit.purge());
    let left = row(&a).len();
    assert!(left <= 16, "{left} bytes of {held}");
    // What comes late and was said before it changes nothing.
    a.receive(&counted);
    assert_eq!(row(&a).len(), left);
    b.receive(&purge);
    assert_eq!(row(&b).len(), left);
    assert!(b.document.is_purged() && b.document.is_deleted());
    let restored = b.edit(30, |edit| edit.restore());
    assert_eq!(b.json(), json!({}));
    let counted = b.edit(31, |edit| edit.add(&at("n.m"), 5));
    a.receive(&counted);
    a.receive(&restored);
    assert_eq!(a.json(), json!({"n": {"m": 5}}));
    assert_eq!(
        a.document.explain(&a.numbers),
        b.document.explain(&b.numbers)
    );
}

#[test]
fn a_purge_of_nothing_says_nothing() {
    let mut a = Device::new(1);
    a.put(10, json!({"a": 1}));
    a.edit(11, |edit| edit.purge());
    let id = DocId::parse("doc").unwrap();
    let mut transaction = Transaction::new(Stamp {
        hlc: Hlc::from_u64(12),
        writer: a.writer,
    });
    let edit = transaction.edit("docs", &id, &mut a.document, &mut a.numbers);
    assert_eq!(edit.unwrap().purge(), Ok(false));
    let mut never = Document::default();
    let edit = transaction.edit("docs", &id, &mut never, &mut a.numbers);
    assert_eq!(edit.unwrap().purge(), Ok(false));
    assert!(transaction.is_empty());
}

#[test]
fn a_row_that_lives_from_before_its_purge_is_refused() {
    let numbers = Device::new(1).numbers;
    let mut device = Device::new(1);
    device.put(10, json!({}));
    device.edit(20, |edit| edit.purge());
    device.edit(30, |edit| edit.restore());
    let row = row(&device);
    assert!(Document::decode(&row, &device.numbers).is_ok());
    let at = row.len() - 4;
    assert_eq!(
        row[at..],
        [3, 1, 0, 0],
        "alive, since when, purged, no cells"
    );
    let mut swapped = row.clone();
    swapped.swap(at + 1, at + 2);
    let refused = Document::decode(&swapped, &device.numbers).unwrap_err();
    assert!(matches!(refused, RowError::Malformed(_)), "{refused}");
    assert!(Document::decode(&row, &numbers).is_err());
}

#[test]
fn a_row_without_its_dictionary_is_refused() {
    let a = full_document();
    let mut row = Vec::new();
    a.document.encode(&mut row);
    let mut numbers = a.numbers.clone();
    numbers.truncate(2, 1);
    let refused = Document::decode(&row, &numbers).unwrap_err();
    assert!(matches!(refused, RowError::Field { .. }), "{refused}");
    numbers.truncate(0, 0);
    let refused = Document::decode(&row, &numbers).unwrap_err();
    assert_eq!(refused, RowError::Writer { number: 0 });
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_a_row_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 1..120)) {
        bytes[0] = 1;
        let numbers = full_document().numbers;
        if let Ok(document) = Document::decode(&bytes, &numbers) {
            let _ = document.to_json(&numbers);
        }
    }

    #[test]
    fn a_damaged_row_is_refused_or_read_without_harm(
        at in any::<prop::sample::Index>(), byte: u8, cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let device = full_document();
        let mut row = Vec::new();
        device.document.encode(&mut row);
        let index = at.index(row.len());
        row[index] = byte;
        if let Some(cut) = cut {
            row.truncate(cut.index(row.len()));
        }
        if let Ok(document) = Document::decode(&row, &device.numbers) {
            let _ = document.to_json(&device.numbers);
            let mut out = Vec::new();
            document.project_jsonb(&device.numbers, &mut out);
            prop_assert!(crate::jsonb::decode(&out).is_ok());
            let mut again = Vec::new();
            document.encode(&mut again);
            prop_assert!(Document::decode(&again, &device.numbers).is_ok());
        }
    }
}
