//! Signing this device's own logs: at once, or beside the thread that writes.
//!
//! A signature takes as long as everything else that one small transaction needs in memory, and
//! nothing that is stored waits for it: it covers a length and a root, and the writer can make it
//! again at any time. So where a driver lends a thread ([`Replica::signer`]), a log is signed while
//! the store writes. A head is made before anything of the log leaves the device: whoever reads a log
//! for somebody else signs it then, if nobody has yet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use stead_base::{Hash, SpaceId, WriterId};
use stead_crypt::SigningKey;
use stead_log::SignedHead;

use crate::Replica;
use crate::space::SpaceState;

/// How often a signer without work looks again before it sleeps: some ten microseconds, about the
/// time from one small transaction to the next.
const LOOKS: u32 = 1_500;

type Log = (SpaceId, WriterId);

/// Signs heads on a thread of the driver's. See the module's head.
pub struct Signer {
    desk: Arc<SigningDesk>,
}

/// Where a replica and its signer meet.
#[derive(Default)]
pub(crate) struct SigningDesk {
    waiting: AtomicBool,
    state: Mutex<Papers>,
    work: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct Papers {
    jobs: BTreeMap<Log, Job>,
    signed: BTreeMap<Log, SignedHead>,
    signing: bool,
    asleep: bool,
    /// Set when either side is gone.
    closed: bool,
}

struct Job {
    key: Arc<SigningKey>,
    len: u64,
    root: Hash,
}

impl Signer {
    /// Signs what the replica asks for until the replica is dropped.
    pub fn run(self) {
        while let Some((log, job)) = self.desk.take() {
            let head = SignedHead::sign(&job.key, &log.0, job.len, job.root);
            let mut papers = self.desk.lock();
            papers.signed.insert(log, head);
            papers.signing = false;
            if papers.jobs.is_empty() {
                self.desk.done.notify_all();
            }
        }
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.desk.close();
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl SigningDesk {
    fn lock(&self) -> MutexGuard<'_, Papers> {
        // Every critical section leaves the papers whole, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
        self.done.notify_all();
    }

    /// Asks for a head; a newer one of the same log replaces one that was not begun. Returns
    /// whether there is someone to sign it.
    pub(crate) fn ask(&self, log: Log, key: &Arc<SigningKey>, len: u64, root: Hash) -> bool {
        let mut papers = self.lock();
        if papers.closed {
            return false;
        }
        let key = Arc::clone(key);
        papers.jobs.insert(log, Job { key, len, root });
        self.waiting.store(true, Ordering::Release);
        if papers.asleep {
            self.work.notify_one();
        }
        true
    }

    /// The next log to sign; None when the replica is gone.
    fn take(&self) -> Option<(Log, Job)> {
        for _ in 0..LOOKS {
            if self.waiting.load(Ordering::Acquire) {
                break;
            }
            std::hint::spin_loop();
        }
        let mut papers = self.lock();
        loop {
            if papers.closed {
                return None;
            }
            if let Some(next) = papers.jobs.pop_first() {
                self.waiting
                    .store(!papers.jobs.is_empty(), Ordering::Release);
                papers.signing = true;
                return Some(next);
            }
            papers.asleep = true;
            papers = self
                .work
                .wait(papers)
                .unwrap_or_else(PoisonError::into_inner);
            papers.asleep = false;
        }
    }

    fn signed(&self) -> BTreeMap<Log, SignedHead> {
        std::mem::take(&mut self.lock().signed)
    }

    fn wait(&self) {
        let mut papers = self.lock();
        while !papers.closed && (papers.signing || !papers.jobs.is_empty()) {
            papers = self
                .done
                .wait(papers)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Replica {
    /// Lets another thread sign this device's logs: it calls [`Signer::run`]. Without one, each
    /// write signs before it is stored.
    pub fn signer(&mut self) -> Signer {
        if let Some(former) = self.signing.take() {
            former.close();
        }
        let desk = Arc::<SigningDesk>::default();
        self.signing = Some(Arc::clone(&desk));
        Signer { desk }
    }

    /// Puts the heads that were signed meanwhile on their logs.
    pub(crate) fn collect_heads(&mut self) {
        let Some(desk) = &self.signing else {
            return;
        };
        for ((space, writer), head) in desk.signed() {
            let state = self
                .spaces
                .get_mut(&space)
                .and_then(|space| space.writers.get_mut(&writer));
            if let Some(state) = state {
                // A head for what is no longer the end of the log is not needed.
                state.record.tip.cover_with(head);
            }
        }
    }

    /// Waits until every log of this device's own is signed as long as it is.
    pub(crate) fn finish_signing(&mut self) {
        if let Some(desk) = &self.signing {
            desk.wait();
        }
        self.collect_heads();
        self.sign_all();
    }

    /// Signs what nobody else does.
    pub(crate) fn sign_all(&mut self) {
        for space in self.spaces.values_mut() {
            space.sign_own();
        }
    }
}

impl SpaceState {
    /// Signs this store's own log as long as it is now, unless that is done already.
    pub(crate) fn sign_own(&mut self) {
        if let Some(own) = &self.own
            && let Some(state) = self.writers.get_mut(&own.id)
            && state.record.tip.is_unsigned()
        {
            state.record.tip.sign(&self.id, &own.key);
        }
    }

    /// The signed head that covers a log; made now if it is this store's own and not signed yet.
    pub(crate) fn head_of(&self, writer: &WriterId) -> Option<SignedHead> {
        let tip = &self.writers.get(writer)?.record.tip;
        let own = self.own.as_ref().filter(|own| own.id == *writer);
        match own {
            Some(own) if tip.is_unsigned() => {
                Some(SignedHead::sign(&own.key, &self.id, tip.len(), tip.root()))
            }
            _ => tip.head().copied(),
        }
    }
}
