//! What goes out: ranges the peer asked for, read ahead a little and sent as credit allows.

use super::{LogKey, Streaming};
use crate::error::PeerMisbehaved;
use crate::io::{Output, ReadRequest};
use crate::limits::{CONTROL_BYTES_RESERVED, READS_IN_FLIGHT_MAX, WANTS_IN_FLIGHT_MAX};
use crate::message::{Message, WriterRef};
use crate::session::Context;
use bytes::Bytes;
use stead_base::limits::{BATCH_BYTES_TARGET, FRAME_BYTES_MAX};
use stead_base::{SpaceId, WriterId};

/// A range the peer asked for. The next entry to be read, and the end.
#[derive(Debug)]
pub(super) struct Serve {
    next: u64,
    upto: u64,
    /// It ends early, as soon as the peer can be told.
    gone: bool,
}

/// A read that the driver owes an answer.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) no: u64,
    pub(super) from: u64,
    pub(super) purpose: Purpose,
    /// The edition of the peer's choice that it is read by, if the peer keeps a part.
    pub(super) thin: Option<u64>,
}

/// Why a log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The peer asked.
    Serve,
    /// A small tail to be pushed.
    Push,
}

/// A batch that waits for credit.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) no: u64,
    writer: WriterId,
    from: u64,
    upto: u64,
    thin: Option<u64>,
    batch: Bytes,
}

impl Streaming {
    pub(super) fn on_want(
        &mut self,
        context: &mut Context,
        no: u64,
        writer: WriterRef,
        from: u64,
        upto: u64,
    ) -> Result<(), PeerMisbehaved> {
        let Some((share, writer)) = self.named(no, writer)? else {
            return Ok(());
        };
        let space = share.space;
        let gone = context.locals.tip(&space, &writer).len < upto;
        let log = share.log(writer);
        if log.serve.is_some() {
            return Err(PeerMisbehaved::WantOverlaps { space, writer });
        }
        log.serve = Some(Serve {
            next: from,
            upto,
            gone,
        });
        self.serving.insert((no, writer));
        if self.serving.len() > WANTS_IN_FLIGHT_MAX {
            return Err(PeerMisbehaved::TooManyWants {
                max: WANTS_IN_FLIGHT_MAX,
            });
        }
        if gone {
            self.gone.insert((no, writer));
        } else {
            self.serves.insert(no, writer);
        }
        Ok(())
    }

    pub(super) fn on_unwant(&mut self, no: u64, writer: WriterRef) -> Result<(), PeerMisbehaved> {
        if let Some((_, writer)) = self.named(no, writer)? {
            self.stop_serve(no, writer);
        }
        Ok(())
    }

    fn stop_serve(&mut self, no: u64, writer: WriterId) {
        if let Some(serve) = self.log(no, &writer).and_then(|log| log.serve.as_mut()) {
            serve.gone = true;
            self.gone.insert((no, writer));
            self.serves.remove(no, &writer);
            self.ready
                .retain(|ready| (ready.no, ready.writer) != (no, writer));
        }
    }

    /// Forgets a range that was served or given up, and lets the peer hear what came after it.
    pub(super) fn end_serve(&mut self, context: &Context, no: u64, writer: &WriterId) {
        self.serving.remove(&(no, *writer));
        let Some(share) = self.shares.get_mut(&no) else {
            return;
        };
        let local = context.locals.tip(&share.space, writer);
        let log = share.log(*writer);
        log.serve = None;
        if local.len > log.told {
            self.dirty.insert(no, *writer);
        }
    }

    /// Starts reads while there is room for what they bring.
    pub(super) fn pump_reads(&mut self, context: &mut Context) {
        loop {
            let under_way = self.serve_reads() + self.ready.len();
            let room = CONTROL_BYTES_RESERVED + (under_way as u64 + 1) * BATCH_BYTES_TARGET as u64;
            let full = under_way >= READS_IN_FLIGHT_MAX || self.send.left() < room;
            if full || self.congested {
                return;
            }
            let Some((no, writer)) = self.serves.pop() else {
                return;
            };
            let Some(share) = self.shares.get_mut(&no) else {
                continue;
            };
            let space = share.space;
            let thin = share.peer_choice;
            if self.reads.contains_key(&(space, writer)) {
                // Continued by `resume_serve` once the open read is answered.
                continue;
            }
            let Some(serve) = &share.log(writer).serve else {
                continue;
            };
            let (from, upto) = (serve.next, serve.upto);
            let purpose = Purpose::Serve;
            self.reads.insert(
                (space, writer),
                Reading {
                    no,
                    from,
                    purpose,
                    thin,
                },
            );
            let request = ReadRequest {
                space,
                writer,
                from,
                upto,
                bytes_max: BATCH_BYTES_TARGET,
            };
            context.output(match thin {
                None => Output::Read(request),
                Some(_) => Output::ReadThin(request),
            });
        }
    }

    fn serve_reads(&self) -> usize {
        let reads = self.reads.values();
        reads
            .filter(|reading| reading.purpose == Purpose::Serve)
            .count()
    }

    pub(super) fn read_done(
        &mut self,
        context: &mut Context,
        space: SpaceId,
        writer: WriterId,
        from: u64,
        upto: u64,
        batch: Bytes,
    ) {
        self.answered(context, space, writer, Some((from, upto, batch)));
    }

    pub(super) fn read_failed(&mut self, context: &mut Context, space: SpaceId, writer: WriterId) {
        self.answered(context, space, writer, None);
    }

    fn answered(
        &mut self,
        context: &mut Context,
        space: SpaceId,
        writer: WriterId,
        read: Option<(u64, u64, Bytes)>,
    ) {
        let Some(reading) = self.reads.remove(&(space, writer)) else {
            return;
        };
        let Some(no) = self.number(&space) else {
            return;
        };
        let read = read
            .filter(|(from, ..)| *from == reading.from && reading.no == no)
            .map(|(_, upto, batch)| (upto, batch));
        match reading.purpose {
            Purpose::Push => self.tail_read(context, (no, writer), reading.from, read),
            Purpose::Serve if reading.no == no => self.range_read((no, writer), &reading, read),
            Purpose::Serve => self.resume_serve((no, writer)),
        }
    }

    fn range_read(&mut self, key: LogKey, reading: &Reading, read: Option<(u64, Bytes)>) {
        let (no, writer) = key;
        let (from, thin) = (reading.from, reading.thin);
        let Some(serve) = self.log(no, &writer).and_then(|log| log.serve.as_mut()) else {
            return;
        };
        if serve.gone {
            return;
        }
        if serve.next != from {
            return self.resume_serve(key);
        }
        let room = FRAME_BYTES_MAX - super::HEAD_BYTES_MAX as usize;
        let read = read.filter(|(upto, batch)| {
            *upto > from && *upto <= serve.upto && super::fits(batch, room)
        });
        let Some((upto, batch)) = read else {
            return self.stop_serve(no, writer);
        };
        serve.next = upto;
        if upto < serve.upto {
            self.serves.insert(no, writer);
        }
        self.ready.push_back(Ready {
            no,
            writer,
            from,
            upto,
            thin,
            batch,
        });
    }

    /// Goes on with a range that waited for an open read of its log.
    pub(super) fn resume_serve(&mut self, key: LogKey) {
        let (no, writer) = key;
        if let Some(log) = self.log(no, &writer)
            && log.serve.as_ref().is_some_and(|serve| !serve.gone)
        {
            self.serves.insert(no, writer);
        }
    }

    /// Sends what was read, in order, as far as credit goes.
    pub(super) fn pump_ready(&mut self, context: &mut Context) {
        while let Some(next) = self.ready.front()
            && self.can_send(next.batch.len(), CONTROL_BYTES_RESERVED)
            && let Some(ready) = self.ready.pop_front()
        {
            self.send_batch(context, ready);
        }
    }

    fn send_batch(&mut self, context: &mut Context, ready: Ready) {
        let Ready {
            no, writer, upto, ..
        } = ready;
        let Some(name) = self.name(no, writer) else {
            return;
        };
        let (from, count, batch) = (ready.from, upto - ready.from, ready.batch);
        let message = match ready.thin {
            None => Message::Batch {
                space: no,
                writer: name,
                from,
                count,
                batch,
            },
            Some(revision) => Message::Thin {
                space: no,
                writer: name,
                from,
                count,
                revision,
                batch,
            },
        };
        self.send_credited(context, message);
        let Some(log) = self.log(no, &writer) else {
            return;
        };
        // Whoever keeps a part does not have what was left out: nothing is pushed on top.
        if ready.thin.is_none() {
            log.sent = log.sent.max(upto);
        }
        if log.serve.as_ref().is_some_and(|serve| serve.upto == upto) {
            self.end_serve(context, no, &writer);
        }
    }
}
