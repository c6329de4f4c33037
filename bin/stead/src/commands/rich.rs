//! `stead text`, `list` and `tree`, `stead undo` and `redo`.

use std::{io::Read as _, path::Path};

use serde_json::Value;
use stead_api::{
    Client, Commit, DocPut, DocRedo, DocUndo, Edit, ListEdit, Op, RichShow, RichShown, TextEdit,
    TextUnit, TreeEdit, Undone,
};

use crate::{
    args::{FieldAddress, List, Redo, Text, Tree, Undo},
    client::connect,
    edits::fields_of,
    exit::Failure,
    look,
    output::Output,
    query::{path_of, value_of},
};

pub(crate) fn text(home: &Path, text: Text, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let (field, edit) = match text {
        Text::Insert { field, text, at } => {
            let insert = match text.as_str() {
                "-" => read_all()?,
                _ => text,
            };
            let at = match at {
                Some(at) => at,
                None => length(&mut client, &field)?,
            };
            let edit = TextEdit::Splice {
                at,
                delete: 0,
                insert,
            };
            (field, edit)
        }
        Text::Delete { field, at, count } => {
            let edit = TextEdit::Splice {
                at,
                delete: count,
                insert: String::new(),
            };
            (field, edit)
        }
        Text::Mark {
            field,
            start,
            end,
            mark,
            value,
        } => {
            let value = value_of(&value);
            let edit = TextEdit::Mark {
                start,
                end,
                mark,
                value,
            };
            (field, edit)
        }
        Text::Show {
            field,
            marks,
            name,
            find,
        } => return show_text(&mut client, &field, marks, name, find, out),
    };
    let path = path_to(&field)?;
    let op = Op::Text {
        path,
        edit,
        unit: TextUnit::Scalar,
    };
    change(&mut client, &field, vec![op], out).map(drop)
}

pub(crate) fn list(home: &Path, list: List, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let (field, edit) = match list {
        List::Insert { field, values, at } => {
            let at = match at {
                Some(at) => at,
                None => length(&mut client, &field)?,
            };
            let values = values.iter().map(|text| value_of(text)).collect();
            (field, ListEdit::Insert { at, values })
        }
        List::Delete { field, at, count } => (field, ListEdit::Delete { at, count }),
        List::Set { field, at, value } => {
            let value = value_of(&value);
            (field, ListEdit::Set { at, value })
        }
        List::Move { field, from, to } => (field, ListEdit::Move { from, to }),
        List::Show { field } => {
            let shown = show(&mut client, &field, Vec::new(), Vec::new())?;
            out.json(&shown);
            for (at, item) in shown.value.as_array().into_iter().flatten().enumerate() {
                out.say(format!("{}  {}", look::faint(&at.to_string()), plain(item)));
            }
            return Ok(());
        }
    };
    let path = path_to(&field)?;
    change(&mut client, &field, vec![Op::List { path, edit }], out).map(drop)
}

pub(crate) fn tree(home: &Path, tree: Tree, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let (field, edits) = match tree {
        Tree::Create {
            field,
            fields,
            under,
            at,
        } => {
            let edit = TreeEdit::Create {
                parent: under,
                at,
                fields: fields_of(&fields)?,
            };
            (field, vec![edit])
        }
        Tree::Move {
            field,
            node,
            under,
            at,
        } => {
            let edit = TreeEdit::Move {
                node,
                parent: under,
                at,
            };
            (field, vec![edit])
        }
        Tree::Delete { field, node } => (field, vec![TreeEdit::Delete { node }]),
        Tree::Set {
            field,
            node,
            fields,
        } => {
            let set = |(name, value): (String, Value)| TreeEdit::Set {
                node: node.clone(),
                field: name,
                value,
            };
            let edits = fields_of(&fields)?.into_iter().map(set).collect();
            (field, edits)
        }
        Tree::Show { field } => {
            let shown = show(&mut client, &field, Vec::new(), Vec::new())?;
            out.json(&shown);
            branches(&shown.value, 0, out);
            return Ok(());
        }
    };
    let path = path_to(&field)?;
    let op = |edit| Op::Tree {
        path: path.clone(),
        edit,
    };
    let commit = change(
        &mut client,
        &field,
        edits.into_iter().map(op).collect(),
        out,
    )?;
    for node in &commit.nodes {
        out.say(format!("  The node is {}.", look::code(node)));
    }
    Ok(())
}

pub(crate) fn undo(home: &Path, undo: &Undo, out: &Output) -> Result<(), Failure> {
    let undone = connect(home)?.call(&DocUndo {
        space: undo.space.clone(),
    })?;
    report("Took back your latest change", &undone, out);
    Ok(())
}

pub(crate) fn redo(home: &Path, redo: &Redo, out: &Output) -> Result<(), Failure> {
    let undone = connect(home)?.call(&DocRedo {
        space: redo.space.clone(),
    })?;
    report("Did it again", &undone, out);
    Ok(())
}

fn report(what: &str, undone: &Undone, out: &Output) {
    out.json(undone);
    match undone.entry {
        Some(_) => out.say(format!("{what}: {}.", undone.documents.join(", "))),
        None => out.say("Nothing was left to take back: all of it was changed since."),
    }
    for place in &undone.kept {
        out.say(format!("  {place} was changed since and stays."));
    }
}

fn show_text(
    client: &mut Client,
    field: &FieldAddress,
    marks: bool,
    positions: Vec<usize>,
    places: Vec<String>,
    out: &Output,
) -> Result<(), Failure> {
    let shown = show(client, field, places.clone(), positions.clone())?;
    out.json(&shown);
    let runs = shown.marked.as_array();
    match runs.filter(|_| marks) {
        None => out.say(plain(&shown.value)),
        Some(runs) => {
            for run in runs {
                let text = plain(&run["insert"]);
                match run.get("attributes") {
                    None => out.say(text),
                    Some(marks) => out.say(format!("{text}  {}", look::faint(&marks.to_string()))),
                }
            }
        }
    }
    for (position, name) in positions.iter().zip(&shown.names) {
        out.say(format!("Position {position} is {}.", look::code(name)));
    }
    for (place, at) in places.iter().zip(&shown.places) {
        out.say(format!("{place} is at {at}."));
    }
    Ok(())
}

fn branches(nodes: &Value, depth: usize, out: &Output) {
    for node in nodes.as_array().into_iter().flatten() {
        let id = node["id"].as_str().unwrap_or_default();
        let fields = node["fields"].to_string();
        let indent = "  ".repeat(depth);
        out.say(format!("{indent}{}  {fields}", look::faint(id)));
        branches(&node["children"], depth + 1, out);
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn read_all() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("Standard input cannot be read: {error}.")))?;
    Ok(text)
}

fn path_to(field: &FieldAddress) -> Result<Vec<String>, Failure> {
    path_of(&field.field)
        .ok_or_else(|| Failure::usage(format!("\"{}\" names no field.", field.field)))
}

fn show(
    client: &mut Client,
    field: &FieldAddress,
    places: Vec<String>,
    positions: Vec<usize>,
) -> Result<RichShown, Failure> {
    let address = &field.document;
    Ok(client.call(&RichShow {
        space: address.space.clone(),
        collection: address.collection.clone(),
        id: address.id.clone(),
        path: path_to(field)?,
        revision: None,
        unit: TextUnit::Scalar,
        places,
        positions,
    })?)
}

/// Where the end is; the beginning of what is not there yet.
fn length(client: &mut Client, field: &FieldAddress) -> Result<usize, Failure> {
    let shown = match show(client, field, Vec::new(), Vec::new()) {
        Ok(shown) => shown,
        Err(failure) if failure.code == crate::exit::Code::NotFound => return Ok(0),
        Err(failure) => return Err(failure),
    };
    Ok(match &shown.value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        _ => 0,
    })
}

fn change(
    client: &mut Client,
    field: &FieldAddress,
    ops: Vec<Op>,
    out: &Output,
) -> Result<Commit, Failure> {
    let address = &field.document;
    let edit = |op| Edit {
        collection: address.collection.clone(),
        id: Some(address.id.clone()),
        op,
    };
    let commit = client.call(&DocPut {
        space: address.space.clone(),
        edits: ops.into_iter().map(edit).collect(),
        ..DocPut::default()
    })?;
    out.json(&commit);
    match commit.entry {
        Some(_) => out.say(format!("Changed {} of {address}.", field.field)),
        None => out.say(format!(
            "Nothing to change in {} of {address}.",
            field.field
        )),
    }
    Ok(commit)
}
