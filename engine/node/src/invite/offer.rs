//! The inviting side: making invites, and letting people in who come with one.

use std::sync::Arc;
use std::time::Duration;

use stead_access::Party;
use stead_api::{ApiError, InviteText, LinkSecret, SpaceShare, SpaceShared};
use stead_base::Encoder;
use stead_crypt::seal_box;
use stead_keys::OsEntropy;
use stead_net::{Connection, Net, RelayUrl};
use tokio::sync::Semaphore;

use super::codec::{JoinAnswer, JoinRequest, REQUEST_BYTES_MAX, TICKET_INFO, circumstances};
use crate::api::share::{read_on, read_role};
use crate::clock::wall_ms;
use crate::faults;
use crate::link::{STEP_TIMEOUT, Talk};
use crate::store_thread::StoreHandle;

/// How long an invite is good for when nobody says: a week.
const VALID_MS: u64 = 7 * 24 * 3_600_000;
/// Longest validity: a year.
const VALID_MS_MAX: u64 = 365 * 24 * 3_600_000;
/// Newcomers answered at the same time.
const ATTEMPTS_MAX: usize = 4;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes invites and answers those who use them. Clones share the limit.
#[derive(Clone)]
pub(crate) struct Invites {
    net: Net,
    store: StoreHandle,
    attempts: Arc<Semaphore>,
}

impl Invites {
    pub(crate) fn new(net: Net, store: StoreHandle) -> Self {
        Self {
            net,
            store,
            attempts: Arc::new(Semaphore::new(ATTEMPTS_MAX)),
        }
    }

    /// Makes an invite into a space.
    pub(crate) async fn create(&self, share: SpaceShare) -> Result<SpaceShared, ApiError> {
        let role = read_role(&share.role)?;
        let on = read_on(share.path.as_deref())?;
        let valid_ms = share.valid_ms.unwrap_or(VALID_MS).min(VALID_MS_MAX);
        let expires_ms = wall_ms() + valid_ms;
        let made = self.store.change(move |desk| {
            let space = desk.replica.find_space(&share.space);
            let made = space.and_then(|space| {
                let replica = &mut desk.replica;
                replica.invite(&space, role, on, share.uses, expires_ms, wall_ms())
            });
            desk.note_outcome(&made);
            made.map_err(|error| faults::replica(&error))
        });
        let made = made.await??;
        let hints = self.net.local_hints();
        let text = InviteText {
            device: *self.net.device_id().as_bytes(),
            space: *made.space.as_bytes(),
            membership: (*made.id.log.as_bytes(), made.id.seq, made.id.index),
            seed: LinkSecret(*made.seed),
            expires_ms,
            addresses: hints.addrs,
            relay: hints.relay.as_ref().map(RelayUrl::to_string),
        };
        Ok(SpaceShared {
            invite: text.to_string(),
            membership: made.id.to_string(),
            expires_ms,
        })
    }

    /// Answers a device that came to join.
    pub(crate) async fn serve(self, connection: Connection) {
        let Ok(_permit) = self.attempts.clone().try_acquire_owned() else {
            connection.close(3, "too many devices are joining");
            return;
        };
        let peer = connection.remote().short();
        match tokio::time::timeout(ATTEMPT_TIMEOUT, self.answer(&connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::info!(peer, why, "joining failed"),
            Err(_) => tracing::info!(peer, "joining took too long"),
        }
        connection.close(0, "joining is over");
    }

    async fn answer(&self, connection: &Connection) -> Result<(), String> {
        let mut talk = Talk::accept(connection).await?;
        let bytes = talk.receive(REQUEST_BYTES_MAX, STEP_TIMEOUT).await?;
        let request = JoinRequest::decode(&bytes).map_err(|error| error.to_string())?;
        let answer = self.admit(connection, request).await;
        talk.send_last(&answer.encode()).await
    }

    async fn admit(&self, connection: &Connection, request: JoinRequest) -> JoinAnswer {
        let joiner = connection.remote();
        // The device that asks must be on the card: nobody joins for somebody else.
        let record = match &request.join.joiner {
            Party::Identity(card) => card
                .devices
                .iter()
                .find(|device| device.record.id == joiner)
                .map(|device| device.record.clone()),
            Party::Device(record) => (record.id == joiner).then(|| record.clone()),
        };
        let Some(record) = record else {
            let text = "a device can only let its own person join";
            return JoinAnswer::Refused(text.to_owned());
        };
        let admitted = self.store.change(move |desk| {
            let admitted = desk.replica.admit(&request.space, request.join, wall_ms());
            desk.note_outcome(&admitted);
            admitted.map_err(|error| faults::replica(&error).message)
        });
        let ticket = match admitted.await {
            Ok(Ok(ticket)) => ticket,
            Ok(Err(text)) => return JoinAnswer::Refused(text),
            Err(error) => return JoinAnswer::Refused(error.message),
        };
        let mut text = Encoder::new();
        ticket.encode(&mut text);
        let text = stead_crypt::Zeroizing::new(text.finish());
        let binding = connection.channel_binding();
        let aad = circumstances(&self.net.device_id(), &joiner, &binding);
        match seal_box::seal(&record.kem, TICKET_INFO, &aad, &text, None, &mut OsEntropy) {
            Ok(sealed) => {
                tracing::info!(peer = %joiner.short(), "somebody joined by an invite");
                JoinAnswer::Welcome(sealed)
            }
            Err(error) => JoinAnswer::Refused(error.to_string()),
        }
    }
}
