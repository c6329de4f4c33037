//! Calls about spaces.

use std::collections::BTreeMap;

use stead_api::{
    ApiError, CollectionInfo, Done, ErrorKind, SpaceCreate, SpaceLeave, SpaceList, Spaces,
    SyncPhase, SyncState,
};
use stead_base::{DeviceId, SpaceId};
use stead_replica::{ReplicaError, SpaceInfo};

use super::{Count, Node, convert};
use crate::clock::{steady_ms, wall_ms};
use crate::faults;
use crate::sync::facts::PeerFacts;

/// Counting that takes less is done whenever asked for.
const COUNT_IS_CHEAP_MS: u64 = 10;
/// After counting, the old count is good for this many times as long as it took.
const COUNT_REST: u64 = 20;

impl Node {
    /// Every space here, the home space first, then by name.
    pub(crate) async fn outlines(&self) -> Result<Vec<SpaceInfo>, ApiError> {
        let outlines = self.store.look(|desk| {
            // What the person calls their devices goes before the names they were let in under.
            let names = desk.replica.device_names().unwrap_or_default();
            let ids = desk.replica.space_ids();
            let renamed = |id| {
                let mut outline = desk.replica.outline(id)?;
                for device in &mut outline.devices {
                    if let Some(name) = names.get(&device.id) {
                        device.name.clone_from(name);
                    }
                }
                Ok(outline)
            };
            ids.iter().map(renamed).collect::<Result<Vec<_>, _>>()
        });
        let mut outlines = outlines.await?.map_err(|error| faults::replica(&error))?;
        outlines.sort_by(|a, b| (!a.is_home, &a.name).cmp(&(!b.is_home, &b.name)));
        Ok(outlines)
    }

    pub(super) async fn list_spaces(&self, list: SpaceList) -> Result<Spaces, ApiError> {
        let facts = self.facts.all();
        let mut spaces = Vec::new();
        for outline in self.outlines().await? {
            spaces.push(self.describe(&outline, &facts, list.collections).await?);
        }
        Ok(Spaces { spaces })
    }

    /// A space with its counts and how far it is in step.
    pub(crate) async fn describe(
        &self,
        outline: &SpaceInfo,
        facts: &BTreeMap<DeviceId, PeerFacts>,
        collections: bool,
    ) -> Result<stead_api::SpaceInfo, ApiError> {
        let counted = self.counts(outline.id).await?;
        let listed = counted.iter().map(|(name, documents)| CollectionInfo {
            name: name.clone(),
            documents: *documents,
        });
        Ok(stead_api::SpaceInfo {
            documents: counted.iter().map(|(_, documents)| documents).sum(),
            collections: if collections {
                listed.collect()
            } else {
                Vec::new()
            },
            sync: self.sync_state(outline, facts),
            ..convert::space_outline(outline)
        })
    }

    /// Documents in each collection. Counted again only after something changed, and not so often
    /// that counting keeps the machine from everything else.
    async fn counts(&self, space: SpaceId) -> Result<Vec<(String, u64)>, ApiError> {
        let generation = self.board.watches.generation(&space);
        let begun_ms = steady_ms();
        if let Some(count) = self.counted().get(&space) {
            let rest_ms = match count.took_ms {
                0..COUNT_IS_CHEAP_MS => 0,
                took_ms => took_ms * COUNT_REST,
            };
            if count.generation == generation || begun_ms < count.at_ms + rest_ms {
                return Ok(count.collections.clone());
            }
        }
        let mut collections = self
            .readers
            .read(move |reader| reader.collections(&space))
            .await?;
        collections.retain(|(name, _)| !stead_replica::is_reserved(name));
        let at_ms = steady_ms();
        let count = Count {
            generation,
            at_ms,
            took_ms: at_ms - begun_ms,
            collections: collections.clone(),
        };
        self.counted().insert(space, count);
        Ok(collections)
    }

    fn sync_state(&self, outline: &SpaceInfo, facts: &BTreeMap<DeviceId, PeerFacts>) -> SyncState {
        let mut state = SyncState {
            held_back: outline.waiting,
            ..SyncState::default()
        };
        let others = outline
            .devices
            .iter()
            .filter(|device| device.id != self.device.id);
        let mut here = Vec::new();
        let (mut comparing, mut there) = (false, 0);
        for device in others.clone() {
            let lack = facts
                .get(&device.id)
                .and_then(|facts| facts.shared.get(&outline.id));
            let Some(lack) = lack else {
                continue;
            };
            here.push(device.name.clone());
            match lack {
                None => comparing = true,
                Some(lack) => {
                    state.missing = state.missing.max(lack.here);
                    there = there.max(lack.there);
                }
            }
        }
        (state.phase, state.detail) = if outline.was_public {
            let detail = "nothing in it is public any more".to_owned();
            (SyncPhase::Waiting, detail)
        } else if outline.role.is_none() {
            (SyncPhase::Waiting, "waiting to be let in".to_owned())
        } else if others.count() == 0 {
            (SyncPhase::Alone, "only on this device".to_owned())
        } else if here.is_empty() {
            (
                SyncPhase::Waiting,
                "no other device is reachable".to_owned(),
            )
        } else if state.missing > 0 || there > 0 {
            let detail = format!("{} changes to fetch, {there} to send", state.missing);
            (SyncPhase::Syncing, detail)
        } else if comparing {
            (
                SyncPhase::Syncing,
                format!("comparing with {}", here.join(", ")),
            )
        } else {
            (
                SyncPhase::InStep,
                format!("in step with {}", here.join(", ")),
            )
        };
        if outline.is_part {
            state.detail.push_str("; only a part is kept here");
        }
        state
    }

    pub(super) async fn create_space(
        &self,
        create: SpaceCreate,
    ) -> Result<stead_api::SpaceInfo, ApiError> {
        let name = create.name;
        stead_access::Name::new(&name)
            .map_err(|error| faults::sentence(ErrorKind::BadName, &error))?;
        let made = self.store.change(move |desk| {
            if desk
                .board()
                .names
                .borrow()
                .iter()
                .any(|(_, taken)| *taken == name)
            {
                return Err(ApiError::new(
                    ErrorKind::Exists,
                    format!("There is already a space called {name:?} on this device."),
                ));
            }
            let made = desk.replica.create_space(&name, wall_ms());
            desk.note_outcome(&made);
            let outline = made.and_then(|id| desk.replica.outline(&id));
            outline.map_err(|error| faults::replica(&error))
        });
        let outline = made.await??;
        self.describe(&outline, &self.facts.all(), false).await
    }

    pub(super) async fn leave_space(&self, leave: SpaceLeave) -> Result<Done, ApiError> {
        let space = self.find_space(&leave.space)?;
        let outlines = self.outlines().await?;
        let outline = outlines.iter().find(|outline| outline.id == space);
        let outline = outline.ok_or_else(|| {
            faults::replica(&ReplicaError::NoSuchSpace {
                name: leave.space.clone(),
            })
        })?;
        if outline.is_home {
            return Err(ApiError::new(
                ErrorKind::NotAllowed,
                "The home space is this device's identity: it cannot be left.",
            ));
        }
        if !leave.lose_unsynced {
            self.check_synced(outline)?;
        }
        let left = self.store.change(move |desk| {
            let left = desk.replica.leave_space(&space, wall_ms());
            desk.note_outcome(&left);
            left.map_err(|error| faults::replica(&error))
        });
        left.await??;
        Ok(Done {
            message: format!("This device no longer keeps {:?}.", outline.name),
        })
    }

    /// Refuses to erase what no other device is known to have.
    pub(super) fn check_synced(&self, outline: &SpaceInfo) -> Result<(), ApiError> {
        let facts = self.facts.all();
        let safe = facts
            .values()
            .filter_map(|facts| facts.shared.get(&outline.id).copied().flatten());
        if outline.entries == 0 || safe.into_iter().any(|lack| lack.there == 0) {
            return Ok(());
        }
        let alone = outline
            .devices
            .iter()
            .all(|device| device.id == self.device.id);
        let message = if alone {
            format!(
                "Only this device keeps {:?}: leaving it would erase it.",
                outline.name
            )
        } else {
            format!(
                "No reachable device is known to have all changes to {:?}.",
                outline.name
            )
        };
        let hint = "Bring a device that keeps it within reach first, or say that what is only here may be lost.";
        Err(ApiError::new(ErrorKind::NotAllowed, message).hint(hint))
    }
}
