//! One authenticated connection to one device.
//!
//! The other side's identity is its device key, proven in the handshake. Paths come and go under
//! a connection without the streams noticing.

use std::time::Duration;

use iroh::endpoint::{PathList, VarInt, WeakConnectionHandle};
use iroh::{Endpoint, TransportAddr};
use n0_future::StreamExt;
use stead_base::DeviceId;
use tokio::sync::watch;

use crate::book::AddressBook;
use crate::error::Closed;
use crate::locality::LocalNetworks;
use crate::path::{self, PathFacts, PathKind, PathReport};
use crate::stream::{RecvStream, SendStream};

/// The label under which both sides derive the channel binding (RFC 5705).
const BINDING_LABEL: &[u8] = b"EXPORTER-stead-channel-binding";
/// How often the report of a connection without a direct path is refreshed.
const REFRESH: Duration = Duration::from_secs(3);

/// What the endpoint lends to its connections so that they can explain their paths.
#[derive(Debug, Clone)]
pub(crate) struct PathContext {
    pub(crate) endpoint: Endpoint,
    pub(crate) book: AddressBook,
    pub(crate) relay_only: bool,
}

/// One authenticated connection. Clones are handles of the same connection.
#[derive(Debug, Clone)]
pub struct Connection {
    inner: iroh::endpoint::Connection,
    remote: DeviceId,
    dialed: bool,
    binding: [u8; 32],
    path: watch::Receiver<PathReport>,
}

impl Connection {
    /// Takes over an established connection; fails if its keys cannot be used any more.
    pub(crate) fn adopt(
        inner: iroh::endpoint::Connection,
        dialed: bool,
        context: PathContext,
    ) -> Result<Self, Closed> {
        let mut binding = [0; 32];
        inner
            .export_keying_material(&mut binding, BINDING_LABEL, &[])
            .map_err(|_| Closed::Failed {
                cause: "the handshake gave no keys".to_owned(),
            })?;
        let remote = DeviceId::from_bytes(*inner.remote_id().as_bytes());
        let first = path::report(PathFacts {
            kind: PathKind::Connecting,
            rtt_ms: None,
            nearness: None,
            known: Vec::new(),
            relay_only: context.relay_only,
            was_direct: false,
        });
        let (reports, path) = watch::channel(first);
        let events = inner.path_events();
        tokio::spawn(follow_paths(
            inner.weak_handle(),
            remote,
            events,
            context,
            reports,
        ));
        Ok(Self {
            inner,
            remote,
            dialed,
            binding,
            path,
        })
    }

    /// The other device.
    pub fn remote(&self) -> DeviceId {
        self.remote
    }

    /// The protocol both sides agreed on.
    pub fn alpn(&self) -> &[u8] {
        self.inner.alpn()
    }

    /// Whether this side dialed.
    pub fn dialed(&self) -> bool {
        self.dialed
    }

    /// Bytes that both ends of this connection, and nobody else, know: the same on both sides,
    /// different for every connection. A proof made over them cannot be passed on elsewhere.
    pub fn channel_binding(&self) -> [u8; 32] {
        self.binding
    }

    /// Opens a stream. The other side hears of it with the first bytes.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), Closed> {
        let (send, recv) = self.inner.open_bi().await?;
        Ok((SendStream(send), RecvStream(recv)))
    }

    /// Waits for a stream that the other side opened.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), Closed> {
        let (send, recv) = self.inner.accept_bi().await?;
        Ok((SendStream(send), RecvStream(recv)))
    }

    /// Closes at once; the reason reaches the other side if it can be reached.
    pub fn close(&self, code: u32, reason: &str) {
        self.inner.close(VarInt::from_u32(code), reason.as_bytes());
    }

    /// Waits for the end.
    pub async fn closed(&self) -> Closed {
        self.inner.closed().await.into()
    }

    /// How it ended, if it has.
    pub fn close_reason(&self) -> Option<Closed> {
        self.inner.close_reason().map(Closed::from)
    }

    /// The path in use and why.
    pub fn path(&self) -> PathReport {
        let mut report = self.path.borrow().clone();
        if let Some((_, rtt_ms)) = selected(&self.inner.paths()) {
            report.rtt_ms = Some(rtt_ms);
        }
        report
    }

    /// Follows the path in use. It ends with the connection.
    pub fn watch_path(&self) -> watch::Receiver<PathReport> {
        self.path.clone()
    }

    /// Bytes of UDP payload sent and received, over all paths.
    pub fn bytes(&self) -> (u64, u64) {
        let stats = self.inner.stats();
        (stats.udp_tx.bytes, stats.udp_rx.bytes)
    }
}

/// Keeps the report true until the connection, or interest in it, ends.
async fn follow_paths(
    connection: WeakConnectionHandle,
    remote: DeviceId,
    mut events: iroh::endpoint::PathEventStream,
    context: PathContext,
    reports: watch::Sender<PathReport>,
) {
    let mut was_direct = false;
    loop {
        let Some(strong) = connection.upgrade() else {
            return;
        };
        let report = describe(&strong, remote, &context, was_direct).await;
        drop(strong);
        was_direct |= report.is_direct();
        let direct = report.is_direct();
        reports.send_if_modified(|last| {
            let changed = last.kind != report.kind || last.why != report.why;
            *last = report;
            changed
        });
        tokio::select! {
            event = events.next() => if event.is_none() { return },
            () = tokio::time::sleep(REFRESH), if !direct => {}
            () = reports.closed() => return,
        }
    }
}

async fn describe(
    connection: &iroh::endpoint::Connection,
    remote: DeviceId,
    context: &PathContext,
    was_direct: bool,
) -> PathReport {
    let selected = selected(&connection.paths());
    let (kind, rtt_ms) = match selected {
        Some((TransportAddr::Ip(addr), rtt_ms)) => (PathKind::Direct { addr }, Some(rtt_ms)),
        Some((TransportAddr::Relay(url), rtt_ms)) => (PathKind::Relayed { url }, Some(rtt_ms)),
        Some(_) | None => (PathKind::Connecting, None),
    };
    let nearness = match &kind {
        // Read anew: a network that was joined this moment is part of the answer.
        PathKind::Direct { addr } => Some(LocalNetworks::read().await.nearness(addr.ip())),
        _ => None,
    };
    let mut known = context.book.hints(&remote).addrs;
    if matches!(kind, PathKind::Relayed { .. })
        && let Some(info) = context.endpoint.remote_info(connection.remote_id()).await
    {
        for info in info.addrs() {
            if let TransportAddr::Ip(addr) = info.addr()
                && !known.contains(addr)
            {
                known.push(*addr);
            }
        }
    }
    path::report(PathFacts {
        kind,
        rtt_ms,
        nearness,
        known,
        relay_only: context.relay_only,
        was_direct,
    })
}

/// The path that carries data, with its round trip in milliseconds, rounded up.
fn selected(paths: &PathList<'_>) -> Option<(TransportAddr, u32)> {
    let path = paths
        .iter()
        .find(|path| path.is_selected())
        .or_else(|| (paths.len() == 1).then(|| paths.iter().next()).flatten())?;
    let rtt_ms = path.rtt().as_micros().div_ceil(1_000);
    Some((
        path.remote_addr().clone(),
        u32::try_from(rtt_ms).unwrap_or(u32::MAX),
    ))
}
