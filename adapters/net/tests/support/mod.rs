//! Helpers for tests on loopback: devices that see only what the test tells them.

#![allow(dead_code, unreachable_pub)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use stead_net::{
    Bind, Connection, Lan, Net, NetConfig, PathReport, PeerHints, RelayAccess, RelayServer,
    RelayServerConfig, RelayUrl,
};

pub const ALPN: &[u8] = b"stead/test/1";

/// Settings that never leave loopback.
pub fn config(seed: u8) -> NetConfig {
    let mut config = NetConfig::new([seed; 32]);
    config.bind = Bind::Addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.lan = Lan::Off;
    config.alpns = vec![ALPN.to_vec()];
    config
}

pub async fn start(config: NetConfig) -> Net {
    Net::start(config).await.expect("start")
}

pub async fn relay(bind: SocketAddr, access: RelayAccess) -> RelayServer {
    RelayServer::start(RelayServerConfig { bind, access })
        .await
        .expect("relay")
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Tells `who` where `whom` listens.
pub fn introduce(who: &Net, whom: &Net) {
    who.learn(
        whom.device_id(),
        PeerHints {
            addrs: whom.bound(),
            relay: None,
        },
    );
}

/// Tells `who` only the relay of `whom`.
pub fn introduce_relay(who: &Net, whom: &Net, relay: &RelayUrl) {
    who.learn(
        whom.device_id(),
        PeerHints {
            addrs: Vec::new(),
            relay: Some(relay.clone()),
        },
    );
}

/// Both ends of one connection.
pub async fn pair(dialer: &Net, listener: &Net) -> (Connection, Connection) {
    let (dialed, accepted) = tokio::join!(
        dialer.connect(listener.device_id(), ALPN),
        listener.accept()
    );
    (dialed.expect("connect"), accepted.expect("accept"))
}

pub async fn within<T>(seconds: u64, what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future)
        .await
        .unwrap_or_else(|_| panic!("{what} took longer than {seconds} s"))
}

pub async fn path_where(
    connection: &Connection,
    wanted: impl Fn(&PathReport) -> bool,
) -> PathReport {
    let mut reports = connection.watch_path();
    let found = reports.wait_for(|report| wanted(report)).await;
    found.expect("connection open").clone()
}

/// Sends a small message and waits for the same one back.
pub async fn echo(from: &Connection, to: &Connection) {
    let there = async {
        let (mut send, mut recv) = from.open_bi().await.expect("open");
        send.write_all(b"ping").await.expect("write");
        let mut answer = [0; 4];
        recv.read_exact(&mut answer).await.expect("read");
        assert_eq!(&answer, b"ping");
    };
    let back = async {
        let (mut send, mut recv) = to.accept_bi().await.expect("accept");
        let mut question = [0; 4];
        recv.read_exact(&mut question).await.expect("read");
        send.write_all(&question).await.expect("write");
        send.delivered().await.ok();
    };
    tokio::join!(there, async {
        tokio::time::timeout(Duration::from_secs(5), back)
            .await
            .ok()
    });
}

/// Whether a small message comes back within five seconds, whatever was asked before and not answered.
pub async fn echoes(from: &Connection, to: &Connection) -> bool {
    let there = async {
        let (mut send, mut recv) = from.open_bi().await.ok()?;
        send.write_all(b"ping").await.ok()?;
        let mut answer = [0; 4];
        recv.read_exact(&mut answer).await.ok()?;
        Some(())
    };
    let back = async {
        while let Ok((mut send, mut recv)) = to.accept_bi().await {
            let mut question = [0; 4];
            if recv.read_exact(&mut question).await.is_ok() {
                send.write_all(&question).await.ok();
            }
        }
        std::future::pending::<()>().await;
    };
    let heard = async {
        tokio::select! {
            heard = there => heard.is_some(),
            () = back => false,
        }
    };
    tokio::time::timeout(Duration::from_secs(5), heard)
        .await
        .unwrap_or(false)
}
