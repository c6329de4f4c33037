//! Frames between a session and a QUIC stream: one task reads, one writes, neither copies a batch
//! more than once.

use bytes::Bytes;
use std::time::Duration;
use stead_net::{RecvStream, SendStream};
use stead_sync::frame::FrameReader;
use stead_sync::{Frame, PeerMisbehaved};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Most frames read ahead of the session.
pub(super) const READ_AHEAD_MAX: usize = 64;
/// Most frames handed to the writer ahead of the stream.
pub(super) const WRITE_AHEAD_MAX: usize = 64;
/// Most pieces taken from, or given to, the stream at a time.
const PIECES_MAX: usize = 64;
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
pub(super) fn write(stream: SendStream) -> (mpsc::Sender<Frame>, JoinHandle<()>) {
    let (frames, inbox) = mpsc::channel(WRITE_AHEAD_MAX);
    (frames, tokio::spawn(write_all(stream, inbox)))
}

async fn write_all(mut stream: SendStream, mut inbox: mpsc::Receiver<Frame>) {
    let mut frames = Vec::with_capacity(PIECES_MAX / 2);
    let mut pieces = Vec::with_capacity(PIECES_MAX);
    while inbox.recv_many(&mut frames, PIECES_MAX / 2).await > 0 {
        for frame in frames.drain(..) {
            pieces.push(frame.head);
            if !frame.payload.is_empty() {
                pieces.push(frame.payload);
            }
        }
        if let Err(error) = stream.write_chunks(&mut pieces).await {
            tracing::debug!(%error, "the stream ended");
            return;
        }
        pieces.clear();
    }
    if stream.finish().is_ok() {
        let _ = tokio::time::timeout(FAREWELL, stream.delivered()).await;
    }
}
