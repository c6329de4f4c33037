//! One connection between two devices: the states it goes through, time, and what all states share.
//!
//! hello -> membership -> streaming -> closed, one struct each. What a session does once spaces are
//! shared is in `streaming`.

mod context;
mod hello;

pub(crate) use context::Context;

use crate::error::PeerMisbehaved;
use crate::frontier::{Locals, SpaceMembership};
use crate::io::{CloseReason, GoodbyeCode, Input, Output};
use crate::limits::{WINDOW_BYTES_MAX, WINDOW_BYTES_MIN};
use crate::message::Message;
use crate::streaming::Streaming;
use bytes::Bytes;
use hello::AwaitHello;
use stead_base::{DeviceId, SpaceId};

/// Which side opened the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Opened it.
    Dialer = 0,
    /// Accepted it.
    Listener = 1,
}

impl Role {
    /// The role of the other side.
    pub const fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Listener,
            Self::Listener => Self::Dialer,
        }
    }
}

/// What a session starts from.
#[derive(Clone)]
pub struct Opening {
    /// Which side this is.
    pub role: Role,
    /// This device.
    pub local: DeviceId,
    /// The other device, as the transport proved it.
    pub remote: DeviceId,
    /// A secret of the connection that both ends know and no other connection has (for QUIC and TLS
    /// exported keying material), so that nothing said here means anything elsewhere.
    pub channel_binding: [u8; 32],
    /// Fresh random bytes, never used for another session.
    pub seed: [u8; 32],
    /// This device's wall clock, for the peer to compare.
    pub wall_ms: u64,
    /// Most bytes the peer may have in flight; brought into
    /// [`WINDOW_BYTES_MIN`]`..=`[`WINDOW_BYTES_MAX`].
    pub window_bytes: u64,
    /// Fetch everything the peer has. Otherwise the driver decides, by [`Output::Available`] and
    /// [`Input::Fetch`].
    pub auto_fetch: bool,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening")
            .field("role", &self.role)
            .field("local", &self.local)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// What is missing on either side of a shared space, in entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missing {
    /// Entries the peer said it has that are not stored here.
    pub here: u64,
    /// Entries stored here that the peer has not confirmed.
    pub there: u64,
}

#[derive(Debug)]
enum State {
    Hello(AwaitHello),
    Membership(AwaitMembership),
    Streaming(Box<Streaming>),
    Closed(CloseReason),
}

/// One connection between two devices, without any I/O.
#[derive(Debug)]
pub struct Session {
    context: Context,
    state: State,
}

impl Session {
    /// Starts a session and says hello. `now_ms` is any clock that does not go backwards.
    pub fn new(
        opening: Opening,
        spaces: impl IntoIterator<Item = SpaceMembership>,
        now_ms: u64,
    ) -> Self {
        let mut locals = Locals::default();
        spaces.into_iter().for_each(|space| locals.add(space));
        let opening = Opening {
            window_bytes: opening
                .window_bytes
                .clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX),
            ..opening
        };
        let mut context = Context::new(opening, locals, now_ms);
        let state = State::Hello(AwaitHello::start(&mut context));
        context.set_wake(false);
        Self { context, state }
    }

    /// Takes an input at `now_ms`. Drain [`poll_output`](Self::poll_output) afterwards.
    ///
    /// # Errors
    /// The peer broke a rule. The session is over, and every later call returns the same error.
    pub fn handle(&mut self, input: Input, now_ms: u64) -> Result<(), PeerMisbehaved> {
        if let State::Closed(reason) = &self.state {
            return match reason {
                CloseReason::Misbehaved(error) => Err(error.clone()),
                _ => Ok(()),
            };
        }
        self.context.advance(now_ms);
        let state = std::mem::replace(&mut self.state, State::Closed(CloseReason::Here));
        match self.step(state, input) {
            Ok(state) => {
                self.context.set_wake(!matches!(state, State::Hello(_)));
                self.state = state;
                Ok(())
            }
            Err(reason) => self.close(reason),
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.context.poll_output()
    }

    /// Why the session is over, once it is.
    pub const fn closed(&self) -> Option<&CloseReason> {
        match &self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// What is missing on either side of a space, or nothing while it is not shared and listed.
    pub fn missing(&self, space: &SpaceId) -> Option<Missing> {
        match &self.state {
            State::Streaming(streaming) => streaming.missing(&self.context.locals, space),
            _ => None,
        }
    }

    fn step(&mut self, state: State, input: Input) -> Result<State, CloseReason> {
        let context = &mut self.context;
        let message = match input {
            Input::Frame(frame) => {
                context.heard();
                Some((
                    Message::decode(&frame).map_err(PeerMisbehaved::BadFrame)?,
                    frame.len() as u64,
                ))
            }
            Input::Close { code, text } => {
                context.send_goodbye(code, &text);
                return Err(CloseReason::Here);
            }
            Input::Ping => {
                if !matches!(state, State::Hello(_)) {
                    context.ping();
                }
                None
            }
            Input::Tick => {
                context.forget_wake();
                None
            }
            input => {
                let state = match state {
                    State::Hello(hello) => {
                        hello::on_input(context, input);
                        State::Hello(hello)
                    }
                    State::Membership(state) => State::Membership(state.on_input(context, input)),
                    State::Streaming(mut streaming) => {
                        streaming.on_input(context, input);
                        State::Streaming(streaming)
                    }
                    State::Closed(reason) => return Err(reason),
                };
                return self.settle(state);
            }
        };
        let state = match message {
            Some((Message::Goodbye { code, text }, _)) => {
                return Err(CloseReason::Peer { code, text });
            }
            Some((message, cost)) => match state {
                State::Hello(hello) => State::Membership(hello.on_message(context, message)?),
                State::Membership(state) => state.on_message(context, message, cost)?,
                State::Streaming(mut streaming) => {
                    streaming.on_message(context, message, cost)?;
                    State::Streaming(streaming)
                }
                State::Closed(reason) => return Err(reason),
            },
            None => state,
        };
        self.settle(state)
    }

    /// Sends what became possible and what became due.
    fn settle(&mut self, state: State) -> Result<State, CloseReason> {
        self.context.check_idle()?;
        let state = match state {
            State::Streaming(mut streaming) => {
                streaming.pump(&mut self.context)?;
                State::Streaming(streaming)
            }
            State::Membership(mut state) => {
                if self.context.opening.role == Role::Dialer {
                    state.0.pump_offers(&mut self.context)?;
                }
                State::Membership(state)
            }
            state => state,
        };
        if !matches!(state, State::Hello(_)) {
            self.context.keep_alive();
        }
        Ok(state)
    }

    fn close(&mut self, reason: CloseReason) -> Result<(), PeerMisbehaved> {
        let code = match &reason {
            CloseReason::Here | CloseReason::Peer { .. } => None,
            CloseReason::NoCommonVersion { .. } => Some(GoodbyeCode::Version),
            CloseReason::Idle { .. } => Some(GoodbyeCode::Idle),
            CloseReason::TagsUsedUp => Some(GoodbyeCode::Renew),
            CloseReason::Misbehaved(_) => Some(GoodbyeCode::Misbehaved),
        };
        if let Some(code) = code {
            let text = match &reason {
                CloseReason::Misbehaved(error) => error.to_string(),
                reason => reason.to_string(),
            };
            self.context.send_goodbye(code, &text);
        }
        self.context.output(Output::Closed(reason.clone()));
        self.state = State::Closed(reason.clone());
        match reason {
            CloseReason::Misbehaved(error) => Err(error),
            _ => Ok(()),
        }
    }
}

impl From<PeerMisbehaved> for CloseReason {
    fn from(error: PeerMisbehaved) -> Self {
        Self::Misbehaved(error)
    }
}

/// Both sides said hello; the dialer's first offer, or its answer, is due.
#[derive(Debug)]
struct AwaitMembership(Box<Streaming>);

impl AwaitMembership {
    fn on_input(mut self, context: &mut Context, input: Input) -> Self {
        self.0.on_input(context, input);
        self
    }

    fn on_message(
        mut self,
        context: &mut Context,
        message: Message,
        cost: u64,
    ) -> Result<State, PeerMisbehaved> {
        let ends_state = match (&message, context.opening.role) {
            (Message::Offer { .. }, Role::Listener) | (Message::Accept { .. }, Role::Dialer) => {
                true
            }
            (Message::Ping { .. } | Message::Pong { .. }, _) => false,
            _ => {
                return Err(PeerMisbehaved::UnexpectedFrame {
                    frame: message.name(),
                    state: "proving membership",
                });
            }
        };
        self.0.on_message(context, message, cost)?;
        Ok(if ends_state {
            State::Streaming(self.0)
        } else {
            State::Membership(self)
        })
    }
}

/// A frame without its length, as both sides' transcripts hash it.
fn body(frame: &crate::Frame) -> Bytes {
    frame.head.slice(crate::frame::LENGTH_BYTES..)
}
