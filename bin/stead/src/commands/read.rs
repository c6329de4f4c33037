//! `stead get` and `stead query`.

use std::path::Path;

use serde_json::{Value, json};
use stead_api::{Client, DocGet, DocQuery, Document, GroupBy, HIT_END, HIT_START, Joined, Page};

use crate::{
    args::{Get, Query},
    client::connect,
    exit::Failure,
    look,
    output::Output,
    query::path_of,
    table::Table,
};

const TABLE_ROWS: u64 = 20;
const PAGE: u64 = 1000;
/// Most columns a table chooses by itself.
const COLUMNS_MAX: usize = 12;

pub(crate) fn get(home: &Path, get: &Get, out: &Output) -> Result<(), Failure> {
    let address = &get.document;
    let got = connect(home)?.call(&DocGet {
        space: address.space.clone(),
        collection: address.collection.clone(),
        id: address.id.clone(),
        deleted: get.deleted,
        revision: get.revision.clone(),
    })?;
    let mut shown = json!(got.doc);
    if !got.faults.is_empty() {
        shown["faults"] = json!(got.faults);
    }
    out.json(&shown);
    let state = if got.doc.deleted {
        look::warning("  (deleted)")
    } else {
        String::new()
    };
    out.say(format!("{}{state}", look::heading(&address.to_string())));
    let mut table = Table::new(["", ""]);
    for (name, value) in look::fields(&got.doc.value) {
        match &value {
            // Long texts keep their lines.
            Value::String(text) if text.contains('\n') => {
                table.row(vec![look::faint(&name), String::new()]);
                for line in text.lines() {
                    table.row(vec![String::new(), line.to_owned()]);
                }
            }
            _ => table.row(vec![look::faint(&name), look::value(&value)]),
        }
    }
    for line in table.lines(2, None) {
        out.say(line);
    }
    if table.is_empty() {
        out.say(look::faint("  It has no fields."));
    }
    for fault in &got.faults {
        out.say(format!("  {} {fault}", look::warning("!")));
    }
    Ok(())
}

pub(crate) fn query(home: &Path, query: &Query, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let mut request = DocQuery {
        space: query.collection.space.clone(),
        collection: query.collection.collection.clone(),
        filters: crate::query::conditions(&query.conditions, query.filter.as_ref()),
        search: query.search.clone(),
        join: query.join.iter().map(|join| join.0.clone()).collect(),
        at_ms: query.at.map(|at| at.0),
        explain: query.explain,
        sort: query.sort.iter().map(|sort| sort.0.clone()).collect(),
        deleted: query.deleted,
        revision: query.revision.clone(),
        ..DocQuery::default()
    };
    if query.explain {
        return explain(&mut client, &request, out);
    }
    if !query.group.is_empty() || !query.measure.is_empty() {
        return group(&mut client, request, query, out);
    }
    if query.count {
        request.count = true;
        request.limit = Some(1);
        let page = client.call(&request)?;
        remark_part(page.partial, &query.collection.to_string(), out);
        let total = page.total.unwrap_or_default();
        out.json(&with_partial(json!({"total": total}), page.partial));
        out.say(look::count(total));
        return Ok(());
    }
    if query.jsonl {
        let mut partial = false;
        let limit = query.limit.unwrap_or(u64::MAX);
        pages(&mut client, request, limit, |page| {
            partial |= page.partial;
            for doc in page.docs {
                out.json_line(&doc);
            }
        })?;
        remark_part(partial, &query.collection.to_string(), out);
        return Ok(());
    }
    let mut docs: Vec<Document> = Vec::new();
    let mut joined = Joined::new();
    let mut total = None;
    let limit = match (query.limit, out.json) {
        (Some(limit), _) => limit,
        (None, true) => u64::MAX,
        (None, false) => {
            request.count = true;
            TABLE_ROWS
        }
    };
    let mut partial = false;
    pages(&mut client, request, limit, |page| {
        partial |= page.partial;
        total = total.or(page.total);
        docs.extend(page.docs);
        joined.extend(page.joined);
    })?;
    remark_part(partial, &query.collection.to_string(), out);
    match (out.json, joined.is_empty()) {
        (true, true) => out.json(&with_partial(json!({"docs": docs}), partial)),
        (true, false) => {
            let shown = json!({"docs": docs, "joined": joined});
            out.json(&with_partial(shown, partial));
        }
        // Others may have some.
        (false, _) if partial && docs.is_empty() => {}
        (false, _) => {
            bring(&mut docs, query, &joined);
            show(query, &docs, total, out);
        }
    }
    Ok(())
}

/// Puts a document that a field refers to in the field's place.
fn bring(docs: &mut [Document], query: &Query, joined: &Joined) {
    for join in &query.join {
        let prefix = format!("{}/", join.0.collection);
        let find = |name: &str| {
            joined
                .get(name)
                .or_else(|| joined.get(&format!("{prefix}{name}")))
        };
        for doc in docs.iter_mut() {
            let mut at = Some(&mut doc.value);
            for name in &join.0.path {
                at = at.and_then(|value| value.get_mut(name));
            }
            let Some(value) = at else { continue };
            let other = match &*value {
                Value::String(name) => find(name).cloned(),
                Value::Array(names) => {
                    let all = names.iter().map(|name| {
                        let other = name.as_str().and_then(find);
                        other.cloned().unwrap_or_else(|| name.clone())
                    });
                    Some(Value::Array(all.collect()))
                }
                _ => None,
            };
            if let Some(other) = other {
                *value = other;
            }
        }
    }
}

fn explain(client: &mut Client, request: &DocQuery, out: &Output) -> Result<(), Failure> {
    let plan = client.call(request)?.plan.unwrap_or_default();
    out.json(&plan);
    let index = match &plan.index {
        Some(paths) => {
            let fields: Vec<String> = paths
                .iter()
                .map(|path| crate::query::path_text(path))
                .collect();
            let kind = if plan.text {
                "text index by "
            } else {
                "index by "
            };
            look::good(&format!("{kind}{}", fields.join(", ")))
        }
        None => look::warning("no index"),
    };
    out.say(format!("{index}  {}", plan.reason));
    for step in &plan.steps {
        out.say(look::faint(&format!("  {step}")));
    }
    Ok(())
}

fn group(
    client: &mut Client,
    mut request: DocQuery,
    query: &Query,
    out: &Output,
) -> Result<(), Failure> {
    let measures: Vec<_> = query
        .measure
        .iter()
        .map(|measure| measure.0.clone())
        .collect();
    request.group = Some(GroupBy {
        by: query.group.iter().map(|field| field.0.clone()).collect(),
        measures: measures.clone(),
    });
    let page = client.call(&request)?;
    remark_part(page.partial, &query.collection.to_string(), out);
    let groups = page.groups.unwrap_or_default();
    out.json(&with_partial(json!({"groups": groups}), page.partial));
    let by = query
        .group
        .iter()
        .map(|field| crate::query::path_text(&field.0));
    let headings = by
        .chain(std::iter::once(">count".to_owned()))
        .chain(measures.iter().map(|measure| {
            let how = serde_json::to_value(measure.of).unwrap_or_default();
            format!(
                ">{} {}",
                how.as_str().unwrap_or_default(),
                crate::query::path_text(&measure.path)
            )
        }));
    let mut table = Table::new(headings);
    let rows = query.limit.map_or(usize::MAX, |limit| limit as usize);
    for row in groups.iter().take(rows) {
        let cells = row.by.iter().map(look::value);
        let cells = cells.chain(std::iter::once(look::count(row.count)));
        table.row(cells.chain(row.measures.iter().map(look::value)).collect());
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    let groups = look::counted(groups.len() as u64, "group");
    out.remark(look::faint(&format!("\n{groups}.")));
    Ok(())
}

/// Says that what was found is not all there is.
pub(crate) fn remark_part(partial: bool, collection: &str, out: &Output) {
    if partial {
        out.remark(look::faint(&format!(
            "This device keeps only a part of {collection}: there may be more on others."
        )));
    }
}

/// Adds to an answer that it is not all there is, if so.
fn with_partial(mut shown: Value, partial: bool) -> Value {
    if partial {
        shown["partial"] = json!(true);
    }
    shown
}

/// Calls page after page until `limit` documents came.
pub(crate) fn pages(
    client: &mut Client,
    mut request: DocQuery,
    limit: u64,
    mut each: impl FnMut(Page),
) -> Result<(), Failure> {
    let mut left = limit;
    loop {
        request.limit = Some(left.min(PAGE) as u32);
        let mut page = client.call(&request)?;
        left = left.saturating_sub(page.docs.len() as u64);
        let next = page.next.take();
        each(page);
        match next {
            Some(next) if left > 0 => request.after = Some(next),
            _ => return Ok(()),
        }
        request.count = false;
    }
}

fn show(query: &Query, docs: &[Document], total: Option<u64>, out: &Output) {
    if docs.is_empty() {
        let which =
            if query.conditions.is_empty() && query.filter.is_none() && query.search.is_none() {
                "no document yet"
            } else {
                "no document that fits"
            };
        out.remark(format!("There is {which} in {}.", query.collection));
        return;
    }
    let columns = match query.fields.is_empty() {
        true => columns_of(query, docs),
        false => query.fields.clone(),
    };
    let paths: Vec<_> = columns
        .iter()
        .map(|column| path_of(column).unwrap_or_default())
        .collect();
    let numeric = |path: &Vec<String>| {
        docs.iter()
            .all(|doc| look::field(&doc.value, path).is_none_or(|value| value.is_number()))
    };
    let headings = columns
        .iter()
        .zip(&paths)
        .map(|(column, path)| match numeric(path) {
            true => format!(">{column}"),
            false => column.clone(),
        });
    let searched = docs.iter().all(|doc| doc.snippet.is_some());
    let found = searched.then(|| "found".to_owned());
    let mut table = Table::new(
        std::iter::once("id".to_owned())
            .chain(headings)
            .chain(found),
    );
    for doc in docs {
        let cells = paths.iter().map(|path| {
            look::field(&doc.value, path)
                .map(look::value)
                .unwrap_or_default()
        });
        let snippet = doc.snippet.as_ref().filter(|_| searched).map(|text| {
            let text = text
                .replace('\n', " ")
                .replace(HIT_START, "[")
                .replace(HIT_END, "]");
            console::strip_ansi_codes(&text).into_owned()
        });
        let cells = std::iter::once(doc.id.clone()).chain(cells);
        table.row(cells.chain(snippet).collect());
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    let shown = docs.len() as u64;
    let remark = match total {
        Some(total) if total > shown => format!(
            "\n{} of {}. More with --limit {}.",
            look::count(shown),
            look::counted(total, "document"),
            total.min(shown * 10)
        ),
        _ => format!("\n{}.", look::counted(shown, "document")),
    };
    out.remark(look::faint(&remark));
}

/// The fields that most documents have, those sorted and searched by first.
fn columns_of(query: &Query, docs: &[Document]) -> Vec<String> {
    let mut columns: Vec<(String, usize)> = Vec::new();
    let asked = query.sort.iter().map(|sort| &sort.0.path);
    let asked = asked.chain(query.conditions.iter().map(|condition| &condition.0.path));
    for path in asked {
        let name = crate::query::path_text(path);
        if name != "id" && !columns.iter().any(|(column, _)| *column == name) {
            columns.push((name, usize::MAX));
        }
    }
    for doc in docs {
        for (name, _) in look::fields(&doc.value) {
            match columns.iter_mut().find(|(column, _)| *column == name) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => columns.push((name, 1)),
            }
        }
    }
    let common = columns
        .iter()
        .map(|(_, count)| *count)
        .filter(|count| *count != usize::MAX)
        .max()
        .unwrap_or(0);
    columns.retain(|(_, count)| count.saturating_mul(4) >= common || *count == usize::MAX);
    columns.truncate(COLUMNS_MAX);
    columns.into_iter().map(|(name, _)| name).collect()
}
