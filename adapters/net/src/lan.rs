//! Finding devices on the local network by mDNS, on every interface, with or without a router.
//!
//! Announces this device's id and direct addresses as `<id>._stead._udp.local` and writes what it
//! hears into the address book. Whoever shares the network can announce anything: a sighting is a
//! hint where to dial, never a proof of who answers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use iroh::EndpointId;
use stead_base::DeviceId;
use swarm_discovery::{Discoverer, DropGuard, IpClass};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, watch};

use crate::book::AddressBook;
use crate::config::Lan;
use crate::event::NetEvent;

/// The service name.
const SERVICE: &str = "stead";
/// How often somebody on the network asks who is there.
const CADENCE: Duration = Duration::from_millis(1_500);
/// The most answers a second that the network as a whole gives.
const RESPONSES_PER_SECOND: f32 = 2.0;
/// Hearing not even oneself for this long means that the sockets are dead.
const DEAF: Duration = Duration::from_secs(45);
/// How often that is checked, and a failed start is tried again.
const CHECK: Duration = Duration::from_secs(15);
/// How many announcements may wait to be read.
const QUEUE_MAX: usize = 256;

/// Whether devices are looked for on the local network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LanStatus {
    /// It is switched off.
    Off,
    /// It runs.
    Searching,
    /// It could not be started; it is tried again.
    Failed {
        /// The system's answer.
        why: String,
    },
}

/// What is announced, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Presence {
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) interfaces: Vec<Ipv4Addr>,
}

type Announcement = (String, Vec<SocketAddr>);

/// Runs until the presence channel closes.
pub(crate) async fn run(
    own: EndpointId,
    lan: Lan,
    mut presence: watch::Receiver<Presence>,
    book: AddressBook,
    events: broadcast::Sender<NetEvent>,
    status: watch::Sender<LanStatus>,
) {
    if lan == Lan::Off {
        return;
    }
    let (heard, mut announcements) = mpsc::channel::<Announcement>(QUEUE_MAX);
    let own_name = own.to_z32();
    let mut last_heard = Instant::now();
    let mut guard = None;
    let mut check = tokio::time::interval(CHECK);
    let mut restart = true;
    loop {
        if restart {
            drop(guard.take());
            let now = presence.borrow_and_update().clone();
            guard = match start(&own_name, &lan, &now, heard.clone()) {
                Ok(running) => {
                    status.send_replace(LanStatus::Searching);
                    Some(running)
                }
                Err(why) => {
                    status.send_replace(LanStatus::Failed { why });
                    None
                }
            };
            last_heard = Instant::now();
            restart = false;
        }
        tokio::select! {
            changed = presence.changed() => match changed {
                Ok(()) => restart = true,
                Err(_) => return,
            },
            Some((name, addrs)) = announcements.recv() => {
                last_heard = Instant::now();
                if name != own_name {
                    note(&name, addrs, &lan, &book, &events);
                }
            }
            _ = check.tick() => {
                let advertising = !presence.borrow().addrs.is_empty();
                restart = guard.is_none() || (advertising && last_heard.elapsed() >= DEAF);
            }
        }
    }
}

fn start(
    own_name: &str,
    lan: &Lan,
    presence: &Presence,
    heard: mpsc::Sender<Announcement>,
) -> Result<DropGuard, String> {
    let (interfaces, class) = match lan {
        Lan::Only(interfaces) => (interfaces.clone(), IpClass::V4Only),
        _ if presence.interfaces.is_empty() => (vec![Ipv4Addr::LOCALHOST], IpClass::Auto),
        _ => (presence.interfaces.clone(), IpClass::Auto),
    };
    let mut by_port: BTreeMap<u16, Vec<IpAddr>> = BTreeMap::new();
    for addr in &presence.addrs {
        by_port.entry(addr.port()).or_default().push(addr.ip());
    }
    let mut discoverer = Discoverer::new(SERVICE.to_owned(), own_name.to_owned())
        .with_cadence(CADENCE)
        .with_response_rate(RESPONSES_PER_SECOND)
        .with_ip_class(class)
        .with_multicast_interfaces_v4(interfaces)
        .with_callback(move |name, peer| {
            let addrs = peer
                .addrs()
                .iter()
                .map(|(ip, port)| SocketAddr::new(*ip, *port))
                .collect();
            // A full queue drops the announcement; it is repeated every few seconds.
            let _ = heard.try_send((name.to_owned(), addrs));
        });
    for (port, ips) in by_port {
        discoverer = discoverer.with_addrs(port, ips);
    }
    discoverer
        .spawn(&Handle::current())
        .map_err(|error| error.to_string())
}

fn note(
    name: &str,
    mut addrs: Vec<SocketAddr>,
    lan: &Lan,
    book: &AddressBook,
    events: &broadcast::Sender<NetEvent>,
) {
    let Ok(endpoint) = EndpointId::from_z32(name) else {
        tracing::debug!("an announcement on the local network names no device");
        return;
    };
    let device = DeviceId::from_bytes(*endpoint.as_bytes());
    if *lan == Lan::All && addrs.iter().any(|addr| !addr.ip().is_loopback()) {
        addrs.retain(|addr| !addr.ip().is_loopback());
    }
    let gone = addrs.is_empty();
    if book.sight(device, addrs) {
        let event = if gone {
            NetEvent::Gone { device }
        } else {
            NetEvent::Sighted { device }
        };
        let _ = events.send(event);
    }
}
