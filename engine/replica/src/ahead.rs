//! Transactions that are acknowledged before the store commits them: the record that its journal keeps of one,
//! and making them again from their records.
//!
//! A record holds the entries that a transaction appended to this device's own logs, and nothing else: documents,
//! indexes and rich fields follow from entries, as they do on every other device. So it takes no
//! part in what a transaction means, only in when SQLite writes its pages.

use std::collections::BTreeMap;

use stead_base::limits::ENTRY_BYTES_MAX;
use stead_base::{DecodeError, DecodeFault, Decoder, Encoder, SpaceId, WriterId};
use stead_crypt::DeviceKeys;
use stead_crypt::wrapkey::{self, WrapKey};
use stead_log::EntryRef;
use stead_store::{Read, StoreError, Tx, WriterNo};

use crate::records::{SpaceRecord, WriterRecord};
use crate::writing::Writing;
use crate::{Folding, Replica, ReplicaError};

const FORMAT: u8 = 1;

/// What records are sealed under.
pub(crate) fn key_of(keys: &DeviceKeys) -> WrapKey {
    WrapKey::new(keys.storage(), b"ahead of a commit")
}

/// What a transaction leaves for the journal, as far as it went.
#[derive(Default)]
pub(crate) struct Leaving {
    entries: Vec<u8>,
    /// Whether anything was appended that changes more than documents.
    more: bool,
    /// Whether its caller has readers look through [`Replica::fold`].
    pub(crate) asked: bool,
}

impl Leaving {
    /// Notes an entry, with its length before it, that was appended to a log.
    pub(crate) fn entry(&mut self, space: &SpaceId, writer: &WriterId, seq: u64, bytes: &[u8]) {
        if self.asked && self.entries.len() <= wrapkey::SECRET_BYTES_MAX {
            let mut out = Encoder::over(std::mem::take(&mut self.entries));
            out.raw(space.as_bytes()).raw(writer.as_bytes());
            out.uint(seq).raw(bytes);
            self.entries = out.finish();
        }
    }

    /// Notes that the members, rights or keys of a space change.
    pub(crate) const fn more(&mut self) {
        self.more = true;
    }
}

/// One entry of a record.
struct Made<'b> {
    space: SpaceId,
    writer: WriterId,
    seq: u64,
    /// With its length before it.
    bytes: &'b [u8],
    entry: &'b [u8],
}

impl Writing<'_> {
    /// The sealed record of what was written, if nothing but transactions on documents was.
    pub(crate) fn record_ahead(&mut self) -> Option<Vec<u8>> {
        let left = std::mem::take(&mut self.leaving);
        let alone = self.pending.is_empty() && !self.erases && !self.changes_spaces();
        if !left.asked || left.more || !alone || left.entries.is_empty() {
            return None;
        }
        let mut record = Vec::with_capacity(left.entries.len() + 1);
        record.push(FORMAT);
        record.extend_from_slice(&left.entries);
        // One that is too long is not for the journal.
        self.ahead_key.seal(&record, self.entropy).ok()
    }
}

impl Replica {
    /// Tells whoever reads whether they would miss something.
    pub(crate) fn tell_lag(&self) {
        self.rich
            .tell_lag(self.lags() || self.store.is_ahead() || self.lacks_some());
    }

    /// Whether the store or documents lack something that the journal holds, or held.
    pub(crate) fn lacks_some(&self) -> bool {
        self.is_behind || self.store.has_lost()
    }

    /// Whether a transaction may be acknowledged ahead of its commit: whoever reads folds before.
    pub(crate) fn may_run_ahead(&self) -> bool {
        self.rich.folding == Folding::WhenRead
    }

    /// Whether anything acknowledged waits for a commit, in which other connections see it.
    pub fn is_ahead(&self) -> bool {
        self.store.is_ahead()
    }

    /// Commits what waits for it: opening after a crash takes less then. When there is no room for that, the
    /// journal leaves what it does not use.
    pub fn commit_what_waits(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        if self.store.settle().is_err() || self.lacks_some() {
            return self.recover(now_ms);
        }
        self.tell_lag();
        Ok(())
    }

    /// Has memory and documents be what the store and its journal hold, after a write that failed.
    pub(crate) fn recover(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        self.rich.clear();
        self.stale = true;
        let recovered = self.refresh().and_then(|()| {
            // A failure in here must not come here again.
            match std::mem::take(&mut self.is_behind) {
                true => self
                    .settle_all(now_ms)
                    .inspect_err(|_| self.is_behind = true),
                false => Ok(()),
            }
        });
        self.tell_lag();
        recovered
    }

    /// The same where another error is told already.
    pub(crate) fn recover_or_tell(&mut self, now_ms: u64) {
        if let Err(error) = self.recover(now_ms) {
            tracing::warn!(%error, "the store cannot be read, or written, after a failed write; the next read tries again");
        }
    }

    /// Appends to the logs of this device what the journal holds and no commit does; documents follow when
    /// the logs are settled.
    pub(crate) fn make_again(&mut self) -> Result<(), ReplicaError> {
        let records = self.store.lost_records()?;
        if records.is_empty() {
            return Ok(());
        }
        match self.append_again(&records) {
            Err(ReplicaError::Store(StoreError::DiskFull)) => {
                self.store.give_room()?;
                self.append_again(&records)
            }
            made => made,
        }
    }

    fn append_again(&mut self, records: &[Vec<u8>]) -> Result<(), ReplicaError> {
        let tx = self.store.begin()?;
        let mut logs = own_logs(&tx)?;
        for sealed in records {
            let record = self.ahead_key.open(sealed);
            let record = record.map_err(|_| ReplicaError::ForeignKeys)?;
            let entries = decode(&record).map_err(damaged)?;
            for entry in &entries {
                if let Some(log) = logs.get_mut(&(entry.space, entry.writer)) {
                    log.take(&tx, entry)?;
                }
            }
        }
        let mut count = 0;
        for log in logs.values().filter(|log| log.taken > 0) {
            count += log.taken;
            let tip = log.record.encode();
            tx.advance_writer(log.no, log.record.tip.len(), log.applied, &tip)?;
        }
        tx.commit()?;
        self.store.made_again()?;
        self.is_behind |= count > 0;
        tracing::info!(count, "entries were taken from the journal");
        Ok(())
    }
}

/// A log of this device's own while entries of the journal are put behind it.
struct Log {
    no: WriterNo,
    applied: u64,
    record: WriterRecord,
    taken: u64,
}

impl Log {
    /// Appends an entry if it is the next. It may be here: its commit came before the crash. One that leaves
    /// a gap belongs to another state of the database than this one.
    fn take(&mut self, tx: &Tx<'_>, entry: &Made<'_>) -> Result<(), ReplicaError> {
        let len = self.record.tip.len();
        if entry.seq != len {
            if entry.seq > len {
                let writer = entry.writer.short();
                tracing::warn!(
                    writer,
                    entry.seq,
                    len,
                    "an entry in the journal does not follow"
                );
            }
            return Ok(());
        }
        let leaf = EntryRef::parse(entry.entry).map_err(damaged)?.leaf_hash();
        let node = self.record.tip.append(leaf);
        tx.append_segment(self.no, len, 1, entry.bytes)?;
        if let Some((index, root)) = node {
            tx.put_node(self.no, index, &root)?;
        }
        self.record.tail_bytes += entry.bytes.len() as u64;
        self.taken += 1;
        Ok(())
    }
}

/// The logs that this device writes itself, as they are stored.
fn own_logs(tx: &Tx<'_>) -> Result<BTreeMap<(SpaceId, WriterId), Log>, ReplicaError> {
    let mut logs = BTreeMap::new();
    for space in tx.spaces()? {
        let record = SpaceRecord::decode(&space.record).map_err(|source| ReplicaError::Record {
            what: "space",
            source,
        })?;
        let Some((own, _)) = record.own else {
            continue;
        };
        for writer in tx.writers(space.no)? {
            if writer.id != own {
                continue;
            }
            let record =
                WriterRecord::decode(&writer.tip).map_err(|source| ReplicaError::Record {
                    what: "writer",
                    source,
                })?;
            let log = Log {
                no: writer.no,
                applied: writer.applied,
                record,
                taken: 0,
            };
            logs.insert((space.id, own), log);
        }
    }
    Ok(logs)
}

/// The entries of an opened record.
fn decode(record: &[u8]) -> Result<Vec<Made<'_>>, DecodeError> {
    let what = "record of the journal";
    let mut input = Decoder::new(record);
    if input.byte(what)? != FORMAT {
        return Err(input.error(what, DecodeFault::Undefined));
    }
    let mut entries = Vec::new();
    while input.remaining() > 0 {
        let space = SpaceId::from_bytes(input.array(what)?);
        let writer = WriterId::from_bytes(input.array(what)?);
        let seq = input.uint(what)?;
        let from = input.offset();
        let entry = input.bytes(ENTRY_BYTES_MAX, what)?;
        entries.push(Made {
            space,
            writer,
            seq,
            bytes: &record[from..input.offset()],
            entry,
        });
    }
    Ok(entries)
}

const fn damaged(source: DecodeError) -> ReplicaError {
    ReplicaError::Record {
        what: "journal",
        source,
    }
}
