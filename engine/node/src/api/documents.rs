//! Calls about documents: edits, reads, queries.

use std::collections::{BTreeMap, BTreeSet};

use std::time::Duration;

use serde_json::Value;
use stead_api::{
    ApiError, Commit, DocGet, DocGot, DocPut, DocQuery, ErrorKind, GroupBy, GroupRow, Join,
    PAGE_DEFAULT, PAGE_MAX, Page, Path, QueryPlan,
};
use stead_base::{DocId, SpaceId};
use stead_replica::{AS_HELD, ReplicaError, ReplicaReader};
use stead_schema::{KeyPath, Shown};
use stead_store::{
    Aggregate, CollectionNo, Cursor, Filter, Found, GroupKey, Grouped, Grouping, IndexKind,
    Measure, NoLookup, Query, QueryError, StoreError, Tally, fits,
};
use tokio::sync::oneshot;

use super::conditions::held;
use super::schemas::{self, Seen};
use super::veil::Veil;
use super::{Node, convert};
use crate::faults;
use crate::store_thread::Transaction;

/// Documents read at a time while looking for those that fit.
pub(super) const STRIDE: u64 = 1_000;
/// A page is closed when its documents take this much.
const PAGE_BYTES_MAX: usize = 16 << 20;

/// Documents found, and where to go on when more follow.
type Part = (Vec<(DocId, Value)>, Option<Cursor>);

/// The outcome of a transaction, on its way.
pub(crate) type Outcome = oneshot::Receiver<Result<Commit, ApiError>>;

/// A search waits this long for its index to be built.
const INDEX_WAIT: Duration = Duration::from_secs(20);
/// How often it looks whether it is.
const INDEX_LOOK: Duration = Duration::from_millis(50);

impl Node {
    pub(super) fn find_space(&self, wanted: &str) -> Result<SpaceId, ApiError> {
        convert::find_space(&self.board.names.borrow(), wanted)
    }

    /// Hands in a transaction; calls of one client keep their order.
    pub(super) async fn put(&self, put: DocPut) -> Result<Outcome, ApiError> {
        let space = self.find_space(&put.space)?;
        for edit in &put.edits {
            self.check_edit(&space, &edit.collection)?;
        }
        self.check_spoken(space, &put.revisions).await?;
        self.bring_edited(space, &put).await?;
        let key = match put.idempotency_key {
            None => None,
            Some(key) => {
                let call = serde_json::to_vec(&(&put.edits, &put.revisions)).map_err(|error| {
                    ApiError::new(ErrorKind::Internal, faults::capitalized(&error.to_string()))
                })?;
                Some((key, stead_crypt::hash::digest(&call)))
            }
        };
        let edits = put
            .edits
            .into_iter()
            .map(convert::edit)
            .collect::<Result<Vec<_>, _>>()?;
        let speaks = put.revisions;
        let transaction = Transaction {
            space,
            edits,
            key,
            speaks,
        };
        self.store.transact(transaction).await
    }

    /// Has come what is to be changed, where only a part of the space is here.
    async fn bring_edited(&self, space: SpaceId, put: &DocPut) -> Result<(), ApiError> {
        let mut names = BTreeSet::new();
        for edit in &put.edits {
            if let Some(id) = &edit.id {
                names.insert((edit.collection.clone(), convert::doc_id(id)?));
            }
        }
        self.bring(space, names).await
    }

    /// Refuses to write past a schema: only what Stead itself takes back is written as it is held.
    async fn check_spoken(
        &self,
        space: SpaceId,
        revisions: &BTreeMap<String, String>,
    ) -> Result<(), ApiError> {
        let as_held = revisions.iter().filter(|(_, wanted)| *wanted == AS_HELD);
        for (collection, _) in as_held {
            let name = collection.clone();
            let schema = self
                .readers
                .read(move |reader| reader.schema(&space, &name))
                .await?;
            if schema.is_some() {
                let message =
                    format!("{collection:?} is written through a revision of its schema.");
                return Err(ApiError::new(ErrorKind::InvalidParams, message).hint(
                    "`none` only shows documents as they are held. The newest revision is spoken where none is named.",
                ));
            }
        }
        Ok(())
    }

    pub(super) async fn get(&self, get: DocGet) -> Result<DocGot, ApiError> {
        let space = self.find_space(&get.space)?;
        let id = convert::doc_id(&get.id)?;
        self.bring_one(space, &get.collection, &id).await?;
        let (collection, wanted) = (get.collection.clone(), id.clone());
        let spoken = get.revision.clone();
        let (found, seen) = self
            .readers
            .read(move |reader| {
                let row = reader.get(&space, &collection, &wanted)?;
                let seen = schemas::seen(reader, &space, &collection, spoken.as_deref(), &row)?;
                Ok((row, seen))
            })
            .await?;
        match found.filter(|row| get.deleted || !row.deleted) {
            Some(row) => {
                let mut doc = convert::document(&id, &row.json, row.deleted)?;
                let mut faults = Vec::new();
                if let Some(seen) = seen {
                    (doc.value, faults) = seen;
                }
                self.veil(&space, &get.collection).over(&mut doc.value);
                Ok(DocGot { doc, faults })
            }
            None => Err(ApiError::new(
                ErrorKind::NotFound,
                format!("There is no document {:?} in {:?}.", get.id, get.collection),
            )
            .hint("`stead query` shows what is there.")),
        }
    }

    /// Answers a query. A search waits for the index that it needs, as long as a person waits for
    /// an answer, and then says how far it is.
    pub(super) async fn query(&self, ask: DocQuery) -> Result<Page, ApiError> {
        if ask.search.is_none() || ask.explain {
            return self.query_now(ask).await;
        }
        let deadline = tokio::time::Instant::now() + INDEX_WAIT;
        loop {
            let answer = self.query_now(ask.clone()).await;
            let is_unfinished = matches!(&answer, Err(error) if error.kind == ErrorKind::Busy);
            let space = self.find_space(&ask.space)?;
            let indexes = match is_unfinished {
                true => self.indexes_of(space).await?,
                false => return answer,
            };
            let built = indexes
                .into_iter()
                .find(|index| index.text && !index.complete && index.collection == ask.collection);
            // Another kind of being busy, or it was finished just now.
            let Some(index) = built else {
                return self.query_now(ask).await;
            };
            if tokio::time::Instant::now() >= deadline {
                let message = format!(
                    "The text index of {:?} is being built: {} of {} documents are in it.",
                    ask.collection, index.done, index.total
                );
                return Err(ApiError::new(ErrorKind::Busy, message).hint(
                    "It is built in the background; `stead index list` shows how far it is.",
                ));
            }
            tokio::time::sleep(INDEX_LOOK).await;
        }
    }

    async fn query_now(&self, mut ask: DocQuery) -> Result<Page, ApiError> {
        let space = self.find_space(&ask.space)?;
        ask.filters = self.hold_references(space, ask.filters).await?;
        let limit = u64::from(ask.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX)) as usize;
        let spoken = ask.revision.as_deref();
        let seen = self.seen(space, &ask.collection, spoken).await?;
        let search = Search::new(self, &space, &ask, seen)?;
        if let Some(at_ms) = ask.at_ms {
            return self.query_earlier(space, ask, search, limit, at_ms).await;
        }
        let veils: Vec<Veil> = ask
            .join
            .iter()
            .map(|join| self.veil(&space, &join.collection))
            .collect();
        let partial = self.is_partial(space, &ask.collection).await?;
        let page = self
            .readers
            .read(move |reader| {
                if ask.explain {
                    return Ok(Ok(search.explain(reader, &space, &ask.collection)?));
                }
                if let Some(group) = &ask.group {
                    return search.group(reader, &space, &ask.collection, group);
                }
                let page = search.page(reader, &space, &ask.collection, limit, ask.count)?;
                match page {
                    Ok(mut page) => {
                        Ok(join(reader, &space, &ask.join, &veils, &mut page)?.map(|()| page))
                    }
                    Err(error) => Ok(Err(error)),
                }
            })
            .await?;
        page.map(|page| Page { partial, ..page })
    }
}

/// Adds the documents that those of a page refer to.
fn join(
    reader: &mut ReplicaReader,
    space: &SpaceId,
    joins: &[Join],
    veils: &[Veil],
    page: &mut Page,
) -> Result<Result<(), ApiError>, ReplicaError> {
    let mut bytes = 0;
    for (join, veil) in joins.iter().zip(veils) {
        let seen = Seen::newest(reader, space, &join.collection)?;
        for doc in &page.docs {
            let field = join
                .path
                .iter()
                .try_fold(&doc.value, |value, name| value.get(name));
            let names = match field {
                Some(name @ Value::String(_)) => std::slice::from_ref(name),
                Some(Value::Array(names)) => names,
                _ => &[],
            };
            for name in names.iter().filter_map(Value::as_str) {
                let own = name.strip_prefix(&join.collection[..]);
                let own = own.and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
                let key = format!("{}/{own}", join.collection);
                let Ok(id) = DocId::parse(own) else { continue };
                if page.joined.contains_key(&key) || bytes > PAGE_BYTES_MAX {
                    continue;
                }
                let row = reader.get(space, &join.collection, &id)?;
                if let Some(row) = row.filter(|row| !row.deleted) {
                    bytes += row.json.len();
                    match convert::document(&id, &row.json, false) {
                        Ok(mut other) => {
                            seen.over(&mut other.value);
                            veil.over(&mut other.value);
                            page.joined.insert(key, other.value);
                        }
                        Err(error) => return Ok(Err(error)),
                    }
                }
            }
        }
    }
    Ok(Ok(()))
}

/// A query, with what is decided here about it.
pub(super) struct Search {
    pub(super) query: Query,
    /// Conditions on what is not held as it is seen: asked of what is seen.
    here: Vec<Filter>,
    deleted: bool,
    pub(super) veil: Veil,
    seen: Seen,
}

impl Search {
    pub(super) fn new(
        node: &Node,
        space: &SpaceId,
        ask: &DocQuery,
        seen: Seen,
    ) -> Result<Self, ApiError> {
        node.check_veil(space, ask)?;
        let fault = |error: QueryError| faults::store(&StoreError::Query(error));
        let after = ask.after.as_deref().map(str::parse::<Cursor>).transpose();
        let search = ask.search.as_deref().map(str::parse).transpose();
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for filter in &ask.filters {
            match held(filter, &seen)? {
                Some(filter) => there.push(filter),
                None => here.push(filter.clone()),
            }
        }
        let query = Query {
            filter: convert::filters(&there)?,
            search: search.map_err(fault)?,
            sort: seen.order(&ask.sort)?,
            after: after.map_err(fault)?,
            include_deleted: ask.deleted,
            ..Query::all(CollectionNo(0))
        };
        Ok(Self {
            query,
            here: convert::filters(&here)?,
            deleted: ask.deleted,
            veil: node.veil(space, &ask.collection),
            seen,
        })
    }

    /// Makes of a document as it is held what the client sees.
    pub(super) fn show(&self, document: &mut Value) {
        self.seen.over(document);
        self.veil.over(document);
    }

    /// Whether a document that the store finds fits as it is seen.
    pub(super) fn fits_here(&self, id: &str, document: &Value) -> bool {
        fits(&self.here, id, document, &NoLookup)
    }

    /// Whether conditions are left that the store cannot ask.
    pub(super) fn is_partly_here(&self) -> bool {
        !self.here.is_empty()
    }

    fn explain(
        &self,
        reader: &mut ReplicaReader,
        space: &SpaceId,
        collection: &str,
    ) -> Result<Page, ReplicaError> {
        let query = Query {
            limit: Some(u64::from(PAGE_DEFAULT)),
            ..self.query.clone()
        };
        let plan = reader.explain(space, collection, query)?;
        let plan = plan.map(|plan| QueryPlan {
            text: matches!(plan.index, Some((IndexKind::Text, _))),
            index: plan.index.map(|(_, paths)| {
                let named = paths.iter().map(|path| self.seen.name_of(path));
                named.collect()
            }),
            reason: plan.reason,
            steps: plan.steps,
        });
        Ok(Page {
            plan: Some(plan.unwrap_or_else(|| QueryPlan {
                reason: "There is no such collection yet.".to_owned(),
                ..QueryPlan::default()
            })),
            ..Page::default()
        })
    }

    fn group(
        &self,
        reader: &mut ReplicaReader,
        space: &SpaceId,
        collection: &str,
        group: &GroupBy,
    ) -> Result<Result<Page, ApiError>, ReplicaError> {
        let (grouping, is_here) = match self.grouping(group) {
            Ok(grouping) => grouping,
            Err(error) => return Ok(Err(error)),
        };
        let groups = match is_here {
            true => match self.group_here(reader, space, collection, &grouping)? {
                Ok(groups) => groups,
                Err(error) => return Ok(Err(error)),
            },
            false => reader.group(space, collection, self.query.clone(), &grouping)?,
        };
        let groups = groups.into_iter().map(|group| GroupRow {
            by: group.by,
            count: group.count,
            measures: group.measures,
        });
        Ok(Ok(Page {
            groups: Some(groups.collect()),
            ..Page::default()
        }))
    }

    /// A grouping by what documents hold; or by what is seen of them, and true, where that is read document by document.
    fn grouping(&self, group: &GroupBy) -> Result<(Grouping, bool), ApiError> {
        let measured = group.measures.iter().map(|measure| &measure.path);
        let keys = group.by.iter().chain(measured).map(|path| {
            let key = self.seen.key(path)?;
            Ok((path, key))
        });
        let keys: Vec<(&Path, KeyPath)> = keys.collect::<Result<_, ApiError>>()?;
        let is_otherwise = |(_, key): &(&Path, KeyPath)| key.shown == Shown::Otherwise;
        let is_here = self.is_partly_here() || keys.iter().any(is_otherwise);
        let mut keys = keys.into_iter().map(|(path, key)| match is_here {
            true => GroupKey {
                path: path.clone(),
                or_else: None,
            },
            false => GroupKey {
                path: key.path,
                or_else: key.absent,
            },
        });
        let by = keys.by_ref().take(group.by.len()).collect();
        let measures = group.measures.iter().zip(keys);
        let measures = measures.map(|(measure, of)| Measure {
            aggregate: match measure.of {
                stead_api::Aggregate::Count => Aggregate::Count,
                stead_api::Aggregate::Sum => Aggregate::Sum,
                stead_api::Aggregate::Avg => Aggregate::Avg,
                stead_api::Aggregate::Min => Aggregate::Min,
                stead_api::Aggregate::Max => Aggregate::Max,
            },
            of,
        });
        let measures = measures.collect();
        Ok((Grouping { by, measures }, is_here))
    }

    /// Groups what fits by what is seen of it.
    fn group_here(
        &self,
        reader: &mut ReplicaReader,
        space: &SpaceId,
        collection: &str,
        grouping: &Grouping,
    ) -> Result<Result<Vec<Grouped>, ApiError>, ReplicaError> {
        let fault = |error: QueryError| faults::store(&StoreError::Query(error));
        let mut groups = match Tally::new(grouping, &self.query) {
            Ok(groups) => groups,
            Err(error) => return Ok(Err(fault(error))),
        };
        let mut failed = None;
        let walked = self.each(reader, space, collection, STRIDE, |found, value| {
            failed = groups.add(&found.id.to_string(), &value).err();
            failed.is_none()
        })?;
        Ok(walked.and_then(|()| match failed {
            Some(error) => Err(fault(error)),
            None => groups.finish().map_err(fault),
        }))
    }

    /// Everything that fits comes to `f`, until it returns false.
    pub(super) fn each(
        &self,
        reader: &mut ReplicaReader,
        space: &SpaceId,
        collection: &str,
        stride: u64,
        mut f: impl FnMut(Found, Value) -> bool,
    ) -> Result<Result<(), ApiError>, ReplicaError> {
        let mut query = Query {
            limit: Some(stride),
            ..self.query.clone()
        };
        loop {
            let found = reader.query(space, collection, query.clone())?;
            let is_last = (found.len() as u64) < stride;
            if !is_last {
                let last = found.last().map(|found| found.cursor(&query.sort));
                query.after = last.transpose()?;
            }
            for found in found {
                if found.deleted != self.deleted {
                    continue;
                }
                let mut document = match convert::document(&found.id, &found.json, found.deleted) {
                    Ok(document) => document,
                    Err(error) => return Ok(Err(error)),
                };
                self.show(&mut document.value);
                if self.fits_here(&document.id, &document.value) && !f(found, document.value) {
                    return Ok(Ok(()));
                }
            }
            if is_last {
                return Ok(Ok(()));
            }
        }
    }

    fn page(
        &self,
        reader: &mut ReplicaReader,
        space: &SpaceId,
        collection: &str,
        limit: usize,
        count: bool,
    ) -> Result<Result<Page, ApiError>, ReplicaError> {
        let mut page = Page::default();
        let (mut bytes, mut last, mut more) = (0, None, false);
        let stride = STRIDE.min(limit as u64 + 1);
        let walked = self.each(reader, space, collection, stride, |found, value| {
            if page.docs.len() >= limit || bytes > PAGE_BYTES_MAX {
                more = true;
                return false;
            }
            bytes += found.json.len();
            page.docs.push(stead_api::Document {
                id: found.id.to_string(),
                value,
                deleted: found.deleted,
                snippet: found.snippet.clone(),
            });
            last = Some(found);
            true
        })?;
        if let Err(error) = walked {
            return Ok(Err(error));
        }
        if let Some(last) = last.filter(|_| more) {
            page.next = Some(last.cursor(&self.query.sort)?.to_string());
        }
        if count {
            page.total = Some(self.total(reader, space, collection)?);
        }
        Ok(Ok(page))
    }

    fn total(
        &self,
        reader: &mut ReplicaReader,
        space: &SpaceId,
        collection: &str,
    ) -> Result<u64, ReplicaError> {
        let all = Query {
            after: None,
            sort: Vec::new(),
            ..self.query.clone()
        };
        if self.is_partly_here() {
            let search = Self {
                query: all,
                here: self.here.clone(),
                deleted: self.deleted,
                veil: self.veil,
                seen: self.seen.clone(),
            };
            let mut total = 0;
            // A document that cannot be read is reported where it is shown, not where it is counted.
            let _ = search.each(reader, space, collection, STRIDE, |_, _| {
                total += 1;
                true
            })?;
            return Ok(total);
        }
        let counted = reader.count(space, collection, all.clone())?;
        if !self.deleted {
            return Ok(counted);
        }
        let living = Query {
            include_deleted: false,
            ..all
        };
        Ok(counted.saturating_sub(reader.count(space, collection, living)?))
    }

    /// A part of everything that fits, in its order, behind `after`; and whether more follow.
    pub(super) fn part(
        &self,
        reader: &mut ReplicaReader,
        space: &SpaceId,
        collection: &str,
        limit: usize,
    ) -> Result<Result<Part, ApiError>, ReplicaError> {
        let mut found = Vec::new();
        let mut last = None;
        let stride = (limit as u64).min(STRIDE);
        let walked = self.each(reader, space, collection, stride, |doc, value| {
            found.push((doc.id.clone(), value));
            let full = found.len() >= limit;
            if full {
                last = Some(doc);
            }
            !full
        })?;
        let next = last.map(|doc| doc.cursor(&self.query.sort)).transpose()?;
        Ok(walked.map(|()| (found, next)))
    }

    /// The same search from the start, in the order of ids.
    pub(super) fn of_all(self) -> Self {
        Self {
            query: Query {
                after: None,
                sort: Vec::new(),
                ..self.query
            },
            ..self
        }
    }

    /// The same search behind a place.
    pub(super) fn behind(&self, place: Cursor) -> Self {
        Self {
            query: Query {
                after: Some(place),
                ..self.query.clone()
            },
            here: self.here.clone(),
            deleted: self.deleted,
            veil: self.veil,
            seen: self.seen.clone(),
        }
    }
}
