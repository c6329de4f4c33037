//! `stead export`.

use std::{io, path::Path};

use serde_json::json;
use stead_api::DocQuery;
use stead_interchange::{Format, Record, Writer};

use crate::{
    args::Export, client::connect, commands::read::pages, exit::Failure, look, output::Output,
};

pub(crate) fn export(home: &Path, args: &Export, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let format = args.format.format();
    let mut writer = match (&args.path, format) {
        (Some(path), _) => Writer::create(format, path)?,
        (None, Format::Markdown) => {
            return Err(
                Failure::usage("Notes are written into a folder.").hint(format!(
                    "Name it: stead export markdown FOLDER --from {}",
                    args.from
                )),
            );
        }
        (None, _) => {
            Writer::to_stream(format, Path::new("standard output"), Box::new(io::stdout()))
        }
    };
    let request = DocQuery {
        space: args.from.space.clone(),
        collection: args.from.collection.clone(),
        filters: crate::query::conditions(&args.conditions, None),
        ..DocQuery::default()
    };
    let mut failed = None;
    let mut partial = false;
    pages(&mut client, request, u64::MAX, |page| {
        partial |= page.partial;
        for doc in page.docs {
            let record = Record {
                id: Some(doc.id),
                value: doc.value,
            };
            if failed.is_none() {
                failed = writer.write(&record).err();
            }
        }
    })?;
    if let Some(err) = failed {
        return Err(err.into());
    }
    let count = writer.finish()?;
    super::read::remark_part(partial, &args.from.to_string(), out);
    if let Some(path) = &args.path {
        out.json(&json!({"exported": count, "path": path}));
        out.say(format!(
            "Exported {} from {} to {}.",
            look::counted(count, "document"),
            args.from,
            path.display()
        ));
    }
    Ok(())
}
