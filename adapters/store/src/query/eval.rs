//! What a query means, one document at a time: the rules that the SQL of `compile` follows, for
//! documents that are in memory (live queries, earlier times) and for tests against the SQL.

use std::cmp::Ordering;

use rusqlite::types::Value as SqlValue;
use serde_json::{Number, Value};
use stead_base::DocId;

use super::{Condition, Cursor, Filter, Scalar, SortKey, Test};

/// Finds the documents that others refer to.
pub trait Lookup {
    /// The visible fields of a document that is there and not deleted.
    fn look_up(&self, collection: &str, id: &DocId) -> Option<Value>;
}

/// Knows no other document.
#[derive(Debug, Clone, Copy)]
pub struct NoLookup;

impl Lookup for NoLookup {
    fn look_up(&self, _: &str, _: &DocId) -> Option<Value> {
        None
    }
}

/// Whether a document satisfies all filters.
pub fn fits(filters: &[Filter], id: &str, document: &Value, others: &dyn Lookup) -> bool {
    filters
        .iter()
        .all(|filter| holds(filter, id, document, others))
}

fn holds(filter: &Filter, id: &str, document: &Value, others: &dyn Lookup) -> bool {
    match filter {
        Filter::Is(condition) => is(condition, id, document),
        Filter::All(inner) => fits(inner, id, document, others),
        Filter::Any(inner) => inner.iter().any(|one| holds(one, id, document, others)),
        Filter::Not(inner) => !holds(inner, id, document, others),
        Filter::Refers {
            path,
            collection,
            filter,
        } => {
            let refers = |name: &Value| {
                let Some(other) = name.as_str().and_then(|name| referred(name, collection)) else {
                    return false;
                };
                others
                    .look_up(collection, &other)
                    .is_some_and(|value| fits(filter, &other.to_string(), &value, others))
            };
            match at(document, path) {
                Some(name @ Value::String(_)) => refers(name),
                Some(Value::Array(names)) => names.iter().any(refers),
                _ => false,
            }
        }
    }
}

/// The id that a reference names: alone, or behind its collection's name.
pub(crate) fn referred(name: &str, collection: &str) -> Option<DocId> {
    let own = name
        .strip_prefix(collection)
        .and_then(|rest| rest.strip_prefix('/'));
    DocId::parse(own.unwrap_or(name)).ok()
}

/// The value at a path.
pub(crate) fn at<'v>(document: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(document, |value, name| match value {
        Value::Object(fields) => fields.get(name),
        Value::Array(elements) if name.bytes().all(|byte| byte.is_ascii_digit()) => {
            elements.get(name.parse::<usize>().ok()?)
        }
        _ => None,
    })
}

fn is(condition: &Condition, id: &str, document: &Value) -> bool {
    let id_value;
    let found = match (at(document, &condition.path), &condition.path[..]) {
        (None, [name]) if name == "id" => {
            id_value = Value::from(id);
            Some(&id_value)
        }
        (found, _) => found,
    };
    let order = |wanted: &Scalar| found.and_then(|found| compare(found, wanted));
    match &condition.test {
        Test::Eq(wanted) => order(wanted) == Some(Ordering::Equal),
        Test::Ne(wanted) => order(wanted) != Some(Ordering::Equal),
        Test::Lt(wanted) => order(wanted) == Some(Ordering::Less),
        Test::Le(wanted) => order(wanted).is_some_and(Ordering::is_le),
        Test::Gt(wanted) => order(wanted) == Some(Ordering::Greater),
        Test::Ge(wanted) => order(wanted).is_some_and(Ordering::is_ge),
        Test::In(all) => all.iter().any(|one| order(one) == Some(Ordering::Equal)),
        Test::Prefix(start) => {
            matches!(found, Some(Value::String(text)) if text.starts_with(start))
        }
        Test::Exists => found.is_some(),
        Test::Missing => found.is_none(),
        Test::Contains(wanted) => match (found, wanted) {
            (Some(Value::String(text)), Scalar::Text(part)) => text
                .to_ascii_lowercase()
                .contains(&part.to_ascii_lowercase()),
            (Some(Value::Array(elements)), wanted) => elements
                .iter()
                .any(|element| compare(element, wanted) == Some(Ordering::Equal)),
            _ => false,
        },
    }
}

/// The order of two scalars of one type; none across types.
fn compare(a: &Value, b: &Scalar) -> Option<Ordering> {
    match (a, b) {
        (Value::Null, Scalar::Null) => Some(Ordering::Equal),
        (Value::Bool(a), Scalar::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Scalar::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Number(a), Scalar::Int(b)) => compare_sql(&number(a), &SqlValue::Integer(*b)),
        (Value::Number(a), Scalar::Float(b)) => compare_sql(&number(a), &SqlValue::Real(*b)),
        _ => None,
    }
}

fn number(number: &Number) -> SqlValue {
    match number.as_i64() {
        Some(whole) => SqlValue::Integer(whole),
        None => SqlValue::Real(number.as_f64().unwrap_or_default()),
    }
}

/// SQLite's order: null, then numbers (whole and other compared exactly), then texts.
pub(crate) fn compare_sql(a: &SqlValue, b: &SqlValue) -> Option<Ordering> {
    use SqlValue::{Integer, Null, Real, Text};
    Some(match (a, b) {
        (Integer(a), Integer(b)) => a.cmp(b),
        (Real(a), Real(b)) => a.partial_cmp(b)?,
        (Integer(a), Real(b)) => compare_int_float(*a, *b)?,
        (Real(a), Integer(b)) => compare_int_float(*b, *a)?.reverse(),
        (Text(a), Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Null, Null) => Ordering::Equal,
        (Null, _) | (Integer(_) | Real(_), Text(_)) => Ordering::Less,
        _ => Ordering::Greater,
    })
}

fn compare_int_float(a: i64, b: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if b.is_nan() {
        return None;
    }
    if b >= BEYOND {
        return Some(Ordering::Less);
    }
    if b < -BEYOND {
        return Some(Ordering::Greater);
    }
    // Within 64 bits the whole part converts exactly.
    let whole = b.trunc() as i64;
    Some(
        a.cmp(&whole)
            .then_with(|| 0.0_f64.partial_cmp(&b.fract()).unwrap_or(Ordering::Equal)),
    )
}

/// What a value is sorted as.
pub(crate) fn sort_value(value: Option<&Value>) -> SqlValue {
    match value {
        None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => SqlValue::Null,
        Some(Value::Bool(value)) => SqlValue::Integer(i64::from(*value)),
        Some(Value::Number(value)) => number(value),
        Some(Value::String(text)) => SqlValue::Text(text.clone()),
    }
}

impl Cursor {
    /// Where a document stands in an order.
    pub fn of(sort: &[SortKey], id: &DocId, document: &Value) -> Self {
        let keys = sort.iter().take_while(|key| !key.path.is_empty());
        let values = keys.map(|key| match (at(document, &key.path), &key.path[..]) {
            (None, [name]) if name == "id" => SqlValue::Text(id.to_string()),
            (found, _) => sort_value(found.or(key.or_else.as_ref())),
        });
        Self::new(id.clone(), values.collect())
    }

    /// Compares two places of one order.
    pub fn order(&self, other: &Self, sort: &[SortKey]) -> Ordering {
        let values = self.sorted_by.iter().zip(&other.sorted_by).zip(sort);
        let id_direction = sort.iter().find(|key| key.path.is_empty());
        values
            .map(|((a, b), key)| {
                let order = compare_sql(a, b).unwrap_or(Ordering::Equal);
                if key.direction.is_desc() {
                    order.reverse()
                } else {
                    order
                }
            })
            .find(|order| order.is_ne())
            .unwrap_or_else(|| {
                let order = self.id.cmp(&other.id);
                match id_direction {
                    Some(key) if key.direction.is_desc() => order.reverse(),
                    _ => order,
                }
            })
    }

    /// The document.
    pub const fn id(&self) -> &DocId {
        &self.id
    }
}
