//! Queries against a reference that is plainly right: every document in memory, compared one by one.

use std::cmp::Ordering;

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::{DocId, SpaceId};

use super::*;
use crate::read::Source;
use crate::{Read, Store, StoreError};

fn store_of(docs: &[Value]) -> (Store, CollectionNo) {
    let mut store = Store::in_memory().expect("open");
    let bodies: Vec<Vec<u8>> = docs.iter().map(|doc| jsonb(&store, doc)).collect();
    let tx = store.begin().expect("begin");
    let space = tx
        .put_space(&SpaceId::from_bytes([1; 32]), b"")
        .expect("write");
    let other = tx.intern_collection(space, "other").expect("write");
    let notes = tx.intern_collection(space, "notes").expect("write");
    for (i, body) in bodies.iter().enumerate() {
        tx.put_doc(notes, &id(i), b"", body, false).expect("write");
        tx.put_doc(other, &id(i), b"", body, false).expect("write");
    }
    tx.commit().expect("commit");
    (store, notes)
}

fn jsonb(store: &Store, doc: &Value) -> Vec<u8> {
    let conn = store.connection();
    conn.query_row("SELECT jsonb(?1)", [doc.to_string()], |row| row.get(0))
        .expect("jsonb")
}

fn id(i: usize) -> DocId {
    DocId::parse(&format!("{i:04}")).expect("a name")
}

fn path(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn condition(names: &[&str], op: Op, value: Value) -> Condition {
    Condition {
        path: path(names),
        op,
        value: Scalar::try_from(value).expect("a scalar"),
    }
}

fn found(store: &Store, query: &Query) -> Vec<String> {
    let found = store.query(query).expect("a query");
    found.iter().map(|found| found.id.to_string()).collect()
}

fn matching(store: &Store, notes: CollectionNo, filter: Vec<Condition>) -> Vec<String> {
    let mut query = Query::all(notes);
    query.filter = filter;
    let ids = found(store, &query);
    assert_eq!(store.count(&query).expect("a count"), ids.len() as u64);
    ids
}

#[test]
fn values_are_compared_with_their_own_type_only() {
    let (store, notes) = store_of(&[
        json!({"a": 1}),
        json!({"a": "1"}),
        json!({"a": true}),
        json!({"a": null}),
        json!({"a": 1.0}),
        json!({"a": [1, "x", true, null]}),
        json!({"a": {"b": 1}}),
        json!({}),
        json!({"a": "xyz"}),
        json!({"a": false}),
    ]);
    let check = |op, value: Value, expected: &[usize]| {
        let ids = matching(&store, notes, vec![condition(&["a"], op, value.clone())]);
        let expected: Vec<_> = expected.iter().map(|&i| id(i).to_string()).collect();
        assert_eq!(ids, expected, "{op:?} {value}");
    };
    check(Op::Eq, json!(1), &[0, 4]);
    check(Op::Eq, json!("1"), &[1]);
    check(Op::Eq, json!(true), &[2]);
    check(Op::Eq, json!(false), &[9]);
    check(Op::Eq, json!(null), &[3]);
    check(Op::Ne, json!(1), &[1, 2, 3, 5, 6, 7, 8, 9]);
    check(Op::Ne, json!(null), &[0, 1, 2, 4, 5, 6, 7, 8, 9]);
    check(Op::Ge, json!(0), &[0, 4]);
    check(Op::Lt, json!("z"), &[1, 8]);
    check(Op::Gt, json!(false), &[2]);
    check(Op::Contains, json!("y"), &[8]);
    check(Op::Contains, json!("Y"), &[8]);
    check(Op::Contains, json!("x"), &[5, 8]);
    check(Op::Contains, json!(1), &[5]);
    check(Op::Contains, json!(true), &[5]);
    check(Op::Contains, json!(null), &[5]);
    check(Op::Exists, json!(true), &[0, 1, 2, 3, 4, 5, 6, 8, 9]);
    check(Op::Exists, json!(false), &[7]);
    let nested = vec![condition(&["a", "b"], Op::Eq, json!(1))];
    assert_eq!(matching(&store, notes, nested), [id(6).to_string()]);
}

#[test]
fn large_whole_numbers_are_compared_exactly() {
    let (store, notes) = store_of(&[
        json!({"n": 9_007_199_254_740_993_i64}),
        json!({"n": i64::MIN}),
    ]);
    let eq = |n: i64| matching(&store, notes, vec![condition(&["n"], Op::Eq, json!(n))]).len();
    assert_eq!(
        (
            eq(9_007_199_254_740_993),
            eq(9_007_199_254_740_992),
            eq(i64::MIN)
        ),
        (1, 0, 1)
    );
}

#[test]
fn nothing_in_a_query_becomes_sql() {
    let hostile = [
        "a\"]') OR 1=1 --",
        "'; DROP TABLE doc; --",
        "$.a",
        "[0]",
        "#-1",
        "a.b",
        "\\",
        "\"",
        "\\\"",
        "\u{1f600}\n\t\u{1}",
        "",
        "?1",
        "%",
    ];
    for name in hostile {
        let (store, notes) =
            store_of(&[json!({name: name, "b": 1}), json!({"a": "other", "b": 2})]);
        let hit = vec![condition(&[name], Op::Eq, json!(name))];
        assert_eq!(
            matching(&store, notes, hit),
            [id(0).to_string()],
            "{name:?}"
        );
        for filter in [
            vec![condition(&["a"], Op::Eq, json!(name))],
            vec![condition(&[name, "deeper"], Op::Exists, json!(true))],
            vec![condition(&["b", name], Op::Contains, json!(name))],
        ] {
            assert_eq!(
                matching(&store, notes, filter),
                Vec::<String>::new(),
                "{name:?}"
            );
        }
        let mut query = Query::all(notes);
        query.sort = vec![SortKey {
            path: path(&[name]),
            direction: Direction::Desc,
        }];
        assert_eq!(
            found(&store, &query),
            [id(0).to_string(), id(1).to_string()]
        );
        assert_eq!(store.counts().expect("counts").docs, 4);
    }
}

#[test]
fn names_written_raw_by_an_encoder_are_found_too() {
    let mut store = Store::in_memory().expect("open");
    let tx = store.begin().expect("begin");
    let space = tx
        .put_space(&SpaceId::from_bytes([1; 32]), b"")
        .expect("write");
    let notes = tx.intern_collection(space, "notes").expect("write");
    // {"a\"b": 1}, the name as JSONB's raw text (10).
    let body = [0x6c, 0x3a, b'a', b'"', b'b', 0x13, b'1'];
    tx.put_doc(notes, &id(0), b"", &body, false).expect("write");
    tx.commit().expect("commit");
    let filter = vec![condition(&["a\"b"], Op::Eq, json!(1))];
    assert_eq!(matching(&store, notes, filter), [id(0).to_string()]);
}

#[test]
fn questions_that_cannot_be_asked_are_refused() {
    let (store, notes) = store_of(&[]);
    let refused = |change: &dyn Fn(&mut Query)| {
        let mut query = Query::all(notes);
        change(&mut query);
        match store.query(&query) {
            Err(StoreError::Query(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let filter =
        |condition: Condition| move |query: &mut Query| query.filter = vec![condition.clone()];
    let error = refused(&filter(condition(&[], Op::Eq, json!(1))));
    assert_eq!(error, QueryError::NoField);
    let error = refused(&filter(condition(&["a"], Op::Lt, json!(null))));
    assert_eq!(error, QueryError::NullOrder);
    let error = refused(&filter(condition(&["a"; 33], Op::Eq, json!(1))));
    assert!(matches!(error, QueryError::Path { .. }));
    let error = refused(&filter(condition(&[&"a".repeat(129)], Op::Eq, json!(1))));
    assert!(matches!(error, QueryError::Path { .. }));
    let many = vec![condition(&["a"], Op::Eq, json!(1)); QUERY_CONDITIONS_MAX + 1];
    let error = refused(&|query: &mut Query| query.filter.clone_from(&many));
    assert_eq!(error, QueryError::TooLong);
    let cursor: Cursor = r#"["a","i1"]"#.parse().expect("a cursor");
    let error = refused(&|query: &mut Query| query.after = Some(cursor.clone()));
    assert_eq!(error, QueryError::CursorOrder);
    let most = vec![condition(&["a"], Op::Contains, json!("x")); QUERY_CONDITIONS_MAX];
    assert_eq!(matching(&store, notes, most).len(), 0);
}

#[test]
fn a_stopped_query_says_so() {
    let (store, notes) = store_of(&vec![json!({"a": "x".repeat(1000)}); 5000]);
    let handle = store.interrupt();
    let mut query = Query::all(notes);
    query.filter = vec![condition(&["a"], Op::Contains, json!("y")); QUERY_CONDITIONS_MAX];
    let done = std::sync::atomic::AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                handle.stop();
                std::thread::yield_now();
            }
        });
        // A query may be over before the other thread runs.
        let error = (0..1000).find_map(|_| store.count(&query).err());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        error
    });
    assert!(matches!(error, Some(StoreError::Interrupted)), "{error:?}");
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        prop_oneof![Just(-1.5), Just(0.0), Just(2.0), Just(0.1), Just(1e300)].prop_map(Value::from),
        "[ab1\"\\\\é]{0,2}".prop_map(Value::from),
    ]
}

fn any_field() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => any_scalar(),
        1 => prop::collection::vec(any_scalar(), 0..3).prop_map(Value::from),
        1 => any_scalar().prop_map(|inner| json!({"a": inner})),
    ]
}

fn any_doc() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[ab\"\\\\.$é]{1,2}", any_field(), 0..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

fn any_path() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab\"\\\\.$é]{1,2}", 1..3)
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let op = prop_oneof![
        Just(Op::Eq),
        Just(Op::Ne),
        Just(Op::Lt),
        Just(Op::Le),
        Just(Op::Gt),
        Just(Op::Ge),
        Just(Op::Contains),
        Just(Op::Exists)
    ];
    (any_path(), op, any_scalar()).prop_map(|(path, op, value)| Condition {
        path,
        op,
        value: Scalar::try_from(value).expect("a scalar"),
    })
}

fn at<'a>(doc: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter()
        .try_fold(doc, |value, name| value.as_object()?.get(name))
}

/// The order of two scalars of one type; none across types.
fn compare(a: &Value, b: &Scalar) -> Option<Ordering> {
    match (a, b) {
        (Value::Null, Scalar::Null) => Some(Ordering::Equal),
        (Value::Bool(a), Scalar::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Scalar::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Number(a), Scalar::Int(b)) => a.as_f64()?.partial_cmp(&(*b as f64)),
        (Value::Number(a), Scalar::Float(b)) => a.as_f64()?.partial_cmp(b),
        _ => None,
    }
}

fn holds(doc: &Value, condition: &Condition) -> bool {
    let value = at(doc, &condition.path);
    let order = value.and_then(|value| compare(value, &condition.value));
    match condition.op {
        Op::Eq => order == Some(Ordering::Equal),
        Op::Ne => order != Some(Ordering::Equal),
        Op::Lt => order == Some(Ordering::Less),
        Op::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Op::Gt => order == Some(Ordering::Greater),
        Op::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Op::Exists => value.is_some() != (condition.value == Scalar::Bool(false)),
        Op::Contains => match (value, &condition.value) {
            (Some(Value::Array(elements)), wanted) => {
                (elements.iter()).any(|element| compare(element, wanted) == Some(Ordering::Equal))
            }
            (Some(Value::String(text)), Scalar::Text(part)) => text.contains(part.as_str()),
            _ => false,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_finds_what_a_plain_loop_finds(
        docs in prop::collection::vec(any_doc(), 0..12),
        filter in prop::collection::vec(any_condition(), 1..3),
    ) {
        let ordered_null = |condition: &Condition| {
            condition.value == Scalar::Null
                && matches!(condition.op, Op::Lt | Op::Le | Op::Gt | Op::Ge)
        };
        prop_assume!(!filter.iter().any(ordered_null));
        let (store, notes) = store_of(&docs);
        let expected: Vec<_> = (docs.iter().enumerate())
            .filter(|(_, doc)| filter.iter().all(|condition| holds(doc, condition)))
            .map(|(i, _)| id(i).to_string())
            .collect();
        prop_assert_eq!(matching(&store, notes, filter), expected);
    }

    #[test]
    fn pages_joined_are_the_whole_in_any_order(
        docs in prop::collection::vec(any_doc(), 0..20),
        keys in prop::collection::vec((any_path(), any::<bool>()), 0..3),
        by_id: Option<bool>,
        page in 1u64..6,
    ) {
        let (store, notes) = store_of(&docs);
        let direction = |down| if down { Direction::Desc } else { Direction::Asc };
        let mut sort: Vec<_> = keys
            .into_iter()
            .map(|(path, down)| SortKey { path, direction: direction(down) })
            .collect();
        sort.extend(by_id.map(|down| SortKey { path: Vec::new(), direction: direction(down) }));
        let whole = Query { sort, ..Query::all(notes) };
        let expected = found(&store, &whole);
        prop_assert_eq!(expected.len(), docs.len());
        let (mut by_cursor, mut by_offset) = (Vec::new(), Vec::new());
        let mut query = Query { limit: Some(page), ..whole.clone() };
        loop {
            let part = store.query(&query).expect("a page");
            by_cursor.extend(part.iter().map(|found| found.id.to_string()));
            let Some(last) = part.last() else { break };
            let mark = last.cursor().to_string();
            query.after = Some(mark.parse().expect("a cursor reads back"));
        }
        prop_assert_eq!(&by_cursor, &expected);
        for start in (0..docs.len() as u64).step_by(page as usize) {
            let query = Query { limit: Some(page), offset: start, ..whole.clone() };
            by_offset.extend(found(&store, &query));
        }
        prop_assert_eq!(&by_offset, &expected);
    }

    #[test]
    fn no_text_makes_reading_a_cursor_panic(text in "\\PC{0,40}") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }
    }
}
