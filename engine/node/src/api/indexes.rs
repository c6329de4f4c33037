//! Calls about indexes: asked for here, built on the store thread between other work.

use std::collections::BTreeMap;

use stead_api::{
    ApiError, Done, ErrorKind, IndexAdd, IndexInfo, IndexList, IndexRemove, Indexes, Path,
};
use stead_base::SpaceId;
use stead_replica::SpaceInfo;
use stead_store::{IndexKind, IndexOrigin, IndexSpec};

use super::Node;
use super::schemas::Seen;
use crate::clock::wall_ms;
use crate::faults;

fn in_words(fields: &[Path]) -> String {
    let fields: Vec<String> = fields.iter().map(|path| path.join(".")).collect();
    fields.join(", ")
}

impl Node {
    pub(super) async fn add_index(&self, add: IndexAdd) -> Result<Done, ApiError> {
        let space = self.find_space(&add.space)?;
        self.veil(&space, &add.collection).check(&add.fields)?;
        let spec = self.spec(space, &add.collection, &add.fields, add.text);
        let (collection, spec) = (add.collection.clone(), spec.await?);
        let added = self.store.change(move |desk| {
            desk.index_more();
            desk.replica
                .add_index(&space, &collection, &spec, IndexOrigin::ByHand, wall_ms())
        });
        let fields = in_words(&add.fields);
        let message = match added.await?.map_err(|error| faults::replica(&error))? {
            true => format!("{} is being indexed by {fields}.", add.collection),
            false => format!("{} has an index by {fields} already.", add.collection),
        };
        Ok(Done { message })
    }

    pub(super) async fn remove_index(&self, remove: IndexRemove) -> Result<Done, ApiError> {
        let space = self.find_space(&remove.space)?;
        let spec = self.spec(space, &remove.collection, &remove.fields, remove.text);
        let (collection, spec) = (remove.collection.clone(), spec.await?);
        let removed = self.store.change(move |desk| {
            desk.replica
                .remove_index(&space, &collection, &spec, IndexOrigin::ByHand, wall_ms())
        });
        let fields = in_words(&remove.fields);
        match removed.await?.map_err(|error| faults::replica(&error))? {
            true => Ok(Done {
                message: format!(
                    "The index of {} by {fields} is not kept any more.",
                    remove.collection
                ),
            }),
            false => Err(ApiError::new(
                ErrorKind::NotFound,
                format!(
                    "Nobody asked for an index of {:?} by {fields} on this device.",
                    remove.collection
                ),
            )
            .hint("`stead index list` shows them; an index of a schema goes with the schema.")),
        }
    }

    /// An index over what documents hold of the fields that the newest revision names so.
    async fn spec(
        &self,
        space: SpaceId,
        collection: &str,
        fields: &[Path],
        text: bool,
    ) -> Result<IndexSpec, ApiError> {
        let seen = self.seen(space, collection, None).await?;
        let held = fields.iter().map(|path| seen.key(path));
        let held = held.collect::<Result<Vec<_>, ApiError>>()?.into_iter();
        Ok(match text {
            true => IndexSpec::new(IndexKind::Text, held.map(|key| key.path).collect()),
            false => IndexSpec::filled(held.map(|key| (key.path, key.absent))),
        })
    }

    pub(super) async fn list_indexes(&self, list: IndexList) -> Result<Indexes, ApiError> {
        let space = self.find_space(&list.space)?;
        let mut indexes = self.indexes_of(space).await?;
        indexes.retain(|index| {
            let wanted = list.collection.as_ref();
            wanted.is_none_or(|wanted| *wanted == index.collection)
        });
        Ok(Indexes { indexes })
    }

    pub(super) async fn indexes_of(&self, space: SpaceId) -> Result<Vec<IndexInfo>, ApiError> {
        let read = self.readers.read(move |reader| {
            let mut told = Vec::new();
            let mut known: BTreeMap<String, Seen> = BTreeMap::new();
            for index in reader.indexes(&space)? {
                if !known.contains_key(&index.collection) {
                    let seen = Seen::newest(reader, &space, &index.collection)?;
                    known.insert(index.collection.clone(), seen);
                }
                let seen = &known[&index.collection];
                let held = index.row.spec.paths.iter();
                told.push(IndexInfo {
                    space: String::new(),
                    text: index.row.spec.kind == IndexKind::Text,
                    by_hand: index.row.is_wanted(IndexOrigin::ByHand),
                    by_schema: index.row.is_wanted(IndexOrigin::BySchema),
                    complete: index.row.is_complete(),
                    done: index.progress.map_or(0, |progress| progress.done),
                    total: index.progress.map_or(0, |progress| progress.total),
                    fields: held.map(|path| seen.name_of(path)).collect(),
                    collection: index.collection,
                });
            }
            Ok(told)
        });
        read.await
    }

    /// The indexes that are not complete, for the status.
    pub(crate) async fn indexing(&self, spaces: &[SpaceInfo]) -> Result<Vec<IndexInfo>, ApiError> {
        let mut building = Vec::new();
        for space in spaces {
            let of_space = self.indexes_of(space.id).await?;
            building.extend(
                of_space
                    .into_iter()
                    .filter(|index| !index.complete)
                    .map(|index| IndexInfo {
                        space: space.name.clone(),
                        ..index
                    }),
            );
        }
        Ok(building)
    }
}
