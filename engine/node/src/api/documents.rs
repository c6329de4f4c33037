//! Calls about documents: edits, reads, queries.

use serde_json::Value;
use stead_api::{
    ApiError, Commit, DocGet, DocGot, DocPut, DocQuery, ErrorKind, Filter, PAGE_DEFAULT, PAGE_MAX,
    Page,
};
use stead_base::{DocId, SpaceId};
use stead_replica::{ReplicaError, ReplicaReader};
use stead_store::{CollectionNo, Cursor, Found, Query, StoreError};
use tokio::sync::oneshot;

use super::filter::{fits, is_id, may_mean_id};
use super::schemas::{self, Seen};
use super::veil::Veil;
use super::{Node, convert};
use crate::faults;
use crate::store_thread::Transaction;

/// Documents read at a time while looking for those that fit.
const STRIDE: u64 = 1_000;
/// A page is closed when its documents take this much.
const PAGE_BYTES_MAX: usize = 16 << 20;

/// Documents found, and where to go on when more follow.
type Part = (Vec<(DocId, Value)>, Option<Cursor>);

/// The outcome of a transaction, on its way.
pub(crate) type Outcome = oneshot::Receiver<Result<Commit, ApiError>>;

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

    pub(super) async fn get(&self, get: DocGet) -> Result<DocGot, ApiError> {
        let space = self.find_space(&get.space)?;
        let id = convert::doc_id(&get.id)?;
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

    pub(super) async fn query(&self, ask: DocQuery) -> Result<Page, ApiError> {
        let space = self.find_space(&ask.space)?;
        let limit = u64::from(ask.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX)) as usize;
        let spoken = ask.revision.as_deref();
        let seen = self.seen(space, &ask.collection, spoken).await?;
        let search = Search::new(&ask, self.veil(&space, &ask.collection), seen)?;
        self.readers
            .read(move |reader| search.page(reader, &space, &ask.collection, limit, ask.count))
            .await?
    }
}

/// A query, split into what the store decides and what is decided here.
pub(super) struct Search {
    query: Query,
    /// Conditions that may be about the id.
    here: Vec<Filter>,
    deleted: bool,
    veil: Veil,
    seen: Seen,
}

impl Search {
    pub(super) fn new(ask: &DocQuery, veil: Veil, seen: Seen) -> Result<Self, ApiError> {
        veil.check(&ask.filters, &ask.sort)?;
        // What is not held as it is seen can only be asked of what is seen.
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for filter in ask.filters.iter().cloned() {
            if may_mean_id(&filter) {
                here.push(filter);
                continue;
            }
            let key = seen.key(&filter.path)?;
            match key.is_exact {
                true => there.push(Filter {
                    path: key.path,
                    ..filter
                }),
                false => here.push(filter),
            }
        }
        let mut sort = ask.sort.clone();
        for key in sort.iter_mut().filter(|key| !is_id(&key.path)) {
            key.path = seen.order_key(&key.path)?;
        }
        let after = ask.after.as_deref().map(str::parse::<Cursor>).transpose();
        let query = Query {
            filter: there
                .iter()
                .map(convert::condition)
                .collect::<Result<_, _>>()?,
            sort: convert::order(&sort),
            after: after.map_err(|error| faults::store(&StoreError::Query(error)))?,
            include_deleted: ask.deleted,
            ..Query::all(CollectionNo(0))
        };
        Ok(Self {
            query,
            here,
            deleted: ask.deleted,
            veil,
            seen,
        })
    }

    /// Everything that fits comes to `f`, until it returns false.
    fn each(
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
            query.after = found.last().map(Found::cursor);
            for found in found {
                if found.deleted != self.deleted {
                    continue;
                }
                let mut document = match convert::document(&found.id, &found.json, found.deleted) {
                    Ok(document) => document,
                    Err(error) => return Ok(Err(error)),
                };
                self.seen.over(&mut document.value);
                self.veil.over(&mut document.value);
                if fits(&self.here, &document.id, &document.value) && !f(found, document.value) {
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
            let (id, deleted) = (found.id.to_string(), found.deleted);
            last = Some(found);
            page.docs.push(stead_api::Document { id, value, deleted });
            true
        })?;
        if let Err(error) = walked {
            return Ok(Err(error));
        }
        page.next = last
            .filter(|_| more)
            .map(|found| found.cursor().to_string());
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
        if self.here.is_empty() {
            let counted = reader.count(space, collection, all.clone())?;
            if !self.deleted {
                return Ok(counted);
            }
            let living = Query {
                include_deleted: false,
                ..all
            };
            return Ok(counted.saturating_sub(reader.count(space, collection, living)?));
        }
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
        Ok(total)
    }

    /// A part of everything that fits, in the order of ids, behind `after`; and whether more follow.
    pub(super) fn part(
        &self,
        reader: &mut ReplicaReader,
        space: &SpaceId,
        collection: &str,
        limit: usize,
    ) -> Result<Result<Part, ApiError>, ReplicaError> {
        let mut found = Vec::new();
        let mut next = None;
        let stride = (limit as u64).min(STRIDE);
        let walked = self.each(reader, space, collection, stride, |doc, value| {
            let cursor = doc.cursor();
            found.push((doc.id, value));
            let full = found.len() >= limit;
            if full {
                next = Some(cursor);
            }
            !full
        })?;
        Ok(walked.map(|()| (found, next)))
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
