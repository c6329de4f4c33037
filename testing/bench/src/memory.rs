//! Memory of an idle node: the real program, started and left alone.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::rows::{Aim, Row};
use crate::{Failure, Scale};

const SETTLE: Duration = Duration::from_secs(5);

pub(crate) fn run(_: Scale) -> Result<Vec<Row>, Failure> {
    let program = program()?;
    let home = tempfile::tempdir()?;
    let child = Command::new(&program)
        .arg("--home")
        .arg(home.path())
        .args(["up", "--foreground"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut running = Running(child);
    let start = Instant::now();
    while start.elapsed() < SETTLE {
        if let Some(status) = running.0.try_wait()? {
            return Err(format!("the node ended by itself: {status}").into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.0.id()))?;
    let kib = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse::<f64>()
                .ok()
        })
        .ok_or("no VmRSS in /proc")?;
    Ok(vec![Row::new(
        "memory of an idle node (resident)",
        "MB",
        kib * 1024.0 / 1e6,
        Aim::AtMost(60.0),
    )])
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The node keeps nothing of worth: its home is a temporary folder.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The `stead` program that was built beside this one.
fn program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let path = own.with_file_name("stead");
    if path.exists() {
        return Ok(path);
    }
    Err("the program `stead` is not built: run `cargo build --release -p stead`".into())
}
