//! What every state of a session shares: outputs, this device's spaces, and time.

use crate::frontier::Locals;
use crate::io::{CloseReason, GoodbyeCode, Output};
use crate::limits::{GOODBYE_BYTES_MAX, IDLE_MAX_MS, PING_INTERVAL_MS};
use crate::message::Message;
use crate::session::Opening;
use crate::{Frame, PeerMisbehaved};
use std::collections::VecDeque;

/// Outputs, spaces and timers of one session.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) opening: Opening,
    pub(crate) locals: Locals,
    pub(crate) now_ms: u64,
    /// The peer understands `Start`.
    pub(crate) peer_starts: bool,
    /// The peer understands `Choose`.
    pub(crate) peer_parts: bool,
    /// The peer understands presence.
    pub(crate) peer_is_told: bool,
    /// When what was stored is to be confirmed to the peer.
    pub(crate) confirm_at: Option<u64>,
    out: VecDeque<Output>,
    heard_ms: u64,
    sent_ms: u64,
    wake_at: Option<u64>,
    pings: u64,
    /// The newest ping without its answer, and when it was sent.
    open_ping: Option<(u64, u64)>,
}

impl Context {
    pub(crate) fn new(opening: Opening, locals: Locals, now_ms: u64) -> Self {
        Self {
            opening,
            locals,
            now_ms,
            peer_starts: false,
            peer_parts: false,
            peer_is_told: false,
            confirm_at: None,
            out: VecDeque::new(),
            heard_ms: now_ms,
            sent_ms: now_ms,
            wake_at: None,
            pings: 0,
            open_ping: None,
        }
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.out.push_back(output);
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Sends a frame. What may be too long is checked by the caller, by the size of its payload.
    pub(crate) fn send(&mut self, message: Message) {
        if let Some(frame) = message.encode() {
            self.send_frame(frame);
        }
    }

    pub(crate) fn send_frame(&mut self, frame: Frame) {
        self.sent_ms = self.now_ms;
        self.out.push_back(Output::Send(frame));
    }

    pub(crate) fn send_goodbye(&mut self, code: GoodbyeCode, text: &str) {
        let mut end = text.len().min(GOODBYE_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.send(Message::Goodbye {
            code: code as u64,
            text: text[..end].replace(char::is_control, " "),
        });
    }

    pub(crate) fn advance(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    pub(crate) fn heard(&mut self) {
        self.heard_ms = self.now_ms;
    }

    pub(crate) fn check_idle(&self) -> Result<(), CloseReason> {
        let idle_ms = self.now_ms - self.heard_ms;
        if idle_ms >= IDLE_MAX_MS {
            return Err(CloseReason::Idle { idle_ms });
        }
        Ok(())
    }

    pub(crate) fn keep_alive(&mut self) {
        if self.now_ms - self.sent_ms >= PING_INTERVAL_MS {
            self.ping();
        }
    }

    pub(crate) fn ping(&mut self) {
        let token = self.pings;
        self.pings += 1;
        self.open_ping = Some((token, self.now_ms));
        self.send(Message::Ping { token });
    }

    pub(crate) fn on_pong(&mut self, token: u64) -> Result<(), PeerMisbehaved> {
        if token >= self.pings {
            return Err(PeerMisbehaved::PongNotAskedFor);
        }
        if let Some((_, sent_ms)) = self.open_ping.take_if(|(open, _)| *open == token) {
            self.output(Output::RoundTrip {
                ms: self.now_ms - sent_ms,
            });
        }
        Ok(())
    }

    /// The driver came back, perhaps a little early: it is told anew when to.
    pub(crate) fn forget_wake(&mut self) {
        self.wake_at = None;
    }

    /// Tells the driver when to come back, when that is sooner than it was told.
    pub(crate) fn set_wake(&mut self, pings: bool) {
        let ping = self.sent_ms + if pings { PING_INTERVAL_MS } else { IDLE_MAX_MS };
        let idle = self.heard_ms + IDLE_MAX_MS;
        let due = ping.min(idle).min(self.confirm_at.unwrap_or(u64::MAX));
        let due = due.max(self.now_ms + 1);
        if self
            .wake_at
            .is_none_or(|wake| due < wake || wake <= self.now_ms)
        {
            self.wake_at = Some(due);
            self.output(Output::WakeAt(due));
        }
    }
}
