//! Devices that announce themselves on loopback find each other without being told anything.

mod support;

use std::net::Ipv4Addr;

use stead_net::{Lan, NetConfig, NetEvent};
use support::{config, echo, pair, start, within};

fn announcing(seed: u8) -> NetConfig {
    let mut config = config(seed);
    config.lan = Lan::Only(vec![Ipv4Addr::LOCALHOST]);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_on_one_network_find_each_other_and_notice_who_leaves() {
    let a = start(announcing(11)).await;
    let mut news = a.events();
    let b = start(announcing(12)).await;
    let device = b.device_id();
    within(20, "sighting", async {
        while news.recv().await.expect("events") != (NetEvent::Sighted { device }) {}
    })
    .await;
    assert!(a.sighted().iter().any(|(seen, _)| *seen == device));
    let (ab, ba) = within(10, "connect", pair(&a, &b)).await;
    echo(&ab, &ba).await;

    b.shutdown().await;
    drop((b, ab, ba));
    within(60, "departure", async {
        while news.recv().await.expect("events") != (NetEvent::Gone { device }) {}
    })
    .await;
}
