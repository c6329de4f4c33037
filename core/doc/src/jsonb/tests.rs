//! JSONB beside the real SQLite.

use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::*;
use crate::value::{self, ValueRef, tests::any_json};

fn jsonb(value: &Value) -> Vec<u8> {
    let mut encoded = Vec::new();
    assert!(value::put(&mut encoded, value, 0));
    let mut out = Vec::new();
    put_view(&mut out, ValueRef::checked(&encoded).view());
    out
}

fn sqlite_reads(sqlite: &Connection, blob: &[u8]) -> (i64, String) {
    sqlite
        .query_row("SELECT json_valid(?1, 8), json(?1)", [blob], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap()
}

proptest! {
    #[test]
    fn sqlite_reads_what_was_written(value in any_json()) {
        let sqlite = Connection::open_in_memory().unwrap();
        let blob = jsonb(&value);
        let (valid, text) = sqlite_reads(&sqlite, &blob);
        prop_assert_eq!(valid, 1);
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn jsonb_reads_back(value in any_json()) {
        prop_assert_eq!(decode(&jsonb(&value)), Ok(value));
    }

    #[test]
    fn what_sqlite_writes_reads_back(value in any_json()) {
        let sqlite = Connection::open_in_memory().unwrap();
        let blob: Vec<u8> = sqlite
            .query_row("SELECT jsonb(?)", [value.to_string()], |row| row.get(0))
            .unwrap();
        prop_assert_eq!(decode(&blob), Ok(value));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}

#[test]
fn sizes_take_the_shortest_header_at_every_border() {
    let sqlite = Connection::open_in_memory().unwrap();
    for len in [0, 11, 12, 255, 256, 65_535, 65_536, 70_000] {
        let text = "x".repeat(len);
        let blob = jsonb(&json!(text));
        let stored: Vec<u8> = sqlite
            .query_row("SELECT jsonb(?)", [json!(text).to_string()], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(blob, stored, "text of {len}");
        let list = json!(vec![7; len]);
        let blob = jsonb(&list);
        assert_eq!(decode(&blob), Ok(list.clone()));
        assert_eq!(sqlite_reads(&sqlite, &blob), (1, list.to_string()));
    }
}

#[test]
fn sql_finds_fields_whatever_their_text_needs() {
    let sqlite = Connection::open_in_memory().unwrap();
    let value =
        json!([{"plain": 1, "quo\"te": "a\\b\n\u{0}\u{7f}'é", "min": i64::MIN, "tiny": 5e-324}]);
    let blob = jsonb(&value);
    let found: (i64, String, i64, f64) = sqlite
        .query_row(
            "SELECT json_extract(?1, '$[0].plain'), ?1 ->> '$[0].\"quo\\\"te\"', ?1 ->> '$[0].min', ?1 ->> '$[0].tiny'",
            [&blob],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(
        found,
        (1, "a\\b\n\u{0}\u{7f}'é".to_owned(), i64::MIN, 5e-324)
    );
}

#[test]
fn nesting_beyond_the_limit_is_refused() {
    let mut blob = vec![ARRAY];
    for _ in 0..=JSONB_DEPTH_MAX {
        let mut outer = Vec::new();
        put(&mut outer, ARRAY, &blob);
        blob = outer;
    }
    assert!(decode(&blob).is_err());
}
