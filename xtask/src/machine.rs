//! What this machine has, and how to get what is missing: Debian packages, cargo-nextest, a way to compile for wasm32.
//! It must name the command that installs a thing before running it, and must not fail a run over an optional one.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Failure;
use crate::run::{self, cargo, program};

/// A program that tests use, the Debian package that holds it, and what cannot run without it.
struct Tool {
    program: &'static str,
    package: &'static str,
    needed_for: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "ip",
        package: "iproute2",
        needed_for: "tests on separate network namespaces cannot run",
    },
    Tool {
        program: "npm",
        package: "npm",
        needed_for: "tests on the real records cannot run",
    },
];

/// What the database is built with: SQLCipher is C, and the OpenSSL beneath it is put together by perl and make.
const BUILDERS: &[(&str, &str)] = &[
    ("cc", "build-essential"),
    ("make", "build-essential"),
    ("perl", "perl"),
];

/// Makes sure of the programs that the database is built with.
pub(crate) fn need_compiler() -> Result<(), Failure> {
    let missing = || {
        BUILDERS
            .iter()
            .filter(|(program, _)| !can_build_with(program))
    };
    let mut packages: Vec<&str> = missing().map(|(_, package)| *package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing().map(|(program, _)| *program).collect();
    let programs = programs.join(", ");
    eprintln!(
        "    missing: {programs}; asking Debian for {}",
        packages.join(" ")
    );
    apt_install(&packages).map_err(|why| {
        format!("{programs} missing, and the database cannot be built without; {why}")
    })
}

/// Debian's smallest perl lacks modules that the build of OpenSSL asks for.
fn can_build_with(name: &str) -> bool {
    match name {
        "perl" => quietly(program(
            "perl",
            &["-MFindBin", "-MIPC::Cmd", "-MTime::Piece", "-e1"],
        )),
        _ => run::on_path(name),
    }
}

/// Installs the missing tools where this person may, and answers what is still missing, each with what it costs.
pub(crate) fn install_tools() -> Vec<String> {
    let missing: Vec<&Tool> = TOOLS
        .iter()
        .filter(|tool| !run::on_path(tool.program))
        .collect();
    for tool in TOOLS {
        eprintln!(
            "    {}: {}",
            tool.program,
            if run::on_path(tool.program) {
                "here"
            } else {
                "missing"
            }
        );
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    let refused = if packages.is_empty() {
        Ok(())
    } else {
        apt_install(&packages)
    };
    missing
        .iter()
        .filter(|tool| !run::on_path(tool.program))
        .map(|tool| match &refused {
            Err(why) => format!("{}: {} ({why})", tool.needed_for, tool.program),
            Ok(()) => format!("{}: {} is still missing", tool.needed_for, tool.program),
        })
        .collect()
}

/// Installs Debian packages; the failure names the command for someone who may run it.
fn apt_install(packages: &[&str]) -> Result<(), Failure> {
    let by_hand = format!(
        "install it with: sudo apt-get install {}",
        packages.join(" ")
    );
    if !run::on_path("apt-get") {
        return Err(format!(
            "this machine has no apt-get; install: {}",
            packages.join(" ")
        ));
    }
    let prefix: &[&str] = if is_root() {
        &[]
    } else if sudo_without_asking() {
        &["sudo", "-n"]
    } else {
        return Err(by_hand);
    };
    let apt = |words: &[&str]| {
        let mut all = prefix.to_vec();
        all.push("apt-get");
        all.extend_from_slice(words);
        let mut command = program(all[0], &all[1..]);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        run::watched(command).is_ok_and(|outcome| outcome.success)
    };
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend_from_slice(packages);
    if apt(&["update", "-qq"]) && apt(&install) {
        Ok(())
    } else {
        Err(format!("apt-get could not; {by_hand}"))
    }
}

/// How tests are run here: cargo-nextest where it is installed, else `cargo test`.
pub(crate) fn has_nextest() -> bool {
    quietly(cargo(&["nextest", "--version"]))
}

/// Fails with the command that installs the two parts of Rust that the checks use.
pub(crate) fn need_rust_parts() -> Result<(), Failure> {
    for (word, part) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !quietly(cargo(&[word, "--version"])) {
            return Err(format!(
                "Rust's {part} is missing; install it with: rustup component add {part}"
            ));
        }
    }
    Ok(())
}

/// Cargo's words and environment for a build of libraries for wasm32, or why it cannot be had here.
pub(crate) fn wasm_build() -> Result<Command, Failure> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let sysroot = run::captured(program("rustc", &["--print", "sysroot"]))?;
    let installed = || {
        Path::new(sysroot.trim())
            .join("lib/rustlib")
            .join(TARGET)
            .join("lib")
            .is_dir()
    };
    if !installed() && run::on_path("rustup") {
        eprintln!("    the {TARGET} target is missing: asking rustup for it");
        let _ = run::watched(program("rustup", &["target", "add", TARGET]));
    }
    if installed() {
        return Ok(cargo(&["build", "--lib", "--target", TARGET]));
    }
    // Debian compiles its browser with a Rust of its own, whose source builds the standard library for any target.
    if !Path::new("/usr/bin/cargo").exists()
        || !Path::new("/usr/lib/rustlib/src/rust/library/std").exists()
    {
        eprintln!("    rustup could not; asking Debian for its Rust with source (about 600 MB)");
        apt_install(&["rustc-web", "rust-web-src", "cargo-web", "rust-web-llvm"]).map_err(
            |why| {
                format!(
                    "neither rustup nor Debian's packages give the {TARGET} target here ({why})"
                )
            },
        )?;
    }
    let mut command = program(
        "/usr/bin/cargo",
        &[
            "build",
            "--lib",
            "--target",
            TARGET,
            "-Zbuild-std=std,panic_abort",
            "--target-dir",
        ],
    );
    command
        .arg(run::target_dir().join("wasm"))
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1");
    command.env_remove("RUSTUP_TOOLCHAIN");
    Ok(command)
}

fn is_root() -> bool {
    run::captured(program("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}

fn sudo_without_asking() -> bool {
    run::on_path("sudo") && quietly(program("sudo", &["-n", "true"]))
}

fn quietly(mut command: Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
