//! What `stead up` remembers from one start to the next: the device's name and its relays, in one small file.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    args::Up,
    exit::{Code, Failure},
};

/// Its name inside the home.
pub(crate) const FILE: &str = "settings.json";
/// What `--relay` takes for "no relay any more".
const NO_RELAY: &str = "none";

/// The remembered settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// What the device is called.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Addresses of relays.
    #[serde(default)]
    pub(crate) relays: Vec<String>,
}

impl Settings {
    /// Reads them, lets the flags win, and remembers the outcome.
    pub(crate) fn of_start(home: &Path, up: &Up) -> Result<Self, Failure> {
        let path = home.join(FILE);
        let old: Self = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|err| {
                Failure::new(
                    Code::Failed,
                    format!("{} is damaged: {err}.", path.display()),
                )
                .hint("Correct it, or delete it and give --name and --relay again.")
            })?,
            Err(err) if err.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(err) => {
                return Err(Failure::new(
                    Code::Storage,
                    format!("{} cannot be read: {err}.", path.display()),
                ));
            }
        };
        let new = old.clone().changed_by(up);
        if new != old {
            let mut part = path.clone();
            part.set_extension("json.part");
            let text = serde_json::to_string_pretty(&new).unwrap_or_default();
            fs::write(&part, text + "\n")
                .and_then(|()| fs::rename(&part, &path))
                .map_err(|err| {
                    Failure::new(
                        Code::Storage,
                        format!("{} cannot be written: {err}.", path.display()),
                    )
                })?;
        }
        Ok(new)
    }

    fn changed_by(mut self, up: &Up) -> Self {
        self.name = up.name.clone().or(self.name).or_else(machine_name);
        if !up.relay.is_empty() {
            self.relays = up
                .relay
                .iter()
                .filter(|relay| *relay != NO_RELAY)
                .cloned()
                .collect();
        }
        self
    }
}

/// What the system calls this machine.
fn machine_name() -> Option<String> {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let name = name.split('.').next().unwrap_or_default().trim().to_owned();
    (!name.is_empty() && name != "localhost").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(args: &[&str]) -> Up {
        use clap::Parser as _;
        let args = crate::args::Args::try_parse_from(["stead", "up"].iter().chain(args)).unwrap();
        match args.command {
            crate::args::Command::Up(up) => up,
            _ => panic!("another command"),
        }
    }

    #[test]
    fn what_was_said_once_need_not_be_said_again() {
        let home = tempfile::tempdir().unwrap();
        let first = Settings::of_start(
            home.path(),
            &up(&[
                "--name",
                "attic",
                "--relay",
                "http://a:1",
                "--relay",
                "http://b:2",
            ]),
        );
        let again = Settings::of_start(home.path(), &up(&[]));
        assert_eq!(first, again);
        assert_eq!(again.unwrap().relays, ["http://a:1", "http://b:2"]);
        let renamed = Settings::of_start(home.path(), &up(&["--name", "cellar"])).unwrap();
        assert_eq!(
            (renamed.name.as_deref(), renamed.relays.len()),
            (Some("cellar"), 2)
        );
        assert!(
            Settings::of_start(home.path(), &up(&["--relay", "none"]))
                .unwrap()
                .relays
                .is_empty()
        );
    }

    #[test]
    fn a_damaged_file_is_named() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(FILE), "{").unwrap();
        let failure = Settings::of_start(home.path(), &up(&[])).unwrap_err();
        assert!(failure.message.contains(FILE));
    }
}
