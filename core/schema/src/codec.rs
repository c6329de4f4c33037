//! The canonical bytes of a revision (`docs/formats/schema.md`). One revision has one encoding; a
//! reader refuses all others, allocates by no unchecked length and never recurses beyond its limits.

use serde_json::{Map, Number, Value};
use stead_base::limits::{NAME_BYTES_MAX, PATH_DEPTH_MAX};
use stead_base::{DecodeError, DecodeFault, Decoder, Encoder};

use crate::convert::Conversion;
use crate::error::SchemaError;
use crate::kind::{Field, Fields, Items, Kind};
use crate::lens::Lens;
use crate::limits::{
    FIELDS_MAX, INDEX_FIELDS_MAX, INDEXES_MAX, KIND_DEPTH_MAX, LENSES_MAX, PATTERN_BYTES_MAX,
    REVISION_BYTES_MAX, VALUES_MAX,
};
use crate::revision::{IndexField, Revision, RevisionId};
use crate::scalar::{Bounds, Pattern, Scalar};

/// First byte of a revision.
const FORMAT: u8 = 1;
/// Deepest nesting of lenses inside lenses, and of lists and maps inside a value.
const NESTING_MAX: usize = 16;

type Read<T> = Result<T, SchemaError>;

pub(crate) fn encode(revision: &Revision) -> Vec<u8> {
    let mut out = Encoder::new();
    out.byte(FORMAT).text(&revision.collection);
    match &revision.parent {
        None => out.byte(0),
        Some(parent) => out.byte(1).raw(parent.as_bytes()),
    };
    put_lenses(&mut out, &revision.lenses);
    out.uint(revision.indexes.len() as u64);
    for index in &revision.indexes {
        out.uint(index.len() as u64);
        for field in index {
            out.byte(field.descending.into());
            put_path(&mut out, &field.path);
        }
    }
    out.uint(revision.search.len() as u64);
    for path in &revision.search {
        put_path(&mut out, path);
    }
    out.finish()
}

pub(crate) fn decode(bytes: &[u8]) -> Read<Revision> {
    let mut input = Decoder::new(bytes);
    if bytes.len() > REVISION_BYTES_MAX {
        let fault = DecodeFault::TooLong {
            found: bytes.len() as u64,
            max: REVISION_BYTES_MAX as u64,
        };
        return Err(input.error("revision", fault).into());
    }
    let format = input.byte("format")?;
    if format != FORMAT {
        return Err(SchemaError::NotUnderstood {
            what: "format",
            found: format.into(),
        });
    }
    let collection = name(&mut input, "collection")?;
    let parent = match flag(&mut input, "parent")? {
        false => None,
        true => Some(RevisionId::from_bytes(input.array("parent")?)),
    };
    let lenses = lenses(&mut input, 0)?;
    let mut indexes = Vec::new();
    for _ in 0..input.count(INDEXES_MAX, 1, "indexes")? {
        let mut index = Vec::new();
        for _ in 0..input.count(INDEX_FIELDS_MAX, 2, "index")? {
            let descending = flag(&mut input, "direction")?;
            let path = path(&mut input)?;
            index.push(IndexField { path, descending });
        }
        indexes.push(index);
    }
    let mut search = Vec::new();
    for _ in 0..input.count(INDEX_FIELDS_MAX, 1, "search")? {
        search.push(path(&mut input)?);
    }
    input.finish("revision")?;
    let revision = Revision {
        collection,
        parent,
        lenses,
        indexes,
        search,
    };
    revision.check()?;
    Ok(revision)
}

fn flag(input: &mut Decoder<'_>, what: &'static str) -> Result<bool, DecodeError> {
    match input.byte(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(input.error(what, DecodeFault::Undefined)),
    }
}

/// A name that may be empty: that of the items themselves.
fn name(input: &mut Decoder<'_>, what: &'static str) -> Result<String, DecodeError> {
    Ok(input.text(NAME_BYTES_MAX, what)?.to_owned())
}

fn put_path(out: &mut Encoder, path: &[String]) {
    out.uint(path.len() as u64);
    for name in path {
        out.text(name);
    }
}

fn path(input: &mut Decoder<'_>) -> Read<Vec<String>> {
    let count = input.count(PATH_DEPTH_MAX, 1, "path")?;
    Ok((0..count)
        .map(|_| name(input, "name"))
        .collect::<Result<_, _>>()?)
}

fn put_lenses(out: &mut Encoder, lenses: &[Lens]) {
    out.uint(lenses.len() as u64);
    for lens in lenses {
        put_lens(out, lens);
    }
}

fn put_lens(out: &mut Encoder, lens: &Lens) {
    match lens {
        Lens::Add {
            name,
            field,
            restore,
        } => {
            out.byte(0).text(name).byte((*restore).into());
            put_field(out, field);
        }
        Lens::Remove { name, default } => {
            out.byte(1).text(name);
            put_option(out, default.as_ref(), put_value);
        }
        Lens::Rename { from, to } => {
            out.byte(2).text(from).text(to);
        }
        Lens::Hoist { from, name } => {
            out.byte(3).text(from).text(name);
        }
        Lens::Plunge { name, into } => {
            out.byte(4).text(name).text(into);
        }
        Lens::Wrap { name } => {
            out.byte(5).text(name);
        }
        Lens::Head { name } => {
            out.byte(6).text(name);
        }
        Lens::In { name, lenses } => {
            out.byte(7).text(name);
            put_lenses(out, lenses);
        }
        Lens::Map { name, lenses } => {
            out.byte(8).text(name);
            put_lenses(out, lenses);
        }
        Lens::Convert { name, to, by } => {
            out.byte(9).text(name);
            put_scalar(out, to);
            put_conversion(out, by);
        }
        Lens::Refine { name, field } => {
            out.byte(10).text(name);
            put_field(out, field);
        }
    }
}

fn lenses(input: &mut Decoder<'_>, depth: usize) -> Read<Vec<Lens>> {
    check_depth(input, depth, NESTING_MAX, "lenses")?;
    let count = input.count(LENSES_MAX, 2, "lenses")?;
    (0..count).map(|_| lens(input, depth)).collect()
}

fn lens(input: &mut Decoder<'_>, depth: usize) -> Read<Lens> {
    let tag = input.byte("lens")?;
    if tag > 10 {
        return Err(SchemaError::NotUnderstood {
            what: "lens",
            found: tag.into(),
        });
    }
    let first = name(input, "field")?;
    Ok(match tag {
        0 => Lens::Add {
            name: first,
            restore: flag(input, "restore")?,
            field: field(input, 0)?,
        },
        1 => Lens::Remove {
            name: first,
            default: option(input, |input| value(input, 0))?,
        },
        2 => Lens::Rename {
            from: first,
            to: name(input, "field")?,
        },
        3 => Lens::Hoist {
            from: first,
            name: name(input, "field")?,
        },
        4 => Lens::Plunge {
            name: first,
            into: name(input, "field")?,
        },
        5 => Lens::Wrap { name: first },
        6 => Lens::Head { name: first },
        7 => Lens::In {
            name: first,
            lenses: lenses(input, depth + 1)?,
        },
        8 => Lens::Map {
            name: first,
            lenses: lenses(input, depth + 1)?,
        },
        9 => Lens::Convert {
            name: first,
            to: scalar(input)?,
            by: conversion(input)?,
        },
        _ => Lens::Refine {
            name: first,
            field: field(input, 0)?,
        },
    })
}

fn put_field(out: &mut Encoder, field: &Field) {
    out.byte(field.optional.into());
    put_option(out, field.default.as_ref(), put_value);
    put_kind(out, &field.kind);
}

fn field(input: &mut Decoder<'_>, depth: usize) -> Read<Field> {
    Ok(Field {
        optional: flag(input, "optional")?,
        default: option(input, |input| value(input, 0))?,
        kind: kind(input, depth)?,
    })
}

fn put_kind(out: &mut Encoder, kind: &Kind) {
    match kind {
        Kind::Value(scalar) => {
            out.byte(0);
            put_scalar(out, scalar);
        }
        Kind::Counter => {
            out.byte(1);
        }
        Kind::Set(of) => {
            out.byte(2);
            put_scalar(out, of);
        }
        Kind::Record(fields) => {
            out.byte(3).uint(fields.len() as u64);
            for (name, field) in fields {
                out.text(name);
                put_field(out, field);
            }
        }
        Kind::Map(of) => {
            out.byte(4);
            put_kind(out, of);
        }
        Kind::Array(items) => put_items(out, 5, items),
        Kind::List(items) => put_items(out, 6, items),
        Kind::Text => {
            out.byte(7);
        }
        Kind::Tree => {
            out.byte(8);
        }
        Kind::Any => {
            out.byte(9);
        }
    }
}

fn kind(input: &mut Decoder<'_>, depth: usize) -> Read<Kind> {
    check_depth(input, depth, KIND_DEPTH_MAX, "kind")?;
    Ok(match input.byte("kind")? {
        0 => Kind::Value(scalar(input)?),
        1 => Kind::Counter,
        2 => Kind::Set(scalar(input)?),
        3 => {
            let mut fields = Fields::new();
            for _ in 0..input.count(FIELDS_MAX, 5, "fields")? {
                let name = name(input, "field")?;
                if fields
                    .last_key_value()
                    .is_some_and(|(last, _)| *last >= name)
                {
                    return Err(input.error("field", DecodeFault::NotCanonical).into());
                }
                fields.insert(name, field(input, depth + 1)?);
            }
            Kind::Record(fields)
        }
        4 => Kind::Map(Box::new(kind(input, depth + 1)?)),
        5 => Kind::Array(items(input, depth)?),
        6 => Kind::List(items(input, depth)?),
        7 => Kind::Text,
        8 => Kind::Tree,
        9 => Kind::Any,
        tag => {
            return Err(SchemaError::NotUnderstood {
                what: "kind",
                found: tag.into(),
            });
        }
    })
}

fn put_items(out: &mut Encoder, tag: u8, items: &Items) {
    out.byte(tag).byte(items.unique.into());
    put_bounds(out, &items.length, |out, value| {
        out.uint(*value);
    });
    put_kind(out, &items.of);
}

fn items(input: &mut Decoder<'_>, depth: usize) -> Read<Items> {
    Ok(Items {
        unique: flag(input, "unique")?,
        length: bounds(input, |input| Ok(input.uint("length")?))?,
        of: Box::new(kind(input, depth + 1)?),
    })
}

fn put_scalar(out: &mut Encoder, scalar: &Scalar) {
    match scalar {
        Scalar::Bool => {
            out.byte(0);
        }
        Scalar::Int(range) => {
            out.byte(1);
            put_bounds(out, range, |out, value| {
                out.int(*value);
            });
        }
        Scalar::Float(range) => {
            out.byte(2);
            put_bounds(out, range, put_float);
        }
        Scalar::String { length, pattern } => {
            out.byte(3);
            put_bounds(out, length, |out, value| {
                out.uint(*value);
            });
            put_option(out, pattern.as_ref(), |out, pattern| {
                out.text(pattern.as_str());
            });
        }
        Scalar::Bytes { length } => {
            out.byte(4);
            put_bounds(out, length, |out, value| {
                out.uint(*value);
            });
        }
        Scalar::DateTime => {
            out.byte(5);
        }
        Scalar::Enum(values) => {
            out.byte(6).uint(values.len() as u64);
            for value in values {
                out.text(value);
            }
        }
        Scalar::Blob => {
            out.byte(7);
        }
        Scalar::Ref(to) => {
            out.byte(8);
            put_option(out, to.as_deref(), |out, to| {
                out.text(to);
            });
        }
    }
}

fn scalar(input: &mut Decoder<'_>) -> Read<Scalar> {
    Ok(match input.byte("type")? {
        0 => Scalar::Bool,
        1 => Scalar::Int(bounds(input, |input| Ok(input.int("bound")?))?),
        2 => Scalar::Float(bounds(input, float)?),
        3 => Scalar::String {
            length: bounds(input, |input| Ok(input.uint("length")?))?,
            pattern: option(input, |input| {
                let text = input.text(PATTERN_BYTES_MAX, "pattern")?;
                Pattern::new(text)
                    .map_err(|_| input.error("pattern", DecodeFault::Undefined).into())
            })?,
        },
        4 => Scalar::Bytes {
            length: bounds(input, |input| Ok(input.uint("length")?))?,
        },
        5 => Scalar::DateTime,
        6 => {
            let count = input.count(VALUES_MAX, 1, "values")?;
            Scalar::Enum(
                (0..count)
                    .map(|_| Ok(input.text(REVISION_BYTES_MAX, "value")?.to_owned()))
                    .collect::<Read<_>>()?,
            )
        }
        7 => Scalar::Blob,
        8 => Scalar::Ref(option(input, |input| Ok(name(input, "collection")?))?),
        tag => {
            return Err(SchemaError::NotUnderstood {
                what: "type",
                found: tag.into(),
            });
        }
    })
}

fn put_conversion(out: &mut Encoder, by: &Conversion) {
    match by {
        Conversion::Table { rows, otherwise } => {
            out.byte(0).uint(rows.len() as u64);
            for (old, new) in rows {
                put_value(out, old);
                put_value(out, new);
            }
            put_option(out, otherwise.as_ref(), put_value);
        }
        Conversion::Linear {
            mul,
            div,
            add,
            decimals,
        } => {
            out.byte(1).int(*mul).int(*div);
            put_float(out, add);
            out.byte(*decimals);
        }
    }
}

fn conversion(input: &mut Decoder<'_>) -> Read<Conversion> {
    Ok(match input.byte("conversion")? {
        0 => {
            let count = input.count(VALUES_MAX, 2, "rows")?;
            Conversion::Table {
                rows: (0..count)
                    .map(|_| Ok((value(input, 0)?, value(input, 0)?)))
                    .collect::<Read<_>>()?,
                otherwise: option(input, |input| value(input, 0))?,
            }
        }
        1 => Conversion::Linear {
            mul: input.int("factor")?,
            div: input.int("divisor")?,
            add: float(input)?,
            decimals: input.byte("decimals")?,
        },
        tag => {
            return Err(SchemaError::NotUnderstood {
                what: "conversion",
                found: tag.into(),
            });
        }
    })
}

fn put_option<T: ?Sized>(out: &mut Encoder, value: Option<&T>, put: impl FnOnce(&mut Encoder, &T)) {
    match value {
        None => {
            out.byte(0);
        }
        Some(value) => {
            out.byte(1);
            put(out, value);
        }
    }
}

fn option<'a, T>(
    input: &mut Decoder<'a>,
    read: impl FnOnce(&mut Decoder<'a>) -> Read<T>,
) -> Read<Option<T>> {
    match flag(input, "option")? {
        false => Ok(None),
        true => read(input).map(Some),
    }
}

fn put_bounds<T>(out: &mut Encoder, bounds: &Bounds<T>, put: impl Fn(&mut Encoder, &T)) {
    put_option(out, bounds.min.as_ref(), &put);
    put_option(out, bounds.max.as_ref(), &put);
}

fn bounds<'a, T>(
    input: &mut Decoder<'a>,
    read: impl Fn(&mut Decoder<'a>) -> Read<T>,
) -> Read<Bounds<T>> {
    Ok(Bounds {
        min: option(input, &read)?,
        max: option(input, &read)?,
    })
}

fn put_float(out: &mut Encoder, value: &f64) {
    out.raw(&value.to_le_bytes());
}

fn float(input: &mut Decoder<'_>) -> Read<f64> {
    let value = f64::from_le_bytes(input.array("number")?);
    match value.is_finite() {
        true => Ok(value),
        false => Err(input.error("number", DecodeFault::Undefined).into()),
    }
}

fn put_value(out: &mut Encoder, value: &Value) {
    match value {
        Value::Null => {
            out.byte(0);
        }
        Value::Bool(truth) => {
            out.byte(1 + u8::from(*truth));
        }
        Value::Number(number) => match number.as_i64() {
            Some(int) => {
                out.byte(3).int(int);
            }
            None => {
                out.byte(4);
                put_float(
                    out,
                    &number.as_f64().filter(|f| f.is_finite()).unwrap_or(0.0),
                );
            }
        },
        Value::String(text) => {
            out.byte(5).text(text);
        }
        Value::Array(items) => {
            out.byte(6).uint(items.len() as u64);
            for item in items {
                put_value(out, item);
            }
        }
        Value::Object(entries) => {
            out.byte(7).uint(entries.len() as u64);
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in sorted {
                out.text(key);
                put_value(out, value);
            }
        }
    }
}

fn value(input: &mut Decoder<'_>, depth: usize) -> Read<Value> {
    check_depth(input, depth, NESTING_MAX, "value")?;
    Ok(match input.byte("value")? {
        0 => Value::Null,
        1 => false.into(),
        2 => true.into(),
        3 => input.int("value")?.into(),
        4 => {
            let float = float(input)?;
            Number::from_f64(float).map_or(Value::Null, Value::Number)
        }
        5 => input.text(REVISION_BYTES_MAX, "value")?.into(),
        6 => {
            let count = input.count(VALUES_MAX, 1, "items")?;
            (0..count)
                .map(|_| value(input, depth + 1))
                .collect::<Read<Vec<_>>>()?
                .into()
        }
        7 => {
            let mut entries = Map::new();
            let mut last: Option<&str> = None;
            for _ in 0..input.count(VALUES_MAX, 2, "entries")? {
                let key = input.text(REVISION_BYTES_MAX, "key")?;
                if last.is_some_and(|last| last >= key) {
                    return Err(input.error("key", DecodeFault::NotCanonical).into());
                }
                last = Some(key);
                entries.insert(key.to_owned(), value(input, depth + 1)?);
            }
            entries.into()
        }
        tag => {
            return Err(SchemaError::NotUnderstood {
                what: "value",
                found: tag.into(),
            });
        }
    })
}

fn check_depth(
    input: &Decoder<'_>,
    depth: usize,
    max: usize,
    what: &'static str,
) -> Result<(), DecodeError> {
    if depth <= max {
        return Ok(());
    }
    let fault = DecodeFault::TooLong {
        found: depth as u64,
        max: max as u64,
    };
    Err(input.error(what, fault))
}
