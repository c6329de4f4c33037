//! A world of people, some of them hostile: who lets in and puts out whom, and what must hold then.
//!
//! The honest follow the rules as far as they know them, apart and with crashes. The hostile use the
//! product's own code with bad intent (`malice`). Owns what people do; the judgement is in `judge`.

mod hostile;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

use stead_access::{Path, RemovalTarget, Role};
use stead_base::SpaceId;
use stead_disk::Fault;
use stead_replica::{Replica, ReplicaError};

use crate::chance::Chance;
use crate::ledger::Ledger;
use crate::stage::Stage;
use crate::world::Failure;

const STEPS: u64 = 160;

/// What a run of people went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeopleReport {
    /// Devices in the world.
    pub nodes: usize,
    /// Hostile devices among them, copied disks included.
    pub hostile: usize,
    /// Transactions acknowledged to honest people.
    pub acknowledged: usize,
    /// Those of them that must be there in the end.
    pub promised: usize,
    /// Times somebody was let in.
    pub let_in: usize,
    /// Removals said, those without effect and leaving included.
    pub removals: usize,
    /// Documents that somebody was to be kept from.
    pub secrets: usize,
    /// Logs of strangers.
    pub strangers: usize,
    /// Times a device lost power.
    pub crashes: u64,
}

/// A transaction that an honest person was told is kept.
struct Kept {
    name: String,
    node: usize,
    step: u64,
    /// People that the writer knew to be put out, and after how many memberships.
    from: BTreeMap<usize, usize>,
}

struct People {
    stage: Stage,
    space: SpaceId,
    other: SpaceId,
    /// Whose device each node is; a person is the node that made the identity.
    person: Vec<usize>,
    cut: BTreeSet<(usize, usize)>,
    ledger: Ledger,
    kept: Vec<Kept>,
    /// Who let a person in first.
    first_let_in: BTreeMap<usize, usize>,
    /// How often somebody gave a person keys, whether or not they had the right to.
    given_keys: BTreeMap<usize, usize>,
    /// Devices that were told that they have the space.
    joined: BTreeSet<usize>,
    /// People about whom somebody with a say said that they are out.
    put_out: BTreeSet<usize>,
    step: u64,
    report: PeopleReport,
}

/// Runs one world of people and judges it.
pub fn run_people(seed: u64) -> Result<PeopleReport, Failure> {
    let mut people = People::new(seed).map_err(|what| Failure { seed, what })?;
    people.run().map_err(|what| Failure { seed, what })?;
    Ok(people.report)
}

impl People {
    fn new(seed: u64) -> Result<Self, String> {
        let mut chance = Chance::new(seed ^ 0x7065_6f70_6c65);
        let persons = 3 + chance.below(3) as usize;
        let linked = chance.below(3) as usize;
        let mut stage = Stage::new(chance, persons + linked);
        let now = stage.now;
        let mut person: Vec<usize> = (0..persons).collect();
        for index in 0..persons + linked {
            stage.nodes[index].start(now)?;
        }
        for index in 0..persons {
            let made = stage.nodes[index].act(|replica| replica.create_home(now));
            made.ok_or("no home")?;
        }
        // The founder is honest: with a hostile one there is nothing to hold on to.
        let mut hostile = 0;
        for index in 1..persons {
            if stage.chance.one_in(3) {
                stage.nodes[index].malice.is_hostile = true;
                hostile += 1;
            }
        }
        for index in persons..persons + linked {
            let owner = stage.chance.below(persons as u64) as usize;
            person.push(owner);
            let is_hostile = stage.nodes[owner].malice.is_hostile;
            stage.nodes[index].malice.is_hostile = is_hostile;
            hostile += usize::from(is_hostile);
        }
        let mut space = |name: &str| {
            let made = stage.nodes[0].act(|replica| replica.create_space(name, now));
            made.ok_or("no space")
        };
        let (space, other) = (space("shared")?, space("other")?);
        Ok(Self {
            report: PeopleReport {
                nodes: persons + linked,
                hostile,
                ..PeopleReport::default()
            },
            stage,
            space,
            other,
            person,
            cut: BTreeSet::new(),
            ledger: Ledger::default(),
            kept: Vec::new(),
            first_let_in: BTreeMap::new(),
            given_keys: BTreeMap::new(),
            joined: BTreeSet::from([0]),
            put_out: BTreeSet::new(),
            step: 0,
        })
    }

    fn run(&mut self) -> Result<(), String> {
        for node in 0..self.stage.nodes.len() {
            if self.person[node] != node {
                self.link(self.person[node], node);
            }
        }
        for person in 1..self.stage.nodes.len() {
            if self.stage.chance.below(4) > 0 {
                self.let_in(0, person);
            }
        }
        for step in 1..=STEPS {
            self.step = step;
            self.act()?;
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
            .map_err(|what| format!("{what}\n{}", self.describe()))
    }

    fn act(&mut self) -> Result<(), String> {
        let node = self.any();
        match self.stage.chance.below(100) {
            0..45 => self.write(node),
            45..60 => {
                let pair = self.stage.pair();
                self.cut.remove(&pair);
                self.connect(pair);
            }
            60..66 => {
                let pair = self.stage.pair();
                self.cut.insert(pair);
                self.stage.part(pair);
            }
            66..70 => self.stage.crash(node),
            70..74 => {
                let after = self.stage.chance.below(30);
                self.stage.nodes[node]
                    .disk
                    .fail_write(after, Fault::PowerOff);
            }
            74..82 => {
                let newcomer = self.any();
                self.let_in(node, newcomer);
            }
            82..89 => {
                let whom = self.any();
                self.put_out(node, whom);
            }
            89..97 => self.misbehave()?,
            _ => self.look(node)?,
        }
        self.stage.mend()
    }

    fn any(&mut self) -> usize {
        let count = self.stage.nodes.len() as u64;
        self.stage.chance.below(count) as usize
    }

    fn wall(&self, node: usize) -> u64 {
        self.stage.nodes[node].wall(self.stage.now)
    }

    fn is_hostile(&self, node: usize) -> bool {
        self.stage.nodes[node].malice.is_hostile
    }

    /// Two devices meet, unless they are one device twice.
    fn connect(&mut self, (a, b): (usize, usize)) {
        if self.stage.nodes[a].key != self.stage.nodes[b].key {
            self.stage.connect(a, b);
        }
    }

    fn after(&mut self, node: usize) {
        self.stage.nodes[node].pump(self.stage.now);
        self.stage.post(node);
    }

    fn write(&mut self, node: usize) {
        let (wall, space) = (self.wall(node), self.space);
        let known = self.stage.nodes[node].replica.as_ref();
        let known = known.filter(|replica| replica.space_ids().contains(&space));
        let Some(replica) = known else { return };
        let from = self.known_to_be_out(replica);
        let (name, edits) = self.ledger.transaction(node);
        let receipt = self.stage.nodes[node].act(|replica| replica.transact(&space, &edits, wall));
        if receipt.is_some_and(|receipt| receipt.entry.is_some()) && !self.is_hostile(node) {
            self.report.acknowledged += 1;
            self.kept.push(Kept {
                name,
                node,
                step: self.step,
                from,
            });
        }
        self.after(node);
    }

    /// One person lets another in by an invite, if it may.
    fn let_in(&mut self, by: usize, newcomer: usize) {
        let (by_person, newcomer_person) = (self.person[by], self.person[newcomer]);
        if by_person == newcomer_person || newcomer != newcomer_person {
            return;
        }
        let roles = [Role::Reader, Role::Writer, Role::Manager, Role::Owner];
        let role = roles[self.stage.chance.below(4) as usize];
        let role = if by == 0 && self.step == 0 {
            roles[1 + self.stage.chance.below(3) as usize]
        } else {
            role
        };
        let space = match self.stage.chance.one_in(8) {
            true => self.other,
            false => self.space,
        };
        let card = self.stage.nodes[newcomer].act(|replica| replica.card());
        let Some(card) = card else { return };
        let wall = self.wall(by);
        let ticket = self.stage.nodes[by].act(|replica| {
            if !replica.space_ids().contains(&space) {
                return Err(ReplicaError::NoHome);
            }
            let (whole, expires) = (Path::whole_space(), wall + 1000);
            let invite = replica.invite(&space, role, whole, Some(1), expires, wall)?;
            replica.admit(&space, invite.join(card), wall)
        });
        // Power lost half-way: whether it was said shows later.
        if ticket.is_none() && !self.may_have_happened(by) {
            self.after(by);
            return;
        }
        if space == self.space {
            self.report.let_in += 1;
            // Whether they owe it to this person shows later where the power was lost.
            if ticket.is_some() {
                let first = self.first_let_in.entry(newcomer_person);
                first.or_insert(by_person);
            }
            *self.given_keys.entry(newcomer_person).or_default() += 1;
        }
        let wall = self.wall(newcomer);
        let joined = ticket.and_then(|ticket| {
            self.stage.nodes[newcomer].act(|replica| match replica.space_ids().contains(&space) {
                true => Ok(()),
                false => replica.join_shared(&ticket, wall),
            })
        });
        if joined.is_some() && space == self.space {
            self.joined.insert(newcomer);
        }
        for node in [by, newcomer] {
            self.after(node);
        }
    }

    /// Whether what was just tried may be on the disk though nobody was told so.
    fn may_have_happened(&self, node: usize) -> bool {
        self.stage.nodes[node].broken || !self.stage.nodes[node].disk.is_powered()
    }

    /// One person says that another is out, or leaves.
    fn put_out(&mut self, by: usize, whom: usize) {
        let whom = self.person[whom];
        if whom == 0 || (self.person[by] == whom && self.stage.chance.below(3) > 0) {
            return;
        }
        let (wall, space) = (self.wall(by), self.space);
        let target = self.stage.nodes[whom].replica.as_ref();
        let Some(target) = target.and_then(Replica::identity) else {
            return;
        };
        let said = self.stage.nodes[by]
            .act(|replica| replica.revoke(&space, RemovalTarget::Identity(target), None, wall));
        if said.is_none() && !self.may_have_happened(by) {
            return;
        }
        self.report.removals += 1;
        // Whoever is out already has no say: what it says must have no effect.
        if !self.is_hostile(by) || !self.put_out.contains(&self.person[by]) {
            self.put_out.insert(whom);
            self.turn_deaf(by, whom);
        }
        self.after(by);
    }

    /// A person adds a device.
    fn link(&mut self, old: usize, new: usize) {
        let record = self.stage.nodes[new].act(|replica| Ok(replica.device_record()));
        let Some(record) = record else { return };
        let wall = self.wall(old);
        let tickets = self.stage.nodes[old].act(|replica| {
            replica.grant_device(&record, wall)?;
            let home = replica.home();
            let mut found: Vec<_> = (replica.space_ids().iter())
                .filter_map(|id| Some((replica.ticket(id)?, Some(*id) == home)))
                .collect();
            found.sort_by_key(|(_, is_home)| *is_home);
            Ok(found)
        });
        let wall = self.wall(new);
        for (ticket, is_home) in tickets.unwrap_or_default() {
            self.stage.nodes[new].act(|replica| replica.join_space(&ticket, is_home, wall));
        }
        for node in [old, new] {
            self.after(node);
        }
    }

    fn look(&mut self, node: usize) -> Result<(), String> {
        let device = &self.stage.nodes[node];
        let replica = device.replica.as_ref();
        let Some(replica) = replica.filter(|_| !device.broken && device.disk.is_powered()) else {
            return Ok(());
        };
        if !replica.space_ids().contains(&self.space) {
            return Ok(());
        }
        let whole = self.ledger.check_whole(replica, &self.space);
        whole
            .map(drop)
            .map_err(|what| format!("node {node} mid-way: {what}"))
    }

    /// Ends what befalls the honest, and gives everyone time to meet. The hostile go on.
    fn heal(&mut self) -> Result<(), String> {
        self.stage.network.hostile = false;
        self.cut.clear();
        let all: Vec<_> = self.stage.connections.keys().copied().collect();
        all.into_iter()
            .for_each(|id| self.stage.drop_connection(id));
        for node in &mut self.stage.nodes {
            node.disk.clear_faults();
        }
        self.stage.mend()?;
        self.stage.now += 3_600_000;
        let mut quiet = 0;
        for round in 0..60 {
            let count = self.stage.nodes.len();
            for a in 0..count {
                for b in a + 1..count {
                    self.connect((a, b));
                }
            }
            for index in 0..count {
                self.stage.nodes[index].tick(self.stage.now);
                self.stage.post(index);
            }
            self.stage.pass(2_000)?;
            quiet = match self.judge() {
                Ok(()) if round > 2 => quiet + 1,
                _ => 0,
            };
            if quiet > 1 {
                return Ok(());
            }
        }
        Ok(())
    }
}
