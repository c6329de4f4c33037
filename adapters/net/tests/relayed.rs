//! Two devices that can only meet through our own relay.

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use stead_net::{Net, NetConfig, RelayAccess, RelayServer, RelayState, RelayUrl};
use support::{
    ALPN, config, echo, echoes, introduce_relay, loopback, pair, path_where, relay, start, within,
};
use zeroize::Zeroizing;

fn relay_only(seed: u8, url: &RelayUrl) -> NetConfig {
    let mut config = config(seed);
    config.direct = false;
    config.relays = vec![url.clone()];
    config
}

async fn connected(net: &Net) {
    within(20, "relay", async {
        while !net
            .relay_reports()
            .iter()
            .any(|report| report.state == RelayState::Connected)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

async fn on_a_relay() -> (RelayServer, RelayUrl, Net, Net) {
    let server = relay(loopback(), RelayAccess::Anyone).await;
    let url = server.url().expect("particular address");
    let a = start(relay_only(1, &url)).await;
    let b = start(relay_only(2, &url)).await;
    connected(&a).await;
    connected(&b).await;
    introduce_relay(&a, &b, &url);
    (server, url, a, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_without_a_direct_path_meet_on_a_relay_and_say_so() {
    let (server, url, a, b) = on_a_relay().await;
    assert_eq!(b.local_hints().relay, Some(url));
    assert!(b.local_hints().addrs.is_empty());
    let (ab, ba) = within(10, "connect", pair(&a, &b)).await;
    within(10, "echo", echo(&ab, &ba)).await;
    for connection in [&ab, &ba] {
        let report = within(5, "path", path_where(connection, |r| r.is_relayed())).await;
        assert_eq!(
            report.why,
            format!(
                "relayed by http://{}: this device is set to use relays only",
                server.local_addr()
            )
        );
    }
    let stats = server.stats();
    assert_eq!(stats.clients, 2);
    assert!(stats.bytes_in > 0 && stats.bytes_out > 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_without_a_relay_of_its_own_dials_through_the_others() {
    let server = relay(loopback(), RelayAccess::Anyone).await;
    let url = server.url().expect("particular address");
    let mut bare = config(1);
    bare.direct = false;
    let a = start(bare).await;
    let b = start(relay_only(2, &url)).await;
    connected(&b).await;
    introduce_relay(&a, &b, &url);
    let (ab, ba) = within(15, "connect", pair(&a, &b)).await;
    within(10, "echo", echo(&ab, &ba)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_dies_and_comes_back_heals_by_itself() {
    let (server, _, a, b) = on_a_relay().await;
    let addr: SocketAddr = server.local_addr();
    let mut keeper = a.keep(b.device_id(), ALPN);
    let (first, accepted) = tokio::join!(keeper.next(), b.accept());
    let (first, accepted) = (first.expect("dialed"), accepted.expect("accepted"));
    within(10, "echo", echo(&first, &accepted)).await;

    server.shutdown().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let _server = relay(addr, RelayAccess::Anyone).await;

    // Either the connection survives, or the keeper makes another: something must echo again. What was
    // asked while nothing went through may never be answered: it is asked again.
    within(90, "recovery", async {
        let (mut dialed, mut taken) = (first, accepted);
        loop {
            tokio::select! {
                heard = echoes(&dialed, &taken), if dialed.close_reason().is_none() => if heard {
                    return;
                },
                Some(next) = keeper.next() => dialed = next,
                Some(next) = b.accept() => taken = next,
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_on_a_relay_find_the_direct_path_by_themselves() {
    let server = relay(loopback(), RelayAccess::Anyone).await;
    let url = server.url().expect("particular address");
    let mut settings = [config(1), config(2)];
    for config in &mut settings {
        config.relays = vec![url.clone()];
    }
    let [first, second] = settings;
    let (a, b) = (start(first).await, start(second).await);
    connected(&a).await;
    connected(&b).await;
    introduce_relay(&a, &b, &url);
    let (ab, _ba) = within(10, "connect", pair(&a, &b)).await;
    let report = within(20, "upgrade", path_where(&ab, |r| r.is_direct())).await;
    assert_eq!(report.why, "direct: this machine (127.0.0.1)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_with_a_token_refuses_those_who_lack_it() {
    let token = RelayAccess::Token(Zeroizing::new("open-sesame".to_owned()));
    let server = relay(loopback(), token).await;
    let url = server.url().expect("particular address");
    let stranger = start(relay_only(1, &url)).await;
    within(20, "refusal", async {
        loop {
            let reports = stranger.relay_reports();
            if let Some(report) = reports.first().filter(|r| r.state == RelayState::Refused) {
                assert!(
                    report.why.contains("token is missing or wrong"),
                    "{}",
                    report.why
                );
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let with_token: RelayUrl = format!("{url}?token=open-sesame").parse().expect("url");
    connected(&start(relay_only(2, &with_token)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_with_a_list_admits_only_the_devices_on_it() {
    let listed = start(config(2)).await;
    let list = BTreeSet::from([listed.device_id()]);
    let server = relay(loopback(), RelayAccess::Devices(list)).await;
    let url = server.url().expect("particular address");
    listed.set_relays(vec![url.clone()]).await;
    connected(&listed).await;
    let stranger = start(relay_only(1, &url)).await;
    within(20, "refusal", async {
        while !stranger
            .relay_reports()
            .iter()
            .any(|report| report.state == RelayState::Refused)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
