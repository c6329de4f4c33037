//! What must hold of schemas, shown on chains that are made at random.

mod laws;
mod lenses;
mod random;
mod writes;

use serde_json::{Value, json};

use crate::{Chain, Declaration, Known, Projection, Revision, lenses_from_json};

/// A chain of revisions: a declaration, then lenses for each further one.
pub(crate) fn chain(fields: Value, further: &[Value]) -> Chain {
    let declared = Declaration::from_json(&json!({ "fields": fields })).unwrap();
    let mut revisions = vec![Revision {
        collection: "things".into(),
        parent: None,
        lenses: declared.lenses(),
        indexes: Vec::new(),
        search: Vec::new(),
    }];
    for lenses in further {
        revisions.push(Revision {
            parent: revisions.last().map(Revision::id),
            lenses: lenses_from_json(lenses).unwrap(),
            ..revisions[0].clone()
        });
    }
    let known = revisions
        .into_iter()
        .map(|revision| Known { revision, made: 0 });
    let chain = Chain::build("things", known.collect());
    assert_eq!(chain.aside(), []);
    chain
}

/// The projection of a revision by its number.
pub(crate) fn seen(chain: &Chain, number: usize) -> Projection {
    let id = chain.find(&number.to_string()).unwrap();
    chain.projection(&id).unwrap()
}
