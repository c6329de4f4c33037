//! What every text of the project may say: links that resolve, files and functions that are there, and nothing
//! that is true on one machine only.
//! It must not judge wording, nor reach for the network: links that leave the project are not followed.

use std::collections::BTreeSet;

use super::graph::RINGS;
use super::{TextFile, Violation};

/// The one script that may look beside the checkout, for data that is optional.
const MAY_LOOK_BESIDE: &str = ".ci/run";

/// The page that lists every decision.
const DECISIONS: &str = "docs/adr/README.md";

/// Every text that breaks a rule.
pub(crate) fn check(files: &[TextFile]) -> Vec<Violation> {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for file in files {
        let mut path = file.path.as_str();
        known.insert(path.to_owned());
        while let Some((folder, _)) = path.rsplit_once('/') {
            known.insert(folder.to_owned());
            path = folder;
        }
    }
    let mut violations = Vec::new();
    let functions = functions(files);
    let decisions = files
        .iter()
        .find(|file| file.path == DECISIONS)
        .map_or("", |file| file.text.as_str());
    for file in files {
        if let Some(name) = file.path.strip_prefix("docs/adr/")
            && file.path != DECISIONS
            && !decisions.contains(&format!("({name})"))
        {
            violations.push(Violation::new(
                &file.path,
                format!("is not listed in {DECISIONS}"),
            ));
        }
        if !file.path.ends_with("Cargo.lock") {
            check_words(file, &mut violations);
        }
        if file.path.ends_with(".md") {
            check_links(file, files, &known, &mut violations);
        }
        // The changelog speaks of what once was.
        if file.path.ends_with(".md") && file.path != "CHANGELOG.md" {
            check_names(file, &known, &functions, &mut violations);
        }
    }
    violations
}

/// A document that names `core/log/src/tip.rs` or `Tip::verify` must name something that is there.
fn check_names(
    file: &TextFile,
    known: &BTreeSet<String>,
    functions: &BTreeSet<&str>,
    violations: &mut Vec<Violation>,
) {
    for (line, name) in quoted(&file.text) {
        let place = || format!("{}:{line}", file.path);
        let ring = name.split('/').next().unwrap_or_default();
        let is_path = name.contains('/')
            && RINGS.contains(&ring)
            && name
                .chars()
                .all(|letter| letter.is_alphanumeric() || "/._-".contains(letter));
        if is_path && !known.contains(name.trim_end_matches('/')) {
            violations.push(Violation::new(
                place(),
                format!("names `{name}`, which is not there"),
            ));
        }
        let function = name
            .trim_end_matches("()")
            .rsplit_once("::")
            .filter(|(path, last)| {
                path.chars()
                    .all(|letter| letter.is_alphanumeric() || ":_".contains(letter))
                    && last.starts_with(|letter: char| letter.is_ascii_lowercase())
                    && last
                        .chars()
                        .all(|letter| letter.is_alphanumeric() || letter == '_')
            });
        if let Some((path, last)) = function
            && !path.starts_with("std")
            && !functions.contains(last)
            && !is_module(known, last)
        {
            violations.push(Violation::new(
                place(),
                format!("names `{name}`, but there is no such function"),
            ));
        }
    }
}

/// Whether some source file or folder is the module of this name.
fn is_module(known: &BTreeSet<String>, name: &str) -> bool {
    let (file, folder) = (format!("/{name}.rs"), format!("/{name}"));
    known
        .iter()
        .any(|path| path.ends_with(&file) || path.ends_with(&folder))
}

/// What stands between single backticks, outside fenced code, with line numbers.
fn quoted(markdown: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in markdown.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let quotes = line.split('`').skip(1).step_by(2);
            found.extend(quotes.map(|quote| (number + 1, quote.to_owned())));
        }
    }
    found
}

/// The names of all functions in the project's sources.
fn functions(files: &[TextFile]) -> BTreeSet<&str> {
    files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .flat_map(|file| file.text.split("fn ").skip(1))
        .filter_map(|after| {
            after
                .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .next()
        })
        .collect()
}

fn check_words(file: &TextFile, violations: &mut Vec<Violation>) {
    // Put together here, so that this file does not itself say what no file may say.
    let machine_paths = ["work", "root"].map(|folder| format!("/{folder}/"));
    let beside = ["..", "shared"].join("/");
    let registries = [
        ["crates", "io"].join("."),
        ["registry", "npmjs", "org"].join("."),
        ["pypi", "org"].join("."),
        ["pythonhosted", "org"].join("."),
        ["deb", "debian", "org"].join("."),
        ["proxy", "golang", "org"].join("."),
        ["static", "rust-lang", "org"].join("."),
    ];
    for (number, line) in file.text.lines().enumerate() {
        let place = || format!("{}:{}", file.path, number + 1);
        for path in &machine_paths {
            let at_start_of_a_path = line.match_indices(path.as_str()).any(|(at, _)| {
                !line[..at]
                    .ends_with(|letter: char| letter.is_alphanumeric() || "._-*~}".contains(letter))
            });
            if at_start_of_a_path {
                violations.push(Violation::new(
                    place(),
                    format!("`{path}` is a path of one machine"),
                ));
            }
        }
        if line.contains(&beside) && file.path != MAY_LOOK_BESIDE {
            violations.push(Violation::new(
                place(),
                format!("depends on `{beside}`, which a user does not have"),
            ));
        }
        for registry in &registries {
            if line.contains(registry.as_str()) {
                violations.push(Violation::new(
                    place(),
                    "names the host of a package registry",
                ));
            }
        }
    }
}

fn check_links(
    file: &TextFile,
    files: &[TextFile],
    known: &BTreeSet<String>,
    violations: &mut Vec<Violation>,
) {
    for (line, target) in links(&file.text) {
        let place = format!("{}:{line}", file.path);
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = target
            .split_once('#')
            .map_or((target.as_str(), None), |(path, anchor)| {
                (path, Some(anchor))
            });
        let resolved = if path.is_empty() {
            Some(file.path.clone())
        } else {
            resolve(&file.path, path)
        };
        match resolved {
            Some(resolved) if known.contains(&resolved) => {
                if let (Some(anchor), Some(target_file)) =
                    (anchor, files.iter().find(|other| other.path == resolved))
                    && resolved.ends_with(".md")
                    && !headings(&target_file.text).contains(anchor)
                {
                    violations.push(Violation::new(
                        place,
                        format!("links to `{target}`, but there is no such heading"),
                    ));
                }
            }
            _ => violations.push(Violation::new(
                place,
                format!("links to `{target}`, which is not there"),
            )),
        }
    }
}

/// The targets of `[text](target)` outside code, with their line numbers.
fn links(markdown: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in markdown.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every other piece between backticks is code.
        let prose: String = line
            .split('`')
            .enumerate()
            .map(|(at, part)| if at % 2 == 0 { part } else { "" })
            .collect();
        let mut rest = prose.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let (target, after) = after.split_once(')').unwrap_or((after, ""));
            let target = target.split_whitespace().next().unwrap_or_default();
            found.push((number + 1, target.to_owned()));
            rest = after;
        }
    }
    found
}

/// The path a relative link means, seen from the root; `None` when it leaves the project.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors that a document's headings make.
fn headings(markdown: &str) -> BTreeSet<String> {
    markdown
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|letter| match letter {
                    ' ' => Some('-'),
                    letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => {
                        Some(letter)
                    }
                    _ => None,
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile {
            path: path.into(),
            text: text.into(),
        }
    }

    fn complaints(files: &[TextFile]) -> usize {
        check(files).len()
    }

    #[test]
    fn links_that_resolve_are_fine() {
        let files = [
            file(
                "README.md",
                "[a](docs/log.md) [b](docs/log.md#the-head-signed) [c](https://example.org/x) [d](docs/) [e](#here)\n# Here",
            ),
            file(
                "docs/log.md",
                "# Log\n## The head, signed\n[up](../README.md)",
            ),
        ];
        assert_eq!(complaints(&files), 0);
    }

    #[test]
    fn links_that_do_not_resolve_are_refused() {
        for text in [
            "[a](missing.md)",
            "[a](../outside.md)",
            "[a](#nowhere)",
            "[a](README.md#nowhere)",
        ] {
            assert_eq!(complaints(&[file("README.md", text)]), 1, "{text}");
        }
    }

    #[test]
    fn a_decision_that_is_not_listed_is_refused() {
        let decision = file("docs/adr/0001-x.md", "# X");
        assert_eq!(
            complaints(&[decision.clone(), file(DECISIONS, "[x](0001-x.md)")]),
            0
        );
        assert_eq!(complaints(&[decision, file(DECISIONS, "none yet")]), 1);
    }

    #[test]
    fn files_and_functions_that_are_not_there_are_refused() {
        let source = file(
            "core/log/src/tip.rs",
            "impl Tip { pub fn verify(&self) {} }",
        );
        for (text, count) in [
            (
                "`core/log/src/tip.rs` has `Tip::verify`, `core/log/` and `core/{log,doc}`",
                0,
            ),
            ("`core/log/src/top.rs`", 1),
            ("`Tip::verify_all()`", 1),
            ("```\n`Tip::verify_all`\n```", 0),
            ("`std::fs::read` and `ErrorKind::NotFound`", 0),
        ] {
            assert_eq!(
                complaints(&[source.clone(), file("docs/x.md", text)]),
                count,
                "{text}"
            );
        }
    }

    #[test]
    fn links_in_code_are_not_links() {
        assert_eq!(
            complaints(&[file(
                "README.md",
                "`[a](missing.md)`\n```\n[b](missing.md)\n```\n"
            )]),
            0
        );
    }

    #[test]
    fn what_is_true_on_one_machine_only_is_refused() {
        let machine = format!("see /{}/main", "work");
        let home = format!("(/{}/.cache)", "root");
        let beside = format!("{}/shared/data", "..");
        for text in [&machine, &home, &beside] {
            assert_eq!(complaints(&[file("docs/x.md", text)]), 1, "{text}");
        }
        assert_eq!(complaints(&[file(".ci/run", &beside)]), 0);
        assert_eq!(
            complaints(&[file("docs/x.md", "the net/work/ of a/root/ of trees")]),
            0
        );
    }

    #[test]
    fn the_host_of_a_registry_is_refused_outside_the_lock_file() {
        let text = format!("from {}", ["registry", "npmjs", "org"].join("."));
        assert_eq!(complaints(&[file("README.md", &text)]), 1);
        assert_eq!(complaints(&[file("Cargo.lock", &text)]), 0);
    }
}
