//! What the new device says to the old one, step by step, until it waits to be let in.
//!
//! Owns the order of the steps and what an answer means to the person. What comes after the welcome is in
//! [`super::accept`].

use std::time::Duration;

use stead_access::DeviceRecord;
use stead_api::{ApiError, ErrorKind, Link};
use stead_base::{DeviceId, Entropy, Hash};
use stead_crypt::short_code::{Committer, Nonce, ShortCode};
use stead_crypt::{KemPublic, KemSecret, Zeroizing};
use stead_keys::OsEntropy;
use stead_net::{ConnectError, Connection, Net, PeerHints};

use super::codec::{
    Knock, REPLY_BYTES_MAX, Reason, Reply, Request, WELCOME_BYTES_MAX, Welcome, decode_nonce,
};
use super::seals::{self, Circumstances};
use super::{APPROVAL_MS, Door, STEP_TIMEOUT, Talk};
use crate::clock::wall_ms;
use crate::faults;

/// How long to wait for the person: a little longer than the other device does.
const WELCOME_TIMEOUT: Duration = Duration::from_millis(APPROVAL_MS + 30_000);

/// This device, as it asks to be let in.
#[derive(Clone)]
pub(crate) struct Newcomer {
    pub(crate) record: DeviceRecord,
    pub(crate) kem: KemSecret,
}

/// An attempt that waits for the person at the old device.
pub(crate) struct Waiting {
    pub(crate) old: DeviceId,
    pub(super) hints: PeerHints,
    /// To be typed there; none with spoken words.
    pub(crate) code: Option<ShortCode>,
    pub(super) talk: Talk,
    pub(super) connection: Connection,
    pub(super) shared: Zeroizing<[u8; 32]>,
    pub(super) transcript: Hash,
    pub(super) reply_key: Zeroizing<[u8; 32]>,
    pub(super) kem: KemSecret,
}

impl Waiting {
    /// Waits to be let in.
    pub(super) async fn welcome(self) -> Result<Welcome, ApiError> {
        let opened = self.opened().await?;
        Welcome::decode(&opened).map_err(|error| broken(&error.to_string()))
    }

    /// Waits for what the other device answers, and opens it.
    pub(crate) async fn opened(mut self) -> Result<Zeroizing<Vec<u8>>, ApiError> {
        let received = self.talk.receive(WELCOME_BYTES_MAX, WELCOME_TIMEOUT).await;
        let sealed = go(&received.map_err(|why| broken(&why))?)?;
        self.connection.close(0, "linking is over");
        seals::open_answer(
            &self.shared,
            &self.transcript,
            &self.reply_key,
            &self.kem,
            &sealed,
        )
        .map_err(|error| broken(&error.to_string()))
    }
}

/// A request to be let in, sealed, with the key for its answer.
pub(super) fn request(
    me: &Newcomer,
    shared: &[u8; 32],
    circumstances: &Circumstances,
    to: &KemPublic,
) -> Result<(Vec<u8>, Zeroizing<[u8; 32]>), ApiError> {
    let mut reply_key = Zeroizing::new([0; 32]);
    OsEntropy.fill(&mut *reply_key);
    let request = Request {
        device: me.record.clone(),
        reply_key: reply_key.clone(),
    };
    let sealed = seals::seal_request(shared, circumstances, to, &request)
        .map_err(|error| broken(&error.to_string()))?;
    Ok((sealed, reply_key))
}

/// Goes to the device that made the link, up to the code.
pub(crate) async fn with_link(
    net: &Net,
    link: &Link,
    me: &Newcomer,
    door: Door,
) -> Result<Waiting, ApiError> {
    let old = DeviceId::from_bytes(link.device);
    let hints = PeerHints {
        addrs: link.addresses.clone(),
        relay: link.relay.as_deref().and_then(|text| text.parse().ok()),
    };
    // Whatever was known of the device before stays known.
    if !hints.is_empty() {
        net.learn(old, hints.clone());
    }
    let connection = net
        .connect(old, door.alpn())
        .await
        .map_err(|error| unreachable(&error, link))?;
    let circumstances = Circumstances {
        old,
        new: me.record.id,
        channel_binding: door.binding(connection.channel_binding()),
    };
    let shared = Zeroizing::new(link.secret.0);
    let mut talk = open_talk(&connection).await?;
    let knock = Knock {
        tag: Some(seals::tag(&shared, &circumstances)),
    };
    let key = exchange(&mut talk, &knock.encode()).await?;
    let key = KemPublic::from_bytes(&key).map_err(|error| broken(&error.to_string()))?;
    if seals::key_hash(&key) != link.key_hash {
        return Err(broken(
            "the other device has another key than its link says",
        ));
    }
    let (sealed, reply_key) = request(me, &shared, &circumstances, &key)?;
    let transcript = seals::transcript(&circumstances, &key, &sealed);
    let (committer, commitment) = Committer::new(transcript, &mut OsEntropy);
    let ask = [&commitment.0[..], &sealed].concat();
    let nonce = exchange(&mut talk, &ask).await?;
    let nonce = decode_nonce(&nonce).map_err(|error| broken(&error.to_string()))?;
    let (revealed, code) = committer.reveal(&Nonce(nonce));
    exchange(&mut talk, &revealed.0).await?;
    Ok(Waiting {
        old,
        hints,
        code: Some(code),
        talk,
        connection,
        shared,
        transcript,
        reply_key,
        kem: me.kem.clone(),
    })
}

/// Opens the one stream of a connection that links.
pub(super) async fn open_talk(connection: &Connection) -> Result<Talk, ApiError> {
    let opened = connection.open_bi().await;
    let (out, input) = opened.map_err(|closed| broken(&closed.to_string()))?;
    Ok(Talk { out, input })
}

/// Says one thing and hears what comes of it.
pub(super) async fn exchange(talk: &mut Talk, message: &[u8]) -> Result<Vec<u8>, ApiError> {
    talk.send(message).await.map_err(|why| broken(&why))?;
    let received = talk.receive(REPLY_BYTES_MAX, STEP_TIMEOUT).await;
    go(&received.map_err(|why| broken(&why))?)
}

fn go(bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    match Reply::decode(bytes).map_err(|error| broken(&error.to_string()))? {
        Reply::Go(rest) => Ok(rest),
        Reply::Refused { reason, text } => Err(refused(reason, &text)),
    }
}

/// The connection broke, or what came over it makes no sense.
pub(super) fn broken(why: &str) -> ApiError {
    ApiError::new(
        ErrorKind::LinkUnreachable,
        format!("Linking broke off: {why}."),
    )
    .hint("Begin again on the other device: a link or words are good for one attempt.")
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
    let again = "Make a new link on the other device and use that.";
    let (kind, message, hint) = match reason {
        Reason::Wrong => (
            ErrorKind::LinkWrong,
            "The other device does not know this link, or shows no words.",
            again,
        ),
        Reason::Used => (
            ErrorKind::LinkUsed,
            "This link was used before.",
            "If that was not you, somebody else has seen it: let nobody in on the other device (stead link refuse), and make a new link.",
        ),
        Reason::Expired => (ErrorKind::LinkExpired, "This link has expired.", again),
        Reason::Cancelled => (
            ErrorKind::LinkExpired,
            "This link was taken back on the other device.",
            again,
        ),
        Reason::Declined => (
            ErrorKind::LinkRefused,
            "The other device said no.",
            "If that was a mistake, make a new link there.",
        ),
        Reason::CodeWrong => (
            ErrorKind::LinkCodeWrong,
            "The code, or the words, were wrong: this device was not let in.",
            again,
        ),
        Reason::Unanswered => (
            ErrorKind::LinkExpired,
            "Nobody said yes on the other device in time.",
            again,
        ),
        Reason::Failed => {
            let message = format!("The other device could not let this one in: {text}");
            return ApiError::new(ErrorKind::Internal, message)
                .hint("See `stead doctor` there, then make a new link.");
        }
    };
    ApiError::new(kind, message).hint(hint)
}
