//! `cargo xtask fuzz` and `cargo xtask sim`: starts the fuzzer and the simulator by hand.
//! It must not hold a target or a seed of its own; `testing/fuzz` and `testing/sim` do.

use crate::Failure;
use crate::run;

/// Lists the fuzz targets, or feeds one of them for some seconds.
pub(crate) fn fuzz(words: &[&str]) -> Result<(), Failure> {
    start("stead-fuzz", words)
}

/// Runs one seed of the simulator, or many.
pub(crate) fn sim(words: &[&str]) -> Result<(), Failure> {
    start("stead-sim", words)
}

fn start(package: &str, words: &[&str]) -> Result<(), Failure> {
    let mut command = run::cargo(&["run", "--release", "--package", package, "--"]);
    command.args(words);
    if run::watched(command)?.success {
        Ok(())
    } else {
        Err(format!("{package} ended with a failure; see above"))
    }
}
