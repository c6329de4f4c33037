//! Runs the simulator by hand: `stead-sim --seed N`, or `stead-sim --seeds N [--from M]`; with
//! `--people`, worlds of people of whom some are hostile; with `--parts`, worlds in which a device keeps a
//! part of spaces; with `--guests`, worlds in which somebody else is let into a part.

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str| {
        let at = words.iter().position(|word| word == flag)?;
        words.get(at + 1)?.parse::<u64>().ok()
    };
    let seeds: Vec<u64> = match (number("--seed"), number("--seeds")) {
        (Some(seed), _) => vec![seed],
        (None, count) => {
            let from = number("--from").unwrap_or(0);
            (from..from + count.unwrap_or(200)).collect()
        }
    };
    let start = Instant::now();
    let mut failed = 0;
    for seed in &seeds {
        let has = |flag: &str| words.iter().any(|word| word == flag);
        let run = match has("--people") {
            true => stead_sim::run_people(*seed).map(|report| format!("{report:?}")),
            false if has("--parts") => {
                stead_sim::run_parts(*seed).map(|report| format!("{report:?}"))
            }
            false if has("--guests") => {
                stead_sim::run_guests(*seed).map(|report| format!("{report:?}"))
            }
            false => stead_sim::run_seed(*seed).map(|report| format!("{report:?}")),
        };
        match run {
            Ok(report) if seeds.len() == 1 => println!("seed {seed}: equal at the end; {report}"),
            Ok(_) => {}
            Err(failure) => {
                failed += 1;
                println!("{failure}");
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{} worlds in {seconds:.1} s", seeds.len());
    println!("sim: {} passed, {failed} failed", seeds.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
