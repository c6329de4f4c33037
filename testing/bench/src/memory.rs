//! Memory of an idle node, the real program started and left alone; and of a million fields.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::data::places;
use crate::rows::{Aim, Row};
use crate::{Failure, Scale, resident};

const SETTLE: Duration = Duration::from_secs(5);

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
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
    let idle = resident::resident_mb(running.0.id())?;
    drop(running);

    let folder = tempfile::tempdir()?;
    let records = places(scale.of(1_000_000) / 6);
    let [stead, loro, automerge] = resident::fill(folder.path(), &records)?;
    Ok(vec![
        Row::new(
            "memory of an idle node (resident)",
            "MB",
            idle,
            Aim::AtMost(60.0),
        ),
        Row::new(
            "memory with a million fields in store, after reading (resident)",
            "MB",
            resident::measure("stead", &stead)?,
            Aim::AtMost(100.0),
        )
        .peer("Loro, one document", resident::measure("loro", &loro)?)
        .peer(
            "Automerge, one document",
            resident::measure("automerge", &automerge)?,
        ),
    ])
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
