//! Rust types as schemas: what they declare, and that values survive the way through a document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use stead_schema::{
    Blob, Chain, Collection as _, Counter, DateTime, Known, MergingList, Record as _, Ref,
    RichText, Wanted, preview,
};
use stead_schema_derive::{Choice, Collection, Record};

#[derive(Debug, Clone, PartialEq, Collection)]
#[collection(
    name = "tasks",
    index("due", "-rank"),
    index("home.city"),
    search("title", "notes")
)]
struct Task {
    #[field(length(1, 100), pattern = "[^\\n]+")]
    title: String,
    notes: RichText,
    due: Option<DateTime>,
    #[field(range(_, 10), default = 3)]
    rank: i64,
    #[field(range(0.5, 2.5))]
    weight: f64,
    state: State,
    visits: Counter,
    tags: BTreeSet<String>,
    #[field(unique, length(_, 3))]
    mails: Vec<String>,
    steps: MergingList<Step>,
    home: Option<Place>,
    votes: BTreeMap<String, bool>,
    picture: Option<Blob>,
    #[field(name = "parent-task")]
    parent: Option<Ref<Task>>,
    r#type: u32,
}

#[derive(Debug, Clone, PartialEq, Choice)]
enum State {
    Open,
    #[choice(name = "all done")]
    Done,
}

#[derive(Debug, Clone, PartialEq, Record)]
struct Step {
    what: String,
    done: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Record)]
struct Place {
    city: String,
}

fn task() -> Task {
    Task {
        title: "Paint".into(),
        notes: RichText("white".into()),
        due: Some(DateTime("2026-11-27T02:37:59.000Z".into())),
        rank: 5,
        weight: 1.5,
        state: State::Done,
        visits: Counter(2),
        tags: BTreeSet::from(["a".into(), "b".into()]),
        mails: vec!["x".into()],
        steps: MergingList(vec![Step {
            what: "buy".into(),
            done: None,
        }]),
        home: Some(Place {
            city: "Bern".into(),
        }),
        votes: BTreeMap::from([("ada".into(), true)]),
        picture: Some(Blob("ab".repeat(32))),
        parent: Some(Ref::new("t0")),
        r#type: 1,
    }
}

fn chain() -> Chain {
    let wanted = Wanted {
        declaration: Some(Task::declaration()),
        ..Wanted::default()
    };
    let first = Chain::empty(Task::COLLECTION.into())
        .evolve(wanted)
        .unwrap();
    let known = first.map(|revision| Known { revision, made: 0 });
    Chain::build(Task::COLLECTION, known.into_iter().collect())
}

#[test]
fn a_type_declares_fields_rules_and_indexes() {
    let json = Task::declaration().to_json();
    assert_eq!(json["indexes"], json!([["due", "-rank"], ["home.city"]]));
    assert_eq!(json["search"], json!(["title", "notes"]));
    let fields = &json["fields"];
    assert_eq!(
        fields["title"],
        json!({"type": "string", "length": [1, 100], "pattern": "[^\\n]+"})
    );
    assert_eq!(
        fields["rank"],
        json!({"type": "int", "range": [null, 10], "default": 3})
    );
    assert_eq!(
        fields["weight"],
        json!({"type": "float", "range": [0.5, 2.5]})
    );
    assert_eq!(
        fields["state"],
        json!({"type": "enum", "values": ["open", "all done"]})
    );
    assert_eq!(
        fields["mails"],
        json!({"type": "array", "of": "string", "length": [null, 3], "unique": true})
    );
    assert_eq!(
        fields["parent-task"],
        json!({"type": "ref", "to": "tasks", "optional": true})
    );
    assert_eq!(
        fields["type"],
        json!({"type": "int", "range": [0, 4294967295u32]})
    );
    assert_eq!(fields["notes"], json!("text"));
    assert_eq!(fields["due"], json!("date-time?"));
}

#[test]
fn a_value_survives_the_way_through_a_document() {
    let chain = chain();
    let view = chain.projection(&chain.newest().unwrap()).unwrap();
    let held = json!({});
    let writes = view.put(&held, &task().to_json(), true).unwrap();
    let shown = preview(&view, &held, writes);
    assert_eq!(Task::from_json(&shown), Ok(task()));
}

#[test]
fn what_is_not_of_the_type_is_refused_with_its_path() {
    let mut json = task().to_json();
    json["steps"][0]["what"] = json!(3);
    assert_eq!(
        Task::from_json(&json).unwrap_err().to_string(),
        "steps[0].what needs text, found the number 3"
    );
}
