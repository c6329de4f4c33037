//! Whatever a document holds comes back from every format that promises it; what is wrong is named with its place.

use std::{io::Cursor, path::Path};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stead_interchange::{Format, Problem, ReadError, Record, Records, Writer};

fn read_text(format: Format, text: &str) -> Vec<Result<Record, ReadError>> {
    match Records::from_stream(
        format,
        Path::new("f"),
        Box::new(Cursor::new(text.as_bytes().to_vec())),
    ) {
        Ok(records) => records.take(1000).collect(),
        Err(err) => vec![Err(err)],
    }
}

fn through(format: Format, records: &[Record]) -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let mut writer = Writer::create(format, &path).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap();
    Records::open(format, &path)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z]{0,6}",
        "\\PC{0,12}",
        "[\r\n\t\\\\,;:\"^=\u{85}\u{7f}\u{0} ]{0,6}"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_.]{0,5}", inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

/// Objects with the fields that formats know, in shapes they know and others.
fn any_fields() -> impl Strategy<Value = Value> {
    let known = prop::sample::select(vec![
        "name",
        "names",
        "phones",
        "emails",
        "addresses",
        "urls",
        "birthday",
        "categories",
        "uid",
        "note",
        "kind",
        "title",
        "start",
        "start_zone",
        "end",
        "due",
        "priority",
        "repeat",
        "attendees",
        "vcard",
        "ical",
        "body",
        "path",
        "front_matter",
        "_id",
        "__id",
        "zone",
        "organization",
    ]);
    let name = prop_oneof![known.prop_map(str::to_owned), "[a-z]{1,5}", "\\PC{0,6}"];
    let shaped = prop_oneof![
        Just(json!("2026-01-31")),
        Just(json!("2026-01-31T10:00:00Z")),
        Just(json!("Europe/Zurich")),
        Just(json!("calendar")),
        Just(json!("timezone")),
        Just(json!("x-other")),
        Just(json!([{"value": "+1;2,3", "types": ["home", "a,b"]}])),
        Just(json!([{"value": "x", "left": "item1.TEL;X=1"}, {"value": "y", "more": 1}])),
        Just(json!([{"street": ["a", "b;c"], "city": "d", "types": []}])),
        Just(json!({"given": ["a", "b,c"], "family": ""})),
        Just(
            json!({"left": {"name": "FN;LANGUAGE=de", "start": "DTSTART;VALUE=DATE"}, "lines": ["X-A:b", "NOTE:c"]})
        ),
        Just(json!({"version": "3.0", "lines": ["BEGIN:A", "X:y", "END:A"]})),
        Just(json!({"lines": ["END:VCARD", "END:VEVENT", "BEGIN:VCARD"]})),
        Just(
            json!({"lines": ["VERSION:9", "X-STEAD-ID:q", "X-STEAD-FIELDS:{\"z\":1}", "FN:other", "no line"]})
        ),
        any_value(),
        any_value(),
    ];
    prop::collection::btree_map(name, shaped, 0..7).prop_map(Value::from_iter)
}

fn any_record() -> impl Strategy<Value = Record> {
    ("[a-zA-Z0-9 ,;:\\\\äß-]{1,20}", any_fields()).prop_map(|(id, value)| Record {
        id: Some(id),
        value,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn json_gives_back_every_document(records in prop::collection::vec(any_record(), 0..4)) {
        prop_assert_eq!(&through(Format::Json, &records), &records);
        prop_assert_eq!(&through(Format::JsonLines, &records), &records);
    }

    #[test]
    fn cards_give_back_every_document(record in any_record()) {
        prop_assert_eq!(through(Format::Vcard, std::slice::from_ref(&record)), [record]);
    }

    #[test]
    fn calendars_give_back_every_document(record in any_record()) {
        prop_assert_eq!(through(Format::Ical, std::slice::from_ref(&record)), [record]);
    }

    #[test]
    fn tables_give_back_texts_numbers_and_booleans(
        rows in prop::collection::vec(("[a-z]{1,8}", "\\PC{1,12}", any::<i64>(), any::<bool>(), -1e9..1e9f64), 1..5)
    ) {
        let rows: Vec<_> = rows.into_iter().enumerate().map(|(n, (a, text, int, flag, float))| Record {
            id: Some(format!("{a}{n}")),
            value: json!({"a.b": text, "n": {"int": int, "flag": flag}, "float": float, "list": [int, "x"]}),
        }).collect();
        prop_assert_eq!(through(Format::Csv, &rows), rows);
    }

    #[test]
    fn texts_that_look_like_numbers_stay_texts(texts in prop::collection::vec("[0-9]{1,4}|true|[.]5|\\[1\\]", 1..4)) {
        let rows: Vec<_> = texts.into_iter().enumerate().map(|(n, text)| Record {
            id: Some(n.to_string()),
            value: json!({"code": text}),
        }).collect();
        prop_assert_eq!(through(Format::Csv, &rows), rows);
    }

    #[test]
    fn no_file_makes_a_reader_panic_or_go_on_for_ever(
        format in prop::sample::select(vec![Format::Json, Format::JsonLines, Format::Csv, Format::Vcard, Format::Ical, Format::Bitwarden]),
        text in "(BEGIN:VCARD\n|BEGIN:VCALENDAR\n|BEGIN:VEVENT\n|END:VCARD\n|END:VEVENT\n|FN:a\n|X;ENCODING=QUOTED-PRINTABLE:=\n| |\\[|\\{|\\}|\\]|\"a\"|,|:|1|;|\n|\\PC){0,30}",
    ) {
        let _ = read_text(format, &text);
    }
}

#[test]
fn json_comes_in_three_shapes() {
    let expected = [json!({"a": 1}), json!({"a": {"b": 2}})];
    for text in [
        r#"[{"a":1}, {"a":{"b":2}}]"#,
        "{\"a\":1}\n\n{\"a\":{\"b\":2}}\n",
        "\u{feff}{\"a\":1} {\"a\":{\"b\":2}}",
        r#"{"x": {"a":1}, "y": {"a":{"b":2}}}"#,
    ] {
        let records: Vec<_> = read_text(Format::Json, text)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let values: Vec<_> = records.iter().map(|record| record.value.clone()).collect();
        assert_eq!(values, expected, "{text}");
    }
    let keyed = read_text(Format::Json, r#"{"x": {"a":1}, "y/z": {"a":2}}"#);
    assert_eq!(keyed[0].as_ref().unwrap().id.as_deref(), Some("x"));
    let hashed = keyed[1].as_ref().unwrap();
    assert_eq!(hashed.value, json!({"a": 2, "key": "y/z"}));
    assert_eq!(
        read_text(Format::Json, r#"{"a": {"b": 1}, "c": 2}"#).len(),
        1
    );
    assert!(read_text(Format::Json, "[]").is_empty());
    assert!(read_text(Format::Json, " ").is_empty());
}

#[test]
fn an_object_of_many_objects_is_read_as_a_stream() {
    let many: Map<String, Value> = (0..30_000)
        .map(|n| {
            (
                format!("k{n}"),
                json!({"n": n, "text": "some more bytes in every record"}),
            )
        })
        .collect();
    let text = Value::Object(many).to_string();
    assert!(text.len() > 1 << 20);
    let records = Records::from_stream(
        Format::Json,
        Path::new("f"),
        Box::new(Cursor::new(text.into_bytes())),
    )
    .unwrap();
    assert_eq!(
        records
            .map(|record| record.unwrap().value["n"].as_i64().unwrap())
            .sum::<i64>(),
        449_985_000
    );
}

#[test]
fn mistakes_are_named_with_their_place() {
    let at = |format, text: &str| {
        let first = read_text(format, text)
            .into_iter()
            .find_map(Result::err)
            .unwrap();
        (first.line, first.record, first.to_string())
    };
    let (line, record, text) = at(Format::Json, "[\n{\"a\":1},\n{\"a\":}\n]");
    assert_eq!((line, record), (Some(3), Some(2)), "{text}");
    assert_eq!(text, "f, line 3, record 2: expected value");
    assert_eq!(
        at(Format::Json, "[{\"a\":1},\n7]").2,
        "f, line 2, record 2: a record must be an object with named fields, and this one is a bare value"
    );
    assert_eq!(
        at(Format::Json, "[{}").2,
        "f, line 1, record 1: a comma or the end is missing after a record"
    );
    assert_eq!(
        at(Format::Json, "hello").2,
        "f, line 1: the file must start with [ or {"
    );
    assert_eq!(
        at(Format::Csv, "a,b\n1,2\n1,2,3\n").2,
        "f, line 3, record 2: the row has 3 cells and the header row 2"
    );
    assert_eq!(
        at(Format::Vcard, "BEGIN:VCARD\nFN:a\n").2,
        "f, line 1, record 1: BEGIN:VCARD has no END:VCARD"
    );
    assert_eq!(
        at(
            Format::Ical,
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nnothing\nEND:VEVENT\nEND:VCALENDAR"
        )
        .2,
        "f, line 3, record 1: this line is no property: NAME:value"
    );
    let missing = Records::open(Format::Csv, Path::new("/nowhere/f.csv"))
        .err()
        .unwrap();
    assert!(matches!(missing.problem, Problem::Io(_)));
}

#[test]
fn one_bad_record_does_not_cost_the_others() {
    let cards = read_text(
        Format::Vcard,
        "BEGIN:VCARD\nFN:a\nbad\nEND:VCARD\nBEGIN:VCARD\nFN:b\nEND:VCARD\n",
    );
    assert!(cards[0].is_err());
    assert_eq!(cards[1].as_ref().unwrap().value["name"], "b");
    let rows = read_text(Format::Csv, "a\n1,2\n3\n");
    assert!(rows[0].is_err());
    assert_eq!(rows[1].as_ref().unwrap().value["a"], 3);
    assert_eq!(read_text(Format::Json, "[[1],{\"a\":1}]").len(), 2);
}

#[test]
fn columns_have_the_narrowest_kind_that_loses_nothing() {
    let table = "name;zip;population;area;capital;code;Nr.;x.y\nBern;03012;134794;51.6;true;7;1;1\nUlm;89073;126790;119;false;x;2;2\n";
    let rows: Vec<_> = read_text(Format::Csv, table)
        .into_iter()
        .map(|row| row.unwrap().value)
        .collect();
    assert_eq!(
        rows[0],
        json!({"name": "Bern", "zip": "03012", "population": 134794, "area": 51.6, "capital": true, "code": "7", "Nr.": 1, "x": {"y": 1}})
    );
    assert_eq!(rows[1]["zip"], "89073");
    assert_eq!(rows[1]["area"], 119);
}

#[test]
fn the_same_documents_make_the_same_table() {
    let records = [
        Record {
            id: Some("a".into()),
            value: json!({"b": 1, "a": "x"}),
        },
        Record {
            id: Some("b".into()),
            value: json!({"c": null, "a": "y,z"}),
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let mut writer = Writer::create(Format::Csv, &path).unwrap();
    for record in &records {
        writer.write(record).unwrap();
    }
    assert!(
        !path.exists(),
        "a table that is not complete has no name yet"
    );
    writer.finish().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "_id,a,b,c\na,x,1,\nb,\"y,z\",,\n");
}
