//! Frontiers: what each side has, first by digest, then by listing, then change by change.

use super::serve::{Purpose, Reading};
use super::shares::Phase;
use super::{LogKey, Streaming, fits};
use crate::error::PeerMisbehaved;
use crate::frontier::Tip;
use crate::io::{Output, ReadRequest};
use crate::limits::{
    CONFIRM_DELAY_MS, EAGER_BYTES_MAX, EAGER_READS_IN_FLIGHT_MAX, TIPS_PER_FRAME_MAX,
};
use crate::message::{Check, Message, WireTip, WriterRef};
use crate::session::Context;
use bytes::Bytes;
use std::ops::Bound::{Excluded, Unbounded};
use stead_base::{SpaceId, WriterId};

/// Most bytes of one tip in a `Tips` frame.
const WIRE_TIP_BYTES_MAX: usize = 48;

/// How the peer learns of a log's length.
enum News {
    None,
    Announce(Tip),
    Push { from: u64, upto: u64 },
}

impl Streaming {
    pub(super) fn on_digest(
        &mut self,
        context: &mut Context,
        no: u64,
        theirs: &[u8; 32],
    ) -> Result<(), PeerMisbehaved> {
        let Some(share) = self.shared(no)? else {
            return Ok(());
        };
        let space = share.space;
        let Phase::AwaitDigest { digest, tips } = &mut share.phase else {
            return Err(PeerMisbehaved::FrontierNotDue { space });
        };
        if digest != theirs {
            share.phase = Phase::Listing {
                listed: None,
                sent_all: false,
                received_all: false,
            };
            self.listing.insert(no);
            self.tell_start(context, no, &space);
            return Ok(());
        }
        let tips = std::mem::take(tips);
        share.phase = Phase::Live;
        for (writer, tip) in tips {
            let check = share.comparer.check(&writer, &tip);
            let log = share.log(writer);
            (log.theirs, log.their_check, log.theirs_frozen) = (tip.len, Some(check), tip.frozen);
            (log.told, log.told_frozen) = (tip.len, tip.frozen);
        }
        // What changed since the digest was made.
        let writers: Vec<WriterId> = share.logs.keys().copied().collect();
        for writer in writers {
            self.compare_and_spread(context, no, writer);
        }
        self.frontiers_known(context, no);
        Ok(())
    }

    /// Names the log of a checkpoint, before the logs are listed.
    fn tell_start(&mut self, context: &mut Context, no: u64, space: &SpaceId) {
        if let Some(log) = context.locals.beginning(space)
            && context.peer_starts
            && let Some(writer) = self.name(no, log)
        {
            context.send(Message::Start { space: no, writer });
        }
    }

    pub(super) fn on_start(
        &mut self,
        context: &mut Context,
        no: u64,
        writer: WriterRef,
    ) -> Result<(), PeerMisbehaved> {
        let Some((share, log)) = self.named(no, writer)? else {
            return Ok(());
        };
        let space = share.space;
        if std::mem::replace(&mut share.start_heard, true) {
            return Err(PeerMisbehaved::FrontierNotDue { space });
        }
        context.output(Output::Start { space, log });
        Ok(())
    }

    pub(super) fn on_tips(
        &mut self,
        context: &mut Context,
        no: u64,
        last: bool,
        tips: &[WireTip],
    ) -> Result<(), PeerMisbehaved> {
        let Some(share) = self.shared(no)? else {
            return Ok(());
        };
        let space = share.space;
        match &mut share.phase {
            Phase::AwaitDigest { .. } => return Err(PeerMisbehaved::FrontierNotDue { space }),
            Phase::Listing { received_all, .. } if last && !*received_all => *received_all = true,
            Phase::Listing { .. } | Phase::Live if last => {
                return Err(PeerMisbehaved::FrontierNotDue { space });
            }
            Phase::Listing { .. } | Phase::Live => {}
        }
        for tip in tips {
            if let Some((_, writer)) = self.named(no, tip.writer)? {
                self.learn(context, no, writer, tip);
            }
        }
        if last {
            self.end_listing(context, no);
        }
        Ok(())
    }

    /// Takes the peer's word for the length of a log.
    fn learn(&mut self, context: &mut Context, no: u64, writer: WriterId, tip: &WireTip) {
        let Some(log) = self.log(no, &writer) else {
            return;
        };
        let grew = tip.len > log.theirs;
        log.theirs = tip.len;
        log.their_check = Some(tip.check);
        log.theirs_frozen |= tip.frozen;
        if let Some(share) = self.shares.get(&no) {
            let space = share.space;
            let local = context.locals.tip(&space, &writer);
            if grew && tip.len <= local.len {
                let len = tip.len;
                context.output(Output::Confirmed { space, writer, len });
            }
        }
        self.compare(context, no, writer);
        self.want_proof(context, no, writer);
        self.offer_fetch(context, no, writer);
    }

    /// Compares logs of one length. Equal lengths with unequal checks are a fork.
    pub(super) fn compare(&mut self, context: &mut Context, no: u64, writer: WriterId) {
        let Some(share) = self.shares.get_mut(&no) else {
            return;
        };
        let space = share.space;
        let local = context.locals.tip(&space, &writer);
        let Some(log) = share.logs.get_mut(&writer) else {
            return;
        };
        let Some(their_check) = log.their_check else {
            return;
        };
        if local.len == 0 || local.len != log.theirs || log.disputed {
            return;
        }
        if share.comparer.check(&writer, &local) != their_check {
            log.disputed = true;
            let len = local.len;
            context.output(Output::Diverged { space, writer, len });
            self.cancel_fetch(context, no, writer);
        }
    }

    /// Entries were stored here, or a log was emptied to be fetched whole.
    pub(super) fn advanced(
        &mut self,
        context: &mut Context,
        space: &SpaceId,
        writer: WriterId,
        tip: Tip,
        eager: bool,
    ) {
        let before = context.locals.tip(space, &writer).len;
        if !context.locals.set(space, writer, tip) {
            return;
        }
        if tip.len < before {
            return self.dropped(context, space, writer);
        }
        let Some(no) = self.number(space) else {
            return;
        };
        let mut may_go_on = false;
        if let Some(share) = self.shares.get_mut(&no) {
            let log = share.log(writer);
            log.incoming = log.incoming.max(tip.len);
            log.eager |= eager;
            // What the peer could not deliver came some other way: what follows it may have.
            may_go_on = log.theirs_gone > log.theirs && tip.len > log.theirs;
            if may_go_on {
                log.theirs = std::mem::take(&mut log.theirs_gone);
            }
        }
        self.compare_and_spread(context, no, writer);
        if may_go_on {
            self.offer_fetch(context, no, writer);
        }
    }

    /// Brings a log's length here to the peer: at once when it lacks entries, a little later when it
    /// only waits to hear that its own were stored.
    fn compare_and_spread(&mut self, context: &mut Context, no: u64, writer: WriterId) {
        self.compare(context, no, writer);
        let Some(share) = self.shares.get(&no) else {
            return;
        };
        let local = context.locals.tip(&share.space, &writer);
        let Some(log) = share.logs.get(&writer) else {
            return;
        };
        if local.len > log.remote() || local.frozen && !log.told_frozen {
            self.dirty.insert(no, writer);
        } else if local.len > log.told {
            self.unconfirmed.insert((no, writer));
            context
                .confirm_at
                .get_or_insert(context.now_ms + CONFIRM_DELAY_MS);
        }
    }

    pub(super) fn pump_listing(&mut self, context: &mut Context) {
        const FRAME_BYTES: usize = TIPS_PER_FRAME_MAX * WIRE_TIP_BYTES_MAX;
        while self.can_send(FRAME_BYTES, 0)
            && let Some(no) = self.listing.first().copied()
        {
            self.list(context, no);
        }
    }

    /// Lists the next logs of a space.
    fn list(&mut self, context: &mut Context, no: u64) {
        let Some(share) = self.shares.get_mut(&no) else {
            self.listing.remove(&no);
            return;
        };
        let Phase::Listing {
            listed, sent_all, ..
        } = &mut share.phase
        else {
            self.listing.remove(&no);
            return;
        };
        let after = listed.map_or(Unbounded, Excluded);
        let tips = context.locals.get(&share.space).map(|space| &space.tips);
        let mut found: Vec<(WriterId, Tip)> = tips
            .into_iter()
            .flat_map(|tips| tips.range((after, Unbounded)))
            .filter(|(_, tip)| tip.len > 0 || tip.frozen)
            .map(|(writer, tip)| (*writer, *tip))
            .take(TIPS_PER_FRAME_MAX + 1)
            .collect();
        let last = found.len() <= TIPS_PER_FRAME_MAX;
        found.truncate(TIPS_PER_FRAME_MAX);
        *listed = found.last().map(|(writer, _)| *writer).or(*listed);
        *sent_all = last;
        if last {
            self.listing.remove(&no);
        }
        self.send_tips(context, no, last, found);
        if last {
            self.end_listing(context, no);
        }
    }

    fn end_listing(&mut self, context: &mut Context, no: u64) {
        if let Some(share) = self.shares.get_mut(&no)
            && let Phase::Listing {
                sent_all: true,
                received_all: true,
                ..
            } = share.phase
        {
            share.phase = Phase::Live;
            self.frontiers_known(context, no);
        }
    }

    fn frontiers_known(&mut self, context: &mut Context, no: u64) {
        let Some(share) = self.shares.get(&no) else {
            return;
        };
        let space = share.space;
        let writers: Vec<WriterId> = share.logs.keys().copied().collect();
        for writer in writers {
            self.want_proof(context, no, writer);
        }
        context.output(Output::Listed { space });
    }

    pub(super) fn pump_dirty(&mut self, context: &mut Context) {
        if context.confirm_at.is_some_and(|at| at <= context.now_ms) {
            context.confirm_at = None;
            for (no, writer) in std::mem::take(&mut self.unconfirmed) {
                self.dirty.insert(no, writer);
            }
        }
        while self.can_send(WIRE_TIP_BYTES_MAX, 0)
            && let Some((no, first)) = self.dirty.pop()
        {
            let mut news = Vec::new();
            let mut next = Some(first);
            while let Some(writer) = next {
                match self.news(context, no, writer) {
                    News::None => {}
                    News::Push { from, upto } => self.read_tail(context, no, writer, from, upto),
                    News::Announce(tip) => news.push((writer, tip)),
                }
                let room = (news.len() + 1) * WIRE_TIP_BYTES_MAX;
                next = (news.len() < TIPS_PER_FRAME_MAX && self.can_send(room, 0))
                    .then(|| self.dirty.pop_from(no))
                    .flatten();
            }
            if !news.is_empty() {
                self.send_tips(context, no, false, news);
            }
        }
    }

    fn news(&mut self, context: &Context, no: u64, writer: WriterId) -> News {
        let Some(share) = self.shares.get_mut(&no) else {
            return News::None;
        };
        let space = share.space;
        if matches!(share.phase, Phase::AwaitDigest { .. }) {
            return News::None;
        }
        let is_live = matches!(share.phase, Phase::Live);
        let is_whole_there = share.peer_choice.is_none();
        let tip = context.locals.tip(&space, &writer);
        let log = share.log(writer);
        if tip.frozen && !log.told_frozen {
            return News::Announce(tip);
        }
        // A range under way is not announced on top: the peer hears of the rest when it ends.
        if tip.len <= log.told || log.serve.is_some() {
            return News::None;
        }
        let from = log.remote();
        let may_push = is_live
            && is_whole_there
            && log.eager
            && !log.disputed
            && !tip.frozen
            && tip.len > from
            && log.told <= from;
        if !may_push {
            log.eager = false;
            return News::Announce(tip);
        }
        match self.reads.get(&(space, writer)) {
            // The tail being read is followed by another look at this log.
            Some(reading) if reading.purpose == Purpose::Push => News::None,
            None if self.eager_reads() < EAGER_READS_IN_FLIGHT_MAX => News::Push {
                from,
                upto: tip.len,
            },
            _ => News::Announce(tip),
        }
    }

    fn eager_reads(&self) -> usize {
        let reads = self.reads.values();
        reads
            .filter(|reading| reading.purpose == Purpose::Push)
            .count()
    }

    fn read_tail(
        &mut self,
        context: &mut Context,
        no: u64,
        writer: WriterId,
        from: u64,
        upto: u64,
    ) {
        let Some(space) = self.shares.get(&no).map(|share| share.space) else {
            return;
        };
        let purpose = Purpose::Push;
        self.reads.insert(
            (space, writer),
            Reading {
                no,
                from,
                purpose,
                thin: None,
            },
        );
        context.output(Output::Read(ReadRequest {
            space,
            writer,
            from,
            upto,
            bytes_max: EAGER_BYTES_MAX,
        }));
    }

    /// A tail was read: it goes out when it is small and credit allows, else its length does.
    pub(super) fn tail_read(
        &mut self,
        context: &mut Context,
        key: LogKey,
        from: u64,
        read: Option<(u64, Bytes)>,
    ) {
        let (no, writer) = key;
        let Some(share) = self.shares.get_mut(&no) else {
            return;
        };
        let local = context.locals.tip(&share.space, &writer);
        let is_whole_there = share.peer_choice.is_none();
        let log = share.log(writer);
        let due = is_whole_there && log.serve.is_none() && !log.disputed && log.remote() == from;
        let push = read.filter(|(upto, batch)| {
            due && *upto > from && *upto <= local.len && fits(batch, EAGER_BYTES_MAX)
        });
        if let Some((upto, batch)) = push
            && self.can_send(batch.len(), 0)
        {
            self.push(context, key, from, upto, batch);
            if upto < local.len {
                self.dirty.insert(no, writer);
            }
        } else {
            log_is_no_longer_eager(self, key);
            self.dirty.insert(no, writer);
        }
        self.resume_serve(key);
    }

    fn push(&mut self, context: &mut Context, key: LogKey, from: u64, upto: u64, batch: Bytes) {
        let (no, writer) = key;
        let Some(name) = self.name(no, writer) else {
            return;
        };
        let Some(share) = self.shares.get_mut(&no) else {
            return;
        };
        let local = context.locals.tip(&share.space, &writer);
        // The root is known for the present length only; a part of it goes without a check.
        let check = if upto == local.len {
            share.comparer.check(&writer, &local)
        } else {
            Check::default()
        };
        let log = share.log(writer);
        log.sent = log.sent.max(upto);
        log.told = log.told.max(upto);
        self.send_credited(
            context,
            Message::Push {
                space: no,
                writer: name,
                from,
                count: upto - from,
                check,
                batch,
            },
        );
    }

    fn send_tips(
        &mut self,
        context: &mut Context,
        no: u64,
        last: bool,
        tips: Vec<(WriterId, Tip)>,
    ) {
        let mut wire = Vec::with_capacity(tips.len());
        for (writer, tip) in tips {
            let Some(name) = self.name(no, writer) else {
                continue;
            };
            wire.push(self.wire_tip(no, writer, name, tip));
        }
        let tips = wire.into_iter().flatten().collect();
        self.send_credited(
            context,
            Message::Tips {
                space: no,
                last,
                tips,
            },
        );
    }

    fn wire_tip(
        &mut self,
        no: u64,
        writer: WriterId,
        name: WriterRef,
        tip: Tip,
    ) -> Option<WireTip> {
        let share = self.shares.get_mut(&no)?;
        let check = share.comparer.check(&writer, &tip);
        let log = share.log(writer);
        log.told = log.told.max(tip.len);
        log.told_frozen = tip.frozen;
        self.unconfirmed.remove(&(no, writer));
        Some(WireTip {
            writer: name,
            len: tip.len,
            frozen: tip.frozen,
            check,
        })
    }
}

fn log_is_no_longer_eager(streaming: &mut Streaming, (no, writer): LogKey) {
    if let Some(log) = streaming.log(no, &writer) {
        log.eager = false;
    }
}
