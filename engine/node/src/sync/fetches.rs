//! Who fetches which part of which log from whom: every range comes from one peer at a time, and
//! from another one when that peer stalls or goes.
//!
//! Decides only; the sessions carry it out.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stead_base::{SpaceId, WriterId};
use stead_sync::Input;

use super::mailbox::{LogKey, Mailbox, SessionNo};

/// A peer that sent nothing of a range for this long is replaced by another that has it.
pub(crate) const STALL_MS: u64 = 10_000;
/// After a failure of the store, fetching goes on after this long.
pub(crate) const HOLD_MS: u64 = 3_000;

/// The plan, shared by all sessions and the store thread.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    sessions: BTreeMap<SessionNo, Arc<Mailbox>>,
    logs: BTreeMap<LogKey, LogPlan>,
    /// Spaces that begin with a checkpoint: the other logs wait for it.
    beginnings: BTreeMap<SpaceId, Beginning>,
}

#[derive(Debug, Clone, Copy)]
struct Beginning {
    /// The checkpoint's log.
    log: WriterId,
    progress_ms: u64,
}

#[derive(Debug, Default)]
struct LogPlan {
    /// Entries that are stored.
    stored: u64,
    /// How much each peer has.
    offers: BTreeMap<SessionNo, u64>,
    assigned: Option<Assigned>,
    /// Nothing is fetched before.
    hold_until_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Assigned {
    to: SessionNo,
    upto: u64,
    progress_ms: u64,
}

impl Fetches {
    /// A session begins.
    pub(crate) fn join(&self, mailbox: Arc<Mailbox>) {
        self.lock().sessions.insert(mailbox.no(), mailbox);
    }

    /// A session ends; others take over what it fetched.
    pub(crate) fn leave(&self, no: SessionNo, now_ms: u64) {
        let mut plan = self.lock();
        plan.sessions.remove(&no);
        for log in plan.logs.values_mut() {
            log.offers.remove(&no);
            log.assigned = log.assigned.filter(|assigned| assigned.to != no);
        }
        plan.give_up_beginnings();
        plan.assign_all(now_ms);
    }

    /// A space of which nothing is here begins with the checkpoint in a log: it is fetched first.
    pub(crate) fn begin_with(&self, (space, log): LogKey, now_ms: u64) {
        let progress_ms = now_ms;
        let beginning = Beginning { log, progress_ms };
        self.lock().beginnings.entry(space).or_insert(beginning);
    }

    /// The checkpoint that a space begins with, if no peer has more of it than is stored.
    pub(crate) fn beginning_here(&self, space: SpaceId) -> Option<LogKey> {
        let plan = self.lock();
        let key = (space, plan.beginnings.get(&space)?.log);
        let stored = plan.logs.get(&key).map_or(0, |log| log.stored);
        plan.all_stored(key, stored).then_some(key)
    }

    /// Whether a log is the checkpoint that its space begins with, and all of it is stored.
    pub(crate) fn is_beginning(&self, (space, log): LogKey, len: u64) -> bool {
        let plan = self.lock();
        plan.begins_with((space, log)) && plan.all_stored((space, log), len)
    }

    /// A space has begun, or does without a checkpoint: its logs are fetched.
    pub(crate) fn has_begun(&self, space: SpaceId, now_ms: u64) {
        let mut plan = self.lock();
        if plan.beginnings.remove(&space).is_some() {
            plan.assign_all(now_ms);
        }
    }

    /// A peer has entries from `have` to `len` of a log.
    pub(crate) fn available(&self, no: SessionNo, key: LogKey, have: u64, len: u64, now_ms: u64) {
        let mut plan = self.lock();
        let log = plan.logs.entry(key).or_default();
        log.offers.insert(no, len);
        match &mut log.assigned {
            // The range asked for has come in; go on behind it without waiting for the store.
            Some(assigned) if assigned.to == no && have >= assigned.upto => {
                *assigned = Assigned {
                    to: no,
                    upto: len,
                    progress_ms: now_ms,
                };
                plan.order(no, key, have, len);
            }
            Some(_) => {}
            None => {
                log.stored = log.stored.max(have);
                plan.assign(key, None, now_ms);
            }
        }
    }

    /// A batch of a log came in from a peer.
    pub(crate) fn received(&self, no: SessionNo, key: LogKey, now_ms: u64) {
        let mut plan = self.lock();
        if let Some(assigned) = plan
            .logs
            .get_mut(&key)
            .and_then(|log| log.assigned.as_mut())
            && assigned.to == no
        {
            assigned.progress_ms = now_ms;
        }
        if let Some(beginning) = plan.beginnings.get_mut(&key.0)
            && beginning.log == key.1
        {
            beginning.progress_ms = now_ms;
        }
    }

    /// `len` entries of a log are stored.
    pub(crate) fn stored(&self, key: LogKey, len: u64, now_ms: u64) {
        let mut plan = self.lock();
        let Some(log) = plan.logs.get_mut(&key) else {
            return;
        };
        log.stored = len;
        log.hold_until_ms = 0;
        log.offers.retain(|_, offered| *offered > len);
        log.assigned = log.assigned.filter(|assigned| assigned.upto > len);
        if log.assigned.is_some() {
            return;
        }
        if log.offers.is_empty() {
            plan.logs.remove(&key);
        } else {
            plan.assign(key, None, now_ms);
        }
    }

    /// A peer cannot deliver what it offered.
    pub(crate) fn unavailable(&self, no: SessionNo, key: LogKey, now_ms: u64) {
        let mut plan = self.lock();
        if let Some(log) = plan.logs.get_mut(&key) {
            log.offers.remove(&no);
        }
        plan.release(no, key);
        plan.give_up_beginnings();
        plan.assign_all(now_ms);
    }

    /// What a peer sent of a log up to the end of `range` could not be used: it is fetched again
    /// from the start of `range`, which is what is stored.
    pub(crate) fn refetch(&self, no: SessionNo, key: LogKey, range: Range<u64>, now_ms: u64) {
        self.hold_until(no, key, range, now_ms);
        self.lock().assign(key, None, now_ms);
    }

    /// The store failed: what a peer sent of a log is fetched again a little later.
    pub(crate) fn hold(&self, no: SessionNo, key: LogKey, range: Range<u64>, now_ms: u64) {
        self.hold_until(no, key, range, now_ms + HOLD_MS);
    }

    /// Nothing more is kept of this log until the members of its space change.
    pub(crate) fn suspend(&self, no: SessionNo, key: LogKey, range: Range<u64>) {
        self.hold_until(no, key, range, u64::MAX);
        // A checkpoint that is more than is kept of a stranger is done without.
        let mut plan = self.lock();
        if plan.begins_with(key) {
            plan.beginnings.remove(&key.0);
        }
    }

    fn hold_until(&self, no: SessionNo, key: LogKey, range: Range<u64>, until_ms: u64) {
        let mut plan = self.lock();
        plan.cancel(no, key);
        if !plan.sessions.contains_key(&no) {
            return;
        }
        let log = plan.logs.entry(key).or_default();
        log.stored = range.start;
        log.hold_until_ms = until_ms;
        // It may have been sent without being asked for, and so never offered.
        let offered = log.offers.entry(no).or_default();
        *offered = range.end.max(*offered);
    }

    /// The members of a space changed: suspended logs are tried again.
    pub(crate) fn members_changed(&self, space: SpaceId, now_ms: u64) {
        let mut plan = self.lock();
        for (key, log) in &mut plan.logs {
            if key.0 == space && log.hold_until_ms == u64::MAX {
                log.hold_until_ms = 0;
            }
        }
        plan.assign_all(now_ms);
    }

    /// A space is no longer on this device.
    pub(crate) fn forget_space(&self, space: SpaceId) {
        let mut plan = self.lock();
        plan.logs.retain(|(of, _), _| *of != space);
        plan.beginnings.remove(&space);
    }

    /// Replaces peers that stall, and goes on with logs whose hold is over.
    pub(crate) fn tick(&self, now_ms: u64) {
        let mut plan = self.lock();
        let stalled: Vec<(LogKey, SessionNo)> = plan
            .logs
            .iter()
            .filter_map(|(key, log)| {
                let assigned = log.assigned?;
                let late = now_ms.saturating_sub(assigned.progress_ms) >= STALL_MS;
                let other = log
                    .offers
                    .iter()
                    .any(|(no, len)| *no != assigned.to && *len > log.stored);
                (late && other).then_some((*key, assigned.to))
            })
            .collect();
        for (key, no) in stalled {
            tracing::debug!(writer = %key.1.short(), "a peer stalls; asking another");
            plan.cancel(no, key);
            plan.assign(key, Some(no), now_ms);
        }
        // Whoever names a checkpoint and does not deliver it holds nobody up for longer.
        plan.beginnings
            .retain(|_, it| now_ms.saturating_sub(it.progress_ms) < STALL_MS + HOLD_MS);
        plan.assign_all(now_ms);
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        // Every critical section leaves the plan whole.
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn order(&self, no: SessionNo, (space, writer): LogKey, from: u64, upto: u64) {
        if let Some(mailbox) = self.sessions.get(&no) {
            mailbox.input(Input::Fetch {
                space,
                writer,
                from,
                upto,
            });
        }
    }

    /// Whether a log is the checkpoint that its space begins with.
    fn begins_with(&self, (space, log): LogKey) -> bool {
        self.beginnings.get(&space).is_some_and(|it| it.log == log)
    }

    /// Whether no peer offers more of a log than `len` entries.
    fn all_stored(&self, key: LogKey, len: u64) -> bool {
        let log = self.logs.get(&key);
        log.is_none_or(|log| log.offers.values().all(|offered| *offered <= len))
    }

    /// Does without the checkpoints that nobody here can deliver any more.
    fn give_up_beginnings(&mut self) {
        let logs = &self.logs;
        self.beginnings.retain(|space, it| {
            let plan = logs.get(&(*space, it.log));
            plan.is_some_and(|plan| !plan.offers.is_empty())
        });
    }

    /// Takes a log away from a session, if it has it.
    fn release(&mut self, no: SessionNo, key: LogKey) -> bool {
        match self.logs.get_mut(&key).map(|log| &mut log.assigned) {
            Some(assigned) if assigned.is_some_and(|assigned| assigned.to == no) => {
                *assigned = None;
                true
            }
            _ => false,
        }
    }

    fn cancel(&mut self, no: SessionNo, key: LogKey) {
        if self.release(no, key)
            && let Some(mailbox) = self.sessions.get(&no)
        {
            mailbox.input(Input::CancelFetch {
                space: key.0,
                writer: key.1,
            });
        }
    }

    fn assign_all(&mut self, now_ms: u64) {
        let waiting = self.logs.iter().filter(|(_, log)| log.assigned.is_none());
        let keys: Vec<LogKey> = waiting.map(|(key, _)| *key).collect();
        for key in keys {
            self.assign(key, None, now_ms);
        }
    }

    /// Gives a log to the peer that has it and the least to do.
    fn assign(&mut self, key: LogKey, but: Option<SessionNo>, now_ms: u64) {
        let Some(log) = self.logs.get(&key) else {
            return;
        };
        let waits = self.beginnings.contains_key(&key.0) && !self.begins_with(key);
        if waits || log.assigned.is_some() || log.hold_until_ms > now_ms {
            return;
        }
        let load = |no: SessionNo| {
            let assigned = self.logs.values().filter_map(|log| log.assigned);
            assigned.filter(|assigned| assigned.to == no).count()
        };
        let fit = log
            .offers
            .iter()
            .filter(|(no, len)| **len > log.stored && Some(**no) != but);
        let Some((no, upto)) = fit
            .map(|(no, len)| (*no, *len))
            .min_by_key(|(no, _)| load(*no))
        else {
            return;
        };
        let from = log.stored;
        if let Some(log) = self.logs.get_mut(&key) {
            log.assigned = Some(Assigned {
                to: no,
                upto,
                progress_ms: now_ms,
            });
        }
        self.order(no, key, from, upto);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::mailbox::Note;

    fn key(n: u8) -> LogKey {
        (SpaceId::from_bytes([1; 32]), WriterId::from_bytes([n; 32]))
    }

    fn with_sessions(count: u64) -> (Fetches, Vec<Arc<Mailbox>>) {
        let fetches = Fetches::default();
        let mailboxes: Vec<_> = (0..count)
            .map(|no| Arc::new(Mailbox::new(no, stead_base::DeviceId::from_bytes([1; 32]))))
            .collect();
        for mailbox in &mailboxes {
            fetches.join(Arc::clone(mailbox));
        }
        (fetches, mailboxes)
    }

    fn orders(mailbox: &Mailbox) -> Vec<String> {
        let notes = mailbox.take().into_iter();
        notes
            .map(|note| match note {
                Note::Input(Input::Fetch { from, upto, .. }) => format!("fetch {from}..{upto}"),
                Note::Input(Input::CancelFetch { .. }) => "cancel".to_owned(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_range_is_fetched_from_one_peer_only() {
        let (fetches, peers) = with_sessions(2);
        fetches.available(0, key(1), 0, 10, 0);
        fetches.available(1, key(1), 0, 10, 0);
        assert_eq!(orders(&peers[0]), ["fetch 0..10"]);
        assert!(orders(&peers[1]).is_empty());
    }

    #[test]
    fn logs_are_spread_over_the_peers_that_have_them() {
        let (fetches, peers) = with_sessions(2);
        for log in 1..=4 {
            fetches.available(0, key(log), 0, 10, 0);
            fetches.available(1, key(log), 0, 10, 0);
        }
        // The first offer is taken at once; what ends is given to whoever has less to do.
        fetches.stored(key(1), 5, 0);
        fetches.leave(0, 0);
        assert_eq!(orders(&peers[0]).len(), 4);
        assert_eq!(orders(&peers[1]).len(), 4);
    }

    #[test]
    fn another_peer_takes_over_from_what_is_stored_when_one_goes() {
        let (fetches, peers) = with_sessions(2);
        fetches.available(0, key(1), 0, 10, 0);
        fetches.available(1, key(1), 0, 12, 0);
        fetches.stored(key(1), 4, 0);
        fetches.leave(0, 0);
        assert_eq!(orders(&peers[1]), ["fetch 4..12"]);
    }

    #[test]
    fn a_stalled_peer_is_replaced_and_one_without_rival_is_not() {
        let (fetches, peers) = with_sessions(2);
        fetches.available(0, key(1), 0, 10, 0);
        fetches.tick(STALL_MS);
        assert_eq!(orders(&peers[0]), ["fetch 0..10"]);
        fetches.available(1, key(1), 0, 10, STALL_MS);
        fetches.received(0, key(1), STALL_MS);
        fetches.tick(2 * STALL_MS - 1);
        assert!(orders(&peers[1]).is_empty());
        fetches.tick(2 * STALL_MS);
        assert_eq!(orders(&peers[0]), ["cancel"]);
        assert_eq!(orders(&peers[1]), ["fetch 0..10"]);
    }

    #[test]
    fn more_of_the_same_log_is_fetched_before_the_first_part_is_stored() {
        let (fetches, peers) = with_sessions(1);
        fetches.available(0, key(1), 0, 10, 0);
        fetches.available(0, key(1), 10, 20, 0);
        assert_eq!(orders(&peers[0]), ["fetch 0..10", "fetch 10..20"]);
    }

    #[test]
    fn a_failed_store_is_given_time_and_then_asked_again() {
        let (fetches, peers) = with_sessions(1);
        fetches.available(0, key(1), 0, 10, 0);
        fetches.hold(0, key(1), 3..10, 100);
        fetches.tick(100 + HOLD_MS - 1);
        assert_eq!(orders(&peers[0]), ["fetch 0..10", "cancel"]);
        fetches.tick(100 + HOLD_MS);
        assert_eq!(orders(&peers[0]), ["fetch 3..10"]);
    }

    #[test]
    fn a_stranger_is_asked_again_once_members_changed() {
        let (fetches, peers) = with_sessions(1);
        fetches.available(0, key(1), 0, 10, 0);
        fetches.suspend(0, key(1), 3..10);
        fetches.tick(u64::MAX - 1);
        assert_eq!(orders(&peers[0]), ["fetch 0..10", "cancel"]);
        fetches.members_changed(key(1).0, 5);
        assert_eq!(orders(&peers[0]), ["fetch 3..10"]);
    }

    #[test]
    fn a_tail_that_came_unasked_and_could_not_be_used_is_fetched() {
        let (fetches, peers) = with_sessions(1);
        fetches.refetch(0, key(1), 3..7, 0);
        assert_eq!(orders(&peers[0]), ["fetch 3..7"]);
    }

    #[test]
    fn the_other_logs_of_a_space_wait_for_the_checkpoint_that_it_begins_with() {
        let (fetches, peers) = with_sessions(1);
        fetches.begin_with(key(9), 0);
        fetches.available(0, key(1), 0, 10, 0);
        fetches.available(0, key(9), 0, 5, 0);
        assert_eq!(orders(&peers[0]), ["fetch 0..5"]);
        assert!(!fetches.is_beginning(key(9), 4));
        fetches.stored(key(9), 5, 0);
        assert!(fetches.is_beginning(key(9), 5));
        fetches.stored(key(1), 7, 0);
        fetches.has_begun(key(1).0, 0);
        assert_eq!(orders(&peers[0]), ["fetch 7..10"]);
    }

    #[test]
    fn without_the_peer_that_has_the_checkpoint_the_logs_are_fetched_whole() {
        let (fetches, peers) = with_sessions(2);
        fetches.begin_with(key(9), 0);
        fetches.available(0, key(9), 0, 5, 0);
        fetches.available(1, key(1), 0, 10, 0);
        fetches.leave(0, 0);
        assert_eq!(orders(&peers[1]), ["fetch 0..10"]);
    }

    #[test]
    fn a_checkpoint_that_no_peer_has_more_of_is_here() {
        let (fetches, _) = with_sessions(1);
        assert_eq!(fetches.beginning_here(key(9).0), None);
        fetches.begin_with(key(9), 0);
        assert_eq!(fetches.beginning_here(key(9).0), Some(key(9)));
        fetches.available(0, key(9), 3, 5, 0);
        assert_eq!(fetches.beginning_here(key(9).0), None);
    }

    #[test]
    fn a_checkpoint_that_does_not_come_holds_nothing_up() {
        let (fetches, peers) = with_sessions(1);
        fetches.begin_with(key(9), 0);
        fetches.available(0, key(9), 0, 5, 0);
        fetches.available(0, key(1), 0, 10, 0);
        assert_eq!(orders(&peers[0]), ["fetch 0..5"]);
        fetches.received(0, key(9), STALL_MS);
        fetches.tick(STALL_MS + HOLD_MS);
        assert_eq!(orders(&peers[0]), [""; 0]);
        fetches.tick(2 * STALL_MS + HOLD_MS);
        assert_eq!(orders(&peers[0]), ["fetch 0..10"]);
    }
}
