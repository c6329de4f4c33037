//! Whoever applies the deltas of a text to what they had has what the text holds, whatever was typed
//! here and came from elsewhere in between.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use stead_doc::{RichContent, RichEdit, RichEngine, RichKind, TextUnit};
use stead_rich::LoroEngine;

/// A text as one who watches keeps it: characters with their marks.
type Copy = Vec<(char, BTreeMap<String, Value>)>;

fn copy_of(marked: &Value) -> Copy {
    let runs = marked.as_array().unwrap().iter();
    runs.flat_map(|run| {
        let marks = marks_of(run);
        let text = run["insert"].as_str().unwrap();
        text.chars()
            .map(move |char| (char, marks.clone()))
            .collect::<Vec<_>>()
    })
    .collect()
}

fn marks_of(part: &Value) -> BTreeMap<String, Value> {
    let marks = part["attributes"].as_object().into_iter().flatten();
    marks
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn applied(old: Copy, delta: &Value) -> Copy {
    let mut left = old.into_iter();
    let mut new = Copy::new();
    for part in delta.as_array().unwrap() {
        if let Some(n) = part["retain"].as_u64() {
            for _ in 0..n {
                let (char, mut marks) = left.next().expect("what is retained is there");
                for (name, value) in marks_of(part) {
                    match value {
                        Value::Null => drop(marks.remove(&name)),
                        value => drop(marks.insert(name, value)),
                    }
                }
                new.push((char, marks));
            }
        } else if let Some(n) = part["delete"].as_u64() {
            for _ in 0..n {
                left.next().expect("what is deleted is there");
            }
        } else {
            let marks = marks_of(part);
            let text = part["insert"].as_str().unwrap();
            new.extend(text.chars().map(|char| (char, marks.clone())));
        }
    }
    new.extend(left);
    new
}

#[derive(Debug, Clone)]
enum Step {
    Insert(usize, usize, &'static str),
    Delete(usize, usize, usize),
    Mark(usize, usize, usize, &'static str, bool),
    /// One side hears what the other has made.
    Hear(usize),
    /// The watcher looks.
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    let texts = prop_oneof![Just("a"), Just("bcd"), Just("😀é"), Just("\n")];
    let names = prop_oneof![Just("bold"), Just("link")];
    prop_oneof![
        4 => (0..2usize, any::<usize>(), texts).prop_map(|(w, at, t)| Step::Insert(w, at, t)),
        2 => (0..2usize, any::<usize>(), 1..4usize).prop_map(|(w, at, n)| Step::Delete(w, at, n)),
        2 => (0..2usize, any::<usize>(), 1..6usize, names, any::<bool>())
            .prop_map(|(w, at, n, name, on)| Step::Mark(w, at, n, name, on)),
        3 => (0..2usize).prop_map(Step::Hear),
        3 => Just(Step::Look),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn deltas_lead_from_what_was_to_what_is(steps in proptest::collection::vec(step(), 1..60)) {
        let engine = LoroEngine;
        let open = |author| engine.open(RichKind::Text, author, None).unwrap();
        let mut sides: [Box<dyn RichContent>; 2] = [open(11), open(12)];
        let mut made: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
        let mut heard = [0, 0];
        let mut version = sides[0].version().unwrap();
        let mut copy = copy_of(&sides[0].marked().unwrap());
        let look = Step::Look;
        for step in steps.iter().chain([&Step::Hear(0), &look]) {
            let edit = match *step {
                Step::Look => {
                    let delta = sides[0].text_delta(&version).unwrap().expect("a version it had");
                    copy = applied(copy, &delta);
                    version = sides[0].version().unwrap();
                    prop_assert_eq!(&copy, &copy_of(&sides[0].marked().unwrap()));
                    continue;
                }
                Step::Hear(side) => {
                    let other = 1 - side;
                    let author = [11, 12][other];
                    let updates: Vec<(u64, &[u8])> = made[other][heard[side]..]
                        .iter().map(|update| (author, &update[..])).collect();
                    heard[side] = made[other].len();
                    if !updates.is_empty() {
                        sides[side].import(&updates).unwrap();
                    }
                    continue;
                }
                Step::Insert(side, at, text) => (side, at, 0, text.to_owned(), None),
                Step::Delete(side, at, n) => (side, at, n, String::new(), None),
                Step::Mark(side, at, n, name, on) => (side, at, n, String::new(), Some((name, on))),
            };
            let (side, at, n, insert, mark) = edit;
            let len = sides[side].value().unwrap().as_str().unwrap().chars().count();
            let at = at % (len + 1);
            let n = n.min(len - at);
            let unit = TextUnit::Scalar;
            let edit = match mark {
                Some((name, on)) => {
                    if n == 0 {
                        continue;
                    }
                    let value = if on { Value::Bool(true) } else { Value::Null };
                    RichEdit::Mark { start: at, end: at + n, mark: name.to_owned(), value, unit }
                }
                None => RichEdit::Splice { at, delete: n, insert, unit },
            };
            sides[side].edit(&edit).unwrap();
            if let Some((_, update)) = sides[side].take_update().unwrap() {
                made[side].push(update);
            }
        }
    }
}

#[test]
fn a_version_that_a_text_never_had_gives_no_delta() {
    let engine = LoroEngine;
    let mut one = engine.open(RichKind::Text, 11, None).unwrap();
    let mut other = engine.open(RichKind::Text, 12, None).unwrap();
    let edit = RichEdit::Splice {
        at: 0,
        delete: 0,
        insert: "text".to_owned(),
        unit: TextUnit::Scalar,
    };
    for side in [&mut one, &mut other] {
        side.edit(&edit).unwrap();
        side.take_update().unwrap();
    }
    let version = one.version().unwrap();
    assert_eq!(other.text_delta(&version).unwrap(), None);
    assert_eq!(other.text_delta(b"no version").unwrap(), None);
}
