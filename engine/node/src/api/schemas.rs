//! Calls about schemas, and what a client that speaks a revision is shown of documents.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use stead_api::{
    ApiError, Aside, ErrorKind, PAGE_DEFAULT, PAGE_MAX, Revision, Schema, SchemaCheck,
    SchemaChecked, SchemaFault, SchemaMade, SchemaPut, SchemaShow, Schemas, SortKey,
};
use stead_base::SpaceId;
use stead_replica::{AS_HELD, DocRow, ReplicaError, ReplicaReader};
use stead_schema::{
    Chain, Declaration, KeyPath, Known, Lens, Projection, SchemaError, Shown, Wanted,
    indexes_from_json, lenses_from_json, lenses_to_json, search_from_json,
};

use super::{Node, convert};
use crate::clock::wall_ms;
use crate::faults;

/// The projection of what a client speaks; none if the collection has no schema, or the client asks
/// for what is held.
pub(super) fn projection(
    reader: &mut ReplicaReader,
    space: &SpaceId,
    collection: &str,
    wanted: Option<&str>,
) -> Result<Option<Projection>, ReplicaError> {
    match wanted {
        Some(AS_HELD) => Ok(None),
        wanted => reader.projection(space, collection, wanted),
    }
}

/// A document as a client that speaks a revision sees it, and its faults in words; none if it is shown
/// as it is held.
pub(super) fn seen(
    reader: &mut ReplicaReader,
    space: &SpaceId,
    collection: &str,
    wanted: Option<&str>,
    row: &Option<DocRow>,
) -> Result<Option<(Value, Vec<String>)>, ReplicaError> {
    let (Some(projection), Some(row)) = (projection(reader, space, collection, wanted)?, row)
    else {
        return Ok(None);
    };
    let Ok(held) = serde_json::from_str(&row.json) else {
        return Ok(None);
    };
    let faults = reader.faults(space, &projection, &held)?;
    let words = faults.iter().map(ToString::to_string).collect();
    Ok(Some((projection.read(&held), words)))
}

/// How a client that speaks a revision sees the documents of a collection.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Option<Arc<Projection>>);

impl Seen {
    /// Makes of a document as it is held what the client sees.
    pub(super) fn over(&self, document: &mut Value) {
        if let Some(projection) = &self.0 {
            *document = projection.read(document);
        }
    }

    /// How who speaks the newest revision sees them.
    pub(super) fn newest(
        reader: &mut ReplicaReader,
        space: &SpaceId,
        collection: &str,
    ) -> Result<Self, ReplicaError> {
        let projection = projection(reader, space, collection, None)?;
        Ok(Self(projection.map(Arc::new)))
    }

    /// What the client sees of a document as it is held.
    pub(super) fn of<'v>(&self, held: &'v Value) -> Cow<'v, Value> {
        match &self.0 {
            Some(projection) => Cow::Owned(projection.read(held)),
            None => Cow::Borrowed(held),
        }
    }

    /// Where a field is held that the client names.
    pub(super) fn key(&self, path: &[String]) -> Result<KeyPath, ApiError> {
        let Some(projection) = &self.0 else {
            return Ok(KeyPath {
                path: path.to_vec(),
                shown: Shown::AsHeld,
                keeps_order: true,
                absent: None,
                kind: stead_schema::Kind::Any,
            });
        };
        projection.key_path(path).ok_or_else(|| {
            let names: Vec<&str> = projection.fields().keys().map(String::as_str).collect();
            ApiError::new(
                ErrorKind::InvalidParams,
                format!(
                    "Revision {} of {:?} has no field {:?}.",
                    projection.number(),
                    projection.collection(),
                    path.join(".")
                ),
            )
            .hint(format!("It has: {}.", names.join(", ")))
        })
    }

    /// The name that the client has for what is held at a path: the path itself, if it has none.
    pub(super) fn name_of(&self, held: &[String]) -> Vec<String> {
        let named = self.0.as_ref().and_then(|it| it.path_of(held));
        named.unwrap_or_else(|| held.to_vec())
    }

    /// An order for the store, by fields as they are held; refuses one that what is held does not follow.
    pub(super) fn order(&self, sort: &[SortKey]) -> Result<Vec<stead_store::SortKey>, ApiError> {
        let mut keys = convert::order(sort);
        let fields = keys.iter_mut().filter(|key| !key.path.is_empty());
        for key in fields.filter(|key| !convert::is_id(&key.path)) {
            let held = self.key(&key.path)?;
            if !held.keeps_order {
                return Err(ApiError::new(
                    ErrorKind::InvalidParams,
                    format!(
                        "Documents cannot be ordered by {:?}: it is held in another form, by an older revision.",
                        key.path.join(".")
                    ),
                )
                .hint("Order them by another field, or in the program."));
            }
            (key.path, key.or_else) = (held.path, held.absent);
        }
        Ok(keys)
    }
}

impl Node {
    /// How a client that speaks a revision sees the documents of a collection.
    pub(super) async fn seen(
        &self,
        space: SpaceId,
        collection: &str,
        wanted: Option<&str>,
    ) -> Result<Seen, ApiError> {
        let (collection, wanted) = (collection.to_owned(), wanted.map(str::to_owned));
        let projection = self
            .readers
            .read(move |reader| projection(reader, &space, &collection, wanted.as_deref()))
            .await?;
        Ok(Seen(projection.map(Arc::new)))
    }

    pub(super) async fn put_schema(&self, put: SchemaPut) -> Result<SchemaMade, ApiError> {
        let space = self.find_space(&put.space)?;
        self.check_edit(&space, &put.collection)?;
        let wanted = wanted(&put).map_err(refused)?;
        let (collection, dry_run) = (put.collection, put.dry_run);
        let made = self.store.change(move |desk| {
            let now = wall_ms();
            let replica = &mut desk.replica;
            let schema = match replica.schema(&space, &collection) {
                Ok(schema) => schema,
                Err(error) => return Err(faults::replica(&error)),
            };
            let chain = schema.map_or_else(|| Chain::empty(collection), |schema| schema.chain);
            let next = chain.evolve(wanted).map_err(refused)?;
            let Some(revision) = next else {
                let revision = described(&chain).pop().unwrap_or_default();
                return Ok(SchemaMade {
                    revision,
                    changed: false,
                });
            };
            if !dry_run && let Err(error) = replica.put_revision(&space, &revision, now) {
                return Err(faults::replica(&error));
            }
            let mut known: Vec<Known> = chain
                .revisions()
                .map(|(_, _, revision)| Known {
                    revision: revision.clone(),
                    made: 0,
                })
                .collect();
            known.push(Known { revision, made: 0 });
            let next = Chain::build(chain.collection(), known);
            Ok(SchemaMade {
                revision: described(&next).pop().unwrap_or_default(),
                changed: true,
            })
        });
        made.await?
    }

    pub(super) async fn show_schemas(&self, show: SchemaShow) -> Result<Schemas, ApiError> {
        let space = self.find_space(&show.space)?;
        let found = self.schemas_of(space, show.collection).await?;
        let schemas = found.into_iter().map(|(collection, schema)| Schema {
            collection,
            revisions: described(&schema.chain),
            aside: aside(&schema),
        });
        Ok(Schemas {
            schemas: schemas.collect(),
        })
    }

    /// The schemas of a space, or that of one collection, which must have one.
    async fn schemas_of(
        &self,
        space: SpaceId,
        collection: Option<String>,
    ) -> Result<Vec<(String, Arc<stead_replica::Schema>)>, ApiError> {
        let Some(collection) = collection else {
            return self
                .readers
                .read(move |reader| reader.schemas(&space))
                .await;
        };
        let wanted = collection.clone();
        let found = self
            .readers
            .read(move |reader| reader.schema(&space, &wanted))
            .await?;
        match found {
            Some(schema) => Ok(vec![(collection, schema)]),
            None => Err(ApiError::new(
                ErrorKind::NotFound,
                format!("{collection:?} has no schema."),
            )
            .hint("`stead schema set` gives it one.")),
        }
    }

    pub(super) async fn check_schemas(
        &self,
        check: SchemaCheck,
    ) -> Result<SchemaChecked, ApiError> {
        let space = self.find_space(&check.space)?;
        let limit = check.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX) as usize;
        self.checked(space, check.collection, limit).await
    }

    /// Looks at every document of the collections with a schema.
    pub(crate) async fn checked(
        &self,
        space: SpaceId,
        collection: Option<String>,
        limit: usize,
    ) -> Result<SchemaChecked, ApiError> {
        let mut all = SchemaChecked::default();
        for (collection, schema) in self.schemas_of(space, collection).await? {
            all.aside.extend(aside(&schema));
            let room = limit.saturating_sub(all.faults.len());
            let report = self
                .readers
                .read(move |reader| reader.check_schema(&space, &collection, room))
                .await?;
            all.documents += report.documents;
            all.faulty += report.faulty;
            all.faults
                .extend(report.faults.into_iter().map(|found| SchemaFault {
                    collection: found.collection,
                    id: found.id.to_string(),
                    path: found.fault.path,
                    expected: found.fault.expected,
                    found: found.fault.found,
                }));
        }
        Ok(all)
    }
}

fn refused(error: SchemaError) -> ApiError {
    let kind = match &error {
        SchemaError::NoRevision { .. } | SchemaError::NoParent { .. } => ErrorKind::NotFound,
        _ => ErrorKind::InvalidParams,
    };
    faults::sentence(kind, &error)
}

fn wanted(put: &SchemaPut) -> Result<Wanted, SchemaError> {
    fn read<T>(
        json: &Option<Value>,
        read: fn(&Value) -> Result<T, SchemaError>,
    ) -> Result<Option<T>, SchemaError> {
        json.as_ref().map(read).transpose()
    }
    Ok(Wanted {
        lenses: read(&put.lenses, lenses_from_json)?.unwrap_or_default(),
        declaration: read(&put.declaration, Declaration::from_json)?,
        indexes: read(&put.indexes, indexes_from_json)?,
        search: read(&put.search, search_from_json)?,
    })
}

/// The revisions of a chain for a client, the first one first.
fn described(chain: &Chain) -> Vec<Revision> {
    chain
        .revisions()
        .map(|(number, id, revision)| {
            let fields = chain.fields(&id).map(|(_, fields)| fields);
            let declaration = Declaration {
                fields: fields.unwrap_or_default(),
                indexes: revision.indexes.clone(),
                search: revision.search.clone(),
            };
            Revision {
                number,
                id: id.to_string(),
                parent: revision.parent.map(|parent| parent.to_string()),
                lenses: lenses_to_json(&revision.lenses),
                words: revision.lenses.iter().map(Lens::in_words).collect(),
                declaration: declaration.to_json(),
            }
        })
        .collect()
}

fn aside(schema: &stead_replica::Schema) -> Vec<Aside> {
    let branches = schema.chain.aside().iter().map(|aside| Aside {
        id: aside.id.to_string(),
        why: aside.why.to_string(),
    });
    let unreadable = schema.unreadable.iter().map(|(id, why)| Aside {
        id: id.clone(),
        why: why.clone(),
    });
    branches.chain(unreadable).collect()
}
