//! Forked logs: questions and answers by which drivers find the common prefix, and finished proofs.
//!
//! Owns when these frames may be sent; their payloads are the driver's.

use super::{LogKey, Streaming, fits};
use crate::error::PeerMisbehaved;
use crate::frontier::Tip;
use crate::io::Output;
use crate::limits::{FORK_BYTES_MAX, PROBE_BYTES_MAX, PROBES_IN_FLIGHT_MAX};
use crate::message::{Message, WriterRef};
use crate::session::Context;
use bytes::Bytes;
use std::collections::BTreeMap;
use stead_base::{SpaceId, WriterId};

/// Probes and proofs that wait for credit or for an answer. One probe a log at a time.
#[derive(Debug, Default)]
pub(super) struct Forks {
    to_ask: BTreeMap<LogKey, u64>,
    asked: BTreeMap<LogKey, u64>,
    /// Questions of the peer that the driver has not answered.
    unanswered: BTreeMap<LogKey, u64>,
    replies: BTreeMap<LogKey, (u64, Bytes)>,
    proofs: BTreeMap<LogKey, Bytes>,
}

impl Forks {
    pub(super) fn ask(&mut self, log: LogKey, at: u64) {
        self.to_ask.insert(log, at);
    }

    /// Queues the answer to an open question. One that no frame can carry becomes an empty one.
    pub(super) fn reply(&mut self, log: LogKey, at: u64, reply: Bytes) {
        if self.unanswered.get(&log) == Some(&at) {
            self.unanswered.remove(&log);
            let reply = Some(reply).filter(|reply| fits(reply, PROBE_BYTES_MAX));
            self.replies.insert(log, (at, reply.unwrap_or_default()));
        }
    }

    pub(super) fn drop_share(&mut self, no: u64) {
        self.to_ask.retain(|(of, _), _| *of != no);
        self.asked.retain(|(of, _), _| *of != no);
        self.unanswered.retain(|(of, _), _| *of != no);
        self.replies.retain(|(of, _), _| *of != no);
        self.proofs.retain(|(of, _), _| *of != no);
    }

    /// The next question that may be asked now.
    fn next_question(&mut self) -> Option<(LogKey, u64)> {
        if self.asked.len() >= PROBES_IN_FLIGHT_MAX {
            return None;
        }
        let log = *self
            .to_ask
            .keys()
            .find(|log| !self.asked.contains_key(log))?;
        let at = self.to_ask.remove(&log)?;
        self.asked.insert(log, at);
        Some((log, at))
    }
}

impl Streaming {
    pub(super) fn pump_forks(&mut self, context: &mut Context) {
        while let Some((_, (_, reply))) = self.forks.replies.first_key_value()
            && self.can_send(reply.len(), 0)
            && let Some(((no, writer), (at, reply))) = self.forks.replies.pop_first()
        {
            if let Some(writer) = self.name(no, writer) {
                let space = no;
                self.send_credited(
                    context,
                    Message::ProbeReply {
                        space,
                        writer,
                        at,
                        reply,
                    },
                );
            }
        }
        while self.can_send(0, 0)
            && let Some(((no, writer), at)) = self.forks.next_question()
        {
            if let Some(writer) = self.name(no, writer) {
                let space = no;
                self.send_credited(context, Message::Probe { space, writer, at });
            }
        }
        while let Some((_, proof)) = self.forks.proofs.first_key_value()
            && self.can_send(proof.len(), 0)
            && let Some(((no, writer), proof)) = self.forks.proofs.pop_first()
        {
            if let Some(writer) = self.name(no, writer) {
                let space = no;
                self.send_credited(
                    context,
                    Message::Fork {
                        space,
                        writer,
                        proof,
                    },
                );
            }
        }
    }

    pub(super) fn on_probe(
        &mut self,
        context: &mut Context,
        no: u64,
        writer: WriterRef,
        at: u64,
    ) -> Result<(), PeerMisbehaved> {
        let Some((share, writer)) = self.named(no, writer)? else {
            return Ok(());
        };
        let space = share.space;
        let log = (no, writer);
        let open = self.forks.unanswered.len() + self.forks.replies.len();
        let again =
            self.forks.unanswered.contains_key(&log) || self.forks.replies.contains_key(&log);
        if again || open >= PROBES_IN_FLIGHT_MAX {
            return Err(PeerMisbehaved::TooManyProbes);
        }
        self.forks.unanswered.insert(log, at);
        context.output(Output::ProbeAsked { space, writer, at });
        Ok(())
    }

    pub(super) fn on_probe_reply(
        &mut self,
        context: &mut Context,
        no: u64,
        writer: WriterRef,
        at: u64,
        reply: Bytes,
    ) -> Result<(), PeerMisbehaved> {
        let Some((share, writer)) = self.named(no, writer)? else {
            return Ok(());
        };
        let space = share.space;
        if self.forks.asked.remove(&(no, writer)) != Some(at) {
            return Err(PeerMisbehaved::ProbeReplyNotAskedFor { space, writer });
        }
        context.output(Output::ProbeAnswered {
            space,
            writer,
            at,
            reply,
        });
        Ok(())
    }

    pub(super) fn on_fork(
        &mut self,
        context: &mut Context,
        no: u64,
        writer: WriterRef,
        proof: Bytes,
    ) -> Result<(), PeerMisbehaved> {
        let Some((share, writer)) = self.named(no, writer)? else {
            return Ok(());
        };
        let space = share.space;
        let log = share.log(writer);
        if std::mem::replace(&mut log.proof_received, true) {
            return Err(PeerMisbehaved::ForkProofTwice { space, writer });
        }
        context.output(Output::ForkProof {
            space,
            writer,
            proof,
        });
        Ok(())
    }

    pub(super) fn conflict(&mut self, context: &mut Context, space: &SpaceId, writer: WriterId) {
        let Some(no) = self.number(space) else {
            return;
        };
        if let Some(share) = self.shares.get_mut(&no) {
            share.log(writer).disputed = true;
        }
        self.cancel_fetch(context, no, writer);
    }

    pub(super) fn frozen(
        &mut self,
        context: &mut Context,
        space: &SpaceId,
        writer: WriterId,
        tip: Tip,
        proof: Bytes,
    ) {
        let tip = Tip {
            frozen: true,
            ..tip
        };
        if !context.locals.set(space, writer, tip) {
            return;
        }
        let Some(no) = self.number(space) else {
            return;
        };
        self.cancel_fetch(context, no, writer);
        let Some(share) = self.shares.get_mut(&no) else {
            return;
        };
        let log = share.log(writer);
        log.disputed = false;
        if !log.proof_sent && !log.proof_received && fits(&proof, FORK_BYTES_MAX) {
            log.proof_sent = true;
            self.forks.proofs.insert((no, writer), proof);
        }
        if !log.told_frozen {
            self.dirty.insert(no, writer);
        }
    }

    /// Asks the driver for the proof of a fork that the peer does not know of.
    pub(super) fn want_proof(&mut self, context: &mut Context, no: u64, writer: WriterId) {
        let Some(share) = self.shares.get_mut(&no) else {
            return;
        };
        let space = share.space;
        if !context.locals.tip(&space, &writer).frozen {
            return;
        }
        let log = share.log(writer);
        if log.theirs_frozen || log.proof_sent || log.proof_received || log.proof_wanted {
            return;
        }
        log.proof_wanted = true;
        context.output(Output::ForkProofWanted { space, writer });
    }
}
