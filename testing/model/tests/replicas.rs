//! Real documents against the model: random histories of several writers, delivered in any
//! interleaving that keeps each writer's order, end equal everywhere and equal to the definition.

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::{DocId, Hlc, Stamp, WriterId};
use stead_doc::{Changes, Document, Numbers, Path, Put, RichKind, Transaction};
use stead_model::Model;

const WRITERS: usize = 3;
const COLLECTION: &str = "things";

#[derive(Debug, Clone)]
enum Intent {
    Put(Value, Put),
    Set(Path, Value),
    Add(Path, i64),
    SetAdd(Path, Value),
    SetRemove(Path, Value),
    DeleteField(Path),
    Delete,
    Purge,
    Restore,
    Rich(Path, u8),
}

#[derive(Debug, Clone)]
enum Step {
    /// A replica makes one transaction, its wall clock at this many milliseconds.
    Edit(usize, u64, Vec<Intent>),
    /// A replica receives the next entries of a writer.
    Receive(usize, usize, usize),
    /// A replica writes its document to a row and reads it back.
    Reopen(usize),
    /// A replica forgets removals of which nothing is to come any more.
    Forget(usize),
}

fn any_path() -> impl Strategy<Value = Path> {
    // Half of all edits meet at one place, so that their rules meet too.
    let anywhere = prop::collection::vec(prop_oneof!["a", "b", "c"], 1..4)
        .prop_map(|names| Path::from_names(names.iter().map(String::as_str)).unwrap());
    prop_oneof![Just(Path::parse("a").unwrap()), anywhere]
}

fn any_elem() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => Just(json!(0)),
        1 => (1i64..3).prop_map(Value::from),
        1 => Just(json!(1.5)),
        1 => Just(json!(true)),
        1 => "[xy]".prop_map(Value::from),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => (-2i64..100).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!({})),
        2 => prop::collection::vec(any_elem(), 0..3).prop_map(Value::from),
        1 => Just(json!([{"z": 1, "y": [2]}])),
        2 => "[st]".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 6, 2, |inner| {
        prop::collection::btree_map("[abc]", inner, 1..3)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()))
    })
}

fn any_intent() -> impl Strategy<Value = Intent> {
    let object = prop::collection::btree_map("[abc]", any_value(), 0..3)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()));
    prop_oneof![
        4 => (object, prop_oneof![3 => Just(Put::Merge), 1 => Just(Put::Replace)])
            .prop_map(|(json, mode)| Intent::Put(json, mode)),
        2 => (any_path(), any_value()).prop_map(|(path, value)| Intent::Set(path, value)),
        4 => (any_path(), -5i64..9).prop_map(|(path, delta)| Intent::Add(path, delta)),
        4 => (any_path(), any_elem()).prop_map(|(path, elem)| Intent::SetAdd(path, elem)),
        3 => (any_path(), any_elem()).prop_map(|(path, elem)| Intent::SetRemove(path, elem)),
        3 => any_path().prop_map(Intent::DeleteField),
        1 => Just(Intent::Delete),
        1 => Just(Intent::Purge),
        1 => Just(Intent::Restore),
        3 => (any_path(), 1u8..4).prop_map(|(path, tag)| Intent::Rich(path, tag)),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..WRITERS, 0u64..40, prop::collection::vec(any_intent(), 1..6))
            .prop_map(|(at, wall, intents)| Step::Edit(at, wall, intents)),
        4 => (0..WRITERS, 0..WRITERS, 1usize..4).prop_map(|(at, from, n)| Step::Receive(at, from, n)),
        1 => (0..WRITERS).prop_map(Step::Reopen),
        2 => (0..WRITERS).prop_map(Step::Forget),
    ]
}

type Log = Vec<(Stamp, Vec<u8>)>;

struct Replica {
    writer: WriterId,
    document: Document,
    numbers: Numbers,
    model: Model,
    last: Hlc,
    /// Entries applied of each writer's log.
    applied: [usize; WRITERS],
}

impl Replica {
    fn new(index: usize) -> Self {
        // The order of writers is not that of their numbers.
        let writer = WriterId::from_bytes([[5, 9, 1, 7][index]; 32]);
        Self {
            writer,
            document: Document::default(),
            numbers: Numbers::default(),
            model: Model::default(),
            last: Hlc::ZERO,
            applied: [0; WRITERS],
        }
    }

    fn edit(&mut self, index: usize, wall: u64, intents: &[Intent], logs: &mut [Log]) {
        let id = DocId::parse("thing").unwrap();
        let hlc = self.last.next().max(Hlc::new(wall, 0));
        let writer = self.writer;
        let stamp = Stamp { hlc, writer };
        let mut transaction = Transaction::new(stamp);
        for intent in intents {
            let mut edit = transaction
                .edit(COLLECTION, &id, &mut self.document, &mut self.numbers)
                .unwrap();
            // A refusal changes nothing, which the comparison proves.
            let _ = match intent {
                Intent::Put(json, mode) => edit.put(json, *mode),
                Intent::Set(path, json) => edit.set(path, json),
                Intent::Add(path, delta) => edit.add(path, *delta),
                Intent::SetAdd(path, elem) => edit.set_add(path, elem),
                Intent::SetRemove(path, elem) => edit.set_remove(path, elem),
                Intent::DeleteField(path) => edit.delete_field(path),
                Intent::Delete => edit.delete(),
                Intent::Purge => edit.purge(),
                Intent::Restore => edit.restore(),
                Intent::Rich(path, tag) => {
                    let kind = RichKind::from_tag(*tag).unwrap();
                    edit.rich(path, kind)
                        .and_then(|field| edit.rich_update(&field.place, b"update"))
                }
            };
        }
        if transaction.is_empty() {
            return;
        }
        self.last = hlc;
        let mut parcel = Vec::new();
        transaction.encode(&mut parcel).unwrap();
        let mut changes = Changes::default();
        changes.push(&parcel, stamp).unwrap();
        for ops in changes.docs() {
            self.model.receive(ops);
        }
        assert_eq!(logs[index].len(), self.applied[index]);
        logs[index].push((stamp, parcel));
        self.applied[index] += 1;
    }

    fn receive(&mut self, from: usize, entries: usize, logs: &[Log]) {
        let next = &logs[from][self.applied[from]..];
        let mut changes = Changes::default();
        for (stamp, parcel) in &next[..entries.min(next.len())] {
            changes.push(parcel, *stamp).unwrap();
            self.last = self.last.max(stamp.hlc);
            self.applied[from] += 1;
        }
        for ops in changes.docs() {
            self.document.apply(ops, &mut self.numbers);
            self.model.receive(ops);
        }
    }

    fn reopen(&mut self) {
        let mut row = Vec::new();
        self.document.encode(&mut row);
        let reopened = Document::decode(&row, &self.numbers).unwrap();
        let mut again = Vec::new();
        reopened.encode(&mut again);
        assert_eq!(row, again, "a row reads back as itself");
        self.document = reopened;
    }

    fn forget(&mut self, logs: &[Log]) {
        let until: Vec<Stamp> = logs
            .iter()
            .zip(self.applied)
            .filter_map(|(log, applied)| Some(log[..applied].last()?.0))
            .collect();
        let is_settled = |stamp: Stamp| {
            let mut until = until.iter().filter(|last| last.writer == stamp.writer);
            until.any(|last| stamp.hlc <= last.hlc)
        };
        self.document.forget_removals(&is_settled, &self.numbers);
    }

    fn check(&self) {
        assert_eq!(self.document.to_json(&self.numbers), self.model.to_json());
        assert_eq!(self.document.is_deleted(), self.model.is_deleted());
        let mut jsonb = Vec::new();
        self.document.project_jsonb(&self.numbers, &mut jsonb);
        let projected = stead_doc::jsonb::decode(&jsonb).unwrap();
        assert_eq!(projected, self.model.to_json());
    }
}

fn play(steps: &[Step], deliveries: &[(usize, usize)]) {
    let mut logs: Vec<Log> = vec![Log::new(); WRITERS];
    let mut replicas: Vec<Replica> = (0..=WRITERS).map(Replica::new).collect();
    for step in steps {
        match step {
            Step::Edit(at, wall, intents) => {
                // A replica applies all of its own log before it adds to it.
                replicas[*at].edit(*at, *wall, intents, &mut logs);
                replicas[*at].check();
            }
            Step::Receive(at, from, entries) if at != from => {
                replicas[*at].receive(*from, *entries, &logs);
                replicas[*at].check();
            }
            Step::Receive(..) => {}
            Step::Reopen(at) => replicas[*at].reopen(),
            Step::Forget(at) => {
                replicas[*at].forget(&logs);
                replicas[*at].check();
            }
        }
    }
    // One more replica sees it all for the first time, in an order of its own.
    for &(at, from) in deliveries {
        replicas[at].receive(from, 1, &logs);
        replicas[at].check();
    }
    for replica in &mut replicas {
        for from in 0..WRITERS {
            replica.receive(from, usize::MAX, &logs);
        }
        replica.reopen();
        replica.check();
        // Who forgot on the way and who did not hold the same once all have.
        replica.forget(&logs);
        replica.check();
    }
    let explained = replicas[0].document.explain(&replicas[0].numbers);
    for replica in &replicas[1..] {
        assert_eq!(replica.document.explain(&replica.numbers), explained);
        assert_eq!(replica.document.exists(), replicas[0].document.exists());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn replicas_that_received_the_same_entries_are_equal_and_equal_the_model(
        steps in prop::collection::vec(any_step(), 1..30),
        deliveries in prop::collection::vec((0..=WRITERS, 0..WRITERS), 0..40),
    ) {
        play(&steps, &deliveries);
    }
}
