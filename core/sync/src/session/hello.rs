//! The first state: both sides say which versions they speak, and what time it is.

use crate::error::PeerMisbehaved;
use crate::io::{CloseReason, Input, Output};
use crate::limits::{
    FEATURE_PARTS, FEATURE_PRESENCE, FEATURE_START, VERSION, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN,
};
use crate::membership::{Membership, nonce, transcript};
use crate::message::Message;
use crate::session::{AwaitMembership, Context, body};
use crate::streaming::Streaming;
use bytes::Bytes;

/// This side said hello and waits for the other's.
#[derive(Debug)]
pub(super) struct AwaitHello {
    own_hello: Bytes,
    started_ms: u64,
}

impl AwaitHello {
    pub(super) fn start(context: &mut Context) -> Self {
        let hello = Message::Hello {
            version_min: VERSION,
            version_max: VERSION,
            features: FEATURE_START | FEATURE_PARTS | FEATURE_PRESENCE,
            nonce: nonce(&context.opening.seed),
            clock_ms: context.opening.wall_ms,
            window: context.opening.window_bytes,
            extension: Bytes::new(),
        };
        let mut own_hello = Bytes::new();
        if let Some(frame) = hello.encode() {
            own_hello = body(&frame);
            context.send_frame(frame);
        }
        Self {
            own_hello,
            started_ms: context.now_ms,
        }
    }

    pub(super) fn on_message(
        self,
        context: &mut Context,
        message: Message,
    ) -> Result<AwaitMembership, CloseReason> {
        let Message::Hello {
            version_min,
            version_max,
            features,
            clock_ms,
            window,
            ..
        } = message
        else {
            return Err(PeerMisbehaved::UnexpectedFrame {
                frame: message.name(),
                state: "waiting for Hello",
            }
            .into());
        };
        if version_min > VERSION || version_max < VERSION {
            return Err(CloseReason::NoCommonVersion {
                ours: VERSION,
                theirs_min: version_min,
                theirs_max: version_max,
            });
        }
        if !(WINDOW_BYTES_MIN..=WINDOW_BYTES_MAX).contains(&window) {
            return Err(PeerMisbehaved::WindowOutOfRange { window }.into());
        }
        context.peer_starts = features & FEATURE_START != 0;
        context.peer_parts = features & FEATURE_PARTS != 0;
        context.peer_is_told = features & FEATURE_PRESENCE != 0;
        let wall_ms = context.opening.wall_ms + (context.now_ms - self.started_ms);
        context.output(Output::PeerClock {
            ahead_ms: clock_ms.wrapping_sub(wall_ms) as i64,
        });
        // The encoding is canonical: the peer's bytes are the encoding of what was decoded.
        let peer_hello = message.encode().map(|frame| body(&frame));
        let transcript = transcript(
            &context.opening,
            &self.own_hello,
            &peer_hello.unwrap_or_default(),
        );
        let membership = Membership::new(&context.opening, transcript, &context.locals);
        Ok(AwaitMembership(Box::new(Streaming::new(
            &context.opening,
            membership,
            window,
        ))))
    }
}

/// Spaces may come, go and grow before the peer is heard.
pub(super) fn on_input(context: &mut Context, input: Input) {
    match input {
        Input::AddSpace(membership) if context.locals.get(&membership.space).is_none() => {
            context.locals.add(membership);
        }
        Input::RemoveSpace { space } => context.locals.remove(&space),
        Input::Beginning { space, log } => context.locals.begin(space, log),
        Input::Part { space, thin } => context.locals.part(space, thin),
        Input::ThinAdvanced { space, writer, len } => {
            if let Some(thin) = context.locals.thin_mut(&space) {
                thin.insert(writer, len);
            }
        }
        Input::LocalAdvanced {
            space, writer, tip, ..
        }
        | Input::Frozen {
            space, writer, tip, ..
        } => {
            context.locals.set(&space, writer, tip);
        }
        _ => {}
    }
}
