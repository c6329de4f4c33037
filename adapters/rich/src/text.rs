//! Edits of texts, and what a text shows.

use loro::cursor::Side;
use loro::event::Diff;
use loro::{ContainerTrait, Frontiers, LoroDoc, LoroText, TextDelta, UpdateOptions};
use serde_json::{Map, Value, json};
use stead_doc::{RichError, TextUnit};

use crate::ROOT;
use crate::guard::{broken, refused};
use crate::json::{from_loro, to_loro};

/// Texts longer than this, in bytes, are made equal by one splice and not by a search for the
/// smallest difference.
const DIFF_BYTES_MAX: usize = 64 << 10;
/// The search for the smallest difference takes at most this long.
const DIFF_MS_MAX: f64 = 20.0;

pub(crate) fn of(doc: &LoroDoc) -> LoroText {
    doc.get_text(ROOT)
}

pub(crate) fn seed(doc: &LoroDoc, text: &str) -> Result<(), RichError> {
    of(doc).insert(0, text).map_err(broken)
}

fn len(text: &LoroText, unit: TextUnit) -> usize {
    match unit {
        TextUnit::Scalar => text.len_unicode(),
        TextUnit::Utf16 => text.len_utf16(),
    }
}

fn check_range(text: &LoroText, start: usize, end: usize, unit: TextUnit) -> Result<(), RichError> {
    let len = len(text, unit);
    match start <= end && end <= len {
        true => Ok(()),
        false => Err(refused(format!(
            "the text has {len} characters, and {start} to {end} was asked for"
        ))),
    }
}

pub(crate) fn splice(
    doc: &LoroDoc,
    at: usize,
    delete: usize,
    insert: &str,
    unit: TextUnit,
) -> Result<(), RichError> {
    let text = of(doc);
    check_range(&text, at, at.saturating_add(delete), unit)?;
    // A position inside of a pair of surrogates is the only fault left.
    let misfit = |error: loro::LoroError| refused(error.to_string());
    if delete > 0 {
        match unit {
            TextUnit::Scalar => text.delete(at, delete),
            TextUnit::Utf16 => text.delete_utf16(at, delete),
        }
        .map_err(misfit)?;
    }
    if !insert.is_empty() {
        match unit {
            TextUnit::Scalar => text.insert(at, insert),
            TextUnit::Utf16 => text.insert_utf16(at, insert),
        }
        .map_err(misfit)?;
    }
    Ok(())
}

pub(crate) fn mark(
    doc: &LoroDoc,
    (start, end): (usize, usize),
    mark: &str,
    value: &Value,
    unit: TextUnit,
) -> Result<(), RichError> {
    let text = of(doc);
    check_range(&text, start, end, unit)?;
    if start == end {
        return Err(refused("a mark covers at least one character"));
    }
    if mark.is_empty() || mark.contains(':') || mark.chars().any(char::is_control) {
        return Err(refused(format!("{mark:?} is no name of a mark")));
    }
    let misfit = |error: loro::LoroError| refused(error.to_string());
    match (unit, value) {
        (TextUnit::Scalar, Value::Null) => text.unmark(start..end, mark),
        (TextUnit::Utf16, Value::Null) => text.unmark_utf16(start..end, mark),
        (TextUnit::Scalar, value) => text.mark(start..end, mark, to_loro(value)?),
        (TextUnit::Utf16, value) => text.mark_utf16(start..end, mark, to_loro(value)?),
    }
    .map_err(misfit)
}

/// Makes the text equal to another with few changes.
pub(crate) fn make_equal(doc: &LoroDoc, wanted: &str) -> Result<(), RichError> {
    let text = of(doc);
    let there = text.to_string();
    if there == wanted {
        return Ok(());
    }
    if there.len() + wanted.len() <= DIFF_BYTES_MAX {
        let options = UpdateOptions {
            timeout_ms: Some(DIFF_MS_MAX),
            ..UpdateOptions::default()
        };
        if text.update(wanted, options).is_ok() {
            return Ok(());
        }
    }
    let there = text.to_string();
    let before = there
        .chars()
        .zip(wanted.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let chars = |text: &str| text.chars().count();
    let shorter = chars(&there).min(chars(wanted)) - before;
    let after = there
        .chars()
        .rev()
        .zip(wanted.chars().rev())
        .take_while(|(a, b)| a == b)
        .count()
        .min(shorter);
    let middle: String = wanted
        .chars()
        .skip(before)
        .take(chars(wanted) - before - after)
        .collect();
    let delete = chars(&there) - before - after;
    splice(doc, before, delete, &middle, TextUnit::Scalar)
}

pub(crate) fn value(doc: &LoroDoc) -> Value {
    Value::String(of(doc).to_string())
}

/// The text with its marks, as the deltas that editors know.
pub(crate) fn marked(doc: &LoroDoc) -> Value {
    let runs = of(doc).to_delta();
    let run = |delta: TextDelta| match delta {
        TextDelta::Insert { insert, attributes } => {
            let mut run = Map::new();
            run.insert("insert".to_owned(), insert.into());
            let mut marks: Vec<_> = attributes.iter().flatten().collect();
            marks.sort_unstable_by_key(|(name, _)| name.as_str());
            let marks: Map<_, _> = marks
                .into_iter()
                .map(|(name, value)| (name.clone(), from_loro(value)))
                .filter(|(_, value)| !value.is_null())
                .collect();
            if !marks.is_empty() {
                run.insert("attributes".to_owned(), Value::Object(marks));
            }
            Some(Value::Object(run))
        }
        TextDelta::Retain { .. } | TextDelta::Delete { .. } => None,
    };
    runs.into_iter().filter_map(run).collect::<Vec<_>>().into()
}

/// What changed since a version, as the deltas that editors know.
pub(crate) fn delta(doc: &LoroDoc, since: &Frontiers) -> Result<Value, RichError> {
    let text = of(doc);
    let diff = doc.diff(since, &doc.state_frontiers()).map_err(broken)?;
    let mut parts = Vec::new();
    for (container, diff) in diff.iter() {
        let Diff::Text(deltas) = diff else { continue };
        if *container != text.id() {
            continue;
        }
        for delta in deltas {
            let (mut part, attributes) = match delta {
                TextDelta::Retain { retain, attributes } => {
                    (json!({ "retain": retain }), attributes.as_ref())
                }
                TextDelta::Insert { insert, attributes } => {
                    (json!({ "insert": insert }), attributes.as_ref())
                }
                TextDelta::Delete { delete } => (json!({ "delete": delete }), None),
            };
            let is_insert = matches!(delta, TextDelta::Insert { .. });
            let mut marks: Vec<_> = attributes.into_iter().flatten().collect();
            marks.sort_unstable_by_key(|(name, _)| name.as_str());
            let marks = marks
                .into_iter()
                .map(|(name, value)| (name.clone(), from_loro(value)))
                // What is put in has no marks that could be taken off.
                .filter(|(_, value)| !is_insert || !value.is_null());
            let marks: Map<_, _> = marks.collect();
            if !marks.is_empty() {
                part["attributes"] = Value::Object(marks);
            }
            parts.push(part);
        }
    }
    Ok(parts.into())
}

pub(crate) fn cursor(
    doc: &LoroDoc,
    at: usize,
    unit: TextUnit,
) -> Result<loro::cursor::Cursor, RichError> {
    let text = of(doc);
    check_range(&text, at, at, unit)?;
    let at = match unit {
        TextUnit::Scalar => at,
        TextUnit::Utf16 => to_scalars(&text.to_string(), at)?,
    };
    text.get_cursor(at, Side::Middle)
        .ok_or_else(|| refused("there is no such place"))
}

/// A position counted in Unicode scalars, in the unit asked for.
pub(crate) fn in_unit(doc: &LoroDoc, at: usize, unit: TextUnit) -> usize {
    match unit {
        TextUnit::Scalar => at,
        TextUnit::Utf16 => {
            let text = of(doc).to_string();
            text.chars().take(at).map(char::len_utf16).sum()
        }
    }
}

fn to_scalars(text: &str, utf16: usize) -> Result<usize, RichError> {
    let mut units = 0;
    for (scalars, c) in text.chars().enumerate() {
        if units >= utf16 {
            return match units == utf16 {
                true => Ok(scalars),
                false => Err(refused("that position is inside of a character")),
            };
        }
        units += c.len_utf16();
    }
    Ok(text.chars().count())
}
