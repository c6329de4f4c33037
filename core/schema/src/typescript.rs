//! TypeScript types of a revision's fields, for apps. Owns the text; the JSON it describes is what
//! reads give and writes take.

use std::fmt::Write as _;

use crate::kind::{Fields, Kind};
use crate::scalar::Scalar;

/// An interface for the documents of a collection.
pub fn typescript(collection: &str, number: u32, id: &str, fields: &Fields) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "/** A document of {collection:?}, revision {number} ({id}). Made by `stead schema types`. */"
    );
    let _ = writeln!(out, "export interface {} {{", type_name(collection));
    put_fields(&mut out, fields, 1);
    out.push_str("}\n");
    out
}

fn put_fields(out: &mut String, fields: &Fields, depth: usize) {
    let indent = "  ".repeat(depth);
    for (name, field) in fields {
        if let Some(note) = note(&field.kind) {
            let _ = writeln!(out, "{indent}/** {note} */");
        }
        let name = match is_identifier(name) {
            true => name.clone(),
            false => serde_json::Value::from(name.as_str()).to_string(),
        };
        let mark = if field.optional { "?" } else { "" };
        let _ = writeln!(
            out,
            "{indent}{name}{mark}: {};",
            type_of(&field.kind, depth)
        );
    }
}

fn type_of(kind: &Kind, depth: usize) -> String {
    match kind {
        Kind::Value(scalar) => scalar_type(scalar),
        Kind::Counter => "number".to_owned(),
        Kind::Set(scalar) => list_of(scalar_type(scalar)),
        Kind::Record(fields) => {
            let mut out = "{\n".to_owned();
            put_fields(&mut out, fields, depth + 1);
            out.push_str(&"  ".repeat(depth));
            out.push('}');
            out
        }
        Kind::Map(of) => format!("Record<string, {}>", type_of(of, depth)),
        Kind::Array(items) | Kind::List(items) => list_of(type_of(&items.of, depth)),
        Kind::Text => "string".to_owned(),
        Kind::Tree => "unknown[]".to_owned(),
        Kind::Any => "unknown".to_owned(),
    }
}

fn list_of(of: String) -> String {
    match of.contains('|') {
        true => format!("({of})[]"),
        false => format!("{of}[]"),
    }
}

fn scalar_type(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Bool => "boolean".to_owned(),
        Scalar::Int(_) | Scalar::Float(_) => "number".to_owned(),
        Scalar::Enum(values) => values
            .iter()
            .map(|value| serde_json::Value::from(value.as_str()).to_string())
            .collect::<Vec<_>>()
            .join(" | "),
        Scalar::String { .. }
        | Scalar::Bytes { .. }
        | Scalar::DateTime
        | Scalar::Blob
        | Scalar::Ref(_) => "string".to_owned(),
    }
}

/// What the type does not say.
fn note(kind: &Kind) -> Option<String> {
    let text = match kind {
        Kind::Value(Scalar::String { .. } | Scalar::Bool | Scalar::Enum(_))
        | Kind::Record(_)
        | Kind::Map(_)
        | Kind::Any => return None,
        Kind::Value(Scalar::Float(range)) if *range == Default::default() => return None,
        Kind::Counter => "a counter: add to it rather than assign".to_owned(),
        Kind::Text => "merges character by character".to_owned(),
        kind => kind.expected(),
    };
    Some(text.replace("*/", "* /"))
}

fn type_name(collection: &str) -> String {
    let mut name = String::new();
    let mut upper = true;
    for c in collection.chars() {
        match c.is_alphanumeric() {
            true if upper => name.extend(c.to_uppercase()),
            true => name.push(c),
            false => {}
        }
        upper = !c.is_alphanumeric();
    }
    match name.chars().next() {
        Some(first) if !first.is_numeric() => name,
        _ => format!("Collection{name}"),
    }
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '$')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
}
