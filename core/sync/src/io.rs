//! What goes into a session and what comes out of it.

use crate::error::PeerMisbehaved;
use crate::frame::Frame;
use crate::frontier::{SpaceMembership, Tip};
use bytes::Bytes;
use std::collections::BTreeMap;
use stead_base::{SpaceId, WriterId};

/// Something that happened. What names a space or log that is not shared (any more) is ignored:
/// driver and session may hear of a change at different times.
#[derive(Debug, Clone)]
pub enum Input {
    /// A frame came in, without its length ([`FrameReader::next_frame`](crate::frame::FrameReader::next_frame)).
    Frame(Bytes),
    /// Time passed; the driver owes one when an [`Output::WakeAt`] is due.
    Tick,
    /// This device joined or made a space. One that the session knows already is left as it is.
    AddSpace(SpaceMembership),
    /// This device left a space.
    RemoveSpace {
        /// The space.
        space: SpaceId,
    },
    /// A log that is stored here holds a checkpoint: a peer that lacks the space is told of it
    /// before anything else of the space. Replaces the one named before.
    Beginning {
        /// The space.
        space: SpaceId,
        /// The checkpoint's log.
        log: WriterId,
    },
    /// Entries were stored, written here or learned from anyone; or a log that began in its middle was
    /// emptied, and is wanted whole.
    LocalAdvanced {
        /// The space.
        space: SpaceId,
        /// Whose log grew.
        writer: WriterId,
        /// Where it ends now.
        tip: Tip,
        /// Send a small tail at once instead of announcing it. Meant for entries written here:
        /// when every peer pushes what it learned, everything arrives several times.
        eager: bool,
    },
    /// Get `[from, upto)` from this peer. Batches come as [`Output::Batch`]; a second fetch of a log
    /// waits for the first to end.
    Fetch {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// First entry.
        from: u64,
        /// One past the last entry.
        upto: u64,
    },
    /// Stop a fetch. Batches on their way are dropped by the session.
    CancelFetch {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
    },
    /// A batch is dealt with (stored durably, or found to be of no use): its credit goes back.
    Stored {
        /// [`Output::Batch`]'s `credit`, or a sum of several.
        credit: u64,
    },
    /// A batch was not stored although it may be wanted later (it does not follow what is stored
    /// yet). Its credit goes back, what follows it is not waited for, and the log is offered again
    /// from where it ends here. What failed verification is a reason to close instead.
    Dropped {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// [`Output::Batch`]'s `credit`.
        credit: u64,
    },
    /// Answers an [`Output::Read`]: the batch `[from, upto)`, where `upto` may be less than asked.
    ReadDone {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// First entry, as asked.
        from: u64,
        /// One past the last entry of the batch.
        upto: u64,
        /// The encoded batch.
        batch: Bytes,
    },
    /// Answers an [`Output::Read`] that cannot be met.
    ReadFailed {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
    },
    /// A batch contradicts what is stored although its head is validly signed. The session stops
    /// moving this log; the driver finds the common prefix with [`Input::Probe`].
    Conflict {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
    },
    /// Ask the peer what its log looks like at `at`. A newer question replaces one not yet sent.
    Probe {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// Length asked about.
        at: u64,
    },
    /// Answers an [`Output::ProbeAsked`].
    ProbeReply {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// Length asked about.
        at: u64,
        /// The answer, at most [`PROBE_BYTES_MAX`](crate::limits::PROBE_BYTES_MAX).
        reply: Bytes,
    },
    /// A fork is proven: the log is frozen at `tip`. The proof goes to the peer unless it has one.
    /// Also answers [`Output::ForkProofWanted`].
    Frozen {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// The common prefix.
        tip: Tip,
        /// The proof, at most [`FORK_BYTES_MAX`](crate::limits::FORK_BYTES_MAX).
        proof: Bytes,
    },
    /// Where somebody is, for the peer. Goes out when credit allows; what waits is replaced by a
    /// newer one of the same slot, and lost with the session. Nothing happens where the peer does not
    /// understand it or does not share the space.
    Presence {
        /// The space.
        space: SpaceId,
        /// The same for all packets that replace each other.
        slot: [u8; 16],
        /// The packet, at most [`PRESENCE_BYTES_MAX`](crate::limits::PRESENCE_BYTES_MAX).
        packet: Bytes,
    },
    /// Somebody whose packets went to the peer is not heard any more.
    PresenceLost {
        /// The space.
        space: SpaceId,
        /// Whose run of packets.
        run: [u8; 32],
        /// Which app.
        app: u64,
    },
    /// The driver's queue of unwritten frames is long, or short again. While it is long no more
    /// batches are read for the peer, so that live changes do not wait behind them.
    Congested(bool),
    /// This device keeps only a part of a space: other writers' logs are thin here, of these lengths. They
    /// are not told to peers, and are fetched once [`Input::Choose`] said what is to be in them. Comes
    /// before the space is added; to change it, the space is removed and added.
    Part {
        /// The space.
        space: SpaceId,
        /// The lengths of the thin logs.
        thin: BTreeMap<WriterId, u64>,
    },
    /// A thin log is longer, or was emptied.
    ThinAdvanced {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// Entries that are held or stood for now.
        len: u64,
    },
    /// Tells the peer what this device chose of a space: in answer to [`Output::GivesParts`], and
    /// whenever it changes.
    Choose {
        /// The space.
        space: SpaceId,
        /// Which edition of the choice; 0 while more of the same edition follows.
        revision: u64,
        /// At most [`CHOICE_BYTES_MAX`](crate::limits::CHOICE_BYTES_MAX).
        choice: Bytes,
    },
    /// Asks the peer for a slice. At most
    /// [`ASKS_IN_FLIGHT_MAX`](crate::limits::ASKS_IN_FLIGHT_MAX) wait for their answer in a session; more
    /// wait here.
    Ask {
        /// The space.
        space: SpaceId,
        /// Names the question; the driver's to choose, and never again in this session.
        token: u64,
        /// At most [`ASK_BYTES_MAX`](crate::limits::ASK_BYTES_MAX).
        ask: Bytes,
    },
    /// Answers an [`Output::Asked`].
    Sliced {
        /// The space.
        space: SpaceId,
        /// The question.
        token: u64,
        /// The slice, at most [`SLICE_BYTES_MAX`](crate::limits::SLICE_BYTES_MAX); none if there is none.
        slice: Option<Bytes>,
    },
    /// What a query of the peer's choice finds may have changed: tells it so.
    Stir {
        /// The space.
        space: SpaceId,
    },
    /// Measure the round trip now; the answer is an [`Output::RoundTrip`].
    Ping,
    /// End the session in good order.
    Close {
        /// Why.
        code: GoodbyeCode,
        /// The reason in words; cut to what the frame holds.
        text: String,
    },
}

/// Entries to be read for the peer. Answered exactly once, by [`Input::ReadDone`] or
/// [`Input::ReadFailed`]; a log has at most one open read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    /// The space.
    pub space: SpaceId,
    /// Whose log.
    pub writer: WriterId,
    /// First entry.
    pub from: u64,
    /// One past the last entry wanted.
    pub upto: u64,
    /// Close the batch once it holds this much.
    pub bytes_max: usize,
}

/// Something to do or to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write this frame. Frames keep their order.
    Send(Frame),
    /// Hand in a [`Input::Tick`] at this time, or later. Replaces earlier ones.
    WakeAt(u64),
    /// The peer's wall clock against this device's; positive when the peer is ahead.
    PeerClock {
        /// Milliseconds, the time of the first frame's way included.
        ahead_ms: i64,
    },
    /// The peer proved to be a member too.
    Shared {
        /// The space.
        space: SpaceId,
    },
    /// The peer has a checkpoint in this log. Comes before it lists what it has. Who has nothing of
    /// the space fetches this log first.
    Start {
        /// The space.
        space: SpaceId,
        /// The checkpoint's log.
        log: WriterId,
    },
    /// The peer no longer shares the space.
    Left {
        /// The space.
        space: SpaceId,
    },
    /// The peer has more of a log than is stored or on its way here. Not sent when the session
    /// fetches by itself.
    Available {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// Entries stored here or received from this peer.
        have: u64,
        /// Entries the peer has.
        remote_len: u64,
    },
    /// Entries from the peer, to be verified and stored. May hold entries that came from elsewhere
    /// meanwhile. Every one is owed an [`Input::Stored`] or an [`Input::Dropped`].
    Batch {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// First entry, as the peer says.
        from: u64,
        /// One past the last entry, as the peer says.
        upto: u64,
        /// The encoded batch.
        batch: Bytes,
        /// Bytes to give back.
        credit: u64,
    },
    /// This device keeps a part of a space that the peer shares now: whether the peer understands that.
    /// One that does not gives nothing but what it writes itself.
    GivesParts {
        /// The space.
        space: SpaceId,
        /// Whether it does.
        gives: bool,
    },
    /// The peer keeps a part of a space; this is a part of what it chose.
    Chosen {
        /// The space.
        space: SpaceId,
        /// Which edition; 0 while more of the same edition follows.
        revision: u64,
        /// What it chose, in the engine's bytes.
        choice: Bytes,
    },
    /// A thin batch from the peer, as [`Output::Batch`] otherwise.
    Thin {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// First entry, as the peer says.
        from: u64,
        /// One past the last entry, as the peer says.
        upto: u64,
        /// The edition of the choice that it was cut by.
        revision: u64,
        /// The encoded thin batch.
        batch: Bytes,
        /// Bytes to give back.
        credit: u64,
    },
    /// Read entries for the peer by what it chose, as a thin batch; otherwise as [`Output::Read`].
    ReadThin(ReadRequest),
    /// The peer asks for a slice; owed one [`Input::Sliced`].
    Asked {
        /// The space.
        space: SpaceId,
        /// The question.
        token: u64,
        /// What it asks, in the engine's bytes.
        ask: Bytes,
    },
    /// The answer to [`Input::Ask`].
    Slice {
        /// The space.
        space: SpaceId,
        /// The question.
        token: u64,
        /// The slice, in the engine's bytes; none if the peer has none to give.
        slice: Option<Bytes>,
    },
    /// What a query finds may have changed at the peer: worth asking again.
    Stirred {
        /// The space.
        space: SpaceId,
    },
    /// The peer cannot deliver the rest of a fetch; `from` is where it stopped.
    Unavailable {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// First entry that did not come.
        from: u64,
    },
    /// Read entries for the peer.
    Read(ReadRequest),
    /// Where somebody is.
    Presence {
        /// The space.
        space: SpaceId,
        /// The packet.
        packet: Bytes,
    },
    /// The peer does not hear somebody any more whose packets came from it.
    PresenceLost {
        /// The space.
        space: SpaceId,
        /// Whose run of packets.
        run: [u8; 32],
        /// Which app.
        app: u64,
    },
    /// The peer says that it has stored this much.
    Confirmed {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// Entries stored there.
        len: u64,
    },
    /// Both sides' frontiers of the space are known.
    Listed {
        /// The space.
        space: SpaceId,
    },
    /// Both sides have `len` entries of a log, but not the same ones. The session stops moving it.
    Diverged {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// Length of both.
        len: u64,
    },
    /// The peer asks what the log looks like here at `at`.
    ProbeAsked {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// Length asked about.
        at: u64,
    },
    /// The peer's answer to [`Input::Probe`].
    ProbeAnswered {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// Length asked about.
        at: u64,
        /// The answer.
        reply: Bytes,
    },
    /// The peer holds a log as growing that is frozen here: hand in [`Input::Frozen`] with the proof.
    ForkProofWanted {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
    },
    /// The peer says that a writer forked; to be verified.
    ForkProof {
        /// The space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// The proof.
        proof: Bytes,
    },
    /// A ping was answered.
    RoundTrip {
        /// Milliseconds.
        ms: u64,
    },
    /// The session is over. Frames before this one are still to be written.
    Closed(CloseReason),
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This side ended it.
    #[error("closed here")]
    Here,
    /// The peer said goodbye.
    #[error("the other device ended the session: {text:?} (code {code})")]
    Peer {
        /// A [`GoodbyeCode`], or one that this version does not know.
        code: u64,
        /// The peer's words.
        text: String,
    },
    /// No version of the protocol is spoken by both.
    #[error(
        "the other device speaks protocol versions {theirs_min} to {theirs_max}, this one {ours}"
    )]
    NoCommonVersion {
        /// Version spoken here.
        ours: u64,
        /// Lowest version spoken there.
        theirs_min: u64,
        /// Highest version spoken there.
        theirs_max: u64,
    },
    /// Nothing was heard for too long.
    #[error("nothing was heard for {idle_ms} ms")]
    Idle {
        /// Silence, in milliseconds.
        idle_ms: u64,
    },
    /// So many spaces were offered that a fresh session is due.
    #[error("the session used up its tags")]
    TagsUsedUp,
    /// The peer broke a rule.
    #[error("the other device broke the protocol")]
    Misbehaved(#[source] PeerMisbehaved),
}

/// Why a session is ended, as the `Goodbye` frame says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum GoodbyeCode {
    /// The program stops, or the connection is no longer needed.
    Done = 0,
    /// No common version.
    Version = 1,
    /// The peer broke a rule.
    Misbehaved = 2,
    /// Nothing was heard for too long.
    Idle = 3,
    /// A fresh session is due; connect again.
    Renew = 4,
    /// The store cannot take more (full, read-only, damaged).
    Store = 5,
    /// What the peer sent failed verification.
    Refused = 6,
}
