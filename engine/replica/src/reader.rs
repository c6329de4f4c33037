//! Reading documents on another thread than the one that writes.

use std::sync::Arc;

use stead_base::{DocId, SpaceId};
use stead_schema::{KeyPath, Projection, Shown};
use stead_store::{
    DocRow, Found, Grouped, Grouping, Interrupt, Plan, Query, Read, Reader, SqlAnswer, SqlHeld,
    SqlSeen, SqlView, StoreError,
};

use crate::{Replica, ReplicaError};

/// A read-only view of a device's documents: every call sees one committed moment.
#[derive(Debug)]
pub struct ReplicaReader {
    pub(crate) reader: Reader,
    pub(crate) remembered: crate::schemas::Remembered,
}

/// A connection as a reader of documents.
pub(crate) fn connected(
    reader: Result<Reader, stead_store::OpenError>,
) -> Result<ReplicaReader, ReplicaError> {
    reader
        .map(ReplicaReader::new)
        .map_err(|error| ReplicaError::Refused(error.to_string()))
}

impl ReplicaReader {
    fn new(reader: Reader) -> Self {
        Self {
            reader,
            remembered: crate::schemas::Remembered::default(),
        }
    }

    /// Another of the same store: for who met an error of the disk, as this one may read nothing more.
    pub fn again(&self) -> Result<Self, ReplicaError> {
        connected(self.reader.again())
    }

    pub(crate) const fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(crate) fn at_one_moment<T>(
        &mut self,
        f: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.reader.at_one_moment(f)
    }

    /// Groups the documents of a collection that a query asks for.
    pub fn group(
        &mut self,
        space: &SpaceId,
        collection: &str,
        query: Query,
        grouping: &Grouping,
    ) -> Result<Vec<Grouped>, ReplicaError> {
        Ok(self
            .reader
            .at_one_moment(|reader| match collection_of(reader, space, collection)? {
                Some(collection) => reader.group(
                    &Query {
                        collection,
                        ..query
                    },
                    grouping,
                ),
                None => Ok(Vec::new()),
            })?)
    }

    /// How a query would be answered. None if there is no such collection.
    pub fn explain(
        &mut self,
        space: &SpaceId,
        collection: &str,
        query: Query,
    ) -> Result<Option<Plan>, ReplicaError> {
        Ok(self
            .reader
            .at_one_moment(|reader| match collection_of(reader, space, collection)? {
                Some(collection) => reader
                    .explain(&Query {
                        collection,
                        ..query
                    })
                    .map(Some),
                None => Ok(None),
            })?)
    }

    /// A document, deleted or not. None if there is none of that id.
    pub fn get(
        &mut self,
        space: &SpaceId,
        collection: &str,
        id: &DocId,
    ) -> Result<Option<DocRow>, ReplicaError> {
        Ok(self
            .reader
            .at_one_moment(|reader| get(reader, space, collection, id))?)
    }

    /// The documents of a collection that a query asks for; its `collection` is filled in here.
    pub fn query(
        &mut self,
        space: &SpaceId,
        collection: &str,
        query: Query,
    ) -> Result<Vec<Found>, ReplicaError> {
        Ok(self
            .reader
            .at_one_moment(|reader| find(reader, space, collection, query))?)
    }

    /// How many documents a query would find without its limit.
    pub fn count(
        &mut self,
        space: &SpaceId,
        collection: &str,
        query: Query,
    ) -> Result<u64, ReplicaError> {
        Ok(self
            .reader
            .at_one_moment(|reader| count(reader, space, collection, query))?)
    }

    /// Names of the collections of a space, with how many documents are in each.
    pub fn collections(&mut self, space: &SpaceId) -> Result<Vec<(String, u64)>, ReplicaError> {
        Ok(self
            .reader
            .at_one_moment(|reader| collections(reader, space))?)
    }

    /// Stops a running query from another thread.
    pub fn interrupt(&self) -> Interrupt {
        self.reader.interrupt()
    }
}

/// Runs people's SQL over the collections of one space, each as the newest revision of its schema shows it.
#[derive(Debug)]
pub struct SqlReader {
    sandbox: stead_store::Sandbox,
    memory: fn() -> Option<u64>,
    remembered: crate::schemas::Remembered,
}

impl SqlReader {
    /// Makes one of a reader; `memory` tells the bytes that the process holds, where it can.
    pub fn new(reader: ReplicaReader, memory: fn() -> Option<u64>) -> Result<Self, ReplicaError> {
        Ok(Self {
            sandbox: stead_store::Sandbox::new(reader.reader, memory)?,
            memory,
            remembered: reader.remembered,
        })
    }

    /// Another of the same store: for who met an error of the disk, as this one may read nothing more.
    pub fn again(&self) -> Result<Self, ReplicaError> {
        Self::new(connected(self.sandbox.reader().again())?, self.memory)
    }

    /// Runs one statement. `hidden` says of a collection whether it is left out (None), or which of
    /// its fields are.
    pub fn run(
        &mut self,
        space: &SpaceId,
        sql: &str,
        rows_max: usize,
        hidden: impl Fn(&str) -> Option<Vec<String>>,
    ) -> Result<SqlAnswer, ReplicaError> {
        let reader = self.sandbox.reader();
        let collections = match reader.space(space)? {
            Some(space) => reader.collections(space.no)?,
            None => Vec::new(),
        };
        let mut views = Vec::new();
        for row in collections {
            let Some(hidden) = hidden(&row.name) else {
                continue;
            };
            let schema = self.remembered.schema(reader, space, &row.name)?;
            let newest = match schema {
                Some(schema) => schema.projection(None)?,
                None => None,
            };
            views.push(SqlView {
                collection: row.no,
                name: row.name,
                hidden,
                seen: newest.map(seen_by),
            });
        }
        Ok(self.sandbox.run(&views, sql, rows_max)?)
    }
}

/// What a revision shows of documents.
fn seen_by(revision: Projection) -> SqlSeen {
    let fields = revision.fields().keys().map(|name| {
        let held = revision.key_path(std::slice::from_ref(name));
        let held = held.and_then(|KeyPath { path, shown, .. }| match shown {
            Shown::AsHeld => Some(SqlHeld {
                path,
                default: None,
            }),
            Shown::OrElse(default) => Some(SqlHeld {
                path,
                default: Some(default),
            }),
            Shown::Otherwise => None,
        });
        (name.clone(), held)
    });
    SqlSeen {
        fields: fields.collect(),
        look: Arc::new(move |held| {
            let held = serde_json::from_str(held).ok()?;
            Some(revision.read(&held).to_string())
        }),
    }
}

impl Replica {
    /// A document, deleted or not. None if there is none of that id.
    pub fn get(
        &self,
        space: &SpaceId,
        collection: &str,
        id: &DocId,
    ) -> Result<Option<DocRow>, ReplicaError> {
        Ok(get(&self.store, space, collection, id)?)
    }

    /// The documents of a collection that a query asks for; its `collection` is filled in here.
    pub fn query(
        &self,
        space: &SpaceId,
        collection: &str,
        query: Query,
    ) -> Result<Vec<Found>, ReplicaError> {
        Ok(find(&self.store, space, collection, query)?)
    }

    /// How many documents a query would find without its limit.
    pub fn count(
        &self,
        space: &SpaceId,
        collection: &str,
        query: Query,
    ) -> Result<u64, ReplicaError> {
        Ok(count(&self.store, space, collection, query)?)
    }

    /// Names of the collections of a space, with how many documents are in each.
    pub fn collections(&self, space: &SpaceId) -> Result<Vec<(String, u64)>, ReplicaError> {
        Ok(collections(&self.store, space)?)
    }
}

fn collection_of<R: Read + ?Sized>(
    store: &R,
    space: &SpaceId,
    collection: &str,
) -> Result<Option<stead_store::CollectionNo>, StoreError> {
    match store.space(space)? {
        Some(space) => store.collection(space.no, collection),
        None => Ok(None),
    }
}

fn get<R: Read + ?Sized>(
    store: &R,
    space: &SpaceId,
    collection: &str,
    id: &DocId,
) -> Result<Option<DocRow>, StoreError> {
    let Some(space) = store.space(space)? else {
        return Ok(None);
    };
    match store.collection(space.no, collection)? {
        Some(no) => store.doc(no, id),
        None => Ok(None),
    }
}

fn find<R: Read + ?Sized>(
    store: &R,
    space: &SpaceId,
    collection: &str,
    query: Query,
) -> Result<Vec<Found>, StoreError> {
    let Some(space) = store.space(space)? else {
        return Ok(Vec::new());
    };
    match store.collection(space.no, collection)? {
        Some(collection) => store.query(&Query {
            collection,
            ..query
        }),
        None => Ok(Vec::new()),
    }
}

fn count<R: Read + ?Sized>(
    store: &R,
    space: &SpaceId,
    collection: &str,
    query: Query,
) -> Result<u64, StoreError> {
    let Some(space) = store.space(space)? else {
        return Ok(0);
    };
    match store.collection(space.no, collection)? {
        Some(collection) => store.count(&Query {
            collection,
            ..query
        }),
        None => Ok(0),
    }
}

fn collections<R: Read + ?Sized>(
    store: &R,
    space: &SpaceId,
) -> Result<Vec<(String, u64)>, StoreError> {
    let Some(space) = store.space(space)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for collection in store.collections(space.no)? {
        let count = store.count(&Query::all(collection.no))?;
        if count > 0 {
            found.push((collection.name, count));
        }
    }
    Ok(found)
}
