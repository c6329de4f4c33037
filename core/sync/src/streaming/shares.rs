//! Shared spaces: how they come, get their numbers, name their writers, and go.

use super::Streaming;
use super::fetch::Fetch;
use super::serve::Serve;
use crate::error::PeerMisbehaved;
use crate::frontier::{Comparer, Locals, Tip};
use crate::io::{CloseReason, Output};
use crate::membership::Numbered;
use crate::message::{Check, Message, Tag, WriterRef};
use crate::session::{Context, Missing};
use std::collections::BTreeMap;
use stead_base::limits::WRITERS_MAX;
use stead_base::{SpaceId, WriterId};

/// One shared space.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) space: SpaceId,
    pub(super) comparer: Comparer,
    pub(super) phase: Phase,
    pub(super) logs: BTreeMap<WriterId, Log>,
    /// Writers in the order in which the peer named them.
    named_in: Vec<WriterId>,
    named_out: u64,
    /// The peer named a checkpoint.
    pub(super) start_heard: bool,
    /// Only a part of the space is kept here.
    pub(super) is_part: bool,
    /// The peer was told what this device chose.
    pub(super) choice_told: bool,
    /// The edition of the peer's choice, if the peer keeps a part.
    pub(super) peer_choice: Option<u64>,
}

/// How much of each other's frontier the two sides know.
#[derive(Debug)]
pub(super) enum Phase {
    /// The peer's digest is due.
    AwaitDigest {
        digest: [u8; 32],
        /// The frontier at the time of `digest`.
        tips: BTreeMap<WriterId, Tip>,
    },
    /// The digests differ; both sides list their logs.
    Listing {
        /// Last writer listed to the peer.
        listed: Option<WriterId>,
        sent_all: bool,
        received_all: bool,
    },
    /// Both frontiers are known; from now on only changes travel.
    Live,
}

/// What is known of one log on both sides.
#[derive(Debug, Default)]
pub(super) struct Log {
    number_out: Option<u64>,
    named_in: bool,
    /// Length the peer said it has, and the check that came with it.
    pub(super) theirs: u64,
    pub(super) their_check: Option<Check>,
    pub(super) theirs_frozen: bool,
    /// Length the peer said it has before it could not deliver what was asked for.
    pub(super) theirs_gone: u64,
    /// One past the last entry sent to the peer in this session.
    pub(super) sent: u64,
    /// Length that the peer was told of.
    pub(super) told: u64,
    pub(super) told_frozen: bool,
    /// One past the last entry that is stored here or was handed to the driver.
    pub(super) incoming: u64,
    pub(super) eager: bool,
    pub(super) fetch: Option<Fetch>,
    pub(super) serve: Option<Serve>,
    /// The two sides hold different entries; only probes and proofs move.
    pub(super) disputed: bool,
    pub(super) proof_sent: bool,
    pub(super) proof_received: bool,
    pub(super) proof_wanted: bool,
}

impl Log {
    /// Length the peer has, once what is on its way has arrived.
    pub(super) fn remote(&self) -> u64 {
        if self.theirs_frozen {
            self.theirs
        } else {
            self.theirs.max(self.sent)
        }
    }
}

impl Share {
    /// Whether logs may be fetched: of a part, not before the peer knows which.
    pub(super) const fn may_fetch(&self) -> bool {
        !self.is_part || self.choice_told
    }

    /// The log of a writer, whether or not anything is known of it.
    pub(super) fn log(&mut self, writer: WriterId) -> &mut Log {
        self.logs.entry(writer).or_default()
    }

    fn resolve(&mut self, writer: WriterRef) -> Result<WriterId, PeerMisbehaved> {
        let space = self.space;
        match writer {
            WriterRef::Known(number) => usize::try_from(number)
                .ok()
                .and_then(|number| self.named_in.get(number))
                .copied()
                .ok_or(PeerMisbehaved::UnknownWriterNumber { space, number }),
            WriterRef::New(writer) => {
                if self.logs.len() >= WRITERS_MAX && !self.logs.contains_key(&writer) {
                    return Err(PeerMisbehaved::TooManyWriters { space });
                }
                let log = self.log(writer);
                if log.named_in {
                    return Err(PeerMisbehaved::WriterNamedTwice { space, writer });
                }
                log.named_in = true;
                self.named_in.push(writer);
                Ok(writer)
            }
        }
    }
}

impl Streaming {
    /// Offers the spaces that wait for it.
    pub(crate) fn pump_offers(&mut self, context: &mut Context) -> Result<(), CloseReason> {
        while self.membership.has_offer() {
            if self.membership.is_used_up() {
                return Err(CloseReason::TagsUsedUp);
            }
            let tags = self.membership.offer(&context.locals);
            context.send(Message::Offer { tags });
        }
        Ok(())
    }

    pub(super) fn on_offer(
        &mut self,
        context: &mut Context,
        tags: &[Tag],
    ) -> Result<(), PeerMisbehaved> {
        let numbers = &self.numbers;
        let (tags, shared) = self
            .membership
            .on_offer(tags, &context.locals, |space| numbers.contains_key(space))?;
        context.send(Message::Accept { tags });
        self.share(context, shared);
        Ok(())
    }

    pub(super) fn on_accept(
        &mut self,
        context: &mut Context,
        tags: &[Tag],
    ) -> Result<(), PeerMisbehaved> {
        let shared = self.membership.on_accept(tags)?;
        self.share(context, shared);
        Ok(())
    }

    fn share(&mut self, context: &mut Context, shared: Vec<Numbered>) {
        for (no, space) in shared {
            let membership = context.locals.get(&space);
            let Some(membership) = membership.filter(|_| self.number(&space).is_none()) else {
                // Left between the offer and its answer, or shared by another number.
                self.retired.insert(no);
                context.send(Message::Leave { space: no });
                continue;
            };
            let comparer = Comparer::new(membership, self.membership.transcript());
            let tips = membership.tips.clone();
            let digest = comparer.digest(&tips);
            let logs = tips.iter().map(|(writer, tip)| {
                let incoming = tip.len;
                (
                    *writer,
                    Log {
                        incoming,
                        ..Log::default()
                    },
                )
            });
            let thin = context.locals.thin(&space).cloned();
            let is_part = thin.is_some();
            let mut logs: BTreeMap<WriterId, Log> = logs.collect();
            for (writer, len) in thin.into_iter().flatten() {
                let log = logs.entry(writer).or_default();
                log.incoming = log.incoming.max(len);
            }
            let share = Share {
                space,
                comparer,
                logs,
                phase: Phase::AwaitDigest { digest, tips },
                named_in: Vec::new(),
                named_out: 0,
                start_heard: false,
                is_part,
                choice_told: false,
                peer_choice: None,
            };
            self.shares.insert(no, share);
            self.numbers.insert(space, no);
            context.output(Output::Shared { space });
            context.send(Message::Digest { space: no, digest });
            if is_part {
                let gives = context.peer_parts;
                context.output(Output::GivesParts { space, gives });
            }
        }
    }

    pub(super) fn on_leave(
        &mut self,
        context: &mut Context,
        no: u64,
    ) -> Result<(), PeerMisbehaved> {
        if let Some(space) = self.shared(no)?.map(|share| share.space) {
            self.drop_share(no);
            context.output(Output::Left { space });
        }
        Ok(())
    }

    pub(super) fn remove_space(&mut self, context: &mut Context, space: &SpaceId) {
        context.locals.remove(space);
        self.membership.remove(space);
        if let Some(no) = self.number(space) {
            self.drop_share(no);
            context.send(Message::Leave { space: no });
        }
    }

    fn drop_share(&mut self, no: u64) {
        if let Some(share) = self.shares.remove(&no) {
            self.numbers.remove(&share.space);
        }
        self.retired.insert(no);
        self.listing.remove(&no);
        for rotation in [&mut self.dirty, &mut self.fetches, &mut self.serves] {
            rotation.remove_space(no);
        }
        for logs in [
            &mut self.unconfirmed,
            &mut self.fetching,
            &mut self.serving,
            &mut self.gone,
        ] {
            logs.retain(|(of, _)| *of != no);
        }
        self.ready.retain(|ready| ready.no != no);
        self.forks.drop_share(no);
        self.parts.drop_share(no);
        self.presence.drop_share(no);
    }

    /// The space with a number; nothing when it is no longer shared.
    pub(super) fn shared(&mut self, no: u64) -> Result<Option<&mut Share>, PeerMisbehaved> {
        if self.retired.contains(&no) {
            return Ok(None);
        }
        self.shares
            .get_mut(&no)
            .map(Some)
            .ok_or(PeerMisbehaved::UnknownSpaceNumber { number: no })
    }

    /// The space and writer that a frame names; nothing when the space is no longer shared.
    pub(super) fn named(
        &mut self,
        no: u64,
        writer: WriterRef,
    ) -> Result<Option<(&mut Share, WriterId)>, PeerMisbehaved> {
        let Some(share) = self.shared(no)? else {
            return Ok(None);
        };
        let writer = share.resolve(writer)?;
        Ok(Some((share, writer)))
    }

    /// How the next frame names a writer. Every name handed out must be sent, in this order.
    pub(super) fn name(&mut self, no: u64, writer: WriterId) -> Option<WriterRef> {
        let share = self.shares.get_mut(&no)?;
        let next = share.named_out;
        let log = share.log(writer);
        if let Some(number) = log.number_out {
            return Some(WriterRef::Known(number));
        }
        log.number_out = Some(next);
        share.named_out += 1;
        Some(WriterRef::New(writer))
    }

    pub(super) fn log(&mut self, no: u64, writer: &WriterId) -> Option<&mut Log> {
        self.shares.get_mut(&no)?.logs.get_mut(writer)
    }

    pub(crate) fn missing(&self, locals: &Locals, space: &SpaceId) -> Option<Missing> {
        let share = self.shares.get(self.numbers.get(space)?)?;
        if !matches!(share.phase, Phase::Live) || !share.may_fetch() {
            return None;
        }
        let mut missing = Missing::default();
        for (writer, log) in &share.logs {
            let tip = locals.tip(space, writer);
            if !tip.frozen {
                let here = locals.reach(space, writer);
                missing.here += log.theirs.saturating_sub(here);
            }
            if !log.theirs_frozen && share.peer_choice.is_none() {
                missing.there += tip.len.saturating_sub(log.theirs);
            }
        }
        Some(missing)
    }
}
