//! The two halves of a stream: ordered, reliable bytes with flow control.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use iroh::endpoint::VarInt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::error::StreamError;
use crate::path::PathReport;

/// Keeps the connection of a stream looked after for as long as the stream lives.
pub(crate) type Keep = watch::Receiver<PathReport>;

/// The sending half. Dropping it finishes the stream.
#[derive(Debug)]
pub struct SendStream {
    inner: iroh::endpoint::SendStream,
    _keep: Keep,
}

impl SendStream {
    pub(crate) fn new(inner: iroh::endpoint::SendStream, keep: Keep) -> Self {
        Self { inner, _keep: keep }
    }

    /// Sends all the bytes; waits while the other side's window is full.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        Ok(self.inner.write_all(bytes).await?)
    }

    /// Sends a buffer without copying it.
    pub async fn write_chunk(&mut self, chunk: Bytes) -> Result<(), StreamError> {
        Ok(self.inner.write_chunk(chunk).await?)
    }

    /// Sends several buffers without copying them. They are empty afterwards.
    pub async fn write_chunks(&mut self, chunks: &mut [Bytes]) -> Result<(), StreamError> {
        Ok(self.inner.write_all_chunks(chunks).await?)
    }

    /// Says that no more bytes follow.
    pub fn finish(&mut self) -> Result<(), StreamError> {
        self.inner.finish().map_err(|_| StreamError::Closed)
    }

    /// Gives the stream up; bytes not yet delivered may be lost.
    pub fn reset(&mut self, code: u32) {
        // A stream that is already closed needs no reset.
        let _ = self.inner.reset(VarInt::from_u32(code));
    }

    /// Streams of a higher priority go first. The default is 0.
    pub fn set_priority(&self, priority: i32) {
        // A stream that is already closed has no priority.
        let _ = self.inner.set_priority(priority);
    }

    /// Waits until the other side has received everything, or stopped reading.
    pub async fn delivered(&mut self) -> Result<(), StreamError> {
        use iroh::endpoint::StoppedError;
        match self.inner.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(StreamError::Stopped {
                code: code.into_inner(),
            }),
            Err(StoppedError::ConnectionLost(error)) => Err(StreamError::Connection(error.into())),
            Err(StoppedError::ZeroRttRejected) => Err(StreamError::Closed),
        }
    }
}

/// The receiving half. Dropping it tells the other side to stop.
#[derive(Debug)]
pub struct RecvStream {
    inner: iroh::endpoint::RecvStream,
    _keep: Keep,
}

impl RecvStream {
    pub(crate) fn new(inner: iroh::endpoint::RecvStream, keep: Keep) -> Self {
        Self { inner, _keep: keep }
    }

    /// The next bytes, at most `max`, without copying them; `None` at the end.
    pub async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, StreamError> {
        Ok(self.inner.read_chunk(max).await?)
    }

    /// Fills as many of `chunks` as have arrived and returns how many; `None` at the end.
    pub async fn read_chunks(
        &mut self,
        chunks: &mut [Bytes],
    ) -> Result<Option<usize>, StreamError> {
        Ok(self.inner.read_many_chunks(chunks).await?)
    }

    /// Some bytes into `buf`; `None` at the end.
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<Option<usize>, StreamError> {
        Ok(self.inner.read(buf).await?)
    }

    /// Fills `buf` or fails.
    pub async fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), StreamError> {
        Ok(self.inner.read_exact(buf).await?)
    }

    /// Tells the other side that nothing more will be read.
    pub fn stop(&mut self, code: u32) {
        // A stream that is already closed needs no stop.
        let _ = self.inner.stop(VarInt::from_u32(code));
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.inner), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.inner), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.inner), cx)
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.inner), cx, buf)
    }
}
