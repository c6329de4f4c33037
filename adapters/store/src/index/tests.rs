//! Indexes against documents: after any sequence of writes and steps they hold what a fresh index would.

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::{DocId, SpaceId};

use super::*;
use crate::read::Source;
use crate::{Query, Read, Store};

fn spec(kind: IndexKind, names: &[&str]) -> IndexSpec {
    let paths = names.iter().map(|name| vec![(*name).to_owned()]);
    IndexSpec::new(kind, paths.collect())
}

fn jsonb(store: &Store, doc: &Value) -> Vec<u8> {
    let conn = store.connection();
    conn.query_row("SELECT jsonb(?1)", [doc.to_string()], |row| row.get(0))
        .expect("jsonb")
}

fn id(i: usize) -> DocId {
    DocId::parse(&format!("{i:04}")).expect("a name")
}

struct World {
    store: Store,
    space: SpaceNo,
    notes: CollectionNo,
    other: CollectionNo,
}

impl World {
    fn new() -> Self {
        let mut store = Store::in_memory().expect("open");
        let tx = store.begin().expect("begin");
        let space = tx
            .put_space(&SpaceId::from_bytes([1; 32]), b"")
            .expect("write");
        let notes = tx.intern_collection(space, "notes").expect("write");
        let other = tx.intern_collection(space, "other").expect("write");
        tx.commit().expect("commit");
        Self {
            store,
            space,
            notes,
            other,
        }
    }

    fn put(
        &mut self,
        collection: CollectionNo,
        i: usize,
        doc: &Value,
        deleted: bool,
        commit: bool,
    ) {
        let body = jsonb(&self.store, doc);
        let tx = self.store.begin().expect("begin");
        // Half of the writes read the document first, as the engine does.
        if i.is_multiple_of(2) {
            tx.load_doc_state(collection, &id(i)).expect("read");
        }
        tx.put_doc(collection, &id(i), b"", &body, deleted)
            .expect("write");
        if commit {
            tx.commit().expect("commit");
        }
    }

    fn with<T>(&mut self, f: impl FnOnce(&Tx<'_>) -> T) -> T {
        let tx = self.store.begin().expect("begin");
        let value = f(&tx);
        tx.commit().expect("commit");
        value
    }

    fn search(&self, words: &str) -> Vec<String> {
        let query = Query {
            search: Some(words.parse().expect("words")),
            sort: vec![],
            ..Query::all(self.notes)
        };
        let mut found: Vec<_> = (self.store.query(&query).expect("a search").iter())
            .map(|found| found.id.to_string())
            .collect();
        found.sort();
        found
    }

    /// Every row of every field index, and every word of the text index with how often it stands where.
    fn contents(&self) -> Vec<String> {
        let conn = self.store.connection();
        let mut all = Vec::new();
        for row in self.store.all_indexes().expect("indexes") {
            let table = row.no.table();
            if row.spec.kind == IndexKind::Text {
                let sql = format!(
                    "CREATE VIRTUAL TABLE temp.v_{table} USING fts5vocab(main, {table}, col)"
                );
                conn.execute_batch(&sql)
                    .expect("the words of the text index");
                let sql = format!(
                    "SELECT term || ' ' || col || ' ' || doc || ' ' || cnt FROM temp.v_{table}"
                );
                let mut statement = conn.prepare(&sql).expect("sql");
                let rows = statement.query_map([], |row| row.get(0)).expect("rows");
                all.extend(rows.map(|row| row.expect("a row")));
                continue;
            }
            let columns: String = (0..row.spec.paths.len())
                .map(|at| format!(", quote(k{at})"))
                .collect();
            let sql = format!("SELECT id, t || '' {columns} FROM {table} ORDER BY id");
            let mut statement = conn.prepare(&sql).expect("sql");
            let count = row.spec.paths.len();
            let rows = statement.query_map([], |row| {
                let mut text = format!("{:?}", DocKey::decode(&row.get::<_, Vec<u8>>(0)?));
                for at in 1..count + 2 {
                    text.push_str(&row.get::<_, String>(at)?);
                    text.push(' ');
                }
                Ok(text)
            });
            all.extend(rows.expect("rows").map(|row| row.expect("a row")));
        }
        all
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize, Value),
    PutElsewhere(usize, Value),
    Delete(usize, Value),
    Undone(usize, Value),
    AddFields,
    AddText,
    RemoveFields,
    Build(u32),
    Clear,
}

fn any_doc() -> impl Strategy<Value = Value> {
    let text = || prop::sample::select(vec!["sea wind", "Wind", "dead sea", "salt", ""]);
    (
        prop::option::of(text()),
        prop::option::of(-2i64..3),
        prop::collection::vec(text(), 0..3),
    )
        .prop_map(|(title, n, tags)| {
            let mut doc = json!({"tags": tags});
            if let Some(title) = title {
                doc["title"] = title.into();
            }
            if let Some(n) = n {
                doc["n"] = n.into();
            }
            doc
        })
}

fn any_step() -> impl Strategy<Value = Step> {
    let at = || 0usize..12;
    prop_oneof![
        8 => (at(), any_doc()).prop_map(|(i, doc)| Step::Put(i, doc)),
        1 => (at(), any_doc()).prop_map(|(i, doc)| Step::PutElsewhere(i, doc)),
        2 => (at(), any_doc()).prop_map(|(i, doc)| Step::Delete(i, doc)),
        1 => (at(), any_doc()).prop_map(|(i, doc)| Step::Undone(i, doc)),
        1 => Just(Step::AddFields),
        1 => Just(Step::AddText),
        1 => Just(Step::RemoveFields),
        4 => (1u32..5).prop_map(Step::Build),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn after_any_sequence_indexes_hold_what_fresh_ones_would(steps in prop::collection::vec(any_step(), 1..40)) {
        let mut world = World::new();
        let fields = spec(IndexKind::Fields, &["n", "title"]);
        let text = spec(IndexKind::Text, &["title", "tags"]);
        let (notes, other, space) = (world.notes, world.other, world.space);
        let mut model: BTreeMap<usize, Value> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(i, doc) => {
                    world.put(notes, i, &doc, false, true);
                    model.insert(i, doc);
                }
                Step::PutElsewhere(i, doc) => world.put(other, i, &doc, false, true),
                Step::Delete(i, doc) => {
                    world.put(notes, i, &doc, true, true);
                    model.remove(&i);
                }
                Step::Undone(i, doc) => world.put(notes, i, &doc, false, false),
                Step::AddFields => { world.with(|tx| tx.add_index(notes, &fields, IndexOrigin::ByHand)).expect("add"); }
                Step::AddText => { world.with(|tx| tx.add_index(notes, &text, IndexOrigin::BySchema)).expect("add"); }
                Step::RemoveFields => { world.with(|tx| tx.remove_index(notes, &fields, IndexOrigin::ByHand)).expect("remove"); }
                Step::Build(docs) => {
                    for row in world.store.all_indexes().expect("indexes") {
                        world.with(|tx| tx.build_index(row.no, docs)).expect("a step");
                    }
                }
                Step::Clear => {
                    world.with(|tx| tx.clear_docs(space)).expect("clear");
                    model.clear();
                }
            }
        }
        world.with(|tx| {
            tx.add_index(notes, &fields, IndexOrigin::ByHand).expect("add");
            tx.add_index(notes, &text, IndexOrigin::BySchema).expect("add");
        });
        for row in world.store.all_indexes().expect("indexes") {
            while !world.with(|tx| tx.build_index(row.no, 5)).expect("a step") {}
        }
        prop_assert_eq!(world.store.integrity_check().expect("a check"), vec![]);
        let mut fresh = World::new();
        for (i, doc) in &model {
            fresh.put(fresh.notes, *i, doc, false, true);
        }
        let notes = fresh.notes;
        fresh.with(|tx| {
            tx.add_index(notes, &fields, IndexOrigin::ByHand).expect("add");
            tx.add_index(notes, &text, IndexOrigin::ByHand).expect("add");
        });
        for row in fresh.store.all_indexes().expect("indexes") {
            while !fresh.with(|tx| tx.build_index(row.no, 1000)).expect("a step") {}
        }
        // In the same order: the field index first.
        let sorted = |world: &World| { let mut all = world.contents(); all.sort(); all };
        prop_assert_eq!(sorted(&world), sorted(&fresh));
        for words in ["sea", "wind", "\"dead sea\"", "sa*", "sea -dead"] {
            prop_assert_eq!(world.search(words), fresh.search(words), "{}", words);
        }
    }
}

#[test]
fn a_search_ranks_and_shows_where_the_words_stand() {
    let mut world = World::new();
    let notes = world.notes;
    let long = format!("{} sea", "many other words here ".repeat(20));
    world.put(notes, 1, &json!({"title": long}), false, true);
    world.put(
        notes,
        2,
        &json!({"title": "Größe der See", "tags": ["sea"]}),
        false,
        true,
    );
    world.put(notes, 3, &json!({"title": "land"}), false, true);
    let text = spec(IndexKind::Text, &["title", "tags"]);
    let query = |words: &str| Query {
        search: Some(words.parse().expect("words")),
        limit: Some(10),
        ..Query::all(notes)
    };
    let error = world.store.query(&query("sea")).expect_err("no index");
    assert!(matches!(error, StoreError::Query(QueryError::NoTextIndex)));
    let (no, _) = world
        .with(|tx| tx.add_index(notes, &text, IndexOrigin::ByHand))
        .expect("add");
    let error = world.store.query(&query("sea")).expect_err("unfinished");
    assert!(matches!(
        error,
        StoreError::Query(QueryError::TextIndexUnfinished)
    ));
    while !world.with(|tx| tx.build_index(no, 1)).expect("a step") {}
    let found = world.store.query(&query("sea")).expect("a search");
    let ids: Vec<_> = found.iter().map(|found| found.id.to_string()).collect();
    assert_eq!(ids, ["0002", "0001"], "the shorter text fits better");
    let snippet = found[1].snippet.as_deref().expect("a snippet");
    assert!(
        snippet.ends_with("\u{2}sea\u{3}") && snippet.starts_with('…'),
        "{snippet:?}"
    );
    let grosse = world.store.query(&query("grosse")).expect("a search");
    assert_eq!(grosse.len(), 0, "ß is a letter of its own");
    assert_eq!(
        world.store.query(&query("GRÖßE")).expect("a search").len(),
        1
    );
    assert_eq!(
        world.store.query(&query("große")).expect("a search").len(),
        1
    );
    // Pages by rank.
    let first = Query {
        limit: Some(1),
        ..query("sea")
    };
    let page = world.store.query(&first).expect("a page");
    let next = Query {
        after: Some(page[0].cursor(&first.sort).expect("a place")),
        ..first
    };
    assert_eq!(
        world.store.query(&next).expect("a page")[0].id.to_string(),
        "0001"
    );
    let counted = world.store.count(&query("sea")).expect("a count");
    assert_eq!(counted, 2);
}

#[test]
fn an_index_outlives_the_program_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let open = || Store::open(&path, crate::Options::default()).expect("open");
    let mut store = open();
    let tx = store.begin().expect("begin");
    let space = tx
        .put_space(&SpaceId::from_bytes([1; 32]), b"")
        .expect("write");
    let notes = tx.intern_collection(space, "notes").expect("write");
    for i in 0..10 {
        tx.put_doc(notes, &id(i), b"", &[0x0c], false)
            .expect("write");
    }
    let (no, _) = tx
        .add_index(notes, &spec(IndexKind::Fields, &["n"]), IndexOrigin::ByHand)
        .expect("add");
    assert!(!tx.build_index(no, 4).expect("a step"));
    tx.commit().expect("commit");
    drop(store);
    let mut store = open();
    let row = store.all_indexes().expect("indexes").remove(0);
    assert_eq!(
        store.index_progress(&row).expect("progress"),
        IndexProgress { done: 4, total: 10 }
    );
    let tx = store.begin().expect("begin");
    while !tx.build_index(no, 4).expect("a step") {}
    tx.commit().expect("commit");
    assert_eq!(store.integrity_check().expect("a check"), vec![]);
}

#[test]
fn an_index_stays_as_long_as_anybody_wants_it() {
    let mut world = World::new();
    let (notes, space) = (world.notes, world.space);
    let fields = spec(IndexKind::Fields, &["n"]);
    world.with(|tx| {
        assert!(
            tx.add_index(notes, &fields, IndexOrigin::ByHand)
                .expect("add")
                .1
        );
        assert!(
            !tx.add_index(notes, &fields, IndexOrigin::BySchema)
                .expect("add")
                .1
        );
        assert!(
            tx.remove_index(notes, &fields, IndexOrigin::ByHand)
                .expect("remove")
        );
        assert!(
            !tx.remove_index(notes, &fields, IndexOrigin::ByHand)
                .expect("remove")
        );
    });
    assert_eq!(world.store.all_indexes().expect("indexes").len(), 1);
    world.with(|tx| tx.remove_space(space)).expect("remove");
    assert_eq!(world.store.all_indexes().expect("indexes"), vec![]);
    assert_eq!(world.store.integrity_check().expect("a check"), vec![]);
    let bad = |spec: IndexSpec| {
        let mut world = World::new();
        let notes = world.notes;
        let tx = world.store.begin().expect("begin");
        tx.add_index(notes, &spec, IndexOrigin::ByHand)
            .expect_err("refused")
            .to_string()
    };
    assert!(bad(spec(IndexKind::Fields, &["id"])).contains("id"));
    assert!(bad(spec(IndexKind::Fields, &["a", "a"])).contains("once"));
    assert!(bad(spec(IndexKind::Fields, &[])).contains('8'));
}
