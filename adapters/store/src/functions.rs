//! SQL functions for what SQLite does not know: document ids as people write them, and the fields of
//! a body by type.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value as SqlValue, ValueRef};

use crate::StoreError;
use crate::body::{BodyError, Element, FieldPath, Kind};
use crate::key::DocKey;
use crate::query::referred;

/// Adds the functions to a connection.
pub(crate) fn add(conn: &Connection) -> Result<(), StoreError> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("stead_id", 1, flags, id_text)?;
    conn.create_scalar_function("stead_key", 2, flags, key_of_reference)?;
    conn.create_scalar_function("stead_field", 3, flags, field_value)?;
    conn.create_scalar_function("stead_kind", 2, flags, field_kind)?;
    conn.create_scalar_function("stead_texts", 2, flags, field_texts)?;
    Ok(())
}

/// `stead_id(key)`: the text of a document's id, or null.
fn id_text(context: &Context<'_>) -> rusqlite::Result<Option<String>> {
    Ok(match context.get_raw(0) {
        ValueRef::Blob(key) => DocKey::decode(key).ok().map(|id| id.to_string()),
        _ => None,
    })
}

/// `stead_key(text, collection)`: the key of the document of a collection that a text refers to, or
/// null.
fn key_of_reference(context: &Context<'_>) -> rusqlite::Result<Option<Vec<u8>>> {
    let (ValueRef::Text(name), ValueRef::Text(collection)) =
        (context.get_raw(0), context.get_raw(1))
    else {
        return Ok(None);
    };
    let (Ok(name), Ok(collection)) = (std::str::from_utf8(name), std::str::from_utf8(collection))
    else {
        return Ok(None);
    };
    Ok(referred(name, collection).map(|id| DocKey::new(&id).as_bytes().to_vec()))
}

/// `stead_field(body, path, kinds)`: the value of a field as it is compared, if its type is in the
/// set `kinds`; else null.
fn field_value(context: &Context<'_>) -> rusqlite::Result<SqlValue> {
    let kinds = context.get_raw(2).as_i64()?;
    match field(context)? {
        Some(found) if kinds & i64::from(found.kind().map_err(failed)?.bit()) != 0 => {
            found.value().map_err(failed)
        }
        _ => Ok(SqlValue::Null),
    }
}

/// `stead_kind(body, path)`: the number of a field's type, 0 where none is.
fn field_kind(context: &Context<'_>) -> rusqlite::Result<i64> {
    let kind = match field(context)? {
        Some(found) => found.kind().map_err(failed)?,
        None => Kind::Absent,
    };
    Ok(kind as i64)
}

/// `stead_texts(body, path)`: all texts at and below a field, one a line, or null.
fn field_texts(context: &Context<'_>) -> rusqlite::Result<Option<String>> {
    match field(context)? {
        Some(found) => found.texts().map_err(failed),
        None => Ok(None),
    }
}

fn field<'c>(context: &'c Context<'_>) -> rusqlite::Result<Option<Element<'c>>> {
    let (body, path) = (context.get_raw(0), context.get_raw(1));
    let body = Element::whole(body.as_blob()?).map_err(failed)?;
    body.at(&FieldPath::new(path.as_blob()?)).map_err(failed)
}

fn failed(_: BodyError) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    // A message of our own would make SQLite forget the code.
    rusqlite::Error::SqliteFailure(code, None)
}
