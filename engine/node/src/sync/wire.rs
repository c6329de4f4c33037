//! Frames between a session and a QUIC stream: one task reads, one writes, neither copies a batch
//! more than once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stead_net::{RecvStream, SendStream};
use stead_sync::frame::FrameReader;
use stead_sync::{Frame, PeerMisbehaved};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::outbox::Backlog;

/// Most frames read ahead of the session.
pub(super) const READ_AHEAD_MAX: usize = 64;
/// Most frames handed to the writer ahead of the stream.
pub(super) const WRITE_AHEAD_MAX: usize = 64;
/// Most pieces taken from, or given to, the stream at a time.
const PIECES_MAX: usize = 64;
/// The stream is given this much at a time, where there is more than one frame of it.
const WRITE_BYTES: usize = 128 << 10;
/// How long the last frames may take to arrive when a session ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// What the reader found.
pub(super) type Incoming = Result<Bytes, PeerMisbehaved>;

/// Reads frames until the stream ends or breaks the rules.
pub(super) fn read(stream: RecvStream) -> (mpsc::Receiver<Incoming>, JoinHandle<()>) {
    let (out, frames) = mpsc::channel(READ_AHEAD_MAX);
    (frames, tokio::spawn(read_all(stream, out)))
}

async fn read_all(mut stream: RecvStream, out: mpsc::Sender<Incoming>) {
    let mut reader = FrameReader::new();
    let mut pieces: [Bytes; PIECES_MAX] = std::array::from_fn(|_| Bytes::new());
    loop {
        let count = match stream.read_chunks(&mut pieces).await {
            Ok(Some(count)) => count,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "the stream ended");
                return;
            }
        };
        for piece in &mut pieces[..count] {
            reader.push(std::mem::take(piece));
            loop {
                let frame = match reader.next_frame() {
                    Ok(Some(frame)) => Ok(frame),
                    Ok(None) => break,
                    Err(error) => Err(error),
                };
                let broken = frame.is_err();
                if out.send(frame).await.is_err() || broken {
                    return;
                }
            }
        }
    }
}

/// Writes frames in their order until the sender is gone; then says that no more follow.
pub(super) fn write(
    stream: SendStream,
    backlog: Arc<Backlog>,
) -> (mpsc::Sender<Frame>, JoinHandle<()>) {
    let (frames, inbox) = mpsc::channel(WRITE_AHEAD_MAX);
    (frames, tokio::spawn(write_all(stream, inbox, backlog)))
}

async fn write_all(
    mut stream: SendStream,
    mut inbox: mpsc::Receiver<Frame>,
    backlog: Arc<Backlog>,
) {
    let mut frames = Vec::with_capacity(PIECES_MAX / 2);
    let mut pieces = Vec::with_capacity(PIECES_MAX);
    while inbox.recv_many(&mut frames, PIECES_MAX / 2).await > 0 {
        let mut left = frames.len();
        let mut bytes = 0;
        for frame in frames.drain(..) {
            left -= 1;
            bytes += frame.wire_bytes();
            pieces.push(frame.head);
            if !frame.payload.is_empty() {
                pieces.push(frame.payload);
            }
            if bytes < WRITE_BYTES && left > 0 {
                continue;
            }
            if let Err(error) = stream.write_chunks(&mut pieces).await {
                tracing::debug!(%error, "the stream ended");
                return;
            }
            pieces.clear();
            backlog.written(std::mem::take(&mut bytes));
        }
    }
    if stream.finish().is_ok() {
        let _ = tokio::time::timeout(FAREWELL, stream.delivered()).await;
    }
}
