//! Reads a body, a document's visible fields in SQLite's JSONB (<https://sqlite.org/jsonb.html>),
//! where it lies: one field of it, or all of it as JSON text. SQLite's own functions look a path up
//! anew for the type and for the value, and copy what they find; a query asks for both of every
//! document.
//!
//! Bodies are what this program wrote. Anything else is a damaged file and an error, never a panic.

use std::borrow::Cow;

use rusqlite::types::{Value as SqlValue, ValueRef};

const NULL: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 5;
const TEXT: u8 = 7;
const TEXT_ESCAPED: u8 = 8;
const TEXT_RAW: u8 = 10;
const ARRAY: u8 = 11;
const OBJECT: u8 = 12;

/// Deepest nesting that is rendered.
const DEPTH_MAX: usize = 200;

/// Bytes that are no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the fields of a document cannot be read")]
pub(crate) struct BodyError;

/// The type of a field, with the number that indexes keep for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Absent = 0,
    Null = 1,
    Bool = 2,
    Number = 3,
    Text = 4,
    Array = 5,
    Object = 6,
}

impl Kind {
    /// This type's bit in a set of types.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Types that have an order among themselves.
    pub(crate) const SCALARS: u8 = Self::Bool.bit() | Self::Number.bit() | Self::Text.bit();
}

/// An element: what it is, and its bytes without the header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'b> {
    tag: u8,
    payload: &'b [u8],
}

impl<'b> Element<'b> {
    /// A whole body.
    pub(crate) fn whole(bytes: &'b [u8]) -> Result<Self, BodyError> {
        match next(bytes)? {
            (element, []) => Ok(element),
            _ => Err(BodyError),
        }
    }

    pub(crate) fn kind(self) -> Result<Kind, BodyError> {
        Ok(match self.tag {
            NULL => Kind::Null,
            TRUE | FALSE => Kind::Bool,
            INT | FLOAT => Kind::Number,
            TEXT | TEXT_ESCAPED | TEXT_RAW => Kind::Text,
            ARRAY => Kind::Array,
            OBJECT => Kind::Object,
            _ => return Err(BodyError),
        })
    }

    /// The value as it is compared: booleans as 0 and 1, null for what has no order.
    pub(crate) fn value(self) -> Result<SqlValue, BodyError> {
        Ok(match self.tag {
            TRUE => SqlValue::Integer(1),
            FALSE => SqlValue::Integer(0),
            INT | FLOAT => {
                let text = std::str::from_utf8(self.payload).map_err(|_| BodyError)?;
                match text.parse() {
                    Ok(whole) if self.tag == INT => SqlValue::Integer(whole),
                    _ => SqlValue::Real(text.parse().map_err(|_| BodyError)?),
                }
            }
            TEXT | TEXT_RAW | TEXT_ESCAPED => SqlValue::Text(self.text()?.into_owned()),
            NULL | ARRAY | OBJECT => SqlValue::Null,
            _ => return Err(BodyError),
        })
    }

    fn text(self) -> Result<Cow<'b, str>, BodyError> {
        let text = std::str::from_utf8(self.payload).map_err(|_| BodyError)?;
        match self.tag {
            TEXT | TEXT_RAW => Ok(Cow::Borrowed(text)),
            TEXT_ESCAPED => serde_json::from_str(&format!("\"{text}\""))
                .map(Cow::Owned)
                .map_err(|_| BodyError),
            _ => Err(BodyError),
        }
    }

    fn is_named(self, name: &[u8]) -> Result<bool, BodyError> {
        match self.tag {
            TEXT | TEXT_RAW => Ok(self.payload == name),
            _ => Ok(self.text()?.as_bytes() == name),
        }
    }

    /// The element at a path. Digits name an element where there is a list.
    pub(crate) fn at(self, path: &FieldPath<'_>) -> Result<Option<Self>, BodyError> {
        let mut here = self;
        for name in path.names() {
            let name = name?;
            let found = match here.tag {
                OBJECT => here.field(name)?,
                ARRAY => here.element(name)?,
                _ => None,
            };
            match found {
                Some(found) => here = found,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    fn field(self, name: &[u8]) -> Result<Option<Self>, BodyError> {
        let mut rest = self.payload;
        while !rest.is_empty() {
            let (label, behind) = next(rest)?;
            let (value, behind) = next(behind)?;
            if label.is_named(name)? {
                return Ok(Some(value));
            }
            rest = behind;
        }
        Ok(None)
    }

    fn element(self, name: &[u8]) -> Result<Option<Self>, BodyError> {
        let digits = std::str::from_utf8(name).map_err(|_| BodyError)?;
        if digits.is_empty() || !name.iter().all(u8::is_ascii_digit) {
            return Ok(None);
        }
        let Ok(mut left) = digits.parse::<usize>() else {
            return Ok(None);
        };
        let mut rest = self.payload;
        while !rest.is_empty() {
            let (value, behind) = next(rest)?;
            if left == 0 {
                return Ok(Some(value));
            }
            left -= 1;
            rest = behind;
        }
        Ok(None)
    }

    /// The texts at and below it, one a line; None if there is none.
    pub(crate) fn texts(self) -> Result<Option<String>, BodyError> {
        let mut texts = None;
        self.gather(&mut texts, 0)?;
        Ok(texts)
    }

    fn gather(self, texts: &mut Option<String>, depth: usize) -> Result<(), BodyError> {
        if depth > DEPTH_MAX {
            return Err(BodyError);
        }
        match self.kind()? {
            Kind::Text => {
                let text = self.text()?;
                match texts {
                    Some(texts) => {
                        texts.push('\n');
                        texts.push_str(&text);
                    }
                    None => *texts = Some(text.into_owned()),
                }
            }
            Kind::Array | Kind::Object => {
                let mut rest = self.payload;
                while !rest.is_empty() {
                    if self.tag == OBJECT {
                        (_, rest) = next(rest)?;
                    }
                    let (value, behind) = next(rest)?;
                    value.gather(texts, depth + 1)?;
                    rest = behind;
                }
            }
            Kind::Absent | Kind::Null | Kind::Bool | Kind::Number => {}
        }
        Ok(())
    }

    /// Writes `before` and the element as JSON. Small pieces are most of the work, so that what is known
    /// to stand beside one another is written at once.
    fn render(self, out: &mut Vec<u8>, before: &[u8], depth: usize) -> Result<(), BodyError> {
        if depth > DEPTH_MAX {
            return Err(BodyError);
        }
        out.extend_from_slice(before);
        match self.tag {
            NULL => out.extend_from_slice(b"null"),
            TRUE => out.extend_from_slice(b"true"),
            FALSE => out.extend_from_slice(b"false"),
            INT | FLOAT => out.extend_from_slice(self.payload),
            TEXT | TEXT_ESCAPED => {
                out.push(b'"');
                out.extend_from_slice(self.payload);
                out.push(b'"');
            }
            TEXT_RAW => {
                let text = std::str::from_utf8(self.payload).map_err(|_| BodyError)?;
                serde_json::to_writer(&mut *out, text).map_err(|_| BodyError)?;
            }
            ARRAY => {
                let mut before: &[u8] = b"[";
                let mut rest = self.payload;
                while !rest.is_empty() {
                    let (value, behind) = next(rest)?;
                    value.render(out, before, depth + 1)?;
                    (before, rest) = (b",", behind);
                }
                out.extend_from_slice(if self.payload.is_empty() { b"[]" } else { b"]" });
            }
            OBJECT => {
                let (mut before, mut quoted): (&[u8], &[u8]) = (b"{", b"{\"");
                let mut rest = self.payload;
                while !rest.is_empty() {
                    let (label, behind) = next(rest)?;
                    let (value, behind) = next(behind)?;
                    match (label.tag, value.tag) {
                        (TEXT | TEXT_ESCAPED, TEXT | TEXT_ESCAPED) => {
                            out.extend_from_slice(quoted);
                            out.extend_from_slice(label.payload);
                            out.extend_from_slice(b"\":\"");
                            out.extend_from_slice(value.payload);
                            out.push(b'"');
                        }
                        (TEXT | TEXT_ESCAPED, _) => {
                            out.extend_from_slice(quoted);
                            out.extend_from_slice(label.payload);
                            value.render(out, b"\":", depth + 1)?;
                        }
                        (TEXT_RAW, _) => {
                            label.render(out, before, depth + 1)?;
                            value.render(out, b":", depth + 1)?;
                        }
                        _ => return Err(BodyError),
                    }
                    (before, quoted, rest) = (b",", b",\"", behind);
                }
                out.extend_from_slice(if self.payload.is_empty() { b"{}" } else { b"}" });
            }
            _ => return Err(BodyError),
        }
        Ok(())
    }
}

/// The first element of some bytes, and what follows it.
#[inline]
fn next(bytes: &[u8]) -> Result<(Element<'_>, &[u8]), BodyError> {
    let (&first, rest) = bytes.split_first().ok_or(BodyError)?;
    let (size, rest) = match usize::from(first >> 4) {
        short @ 0..12 => (short, rest),
        long => long_size(rest, long)?,
    };
    let (payload, rest) = rest.split_at_checked(size).ok_or(BodyError)?;
    let tag = first & 15;
    Ok((Element { tag, payload }, rest))
}

#[cold]
fn long_size(rest: &[u8], class: usize) -> Result<(usize, &[u8]), BodyError> {
    size(rest, 1 << (class - 12))
}

fn size(bytes: &[u8], count: usize) -> Result<(usize, &[u8]), BodyError> {
    let (size, rest) = bytes.split_at_checked(count).ok_or(BodyError)?;
    let size = (size.iter()).fold(0u64, |size, &byte| size << 8 | u64::from(byte));
    Ok((usize::try_from(size).map_err(|_| BodyError)?, rest))
}

/// A body as JSON text, as SQLite's `json()` writes it.
pub(crate) fn json(bytes: &[u8]) -> Result<String, BodyError> {
    // Quotes and commas take a little more than the headers that they stand for.
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 4 + 16);
    Element::whole(bytes)?.render(&mut out, b"", 0)?;
    String::from_utf8(out).map_err(|_| BodyError)
}

/// The column of a row with a body, as JSON text.
pub(crate) fn json_of(column: ValueRef<'_>) -> rusqlite::Result<String> {
    let json = column.as_blob().map(json);
    match json {
        Ok(Ok(json)) => Ok(json),
        Ok(Err(error)) => Err(conversion(error)),
        Err(error) => Err(conversion(error)),
    }
}

fn conversion(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error))
}

/// Names from a document's root to a field, as a statement's parameter: each name's length in two
/// bytes and its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldPath<'p>(&'p [u8]);

impl<'p> FieldPath<'p> {
    pub(crate) const fn new(bytes: &'p [u8]) -> Self {
        Self(bytes)
    }

    /// The parameter for names that are no longer than names may be.
    pub(crate) fn encode(names: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        for name in names {
            let len = u16::try_from(name.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(&name.as_bytes()[..len.into()]);
        }
        out
    }

    fn names(self) -> impl Iterator<Item = Result<&'p [u8], BodyError>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let name = size(rest, 2)
                .and_then(|(len, behind)| behind.split_at_checked(len).ok_or(BodyError));
            Some(match name {
                Ok((name, behind)) => {
                    rest = behind;
                    Ok(name)
                }
                Err(error) => {
                    rest = &[];
                    Err(error)
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;
    use serde_json::Value;

    use super::*;

    fn names() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["a", "b", "0", "1", "é\"", "a\\b", "", "\n"]).prop_map(Into::into)
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
            "[\"\\\\\n\u{1}x]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(names(), inner, 0..5).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_body_and_its_fields_read_as_sqlite_reads_them(
            value in values(),
            path in prop::collection::vec(names(), 0..4),
        ) {
            let conn = Connection::open_in_memory().unwrap();
            let (body, text): (Vec<u8>, String) = conn
                .query_row("SELECT jsonb(?1), json(jsonb(?1))", [value.to_string()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .unwrap();
            let read: Value = serde_json::from_str(&json(&body).unwrap()).unwrap();
            prop_assert_eq!(&read, &serde_json::from_str::<Value>(&text).unwrap());
            let encoded = FieldPath::encode(&path);
            let found = Element::whole(&body).unwrap().at(&FieldPath::new(&encoded)).unwrap();
            let wanted = crate::query::at(&read, &path);
            prop_assert_eq!(found.is_some(), wanted.is_some());
            if let (Some(found), Some(wanted)) = (found, wanted) {
                let (kind, value) = match wanted {
                    Value::Null => (Kind::Null, SqlValue::Null),
                    Value::Bool(value) => (Kind::Bool, SqlValue::Integer(i64::from(*value))),
                    Value::Number(number) => (Kind::Number, match number.as_i64() {
                        Some(whole) => SqlValue::Integer(whole),
                        None => SqlValue::Real(number.as_f64().unwrap()),
                    }),
                    Value::String(text) => (Kind::Text, SqlValue::Text(text.clone())),
                    Value::Array(_) => (Kind::Array, SqlValue::Null),
                    Value::Object(_) => (Kind::Object, SqlValue::Null),
                };
                prop_assert_eq!(found.kind().unwrap(), kind);
                prop_assert_eq!(found.value().unwrap(), value);
                let texts: Option<String> = conn
                    .query_row(
                        "SELECT group_concat(atom, char(10)) FROM json_tree(?1) WHERE type='text'",
                        [wanted.to_string()],
                        |row| row.get(0),
                    )
                    .unwrap();
                prop_assert_eq!(found.texts().unwrap(), texts);
            }
        }

        #[test]
        fn hostile_bytes_are_an_error_or_json(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let path = FieldPath::encode(&["a".to_owned(), "0".to_owned()]);
            if let Ok(text) = json(&bytes) {
                prop_assert!(!text.is_empty());
            }
            if let Ok(whole) = Element::whole(&bytes)
                && let Ok(Some(found)) = whole.at(&FieldPath::new(&path))
            {
                let _ = (found.kind(), found.value(), found.texts());
            }
            let _ = whole_path(&bytes);
        }
    }

    fn whole_path(bytes: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
        FieldPath::new(bytes).names().collect()
    }
}
