//! Reading and creating the key file: atomically, durably, and for its owner only.
//!
//! Owns the file system calls; knows nothing of what the bytes mean.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use stead_crypt::Zeroizing;

use crate::{KeystoreError, platform};

/// Reads a file that only its owner may touch; none if there is no such file.
pub(crate) fn read(
    path: &Path,
    bytes_max: u64,
) -> Result<Option<Zeroizing<Vec<u8>>>, KeystoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(failed("open", path, err)),
    };
    let metadata = file
        .metadata()
        .map_err(|err| failed("examine", path, err))?;
    if let Some(mode) = platform::exposed_mode(&metadata) {
        return Err(KeystoreError::ExposedToOthers {
            path: path.to_owned(),
            mode,
        });
    }
    if !metadata.is_file() || metadata.len() > bytes_max {
        return Err(KeystoreError::Damaged {
            path: path.to_owned(),
            reason: "it is not a file of the right size".to_owned(),
        });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.take(bytes_max)
        .read_to_end(&mut bytes)
        .map_err(|err| failed("read", path, err))?;
    Ok(Some(bytes))
}

/// Creates `dir/name` with `bytes`, readable and writable by its owner only. After a crash there
/// is either the whole file or none. Never replaces a file.
pub(crate) fn create(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), KeystoreError> {
    write(dir, name, bytes, publish)
}

/// Puts a new `dir/name` with `bytes` in place of the one that is there. After a crash there is
/// the whole old file or the whole new one.
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), KeystoreError> {
    write(dir, name, bytes, |temporary, path| {
        fs::rename(temporary, path).map_err(|err| failed("replace", path, err))
    })
}

fn write(
    dir: &Path,
    name: &str,
    bytes: &[u8],
    publish: impl FnOnce(&Path, &Path) -> Result<(), KeystoreError>,
) -> Result<(), KeystoreError> {
    let path = dir.join(name);
    let temporary = dir.join(format!(".{name}.new"));
    platform::create_private_dir(dir).map_err(|err| failed("create", dir, err))?;
    match fs::remove_file(&temporary) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &temporary, err));
        }
        _ => {}
    }
    let written = write_durably(&temporary, bytes)
        .map_err(|err| failed("write", &temporary, err))
        .and_then(|()| publish(&temporary, &path));
    if written.is_err() {
        // The temporary file is of no use; that it could not be made is what matters.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    platform::sync_dir(dir).map_err(|err| failed("sync", dir, err))
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = platform::create_private_file(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives the finished file its name, unless that is taken.
fn publish(temporary: &Path, path: &Path) -> Result<(), KeystoreError> {
    let taken = || KeystoreError::AlreadyExists {
        path: path.to_owned(),
    };
    match fs::hard_link(temporary, path) {
        Ok(()) => fs::remove_file(temporary).map_err(|err| failed("remove", temporary, err)),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Err(taken()),
        // Not every file system has hard links.
        Err(_) if path.exists() => Err(taken()),
        Err(_) => fs::rename(temporary, path).map_err(|err| failed("create", path, err)),
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> KeystoreError {
    KeystoreError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
