//! Spaces are shared: frontiers, ranges, live changes and forks, for all of them on one connection.
//!
//! Owns the state of every shared space and the order in which frames compete for credit. The parts:
//! `shares` (numbers, writers' names), `tips` (frontiers), `fetch` (what comes in), `serve` (what goes
//! out), `forks`, `parts` (what is said where one side keeps a part of a space), `presence`.

mod fetch;
mod forks;
mod parts;
mod presence;
mod serve;
mod shares;
mod tips;

use crate::credit::{ReceiveWindow, SendCredit};
use crate::error::PeerMisbehaved;
use crate::io::{CloseReason, Input};
use crate::membership::Membership;
use crate::message::Message;
use crate::rotation::Rotation;
use crate::session::{Context, Opening};
use bytes::Bytes;
use forks::Forks;
use parts::Parts;
use presence::Waiting;
use serve::{Reading, Ready};
use shares::Share;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use stead_base::{SpaceId, WriterId};

/// Most bytes of a frame before its payload, for every kind that has one.
const HEAD_BYTES_MAX: u64 = 96;

/// A log in a session: the number of its space, and its writer.
type LogKey = (u64, WriterId);

/// The state in which spaces are shared.
#[derive(Debug)]
pub(crate) struct Streaming {
    membership: Membership,
    send: SendCredit,
    receive: ReceiveWindow,
    auto_fetch: bool,
    /// Shared spaces by their number, and back.
    shares: BTreeMap<u64, Share>,
    numbers: BTreeMap<SpaceId, u64>,
    /// Numbers of spaces that are no longer shared: frames about them may still be on their way.
    retired: BTreeSet<u64>,
    /// Spaces whose logs are being listed to the peer.
    listing: BTreeSet<u64>,
    /// Logs whose tip the peer does not know.
    dirty: Rotation,
    /// Logs that were stored from the peer and are confirmed a little later, together.
    unconfirmed: BTreeSet<LogKey>,
    /// Fetches that wait for their `Want`, and those that are under way.
    fetches: Rotation,
    fetching: BTreeSet<LogKey>,
    /// Logs to be read for the peer, and all it asked for.
    serves: Rotation,
    serving: BTreeSet<LogKey>,
    /// Ranges that ended early and whose `Gone` is due.
    gone: BTreeSet<LogKey>,
    reads: BTreeMap<(SpaceId, WriterId), Reading>,
    ready: VecDeque<Ready>,
    forks: Forks,
    parts: Parts,
    presence: Waiting,
    pong_due: Option<u64>,
    congested: bool,
}

impl Streaming {
    pub(crate) fn new(opening: &Opening, membership: Membership, peer_window: u64) -> Self {
        Self {
            membership,
            send: SendCredit::new(peer_window),
            receive: ReceiveWindow::new(opening.window_bytes),
            auto_fetch: opening.auto_fetch,
            shares: BTreeMap::new(),
            numbers: BTreeMap::new(),
            retired: BTreeSet::new(),
            listing: BTreeSet::new(),
            dirty: Rotation::default(),
            unconfirmed: BTreeSet::new(),
            fetches: Rotation::default(),
            fetching: BTreeSet::new(),
            serves: Rotation::default(),
            serving: BTreeSet::new(),
            gone: BTreeSet::new(),
            reads: BTreeMap::new(),
            ready: VecDeque::new(),
            forks: Forks::default(),
            parts: Parts::default(),
            presence: Waiting::default(),
            pong_due: None,
            congested: false,
        }
    }

    pub(crate) fn on_input(&mut self, context: &mut Context, input: Input) {
        match input {
            Input::AddSpace(membership) => {
                if context.locals.get(&membership.space).is_none() {
                    self.membership.add(&membership);
                    context.locals.add(membership);
                }
            }
            Input::RemoveSpace { space } => self.remove_space(context, &space),
            Input::Beginning { space, log } => context.locals.begin(space, log),
            Input::LocalAdvanced {
                space,
                writer,
                tip,
                eager,
            } => self.advanced(context, &space, writer, tip, eager),
            Input::Fetch {
                space,
                writer,
                from,
                upto,
            } => self.fetch(&space, writer, from, upto),
            Input::CancelFetch { space, writer } => {
                if let Some(no) = self.number(&space) {
                    self.cancel_fetch(context, no, writer);
                }
            }
            Input::Stored { credit } => self.receive.release(credit),
            Input::Dropped {
                space,
                writer,
                credit,
            } => {
                self.receive.release(credit);
                self.dropped(context, &space, writer);
            }
            Input::Congested(congested) => self.congested = congested,
            Input::ReadDone {
                space,
                writer,
                from,
                upto,
                batch,
            } => self.read_done(context, space, writer, from, upto, batch),
            Input::ReadFailed { space, writer } => self.read_failed(context, space, writer),
            Input::Conflict { space, writer } => self.conflict(context, &space, writer),
            Input::Probe { space, writer, at } => {
                if let Some(no) = self.number(&space) {
                    self.forks.ask((no, writer), at);
                }
            }
            Input::ProbeReply {
                space,
                writer,
                at,
                reply,
            } => {
                if let Some(no) = self.number(&space) {
                    self.forks.reply((no, writer), at, reply);
                }
            }
            Input::Frozen {
                space,
                writer,
                tip,
                proof,
            } => self.frozen(context, &space, writer, tip, proof),
            Input::Part { space, thin } => context.locals.part(space, thin),
            Input::ThinAdvanced { space, writer, len } => {
                self.thin_advanced(context, &space, writer, len);
            }
            Input::Choose {
                space,
                revision,
                choice,
            } => self.choose(&space, revision, choice),
            Input::Ask { space, token, ask } => self.ask(context, space, token, ask),
            Input::Sliced {
                space,
                token,
                slice,
            } => self.sliced(&space, token, slice),
            Input::Stir { space } => {
                if let Some(no) = self.number(&space) {
                    self.parts.stir(no);
                }
            }
            Input::Presence {
                space,
                slot,
                packet,
            } => self.tell_presence(context, &space, slot, packet),
            Input::PresenceLost { space, run, app } => {
                self.tell_presence_lost(context, &space, run, app);
            }
            Input::Frame(_) | Input::Tick | Input::Ping | Input::Close { .. } => {}
        }
    }

    /// Takes a frame whose length was `cost`.
    pub(crate) fn on_message(
        &mut self,
        context: &mut Context,
        message: Message,
        cost: u64,
    ) -> Result<(), PeerMisbehaved> {
        let costs_credit = message.costs_credit();
        if costs_credit {
            self.receive.hold(cost)?;
        }
        let kept = self.dispatch(context, message, cost)?;
        if costs_credit && !kept {
            self.receive.release(cost);
        }
        Ok(())
    }

    /// Returns whether the driver holds the frame's credit from now on.
    fn dispatch(
        &mut self,
        context: &mut Context,
        message: Message,
        cost: u64,
    ) -> Result<bool, PeerMisbehaved> {
        match message {
            Message::Offer { tags } => self.on_offer(context, &tags)?,
            Message::Accept { tags } => self.on_accept(context, &tags)?,
            Message::Leave { space } => self.on_leave(context, space)?,
            Message::Digest { space, digest } => self.on_digest(context, space, &digest)?,
            Message::Tips { space, last, tips } => self.on_tips(context, space, last, &tips)?,
            Message::Want {
                space,
                writer,
                from,
                count,
            } => self.on_want(context, space, writer, from, from + count)?,
            Message::Unwant { space, writer } => self.on_unwant(space, writer)?,
            Message::Gone { space, writer } => self.on_gone(context, space, writer)?,
            Message::Start { space, writer } => self.on_start(context, space, writer)?,
            Message::Batch {
                space,
                writer,
                from,
                count,
                batch,
            } => {
                let range = from..from + count;
                return self.on_batch(context, space, writer, range, None, batch, cost);
            }
            Message::Thin {
                space,
                writer,
                from,
                count,
                revision,
                batch,
            } => {
                let (range, thin) = (from..from + count, Some(revision));
                return self.on_batch(context, space, writer, range, thin, batch, cost);
            }
            Message::Choose {
                space,
                revision,
                choice,
            } => self.on_choose(context, space, revision, choice)?,
            Message::Ask { space, token, ask } => self.on_ask(context, space, token, ask)?,
            Message::Slice {
                space,
                token,
                last,
                piece,
            } => self.on_slice(context, space, token, last, &piece)?,
            Message::Unsliced { space, token } => self.on_unsliced(context, space, token)?,
            Message::Stir { space } => self.on_stir(context, space)?,
            Message::Push {
                space,
                writer,
                from,
                count,
                check,
                batch,
            } => {
                let range = from..from + count;
                return self.on_push(context, space, writer, range, check, batch, cost);
            }
            Message::Probe { space, writer, at } => self.on_probe(context, space, writer, at)?,
            Message::ProbeReply {
                space,
                writer,
                at,
                reply,
            } => self.on_probe_reply(context, space, writer, at, reply)?,
            Message::Fork {
                space,
                writer,
                proof,
            } => self.on_fork(context, space, writer, proof)?,
            Message::Presence { space, packet } => self.on_presence(context, space, packet)?,
            Message::PresenceLost { space, run, app } => {
                self.on_presence_lost(context, space, run, app)?;
            }
            Message::Credit { bytes } => self.send.give_back(bytes)?,
            Message::Ping { token } => self.pong_due = Some(token),
            Message::Pong { token } => context.on_pong(token)?,
            Message::Hello { .. } | Message::Goodbye { .. } => {
                return Err(PeerMisbehaved::UnexpectedFrame {
                    frame: message.name(),
                    state: "streaming",
                });
            }
        }
        Ok(false)
    }

    /// Sends what became possible. Replies and batches come before news, because the end of a range
    /// makes news.
    pub(crate) fn pump(&mut self, context: &mut Context) -> Result<(), CloseReason> {
        self.pump_offers(context)?;
        self.pump_replies(context);
        self.pump_forks(context);
        self.pump_parts(context);
        self.pump_listing(context);
        self.pump_ready(context);
        self.pump_dirty(context);
        self.pump_presence(context);
        self.pump_reads(context);
        self.pump_wants(context);
        if let Some(bytes) = self.receive.due() {
            context.send(Message::Credit { bytes });
        }
        Ok(())
    }

    fn pump_replies(&mut self, context: &mut Context) {
        if let Some(token) = self.pong_due
            && self.can_send(0, 0)
        {
            self.pong_due = None;
            self.send_credited(context, Message::Pong { token });
        }
        while self.can_send(0, 0)
            && let Some((no, writer)) = self.gone.pop_first()
        {
            self.end_serve(context, no, &writer);
            if let Some(writer) = self.name(no, writer) {
                self.send_credited(context, Message::Gone { space: no, writer });
            }
        }
    }

    /// Whether a frame with such a payload can be sent now and leave `reserve` bytes of credit.
    fn can_send(&self, payload: usize, reserve: u64) -> bool {
        HEAD_BYTES_MAX + payload as u64 + reserve <= self.send.left()
    }

    /// Sends a frame that costs credit, after [`can_send`](Self::can_send) said yes.
    fn send_credited(&mut self, context: &mut Context, message: Message) {
        let sent = message
            .encode()
            .filter(|frame| self.send.take(frame.cost(), 0));
        debug_assert!(sent.is_some(), "a frame was made that could not be sent");
        if let Some(frame) = sent {
            context.send_frame(frame);
        }
    }

    fn number(&self, space: &SpaceId) -> Option<u64> {
        self.numbers.get(space).copied()
    }
}

/// What is asked of the driver when it hands over bytes that no frame can carry.
fn fits(payload: &Bytes, max: usize) -> bool {
    payload.len() <= max
}
