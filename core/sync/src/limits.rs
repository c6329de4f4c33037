//! Every limit of the protocol by name, in the unit that its name ends with.

/// Version of the protocol spoken here.
pub const VERSION: u64 = 1;

/// Bit of `Hello`'s features: understands `Start`.
pub const FEATURE_START: u64 = 1;
/// Bit of `Hello`'s features: understands `Presence` and `PresenceLost`.
pub const FEATURE_PRESENCE: u64 = 4;

/// Bit of `Hello`'s features: understands `Choose` and what belongs to it.
pub const FEATURE_PARTS: u64 = 2;

/// Most credited bytes a receiver lets the other side have in flight.
pub const WINDOW_BYTES_MAX: u64 = 16 << 20;
/// Smallest window a receiver may state: a largest frame fits even while credit is on its way.
pub const WINDOW_BYTES_MIN: u64 = 8 << 20;
/// Credit is given back once this part of the window is free again.
pub const CREDIT_RETURN_PART: u64 = 8;
/// Credit that batches leave alone, so that small frames are never stuck behind them.
pub const CONTROL_BYTES_RESERVED: u64 = 1 << 20;
/// Largest batch that is sent without being asked for.
pub const EAGER_BYTES_MAX: usize = 16 << 10;

/// Most ranges asked for at once, in each direction.
pub const WANTS_IN_FLIGHT_MAX: usize = 64;
/// Most batches being read or waiting for credit to answer the other side.
pub const READS_IN_FLIGHT_MAX: usize = 4;
/// Most small tails being read to be sent without being asked for.
pub const EAGER_READS_IN_FLIGHT_MAX: usize = 16;
/// Most logs in one `Tips` frame.
pub const TIPS_PER_FRAME_MAX: usize = 1024;

/// Fewest tags in one `Offer` or `Accept` frame; the rest are dummies.
pub const TAGS_PER_FRAME_MIN: usize = 8;
/// Most tags in one `Offer` or `Accept` frame.
pub const TAGS_PER_FRAME_MAX: usize = 8192;
/// Most tags that one side offers in one session.
pub const TAGS_PER_SESSION_MAX: u64 = 65_536;
/// Most offers waiting for their answer, in each direction.
pub const OFFERS_IN_FLIGHT_MAX: usize = 4;

/// Largest part of a choice in one frame.
pub const CHOICE_BYTES_MAX: usize = 1 << 20;
/// Longest question for a slice.
pub const ASK_BYTES_MAX: usize = 256 << 10;
/// Most questions for slices waiting for their answer, in each direction.
pub const ASKS_IN_FLIGHT_MAX: usize = 4;
/// Largest slice.
pub const SLICE_BYTES_MAX: usize = 34 << 20;
/// Most of a slice in one frame.
pub const SLICE_FRAME_BYTES_MAX: usize = 256 << 10;

/// Most probes waiting for their answer, in each direction.
pub const PROBES_IN_FLIGHT_MAX: usize = 16;
/// Largest answer to a probe.
pub const PROBE_BYTES_MAX: usize = 64 << 10;
/// Largest proof that a writer forked its log.
pub const FORK_BYTES_MAX: usize = 64 << 10;
/// Largest packet that says where somebody is.
pub const PRESENCE_BYTES_MAX: usize = 4096;
/// Most packets and losses of presence that wait for credit; the oldest go first.
pub const PRESENCE_WAITING_MAX: usize = 1024;
/// Longest text of a `Goodbye`, in bytes of UTF-8.
pub const GOODBYE_BYTES_MAX: usize = 256;
/// Longest part of a `Hello` that this version does not know.
pub const HELLO_EXTENSION_BYTES_MAX: usize = 1024;

/// A side that sent nothing for this long sends a `Ping`.
pub const PING_INTERVAL_MS: u64 = 15_000;
/// A side that heard nothing for this long ends the session.
pub const IDLE_MAX_MS: u64 = 45_000;
/// What was received and stored is confirmed at the latest after this long.
pub const CONFIRM_DELAY_MS: u64 = 200;
