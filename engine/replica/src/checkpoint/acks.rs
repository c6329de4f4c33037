//! What every device that may write is known to have seen, as the envelopes of its own logs say.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use stead_access::Role;
use stead_base::{DeviceId, SpaceId, WriterId};

use crate::opening::each_envelope;
use crate::space::{SpaceState, WriterState};
use crate::{Replica, ReplicaError};

/// How much of each log a device has seen.
pub(crate) type Seen = BTreeMap<WriterId, u64>;

impl Replica {
    /// The devices that may write in a space, with what each is known to have seen; this one left
    /// out.
    pub(crate) fn seen_by_writers(
        &self,
        id: &SpaceId,
    ) -> Result<BTreeMap<DeviceId, Seen>, ReplicaError> {
        let space = self.space(id)?;
        let own = self.device();
        let may_write = |device: &DeviceId| {
            space
                .roster
                .held_by(device)
                .any(|it| it.role >= Role::Writer && it.is_held_by(device))
        };
        // Who began with the same history as this device has seen what it begins with.
        let common: Seen = space
            .writers
            .iter()
            .filter(|(_, state)| state.record.base > 0)
            .map(|(writer, state)| (*writer, state.record.base))
            .collect();
        let mut seen = BTreeMap::new();
        for device in space.roster.devices().into_keys() {
            if device == own || !may_write(&device) {
                continue;
            }
            let mut of_device = common.clone();
            let logs: Vec<WriterId> = space.roster.writers_of(&device).copied().collect();
            for log in logs {
                if let Some(state) = space.writers.get(&log)
                    && !space.is_checkpoint(&log)
                {
                    of_device.insert(log, state.applied);
                    self.add_seen(space, &log, state, &mut of_device)?;
                }
            }
            seen.insert(device, of_device);
        }
        Ok(seen)
    }

    /// Adds what the envelopes of one log say.
    fn add_seen(
        &self,
        space: &SpaceState,
        log: &WriterId,
        state: &WriterState,
        seen: &mut Seen,
    ) -> Result<(), ReplicaError> {
        let from = state.record.base;
        each_envelope(&self.store, space, log, from, &mut |_, envelope| {
            for known in envelope.seen {
                let len = seen.entry(known.writer).or_default();
                *len = known.len.max(*len);
            }
            ControlFlow::Continue(())
        })?;
        Ok(())
    }
}
