//! Forged schemas, and schema documents that hold something else.

use stead_access::Role;

use super::*;
use crate::world::{Device, let_in_on, sync};

fn first(fields: Value) -> Revision {
    let declared = stead_schema::Declaration::from_json(&json!({ "fields": fields }));
    Revision {
        collection: "things".to_owned(),
        parent: None,
        lenses: declared.unwrap().lenses(),
        indexes: Vec::new(),
        search: Vec::new(),
    }
}

#[test]
fn what_a_writer_forges_into_a_schema_counts_nowhere() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    b.replica.create_home(b.now).unwrap();
    let space = a.replica.create_space("shared", a.now).unwrap();
    let_in_on(&mut a, &mut b, &space, Role::Writer, Path::whole_space());
    sync(&mut a, &mut b);
    // A member whose program checks nothing.
    let revision = first(json!({"a": "int?"}));
    let id = revision.id().to_string();
    let forged = |collection: &str| Edit {
        collection: collection.to_owned(),
        id: Some(DocId::parse("things").unwrap()),
        change: Change::Set {
            path: vec![REVISIONS.to_owned(), id.clone()],
            value: json!({BODY: to_hex(&revision.encode()), MADE: 1}),
        },
    };
    b.now += 10;
    let now = b.now;
    b.replica
        .write(now, |writing| {
            let edits = [forged(SCHEMAS), forged("notes")];
            writing.transact_unchecked(&space, &edits, &Speaks::new())
        })
        .unwrap();
    sync(&mut a, &mut b);
    assert!(b.replica.schema(&space, "things").unwrap().is_some());
    assert!(a.replica.schema(&space, "things").unwrap().is_none());
    assert!(a.get(&space, "notes", "things").is_some());
}

#[test]
fn bytes_read_back_from_their_digits() {
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
    assert_eq!(from_hex("0"), None);
    assert_eq!(from_hex("0g"), None);
}

#[test]
fn what_is_no_revision_of_the_collection_is_listed_and_hides_nothing() {
    let revision = first(json!({"a": "int?"}));
    let entry = json!({BODY: to_hex(&revision.encode()), MADE: 1});
    let mut revisions = serde_json::Map::new();
    revisions.insert(revision.id().to_string(), entry.clone());
    revisions.insert("ab".repeat(32), entry);
    revisions.insert("cd".repeat(32), json!({BODY: "ff", MADE: 1}));
    revisions.insert("ef".repeat(32), json!(7));
    let schema = Schema::read("things", &json!({ REVISIONS: revisions }));
    assert_eq!(schema.chain.newest(), Some(revision.id()));
    assert_eq!(schema.unreadable.len(), 3);
    let elsewhere = Schema::read("others", &json!({ REVISIONS: revisions }));
    assert!(elsewhere.chain.is_empty());
}
