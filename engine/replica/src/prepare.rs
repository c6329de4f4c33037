//! Verifying and opening received batches, away from the thread that stores them.
//!
//! A preparer works on snapshots, so what it finds is a proposal: the replica checks that the
//! batch still continues its log and that the space's members and keys are still the same, and
//! otherwise does the work again with what is true by then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stead_base::{Hash, SpaceId, WriterId};
use stead_log::{Batch, BatchError, Tip};

use crate::ReceiveError;
use crate::keyring::KeyRing;
use crate::opening::{Opened, open_encoded};
use crate::space::SpaceState;

/// What preparers need of each space, replaced as a whole whenever it changes.
#[derive(Default)]
pub(crate) struct Shared {
    spaces: Mutex<BTreeMap<SpaceId, SpaceView>>,
}

struct SpaceView {
    ring: Arc<KeyRing>,
    /// Where each log will stand once everything prepared so far is stored.
    tips: BTreeMap<WriterId, Tip>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SpaceId, SpaceView>> {
        // Every critical section leaves the map whole, so a panic elsewhere does not spoil it.
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a space as it stands known to preparers.
    pub(crate) fn publish(&self, space: &SpaceState) {
        let tips = space
            .writers
            .iter()
            .map(|(id, state)| (*id, state.record.tip.clone()))
            .collect();
        self.lock().insert(
            space.id,
            SpaceView {
                ring: Arc::clone(&space.ring),
                tips,
            },
        );
    }

    /// Makes new keys known.
    pub(crate) fn publish_keys(&self, space: &SpaceState) {
        if let Some(view) = self.lock().get_mut(&space.id) {
            view.ring = Arc::clone(&space.ring);
        }
    }

    /// Sets a log back to where it really stands.
    pub(crate) fn set_tip(&self, space: &SpaceId, writer: &WriterId, tip: &Tip) {
        if let Some(view) = self.lock().get_mut(space) {
            view.tips.insert(*writer, tip.clone());
        }
    }

    pub(crate) fn forget(&self, space: &SpaceId) {
        self.lock().remove(space);
    }
}

/// Verifies and opens batches; cheap to make, one for each thread.
pub struct Preparer {
    shared: Arc<Shared>,
}

/// A batch that was verified, and opened or not, ready for [`crate::Replica::commit`].
#[derive(Debug)]
pub struct Prepared {
    pub(crate) space: SpaceId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) work: Result<Work, ReceiveError>,
}

/// What preparing found.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) writer: WriterId,
    /// Length and root of the log that the batch continues.
    pub(crate) base: (u64, Hash),
    pub(crate) tip: Tip,
    /// Where the new entries begin in the batch.
    pub(crate) entries_at: usize,
    pub(crate) nodes: Vec<(u64, Hash)>,
    /// None where whoever stores the batch is to open it.
    pub(crate) opened: Option<Opened>,
    /// The keys to open it with; a ring that changes becomes another one.
    pub(crate) ring: Arc<KeyRing>,
}

impl Prepared {
    /// The space the batch is for.
    pub const fn space(&self) -> SpaceId {
        self.space
    }

    /// Whose log the batch continues, or seemed to leave a gap in.
    pub(crate) const fn writer(&self) -> Option<WriterId> {
        match &self.work {
            Ok(Work { writer, .. }) | Err(ReceiveError::Gap { writer, .. }) => Some(*writer),
            Err(_) => None,
        }
    }

    /// Size of the batch in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the batch has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Preparer {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Verifies a batch against where its log will stand, and opens what the held keys open.
    pub fn prepare(&self, space: SpaceId, bytes: Vec<u8>) -> Prepared {
        let work = self.work(&space, &bytes, true);
        Prepared { space, bytes, work }
    }

    /// As [`prepare`](Self::prepare), but leaves the opening to whoever stores the batch: for when that
    /// thread has nothing else to do.
    pub fn verify(&self, space: SpaceId, bytes: Vec<u8>) -> Prepared {
        let work = self.work(&space, &bytes, false);
        Prepared { space, bytes, work }
    }

    fn work(&self, space: &SpaceId, bytes: &[u8], opens: bool) -> Result<Work, ReceiveError> {
        let batch = decode(bytes)?;
        let (ring, tip) = {
            let spaces = self.shared.lock();
            let view = spaces.get(space).ok_or(ReceiveError::NoSuchSpace(*space))?;
            (
                Arc::clone(&view.ring),
                view.tips.get(&batch.writer).cloned().unwrap_or_default(),
            )
        };
        let mut work = verify(space, &ring, &tip, &batch, bytes.len())?;
        if opens {
            work.opened = Some(work.open(space, bytes)?);
        }
        // A batch that is refused here moves nothing.
        self.shared.set_tip(space, &batch.writer, &work.tip);
        Ok(work)
    }
}

impl std::fmt::Debug for Preparer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Preparer")
    }
}

/// Reads the head of a batch.
pub(crate) fn decode(bytes: &[u8]) -> Result<Batch<'_>, ReceiveError> {
    Batch::decode(bytes).map_err(|error| ReceiveError::Misbehaved {
        writer: None,
        detail: error.to_string(),
    })
}

/// Verifies `batch` against `tip` and opens its new entries.
pub(crate) fn verify_and_open(
    space: &SpaceId,
    ring: &Arc<KeyRing>,
    tip: &Tip,
    batch: &Batch<'_>,
    bytes: &[u8],
) -> Result<Work, ReceiveError> {
    let mut work = verify(space, ring, tip, batch, bytes.len())?;
    work.opened = Some(work.open(space, bytes)?);
    Ok(work)
}

fn verify(
    space: &SpaceId,
    ring: &Arc<KeyRing>,
    tip: &Tip,
    batch: &Batch<'_>,
    batch_len: usize,
) -> Result<Work, ReceiveError> {
    let writer = batch.writer;
    let verified = tip.verify(space, batch).map_err(|error| match error {
        BatchError::Contradiction { .. } => ReceiveError::Contradiction { writer },
        BatchError::Gap { held, .. } => ReceiveError::Gap { writer, held },
        other => ReceiveError::Misbehaved {
            writer: Some(writer),
            detail: other.to_string(),
        },
    })?;
    Ok(Work {
        writer,
        base: (tip.len(), tip.root()),
        tip: verified.tip,
        entries_at: batch_len - verified.bytes.len(),
        nodes: verified.nodes,
        opened: None,
        ring: Arc::clone(ring),
    })
}

impl Work {
    /// Opens the new entries of the batch with the keys that were held when it was verified.
    pub(crate) fn open(&self, space: &SpaceId, batch: &[u8]) -> Result<Opened, ReceiveError> {
        let misbehaved = |detail: String| ReceiveError::Misbehaved {
            writer: Some(self.writer),
            detail,
        };
        let (start, entries) = (self.base.0, &batch[self.entries_at..]);
        let opened = open_encoded(&self.ring, space, &self.writer, start, entries)
            .map_err(|error| misbehaved(error.to_string()))?;
        // What was redacted comes without its parcels, and waits until the redaction is heard of. Nothing
        // takes a parcel of the roster away.
        match opened.lacks_roster {
            false => Ok(opened),
            true => Err(misbehaved(
                "an entry comes without what it says of the roster".to_owned(),
            )),
        }
    }
}
