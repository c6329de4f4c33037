//! The vectors of `docs/formats/schema.md`: what is printed there is what the code does.

// A test may read the page it checks.
#![allow(clippy::disallowed_methods)]

use serde_json::{Value, json};
use stead_schema::{
    Chain, Declaration, Known, Revision, indexes_from_json, lenses_from_json, search_from_json,
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/schema.md");
const START: &str = "<!-- vectors -->\n";
const END: &str = "<!-- end of vectors -->\n";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lenses of the revisions after the first: every one there is.
fn story() -> [Value; 3] {
    [
        json!([
            {"rename": {"from": "title", "to": "name"}},
            {"hoist": {"from": "home", "name": "city"}},
            {"plunge": {"name": "rank", "into": "order"}},
            {"wrap": "mail"},
            {"remove": {"name": "level", "default": "low"}},
            {"add": {"name": "due", "field": "date-time?"}},
        ]),
        json!([
            {"convert": {"name": "temp", "to": "float", "linear": {"mul": 9, "div": 5, "add": 32, "decimals": 1}}},
            {"convert": {"name": "done", "to": {"type": "enum", "values": ["no", "yes"]}, "table": [[false, "no"], [true, "yes"]]}},
            {"in": {"name": "home", "lenses": [{"rename": {"from": "zip", "to": "code"}}]}},
            {"map": {"name": "rows", "lenses": [{"add": {"name": "unit", "field": "string?"}}]}},
        ]),
        json!([
            {"head": "mail"},
            {"refine": {"name": "name", "field": {"type": "string", "length": [1, 80], "pattern": "[^\\n]*"}}},
            {"add": {"name": "level", "field": {"type": "enum", "values": ["low", "high"], "default": "high"}, "restore": true}},
        ]),
    ]
}

fn revisions() -> Vec<(String, Revision)> {
    let declared = json!({"fields": {
        "title": "string", "rank": "int?", "temp": "float?", "done": "bool?", "mail": "string?",
        "level": {"type": "enum", "values": ["low", "high"]}, "home": {"fields": {"city": "string?", "zip": "string?"}},
        "rows": {"type": "list", "of": {"fields": {"q": "int"}}}, "tags": {"type": "set", "of": "string"},
        "friends": {"type": "map", "of": {"type": "ref", "to": "people"}}, "visits": "counter", "text": "text",
        "key": {"type": "bytes?", "length": [16, 16]}, "picture": "blob?", "more": "any?", "outline": "tree"
    }});
    let first = Declaration::from_json(&declared).expect("a declaration");
    let words = format!(
        "The first, from `{declared}`, with an index `[\"-rank\", \"title\"]` and search in `title`"
    );
    let mut all = vec![(
        words,
        Revision {
            collection: "things".into(),
            parent: None,
            lenses: first.lenses(),
            indexes: indexes_from_json(&json!([["-rank", "title"]])).expect("indexes"),
            search: search_from_json(&json!(["title"])).expect("paths"),
        },
    )];
    for lenses in story() {
        let parent = all.last().map(|(_, revision)| revision.id());
        all.push((
            format!("Then `{lenses}`"),
            Revision {
                collection: "things".into(),
                parent,
                lenses: lenses_from_json(&lenses).expect("lenses"),
                indexes: Vec::new(),
                search: Vec::new(),
            },
        ));
    }
    all
}

fn vectors() -> String {
    let mut page = "Collection `things`.\n\n".to_owned();
    for (index, (words, revision)) in revisions().into_iter().enumerate() {
        page.push_str(&format!(
            "{}. {words}.\n   - revision `{}`\n   - id `{}`\n",
            index + 1,
            hex(&revision.encode()),
            revision.id()
        ));
        let decoded = Revision::decode(&revision.encode());
        assert_eq!(decoded, Ok(revision));
    }
    page
}

#[test]
fn the_revisions_of_the_vectors_make_a_chain() {
    let known = revisions()
        .into_iter()
        .map(|(_, revision)| Known { revision, made: 0 });
    let chain = Chain::build("things", known.collect());
    assert_eq!(chain.aside(), []);
    assert_eq!(chain.len(), 4);
}

#[test]
fn the_printed_vectors_are_what_the_code_does() {
    let page = std::fs::read_to_string(PAGE).expect("the page");
    let (before, rest) = page.split_once(START).expect("the start of the vectors");
    let (printed, after) = rest.split_once(END).expect("the end of the vectors");
    let vectors = vectors();
    if std::env::var_os("STEAD_WRITE_VECTORS").is_some() {
        let page = [before, START, &vectors, END, after].concat();
        std::fs::write(PAGE, page).expect("the page can be written");
    } else {
        assert_eq!(printed, vectors);
    }
}
