//! What the views of a call show: columns, and where each comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use serde_json::Value;

use super::quoted;
use crate::StoreError;
use crate::query::literal;
use crate::rows::CollectionNo;

/// The function that makes of a document what is seen of it.
pub(super) const SEEN: &str = "stead_seen";
/// Most columns of a view.
const COLUMNS_MAX: usize = 200;
/// Documents from each end of a collection that are looked at for the names of fields.
const SAMPLE_DOCS: u32 = 500;

/// A collection that may be read, and the fields of it that may not.
#[derive(Debug, Clone)]
pub struct SqlView {
    /// The collection.
    pub collection: CollectionNo,
    /// Its name: the view's name.
    pub name: String,
    /// Fields of the document's root that are left out.
    pub hidden: Vec<String>,
    /// What is seen of its documents; what they hold, if nothing is said.
    pub seen: Option<SqlSeen>,
}

/// From the JSON that a document holds to the JSON that is seen of it; none if there is no such thing.
type Look = dyn Fn(&str) -> Option<String> + Send + Sync + std::panic::RefUnwindSafe;

/// What is seen of documents that are held in another form.
#[derive(Clone)]
pub struct SqlSeen {
    /// The fields of what is seen, each a column; with where documents hold just that, if they do.
    pub fields: Vec<(String, Option<SqlHeld>)>,
    /// Makes what is seen of what is held.
    pub look: Arc<Look>,
}

/// Where documents hold what is seen of them.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlHeld {
    /// The path.
    pub path: Vec<String>,
    /// What is seen where nothing is held.
    pub default: Option<Value>,
}

impl fmt::Debug for SqlSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqlSeen").field(&self.fields).finish()
    }
}

/// Gives a connection the function that shows the documents of these views as they are seen:
/// `stead_seen(collection, json)`, null for what cannot be seen.
pub(super) fn add_seen(conn: &Connection, views: &[SqlView]) -> Result<(), StoreError> {
    let looks: BTreeMap<i64, Arc<Look>> = views
        .iter()
        .filter_map(|view| {
            Some((
                view.collection.0.into(),
                Arc::clone(&view.seen.as_ref()?.look),
            ))
        })
        .collect();
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    let seen = move |context: &Context<'_>| {
        let look = context.get_raw(0).as_i64().ok();
        let look = look.and_then(|collection| looks.get(&collection));
        let held = context.get_raw(1).as_str().ok();
        Ok(look.zip(held).and_then(|(look, held)| look(held)))
    };
    Ok(conn.create_scalar_function(SEEN, 2, flags, seen)?)
}

/// What a view selects: the id, columns for fields, and all of it as JSON.
pub(super) fn columns(conn: &Connection, view: &SqlView) -> Result<String, StoreError> {
    let no = view.collection.0;
    let seen = format!("{SEEN}({no},json(body))");
    let (all, fields): (_, Vec<(String, String)>) = match &view.seen {
        Some(of) => {
            let fields = of.fields.iter().map(|(name, held)| {
                let value = match held {
                    Some(held) => held_value(held),
                    None => value_at(&seen, std::slice::from_ref(name)),
                };
                (name.clone(), value)
            });
            (&seen[..], fields.collect())
        }
        None => {
            let often = often_there(conn, view)?.into_iter();
            let fields = often.map(|name| {
                let value = value_at("body", std::slice::from_ref(&name));
                (name, value)
            });
            ("body", fields.collect())
        }
    };
    // SQLite's names are the same in either case; the first has the name.
    let mut taken = BTreeSet::from(["id".to_owned(), "json".to_owned()]);
    let mut columns = "stead_id(id) AS id".to_owned();
    for (name, value) in fields.into_iter().take(COLUMNS_MAX) {
        if view.hidden.contains(&name)
            || name.contains('\0')
            || !taken.insert(name.to_ascii_lowercase())
        {
            continue;
        }
        columns.push_str(&format!(", {value} AS {}", quoted(&name)));
    }
    let hidden: String = (view.hidden.iter())
        .map(|name| format!(",{}", literal(&json_path(std::slice::from_ref(name)))))
        .collect();
    match hidden.is_empty() {
        true => columns.push_str(&format!(", json({all}) AS json")),
        false => columns.push_str(&format!(", json_remove({all}{hidden}) AS json")),
    }
    Ok(columns)
}

/// The names of fields of a collection's documents, the most frequent first.
fn often_there(conn: &Connection, view: &SqlView) -> Result<Vec<String>, StoreError> {
    let no = view.collection.0;
    let sql = format!(
        "SELECT key, count(*) AS often FROM (\
         SELECT * FROM (SELECT body FROM doc WHERE collection={no} AND deleted=0 ORDER BY id LIMIT {SAMPLE_DOCS}) \
         UNION ALL \
         SELECT * FROM (SELECT body FROM doc WHERE collection={no} AND deleted=0 ORDER BY id DESC LIMIT {SAMPLE_DOCS})) \
         AS sample, json_each(sample.body) GROUP BY key ORDER BY often DESC, key LIMIT {COLUMNS_MAX}"
    );
    let mut statement = conn.prepare(&sql)?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// What a document holds at a place, or what is seen where nothing is held.
fn held_value(held: &SqlHeld) -> String {
    let value = value_at("body", &held.path);
    let Some(default) = &held.default else {
        return value;
    };
    let path = literal(&json_path(&held.path));
    let default = value_at(&literal(&default.to_string()), &[]);
    format!("CASE WHEN json_type(body,{path}) IS NULL THEN {default} ELSE {value} END")
}

fn value_at(json: &str, path: &[String]) -> String {
    format!("json_extract({json},{})", literal(&json_path(path)))
}

/// A path as SQLite's JSON functions take it.
fn json_path(names: &[String]) -> String {
    let steps = names
        .iter()
        .map(|name| format!(".{}", Value::from(name.as_str())));
    std::iter::once("$".to_owned()).chain(steps).collect()
}
