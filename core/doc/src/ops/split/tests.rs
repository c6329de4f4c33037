//! Whoever holds one part sees there what whoever holds all parts sees.

use proptest::prelude::*;
use serde_json::json;
use stead_base::{Hlc, Stamp, WriterId};

use super::*;
use crate::{Changes, Document, Edit, Numbers, Put};

/// Parts of the one document: 0 is what is around `a.b` (1) and `a.b.c` (2).
const INNER: [(u8, &str); 2] = [(1, "a.b"), (2, "a.b.c")];

fn at(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn part_of(path: PathRef<'_>) -> u8 {
    let holds = |text: &str| path.0 == at(text).as_ref().0 || is_below(path.0, at(text).as_ref().0);
    let inner = INNER.iter().rev().find(|(_, text)| holds(text));
    inner.map_or(0, |(part, _)| *part)
}

fn split(transaction: Transaction) -> Parts<u8> {
    transaction.split(&mut |_, _, path| part_of(path), &mut |_, _| {
        INNER.map(|(part, text)| (part, at(text))).to_vec()
    })
}

/// The parcels of one entry, by part.
#[derive(Debug, Clone)]
struct Entry {
    stamp: Stamp,
    parcels: BTreeMap<u8, Vec<u8>>,
}

#[derive(Debug, Clone)]
enum Step {
    Put(&'static str, i64),
    Nest(&'static str, i64),
    Replace(i64),
    Add(&'static str, i64),
    Include(&'static str, i64),
    Exclude(&'static str, i64),
    Unset(&'static str),
    Delete,
    Purge,
    Restore,
    /// The other device takes up what this one wrote.
    Meet,
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a", "a.b", "a.b.c", "a.b.c.d", "a.b.n", "a.s", "z", "a.b.c.s",
    ])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (path(), 0..9i64).prop_map(|(at, value)| Step::Put(at, value)),
        3 => (path(), 0..9i64).prop_map(|(at, value)| Step::Nest(at, value)),
        1 => (0..9i64).prop_map(Step::Replace),
        3 => (path(), 1..9i64).prop_map(|(at, delta)| Step::Add(at, delta)),
        2 => (path(), 0..3i64).prop_map(|(at, value)| Step::Include(at, value)),
        2 => (path(), 0..3i64).prop_map(|(at, value)| Step::Exclude(at, value)),
        3 => path().prop_map(Step::Unset),
        1 => Just(Step::Delete),
        1 => Just(Step::Purge),
        1 => Just(Step::Restore),
        2 => Just(Step::Meet),
    ]
}

#[derive(Default)]
struct Device {
    document: Document,
    numbers: Numbers,
}

impl Device {
    fn take(&mut self, parcel: &[u8], stamp: Stamp) {
        let mut changes = Changes::default();
        changes.push(parcel, stamp).unwrap();
        for ops in changes.docs() {
            self.document.apply(ops, &mut self.numbers);
        }
    }

    fn take_parts(&mut self, entry: &Entry, reads: impl Fn(u8) -> bool) {
        for (part, parcel) in &entry.parcels {
            if reads(*part) {
                self.take(parcel, entry.stamp);
            }
        }
    }

    /// Makes some edits in one transaction, and takes them up from its parts as others do.
    fn edit(&mut self, stamp: Stamp, steps: &[Step]) -> Option<Entry> {
        let id = DocId::parse("doc").unwrap();
        let before = self.document.clone();
        let mut transaction = Transaction::new(stamp);
        for step in steps {
            let edit = transaction.edit("docs", &id, &mut self.document, &mut self.numbers);
            // What does not fit what is there is refused, and that is fine.
            let _ = make(&mut edit.unwrap(), step);
        }
        if transaction.is_empty() {
            return None;
        }
        let mut parcels = BTreeMap::new();
        for (part, mut transaction) in split(transaction).parts {
            let mut parcel = Vec::new();
            transaction.encode(&mut parcel).unwrap();
            parcels.insert(part, parcel);
        }
        let entry = Entry { stamp, parcels };
        let made = self.document.to_json(&self.numbers);
        self.document = before;
        self.take_parts(&entry, |_| true);
        assert_eq!(self.document.to_json(&self.numbers), made);
        Some(entry)
    }
}

fn make(edit: &mut Edit<'_, Numbers>, step: &Step) -> Result<bool, crate::EditError> {
    match step {
        Step::Put(path, value) => edit.set(&at(path), &json!(value)),
        Step::Nest(path, value) => edit.set(&at(path), &json!({"b": {"c": {"d": value}, "n": 1}})),
        Step::Replace(value) => edit.put(&json!({"a": {"b": value}}), Put::Replace),
        Step::Add(path, delta) => edit.add(&at(path), *delta),
        Step::Include(path, value) => edit.set_add(&at(path), &json!(value)),
        Step::Exclude(path, value) => edit.set_remove(&at(path), &json!(value)),
        Step::Unset(path) => edit.delete_field(&at(path)),
        Step::Delete => edit.delete(),
        Step::Purge => edit.purge(),
        Step::Restore => edit.restore(),
        Step::Meet => Ok(false),
    }
}

/// A history of two devices: what each wrote, and where the other had taken up all of it.
fn history(runs: &[(bool, Vec<Step>)]) -> Vec<Entry> {
    let mut devices = [Device::default(), Device::default()];
    let mut entries: Vec<Entry> = Vec::new();
    let mut known = [0usize; 2];
    for (number, (second, steps)) in runs.iter().enumerate() {
        let me = usize::from(*second);
        if steps.iter().any(|step| matches!(step, Step::Meet)) {
            for entry in &entries[known[me]..] {
                if entry.stamp.writer != WriterId::from_bytes([me as u8 + 1; 32]) {
                    devices[me].take_parts(entry, |_| true);
                }
            }
            known[me] = entries.len();
        }
        let stamp = Stamp {
            hlc: Hlc::new(1_000 + number as u64, 0),
            writer: WriterId::from_bytes([me as u8 + 1; 32]),
        };
        entries.extend(devices[me].edit(stamp, steps));
    }
    entries
}

fn runs() -> impl Strategy<Value = Vec<(bool, Vec<Step>)>> {
    prop::collection::vec((any::<bool>(), prop::collection::vec(step(), 1..4)), 1..12)
}

proptest! {
    #[test]
    fn who_reads_one_part_sees_there_what_a_reader_of_the_whole_sees(
        runs in runs(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 12),
    ) {
        let mut entries = history(&runs);
        let mut whole = Device::default();
        for entry in &entries {
            whole.take_parts(entry, |_| true);
        }
        for (i, index) in order.iter().enumerate().take(entries.len()) {
            let other = index.index(entries.len());
            entries.swap(i, other);
        }
        for (root, text) in INNER {
            let mut partial = Device::default();
            for entry in &entries {
                partial.take_parts(entry, |part| part >= root);
            }
            let place = at(text);
            prop_assert_eq!(
                partial.document.get(place.as_ref(), &partial.numbers),
                whole.document.get(place.as_ref(), &whole.numbers),
                "{} of {:?}", text, entries
            );
            prop_assert_eq!(partial.document.is_deleted(), whole.document.is_deleted());
            prop_assert!(partial.document.lies_within(place.as_ref(), &partial.numbers));
        }
    }

    #[test]
    fn who_begins_with_the_present_of_a_part_ends_as_who_read_it_all(
        runs in runs(),
        cut in any::<prop::sample::Index>(),
    ) {
        let entries = history(&runs);
        let cut = cut.index(entries.len() + 1);
        let mut whole = Device::default();
        for entry in &entries[..cut] {
            whole.take_parts(entry, |_| true);
        }
        for (root, text) in INNER {
            let place = at(text);
            let mut newcomer = Device::default();
            let part = whole.document.part(place.as_ref(), &whole.numbers, &mut newcomer.numbers);
            if let Some(part) = part {
                newcomer.document.absorb(&part, &newcomer.numbers);
            }
            let mut late = Device { document: whole.document.clone(), numbers: whole.numbers.clone() };
            for entry in &entries[cut..] {
                newcomer.take_parts(entry, |part| part >= root);
                late.take_parts(entry, |_| true);
            }
            prop_assert_eq!(
                newcomer.document.get(place.as_ref(), &newcomer.numbers),
                late.document.get(place.as_ref(), &late.numbers)
            );
            prop_assert_eq!(newcomer.document.is_deleted(), late.document.is_deleted());
            prop_assert!(newcomer.document.lies_within(place.as_ref(), &newcomer.numbers));
        }
    }
}

#[test]
fn a_transaction_that_stays_in_one_part_is_not_taken_apart() {
    let mut device = Device::default();
    let id = DocId::parse("doc").unwrap();
    let stamp = Stamp {
        hlc: Hlc::new(1, 0),
        writer: WriterId::from_bytes([1; 32]),
    };
    let mut transaction = Transaction::new(stamp);
    let edit = transaction.edit("docs", &id, &mut device.document, &mut device.numbers);
    edit.unwrap()
        .put(&json!({"a": {"b": {"x": 1, "y": 2}}}), Put::Merge)
        .unwrap();
    let parts = split(transaction);
    assert_eq!(parts.parts.keys().collect::<Vec<_>>(), [&1]);
    assert!(!parts.repeats);
}
