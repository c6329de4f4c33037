//! Somebody else who is let into a part of a space, while its owners go on with checkpoints, redactions and
//! dropped history: what they are shown is what is there, and they are shown nothing else.

use stead_access::{Path, Role};
use stead_replica::ReplicaError;

use super::{World, dump};

/// The part, a collection.
const SHARED: &str = "things";

impl World {
    /// A device lets the guest into a part of a space, if it may and that was not done yet.
    pub(super) fn let_guest_in(&mut self, by: usize) {
        let Some(guest) = self.guest.filter(|guest| *guest != by) else {
            return;
        };
        let Some(space) = self.any_space(by) else {
            return;
        };
        let is_in = self.stage.nodes[guest].replica.as_ref();
        if is_in.is_none_or(|replica| replica.space_ids().contains(&space)) {
            return;
        }
        let Some(card) = self.stage.nodes[guest].act(|replica| replica.card()) else {
            return;
        };
        let role = match self.stage.chance.one_in(3) {
            true => Role::Reader,
            false => Role::Writer,
        };
        let wall = self.stage.nodes[by].wall(self.stage.now);
        let ticket = self.stage.nodes[by].act(|replica| {
            let on = Path::new(&format!("/{SHARED}"));
            let on = on.map_err(|error| ReplicaError::Refused(error.to_string()))?;
            let invite = replica.invite(&space, role, on, Some(1), wall + 1000, wall)?;
            replica.admit(&space, invite.join(card), wall)
        });
        let wall = self.stage.nodes[guest].wall(self.stage.now);
        if let Some(ticket) = ticket {
            self.stage.nodes[guest].act(|replica| replica.join_shared(&ticket, wall));
        }
        for node in [by, guest] {
            self.stage.nodes[node].pump(self.stage.now);
            self.stage.post(node);
        }
    }

    /// The guest is shown what the owners are shown of the part.
    pub(super) fn judge_guest(&mut self) -> Result<(), String> {
        let Some(guest) = self.guest else {
            return Ok(());
        };
        let down = || format!("node {guest}, the guest, is down");
        let replica = self.stage.nodes[guest].replica.as_ref().ok_or_else(down)?;
        let first = self.stage.nodes[0].replica.as_ref();
        let first = first.ok_or("node 0 is down")?;
        let mut shown = 0;
        for space in replica.space_ids() {
            if Some(space) == replica.home() {
                continue;
            }
            let (here, mut there) = (dump(replica, &space)?, dump(first, &space)?);
            there.retain(|line| line.starts_with(&format!("{SHARED}/")));
            if here != there {
                let missing = there.iter().find(|line| !here.contains(line));
                let other = here.iter().find(|line| !there.contains(line));
                return Err(format!(
                    "node {guest}, the guest, space {}: {other:?} is here and {missing:?} there\n{}",
                    space.short(),
                    self.describe(&space)
                ));
            }
            shown += here.len() as u64;
        }
        self.report.shown = shown;
        Ok(())
    }
}
