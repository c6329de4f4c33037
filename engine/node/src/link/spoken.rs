//! The new device's side with spoken words: finding the device that shows them, and one guess.
//!
//! Words are tried with one device only: each exchange would be a guess for whoever answers.

use std::net::SocketAddr;
use std::time::Duration;

use stead_api::{ApiError, ErrorKind};
use stead_base::DeviceId;
use stead_crypt::pake::{self, Binding};
use stead_crypt::{KemPublic, SpokenCode, Zeroizing};
use stead_keys::OsEntropy;
use stead_net::{Connection, Net, PeerHints};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::codec::Knock;
use super::dial::{Newcomer, Waiting, broken, exchange, open_talk, request};
use super::seals::{self, Circumstances};
use super::{Door, Talk};
use crate::faults;

/// How long devices on the local network are looked for.
const LOOK: Duration = Duration::from_secs(10);
/// How long each of them may take to say whether it shows words.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(4);
/// Pause before looking again.
const AGAIN: Duration = Duration::from_millis(500);
/// Most devices asked at a time.
const DEVICES_MAX: usize = 32;

/// A device that says it shows words.
struct Shows {
    device: DeviceId,
    connection: Connection,
    talk: Talk,
}

/// Where the device is that shows the words: `<id>@<address>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    device: DeviceId,
    address: SocketAddr,
}

impl Place {
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let parts = text.trim().split_once('@');
        let parsed = parts.and_then(|(device, address)| {
            Some(Self {
                device: device.parse().ok()?,
                address: address.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| {
            ApiError::new(
                ErrorKind::InvalidParams,
                "A device is named by its id, an @ and its address.",
            )
            .hint("The other device shows it below the words.")
        })
    }
}

/// Goes to the device that shows the words, up to its asking the person.
pub(crate) async fn with_words(
    net: &Net,
    words: &SpokenCode,
    at: Option<Place>,
    me: &Newcomer,
    door: Door,
) -> Result<Waiting, ApiError> {
    let shows = match at {
        Some(place) => at_place(net, place, me, door).await?,
        None => on_the_lan(net, me, door).await?,
    };
    let Shows {
        device: old,
        connection,
        mut talk,
    } = shows;
    let circumstances = Circumstances {
        old,
        new: me.record.id,
        channel_binding: door.binding(connection.channel_binding()),
    };
    let binding = Binding {
        initiator: &circumstances.new,
        responder: &circumstances.old,
        channel: &circumstances.channel_binding,
    };
    let failed = |error: pake::PakeError| broken(&error.to_string());
    let (initiator, first) =
        pake::begin(words.as_bytes(), &binding, &[], &mut OsEntropy).map_err(failed)?;
    let second = exchange(&mut talk, &first).await?;
    let (agreed, third) = initiator.finish(&second).map_err(|error| match error {
        pake::PakeError::NotConfirmed => ApiError::new(
            ErrorKind::LinkCodeWrong,
            "The words are wrong, or somebody else answered in that device's place.",
        )
        .hint("They are worthless now. Begin again on the other device: stead link --spoken"),
        other => failed(other),
    })?;
    let key =
        KemPublic::from_bytes(&agreed.attached).map_err(|error| broken(&error.to_string()))?;
    let shared: Zeroizing<[u8; 32]> = agreed.key;
    let (sealed, reply_key) = request(me, &shared, &circumstances, &key)?;
    let transcript = seals::transcript(&circumstances, &key, &sealed);
    let ask = [&third[..], &sealed].concat();
    exchange(&mut talk, &ask).await?;
    Ok(Waiting {
        old,
        hints: net.known_hints(&old),
        code: None,
        talk,
        connection,
        shared,
        transcript,
        reply_key,
        kem: me.kem.clone(),
    })
}

async fn at_place(net: &Net, place: Place, me: &Newcomer, door: Door) -> Result<Shows, ApiError> {
    if place.device == me.record.id {
        return Err(
            ApiError::new(ErrorKind::LinkOwnDevice, "This is this very device.")
                .hint("Name the device that shows the words."),
        );
    }
    let hints = PeerHints {
        addrs: vec![place.address],
        relay: None,
    };
    net.learn(place.device, hints);
    let connected = net.connect(place.device, door.spoken_alpn()).await;
    let connection = connected.map_err(|error| {
        faults::sentence(ErrorKind::LinkUnreachable, &error)
            .hint("Check the address; the words are still good.")
    })?;
    knock(connection).await
}

/// Asks every device on the local network whether it shows words; there must be exactly one.
async fn on_the_lan(net: &Net, me: &Newcomer, door: Door) -> Result<Shows, ApiError> {
    let give_up = Instant::now() + LOOK;
    loop {
        let mut knocks = JoinSet::new();
        let sighted = net.sighted().into_iter().map(|(device, _)| device);
        for device in sighted
            .filter(|device| *device != me.record.id)
            .take(DEVICES_MAX)
        {
            let net = net.clone();
            knocks.spawn(timeout(KNOCK_TIMEOUT, async move {
                knock(net.connect(device, door.spoken_alpn()).await.ok()?)
                    .await
                    .ok()
            }));
        }
        let mut shows = Vec::new();
        while let Some(knocked) = knocks.join_next().await {
            if let Ok(Ok(Some(found))) = knocked {
                shows.push(found);
            }
        }
        if shows.len() > 1 {
            let others = shows.len();
            return Err(ApiError::new(
                ErrorKind::Ambiguous,
                format!("{others} devices on this network show words just now."),
            )
            .hint("Say which one is meant: stead link --spoken WORDS --at ID@ADDRESS, as that device shows it."));
        }
        if let Some(found) = shows.pop() {
            return Ok(found);
        }
        if Instant::now() >= give_up {
            return Err(ApiError::new(
                ErrorKind::LinkUnreachable,
                "No device on this network shows words.",
            )
            .hint(
                "Begin there with `stead link --spoken`, or say where it is with --at ID@ADDRESS.",
            ));
        }
        sleep(AGAIN).await;
    }
}

async fn knock(connection: Connection) -> Result<Shows, ApiError> {
    let mut talk = open_talk(&connection).await?;
    exchange(&mut talk, &Knock { tag: None }.encode()).await?;
    Ok(Shows {
        device: connection.remote(),
        connection,
        talk,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_id_and_an_address() {
        let device = DeviceId::from_bytes([7; 32]);
        let place = Place::parse(&format!(" {device}@10.0.0.1:5 ")).unwrap();
        assert_eq!(place.device, device);
        assert_eq!(place.address, "10.0.0.1:5".parse().unwrap());
        for wrong in ["", "@", "10.0.0.1:5", "ab@10.0.0.1:5", &device.to_string()] {
            assert_eq!(
                Place::parse(wrong).unwrap_err().kind,
                ErrorKind::InvalidParams
            );
        }
    }
}
