//! `stead watch`.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use stead_api::{Change, ChangeKind, DocWatch};

use crate::{args::Watch, client::connect, exit::Failure, look, output::Output};

pub(crate) fn watch(home: &Path, watch: &Watch, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let address = &watch.document;
    client.call(&DocWatch {
        space: address.space.clone(),
        collection: address.collection.clone(),
        id: address.id.clone(),
        filters: crate::query::conditions(&watch.conditions, watch.filter.as_ref()),
        sort: watch.sort.iter().map(|sort| sort.0.clone()).collect(),
        limit: watch.limit,
        revision: watch.revision.clone(),
        changes_only: false,
    })?;
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
