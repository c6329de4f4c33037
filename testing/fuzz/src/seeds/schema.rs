//! Seeds of `core/schema`.

use serde_json::{Value, json};
use stead_schema::{Declaration, Revision, RevisionId, lenses_from_json};

fn declared() -> Value {
    json!({"fields": {
        "title": {"type": "string", "length": [1, 80], "pattern": "[^\\n]*"}, "rank": {"type": "int?", "range": [0, 9]},
        "done": "bool?", "mail": "string?", "home": {"fields": {"city": "string?", "zip": "string?"}},
        "rows": {"type": "array?", "of": {"fields": {"q": "int"}}}, "tags": {"type": "set", "of": "string"},
        "votes": {"type": "map", "of": "bool"}, "visits": "counter", "more": "any?",
        "level": {"type": "enum", "values": ["low", "high"], "default": "low"}
    }, "indexes": [["-rank", "title"]], "search": ["title"]})
}

fn steps() -> Value {
    json!([
        {"rename": {"from": "title", "to": "name"}}, {"hoist": {"from": "home", "name": "city"}},
        {"plunge": {"name": "rank", "into": "order"}}, {"wrap": "mail"}, {"head": "mail"},
        {"remove": {"name": "level", "default": "low"}}, {"add": {"name": "due", "field": "date-time?"}},
        {"convert": {"name": "done", "to": {"type": "enum", "values": ["no", "yes"]}, "table": [[false, "no"], [true, "yes"]]}},
        {"map": {"name": "rows", "lenses": [{"convert": {"name": "q", "to": "float", "linear": {"div": 10, "decimals": 1}}}]}},
        {"in": {"name": "home", "lenses": [{"remove": "zip"}]}},
    ])
}

/// Encoded revisions.
pub fn revisions() -> Vec<Vec<u8>> {
    let declared = Declaration::from_json(&declared()).unwrap_or_default();
    let first = Revision {
        collection: "things".to_owned(),
        parent: None,
        lenses: declared.lenses(),
        indexes: declared.indexes,
        search: declared.search,
    };
    let second = Revision {
        parent: Some(RevisionId::from_bytes([7; 32])),
        lenses: lenses_from_json(&steps()).unwrap_or_default(),
        indexes: Vec::new(),
        search: Vec::new(),
        ..first.clone()
    };
    vec![first.encode(), second.encode()]
}

/// Declarations, lenses and documents as JSON.
pub fn lenses() -> Vec<Vec<u8>> {
    let document = json!({
        "title": "a", "rank": 3, "done": true, "mail": ["x", "y"], "home": {"city": "Bern", "zip": 3000},
        "rows": [{"q": 1, "hidden": 2}, 7], "tags": ["a", "b"], "votes": {"a": true}, "visits": 2, "more": {"x": []}
    });
    [document, json!({})]
        .iter()
        .map(|document| format!("{}\n{}\n{document}", declared(), steps()).into_bytes())
        .collect()
}
