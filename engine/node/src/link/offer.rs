//! The old device's side: making a link, and answering the one device that uses it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_access::{DeviceRecord, Name};
use stead_api::{ApiError, DeviceInfo, ErrorKind, Link, LinkCreated, LinkOutcome, LinkSecret};
use stead_base::DeviceId;
use stead_net::{Connection, Net, RelayUrl};
use tokio::sync::{Semaphore, watch};

use super::codec::{
    Attempt, LinkAnswer, LinkRequest, REQUEST_BYTES_MAX, Reason, Welcome, proof, same, seal_welcome,
};
use super::{STEP_TIMEOUT, receive, send};
use crate::clock::wall_ms;
use crate::faults;
use crate::store_thread::StoreHandle;

/// How long a link is good for when nobody says.
const VALID_MS: u64 = 10 * 60_000;
/// Longest validity of a link.
const VALID_MS_MAX: u64 = 24 * 3_600_000;
/// Links remembered after they were used, so that using one again is told apart from a wrong one.
const SPENT_MAX: usize = 64;
/// Attempts answered at the same time.
const ATTEMPTS_MAX: usize = 4;
/// How long one attempt may take in all.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// The links this device has made. Clones share them.
#[derive(Clone)]
pub(crate) struct Links {
    net: Net,
    store: StoreHandle,
    device_name: String,
    state: Arc<Mutex<State>>,
    attempts: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    /// Only one link is open at a time: a wrong attempt burns whatever is open.
    open: Option<Made>,
    spent: VecDeque<(Made, Reason)>,
}

#[derive(Clone)]
struct Made {
    id: String,
    secret: LinkSecret,
    expires_ms: u64,
    outcome: watch::Sender<LinkOutcome>,
}

impl Links {
    pub(crate) fn new(net: Net, store: StoreHandle, device_name: String) -> Self {
        Self {
            net,
            store,
            device_name,
            state: Arc::default(),
            attempts: Arc::new(Semaphore::new(ATTEMPTS_MAX)),
        }
    }

    /// Makes a link; one that is still open is cancelled.
    pub(crate) fn create(&self, valid_ms: Option<u64>) -> Result<LinkCreated, ApiError> {
        let mut bytes = [0; 40];
        getrandom::fill(&mut bytes)
            .map_err(|_| ApiError::new(ErrorKind::Internal, "The system gives no randomness."))?;
        let (secret, id) = bytes.split_at(32);
        let mut fresh = LinkSecret([0; 32]);
        fresh.0.copy_from_slice(secret);
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let expires_ms = wall_ms() + valid_ms.unwrap_or(VALID_MS).min(VALID_MS_MAX);
        let hints = self.net.local_hints();
        let link = Link {
            device: *self.net.device_id().as_bytes(),
            secret: fresh.clone(),
            expires_ms,
            addresses: hints.addrs,
            relay: hints.relay.as_ref().map(RelayUrl::to_string),
        };
        let made = Made {
            id: id.clone(),
            secret: fresh,
            expires_ms,
            outcome: watch::Sender::new(LinkOutcome::Open),
        };
        let mut state = self.lock();
        state.spend(Reason::Cancelled, LinkOutcome::Cancelled);
        state.open = Some(made);
        Ok(LinkCreated {
            link_id: id,
            link: link.to_string(),
            expires_ms,
        })
    }

    /// Takes an open link back.
    pub(crate) fn cancel(&self, id: &str) -> Result<(), ApiError> {
        let mut state = self.lock();
        match &state.open {
            Some(made) if made.id == id => {
                state.spend(Reason::Cancelled, LinkOutcome::Cancelled);
                Ok(())
            }
            _ => Err(no_such_link()),
        }
    }

    /// Waits until a link was used, refused or cancelled, or has expired.
    pub(crate) async fn wait(&self, id: &str, wait_ms: u64) -> Result<LinkOutcome, ApiError> {
        let found = {
            let state = self.lock();
            let open = state.open.iter();
            let mut made = open.chain(state.spent.iter().map(|(made, _)| made));
            made.find(|made| made.id == id)
                .map(|made| (made.outcome.subscribe(), made.expires_ms))
        };
        let (mut outcome, expires_ms) = found.ok_or_else(no_such_link)?;
        let left = expires_ms.saturating_sub(wall_ms());
        let settled = outcome.wait_for(|outcome| *outcome != LinkOutcome::Open);
        let limit = Duration::from_millis(wait_ms.min(left));
        match tokio::time::timeout(limit, settled).await {
            Ok(Ok(outcome)) => Ok(outcome.clone()),
            _ if wall_ms() >= expires_ms => {
                self.expire();
                Ok(LinkOutcome::Expired)
            }
            _ => Ok(LinkOutcome::Open),
        }
    }

    /// Answers a device that came to link.
    pub(crate) async fn serve(self, connection: Connection) {
        let Ok(_permit) = self.attempts.clone().try_acquire_owned() else {
            connection.close(3, "too many devices are linking");
            return;
        };
        let attempt = self.answer(&connection);
        match tokio::time::timeout(ATTEMPT_TIMEOUT, attempt).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => {
                tracing::info!(peer = %connection.remote().short(), why, "linking failed")
            }
            Err(_) => tracing::info!(peer = %connection.remote().short(), "linking took too long"),
        }
        connection.close(0, "linking is over");
    }

    async fn answer(&self, connection: &Connection) -> Result<(), String> {
        let streams = tokio::time::timeout(STEP_TIMEOUT, connection.accept_bi()).await;
        let (mut out, mut input) = streams
            .map_err(|_| "the other device opened no stream".to_owned())?
            .map_err(|closed| closed.to_string())?;
        let bytes = receive(&mut input, REQUEST_BYTES_MAX).await?;
        let request = LinkRequest::decode(&bytes).map_err(|error| error.to_string())?;
        let (old, new) = (self.net.device_id(), connection.remote());
        if request.device.id != new {
            return Err("a device tried to link another one".to_owned());
        }
        let binding = connection.channel_binding();
        let attempt = Attempt {
            old,
            new,
            channel_binding: &binding,
        };
        let answer = match self.burn(&attempt, &request) {
            Ok(made) => self.welcome(&attempt, made, &request.device).await,
            Err(refused) => refused,
        };
        send(&mut out, &answer.encode()).await?;
        let _ = tokio::time::timeout(STEP_TIMEOUT, out.delivered()).await;
        Ok(())
    }

    /// Uses up the open link, whatever comes of it.
    fn burn(&self, attempt: &Attempt<'_>, request: &LinkRequest) -> Result<Made, LinkAnswer> {
        let fits = |made: &Made| {
            let right = proof(&made.secret.0, attempt, &request.device);
            same(&right, &request.proof)
        };
        let refused = |reason, text: &str| LinkAnswer::Refused {
            reason,
            text: text.to_owned(),
        };
        self.expire();
        let mut state = self.lock();
        if let Some(made) = state.open.take_if(|made| fits(made)) {
            state.remember(made.clone(), Reason::Used);
            return Ok(made);
        }
        let spent = state
            .spent
            .iter()
            .find(|(made, _)| fits(made))
            .map(|(_, reason)| *reason);
        Err(match spent {
            Some(Reason::Expired) => {
                refused(Reason::Expired, "The link has expired; make a new one.")
            }
            Some(Reason::Cancelled) => refused(
                Reason::Cancelled,
                "The link was taken back; make a new one.",
            ),
            Some(_) => refused(Reason::Used, "The link was used before; make a new one."),
            None => {
                let name = request.device.name.as_str();
                let message =
                    format!("A device called {name:?} came with a wrong link; this one is burnt.");
                state.spend(Reason::Used, LinkOutcome::Refused { message });
                refused(Reason::Wrong, "This device has made no such link.")
            }
        })
    }

    /// Lets the new device in and tells it what it needs.
    async fn welcome(
        &self,
        attempt: &Attempt<'_>,
        made: Made,
        device: &DeviceRecord,
    ) -> LinkAnswer {
        let answer = match self.admit(device).await {
            Ok(welcome) => seal_welcome(&made.secret.0, attempt, &device.kem, &welcome)
                .map_err(|error| faults::capitalized(&error.to_string())),
            Err(error) => Err(error.message),
        };
        match answer {
            Ok(sealed) => {
                tracing::info!(peer = %device.id.short(), "linked a device");
                let device = info(device.id, &device.name);
                made.outcome.send_replace(LinkOutcome::Linked { device });
                LinkAnswer::Welcome(sealed)
            }
            Err(text) => {
                let message = format!("The other device could not be let in: {text}");
                made.outcome.send_replace(LinkOutcome::Refused { message });
                LinkAnswer::Refused {
                    reason: Reason::Failed,
                    text,
                }
            }
        }
    }

    async fn admit(&self, device: &DeviceRecord) -> Result<Welcome, ApiError> {
        let device = device.clone();
        let name = Name::from_any(&self.device_name);
        let admitted = self.store.change(move |desk| {
            let granted = desk.replica.grant_device(&device, wall_ms());
            desk.note_outcome(&granted);
            granted.map_err(|error| faults::replica(&error))?;
            let home = desk.replica.home();
            let mut ids = desk.replica.space_ids();
            // False sorts first: the home space leads.
            ids.sort_by_key(|id| Some(*id) != home);
            let tickets = ids
                .iter()
                .filter_map(|id| desk.replica.ticket(id))
                .collect();
            Ok(Welcome {
                device_name: name,
                tickets,
            })
        });
        admitted.await?
    }

    fn expire(&self) {
        let mut state = self.lock();
        if state
            .open
            .as_ref()
            .is_some_and(|made| wall_ms() >= made.expires_ms)
        {
            state.spend(Reason::Expired, LinkOutcome::Expired);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the links whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Makes the open link worthless.
    fn spend(&mut self, reason: Reason, outcome: LinkOutcome) {
        if let Some(made) = self.open.take() {
            made.outcome.send_replace(outcome);
            self.remember(made, reason);
        }
    }

    fn remember(&mut self, made: Made, reason: Reason) {
        if self.spent.len() >= SPENT_MAX {
            self.spent.pop_front();
        }
        self.spent.push_back((made, reason));
    }
}

/// A device as the API names it, right after linking.
pub(super) fn info(id: DeviceId, name: &str) -> DeviceInfo {
    DeviceInfo {
        id: id.to_string(),
        name: name.to_owned(),
        this: false,
        linked_ms: Some(wall_ms()),
        seen_ms: Some(wall_ms()),
    }
}

fn no_such_link() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "There is no such open link.")
        .hint("Make a new one with `stead link`.")
}
