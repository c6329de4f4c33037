//! Measures one stream over loopback: `throughput send|recv|both [MIB]`, each side in a process of
//! its own so that its CPU seconds are its own.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Instant;

use bytes::Bytes;
use stead_net::{Bind, Lan, Net, NetConfig, PeerHints};

const ALPN: &[u8] = b"stead/throughput/1";
const CHUNK: usize = 256 * 1024;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mib: usize = args
        .get(2)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1024);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    match args.get(1).map(String::as_str) {
        Some("recv") => runtime.block_on(receive()),
        Some("send") => runtime.block_on(send(&args[3], mib)),
        Some("idle") => runtime.block_on(idle()),
        _ => both(mib),
    }
}

fn both(mib: usize) {
    let program = std::env::current_exe().expect("own path");
    let mut receiver = Command::new(&program)
        .arg("recv")
        .stdout(Stdio::piped())
        .spawn()
        .expect("receiver");
    let mut lines = BufReader::new(receiver.stdout.take().expect("stdout")).lines();
    let addr = lines.next().expect("address").expect("line");
    let sent = Command::new(&program)
        .args(["send", &mib.to_string(), &addr])
        .status()
        .expect("sender");
    assert!(sent.success());
    for line in lines.map_while(Result::ok) {
        println!("{line}");
    }
    receiver.wait().expect("receiver");
}

fn config(seed: u8) -> NetConfig {
    let mut config = NetConfig::new([seed; 32]);
    config.bind = Bind::Addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.lan = Lan::Off;
    config.alpns = vec![ALPN.to_vec()];
    config
}

async fn idle() {
    let net = Net::start(config(3)).await.expect("start");
    let mut announcing = config(4);
    announcing.lan = Lan::Only(vec![Ipv4Addr::LOCALHOST]);
    let lan = Net::start(announcing).await.expect("start");
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    println!("two idle endpoints, one announcing: {}", status());
    drop((net, lan));
}

async fn receive() {
    let net = Net::start(config(1)).await.expect("start");
    println!("{}", net.bound()[0]);
    let connection = net.accept().await.expect("accept");
    let (mut send, mut recv) = connection.accept_bi().await.expect("stream");
    let mut first = [0; 1];
    recv.read_exact(&mut first).await.expect("start byte");
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut total = 0;
    let mut chunks = vec![Bytes::new(); 64];
    while let Some(count) = recv.read_chunks(&mut chunks).await.expect("read") {
        total += chunks[..count].iter().map(Bytes::len).sum::<usize>();
    }
    report("receiver", total, start, cpu);
    send.write_all(b"!").await.expect("answer");
    send.finish().expect("finish");
    connection.closed().await;
}

async fn send(addr: &str, mib: usize) {
    let net = Net::start(config(2)).await.expect("start");
    let peer = Net::start(config(1)).await.expect("start").device_id();
    let hints = PeerHints {
        addrs: vec![addr.parse().expect("address")],
        relay: None,
    };
    net.learn(peer, hints);
    let connection = net.connect(peer, ALPN).await.expect("connect");
    let (mut send, mut recv) = connection.open_bi().await.expect("stream");
    let chunk = Bytes::from(vec![7; CHUNK]);
    send.write_all(b"s").await.expect("start byte");
    let (start, cpu) = (Instant::now(), cpu_seconds());
    for _ in 0..mib * (1 << 20) / CHUNK {
        send.write_chunk(chunk.clone()).await.expect("write");
    }
    send.finish().expect("finish");
    recv.read_exact(&mut [0]).await.expect("answer");
    report("sender", mib << 20, start, cpu);
    println!("path: {}", connection.path().why);
    connection.close(0, "done");
    net.shutdown().await;
}

fn report(who: &str, bytes: usize, start: Instant, cpu: f64) {
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let mib = bytes as f64 / f64::from(1 << 20);
    println!(
        "{who}: {mib:.0} MiB in {seconds:.2} s = {:.0} MiB/s, {:.3} CPU s per 100 MiB, {}",
        mib / seconds,
        cpu * 100.0 / mib,
        status()
    );
}

/// User and system seconds of this process, in the kernel's ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|f| f.parse().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

fn status() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status
        .lines()
        .filter(|l| l.starts_with("VmRSS") || l.starts_with("RssAnon"));
    lines.collect::<Vec<_>>().join(" ").replace('\t', " ")
}
