//! Where a world plays: devices, the connections between them, and time.
//!
//! Owns how bytes and time move. What people do and what befalls them is the world's to say.

use std::collections::BTreeMap;

use stead_base::Entropy;
use stead_sync::Role;

use crate::chance::Chance;
use crate::connection::{ConnectionId, Network, Parcel};
use crate::node::Node;

/// Unix time in ms at which every world begins.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

pub(crate) struct Stage {
    pub(crate) chance: Chance,
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) connections: BTreeMap<ConnectionId, (usize, usize)>,
    /// Connections made so far.
    pub(crate) connected: u64,
    /// Times a device lost power.
    pub(crate) crashes: u64,
}

impl Stage {
    /// `count` devices that are switched off, and a network that damages what it carries.
    pub(crate) fn new(mut chance: Chance, count: usize) -> Self {
        let nodes = (0..count)
            .map(|index| Node::new(index, &mut chance))
            .collect();
        let mut network = Network::default();
        network.hostile = true;
        Self {
            chance,
            now: START_MS,
            nodes,
            network,
            connections: BTreeMap::new(),
            connected: 0,
            crashes: 0,
        }
    }

    /// Any two devices.
    pub(crate) fn pair(&mut self) -> (usize, usize) {
        let count = self.nodes.len() as u64;
        let a = self.chance.below(count) as usize;
        let b = (a + 1 + self.chance.below(count - 1) as usize) % count as usize;
        (a.min(b), a.max(b))
    }

    /// Ends what connections there are between two devices.
    pub(crate) fn part(&mut self, pair: (usize, usize)) {
        let lost = self.connections.iter();
        let lost = lost.filter(|(_, ends)| **ends == pair);
        let lost: Vec<ConnectionId> = lost.map(|(id, _)| *id).collect();
        for id in lost {
            self.drop_connection(id);
        }
    }

    pub(crate) fn connect(&mut self, a: usize, b: usize) {
        let running = |node: &Node| node.replica.is_some() && !node.broken;
        if self.connections.values().any(|ends| *ends == (a, b))
            || !running(&self.nodes[a])
            || !running(&self.nodes[b])
        {
            return;
        }
        self.connected += 1;
        let id = self.connected;
        self.connections.insert(id, (a, b));
        let mut binding = [0; 32];
        self.chance.fill(&mut binding);
        let (id_a, id_b) = (self.nodes[a].id(), self.nodes[b].id());
        self.nodes[a].connect(id, Role::Dialer, id_b, binding, self.now);
        self.nodes[b].connect(id, Role::Listener, id_a, binding, self.now);
        self.post(a);
        self.post(b);
    }

    pub(crate) fn drop_connection(&mut self, id: ConnectionId) {
        if let Some((a, b)) = self.connections.remove(&id) {
            self.network.cut(id);
            self.nodes[a].disconnect(id);
            self.nodes[b].disconnect(id);
        }
    }

    pub(crate) fn crash(&mut self, node: usize) {
        self.crashes += 1;
        self.nodes[node].crash();
    }

    /// Starts what stopped, and forgets connections that ended.
    pub(crate) fn mend(&mut self) -> Result<(), String> {
        for index in 0..self.nodes.len() {
            if self.nodes[index].broken || !self.nodes[index].disk.is_powered() {
                self.crash(index);
            }
            for id in std::mem::take(&mut self.nodes[index].closed) {
                self.drop_connection(id);
            }
            if self.nodes[index].replica.is_none() {
                self.nodes[index]
                    .start(self.now)
                    .map_err(|what| format!("node {index} does not start: {what}"))?;
            }
        }
        Ok(())
    }

    pub(crate) fn post(&mut self, node: usize) {
        for (connection, bytes) in std::mem::take(&mut self.nodes[node].outbox) {
            if let Some((a, b)) = self.connections.get(&connection) {
                let to = if *a == node { *b } else { *a };
                self.network.send(
                    Parcel {
                        connection,
                        to,
                        bytes,
                    },
                    self.now,
                    &mut self.chance,
                );
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, ms: u64) -> Result<(), String> {
        let until = self.now + ms;
        loop {
            let wake = self
                .nodes
                .iter()
                .filter_map(Node::wake_at)
                .min()
                .unwrap_or(u64::MAX);
            let horizon = until.min(wake.max(self.now));
            if let Some((at, parcel)) = self.network.next(horizon) {
                self.now = self.now.max(at);
                self.nodes[parcel.to].arrive(parcel.connection, &parcel.bytes, self.now);
                self.post(parcel.to);
            } else if wake <= until {
                self.now = self.now.max(wake);
                for index in 0..self.nodes.len() {
                    if self.nodes[index].wake_at().is_some_and(|at| at <= self.now) {
                        self.nodes[index].tick(self.now);
                        self.post(index);
                    }
                }
            } else {
                self.now = until;
                return self.mend();
            }
            self.mend()?;
        }
    }
}
