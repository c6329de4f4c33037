//! What hostile people do besides taking part: forge, flood, replay, copy disks, close their ears.

use stead_base::{SpaceId, WriterId};

use super::People;
use crate::malice::stranger_log;
use crate::node::Node;

impl People {
    /// Some hostile device does one thing that it should not.
    pub(super) fn misbehave(&mut self) -> Result<(), String> {
        let hostile: Vec<usize> = (0..self.stage.nodes.len())
            .filter(|node| self.is_hostile(*node))
            .collect();
        let pick = self.stage.chance.below(hostile.len() as u64) as usize;
        let Some(node) = hostile.get(pick).copied() else {
            return Ok(());
        };
        let space = self.space;
        match self.stage.chance.below(5) {
            0 => self.stage.nodes[node].malice.forges ^= true,
            1 => {
                for _ in 0..self.stage.chance.below(8) {
                    let log = stranger_log(&space, &mut self.stage.chance);
                    let wall = self.wall(node);
                    let replica = self.stage.nodes[node].replica.as_mut();
                    let taken = replica.map(|replica| replica.receive(&space, &log, wall).is_ok());
                    self.report.strangers += usize::from(taken == Some(true));
                }
            }
            2 => self.replay_elsewhere(node),
            3 => {
                let back = self.stage.chance.below(60_000) as i64;
                self.stage.nodes[node].skew_ms = -back;
            }
            _ => self.copy_disk(node)?,
        }
        self.after(node);
        Ok(())
    }

    /// Hands a member of the space what was written in another space.
    fn replay_elsewhere(&mut self, node: usize) {
        let (space, other) = (self.space, self.other);
        let victim = self.any();
        let read = self.stage.nodes[node].act(|replica| {
            let Ok(frontier) = replica.frontier(&other) else {
                return Ok(None);
            };
            match frontier.first() {
                Some(log) => replica.read_batch(&other, &log.writer, 0, log.len, 1 << 20),
                None => Ok(None),
            }
        });
        let wall = self.wall(victim);
        if let (Some(batch), Some(replica)) =
            (read.flatten(), self.stage.nodes[victim].replica.as_mut())
        {
            // Whether it is refused shows in what is there in the end.
            let _ = replica.receive(&space, &batch, wall);
        }
        self.after(victim);
    }

    /// A hostile device goes on twice from one disk: it will tell two stories.
    fn copy_disk(&mut self, node: usize) -> Result<(), String> {
        let twice = self.stage.nodes.iter();
        let twice = twice.filter(|other| other.key == self.stage.nodes[node].key);
        if twice.count() > 1 || !self.stage.nodes[node].disk.is_powered() {
            return Ok(());
        }
        let index = self.stage.nodes.len();
        let mut twin = Node::new(index, &mut self.stage.chance);
        let original = &self.stage.nodes[node];
        twin.key = original.key;
        twin.skew_ms = original.skew_ms;
        twin.malice.is_hostile = true;
        twin.malice.deaf_to = original.malice.deaf_to.clone();
        twin.disk = original.disk.copy(self.step);
        self.stage.nodes.push(twin);
        self.person.push(self.person[node]);
        self.report.hostile += 1;
        self.stage.nodes[index].start(self.stage.now)
    }

    /// Hostile devices take up nothing more from who put them out.
    pub(super) fn turn_deaf(&mut self, by: usize, whom: usize) {
        let logs = self.logs_of(by);
        for node in 0..self.stage.nodes.len() {
            if self.person[node] == whom && self.is_hostile(node) && self.person[by] != whom {
                let withholds = self.stage.chance.one_in(2);
                let malice = &mut self.stage.nodes[node].malice;
                malice.deaf_to.extend(logs.iter().copied());
                malice.withholds = withholds;
            }
        }
    }

    fn logs_of(&self, node: usize) -> Vec<(SpaceId, WriterId)> {
        let own = self.stage.nodes[node].id();
        let replica = self.stage.nodes[node].replica.as_ref();
        let info = replica.and_then(|replica| replica.outline(&self.space).ok());
        let devices = info.into_iter().flat_map(|info| info.devices);
        let own = devices.filter(|device| device.id == own);
        own.flat_map(|device| device.writers)
            .map(|writer| (self.space, writer))
            .collect()
    }
}
