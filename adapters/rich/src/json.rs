//! Values between JSON and Loro. Bounded in depth, whatever a hostile update nested.

use loro::LoroValue;
use serde_json::{Map, Number, Value};
use stead_doc::{RichError, VALUE_DEPTH_MAX};

use crate::guard::refused;

/// A JSON value for Loro; refuses one that nests too deep.
pub(crate) fn to_loro(value: &Value) -> Result<LoroValue, RichError> {
    nested(value, 0)
}

fn nested(value: &Value, depth: usize) -> Result<LoroValue, RichError> {
    if depth > VALUE_DEPTH_MAX {
        return Err(refused(format!(
            "a value nests deeper than {VALUE_DEPTH_MAX} levels"
        )));
    }
    Ok(match value {
        Value::Null => LoroValue::Null,
        Value::Bool(value) => LoroValue::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(int) => LoroValue::I64(int),
            None => LoroValue::Double(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => LoroValue::from(text.as_str()),
        Value::Array(items) => {
            let items = items.iter().map(|item| nested(item, depth + 1));
            LoroValue::from(items.collect::<Result<Vec<_>, _>>()?)
        }
        Value::Object(entries) => {
            let mut map = std::collections::HashMap::new();
            for (key, value) in entries {
                map.insert(key.clone(), nested(value, depth + 1)?);
            }
            LoroValue::from(map)
        }
    })
}

/// A value of Loro as JSON. What nests too deep, and what is no JSON, shows as null.
pub(crate) fn from_loro(value: &LoroValue) -> Value {
    shown(value, 0)
}

fn shown(value: &LoroValue, depth: usize) -> Value {
    if depth > VALUE_DEPTH_MAX {
        return Value::Null;
    }
    match value {
        LoroValue::Null | LoroValue::Container(_) => Value::Null,
        LoroValue::Bool(value) => Value::Bool(*value),
        LoroValue::I64(value) => Value::Number(Number::from(*value)),
        LoroValue::Double(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
        LoroValue::String(text) => Value::String(text.to_string()),
        LoroValue::Binary(bytes) => bytes.iter().map(|byte| Value::from(*byte)).collect(),
        LoroValue::List(items) => items.iter().map(|item| shown(item, depth + 1)).collect(),
        LoroValue::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| key.as_str());
            let each = |(key, value): (&String, &LoroValue)| (key.clone(), shown(value, depth + 1));
            Value::Object(sorted.into_iter().map(each).collect::<Map<_, _>>())
        }
    }
}
