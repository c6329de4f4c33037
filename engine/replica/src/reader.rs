//! Reading documents on another thread than the one that writes.

use stead_base::{DocId, SpaceId};
use stead_store::{DocRow, Found, Interrupt, Query, Read, Reader, StoreError};

use crate::{Replica, ReplicaError};

/// A read-only view of a device's documents: every call sees one committed moment.
#[derive(Debug)]
pub struct ReplicaReader {
    pub(crate) reader: Reader,
    pub(crate) remembered: crate::schemas::Remembered,
}

impl ReplicaReader {
    pub(crate) fn new(reader: Reader) -> Self {
        Self {
            reader,
            remembered: crate::schemas::Remembered::default(),
        }
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
