//! Where people are: opaque packets that wait for credit, each replaced by a newer one of its slot.
//! Nothing is kept of them once they are sent.

use super::{Streaming, fits};
use crate::error::PeerMisbehaved;
use crate::io::Output;
use crate::limits::{PRESENCE_BYTES_MAX, PRESENCE_WAITING_MAX};
use crate::message::Message;
use crate::session::Context;
use bytes::Bytes;
use std::collections::VecDeque;
use stead_base::SpaceId;

/// What waits for credit, oldest first.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<One>);

#[derive(Debug)]
struct One {
    no: u64,
    /// None for a loss: these are not replaced.
    slot: Option<[u8; 16]>,
    message: Message,
}

impl Waiting {
    fn push(&mut self, one: One) {
        if one.slot.is_some() {
            // In its old place the new packet could overtake the loss of what was before it.
            self.0
                .retain(|other| (other.no, other.slot) != (one.no, one.slot));
        }
        self.0.push_back(one);
        if self.0.len() > PRESENCE_WAITING_MAX {
            self.0.pop_front();
        }
    }

    pub(super) fn drop_share(&mut self, no: u64) {
        self.0.retain(|one| one.no != no);
    }
}

impl Streaming {
    pub(super) fn tell_presence(
        &mut self,
        context: &Context,
        space: &SpaceId,
        slot: [u8; 16],
        packet: Bytes,
    ) {
        if let Some(no) = self.number(space)
            && context.peer_is_told
            && fits(&packet, PRESENCE_BYTES_MAX)
        {
            let message = Message::Presence { space: no, packet };
            self.presence.push(One {
                no,
                slot: Some(slot),
                message,
            });
        }
    }

    pub(super) fn tell_presence_lost(
        &mut self,
        context: &Context,
        space: &SpaceId,
        run: [u8; 32],
        app: u64,
    ) {
        if let Some(no) = self.number(space)
            && context.peer_is_told
        {
            let message = Message::PresenceLost {
                space: no,
                run,
                app,
            };
            self.presence.push(One {
                no,
                slot: None,
                message,
            });
        }
    }

    pub(super) fn pump_presence(&mut self, context: &mut Context) {
        while self.can_send(PRESENCE_BYTES_MAX, 0)
            && let Some(one) = self.presence.0.pop_front()
        {
            self.send_credited(context, one.message);
        }
    }

    pub(super) fn on_presence(
        &mut self,
        context: &mut Context,
        no: u64,
        packet: Bytes,
    ) -> Result<(), PeerMisbehaved> {
        if let Some(share) = self.shared(no)? {
            let space = share.space;
            context.output(Output::Presence { space, packet });
        }
        Ok(())
    }

    pub(super) fn on_presence_lost(
        &mut self,
        context: &mut Context,
        no: u64,
        run: [u8; 32],
        app: u64,
    ) -> Result<(), PeerMisbehaved> {
        if let Some(share) = self.shared(no)? {
            let space = share.space;
            context.output(Output::PresenceLost { space, run, app });
        }
        Ok(())
    }
}
