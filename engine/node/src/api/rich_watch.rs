//! One watch of a text, list or tree: what it holds, then what changes in it.

use std::sync::Arc;

use serde_json::Value;
use stead_api::{ApiError, ErrorKind, Notification, RichEvent, RichShown, RichWatch, TextUnit};
use stead_base::{DocId, SpaceId};
use stead_replica::{RichKind, RichNews, RichVersion};

use super::client::Outgoing;
use super::deltas;
use super::watches::WatchInbox;
use super::{Node, convert};
use crate::faults;

/// What the client has.
enum Told {
    Nothing,
    Gone,
    Whole {
        at: RichVersion,
        kind: Option<RichKind>,
        /// What lists and trees are compared with, and what positions of texts are counted in.
        value: Value,
    },
}

/// A watch of a rich field, on its way to one client.
pub(super) struct RichFollowing {
    node: Arc<Node>,
    ask: RichWatch,
    space: SpaceId,
    id: DocId,
    /// Where the document holds the field.
    path: Vec<String>,
    inbox: Arc<WatchInbox>,
    number: u64,
    out: Outgoing,
    told: Told,
}

impl RichFollowing {
    pub(super) async fn new(
        node: &Arc<Node>,
        ask: RichWatch,
        number: u64,
        out: Outgoing,
    ) -> Result<Self, ApiError> {
        let space = node.find_space(&ask.space)?;
        node.veil(&space, &ask.collection).check_edit()?;
        let id = convert::doc_id(&ask.id)?;
        let spoken = ask.revision.as_deref();
        let seen = node.seen(space, &ask.collection, spoken).await?;
        let path = seen.key(&ask.path)?.path;
        let watches = &node.board.watches;
        let inbox = watches.follow(space, ask.collection.clone(), id.clone());
        Ok(Self {
            node: Arc::clone(node),
            ask,
            space,
            id,
            path,
            inbox,
            number,
            out,
            told: Told::Nothing,
        })
    }

    /// Runs until the client goes, or the space does.
    pub(super) async fn run(mut self) {
        loop {
            match self.look().await {
                Ok(Some(event)) => {
                    let event = Notification::Rich(event);
                    if !self.out.send(event.encode()).await {
                        return;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    let error = ApiError {
                        message: format!("Watch {} ended: {}", self.number, error.message),
                        ..error
                    };
                    return self.out.tell(error).await;
                }
            }
            self.inbox.rung().await;
            if self.inbox.take().left {
                let error = ApiError::new(ErrorKind::NotFound, "this device left the space.");
                return self.out.tell(error).await;
            }
        }
    }

    async fn look(&mut self) -> Result<Option<RichEvent>, ApiError> {
        let since = match &self.told {
            Told::Whole { at, .. } => Some(at.clone()),
            Told::Nothing | Told::Gone => None,
        };
        let (space, id) = (self.space, self.id.clone());
        let (collection, path) = (self.ask.collection.clone(), self.path.clone());
        let news = self.node.store.look(move |desk| {
            desk.replica
                .follow_rich(&space, &collection, &id, &path, since.as_ref())
        });
        let news = news.await?.map_err(|error| faults::replica(&error))?;
        Ok(self.event(news))
    }

    fn event(&mut self, news: Option<RichNews>) -> Option<RichEvent> {
        let event = RichEvent {
            watch: self.number,
            ..RichEvent::default()
        };
        match news {
            Some(RichNews::Same) => None,
            None if matches!(self.told, Told::Gone) => None,
            None => {
                self.told = Told::Gone;
                Some(RichEvent {
                    gone: true,
                    ..event
                })
            }
            Some(RichNews::Delta { at: now, delta }) => {
                let Told::Whole { at, value, .. } = &mut self.told else {
                    return None;
                };
                *at = now;
                let mut delta = match delta {
                    Value::Array(parts) => parts,
                    _ => Vec::new(),
                };
                if self.ask.unit == TextUnit::Utf16
                    && let Value::String(text) = value
                {
                    *text = deltas::to_utf16(text, &mut delta);
                }
                (!delta.is_empty()).then_some(RichEvent { delta, ..event })
            }
            Some(RichNews::Whole {
                at,
                kind,
                value,
                marked,
            }) => {
                let before = std::mem::replace(
                    &mut self.told,
                    Told::Whole {
                        at,
                        kind,
                        value: value.clone(),
                    },
                );
                if let Told::Whole {
                    kind: kind_before,
                    value: old,
                    ..
                } = before
                    && kind_before == kind
                {
                    let delta = match (&old, &value) {
                        (Value::String(old), Value::String(new))
                            if old == new && kind.is_none() =>
                        {
                            return None;
                        }
                        (Value::Array(old), Value::Array(new)) if kind == Some(RichKind::Tree) => {
                            deltas::tree(old, new)
                        }
                        (Value::Array(old), Value::Array(new)) => Some(deltas::list(old, new)),
                        _ => None,
                    };
                    if let Some(delta) = delta {
                        return (!delta.is_empty()).then_some(RichEvent { delta, ..event });
                    }
                }
                let kind = kind.map(|kind| match kind {
                    RichKind::Text => "text".to_owned(),
                    RichKind::List => "list".to_owned(),
                    RichKind::Tree => "tree".to_owned(),
                });
                let is_text = value.is_string();
                Some(RichEvent {
                    whole: Some(RichShown {
                        kind,
                        marked: if is_text { marked } else { Value::Null },
                        value,
                        ..RichShown::default()
                    }),
                    ..event
                })
            }
        }
    }
}
