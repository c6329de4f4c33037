//! Calls about checkpoints and the history below them.

use stead_api::{
    ApiError, CheckpointInfo, Checkpoints, Compacted, HistoryKept, SpaceCheckpoint,
    SpaceCheckpoints, SpaceCompact, SpaceHistory,
};
use stead_base::SpaceId;
use stead_replica::{Compaction, Replica};

use super::Node;
use crate::clock::wall_ms;
use crate::faults;

impl Node {
    pub(super) async fn make_checkpoint(
        &self,
        make: SpaceCheckpoint,
    ) -> Result<CheckpointInfo, ApiError> {
        let space = self.find_space(&make.space)?;
        let made = self.store.change(move |desk| {
            let made = desk.replica.make_checkpoint(&space, wall_ms());
            desk.note_outcome(&made);
            made.map(|info| describe(&desk.replica, &space, &info))
                .map_err(|error| faults::replica(&error))
        });
        made.await?
    }

    pub(super) async fn list_checkpoints(
        &self,
        list: SpaceCheckpoints,
    ) -> Result<Checkpoints, ApiError> {
        let space = self.find_space(&list.space)?;
        let found = self.store.look(move |desk| {
            let found = desk.replica.checkpoints(&space);
            found.map(|found| {
                let each = found.iter();
                each.map(|info| describe(&desk.replica, &space, info))
                    .collect::<Vec<_>>()
            })
        });
        let checkpoints = found.await?.map_err(|error| faults::replica(&error))?;
        Ok(Checkpoints { checkpoints })
    }

    pub(super) async fn space_history(&self, ask: SpaceHistory) -> Result<HistoryKept, ApiError> {
        let space = self.find_space(&ask.space)?;
        let kept = self.store.change(move |desk| {
            if let Some(keep_ms) = ask.keep_ms {
                let keep_ms = Some(keep_ms).filter(|keep| *keep > 0);
                let done = desk.replica.keep_history(&space, keep_ms, wall_ms());
                desk.note_outcome(&done);
                done.map_err(|error| faults::replica(&error))?;
                desk.tend_history(wall_ms());
            }
            let kept = desk.replica.history_kept(&space);
            kept.map_err(|error| faults::replica(&error))
        });
        let kept = kept.await??;
        Ok(HistoryKept {
            keep_ms: kept.keep_ms,
            known_from_ms: kept.known_from_ms,
            held_up: kept.held_up,
        })
    }

    pub(super) async fn compact_space(&self, compact: SpaceCompact) -> Result<Compacted, ApiError> {
        let space = self.find_space(&compact.space)?;
        let done = self.store.change(move |desk| {
            let now_ms = wall_ms();
            let compaction = Compaction {
                // A checkpoint made this very moment is old enough for an age of 0.
                made_before_ms: (now_ms + 1).saturating_sub(compact.older_than_ms),
                even_if_unseen: compact.force,
            };
            let done = desk.replica.compact(&space, compaction, now_ms);
            desk.note_outcome(&done);
            done.map_err(|error| faults::replica(&error))
        });
        let done = done.await??;
        Ok(Compacted {
            entries: done.entries,
            checkpoints: done.checkpoints,
        })
    }
}

fn describe(
    replica: &Replica,
    space: &SpaceId,
    info: &stead_replica::CheckpointInfo,
) -> CheckpointInfo {
    let made_by = info
        .made_by
        .and_then(|device| replica.name_in(space, &device));
    CheckpointInfo {
        log: info.log.to_string(),
        made_by,
        made_ms: info.made.ms(),
        documents: info.documents,
        entries: info.entries,
        horizon_ms: info.horizon.ms(),
        whole: info.is_whole,
        counts: info.counts,
        held_back: info.is_held_back,
        beginning: info.is_beginning,
    }
}
