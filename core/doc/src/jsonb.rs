//! SQLite's JSONB (<https://sqlite.org/jsonb.html>), written directly so that SQL can query a
//! document without parsing text. Owns this one foreign format; what a document shows is decided
//! elsewhere.
//!
//! Sizes take the shortest header. Text that JSON would write without escapes is `TEXT`, all other
//! text is `TEXTRAW`; numbers are `INT` or `FLOAT`.

use std::io::Write as _;

use serde_json::{Map, Number, Value};
use stead_base::{DecodeError, DecodeFault, Decoder};

use crate::value::View;

const NULL: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 5;
const TEXT: u8 = 7;
const TEXT_ESCAPED: u8 = 8;
const TEXT_RAW: u8 = 10;
pub(crate) const ARRAY: u8 = 11;
pub(crate) const OBJECT: u8 = 12;

/// Deepest nesting that [`decode`] follows.
pub const JSONB_DEPTH_MAX: usize = 200;

/// A header with one byte of size, what most arrays and objects need.
const HEADER_GUESS: usize = 2;

/// Starts an array or object; give the result to [`close`].
pub(crate) fn open(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; HEADER_GUESS]);
    out.len()
}

/// Ends an array or object whose content began at `start`.
pub(crate) fn close(out: &mut Vec<u8>, start: usize, kind: u8) {
    let end = out.len();
    let (header, len) = header(kind, end - start);
    let at = start - HEADER_GUESS;
    if len > HEADER_GUESS {
        out.resize(at + len + (end - start), 0);
        out.copy_within(start..end, at + len);
    } else if len < HEADER_GUESS {
        out.copy_within(start..end, at + len);
        out.truncate(at + len + (end - start));
    }
    out[at..at + len].copy_from_slice(&header[..len]);
}

/// The shortest header and its length.
fn header(kind: u8, size: usize) -> ([u8; 9], usize) {
    let mut header = [0; 9];
    let (mark, bytes) = match size {
        0..=11 => (size as u8, 0),
        12..=0xff => (12, 1),
        0x100..=0xffff => (13, 2),
        0x1_0000..=0xffff_ffff => (14, 4),
        _ => (15, 8),
    };
    header[0] = mark << 4 | kind;
    header[1..=bytes].copy_from_slice(&(size as u64).to_be_bytes()[8 - bytes..]);
    (header, 1 + bytes)
}

fn put(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    if payload.len() <= 11 {
        out.push((payload.len() as u8) << 4 | kind);
    } else {
        let (header, len) = header(kind, payload.len());
        out.extend_from_slice(&header[..len]);
    }
    out.extend_from_slice(payload);
}

pub(crate) fn put_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let escapes = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // No early exit: short texts are checked many bytes at once.
    let raw = text.bytes().fold(false, |any, byte| any | escapes(byte));
    put(out, if raw { TEXT_RAW } else { TEXT }, text.as_bytes());
}

pub(crate) fn put_int(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    put(out, INT, &digits[at..]);
}

fn put_float(out: &mut Vec<u8>, value: f64) {
    let start = out.len();
    out.push(0);
    // The shortest digits that read back as the same float, always with a point or an exponent.
    let _ = write!(out, "{value:?}");
    let len = out.len() - start - 1;
    if len <= 11 {
        out[start] = (len as u8) << 4 | FLOAT;
    } else {
        out[start] = 12 << 4 | FLOAT;
        out.insert(start + 1, len as u8);
    }
}

/// Appends a value. A deleted one becomes null; callers leave those out.
pub(crate) fn put_view(out: &mut Vec<u8>, view: View<'_>) {
    match view {
        View::Null | View::Deleted => put_null(out),
        View::Bool(true) => out.push(TRUE),
        View::Bool(false) => out.push(FALSE),
        View::Int(value) => put_int(out, value),
        View::Float(value) => put_float(out, value),
        View::Text(text) => put_text(out, text),
        View::List(items) => {
            let at = open(out);
            for item in items.items() {
                put_view(out, item);
            }
            close(out, at, ARRAY);
        }
        View::Map(entries) => {
            let at = open(out);
            for (key, value) in entries.entries() {
                put_text(out, key);
                put_view(out, value);
            }
            close(out, at, OBJECT);
        }
    }
}

/// Appends any JSON value. Numbers beyond 64-bit integers are written as floats.
pub(crate) fn put_json(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => put_null(out),
        Value::Bool(true) => out.push(TRUE),
        Value::Bool(false) => out.push(FALSE),
        Value::Number(number) => match number.as_i64() {
            Some(int) => put_int(out, int),
            None => put_float(out, number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => put_text(out, text),
        Value::Array(items) => {
            let at = open(out);
            for item in items {
                put_json(out, item);
            }
            close(out, at, ARRAY);
        }
        Value::Object(entries) => {
            let at = open(out);
            for (key, value) in entries {
                put_text(out, key);
                put_json(out, value);
            }
            close(out, at, OBJECT);
        }
    }
}

/// Reads JSONB as JSON. Takes what this module and SQLite write for standard JSON; the extras of
/// JSON5 (hexadecimal integers and the like) are refused.
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut input = Decoder::new(bytes);
    let value = read(&mut input, 0)?;
    input.finish("jsonb")?;
    Ok(value)
}

fn read(input: &mut Decoder<'_>, depth: usize) -> Result<Value, DecodeError> {
    let (kind, payload) = element(input)?;
    let refuse = || input.error("jsonb", DecodeFault::Undefined);
    Ok(match kind {
        NULL => Value::Null,
        TRUE => true.into(),
        FALSE => false.into(),
        INT | FLOAT => {
            let text = std::str::from_utf8(payload).map_err(|_| refuse())?;
            match text.parse::<i64>() {
                Ok(int) if kind == INT => int.into(),
                _ => {
                    let float = text.parse::<f64>().map_err(|_| refuse())?;
                    Value::Number(Number::from_f64(float).ok_or_else(refuse)?)
                }
            }
        }
        TEXT..=TEXT_RAW => Value::String(string(kind, payload, input)?),
        ARRAY | OBJECT if depth >= JSONB_DEPTH_MAX => {
            let (found, max) = (depth as u64 + 1, JSONB_DEPTH_MAX as u64);
            return Err(input.error("jsonb", DecodeFault::TooLong { found, max }));
        }
        ARRAY => {
            let mut inner = Decoder::new(payload);
            let mut items = Vec::new();
            while inner.remaining() > 0 {
                items.push(read(&mut inner, depth + 1)?);
            }
            items.into()
        }
        OBJECT => {
            let mut inner = Decoder::new(payload);
            let mut entries = Map::new();
            while inner.remaining() > 0 {
                let (kind, key) = element(&mut inner)?;
                let key = string(kind, key, &inner)?;
                entries.insert(key, read(&mut inner, depth + 1)?);
            }
            entries.into()
        }
        _ => return Err(refuse()),
    })
}

/// Reads one element's kind and payload.
fn element<'a>(input: &mut Decoder<'a>) -> Result<(u8, &'a [u8]), DecodeError> {
    let first = input.byte("jsonb")?;
    let bytes = match first >> 4 {
        12 => 1,
        13 => 2,
        14 => 4,
        15 => 8,
        size => return Ok((first & 15, input.raw(size.into(), "jsonb")?)),
    };
    let size = input.raw(bytes, "jsonb size")?;
    let size = size
        .iter()
        .fold(0u64, |size, &byte| size << 8 | u64::from(byte));
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    Ok((first & 15, input.raw(size, "jsonb")?))
}

fn string(kind: u8, payload: &[u8], input: &Decoder<'_>) -> Result<String, DecodeError> {
    let refuse = |fault| input.error("jsonb text", fault);
    let text = std::str::from_utf8(payload).map_err(|_| refuse(DecodeFault::NotUtf8))?;
    match kind {
        TEXT | TEXT_RAW => Ok(text.to_owned()),
        TEXT_ESCAPED => {
            serde_json::from_str(&format!("\"{text}\"")).map_err(|_| refuse(DecodeFault::Undefined))
        }
        _ => Err(refuse(DecodeFault::Undefined)),
    }
}

#[cfg(test)]
mod tests;
