//! Keeps one device connected: dials, waits, and dials again by the rules of [`crate::redial`].

use std::time::{Duration, Instant};

use stead_base::DeviceId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use crate::connection::Connection;
use crate::event::NetEvent;
use crate::net::Net;
use crate::redial::{Redial, Wake};

/// How many connections may wait to be taken.
const QUEUE_MAX: usize = 4;

/// What a keeper is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialStatus {
    /// An attempt is under way.
    Dialing,
    /// A connection is open.
    Connected,
    /// The last attempt failed, or the connection ended; the next attempt comes by itself.
    Waiting {
        /// How many attempts failed in a row.
        failures: u32,
        /// What happened, in one sentence.
        why: String,
    },
}

/// Keeps one device connected until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    connections: mpsc::Receiver<Connection>,
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<DialStatus>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Adopt(Connection),
    Dial,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Net {
    /// Keeps `device` connected over `alpn` from now on.
    pub fn keep(&self, device: DeviceId, alpn: &[u8]) -> Keeper {
        let (found, connections) = mpsc::channel(QUEUE_MAX);
        let (orders, inbox) = mpsc::channel(QUEUE_MAX);
        let (status_out, status) = watch::channel(DialStatus::Dialing);
        let work = Work {
            net: self.clone(),
            device,
            alpn: alpn.to_vec(),
            found,
            inbox,
            status: status_out,
            origin: Instant::now(),
        };
        Keeper {
            connections,
            orders,
            status,
            task: tokio::spawn(work.run()),
        }
    }
}

impl Keeper {
    /// The next connection that was dialed; `None` once the network is shut down.
    pub async fn next(&mut self) -> Option<Connection> {
        self.connections.recv().await
    }

    /// Hands over a connection the other device made: while it lives, nothing is dialed.
    pub async fn adopt(&self, connection: Connection) {
        let _ = self.orders.send(Order::Adopt(connection)).await;
    }

    /// Dials now instead of waiting.
    pub async fn dial_now(&self) {
        let _ = self.orders.send(Order::Dial).await;
    }

    /// What the keeper is doing.
    pub fn status(&self) -> DialStatus {
        self.status.borrow().clone()
    }

    /// Follows [`Self::status`].
    pub fn watch_status(&self) -> watch::Receiver<DialStatus> {
        self.status.clone()
    }
}

struct Work {
    net: Net,
    device: DeviceId,
    alpn: Vec<u8>,
    found: mpsc::Sender<Connection>,
    inbox: mpsc::Receiver<Order>,
    status: watch::Sender<DialStatus>,
    origin: Instant,
}

impl Work {
    fn now_ms(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }

    async fn run(mut self) {
        let mut events = self.net.events();
        let mut redial = Redial::new(self.now_ms());
        // Nothing is due only while a connection lives, and then this waits in `live`, which comes
        // back without an end of the connection only when nobody wants the keeper any more.
        while let Some(due_ms) = redial.due_ms() {
            let wait = Duration::from_millis(due_ms.saturating_sub(self.now_ms()));
            tokio::select! {
                biased;
                order = self.inbox.recv() => match order {
                    Some(Order::Adopt(connection)) => self.live(&mut redial, connection).await,
                    Some(Order::Dial) => redial.wake(self.now_ms(), Wake::Asked),
                    None => return,
                },
                event = events.recv() => match event {
                    Ok(event) => if let Some(reason) = event.wake(&self.device) {
                        redial.wake(self.now_ms(), reason);
                    },
                    Err(RecvError::Lagged(_)) => redial.wake(self.now_ms(), Wake::HintsLearned),
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep(wait) => {
                    redial.started(self.now_ms());
                    if !self.attempt(&mut redial, &mut events).await {
                        return;
                    }
                }
            }
        }
    }

    /// One attempt; what is learned meanwhile counts. Returns whether to go on.
    async fn attempt(
        &mut self,
        redial: &mut Redial,
        events: &mut broadcast::Receiver<NetEvent>,
    ) -> bool {
        self.status.send_replace(DialStatus::Dialing);
        let net = self.net.clone();
        let alpn = self.alpn.clone();
        let dialing = net.connect(self.device, &alpn);
        tokio::pin!(dialing);
        loop {
            tokio::select! {
                biased;
                order = self.inbox.recv() => match order {
                    Some(Order::Adopt(connection)) => {
                        self.live(redial, connection).await;
                        return true;
                    }
                    Some(Order::Dial) => redial.wake(self.now_ms(), Wake::Asked),
                    None => return false,
                },
                Ok(event) = events.recv() => if let Some(reason) = event.wake(&self.device) {
                    redial.wake(self.now_ms(), reason);
                },
                outcome = &mut dialing => {
                    match outcome {
                        Ok(connection) => {
                            if self.found.send(connection.clone()).await.is_err() {
                                return false;
                            }
                            self.live(redial, connection).await;
                        }
                        Err(error) => {
                            redial.failed(self.now_ms(), jitter());
                            self.waiting(redial, error.to_string());
                        }
                    }
                    return true;
                }
            }
        }
    }

    /// Waits for the end of a connection, or of the one that replaces it.
    async fn live(&mut self, redial: &mut Redial, mut connection: Connection) {
        redial.connected(self.now_ms());
        self.status.send_replace(DialStatus::Connected);
        let closed = loop {
            tokio::select! {
                closed = connection.closed() => break closed,
                order = self.inbox.recv() => match order {
                    Some(Order::Adopt(newer)) => connection = newer,
                    Some(Order::Dial) => {}
                    None => return,
                },
            }
        };
        redial.lost(self.now_ms(), jitter());
        self.waiting(redial, closed.to_string());
    }

    fn waiting(&self, redial: &Redial, why: String) {
        self.status.send_replace(DialStatus::Waiting {
            failures: redial.failures(),
            why,
        });
    }
}

fn jitter() -> u64 {
    getrandom::u64().unwrap_or(0)
}
