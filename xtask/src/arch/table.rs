//! The capability x ring table that opens ARCHITECTURE.md: each crate's promise, and who in each ring links it.
//! It must be a function of `cargo metadata` alone, so that the table in the document cannot say anything else.

use std::path::Path;

use super::graph::{Package, RINGS, Workspace};
use super::{TextFile, Violation};
use crate::Failure;

/// The document that holds the table.
pub(crate) const HOME: &str = "ARCHITECTURE.md";

const BEGIN: &str = "<!-- arch: begin -->";
const END: &str = "<!-- arch: end -->";

/// The rings that get a column; xtask links nothing.
const COLUMNS: usize = 5;

/// The table as Markdown: a row for every crate of the product, its own cell in bold, its users in theirs.
pub(crate) fn render(workspace: &Workspace) -> String {
    let mut table = format!("| capability | {} |\n", RINGS[..COLUMNS].join(" | "));
    table.push_str(&format!("|{}\n", " --- |".repeat(COLUMNS + 1)));
    for package in &workspace.packages {
        if matches!(package.ring(), "core" | "adapters" | "engine" | "bin") {
            table.push_str(&row(workspace, package));
        }
    }
    table
}

fn row(workspace: &Workspace, package: &Package) -> String {
    let mut row = format!("| {} |", package.description);
    for ring in &RINGS[..COLUMNS] {
        let mut cell: Vec<String> = Vec::new();
        if package.ring() == *ring {
            cell.push(format!("**{}**", room(package)));
        }
        for user in &workspace.packages {
            if user.ring() == *ring && user.links.contains(&package.name) {
                cell.push(room(user).to_owned());
            }
        }
        row.push_str(&format!(
            " {} |",
            if cell.is_empty() {
                "·".to_owned()
            } else {
                cell.join(", ")
            }
        ));
    }
    row.push('\n');
    row
}

fn room(package: &Package) -> &str {
    package.folder.rsplit('/').next().unwrap_or(&package.folder)
}

/// A violation when the document does not hold exactly this table between its marks.
pub(crate) fn check(files: &[TextFile], table: &str) -> Vec<Violation> {
    let Some(document) = files.iter().find(|file| file.path == HOME) else {
        return vec![Violation::new(HOME, "is not there")];
    };
    match between_marks(&document.text) {
        None => vec![Violation::new(
            HOME,
            format!("must hold the table between `{BEGIN}` and `{END}`"),
        )],
        Some((begin, end)) if document.text[begin..end].trim() != table.trim() => {
            vec![Violation::new(
                HOME,
                "its table is not what the crates say; run `cargo xtask arch --write`",
            )]
        }
        Some(_) => Vec::new(),
    }
}

/// Puts the table between the document's marks.
pub(crate) fn write(path: &Path, table: &str) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| format!("read {}: {cause}", path.display()))?;
    let (begin, end) = between_marks(&text)
        .ok_or_else(|| format!("{HOME} has no `{BEGIN}` and `{END}` to write the table between"))?;
    let renewed = format!("{}\n{}\n{}", &text[..begin], table.trim(), &text[end..]);
    if renewed != text {
        std::fs::write(path, renewed)
            .map_err(|cause| format!("write {}: {cause}", path.display()))?;
        eprintln!("{HOME}: the table was renewed");
    }
    Ok(())
}

fn between_marks(text: &str) -> Option<(usize, usize)> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let end = begin + text[begin..].find(END)?;
    Some((begin, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        let package = |name: &str, folder: &str, description: &str, links: &[&str]| Package {
            name: name.into(),
            folder: folder.into(),
            description: description.into(),
            links: links.iter().map(|link| (*link).to_owned()).collect(),
            test_links: Vec::new(),
        };
        Workspace {
            packages: vec![
                package("stead-log", "core/log", "History", &[]),
                package("stead-sync", "core/sync", "Sync", &["stead-log"]),
                package(
                    "stead-node",
                    "engine/node",
                    "A device",
                    &["stead-log", "stead-sync"],
                ),
                package("stead-sim", "testing/sim", "Simulation", &["stead-sync"]),
            ],
        }
    }

    fn document(table: &str) -> Vec<TextFile> {
        vec![TextFile {
            path: HOME.into(),
            text: format!("# A\n{BEGIN}\n{table}\n{END}\nmore"),
        }]
    }

    #[test]
    fn a_row_names_the_crate_and_its_users_by_ring() {
        let table = render(&workspace());
        assert!(
            table.contains("| History | **log**, sync | · | node | · | · |\n"),
            "{table}"
        );
        assert!(
            table.contains("| Sync | **sync** | · | node | · | sim |\n"),
            "{table}"
        );
        assert!(!table.contains("| Simulation |"), "{table}");
    }

    #[test]
    fn a_document_that_says_otherwise_is_refused() {
        let table = render(&workspace());
        assert_eq!(check(&document(&table), &table), Vec::new());
        assert_eq!(
            check(&document(&table.replace("node", "host")), &table).len(),
            1
        );
        assert_eq!(check(&[], &table).len(), 1);
        assert_eq!(
            check(
                &[TextFile {
                    path: HOME.into(),
                    text: "# A".into()
                }],
                &table
            )
            .len(),
            1
        );
    }
}
