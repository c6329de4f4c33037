//! `cargo xtask up`: builds the program, starts this machine's node with it, and says what to do next.
//! It must not do anything that `stead up` does: a person with the program alone has everything.

use crate::Failure;
use crate::machine;
use crate::run::{self, cargo};

/// Builds Stead and ends with this machine's node running; doing it again changes nothing.
pub(crate) fn up(words: &[&str]) -> Result<(), Failure> {
    eprintln!("==> [1/2] building Stead (the first time takes some minutes)");
    machine::need_compiler()?;
    let mut build = cargo(&["build", "--release", "--package", "stead"]);
    build.stderr(std::process::Stdio::inherit());
    if !build
        .status()
        .map_err(|cause| format!("could not start cargo: {cause}"))?
        .success()
    {
        return Err("the build failed; the compiler's words are above".into());
    }
    let stead = run::target_dir().join("release").join("stead");
    let shown = stead.display().to_string();

    eprintln!(
        "==> [2/2] starting this machine's node: stead up {}",
        words.join(" ")
    );
    let mut start = run::program(&shown, &["up"]);
    start.args(words).stdin(std::process::Stdio::inherit());
    let status = start
        .status()
        .map_err(|cause| format!("could not start {shown}: {cause}"))?;
    if !status.success() {
        return Err("`stead up` did not end well; what to do is said above".into());
    }
    if !run::on_path("stead") {
        println!("\nThe program is {shown}");
        println!(
            "To call it `stead` from anywhere: sudo install -m 755 {shown} /usr/local/bin/stead"
        );
    }
    Ok(())
}
