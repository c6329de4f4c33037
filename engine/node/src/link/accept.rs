//! The new device's side: using a link that another device shows.

use std::time::Duration;

use stead_api::{ApiError, ErrorKind, Link, LinkAccepted, LinkError};
use stead_base::DeviceId;
use stead_net::{ConnectError, Net, PeerHints};
use tokio::sync::{Mutex, watch};

use super::codec::{
    ANSWER_BYTES_MAX, Attempt, LinkAnswer, LinkRequest, Reason, Welcome, open_welcome, proof,
};
use super::{LINK_ALPN, offer, receive, send};
use crate::clock::wall_ms;
use crate::directory::Introductions;
use crate::faults;
use crate::store_thread::StoreHandle;

/// How long to wait for the first sync after linking, before answering all the same.
const FIRST_SYNC: Duration = Duration::from_secs(10);

/// Uses links, one at a time.
pub(crate) struct Acceptor {
    pub(crate) net: Net,
    pub(crate) store: StoreHandle,
    pub(crate) introductions: Introductions,
    pub(crate) members: watch::Receiver<u64>,
    /// Two attempts at once would each give up the same identity.
    pub(crate) turn: Mutex<()>,
}

impl Acceptor {
    /// Becomes a device of the person whose device shows the link.
    pub(crate) async fn accept(&self, text: &str) -> Result<LinkAccepted, ApiError> {
        let _turn = self.turn.lock().await;
        let link: Link = text.parse().map_err(malformed)?;
        let old = DeviceId::from_bytes(link.device);
        self.check(old).await?;
        let hints = PeerHints {
            addrs: link.addresses.clone(),
            relay: link.relay.as_deref().and_then(|text| text.parse().ok()),
        };
        // Whatever was known of the device before stays known.
        if !hints.is_empty() {
            self.net.learn(old, hints.clone());
        }
        let welcome = self.exchange(old, &link).await?;
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

    /// Refuses what can be refused without dialing, and so without burning the link.
    async fn check(&self, old: DeviceId) -> Result<(), ApiError> {
        if old == self.net.device_id() {
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
                Ok::<_, ApiError>((blank, devices.iter().any(|device| device.id == old)))
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

    async fn exchange(&self, old: DeviceId, link: &Link) -> Result<Welcome, ApiError> {
        let connection = self
            .net
            .connect(old, LINK_ALPN)
            .await
            .map_err(|error| unreachable(&error, link))?;
        let broken = |why: String| {
            ApiError::new(
                ErrorKind::LinkUnreachable,
                format!("Linking broke off: {why}."),
            )
            .hint("Make a new link: this one may be used up.")
        };
        let record = self.store.look(|desk| {
            (
                desk.replica.device_record(),
                desk.replica.keys().kem().clone(),
            )
        });
        let (device, kem) = record.await?;
        let binding = connection.channel_binding();
        let attempt = Attempt {
            old,
            new: device.id,
            channel_binding: &binding,
        };
        let request = LinkRequest {
            proof: proof(&link.secret.0, &attempt, &device),
            device,
        };
        let (mut out, mut input) = connection
            .open_bi()
            .await
            .map_err(|closed| broken(closed.to_string()))?;
        send(&mut out, &request.encode()).await.map_err(broken)?;
        let bytes = receive(&mut input, ANSWER_BYTES_MAX)
            .await
            .map_err(broken)?;
        connection.close(0, "linking is over");
        let answer = LinkAnswer::decode(&bytes).map_err(|error| broken(error.to_string()))?;
        match answer {
            LinkAnswer::Refused { reason, text } => Err(refused(reason, &text)),
            LinkAnswer::Welcome(sealed) => {
                let opened = open_welcome(&link.secret.0, &attempt, &kem, &sealed)
                    .map_err(|error| broken(error.to_string()))?;
                Welcome::decode(&opened).map_err(|error| broken(error.to_string()))
            }
        }
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
}

fn malformed(error: LinkError) -> ApiError {
    faults::sentence(ErrorKind::LinkMalformed, &error)
        .hint("Copy the whole link again, from `stead-link:` to its end.")
}

fn unreachable(error: &ConnectError, link: &Link) -> ApiError {
    if link.has_expired(wall_ms()) {
        return ApiError::new(
            ErrorKind::LinkExpired,
            "The link has expired, and the device that made it does not answer.",
        )
        .hint("Make a new link; if it should still be good, check the clocks of both devices.");
    }
    faults::sentence(ErrorKind::LinkUnreachable, error).hint(
        "The link is still good. Bring both devices onto one network, or give both the address of a relay.",
    )
}

fn refused(reason: Reason, text: &str) -> ApiError {
    let (kind, message) = match reason {
        Reason::Wrong => (
            ErrorKind::LinkWrong,
            "The other device does not know this link.",
        ),
        Reason::Used => (ErrorKind::LinkUsed, "This link was used before."),
        Reason::Expired => (ErrorKind::LinkExpired, "This link has expired."),
        Reason::Cancelled => (
            ErrorKind::LinkExpired,
            "This link was taken back on the other device.",
        ),
        Reason::Failed => {
            let message = format!("The other device could not let this one in: {text}");
            return ApiError::new(ErrorKind::Internal, message)
                .hint("See `stead doctor` there, then make a new link.");
        }
    };
    ApiError::new(kind, message).hint("Make a new link on the other device and use that.")
}
