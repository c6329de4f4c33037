//! What the old device says to a device that comes to link, step by step.
//!
//! Owns the order of the steps. A link or words are used up here, before anything of worth is said; what the person
//! answers, and what is told to them, goes through [`Links`].

use std::sync::Arc;
use std::time::Duration;

use stead_access::{IdentityId, Name};
use stead_api::{ApiError, LinkOutcome};
use stead_base::{DeviceId, Hash};
use stead_crypt::pake::{self, Binding, PakeError};
use stead_crypt::short_code::{Answerer, Commitment, MESSAGE_BYTES, Nonce, ShortCode};
use stead_crypt::{KemSecret, SpokenCode, Zeroizing};
use stead_keys::OsEntropy;
use stead_net::Connection;
use stead_replica::{ReleasedShare, ReplicaError};

use super::codec::{
    ASK_BYTES_MAX, CONFIRMATION_BYTES, KNOCK_BYTES_MAX, Knock, Reason, Reply, Request, Welcome,
    decode_nonce,
};
use super::made::{Offer, Purpose, Secret, Taken};
use super::offer::{Links, Verdict, info};
use super::seals::{self, Circumstances};
use super::{APPROVAL_MS, Door, HELP_SPOKEN_ALPN, SPOKEN_ALPN, STEP_TIMEOUT, Talk};
use crate::clock::wall_ms;
use crate::desk::Desk;
use crate::faults;

/// How long a device may take until it asks.
const COMING_TIMEOUT: Duration = Duration::from_secs(45);

/// A device that has shown what it must, and waits for the person.
struct Asks {
    taken: Taken,
    request: Request,
    code: Option<ShortCode>,
    shared: Zeroizing<[u8; 32]>,
    transcript: Hash,
}

/// Why nobody gets to ask.
enum Turned {
    /// To be told, and over.
    Away(Reply),
    /// The connection is of no use any more.
    Broken(String),
}

impl From<String> for Turned {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

impl Links {
    /// Answers a device that came to link.
    pub(crate) async fn serve(self, connection: Connection) {
        let Ok(_permit) = self.attempts.clone().try_acquire_owned() else {
            connection.close(3, "too many devices are linking");
            return;
        };
        if let Err(why) = self.answer(&connection).await {
            tracing::info!(peer = %connection.remote().short(), why, "linking failed");
        }
        connection.close(0, "linking is over");
    }

    async fn answer(&self, connection: &Connection) -> Result<(), String> {
        let mut talk = Talk::accept(connection).await?;
        let door = Door::of(connection.alpn());
        let circumstances = Circumstances {
            old: self.net.device_id(),
            new: connection.remote(),
            channel_binding: door.binding(connection.channel_binding()),
        };
        let spoken = [SPOKEN_ALPN, HELP_SPOKEN_ALPN].contains(&connection.alpn());
        let coming = self.let_come(&mut talk, &circumstances, spoken, door);
        let asks = match tokio::time::timeout(COMING_TIMEOUT, coming).await {
            Ok(Ok(asks)) => asks,
            Ok(Err(Turned::Away(reply))) => return talk.send_last(&reply.encode()).await,
            Ok(Err(Turned::Broken(why))) => return Err(why),
            Err(_) => return Err("linking took too long".to_owned()),
        };
        let reply = match self.hear_the_person(connection, &mut talk, &asks).await? {
            Verdict::Approved => self.welcome(&asks).await,
            Verdict::Refused(reply) => reply,
        };
        talk.send_last(&reply.encode()).await
    }

    async fn let_come(
        &self,
        talk: &mut Talk,
        circumstances: &Circumstances,
        spoken: bool,
        door: Door,
    ) -> Result<Asks, Turned> {
        let bytes = talk.receive(KNOCK_BYTES_MAX, STEP_TIMEOUT).await?;
        let knock = Knock::decode(&bytes).map_err(|error| error.to_string())?;
        let found = match (spoken, knock.tag) {
            (false, Some(tag)) => self.linked_by(&tag, circumstances, door),
            (true, None) => self.spoken(door),
            _ => return Err(Turned::Broken("a knock at the wrong door".to_owned())),
        };
        let offer = found.map_err(Turned::Away)?;
        match &offer.secret {
            Secret::Link(secret) => {
                let shared = Zeroizing::new(secret.0);
                self.with_link(talk, circumstances, &offer, shared).await
            }
            Secret::Spoken(words) => self.with_words(talk, circumstances, &offer, words).await,
        }
    }

    /// The key for the request, the request, and both numbers that the code is made of.
    async fn with_link(
        &self,
        talk: &mut Talk,
        circumstances: &Circumstances,
        offer: &Arc<Offer>,
        shared: Zeroizing<[u8; 32]>,
    ) -> Result<Asks, Turned> {
        let secret_key = offer.key().map_err(Turned::Away)?;
        let key = secret_key.public();
        talk.send(&Reply::Go(key.as_bytes().to_vec()).encode())
            .await?;
        let ask = talk.receive(ASK_BYTES_MAX, STEP_TIMEOUT).await?;
        let (commitment, sealed) = ask
            .split_first_chunk::<MESSAGE_BYTES>()
            .ok_or_else(|| "a request without a commitment".to_owned())?;
        let request = open(circumstances, &secret_key, &shared, sealed)?;
        let taken = self.take(offer).map_err(Turned::Away)?;
        let transcript = seals::transcript(circumstances, key, sealed);
        let commitment = Commitment(*commitment);
        let (answerer, nonce) = Answerer::new(transcript, commitment, &mut OsEntropy);
        talk.send(&Reply::Go(nonce.0.to_vec()).encode()).await?;
        let revealed = talk.receive(MESSAGE_BYTES, STEP_TIMEOUT).await?;
        let revealed = decode_nonce(&revealed).map_err(|error| error.to_string())?;
        let code = answerer.check(&Nonce(revealed)).map_err(|error| {
            taken.fail("Somebody tampered with what the device that came has sent.");
            Turned::Away(Reply::refused(Reason::CodeWrong, error.to_string()))
        })?;
        Ok(Asks {
            taken,
            request,
            code: Some(code),
            shared,
            transcript,
        })
    }

    /// The exchange that makes a key of the words; used up before it begins.
    async fn with_words(
        &self,
        talk: &mut Talk,
        circumstances: &Circumstances,
        offer: &Arc<Offer>,
        words: &SpokenCode,
    ) -> Result<Asks, Turned> {
        talk.send(&Reply::Go(Vec::new()).encode()).await?;
        let first = talk.receive(pake::MESSAGE_BYTES_MAX, STEP_TIMEOUT).await?;
        let secret_key = offer.key().map_err(Turned::Away)?;
        let taken = self.take(offer).map_err(Turned::Away)?;
        let away = |error: PakeError| {
            taken.fail("A device came with wrong words; yours are worthless now.");
            Turned::Away(Reply::refused(Reason::CodeWrong, error.to_string()))
        };
        let binding = Binding {
            initiator: &circumstances.new,
            responder: &circumstances.old,
            channel: &circumstances.channel_binding,
        };
        let key = secret_key.public();
        let code = words.as_bytes();
        let (responder, second) =
            pake::answer(code, &binding, key.as_bytes(), &first, &mut OsEntropy).map_err(away)?;
        talk.send(&Reply::Go(second).encode()).await?;
        let ask = talk.receive(ASK_BYTES_MAX, STEP_TIMEOUT).await?;
        let (third, sealed) = ask
            .split_at_checked(CONFIRMATION_BYTES)
            .ok_or_else(|| "a request without a confirmation".to_owned())?;
        let agreed = responder.finish(third).map_err(away)?;
        let request = open(circumstances, &secret_key, &agreed.key, sealed)?;
        let transcript = seals::transcript(circumstances, key, sealed);
        Ok(Asks {
            taken,
            request,
            code: None,
            shared: agreed.key,
            transcript,
        })
    }

    /// Waits for the person's yes or no, for as long as the device waits too.
    async fn hear_the_person(
        &self,
        connection: &Connection,
        talk: &mut Talk,
        asks: &Asks,
    ) -> Result<Verdict, String> {
        let device = &asks.request.device;
        let asked = self.ask(
            &asks.taken.offer,
            device.id,
            device.name.as_str(),
            asks.code,
        );
        let mut answer = match asked {
            Ok(answer) => answer,
            Err(reply) => return Ok(Verdict::Refused(reply)),
        };
        // From here on a yes is heard: the new device may show its code.
        if let Err(why) = talk.send(&Reply::Go(Vec::new()).encode()).await
            && self.stop_asking(&asks.taken.offer)
        {
            return Err(why);
        }
        let went = tokio::select! {
            biased;
            verdict = &mut answer => return verdict.map_err(|_| "the node stops".to_owned()),
            closed = connection.closed() => Some(closed.to_string()),
            () = tokio::time::sleep(Duration::from_millis(APPROVAL_MS)) => None,
        };
        if !self.stop_asking(&asks.taken.offer) {
            return answer.await.map_err(|_| "the node stops".to_owned());
        }
        let name = device.name.as_str();
        let message = match went {
            Some(_) => format!("{name:?} went away before it was let in."),
            None => format!("Nobody let {name:?} in, in time."),
        };
        asks.taken.offer.settle(LinkOutcome::Refused { message });
        match went {
            Some(why) => Err(why),
            None => Ok(Verdict::Refused(Reply::refused(
                Reason::Unanswered,
                "Nobody answered at the other device.",
            ))),
        }
    }

    /// Lets the new device in and tells it what it needs.
    async fn welcome(&self, asks: &Asks) -> Reply {
        let text = match &asks.taken.offer.purpose {
            Purpose::Link => self.admit(&asks.request).await.map(|it| it.encode()),
            Purpose::Help { owner, .. } => self.release(*owner, asks.request.device.id).await,
        };
        let welcome = match text {
            Ok(text) => seals::seal_answer(&asks.shared, &asks.transcript, &asks.request, &text)
                .map_err(|error| faults::capitalized(&error.to_string())),
            Err(error) => Err(error.message),
        };
        match welcome {
            Ok(sealed) => {
                let device = &asks.request.device;
                tracing::info!(peer = %device.id.short(), "linked a device");
                let device = info(device.id, device.name.as_str());
                asks.taken.offer.settle(LinkOutcome::Linked { device });
                Reply::Go(sealed)
            }
            Err(text) => {
                let message = format!("The other device could not be let in: {text}");
                asks.taken.offer.settle(LinkOutcome::Refused { message });
                Reply::refused(Reason::Failed, text)
            }
        }
    }

    /// Takes the share that is held for somebody, and tells what devices they may have left.
    async fn release(
        &self,
        owner: IdentityId,
        to: DeviceId,
    ) -> Result<Zeroizing<Vec<u8>>, ApiError> {
        let name = self.device_name.clone();
        let released = self.store.change(move |desk| {
            let released = release(desk, owner, name, to);
            desk.note_outcome(&released);
            released.map_err(|error| faults::replica(&error))
        });
        Ok(released.await??.encode())
    }

    async fn admit(&self, request: &Request) -> Result<Welcome, ApiError> {
        let device = request.device.clone();
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
}

fn release(
    desk: &mut Desk,
    owner: IdentityId,
    name: String,
    to: DeviceId,
) -> Result<ReleasedShare, ReplicaError> {
    let guardian = desk.replica.identity().ok_or(ReplicaError::NoHome)?;
    let held = desk.replica.held_shares()?;
    let held = held.into_iter().find(|held| held.owner == owner);
    let held = held
        .ok_or_else(|| ReplicaError::Refused("the share is not held here any more".to_owned()))?;
    desk.replica.share_released(&held, &to, wall_ms())?;
    Ok(ReleasedShare {
        owner,
        guardian,
        name,
        share: held.share,
    })
}

/// Opens a request, and sees that it speaks for the device that sent it.
fn open(
    circumstances: &Circumstances,
    key: &KemSecret,
    shared: &[u8; 32],
    sealed: &[u8],
) -> Result<Request, String> {
    let request = seals::open_request(shared, circumstances, key, sealed)
        .map_err(|error| error.to_string())?;
    match request.device.id == circumstances.new {
        true => Ok(request),
        false => Err("a device tried to link another one".to_owned()),
    }
}
