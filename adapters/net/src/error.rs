//! What can go wrong on the network, said so that a person knows what to do next.

use std::net::SocketAddr;

use iroh::endpoint::{ConnectionError, ReadError, ReadExactError, TransportErrorCode, WriteError};
use stead_base::DeviceId;

/// Why the network could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The sockets could not be opened.
    #[error("cannot listen on {addr}: {cause}; is another program using the port?")]
    Bind {
        /// What was asked for.
        addr: String,
        /// The system's answer.
        cause: String,
    },
    /// The address to listen on makes no sense.
    #[error("{addr} is not an address to listen on")]
    BadAddress {
        /// The address.
        addr: SocketAddr,
    },
    /// The relay server could not be started.
    #[error("cannot start the relay on {addr}: {cause}; is another program using the port?")]
    Relay {
        /// What was asked for.
        addr: SocketAddr,
        /// The system's answer.
        cause: String,
    },
}

/// Why a device could not be dialed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nothing is known about where the device is.
    #[error(
        "no address is known for device {}; start it on the same network, or link the two devices \
         again, or give both the address of a relay",
        device.short()
    )]
    NoAddress {
        /// The device.
        device: DeviceId,
    },
    /// Nothing answered.
    #[error(
        "device {} did not answer at {tried}; is it running and online?",
        device.short()
    )]
    Unreachable {
        /// The device.
        device: DeviceId,
        /// What was tried, for people.
        tried: String,
    },
    /// The device runs a version that does not know the protocol.
    #[error(
        "device {} answered but does not speak {alpn}; update Stead on both devices",
        device.short()
    )]
    WrongProtocol {
        /// The device.
        device: DeviceId,
        /// The protocol asked for.
        alpn: String,
    },
    /// The device closed the door before the connection was complete, or the handshake failed.
    #[error("device {} refused the connection: {cause}", device.short())]
    Refused {
        /// The device.
        device: DeviceId,
        /// What it or the handshake said.
        cause: String,
    },
    /// The id is this device's own.
    #[error("a device cannot connect to itself")]
    OwnDevice,
    /// The id is not the key of any device.
    #[error("{} is not a device id", device)]
    NotADevice {
        /// The id.
        device: DeviceId,
    },
    /// The network was shut down.
    #[error("the network is shut down")]
    ShutDown,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// This side closed it.
    #[error("closed here")]
    Here,
    /// The other device closed it.
    #[error("closed by the other device ({code}): {reason}")]
    ByPeer {
        /// The code it gave.
        code: u64,
        /// The reason it gave, cut to what one packet carries.
        reason: String,
    },
    /// Nothing was heard for too long.
    #[error("the other device went silent")]
    Silent,
    /// The other device restarted and no longer knows the connection.
    #[error("the other device restarted")]
    Restarted,
    /// The transport failed.
    #[error("the connection failed: {cause}")]
    Failed {
        /// The transport's words.
        cause: String,
    },
}

/// Why a stream stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The connection under it ended.
    #[error("{0}")]
    Connection(Closed),
    /// The other side no longer reads.
    #[error("the other side stopped reading ({code})")]
    Stopped {
        /// The code it gave.
        code: u64,
    },
    /// The other side gave up the stream.
    #[error("the other side abandoned the stream ({code})")]
    Reset {
        /// The code it gave.
        code: u64,
    },
    /// The stream ended before all expected bytes arrived.
    #[error("the stream ended after {got} bytes")]
    Ended {
        /// How many of the expected bytes arrived.
        got: usize,
    },
    /// The stream was already closed here.
    #[error("the stream is closed")]
    Closed,
}

/// The TLS alert by which a server says that no protocol matched (RFC 7301, section 3.2).
const ALERT_NO_APPLICATION_PROTOCOL: u8 = 120;

impl From<ConnectionError> for Closed {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::LocallyClosed => Self::Here,
            ConnectionError::ApplicationClosed(close) => Self::ByPeer {
                code: close.error_code.into_inner(),
                reason: String::from_utf8_lossy(&close.reason).into_owned(),
            },
            ConnectionError::TimedOut => Self::Silent,
            ConnectionError::Reset => Self::Restarted,
            other => Self::Failed {
                cause: other.to_string(),
            },
        }
    }
}

impl From<WriteError> for StreamError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::Stopped {
                code: code.into_inner(),
            },
            WriteError::ConnectionLost(error) => Self::Connection(error.into()),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => Self::Closed,
        }
    }
}

impl From<ReadError> for StreamError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::Reset {
                code: code.into_inner(),
            },
            ReadError::ConnectionLost(error) => Self::Connection(error.into()),
            ReadError::ClosedStream | ReadError::ZeroRttRejected => Self::Closed,
        }
    }
}

impl From<ReadExactError> for StreamError {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::FinishedEarly(got) => Self::Ended { got },
            ReadExactError::ReadError(error) => error.into(),
        }
    }
}

/// Whether the other side refused because it does not speak the protocol.
pub(crate) fn is_wrong_protocol(error: &ConnectionError) -> bool {
    let alert = TransportErrorCode::crypto(ALERT_NO_APPLICATION_PROTOCOL);
    match error {
        ConnectionError::ConnectionClosed(close) => close.error_code == alert,
        ConnectionError::TransportError(error) => error.code == alert,
        _ => false,
    }
}

/// The innermost cause, which is the one that tells a person something.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
