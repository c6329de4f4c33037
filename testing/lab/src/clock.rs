//! A clock for one process: a small library, loaded before the program's own, that moves the time
//! of day. Steady clocks stay as they are. For programs that are linked dynamically.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells the library by how many seconds.
pub(crate) const SECONDS: &str = "STEAD_LAB_CLOCK_SECONDS";

const SOURCE: &str = include_str!("../clock/shifted.c");

/// Makes the library in `dir`; says on the terminal why a test is skipped where that cannot be done.
pub fn shifted_clock(dir: &Path, test: &str) -> Option<PathBuf> {
    let skipped = |why: String| {
        eprintln!(
            "SKIPPED {test}: moving one program's clock needs Linux and a C compiler ({why})"
        );
        None
    };
    if !cfg!(target_os = "linux") {
        return skipped("this is another system".to_owned());
    }
    let (source, library) = (dir.join("shifted.c"), dir.join("shifted.so"));
    if let Err(error) = std::fs::write(&source, SOURCE) {
        return skipped(error.to_string());
    }
    let mut command = Command::new("cc");
    command
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source);
    match command.output() {
        Ok(output) if output.status.success() => Some(library),
        Ok(output) => skipped(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => skipped(error.to_string()),
    }
}
