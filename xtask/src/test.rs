//! `cargo xtask test`: installs what tests need, then runs every check of the project, step by step.
//! It must not hide a failure: a step that cannot run here says so and why, and any failure fails the whole.

use crate::Failure;
use crate::data;
use crate::machine;
use crate::run::{self, cargo};
use crate::steps::{Done, Steps, Tally};

/// The steps in their order: a name to call one by, and what it does.
const STEPS: &[(&str, &str)] = &[
    ("tools", "what tests need, installed where it is missing"),
    ("fmt", "every file is formatted"),
    ("arch", "the rings, core's purity, the documents"),
    ("clippy", "no warning in any crate, tests included"),
    ("wasm", "core compiles for wasm32"),
    (
        "unit",
        "unit, property and vector tests, and the documentation's examples",
    ),
    (
        "fuzz",
        "every input that was ever kept, fed to its decoder again",
    ),
    ("sim", "200 seeds of the simulator"),
    (
        "lab",
        "real nodes as processes, on loopback and on hosts of their own",
    ),
];

/// The crates whose tests have a step of their own.
const OWN_STEP: &[&str] = &["stead-fuzz", "stead-sim", "stead-lab"];

/// Every package but the one that measures us against others: clippy and `cargo xtask bench` compile that.
const ALL_BUT_BENCH: [&str; 3] = ["--workspace", "--exclude", "stead-bench"];

/// Runs every step, or those named.
pub(crate) fn test(words: &[&str]) -> Result<(), Failure> {
    let mut fail_fast = false;
    let mut named: Vec<&str> = Vec::new();
    for word in words {
        match *word {
            "--list" => {
                for (name, about) in STEPS {
                    println!("{name:<8} {about}");
                }
                return Ok(());
            }
            "--fail-fast" => fail_fast = true,
            step if STEPS.iter().any(|(name, _)| *name == step) => named.push(step),
            other => {
                return Err(format!(
                    "there is no step '{other}'; `cargo xtask test --list` shows them"
                ));
            }
        }
    }
    let chosen: Vec<&(&'static str, &'static str)> = STEPS
        .iter()
        .filter(|(name, _)| named.is_empty() || named.contains(name))
        .collect();
    let mut steps = Steps::new(chosen.len(), fail_fast);
    for (name, about) in chosen {
        steps.step(name, about, |tally| match *name {
            "tools" => tools(tally),
            "fmt" => fmt(),
            "arch" => crate::arch::arch(&[]).map(|()| Done::Ran { note: None }),
            "clippy" => finished(
                cargo(&[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--keep-going",
                    "--quiet",
                    "--",
                    "--deny",
                    "warnings",
                ]),
                tally,
            ),
            "wasm" => wasm(tally),
            "unit" => unit(tally),
            "fuzz" => finished(runner(&["stead-fuzz"]), tally),
            "sim" => finished(runner(&["stead-sim"]), tally),
            _ => lab(tally),
        });
    }
    steps.close()
}

fn tools(tally: &mut Tally) -> Result<Done, Failure> {
    machine::need_rust_parts()?;
    machine::need_compiler()?;
    for missing in machine::install_tools() {
        tally.skip(missing);
    }
    match data::fetch() {
        Ok(folder) => eprintln!("    the real records: {}", folder.display()),
        Err(why) => tally.skip(format!("tests on the real records ({why})")),
    }
    let runner = if machine::has_nextest() {
        "cargo nextest"
    } else {
        "cargo test (faster with nextest: cargo install --locked cargo-nextest)"
    };
    Ok(Done::Ran {
        note: Some(format!("tests run with {runner}")),
    })
}

fn fmt() -> Result<Done, Failure> {
    if run::watched(cargo(&["fmt", "--all", "--check", "--", "-l"]))?.success {
        Ok(Done::Ran { note: None })
    } else {
        Err("the files above are not formatted; run: cargo fmt --all".into())
    }
}

fn wasm(tally: &mut Tally) -> Result<Done, Failure> {
    let mut command = match machine::wasm_build() {
        Ok(command) => command,
        Err(reason) => return Ok(Done::Skipped { reason }),
    };
    for package in crate::arch::core_packages()? {
        command.args(["--package", &package]);
    }
    finished(command, tally)
}

fn unit(tally: &mut Tally) -> Result<Done, Failure> {
    let outcome = tally.tests(run::watched(runner(&[]))?);
    // nextest leaves out the examples in documentation comments.
    let mut examples = cargo(&["test", "--quiet", "--doc"]);
    examples.args(ALL_BUT_BENCH);
    let examples = tally.tests(run::watched(examples)?);
    outcome.and(examples).map(|()| Done::Ran { note: None })
}

fn lab(tally: &mut Tally) -> Result<Done, Failure> {
    // The lab starts the real program, so it must be there and new.
    let mut build = cargo(&["build", "--bin", "stead"]);
    build.args(ALL_BUT_BENCH);
    if !run::watched(build)?.success {
        return Err("the program itself does not build".into());
    }
    let mut tests = runner(&["stead-lab"]);
    tests.env("STEAD_BIN", run::target_dir().join("debug").join("stead"));
    finished(tests, tally)
}

/// The test runner for these packages; for those without a step of their own when none is named.
fn runner(packages: &[&str]) -> std::process::Command {
    if !machine::has_nextest() {
        let mut command = cargo(&["test", "--no-fail-fast", "--tests"]);
        if packages.is_empty() {
            command.args(ALL_BUT_BENCH);
            command.args(OWN_STEP.iter().flat_map(|package| ["--exclude", package]));
        }
        command.args(packages.iter().flat_map(|package| ["--package", package]));
        return with_records(command);
    }
    // Every step builds the same packages and runs a part of them: another choice of packages would
    // build the dependencies again with other features.
    let any_of = |packages: &[&str]| {
        let each: Vec<String> = packages
            .iter()
            .map(|package| format!("package(={package})"))
            .collect();
        each.join(" or ")
    };
    let mut command = cargo(&["nextest", "run", "--no-fail-fast"]);
    command.args(ALL_BUT_BENCH).arg("--filterset");
    if packages.is_empty() {
        command.arg(format!("not ({})", any_of(OWN_STEP)));
    } else {
        command.arg(any_of(packages));
    }
    with_records(command)
}

fn with_records(mut command: std::process::Command) -> std::process::Command {
    if let Ok(folder) = data::fetch() {
        command.env(data::VARIABLE, folder);
    }
    command
}

fn finished(command: std::process::Command, tally: &mut Tally) -> Result<Done, Failure> {
    tally
        .tests(run::watched(command)?)
        .map(|()| Done::Ran { note: None })
}
