//! The world: who lives in it, what befalls them, and the judgement at the end.

mod guests;
mod parts;

use std::collections::BTreeSet;

use serde_json::json;
use stead_base::{DocId, SpaceId};
use stead_disk::Fault;
use stead_replica::{Change, Edit, Query, Replica};
use stead_store::CollectionNo;

use crate::chance::Chance;
use crate::connection::ConnectionId;
use crate::ledger::Ledger;
use crate::node::Node;
use crate::stage::Stage;

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
    /// Checkpoints made.
    pub checkpoints: u64,
    /// Log entries that a device dropped below a checkpoint.
    pub dropped: u64,
    /// Times a device chose what to keep of a space.
    pub choices: u64,
    /// Documents that devices which keep a part held at the end.
    pub filled: u64,
    /// Of those, what chosen queries found.
    pub found: u64,
    /// Log entries whose values were redacted.
    pub redacted: u64,
    /// Documents that a guest was shown at the end.
    pub shown: u64,
}

struct World {
    stage: Stage,
    cut: BTreeSet<(usize, usize)>,
    ledger: Ledger,
    report: Report,
    /// Whether a device keeps a part of spaces.
    parts: bool,
    /// Whether it chooses queries, too; in the other worlds seeds mean what they always did.
    queries: bool,
    /// A device of somebody else, who is let into a part of spaces.
    guest: Option<usize>,
    /// Whether devices redact here; in the other worlds seeds mean what they always did.
    redacts: bool,
    /// Whether they do it all the time.
    redacts_often: bool,
    /// Whether devices purge documents here; the other worlds again are what they were.
    purges: bool,
}

/// Runs one world and judges it.
pub fn run_seed(seed: u64) -> Result<Report, Failure> {
    run_world(World::new(seed, 0), seed)
}

/// Runs one world in which a device keeps a part of spaces, which changes, and judges it.
pub fn run_parts(seed: u64) -> Result<Report, Failure> {
    let mut world = World::new(seed, 0);
    world.parts = true;
    world.queries = seed % 4 == 3;
    run_world(world, seed)
}

/// Runs one world in which somebody else is let into a part of spaces, and judges it.
pub fn run_guests(seed: u64) -> Result<Report, Failure> {
    run_world(World::new(seed, 1), seed)
}

fn run_world(mut world: World, seed: u64) -> Result<Report, Failure> {
    world.run().map_err(|what| Failure { seed, what })?;
    Ok(world.report)
}

impl World {
    fn new(seed: u64, guests: usize) -> Self {
        let mut chance = Chance::new(seed);
        let owned = 2 + chance.below(3) as usize;
        let count = owned + guests;
        Self {
            stage: Stage::new(chance, count),
            guest: (guests > 0).then_some(owned),
            cut: BTreeSet::new(),
            ledger: Ledger::default(),
            redacts: seed % 3 == 2,
            redacts_often: seed % 6 == 5,
            // Some of those where nothing is redacted, and some where it is.
            purges: matches!(seed % 6, 1 | 3) || seed % 24 == 8,
            report: Report {
                nodes: count,
                ..Report::default()
            },
            parts: false,
            queries: false,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        for index in 0..self.stage.nodes.len() {
            self.stage.nodes[index].start(self.stage.now)?;
        }
        let now = self.stage.now;
        self.stage.nodes[0]
            .act(|replica| replica.create_home(now))
            .ok_or("no home")?;
        self.stage.nodes[0]
            .act(|replica| replica.create_space("notes", now))
            .ok_or("no space")?;
        if let Some(guest) = self.guest {
            let made = self.stage.nodes[guest].act(|replica| replica.create_home(now));
            made.ok_or("no home")?;
        }
        for new in 1..self.stage.nodes.len() {
            // Most devices belong together from the start; the others are let in on the way.
            if !self.stage.chance.one_in(4) {
                self.link(0, new);
            }
        }
        for _ in 0..STEPS {
            self.step()?;
            if self.parts && self.stage.chance.one_in(8) {
                self.choose();
            }
            if self.guest.is_some() && self.stage.chance.one_in(16) {
                let by = self.stage.chance.below(self.stage.nodes.len() as u64) as usize;
                self.let_guest_in(by);
            }
            let pause = if self.stage.chance.one_in(20) {
                20_000
            } else {
                300
            };
            let pause = self.stage.chance.below(pause);
            self.stage.pass(pause)?;
        }
        self.heal()?;
        self.judge()
    }

    fn step(&mut self) -> Result<(), String> {
        let node = self.stage.chance.below(self.stage.nodes.len() as u64) as usize;
        match self.stage.chance.below(100) {
            40..46 if self.redacts_often => self.redact(node),
            0..46 => self.write(node),
            46..62 => self.meet(),
            62..68 => self.part(),
            68..74 => {
                self.stage.crash(node);
            }
            74..80 => {
                let after = self.stage.chance.below(30);
                self.stage.nodes[node]
                    .disk
                    .fail_write(after, Fault::PowerOff);
            }
            80..84 => {
                let fault = if self.stage.chance.one_in(2) {
                    Fault::Full
                } else {
                    Fault::Io
                };
                let after = self.stage.chance.below(20);
                self.stage.nodes[node].disk.fail_write(after, fault);
                self.report.faults += 1;
            }
            84..88 => self.skew(node),
            88..92 => {
                let new = self.stage.chance.below(self.stage.nodes.len() as u64) as usize;
                self.link(node, new);
            }
            92..94 => self.new_space(node),
            94..96 => self.checkpoint(node),
            96 => self.compact(node, false),
            97 => {
                let force = self.stage.chance.one_in(2);
                self.compact(node, force);
            }
            98 if self.redacts => self.redact(node),
            _ => self.look(node)?,
        }
        self.stage.mend()
    }

    /// Someone writes: a transaction of the ledger, or any other change.
    fn write(&mut self, node: usize) {
        let Some(space) = self.any_space(node) else {
            return;
        };
        let wall = self.stage.nodes[node].wall(self.stage.now);
        if self.stage.chance.one_in(3) {
            let edits = self.any_edits();
            self.stage.nodes[node].act(|replica| replica.transact(&space, &edits, wall));
        } else {
            let (name, edits) = self.ledger.transaction(node);
            let receipt =
                self.stage.nodes[node].act(|replica| replica.transact(&space, &edits, wall));
            if receipt.is_some_and(|receipt| receipt.entry.is_some()) {
                self.ledger.acknowledge(space, name);
            }
        }
        self.stage.nodes[node].pump(self.stage.now);
        self.stage.post(node);
    }

    fn any_space(&mut self, node: usize) -> Option<SpaceId> {
        let replica = self.stage.nodes[node].replica.as_ref()?;
        let home = replica.home();
        let spaces: Vec<SpaceId> = replica
            .space_ids()
            .into_iter()
            .filter(|id| Some(*id) != home)
            .collect();
        let pick = self.stage.chance.below(spaces.len() as u64) as usize;
        spaces.get(pick).copied()
    }

    fn any_edits(&mut self) -> Vec<Edit> {
        let mut edits = Vec::new();
        for _ in 0..=self.stage.chance.below(4) {
            let id = format!("doc{}", self.stage.chance.below(4));
            let path = |chance: &mut Chance| -> Vec<String> {
                let names = ["a", "b", "c"];
                (0..=chance.below(3))
                    .map(|_| names[chance.below(3) as usize].to_owned())
                    .collect()
            };
            let number = self.stage.chance.below(100);
            let purges = self.purges && self.stage.chance.below(28) == 0;
            let change = match self.stage.chance.below(9) {
                _ if purges => Change::Purge,
                0..3 => Change::Set {
                    path: path(&mut self.stage.chance),
                    value: json!(number),
                },
                3 => Change::Set {
                    path: path(&mut self.stage.chance),
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
                    path: path(&mut self.stage.chance),
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
        let (a, b) = self.stage.pair();
        self.cut.remove(&(a, b));
        self.stage.connect(a, b);
    }

    /// Two devices lose each other.
    fn part(&mut self) {
        let pair = self.stage.pair();
        self.cut.insert(pair);
        self.stage.part(pair);
    }

    fn skew(&mut self, node: usize) {
        self.report.skews += 1;
        self.stage.nodes[node].skew_ms = match self.stage.chance.below(4) {
            0 => 0,
            1 => self.stage.chance.below(120_000) as i64 - 60_000,
            2 => self.stage.chance.below(SKEW_MAX_MS as u64) as i64,
            _ => -(self.stage.chance.below(SKEW_MAX_MS as u64) as i64),
        };
    }

    /// A device that belongs to the identity lets another one in.
    fn link(&mut self, old: usize, new: usize) {
        let home = self.stage.nodes[old]
            .replica
            .as_ref()
            .and_then(Replica::home);
        let linked = self.stage.nodes[new]
            .replica
            .as_ref()
            .is_none_or(|replica| replica.home().is_some());
        if old == new
            || self.guest == Some(old)
            || linked
            || !home.is_some_and(|home| self.owns(old, &home))
        {
            return;
        }
        let wall = self.stage.nodes[old].wall(self.stage.now);
        let Some(record) = self.stage.nodes[new].act(|replica| Ok(replica.device_record())) else {
            return;
        };
        let tickets = self.stage.nodes[old].act(|replica| {
            replica.grant_device(&record, wall)?;
            let home = replica.home();
            let ticket = |id: &SpaceId| Some((replica.ticket(id)?, Some(*id) == home));
            Ok(replica
                .space_ids()
                .iter()
                .filter_map(ticket)
                .collect::<Vec<_>>())
        });
        let wall = self.stage.nodes[new].wall(self.stage.now);
        // The home space comes last: a device that loses power half-way is not linked yet.
        let mut tickets = tickets.unwrap_or_default();
        tickets.sort_by_key(|(_, is_home)| *is_home);
        for (ticket, is_home) in tickets {
            self.stage.nodes[new].act(|replica| replica.join_space(&ticket, is_home, wall));
        }
        for node in [old, new] {
            self.stage.nodes[node].pump(self.stage.now);
            self.stage.post(node);
        }
    }

    fn new_space(&mut self, node: usize) {
        let name = format!("space {}", self.stage.chance.below(1_000_000));
        let wall = self.stage.nodes[node].wall(self.stage.now);
        let home = self.stage.nodes[node]
            .replica
            .as_ref()
            .and_then(Replica::home);
        let is_guest = self.guest == Some(node);
        if !is_guest && home.is_some_and(|home| self.owns(node, &home)) {
            self.stage.nodes[node].act(|replica| replica.create_space(&name, wall));
            self.stage.nodes[node].pump(self.stage.now);
            self.stage.post(node);
        }
    }

    /// A device makes a checkpoint, if it may.
    fn checkpoint(&mut self, node: usize) {
        let Some(space) = self.any_space(node) else {
            return;
        };
        let wall = self.stage.nodes[node].wall(self.stage.now);
        let made = self.stage.nodes[node].act(|replica| replica.make_checkpoint(&space, wall));
        self.report.checkpoints += u64::from(made.is_some());
        self.stage.nodes[node].pump(self.stage.now);
        self.stage.post(node);
    }

    /// A device redacts a field of a document, or all of one, if it may.
    fn redact(&mut self, node: usize) {
        let Some(space) = self.any_space(node) else {
            return;
        };
        let wall = self.stage.nodes[node].wall(self.stage.now);
        let id = format!("doc{}", self.stage.chance.below(4));
        let Ok(id) = DocId::parse(&id) else { return };
        let field: Vec<String> = match self.stage.chance.below(5) {
            0 => Vec::new(),
            1 => vec!["a".to_owned(), "b".to_owned()],
            n => vec![["a", "b", "c"][n as usize - 2].to_owned()],
        };
        let done = self.stage.nodes[node]
            .act(|replica| replica.redact(&space, "things", &id, &field, wall));
        self.report.redacted += done.map_or(0, |done| done.entries);
        self.stage.nodes[node].pump(self.stage.now);
        self.stage.post(node);
    }

    /// A device makes a checkpoint of every space.
    fn checkpoint_all(&mut self, node: usize) {
        let wall = self.stage.nodes[node].wall(self.stage.now);
        let replica = self.stage.nodes[node].replica.as_ref();
        for space in replica.map(Replica::space_ids).unwrap_or_default() {
            self.stage.nodes[node].act(|replica| replica.make_checkpoint(&space, wall));
        }
        self.stage.nodes[node].pump(self.stage.now);
        self.stage.post(node);
    }

    /// A device drops its history below a checkpoint, if it has one.
    fn compact(&mut self, node: usize, force: bool) {
        let Some(space) = self.any_space(node) else {
            return;
        };
        let wall = self.stage.nodes[node].wall(self.stage.now);
        let compaction = stead_replica::Compaction {
            made_before_ms: u64::MAX,
            even_if_unseen: force,
        };
        let done = self.stage.nodes[node].act(|replica| replica.compact(&space, compaction, wall));
        self.report.dropped += done.map_or(0, |done| done.entries);
        self.stage.nodes[node].pump(self.stage.now);
        self.stage.post(node);
    }

    fn owns(&self, node: usize, space: &SpaceId) -> bool {
        let replica = self.stage.nodes[node].replica.as_ref();
        replica
            .and_then(|replica| replica.space_info(space).ok())
            .is_some_and(|info| info.role.is_some())
    }

    /// Someone looks: whole transactions are all there is to see.
    fn look(&mut self, node: usize) -> Result<(), String> {
        if self.stage.nodes[node].broken || self.guest == Some(node) {
            return Ok(());
        }
        let Some(replica) = &self.stage.nodes[node].replica else {
            return Ok(());
        };
        for space in replica.space_ids() {
            if self.stage.nodes[node].disk.is_powered() && !replica.is_part(&space) {
                self.ledger
                    .check_whole(replica, &space)
                    .map_err(|what| format!("node {node} mid-way: {what}"))?;
            }
        }
        Ok(())
    }

    /// Ends all trouble, links every device, and gives everyone time to meet.
    fn heal(&mut self) -> Result<(), String> {
        self.stage.network.hostile = false;
        self.cut.clear();
        let all: Vec<ConnectionId> = self.stage.connections.keys().copied().collect();
        all.into_iter()
            .for_each(|id| self.stage.drop_connection(id));
        for node in &mut self.stage.nodes {
            node.disk.clear_faults();
            node.skew_ms = 0;
        }
        self.stage.mend()?;
        for new in 1..self.stage.nodes.len() {
            for old in 0..self.stage.nodes.len() {
                if old != new
                    && self.stage.nodes[new]
                        .replica
                        .as_ref()
                        .is_some_and(|replica| replica.home().is_none())
                {
                    self.link(old, new);
                }
            }
        }
        // Every change that was made on a clock ahead of time comes due.
        self.stage.now += SKEW_MAX_MS as u64 + DAY_MS as u64;
        for round in 0..60 {
            for a in 0..self.stage.nodes.len() {
                for b in a + 1..self.stage.nodes.len() {
                    self.stage.connect(a, b);
                }
            }
            for index in 0..self.stage.nodes.len() {
                self.stage.nodes[index].tick(self.stage.now);
                self.stage.post(index);
            }
            self.stage.pass(2_000)?;
            if round == 20 {
                // Devices that dropped history by force, each below its own checkpoint, are
                // reconciled by a checkpoint of what they know together.
                for node in 0..self.stage.nodes.len() {
                    self.checkpoint_all(node);
                }
            }
            if round > 2 && self.stage.network.is_quiet() && self.judge().is_ok() {
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
        self.stage.nodes.iter().map(tell).collect()
    }

    /// Every device equal, nothing promised missing, every log as its writer signed it.
    fn judge(&mut self) -> Result<(), String> {
        self.report.acknowledged = self.ledger.len();
        self.report.damaged = self.stage.network.damaged;
        self.report.connections = self.stage.connected;
        self.report.crashes = self.stage.crashes;
        let (mut filled, mut found) = (0, 0);
        let first = self.stage.nodes[0]
            .replica
            .as_ref()
            .ok_or("node 0 is down")?;
        let spaces = first.space_ids();
        for node in &self.stage.nodes {
            let index = node.index;
            let replica = node
                .replica
                .as_ref()
                .ok_or_else(|| format!("node {index} is down"))?;
            let is_guest = self.guest == Some(index);
            if !is_guest && replica.space_ids() != spaces {
                return Err(format!(
                    "node {index} has other spaces: {:?} against {spaces:?}",
                    replica.space_ids()
                ));
            }
            for space in spaces.iter().filter(|_| !is_guest) {
                if replica.is_part(space) {
                    let (held, of_queries) = parts::judge(replica, first, space)
                        .map_err(|what| format!("node {index}, a part: {what}"))?;
                    filled += held;
                    found += of_queries;
                    continue;
                }
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
                // A checkpoint that was replaced may be gone before everyone has it.
                let logs = |replica: &Replica| {
                    replica.frontier(space).map(|logs| {
                        let mut logs = logs;
                        logs.retain(|log| !replica.is_checkpoint(space, &log.writer));
                        logs
                    })
                };
                match (logs(replica), logs(first)) {
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
        self.report.filled = filled;
        self.report.found = found;
        self.judge_guest()
    }
}

/// Collections that worlds write to.
const WRITTEN: [&str; 3] = ["things", "ledger", "items"];

/// Every document of a space, the deleted ones included.
pub(crate) fn dump(replica: &Replica, space: &SpaceId) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let listed = replica
        .collections(space)
        .map_err(|error| error.to_string())?;
    // Collections of deleted documents only are not listed.
    let mut names: BTreeSet<String> = WRITTEN.iter().map(|&name| name.to_owned()).collect();
    names.extend(listed.into_iter().map(|(name, _)| name));
    for name in names {
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
