//! The schemas of a space: kept as documents of the reserved collection `@schema`, one a collection.
//!
//! Owns how revisions are found in those documents, who may add one, and what is remembered of them
//! between calls. What a revision means is `core/schema`'s business.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use stead_access::{Action, Path};
use stead_base::{DocId, SpaceId};
use stead_schema::{Chain, Known, Projection, Revision, RevisionId};
use stead_store::{Read, StoreError};

use crate::writing::Writing;
use crate::{Change, Edit, Replica, ReplicaError};

/// The collection that holds schemas.
pub const SCHEMAS: &str = "@schema";
/// The field of a schema's document that holds its revisions, by their ids.
const REVISIONS: &str = "revisions";
/// The encoded revision, in hexadecimal digits.
const BODY: &str = "body";
/// When it was made, as its author says: hybrid time in its 64-bit form.
const MADE: &str = "made";
/// Chains remembered by one reader.
const REMEMBERED_MAX: usize = 256;

/// Which revision an app speaks, a collection: by its number, or by the first digits of its id. The
/// newest, where nothing is said.
pub type Speaks = BTreeMap<String, String>;
/// What stands in place of a revision to read and write documents as they are held, by keys. No
/// revision can be called so.
pub const AS_HELD: &str = "none";

/// Whether a collection is one of those that Stead keeps for itself.
pub fn is_reserved(collection: &str) -> bool {
    collection.starts_with('@')
}

/// The path that one must manage to change the schema of a collection.
pub(crate) fn managed_path(collection: &str) -> Option<Path> {
    Path::of([collection]).ok()
}

/// A collection's revisions as this device knows them.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Their line.
    pub chain: Chain,
    /// What stands in the schema's document and is no revision of the collection, and why.
    pub unreadable: Vec<(String, String)>,
}

impl Schema {
    /// Reads the JSON of a schema's document. Whatever it holds, the rest is read.
    pub(crate) fn read(collection: &str, document: &Value) -> Self {
        let (mut known, mut unreadable) = (Vec::new(), Vec::new());
        let revisions = document.get(REVISIONS).and_then(Value::as_object);
        for (id, entry) in revisions.into_iter().flatten() {
            match read_revision(collection, id, entry) {
                Ok(revision) => known.push(revision),
                Err(why) => unreadable.push((id.clone(), why)),
            }
        }
        Self {
            chain: Chain::build(collection, known),
            unreadable,
        }
    }

    /// The projection of the revision that an app speaks; `None` if the collection has none.
    pub fn projection(&self, wanted: Option<&str>) -> Result<Option<Projection>, ReplicaError> {
        let id = match wanted {
            Some(wanted) => self.chain.find(wanted).map_err(refused)?,
            None => match self.chain.newest() {
                Some(newest) => newest,
                None => return Ok(None),
            },
        };
        Ok(self.chain.projection(&id))
    }
}

fn read_revision(collection: &str, id: &str, entry: &Value) -> Result<Known, String> {
    let body = entry
        .get(BODY)
        .and_then(Value::as_str)
        .and_then(from_hex)
        .ok_or("it has no readable content")?;
    let revision =
        Revision::decode(&body).map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })?;
    if revision.id().to_string() != id {
        return Err("its content is not what its id says".to_owned());
    }
    if revision.collection != collection {
        return Err(format!("it belongs to {:?}", revision.collection));
    }
    // A time that is no time is the latest: it loses against every other.
    let made = entry.get(MADE).and_then(Value::as_u64).unwrap_or(u64::MAX);
    Ok(Known { revision, made })
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 2 * stead_schema::limits::REVISION_BYTES_MAX {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

pub(crate) fn refused(error: impl std::fmt::Display) -> ReplicaError {
    ReplicaError::Refused(error.to_string())
}

/// The JSON of a collection's schema document, if there is one.
fn document<R: Read + ?Sized>(
    store: &R,
    space: &SpaceId,
    collection: &str,
) -> Result<Option<String>, StoreError> {
    let (Ok(id), Some(space)) = (DocId::parse(collection), store.space(space)?) else {
        return Ok(None);
    };
    let Some(no) = store.collection(space.no, SCHEMAS)? else {
        return Ok(None);
    };
    Ok(store
        .doc(no, &id)?
        .filter(|row| !row.deleted)
        .map(|row| row.json))
}

fn parse(collection: &str, json: &str) -> Option<Schema> {
    // What the store holds is JSON that this device wrote; anything else is no schema.
    let document = serde_json::from_str(json).ok()?;
    let schema = Schema::read(collection, &document);
    let is_nothing =
        schema.chain.is_empty() && schema.chain.aside().is_empty() && schema.unreadable.is_empty();
    (!is_nothing).then_some(schema)
}

/// Schemas that were read, by one who sees the store change from outside: a text that is the same is
/// not read again.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    schemas: BTreeMap<(SpaceId, String), RememberedSchema>,
}

/// The text that a schema was read from, and what it says.
type RememberedSchema = (String, Option<Arc<Schema>>);

impl Remembered {
    pub(crate) fn schema<R: Read + ?Sized>(
        &mut self,
        store: &R,
        space: &SpaceId,
        collection: &str,
    ) -> Result<Option<Arc<Schema>>, StoreError> {
        if is_reserved(collection) {
            return Ok(None);
        }
        let key = (*space, collection.to_owned());
        let Some(json) = document(store, space, collection)? else {
            self.schemas.remove(&key);
            return Ok(None);
        };
        if let Some((known, schema)) = self.schemas.get(&key)
            && *known == json
        {
            return Ok(schema.clone());
        }
        if self.schemas.len() >= REMEMBERED_MAX {
            self.schemas.clear();
        }
        let schema = parse(collection, &json).map(Arc::new);
        self.schemas.insert(key, (json, schema.clone()));
        Ok(schema)
    }
}

/// What a collection's newest schema and its newest projection are, as the writing side knows them.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    pub(crate) schema: Arc<Schema>,
    pub(crate) newest: Option<Arc<Projection>>,
}

/// Schemas that the one who writes has read: forgotten when a schema's document changes.
pub(crate) type Schemas = BTreeMap<(SpaceId, String), Option<Compiled>>;

impl Writing<'_> {
    /// The schema of a collection, if it has one.
    pub(crate) fn schema(
        &mut self,
        space: &SpaceId,
        collection: &str,
    ) -> Result<Option<Compiled>, ReplicaError> {
        if is_reserved(collection) {
            return Ok(None);
        }
        let key = (*space, collection.to_owned());
        if let Some(known) = self.schemas.get(&key) {
            return Ok(known.clone());
        }
        let json = document(&self.tx, space, collection)?;
        let compiled = json
            .and_then(|json| parse(collection, &json))
            .map(|schema| {
                let newest = schema.chain.newest();
                let newest = newest.and_then(|id| schema.chain.projection(&id));
                Compiled {
                    schema: Arc::new(schema),
                    newest: newest.map(Arc::new),
                }
            });
        self.schemas.insert(key, compiled.clone());
        Ok(compiled)
    }

    /// The projection that an app's edits of a collection go through, if it has a schema and the edits
    /// are not of what is held.
    pub(crate) fn projection(
        &mut self,
        space: &SpaceId,
        collection: &str,
        speaks: &Speaks,
    ) -> Result<Option<Arc<Projection>>, ReplicaError> {
        let wanted = speaks.get(collection);
        if wanted.is_some_and(|wanted| wanted == AS_HELD) {
            return Ok(None);
        }
        match (self.schema(space, collection)?, wanted) {
            (Some(compiled), None) => Ok(compiled.newest),
            (Some(compiled), Some(wanted)) => {
                Ok(compiled.schema.projection(Some(wanted))?.map(Arc::new))
            }
            (None, None) => Ok(None),
            (None, Some(wanted)) => Err(ReplicaError::Refused(format!(
                "{collection} has no schema on this device, so there is no revision {wanted:?}"
            ))),
        }
    }
}

impl Replica {
    /// Adds a revision to the schema of its collection. It must be made from the newest one, or be
    /// there already. Needs the right to manage the collection.
    pub fn put_revision(
        &mut self,
        space: &SpaceId,
        revision: &Revision,
        now_ms: u64,
    ) -> Result<RevisionId, ReplicaError> {
        self.write(now_ms, |writing| writing.put_revision(space, revision))
    }

    /// The schema of a collection; `None` if it has none.
    pub fn schema(
        &self,
        space: &SpaceId,
        collection: &str,
    ) -> Result<Option<Schema>, ReplicaError> {
        let json = document(&self.store, space, collection)?;
        Ok(json.and_then(|json| parse(collection, &json)))
    }
}

impl Writing<'_> {
    fn put_revision(
        &mut self,
        space: &SpaceId,
        revision: &Revision,
    ) -> Result<RevisionId, ReplicaError> {
        let collection = &revision.collection;
        if is_reserved(collection) {
            return Err(ReplicaError::Refused(format!(
                "{collection} is kept by Stead itself and has no schema of yours"
            )));
        }
        let id = DocId::parse(collection).map_err(|error| {
            ReplicaError::Refused(format!(
                "{collection} cannot have a schema, its name is too long for that: {error}"
            ))
        })?;
        self.check_may_manage(space, collection)?;
        let chain = match self.schema(space, collection)? {
            Some(compiled) => compiled.schema.chain.clone(),
            None => Chain::empty(collection.clone()),
        };
        let made = chain.make(revision).map_err(refused)?;
        if chain.find(&made.to_string()).is_ok() {
            return Ok(made);
        }
        let hlc = self.clock.tick(self.now_ms);
        let edit = Edit {
            collection: SCHEMAS.to_owned(),
            id: Some(id),
            change: Change::Set {
                path: vec![REVISIONS.to_owned(), made.to_string()],
                value: json!({BODY: to_hex(&revision.encode()), MADE: hlc.to_u64()}),
            },
        };
        self.transact_unchecked(space, &[edit], &Speaks::new())?;
        Ok(made)
    }

    fn check_may_manage(&mut self, id: &SpaceId, collection: &str) -> Result<(), ReplicaError> {
        let device = self.keys.id();
        let space = self.space(id)?;
        let path = Path::of([collection]).map_err(refused)?;
        if space.roster.can(&device, &path, Action::Manage) {
            return Ok(());
        }
        let name = space.record.name.clone();
        Err(match space.roster.record_of(&device) {
            _ if space.is_member(&device) => ReplicaError::Refused(format!(
                "only who manages {path} in {name:?} changes its schema; ask a manager or an owner of the space"
            )),
            Some(_) => ReplicaError::Removed { space: name },
            None => ReplicaError::NotAdmitted { space: name },
        })
    }
}

#[cfg(test)]
mod tests;
