//! One device on the network: QUIC connections between devices, found on the local network, at
//! known addresses or through a relay, with nobody's servers.
//!
//! Owns sockets, paths, discovery and relays. It must not know about spaces, logs, documents or
//! who may do what: it moves bytes between device keys and says truthfully over which path.

mod book;
mod config;
mod connection;
mod error;
mod event;
mod heartbeat;
mod hints;
mod keeper;
mod lan;
mod locality;
mod net;
mod path;
pub mod pause;
pub mod redial;
mod relay_server;
mod relay_status;
mod stream;
mod transport;

pub use book::{ADDRS_PER_DEVICE_MAX, SIGHTED_DEVICES_MAX};
pub use config::{Bind, Lan, NetConfig};
pub use connection::{CLOSE_STALLED, Connection};
pub use error::{Closed, ConnectError, NetError, StreamError};
pub use event::NetEvent;
pub use heartbeat::{BEAT_LIMIT_MS, BEAT_MS};
pub use hints::{PeerHints, relay_label};
pub use iroh::RelayUrl;
pub use keeper::{DialStatus, Keeper};
pub use lan::LanStatus;
pub use net::{ACCEPT_QUEUE_MAX, CONNECT_TIMEOUT_MS, HANDSHAKES_MAX, Net};
pub use path::{PathKind, PathReport};
pub use relay_server::{RelayAccess, RelayServer, RelayServerConfig, RelayStats};
pub use relay_status::{RelayReport, RelayState};
pub use stream::{RecvStream, SendStream};
pub use transport::{
    CONNECTION_IDLE_MS, CONNECTION_WINDOW_BYTES, PATH_IDLE_MS, SEND_WINDOW_BYTES,
    STREAM_WINDOW_BYTES, STREAMS_MAX,
};
