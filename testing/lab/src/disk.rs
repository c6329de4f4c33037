//! Small disks of their own, in memory, that can be filled, emptied and made read-only.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What takes the room on a full disk.
const BALLAST: &str = "ballast";

/// A disk; dropping it takes it away with everything on it.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts a disk of that many MiB on an empty folder below `dir`, or says on the terminal why a
    /// test is skipped.
    pub fn or_skip(test: &str, dir: &Path, mib: u32) -> Option<Self> {
        let path = dir.join("disk");
        let size = format!("size={mib}m,mode=0700");
        let mounted = std::fs::create_dir_all(&path)
            .map_err(|error| error.to_string())
            .and_then(|()| run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], &path));
        match mounted {
            Ok(()) => Some(Self { path }),
            Err(cause) => {
                eprintln!("SKIPPED {test}: a disk of its own needs root and mount ({cause})");
                None
            }
        }
    }

    /// Its topmost folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it to the last byte. Returns whether there was room for one.
    pub fn fill(&self) -> std::io::Result<bool> {
        let mut options = std::fs::File::options();
        let mut file = options
            .create(true)
            .append(true)
            .open(self.path.join(BALLAST))?;
        let before = file.metadata()?.len();
        for size in [1 << 20, 4096, 1] {
            let piece = vec![0; size];
            while file.write_all(&piece).is_ok() {}
        }
        Ok(file.metadata()?.len() > before)
    }

    /// Gives back what [`Self::fill`] took.
    pub fn relieve(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.path.join(BALLAST))
    }

    /// Makes it read-only or writable; nothing may be open for writing on it.
    pub fn read_only(&self, on: bool) -> Result<(), String> {
        let options = if on { "remount,ro" } else { "remount,rw" };
        run("mount", &["-o", options], &self.path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Processes that still have files open there keep them; the folder is free at once.
        if let Err(cause) = run("umount", &["--lazy"], &self.path) {
            eprintln!("a disk could not be taken away: {cause}");
        }
    }
}

fn run(program: &str, args: &[&str], path: &Path) -> Result<(), String> {
    let output = Command::new(program).args(args).arg(path).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
