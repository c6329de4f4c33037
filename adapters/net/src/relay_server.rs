//! A relay that any node can run: it passes sealed packets between devices that cannot reach each
//! other directly, and can read none of them.
//!
//! It speaks plain HTTP. The packets inside are sealed end to end, so a listener on the way learns
//! what the relay itself learns: which device ids talk, when, and how much.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use iroh::RelayUrl;
use iroh_relay::server::{Access, AccessControl, ClientRequest, Server, ServerConfig};
use stead_base::DeviceId;
use zeroize::Zeroizing;

use crate::error::{NetError, root_cause};

/// Who may use a relay.
#[derive(Debug, Clone, Default)]
pub enum RelayAccess {
    /// Everybody who can reach it.
    #[default]
    Anyone,
    /// Only these devices.
    Devices(BTreeSet<DeviceId>),
    /// Whoever knows the token.
    Token(Zeroizing<String>),
}

/// How to start a relay.
#[derive(Debug, Clone)]
pub struct RelayServerConfig {
    /// Where to listen; port 0 takes any.
    pub bind: SocketAddr,
    /// Who may use it.
    pub access: RelayAccess,
}

/// What a relay has done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Devices connected now.
    pub clients: u64,
    /// Devices that connected, in all.
    pub accepted: u64,
    /// Bytes taken from devices.
    pub bytes_in: u64,
    /// Bytes handed to devices.
    pub bytes_out: u64,
    /// Packets that could not be delivered.
    pub dropped: u64,
}

/// A running relay; dropping it stops it.
#[derive(Debug)]
pub struct RelayServer {
    server: Server,
    local_addr: SocketAddr,
}

impl RelayServer {
    /// Starts listening. Needs a tokio runtime.
    pub async fn start(config: RelayServerConfig) -> Result<Self, NetError> {
        let failed = |cause: String| NetError::Relay {
            addr: config.bind,
            cause,
        };
        let mut relay = iroh_relay::server::RelayConfig::new(config.bind);
        relay.access = Arc::new(Gate(config.access.clone()));
        let mut server_config = ServerConfig::default();
        server_config.relay = Some(relay);
        let server = Server::spawn(server_config)
            .await
            .map_err(|error| failed(root_cause(&error)))?;
        let local_addr = server
            .http_addr()
            .ok_or_else(|| failed("no address".to_owned()))?;
        Ok(Self { server, local_addr })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address devices use, where `host` is how they reach this machine.
    pub fn url_for(&self, host: std::net::IpAddr) -> RelayUrl {
        relay_url(SocketAddr::new(host, self.local_addr.port()))
    }

    /// The address devices use, if the one it listens on is a particular one.
    pub fn url(&self) -> Option<RelayUrl> {
        (!self.local_addr.ip().is_unspecified()).then(|| relay_url(self.local_addr))
    }

    /// What it has done so far.
    pub fn stats(&self) -> RelayStats {
        let metrics = &self.server.metrics().server;
        let accepted = metrics.accepts.get();
        RelayStats {
            clients: accepted.saturating_sub(metrics.disconnects.get()),
            accepted,
            bytes_in: metrics.bytes_recv.get(),
            bytes_out: metrics.bytes_sent.get(),
            dropped: metrics.send_packets_dropped.get(),
        }
    }

    /// Stops and waits until the port is free.
    pub async fn shutdown(self) {
        if let Err(error) = self.server.shutdown().await {
            tracing::debug!(%error, "the relay ended with an error");
        }
    }
}

fn relay_url(addr: SocketAddr) -> RelayUrl {
    // A socket address is always a valid authority.
    format!("http://{addr}/")
        .parse()
        .expect("a socket address makes a valid url")
}

#[derive(Debug)]
struct Gate(RelayAccess);

impl AccessControl for Gate {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        let device = DeviceId::from_bytes(*request.endpoint_id().as_bytes());
        let refused = match &self.0 {
            RelayAccess::Anyone => None,
            RelayAccess::Devices(devices) if devices.contains(&device) => None,
            RelayAccess::Devices(_) => Some("this device is not on the relay's list"),
            RelayAccess::Token(token) => {
                let given = request.auth_token().map(Zeroizing::new);
                let matches = given.is_some_and(|given| same(given.as_bytes(), token.as_bytes()));
                (!matches).then_some("the token is missing or wrong")
            }
        };
        match refused {
            None => Access::Allow,
            Some(reason) => Access::Deny {
                reason: Some(reason.to_owned()),
            },
        }
    }
}

/// Compares without telling by its duration where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
