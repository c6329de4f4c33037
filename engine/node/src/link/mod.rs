//! Linking: how a new device becomes one of a person's devices, over a connection of its own.
//!
//! `docs/protocol/link.md` describes it to the byte. The secret in the link is good for one attempt.

pub(crate) mod accept;
pub mod codec;
pub(crate) mod offer;

use std::time::Duration;

use stead_net::{RecvStream, SendStream};

/// The protocol of a connection that links.
pub(crate) const LINK_ALPN: &[u8] = b"stead/link/1";
/// How long each step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);

/// Sends one message: its length in four bytes, little-endian, then its bytes.
async fn send(stream: &mut SendStream, message: &[u8]) -> Result<(), String> {
    let length = u32::try_from(message.len()).map_err(|_| "the message is too long".to_owned())?;
    let work = async {
        stream.write_all(&length.to_le_bytes()).await?;
        stream.write_all(message).await?;
        stream.finish()
    };
    match tokio::time::timeout(STEP_TIMEOUT, work).await {
        Ok(sent) => sent.map_err(|error| error.to_string()),
        Err(_) => Err("the other device does not read".to_owned()),
    }
}

/// Receives one message of at most `max` bytes.
async fn receive(stream: &mut RecvStream, max: usize) -> Result<Vec<u8>, String> {
    let work = async {
        let mut length = [0; 4];
        let cut = |error: stead_net::StreamError| error.to_string();
        stream.read_exact(&mut length).await.map_err(cut)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > max {
            return Err(format!("a message of {length} bytes is longer than {max}"));
        }
        let mut message = Vec::new();
        // Room is made as the bytes come.
        while message.len() < length {
            let chunk = stream
                .read_chunk(length - message.len())
                .await
                .map_err(cut)?;
            message.extend_from_slice(&chunk.ok_or("the other device stopped")?);
        }
        Ok(message)
    };
    match tokio::time::timeout(STEP_TIMEOUT, work).await {
        Ok(message) => message,
        Err(_) => Err("the other device does not answer".to_owned()),
    }
}
