//! Files that are not SQLite's: what is done with them, so that a simulated disk can stand in for the
//! operating system's.

use std::fmt::Debug;
use std::fs::{self, File};
#[cfg(not(unix))]
use std::io::Write;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// What is done to files beside SQLite's own work. [`OsFiles`] is the real one.
pub trait FileSystem: Debug + Send + Sync {
    /// Puts a file's content on the medium.
    fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Puts the names of the folder that holds `path` on the medium.
    fn sync_names(&self, path: &Path) -> io::Result<()>;
    /// Gives `from` the name `to`, in place of the file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; it is fine if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Opens a file to be read and written at any place. None if there is none and `create` is not said;
    /// a new one is only its owner's to read, where the system knows owners.
    fn open(&self, path: &Path, create: bool) -> io::Result<Option<Box<dyn OpenFile>>>;
}

/// What positions and lengths of writes to an [`OpenFile`] are multiples of, in bytes.
pub const BLOCK_BYTES: usize = 4096;

/// An open file.
pub trait OpenFile: Debug + Send {
    /// All that it holds, or its first `max` bytes.
    fn read(&mut self, max: u64) -> io::Result<Vec<u8>>;
    /// Writes all of `bytes`, whole blocks of [`BLOCK_BYTES`], from position `at` on, where one begins.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Puts what was written on the medium.
    fn sync(&mut self) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsFiles;

impl FileSystem for OsFiles {
    fn sync_file(&self, path: &Path) -> io::Result<()> {
        File::options().write(true).open(path)?.sync_all()
    }

    fn sync_names(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            // Only Unix opens folders like files; elsewhere names are the file system's care.
            Some(folder) if cfg!(unix) => {
                let is_here = folder.as_os_str().is_empty();
                File::open(if is_here { Path::new(".") } else { folder })?.sync_all()
            }
            _ => Ok(()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Option<Box<dyn OpenFile>>> {
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .create(create)
            .truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if !create && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Box::new(OsFile {
            file,
            direct: Direct::open(path),
        })))
    }
}

/// A file of the operating system.
#[derive(Debug)]
struct OsFile {
    file: File,
    /// The same without the system's cache between, where that is possible: a write and a sync of it take
    /// a quarter less then.
    direct: Option<Direct>,
}

impl OpenFile for OsFile {
    fn read(&mut self, max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(direct) = &mut self.direct {
            match direct.write_at(at, bytes) {
                // Some file systems only say so now.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.direct = None,
                written => return written,
            }
        }
        write_all_at(&mut self.file, at, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(unix)]
fn write_all_at(file: &mut File, at: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn write_all_at(file: &mut File, at: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

/// A file that is written past the system's cache, from memory that begins where a block may.
#[derive(Debug)]
struct Direct {
    file: File,
    memory: Vec<u8>,
}

impl Direct {
    #[cfg(target_os = "linux")]
    fn open(path: &Path) -> Option<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::DIRECT.bits() as i32;
        let file = File::options().write(true).custom_flags(flags).open(path);
        let memory = Vec::new();
        file.ok().map(|file| Self { file, memory })
    }

    #[cfg(not(target_os = "linux"))]
    const fn open(_path: &Path) -> Option<Self> {
        None
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let needed = bytes.len() + BLOCK_BYTES;
        if self.memory.len() < needed {
            self.memory.resize(needed, 0);
        }
        let start = self.memory.as_ptr().align_offset(BLOCK_BYTES);
        let aligned = self
            .memory
            .get_mut(start..start.saturating_add(bytes.len()));
        let aligned = aligned.ok_or(io::ErrorKind::InvalidInput)?;
        aligned.copy_from_slice(bytes);
        write_all_at(&mut self.file, at, aligned)
    }
}
