//! One live query: what is there at the start, then the differences.
//!
//! After a transaction only the documents that it changed are looked at. Each step leads from one
//! consistent state to the next: the store thread notes one for each transaction of this device and one for what
//! came from elsewhere at once, and what is read beside it is brought in step before it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use stead_api::{ApiError, Change, DocQuery, DocWatch, ErrorKind, Event, Notification, WINDOW_MAX};
use stead_base::{DocId, SpaceId};

use super::client::Outgoing;
use super::conditions::refers;
use super::documents::Search;
use super::schemas::Seen;
use super::veil::Veil;
use super::watches::{Noted, WatchInbox};
use super::window::{Asked, Before, Now, Window};
use super::{Node, convert};

/// Documents read at a time.
const PART: usize = 500;
/// Documents told of in one message.
const EVENT_CHANGES_MAX: usize = 500;
/// Most documents that one watch follows.
const WATCHED_DOCS_MAX: usize = 1_000_000;
/// Readings of a window that runs short again and again while it is read.
const REFILLS_MAX: usize = 20;

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
    window: Window,
    /// Whether what is followed is not all here.
    partial: bool,
    /// How many transactions the step at hand holds.
    transactions: u64,
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
        Search::new(&node, &space, &query_of(&ask), seen.clone())?;
        if ask.filters.iter().any(refers) {
            let message = "A watch cannot follow conditions on other documents.";
            return Err(ApiError::new(ErrorKind::InvalidParams, message)
                .hint("Watch the other collection too, or ask again with `stead query`."));
        }
        let limit = match (ask.limit, ask.sort.is_empty()) {
            (None, false) => {
                let message = "A watch with an order needs a limit.";
                return Err(ApiError::new(ErrorKind::InvalidParams, message)
                    .hint(format!("Give one of at most {WINDOW_MAX}.")));
            }
            (Some(0), _) => {
                let message = "A window has at least one document.";
                return Err(ApiError::new(ErrorKind::InvalidParams, message));
            }
            (Some(limit), _) if limit > WINDOW_MAX => {
                let message = format!("A window has at most {WINDOW_MAX} documents.");
                return Err(ApiError::new(ErrorKind::TooLarge, message));
            }
            (limit, _) => limit.map(|limit| limit as usize),
        };
        let partial = match &only {
            Some(id) => node.lacks(space, &ask.collection, id).await?,
            None => node.is_partial(space, &ask.collection).await?,
        };
        let window = Window::new(Asked {
            filter: convert::filters(&ask.filters)?,
            sort: convert::order(&ask.sort),
            limit,
        });
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
            window,
            partial,
            transactions: 0,
        })
    }

    /// Whether more may fit on other devices.
    pub(super) const fn is_partial(&self) -> bool {
        self.partial
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
        if !self.look_at_all(silent).await? || !self.send(Vec::new(), true, false).await {
            return Ok(());
        }
        loop {
            let Some(noted) = self.inbox.next() else {
                self.inbox.rung().await;
                continue;
            };
            let noted = in_space(noted)?;
            self.transactions = noted.transactions;
            if noted.many {
                if !self.look_at_all(false).await? {
                    return Ok(());
                }
                continue;
            }
            let changes = match self.window.take(self.now(noted)?) {
                Ok(changes) => changes,
                Err(before) => self.refill(before).await?,
            };
            if !self.step(changes).await {
                return Ok(());
            }
        }
    }

    /// The documents noted, as a client may see them.
    fn now(&self, noted: Noted) -> Result<Vec<Now>, ApiError> {
        let mut docs = Vec::with_capacity(noted.docs.len());
        for (id, json) in noted.docs {
            let value = match json {
                Some(json) => Some(Arc::new(self.shown(&id, &json)?)),
                None => None,
            };
            docs.push((id, value));
        }
        Ok(docs)
    }

    fn shown(&self, id: &DocId, json: &str) -> Result<Value, ApiError> {
        let mut document = convert::document(id, json, false)?;
        self.seen.over(&mut document.value);
        self.veil.over(&mut document.value);
        Ok(document.value)
    }

    /// Waits until everything that a read may have seen is noted, and takes it.
    async fn meanwhile(&mut self) -> Result<Noted, ApiError> {
        let settled = self.node.store.look(|desk| desk.settle());
        settled.await??;
        let noted = in_space(self.inbox.take())?;
        self.transactions += noted.transactions;
        Ok(noted)
    }

    /// Looks at everything that fits and tells how it differs from what is known. Returns whether
    /// the client still listens.
    async fn look_at_all(&mut self, silent: bool) -> Result<bool, ApiError> {
        if self.window.reads().is_some() {
            let before = self.window.before();
            let changes = self.refill(before).await?;
            return Ok(silent || self.step(changes).await);
        }
        let mut gone = self.window.ids();
        let mut changes = Vec::new();
        let mut search = Some(Search::new(
            &self.node,
            &self.space,
            &query_of(&self.ask),
            self.seen.clone(),
        )?);
        if let Some(only) = self.only.clone() {
            let (space, collection, wanted) =
                (self.space, self.ask.collection.clone(), only.clone());
            let read = self
                .node
                .readers
                .read(move |reader| reader.get(&space, &collection, &wanted));
            let row = read.await?.filter(|row| !row.deleted);
            let value = match row {
                Some(row) => Some(Arc::new(self.shown(&only, &row.json)?)),
                None => None,
            };
            gone.clear();
            changes.extend(self.compared(vec![(only, value)]));
            search = None;
        }
        while let Some(part) = search.take() {
            let (space, collection) = (self.space, self.ask.collection.clone());
            let read = self.node.readers.read(move |reader| {
                let found = part.part(reader, &space, &collection, PART)?;
                Ok(found.map(|found| (part, found)))
            });
            let (used, (docs, next)) = read.await??;
            let docs: Vec<Now> = docs
                .into_iter()
                .map(|(id, value)| (id, Some(Arc::new(value))))
                .collect();
            for (id, _) in &docs {
                gone.remove(id);
            }
            changes.extend(self.compared(docs));
            if self.window.len() > WATCHED_DOCS_MAX {
                let message = format!("more than {WATCHED_DOCS_MAX} documents fit.");
                return Err(ApiError::new(ErrorKind::TooLarge, message)
                    .hint("Watch less, with conditions or a limit."));
            }
            if silent {
                changes.clear();
            }
            while changes.len() > EVENT_CHANGES_MAX {
                let rest = changes.split_off(EVENT_CHANGES_MAX);
                if !self
                    .send(std::mem::replace(&mut changes, rest), false, true)
                    .await
                {
                    return Ok(false);
                }
            }
            search = next.map(|place| used.behind(place));
        }
        // What was read was read at several moments; what changed meanwhile brings it in step.
        let noted = self.meanwhile().await?;
        if noted.many {
            return Box::pin(self.look_at_all(silent)).await;
        }
        let mut docs: BTreeMap<DocId, Option<Arc<Value>>> =
            gone.into_iter().map(|id| (id, None)).collect();
        docs.extend(self.now(noted)?);
        changes.extend(self.compared(docs.into_iter().collect()));
        if silent {
            changes.clear();
        }
        Ok(self.step(changes).await)
    }

    fn compared(&mut self, docs: Vec<Now>) -> Vec<Change> {
        self.window.take(docs).unwrap_or_default()
    }

    /// Reads a window again.
    async fn refill(&mut self, before: Before) -> Result<Vec<Change>, ApiError> {
        let reads = self.window.reads().unwrap_or(PART);
        for _ in 0..REFILLS_MAX {
            let search = Search::new(
                &self.node,
                &self.space,
                &query_of(&self.ask),
                self.seen.clone(),
            )?;
            let (space, collection) = (self.space, self.ask.collection.clone());
            let read = self
                .node
                .readers
                .read(move |reader| search.part(reader, &space, &collection, reads));
            let (found, _) = read.await??;
            let found = found
                .into_iter()
                .map(|(id, value)| (id, Arc::new(value)))
                .collect();
            let noted = self.meanwhile().await?;
            if noted.many {
                continue;
            }
            let since = self.now(noted)?;
            if let Some(changes) = self.window.refill(found, since, &before) {
                return Ok(changes);
            }
        }
        Err(ApiError::new(
            ErrorKind::Busy,
            "documents change faster than the window can be read.",
        )
        .hint("Watch it again in a moment."))
    }

    /// Tells one step, in as many messages as it takes. Returns whether the client still listens.
    async fn step(&self, mut changes: Vec<Change>) -> bool {
        while changes.len() > EVENT_CHANGES_MAX {
            let rest = changes.split_off(EVENT_CHANGES_MAX);
            if !self
                .send(std::mem::replace(&mut changes, rest), false, true)
                .await
            {
                return false;
            }
        }
        changes.is_empty() || self.send(changes, false, false).await
    }

    /// Whether the client still listens.
    async fn send(&self, changes: Vec<Change>, ready: bool, more: bool) -> bool {
        let event = Event {
            watch: self.number,
            changes,
            transactions: Some(self.transactions).filter(|count| *count > 1 && !ready),
            more,
            ready,
            reset: false,
        };
        self.out.send(Notification::Watch(event).encode()).await
    }
}

fn in_space(noted: Noted) -> Result<Noted, ApiError> {
    match noted.left {
        true => Err(ApiError::new(
            ErrorKind::NotFound,
            "this device left the space.",
        )),
        false => Ok(noted),
    }
}

fn query_of(watch: &DocWatch) -> DocQuery {
    DocQuery {
        space: watch.space.clone(),
        collection: watch.collection.clone(),
        filters: watch.filters.clone(),
        sort: watch.sort.clone(),
        ..DocQuery::default()
    }
}
