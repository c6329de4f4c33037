//! Looking for what is wrong, and saying what to do about it.

use stead_base::SpaceId;
use stead_log::range_root;
use stead_store::{Read, ReadRich};

use crate::logs::StoredTree;
use crate::rich::{RichRecord, field_path};
use crate::{Replica, ReplicaError};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be, or merely worth knowing.
    Note,
    /// Works, but needs someone's eye.
    Warning,
    /// Does not work, or data is in danger.
    Error,
}

/// Something found, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which space, if it concerns one.
    pub space: Option<SpaceId>,
    /// What was found.
    pub what: String,
    /// What to do, if anything.
    pub hint: Option<String>,
}

impl Replica {
    /// Checks the store and every log against its signed head. Reads everything: takes about a
    /// second for each hundred megabytes.
    pub fn doctor(&self) -> Result<Vec<Finding>, ReplicaError> {
        let mut findings = Vec::new();
        for found in self.store.integrity_check()? {
            findings.push(Finding {
                severity: Severity::Error,
                space: None,
                what: found.to_string(),
                hint: Some(
                    "stop Stead, keep a copy of the database file, and link this device anew: \
                     your other devices hold the data"
                        .to_owned(),
                ),
            });
        }
        for space in self.spaces()? {
            self.examine(&space, &mut findings)?;
        }
        Ok(findings)
    }

    fn examine(
        &self,
        space: &crate::SpaceInfo,
        findings: &mut Vec<Finding>,
    ) -> Result<(), ReplicaError> {
        let mut add = |severity, what: String, hint: Option<&str>| {
            let hint = hint.map(str::to_owned);
            findings.push(Finding {
                severity,
                space: Some(space.id),
                what,
                hint,
            });
        };
        let name = &space.name;
        if let Some(why) = self.held_up.get(&space.id) {
            let hint = "let the devices meet, or remove one that is lost; `stead space compact --force` drops it anyway";
            add(
                Severity::Note,
                format!("{name}: history that is old enough is not dropped: {why}"),
                Some(hint),
            );
        }
        for writer in self.lacking.keys().filter(|(id, _)| *id == space.id) {
            let what = format!(
                "{name}: the log of {} waits for a part of an entry that whoever sent it left out",
                writer.1.short()
            );
            let hint = "it is fetched again within minutes; other devices may have it";
            add(Severity::Warning, what, Some(hint));
        }
        if space.role.is_none() {
            let hint = "bring a device that owns it within reach";
            add(
                Severity::Warning,
                format!("{name}: this device was not let in yet"),
                Some(hint),
            );
        }
        if space.waiting > 0 {
            let hint = "they count once their time, a key or a grant has come; check the clocks of your devices";
            add(
                Severity::Warning,
                format!("{name}: {} changes wait", space.waiting),
                Some(hint),
            );
        }
        if space.skipped > 0 {
            let what = format!(
                "{name}: {} changes were made by a newer version of Stead",
                space.skipped
            );
            add(
                Severity::Warning,
                what,
                Some("update Stead, then run `stead doctor --rebuild`"),
            );
        }
        for writer in &space.frozen {
            let device = space
                .devices
                .iter()
                .find(|device| device.writers.contains(writer));
            let device = device.map_or_else(|| writer.short(), |device| device.name.clone());
            let hint =
                "usually a restored backup or a copied disk; that device goes on under a new key";
            add(
                Severity::Warning,
                format!("{name}: {device} wrote two histories; one was stopped where they part"),
                Some(hint),
            );
        }
        let checkpoints = self.checkpoints(&space.id)?.into_iter();
        for info in checkpoints.filter(|info| info.is_held_back) {
            let device = info.made_by;
            let device = device.and_then(|device| self.name_in(&space.id, &device));
            let device = device.unwrap_or_else(|| info.log.short());
            let what = format!(
                "{name}: a checkpoint of {device} is dated ahead of this device's clock, and not used until its time has come"
            );
            let hint = "check the clocks of both devices; `stead space checkpoint` on one whose clock is right makes another, and `stead space checkpoints` tells the times";
            add(Severity::Warning, what, Some(hint));
        }
        if self.is_beginning_void(&space.id)? {
            let hint = "make a checkpoint on a device that has the whole history, with `stead space checkpoint`: once it is here, this device begins again from it";
            add(
                Severity::Warning,
                format!(
                    "{name}: a removal reaches behind where the history begins here; what it took back is still shown"
                ),
                Some(hint),
            );
        }
        if let Some(part) = self.part_info(&space.id)? {
            let waiting = match (part.waiting, part.unfilled.is_empty()) {
                (0, true) => None,
                (0, false) => Some(part.unfilled.join(", ")),
                (count, _) => Some(format!("{count} documents")),
            };
            if let Some(what) = waiting {
                let hint = "bring a device within reach that has all of the space and manages it, or one of your own";
                add(
                    Severity::Warning,
                    format!(
                        "{name}: of the part that is kept here, {what} have not come, or are shown as they were before a removal"
                    ),
                    Some(hint),
                );
            }
        }
        for field in self.store.rich_fields(self.space(&space.id)?.no)? {
            let what = match RichRecord::decode(&field.state) {
                Err(error) => Some(format!("cannot be read ({error})")),
                Ok((record, _)) => match record.frozen {
                    Some(frozen) => Some(format!(
                        "could not take up an update and shows what it was before ({})",
                        frozen.reason
                    )),
                    None if record.rejected > 0 => Some(format!(
                        "left out {} updates that break the rules",
                        record.rejected
                    )),
                    None => None,
                },
            };
            if let Some(what) = what {
                let path = field_path(&field.field);
                add(
                    Severity::Warning,
                    format!("{name}: {path} of document {} {what}", field.doc),
                    Some("`stead doctor --rebuild` builds it again from the logs"),
                );
            }
        }
        for (writer, state) in &self.space(&space.id)?.writers {
            let tip = &state.record.tip;
            // Of a checkpoint that was replaced nothing is left to be checked.
            let of_space = self.space(&space.id)?;
            if state.record.base == tip.len() && of_space.is_checkpoint(writer) {
                continue;
            }
            // What a thin log leaves out was checked when it came, and is not here.
            if of_space.is_thin(writer) {
                continue;
            }
            let root = StoredTree::leaves_only(&self.store, state)
                .and_then(|mut tree| range_root(&mut tree, 0, tip.len()));
            let hint = "the database was changed from outside; link this device anew";
            match root {
                Ok(root) if root == tip.root() => {}
                Ok(_) => {
                    let what = format!(
                        "{name}: the stored log of {} does not match its signed head",
                        writer.short()
                    );
                    add(Severity::Error, what, Some(hint));
                }
                Err(error) => {
                    add(
                        Severity::Error,
                        format!(
                            "{name}: the log of {} cannot be read: {error}",
                            writer.short()
                        ),
                        Some(hint),
                    );
                }
            }
        }
        Ok(())
    }
}
