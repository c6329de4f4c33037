//! `stead log`.

use std::path::Path;

use serde_json::json;
use stead_api::{LogEntry, LogKind, LogList, LogOp};

use crate::{
    args::Log,
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
};

const PAGE: u64 = 500;
const OPS_SHOWN: usize = 5;

pub(crate) fn log(home: &Path, log: &Log, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let mut request = LogList {
        space: log.subject.space.clone(),
        collection: log.subject.collection.clone(),
        id: log.subject.id.clone(),
        proof: log.proof,
        ..LogList::default()
    };
    let mut entries: Vec<LogEntry> = Vec::new();
    loop {
        let left = log.limit - entries.len() as u64;
        request.limit = Some(left.min(PAGE) as u32);
        let page = client.call(&request)?;
        entries.extend(page.entries);
        match page.next {
            Some(next) if (entries.len() as u64) < log.limit => request.before = Some(next),
            next => {
                show(log, &entries, next.is_some(), out);
                break;
            }
        }
    }
    let unproven = entries
        .iter()
        .filter(|entry| entry.proof.as_ref().is_some_and(|proof| !proof.verified));
    match unproven.count() {
        0 => Ok(()),
        count => Err(Failure::new(
            Code::Trouble,
            format!(
                "{} could not be proven.",
                look::counted(count as u64, "entry")
            ),
        )
        .hint("The store may be damaged: stead doctor --thorough")),
    }
}

fn show(log: &Log, entries: &[LogEntry], more: bool, out: &Output) {
    out.json(&json!({"entries": entries, "more": more}));
    if entries.is_empty() {
        out.remark("Nothing was written there yet.");
    }
    for entry in entries {
        let held = if entry.kind == LogKind::HeldBack {
            look::warning("  held back")
        } else {
            String::new()
        };
        out.say(format!(
            "{}  {}  {}{held}",
            look::moment(entry.time.ms),
            look::heading(&entry.device.name),
            look::faint(&format!(
                "#{} of log {}",
                entry.index,
                look::short(&entry.writer)
            ))
        ));
        for op in entry.ops.iter().take(OPS_SHOWN) {
            let line = format!("    {}", describe(op));
            out.say(match out.width() {
                Some(width) => console::truncate_str(&line, width, "…").into_owned(),
                None => line,
            });
        }
        let shown = entry.ops.len().min(OPS_SHOWN) as u64;
        if entry.ops_total > shown {
            out.say(look::faint(&format!(
                "    and {} more",
                look::count(entry.ops_total - shown)
            )));
        }
        if entry.closed > 0 {
            out.say(look::faint(
                "    what it says elsewhere is not for this device",
            ));
        }
        if let Some(proof) = &entry.proof {
            let verdict = match proof.verified {
                true => look::good("proven"),
                false => look::bad("not proven"),
            };
            out.say(format!(
                "    {verdict}: leaf {}… is in the {} whose root {}… {} signed",
                look::short(&proof.leaf),
                look::counted(proof.head_len, "entry"),
                look::short(&proof.head_root),
                entry.device.name
            ));
        }
    }
    if more {
        out.remark(look::faint(&format!(
            "\nThere is more: stead log {} --limit {}",
            log.subject.space,
            log.limit * 5
        )));
    }
}

fn describe(op: &LogOp) -> String {
    if op.collection.is_empty() {
        return op.summary.clone();
    }
    let document = match op.id.len() {
        // The id of a device or a space.
        64 => format!("{}/{}…", op.collection, look::short(&op.id)),
        _ => format!("{}/{}", op.collection, op.id),
    };
    if !op.summary.is_empty() {
        return format!("{document}  {}", op.summary);
    }
    let field = crate::query::path_text(&op.path);
    let value = op
        .value
        .as_ref()
        .map_or_else(|| "…".to_owned(), look::value);
    match op.op.as_str() {
        "set" => format!("{document}  {field} = {value}"),
        "add" => format!("{document}  {field} + {value}"),
        "include" => format!("{document}  {value} into {field}"),
        "exclude" => format!("{document}  {value} out of {field}"),
        "unset" => format!("{document}  {field} removed"),
        "delete" => format!("{document}  deleted"),
        "purge" => format!("{document}  purged"),
        "restore" => format!("{document}  restored"),
        other => format!("{document}  {other} {field}"),
    }
}
