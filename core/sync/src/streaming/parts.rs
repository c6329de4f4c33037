//! Spaces of which one side keeps a part: what it chose, the slices that it asks for, and their answers.
//!
//! What a choice, a question or a slice says is opaque. Owns that a choice goes out before the first
//! range is asked for, that answers belong to questions, and how much of both may be on its way.

use super::Streaming;
use crate::error::PeerMisbehaved;
use crate::io::Output;
use crate::limits::{
    ASK_BYTES_MAX, ASKS_IN_FLIGHT_MAX, CHOICE_BYTES_MAX, CONTROL_BYTES_RESERVED, SLICE_BYTES_MAX,
    SLICE_FRAME_BYTES_MAX,
};
use crate::message::Message;
use crate::session::Context;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use stead_base::{SpaceId, WriterId};

/// A question: the number of its space, and its token.
type AskKey = (u64, u64);

/// What waits for credit or for an answer.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Choices and questions to be sent, in the order in which the driver handed them in.
    outgoing: VecDeque<(u64, Outgoing)>,
    /// Questions that wait for their answer, and what of it has come.
    asked: BTreeMap<AskKey, Vec<u8>>,
    /// Questions of the peer that the driver has not answered.
    unanswered: BTreeSet<AskKey>,
    /// Answers that go out as credit allows; none where there is no answer.
    answers: VecDeque<(AskKey, Option<Bytes>)>,
    stirred: BTreeSet<u64>,
}

#[derive(Debug)]
enum Outgoing {
    Choice { revision: u64, choice: Bytes },
    Ask { token: u64, ask: Bytes },
}

impl Parts {
    pub(super) fn stir(&mut self, no: u64) {
        self.stirred.insert(no);
    }

    pub(super) fn drop_share(&mut self, no: u64) {
        self.outgoing.retain(|(of, _)| *of != no);
        self.asked.retain(|(of, _), _| *of != no);
        self.unanswered.retain(|(of, _)| *of != no);
        self.answers.retain(|((of, _), _)| *of != no);
        self.stirred.remove(&no);
    }
}

impl Streaming {
    pub(super) fn thin_advanced(
        &mut self,
        context: &mut Context,
        space: &SpaceId,
        writer: WriterId,
        len: u64,
    ) {
        let Some(thin) = context.locals.thin_mut(space) else {
            return;
        };
        let before = thin.insert(writer, len).unwrap_or(0);
        if len < before {
            // Taken anew: what the peer could not deliver from there on it may have from the start.
            let log = self.number(space).and_then(|no| self.log(no, &writer));
            if let Some(log) = log {
                log.theirs = log.theirs.max(std::mem::take(&mut log.theirs_gone));
            }
            return self.dropped(context, space, writer);
        }
        let Some(no) = self.number(space) else {
            return;
        };
        let Some(share) = self.shares.get_mut(&no) else {
            return;
        };
        let log = share.log(writer);
        log.incoming = log.incoming.max(len);
        if log.theirs_gone > log.theirs && len > log.theirs {
            log.theirs = std::mem::take(&mut log.theirs_gone);
            self.offer_fetch(context, no, writer);
        }
    }

    pub(super) fn choose(&mut self, space: &SpaceId, revision: u64, choice: Bytes) {
        if let Some(no) = self.number(space)
            && choice.len() <= CHOICE_BYTES_MAX
        {
            let outgoing = Outgoing::Choice { revision, choice };
            self.parts.outgoing.push_back((no, outgoing));
        }
    }

    pub(super) fn ask(&mut self, context: &mut Context, space: SpaceId, token: u64, ask: Bytes) {
        match self.number(&space) {
            Some(no) if context.peer_parts && ask.len() <= ASK_BYTES_MAX => {
                let outgoing = Outgoing::Ask { token, ask };
                self.parts.outgoing.push_back((no, outgoing));
            }
            _ => context.output(Output::Slice {
                space,
                token,
                slice: None,
            }),
        }
    }

    pub(super) fn sliced(&mut self, space: &SpaceId, token: u64, slice: Option<Bytes>) {
        if let Some(no) = self.number(space)
            && self.parts.unanswered.remove(&(no, token))
        {
            let slice = slice.filter(|slice| slice.len() <= SLICE_BYTES_MAX);
            self.parts.answers.push_back(((no, token), slice));
        }
    }

    pub(super) fn pump_parts(&mut self, context: &mut Context) {
        self.pump_outgoing(context);
        while self.can_send(0, 0)
            && let Some(no) = self.parts.stirred.pop_first()
        {
            if context.peer_parts {
                self.send_credited(context, Message::Stir { space: no });
            }
        }
        while let Some(((no, token), answer)) = self.parts.answers.front_mut() {
            let (space, token) = (*no, *token);
            let piece = answer
                .as_ref()
                .map(|rest| rest.len().min(SLICE_FRAME_BYTES_MAX));
            if !self.can_send(piece.unwrap_or(0), CONTROL_BYTES_RESERVED) {
                return;
            }
            let Some(((_, _), answer)) = self.parts.answers.front_mut() else {
                return;
            };
            let message = match answer {
                None => Message::Unsliced { space, token },
                Some(rest) => {
                    let piece = rest.split_to(rest.len().min(SLICE_FRAME_BYTES_MAX));
                    Message::Slice {
                        space,
                        token,
                        last: rest.is_empty(),
                        piece,
                    }
                }
            };
            if !matches!(message, Message::Slice { last: false, .. }) {
                self.parts.answers.pop_front();
            }
            self.send_credited(context, message);
        }
    }

    fn pump_outgoing(&mut self, context: &mut Context) {
        while let Some((no, next)) = self.parts.outgoing.front() {
            let (no, len) = match next {
                Outgoing::Choice { choice, .. } => (*no, choice.len()),
                Outgoing::Ask { .. } if self.parts.asked.len() >= ASKS_IN_FLIGHT_MAX => return,
                Outgoing::Ask { ask, .. } => (*no, ask.len()),
            };
            if !self.can_send(len, 0) {
                return;
            }
            match self.parts.outgoing.pop_front() {
                Some((_, Outgoing::Choice { revision, choice })) => {
                    self.tell_choice(context, no, revision, choice);
                }
                Some((_, Outgoing::Ask { token, ask })) => {
                    self.parts.asked.insert((no, token), Vec::new());
                    let space = no;
                    self.send_credited(context, Message::Ask { space, token, ask });
                }
                None => return,
            }
        }
    }

    fn tell_choice(&mut self, context: &mut Context, no: u64, revision: u64, choice: Bytes) {
        if !context.peer_parts {
            return;
        }
        let space = no;
        let message = Message::Choose {
            space,
            revision,
            choice,
        };
        self.send_credited(context, message);
        let Some(share) = self.shares.get_mut(&no) else {
            return;
        };
        if revision == 0 {
            return;
        }
        share.choice_told = true;
        // What the peer named before, or could not deliver by an earlier choice, may be fetched now.
        for log in share.logs.values_mut() {
            log.theirs = log.theirs.max(std::mem::take(&mut log.theirs_gone));
        }
        let writers: Vec<WriterId> = share.logs.keys().copied().collect();
        for writer in writers {
            self.offer_fetch(context, no, writer);
        }
    }

    pub(super) fn on_choose(
        &mut self,
        context: &mut Context,
        no: u64,
        revision: u64,
        choice: Bytes,
    ) -> Result<(), PeerMisbehaved> {
        if let Some(share) = self.shared(no)? {
            let space = share.space;
            share.peer_choice = Some(revision);
            context.output(Output::Chosen {
                space,
                revision,
                choice,
            });
        }
        Ok(())
    }

    pub(super) fn on_ask(
        &mut self,
        context: &mut Context,
        no: u64,
        token: u64,
        ask: Bytes,
    ) -> Result<(), PeerMisbehaved> {
        let Some(space) = self.shared(no)?.map(|share| share.space) else {
            return Ok(());
        };
        let key = (no, token);
        let answers = &self.parts.answers;
        let open = self.parts.unanswered.len() + answers.len();
        let again = self.parts.unanswered.contains(&key) || answers.iter().any(|it| it.0 == key);
        if again || open >= ASKS_IN_FLIGHT_MAX {
            return Err(PeerMisbehaved::TooManyAsks);
        }
        self.parts.unanswered.insert(key);
        context.output(Output::Asked { space, token, ask });
        Ok(())
    }

    pub(super) fn on_slice(
        &mut self,
        context: &mut Context,
        no: u64,
        token: u64,
        last: bool,
        piece: &Bytes,
    ) -> Result<(), PeerMisbehaved> {
        let Some(space) = self.shared(no)?.map(|share| share.space) else {
            return Ok(());
        };
        let key = (no, token);
        let Some(come) = self.parts.asked.get_mut(&key) else {
            return Err(PeerMisbehaved::SliceNotAskedFor { space });
        };
        if come.len() + piece.len() > SLICE_BYTES_MAX || piece.is_empty() && !last {
            return Err(PeerMisbehaved::SliceNotAskedFor { space });
        }
        come.extend_from_slice(piece);
        if last && let Some(whole) = self.parts.asked.remove(&key) {
            let slice = Some(whole.into());
            context.output(Output::Slice {
                space,
                token,
                slice,
            });
        }
        Ok(())
    }

    pub(super) fn on_unsliced(
        &mut self,
        context: &mut Context,
        no: u64,
        token: u64,
    ) -> Result<(), PeerMisbehaved> {
        let Some(space) = self.shared(no)?.map(|share| share.space) else {
            return Ok(());
        };
        if self.parts.asked.remove(&(no, token)).is_none() {
            return Err(PeerMisbehaved::SliceNotAskedFor { space });
        }
        context.output(Output::Slice {
            space,
            token,
            slice: None,
        });
        Ok(())
    }

    pub(super) fn on_stir(&mut self, context: &mut Context, no: u64) -> Result<(), PeerMisbehaved> {
        if let Some(space) = self.shared(no)?.map(|share| share.space) {
            context.output(Output::Stirred { space });
        }
        Ok(())
    }
}
