//! What the store thread tells one session. Never blocks and never grows without bound: lengths of
//! logs are merged, and everything else answers something that the session asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use stead_base::{DeviceId, SpaceId, WriterId};
use stead_sync::{Input, Tip};
use tokio::sync::Notify;

/// A log.
pub(crate) type LogKey = (SpaceId, WriterId);

/// Names a session within this run of the node.
pub(crate) type SessionNo = u64;

/// Most of what is told of presence that waits for one session; the oldest goes first.
const PRESENCE_MAX: usize = 2048;

/// One thing to do for a session.
#[derive(Debug)]
pub(crate) enum Note {
    /// Hand this to the protocol machine.
    Input(Input),
    /// What the peer sent does not continue what is held: find out where they part.
    Contradicted { space: SpaceId, writer: WriterId },
    /// A batch that ends at `upto` cannot be used; ask again from what is stored.
    Refetch { log: LogKey, upto: u64 },
    /// The store cannot take more at the moment; ask again later.
    StoreFailed { log: LogKey, upto: u64 },
    /// Nothing more is kept of this writer until the members of the space change.
    NotKept { log: LogKey, upto: u64 },
    /// What this peer leaves out of a log is not taken from it: another one is to be asked.
    NotTaken { log: LogKey },
    /// The peer broke the rules.
    Misbehaved { detail: String },
}

#[derive(Debug, Default)]
struct Inner {
    advanced: BTreeMap<(SpaceId, WriterId), (Tip, bool)>,
    credit: u64,
    notes: Vec<Note>,
    presence: VecDeque<Input>,
}

/// The letterbox of one session.
#[derive(Debug)]
pub(crate) struct Mailbox {
    no: SessionNo,
    peer: DeviceId,
    inner: Mutex<Inner>,
    bell: Notify,
}

impl Mailbox {
    pub(crate) fn new(no: SessionNo, peer: DeviceId) -> Self {
        Self {
            no,
            peer,
            inner: Mutex::default(),
            bell: Notify::new(),
        }
    }

    pub(crate) const fn no(&self) -> SessionNo {
        self.no
    }

    /// The device at the other end.
    pub(crate) const fn peer(&self) -> DeviceId {
        self.peer
    }

    /// A log is longer; only the last word on each log is kept.
    pub(crate) fn advanced(&self, space: SpaceId, writer: WriterId, tip: Tip, eager: bool) {
        let mut inner = self.lock();
        let entry = inner
            .advanced
            .entry((space, writer))
            .or_insert((tip, false));
        *entry = (tip, entry.1 | eager);
        drop(inner);
        self.bell.notify_one();
    }

    /// A batch is dealt with.
    pub(crate) fn stored(&self, credit: u64) {
        self.lock().credit += credit;
        self.bell.notify_one();
    }

    /// Somebody is somewhere, or is not heard any more; of each slot only the last word is kept.
    pub(crate) fn presence(&self, input: Input) {
        let slot = slot_of(&input);
        let mut inner = self.lock();
        if slot.is_some() {
            inner.presence.retain(|waiting| slot_of(waiting) != slot);
        }
        inner.presence.push_back(input);
        if inner.presence.len() > PRESENCE_MAX {
            inner.presence.pop_front();
        }
        drop(inner);
        self.bell.notify_one();
    }

    pub(crate) fn note(&self, note: Note) {
        self.lock().notes.push(note);
        self.bell.notify_one();
    }

    pub(crate) fn input(&self, input: Input) {
        self.note(Note::Input(input));
    }

    /// Waits until there is something to take.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Everything so far, in an order in which it may be handed over: spaces come before the
    /// lengths of their logs, lengths before what was stored of them is confirmed.
    pub(crate) fn take(&self) -> Vec<Note> {
        let Inner {
            advanced,
            credit,
            mut notes,
            presence,
        } = std::mem::take(&mut *self.lock());
        for ((space, writer), (tip, eager)) in advanced {
            notes.push(Note::Input(Input::LocalAdvanced {
                space,
                writer,
                tip,
                eager,
            }));
        }
        notes.extend(presence.into_iter().map(Note::Input));
        if credit > 0 {
            notes.push(Note::Input(Input::Stored { credit }));
        }
        notes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every critical section leaves the letterbox whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn slot_of(input: &Input) -> Option<(SpaceId, [u8; 16])> {
    match input {
        Input::Presence { space, slot, .. } => Some((*space, *slot)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_base::Hash;

    #[test]
    fn a_slow_session_hears_the_last_length_of_each_log_once() {
        let mailbox = Mailbox::new(1, DeviceId::from_bytes([1; 32]));
        let (space, writer) = (SpaceId::from_bytes([1; 32]), WriterId::from_bytes([2; 32]));
        for len in 1..100 {
            let tip = Tip::new(len, Hash::from_bytes([3; 32]));
            mailbox.advanced(space, writer, tip, len == 5);
            mailbox.stored(10);
        }
        let notes = mailbox.take();
        assert_eq!(notes.len(), 2);
        assert!(matches!(
            &notes[0],
            Note::Input(Input::LocalAdvanced { tip, eager: true, .. }) if tip.len == 99
        ));
        assert!(matches!(
            &notes[1],
            Note::Input(Input::Stored { credit: 990 })
        ));
        assert!(mailbox.take().is_empty());
    }
}
