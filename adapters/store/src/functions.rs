//! SQL functions for what SQLite does not know: document ids as people write them.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

use crate::StoreError;
use crate::key::DocKey;
use crate::query::referred;

/// Adds the functions to a connection.
pub(crate) fn add(conn: &Connection) -> Result<(), StoreError> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("stead_id", 1, flags, id_text)?;
    conn.create_scalar_function("stead_key", 2, flags, key_of_reference)?;
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
