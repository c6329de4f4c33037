//! Looks for documents that break the rules of their collection's newest revision, and for references
//! that lead nowhere. Both may come from elsewhere and then stay: this lists them.

use serde_json::Value;
use stead_base::{DocId, SpaceId};
use stead_schema::{Chain, Fault, Projection};
use stead_store::{CollectionNo, Cursor, Found, Query, Read, StoreError};

use crate::schemas::{Remembered, SCHEMAS, Schema, is_reserved};
use crate::{Replica, ReplicaError, ReplicaReader};
use std::sync::Arc;

/// Documents read at a time.
const STRIDE: u64 = 1_000;

/// A document that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// Its collection.
    pub collection: String,
    /// Which.
    pub id: DocId,
    /// Where, what is needed and what is there.
    pub fault: Fault,
}

/// What a check of a collection found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaReport {
    /// Documents looked at.
    pub documents: u64,
    /// Documents with faults.
    pub faulty: u64,
    /// The faults, up to a limit.
    pub faults: Vec<SchemaFault>,
}

impl ReplicaReader {
    /// The schema of a collection; `None` if it has none.
    pub fn schema(
        &mut self,
        space: &SpaceId,
        collection: &str,
    ) -> Result<Option<Arc<Schema>>, ReplicaError> {
        let remembered = &mut self.remembered;
        Ok(self
            .reader
            .at_one_moment(|reader| remembered.schema(reader, space, collection))?)
    }

    /// The projection of the revision that an app speaks; `None` if the collection has no schema.
    pub fn projection(
        &mut self,
        space: &SpaceId,
        collection: &str,
        wanted: Option<&str>,
    ) -> Result<Option<Projection>, ReplicaError> {
        match (self.schema(space, collection)?, wanted) {
            (Some(schema), wanted) => schema.projection(wanted),
            (None, None) => Ok(None),
            (None, Some(wanted)) => Err(ReplicaError::Refused(format!(
                "{collection} has no schema on this device, so there is no revision {wanted:?}"
            ))),
        }
    }

    /// The collections of a space that have a schema.
    pub fn schemas(&mut self, space: &SpaceId) -> Result<Vec<(String, Arc<Schema>)>, ReplicaError> {
        let remembered = &mut self.remembered;
        Ok(self
            .reader
            .at_one_moment(|reader| schemas(reader, remembered, space))?)
    }

    /// The faults of one document as it is held, references that lead nowhere included.
    pub fn faults(
        &mut self,
        space: &SpaceId,
        projection: &Projection,
        held: &Value,
    ) -> Result<Vec<Fault>, ReplicaError> {
        Ok(self
            .reader
            .at_one_moment(|reader| faults(reader, space, projection, None, held))?)
    }

    /// Looks at every document of a collection. Reports at most `limit` faults, and counts all.
    pub fn check_schema(
        &mut self,
        space: &SpaceId,
        collection: &str,
        limit: usize,
    ) -> Result<SchemaReport, ReplicaError> {
        let remembered = &mut self.remembered;
        Ok(self
            .reader
            .at_one_moment(|reader| check(reader, remembered, space, collection, limit))?)
    }
}

impl Replica {
    /// Looks at every document of a collection. Reports at most `limit` faults, and counts all.
    pub fn check_schema(
        &self,
        space: &SpaceId,
        collection: &str,
        limit: usize,
    ) -> Result<SchemaReport, ReplicaError> {
        let mut remembered = Remembered::default();
        Ok(check(
            &self.store,
            &mut remembered,
            space,
            collection,
            limit,
        )?)
    }
}

fn schemas<R: Read + ?Sized>(
    store: &R,
    remembered: &mut Remembered,
    space: &SpaceId,
) -> Result<Vec<(String, Arc<Schema>)>, StoreError> {
    let mut found = Vec::new();
    each(store, space, SCHEMAS, |_, document| {
        found.push(document.id.to_string());
        Ok(())
    })?;
    let mut schemas = Vec::with_capacity(found.len());
    for collection in found {
        if let Some(schema) = remembered.schema(store, space, &collection)? {
            schemas.push((collection, schema));
        }
    }
    Ok(schemas)
}

fn check<R: Read + ?Sized>(
    store: &R,
    remembered: &mut Remembered,
    space: &SpaceId,
    collection: &str,
    limit: usize,
) -> Result<SchemaReport, StoreError> {
    let mut report = SchemaReport::default();
    let Some(schema) = remembered.schema(store, space, collection)? else {
        return Ok(report);
    };
    let newest = schema.chain.newest();
    let Some(projection) = newest.and_then(|id| schema.chain.projection(&id)) else {
        return Ok(report);
    };
    each(store, space, collection, |store, document| {
        let held = serde_json::from_str(&document.json).unwrap_or_default();
        let found = faults(store, space, &projection, Some(&schema.chain), &held)?;
        report.documents += 1;
        report.faulty += u64::from(!found.is_empty());
        for fault in found {
            if report.faults.len() < limit {
                report.faults.push(SchemaFault {
                    collection: collection.to_owned(),
                    id: document.id.clone(),
                    fault,
                });
            }
        }
        Ok(())
    })?;
    Ok(report)
}

/// Every living document of a collection, in the order of ids.
fn each<R: Read + ?Sized>(
    store: &R,
    space: &SpaceId,
    collection: &str,
    mut f: impl FnMut(&R, Found) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some(no) = number(store, space, collection)? else {
        return Ok(());
    };
    let mut after: Option<Cursor> = None;
    loop {
        let found = store.query(&Query {
            after,
            limit: Some(STRIDE),
            ..Query::all(no)
        })?;
        let is_last = (found.len() as u64) < STRIDE;
        let last = found.last().map(|found| found.cursor(&[]));
        after = last.transpose()?;
        for document in found {
            f(store, document)?;
        }
        if is_last {
            return Ok(());
        }
    }
}

fn number<R: Read + ?Sized>(
    store: &R,
    space: &SpaceId,
    collection: &str,
) -> Result<Option<CollectionNo>, StoreError> {
    match store.space(space)? {
        Some(space) => store.collection(space.no, collection),
        None => Ok(None),
    }
}

fn faults<R: Read + ?Sized>(
    store: &R,
    space: &SpaceId,
    projection: &Projection,
    chain: Option<&Chain>,
    held: &Value,
) -> Result<Vec<Fault>, StoreError> {
    let mut faults = projection.faults(held);
    for reference in projection.references(&projection.read(held)) {
        let there = match DocId::parse(&reference.id) {
            Ok(id) if !is_reserved(&reference.collection) => {
                match number(store, space, &reference.collection)? {
                    Some(no) => store.doc(no, &id)?.is_some_and(|row| !row.deleted),
                    None => false,
                }
            }
            _ => false,
        };
        if !there {
            faults.push(Fault {
                path: reference.path,
                expected: "a document that is there".to_owned(),
                found: format!("a reference to {}/{}", reference.collection, reference.id),
            });
        }
    }
    if let Some(chain) = chain {
        faults.extend(chain.strangers(held).into_iter().map(|name| Fault {
            path: name,
            expected: "no field of that name in any revision".to_owned(),
            found: "one, which apps of the schema do not see".to_owned(),
        }));
    }
    Ok(faults)
}
