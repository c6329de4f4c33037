//! Collecting guardians' shares on an empty device.
//!
//! Owns the shares that came, in memory only, and the one guardian that is being asked. How a share is asked for is
//! linking's exchange (`crate::link`), how shares are put together the replica's to say.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_api::{ApiError, ErrorKind, Link, LinkBegun, RecoverShare, ShareHere, SharesHere};
use stead_base::DeviceId;
use stead_crypt::{RecoveryPhrase, SpokenCode};
use stead_net::Net;
use stead_replica::{Collected, ReleasedShare, put_together};
use tokio::sync::watch;

use crate::faults;
use crate::link::dial::{self, Newcomer, Waiting};
use crate::link::{Door, HELP_PREFIX, LINK_PREFIX, spoken};
use crate::store_thread::StoreHandle;

/// Most shares kept; more than any sharing needs, with wrong ones among them.
const SHARES_MAX: usize = 128;
/// Longest wait of one call, in milliseconds.
const WAIT_MS_MAX: u64 = 60_000;

/// Collects shares. Clones share them.
#[derive(Clone)]
pub(crate) struct Collector {
    net: Net,
    store: StoreHandle,
    state: Arc<Mutex<State>>,
    turned: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    given: Vec<(DeviceId, ReleasedShare)>,
    /// Counts attempts; the latest one may still wait.
    attempt: u64,
    waiting: bool,
    failed: Option<ApiError>,
}

impl Collector {
    pub(crate) fn new(net: Net, store: StoreHandle) -> Self {
        Self {
            net,
            store,
            state: Arc::default(),
            turned: watch::Sender::new(0),
        }
    }

    /// Asks a guardian for the share. One that is being asked still is given up.
    pub(crate) async fn take(&self, share: RecoverShare) -> Result<LinkBegun, ApiError> {
        let me = self.store.look(|desk| Newcomer {
            record: desk.replica.device_record(),
            kem: desk.replica.keys().kem().clone(),
        });
        let me = me.await?;
        let waiting = match (&share.link, &share.words) {
            (Some(text), None) => {
                let text = text.trim().to_lowercase();
                let link = text
                    .strip_prefix(HELP_PREFIX)
                    .and_then(|rest| format!("{LINK_PREFIX}{rest}").parse::<Link>().ok())
                    .ok_or_else(malformed)?;
                dial::with_link(&self.net, &link, &me, Door::Help).await?
            }
            (None, Some(words)) => {
                let words = SpokenCode::parse(words).map_err(|error| {
                    faults::sentence(ErrorKind::LinkMalformed, &error)
                        .hint("Type the three words that your guardian tells you.")
                })?;
                let at = share.at.as_deref().map(spoken::Place::parse).transpose()?;
                spoken::with_words(&self.net, &words, at, &me, Door::Help).await?
            }
            _ => return Err(malformed()),
        };
        Ok(self.begin(waiting))
    }

    fn begin(&self, waiting: Waiting) -> LinkBegun {
        let code = waiting.code.map(|code| code.to_string());
        let attempt = {
            let mut state = self.lock();
            state.attempt += 1;
            state.waiting = true;
            state.failed = None;
            state.attempt
        };
        let collector = self.clone();
        tokio::spawn(async move {
            let guardian = waiting.old;
            let opened = waiting.opened().await;
            let share = opened.and_then(|opened| {
                ReleasedShare::decode(&opened).map_err(|_| {
                    ApiError::new(
                        ErrorKind::LinkWrong,
                        "What this guardian holds is no share, or was altered: it is of no use.",
                    )
                    .hint("Ask another guardian.")
                })
            });
            collector.settle(attempt, guardian, share);
        });
        LinkBegun {
            attempt: attempt.to_string(),
            code,
        }
    }

    fn settle(&self, attempt: u64, guardian: DeviceId, share: Result<ReleasedShare, ApiError>) {
        let mut state = self.lock();
        match share {
            Ok(share) => {
                let known = state.given.iter().any(|(_, given)| {
                    given.guardian == share.guardian
                        && given.share.set() == share.share.set()
                        && given.share.index() == share.share.index()
                });
                if !known && state.given.len() < SHARES_MAX {
                    state.given.push((guardian, share));
                }
            }
            Err(error) if state.attempt == attempt => state.failed = Some(error),
            Err(_) => {}
        }
        if state.attempt == attempt {
            state.waiting = false;
        }
        drop(state);
        self.turned.send_modify(|turn| *turn += 1);
    }

    /// Which shares are here, at the latest after `wait_ms`.
    pub(crate) async fn look(&self, wait_ms: u64) -> Result<SharesHere, ApiError> {
        let mut turned = self.turned.subscribe();
        turned.borrow_and_update();
        if self.lock().waiting {
            let wait = Duration::from_millis(wait_ms.min(WAIT_MS_MAX));
            let _ = tokio::time::timeout(wait, turned.changed()).await;
        }
        let mut state = self.lock();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        let given: Vec<ReleasedShare> = state.given.iter().map(|(_, it)| it.clone()).collect();
        let waiting = state.waiting;
        drop(state);
        Ok(describe(&given, waiting))
    }

    /// The words, once enough shares are here, and the guardians' devices.
    pub(crate) fn phrase(&self) -> Option<(RecoveryPhrase, Vec<DeviceId>)> {
        let state = self.lock();
        let given: Vec<ReleasedShare> = state.given.iter().map(|(_, it)| it.clone()).collect();
        let (_, _, phrase) = put_together(&given);
        let devices = state.given.iter().map(|(device, _)| *device).collect();
        Some((phrase?, devices))
    }

    /// Forgets all shares.
    pub(crate) fn forget(&self) {
        let mut state = self.lock();
        state.given.clear();
        state.attempt += 1;
        state.waiting = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(given: &[ReleasedShare], waiting: bool) -> SharesHere {
    let (collected, strays, _) = put_together(given);
    let good = (0..given.len()).find(|place| !strays.contains(place));
    let forged = collected == Collected::Forged;
    let shares = given.iter().enumerate().map(|(place, share)| {
        let wrong = match (strays.contains(&place), forged) {
            (true, _) => Some(format!(
                "The share of {} does not belong to those of the others: it is an older one, or made up.",
                share.name
            )),
            (false, true) => Some(format!(
                "The share of {} is part of a set that brings back something else than it says: it is made up.",
                share.name
            )),
            (false, false) => None,
        };
        ShareHere {
            guardian: share.name.clone(),
            identity: share.guardian.to_string(),
            wrong,
        }
    });
    let shares = shares.collect();
    let need = good.map_or(0, |place| u32::from(given[place].share.threshold()));
    let have = match &collected {
        Collected::Need { have, .. } => u32::try_from(*have).unwrap_or(u32::MAX),
        Collected::Forged => 0,
        Collected::Back => need,
    };
    SharesHere {
        waiting,
        identity: good.map_or_else(String::new, |place| given[place].owner.to_string()),
        need,
        have,
        shares,
        ready: collected == Collected::Back,
    }
}

fn malformed() -> ApiError {
    ApiError::new(
        ErrorKind::LinkMalformed,
        "That is no text by which a guardian helps.",
    )
    .hint("Copy it whole, from `stead-help:` to its end.")
}
