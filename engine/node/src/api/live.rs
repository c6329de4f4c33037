//! One live query: what is there at the start, then the differences.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use stead_api::{ApiError, Change, ChangeKind, DocQuery, DocWatch, ErrorKind, Event, Notification};
use stead_base::{DocId, SpaceId};

use super::client::Outgoing;
use super::documents::Search;
use super::filter::fits;
use super::schemas::Seen;
use super::veil::Veil;
use super::watches::WatchInbox;
use super::{Node, convert};

/// Documents read at a time.
const PART: usize = 500;
/// Most documents that one watch follows.
const WATCHED_DOCS_MAX: usize = 1_000_000;

/// What a watch knows of a document that fits: enough to see that it changed.
type Fingerprint = [u8; 16];

/// A live query on its way to one client.
pub(super) struct Watch {
    node: Arc<Node>,
    ask: DocWatch,
    space: SpaceId,
    only: Option<DocId>,
    veil: Veil,
    seen: Seen,
    inbox: Arc<WatchInbox>,
    number: u64,
    out: Outgoing,
    known: BTreeMap<DocId, Fingerprint>,
}

impl Watch {
    pub(super) async fn new(
        node: Arc<Node>,
        ask: DocWatch,
        number: u64,
        out: Outgoing,
    ) -> Result<Self, ApiError> {
        let space = node.find_space(&ask.space)?;
        let only = ask.id.as_deref().map(convert::doc_id).transpose()?;
        // Fails now for conditions that cannot be asked.
        let veil = node.veil(&space, &ask.collection);
        let spoken = ask.revision.as_deref();
        let seen = node.seen(space, &ask.collection, spoken).await?;
        Search::new(&query_of(&ask), veil, seen.clone())?;
        // From here on nothing is missed, whatever the first look sees.
        let inbox = node
            .board
            .watches
            .add(space, ask.collection.clone(), only.clone());
        Ok(Self {
            node,
            ask,
            space,
            only,
            veil,
            seen,
            inbox,
            number,
            out,
            known: BTreeMap::new(),
        })
    }

    /// Runs until the client goes, or the space does.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.follow().await {
            tracing::debug!(%error, "a watch ended");
            let error = ApiError {
                message: format!("Watch {} ended: {}", self.number, error.message),
                ..error
            };
            self.out.tell(error).await;
        }
    }

    async fn follow(&mut self) -> Result<(), ApiError> {
        let silent = self.ask.changes_only;
        self.look_at_all(silent).await?;
        if !self.send(Vec::new(), true).await {
            return Ok(());
        }
        loop {
            self.inbox.rung().await;
            let noted = self.inbox.take();
            if noted.left {
                return Err(ApiError::new(
                    ErrorKind::NotFound,
                    "this device left the space.",
                ));
            }
            if noted.many && self.only.is_none() {
                self.look_at_all(false).await?;
                continue;
            }
            let docs = match &self.only {
                Some(only) => BTreeSet::from([only.clone()]),
                None => noted.docs,
            };
            let docs: Vec<DocId> = docs.into_iter().collect();
            for part in docs.chunks(PART) {
                let changes = self.look_at(part.to_vec()).await?;
                if !changes.is_empty() && !self.send(changes, false).await {
                    return Ok(());
                }
            }
        }
    }

    /// Looks at everything that fits and sends how it differs from what is known.
    async fn look_at_all(&mut self, silent: bool) -> Result<(), ApiError> {
        if let Some(only) = self.only.clone() {
            let changes = self.look_at(vec![only]).await?;
            if !silent && !changes.is_empty() {
                self.send(changes, false).await;
            }
            return Ok(());
        }
        let mut search = Search::new(&query_of(&self.ask), self.veil, self.seen.clone())?;
        let mut gone: BTreeSet<DocId> = self.known.keys().cloned().collect();
        loop {
            let (space, collection) = (self.space, self.ask.collection.clone());
            let part = self
                .node
                .readers
                .read(move |reader| {
                    let part = search.part(reader, &space, &collection, PART)?;
                    Ok(part.map(|part| (search, part)))
                })
                .await??;
            let (used, (docs, next)) = part;
            let mut changes = Vec::new();
            for (id, value) in docs {
                gone.remove(&id);
                changes.extend(self.compare(id, Some(value)));
            }
            if self.known.len() > WATCHED_DOCS_MAX {
                let message = format!("more than {WATCHED_DOCS_MAX} documents fit.");
                return Err(ApiError::new(ErrorKind::TooLarge, message)
                    .hint("Watch less, with conditions."));
            }
            if !silent && !changes.is_empty() && !self.send(changes, false).await {
                return Ok(());
            }
            match next {
                Some(place) => search = used.behind(place),
                None => break,
            }
        }
        let removed: Vec<Change> = gone
            .into_iter()
            .filter_map(|id| self.compare(id, None))
            .collect();
        if !silent && !removed.is_empty() {
            self.send(removed, false).await;
        }
        Ok(())
    }

    /// Looks at some documents again.
    async fn look_at(&mut self, docs: Vec<DocId>) -> Result<Vec<Change>, ApiError> {
        let (space, collection) = (self.space, self.ask.collection.clone());
        let rows = self.node.readers.read(move |reader| {
            let row = |id: DocId| {
                let row = reader.get(&space, &collection, &id)?;
                Ok((id, row.filter(|row| !row.deleted)))
            };
            docs.into_iter().map(row).collect::<Result<Vec<_>, _>>()
        });
        let mut changes = Vec::new();
        for (id, row) in rows.await? {
            let mut value = None;
            if let Some(row) = row {
                let mut document = convert::document(&id, &row.json, false)?;
                self.seen.over(&mut document.value);
                self.veil.over(&mut document.value);
                let fit = fits(&self.ask.filters, &document.id, &document.value);
                value = Some(document.value).filter(|_| fit);
            }
            changes.extend(self.compare(id, value));
        }
        Ok(changes)
    }

    /// How a document differs from what is known of it.
    fn compare(&mut self, id: DocId, value: Option<Value>) -> Option<Change> {
        let text = id.to_string();
        let Some(value) = value else {
            self.known.remove(&id)?;
            return Some(Change {
                kind: ChangeKind::Removed,
                id: text,
                value: None,
            });
        };
        let fingerprint = fingerprint(&value);
        let kind = match self.known.insert(id, fingerprint) {
            None => ChangeKind::Added,
            Some(before) if before == fingerprint => return None,
            Some(_) => ChangeKind::Changed,
        };
        Some(Change {
            kind,
            id: text,
            value: Some(value),
        })
    }

    /// Whether the client still listens.
    async fn send(&self, changes: Vec<Change>, ready: bool) -> bool {
        let event = Event {
            watch: self.number,
            changes,
            ready,
            reset: false,
        };
        self.out.send(Notification::Watch(event).encode()).await
    }
}

fn query_of(watch: &DocWatch) -> DocQuery {
    DocQuery {
        space: watch.space.clone(),
        collection: watch.collection.clone(),
        filters: watch.filters.clone(),
        ..DocQuery::default()
    }
}

fn fingerprint(value: &Value) -> Fingerprint {
    let hash = stead_crypt::hash::digest(value.to_string().as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&hash.as_bytes()[..16]);
    short
}
