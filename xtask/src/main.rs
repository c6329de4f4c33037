//! The project's own commands: reads the words after `cargo xtask` and hands them to the file that does the work.
//! It must not hold logic of its own, link any crate of the workspace, or need anything but Rust to start.

mod arch;
mod bench;
mod data;
mod fuzz;
mod machine;
mod run;
mod steps;
mod test;
mod up;

use std::process::ExitCode;

/// The one error type of these commands: a sentence for a person, with what to do next where that is known.
type Failure = String;

const HELP: &str = "\
The project's own commands.

  cargo xtask up                        build Stead, start this machine's node, say what to do next
  cargo xtask test [STEP..]             install what tests need, then run them all, or only the steps named
                   [--list] [--fail-fast]
  cargo xtask bench [NAME] [--quick]    measure Stead and its peers in one run; writes target/bench/NAME.json
  cargo xtask arch [--write]            check the rings, core's purity and the documents; --write renews the table
  cargo xtask sim [--seed N | --seeds N]
                                        run one seed of the simulator, or N of them
  cargo xtask fuzz [TARGET] [--seconds N]
                                        list the fuzz targets, or fuzz one of them
  cargo xtask data                      fetch the real records that tests and benches read
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.split_first() {
        Some((&"up", rest)) => up::up(rest),
        Some((&"test", rest)) => test::test(rest),
        Some((&"bench", rest)) => bench::bench(rest),
        Some((&"arch", rest)) => arch::arch(rest),
        Some((&"sim", rest)) => fuzz::sim(rest),
        Some((&"fuzz", rest)) => fuzz::fuzz(rest),
        Some((&"data", rest)) => data::data(rest),
        None | Some((&("help" | "--help" | "-h"), _)) => {
            print!("{HELP}");
            Ok(())
        }
        Some((other, _)) => Err(format!("there is no command '{other}'.\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
