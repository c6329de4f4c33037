//! Whether one document fits a query's conditions: the store's rules, for documents already read.

use std::cmp::Ordering;

use serde_json::Value;
use stead_api::{Filter, Predicate};

/// The name under which conditions and orders find a document's id.
pub(super) const ID_FIELD: &str = "id";

/// Whether a document fits all conditions.
pub(super) fn fits(filters: &[Filter], id: &str, document: &Value) -> bool {
    let id = Value::from(id);
    filters
        .iter()
        .all(|filter| holds(filter, field(&filter.path, &id, document)))
}

/// Whether a condition is about the id, which the store's queries do not know as a field.
pub(super) fn may_mean_id(filter: &Filter) -> bool {
    is_id(&filter.path)
}

/// Whether a path may name the id.
pub(super) fn is_id(path: &[String]) -> bool {
    matches!(path, [name] if name == ID_FIELD)
}

fn field<'v>(path: &[String], id: &'v Value, document: &'v Value) -> Option<&'v Value> {
    let mut at = document;
    for name in path {
        match at.get(name.as_str()) {
            Some(below) => at = below,
            None if path.len() == 1 && name == ID_FIELD => return Some(id),
            None => return None,
        }
    }
    Some(at)
}

fn holds(filter: &Filter, found: Option<&Value>) -> bool {
    let wanted = &filter.value;
    let ordered = |fits: fn(Ordering) -> bool| {
        found
            .and_then(|found| compare(found, wanted))
            .is_some_and(fits)
    };
    match filter.is {
        Predicate::Exists => found.is_some(),
        Predicate::Missing => found.is_none(),
        Predicate::Eq => found.is_some_and(|found| equal(found, wanted)),
        Predicate::Ne => !found.is_some_and(|found| equal(found, wanted)),
        Predicate::Lt => ordered(Ordering::is_lt),
        Predicate::Le => ordered(Ordering::is_le),
        Predicate::Gt => ordered(Ordering::is_gt),
        Predicate::Ge => ordered(Ordering::is_ge),
        Predicate::Contains => match (found, wanted) {
            (Some(Value::String(text)), Value::String(part)) => text
                .to_ascii_lowercase()
                .contains(&part.to_ascii_lowercase()),
            (Some(Value::Array(elements)), wanted) => {
                elements.iter().any(|element| equal(element, wanted))
            }
            _ => false,
        },
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (a, b) => compare(a, b) == Some(Ordering::Equal),
    }
}

/// Compares values of one type; others have no order.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fit(path: &[&str], is: Predicate, value: Value) -> bool {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        let document =
            json!({"n": 3, "t": "Bern", "deep": {"x": null}, "tags": ["a", 2], "b": true});
        fits(&[Filter { path, is, value }], "doc-1", &document)
    }

    #[test]
    fn values_of_different_types_are_never_equal_or_ordered() {
        assert!(fit(&["n"], Predicate::Eq, json!(3.0)));
        assert!(!fit(&["n"], Predicate::Eq, json!("3")));
        assert!(!fit(&["n"], Predicate::Lt, json!("4")));
        assert!(!fit(&["t"], Predicate::Gt, json!(1)));
        assert!(fit(&["n"], Predicate::Le, json!(3)));
    }

    #[test]
    fn a_missing_field_fits_only_ne_and_missing() {
        for is in [
            Predicate::Eq,
            Predicate::Lt,
            Predicate::Ge,
            Predicate::Contains,
            Predicate::Exists,
        ] {
            assert!(!fit(&["none"], is, json!(null)), "{is:?}");
        }
        assert!(fit(&["none"], Predicate::Ne, json!(1)));
        assert!(fit(&["none"], Predicate::Missing, json!(null)));
        assert!(fit(&["deep", "x"], Predicate::Exists, json!(null)));
        assert!(fit(&["deep", "x"], Predicate::Eq, json!(null)));
    }

    #[test]
    fn contains_looks_into_texts_in_either_case_and_into_arrays() {
        assert!(fit(&["t"], Predicate::Contains, json!("ERN")));
        assert!(fit(&["tags"], Predicate::Contains, json!("a")));
        assert!(fit(&["tags"], Predicate::Contains, json!(2)));
        assert!(!fit(&["tags"], Predicate::Contains, json!("2")));
    }

    #[test]
    fn the_id_is_found_under_its_name() {
        assert!(fit(&["id"], Predicate::Eq, json!("doc-1")));
        let document = json!({"id": 7});
        let path = vec!["id".to_owned()];
        let filter = Filter {
            path,
            is: Predicate::Eq,
            value: json!(7),
        };
        assert!(fits(&[filter], "doc-1", &document));
    }
}
