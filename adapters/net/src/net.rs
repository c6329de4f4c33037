//! One device on the network: an endpoint with its address book, LAN discovery and relays.
//!
//! It asks no third party anything: no public lookup service, no public relay, no public DNS
//! fallback, no port mapping, no captive-portal check.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use iroh::dns::DnsResolver;
use iroh::endpoint::{
    BindOpts, Builder, ConnectWithOptsError, ConnectingError, ConnectionError, Incoming,
    PortmapperConfig, presets,
};
use iroh::{
    Endpoint, EndpointAddr, EndpointId, NetReportConfig, RelayConfig, RelayMap, RelayMode,
    RelayUrl, SecretKey, TransportAddr, Watcher,
};
use n0_future::StreamExt;
use stead_base::DeviceId;
use tokio::sync::{Mutex, Semaphore, broadcast, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::book::{AddressBook, transport_addrs};
use crate::config::{Bind, NetConfig};
use crate::connection::{Connection, PathContext};
use crate::error::{Closed, ConnectError, NetError, is_wrong_protocol, root_cause};
use crate::event::NetEvent;
use crate::hints::{PeerHints, relay_label};
use crate::lan::{self, LanStatus, Presence};
use crate::locality::LocalNetworks;
use crate::pause::{Clocks, pause_ms};
use crate::relay_status::{self, RelayReport};
use crate::transport;

/// How long an attempt to connect may take.
pub const CONNECT_TIMEOUT_MS: u64 = 15_000;
/// How many incoming connections may be in the middle of their handshake.
pub const HANDSHAKES_MAX: usize = 64;
/// How many established connections may wait to be accepted.
pub const ACCEPT_QUEUE_MAX: usize = 64;
/// How many events a slow listener may fall behind.
const EVENTS_MAX: usize = 256;
/// How often the clocks are compared to notice a pause.
const CLOCK_TICK_MS: u64 = 5_000;

/// One device on the network. Clones are handles of the same device.
#[derive(Debug, Clone)]
pub struct Net {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    book: AddressBook,
    context: PathContext,
    relays: RwLock<Vec<RelayUrl>>,
    incoming: Mutex<mpsc::Receiver<Connection>>,
    events: broadcast::Sender<NetEvent>,
    hints: watch::Receiver<PeerHints>,
    relay_reports: watch::Receiver<Vec<RelayReport>>,
    lan: watch::Receiver<LanStatus>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Net {
    /// Opens the sockets and starts listening. Needs a tokio runtime.
    pub async fn start(config: NetConfig) -> Result<Self, NetError> {
        let endpoint = bind(&config).await?;
        let book = AddressBook::new();
        if let Ok(lookups) = endpoint.address_lookup() {
            lookups.add(book.clone());
        }
        let context = PathContext {
            endpoint: endpoint.clone(),
            book: book.clone(),
            relay_only: !config.direct,
        };
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let (hints_out, hints) = watch::channel(own_hints(&endpoint.addr(), &config.relays));
        let (presence_out, presence) = watch::channel(Presence::default());
        let (lan_out, lan) = watch::channel(LanStatus::Off);
        let (relay_out, relay_reports) = watch::channel(Vec::new());
        let (accepted_out, accepted) = mpsc::channel(ACCEPT_QUEUE_MAX);

        let mut tasks = JoinSet::new();
        let mut handles = vec![
            tasks.spawn(accept_loop(context.clone(), accepted_out)),
            tasks.spawn(follow_addresses(
                context.clone(),
                hints_out,
                presence_out,
                events.clone(),
            )),
            tasks.spawn(relay_status::follow(
                endpoint.clone(),
                relay_out,
                events.clone(),
            )),
            tasks.spawn(follow_clocks(endpoint.clone(), events.clone())),
        ];
        if config.direct {
            handles.push(tasks.spawn(lan::run(
                endpoint.id(),
                config.lan.clone(),
                presence,
                book.clone(),
                events.clone(),
                lan_out,
            )));
        }
        tasks.detach_all();
        Ok(Self {
            inner: Arc::new(Inner {
                endpoint,
                book,
                context,
                relays: RwLock::new(config.relays),
                incoming: Mutex::new(accepted),
                events,
                hints,
                relay_reports,
                lan,
                tasks: handles,
            }),
        })
    }

    /// This device's id.
    pub fn device_id(&self) -> DeviceId {
        DeviceId::from_bytes(*self.inner.endpoint.id().as_bytes())
    }

    /// Where others may reach this device right now.
    pub fn local_hints(&self) -> PeerHints {
        self.inner.hints.borrow().clone()
    }

    /// Follows [`Self::local_hints`].
    pub fn watch_local_hints(&self) -> watch::Receiver<PeerHints> {
        self.inner.hints.clone()
    }

    /// The sockets this device listens on.
    pub fn bound(&self) -> Vec<SocketAddr> {
        self.inner.endpoint.bound_sockets()
    }

    /// Says where a device may be reached, replacing what was said before. What the local network
    /// tells is kept apart and comes on top.
    pub fn learn(&self, device: DeviceId, hints: PeerHints) {
        if self.inner.book.learn(device, hints) {
            let _ = self.inner.events.send(NetEvent::HintsLearned { device });
        }
    }

    /// Everything known about where a device may be reached.
    pub fn known_hints(&self, device: &DeviceId) -> PeerHints {
        self.inner.book.hints(device)
    }

    /// The devices that announce themselves on the local network now, with their addresses.
    pub fn sighted(&self) -> Vec<(DeviceId, Vec<SocketAddr>)> {
        self.inner.book.sighted()
    }

    /// What happens from now on: sightings, address changes, relays, waking from sleep. A listener
    /// that falls behind loses the oldest events.
    pub fn events(&self) -> broadcast::Receiver<NetEvent> {
        self.inner.events.subscribe()
    }

    /// Whether devices are looked for on the local network.
    pub fn lan_status(&self) -> LanStatus {
        self.inner.lan.borrow().clone()
    }

    /// The relay this device is reachable through, and whether it is.
    pub fn relay_reports(&self) -> Vec<RelayReport> {
        self.inner.relay_reports.borrow().clone()
    }

    /// Replaces the relays this device is reachable through.
    pub async fn set_relays(&self, relays: Vec<RelayUrl>) {
        let before = {
            let lock = self.inner.relays.write();
            let mut current = lock.unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, relays.clone())
        };
        for url in before.iter().filter(|url| !relays.contains(url)) {
            self.inner.endpoint.remove_relay(url).await;
        }
        for url in relays.iter().filter(|url| !before.contains(url)) {
            let config = Arc::new(RelayConfig::new(url.clone(), None));
            self.inner.endpoint.insert_relay(url.clone(), config).await;
        }
        let _ = self.inner.events.send(NetEvent::RelayChanged);
    }

    /// Dials a device at every address known, directly and through its relay, and returns the
    /// first connection that proves to be that device.
    pub async fn connect(&self, device: DeviceId, alpn: &[u8]) -> Result<Connection, ConnectError> {
        let id = EndpointId::from_bytes(device.as_bytes())
            .map_err(|_| ConnectError::NotADevice { device })?;
        if id == self.inner.endpoint.id() {
            return Err(ConnectError::OwnDevice);
        }
        let hints = self.inner.book.hints(&device);
        if hints.is_empty() {
            return Err(ConnectError::NoAddress { device });
        }
        let address = EndpointAddr::from_parts(id, transport_addrs(&hints));
        let dialing = self.inner.endpoint.connect(address, alpn);
        let limit = Duration::from_millis(CONNECT_TIMEOUT_MS);
        let established = match tokio::time::timeout(limit, dialing).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(dial_error(error, device, alpn, &hints)),
            Err(_) => return Err(unreachable(device, &hints)),
        };
        Connection::adopt(established, true, self.inner.context.clone()).map_err(|closed| {
            ConnectError::Refused {
                device,
                cause: closed.to_string(),
            }
        })
    }

    /// The next connection another device made; `None` once the network is shut down.
    pub async fn accept(&self) -> Option<Connection> {
        self.inner.incoming.lock().await.recv().await
    }

    /// Says goodbye on all connections and closes the sockets.
    pub async fn shutdown(&self) {
        self.inner.endpoint.close().await;
    }
}

async fn bind(config: &NetConfig) -> Result<Endpoint, NetError> {
    match config.bind {
        Bind::Prefer(port) => match try_bind(config, Bind::Port(port)).await {
            Ok(endpoint) => Ok(endpoint),
            Err(_) => try_bind(config, Bind::Any).await,
        },
        bind => try_bind(config, bind).await,
    }
}

async fn try_bind(config: &NetConfig, bind: Bind) -> Result<Endpoint, NetError> {
    let addr = match bind {
        Bind::Any => "any port".to_owned(),
        Bind::Port(port) | Bind::Prefer(port) => format!("port {port}"),
        Bind::Addr(addr) => addr.to_string(),
    };
    builder(config, bind)?
        .bind()
        .await
        .map_err(|error| NetError::Bind {
            addr,
            cause: root_cause(&error),
        })
}

fn builder(config: &NetConfig, bind: Bind) -> Result<Builder, NetError> {
    let relays = config
        .relays
        .iter()
        .map(|url| RelayConfig::new(url.clone(), None));
    let mut net_report = NetReportConfig::minimal();
    // Measures the configured relays, and only those, to choose the nearest.
    net_report.https_probes = true;
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::from_bytes(&config.secret_seed))
        .alpns(config.alpns.clone())
        .transport_config(transport::quic())
        // An empty map names no relay but lets this device dial others through theirs.
        .relay_mode(RelayMode::Custom(RelayMap::from_iter(relays)))
        .dns_resolver(
            DnsResolver::builder()
                .with_system_defaults()
                .disable_fallback()
                .build(),
        )
        .portmapper_config(PortmapperConfig::Disabled)
        .net_report_config(net_report)
        .max_tls_tickets(0)
        .clear_ip_transports();
    if config.direct {
        for addr in &config.external {
            builder = builder.external_addr(*addr);
        }
        builder = match bind {
            Bind::Any => bind_all(builder, 0)?,
            Bind::Port(port) | Bind::Prefer(port) => bind_all(builder, port)?,
            Bind::Addr(addr) => builder
                .bind_addr(addr)
                .map_err(|_| NetError::BadAddress { addr })?,
        };
    }
    Ok(builder)
}

fn bind_all(builder: Builder, port: u16) -> Result<Builder, NetError> {
    let v4 = SocketAddr::from(([0; 4], port));
    let v6 = SocketAddr::from(([0u16; 8], port));
    let optional = BindOpts::default().set_is_required(false);
    builder
        .bind_addr(v4)
        .map_err(|_| NetError::BadAddress { addr: v4 })?
        .bind_addr_with_opts(v6, optional)
        .map_err(|_| NetError::BadAddress { addr: v6 })
}

/// Takes connections through their handshake, a bounded number at a time.
async fn accept_loop(context: PathContext, accepted: mpsc::Sender<Connection>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    while let Some(incoming) = context.endpoint.accept().await {
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            // Under pressure, only those who prove that they receive at their address get in line.
            if incoming.remote_addr_validated() {
                incoming.refuse();
            } else {
                let _ = incoming.retry();
            }
            continue;
        };
        let context = context.clone();
        let accepted = accepted.clone();
        tokio::spawn(async move {
            let limit = Duration::from_millis(CONNECT_TIMEOUT_MS);
            let outcome = tokio::time::timeout(limit, handshake(incoming, context)).await;
            drop(permit);
            match outcome {
                Ok(Ok(connection)) => {
                    let _ = accepted.send(connection).await;
                }
                Ok(Err(why)) => tracing::debug!(%why, "an incoming connection failed"),
                Err(_) => tracing::debug!("an incoming connection took too long"),
            }
        });
    }
}

async fn handshake(incoming: Incoming, context: PathContext) -> Result<Connection, Closed> {
    let failed = |cause: String| Closed::Failed { cause };
    let accepting = incoming.accept()?;
    let established = accepting.await.map_err(|error| failed(error.to_string()))?;
    Connection::adopt(established, false, context)
}

/// Keeps the own hints, the LAN announcement and the picture of local networks up to date.
async fn follow_addresses(
    context: PathContext,
    hints: watch::Sender<PeerHints>,
    presence: watch::Sender<Presence>,
    events: broadcast::Sender<NetEvent>,
) {
    let mut addresses = context.endpoint.watch_addr().stream();
    while let Some(addr) = addresses.next().await {
        let networks = LocalNetworks::read().await;
        let now = own_hints(&addr, &[]);
        presence.send_if_modified(|last| {
            let next = Presence {
                addrs: now.addrs.clone(),
                interfaces: networks.lan_v4(),
            };
            let changed = *last != next;
            *last = next;
            changed
        });
        let changed = hints.send_if_modified(|last| {
            let next = PeerHints {
                addrs: now.addrs,
                relay: now.relay.or_else(|| last.relay.clone()),
            };
            let changed = *last != next;
            *last = next;
            changed
        });
        if changed {
            let _ = events.send(NetEvent::AddressesChanged);
        }
    }
}

/// What an endpoint address says, with the first configured relay until one answers.
fn own_hints(addr: &EndpointAddr, configured: &[RelayUrl]) -> PeerHints {
    let mut addrs: Vec<SocketAddr> = addr
        .ip_addrs()
        .filter(|addr| !matches!(addr, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local()))
        .copied()
        .collect();
    addrs.sort_unstable();
    let relay = addr.addrs.iter().find_map(|addr| match addr {
        TransportAddr::Relay(url) => Some(url.clone()),
        _ => None,
    });
    PeerHints {
        addrs,
        relay: relay.or_else(|| configured.first().cloned()),
    }
}

/// Notices sleep and tells the endpoint and the listeners.
async fn follow_clocks(endpoint: Endpoint, events: broadcast::Sender<NetEvent>) {
    let origin = Instant::now();
    let read = || Clocks {
        wall_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64),
        monotonic_ms: origin.elapsed().as_millis() as u64,
    };
    let mut before = read();
    loop {
        tokio::time::sleep(Duration::from_millis(CLOCK_TICK_MS)).await;
        let after = read();
        if let Some(paused_ms) = pause_ms(before, after, CLOCK_TICK_MS) {
            tracing::info!(paused_ms, "running again after a pause");
            endpoint.network_change().await;
            let _ = events.send(NetEvent::Resumed { paused_ms });
        }
        before = after;
    }
}

fn dial_error(
    error: iroh::endpoint::ConnectError,
    device: DeviceId,
    alpn: &[u8],
    hints: &PeerHints,
) -> ConnectError {
    use iroh::endpoint::ConnectError as Dial;
    let refused = |cause: String| ConnectError::Refused { device, cause };
    let ended = |error: &ConnectionError| match error {
        ConnectionError::TimedOut => unreachable(device, hints),
        error if is_wrong_protocol(error) => ConnectError::WrongProtocol {
            device,
            alpn: String::from_utf8_lossy(alpn).into_owned(),
        },
        error => refused(error.to_string()),
    };
    match &error {
        Dial::Connect { source, .. } => match source {
            ConnectWithOptsError::NoAddress { .. } => ConnectError::NoAddress { device },
            ConnectWithOptsError::SelfConnect { .. } => ConnectError::OwnDevice,
            ConnectWithOptsError::EndpointClosed { .. } => ConnectError::ShutDown,
            other => refused(root_cause(other)),
        },
        Dial::Connecting { source, .. } => match source {
            ConnectingError::ConnectionError { source, .. } => ended(source),
            other => refused(root_cause(other)),
        },
        Dial::Connection { source, .. } => ended(source),
        other => refused(root_cause(other)),
    }
}

fn unreachable(device: DeviceId, hints: &PeerHints) -> ConnectError {
    let direct = hints.addrs.iter().map(SocketAddr::to_string);
    let relay = hints.relay.iter().map(relay_label);
    ConnectError::Unreachable {
        device,
        tried: direct.chain(relay).collect::<Vec<_>>().join(", "),
    }
}
