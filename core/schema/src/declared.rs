//! Rust types as declarations: what each type declares, and its way to JSON and back. The macros of
//! `stead-schema-derive` write the code for structs and enums with the help of what stands here.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use serde_json::{Map, Number, Value};

use crate::json::{Declaration, indexes_from_json, search_from_json};
use crate::kind::{Fault, Field, Fields, Items, Kind, below, item};
use crate::scalar::{Bounds, Pattern, Scalar, found};

/// A type that a field can have.
pub trait Declared: Sized {
    /// Whether a document may lack it.
    const OPTIONAL: bool = false;

    /// What it declares.
    fn kind() -> Kind;

    /// Its JSON; `None` if the field is left out.
    fn to_value(&self) -> Option<Value>;

    /// Reads it; `None` is a field that is not there.
    fn from_value(value: Option<&Value>, path: &str) -> Result<Self, Fault>;
}

/// A struct whose fields are declared.
pub trait Record: Declared {
    /// Its fields by their names.
    fn fields() -> Fields;

    /// The JSON object of its fields.
    fn to_json(&self) -> Value;
}

/// A struct that declares a collection.
pub trait Collection: Record {
    /// The collection.
    const COLLECTION: &'static str;

    /// What its documents hold.
    fn declaration() -> Declaration;

    /// Reads a document.
    fn from_json(json: &Value) -> Result<Self, Fault> {
        Self::from_value(Some(json), "")
    }
}

/// An integer that additions made apart add up in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter(pub i64);

/// Text that merges character by character.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RichText(pub String);

/// A list that merges item by item; a `Vec` is replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergingList<T>(pub Vec<T>);

/// A moment: `2026-11-27T02:37:59.000Z`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub String);

/// A blob, by the 64 hexadecimal digits of its hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blob(pub String);

/// A reference to a document of another declared collection, by its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ref<T> {
    /// The id.
    pub id: String,
    of: PhantomData<fn() -> T>,
}

impl<T> Ref<T> {
    /// Refers to a document.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            of: PhantomData,
        }
    }
}

/// A field of a declared type.
pub fn field_of<T: Declared>() -> Field {
    Field {
        optional: T::OPTIONAL,
        ..Field::new(T::kind())
    }
}

/// Whatever a type declares, what was found is not that.
pub fn not_declared<T: Declared>(value: Option<&Value>, path: &str) -> Fault {
    Fault {
        path: path.to_owned(),
        expected: T::kind().expected(),
        found: value.map_or_else(|| "nothing".to_owned(), found),
    }
}

/// The entries of a JSON object.
pub fn entries_of<'v>(
    value: Option<&'v Value>,
    path: &str,
) -> Result<&'v Map<String, Value>, Fault> {
    value.and_then(Value::as_object).ok_or_else(|| Fault {
        path: path.to_owned(),
        expected: "a map of its fields".to_owned(),
        found: value.map_or_else(|| "nothing".to_owned(), found),
    })
}

/// One entry, as a declared type.
pub fn entry_of<T: Declared>(
    entries: &Map<String, Value>,
    name: &str,
    path: &str,
) -> Result<T, Fault> {
    T::from_value(entries.get(name), &below(path, name))
}

/// An object of the entries that are there.
pub fn object_of<const N: usize>(entries: [(&str, Option<Value>); N]) -> Value {
    let there = entries
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}

/// A declaration of fields with indexes and searched fields by their paths. A text that is no path is
/// left out: the macro's test of the declaration finds it.
pub fn declaration_of(fields: Fields, indexes: &[&[&str]], search: &[&str]) -> Declaration {
    let indexes: Value = indexes
        .iter()
        .map(|index| index.iter().copied().map(Value::from).collect::<Value>())
        .collect();
    let search: Value = search.iter().copied().collect();
    Declaration {
        fields,
        indexes: indexes_from_json(&indexes).unwrap_or_default(),
        search: search_from_json(&search).unwrap_or_default(),
    }
}

/// Rules that attributes give to a field. A rule that does not fit the kind is left for the check of
/// the declaration, which refuses what makes no sense.
impl Field {
    /// What a document that lacks it shows.
    #[must_use]
    pub fn or(self, default: Value) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }

    /// The least and the greatest number.
    #[must_use]
    pub fn within(mut self, min: Option<f64>, max: Option<f64>) -> Self {
        match &mut self.kind {
            Kind::Value(Scalar::Int(range)) => {
                *range = Bounds {
                    min: min.map(|min| min as i64),
                    max: max.map(|max| max as i64),
                };
            }
            Kind::Value(Scalar::Float(range)) => *range = Bounds { min, max },
            _ => {}
        }
        self
    }

    /// The least and the greatest length.
    #[must_use]
    pub fn of_length(mut self, min: Option<f64>, max: Option<f64>) -> Self {
        let bounds = Bounds {
            min: min.map(|min| min as u64),
            max: max.map(|max| max as u64),
        };
        match &mut self.kind {
            Kind::Value(Scalar::String { length, .. } | Scalar::Bytes { length })
            | Kind::Array(Items { length, .. })
            | Kind::List(Items { length, .. }) => *length = bounds,
            _ => {}
        }
        self
    }

    /// What the whole text must match. A pattern that does not compile matches nothing.
    #[must_use]
    pub fn matching(mut self, text: &str) -> Self {
        if let Kind::Value(Scalar::String { pattern, .. }) = &mut self.kind {
            *pattern = Pattern::new(text)
                .or_else(|_| Pattern::new("[^\\s\\S]"))
                .ok();
        }
        self
    }

    /// No two items are equal.
    #[must_use]
    pub fn without_repetitions(mut self) -> Self {
        if let Kind::Array(items) | Kind::List(items) = &mut self.kind {
            items.unique = true;
        }
        self
    }
}

macro_rules! declared {
    ($($kind:ty => $scalar:expr, $to:expr, $from:expr;)*) => {$(
        impl Declared for $kind {
            fn kind() -> Kind {
                Kind::Value($scalar)
            }

            fn to_value(&self) -> Option<Value> {
                let to: fn(&Self) -> Option<Value> = $to;
                to(self)
            }

            fn from_value(value: Option<&Value>, path: &str) -> Result<Self, Fault> {
                let from: fn(&Value) -> Option<Self> = $from;
                value.and_then(from).ok_or_else(|| not_declared::<Self>(value, path))
            }
        }
    )*};
}

const TEXT: Scalar = Scalar::String {
    length: Bounds {
        min: None,
        max: None,
    },
    pattern: None,
};

declared! {
    bool => Scalar::Bool, |b| Some((*b).into()), Value::as_bool;
    i64 => Scalar::Int(Bounds::default()), |n| Some((*n).into()), Value::as_i64;
    i32 => Scalar::Int(Bounds { min: Some(i32::MIN.into()), max: Some(i32::MAX.into()) }), |n| Some((*n).into()),
        |v| v.as_i64()?.try_into().ok();
    u32 => Scalar::Int(Bounds { min: Some(0), max: Some(u32::MAX.into()) }), |n| Some((*n).into()),
        |v| v.as_i64()?.try_into().ok();
    f64 => Scalar::Float(Bounds::default()), |f| Number::from_f64(*f).map(Value::Number), Value::as_f64;
    String => TEXT, |s| Some(s.as_str().into()), |v| v.as_str().map(str::to_owned);
    DateTime => Scalar::DateTime, |t| Some(t.0.as_str().into()), |v| v.as_str().map(|t| Self(t.to_owned()));
    Blob => Scalar::Blob, |t| Some(t.0.as_str().into()), |v| v.as_str().map(|t| Self(t.to_owned()));
}

impl<T: Collection> Declared for Ref<T> {
    fn kind() -> Kind {
        Kind::Value(Scalar::Ref(Some(T::COLLECTION.to_owned())))
    }

    fn to_value(&self) -> Option<Value> {
        Some(self.id.as_str().into())
    }

    fn from_value(value: Option<&Value>, path: &str) -> Result<Self, Fault> {
        let id = value.and_then(Value::as_str);
        id.map(Self::new)
            .ok_or_else(|| not_declared::<Self>(value, path))
    }
}

impl Declared for Value {
    fn kind() -> Kind {
        Kind::Any
    }

    fn to_value(&self) -> Option<Value> {
        Some(self.clone())
    }

    fn from_value(value: Option<&Value>, _: &str) -> Result<Self, Fault> {
        Ok(value.cloned().unwrap_or_default())
    }
}

impl Declared for Counter {
    fn kind() -> Kind {
        Kind::Counter
    }

    fn to_value(&self) -> Option<Value> {
        Some(self.0.into())
    }

    fn from_value(value: Option<&Value>, path: &str) -> Result<Self, Fault> {
        match value {
            None => Ok(Self(0)),
            Some(there) => there
                .as_i64()
                .map(Self)
                .ok_or_else(|| not_declared::<Self>(value, path)),
        }
    }
}

impl Declared for RichText {
    fn kind() -> Kind {
        Kind::Text
    }

    fn to_value(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }

    fn from_value(value: Option<&Value>, path: &str) -> Result<Self, Fault> {
        match value {
            None => Ok(Self::default()),
            Some(Value::String(text)) => Ok(Self(text.clone())),
            Some(_) => Err(not_declared::<Self>(value, path)),
        }
    }
}

impl<T: Declared> Declared for Option<T> {
    const OPTIONAL: bool = true;

    fn kind() -> Kind {
        T::kind()
    }

    fn to_value(&self) -> Option<Value> {
        self.as_ref()?.to_value()
    }

    fn from_value(value: Option<&Value>, path: &str) -> Result<Self, Fault> {
        value.map(|_| T::from_value(value, path)).transpose()
    }
}

fn items<T: Declared>(value: Option<&Value>, path: &str) -> Result<Vec<T>, Fault> {
    let Some(Value::Array(values)) = value else {
        return Err(not_declared::<Vec<T>>(value, path));
    };
    values
        .iter()
        .enumerate()
        .map(|(index, value)| T::from_value(Some(value), &item(path, index)))
        .collect()
}

fn items_of<T: Declared>() -> Items {
    Items {
        of: Box::new(T::kind()),
        length: Bounds::default(),
        unique: false,
    }
}

impl<T: Declared> Declared for Vec<T> {
    fn kind() -> Kind {
        Kind::Array(items_of::<T>())
    }

    fn to_value(&self) -> Option<Value> {
        Some(self.iter().filter_map(T::to_value).collect())
    }

    fn from_value(value: Option<&Value>, path: &str) -> Result<Self, Fault> {
        items(value, path)
    }
}

impl<T: Declared> Declared for MergingList<T> {
    fn kind() -> Kind {
        Kind::List(items_of::<T>())
    }

    fn to_value(&self) -> Option<Value> {
        self.0.to_value()
    }

    fn from_value(value: Option<&Value>, path: &str) -> Result<Self, Fault> {
        match value {
            None => Ok(Self(Vec::new())),
            value => items(value, path).map(Self),
        }
    }
}

impl<T: Declared + Ord> Declared for BTreeSet<T> {
    fn kind() -> Kind {
        match T::kind() {
            Kind::Value(scalar) => Kind::Set(scalar),
            // Not a set: the check of the declaration refuses nothing, and the list is without repetitions.
            of => Kind::Array(Items {
                of: Box::new(of),
                length: Bounds::default(),
                unique: true,
            }),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(self.iter().filter_map(T::to_value).collect())
    }

    fn from_value(value: Option<&Value>, path: &str) -> Result<Self, Fault> {
        match value {
            None => Ok(Self::new()),
            value => Ok(items(value, path)?.into_iter().collect()),
        }
    }
}

impl<T: Declared> Declared for BTreeMap<String, T> {
    fn kind() -> Kind {
        Kind::Map(Box::new(T::kind()))
    }

    fn to_value(&self) -> Option<Value> {
        let entries = self
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.to_value()?)));
        Some(Value::Object(entries.collect()))
    }

    fn from_value(value: Option<&Value>, path: &str) -> Result<Self, Fault> {
        let Some(value) = value else {
            return Ok(Self::new());
        };
        entries_of(Some(value), path)?
            .iter()
            .map(|(key, value)| Ok((key.clone(), T::from_value(Some(value), &below(path, key))?)))
            .collect()
    }
}
