//! Two devices on loopback that know each other's address.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use stead_base::DeviceId;
use stead_net::{BEAT_LIMIT_MS, Bind, Closed, ConnectError, Net, PathKind, PeerHints};
use support::{ALPN, config, echo, introduce, pair, path_where, start, within};

async fn two() -> (Net, Net) {
    let (a, b) = (start(config(1)).await, start(config(2)).await);
    introduce(&a, &b);
    (a, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_cross_in_both_directions() {
    const CHUNK: usize = 1 << 20;
    const CHUNKS: usize = 100;
    let (a, b) = two().await;
    let (ab, ba) = within(10, "connect", pair(&a, &b)).await;

    async fn pump(mut send: stead_net::SendStream, fill: u8) {
        let chunk = Bytes::from(vec![fill; CHUNK]);
        for _ in 0..CHUNKS {
            send.write_chunk(chunk.clone()).await.expect("write");
        }
        send.finish().expect("finish");
    }
    async fn drain(mut recv: stead_net::RecvStream, fill: u8) {
        let mut total = 0;
        while let Some(chunk) = recv.read_chunk(CHUNK).await.expect("read") {
            assert!(chunk.iter().all(|byte| *byte == fill));
            total += chunk.len();
        }
        assert_eq!(total, CHUNK * CHUNKS);
    }

    let (send, recv) = ab.open_bi().await.expect("open");
    let there = tokio::spawn(pump(send, 7));
    let (back_send, back_recv) = within(5, "accept", ba.accept_bi()).await.expect("accept");
    let back = tokio::spawn(pump(back_send, 9));
    let (far, near) = (
        tokio::spawn(drain(back_recv, 7)),
        tokio::spawn(drain(recv, 9)),
    );
    within(60, "transfer", async {
        for task in [there, back, far, near] {
            task.await.expect("task");
        }
    })
    .await;

    for connection in [&ab, &ba] {
        let report = within(5, "path", path_where(connection, |r| r.is_direct())).await;
        assert_eq!(report.why, "direct: this machine (127.0.0.1)");
        assert!(matches!(report.kind, PathKind::Direct { .. }));
    }
}

#[tokio::test]
async fn both_ends_share_a_binding_that_no_other_connection_has() {
    let (a, b) = two().await;
    let (ab, ba) = pair(&a, &b).await;
    let (ab2, ba2) = pair(&a, &b).await;
    assert_eq!(ab.channel_binding(), ba.channel_binding());
    assert_eq!(ab2.channel_binding(), ba2.channel_binding());
    assert_ne!(ab.channel_binding(), ab2.channel_binding());
}

#[tokio::test]
async fn each_end_sees_the_device_key_of_the_other() {
    let (a, b) = two().await;
    let (ab, ba) = pair(&a, &b).await;
    assert_eq!(ab.remote(), b.device_id());
    assert_eq!(ba.remote(), a.device_id());
    assert!(ab.dialed() && !ba.dialed());
    assert_eq!(ab.alpn(), ALPN);
}

#[tokio::test]
async fn a_protocol_the_other_side_does_not_speak_is_refused() {
    let (a, b) = two().await;
    let refused = within(10, "refusal", a.connect(b.device_id(), b"stead/other/9")).await;
    assert_eq!(
        refused.err(),
        Some(ConnectError::WrongProtocol {
            device: b.device_id(),
            alpn: "stead/other/9".to_owned()
        })
    );
}

#[tokio::test]
async fn an_unknown_device_is_refused_with_advice() {
    let (a, b) = (start(config(1)).await, start(config(2)).await);
    let error = a.connect(b.device_id(), ALPN).await.expect_err("unknown");
    assert_eq!(
        error,
        ConnectError::NoAddress {
            device: b.device_id()
        }
    );
    assert!(
        error.to_string().contains("link the two devices again"),
        "{error}"
    );
    assert_eq!(
        a.connect(a.device_id(), ALPN).await.err(),
        Some(ConnectError::OwnDevice)
    );
}

#[tokio::test]
async fn another_device_at_the_known_address_is_not_taken_for_the_one_meant() {
    let (a, b) = (start(config(1)).await, start(config(2)).await);
    let meant = start(config(3)).await.device_id();
    a.learn(
        meant,
        PeerHints {
            addrs: b.bound(),
            relay: None,
        },
    );
    let error = within(20, "refusal", a.connect(meant, ALPN)).await;
    assert!(
        matches!(
            error,
            Err(ConnectError::Refused { .. } | ConnectError::Unreachable { .. })
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn nobody_at_the_known_address_is_said_with_the_addresses_tried() {
    let a = start(config(1)).await;
    let gone = start(config(2)).await;
    let (device, addrs) = (gone.device_id(), gone.bound());
    gone.shutdown().await;
    a.learn(
        device,
        PeerHints {
            addrs: addrs.clone(),
            relay: None,
        },
    );
    let error = within(20, "refusal", a.connect(device, ALPN)).await;
    assert_eq!(
        error.err(),
        Some(ConnectError::Unreachable {
            device,
            tried: addrs[0].to_string()
        })
    );
}

#[tokio::test]
async fn bytes_that_are_no_key_are_not_dialed() {
    let a = start(config(1)).await;
    // No point of the curve has this encoding.
    let device = DeviceId::from_bytes([2; 32]);
    let error = a.connect(device, ALPN).await.err();
    assert_eq!(error, Some(ConnectError::NotADevice { device }));
}

#[tokio::test]
async fn a_close_carries_its_code_and_reason_across() {
    let (a, b) = two().await;
    let (ab, ba) = pair(&a, &b).await;
    ab.close(42, "enough for today");
    assert_eq!(
        within(5, "close", ba.closed()).await,
        Closed::ByPeer {
            code: 42,
            reason: "enough for today".to_owned()
        }
    );
    assert_eq!(ab.close_reason(), Some(Closed::Here));
}

#[tokio::test]
async fn a_preferred_port_is_kept_when_free_and_given_up_when_taken() {
    let taken = std::net::UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let taken = taken.expect("bind").local_addr().expect("address").port();
    let mut wish = config(1);
    wish.bind = Bind::Prefer(taken);
    let first = start(wish).await;
    assert!(first.bound().iter().any(|addr| addr.port() == taken));
    let mut same = config(2);
    same.bind = Bind::Prefer(taken);
    let second = start(same).await;
    assert!(second.bound().iter().all(|addr| addr.port() != taken));
    let mut strict = config(3);
    strict.bind = Bind::Port(taken);
    let error = Net::start(strict).await.expect_err("port is taken");
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}

#[tokio::test]
async fn a_device_that_restarts_on_its_port_is_found_again_by_itself() {
    let a = start(config(1)).await;
    let b = start(config(2)).await;
    let addr = b.bound()[0];
    introduce(&a, &b);
    let mut keeper = a.keep(b.device_id(), ALPN);
    let (first, accepted) = tokio::join!(keeper.next(), b.accept());
    let first_ends = (first.expect("dialed"), accepted.expect("accepted"));
    echo(&first_ends.0, &first_ends.1).await;
    b.shutdown().await;
    drop(b);

    drop(first_ends);
    let b = within(10, "the port to become free", async {
        loop {
            let mut same = config(2);
            same.bind = Bind::Addr(addr);
            match Net::start(same).await {
                Ok(net) => return net,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    })
    .await;
    let again = within(60, "redial", async {
        tokio::join!(keeper.next(), b.accept())
    })
    .await;
    echo(&again.0.expect("dialed"), &again.1.expect("accepted")).await;
}

#[tokio::test]
async fn an_idle_connection_with_only_a_stream_left_outlives_the_heartbeat_limit() {
    let (a, b) = two().await;
    let (ab, ba) = pair(&a, &b).await;
    let (mut send, recv) = ab.open_bi().await.expect("open");
    send.write_all(b"!").await.expect("write");
    let (far_send, mut far_recv) = ba.accept_bi().await.expect("accept");
    far_recv.read_exact(&mut [0]).await.expect("read");
    drop((ab, recv, far_send));
    tokio::time::sleep(Duration::from_millis(BEAT_LIMIT_MS + 2_000)).await;
    send.write_all(b"?").await.expect("still open");
    within(5, "the byte", far_recv.read_exact(&mut [0]))
        .await
        .expect("still open");

    drop(send);
    drop(far_recv);
    let ended = within(5, "the end", ba.closed()).await;
    assert_eq!(
        ended,
        Closed::ByPeer {
            code: 0,
            reason: String::new()
        }
    );
}
