//! What people type and apps send to queries, asked of a store in memory: no input makes SQLite stumble,
//! and what SQL finds is what the same question, asked document by document, finds.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_base::{DocId, Hlc, SpaceId, Stamp, WriterId};
use stead_doc::{Document, Put, Transaction};
use stead_store::{
    CollectionNo, Condition, Cursor, Direction, Filter, Found, IndexKind, IndexOrigin, IndexSpec,
    Lookup, Query, QueryError, Read, Scalar, SearchText, SortKey, Store, StoreError, Test, fits,
};

use super::doc::numbers;
use super::question::{self, Reader};

/// Documents asked for: every kind of value under the names that questions use.
fn documents() -> Vec<(DocId, Value)> {
    let found = [
        json!({}),
        json!({"a": 1, "b": "sea wind"}),
        json!({"a": 1.5, "b": "Sea"}),
        json!({"a": "1", "b": "the dead sea"}),
        json!({"a": true, "b": "wind\u{0}mill", "c": -1}),
        json!({"a": false, "b": "", "c": i64::MAX}),
        json!({"a": null, "b": "é\"q\\", "c": i64::MIN}),
        json!({"a": [1, "x", true, null, 2.5, "y\u{0}z"], "b": "É"}),
        json!({"a": [{"b": 1}, {"b": "x"}, []], "c": 9_007_199_254_740_993_i64}),
        json!({"a": {"b": 1, "0": "zero", "00": "more"}, "c": 1e300}),
        json!({"a": {"b": {"c": "deep"}}, "id": 7}),
        json!({"id": null, "c": 0}),
        json!({"a": "ada", "c": -0.0}),
        json!({"a": "people/ada"}),
        json!({"a": ["people/bob", "nobody", "ada"]}),
        json!({"a": "notes/n3", "b": "\u{10ffff}\u{d7ff}\u{e000}"}),
        json!({"a.b": 2, "$": "d", "é\"": [0], "#-1": "last"}),
        json!({"a": "ab", "b": "AB"}),
        json!({"a": "xyz", "b": "x\ny"}),
    ];
    named("n", found)
}

fn people() -> Vec<(DocId, Value)> {
    let found = [
        json!({"a": 1815, "b": "ada"}),
        json!({"a": "people/ada", "b": ["n3"]}),
    ];
    let named = ["ada", "bob"].map(|name| DocId::parse(name).expect("a name"));
    named.into_iter().zip(found).collect()
}

fn named(with: &str, found: impl IntoIterator<Item = Value>) -> Vec<(DocId, Value)> {
    let id = |n| DocId::parse(&format!("{with}{n}")).expect("a name");
    let found = found.into_iter().enumerate();
    found.map(|(n, value)| (id(n), value)).collect()
}

fn body_of(value: &Value) -> Vec<u8> {
    let mut numbers = numbers();
    let mut document = Document::default();
    let stamp = Stamp {
        hlc: Hlc::new(1_700_000_000_000, 0),
        writer: WriterId::from_bytes([1; 32]),
    };
    let id = DocId::parse("one").expect("a name");
    let mut transaction = Transaction::new(stamp);
    transaction
        .edit("notes", &id, &mut document, &mut numbers)
        .and_then(|mut edit| edit.put(value, Put::Merge))
        .expect("a valid edit");
    let mut body = Vec::new();
    document.project_jsonb(&numbers, &mut body);
    body
}

/// A store with the documents in a collection without an index, in one with several, and other
/// documents that they refer to.
pub(super) struct Library {
    store: Store,
    plain: CollectionNo,
    indexed: CollectionNo,
    documents: Vec<(DocId, Value)>,
    others: BTreeMap<(String, DocId), Value>,
}

impl Lookup for Library {
    fn look_up(&self, collection: &str, id: &DocId) -> Option<Value> {
        let key = (collection.to_owned(), id.clone());
        self.others.get(&key).cloned()
    }
}

impl Library {
    fn new() -> Result<Self, StoreError> {
        let mut store = Store::in_memory()?;
        let tx = store.begin()?;
        let space = tx.put_space(&SpaceId::from_bytes([1; 32]), b"")?;
        let plain = tx.intern_collection(space, "notes")?;
        let indexed = tx.intern_collection(space, "indexed")?;
        let collection = tx.intern_collection(space, "people")?;
        let path = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let specs = [
            (IndexKind::Fields, vec![path("a")]),
            (IndexKind::Fields, vec![path("b"), path("a/b")]),
            (IndexKind::Fields, vec![path("c"), path("a")]),
            (IndexKind::Text, vec![path("b"), path("a")]),
        ];
        let filled = [("c", Some(json!(3))), ("b", Some(json!("sea")))];
        let filled = filled.map(|(name, or_else)| (path(name), or_else));
        let specs = specs.map(|(kind, paths)| IndexSpec::new(kind, paths));
        for spec in specs.into_iter().chain([IndexSpec::filled(filled)]) {
            let (no, _) = tx.add_index(indexed, &spec, IndexOrigin::ByHand)?;
            while !tx.build_index(no, 100)? {}
        }
        let (documents, people) = (documents(), people());
        for (id, value) in &documents {
            tx.put_doc(plain, id, b"", &body_of(value), false)?;
            tx.put_doc(indexed, id, b"", &body_of(value), false)?;
        }
        let gone = DocId::parse("gone").expect("a name");
        tx.put_doc(plain, &gone, b"", &body_of(&json!({"a": 1})), true)?;
        tx.put_doc(indexed, &gone, b"", &body_of(&json!({"a": 1})), true)?;
        for (id, value) in &people {
            tx.put_doc(collection, id, b"", &body_of(value), false)?;
        }
        tx.commit()?;
        let others = |name: &str, all: &[(DocId, Value)]| {
            let all = all.iter().cloned();
            let named: Vec<_> = all
                .map(|(id, value)| ((name.to_owned(), id), value))
                .collect();
            named
        };
        Ok(Self {
            others: others("notes", &documents)
                .into_iter()
                .chain(others("people", &people))
                .collect(),
            store,
            plain,
            indexed,
            documents,
        })
    }

    /// Asks; none when the question is refused.
    fn ask(&self, query: &Query) -> Option<Vec<Found>> {
        match self.store.query(query) {
            Ok(found) => Some(found),
            Err(StoreError::Query(_)) => None,
            Err(error) => panic!("{query:?}: {error}"),
        }
    }
}

thread_local! {
    static LIBRARY: std::cell::RefCell<Library> =
        std::cell::RefCell::new(Library::new().expect("a store in memory"));
}

fn ids(found: &[Found]) -> Vec<DocId> {
    found.iter().map(|found| found.id.clone()).collect()
}

/// What a person types to search: SQLite understands it, and a word more finds what both find.
pub fn search_text(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(search) = text.parse::<SearchText>() else {
        return false;
    };
    LIBRARY.with_borrow(|library| {
        let found = |search: SearchText| {
            let query = Query {
                search: Some(search),
                ..Query::all(library.indexed)
            };
            let found = library.ask(&query).expect("there is a text index");
            let count = library.store.count(&query).expect("what is found counts");
            assert_eq!(count, found.len() as u64);
            let mut found = ids(&found);
            found.sort();
            found
        };
        let by_text = found(search);
        if let Ok(both) = format!("sea {text}").parse() {
            let sea = found("sea".parse().expect("a word"));
            let expected: Vec<_> = by_text.into_iter().filter(|id| sea.contains(id)).collect();
            assert_eq!(found(both), expected, "{text:?} and sea");
        }
    });
    true
}

/// An order in the first byte, and a cursor as apps hand it back: it reads back, and leads to what lies
/// behind it.
pub fn cursor(data: &[u8]) -> bool {
    let Some((&order, text)) = data.split_first() else {
        return false;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let Ok(cursor) = text.parse::<Cursor>() else {
        return false;
    };
    let printed = cursor.to_string();
    assert_eq!(printed.parse::<Cursor>(), Ok(cursor.clone()), "{printed}");
    let sort = question::order(&mut Reader::new(&[order % 4, order, order / 3, order / 7]));
    LIBRARY.with_borrow(|library| {
        for collection in [library.plain, library.indexed] {
            let query = Query {
                sort: sort.clone(),
                limit: Some(100),
                after: Some(cursor.clone()),
                ..Query::all(collection)
            };
            match library.store.query(&query) {
                Ok(found) => assert_eq!(ids(&found), behind(library, &sort, &cursor), "{query:?}"),
                Err(StoreError::Query(QueryError::CursorOrder)) => {}
                Err(error) => panic!("{query:?}: {error}"),
            }
        }
    });
    true
}

fn behind(library: &Library, sort: &[SortKey], cursor: &Cursor) -> Vec<DocId> {
    let all = library.documents.iter();
    let mut places: Vec<_> = all
        .map(|(id, value)| Cursor::of(sort, id, value))
        .filter(|place| place.order(cursor, sort).is_gt())
        .collect();
    places.sort_by(|a, b| a.order(b, sort));
    places.iter().map(|place| place.id().clone()).collect()
}

/// Conditions, an order and the size of a page: with and without an index, SQL finds what `fits` says,
/// and the pages joined are the whole.
pub fn question(data: &[u8]) -> bool {
    let mut reader = Reader::new(data);
    let limit = u64::from(reader.byte() % 8) + 1;
    let sort = question::order(&mut reader);
    let filter = question::filters(&mut reader, 0);
    LIBRARY.with_borrow(|library| {
        let fit = library.documents.iter();
        let fit = fit.filter(|(id, value)| fits(&filter, &id.to_string(), value, library));
        let mut places: Vec<_> = fit
            .map(|(id, value)| Cursor::of(&sort, id, value))
            .collect();
        places.sort_by(|a, b| a.order(b, &sort));
        let expected: Vec<_> = places.iter().map(|place| place.id().clone()).collect();
        let mut accepted = false;
        for collection in [library.plain, library.indexed] {
            let mut query = Query {
                filter: filter.clone(),
                sort: sort.clone(),
                ..Query::all(collection)
            };
            let Some(found) = library.ask(&query) else {
                assert!(!accepted, "an index decides whether a query may be asked");
                continue;
            };
            accepted = true;
            assert_eq!(ids(&found), expected, "{query:?}");
            let count = library.store.count(&query).expect("what is found counts");
            assert_eq!(count, expected.len() as u64, "{query:?}");
            let mut joined = Vec::new();
            query.limit = Some(limit);
            while let Some(page) = library.ask(&query).filter(|page| !page.is_empty()) {
                joined.extend(ids(&page));
                query.after = page
                    .last()
                    .map(|last| last.cursor(&query.sort).expect("a place"));
            }
            assert_eq!(joined, expected, "{query:?}");
        }
        accepted
    })
}

/// Bytes where a document's body stands in the file: it is read whole, field by field and by indexes, or refused as
/// damage.
pub fn body(data: &[u8]) -> bool {
    LIBRARY.with_borrow_mut(|library| {
        let id = DocId::parse("any").expect("a name");
        // Never committed.
        let tx = library.store.begin().expect("a transaction");
        let kept = tx.put_doc(library.plain, &id, b"", data, false);
        kept.expect("a body is not looked into where no index wants it");
        for name in ["a", "b", "c", "id"] {
            let query = Query {
                filter: vec![Filter::Not(Box::new(Filter::Is(Condition {
                    path: vec![name.to_owned()],
                    test: Test::Eq(Scalar::Null),
                })))],
                sort: vec![SortKey::new(vec![name.to_owned()], Direction::Desc)],
                ..Query::all(library.plain)
            };
            match tx.query(&query) {
                Ok(found) => assert!(found.len() >= library.documents.len() / 2),
                Err(StoreError::Query(error)) => panic!("{query:?}: {error}"),
                Err(_) => {}
            }
        }
        let whole = tx.doc(library.plain, &id);
        let whole = whole.map(|row| row.expect("it was put").json);
        let indexed = tx.put_doc(library.indexed, &id, b"", data, false);
        // A damaged number is found by whoever reads the JSON.
        let whole = whole.map(|json| serde_json::from_str::<Value>(&json));
        let is_body = matches!(whole, Ok(Ok(Value::Object(_))));
        assert!(!is_body || indexed.is_ok(), "{indexed:?}");
        is_body
    })
}

/// The bodies of the documents that are asked for.
pub(crate) fn bodies() -> Vec<Vec<u8>> {
    documents()
        .iter()
        .map(|(_, value)| body_of(value))
        .collect()
}
