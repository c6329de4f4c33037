//! `stead history` and `stead redact`.

use std::path::Path;

use stead_api::{DocAt, DocBack, DocDiff, DocHistory, DocRedact, DocStep, DocStory, FieldDiff};

use crate::{
    args::{History, Redact},
    ask::confirm,
    client::connect,
    exit::Failure,
    look,
    output::Output,
    query::path_text,
    table::Table,
};

pub(crate) fn history(home: &Path, history: &History, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let address = &history.document;
    let (space, collection, id) = (
        address.space.clone(),
        address.collection.clone(),
        address.id.clone(),
    );
    if let Some(at) = history.restore {
        let commit = client.call(&DocBack {
            space,
            collection,
            id,
            at_ms: at.0,
        })?;
        out.json(&commit);
        out.say(match commit.entry {
            Some(_) => format!(
                "{address} is again what it was at {}. Undo: stead history {address} --restore @{}",
                look::moment(at.0),
                commit.time.ms.saturating_sub(1)
            ),
            None => format!(
                "{address} is what it was at {} already.",
                look::moment(at.0)
            ),
        });
        return Ok(());
    }
    if let Some(at) = history.at {
        let got = client.call(&DocAt {
            space,
            collection,
            id,
            at_ms: at.0,
        })?;
        out.json(&got.doc);
        let state = if got.doc.deleted {
            look::warning("  (deleted)")
        } else {
            String::new()
        };
        out.say(format!(
            "{}  {}{state}",
            look::heading(&address.to_string()),
            look::faint(&look::moment(at.0))
        ));
        let mut table = Table::new(["", ""]);
        for (name, value) in look::fields(&got.doc.value) {
            table.row(vec![look::faint(&name), look::value(&value)]);
        }
        for line in table.lines(2, out.width()) {
            out.say(line);
        }
        return Ok(());
    }
    if let Some(from) = history.diff {
        let diff = client.call(&DocDiff {
            space,
            collection,
            id,
            from_ms: from.0,
            to_ms: history.to.map(|to| to.0),
        })?;
        out.json(&diff);
        for change in &diff.changes {
            out.say(differs(change));
        }
        if diff.changes.is_empty() {
            out.remark("Nothing differs.");
        }
        return Ok(());
    }
    let story = client.call(&DocHistory {
        space,
        collection,
        id,
        path: history
            .field
            .as_ref()
            .map(|field| field.0.clone())
            .unwrap_or_default(),
        limit: Some(history.limit),
        skip: 0,
    })?;
    out.json(&story);
    match history.fields {
        true => fields(&story, out),
        false => steps(history, &story, out),
    }
    Ok(())
}

pub(crate) fn redact(home: &Path, redact: Redact, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let address = &redact.document;
    let path = redact.field.map(|field| field.0).unwrap_or_default();
    let what = match path.is_empty() {
        true => format!("all of {address}"),
        false => format!("{} of {address}", path_text(&path)),
    };
    confirm(
        &format!(
            "This takes every value of {what} that was ever written out of the document, its history and the files of all devices that hear of it. It cannot be undone."
        ),
        redact.yes,
        out,
    )?;
    let done = client.call(&DocRedact {
        space: address.space.clone(),
        collection: address.collection.clone(),
        id: address.id.clone(),
        path,
    })?;
    out.json(&done);
    out.say(format!(
        "Redacted {what}: it was in {}.",
        look::counted(done.entries, "log entry")
    ));
    if done.checkpoint {
        out.say("  A new checkpoint stands in the place of the one that held it.");
    }
    Ok(())
}

fn differs(change: &FieldDiff) -> String {
    let field = look::heading(&path_text(&change.path));
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!(
            "{} {field}  {} → {}",
            look::warning("~"),
            look::faint(&look::value(before)),
            look::value(after)
        ),
        (None, Some(after)) => format!("{} {field}  {}", look::good("+"), look::value(after)),
        (Some(before), None) => {
            format!(
                "{} {field}  {}",
                look::bad("-"),
                look::faint(&look::value(before))
            )
        }
        (None, None) => format!("{} {field}", look::warning("~")),
    }
}

fn fields(story: &DocStory, out: &Output) {
    let mut table = Table::new(["field", "value", "set by", "at"]);
    for field in &story.fields {
        table.row(vec![
            path_text(&field.path),
            look::value(&field.value),
            field.device.name.clone(),
            look::faint(&look::moment(field.time.ms)),
        ]);
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    if story.deleted {
        out.remark(look::warning("The document is deleted."));
    }
}

fn steps(history: &History, story: &DocStory, out: &Output) {
    let cut = |line: String| match out.width() {
        Some(width) => console::truncate_str(&line, width, "…").into_owned(),
        None => line,
    };
    for step in &story.steps {
        let state = match step {
            DocStep { void: true, .. } => look::warning("  void: it does not count"),
            DocStep { said, .. } if said.iter().any(|it| it == "purge") => look::bad("  purged"),
            DocStep {
                deleted: Some(true),
                ..
            } => look::bad("  deleted"),
            DocStep {
                deleted: Some(false),
                ..
            } => look::good("  brought back"),
            _ => String::new(),
        };
        out.say(format!(
            "{}  {}{state}",
            look::moment(step.time.ms),
            look::heading(&step.device.name)
        ));
        for change in &step.changes {
            out.say(cut(format!("    {}", differs(change))));
        }
        if step.void {
            for said in &step.said {
                out.say(cut(look::faint(&format!("    {said}"))));
            }
        } else if step.redacts {
            out.say(look::faint(
                "    redacted: the values are gone from all that is kept",
            ));
        } else if step.changes.is_empty() && step.deleted.is_none() {
            out.say(look::faint(
                "    nothing that is seen: a later change had come first",
            ));
        }
    }
    let shown = story.steps.len() as u64;
    match story.total {
        0 => out.remark("Nothing changed there."),
        total if total > shown => out.remark(look::faint(&format!(
            "\n{} of {}. More with --limit {}.",
            look::count(shown),
            look::counted(total, "change"),
            u64::from(history.limit) * 10
        ))),
        total => out.remark(look::faint(&format!(
            "\n{}.",
            look::counted(total, "change")
        ))),
    }
}
