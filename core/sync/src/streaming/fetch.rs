//! What comes in: ranges asked for, and small tails that peers push.

use super::Streaming;
use crate::error::PeerMisbehaved;
use crate::io::Output;
use crate::limits::{EAGER_BYTES_MAX, WANTS_IN_FLIGHT_MAX};
use crate::message::{Check, Message, WriterRef};
use crate::session::Context;
use bytes::Bytes;
use std::ops::Range;
use stead_base::{SpaceId, WriterId};

/// A range asked of the peer, or about to be.
#[derive(Debug)]
pub(super) struct Fetch {
    next: u64,
    upto: u64,
    stage: Stage,
    /// What the driver wants once this one has ended.
    then: Option<Range<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    Asked,
    /// Taken back; what is on its way is dropped until the peer says that it stopped.
    TakenBack,
}

impl Streaming {
    /// Tells the driver that there is something to fetch, or fetches it.
    pub(super) fn offer_fetch(&mut self, context: &mut Context, no: u64, writer: WriterId) {
        let Some(share) = self.shares.get_mut(&no) else {
            return;
        };
        let space = share.space;
        let frozen = context.locals.tip(&space, &writer).frozen;
        let waits = !share.may_fetch();
        let log = share.log(writer);
        if log.fetch.is_some() || log.disputed || frozen || waits || log.theirs <= log.incoming {
            return;
        }
        let (have, remote_len) = (log.incoming, log.theirs);
        if self.auto_fetch {
            self.fetch(&space, writer, have, remote_len);
        } else {
            context.output(Output::Available {
                space,
                writer,
                have,
                remote_len,
            });
        }
    }

    pub(super) fn fetch(&mut self, space: &SpaceId, writer: WriterId, from: u64, upto: u64) {
        let Some(no) = self.number(space) else {
            return;
        };
        let Some(share) = self.shares.get_mut(&no) else {
            return;
        };
        if from >= upto || upto > stead_base::limits::LOG_LEN_MAX {
            return;
        }
        let log = share.log(writer);
        match &mut log.fetch {
            Some(fetch) => fetch.then = Some(from..upto),
            None => {
                log.incoming = from;
                log.fetch = Some(Fetch {
                    next: from,
                    upto,
                    stage: Stage::Queued,
                    then: None,
                });
                self.fetches.insert(no, writer);
            }
        }
    }

    pub(super) fn pump_wants(&mut self, context: &mut Context) {
        while self.fetching.len() < WANTS_IN_FLIGHT_MAX
            && let Some((no, writer)) = self.fetches.pop()
        {
            let Some(log) = self.log(no, &writer) else {
                continue;
            };
            let Some(fetch) = &mut log.fetch else {
                continue;
            };
            fetch.stage = Stage::Asked;
            let (from, count) = (fetch.next, fetch.upto - fetch.next);
            self.fetching.insert((no, writer));
            if let Some(writer) = self.name(no, writer) {
                context.send(Message::Want {
                    space: no,
                    writer,
                    from,
                    count,
                });
            }
        }
    }

    pub(super) fn cancel_fetch(&mut self, context: &mut Context, no: u64, writer: WriterId) {
        let Some(log) = self.log(no, &writer) else {
            return;
        };
        let Some(fetch) = &mut log.fetch else {
            return;
        };
        fetch.then = None;
        match fetch.stage {
            Stage::Queued => {
                log.fetch = None;
                self.fetches.remove(no, &writer);
            }
            Stage::Asked => {
                fetch.stage = Stage::TakenBack;
                if let Some(writer) = self.name(no, writer) {
                    context.send(Message::Unwant { space: no, writer });
                }
            }
            Stage::TakenBack => {}
        }
    }

    /// A batch was dropped: what the driver has ends where it is stored.
    pub(super) fn dropped(&mut self, context: &mut Context, space: &SpaceId, writer: WriterId) {
        let Some(no) = self.number(space) else {
            return;
        };
        self.cancel_fetch(context, no, writer);
        if let Some(log) = self.log(no, &writer)
            && log.fetch.is_none()
        {
            log.incoming = context.locals.reach(space, &writer);
            self.offer_fetch(context, no, writer);
        }
    }

    /// Entries that were asked for: of a batch, or of a thin one cut by an edition of the choice.
    #[allow(clippy::too_many_arguments, reason = "the fields of one frame")]
    pub(super) fn on_batch(
        &mut self,
        context: &mut Context,
        no: u64,
        writer: WriterRef,
        range: Range<u64>,
        thin: Option<u64>,
        batch: Bytes,
        credit: u64,
    ) -> Result<bool, PeerMisbehaved> {
        let Some((share, writer)) = self.named(no, writer)? else {
            return Ok(false);
        };
        let space = share.space;
        let not_asked_for = PeerMisbehaved::BatchNotAskedFor {
            space,
            writer,
            from: range.start,
        };
        let is_part = share.is_part;
        let log = share.log(writer);
        let Some(fetch) = log.fetch.as_mut().filter(|_| is_part == thin.is_some()) else {
            return Err(not_asked_for);
        };
        let follows =
            fetch.stage != Stage::Queued && range.start == fetch.next && range.end <= fetch.upto;
        if !follows {
            return Err(not_asked_for);
        }
        fetch.next = range.end;
        let ended = fetch.next == fetch.upto;
        let kept = fetch.stage == Stage::Asked;
        if kept {
            log.incoming = log.incoming.max(range.end);
            let (from, upto) = (range.start, range.end);
            context.output(match thin {
                None => Output::Batch {
                    space,
                    writer,
                    from,
                    upto,
                    batch,
                    credit,
                },
                Some(revision) => Output::Thin {
                    space,
                    writer,
                    from,
                    upto,
                    revision,
                    batch,
                    credit,
                },
            });
        }
        if ended {
            self.end_fetch(context, no, writer);
            self.offer_fetch(context, no, writer);
        }
        Ok(kept)
    }

    /// Returns the stage in which the fetch ended.
    fn end_fetch(&mut self, context: &mut Context, no: u64, writer: WriterId) -> Option<Stage> {
        self.fetching.remove(&(no, writer));
        let share = self.shares.get_mut(&no)?;
        let space = share.space;
        let log = share.log(writer);
        let ended = log.fetch.take()?;
        // What a taken-back fetch did not bring is not here: go by what is stored.
        if ended.stage == Stage::TakenBack {
            log.incoming = context.locals.reach(&space, &writer);
        }
        if let Some(range) = ended.then {
            self.fetch(&space, writer, range.start, range.end);
        }
        Some(ended.stage)
    }

    pub(super) fn on_gone(
        &mut self,
        context: &mut Context,
        no: u64,
        writer: WriterRef,
    ) -> Result<(), PeerMisbehaved> {
        let Some((share, writer)) = self.named(no, writer)? else {
            return Ok(());
        };
        let space = share.space;
        let here = context.locals.reach(&space, &writer);
        let log = share.log(writer);
        match &log.fetch {
            Some(fetch) if fetch.stage == Stage::Asked => {
                let from = fetch.next;
                if here > from {
                    // It came some other way meanwhile: what follows it may be had.
                    log.incoming = log.incoming.max(here);
                } else {
                    // Not on offer any more until the peer says so again.
                    log.theirs_gone = log.theirs;
                    log.theirs = log.theirs.min(from);
                    log.their_check = None;
                }
                context.output(Output::Unavailable {
                    space,
                    writer,
                    from,
                });
            }
            Some(fetch) if fetch.stage == Stage::TakenBack => {}
            _ => {
                return Err(PeerMisbehaved::UnexpectedFrame {
                    frame: "Gone",
                    state: "nothing was asked for",
                });
            }
        }
        self.end_fetch(context, no, writer);
        self.offer_fetch(context, no, writer);
        Ok(())
    }

    /// A tail that was not asked for. It is kept when it continues exactly what is here; otherwise
    /// it only tells how long the peer's log is.
    #[allow(clippy::too_many_arguments, reason = "the fields of one frame")]
    pub(super) fn on_push(
        &mut self,
        context: &mut Context,
        no: u64,
        writer: WriterRef,
        range: Range<u64>,
        check: Check,
        batch: Bytes,
        credit: u64,
    ) -> Result<bool, PeerMisbehaved> {
        let Some((share, writer)) = self.named(no, writer)? else {
            return Ok(false);
        };
        let space = share.space;
        if batch.len() > EAGER_BYTES_MAX {
            return Err(PeerMisbehaved::PushTooLarge {
                space,
                writer,
                bytes: batch.len(),
            });
        }
        let frozen = context.locals.tip(&space, &writer).frozen;
        let is_part = share.is_part;
        let log = share.log(writer);
        if range.end >= log.theirs {
            log.theirs = range.end;
            log.their_check = (check != Check::default()).then_some(check);
        }
        // Where a part is kept, logs come thin, and only when asked for.
        let kept = !is_part
            && log.incoming == range.start
            && log.fetch.is_none()
            && !log.disputed
            && !frozen;
        if kept {
            log.incoming = range.end;
            context.output(Output::Batch {
                space,
                writer,
                from: range.start,
                upto: range.end,
                batch,
                credit,
            });
        }
        self.compare(context, no, writer);
        self.want_proof(context, no, writer);
        self.offer_fetch(context, no, writer);
        Ok(kept)
    }
}
