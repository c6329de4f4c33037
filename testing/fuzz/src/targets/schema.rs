//! Targets of `core/schema`: revisions, and what a projection makes of any document.

use serde_json::Value;
use stead_schema::{Chain, Declaration, Known, Revision, lenses_from_json, preview};

/// A revision of a schema, from a member of the space.
pub fn revision(bytes: &[u8]) -> bool {
    let Ok(revision) = Revision::decode(bytes) else {
        return false;
    };
    assert_eq!(revision.encode(), bytes, "a revision has one encoding");
    let collection = revision.collection.clone();
    let chain = Chain::build(&collection, vec![Known { revision, made: 0 }]);
    let Some(view) = chain.newest().and_then(|id| chain.projection(&id)) else {
        return true;
    };
    let shown = view.read(&Value::Null);
    let _ = view.put(&Value::Null, &shown, true);
    let _ = view.faults(&shown);
    true
}

/// A declaration, lenses and a document as JSON, one a line.
pub fn lenses(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let mut lines = text
        .splitn(3, '\n')
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
    let mut line = || lines.next().unwrap_or_default();
    let Ok(declared) = Declaration::from_json(&line()) else {
        return false;
    };
    let first = Revision {
        collection: "things".to_owned(),
        parent: None,
        lenses: declared.lenses(),
        indexes: declared.indexes,
        search: declared.search,
    };
    let Ok(lenses) = lenses_from_json(&line()) else {
        return false;
    };
    let second = Revision {
        parent: Some(first.id()),
        lenses,
        indexes: Vec::new(),
        search: Vec::new(),
        ..first.clone()
    };
    let known = [first, second].map(|revision| Known { revision, made: 0 });
    let chain = Chain::build("things", known.to_vec());
    let held = line();
    for (_, id, _) in chain.revisions() {
        if let Some(view) = chain.projection(&id) {
            let shown = view.read(&held);
            if held.is_object()
                && let Ok(writes) = view.put(&held, &shown, true)
            {
                assert_eq!(preview(&view, &held, writes), shown, "there and back again");
            }
            let _ = view.faults(&held);
            let _ = view.put(&held, &held, true);
        }
    }
    chain.len() == 2
}
