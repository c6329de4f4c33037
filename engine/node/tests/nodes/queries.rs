//! Queries, indexes, SQL, live windows and history, as a client meets them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_api::{
    Aggregate, ChangeKind, DocAt, DocBack, DocDiff, DocHistory, DocPut, DocQuery, DocWatch, Edit,
    ErrorKind, GroupBy, IndexAdd, IndexList, IndexRemove, Join, Measure, Op, Predicate, SchemaPut,
    SortKey, SqlRun, Where,
};

use crate::support::{Device, is, path, query, until};

fn ids(page: &stead_api::Page) -> Vec<String> {
    page.docs.iter().map(|doc| doc.id.clone()).collect()
}

async fn world() -> Device {
    let node = Device::start("tower").await;
    node.space("world");
    let countries = [
        (
            "ch",
            json!({"name": "Switzerland", "region": "Europe", "area": 41, "capital": "bern", "about": "Alps and lakes"}),
        ),
        (
            "pt",
            json!({"name": "Portugal", "region": "Europe", "area": 92, "capital": "cities/lisbon", "about": "the open sea"}),
        ),
        (
            "jp",
            json!({"name": "Japan", "region": "Asia", "area": 378, "about": "islands in the sea"}),
        ),
    ];
    for (id, value) in countries {
        node.put("world", "countries", id, value);
    }
    node.put(
        "world",
        "cities",
        "bern",
        json!({"name": "Bern", "people": 134}),
    );
    node.put(
        "world",
        "cities",
        "lisbon",
        json!({"name": "Lisboa", "people": 545}),
    );
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_nest_refer_join_and_group() {
    let node = world().await;
    let mut ask = query("countries");
    ask.filters = vec![Where::Any {
        any: vec![
            Where::All {
                all: vec![
                    is("region", Predicate::Eq, json!("Europe")),
                    is("area", Predicate::Gt, json!(50)),
                ],
            },
            Where::Not {
                not: Box::new(is("name", Predicate::Prefix, json!("S"))),
            },
        ],
    }];
    assert_eq!(ids(&node.call(&ask)), ["jp", "pt"]);
    ask.filters = vec![
        is("area", Predicate::Between, json!([40, 100])),
        is("region", Predicate::In, json!(["Europe", "Asia"])),
    ];
    assert_eq!(ids(&node.call(&ask)), ["ch", "pt"]);
    ask.filters = vec![Where::Refers {
        refers: path("capital"),
        to: "cities".into(),
        filters: vec![is("people", Predicate::Gt, json!(200))],
    }];
    ask.join = vec![Join {
        path: path("capital"),
        collection: "cities".into(),
    }];
    let page = node.call(&ask);
    assert_eq!(ids(&page), ["pt"]);
    assert_eq!(
        page.joined,
        BTreeMap::from([(
            "cities/lisbon".to_owned(),
            json!({"name": "Lisboa", "people": 545})
        )])
    );
    let mut ask = query("countries");
    ask.group = Some(GroupBy {
        by: vec![path("region")],
        measures: vec![Measure {
            of: Aggregate::Sum,
            path: path("area"),
        }],
    });
    let groups = node.call(&ask).groups.unwrap();
    let told: Vec<_> = groups
        .into_iter()
        .map(|group| (group.by, group.count, group.measures))
        .collect();
    assert_eq!(
        told,
        [
            (vec![json!("Asia")], 1, vec![json!(378)]),
            (vec![json!("Europe")], 2, vec![json!(133)]),
        ]
    );
    let mut wrong = query("countries");
    wrong.filters = vec![is("area", Predicate::In, json!(4))];
    assert_eq!(
        node.try_call(&wrong).unwrap_err().kind,
        ErrorKind::InvalidParams
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_are_built_beside_other_work_and_used() {
    let node = world().await;
    let edits = (0..3_000).map(|n| Edit {
        collection: "numbers".into(),
        id: Some(format!("n{n:04}")),
        op: Op::Put {
            value: json!({"k": n % 10, "n": n}),
            replace: false,
        },
    });
    node.call(&DocPut {
        space: "world".into(),
        edits: edits.collect(),
        idempotency_key: None,
        revisions: Default::default(),
    });
    let mut ask = query("numbers");
    ask.filters = vec![is("k", Predicate::Eq, json!(3))];
    ask.sort = vec![SortKey {
        path: path("n"),
        descending: true,
    }];
    ask.limit = Some(2);
    let expected = ["n2993", "n2983"];
    assert_eq!(ids(&node.call(&ask)), expected);
    let add = |collection: &str, fields: &[&str], text| IndexAdd {
        space: "world".into(),
        collection: collection.into(),
        fields: fields.iter().map(|field| path(field)).collect(),
        text,
    };
    node.call(&add("numbers", &["k", "n"], false));
    // Whether it is finished or not.
    assert_eq!(ids(&node.call(&ask)), expected);
    node.call(&add("countries", &["name", "about"], true));
    let list = IndexList {
        space: "world".into(),
        collection: None,
    };
    until("building", || {
        let indexes = node.call(&list).indexes;
        assert_eq!(indexes.len(), 2);
        indexes.iter().all(|index| index.complete).then_some(())
    })
    .await;
    assert_eq!(node.status().indexing, vec![]);
    let explained = node
        .call(&DocQuery {
            explain: true,
            ..ask.clone()
        })
        .plan
        .unwrap();
    assert_eq!(explained.index, Some(vec![path("k"), path("n")]));
    assert_eq!(ids(&node.call(&ask)), expected);
    node.put("world", "numbers", "fresh", json!({"k": 3, "n": 99_999}));
    assert_eq!(ids(&node.call(&ask))[0], "fresh");
    let mut search = query("countries");
    search.search = Some("sea -open".into());
    let page = node.call(&search);
    assert_eq!(ids(&page), ["jp"]);
    assert_eq!(
        page.docs[0].snippet.as_deref(),
        Some("islands in the \u{2}sea\u{3}")
    );
    node.call(&IndexRemove {
        space: "world".into(),
        collection: "countries".into(),
        fields: vec![path("name"), path("about")],
        text: true,
    });
    assert_eq!(
        node.try_call(&search).unwrap_err().kind,
        ErrorKind::InvalidParams
    );
    let hidden = IndexAdd {
        space: "home".into(),
        collection: "spaces".into(),
        fields: vec![path("secret")],
        text: true,
    };
    assert_eq!(
        node.try_call(&hidden).unwrap_err().kind,
        ErrorKind::NotAllowed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_reads_the_space_and_nothing_else() {
    let node = world().await;
    let sql = |space: &str, sql: &str| SqlRun {
        space: space.into(),
        sql: sql.into(),
        limit: None,
    };
    let rows = node.call(&sql(
        "world",
        "SELECT region, count(*) AS n FROM countries GROUP BY 1 ORDER BY 1",
    ));
    assert_eq!(rows.columns, ["region", "n"]);
    assert_eq!(
        rows.rows,
        [[json!("Asia"), json!(1)], [json!("Europe"), json!(2)]]
    );
    let spaces = node.call(&sql("home", "SELECT * FROM spaces"));
    assert!(!spaces.columns.contains(&"secret".to_owned()));
    assert!(
        !serde_json::to_string(&spaces.rows)
            .unwrap()
            .contains("secret")
    );
    for (attack, kind) in [
        ("SELECT * FROM doc", ErrorKind::NotAllowed),
        ("DELETE FROM countries", ErrorKind::NotAllowed),
        ("UPDATE countries SET region = 'x'", ErrorKind::NotAllowed),
        (
            "INSERT INTO countries (id) VALUES ('x')",
            ErrorKind::NotAllowed,
        ),
        ("SELECT * FROM spaces", ErrorKind::InvalidParams),
        ("ATTACH 'x' AS x", ErrorKind::NotAllowed),
        ("SELEC", ErrorKind::InvalidParams),
    ] {
        let error = node.try_call(&sql("world", attack)).unwrap_err();
        assert_eq!(error.kind, kind, "{attack}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_shows_after_each_step_what_the_query_finds() {
    let node = world().await;
    let unbounded = DocWatch {
        limit: None,
        ..window_follows_query(&node, "scores")
    };
    assert_eq!(
        node.try_call(&unbounded).unwrap_err().kind,
        ErrorKind::InvalidParams
    );
    // The same where most documents have only what their schema says for them.
    node.call(&SchemaPut {
        space: "world".into(),
        collection: "ranks".into(),
        declaration: Some(json!({"fields": {
            "n": {"type": "int", "default": 50}, "note": "int?"
        }})),
        ..SchemaPut::default()
    });
    window_follows_query(&node, "ranks");
}

/// Compares a window with what the query finds, after each of many transactions.
fn window_follows_query(node: &Device, collection: &str) -> DocWatch {
    let watch = DocWatch {
        space: "world".into(),
        collection: collection.into(),
        sort: vec![SortKey {
            path: path("n"),
            descending: true,
        }],
        limit: Some(3),
        ..DocWatch::default()
    };
    let mut ask = query(collection);
    ask.sort.clone_from(&watch.sort);
    ask.limit = Some(3);
    tokio::task::block_in_place(|| {
        let mut client = node.client();
        client
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        client.call(&watch).unwrap();
        let mut shown: Vec<(String, Value)> = Vec::new();
        let mut ready = false;
        for round in 0..60_i64 {
            let edits: Vec<Edit> = (0..3)
                .map(|at| Edit {
                    collection: collection.into(),
                    id: Some(format!("p{}", (round * 7 + at * 5) % 20)),
                    op: match (round + at) % 5 {
                        0 => Op::Delete,
                        1 => Op::Put {
                            value: json!({"note": round}),
                            replace: true,
                        },
                        _ => Op::Put {
                            value: json!({"n": (round * 37 + at * 11) % 100}),
                            replace: false,
                        },
                    },
                })
                .collect();
            let commit = node.call(&DocPut {
                space: "world".into(),
                edits,
                idempotency_key: None,
                revisions: Default::default(),
            });
            assert!(commit.entry.is_some());
            let expected: Vec<_> = node
                .call(&ask)
                .docs
                .into_iter()
                .map(|doc| (doc.id, doc.value))
                .collect();
            // Exactly one event, unless nothing of the window differs.
            while shown != expected || !ready {
                let event = client.next_event().unwrap();
                ready |= event.ready;
                let gone: Vec<_> = (event.changes.iter())
                    .filter(|change| change.kind != ChangeKind::Added)
                    .map(|change| change.id.clone())
                    .collect();
                shown.retain(|(id, _)| !gone.contains(id));
                for change in event.changes {
                    if let Some(value) = change.value {
                        shown.insert(change.at.unwrap() as usize, (change.id, value));
                    }
                }
            }
        }
    });
    watch
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_holds_transactions_whole() {
    let node = world().await;
    node.put("world", "pairs", "a", json!({"n": 0}));
    node.put("world", "pairs", "b", json!({"n": 0}));
    tokio::task::block_in_place(|| {
        let mut client = node.client();
        client
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        client
            .call(&DocWatch {
                space: "world".into(),
                collection: "pairs".into(),
                ..DocWatch::default()
            })
            .unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1..=200 {
                    let both = ["a", "b"].map(|id| Edit {
                        collection: "pairs".into(),
                        id: Some(id.into()),
                        op: Op::Put {
                            value: json!({"n": n}),
                            replace: false,
                        },
                    });
                    node.call(&DocPut {
                        space: "world".into(),
                        edits: both.to_vec(),
                        idempotency_key: None,
                        revisions: Default::default(),
                    });
                }
            });
            let mut known: BTreeMap<String, Value> = BTreeMap::new();
            let mut ready = false;
            while known.get("a").is_none_or(|a| a["n"] != 200) {
                let event = client.next_event().unwrap();
                for change in event.changes {
                    known.insert(change.id, change.value.unwrap());
                }
                ready |= event.ready;
                if ready {
                    assert_eq!(known["a"], known["b"], "half of a transaction");
                }
            }
        });
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transaction_is_one_difference_and_those_that_are_told_together_are_counted() {
    let node = world().await;
    let both = |value: Value| DocPut {
        space: "world".into(),
        edits: ["a", "b"]
            .map(|id| Edit {
                collection: "pairs".into(),
                id: Some(id.into()),
                op: Op::Put {
                    value: value.clone(),
                    replace: false,
                },
            })
            .to_vec(),
        ..DocPut::default()
    };
    node.call(&both(json!({"by": 0, "n": 0})));
    let (writers, each) = (4u64, 60u64);
    tokio::task::block_in_place(|| {
        let mut client = node.client();
        client
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        client
            .call(&DocWatch {
                space: "world".into(),
                collection: "pairs".into(),
                ..DocWatch::default()
            })
            .unwrap();
        while !client.next_event().unwrap().ready {}
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        std::thread::scope(|scope| {
            for by in 1..=writers {
                let (node, both) = (&node, &both);
                scope.spawn(move || {
                    let mut client = node.client();
                    for n in 1..=each {
                        client.call(&both(json!({"by": by, "n": n}))).unwrap();
                    }
                });
            }
            let mut told = 0;
            while told < writers * each {
                let event = client.next_event().unwrap();
                let transactions = event.transactions.unwrap_or(1);
                assert!(!event.more && !event.changes.is_empty());
                told += transactions;
                for change in event.changes {
                    known.insert(change.id, change.value.unwrap());
                }
                assert_eq!(known["a"], known["b"], "half of a transaction");
                let (by, n) = (&known["a"]["by"], known["a"]["n"].as_u64().unwrap());
                let before = last.insert(by.as_u64().unwrap(), n).unwrap_or(0);
                // In their order; none is left out unless it is counted.
                assert!(
                    n > before && n - before <= transactions,
                    "{n} after {before}"
                );
            }
            assert_eq!(told, writers * each);
        });
        assert!(last.values().all(|n| *n == each), "{last:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_right_after_an_index_is_asked_for_waits_until_it_is_built() {
    let node = world().await;
    for round in 0..4 {
        let edits = (0..2000).map(|n| Edit {
            collection: "texts".into(),
            id: Some(format!("t{round}-{n}")),
            op: Op::Put {
                value: json!({"body": format!("word{n} of round {round}")}),
                replace: false,
            },
        });
        node.call(&DocPut {
            space: "world".into(),
            edits: edits.collect(),
            ..DocPut::default()
        });
    }
    node.call(&stead_api::IndexAdd {
        space: "world".into(),
        collection: "texts".into(),
        fields: vec![path("body")],
        text: true,
    });
    let mut ask = query("texts");
    ask.search = Some("word1999".into());
    assert_eq!(node.call(&ask).docs.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_each_document_once_while_others_are_written() {
    let node = world().await;
    let edits = (0..400).map(|n| Edit {
        collection: "stable".into(),
        id: Some(format!("s{n:03}")),
        op: Op::Put {
            value: json!({"n": n % 7}),
            replace: false,
        },
    });
    node.call(&DocPut {
        space: "world".into(),
        edits: edits.collect(),
        idempotency_key: None,
        revisions: Default::default(),
    });
    let mut ask = query("stable");
    ask.sort = vec![SortKey {
        path: path("n"),
        descending: true,
    }];
    ask.limit = Some(23);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut round = 0;
    loop {
        let page = node.call(&ask);
        for doc in &page.docs {
            *seen.entry(doc.id.clone()).or_default() += 1;
        }
        // New documents before, between and behind; and one of them goes.
        round += 1;
        node.put(
            "world",
            "stable",
            &format!("x{round}"),
            json!({"n": round % 9}),
        );
        let put = Edit {
            collection: "stable".into(),
            id: Some(format!("x{}", round / 2)),
            op: Op::Delete,
        };
        node.call(&DocPut {
            space: "world".into(),
            edits: vec![put],
            idempotency_key: None,
            revisions: Default::default(),
        });
        match page.next {
            Some(next) => ask.after = Some(next),
            None => break,
        }
    }
    let stable: Vec<_> = seen.iter().filter(|(id, _)| id.starts_with('s')).collect();
    assert_eq!(stable.len(), 400);
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_who_and_when_and_goes_back() {
    let node = world().await;
    let first = node
        .put(
            "world",
            "notes",
            "a",
            json!({"title": "one", "body": "text"}),
        )
        .time
        .ms;
    std::thread::sleep(std::time::Duration::from_millis(5));
    let second = node
        .put("world", "notes", "a", json!({"title": "two"}))
        .time
        .ms;
    std::thread::sleep(std::time::Duration::from_millis(5));
    node.put("world", "notes", "b", json!({"title": "later"}));
    let ask = DocHistory {
        space: "world".into(),
        collection: "notes".into(),
        id: "a".into(),
        ..DocHistory::default()
    };
    let story = node.call(&ask);
    assert_eq!((story.total, story.steps.len()), (2, 2));
    assert_eq!(story.steps[0].changes[0].before, Some(json!("one")));
    assert_eq!(story.steps[0].device.name, "tower");
    let origins: Vec<_> = story
        .fields
        .iter()
        .map(|field| (field.path.join("."), field.time.ms))
        .collect();
    assert_eq!(
        origins,
        [("body".to_owned(), first), ("title".to_owned(), second)]
    );
    let of_body = node.call(&DocHistory {
        path: path("body"),
        ..ask.clone()
    });
    assert_eq!(of_body.total, 1);
    let at = |at_ms| DocAt {
        space: "world".into(),
        collection: "notes".into(),
        id: "a".into(),
        at_ms,
    };
    assert_eq!(
        node.call(&at(first)).doc.value,
        json!({"title": "one", "body": "text"})
    );
    assert_eq!(node.try_call(&at(1)).unwrap_err().kind, ErrorKind::NotFound);
    let diff = DocDiff {
        space: "world".into(),
        collection: "notes".into(),
        id: "a".into(),
        from_ms: first,
        to_ms: None,
    };
    let changes = node.call(&diff).changes;
    assert_eq!((changes.len(), &changes[0].after), (1, &Some(json!("two"))));
    let mut earlier = query("notes");
    earlier.at_ms = Some(first);
    earlier.count = true;
    let page = node.call(&earlier);
    assert_eq!((ids(&page), page.total), (vec!["a".to_owned()], Some(1)));
    assert_eq!(page.docs[0].value["title"], "one");
    earlier.filters = vec![is("title", Predicate::Eq, json!("two"))];
    assert_eq!(node.call(&earlier).docs, vec![]);
    earlier.at_ms = Some(second);
    assert_eq!(ids(&node.call(&earlier)), ["a"]);
    let back = |at_ms| DocBack {
        space: "world".into(),
        collection: "notes".into(),
        id: "a".into(),
        at_ms,
    };
    let commit = node.call(&back(first));
    assert!(commit.entry.is_some());
    assert_eq!(
        node.get("world", "notes", "a"),
        Some(json!({"title": "one", "body": "text"}))
    );
    node.call(&back(commit.time.ms - 1));
    assert_eq!(
        node.get("world", "notes", "a"),
        Some(json!({"title": "two", "body": "text"}))
    );
    let spaces = DocHistory {
        space: "home".into(),
        collection: "spaces".into(),
        id: node.spaces()[1].id.clone(),
        ..DocHistory::default()
    };
    if let Ok(story) = node.try_call(&spaces) {
        let told = serde_json::to_string(&story).unwrap();
        assert!(!told.contains("secret ="), "{told}");
        assert!(
            story
                .steps
                .iter()
                .flat_map(|step| &step.changes)
                .filter(|change| change.path == path("secret"))
                .all(|change| change.after.is_none())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_past_a_schema_is_refused_and_writes_nothing() {
    let node = world().await;
    node.call(&SchemaPut {
        space: "world".into(),
        collection: "rivers".into(),
        declaration: Some(json!({"fields": {"name": "string", "length": "int?"}})),
        ..SchemaPut::default()
    });
    node.put("world", "rivers", "aare", json!({"name": "Aare"}));
    let before = node.get("world", "rivers", "aare");
    let put = |id: &str, length: Value| {
        let mut put = crate::support::put("world", "cities", "bern", json!({"people": 135}));
        put.edits.push(Edit {
            collection: "rivers".into(),
            id: Some(id.into()),
            op: Op::Put {
                value: json!({"length": length}),
                replace: false,
            },
        });
        put.revisions = [("rivers".to_owned(), "none".to_owned())].into();
        put
    };
    // A document that is there, one that is not, a value that fits and one that does not.
    for put in [put("aare", json!(295)), put("reuss", json!("long"))] {
        let error = node.try_call(&put).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidParams);
        assert!(error.message.contains("rivers"), "{error}");
        assert!(error.hint.contains("newest revision"), "{}", error.hint);
    }
    assert_eq!(node.get("world", "rivers", "aare"), before);
    assert_eq!(node.get("world", "rivers", "reuss"), None);
    let bern = node.get("world", "cities", "bern").unwrap();
    assert_eq!(bern["people"], 134, "nothing else of the call is written");
    // Where no schema is, there is nothing to write past.
    let mut put = put("aare", json!(1));
    put.edits.pop();
    put.revisions = [("cities".to_owned(), "none".to_owned())].into();
    assert!(node.call(&put).entry.is_some());
}
