//! What edits mean, and what they refuse.

use serde_json::{Map, json};
use stead_base::{Stamp, WriterId, limits};

use super::*;
use crate::{Numbers, VALUE_BYTES_MAX};

/// A document edited by one transaction after another.
#[derive(Default)]
struct Desk {
    document: Document,
    numbers: Numbers,
    time: u64,
    /// The operations of the last transaction.
    ops: usize,
}

impl Desk {
    fn with(json: Value) -> Self {
        let mut desk = Self::default();
        desk.put(json, Put::Merge).unwrap();
        desk
    }

    fn edit(
        &mut self,
        change: impl FnOnce(&mut Edit<'_, Numbers>) -> Result<bool, EditError>,
    ) -> Result<bool, EditError> {
        self.time += 1;
        let stamp = Stamp {
            hlc: Hlc::from_u64(self.time),
            writer: WriterId::from_bytes([1; 32]),
        };
        let id = DocId::parse("doc").unwrap();
        let mut transaction = Transaction::new(stamp);
        let before = self.json();
        let result = change(
            &mut transaction
                .edit("docs", &id, &mut self.document, &mut self.numbers)
                .unwrap(),
        );
        self.ops = transaction.len();
        if result.is_err() {
            assert!(transaction.is_empty());
            assert_eq!(self.json(), before);
        }
        result
    }

    fn put(&mut self, json: Value, mode: Put) -> Result<bool, EditError> {
        self.edit(|edit| edit.put(&json, mode))
    }

    fn json(&self) -> Value {
        self.document.to_json(&self.numbers)
    }
}

fn at(text: &str) -> Path {
    Path::parse(text).unwrap()
}

#[test]
fn a_put_merges_maps_and_writes_only_what_differs() {
    let mut desk = Desk::with(json!({"a": 1, "m": {"x": [1, 2], "y": "t"}}));
    assert_eq!(
        desk.put(json!({"a": 1, "m": {"x": [1, 2], "z": null}}), Put::Merge),
        Ok(true)
    );
    assert_eq!(desk.ops, 1);
    assert_eq!(
        desk.json(),
        json!({"a": 1, "m": {"x": [1, 2], "y": "t", "z": null}})
    );
    assert_eq!(desk.put(desk.json(), Put::Replace), Ok(false));
}

#[test]
fn a_replacing_put_deletes_what_is_not_named() {
    let mut desk = Desk::with(json!({"a": 1, "b": 2, "m": {"x": 1, "y": 2}, "z": 0}));
    let next = json!({"b": 3, "m": {"y": 2}, "n": {}});
    assert_eq!(desk.put(next.clone(), Put::Replace), Ok(true));
    assert_eq!(desk.json(), next);
    assert_eq!(desk.put(json!({"m": {}}), Put::Replace), Ok(true));
    assert_eq!(desk.json(), json!({"m": {}}));
}

#[test]
fn an_empty_map_is_written_only_where_there_is_none() {
    let mut desk = Desk::with(json!({"m": {"x": 1}}));
    assert_eq!(desk.put(json!({"m": {}}), Put::Merge), Ok(false));
    assert_eq!(desk.put(json!({"n": {}}), Put::Merge), Ok(true));
    assert_eq!(desk.json(), json!({"m": {"x": 1}, "n": {}}));
}

#[test]
fn a_map_put_over_a_value_does_not_uncover_it_when_emptied() {
    let mut desk = Desk::with(json!({"a": 5}));
    desk.put(json!({"a": {"b": 1}}), Put::Merge).unwrap();
    desk.edit(|edit| edit.delete_field(&at("a.b"))).unwrap();
    assert_eq!(desk.json(), json!({"a": {}}));
}

#[test]
fn an_empty_document_exists() {
    let mut desk = Desk::default();
    assert!(!desk.document.exists());
    assert_eq!(desk.put(json!({}), Put::Merge), Ok(true));
    assert!(desk.document.exists());
    assert_eq!(desk.put(json!({}), Put::Merge), Ok(false));
}

#[test]
fn a_put_on_a_deleted_document_starts_anew() {
    let mut desk = Desk::with(json!({"a": 1, "b": 2}));
    desk.edit(|edit| edit.delete()).unwrap();
    let refused = desk.edit(|edit| edit.add(&at("a"), 1)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "docs/doc is deleted; restore it, or put it anew"
    );
    desk.put(json!({"b": 3}), Put::Merge).unwrap();
    assert!(desk.document.exists());
    assert_eq!(desk.json(), json!({"b": 3}));
}

#[test]
fn a_later_step_of_a_transaction_sees_the_earlier_ones() {
    let mut desk = Desk::default();
    desk.edit(|edit| {
        edit.put(&json!({"n": 5}), Put::Merge)?;
        edit.add(&at("n"), 2)?;
        edit.set_add(&at("s"), &json!("x"))?;
        edit.set_remove(&at("s"), &json!("x"))
    })
    .unwrap();
    assert_eq!(desk.json(), json!({"n": 7, "s": []}));
}

#[test]
fn a_list_put_over_a_set_adds_and_removes_elements() {
    let mut desk = Desk::default();
    for elem in ["a", "b"] {
        desk.edit(|edit| edit.set_add(&at("s"), &json!(elem)))
            .unwrap();
    }
    assert_eq!(desk.put(json!({"s": ["b", "a"]}), Put::Merge), Ok(false));
    desk.put(json!({"s": ["b", "c"]}), Put::Merge).unwrap();
    assert_eq!(desk.json(), json!({"s": ["b", "c"]}));
    assert_eq!(
        desk.edit(|edit| edit.set_add(&at("s"), &json!("d"))),
        Ok(true),
        "it is still a set"
    );
    desk.put(json!({"s": ["b", {"no": "element"}]}), Put::Merge)
        .unwrap();
    assert!(
        desk.edit(|edit| edit.set_add(&at("s"), &json!("d")))
            .is_err()
    );
}

#[test]
fn one_and_one_point_zero_are_one_element() {
    let mut desk = Desk::default();
    desk.edit(|edit| edit.set_add(&at("s"), &json!(1))).unwrap();
    assert_eq!(
        desk.edit(|edit| edit.set_add(&at("s"), &json!(1.0))),
        Ok(false)
    );
    assert_eq!(
        desk.edit(|edit| edit.set_remove(&at("s"), &json!(1.0))),
        Ok(true)
    );
}

#[test]
fn numbers_keep_their_kind_and_value() {
    let value = json!({"i": i64::MIN, "j": i64::MAX, "f": 1.0, "tiny": 5e-324, "big": 1e308});
    assert_eq!(Desk::with(value.clone()).json(), value);
}

#[test]
fn a_refusal_names_document_path_need_and_find() {
    let mut desk = Desk::with(json!({"m": {"t": "text"}, "list": [1]}));
    let cases = [
        (
            desk.edit(|edit| edit.add(&at("m.t"), 1)),
            "docs/doc: m.t needs an integer, found text",
        ),
        (
            desk.edit(|edit| edit.set_add(&at("list"), &json!(1))),
            "docs/doc: list needs a set, found a list",
        ),
        (
            desk.edit(|edit| edit.set_add(&at("s"), &json!(null))),
            "docs/doc: s needs a truth value, number or text, found null",
        ),
        (
            desk.edit(|edit| edit.set(&at("m.t.below"), &json!(1))),
            "docs/doc: m.t needs a map, found text",
        ),
        (
            desk.put(json!([1]), Put::Merge),
            "docs/doc: the document needs a JSON object, found a list",
        ),
        (
            desk.put(json!({"ok": 1, "m": {"": 1}}), Put::Merge),
            "docs/doc: field \"m.\\\"\\\"\": a name has 1 to 128 bytes, this one has 0",
        ),
    ];
    for (refused, message) in cases {
        assert_eq!(refused.unwrap_err().to_string(), message);
    }
}

#[test]
fn the_limits_of_depth_and_size_are_exact() {
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({"d": inner}));
    let mut desk = Desk::default();
    assert_eq!(
        desk.put(nested(limits::PATH_DEPTH_MAX), Put::Merge),
        Ok(true)
    );
    assert!(matches!(
        desk.put(nested(limits::PATH_DEPTH_MAX + 1), Put::Merge),
        Err(EditError::TooDeep { max: 32, .. })
    ));
    // One byte of tag and three of length.
    let text = "x".repeat(VALUE_BYTES_MAX - 4);
    assert_eq!(desk.put(json!({ "t": text }), Put::Merge), Ok(true));
    assert!(matches!(
        desk.put(json!({"t": format!("{text}x")}), Put::Merge),
        Err(EditError::TooLarge { .. })
    ));
    let many: Map<_, _> = (0..12)
        .map(|i| (format!("f{i}"), json!("y".repeat(VALUE_BYTES_MAX - 4))))
        .collect();
    assert!(matches!(
        desk.put(Value::Object(many), Put::Merge),
        Err(EditError::TooLarge {
            what: "bytes of a document",
            ..
        })
    ));
}

#[test]
fn an_edit_that_a_later_change_would_hide_is_refused() {
    let mut desk = Desk::with(json!({"a": 1}));
    desk.time = 90;
    desk.put(json!({"a": 2}), Put::Merge).unwrap();
    desk.time = 50;
    assert!(matches!(
        desk.put(json!({"a": 3}), Put::Merge),
        Err(EditError::TimeBehind { .. })
    ));
    assert!(matches!(
        desk.edit(|edit| edit.add(&at("a"), 3)),
        Err(EditError::TimeBehind { .. })
    ));
}
