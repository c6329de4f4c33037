//! Tables of properties: which field a property becomes and what its value looks like in JSON.

use serde_json::{Map, Value};

use crate::content_line::{ContentLine, escape, fits_line, split_escaped, unescape};

/// A property that has a field of its own.
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) field: &'static str,
    pub(crate) shape: Shape,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A text.
    Text,
    /// A text that is never escaped, such as an address of the web or a rule. Programs that escape it nevertheless
    /// are understood.
    Raw,
    /// A day, or a day and time, as ISO 8601 has it; its zone is in `<field>_zone`.
    Time,
    /// A day without any parameter.
    Day,
    /// An integer.
    Int,
    /// Texts separated by commas.
    List,
    /// A text, or several separated by semicolons.
    Levels,
    /// Named texts separated by semicolons, each of them one or several separated by commas.
    Parts(&'static [&'static str]),
    /// Any number of texts, each with types.
    Items,
    /// Any number of unescaped texts, each with types.
    RawItems,
    /// Any number of named texts, each with types.
    PartsItems(&'static [&'static str]),
}

/// What [`read`] made of lines.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) fields: Map<String, Value>,
    /// By field: what stood before the colon, where it is not what would be written.
    pub(crate) left: Map<String, Value>,
    /// Lines that are no field.
    pub(crate) rest: Vec<String>,
}

/// Turns lines into fields.
pub(crate) fn read(table: &[Property], lines: &[ContentLine]) -> Read {
    let mut out = Read::default();
    for line in lines {
        let property = table.iter().find(|property| property.name == line.name);
        if !property.is_some_and(|property| read_line(property, line, &mut out)) {
            out.rest.push(line.to_text());
        }
    }
    out
}

/// Turns fields into lines. A field that cannot be a line as it is makes none, or one that reads back differently.
pub(crate) fn write(
    table: &[Property],
    fields: &Map<String, Value>,
    left: Option<&Map<String, Value>>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for property in table {
        let Some(value) = fields.get(property.field) else {
            continue;
        };
        match property.shape.inner() {
            None => {
                let left = left
                    .and_then(|left| left.get(property.field))
                    .and_then(Value::as_str);
                let zone = fields.get(&zone_field(property)).and_then(Value::as_str);
                let reads_back = |line: &ContentLine| {
                    let mut back = Read::default();
                    read_line(property, line, &mut back)
                        && back.fields.get(property.field) == Some(value)
                        && back
                            .fields
                            .get(&zone_field(property))
                            .and_then(Value::as_str)
                            == zone
                };
                lines.extend(write_line(
                    property.name,
                    property.shape,
                    value,
                    zone,
                    left,
                    reads_back,
                ));
            }
            Some(inner) => {
                for item in value.as_array().into_iter().flatten() {
                    let left = item.get("left").and_then(Value::as_str);
                    let reads_back = |line: &ContentLine| {
                        read_item(property, inner, line)
                            .is_some_and(|back| without_left(&back) == without_left(item))
                    };
                    let inner_value = match inner {
                        Shape::Parts(_) => Some(item),
                        _ => item.get("value"),
                    };
                    let types = types_of(item);
                    let name = format!("{}{types}", property.name);
                    lines.extend(
                        inner_value.and_then(|value| {
                            write_line(&name, inner, value, None, left, reads_back)
                        }),
                    );
                }
            }
        }
    }
    lines
}

impl Shape {
    /// The shape of one item, for shapes that are lists of items.
    fn inner(self) -> Option<Self> {
        match self {
            Self::Items => Some(Self::Text),
            Self::RawItems => Some(Self::Raw),
            Self::PartsItems(names) => Some(Self::Parts(names)),
            _ => None,
        }
    }

    fn read(self, value: &str) -> Option<Value> {
        Some(match self {
            Self::Text => unescape(value).into(),
            Self::Raw if value.contains('\\') => unescape(value).into(),
            Self::Raw => value.into(),
            Self::Time | Self::Day => iso_of(value).into(),
            Self::Int => {
                let number: i64 = value.trim().parse().ok()?;
                number.into()
            }
            Self::List => split_escaped(value, ',')
                .into_iter()
                .map(unescape)
                .collect(),
            Self::Levels => one_or_more(split_escaped(value, ';')),
            Self::Parts(names) => {
                let parts = split_escaped(value, ';');
                if parts.len() > names.len() {
                    return None;
                }
                let parts = parts
                    .into_iter()
                    .map(|part| one_or_more(split_escaped(part, ',')));
                let named = names.iter().zip(parts).filter(|(_, part)| part != "");
                Value::Object(
                    named
                        .map(|(name, part)| ((*name).to_owned(), part))
                        .collect(),
                )
            }
            Self::Items | Self::RawItems | Self::PartsItems(_) => return None,
        })
    }

    fn write(self, value: &Value) -> Option<String> {
        match self {
            Self::Text => value.as_str().map(escape),
            Self::Raw => value.as_str().map(str::to_owned),
            Self::Time | Self::Day => value.as_str().map(basic_of),
            Self::Int => value.as_i64().map(|number| number.to_string()),
            Self::List => joined(value, ","),
            Self::Levels => joined(value, ";"),
            Self::Parts(names) => {
                let parts: Option<Vec<_>> = names
                    .iter()
                    .map(|name| {
                        value
                            .get(name)
                            .map_or(Some(String::new()), |part| joined(part, ","))
                    })
                    .collect();
                parts.map(|parts| parts.join(";"))
            }
            Self::Items | Self::RawItems | Self::PartsItems(_) => None,
        }
    }
}

fn one_or_more(parts: Vec<&str>) -> Value {
    match parts.as_slice() {
        [one] => unescape(one).into(),
        _ => parts.into_iter().map(unescape).collect(),
    }
}

fn joined(value: &Value, separator: &str) -> Option<String> {
    match value {
        Value::String(text) => Some(escape(text)),
        Value::Array(parts) if !parts.is_empty() => {
            let parts: Option<Vec<_>> =
                parts.iter().map(|part| part.as_str().map(escape)).collect();
            parts.map(|parts| parts.join(separator))
        }
        _ => None,
    }
}

fn zone_field(property: &Property) -> String {
    format!("{}_zone", property.field)
}

/// Adds what a line says; false when it has to be kept as it is.
fn read_line(property: &Property, line: &ContentLine, out: &mut Read) -> bool {
    if let Some(inner) = property.shape.inner() {
        let Some(item) = read_item(property, inner, line) else {
            return false;
        };
        let items = out
            .fields
            .entry(property.field)
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(items) = items {
            items.push(item);
        }
        return true;
    }
    let Some(value) = property.shape.read(&line.value) else {
        return false;
    };
    if out.fields.contains_key(property.field) {
        return false;
    }
    let mut params: Vec<String> = Vec::new();
    if let Shape::Time = property.shape {
        if let Some(zone) = line.param("TZID").next() {
            out.fields.insert(zone_field(property), zone.into());
            params.push(format!("TZID={}", quoted(zone)));
        }
        if is_day(&value) {
            params.push("VALUE=DATE".into());
        }
    }
    out.fields.insert(property.field.into(), value);
    let plain = std::iter::once(property.name.to_owned())
        .chain(params)
        .collect::<Vec<_>>()
        .join(";");
    if !same_left(&plain, line) {
        out.left
            .insert(property.field.into(), line.left.as_str().into());
    }
    true
}

fn read_item(property: &Property, inner: Shape, line: &ContentLine) -> Option<Value> {
    let value = inner.read(&line.value)?;
    let mut item = match (inner, value) {
        (Shape::Parts(_), Value::Object(parts)) => parts,
        (_, value) => Map::from_iter([("value".to_owned(), value)]),
    };
    let types: Vec<Value> = line
        .param("TYPE")
        .map(|kind| kind.to_ascii_lowercase().into())
        .collect();
    if !types.is_empty() {
        item.insert("types".into(), types.into());
    }
    let mut item = Value::Object(item);
    let plain = format!("{}{}", property.name, types_of(&item));
    if !same_left(&plain, line) {
        item["left"] = line.left.as_str().into();
    }
    Some(item)
}

/// Whether two texts before the colon mean the same.
fn same_left(plain: &str, line: &ContentLine) -> bool {
    let lower = |line: &ContentLine| -> Vec<(String, Vec<String>)> {
        let types: Vec<_> = line.param("TYPE").map(str::to_ascii_lowercase).collect();
        let mut params: Vec<_> = line
            .params
            .iter()
            .filter(|(name, _)| name != "TYPE")
            .cloned()
            .collect();
        params.push(("TYPE".into(), types));
        params.sort();
        params
    };
    !line.grouped
        && ContentLine::parse(&format!("{plain}:"))
            .is_some_and(|plain| lower(&plain) == lower(line))
}

fn types_of(item: &Value) -> String {
    let types = item.get("types").and_then(Value::as_array);
    let types: Vec<_> = types
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(quoted)
        .collect();
    match types.is_empty() {
        true => String::new(),
        false => format!(";TYPE={}", types.join(",")),
    }
}

fn quoted(param: &str) -> String {
    match param.contains([':', ';', ',']) {
        true => format!("\"{param}\""),
        false => param.to_owned(),
    }
}

fn without_left(item: &Value) -> Value {
    let mut item = item.clone();
    if let Value::Object(item) = &mut item {
        item.shift_remove("left");
    }
    item
}

/// The line for a value: with what stood before the colon if that still says the same, else with the plain form.
fn write_line(
    plain: &str,
    shape: Shape,
    value: &Value,
    zone: Option<&str>,
    left: Option<&str>,
    reads_back: impl Fn(&ContentLine) -> bool,
) -> Option<String> {
    let text = shape.write(value)?;
    let mut plain = plain.to_owned();
    if let Shape::Time = shape {
        if let Some(zone) = zone {
            plain.push_str(&format!(";TZID={}", quoted(zone)));
        }
        if is_day(value) {
            plain.push_str(";VALUE=DATE");
        }
    }
    [left, Some(plain.as_str())]
        .into_iter()
        .flatten()
        .map(|left| format!("{left}:{text}"))
        .filter(|line| fits_line(line))
        .find(|line| ContentLine::parse(line).is_some_and(|line| reads_back(&line)))
}

/// Whether this is a day without a time.
fn is_day(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.len() == 10 && basic_of(text).len() == 8)
}

/// `20240131T093000Z` as `2024-01-31T09:30:00Z`; anything else stays as it is.
fn iso_of(text: &str) -> String {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let day = |text: &str| format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]);
    if !text.is_ascii() {
        return text.to_owned();
    }
    match (text.len(), text.as_bytes().get(8)) {
        (8, _) if digits(text) => day(text),
        (15 | 16, Some(b'T'))
            if digits(&text[..8]) && digits(&text[9..15]) && matches!(&text[15..], "" | "Z") =>
        {
            let (hour, minute, second) = (&text[9..11], &text[11..13], &text[13..15]);
            format!(
                "{}T{hour}:{minute}:{second}{}",
                day(&text[..8]),
                &text[15..]
            )
        }
        _ => text.to_owned(),
    }
}

/// The reverse of [`iso_of`].
fn basic_of(text: &str) -> String {
    let basic: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    match iso_of(&basic) == text && basic != text {
        true => basic,
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_change_their_form_and_nothing_else() {
        for (basic, iso) in [
            ("20240131", "2024-01-31"),
            ("20240131T093000", "2024-01-31T09:30:00"),
            ("20240131T093000Z", "2024-01-31T09:30:00Z"),
        ] {
            assert_eq!(iso_of(basic), iso);
            assert_eq!(basic_of(iso), basic);
        }
        for other in [
            "--0412",
            "1985",
            "2024-01-31",
            "tomorrow",
            "20240131T0930",
            "2024-0131",
        ] {
            assert_eq!(iso_of(other), other);
        }
        assert_eq!(basic_of("2024-0131"), "2024-0131");
    }
}
