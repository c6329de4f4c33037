//! Files, what of them is synced, and what a power cut leaves. No C in sight.

use std::collections::BTreeMap;

use crate::random::{Random, Survival};
use crate::{Activity, Fault, SECTOR_BYTES};

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The disk reported an error, or has no power.
    Io,
    /// The disk is full.
    Full,
    /// Another connection has the lock.
    Busy,
}

/// How strongly a connection locks a file: SQLite's five levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lock {
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

pub(crate) struct Disk {
    pub(crate) powered: bool,
    pub(crate) capacity: Option<u64>,
    pub(crate) fail_operation: Option<(u64, Fault)>,
    pub(crate) fail_write: Option<(u64, Fault)>,
    pub(crate) activity: Activity,
    /// Open files, those of connections from before a crash included.
    pub(crate) handles: usize,
    /// Counts crashes; a handle of an earlier life is dead.
    pub(crate) life: u64,
    random: Random,
    names: BTreeMap<String, u64>,
    inodes: BTreeMap<u64, Inode>,
    /// Synced content under names that were removed or made anew, while that is not yet synced.
    ghosts: BTreeMap<String, Vec<u8>>,
    /// Names given anew and not yet synced, in order.
    renames: Vec<Rename>,
    /// Bytes that no write should show, and whether one did.
    watched: Option<(Vec<u8>, bool)>,
    next_inode: u64,
}

#[derive(Default)]
struct Inode {
    data: Vec<u8>,
    synced: Vec<u8>,
    /// What happened since the last sync, in order.
    pending: Vec<Pending>,
    /// Whether the name would survive a crash.
    is_linked: bool,
    handles: usize,
    locks: BTreeMap<u64, Lock>,
}

struct Rename {
    from: String,
    to: String,
    /// The synced content of the file that had the name.
    displaced: Option<Vec<u8>>,
}

enum Pending {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

/// Names are absolute, so that a file has one of them.
pub(crate) fn full_path(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

impl Disk {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            powered: true,
            capacity: None,
            fail_operation: None,
            fail_write: None,
            activity: Activity::default(),
            handles: 0,
            life: 0,
            random: Random::new(seed),
            names: BTreeMap::new(),
            inodes: BTreeMap::new(),
            ghosts: BTreeMap::new(),
            renames: Vec::new(),
            watched: None,
            next_inode: 0,
        }
    }

    pub(crate) fn random(&mut self) -> u64 {
        self.random.next()
    }

    pub(crate) fn used(&self) -> u64 {
        self.inodes
            .values()
            .map(|inode| inode.data.len() as u64)
            .sum()
    }

    pub(crate) fn files(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.names.contains_key(path)
    }

    pub(crate) fn read(&self, path: &str) -> Option<Vec<u8>> {
        let inode = self.inodes.get(self.names.get(path)?)?;
        Some(inode.data.clone())
    }

    pub(crate) fn write(&mut self, path: &str, bytes: Vec<u8>) {
        let number = self.named(path);
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.synced = bytes.clone();
            inode.data = bytes;
            inode.pending.clear();
            inode.is_linked = true;
        }
        self.ghosts.remove(path);
    }

    fn named(&mut self, path: &str) -> u64 {
        if let Some(&number) = self.names.get(path) {
            return number;
        }
        let number = self.anonymous();
        self.names.insert(path.to_owned(), number);
        number
    }

    fn anonymous(&mut self) -> u64 {
        let number = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(number, Inode::default());
        number
    }

    /// Opens a file, or a nameless one. None if it is not there and must not be made.
    pub(crate) fn open(
        &mut self,
        path: Option<&str>,
        create: bool,
    ) -> Result<Option<u64>, Failure> {
        self.powered()?;
        let number = match path {
            None => self.anonymous(),
            Some(path) if create || self.exists(path) => self.named(path),
            Some(_) => return Ok(None),
        };
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.handles += 1;
        }
        self.handles += 1;
        Ok(Some(number))
    }

    pub(crate) fn close(&mut self, life: u64, number: u64, handle: u64) {
        self.handles -= 1;
        if life != self.life {
            return;
        }
        let Some(inode) = self.inodes.get_mut(&number) else {
            return;
        };
        inode.handles -= 1;
        inode.locks.remove(&handle);
        if inode.handles == 0 && !self.names.values().any(|&named| named == number) {
            self.inodes.remove(&number);
        }
    }

    /// Removes a name; whether that lasts through a crash at once is the caller's wish.
    pub(crate) fn delete(&mut self, path: &str, synced: bool) -> Result<bool, Failure> {
        self.operation()?;
        let Some(number) = self.names.remove(path) else {
            return Ok(false);
        };
        if let Some(inode) = self.inodes.get(&number) {
            if inode.is_linked {
                self.ghosts.insert(path.to_owned(), inode.synced.clone());
            }
            if inode.handles == 0 {
                self.inodes.remove(&number);
            }
        }
        if synced {
            self.ghosts.remove(path);
        }
        Ok(true)
    }

    /// Gives a file another name, in place of the file that has it. A crash may undo that until
    /// [`sync_names`](Self::sync_names).
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        self.write_operation()?;
        let number = self.names.remove(from).ok_or(Failure::Io)?;
        let displaced = self.names.insert(to.to_owned(), number);
        let displaced = displaced.and_then(|number| self.inodes.get(&number));
        self.renames.push(Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            displaced: displaced.map(|inode| inode.synced.clone()),
        });
        Ok(())
    }

    /// Puts all names on the medium.
    pub(crate) fn sync_names(&mut self) -> Result<(), Failure> {
        self.write_operation()?;
        self.renames.clear();
        self.ghosts.clear();
        for number in self.names.values() {
            if let Some(inode) = self.inodes.get_mut(number) {
                inode.is_linked = true;
            }
        }
        Ok(())
    }

    /// Puts the content of a named file on the medium.
    pub(crate) fn sync_named(&mut self, path: &str) -> Result<(), Failure> {
        self.write_operation()?;
        let number = *self.names.get(path).ok_or(Failure::Io)?;
        self.sync(self.life, number)
    }

    /// Something beside a write that a test may cut off as it cuts off writes.
    fn write_operation(&mut self) -> Result<(), Failure> {
        self.powered()?;
        self.activity.writes += 1;
        match count_down(&mut self.fail_write) {
            Some(fault) => Err(self.fail(fault)),
            None => self.operation(),
        }
    }

    pub(crate) fn watch_for(&mut self, bytes: &[u8]) {
        self.watched = Some((bytes.to_vec(), false));
    }

    pub(crate) fn saw_watched(&self) -> bool {
        self.watched.as_ref().is_some_and(|(_, saw)| *saw)
    }

    fn powered(&self) -> Result<(), Failure> {
        if self.powered {
            Ok(())
        } else {
            Err(Failure::Io)
        }
    }

    fn operation(&mut self) -> Result<(), Failure> {
        self.powered()?;
        self.activity.operations += 1;
        match count_down(&mut self.fail_operation) {
            None => Ok(()),
            Some(fault) => Err(self.fail(fault)),
        }
    }

    fn fail(&mut self, fault: Fault) -> Failure {
        match fault {
            Fault::Io => Failure::Io,
            Fault::Full => Failure::Full,
            Fault::PowerOff => {
                self.powered = false;
                Failure::Io
            }
        }
    }

    fn alive(&mut self, life: u64, number: u64) -> Result<&mut Inode, Failure> {
        if life != self.life {
            return Err(Failure::Io);
        }
        self.inodes.get_mut(&number).ok_or(Failure::Io)
    }

    /// Reads as much as there is; the rest of `out` becomes zeros. Returns the bytes found.
    pub(crate) fn read_at(
        &mut self,
        life: u64,
        number: u64,
        at: usize,
        out: &mut [u8],
    ) -> Result<usize, Failure> {
        self.operation()?;
        let data = &self.alive(life, number)?.data;
        let found = data.get(at..).unwrap_or_default();
        let len = found.len().min(out.len());
        out[..len].copy_from_slice(&found[..len]);
        out[len..].fill(0);
        Ok(len)
    }

    pub(crate) fn write_at(
        &mut self,
        life: u64,
        number: u64,
        at: usize,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        self.powered()?;
        if let Some((watched, saw)) = &mut self.watched {
            *saw |= bytes
                .windows(watched.len())
                .any(|part| part == &watched[..]);
        }
        let end = at + bytes.len();
        let len = self.alive(life, number)?.data.len();
        if let Some(capacity) = self.capacity
            && end > len
            && self.used() + (end - len) as u64 > capacity
        {
            return Err(Failure::Full);
        }
        let change = Pending::Write {
            at,
            bytes: bytes.to_vec(),
        };
        self.change(life, number, change)?;
        self.activity.bytes_written += bytes.len() as u64;
        let inode = self.alive(life, number)?;
        inode.apply_last();
        Ok(())
    }

    pub(crate) fn truncate(&mut self, life: u64, number: u64, len: usize) -> Result<(), Failure> {
        self.powered()?;
        self.change(life, number, Pending::Truncate { len })?;
        self.alive(life, number)?.apply_last();
        Ok(())
    }

    /// Notes a change as pending, unless it fails. A power cut in the middle leaves it pending.
    fn change(&mut self, life: u64, number: u64, change: Pending) -> Result<(), Failure> {
        self.alive(life, number)?;
        self.activity.writes += 1;
        let fault = count_down(&mut self.fail_write);
        let failure = match fault {
            Some(fault) => Some(self.fail(fault)),
            None => self.operation().err(),
        };
        let off = !self.powered;
        match failure {
            Some(failure) if !off => Err(failure),
            failure => {
                self.alive(life, number)?.pending.push(change);
                failure.map_or(Ok(()), Err)
            }
        }
    }

    pub(crate) fn sync(&mut self, life: u64, number: u64) -> Result<(), Failure> {
        self.activity.syncs += 1;
        self.operation()?;
        let inode = self.alive(life, number)?;
        for pending in std::mem::take(&mut inode.pending) {
            pending.apply(&mut inode.synced);
        }
        inode.is_linked = true;
        let name = (self.names.iter()).find_map(|(name, &named)| (named == number).then_some(name));
        if let Some(name) = name {
            self.ghosts.remove(name);
        }
        Ok(())
    }

    pub(crate) fn len(&mut self, life: u64, number: u64) -> Result<usize, Failure> {
        self.powered()?;
        Ok(self.alive(life, number)?.data.len())
    }

    /// Raises a handle's lock as SQLite's lock protocol allows.
    pub(crate) fn lock(
        &mut self,
        life: u64,
        number: u64,
        handle: u64,
        wanted: Lock,
    ) -> Result<(), Failure> {
        self.powered()?;
        let inode = self.alive(life, number)?;
        let own = inode.locks.get(&handle).copied().unwrap_or(Lock::None);
        if own >= wanted {
            return Ok(());
        }
        let others = inode.others(handle);
        let allowed = match wanted {
            Lock::None => true,
            Lock::Shared => others < Lock::Pending,
            Lock::Reserved => others < Lock::Reserved,
            Lock::Pending | Lock::Exclusive => others == Lock::None,
        };
        if !allowed {
            if wanted == Lock::Exclusive && others < Lock::Reserved {
                inode.locks.insert(handle, Lock::Pending);
            }
            return Err(Failure::Busy);
        }
        inode.locks.insert(handle, wanted);
        Ok(())
    }

    pub(crate) fn unlock(&mut self, life: u64, number: u64, handle: u64, to: Lock) {
        if let Ok(inode) = self.alive(life, number) {
            if to == Lock::None {
                inode.locks.remove(&handle);
            } else {
                inode.locks.insert(handle, to);
            }
        }
    }

    pub(crate) fn is_reserved(&mut self, life: u64, number: u64) -> Result<bool, Failure> {
        self.powered()?;
        let inode = self.alive(life, number)?;
        Ok(inode.locks.values().any(|&lock| lock >= Lock::Reserved))
    }

    /// The power goes and comes back.
    pub(crate) fn crash(&mut self) {
        self.life += 1;
        self.powered = true;
        self.fail_operation = None;
        self.fail_write = None;
        self.undo_renames();
        let mut inodes = std::mem::take(&mut self.inodes);
        let mut left = BTreeMap::new();
        for (name, number) in std::mem::take(&mut self.names) {
            let Some(mut inode) = inodes.remove(&number) else {
                continue;
            };
            if !inode.is_linked && self.random.next() & 1 == 0 {
                continue;
            }
            let changes = inode.pending.len();
            let survival = self.random.survival(changes);
            for (i, pending) in std::mem::take(&mut inode.pending).into_iter().enumerate() {
                let tear = match survival {
                    Survival::None => 0,
                    Survival::All => 256,
                    Survival::First(whole) if i < whole => 256,
                    Survival::First(whole) if i == whole => 128,
                    Survival::First(_) => 0,
                    Survival::Any(chance) => u32::from(chance),
                };
                pending.apply_torn(&mut inode.synced, tear, &mut self.random);
            }
            left.insert(name, inode.synced);
        }
        for (name, synced) in std::mem::take(&mut self.ghosts) {
            if !left.contains_key(&name) && self.random.next() & 1 == 0 {
                left.insert(name, synced);
            }
        }
        for (name, bytes) in left {
            self.write(&name, bytes);
        }
    }
}

impl Disk {
    /// A crash keeps any first part of the renames that were not synced.
    fn undo_renames(&mut self) {
        let renames = std::mem::take(&mut self.renames);
        let kept = (self.random.next() % (renames.len() as u64 + 1)) as usize;
        for rename in renames.into_iter().skip(kept).rev() {
            if let Some(number) = self.names.remove(&rename.to) {
                self.names.insert(rename.from, number);
            }
            if let Some(bytes) = rename.displaced {
                self.write(&rename.to, bytes);
            }
        }
    }
}

impl Inode {
    fn others(&self, handle: u64) -> Lock {
        let others = self.locks.iter().filter(|(other, _)| **other != handle);
        others.map(|(_, &lock)| lock).max().unwrap_or(Lock::None)
    }

    fn apply_last(&mut self) {
        if let Some(pending) = self.pending.last() {
            pending.apply(&mut self.data);
        }
    }
}

impl Pending {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => put(to, *at, bytes),
            Self::Truncate { len } => to.truncate(*len),
        }
    }

    /// Applies each sector of a write with `chance` in 256.
    fn apply_torn(&self, to: &mut Vec<u8>, chance: u32, random: &mut Random) {
        match self {
            Self::Truncate { len } => {
                if random.hit(chance) {
                    to.truncate(*len);
                }
            }
            Self::Write { at, bytes } => {
                let (mut at, mut rest) = (*at, &bytes[..]);
                while !rest.is_empty() {
                    let to_border = SECTOR_BYTES - at % SECTOR_BYTES;
                    let (sector, after) = rest.split_at(to_border.min(rest.len()));
                    if random.hit(chance) {
                        put(to, at, sector);
                    }
                    at += sector.len();
                    rest = after;
                }
            }
        }
    }
}

fn put(to: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[at..end].copy_from_slice(bytes);
}

fn count_down(fault: &mut Option<(u64, Fault)>) -> Option<Fault> {
    match fault {
        Some((0, due)) => {
            let due = *due;
            *fault = None;
            Some(due)
        }
        Some((n, _)) => {
            *n -= 1;
            None
        }
        None => None,
    }
}
