//! `stead space`.

mod checkpoints;
mod keep;

use std::path::Path;

use serde_json::json;
use stead_api::{SpaceCreate, SpaceInfo, SpaceLeave, SpaceList};

use crate::{
    args::Space,
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
    table::Table,
};

pub(crate) use keep::{keep_by_space, keep_of};

pub(crate) fn space(home: &Path, space: Space, out: &Output) -> Result<(), Failure> {
    match space {
        Space::Create { name } => create(home, name, out),
        Space::List => list(home, out),
        Space::Checkpoint { space } => checkpoints::make(home, space, out),
        Space::History { space, keep } => checkpoints::history(home, space, keep, out),
        Space::Checkpoints { space } => checkpoints::list(home, space, out),
        Space::Compact {
            space,
            older_than,
            force,
            yes,
        } => checkpoints::compact(home, space, older_than, force, yes, out),
        asked @ Space::Keep { .. } => keep::keep(home, asked, out),
        Space::Leave {
            space,
            yes,
            lose_unsynced,
        } => leave(home, space, yes, lose_unsynced, out),
    }
}

fn create(home: &Path, name: String, out: &Output) -> Result<(), Failure> {
    let space = connect(home)?.call(&SpaceCreate { name })?;
    out.say(format!(
        "Made the space {}. Your other devices get it by themselves.",
        look::heading(&space.name)
    ));
    out.say(format!(
        "  Put something in:  {}",
        look::code(&format!("stead put {}/notes title=Hello", space.name))
    ));
    out.json(&space);
    Ok(())
}

fn list(home: &Path, out: &Output) -> Result<(), Failure> {
    let spaces = connect(home)?.call(&SpaceList { collections: true })?;
    out.json(&spaces);
    let mut table = Table::new(["space", "collection", ">documents", "sync"]);
    for space in &spaces.spaces {
        table.row(vec![
            look::heading(&space.name),
            String::new(),
            look::count(space.documents),
            format!("{}{}", space.sync.detail, remark_history(space)),
        ]);
        for collection in &space.collections {
            table.row(vec![
                String::new(),
                collection.name.clone(),
                look::count(collection.documents),
                String::new(),
            ]);
        }
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    if spaces.spaces.iter().all(|space| space.home) {
        out.say(format!(
            "\nMake a space with: {}",
            look::code("stead space create family")
        ));
    }
    Ok(())
}

/// Says of a space whose beginning was dropped from when on its history is known here.
pub(crate) fn remark_history(space: &SpaceInfo) -> String {
    let from = space.known_from_ms.map(look::moment);
    from.map_or_else(String::new, |from| {
        look::faint(&format!(", history from {from} on"))
    })
}

fn leave(
    home: &Path,
    name: String,
    yes: bool,
    lose_unsynced: bool,
    out: &Output,
) -> Result<(), Failure> {
    let mut client = connect(home)?;
    if !yes {
        let spaces = client.call(&SpaceList::default())?.spaces;
        let known = spaces
            .iter()
            .find(|space| space.name == name || space.id == name);
        ask(known, &name, out)?;
    }
    let done = client.call(&SpaceLeave {
        space: name.clone(),
        lose_unsynced,
    })?;
    out.json(&json!({"left": name, "message": done.message}));
    out.say(format!(
        "Left {}. Its data is erased on this device.",
        look::heading(&name)
    ));
    Ok(())
}

/// A question before what cannot be undone; without a person to ask, nothing is done.
fn ask(space: Option<&SpaceInfo>, name: &str, out: &Output) -> Result<(), Failure> {
    let term = console::Term::stderr();
    if out.json || !term.is_term() {
        return Err(
            Failure::usage(format!("Leaving {name} erases its data on this device."))
                .hint("Say that you mean it with --yes."),
        );
    }
    let documents = space.map_or(0, |space| space.documents);
    let others = space.map_or(0, |space| space.devices.saturating_sub(1));
    let warning = match others {
        0 => look::bad("No other device has it: the data will be gone for good.").to_string(),
        _ => format!(
            "It stays on {}.",
            look::counted(u64::from(others), "other device")
        ),
    };
    let question = format!(
        "Leave {} and erase its {} on this device? {warning} [y/N] ",
        look::heading(name),
        look::counted(documents, "document")
    );
    let _ = term.write_str(&question);
    let answer = term.read_line().unwrap_or_default();
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Interrupted, "Nothing was done.")),
    }
}
