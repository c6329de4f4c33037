//! Edits of lists, and what a list shows.

use loro::cursor::Side;
use loro::{LoroDoc, LoroMovableList};
use serde_json::Value;
use stead_doc::RichError;

use crate::ROOT;
use crate::guard::{broken, refused};
use crate::json::{from_loro, to_loro};

/// Most elements of a list.
const ELEMENTS_MAX: usize = 1 << 20;

pub(crate) fn of(doc: &LoroDoc) -> LoroMovableList {
    doc.get_movable_list(ROOT)
}

pub(crate) fn seed(doc: &LoroDoc, items: &[Value]) -> Result<(), RichError> {
    insert(doc, 0, items)
}

fn check(at: usize, len: usize) -> Result<(), RichError> {
    match at < len {
        true => Ok(()),
        false => Err(refused(format!(
            "the list has {len} elements, and there is none at {at}"
        ))),
    }
}

pub(crate) fn insert(doc: &LoroDoc, at: usize, values: &[Value]) -> Result<(), RichError> {
    let list = of(doc);
    let len = list.len();
    if at > len {
        return Err(refused(format!("the list has {len} elements")));
    }
    if len + values.len() > ELEMENTS_MAX {
        return Err(refused(format!(
            "a list has at most {ELEMENTS_MAX} elements"
        )));
    }
    for (index, value) in values.iter().enumerate() {
        list.insert(at + index, to_loro(value)?).map_err(broken)?;
    }
    Ok(())
}

pub(crate) fn delete(doc: &LoroDoc, at: usize, count: usize) -> Result<(), RichError> {
    let list = of(doc);
    let end = at.saturating_add(count);
    if count == 0 || end > list.len() {
        return Err(refused(format!("the list has {} elements", list.len())));
    }
    list.delete(at, count).map_err(broken)
}

pub(crate) fn set(doc: &LoroDoc, at: usize, value: &Value) -> Result<(), RichError> {
    let list = of(doc);
    check(at, list.len())?;
    list.set(at, to_loro(value)?).map_err(broken)
}

pub(crate) fn shift(doc: &LoroDoc, from: usize, to: usize) -> Result<(), RichError> {
    let list = of(doc);
    check(from, list.len())?;
    check(to, list.len())?;
    list.mov(from, to).map_err(broken)
}

/// Makes the list equal to another: what is equal at both ends stays.
pub(crate) fn make_equal(doc: &LoroDoc, wanted: &[Value]) -> Result<(), RichError> {
    let there = items(doc);
    let before = there.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let shorter = there.len().min(wanted.len()) - before;
    let after = there
        .iter()
        .rev()
        .zip(wanted.iter().rev())
        .take_while(|(a, b)| a == b)
        .count()
        .min(shorter);
    let gone = there.len() - before - after;
    if gone > 0 {
        delete(doc, before, gone)?;
    }
    insert(doc, before, &wanted[before..wanted.len() - after])
}

fn items(doc: &LoroDoc) -> Vec<Value> {
    match of(doc).get_value() {
        loro::LoroValue::List(items) => items.iter().map(from_loro).collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn value(doc: &LoroDoc) -> Value {
    items(doc).into()
}

pub(crate) fn cursor(doc: &LoroDoc, at: usize) -> Result<loro::cursor::Cursor, RichError> {
    let list = of(doc);
    if at > list.len() {
        return Err(refused(format!("the list has {} elements", list.len())));
    }
    list.get_cursor(at, Side::Middle)
        .ok_or_else(|| refused("there is no such place"))
}
