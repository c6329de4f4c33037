//! The bytes of a value, the same in parcels and rows. Owns their one canonical form: whatever is
//! checked here can later be copied and read without errors.
//!
//! Integers that fit 64 bits stay integers; all other numbers are finite floats. A list is opaque:
//! replaced as a whole, its maps sorted by key. Every value has exactly one encoding.

use std::cmp::Ordering;

use serde_json::{Number, Value};
use stead_base::{DecodeError, DecodeFault, Decoder, codec::put_uint};

use crate::ops::ParcelError;

/// Deepest nesting of lists and maps inside one value.
pub const VALUE_DEPTH_MAX: usize = 64;
/// Largest encoded value, in bytes.
pub const VALUE_BYTES_MAX: usize = 768 << 10;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const TEXT: u8 = 5;
const LIST: u8 = 6;
const MAP: u8 = 7;
const DELETED: u8 = 8;
/// `SMALL | n` is the integer `n` of 0..=63.
const SMALL: u8 = 0x40;
const SMALL_MAX: u64 = 63;
/// `SHORT | n` starts a text of `n` bytes, 0..=127.
const SHORT: u8 = 0x80;
const SHORT_MAX: usize = 127;

/// The value of a deleted field.
pub(crate) const DELETED_BYTES: &[u8] = &[DELETED];
/// The value of a map that was assigned, to be filled by the fields below it.
pub(crate) const EMPTY_MAP_BYTES: &[u8] = &[MAP, 0];

/// A checked, encoded value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ValueRef<'a>(&'a [u8]);

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum View<'a> {
    /// JSON null.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A finite number that is no 64-bit integer, or was written as none.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// A list, replaced as a whole.
    List(Items<'a>),
    /// A map: empty when assigned to a field, with entries inside lists.
    Map(Items<'a>),
    /// No value: the field is deleted.
    Deleted,
}

/// The encoded items of a list, or keys and values of a map.
#[derive(Debug, Clone, PartialEq, Copy)]
pub struct Items<'a> {
    count: usize,
    body: &'a [u8],
}

/// Where a value may stand, and so which values it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Assigned to a field: anything but a map with entries.
    Field,
    /// An element of a set: a truth value, number or text.
    Element,
    /// Inside a list: anything but "deleted".
    Inside,
}

impl<'a> ValueRef<'a> {
    /// Takes bytes that [`read`] checked or [`put`] wrote.
    pub(crate) const fn checked(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The encoded value.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// What the value is.
    pub fn view(self) -> View<'a> {
        view(&mut Decoder::new(self.0)).unwrap_or(View::Null)
    }

    /// The value as JSON; `None` if it is deleted.
    pub fn to_json(self) -> Option<Value> {
        to_json(self.view())
    }

    /// The order of elements in a set: false, true, numbers by size (an integer before an equal
    /// float), texts by their bytes.
    pub(crate) fn cmp_elements(self, other: Self) -> Ordering {
        use View::{Bool, Float, Int, Text};
        fn rank(view: &View<'_>) -> u8 {
            match view {
                Bool(_) => 0,
                Int(_) | Float(_) => 1,
                _ => 2,
            }
        }
        match (self.view(), other.view()) {
            (Bool(a), Bool(b)) => a.cmp(&b),
            (Int(a), Int(b)) => a.cmp(&b),
            (Float(a), Float(b)) => a.total_cmp(&b),
            (Int(a), Float(b)) => cmp_mixed(a, b),
            (Float(a), Int(b)) => cmp_mixed(b, a).reverse(),
            (Text(a), Text(b)) => a.cmp(b),
            (a, b) => rank(&a).cmp(&rank(&b)).then_with(|| self.0.cmp(other.0)),
        }
    }
}

impl std::fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}

fn cmp_mixed(int: i64, float: f64) -> Ordering {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if float >= TWO_TO_63 {
        return Ordering::Less;
    }
    if float < -TWO_TO_63 {
        return Ordering::Greater;
    }
    let fraction = float.fract();
    int.cmp(&(float as i64)).then(if fraction < 0.0 {
        Ordering::Greater
    } else {
        Ordering::Less
    })
}

impl<'a> Items<'a> {
    /// How many items, or keys with their values.
    pub const fn len(self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The items of a list.
    pub(crate) fn items(self) -> impl Iterator<Item = View<'a>> {
        let mut input = Decoder::new(self.body);
        (0..self.count).map_while(move |_| next_view(&mut input))
    }

    /// The keys and values of a map.
    pub(crate) fn entries(self) -> impl Iterator<Item = (&'a str, View<'a>)> {
        let mut input = Decoder::new(self.body);
        (0..self.count).map_while(move |_| {
            let key = input.text(usize::MAX, "key").ok()?;
            Some((key, next_view(&mut input)?))
        })
    }
}

fn next_view<'a>(input: &mut Decoder<'a>) -> Option<View<'a>> {
    let mut ahead = input.clone();
    let value = view(&mut ahead).ok()?;
    read(input, Place::Inside, 0).ok()?;
    Some(value)
}

/// Reads what a checked value is; of a list or map only the header.
fn view<'a>(input: &mut Decoder<'a>) -> Result<View<'a>, DecodeError> {
    let what = "value";
    Ok(match input.byte(what)? {
        NULL => View::Null,
        FALSE => View::Bool(false),
        TRUE => View::Bool(true),
        INT => View::Int(input.int(what)?),
        FLOAT => View::Float(f64::from_le_bytes(input.array(what)?)),
        TEXT => View::Text(input.text(usize::MAX, what)?),
        DELETED => View::Deleted,
        tag @ SHORT.. => View::Text(text(input, usize::from(tag - SHORT))?),
        tag @ SMALL..SHORT => View::Int(i64::from(tag - SMALL)),
        tag @ (LIST | MAP) => {
            let items = Items {
                count: input.uint(what)? as usize,
                body: input.rest(),
            };
            if tag == LIST {
                View::List(items)
            } else {
                View::Map(items)
            }
        }
        _ => return Err(input.error(what, DecodeFault::Undefined)),
    })
}

fn text<'a>(input: &mut Decoder<'a>, len: usize) -> Result<&'a str, DecodeError> {
    let bytes = input.raw(len, "text")?;
    std::str::from_utf8(bytes).map_err(|_| input.error("text", DecodeFault::NotUtf8))
}

/// Reads a value from foreign bytes: refuses all but canonical ones.
pub(crate) fn read<'a>(
    input: &mut Decoder<'a>,
    place: Place,
    depth: usize,
) -> Result<ValueRef<'a>, ParcelError> {
    let start = input.clone();
    let what = "value";
    let tag = input.byte(what)?;
    if tag >= SHORT {
        text(input, usize::from(tag - SHORT))?;
    } else if tag < SMALL {
        read_tagged(input, tag, place, depth)?;
    }
    let len = input.offset() - start.offset();
    Ok(ValueRef(&start.rest()[..len]))
}

fn read_tagged(
    input: &mut Decoder<'_>,
    tag: u8,
    place: Place,
    depth: usize,
) -> Result<(), ParcelError> {
    let what = "value";
    let refuse = |input: &Decoder<'_>, fault| Err(input.error(what, fault).into());
    match tag {
        INT => {
            let value = input.int(what)?;
            if (0..=SMALL_MAX as i64).contains(&value) {
                return refuse(input, DecodeFault::NotCanonical);
            }
        }
        FLOAT => {
            if !f64::from_le_bytes(input.array(what)?).is_finite() {
                return refuse(input, DecodeFault::Undefined);
            }
        }
        TEXT => {
            if input.text(VALUE_BYTES_MAX, what)?.len() <= SHORT_MAX {
                return refuse(input, DecodeFault::NotCanonical);
            }
        }
        FALSE | TRUE => {}
        NULL if place != Place::Element => {}
        DELETED if place == Place::Field => {}
        LIST | MAP if place != Place::Element => {
            if depth >= VALUE_DEPTH_MAX {
                return refuse(
                    input,
                    DecodeFault::TooLong {
                        found: depth as u64 + 1,
                        max: VALUE_DEPTH_MAX as u64,
                    },
                );
            }
            let each = if tag == LIST { 1 } else { 2 };
            let count = input.count(VALUE_BYTES_MAX, each, what)?;
            if tag == MAP && place == Place::Field && count > 0 {
                return refuse(input, DecodeFault::Undefined);
            }
            let mut last = None;
            for _ in 0..count {
                if tag == MAP {
                    let key = input.text(VALUE_BYTES_MAX, "key")?;
                    if last.is_some_and(|last| last >= key) {
                        return Err(input.error("key", DecodeFault::NotCanonical).into());
                    }
                    last = Some(key);
                }
                read(input, Place::Inside, depth + 1)?;
            }
        }
        NULL | DELETED | LIST | MAP => return refuse(input, DecodeFault::Undefined),
        _ => {
            return Err(ParcelError::NotUnderstood {
                what,
                found: tag.into(),
            });
        }
    }
    Ok(())
}

/// Appends the encoding of a JSON value. Returns false, with `out` spoiled, if it nests deeper than
/// [`VALUE_DEPTH_MAX`].
#[must_use]
pub(crate) fn put(out: &mut Vec<u8>, value: &Value, depth: usize) -> bool {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Number(number) => put_number(out, number),
        Value::String(text) => put_text(out, text),
        Value::Array(_) | Value::Object(_) if depth >= VALUE_DEPTH_MAX => return false,
        Value::Array(items) => {
            out.push(LIST);
            put_uint(out, items.len() as u64);
            return items.iter().all(|item| put(out, item, depth + 1));
        }
        Value::Object(entries) => {
            out.push(MAP);
            put_uint(out, entries.len() as u64);
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            return sorted.into_iter().all(|(key, value)| {
                put_uint(out, key.len() as u64);
                out.extend_from_slice(key.as_bytes());
                put(out, value, depth + 1)
            });
        }
    }
    true
}

fn put_number(out: &mut Vec<u8>, number: &Number) {
    match number.as_i64() {
        Some(int) if (0..=SMALL_MAX as i64).contains(&int) => out.push(SMALL | int as u8),
        Some(int) => {
            out.push(INT);
            put_uint(out, (int << 1 ^ int >> 63) as u64);
        }
        None => {
            out.push(FLOAT);
            let float = number.as_f64().filter(|float| float.is_finite());
            out.extend_from_slice(&float.unwrap_or(0.0).to_le_bytes());
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    if text.len() <= SHORT_MAX {
        out.push(SHORT | text.len() as u8);
    } else {
        out.push(TEXT);
        put_uint(out, text.len() as u64);
    }
    out.extend_from_slice(text.as_bytes());
}

fn to_json(view: View<'_>) -> Option<Value> {
    Some(match view {
        View::Null => Value::Null,
        View::Bool(value) => value.into(),
        View::Int(value) => value.into(),
        View::Float(value) => value.into(),
        View::Text(text) => text.into(),
        View::List(items) => items.items().filter_map(to_json).collect(),
        View::Map(entries) => Value::Object(
            entries
                .entries()
                .filter_map(|(key, view)| Some((key.to_owned(), to_json(view)?)))
                .collect(),
        ),
        View::Deleted => return None,
    })
}

#[cfg(test)]
pub(crate) mod tests;
