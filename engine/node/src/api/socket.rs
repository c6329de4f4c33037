//! The API on a Unix socket: one message a line. Whoever may open the socket may ask anything, so
//! its file is its owner's only.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stead_api::{ApiError, ErrorKind, REQUEST_BYTES_MAX, Response};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};

use super::Node;
use super::client::{self, Outgoing, Writing};

/// Requests read ahead of a client's calls.
const READ_AHEAD_MAX: usize = 8;
/// How long a client that was cut off has to take its last message.
const FAREWELL: Duration = Duration::from_secs(1);
/// After a failure to take a client, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// Opens the socket, in place of one left from before.
#[cfg(unix)]
pub(crate) fn bind(path: &Path) -> io::Result<tokio::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    // The data directory is locked: whoever made this one is gone.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = tokio::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves clients until `stop` changes.
#[cfg(unix)]
pub(crate) async fn run(
    node: Arc<Node>,
    listener: tokio::net::UnixListener,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
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
        let (reader, writer) = stream.into_split();
        let (out, writing) = Outgoing::new();
        let Ok(permit) = node.clients.clone().try_acquire_owned() else {
            tokio::spawn(async move {
                let error = ApiError::new(ErrorKind::Busy, "Too many programs use this node.");
                out.tell(error).await;
                drop(out);
                write_all(writer, writing).await;
            });
            continue;
        };
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            let _permit = permit;
            let (messages, incoming) = mpsc::channel(READ_AHEAD_MAX);
            let reading = tokio::spawn(read_all(reader, messages, out.clone()));
            let writing = tokio::spawn(write_all(writer, writing));
            client::serve(node, incoming, out).await;
            reading.abort();
            let _ = writing.await;
        });
    }
}

/// Reads lines until the end, or one that is too long.
async fn read_all(stream: impl AsyncRead + Unpin, messages: mpsc::Sender<Vec<u8>>, out: Outgoing) {
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    let mut line = Vec::new();
    loop {
        let (used, whole) = match stream.fill_buf().await {
            Ok([]) | Err(_) => return,
            Ok(buffer) => match buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    line.extend_from_slice(&buffer[..end]);
                    (end + 1, true)
                }
                None => {
                    line.extend_from_slice(buffer);
                    (buffer.len(), false)
                }
            },
        };
        stream.consume(used);
        if line.len() > REQUEST_BYTES_MAX {
            let message = format!("A request has at most {REQUEST_BYTES_MAX} bytes.");
            let error = ApiError::new(ErrorKind::TooLarge, message);
            out.send(
                Response {
                    id: None,
                    outcome: Err(error),
                }
                .encode(),
            )
            .await;
            return;
        }
        if whole {
            let line = std::mem::take(&mut line);
            if !line.iter().all(u8::is_ascii_whitespace) && messages.send(line).await.is_err() {
                return;
            }
        }
    }
}

/// Writes messages until there are no more, or the client is cut off.
async fn write_all(mut stream: impl AsyncWrite + Unpin, mut writing: Writing) {
    loop {
        let message = tokio::select! {
            message = writing.queue.recv() => message,
            () = client::cut_off(&mut writing.cut) => None,
        };
        let Some(mut message) = message else {
            break;
        };
        message.text.push('\n');
        let mut written = 0;
        let bytes = message.text.as_bytes();
        while written < bytes.len() {
            let wrote = tokio::select! {
                wrote = stream.write(&bytes[written..]) => wrote,
                // The message that is under way is finished if that goes quickly.
                () = client::cut_off(&mut writing.cut) => {
                    let rest = [&bytes[written..], client::farewell().as_bytes(), b"\n"].concat();
                    let _ = tokio::time::timeout(FAREWELL, stream.write_all(&rest)).await;
                    return;
                }
            };
            match wrote {
                Ok(count) if count > 0 => written += count,
                _ => return,
            }
        }
    }
    if *writing.cut.borrow() {
        let text = client::farewell() + "\n";
        let _ = tokio::time::timeout(FAREWELL, stream.write_all(text.as_bytes())).await;
    }
    let _ = stream.shutdown().await;
}
