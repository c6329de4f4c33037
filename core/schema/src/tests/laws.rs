//! The laws of lenses, on random chains: there and back again; what one app cannot see it does not
//! touch; merging and translating can be exchanged.

use proptest::prelude::*;
use serde_json::Value;
use stead_base::{DocId, Hlc, Stamp, WriterId};
use stead_doc::{Changes, Document, Edit, Numbers, Path, Transaction};

use super::random::{chains, object_of};
use super::seen;
use crate::apply::apply;
use crate::convert::same;
use crate::shape::{MARK, Node, NodeKind};
use crate::{Chain, Fields, Projection, Revision, Write, lenses_from_json, lenses_to_json};

/// A write: through which revision, whether it replaces, and seeds of what is written.
type Step = (prop::sample::Index, bool, Vec<u64>);

fn steps(max: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (
        any::<prop::sample::Index>(),
        any::<bool>(),
        prop::collection::vec(any::<u64>(), 60),
    );
    prop::collection::vec(step, 1..max)
}

fn view(chain: &Chain, (index, ..): &Step) -> Projection {
    seen(chain, index.index(chain.len()) + 1)
}

/// Whether what was written is what is seen; fields that were not named may hold anything.
fn is_what_was_written(written: &Value, shown: &Value, fields: &Fields) -> bool {
    let (Value::Object(written), Value::Object(shown)) = (written, shown) else {
        return false;
    };
    written.iter().all(|(name, value)| {
        let there = shown.get(name);
        match fields.get(name).map(|field| &field.kind) {
            Some(crate::Kind::Record(inner)) => match there {
                Some(there) => is_what_was_written(value, there, inner),
                // A record of nothing is not distinguished from none.
                None => says_nothing(value),
            },
            Some(crate::Kind::Map(of)) => value.as_object().is_some_and(|entries| {
                entries.iter().all(|(key, value)| {
                    let there = there.and_then(|there| there.get(key));
                    match (&**of, there) {
                        (crate::Kind::Record(inner), Some(there)) => {
                            is_what_was_written(value, there, inner)
                        }
                        (crate::Kind::Record(_), None) => says_nothing(value),
                        (_, there) => there.is_some_and(|there| same(there, value)),
                    }
                })
            }),
            Some(crate::Kind::Set(_)) => match (value, there) {
                (Value::Array(a), Some(Value::Array(b))) => {
                    a.len() == b.len() && a.iter().all(|a| b.iter().any(|b| same(a, b)))
                }
                _ => false,
            },
            // An empty list has no first value.
            _ => there.is_some_and(|there| same(there, value)),
        }
    })
}

/// Whether a value is what a field shows that nobody wrote.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Object(entries) => entries.values().all(says_nothing),
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        _ => false,
    }
}

/// Elements of a set have an order in documents only.
fn sorted(value: &mut Value) {
    match value {
        Value::Object(entries) => entries.values_mut().for_each(sorted),
        Value::Array(items) => {
            items.iter_mut().for_each(sorted);
            items.sort_by_key(Value::to_string);
        }
        _ => {}
    }
}

/// What is held outside of what a revision sees, outside of items of lists. Entries of maps that are not
/// there in `other` were deleted whole, as documents are.
fn hidden(node: &Node, held: &Value, other: &Value) -> Value {
    let mut rest = held.clone();
    blank(node, &mut rest, other);
    prune(&mut rest);
    rest
}

fn blank(node: &Node, rest: &mut Value, other: &Value) {
    if let NodeKind::Record(fields) = &node.kind {
        let record = node
            .key
            .iter()
            .try_fold(&mut *rest, |at, name| at.get_mut(name));
        if let Some(Value::Object(entries)) = record {
            entries.remove(MARK);
        }
        for node in fields.values() {
            match &node.kind {
                NodeKind::Record(_) => blank(node, rest, other),
                NodeKind::Map(of) => {
                    let entries = node
                        .key
                        .iter()
                        .try_fold(&mut *rest, |at, name| at.get_mut(name));
                    let others = crate::projection::at(other, &node.key);
                    if let Some(Value::Object(entries)) = entries {
                        entries.retain(|key, entry| {
                            let other = others.and_then(|others| others.get(key));
                            if let Some(other) = other {
                                blank(of, entry, other);
                            }
                            other.is_some()
                        });
                    }
                }
                _ => {
                    if let Some((last, above)) = node.key.split_last() {
                        let at = above
                            .iter()
                            .try_fold(&mut *rest, |at, name| at.get_mut(name));
                        if let Some(Value::Object(entries)) = at {
                            entries.remove(last);
                        }
                    }
                }
            }
        }
    }
}

/// Empty maps say nothing.
fn prune(value: &mut Value) {
    if let Value::Object(entries) = value {
        entries.values_mut().for_each(prune);
        entries.retain(|_, value| value.as_object().is_none_or(|entries| !entries.is_empty()));
    }
}

/// Applies writes to a document as a replica does.
fn edit(writes: &[Write], edit: &mut Edit<'_, Numbers>) {
    let path = |write: &Write| Path::from_names(write.path().iter().map(String::as_str)).unwrap();
    for write in writes {
        let at = path(write);
        match write {
            Write::Set { value, .. } | Write::Become { value, .. } => edit.set(&at, value),
            Write::Merge { path, value } => {
                let mut whole = serde_json::json!({});
                let (path, value) = (path.clone(), value.clone());
                Write::Merge { path, value }.apply(&mut whole);
                edit.put(&whole, stead_doc::Put::Merge)
            }
            Write::Add { delta, .. } => edit.add(&at, *delta),
            Write::Include { element, .. } => edit.set_add(&at, element),
            Write::Exclude { element, .. } => edit.set_remove(&at, element),
            Write::Unset { .. } => edit.delete_field(&at),
        }
        .unwrap();
    }
}

/// A replica of one document.
struct Replica {
    document: Document,
    numbers: Numbers,
    writer: WriterId,
    parcels: Vec<(Vec<u8>, Stamp)>,
}

impl Replica {
    fn new(writer: u8) -> Self {
        Self {
            document: Document::default(),
            numbers: Numbers::default(),
            writer: WriterId::from_bytes([writer; 32]),
            parcels: Vec::new(),
        }
    }

    fn held(&self) -> Value {
        self.document.to_json(&self.numbers)
    }

    /// Writes through a revision; whether it was accepted.
    fn write(&mut self, view: &Projection, value: &Value, replace: bool, ms: u64) -> bool {
        let Ok(writes) = view.put(&self.held(), value, replace) else {
            return false;
        };
        let id = DocId::parse("d").unwrap();
        let stamp = Stamp {
            hlc: Hlc::new(ms, 0),
            writer: self.writer,
        };
        let mut transaction = Transaction::new(stamp);
        let (document, numbers) = (&mut self.document, &mut self.numbers);
        edit(
            &writes,
            &mut transaction.edit("things", &id, document, numbers).unwrap(),
        );
        if !transaction.is_empty() {
            let mut parcel = Vec::new();
            transaction.encode(&mut parcel).unwrap();
            self.parcels.push((parcel, stamp));
        }
        true
    }

    fn take(&mut self, parcels: &[(Vec<u8>, Stamp)]) {
        for (parcel, stamp) in parcels {
            let mut changes = Changes::default();
            changes.push(parcel, *stamp).unwrap();
            for ops in changes.docs() {
                self.document.apply(ops, &mut self.numbers);
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_through_any_revision_is_read_through_it(chain in chains(), steps in steps(6)) {
        let mut replica = Replica::new(1);
        for (nth, step) in steps.iter().enumerate() {
            let view = view(&chain, step);
            let value = object_of(view.fields(), &mut step.2.iter().copied());
            if replica.write(&view, &value, step.1, 1_000 + nth as u64) {
                let shown = view.read(&replica.held());
                prop_assert!(
                    is_what_was_written(&value, &shown, view.fields()),
                    "revision {}: wrote {value}, reads {shown}, held {}", view.number(), replica.held()
                );
            }
        }
    }

    #[test]
    fn writing_back_what_was_read_changes_nothing(chain in chains(), steps in steps(6)) {
        let mut replica = Replica::new(1);
        for (nth, step) in steps.iter().enumerate() {
            let value = object_of(view(&chain, step).fields(), &mut step.2.iter().copied());
            replica.write(&view(&chain, step), &value, step.1, 1_000 + nth as u64);
            let held = replica.held();
            for number in 1..=chain.len() {
                let view = seen(&chain, number);
                prop_assert_eq!(view.put(&held, &view.read(&held), true), Ok(vec![]));
            }
        }
    }

    #[test]
    fn a_write_leaves_what_its_revision_does_not_see(chain in chains(), steps in steps(6)) {
        let mut replica = Replica::new(1);
        for (nth, step) in steps.iter().enumerate() {
            let view = view(&chain, step);
            let value = object_of(view.fields(), &mut step.2.iter().copied());
            let before = replica.held();
            if replica.write(&view, &value, step.1, 1_000 + nth as u64) {
                let after = replica.held();
                prop_assert_eq!(
                    hidden(&view.root, &after, &before),
                    hidden(&view.root, &before, &after)
                );
            }
        }
    }

    #[test]
    fn merging_and_translating_can_be_exchanged(chain in chains(), here in steps(5), there in steps(5)) {
        // Two replicas, apps of any revisions on both; each merges what the other wrote.
        let mut replicas = [Replica::new(1), Replica::new(2)];
        for (replica, steps) in replicas.iter_mut().zip([&here, &there]) {
            for (nth, step) in steps.iter().enumerate() {
                let view = view(&chain, step);
                let value = object_of(view.fields(), &mut step.2.iter().copied());
                replica.write(&view, &value, step.1, 1_000 + nth as u64);
            }
        }
        let [mut a, mut b] = replicas;
        let (of_a, of_b) = (a.parcels.clone(), b.parcels.clone());
        a.take(&of_b);
        b.take(&of_a);
        prop_assert_eq!(a.held(), b.held());
        // A third one that knows no revision at all relays and merges the same.
        let mut blind = Replica::new(3);
        blind.take(&of_b);
        blind.take(&of_a);
        prop_assert_eq!(blind.held(), a.held());
        for number in 1..=chain.len() {
            let view = seen(&chain, number);
            prop_assert_eq!(view.read(&a.held()), view.read(&b.held()));
        }
    }

    #[test]
    fn a_revision_has_one_encoding_and_its_lenses_one_json(chain in chains()) {
        for (_, id, revision) in chain.revisions() {
            let decoded = Revision::decode(&revision.encode()).unwrap();
            prop_assert_eq!(&decoded, revision);
            prop_assert_eq!(decoded.id(), id);
            let json = lenses_to_json(&revision.lenses);
            prop_assert_eq!(&lenses_from_json(&json).unwrap(), &revision.lenses);
        }
    }

    #[test]
    fn any_bytes_are_a_revision_with_that_encoding_or_refused(chain in chains(), at: prop::sample::Index, byte: u8, cut: bool) {
        let revision = chain.revisions().last().map(|(_, _, revision)| revision.clone()).unwrap();
        let mut bytes = revision.encode();
        let at = at.index(bytes.len());
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] = byte,
        }
        if let Ok(decoded) = Revision::decode(&bytes) {
            prop_assert_eq!(decoded.encode(), bytes);
        }
    }

    #[test]
    fn the_chain_does_not_depend_on_the_order_of_arrival(chain in chains(), order: Vec<prop::sample::Index>) {
        let mut known: Vec<crate::Known> = chain.revisions()
            .map(|(_, _, revision)| crate::Known { revision: revision.clone(), made: 0 }).collect();
        let newest = chain.newest();
        for (i, index) in order.iter().enumerate() {
            let (a, b) = (i % known.len(), index.index(known.len()));
            known.swap(a, b);
        }
        let again = Chain::build("things", known);
        prop_assert_eq!(again.newest(), newest);
        prop_assert_eq!(again.aside(), &[]);
    }

    #[test]
    fn applying_writes_to_json_is_what_documents_do(chain in chains(), steps in steps(5)) {
        let mut replica = Replica::new(1);
        let mut json = Value::Object(serde_json::Map::new());
        for (nth, step) in steps.iter().enumerate() {
            let view = view(&chain, step);
            let value = object_of(view.fields(), &mut step.2.iter().copied());
            if let Ok(writes) = view.put(&json, &value, step.1) {
                writes.into_iter().for_each(|write| apply(&mut json, write));
            }
            replica.write(&view, &value, step.1, 1_000 + nth as u64);
            // A map that nothing is left in may be gone or not.
            let (mut json, mut held) = (view.read(&json), view.read(&replica.held()));
            for value in [&mut json, &mut held] {
                prune(value);
                sorted(value);
            }
            prop_assert_eq!(json, held);
        }
    }
}
