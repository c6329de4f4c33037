//! One authenticated connection to one device.
//!
//! The other side's identity is its device key, proven in the handshake. Paths come and go under
//! a connection without the streams noticing.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use iroh::endpoint::{PathEventStream, PathList, VarInt, WeakConnectionHandle};
use iroh::{Endpoint, TransportAddr};
use n0_future::StreamExt;
use stead_base::DeviceId;
use tokio::sync::watch;

use crate::book::AddressBook;
use crate::error::Closed;
use crate::heartbeat;
use crate::locality::LocalNetworks;
use crate::path::{self, PathFacts, PathKind, PathReport};
use crate::stream::{RecvStream, SendStream};

/// The label under which both sides derive the channel binding (RFC 5705).
const BINDING_LABEL: &[u8] = b"EXPORTER-stead-channel-binding";
/// How often the report of a connection without a direct path is refreshed.
const REFRESH: Duration = Duration::from_secs(2);
/// A connection that has had no path at all for this long is over.
const PATHLESS: Duration = Duration::from_secs(6);
/// The code a connection is closed with when it carries nothing any more.
pub const CLOSE_STALLED: u32 = 0x5354_0001;

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
    stalled: Arc<OnceLock<()>>,
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
        let stalled = Arc::new(OnceLock::new());
        let follower = Follower {
            connection: inner.weak_handle(),
            remote,
            context,
            reports,
            stalled: stalled.clone(),
        };
        tokio::spawn(follower.run(inner.path_events()));
        Ok(Self {
            inner,
            remote,
            dialed,
            binding,
            path,
            stalled,
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
        Ok(self.streams(send, recv))
    }

    /// Waits for a stream that the other side opened.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), Closed> {
        let (send, recv) = self.inner.accept_bi().await?;
        Ok(self.streams(send, recv))
    }

    fn streams(
        &self,
        send: iroh::endpoint::SendStream,
        recv: iroh::endpoint::RecvStream,
    ) -> (SendStream, RecvStream) {
        (
            SendStream::new(send, self.path.clone()),
            RecvStream::new(recv, self.path.clone()),
        )
    }

    /// Closes at once; the reason reaches the other side if it can be reached.
    pub fn close(&self, code: u32, reason: &str) {
        self.inner.close(VarInt::from_u32(code), reason.as_bytes());
    }

    /// Waits for the end.
    pub async fn closed(&self) -> Closed {
        self.ended(self.inner.closed().await.into())
    }

    /// How it ended, if it has.
    pub fn close_reason(&self) -> Option<Closed> {
        let reason = self.inner.close_reason()?;
        Some(self.ended(reason.into()))
    }

    /// A connection that was given up because it carried nothing was not closed by the caller.
    fn ended(&self, reason: Closed) -> Closed {
        match reason {
            Closed::Here if self.stalled.get().is_some() => Closed::Silent,
            Closed::ByPeer { code, .. } if code == u64::from(CLOSE_STALLED) => Closed::Silent,
            reason => reason,
        }
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

/// Keeps the report of one connection true, and ends the connection when it carries nothing.
struct Follower {
    connection: WeakConnectionHandle,
    remote: DeviceId,
    context: PathContext,
    reports: watch::Sender<PathReport>,
    stalled: Arc<OnceLock<()>>,
}

impl Follower {
    /// Runs until the connection, or interest in it, ends.
    async fn run(self, events: PathEventStream) {
        let closed = self.connection.closed();
        tokio::select! {
            _ = closed => {}
            () = self.follow_paths(events) => {}
            () = heartbeat::send(self.connection.clone()) => {}
            () = heartbeat::missed(self.connection.clone()) => self.give_up("no sign of life"),
        }
    }

    /// Returns when the last handle of the connection is gone, or its last path for too long.
    async fn follow_paths(&self, mut events: PathEventStream) {
        let mut was_direct = false;
        let mut pathless_since = None;
        loop {
            let Some(strong) = self.connection.upgrade() else {
                return;
            };
            let report = describe(&strong, self.remote, &self.context, was_direct).await;
            drop(strong);
            let direct = report.is_direct();
            was_direct |= direct;
            if report.kind == PathKind::Connecting {
                let since = *pathless_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATHLESS {
                    return self.give_up("no path");
                }
            } else {
                pathless_since = None;
            }
            self.reports.send_if_modified(|last| {
                let changed = last.kind != report.kind || last.why != report.why;
                *last = report;
                changed
            });
            tokio::select! {
                event = events.next() => if event.is_none() { return },
                () = tokio::time::sleep(REFRESH), if !direct => {}
                () = self.reports.closed() => return,
            }
        }
    }

    fn give_up(&self, why: &str) {
        let Some(strong) = self.connection.upgrade() else {
            return;
        };
        tracing::info!(device = %self.remote.short(), why, "giving up a connection that carries nothing");
        // Set once at most; the first reason is the reason.
        let _ = self.stalled.set(());
        strong.close(
            VarInt::from_u32(CLOSE_STALLED),
            b"the connection carried nothing",
        );
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
