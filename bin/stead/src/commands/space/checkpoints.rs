//! `stead space checkpoint`, `checkpoints`, `history` and `compact`.

use std::path::Path;
use std::time::Duration;

use stead_api::{SpaceCheckpoint, SpaceCheckpoints, SpaceCompact, SpaceHistory};

use crate::{ask::confirm, client::connect, exit::Failure, look, output::Output, table::Table};

pub(super) fn make(home: &Path, space: String, out: &Output) -> Result<(), Failure> {
    let made = connect(home)?.call(&SpaceCheckpoint {
        space: space.clone(),
    })?;
    out.say(format!(
        "Made a checkpoint of {}: {} as they are now.",
        look::heading(&space),
        look::counted(made.documents, "document")
    ));
    out.say(format!(
        "  Drop the history below it:  {}",
        look::code(&format!("stead space compact {space}"))
    ));
    out.json(&made);
    Ok(())
}

pub(super) fn list(home: &Path, space: String, out: &Output) -> Result<(), Failure> {
    let found = connect(home)?.call(&SpaceCheckpoints {
        space: space.clone(),
    })?;
    out.json(&found);
    if found.checkpoints.is_empty() {
        out.say(format!(
            "{} has no checkpoint. Make one with: {}",
            look::heading(&space),
            look::code(&format!("stead space checkpoint {space}"))
        ));
        return Ok(());
    }
    let mut table = Table::new(["made", "by", ">documents", "state"]);
    for info in &found.checkpoints {
        let state = match info {
            info if info.beginning => "history begins here",
            info if !info.counts => "its maker may not make one",
            info if !info.whole => "not all here yet",
            info if info.held_back => "held back: dated ahead of this device's clock",
            _ => "ready",
        };
        table.row(vec![
            look::moment(info.made_ms),
            info.made_by.clone().unwrap_or_default(),
            look::count(info.documents),
            state.to_owned(),
        ]);
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    Ok(())
}

pub(super) fn history(
    home: &Path,
    space: String,
    keep_ms: Option<u64>,
    out: &Output,
) -> Result<(), Failure> {
    let kept = connect(home)?.call(&SpaceHistory {
        space: space.clone(),
        keep_ms,
    })?;
    out.json(&kept);
    let name = look::heading(&space);
    out.say(match kept.keep_ms {
        None => format!("The history of {name} is kept for ever on this device."),
        Some(ms) => format!(
            "The history of {name} is kept for {} on this device.",
            look::span(Duration::from_millis(ms))
        ),
    });
    if let Some(ms) = kept.known_from_ms {
        out.say(format!("  It begins at {}.", look::moment(ms)));
    }
    if let Some(why) = kept.held_up {
        out.say(look::warning(&format!("  Nothing is dropped yet: {why}")));
    }
    Ok(())
}

pub(super) fn compact(
    home: &Path,
    space: String,
    older_than_ms: u64,
    force: bool,
    yes: bool,
    out: &Output,
) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let unseen = match force {
        true => {
            " Devices that have not seen all of it yet begin again from the checkpoint; what they wrote themselves stays."
        }
        false => "",
    };
    confirm(
        &format!(
            "This drops who changed what, and when, below a checkpoint of {space}, on this device and for good. Documents stay as they are.{unseen}"
        ),
        yes,
        out,
    )?;
    let done = client.call(&SpaceCompact {
        space: space.clone(),
        older_than_ms,
        force,
    })?;
    out.json(&done);
    out.say(match done.entries {
        0 => format!(
            "Nothing to drop: the history of {} begins at its newest checkpoint.",
            look::heading(&space)
        ),
        entries => format!(
            "Dropped {} of {}.",
            look::counted(entries, "log entry"),
            look::heading(&space)
        ),
    });
    Ok(())
}
