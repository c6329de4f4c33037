//! From the edit of an app that speaks some revision to changes of what the document holds; and the
//! refusal of what breaks the revision's rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use stead_base::DocId;
use stead_doc::{Document, Numbers, RichEdit};
use stead_schema::{Fault, Projection, Write};
use stead_store::CollectionNo;

use crate::{Change, ReplicaError};

/// Documents of collections with a schema that a transaction edits: what each lacked before.
#[derive(Default)]
pub(crate) struct Checked {
    documents: BTreeMap<(CollectionNo, DocId), (Arc<Projection>, Vec<Fault>)>,
}

impl Checked {
    /// Remembers what a document lacks before the transaction's first edit of it. What it lacks
    /// already is not the fault of whoever edits it now.
    pub(crate) fn begin(
        &mut self,
        key: &(CollectionNo, DocId),
        projection: &Arc<Projection>,
        change: &Change,
        document: &Document,
        numbers: &Numbers,
    ) {
        self.documents.entry(key.clone()).or_insert_with(|| {
            // A restored document comes back as it was; one that is put anew starts from nothing.
            let lacking = match document.exists() || *change == Change::Restore {
                true => projection.missing(&projection.read(&document.to_json(numbers))),
                false => Vec::new(),
            };
            (Arc::clone(projection), lacking)
        });
    }

    /// Refuses a transaction that leaves a document without a field that it must have.
    pub(crate) fn end<'d>(
        &self,
        documents: impl Iterator<Item = (&'d (CollectionNo, DocId), &'d str, &'d Document)>,
        numbers: &Numbers,
    ) -> Result<(), ReplicaError> {
        for (key, collection, document) in documents {
            let Some((projection, before)) = self.documents.get(key) else {
                continue;
            };
            if !document.exists() {
                continue;
            }
            let lacking = projection.missing(&projection.read(&document.to_json(numbers)));
            if let Some(fault) = lacking.into_iter().find(|fault| !before.contains(fault)) {
                return Err(wrong(collection, &key.1, &fault));
            }
        }
        Ok(())
    }
}

/// The changes of what is held that an edit through a revision comes to.
pub(crate) fn translate(
    projection: &Projection,
    change: &Change,
    document: &Document,
    numbers: &Numbers,
    (collection, id): (&str, &DocId),
) -> Result<Vec<Change>, ReplicaError> {
    let is_new = !document.exists();
    let held = match is_new {
        true => Value::Object(Map::new()),
        false => document.to_json(numbers),
    };
    let writes = match change {
        Change::Put { value, replace } => {
            projection
                .put(&held, value, *replace)
                .map(|writes| match is_new {
                    true => of_new_document(writes),
                    false => writes.into_iter().map(of_write).collect(),
                })
        }
        Change::Set { path, value } => projection.set(&held, path, value).map(of_writes),
        Change::Unset { path } => projection.unset(&held, path).map(of_writes),
        Change::Add { path, delta } => projection.add(path, *delta).map(of_one),
        Change::Include { path, element } => projection
            .element(&held, path, element, true)
            .map(of_writes),
        Change::Exclude { path, element } => projection
            .element(&held, path, element, false)
            .map(of_writes),
        Change::Rich { path, kind, edit } => projection.rich(path, *kind, edit).map(|path| {
            vec![Change::Rich {
                path,
                kind: *kind,
                edit: edit.clone(),
            }]
        }),
        Change::Delete | Change::Purge | Change::Restore => Ok(vec![change.clone()]),
    };
    let mut changes = writes.map_err(|fault| wrong(collection, id, &fault))?;
    into_sets(&mut changes, &held, document, numbers);
    Ok(changes)
}

fn wrong(collection: &str, id: &DocId, fault: &Fault) -> ReplicaError {
    ReplicaError::BreaksSchema {
        document: format!("{collection}/{id}"),
        fault: fault.clone(),
    }
}

fn of_one(write: Write) -> Vec<Change> {
    vec![of_write(write)]
}

fn of_writes(writes: Vec<Write>) -> Vec<Change> {
    writes.into_iter().map(of_write).collect()
}

fn of_write(write: Write) -> Change {
    match write {
        Write::Set { path, value } => Change::Set { path, value },
        Write::Merge { path, value } => Change::Put {
            value: nested(&path, value),
            replace: false,
        },
        Write::Become { path, kind, value } => Change::Rich {
            path,
            kind,
            edit: RichEdit::Become(value),
        },
        Write::Add { path, delta } => Change::Add { path, delta },
        Write::Include { path, element } => Change::Include { path, element },
        Write::Exclude { path, element } => Change::Exclude { path, element },
        Write::Unset { path } => Change::Unset { path },
    }
}

/// A value at a path as an object from the root.
fn nested(path: &[String], value: Value) -> Value {
    path.iter().rev().fold(value, |value, name| {
        let mut entries = Map::new();
        entries.insert(name.clone(), value);
        Value::Object(entries)
    })
}

/// A document that is made, or made anew after its deletion: one put, then what sets hold.
fn of_new_document(writes: Vec<Write>) -> Vec<Change> {
    let mut whole = Value::Object(Map::new());
    let mut elements = Vec::new();
    for write in writes {
        match write {
            write @ (Write::Set { .. } | Write::Merge { .. }) => write.apply(&mut whole),
            write => elements.push(of_write(write)),
        }
    }
    let put = Change::Put {
        value: whole,
        replace: false,
    };
    std::iter::once(put).chain(elements).collect()
}

/// A field that the revision sees as a set and the document holds as a list, from before there was a
/// schema, becomes a set with its first change.
fn into_sets(changes: &mut Vec<Change>, held: &Value, document: &Document, numbers: &Numbers) {
    let mut made: Vec<Vec<String>> = Vec::new();
    let mut index = 0;
    while index < changes.len() {
        let (Change::Include { path, .. } | Change::Exclude { path, .. }) = &changes[index] else {
            index += 1;
            continue;
        };
        let path = path.clone();
        let names = stead_doc::Path::from_names(path.iter().map(String::as_str));
        let is_list = names.is_ok_and(|names| document.is_list(names.as_ref(), numbers));
        if is_list && !made.contains(&path) {
            let there = path.iter().try_fold(held, |held, name| held.get(name));
            let elements = there.and_then(Value::as_array).cloned().unwrap_or_default();
            let mut anew = vec![Change::Unset { path: path.clone() }];
            anew.extend(
                elements
                    .into_iter()
                    .filter(|element| {
                        !element.is_array() && !element.is_object() && !element.is_null()
                    })
                    .map(|element| Change::Include {
                        path: path.clone(),
                        element,
                    }),
            );
            index += anew.len();
            let at = index - anew.len();
            changes.splice(at..at, anew);
            made.push(path);
        }
        index += 1;
    }
}
