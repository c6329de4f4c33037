//! Two histories of one writer: finding where they part, and freezing the writer there.
//!
//! ```text
//! answer to a probe = prefix_root[32] branch        nothing held at that place: empty
//! ```

use stead_base::{Decoder, Encoder, Hash, SpaceId, WriterId};
use stead_log::{BatchEntries, Branch, ForkProof, Peaks, SignedHead, Tip, TreeSource, range_root};
use stead_store::Read;

use crate::logs::StoredTree;
use crate::space::{SpaceState, WriterState};
use crate::writing::{Writing, writer_mut};
use crate::{Event, ReceiveError, Replica, ReplicaError};

/// What to do after an answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeNext {
    /// Ask the same peer about this place.
    Ask(u64),
    /// The writer forked: tell every peer. This replica has frozen it already.
    Proof(Vec<u8>),
    /// Nothing contradicts what is held.
    Nothing,
}

/// A search for the first entry in which two histories differ: if there is one, it lies in `low..high`.
///
/// Of these, the entry whose number ends in the most zero bits is asked for. So the number of an
/// entry tells what was answered before it was asked for, and searches at several peers at once need
/// no memory and do not disturb each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Search {
    low: u64,
    high: u64,
}

impl Search {
    /// The entry to ask for.
    const fn middle(self) -> u64 {
        match self.low {
            0 => 0,
            low => {
                let last = self.high - 1;
                let differing = 63 - ((low - 1) ^ last).leading_zeros();
                last >> differing << differing
            }
        }
    }

    /// The search as it was when it asked for `at`, if this is where it began.
    fn at(self, at: u64) -> Self {
        if at == 0 {
            return self;
        }
        let step = 1 << at.trailing_zeros();
        Self {
            low: self.low.max(at - step + 1),
            high: self.high.min(at.saturating_add(step)),
        }
    }

    fn next(self) -> ProbeNext {
        match self.low < self.high {
            true => ProbeNext::Ask(self.middle()),
            false => ProbeNext::Nothing,
        }
    }
}

impl Replica {
    /// Starts to look for where a peer's history of a writer parts from the one held.
    pub fn fork_search(
        &self,
        space: &SpaceId,
        writer: &WriterId,
    ) -> Result<ProbeNext, ReplicaError> {
        let search = self.whole_search(space, writer)?;
        Ok(search.map_or(ProbeNext::Nothing, |(_, search)| search.next()))
    }

    /// The longest head that can be compared, and a search among all entries below it that are held.
    fn whole_search(
        &self,
        space: &SpaceId,
        writer: &WriterId,
    ) -> Result<Option<(SignedHead, Search)>, ReplicaError> {
        let head = self.opened_head(space, writer)?;
        Ok(head.map(|head| {
            let (low, high) = (self.dropped(space, writer), head.len);
            (head, Search { low, high })
        }))
    }

    /// Answers a peer's probe: the log opened at entry `at`. Empty if that is not held.
    pub fn probe(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        at: u64,
    ) -> Result<Vec<u8>, ReplicaError> {
        let Some(head) = self
            .opened_head(space, writer)?
            .filter(|head| at < head.len && at >= self.dropped(space, writer))
        else {
            return Ok(Vec::new());
        };
        let (branch, root) = self.open_branch(space, writer, head, at)?;
        let mut out = Encoder::new();
        out.raw(root.as_bytes());
        branch.encode(&mut out);
        Ok(out.finish())
    }

    /// Takes a peer's answer to the probe at `at`.
    pub fn probe_answered(
        &mut self,
        space: &SpaceId,
        writer: &WriterId,
        at: u64,
        answer: &[u8],
        now_ms: u64,
    ) -> Result<ProbeNext, ReceiveError> {
        let whole = self.whole_search(space, writer)?;
        let Some((head, whole)) = whole.filter(|(_, it)| it.low <= at && at < it.high) else {
            return Ok(ProbeNext::Nothing);
        };
        let mut search = whole.at(at);
        let misbehaved = |detail: String| ReceiveError::Misbehaved {
            writer: Some(*writer),
            detail,
        };
        if answer.is_empty() {
            search.high = at;
        } else {
            let mut input = Decoder::new(answer);
            let theirs = read_answer(&mut input).map_err(|error| misbehaved(error.to_string()))?;
            theirs
                .1
                .verify(space, writer, at, &theirs.0)
                .map_err(|error| misbehaved(error.to_string()))?;
            let (ours, root) = self.open_branch(space, writer, head, at)?;
            if root != theirs.0 {
                search.high = at;
            } else if ours.leaf == theirs.1.leaf {
                search.low = at + 1;
            } else {
                let proof = ForkProof {
                    common: at,
                    common_root: root,
                    branches: [ours, theirs.1],
                }
                .encode();
                self.accept_fork(space, writer, &proof, now_ms)?;
                return Ok(ProbeNext::Proof(proof));
            }
        }
        Ok(search.next())
    }

    /// The proof that a writer forked its log, once the log is frozen here.
    pub fn fork_proof(
        &self,
        space: &SpaceId,
        writer: &WriterId,
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        match self.space(space)?.writers.get(writer) {
            Some(state) if state.is_frozen() => Ok(self.store.fork(state.no)?),
            _ => Ok(None),
        }
    }

    /// Checks a fork proof and freezes the writer where its histories part. Returns whether that
    /// changed anything. What this device wrote itself beyond that place is written again. A log that
    /// is not held as far as that place goes on to it, and is frozen then.
    pub fn accept_fork(
        &mut self,
        space: &SpaceId,
        writer: &WriterId,
        proof: &[u8],
        now_ms: u64,
    ) -> Result<bool, ReceiveError> {
        let misbehaved = |detail: String| ReceiveError::Misbehaved {
            writer: Some(*writer),
            detail,
        };
        self.finish_signing();
        let fork = ForkProof::decode(proof).map_err(|error| misbehaved(error.to_string()))?;
        fork.verify(space, writer)
            .map_err(|error| misbehaved(error.to_string()))?;
        let Some(state) = self.space(space)?.writers.get(writer) else {
            return Ok(false);
        };
        if state
            .record
            .frozen
            .is_some_and(|frozen| frozen <= fork.common)
        {
            return Ok(false);
        }
        // A thin log cannot be cut: what is beyond counts for nothing all the same.
        let is_thin = self.space(space)?.is_thin(writer);
        let tip = match state.record.tip.len() > fork.common && !is_thin {
            true => Some(cut_tip(&self.store, state, fork.common)?),
            false => None,
        };
        let lost = match self.space(space)?.is_own(writer) {
            true => self.said_beyond(space, writer, fork.common)?,
            false => Vec::new(),
        };
        let name = self.space(space)?.roster.name().cloned();
        self.write(now_ms, |writing| -> Result<(), ReplicaError> {
            writing.freeze(space, writer, fork.common, tip, proof)?;
            writing.say_again(space, lost, name)
        })?;
        Ok(true)
    }

    /// Builds every document of a space again from its logs.
    pub fn rebuild(&mut self, space: &SpaceId, now_ms: u64) -> Result<(), ReplicaError> {
        self.write(now_ms, |writing| writing.rebuild(space))
    }

    /// The longest signed head whose entries are all held.
    pub(crate) fn opened_head(
        &self,
        space: &SpaceId,
        writer: &WriterId,
    ) -> Result<Option<SignedHead>, ReplicaError> {
        let space = self.space(space)?;
        let Some(state) = space.writers.get(writer) else {
            return Ok(None);
        };
        let tip = &state.record.tip;
        if let Some(head) = space.head_of(writer).filter(|head| head.len == tip.len()) {
            return Ok(Some(head));
        }
        let kept = self
            .store
            .last_head(state.no)?
            .filter(|row| row.len <= tip.len());
        kept.map(|row| SignedHead::decode(&mut Decoder::new(&row.head)))
            .transpose()
            .map_err(|source| ReplicaError::Record {
                what: "signed head",
                source,
            })
    }

    fn open_branch(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        head: SignedHead,
        at: u64,
    ) -> Result<(Branch, Hash), ReplicaError> {
        let state = self.writer(space, writer)?;
        Branch::build(&mut StoredTree::new(&self.store, state)?, head, at)
    }

    pub(crate) fn writer(
        &self,
        space: &SpaceId,
        writer: &WriterId,
    ) -> Result<&WriterState, ReplicaError> {
        let state: &SpaceState = self.space(space)?;
        state
            .writers
            .get(writer)
            .ok_or_else(|| ReplicaError::NoSuchSpace {
                name: writer.short(),
            })
    }
}

impl Writing<'_> {
    /// Freezes a log whose fork was proven before all entries that its histories share were here, if
    /// they are now.
    pub(crate) fn freeze_if_complete(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
    ) -> Result<(), ReplicaError> {
        let state = writer_mut(self.spaces, id, writer)?;
        let no = state.no;
        let Some(common) = state.record.frozen.filter(|_| state.is_frozen()) else {
            return Ok(());
        };
        let Some(proof) = self.tx.fork(no)? else {
            return Ok(());
        };
        if self.space(id)?.is_thin(writer) {
            return self.freeze(id, writer, common, None, &proof);
        }
        self.merge_all()?;
        // Only what is signed can be cut.
        self.space(id)?.sign_own();
        let state = writer_mut(self.spaces, id, writer)?;
        let tip = match state.record.tip.len() > common {
            true => Some(cut_tip(&self.tx, state, common)?),
            false => None,
        };
        self.freeze(id, writer, common, tip, &proof)
    }

    /// Cuts a writer's log to `common` entries for good, and takes back what came after.
    fn freeze(
        &mut self,
        id: &SpaceId,
        writer: &WriterId,
        common: u64,
        tip: Option<Tip>,
        proof: &[u8],
    ) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        if space.own.as_ref().is_some_and(|own| own.id == *writer) {
            space.sign_own();
            space.own = None;
            space.record.own = None;
            space.record.retired.push(*writer);
            self.events.push(Event::WriterRetired {
                space: *id,
                writer: *writer,
            });
        }
        let space = self.space(id)?;
        let Some(state) = space.writers.get_mut(writer) else {
            return Ok(());
        };
        state.record.frozen = Some(common);
        let (no, was_applied) = (state.no, state.applied);
        if let Some(tip) = tip {
            state.record.tip = tip;
            state.record.packed = state.record.packed.min(common);
            state.record.read = state.record.read.min(common);
            state.applied = state.applied.min(common);
            state.all_merged();
            self.tx.truncate_log(no, common, |start, bytes| {
                let mut entries = BatchEntries::new(bytes);
                (start..common)
                    .try_for_each(|_| entries.skip_one())
                    .map_or(0, |()| entries.offset())
            })?;
        }
        self.tx.put_fork(no, proof)?;
        let space = self.space(id)?;
        let before = space.roster.clone();
        space.rebuild_roster();
        self.dirty_writer(id, writer);
        self.roster_changed(id);
        if writer_mut(self.spaces, id, writer)?.is_frozen() {
            self.events.push(Event::Forked {
                space: *id,
                writer: *writer,
                len: common,
            });
        }
        self.hand_on_lost_keys(id, &before)?;
        if was_applied > common {
            self.rebuild(id)?;
        }
        let tip = self
            .space(id)?
            .writers
            .get(writer)
            .map(|state| state.record.tip.clone())
            .unwrap_or_default();
        self.shared.set_tip(id, writer, &tip);
        Ok(())
    }

    /// Empties the documents of a space and has every log applied again.
    ///
    /// Where history begins with a checkpoint, so do the documents.
    pub(crate) fn rebuild(&mut self, id: &SpaceId) -> Result<(), ReplicaError> {
        if self.space(id)?.part.is_some() {
            return self.fill_again(id);
        }
        if let Some(log) = self.space(id)?.record.begins {
            return self.rebuild_from_beginning(id, &log);
        }
        let no = self.space(id)?.no;
        self.close_rich(no)?;
        self.tx.clear_docs(no)?;
        self.pending.changes.remove(id);
        self.pending.rebuilt.insert(*id);
        let writers: Vec<WriterId> = self.space(id)?.writers.keys().copied().collect();
        for writer in writers {
            if let Some(state) = self.space(id)?.writers.get_mut(&writer) {
                state.applied = 0;
                state.record.applied_hlc = stead_base::Hlc::ZERO;
                state.record.skipped = 0;
                state.all_merged();
            }
            self.dirty_writer(id, &writer);
        }
        self.begin_documents(id)?;
        self.unsettled.insert(*id);
        self.touch_everything(id);
        Ok(())
    }
}

/// The tip of a log cut to `len` entries, under the head that covers it now.
pub(crate) fn cut_tip<R: Read>(
    store: &R,
    state: &WriterState,
    len: u64,
) -> Result<Tip, ReplicaError> {
    let Some(head) = state.record.tip.head().copied() else {
        return Ok(Tip::default());
    };
    if len == 0 {
        return Ok(Tip::default());
    }
    let mut tree = StoredTree::new(store, state)?;
    let extension = tree.extension(len, head.len)?;
    let mut peaks = Peaks::empty();
    let mut at = 0;
    while at < len {
        let level = 63 - (len - at).leading_zeros();
        peaks.push_complete(level, tree.subtree(level, at >> level)?);
        at += 1 << level;
    }
    debug_assert_eq!(peaks.root(), range_root(&mut tree, 0, len)?);
    Ok(Tip::under_head(peaks, head, extension))
}

fn read_answer(input: &mut Decoder<'_>) -> Result<(Hash, Branch), stead_base::DecodeError> {
    let root = Hash::from_bytes(input.array("prefix root")?);
    let branch = Branch::decode(input)?;
    input.clone().finish("answer to a probe")?;
    Ok((root, branch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_remembers_nothing_and_finds_every_place_where_histories_part() {
        for (low, high) in (0..70).flat_map(|high| (0..high).map(move |low| (low, high))) {
            let whole = Search { low, high };
            for parts_at in low..high {
                let (mut search, mut asked) = (whole, 0);
                loop {
                    let at = search.middle();
                    assert_eq!(whole.at(at), search);
                    asked += 1;
                    assert!(asked <= 8, "{low}..{high}, {parts_at}");
                    match at.cmp(&parts_at) {
                        std::cmp::Ordering::Equal => break,
                        std::cmp::Ordering::Less => search.low = at + 1,
                        std::cmp::Ordering::Greater => search.high = at,
                    }
                    assert!(search.low < search.high);
                }
            }
        }
        let long = Search {
            low: 1,
            high: u64::MAX,
        };
        assert_eq!(long.at(long.middle()), long);
    }
}
