//! A link or spoken words as the old device keeps them: the secret, the key made for them, until when, and how it ended.

use std::sync::{Arc, Mutex, PoisonError};

use stead_access::IdentityId;
use stead_api::{LinkOutcome, LinkSecret};
use stead_base::Entropy;
use stead_crypt::{KemSecret, SpokenCode, Zeroizing};
use stead_keys::OsEntropy;
use tokio::sync::watch;

use super::Door;
use super::codec::{Reason, Reply};
use crate::clock::{steady_ms, wall_ms};

/// A link or spoken words, made for one attempt.
pub(super) struct Offer {
    pub(super) id: String,
    pub(super) secret: Secret,
    pub(super) purpose: Purpose,
    /// Made for this attempt alone, and forgotten when it begins or cannot begin any more.
    key: Mutex<Option<Arc<KemSecret>>>,
    pub(super) deadline: Deadline,
    pub(super) outcome: watch::Sender<LinkOutcome>,
}

/// What becomes of a device that is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It becomes one of the person's.
    Link,
    /// It gets the share that this person holds for somebody.
    Help {
        /// Whose share.
        owner: IdentityId,
        /// What this person calls them.
        name: String,
    },
}

impl Purpose {
    pub(super) const fn door(&self) -> Door {
        match self {
            Self::Link => Door::Link,
            Self::Help { .. } => Door::Help,
        }
    }
}

/// What only the two devices know.
pub(super) enum Secret {
    Link(LinkSecret),
    Spoken(SpokenCode),
}

/// The right to the one attempt. When it is dropped, the person learns how the attempt ended.
pub(super) struct Taken {
    pub(super) offer: Arc<Offer>,
}

impl Taken {
    /// Says why nobody is let in.
    pub(super) fn fail(&self, message: &str) {
        self.offer.settle(LinkOutcome::Refused {
            message: message.to_owned(),
        });
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.fail("The device that came went away before it was let in.");
    }
}

/// A moment on both clocks: setting the wall clock back, as whoever serves the time could, gains nothing, and neither
/// does a sleep that the steady clock does not count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    pub(super) wall_ms: u64,
    steady_ms: u64,
}

impl Deadline {
    pub(super) fn after(ms: u64) -> Self {
        Self {
            wall_ms: wall_ms().saturating_add(ms),
            steady_ms: steady_ms().saturating_add(ms),
        }
    }

    pub(super) fn left_ms(&self) -> u64 {
        let wall = self.wall_ms.saturating_sub(wall_ms());
        wall.min(self.steady_ms.saturating_sub(steady_ms()))
    }
}

impl Offer {
    /// Makes one with a key of its own, which is given beside it.
    pub(super) fn new(
        secret: Secret,
        purpose: Purpose,
        valid_ms: u64,
    ) -> (Arc<Self>, Arc<KemSecret>) {
        let mut id = [0; 8];
        OsEntropy.fill(&mut id);
        let mut seed = Zeroizing::new([0; 32]);
        OsEntropy.fill(&mut *seed);
        let key = Arc::new(KemSecret::from_seed(&seed));
        let offer = Arc::new(Self {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            secret,
            purpose,
            key: Mutex::new(Some(Arc::clone(&key))),
            deadline: Deadline::after(valid_ms),
            outcome: watch::Sender::new(LinkOutcome::Open),
        });
        (offer, key)
    }

    /// The key made for this attempt, while it may begin.
    pub(super) fn key(&self) -> Result<Arc<KemSecret>, Reply> {
        let key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        key.clone().ok_or_else(|| worthless(Reason::Used))
    }

    pub(super) fn forget_key(&self) {
        self.key
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Says how it ended, unless that is known already.
    pub(super) fn settle(&self, end: LinkOutcome) {
        self.outcome.send_if_modified(|outcome| {
            let undecided = matches!(outcome, LinkOutcome::Open | LinkOutcome::Asking { .. });
            if undecided {
                *outcome = end;
            }
            undecided
        });
    }
}

/// What to tell whoever comes with one that is of no use any more.
pub(super) fn worthless(reason: Reason) -> Reply {
    let text = match reason {
        Reason::Expired => "The link has expired; make a new one.",
        Reason::Cancelled => "The link was taken back; make a new one.",
        _ => "The link was used before; make a new one.",
    };
    Reply::refused(reason, text)
}

pub(super) fn taken_back() -> Reply {
    worthless(Reason::Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_with_whichever_clock_says_so() {
        let far = u64::MAX / 2;
        let over = |wall_ms, steady_ms| Deadline { wall_ms, steady_ms }.left_ms() == 0;
        assert!(over(0, far) && over(far, 0) && !over(far, far));
    }
}
