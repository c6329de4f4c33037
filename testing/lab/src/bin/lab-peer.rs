//! A bare device on the network, without a node: it echoes what it is sent, and keeps asking one
//! other device for an echo, one line of output for each answer.
//!
//! `lab-peer SEED [--port N] [--relay URL] [--keep SEED [--at ADDR] [--through URL]]`; a seed is one
//! byte, from which the device key is made.

use std::net::SocketAddr;
use std::time::Duration;

use stead_net::{Bind, Connection, Net, NetConfig, PeerHints, RelayUrl, StreamError};

const ALPN: &[u8] = b"stead/lab/1";
const PAUSE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Default)]
struct Wishes {
    seed: u8,
    port: Option<u16>,
    relay: Option<RelayUrl>,
    keep: Option<u8>,
    hints: PeerHints,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_ansi(false)
        .init();
    let wishes = wishes();
    let mut config = NetConfig::new([wishes.seed; 32]);
    config.alpns = vec![ALPN.to_vec()];
    config.bind = wishes.port.map_or(Bind::Any, Bind::Port);
    config.relays = wishes.relay.into_iter().collect();
    let net = Net::start(config).await.expect("network");
    println!("ready {}", net.device_id());
    let listening = net.clone();
    tokio::spawn(async move {
        while let Some(connection) = listening.accept().await {
            tokio::spawn(answer(connection));
        }
    });
    if let Some(other) = wishes.keep {
        let other = device_of(other).await;
        net.learn(other, wishes.hints);
        let mut keeper = net.keep(other, ALPN);
        let mut status = keeper.watch_status();
        tokio::spawn(async move {
            while status.changed().await.is_ok() {
                println!("status {:?}", *status.borrow_and_update());
            }
        });
        while let Some(connection) = keeper.next().await {
            ask(&connection).await;
        }
    }
    std::future::pending::<()>().await;
}

fn wishes() -> Wishes {
    let mut args = std::env::args().skip(1);
    let mut wishes = Wishes {
        seed: args
            .next()
            .and_then(|text| text.parse().ok())
            .expect("a seed"),
        ..Wishes::default()
    };
    while let (Some(flag), Some(value)) = (args.next(), args.next()) {
        match flag.as_str() {
            "--port" => wishes.port = Some(value.parse().expect("a port")),
            "--relay" => wishes.relay = Some(value.parse().expect("a url")),
            "--keep" => wishes.keep = Some(value.parse().expect("a seed")),
            "--at" => {
                let addr: SocketAddr = value.parse().expect("an address");
                wishes.hints.addrs.push(addr);
            }
            "--through" => wishes.hints.relay = Some(value.parse().expect("a url")),
            other => panic!("unknown flag {other}"),
        }
    }
    wishes
}

/// The device that a seed makes.
async fn device_of(seed: u8) -> stead_base::DeviceId {
    let mut config = NetConfig::new([seed; 32]);
    config.lan = stead_net::Lan::Off;
    config.direct = false;
    Net::start(config).await.expect("network").device_id()
}

async fn answer(connection: Connection) {
    while let Ok((mut send, mut recv)) = connection.accept_bi().await {
        let mut question = [0; 8];
        if recv.read_exact(&mut question).await.is_ok() {
            // Whoever went away needs no answer.
            let _ = send.write_all(&question).await;
        }
    }
}

async fn ask(connection: &Connection) {
    let mut count: u64 = 0;
    while connection.close_reason().is_none() {
        count += 1;
        match tokio::time::timeout(PATIENCE, round(connection, count)).await {
            Ok(Ok(())) => println!("echo {count} {}", connection.path()),
            Ok(Err(error)) => println!("lost {error}"),
            Err(_) => println!("silent {}", connection.path()),
        }
        tokio::time::sleep(PAUSE).await;
    }
    println!("closed {:?}", connection.close_reason());
}

async fn round(connection: &Connection, count: u64) -> Result<(), StreamError> {
    let (mut send, mut recv) = connection
        .open_bi()
        .await
        .map_err(StreamError::Connection)?;
    send.write_all(&count.to_be_bytes()).await?;
    let mut answer = [0; 8];
    recv.read_exact(&mut answer).await?;
    assert_eq!(answer, count.to_be_bytes());
    Ok(())
}
