//! A relay that any machine can run: it passes sealed packets between devices that cannot reach
//! each other directly, and keeps nothing.

use std::net::SocketAddr;

use stead_net::{RelayAccess, RelayServer, RelayServerConfig};

use crate::NodeError;

/// Runs a relay until `shutdown` is ready. `started` hears the address it listens on.
pub async fn run(
    bind: SocketAddr,
    access: RelayAccess,
    started: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    let server = RelayServer::start(RelayServerConfig { bind, access }).await?;
    tracing::info!(address = %server.local_addr(), "relaying");
    started(server.local_addr());
    shutdown.await;
    let stats = server.stats();
    tracing::info!(
        accepted = stats.accepted,
        bytes = stats.bytes_in,
        "the relay stops"
    );
    server.shutdown().await;
    Ok(())
}
