//! Who watches what. The store thread notes here which documents changed and what they are now; each
//! watch takes its notes when it gets to them, so a slow one never holds anybody up and never misses
//! anything. What is noted by one call is one step, which a watch takes whole. Steps wait in their order;
//! when too many wait they become one, which says how many transactions it holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use stead_base::{DocId, SpaceId};
use tokio::sync::Notify;

/// More changed documents than this are noted as "any".
const NOTED_MAX: usize = 4096;
/// Documents of more bytes than this are noted as "any".
const NOTED_BYTES_MAX: usize = 32 << 20;

/// More steps than this do not wait for one watch: they become one.
const STEPS_MAX: usize = 256;

/// What one transaction, or several at once, made of documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) docs: Vec<Fresh>,
    /// Any document.
    pub(crate) many: bool,
    /// How many transactions it is.
    pub(crate) transactions: u64,
}

/// A document that changed, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fresh {
    pub(crate) collection: String,
    pub(crate) id: DocId,
    /// Its visible fields; none if it is deleted.
    pub(crate) json: Option<Arc<str>>,
}

/// All watches of a node.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    list: Mutex<Vec<Weak<WatchInbox>>>,
    /// How often documents of each space changed, so that counts of them can be kept.
    changes: Mutex<BTreeMap<SpaceId, u64>>,
}

/// What one watch is to look at again.
#[derive(Debug)]
pub(crate) struct WatchInbox {
    space: SpaceId,
    collection: String,
    /// Only this document.
    id: Option<DocId>,
    /// Wants to know that something changed, not what it is now.
    light: bool,
    noted: Mutex<VecDeque<Noted>>,
    bell: Notify,
}

/// Changes that are one step.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// These documents, as they are now.
    pub(crate) docs: BTreeMap<DocId, Option<Arc<str>>>,
    bytes: usize,
    /// Any document.
    pub(crate) many: bool,
    /// How many transactions they are of.
    pub(crate) transactions: u64,
    /// The space is no longer on this device.
    pub(crate) left: bool,
}

impl Watches {
    /// Starts noting.
    pub(crate) fn add(
        &self,
        space: SpaceId,
        collection: String,
        id: Option<DocId>,
    ) -> Arc<WatchInbox> {
        self.register(space, collection, id, false)
    }

    /// Starts noting that a document changed, without what it is then.
    pub(crate) fn follow(&self, space: SpaceId, collection: String, id: DocId) -> Arc<WatchInbox> {
        self.register(space, collection, Some(id), true)
    }

    fn register(
        &self,
        space: SpaceId,
        collection: String,
        id: Option<DocId>,
        light: bool,
    ) -> Arc<WatchInbox> {
        let inbox = Arc::new(WatchInbox {
            space,
            collection,
            id,
            light,
            noted: Mutex::default(),
            bell: Notify::new(),
        });
        let mut list = self.lock();
        list.retain(|watch| watch.strong_count() > 0);
        list.push(Arc::downgrade(&inbox));
        inbox
    }

    /// Whether anybody watches a collection, and wants its documents with each change.
    pub(crate) fn is_watched(&self, space: &SpaceId, collection: &str) -> bool {
        self.any(space, collection, |watch| !watch.light)
    }

    /// Whether anybody wants to know that a document changes.
    pub(crate) fn is_followed(&self, space: &SpaceId, collection: &str, id: &DocId) -> bool {
        self.any(space, collection, |watch| watch.id.as_ref() == Some(id))
    }

    fn any(&self, space: &SpaceId, collection: &str, is: impl Fn(&WatchInbox) -> bool) -> bool {
        let list = self.lock();
        let mut watches = list.iter().filter_map(Weak::upgrade);
        watches.any(|watch| watch.space == *space && watch.collection == collection && is(&watch))
    }

    /// Documents of a space changed, in one step.
    pub(crate) fn docs_changed(&self, space: &SpaceId, step: &Step) {
        *self.counters().entry(*space).or_default() += 1;
        self.each(space, |watch| {
            let touched = step
                .docs
                .iter()
                .filter(|doc| doc.collection == watch.collection);
            let touched = touched.filter(|doc| watch.id.as_ref().is_none_or(|id| *id == doc.id));
            let mut noted = Noted {
                many: step.many,
                transactions: step.transactions,
                ..Noted::default()
            };
            for doc in touched {
                noted.put(&doc.id, doc.json.clone());
            }
            noted.bound();
            let changed = noted.many || !noted.docs.is_empty();
            if changed {
                watch.put(noted);
            }
            changed
        });
    }

    /// How often documents of a space changed since the node started.
    pub(crate) fn generation(&self, space: &SpaceId) -> u64 {
        self.counters().get(space).copied().unwrap_or_default()
    }

    fn counters(&self) -> MutexGuard<'_, BTreeMap<SpaceId, u64>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A space is no longer on this device.
    pub(crate) fn space_left(&self, space: &SpaceId) {
        self.each(space, |watch| {
            watch.put(Noted {
                left: true,
                ..Noted::default()
            });
            true
        });
    }

    fn each(&self, space: &SpaceId, note: impl Fn(&WatchInbox) -> bool) {
        let watches: Vec<Arc<WatchInbox>> = self.lock().iter().filter_map(Weak::upgrade).collect();
        for watch in watches.iter().filter(|watch| watch.space == *space) {
            if note(watch) {
                watch.bell.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<WatchInbox>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WatchInbox {
    /// Waits until something changed.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// The next step, if one waits.
    pub(crate) fn next(&self) -> Option<Noted> {
        self.lock().pop_front()
    }

    /// All that waits, as one step.
    pub(crate) fn take(&self) -> Noted {
        let mut all = Noted::default();
        for noted in std::mem::take(&mut *self.lock()) {
            all.follow(noted);
        }
        all
    }

    fn put(&self, noted: Noted) {
        let mut waiting = self.lock();
        let bytes: usize = waiting.iter().map(|noted| noted.bytes).sum();
        let is_behind = waiting.len() >= STEPS_MAX || bytes > NOTED_BYTES_MAX;
        match waiting.back_mut() {
            // Behind a look at everything there is nothing to be told that it would not see.
            Some(last) if is_behind || last.many => last.follow(noted),
            _ => waiting.push_back(noted),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Noted>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    /// Takes up the step that follows.
    fn follow(&mut self, next: Self) {
        self.left |= next.left;
        self.many |= next.many;
        self.transactions += next.transactions;
        for (id, json) in next.docs {
            self.put(&id, json);
        }
        self.bound();
    }

    fn put(&mut self, id: &DocId, json: Option<Arc<str>>) {
        self.bytes += json.as_ref().map_or(0, |json| json.len());
        if let Some(Some(before)) = self.docs.insert(id.clone(), json) {
            self.bytes -= before.len();
        }
    }

    fn bound(&mut self) {
        self.many |= self.docs.len() > NOTED_MAX || self.bytes > NOTED_BYTES_MAX;
        if self.many {
            self.docs.clear();
            self.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(collection: &str, id: &str) -> Fresh {
        Fresh {
            collection: collection.to_owned(),
            id: DocId::parse(id).unwrap(),
            json: None,
        }
    }

    fn step(docs: &[Fresh]) -> Step {
        Step {
            docs: docs.to_vec(),
            many: false,
            transactions: 1,
        }
    }

    #[test]
    fn a_watch_hears_of_its_own_collection_and_document_only() {
        let watches = Watches::default();
        let space = SpaceId::from_bytes([1; 32]);
        let all = watches.add(space, "a".into(), None);
        let one = watches.add(space, "a".into(), Some(DocId::parse("x").unwrap()));
        watches.docs_changed(&space, &step(&[change("a", "y"), change("b", "x")]));
        watches.docs_changed(&SpaceId::from_bytes([2; 32]), &step(&[change("a", "z")]));
        assert_eq!(all.take().docs.len(), 1);
        assert_eq!(one.take(), Noted::default());
    }

    #[test]
    fn steps_wait_in_their_order_and_become_one_that_counts_them_when_too_many_wait() {
        let watches = Watches::default();
        let space = SpaceId::from_bytes([1; 32]);
        let watch = watches.add(space, "a".into(), None);
        let steps = 3 * STEPS_MAX;
        for n in 0..steps {
            watches.docs_changed(&space, &step(&[change("a", &n.to_string())]));
        }
        let mut counted = 0;
        for n in 0..STEPS_MAX {
            let noted = watch.next().unwrap();
            assert!(
                noted
                    .docs
                    .contains_key(&DocId::parse(&n.to_string()).unwrap())
            );
            counted += noted.transactions;
        }
        assert_eq!(watch.next(), None);
        assert_eq!(counted, steps as u64);
    }

    #[test]
    fn what_a_slow_watch_has_to_look_at_stays_bounded() {
        let watches = Watches::default();
        let space = SpaceId::from_bytes([1; 32]);
        let watch = watches.add(space, "a".into(), None);
        for n in 0..=NOTED_MAX + STEPS_MAX {
            watches.docs_changed(&space, &step(&[change("a", &n.to_string())]));
        }
        let noted = watch.take();
        assert!(noted.many && noted.docs.is_empty());
    }
}
