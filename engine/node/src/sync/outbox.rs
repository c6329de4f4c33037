//! Frames of one session that are not written yet, and how many bytes they are: the session is told
//! when they become many and when they are few again.
//!
//! Counts a frame until the transport has taken it. Knows nothing of what a frame says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stead_sync::Frame;
use stead_sync::limits::WINDOW_BYTES_MAX;
use tokio::sync::Notify;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Permit, Sender};

/// More than this waits unwritten: no more batches are read for the peer, so that a live change
/// does not wait behind them.
pub(super) const CONGESTED_BYTES: usize = 1 << 20;
/// No more than this waits: reading goes on, before the writer has nothing left.
pub(super) const RELIEVED_BYTES: usize = CONGESTED_BYTES / 2;
/// What credit allows, and control frames. More is a fault.
const OUTBOX_BYTES_MAX: usize = 2 * WINDOW_BYTES_MAX as usize;

/// Bytes not written yet. The writer takes them off.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: AtomicUsize,
    relief: Notify,
}

impl Backlog {
    /// The transport has taken this many bytes.
    pub(super) fn written(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if before > RELIEVED_BYTES && before - bytes <= RELIEVED_BYTES {
            self.relief.notify_one();
        }
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The frames, in their order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Frame>,
    backlog: Arc<Backlog>,
    congested: bool,
}

impl Outbox {
    /// Where the writer says what it has written.
    pub(super) fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }

    /// Puts a frame at the end; false when more waits than credit allows.
    pub(super) fn push(&mut self, frame: Frame) -> bool {
        let bytes = frame.wire_bytes();
        self.frames.push_back(frame);
        let before = self.backlog.bytes.fetch_add(bytes, Ordering::Relaxed);
        before + bytes <= OUTBOX_BYTES_MAX
    }

    /// Whether every frame was handed to the writer.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Hands the writer as much as it takes without waiting; false when it is gone.
    pub(super) fn send(&mut self, writer: &Sender<Frame>) -> bool {
        while let Some(frame) = self.frames.pop_front() {
            match writer.try_send(frame) {
                Ok(()) => {}
                Err(TrySendError::Full(frame)) => {
                    self.frames.push_front(frame);
                    return true;
                }
                Err(TrySendError::Closed(_)) => {
                    self.frames.clear();
                    return false;
                }
            }
        }
        true
    }

    /// Hands the writer one frame into the place it keeps for it.
    pub(super) fn send_one(&mut self, place: Permit<'_, Frame>) {
        if let Some(frame) = self.frames.pop_front() {
            place.send(frame);
        }
    }

    /// What the session has to hear: that much waits now, or that little waits again.
    pub(super) fn turned(&mut self) -> Option<bool> {
        let bytes = self.backlog.bytes();
        let congested = match self.congested {
            true => bytes > RELIEVED_BYTES,
            false => bytes > CONGESTED_BYTES,
        };
        let turned = congested != self.congested;
        self.congested = congested;
        turned.then_some(congested)
    }

    /// Waits until little is unwritten again; for ever when that is so already.
    pub(super) async fn relieved(&self) {
        if !self.congested {
            return std::future::pending().await;
        }
        self.backlog.relief.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn frame(bytes: usize) -> Frame {
        Frame {
            head: Bytes::from_static(&[0; 4]),
            payload: vec![0; bytes - 4].into(),
        }
    }

    #[tokio::test]
    async fn a_session_hears_once_that_much_waits_and_once_that_it_is_written() {
        let mut outbox = Outbox::default();
        let (writer, mut written) = tokio::sync::mpsc::channel(4);
        assert!(outbox.push(frame(CONGESTED_BYTES)));
        assert_eq!(outbox.turned(), None, "the limit itself is allowed");
        assert!(outbox.push(frame(100)));
        assert_eq!(outbox.turned(), Some(true));
        assert_eq!(outbox.turned(), None);
        assert!(outbox.send(&writer));
        assert!(outbox.is_empty());
        assert_eq!(outbox.turned(), None, "handed over is not yet written");

        let backlog = outbox.backlog();
        backlog.written(written.recv().await.unwrap().wire_bytes());
        outbox.relieved().await;
        assert_eq!(outbox.turned(), Some(false));
        backlog.written(written.recv().await.unwrap().wire_bytes());
        assert_eq!(outbox.turned(), None);
    }

    #[test]
    fn more_than_credit_allows_is_a_fault() {
        let mut outbox = Outbox::default();
        assert!(outbox.push(frame(OUTBOX_BYTES_MAX)));
        assert!(!outbox.push(frame(4)));
    }
}
