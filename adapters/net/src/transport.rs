//! The QUIC settings every endpoint uses, and why.

use std::time::Duration;

use iroh::endpoint::{QuicTransportConfig, VarInt};

/// How much a peer may send on one stream before the reader must have taken something.
///
/// The transport ends a connection when a stream is received with more than 1024 gaps. Under heavy
/// loss every second packet may be missing, so no more than 2048 packets may be under way: a larger
/// window lets a full socket buffer kill the connection.
pub const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// How much a peer may send on all streams of a connection before readers take something.
pub const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// How much may wait here for a peer's acknowledgement.
pub const SEND_WINDOW_BYTES: u64 = 8 << 20;
/// How many streams a peer may have open at once.
pub const STREAMS_MAX: u32 = 64;
/// A path that was silent for this long is given up; others, or the relay, take over.
pub const PATH_IDLE_MS: u64 = 10_000;
/// A connection that was silent on all its paths for this long is over.
pub const CONNECTION_IDLE_MS: u32 = 30_000;

/// The settings.
pub(crate) fn quic() -> QuicTransportConfig {
    QuicTransportConfig::builder()
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        // One, for the heartbeat.
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(VarInt::from_u32(CONNECTION_IDLE_MS).into()))
        .default_path_max_idle_timeout(Duration::from_millis(PATH_IDLE_MS))
        .build()
}
