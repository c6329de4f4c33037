//! The invited side: using an invite that somebody gave, or the public link of a space.

use std::time::Duration;

use stead_access::OpId;
use stead_api::{ApiError, ErrorKind, InviteText, PublicLink, SpaceJoined};
use stead_base::{Decoder, DeviceId, SpaceId, WriterId};
use stead_crypt::Zeroizing;
use stead_net::{Net, PeerHints};
use stead_replica::{Chosen, Invite, SpaceTicket};
use tokio::sync::watch;

use super::INVITE_ALPN;
use super::codec::{ANSWER_BYTES_MAX, JoinAnswer, JoinRequest, TICKET_INFO, circumstances};
use crate::clock::wall_ms;
use crate::desk::Desk;
use crate::directory::Introductions;
use crate::faults;
use crate::link::Talk;
use crate::store_thread::StoreHandle;

/// How long to wait for the first sync after joining, before answering all the same.
const FIRST_SYNC: Duration = Duration::from_secs(10);

/// How long the other device may take to answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Uses invites.
pub(crate) struct Joiner {
    pub(crate) net: Net,
    pub(crate) store: StoreHandle,
    pub(crate) introductions: Introductions,
    pub(crate) members: watch::Receiver<u64>,
}

impl Joiner {
    /// Joins the space of an invite, or opens that of a public link.
    pub(crate) async fn join(
        &self,
        text: &str,
        keep: Option<&stead_api::Keep>,
    ) -> Result<SpaceJoined, ApiError> {
        let keep = keep.map(crate::api::parts::chosen_blindly).transpose()?;
        if PublicLink::is_meant(text) {
            return self.open_public(text, keep).await;
        }
        let text: InviteText = text.parse().map_err(|error| {
            faults::sentence(ErrorKind::LinkMalformed, &error)
                .hint("Copy the whole invite again, from `stead-invite:` to its end.")
        })?;
        let maker = DeviceId::from_bytes(text.device);
        let space = SpaceId::from_bytes(text.space);
        if text.expires_ms <= wall_ms() {
            return Err(
                ApiError::new(ErrorKind::LinkExpired, "The invite has expired.")
                    .hint("Ask for a new one."),
            );
        }
        let invite = Invite {
            space,
            id: OpId {
                log: WriterId::from_bytes(text.membership.0),
                seq: text.membership.1,
                index: text.membership.2,
            },
            seed: Zeroizing::new(text.seed.0),
            expires_ms: text.expires_ms,
        };
        let ready = self.store.look(move |desk| {
            not_here(desk, &space)?;
            let card = desk.replica.card();
            let card = card.map_err(|error| faults::replica(&error))?;
            Ok((card, desk.replica.keys().kem().clone()))
        });
        let (card, kem) = ready.await??;
        let hints = PeerHints {
            addrs: text.addresses.clone(),
            relay: text.relay.as_deref().and_then(|text| text.parse().ok()),
        };
        if !hints.is_empty() {
            self.net.learn(maker, hints.clone());
        }
        let connection = self
            .net
            .connect(maker, INVITE_ALPN)
            .await
            .map_err(|error| {
                faults::sentence(ErrorKind::LinkUnreachable, &error).hint(
                    "The invite is still good. The device that made it must be running and reachable.",
                )
            })?;
        let broken = |why: String| {
            ApiError::new(
                ErrorKind::LinkUnreachable,
                format!("Joining broke off: {why}."),
            )
            .hint("Try again; if the invite is used up, ask for a new one.")
        };
        let request = JoinRequest {
            space,
            join: invite.join(card),
        };
        let (out, input) = connection
            .open_bi()
            .await
            .map_err(|closed| broken(closed.to_string()))?;
        let mut talk = Talk { out, input };
        talk.send(&request.encode()).await.map_err(broken)?;
        let bytes = talk
            .receive(ANSWER_BYTES_MAX, ATTEMPT_TIMEOUT)
            .await
            .map_err(broken)?;
        let binding = connection.channel_binding();
        connection.close(0, "joining is over");
        let answer = JoinAnswer::decode(&bytes).map_err(|error| broken(error.to_string()))?;
        let sealed = match answer {
            JoinAnswer::Welcome(sealed) => sealed,
            JoinAnswer::Refused(text) => {
                let message = format!("The invite was refused: {text}");
                return Err(ApiError::new(ErrorKind::LinkWrong, message)
                    .hint("Ask whoever invited you for a new invite."));
            }
        };
        let aad = circumstances(&maker, &self.net.device_id(), &binding);
        let opened = kem
            .open(TICKET_INFO, &aad, &sealed, None)
            .map_err(|error| broken(error.to_string()))?;
        let mut input = Decoder::new(&opened);
        let ticket = SpaceTicket::decode(&mut input).map_err(|error| broken(error.to_string()))?;
        if ticket.id != space {
            return Err(broken("the answer is about another space".to_owned()));
        }
        self.introductions.introduce(maker, hints);
        let name = ticket.name.clone();
        self.open(ticket, keep).await?;
        Ok(SpaceJoined {
            space: space.to_string(),
            name,
            public: false,
        })
    }

    /// Opens the space of a public link. Nobody is asked: whatever device holds the space gives it to
    /// who knows the secret in the link.
    async fn open_public(&self, text: &str, keep: Option<Chosen>) -> Result<SpaceJoined, ApiError> {
        let link: PublicLink = text.parse().map_err(|error| {
            faults::sentence(ErrorKind::LinkMalformed, &error)
                .hint("Copy the whole link again, from `stead-public:` to its end.")
        })?;
        let holder = DeviceId::from_bytes(link.device);
        let space = SpaceId::from_bytes(link.space);
        self.store
            .look(move |desk| not_here(desk, &space))
            .await??;
        let hints = PeerHints {
            addrs: link.addresses,
            relay: link.relay.as_deref().and_then(|text| text.parse().ok()),
        };
        if !hints.is_empty() {
            self.net.learn(holder, hints.clone());
        }
        self.introductions.introduce(holder, hints);
        self.open(SpaceTicket::public(space, link.secret.0), keep)
            .await?;
        let name = self
            .store
            .look(move |desk| desk.replica.space_name(&space).map(str::to_owned));
        Ok(SpaceJoined {
            space: space.to_string(),
            name: name.await?.unwrap_or_else(|| space.short()),
            public: true,
        })
    }

    /// Opens a space, and waits a moment for what is in it.
    async fn open(&self, ticket: SpaceTicket, keep: Option<Chosen>) -> Result<(), ApiError> {
        let space = ticket.id;
        let opened = self.store.change(move |desk| {
            let name = space.to_string();
            let wished = match &keep {
                Some(keep) => desk.replica.wish(&[(name, keep.clone())], wall_ms()),
                None => Ok(()),
            };
            let opened = wished.and_then(|()| desk.replica.join_shared(&ticket, wall_ms()));
            desk.note_outcome(&opened);
            opened.map_err(|error| faults::replica(&error))
        });
        opened.await??;
        self.first_sync(space).await;
        Ok(())
    }

    /// Waits until the space says that this device is in it, or may read there.
    async fn first_sync(&self, space: SpaceId) {
        let mut members = self.members.clone();
        let admitted = async {
            loop {
                members.borrow_and_update();
                let role = self
                    .store
                    .look(move |desk| desk.replica.outline(&space).ok()?.role);
                if matches!(role.await, Ok(Some(_)) | Err(_)) || members.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(FIRST_SYNC, admitted).await;
    }
}

fn not_here(desk: &Desk, space: &SpaceId) -> Result<(), ApiError> {
    match desk.replica.space_ids().contains(space) {
        false => Ok(()),
        true => Err(ApiError::new(
            ErrorKind::LinkTaken,
            "This space is on this device already.",
        )),
    }
}
