//! Queries against a reference that is plainly right: every document in memory, compared one by one.

use std::cmp::Ordering;

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::{DocId, SpaceId};

use super::*;
use crate::index::{IndexKind, IndexOrigin, IndexSpec};
use crate::read::Source;
use crate::rows::SpaceNo;
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

/// A test without its value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Contains,
    Exists,
}

fn test(op: Op, value: Scalar) -> Test {
    match op {
        Op::Eq => Test::Eq(value),
        Op::Ne => Test::Ne(value),
        Op::Lt => Test::Lt(value),
        Op::Le => Test::Le(value),
        Op::Gt => Test::Gt(value),
        Op::Ge => Test::Ge(value),
        Op::Contains => Test::Contains(value),
        Op::Exists if value == Scalar::Bool(false) => Test::Missing,
        Op::Exists => Test::Exists,
    }
}

fn condition(names: &[&str], op: Op, value: Value) -> Filter {
    Filter::Is(Condition {
        path: path(names),
        test: test(op, Scalar::try_from(value).expect("a scalar")),
    })
}

fn found(store: &Store, query: &Query) -> Vec<String> {
    let found = store.query(query).expect("a query");
    found.iter().map(|found| found.id.to_string()).collect()
}

fn matching(store: &Store, notes: CollectionNo, filter: Vec<Filter>) -> Vec<String> {
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
        query.sort = vec![SortKey::new(path(&[name]), Direction::Desc)];
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
    let filter = |filter: Filter| move |query: &mut Query| query.filter = vec![filter.clone()];
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
fn damaged_fields_are_a_damaged_file_however_they_are_read() {
    let (mut store, notes) = store_of(&[json!({"a": 1})]);
    let tx = store.begin().expect("begin");
    tx.put_doc(notes, &id(0), b"", &[0x6c, 0x17], false)
        .expect("write");
    tx.commit().expect("commit");
    let whole = Query::all(notes);
    let mut filtered = Query::all(notes);
    filtered.filter = vec![condition(&["a"], Op::Eq, json!(1))];
    let mut listed = Query::all(notes);
    listed.filter = vec![condition(&["a"], Op::Contains, json!(1))];
    for query in [whole, filtered, listed] {
        let error = store.query(&query).expect_err("damaged");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    }
}

#[test]
fn a_place_behind_what_is_no_number_is_no_place() {
    let nan = format!(r#"["a","f{:x}"]"#, f64::NAN.to_bits());
    assert_eq!(nan.parse::<Cursor>(), Err(QueryError::CursorText));
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

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        Just(Op::Eq),
        Just(Op::Ne),
        Just(Op::Lt),
        Just(Op::Le),
        Just(Op::Gt),
        Just(Op::Ge),
        Just(Op::Contains),
        Just(Op::Exists)
    ]
}

fn any_test() -> impl Strategy<Value = Test> {
    let scalar = || any_scalar().prop_map(|value| Scalar::try_from(value).expect("a scalar"));
    prop_oneof![
        6 => (any_op(), scalar())
            .prop_filter("null has no order", |(op, value)| {
                *value != Scalar::Null || !matches!(op, Op::Lt | Op::Le | Op::Gt | Op::Ge)
            })
            .prop_map(|(op, value)| test(op, value)),
        1 => prop::collection::vec(scalar(), 0..4).prop_map(Test::In),
        1 => "[ab1é]{0,2}".prop_map(Test::Prefix),
    ]
}

fn any_condition() -> impl Strategy<Value = Condition> {
    (any_path(), any_test()).prop_map(|(path, test)| Condition { path, test })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    any_condition()
        .prop_map(Filter::Is)
        .prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::All),
                prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Any),
                inner.prop_map(|one| Filter::Not(Box::new(one))),
            ]
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

/// What a filter means, said a second time and plainly.
fn plainly(doc: &Value, filter: &Filter) -> bool {
    let condition = match filter {
        Filter::Is(condition) => condition,
        Filter::All(inner) => return inner.iter().all(|one| plainly(doc, one)),
        Filter::Any(inner) => return inner.iter().any(|one| plainly(doc, one)),
        Filter::Not(inner) => return !plainly(doc, inner),
        Filter::Refers { .. } => unreachable!("not made here"),
    };
    let value = at(doc, &condition.path);
    let order = |wanted: &Scalar| value.and_then(|value| compare(value, wanted));
    match &condition.test {
        Test::Eq(wanted) => order(wanted) == Some(Ordering::Equal),
        Test::Ne(wanted) => order(wanted) != Some(Ordering::Equal),
        Test::Lt(wanted) => order(wanted) == Some(Ordering::Less),
        Test::Le(wanted) => matches!(order(wanted), Some(Ordering::Less | Ordering::Equal)),
        Test::Gt(wanted) => order(wanted) == Some(Ordering::Greater),
        Test::Ge(wanted) => matches!(order(wanted), Some(Ordering::Greater | Ordering::Equal)),
        Test::Exists => value.is_some(),
        Test::Missing => value.is_none(),
        Test::In(all) => all.iter().any(|one| order(one) == Some(Ordering::Equal)),
        Test::Prefix(start) => value
            .and_then(Value::as_str)
            .is_some_and(|text| text.starts_with(start.as_str())),
        Test::Contains(wanted) => match (value, wanted) {
            (Some(Value::Array(elements)), wanted) => {
                (elements.iter()).any(|element| compare(element, wanted) == Some(Ordering::Equal))
            }
            (Some(Value::String(text)), Scalar::Text(part)) => text.contains(part.as_str()),
            _ => false,
        },
    }
}

/// Has fields of the test documents indexed.
fn index(store: &mut Store, notes: CollectionNo, specs: &[IndexSpec]) {
    let tx = store.begin().expect("begin");
    for spec in specs {
        let (no, _) = tx
            .add_index(notes, spec, IndexOrigin::ByHand)
            .expect("an index");
        while !tx.build_index(no, 3).expect("a step") {}
    }
    tx.commit().expect("commit");
}

fn any_index() -> impl Strategy<Value = IndexSpec> {
    prop::collection::btree_map(any_path(), any_default(), 1..3).prop_map(IndexSpec::filled)
}

fn any_default() -> impl Strategy<Value = Option<Value>> {
    prop::option::weighted(0.4, any_field())
}

fn any_sort() -> impl Strategy<Value = Vec<SortKey>> {
    let key = (any_path(), any_default(), any::<bool>());
    prop::collection::vec(key, 0..3).prop_map(|keys| {
        let sort_key = |(path, or_else, down)| SortKey {
            path,
            or_else,
            direction: direction(down),
        };
        keys.into_iter().map(sort_key).collect()
    })
}

fn direction(down: bool) -> Direction {
    match down {
        true => Direction::Desc,
        false => Direction::Asc,
    }
}

fn any_grouping() -> impl Strategy<Value = Grouping> {
    let key = || (any_path(), any_default()).prop_map(|(path, or_else)| GroupKey { path, or_else });
    let aggregate = prop_oneof![
        Just(Aggregate::Count),
        Just(Aggregate::Sum),
        Just(Aggregate::Avg),
        Just(Aggregate::Min),
        Just(Aggregate::Max),
    ];
    let measure = (aggregate, key()).prop_map(|(aggregate, of)| Measure { aggregate, of });
    let by = prop::collection::vec(key(), 0..3);
    (by, prop::collection::vec(measure, 0..4)).prop_map(|(by, measures)| Grouping { by, measures })
}

/// Sums of numbers that are not whole may differ in the last bits.
fn is_near(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) => a == b || (x - y).abs() <= (x.abs() + y.abs()) * 1e-12,
        _ => a == b,
    }
}

#[test]
fn elements_of_lists_are_found_by_their_place() {
    let (store, notes) = store_of(&[
        json!({"a": [{"b": 1}, {"b": 2}]}),
        json!({"a": {"1": {"b": 2}}}),
        json!({"a": [{"b": 2}]}),
    ]);
    let second = vec![condition(&["a", "1", "b"], Op::Eq, json!(2))];
    assert_eq!(
        matching(&store, notes, second),
        [id(0).to_string(), id(1).to_string()]
    );
    let first = vec![condition(&["a", "00"], Op::Exists, json!(true))];
    assert_eq!(
        matching(&store, notes, first),
        [id(0).to_string(), id(2).to_string()]
    );
}

#[test]
fn the_id_is_found_under_its_name_unless_a_field_has_it() {
    let (store, notes) = store_of(&[json!({}), json!({"id": 7}), json!({"id": null})]);
    let by = |op, value| matching(&store, notes, vec![condition(&["id"], op, value)]);
    assert_eq!(by(Op::Eq, json!("0000")), [id(0).to_string()]);
    assert_eq!(by(Op::Eq, json!(7)), [id(1).to_string()]);
    assert_eq!(by(Op::Eq, json!("0001")), Vec::<String>::new());
    assert_eq!(by(Op::Eq, json!(null)), [id(2).to_string()]);
    assert_eq!(by(Op::Exists, json!(true)).len(), 3);
    assert_eq!(by(Op::Contains, json!("000")), [id(0).to_string()]);
    // Nothing else stands for an id.
    let (store, notes) = store_of(&[json!({}), json!({}), json!({})]);
    let mut query = Query::all(notes);
    query.sort = vec![SortKey {
        or_else: Some(json!(7)),
        ..SortKey::new(path(&["id"]), Direction::Desc)
    }];
    assert_eq!(found(&store, &query), [2, 1, 0].map(|i| id(i).to_string()));
}

#[test]
fn a_reference_is_followed_by_id_by_full_name_and_from_a_list() {
    let (mut store, notes) = store_of(&[
        json!({"by": "ada"}),
        json!({"by": "people/ada"}),
        json!({"by": ["bob", "people/ada"]}),
        json!({"by": "other/ada"}),
        json!({"by": "nobody"}),
        json!({"by": {"x": "ada"}}),
        json!({"by": "gone"}),
    ]);
    let people = [
        ("ada", json!({"born": 1815}), false),
        ("bob", json!({"born": 1900}), false),
        ("gone", json!({"born": 1815}), true),
    ];
    let people: Vec<_> = people
        .into_iter()
        .map(|(name, doc, deleted)| (name, jsonb(&store, &doc), deleted))
        .collect();
    let tx = store.begin().expect("begin");
    let collection = tx.intern_collection(SpaceNo(1), "people").expect("write");
    for (name, body, deleted) in &people {
        let id = DocId::parse(name).expect("a name");
        tx.put_doc(collection, &id, b"", body, *deleted)
            .expect("write");
    }
    tx.commit().expect("commit");
    let refers = |filter: Vec<Filter>| Filter::Refers {
        path: path(&["by"]),
        collection: "people".to_owned(),
        filter,
    };
    let old = refers(vec![condition(&["born"], Op::Lt, json!(1850))]);
    let expected = [0, 1, 2].map(|i| id(i).to_string());
    assert_eq!(matching(&store, notes, vec![old.clone()]), expected);
    assert_eq!(matching(&store, notes, vec![refers(vec![])]), expected);
    let no_one = Filter::Not(Box::new(refers(vec![])));
    assert_eq!(matching(&store, notes, vec![no_one]).len(), 4);
}

#[test]
fn groups_count_and_measure() {
    let (store, notes) = store_of(&[
        json!({"k": "a", "n": 1}),
        json!({"k": "a", "n": 2.5}),
        json!({"k": "b", "n": "x"}),
        json!({"k": true, "n": 3}),
        json!({"k": 1}),
        json!({}),
    ]);
    let key = |name| GroupKey {
        path: path(&[name]),
        or_else: None,
    };
    let measure = |aggregate| Measure {
        aggregate,
        of: key("n"),
    };
    let all = [
        Aggregate::Count,
        Aggregate::Sum,
        Aggregate::Avg,
        Aggregate::Min,
        Aggregate::Max,
    ];
    let by_k = Grouping {
        by: vec![key("k")],
        measures: all.map(measure).to_vec(),
    };
    let told: Vec<_> = store
        .group(&Query::all(notes), &by_k)
        .expect("groups")
        .into_iter()
        .map(|group| (group.by[0].clone(), group.count, group.measures))
        .collect();
    let null = Value::Null;
    assert_eq!(
        told,
        [
            (
                null.clone(),
                1,
                vec![
                    json!(0),
                    null.clone(),
                    null.clone(),
                    null.clone(),
                    null.clone()
                ]
            ),
            (
                json!(1),
                1,
                vec![
                    json!(0),
                    null.clone(),
                    null.clone(),
                    null.clone(),
                    null.clone()
                ]
            ),
            (
                json!(true),
                1,
                vec![json!(1), json!(3), json!(3.0), json!(3), json!(3)]
            ),
            (
                json!("a"),
                2,
                vec![json!(2), json!(3.5), json!(1.75), json!(1), json!(2.5)]
            ),
            (
                json!("b"),
                1,
                vec![json!(1), null.clone(), null.clone(), json!("x"), json!("x")]
            ),
        ]
    );
    let total = Grouping {
        by: vec![],
        measures: vec![measure(Aggregate::Sum)],
    };
    let told = store.group(&Query::all(notes), &total).expect("a total");
    assert_eq!((told[0].count, &told[0].measures), (6, &vec![json!(6.5)]));
    let (store, notes) = store_of(&[json!({"n": i64::MAX}), json!({"n": 1})]);
    let error = store
        .group(&Query::all(notes), &total)
        .expect_err("too large");
    assert!(
        matches!(error, StoreError::Query(QueryError::SumTooLarge)),
        "{error:?}"
    );
}

#[test]
fn what_is_said_to_be_used_is_what_sqlite_uses() {
    let docs: Vec<_> = (0..50)
        .map(|i| json!({"a": i % 5, "b": i, "c": i}))
        .collect();
    let (mut store, notes) = store_of(&docs);
    let spec = IndexSpec::new(IndexKind::Fields, vec![path(&["a"]), path(&["b"])]);
    index(&mut store, notes, std::slice::from_ref(&spec));
    let mut query = Query::all(notes);
    query.filter = vec![
        condition(&["a"], Op::Eq, json!(3)),
        condition(&["c"], Op::Gt, json!(10)),
    ];
    query.sort = vec![SortKey {
        path: path(&["b"]),
        or_else: None,
        direction: Direction::Desc,
    }];
    query.limit = Some(2);
    let plan = store.explain(&query).expect("a plan");
    assert_eq!(plan.index, Some((spec.kind, spec.paths)));
    assert!(
        plan.steps.iter().any(|step| step.contains("ix_1_k (k0=?)")),
        "{plan:?}"
    );
    assert!(
        !plan.steps[..3]
            .iter()
            .any(|step| step.contains("TEMP B-TREE FOR ORDER BY")),
        "{plan:?}"
    );
    assert_eq!(
        found(&store, &query),
        [id(48).to_string(), id(43).to_string()]
    );
    query.filter = vec![condition(&["c"], Op::Gt, json!(10))];
    query.sort.clear();
    assert_eq!(store.explain(&query).expect("a plan").index, None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_finds_what_a_plain_loop_finds_with_and_without_indexes(
        docs in prop::collection::vec(any_doc(), 0..12),
        filter in prop::collection::vec(any_filter(), 1..3),
        indexes in prop::collection::vec(any_index(), 0..3),
    ) {
        let (mut store, notes) = store_of(&docs);
        index(&mut store, notes, &indexes);
        let find = |fit: &dyn Fn(usize, &Value) -> bool| -> Vec<String> {
            let all = docs.iter().enumerate().filter(|(i, doc)| fit(*i, doc));
            all.map(|(i, _)| id(i).to_string()).collect()
        };
        let expected = find(&|_, doc| filter.iter().all(|one| plainly(doc, one)));
        let evaluated = find(&|i, doc| fits(&filter, &id(i).to_string(), doc, &NoLookup));
        prop_assert_eq!(&evaluated, &expected);
        let mut query = Query::all(notes);
        query.filter = filter;
        let mut by_sql = found(&store, &query);
        by_sql.sort();
        prop_assert_eq!(store.count(&query).expect("a count"), by_sql.len() as u64);
        prop_assert_eq!(by_sql, expected);
    }

    #[test]
    fn the_order_of_sql_is_the_order_of_places(
        docs in prop::collection::vec(any_doc(), 0..15),
        sort in any_sort(),
        indexes in prop::collection::vec(any_index(), 0..2),
        limit in 1u64..20,
    ) {
        let (mut store, notes) = store_of(&docs);
        index(&mut store, notes, &indexes);
        let mut places: Vec<Cursor> = (docs.iter().enumerate())
            .map(|(i, doc)| Cursor::of(&sort, &id(i), doc))
            .collect();
        places.sort_by(|a, b| a.order(b, &sort));
        let query = Query { sort, limit: Some(limit), ..Query::all(notes) };
        let by_sql: Vec<Cursor> = (store.query(&query).expect("a query").iter())
            .map(|found| found.cursor(&query.sort).expect("a place"))
            .collect();
        places.truncate(limit as usize);
        prop_assert_eq!(by_sql, places);
    }

    #[test]
    fn groups_of_documents_in_memory_are_those_of_sql(
        docs in prop::collection::vec(any_doc(), 0..15),
        grouping in any_grouping(),
        indexes in prop::collection::vec(any_index(), 0..2),
    ) {
        let (mut store, notes) = store_of(&docs);
        index(&mut store, notes, &indexes);
        let by_sql = store.group(&Query::all(notes), &grouping).expect("groups");
        let mut groups = Tally::new(&grouping, &Query::all(notes)).expect("few keys");
        for (i, doc) in docs.iter().enumerate() {
            groups.add(&id(i).to_string(), doc).expect("few groups");
        }
        let here = groups.finish().expect("small sums");
        prop_assert_eq!(here.len(), by_sql.len());
        for (here, by_sql) in here.iter().zip(&by_sql) {
            prop_assert_eq!((&here.by, here.count), (&by_sql.by, by_sql.count));
            let mut pairs = here.measures.iter().zip(&by_sql.measures);
            prop_assert!(pairs.all(|(a, b)| is_near(a, b)), "{here:?} {by_sql:?}");
        }
    }

    #[test]
    fn pages_joined_are_the_whole_in_any_order(
        docs in prop::collection::vec(any_doc(), 0..20),
        sort in any_sort(),
        by_id: Option<bool>,
        page in 1u64..6,
        indexes in prop::collection::vec(any_index(), 0..2),
    ) {
        let (mut store, notes) = store_of(&docs);
        index(&mut store, notes, &indexes);
        let mut sort = sort;
        sort.extend(by_id.map(|down| SortKey {
            path: Vec::new(),
            or_else: None,
            direction: direction(down),
        }));
        let whole = Query { sort, ..Query::all(notes) };
        let expected = found(&store, &whole);
        prop_assert_eq!(expected.len(), docs.len());
        let (mut by_cursor, mut by_offset) = (Vec::new(), Vec::new());
        let mut query = Query { limit: Some(page), ..whole.clone() };
        loop {
            let part = store.query(&query).expect("a page");
            by_cursor.extend(part.iter().map(|found| found.id.to_string()));
            let Some(last) = part.last() else { break };
            let mark = last.cursor(&query.sort).expect("a place").to_string();
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
