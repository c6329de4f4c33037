//! The journal: a file beside the database that holds what was acknowledged before SQLite has it.
//!
//! Owns the file and its bytes (`docs/formats/store.md`, "The journal"). It does not know what a record
//! means, nor when a commit has made it needless: that is `ahead`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{FileSystem, OpenFile};

/// What the file's name ends with, after that of the database.
pub(crate) const SUFFIX: &str = "-ahead";
/// The file's length: room that is there already is written to faster than a file that grows. What is not in use
/// is also what a commit falls back on when the disk is full.
const FILE_BYTES: u64 = 8 << 20;
/// Zeros written at a time while it is made.
const ZEROS_BYTES: usize = 1 << 20;
/// A record begins where one of these does: what is acknowledged is never written over by what follows.
const BLOCK_BYTES: usize = 4096;
/// Longest record, in bytes.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 10;
/// When the file cannot be made, it is tried again after this many commits.
const REFUSED_COMMITS: u32 = 1024;
const MAGIC: [u8; 8] = *b"SteadAhd";
const HEADER_BYTES: usize = 16;
const FRAME_BYTES: usize = 8;

/// The journal of one database.
#[derive(Debug)]
pub(crate) struct Journal {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    file: Option<Box<dyn OpenFile>>,
    /// Whether the file has its length, and its name is on the medium.
    is_made: bool,
    /// Tells the records of this turn from what an earlier one left behind them.
    epoch: u64,
    /// Where the next record goes, at the beginning of a block; 0 before the first of a turn.
    end: u64,
    unsynced: bool,
    /// Whether a crash left what is here: what lies behind it must not look as if it followed something new.
    is_left: bool,
    /// A write failed: nothing is appended until all that is here is needless.
    broken: bool,
    /// There is no room for the file, or none may be made: it is done without for so many commits.
    refused: u32,
    buffer: Vec<u8>,
}

impl Journal {
    /// The journal of the database at `path`, with what a crash left in it.
    pub(crate) fn open(files: Arc<dyn FileSystem>, database: &Path) -> io::Result<Self> {
        let mut path = database.as_os_str().to_owned();
        path.push(SUFFIX);
        let mut journal = Self {
            files,
            path: path.into(),
            file: None,
            is_made: false,
            epoch: 0,
            end: 0,
            unsynced: false,
            is_left: false,
            broken: false,
            refused: 0,
            buffer: Vec::new(),
        };
        journal.file = journal.files.open(&journal.path, false)?;
        match journal.scan(FILE_BYTES)? {
            Some(found) => {
                (journal.epoch, journal.end) = (found.epoch, found.end);
                journal.is_left = found.end > 0;
            }
            // Without its beginning nothing tells its turns apart.
            None => journal.remove()?,
        }
        Ok(journal)
    }

    /// The records of this turn, in order.
    pub(crate) fn records(&mut self) -> io::Result<Vec<Vec<u8>>> {
        // One behind the end was not acknowledged: its sync failed.
        let found = self.scan(self.end)?;
        Ok(found.map_or_else(Vec::new, |found| found.records))
    }

    fn scan(&mut self, end: u64) -> io::Result<Option<Found>> {
        match &mut self.file {
            Some(file) => Ok(scan(&file.read(end)?)),
            None => Ok(None),
        }
    }

    /// Whether nothing is in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Whether what was appended last is not on the medium.
    pub(crate) const fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// Whether a record of `len` bytes can be appended.
    pub(crate) const fn takes(&self, len: usize) -> bool {
        let needed = (HEADER_BYTES + FRAME_BYTES + len).next_multiple_of(BLOCK_BYTES) as u64;
        let is_open = !self.broken && !self.is_left && self.refused == 0;
        is_open && len > 0 && len <= RECORD_BYTES_MAX && self.end + needed <= FILE_BYTES
    }

    /// Whether a record of any length can be appended.
    pub(crate) const fn takes_any(&self) -> bool {
        self.takes(RECORD_BYTES_MAX)
    }

    /// Appends a record that it [takes](Self::takes), and puts it on the medium if `sync` is said.
    pub(crate) fn append(&mut self, record: &[u8], sync: bool) -> io::Result<()> {
        let appended = self.try_append(record, sync);
        self.broken |= appended.is_err();
        appended
    }

    fn try_append(&mut self, record: &[u8], sync: bool) -> io::Result<()> {
        if let Err(error) = self.make() {
            self.refused = REFUSED_COMMITS;
            if self.end == 0 {
                // A part of it would only take room that is wanted now.
                self.remove()?;
            }
            return Err(error);
        }
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        self.buffer.clear();
        let epoch = match self.end {
            0 => self.epoch.wrapping_add(1),
            _ => self.epoch,
        };
        if self.end == 0 {
            self.buffer.extend_from_slice(&MAGIC);
            self.buffer.extend_from_slice(&epoch.to_le_bytes());
        }
        let at = self.end + self.buffer.len() as u64;
        let len = record.len() as u32;
        self.buffer.extend_from_slice(&len.to_le_bytes());
        let check = check(epoch, at, record);
        self.buffer.extend_from_slice(&check.to_le_bytes());
        self.buffer.extend_from_slice(record);
        let blocks = self.buffer.len().next_multiple_of(BLOCK_BYTES);
        self.buffer.resize(blocks, 0);
        file.write_at(self.end, &self.buffer)?;
        if sync {
            file.sync()?;
        }
        self.unsynced = !sync;
        self.epoch = epoch;
        self.end += self.buffer.len() as u64;
        Ok(())
    }

    /// Puts everything appended on the medium.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_mut().filter(|_| self.unsynced) {
            let synced = file.sync();
            self.broken |= synced.is_err();
            synced?;
        }
        self.unsynced = false;
        Ok(())
    }

    /// What is in it is needless: the next record is the first.
    pub(crate) const fn start_again(&mut self) {
        self.refused = self.refused.saturating_sub(1);
        self.end = 0;
        self.unsynced = false;
        self.is_left = false;
        self.broken = false;
    }

    /// Gives the disk the room back that is not in use.
    pub(crate) fn give_room(&mut self) -> io::Result<()> {
        self.is_made = false;
        match &mut self.file {
            Some(file) => file.cut(self.end),
            None => Ok(()),
        }
    }

    /// Removes the file, with whatever is in it.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        self.start_again();
        if self.file.take().is_none() {
            return Ok(());
        }
        self.is_made = false;
        self.files.remove(&self.path)
    }

    /// Makes the file as long as it gets.
    fn make(&mut self) -> io::Result<()> {
        if self.is_made {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let opened = self.files.open(&self.path, true)?;
                self.file.insert(opened.ok_or(io::ErrorKind::NotFound)?)
            }
        };
        let zeros = vec![0; ZEROS_BYTES];
        let mut there = file.read(FILE_BYTES)?.len().next_multiple_of(BLOCK_BYTES);
        while (there as u64) < FILE_BYTES {
            let some = zeros.len().min(FILE_BYTES as usize - there);
            file.write_at(there as u64, &zeros[..some])?;
            there += some;
        }
        file.sync()?;
        self.files.sync_names(&self.path)?;
        self.is_made = true;
        Ok(())
    }
}

/// What a file holds.
struct Found {
    epoch: u64,
    records: Vec<Vec<u8>>,
    end: u64,
}

/// Reads records up to the first that is not whole: a crash tore it, or an earlier turn left it.
fn scan(bytes: &[u8]) -> Option<Found> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (epoch, _) = rest.split_first_chunk::<8>()?;
    if *magic != MAGIC {
        return None;
    }
    let mut found = Found {
        epoch: u64::from_le_bytes(*epoch),
        records: Vec::new(),
        end: 0,
    };
    let mut at = HEADER_BYTES;
    while let Some(record) = record_at(bytes, at, found.epoch) {
        found.records.push(record.to_vec());
        at = (at + FRAME_BYTES + record.len()).next_multiple_of(BLOCK_BYTES);
        found.end = at as u64;
    }
    Some(found)
}

fn record_at(bytes: &[u8], at: usize, epoch: u64) -> Option<&[u8]> {
    let (len, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len) as usize;
    if len == 0 || len > RECORD_BYTES_MAX {
        return None;
    }
    let record = rest.get(..len)?;
    (check(epoch, at as u64, record).to_le_bytes() == *sum).then_some(record)
}

/// CRC-32 (IEEE) over the turn, the frame's position, and the record.
fn check(epoch: u64, at: u64, record: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&epoch.to_le_bytes());
    crc.update(&at.to_le_bytes());
    crc.update(record);
    crc.finalize()
}

#[cfg(test)]
mod tests;
