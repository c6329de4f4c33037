//! Runs worlds for tests: each must end as it should, and then tells what it went through.

use stead_sim::{Failure, Report};

pub(crate) fn of(
    world: fn(u64) -> Result<Report, Failure>,
    seeds: impl IntoIterator<Item = u64>,
) -> Vec<Report> {
    let runs: Vec<_> = seeds.into_iter().map(world).collect();
    let failures: Vec<String> = runs
        .iter()
        .filter_map(|run| run.as_ref().err())
        .map(ToString::to_string)
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    runs.into_iter().flatten().collect()
}
