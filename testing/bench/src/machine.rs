//! What the figures were measured on.

use serde_json::{Value, json};

/// The machine, as data.
pub(crate) fn facts() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("unknown");
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({
        "cpu": model, "cores": cores, "memory_gib": kib.unwrap_or(0) >> 20,
        "os": std::env::consts::OS, "arch": std::env::consts::ARCH,
    })
}

/// The machine, in one line.
pub(crate) fn describe() -> String {
    let facts = facts();
    format!(
        "measured on {} with {} cores and {} GiB of memory ({}, {})",
        facts["cpu"].as_str().unwrap_or("unknown"),
        facts["cores"],
        facts["memory_gib"],
        facts["os"].as_str().unwrap_or(""),
        facts["arch"].as_str().unwrap_or("")
    )
}
