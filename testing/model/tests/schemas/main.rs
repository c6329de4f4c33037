//! Real schemas over real documents against the model: apps of all revisions of random chains write on several replicas,
//! and what every revision shows is what the model says, in any order of merging.

mod random;

use proptest::prelude::*;
use proptest::sample::Index;
use random::{Schemas, Wish, any_schemas, wish};
use serde_json::{Value, json};
use stead_base::{DocId, Hlc, Stamp, WriterId};
use stead_doc::{Changes, Document, Edit, Numbers, Put, Transaction};
use stead_model::schemas::{Chain, EACH, Fields, Form, Path, Place, Said, Speaker};
use stead_schema::{Projection, Write};

const WRITERS: usize = 3;
const COLLECTION: &str = "things";

#[derive(Debug, Clone)]
enum Step {
    /// At a replica, its wall clock at this many milliseconds, an app of some revision writes something.
    Write(usize, u64, Index, Vec<u64>),
    /// A replica receives the next entries of a writer.
    Receive(usize, usize, usize),
    /// A replica hears of the next revision, or makes it; the others may not have.
    Evolve(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let seeds = prop::collection::vec(any::<u64>(), 40);
    prop_oneof![
        6 => (0..WRITERS, 0u64..40, any::<Index>(), seeds)
            .prop_map(|(at, wall, revision, seeds)| Step::Write(at, wall, revision, seeds)),
        3 => (0..WRITERS, 0..WRITERS, 1usize..4).prop_map(|(at, from, n)| Step::Receive(at, from, n)),
        4 => (0..WRITERS).prop_map(Step::Evolve),
    ]
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any_step(), 1..30)
}

/// One transaction: as it travels, and as the model takes it.
#[derive(Clone)]
struct Entry {
    stamp: Stamp,
    parcel: Vec<u8>,
    said: Said,
}

struct Replica {
    writer: WriterId,
    document: Document,
    numbers: Numbers,
    fields: Fields,
    last: Hlc,
    /// Revisions that it has not heard of count nothing here.
    known: usize,
    /// Entries applied of each writer's log.
    applied: [usize; WRITERS],
}

/// What happened at a replica.
struct Event<'e> {
    chain: &'e Chain,
    views: &'e [Projection],
    /// Through which revision; none if a revision was made.
    written: Option<(usize, &'e Wish)>,
    /// What the document held, and holds now.
    before: &'e Value,
    after: &'e Value,
    replica: &'e Replica,
}

impl Replica {
    fn new(index: usize) -> Self {
        Self {
            // The order of writers is not that of their numbers.
            writer: WriterId::from_bytes([[5, 9, 1, 7][index]; 32]),
            document: Document::default(),
            numbers: Numbers::default(),
            fields: Fields::default(),
            last: Hlc::ZERO,
            known: 0,
            applied: [0; WRITERS],
        }
    }

    fn held(&self) -> Value {
        self.document.to_json(&self.numbers)
    }

    /// Writes as a replica does, and as the model does.
    fn write(
        &mut self,
        chain: &Chain,
        revision: usize,
        view: &Projection,
        wall: u64,
        wish: &Wish,
    ) -> Entry {
        let hlc = self.last.next().max(Hlc::new(wall, 0));
        let stamp = Stamp {
            hlc,
            writer: self.writer,
        };
        self.last = hlc;
        let said = say(Speaker::new(chain, revision, &self.fields, stamp), wish);
        let id = DocId::parse("thing").unwrap();
        let mut transaction = Transaction::new(stamp);
        let (held, exists) = (self.held(), self.document.exists());
        let mut edit = transaction
            .edit(COLLECTION, &id, &mut self.document, &mut self.numbers)
            .unwrap();
        do_wish(&mut edit, view, &held, exists, wish);
        let mut parcel = Vec::new();
        if !transaction.is_empty() {
            transaction.encode(&mut parcel).unwrap();
        }
        self.fields.receive(&said);
        Entry {
            stamp,
            parcel,
            said,
        }
    }

    fn take(&mut self, entry: &Entry) {
        self.last = self.last.max(entry.stamp.hlc);
        self.fields.receive(&entry.said);
        if entry.parcel.is_empty() {
            return;
        }
        let mut changes = Changes::default();
        changes.push(&entry.parcel, entry.stamp).unwrap();
        for ops in changes.docs() {
            self.document.apply(ops, &mut self.numbers);
        }
    }

    fn receive(&mut self, from: usize, entries: usize, logs: &[Vec<Entry>]) {
        let next = &logs[from][self.applied[from]..];
        for entry in &next[..entries.min(next.len())] {
            self.take(entry);
            self.applied[from] += 1;
        }
    }

    /// Every revision shows what the model says.
    fn check(&self, chain: &Chain, views: &[Projection]) {
        let held = self.held();
        assert_eq!(self.document.is_deleted(), self.fields.is_deleted());
        for (revision, view) in views.iter().enumerate() {
            assert_eq!(
                view.read(&held),
                chain.show(revision, &self.fields),
                "revision {revision} shows, and the model says; held {held}"
            );
        }
    }
}

fn say(speaker: Speaker<'_>, wish: &Wish) -> Said {
    match wish {
        Wish::Put(entries, replace) => speaker.put(entries, *replace),
        Wish::Set(path, value) => speaker.set(path, value),
        Wish::Unset(path) => speaker.unset(path),
        Wish::Add(path, delta) => speaker.add(path, *delta),
        Wish::Include(path, text) => speaker.include(path, text),
        Wish::Exclude(path, text) => speaker.exclude(path, text),
        Wish::Delete => speaker.delete(),
        Wish::Restore => speaker.restore(),
    }
}

/// Edits a document as `engine/replica` does for an app that speaks a revision.
fn do_wish(
    edit: &mut Edit<'_, Numbers>,
    view: &Projection,
    held: &Value,
    exists: bool,
    wish: &Wish,
) {
    let writes = match wish {
        Wish::Put(entries, replace) => {
            let mut writes = view.put(held, &entries.clone().into(), *replace).unwrap();
            if !exists {
                let mut whole = json!({});
                writes.retain(|write| {
                    let is_whole = matches!(write, Write::Set { .. } | Write::Merge { .. });
                    if is_whole {
                        write.clone().apply(&mut whole);
                    }
                    !is_whole
                });
                edit.put(&whole, Put::Merge).unwrap();
            }
            writes
        }
        Wish::Set(path, value) => view.set(held, path, value).unwrap(),
        Wish::Unset(path) => view.unset(held, path).unwrap(),
        Wish::Add(path, delta) => vec![view.add(path, *delta).unwrap()],
        Wish::Include(path, text) => view.element(held, path, text, true).unwrap(),
        Wish::Exclude(path, text) => view.element(held, path, text, false).unwrap(),
        Wish::Delete => {
            edit.delete().unwrap();
            return;
        }
        Wish::Restore => {
            edit.restore().unwrap();
            return;
        }
    };
    for write in writes {
        let at = write.path().iter().map(String::as_str);
        let at = stead_doc::Path::from_names(at).unwrap();
        match write {
            Write::Set { value, .. } => edit.set(&at, &value),
            Write::Merge { .. } => {
                let mut whole = json!({});
                write.apply(&mut whole);
                edit.put(&whole, Put::Merge)
            }
            Write::Add { delta, .. } => edit.add(&at, delta),
            Write::Include { element, .. } => edit.set_add(&at, &element),
            Write::Exclude { element, .. } => edit.set_remove(&at, &element),
            Write::Unset { .. } => edit.delete_field(&at),
            Write::Become { .. } => unreachable!("no field is rich"),
        }
        .unwrap();
    }
}

/// Plays a history and tells of every write and every revision; returns the replicas and what they wrote.
fn play(
    schemas: &Schemas,
    steps: &[Step],
    mut tell: impl FnMut(&Event<'_>),
) -> (Vec<Replica>, Vec<Vec<Entry>>) {
    let mut logs: Vec<Vec<Entry>> = vec![Vec::new(); WRITERS];
    let mut replicas: Vec<Replica> = (0..WRITERS).map(Replica::new).collect();
    for step in steps {
        match step {
            Step::Write(at, wall, revision, seeds) => {
                let replica = &mut replicas[*at];
                let (chain, views) = &schemas.grown[replica.known];
                let revision = revision.index(views.len());
                let Some(wish) = wish(chain, revision, seeds) else {
                    continue;
                };
                // A deleted document only comes back: put anew it would start from nothing, for every revision.
                if replica.document.is_deleted() && !matches!(wish, Wish::Restore) {
                    continue;
                }
                let before = replica.held();
                let entry = replica.write(chain, revision, &views[revision], *wall, &wish);
                logs[*at].push(entry);
                replica.applied[*at] += 1;
                tell(&Event {
                    chain,
                    views,
                    written: Some((revision, &wish)),
                    before: &before,
                    after: &replica.held(),
                    replica,
                });
            }
            Step::Receive(at, from, entries) => {
                replicas[*at].receive(*from, *entries, &logs);
            }
            Step::Evolve(at) => {
                let replica = &mut replicas[*at];
                if replica.known + 1 == schemas.grown.len() {
                    continue;
                }
                replica.known += 1;
                let (chain, views) = &schemas.grown[replica.known];
                let held = replica.held();
                tell(&Event {
                    chain,
                    views,
                    written: None,
                    before: &held,
                    after: &held,
                    replica,
                });
            }
        }
    }
    (replicas, logs)
}

/// Whether a value is what is shown, or in what is shown; elements of a set have an order of their own.
fn is_shown(value: &Value, shown: &Value) -> bool {
    match (value, shown) {
        (Value::Object(entries), Value::Object(shown)) => entries
            .iter()
            .all(|(name, value)| shown.get(name).is_some_and(|shown| is_shown(value, shown))),
        (Value::Array(_), Value::Array(_)) => sorted(value) == sorted(shown),
        _ => value == shown,
    }
}

fn sorted(value: &Value) -> Vec<String> {
    let mut texts: Vec<String> = value
        .as_array()
        .into_iter()
        .flatten()
        .map(Value::to_string)
        .collect();
    texts.sort();
    texts
}

fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

fn check_read_back(view: &Projection, wish: &Wish, before: &Value, after: &Value) {
    let (shown, held) = (view.read(after), after);
    let is_there = match wish {
        Wish::Put(entries, replace) => {
            let rest = shown.as_object().into_iter().flatten();
            let mut rest = rest.filter(|(name, _)| !entries.contains_key(*name));
            let empty = view.read(&json!({}));
            let is_empty = rest.all(|(name, value)| empty.get(name) == Some(value));
            is_shown(&entries.clone().into(), &shown) && (!replace || is_empty)
        }
        Wish::Set(path, value) => at(&shown, path).is_some_and(|shown| is_shown(value, shown)),
        // There is nothing left to be deleted.
        Wish::Unset(path) => view.unset(held, path) == Ok(Vec::new()),
        Wish::Add(path, delta) => {
            let number = |shown| at(shown, path).and_then(Value::as_i64).unwrap_or(0);
            number(&shown) == number(&view.read(before)) + delta
        }
        Wish::Include(path, text) | Wish::Exclude(path, text) => {
            let there = at(&shown, path).and_then(Value::as_array);
            let is_there = there.is_some_and(|there| there.contains(text));
            is_there == matches!(wish, Wish::Include(..))
        }
        Wish::Delete | Wish::Restore => true,
    };
    assert!(is_there, "wrote {wish:?}, reads {shown}, held {held}");
}

/// The names that lead to a place, for each of the keys that are shown on the way.
fn paths_of(place: &Place, shown: &Value) -> Vec<Path> {
    let mut paths = vec![Path::new()];
    for name in &place.path {
        let further = |path: &Path| {
            let names = match name == EACH {
                true => at(shown, path)
                    .and_then(Value::as_object)
                    .map_or_else(Vec::new, |map| map.keys().cloned().collect()),
                false => vec![name.clone()],
            };
            names
                .into_iter()
                .map(|name| [&path[..], &[name]].concat())
                .collect::<Vec<_>>()
        };
        paths = paths.iter().flat_map(further).collect();
    }
    paths
}

/// What another revision shows and this one does not is as it was; of a list of which it sees the first text, the rest is.
fn check_nothing_taken(event: &Event<'_>, revision: usize) {
    let own = event.chain.places(revision);
    for (other, view) in event.views.iter().enumerate() {
        let (before, after) = (view.read(event.before), view.read(event.after));
        for place in event.chain.places(other) {
            if matches!(place.field.form, Form::Record | Form::Map) {
                continue;
            }
            let seen = own.iter().find(|own| own.home == place.home);
            for path in paths_of(place, &before) {
                let key = view.key_path(&path).unwrap().path;
                let keys = place
                    .path
                    .iter()
                    .zip(&path)
                    .position(|(name, _)| name == EACH);
                // An entry of a map is deleted whole, as a document is.
                let is_gone = keys.is_some_and(|last| at(&after, &path[..=last]).is_none());
                if is_gone || at(event.before, &key).is_none() {
                    continue;
                }
                let (was, is) = (at(&before, &path), at(&after, &path));
                let is_held = at(event.after, &key).is_some();
                let rest = |value: Option<&Value>| {
                    value
                        .and_then(Value::as_array)
                        .map(|texts| texts.iter().skip(1).cloned().collect::<Vec<_>>())
                };
                let is_kept = match seen.map(|seen| seen.field.form) {
                    None => was == is,
                    Some(Form::Single) if place.field.form == Form::List && is_held => {
                        rest(was) == rest(is)
                    }
                    Some(_) => true,
                };
                assert!(
                    is_kept,
                    "revision {revision} wrote {:?}, and revision {other} showed {was:?} at {path:?} and shows {is:?}",
                    event.written
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn every_revision_shows_what_the_model_says_on_every_replica_in_any_order_of_merging(
        schemas in any_schemas(),
        steps in any_steps(),
        order in prop::collection::vec(any::<Index>(), 30),
    ) {
        let (mut replicas, logs) = play(&schemas, &steps, |event| {
            event.replica.check(event.chain, event.views);
        });
        let (chain, views) = schemas.grown.last().unwrap();
        // One more replica merges it all in an order that is nobody's.
        let mut entries: Vec<Entry> = logs.concat();
        for (i, with) in order.iter().enumerate().take(entries.len()) {
            let with = with.index(entries.len());
            entries.swap(i, with);
        }
        let mut late = Replica::new(WRITERS);
        for entry in &entries {
            late.take(entry);
            late.check(chain, views);
        }
        for replica in &mut replicas {
            for from in 0..WRITERS {
                replica.receive(from, usize::MAX, &logs);
            }
            replica.check(chain, views);
            // What is stored is what was written, whatever revisions there were at the time.
            prop_assert_eq!(
                replica.document.explain(&replica.numbers),
                late.document.explain(&late.numbers)
            );
        }
    }

    #[test]
    fn an_app_reads_back_what_it_wrote(schemas in any_schemas(), steps in any_steps()) {
        play(&schemas, &steps, |event| {
            if let Some((revision, wish)) = event.written {
                check_read_back(&event.views[revision], wish, event.before, event.after);
            }
        });
    }

    #[test]
    fn a_write_takes_nothing_from_what_only_another_revision_shows(
        schemas in any_schemas(),
        steps in any_steps(),
    ) {
        play(&schemas, &steps, |event| {
            if let Some((revision, _)) = event.written {
                check_nothing_taken(event, revision);
            }
        });
    }

    #[test]
    fn a_new_revision_takes_nothing_from_what_older_ones_show(
        schemas in any_schemas(),
        steps in any_steps(),
    ) {
        play(&schemas, &steps, |event| {
            if event.written.is_some() {
                return;
            }
            let Some((_, before)) = event.views.len().checked_sub(2).and_then(|at| schemas.grown.get(at)) else {
                return;
            };
            for (revision, (before, now)) in before.iter().zip(event.views).enumerate() {
                let (then, is) = (before.read(event.before), now.read(event.before));
                for place in event.chain.places(revision) {
                    for path in paths_of(place, &then) {
                        // A default is not held, and may be said anew; nor is the first text of an empty list.
                        let key = now.key_path(&path).unwrap().path;
                        let is_whole = !matches!(place.field.form, Form::Record | Form::Map);
                        let is_empty = |held: &Value| {
                            place.field.form == Form::Single && *held == json!([])
                        };
                        if is_whole && at(event.before, &key).is_some_and(|held| !is_empty(held)) {
                            assert_eq!(at(&then, &path), at(&is, &path), "revision {revision}, {path:?}");
                        }
                    }
                }
            }
        });
    }
}
