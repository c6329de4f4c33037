//! `stead watch`.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use stead_api::{Change, ChangeKind, DocWatch, Notification, RichWatch, TextUnit};

use crate::{args::Watch, client::connect, exit::Failure, look, output::Output};

pub(crate) fn watch(home: &Path, watch: &Watch, out: &Output) -> Result<(), Failure> {
    if let Some(field) = &watch.field {
        return watch_field(home, watch, field, out);
    }
    let mut client = connect(home)?;
    let address = &watch.document;
    let watching = client.call(&DocWatch {
        space: address.space.clone(),
        collection: address.collection.clone(),
        id: address.id.clone(),
        filters: crate::query::conditions(&watch.conditions, watch.filter.as_ref()),
        sort: watch.sort.iter().map(|sort| sort.0.clone()).collect(),
        limit: watch.limit,
        revision: watch.revision.clone(),
        changes_only: false,
    })?;
    super::read::remark_part(watching.partial, &address.to_string(), out);
    if watching.partial && out.json {
        out.json_line(&serde_json::json!({"partial": true}));
    }
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    let mut started = false;
    loop {
        let event = client.next_event()?;
        if event.reset {
            known.clear();
            started = false;
        }
        for change in &event.changes {
            let before = match &change.value {
                Some(value) => known.insert(change.id.clone(), value.clone()),
                None => known.remove(&change.id),
            };
            if started || watch.all {
                match out.json {
                    true => out.json_line(change),
                    false => show(change, before.as_ref(), out),
                }
            }
        }
        if event.ready {
            started = true;
            let documents = look::counted(known.len() as u64, "document");
            out.remark(look::faint(&format!(
                "Watching {address}, {documents}. Ctrl-C ends it."
            )));
        }
    }
}

fn show(change: &Change, before: Option<&Value>, out: &Output) {
    let time = look::faint(&look::moment(look::now_ms())[11..]);
    let id = look::heading(&change.id);
    let now = change.value.as_ref().map(look::fields).unwrap_or_default();
    let line = match change.kind {
        ChangeKind::Removed => format!("{} {id}", look::bad("-")),
        ChangeKind::Added => {
            let fields: Vec<_> = now.iter().map(|(name, value)| pair(name, value)).collect();
            format!("{} {id}  {}", look::good("+"), fields.join("  "))
        }
        ChangeKind::Changed => {
            let old: BTreeMap<_, _> = before
                .map(look::fields)
                .unwrap_or_default()
                .into_iter()
                .collect();
            let changed = now.iter().filter_map(|(name, value)| match old.get(name) {
                Some(old) if old == value => None,
                Some(old) => Some(format!(
                    "{name} {} → {}",
                    look::faint(&look::value(old)),
                    look::value(value)
                )),
                None => Some(pair(name, value)),
            });
            let gone = old
                .keys()
                .filter(|name| !now.iter().any(|(now, _)| now == *name))
                .map(|name| format!("{name} {}", look::faint("removed")));
            let fields: Vec<_> = changed.chain(gone).collect();
            format!("{} {id}  {}", look::warning("~"), fields.join("  "))
        }
    };
    let line = format!("{time}  {line}");
    out.say(match out.width() {
        Some(width) => console::truncate_str(&line, width, "…").into_owned(),
        None => line,
    });
}

fn pair(name: &str, value: &Value) -> String {
    format!("{}{}", look::faint(&format!("{name}=")), look::value(value))
}

/// What changes in a text, list or tree.
fn watch_field(home: &Path, watch: &Watch, field: &str, out: &Output) -> Result<(), Failure> {
    let address = &watch.document;
    let Some(id) = address.id.clone() else {
        return Err(Failure::usage(format!(
            "A field is watched in one document: write {address}/ID."
        )));
    };
    let path = crate::query::path_of(field)
        .ok_or_else(|| Failure::usage(format!("\"{field}\" names no field.")))?;
    let mut client = connect(home)?;
    client.call(&RichWatch {
        space: address.space.clone(),
        collection: address.collection.clone(),
        id,
        path,
        revision: None,
        unit: TextUnit::Scalar,
    })?;
    let mut started = false;
    loop {
        let Notification::Rich(event) = client.next_notification()? else {
            continue;
        };
        let first = !std::mem::replace(&mut started, true);
        if out.json {
            out.json_line(&event);
            continue;
        }
        let time = look::faint(&look::moment(look::now_ms())[11..]);
        if let Some(whole) = &event.whole
            && (!first || watch.all)
        {
            out.say(format!(
                "{time}  {} {}",
                look::good("="),
                look::value(&whole.value)
            ));
        }
        if event.gone {
            out.say(format!("{time}  {} nothing is there", look::bad("-")));
        }
        for piece in pieces(&event.delta) {
            out.say(format!("{time}  {} {piece}", look::warning("~")));
        }
        if first {
            out.remark(look::faint(&format!(
                "Watching {field} of {address}. Ctrl-C ends it."
            )));
        }
    }
}

/// A delta in words: `at 6: + "now"`, `at 9: - 3`, `at 0 to 4: {"bold":true}`, or a step of a tree.
fn pieces(delta: &[Value]) -> Vec<String> {
    let mut at = 0;
    let mut said = Vec::new();
    for part in delta {
        if let Some(count) = part["retain"].as_u64() {
            if part["attributes"].is_object() {
                said.push(format!("at {at} to {}: {}", at + count, part["attributes"]));
            }
            at += count;
        } else if let Some(count) = part["delete"].as_u64() {
            said.push(format!("at {at}: - {count}"));
        } else if !part["insert"].is_null() {
            let insert = &part["insert"];
            let marks = match part["attributes"].is_object() {
                true => format!("  {}", look::faint(&part["attributes"].to_string())),
                false => String::new(),
            };
            said.push(format!("at {at}: + {insert}{marks}"));
            at += match insert {
                Value::String(text) => text.chars().count() as u64,
                Value::Array(items) => items.len() as u64,
                _ => 0,
            };
        } else {
            said.push(part.to_string());
        }
    }
    said
}
