//! The merge rules said as plainly as possible, to hold the real ones against.
//!
//! The model keeps every operation ever received and works out the visible JSON from the
//! definition each time it is asked: slow, and short enough to be checked by reading. It must not
//! share code with `core/doc` beyond reading operations, and never forget anything.

pub mod access;
pub mod schemas;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stead_base::{Hlc, Stamp, WriterId};
use stead_doc::{DocOps, OpRef};

/// Every operation of one document.
#[derive(Debug, Clone, Default)]
pub struct Model {
    ops: Vec<Op>,
}

#[derive(Debug, Clone)]
struct Op {
    path: Vec<String>,
    stamp: Stamp,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    /// The value (`None`: deleted) and its encoding, which settles equal stamps.
    Assign(Option<Value>, Vec<u8>),
    Add(i64, Option<Stamp>),
    SetAdd(Value),
    SetRemove(Value, Vec<Stamp>),
    Alive(bool),
    /// Deletes the document, and is an assignment of nothing above all of it.
    Purge,
    /// The kind's tag and the base. What is in a rich field is not the model's to say: it shows as null.
    Rich(u8, Option<Stamp>),
}

impl Model {
    /// Takes the operations of one transaction.
    pub fn receive(&mut self, ops: DocOps<'_>) {
        for (path, op) in ops.ops() {
            let json = |value: stead_doc::ValueRef<'_>| value.to_json();
            let what = match op {
                OpRef::Assign(value) => What::Assign(json(value), value.bytes().to_vec()),
                OpRef::Add { delta, base } => What::Add(delta, base),
                OpRef::SetAdd(elem) => What::SetAdd(json(elem).unwrap_or_default()),
                OpRef::SetRemove { elem, observed } => {
                    What::SetRemove(json(elem).unwrap_or_default(), observed.to_vec())
                }
                OpRef::Restore => What::Alive(true),
                OpRef::Delete => What::Alive(false),
                OpRef::Purge => What::Purge,
                OpRef::Rich { kind, base, .. } => What::Rich(kind.tag(), base),
            };
            self.ops.push(Op {
                path: path.names().map(str::to_owned).collect(),
                stamp: ops.stamp(),
                what,
            });
        }
    }

    /// Whether the document is deleted: the latest word on it counts, a restore before a deletion
    /// or purge of the same stamp.
    pub fn is_deleted(&self) -> bool {
        let words = self.ops.iter().filter_map(|op| match op.what {
            What::Alive(alive) => Some((op.stamp, alive)),
            What::Purge => Some((op.stamp, false)),
            _ => None,
        });
        words.max().is_some_and(|(_, alive)| !alive)
    }

    /// The visible JSON of the document, deleted or not.
    pub fn to_json(&self) -> Value {
        self.below(&[])
            .unwrap_or_else(|| Value::Object(Default::default()))
    }

    /// What is visible at a path: fields below it, else a set, else a rich field, else a counter, else the
    /// value.
    fn visible(&self, path: &[String]) -> Option<Value> {
        self.below(path)
            .or_else(|| self.set(path))
            .or_else(|| self.rich(path).map(|_| Value::Null))
            .or_else(|| self.counter(path))
            .or_else(|| self.assigned(path).and_then(|(_, value, _)| value))
    }

    /// The map of all visible fields below a path, if there is any.
    fn below(&self, path: &[String]) -> Option<Value> {
        let names: BTreeSet<&String> = self
            .ops
            .iter()
            .filter(|op| op.path.starts_with(path))
            .filter_map(|op| op.path.get(path.len()))
            .collect();
        let fields: serde_json::Map<_, _> = names
            .into_iter()
            .filter_map(|name| {
                let path = [path, std::slice::from_ref(name)].concat();
                Some((name.clone(), self.visible(&path)?))
            })
            .collect();
        (!fields.is_empty()).then_some(Value::Object(fields))
    }

    /// The latest assignment at or above a path, or purge, whose path is the root.
    fn reset(&self, path: &[String]) -> Option<Stamp> {
        self.ops
            .iter()
            .filter(|op| matches!(op.what, What::Assign(..) | What::Purge))
            .filter(|op| path.starts_with(&op.path))
            .map(|op| op.stamp)
            .max()
    }

    fn at<'m>(&'m self, path: &'m [String]) -> impl Iterator<Item = &'m Op> {
        self.ops.iter().filter(move |op| op.path == path)
    }

    /// The assignment of a path, unless a later one above hides it.
    fn assigned(&self, path: &[String]) -> Option<(Stamp, Option<Value>, Vec<u8>)> {
        let assigns = self.at(path).filter_map(|op| match &op.what {
            What::Assign(value, bytes) => Some((op.stamp, value.clone(), bytes.clone())),
            _ => None,
        });
        assigns
            .max_by(|a, b| (a.0, &a.2).cmp(&(b.0, &b.2)))
            .filter(|(stamp, ..)| Some(*stamp) >= self.reset(path))
    }

    /// The sum of the additions on the latest base, unless an assignment is later than that.
    fn counter(&self, path: &[String]) -> Option<Value> {
        let adds: Vec<(i64, Option<Stamp>)> = self
            .at(path)
            .filter_map(|op| match op.what {
                What::Add(delta, base) => Some((delta, base)),
                _ => None,
            })
            .collect();
        let latest = adds.iter().map(|(_, base)| *base).max()?;
        if latest < self.reset(path) {
            return None;
        }
        let start = match self.assigned(path) {
            Some((stamp, Some(value), _)) if Some(stamp) == latest => value.as_i64().unwrap_or(0),
            _ => 0,
        };
        let on_latest = adds.iter().filter(|(_, base)| *base == latest);
        Some(
            on_latest
                .fold(start, |sum, (delta, _)| sum.wrapping_add(*delta))
                .into(),
        )
    }

    /// The rich fields at a path that are alive: those on the latest base, unless an assignment is later than
    /// that. Each is its kind's tag and its base.
    pub fn rich(&self, path: &[String]) -> Option<(BTreeSet<u8>, Option<Stamp>)> {
        let told = self.at(path).filter_map(|op| match op.what {
            What::Rich(tag, base) => Some((base, tag)),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        let latest = told.iter().map(|(base, _)| *base).max()?;
        if latest < self.reset(path) {
            return None;
        }
        let on_latest = told.iter().filter(|(base, _)| *base == latest);
        Some((on_latest.map(|(_, tag)| *tag).collect(), latest))
    }

    /// The elements that some writer added later than any removal of its additions that is known;
    /// `None` if no assignment has left anything of the set.
    fn set(&self, path: &[String]) -> Option<Value> {
        type ByWriter = BTreeMap<WriterId, Hlc>;
        let mut touched: Vec<(Value, ByWriter, ByWriter)> = Vec::new();
        let reset = self.reset(path);
        let mut note = |elem: &Value, stamp: Stamp, added: bool| {
            if Some(stamp) < reset {
                return;
            }
            let known = touched.iter().position(|(known, ..)| known == elem);
            let index = known.unwrap_or_else(|| {
                touched.push((elem.clone(), ByWriter::new(), ByWriter::new()));
                touched.len() - 1
            });
            let (_, adds, removals) = &mut touched[index];
            let times = if added { adds } else { removals };
            let time = times.entry(stamp.writer).or_insert(stamp.hlc);
            *time = stamp.hlc.max(*time);
        };
        for op in self.at(path) {
            match &op.what {
                What::SetAdd(elem) => note(elem, op.stamp, true),
                What::SetRemove(elem, observed) => {
                    for &stamp in observed {
                        note(elem, stamp, false);
                    }
                }
                _ => {}
            }
        }
        if touched.is_empty() {
            return None;
        }
        let is_present = |adds: &ByWriter, removals: &ByWriter| {
            adds.iter()
                .any(|(writer, added)| removals.get(writer).is_none_or(|gone| added > gone))
        };
        let mut present: Vec<Value> = touched
            .into_iter()
            .filter(|(_, adds, removals)| is_present(adds, removals))
            .map(|(elem, ..)| elem)
            .collect();
        present.sort_by(cmp_elements);
        Some(present.into())
    }
}

/// False, true, numbers by size (an integer before an equal float), texts.
fn cmp_elements(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Bool(truth) => (0, *truth, 0.0, false, String::new()),
        Value::Number(number) => {
            let size = number.as_f64().unwrap_or_default();
            (1, false, size, number.is_f64(), String::new())
        }
        other => {
            let text = other.as_str().unwrap_or_default();
            (2, false, 0.0, false, text.to_owned())
        }
    };
    rank(a).partial_cmp(&rank(b)).unwrap_or(Ordering::Equal)
}
