//! What stands between BEGIN and END, in vCard and iCalendar alike, and its way to a record and back.
//!
//! Known properties become fields by a [`Dialect`]'s table. All else is kept in one field of baggage:
//! `{"left": {field: text before the colon}, "lines": [..]}`. On the way out, fields that no property can hold travel in
//! `X-STEAD-FIELDS` as JSON: every record is read back before it is written, so that nothing can be lost unnoticed.

use serde_json::{Map, Value};

use crate::{
    Problem, ReadError, Record,
    content_line::{ContentLine, ContentLines, escape, fits_line, unescape, write_folded},
    record::{hashed_id, id_of},
    shape::{self, Property},
};

const STEAD_ID: &str = "X-STEAD-ID";
const STEAD_FIELDS: &str = "X-STEAD-FIELDS";
const STEAD_ABSENT: &str = "X-STEAD-ABSENT";

/// One part of a file, with the parts inside it as mere lines.
#[derive(Debug)]
pub(crate) struct Component {
    /// In capitals.
    pub(crate) name: String,
    pub(crate) lines: Vec<ContentLine>,
    /// Parts inside, unfolded, each from its BEGIN to its END.
    pub(crate) inner: Vec<String>,
}

impl Component {
    /// Reads up to the END that belongs to a BEGIN on line `start`. The whole part is consumed even when it is refused.
    pub(crate) fn read(
        lines: &mut ContentLines,
        name: &str,
        start: u64,
    ) -> Result<Self, ReadError> {
        let mut component = Self {
            name: name.to_ascii_uppercase(),
            lines: Vec::new(),
            inner: Vec::new(),
        };
        let mut open: Vec<String> = Vec::new();
        let mut refused = None;
        let mut bytes = 0;
        loop {
            let Some((number, text)) = lines.next_line()? else {
                let component = name.to_owned();
                return Err(lines.error(Problem::Unclosed { component }).at_line(start));
            };
            bytes += text.len();
            if bytes > crate::RECORD_BYTES_MAX {
                component.lines.clear();
                component.inner.clear();
                refused.get_or_insert_with(|| lines.error(Problem::TooLarge).at_line(start));
            }
            let Some(line) = ContentLine::parse(&text) else {
                let problem = Problem::Syntax("this line is no property: NAME:value".into());
                refused.get_or_insert_with(|| lines.error(problem).at_line(number));
                continue;
            };
            match line.name.as_str() {
                "BEGIN" => {
                    open.push(line.value.trim().to_ascii_uppercase());
                    component.inner.push(text);
                }
                "END" => {
                    let ended = line.value.trim().to_ascii_uppercase();
                    match open.pop() {
                        None if ended == component.name => break,
                        Some(inner) if ended == inner => component.inner.push(text),
                        other => {
                            let expected = other.unwrap_or(component.name);
                            let problem = Problem::Syntax(format!(
                                "END:{ended} stands where END:{expected} should"
                            ));
                            return Err(lines.error(problem).at_line(number));
                        }
                    }
                }
                _ if !open.is_empty() => component.inner.push(text),
                _ => component.lines.push(line),
            }
        }
        refused.map_or(Ok(component), Err)
    }
}

/// How one format's properties become fields.
pub(crate) struct Dialect {
    /// The field for baggage.
    pub(crate) baggage: &'static str,
    pub(crate) table: &'static [Property],
    /// The id that a component's fields give, before it is made one that a document can have.
    pub(crate) id: fn(&Map<String, Value>) -> Option<String>,
}

impl Dialect {
    /// The record of a component. `extra` are fields that do not come from its lines.
    pub(crate) fn record(
        &self,
        component: Component,
        extra: Map<String, Value>,
        baggage: Map<String, Value>,
    ) -> Record {
        let mut lines = component.lines;
        let mut take = |name: &str| -> Option<String> {
            let at = lines.iter().position(|line| line.name == name)?;
            Some(unescape(&lines.remove(at).value))
        };
        let (own_id, own_fields, absent) = (take(STEAD_ID), take(STEAD_FIELDS), take(STEAD_ABSENT));
        let whole = || {
            let lines: Vec<_> = lines.iter().map(ContentLine::to_text).collect();
            hashed_id(&lines.join("\n"))
        };
        let mut fields = extra;
        let read = shape::read(self.table, &lines);
        fields.extend(read.fields);
        let id = match own_id {
            Some(id) => id_of(&id),
            None => (self.id)(&fields).map_or_else(whole, |id| id_of(&id)),
        };
        let mut baggage = baggage;
        if !read.left.is_empty() {
            baggage.insert("left".into(), Value::Object(read.left));
        }
        let rest: Vec<_> = read
            .rest
            .into_iter()
            .chain(component.inner)
            .map(Value::from)
            .collect();
        if !rest.is_empty() {
            baggage.insert("lines".into(), Value::Array(rest));
        }
        if !baggage.is_empty() {
            fields.insert(self.baggage.into(), Value::Object(baggage));
        }
        let absent: Option<Vec<String>> = absent.and_then(|text| serde_json::from_str(&text).ok());
        for name in absent.unwrap_or_default() {
            fields.shift_remove(&name);
        }
        if let Some(Value::Object(own)) =
            own_fields.and_then(|text| serde_json::from_str(&text).ok())
        {
            fields.extend(own);
        }
        Record {
            id: Some(id),
            value: Value::Object(fields),
        }
    }

    /// The lines for a record's fields: from the table, then the baggage's.
    pub(crate) fn lines(&self, fields: &Map<String, Value>) -> Vec<String> {
        let baggage = fields.get(self.baggage);
        let left = baggage
            .and_then(|baggage| baggage.get("left"))
            .and_then(Value::as_object);
        let mut lines = shape::write(self.table, fields, left);
        let kept = baggage
            .and_then(|baggage| baggage.get("lines"))
            .and_then(Value::as_array);
        let kept: Vec<&str> = kept
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if can_stand(&kept) {
            lines.extend(kept.into_iter().map(str::to_owned));
        }
        lines
    }

    /// What must be added to lines so that reading them gives exactly this record. `reread` is what they give now.
    pub(crate) fn corrections(record: &Record, reread: &Record) -> Vec<String> {
        let none = Map::new();
        let wanted = record.value.as_object().unwrap_or(&none);
        let found = reread.value.as_object().unwrap_or(&none);
        let missing: Map<String, Value> = wanted
            .iter()
            .filter(|(name, value)| found.get(*name) != Some(*value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let surplus: Vec<&String> = found
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .collect();
        let mut lines = Vec::new();
        if record.id.is_some() && record.id != reread.id {
            let id = record.id.as_deref().unwrap_or_default();
            lines.push(format!("{STEAD_ID}:{}", escape(id)));
        }
        if !missing.is_empty() {
            lines.push(format!(
                "{STEAD_FIELDS}:{}",
                escape(&Value::Object(missing).to_string())
            ));
        }
        if !surplus.is_empty() {
            let names = Value::from_iter(surplus.into_iter().cloned());
            lines.push(format!("{STEAD_ABSENT}:{}", escape(&names.to_string())));
        }
        lines
    }
}

/// Whether lines that came from baggage are properties, and whole parts where they are parts.
fn can_stand(lines: &[&str]) -> bool {
    let mut open: Vec<String> = Vec::new();
    for text in lines {
        let Some(line) = ContentLine::parse(text).filter(|_| fits_line(text)) else {
            return false;
        };
        let value = line.value.trim().to_ascii_uppercase();
        match line.name.as_str() {
            "BEGIN" => open.push(value),
            "END" if open.pop() != Some(value) => return false,
            _ => {}
        }
    }
    open.is_empty()
}

/// Splits lines that were just made into a component, as [`Component::read`] would.
pub(crate) fn component_of(name: &str, lines: &[String]) -> Component {
    let mut component = Component {
        name: name.to_owned(),
        lines: Vec::new(),
        inner: Vec::new(),
    };
    let mut depth = 0u32;
    for text in lines {
        let Some(line) = ContentLine::parse(text) else {
            continue;
        };
        match line.name.as_str() {
            "BEGIN" => depth += 1,
            "END" => {
                depth = depth.saturating_sub(1);
                component.inner.push(text.clone());
                continue;
            }
            _ => {}
        }
        match depth {
            0 => component.lines.push(line),
            _ => component.inner.push(text.clone()),
        }
    }
    component
}

/// A component's text.
pub(crate) fn component_text(name: &str, lines: &[String]) -> String {
    let mut out = String::new();
    write_folded(&mut out, &format!("BEGIN:{name}"));
    for line in lines {
        write_folded(&mut out, line);
    }
    write_folded(&mut out, &format!("END:{name}"));
    out
}
