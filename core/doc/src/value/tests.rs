//! Properties of the encoding of values.

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::Decoder;

use super::*;

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0i64..70).prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "x{120,140}".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(".{0,4}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(put(&mut out, value, 0));
    out
}

proptest! {
    #[test]
    fn a_list_reads_back(items in prop::collection::vec(any_json(), 0..5)) {
        let value = Value::Array(items);
        let bytes = encoded(&value);
        let mut input = Decoder::new(&bytes);
        let read = read(&mut input, Place::Field, 0).unwrap();
        prop_assert!(input.finish("end").is_ok());
        prop_assert_eq!(read.bytes(), &bytes[..]);
        prop_assert_eq!(read.to_json(), Some(value));
    }

    #[test]
    fn accepted_bytes_are_the_only_encoding_of_their_value(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut input = Decoder::new(&bytes);
        if let Ok(value) = read(&mut input, Place::Inside, 0) {
            let json = value.to_json().unwrap();
            prop_assert_eq!(&encoded(&json)[..], value.bytes());
        }
    }

    #[test]
    fn elements_are_in_a_total_order(values in prop::collection::vec(prop_oneof![
        any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from), (-3i64..3).prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        (-6i64..6).prop_map(|i| Value::from(i as f64 / 2.0)), "[ab]{0,2}".prop_map(Value::from),
    ], 3)) {
        let bytes: Vec<_> = values.iter().map(encoded).collect();
        let [a, b, c] = [0, 1, 2].map(|i| ValueRef::checked(&bytes[i]));
        prop_assert_eq!(a.cmp_elements(b), b.cmp_elements(a).reverse());
        prop_assert_eq!(a.cmp_elements(b) == Ordering::Equal, a == b);
        if a.cmp_elements(b).is_le() && b.cmp_elements(c).is_le() {
            prop_assert!(a.cmp_elements(c).is_le());
        }
    }
}

#[test]
fn keys_inside_a_list_are_sorted() {
    let one = encoded(&json!([{"b": 1, "a": 2}]));
    let other = encoded(&json!([{"a": 2, "b": 1}]));
    assert_eq!(one, other);
}

#[test]
fn nesting_beyond_the_limit_is_refused_both_ways() {
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let bytes = encoded(&nested(VALUE_DEPTH_MAX));
    assert!(read(&mut Decoder::new(&bytes), Place::Field, 0).is_ok());
    assert!(!put(&mut Vec::new(), &nested(VALUE_DEPTH_MAX + 1), 0));
    let deeper: Vec<u8> = [6, 1].iter().copied().cycle().take(2 * 100_000).collect();
    assert!(read(&mut Decoder::new(&deeper), Place::Field, 0).is_err());
}

#[test]
fn a_tag_of_a_newer_version_is_told_from_damage() {
    let newer = read(&mut Decoder::new(&[9]), Place::Field, 0);
    assert!(matches!(
        newer,
        Err(ParcelError::NotUnderstood { found: 9, .. })
    ));
    let damaged = read(&mut Decoder::new(&[0x85, b'a']), Place::Field, 0);
    assert!(matches!(damaged, Err(ParcelError::Malformed(_))));
}
