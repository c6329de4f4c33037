//! From the arguments of `stead put` to edits.

use std::io::Read;

use serde_json::{Map, Value};
use stead_api::{EDITS_MAX, Edit, Op};

use crate::{
    address::PutAddress,
    args::Put,
    exit::{Code, Failure},
    query::{path_of, value_of},
};

/// The edits that a command line asks for; they make one transaction.
pub(crate) fn edits_of(put: &Put, stdin: impl Read) -> Result<Vec<Edit>, Failure> {
    let mut edits = Vec::new();
    let whole = match put.fields.as_slice() {
        [] => Vec::new(),
        [only] if only == "-" => objects_of(stdin)?,
        [only] if only.trim_start().starts_with('{') => vec![object_of(only)?],
        fields => vec![fields_of(fields)?],
    };
    if whole.len() > 1 && put.document.id.is_some() {
        return Err(Failure::usage("Several objects cannot be one document.")
            .hint("Leave the id out, and every object becomes a document."));
    }
    edits.extend(whole.into_iter().map(|value| {
        edit(
            &put.document,
            Op::Put {
                value: Value::Object(value),
                replace: put.replace,
            },
        )
    }));
    let mut field_edits = Vec::new();
    for text in &put.add {
        let (path, value) = pair(text)?;
        let delta = value.as_i64().ok_or_else(|| {
            Failure::usage(format!(
                "--add {text} needs a whole number, such as visits=1."
            ))
        })?;
        field_edits.push(Op::Add { path, delta });
    }
    for text in &put.include {
        let (path, elem) = pair(text)?;
        field_edits.push(Op::Include { path, elem });
    }
    for text in &put.exclude {
        let (path, elem) = pair(text)?;
        field_edits.push(Op::Exclude { path, elem });
    }
    for text in &put.unset {
        let path = path_of(text)
            .ok_or_else(|| Failure::usage(format!("--unset {text} names no field.")))?;
        field_edits.push(Op::Unset { path });
    }
    if !field_edits.is_empty() && put.document.id.is_none() {
        return Err(Failure::usage(
            "--add, --include, --exclude and --unset need the document's id.",
        )
        .hint(format!("Write it as {}/ID.", put.document)));
    }
    edits.extend(field_edits.into_iter().map(|op| edit(&put.document, op)));
    match edits.len() {
        0 => Err(Failure::usage("There is nothing to write.")
            .hint("Name fields, such as name=Ada, or give a JSON object.")),
        count if count > EDITS_MAX => Err(Failure::new(
            Code::Refused,
            format!(
                "One command writes at most {EDITS_MAX} documents at once, and these are {count}."
            ),
        )
        .hint("stead import takes any number.")),
        _ => Ok(edits),
    }
}

fn edit(document: &PutAddress, op: Op) -> Edit {
    Edit {
        collection: document.collection.clone(),
        id: document.id.clone(),
        op,
    }
}

fn pair(text: &str) -> Result<(Vec<String>, Value), Failure> {
    text.split_once('=')
        .and_then(|(field, value)| Some((path_of(field)?, value_of(value))))
        .ok_or_else(|| Failure::usage(format!("\"{text}\" is not of the form FIELD=VALUE.")))
}

fn object_of(text: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text)
        .map_err(|err| Failure::usage(format!("The JSON is not right: {err}.")))
}

fn objects_of(stdin: impl Read) -> Result<Vec<Map<String, Value>>, Failure> {
    let mut objects = Vec::new();
    for value in serde_json::Deserializer::from_reader(stdin).into_iter::<Value>() {
        let value =
            value.map_err(|err| Failure::usage(format!("The JSON is not right: {err}.")))?;
        let items = match value {
            Value::Array(items) => items,
            other => vec![other],
        };
        for item in items {
            match item {
                Value::Object(fields) => objects.push(fields),
                _ => return Err(Failure::usage("Every document must be a JSON object.")),
            }
        }
    }
    Ok(objects)
}

pub(crate) fn fields_of(pairs: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut fields = Map::new();
    for text in pairs {
        let (path, value) = pair(text)?;
        insert(&mut fields, &path, value).ok_or_else(|| {
            Failure::usage(format!("\"{text}\" does not fit the fields before it."))
        })?;
    }
    Ok(fields)
}

fn insert(fields: &mut Map<String, Value>, path: &[String], value: Value) -> Option<()> {
    match path {
        [] => None,
        [name] => fields.insert(name.clone(), value).is_none().then_some(()),
        [name, rest @ ..] => {
            let below = fields
                .entry(name.as_str())
                .or_insert_with(|| Value::Object(Map::new()));
            insert(below.as_object_mut()?, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use serde_json::json;

    fn edits(args: &[&str], stdin: &str) -> Result<Vec<Op>, Failure> {
        let line = ["stead", "put"].iter().chain(args);
        let parsed = crate::args::Args::try_parse_from(line).unwrap();
        let crate::args::Command::Put(put) = parsed.command else {
            panic!("another command")
        };
        Ok(edits_of(&put, stdin.as_bytes())?
            .into_iter()
            .map(|edit| edit.op)
            .collect())
    }

    fn put(value: Value) -> Op {
        Op::Put {
            value,
            replace: false,
        }
    }

    #[test]
    fn pairs_make_one_nested_object() {
        assert_eq!(
            edits(
                &[
                    "s/c/d",
                    "name=Ada L",
                    "born=1815",
                    "address.city=London",
                    "address.zip=\"1\"",
                    "x={\"a\":1}"
                ],
                ""
            ),
            Ok(vec![put(
                json!({"name": "Ada L", "born": 1815, "address": {"city": "London", "zip": "1"}, "x": {"a": 1}})
            )])
        );
    }

    #[test]
    fn all_edits_of_one_command_go_together() {
        assert_eq!(
            edits(
                &[
                    "s/c/d",
                    "a=1",
                    "--add",
                    "n=-2",
                    "--include",
                    "tags=x",
                    "--exclude",
                    "tags=7",
                    "--unset",
                    "b.c"
                ],
                ""
            ),
            Ok(vec![
                put(json!({"a": 1})),
                Op::Add {
                    path: vec!["n".into()],
                    delta: -2
                },
                Op::Include {
                    path: vec!["tags".into()],
                    elem: json!("x")
                },
                Op::Exclude {
                    path: vec!["tags".into()],
                    elem: json!(7)
                },
                Op::Unset {
                    path: vec!["b".into(), "c".into()]
                },
            ])
        );
    }

    #[test]
    fn standard_input_holds_any_number_of_objects() {
        let expected = Ok(vec![put(json!({"a": 1})), put(json!({"a": 2}))]);
        assert_eq!(edits(&["s/c", "-"], "{\"a\":1}\n{\"a\":2}"), expected);
        assert_eq!(edits(&["s/c", "-"], "[{\"a\":1},{\"a\":2}]"), expected);
        assert!(edits(&["s/c/d", "-"], "{} {}").is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        for (args, stdin) in [
            (&["s/c/d"][..], ""),
            (&["s/c/d", "name"], ""),
            (&["s/c/d", "{\"a\":"], ""),
            (&["s/c", "--add", "n=1"], ""),
            (&["s/c/d", "--add", "n=x"], ""),
            (&["s/c/d", "a=1", "a.b=2"], ""),
            (&["s/c", "-"], "[1]"),
        ] {
            let failure = edits(args, stdin).unwrap_err();
            assert_eq!(failure.code, Code::Usage, "{args:?}");
            assert!(failure.message.ends_with('.'), "{}", failure.message);
        }
    }
}
