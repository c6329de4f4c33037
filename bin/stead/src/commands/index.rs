//! `stead index`.

use std::path::Path;

use stead_api::{IndexAdd, IndexList, IndexRemove};

use crate::{
    args::Index,
    client::connect,
    exit::Failure,
    look,
    output::Output,
    query::{FieldArg, path_text},
    table::Table,
};

pub(crate) fn index(home: &Path, index: Index, out: &Output) -> Result<(), Failure> {
    let paths = |fields: Vec<FieldArg>| fields.into_iter().map(|field| field.0).collect();
    match index {
        Index::Add {
            collection,
            fields,
            text,
        } => {
            let done = connect(home)?.call(&IndexAdd {
                space: collection.space,
                collection: collection.collection,
                fields: paths(fields),
                text,
            })?;
            out.json(&done);
            out.say(done.message);
            Ok(())
        }
        Index::Remove {
            collection,
            fields,
            text,
        } => {
            let done = connect(home)?.call(&IndexRemove {
                space: collection.space,
                collection: collection.collection,
                fields: paths(fields),
                text,
            })?;
            out.json(&done);
            out.say(done.message);
            Ok(())
        }
        Index::List { subject } => {
            let found = connect(home)?.call(&IndexList {
                space: subject.space,
                collection: subject.collection,
            })?;
            out.json(&found);
            if found.indexes.is_empty() {
                out.remark("There is no index. `stead index add` makes one.");
                return Ok(());
            }
            let mut table = Table::new(["collection", "fields", "for", "asked by", "state"]);
            for index in &found.indexes {
                let fields: Vec<String> = index.fields.iter().map(|path| path_text(path)).collect();
                let by = match (index.by_hand, index.by_schema) {
                    (true, true) => "you, schema",
                    (false, true) => "schema",
                    _ => "you",
                };
                table.row(vec![
                    index.collection.clone(),
                    fields.join(", "),
                    if index.text { "words" } else { "values" }.to_owned(),
                    by.to_owned(),
                    match index.complete {
                        true => look::good("ready"),
                        false => look::warning(&format!(
                            "{} of {}",
                            look::count(index.done),
                            look::count(index.total)
                        )),
                    },
                ]);
            }
            for line in table.lines(0, out.width()) {
                out.say(line);
            }
            Ok(())
        }
    }
}
