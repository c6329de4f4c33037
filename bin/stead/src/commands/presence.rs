//! `stead presence`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use stead_api::{
    CursorAt, CursorSeen, Notification, PresenceList, PresenceSet, PresenceWatch, Present, TextUnit,
};

use crate::{
    args::Presence,
    client::connect,
    exit::Failure,
    look,
    output::Output,
    query::{path_of, value_of},
};

pub(crate) fn presence(home: &Path, presence: &Presence, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let (space, on) = (presence.place.space.clone(), presence.place.path());
    let is_there = presence.set.is_some() || !presence.cursor.is_empty();
    let mut own = None;
    if is_there {
        let cursors = presence.cursor.iter().map(|text| cursor_of(text));
        let is = client.call(&PresenceSet {
            space: space.clone(),
            on: on.clone(),
            app: presence.app.clone(),
            value: presence.set.as_deref().map(value_of).unwrap_or_default(),
            cursors: cursors.collect::<Result<_, _>>()?,
            unit: TextUnit::Scalar,
        })?;
        own = Some(is.key);
    }
    if !is_there && !presence.watch {
        let listed = client.call(&PresenceList {
            space,
            on,
            ..PresenceList::default()
        })?;
        out.json(&listed);
        for present in &listed.here {
            out.say(line(present));
        }
        if listed.here.is_empty() {
            out.remark(format!("Nobody is in {} right now.", presence.place));
        }
        return Ok(());
    }
    client.call(&PresenceWatch {
        space,
        on,
        ..PresenceWatch::default()
    })?;
    if is_there {
        out.remark(look::faint(&format!(
            "You are in {}. Ctrl-C ends it.",
            presence.place
        )));
    }
    let mut here: BTreeMap<String, Present> = BTreeMap::new();
    loop {
        let Notification::Presence(event) = client.next_notification()? else {
            continue;
        };
        if presence.watch && out.json {
            out.json_line(&event);
        }
        for present in event.here {
            let known = here.insert(present.key.clone(), present.clone());
            let is_own = own.as_ref() == Some(&present.key);
            if presence.watch && !is_own && !out.json {
                let sign = match known {
                    None => look::good("+"),
                    Some(_) => look::warning("~"),
                };
                out.say(format!("{}  {sign} {}", now(), line(&present)));
            }
        }
        for key in event.left {
            if let Some(gone) = here.remove(&key)
                && presence.watch
                && !out.json
            {
                let who = look::heading(&who(&gone));
                out.say(format!("{}  {} {who}  {}", now(), look::bad("-"), gone.on));
            }
        }
        if event.ready && presence.watch && !is_there {
            out.remark(look::faint(&format!(
                "Watching {}. Ctrl-C ends it.",
                presence.place
            )));
        }
    }
}

fn now() -> String {
    look::faint(&look::moment(look::now_ms())[11..])
}

/// `ada (laptop)`, or the device where no person is known.
fn who(present: &Present) -> String {
    match &present.person {
        Some(person) => format!("{person} ({})", present.device_name),
        None => present.device_name.clone(),
    }
}

fn line(present: &Present) -> String {
    let mut parts = vec![look::heading(&who(present)), present.on.clone()];
    if !present.app.is_empty() {
        parts.push(look::faint(&present.app));
    }
    if !present.value.is_null() {
        parts.push(match &present.value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        });
    }
    parts.extend(present.cursors.iter().map(cursor));
    parts.join("  ")
}

fn cursor(cursor: &CursorSeen) -> String {
    let field = cursor.field.join(".");
    match (cursor.anchor, cursor.head) {
        (Some(anchor), Some(head)) if anchor == head => format!("{field}:{anchor}"),
        (Some(anchor), Some(head)) => format!("{field}:{anchor}-{head}"),
        _ => format!("{field}:?"),
    }
}

fn cursor_of(text: &str) -> Result<CursorAt, Failure> {
    let parsed = (|| {
        let (field, places) = text.rsplit_once(':')?;
        let (anchor, head) = match places.split_once('-') {
            Some((anchor, head)) => (anchor, Some(head.parse().ok()?)),
            None => (places, None),
        };
        Some(CursorAt {
            field: path_of(field)?,
            anchor: anchor.parse().ok()?,
            head,
        })
    })();
    parsed.ok_or_else(|| {
        Failure::usage(format!(
            "\"{text}\" is no cursor: write FIELD:POSITION, or FIELD:POSITION-POSITION for a selection."
        ))
    })
}
