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

/// An open file.
pub trait OpenFile: Debug + Send {
    /// All that it holds, or its first `max` bytes.
    fn read(&mut self, max: u64) -> io::Result<Vec<u8>>;
    /// Writes all of `bytes` from position `at` on.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts off what lies behind the first `len` bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;
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
        match options.open(path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if !create && error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl OpenFile for File {
    fn read(&mut self, max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.seek(SeekFrom::Start(0))?;
        self.take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[cfg(unix)]
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, at)
    }

    #[cfg(not(unix))]
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(at))?;
        self.write_all(bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
