//! `stead schema`.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use stead_api::{Aside, Revision, SchemaCheck, SchemaMade, SchemaPut, SchemaShow};
use stead_schema::{Declaration, typescript};

use crate::{
    args::schema as args,
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
    query::value_of,
    table::Table,
};

pub(crate) fn schema(home: &Path, schema: args::Schema, out: &Output) -> Result<(), Failure> {
    match schema {
        args::Schema::Set(set) => make(
            home,
            SchemaPut {
                space: set.collection.space,
                collection: set.collection.collection,
                declaration: Some(json_of(&set.declaration)?),
                dry_run: set.dry_run,
                ..SchemaPut::default()
            },
            out,
        ),
        args::Schema::Evolve(evolve) => make(home, step(evolve)?, out),
        args::Schema::Show(show) => self::show(home, &show, out),
        args::Schema::Diff(diff) => self::diff(home, diff, out),
        args::Schema::Check(check) => self::check(home, &check, out),
        args::Schema::Types(types) => self::types(home, &types, out),
    }
}

fn make(home: &Path, put: SchemaPut, out: &Output) -> Result<(), Failure> {
    let place = format!("{}/{}", put.space, put.collection);
    let dry_run = put.dry_run;
    let made = connect(home)?.call(&put)?;
    out.json(&made);
    tell(&place, &made, dry_run, out);
    Ok(())
}

fn tell(place: &str, made: &SchemaMade, dry_run: bool, out: &Output) {
    let number = made.revision.number;
    if !made.changed {
        out.say(format!(
            "Nothing to change: revision {number} of {place} says so already."
        ));
        return;
    }
    let verb = if dry_run { "Would make" } else { "Made" };
    out.say(format!(
        "{verb} revision {number} of {} {}",
        look::heading(place),
        look::faint(&short(&made.revision.id))
    ));
    for words in &made.revision.words {
        out.say(format!("  {words}"));
    }
    if !dry_run && number > 1 {
        out.say(look::faint(&format!(
            "  No document was rewritten. Apps of older revisions go on: stead get {place}/ID --revision {}",
            number - 1
        )));
    }
}

fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// JSON that stands on the command line, in a file, or on standard input.
fn json_of(text: &str) -> Result<Value, Failure> {
    let read = match text.trim_start() {
        "-" => {
            let mut read = String::new();
            std::io::stdin()
                .lock()
                .read_to_string(&mut read)
                .map_err(|err| Failure::usage(format!("Standard input cannot be read: {err}.")))?;
            read
        }
        start if start.starts_with(['{', '[']) => text.to_owned(),
        _ => std::fs::read_to_string(text)
            .map_err(|err| Failure::usage(format!("The file {text} cannot be read: {err}.")))?,
    };
    serde_json::from_str(&read)
        .map_err(|err| Failure::usage(format!("The JSON is not right: {err}.")))
}

/// The lenses that the flags of `evolve` stand for.
fn step(evolve: args::SchemaEvolve) -> Result<SchemaPut, Failure> {
    let mut lenses = match &evolve.lenses {
        None => Vec::new(),
        Some(text) => match json_of(text)? {
            Value::Array(lenses) => lenses,
            lens => vec![lens],
        },
    };
    let pair = |text: &str, help: &str| {
        let pair = text.split_once('=');
        let pair = pair.map(|(field, value)| (field.trim().to_owned(), value.trim().to_owned()));
        pair.ok_or_else(|| Failure::usage(format!("\"{text}\" is not of the form {help}.")))
    };
    for text in &evolve.rename {
        let (field, to) = pair(text, "FIELD=NAME")?;
        lenses.push(at(
            &field,
            |name| json!({"rename": {"from": name, "to": to}}),
        ));
    }
    for text in &evolve.hoist {
        let (record, name) = text.rsplit_once('.').ok_or_else(|| {
            Failure::usage(format!("\"{text}\" is not of the form RECORD.FIELD."))
        })?;
        lenses.push(at(
            record,
            |from| json!({"hoist": {"from": from, "name": name}}),
        ));
    }
    for text in &evolve.plunge {
        let (field, into) = pair(text, "FIELD=RECORD")?;
        lenses.push(at(
            &field,
            |name| json!({"plunge": {"name": name, "into": into}}),
        ));
    }
    for field in &evolve.wrap {
        lenses.push(at(field, |name| json!({"wrap": name})));
    }
    for field in &evolve.head {
        lenses.push(at(field, |name| json!({"head": name})));
    }
    for text in &evolve.remove {
        lenses.push(match text.split_once('=') {
            None => at(text, |name| json!({"remove": name})),
            Some((field, value)) => at(
                field,
                |name| json!({"remove": {"name": name, "default": value_of(value)}}),
            ),
        });
    }
    for text in &evolve.add {
        let (field, kind) = pair(text, "FIELD=TYPE")?;
        let kind: Value = match kind.starts_with(['{', '"']) {
            true => json_of(&kind)?,
            false => kind.into(),
        };
        lenses.push(at(
            &field,
            |name| json!({"add": {"name": name, "field": kind}}),
        ));
    }
    let indexes = evolve.index.iter().map(|index| {
        let fields = index.split(',').map(|field| Value::from(field.trim()));
        fields.collect::<Value>()
    });
    let put = SchemaPut {
        lenses: (!lenses.is_empty()).then_some(Value::Array(lenses)),
        indexes: (!evolve.index.is_empty()).then(|| indexes.collect()),
        search: (!evolve.search.is_empty()).then(|| evolve.search.clone().into()),
        space: evolve.collection.space,
        collection: evolve.collection.collection,
        dry_run: evolve.dry_run,
        ..SchemaPut::default()
    };
    if put.lenses.is_none() && put.indexes.is_none() && put.search.is_none() {
        return Err(Failure::usage("There is no step to take.").hint(
            "Name one, such as --rename title=name; `stead schema evolve --help` lists them.",
        ));
    }
    Ok(put)
}

/// A lens at a field: inside the records, maps and lists that lead to it.
fn at(field: &str, lens: impl FnOnce(&str) -> Value) -> Value {
    match field.split_once('.') {
        None => lens(field),
        Some((above, rest)) => match above.strip_suffix("[]") {
            Some(above) => json!({"map": {"name": above, "lenses": [at_boxed(rest, lens)]}}),
            None => json!({"in": {"name": above, "lenses": [at_boxed(rest, lens)]}}),
        },
    }
}

fn at_boxed(field: &str, lens: impl FnOnce(&str) -> Value) -> Value {
    let lens: Box<dyn FnOnce(&str) -> Value + '_> = Box::new(lens);
    at(field, lens)
}

fn show(home: &Path, show: &args::SchemaShow, out: &Output) -> Result<(), Failure> {
    let subject = &show.subject;
    let shown = connect(home)?.call(&SchemaShow {
        space: subject.space.clone(),
        collection: subject.collection.clone(),
    })?;
    if let Some(wanted) = &show.revision {
        let [schema] = &shown.schemas[..] else {
            return Err(
                Failure::usage("A revision is one of a collection.").hint(format!(
                    "Name it: stead schema show {}/COLLECTION.",
                    subject.space
                )),
            );
        };
        let revision = find(&schema.revisions, wanted)?;
        out.json(revision);
        declaration(revision, out);
        return Ok(());
    }
    out.json(&shown);
    if shown.schemas.is_empty() {
        out.say(format!("No collection of {} has a schema.", subject.space));
        out.say(format!(
            "Give one to a collection with: {}",
            look::code("stead schema set SPACE/COLLECTION '{\"fields\": {\"name\": \"string\"}}'")
        ));
    }
    for schema in &shown.schemas {
        out.say(look::heading(&format!(
            "{}/{}",
            subject.space, schema.collection
        )));
        if let Some(newest) = schema.revisions.last() {
            declaration(newest, out);
        }
        for revision in &schema.revisions {
            out.say(format!(
                "  revision {} {}  {}",
                revision.number,
                look::faint(&short(&revision.id)),
                revision.words.join("; ")
            ));
        }
        not_followed(&schema.aside, out);
    }
    Ok(())
}

fn not_followed(aside: &[Aside], out: &Output) {
    for aside in aside {
        out.say(format!(
            "  {} {} is not followed: {}",
            look::warning("!"),
            short(&aside.id),
            aside.why
        ));
    }
}

fn find<'r>(revisions: &'r [Revision], wanted: &str) -> Result<&'r Revision, Failure> {
    let fits = |revision: &&Revision| {
        wanted.parse() == Ok(revision.number)
            || wanted.len() >= 4 && revision.id.starts_with(wanted)
    };
    revisions.iter().find(fits).ok_or_else(|| {
        Failure::new(Code::NotFound, format!("There is no revision {wanted:?}."))
            .hint("`stead schema show` lists them.")
    })
}

fn declaration(revision: &Revision, out: &Output) {
    let mut table = Table::new(["field", "type", ""]);
    let none = Map::new();
    let fields = revision.declaration["fields"].as_object().unwrap_or(&none);
    rows(&mut table, fields, "");
    for line in table.lines(2, out.width()) {
        out.say(line);
    }
    for (name, what) in [("indexes", "index"), ("search", "searched as text")] {
        for index in revision.declaration[name].as_array().into_iter().flatten() {
            let text = match index {
                Value::Array(fields) => {
                    let fields: Vec<&str> = fields.iter().filter_map(Value::as_str).collect();
                    fields.join(", ")
                }
                Value::String(field) => field.clone(),
                other => other.to_string(),
            };
            out.say(look::faint(&format!("  {what}: {text}")));
        }
    }
}

fn rows(table: &mut Table, fields: &Map<String, Value>, above: &str) {
    for (name, field) in fields {
        let path = format!("{above}{name}");
        let Value::Object(about) = field else {
            table.row(vec![
                path,
                field.as_str().unwrap_or_default().to_owned(),
                String::new(),
            ]);
            continue;
        };
        let mark = if about.get("optional") == Some(&json!(true)) {
            "?"
        } else {
            ""
        };
        let kind = about
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("record");
        let rules: Vec<String> = about
            .iter()
            .filter(|(rule, _)| !["type", "optional", "fields"].contains(&rule.as_str()))
            .map(|(rule, value)| format!("{rule} {value}"))
            .collect();
        table.row(vec![
            path.clone(),
            format!("{kind}{mark}"),
            rules.join(", "),
        ]);
        if let Some(Value::Object(inner)) = about.get("fields") {
            rows(table, inner, &format!("{path}."));
        }
    }
}

fn diff(home: &Path, diff: args::SchemaDiff, out: &Output) -> Result<(), Failure> {
    let (space, collection) = (diff.collection.space, diff.collection.collection);
    let place = format!("{space}/{collection}");
    let mut client = connect(home)?;
    if let Some(text) = &diff.declaration {
        let made = client.call(&SchemaPut {
            space,
            collection,
            declaration: Some(json_of(text)?),
            dry_run: true,
            ..SchemaPut::default()
        })?;
        out.json(
            &json!({"lenses": if made.changed { made.revision.lenses.clone() } else { json!([]) }}),
        );
        tell(&place, &made, true, out);
        return Ok(());
    }
    let shown = client.call(&SchemaShow {
        space,
        collection: Some(collection),
    })?;
    let revisions = shown
        .schemas
        .first()
        .map_or(&[][..], |schema| &schema.revisions);
    let to = diff.to.unwrap_or(revisions.len() as u32);
    let from = diff.from.unwrap_or(to.saturating_sub(1));
    let known = |number: u32| number as usize <= revisions.len();
    if !known(from) || !known(to) || from > to {
        return Err(Failure::new(
            Code::NotFound,
            format!(
                "{place} has the revisions 1 to {}, the older one first.",
                revisions.len()
            ),
        ));
    }
    let between = &revisions[from as usize..to as usize];
    let lenses: Vec<Value> = between
        .iter()
        .flat_map(|revision| revision.lenses.as_array().cloned().unwrap_or_default())
        .collect();
    out.json(&json!({"from": from, "to": to, "lenses": lenses}));
    out.say(format!(
        "{} from revision {from} to {to}:",
        look::heading(&place)
    ));
    for words in between.iter().flat_map(|revision| &revision.words) {
        out.say(format!("  {words}"));
    }
    if lenses.is_empty() {
        out.say(look::faint("  no field changed"));
    }
    Ok(())
}

fn check(home: &Path, check: &args::SchemaCheck, out: &Output) -> Result<(), Failure> {
    let subject = &check.subject;
    let checked = connect(home)?.call(&SchemaCheck {
        space: subject.space.clone(),
        collection: subject.collection.clone(),
        limit: Some(check.limit),
    })?;
    out.json(&checked);
    for fault in &checked.faults {
        out.say(format!(
            "{} {}/{}/{}: {} needs {}, found {}",
            look::warning("!"),
            subject.space,
            fault.collection,
            fault.id,
            fault.path,
            fault.expected,
            fault.found
        ));
    }
    not_followed(&checked.aside, out);
    let looked = look::counted(checked.documents, "document");
    match checked.faulty {
        0 => out.say(format!("Looked at {looked}: every rule holds.")),
        faulty => {
            let faulty = look::counted(faulty, "document");
            return Err(Failure::new(
                Code::Trouble,
                format!("Looked at {looked}: {faulty} break a rule."),
            )
            .hint("They stay as they are; put them right with `stead put`."));
        }
    }
    Ok(())
}

fn types(home: &Path, types: &args::SchemaTypes, out: &Output) -> Result<(), Failure> {
    let collection = &types.collection.collection;
    let shown = connect(home)?.call(&SchemaShow {
        space: types.collection.space.clone(),
        collection: Some(collection.clone()),
    })?;
    let revisions = shown
        .schemas
        .first()
        .map_or(&[][..], |schema| &schema.revisions);
    let wanted = types
        .revision
        .clone()
        .unwrap_or_else(|| revisions.len().to_string());
    let revision = find(revisions, &wanted)?;
    let declared = Declaration::from_json(&revision.declaration).map_err(|error| {
        Failure::new(
            Code::Failed,
            format!("The node's answer is not understood: {error}."),
        )
        .hint("Update Stead on the side that is older.")
    })?;
    let text = typescript(
        collection,
        revision.number,
        &short(&revision.id),
        &declared.fields,
    );
    match &types.out {
        None if out.json => out.json(&json!({"typescript": text})),
        None => out.say(text.trim_end()),
        Some(path) => {
            std::fs::write(path, &text).map_err(|err| {
                Failure::new(
                    Code::Failed,
                    format!("{} cannot be written: {err}.", path.display()),
                )
            })?;
            out.json(&json!({"written": path}));
            out.say(format!("Wrote {}.", path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_reached_through_records_maps_and_lists() {
        let rename = |name: &str| json!({"wrap": name});
        assert_eq!(at("a", rename), json!({"wrap": "a"}));
        assert_eq!(
            at("home.rows[].q", rename),
            json!({"in": {"name": "home", "lenses": [
                {"map": {"name": "rows", "lenses": [{"wrap": "q"}]}}]}})
        );
    }
}
