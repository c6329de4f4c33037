//! The world: who lives in it, what befalls them, and the judgement at the end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use stead_base::{DocId, Entropy, SpaceId};
use stead_disk::Fault;
use stead_replica::{Change, Edit, Query, Replica};
use stead_store::CollectionNo;
use stead_sync::Role;

use crate::chance::Chance;
use crate::connection::{ConnectionId, Network, Parcel};
use crate::ledger::Ledger;
use crate::node::Node;

const START_MS: u64 = 1_700_000_000_000;
const STEPS: u64 = 400;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// The furthest that a clock is set wrong.
const SKEW_MAX_MS: i64 = 3 * 365 * DAY_MS;

/// Why a run failed: give the seed to `cargo xtask sim --seed` to see it again.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// What was wrong.
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

/// What a run went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Devices in the world.
    pub nodes: usize,
    /// Transactions acknowledged.
    pub acknowledged: usize,
    /// Times a device lost power.
    pub crashes: u64,
    /// Frames lost, doubled, swapped or damaged.
    pub damaged: u64,
    /// Connections made.
    pub connections: u64,
    /// Times a clock was set wrong.
    pub skews: u64,
    /// Disk faults of other kinds.
    pub faults: u64,
}

struct World {
    chance: Chance,
    now: u64,
    nodes: Vec<Node>,
    network: Network,
    connections: BTreeMap<ConnectionId, (usize, usize)>,
    cut: BTreeSet<(usize, usize)>,
    ledger: Ledger,
    report: Report,
}

/// Runs one world and judges it.
pub fn run_seed(seed: u64) -> Result<Report, Failure> {
    let mut world = World::new(seed);
    world.run().map_err(|what| Failure { seed, what })?;
    Ok(world.report)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let count = 2 + chance.below(3) as usize;
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
            cut: BTreeSet::new(),
            ledger: Ledger::default(),
            report: Report {
                nodes: count,
                ..Report::default()
            },
        }
    }

    fn run(&mut self) -> Result<(), String> {
        for index in 0..self.nodes.len() {
            self.nodes[index].start(self.now)?;
        }
        let now = self.now;
        self.nodes[0]
            .act(|replica| replica.create_home(now))
            .ok_or("no home")?;
        self.nodes[0]
            .act(|replica| replica.create_space("notes", now))
            .ok_or("no space")?;
        for new in 1..self.nodes.len() {
            // Most devices belong together from the start; the others are let in on the way.
            if !self.chance.one_in(4) {
                self.link(0, new);
            }
        }
        for _ in 0..STEPS {
            self.step()?;
            let pause = if self.chance.one_in(20) { 20_000 } else { 300 };
            let pause = self.chance.below(pause);
            self.pass(pause)?;
        }
        self.heal()?;
        self.judge()
    }

    fn step(&mut self) -> Result<(), String> {
        let node = self.chance.below(self.nodes.len() as u64) as usize;
        match self.chance.below(100) {
            0..46 => self.write(node),
            46..62 => self.meet(),
            62..68 => self.part(),
            68..74 => {
                self.crash(node);
            }
            74..80 => {
                let after = self.chance.below(30);
                self.nodes[node].disk.fail_write(after, Fault::PowerOff);
            }
            80..84 => {
                let fault = if self.chance.one_in(2) {
                    Fault::Full
                } else {
                    Fault::Io
                };
                let after = self.chance.below(20);
                self.nodes[node].disk.fail_write(after, fault);
                self.report.faults += 1;
            }
            84..88 => self.skew(node),
            88..92 => {
                let new = self.chance.below(self.nodes.len() as u64) as usize;
                self.link(node, new);
            }
            92..94 => self.new_space(node),
            _ => self.look(node)?,
        }
        self.mend()
    }

    /// Someone writes: a transaction of the ledger, or any other change.
    fn write(&mut self, node: usize) {
        let Some(space) = self.any_space(node) else {
            return;
        };
        let wall = self.nodes[node].wall(self.now);
        if self.chance.one_in(3) {
            let edits = self.any_edits();
            self.nodes[node].act(|replica| replica.transact(&space, &edits, wall));
        } else {
            let (name, edits) = self.ledger.transaction(node);
            let receipt = self.nodes[node].act(|replica| replica.transact(&space, &edits, wall));
            if receipt.is_some_and(|receipt| receipt.entry.is_some()) {
                self.ledger.acknowledge(space, name);
            }
        }
        self.nodes[node].pump(self.now);
        self.post(node);
    }

    fn any_space(&mut self, node: usize) -> Option<SpaceId> {
        let replica = self.nodes[node].replica.as_ref()?;
        let home = replica.home();
        let spaces: Vec<SpaceId> = replica
            .space_ids()
            .into_iter()
            .filter(|id| Some(*id) != home)
            .collect();
        let pick = self.chance.below(spaces.len() as u64) as usize;
        spaces.get(pick).copied()
    }

    fn any_edits(&mut self) -> Vec<Edit> {
        let mut edits = Vec::new();
        for _ in 0..=self.chance.below(4) {
            let id = format!("doc{}", self.chance.below(4));
            let path = |chance: &mut Chance| -> Vec<String> {
                let names = ["a", "b", "c"];
                (0..=chance.below(3))
                    .map(|_| names[chance.below(3) as usize].to_owned())
                    .collect()
            };
            let number = self.chance.below(100);
            let change = match self.chance.below(9) {
                0..3 => Change::Set {
                    path: path(&mut self.chance),
                    value: json!(number),
                },
                3 => Change::Set {
                    path: path(&mut self.chance),
                    value: json!({"x": number, "y": [1, 2]}),
                },
                4 => Change::Put {
                    value: json!({"a": {"b": number}, "t": format!("text {number}")}),
                    replace: false,
                },
                5 => Change::Put {
                    value: json!({"c": number}),
                    replace: true,
                },
                6 => Change::Unset {
                    path: path(&mut self.chance),
                },
                7 => Change::Delete,
                _ => Change::Restore,
            };
            edits.push(Edit {
                collection: "things".to_owned(),
                id: DocId::parse(&id).ok(),
                change,
            });
        }
        edits
    }

    /// Two devices come into reach of each other.
    fn meet(&mut self) {
        let (a, b) = self.pair();
        self.cut.remove(&(a, b));
        self.connect(a, b);
    }

    /// Two devices lose each other.
    fn part(&mut self) {
        let pair = self.pair();
        self.cut.insert(pair);
        let lost: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, ends)| **ends == pair)
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.drop_connection(id);
        }
    }

    fn pair(&mut self) -> (usize, usize) {
        let count = self.nodes.len() as u64;
        let a = self.chance.below(count) as usize;
        let b = (a + 1 + self.chance.below(count - 1) as usize) % count as usize;
        (a.min(b), a.max(b))
    }

    fn connect(&mut self, a: usize, b: usize) {
        let running = |node: &Node| node.replica.is_some() && !node.broken;
        if self.connections.values().any(|ends| *ends == (a, b))
            || !running(&self.nodes[a])
            || !running(&self.nodes[b])
        {
            return;
        }
        self.report.connections += 1;
        let id = self.report.connections;
        self.connections.insert(id, (a, b));
        let mut binding = [0; 32];
        self.chance.fill(&mut binding);
        let (id_a, id_b) = (self.nodes[a].id(), self.nodes[b].id());
        self.nodes[a].connect(id, Role::Dialer, id_b, binding, self.now);
        self.nodes[b].connect(id, Role::Listener, id_a, binding, self.now);
        self.post(a);
        self.post(b);
    }

    fn drop_connection(&mut self, id: ConnectionId) {
        if let Some((a, b)) = self.connections.remove(&id) {
            self.network.cut(id);
            self.nodes[a].disconnect(id);
            self.nodes[b].disconnect(id);
        }
    }

    fn crash(&mut self, node: usize) {
        self.report.crashes += 1;
        self.nodes[node].crash();
    }

    fn skew(&mut self, node: usize) {
        self.report.skews += 1;
        self.nodes[node].skew_ms = match self.chance.below(4) {
            0 => 0,
            1 => self.chance.below(120_000) as i64 - 60_000,
            2 => self.chance.below(SKEW_MAX_MS as u64) as i64,
            _ => -(self.chance.below(SKEW_MAX_MS as u64) as i64),
        };
    }

    /// A device that belongs to the identity lets another one in.
    fn link(&mut self, old: usize, new: usize) {
        let home = self.nodes[old].replica.as_ref().and_then(Replica::home);
        let linked = self.nodes[new]
            .replica
            .as_ref()
            .is_none_or(|replica| replica.home().is_some());
        if old == new || linked || !home.is_some_and(|home| self.owns(old, &home)) {
            return;
        }
        let wall = self.nodes[old].wall(self.now);
        let Some(record) = self.nodes[new].act(|replica| Ok(replica.device_record())) else {
            return;
        };
        let tickets = self.nodes[old].act(|replica| {
            replica.grant_device(&record, wall)?;
            let home = replica.home();
            let ticket = |id: &SpaceId| Some((replica.ticket(id)?, Some(*id) == home));
            Ok(replica
                .space_ids()
                .iter()
                .filter_map(ticket)
                .collect::<Vec<_>>())
        });
        let wall = self.nodes[new].wall(self.now);
        // The home space comes last: a device that loses power half-way is not linked yet.
        let mut tickets = tickets.unwrap_or_default();
        tickets.sort_by_key(|(_, is_home)| *is_home);
        for (ticket, is_home) in tickets {
            self.nodes[new].act(|replica| replica.join_space(&ticket, is_home, wall));
        }
        for node in [old, new] {
            self.nodes[node].pump(self.now);
            self.post(node);
        }
    }

    fn new_space(&mut self, node: usize) {
        let name = format!("space {}", self.chance.below(1_000_000));
        let wall = self.nodes[node].wall(self.now);
        let home = self.nodes[node].replica.as_ref().and_then(Replica::home);
        if home.is_some_and(|home| self.owns(node, &home)) {
            self.nodes[node].act(|replica| replica.create_space(&name, wall));
            self.nodes[node].pump(self.now);
            self.post(node);
        }
    }

    fn owns(&self, node: usize, space: &SpaceId) -> bool {
        let replica = self.nodes[node].replica.as_ref();
        replica
            .and_then(|replica| replica.space_info(space).ok())
            .is_some_and(|info| info.role.is_some())
    }

    /// Someone looks: whole transactions are all there is to see.
    fn look(&mut self, node: usize) -> Result<(), String> {
        if self.nodes[node].broken {
            return Ok(());
        }
        let Some(replica) = &self.nodes[node].replica else {
            return Ok(());
        };
        for space in replica.space_ids() {
            if self.nodes[node].disk.is_powered() {
                self.ledger
                    .check_whole(replica, &space)
                    .map_err(|what| format!("node {node} mid-way: {what}"))?;
            }
        }
        Ok(())
    }

    /// Starts what stopped, and forgets connections that ended.
    fn mend(&mut self) -> Result<(), String> {
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

    fn post(&mut self, node: usize) {
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
    fn pass(&mut self, ms: u64) -> Result<(), String> {
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

    /// Ends all trouble, links every device, and gives everyone time to meet.
    fn heal(&mut self) -> Result<(), String> {
        self.network.hostile = false;
        self.cut.clear();
        let all: Vec<ConnectionId> = self.connections.keys().copied().collect();
        all.into_iter().for_each(|id| self.drop_connection(id));
        for node in &mut self.nodes {
            node.disk.clear_faults();
            node.skew_ms = 0;
        }
        self.mend()?;
        for new in 1..self.nodes.len() {
            for old in 0..self.nodes.len() {
                if old != new
                    && self.nodes[new]
                        .replica
                        .as_ref()
                        .is_some_and(|replica| replica.home().is_none())
                {
                    self.link(old, new);
                }
            }
        }
        // Every change that was made on a clock ahead of time comes due.
        self.now += SKEW_MAX_MS as u64 + DAY_MS as u64;
        for round in 0..60 {
            for a in 0..self.nodes.len() {
                for b in a + 1..self.nodes.len() {
                    self.connect(a, b);
                }
            }
            for index in 0..self.nodes.len() {
                self.nodes[index].tick(self.now);
                self.post(index);
            }
            self.pass(2_000)?;
            if round > 2 && self.network.is_quiet() && self.judge().is_ok() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What every device knows of a space.
    fn describe(&self, space: &SpaceId) -> String {
        let tell = |node: &Node| {
            let replica = node.replica.as_ref();
            let info = replica.and_then(|replica| replica.space_info(space).ok());
            let logs = replica
                .and_then(|replica| replica.frontier(space).ok())
                .unwrap_or_default();
            let logs: Vec<_> = logs
                .iter()
                .map(|log| (log.writer, log.len, log.frozen))
                .collect();
            format!("  node {}: {info:?} {logs:?}\n", node.index)
        };
        self.nodes.iter().map(tell).collect()
    }

    /// Every device equal, nothing promised missing, every log as its writer signed it.
    fn judge(&mut self) -> Result<(), String> {
        self.report.acknowledged = self.ledger.len();
        self.report.damaged = self.network.damaged;
        let first = self.nodes[0].replica.as_ref().ok_or("node 0 is down")?;
        let spaces = first.space_ids();
        for node in &self.nodes {
            let index = node.index;
            let replica = node
                .replica
                .as_ref()
                .ok_or_else(|| format!("node {index} is down"))?;
            if replica.space_ids() != spaces {
                return Err(format!(
                    "node {index} has other spaces: {:?} against {spaces:?}",
                    replica.space_ids()
                ));
            }
            for space in &spaces {
                let at = |what: String| format!("node {index}, space {}: {what}", space.short());
                self.ledger
                    .check_kept(replica, space)
                    .map_err(|what| at(format!("{what}\n{}", self.describe(space))))?;
                let (here, there) = (dump(replica, space)?, dump(first, space)?);
                if here != there {
                    let other = here.iter().zip(&there).find(|(a, b)| a != b);
                    let (a, b) = (replica.space_info(space), first.space_info(space));
                    return Err(at(format!(
                        "documents differ: {other:?}\n  here {a:?} {:?}\n  there {b:?} {:?}",
                        replica.frontier(space),
                        first.frontier(space)
                    )));
                }
                let frontiers = (replica.frontier(space), first.frontier(space));
                match frontiers {
                    (Ok(here), Ok(there)) if here == there => {}
                    (here, there) => {
                        return Err(at(format!("logs differ: {here:?} against {there:?}")));
                    }
                }
            }
            let findings = replica.doctor().map_err(|error| error.to_string())?;
            let fatal = findings
                .iter()
                .find(|finding| finding.severity == stead_replica::Severity::Error);
            if let Some(finding) = fatal {
                return Err(format!("node {index}: {}", finding.what));
            }
        }
        Ok(())
    }
}

fn dump(replica: &Replica, space: &SpaceId) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for (name, _) in replica
        .collections(space)
        .map_err(|error| error.to_string())?
    {
        let query = Query {
            include_deleted: true,
            ..Query::all(CollectionNo(0))
        };
        for found in replica
            .query(space, &name, query)
            .map_err(|error| error.to_string())?
        {
            all.push(format!(
                "{name}/{} {} {}",
                found.id, found.deleted, found.json
            ));
        }
    }
    Ok(all)
}
