//! `cargo xtask arch`: proves the shape that ARCHITECTURE.md claims, from `cargo metadata` and the source itself.
//! Each rule lives in a file beside this one as a pure function over text, so that its tests can show it failing;
//! this file only gathers what they judge. It must not repair anything but the generated table, and that only
//! when asked with `--write`.

mod code;
mod documents;
mod graph;
mod purity;
mod table;
mod threats;

use std::fmt;
use std::path::Path;

use crate::Failure;
use crate::run;

/// One broken rule: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) place: String,
    pub(crate) what: String,
}

impl Violation {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Violation {
        Violation {
            place: place.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.what)
    }
}

/// One text file of the project; `path` is relative to the workspace's root, with `/` between its parts.
#[derive(Clone, Debug)]
pub(crate) struct TextFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Runs every rule and prints the capability x ring table; `--write` renews that table in ARCHITECTURE.md first.
pub(crate) fn arch(words: &[&str]) -> Result<(), Failure> {
    let write = match words {
        [] => false,
        ["--write"] => true,
        _ => return Err("`cargo xtask arch` knows only --write".into()),
    };
    let root = run::workspace_root();
    let workspace = workspace()?;
    let table = table::render(&workspace);
    if write {
        table::write(&root.join(table::HOME), &table)?;
    }

    let files = gather(&root)?;
    let mut violations = graph::check(&workspace);
    for confined in graph::CONFINED {
        violations.extend(graph::check_reach(
            confined,
            &linked_by(&workspace, confined)?,
        ));
    }
    violations.extend(purity::check(&files));
    violations.extend(documents::check(&files));
    violations.extend(threats::check(&files));
    violations.extend(table::check(&files, &table));
    violations.sort();
    violations.dedup();

    println!("{table}");
    if violations.is_empty() {
        println!(
            "arch: {} crates, {} source files and {} documents keep every rule",
            workspace.packages.len(),
            files
                .iter()
                .filter(|file| file.path.ends_with(".rs"))
                .count(),
            files
                .iter()
                .filter(|file| file.path.ends_with(".md"))
                .count(),
        );
        return Ok(());
    }
    for violation in &violations {
        eprintln!("  {violation}");
    }
    Err(format!(
        "{} rules of the house are broken; see the list above and ARCHITECTURE.md",
        violations.len()
    ))
}

/// The names of core's packages.
pub(crate) fn core_packages() -> Result<Vec<String>, Failure> {
    let packages = workspace()?
        .packages
        .into_iter()
        .filter(|package| package.ring() == "core");
    Ok(packages.map(|package| package.name).collect())
}

fn workspace() -> Result<graph::Workspace, Failure> {
    let metadata = run::captured(run::cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
    ]))?;
    graph::Workspace::from_metadata(&metadata)
}

/// Every crate that the packages of one confined group link, directly or not, in an ordinary build.
fn linked_by(
    workspace: &graph::Workspace,
    confined: &graph::Confined,
) -> Result<Vec<String>, Failure> {
    let packages: Vec<&str> = workspace
        .packages
        .iter()
        .filter(|package| package.folder.starts_with(confined.folder))
        .map(|package| package.name.as_str())
        .collect();
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let mut words = vec![
        "tree", "--edges", "normal", "--prefix", "none", "--format", "{p}",
    ];
    for package in &packages {
        words.extend(["--package", package]);
    }
    let printed = run::captured(run::cargo(&words))?;
    let mut names: Vec<String> = printed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Reads every text file of the project, whether committed yet or not.
fn gather(root: &Path) -> Result<Vec<TextFile>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .map_err(|cause| format!("read {}: {cause}", folder.display()))?;
        for entry in entries {
            let entry = entry.map_err(|cause| format!("read {}: {cause}", folder.display()))?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry
                .file_type()
                .map_err(|cause| format!("read {}: {cause}", path.display()))?;
            if kind.is_dir() {
                if !matches!(
                    name.as_str(),
                    ".git" | "target" | "node_modules" | "corpus" | "artifacts"
                ) {
                    folders.push(path);
                }
            } else if kind.is_file()
                && let Ok(bytes) = std::fs::read(&path)
                && let Ok(text) = String::from_utf8(bytes)
            {
                let relative = path.strip_prefix(root).unwrap_or(&path);
                let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
                files.push(TextFile {
                    path: parts.join("/"),
                    text,
                });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}
