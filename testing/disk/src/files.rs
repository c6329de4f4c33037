//! The disk as a store asks for files that are not SQLite's: by the trait that the store has for that.

use std::io;
use std::path::Path;
use std::sync::Arc;

use stead_store::{FileSystem, OpenFile, Options};

use crate::{SimDisk, error, key};

/// No file is locked by this handle.
const NO_LOCKS: u64 = u64::MAX;

/// An open file of the disk, dead after the next crash.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    life: u64,
    inode: u64,
}

impl SimDisk {
    /// How a store is opened on the disk: all of its files are here.
    pub fn options(&self) -> Options {
        Options {
            vfs: Some(self.vfs().to_owned()),
            exclusive: true,
            files: Some(Arc::new(self.clone())),
            ..Options::default()
        }
    }
}

impl FileSystem for SimDisk {
    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.state().sync_named(&key(path)).map_err(error)
    }

    fn sync_names(&self, _path: &Path) -> io::Result<()> {
        self.state().sync_names().map_err(error)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().rename(&key(from), &key(to)).map_err(error)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state()
            .delete(&key(path), false)
            .map(drop)
            .map_err(error)
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Option<Box<dyn OpenFile>>> {
        let mut state = self.state();
        let opened = state.open(Some(&key(path)), create);
        let life = state.life;
        drop(state);
        Ok(opened.map_err(error)?.map(|inode| {
            let disk = self.clone();
            Box::new(SimFile { disk, life, inode }) as _
        }))
    }
}

impl OpenFile for SimFile {
    fn read(&mut self, max: u64) -> io::Result<Vec<u8>> {
        let mut state = self.disk.state();
        let len = state.len(self.life, self.inode).map_err(error)?;
        let mut bytes = vec![0; (len as u64).min(max) as usize];
        let read = state.read_at(self.life, self.inode, 0, &mut bytes);
        read.map(|_| bytes).map_err(error)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state
            .write_at(self.life, self.inode, at as usize, bytes)
            .map_err(error)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let cut = state.truncate(self.life, self.inode, len as usize);
        cut.map_err(error)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.state().sync(self.life, self.inode).map_err(error)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        state.close(self.life, self.inode, NO_LOCKS);
    }
}
