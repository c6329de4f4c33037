//! `stead kv` and `stead feed`: ordered maps and append-only feeds.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use serde_json::Value;
use stead_api::{
    DocWatch, FaceValue, FeedAppend, FeedGet, FeedItem, FeedParts, FeedRead, FeedVerify, KvDiff,
    KvEntry, KvGet, KvHistory, KvPut, KvRange, feed_place, kv_key,
};

use crate::{
    address::CollectionAddress,
    args::{Feed, Kv},
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
    table::Table,
};

pub(crate) fn kv(home: &Path, action: Kv, out: &Output) -> Result<(), Failure> {
    match action {
        Kv::Put {
            map,
            key,
            value,
            file,
        } => {
            let value = match (value, file) {
                (Some(text), _) => read_value(&text),
                (None, Some(file)) => read_file(&file)?,
                (None, None) => {
                    return Err(Failure::usage("There is no value to put.")
                        .hint("Give it behind the key, or with --file."));
                }
            };
            write(
                home,
                &map,
                vec![KvEntry {
                    key,
                    value: Some(value),
                }],
                out,
            )
        }
        Kv::Delete { map, keys } => {
            let entries = keys.into_iter().map(|key| KvEntry { key, value: None });
            write(home, &map, entries.collect(), out)
        }
        Kv::Get { map, key } => get(home, &map, key, out),
        Kv::Range {
            map,
            gt,
            gte,
            lt,
            lte,
            prefix,
            reverse,
            limit,
            after,
        } => {
            let page = connect(home)?.call(&KvRange {
                space: map.space,
                collection: map.collection,
                gt,
                gte,
                lt,
                lte,
                prefix,
                reverse,
                limit: Some(limit),
                after,
            })?;
            out.json(&page);
            let mut table = Table::new(["key", "value"]);
            for entry in &page.entries {
                let value = entry.value.as_ref().map(show_value);
                table.row(vec![look::heading(&entry.key), value.unwrap_or_default()]);
            }
            for line in table.lines(0, out.width()) {
                out.say(line);
            }
            if let Some(next) = &page.next {
                out.remark(look::faint(&format!("There is more: --after {next}")));
            }
            Ok(())
        }
        Kv::History {
            map,
            key,
            limit,
            before,
        } => history(home, map, key, limit, before, out),
        Kv::Diff { map, from, to } => diff(home, map, &from, to.as_deref(), out),
        Kv::Watch { map, prefix, all } => watch(home, map, prefix.as_deref(), all, out),
    }
}

fn write(
    home: &Path,
    map: &CollectionAddress,
    entries: Vec<KvEntry>,
    out: &Output,
) -> Result<(), Failure> {
    let count = entries.len() as u64;
    let written = connect(home)?.call(&KvPut {
        space: map.space.clone(),
        collection: map.collection.clone(),
        entries,
    })?;
    out.json(&written);
    out.say(match written.changed {
        true => format!("{} written.", look::counted(count, "key")),
        false => "That is there already.".to_owned(),
    });
    Ok(())
}

fn get(home: &Path, map: &CollectionAddress, key: String, out: &Output) -> Result<(), Failure> {
    let page = connect(home)?.call(&KvGet {
        space: map.space.clone(),
        collection: map.collection.clone(),
        key: key.clone(),
    })?;
    let value = page
        .entries
        .into_iter()
        .next()
        .and_then(|entry| entry.value);
    let Some(value) = value else {
        return Err(Failure::new(
            Code::NotFound,
            format!("There is nothing under {key:?} in {map}."),
        ));
    };
    out.json(&value);
    print_value(&value, out)
}

fn history(
    home: &Path,
    map: CollectionAddress,
    key: Option<String>,
    limit: u32,
    before: Option<String>,
    out: &Output,
) -> Result<(), Failure> {
    let found = connect(home)?.call(&KvHistory {
        space: map.space,
        collection: map.collection,
        key,
        limit: Some(limit),
        before,
    })?;
    out.json(&found);
    let mut table = Table::new(["when", "by", "key", "value"]);
    for change in &found.changes {
        let value = change.value.as_ref().map(show_value);
        table.row(vec![
            look::moment(change.time.ms),
            change.device.name.clone(),
            look::heading(&change.key),
            value.unwrap_or_else(|| look::bad("deleted")),
        ]);
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    if let Some(next) = &found.next {
        out.remark(look::faint(&format!("There is more: --before {next}")));
    }
    Ok(())
}

fn diff(
    home: &Path,
    map: CollectionAddress,
    from: &str,
    to: Option<&str>,
    out: &Output,
) -> Result<(), Failure> {
    let found = connect(home)?.call(&KvDiff {
        space: map.space,
        collection: map.collection,
        from_ms: read_time(from)?,
        from_counter: None,
        to_ms: to.map(read_time).transpose()?,
        to_counter: None,
    })?;
    out.json(&found);
    for it in &found.differences {
        let key = look::heading(&it.key);
        out.say(match (&it.before, &it.after) {
            (None, Some(after)) => format!("{} {key}  {}", look::good("+"), show_value(after)),
            (Some(before), None) => format!(
                "{} {key}  {}",
                look::bad("-"),
                look::faint(&show_value(before))
            ),
            (Some(before), Some(after)) => format!(
                "{} {key}  {} → {}",
                look::warning("~"),
                look::faint(&show_value(before)),
                show_value(after)
            ),
            (None, None) => continue,
        });
    }
    if found.differences.is_empty() {
        out.remark("Nothing differs.");
    }
    Ok(())
}

fn watch(
    home: &Path,
    map: CollectionAddress,
    prefix: Option<&str>,
    all: bool,
    out: &Output,
) -> Result<(), Failure> {
    let shown = map.to_string();
    follow(home, map, &shown, all, out, |id, value| {
        let key = kv_key(id).filter(|key| prefix.is_none_or(|prefix| key.starts_with(prefix)));
        let Some(key) = key else { return };
        match (out.json, &value) {
            (true, _) => out.json_line(&KvEntry { key, value }),
            (false, Some(value)) => out.say(format!(
                "{} {}  {}",
                look::good("="),
                look::heading(&key),
                show_value(value)
            )),
            (false, None) => out.say(format!("{} {}", look::bad("-"), look::heading(&key))),
        }
    })
}

/// Shows each change of a collection's values until interrupted.
fn follow(
    home: &Path,
    of: CollectionAddress,
    name: &str,
    all: bool,
    out: &Output,
    mut show: impl FnMut(&str, Option<FaceValue>),
) -> Result<(), Failure> {
    let mut client = connect(home)?;
    client.call(&DocWatch {
        space: of.space,
        collection: of.collection,
        changes_only: !all,
        ..DocWatch::default()
    })?;
    let mut started = false;
    loop {
        let event = client.next_event()?;
        if event.reset {
            started = false;
        }
        for change in event.changes.iter().filter(|_| started || all) {
            show(
                &change.id,
                change.value.as_ref().and_then(FaceValue::of_document),
            );
        }
        if event.ready {
            started = true;
            out.remark(look::faint(&format!("Watching {name}. Ctrl-C ends it.")));
        }
    }
}

pub(crate) fn feed(home: &Path, action: Feed, out: &Output) -> Result<(), Failure> {
    match action {
        Feed::Append { feed, values, file } => {
            let values = match file {
                Some(file) => vec![read_file(&file)?],
                None => values.iter().map(|text| read_value(text)).collect(),
            };
            if values.is_empty() {
                return Err(Failure::usage("There is no value to append."));
            }
            let appended = connect(home)?.call(&FeedAppend {
                space: feed.space.clone(),
                feed: feed.collection.clone(),
                values,
            })?;
            out.json(&appended);
            out.say(format!(
                "Appended as {}; this device has {} in {feed}.",
                match appended.length - appended.first {
                    1 => format!("number {}", appended.first),
                    _ => format!("numbers {} to {}", appended.first, appended.length - 1),
                },
                look::counted(appended.length, "value")
            ));
            Ok(())
        }
        Feed::Get { feed, index, of } => {
            let item = connect(home)?.call(&FeedGet {
                space: feed.space,
                feed: feed.collection,
                of,
                index,
            })?;
            out.json(&item);
            print_value(&item.value, out)?;
            match item.proven {
                Some(true) => {
                    out.remark(look::faint(&format!(
                        "Entry {} of the log that {} signed says so.",
                        item.entry, item.device
                    )));
                    Ok(())
                }
                _ => Err(Failure::new(
                    Code::Trouble,
                    "The log does not say so: it was changed after it was appended, or cannot be proven.",
                )),
            }
        }
        Feed::List { feed } => {
            let shown = connect(home)?.call(&FeedParts {
                space: feed.space,
                feed: feed.collection,
            })?;
            out.json(&shown);
            let mut table = Table::new(["device", ">values", "log"]);
            for part in &shown.parts {
                table.row(vec![
                    look::heading(&part.device.name),
                    look::count(part.length),
                    look::faint(look::short(&part.writer)),
                ]);
            }
            for line in table.lines(0, out.width()) {
                out.say(line);
            }
            Ok(())
        }
        Feed::Tail {
            feed,
            of,
            from,
            limit,
            no_follow,
        } => tail(home, feed, of, from, limit, no_follow, out),
        Feed::Verify { feed, of } => verify(home, feed, of, out),
    }
}

fn tail(
    home: &Path,
    feed: CollectionAddress,
    of: Option<String>,
    from: Option<u64>,
    limit: u32,
    no_follow: bool,
    out: &Output,
) -> Result<(), Failure> {
    let page = connect(home)?.call(&FeedRead {
        space: feed.space.clone(),
        feed: feed.collection.clone(),
        of: of.clone(),
        from,
        limit: Some(limit),
    })?;
    if no_follow {
        out.json(&page);
    }
    for item in &page.items {
        match (no_follow, out.json) {
            (false, true) => out.json_line(item),
            (true, true) => {}
            (_, false) => show_item(item, out),
        }
    }
    if no_follow {
        return Ok(());
    }
    let ask = FeedParts {
        space: feed.space.clone(),
        feed: feed.collection.clone(),
    };
    let mut client = connect(home)?;
    let mut parts = client.call(&ask)?.parts;
    let name = feed.to_string();
    follow(home, feed, &name, false, out, |id, value| {
        let (Some((writer, index)), Some(value)) = (feed_place(id), value) else {
            return;
        };
        if !parts.iter().any(|part| part.writer.starts_with(writer))
            && let Ok(shown) = client.call(&ask)
        {
            parts = shown.parts;
        }
        let part = parts.iter().find(|part| part.writer.starts_with(writer));
        let is_meant = of.as_deref().is_none_or(|of| {
            part.is_some_and(|part| {
                part.device.name == of
                    || part.writer.starts_with(of)
                    || part.device.id.starts_with(of)
            })
        });
        if !is_meant {
            return;
        }
        let item = FeedItem {
            writer: part.map_or_else(|| writer.to_owned(), |part| part.writer.clone()),
            device: part
                .map(|part| part.device.name.clone())
                .unwrap_or_default(),
            index,
            value,
            time_ms: look::now_ms(),
            ..FeedItem::default()
        };
        match out.json {
            true => out.json_line(&item),
            false => show_item(&item, out),
        }
    })
}

fn show_item(item: &FeedItem, out: &Output) {
    out.say(format!(
        "{}  {} {}  {}",
        look::faint(&look::moment(item.time_ms)),
        look::heading(&item.device),
        look::faint(&item.index.to_string()),
        show_value(&item.value)
    ));
}

fn verify(
    home: &Path,
    feed: CollectionAddress,
    of: Option<String>,
    out: &Output,
) -> Result<(), Failure> {
    let shown = connect(home)?.call(&FeedVerify {
        space: feed.space,
        feed: feed.collection,
        of,
    })?;
    out.json(&shown);
    let mut wrong = 0;
    for part in &shown.parts {
        let Some(check) = &part.check else { continue };
        let name = look::heading(&part.device.name);
        let numbers = |of: &[u64]| {
            let first: Vec<String> = of.iter().take(5).map(u64::to_string).collect();
            let more = if of.len() > 5 { " …" } else { "" };
            format!("{}{more}", first.join(", "))
        };
        let mut line = format!(
            "{name}: {} of {} stand in its signed log",
            look::count(check.proven),
            look::counted(part.length, "value")
        );
        if !check.missing.is_empty() {
            line += &format!("; deleted or not here: {}", numbers(&check.missing));
        }
        if !check.wrong.is_empty() {
            line += &format!("; changed or unproven: {}", numbers(&check.wrong));
        }
        let bad = check.missing.len() + check.wrong.len();
        wrong += bad;
        out.say(match bad {
            0 => look::good(&line),
            _ => look::warning(&line),
        });
    }
    match wrong {
        0 => Ok(()),
        count => Err(Failure::new(
            Code::Trouble,
            format!(
                "{} could not be proven.",
                look::counted(count as u64, "value")
            ),
        )),
    }
}

/// JSON if it is JSON, and text otherwise.
fn read_value(text: &str) -> FaceValue {
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    FaceValue {
        json: Some(value),
        bytes: None,
    }
}

fn read_file(path: &Path) -> Result<FaceValue, Failure> {
    let bytes = fs::read(path)
        .map_err(|err| Failure::new(Code::NotFound, format!("{}: {err}.", path.display())))?;
    Ok(FaceValue {
        json: None,
        bytes: Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    })
}

/// A value in a line.
fn show_value(value: &FaceValue) -> String {
    match (&value.json, &value.bytes) {
        (Some(json), _) => look::value(json),
        (None, Some(digits)) => look::faint(&look::counted(digits.len() as u64 / 2, "byte")),
        (None, None) => String::new(),
    }
}

/// A value by itself: JSON as JSON, texts and bytes as they are.
fn print_value(value: &FaceValue, out: &Output) -> Result<(), Failure> {
    if out.json {
        return Ok(());
    }
    match (&value.json, &value.bytes) {
        (Some(Value::String(text)), _) => out.say(text),
        (Some(json), _) => out.say(serde_json::to_string_pretty(json).unwrap_or_default()),
        (None, digits) => {
            let digits = digits.as_deref().unwrap_or_default().as_bytes();
            let digit = |c: u8| char::from(c).to_digit(16).unwrap_or(0) as u8;
            let bytes = digits
                .chunks_exact(2)
                .map(|it| digit(it[0]) << 4 | digit(it[1]));
            let bytes: Vec<u8> = bytes.collect();
            io::stdout()
                .write_all(&bytes)
                .map_err(|err| Failure::new(Code::Failed, format!("The value: {err}.")))?;
        }
    }
    Ok(())
}

/// A time: RFC 3339, milliseconds since 1970, or how long ago.
fn read_time(text: &str) -> Result<u64, Failure> {
    let wrong = || {
        Failure::usage(format!("{text:?} is no time.")).hint(
            "It is like 2026-01-31T10:00:00Z, milliseconds since 1970, or how long ago: 30s, 10m, 2h, 7d.",
        )
    };
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let ago = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    for (unit, seconds) in ago {
        if let Some(count) = text
            .strip_suffix(unit)
            .and_then(|it| it.parse::<u64>().ok())
        {
            let ms = count.saturating_mul(seconds * 1000);
            return Ok(look::now_ms().saturating_sub(ms));
        }
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| wrong())?;
    u64::try_from(time.timestamp_millis()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_time_is_told_in_three_ways() {
        assert_eq!(read_time("1700000000000").ok(), Some(1_700_000_000_000));
        assert_eq!(read_time("1970-01-01T00:00:01Z").ok(), Some(1000));
        let hour = read_time("1h").ok().unwrap();
        assert!(look::now_ms() - hour >= 3_600_000 && look::now_ms() - hour < 3_700_000);
        assert!(read_time("yesterday").is_err());
    }

    #[test]
    fn a_value_is_json_if_it_is_json() {
        assert_eq!(read_value("3").json, Some(json!(3)));
        assert_eq!(read_value("{\"a\":1}").json, Some(json!({"a": 1})));
        assert_eq!(read_value("three").json, Some(json!("three")));
    }
}
