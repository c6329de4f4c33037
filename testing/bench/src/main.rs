//! Stead and its peers, measured in one run on the same data: `stead-bench [NAME] [--quick]`.
//!
//! Owns the rows of the table in `docs/benchmarks.md`. It asserts nothing: a row that misses its
//! aim is printed as missed.

mod bulk;
mod bytes;
mod catch_up;
mod data;
mod device;
mod growth;
mod machine;
mod memory;
mod newcomer;
mod node;
mod open;
mod part;
mod plot;
mod query;
mod remote;
mod resident;
mod rights;
mod rights_peers;
mod rows;
mod schema;
mod single;
mod typing;

use std::process::ExitCode;

use rows::Row;

/// How much data a run uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// A tenth of everything.
    pub(crate) quick: bool,
}

impl Scale {
    pub(crate) const fn of(self, full: usize) -> usize {
        if self.quick { full / 10 } else { full }
    }
}

type Failure = Box<dyn std::error::Error>;
type Bench = fn(Scale) -> Result<Vec<Row>, Failure>;

const BENCHES: &[(&str, Bench)] = &[
    ("single", single::run),
    ("bulk", bulk::run),
    ("catch-up", catch_up::run),
    ("remote", remote::run),
    ("open", open::run),
    ("bytes", bytes::run),
    ("memory", memory::run),
    ("growth", growth::run),
    ("newcomer", newcomer::run),
    ("part", part::run),
    ("schema", schema::run),
    ("rights", rights::run),
    ("query", query::run),
    ("typing", typing::run),
    ("keystrokes", typing::keystrokes::run),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, system, path] = words.as_slice()
        && flag == resident::RESIDENT
    {
        return match resident::run(system, path.as_ref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let scale = Scale {
        quick: words.iter().any(|word| word == "--quick"),
    };
    let wanted: Vec<&String> = words
        .iter()
        .filter(|word| !word.starts_with("--"))
        .collect();
    let known = |name: &&String| BENCHES.iter().any(|(bench, _)| bench == &name.as_str());
    if let Some(name) = wanted.iter().find(|name| !known(name)) {
        let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
        eprintln!(
            "there is no bench {name:?}; there are: {}",
            names.join(", ")
        );
        return ExitCode::from(2);
    }
    let mut failed = false;
    let mut all = Vec::new();
    for (name, bench) in BENCHES {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        eprintln!("bench {name} ...");
        match bench(scale) {
            Ok(rows) => {
                if let Err(error) = rows::write_json(name, &rows, scale) {
                    eprintln!("bench {name}: the results could not be written: {error}");
                    failed = true;
                }
                all.extend(rows);
            }
            Err(error) => {
                eprintln!("bench {name} did not run to its end: {error}");
                failed = true;
            }
        }
    }
    println!("{}", rows::table(&all));
    println!("{}", machine::describe());
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
