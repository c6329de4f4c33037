//! Documents are ordered and grouped by what is seen of them: by a default where nothing is held, and by the converted
//! value where something else is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use stead_api::{Aggregate, DocQuery, GroupBy, IndexList, Measure, Predicate, SchemaPut, SortKey};

use crate::support::{Device, is, path, query, until};

fn ids(node: &Device, ask: &DocQuery) -> Vec<String> {
    let page = node.call(ask);
    page.docs.iter().map(|doc| doc.id.clone()).collect()
}

fn evolve(node: &Device, lenses: Option<Value>, declaration: Option<Value>) {
    node.call(&SchemaPut {
        space: "work".into(),
        collection: "tasks".into(),
        lenses,
        declaration,
        ..SchemaPut::default()
    });
}

/// Tasks of which most say neither how urgent they are nor whether they are done.
async fn tasks(indexes: Value) -> Device {
    let node = Device::start("desk").await;
    node.space("work");
    let fields = json!({
        "title": "string", "urgency": {"type": "int", "range": [0, 9], "default": 3},
        "done": {"type": "bool", "default": false}, "seen": "counter",
        "place": {"type": "record", "fields": {"floor": {"type": "int", "default": 2}}},
    });
    evolve(
        &node,
        None,
        Some(json!({"fields": fields, "indexes": indexes})),
    );
    for (id, task) in [
        ("a", json!({"title": "a"})),
        ("b", json!({"title": "b", "urgency": 1, "seen": 4})),
        (
            "c",
            json!({"title": "c", "urgency": 5, "done": true, "place": {"floor": 0}}),
        ),
        (
            "d",
            json!({"title": "d", "done": false, "place": {"floor": 7}}),
        ),
    ] {
        node.put("work", "tasks", id, task);
    }
    node
}

fn by(field: &str, descending: bool) -> DocQuery {
    let mut ask = query("tasks");
    ask.space = "work".into();
    ask.sort = vec![SortKey {
        path: path(field),
        descending,
    }];
    ask
}

fn groups(
    node: &Device,
    by: &str,
    measures: &[(Aggregate, &str)],
) -> Vec<(Value, u64, Vec<Value>)> {
    let mut ask = query("tasks");
    ask.space = "work".into();
    let measure = |(of, field): &(Aggregate, &str)| Measure {
        of: *of,
        path: path(field),
    };
    ask.group = Some(GroupBy {
        by: vec![path(by)],
        measures: measures.iter().map(measure).collect(),
    });
    let groups = node.call(&ask).groups.unwrap().into_iter();
    groups
        .map(|group| (group.by[0].clone(), group.count, group.measures))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_wrote_is_ordered_and_grouped_as_its_default() {
    let node = tasks(json!([])).await;
    assert_eq!(ids(&node, &by("urgency", false)), ["b", "a", "d", "c"]);
    assert_eq!(ids(&node, &by("urgency", true)), ["c", "a", "d", "b"]);
    assert_eq!(ids(&node, &by("place.floor", false)), ["c", "a", "b", "d"]);
    // Page by page it is the same.
    let mut ask = by("urgency", true);
    ask.limit = Some(1);
    let mut paged = Vec::new();
    loop {
        let page = node.call(&ask);
        paged.extend(page.docs.iter().map(|doc| doc.id.clone()));
        ask.after = page.next;
        if ask.after.is_none() {
            break;
        }
    }
    assert_eq!(paged, ["c", "a", "d", "b"]);
    let measures = [(Aggregate::Sum, "urgency"), (Aggregate::Count, "seen")];
    assert_eq!(
        groups(&node, "done", &measures),
        [
            (json!(false), 3, vec![json!(7), json!(3)]),
            (json!(true), 1, vec![json!(5), json!(1)]),
        ]
    );
    assert_eq!(
        groups(&node, "place.floor", &[(Aggregate::Max, "urgency")]),
        [
            (json!(0), 1, vec![json!(5)]),
            (json!(2), 2, vec![json!(3)]),
            (json!(7), 1, vec![json!(3)]),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_a_schema_gives_the_order_of_defaults_too() {
    let node = tasks(json!([["urgency"]])).await;
    let list = IndexList {
        space: "work".into(),
        ..IndexList::default()
    };
    until("the index", || {
        let indexes = node.call(&list).indexes;
        (indexes.len() == 1 && indexes[0].complete).then_some(())
    })
    .await;
    for (descending, expected) in [(false, ["b", "a", "d", "c"]), (true, ["c", "a", "d", "b"])] {
        let mut ask = by("urgency", descending);
        ask.limit = Some(10);
        assert_eq!(ids(&node, &ask), expected);
        ask.explain = true;
        let plan = node.call(&ask).plan.unwrap();
        assert_eq!(plan.reason, "The index gives the order.", "{plan:?}");
    }
    let mut ask = by("urgency", false);
    ask.filters = vec![is("urgency", Predicate::Eq, json!(3))];
    assert_eq!(ids(&node, &ask), ["a", "d"]);
    ask.filters = vec![is("urgency", Predicate::Gt, json!(3))];
    assert_eq!(ids(&node, &ask), ["c"]);
    // Another default is another index.
    evolve(
        &node,
        Some(json!([{"refine": {"name": "urgency", "field": {
            "type": "int", "range": [0, 9], "default": 9
        }}}])),
        None,
    );
    assert_eq!(ids(&node, &by("urgency", false)), ["b", "c", "a", "d"]);
    until("the new index", || {
        let indexes = node.call(&list).indexes;
        (indexes.len() == 1 && indexes[0].complete).then_some(())
    })
    .await;
    let mut ask = by("urgency", false);
    ask.limit = Some(10);
    assert_eq!(ids(&node, &ask), ["b", "c", "a", "d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_schema_converts_is_grouped_as_it_is_seen() {
    let node = tasks(json!([])).await;
    let row = |n: i64| json!([n, if n < 4 { "low" } else { "high" }]);
    let table: Value = (0..10).map(row).collect();
    evolve(
        &node,
        Some(json!([{"convert": {
            "name": "urgency", "to": {"type": "enum", "values": ["low", "high"]},
            "table": table,
        }}])),
        None,
    );
    assert_eq!(
        groups(&node, "urgency", &[(Aggregate::Sum, "seen")]),
        [
            (json!("high"), 1, vec![json!(0)]),
            (json!("low"), 3, vec![json!(4)]),
        ]
    );
    // A condition that is asked of what is seen.
    let mut ask = query("tasks");
    ask.space = "work".into();
    ask.filters = vec![is("urgency", Predicate::Eq, json!("low"))];
    ask.group = Some(GroupBy {
        by: vec![path("done")],
        measures: Vec::new(),
    });
    let found = node.call(&ask).groups.unwrap();
    assert_eq!(
        found.iter().map(|group| group.count).collect::<Vec<_>>(),
        [3]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_time_is_ordered_by_the_names_of_today() {
    let node = tasks(json!([])).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let lenses = json!([{"rename": {"from": "urgency", "to": "priority"}}]);
    evolve(&node, Some(lenses), None);
    node.put("work", "tasks", "b", json!({"priority": 9}));
    let mut ask = by("priority", false);
    assert_eq!(ids(&node, &ask), ["a", "d", "c", "b"]);
    ask.at_ms = Some(since.as_millis() as u64);
    assert_eq!(ids(&node, &ask), ["b", "a", "d", "c"]);
}
