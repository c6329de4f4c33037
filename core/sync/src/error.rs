//! What a peer can do wrong. Every variant is a rule of the protocol that was broken.

use stead_base::{DecodeError, SpaceId, WriterId};

/// The rule that the peer broke. The session is over: nothing more is sent or accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerMisbehaved {
    /// A frame announces more bytes than a frame may have.
    #[error("a frame of {len} bytes is above the limit of {max}")]
    FrameTooLong {
        /// Bytes announced.
        len: u64,
        /// Most bytes allowed.
        max: u64,
    },
    /// A frame has no bytes.
    #[error("a frame is empty")]
    FrameEmpty,
    /// A frame does not follow its format.
    #[error("a frame does not follow its format")]
    BadFrame(#[source] DecodeError),
    /// A frame that has no place in this state.
    #[error("a {frame} frame came while {state}")]
    UnexpectedFrame {
        /// Name of the frame.
        frame: &'static str,
        /// What the session was doing.
        state: &'static str,
    },
    /// The stated receive window is outside its limits.
    #[error("a window of {window} bytes is outside the limits")]
    WindowOutOfRange {
        /// Bytes stated.
        window: u64,
    },
    /// More bytes were sent than there was credit for.
    #[error("{outstanding} bytes are outstanding in a window of {window}")]
    OutOfCredit {
        /// Bytes that would be outstanding.
        outstanding: u64,
        /// The window granted.
        window: u64,
    },
    /// More credit was given back than was taken.
    #[error("credit of {credit} bytes does not fit a window of {window}")]
    CreditOverflow {
        /// Bytes given back.
        credit: u64,
        /// The window granted.
        window: u64,
    },
    /// Too many tags were offered.
    #[error("{tags} tags were offered in one session")]
    TagFlood {
        /// Tags offered so far.
        tags: u64,
    },
    /// An answer came without an offer.
    #[error("an accept frame answers no offer")]
    AcceptWithoutOffer,
    /// A number that stands for no shared space.
    #[error("number {number} stands for no space of this session")]
    UnknownSpaceNumber {
        /// The number.
        number: u64,
    },
    /// A number that stands for no writer of the space.
    #[error("number {number} stands for no writer of {space}")]
    UnknownWriterNumber {
        /// The space.
        space: SpaceId,
        /// The number.
        number: u64,
    },
    /// A writer was named in full although it has a number.
    #[error("{writer} of {space} was named in full twice")]
    WriterNamedTwice {
        /// The space.
        space: SpaceId,
        /// The writer.
        writer: WriterId,
    },
    /// More writers than a space may have.
    #[error("{space} has too many writers")]
    TooManyWriters {
        /// The space.
        space: SpaceId,
    },
    /// A second digest for one space, or a listing that is not due.
    #[error("the frontier of {space} came when it was not due")]
    FrontierNotDue {
        /// The space.
        space: SpaceId,
    },
    /// A batch that continues no range asked for.
    #[error("a batch of {writer} in {space} from {from} was not asked for")]
    BatchNotAskedFor {
        /// The space.
        space: SpaceId,
        /// The writer.
        writer: WriterId,
        /// First entry of the batch.
        from: u64,
    },
    /// A pushed tail larger than may be sent without being asked for.
    #[error("{bytes} bytes of {writer} in {space} were pushed at once")]
    PushTooLarge {
        /// The space.
        space: SpaceId,
        /// The writer.
        writer: WriterId,
        /// Bytes of the batch.
        bytes: usize,
    },
    /// A second range of one log was asked for before the first was answered.
    #[error("a second range of {writer} in {space} was asked for before the first was answered")]
    WantOverlaps {
        /// The space.
        space: SpaceId,
        /// The writer.
        writer: WriterId,
    },
    /// Too many ranges were asked for at once.
    #[error("more than {max} ranges were asked for at once")]
    TooManyWants {
        /// Most ranges allowed.
        max: usize,
    },
    /// Too many probes at once, or a second one of one log.
    #[error("too many probes at once")]
    TooManyProbes,
    /// An answer to no probe.
    #[error("a probe reply for {writer} in {space} was not asked for")]
    ProbeReplyNotAskedFor {
        /// The space.
        space: SpaceId,
        /// The writer.
        writer: WriterId,
    },
    /// More questions for slices at once than allowed, or two with one token.
    #[error("too many questions for slices at once")]
    TooManyAsks,
    /// A slice, or a piece of one, that was not asked for or is too large.
    #[error("a slice of {space} was not asked for, or is too large")]
    SliceNotAskedFor {
        /// The space.
        space: SpaceId,
    },
    /// A second fork proof for one writer.
    #[error("a second fork proof for {writer} in {space}")]
    ForkProofTwice {
        /// The space.
        space: SpaceId,
        /// The writer.
        writer: WriterId,
    },
    /// A pong for a ping that was never sent.
    #[error("a pong answers no ping")]
    PongNotAskedFor,
}
