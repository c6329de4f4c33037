//! Files that are not SQLite's: what is done with them, so that a simulated disk can stand in for the
//! operating system's.

use std::fmt::Debug;
use std::fs::{self, File};
#[cfg(not(unix))]
use std::io::Write;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use direct::DirectFile;

mod direct;

/// What the names of a database's files end with, after its own: itself, SQLite's write-ahead log and its
/// shared memory, and the journal.
pub const FILE_ENDS: [&str; 4] = ["", "-wal", "-shm", crate::journal::SUFFIX];

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
            Ok(file) => Ok(Some(Box::new(OsFile {
                file,
                direct: DirectFile::open(path),
            }))),
            Err(error) if !create && error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A file of the operating system's. What is written in whole blocks goes past its cache where that can be: the
/// sync that follows has nothing to look for then, which is a quarter of what it takes.
#[derive(Debug)]
struct OsFile {
    file: File,
    direct: Option<DirectFile>,
}

impl OpenFile for OsFile {
    fn read(&mut self, max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        (&mut self.file).take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(direct) = &mut self.direct {
            match direct.write_at(at, bytes) {
                // So says a file system that opens such files and does not write to them, and one whose
                // blocks are longer.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.direct = None,
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        write_all_at(&mut self.file, at, bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Longer than what is written past the cache at once.
    const LEN: usize = 200 << 10;

    fn writes() -> impl Strategy<Value = Vec<(usize, usize, u8)>> {
        let place = prop_oneof![(0..50_usize).prop_map(|block| block * 4096), 0..LEN,];
        let len = prop_oneof![
            (1..50_usize).prop_map(|blocks| blocks * 4096),
            0..10_000_usize,
        ];
        prop::collection::vec((place, len, any::<u8>()), 1..12)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_whichever_way_it_took(writes in writes()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let mut file = OsFiles.open(&path, true).unwrap().unwrap();
            let mut model = Vec::new();
            for (at, len, byte) in writes {
                file.write_at(at as u64, &vec![byte; len]).unwrap();
                if len > 0 {
                    model.resize(model.len().max(at + len), 0);
                    model[at..at + len].fill(byte);
                }
                prop_assert_eq!(&file.read(u64::MAX).unwrap(), &model);
            }
            file.sync().unwrap();
            drop(file);
            prop_assert_eq!(std::fs::read(&path).unwrap(), model);
        }
    }
}
