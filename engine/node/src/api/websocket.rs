//! The API on a WebSocket of this machine, for programs and pages that cannot open a Unix socket.
//!
//! Any page that a person visits can reach this port, so it takes a token that only the owner of the
//! data directory can read, and refuses pages that did not come from this machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use n0_future::{SinkExt, StreamExt};
use stead_api::{ADDRESS_FILE, REQUEST_BYTES_MAX, TOKEN_FILE};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, WebSocketConfig, frame::coding::CloseCode,
};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::Node;
use super::client::{self, Outgoing, Writing};
use crate::home::{read_small, write_private};
use crate::link::seals::same;

const READ_AHEAD_MAX: usize = 8;
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client that was cut off has to take its last message.
const FAREWELL: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(200);
const TOKEN_BYTES: usize = 32;

/// A listening WebSocket.
pub(crate) struct Listener {
    listener: TcpListener,
    token: Arc<str>,
}

impl Listener {
    /// Listens on a port of this machine, and writes down which one and the token to show.
    pub(crate) async fn open(home: &Path) -> io::Result<Self> {
        let token = token(&home.join(TOKEN_FILE))?;
        let address_file = home.join(ADDRESS_FILE);
        // The port of last time, so that programs that remember it still find the node.
        let last = read_small(&address_file)
            .and_then(|text| {
                text.trim()
                    .strip_prefix("ws://")?
                    .parse::<SocketAddr>()
                    .ok()
            })
            .map_or(0, |addr| addr.port());
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, last)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        };
        let address = format!("ws://{}\n", listener.local_addr()?);
        write_private(&address_file, address.as_bytes())?;
        Ok(Self {
            listener,
            token: token.into(),
        })
    }

    /// Serves clients until `stop` changes.
    pub(crate) async fn run(self, node: Arc<Node>, mut stop: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.changed() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a client could not be taken");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(permit) = node.clients.clone().try_acquire_owned() else {
                drop(stream);
                continue;
            };
            let (node, token) = (Arc::clone(&node), Arc::clone(&self.token));
            tokio::spawn(async move {
                let _permit = permit;
                serve(node, stream, &token).await;
            });
        }
    }
}

/// The token of last time, or a new one.
fn token(path: &Path) -> io::Result<String> {
    let kept = read_small(path).map(|text| text.trim().to_owned());
    let is_ours = |text: &String| {
        text.len() == 2 * TOKEN_BYTES && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    if let Some(kept) = kept.filter(is_ours)
        && crate::platform::mode_of(path).is_none_or(|mode| mode & 0o077 == 0)
    {
        return Ok(kept);
    }
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    write_private(path, token.as_bytes())?;
    Ok(token)
}

async fn serve(node: Arc<Node>, stream: TcpStream, token: &str) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(REQUEST_BYTES_MAX))
        .max_frame_size(Some(REQUEST_BYTES_MAX));
    // Its form is given by the library.
    #[allow(clippy::result_large_err)]
    let check = |request: &Request, response: Response| match refusal(request, token) {
        None => Ok(response),
        Some((status, text)) => {
            let mut refused = ErrorResponse::new(Some(text.to_owned()));
            *refused.status_mut() = status;
            Err(refused)
        }
    };
    let handshake = accept_hdr_async_with_config(stream, check, Some(config));
    let socket = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return tracing::debug!(%error, "a WebSocket was refused"),
        Err(_) => return tracing::debug!("a WebSocket handshake took too long"),
    };
    let (out, writing) = Outgoing::new();
    let (messages, incoming) = mpsc::channel(READ_AHEAD_MAX);
    let moving = tokio::spawn(carry(socket, messages, writing));
    client::serve(node, incoming, out).await;
    let _ = moving.await;
}

/// Why a client may not come in, if it may not.
fn refusal(request: &Request, token: &str) -> Option<(StatusCode, &'static str)> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap_or("?"))
    };
    if header("origin").is_some_and(|origin| !is_local(origin)) {
        return Some((
            StatusCode::FORBIDDEN,
            "This page may not use the node of this machine.",
        ));
    }
    if header("host").is_some_and(|host| !is_local(&format!("http://{host}"))) {
        return Some((
            StatusCode::FORBIDDEN,
            "The node answers to names of this machine only.",
        ));
    }
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let in_query = request.uri().query().and_then(|query| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix("token="))
    });
    match bearer.or(in_query) {
        Some(shown) if same(shown.as_bytes(), token.as_bytes()) => None,
        _ => Some((
            StatusCode::UNAUTHORIZED,
            "Show the token that is in the file api.token of the node's data folder.",
        )),
    }
}

/// Whether an origin is a page of this machine.
fn is_local(origin: &str) -> bool {
    let Some(rest) = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
    else {
        return false;
    };
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => rest.split([':', '/']).next(),
    };
    matches!(host, Some("localhost" | "127.0.0.1" | "::1"))
}

/// Moves messages between the socket and the client's queues until one side ends.
async fn carry(
    socket: WebSocketStream<TcpStream>,
    messages: mpsc::Sender<Vec<u8>>,
    mut writing: Writing,
) {
    let (mut sink, mut stream) = n0_future::split::split(socket);
    let reading = tokio::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            let bytes = match message {
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Close(_) => return,
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if messages.send(bytes).await.is_err() {
                return;
            }
        }
    });
    let mut cut = writing.cut.clone();
    loop {
        let message = tokio::select! {
            message = writing.queue.recv() => message,
            () = client::cut_off(&mut cut) => None,
        };
        let Some(message) = message else {
            break;
        };
        let sent = tokio::select! {
            sent = sink.send(Message::text(message.text.as_str())) => sent.is_ok(),
            () = client::cut_off(&mut writing.cut) => false,
        };
        if !sent {
            break;
        }
    }
    let is_cut = *writing.cut.borrow();
    let farewell = async {
        if is_cut {
            let _ = sink.send(Message::text(client::farewell())).await;
        }
        let (code, reason) = if is_cut {
            (CloseCode::Policy, "too slow")
        } else {
            (CloseCode::Normal, "")
        };
        let _ = sink
            .send(Message::Close(Some(CloseFrame {
                code,
                reason: reason.into(),
            })))
            .await;
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
    reading.abort();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], uri: &str) -> Request {
        let mut builder = Request::builder().uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn only_the_right_token_opens_the_socket() {
        let status = |headers: &[(&str, &str)], uri: &str| {
            refusal(&request(headers, uri), "secret").map(|(status, _)| status)
        };
        assert_eq!(status(&[], "/"), Some(StatusCode::UNAUTHORIZED));
        assert_eq!(
            status(&[], "/?token=secreT"),
            Some(StatusCode::UNAUTHORIZED)
        );
        assert_eq!(status(&[], "/?token=secret"), None);
        assert_eq!(status(&[("authorization", "Bearer secret")], "/"), None);
        assert_eq!(
            status(&[("authorization", "secret")], "/"),
            Some(StatusCode::UNAUTHORIZED)
        );
    }

    #[test]
    fn pages_of_other_machines_are_refused_even_with_the_token() {
        for origin in [
            "https://evil.example",
            "http://localhost.evil.example",
            "null",
            "http://127.0.0.1.evil.example",
        ] {
            let refused = refusal(&request(&[("origin", origin)], "/?token=secret"), "secret");
            assert_eq!(
                refused.map(|(status, _)| status),
                Some(StatusCode::FORBIDDEN),
                "{origin}"
            );
        }
        for origin in [
            "http://localhost:5173",
            "http://127.0.0.1",
            "http://[::1]:8080",
        ] {
            assert!(refusal(&request(&[("origin", origin)], "/?token=secret"), "secret").is_none());
        }
        let rebound = request(&[("host", "evil.example:4000")], "/?token=secret");
        assert!(refusal(&rebound, "secret").is_some());
    }
}
