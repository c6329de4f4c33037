//! Steps: what one transaction, or several that came from elsewhere at once, made of documents that are
//! watched. Noted as each is applied, told once all of it is flushed.

use std::collections::BTreeMap;

use stead_base::SpaceId;
use stead_replica::{DocChange, Event};

use super::Desk;
use crate::api::watches::{Fresh, Step};
use crate::clock::wall_ms;
use crate::store_thread::Transaction;

/// What happened and is not flushed.
#[derive(Default)]
pub(super) struct Steps {
    events: Vec<Event>,
    steps: Vec<(SpaceId, Step)>,
    /// Entries that logs of each space grew by since its last step.
    grown: BTreeMap<SpaceId, u64>,
}

impl Steps {
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

impl Desk {
    /// Whether somebody watches what a transaction changes.
    pub(super) fn is_watched(&self, transaction: &Transaction) -> bool {
        let watches = &self.board.watches;
        let mut edits = transaction.edits.iter();
        edits.any(|edit| watches.is_watched(&transaction.space, &edit.collection))
    }

    /// Notes what documents are now, as one step from what they were at the last call.
    pub(crate) fn note_step(&mut self) {
        for event in self.replica.drain_events() {
            match &event {
                Event::Advanced {
                    space, writer, len, ..
                } => {
                    let before = self.tip(space, writer).map_or(0, |tip| tip.len);
                    let noted = self
                        .steps
                        .events
                        .iter()
                        .rev()
                        .find_map(|earlier| match earlier {
                            Event::Advanced {
                                space: of,
                                writer: by,
                                len,
                                ..
                            } if of == space && by == writer => Some(*len),
                            _ => None,
                        });
                    let more = len.saturating_sub(noted.unwrap_or(before));
                    *self.steps.grown.entry(*space).or_default() += more;
                }
                Event::DocsChanged { space, docs, many } => {
                    let (docs, many) = self.fresh(space, docs, *many);
                    let step = Step {
                        docs,
                        many,
                        transactions: 0,
                    };
                    self.steps.steps.push((*space, step));
                }
                _ => {}
            }
            self.steps.events.push(event);
        }
        for (space, step) in &mut self.steps.steps {
            if step.transactions == 0 {
                step.transactions = self.steps.grown.remove(space).unwrap_or(0).max(1);
            }
        }
    }

    /// The documents that somebody wants to hear of, as they are now.
    fn fresh(&mut self, space: &SpaceId, docs: &[DocChange], mut many: bool) -> (Vec<Fresh>, bool) {
        let mut fresh = Vec::new();
        for doc in docs {
            let watches = &self.board.watches;
            if many {
                break;
            }
            if !watches.is_watched(space, &doc.collection) {
                if watches.is_followed(space, &doc.collection, &doc.id) {
                    fresh.push(Fresh {
                        collection: doc.collection.clone(),
                        id: doc.id.clone(),
                        json: None,
                    });
                }
                continue;
            }
            let read = self
                .replica
                .fold(wall_ms())
                .and_then(|()| self.replica.get(space, &doc.collection, &doc.id));
            match read {
                Ok(row) => fresh.push(Fresh {
                    collection: doc.collection.clone(),
                    id: doc.id.clone(),
                    json: row.filter(|row| !row.deleted).map(|row| row.json.into()),
                }),
                // Whoever watches looks at everything, and finds out why.
                Err(error) => {
                    tracing::warn!(%error, "a changed document could not be read");
                    many = true;
                }
            }
        }
        (fresh, many)
    }

    /// Tells watchers each step that is flushed now, in their order.
    pub(super) fn tell_watches(&mut self) {
        for (space, step) in std::mem::take(&mut self.steps.steps) {
            self.board.watches.docs_changed(&space, &step);
        }
    }
}
