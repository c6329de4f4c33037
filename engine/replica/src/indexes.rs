//! Indexes of collections on this device: asked for by name or by a schema, built in steps between
//! other work.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use stead_base::SpaceId;
use stead_schema::{KeyPath, Projection};
use stead_store::{IndexKind, IndexOrigin, IndexProgress, IndexRow, IndexSpec, Read, StoreError};

use crate::schemas::SCHEMAS;
use crate::writing::{Merging, Writing};
use crate::{Replica, ReplicaError, ReplicaReader};

/// Where the store keeps which version of [`declared`] its indexes follow.
const DECLARES: &str = "declares";
/// Counted up when the same schema declares other indexes than before. 1: indexes know what documents that
/// lack a field are sorted as.
const DECLARES_NOW: u8 = 1;

/// The schemas that changed in a unit of work.
#[derive(Debug, Default)]
pub(crate) struct ChangedSchemas {
    one: BTreeSet<(SpaceId, String)>,
    all: BTreeSet<SpaceId>,
}

impl ChangedSchemas {
    /// The schema of a collection changed.
    pub(crate) fn one(&mut self, space: SpaceId, collection: String) {
        self.one.insert((space, collection));
    }

    /// Any schema of a space may have changed.
    pub(crate) fn all_of(&mut self, space: SpaceId) {
        self.all.insert(space);
    }
}

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
            let no = writing.collection_no(space, collection)?;
            Ok(writing.tx.remove_index(no, spec, origin)?)
        })
    }

    /// Takes up to `docs_max` more documents into the first index that is not complete. Returns
    /// whether there is more to do.
    pub fn build_indexes(&mut self, docs_max: u32, now_ms: u64) -> Result<bool, ReplicaError> {
        self.declare_again(now_ms)?;
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

    /// Has every collection indexed as its schema says today, where an earlier version of this program
    /// did it last.
    fn declare_again(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        if self.store.get_meta(DECLARES)?.as_deref() == Some(&[DECLARES_NOW]) {
            return Ok(());
        }
        let spaces = self.space_ids();
        self.unit(now_ms, Merging::Later, |writing| {
            for space in spaces {
                writing.changed_schemas.all_of(space);
            }
            writing.tx.put_meta(DECLARES, &[DECLARES_NOW])?;
            Ok::<_, ReplicaError>(())
        })
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

impl Writing<'_> {
    /// Has collections indexed as their newest revisions say, whose schemas changed.
    pub(crate) fn follow_schemas(&mut self) -> Result<(), ReplicaError> {
        let ChangedSchemas { mut one, all } = std::mem::take(&mut self.changed_schemas);
        for space in all {
            let named = self.collections_of_schemas(&space)?;
            one.extend(named.into_iter().map(|name| (space, name)));
        }
        for (space, collection) in one {
            if self.spaces.contains_key(&space) {
                self.follow_schema(&space, &collection)?;
            }
        }
        Ok(())
    }

    /// The collections of a space that have a schema, or an index because they had one.
    fn collections_of_schemas(
        &mut self,
        space: &SpaceId,
    ) -> Result<BTreeSet<String>, ReplicaError> {
        let mut names = BTreeSet::new();
        let Some(row) = self.tx.space(space)? else {
            return Ok(names);
        };
        for collection in self.tx.collections(row.no)? {
            let indexes = self.tx.indexes_of(collection.no)?;
            let is_schema = |index: &IndexRow| index.is_wanted(IndexOrigin::BySchema);
            if indexes.iter().any(is_schema) {
                names.insert(collection.name);
            } else if collection.name == SCHEMAS {
                self.tx.each_doc(collection.no, &mut |id, _| {
                    names.insert(id.to_string());
                    ControlFlow::Continue(())
                })?;
            }
        }
        Ok(names)
    }

    fn follow_schema(&mut self, space: &SpaceId, collection: &str) -> Result<(), ReplicaError> {
        let compiled = self.schema(space, collection)?;
        let newest = compiled.and_then(|compiled| compiled.newest);
        let wanted = newest.map_or_else(Vec::new, |newest| declared(&newest));
        // What has no schema and no document has no index either.
        let space_no = self.space(space)?.no;
        let no = match (wanted.is_empty(), self.tx.collection(space_no, collection)?) {
            (_, Some(no)) => no,
            (true, None) => return Ok(()),
            (false, None) => self.collection_no(space, collection)?,
        };
        for row in self.tx.indexes_of(no)? {
            if row.is_wanted(IndexOrigin::BySchema) && !wanted.contains(&row.spec) {
                self.tx.remove_index(no, &row.spec, IndexOrigin::BySchema)?;
            }
        }
        for spec in &wanted {
            match self.tx.add_index(no, spec, IndexOrigin::BySchema) {
                Ok(_) => {}
                // Whatever a schema asks for, what it says of documents is taken in.
                Err(StoreError::Index(error)) => {
                    tracing::warn!(%error, collection, "an index of a schema is left out");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The indexes that a revision declares, over what documents hold.
fn declared(revision: &Projection) -> Vec<IndexSpec> {
    let fields = revision.indexes().iter().map(|index| {
        let held = index.iter().map(|field| revision.key_path(&field.path));
        let held: Option<Vec<KeyPath>> = held.collect();
        let held = held?.into_iter().map(|key| (key.path, key.absent));
        Some(IndexSpec::filled(held))
    });
    let held = |path: &Vec<String>| revision.key_path(path).map(|key| key.path);
    let texts = revision.search().iter().map(held).collect::<Option<_>>();
    let text = texts.map(|texts| IndexSpec::new(IndexKind::Text, texts));
    let text = text.filter(|spec| !spec.paths.is_empty());
    fields.flatten().chain(text).collect()
}
