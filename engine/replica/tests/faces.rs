//! Maps and feeds: ordered scans against a plain map, the same on every device, and proofs that notice
//! whatever was done to a value afterwards.

mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::{DocId, Hlc, SpaceId};
use stead_replica::{Change, Edit, FaceValue, Key, Range};
use world::{Device, link, sync};

const MAP: &str = "prices";
const FEED: &str = "readings";

fn json_of(value: Value) -> FaceValue {
    FaceValue::Json(value)
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn put(device: &mut Device, space: &SpaceId, entries: &[(&str, Option<Value>)]) -> Hlc {
    device.now += 10;
    let entries: Vec<_> = entries
        .iter()
        .map(|(text, value)| (key(text), value.clone().map(json_of)))
        .collect();
    let receipt = device
        .replica
        .kv_put(space, MAP, &entries, device.now)
        .unwrap();
    receipt.hlc
}

fn keys(device: &Device, space: &SpaceId, range: &Range) -> Vec<String> {
    let (found, _) = device.replica.kv_range(space, MAP, range).unwrap();
    found.into_iter().map(|(key, _)| key).collect()
}

fn pair() -> (Device, Device, SpaceId) {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    let space = a.replica.create_space("shop", a.now).unwrap();
    link(&mut a, &mut b);
    sync(&mut a, &mut b);
    (a, b, space)
}

fn any_range() -> impl Strategy<Value = Range> {
    let bound = || prop::option::of("[a-c./~]{0,3}");
    let prefix = prop::option::of("[a-c./]{1,2}");
    let limit = prop::option::of(1..6usize);
    (
        bound(),
        any::<bool>(),
        bound(),
        any::<bool>(),
        prefix,
        any::<bool>(),
        limit,
    )
        .prop_map(
            |(from, from_open, to, to_open, prefix, reverse, limit)| Range {
                from,
                from_open,
                to,
                to_open,
                prefix,
                reverse,
                limit,
            },
        )
}

fn expected(model: &BTreeMap<String, i64>, range: &Range) -> Vec<String> {
    let fits = |key: &&String| {
        let from = range.from.as_ref().is_none_or(|it| {
            if range.from_open {
                *key > it
            } else {
                *key >= it
            }
        });
        let to = range
            .to
            .as_ref()
            .is_none_or(|it| if range.to_open { *key < it } else { *key <= it });
        let prefix = range.prefix.as_ref();
        from && to && prefix.is_none_or(|it| key.starts_with(it.as_str()))
    };
    let mut all: Vec<String> = model.keys().filter(fits).cloned().collect();
    if range.reverse {
        all.reverse();
    }
    all.truncate(range.limit.unwrap_or(usize::MAX));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn scans_return_what_a_plain_ordered_map_would(
        writes in prop::collection::vec(("[a-c./~]{1,3}", prop::option::weighted(0.8, any::<i64>())), 1..30),
        ranges in prop::collection::vec(any_range(), 6),
    ) {
        let mut device = Device::new(1);
        let space = device.replica.create_space("shop", device.now).unwrap();
        // Documents of the same collection that are no keys are passed over.
        device.write(&space, &[Edit {
            collection: MAP.to_owned(),
            id: None,
            change: Change::Put { value: json!({"v": 1}), replace: false },
        }]);
        let mut model = BTreeMap::new();
        for (text, value) in &writes {
            put(&mut device, &space, &[(text, value.map(Value::from))]);
            match value {
                Some(value) => model.insert(text.clone(), *value),
                None => model.remove(text),
            };
        }
        for range in &ranges {
            prop_assert_eq!(keys(&device, &space, range), expected(&model, range), "{:?}", range);
        }
        // Page by page is the same as at once.
        let mut paged = Vec::new();
        let mut range = Range { limit: Some(2), ..Range::default() };
        loop {
            let (found, more) = device.replica.kv_range(&space, MAP, &range).unwrap();
            paged.extend(found.iter().map(|(key, _)| key.clone()));
            if !more {
                break;
            }
            range.from = found.last().map(|(key, _)| key.clone());
            range.from_open = true;
        }
        prop_assert_eq!(paged, model.keys().cloned().collect::<Vec<_>>());
    }
}

#[test]
fn two_devices_end_with_the_same_map_and_each_tells_its_history_and_differences() {
    let (mut a, mut b, space) = pair();
    let start = put(
        &mut a,
        &space,
        &[("apple", Some(json!(1))), ("pear", Some(json!({"chf": 2})))],
    );
    sync(&mut a, &mut b);
    // Apart: both write one key, one deletes another.
    put(&mut a, &space, &[("apple", Some(json!("a")))]);
    b.now = a.now + 5;
    put(
        &mut b,
        &space,
        &[("apple", Some(json!([1, 2]))), ("fig", Some(Value::Null))],
    );
    let last = put(&mut b, &space, &[("pear", None)]);
    sync(&mut a, &mut b);
    let all = Range::default();
    let shown = |of: &Device| of.replica.kv_range(&space, MAP, &all).unwrap().0;
    assert_eq!(shown(&a), shown(&b));
    assert_eq!(
        shown(&a),
        [
            ("apple".to_owned(), json_of(json!([1, 2]))),
            ("fig".to_owned(), json_of(Value::Null)),
        ]
    );
    let (changes, next) = a.replica.kv_history(&space, MAP, None, None, 100).unwrap();
    assert_eq!((changes.len(), next), (6, None));
    assert_eq!((&*changes[0].key, &changes[0].value), ("pear", &None));
    let apple = a
        .replica
        .kv_history(&space, MAP, Some(&key("apple")), None, 2);
    let (apple, next) = apple.unwrap();
    assert_eq!((apple.len(), next.is_some()), (2, true));
    let rest = a
        .replica
        .kv_history(&space, MAP, Some(&key("apple")), next, 2);
    assert_eq!(rest.unwrap().0[0].value, Some(json_of(json!(1))));

    let differs = |of: &Device, from, to| -> Vec<(String, bool, bool)> {
        let found = of.replica.kv_diff(&space, MAP, from, to).unwrap();
        let told = found.into_iter();
        told.map(|it| (it.key, it.before.is_some(), it.after.is_some()))
            .collect()
    };
    let told = differs(&a, start, Hlc::from_u64(u64::MAX));
    assert_eq!(
        told,
        [
            ("apple".to_owned(), true, true),
            ("fig".to_owned(), false, true),
            ("pear".to_owned(), true, false),
        ]
    );
    assert_eq!(told, differs(&b, start, last));
    assert_eq!(differs(&a, Hlc::ZERO, start).len(), 2);
    assert!(differs(&a, last, Hlc::from_u64(u64::MAX)).is_empty());
}

#[test]
fn a_feed_is_numbered_for_each_device_and_every_value_is_proven_everywhere() {
    let (mut a, mut b, space) = pair();
    let values: Vec<FaceValue> = (0..5).map(|n| json_of(json!({ "n": n }))).collect();
    let (mine, first, len) = a.replica.feed_append(&space, FEED, &values, a.now).unwrap();
    assert_eq!((first, len), (0, 5));
    let one = [FaceValue::Bytes(vec![0, 255])];
    let (_, first, len) = a.replica.feed_append(&space, FEED, &one, a.now).unwrap();
    assert_eq!((first, len), (5, 6));
    sync(&mut a, &mut b);
    let (theirs, first, _) = b.replica.feed_append(&space, FEED, &values, b.now).unwrap();
    assert_eq!(first, 0);
    sync(&mut a, &mut b);
    for device in [&a, &b] {
        let parts = device.replica.feed_parts(&space, FEED).unwrap();
        assert_eq!(parts.iter().map(|part| part.len).sum::<u64>(), 11);
        for (writer, len) in [(&mine, 6), (&theirs, 5)] {
            let check = device.replica.feed_check(&space, FEED, writer).unwrap();
            assert_eq!(
                (check.proven, check.missing.len(), check.wrong.len()),
                (len, 0, 0)
            );
        }
        let last = device
            .replica
            .feed_get(&space, FEED, &mine, 5)
            .unwrap()
            .unwrap();
        assert_eq!((last.value, last.proven), (one[0].clone(), Some(true)));
        assert!(
            device
                .replica
                .feed_get(&space, FEED, &mine, 6)
                .unwrap()
                .is_none()
        );
        let some = device.replica.feed_read(&space, FEED, &mine, 2, 2).unwrap();
        assert_eq!(
            some.iter().map(|item| item.index).collect::<Vec<_>>(),
            [2, 3]
        );
    }
}

#[test]
fn a_value_that_was_changed_or_deleted_after_it_was_appended_is_noticed() {
    let (mut a, mut b, space) = pair();
    let values: Vec<FaceValue> = (0..4).map(|n| json_of(json!(n))).collect();
    let (writer, ..) = a.replica.feed_append(&space, FEED, &values, a.now).unwrap();
    sync(&mut a, &mut b);
    let prefix = &writer.to_string()[..32];
    let id = |n: u64| Some(DocId::parse(&format!("{prefix}-{n:012}")).unwrap());
    let edit = |n, change| Edit {
        collection: FEED.to_owned(),
        id: id(n),
        change,
    };
    let set = |path: &str, value| Change::Set {
        path: vec![path.to_owned()],
        value,
    };
    b.write(
        &space,
        &[
            edit(1, set("v", json!("other"))),
            // It points elsewhere: to an entry that says nothing of it.
            edit(2, set("at", json!(0))),
            edit(3, Change::Delete),
        ],
    );
    sync(&mut a, &mut b);
    for device in [&a, &b] {
        let check = device.replica.feed_check(&space, FEED, &writer).unwrap();
        assert_eq!(
            (check.proven, check.wrong, check.missing),
            (1, vec![1, 2], vec![3])
        );
        let item = device
            .replica
            .feed_get(&space, FEED, &writer, 1)
            .unwrap()
            .unwrap();
        assert_eq!(item.proven, Some(false));
        assert!(
            device
                .replica
                .feed_get(&space, FEED, &writer, 3)
                .unwrap()
                .is_none()
        );
    }
    // The number is not used again.
    let (_, first, len) = a
        .replica
        .feed_append(&space, FEED, &values[..1], a.now)
        .unwrap();
    assert_eq!((first, len), (4, 5));
}
