//! Indexes of collections on this device: asked for by name, built in steps between other work.

use stead_base::SpaceId;
use stead_store::{IndexOrigin, IndexProgress, IndexRow, IndexSpec, Read};

use crate::writing::Merging;
use crate::{Replica, ReplicaError, ReplicaReader};

/// An index with the name of its collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexInfo {
    /// The collection's name.
    pub collection: String,
    /// The index.
    pub row: IndexRow,
    /// How far it is, where it is not complete.
    pub progress: Option<IndexProgress>,
}

impl Replica {
    /// Has a collection indexed. Returns whether the index is new.
    pub fn add_index(
        &mut self,
        space: &SpaceId,
        collection: &str,
        spec: &IndexSpec,
        origin: IndexOrigin,
        now_ms: u64,
    ) -> Result<bool, ReplicaError> {
        stead_doc::check_collection(collection)
            .map_err(|error| ReplicaError::Refused(error.to_string()))?;
        self.space(space)?;
        self.write(now_ms, |writing| {
            writing.began = true;
            let no = writing.collection_no(space, collection)?;
            Ok(writing.tx.add_index(no, spec, origin)?.1)
        })
    }

    /// An index is not wanted any more. Returns whether it was there and wanted.
    pub fn remove_index(
        &mut self,
        space: &SpaceId,
        collection: &str,
        spec: &IndexSpec,
        origin: IndexOrigin,
        now_ms: u64,
    ) -> Result<bool, ReplicaError> {
        self.space(space)?;
        self.write(now_ms, |writing| {
            writing.began = true;
            let no = writing.collection_no(space, collection)?;
            Ok(writing.tx.remove_index(no, spec, origin)?)
        })
    }

    /// Takes up to `docs_max` more documents into the first index that is not complete. Returns
    /// whether there is more to do.
    pub fn build_indexes(&mut self, docs_max: u32, now_ms: u64) -> Result<bool, ReplicaError> {
        let indexes = self.store.all_indexes()?;
        let Some(row) = indexes.iter().find(|row| !row.is_complete()) else {
            return Ok(false);
        };
        self.unit(now_ms, Merging::Later, |writing| {
            writing.tx.build_index(row.no, docs_max)?;
            Ok::<_, ReplicaError>(())
        })?;
        Ok(true)
    }
}

impl ReplicaReader {
    /// The indexes of a space.
    pub fn indexes(&mut self, space: &SpaceId) -> Result<Vec<IndexInfo>, ReplicaError> {
        Ok(self.at_one_moment(|reader| {
            let Some(space) = reader.space(space)? else {
                return Ok(Vec::new());
            };
            let mut found = Vec::new();
            for collection in reader.collections(space.no)? {
                for row in reader.indexes_of(collection.no)? {
                    let progress = match row.is_complete() {
                        true => None,
                        false => Some(reader.index_progress(&row)?),
                    };
                    found.push(IndexInfo {
                        collection: collection.name.clone(),
                        row,
                        progress,
                    });
                }
            }
            Ok(found)
        })?)
    }
}
