//! What this device said beyond the place where its own log turned out to be forked: a restored backup,
//! or one of two that go on with one disk, says it again in a fresh log.
//!
//! Owns what is said again. Documents, redactions, names and all that ends a right are. What lets
//! somebody in is not: who ended that elsewhere named the operation that is gone, and a new one would
//! bring back whoever was put out.

use stead_access::{Lengths, Name, Remove, RosterOp, decode_ops};
use stead_base::{ScopeId, SpaceId, Stamp, WriterId};
use stead_doc::Redacted;
use stead_store::Read;

use crate::opening::{Outcome, open_segment};
use crate::starts::is_piece;
use crate::writing::Writing;
use crate::{Replica, ReplicaError};

/// One entry that a fork takes away from this device.
pub(crate) struct LostEntry {
    ops: Vec<RosterOp>,
    parts: Vec<(ScopeId, Vec<u8>)>,
}

impl LostEntry {
    fn redacts(&self) -> bool {
        let mut ops = self.ops.iter();
        ops.any(|op| matches!(op, RosterOp::Redact(_)))
    }
}

impl Replica {
    /// This device's own entries from `from` on, in their order.
    pub(crate) fn said_beyond(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        from: u64,
    ) -> Result<Vec<LostEntry>, ReplicaError> {
        let state = self.writer(space, writer)?;
        let ring = &self.space(space)?.ring;
        let mut lost = Vec::new();
        for segment in self.store.segments(state.no, from, usize::MAX)? {
            let opened = open_segment(ring, space, writer, &segment, from)?;
            let open = opened.entries.iter();
            for entry in open.filter(|entry| entry.outcome == Outcome::Open) {
                // What does not decode meant nothing to anyone.
                let ops = decode_ops(&opened.arena[entry.roster.clone()]).unwrap_or_default();
                let parts = opened
                    .open_docs(entry)
                    .filter(|(_, text)| !is_piece(text))
                    .map(|(scope, text)| (scope, text.to_vec()))
                    .collect();
                lost.push(LostEntry { ops, parts });
            }
        }
        Ok(lost)
    }
}

impl Writing<'_> {
    /// Says again what a fork took away. `name` is what the space was called.
    pub(crate) fn say_again(
        &mut self,
        id: &SpaceId,
        lost: Vec<LostEntry>,
        name: Option<Name>,
    ) -> Result<(), ReplicaError> {
        for entry in lost {
            match self.say_entry_again(id, entry, name.as_ref()) {
                // Who has left, or was put out meanwhile, has no log to say it in.
                Err(error @ ReplicaError::NotAdmitted { .. }) => {
                    tracing::error!(%error, "what was said beyond a fork cannot be said again");
                    return Ok(());
                }
                said => said?,
            }
        }
        Ok(())
    }

    fn say_entry_again(
        &mut self,
        id: &SpaceId,
        entry: LostEntry,
        name: Option<&Name>,
    ) -> Result<(), ReplicaError> {
        if entry.redacts() {
            return self.redact_again(id, entry);
        }
        let parts: Vec<_> = (entry.parts.into_iter())
            .filter(|(_, text)| !Redacted::is_one(text))
            .collect();
        if !parts.is_empty() {
            self.write_again(id, &parts)?;
        }
        let mut said = false;
        for op in entry.ops {
            if let Some(op) = self.what_to_say_again(id, op, name)? {
                said |= self.say_if_it_counts(id, op)?;
            }
        }
        match said {
            true => self.renew_if_allowed(id),
            false => Ok(()),
        }
    }

    /// What is said in the place of an operation; none if it is not said again.
    fn what_to_say_again(
        &mut self,
        id: &SpaceId,
        op: RosterOp,
        name: Option<&Name>,
    ) -> Result<Option<RosterOp>, ReplicaError> {
        Ok(match op {
            RosterOp::Remove(remove) => self.remove_again(id, remove)?.map(RosterOp::Remove),
            RosterOp::Rename { name: said, .. } => {
                let roster = &self.space(id)?.roster;
                let was_its_name = Some(&said) == name && roster.name() != name;
                was_its_name.then(|| RosterOp::Rename {
                    name: said,
                    turn: roster.next_name_turn(),
                })
            }
            RosterOp::RemoveDevice(_)
            | RosterOp::GroupRemove(_)
            | RosterOp::RootStatement { .. } => Some(op),
            RosterOp::Grant(_)
            | RosterOp::Join(_)
            | RosterOp::AddDevice(_)
            | RosterOp::GroupAdd(_) => {
                tracing::warn!(space = %id.short(), "who was let in beyond a fork has to be let in again");
                None
            }
            // The founding entry is common to all; keys and scopes are handed on by themselves; starts
            // and checkpoints are made anew where they lack.
            RosterOp::Genesis { .. }
            | RosterOp::Claim { .. }
            | RosterOp::Epoch(_)
            | RosterOp::Scope { .. }
            | RosterOp::Start(_)
            | RosterOp::Checkpoint(_)
            | RosterOp::Redact(_)
            | RosterOp::AskKeys(_)
            | RosterOp::Letter { .. } => None,
        })
    }

    /// A removal with the lengths that it had: what came later was void, and stays so.
    fn remove_again(
        &mut self,
        id: &SpaceId,
        remove: Remove,
    ) -> Result<Option<Remove>, ReplicaError> {
        let own = self.keys.id();
        let writer = self.own_writer(id)?;
        let said = self.writer_len(id, &writer)? + 1;
        let members = self.space(id)?.roster.members();
        let named = remove.memberships.into_iter();
        let memberships: Vec<_> = named.filter(|id| members.contains_key(id)).collect();
        let mut held = memberships.iter().filter_map(|id| members.get(id));
        let mut lengths: Lengths = remove.lengths;
        if held.any(|it| it.is_held_by(&own)) {
            // Who leaves has still said what this log says up to here.
            lengths.raise(writer, said);
        }
        Ok((!memberships.is_empty()).then_some(Remove {
            memberships,
            lengths,
            reason: remove.reason,
        }))
    }

    /// Says an operation unless every replica would leave it out. Returns whether it was said.
    fn say_if_it_counts(&mut self, id: &SpaceId, op: RosterOp) -> Result<bool, ReplicaError> {
        match self.say(id, op) {
            Err(ReplicaError::Refused(why)) => {
                tracing::warn!(space = %id.short(), why, "what was said beyond a fork does not count any more");
                Ok(false)
            }
            said => said.map(|_| true),
        }
    }

    fn redact_again(&mut self, id: &SpaceId, entry: LostEntry) -> Result<(), ReplicaError> {
        let ops = entry.ops.into_iter();
        let ops: Vec<_> = ops.filter(|op| matches!(op, RosterOp::Redact(_))).collect();
        let writer = self.own_writer(id)?;
        for op in &ops {
            if let Err(error) = self.check_op(id, op) {
                tracing::warn!(space = %id.short(), %error, "a redaction beyond a fork does not count any more");
                return Ok(());
            }
        }
        let hlc = self.clock.tick(self.now_ms);
        self.say_redaction(id, &ops, &entry.parts, Stamp { hlc, writer })?;
        // What stands in the place of the redacted is not in the documents since the fork.
        self.misjudged.insert(*id);
        Ok(())
    }

    /// Writes document parcels again as a new entry of this device.
    fn write_again(
        &mut self,
        id: &SpaceId,
        parts: &[(ScopeId, Vec<u8>)],
    ) -> Result<(), ReplicaError> {
        let writer = self.own_writer(id)?;
        let hlc = self.clock.tick(self.now_ms);
        self.append_own(id, hlc, &[], parts, &[])?;
        let stamp = Stamp { hlc, writer };
        for (_, parcel) in parts {
            self.gather_own(id, parcel, stamp)?;
        }
        Ok(())
    }
}
