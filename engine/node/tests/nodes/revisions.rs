//! A collection whose schema has come far: whoever asks names fields as the newest revision does, whatever
//! documents hold them by.

use serde_json::{Value, json};
use stead_api::{
    DocDiff, DocHistory, DocPut, DocQuery, Edit, ErrorKind, IndexAdd, IndexList, IndexRemove, Join,
    Keep, Notification, Op, Predicate, RichShow, RichWatch, SchemaPut, SortKey, SpaceKeep, SqlRun,
    TextEdit, Where,
};

use crate::support::{Device, PATIENCE, in_step, is, linked, path, query, until};

fn schema(node: &Device, collection: &str, lenses: Option<Value>, fields: Option<Value>) {
    node.call(&SchemaPut {
        space: "world".into(),
        collection: collection.into(),
        lenses,
        declaration: fields.map(|fields| json!({"fields": fields})),
        ..SchemaPut::default()
    });
}

/// Rivers that were named before they had titles.
fn evolve(node: &Device) {
    schema(
        node,
        "rivers",
        None,
        Some(json!({
            "name": "string", "length": "int?", "wet": {"type": "bool", "default": true}, "body": "text",
            "mouth": {"type": "record?", "fields": {"tides": {"type": "bool", "default": false}}},
        })),
    );
    node.put(
        "world",
        "rivers",
        "aare",
        json!({"name": "Aar", "length": 288}),
    );
    let lenses = json!([
        {"rename": {"from": "name", "to": "title"}}, {"rename": {"from": "body", "to": "notes"}},
        {"wrap": "length"},
    ]);
    schema(node, "rivers", Some(lenses), None);
}

async fn rivers() -> Device {
    let node = Device::start("tower").await;
    node.space("world");
    evolve(&node);
    node
}

fn ids(node: &Device, ask: &DocQuery) -> Vec<String> {
    let page = node.call(ask);
    page.docs.iter().map(|doc| doc.id.clone()).collect()
}

fn typed(node: &Device, at: usize, insert: &str) {
    node.call(&DocPut {
        space: "world".into(),
        edits: vec![Edit {
            collection: "rivers".into(),
            id: Some("aare".into()),
            op: Op::Text {
                path: path("notes"),
                unit: stead_api::TextUnit::Scalar,
                edit: TextEdit::Splice {
                    at,
                    delete: 0,
                    insert: insert.into(),
                },
            },
        }],
        ..DocPut::default()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_sql_name_fields_as_the_newest_revision_does() {
    let node = rivers().await;
    // In another millisecond.
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    node.put("world", "rivers", "aare", json!({"title": "Aare"}));

    let ask = DocHistory {
        space: "world".into(),
        collection: "rivers".into(),
        id: "aare".into(),
        ..DocHistory::default()
    };
    let story = node.call(&ask);
    let changes = story.steps.iter().flat_map(|step| &step.changes);
    let told: Vec<_> = changes
        .map(|change| {
            let (before, after) = (change.before.clone(), change.after.clone());
            (change.path.join("."), before, after)
        })
        .collect();
    // A default is what nobody wrote.
    assert_eq!(
        told,
        [
            ("title".to_owned(), Some(json!("Aar")), Some(json!("Aare"))),
            ("length".to_owned(), None, Some(json!([288]))),
            ("title".to_owned(), None, Some(json!("Aar"))),
        ]
    );
    let fields = story.fields.iter().map(|field| field.path.join("."));
    assert_eq!(fields.collect::<Vec<_>>(), ["length", "title"]);
    let of = |field: &str| {
        node.call(&DocHistory {
            path: path(field),
            ..ask.clone()
        })
    };
    assert_eq!((of("title").total, of("name").total), (2, 0));
    let differs = node.call(&DocDiff {
        space: "world".into(),
        collection: "rivers".into(),
        id: "aare".into(),
        from_ms: story.steps[1].time.ms,
        to_ms: None,
    });
    assert_eq!(differs.changes.len(), 1);
    assert_eq!(differs.changes[0].path, path("title"));

    let rows = node.call(&SqlRun {
        space: "world".into(),
        sql: "SELECT id, title, length, json FROM rivers WHERE title LIKE 'Aa%' AND wet".into(),
        limit: None,
    });
    assert_eq!(rows.rows.len(), 1);
    assert_eq!(
        rows.rows[0][..3],
        [json!("aare"), json!("Aare"), json!("[288]")]
    );
    let all: Value = serde_json::from_str(rows.rows[0][3].as_str().unwrap()).unwrap();
    assert_eq!(Some(all), node.get("world", "rivers", "aare"));
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_shown_and_watched_by_their_newest_names() {
    let node = rivers().await;
    typed(&node, 0, "long");
    let show = |field: &str, revision: Option<&str>| RichShow {
        space: "world".into(),
        collection: "rivers".into(),
        id: "aare".into(),
        path: path(field),
        revision: revision.map(str::to_owned),
        ..RichShow::default()
    };
    assert_eq!(node.call(&show("notes", None)).value, json!("long"));
    assert_eq!(node.call(&show("body", Some("1"))).value, json!("long"));
    let error = node.try_call(&show("body", None)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidParams);
    assert!(error.hint.contains("notes"), "{error}");

    let mut watching = node.client();
    tokio::task::block_in_place(|| {
        watching.set_read_timeout(Some(PATIENCE)).unwrap();
        let watch = RichWatch {
            space: "world".into(),
            collection: "rivers".into(),
            id: "aare".into(),
            path: path("notes"),
            ..RichWatch::default()
        };
        watching.call(&watch).unwrap();
        let mut next = || loop {
            if let Notification::Rich(event) = watching.next_notification().unwrap() {
                return event;
            }
        };
        assert_eq!(next().whole.unwrap().value, json!("long"));
        typed(&node, 4, " and wide");
        assert_eq!(
            next().delta,
            [json!({"retain": 4}), json!({"insert": " and wide"})]
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_by_hand_serve_queries_that_name_fields_as_the_newest_revision_does() {
    let node = rivers().await;
    typed(&node, 0, "long and wide");
    let index = |fields: &[&str], text| IndexAdd {
        space: "world".into(),
        collection: "rivers".into(),
        fields: fields.iter().map(|field| path(field)).collect(),
        text,
    };
    node.call(&index(&["title"], false));
    node.call(&index(&["notes"], true));
    assert_eq!(
        node.try_call(&index(&["name"], false)).unwrap_err().kind,
        ErrorKind::InvalidParams
    );
    let list = IndexList {
        space: "world".into(),
        ..IndexList::default()
    };
    until("both indexes", || {
        let indexes = node.call(&list).indexes;
        (indexes.len() == 2 && indexes.iter().all(|index| index.complete)).then_some(())
    })
    .await;
    let named: Vec<_> = node.call(&list).indexes;
    let named = named.iter().map(|index| index.fields[0].join("."));
    let mut named: Vec<String> = named.collect();
    named.sort();
    assert_eq!(named, ["notes", "title"]);

    let mut ask = query("rivers");
    ask.sort = vec![SortKey {
        path: path("title"),
        ..SortKey::default()
    }];
    ask.explain = true;
    let plan = node.call(&ask).plan.unwrap();
    assert_eq!(plan.index, Some(vec![path("title")]), "{plan:?}");
    let mut ask = query("rivers");
    ask.search = Some("wide".into());
    assert_eq!(ids(&node, &ask), ["aare"]);
    node.call(&IndexRemove {
        space: "world".into(),
        collection: "rivers".into(),
        fields: vec![path("title")],
        text: false,
    });
    assert_eq!(node.call(&list).indexes.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_through_references_and_joined_documents_name_fields_as_the_newest_revision_does()
 {
    let node = rivers().await;
    node.put("world", "cities", "bern", json!({"river": "aare"}));
    node.put("world", "cities", "rome", json!({"river": "tiber"}));
    let through = |filter: Where| {
        let mut ask = query("cities");
        ask.filters = vec![Where::Refers {
            refers: path("river"),
            to: "rivers".into(),
            filters: vec![filter],
        }];
        ask.join = vec![Join {
            path: path("river"),
            collection: "rivers".into(),
        }];
        ask
    };
    // By another name, and by a default that nobody wrote.
    for filter in [
        is("title", Predicate::Eq, json!("Aar")),
        is("wet", Predicate::Eq, json!(true)),
        is("wet", Predicate::Ne, json!(false)),
    ] {
        let page = node.call(&through(filter));
        assert_eq!(page.docs.len(), 1);
        let joined = page.joined.get("rivers/aare");
        assert_eq!(joined, node.get("world", "rivers", "aare").as_ref());
    }
    let dry = is("wet", Predicate::Eq, json!(false));
    assert_eq!(ids(&node, &through(dry.clone())), [""; 0]);
    let mut ask = query("rivers");
    ask.filters = vec![dry];
    assert_eq!(ids(&node, &ask), [""; 0]);
    node.put("world", "rivers", "aare", json!({"wet": false}));
    assert_eq!(ids(&node, &ask), ["aare"]);
    // A default within a record that is not there is seen by nobody.
    ask.filters = vec![is("mouth.tides", Predicate::Eq, json!(false))];
    assert_eq!(ids(&node, &ask), [""; 0]);
    // What is held in another form cannot be asked there.
    let converted = is("length", Predicate::Eq, json!([288]));
    let error = node.try_call(&through(converted)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidParams);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kept_query_names_is_as_the_newest_revision_does() {
    let (tower, phone) = linked().await;
    tower.space("world");
    evolve(&tower);
    for (id, title, wet) in [("reuss", "Reuss", true), ("wadi", "Wadi", false)] {
        tower.put("world", "rivers", id, json!({"title": title, "wet": wet}));
    }
    in_step("world", &[&tower, &phone]).await;
    let keep = |filter: Where| SpaceKeep {
        space: "world".into(),
        keep: Some(Keep {
            queries: vec![DocQuery {
                filters: vec![filter],
                ..query("rivers")
            }],
            ..Keep::default()
        }),
        ..SpaceKeep::default()
    };
    phone.call(&keep(is("title", Predicate::Eq, json!("Reuss"))));
    until("one river", || {
        (ids(&phone, &query("rivers")) == ["reuss"]).then_some(())
    })
    .await;
    // Aare does not say that it is wet.
    phone.call(&keep(is("wet", Predicate::Eq, json!(true))));
    until("two rivers", || {
        (ids(&phone, &query("rivers")) == ["aare", "reuss"]).then_some(())
    })
    .await;
    let converted = is("length", Predicate::Eq, json!([288]));
    let error = phone.try_call(&keep(converted)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidParams);
}
