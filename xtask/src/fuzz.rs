//! `cargo xtask fuzz` and `cargo xtask sim`: starts the fuzzer and the simulator by hand.
//! It must not hold a target or a seed of its own; `testing/fuzz` and `testing/sim` do.

use crate::Failure;
use crate::run::{self, cargo, program};

/// How long a target is fuzzed when nobody says.
const SECONDS: &str = "60";

/// The longest input the fuzzer makes; every decoder's interesting lengths lie below.
const INPUT_BYTES_MAX: &str = "4096";

/// Lists the fuzz targets, or feeds one of them for some seconds.
pub(crate) fn fuzz(words: &[&str]) -> Result<(), Failure> {
    let room = run::workspace_root().join("testing").join("fuzz");
    let (target, seconds) = match words {
        [] => {
            let targets = room.join("fuzz").join("fuzz_targets");
            let files = std::fs::read_dir(&targets)
                .map_err(|cause| format!("read {}: {cause}", targets.display()))?;
            let mut names: Vec<String> = files
                .filter_map(|file| {
                    file.ok()?
                        .file_name()
                        .to_str()?
                        .strip_suffix(".rs")
                        .map(str::to_owned)
                })
                .collect();
            names.sort();
            println!("{}", names.join("\n"));
            return Ok(());
        }
        [target] => (*target, SECONDS),
        [target, "--seconds", seconds] | ["--seconds", seconds, target] => (*target, *seconds),
        _ => return Err("say `cargo xtask fuzz`, or `cargo xtask fuzz TARGET --seconds N`".into()),
    };
    if run::captured(cargo(&["fuzz", "--version"])).is_err() {
        return Err(
            "the fuzzer is missing; install it with: cargo install --locked cargo-fuzz".into(),
        );
    }
    let found = room.join("fuzz").join("corpus").join(target);
    std::fs::create_dir_all(&found)
        .map_err(|cause| format!("create {}: {cause}", found.display()))?;
    let mut command = program("cargo", &["fuzz", "run", target]);
    command.args([format!("fuzz/corpus/{target}"), format!("corpus/{target}")]);
    command.args([
        "--",
        &format!("-max_len={INPUT_BYTES_MAX}"),
        &format!("-max_total_time={seconds}"),
    ]);
    // The compiler's fuzzing hooks are not stable; this lets the stable compiler use them.
    command.env("RUSTC_BOOTSTRAP", "1").current_dir(&room);
    if run::watched(command)?.success {
        Ok(())
    } else {
        Err(format!(
            "the fuzzer found something, or could not run. What it found lies in testing/fuzz/fuzz/artifacts/{target}; \
             mend the decoder, and keep the input as testing/fuzz/corpus/{target}/found-WHAT"
        ))
    }
}

/// Runs one seed of the simulator, or many.
pub(crate) fn sim(words: &[&str]) -> Result<(), Failure> {
    let mut command = cargo(&["run", "--release", "--package", "stead-sim", "--"]);
    command.args(words);
    if run::watched(command)?.success {
        Ok(())
    } else {
        Err("the simulator found a failing seed; see above".into())
    }
}
