//! The new device's side, as its person sees it: using a link or words, waiting to be let in, and moving in.
//!
//! Owns the one attempt that waits and what is done with a welcome. What is said meanwhile is in [`super::dial`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_api::{ApiError, ErrorKind, Link, LinkAccepted, LinkArrival, LinkBegun, LinkError};
use stead_base::{DeviceId, Entropy};
use stead_crypt::SpokenCode;
use stead_keys::OsEntropy;
use stead_net::{Net, PeerHints};
use tokio::sync::{Mutex as AsyncMutex, oneshot, watch};

use super::codec::Welcome;
use super::dial::{self, Newcomer, Waiting};
use super::{Door, offer, spoken};
use crate::clock::wall_ms;
use crate::directory::Introductions;
use crate::faults;
use crate::store_thread::StoreHandle;

/// How long to wait for the first sync after linking, before answering all the same.
const FIRST_SYNC: Duration = Duration::from_secs(10);

/// Uses links and words, one at a time. Clones share the attempt.
#[derive(Clone)]
pub(crate) struct Acceptor {
    net: Net,
    store: StoreHandle,
    introductions: Introductions,
    members: watch::Receiver<u64>,
    /// Two attempts at once would each give up the same identity.
    turn: Arc<AsyncMutex<()>>,
    attempt: Arc<Mutex<Option<Attempt>>>,
}

struct Attempt {
    id: String,
    arrival: watch::Receiver<Option<Result<LinkAccepted, ApiError>>>,
    /// Dropped to give it up.
    _going_on: oneshot::Sender<()>,
}

impl Acceptor {
    pub(crate) fn new(
        net: Net,
        store: StoreHandle,
        introductions: Introductions,
        members: watch::Receiver<u64>,
    ) -> Self {
        Self {
            net,
            store,
            introductions,
            members,
            turn: Arc::default(),
            attempt: Arc::default(),
        }
    }

    /// Asks the device that shows the link to let this one in. An attempt that still waits is given up.
    pub(crate) async fn accept(&self, text: &str) -> Result<LinkBegun, ApiError> {
        let _turn = self.turn.lock().await;
        let link: Link = text.parse().map_err(malformed)?;
        self.check(Some(DeviceId::from_bytes(link.device))).await?;
        self.leave(None);
        let me = self.newcomer().await?;
        let waiting = dial::with_link(&self.net, &link, &me, Door::Link).await?;
        Ok(self.begin(waiting))
    }

    /// The same with spoken words. `at` is `<id>@<address>`.
    pub(crate) async fn hear(&self, words: &str, at: Option<&str>) -> Result<LinkBegun, ApiError> {
        let _turn = self.turn.lock().await;
        let words = SpokenCode::parse(words).map_err(|error| {
            faults::sentence(ErrorKind::LinkMalformed, &error)
                .hint("Type the three words that the other device shows.")
        })?;
        let at = at.map(spoken::Place::parse).transpose()?;
        self.check(None).await?;
        self.leave(None);
        let me = self.newcomer().await?;
        let waiting = spoken::with_words(&self.net, &words, at, &me, Door::Link).await?;
        Ok(self.begin(waiting))
    }

    /// Waits until this device was let in or refused.
    pub(crate) async fn arrive(&self, id: &str, wait_ms: u64) -> Result<LinkArrival, ApiError> {
        let mut arrival = {
            let attempt = self.lock();
            let found = attempt.as_ref().filter(|attempt| attempt.id == id);
            found.ok_or_else(no_such_attempt)?.arrival.clone()
        };
        let settled = arrival.wait_for(Option::is_some);
        match tokio::time::timeout(Duration::from_millis(wait_ms), settled).await {
            Err(_) => Ok(LinkArrival::Waiting),
            Ok(Ok(arrival)) => match &*arrival {
                Some(Ok(accepted)) => Ok(LinkArrival::Linked(accepted.clone())),
                Some(Err(error)) => Err(error.clone()),
                None => Ok(LinkArrival::Waiting),
            },
            Ok(Err(_)) => Err(given_up()),
        }
    }

    /// Ends an attempt that nobody has answered.
    pub(crate) fn give_up(&self, id: &str) -> Result<(), ApiError> {
        match self.leave(Some(id)) {
            true => Ok(()),
            false => Err(no_such_attempt()),
        }
    }

    fn leave(&self, id: Option<&str>) -> bool {
        let mut attempt = self.lock();
        attempt
            .take_if(|attempt| id.is_none_or(|id| attempt.id == id))
            .is_some()
    }

    fn begin(&self, waiting: Waiting) -> LinkBegun {
        let mut id = [0; 8];
        OsEntropy.fill(&mut id);
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let code = waiting.code.map(|code| code.to_string());
        let (arrived, arrival) = watch::channel(None);
        let (going_on, given) = oneshot::channel::<()>();
        let moving = self.clone();
        tokio::spawn(async move {
            let (old, hints) = (waiting.old, waiting.hints.clone());
            let welcome = tokio::select! {
                welcome = waiting.welcome() => welcome,
                _ = given => Err(given_up()),
            };
            let moved = match welcome {
                Ok(welcome) => moving.move_in(old, hints, welcome).await,
                Err(error) => Err(error),
            };
            arrived.send_replace(Some(moved));
        });
        *self.lock() = Some(Attempt {
            id: id.clone(),
            arrival,
            _going_on: going_on,
        });
        LinkBegun { attempt: id, code }
    }

    /// Refuses what can be refused without dialing, and so without using the link up.
    async fn check(&self, old: Option<DeviceId>) -> Result<(), ApiError> {
        if old == Some(self.net.device_id()) {
            return Err(ApiError::new(
                ErrorKind::LinkOwnDevice,
                "This link was made by this very device.",
            )
            .hint("Use it on the device that you want to add."));
        }
        let (blank, together) = self
            .store
            .look(move |desk| {
                let blank = desk
                    .replica
                    .home_is_blank()
                    .map_err(|error| faults::replica(&error))?;
                let home = desk
                    .replica
                    .home()
                    .and_then(|home| desk.replica.outline(&home).ok());
                let devices = home.map(|home| home.devices).unwrap_or_default();
                let together = devices.iter().any(|device| Some(device.id) == old);
                Ok::<_, ApiError>((blank, together))
            })
            .await??;
        if together {
            return Err(ApiError::new(
                ErrorKind::LinkTaken,
                "These two devices are linked already.",
            )
            .hint("`stead status` shows how they reach each other."));
        }
        if !blank {
            return Err(ApiError::new(
                ErrorKind::LinkTaken,
                "This device already belongs to an identity with data of its own.",
            )
            .hint("Start it with an empty data folder to link it, or make the link here and use it on the other device."));
        }
        Ok(())
    }

    async fn newcomer(&self) -> Result<Newcomer, ApiError> {
        self.store
            .look(|desk| Newcomer {
                record: desk.replica.device_record(),
                kem: desk.replica.keys().kem().clone(),
            })
            .await
    }

    /// Becomes a device of the person who said yes.
    async fn move_in(
        &self,
        old: DeviceId,
        hints: PeerHints,
        welcome: Welcome,
    ) -> Result<LinkAccepted, ApiError> {
        let _turn = self.turn.lock().await;
        // Much may have happened here while the person made up their mind.
        self.check(Some(old)).await?;
        self.introductions.introduce(old, hints);
        let name = welcome.device_name.as_str().to_owned();
        self.join(welcome).await?;
        self.first_sync().await;
        let spaces = self.store.look(|desk| {
            let ids = desk.replica.space_ids();
            ids.iter()
                .filter_map(|id| desk.replica.outline(id).ok())
                .collect::<Vec<_>>()
        });
        let spaces = spaces.await?;
        Ok(LinkAccepted {
            device: offer::info(old, &name),
            spaces: spaces
                .iter()
                .map(crate::api::convert::space_outline)
                .collect(),
        })
    }

    /// Gives up the blank identity of this device and joins the spaces of the other one.
    async fn join(&self, welcome: Welcome) -> Result<(), ApiError> {
        let joined = self.store.change(move |desk| {
            let now_ms = wall_ms();
            let mut join = || {
                desk.replica.abandon_blank_home(now_ms)?;
                for (place, ticket) in welcome.tickets.iter().enumerate() {
                    desk.replica.join_space(ticket, place == 0, now_ms)?;
                }
                Ok(())
            };
            let joined = join();
            desk.note_outcome(&joined);
            joined
        });
        joined.await?.map_err(|error| faults::replica(&error))
    }

    /// Waits until the home space says that this device is in it.
    async fn first_sync(&self) {
        let mut members = self.members.clone();
        let admitted = async {
            loop {
                members.borrow_and_update();
                let role = self.store.look(|desk| {
                    let home = desk.replica.home()?;
                    desk.replica.outline(&home).ok()?.role
                });
                if matches!(role.await, Ok(Some(_)) | Err(_)) || members.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(FIRST_SYNC, admitted).await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Attempt>> {
        // Every critical section leaves it whole.
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn malformed(error: LinkError) -> ApiError {
    faults::sentence(ErrorKind::LinkMalformed, &error)
        .hint("Copy the whole link again, from `stead-link:` to its end.")
}

fn given_up() -> ApiError {
    ApiError::new(ErrorKind::LinkExpired, "This attempt was given up.")
}

fn no_such_attempt() -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        "This device does not wait to be let in.",
    )
    .hint("Use a link or words first: stead link LINK")
}
