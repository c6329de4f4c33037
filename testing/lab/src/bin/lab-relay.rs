//! A bare relay, without a node: `lab-relay ADDR`.

use stead_net::{RelayAccess, RelayServer, RelayServerConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let bind = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let config = RelayServerConfig {
        bind: bind.expect("an address"),
        access: RelayAccess::Anyone,
    };
    let server = RelayServer::start(config).await.expect("relay");
    println!("ready {}", server.local_addr());
    std::future::pending::<()>().await;
}
