//! Which directory a node's data is in. Only this program looks at the environment for it.

use std::path::{Path, PathBuf};

use crate::exit::{Code, Failure};

/// The node's messages when it runs in the background.
pub(crate) const LOG_FILE: &str = "node.log";

/// The home that was asked for, or the usual one; always absolute.
pub(crate) fn find(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let var = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let home = match asked {
        Some(home) => home.to_owned(),
        None => match (var("XDG_DATA_HOME"), var("HOME")) {
            (Some(data), _) => data.join("stead"),
            (None, Some(home)) => home.join(".local/share/stead"),
            (None, None) => {
                return Err(
                    Failure::usage("There is no home directory to keep data in.")
                        .hint("Say where with --home DIR or STEAD_HOME."),
                );
            }
        },
    };
    std::path::absolute(&home)
        .map_err(|err| Failure::new(Code::Failed, format!("{}: {err}.", home.display())))
}
