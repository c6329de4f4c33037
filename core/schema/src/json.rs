//! Declarations and lenses as JSON, as people and programs write them (`docs/schemas.md`). Owns this
//! form only: it is never hashed, stored or sent between devices.

use serde_json::{Map, Value, json};

use crate::convert::Conversion;
use crate::error::SchemaError;
use crate::kind::{Field, Fields, Items, Kind};
use crate::lens::Lens;
use crate::limits::KIND_DEPTH_MAX;
use crate::revision::{Index, IndexField};
use crate::scalar::{Bounds, Pattern, Scalar};

type Read<T> = Result<T, SchemaError>;

/// A whole declaration of a collection: what `stead schema set` takes and `stead schema show` prints.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declaration {
    /// The fields.
    pub fields: Fields,
    /// The indexes.
    pub indexes: Vec<Index>,
    /// The fields that are searched as text.
    pub search: Vec<Vec<String>>,
}

impl Declaration {
    /// Reads `{"fields": {...}, "indexes": [...], "search": [...]}`.
    pub fn from_json(json: &Value) -> Read<Self> {
        let entries = object(json, "the declaration")?;
        only(
            entries,
            &["collection", "fields", "indexes", "search"],
            "the declaration",
        )?;
        let fields = entries
            .get("fields")
            .ok_or_else(|| wrong("the declaration", "it needs \"fields\""))?;
        Ok(Self {
            fields: fields_of(fields, "fields", 0)?,
            indexes: entries
                .get("indexes")
                .map_or(Ok(Vec::new()), indexes_from_json)?,
            search: entries
                .get("search")
                .map_or(Ok(Vec::new()), search_from_json)?,
        })
    }

    /// The same as JSON.
    pub fn to_json(&self) -> Value {
        let mut entries = Map::new();
        entries.insert("fields".into(), fields_to_json(&self.fields));
        if !self.indexes.is_empty() {
            entries.insert("indexes".into(), indexes_to_json(&self.indexes));
        }
        if !self.search.is_empty() {
            entries.insert("search".into(), search_to_json(&self.search));
        }
        entries.into()
    }

    /// The lenses of a first revision with these fields.
    pub fn lenses(&self) -> Vec<Lens> {
        self.fields
            .iter()
            .map(|(name, field)| Lens::Add {
                name: name.clone(),
                field: field.clone(),
                restore: false,
            })
            .collect()
    }
}

/// Indexes from JSON: `[["name"], ["-visits", "address.city"]]`.
pub fn indexes_from_json(json: &Value) -> Read<Vec<Index>> {
    let index = |json: &Value| {
        array(json, "indexes")?
            .iter()
            .map(|field| {
                let text = text(field, "indexes")?;
                let (descending, path) = match text.strip_prefix('-') {
                    Some(path) => (true, path),
                    None => (false, text),
                };
                Ok(IndexField {
                    path: path_of(path, "indexes")?,
                    descending,
                })
            })
            .collect()
    };
    array(json, "indexes")?.iter().map(index).collect()
}

/// The fields searched as text, from JSON: `["name", "address.city"]`.
pub fn search_from_json(json: &Value) -> Read<Vec<Vec<String>>> {
    array(json, "search")?
        .iter()
        .map(|field| path_of(text(field, "search")?, "search"))
        .collect()
}

/// Indexes as JSON.
pub fn indexes_to_json(indexes: &[Index]) -> Value {
    let field = |field: &IndexField| {
        let minus = if field.descending { "-" } else { "" };
        Value::from(format!("{minus}{}", path_text(&field.path)))
    };
    indexes
        .iter()
        .map(|index| index.iter().map(field).collect::<Vec<_>>())
        .map(Value::from)
        .collect()
}

/// The fields searched as text, as JSON.
pub fn search_to_json(search: &[Vec<String>]) -> Value {
    search.iter().map(|path| path_text(path)).collect()
}

fn path_of(text: &str, place: &str) -> Read<Vec<String>> {
    let path = stead_doc::Path::parse(text).map_err(|error| wrong(place, &error.to_string()))?;
    Ok(path.as_ref().names().map(str::to_owned).collect())
}

fn path_text(path: &[String]) -> String {
    match stead_doc::Path::from_names(path.iter().map(String::as_str)) {
        Ok(path) => path.to_string(),
        Err(_) => path.join("."),
    }
}

/// Lenses from JSON: `[{"rename": {"from": "a", "to": "b"}}]`.
pub fn lenses_from_json(json: &Value) -> Read<Vec<Lens>> {
    lenses_of(json, "lenses", 0)
}

/// Lenses as JSON.
pub fn lenses_to_json(lenses: &[Lens]) -> Value {
    lenses.iter().map(lens_to_json).collect()
}

fn lenses_of(json: &Value, place: &str, depth: usize) -> Read<Vec<Lens>> {
    if depth > KIND_DEPTH_MAX {
        return Err(wrong(place, "lenses nest too deep"));
    }
    array(json, place)?
        .iter()
        .enumerate()
        .map(|(index, lens)| lens_of(lens, &format!("{place}[{index}]"), depth))
        .collect()
}

fn lens_of(json: &Value, place: &str, depth: usize) -> Read<Lens> {
    let entries = object(json, place)?;
    let (verb, about) = match entries.iter().next() {
        Some(entry) if entries.len() == 1 => entry,
        _ => {
            let what =
                "a lens has one name, such as {\"rename\": {\"from\": \"a\", \"to\": \"b\"}}";
            return Err(wrong(place, what));
        }
    };
    let place = &format!("{place}.{verb}");
    // `{"wrap": "name"}` is short for `{"wrap": {"name": "name"}}`.
    let short = json!({"name": about});
    let about = object(if about.is_string() { &short } else { about }, place)?;
    let names = |allowed: &[&str]| only(about, allowed, place);
    let get = |name: &str| -> Read<String> {
        let value = about
            .get(name)
            .ok_or_else(|| wrong(place, &format!("it needs {name:?}")))?;
        Ok(text(value, place)?.to_owned())
    };
    let inner = |name: &str| -> Read<Vec<Lens>> {
        let value = about
            .get(name)
            .ok_or_else(|| wrong(place, &format!("it needs {name:?}")))?;
        lenses_of(value, place, depth + 1)
    };
    Ok(match verb.as_str() {
        "add" => {
            names(&["name", "field", "restore"])?;
            let name = get("name")?;
            let field = about
                .get("field")
                .ok_or_else(|| wrong(place, "it needs \"field\""))?;
            Lens::Add {
                field: field_of(field, &name, 0)?,
                restore: about.get("restore").is_some_and(|r| *r == json!(true)),
                name,
            }
        }
        "remove" => {
            names(&["name", "default"])?;
            Lens::Remove {
                name: get("name")?,
                default: about.get("default").cloned(),
            }
        }
        "rename" => {
            names(&["from", "to"])?;
            Lens::Rename {
                from: get("from")?,
                to: get("to")?,
            }
        }
        "hoist" => {
            names(&["from", "name"])?;
            Lens::Hoist {
                from: get("from")?,
                name: get("name")?,
            }
        }
        "plunge" => {
            names(&["name", "into"])?;
            Lens::Plunge {
                name: get("name")?,
                into: get("into")?,
            }
        }
        "wrap" => {
            names(&["name"])?;
            Lens::Wrap { name: get("name")? }
        }
        "head" => {
            names(&["name"])?;
            Lens::Head { name: get("name")? }
        }
        "in" => {
            names(&["name", "lenses"])?;
            Lens::In {
                name: get("name")?,
                lenses: inner("lenses")?,
            }
        }
        "map" => {
            names(&["name", "lenses"])?;
            Lens::Map {
                name: get("name")?,
                lenses: inner("lenses")?,
            }
        }
        "convert" => {
            names(&["name", "to", "table", "otherwise", "linear"])?;
            let to = about
                .get("to")
                .ok_or_else(|| wrong(place, "it needs \"to\""))?;
            let Kind::Value(to) = field_of(to, place, 0)?.kind else {
                return Err(wrong(place, "a value is converted to a single value"));
            };
            Lens::Convert {
                name: about
                    .get("name")
                    .map_or(Ok(""), |name| text(name, place))?
                    .to_owned(),
                to,
                by: conversion_of(about, place)?,
            }
        }
        "refine" => {
            names(&["name", "field"])?;
            let name = about.get("name").map_or(Ok(""), |name| text(name, place))?;
            let field = about
                .get("field")
                .ok_or_else(|| wrong(place, "it needs \"field\""))?;
            Lens::Refine {
                name: name.to_owned(),
                field: field_of(field, name, 0)?,
            }
        }
        other => {
            return Err(wrong(
                place,
                &format!(
                    "there is no lens {other:?}; there are add, remove, rename, hoist, plunge, wrap, head, in, map, convert and refine"
                ),
            ));
        }
    })
}

fn conversion_of(about: &Map<String, Value>, place: &str) -> Read<Conversion> {
    if let Some(linear) = about.get("linear") {
        let line = object(linear, place)?;
        only(line, &["mul", "div", "add", "decimals"], place)?;
        let int = |name: &str| match line.get(name) {
            None => Ok(1),
            Some(value) => value
                .as_i64()
                .ok_or_else(|| wrong(place, &format!("{name:?} is an integer"))),
        };
        let decimals = line.get("decimals").map_or(Some(6), Value::as_u64);
        return Ok(Conversion::Linear {
            mul: int("mul")?,
            div: int("div")?,
            add: line
                .get("add")
                .map_or(Some(0.0), Value::as_f64)
                .ok_or_else(|| wrong(place, "\"add\" is a number"))?,
            decimals: decimals
                .and_then(|decimals| u8::try_from(decimals).ok())
                .ok_or_else(|| wrong(place, "\"decimals\" is a small number"))?,
        });
    }
    let table = about
        .get("table")
        .ok_or_else(|| wrong(place, "it needs \"table\" or \"linear\""))?;
    let row = |row: &Value| match array(row, place)?.as_slice() {
        [old, new] => Ok((old.clone(), new.clone())),
        _ => Err(wrong(place, "a row of the table is [older, newer]")),
    };
    Ok(Conversion::Table {
        rows: array(table, place)?.iter().map(row).collect::<Read<_>>()?,
        otherwise: about.get("otherwise").cloned(),
    })
}

fn lens_to_json(lens: &Lens) -> Value {
    match lens {
        Lens::Add {
            name,
            field,
            restore: false,
        } => json!({"add": {"name": name, "field": field_to_json(field)}}),
        Lens::Add { name, field, .. } => {
            json!({"add": {"name": name, "field": field_to_json(field), "restore": true}})
        }
        Lens::Remove {
            name,
            default: None,
        } => json!({"remove": name}),
        Lens::Remove { name, default } => json!({"remove": {"name": name, "default": default}}),
        Lens::Rename { from, to } => json!({"rename": {"from": from, "to": to}}),
        Lens::Hoist { from, name } => json!({"hoist": {"from": from, "name": name}}),
        Lens::Plunge { name, into } => json!({"plunge": {"name": name, "into": into}}),
        Lens::Wrap { name } => json!({"wrap": name}),
        Lens::Head { name } => json!({"head": name}),
        Lens::In { name, lenses } => {
            json!({"in": {"name": name, "lenses": lenses_to_json(lenses)}})
        }
        Lens::Map { name, lenses } => {
            json!({"map": {"name": name, "lenses": lenses_to_json(lenses)}})
        }
        Lens::Convert { name, to, by } => {
            let mut about = Map::new();
            about.insert("name".into(), name.as_str().into());
            about.insert(
                "to".into(),
                field_to_json(&Field::new(Kind::Value(to.clone()))),
            );
            match by {
                Conversion::Table { rows, otherwise } => {
                    let rows = rows.iter().map(|(old, new)| json!([old, new]));
                    about.insert("table".into(), rows.collect());
                    if let Some(otherwise) = otherwise {
                        about.insert("otherwise".into(), otherwise.clone());
                    }
                }
                Conversion::Linear {
                    mul,
                    div,
                    add,
                    decimals,
                } => {
                    let line = json!({"mul": mul, "div": div, "add": add, "decimals": decimals});
                    about.insert("linear".into(), line);
                }
            }
            json!({"convert": about})
        }
        Lens::Refine { name, field } => {
            json!({"refine": {"name": name, "field": field_to_json(field)}})
        }
    }
}

/// Fields from JSON: `{"name": "string", "born": "date-time?"}`.
fn fields_of(json: &Value, place: &str, depth: usize) -> Read<Fields> {
    object(json, place)?
        .iter()
        .map(|(name, field)| {
            let place = crate::kind::below(if depth == 0 { "" } else { place }, name);
            Ok((name.clone(), field_of(field, &place, depth + 1)?))
        })
        .collect()
}

/// A field from JSON: `"string?"`, `{"type": "int", "range": [0, 10], "default": 1}`.
pub fn field_from_json(json: &Value, name: &str) -> Read<Field> {
    field_of(json, name, 0)
}

fn field_of(json: &Value, place: &str, depth: usize) -> Read<Field> {
    if depth > KIND_DEPTH_MAX {
        return Err(wrong(place, "kinds nest too deep"));
    }
    if let Value::String(text) = json {
        let (name, optional) = match text.strip_suffix('?') {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        let kind = kind_of(name, &Map::new(), place, depth)?;
        return Ok(Field {
            optional,
            ..Field::new(kind)
        });
    }
    let about = object(json, place)?;
    let name = match (about.get("type"), about.contains_key("fields")) {
        (Some(name), _) => text(name, place)?,
        (None, true) => "record",
        (None, false) => return Err(wrong(place, "it needs \"type\"")),
    };
    let (name, short) = match name.strip_suffix('?') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let flag = |name: &str| match about.get(name) {
        None => Ok(false),
        Some(Value::Bool(truth)) => Ok(*truth),
        Some(_) => Err(wrong(place, &format!("{name:?} is true or false"))),
    };
    let rules: &[&str] = match name {
        "int" | "float" => &["range"],
        "string" => &["length", "pattern"],
        "bytes" => &["length"],
        "enum" => &["values"],
        "ref" => &["to"],
        "set" | "map" => &["of"],
        "array" | "list" => &["of", "length", "unique"],
        "record" => &["fields"],
        _ => &[],
    };
    only(
        about,
        &[&["type", "optional", "default"], rules].concat(),
        place,
    )?;
    Ok(Field {
        optional: short || flag("optional")?,
        default: about.get("default").cloned(),
        kind: kind_of(name, about, place, depth)?,
    })
}

fn kind_of(name: &str, about: &Map<String, Value>, place: &str, depth: usize) -> Read<Kind> {
    let of = || -> Read<Kind> {
        let of = about
            .get("of")
            .ok_or_else(|| wrong(place, "it needs \"of\", the type of its parts"))?;
        let field = field_of(of, place, depth + 1)?;
        match field.optional || field.default.is_some() {
            true => Err(wrong(place, "a part is neither optional nor has a default")),
            false => Ok(field.kind),
        }
    };
    let items = || -> Read<Items> {
        Ok(Items {
            of: Box::new(of()?),
            length: bounds(about.get("length"), place, Value::as_u64)?,
            unique: about
                .get("unique")
                .is_some_and(|unique| *unique == json!(true)),
        })
    };
    let length = || bounds(about.get("length"), place, Value::as_u64);
    Ok(match name {
        "bool" => Kind::Value(Scalar::Bool),
        "int" => Kind::Value(Scalar::Int(bounds(
            about.get("range"),
            place,
            Value::as_i64,
        )?)),
        "float" => Kind::Value(Scalar::Float(bounds(
            about.get("range"),
            place,
            Value::as_f64,
        )?)),
        "string" => Kind::Value(Scalar::String {
            length: length()?,
            pattern: match about.get("pattern") {
                None => None,
                Some(pattern) => {
                    Some(Pattern::new(text(pattern, place)?).map_err(|what| wrong(place, &what))?)
                }
            },
        }),
        "bytes" => Kind::Value(Scalar::Bytes { length: length()? }),
        "date-time" => Kind::Value(Scalar::DateTime),
        "enum" => {
            let values = about
                .get("values")
                .ok_or_else(|| wrong(place, "an enum needs \"values\""))?;
            Kind::Value(Scalar::Enum(
                array(values, place)?
                    .iter()
                    .map(|value| Ok(text(value, place)?.to_owned()))
                    .collect::<Read<_>>()?,
            ))
        }
        "blob" => Kind::Value(Scalar::Blob),
        "ref" => Kind::Value(Scalar::Ref(match about.get("to") {
            None => None,
            Some(to) => Some(text(to, place)?.to_owned()),
        })),
        "counter" => Kind::Counter,
        "text" => Kind::Text,
        "tree" => Kind::Tree,
        "any" => Kind::Any,
        "set" => match of()? {
            Kind::Value(scalar) => Kind::Set(scalar),
            _ => return Err(wrong(place, "the elements of a set are single values")),
        },
        "record" => {
            let none = json!({});
            Kind::Record(fields_of(
                about.get("fields").unwrap_or(&none),
                place,
                depth + 1,
            )?)
        }
        "map" => Kind::Map(Box::new(of()?)),
        "array" => Kind::Array(items()?),
        "list" => Kind::List(items()?),
        other => {
            return Err(wrong(
                place,
                &format!(
                    "there is no type {other:?}; there are bool, int, float, string, bytes, date-time, enum, blob, ref, counter, set, record, map, array, list, text, tree and any"
                ),
            ));
        }
    })
}

fn bounds<T>(
    json: Option<&Value>,
    place: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Read<Bounds<T>> {
    let bound = |value: &Value| match value {
        Value::Null => Ok(None),
        value => read(value)
            .map(Some)
            .ok_or_else(|| wrong(place, "a limit is a number of the right kind, or null")),
    };
    match json {
        None => Ok(Bounds {
            min: None,
            max: None,
        }),
        Some(Value::Array(pair)) if pair.len() == 2 => Ok(Bounds {
            min: bound(&pair[0])?,
            max: bound(&pair[1])?,
        }),
        Some(_) => Err(wrong(
            place,
            "limits are [least, greatest]; null is no limit",
        )),
    }
}

/// Fields as JSON.
pub fn fields_to_json(fields: &Fields) -> Value {
    let entries = fields
        .iter()
        .map(|(name, field)| (name.clone(), field_to_json(field)));
    Value::Object(entries.collect())
}

/// A field as JSON, in its shortest form.
pub fn field_to_json(field: &Field) -> Value {
    let mut about = Map::new();
    let name = kind_to_json(&field.kind, &mut about);
    if about.is_empty() && field.default.is_none() {
        let mark = if field.optional { "?" } else { "" };
        return format!("{name}{mark}").into();
    }
    let mut all = Map::new();
    all.insert("type".into(), name.into());
    all.extend(about);
    if field.optional {
        all.insert("optional".into(), true.into());
    }
    if let Some(default) = &field.default {
        all.insert("default".into(), default.clone());
    }
    all.into()
}

fn kind_to_json(kind: &Kind, about: &mut Map<String, Value>) -> &'static str {
    fn limits<T: Into<Value> + Copy>(
        about: &mut Map<String, Value>,
        name: &str,
        bounds: &Bounds<T>,
    ) {
        if bounds.min.is_some() || bounds.max.is_some() {
            let bound = |bound: Option<T>| bound.map_or(Value::Null, Into::into);
            about.insert(name.into(), json!([bound(bounds.min), bound(bounds.max)]));
        }
    }
    let of = |kind: &Kind| field_to_json(&Field::new(kind.clone()));
    match kind {
        Kind::Value(scalar) => match scalar {
            Scalar::Bool => "bool",
            Scalar::Int(range) => {
                limits(about, "range", range);
                "int"
            }
            Scalar::Float(range) => {
                limits(about, "range", range);
                "float"
            }
            Scalar::String { length, pattern } => {
                limits(about, "length", length);
                if let Some(pattern) = pattern {
                    about.insert("pattern".into(), pattern.as_str().into());
                }
                "string"
            }
            Scalar::Bytes { length } => {
                limits(about, "length", length);
                "bytes"
            }
            Scalar::DateTime => "date-time",
            Scalar::Enum(values) => {
                about.insert("values".into(), values.iter().map(String::as_str).collect());
                "enum"
            }
            Scalar::Blob => "blob",
            Scalar::Ref(to) => {
                if let Some(to) = to {
                    about.insert("to".into(), to.as_str().into());
                }
                "ref"
            }
        },
        Kind::Counter => "counter",
        Kind::Set(scalar) => {
            about.insert("of".into(), of(&Kind::Value(scalar.clone())));
            "set"
        }
        Kind::Record(fields) => {
            about.insert("fields".into(), fields_to_json(fields));
            "record"
        }
        Kind::Map(kind) => {
            about.insert("of".into(), of(kind));
            "map"
        }
        Kind::Array(items) | Kind::List(items) => {
            about.insert("of".into(), of(&items.of));
            limits(about, "length", &items.length);
            if items.unique {
                about.insert("unique".into(), true.into());
            }
            match kind {
                Kind::List(_) => "list",
                _ => "array",
            }
        }
        Kind::Text => "text",
        Kind::Tree => "tree",
        Kind::Any => "any",
    }
}

fn wrong(place: &str, what: &str) -> SchemaError {
    SchemaError::Json {
        place: place.to_owned(),
        what: what.to_owned(),
    }
}

fn object<'v>(json: &'v Value, place: &str) -> Read<&'v Map<String, Value>> {
    json.as_object()
        .ok_or_else(|| wrong(place, "a JSON object is needed here"))
}

fn array<'v>(json: &'v Value, place: &str) -> Read<&'v Vec<Value>> {
    json.as_array()
        .ok_or_else(|| wrong(place, "a JSON array is needed here"))
}

fn text<'v>(json: &'v Value, place: &str) -> Read<&'v str> {
    json.as_str()
        .ok_or_else(|| wrong(place, "a text is needed here"))
}

fn only(entries: &Map<String, Value>, allowed: &[&str], place: &str) -> Read<()> {
    match entries.keys().find(|key| !allowed.contains(&key.as_str())) {
        None => Ok(()),
        Some(other) => Err(wrong(
            place,
            &format!(
                "{other:?} means nothing here; there are {}",
                allowed.join(", ")
            ),
        )),
    }
}
