//! `cargo xtask bench`: fetches the records, then runs the benches, ours and the peers' in one run.
//! It must not measure anything itself.

use crate::Failure;
use crate::data;
use crate::run;

/// Runs one bench or all of them; `--quick` takes a tenth of the data.
pub(crate) fn bench(words: &[&str]) -> Result<(), Failure> {
    // The memory of an idle node is that of the real program, which lies beside the bench.
    let build = run::cargo(&[
        "build",
        "--release",
        "--package",
        "stead",
        "--package",
        "stead-bench",
    ]);
    if !run::watched(build)?.success {
        return Err("the program or its bench could not be built".into());
    }
    let mut command = run::cargo(&["run", "--release", "--package", "stead-bench", "--"]);
    command.args(words);
    match data::fetch() {
        Ok(folder) => {
            command.env(data::VARIABLE, folder);
        }
        Err(why) => {
            eprintln!("    the real records are not here ({why}): benches make up their own")
        }
    }
    if run::watched(command)?.success {
        Ok(())
    } else {
        Err("the bench did not run to its end".into())
    }
}
