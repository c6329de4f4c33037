//! Linking: how a new device becomes one of a person's devices, over a connection of its own.
//!
//! `docs/protocol/link.md` describes it to the byte. A link, or spoken words, are good for one attempt; and nobody is let
//! in before the person at the old device says so. Owns both sides and nothing of what a space is.

pub(crate) mod accept;
mod answer;
pub mod codec;
pub(crate) mod dial;
pub(crate) mod made;
pub(crate) mod notice;
pub(crate) mod offer;
pub mod seals;
pub(crate) mod spoken;

use std::time::Duration;

use stead_net::{Connection, RecvStream, SendStream};

/// The protocol of a connection that links with a link.
pub const LINK_ALPN: &[u8] = b"stead/link/2";
/// The protocol of a connection that links with spoken words.
pub const SPOKEN_ALPN: &[u8] = b"stead/link-spoken/1";
/// The protocols by which a guardian's share is released; message for message those of linking.
pub const HELP_ALPN: &[u8] = b"stead/help/1";
/// The same with spoken words.
pub const HELP_SPOKEN_ALPN: &[u8] = b"stead/help-spoken/1";
/// How the text of a link begins.
pub(crate) const LINK_PREFIX: &str = "stead-link:";
/// How the text begins by which a guardian helps; the rest is that of a link.
pub(crate) const HELP_PREFIX: &str = "stead-help:";

/// What a connection of this kind is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// A device is linked.
    Link,
    /// A guardian's share is released.
    Help,
}

impl Door {
    /// What the connection's protocol says.
    fn of(alpn: &[u8]) -> Self {
        match alpn == HELP_ALPN || alpn == HELP_SPOKEN_ALPN {
            true => Self::Help,
            false => Self::Link,
        }
    }

    const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Link => LINK_ALPN,
            Self::Help => HELP_ALPN,
        }
    }

    const fn spoken_alpn(self) -> &'static [u8] {
        match self {
            Self::Link => SPOKEN_ALPN,
            Self::Help => HELP_SPOKEN_ALPN,
        }
    }

    /// What stands for the connection in all that is said: nothing said for one purpose holds for the other.
    fn binding(self, binding: [u8; 32]) -> [u8; 32] {
        match self {
            Self::Link => binding,
            Self::Help => stead_crypt::hash::derive("stead/help/1 binding", &binding),
        }
    }
}

/// How long each step may take.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a person may take to say yes or no, in milliseconds.
const APPROVAL_MS: u64 = 2 * 60_000;

/// The one stream of a connection that links: messages after one another, each `length:u32 (little-endian) body`.
pub(crate) struct Talk {
    pub(crate) out: SendStream,
    pub(crate) input: RecvStream,
}

impl Talk {
    /// The stream that the other device opens.
    pub(crate) async fn accept(connection: &Connection) -> Result<Self, String> {
        let streams = tokio::time::timeout(STEP_TIMEOUT, connection.accept_bi()).await;
        let (out, input) = streams
            .map_err(|_| "the other device opened no stream".to_owned())?
            .map_err(|closed| closed.to_string())?;
        Ok(Self { out, input })
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, message: &[u8]) -> Result<(), String> {
        let length =
            u32::try_from(message.len()).map_err(|_| "the message is too long".to_owned())?;
        let work = async {
            self.out.write_all(&length.to_le_bytes()).await?;
            self.out.write_all(message).await
        };
        match tokio::time::timeout(STEP_TIMEOUT, work).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("the other device does not read".to_owned()),
        }
    }

    /// Sends the last message, and waits until it has arrived.
    pub(crate) async fn send_last(&mut self, message: &[u8]) -> Result<(), String> {
        self.send(message).await?;
        self.out.finish().map_err(|error| error.to_string())?;
        let _ = tokio::time::timeout(STEP_TIMEOUT, self.out.delivered()).await;
        Ok(())
    }

    /// Receives one message of at most `max` bytes.
    pub(crate) async fn receive(&mut self, max: usize, limit: Duration) -> Result<Vec<u8>, String> {
        let work = async {
            let mut length = [0; 4];
            let cut = |error: stead_net::StreamError| error.to_string();
            self.input.read_exact(&mut length).await.map_err(cut)?;
            let length = u32::from_le_bytes(length) as usize;
            if length > max {
                return Err(format!("a message of {length} bytes is longer than {max}"));
            }
            let mut message = Vec::new();
            // Room is made as the bytes come.
            while message.len() < length {
                let left = length - message.len();
                let chunk = self.input.read_chunk(left).await.map_err(cut)?;
                message.extend_from_slice(&chunk.ok_or("the other device stopped")?);
            }
            Ok(message)
        };
        match tokio::time::timeout(limit, work).await {
            Ok(message) => message,
            Err(_) => Err("the other device does not answer".to_owned()),
        }
    }
}
