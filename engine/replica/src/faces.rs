//! Faces for apps that want less than documents: an ordered map (`kv`) and append-only feeds (`feed`), over
//! the same logs, documents, rights and sync.
//!
//! Owns how a value of either is kept in one field of a document, so that it is one register: the last
//! write wins whole. `docs/formats/faces.md` has the bytes.

pub(crate) mod feed;
pub(crate) mod kv;

use serde_json::Value;

use crate::ReplicaError;
use crate::identity::{hex, unhex};

/// The field that holds a value.
pub(crate) const VALUE: &str = "v";
/// Longest value of either face, in bytes as it is kept.
pub const FACE_VALUE_BYTES_MAX: usize = 1 << 20;

/// A value of a map or a feed.
#[derive(Debug, Clone, PartialEq)]
pub enum FaceValue {
    /// Any JSON.
    Json(Value),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl FaceValue {
    /// As the field keeps it. Texts that begin with `=` get another, JSON that is no scalar becomes a
    /// text after `=j`, bytes become hexadecimal after `=x`.
    pub(crate) fn to_field(&self) -> Result<Value, ReplicaError> {
        let kept = match self {
            Self::Json(Value::String(text)) if text.starts_with('=') => {
                Value::String(format!("={text}"))
            }
            Self::Json(value @ (Value::Array(_) | Value::Object(_))) => {
                Value::String(format!("=j{value}"))
            }
            Self::Json(Value::Null) => Value::String("=jnull".to_owned()),
            Self::Json(value) => value.clone(),
            Self::Bytes(bytes) => Value::String(format!("=x{}", hex(bytes))),
        };
        let bytes = kept.as_str().map_or(0, str::len);
        if bytes > FACE_VALUE_BYTES_MAX {
            return Err(ReplicaError::Refused(format!(
                "the value takes {bytes} bytes, at most {FACE_VALUE_BYTES_MAX} are kept: split it, or store a file"
            )));
        }
        Ok(kept)
    }

    /// Reads a field. What nothing here wrote comes as the JSON it is.
    pub(crate) fn of_field(kept: &Value) -> Self {
        let Value::String(text) = kept else {
            return Self::Json(kept.clone());
        };
        let Some(rest) = text.strip_prefix('=') else {
            return Self::Json(kept.clone());
        };
        let as_it_is = || Self::Json(kept.clone());
        if rest.starts_with('=') {
            return Self::Json(Value::String(rest.to_owned()));
        }
        if let Some(json) = rest.strip_prefix('j') {
            return serde_json::from_str(json).map_or_else(|_| as_it_is(), Self::Json);
        }
        match rest.strip_prefix('x').and_then(unhex) {
            Some(bytes) => Self::Bytes(bytes),
            None => as_it_is(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[=jx]{0,3}\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 0..3).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_back_from_its_field(json in any_json(), bytes: Vec<u8>) {
            for value in [FaceValue::Json(json), FaceValue::Bytes(bytes)] {
                let kept = value.to_field().unwrap();
                prop_assert!(!kept.is_array() && !kept.is_object() && !kept.is_null());
                prop_assert_eq!(FaceValue::of_field(&kept), value);
            }
        }

        #[test]
        fn no_field_makes_a_reader_panic(kept in any_json()) {
            let _ = FaceValue::of_field(&kept);
        }
    }

    #[test]
    fn a_value_beyond_the_limit_is_refused() {
        let most = "a".repeat(FACE_VALUE_BYTES_MAX);
        assert!(FaceValue::Json(json!(most)).to_field().is_ok());
        assert!(FaceValue::Json(json!(most + "a")).to_field().is_err());
    }
}
