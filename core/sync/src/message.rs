//! The frames by meaning, and their bytes. Owns the wire format: encoding here, decoding in
//! `decode`. Whether a frame makes sense is for the session to say.

mod decode;

use crate::frame::Frame;
use bytes::Bytes;
use stead_base::{Encoder, WriterId};

const MAGIC: &[u8; 10] = b"stead/sync";
const CHECK_BYTES: usize = 8;

/// First eight bytes of a keyed hash of a log's root.
pub(crate) type Check = [u8; CHECK_BYTES];
/// Proof of membership in one space, for one session and direction.
pub(crate) type Tag = [u8; 32];

/// A writer as a frame names it: in full the first time, by number afterwards. Numbers count from
/// zero, per space and direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterRef {
    /// Named in full; takes the next number.
    New(WriterId),
    /// Named before.
    Known(u64),
}

/// One log's length and a check of its root, as `Tips` carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireTip {
    /// Whose log.
    pub writer: WriterRef,
    /// Entries.
    pub len: u64,
    /// The log is frozen at a proven fork.
    pub frozen: bool,
    /// Keyed check of writer, length and root.
    pub check: [u8; CHECK_BYTES],
}

/// One frame by meaning. Numbers named `space` are the numbers that shared spaces have in the
/// session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are the protocol's, in docs/protocol/sync.md"
)]
pub enum Message {
    /// First frame in each direction.
    Hello {
        version_min: u64,
        version_max: u64,
        features: u64,
        nonce: [u8; 32],
        clock_ms: u64,
        window: u64,
        extension: Bytes,
    },
    /// Tags of spaces that the sender is a member of, among dummies.
    Offer { tags: Vec<[u8; 32]> },
    /// Answers the oldest `Offer` without an answer.
    Accept { tags: Vec<[u8; 32]> },
    /// The space is no longer shared.
    Leave { space: u64 },
    /// Digest of the sender's frontier, once, when the space becomes shared.
    Digest { space: u64, digest: [u8; 32] },
    /// Logs that the sender has. `last` ends the listing that follows unequal digests.
    Tips {
        space: u64,
        last: bool,
        tips: Vec<WireTip>,
    },
    /// Asks for `count` entries.
    Want {
        space: u64,
        writer: WriterRef,
        from: u64,
        count: u64,
    },
    /// Takes a `Want` back.
    Unwant { space: u64, writer: WriterRef },
    /// The rest of a `Want` will not come.
    Gone { space: u64, writer: WriterRef },
    /// Entries asked for.
    Batch {
        space: u64,
        writer: WriterRef,
        from: u64,
        count: u64,
        batch: Bytes,
    },
    /// New entries sent without being asked for.
    Push {
        space: u64,
        writer: WriterRef,
        from: u64,
        count: u64,
        check: [u8; CHECK_BYTES],
        batch: Bytes,
    },
    /// A log that holds a checkpoint: who lacks the space begins with it.
    Start { space: u64, writer: WriterRef },
    /// The sender keeps a part of the space: what it chose, in the engine's bytes, and which edition of
    /// its choice this is.
    Choose {
        space: u64,
        revision: u64,
        choice: Bytes,
    },
    /// Entries asked for by a side that keeps a part, most of them left out by that edition of its
    /// choice.
    Thin {
        space: u64,
        writer: WriterRef,
        from: u64,
        count: u64,
        revision: u64,
        batch: Bytes,
    },
    /// Asks for a slice of the space's present, in the engine's bytes.
    Ask { space: u64, token: u64, ask: Bytes },
    /// The next piece of the answer to an `Ask`.
    Slice {
        space: u64,
        token: u64,
        last: bool,
        piece: Bytes,
    },
    /// There is no answer to an `Ask` here.
    Unsliced { space: u64, token: u64 },
    /// What a query of the choice finds may have changed.
    Stir { space: u64 },
    /// Asks what the receiver's log looks like at `at`.
    Probe {
        space: u64,
        writer: WriterRef,
        at: u64,
    },
    /// Answers a `Probe`.
    ProbeReply {
        space: u64,
        writer: WriterRef,
        at: u64,
        reply: Bytes,
    },
    /// Proof that a writer forked its log.
    Fork {
        space: u64,
        writer: WriterRef,
        proof: Bytes,
    },
    /// Says where somebody is right now.
    Presence { space: u64, packet: Bytes },
    /// Somebody whose packets were passed on is not heard any more.
    PresenceLost { space: u64, run: [u8; 32], app: u64 },
    /// Gives credit back.
    Credit { bytes: u64 },
    /// Asks for a sign of life.
    Ping { token: u64 },
    /// Answers the newest `Ping`.
    Pong { token: u64 },
    /// Ends the session.
    Goodbye { code: u64, text: String },
}

impl Message {
    /// The frame's name in documents and errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "Hello",
            Self::Offer { .. } => "Offer",
            Self::Accept { .. } => "Accept",
            Self::Leave { .. } => "Leave",
            Self::Digest { .. } => "Digest",
            Self::Tips { .. } => "Tips",
            Self::Want { .. } => "Want",
            Self::Unwant { .. } => "Unwant",
            Self::Gone { .. } => "Gone",
            Self::Batch { .. } => "Batch",
            Self::Push { .. } => "Push",
            Self::Start { .. } => "Start",
            Self::Choose { .. } => "Choose",
            Self::Thin { .. } => "Thin",
            Self::Ask { .. } => "Ask",
            Self::Slice { .. } => "Slice",
            Self::Unsliced { .. } => "Unsliced",
            Self::Stir { .. } => "Stir",
            Self::Probe { .. } => "Probe",
            Self::ProbeReply { .. } => "ProbeReply",
            Self::Fork { .. } => "Fork",
            Self::Presence { .. } => "Presence",
            Self::PresenceLost { .. } => "PresenceLost",
            Self::Credit { .. } => "Credit",
            Self::Ping { .. } => "Ping",
            Self::Pong { .. } => "Pong",
            Self::Goodbye { .. } => "Goodbye",
        }
    }

    /// Whether the frame costs credit: every kind that is large or that answers another.
    pub const fn costs_credit(&self) -> bool {
        matches!(
            self,
            Self::Tips { .. }
                | Self::Gone { .. }
                | Self::Batch { .. }
                | Self::Push { .. }
                | Self::Choose { .. }
                | Self::Thin { .. }
                | Self::Ask { .. }
                | Self::Slice { .. }
                | Self::Unsliced { .. }
                | Self::Stir { .. }
                | Self::Probe { .. }
                | Self::ProbeReply { .. }
                | Self::Fork { .. }
                | Self::Presence { .. }
                | Self::PresenceLost { .. }
                | Self::Pong { .. }
        )
    }

    /// The frame's bytes. Returns nothing for a frame above the limit, which only an opaque payload
    /// can bring about.
    pub fn encode(self) -> Option<Frame> {
        let mut out = Encoder::new();
        let payload = self.encode_fields(&mut out);
        Frame::new(out.as_slice(), payload)
    }

    fn encode_fields(self, out: &mut Encoder) -> Bytes {
        match self {
            Self::Hello {
                version_min,
                version_max,
                features,
                nonce,
                clock_ms,
                window,
                extension,
            } => {
                out.byte(kind::HELLO).raw(MAGIC);
                out.uint(version_min).uint(version_max).uint(features);
                out.raw(&nonce).uint(clock_ms).uint(window);
                out.bytes(&extension);
            }
            Self::Offer { tags } => put_tags(out, kind::OFFER, &tags),
            Self::Accept { tags } => put_tags(out, kind::ACCEPT, &tags),
            Self::Leave { space } => {
                out.byte(kind::LEAVE).uint(space);
            }
            Self::Digest { space, digest } => {
                out.byte(kind::DIGEST).uint(space).raw(&digest);
            }
            Self::Tips { space, last, tips } => {
                out.byte(kind::TIPS).uint(space).byte(last.into());
                out.uint(tips.len() as u64);
                for tip in tips {
                    put_writer(out, tip.writer);
                    out.uint(tip.len << 1 | u64::from(tip.frozen));
                    out.raw(&tip.check);
                }
            }
            Self::Want {
                space,
                writer,
                from,
                count,
            } => put_range(out, kind::WANT, space, writer, from, count),
            Self::Unwant { space, writer } => put_log(out, kind::UNWANT, space, writer),
            Self::Gone { space, writer } => put_log(out, kind::GONE, space, writer),
            Self::Start { space, writer } => put_log(out, kind::START, space, writer),
            Self::Batch {
                space,
                writer,
                from,
                count,
                batch,
            } => {
                put_range(out, kind::BATCH, space, writer, from, count);
                return batch;
            }
            Self::Push {
                space,
                writer,
                from,
                count,
                check,
                batch,
            } => {
                put_range(out, kind::PUSH, space, writer, from, count);
                out.raw(&check);
                return batch;
            }
            Self::Choose {
                space,
                revision,
                choice,
            } => {
                out.byte(kind::CHOOSE).uint(space).uint(revision);
                return choice;
            }
            Self::Thin {
                space,
                writer,
                from,
                count,
                revision,
                batch,
            } => {
                put_range(out, kind::THIN, space, writer, from, count);
                out.uint(revision);
                return batch;
            }
            Self::Ask { space, token, ask } => {
                out.byte(kind::ASK).uint(space).uint(token);
                return ask;
            }
            Self::Slice {
                space,
                token,
                last,
                piece,
            } => {
                out.byte(kind::SLICE).uint(space).uint(token);
                out.byte(last.into());
                return piece;
            }
            Self::Unsliced { space, token } => {
                out.byte(kind::UNSLICED).uint(space).uint(token);
            }
            Self::Stir { space } => {
                out.byte(kind::STIR).uint(space);
            }
            Self::Probe { space, writer, at } => {
                put_log(out, kind::PROBE, space, writer);
                out.uint(at);
            }
            Self::ProbeReply {
                space,
                writer,
                at,
                reply,
            } => {
                put_log(out, kind::PROBE_REPLY, space, writer);
                out.uint(at);
                return reply;
            }
            Self::Fork {
                space,
                writer,
                proof,
            } => {
                put_log(out, kind::FORK, space, writer);
                return proof;
            }
            Self::Presence { space, packet } => {
                out.byte(kind::PRESENCE).uint(space);
                return packet;
            }
            Self::PresenceLost { space, run, app } => {
                out.byte(kind::PRESENCE_LOST).uint(space);
                out.raw(&run).uint(app);
            }
            Self::Credit { bytes } => {
                out.byte(kind::CREDIT).uint(bytes);
            }
            Self::Ping { token } => {
                out.byte(kind::PING).uint(token);
            }
            Self::Pong { token } => {
                out.byte(kind::PONG).uint(token);
            }
            Self::Goodbye { code, text } => {
                out.byte(kind::GOODBYE).uint(code).text(&text);
            }
        }
        Bytes::new()
    }
}

/// The byte that opens each kind of frame.
mod kind {
    pub(in crate::message) const HELLO: u8 = 0x00;
    pub(in crate::message) const OFFER: u8 = 0x01;
    pub(in crate::message) const ACCEPT: u8 = 0x02;
    pub(in crate::message) const LEAVE: u8 = 0x03;
    pub(in crate::message) const DIGEST: u8 = 0x10;
    pub(in crate::message) const TIPS: u8 = 0x11;
    pub(in crate::message) const WANT: u8 = 0x12;
    pub(in crate::message) const UNWANT: u8 = 0x13;
    pub(in crate::message) const GONE: u8 = 0x14;
    pub(in crate::message) const BATCH: u8 = 0x15;
    pub(in crate::message) const PUSH: u8 = 0x16;
    pub(in crate::message) const START: u8 = 0x17;
    pub(in crate::message) const CHOOSE: u8 = 0x18;
    pub(in crate::message) const THIN: u8 = 0x19;
    pub(in crate::message) const ASK: u8 = 0x1a;
    pub(in crate::message) const SLICE: u8 = 0x1b;
    pub(in crate::message) const UNSLICED: u8 = 0x1c;
    pub(in crate::message) const STIR: u8 = 0x1d;
    pub(in crate::message) const PROBE: u8 = 0x20;
    pub(in crate::message) const PROBE_REPLY: u8 = 0x21;
    pub(in crate::message) const FORK: u8 = 0x22;
    pub(in crate::message) const PRESENCE: u8 = 0x23;
    pub(in crate::message) const PRESENCE_LOST: u8 = 0x24;
    pub(in crate::message) const CREDIT: u8 = 0x30;
    pub(in crate::message) const PING: u8 = 0x31;
    pub(in crate::message) const PONG: u8 = 0x32;
    pub(in crate::message) const GOODBYE: u8 = 0x3f;
}

fn put_tags(out: &mut Encoder, kind: u8, tags: &[Tag]) {
    out.byte(kind).uint(tags.len() as u64);
    for tag in tags {
        out.raw(tag);
    }
}

fn put_writer(out: &mut Encoder, writer: WriterRef) {
    match writer {
        WriterRef::New(writer) => out.uint(0).raw(writer.as_bytes()),
        WriterRef::Known(number) => out.uint(number + 1),
    };
}

fn put_log(out: &mut Encoder, kind: u8, space: u64, writer: WriterRef) {
    out.byte(kind).uint(space);
    put_writer(out, writer);
}

fn put_range(out: &mut Encoder, kind: u8, space: u64, writer: WriterRef, from: u64, count: u64) {
    put_log(out, kind, space, writer);
    out.uint(from).uint(count);
}
